//! Random schedules: clients, receivers, faults and interleavings drawn from a seed.
//!
//! `MILLRACE_SEEDS` sets the number (default 2,000), `MILLRACE_FIRST_SEED` the first.
//! `MILLRACE_SEED` runs one alone and, if it fails, shrinks and prints it.

mod client;
mod faults;
mod plan;
mod play;
mod shrink;
mod story;
mod tally;
mod upstream;

use std::collections::BTreeSet;
use std::time::Instant;

use testkit::harness::mutation::Mutation;

use self::faults::Faults;
use self::plan::Plan;
use self::play::{Detail, Verdict, play};
use self::shrink::{Player, shrink};
use self::tally::Tally;
use crate::threads;

/// Runs that making a failing plan small may take.
const SHRINKING: u32 = 600;

/// The cases that every few thousand schedules must reach, or the generator has become too weak.
const MUST_HAPPEN: &[&str] = &[
    "answer: Conflict",
    "answer: NotEnoughCredits",
    "answer: NotFound",
    "answer: canceled",
    "answer: erased",
    "answer: job accepted",
    "answer: replayed",
    "answer: rotated",
    "answer: test sent",
    "answer of a provider: kept from before",
    "attempt: delivered",
    "attempt: gave up",
    "attempt: interrupted",
    "attempt: put off",
    "attempt: run failed",
    "attempt: stale message",
    "attempt: to be tried again",
    "began with: Current",
    "began with: Next",
    "began with: Previous",
    "callback: moot",
    "callback: refused",
    "callback: taken",
    "chunk: continues in another run",
    "chunk: received again",
    "chunk: run failed",
    "client: asks again",
    "dead letters: Enrich",
    "dead letters: Webhook",
    "dead letters: WebhookRetry",
    "deleted by TTL: CHUNK",
    "deleted by TTL: DELIVERY",
    "deleted by TTL: IDEM",
    "deleted by TTL: META",
    "deleted by TTL: PROGRESS",
    "delivery: delivered",
    "delivery: exhausted, attempts_used_up",
    "delivery: exhausted, endpoint_disabled",
    "delivery: exhausted, endpoint_gone",
    "delivery: exhausted, superseded",
    "delivery: replayed",
    "deployed: Current",
    "deployed: Next",
    "deployed: Previous",
    "event: job.canceled",
    "event: job.completed",
    "event: job.failed",
    "event: record.finished",
    "event: webhook.test",
    "fault: Again",
    "fault: Conflict",
    "fault: Delay",
    "fault: Delay, standing still",
    "fault: Die",
    "fault: DieAfter",
    "fault: DieLate",
    "fault: FailAfter",
    "fault: FailBefore",
    "fault: FailPartly",
    "fault: Late",
    "fault: Throttle",
    "function: answer malformed",
    "function: timed out",
    "job: canceled",
    "job: completed",
    "job: erased",
    "job: expired",
    "job: failed",
    "job: of several shards",
    "key: used again after its time",
    "killed at: DeleteAll",
    "killed at: Get",
    "killed at: GetMany",
    "killed at: Http",
    "killed at: Put",
    "killed at: PutAll",
    "killed at: Query",
    "killed at: Send",
    "killed at: Transact",
    "killed at: Update",
    "killed: Enrich",
    "killed: Webhook",
    "killed: WebhookRetry",
    "killed: client",
    "killed: reader",
    "killed: sweep",
    "killed: upstream",
    "killed: while records are suspended",
    "late effect: applied",
    "late effect: refused",
    "message: unreadable",
    "record: canceled",
    "record: failed deadline_exceeded",
    "record: failed internal_error",
    "record: failed job_expired",
    "record: failed outcome_too_deep",
    "record: failed provider_error",
    "record: failed provider_timeout",
    "record: failed provider_unconfigured",
    "record: failed rate_limited",
    "record: failed worker_lost",
    "record: found",
    "record: invalid invalid_input",
    "record: not_found",
    "record: skipped budget_exhausted",
    "sweep: erased",
    "sweep: expired",
    "sweep: finished a job",
    "sweep: repair failed",
    "sweep: sent chunks again",
    "sweep: sent deliveries again",
    "waits: bought again",
    "waits: given up",
    "waits: suspended for an answer",
    "waits: suspended for its turn",
    "waits: polled",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Describes a failing seed: the shrunk plan, its trace, and what did not hold.
fn explained(seed: u64, verdict: &Verdict, play: Player<'_>) -> String {
    let Some(name) = verdict.names().next() else {
        return String::new();
    };
    let mut small = shrink(&Plan::draw(seed), play, name, SHRINKING);
    let reported = story::tell(&small.plan, &mut small.verdict);
    if small.as_drawn {
        return format!(
            "seed {seed} as drawn, which does not fail with its faults listed; {name} does not \
             hold:\n\n{reported}"
        );
    }
    format!(
        "seed {seed}, made small in {} runs; {name} does not hold:\n\n{reported}",
        small.runs
    )
}

#[test]
fn nothing_is_lost_in_random_schedules() {
    if let Some(seed) = number("MILLRACE_SEED") {
        let plan = Plan::draw(seed);
        let verdict = play(&plan, None, Detail::Full);
        println!("{plan}\n{}", verdict.trace.join("\n"));
        assert!(
            verdict.wrong.is_empty(),
            "{:#?}\n{}",
            verdict.wrong,
            explained(seed, &verdict, &|plan| play(plan, None, Detail::Full))
        );
        return;
    }
    let (first, seeds) = (
        number("MILLRACE_FIRST_SEED").unwrap_or(0),
        number("MILLRACE_SEEDS").unwrap_or(2000),
    );
    let start = Instant::now();
    let verdicts = threads::map("random schedules", seeds, |n| {
        let verdict = play(&Plan::draw(first + n), None, Detail::Verdict);
        if !verdict.wrong.is_empty() {
            eprintln!("seed {} fails: {}", first + n, verdict.wrong[0]);
        }
        (verdict.wrong, verdict.tally)
    });
    let mut tally = Tally::default();
    for (_, one) in &verdicts {
        tally.merge(one);
    }
    println!(
        "{}{seeds} schedules in {:.0} s",
        tally.table(seeds),
        start.elapsed().as_secs_f64()
    );
    let failed: Vec<(u64, &Vec<String>)> = (first..)
        .zip(verdicts.iter().map(|(wrong, _)| wrong))
        .filter(|(_, wrong)| !wrong.is_empty())
        .collect();
    if let Some((seed, _)) = failed.first() {
        let verdict = play(&Plan::draw(*seed), None, Detail::Verdict);
        panic!(
            "{} of {seeds} seeds fail: {:?}\n{}\n\n\
             the first again: MILLRACE_SEED={seed} cargo test -p tests --test sim random_schedules \
             -- --nocapture",
            failed.len(),
            failed
                .iter()
                .map(|(seed, wrong)| (seed, &wrong[0]))
                .take(20)
                .collect::<Vec<_>>(),
            explained(*seed, &verdict, &|plan| play(plan, None, Detail::Full)),
        );
    }
    if seeds >= 2000 {
        assert_eq!(
            tally.missing(MUST_HAPPEN),
            Vec::<&str>::new(),
            "never happened in {seeds} schedules"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| play(&Plan::draw(seed), None, Detail::Full).trace;
    let once = threads::map("traces", 20, trace);
    let again = threads::map("traces", 20, |n| trace(19 - n));
    for (seed, (one, two)) in once.iter().zip(again.iter().rev()).enumerate() {
        assert!(!one.is_empty());
        assert_eq!(one, two, "seed {seed}");
    }
}

/// Prints a digest a seed of every call and of all that it wrote, to compare two versions of the
/// code that must do the same.
#[test]
#[ignore = "prints what a person compares; docs/TESTING.md says how"]
fn fingerprints() {
    let seeds = number("MILLRACE_SEEDS").unwrap_or(500);
    let of = |seed| play(&Plan::draw(seed), None, Detail::Full).fingerprint;
    for (seed, fingerprint) in threads::map("fingerprints", seeds, of).iter().enumerate() {
        println!("seed {seed} {fingerprint}");
    }
}

#[test]
fn a_plan_with_its_faults_listed_runs_the_same() {
    for seed in 0..10 {
        let drawn = Plan::draw(seed);
        let one = play(&drawn, None, Detail::Full);
        let listed = Plan {
            faults: Faults::Listed(one.faults),
            ..drawn
        };
        assert_eq!(
            play(&listed, None, Detail::Full).trace,
            one.trace,
            "seed {seed}"
        );
    }
}

/// Returns the first of these seeds whose schedule reports the broken promise by this invariant's
/// name. The error has what was found instead.
pub(crate) fn noticed(how: Mutation, name: &str, seeds: u64) -> Result<u64, BTreeSet<String>> {
    let mut others = BTreeSet::new();
    for seed in 0..seeds {
        let verdict = play(&Plan::draw(seed), Some(how), Detail::Verdict);
        if verdict.names().any(|found| found == name) {
            return Ok(seed);
        }
        others.extend(verdict.names().map(str::to_owned));
    }
    Err(others)
}

/// A failing schedule is shrunk, and still fails the same.
fn made_small(how: Mutation, name: &str) -> String {
    let seed = noticed(how, name, 60).expect("60 seeds did not notice");
    let mut small = shrink(
        &Plan::draw(seed),
        &|plan| play(plan, Some(how), Detail::Full),
        name,
        SHRINKING,
    );
    let names: BTreeSet<&str> = small.verdict.names().collect();
    assert!(names.contains(name), "{names:?}");
    let left = (small.plan.actions.len(), small.plan.faults.listed().len());
    let reported = story::tell(&small.plan, &mut small.verdict);
    println!("seed {seed}, {} runs\n{reported}", small.runs);
    assert!(
        left.0 <= 2 && left.1 <= 2,
        "{left:?} actions and faults are left:\n{reported}"
    );
    assert!(reported.contains(&format!("{name}: ")), "{reported}");
    reported
}

#[test]
fn an_end_in_single_writes_is_told_in_a_small_schedule() {
    let reported = made_small(Mutation::EndIsSplit, "every_event_is_told_or_exhausted");
    assert!(
        reported.contains("!!! done_told_and_settled_at_once: "),
        "the moment is not marked:\n{reported}"
    );
}

#[test]
fn a_key_that_is_taken_twice_is_told_in_a_small_schedule() {
    made_small(Mutation::KeyIsTakenTwice, "same_key_same_job");
}

/// A schedule that fails only while its faults are drawn cannot be shrunk, and is printed as drawn.
#[test]
fn what_fails_only_as_drawn_is_told_as_drawn() {
    let plan = Plan::draw(3);
    let only_as_drawn = |plan: &Plan| {
        let mut verdict = play(plan, None, Detail::Full);
        if matches!(plan.faults, Faults::Drawn { .. }) {
            verdict
                .wrong
                .push("a_made_up_promise: it does not hold".to_owned());
        }
        verdict
    };
    let small = shrink(&plan, &only_as_drawn, "a_made_up_promise", SHRINKING);
    assert_eq!(
        (small.plan, small.as_drawn, small.runs),
        (plan.clone(), true, 1)
    );
    let reported = explained(3, &only_as_drawn(&plan), &only_as_drawn);
    assert!(
        reported.starts_with(
            "seed 3 as drawn, which does not fail with its faults listed; a_made_up_promise "
        ),
        "{reported}"
    );
    assert!(
        reported.contains(" of 1000 reads, and more of other calls, go wrong"),
        "{reported}"
    );
    assert!(
        reported.contains("a_made_up_promise: it does not hold"),
        "{reported}"
    );
}
