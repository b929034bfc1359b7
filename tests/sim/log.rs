//! Log lines: what each says of the request, the job, the chunk and the delivery that it is about.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::callback::{CallbackFor, KEY_BYTES};
use shared::domain::ids::JobId;
use shared::domain::job::Status;
use shared::lambda::start::SURFACES;
use testkit::fuzz::logged;
use testkit::harness::{Options, ServedApi, World, body, domains, found, submission};
use testkit::sim::{Fault, Op, Reply};
use tracing::{Level, error_span, info, info_span, warn};

use crate::HOUR;
use crate::limits::{api, of, world};

fn lines(level: Level, work: impl FnOnce()) -> Vec<Value> {
    let ((), text) = logged(level, work);
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

/// The lines that say this, of which there must be some.
fn said<'l>(lines: &'l [Value], message: &str) -> Vec<&'l Value> {
    let said: Vec<_> = lines.iter().filter(|l| l["message"] == message).collect();
    assert!(
        !said.is_empty(),
        "{message:?} is not in the log: {lines:#?}"
    );
    said
}

#[test]
fn a_line_of_a_providers_guard_names_its_message_job_and_chunk() {
    let config = api("breaker = { failures = 3, open_s = 5, max_open_s = 10 }");
    let mut world = world(&config, Options::default());
    let reply = |_: &_| Reply::status(500);
    world.sim.http.on("https://api.example/", reply);
    let ids = [world.job(of("t", 100)), world.job(of("t", 100))];
    let chunks = world.view(&ids[0]).job.spec.chunks;
    assert!(chunks > 1, "nothing runs concurrently");
    let lines = lines(Level::DEBUG, || world.settle(HOUR));

    for line in said(&lines, "circuit is open: the upstream fails") {
        assert!(ids.iter().any(|id| line["job.id"] == id.as_str()), "{line}");
        assert!(line["chunk"].as_u64().unwrap() < chunks.into(), "{line}");
        assert!(line["message.id"].is_string() && line["receives"].is_u64());
        assert_eq!(line["provider"], "api");
        assert!(line.get("span").is_none(), "{line}");
    }
    // Runs of both jobs are under way at once, and each line is of its own run.
    let worked: BTreeSet<_> = said(&lines, "chunk worked on")
        .into_iter()
        .map(|line| (line["job.id"].to_string(), line["chunk"].as_u64()))
        .collect();
    assert_eq!(worked.len(), ids.len() * usize::try_from(chunks).unwrap());
    let ended = said(&lines, "job ended");
    let ended: BTreeSet<_> = ended.iter().filter_map(|l| l["job.id"].as_str()).collect();
    assert_eq!(ended, ids.iter().map(JobId::as_str).collect());
}

#[test]
fn a_line_of_an_attempt_names_its_delivery_and_job() {
    let mut world = World::new();
    let id = world.job(submission(&domains("plain", 2)));
    let lines = lines(Level::INFO, || world.settle(HOUR));
    assert_eq!(world.view(&id).job.status, Status::Completed);
    for line in said(&lines, "delivery attempted") {
        assert_eq!(line["job.id"], id.as_str());
        assert_eq!(line["delivery.id"], id.delivery(0).to_string());
        assert_eq!(line["delivery"], 0);
    }
}

#[test]
fn a_line_of_a_repair_names_its_item_and_job() {
    let mut world = World::new();
    let id = world.job(submission(&domains("plain", 2)));
    // For a while every process can only query for due work.
    world.faults(|call| {
        if call.process != 0 && call.op != Op::Query && call.number < 300 {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    let lines = lines(Level::INFO, || world.settle(24 * HOUR));
    for line in said(&lines, "repair failed") {
        assert_eq!(line["job.id"], id.as_str());
        assert!(line["item.pk"].is_string() && line["item.sk"].is_string());
    }
}

#[test]
fn a_line_of_a_request_names_the_request_and_its_job() {
    let world = World::new();
    let mut served = ServedApi::new(world, SURFACES, "", |_| {
        (Duration::ZERO, found(json!({"name": "N"})))
    });
    let key = format!("Bearer {}", served.key());
    let headers = [("authorization", key.as_str())];
    let mut id = String::new();
    let lines = lines(Level::INFO, || {
        let records = json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]});
        let accepted = body(&served.post("/v1/jobs", &headers, &records), 202);
        accepted["id"].as_str().unwrap().clone_into(&mut id);
        served.get(&format!("/v1/jobs/{id}"), &headers);
        served.get(&format!("/v1/jobs/{id}"), &[]);
        served.get("/v1/account", &headers);
    });
    let lines = said(&lines, "request served");
    assert!(lines.iter().all(|line| line["request.id"] == "req-1"));
    let jobs: Vec<_> = lines.iter().map(|line| line.get("job.id")).collect();
    let id = json!(id);
    // Whose key is not known is not asked what else it wants.
    assert_eq!(jobs, [Some(&id), Some(&id), None, None]);
}

#[test]
fn a_callback_without_a_signature_does_not_choose_the_job_of_a_line() {
    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| {
        (Duration::ZERO, found(json!({"name": "N"})))
    });
    let key = format!("Bearer {}", served.key());
    let records = json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]});
    let job = served.post("/v1/jobs", &[("authorization", key.as_str())], &records);
    let of = CallbackFor {
        job: JobId::parse(body(&job, 202)["id"].as_str().unwrap()).unwrap(),
        chunk: 0,
        at: 0,
        provider: "any".to_owned(),
    };
    let lines = lines(Level::INFO, || {
        let forged = of.url("", &[7; KEY_BYTES]);
        body(&served.post(&forged, &[], &json!({"answer": 1})), 404);
    });
    for line in said(&lines, "request served") {
        assert_eq!((line.get("job.id"), line.get("chunk")), (None, None));
    }
}

#[test]
fn a_line_is_there_though_a_thread_without_a_log_came_to_its_place_first() {
    let said = || info!("a place of its own");
    let ((), text) = logged(Level::INFO, || {
        std::thread::scope(|scope| scope.spawn(said).join().unwrap());
        said();
    });
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_field_is_in_a_line_once_and_the_innermost_stands() {
    let ((), text) = logged(Level::INFO, || {
        let _request = info_span!(
            target: "lambda_runtime::layers::trace",
            "Lambda runtime invoke",
            requestId = "r"
        )
        .entered();
        let _outer = error_span!(
            target: "shared::lambda::sqs",
            "outer",
            job.id = "j1",
            chunk = 1,
            receives = 2_u64
        )
        .entered();
        let _inner = error_span!(target: "shared::jobs", "inner", job.id = "j2").entered();
        info!(target: "shared::jobs::read", chunk = 7, ok = true, "said");
    });
    assert_eq!(
        (text.lines().count(), text.matches("\"job.id\"").count()),
        (1, 1)
    );
    assert_eq!(text.matches("\"chunk\"").count(), 1);
    let mut line: Value = serde_json::from_str(&text).unwrap();
    assert!(line["timestamp"].take().is_string());
    let want = json!({
        "timestamp": null, "level": "INFO", "message": "said", "chunk": 7, "ok": true,
        "job.id": "j2", "receives": 2, "target": "shared::jobs::read",
        "span": {"requestId": "r", "name": "Lambda runtime invoke"},
    });
    assert_eq!(line, want);
}

#[test]
fn ids_are_in_lines_whatever_the_level() {
    for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
        let lines = lines(level, || {
            let _chunk = error_span!(target: "shared::lambda", "chunk", chunk = 3).entered();
            warn!("seldom");
            tracing::error!("failed");
        });
        assert_eq!(lines.len(), 1 + usize::from(level >= Level::WARN));
        assert!(lines.iter().all(|line| line["chunk"] == 3), "{level}");
    }
}

/// Dashboards and alarms of before read lines at these places.
#[test]
fn a_line_without_spans_of_ours_has_the_bytes_of_before() {
    let work = || {
        info!(a.b = 1.5, c = "x\"y\u{7f}", d = ?Some(1), e = %"z", n = -3_i64, "as before");
        let _span = info_span!(target: "hyper", "outside", n = 1, t = true).entered();
        warn!(big = u64::MAX, none = None::<u8>, "in a span of another");
    };
    let ((), new) = logged(Level::INFO, work);
    let old: Arc<Mutex<Vec<u8>>> = Arc::default();
    let writer = Arc::clone(&old);
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(move || Shared(Arc::clone(&writer)))
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let old = String::from_utf8(old.lock().unwrap().clone()).unwrap();
    let untimed = |text: &str| -> Vec<String> {
        let lines = text.lines();
        lines
            .filter_map(|line| Some(line.split_once(",\"level\"")?.1.to_owned()))
            .collect()
    };
    assert_eq!(untimed(&new).len(), 2);
    assert_eq!(untimed(&new), untimed(&old));
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
