//! `kind = "http"`: a JSON API, declared.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::reader::{Entry, FIELD_RULE, Table, is_field};
use super::{COMMON, ConfigError, Place, Settings};

/// A synchronous JSON API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HttpConfig {
    /// `GET`, `POST` or `PUT`.
    pub method: Cow<'static, str>,
    /// Scheme, host and port are literal.
    pub url: Template,
    /// Added to the URL.
    pub query: Vec<(String, Template)>,
    /// Names in lower case.
    pub headers: Vec<(String, Template)>,
    pub body: Option<BodyTemplate>,
    /// (name in templates, environment variable, place).
    pub secrets: Vec<(String, String, Place)>,
    /// Input fields without which this provider is not asked.
    pub requires: Vec<String>,
    /// (output field, JSON Pointer of RFC 6901 into the response). Never empty.
    pub fields: Vec<(String, String)>,
    /// Statuses that mean "nothing known"; 404 where the file says nothing.
    pub not_found_status: Vec<u16>,
    /// Pointers at which an absent, null or empty value means "nothing known".
    pub not_found_missing: Vec<String>,
    /// Statuses that mean "this input is wrong".
    pub invalid_status: Vec<u16>,
    /// For one record, retries included, 1 to 100 s; 20 s where the file says nothing.
    pub timeout: Duration,
    /// After the first attempt, 0 to 5; 2 where the file says nothing.
    pub retries: u32,
}

/// Text with places for values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template(pub Vec<Part>);

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Text(String),
    Input(String),
    Secret(String),
}

impl Template {
    fn inputs(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|p| if let Part::Input(name) = p { Some(name) } else { None })
    }

    fn secrets(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|p| if let Part::Secret(name) = p { Some(name) } else { None })
    }

    /// Reads `text`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let Some(end) = rest[start..].find("}}") else {
                return Err("a template's `{{` has no `}}`".to_owned());
            };
            let inner = rest[start + 2..start + end].trim();
            parts.push(match inner.split_once('.') {
                Some(("input", name)) if is_field(name) => Part::Input(name.to_owned()),
                Some(("secret", name)) if is_field(name) => Part::Secret(name.to_owned()),
                _ => {
                    return Err(format!(
                        "`{{{{ {inner} }}}}` is not known; write {{{{ input.FIELD }}}} or {{{{ secret.NAME }}}}"
                    ));
                }
            });
            rest = &rest[start + end + 2..];
        }
        if rest.contains("}}") || text.contains("{%") || text.contains("{#") {
            return Err("only {{ input.FIELD }} and {{ secret.NAME }} are known in templates".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

/// A JSON body. A text that is nothing but one `{{ input.FIELD }}` takes the field's value with its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BodyTemplate {
    Text(Template),
    Literal(serde_json::Value),
    Array(Vec<BodyTemplate>),
    Object(Vec<(String, BodyTemplate)>),
}

impl BodyTemplate {
    fn each_template(&self, visit: &mut impl FnMut(&Template)) {
        match self {
            Self::Text(template) => visit(template),
            Self::Literal(_) => {}
            Self::Array(items) => items.iter().for_each(|i| i.each_template(visit)),
            Self::Object(members) => members.iter().for_each(|(_, m)| m.each_template(visit)),
        }
    }
}

impl HttpConfig {
    fn each_template(&self, visit: &mut impl FnMut(&Template)) {
        visit(&self.url);
        self.query.iter().chain(&self.headers).for_each(|(_, t)| visit(t));
        if let Some(body) = &self.body {
            body.each_template(visit);
        }
    }
}

impl HttpConfig {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        table.only_and(
            &COMMON,
            &[
                "method",
                "url",
                "query",
                "headers",
                "body",
                "secrets",
                "requires",
                "fields",
                "not_found",
                "invalid_status",
                "timeout_s",
                "retries",
            ],
        )?;
        let method = match table.get("method") {
            None => "GET",
            Some(entry) => match entry.str()? {
                "GET" => "GET",
                "POST" => "POST",
                "PUT" => "PUT",
                other => return Err(entry.error(format!("the method `{other}` is not known; it is GET, POST or PUT"))),
            },
        };
        let url_entry =
            table.need("url", "the address of the API, such as https://api.example.com/v1/{{ input.domain }}")?;
        let url = url_entry.template()?;
        check_url(url_entry.str()?, &url).map_err(|why| url_entry.error(why))?;

        let mut query = Vec::new();
        if let Some(entry) = table.get("query") {
            for (name, value) in entry.entries()? {
                query.push((name.to_owned(), value.template()?));
            }
        }
        let mut headers: Vec<(String, Template)> = Vec::new();
        if let Some(entry) = table.get("headers") {
            for (name, value) in entry.entries()? {
                let lower = name.to_ascii_lowercase();
                check_header_name(&lower).map_err(|why| value.error(why))?;
                if headers.iter().any(|(n, _)| *n == lower) {
                    return Err(value.error(format!("the header `{lower}` is there twice; remove one")));
                }
                let template = value.template()?;
                if template
                    .0
                    .iter()
                    .any(|p| matches!(p, Part::Text(t) if t.contains(|c: char| c.is_control() && c != '\t')))
                {
                    return Err(value.error("a header value has no line breaks or control characters"));
                }
                headers.push((lower, template));
            }
        }
        let body = match table.get("body") {
            None => None,
            Some(entry) if method == "GET" => return Err(entry.error("a GET has no body; use POST, or `query`")),
            Some(entry) => Some(read_body(&entry)?),
        };
        let mut secrets = Vec::new();
        if let Some(entry) = table.get("secrets") {
            for (name, value) in entry.entries()? {
                let DeValue::Table(inner) = value.value else {
                    return Err(value.error("a secret is a reference: { env = \"NAME_OF_VARIABLE\" }; never the value"));
                };
                let inner = Table::new(value.source, &value.path, value.at, inner);
                inner.only(&["env"])?;
                let env = inner.need("env", "the name of the environment variable that holds the secret")?;
                let variable = env.str()?;
                if variable.is_empty() || !variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    return Err(env.error("the name of an environment variable has letters, digits and _ only"));
                }
                if !is_field(name) {
                    return Err(value.error(FIELD_RULE));
                }
                secrets.push((name.to_owned(), variable.to_owned(), value.place()));
            }
        }
        let mut fields = Vec::new();
        let fields_entry = table.need("fields", "say where in the response each field is, as a JSON Pointer")?;
        for (name, value) in fields_entry.entries()? {
            if !is_field(name) {
                return Err(value.error(FIELD_RULE));
            }
            fields.push((name.to_owned(), value.pointer()?));
        }
        if fields.is_empty() {
            return Err(fields_entry.error("fields is empty; write fields = { company_name = \"/data/name\" }"));
        }
        let (mut not_found_status, mut not_found_missing) = (vec![404], Vec::new());
        if let Some(entry) = table.get("not_found") {
            let DeValue::Table(inner) = entry.value else {
                return Err(entry.error("not_found is a table: { status = [404], missing = [\"/data\"] }"));
            };
            let inner = Table::new(entry.source, &entry.path, entry.at, inner);
            inner.only(&["status", "missing"])?;
            if let Some(entry) = inner.get("status") {
                not_found_status = entry.statuses()?;
            }
            if let Some(entry) = inner.get("missing") {
                not_found_missing = entry.array()?.iter().map(Entry::pointer).collect::<Result<_, _>>()?;
            }
        }
        let invalid_status = table.get("invalid_status").map_or(Ok(Vec::new()), |e| e.statuses())?;
        if let Some(both) = invalid_status.iter().find(|s| not_found_status.contains(s)) {
            return Err(
                table.error(format!("the status {both} cannot mean both not_found and invalid; remove it from one"))
            );
        }

        let mut http = Self {
            method: Cow::Borrowed(method),
            url,
            query,
            headers,
            body,
            secrets,
            requires: Vec::new(),
            fields,
            not_found_status,
            not_found_missing,
            invalid_status,
            timeout: Duration::from_secs(table.number("timeout_s", 1, 100)?.unwrap_or(20)),
            retries: u32::try_from(table.number("retries", 0, 5)?.unwrap_or(2)).unwrap_or(2),
        };
        let (mut used, mut unknown_secret) = (Vec::<String>::new(), None);
        http.each_template(&mut |template| {
            used.extend(template.inputs().cloned());
            if let Some(name) = template.secrets().find(|name| !http.secrets.iter().any(|(n, ..)| n == *name)) {
                unknown_secret.get_or_insert_with(|| name.clone());
            }
        });
        if let Some(name) = unknown_secret {
            return Err(table.error(format!(
                "a template names {{{{ secret.{name} }}}}, which is not declared; add secrets = {{ {name} = {{ env = \"…\" }} }}"
            )));
        }
        used.sort();
        used.dedup();
        http.requires = match table.get("requires") {
            None => used,
            Some(entry) => {
                let requires = entry.fields()?;
                let fixed = http.url.inputs().chain(http.headers.iter().flat_map(|(_, t)| t.inputs()));
                if let Some(missing) = fixed.into_iter().find(|f| !requires.contains(f)) {
                    return Err(entry.error(format!(
                        "the URL or a header uses `{missing}`, which can only be left out of query and body; add it to \
                         requires"
                    )));
                }
                requires
            }
        };
        Ok(http)
    }
}

impl Settings for HttpConfig {
    fn needs(&self) -> Vec<String> {
        let mut fields = self.requires.clone();
        self.each_template(&mut |t| fields.extend(t.inputs().cloned()));
        fields
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(self.fields.iter().map(|(name, _)| name.clone()).collect())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn one_upstream(&self) -> bool {
        true
    }

    fn places(&mut self) -> Vec<&mut Place> {
        self.secrets.iter_mut().map(|(_, _, at)| at).collect()
    }
}

/// A URL template's scheme, host and port must be literal: nobody's input chooses where a request goes.
fn check_url(text: &str, template: &Template) -> Result<(), String> {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return Err("the URL begins with https:// (or http:// where the operator allows it), written out".to_owned());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains("{{") || authority.contains("}}") {
        return Err("the host of the URL is written out; a template may stand in the path and in query only".to_owned());
    }
    if authority.contains('@') {
        return Err("the URL holds no user or password; use a header with {{ secret.NAME }}".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.split('.').all(|label| {
                    !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                })
        }
    };
    if !good {
        return Err(format!("`{host}` is not a host name; write it in ASCII (xn--… for other letters)"));
    }
    if port.is_some_and(|p| p.parse::<u16>().map_or(true, |p| p == 0)) {
        return Err("the URL's port is a number from 1 to 65535".to_owned());
    }
    if rest.contains('#') {
        return Err("the URL has no fragment".to_owned());
    }
    let literal = |part: &Part| if let Part::Text(text) = part { Some(text.to_ascii_lowercase()) } else { None };
    let literals: Vec<String> = template.0.iter().filter_map(literal).collect();
    if literals.iter().any(|t| !t.chars().all(|c| c.is_ascii_graphic())) {
        return Err("the URL has no spaces, control or non-ASCII characters; percent-encode them".to_owned());
    }
    // URL parsers walk up on these, encoded or not, and a value beside one could make one.
    let dots = rest.split('?').next().unwrap_or_default().split('/').any(|segment| matches!(segment, "." | ".."));
    if dots || literals.iter().any(|t| t.contains("%2e")) {
        return Err("the URL's path has no `.` or `..` segments and no %2E; write the path that is meant".to_owned());
    }
    Ok(())
}

fn check_header_name(lower: &str) -> Result<(), String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if lower.is_empty() || !lower.chars().all(token) {
        return Err(format!("`{lower}` is not the name of a header"));
    }
    // The sender's own business; letting a file set them would desynchronise the message.
    if matches!(lower, "host" | "content-length" | "transfer-encoding" | "connection" | "te" | "upgrade" | "trailer") {
        return Err(format!("the header `{lower}` is set by the sender; remove it"));
    }
    Ok(())
}

fn read_body(entry: &Entry<'_>) -> Result<BodyTemplate, ConfigError> {
    Ok(match entry.value {
        DeValue::String(_) => BodyTemplate::Text(entry.template()?),
        DeValue::Boolean(b) => BodyTemplate::Literal((*b).into()),
        DeValue::Integer(i) => {
            let number = i64::from_str_radix(&i.as_str().replace('_', ""), i.radix());
            BodyTemplate::Literal(number.map_err(|_| entry.error("this number is too large"))?.into())
        }
        DeValue::Float(f) => {
            let number = f.as_str().replace('_', "").parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            BodyTemplate::Literal(number.ok_or_else(|| entry.error("JSON has no such number"))?.into())
        }
        DeValue::Datetime(_) => return Err(entry.error("JSON has no dates; put it in quotes")),
        DeValue::Array(_) => BodyTemplate::Array(entry.array()?.iter().map(read_body).collect::<Result<_, _>>()?),
        DeValue::Table(_) => {
            let members = entry.entries()?;
            let members = members.iter().map(|(name, value)| Ok(((*name).to_owned(), read_body(value)?)));
            BodyTemplate::Object(members.collect::<Result<_, ConfigError>>()?)
        }
    })
}
