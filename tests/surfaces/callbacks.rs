//! The URLs at which upstreams leave answers, as API Gateway's callers meet them.

use serde_json::{Value, json};
use shared::domain::callback::{CallbackFor, KEY_BYTES, MAX_POSTED_BYTES};
use shared::domain::ids::JobId;
use shared::domain::time::Timestamp;
use shared::surfaces::SURFACES;
use testkit::harness::{ServedApi, World, found};

fn served() -> ServedApi {
    ServedApi::new(World::new(), SURFACES, "", |_| {
        (std::time::Duration::ZERO, found(json!({"name": "x"})))
    })
}

#[test]
fn what_is_no_callback_of_ours_is_not_found_and_writes_nothing() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let job = served.post(
        "/v1/jobs",
        &[("authorization", &bearer)],
        &json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]}),
    );
    let id: Value = serde_json::from_slice(&job.body).unwrap();
    let job = JobId::parse(id["id"].as_str().unwrap()).unwrap();
    let gone = JobId::new(Timestamp(1_767_225_600_000), [9; 10]);
    let before = served.world.sim.store.items();
    for of in [job, gone] {
        let of = CallbackFor {
            job: of,
            chunk: 0,
            at: 0,
            provider: "any".to_owned(),
        };
        let url = of.url("", &[7; KEY_BYTES]);
        for path in [
            url.as_str(),
            "/v1/callbacks/",
            "/v1/callbacks/x",
            &url[..url.len() - 1],
            &format!("{url}/more"),
        ] {
            let answer = served.post(path, &[], &json!({"answer": "ready"}));
            assert_eq!(
                answer.status,
                404,
                "{path}: {}",
                String::from_utf8_lossy(&answer.body)
            );
            assert_eq!(served.get(path, &[]).status, 404, "{path}");
        }
    }
    assert_eq!(served.world.sim.store.items(), before);
}

#[test]
fn what_cannot_be_an_answer_is_refused_with_its_reason() {
    let mut served = served();
    let of = CallbackFor {
        job: JobId::new(Timestamp(1_767_225_600_000), [9; 10]),
        chunk: 0,
        at: 0,
        provider: "any".to_owned(),
    };
    let url = of.url("", &[7; KEY_BYTES]);
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let large = format!("\"{}\"", "x".repeat(MAX_POSTED_BYTES));
    for (body, status) in [
        ("", 400),
        ("{", 400),
        (deep.as_str(), 400),
        (large.as_str(), 413),
    ] {
        let answer = served.call("POST", &url, &[], body.as_bytes());
        let shown: String = body.chars().take(20).collect();
        assert!(
            answer.status == status || (status == 400 && answer.status == 422),
            "{shown}: {}",
            answer.status
        );
        assert!(!answer.body.is_empty(), "{shown}");
    }
    // Such numbers are read; the refusal is then for an unknown callback.
    assert_eq!(
        served
            .call(
                "POST",
                &url,
                &[],
                b"\xef\xbb\xbf{\"score\": [NaN, -Infinity]}"
            )
            .status,
        404
    );
}
