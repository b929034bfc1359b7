//! The report at the end of a soak.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::stack;

use crate::check::{LOST, OTHER_ID, STUCK, Tally};
use crate::faults::Faults;

/// Violations shown one by one.
const SHOWN: usize = 20;

fn list<K: AsRef<str>, V: std::fmt::Display>(all: &BTreeMap<K, V>) -> String {
    let all: Vec<String> = all
        .iter()
        .map(|(name, n)| format!("{n} {}", name.as_ref()))
        .collect();
    if all.is_empty() {
        "none".to_owned()
    } else {
        all.join(", ")
    }
}

/// Prints the report. Returns true if nothing was wrong, and every required kind of fault was made.
pub(crate) fn print(
    tally: &Tally,
    faults: &Faults,
    seed: u64,
    port: u16,
    faulty: Duration,
    settled: Duration,
) -> bool {
    let mut by_kind: BTreeMap<&str, (u64, BTreeMap<String, u64>)> = BTreeMap::new();
    for ((kind, place), n) in faults.counts() {
        let entry = by_kind.entry(kind).or_default();
        entry.0 += n;
        *entry.1.entry(place).or_default() += n;
    }
    println!("\nInjections: {}", faults.total());
    for (kind, (n, places)) in by_kind {
        println!("  {n:6}  {kind:36} {}", list(&places));
    }
    println!(
        "Requests that clients gave up before the answer, no injections: {}",
        faults.given_up()
    );
    println!("\nJobs: {} ({})", tally.jobs, list(&tally.ended));
    let took = |all: &Vec<Duration>| {
        let mut all = all.clone();
        all.sort_unstable();
        let of = |part: usize| {
            all.get((all.len() * part / 100).min(all.len() - 1))
                .map_or(0, Duration::as_secs)
        };
        format!(
            "({}, half of them within {} s, the longest {} s)",
            all.len(),
            of(50),
            of(100)
        )
    };
    let took: Vec<String> = tally
        .took
        .iter()
        .map(|(kind, all)| format!("{kind} {}", took(all)))
        .collect();
    println!("  of the types {}", took.join(", "));
    println!(
        "Records: {} (of jobs not deleted: {})",
        tally.records,
        list(&tally.lines)
    );
    println!(
        "  of the failed, worker_lost {}, timed out without a fault of the upstream API {}",
        tally.lost_workers, tally.slow
    );
    println!(
        "Deliveries: {} in {} requests, of them for jobs erased by then {}",
        list(&tally.deliveries),
        tally.requests,
        tally.after_erasure
    );
    let later = &tally.later;
    println!(
        "Upstreams that answer later: {} questions in {} requests, {} of them while dead; \
         bought again {}; lines with a kept answer {}",
        later.questions, later.requests, later.dead, later.again, later.kept
    );
    println!(
        "  most in a second {}; most at once of an instance {}; callbacks {}, forged {}",
        list(&later.busiest),
        list(&later.at_once),
        later.posts,
        later.forged
    );
    println!(
        "Time: {:.0} s with faults, then {:.0} s until everything had ended",
        faulty.as_secs_f64(),
        settled.as_secs_f64()
    );
    println!("\nRecords lost                 {}", tally.of(LOST));
    println!("Duplicates with another id   {}", tally.of(OTHER_ID));
    println!("Jobs stuck                   {}", tally.of(STUCK));
    println!("Violations of any rule       {}", tally.violations.len());
    for violation in tally.violations.iter().take(SHOWN) {
        let mut detail = violation.detail.clone();
        if let Some((at, _)) = detail.char_indices().nth(1500) {
            detail.truncate(at);
        }
        println!("  {}: {} {detail}", violation.rule, violation.job);
    }
    if !tally.violations.is_empty() {
        println!(
            "\nSeed {seed}; the logs are in .local/stack-{port}: ministack.log, \
             and functions/ for each function by job id."
        );
    }
    let kills = !stack::variables(std::process::id()).is_empty();
    if !kills {
        println!("\nThis system does not show which processes are functions: none was killed.");
    }
    let missing = faults.missing(kills);
    if !missing.is_empty() {
        println!(
            "\nNothing is shown: no fault was made of the kinds {}.",
            missing.join(", ")
        );
    }
    tally.violations.is_empty() && missing.is_empty()
}
