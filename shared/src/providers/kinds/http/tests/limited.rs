//! Limits for records that share a call, and to answers that were posted.

use std::sync::Arc;

use futures_util::future::join_all;

use super::batch::{BY_POSITION, Paused, named, scripted, slow};
use super::*;
use crate::providers::Earlier;
use crate::providers::guards::guarded::Guarded;
use crate::providers::kinds::READERS;

/// A batching provider behind its limits.
fn limited(more: &str) -> Arc<dyn Provider> {
    around(&format!("{BY_POSITION} }}\n{more}"))
}

fn around(body: &str) -> Arc<dyn Provider> {
    let toml = format!(
        "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n[providers.api]\nkind = \"http\"\n{body}\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
    let Some(http) = config.providers[0].kind.downcast_ref::<HttpConfig>() else {
        panic!("not http")
    };
    let http = Http::new("api", http, &|_| Some("x".to_owned())).unwrap();
    Guarded::around(&config.providers[0], Arc::new(http), std::convert::identity)
}

/// Asks about all of these at once, and returns the time that it took.
async fn ask(
    api: &dyn Provider,
    domains: &[&str],
    last: bool,
    (ports, clock): (&Ports, &Paused),
) -> (Vec<Answer>, Duration) {
    let asked = domains.iter().map(async |domain| {
        let input = input(json!({"domain": domain}));
        api.ask(
            &Question {
                last,
                ..question(&input, LIMIT)
            },
            ports,
        )
        .await
    });
    clock.run(join_all(asked)).await
}

/// Returns the seconds until each question is asked again.
fn waits(answers: &[Answer]) -> Vec<u64> {
    let wait = |answer: &Answer| match answer {
        Answer::Later(later) if later.upstream_token.is_none() => later.poll_after.as_secs(),
        other => panic!("{other:?}"),
    };
    answers.iter().map(wait).collect()
}

const THREE: [&str; 3] = ["a", "b", "c"];

#[tokio::test]
async fn an_open_circuit_hung_all_records_of_a_batch_but_the_first() {
    let oauth = "oauth = { token_url = \"https://id.example.com/token\", client_id = { env = \"A\" }, \
                 client_secret = { env = \"B\" } }\n";
    for more in ["", oauth] {
        let api = limited(&format!("{more}breaker = {{ failures = 1 }}"));
        let (ports, clock, script) = scripted();
        if !more.is_empty() {
            script.answer(200, r#"{"access_token": "t", "expires_in": 1}"#);
        }
        script.answer(500, "");
        let (answers, _) = ask(&*api, &THREE, false, (&ports, &clock)).await;
        assert!(
            answers
                .iter()
                .all(|answer| failed(answer).0 == "provider_error"),
            "{answers:?}"
        );
        clock.run(ports.clock.sleep(Duration::from_secs(2))).await;
        let (answers, took) = ask(&*api, &THREE, false, (&ports, &clock)).await;
        assert!(
            answers
                .iter()
                .all(|answer| failed(answer).0 == "provider_unavailable"),
            "{answers:?}"
        );
        assert_eq!(took, Duration::ZERO);
        let (answers, took) = ask(&*api, &THREE, true, (&ports, &clock)).await;
        let waits = waits(&answers);
        assert!(
            waits.iter().all(|wait| (20..40).contains(wait)),
            "{waits:?}"
        );
        assert_eq!(took, Duration::ZERO);
        // The token's lock is free again.
        clock.run(ports.clock.sleep(Duration::from_secs(40))).await;
        if !more.is_empty() {
            script.answer(200, r#"{"access_token": "t", "expires_in": 3600}"#);
        }
        script.answer(200, r#"[{"name": "a"}, {"name": "b"}, {"name": "c"}]"#);
        let (answers, took) = ask(&*api, &THREE, true, (&ports, &clock)).await;
        assert_eq!((answers, took), (THREE.map(named).to_vec(), Duration::ZERO));
    }
}

#[tokio::test]
async fn no_place_in_time_hung_all_records_of_a_batch_but_the_first() {
    let api = limited("concurrency = 1\ntimeout_s = 20");
    let (ports, clock, slow) = slow(Duration::from_secs(15));
    let (answers, took) = ask(&*api, &["a", "b", "c", "d", "e"], false, (&ports, &clock)).await;
    assert_eq!(answers[..3], THREE.map(named));
    assert_eq!(waits(&answers[3..]).len(), 2);
    assert!(took <= Duration::from_secs(16), "{took:?}");
    assert_eq!(slow.sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn no_slot_in_time_hung_all_records_of_a_batch_but_the_first() {
    let api = limited("rate = { per_minute = 1 }\ntimeout_s = 20");
    let (ports, clock, slow) = slow(Duration::ZERO);
    let (answers, _) = ask(&*api, &THREE, false, (&ports, &clock)).await;
    assert_eq!(answers, THREE.map(named));
    let (answers, took) = ask(&*api, &THREE, false, (&ports, &clock)).await;
    let waits = waits(&answers);
    assert!(
        waits.iter().all(|wait| (55..70).contains(wait)),
        "{waits:?}"
    );
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Answer::Later(later) if later.refused))
    );
    assert_eq!((took, slow.sent.lock().unwrap().len()), (Duration::ZERO, 1));
}

#[tokio::test]
async fn all_records_of_a_batch_wait_for_as_long_as_its_upstream_asks() {
    let api = limited("concurrency = 1");
    let (ports, clock, script) = scripted();
    script.answer_with(429, &[("retry-after", "100")], "");
    let (answers, _) = ask(&*api, &THREE, true, (&ports, &clock)).await;
    let waits = waits(&answers);
    assert!(
        waits.iter().all(|wait| (99..=103).contains(wait)),
        "{waits:?}"
    );
}

#[tokio::test]
async fn a_rate_made_many_calls_of_one_batch() {
    let body = BY_POSITION.replace("max = 3", "max = 50");
    let api = around(&format!("{body} }}\nrate = {{ per_second = 2 }}"));
    let (ports, clock, slow) = slow(Duration::ZERO);
    let domains: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let (answers, took) = ask(&*api, &domains, false, (&ports, &clock)).await;
    assert!(
        answers
            .iter()
            .zip(&domains)
            .all(|(answer, domain)| *answer == named(domain))
    );
    assert_eq!((slow.sent.lock().unwrap().len(), took), (1, Duration::ZERO));
}

#[tokio::test]
async fn an_answer_that_was_posted_waited_for_a_turn_that_it_did_not_need() {
    let api = around(
        "method = \"POST\"\nurl = \"https://api.example.com/v1\"\nbody = { to = \"{{ callback.url }}\" }\n\
         fields = { name = \"/name\" }\nlater = { id = \"/id\" }\nrate = { per_minute = 1 }",
    );
    let (ports, clock, script) = scripted();
    script.answer(200, r#"{"id": "j"}"#);
    let input = input(json!({"domain": "a"}));
    let first = Question {
        callback: Some("https://us.example/c"),
        ..question(&input, LIMIT)
    };
    let (taken, _) = clock.run(api.ask(&first, &ports)).await;
    assert!(
        matches!(&taken, Answer::Later(later) if !later.refused && later.upstream_token.is_some()),
        "{taken:?}"
    );
    for (posted, wanted) in [
        (Some(json!({"id": "j", "name": "A"})), Some("A")),
        (None, None),
    ] {
        let earlier = Earlier {
            upstream_token: json!({"id": "j"}),
            posted,
        };
        let asked = Question {
            earlier: Some(&earlier),
            ..first
        };
        let (answer, took) = clock.run(api.ask(&asked, &ports)).await;
        match wanted {
            Some(name) => assert_eq!(answer, named(name)),
            None => assert!(
                matches!(&answer, Answer::Later(later) if !later.refused),
                "{answer:?}"
            ),
        }
        assert_eq!(took, Duration::ZERO);
    }
}

#[tokio::test]
async fn what_was_read_before_a_refusal_is_given_out_and_the_rest_is_not_bought_twice() {
    let body = BY_POSITION.replace("batch = {", "batch = { results = \"/r\", next = \"/next\",");
    let api = around(&format!("{body} }}\nrate = {{ per_minute = 1 }}"));
    let (ports, clock, script) = scripted();
    script.answer(200, r#"{"r": [{"name": "a"}], "next": "/v1/2"}"#);
    let (answers, _) = ask(&*api, &THREE, true, (&ports, &clock)).await;
    assert_eq!(answers[0], named("a"));
    assert!(
        answers[1..]
            .iter()
            .all(|answer| failed(answer).0 == "rate_limited"),
        "{answers:?}"
    );
}
