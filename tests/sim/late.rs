//! Writes that take effect after their caller gave them up, or once more.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shared::domain::error::ApiError;
use shared::domain::job::{Accepted, Status};
use shared::jobs::delete;
use testkit::harness::{Options, World, domains, submission};
use testkit::sim::{Fault, Op};

use crate::crash::ended;
use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

/// The shards were put with the chunks, in a batch that has no conditions.
#[test]
fn a_batch_that_came_in_once_more_undid_the_progress_of_a_running_job() {
    let mut world = World::new();
    world.faults(|call| {
        if call.op == Op::PutAll {
            Fault::Again(10 * SECOND)
        } else {
            Fault::Proceed
        }
    });
    let slow: Vec<String> = [domains("found", 33), domains("slow20", 32)].concat();
    let id = world.job(submission(&slow));
    world.run_for(9 * SECOND);
    assert_eq!(world.view(&id).counts().found, 33);
    world.run_for(2 * SECOND);
    assert_eq!(world.sim.gate.late_effects().applied, 1);
    assert_eq!(world.view(&id).counts().found, 33);
    world.settle(HOUR);
    assert_eq!(ended(&world, &id, &[Status::Completed]), Ok(()));
}

/// A submission's first commit is given up and comes in after its second was refused for want of
/// credits.
#[test]
fn a_refused_submission_became_a_job_without_its_records_when_its_first_commit_came_in_late() {
    let mut world = World::with(Options {
        credits: 2,
        ..Options::default()
    });
    // The other job takes the credits between the two commits, and gives them back before the first
    // comes in.
    let mut commits = 0;
    world.faults(move |call| match call.op {
        Op::Transact if &*call.name == "late" => {
            commits += 1;
            [Fault::Late(10 * SECOND), Fault::Delay(2 * SECOND)]
                .get(commits - 1)
                .copied()
                .unwrap_or(Fault::Proceed)
        }
        Op::Transact if &*call.name == "other" => Fault::Delay(SECOND),
        _ => Fault::Proceed,
    });
    let answers: Rc<RefCell<Vec<_>>> = Rc::default();
    for name in ["late", "other"] {
        let (ports, registry, tenant) = (
            world.ports.clone(),
            world.registry.clone(),
            world.tenant.clone(),
        );
        let answers = Rc::clone(&answers);
        world.spawn(name, async move {
            let sent = submission(&["slow20-0"]);
            let answer = World::request(&ports, &registry, &tenant, sent, Some(name)).await;
            answers.borrow_mut().push((name, answer));
        });
    }
    world.run_for(4 * SECOND);
    let answered = std::mem::take(&mut *answers.borrow_mut());
    let [("other", Ok(Accepted::Job { view, .. })), ("late", refused)] = &answered[..] else {
        panic!("{answered:?}")
    };
    let (other, tenant) = (view.job.spec.id.clone(), world.tenant.id.clone());
    world.learn(&other, &tenant);
    assert!(
        matches!(refused, Err(ApiError::Unavailable { .. })),
        "{refused:?} is not sure"
    );
    assert_eq!(
        world.call(async |ports| delete::delete(ports, &tenant, &other, ENRICH_TIMEOUT).await),
        Ok(())
    );
    world.run_for(MINUTE);
    assert_eq!(world.sim.gate.late_effects().applied, 1);
    let id = world
        .insist_on_job(&submission(&["slow20-0"]), "late")
        .expect("the job that came to be");
    world.settle(Duration::from_hours(2));
    assert_eq!(ended(&world, &id, &[Status::Completed]), Ok(()));
}
