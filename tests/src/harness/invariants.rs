//! What must hold, each as a function with a name. A fault is a line that begins with that name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shared::app::status::{ResultCursor, results};
use shared::app::table::{delivery_key, get_n, meta_key, progress_key, read_delivery, read_meta, read_progress};
use shared::dialect::surface;
use shared::domain::chunk::shard_count;
use shared::domain::delivery::{Delivery, DeliveryState, EventType};
use shared::domain::ids::{DeliveryId, JobId};
use shared::domain::job::{Job, JobView, ResultLine, Status};
use shared::domain::progress::{Counts, Progress};
use shared::domain::signature::verify;
use shared::ports::Item;

use super::World;
use crate::sim::Changed;

/// What does not hold, beginning with the invariant's name.
pub type Verdict = Result<(), String>;
type Check = fn(&World, &End) -> Verdict;

/// Everything that must hold of a world that has become quiet.
pub fn check(world: &World) -> Vec<String> {
    let end = End::read(world);
    let checks: [(&str, Check); 13] = [
        ("jobs_are_over", jobs_are_over),
        ("one_outcome_per_record", one_outcome_per_record),
        ("counts_equal_results", counts_equal_results),
        ("one_element_per_chunk", one_element_per_chunk),
        ("credits_charged_once", credits_charged_once),
        ("no_job_without_a_client", no_job_without_a_client),
        ("every_event_is_told_or_exhausted", every_event_is_told_or_exhausted),
        ("one_webhook_id_per_event", one_webhook_id_per_event),
        ("one_body_per_event", one_body_per_event),
        ("attempts_never_overlap", attempts_never_overlap),
        ("every_attempt_is_in_the_log", every_attempt_is_in_the_log),
        ("no_older_event_after_a_newer_one", no_older_event_after_a_newer_one),
        ("an_erased_job_leaves_nothing", an_erased_job_leaves_nothing),
    ];
    let faults = checks.iter().filter_map(|(name, check)| check(world, &end).err().map(|why| format!("{name}: {why}")));
    world.broken.iter().cloned().chain(faults).collect()
}

/// What is in the table when all is over.
#[derive(Debug)]
pub struct End {
    items: Vec<Item>,
    jobs: Vec<Job>,
    deliveries: Vec<Delivery>,
    lines: BTreeMap<JobId, Vec<ResultLine>>,
}

impl End {
    fn read(world: &World) -> Self {
        let items = world.sim.store.items();
        let jobs: Vec<Job> = items.iter().filter(|i| i.key.sk == "META").filter_map(|i| read_meta(i).ok()).collect();
        let deliveries = items
            .iter()
            .filter_map(|item| {
                let job = JobId::parse(item.key.pk.strip_prefix("JOB#")?)?;
                let n = item.key.sk.strip_prefix("DELIVERY#")?.parse().ok()?;
                read_delivery(&DeliveryId { job, n }, item).ok()
            })
            .collect();
        let mut lines = BTreeMap::new();
        for job in jobs.iter().filter(|job| job.status != Status::Deleted) {
            let view = &JobView { job: job.clone(), progress: Progress::default() };
            let page = world.call(async |ports| results(ports, view, ResultCursor::default(), usize::MAX).await);
            let mut all = Vec::new();
            let mut page = page.ok();
            while let Some(got) = page {
                let (empty, next) = (got.lines.is_empty(), got.next);
                all.extend(got.lines);
                page = next
                    .filter(|_| !empty)
                    .and_then(|at| world.call(async |ports| results(ports, view, at, usize::MAX).await).ok());
            }
            lines.insert(job.spec.id.clone(), all);
        }
        Self { items, jobs, deliveries, lines }
    }

    fn ended(&self) -> impl Iterator<Item = (&Job, &Vec<ResultLine>)> {
        self.jobs.iter().filter_map(|job| self.lines.get(&job.spec.id).map(|lines| (job, lines)))
    }
}

fn all<T>(items: impl IntoIterator<Item = T>, check: impl Fn(T) -> Verdict) -> Verdict {
    items.into_iter().try_for_each(check)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, should: &T) -> Verdict {
    if is == should { Ok(()) } else { Err(format!("{what} is {is:?}, not {should:?}")) }
}

fn jobs_are_over(_: &World, end: &End) -> Verdict {
    all(
        &end.jobs,
        |job| {
            if job.status.is_live() { Err(format!("{} is {:?}", job.spec.id, job.status)) } else { Ok(()) }
        },
    )
}

/// One line for each record, in order; an `id` belongs to its place.
fn one_outcome_per_record(_: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, lines)| {
        same(&format!("lines of {}", job.spec.id), &lines.len(), &(job.spec.total as usize))?;
        all((0..).zip(lines), |(at, line)| same("index", &line.index, &at))
    })
}

fn counts_equal_results(_: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, lines)| {
        let Some(told) = &job.end else { return Err(format!("{} has no end", job.spec.id)) };
        let mut counts = Counts::default();
        for line in lines {
            counts.count(line.outcome.status);
        }
        same("counts", &told.counts, &counts)?;
        same("credits", &told.credits, &lines.iter().map(|l| u64::from(l.outcome.credits)).sum())?;
        let bytes = lines.iter().map(|line| line.to_json().to_string().len() as u64 + 1).sum();
        same("bytes", &told.bytes, &bytes)?;
        let shown = lines.iter().map(|line| shared::domain::job::told(&line.record, Some(&line.outcome)).len() as u64);
        same("told bytes", &told.told_bytes, &Some(shown.sum()))
    })
}

fn one_element_per_chunk(world: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, _)| {
        let shards = (0..shard_count(job.spec.chunks)).map(|s| world.sim.store.peek(&progress_key(&job.spec.id, s)));
        let shards: Vec<Item> = shards.flatten().collect();
        let elements: usize = shards.iter().map(|item| shared::app::table::get_set(item, "done").count()).sum();
        same("elements", &elements, &(job.spec.chunks as usize))?;
        same("chunks done", &read_progress(&shards).chunks(), &job.spec.chunks)
    })
}

/// What is used is what the results say, and everything else is back. Erased jobs say nothing any more, so that with
/// them only the sum is known.
fn credits_charged_once(world: &World, end: &End) -> Verdict {
    let tenant = &world.tenant.id;
    let (balance, used, open) = world.credits(tenant);
    same("balance and used", &(balance + used), &world.options.credits)?;
    same("open chunks", &open, &0)?;
    let of_tenant = |job: &&Job| job.spec.tenant == *tenant;
    if end.jobs.iter().filter(of_tenant).any(|job| job.status == Status::Deleted) {
        return Ok(());
    }
    let charged = end.ended().filter(|(job, _)| job.spec.tenant == *tenant).flat_map(|(_, lines)| lines);
    same("used", &used, &charged.map(|line| i64::from(line.outcome.credits)).sum())
}

/// Clients repeat a request until it is answered, so that every job there is was told to one.
fn no_job_without_a_client(world: &World, end: &End) -> Verdict {
    let stored: BTreeSet<JobId> =
        end.jobs.iter().filter(|j| j.spec.tenant == world.tenant.id).map(|j| j.spec.id.clone()).collect();
    let known = world.accepted.iter().filter(|(_, tenant)| **tenant == world.tenant.id);
    same("jobs stored", &stored, &known.map(|(id, _)| id.clone()).collect())
}

fn event_of(status: Status) -> Option<EventType> {
    match status {
        Status::Completed => Some(EventType::JobCompleted),
        Status::Canceled => Some(EventType::JobCanceled),
        Status::Failed | Status::Expired => Some(EventType::JobFailed),
        _ => None,
    }
}

fn every_event_is_told_or_exhausted(world: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, _)| {
        let told: Vec<&Delivery> = end.deliveries.iter().filter(|d| d.id.job == job.spec.id).collect();
        let ends = usize::from(job.spec.webhook.is_some());
        let records = job.spec.record_webhook.as_ref().map_or(0, |_| job.spec.total as usize);
        same("deliveries", &told.len(), &(ends + records))?;
        all(told, |delivery| {
            let record = delivery.id.record().map(|_| EventType::RecordFinished);
            same("event", &Some(delivery.event), &record.or(event_of(job.status)))
        })
    })?;
    let exchanges = world.receiver.exchanges();
    all(&end.deliveries, |delivery| match delivery.state {
        DeliveryState::Pending => Err(format!("{} is pending", delivery.id)),
        DeliveryState::Exhausted if delivery.reason.is_none() => Err(format!("{} has no reason", delivery.id)),
        DeliveryState::Exhausted => Ok(()),
        DeliveryState::Delivered => {
            let event = delivery.id.event();
            let had = |status: Option<u16>| status.is_some_and(|s| (200..300).contains(&s));
            if exchanges.iter().any(|e| e.id() == event && had(e.status)) {
                Ok(())
            } else {
                Err(format!("{event} counts as delivered and no receiver had it"))
            }
        }
    })
}

/// Everything that tells of one job carries one id, and what was signed is what was sent.
fn one_webhook_id_per_event(world: &World, end: &End) -> Verdict {
    let known: BTreeSet<String> = end.deliveries.iter().map(|d| d.id.event()).collect();
    let erased = end.jobs.iter().any(|job| job.status == Status::Deleted);
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    all(world.receiver.exchanges(), |exchange| {
        if !known.contains(exchange.id()) && !erased {
            return Err(format!("{} belongs to no delivery", exchange.id()));
        }
        let (id, at, signature) =
            (exchange.header("webhook-id"), exchange.header("webhook-timestamp"), exchange.header("webhook-signature"));
        let signed = verify(&world.tenant.secret, Some(id), Some(at), Some(signature), &exchange.body, exchange.at);
        same("signature", &signed, &Ok(()))
    })?;
    for exchange in world.receiver.exchanges() {
        if let Some(job) = exchange.json()["data"]["id"].as_str() {
            let id = ids.entry(job.to_owned()).or_insert_with(|| exchange.id().to_owned());
            same("webhook-id", &exchange.id(), &id.as_str())?;
        }
    }
    Ok(())
}

fn one_body_per_event(world: &World, _: &End) -> Verdict {
    let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for exchange in world.receiver.exchanges() {
        let body = bodies.entry(exchange.id().to_owned()).or_insert_with(|| exchange.body.clone());
        if *body != exchange.body {
            return Err(format!("{} was sent with two bodies", exchange.id()));
        }
    }
    Ok(())
}

fn attempts_never_overlap(world: &World, _: &End) -> Verdict {
    let exchanges = world.receiver.exchanges();
    all(exchanges.iter().enumerate(), |(n, one)| {
        all(&exchanges[..n], |other| {
            if one.id() == other.id() && one.at < other.until {
                return Err(format!("{} at {} and at {}", one.id(), other.at, one.at));
            }
            Ok(())
        })
    })
}

fn every_attempt_is_in_the_log(_: &World, end: &End) -> Verdict {
    all(&end.deliveries, |delivery| {
        let numbers: Vec<u32> = delivery.log.iter().map(|a| a.number).collect();
        let first = delivery.attempts + 1 - u32::try_from(numbers.len()).expect("a short log");
        same(&format!("log of {}", delivery.id), &numbers, &(first..=delivery.attempts).collect())?;
        same("first of the log", &(first.min(2)), &(if delivery.attempts > 40 { 2 } else { 1 }))
    })
}

/// How long an attempt that was lost keeps older events waiting for its repetition.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Where the latest event counts, an older job's is not sent once a newer one's was answered well: also where the sender
/// did not live to know it, until it is repeated.
fn no_older_event_after_a_newer_one(world: &World, end: &End) -> Verdict {
    let ordered = |delivery: &&Delivery| {
        surface(world.ports.surfaces, &delivery.dialect).is_some_and(|s| (s.delivery)().latest_wins)
    };
    let deliveries: Vec<&Delivery> = end.deliveries.iter().filter(ordered).collect();
    let exchanges = world.receiver.exchanges();
    // Each exchange with its delivery and its place in the log: a sender begins at the latest when the receiver is asked.
    let sent = exchanges.iter().filter_map(|exchange| {
        let delivery = *deliveries.iter().find(|d| d.id.event() == exchange.id() && d.url == exchange.url)?;
        let entry = delivery.log.iter().rposition(|attempt| attempt.at <= exchange.at)?;
        Some((exchange, delivery, entry))
    });
    let sent: Vec<_> = sent.collect();
    all(sent.iter().enumerate(), |(place, (_, older, entry))| {
        let begun = older.log[*entry].at;
        all(&sent[..place], |(answered, newer, entry)| {
            let later = newer.url == older.url && newer.tenant == older.tenant;
            let later = later && newer.id.job.created_at() > older.id.job.created_at();
            let good = answered.status.is_some_and(|status| (200..300).contains(&status));
            if !later || !good || answered.until > begun {
                return Ok(());
            }
            let attempt = &newer.log[*entry];
            // Who comes after a lost attempt and is newer still has the turn, and gives it back.
            let overtaken = sent[..place].iter().any(|(other, third, _)| {
                third.url == newer.url
                    && third.id.job.created_at() > newer.id.job.created_at()
                    && other.at >= answered.until
            });
            let repeated = newer.log.get(entry + 1).is_some_and(|next| next.at <= begun);
            let counts = match attempt.error.as_deref() {
                None => true,
                Some("interrupted") => !repeated && !overtaken && begun.since(answered.until) < PATIENCE,
                // The receiver's answer did not arrive.
                Some(_) => false,
            };
            if counts {
                return Err(format!(
                    "{} was sent at {begun}, {} was answered at {}",
                    older.id, newer.id, answered.until
                ));
            }
            Ok(())
        })
    })
}

/// A tombstone, and nothing under it.
fn an_erased_job_leaves_nothing(_: &World, end: &End) -> Verdict {
    all(end.jobs.iter().filter(|job| job.status == Status::Deleted), |job| {
        let prefix = format!("JOB#{}", job.spec.id);
        all(end.items.iter().filter(|item| item.key.pk.starts_with(&prefix)), |item| {
            let head = item.key == meta_key(&job.spec.id);
            let personal = ["end", "tenant_jobs"].iter().any(|name| item.attributes.contains_key(*name))
                || job.spec.name.is_some()
                || job.spec.webhook.is_some()
                || job.spec.record_webhook.is_some();
            if head && !personal { Ok(()) } else { Err(format!("{}/{} is left", item.key.pk, item.key.sk)) }
        })
    })
}

/// What must hold of every change of an item, in the moment after it. [`World::changes`] has what changed with it: the
/// changes of one transaction share their `write`.
pub fn step(world: &World, changed: &Changed) -> Verdict {
    let Some(after) = &changed.after else { return Ok(()) };
    match changed.key.sk.as_str() {
        "META" => {
            let status = |item: &Arc<Item>| read_meta(item).ok().map(|job| job.status);
            let before = changed.before.as_ref().and_then(status);
            match read_meta(after) {
                Ok(job) if before != Some(job.status) => may_follow(world, &job, before),
                _ => Ok(()),
            }
        }
        "CREDITS" => {
            let negative = ["balance", "used", "open_chunks"].into_iter().find(|n| get_n(after, n).unwrap_or(0) < 0);
            negative.map_or(Ok(()), |name| Err(format!("credits_never_negative: {name} of {}", changed.key.pk)))
        }
        _ => Ok(()),
    }
}

/// Which status may follow which, and what must be there in the very moment a job ends.
fn may_follow(world: &World, job: &Job, before: Option<Status>) -> Verdict {
    use Status::{Canceled, Canceling, Completed, Deleted, Expired, Expiring, Failed, Queued, Running};
    let allowed = match before {
        None | Some(Queued) => true,
        Some(Running) => job.status != Queued,
        Some(Canceling) => matches!(job.status, Canceled | Deleted),
        Some(Expiring) => matches!(job.status, Expired | Deleted),
        Some(Completed | Canceled | Failed | Expired) => job.status == Deleted,
        Some(Deleted) => false,
    };
    if !allowed {
        return Err(format!("terminal_stays_terminal: {:?} follows {before:?}", job.status));
    }
    if job.status.is_live() || job.status == Deleted {
        return Ok(());
    }
    let told = world.sim.store.peek(&delivery_key(&job.spec.id.delivery(0))).is_some();
    if job.end.is_none() || (job.spec.webhook.is_some() && !told) {
        return Err(format!("done_told_and_settled_at_once: {} ended without its event", job.spec.id));
    }
    let item = world.sim.store.peek(&meta_key(&job.spec.id));
    if item.is_some_and(|item| get_n(&item, "due").is_some()) {
        return Err(format!("done_told_and_settled_at_once: {} ended and is still due", job.spec.id));
    }
    Ok(())
}
