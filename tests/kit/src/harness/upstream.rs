//! An upstream that takes questions and answers them later, in virtual time: when it is polled, or
//! by calling back. It knows a repeated question by its key, and counts it all the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use shared::domain::callback::{CALLBACKS, CallbackFor, Claimed, KEY_BYTES};
use shared::domain::error::ApiError;
use shared::domain::record::FailureCode;
use shared::domain::time::Timestamp;
use shared::jobs::Ports;
use shared::jobs::callback;
use shared::jobs::callback::Posted;
use shared::ports::{Clock, within};
use shared::providers;
use shared::providers::{Answer, Later, Provider, Question};

/// The longest time for which a question of a harness's provider may wait for its answer.
pub const GIVE_UP: Duration = Duration::from_secs(20 * 60);
/// The time between two polls of the scripted provider.
const LOOK: Duration = Duration::from_secs(150);
/// A key with which no job signs. A forger tries it.
pub const GUESSED_KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];
/// The time that the submit function has for a request.
const REQUEST: Duration = Duration::from_secs(29);
/// The time after which an unanswered post is repeated, and the most repetitions.
const AGAIN: Duration = Duration::from_secs(40);
const TRIES: u32 = 3;
/// The time after which an idle poster checks for new questions.
const IDLE: Duration = Duration::from_secs(10);

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// `Name of DOMAIN`.
    Name,
    Nothing,
    /// No answer, finally.
    Failure,
}

/// The upstream's use of the callback URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    Never,
    /// As soon as there is an answer.
    InTime,
    /// As soon as there is one, at the same time again, and later once more.
    Twice,
    /// When no run waits any more.
    Tardy,
    /// Before there is an answer, a forger tries URLs that were never issued.
    Forged,
    /// First with the answer to another question.
    Crossed,
    /// First to say that it has begun.
    Chatty,
}

/// The treatment of a question.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// The time from the question to its answer; at once where it is zero, never where it is
    /// `None`.
    pub after: Option<Duration>,
    pub says: Says,
    pub calls: Calls,
}

impl Manners {
    /// By the first letters of a domain, and the seconds after them: `late40-3`.
    pub fn of(domain: &str) -> Self {
        let script = domain.split('-').next().unwrap_or_default();
        let seconds = script
            .trim_start_matches(char::is_alphabetic)
            .parse()
            .unwrap_or(0);
        let some = |calls| Self {
            after: Some(Duration::from_secs(seconds)),
            says: Says::Name,
            calls,
        };
        match script.trim_end_matches(char::is_numeric) {
            "never" => Self {
                after: None,
                says: Says::Name,
                calls: Calls::Tardy,
            },
            "none" => Self {
                says: Says::Nothing,
                ..some(Calls::InTime)
            },
            "broken" => Self {
                says: Says::Failure,
                ..some(Calls::InTime)
            },
            "late" => some(Calls::Never),
            "calls" => some(Calls::InTime),
            "twice" => some(Calls::Twice),
            "tardy" => some(Calls::Tardy),
            "forged" => some(Calls::Forged),
            "crossed" => some(Calls::Crossed),
            "chatty" => some(Calls::Chatty),
            _ => Self {
                after: Some(Duration::ZERO),
                says: Says::Name,
                calls: Calls::Never,
            },
        }
    }
}

/// A question that it took.
#[derive(Debug, Clone)]
pub struct Taken {
    pub domain: String,
    pub says: Says,
    pub ready_at: Option<Timestamp>,
    pub callback: Option<String>,
    /// Each time that it was bought.
    pub bought: Vec<Timestamp>,
    pub polled: Vec<Timestamp>,
    /// True if it has returned the answer to a poll.
    pub reported: bool,
}

/// Returns the record and provider for whose answer a URL is.
fn of(url: &str) -> Option<CallbackFor> {
    Some(Claimed::parse(url.split_once(CALLBACKS)?.1)?.of)
}

impl Taken {
    /// Returns what it was asked for: the job, the record and the provider.
    pub fn of(&self) -> Option<CallbackFor> {
        of(self.callback.as_deref()?)
    }

    fn is_ready(&self, now: Timestamp) -> bool {
        self.ready_at.is_some_and(|at| at <= now)
    }
}

/// A post to a URL, made or planned.
#[derive(Debug, Clone)]
pub struct Post {
    pub url: String,
    pub body: Value,
    /// True if this URL was never issued.
    pub forged: bool,
    /// The answer to the post, where one arrived.
    pub answer: Option<Result<Posted, ApiError>>,
    at: Timestamp,
    tries: u32,
    over: bool,
}

impl Post {
    /// Returns what its URL is for.
    pub fn of(&self) -> Option<CallbackFor> {
        of(&self.url)
    }
}

/// The treatment of a question about a domain.
type Rules = Box<dyn Fn(&str) -> Manners + Send>;

/// The upstream.
pub struct Upstream {
    manners: Mutex<Rules>,
    look: Mutex<(Duration, Duration)>,
    taken: Mutex<BTreeMap<String, Taken>>,
    posts: Mutex<Vec<Post>>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("taken", &self.taken.lock())
            .finish_non_exhaustive()
    }
}

impl Default for Upstream {
    fn default() -> Self {
        let manners: Rules = Box::new(Manners::of);
        Self {
            manners: Mutex::new(manners),
            look: Mutex::new((LOOK, GIVE_UP)),
            taken: Mutex::default(),
            posts: Mutex::default(),
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upstream {
    /// Treats every question so from now on; the scripted provider polls again after `poll_after`,
    /// and for `give_up_in` at most.
    pub fn treat(&self, all: Manners, poll_after: Duration, give_up_in: Duration) {
        *lock(&self.manners) = Box::new(move |_| all);
        *lock(&self.look) = (poll_after, give_up_in);
    }

    /// Takes a question. Returns its immediate answer, if any.
    pub fn ask(
        &self,
        key: &str,
        domain: &str,
        callback: Option<&str>,
        now: Timestamp,
    ) -> Option<Says> {
        let manners = (lock(&self.manners))(domain);
        if manners.after == Some(Duration::ZERO) {
            return Some(manners.says);
        }
        let mut all = lock(&self.taken);
        let new = !all.contains_key(key);
        let taken = all.entry(key.to_owned()).or_insert_with(|| Taken {
            domain: domain.to_owned(),
            says: manners.says,
            ready_at: manners.after.map(|after| now.plus(after)),
            callback: callback.map(str::to_owned),
            bought: Vec::new(),
            polled: Vec::new(),
            reported: false,
        });
        taken.bought.push(now);
        if new && let Some(url) = callback {
            let posts = posts(key, url, taken, manners.calls, now);
            lock(&self.posts).extend(posts);
        }
        None
    }

    /// Polls for a question. `None` where it is unknown; then the answer, if there is one by now.
    pub fn poll(&self, key: &str, now: Timestamp) -> Option<Option<(Says, String)>> {
        let mut all = lock(&self.taken);
        let taken = all.get_mut(key)?;
        taken.polled.push(now);
        let ready = taken.is_ready(now);
        taken.reported |= ready;
        Some(ready.then(|| (taken.says, taken.domain.clone())))
    }

    /// Returns every question so far.
    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.taken).values().cloned().collect()
    }

    /// Returns the answer to the question for which a URL is, once it has it.
    pub fn answer_for(&self, url: &str) -> Option<Value> {
        let all = lock(&self.taken);
        let (key, taken) = all
            .iter()
            .find(|(_, taken)| taken.callback.as_deref() == Some(url))?;
        Some(body(key, Some((taken.says, &taken.domain))))
    }

    /// Returns all posts so far, made or planned.
    pub fn posts(&self) -> Vec<Post> {
        lock(&self.posts).clone()
    }

    /// Returns true if no question was ever put here.
    pub fn is_idle(&self) -> bool {
        lock(&self.taken).is_empty()
    }

    /// Counts the questions whose answer has not been returned.
    pub fn waiting(&self, now: Timestamp) -> usize {
        lock(&self.taken)
            .values()
            .filter(|taken| !taken.reported && taken.bought[0].plus(GIVE_UP) > now)
            .count()
    }

    /// Makes the posts that are due until then. Several processes may do that beside each other:
    /// when one dies, the others go on.
    pub async fn call_back(self: Arc<Self>, ports: Ports, clock: Arc<dyn Clock>, until: Timestamp) {
        while clock.now() < until {
            let Some((n, url, body)) = self.due(clock.now()) else {
                let next = lock(&self.posts)
                    .iter()
                    .filter(|post| !post.over)
                    .map(|post| post.at)
                    .min();
                let idle = next.map_or(IDLE, |at| at.since(clock.now()).min(IDLE));
                clock.sleep(idle).await;
                continue;
            };
            let answer = within(&*clock, REQUEST, post(&ports, &url, &body)).await;
            // Vendors repeat a post that was not answered well.
            let over = !matches!(
                answer,
                None | Some(Err(ApiError::Unavailable { .. } | ApiError::Internal))
            );
            let mut posts = lock(&self.posts);
            posts[n].over |= over;
            posts[n].answer = answer.or(posts[n].answer.take());
        }
    }

    fn due(&self, now: Timestamp) -> Option<(usize, String, Value)> {
        let mut posts = lock(&self.posts);
        let (n, post) = posts
            .iter_mut()
            .enumerate()
            .find(|(_, post)| !post.over && post.at <= now)?;
        post.tries += 1;
        post.over = post.tries >= TRIES;
        post.at = now.plus(AGAIN);
        Some((n, post.url.clone(), post.body.clone()))
    }
}

/// Returns the answer to a question, as its polls and its posts have it.
pub fn body(key: &str, said: Option<(Says, &str)>) -> Value {
    match said {
        None => json!({"id": key, "status": "pending"}),
        Some((Says::Name, domain)) => {
            json!({"id": key, "status": "done", "name": format!("Name of {domain}")})
        }
        Some((Says::Nothing, _)) => json!({"id": key, "status": "done"}),
        Some((Says::Failure, _)) => json!({"id": key, "status": "failed"}),
    }
}

/// Plans the posts about a question, by time.
fn posts(key: &str, url: &str, taken: &Taken, calls: Calls, now: Timestamp) -> Vec<Post> {
    let said = Some((taken.says, taken.domain.as_str()));
    let second = Duration::from_secs(1);
    let ready = taken.ready_at.unwrap_or_else(|| now.plus(GIVE_UP));
    let own = |at: Timestamp, body: Value| Post {
        url: url.to_owned(),
        body,
        forged: false,
        answer: None,
        at,
        tries: 0,
        over: false,
    };
    let right = |at| own(at, body(key, said));
    let soon = now.plus(2 * second);
    match calls {
        Calls::Never => Vec::new(),
        Calls::InTime => vec![right(ready)],
        Calls::Twice => vec![right(ready), right(ready), right(ready.plus(100 * second))],
        Calls::Tardy => {
            let at = ready.max(now.plus(GIVE_UP)).plus(200 * second);
            vec![own(
                at,
                body(key, said.filter(|_| taken.ready_at.is_some())),
            )]
        }
        Calls::Crossed => {
            let other = body("another question", Some((Says::Name, "another domain")));
            vec![own(soon, other), right(ready)]
        }
        Calls::Chatty => vec![own(soon, body(key, None)), right(ready)],
        Calls::Forged => {
            let lie = |url: String| Post {
                url,
                forged: true,
                ..own(soon, body(key, Some((Says::Name, "a lie"))))
            };
            let forged = forged(url).into_iter().map(lie);
            forged.chain([right(ready)]).collect()
        }
    }
}

/// URLs that were never issued: the record's own with a signature of another key, and its signature
/// on another record's.
fn forged(url: &str) -> Vec<String> {
    let Some((base, token)) = url.split_once(CALLBACKS) else {
        return Vec::new();
    };
    let Some(Claimed { of, .. }) = Claimed::parse(token) else {
        return Vec::new();
    };
    let guessed = of.url(base, &GUESSED_KEY);
    let next = CallbackFor {
        at: of.at + 1,
        ..of
    }
    .url(base, &GUESSED_KEY);
    let mac = url.rsplit_once('.').map_or("", |(_, mac)| mac);
    let moved = format!(
        "{}.{mac}",
        next.rsplit_once('.').map_or("", |(signed, _)| signed)
    );
    vec![guessed, moved]
}

/// Posts as the submit function does for an upstream.
///
/// # Errors
/// Those of [`callback::post`]; [`ApiError::NotFound`] where the URL is not one of ours.
pub async fn post(ports: &Ports, url: &str, body: &Value) -> Result<Posted, ApiError> {
    let token = url.split_once(CALLBACKS).map_or("", |(_, token)| token);
    let claimed = Claimed::parse(token).ok_or(ApiError::NotFound { what: "callback" })?;
    callback::post(ports, &claimed, body).await
}

/// A provider that asks there.
#[derive(Debug)]
pub(super) struct Late(pub(super) Arc<Upstream>);

fn answer(says: Says, domain: &str) -> Answer {
    match says {
        Says::Name => {
            let fields =
                Map::from_iter([("name".to_owned(), Value::from(format!("Name of {domain}")))]);
            Answer::Found {
                fields,
                confidence: None,
            }
        }
        Says::Nothing => Answer::NotFound,
        Says::Failure => Answer::Failed {
            code: FailureCode::ProviderError,
            detail: "no answer".to_owned(),
        },
    }
}

#[async_trait]
impl Provider for Late {
    async fn ask(&self, question: &Question<'_>, ports: &providers::Ports) -> Answer {
        let now = ports.clock.now();
        let domain = question
            .input
            .get("domain")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let (poll_after, give_up_in) = *lock(&self.0.look);
        let later = |key: &str| {
            Answer::Later(Later {
                upstream_token: Some(Value::from(key)),
                poll_after,
                give_up_in,
                refused: false,
                outage: None,
            })
        };
        let Some(earlier) = question.earlier else {
            let said = self.0.ask(question.key, domain, question.callback, now);
            return said.map_or_else(|| later(question.key), |says| answer(says, domain));
        };
        let key = earlier.upstream_token.as_str().unwrap_or_default();
        if let Some(posted) = &earlier.posted
            && posted["id"] == key
        {
            match posted["status"].as_str() {
                Some("done") if posted.get("name").is_some() => return answer(Says::Name, domain),
                Some("done") => return answer(Says::Nothing, domain),
                Some("failed") => return answer(Says::Failure, domain),
                _ => {}
            }
        }
        match self.0.poll(key, now) {
            Some(Some((says, domain))) => answer(says, &domain),
            Some(None) => later(key),
            None => Answer::Failed {
                code: FailureCode::ProviderError,
                detail: "no such question".to_owned(),
            },
        }
    }

    fn calls_back(&self) -> bool {
        true
    }
}
