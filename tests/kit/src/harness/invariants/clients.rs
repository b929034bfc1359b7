//! Answers to clients must stay true, and every answer must have been right when it was given.

use std::collections::{BTreeMap, BTreeSet};

use shared::catalog::RecordType;
use shared::domain::delivery::{Delivery, DeliveryState};
use shared::domain::error::ApiError;
use shared::domain::ids::{DeliveryId, JobId, TenantId};
use shared::domain::job::{JobView, ResultLine, Status, Submission};
use shared::domain::record::Outcome;
use shared::domain::time::Timestamp;
use shared::jobs::read;
use shared::jobs::read::{ResultCursor, results};
use shared::providers::Registry;

use super::{Past, Verdict, same};
use crate::harness::{Version, World};

/// An invariant of a client's observation, given all observations before.
pub type Rule = fn(&ClientView, &Observed<'_>) -> Verdict;

/// The invariants of everything that clients observe.
pub const CLIENTS: [(&str, Rule); 12] = [
    ("accepted_for_good", accepted_for_good),
    ("same_key_same_job", same_key_same_job),
    ("told_stays_true", told_stays_true),
    ("erased_stays_erased", erased_stays_erased),
    ("canceled_stays_canceled", canceled_stays_canceled),
    ("in_input_order", in_input_order),
    ("no_gap_in_results", no_gap_in_results),
    ("one_secret_per_key", one_secret_per_key),
    ("replayed_as_asked", replayed_as_asked),
    ("answered_as_documented", answered_as_documented),
    ("clients_are_answered", clients_are_answered),
    ("other_tenants_learn_nothing", other_tenants_learn_nothing),
];

/// A client's request. A key stands for one request, however often that is sent.
#[derive(Debug, Clone)]
pub enum Request {
    Submit { sent: Box<Submission>, key: String },
    Retry { job: JobId, key: String },
    Cancel { job: JobId },
    Delete { job: JobId },
    Replay { id: DeliveryId, key: String },
    Read { job: JobId },
    Rotate { key: String },
    TestWebhook { key: String },
}

impl Request {
    /// Returns the key of a request that makes a job.
    fn makes(&self) -> Option<&str> {
        match self {
            Self::Submit { key, .. } | Self::Retry { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Returns the job that it is about.
    fn job(&self) -> Option<&JobId> {
        match self {
            Self::Retry { job, .. }
            | Self::Cancel { job }
            | Self::Delete { job }
            | Self::Read { job } => Some(job),
            Self::Replay { id, .. } => Some(&id.job),
            Self::Submit { .. } | Self::Rotate { .. } | Self::TestWebhook { .. } => None,
        }
    }
}

/// A request and its times.
#[derive(Debug)]
pub struct Sent<'a> {
    pub tenant: &'a TenantId,
    pub request: &'a Request,
    /// When it was sent for the first time.
    pub first_at: Timestamp,
    /// The time at which it was sent this time.
    pub at: Timestamp,
    /// The time at which its answer arrived.
    pub answered_at: Timestamp,
}

/// An observation of a client.
#[derive(Debug)]
pub enum Observed<'a> {
    /// The job of this key.
    Accepted {
        tenant: &'a TenantId,
        key: &'a str,
        job: &'a JobId,
    },
    /// A job as it is shown. `was_gone`: its erasure was acknowledged before the request was sent.
    Shown {
        view: &'a JobView,
        was_gone: bool,
        version: Version,
    },
    /// The job's cancellation was acknowledged.
    Canceled { job: &'a JobId },
    /// A client requests the job's erasure.
    Doomed { job: &'a JobId },
    /// The job was erased by this request.
    Erased { job: &'a JobId, was_gone: bool },
    /// The job does not exist.
    Absent { job: &'a JobId },
    /// The line in this place.
    Line {
        job: &'a JobId,
        place: u32,
        line: &'a ResultLine,
    },
    /// An empty page after this many lines, though more is to come.
    EmptyPage { view: &'a JobView, after: u32 },
    /// This key's webhook secret.
    Secret {
        tenant: &'a TenantId,
        key: &'a str,
        secret: &'a str,
    },
    /// The event is sent again.
    Replayed {
        tenant: &'a TenantId,
        id: &'a DeliveryId,
        delivery: &'a Delivery,
    },
    /// The delivery at the end of the run.
    Over { delivery: &'a Delivery },
    /// The request is refused. Readers, who run beside everything else, know nothing of the past.
    Refused {
        sent: Sent<'a>,
        error: &'a ApiError,
        past: Option<(&'a Past, &'a Registry)>,
    },
    /// No answer, for longer than a client waits.
    Silence { who: &'a str },
    /// Another tenant's client asked for a thing, and for one that never existed.
    Stranger {
        asked: &'a str,
        there: (u16, &'a str),
        never: (u16, &'a str),
    },
}

/// The answers to clients, about all jobs.
#[derive(Debug, Default)]
pub struct ClientView {
    /// The job of each key, by tenant.
    keys: BTreeMap<(TenantId, String), JobId>,
    /// The outcome of each line that was shown.
    lines: BTreeMap<(JobId, u32), Outcome>,
    /// The shown status of each ended job.
    ended: BTreeMap<JobId, Status>,
    /// Records shown as done.
    done: BTreeMap<JobId, u32>,
    canceled: BTreeSet<JobId>,
    /// Jobs whose erasure was requested.
    doomed: BTreeSet<JobId>,
    /// Jobs whose erasure was acknowledged.
    gone: BTreeSet<JobId>,
    secrets: BTreeMap<(TenantId, String), String>,
    /// The attempts that deliveries will have had at the end.
    promised: BTreeMap<DeliveryId, u32>,
    /// Every broken invariant.
    wrong: Vec<String>,
}

impl ClientView {
    /// Checks a client's observation against all earlier ones, and records it.
    pub fn hear(&mut self, observed: &Observed<'_>) {
        let wrong = CLIENTS.iter().filter_map(|(name, rule)| {
            rule(self, observed)
                .err()
                .map(|why| format!("{name}: {why}"))
        });
        let wrong: Vec<String> = wrong.collect();
        self.wrong.extend(wrong);
        self.learn(observed);
    }

    /// Returns true if a job's erasure was acknowledged.
    pub fn is_gone(&self, job: &JobId) -> bool {
        self.gone.contains(job)
    }

    /// Returns the broken invariants, each line beginning with its name. They are returned once.
    pub fn take_wrong(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wrong)
    }

    fn learn(&mut self, observed: &Observed<'_>) {
        match observed {
            Observed::Accepted { tenant, key, job } => {
                self.keys
                    .entry(((*tenant).clone(), (*key).to_owned()))
                    .or_insert_with(|| (*job).clone());
            }
            Observed::Shown { view, version, .. } => {
                let id = &view.job.spec.id;
                if !view.status().is_live() {
                    self.ended.entry(id.clone()).or_insert(view.status());
                }
                if *version != Version::Previous {
                    self.done.insert(id.clone(), view.counts().total());
                }
            }
            Observed::Canceled { job } => drop(self.canceled.insert((*job).clone())),
            Observed::Doomed { job } => drop(self.doomed.insert((*job).clone())),
            Observed::Erased { job, .. } | Observed::Absent { job } => {
                self.gone.insert((*job).clone());
            }
            Observed::Line { job, line, .. } => {
                self.lines
                    .entry(((*job).clone(), line.index))
                    .or_insert_with(|| line.outcome.clone());
            }
            Observed::Secret {
                tenant,
                key,
                secret,
            } => {
                let named = ((*tenant).clone(), (*key).to_owned());
                self.secrets
                    .entry(named)
                    .or_insert_with(|| (*secret).to_owned());
            }
            Observed::Replayed { id, delivery, .. } => {
                if delivery.explicit {
                    let promised = self.promised.entry((*id).clone()).or_default();
                    *promised = (*promised).max(delivery.round_start + 1);
                }
            }
            Observed::EmptyPage { .. }
            | Observed::Over { .. }
            | Observed::Refused { .. }
            | Observed::Silence { .. }
            | Observed::Stranger { .. } => {}
        }
    }

    /// Lets every client read its jobs, and the events that it asked for again, at the end.
    pub fn look_again(&mut self, world: &World, version: Version) {
        for (id, tenant) in world.accepted.clone() {
            let was_gone = self.is_gone(&id);
            match world.call(async |ports| read::job(ports, &tenant, &id).await) {
                Ok(view) => {
                    self.hear(&Observed::Shown {
                        view: &view,
                        was_gone,
                        version,
                    });
                    let (mut place, mut next) = (0, Some(ResultCursor::default()));
                    while let Some(cursor) = next {
                        let page = world
                            .call(async |ports| results(ports, &view, cursor, usize::MAX).await);
                        let Ok(page) = page else { break };
                        for line in &page.lines {
                            self.hear(&Observed::Line {
                                job: &id,
                                place,
                                line,
                            });
                            place += 1;
                        }
                        next = page.next.filter(|_| !page.lines.is_empty());
                        if page.lines.is_empty() && page.next.is_some() {
                            self.hear(&Observed::EmptyPage {
                                view: &view,
                                after: place,
                            });
                        }
                    }
                }
                Err(ApiError::NotFound { .. }) => self.hear(&Observed::Absent { job: &id }),
                Err(other) => self
                    .wrong
                    .push(format!("accepted_for_good: {id}: {other:?}")),
            }
        }
        for id in self.promised.keys().cloned().collect::<Vec<_>>() {
            let Some(tenant) = world.accepted.get(&id.job) else {
                continue;
            };
            if let Ok(delivery) = world.call(async |ports| read::delivery(ports, tenant, &id).await)
            {
                self.hear(&Observed::Over {
                    delivery: &delivery,
                });
            }
        }
    }
}

/// An accepted job exists until its erasure is requested.
fn accepted_for_good(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    match observed {
        Observed::Absent { job } if !reported.doomed.contains(*job) => {
            Err(format!("{job} is not found, and was never erased"))
        }
        _ => Ok(()),
    }
}

/// A key gets one job, from any client and however often.
fn same_key_same_job(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    let Observed::Accepted { tenant, key, job } = observed else {
        return Ok(());
    };
    let before = reported.keys.get(&((*tenant).clone(), (*key).to_owned()));
    before.map_or(Ok(()), |before| {
        same(&format!("job of {key}"), job, &before)
    })
}

/// The outcome of a record, the end of a job, and the count of done records: once shown, they stay.
fn told_stays_true(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    match observed {
        Observed::Shown { view, version, .. } => {
            let (id, status) = (&view.job.spec.id, view.status());
            if let Some(before) = reported.ended.get(id) {
                same(&format!("status of {id}"), &status, before)?;
            }
            let (done, total) = (view.counts().total(), view.job.spec.total);
            // The version before cannot read this version's progress, and shows less of a live job
            // until it is replaced: no later version can change that. It shows the whole of an
            // ended job.
            let before = if *version == Version::Previous {
                0
            } else {
                reported.done.get(id).copied().unwrap_or(0)
            };
            if before <= done && done <= total {
                Ok(())
            } else {
                Err(format!(
                    "{before} of {total} records of {id} were done, now {done}"
                ))
            }
        }
        Observed::Line { job, line, .. } => {
            let before = reported.lines.get(&((*job).clone(), line.index));
            before.map_or(Ok(()), |before| {
                same(
                    &format!("line {} of {job}", line.index),
                    &line.outcome,
                    before,
                )
            })
        }
        _ => Ok(()),
    }
}

/// A job whose erasure was acknowledged is never seen again, and is erased once.
fn erased_stays_erased(_: &ClientView, observed: &Observed<'_>) -> Verdict {
    match observed {
        Observed::Shown {
            view,
            was_gone: true,
            ..
        } => Err(format!("{} is shown again", view.job.spec.id)),
        Observed::Erased {
            job,
            was_gone: true,
        } => Err(format!("{job} was erased twice")),
        _ => Ok(()),
    }
}

fn canceled_stays_canceled(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    let Observed::Shown { view, .. } = observed else {
        return Ok(());
    };
    let (id, status) = (&view.job.spec.id, view.status());
    if reported.canceled.contains(id) && !matches!(status, Status::Canceling | Status::Canceled) {
        return Err(format!("{id} is {status:?}"));
    }
    Ok(())
}

/// Paging through a job returns the lines of the input, in its order.
fn in_input_order(_: &ClientView, observed: &Observed<'_>) -> Verdict {
    match observed {
        Observed::Line { job, place, line } => same(
            &format!("place of the next line of {job}"),
            &line.index,
            place,
        ),
        _ => Ok(()),
    }
}

/// A job that has ended shows all of its lines, unless its erasure is requested meanwhile.
fn no_gap_in_results(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    let Observed::EmptyPage { view, after } = observed else {
        return Ok(());
    };
    let id = &view.job.spec.id;
    if view.job.status.is_live() || reported.doomed.contains(id) {
        return Ok(());
    }
    Err(format!("{id} has ended and shows {after} lines"))
}

fn one_secret_per_key(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    let Observed::Secret {
        tenant,
        key,
        secret,
    } = observed
    else {
        return Ok(());
    };
    match reported
        .secrets
        .get(&((*tenant).clone(), (*key).to_owned()))
    {
        Some(before) if before != secret => Err(format!("{key} got two secrets")),
        _ => Ok(()),
    }
}

/// An event that is sent again is the one that was asked for, and has one more attempt at the end,
/// unless a newer one made it void. One whose attempt is in flight is answered as it is.
fn replayed_as_asked(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    match observed {
        Observed::Replayed {
            tenant,
            id,
            delivery,
        } => {
            same("delivery", &&delivery.id, id)?;
            same("tenant", &&delivery.tenant, tenant)?;
            let answered = delivery.explicit || delivery.lease.is_some();
            if answered {
                Ok(())
            } else {
                Err(format!(
                    "{id} is answered as if it had not been requested: {delivery:?}"
                ))
            }
        }
        Observed::Over { delivery } => {
            let (id, had) = (&delivery.id, delivery.attempts);
            let promised = reported.promised.get(id).copied().unwrap_or(0);
            let void = delivery.state == DeliveryState::Exhausted
                && delivery.reason.as_deref() == Some("superseded");
            if had >= promised || void {
                Ok(())
            } else {
                Err(format!("{id} had {had} attempts, not {promised}"))
            }
        }
        _ => Ok(()),
    }
}

/// A client that goes on asking is answered.
fn clients_are_answered(_: &ClientView, observed: &Observed<'_>) -> Verdict {
    match observed {
        Observed::Silence { who } => Err(format!("{who} waits for more than an hour")),
        _ => Ok(()),
    }
}

/// Another tenant's things are answered like things that never existed.
fn other_tenants_learn_nothing(_: &ClientView, observed: &Observed<'_>) -> Verdict {
    let Observed::Stranger {
        asked,
        there,
        never,
    } = observed
    else {
        return Ok(());
    };
    same(&format!("answer to a stranger's {asked}"), there, never)?;
    same(&format!("status of a stranger's {asked}"), &there.0, &404)
}

/// Each refusal is one that the request may get, and its reason was true at a moment between the
/// request and its answer. Source: the API description in `docs/API.md`.
fn answered_as_documented(reported: &ClientView, observed: &Observed<'_>) -> Verdict {
    let Observed::Refused { sent, error, past } = observed else {
        return Ok(());
    };
    let right = match (error, past) {
        (ApiError::NotFound { what }, _) if *what == "job" => is_missing(reported, sent),
        (ApiError::NotFound { what: "delivery" }, Some((past, _))) => match sent.request {
            // Under a tombstone a delivery may be left; it is not shown any more.
            Request::Replay { id, .. } => {
                past.lacked(id, sent.at, sent.answered_at)
                    || past
                        .statuses(&id.job, sent.at, sent.answered_at)
                        .any(|status| status == Status::Deleted)
            }
            _ => false,
        },
        (ApiError::NotEnoughCredits { needed, available }, Some((past, registry))) => {
            let there = past
                .balances(sent.tenant, sent.at, sent.answered_at)
                .any(|balance| balance == *available);
            let short = i64::try_from(*needed).is_ok_and(|needed| needed > *available);
            there && short && needs(sent.request, past, registry) == Some(*needed)
        }
        (ApiError::Conflict { .. }, Some((past, _))) => is_in_the_way(sent, past),
        _ => false,
    };
    if right {
        Ok(())
    } else {
        Err(format!("{:?} got {error:?}", sent.request))
    }
}

/// Returns true if the job that it is about, or the one that it made before, may be gone: its
/// erasure was requested.
fn is_missing(reported: &ClientView, sent: &Sent<'_>) -> bool {
    let made = sent
        .request
        .makes()
        .and_then(|key| reported.keys.get(&(sent.tenant.clone(), key.to_owned())));
    // A replay asks for the delivery alone.
    let about = sent
        .request
        .job()
        .filter(|_| !matches!(sent.request, Request::Replay { .. }));
    made.into_iter()
        .chain(about)
        .any(|job| reported.doomed.contains(job))
}

/// Returns the most credits that the job can cost. `None` where it takes any balance, or makes no
/// job.
fn needs(request: &Request, past: &Past, registry: &Registry) -> Option<u64> {
    let (kind, providers, records, most) = match request {
        Request::Submit { sent, .. } if !sent.partial_budget => {
            let valid = sent.records.len() - sent.invalid.records.len();
            (&sent.kind, &sent.providers, valid as u64, sent.max_credits)
        }
        Request::Retry { job, .. } => {
            let job = past.job(job)?;
            (
                &job.spec.kind,
                &job.spec.providers,
                u64::from(job.end.as_ref()?.counts.failed),
                None,
            )
        }
        _ => return None,
    };
    let usable = |kind: &&RecordType| kind.usable().is_ok();
    let price = registry
        .kind(kind)
        .filter(usable)
        .map_or(0, |kind| u64::from(kind.price(providers.as_deref())));
    let wanted = records * price;
    Some(
        most.filter(|_| price > 0)
            .map_or(wanted, |most| wanted.min(most / price * price)),
    )
}

/// Returns true if the state that a request met does not allow it.
fn is_in_the_way(sent: &Sent<'_>, past: &Past) -> bool {
    let was = |job: &JobId, which: fn(Status) -> bool| {
        past.statuses(job, sent.at, sent.answered_at).any(which)
    };
    let is_ended = |status: Status| !status.is_live() && status != Status::Deleted;
    match sent.request {
        // Too late to stop it.
        Request::Cancel { job } => was(job, |s| {
            matches!(
                s,
                Status::Completed | Status::Failed | Status::Expiring | Status::Expired
            )
        }),
        // It is not over, or nothing failed.
        Request::Retry { job, .. } => {
            let failed = past
                .job(job)
                .and_then(|job| job.end.as_ref())
                .map(|end| end.counts.failed);
            was(job, Status::is_live) || was(job, is_ended) && failed == Some(0)
        }
        // Only the latest event counts at that URL, and a newer one was delivered there.
        Request::Replay { id, .. } => past.was_superseded(id),
        // Another rotation followed this key's own, whose secret is not shown again.
        Request::Rotate { .. } => past.rotations(sent.tenant, sent.first_at, sent.answered_at) > 1,
        _ => false,
    }
}
