//! The upstreams that take a question and answer it later: their requests, their behaviour, and
//! their log.
//!
//! `called` answers by callback alone, and `polled` when polled; so does `hinted`, whose callback
//! says when to poll. While faults are on they refuse, hang, lose answers and callbacks, and call
//! back twice or long after. They also post forged callbacks, and are dead for some seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use shared::catalog::Config;
use shared::domain::callback::CALLBACKS;
use shared::domain::time::Timestamp;
use shared::lambda::system::SystemClock;
use shared::ports::{Clock, HttpSender};
use shared::providers::kinds::READERS;
use shared::providers::kinds::http::config::HttpConfig;
use testkit::servers::{Answer, End, Got, PATIENCE};
use testkit::stack;

use crate::Failed;
use crate::check::{Asked, Dead, Later, Post, Question, UpstreamLimits, known};
use crate::faults::Faults;

/// The types, each with a provider of its name.
pub(crate) const TYPES: [&str; 3] = ["called", "polled", "hinted"];
/// Those of them whose answers are cached. Their records ask about these few numbers, again and
/// again.
pub(crate) const KEPT: [&str; 2] = ["called", "hinted"];
pub(crate) const POOL: u32 = 40;

/// One request in this many is answered badly or not at all.
const SPOILED: usize = 14;
/// At one request in this many the upstream becomes dead.
const DIES: usize = 80;
/// One request in this many ends with its sender's process killed.
const KILLED: usize = 200;
/// One question in this many is never answered.
const NEVER: usize = 40;
/// One question in this many is preceded by forged callbacks.
const FORGED: usize = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// The answer of a forged callback. No record may have it.
const FORGERY: &str = "forged";
/// The answer of a callback that is only a hint. No record may have it either.
const HINT: &str = "unverified";

/// Reads the limits in the configuration, by provider.
pub(crate) fn limits() -> Result<BTreeMap<String, UpstreamLimits>, Failed> {
    let text = include_str!("providers.toml").replace("UPSTREAM_PORT", "1");
    let config = Config::parse(READERS, "tests/soak/providers.toml", &text)?;
    let of = |provider: &shared::catalog::ProviderConfig| {
        let http = provider.kind.downcast_ref::<HttpConfig>()?;
        let (limits, later) = (&provider.limits, http.later.as_ref()?);
        let (rate, breaker) = (limits.rate?, limits.breaker?);
        Some(UpstreamLimits {
            rate: (f64::from(rate.requests) / rate.per.as_secs_f64()),
            concurrency: limits.concurrency?,
            timeout: provider.timeout()?,
            give_up: later.give_up,
            failures: breaker.failures as usize,
            open: breaker.open,
            kept: limits.cache.map(|cache| cache.found),
        })
    };
    let limits: BTreeMap<_, _> = config
        .providers
        .iter()
        .filter_map(|p| Some((p.name.clone(), of(p)?)))
        .collect();
    if limits.len() == TYPES.len() {
        Ok(limits)
    } else {
        Err("tests/soak/providers.toml: a limit is missing".into())
    }
}

/// A fault of a request before the upstream looked at it.
struct Spoiled {
    answer: Answer,
    /// Only the answer is lost.
    taken: bool,
}

/// The upstreams. They live as long as their server.
pub(crate) struct Upstreams {
    faults: Arc<Faults>,
    /// The beginning of the soak on the server's clock. One clock for all times of a request: of
    /// two, one may be read long after the other.
    began: Timestamp,
    http: Arc<dyn HttpSender>,
    /// The target of redirects.
    location: &'static str,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// With the number of the request at the server.
    asked: Vec<(usize, Asked)>,
    questions: BTreeMap<String, Question>,
    /// The key of a question by the upstream's id of it.
    ids: BTreeMap<String, String>,
    posts: Vec<Post>,
    dead: Vec<Dead>,
    /// A callback URL of an earlier question.
    earlier: Option<String>,
}

impl Upstreams {
    pub(crate) fn new(faults: &Arc<Faults>, location: &'static str) -> Arc<Self> {
        Arc::new(Self {
            faults: Arc::clone(faults),
            began: SystemClock.now().minus(faults.elapsed()),
            http: stack::http(),
            location,
            log: Mutex::default(),
        })
    }

    /// Returns everything that happened. `ends`: the end of each exchange of the server, and the
    /// time now on its clock.
    pub(crate) fn seen(&self, ends: &BTreeMap<usize, End>, got: &[Got]) -> Result<Later, Failed> {
        let log = self.log.lock().unwrap();
        let asked = log.asked.iter().map(|(n, asked)| {
            let end = ends.get(n);
            let since = |at: Timestamp| at.since(self.began);
            Asked {
                at: since(got[*n].at),
                over: end.map(|end| since(end.at)),
                read: end.and_then(|end| end.read).map(since),
                answered: asked.answered && end.is_some_and(|end| end.answered),
                ..asked.clone()
            }
        });
        Ok(Later {
            asked: asked.collect(),
            questions: log.questions.clone(),
            ids: log.ids.clone(),
            posts: log.posts.clone(),
            dead: log.dead.clone(),
            limits: limits()?,
            ..Later::default()
        })
    }

    /// Answers the `n`th request of the server, where it is one for these upstreams. `kill` ends
    /// its sender's process.
    pub(crate) fn answer(
        self: &Arc<Self>,
        n: usize,
        got: &Got,
        kill: impl FnOnce() -> Answer,
    ) -> Option<Answer> {
        let path = got.path.strip_prefix("/later/")?;
        let (provider, id) = path
            .split_once('/')
            .map_or((path, None), |(provider, id)| (provider, Some(id)));
        let mut log = self.log.lock().unwrap();
        let question = match id {
            Some(id) => match log.ids.get(id) {
                Some(question) => question.clone(),
                None => return Some(Answer::Status(404)),
            },
            None => got.header("idempotency-key").to_owned(),
        };
        let spoiled = self.spoil(&mut log, provider, kill);
        let taken = id.is_none() && spoiled.as_ref().is_none_or(|spoiled| spoiled.taken);
        if taken {
            self.take(&mut log, provider, &question, &got.json());
        }
        let wait = spoiled.as_ref().and_then(|spoiled| match &spoiled.answer {
            Answer::With(_, "Retry-After", seconds) => {
                Some(Duration::from_secs(seconds.parse().ok()?))
            }
            _ => None,
        });
        let asked = Asked {
            at: self.faults.elapsed(),
            over: None,
            read: None,
            provider: provider.to_owned(),
            instance: got.header("x-instance").to_owned(),
            question: question.clone(),
            puts: id.is_none(),
            taken,
            answered: spoiled.is_none(),
            wait,
        };
        log.asked.push((n, asked));
        if let Some(spoiled) = spoiled {
            return Some(spoiled.answer);
        }
        let asked_of = &log.questions[&question];
        let now = self.faults.elapsed();
        let ready = asked_of.direct || (id.is_some() && asked_of.ready.is_some_and(|at| at <= now));
        let mut body = if ready {
            done(asked_of, "")
        } else {
            json!({"id": asked_of.id, "status": "pending"})
        };
        if id.is_none() && !ready {
            body["status"] = json!("accepted");
        }
        Some(Answer::Later(
            Duration::from_millis(50 + self.faults.below(350) as u64),
            body,
        ))
    }

    fn spoil(
        &self,
        log: &mut Log,
        provider: &str,
        kill: impl FnOnce() -> Answer,
    ) -> Option<Spoiled> {
        let (faults, now) = (&self.faults, self.faults.elapsed());
        let taken = faults.below(2) == 0;
        if faults.on()
            && log
                .dead
                .iter()
                .any(|dead| dead.provider == provider && now < dead.until)
        {
            let answer = if faults.below(5) == 0 {
                Answer::NeverAnswer
            } else {
                Answer::Status(500)
            };
            return Some(Spoiled {
                answer,
                taken: false,
            });
        }
        if faults.once_in(DIES) {
            faults.count("dead for some seconds", provider);
            let until = now + Duration::from_millis(3000 + faults.below(5000) as u64);
            log.dead.push(Dead {
                provider: provider.to_owned(),
                from: now,
                until,
            });
        }
        if faults.slow() && faults.once_in(KILLED) {
            return Some(Spoiled {
                answer: kill(),
                taken,
            });
        }
        let (name, answer) = faults.of_exchange(SPOILED, self.location)?;
        faults.count(name, provider);
        // A busy upstream has taken nothing.
        let taken = taken && !matches!(answer, Answer::With(..));
        Some(Spoiled { answer, taken })
    }

    /// Starts to work on a question, if it is a new one.
    fn take(self: &Arc<Self>, log: &mut Log, provider: &str, key: &str, body: &Value) {
        if log.questions.contains_key(key) {
            return;
        }
        let (faults, now) = (&self.faults, self.faults.elapsed());
        let about = body["key"].as_str().unwrap_or_default().to_owned();
        let id = format!("{provider}-{}", log.questions.len());
        let direct = faults.below(10) == 0;
        let never = !direct && faults.slow() && faults.once_in(NEVER);
        if never {
            faults.count("never answered", provider);
        }
        let ready = (!never).then(|| now + Duration::from_millis(faults.below(5000) as u64));
        let question = Question {
            provider: provider.to_owned(),
            id: id.clone(),
            about,
            taken: now,
            ready,
            direct,
        };
        if let (Some(url), false) = (body["callback"].as_str(), direct || never) {
            let earlier = log.earlier.replace(url.to_owned());
            tokio::spawn(Arc::clone(self).call_back(
                key.to_owned(),
                question.clone(),
                url.to_owned(),
                earlier,
            ));
        }
        log.ids.insert(id, key.to_owned());
        log.questions.insert(key.to_owned(), question);
    }

    async fn call_back(
        self: Arc<Self>,
        key: String,
        question: Question,
        url: String,
        earlier: Option<String>,
    ) {
        let (faults, provider) = (&self.faults, question.provider.as_str());
        let first = question
            .ready
            .unwrap_or_default()
            .saturating_sub(faults.elapsed());
        if faults.once_in(FORGED) {
            for forged in forgeries(&url, earlier.as_deref()) {
                let body = json!({"id": question.id, "status": "done", "answer": FORGERY});
                self.post(&key, &forged, true, &body).await;
                faults.count("callback forged", provider);
            }
        }
        let content = |times: &str| {
            let hint = provider != "called";
            if hint {
                json!({"id": question.id, "status": "done", "answer": HINT})
            } else {
                done(&question, times)
            }
        };
        tokio::time::sleep(first).await;
        let kind = if faults.on() { faults.below(16) } else { 16 };
        match kind {
            0 | 1 if !faults.slow() => {}
            0 => return faults.count("callback lost", provider),
            1 => {
                faults.count("called back long after", provider);
                tokio::time::sleep(Duration::from_secs(30 + faults.below(15) as u64)).await;
            }
            _ => {}
        }
        self.post(&key, &url, false, &content("")).await;
        if let 2..5 = kind {
            faults.count("called back twice", provider);
            tokio::time::sleep(Duration::from_millis(faults.below(4000) as u64)).await;
            self.post(&key, &url, false, &content(" again")).await;
        }
    }

    /// Posts until the answer is neither a server error nor a request to wait, or for [`PATIENCE`].
    async fn post(&self, question: &str, url: &str, forged: bool, body: &Value) {
        let began = self.faults.elapsed();
        let mut status = 0;
        while self.faults.elapsed() < began + PATIENCE {
            let headers = [("content-type", "application/json")];
            let sent = stack::send(
                &*self.http,
                "POST",
                url,
                &headers,
                body.to_string().as_bytes(),
            )
            .await;
            match sent {
                Ok(reply) if reply.status < 500 && reply.status != 429 => {
                    status = reply.status;
                    break;
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        let says = body["answer"].as_str().map(str::to_owned);
        let (question, ended) = (question.to_owned(), self.faults.elapsed());
        self.log.lock().unwrap().posts.push(Post {
            question,
            forged,
            says,
            began,
            ended,
            status,
        });
    }
}

/// The last answer to a question; empty where its number is unknown. `times` tells one from
/// another.
fn done(question: &Question, times: &str) -> Value {
    let mut body = json!({"id": question.id, "status": "done"});
    let number = question
        .about
        .rsplit('.')
        .next()
        .and_then(|n| n.parse().ok());
    if number.is_some_and(known) || !times.is_empty() {
        body["answer"] = json!(format!("{}/{}{times}", question.about, question.id));
    }
    body
}

/// Forged URLs: another signature, and this one under another record, another provider and another
/// job.
fn forgeries(url: &str, earlier: Option<&str>) -> Vec<String> {
    let split = |url: &str| {
        let (base, token) = url.split_once(CALLBACKS)?;
        let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        (parts.len() == 5).then(|| (base.to_owned(), parts))
    };
    let Some((base, parts)) = split(url) else {
        return Vec::new();
    };
    let with = |at: usize, part: String| {
        let mut parts = parts.clone();
        parts[at] = part;
        format!("{base}{CALLBACKS}{}", parts.join("."))
    };
    let other = |part: &str, one: &str, two: &str| {
        if part.starts_with(one) {
            two.to_owned()
        } else {
            one.to_owned()
        }
    };
    let record = parts[2].parse::<u32>().unwrap_or(0) + 1;
    let mut forged = vec![
        with(
            4,
            format!("{}{}", other(&parts[4], "A", "B"), &parts[4][1..]),
        ),
        with(2, record.to_string()),
        with(3, other(&parts[3], "called", "hinted")),
    ];
    if let Some((_, theirs)) = earlier.and_then(split)
        && theirs[0] != parts[0]
    {
        forged.push(with(0, theirs[0].clone()));
    }
    forged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_configuration_says_every_limit() {
        let limits = limits().unwrap();
        assert_eq!(
            limits.keys().map(String::as_str).collect::<BTreeSet<_>>(),
            BTreeSet::from(TYPES)
        );
        for (name, limits) in limits {
            assert_eq!(
                limits.kept.is_some(),
                KEPT.contains(&name.as_str()),
                "{name}"
            );
        }
    }

    #[test]
    fn forgeries_differ_from_what_was_signed_in_one_part() {
        let url = |job: &str| format!("http://a/_aws/x{CALLBACKS}{job}.0.3.called.Abc");
        let forged = forgeries(&url("01A"), Some(&url("01B")));
        let tokens: Vec<_> = forged
            .iter()
            .map(|url| url.split_once(CALLBACKS).unwrap().1)
            .collect();
        assert_eq!(
            tokens,
            [
                "01A.0.3.called.Bbc",
                "01A.0.4.called.Abc",
                "01A.0.3.hinted.Abc",
                "01B.0.3.called.Abc"
            ]
        );
        assert_eq!(forgeries(&url("01A"), Some(&url("01A"))).len(), 3);
    }
}
