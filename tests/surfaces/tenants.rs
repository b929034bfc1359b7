//! Over the whole API: what is another tenant's is answered exactly like what never was.

use std::time::Duration;

use serde_json::json;
use shared::dialect::{Call, SURFACES, Surface};
use shared::domain::ids::JobId;
use shared::domain::job::Submission;
use shared::domain::time::Timestamp;
use tests::harness::{Served, Tenant, World, found, record};

/// Every id of a job that a route of this surface could be asked with.
fn ids(surface: &Surface, call: &Call, job: &JobId) -> Vec<String> {
    match call {
        Call::Delivery { .. } => vec![job.delivery(0).to_string()],
        Call::Replay { .. } => vec![job.delivery(0).to_string(), job.to_string()],
        _ => vec![(surface.id)(job), job.to_string(), job.uuid()],
    }
}

/// One request as this tenant: status, headers that tell something, and the body without the id.
fn asked(served: &mut Served, tenant: &Tenant, method: &str, path: &str, id: &str) -> (u16, String) {
    let bearer = format!("Bearer {}", tenant.api_key);
    let headers = [("authorization", bearer.as_str()), ("x-api-key", &tenant.api_key)];
    let response = served.call(method, path, &headers, b"");
    (response.status, String::from_utf8_lossy(&response.body).replace(id, "ID"))
}

#[test]
fn another_tenants_job_is_answered_like_none_on_every_route() {
    let mut served =
        Served::new(World::new(), SURFACES, "", |_| (Duration::from_secs(20), found(json!({"name": "a name"}))));
    let (owner, stranger) = (served.world.tenant.clone(), served.world.tenant("other"));
    // One that has ended of each operation, and one that runs of each surface.
    let mut jobs = Vec::new();
    let mut submit = |served: &mut Served, surface: &Surface, operation: Option<&str>| {
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
    let nothing = JobId::new(Timestamp(1), [1; 10]);
    let before = served.world.sim.store.items();
    let mut tried = 0;
    for surface in SURFACES {
        for route in surface.routes.iter().filter(|route| route.path.contains('{')) {
            let (head, tail) = route.path.split_once('{').unwrap();
            let tail = tail.split_once('}').unwrap().1;
            let mut ask = |tenant: &Tenant, id: &str| {
                let path = format!("{head}{id}{tail}");
                asked(&mut served, tenant, route.method, &path, id)
            };
            for job in &jobs {
                for (id, none) in ids(surface, &route.call, job).iter().zip(ids(surface, &route.call, &nothing)) {
                    let (there, absent) = (ask(&stranger, id), ask(&stranger, &none));
                    assert_eq!(there, absent, "{} {} with {id}", route.method, route.path);
                    assert!((400..500).contains(&there.0), "{} {}: {there:?}", route.method, route.path);
                    tried += 1;
                }
            }
            // The route is one that has something to show: its own tenant is answered.
            if route.method == "GET" {
                let of_owner = |job: &JobId| ids(surface, &route.call, job).iter().any(|id| ask(&owner, id).0 == 200);
                assert!(jobs.iter().any(of_owner), "GET {} shows nobody anything", route.path);
            }
        }
    }
    assert!(tried > 200, "{tried}");
    assert_eq!(served.world.sim.store.items(), before, "a stranger's request changed something");
}
