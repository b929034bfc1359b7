//! What every queue keeps.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::json;
use shared::aws::SqsQueue;
use shared::ports::{Message, Queue, QueueName};
use tests::sim::{Sim, SimQueue};

use crate::emulator::{Emulator, Kind};
use crate::wire;

/// The visibility time-out of the queues in this suite, and after how many receives they give a message up.
const VISIBILITY: Duration = Duration::from_secs(2);
const MAX_RECEIVES: u32 = 3;

struct Got {
    body: String,
    group: String,
    receipt: String,
    receive_count: u32,
}

/// The other end of the queue, and the passing of time.
trait Bench {
    fn queue(&self) -> &dyn Queue;
    fn receive(&self, max: usize) -> Vec<Got>;
    fn delete(&self, receipt: &str);
    /// Bodies that were given up.
    fn dead(&self) -> Vec<String>;
    fn wait(&self, time: Duration);
}

const QUEUE: QueueName = QueueName::Webhook;

type Case = for<'a> fn(&'a dyn Bench) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One list for both runs; the simulated one is a test a case.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |bench| Box::pin($name(bench)))),*];

        mod simulated {
            $(#[test]
            fn $name() {
                super::on_simulation(|bench| Box::pin(super::$name(bench)));
            })*
        }
    };
}

cases!(
    all_messages_arrive_however_many,
    a_message_keeps_its_group,
    sending_nothing_is_fine,
    a_delayed_message_is_not_seen_early,
    a_received_message_comes_back_after_the_visibility_time_out,
    a_deleted_message_never_comes_back,
    a_postponed_message_comes_back_at_its_time,
    postponing_by_nothing_brings_it_back_at_once,
    a_message_given_up_is_a_dead_letter,
    an_unknown_receipt_cannot_be_postponed,
    a_body_over_the_limit_is_refused,
);

fn message(body: impl Into<String>, delay: u64) -> Message {
    Message { body: body.into(), delay: Duration::from_secs(delay), group: "tenant-1".to_owned() }
}

fn bodies(got: &[Got]) -> Vec<&str> {
    got.iter().map(|got| got.body.as_str()).collect()
}

/// Receives until nothing more comes, deleting as it goes.
fn drain(bench: &dyn Bench) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let got = bench.receive(10);
        if got.is_empty() {
            return all;
        }
        for got in got {
            bench.delete(&got.receipt);
            all.push(got.body);
        }
    }
}

async fn all_messages_arrive_however_many(bench: &dyn Bench) {
    let sent: Vec<String> = (0..37).map(|n| format!("{{\"n\":{n},\"text\":\"é\\u0000 <&>\"}}")).collect();
    bench.queue().send(QUEUE, sent.iter().map(|body| message(body, 0)).collect()).await.unwrap();
    let got: BTreeSet<String> = drain(bench).into_iter().collect();
    assert_eq!(got, sent.into_iter().collect());
}

async fn a_message_keeps_its_group(bench: &dyn Bench) {
    bench.queue().send(QUEUE, vec![message("of a tenant", 0)]).await.unwrap();
    assert_eq!(bench.receive(10)[0].group, "tenant-1");
}

async fn sending_nothing_is_fine(bench: &dyn Bench) {
    bench.queue().send(QUEUE, Vec::new()).await.unwrap();
    assert!(bench.receive(10).is_empty());
}

async fn a_delayed_message_is_not_seen_early(bench: &dyn Bench) {
    bench.queue().send(QUEUE, vec![message("later", 2), message("now", 0)]).await.unwrap();
    assert_eq!(drain(bench), ["now"]);
    bench.wait(Duration::from_secs(3));
    assert_eq!(drain(bench), ["later"]);
}

async fn a_received_message_comes_back_after_the_visibility_time_out(bench: &dyn Bench) {
    bench.queue().send(QUEUE, vec![message("again", 0)]).await.unwrap();
    let first = bench.receive(10);
    assert_eq!((bodies(&first), first[0].receive_count), (vec!["again"], 1));
    assert!(bench.receive(10).is_empty());
    bench.wait(VISIBILITY + Duration::from_secs(1));
    let second = bench.receive(10);
    assert_eq!((bodies(&second), second[0].receive_count), (vec!["again"], 2));
    assert_ne!(first[0].receipt, second[0].receipt);
}

async fn a_deleted_message_never_comes_back(bench: &dyn Bench) {
    bench.queue().send(QUEUE, vec![message("once", 0)]).await.unwrap();
    bench.delete(&bench.receive(10)[0].receipt);
    bench.wait(VISIBILITY + Duration::from_secs(1));
    assert!(bench.receive(10).is_empty());
}

async fn a_postponed_message_comes_back_at_its_time(bench: &dyn Bench) {
    bench.queue().send(QUEUE, vec![message("later", 0)]).await.unwrap();
    let first = bench.receive(10);
    bench.queue().postpone(QUEUE, &first[0].receipt, Duration::from_secs(4)).await.unwrap();
    bench.wait(VISIBILITY + Duration::from_millis(500));
    assert!(bench.receive(10).is_empty());
    bench.wait(Duration::from_millis(2500));
    assert_eq!(bench.receive(10)[0].receive_count, 2);
}

async fn postponing_by_nothing_brings_it_back_at_once(bench: &dyn Bench) {
    bench.queue().send(QUEUE, vec![message("again", 0)]).await.unwrap();
    let first = bench.receive(10);
    bench.queue().postpone(QUEUE, &first[0].receipt, Duration::ZERO).await.unwrap();
    assert_eq!(bench.receive(10)[0].receive_count, 2);
}

async fn a_message_given_up_is_a_dead_letter(bench: &dyn Bench) {
    bench.queue().send(QUEUE, vec![message("poison", 0)]).await.unwrap();
    for count in 1..=MAX_RECEIVES {
        let got = bench.receive(10);
        assert_eq!(got[0].receive_count, count);
        bench.queue().postpone(QUEUE, &got[0].receipt, Duration::ZERO).await.unwrap();
    }
    assert!(bench.receive(10).is_empty());
    assert_eq!(bench.dead(), ["poison"]);
}

async fn an_unknown_receipt_cannot_be_postponed(bench: &dyn Bench) {
    assert!(bench.queue().postpone(QUEUE, "no-such-receipt", Duration::from_secs(1)).await.is_err());
}

async fn a_body_over_the_limit_is_refused(bench: &dyn Bench) {
    // 1 MiB is the limit of SQS since August 2025; the simulation keeps the older one of 256 KiB.
    let body = "x".repeat(1024 * 1024 + 1);
    assert!(bench.queue().send(QUEUE, vec![message(body, 0)]).await.is_err());
}

struct Simulated(Sim);

impl Bench for Simulated {
    fn queue(&self) -> &dyn Queue {
        &*self.0.queue
    }

    fn receive(&self, max: usize) -> Vec<Got> {
        let got = SimQueue::receive(&self.0.queue, QUEUE, max);
        got.into_iter()
            .map(|m| Got { body: m.body, group: m.group, receipt: m.receipt, receive_count: m.receive_count })
            .collect()
    }

    fn delete(&self, receipt: &str) {
        self.0.queue.delete(QUEUE, receipt);
    }

    fn dead(&self) -> Vec<String> {
        self.0.queue.dead_letters(QUEUE).into_iter().map(|m| m.body).collect()
    }

    fn wait(&self, time: Duration) {
        self.0.clock.advance(time);
    }
}

fn on_simulation(case: Case) {
    let sim = Sim::new(1);
    sim.queue.configure(VISIBILITY, MAX_RECEIVES);
    let bench = Simulated(sim.clone());
    sim.finish(case(&bench));
}

/// A run whose calls took longer than this beside its waits may have missed a message's time, and shows nothing.
const LEEWAY: Duration = Duration::from_secs(1);

struct Emulated {
    port: u16,
    /// How long the case waited on purpose.
    waited: Cell<Duration>,
    queue: SqsQueue,
    url: String,
    dead_url: String,
}

impl Emulated {
    fn create(port: u16, name: &str) -> Self {
        let call = |operation: &str, body| {
            let (status, answer) = wire::call(port, operation, &body);
            assert_eq!(status, 200, "{answer}");
            answer
        };
        let url = |answer: serde_json::Value| answer["QueueUrl"].as_str().unwrap().to_owned();
        let dead_url = url(call("AmazonSQS.CreateQueue", json!({"QueueName": format!("{name}-dead")})));
        let wanted = json!({"QueueUrl": dead_url, "AttributeNames": ["QueueArn"]});
        let arn = call("AmazonSQS.GetQueueAttributes", wanted)["Attributes"]["QueueArn"].clone();
        let redrive = json!({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES}).to_string();
        let attributes = json!({"VisibilityTimeout": VISIBILITY.as_secs().to_string(), "RedrivePolicy": redrive});
        let url = url(call("AmazonSQS.CreateQueue", json!({"QueueName": name, "Attributes": attributes})));
        let urls = BTreeMap::from([(QUEUE, url.clone())]);
        let queue = wire::clients(port, false).queue(urls, wire::clock(), wire::entropy());
        Self { port, waited: Cell::default(), queue, url, dead_url }
    }

    fn receive_from(&self, url: &str, max: usize) -> Vec<Got> {
        let body = json!({"QueueUrl": url, "MaxNumberOfMessages": max, "WaitTimeSeconds": 0,
            "MessageSystemAttributeNames": ["All"], "AttributeNames": ["All"]});
        let (status, answer) = wire::call(self.port, "AmazonSQS.ReceiveMessage", &body);
        assert_eq!(status, 200, "{answer}");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        messages
            .iter()
            .map(|message| Got {
                body: text(&message["Body"]),
                group: text(&message["Attributes"]["MessageGroupId"]),
                receipt: text(&message["ReceiptHandle"]),
                receive_count: text(&message["Attributes"]["ApproximateReceiveCount"]).parse().unwrap(),
            })
            .collect()
    }
}

impl Bench for Emulated {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    fn receive(&self, max: usize) -> Vec<Got> {
        self.receive_from(&self.url, max)
    }

    fn delete(&self, receipt: &str) {
        let body = json!({"QueueUrl": self.url, "ReceiptHandle": receipt});
        assert_eq!(wire::call(self.port, "AmazonSQS.DeleteMessage", &body).0, 200);
    }

    fn dead(&self) -> Vec<String> {
        self.receive_from(&self.dead_url, 10).into_iter().map(|got| got.body).collect()
    }

    fn wait(&self, time: Duration) {
        std::thread::sleep(time);
        self.waited.set(self.waited.get() + time);
    }
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

#[test]
fn on_ministack() {
    on(Kind::MiniStack);
}

#[test]
fn on_moto() {
    on(Kind::Moto);
}

fn on(kind: Kind) {
    let stack = Emulator::start(kind);
    stack.run_all(CASES, |name, case| {
        for attempt in 1.. {
            let bench = Emulated::create(stack.port, &format!("{name}-{attempt}"));
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| wire::block_on(case(&bench))));
            let slow = started.elapsed() > bench.waited.get() + LEEWAY;
            match outcome {
                Ok(()) => return,
                Err(_) if slow && attempt < 20 => {}
                Err(panic) => resume_unwind(panic),
            }
        }
    });
}
