//! End to end: the deployed template on the local stack, with real processes, queues, signatures
//! and kills.
//!
//! These tests mostly wait, so all of them run at once in one runtime; the usual harness would run
//! a few at a time. `make test` starts their stack; `run.py` explains its settings.

mod apione;
mod assets;
mod crashes;
mod forms;
mod fullenrich;
mod input;
mod jobs;
mod queues;
mod servers;
mod sixtyfour;
mod springbolt;
mod stored;
mod tenants;
mod upstreams;
mod webhooks;
mod world;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use testkit::servers::PATIENCE;
use tokio::sync::Semaphore;

type Run = Pin<Box<dyn Future<Output = ()>>>;

struct Case {
    name: &'static str,
    run: fn() -> Run,
    /// Kills processes that other cases must not run in. They wait until it is done.
    kills: bool,
}

macro_rules! cases {
    ($kills:literal: $($module:ident::$name:ident),* $(,)?) => {
        [$(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            run: || Box::pin($module::$name()),
            kills: $kills,
        }),*]
    };
}

fn all() -> Vec<Case> {
    let mut all = Vec::new();
    all.extend(cases![true:
        crashes::a_killed_enrich_process_costs_time_and_nothing_else,
        crashes::a_chunk_whose_process_was_killed_comes_back_beside_its_neighbours,
        crashes::an_attempt_whose_process_was_killed_shows_as_interrupted,
    ]);
    all.extend(cases![false:
        assets::a_secret_in_a_parameter_and_a_table_in_s3_are_read_by_the_deployed_function,
        upstreams::an_upstream_that_answers_later_answers_at_the_url_that_it_was_given,
        jobs::a_thousand_domains,
        jobs::the_same_submit_twice_is_one_job,
        jobs::five_equal_submits_at_once_are_one_job,
        jobs::a_waiting_get_answers_when_the_job_changes,
        jobs::a_canceled_job_keeps_what_it_has_and_can_be_retried,
        jobs::a_job_deleted_while_it_runs_stays_gone,
        jobs::a_deleted_job_leaves_a_tombstone,
        jobs::jobs_are_listed_newest_first_and_by_status,
        jobs::credits_bound_what_runs,
        forms::results_come_as_pages_lines_and_cells,
        fullenrich::the_documented_client_and_receiver_see_what_they_were_promised,
        fullenrich::the_public_client_of_version_one_works,
        fullenrich::a_receiver_that_fails_is_tried_a_minute_later,
        webhooks::two_failures_then_success,
        webhooks::each_record_is_notified_as_soon_as_it_has_ended,
        webhooks::a_receiver_that_asks_for_time_gets_it,
        webhooks::a_name_of_refused_addresses_is_blocked_at_delivery,
        webhooks::a_rotated_secret_also_signs,
        webhooks::a_receiver_that_is_gone_is_left_alone_until_a_replay,
        tenants::another_tenants_ids_are_not_there,
        tenants::an_account_shows_what_is_left,
        tenants::status_cannot_write,
        stored::what_versions_left_is_finished_with_exact_counts,
        input::bad_requests_are_refused_and_leave_nothing,
        input::the_largest_request_is_taken,
        sixtyfour::their_client_works_unchanged,
        queues::an_unreadable_message_fails_alone,
        apione::the_documented_client_and_receiver_see_what_they_were_promised,
        apione::a_silent_receiver_has_five_seconds_and_is_tried_a_minute_later,
        springbolt::the_documented_client_and_receiver_see_what_they_were_promised,
        springbolt::an_older_request_that_ends_later_is_superseded,
        springbolt::callbacks_to_one_url_come_one_at_a_time_and_the_newest_last,
    ]);
    all
}

/// Cases that run at once: the functions share two cores with their callers.
const AT_ONCE: usize = 8;
/// More than twenty times what the longest case takes alone.
const LIMIT: Duration = Duration::from_secs(3 * PATIENCE.as_secs());

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let mut cases = all();
    cases.retain(|c| filters.is_empty() || filters.iter().any(|f| c.name.contains(f.as_str())));
    if std::env::args().any(|a| a == "--list") {
        for case in &cases {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", cases.len());
    if !cases.is_empty()
        && let Err(why) = world::check()
    {
        eprintln!("error: {why}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(cases))
}

async fn run(cases: Vec<Case>) -> ExitCode {
    let begun = Instant::now();
    let total = cases.len();
    world::kills_ahead(cases.iter().filter(|c| c.kills).count());
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running: FuturesUnordered<_> = cases
        .into_iter()
        .map(|case| one(case, Arc::clone(&slots)))
        .collect();
    let mut failed = Vec::new();
    while let Some((name, took, outcome)) = running.next().await {
        match outcome {
            Ok(()) => println!("test {name} ... ok ({:.1} s)", took.as_secs_f64()),
            Err(why) => {
                println!("test {name} ... FAILED ({:.1} s)", took.as_secs_f64());
                failed.push((name, why));
            }
        }
    }
    for (name, why) in &failed {
        println!("\n---- {name} ----\n{why}");
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let (passed, seconds) = (total - failed.len(), begun.elapsed().as_secs_f64());
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; finished in {seconds:.2}s\n",
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn one(case: Case, slots: Arc<Semaphore>) -> (&'static str, Duration, Result<(), String>) {
    let mut slot = None;
    if !case.kills {
        world::calm().await;
        slot = slots.acquire_owned().await.ok();
    }
    let begun = Instant::now();
    let outcome =
        match tokio::time::timeout(LIMIT, AssertUnwindSafe((case.run)()).catch_unwind()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(panic)) => Err(panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default()),
            Err(_) => Err(format!("not done after {} s", LIMIT.as_secs())),
        };
    if case.kills {
        // The case may have failed before its kill.
        world::killed(case.name);
    }
    drop(slot);
    (case.name, begun.elapsed(), outcome)
}
