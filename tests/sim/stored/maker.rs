//! Makes a dump: brings one job after the other to the wanted state, and leaves it there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::domain::ids::{DeliveryId, JobId};
use shared::domain::time::Timestamp;
use shared::jobs::Ports;
use shared::maintenance::tenants::add_credits;
use shared::ports::{Message, QueueName};
use testkit::harness::{Exchange, Options, body};
use testkit::sim::{Fault, Op, Reply};
use testkit::stored::{self, Dump, VERSIONS};

use super::{CREDITS, SLOW, Stack, file, is_known};
use crate::{MINUTE, SECOND};

/// The required outcome of a job: by its records, not by what any version makes of them.
#[derive(Default)]
struct End {
    status: &'static str,
    counts: Vec<(&'static str, usize)>,
    credits: usize,
}

impl End {
    /// Expects that all records are worked on; each found one costs `price`.
    fn completed(price: usize, counts: &[(&'static str, usize)]) -> Self {
        let found = counts
            .iter()
            .find(|(name, _)| *name == "found")
            .map_or(0, |(_, count)| *count);
        Self {
            status: "completed",
            counts: counts.to_vec(),
            credits: found * price,
        }
    }
}

/// A stack on which one job after the other is brought to where it is wanted and left there.
struct Maker {
    stack: Stack,
    /// Everything that was in a queue when a job was left.
    messages: Vec<(QueueName, Timestamp, Message)>,
    jobs: Vec<Value>,
    events: Vec<Value>,
    /// Result lines that must be shown so, where counts say too little.
    lines: Vec<Value>,
    used: usize,
}

impl Maker {
    fn new(version: &str) -> Self {
        let options = Options {
            seed: 14,
            sweeping: false,
            fast_chunks: 19,
            ..Options::default()
        };
        let stack = Stack::new(version, &options);
        let (tenant, delays) = (stack.tenant.id.clone(), Some(vec![30, 5, 5, 5]));
        let schedule = stack.world.call(async |ports| {
            shared::maintenance::tenants::set_webhook_schedule(ports, &tenant, delays.clone()).await
        });
        assert!(schedule.is_ok());
        // Two secrets sign.
        body(
            &stack.call(
                "POST",
                "/v1/webhooks/secret/rotate",
                &[],
                r#"{"overlap_hours": 48}"#,
            ),
            200,
        );
        Self {
            stack,
            messages: Vec::new(),
            jobs: Vec::new(),
            events: Vec::new(),
            lines: Vec::new(),
            used: 0,
        }
    }

    /// The mark by which the end-to-end tests' upstream recognises this dump's requests.
    fn tag(&self) -> String {
        self.stack.tenant.id.to_string()
    }

    /// Submits, and finds the job whatever the surface calls it.
    fn submit(&mut self, path: &str, headers: &[(&str, &str)], sent: &str) -> (JobId, Value) {
        let known = self.heads();
        let answer = self.stack.call("POST", path, headers, sent);
        assert!(
            [200, 202].contains(&answer.status),
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let fresh: Vec<JobId> = self
            .heads()
            .into_iter()
            .filter(|job| !known.contains(job))
            .collect();
        let [job] = &fresh[..] else {
            panic!("{path} made {} jobs", fresh.len())
        };
        (job.clone(), body(&answer, answer.status))
    }

    fn heads(&self) -> Vec<JobId> {
        let items = self.stack.world.sim.store.items();
        let heads = items.iter().filter(|item| item.key.sk == "META");
        heads
            .map(|item| JobId::parse(item.key.pk.trim_start_matches("JOB#")).expect("a job's id"))
            .collect()
    }

    fn native(&mut self, sent: &Value) -> JobId {
        self.submit("/v1/jobs", &[], &sent.to_string()).0
    }

    /// Runs everything for so long, and kills what makes a call that `dies` names: by process, kind
    /// and subject.
    fn run(&mut self, time: Duration, dies: impl Fn(&str, Op, &str) -> bool + Send + 'static) {
        self.stack.world.faults(move |call| {
            if dies(&call.name, call.op, &call.subject) {
                Fault::Die
            } else {
                Fault::Proceed
            }
        });
        self.stack.world.run_for(time);
        self.stack.world.faults(|_| Fault::Proceed);
    }

    /// As [`run`](Self::run), without dispatch.
    fn enrich(&mut self, time: Duration, dies: impl Fn(&str, Op, &str) -> bool + Send + 'static) {
        let Options { dispatchers, .. } = self.stack.world.options;
        self.stack.world.options.dispatchers = 0;
        self.run(time, dies);
        self.stack.world.options.dispatchers = dispatchers;
    }

    fn take_messages(&mut self) {
        let queue = &self.stack.world.sim.queue;
        for (lane, at, message) in queue.waiting() {
            let message = Message {
                body: message.body,
                delay: Duration::ZERO,
                group: message.group,
            };
            self.messages.push((lane, at, message));
            queue.lose(lane);
        }
    }

    /// Leaves a job where it is: its messages do not reach anybody any more.
    fn leave(&mut self, what: &str, job: &JobId, end: &End) {
        self.take_messages();
        self.used += end.credits;
        let counts: Map<String, Value> = end
            .counts
            .iter()
            .map(|(name, n)| ((*name).to_owned(), (*n).into()))
            .collect();
        let shown = self.stack.get(&format!("/v1/jobs/{job}"));
        self.jobs.push(json!({
            "left": what, "started_at": shown["started_at"], "job": job.as_str(),
            "status": end.status,
            "counts": counts, "credits": end.credits,
            "shows": {"/name": shown["name"], "/retry_of": shown["retry_of"]},
        }));
    }

    /// An event that must arrive, or must not arrive again.
    fn event(&mut self, id: &DeliveryId, kind: &str, path: &str, to_come: bool) {
        let known = self
            .stack
            .call("GET", &format!("/v1/deliveries/{id}"), &[], "");
        let log = if known.status == 404 {
            json!([])
        } else {
            body(&known, 200)["log"].clone()
        };
        self.events.push(json!({
            "delivery": id.to_string(), "type": kind, "path": path, "to_come": to_come, "log": log,
        }));
    }

    /// Adds an expectation to the job or event that was noted last.
    fn also(noted: &mut [Value], more: &[(&str, Value)]) {
        let noted = noted
            .last_mut()
            .and_then(Value::as_object_mut)
            .expect("one was noted");
        for (name, value) in more {
            noted.insert((*name).to_owned(), value.clone());
        }
    }

    /// A line of a job's results, by pointers into it.
    fn line(&mut self, job: &JobId, line: usize, shows: &Value) {
        self.lines
            .push(json!({"job": job.as_str(), "line": line, "shows": shows}));
    }

    /// The event of a job's end.
    fn end_event(&mut self, job: &JobId, kind: &str, path: &str) {
        self.event(&job.delivery(0), kind, path, true);
    }

    /// A submission that has not begun.
    fn untouched(&mut self) {
        let domains = ["spotify.com", "unknown-1.example", "stripe.com"];
        let job = self.native(&companies(&domains, Some(&self.stack.hook("untouched"))));
        self.leave(
            "before its first chunk",
            &job,
            &End::completed(1, &found_of(&domains)),
        );
        self.end_event(&job, "job.completed", "untouched");
    }

    /// Its client may send it again, and must be answered the same.
    fn with_faults(&mut self) -> Value {
        let good = json!({"input": {"domain": "spotify.com"}});
        let sent =
            json!({"type": "company", "records": [good, {"input": {}}, {"input": {"domain": 7}}]})
                .to_string();
        let (job, answer) = self.submit("/v1/jobs", &[("idempotency-key", "stored-1")], &sent);
        assert!(
            answer["errors"]
                .as_array()
                .is_some_and(|faults| faults.len() == 2),
            "{answer}"
        );
        self.leave(
            "before its first chunk",
            &job,
            &End::completed(1, &[("found", 1), ("invalid", 2)]),
        );
        json!({"key": "stored-1", "body": sent, "job": job.as_str(), "errors": answer["errors"]})
    }

    /// Records that an upstream answers later: one has been, the message about it is on its way,
    /// one has not.
    fn suspended(&mut self) {
        let domains = [0, 1, 2].map(|n| format!("{n}.{}.example", self.tag()));
        let job = self.native(&late(&domains[..2], None));
        self.enrich(SECOND, |_, _, _| false);
        let url = self.stack.callbacks.lock().unwrap()[&domains[0]].clone();
        self.stack.post_answer(&url, &answered(&domains[0]));
        self.leave(
            "one of two upstream's answers is there, unread",
            &job,
            &End::completed(2, &[("found", 2)]),
        );

        let job = self.native(&late(&domains[2..], Some(&self.stack.hook("parked"))));
        self.enrich(SECOND, |_, _, _| false);
        self.leave(
            "waits for an upstream's answer",
            &job,
            &End::completed(2, &[("found", 1)]),
        );
        self.end_event(&job, "job.completed", "parked");
    }

    /// Every chunk has its result, and the process that was about to end the job died.
    fn unfinished(&mut self) {
        let domains = ["spotify.com", "unknown-1.example"];
        let job = self.native(&companies(&domains, Some(&self.stack.hook("unfinished"))));
        self.enrich(SECOND, |name, op, _| {
            name.starts_with("Enrich") && op == Op::Transact
        });
        let shown = self.stack.get(&format!("/v1/jobs/{job}"));
        assert_eq!(
            (&shown["status"], &shown["counts"]["found"]),
            (&json!("running"), &json!(1)),
            "{shown}"
        );
        self.leave(
            "all done, its end not written",
            &job,
            &End::completed(1, &found_of(&domains)),
        );
        self.end_event(&job, "job.completed", "unfinished");
    }

    /// Its event has not been tried; has been refused once; was being sent by a process that died.
    fn untold(&mut self) {
        for path in ["untold", "refused", "interrupted"] {
            let domains = ["stripe.com"];
            let job = self.native(&companies(&domains, Some(&self.stack.hook(path))));
            self.enrich(SECOND, |_, _, _| false);
            self.reported(path);
            self.leave(
                &format!("ended, its event {path}"),
                &job,
                &End::completed(1, &found_of(&domains)),
            );
            self.end_event(&job, "job.completed", path);
        }
    }

    /// Its event has been refused for good; has been, and its client wants it again; has been put
    /// off by its receiver; goes to a receiver that was slow before.
    fn told_before(&mut self) {
        let all = ["gone", "again", "later", "slow"];
        for path in all {
            let domains = ["stripe.com"];
            let job = self.native(&companies(&domains, Some(&self.stack.hook(path))));
            self.enrich(SECOND, |_, _, _| false);
            let reply = match path {
                "later" => Reply::body(503, "not now").header("retry-after", "20"),
                "slow" => Reply::status(200).after(SLOW),
                _ => Reply::body(410, "gone for good"),
            };
            self.stack.tenant.receiver.replies([reply]);
            self.run(SECOND + SLOW, |_, _, _| false);
            if path == "again" {
                let replay = format!("/v1/deliveries/{}/replay", job.delivery(0));
                body(&self.stack.call("POST", &replay, &[], "{}"), 202);
            }
            let left = format!("ended, its event {path}");
            self.leave(&left, &job, &End::completed(1, &found_of(&domains)));
            let comes = ["again", "later"].contains(&path);
            self.event(&job.delivery(0), "job.completed", path, comes);
            if path == "gone" {
                let reason = json!("endpoint_gone");
                Self::also(
                    &mut self.events,
                    &[("state", json!("exhausted")), ("reason", reason)],
                );
            }
        }
        let job = self.native(&companies(&["stripe.com"], Some(&self.stack.hook("slow"))));
        self.enrich(SECOND, |_, _, _| false);
        self.leave(
            "ended, its event for a slow receiver",
            &job,
            &End::completed(1, &[("found", 1)]),
        );
        self.end_event(&job, "job.completed", "slow");
    }

    /// Twice a process died over its first record alone, after it had died twice over both.
    fn killed(&mut self) {
        let mut sent = lookups(&format!("{}-killed", self.tag()), 3, None);
        sent["records"][0] = json!({"input": {}});
        let job = self.native(&sent);
        self.enrich(11 * MINUTE, |_, op, _| op == Op::Http);
        let end = End {
            status: "completed",
            counts: vec![("failed", 1), ("found", 1), ("invalid", 1)],
            credits: 3,
        };
        self.leave("its process died again and again", &job, &end);
        let detail = "the worker ended twice while it worked on this record";
        let lost = json!({"code": "worker_lost", "detail": detail});
        self.line(&job, 1, &json!({"/status": "failed", "/error": lost}));
        self.line(
            &job,
            2,
            &json!({"/status": "found", "/data": {"answer": 2}}),
        );
    }

    /// One chunk is done, the other's process died, and the sweep has asked for it once more.
    fn swept(&mut self) {
        let job = self.native(&lookups(&format!("{}-swept", self.tag()), 65, None));
        self.enrich(SECOND, |_, _, _| false);
        self.stack.world.kill_enrichers();
        self.take_messages();
        self.stack.world.options.enrichers = 0;
        for _ in 0..2 {
            self.stack.world.sim.clock.advance(2 * MINUTE);
            self.stack.world.sweep();
            self.stack.world.run_for(SECOND);
        }
        self.stack.world.options.enrichers = Options::PLAIN.enrichers;
        let known = (0..65).filter(|n| is_known(*n)).count();
        let counts = [("found", known), ("not_found", 65 - known)];
        self.leave("asked for once more", &job, &End::completed(3, &counts));
    }

    /// Records of every form that is echoed.
    fn odd(&mut self) {
        let records = json!([
            {"id": "m1", "input": {"domain": "spotify.com"}, "metadata": {"row": 7}},
            {"id": "m2", "input": {"domain": "unknown-1.example"}, "metadata": " "},
            {"id": ["m3"], "input": "stripe.com", "metadata": 5},
        ]);
        let sent = json!({"type": "company", "name": "Of every form", "records": records,
            "max_credits": 1});
        let job = self.native(&sent);
        let counts = [("found", 1), ("invalid", 1), ("skipped", 1)];
        self.leave("before its first chunk", &job, &End::completed(1, &counts));
        let records = records.as_array().expect("records").iter();
        for (n, sent) in records.enumerate() {
            let shows =
                json!({"/id": sent["id"], "/input": sent["input"], "/metadata": sent["metadata"]});
            self.line(&job, n, &shows);
        }
    }

    /// Jobs that have ended with records of other outcomes than the providers'.
    fn ended(&mut self) {
        let records = json!([{"input": {"domain": "spotify.com"}}, {"input": {}},
            {"input": {"domain": "stripe.com"}}]);
        let job = self.native(&json!({"type": "company", "records": records, "max_credits": 1}));
        self.enrich(SECOND, |_, _, _| false);
        let counts = [("found", 1), ("invalid", 1), ("skipped", 1)];
        self.leave("ended", &job, &End::completed(1, &counts));
        let job = self.native(&companies(
            &["stripe.com"],
            Some(&self.stack.hook("untold")),
        ));
        let cancel = format!("/v1/jobs/{job}/cancel");
        body(&self.stack.call("POST", &cancel, &[], ""), 202);
        self.enrich(SECOND, |_, _, _| false);
        let counts = vec![("canceled", 1)];
        self.leave(
            "ended, its event untold",
            &job,
            &End {
                status: "canceled",
                counts,
                credits: 0,
            },
        );
        self.end_event(&job, "job.canceled", "untold");
    }

    /// A piece that is stored for the next client that asks for it.
    fn piece(&mut self) -> String {
        let domain = format!("data.{}.example", self.tag());
        let job = self.native(&records(
            [json!({"domain": domain})].into_iter(),
            "piece",
            None,
        ));
        let fetched_at = self.stack.world.now().rfc3339();
        self.enrich(SECOND, |_, _, _| false);
        self.leave("ended", &job, &End::completed(1, &[("found", 1)]));
        fetched_at
    }

    /// Records of which something is known while an upstream takes its time: a piece; that somebody
    /// has nothing; that somebody failed. The upstream has posted once, and not its answer.
    fn pieces(&mut self) {
        let fetched_at = self.piece();
        let domains =
            ["data", "no", "failure"].map(|what| format!("{what}.{}.example", self.tag()));
        let inputs = domains.iter().map(|domain| json!({"domain": domain}));
        let job = self.native(&records(inputs, "pieces", None));
        self.enrich(SECOND, |_, _, _| false);
        for domain in &domains {
            let url = self.stack.callbacks.lock().unwrap()[domain].clone();
            self.stack.post_answer(&url, &json!({"status": "accepted"}));
        }
        self.enrich(15 * SECOND, |_, _, _| false);
        let counts = [("found", 1), ("not_found", 2)];
        self.leave(
            "waits, and knows something",
            &job,
            &End::completed(7, &counts),
        );
        let one = json!({"provider": "piece-kept", "fetched_at": fetched_at, "confidence": 0.5,
                         "license": "CC-BY-4.0", "cached": true});
        let data = json!({"one": "first", "two": format!("Name of {}", domains[0]), "three": 3});
        self.line(
            &job,
            0,
            &json!({"/status": "found", "/data": data, "/sources/one": one, "/credits": 7}),
        );
        let error = |detail: &str| json!({"code": "provider_error", "detail": detail});
        let late = error("piece-late: the provider took the question and could not answer it");
        self.line(&job, 1, &json!({"/status": "not_found", "/error": late}));
        let kept = error("piece-kept: the provider answered HTTP 500");
        self.line(&job, 2, &json!({"/status": "not_found", "/error": kept}));
    }

    /// Records that wait for a slot of an upstream that refuses both: one has a wrong number, one
    /// none.
    fn turns(&mut self) {
        let tag = self.tag();
        let domain = |n: usize| format!("turn-{n}.{tag}.example");
        let first = [json!({"domain": domain(0), "number": 1})];
        let job = self.native(&records(first.into_iter(), "turns", None));
        self.enrich(SECOND, |_, _, _| false);
        self.leave("ended", &job, &End::completed(1, &[("not_found", 1)]));
        let inputs = [
            json!({"domain": domain(1), "number": "seven"}),
            json!({"domain": domain(2)}),
        ];
        let job = self.native(&records(inputs.into_iter(), "turns", None));
        self.enrich(SECOND, |_, _, _| false);
        let counts = [("failed", 1), ("invalid", 1)];
        self.leave("waits for its turn", &job, &End::completed(1, &counts));
        let why = "`input.number / 2` cannot be computed (invalid operation)";
        let wrong = json!({"code": "invalid_input", "detail": why});
        self.line(&job, 0, &json!({"/status": "invalid", "/error": wrong}));
        let unsuited =
            json!({"code": "provider_input", "detail": "turn-first: `number` is needed"});
        self.line(&job, 1, &json!({"/status": "failed", "/error": unsuited}));
    }

    /// A record whose upstream is too busy.
    fn refused(&mut self) {
        self.stack.busy.store(true, Ordering::SeqCst);
        let input = json!({"domain": format!("busy.{}.example", self.tag())});
        let job = self.native(&records([input].into_iter(), "refused", None));
        self.enrich(SECOND, |_, _, _| false);
        self.stack.busy.store(false, Ordering::SeqCst);
        self.leave(
            "waits for an upstream that is too busy",
            &job,
            &End::completed(1, &[("found", 1)]),
        );
    }

    /// Of three providers the client wants the last.
    fn chosen(&mut self) -> Value {
        let domain = format!("chosen.{}.example", self.tag());
        let mut sent = records([json!({"domain": domain})].into_iter(), "pieces", None);
        sent["providers"] = json!(["piece-last"]);
        let job = self.native(&sent);
        self.leave(
            "before its first chunk",
            &job,
            &End::completed(4, &[("found", 1)]),
        );
        self.line(&job, 0, &json!({"/data": {"three": 3}}));
        json!(domain)
    }

    /// A job whose only record failed, and another that is to try it again, where it fails once
    /// more.
    fn retried(&mut self) {
        let domain = format!("broken.{}.example", self.tag());
        let mut sent = records([json!({"domain": domain})].into_iter(), "pieces", None);
        sent["providers"] = json!(["piece-last"]);
        let job = self.native(&sent);
        self.enrich(SECOND, |_, _, _| false);
        self.leave("ended", &job, &End::completed(4, &[("failed", 1)]));
        let (again, _) = self.submit(&format!("/v1/jobs/{job}/retry"), &[], "{}");
        self.leave(
            "before its first chunk",
            &again,
            &End::completed(4, &[("failed", 1)]),
        );
        Self::also(
            &mut self.jobs,
            &[("shows", json!({"/retry_of": job.as_str()}))],
        );
    }

    /// Jobs without a provider: one not begun, one that has failed and whose event is due.
    fn failure_reason(&mut self) {
        let why = "no provider is configured: name one in [types.nobodys] of providers.toml";
        for left in ["before its first chunk", "ended, its event untold"] {
            let input = json!({"domain": "spotify.com"});
            let hook = self.stack.hook("hopeless");
            let job = self.native(&records([input].into_iter(), "nobodys", Some(&hook)));
            if left != "before its first chunk" {
                self.enrich(SECOND, |_, _, _| false);
            }
            let counts = vec![("failed", 1)];
            self.leave(
                left,
                &job,
                &End {
                    status: "failed",
                    counts,
                    credits: 0,
                },
            );
            Self::also(&mut self.jobs, &[("shows", json!({"/error": why}))]);
            self.end_event(&job, "job.failed", "hopeless");
            Self::also(&mut self.events, &[("says", json!(why))]);
        }
    }

    /// Accepted without a credit being left: none of its records runs.
    fn broke(&mut self) {
        let tenant = self.stack.tenant.id.clone();
        let balance = self.stack.get("/v1/account")["credits"]["balance"]
            .as_i64()
            .expect("a balance");
        let grant = |stack: &Stack, credits| {
            let granted = stack
                .world
                .call(async |ports| add_credits(ports, &tenant, credits).await);
            assert!(matches!(granted, Ok(Some(_))));
        };
        grant(&self.stack, -balance);
        let sent = json!({"name": "broke", "data": [{"email": "ada@example.com"}]}).to_string();
        let (job, _) = self.submit("/api/v2/contact/reverse/email/bulk", &[], &sent);
        grant(&self.stack, balance);
        let counts = vec![("skipped", 1)];
        self.leave(
            "before its first chunk",
            &job,
            &End {
                status: "failed",
                counts,
                credits: 0,
            },
        );
        let why = json!({"/name": "broke", "/error": "not enough credits for any record"});
        Self::also(&mut self.jobs, &[("shows", why)]);
    }

    /// The outcome of the first attempt of an event to such a path.
    fn reported(&mut self, path: &str) {
        let before = self.stack.tenant.receiver.exchanges().len();
        match path {
            "refused" => {
                self.stack
                    .tenant
                    .receiver
                    .replies([Reply::body(500, "come again")]);
                self.run(SECOND, |_, _, _| false);
                assert_eq!(self.stack.tenant.receiver.exchanges().len(), before + 1);
            }
            "interrupted" => self.run(SECOND, |_, op, _| op == Op::Http),
            _ => {}
        }
    }

    /// A job of two shards that tells of each record. The first chunk is done, and its event has
    /// been delivered; the next have results and events, and their processes died before the
    /// progress; the others are where a large job waits.
    fn record_by_record(&mut self) {
        let domain = |n: usize| {
            if n.is_multiple_of(3) {
                "spotify.com".to_owned()
            } else {
                format!("unknown-{n}.example")
            }
        };
        let domains: Vec<String> = (0..101).map(domain).collect();
        let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
        let mut sent = companies(&domains, Some(&self.stack.hook("records")));
        sent["webhook_events"] = json!({"record.finished": self.stack.hook("record")});
        let job = self.native(&sent);
        let progress = format!("JOB#{job}/PROGRESS#");
        self.stack.world.options.bulk_enrichers = Some(0);
        let seen = Mutex::new(0);
        self.run(SECOND, move |_, op, subject| {
            let counts = op == Op::Update && subject.starts_with(&progress);
            let mut seen = seen.lock().unwrap();
            *seen += usize::from(counts);
            counts && *seen > 1
        });
        self.stack.world.options.bulk_enrichers = None;
        // The one chunk of the second shard overtakes those of the first.
        let known = self.messages.len();
        self.take_messages();
        let last = |(.., message): &(_, _, Message)| message.body.contains("\"chunk\":100,");
        let at = known
            + self.messages[known..]
                .iter()
                .position(last)
                .expect("its message");
        let (lane, _, message) = self.messages.remove(at);
        let sent = async |ports: &Ports| ports.queue.send(lane, vec![message.clone()]).await;
        assert_eq!(self.stack.world.call(sent), Ok(()));
        self.enrich(SECOND, |_, _, _| false);
        let reported = self.stack.tenant.receiver.exchanges();
        let reported: Vec<&str> = reported
            .iter()
            .filter(|got| got.url.ends_with("/record"))
            .map(Exchange::id)
            .collect();
        let reported: Vec<DeliveryId> = reported
            .into_iter()
            .map(|id| DeliveryId::parse_event(id).expect("an event"))
            .collect();
        assert!((2..10).contains(&reported.len()), "{reported:?}");
        let counts = self.stack.get(&format!("/v1/jobs/{job}"))["counts"].clone();
        assert_eq!(
            (&counts["found"], &counts["not_found"]),
            (&json!(1), &json!(1)),
            "{counts}"
        );
        self.leave(
            "in the middle of a hundred chunks",
            &job,
            &End::completed(1, &found_of(&domains)),
        );
        for n in 0..101 {
            let id = job.record_delivery(n);
            self.event(&id, "record.finished", "record", !reported.contains(&id));
        }
        self.end_event(&job, "job.completed", "records");
    }

    /// One chunk is done, of the other nothing is stored: its process died, and the client has
    /// asked to stop.
    fn canceled(&mut self) {
        let job = self.native(&lookups(
            &format!("{}-canceled", self.tag()),
            65,
            Some(&self.stack.hook("canceled")),
        ));
        self.enrich(SECOND, |_, _, _| false);
        self.stack.world.kill_enrichers();
        let answer = body(
            &self
                .stack
                .call("POST", &format!("/v1/jobs/{job}/cancel"), &[], ""),
            202,
        );
        assert_eq!(answer["status"], "canceling");
        let known = (0..33).filter(|n| is_known(*n)).count();
        let counts = vec![
            ("found", known),
            ("not_found", 33 - known),
            ("canceled", 32),
        ];
        self.leave(
            "being canceled",
            &job,
            &End {
                status: "canceled",
                counts,
                credits: 3 * known,
            },
        );
        self.end_event(&job, "job.canceled", "canceled");
    }

    /// A job of each compatible API, each left elsewhere.
    fn of_each_surface(&mut self) {
        let half: [(&str, usize); 2] = [("found", 1), ("not_found", 1)];
        let hook = |path: &str| self.stack.hook(path);
        let surfaces = [
            (
                "fullenrich",
                "untold",
                "/api/v2/contact/reverse/email/bulk",
                json!({"name": "stored", "data": [{"email": "ada@example.com"},
                    {"email": "unknown@example.com"}],
                       "webhook_url": hook("fullenrich")}),
                &half[..],
            ),
            (
                "sixtyfour",
                "begun",
                "/find-email-bulk-async",
                json!({"leads": [{"name": "Ada Lovelace", "company": "Example"},
                    {"name": "unknown", "company": "Example"}],
                       "webhook_url": hook("sixtyfour")}),
                &half[..],
            ),
            (
                "apione",
                "refused",
                "/api/v1/async/enrich",
                json!({"type": "people", "records": [{"email": "ada@example.com"},
                    {"email": "unknown@example.com"}],
                       "webhook_url": hook("apione")}),
                &half[..],
            ),
            (
                "springbolt",
                "interrupted",
                "/linkedin-to-phone",
                json!({"linkedinUrl": "https://www.linkedin.com/in/ada",
                    "callbackUrl": hook("springbolt")}),
                &half[..1],
            ),
        ];
        for (surface, left, path, sent, counts) in surfaces {
            let (job, _) = self.submit(path, &[], &sent.to_string());
            if left != "begun" {
                self.enrich(SECOND, |_, _, _| false);
                self.reported(left);
            }
            self.leave(
                &format!("of {surface}, {left}"),
                &job,
                &End::completed(1, counts),
            );
            self.end_event(&job, "job.completed", surface);
        }
    }

    /// The function stopped in time: its work is checkpointed, and a message with its lease asks
    /// for the rest.
    fn half_way(&mut self) {
        let job = self.native(&lookups(&self.tag(), 40, Some(&self.stack.hook("half"))));
        // As if a deployment had taken so long: what lost its process is free by then, and a first
        // message that comes so late may have company.
        self.stack.world.sim.clock.advance(3 * MINUTE);
        // Of 30 s a run begins records for four, and then asks for the next run, which does nothing
        // yet.
        let asked = AtomicBool::new(false);
        self.enrich(SLOW + SECOND, move |_, op, _| {
            asked.fetch_or(op == Op::Send, Ordering::SeqCst)
        });
        let known = (0..40).filter(|n| is_known(*n)).count();
        self.leave(
            "half-way",
            &job,
            &End::completed(3, &[("found", known), ("not_found", 40 - known)]),
        );
        let now = self.stack.world.now();
        for (_, at, message) in &mut self.messages {
            if message.body.contains(job.as_str()) {
                *at = now;
            }
        }
        self.end_event(&job, "job.completed", "half");
    }

    fn dump(mut self) -> Dump {
        self.killed();
        self.swept();
        let repeated = self.with_faults();
        self.untouched();
        self.odd();
        self.ended();
        self.failure_reason();
        self.broke();
        let chosen = self.chosen();
        self.retried();
        self.told_before();
        self.suspended();
        self.pieces();
        self.turns();
        self.refused();
        self.unfinished();
        self.untold();
        self.record_by_record();
        self.canceled();
        self.of_each_surface();
        self.half_way();

        let Stack {
            world,
            tenant,
            callbacks,
            ..
        } = self.stack;
        let asked = world
            .sim
            .http
            .sent()
            .into_iter()
            .map(|sent| sent.request.url);
        let asked: Vec<String> = asked
            .filter(|url| url.contains(&format!("/lookup/{}.", tenant.id)))
            .collect();
        let now = world.now();
        let waiting = callbacks.lock().unwrap().clone();
        let waiting = waiting
            .into_iter()
            .filter(|(domain, _)| !domain.starts_with("0."));
        let waiting = waiting.map(|(domain, url)| json!({"url": url, "answer": answered(&domain)}));
        let expected = json!({
            "api_key": tenant.api_key,
            "hooks": tenant.hooks,
            "balance": CREDITS - i64::try_from(self.used).expect("some credits"),
            "used": self.used,
            // The test posts to the callback URL that the first run of each chunk gave.
            "to_post": waiting.collect::<Vec<_>>(),
            // A request that may be sent again.
            "repeated": repeated,
            // Questions of the job that is half-way whose answers are stored.
            "answered": asked,
            // Records that no provider is asked about.
            "unasked": [format!("/piece/kept?domain={}", chosen.as_str().expect("a domain"))],
            "jobs": self.jobs,
            "lines": self.lines,
            "events": self.events,
        });
        let messages = self.messages.into_iter();
        let messages = messages.map(|(lane, at, message)| {
            (
                lane,
                Message {
                    delay: stored::delay(at, now),
                    ..message
                },
            )
        });
        // The shared knowledge of a deployment's processes belongs to no tenant and may be lost at
        // any time.
        let shared = ["RATE#", "BREAKER#", "WAITS#"];
        let items = world.sim.store.items().into_iter();
        let items =
            items.filter(|item| !shared.iter().any(|prefix| item.key.pk.starts_with(prefix)));
        Dump {
            made_at: now,
            tenant: tenant.id,
            items: items.collect(),
            messages: messages.collect(),
            expected,
        }
    }
}

fn records(inputs: impl Iterator<Item = Value>, kind: &str, webhook: Option<&str>) -> Value {
    let records: Vec<Value> = inputs
        .enumerate()
        .map(|(n, input)| json!({"id": format!("n{n}"), "input": input}))
        .collect();
    let mut sent = json!({"type": kind, "records": records});
    if let Some(url) = webhook {
        sent["webhook_url"] = url.into();
    }
    sent
}

fn companies(domains: &[&str], webhook: Option<&str>) -> Value {
    records(
        domains.iter().map(|domain| json!({"domain": domain})),
        "company",
        webhook,
    )
}

fn late(domains: &[String], webhook: Option<&str>) -> Value {
    records(
        domains.iter().map(|domain| json!({"domain": domain})),
        "late",
        webhook,
    )
}

fn lookups(tag: &str, count: usize, webhook: Option<&str>) -> Value {
    records(
        (0..count).map(|n| json!({"key": format!("{tag}.{n}")})),
        "lookup",
        webhook,
    )
}

/// The answer of the upstream that answers later.
fn answered(domain: &str) -> Value {
    match domain.split('.').next() {
        Some("no") => return json!({"status": "failed"}),
        Some("failure") => return json!({"status": "done", "result": {}}),
        _ => {}
    }
    json!({"status": "done", "result": {"name": format!("Name of {domain}")}})
}

/// Counts these domains that the table of brands has, and those that it does not have.
fn found_of(domains: &[&str]) -> Vec<(&'static str, usize)> {
    let table = file("infra/data/brands.csv");
    let known = |domain: &&&str| {
        table
            .lines()
            .any(|line| line.split(',').next() == Some(**domain))
    };
    let found = domains.iter().filter(known).count();
    [("found", found), ("not_found", domains.len() - found)]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Makes the newest dump. Once its version is out it does not change: later versions must finish
/// it.
#[test]
#[ignore = "writes tests/e2e/stored; see docs/TESTING.md"]
fn make_the_dump() {
    let version = VERSIONS.last().expect("a version");
    let text = Maker::new(version).dump().text();
    let path = stored::path(version);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
    std::fs::write(&path, &text).expect("the dump is written");
    println!("{}: {} bytes", path.display(), text.len());
}
