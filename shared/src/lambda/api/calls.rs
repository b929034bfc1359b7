//! Carrying out what a surface's routes call for.

use std::borrow::Cow;
use std::time::Duration;

use tracing::field::display;

use super::etag::{etag, matches_state, matches_tag};
use super::parameters::{RESULTS, ROWS, bad_cursor, idempotency, limit, wait};
use super::span::log_job;
use super::{Api, Function};
use crate::catalog::RecordType;
use crate::domain::error::ApiError;
use crate::domain::ids::{DeliveryId, JobId};
use crate::domain::job::{
    Accepted, JobView, MAX_BODY_BYTES, MAX_ESCAPED_PAGE_BYTES, Status, Submission,
};
use crate::domain::json::escaped_size;
use crate::domain::tenant::{Caller, Scope};
use crate::domain::time::Timestamp;
use crate::jobs::authenticate::authenticate;
use crate::jobs::idempotency::Idempotency;
use crate::jobs::read::{DeliveryPage, JobPage, ResultCursor};
use crate::jobs::submit::{Pricing, submit};
use crate::jobs::{cancel, delete, read, retry};
use crate::lambda::coding::unpacked;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};
use crate::surfaces::{Call, NewSecret, Reading, ResultsPage, Rotation, Shown, Shows, Surface};
use crate::webhooks::{replay, secrets};

/// Kept free at the end of an invocation for the answer.
const RESERVE: Duration = Duration::from_secs(3);

impl Api {
    /// Carries out a call, if its caller may make it. `request` is the one with its body unpacked
    /// afterwards.
    pub(super) async fn call(
        &self,
        surface: &Surface,
        call: &Call,
        id: Option<&str>,
        request: &mut Cow<'_, ApiRequest>,
        function: Function,
    ) -> Result<ApiResponse, ApiError> {
        let (scope, deadline) = match function {
            Function::Write => (Scope::Write, Timestamp(i64::MAX)),
            Function::Read(deadline) => (Scope::Read, deadline),
        };
        if request.body.len() > MAX_BODY_BYTES {
            let detail = format!(
                "the body has {} bytes; at most {MAX_BODY_BYTES} are taken",
                request.body.len()
            );
            return Err(ApiError::TooLarge { detail });
        }
        let caller = &authenticate(&self.ports, (surface.key)(request), scope).await?;
        if function == Function::Write
            && let Some(body) = unpacked(request, MAX_BODY_BYTES)?
        {
            *request = Cow::Owned(ApiRequest {
                body,
                ..(**request).clone()
            });
        }
        let request: &ApiRequest = request;
        let key = idempotency(request)?;
        Asked {
            api: self,
            surface,
            caller,
            request,
            id,
            key: key.as_ref(),
            deadline,
        }
        .carry_out(call)
        .await
    }

    /// Returns what a submission's type costs here, and whether it can run.
    fn pricing(&self, submission: &Submission) -> Pricing {
        let kind = self.catalog.kind(&submission.kind);
        Pricing {
            price: kind.map_or(0, |k| k.price(submission.providers.as_deref())),
            unconfigured: match kind.map(|k| k.usable()) {
                Some(Ok(())) => None,
                Some(Err(why)) => Some(why.to_owned()),
                None => Some(unmapped(&submission.kind)),
            },
            retention: self.retention,
        }
    }
}

/// A request whose caller is known.
struct Asked<'a> {
    api: &'a Api,
    surface: &'a Surface,
    caller: &'a Caller,
    request: &'a ApiRequest,
    /// The segment that stands for the route's braces.
    id: Option<&'a str>,
    key: Option<&'a Idempotency>,
    /// When the invocation ends, for who waits.
    deadline: Timestamp,
}

impl Asked<'_> {
    async fn carry_out(&self, call: &Call) -> Result<ApiResponse, ApiError> {
        let (ports, tenant) = (&self.api.ports, self.caller.tenant());
        let now = || ports.clock.now();
        Ok(match call {
            Call::Submit { read, answer } => answer(&self.submit(*read).await?, now()),
            Call::Retry { answer } => answer(&self.retry().await?, now()),
            Call::Cancel { show } => {
                let id = self.shown().await?;
                show(
                    &self.seen(cancel::cancel(ports, tenant, &id, self.api.enrich_timeout).await?),
                    now(),
                )
            }
            Call::Delete => {
                let id = self.shown().await?;
                delete::delete(ports, tenant, &id, self.api.enrich_timeout).await?;
                ApiResponse::empty(204)
            }
            Call::Job { records, show } => self.job(*records, *show).await?,
            Call::Watch { show, state } => self.watch(*show, *state).await?,
            Call::Jobs { show } => {
                let page = self.jobs().await?;
                let jobs: Vec<_> = page.jobs.into_iter().map(|view| self.seen(view)).collect();
                show(&jobs, page.next.as_ref(), now())
            }
            Call::Results { show } => self.results(*show).await?,
            Call::Deliveries { show } => {
                let page = self.deliveries().await?;
                show(&page.deliveries, page.next)
            }
            Call::Delivery { show } => {
                show(&read::delivery(ports, tenant, &self.delivery_id()?).await?)
            }
            Call::Replay { show } => {
                let of_job = || self.job_id().map(|id| id.delivery(0));
                let id = self
                    .delivery_id()
                    .or_else(|missing| of_job().map_err(|_| missing))?;
                show(&replay::replay(ports, tenant, &id, self.key).await?)
            }
            Call::TestWebhook { read, show } => {
                let url = || read(self.request, &self.reading());
                show(&replay::test(ports, tenant, self.surface.name, url, self.key).await?)
            }
            Call::RotateSecret { read, show } => {
                let Rotation { overlap, own } = read(self.request)?;
                if let Some(own) = own {
                    let set = secrets::set_own(ports, tenant, &own, overlap, self.key).await?;
                    return Ok(show(&NewSecret {
                        secret: None,
                        surface: Some(&own.surface),
                        previous_expires_at: set.previous_expires_at,
                        is_key: set.is_key,
                    }));
                }
                let rotated = secrets::rotate(ports, tenant, overlap, self.key).await?;
                show(&NewSecret {
                    secret: Some(&rotated.secret),
                    surface: None,
                    previous_expires_at: rotated.previous_expires_at,
                    is_key: false,
                })
            }
            Call::Account { show } => show(self.caller, &self.api.catalog),
        })
    }

    async fn submit(
        &self,
        read: fn(&ApiRequest, &Reading<'_>) -> Result<Submission, ApiError>,
    ) -> Result<Accepted, ApiError> {
        let read = || {
            let submission = read(self.request, &self.reading())?;
            let pricing = self.api.pricing(&submission);
            Ok((submission, pricing))
        };
        Ok(self.accepted(submit(&self.api.ports, self.caller, read, self.key).await?))
    }

    async fn retry(&self) -> Result<Accepted, ApiError> {
        let id = self.shown().await?;
        let pricing = |submission: &Submission| self.api.pricing(submission);
        Ok(
            self.accepted(
                retry::retry(&self.api.ports, self.caller, &id, pricing, self.key).await?,
            ),
        )
    }

    async fn job(
        &self,
        records: fn(&ApiRequest, &JobView) -> bool,
        show: fn(&Shown<'_>) -> Result<ApiResponse, ApiError>,
    ) -> Result<ApiResponse, ApiError> {
        let (ports, request) = (&self.api.ports, self.request);
        let view = self.view(&self.job_id()?).await?;
        let wanted = records(request, &view);
        let entries = if wanted {
            Some(read::entries(ports, &view).await?)
        } else {
            None
        };
        let now = ports.clock.now();
        let response = show(&Shown {
            request,
            view: &view,
            records: entries.as_deref(),
            now,
        })?;
        // A surface's own form of the records may be larger than the form that was counted.
        if escaped_size(&response.body) > MAX_ESCAPED_PAGE_BYTES {
            return Err(ApiError::ResultsTooLarge {
                results_url: view.results_url(),
            });
        }
        Ok(response)
    }

    async fn watch(
        &self,
        show: fn(&JobView, Timestamp) -> ApiResponse,
        state: fn(&JobView) -> String,
    ) -> Result<ApiResponse, ApiError> {
        let (api, request, caller) = (self.api, self.request, self.caller);
        let id = &self.shown().await?;
        let seen = request.header("if-none-match");
        let tag = |view: &JobView| etag(&state(&self.seen(view.clone())), &view.waiting_for);
        let unchanged = |view: &JobView| seen.is_some_and(|tags| matches_tag(tags, &tag(view)));
        // The providers that a job waits for are read once, when the answer is made: a waiting
        // caller is not notified of them before.
        let moved = |view: &JobView| seen.is_some_and(|tags| !matches_state(tags, &tag(view)));
        // A request for the head alone asks how things are now.
        let asked = wait(request, api.max_wait)?.filter(|_| request.method != "HEAD");
        let view = match asked {
            None => read::job(&api.ports, caller.tenant(), id).await?,
            Some(asked) => {
                let left = self
                    .deadline
                    .since(api.ports.clock.now())
                    .saturating_sub(RESERVE);
                let settled = |view: &JobView| !view.job.status.is_live() || moved(view);
                read::wait_for(&api.ports, caller.tenant(), id, asked.min(left), settled).await?
            }
        };
        let kind = api.catalog.kind(&view.job.spec.kind);
        let order = kind.into_iter().flat_map(RecordType::providers);
        let view = self.seen(read::with_waits(&api.ports, view, order).await);
        let response = if unchanged(&view) {
            ApiResponse::empty(304)
        } else {
            show(&view, api.ports.clock.now())
        };
        let response = match asked {
            Some(asked) if request.parameter("wait").is_none() => {
                response.with("preference-applied", format!("wait={}", asked.as_secs()))
            }
            _ => response,
        };
        Ok(response.with("etag", tag(&view)))
    }

    async fn jobs(&self) -> Result<JobPage, ApiError> {
        let wanted = match self.request.parameter("status") {
            None => None,
            Some(text) => {
                let status = Status::parse(text)
                    .filter(|s| !matches!(s, Status::Deleted | Status::Expiring));
                let known = "queued, running, canceling, completed, canceled, failed or expired";
                Some(
                    status
                        .ok_or_else(|| ApiError::invalid("status", format!("must be {known}")))?,
                )
            }
        };
        let before = match self.request.parameter("cursor") {
            None => None,
            Some(text) => Some(JobId::parse(text).ok_or_else(bad_cursor)?),
        };
        read::jobs(
            &self.api.ports,
            self.caller.tenant(),
            wanted,
            before,
            limit(self.request, ROWS)?,
        )
        .await
    }

    async fn results(
        &self,
        show: fn(&ResultsPage<'_>) -> ApiResponse,
    ) -> Result<ApiResponse, ApiError> {
        let request = self.request;
        let id = self.job_id()?;
        let cursor = match request.parameter("cursor") {
            None => None,
            Some(text) => Some(ResultCursor::parse(text).ok_or_else(bad_cursor)?),
        };
        let limit = limit(request, RESULTS)?;
        let view = self.view(&id).await?;
        let page = read::page(&self.api.ports, &view, cursor.unwrap_or_default(), limit).await?;
        let next = page.next.map(|cursor| cursor.to_string());
        Ok(show(&ResultsPage {
            request,
            job: &id,
            lines: &page.lines,
            first: cursor.is_none(),
            next,
            limit,
        }))
    }

    async fn deliveries(&self) -> Result<DeliveryPage, ApiError> {
        let id = self.shown().await?;
        let from = match self.request.parameter("cursor") {
            None => 0,
            Some(text) => text.parse().map_err(|_| bad_cursor())?,
        };
        read::deliveries(
            &self.api.ports,
            self.caller.tenant(),
            &id,
            from,
            limit(self.request, ROWS)?,
        )
        .await
    }

    fn reading(&self) -> Reading<'_> {
        Reading {
            surface: self.surface,
            catalog: &self.api.catalog,
            http: self.api.ports.http.as_ref(),
        }
    }

    fn delivery_id(&self) -> Result<DeliveryId, ApiError> {
        let text = self.id.unwrap_or_default();
        // A receiver knows its event by the `webhook-id`.
        let id = DeliveryId::parse(text).or_else(|| DeliveryId::parse_event(text));
        let id = id.ok_or(ApiError::NotFound { what: "delivery" })?;
        log_job(&id.job).record("delivery.id", display(&id));
        Ok(id)
    }

    /// Reads a job's id as the surface writes it; one that shows every job takes the other
    /// surfaces' too.
    fn job_id(&self) -> Result<JobId, ApiError> {
        let (surface, text) = (self.surface, self.id.unwrap_or_default());
        let others = self
            .api
            .ports
            .surfaces
            .iter()
            .filter(|_| surface.shows == Shows::Every);
        let id = (surface.parse_id)(text)
            .or_else(|| others.into_iter().find_map(|other| (other.parse_id)(text)));
        let id = id.ok_or(ApiError::NotFound { what: "job" })?;
        log_job(&id);
        Ok(id)
    }

    /// Returns the job's id, where the surface shows the job; the call itself checks whose job it
    /// is.
    async fn shown(&self) -> Result<JobId, ApiError> {
        let id = self.job_id()?;
        if self.surface.shows == Shows::Own {
            self.view(&id).await?;
        }
        Ok(id)
    }

    /// A job that the surface shows.
    async fn view(&self, id: &JobId) -> Result<JobView, ApiError> {
        let view = self.seen(read::job(&self.api.ports, self.caller.tenant(), id).await?);
        let shown =
            self.surface.shows == Shows::Every || view.job.spec.surface == self.surface.name;
        if shown {
            Ok(view)
        } else {
            Err(ApiError::NotFound { what: "job" })
        }
    }

    /// A job as the caller reaches it.
    fn seen(&self, view: JobView) -> JobView {
        JobView {
            base_path: self.api.ports.base_path().to_owned(),
            ..view
        }
    }

    fn accepted(&self, accepted: Accepted) -> Accepted {
        match accepted {
            Accepted::Job {
                view,
                replayed,
                faults,
            } => {
                log_job(&view.job.spec.id);
                Accepted::Job {
                    view: Box::new(self.seen(*view)),
                    replayed,
                    faults,
                }
            }
            priced @ Accepted::Priced { .. } => priced,
        }
    }
}

/// Returns the reason why no type has this name, which may be one that [`Reading::kind`] made up.
fn unmapped(kind: &str) -> String {
    match kind.split_once('.') {
        Some((surface, operation)) => {
            format!(
                "no type answers {operation}: name one in [operations.{surface}] of providers.toml"
            )
        }
        None => format!("type {kind} is not offered; see providers.toml"),
    }
}
