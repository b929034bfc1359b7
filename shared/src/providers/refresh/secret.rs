//! A provider whose secrets are parameters of AWS Systems Manager.
//!
//! It is built when the first record asks, so that a start waits for no secret, and built anew when
//! a value has changed: everything that was made with a secret, such as access tokens, goes with
//! the old one. Values are read again every
//! [`REFRESH_AFTER`](crate::providers::refresh::table::REFRESH_AFTER), and when the upstream
//! refuses its credentials; if the values have changed by then, the question is put once more.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;

use crate::catalog::{ConfigError, ProviderConfig, SecretConfig, SecretRef};
use crate::catalog::{Environment, Secrets};
use crate::domain::record::FailureCode;
use crate::ports::{AssetError, within};
use crate::providers::refresh::table::{CachedAsset, Reading, Unread};
use crate::providers::{Answer, Ports, Provider, Question};

/// The most time for reading the parameters, retries included.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// Makes the provider with these secrets.
type Make = Box<dyn Fn(Secrets<'_>) -> BuildResult + Send + Sync>;
type BuildResult = Result<Arc<dyn Provider>, ConfigError>;

/// A provider that is built when its secrets are known.
pub(crate) struct RotatingSecret {
    core: Arc<SecretProvider>,
    /// The provider without its secrets, for what does not depend on them. It is never asked.
    without_secrets: Arc<dyn Provider>,
    built: CachedAsset<Built>,
}

struct SecretProvider {
    name: String,
    /// The names of the parameters, each once.
    parameters: Vec<String>,
    /// The variables that hold the other secrets.
    environment: BTreeMap<String, String>,
    make: Make,
}

struct Built {
    values: BTreeMap<String, String>,
    provider: Arc<dyn Provider>,
}

impl fmt::Debug for RotatingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SecretProvider {
            name, parameters, ..
        } = self.core.as_ref();
        f.debug_struct("RotatingSecret")
            .field("name", name)
            .field("parameters", parameters)
            .finish_non_exhaustive()
    }
}

impl RotatingSecret {
    /// Wraps the provider that `make` builds, or returns it if no secret is a parameter. Secrets of
    /// the environment are read now.
    pub(crate) fn around(
        config: &ProviderConfig,
        environment: Environment<'_>,
        make: impl Fn(Secrets<'_>) -> BuildResult + Send + Sync + 'static,
    ) -> Result<Arc<dyn Provider>, ConfigError> {
        let (mut parameters, mut known) = (Vec::new(), BTreeMap::new());
        for secret in config.kind.settings().secrets() {
            let value = secret
                .variable()
                .and_then(|name| Some((name.to_owned(), environment(name)?)));
            known.extend(value);
            if let (SecretRef::Parameter(name), None) = (&secret.from, secret.known(environment))
                && !parameters.contains(name)
            {
                parameters.push(name.clone());
            }
        }
        let core = SecretProvider {
            name: config.name.clone(),
            parameters,
            environment: known,
            make: Box::new(make),
        };
        // If all is known, this is the provider; else building it shows what is wrong with the
        // rest.
        let without_secrets = core.with(&|_| Some("not read yet".to_owned()))?;
        if core.parameters.is_empty() {
            return Ok(without_secrets);
        }
        Ok(Arc::new(Self {
            core: Arc::new(core),
            without_secrets,
            built: CachedAsset::default(),
        }))
    }

    fn read(&self, before: Option<Arc<Built>>, ports: &Ports) -> Reading<Built> {
        let (core, ports) = (self.core.clone(), ports.clone());
        async move { core.read(before, &ports).await }.boxed()
    }

    async fn built(&self, wait: Duration, ports: &Ports) -> Result<Arc<Built>, Unread> {
        self.built
            .get(wait, ports, |before| self.read(before, ports))
            .await
    }
}

impl SecretProvider {
    /// Builds the provider with these values of parameters.
    fn with(
        &self,
        parameter: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<dyn Provider>, ConfigError> {
        (self.make)(&|secret: &SecretConfig| {
            let known = secret.known(&|name| self.environment.get(name).cloned());
            known.or_else(|| {
                if let SecretRef::Parameter(name) = &secret.from {
                    parameter(name)
                } else {
                    None
                }
            })
        })
    }

    /// Builds the provider with the present secrets; `None` if they are those of `before`.
    async fn read(
        &self,
        before: Option<Arc<Built>>,
        ports: &Ports,
    ) -> Result<Option<Built>, Unread> {
        let mut values = BTreeMap::new();
        let end = ports.clock.now().plus(READ_LIMIT);
        for name in &self.parameters {
            let left = end.since(ports.clock.now());
            let value = within(ports.clock.as_ref(), left, ports.assets.parameter(name)).await;
            let value = value
                .unwrap_or_else(|| Err(AssetError::Unavailable("no answer in time".to_owned())));
            let what = || format!("providers.{}: the parameter {name}", self.name);
            values.insert(
                name.clone(),
                value.map_err(|error| Unread::of(&what(), &error))?,
            );
        }
        if before.is_some_and(|before| before.values == values) {
            return Ok(None);
        }
        let provider = self.with(&|name| values.get(name).cloned());
        let provider = provider.map_err(|error| Unread::lasting(error.to_string()))?;
        Ok(Some(Built { values, provider }))
    }
}

#[async_trait]
impl Provider for RotatingSecret {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let clock = ports.clock.as_ref();
        let (begun, end) = (clock.now(), clock.now().plus(question.limit));
        let put = |built: Arc<Built>| async move {
            let question = Question {
                limit: end.since(clock.now()),
                ..*question
            };
            built.provider.ask(&question, ports).await
        };
        let built = match self.built(question.limit / 2, ports).await {
            // A late secret leaves the upstream too little time, and its answer would be paid for:
            // the next try has all of it.
            Ok(_) if clock.now().since(begun) > question.limit / 4 => {
                return Unread::soon().answer(question, ports);
            }
            Ok(built) => built,
            Err(unread) => return unread.answer(question, ports),
        };
        let answer = put(built.clone()).await;
        if matches!(
            answer,
            Answer::Failed {
                code: FailureCode::CredentialsRefused,
                ..
            }
        ) {
            // The refusal is a better answer than one that comes too late.
            let wait = end.since(clock.now()) / 2;
            if let Some(other) = self
                .built
                .replacement(&built, wait, ports, |before| self.read(before, ports))
                .await
            {
                return put(other).await;
            }
        }
        answer
    }

    fn calls_back(&self) -> bool {
        self.without_secrets.calls_back()
    }

    fn takes_turn(&self, question: &Question<'_>) -> bool {
        self.without_secrets.takes_turn(question)
    }

    async fn inspect(&self, ports: &Ports) -> Result<Vec<String>, String> {
        let built = self.built(READ_LIMIT, ports).await.map_err(Unread::why)?;
        let parameters = self
            .core
            .parameters
            .iter()
            .map(|name| format!("{name} was read"));
        Ok([built.provider.inspect(ports).await?, parameters.collect()].concat())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::catalog::Config;
    use crate::providers::Confidence;
    use crate::providers::kinds::READERS;
    use crate::providers::testing::{Script, input, ports, question};
    use crate::providers::{Answer, Earlier, Later, build};

    const NAME: &str = "/millrace/acme-key";

    fn declared(body: &str) -> Config {
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"acme\"]\n[providers.acme]\n\
             kind = \"http\"\nretries = 0\n\
             url = \"https://acme.example/{{{{ input.domain }}}}\"\n\
             fields = {{ name = \"/name\" }}\n{body}\n"
        );
        Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"))
    }

    fn provider(body: &str) -> Arc<dyn Provider> {
        let config = declared(body);
        build(&config.providers[0], Path::new(""), &|name| {
            (name == "REGION").then(|| "eu".to_owned())
        })
        .unwrap()
    }

    fn bearing() -> Arc<dyn Provider> {
        provider(&format!(
            "headers = {{ Authorization = \"Bearer {{{{ secret.key }}}}\", \
             Region = \"{{{{ secret.region }}}}\" }}\n\
             secrets = {{ key = {{ ssm = \"{NAME}\" }}, region = {{ env = \"REGION\" }} }}"
        ))
    }

    async fn ask(provider: &dyn Provider, ports: &Ports) -> Answer {
        let input = input(json!({"domain": "a.com"}));
        provider
            .ask(&question(&input, Duration::from_secs(20)), ports)
            .await
    }

    fn found(name: &str) -> Answer {
        Answer::Found {
            fields: Map::from_iter([("name".to_owned(), Value::from(name))]),
            confidence: None::<Confidence>,
        }
    }

    fn keys_sent(script: &Script) -> Vec<String> {
        let of = |request: &crate::ports::HttpRequest| {
            let header = request
                .headers
                .iter()
                .find(|(name, _)| name == "authorization");
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
        script.assets_fail(Some(AssetError::Refused(
            "400 AccessDeniedException".to_owned(),
        )));
        assert_eq!(
            (ask(&*acme, &ports).await, script.reads()),
            (found("D"), 3),
            "what was read stays in use"
        );
        assert_eq!(
            keys_sent(&script),
            ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]
        );
        assert!(
            script.requests()[0]
                .headers
                .contains(&("region".to_owned(), "eu".to_owned()))
        );
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
        assert_eq!(
            keys_sent(&script)[1..],
            ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]
        );
    }

    #[tokio::test]
    async fn a_secret_that_is_wrong_is_not_read_for_every_record() {
        let (ports, script) = ports();
        let acme = bearing();
        script.parameter(NAME, "wrong");
        for _ in 0..10 {
            script.answer(401, "{}");
            let Answer::Failed { code, detail } = ask(&*acme, &ports).await else {
                panic!("it has no credentials")
            };
            assert!(
                code.as_str() == "provider_error" && !detail.contains("wrong"),
                "{detail}"
            );
            script.pass(Duration::from_secs(1));
        }
        assert_eq!(
            script.reads(),
            3,
            "at the first question, and twice in ten seconds of refusals"
        );
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_parameter_is_told_without_its_value() {
        for (fault, value, wanted) in [
            (
                None,
                None,
                "it does not exist; create it, in the region of the functions",
            ),
            (
                Some("400 AccessDeniedException"),
                Some("one"),
                "see that it exists, and that the role of enrich may read it",
            ),
            (
                None,
                Some(""),
                "p.toml:10:19: providers.acme needs the parameter /millrace/acme-key, which is \
                 empty",
            ),
            (
                None,
                Some("hidden\n"),
                "the parameter /millrace/acme-key holds a line break or another control character",
            ),
        ] {
            let (ports, script) = ports();
            script.assets_fail(fault.map(|code| AssetError::Refused(code.to_owned())));
            if let Some(value) = value {
                script.parameter(NAME, value);
            }
            let acme = bearing();
            for _ in 0..2 {
                let Answer::Failed { code, detail } = ask(&*acme, &ports).await else {
                    panic!("{wanted}")
                };
                assert!(
                    code.as_str() == "provider_error" && !detail.contains(NAME),
                    "no business of a tenant's: {detail}"
                );
            }
            let reported = acme.inspect(&ports).await.unwrap_err();
            assert!(
                reported.contains(NAME)
                    && reported.contains(wanted)
                    && !reported.contains("hidden"),
                "{reported}"
            );
            assert_eq!(script.reads(), 1, "a fault is kept for a moment");
            // And it recovers.
            script.assets_fail(None);
            script.parameter(NAME, "one");
            script.answer(200, r#"{"name": "A"}"#);
            script.pass(Duration::from_secs(5));
            assert_eq!(ask(&*acme, &ports).await, found("A"));
            assert_eq!(
                acme.inspect(&ports).await,
                Ok(vec![format!("{NAME} was read")])
            );
        }
    }

    #[tokio::test]
    async fn a_parameter_that_cannot_be_read_just_now_fails_nobody_who_has_no_other_provider() {
        let (ports, script) = ports();
        script.assets_fail(Some(AssetError::Unavailable(
            "too many questions".to_owned(),
        )));
        let acme = bearing();
        let input = input(json!({"domain": "a.com"}));
        let first = question(&input, Duration::from_secs(20));
        let earlier = Earlier {
            upstream_token: json!({"id": 7}),
            posted: None,
        };
        for (question, upstream_token, patience) in [
            (first, None, 30),
            (
                Question {
                    last: true,
                    ..first
                },
                None,
                600,
            ),
            (
                Question {
                    earlier: Some(&earlier),
                    ..first
                },
                Some(json!({"id": 7})),
                600,
            ),
        ] {
            let Answer::Later(Later {
                upstream_token: kept,
                refused,
                poll_after,
                give_up_in,
                ..
            }) = acme.ask(&question, &ports).await
            else {
                panic!("it waits")
            };
            assert_eq!(
                (kept, refused, give_up_in),
                (upstream_token, true, Duration::from_secs(patience))
            );
            assert!(
                (Duration::from_secs(5)..Duration::from_secs(8)).contains(&poll_after),
                "{poll_after:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_reading_that_outlasts_every_record_ends_all_the_same() {
        let (ports, script) = ports();
        let acme = bearing();
        script.parameter(NAME, "one");
        script.assets_take(Duration::from_secs(9));
        let input = input(json!({"domain": "a.com"}));
        let asked = Question {
            last: true,
            ..question(&input, Duration::from_secs(4))
        };
        script.answer(200, r#"{"name": "A"}"#);
        let mut waited = 0;
        let answer = loop {
            match within(ports.clock.as_ref(), asked.limit, acme.ask(&asked, &ports)).await {
                Some(Answer::Later(_)) => waited += 1,
                answer => break answer,
            }
        };
        assert!(waited >= 2, "{waited}");
        assert_eq!(
            (answer, script.reads()),
            (Some(found("A")), 1),
            "read once, by all together"
        );
        // The cached value is used at once while it is read again.
        script.pass(Duration::from_secs(400));
        script.answer(200, r#"{"name": "B"}"#);
        let began = ports.clock.now();
        assert_eq!(acme.ask(&asked, &ports).await, found("B"));
        assert!(ports.clock.now().since(began) <= Duration::from_millis(500));
        assert_eq!(script.reads(), 2);
    }

    #[tokio::test]
    async fn a_secret_that_was_read_just_before_it_changed_is_read_again() {
        let (ports, script) = ports();
        let acme = bearing();
        script.parameter(NAME, "one");
        script.answer(200, r#"{"name": "A"}"#);
        assert_eq!(ask(&*acme, &ports).await, found("A"));
        script.parameter(NAME, "two");
        script.answer(401, "{}");
        script.answer(200, r#"{"name": "B"}"#);
        assert_eq!((ask(&*acme, &ports).await, script.reads()), (found("B"), 2));
    }

    #[tokio::test]
    async fn a_vendor_that_is_down_is_no_reason_to_read_its_secret() {
        let (ports, script) = ports();
        let acme = bearing();
        script.parameter(NAME, "one");
        for _ in 0..10 {
            script.answer(500, "{}");
            assert!(matches!(ask(&*acme, &ports).await, Answer::Failed { .. }));
            script.pass(Duration::from_secs(6));
        }
        assert_eq!(script.reads(), 1);
    }

    #[tokio::test]
    async fn an_access_token_goes_with_the_secret_that_it_was_given_for() {
        let (ports, script) = ports();
        let acme = provider(
            "oauth = { token_url = \"https://acme.example/token\", \
             client_id = { env = \"REGION\" }, \
             client_secret = { ssm = \"/millrace/acme-secret\" } }",
        );
        script.parameter("/millrace/acme-secret", "one");
        for (token, name) in [("t1", "A"), ("t2", "B")] {
            script.answer(
                200,
                &json!({"access_token": token, "expires_in": 3600}).to_string(),
            );
            script.answer(200, &json!({"name": name}).to_string());
            assert_eq!(ask(&*acme, &ports).await, found(name));
            script.parameter("/millrace/acme-secret", "two");
            script.pass(Duration::from_secs(300));
        }
        let sent = keys_sent(&script);
        assert_eq!(
            (sent.len(), sent[1].as_str(), sent[3].as_str()),
            (4, "Bearer t1", "Bearer t2")
        );
        assert!(
            sent[0] != sent[2] && sent[0].starts_with("Basic "),
            "{sent:?}"
        );
    }

    #[tokio::test]
    async fn a_variable_goes_before_a_parameter_where_it_is_set() {
        for (set, sent) in [
            (Some("mine"), "Bearer mine"),
            (Some(""), "Bearer one"),
            (None, "Bearer one"),
        ] {
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
            assert_eq!(
                config.providers[0].uses_assets(&environment),
                sent == "Bearer one"
            );
        }
    }

    #[test]
    fn what_is_wrong_besides_is_told_at_the_start() {
        let config = declared(&format!(
            "headers = {{ A = \"{{{{ secret.key }}}}{{{{ secret.other }}}}\" }}\n\
             secrets = {{ key = {{ ssm = \"{NAME}\" }}, other = {{ env = \"ABSENT\" }} }}"
        ));
        let error = build(&config.providers[0], Path::new(""), &|_| None)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("needs the environment variable ABSENT, which is not set"),
            "{error}"
        );
    }

    #[test]
    fn what_does_not_hang_on_the_secret_is_known_without_it() {
        let later = "body = { callback = \"{{ callback.url }}\" }\nmethod = \"POST\"\n\
                     later = { id = \"/id\" }\n";
        let acme = provider(&format!(
            "{later}headers = {{ Authorization = \"Bearer {{{{ secret.key }}}}\" }}\n\
             secrets = {{ key = {{ ssm = \"{NAME}\" }} }}"
        ));
        assert!(acme.calls_back() && !bearing().calls_back());
    }
}
