//! Scripted ports for the tests of this module: answers in order, virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::waterfall::{Request, Waterfall, WaterfallOutcome};
use super::{Ports, Question};
use crate::domain::record::Outcome;
use crate::domain::time::Timestamp;
use crate::ports::{
    AssetError, Assets, Clock, Dns, DnsFailure, DnsKind, DnsRecord, Entropy, HttpAnswer, HttpError,
    HttpRequest, HttpSender, Object, ObjectName,
};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;

pub(super) fn input(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("an input is an object")
    };
    map
}

/// Makes a first question, without a callback.
pub(super) fn question(input: &Map<String, Value>, limit: Duration) -> Question<'_> {
    Question {
        input,
        limit,
        key: "record",
        callback: None,
        earlier: None,
        last: false,
        wait: crate::catalog::DEFAULT_WAIT,
    }
}

/// Runs a waterfall for one record, where no provider answers later.
pub(super) async fn outcome(
    waterfall: &Waterfall,
    value: Value,
    limit: Duration,
    order: Option<&[String]>,
    ports: &Ports,
) -> Outcome {
    let input = input(value);
    let request = Request {
        input: &input,
        limit,
        order,
        key: "record",
        callback: None,
        cache: None,
    };
    match waterfall.run(&request, None, ports).await {
        WaterfallOutcome::Done(outcome) => outcome,
        WaterfallOutcome::Suspended(suspended) => panic!("{suspended:?}"),
    }
}

/// Returns the result of a computation and its time, for bounds that only a hang comes near. If the
/// system says how long this thread has run, the rest of the machine's work is not counted.
#[expect(clippy::disallowed_methods, reason = "a computation takes real time")]
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let ran = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ')
            .next()?
            .parse()
            .ok()
            .map(Duration::from_nanos)
    };
    let (before, began) = (ran(), std::time::Instant::now());
    let done = work();
    let took = ran().zip(before).map_or_else(
        || began.elapsed(),
        |(now, before)| now.saturating_sub(before),
    );
    (done, took)
}

pub(super) fn ports() -> (Ports, Arc<Script>) {
    let script = Arc::new(Script::default());
    let ports = Ports {
        http: script.clone(),
        dns: script.clone(),
        assets: script.clone(),
        clock: script.clone(),
        entropy: script.clone(),
        shared: None,
        seen: None,
        guard: None,
    };
    (ports, script)
}

type Zone = BTreeMap<(String, DnsKind), Result<Vec<DnsRecord>, DnsFailure>>;

#[derive(Default)]
pub(super) struct Script {
    answers: Mutex<VecDeque<(Duration, Result<HttpAnswer, HttpError>)>>,
    requests: Mutex<Vec<HttpRequest>>,
    passed: Mutex<Duration>,
    slept: Mutex<Vec<Duration>>,
    sleeping: Mutex<Vec<Timestamp>>,
    names: Mutex<Zone>,
    assets: Mutex<StoredAssets>,
}

/// The parameters and objects outside of the bundle.
#[derive(Default)]
struct StoredAssets {
    parameters: BTreeMap<String, String>,
    objects: BTreeMap<String, Vec<u8>>,
    fault: Option<AssetError>,
    /// The time that reading takes.
    slow: Duration,
    /// The number of reads.
    reads: usize,
}

impl Script {
    pub(super) fn answer(&self, status: u16, body: &str) {
        self.answer_with(status, &[], body);
    }

    pub(super) fn answer_with(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        self.answer_bytes(status, headers, body.as_bytes());
    }

    pub(super) fn answer_bytes(&self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        self.push(
            Duration::ZERO,
            Ok(HttpAnswer {
                status,
                headers,
                body: body.into(),
                truncated: false,
            }),
        );
    }

    pub(super) fn truncated(&self, status: u16, body: &str) {
        self.push(
            Duration::ZERO,
            Ok(HttpAnswer {
                status,
                headers: Vec::new(),
                body: body.into(),
                truncated: true,
            }),
        );
    }

    pub(super) fn fail(&self, error: HttpError) {
        self.push(Duration::ZERO, Err(error));
    }

    /// Lets time pass before the error.
    pub(super) fn slow(&self, after: Duration, error: HttpError) {
        self.push(after, Err(error));
    }

    fn push(&self, after: Duration, answer: Result<HttpAnswer, HttpError>) {
        self.answers.lock().unwrap().push_back((after, answer));
    }

    pub(super) fn requests(&self) -> Vec<HttpRequest> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }

    /// Sets the name server's answer about a name; other names have none.
    pub(super) fn name(
        &self,
        name: &str,
        kind: DnsKind,
        answer: Result<Vec<DnsRecord>, DnsFailure>,
    ) {
        self.names
            .lock()
            .unwrap()
            .insert((name.to_owned(), kind), answer);
    }

    pub(super) fn parameter(&self, name: &str, value: &str) {
        self.assets
            .lock()
            .unwrap()
            .parameters
            .insert(name.to_owned(), value.to_owned());
    }

    /// Sets an object, by its `s3://` name.
    pub(super) fn object(&self, name: &str, bytes: &[u8]) {
        self.assets
            .lock()
            .unwrap()
            .objects
            .insert(name.to_owned(), bytes.to_owned());
    }

    /// Makes every read of an asset fail from now on, or succeed with `None`.
    pub(super) fn assets_fail(&self, fault: Option<AssetError>) {
        self.assets.lock().unwrap().fault = fault;
    }

    /// Makes every read of an asset take this long from now on.
    pub(super) fn assets_take(&self, slow: Duration) {
        self.assets.lock().unwrap().slow = slow;
    }

    async fn read_asset(&self) -> Option<AssetError> {
        let slow = {
            let mut kept = self.assets.lock().unwrap();
            kept.reads += 1;
            kept.slow
        };
        // Other tasks run meanwhile, as with a real one.
        if slow.is_zero() {
            tokio::task::yield_now().await;
        } else {
            self.sleep(slow).await;
        }
        self.assets.lock().unwrap().fault.clone()
    }

    /// Returns the number of reads so far.
    pub(super) fn reads(&self) -> usize {
        self.assets.lock().unwrap().reads
    }

    pub(super) fn pass(&self, duration: Duration) {
        *self.passed.lock().unwrap() += duration;
    }
}

#[async_trait]
impl HttpSender for Script {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        self.requests.lock().unwrap().push(request);
        let (after, answer) = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("a request that the script does not know");
        self.pass(after);
        answer
    }

    fn check(&self, _: &str, _: bool) -> Result<(), HttpError> {
        Ok(())
    }
}

#[async_trait]
impl Dns for Script {
    async fn look_up(&self, name: &str, kind: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure> {
        let names = self.names.lock().unwrap();
        names
            .get(&(name.to_owned(), kind))
            .cloned()
            .unwrap_or(Err(DnsFailure::NoSuchName))
    }
}

#[async_trait]
impl Assets for Script {
    async fn parameter(&self, name: &str) -> Result<String, AssetError> {
        let fault = self.read_asset().await;
        let value = self
            .assets
            .lock()
            .unwrap()
            .parameters
            .get(name)
            .cloned()
            .ok_or(AssetError::Missing);
        fault.map_or(value, Err)
    }

    async fn object(
        &self,
        name: &ObjectName,
        unless: Option<&str>,
        max_bytes: usize,
    ) -> Result<Option<Object>, AssetError> {
        let fault = self.read_asset().await;
        let bytes = self
            .assets
            .lock()
            .unwrap()
            .objects
            .get(&name.to_string())
            .cloned()
            .ok_or(AssetError::Missing);
        let bytes = fault.map_or(bytes, Err)?;
        let tag = format!("{bytes:?}");
        match bytes.len() {
            _ if unless == Some(&tag) => Ok(None),
            length if length > max_bytes => Err(AssetError::TooLarge(max_bytes)),
            _ => Ok(Some(Object { tag, bytes })),
        }
    }
}

#[async_trait]
impl Clock for Script {
    fn now(&self) -> Timestamp {
        Timestamp(START).plus(*self.passed.lock().unwrap())
    }

    /// Lets time pass to the earliest end of all sleeps, once every task has run.
    async fn sleep(&self, duration: Duration) {
        let end = self.now().plus(duration);
        let sleeper = Sleeper { script: self, end };
        self.sleeping.lock().unwrap().push(end);
        while self.now() < end {
            tokio::task::yield_now().await;
            let earliest = self.sleeping.lock().unwrap().iter().min().copied();
            if earliest == Some(end) {
                self.pass(end.since(self.now()));
            }
        }
        drop(sleeper);
        self.slept.lock().unwrap().push(duration);
    }
}

/// A sleep that is forgotten when it ends or is dropped.
struct Sleeper<'a> {
    script: &'a Script,
    end: Timestamp,
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut sleeping = self.script.sleeping.lock().unwrap();
        if let Some(at) = sleeping.iter().position(|end| *end == self.end) {
            sleeping.remove(at);
        }
    }
}

impl Entropy for Script {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x7f);
    }
}
