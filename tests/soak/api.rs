//! The stack's API for a client that repeats unanswered requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::domain::ids::TenantId;
use shared::jobs::Ports;
use shared::lambda::config::Config;
use shared::maintenance::tenants;
use testkit::stack::{self, Reply};

use crate::Failed;
use crate::faults::Faults;

/// One request in this many is given up before its answer, and repeated.
const GIVEN_UP: usize = 10;
/// The time for which a client repeats an unanswered request before the API has broken its word.
/// The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(600);
/// A client's pause before it repeats.
const PAUSE: Duration = Duration::from_millis(200);

/// The stack's API and its AWS services.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
    /// The emulator itself, past any proxy.
    pub(crate) endpoint: String,
    pub(crate) ports: Ports,
    pub(crate) config: Arc<Config>,
    pub(crate) faults: Arc<Faults>,
}

/// A tenant and its key.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl Api {
    /// Builds it from a stack's settings, looked up by name.
    pub(crate) fn new(
        get: &dyn Fn(&str) -> Option<String>,
        faults: Arc<Faults>,
    ) -> Result<Self, Failed> {
        let config = Config::read(get)?;
        Ok(Self {
            url: get("MILLRACE_URL").ok_or("MILLRACE_URL is not set")?,
            endpoint: config
                .aws
                .endpoint_url
                .clone()
                .ok_or("AWS_ENDPOINT_URL is not set")?,
            ports: stack::ports(&config),
            config: Arc::new(config),
            faults,
        })
    }

    /// A new tenant with credits and a webhook schedule of these seconds.
    pub(crate) async fn tenant(
        &self,
        number: usize,
        credits: u64,
        schedule: &[u64],
    ) -> Result<Tenant, Failed> {
        let name = format!("soak-{number}-{}", self.ports.clock.now().0);
        let id = TenantId::parse(&name).ok_or("no valid name for a tenant")?;
        let new = tenants::create(&self.ports, &id, i64::try_from(credits)?).await?;
        tenants::set_webhook_schedule(&self.ports, &id, Some(schedule.to_vec())).await?;
        Ok(Tenant {
            key: new.api_key,
            secret: new.webhook_secret.reveal().to_owned(),
        })
    }

    /// Sends one request, and repeats it until the answer is neither a server error nor a request
    /// to wait. `key` makes a POST the same request each time.
    pub(crate) async fn call(
        &self,
        tenant: &Tenant,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &[u8],
    ) -> Result<Reply, Failed> {
        Ok(self.tried(tenant, method, path, key, body).await?.0)
    }

    /// The same, with the number of times it was sent.
    pub(crate) async fn tried(
        &self,
        tenant: &Tenant,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &[u8],
    ) -> Result<(Reply, u32), Failed> {
        let bearer = format!("Bearer {}", tenant.key);
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let url = format!("{}{path}", self.url);
        let begun = Instant::now();
        let (mut last, mut tries) = (String::new(), 0);
        while begun.elapsed() < PATIENCE {
            tries += 1;
            let sent = stack::send(&*self.ports.http, method, &url, &headers, body);
            let limit = if self.faults.once_in(GIVEN_UP) {
                Duration::from_millis(10 + u64::try_from(self.faults.below(300))?)
            } else {
                PATIENCE
            };
            match tokio::time::timeout(limit, sent).await {
                Err(_) => {
                    self.faults.count_given_up();
                    continue;
                }
                Ok(Ok(reply)) if reply.status < 500 && reply.status != 429 => {
                    return Ok((reply, tries));
                }
                Ok(Ok(reply)) => last = format!("{} {}", reply.status, reply.text()),
                Ok(Err(error)) => last = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(format!(
            "{method} {path} was not answered in {} s; last {last}",
            PATIENCE.as_secs()
        )
        .into())
    }

    pub(crate) async fn get(&self, tenant: &Tenant, path: &str) -> Result<Reply, Failed> {
        self.call(tenant, "GET", path, None, b"").await
    }

    /// Reads the body of a GET that must exist.
    pub(crate) async fn read(&self, tenant: &Tenant, path: &str) -> Result<Value, Failed> {
        let reply = self.get(tenant, path).await?;
        if reply.status != 200 {
            return Err(format!("GET {path} answers {}: {}", reply.status, reply.text()).into());
        }
        Ok(serde_json::from_slice(&reply.body)?)
    }

    /// Reads a whole listing, page by page.
    pub(crate) async fn all(
        &self,
        tenant: &Tenant,
        path: &str,
        list: &str,
        limit: usize,
    ) -> Result<Vec<Value>, Failed> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self
                .read(tenant, &format!("{path}?limit={limit}{cursor}"))
                .await?;
            let Value::Array(these) = page[list].take() else {
                return Err(format!("no {list} in {page}").into());
            };
            all.extend(these);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Calls SQS past the proxy.
    pub(crate) async fn sqs(&self, operation: &str, body: &Value) -> Result<Reply, Failed> {
        let target = format!("AmazonSQS.{operation}");
        let headers = [
            ("x-amz-target", target.as_str()),
            ("content-type", "application/x-amz-json-1.0"),
        ];
        let body = body.to_string();
        let http = &*self.ports.http;
        Ok(stack::aws_request(
            http,
            &self.endpoint,
            ("POST", "/"),
            "sqs",
            stack::ROOT,
            &headers,
            body.as_bytes(),
        )
        .await?)
    }

    /// Runs the sweep now, not at the next minute. Returns true if it completed.
    pub(crate) async fn sweep(&self) -> bool {
        let ran = stack::invoke(
            &*self.ports.http,
            &self.endpoint,
            "sweep",
            &Value::Object(serde_json::Map::new()),
        )
        .await;
        ran.is_ok_and(|reply| {
            reply.status == 200 && reply.header("x-amz-function-error").is_empty()
        })
    }
}
