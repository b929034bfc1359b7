//! The invariants, each a function with a name. A fault is a line that begins with that name.
//!
//! [`INVARIANTS`] are checked when a world has become quiet, [`STEPS`] at every change of the
//! table, [`CLIENTS`] at every observation of a client. For each of them `tests/sim/controls.rs`
//! breaks something on purpose that it, by its name, must find out.

mod clients;
mod end;
mod events;
mod outcomes;
mod past;
mod reasons;
mod steps;
mod tenants;
mod waits;

use std::time::Duration;

use shared::domain::delivery::{GRACE, LEASE_MARGIN, LEASE_WRITE};
use shared::domain::record::Record;
use shared::schema::{profile_key, read_profile};

pub use self::clients::{CLIENTS, ClientView, Observed, Request, Rule, Sent};
pub use self::end::End;
pub use self::past::{Past, Steps};
pub use self::steps::{Moment, STEPS, Step};
use super::World;
use super::upstream::GIVE_UP;

/// The result of a check: the error says how it does not hold.
pub type Verdict = Result<(), String>;

/// An invariant of a world that has become quiet.
pub type Check = fn(&World, &End) -> Verdict;

/// The invariants of the end, when nothing is left to do.
pub const INVARIANTS: [(&str, Check); 23] = [
    ("everything_ends_in_time", everything_ends_in_time),
    ("jobs_are_over", end::jobs_are_over),
    ("one_outcome_per_record", end::one_outcome_per_record),
    (
        "outcomes_are_what_was_asked",
        outcomes::outcomes_are_what_was_asked,
    ),
    ("counts_equal_results", end::counts_equal_results),
    ("one_element_per_chunk", end::one_element_per_chunk),
    ("credits_charged_once", end::credits_charged_once),
    ("no_job_without_a_client", end::no_job_without_a_client),
    (
        "every_event_is_told_or_exhausted",
        end::every_event_is_told_or_exhausted,
    ),
    ("one_webhook_id_per_event", end::one_webhook_id_per_event),
    ("one_body_per_event", end::one_body_per_event),
    (
        "events_say_what_results_say",
        events::events_say_what_results_say,
    ),
    ("attempts_never_overlap", end::attempts_never_overlap),
    (
        "every_attempt_is_in_the_log",
        end::every_attempt_is_in_the_log,
    ),
    (
        "no_older_event_after_a_newer_one",
        end::no_older_event_after_a_newer_one,
    ),
    (
        "an_erased_job_leaves_nothing",
        end::an_erased_job_leaves_nothing,
    ),
    (
        "events_reach_their_own_tenant_alone",
        tenants::events_reach_their_own_tenant_alone,
    ),
    (
        "no_tenant_reaches_anothers_jobs",
        tenants::no_tenant_reaches_anothers_jobs,
    ),
    (
        "no_question_is_bought_twice",
        waits::no_question_is_bought_twice,
    ),
    ("a_callback_is_taken_once", waits::a_callback_is_taken_once),
    (
        "forged_callbacks_are_refused",
        waits::forged_callbacks_are_refused,
    ),
    ("no_poll_after_the_end", waits::no_poll_after_the_end),
    (
        "no_record_waits_beyond_the_limit",
        waits::no_record_waits_beyond_the_limit,
    ),
];

/// Returns the broken invariants of a world that should be quiet: [`INVARIANTS`], and the faults of
/// the steps on the way. Run it on for [`bound`] first.
pub fn check(world: &World) -> Vec<String> {
    let end = End::read(world);
    let faults = INVARIANTS
        .iter()
        .filter_map(|(name, check)| check(world, &end).err().map(|why| format!("{name}: {why}")));
    world.mutation.iter().cloned().chain(faults).collect()
}

/// Nothing is queued, at work or due. The caller has let [`bound`] pass since the last fault.
fn everything_ends_in_time(world: &World, _: &End) -> Verdict {
    if world.is_quiet() {
        Ok(())
    } else {
        Err(format!("something is left to do at {}", world.now()))
    }
}

/// The longest wait of the sweep between two polls of a job, and its minute.
const LOOK: Duration = Duration::from_secs(31 * 60);
/// A chunk with a record that kills its process is given up at its eighth attempt, and the sweep
/// enqueues each.
const STARTS: u32 = 8;
/// A chunk without crashes: the sweep sends the lost message at its next poll, or at the one after
/// that, where the job has moved since. A third poll writes the end that a dead process did not.
const LOOKS: u32 = 3;

/// The time after the last fault within which everything is over. The sweep has polled each job as
/// often as needed. The job's event has had every attempt of the longest schedule, each repeated by
/// the sweep. An upstream that answers later is waited for before that, until its limit.
///
/// Jobs that queue for few workers, or run longer than that by their own time-outs, take as much
/// more.
pub fn bound(world: &World) -> Duration {
    let profiles = world
        .tenants
        .iter()
        .filter_map(|tenant| world.sim.store.peek(&profile_key(&tenant.id)));
    let delays: Vec<_> = profiles
        .map(|item| read_profile(&item).ok().and_then(|p| p.webhook_delays()))
        .collect();
    let reported = delays.iter().flat_map(|delays| {
        world.ports.surfaces.iter().map(|surface| {
            let rules = (surface.delivery)().with_delays(delays.clone());
            let waits: Duration = rules
                .delays
                .iter()
                .map(|delay| delay.mul_f64(1.0 + rules.jitter))
                .sum();
            let attempts = u32::try_from(rules.delays.len()).unwrap_or(u32::MAX) + 1;
            waits + attempts * (rules.timeout + LEASE_WRITE + LEASE_MARGIN + 2 * GRACE)
        })
    });
    let kills = |record: &Record| {
        record
            .input
            .get("domain")
            .and_then(|d| d.as_str())
            .is_some_and(|d| d.starts_with("poison"))
    };
    let looks = if world.submitted.values().flatten().any(kills) {
        STARTS + 1
    } else {
        LOOKS
    };
    let waited = if world.upstream.is_idle() {
        Duration::ZERO
    } else {
        GIVE_UP
    };
    looks * LOOK + reported.max().unwrap_or_default() + waited
}

fn all<T>(items: impl IntoIterator<Item = T>, check: impl Fn(T) -> Verdict) -> Verdict {
    items.into_iter().try_for_each(check)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: &T, should: &T) -> Verdict {
    if is == should {
        Ok(())
    } else {
        Err(format!("{what} is {is:?}, not {should:?}"))
    }
}

/// Returns true if two elements of progress agree on a chunk, as far as both describe it: those of
/// two versions do.
fn agree(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}
