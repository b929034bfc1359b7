//! Runs over scripted providers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Request, Suspended, WaterfallOutcome};
use crate::catalog::Config;
use crate::domain::record::{FailureCode, MAX_OUTCOME_BYTES, Outcome, OutcomeStatus, Source};
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::providers::kinds::READERS;
use crate::providers::testing::{Script, input, outcome, ports};
use crate::providers::{Answer, Earlier, Later, Ports, Provider, Question, Registry};

/// Gives its answer after a time, and notes what it was asked.
#[derive(Debug)]
struct Fixed {
    answer: Answer,
    takes: Duration,
    limits: Mutex<Vec<Duration>>,
}

#[async_trait]
impl Provider for Fixed {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        self.limits.lock().unwrap().push(question.limit);
        if !self.takes.is_zero() {
            ports.clock.sleep(self.takes).await;
        }
        self.answer.clone()
    }
}

struct Fixture {
    registry: Registry,
    providers: BTreeMap<String, Arc<Fixed>>,
    ports: Ports,
    _script: Arc<Script>,
}

impl Fixture {
    /// Providers `a`, `b`, … worth 1, 2, 4, … credits, in that order.
    fn new(until: &str, answers: Vec<(Answer, Duration)>) -> Self {
        let names: Vec<String> = (b'a'..)
            .take(answers.len())
            .map(|c| char::from(c).to_string())
            .collect();
        let mut toml = format!(
            "[types.t]\ninputs = [[\"x\"]]\nrecord_timeout_s = 10\nwaterfall = {names:?}\n\
             until = {until}\n"
        );
        for (at, name) in names.iter().enumerate() {
            let provider = format!(
                "[providers.{name}]\nkind = \"http\"\nurl = \"https://h.example/\"\ntimeout_s = 8\n\
                 credits = {}\n\
                 license = \"L-{name}\"\nconfidence = 0.5\nfields = {{ n = \"/n\", m = \"/m\" }}\n",
                1 << at
            );
            toml.push_str(&provider);
        }
        let config = Config::parse(READERS, "p.toml", &toml).unwrap();
        let fixed = answers.into_iter().map(|(answer, takes)| {
            Arc::new(Fixed {
                answer,
                takes,
                limits: Mutex::default(),
            })
        });
        let providers: BTreeMap<String, Arc<Fixed>> = names.into_iter().zip(fixed).collect();
        let registry = Registry::assemble(&config, |p| Ok(providers[&p.name].clone())).unwrap();
        let (ports, script) = ports();
        Self {
            registry,
            providers,
            ports,
            _script: script,
        }
    }

    async fn run(&self, seconds: u64, order: Option<&[&str]>) -> Outcome {
        let order: Option<Vec<String>> = order.map(|o| o.iter().map(|n| (*n).to_owned()).collect());
        let waterfall = self.registry.waterfall("t").unwrap();
        let limit = Duration::from_secs(seconds);
        outcome(
            waterfall,
            json!({"x": "1"}),
            limit,
            order.as_deref(),
            &self.ports,
        )
        .await
    }

    fn asked(&self) -> String {
        self.providers
            .iter()
            .filter(|(_, p)| !p.limits.lock().unwrap().is_empty())
            .map(|(n, _)| n.as_str())
            .collect()
    }
}

fn now(answer: Answer) -> (Answer, Duration) {
    (answer, Duration::ZERO)
}

fn found(fields: Value) -> Answer {
    Answer::Found {
        fields: input(fields),
        confidence: None,
    }
}

fn no() -> Answer {
    Answer::NotFound
}

fn broken() -> Answer {
    Answer::failed(FailureCode::ProviderError, "broken")
}

fn invalid() -> Answer {
    Answer::Invalid("is not an x".to_owned())
}

#[tokio::test]
async fn the_first_to_give_a_field_wins_it_and_only_contributors_are_paid() {
    let f = Fixture::new(
        "[\"n\", \"m\"]",
        vec![
            now(found(
                json!({"n": 1, "null": null, "empty": "", "m": " \u{a0}"}),
            )),
            now(found(json!({"n": 2, "m": null}))),
            now(Answer::Found {
                fields: input(json!({"n": 3, "m": 3})),
                confidence: Some(0.75.into()),
            }),
            now(found(json!({"m": 4}))),
        ],
    );
    let outcome = f.run(10, None).await;
    assert_eq!(outcome.status, OutcomeStatus::Found);
    assert_eq!(Value::Object(outcome.data), json!({"n": 1, "m": 3}));
    assert_eq!(outcome.credits, 1 + 4, "b repeated what a had said");
    assert_eq!(f.asked(), "abc", "satisfied after c");
    let source = |name: &str, confidence| Source {
        provider: name.to_owned(),
        fetched_at: "2026-01-01T00:00:00.000Z".to_owned(),
        confidence: Some(confidence),
        license: Some(format!("L-{name}")),
        cached: false,
    };
    assert_eq!(
        outcome.sources,
        [
            ("n".to_owned(), source("a", 0.5)),
            ("m".to_owned(), source("c", 0.75))
        ]
    );
}

#[tokio::test]
async fn any_stops_at_the_first_that_found_something() {
    let answers = || {
        vec![
            now(no()),
            now(broken()),
            now(found(json!({"n": 1}))),
            now(found(json!({"m": 1}))),
        ]
    };
    let f = Fixture::new("\"any\"", answers());
    let outcome = f.run(10, None).await;
    assert_eq!(
        (outcome.status, outcome.credits, outcome.error),
        (OutcomeStatus::Found, 4, None)
    );
    assert_eq!(f.asked(), "abc");
    let f = Fixture::new("\"any\"", answers());
    let outcome = f.run(10, Some(&["d", "unknown", "a"])).await;
    assert_eq!((outcome.credits, f.asked().as_str()), (8, "d"));
}

#[tokio::test]
async fn without_data_the_answers_decide() {
    use OutcomeStatus::{Failed, Invalid, NotFound};
    for (answers, status, code) in [
        (vec![no(), no()], NotFound, None),
        (vec![broken(), broken()], Failed, Some("provider_error")),
        (vec![broken(), no()], NotFound, Some("provider_error")),
        (vec![no(), broken()], NotFound, Some("provider_error")),
        (
            vec![
                no(),
                Answer::failed(FailureCode::ProviderUnpaid, "HTTP 402"),
            ],
            NotFound,
            Some("provider_unpaid"),
        ),
        (vec![invalid(), invalid()], Invalid, Some("invalid_input")),
        (vec![invalid(), no()], NotFound, None),
        (vec![invalid(), broken()], Failed, Some("provider_error")),
        (
            vec![found(json!({"n": ""})), broken()],
            NotFound,
            Some("provider_error"),
        ),
        (
            vec![found(json!({"n": null})), broken()],
            NotFound,
            Some("provider_error"),
        ),
    ] {
        let f = Fixture::new("\"any\"", answers.iter().cloned().map(now).collect());
        let outcome = f.run(10, None).await;
        assert_eq!(outcome.status, status, "{answers:?}");
        assert_eq!(
            outcome.error.as_ref().map(|e| e.code.as_str()),
            code,
            "{answers:?}"
        );
        assert_eq!(outcome.credits, 0);
        assert_eq!(f.asked(), "ab");
    }
}

#[tokio::test]
async fn a_providers_own_need_is_no_fault_of_the_record() {
    use OutcomeStatus::{Failed, Found, Invalid, NotFound};
    let text = "[types.t]\ninputs = [[\"x\"], [\"y\"]]\nwaterfall = [\"a\", \"b\"]\n\
                [providers.a]\nkind = \"http\"\nrequires = [\"y\"]\nurl = \"https://h.example/\"\n\
                fields = { n = \"/n\" }\n\
                [providers.b]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { n = \"/n\" }\n";
    let config = Config::parse(READERS, "p.toml", text).unwrap();
    let refused = || Answer::failed(FailureCode::ProviderInput, "HTTP 422");
    for (field, first, second, status, code) in [
        ("x", invalid(), refused(), Failed, Some("provider_input")),
        ("x", invalid(), broken(), Failed, Some("provider_error")),
        ("x", invalid(), no(), NotFound, None),
        ("x", invalid(), found(json!({"n": 1})), Found, None),
        ("x", refused(), broken(), Failed, Some("provider_error")),
        ("x", refused(), no(), NotFound, Some("provider_input")),
        ("y", invalid(), invalid(), Invalid, Some("invalid_input")),
        ("z", invalid(), invalid(), Invalid, Some("invalid_input")),
    ] {
        let mut answers = vec![second.clone(), first.clone()];
        let registry = Registry::assemble(&config, |_| {
            Ok(Arc::new(Turns(Mutex::new(
                answers.pop().into_iter().collect(),
            ))))
        });
        let (registry, (ports, _)) = (registry.unwrap(), ports());
        let limit = Duration::from_secs(5);
        let outcome = outcome(
            registry.waterfall("t").unwrap(),
            json!({field: "1"}),
            limit,
            None,
            &ports,
        )
        .await;
        let reported = outcome.error.as_ref().map(|error| error.code.as_str());
        assert_eq!(
            (outcome.status, reported),
            (status, code),
            "{field} {first:?} {second:?}"
        );
    }
}

#[tokio::test]
async fn a_vendor_that_never_stops_refusing_is_named_with_its_status() {
    for (status, code, named) in [
        (Some(429), "rate_limited", "a: answered HTTP 429 "),
        (Some(503), "provider_unavailable", "a: answered HTTP 503 "),
        (None, "provider_unavailable", "a: could not be reached "),
    ] {
        let said = || outage(status, 30);
        // First a long wait for the rate that is configured, then one for the vendor.
        let first = vec![later(None, 86_400), said(), said()];
        let WaterfallOutcome::Done(outcome) = turns(first, vec![broken()], &[1_000, 30]).await
        else {
            panic!("{status:?}")
        };
        let error = outcome.error.unwrap();
        assert_eq!(
            (outcome.status, error.code.as_str()),
            (OutcomeStatus::Failed, code)
        );
        assert!(error.detail.starts_with(named), "{}", error.detail);
    }
}

#[tokio::test]
async fn an_upstream_that_answers_again_ends_the_wait_for_it() {
    // Refused for a moment, then delayed by our own rate for longer than `wait_s`, refused again,
    // and asked.
    let rounds = vec![
        outage(Some(429), 30),
        later(None, 86_400),
        outage(Some(429), 30),
        later(None, 86_400),
    ];
    let WaterfallOutcome::Suspended(suspended) = turns(rounds, vec![], &[10, 600, 10]).await else {
        panic!()
    };
    assert_eq!(suspended.outage, None);
    assert_eq!(
        suspended.give_up_at.since(suspended.since.unwrap()),
        Duration::from_secs(86_400),
        "all together"
    );
}

/// The upstream cannot be asked.
fn outage(status: Option<u16>, give_up_s: u64) -> Answer {
    let Answer::Later(later) = later(None, give_up_s) else {
        panic!()
    };
    Answer::Later(Later {
        outage: Some(Outage { status }),
        ..later
    })
}

fn sure_of(fields: Value, confidence: f64) -> Answer {
    Answer::Found {
        fields: input(fields),
        confidence: Some(confidence.into()),
    }
}

#[tokio::test]
async fn an_answer_that_is_not_sure_enough_is_asked_on_and_replaced_by_a_surer_one() {
    let answers = || {
        vec![
            now(sure_of(json!({"n": 1, "m": 1}), 0.4)),
            now(sure_of(json!({"n": 2}), 0.3)),
            now(sure_of(json!({"n": 3}), 0.9)),
            now(sure_of(json!({"n": 4, "m": 4}), 1.0)),
        ]
    };
    let f = Fixture::new("{ confidence = 0.8 }", answers());
    let outcome = f.run(10, None).await;
    assert_eq!(f.asked(), "abc", "c is sure enough");
    assert_eq!(
        Value::Object(outcome.data),
        json!({"n": 3, "m": 1}),
        "a field without a surer answer stays"
    );
    assert_eq!(outcome.credits, 1 + 4, "b gave nothing that was used");
    let f = Fixture::new("{ all = [\"n\", \"m\"], confidence = 0.8 }", answers());
    let outcome = f.run(10, None).await;
    assert_eq!(
        (f.asked().as_str(), Value::Object(outcome.data)),
        ("abcd", json!({"n": 3, "m": 4}))
    );
    assert_eq!(outcome.credits, 4 + 8, "a's fields were all replaced");
    let f = Fixture::new("{ all = { n = 0.9, m = 0 } }", answers());
    let outcome = f.run(10, None).await;
    assert_eq!(
        (f.asked().as_str(), Value::Object(outcome.data)),
        ("abc", json!({"n": 3, "m": 1}))
    );
    assert_eq!(
        outcome
            .sources
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ["n", "m"]
    );
}

#[tokio::test]
async fn a_provider_that_can_give_nothing_that_is_wanted_is_not_asked() {
    let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\", \"b\", \"c\"]\n\
                until = [\"n\", \"m\"]\n\
                [providers.a]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { n = \"/n\" }\n\
                [providers.b]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { n = \"/n\", o = \"/o\" }\n\
                [providers.c]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { m = \"/m\" }\n";
    let config = Config::parse(READERS, "p.toml", text).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let registry = Registry::assemble(&config, |p| {
        Ok(Arc::new(Noting {
            name: p.name.clone(),
            asked: Arc::clone(&asked),
        }))
    });
    let registry = registry.unwrap();
    let (ports, _script) = ports();
    let limit = Duration::from_secs(5);
    let outcome = outcome(
        registry.waterfall("t").unwrap(),
        json!({"x": "1"}),
        limit,
        None,
        &ports,
    )
    .await;
    assert_eq!(
        (outcome.status, asked.lock().unwrap().join("")),
        (OutcomeStatus::Found, "ac".to_owned())
    );
}

/// Finds `n` as `a` and `b`, and `m` as `c`.
#[derive(Debug)]
struct Noting {
    name: String,
    asked: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Provider for Noting {
    async fn ask(&self, _: &Question<'_>, _: &Ports) -> Answer {
        self.asked.lock().unwrap().push(self.name.clone());
        found(if self.name == "c" {
            json!({"m": 1})
        } else {
            json!({"n": 1})
        })
    }
}

/// The key, the callback and the earlier state of a question.
type Listening = (String, Option<String>, Option<Earlier>);

/// Takes the question, and answers at the second poll or once its callback was posted to.
#[derive(Debug, Default)]
struct Slow {
    questions: Mutex<Vec<Listening>>,
}

#[async_trait]
impl Provider for Slow {
    async fn ask(&self, question: &Question<'_>, _: &Ports) -> Answer {
        let mut questions = self.questions.lock().unwrap();
        questions.push((
            question.key.to_owned(),
            question.callback.map(str::to_owned),
            question.earlier.cloned(),
        ));
        let posted = question.earlier.and_then(|earlier| earlier.posted.clone());
        match posted {
            Some(posted) if posted != Value::Null => found(posted),
            _ => Answer::Later(Later {
                upstream_token: Some(json!(questions.len())),
                poll_after: Duration::from_secs(60),
                give_up_in: Duration::from_secs(150),
                refused: false,
                outage: None,
            }),
        }
    }

    fn calls_back(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_suspended_record_resumes_where_it_was_whatever_was_stored_between() {
    let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\", \"slow\", \"c\"]\n\
                until = [\"n\", \"m\"]\n\
                [providers.a]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { n = \"/n\" }\ncredits = 2\n\
                [providers.slow]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { m = \"/m\" }\ncredits = 3\n\
                [providers.c]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { m = \"/m\" }\ncredits = 4\n";
    let config = Config::parse(READERS, "p.toml", text).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let slow = Arc::new(Slow::default());
    let registry = Registry::assemble(&config, |p| -> Result<Arc<dyn Provider>, _> {
        let noting = || {
            Arc::new(Noting {
                name: p.name.clone(),
                asked: Arc::clone(&asked),
            })
        };
        Ok(if p.name == "slow" {
            slow.clone()
        } else {
            noting()
        })
    });
    let registry = registry.unwrap();
    let waterfall = registry.waterfall("t").unwrap();
    assert!(waterfall.calls_back());
    let (ports, script) = ports();
    let value = input(json!({"x": "1"}));
    let url = |provider: &str| format!("https://api.example/{provider}");
    let request = Request {
        input: &value,
        limit: Duration::from_secs(5),
        order: None,
        key: "record",
        callback: Some(&url),
        cache: None,
    };
    let run = async |suspended| match waterfall.run(&request, suspended, &ports).await {
        WaterfallOutcome::Suspended(suspended) => {
            // As it is stored.
            let text = serde_json::to_string(&suspended).unwrap();
            Err(serde_json::from_str::<Suspended>(&text).unwrap())
        }
        WaterfallOutcome::Done(outcome) => Ok(outcome),
    };
    let first = run(None).await.unwrap_err();
    let began = ports.clock.now();
    assert_eq!(
        (first.provider(), first.resume_at(), first.callbacks_seen()),
        ("slow", began.plus(Duration::from_secs(60)), 0)
    );
    script.pass(Duration::from_secs(60));
    let second = run(Some((first.clone(), Some(Value::Null))))
        .await
        .unwrap_err();
    assert_eq!(second.callbacks_seen(), 1, "a posted answer is shown once");
    assert!(!first.waits_as(&second));
    assert_eq!(*asked.lock().unwrap(), ["a"], "no provider is asked twice");
    // Whatever the provider says, the whole wait began with its first answer.
    script.pass(Duration::from_secs(60));
    let third = run(Some((second.clone(), None))).await.unwrap_err();
    assert_eq!(third.resume_at(), began.plus(Duration::from_secs(150)));
    let done = run(Some((third.clone(), Some(json!({"m": 7})))))
        .await
        .unwrap();
    assert_eq!(
        (Value::Object(done.data), done.credits),
        (json!({"n": 1, "m": 7}), 5)
    );
    script.pass(Duration::from_secs(60));
    let done = run(Some((third, None))).await.unwrap();
    assert_eq!(
        (Value::Object(done.data), done.credits),
        (json!({"n": 1, "m": 1}), 6),
        "given up: c was asked"
    );
    let questions = slow.questions.lock().unwrap();
    assert!(questions.iter().all(|(key, url, _)| *key == questions[0].0
        && url.as_deref() == Some("https://api.example/slow")));
    assert_eq!(
        questions[1].2,
        Some(Earlier {
            upstream_token: json!(1),
            posted: Some(Value::Null)
        })
    );
}

/// Gives these answers one after the other.
#[derive(Debug)]
struct Turns(Mutex<VecDeque<Answer>>);

#[async_trait]
impl Provider for Turns {
    async fn ask(&self, _: &Question<'_>, _: &Ports) -> Answer {
        self.0
            .lock()
            .unwrap()
            .pop_front()
            .expect("no further question")
    }
}

fn later(upstream_token: Option<Value>, give_up_s: u64) -> Answer {
    let (poll_after, give_up_in) = (Duration::from_secs(10), Duration::from_secs(give_up_s));
    Answer::Later(Later {
        upstream_token,
        poll_after,
        give_up_in,
        refused: false,
        outage: None,
    })
}

/// A poll of a question that was taken is put off.
fn refused(give_up_s: u64) -> Answer {
    let (poll_after, give_up_in) = (Duration::from_secs(10), Duration::from_secs(give_up_s));
    Answer::Later(Later {
        upstream_token: Some(json!(1)),
        poll_after,
        give_up_in,
        refused: true,
        outage: None,
    })
}

/// Runs of one record with a first and a second provider that wants `n` and `m`.
async fn turns(first: Vec<Answer>, second: Vec<Answer>, pauses: &[u64]) -> WaterfallOutcome {
    let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\", \"b\"]\nuntil = [\"n\", \"m\"]\n\
                [providers.a]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { n = \"/n\" }\n\
                [providers.b]\nkind = \"http\"\nurl = \"https://h.example/\"\n\
                fields = { m = \"/m\" }\n";
    let config = Config::parse(READERS, "p.toml", text).unwrap();
    let mut answers = vec![second, first];
    let registry = Registry::assemble(&config, |_| {
        Ok(Arc::new(Turns(Mutex::new(
            answers.pop().unwrap_or_default().into(),
        ))))
    });
    let registry = registry.unwrap();
    let (ports, script) = ports();
    let value = input(json!({"x": "1"}));
    let limit = Duration::from_secs(5);
    let request = Request {
        input: &value,
        limit,
        order: None,
        key: "record",
        callback: None,
        cache: None,
    };
    let waterfall = registry.waterfall("t").unwrap();
    let mut progress = waterfall.run(&request, None, &ports).await;
    for pause in pauses {
        script.pass(Duration::from_secs(*pause));
        let WaterfallOutcome::Suspended(suspended) = progress else {
            panic!("{progress:?}")
        };
        progress = waterfall
            .run(&request, Some((*suspended, None)), &ports)
            .await;
    }
    progress
}

#[tokio::test]
async fn a_record_that_cannot_be_stored_or_read_again_is_not_suspended() {
    let deep = (0..100).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let large = Value::String("x".repeat(MAX_OUTCOME_BYTES));
    for (value, code) in [(deep, "outcome_too_deep"), (large, "outcome_too_large")] {
        let first = vec![found(json!({"n": value}))];
        let progress = turns(first, vec![later(Some(json!(1)), 100)], &[]).await;
        let WaterfallOutcome::Done(outcome) = progress else {
            panic!("{code}")
        };
        assert_eq!(
            (outcome.error.unwrap().code.as_str(), outcome.credits),
            (code, 0)
        );
        let progress = turns(vec![later(Some(value), 100)], vec![], &[]).await;
        assert!(
            matches!(progress, WaterfallOutcome::Done(_)),
            "{code} in a ticket"
        );
    }
}

#[tokio::test]
async fn what_was_posted_was_lost_where_a_limit_kept_it_from_its_provider() {
    for (second, callbacks_seen) in [(refused(100), 0), (later(Some(json!(1)), 100), 1)] {
        let WaterfallOutcome::Suspended(first) =
            turns(vec![later(Some(json!(1)), 100)], vec![], &[]).await
        else {
            panic!()
        };
        let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\"]\n[providers.a]\n\
                    kind = \"http\"\n\
                    url = \"https://h.example/\"\nfields = { n = \"/n\" }\n";
        let config = Config::parse(READERS, "p.toml", text).unwrap();
        let registry = Registry::assemble(&config, |_| {
            Ok(Arc::new(Turns(Mutex::new(vec![second.clone()].into()))))
        })
        .unwrap();
        let (value, ports) = (input(json!({"x": "1"})), ports().0);
        let limit = Duration::from_secs(5);
        let request = Request {
            input: &value,
            limit,
            order: None,
            key: "record",
            callback: None,
            cache: None,
        };
        let again = registry.waterfall("t").unwrap().run(
            &request,
            Some((*first, Some(json!("posted")))),
            &ports,
        );
        let WaterfallOutcome::Suspended(suspended) = again.await else {
            panic!()
        };
        assert_eq!(suspended.callbacks_seen(), callbacks_seen);
    }
}

/// A run that had asked it died; the upstream answered, and the next run could not ask it again at
/// first.
#[tokio::test]
async fn a_callback_is_not_lost_on_a_question_that_was_only_put() {
    let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\"]\n[providers.a]\n\
                kind = \"http\"\n\
                url = \"https://h.example/\"\nfields = { n = \"/n\" }\n";
    let config = Config::parse(READERS, "p.toml", text).unwrap();
    let answers = vec![
        later(None, 100),
        later(Some(json!(1)), 100),
        later(Some(json!(1)), 100),
    ];
    let provider = Arc::new(Turns(Mutex::new(answers.into())));
    let registry = Registry::assemble(&config, |_| Ok(provider.clone())).unwrap();
    let (value, ports) = (input(json!({"x": "1"})), ports().0);
    let limit = Duration::from_secs(5);
    let request = Request {
        input: &value,
        limit,
        order: None,
        key: "record",
        callback: None,
        cache: None,
    };
    let mut before = None;
    for (taken, callbacks_seen) in [(false, 0), (true, 0), (true, 1)] {
        let again = registry
            .waterfall("t")
            .unwrap()
            .run(&request, before, &ports)
            .await;
        let WaterfallOutcome::Suspended(suspended) = again else {
            panic!("{again:?}")
        };
        assert_eq!(
            (suspended.is_taken(), suspended.callbacks_seen()),
            (taken, callbacks_seen)
        );
        before = Some((*suspended, Some(json!("posted"))));
    }
}

#[tokio::test]
async fn a_question_that_was_put_late_was_given_up_by_the_time_it_had_waited_to_be_put() {
    let answers = || vec![later(None, 100), later(Some(json!(1)), 150)];
    let WaterfallOutcome::Suspended(suspended) = turns(answers(), vec![], &[90]).await else {
        panic!("not parked")
    };
    let began = Timestamp(1_767_225_600_000);
    assert_eq!(
        suspended.give_up_at,
        began.plus(Duration::from_secs(240)),
        "150 s from when it was put"
    );
    let again = vec![later(None, 100), later(None, 100)];
    let WaterfallOutcome::Suspended(suspended) = turns(again, vec![], &[90]).await else {
        panic!("not parked")
    };
    assert_eq!(
        suspended.give_up_at,
        began.plus(Duration::from_secs(100)),
        "waiting on is not a new wait"
    );
}

#[tokio::test]
async fn a_question_whose_last_poll_was_put_off_is_polled_before_it_is_given_up() {
    let taken = || later(Some(json!(1)), 100);
    let answers = vec![
        taken(),
        refused(600),
        refused(600),
        found(json!({"n": 1, "m": 2})),
    ];
    let WaterfallOutcome::Done(outcome) = turns(answers, vec![], &[150, 10, 10]).await else {
        panic!("not done")
    };
    assert_eq!(outcome.status, OutcomeStatus::Found);
    let code = |progress| match progress {
        WaterfallOutcome::Done(outcome) => outcome.error.map(|error| error.code),
        WaterfallOutcome::Suspended(_) => None,
    };
    let nothing = || vec![Answer::NotFound];
    let asked = turns(vec![taken(), refused(600), taken()], nothing(), &[150, 10]).await;
    assert_eq!(
        code(asked).as_deref(),
        Some("provider_timeout"),
        "the look that was made up for is the last"
    );
    let never = turns(
        vec![taken(), refused(600), refused(600)],
        nothing(),
        &[150, 560],
    )
    .await;
    assert_eq!(
        code(never).as_deref(),
        Some("provider_timeout"),
        "nor is it put off for ever"
    );
}

#[tokio::test]
async fn a_slow_first_provider_leaves_time_for_the_later_ones() {
    let slow = (found(json!({"n": 1})), Duration::from_mins(1));
    let f = Fixture::new(
        "\"any\"",
        vec![slow, now(broken()), now(found(json!({"m": 2})))],
    );
    let outcome = f.run(12, None).await;
    assert_eq!(Value::Object(outcome.data), json!({"m": 2}));
    let limit = |name: &str| f.providers[name].limits.lock().unwrap()[0];
    assert_eq!(limit("a"), Duration::from_secs(4), "an equal share");
    assert_eq!(
        (limit("b"), limit("c")),
        (Duration::from_secs(4), Duration::from_secs(8))
    );
}

#[tokio::test]
async fn a_record_never_outlives_its_limit() {
    let slow = || (found(json!({"n": 1})), Duration::from_mins(1));
    let f = Fixture::new("\"any\"", vec![slow(), slow()]);
    let before = f.ports.clock.now();
    let outcome = f.run(3, None).await;
    assert_eq!(f.ports.clock.now().since(before), Duration::from_secs(3));
    let error = outcome.error.unwrap();
    assert_eq!(
        (outcome.status, error.code.as_str()),
        (OutcomeStatus::Failed, "provider_timeout")
    );
    let outcome = f.run(0, None).await;
    assert_eq!(outcome.error.unwrap().code, "deadline_exceeded");
    let f = Fixture::new("\"any\"", vec![slow()]);
    assert_eq!(
        f.run(3, None).await.error.unwrap().code,
        "deadline_exceeded"
    );
}

#[tokio::test]
async fn an_outcome_that_is_too_large_fails_and_costs_nothing() {
    let f = Fixture::new(
        "\"any\"",
        vec![now(found(json!({"n": "x".repeat(MAX_OUTCOME_BYTES)})))],
    );
    let outcome = f.run(10, None).await;
    assert_eq!(
        (outcome.status, outcome.credits),
        (OutcomeStatus::Failed, 0)
    );
    assert_eq!(outcome.error.unwrap().code, "outcome_too_large");
    assert!(outcome.data.is_empty() && outcome.sources.is_empty());
}

#[test]
fn prices_are_the_worst_case() {
    let price = |until: &str, order: Option<&[&str]>| {
        let f = Fixture::new(until, vec![now(no()), now(no()), now(no())]);
        let order: Option<Vec<String>> = order.map(|o| o.iter().map(|n| (*n).to_owned()).collect());
        f.registry.kind("t").unwrap().price(order.as_deref())
    };
    assert_eq!(price("\"any\"", None), 4);
    assert_eq!(price("[\"n\"]", None), 7);
    assert_eq!(price("\"any\"", Some(&["b", "a"])), 2);
    assert_eq!(price("[\"n\"]", Some(&["c", "a"])), 5);
    assert_eq!(price("[\"n\"]", Some(&["unknown"])), 0);
}
