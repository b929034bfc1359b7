//! One tenant never sees, changes or signs for another.

use std::collections::BTreeSet;

use shared::domain::error::ApiError;
use shared::domain::ids::TenantId;
use shared::domain::job::Job;
use shared::domain::signature::{Secret, verify};
use shared::jobs::{cancel, delete, read, retry};
use shared::schema::{read_secrets, secret_key};
use shared::webhooks::replay;

use super::end::delivery_of;
use super::{End, Verdict, all, same};
use crate::harness::{Tenant, World};

/// The secrets that signed, or still sign, for a tenant.
fn secrets(world: &World, tenant: &Tenant) -> Vec<Secret> {
    let item = world.sim.store.peek(&secret_key(&tenant.id));
    let stored = read_secrets(item.as_ref())
        .unwrap_or_default()
        .into_iter()
        .map(|live| live.secret);
    stored.chain([tenant.secret.clone()]).collect()
}

/// An event goes to its own tenant's receiver, at the URL that its own job named. It is signed with
/// a secret of that tenant alone; and what was signed is what was sent.
pub(super) fn events_reach_their_own_tenant_alone(world: &World, end: &End) -> Verdict {
    let secrets: Vec<(&TenantId, Vec<Secret>)> = world
        .tenants
        .iter()
        .map(|t| (&t.id, secrets(world, t)))
        .collect();
    all(&end.reported, |(receiver, exchange)| {
        let Some(id) = delivery_of(exchange) else {
            return Err(format!("{:?} is not an event's id", exchange.id()));
        };
        let job = end.jobs.iter().find(|job| job.spec.id == id.job);
        let delivery = end.deliveries.iter().find(|delivery| delivery.id == id);
        if let Some(owner) = delivery.map(|d| &d.tenant).or(job.map(|j| &j.spec.tenant)) {
            same(&format!("tenant that received {id}"), &receiver, &owner)?;
        }
        if let Some(delivery) = delivery {
            same(&format!("receiver of {id}"), &exchange.url, &delivery.url)?;
        }
        let [event, at, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"]
            .map(|name| Some(exchange.header(name)));
        let verifies = |secret: &Secret| {
            verify(secret, event, at, signature, &exchange.body, exchange.at).is_ok()
        };
        let signers = secrets
            .iter()
            .filter(|(_, secrets)| secrets.iter().any(verifies))
            .map(|(tenant, _)| *tenant);
        same(
            &format!("tenants who signed {id}"),
            &signers.collect(),
            &vec![receiver],
        )
    })
}

/// No other tenant finds the ids of a tenant: to read, to cancel, to erase, to retry, to replay. No
/// other list has them.
pub(super) fn no_tenant_reaches_anothers_jobs(world: &World, end: &End) -> Verdict {
    let unknown = TenantId::parse("unknown").expect("a tenant id");
    let tenants = world
        .tenants
        .iter()
        .map(|tenant| &tenant.id)
        .chain([&unknown]);
    all(tenants, |stranger| {
        // As in a request: a tenant is known by its key before it asks for anything.
        if let Some(tenant) = world.tenants.iter().find(|tenant| tenant.id == *stranger) {
            world
                .call(async |ports| World::caller(ports, tenant).await)
                .map_err(|error| format!("{error:?}"))?;
        }
        let listed =
            world.call(async |ports| read::jobs(ports, stranger, None, None, usize::MAX).await);
        let own: BTreeSet<_> = end
            .jobs
            .iter()
            .filter(|j| j.spec.tenant == *stranger)
            .map(|j| &j.spec.id)
            .collect();
        all(listed.iter().flat_map(|page| &page.jobs), |view| {
            let (is, id) = (&view.job.spec.tenant, &view.job.spec.id);
            same(
                &format!("tenant of {id} in the list of {stranger}"),
                is,
                stranger,
            )?;
            same(
                &format!("{id} is one of {stranger}'s"),
                &own.contains(id),
                &true,
            )
        })?;
        all(
            end.jobs.iter().filter(|job| job.spec.tenant != *stranger),
            |job| is_hidden(world, stranger, job),
        )?;
        all(
            end.deliveries
                .iter()
                .filter(|delivery| delivery.tenant != *stranger),
            |delivery| {
                let id = &delivery.id;
                refused(
                    "delivery",
                    world.call(async |p| read::delivery(p, stranger, id).await),
                )?;
                refused(
                    "replay",
                    world.call(async |p| replay::replay(p, stranger, id, None).await),
                )
            },
        )
    })
}

fn is_hidden(world: &World, stranger: &TenantId, job: &Job) -> Verdict {
    let (id, timeout) = (&job.spec.id, world.options.enrich_timeout);
    refused(
        "job",
        world.call(async |p| read::job(p, stranger, id).await),
    )?;
    refused(
        "deliveries",
        world.call(async |p| read::deliveries(p, stranger, id, 0, 10).await),
    )?;
    refused(
        "retry",
        world.call(async |p| retry::read(p, stranger, id).await),
    )?;
    refused(
        "cancel",
        world.call(async |p| cancel::cancel(p, stranger, id, timeout).await),
    )?;
    refused(
        "delete",
        world.call(async |p| delete::delete(p, stranger, id, timeout).await),
    )
}

fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, ApiError>) -> Verdict {
    match answer {
        Err(ApiError::NotFound { .. }) => Ok(()),
        other => Err(format!("{what} answered a stranger {other:?}")),
    }
}
