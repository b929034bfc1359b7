//! The receivers of webhooks and the upstream API, which misbehave while faults are on.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use testkit::servers::{Answer, Got, Server};

use crate::Failed;
use crate::check::Later;
use crate::check::{Place, Received, Taken, known};
use crate::faults::Faults;
use crate::later::Upstreams;
use crate::proxy;

/// One exchange in this many ends with the sender's process killed in the middle of it.
const KILLED: usize = 150;
/// One delivery in this many is answered 410.
const GONE: usize = 100;
/// One delivery in this many is answered badly otherwise.
const REFUSED: usize = 4;
/// One lookup in this many is answered badly. There are a hundred times as many.
const SPOILED: usize = 50;
/// A sender that waits longer has met a hang as well. A lookup may take 3 s here, by
/// `longest_record` of the `EnrichTimeout` that `tests/e2e/run.py` sets.
const PROMPT: Duration = Duration::from_secs(2);
/// A receiver whose path begins with this answers only 500, before and after faults are on.
pub(crate) const UNANSWERABLE: &str = "hopeless-";

/// Everything that the functions talk to besides AWS.
pub(crate) struct Outside {
    receiver: Server,
    trap: Server,
    upstream: Server,
    later: Arc<Upstreams>,
    received: Arc<Mutex<Vec<Received>>>,
    lookups: Arc<Mutex<Lookups>>,
    /// The webhook secrets of the tenants.
    secrets: Arc<OnceLock<Vec<String>>>,
}

/// The requests to the upstream API: see [`Seen`](crate::check::Seen).
#[derive(Debug, Clone, Default)]
pub(crate) struct Lookups {
    pub(crate) answered: BTreeSet<Place>,
    pub(crate) spoiled: BTreeSet<Place>,
}

impl Outside {
    /// Starts the servers; the upstream API listens at this address.
    pub(crate) async fn start(upstream: SocketAddr, faults: &Arc<Faults>) -> Self {
        let trap = Server::start(|_, _| Answer::Status(200)).await;
        let location: &'static str = Box::leak(trap.url("/inside").into_boxed_str());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let secrets: Arc<OnceLock<Vec<String>>> = Arc::default();
        let (log, keys, made) = (
            Arc::clone(&received),
            Arc::clone(&secrets),
            Arc::clone(faults),
        );
        let receiver = Server::start(move |_, got| {
            let (answer, received) =
                receive(&made, location, keys.get().map_or(&[], Vec::as_slice), got);
            log.lock().unwrap().push(received);
            answer
        })
        .await;
        let lookups: Arc<Mutex<Lookups>> = Arc::default();
        let (log, made) = (Arc::clone(&lookups), Arc::clone(faults));
        let later = Upstreams::new(faults, location);
        let answers = Arc::clone(&later);
        let upstream = Server::start_at(upstream, move |n, got| {
            let later = answers.answer(n, got, || {
                kill(&made, got, "upstream that answers later", || ())
            });
            later.unwrap_or_else(|| look_up(&made, location, &log, got))
        })
        .await;
        Self {
            receiver,
            trap,
            upstream,
            later,
            received,
            lookups,
            secrets,
        }
    }

    pub(crate) fn know(&self, secrets: Vec<String>) {
        self.secrets.set(secrets).expect("secrets are set once");
    }

    /// The receiver of one job of a tenant.
    pub(crate) fn hook(&self, tenant: usize, key: &str) -> String {
        self.receiver.url(&format!("/{tenant}/{key}"))
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn lookups(&self) -> Lookups {
        self.lookups.lock().unwrap().clone()
    }

    /// Returns everything that the upstreams that answer later saw.
    pub(crate) fn later(&self) -> Result<Later, Failed> {
        self.later.seen(&self.upstream.ends(), &self.upstream.got())
    }

    /// Counts requests to the target of redirects.
    pub(crate) fn followed(&self) -> usize {
        self.trap.got().len()
    }
}

/// Kills the process on the other side while it waits for an answer. If it was not killed soon, it
/// has met a hang, and `spared` is called.
fn kill(
    faults: &Arc<Faults>,
    got: &Got,
    place: &'static str,
    spared: impl FnOnce() + Send + 'static,
) -> Answer {
    let (faults, peer, begun) = (Arc::clone(faults), got.peer, Instant::now());
    tokio::spawn(async move {
        let killed = proxy::kill(&faults, "process killed in an exchange", peer).await;
        if !killed {
            faults.count("hung", place);
        }
        if !killed || begun.elapsed() > PROMPT {
            spared();
        }
    });
    Answer::NeverAnswer
}

fn receive(
    faults: &Arc<Faults>,
    location: &'static str,
    secrets: &[String],
    got: &Got,
) -> (Answer, Received) {
    let mut path = got.path.trim_start_matches('/').splitn(2, '/');
    let secret = path
        .next()
        .and_then(|n| secrets.get(n.parse::<usize>().ok()?));
    let key = path.next().unwrap_or_default().to_owned();
    let answer = if faults.slow() && faults.once_in(KILLED) {
        kill(faults, got, "receiver", || ())
    } else if key.starts_with(UNANSWERABLE) {
        Answer::Status(500)
    } else if faults.once_in(GONE) {
        faults.count("answered 410", "receiver");
        Answer::Status(410)
    } else if let Some((name, answer)) = faults.of_exchange(REFUSED, location) {
        faults.count(name, "receiver");
        answer
    } else {
        Answer::Status(204)
    };
    let taken = match &answer {
        Answer::Status(200..300) => Taken::Yes,
        Answer::EndlessBody | Answer::Drip => Taken::Perhaps,
        Answer::Status(410) => Taken::Gone,
        _ => Taken::No,
    };
    let verified = secret.is_some_and(|secret| verified(got, secret));
    let (at, id, body) = (
        faults.elapsed(),
        got.header("webhook-id").to_owned(),
        got.body.clone(),
    );
    (
        answer,
        Received {
            at,
            key,
            id,
            body,
            verified,
            taken,
        },
    )
}

/// Checks the signature of a delivery. Source: Standard Webhooks, "Signature scheme".
fn verified(got: &Got, secret: &str) -> bool {
    let key = STANDARD
        .decode(secret.trim_start_matches("whsec_"))
        .expect("a secret in base 64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
    mac.update(
        format!(
            "{}.{}.",
            got.header("webhook-id"),
            got.header("webhook-timestamp")
        )
        .as_bytes(),
    );
    mac.update(&got.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    got.header("webhook-signature")
        .split(' ')
        .any(|signature| signature == expected)
}

fn look_up(
    faults: &Arc<Faults>,
    location: &'static str,
    lookups: &Arc<Mutex<Lookups>>,
    got: &Got,
) -> Answer {
    let asked = got
        .path
        .strip_prefix("/lookup/")
        .and_then(|p| p.rsplit_once('.'));
    let Some((tag, Ok(number))) = asked.map(|(tag, n)| (tag, n.parse())) else {
        return Answer::Status(400);
    };
    if faults.slow() && faults.once_in(KILLED * 4) {
        let (lookups, record) = (Arc::clone(lookups), (tag.to_owned(), number));
        return kill(faults, got, "upstream API", move || {
            lookups.lock().unwrap().spoiled.insert(record);
        });
    }
    if let Some((name, answer)) = faults.of_exchange(SPOILED, location) {
        faults.count(name, "upstream API");
        lookups
            .lock()
            .unwrap()
            .spoiled
            .insert((tag.to_owned(), number));
        return answer;
    }
    lookups
        .lock()
        .unwrap()
        .answered
        .insert((tag.to_owned(), number));
    if known(number) {
        Answer::Json(json!({"answer": number}))
    } else {
        Answer::Status(404)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::time::Timestamp;

    /// No process owns the connection, as when its owner is not found in time.
    #[tokio::test]
    async fn who_is_not_killed_has_met_a_hang() {
        let faults = Arc::new(Faults::new(1));
        let got = Got {
            at: Timestamp(0),
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            server_name: None,
            line: String::new(),
            path: "/lookup/k.1".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let (reported, spared) = tokio::sync::oneshot::channel();
        let answer = kill(&faults, &got, "upstream API", move || {
            reported.send(()).unwrap();
        });
        assert!(matches!(answer, Answer::NeverAnswer));
        spared.await.unwrap();
        assert_eq!(
            faults.counts().into_keys().collect::<Vec<_>>(),
            [("hung", "upstream API".to_owned())]
        );
    }

    /// Source: Standard Webhooks, the example of its libraries' tests.
    #[test]
    fn the_published_signature_is_verified_and_no_other() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut got = Got {
            at: Timestamp(0),
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            server_name: None,
            line: String::new(),
            path: String::new(),
            headers: vec![
                header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                header("webhook-timestamp", "1614265330"),
                header(
                    "webhook-signature",
                    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
                ),
            ],
            body: br#"{"test": 2432232314}"#.to_vec(),
        };
        assert!(verified(&got, secret));
        got.body.push(b' ');
        assert!(!verified(&got, secret));
    }
}
