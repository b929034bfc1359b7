//! The clients: they submit, repeat themselves, cancel, delete, wait, read and replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::sim::SimEntropy;

use crate::Failed;
use crate::api::{Api, Tenant};
use crate::check::Job;
use crate::later::{KEPT, POOL, TYPES};
use crate::outside::{Outside, UNANSWERABLE};

/// State that the clients share.
pub(crate) struct Clients {
    pub(crate) api: Api,
    pub(crate) outside: Outside,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) seed: u64,
    /// No new job is started.
    pub(crate) closed: AtomicBool,
    /// Unfinished work is given up.
    pub(crate) over: AtomicBool,
    pub(crate) begun: AtomicU64,
    pub(crate) ended: AtomicU64,
}

/// The tenant that deletes jobs. The use of a deleted job is unknown, so the others' credits are
/// counted exactly.
pub(crate) const DELETES: usize = 2;

pub(crate) fn id(job: &Job) -> &str {
    job.ids.first().map_or("", String::as_str)
}

/// The delivery of its end.
fn delivery(job: &Job) -> String {
    format!("dlv_{}_0", id(job).trim_start_matches("job_"))
}

fn live(job: &Value) -> bool {
    matches!(
        job["status"].as_str(),
        Some("queued" | "running" | "canceling")
    )
}

impl Clients {
    pub(crate) fn stop(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Runs one client, which starts a job when its last one is over, until it is closed.
    pub(crate) async fn work(self: Arc<Self>, client: u64) -> Vec<Job> {
        let rng = SimEntropy::new(self.seed.wrapping_mul(1000).wrapping_add(client));
        let mut jobs = Vec::new();
        while !self.closed.load(Ordering::SeqCst) {
            let number = self.begun.fetch_add(1, Ordering::SeqCst);
            let mut job = plan(&rng, number, self.tenants.len());
            job.began = self.api.faults.elapsed();
            if let Err(error) = self.run(&mut job, &rng).await {
                job.odd.push(error.to_string());
            }
            job.over = self.api.faults.elapsed();
            self.ended.fetch_add(1, Ordering::SeqCst);
            jobs.push(job);
        }
        jobs
    }

    async fn run(&self, job: &mut Job, rng: &SimEntropy) -> Result<(), Failed> {
        let (api, tenant) = (&self.api, &self.tenants[job.tenant]);
        let hook = self.outside.hook(job.tenant, &job.key);
        let body = submission(job, &hook).to_string();
        self.submit(job, &body).await?;
        let path = format!("/v1/jobs/{}", id(job));
        let cancels = rng.below(7) == 0;
        let deletes = job.tenant == DELETES && rng.below(2) == 0;
        let waits = !deletes || rng.below(3) == 0;
        if cancels || !waits {
            tokio::time::sleep(Duration::from_millis(u64::try_from(rng.below(2500))?)).await;
            self.look(job, &path).await?;
        }
        if rng.below(3) == 0 {
            self.submit(job, &body).await?;
        }
        if cancels {
            job.canceled = true;
            let reply = api
                .call(tenant, "POST", &format!("{path}/cancel"), None, b"")
                .await?;
            if !matches!(reply.status, 200 | 202 | 409) {
                return Err(format!("cancel answers {}: {}", reply.status, reply.text()).into());
            }
        }
        if !waits {
            return self.delete(job).await;
        }
        loop {
            let shown = api.read(tenant, &format!("{path}?wait=10")).await?;
            job.shown.push(shown.clone());
            if !live(&shown) {
                job.end = Some(shown);
                break;
            }
            if self.over() {
                return Ok(());
            }
            if job.early.is_empty() {
                self.look(job, &path).await?;
            }
        }
        let limit = [7, 100, 1000][rng.below(3)];
        job.lines = api
            .all(tenant, &format!("{path}/results"), "results", limit)
            .await?;
        let replays = rng.below(5) == 0;
        if deletes {
            return self.delete(job).await;
        }
        if replays {
            let replay = format!("/v1/deliveries/{}/replay", delivery(job));
            let reply = api
                .call(
                    tenant,
                    "POST",
                    &replay,
                    Some(&format!("{}-replay", job.key)),
                    b"",
                )
                .await?;
            if !matches!(reply.status, 202 | 409) {
                return Err(format!("replay answers {}: {}", reply.status, reply.text()).into());
            }
        }
        Ok(())
    }

    /// Reads a job that may be running: its state, and the results so far.
    async fn look(&self, job: &mut Job, path: &str) -> Result<(), Failed> {
        let (api, tenant) = (&self.api, &self.tenants[job.tenant]);
        job.shown.push(api.read(tenant, path).await?);
        let mut page = api
            .read(tenant, &format!("{path}/results?limit=1000"))
            .await?;
        let Value::Array(lines) = page["results"].take() else {
            return Err(format!("no results in {page}").into());
        };
        job.early.push(lines);
        Ok(())
    }

    async fn delete(&self, job: &mut Job) -> Result<(), Failed> {
        let (api, tenant) = (&self.api, &self.tenants[job.tenant]);
        job.deleted = true;
        let (reply, tries) = api
            .tried(
                tenant,
                "DELETE",
                &format!("/v1/jobs/{}", id(job)),
                None,
                b"",
            )
            .await?;
        // 404: an earlier try did it, and its answer was lost.
        if !(reply.status == 204 || reply.status == 404 && tries > 1) {
            return Err(format!(
                "DELETE answers {} to try {tries}: {}",
                reply.status,
                reply.text()
            )
            .into());
        }
        job.erased = Some(api.faults.elapsed());
        self.look_after(job).await
    }

    /// Requests an erased job in every possible way.
    pub(crate) async fn look_after(&self, job: &mut Job) -> Result<(), Failed> {
        let tenant = &self.tenants[job.tenant];
        let (path, delivery) = (
            format!("/v1/jobs/{}", id(job)),
            format!("/v1/deliveries/{}", delivery(job)),
        );
        let again = submission(job, &self.outside.hook(job.tenant, &job.key)).to_string();
        for (method, path, key, body) in [
            ("GET", path.clone(), None, ""),
            ("GET", format!("{path}/results"), None, ""),
            ("GET", format!("{path}/deliveries"), None, ""),
            ("POST", format!("{path}/cancel"), None, ""),
            ("POST", format!("{path}/retry"), None, ""),
            ("DELETE", path, None, ""),
            ("GET", delivery.clone(), None, ""),
            ("POST", format!("{delivery}/replay"), None, ""),
            (
                "POST",
                "/v1/jobs".to_owned(),
                Some(job.key.as_str()),
                again.as_str(),
            ),
        ] {
            let reply = self
                .api
                .call(tenant, method, &path, key, body.as_bytes())
                .await?;
            job.after.push((format!("{method} {path}"), reply.status));
        }
        Ok(())
    }

    async fn submit(&self, job: &mut Job, body: &str) -> Result<(), Failed> {
        let tenant = &self.tenants[job.tenant];
        let reply = self
            .api
            .call(tenant, "POST", "/v1/jobs", Some(&job.key), body.as_bytes())
            .await?;
        if reply.status != 202 {
            return Err(format!("submit answers {}: {}", reply.status, reply.text()).into());
        }
        let shown: Value = serde_json::from_slice(&reply.body)?;
        let id = shown["id"].as_str().ok_or("a job without an id")?;
        job.ids.insert(id.to_owned());
        Ok(())
    }

    /// Waits until every delivery of an existing job is over, and records the API's view of both.
    pub(crate) async fn finish(&self, mut job: Job) -> Job {
        if job.end.is_some()
            && !job.deleted
            && let Err(error) = self.settle(&mut job).await
        {
            job.odd.push(error.to_string());
        }
        job
    }

    async fn settle(&self, job: &mut Job) -> Result<(), Failed> {
        let tenant = &self.tenants[job.tenant];
        let path = format!("/v1/jobs/{}", id(job));
        loop {
            let page = self
                .api
                .read(tenant, &format!("{path}/deliveries?limit=100"))
                .await?;
            job.deliveries = page["deliveries"].as_array().cloned().unwrap_or_default();
            if self.over() || job.deliveries.iter().all(|d| d["state"] != "pending") {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        job.later = Some(self.api.read(tenant, &path).await?);
        Ok(())
    }
}

fn plan(rng: &SimEntropy, number: u64, tenants: usize) -> Job {
    let unanswerable = if rng.below(25) == 0 { UNANSWERABLE } else { "" };
    let tells_of_records = rng.below(8) == 0;
    let awaits = (rng.below(2) == 0).then(|| TYPES[rng.below(TYPES.len())]);
    let most = if tells_of_records {
        8
    } else {
        [20, 60, 150][rng.below(3)]
    };
    // Their rate is for all clients together.
    let most = if awaits.is_some() { most.min(30) } else { most };
    Job {
        awaits,
        pooled: awaits
            .filter(|kind| KEPT.contains(kind))
            .map(|_| u32::try_from(number * 7 % u64::from(POOL)).unwrap_or(0)),
        key: format!("{unanswerable}job-{number}"),
        tenant: rng.below(tenants),
        records: u32::try_from(1 + rng.below(most)).unwrap_or(1),
        tells_of_records,
        ..Job::default()
    }
}

fn submission(job: &Job, hook: &str) -> Value {
    let record =
        |n| json!({"id": format!("n{n}"), "input": {"key": job.about(n)}, "metadata": {"n": n}});
    let records: Vec<_> = (0..job.records).map(record).collect();
    let mut body =
        json!({"type": job.awaits.unwrap_or("lookup"), "records": records, "webhook_url": hook});
    if job.tells_of_records {
        body["webhook_events"] = json!({"record.finished": hook});
    }
    body
}
