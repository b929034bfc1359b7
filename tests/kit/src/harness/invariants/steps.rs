//! Invariants of every change of the table.

use std::collections::{BTreeMap, BTreeSet};

use shared::domain::chunk::SHARD_CHUNKS;
use shared::domain::delivery::{DeliveryEvent, DeliveryState, next_state};
use shared::domain::ids::{JobId, TenantId};
use shared::domain::job::{Job, JobEvent, Status, next_status};
use shared::domain::progress::ChunkSummary;
use shared::domain::time::Timestamp;
use shared::ports::{Item, Key};
use shared::schema::{
    ATTEMPTS, BALANCE, DONE, DUE, DUE_SHARD, DueItem, END, EXPIRES_AT, LEASE_TOKEN, LEASE_UNTIL,
    NEWEST, OPEN_CHUNKS, STATE, STATUS, USED, attempts_attribute, credits_key, delivery_key,
    due_item, get_n, get_s, get_set, held_attribute, meta_key, read_meta, result_key,
};

use super::past::Ledger;
use super::{Verdict, agree, all, same, waits};
use crate::harness::upstream::Upstream;
use crate::sim::{Changed, SimStore};

/// An invariant of the changes that one step of a process made.
pub type Step = fn(&Moment<'_>) -> Verdict;

/// The invariants of every change.
pub const STEPS: [(&str, Step); 18] = [
    (
        "what_was_accepted_never_changes",
        what_was_accepted_never_changes,
    ),
    ("status_moves_along_its_edges", status_moves_along_its_edges),
    ("terminal_stays_terminal", terminal_stays_terminal),
    (
        "done_told_and_settled_at_once",
        done_told_and_settled_at_once,
    ),
    ("what_is_not_over_is_due", what_is_not_over_is_due),
    ("results_are_immutable", results_are_immutable),
    ("progress_only_grows", progress_only_grows),
    ("progress_follows_results", progress_follows_results),
    (
        "deliveries_move_along_their_edges",
        deliveries_move_along_their_edges,
    ),
    ("attempts_only_count_up", attempts_only_count_up),
    (
        "a_lease_is_taken_when_none_is_live",
        a_lease_is_taken_when_none_is_live,
    ),
    (
        "the_newest_told_only_gets_newer",
        the_newest_told_only_gets_newer,
    ),
    (
        "a_tombstone_gets_nothing_back",
        a_tombstone_gets_nothing_back,
    ),
    (
        "an_idempotency_key_keeps_its_job",
        an_idempotency_key_keeps_its_job,
    ),
    ("nothing_goes_before_its_time", nothing_goes_before_its_time),
    ("credits_never_negative", credits_never_negative),
    ("credits_are_conserved", credits_are_conserved),
    (
        "posts_are_kept_as_they_came",
        waits::posts_are_kept_as_they_came,
    ),
];

/// The changes of a process's step, and the table after it.
#[derive(Debug)]
pub struct Moment<'a> {
    pub store: &'a SimStore,
    pub at: Timestamp,
    /// In order. Those of several writes where a request ran while everything else stood still.
    pub changes: &'a [Changed],
    pub(super) ledgers: &'a BTreeMap<TenantId, Ledger>,
    pub(super) upstream: &'a Upstream,
}

pub(super) fn is_meta(key: &Key) -> bool {
    key.sk == "META"
}

/// `JOB#j` or `JOB#j#s`.
pub(super) fn job_of(key: &Key) -> Option<JobId> {
    JobId::parse(key.pk.strip_prefix("JOB#")?.split('#').next()?)
}

pub(super) fn head(item: Option<&Item>) -> Option<Job> {
    read_meta(item?).ok()
}

pub(super) fn status_of(item: &Item) -> Option<Status> {
    get_s(item, STATUS).and_then(Status::parse)
}

pub(super) fn number(item: &Item, name: &str) -> i64 {
    get_n(item, name).unwrap_or(0)
}

impl Moment<'_> {
    /// The matching items that existed before a change and exist after it.
    fn rewritten(
        &self,
        which: impl Fn(&Key) -> bool,
        check: impl Fn(&Changed, &Item, &Item) -> Verdict,
    ) -> Verdict {
        all(
            self.changes.iter().filter(|changed| which(&changed.key)),
            |changed| {
                let (Some(before), Some(after)) = (&changed.before, &changed.after) else {
                    return Ok(());
                };
                check(changed, before, after)
            },
        )
    }

    /// The matching items before, where they existed, and after a change.
    pub(super) fn written(
        &self,
        which: impl Fn(&Key) -> bool,
        check: impl Fn(&Changed, Option<&Item>, &Item) -> Verdict,
    ) -> Verdict {
        all(
            self.changes.iter().filter(|changed| which(&changed.key)),
            |changed| {
                changed.after.as_ref().map_or(Ok(()), |after| {
                    check(changed, changed.before.as_deref(), after)
                })
            },
        )
    }

    /// Returns a job's status at this change.
    fn status(&self, job: &JobId, at: &Changed) -> Option<Status> {
        let head = meta_key(job);
        match self
            .changes
            .iter()
            .find(|changed| changed.key == head && changed.write > at.write)
        {
            Some(later) => later.before.as_deref().and_then(status_of),
            None => self.store.peek(&head).as_ref().and_then(status_of),
        }
    }

    /// Returns true if the write that made this change changed this item too.
    fn in_one_transaction(&self, with: &Changed, key: &Key) -> bool {
        self.changes
            .iter()
            .any(|changed| changed.write == with.write && changed.key == *key)
    }
}

pub(super) fn is_delivery(key: &Key) -> bool {
    key.sk.starts_with("DELIVERY#")
}

pub(super) fn is_progress(key: &Key) -> bool {
    key.sk.starts_with("PROGRESS#")
}

/// `CHUNK#n` alone.
fn is_input(key: &Key) -> bool {
    key.sk.starts_with("CHUNK#") && key.sk.matches('#').count() == 1
}

fn state_of(item: &Item) -> Option<DeliveryState> {
    get_s(item, STATE).and_then(DeliveryState::parse)
}

fn is_expired(item: &Item, at: Timestamp) -> bool {
    get_n(item, EXPIRES_AT).is_some_and(|expires_at| at.seconds() >= expires_at)
}

fn show(item: &Item) -> String {
    format!("{}/{}", item.key.pk, item.key.sk)
}

/// A job's pricing and input, and an event with its receiver, stay unchanged, but for what a
/// deletion strips.
fn what_was_accepted_never_changes(moment: &Moment<'_>) -> Verdict {
    let which = |key: &Key| is_input(key) || is_meta(key) || is_delivery(key);
    moment.rewritten(which, |_, before, after| {
        let erased = status_of(after) == Some(Status::Deleted);
        let kept = ["spec", "data"]
            .iter()
            .all(|name| before.attributes.get(*name) == after.attributes.get(*name));
        if kept || erased {
            Ok(())
        } else {
            Err(format!("{} was written over", show(after)))
        }
    })
}

/// A job is queued first, and then moves as [`next_status`] says. Only past its retention does it
/// end directly.
fn status_moves_along_its_edges(moment: &Moment<'_>) -> Verdict {
    moment.written(is_meta, |_, before, after| {
        let Some(to) = status_of(after) else {
            return Err(format!("{} has no status", show(after)));
        };
        let Some(before) = before else {
            return same(
                &format!("first status of {}", show(after)),
                &to,
                &Status::FIRST,
            );
        };
        let Some(from) = status_of(before) else {
            return Err(format!("{} had no status", show(before)));
        };
        let possible = |event| event != JobEvent::OutliveRetention || is_expired(after, moment.at);
        let follows = |event| possible(event) && next_status(from, event) == Some(to);
        if from == to || JobEvent::ALL.into_iter().any(follows) {
            Ok(())
        } else {
            Err(format!("{}: {to:?} follows {from:?}", show(after)))
        }
    })
}

/// A job that has ended can only be erased, and its end stays as it was reported.
fn terminal_stays_terminal(moment: &Moment<'_>) -> Verdict {
    moment.rewritten(is_meta, |_, before, after| {
        let (Some(from), Some(to)) = (status_of(before), status_of(after)) else {
            return Ok(());
        };
        if from.is_live() || (to == Status::Deleted && from != Status::Deleted) {
            return Ok(());
        }
        same(&format!("status of {}", show(after)), &to, &from)?;
        same(
            &format!("end of {}", show(after)),
            &get_s(after, END),
            &get_s(before, END),
        )
    })
}

/// The very write that ends a job puts its event, settles its credits, and makes it due no more.
fn done_told_and_settled_at_once(moment: &Moment<'_>) -> Verdict {
    moment.rewritten(is_meta, |changed, before, after| {
        let (Some(was), Some(job)) = (head(Some(before)), head(Some(after))) else {
            return Ok(());
        };
        if !was.status.is_live() || job.status.is_live() {
            return Ok(());
        }
        let id = &job.spec.id;
        if !moment.in_one_transaction(changed, &credits_key(&job.spec.tenant)) {
            return Err(format!(
                "{id} is {:?} and its credits are not settled",
                job.status
            ));
        }
        // An erased job sends no event, and neither does a job that has expired.
        if job.status == Status::Deleted || (job.end.is_none() && is_expired(after, moment.at)) {
            return Ok(());
        }
        let reported = job.spec.webhook.is_none()
            || moment.in_one_transaction(changed, &delivery_key(&id.delivery(0)));
        if job.end.is_none() || !reported {
            return Err(format!("{id} ended without its event"));
        }
        if job.due.is_some() {
            Err(format!("{id} ended and is still due"))
        } else {
            Ok(())
        }
    })
}

/// The sweep finds everything that is not over: live jobs and pending deliveries are in the `due`
/// index.
fn what_is_not_over_is_due(moment: &Moment<'_>) -> Verdict {
    let which = |key: &Key| due_item(key).is_some();
    moment.written(which, |changed, _, after| {
        let open = match due_item(&changed.key) {
            Some(DueItem::Job(_)) => status_of(after).is_some_and(Status::is_live),
            _ => state_of(after) == Some(DeliveryState::Pending),
        };
        let due = get_n(after, DUE).is_some() && get_s(after, DUE_SHARD).is_some();
        if due || !open || is_expired(after, moment.at) {
            Ok(())
        } else {
            Err(format!("{} is not over, and is not due", show(after)))
        }
    })
}

/// The first result that was put is the one that counts, with all its overflow.
fn results_are_immutable(moment: &Moment<'_>) -> Verdict {
    let which = |key: &Key| key.sk.starts_with("CHUNK#") && key.sk.contains("#RESULT");
    moment.rewritten(which, |_, before, after| {
        if before == after {
            Ok(())
        } else {
            Err(format!("{} was put again", show(after)))
        }
    })
}

/// A job's done work stays done: chunks, and counted attempts, which only the run that has the
/// chunk's lease may reset.
fn progress_only_grows(moment: &Moment<'_>) -> Verdict {
    moment.rewritten(is_progress, |_, before, after| {
        let kept: BTreeSet<&String> = get_set(after, DONE).collect();
        if let Some(lost) = get_set(before, DONE).find(|element| !kept.contains(element)) {
            return Err(format!("{} forgot {lost}", show(after)));
        }
        all(0..SHARD_CHUNKS, |chunk| {
            let starts = attempts_attribute(chunk);
            let held = number(before, held_attribute(chunk));
            let holder = moment.at.0 < held && held == number(after, held_attribute(chunk));
            let forgot = number(after, starts) < number(before, starts) && !holder;
            if forgot {
                Err(format!("{} forgot {starts}", show(after)))
            } else {
                Ok(())
            }
        })
    })
}

/// A chunk is done once its result is stored, and once only.
fn progress_follows_results(moment: &Moment<'_>) -> Verdict {
    moment.written(is_progress, |changed, before, after| {
        let Some(job) = job_of(&changed.key) else {
            return Ok(());
        };
        let known: BTreeSet<&String> = before.iter().flat_map(|item| get_set(item, DONE)).collect();
        all(
            get_set(after, DONE).filter(|element| !known.contains(element)),
            |element| {
                let Some(summary) = ChunkSummary::parse(element) else {
                    return Err(format!("{element} is none"));
                };
                let stored = moment
                    .store
                    .peek(&result_key(&job, summary.chunk))
                    .is_some();
                if !stored && moment.status(&job, changed) != Some(Status::Deleted) {
                    return Err(format!("{job} counts {element}, and the result is missing"));
                }
                let same_chunk = |other: &&&String| {
                    ChunkSummary::parse(other).is_some_and(|o| o.chunk == summary.chunk)
                        && !agree(element, other)
                };
                let twice = known.iter().find(same_chunk);
                twice.map_or(Ok(()), |other| {
                    Err(format!("{job} counts {element} after {other}"))
                })
            },
        )
    })
}

/// A delivery moves as [`next_state`] says. A replay is requested by a caller, and has a new round
/// of attempts.
fn deliveries_move_along_their_edges(moment: &Moment<'_>) -> Verdict {
    moment.rewritten(is_delivery, |_, before, after| {
        let (Some(from), Some(to)) = (state_of(before), state_of(after)) else {
            return Err(format!("{} has no state", show(after)));
        };
        let asked = number(after, "explicit") == 1
            && number(after, "round_start") == number(after, ATTEMPTS);
        let possible = |event| event != DeliveryEvent::Replay || asked;
        let follows = |event| possible(event) && next_state(from, event) == Some(to);
        if from == to || DeliveryEvent::ALL.into_iter().any(follows) {
            Ok(())
        } else {
            Err(format!("{}: {to:?} follows {from:?}", show(after)))
        }
    })
}

/// Each lease counts one attempt, and nothing else does.
fn attempts_only_count_up(moment: &Moment<'_>) -> Verdict {
    moment.rewritten(is_delivery, |_, before, after| {
        let token = get_s(after, LEASE_TOKEN);
        let leased = token.is_some() && token != get_s(before, LEASE_TOKEN);
        let expected = number(before, ATTEMPTS) + i64::from(leased);
        same(
            &format!("attempts of {}", show(after)),
            &number(after, ATTEMPTS),
            &expected,
        )
    })
}

/// Of two attempts the second begins when the lease of the first has expired or was released.
fn a_lease_is_taken_when_none_is_live(moment: &Moment<'_>) -> Verdict {
    moment.rewritten(is_delivery, |_, before, after| {
        let (Some(was), Some(is)) = (get_s(before, LEASE_TOKEN), get_s(after, LEASE_TOKEN)) else {
            return Ok(());
        };
        let (at, until) = (moment.at, Timestamp(number(before, LEASE_UNTIL)));
        if was == is || at >= until {
            Ok(())
        } else {
            Err(format!(
                "{} at {at}, while another has the lease until {until}",
                show(after)
            ))
        }
    })
}

/// Where only the latest event counts, the record of it never goes back.
fn the_newest_told_only_gets_newer(moment: &Moment<'_>) -> Verdict {
    let which = |key: &Key| key.sk == "LATEST";
    moment.rewritten(which, |_, before, after| {
        let (was, is) = (get_n(before, NEWEST), get_n(after, NEWEST));
        if is >= was {
            Ok(())
        } else {
            Err(format!("{}: {is:?} follows {was:?}", show(after)))
        }
    })
}

/// An erased job's head only loses, and its input, progress and end are not made again under it.
/// The second erasure removes what late workers put beside it.
fn a_tombstone_gets_nothing_back(moment: &Moment<'_>) -> Verdict {
    moment.rewritten(is_meta, |_, before, after| {
        if status_of(before) != Some(Status::Deleted) {
            return Ok(());
        }
        let bare = [END, "tenant_jobs"]
            .iter()
            .all(|name| !after.attributes.contains_key(*name));
        let kept = bare && after.attributes.get("spec") == before.attributes.get("spec");
        if kept {
            Ok(())
        } else {
            Err(format!("{} has content again", show(after)))
        }
    })?;
    let end = |key: &Key| is_delivery(key) && key.sk.ends_with("#00000");
    let which = |key: &Key| is_input(key) || is_progress(key) || end(key);
    moment.written(which, |changed, before, after| {
        let erased = job_of(&changed.key)
            .is_some_and(|job| moment.status(&job, changed) == Some(Status::Deleted));
        if before.is_none() && erased {
            Err(format!("{} came back", show(after)))
        } else {
            Ok(())
        }
    })
}

/// While a key is remembered it stands for one job.
fn an_idempotency_key_keeps_its_job(moment: &Moment<'_>) -> Verdict {
    let which = |key: &Key| key.sk == "IDEM";
    moment.rewritten(which, |_, before, after| {
        if is_expired(before, moment.at) {
            return Ok(());
        }
        same(
            &format!("job of {}", show(after)),
            &get_s(after, "job"),
            &get_s(before, "job"),
        )
    })
}

/// Nothing is removed before its time except items of a job that is erased, or never existed.
fn nothing_goes_before_its_time(moment: &Moment<'_>) -> Verdict {
    let kept = ["JOB#", "IDEM#", "TENANT#", "SECRET#", "ENDPOINT#"];
    all(
        moment
            .changes
            .iter()
            .filter(|changed| kept.iter().any(|kind| changed.key.pk.starts_with(kind))),
        |changed| {
            let (Some(before), None) = (&changed.before, &changed.after) else {
                return Ok(());
            };
            let under = job_of(&changed.key).filter(|_| !is_meta(&changed.key));
            let of_no_job = |job| {
                moment
                    .status(&job, changed)
                    .is_none_or(|status| status == Status::Deleted)
            };
            if under.is_some_and(of_no_job) || is_expired(before, moment.at) {
                Ok(())
            } else {
                Err(format!("{} was removed", show(before)))
            }
        },
    )
}

/// No job takes credits that are missing. Only an operator's correction makes a balance negative.
fn credits_never_negative(moment: &Moment<'_>) -> Verdict {
    let which = |key: &Key| key.sk == "CREDITS";
    moment.rewritten(which, |changed, before, after| {
        if number(after, USED) < 0 || number(after, OPEN_CHUNKS) < 0 {
            return Err(format!("{}: {:?}", show(after), after.attributes));
        }
        let new_job = |other: &Changed| {
            is_meta(&other.key) && other.before.is_none() && other.write == changed.write
        };
        let (was, is) = (number(before, BALANCE), number(after, BALANCE));
        if moment.changes.iter().any(new_job) && is < 0 && is < was {
            return Err(format!("{}: balance {is} follows {was}", show(after)));
        }
        Ok(())
    })
}

/// An operator's grant is in the balance, used, or reserved by a live job; and the open chunks are
/// those of live jobs. Submit moves credits from the balance to the reservation. The end of a job
/// moves them on to the used ones and back to the balance. Each happens together with the job's own
/// change.
fn credits_are_conserved(moment: &Moment<'_>) -> Verdict {
    if !moment
        .changes
        .iter()
        .any(|changed| is_meta(&changed.key) || changed.key.sk == "CREDITS")
    {
        return Ok(());
    }
    all(moment.ledgers, |(tenant, ledger)| {
        let Some(credits) = moment.store.peek(&credits_key(tenant)) else {
            return Ok(());
        };
        let sum = number(&credits, BALANCE) + number(&credits, USED) + ledger.reserved;
        same(
            &format!("what {tenant} has, used and set aside"),
            &sum,
            &ledger.granted,
        )?;
        same(
            &format!("open chunks of {tenant}"),
            &number(&credits, OPEN_CHUNKS),
            &ledger.chunks,
        )
    })
}
