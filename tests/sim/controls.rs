//! Negative controls: each breaks one promise on purpose, and an invariant must report it by its
//! own name. An invariant that cannot fail proves nothing, so each has a control.
//!
//! The search is the ordinary one. A piece of work runs undisturbed, then with each of its calls
//! failing in each way, or in schedules drawn from seeds with doubled messages. Or the random
//! schedules of `explore` run, whose clients compare each answer with earlier ones. The search ends
//! with the first finding.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::job::Submission;
use shared::jobs::{cancel, delete};
use shared::maintenance::tenants;
use shared::ports::{Message, Queue, QueueError, QueueName};
use shared::webhooks::replay;
use testkit::harness::mutation::Mutation;
use testkit::harness::{Options, World, invariants, submission};
use testkit::sim::{Call, Fault, Reply};

use crate::crash::ways;
use crate::explore::noticed;
use crate::{ENRICH_TIMEOUT, MINUTE, SECOND};

/// A piece of work: what clients do.
type Work = fn(&mut World);

/// The place where a control is searched for.
#[derive(Clone, Copy)]
enum Search {
    /// The work as it is, and with every call going wrong.
    Sweep,
    /// Schedules of this many seeds.
    Schedules(u64),
}

struct Control {
    invariant: &'static str,
    mutation: Mutation,
    work: Work,
    search: Search,
}

/// The most random schedules that are played.
const RANDOM: u64 = 150;

/// Two chunks, of which the first begins with this script.
fn two_chunks(script: &str) -> Submission {
    let domains: Vec<String> = (0..65)
        .map(|n| {
            if n == 0 {
                format!("{script}-0")
            } else {
                format!("none-{n}")
            }
        })
        .collect();
    submission(&domains)
}

/// A request of a client that goes on beside everything else, and is not repeated.
fn beside(world: &mut World, submission: Submission, key: &str) {
    let (ports, registry, tenant) = (
        world.ports.clone(),
        world.registry.clone(),
        world.tenant.clone(),
    );
    let key = key.to_owned();
    world.spawn("client", async move {
        let _ = World::request(&ports, &registry, &tenant, submission, Some(&key)).await;
    });
}

/// A job whose receiver fails once.
fn job(world: &mut World) {
    world.receiver.answers([500]);
    let _ = world.insist_on_job(&two_chunks("found"), "one");
}

/// A small job whose providers answer otherwise each time they are asked.
fn varied(world: &mut World) {
    world.receiver.answers([500]);
    let _ = world.insist_on_job(&submission(&["vary2-0", "vary3-1"]), "one");
}

/// Of each of two tenants a job.
fn of_two(world: &mut World) {
    for (tenant, key) in world.tenants.clone().iter().zip(["one", "two"]) {
        tenant.receiver.answers([500]);
        let to = Submission {
            webhook: Some(tenant.webhook("end")),
            ..submission(&["found-0"])
        };
        let _ = world.insist_on_job_as(tenant, &to, key);
    }
}

/// A job that a client cancels and that goes on meanwhile.
fn canceled(world: &mut World) {
    let Ok(id) = world.insist_on_job(&submission(&["slow1-0"]), "one") else {
        return;
    };
    let (ports, tenant) = (world.ports.clone(), world.tenant.id.clone());
    // As likely at its beginning as at its end.
    let wait = if world.options.seed.is_multiple_of(2) {
        Duration::ZERO
    } else {
        SECOND
    };
    world.spawn("client", async move {
        ports.clock.sleep(wait).await;
        let _ = cancel::cancel(&ports, &tenant, &id, ENRICH_TIMEOUT).await;
    });
}

/// A job that is erased while it runs.
fn erased(world: &mut World) {
    let Ok(id) = world.insist_on_job(&submission(&["slow20-0"]), "one") else {
        return;
    };
    world.run_for(5 * SECOND);
    let tenant = world.tenant.id.clone();
    let _ = world.ask_until_answered(async |ports| {
        delete::delete(ports, &tenant, &id, ENRICH_TIMEOUT).await
    });
}

/// A job that is erased when one of its two chunks is done.
fn erased_half_done(world: &mut World) {
    let domains: Vec<String> = (0..65)
        .map(|n| format!("{}-{n}", if n == 64 { "slow20" } else { "found" }))
        .collect();
    let Ok(id) = world.insist_on_job(&submission(&domains), "one") else {
        return;
    };
    world.run_for(5 * SECOND);
    let tenant = world.tenant.id.clone();
    let _ = world.ask_until_answered(async |ports| {
        delete::delete(ports, &tenant, &id, ENRICH_TIMEOUT).await
    });
}

/// Two jobs at once under one key.
fn same_key(world: &mut World) {
    let sent = submission(&["found-0"]);
    for _ in 0..3 {
        beside(world, sent.clone(), "key");
    }
    world.run_for(MINUTE);
    let _ = world.insist_on_job(&sent, "key");
}

/// Two different jobs at once, for which there are credits.
fn at_once(world: &mut World) {
    let both = [
        ("one", submission(&["found-0"])),
        ("two", submission(&["found-1", "found-2"])),
    ];
    for (key, sent) in &both {
        beside(world, sent.clone(), key);
    }
    world.run_for(MINUTE);
    for (key, sent) in &both {
        let _ = world.insist_on_job(sent, key);
    }
}

/// Two jobs at once, and credits for one.
fn poor(world: &mut World) {
    let (tenant, balance) = (world.tenant.id.clone(), world.credits(&world.tenant.id).0);
    world
        .call(async |ports| tenants::add_credits(ports, &tenant, 5 - balance).await)
        .expect("a correction");
    at_once(world);
}

/// Two jobs with one URL, where only the latest event counts and the older job ends last.
fn latest(world: &mut World) {
    let on = |script: &str| Submission {
        surface: "springbolt".to_owned(),
        ..submission(&[script])
    };
    let _ = world.insist_on_job(&on("slow8-0"), "one");
    world.run_for(SECOND);
    let _ = world.insist_on_job(&on("found-1"), "two");
}

/// A job whose receiver fails, and a client who asks for its event again as soon as that is
/// possible.
fn replayed(world: &mut World) {
    world.receiver.answers([500]);
    let Ok(id) = world.insist_on_job(&submission(&["found-0"]), "one") else {
        return;
    };
    world.run_for(30 * SECOND);
    let tenant = world.tenant.id.clone();
    let _ = world.ask_until_answered(async |ports| {
        replay::replay(ports, &tenant, &id.delivery(0), None).await
    });
}

/// A job whose receiver takes its time.
fn slowly_told(world: &mut World) {
    world
        .receiver
        .from_then_on(Reply::status(200).after(10 * SECOND));
    let _ = world.insist_on_job(&submission(&["found-0"]), "one");
}

/// A job whose upstream answers later: when it is polled, by calling back, never. Somebody forges
/// callbacks.
fn waited(world: &mut World) {
    world.calm_since = Some(world.now().plus(2 * MINUTE));
    let scripts = ["late200-0", "twice60-1", "forged90-2", "never-3"];
    let _ = world.insist_on_job(
        &Submission {
            kind: "late".to_owned(),
            ..submission(&scripts)
        },
        "one",
    );
    let (ports, clock, until) = (
        world.ports.clone(),
        world.sim.clock.clone(),
        world.now().plus(30 * MINUTE),
    );
    let calling = Arc::clone(&world.upstream).call_back(ports, clock, until);
    world.spawn("upstream", calling);
}

/// A job that is canceled while its upstream has a question, of which it says something long
/// afterwards.
fn ended_early(world: &mut World) {
    let sent = Submission {
        kind: "late".to_owned(),
        ..submission(&["never-0"])
    };
    let Ok(id) = world.insist_on_job(&sent, "one") else {
        return;
    };
    let (ports, clock, until) = (
        world.ports.clone(),
        world.sim.clock.clone(),
        world.now().plus(30 * MINUTE),
    );
    let calling = Arc::clone(&world.upstream).call_back(ports, clock, until);
    world.spawn("upstream", calling);
    world.run_for(10 * SECOND);
    let tenant = world.tenant.id.clone();
    let _ = world.ask_until_answered(async |ports| {
        cancel::cancel(ports, &tenant, &id, ENRICH_TIMEOUT).await
    });
}

/// A job whose upstream is polled.
fn polled(world: &mut World) {
    let scripts = ["late40-0", "late200-1"];
    let _ = world.insist_on_job(
        &Submission {
            kind: "late".to_owned(),
            ..submission(&scripts)
        },
        "one",
    );
}

fn options() -> Options {
    Options {
        dispatchers: 2,
        credits: 1000,
        ..Options::default()
    }
}

fn prepared(mutation: Option<Mutation>, options: Options) -> World {
    let mut world = World::with(options);
    world.tenant("other");
    for tenant in &world.tenants {
        let schedule = Some(vec![1, 2, 60, 60]);
        world
            .call(async |ports| {
                tenants::set_webhook_schedule(ports, &tenant.id, schedule.clone()).await
            })
            .expect("a schedule");
    }
    if let Some(mutation) = mutation {
        mutation.install(&mut world);
    }
    world.sim.gate.renumber();
    world
}

/// Does the work until all is over or `wanted` was found, and returns what does not hold.
fn done(mut world: World, work: Work, wanted: &str) -> BTreeSet<String> {
    let name = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
    work(&mut world);
    let bound = invariants::bound(&world);
    world.run_until(bound, |world| {
        world.is_quiet() || world.mutation.iter().any(|line| name(line) == wanted)
    });
    world.faults(|_| Fault::Proceed);
    invariants::check(&world).iter().map(name).collect()
}

/// Returns the faults of a call: those of the crash sweep, and a late effect.
fn every_way(call: &Call) -> Vec<Fault> {
    ways(call.op)
        .into_iter()
        .chain([Fault::Delay(35 * SECOND)])
        .collect()
}

/// Does the work with one fault after the other, until `found` ends the search.
fn sweep(
    mutation: Mutation,
    work: Work,
    wanted: &str,
    mut found: impl FnMut(BTreeSet<String>) -> bool,
) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let world = prepared(Some(mutation), options());
    let note = Arc::clone(&seen);
    world.faults(move |call| {
        note.lock().unwrap().push(call.clone());
        Fault::Proceed
    });
    if found(done(world, work, wanted)) {
        return;
    }
    let calls = std::mem::take(&mut *seen.lock().unwrap());
    // A sweep that finds nothing is like the one before.
    for call in calls
        .iter()
        .filter(|call| !call.subject.starts_with("due "))
    {
        for fault in every_way(call) {
            let (world, number) = (prepared(Some(mutation), options()), call.number);
            world.faults(move |c| {
                if c.number == number {
                    fault
                } else {
                    Fault::Proceed
                }
            });
            if found(done(world, work, wanted)) {
                return;
            }
        }
    }
}

/// A queue that delivers every message twice, as standard queues may.
struct Doubling(Arc<dyn Queue>);

#[async_trait]
impl Queue for Doubling {
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        self.0
            .send(queue, [messages.clone(), messages].concat())
            .await
    }

    async fn postpone(
        &self,
        queue: QueueName,
        receipt: &str,
        delay: Duration,
    ) -> Result<(), QueueError> {
        self.0.postpone(queue, receipt, delay).await
    }
}

/// Runs one schedule. The seed draws who runs next, which calls fail and which messages arrive
/// twice.
fn schedule(seed: u64, mutation: Option<Mutation>, work: Work, wanted: &str) -> BTreeSet<String> {
    let options = Options {
        seed,
        enrichers: 3,
        dispatchers: 3,
        ..options()
    };
    let mut world = prepared(mutation, options);
    world.ports.queue = Arc::new(Doubling(world.ports.queue.clone()));
    let (dice, until) = (World::dice(seed), world.now().plus(MINUTE));
    let clock = world.sim.clock.clone();
    world.faults(move |call| {
        let all = every_way(call);
        let quiet = shared::ports::Clock::now(&*clock) >= until || dice.below(100) >= 3;
        if quiet {
            Fault::Proceed
        } else {
            all[dice.below(all.len())]
        }
    });
    done(world, work, wanted)
}

impl Control {
    /// Searches for the finding. The error lists what was found instead.
    fn is_caught(&self) -> Result<(), BTreeSet<String>> {
        let (mut caught, mut others) = (false, BTreeSet::new());
        let mut found = |names: BTreeSet<String>| {
            caught |= names.contains(self.invariant);
            others.extend(names);
            caught
        };
        match self.search {
            Search::Sweep => sweep(self.mutation, self.work, self.invariant, found),
            Search::Schedules(seeds) => {
                (0..seeds).any(|seed| {
                    found(schedule(
                        seed,
                        Some(self.mutation),
                        self.work,
                        self.invariant,
                    ))
                });
            }
        }
        if caught { Ok(()) } else { Err(others) }
    }
}

/// A test of each, and the table of them all.
macro_rules! controls {
    ($($name:ident: $invariant:literal, $mutation:ident, $work:ident, $search:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let control =
                    Control {
                        invariant: $invariant,
                        mutation: Mutation::$mutation,
                        work: $work,
                        search: $search,
                    };
                let caught = control.is_caught();
                let (invariant, mutation) = (control.invariant, control.mutation);
                assert_eq!(caught, Ok(()), "{invariant} does not notice {mutation:?}");
            }
        )*
        /// Every invariant with what it is shown to find out.
        const CONTROLS: &[(&str, Mutation)] = &[$(($invariant, Mutation::$mutation)),*];
        const WORKS: &[Work] = &[$($work),*];
    };
}

/// Defines a test of each invariant of what clients are shown, and the table of them.
macro_rules! observed {
    ($($name:ident: $invariant:literal, $mutation:ident;)*) => {
        $(
            #[test]
            fn $name() {
                let noticed = noticed(Mutation::$mutation, $invariant, RANDOM);
                let mutation = Mutation::$mutation;
                assert!(
                    noticed.is_ok(),
                    "{} does not notice {mutation:?}: {noticed:?}",
                    $invariant
                );
            }
        )*
        const OBSERVED: &[(&str, Mutation)] = &[$(($invariant, Mutation::$mutation)),*];
    };
}

observed! {
    a_job_that_is_accepted_and_not_kept_is_found_out: "accepted_for_good", JobIsNotKept;
    two_jobs_of_one_key_are_found_out: "same_key_same_job", KeyIsTakenTwice;
    an_outcome_that_changes_is_found_out: "told_stays_true", ResultsChange;
    an_erased_job_that_is_shown_again_is_found_out: "erased_stays_erased", TombstoneIsNotKept;
    a_canceled_job_that_goes_on_is_found_out: "canceled_stays_canceled", CancelIsForgotten;
    lines_in_another_place_are_found_out: "in_input_order", PlacesAreShifted;
    a_gap_in_results_is_found_out: "no_gap_in_results", ResultIsNotKept;
    a_second_secret_of_one_key_is_found_out: "one_secret_per_key", KeyIsNotKept;
    a_replay_that_is_forgotten_is_found_out: "replayed_as_asked", ReplayIsForgotten;
    a_refusal_for_credits_that_are_there_is_found_out: "answered_as_documented", BalanceReadsZero;
    a_refusal_for_a_state_that_is_not_so_is_found_out: "answered_as_documented", JobsReadCompleted;
    a_client_that_waits_for_ever_is_found_out: "clients_are_answered", KeysAreNotAnswered;
    a_stranger_who_is_shown_a_job_is_found_out: "other_tenants_learn_nothing", TenantIsTakenFromTheRequest;
}

use Search::{Schedules, Sweep};

controls! {
    a_sweep_that_sleeps_is_found_out: "everything_ends_in_time", SweepSleeps, job, Sweep;
    a_job_that_is_not_swept_is_found_out: "jobs_are_over", DueIsForgotten, job, Sweep;
    a_job_that_would_not_be_swept_is_found_out: "what_is_not_over_is_due", DueIsForgotten, job, Sweep;
    a_result_that_is_not_kept_is_found_out: "one_outcome_per_record", ResultIsNotKept, job, Sweep;
    a_healthy_record_that_is_given_up_is_found_out: "outcomes_are_what_was_asked", StartsCountSeven, job, Sweep;
    an_id_that_is_dropped_is_found_out: "outcomes_are_what_was_asked", IdsAreDropped, job, Sweep;
    progress_without_a_result_is_found_out: "progress_follows_results", ResultIsNotKept, job, Sweep;
    a_result_that_is_put_again_is_found_out: "results_are_immutable", ResultOverwrites, varied, Schedules(100);
    counts_of_a_result_that_is_gone_are_found_out: "counts_equal_results", ResultOverwrites, varied, Schedules(100);
    a_chunk_that_counts_twice_is_found_out: "one_element_per_chunk", ResultOverwrites, varied, Schedules(100);
    progress_that_forgets_is_found_out: "progress_only_grows", ProgressIsReplaced, job, Sweep;
    credits_that_are_not_settled_are_found_out: "credits_charged_once", NothingIsSettled, job, Sweep;
    an_erasure_at_no_cost_is_found_out: "credits_charged_once", ErasingIsFree, erased_half_done, Sweep;
    credits_that_get_lost_are_found_out: "credits_are_conserved", NothingIsSettled, job, Sweep;
    an_end_that_looks_at_nothing_is_found_out: "credits_are_conserved", EndLooksAtNothing, job, Sweep;
    credits_that_are_not_there_are_found_out: "credits_never_negative", CreditsAreNotAsked, poor, Schedules(50);
    an_end_in_single_writes_is_found_out: "done_told_and_settled_at_once", EndIsSplit, job, Sweep;
    an_event_that_is_not_put_is_found_out: "every_event_is_told_or_exhausted", EventIsNotPut, job, Sweep;
    an_event_that_is_not_tried_again_is_found_out: "every_event_is_told_or_exhausted", NothingIsTriedAgain, job, Sweep;
    a_status_that_goes_back_is_found_out: "status_moves_along_its_edges", StatusLooksAtNothing, canceled, Schedules(200);
    an_end_that_is_undone_is_found_out: "terminal_stays_terminal", StatusLooksAtNothing, canceled, Schedules(200);
    a_second_job_is_found_out: "no_job_without_a_client", KeyIsTakenTwice, same_key, Schedules(50);
    a_key_that_is_taken_twice_is_found_out: "an_idempotency_key_keeps_its_job", KeyIsTakenTwice, same_key, Schedules(50);
    an_id_that_is_given_twice_is_found_out: "what_was_accepted_never_changes", IdsRepeat, at_once, Schedules(50);
    an_id_per_attempt_is_found_out: "one_webhook_id_per_event", IdPerAttempt, job, Sweep;
    a_body_per_attempt_is_found_out: "one_body_per_event", BodyPerAttempt, job, Sweep;
    an_event_with_other_results_is_found_out: "events_say_what_results_say", EventsSayNothingWasFound, job, Sweep;
    an_event_that_leads_elsewhere_is_found_out: "events_say_what_results_say", EventsLinkElsewhere, job, Sweep;
    two_attempts_at_once_are_found_out: "attempts_never_overlap", LeaseIsStolen, slowly_told, Schedules(100);
    a_lease_that_is_stolen_is_found_out: "a_lease_is_taken_when_none_is_live", LeaseIsStolen, slowly_told, Schedules(100);
    an_attempt_that_counts_back_is_found_out: "attempts_only_count_up", OutcomeIsAnybodys, replayed, Sweep;
    a_delivery_that_begins_again_is_found_out: "deliveries_move_along_their_edges", OutcomeIsAnybodys, replayed, Sweep;
    an_attempt_without_a_log_entry_is_found_out: "every_attempt_is_in_the_log", LogIsForgotten, job, Sweep;
    an_older_event_that_comes_last_is_found_out: "no_older_event_after_a_newer_one", UrlLeaseIsStolen, latest, Sweep;
    a_memory_that_goes_back_is_found_out: "the_newest_told_only_gets_newer", UrlLeaseIsStolen, latest, Sweep;
    an_erased_job_that_leaves_something_is_found_out: "an_erased_job_leaves_nothing", NothingIsErased, erased, Sweep;
    an_erased_job_that_comes_back_is_found_out: "a_tombstone_gets_nothing_back", UpdatesCreate, erased, Sweep;
    a_tombstone_that_goes_is_found_out: "nothing_goes_before_its_time", HeadIsErased, erased, Sweep;
    a_tenant_taken_from_the_request_is_found_out: "no_tenant_reaches_anothers_jobs", TenantIsTakenFromTheRequest, of_two, Sweep;
    a_secret_of_another_tenant_is_found_out: "events_reach_their_own_tenant_alone", SecretOfAnother, of_two, Sweep;
    a_question_that_is_bought_twice_is_found_out: "no_question_is_bought_twice", PartsAreLost, polled, Sweep;
    a_callback_that_is_taken_twice_is_found_out: "a_callback_is_taken_once", PostsOverwrite, waited, Sweep;
    a_post_that_is_kept_for_another_record_is_found_out: "posts_are_kept_as_they_came", PostsAreMisfiled, waited, Sweep;
    a_key_that_can_be_guessed_is_found_out: "forged_callbacks_are_refused", KeysAreKnown, waited, Sweep;
    a_record_that_waits_too_long_is_found_out: "no_record_waits_beyond_the_limit", PollsAreFar, waited, Sweep;
    a_record_that_waits_after_the_end_is_found_out: "no_poll_after_the_end", EndsAreNotSeen, ended_early, Sweep;
    an_event_at_another_tenants_receiver_is_found_out: "events_reach_their_own_tenant_alone", ReceiverOfAnother, of_two, Sweep;
}

#[test]
fn every_invariant_has_a_control() {
    let steps = invariants::STEPS.iter().map(|(name, _)| *name);
    let clients = invariants::CLIENTS.iter().map(|(name, _)| *name);
    let end = invariants::INVARIANTS.iter().map(|(name, _)| *name);
    let known: BTreeSet<&str> = end.chain(steps).chain(clients).collect();
    let controlled: BTreeSet<&str> = CONTROLS
        .iter()
        .chain(OBSERVED)
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        controlled, known,
        "an invariant without a control, or a control of none"
    );
}

#[test]
fn what_the_controls_find_is_not_there_without_them() {
    let mut seen = BTreeSet::new();
    for work in WORKS.iter().filter(|work| seen.insert(**work as usize)) {
        assert_eq!(done(prepared(None, options()), *work, ""), BTreeSet::new());
        for seed in 0..3 {
            assert_eq!(
                schedule(seed, None, *work, ""),
                BTreeSet::new(),
                "seed {seed}"
            );
        }
    }
}
