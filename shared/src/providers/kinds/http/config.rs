//! `kind = "http"`: a JSON API, declared.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::{
    BatchConfig, ConfigError, KindConfig, LaterConfig, Mapping, OauthConfig, Place, REQUEST_KEYS,
    RequestTemplate, SecretConfig, Settings, Table, Template,
};

/// A JSON API that answers at once or later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HttpConfig {
    /// `method`, `url`, `query`, `headers` and `body`: the request.
    pub request: RequestTemplate,
    /// The secrets that its templates name, each declared once.
    pub secrets: Vec<SecretConfig>,
    /// Input fields without which this provider is not asked.
    pub requires: Vec<String>,
    /// `fields`, `not_found` and a computed `confidence`: the meaning of an answer.
    pub mapping: Mapping,
    /// Statuses that mean "nothing known"; 404 if the file does not say.
    pub not_found_status: Vec<u16>,
    /// Statuses that mean "this input is wrong".
    pub invalid_status: Vec<u16>,
    /// The time for one record, retries included, 1 to 100 s; 20 s if the file does not say.
    pub timeout: Duration,
    /// The number of retries, 0 to 5; 2 if the file does not say.
    pub retries: u32,
    /// The reading of later answers; `None` if all come at once.
    pub later: Option<LaterConfig>,
    /// The grouping of records into one call; `None` if each has its own.
    pub batch: Option<BatchConfig>,
    /// The source of access tokens; `None` if there are none.
    pub oauth: Option<OauthConfig>,
}

/// The values that the templates of a request may read. `request.key` is the same whenever this
/// question is put, for upstreams that recognise a repeated request. `callback.url` is the URL for
/// an answer that comes later.
const ROOTS: [&str; 4] = ["input", "secret", "request", "callback"];

impl KindConfig for HttpConfig {
    const NAME: &'static str = "http";
    const KEYS: &'static [&'static [&'static str]] = &[
        &REQUEST_KEYS,
        &Mapping::KEYS,
        &[
            "secrets",
            "requires",
            "invalid_status",
            "timeout_s",
            "retries",
            "later",
            "batch",
            "oauth",
        ],
    ];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let request = RequestTemplate::read(table, &ROOTS)?;
        let secrets = table
            .get("secrets")
            .map_or(Ok(Vec::new()), |entry| SecretConfig::read_all(&entry))?;
        let (mapping, not_found_status) = Mapping::read(table)?;
        let invalid_status = table
            .get("invalid_status")
            .map_or(Ok(Vec::new()), |e| e.statuses())?;
        if let Some(both) = invalid_status.iter().find(|s| not_found_status.contains(s)) {
            return Err(table.error(format!(
                "the status {both} cannot mean both not_found and invalid; remove it from one"
            )));
        }
        let calls_back = request.reads("callback");
        let later = table
            .get("later")
            .map(|entry| LaterConfig::read(&entry, &ROOTS, calls_back))
            .transpose()?;
        if calls_back && later.is_none() {
            return Err(table.error(
                "a template names {{ callback.url }}; say in `later` how such an answer is read",
            ));
        }
        let batch = table
            .get("batch")
            .map(|entry| BatchConfig::read(&entry, &request))
            .transpose()?;
        if batch.is_some() && later.is_some() {
            return Err(table.error(
                "a question that is answered later has a call of its own; remove `later` or \
                 `batch`",
            ));
        }
        let oauth = table
            .get("oauth")
            .map(|entry| OauthConfig::read(&entry))
            .transpose()?;
        if oauth.is_some()
            && request
                .headers
                .iter()
                .any(|(name, _)| name == "authorization")
        {
            return Err(table.error("the token of `oauth` is the Authorization header; remove one"));
        }
        let mut http = Self {
            request,
            secrets,
            requires: Vec::new(),
            mapping,
            not_found_status,
            invalid_status,
            timeout: Duration::from_secs(table.number("timeout_s", 1, 100)?.unwrap_or(20)),
            retries: u32::try_from(table.number("retries", 0, 5)?.unwrap_or(2)).unwrap_or(2),
            later,
            batch,
            oauth,
        };
        http.check_secrets(table)?;
        http.requires = http.read_requires(table)?;
        Ok(http)
    }
}

impl HttpConfig {
    /// Checks that its templates name every secret that is declared, and no other.
    fn check_secrets(&self, table: &Table<'_>) -> Result<(), ConfigError> {
        let mut named = Vec::new();
        self.each_template(&mut |template| named.extend(template.secrets()));
        let undeclared = |name: &&&str| !self.secrets.iter().any(|s| s.name == **name);
        if let Some(name) = named.iter().find(undeclared) {
            return Err(table.error(format!(
                "a template names {{{{ secret.{name} }}}}, which is not declared; add \
                 secrets = {{ {name} = {{ ssm = \"/…\" }} }}"
            )));
        }
        let is_idle = |secret: &&SecretConfig| !named.contains(&secret.name.as_str());
        if let Some(idle) = self.secrets.iter().find(is_idle) {
            let name = &idle.name;
            return Err(idle.at.error(format!(
                "{}: secrets.{name} is used nowhere; name it where it belongs, such as \
                 headers = {{ Authorization = \"Bearer {{{{ secret.{name} }}}}\" }}, or remove it",
                table.path
            )));
        }
        Ok(())
    }

    /// Reads the fields without which it is not asked; if the file does not say, those that its
    /// templates need.
    fn read_requires(&self, table: &Table<'_>) -> Result<Vec<String>, ConfigError> {
        let Some(entry) = table.get("requires") else {
            let mut used: Vec<String> = Vec::new();
            self.each_template(&mut |template| used.extend(template.needs().map(str::to_owned)));
            used.sort();
            used.dedup();
            return Ok(used);
        };
        let requires = entry.fields()?;
        let mut fixed = self.requests().flat_map(|request| request.url.needs());
        if let Some(missing) = fixed.find(|f| !requires.iter().any(|r| r == f)) {
            return Err(entry.error(format!(
                "the URL uses `{missing}`, which can only be left out of query, headers and body; \
                 add it to requires"
            )));
        }
        Ok(requires)
    }

    /// Lists every request that it makes.
    fn requests(&self) -> impl Iterator<Item = &RequestTemplate> {
        std::iter::once(&self.request)
            .chain(self.later.iter().filter_map(|later| later.poll.as_ref()))
    }

    fn each_template<'a>(&'a self, visit: &mut impl FnMut(&'a Template)) {
        for request in self.requests() {
            request.each_template(visit);
        }
        if let Some(batch) = &self.batch {
            batch.each_template(visit);
        }
    }

    /// Returns whether it gives its upstream a callback URL.
    pub fn calls_back(&self) -> bool {
        self.request.reads("callback")
    }
}

impl Settings for HttpConfig {
    fn needs(&self) -> Vec<String> {
        let mut fields = self.requires.clone();
        self.each_template(&mut |t| fields.extend(t.inputs().map(str::to_owned)));
        fields.extend(self.mapping.inputs());
        fields.extend(
            self.later
                .iter()
                .flat_map(LaterConfig::inputs)
                .map(str::to_owned),
        );
        fields
    }

    fn required(&self) -> Vec<String> {
        self.requires.clone()
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(
            self.mapping
                .fields
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
        )
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn one_upstream(&self) -> bool {
        true
    }

    fn computes_confidence(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<&SecretConfig> {
        let oauth = self
            .oauth
            .iter()
            .flat_map(|oauth| [&oauth.client_id, &oauth.client_secret]);
        self.secrets.iter().chain(oauth).collect()
    }

    fn places(&mut self) -> Vec<&mut Place> {
        let own = self.secrets.iter_mut().map(|secret| &mut secret.at);
        own.chain(self.oauth.iter_mut().flat_map(OauthConfig::places))
            .collect()
    }
}
