//! The contract of queues.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::json;
use shared::aws::SqsQueue;
use shared::ports::{Message, Queue, QueueName};
use testkit::servers::PATIENCE;
use testkit::sim::{Sim, SimQueue};

use crate::emulator::{Emulator, EmulatorName};
use crate::wire;

/// A visibility time-out that ends while a case waits, and one that outlasts even a slow machine.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_hours(1);

/// The longest possible delay.
const DELAY: Duration = Duration::from_mins(15);

/// The receives after which the queues of this suite give up a message.
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
    /// Returns the messages received after this time; on virtual time, none arrives before.
    fn comes_after(&self, time: Duration) -> Vec<Got>;
    /// Returns true if hours may pass.
    fn is_virtual(&self) -> bool;
}

const QUEUE: QueueName = QueueName::Webhook;

type Case = for<'a> fn(&'a dyn Bench) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One list for both runs, with the queue's visibility time-out; on the simulation each case is a
/// test.
macro_rules! cases {
    ($($name:ident: $visibility:ident),* $(,)?) => {
        const CASES: &[(&str, (Duration, Case))] =
            &[$((stringify!($name), ($visibility, |bench| Box::pin($name(bench))))),*];

        mod simulated {
            $(#[test]
            fn $name() {
                super::on_simulation(super::$visibility, |bench| Box::pin(super::$name(bench)));
            })*
        }
    };
}

cases!(
    all_messages_arrive_however_many: LONG,
    a_message_keeps_its_group: LONG,
    sending_nothing_is_fine: LONG,
    a_delayed_message_is_not_seen_early: LONG,
    a_delayed_message_comes_at_its_time: LONG,
    a_received_message_is_hidden: LONG,
    a_received_message_comes_back_after_the_visibility_time_out: SHORT,
    a_deleted_message_never_comes_back: SHORT,
    a_postponed_message_comes_back_sooner: LONG,
    a_postponed_message_comes_back_later: SHORT,
    postponing_by_nothing_brings_it_back_at_once: LONG,
    a_message_given_up_is_a_dead_letter: LONG,
    an_unknown_receipt_cannot_be_postponed: LONG,
    a_body_over_the_limit_is_refused: LONG,
);

fn message(body: impl Into<String>, delay: Duration) -> Message {
    Message {
        body: body.into(),
        delay,
        group: "tenant-1".to_owned(),
    }
}

async fn send(bench: &dyn Bench, bodies: &[&str]) {
    let messages = bodies
        .iter()
        .map(|body| message(*body, Duration::ZERO))
        .collect();
    bench.queue().send(QUEUE, messages).await.unwrap();
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
    let sent: Vec<String> = (0..37)
        .map(|n| format!("{{\"n\":{n},\"text\":\"é\\u0000 <&>\"}}"))
        .collect();
    send(bench, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let got = drain(bench);
    assert_eq!(got.len(), sent.len());
    assert_eq!(BTreeSet::from_iter(got), BTreeSet::from_iter(sent));
}

async fn a_message_keeps_its_group(bench: &dyn Bench) {
    send(bench, &["of a tenant"]).await;
    assert_eq!(bench.receive(10)[0].group, "tenant-1");
}

async fn sending_nothing_is_fine(bench: &dyn Bench) {
    bench.queue().send(QUEUE, Vec::new()).await.unwrap();
    assert!(bench.receive(10).is_empty());
}

async fn a_delayed_message_is_not_seen_early(bench: &dyn Bench) {
    bench
        .queue()
        .send(
            QUEUE,
            vec![message("later", DELAY), message("now", Duration::ZERO)],
        )
        .await
        .unwrap();
    assert_eq!(drain(bench), ["now"]);
    if bench.is_virtual() {
        assert_eq!(bodies(&bench.comes_after(DELAY)), ["later"]);
    }
}

async fn a_delayed_message_comes_at_its_time(bench: &dyn Bench) {
    bench
        .queue()
        .send(
            QUEUE,
            vec![message("latest", DELAY), message("later", SHORT)],
        )
        .await
        .unwrap();
    assert_eq!(bodies(&bench.comes_after(SHORT)), ["later"]);
}

async fn a_received_message_is_hidden(bench: &dyn Bench) {
    send(bench, &["hidden"]).await;
    assert_eq!(bodies(&bench.receive(10)), ["hidden"]);
    assert!(bench.receive(10).is_empty());
    if bench.is_virtual() {
        assert_eq!(bodies(&bench.comes_after(LONG)), ["hidden"]);
    }
}

async fn a_received_message_comes_back_after_the_visibility_time_out(bench: &dyn Bench) {
    send(bench, &["again"]).await;
    let first = bench.receive(10);
    assert_eq!((bodies(&first), first[0].receive_count), (vec!["again"], 1));
    let second = bench.comes_after(SHORT);
    assert_eq!(
        (bodies(&second), second[0].receive_count),
        (vec!["again"], 2)
    );
    assert_ne!(first[0].receipt, second[0].receipt);
}

/// Receives two messages at once, so that the second can return when the first can.
fn receive_both(bench: &dyn Bench) -> String {
    let got = bench.receive(10);
    assert_eq!(bodies(&got), ["first", "second"]);
    got[0].receipt.clone()
}

async fn a_deleted_message_never_comes_back(bench: &dyn Bench) {
    send(bench, &["first", "second"]).await;
    bench.delete(&receive_both(bench));
    assert_eq!(bodies(&bench.comes_after(SHORT)), ["second"]);
    if bench.is_virtual() {
        assert_eq!(bodies(&bench.comes_after(SHORT)), ["second"]);
        assert!(bench.comes_after(LONG).is_empty());
    }
}

async fn a_postponed_message_comes_back_sooner(bench: &dyn Bench) {
    send(bench, &["first", "second"]).await;
    bench
        .queue()
        .postpone(QUEUE, &receive_both(bench), SHORT)
        .await
        .unwrap();
    let got = bench.comes_after(SHORT);
    assert_eq!((bodies(&got), got[0].receive_count), (vec!["first"], 2));
}

/// The emulators accept a receipt whose time-out has ended, so slowness cannot change the result.
async fn a_postponed_message_comes_back_later(bench: &dyn Bench) {
    send(bench, &["first", "second"]).await;
    bench
        .queue()
        .postpone(QUEUE, &receive_both(bench), LONG)
        .await
        .unwrap();
    let got = bench.comes_after(SHORT);
    assert_eq!((bodies(&got), got[0].receive_count), (vec!["second"], 2));
    bench.delete(&got[0].receipt);
    if bench.is_virtual() {
        assert_eq!(
            bodies(&bench.comes_after(LONG.saturating_sub(SHORT))),
            ["first"]
        );
    }
}

async fn postponing_by_nothing_brings_it_back_at_once(bench: &dyn Bench) {
    send(bench, &["again"]).await;
    let first = bench.receive(10);
    bench
        .queue()
        .postpone(QUEUE, &first[0].receipt, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(bench.receive(10)[0].receive_count, 2);
}

async fn a_message_given_up_is_a_dead_letter(bench: &dyn Bench) {
    send(bench, &["poison"]).await;
    for count in 1..=MAX_RECEIVES {
        let got = bench.receive(10);
        assert_eq!(got[0].receive_count, count);
        bench
            .queue()
            .postpone(QUEUE, &got[0].receipt, Duration::ZERO)
            .await
            .unwrap();
    }
    assert!(bench.receive(10).is_empty());
    assert_eq!(bench.dead(), ["poison"]);
}

async fn an_unknown_receipt_cannot_be_postponed(bench: &dyn Bench) {
    assert!(
        bench
            .queue()
            .postpone(QUEUE, "no-such-receipt", Duration::from_secs(1))
            .await
            .is_err()
    );
}

async fn a_body_over_the_limit_is_refused(bench: &dyn Bench) {
    // 1 MiB is the limit of SQS since August 2025; the simulation keeps the former one of 256 KiB.
    let body = "x".repeat(1024 * 1024 + 1);
    assert!(
        bench
            .queue()
            .send(QUEUE, vec![message(body, Duration::ZERO)])
            .await
            .is_err()
    );
}

struct Simulated(Sim);

impl Bench for Simulated {
    fn queue(&self) -> &dyn Queue {
        &*self.0.queue
    }

    fn receive(&self, max: usize) -> Vec<Got> {
        let got = SimQueue::receive(&self.0.queue, QUEUE, max);
        got.into_iter()
            .map(|m| Got {
                body: m.body,
                group: m.group,
                receipt: m.receipt,
                receive_count: m.receive_count,
            })
            .collect()
    }

    fn delete(&self, receipt: &str) {
        self.0.queue.delete(QUEUE, receipt);
    }

    fn dead(&self) -> Vec<String> {
        self.0
            .queue
            .dead_letters(QUEUE)
            .into_iter()
            .map(|m| m.body)
            .collect()
    }

    fn comes_after(&self, time: Duration) -> Vec<Got> {
        let moment = Duration::from_millis(1);
        self.0.clock.advance(time.saturating_sub(moment));
        assert!(self.receive(10).is_empty(), "before {time:?} have passed");
        self.0.clock.advance(moment);
        self.receive(10)
    }

    fn is_virtual(&self) -> bool {
        true
    }
}

fn on_simulation(visibility: Duration, case: Case) {
    let sim = Sim::new(1);
    sim.queue.configure(visibility, MAX_RECEIVES);
    let bench = Simulated(sim.clone());
    sim.finish(case(&bench));
}

struct Emulated {
    port: u16,
    queue: SqsQueue,
    url: String,
    dead_url: String,
}

impl Emulated {
    fn create(port: u16, name: &str, visibility: Duration) -> Self {
        let call = |operation: &str, body| {
            let (status, answer) = wire::call(port, operation, &body);
            assert_eq!(status, 200, "{answer}");
            answer
        };
        let url = |answer: serde_json::Value| answer["QueueUrl"].as_str().unwrap().to_owned();
        let dead_url = url(call(
            "AmazonSQS.CreateQueue",
            json!({"QueueName": format!("{name}-dead")}),
        ));
        let wanted = json!({"QueueUrl": dead_url, "AttributeNames": ["QueueArn"]});
        let arn = call("AmazonSQS.GetQueueAttributes", wanted)["Attributes"]["QueueArn"].clone();
        let redrive =
            json!({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVES}).to_string();
        let attributes = json!({"VisibilityTimeout": visibility.as_secs().to_string(),
            "RedrivePolicy": redrive});
        let url = url(call(
            "AmazonSQS.CreateQueue",
            json!({"QueueName": name, "Attributes": attributes}),
        ));
        let urls = BTreeMap::from([(QUEUE, url.clone())]);
        let queue = wire::clients(port, false).queue(urls, wire::clock(), wire::entropy());
        Self {
            port,
            queue,
            url,
            dead_url,
        }
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
                receive_count: text(&message["Attributes"]["ApproximateReceiveCount"])
                    .parse()
                    .unwrap(),
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
        assert_eq!(
            wire::call(self.port, "AmazonSQS.DeleteMessage", &body).0,
            200
        );
    }

    fn dead(&self) -> Vec<String> {
        self.receive_from(&self.dead_url, 10)
            .into_iter()
            .map(|got| got.body)
            .collect()
    }

    fn comes_after(&self, time: Duration) -> Vec<Got> {
        let give_up = Instant::now() + time + PATIENCE;
        loop {
            let got = self.receive(10);
            if !got.is_empty() {
                return got;
            }
            assert!(Instant::now() < give_up, "nothing came");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_virtual(&self) -> bool {
        false
    }
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

#[test]
fn on_ministack() {
    on(EmulatorName::MiniStack);
}

#[test]
fn on_moto() {
    on(EmulatorName::Moto);
}

fn on(kind: EmulatorName) {
    let stack = Emulator::start(kind);
    stack.run_all(CASES, |name, (visibility, case)| {
        let bench = Emulated::create(stack.port, name, visibility);
        wire::block_on(case(&bench));
    });
}
