//! One tenant never sees, changes or starves another.

use shared::domain::error::ApiError;
use shared::domain::tenant::Scope;
use shared::jobs::authenticate::authenticate;
use shared::jobs::{cancel, delete, read, retry};
use shared::maintenance::tenants;
use shared::ports::QueueName::{Enrich, EnrichBulk};
use shared::webhooks::replay;
use testkit::harness::{World, domains, submission};

use crate::{ENRICH_TIMEOUT, HOUR};

fn not_found<T: std::fmt::Debug>(answer: Result<T, ApiError>) {
    let error = answer.expect_err("another tenant's");
    assert!(matches!(error, ApiError::NotFound { .. }), "{error:?}");
}

#[test]
fn another_tenants_ids_are_not_found_anywhere() {
    let mut world = World::new();
    let other = world.tenant("other");
    let live = world.job(submission(&["slow30-0"]));
    world.run_for(crate::SECOND);
    let ended = world.job(submission(&["fail-0"]));
    let stranger = &other.id;
    for id in [&live, &ended] {
        not_found(world.call(async |p| read::job(p, stranger, id).await));
        not_found(world.call(async |p| read::deliveries(p, stranger, id, 0, 10).await));
        not_found(world.call(async |p| read::delivery(p, stranger, &id.delivery(0)).await));
        not_found(world.call(async |p| cancel::cancel(p, stranger, id, ENRICH_TIMEOUT).await));
        not_found(world.call(async |p| retry::read(p, stranger, id).await));
        not_found(world.call(async |p| delete::delete(p, stranger, id, ENRICH_TIMEOUT).await));
        not_found(world.call(async |p| replay::replay(p, stranger, &id.delivery(0), None).await));
    }
    let listed = world
        .call(async |p| read::jobs(p, stranger, None, None, 10).await)
        .unwrap();
    assert_eq!(listed.jobs.len(), 0);
    world.settle(HOUR);
    for id in [&live, &ended] {
        not_found(world.call(async |p| replay::replay(p, stranger, &id.delivery(0), None).await));
        not_found(world.call(async |p| retry::read(p, stranger, id).await));
        not_found(world.call(async |p| delete::delete(p, stranger, id, ENRICH_TIMEOUT).await));
    }
    assert_eq!(world.credits(stranger), (100_000, 0, 0));
}

#[test]
fn two_tenants_may_use_the_same_idempotency_key() {
    let mut world = World::new();
    let other = world.tenant("other");
    let mine = world.submit(submission(&["found-0"]), Some("key")).unwrap();
    let (ports, registry) = (world.ports.clone(), world.registry.clone());
    let theirs = World::request(
        &ports,
        &registry,
        &other,
        submission(&["found-1"]),
        Some("key"),
    );
    assert_ne!(world.sim.finish(theirs), Ok(mine));
}

#[test]
fn each_tenants_webhooks_are_signed_with_its_own_secret() {
    let mut world = World::new();
    let other = world.tenant("other");
    let (ports, registry) = (world.ports.clone(), world.registry.clone());
    let request = World::request(&ports, &registry, &other, submission(&["found-1"]), None);
    world.sim.finish(request).unwrap();
    assert_eq!(world.quiet_within(HOUR), Ok(()));
    let sent = &world.receiver.exchanges()[0];
    let check = |secret| {
        shared::domain::signature::verify(
            secret,
            Some(sent.id()),
            Some(sent.header("webhook-timestamp")),
            Some(sent.header("webhook-signature")),
            &sent.body,
            sent.at,
        )
    };
    assert_eq!(check(&other.secret), Ok(()));
    assert!(check(&world.tenant.secret).is_err());
}

#[test]
fn keys_know_their_tenant_and_their_scope() {
    let world = World::new();
    let ask = |key: Option<&str>, scope| world.call(async |p| authenticate(p, key, scope).await);
    assert_eq!(
        ask(Some(&world.tenant.api_key), Scope::Write)
            .unwrap()
            .tenant(),
        &world.tenant.id
    );
    for wrong in [None, Some(""), Some("mr_"), Some("mr_0000")] {
        assert_eq!(ask(wrong, Scope::Read), Err(ApiError::Unauthorized));
    }
    let read = [Scope::Read].into();
    let key = world
        .call(async |p| tenants::create_key(p, &world.tenant.id, &read).await)
        .unwrap();
    assert_eq!(
        ask(Some(&key), Scope::Write),
        Err(ApiError::Forbidden { needs: "write" })
    );
    assert!(ask(Some(&key), Scope::Read).is_ok());
    world
        .call(async |p| tenants::revoke_key(p, &key).await)
        .unwrap();
    assert_eq!(ask(Some(&key), Scope::Read), Err(ApiError::Unauthorized));
}

#[test]
fn much_open_work_goes_through_the_bulk_lane() {
    let mut world = World::new();
    world.options.enrichers = 0;
    for _ in 0..4 {
        world.job(submission(&domains("found", 1000)));
    }
    world.job(submission(&["found-0"]));
    assert_eq!(
        (
            world.sim.queue.peek(Enrich).len(),
            world.sim.queue.peek(EnrichBulk).len()
        ),
        (4, 61)
    );
    assert_eq!(world.sim.queue.peek(Enrich)[0].group, "acme");
    world.options.enrichers = 4;
    world.settle(HOUR);
}

#[test]
fn a_tenant_whose_creation_was_acknowledged_late_was_said_to_be_there_already() {
    let world = World::new();
    let mut once = true;
    world.faults(move |call| {
        let hit = call.op == testkit::sim::Op::Transact && std::mem::take(&mut once);
        if hit {
            testkit::sim::Fault::FailAfter
        } else {
            testkit::sim::Fault::Proceed
        }
    });
    let id = shared::domain::ids::TenantId::parse("late").unwrap();
    let made = world
        .call(async |p| tenants::create(p, &id, 5).await)
        .unwrap();
    let caller = world
        .call(async |p| authenticate(p, Some(&made.api_key), Scope::Write).await)
        .unwrap();
    assert_eq!((caller.tenant(), caller.balance), (&id, 5));
    assert!(
        world
            .call(async |p| tenants::create(p, &id, 5).await)
            .is_err(),
        "a second tenant of that name was made"
    );
}
