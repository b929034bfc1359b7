//! Invariants of the end of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shared::domain::chunk::shard_count;
use shared::domain::delivery::{Delivery, DeliveryState, EventType};
use shared::domain::ids::{DeliveryId, JobId, TenantId};
use shared::domain::job::{Job, JobView, ResultLine, Status};
use shared::domain::progress::{Counts, Progress};
use shared::jobs::read::{ResultCursor, results};
use shared::ports::Item;
use shared::schema::{get_set, meta_key, progress_key, read_delivery, read_meta, read_progress};
use shared::surfaces::surface;

use super::reasons::{no_exchange_without_an_attempt, reason_is_true};
use super::{Verdict, agree, all, same};
use crate::harness::{Exchange, Tenant, Version, World};

/// The table at the end of a run.
#[derive(Debug)]
pub struct End {
    pub(super) items: Vec<Item>,
    pub(super) jobs: Vec<Job>,
    pub(super) deliveries: Vec<Delivery>,
    lines: BTreeMap<JobId, Vec<ResultLine>>,
    /// The exchanges of each tenant's receiver, by time.
    pub(super) reported: Vec<(TenantId, Exchange)>,
}

impl End {
    pub(super) fn read(world: &World) -> Self {
        let items = world.sim.store.items();
        let jobs: Vec<Job> = items
            .iter()
            .filter(|i| i.key.sk == "META")
            .filter_map(|i| read_meta(i).ok())
            .collect();
        let deliveries = items
            .iter()
            .filter_map(|item| {
                let job = JobId::parse(item.key.pk.strip_prefix("JOB#")?)?;
                let n = item.key.sk.strip_prefix("DELIVERY#")?.parse().ok()?;
                read_delivery(&DeliveryId { job, n }, item).ok()
            })
            .collect();
        let got = |tenant: &Tenant| {
            let id = tenant.id.clone();
            tenant
                .receiver
                .exchanges()
                .into_iter()
                .map(move |exchange| (id.clone(), exchange))
        };
        let mut reported: Vec<(TenantId, Exchange)> = world.tenants.iter().flat_map(got).collect();
        reported.sort_by_key(|(_, exchange)| exchange.at);
        let mut lines = BTreeMap::new();
        for job in jobs.iter().filter(|job| job.status != Status::Deleted) {
            let view = &JobView::new(job.clone(), Progress::default());
            let page = world.call(async |ports| {
                results(ports, view, ResultCursor::default(), usize::MAX).await
            });
            let mut all = Vec::new();
            let mut page = page.ok();
            while let Some(got) = page {
                let (empty, next) = (got.lines.is_empty(), got.next);
                all.extend(got.lines);
                page = next.filter(|_| !empty).and_then(|at| {
                    world
                        .call(async |ports| results(ports, view, at, usize::MAX).await)
                        .ok()
                });
            }
            lines.insert(job.spec.id.clone(), all);
        }
        Self {
            items,
            jobs,
            deliveries,
            lines,
            reported,
        }
    }

    pub(super) fn ended(&self) -> impl Iterator<Item = (&Job, &Vec<ResultLine>)> {
        self.jobs
            .iter()
            .filter_map(|job| self.lines.get(&job.spec.id).map(|lines| (job, lines)))
    }
}

pub(super) fn jobs_are_over(_: &World, end: &End) -> Verdict {
    all(&end.jobs, |job| {
        if job.status.is_live() {
            Err(format!("{} is {:?}", job.spec.id, job.status))
        } else {
            Ok(())
        }
    })
}

/// One line for each record, in order; an `id` belongs to its place.
pub(super) fn one_outcome_per_record(_: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, lines)| {
        same(
            &format!("lines of {}", job.spec.id),
            &lines.len(),
            &(job.spec.total as usize),
        )?;
        all((0..).zip(lines), |(at, line)| {
            same("index", &line.index, &at)
        })
    })
}

pub(super) fn counts_equal_results(world: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, lines)| {
        let Some(reported) = &job.end else {
            return Err(format!("{} has no end", job.spec.id));
        };
        let mut counts = Counts::default();
        for line in lines {
            counts.count(line.outcome.status);
        }
        same("counts", &reported.counts, &counts)?;
        same(
            "credits",
            &reported.credits,
            &lines.iter().map(|l| u64::from(l.outcome.credits)).sum(),
        )?;
        let bytes = lines
            .iter()
            .map(|line| line.to_json().to_string().len() as u64 + 1)
            .sum();
        same("bytes", &reported.bytes, &bytes)?;
        let shown = lines.iter().map(|line| {
            shared::domain::job::public_view(&line.record, Some(&line.outcome)).len() as u64
        });
        let shown: u64 = shown.sum();
        if world.deployed.contains(&Version::Previous) {
            // It does not know this size, and takes the other for it.
            let there = reported
                .public_bytes
                .is_none_or(|reported| (shown..=bytes).contains(&reported));
            return if there {
                Ok(())
            } else {
                Err(format!(
                    "public bytes are {:?}, not {shown}",
                    reported.public_bytes
                ))
            };
        }
        same("public bytes", &reported.public_bytes, &Some(shown))
    })
}

pub(super) fn one_element_per_chunk(world: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, _)| {
        let shards = (0..shard_count(job.spec.chunks))
            .map(|s| world.sim.store.peek(&progress_key(&job.spec.id, s)));
        let shards: Vec<Item> = shards.flatten().collect();
        let elements: Vec<&String> = shards
            .iter()
            .flat_map(|item| get_set(item, "done"))
            .collect();
        let surplus = |one: &&&String| {
            elements
                .iter()
                .any(|other| *other != **one && agree(one, other) && other.len() > one.len())
        };
        let elements = elements.len() - elements.iter().filter(surplus).count();
        same("elements", &elements, &(job.spec.chunks as usize))?;
        same(
            "chunks done",
            &read_progress(&shards).chunks(),
            &job.spec.chunks,
        )
    })
}

/// The credits used are those of the results: the existing ones, and those that existed when a job
/// was erased.
pub(super) fn credits_charged_once(world: &World, end: &End) -> Verdict {
    all(&world.tenants, |Tenant { id: tenant, .. }| {
        let (balance, used, open) = world.credits(tenant);
        same(
            &format!("balance and used of {tenant}"),
            &(balance + used),
            &world.steps.granted(tenant),
        )?;
        same(&format!("open chunks of {tenant}"), &open, &0)?;
        let there = end
            .ended()
            .filter(|(job, _)| job.spec.tenant == *tenant)
            .flat_map(|(_, lines)| lines);
        let there: i64 = there.map(|line| i64::from(line.outcome.credits)).sum();
        let erased = world.steps.past().cost_of_erased(tenant);
        if world.deployed.contains(&Version::Previous) && erased.contains(&(used - there)) {
            return Ok(());
        }
        same(&format!("used by {tenant}"), &used, &(there + erased.end()))
    })
}

/// Clients repeat a request until it is answered, so that every job was reported to a client.
pub(super) fn no_job_without_a_client(world: &World, end: &End) -> Verdict {
    let stored: BTreeMap<JobId, TenantId> = end
        .jobs
        .iter()
        .map(|job| (job.spec.id.clone(), job.spec.tenant.clone()))
        .collect();
    same("jobs stored", &stored, &world.accepted)
}

fn event_of(status: Status) -> Option<EventType> {
    match status {
        Status::Completed => Some(EventType::JobCompleted),
        Status::Canceled => Some(EventType::JobCanceled),
        Status::Failed | Status::Expired => Some(EventType::JobFailed),
        _ => None,
    }
}

/// Every due event exists and is over: a receiver had it, or it is exhausted for a true reason.
pub(super) fn every_event_is_told_or_exhausted(world: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, _)| {
        let reported: Vec<&Delivery> = end
            .deliveries
            .iter()
            .filter(|d| d.id.job == job.spec.id)
            .collect();
        let ends = usize::from(job.spec.webhook.is_some());
        let records = job
            .spec
            .record_webhook
            .as_ref()
            .map_or(0, |_| job.spec.total as usize);
        same("deliveries", &reported.len(), &(ends + records))?;
        all(reported, |delivery| {
            let record = delivery.id.record().map(|_| EventType::RecordFinished);
            same(
                "event",
                &Some(delivery.event),
                &record.or(event_of(job.status)),
            )
        })
    })?;
    all(&end.deliveries, |delivery| match delivery.state {
        DeliveryState::Pending => Err(format!("{} is pending", delivery.id)),
        DeliveryState::Exhausted => reason_is_true(world, end, delivery),
        DeliveryState::Delivered => {
            let event = delivery.id.event();
            let had = |status: Option<u16>| status.is_some_and(|s| (200..300).contains(&s));
            if end
                .reported
                .iter()
                .any(|(_, e)| e.id() == event && had(e.status))
            {
                Ok(())
            } else {
                Err(format!(
                    "{event} counts as delivered and no receiver had it"
                ))
            }
        }
    })?;
    all(&end.deliveries, |delivery| {
        no_exchange_without_an_attempt(end, delivery)
    })
}

/// All attempts of an event carry the id of its delivery, and all events of one job's end carry one
/// id.
pub(super) fn one_webhook_id_per_event(world: &World, end: &End) -> Verdict {
    // One that was over may have been deleted by the table since.
    let known: BTreeSet<String> = world
        .steps
        .past()
        .ever_delivered()
        .map(DeliveryId::event)
        .collect();
    let erased: Vec<&JobId> = end
        .jobs
        .iter()
        .filter(|j| j.status == Status::Deleted)
        .map(|j| &j.spec.id)
        .collect();
    let mut ids: BTreeMap<String, &str> = BTreeMap::new();
    end.reported.iter().try_for_each(|(_, exchange)| {
        let id = exchange.id();
        if !known.contains(id)
            && !delivery_of(exchange).is_some_and(|delivery| erased.contains(&&delivery.job))
        {
            return Err(format!("{id} belongs to no delivery"));
        }
        let body = exchange.json();
        let Some(job) = body["data"]["id"]
            .as_str()
            .filter(|_| body["type"] != "record.finished")
        else {
            return Ok(());
        };
        same(
            &format!("webhook-id of the end of {job}"),
            &id,
            ids.entry(job.to_owned()).or_insert(id),
        )
    })
}

/// The delivery that an exchange was an attempt of.
pub(super) fn delivery_of(exchange: &Exchange) -> Option<DeliveryId> {
    DeliveryId::parse(&exchange.id().replacen("evt_", "dlv_", 1))
}

pub(super) fn one_body_per_event(_: &World, end: &End) -> Verdict {
    let mut bodies: BTreeMap<&str, &[u8]> = BTreeMap::new();
    end.reported.iter().try_for_each(|(_, exchange)| {
        if *bodies.entry(exchange.id()).or_insert(&exchange.body) != exchange.body {
            return Err(format!("{} was sent with two bodies", exchange.id()));
        }
        Ok(())
    })
}

pub(super) fn attempts_never_overlap(_: &World, end: &End) -> Verdict {
    all(end.reported.iter().enumerate(), |(n, (_, one))| {
        all(&end.reported[..n], |(_, other)| {
            if one.id() == other.id() && one.at < other.until {
                return Err(format!("{} at {} and at {}", one.id(), other.at, one.at));
            }
            Ok(())
        })
    })
}

pub(super) fn every_attempt_is_in_the_log(_: &World, end: &End) -> Verdict {
    all(&end.deliveries, |delivery| {
        let numbers: Vec<u32> = delivery.log.iter().map(|a| a.number).collect();
        let first = delivery.attempts + 1 - u32::try_from(numbers.len()).expect("a short log");
        same(
            &format!("log of {}", delivery.id),
            &numbers,
            &(first..=delivery.attempts).collect(),
        )?;
        same(
            "first of the log",
            &(first.min(2)),
            &(if delivery.attempts > 40 { 2 } else { 1 }),
        )
    })
}

/// The time for which a lost attempt delays older events until its repetition.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Where the latest event counts, an older job's is not sent once a newer one's was answered well.
/// The same holds where the sender died before it knew, until it is repeated.
pub(super) fn no_older_event_after_a_newer_one(world: &World, end: &End) -> Verdict {
    let ordered = |delivery: &&Delivery| {
        surface(world.ports.surfaces, &delivery.surface).is_some_and(|s| (s.delivery)().latest_wins)
    };
    let deliveries: Vec<&Delivery> = end.deliveries.iter().filter(ordered).collect();
    // Each exchange with its delivery and its place in the log: a sender begins at the latest when
    // the receiver is asked.
    let sent = end.reported.iter().filter_map(|(_, exchange)| {
        let delivery = *deliveries
            .iter()
            .find(|d| d.id.event() == exchange.id() && d.url == exchange.url)?;
        let entry = delivery
            .log
            .iter()
            .rposition(|attempt| attempt.at <= exchange.at)?;
        Some((exchange, delivery, entry))
    });
    let sent: Vec<_> = sent.collect();
    all(sent.iter().enumerate(), |(place, (_, older, entry))| {
        let begun = older.log[*entry].at;
        all(&sent[..place], |(answered, newer, entry)| {
            let later = newer.url == older.url && newer.tenant == older.tenant;
            let later = later && newer.id.job.created_at() > older.id.job.created_at();
            let good = answered
                .status
                .is_some_and(|status| (200..300).contains(&status));
            if !later || !good || answered.until > begun {
                return Ok(());
            }
            let attempt = &newer.log[*entry];
            // A newer one that follows a lost attempt takes the lease, and releases it.
            let overtaken = sent[..place].iter().any(|(other, third, _)| {
                third.url == newer.url
                    && third.id.job.created_at() > newer.id.job.created_at()
                    && other.at >= answered.until
            });
            let repeated = newer
                .log
                .get(entry + 1)
                .is_some_and(|next| next.at <= begun);
            let counts = match attempt.error.as_deref() {
                None => true,
                Some("interrupted") => {
                    !repeated && !overtaken && begun.since(answered.until) < PATIENCE
                }
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
pub(super) fn an_erased_job_leaves_nothing(_: &World, end: &End) -> Verdict {
    all(
        end.jobs.iter().filter(|job| job.status == Status::Deleted),
        |job| {
            let prefix = format!("JOB#{}", job.spec.id);
            all(
                end.items
                    .iter()
                    .filter(|item| item.key.pk.starts_with(&prefix)),
                |item| {
                    let head = item.key == meta_key(&job.spec.id);
                    let personal = ["end", "tenant_jobs"]
                        .iter()
                        .any(|name| item.attributes.contains_key(*name))
                        || job.spec.name.is_some()
                        || job.spec.webhook.is_some()
                        || job.spec.record_webhook.is_some();
                    if head && !personal {
                        Ok(())
                    } else {
                        Err(format!("{}/{} is left", item.key.pk, item.key.sk))
                    }
                },
            )
        },
    )
}
