//! The native API's routes. `write` serves POST and DELETE for the submit function, `read` serves GET for the status
//! function, which IAM does not let write.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::http::{ApiRequest, ApiResponse};
use super::start::{StartError, Started};
use crate::app::idempotency::{Idempotency, MAX_KEY_CHARS};
use crate::app::status::ResultCursor;
use crate::app::submit::{Accepted, Terms, submit};
use crate::app::{Ports, cancel, delete, deliveries, retry, secrets, status, tenants};
use crate::dialect::native;
use crate::domain::error::ApiError;
use crate::domain::ids::{DeliveryId, JobId};
use crate::domain::job::{JobView, MAX_BODY_BYTES, Status, Submission};
use crate::domain::tenant::{Caller, Scope};
use crate::domain::time::Timestamp;
use crate::provider::Catalog;

/// The longest that a request is held. API Gateway ends one after 30 s.
const MAX_WAIT: Duration = Duration::from_secs(25);
/// Kept free at the end of an invocation for the answer.
const RESERVE: Duration = Duration::from_secs(3);
/// Result lines of a page, unless asked otherwise, and at most.
const RESULTS: (usize, usize) = (100, 1000);
/// Jobs and deliveries of a page, unless asked otherwise, and at most.
const ROWS: (usize, usize) = (20, 100);

/// What the routes need beside the ports.
#[derive(Debug)]
pub struct Api {
    pub ports: Ports,
    pub catalog: Catalog,
    /// How long jobs and results are kept.
    pub retention: Duration,
    /// The time-out of the enrich function.
    pub enrich_timeout: Duration,
}

impl Api {
    /// The routes of a started function.
    pub fn of(started: &Started) -> Result<Self, StartError> {
        Ok(Self {
            ports: started.ports.clone(),
            catalog: started.catalog()?,
            retention: started.config.retention,
            enrich_timeout: started.config.enrich_timeout,
        })
    }

    /// Serves POST and DELETE.
    pub async fn write(&self, request: &ApiRequest) -> ApiResponse {
        let answer = self.route_write(request).await;
        respond(request, answer)
    }

    /// Serves GET, and whatever no route is for. `deadline` is when the invocation ends.
    pub async fn read(&self, request: &ApiRequest, deadline: Timestamp) -> ApiResponse {
        let answer = self.route_read(request, deadline).await;
        respond(request, answer)
    }

    async fn route_write(&self, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        if request.body.len() > MAX_BODY_BYTES {
            let detail = format!("the body has {} bytes; at most {MAX_BODY_BYTES} are taken", request.body.len());
            return Err(ApiError::TooLarge { detail });
        }
        let caller = tenants::authenticate(&self.ports, request.key(), Scope::Write).await?;
        let idempotency = idempotency(request)?;
        let (caller, key) = (&caller, idempotency.as_ref());
        match (request.method.as_str(), &request.segments()[..]) {
            ("POST", ["v1", "jobs"]) => {
                let submission = native::read_submission(&request.body, &self.catalog, self.ports.http.as_ref())?;
                self.submit(caller, submission, key).await
            }
            ("POST", ["v1", "jobs", id, "cancel"]) => {
                let view = cancel::cancel(&self.ports, caller.tenant(), &job_id(id)?).await?;
                Ok(ApiResponse::json(202, &native::job(&view, self.ports.clock.now())))
            }
            ("POST", ["v1", "jobs", id, "retry"]) => {
                let submission = retry::read(&self.ports, caller.tenant(), &job_id(id)?).await?;
                self.submit(caller, submission, key).await
            }
            ("DELETE", ["v1", "jobs", id]) => {
                delete::delete(&self.ports, caller.tenant(), &job_id(id)?, self.enrich_timeout).await?;
                Ok(ApiResponse::empty(204))
            }
            ("POST", ["v1", "deliveries", id, "replay"]) => {
                let id = DeliveryId::parse(id).ok_or(ApiError::NotFound { what: "delivery" })?;
                let delivery = deliveries::replay(&self.ports, caller.tenant(), &id, key).await?;
                Ok(ApiResponse::json(202, &native::delivery(&delivery)))
            }
            ("POST", ["v1", "webhooks", "test"]) => {
                let url = native::read_test(&request.body, self.ports.http.as_ref())?;
                let name = native::SURFACE.name;
                let delivery = deliveries::test(&self.ports, caller.tenant(), name, &url, key).await?;
                let location = format!("/v1/deliveries/{}", delivery.id);
                Ok(ApiResponse::json(202, &native::delivery(&delivery)).with("location", location))
            }
            ("POST", ["v1", "webhooks", "secret", "rotate"]) => {
                let overlap = native::read_rotation(&request.body)?;
                let rotated = secrets::rotate(&self.ports, caller.tenant(), overlap, key).await?;
                Ok(ApiResponse::json(
                    200,
                    &serde_json::json!({
                        "object": "webhook_secret",
                        "secret": rotated.secret.reveal(),
                        "previous_expires_at": rotated.previous_expires_at.map(Timestamp::rfc3339),
                    }),
                ))
            }
            _ => Err(unrouted(request)),
        }
    }

    async fn submit(
        &self,
        caller: &Caller,
        submission: Submission,
        key: Option<&Idempotency>,
    ) -> Result<ApiResponse, ApiError> {
        let kind = self.catalog.kind(&submission.kind);
        let terms = Terms {
            price: kind.map_or(0, |k| k.price(submission.providers.as_deref())),
            unconfigured: match kind.map(|k| k.usable()) {
                Some(Ok(())) => None,
                Some(Err(why)) => Some(why.to_owned()),
                None => Some(format!("type {} is not offered any more", submission.kind)),
            },
            retention: self.retention,
        };
        match submit(&self.ports, caller, submission, &terms, key).await? {
            Accepted::Priced { deal, records, price } => {
                Ok(ApiResponse::json(200, &native::priced(deal, records, price)))
            }
            Accepted::Job { view, .. } => {
                let now = self.ports.clock.now();
                let left = view.estimate(now, native::NOMINAL_PER_RECORD).map_or(0, |at| at.since(now).as_secs());
                Ok(ApiResponse::json(202, &native::job(&view, now))
                    .with("location", format!("/v1/jobs/{}", view.job.spec.id))
                    .with("retry-after", left.clamp(1, 30).to_string()))
            }
        }
    }

    async fn route_read(&self, request: &ApiRequest, deadline: Timestamp) -> Result<ApiResponse, ApiError> {
        let segments = request.segments();
        // An unknown path is answered before the key is looked at: it tells nothing, and costs nothing.
        let known = matches!(
            segments[..],
            ["v1", "jobs" | "account"] | ["v1", "jobs" | "deliveries", _] | ["v1", "jobs", _, "results" | "deliveries"]
        );
        if !known || request.method != "GET" {
            return Err(unrouted(request));
        }
        let caller = tenants::authenticate(&self.ports, request.key(), Scope::Read).await?;
        match segments[..] {
            ["v1", "account"] => Ok(ApiResponse::json(200, &native::account(&caller, &self.catalog))),
            ["v1", "jobs"] => self.list(request, &caller).await,
            ["v1", "jobs", id] => self.job(request, &caller, &job_id(id)?, deadline).await,
            ["v1", "jobs", id, "results"] => self.results(request, &caller, &job_id(id)?).await,
            ["v1", "jobs", id, "deliveries"] => self.deliveries(request, &caller, &job_id(id)?).await,
            ["v1", "deliveries", id] => {
                let id = DeliveryId::parse(id).ok_or(ApiError::NotFound { what: "delivery" })?;
                let delivery = status::delivery(&self.ports, caller.tenant(), &id).await?;
                Ok(ApiResponse::json(200, &native::delivery(&delivery)))
            }
            _ => Err(unrouted(request)),
        }
    }

    async fn job(
        &self,
        request: &ApiRequest,
        caller: &Caller,
        id: &JobId,
        deadline: Timestamp,
    ) -> Result<ApiResponse, ApiError> {
        let seen = request.header("if-none-match");
        let unchanged = |view: &JobView| seen.is_some_and(|tags| matches_tag(tags, &etag(view)));
        let asked = wait(request)?;
        let view = match asked {
            None => status::job(&self.ports, caller.tenant(), id).await?,
            Some(asked) => {
                let left = deadline.since(self.ports.clock.now()).saturating_sub(RESERVE);
                let settled = |view: &JobView| !view.job.status.is_live() || (seen.is_some() && !unchanged(view));
                status::wait_for(&self.ports, caller.tenant(), id, asked.min(left), settled).await?
            }
        };
        let response = if unchanged(&view) {
            ApiResponse::empty(304)
        } else {
            ApiResponse::json(200, &native::job(&view, self.ports.clock.now()))
        };
        let response = match asked {
            Some(asked) if request.parameter("wait").is_none() => {
                response.with("preference-applied", format!("wait={}", asked.as_secs()))
            }
            _ => response,
        };
        Ok(response.with("etag", etag(&view)))
    }

    async fn results(&self, request: &ApiRequest, caller: &Caller, id: &JobId) -> Result<ApiResponse, ApiError> {
        let cursor = match request.parameter("cursor") {
            None => None,
            Some(text) => Some(ResultCursor::parse(text).ok_or_else(|| bad_cursor("next_cursor"))?),
        };
        let limit = limit(request, RESULTS)?;
        let view = status::job(&self.ports, caller.tenant(), id).await?;
        let page = status::results(&self.ports, &view, cursor.unwrap_or_default(), limit).await?;
        let next = page.next.map(|cursor| cursor.to_string());
        let wanted = request.accepts().find(|t| {
            ["application/json", "application/x-ndjson", "text/csv", "*/*", "application/*", "text/*"].contains(t)
        });
        let response = match wanted {
            Some("application/x-ndjson") => {
                let lines = page.lines.iter().flat_map(|line| [line.to_json().to_string(), "\n".to_owned()]);
                ApiResponse::new(200, "application/x-ndjson", lines.collect::<String>().into_bytes())
            }
            Some("text/csv" | "text/*") => {
                ApiResponse::new(200, "text/csv; charset=utf-8", native::csv(&page.lines, cursor.is_none()))
            }
            _ => {
                let lines: Vec<_> = page.lines.iter().map(crate::domain::job::ResultLine::to_json).collect();
                return Ok(ApiResponse::json(200, &serde_json::json!({"results": lines, "next_cursor": next})));
            }
        };
        Ok(match next {
            Some(next) => response
                .with("link", format!("</v1/jobs/{id}/results?cursor={next}&limit={limit}>; rel=\"next\""))
                .with("millrace-next-cursor", next),
            None => response,
        })
    }

    async fn list(&self, request: &ApiRequest, caller: &Caller) -> Result<ApiResponse, ApiError> {
        let wanted = match request.parameter("status") {
            None => None,
            Some(text) => {
                let status = Status::parse(text).filter(|s| !matches!(s, Status::Deleted | Status::Expiring));
                let known = "queued, running, canceling, completed, canceled, failed or expired";
                Some(status.ok_or_else(|| ApiError::invalid("status", format!("must be {known}")))?)
            }
        };
        let before = match request.parameter("cursor") {
            None => None,
            Some(text) => Some(JobId::parse(text).ok_or_else(|| bad_cursor("next_cursor"))?),
        };
        let page = status::jobs(&self.ports, caller.tenant(), wanted, before, limit(request, ROWS)?).await?;
        let now = self.ports.clock.now();
        let jobs: Vec<_> = page.jobs.iter().map(|view| native::job(view, now)).collect();
        let next = page.next.map(|id| id.to_string());
        Ok(ApiResponse::json(200, &serde_json::json!({"jobs": jobs, "next_cursor": next})))
    }

    async fn deliveries(&self, request: &ApiRequest, caller: &Caller, id: &JobId) -> Result<ApiResponse, ApiError> {
        let from = match request.parameter("cursor") {
            None => 0,
            Some(text) => text.parse().map_err(|_| bad_cursor("next_cursor"))?,
        };
        let page = status::deliveries(&self.ports, caller.tenant(), id, from, limit(request, ROWS)?).await?;
        let rows: Vec<_> = page.deliveries.iter().map(native::delivery).collect();
        let next = page.next.map(|n| n.to_string());
        Ok(ApiResponse::json(200, &serde_json::json!({"deliveries": rows, "next_cursor": next})))
    }
}

/// Makes the response, of an error too, and logs it.
fn respond(request: &ApiRequest, answer: Result<ApiResponse, ApiError>) -> ApiResponse {
    let response = answer.unwrap_or_else(|error| {
        let (status, problem) = native::problem(&error, &request.request_id);
        if status >= 500 {
            tracing::error!(request.id = %request.request_id, http.status = status, error = ?error, "request failed");
        }
        let response = ApiResponse::new(status, "application/problem+json", problem.to_string().into_bytes());
        match error {
            ApiError::Unauthorized => response.with("www-authenticate", "Bearer"),
            ApiError::MethodNotAllowed { allow } => response.with("allow", allow.join(", ")),
            ApiError::Unavailable { retry_after_seconds } => {
                response.with("retry-after", retry_after_seconds.to_string())
            }
            _ => response,
        }
    });
    tracing::info!(
        request.id = %request.request_id,
        http.method = %request.method,
        http.status = response.status,
        http.request_bytes = request.body.len(),
        http.response_bytes = response.body.len(),
        "request served"
    );
    response
}

fn unrouted(request: &ApiRequest) -> ApiError {
    let allow: &[&str] = match request.segments()[..] {
        ["v1", "jobs"] => &["GET", "POST"],
        ["v1", "jobs", _] => &["GET", "DELETE"],
        ["v1", "account"] | ["v1", "deliveries", _] | ["v1", "jobs", _, "results" | "deliveries"] => &["GET"],
        ["v1", "jobs", _, "cancel" | "retry"]
        | ["v1", "deliveries", _, "replay"]
        | ["v1", "webhooks", "test"]
        | ["v1", "webhooks", "secret", "rotate"] => &["POST"],
        _ => return ApiError::NotFound { what: "path" },
    };
    if allow.contains(&request.method.as_str()) {
        ApiError::NotFound { what: "path" }
    } else {
        ApiError::MethodNotAllowed { allow }
    }
}

fn job_id(text: &str) -> Result<JobId, ApiError> {
    JobId::parse(text).ok_or(ApiError::NotFound { what: "job" })
}

fn bad_cursor(from: &str) -> ApiError {
    ApiError::invalid("cursor", format!("is none of ours; pass on {from} as it came"))
}

fn limit(request: &ApiRequest, (default, max): (usize, usize)) -> Result<usize, ApiError> {
    match request.parameter("limit") {
        None => Ok(default),
        Some(text) => {
            let number = text.parse().ok().filter(|n| (1..=max).contains(n));
            number.ok_or_else(|| ApiError::invalid("limit", format!("must be a whole number from 1 to {max}")))
        }
    }
}

fn idempotency(request: &ApiRequest) -> Result<Option<Idempotency>, ApiError> {
    let Some(key) = request.header("idempotency-key") else { return Ok(None) };
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
        let detail = format!("must have 1 to {MAX_KEY_CHARS} characters");
        return Err(ApiError::invalid("Idempotency-Key", detail));
    }
    Ok(Some(Idempotency::new(key, &request.method, &request.path, &request.body)))
}

/// How long the caller wants to be held: `?wait=20`, or `Prefer: wait=20` (RFC 7240), in seconds.
fn wait(request: &ApiRequest) -> Result<Option<Duration>, ApiError> {
    let seconds = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    let asked = match request.parameter("wait") {
        Some(text) => Some(seconds(text).ok_or_else(|| ApiError::invalid("wait", "must be a number of seconds"))?),
        // A preference that cannot be read is not an error: it may be left out of account.
        None => request.header("prefer").and_then(|value| {
            // Each preference may have parameters of its own behind semicolons; they are not ours.
            value
                .split(',')
                .filter_map(|preference| preference.split(';').next()?.split_once('='))
                .find_map(|(name, value)| name.trim().eq_ignore_ascii_case("wait").then(|| seconds(value)).flatten())
        }),
    };
    Ok(asked.map(|s| Duration::from_secs(s).min(MAX_WAIT)))
}

fn etag(view: &JobView) -> String {
    let digest = Sha256::digest(native::job_state(view).to_string());
    // Weak: the estimate, which only the clock moves, is left out of it.
    format!("W/\"{}\"", hex::encode(&digest[..16]))
}

/// Weak comparison (RFC 9110, section 13.1.2).
fn matches_tag(tags: &str, tag: &str) -> bool {
    let opaque = |t: &str| t.trim().trim_start_matches("W/").to_owned();
    tags.split(',').any(|t| t.trim() == "*" || opaque(t) == opaque(tag))
}
