//! A receiver of webhooks on this machine: verifies, prints, answers.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use shared::domain::json;
use shared::domain::signature::{Secret, Unverified, verify};
use shared::domain::time::Timestamp;
use shared::lambda::system::SystemClock;
use shared::ports::Clock;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::screen::{plain, plural, print, thousands};
use crate::settings::CliSettings;

/// A delivery is well below: results above 256 KiB are linked and not sent along.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// A client that has not sent its headers, or its body, in this time is let go.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
const BODY_LIMIT: Duration = Duration::from_secs(30);
/// Connections at once; more wait.
const MAX_CONNECTIONS: usize = 64;
/// Events remembered, to tell repeated ones.
const REMEMBERED: usize = 10_000;
/// The time for answers under way when the command ends.
const DRAIN: Duration = Duration::from_secs(2);
/// The path that is printed where any is taken.
const USUAL_PATH: &str = "/hook";

/// Answers to verified deliveries, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scripted(Vec<StatusCode>);

impl Scripted {
    /// Reads status codes from 200 to 599 with commas between.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let codes = text.split(',').map(|code| {
            let code: u16 = code
                .trim()
                .parse()
                .map_err(|_| format!("{code:?} is not a status code"))?;
            let status = StatusCode::from_u16(code)
                .ok()
                .filter(|_| (200..600).contains(&code));
            status.ok_or_else(|| format!("{code} is not a status code from 200 to 599"))
        });
        codes.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the answer to delivery `at`; the last one repeats.
    fn answer(&self, at: usize) -> StatusCode {
        self.0
            .get(at)
            .or(self.0.last())
            .copied()
            .unwrap_or(StatusCode::OK)
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "The first line on standard output is `listening on URL`; then each delivery has \
        a line of its own. A line has the word `verified` exactly when the signature is good."
)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the help text, where backticks are only noise"
)]
pub(crate) struct Listen {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The secret that signs, more than once during a rotation; better in the environment [env:
    /// MILLRACE_WEBHOOK_SECRET]
    #[arg(long, value_name = "whsec_…", value_parser = secret)]
    pub(crate) secret: Vec<Secret>,
    /// Take deliveries on this path alone [default: any]
    #[arg(long, value_name = "/hook", value_parser = hook_path)]
    pub(crate) path: Option<String>,
    /// End after this many verified deliveries, repeated ones not counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) once: Option<u32>,
    /// Answer verified deliveries with these status codes, the last one from then on
    #[arg(long, value_name = "500,500,200", value_parser = Scripted::parse)]
    pub(crate) answer: Option<Scripted>,
    /// Print each delivery as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `millrace listen`.
pub(crate) async fn listen(settings: &CliSettings, args: &Listen) -> Result<(), Failure> {
    let secrets = secrets(settings, &args.secret)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await;
    let listener = listener.map_err(|error| {
        Failure::failed(format!(
            "port {} on 127.0.0.1 cannot be taken: {error}",
            args.port
        ))
    })?;
    let path = args.path.as_deref().unwrap_or(USUAL_PATH);
    print(format!(
        "listening on http://{}{path}",
        listener.local_addr()?
    ))?;
    let receiver = Receiver::new(secrets, args);
    let outcome = tokio::select! {
        outcome = serve(listener, &receiver) => outcome,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    let tally = receiver.tally();
    eprintln!(
        "{} verified, {} refused",
        thousands(tally.verified),
        thousands(tally.refused)
    );
    outcome
}

/// The error leaves the text out: it may be most of a secret.
fn secret(text: &str) -> Result<Secret, String> {
    Secret::parse(text.trim())
        .ok_or_else(|| "no webhook secret: whsec_ and the base 64 of 24 to 64 bytes".to_owned())
}

fn hook_path(text: &str) -> Result<String, String> {
    let fits = text.starts_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("is not a path such as /hook".to_owned())
    }
}

fn secrets(settings: &CliSettings, given: &[Secret]) -> Result<Vec<Secret>, Failure> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let text = settings.need(None, "--secret", "MILLRACE_WEBHOOK_SECRET")?;
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words
        .map(|word| {
            secret(word).map_err(|why| Failure::usage(format!("MILLRACE_WEBHOOK_SECRET is {why}")))
        })
        .collect()
}

/// Accepts connections until there were enough deliveries.
async fn serve(listener: TcpListener, receiver: &Arc<Receiver>) -> Result<(), Failure> {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut over = receiver.over.subscribe();
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            _ = over.wait_for(Option::is_some) => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely; connections that end free some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (handler, mut closing) = (Arc::clone(receiver), receiver.over.subscribe());
        connections.spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let handler = Arc::clone(&handler);
                async move { Ok::<_, std::convert::Infallible>(handler.handle(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_LIMIT)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            // A connection that breaks is its sender's affair.
            let reported = tokio::select! {
                _ = connection.as_mut() => false,
                _ = closing.wait_for(Option::is_some) => true,
            };
            if reported {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    let outcome = *over.borrow();
    match outcome {
        Some(Over::PipeClosed) => Err(Failure::PipeClosed),
        _ => Ok(()),
    }
}

/// The reason why the receiver ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Enough,
    PipeClosed,
}

/// The counts of requests received so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    verified: u64,
    refused: u64,
    /// Events that were answered with success, each once.
    taken: u64,
}

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    /// By `webhook-id`: how often it arrived, and whether it was accepted.
    events: HashMap<String, (u32, bool)>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Receiver {
    secrets: Vec<Secret>,
    path: Option<String>,
    once: Option<u64>,
    script: Option<Scripted>,
    json: bool,
    state: Mutex<State>,
    over: watch::Sender<Option<Over>>,
}

/// A request that was read.
struct Delivery<'a> {
    id: Option<&'a str>,
    timestamp: Option<&'a str>,
    signatures: Option<&'a str>,
    body: &'a [u8],
}

/// The result of verifying a delivery.
#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    answer: StatusCode,
    /// The number of this attempt at the event; 0 if the signature is invalid.
    attempt: u32,
    /// Taken before: a receiver of one's own would do nothing about it.
    duplicate: bool,
    refused: Option<Unverified>,
}

impl Receiver {
    fn new(secrets: Vec<Secret>, args: &Listen) -> Arc<Self> {
        Arc::new(Self {
            secrets,
            path: args.path.clone(),
            once: args.once.map(u64::from),
            script: args.answer.clone(),
            json: args.json,
            state: Mutex::default(),
            over: watch::Sender::new(None),
        })
    }

    fn tally(&self) -> Tally {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .tally
    }

    async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self
            .path
            .as_deref()
            .is_some_and(|path| path != request.uri().path())
        {
            return respond(StatusCode::NOT_FOUND, "no receiver on this path\n");
        }
        if request.method() != Method::POST {
            return respond(StatusCode::METHOD_NOT_ALLOWED, "webhooks are POSTed\n");
        }
        let (parts, body) = request.into_parts();
        let body =
            tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return respond(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body is larger than 8 MiB\n",
                );
            }
            Ok(Err(_)) => return respond(StatusCode::BAD_REQUEST, "the body broke off\n"),
            Err(_) => return respond(StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
        };
        let header = |name: &str| single(&parts.headers, name);
        let delivery = Delivery {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signatures: header("webhook-signature"),
            body: &body,
        };
        let at = now();
        let verdict = self.judge(&delivery, at);
        let line = if self.json {
            as_json(&delivery, &verdict, at).to_string()
        } else {
            as_text(&delivery, &verdict, at)
        };
        if print(line).is_err() {
            self.over.send_replace(Some(Over::PipeClosed));
        }
        match verdict.refused {
            Some(why) => respond(verdict.answer, &format!("{why}\n")),
            None => respond(verdict.answer, ""),
        }
    }

    /// Verifies, counts, and decides on the answer.
    fn judge(&self, delivery: &Delivery<'_>, at: Timestamp) -> Verdict {
        let check = |secret| {
            verify(
                secret,
                delivery.id,
                delivery.timestamp,
                delivery.signatures,
                delivery.body,
                at,
            )
        };
        let mut refused = Some(Unverified::Headers);
        for secret in &self.secrets {
            refused = check(secret).err();
            if refused.is_none() {
                break;
            }
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if refused.is_some() {
            state.tally.refused += 1;
            return Verdict {
                answer: StatusCode::BAD_REQUEST,
                attempt: 0,
                duplicate: false,
                refused,
            };
        }
        let position = usize::try_from(state.tally.verified).unwrap_or(usize::MAX);
        let answer = self
            .script
            .as_ref()
            .map_or(StatusCode::OK, |script| script.answer(position));
        state.tally.verified += 1;
        let id = delivery.id.unwrap_or_default().to_owned();
        if !state.events.contains_key(&id) {
            state.order.push_back(id.clone());
            if state.order.len() > REMEMBERED
                && let Some(oldest) = state.order.pop_front()
            {
                state.events.remove(&oldest);
            }
        }
        let (times, taken) = state.events.entry(id).or_default();
        *times += 1;
        let (attempt, duplicate) = (*times, *taken);
        if answer.is_success() && !duplicate {
            *taken = true;
            state.tally.taken += 1;
            if self.once.is_some_and(|once| state.tally.taken >= once) {
                self.over.send_replace(Some(Over::Enough));
            }
        }
        Verdict {
            answer,
            attempt,
            duplicate,
            refused: None,
        }
    }
}

/// A header that is there once and is text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn respond(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    if !text.is_empty() {
        let plain_text = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
        response
            .headers_mut()
            .insert(hyper::header::CONTENT_TYPE, plain_text);
    }
    response
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Summarises a verified body.
fn contents(delivery: &Delivery<'_>, verdict: &Verdict) -> Value {
    if verdict.refused.is_some() {
        return Value::Null;
    }
    json::read(delivery.body).unwrap_or(Value::Null)
}

fn as_text(delivery: &Delivery<'_>, verdict: &Verdict, at: Timestamp) -> String {
    let id = delivery
        .id
        .map_or_else(|| "no webhook-id".to_owned(), |id| plain(id, 100));
    let answer = verdict.answer.as_u16();
    if let Some(why) = verdict.refused {
        return format!(
            "{at} REFUSED {id}, {} bytes -> {answer}: {why}",
            thousands(delivery.body.len() as u64)
        );
    }
    let event = contents(delivery, verdict);
    let kind = event["type"]
        .as_str()
        .map_or_else(|| "no type".to_owned(), |t| plain(t, 60));
    let again = if verdict.duplicate {
        ", taken before"
    } else {
        ""
    };
    let mut shown = format!(
        "{at} verified {kind} {id} (attempt {}{again}) -> {answer}",
        verdict.attempt
    );
    let data = &event["data"];
    if let Some(job) = data["id"].as_str() {
        shown += &format!(
            "  {} {}",
            plain(job, 60),
            plain(data["status"].as_str().unwrap_or_default(), 20)
        );
    }
    if let (Some(job), Some(index)) = (data["job_id"].as_str(), data["result"]["index"].as_u64()) {
        let status = data["result"]["status"].as_str().unwrap_or_default();
        shown += &format!("  {} record {index} {}", plain(job, 60), plain(status, 20));
    }
    if let Some(counts) = data["counts"].as_object() {
        let total = counts.get("total").and_then(Value::as_u64).unwrap_or(0);
        let reported: Vec<String> = counts
            .iter()
            .filter(|(name, _)| *name != "total")
            .filter_map(|(name, n)| Some((name, n.as_u64().filter(|n| *n > 0)?)))
            .map(|(name, n)| format!("{} {}", thousands(n), plain(name, 20).replace('_', " ")))
            .collect();
        shown += &format!(", {}: {}", plural(total, "record"), reported.join(", "));
    }
    if let Some(results) = data["results"].as_array() {
        shown += &format!("; {} inline", plural(results.len() as u64, "result"));
    }
    shown
}

fn as_json(delivery: &Delivery<'_>, verdict: &Verdict, at: Timestamp) -> Value {
    let event = contents(delivery, verdict);
    let data = &event["data"];
    json!({
        "at": at.rfc3339(),
        "verified": verdict.refused.is_none(),
        "reason": verdict.refused.map(|why| why.to_string()),
        "answer": verdict.answer.as_u16(),
        "webhook_id": delivery.id,
        "attempt": verdict.attempt,
        "duplicate": verdict.duplicate,
        "type": event["type"],
        "job": if data["id"].is_null() { &data["job_id"] } else { &data["id"] },
        "record": data["result"]["index"],
        "status": if data["status"].is_null() {
            &data["result"]["status"]
        } else {
            &data["status"]
        },
        "counts": data["counts"],
        "credits": data["credits"],
        "results": data["results"].as_array().map(Vec::len),
        "bytes": delivery.body.len(),
    })
}

#[cfg(test)]
mod tests;
