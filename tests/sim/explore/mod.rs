//! Random schedules: clients, receivers, faults and interleavings drawn from a seed.
//!
//! `MILLRACE_SEEDS` says how many (2,000 unless told), `MILLRACE_FIRST_SEED` where to begin. `MILLRACE_SEED` runs one alone
//! and, if it fails, makes it small and tells it.

mod client;
mod faults;
mod plan;
mod play;
mod shrink;
mod story;
mod tally;

use std::collections::BTreeSet;
use std::time::Instant;

use tests::harness::broken::Broken;

use self::faults::Faults;
use self::plan::Plan;
use self::play::{Detail, Verdict, play};
use self::shrink::shrink;
use self::tally::Tally;
use crate::threads;

/// Runs that making a failing plan small may take.
const SHRINKING: u32 = 600;

/// What every few thousand schedules must reach; else the generator has stopped asking what it was made to ask.
const MUST_HAPPEN: &[&str] = &[
    "fault: FailBefore",
    "fault: FailAfter",
    "fault: FailPartly",
    "fault: Die",
    "fault: DieAfter",
    "fault: Throttle",
    "fault: Conflict",
    "fault: Delay",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// A failing seed for a person: the shrunk plan, its trace, and what did not hold.
fn explained(seed: u64, verdict: &Verdict, broken: Option<Broken>) -> String {
    let Some(name) = verdict.names().next() else { return String::new() };
    let mut small = shrink(&Plan::draw(seed), broken, name, SHRINKING);
    let told = story::tell(&small.plan, &mut small.verdict);
    format!("seed {seed}, made small in {} runs; {name} does not hold:\n\n{told}", small.runs)
}

#[test]
fn nothing_is_lost_in_random_schedules() {
    if let Some(seed) = number("MILLRACE_SEED") {
        let plan = Plan::draw(seed);
        let verdict = play(&plan, None, Detail::Full);
        println!("{plan}\n{}", verdict.trace.join("\n"));
        assert!(verdict.wrong.is_empty(), "{:#?}\n{}", verdict.wrong, explained(seed, &verdict, None));
        return;
    }
    let (first, seeds) = (number("MILLRACE_FIRST_SEED").unwrap_or(0), number("MILLRACE_SEEDS").unwrap_or(2000));
    let start = Instant::now();
    let verdicts = threads::map("random schedules", seeds, |n| {
        let verdict = play(&Plan::draw(first + n), None, Detail::Verdict);
        if !verdict.wrong.is_empty() {
            eprintln!("seed {} fails: {}", first + n, verdict.wrong[0]);
        }
        (verdict.wrong, verdict.tally)
    });
    let mut tally = Tally::default();
    verdicts.iter().for_each(|(_, one)| tally.merge(one));
    println!("{}{seeds} schedules in {:.0} s", tally.table(seeds), start.elapsed().as_secs_f64());
    let failed: Vec<(u64, &Vec<String>)> =
        (first..).zip(verdicts.iter().map(|(wrong, _)| wrong)).filter(|(_, wrong)| !wrong.is_empty()).collect();
    if let Some((seed, _)) = failed.first() {
        let verdict = play(&Plan::draw(*seed), None, Detail::Verdict);
        panic!(
            "{} of {seeds} seeds fail: {:?}\n{}\n\nthe first again: MILLRACE_SEED={seed} cargo test -p tests --test sim \
             random_schedules -- --nocapture",
            failed.len(),
            failed.iter().map(|(seed, wrong)| (seed, &wrong[0])).take(20).collect::<Vec<_>>(),
            explained(*seed, &verdict, None),
        );
    }
    if seeds >= 2000 {
        assert_eq!(tally.missing(MUST_HAPPEN), Vec::<&str>::new(), "never happened in {seeds} schedules");
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

#[test]
fn a_plan_with_its_faults_listed_runs_the_same() {
    for seed in 0..10 {
        let drawn = Plan::draw(seed);
        let one = play(&drawn, None, Detail::Full);
        let listed = Plan { faults: Faults::Listed(one.faults), ..drawn };
        assert_eq!(play(&listed, None, Detail::Full).trace, one.trace, "seed {seed}");
    }
}

/// The first seed that notices the broken promise, and the invariant that does.
fn noticed(how: Broken, name: &str) -> u64 {
    (0..60)
        .find(|seed| play(&Plan::draw(*seed), Some(how), Detail::Verdict).names().any(|found| found == name))
        .expect("60 seeds did not notice")
}

#[test]
fn a_failing_schedule_is_made_small_and_still_fails_the_same() {
    let name = "done_told_and_settled_at_once";
    let seed = noticed(Broken::EndIsSplit, name);
    let mut small = shrink(&Plan::draw(seed), Some(Broken::EndIsSplit), name, SHRINKING);
    let names: BTreeSet<&str> = small.verdict.names().collect();
    assert!(names.contains(name), "{names:?}");
    let (actions, faults) = (small.plan.actions.len(), small.plan.faults.listed().len());
    let told = story::tell(&small.plan, &mut small.verdict);
    println!("{told}\n{} runs", small.runs);
    assert!(actions <= 3 && faults <= 2, "{actions} actions and {faults} faults are left:\n{told}");
    assert!(told.contains(&format!("!!! {name}")), "{told}");
}
