//! Over the whole API: what is another tenant's is answered exactly like what never was.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use shared::domain::job::Submission;
use shared::surfaces::{SURFACES, Surface};
use testkit::harness::isolation::Question;
use testkit::harness::{ServedApi, Tenant, World, found, record};

#[test]
fn another_tenants_job_is_answered_like_none_on_every_route() {
    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| {
        (Duration::from_secs(20), found(json!({"name": "a name"})))
    });
    let (owner, stranger) = (served.world.tenant.clone(), served.world.tenant("other"));
    // One that has ended of each operation, and one that runs of each surface.
    let mut jobs = Vec::new();
    let mut submit = |served: &mut ServedApi, surface: &Surface, operation: Option<&str>| {
        let submission = Submission {
            operation: operation.map(str::to_owned),
            webhook: Some(owner.webhook("end")),
            ..Submission::new(surface.name, "any", vec![record(0, "a.example")])
        };
        jobs.push(served.world.job_as(&owner, submission));
    };
    for surface in SURFACES {
        submit(&mut served, surface, None);
        for operation in surface.operations {
            submit(&mut served, surface, Some(operation));
        }
    }
    served.world.run_for(Duration::from_secs(600));
    for surface in SURFACES {
        submit(&mut served, surface, None);
    }
    served.world.run_for(Duration::from_secs(1));
    let before = served.world.sim.store.items();
    let ask = |served: &ServedApi, tenant: &Tenant, question: &Question, id: &str| {
        served
            .world
            .sim
            .finish(question.ask(&served.api, tenant, id))
    };
    let (mut tried, mut shown, mut shows) = (0, BTreeSet::new(), BTreeSet::new());
    for question in jobs.iter().flat_map(|job| Question::all(SURFACES, job)) {
        let there = ask(&served, &stranger, &question, &question.id);
        assert_eq!(
            there,
            ask(&served, &stranger, &question, &question.never),
            "{question}"
        );
        assert_eq!(there.0, 404, "{question}: {there:?}");
        tried += 1;
        // The route is one that has something to show: its own tenant is answered.
        if question.route.method == "GET" {
            shows.insert(question.route.path);
            if ask(&served, &owner, &question, &question.id).0 == 200 {
                shown.insert(question.route.path);
            }
        }
    }
    assert_eq!(shown, shows, "a route does not answer its own tenant");
    assert!(tried > 200, "{tried}");
    assert_eq!(
        served.world.sim.store.items(),
        before,
        "a stranger's request changed something"
    );
}
