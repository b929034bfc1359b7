//! Upstreams that answer later.

use super::*;
use crate::providers::testing::{Script, input, ports, question};
use crate::providers::{Earlier, Later};

const POLLED: &str = "method = \"POST\"\nurl = \"https://api.example.com/v1/jobs\"\n\
    headers = { idempotency-key = \"{{ request.key }}\" }\n\
    body = { domain = \"{{ input.domain }}\", hook = \"{{ callback.url }}\" }\n\
    fields = { name = \"/data/name\" }\nnot_found = { missing = [\"/data\"] }\n\
    [providers.api.later]\nid = \"/job_id\"\nwhen = \"status == 202 or \
    response.status == 'pending'\"\n\
    done = \"response.status == 'done'\"\nfailed = \"response.status == 'failed'\"\n\
    give_up_s = 600\n\
    poll = { url = \"https://api.example.com/v1/jobs/{{ later.id }}\", every_s = 20, \
    headers = { x-k = \"k{{ input.domain }}\" } }\n";

const POSTED: &str = "method = \"POST\"\nurl = \"https://api.example.com/v1/jobs\"\n\
                      body = { hook = \"{{ callback.url }}\" }\n\
    fields = { name = \"/data/name\" }\n[providers.api.later]\nid = \"/job_id\"\n\
    done = \"response.status == 'done'\"\n";

struct Asked {
    answer: Answer,
    requests: Vec<HttpRequest>,
}

async fn ask(
    api: &Http,
    earlier: impl Into<Option<Earlier>>,
    script: impl FnOnce(&Script),
) -> Asked {
    let (ports, scripted) = ports();
    script(&scripted);
    let (input, earlier) = (input(json!({"domain": "a.example"})), earlier.into());
    let question = Question {
        callback: Some("https://us.example/cb/1"),
        earlier: earlier.as_ref(),
        key: "k-1",
        ..question(&input, LIMIT)
    };
    let answer = api.ask(&question, &ports).await;
    Asked {
        answer,
        requests: scripted.requests(),
    }
}

fn taken(id: impl Into<Value>, poll_after: u64, give_up_in: u64) -> Answer {
    Answer::Later(Later {
        upstream_token: Some(json!({"id": id.into()})),
        poll_after: Duration::from_secs(poll_after),
        give_up_in: Duration::from_secs(give_up_in),
        refused: false,
        outage: None,
    })
}

fn earlier(posted: Option<Value>) -> Earlier {
    Earlier {
        upstream_token: json!({"id": "j/1"}),
        posted,
    }
}

fn named(name: &str) -> Answer {
    Answer::Found {
        fields: input(json!({"name": name})),
        confidence: None,
    }
}

#[tokio::test]
async fn a_question_is_taken_and_polled_until_it_is_answered() {
    let api = provider(POLLED);
    assert!(api.calls_back());
    let asked = ask(&api, None, |script| {
        script.answer(202, r#"{"job_id": "j/1"}"#);
    })
    .await;
    assert_eq!(asked.answer, taken("j/1", 20, 600));
    assert!(
        asked.requests[0]
            .headers
            .contains(&("idempotency-key".to_owned(), "k-1".to_owned()))
    );
    let body: Value = serde_json::from_slice(&asked.requests[0].body).unwrap();
    assert_eq!(
        body,
        json!({"domain": "a.example", "hook": "https://us.example/cb/1"})
    );

    let asked = ask(&api, earlier(None), |script| {
        script.answer(200, r#"{"status": "pending"}"#);
    })
    .await;
    assert_eq!(asked.answer, taken("j/1", 20, 600));
    assert_eq!(
        (&*asked.requests[0].method, &*asked.requests[0].url),
        ("GET", "https://api.example.com/v1/jobs/j%2F1")
    );
    assert!(
        asked.requests[0]
            .headers
            .contains(&("x-k".to_owned(), "ka.example".to_owned()))
    );

    let done = r#"{"status": "done", "data": {"name": "A"}}"#;
    assert_eq!(
        ask(&api, earlier(None), |script| script.answer(200, done))
            .await
            .answer,
        named("A")
    );
    let latin = b"{\"status\": \"done\", \"n\": NaN, \"data\": {\"name\": \"\xc4\"}}";
    let header = [("content-type", "application/json; charset=iso-8859-1")];
    let asked = ask(&api, earlier(None), |script| {
        script.answer_bytes(200, &header, latin);
    })
    .await;
    assert_eq!(asked.answer, named("\u{c4}"));
    let nothing = r#"{"status": "done", "data": null}"#;
    assert_eq!(
        ask(&api, earlier(None), |script| script.answer(200, nothing))
            .await
            .answer,
        Answer::NotFound
    );
    let answer = ask(&api, earlier(None), |script| {
        script.answer(200, r#"{"status": "failed"}"#);
    })
    .await
    .answer;
    assert_eq!(
        failed(&answer),
        (
            "provider_error",
            "the provider took the question and could not answer it"
        )
    );
}

#[tokio::test]
async fn an_upstream_that_answers_at_once_is_not_waited_for() {
    let api = provider(POLLED);
    let done = r#"{"job_id": "j/1", "status": "done", "data": {"name": "A"}}"#;
    assert_eq!(
        ask(&api, None, |script| script.answer(200, done))
            .await
            .answer,
        named("A")
    );
    assert_eq!(
        ask(&api, None, |script| script.answer(404, ""))
            .await
            .answer,
        Answer::NotFound
    );
    let refused = r#"{"job_id": "j/1", "status": "failed"}"#;
    let answer = ask(&api, None, |script| script.answer(200, refused))
        .await
        .answer;
    assert!(failed(&answer).1.contains("could not answer"), "{answer:?}");
    let answer = ask(&api, None, |script| script.answer(202, "{}"))
        .await
        .answer;
    assert!(
        failed(&answer).1.contains("does not fit later.id"),
        "{answer:?}"
    );
    let api = provider(POSTED);
    assert_eq!(
        ask(&api, None, |script| script.answer(200, done))
            .await
            .answer,
        named("A")
    );
    assert_eq!(
        ask(&api, None, |script| script.answer(200, r#"{"job_id": 7}"#))
            .await
            .answer,
        taken(7, 1800, 1800)
    );
    assert_eq!(
        ask(&api, None, |script| script.answer(200, "{}"))
            .await
            .answer,
        Answer::NotFound
    );
}

#[tokio::test]
async fn faults_that_pass_only_delay_a_poll_and_others_end_it() {
    let api = provider(&format!("retries = 0\n{POLLED}"));
    let after = async |status: u16, headers: &[(&str, &str)], body: &str| {
        ask(&api, earlier(None), |script| {
            script.answer_with(status, headers, body);
        })
        .await
        .answer
    };
    assert_eq!(after(503, &[], "").await, taken("j/1", 20, 600));
    assert_eq!(
        after(429, &[("retry-after", "55")], "").await,
        taken("j/1", 55, 600)
    );
    assert_eq!(after(202, &[], "").await, taken("j/1", 20, 600));
    let answer = ask(&api, earlier(None), |script| {
        script.fail(HttpError::Timeout);
    })
    .await
    .answer;
    assert_eq!(answer, taken("j/1", 20, 600));
    for (status, detail) in [
        (404, "does not know the job"),
        (410, "does not know the job"),
        (401, "refused its credentials"),
        (400, "HTTP 400"),
    ] {
        let answer = after(status, &[], "").await;
        assert!(failed(&answer).1.contains(detail), "{answer:?}");
    }
    let answer = after(200, &[], "<html>").await;
    assert_eq!(
        failed(&answer),
        ("provider_error", "the provider's response is not JSON")
    );
}

#[tokio::test]
async fn a_forged_post_is_a_reason_to_ask_and_nothing_else() {
    let api = provider(POLLED);
    let forged = json!({"job_id": "j/1", "status": "done", "data": {"name": "Mallory"}});
    let asked = ask(&api, earlier(Some(forged.clone())), |script| {
        script.answer(200, r#"{"status": "pending"}"#);
    })
    .await;
    assert_eq!(
        (asked.answer, asked.requests.len()),
        (taken("j/1", 20, 600), 1)
    );
    // Where the file says that posts are read, another job's is not.
    let read = provider(&format!("{POLLED}callback = {{ verify = \"nothing\" }}"));
    let asked = ask(&read, earlier(Some(forged)), |_| ()).await;
    assert_eq!((asked.answer, asked.requests.len()), (named("Mallory"), 0));
    let other = json!({"job_id": "j/2", "status": "done", "data": {"name": "Mallory"}});
    let asked = ask(&read, earlier(Some(other)), |script| {
        script.answer(200, r#"{"status": "pending"}"#);
    })
    .await;
    assert_eq!(
        (asked.answer, asked.requests.len()),
        (taken("j/1", 20, 600), 1)
    );
}

#[tokio::test]
async fn a_posted_answer_is_read_where_there_is_nothing_to_poll() {
    let api = provider(POSTED);
    let after = async |posted: Option<Value>| ask(&api, earlier(posted), |_| ()).await.answer;
    assert_eq!(after(None).await, taken("j/1", 1800, 1800));
    assert_eq!(
        after(Some(json!({"status": "running"}))).await,
        taken("j/1", 1800, 1800)
    );
    assert_eq!(after(Some(json!("noise"))).await, taken("j/1", 1800, 1800));
    assert_eq!(
        after(Some(json!({"status": "done", "data": {"name": "A"}}))).await,
        named("A")
    );
    assert_eq!(
        after(Some(
            json!({"job_id": "j/9", "status": "done", "data": {"name": "A"}})
        ))
        .await,
        taken("j/1", 1800, 1800)
    );
    let answer = ask(
        &api,
        Earlier {
            upstream_token: json!("old"),
            posted: None,
        },
        |_| (),
    )
    .await
    .answer;
    assert!(failed(&answer).1.contains("another version"), "{answer:?}");
}
