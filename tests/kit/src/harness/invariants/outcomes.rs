//! The end of each record is checked against its submission, and against the answers scripted for
//! its providers.

use std::time::Duration;

use shared::catalog::RecordType;
use shared::domain::job::{Job, ResultLine, Status};
use shared::domain::record::{Outcome, OutcomeStatus, Record};
use shared::jobs::enrich::step::longest_record;
use shared::schema::{Chunk, chunk_key, read_chunks};

use super::{End, Verdict, all, same};
use crate::harness::providers::{BIG, noise};
use crate::harness::upstream::GIVE_UP;
use crate::harness::{UNFIT, World};

/// A chunk is given up, and a record run in isolation, after this many of the chunk's runs without
/// an answer.
const LOST_RUNS: usize = 2;
/// The most of a record's time that a delayed call may take.
const DELAYED: Duration = Duration::from_secs(10);

/// Each line is about the record that was submitted in its place, and agrees with the answers
/// scripted for its providers. Whatever costs a healthy record its outcome must have happened: a
/// lost worker twice, a cancellation, a budget.
pub(super) fn outcomes_are_what_was_asked(world: &World, end: &End) -> Verdict {
    all(end.ended(), |(job, lines)| {
        let id = &job.spec.id;
        let submitted = world
            .submitted
            .get(id)
            .cloned()
            .or_else(|| retried(job, end));
        if let Some(submitted) = submitted {
            same(&format!("records of {id}"), &lines.len(), &submitted.len())?;
            all(lines.iter().zip(&submitted), |(line, record)| {
                same(
                    &format!("record {} of {id}", line.index),
                    &line.record,
                    record,
                )
            })?;
        }
        let parts: Vec<_> = (0..job.spec.chunks)
            .filter_map(|n| Some((n, chunk(world, job, n)?)))
            .collect();
        all(lines, |line| {
            let within = |chunk: &Chunk| {
                (chunk.first..)
                    .zip(&chunk.records)
                    .any(|(at, _)| at == line.index)
            };
            let Some((n, chunk)) = parts.iter().find(|(_, chunk)| within(chunk)) else {
                return Err(format!("record {} of {id} is in no chunk", line.index));
            };
            same(
                &format!("record {} of {id}", line.index),
                &&line.record,
                &&chunk.records[(line.index - chunk.first) as usize],
            )?;
            let lost = world
                .lost_runs
                .borrow()
                .get(&(id.clone(), *n))
                .map_or(0, Vec::len);
            let funded = line.index - chunk.first < chunk.funded;
            fits(world, job, line, funded, lost).map_err(|why| {
                format!(
                    "record {} of {id}, {:?}: {why}",
                    line.index,
                    line.record.input.get("domain")
                )
            })
        })
    })
}

/// Returns the records of a retry: those that failed in another job, as far as that one still
/// exists.
fn retried(job: &Job, end: &End) -> Option<Vec<Record>> {
    let of = job.spec.retry_of.as_ref()?;
    let (_, lines) = end.ended().find(|(job, _)| job.spec.id == *of)?;
    let failed = lines.iter().filter(|line| match line.outcome.status {
        OutcomeStatus::Failed => true,
        // A provider that could have known was not asked.
        OutcomeStatus::NotFound => line.outcome.error.is_some(),
        _ => false,
    });
    Some(failed.map(|line| line.record.clone()).collect())
}

fn chunk(world: &World, job: &Job, n: u32) -> Option<Chunk> {
    let item = world.sim.store.peek(&chunk_key(&job.spec.id, n))?;
    read_chunks(&[item]).ok()?.remove(&n)?.chunk
}

fn fits(world: &World, job: &Job, line: &ResultLine, funded: bool, lost: usize) -> Verdict {
    let Outcome { status, error, .. } = &line.outcome;
    let code = error.as_ref().map(|error| error.code.as_str());
    let (spec, domain) = (
        &job.spec,
        line.record
            .input
            .get("domain")
            .and_then(|d| d.as_str())
            .unwrap_or_default(),
    );
    let script = domain.split('-').next().unwrap_or_default();
    let reported = match (status, code) {
        (OutcomeStatus::Failed, Some("worker_lost")) if script == "poison" || lost >= LOST_RUNS => {
            return Ok(());
        }
        (OutcomeStatus::Failed, Some("worker_lost")) => {
            Err(format!("lost with {lost} lost runs of its chunk"))
        }
        (OutcomeStatus::Invalid, Some("invalid_input")) if script == UNFIT => return Ok(()),
        _ if script == UNFIT => Ok(false),
        (OutcomeStatus::Failed, Some("provider_unconfigured")) => Ok(spec.unconfigured.is_some()),
        (OutcomeStatus::Failed, Some("job_expired")) => Ok(job.status == Status::Expired),
        (OutcomeStatus::Canceled, None) => Ok(job.status == Status::Canceled),
        (OutcomeStatus::Skipped, Some("budget_exhausted")) => Ok(!funded),
        _ if spec.unconfigured.is_some() || !funded => Ok(false),
        // The answers of other providers are unknown.
        _ => Ok(!world.is_scripted() || answers(world, job, domain, &line.outcome)),
    };
    match reported {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{status:?} {code:?} is not what was asked")),
        Err(why) => Err(why),
    }
}

/// Returns true if the type's providers can have answered this; see `providers.rs` for the meaning
/// of each script.
fn answers(world: &World, job: &Job, domain: &str, outcome: &Outcome) -> bool {
    use OutcomeStatus::{Failed, Found, Invalid, NotFound};
    let kind = job.spec.kind.as_str();
    let script = domain.split('-').next().unwrap_or_default();
    let seconds: u64 = script
        .trim_start_matches(char::is_alphabetic)
        .parse()
        .unwrap_or(0);
    let (status, code) = (
        outcome.status,
        outcome.error.as_ref().map(|error| error.code.as_str()),
    );
    let asked = asked(job);
    let limit = world
        .registry
        .kind(kind)
        .map_or(Duration::ZERO, RecordType::record_timeout);
    let limit = limit.min(longest_record(world.options.enrich_timeout));
    let work = Duration::from_secs(seconds) * u32::try_from(asked.len()).unwrap_or(1);
    let late =
        work + DELAYED >= limit && matches!(code, Some("deadline_exceeded" | "provider_timeout"));
    let name = script.trim_end_matches(char::is_numeric);
    let found = status == Found && says(&asked, name, domain, outcome);
    if kind == "web" {
        // Its calls go wrong as any do, so that every script can end in a failure of the provider.
        let failed =
            status == Failed && matches!(code, Some("provider_error" | "provider_timeout"));
        return failed
            || match name {
                "none" => status == NotFound,
                "invalid" => status == Failed && code == Some("provider_input"),
                "fail" | "panic" => false,
                "limited" => {
                    status == Failed && matches!(code, Some("rate_limited" | "deadline_exceeded"))
                }
                "later" => found || status == Failed && code == Some("rate_limited"),
                "slow" => found && seconds < 20,
                "deep" => status == Failed && code == Some("outcome_too_deep"),
                _ => found,
            };
    }
    if kind == "late" {
        let from = |field: &str| {
            status == Found && outcome.data.get(field) == Some(&format!("Name of {domain}").into())
        };
        let in_time = seconds < GIVE_UP.as_secs();
        return match name {
            "none" => status == NotFound,
            "never" | "broken" => from("second_name"),
            _ => from("name") || !in_time && from("second_name"),
        };
    }
    if kind == "vendor" {
        let spared = [
            "provider_error",
            "provider_timeout",
            "provider_unavailable",
            "rate_limited",
            "deadline_exceeded",
        ];
        let failed = status == Failed && code.is_some_and(|code| spared.contains(&code));
        return failed
            || match name {
                "never" | "broken" | "down" => false,
                "none" => status == NotFound,
                _ => {
                    status == Found
                        && outcome.data.get("name") == Some(&format!("Name of {domain}").into())
                }
            };
    }
    match name {
        "none" => status == NotFound,
        "fail" => status == Failed && code == Some("provider_error"),
        "invalid" => status == Invalid,
        "panic" => status == Failed && code == Some("internal_error"),
        "poison" => false,
        "slow" => found || status == Failed && late,
        "deep" => found || status == Failed && code == Some("outcome_too_deep"),
        "vary" => found || status == NotFound,
        "only" if !asked.contains(&"second") => status == NotFound,
        _ => found,
    }
}

/// Returns the providers that a record of the job is asked of.
fn asked(job: &Job) -> Vec<&str> {
    match (&job.spec.providers, job.spec.kind.as_str()) {
        (Some(chosen), _) => chosen.iter().map(String::as_str).collect(),
        (None, "duo") => vec!["first", "second"],
        (None, "web") => vec!["web"],
        (None, "late") => vec!["late", "second"],
        (None, "vendor") => vec!["vendor"],
        (None, _) => vec!["first"],
    }
}

/// Returns true if the data found is these providers' data about this very domain.
fn says(asked: &[&str], script: &str, domain: &str, outcome: &Outcome) -> bool {
    let answering = asked.iter().filter(|name| match script {
        // The second of two may have no time left, and this one answers differently every time.
        "slow" | "vary" => false,
        "only" => **name != "first",
        _ => true,
    });
    let mut fields = answering.map(|name| {
        if *name == "second" {
            "second_name"
        } else {
            "name"
        }
    });
    let web = asked == ["web"];
    let there = fields.all(|field| outcome.data.contains_key(field));
    there
        && outcome
            .data
            .values()
            .all(|value| match (value.as_str(), script) {
                (Some(text), "big") if web => text == domain.repeat(10_000),
                (Some(text), "big") => text.len() >= BIG && text == noise(domain),
                (Some(text), "vary") => text.ends_with(&format!(" of {domain}")),
                (Some(text), _) => text == format!("Name of {domain}"),
                (None, script) => script == "deep",
            })
}
