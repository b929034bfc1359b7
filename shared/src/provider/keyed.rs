//! A provider whose secrets are parameters of AWS Systems Manager.
//!
//! It is made when the first record asks, so that a start waits for no secret, and made anew when a value has changed: what
//! hangs on a secret, access tokens too, goes with the old one. Values are read again every [`FRESH`](super::refreshed::FRESH),
//! and when the provider fails as it does where its credentials are refused; if there are other values by then, the question is
//! put once more with them. So a secret may be changed at any time and no record is lost to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::config::{ConfigError, ProviderConfig, SecretRef};
use super::refreshed::{Refreshed, Unread};
use super::{Answer, Environment, Ports, Provider, Question, Secrets};
use crate::ports::{AssetError, within};

/// Reading parameters takes at most this long, with the retries of whoever reads.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Makes the provider with these secrets.
type Make = Box<dyn Fn(Secrets<'_>) -> Result<Arc<dyn Provider>, ConfigError> + Send + Sync>;

/// A provider that is made when its secrets are known.
pub(super) struct Keyed {
    name: String,
    /// The names of the parameters, each once.
    parameters: Vec<String>,
    /// The secrets that the environment has.
    known: BTreeMap<SecretRef, String>,
    make: Make,
    /// Without its secrets, for what does not depend on them. It is never asked.
    blank: Arc<dyn Provider>,
    made: Refreshed<Made>,
}

struct Made {
    values: BTreeMap<String, String>,
    provider: Arc<dyn Provider>,
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("name", &self.name).field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

impl Keyed {
    /// What `make` makes, at once where no secret is a parameter. Secrets of the environment are looked up now.
    pub(super) fn around(
        config: &ProviderConfig,
        environment: Environment<'_>,
        make: impl Fn(Secrets<'_>) -> Result<Arc<dyn Provider>, ConfigError> + Send + Sync + 'static,
    ) -> Result<Arc<dyn Provider>, ConfigError> {
        let (mut parameters, mut known) = (Vec::new(), BTreeMap::new());
        for secret in config.kind.settings().secrets() {
            match secret.place(environment) {
                (from, Some(value)) => drop(known.insert(from.clone(), value)),
                (SecretRef::Parameter(name), None) if !parameters.contains(name) => parameters.push(name.clone()),
                _ => {}
            }
        }
        // Where all is known, this is the provider; else it shows what is wrong with the rest.
        let blank = make(&|from| {
            let unread = matches!(from, SecretRef::Parameter(_)).then(|| "not read yet".to_owned());
            known.get(from).cloned().or(unread)
        })?;
        if parameters.is_empty() {
            return Ok(blank);
        }
        let name = config.name.clone();
        Ok(Arc::new(Self { name, parameters, known, make: Box::new(make), blank, made: Refreshed::default() }))
    }

    /// The provider with the secrets as they are now; `None` where they are those of `before`.
    async fn make(&self, before: Option<Arc<Made>>, ports: &Ports) -> Result<Option<Made>, Unread> {
        let read = within(ports.clock.as_ref(), READ_LIMIT, ports.assets.parameters(&self.parameters)).await;
        let read = read.unwrap_or_else(|| Err(AssetError::Unavailable("no answer in time".to_owned())));
        let unread = |names: &[String], error: &AssetError| {
            Unread::of(&format!("providers.{}: the parameter {}", self.name, names.join(", ")), error)
        };
        let values = read.map_err(|error| unread(&self.parameters, &error))?;
        let missing: Vec<String> = self.parameters.iter().filter(|name| !values.contains_key(*name)).cloned().collect();
        if !missing.is_empty() {
            return Err(unread(&missing, &AssetError::Missing));
        }
        if before.is_some_and(|before| before.values == values) {
            return Ok(None);
        }
        let provider = (self.make)(&|from| match from {
            SecretRef::Parameter(name) if values.contains_key(name) => values.get(name).cloned(),
            from => self.known.get(from).cloned(),
        });
        let provider = provider.map_err(|error| Unread::lasting(error.to_string()))?;
        Ok(Some(Made { values, provider }))
    }

    async fn made(&self, ports: &Ports) -> Result<Arc<Made>, Unread> {
        self.made.get(ports.clock.as_ref(), |before| self.make(before, ports)).await
    }
}

#[async_trait]
impl Provider for Keyed {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let end = ports.clock.now().plus(question.limit);
        let put = |made: Arc<Made>| async move {
            let question = Question { limit: end.since(ports.clock.now()), ..*question };
            made.provider.ask(&question, ports).await
        };
        let made = match self.made(ports).await {
            Ok(made) => made,
            Err(unread) => return unread.answer(question),
        };
        let answer = put(made.clone()).await;
        if matches!(&answer, Answer::Failed { code, .. } if code == "provider_error")
            && let Some(other) = self.made.another(&made, ports.clock.as_ref(), |before| self.make(before, ports)).await
        {
            return put(other).await;
        }
        answer
    }

    fn calls_back(&self) -> bool {
        self.blank.calls_back()
    }

    fn takes_turn(&self, question: &Question<'_>) -> bool {
        self.blank.takes_turn(question)
    }

    async fn inspect(&self, ports: &Ports) -> Result<Vec<String>, String> {
        let made = self.made(ports).await.map_err(Unread::why)?;
        let parameters = self.parameters.iter().map(|name| format!("{name} was read"));
        Ok([made.provider.inspect(ports).await?, parameters.collect()].concat())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Map, Value, json};

    use super::super::config::Config;
    use super::super::testing::{Script, input, ports, question};
    use super::super::{Answer, Confidence, Earlier, Later, build};
    use super::*;

    const NAME: &str = "/millrace/acme-key";

    fn declared(body: &str) -> Config {
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"acme\"]\n[providers.acme]\nkind = \"http\"\nretries = 0\n\
             url = \"https://acme.example/{{{{ input.domain }}}}\"\nfields = {{ name = \"/name\" }}\n{body}\n"
        );
        Config::parse("p.toml", &toml).unwrap_or_else(|e| panic!("{e}"))
    }

    fn provider(body: &str) -> Arc<dyn Provider> {
        let config = declared(body);
        build(&config.providers[0], Path::new(""), &|name| (name == "REGION").then(|| "eu".to_owned())).unwrap()
    }

    fn bearing() -> Arc<dyn Provider> {
        provider(&format!(
            "headers = {{ Authorization = \"Bearer {{{{ secret.key }}}}\", Region = \"{{{{ secret.region }}}}\" }}\n\
             secrets = {{ key = {{ ssm = \"{NAME}\" }}, region = {{ env = \"REGION\" }} }}"
        ))
    }

    async fn ask(provider: &dyn Provider, ports: &Ports) -> Answer {
        let input = input(json!({"domain": "a.com"}));
        provider.ask(&question(&input, Duration::from_secs(20)), ports).await
    }

    fn found(name: &str) -> Answer {
        Answer::Found {
            fields: Map::from_iter([("name".to_owned(), Value::from(name))]),
            confidence: None::<Confidence>,
        }
    }

    fn keys_sent(script: &Script) -> Vec<String> {
        let of = |request: &crate::ports::HttpRequest| {
            let header = request.headers.iter().find(|(name, _)| name == "authorization");
            header.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        script.requests().iter().map(of).collect()
    }

    #[tokio::test]
    async fn a_parameter_is_read_at_the_first_question_and_again_after_five_minutes() {
        let (ports, script) = ports();
        let acme = bearing();
        script.parameter(NAME, "one");
        for name in ["A", "B", "C", "D"] {
            script.answer(200, &json!({"name": name}).to_string());
        }
        assert_eq!(script.reads(), 0);
        assert_eq!(ask(&*acme, &ports).await, found("A"));
        script.parameter(NAME, "two");
        script.pass(Duration::from_secs(299));
        assert_eq!((ask(&*acme, &ports).await, script.reads()), (found("B"), 1));
        script.pass(Duration::from_secs(1));
        assert_eq!((ask(&*acme, &ports).await, script.reads()), (found("C"), 2));
        script.pass(Duration::from_secs(300));
        script.assets_fail(Some(AssetError::Refused("400 AccessDeniedException".to_owned())));
        assert_eq!((ask(&*acme, &ports).await, script.reads()), (found("D"), 3), "what was read stays in use");
        assert_eq!(keys_sent(&script), ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
        assert!(script.requests()[0].headers.contains(&("region".to_owned(), "eu".to_owned())));
        assert!(!format!("{acme:?}").contains("one"));
    }

    #[tokio::test]
    async fn no_record_is_lost_to_a_secret_that_changes() {
        let (ports, script) = ports();
        let acme = bearing();
        script.parameter(NAME, "one");
        script.answer(200, r#"{"name": "A"}"#);
        assert_eq!(ask(&*acme, &ports).await, found("A"));
        script.pass(Duration::from_secs(60));
        script.parameter(NAME, "two");
        for _ in 0..2 {
            script.answer(401, "{}");
        }
        for _ in 0..2 {
            script.answer(200, r#"{"name": "B"}"#);
        }
        let (one, two) = futures_util::join!(ask(&*acme, &ports), ask(&*acme, &ports));
        assert_eq!((one, two, script.reads()), (found("B"), found("B"), 2));
        assert_eq!(keys_sent(&script)[1..], ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
    }

    #[tokio::test]
    async fn a_secret_that_is_wrong_is_not_read_for_every_record() {
        let (ports, script) = ports();
        let acme = bearing();
        script.parameter(NAME, "wrong");
        for _ in 0..10 {
            script.answer(401, "{}");
            let Answer::Failed { code, detail } = ask(&*acme, &ports).await else { panic!("it has no credentials") };
            assert!(code == "provider_error" && !detail.contains("wrong"), "{detail}");
            script.pass(Duration::from_secs(1));
        }
        assert_eq!(script.reads(), 2);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_parameter_is_told_without_its_value() {
        for (fault, value, wanted) in [
            (None, None, "there is no such thing; create it, in the region of the functions"),
            (Some("400 AccessDeniedException"), None, "see that it exists, and that the role of enrich may read it"),
            (None, Some(""), "p.toml:10:19: providers.acme needs the parameter /millrace/acme-key, which is empty"),
            (
                None,
                Some("hidden\n"),
                "the parameter /millrace/acme-key holds a line break or another control character",
            ),
        ] {
            let (ports, script) = ports();
            script.assets_fail(fault.map(|code| AssetError::Refused(code.to_owned())));
            value.into_iter().for_each(|value| script.parameter(NAME, value));
            let acme = bearing();
            for _ in 0..2 {
                let Answer::Failed { code, detail } = ask(&*acme, &ports).await else { panic!("{wanted}") };
                assert!(code == "provider_error" && detail.contains(NAME) && detail.contains(wanted), "{detail}");
                assert!(!detail.contains("hidden"), "{detail}");
            }
            assert!(acme.inspect(&ports).await.unwrap_err().contains(wanted));
            assert_eq!(script.reads(), 1, "a fault is kept for a moment");
            // And put right.
            script.assets_fail(None);
            script.parameter(NAME, "one");
            script.answer(200, r#"{"name": "A"}"#);
            script.pass(Duration::from_secs(5));
            assert_eq!(ask(&*acme, &ports).await, found("A"));
            assert_eq!(acme.inspect(&ports).await, Ok(vec![format!("{NAME} was read")]));
        }
    }

    #[tokio::test]
    async fn a_parameter_that_cannot_be_read_just_now_fails_nobody_who_has_no_other_provider() {
        let (ports, script) = ports();
        script.assets_fail(Some(AssetError::Unavailable("too many questions".to_owned())));
        let acme = bearing();
        let input = input(json!({"domain": "a.com"}));
        let first = question(&input, Duration::from_secs(20));
        assert!(matches!(acme.ask(&first, &ports).await, Answer::Failed { .. }), "another provider is asked instead");
        let earlier = Earlier { ticket: json!({"id": 7}), posted: None };
        for (question, ticket) in [
            (Question { last: true, ..first }, None),
            (Question { earlier: Some(&earlier), ..first }, Some(json!({"id": 7}))),
        ] {
            let Answer::Later(Later { ticket: kept, refused, look_in, .. }) = acme.ask(&question, &ports).await else {
                panic!("it waits")
            };
            assert_eq!((kept, refused, look_in), (ticket, true, Duration::from_secs(5)));
        }
    }

    #[tokio::test]
    async fn an_access_token_goes_with_the_secret_that_it_was_given_for() {
        let (ports, script) = ports();
        let acme = provider(
            "oauth = { token_url = \"https://acme.example/token\", client_id = { env = \"REGION\" }, \
             client_secret = { ssm = \"/millrace/acme-secret\" } }",
        );
        script.parameter("/millrace/acme-secret", "one");
        for (token, name) in [("t1", "A"), ("t2", "B")] {
            script.answer(200, &json!({"access_token": token, "expires_in": 3600}).to_string());
            script.answer(200, &json!({"name": name}).to_string());
            assert_eq!(ask(&*acme, &ports).await, found(name));
            script.parameter("/millrace/acme-secret", "two");
            script.pass(Duration::from_secs(300));
        }
        let sent = keys_sent(&script);
        assert_eq!((sent.len(), sent[1].as_str(), sent[3].as_str()), (4, "Bearer t1", "Bearer t2"));
        assert!(sent[0] != sent[2] && sent[0].starts_with("Basic "), "{sent:?}");
    }

    #[tokio::test]
    async fn a_variable_goes_before_a_parameter_where_it_is_set() {
        for (set, sent) in [(Some("mine"), "Bearer mine"), (Some(""), "Bearer one"), (None, "Bearer one")] {
            let config = declared(&format!(
                "headers = {{ Authorization = \"Bearer {{{{ secret.key }}}}\" }}\n\
                 secrets = {{ key = {{ ssm = \"{NAME}\", env = \"ACME_KEY\" }} }}"
            ));
            let environment = |name: &str| (name == "ACME_KEY").then_some(set?.to_owned());
            let acme = build(&config.providers[0], Path::new(""), &environment).unwrap();
            let (ports, script) = ports();
            script.parameter(NAME, "one");
            script.answer(200, r#"{"name": "A"}"#);
            assert_eq!(ask(&*acme, &ports).await, found("A"));
            assert_eq!(
                (keys_sent(&script), script.reads()),
                (vec![sent.to_owned()], usize::from(sent == "Bearer one"))
            );
            assert_eq!(config.providers[0].uses_assets(&environment), sent == "Bearer one");
        }
    }

    #[test]
    fn what_is_wrong_besides_is_told_at_the_start() {
        let config = declared(&format!(
            "headers = {{ A = \"{{{{ secret.key }}}}{{{{ secret.other }}}}\" }}\n\
             secrets = {{ key = {{ ssm = \"{NAME}\" }}, other = {{ env = \"ABSENT\" }} }}"
        ));
        let error = build(&config.providers[0], Path::new(""), &|_| None).unwrap_err().to_string();
        assert!(error.ends_with("needs the environment variable ABSENT, which is not set"), "{error}");
    }

    #[test]
    fn what_does_not_hang_on_the_secret_is_known_without_it() {
        let later = "body = { callback = \"{{ callback.url }}\" }\nmethod = \"POST\"\nlater = { id = \"/id\" }\n";
        let acme = provider(&format!(
            "{later}headers = {{ Authorization = \"Bearer {{{{ secret.key }}}}\" }}\nsecrets = {{ key = {{ ssm = \"{NAME}\" }} }}"
        ));
        assert!(acme.calls_back() && !bearing().calls_back());
    }
}
