//! Two faults in one piece of work: every first one, and for each every second one in the run that
//! the first has changed, until all is quiet.
//!
//! Faults that equal others are left out. A read has no effect, so dying after it is dying before
//! the process's next call. Of consecutive queries of one sweep with nothing between them, the
//! first stands for all. Of writes that take effect later, the one whose process goes on stands for
//! all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use testkit::harness::{World, submission};
use testkit::sim::{Call, Fault, Op};

use crate::crash::{After, Case, calls, case, ended, had_a_delivery, job, play, ways};
use crate::threads;

const KILLS: [Fault; 2] = [Fault::Die, Fault::DieAfter];

fn is_read(op: Op) -> bool {
    matches!(op, Op::Get | Op::GetMany | Op::Query)
}

/// The calls under test, each with its faults.
fn tried(calls: &[Call], ways: fn(Op) -> Vec<Fault>) -> Vec<(u64, Fault)> {
    let mut last: BTreeMap<u64, &str> = BTreeMap::new();
    let mut all = Vec::new();
    for call in calls {
        let is_look = |subject: &str| subject.starts_with("due ");
        let before = last.insert(call.process, &call.subject);
        if is_look(&call.subject) && before.is_some_and(is_look) {
            continue;
        }
        let alike = |way: &Fault| match way {
            Fault::DieAfter => is_read(call.op),
            Fault::DieLate(_) | Fault::Again(_) => true,
            _ => false,
        };
        let ways = ways(call.op).into_iter().filter(|way| !alike(way));
        all.extend(ways.map(|way| (call.number, way)));
    }
    all
}

/// Returns the calls after the first fault, in the run that it changed, and what does not hold
/// there.
fn after(case: &Case, (k, first): (u64, Fault)) -> (Vec<Call>, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let (_, wrong) = play(case, move |call| {
        if call.number > k {
            note.lock().unwrap().push(call.clone());
        }
        if call.number == k {
            first
        } else {
            Fault::Proceed
        }
    });
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (seen, wrong)
}

/// Tries every pair.
fn pairs(name: &str, case: &Case, ways: fn(Op) -> Vec<Fault>) {
    let firsts = tried(&calls(case), ways);
    let of_first = |n: u64| {
        let first = firsts[usize::try_from(n).expect("a place in a list")];
        let (seen, mut wrong) = after(case, first);
        let seconds = tried(&seen, ways);
        for (two, second) in &seconds {
            let (k, fault, two, second) = (first.0, first.1, *two, *second);
            let (_, mutation) = play(case, move |call| match call.number {
                n if n == k => fault,
                n if n == two => second,
                _ => Fault::Proceed,
            });
            wrong.extend(
                mutation
                    .iter()
                    .map(|why| format!("#{k} {fault:?}, #{two} {second:?}: {why}")),
            );
        }
        (seconds.len(), wrong)
    };
    let all = threads::map(name, firsts.len() as u64, of_first);
    let tried: usize = all.iter().map(|(seconds, _)| seconds).sum();
    println!("{name}: {} first faults, {tried} pairs tried", firsts.len());
    let wrong: Vec<&String> = all.iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(
        wrong.is_empty(),
        "{} of {tried} pairs break something: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
}

/// A job of one record whose receiver fails once.
fn smallest(world: &mut World) -> After {
    world.receiver.answers([500]);
    let id = world
        .insist_on_job(&submission(&["found-0"]), "one")
        .expect("a job");
    Box::new(move |world| {
        ended(world, &id, &[shared::domain::job::Status::Completed])?;
        had_a_delivery(world, &id)
    })
}

#[test]
fn a_job_survives_every_pair_of_kills() {
    pairs("pairs of kills", &case(job), |_| KILLS.to_vec());
}

#[test]
fn the_smallest_job_survives_every_pair_of_faults() {
    pairs("pairs of faults", &case(smallest), ways);
}

/// Six times as many runs: where `MILLRACE_PAIRS=all` asks for it.
#[test]
fn a_job_survives_every_pair_of_faults_where_that_is_asked_for() {
    if std::env::var("MILLRACE_PAIRS").is_ok_and(|wanted| wanted == "all") {
        pairs("all pairs of faults", &case(job), ways);
    }
}
