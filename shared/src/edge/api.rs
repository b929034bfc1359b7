//! The API: finds the operation that a surface has for a request, carries it out, and answers in the surface's words.
//! `write` serves POST and DELETE for the submit function, `read` serves GET for the status function, which IAM does not
//! let write.

use std::borrow::Cow;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::coding::unpacked;
use super::http::{ApiRequest, ApiResponse};
use super::start::{StartError, Started};
use crate::app::authenticate::authenticate;
use crate::app::idempotency::{Idempotency, MAX_KEY_CHARS};
use crate::app::status::ResultCursor;
use crate::app::submit::{Terms, submit};
use crate::app::{Ports, callback, cancel, delete, deliveries, retry, secrets, status};
use crate::dialect::{Call, Reading, ResultsPage, Routed, Shown, Shows, Surface, is_path, route};
use crate::domain::callback::{CALLBACKS, Claimed, MAX_POSTED_BYTES};
use crate::domain::error::ApiError;
use crate::domain::ids::{DeliveryId, JobId};
use crate::domain::job::{Accepted, JobView, MAX_BODY_BYTES, MAX_ESCAPED_PAGE_BYTES, Status, Submission, WaitingFor};
use crate::domain::json;
use crate::domain::record::{MAX_DEPTH, depth};
use crate::domain::tenant::{Caller, Scope};
use crate::domain::time::Timestamp;
use crate::provider::{Catalog, RecordType};

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
    /// How long a waiting GET is held at most.
    pub max_wait: Duration,
}

/// What one of the two functions does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// POST and DELETE.
    Write,
    /// GET, until the invocation ends.
    Read(Timestamp),
}

impl Api {
    /// The routes of a started function.
    pub fn of(started: &Started) -> Result<Self, StartError> {
        Ok(Self {
            ports: started.ports.clone(),
            catalog: started.catalog()?,
            retention: started.config.retention,
            enrich_timeout: started.config.enrich_timeout,
            max_wait: started.config.max_wait,
        })
    }

    /// Serves POST and DELETE.
    pub async fn write(&self, request: &ApiRequest) -> ApiResponse {
        let request = &*self.own(request);
        if let Some(token) = request.path.strip_prefix(CALLBACKS)
            && request.method == "POST"
        {
            return self.respond(self.ports.surfaces.first(), request, self.posted(token, request).await);
        }
        self.serve(request, Door::Write).await
    }

    /// The request with its path as routes have it: callers add a slash at the end, or join a base that ends in one, and
    /// where a domain shares its paths, the API's come behind its base path.
    fn own<'r>(&self, request: &'r ApiRequest) -> Cow<'r, ApiRequest> {
        let mut path = String::with_capacity(request.path.len());
        for segment in request.path.split('/').filter(|segment| !segment.is_empty()) {
            path.push('/');
            path.push_str(segment);
        }
        let base = self.ports.base_path();
        let known = path.starts_with(CALLBACKS) || is_path(self.ports.surfaces, &path);
        if !known && path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')) {
            path.replace_range(..base.len(), "");
        }
        if path == request.path { Cow::Borrowed(request) } else { Cow::Owned(ApiRequest { path, ..request.clone() }) }
    }

    /// Takes an upstream's answer. The URL is all that it needs to be known by.
    async fn posted(&self, token: &str, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let claimed = Claimed::parse(token).ok_or(ApiError::NotFound { what: "callback" })?;
        if request.body.len() > MAX_POSTED_BYTES {
            let detail = format!("the body has {} bytes; at most {MAX_POSTED_BYTES} are taken", request.body.len());
            return Err(ApiError::TooLarge { detail });
        }
        let unpacked = unpacked(request, MAX_POSTED_BYTES)?;
        let body = match json::read_upstream(unpacked.as_deref().unwrap_or(&request.body)) {
            Ok(body) if depth(&body) <= MAX_DEPTH => body,
            Ok(_) => return Err(ApiError::invalid("", format!("nests deeper than {MAX_DEPTH} levels"))),
            Err(error) => return Err(ApiError::invalid("", format!("is not JSON: {error}"))),
        };
        callback::post(&self.ports, &claimed, &body).await?;
        // The same for the first and for every further one: an upstream that repeats itself did nothing wrong.
        Ok(ApiResponse::empty(204))
    }

    /// Serves GET, and whatever no route is for. `deadline` is when the invocation ends.
    pub async fn read(&self, request: &ApiRequest, deadline: Timestamp) -> ApiResponse {
        self.serve(&self.own(request), Door::Read(deadline)).await
    }

    async fn serve(&self, request: &ApiRequest, door: Door) -> ApiResponse {
        let surfaces = self.ports.surfaces;
        let mut read = Cow::Borrowed(request);
        let (surface, answer) = match route(surfaces, request) {
            Routed::To { surface, call, id } => {
                let suits = matches!(request.method.as_str(), "GET" | "HEAD") == matches!(door, Door::Read(_));
                // API Gateway leads GET to one function and the rest to the other; what came to the wrong one has no path.
                let served = if suits {
                    self.call(surface, call, id, &mut read, door).await
                } else {
                    Err(ApiError::NotFound { what: "path" })
                };
                (Some(surface), served)
            }
            Routed::Method { surface, allow } => (Some(surface), Err(ApiError::MethodNotAllowed { allow })),
            // An unknown path is answered before the key is looked at: it tells nothing, and costs nothing.
            Routed::Nowhere => (surfaces.first(), Err(ApiError::NotFound { what: "path" })),
        };
        self.respond(surface, &read, answer)
    }

    async fn call(
        &self,
        surface: &Surface,
        call: &Call,
        id: Option<&str>,
        request: &mut Cow<'_, ApiRequest>,
        door: Door,
    ) -> Result<ApiResponse, ApiError> {
        let (scope, deadline) = match door {
            Door::Write => (Scope::Write, Timestamp(i64::MAX)),
            Door::Read(deadline) => (Scope::Read, deadline),
        };
        if request.body.len() > MAX_BODY_BYTES {
            let detail = format!("the body has {} bytes; at most {MAX_BODY_BYTES} are taken", request.body.len());
            return Err(ApiError::TooLarge { detail });
        }
        let caller = &authenticate(&self.ports, (surface.key)(request), scope).await?;
        if door == Door::Write
            && let Some(body) = unpacked(request, MAX_BODY_BYTES)?
        {
            *request = Cow::Owned(ApiRequest { body, ..(**request).clone() });
        }
        let request: &ApiRequest = request;
        let key = idempotency(request)?;
        let key = key.as_ref();
        let (ports, tenant) = (&self.ports, caller.tenant());
        let reading = Reading { surface, catalog: &self.catalog, http: ports.http.as_ref() };
        let job = || self.job_id(surface, id.unwrap_or_default());
        let delivery = || {
            let text = id.unwrap_or_default();
            // A receiver knows its event by the `webhook-id`.
            let id = DeliveryId::parse(text).or_else(|| DeliveryId::parse_event(text));
            id.ok_or(ApiError::NotFound { what: "delivery" })
        };
        let now = || ports.clock.now();
        Ok(match call {
            Call::Submit { read, answer } => {
                let read = || {
                    let submission = read(request, &reading)?;
                    let terms = self.terms(&submission);
                    Ok((submission, terms))
                };
                answer(&self.accepted(submit(ports, caller, read, key).await?), now())
            }
            Call::Retry { answer } => {
                let id = self.shown(surface, caller, job()?).await?;
                let terms = |submission: &Submission| self.terms(submission);
                answer(&self.accepted(retry::retry(ports, caller, &id, terms, key).await?), now())
            }
            Call::Cancel { show } => {
                let id = self.shown(surface, caller, job()?).await?;
                show(&self.seen(cancel::cancel(ports, tenant, &id, self.enrich_timeout).await?), now())
            }
            Call::Delete => {
                let id = self.shown(surface, caller, job()?).await?;
                delete::delete(ports, tenant, &id, self.enrich_timeout).await?;
                ApiResponse::empty(204)
            }
            Call::Job { records, show } => {
                let view = self.view(surface, caller, &job()?).await?;
                let wanted = records(request, &view);
                let entries = if wanted { Some(status::entries(ports, &view).await?) } else { None };
                let response = show(&Shown { request, view: &view, records: entries.as_deref(), now: now() })?;
                // A surface's own form of the records may take more room than where they were counted.
                let escaped: usize = response.body.iter().map(|b| if matches!(b, b'"' | b'\\') { 2 } else { 1 }).sum();
                if escaped > MAX_ESCAPED_PAGE_BYTES {
                    return Err(ApiError::ResultsTooLarge { results_url: view.results_url() });
                }
                response
            }
            Call::Watch { show, state } => {
                let id = self.shown(surface, caller, job()?).await?;
                self.watch(request, caller, &id, deadline, *show, *state).await?
            }
            Call::Jobs { show } => {
                let page = self.jobs(request, caller).await?;
                let jobs: Vec<_> = page.jobs.into_iter().map(|view| self.seen(view)).collect();
                show(&jobs, page.next.as_ref(), now())
            }
            Call::Results { show } => {
                let id = job()?;
                let cursor = match request.parameter("cursor") {
                    None => None,
                    Some(text) => Some(ResultCursor::parse(text).ok_or_else(bad_cursor)?),
                };
                let limit = limit(request, RESULTS)?;
                let view = self.view(surface, caller, &id).await?;
                let page = status::page(ports, &view, cursor.unwrap_or_default(), limit).await?;
                let next = page.next.map(|cursor| cursor.to_string());
                show(&ResultsPage { request, job: &id, lines: &page.lines, first: cursor.is_none(), next, limit })
            }
            Call::Deliveries { show } => {
                let id = self.shown(surface, caller, job()?).await?;
                let from = match request.parameter("cursor") {
                    None => 0,
                    Some(text) => text.parse().map_err(|_| bad_cursor())?,
                };
                let page = status::deliveries(ports, tenant, &id, from, limit(request, ROWS)?).await?;
                show(&page.deliveries, page.next)
            }
            Call::Delivery { show } => show(&status::delivery(ports, tenant, &delivery()?).await?),
            Call::Replay { show } => {
                let id = delivery().or_else(|missing| job().map(|id| id.delivery(0)).map_err(|_| missing))?;
                show(&deliveries::replay(ports, tenant, &id, key).await?)
            }
            Call::TestWebhook { read, show } => {
                let url = || read(request, &reading);
                show(&deliveries::test(ports, tenant, surface.name, url, key).await?)
            }
            Call::RotateSecret { read, show } => {
                let rotated = secrets::rotate(ports, tenant, read(request)?, key).await?;
                show(&rotated.secret, rotated.previous_expires_at)
            }
            Call::Account { show } => show(caller, &self.catalog),
        })
    }

    /// A job as the caller reaches it.
    fn seen(&self, view: JobView) -> JobView {
        JobView { base_path: self.ports.base_path().to_owned(), ..view }
    }

    fn accepted(&self, accepted: Accepted) -> Accepted {
        match accepted {
            Accepted::Job { view, replayed, faults } => {
                Accepted::Job { view: Box::new(self.seen(*view)), replayed, faults }
            }
            priced @ Accepted::Priced { .. } => priced,
        }
    }

    /// Reads a job's id as the surface writes it; one that shows every job takes the other surfaces' too.
    fn job_id(&self, surface: &Surface, text: &str) -> Result<JobId, ApiError> {
        let others = self.ports.surfaces.iter().filter(|_| surface.shows == Shows::Every);
        let id = (surface.parse_id)(text).or_else(|| others.into_iter().find_map(|other| (other.parse_id)(text)));
        id.ok_or(ApiError::NotFound { what: "job" })
    }

    /// The id again, where the surface shows the job; what the call does with it looks whose job it is.
    async fn shown(&self, surface: &Surface, caller: &Caller, id: JobId) -> Result<JobId, ApiError> {
        if surface.shows == Shows::Own {
            self.view(surface, caller, &id).await?;
        }
        Ok(id)
    }

    /// A job that the surface shows.
    async fn view(&self, surface: &Surface, caller: &Caller, id: &JobId) -> Result<JobView, ApiError> {
        let view = self.seen(status::job(&self.ports, caller.tenant(), id).await?);
        let shown = surface.shows == Shows::Every || view.job.spec.dialect == surface.name;
        if shown { Ok(view) } else { Err(ApiError::NotFound { what: "job" }) }
    }

    /// What a submission's type costs here, and whether it can run.
    fn terms(&self, submission: &Submission) -> Terms {
        let kind = self.catalog.kind(&submission.kind);
        Terms {
            price: kind.map_or(0, |k| k.price(submission.providers.as_deref())),
            unconfigured: match kind.map(|k| k.usable()) {
                Some(Ok(())) => None,
                Some(Err(why)) => Some(why.to_owned()),
                None => Some(unmapped(&submission.kind)),
            },
            retention: self.retention,
        }
    }

    async fn watch(
        &self,
        request: &ApiRequest,
        caller: &Caller,
        id: &JobId,
        deadline: Timestamp,
        show: fn(&JobView, Timestamp) -> ApiResponse,
        state: fn(&JobView) -> String,
    ) -> Result<ApiResponse, ApiError> {
        let seen = request.header("if-none-match");
        let tag = |view: &JobView| etag(&state(&self.seen(view.clone())), &view.waiting_for);
        let unchanged = |view: &JobView| seen.is_some_and(|tags| matches_tag(tags, &tag(view)));
        // Whom a job waits for is read once, when the answer is made: who is held is not told of it before.
        let moved = |view: &JobView| seen.is_some_and(|tags| !matches_state(tags, &tag(view)));
        // Who asks for the head alone asks how things are now.
        let asked = wait(request, self.max_wait)?.filter(|_| request.method != "HEAD");
        let view = match asked {
            None => status::job(&self.ports, caller.tenant(), id).await?,
            Some(asked) => {
                let left = deadline.since(self.ports.clock.now()).saturating_sub(RESERVE);
                let settled = |view: &JobView| !view.job.status.is_live() || moved(view);
                status::wait_for(&self.ports, caller.tenant(), id, asked.min(left), settled).await?
            }
        };
        let kind = self.catalog.kind(&view.job.spec.kind);
        let order = kind.into_iter().flat_map(RecordType::providers);
        let view = self.seen(status::with_waits(&self.ports, view, order).await);
        let response = if unchanged(&view) { ApiResponse::empty(304) } else { show(&view, self.ports.clock.now()) };
        let response = match asked {
            Some(asked) if request.parameter("wait").is_none() => {
                response.with("preference-applied", format!("wait={}", asked.as_secs()))
            }
            _ => response,
        };
        Ok(response.with("etag", tag(&view)))
    }

    async fn jobs(&self, request: &ApiRequest, caller: &Caller) -> Result<status::JobPage, ApiError> {
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
            Some(text) => Some(JobId::parse(text).ok_or_else(bad_cursor)?),
        };
        status::jobs(&self.ports, caller.tenant(), wanted, before, limit(request, ROWS)?).await
    }

    /// Makes the response, of an error too, and logs it.
    fn respond(
        &self,
        surface: Option<&Surface>,
        request: &ApiRequest,
        answer: Result<ApiResponse, ApiError>,
    ) -> ApiResponse {
        let mut response = answer.unwrap_or_else(|error| {
            let response = surface.map_or_else(|| ApiResponse::empty(404), |s| (s.error)(&error, request));
            if response.status >= 500 {
                tracing::error!(
                    request.id = %request.request_id, http.status = response.status, error = ?error, "request failed"
                );
            }
            match error {
                ApiError::Unauthorized => response.with("www-authenticate", "Bearer"),
                ApiError::MethodNotAllowed { allow } => {
                    let allow = allow.into_iter().map(|method| if method == "GET" { "GET, HEAD" } else { method });
                    response.with("allow", allow.collect::<Vec<_>>().join(", "))
                }
                ApiError::Coding { .. } => response.with("accept-encoding", "gzip"),
                ApiError::Unavailable { retry_after_seconds } => {
                    response.with("retry-after", retry_after_seconds.to_string())
                }
                _ => response,
            }
        });
        tracing::info!(
            request.id = %request.request_id,
            api.surface = surface.map(|s| s.name),
            http.method = method_shown(&request.method),
            http.status = response.status,
            http.request_bytes = request.body.len(),
            http.response_bytes = response.body.len(),
            "request served"
        );
        let base = self.ports.base_path();
        for (name, value) in &mut response.headers {
            match *name {
                "location" => value.insert_str(0, base),
                "link" => value.insert_str(1, base),
                _ => {}
            }
        }
        if request.method == "HEAD" {
            response.body.clear();
        }
        response
    }
}

/// A method for the log, if it is one of RFC 9110, section 9, or RFC 5789: others are the caller's own words.
fn method_shown(method: &str) -> &'static str {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// Why there is no type of this name, which may be one that [`Reading::kind`] made up.
fn unmapped(kind: &str) -> String {
    match kind.split_once('.') {
        Some((surface, operation)) => {
            format!("no type answers {operation}: name one in [operations.{surface}] of providers.toml")
        }
        None => format!("type {kind} is not offered; see providers.toml"),
    }
}

fn bad_cursor() -> ApiError {
    ApiError::invalid("cursor", "is none of ours; pass on next_cursor as it came")
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
    // An empty key is refused and not taken for none: its sender counts on it.
    let Some((_, key)) = request.headers.iter().find(|(name, _)| name == "idempotency-key") else { return Ok(None) };
    let key = key.trim();
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
        let detail = format!("must have 1 to {MAX_KEY_CHARS} characters");
        return Err(ApiError::invalid("Idempotency-Key", detail));
    }
    Ok(Some(Idempotency::new(key, &request.method, &request.path, &request.body)))
}

/// How long the caller is held, at most as long as this deployment holds anybody: `?wait=20`, or `Prefer: wait=20`
/// (RFC 7240), in seconds.
fn wait(request: &ApiRequest, most: Duration) -> Result<Option<Duration>, ApiError> {
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
    Ok(asked.map(|s| Duration::from_secs(s).min(most)))
}

/// Two parts, the second only where records wait for providers.
fn etag(state: &str, waiting_for: &[WaitingFor]) -> String {
    let digest = |text: &[u8], bytes| hex::encode(&Sha256::digest(text)[..bytes]);
    let state = digest(state.as_bytes(), 16);
    let waits: Vec<_> =
        waiting_for.iter().map(|wait| (&wait.provider, wait.status, wait.since.0, wait.until.0)).collect();
    // Weak: the estimate, which only the clock moves, is left out of it.
    if waits.is_empty() {
        return format!("W/\"{state}\"");
    }
    format!("W/\"{state}.{}\"", digest(format!("{waits:?}").as_bytes(), 4))
}

/// Weak comparison (RFC 9110, section 13.1.2).
fn matches_tag(tags: &str, tag: &str) -> bool {
    let opaque = |t: &str| t.trim().trim_start_matches("W/").to_owned();
    tags.split(',').any(|t| t.trim() == "*" || opaque(t) == opaque(tag))
}

/// The same by the first part alone.
fn matches_state(tags: &str, tag: &str) -> bool {
    let state = |t: &str| t.trim().trim_start_matches("W/").trim_matches('"').split('.').next().map(str::to_owned);
    tags.split(',').any(|t| t.trim() == "*" || state(t) == state(tag))
}
