//! Records that share a call.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use futures_util::future::{Either, join_all, select};

use super::*;
use crate::domain::time::Timestamp;
use crate::ports::{Clock, HttpAnswer, HttpSender};
use crate::providers::kinds::READERS;
use crate::providers::testing::{Script, input, ports, question};

const BY_KEY: &str = "method = \"POST\"\nurl = \"https://api.example.com/v1/bulk?v=1\"\nretries = 1\n\
    headers = { authorization = \"Bearer {{ secret.key }}\" }\nsecrets = { key = { env = \"API_KEY\" } }\nrequires = [\"domain\"]\n\
    fields = { name = \"/name\" }\nnot_found = { when = \"response.state == 'unknown'\" }\n\
    batch = { max = 3, wait_ms = 20, items = { id = \"{{ input.domain | lower }}\", c = \"{{ input.country }}\" }, \
    body = { records = \"{{ items }}\", fresh = true }, results = \"/data/results\", match = { by = \"/id\", key = \"{{ input.domain | lower }}\" }";

pub(super) const BY_POSITION: &str = "method = \"POST\"\nurl = \"https://api.example.com/v1/bulk\"\nretries = 0\n\
    fields = { name = \"/name\" }\n\
    batch = { max = 3, items = \"{{ input.domain }}\", body = \"{{ items }}\", match = { by = \"position\" }";

fn keyed(more: &str) -> Http {
    provider(&format!("{BY_KEY}{more} }}"))
}

fn placed(more: &str) -> Http {
    provider(&format!("{BY_POSITION}{more} }}"))
}

/// Time that stands still until every task waits for it. (The script's own passes when a sleep is
/// polled twice, and a shared call is.)
pub(super) struct Paused {
    now: Mutex<Timestamp>,
    sleepers: Mutex<Vec<(Timestamp, Waker)>>,
}

#[async_trait]
impl Clock for Paused {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.now().plus(duration);
        poll_fn(|context| {
            if self.now() >= end {
                return Poll::Ready(());
            }
            self.sleepers
                .lock()
                .unwrap()
                .push((end, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl Paused {
    /// Does the work, and lets time pass whenever nothing else moves. Returns its result and its
    /// time.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> (T, Duration) {
        let begun = self.now();
        let passing = async {
            loop {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                let sleepers = std::mem::take(&mut *self.sleepers.lock().unwrap());
                let Some(next) = sleepers.iter().map(|(end, _)| *end).min() else {
                    continue;
                };
                let mut now = self.now.lock().unwrap();
                *now = next.max(*now);
                drop(now);
                for (_, waker) in sleepers {
                    waker.wake();
                }
            }
        };
        match select(pin!(work), pin!(passing)).await {
            Either::Left((done, _)) => (done, self.now().since(begun)),
            Either::Right((never, _)) => never,
        }
    }
}

pub(super) fn paused(http: Arc<dyn HttpSender>) -> (Ports, Arc<Paused>) {
    let (ports, script) = ports();
    let clock = Arc::new(Paused {
        now: Mutex::new(Clock::now(&*script)),
        sleepers: Mutex::default(),
    });
    (
        Ports {
            http,
            clock: clock.clone(),
            ..ports
        },
        clock,
    )
}

pub(super) fn scripted() -> (Ports, Arc<Paused>, Arc<Script>) {
    let (_, script) = ports();
    let (ports, clock) = paused(script.clone());
    (ports, clock, script)
}

/// Asks about all of these at once, each with a limit in milliseconds.
async fn ask_within(
    api: &Http,
    asked: &[(&str, u64)],
    ports: &Ports,
    clock: &Paused,
) -> (Vec<Answer>, Duration) {
    let asked = asked.iter().map(async |(domain, limit)| {
        let input = input(json!({"domain": domain}));
        api.ask(&question(&input, Duration::from_millis(*limit)), ports)
            .await
    });
    clock.run(join_all(asked)).await
}

async fn ask_all(api: &Http, domains: &[&str], (ports, clock): (&Ports, &Paused)) -> Vec<Answer> {
    let asked: Vec<(&str, u64)> = domains.iter().map(|domain| (*domain, 60_000)).collect();
    ask_within(api, &asked, ports, clock).await.0
}

pub(super) fn named(name: &str) -> Answer {
    Answer::Found {
        fields: input(json!({"name": name})),
        confidence: None,
    }
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test]
async fn records_share_calls_and_each_gets_its_own_answer() {
    let api = keyed("");
    let (ports, clock, script) = scripted();
    script.answer(200, r#"{"data": {"results": [{"id": "c"}, {"id": "b", "name": "B"}, {"id": "a", "name": "A"}, {"id": "x", "name": "X"}]}}"#);
    script.answer(
        200,
        r#"{"data": {"results": [{"id": "d", "name": "D", "state": "unknown"}]}}"#,
    );
    let answers = ask_all(&api, &["A", "b", "c", "d", "e"], (&ports, &clock)).await;
    assert_eq!(
        answers,
        [
            named("A"),
            named("B"),
            Answer::NotFound,
            Answer::NotFound,
            Answer::NotFound
        ]
    );
    let requests = script.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        body(&requests[0]),
        json!({"records": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "fresh": true})
    );
    assert_eq!(
        body(&requests[1])["records"],
        json!([{"id": "d"}, {"id": "e"}])
    );
    assert!(
        requests[0]
            .headers
            .contains(&("authorization".to_owned(), "Bearer s3cr&t \"key".to_owned()))
    );
    script.answer(200, r#"{"data": {"results": []}}"#);
    let full = [("a", 60_000), ("b", 60_000), ("c", 60_000)];
    assert_eq!(
        ask_within(&api, &full, &ports, &clock).await.1,
        Duration::ZERO,
        "a full batch does not wait"
    );
    script.answer(200, r#"{"data": {"results": []}}"#);
    assert_eq!(
        ask_within(&api, &full[..2], &ports, &clock).await.1,
        Duration::from_millis(20)
    );
}

#[tokio::test]
async fn a_lone_record_waits_once_and_later_ones_get_a_batch_of_their_own() {
    let api = keyed("");
    let (ports, clock, script) = scripted();
    for name in ["A", "B"] {
        script.answer(
            200,
            &json!({"data": {"results": [{"id": "a", "name": name}]}}).to_string(),
        );
    }
    assert_eq!(ask_all(&api, &["a"], (&ports, &clock)).await, [named("A")]);
    assert_eq!(
        ask_all(&api, &["a", "a"], (&ports, &clock)).await,
        [named("B"), named("B")]
    );
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test]
async fn results_in_order_are_believed_only_if_they_are_as_many_as_the_records() {
    let api = placed("");
    let (ports, clock, script) = scripted();
    script.answer(200, r#"[{"name": "A"}, null, {"name": "C"}]"#);
    script.answer(200, r#"[{"name": "A"}]"#);
    assert_eq!(
        ask_all(&api, &["a", "b", "c"], (&ports, &clock)).await,
        [named("A"), Answer::NotFound, named("C")]
    );
    for answer in ask_all(&api, &["a", "b"], (&ports, &clock)).await {
        assert_eq!(
            failed(&answer).1,
            "the provider's results cannot be told apart: 1 results for 2 records"
        );
    }
    assert_eq!(body(&script.requests()[0]), json!(["a", "b", "c"]));
}

#[tokio::test]
async fn a_failure_is_everybodys_and_is_retried_once_for_all() {
    let api = keyed("");
    let (ports, clock, script) = scripted();
    script.answer_with(429, &[("retry-after", "2")], "");
    script.answer(503, "");
    for answer in ask_all(&api, &["a", "b"], (&ports, &clock)).await {
        assert_eq!(
            failed(&answer),
            ("provider_error", "the provider answered HTTP 503")
        );
    }
    assert_eq!(script.requests().len(), 2);
    // A status about the call says nothing of the records, and neither does a body without results.
    for (status, text) in [(404, ""), (200, "{}"), (200, "<html>")] {
        let (ports, clock, script) = scripted();
        script.answer(status, text);
        for answer in ask_all(&api, &["a", "b"], (&ports, &clock)).await {
            assert_eq!(failed(&answer).0, "provider_error", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn pages_are_followed_on_the_same_origin_and_no_further_than_allowed() {
    let api = keyed(", next = \"/next\", pages = 3");
    let page = |id: &str, next: Value| {
        json!({"data": {"results": [{"id": id, "name": id}]}, "next": next}).to_string()
    };
    let (ports, clock, script) = scripted();
    script.answer(200, &page("a", json!("/v1/bulk/2?t=x")));
    script.answer(200, &page("b", json!("https://api.example.com/v1/bulk/3")));
    script.answer(200, &page("c", json!(null)));
    assert_eq!(
        ask_all(&api, &["a", "b", "c"], (&ports, &clock)).await,
        [named("a"), named("b"), named("c")]
    );
    let requests = script.requests();
    let asked: Vec<(&str, &str)> = requests.iter().map(|r| (&*r.method, &*r.url)).collect();
    assert_eq!(
        asked,
        [
            ("POST", "https://api.example.com/v1/bulk?v=1"),
            ("GET", "https://api.example.com/v1/bulk/2?t=x"),
            ("GET", "https://api.example.com/v1/bulk/3")
        ]
    );
    assert!(
        requests[1].body.is_empty()
            && requests[1]
                .headers
                .iter()
                .any(|(name, _)| name == "authorization")
    );
    // What was read is kept; of the others nothing is known.
    for next in [
        "https://evil.example/x",
        "http://api.example.com/x",
        "//evil.example/x",
        "https://api.example.com:8443/",
        "https://u@api.example.com/",
    ] {
        let (ports, clock, script) = scripted();
        script.answer(200, &page("a", json!(next)));
        let answers = ask_all(&api, &["a", "b"], (&ports, &clock)).await;
        assert_eq!(
            (&answers[0], failed(&answers[1]).1),
            (
                &named("a"),
                "the provider's next page is not on its own host"
            )
        );
        assert_eq!(script.requests().len(), 1, "{next}");
    }
    let (ports, clock, script) = scripted();
    for id in ["a", "b", "c"] {
        script.answer(200, &page(id, json!("/again")));
    }
    let answers = ask_all(&api, &["a", "z"], (&ports, &clock)).await;
    assert_eq!(
        (&answers[0], failed(&answers[1]).1),
        (
            &named("a"),
            "the provider's answer has more pages than `pages` allows"
        )
    );
    // By a cursor, the same request goes on.
    let api = placed(", results = \"/r\", next = { at = \"/cursor\", parameter = \"after\" }");
    let (ports, clock, script) = scripted();
    script.answer(200, r#"{"r": [{"name": "A"}], "cursor": "x&y"}"#);
    script.answer(200, r#"{"r": [{"name": "B"}], "cursor": ""}"#);
    assert_eq!(
        ask_all(&api, &["a", "b"], (&ports, &clock)).await,
        [named("A"), named("B")]
    );
    let requests = script.requests();
    assert_eq!(
        requests[1].url,
        "https://api.example.com/v1/bulk?after=x%26y"
    );
    assert_eq!(
        (&requests[1].method, &requests[1].body),
        (&requests[0].method, &requests[0].body)
    );
}

/// Answers each call after a while with a result for every element.
pub(super) struct Slow {
    clock: OnceLock<Arc<Paused>>,
    after: Duration,
    pub(super) sent: Mutex<Vec<Value>>,
}

#[async_trait]
impl HttpSender for Slow {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let items = body(&request);
        self.sent.lock().unwrap().push(items.clone());
        self.clock.get().expect("a clock").sleep(self.after).await;
        let results: Vec<Value> = items
            .as_array()
            .unwrap()
            .iter()
            .map(|item| json!({"name": item}))
            .collect();
        Ok(HttpAnswer {
            status: 200,
            headers: Vec::new(),
            body: json!(results).to_string().into(),
            truncated: false,
        })
    }

    fn check(&self, _: &str, _: bool) -> Result<(), HttpError> {
        Ok(())
    }
}

pub(super) fn slow(after: Duration) -> (Ports, Arc<Paused>, Arc<Slow>) {
    let slow = Arc::new(Slow {
        clock: OnceLock::new(),
        after,
        sent: Mutex::default(),
    });
    let (ports, clock) = paused(slow.clone());
    slow.clock.set(clock.clone()).ok().expect("no clock yet");
    (ports, clock, slow)
}

#[tokio::test]
async fn who_gives_up_takes_nobodys_call_away() {
    let api = placed(", wait_ms = 100");
    let (ports, clock, slow) = slow(Duration::from_secs(5));
    // The first, which opened the batch and drives it, then the second; the third stays.
    let (answers, took) = ask_within(
        &api,
        &[("a", 10), ("b", 2_000), ("c", 60_000)],
        &ports,
        &clock,
    )
    .await;
    assert_eq!(took, Duration::from_secs(5));
    assert_eq!(failed(&answers[0]).0, "provider_timeout");
    assert_eq!(failed(&answers[1]).0, "provider_timeout");
    assert_eq!(answers[2], named("c"));
    // max = 3 was reached: all three were sent at once.
    assert_eq!(*slow.sent.lock().unwrap(), [json!(["a", "b", "c"])]);
}

#[tokio::test]
async fn who_gave_up_before_is_not_asked_about() {
    let api = placed(", wait_ms = 100");
    let (ports, clock, slow) = slow(Duration::from_secs(5));
    let (answers, _) = ask_within(&api, &[("a", 10), ("b", 60_000)], &ports, &clock).await;
    assert_eq!(
        (failed(&answers[0]).0, &answers[1]),
        ("provider_timeout", &named("b"))
    );
    assert_eq!(*slow.sent.lock().unwrap(), [json!(["b"])]);
    // A batch that every record left is not sent, and no record joins it.
    ask_within(&api, &[("gone", 10)], &ports, &clock).await;
    assert_eq!(ask_all(&api, &["c"], (&ports, &clock)).await, [named("c")]);
    assert_eq!(*slow.sent.lock().unwrap(), [json!(["b"]), json!(["c"])]);
}

#[tokio::test]
async fn sixty_four_records_at_once_need_as_many_calls_as_there_are_batches() {
    let api = provider(&format!(
        "{} }}",
        BY_POSITION.replace("max = 3", "max = 50, wait_ms = 5")
    ));
    let (ports, clock, slow) = slow(Duration::from_millis(300));
    let domains: Vec<String> = (0..64).map(|n| format!("d{n}")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let answers = ask_all(&api, &domains, (&ports, &clock)).await;
    assert!(
        answers
            .iter()
            .zip(&domains)
            .all(|(answer, domain)| *answer == named(domain))
    );
    let sizes: Vec<usize> = slow
        .sent
        .lock()
        .unwrap()
        .iter()
        .map(|call| call.as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [50, 14]);
}

#[test]
fn faults_of_a_batch() {
    for (from, to, wanted) in [
        ("method = \"POST\"\n", "", "is a POST or PUT"),
        (
            "/v1/bulk",
            "/v1/{{ input.domain }}",
            "belong to many records",
        ),
        (
            "body = \"{{ items }}\"",
            "body = { a = 1 }",
            "does not name {{ items }}",
        ),
        (
            "{ by = \"position\" }",
            "{ by = \"/id\" }",
            "`key` is missing",
        ),
        (
            "{ by = \"position\" }",
            "{ by = \"/id\", key = \"x\" }",
            "the same for every record",
        ),
        (
            "{ by = \"position\" }",
            "{ by = \"position\", key = \"x\" }",
            "have no key",
        ),
        ("max = 3", "max = 1", "from 2 to 1000"),
    ] {
        let text = format!("{BY_POSITION} }}").replace(from, to);
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n[providers.api]\nkind = \"http\"\n{text}\n"
        );
        let error = Config::parse(READERS, "p.toml", &toml)
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
