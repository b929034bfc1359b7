//! The API: finds the operation that a surface has for a request, carries it out, and answers in
//! the surface's words. `write` serves POST and DELETE for the submit function, `read` serves GET
//! for the status function, which IAM does not let write.

mod calls;
mod etag;
mod parameters;
mod span;

use std::borrow::Cow;
use std::time::Duration;

use tracing::Instrument;

use self::span::span;
use super::coding::unpacked;
use super::http::{ApiRequest, ApiResponse};
use super::start::{StartError, Started};
use crate::catalog::Catalog;
use crate::domain::callback::{CALLBACKS, Claimed, MAX_POSTED_BYTES};
use crate::domain::error::ApiError;
use crate::domain::json;
use crate::domain::record::{MAX_DEPTH, depth};
use crate::domain::time::Timestamp;
use crate::jobs::{Ports, callback};
use crate::surfaces::{Routed, Surface, is_path, route};

/// The ports and settings that the routes need.
#[derive(Debug)]
pub struct Api {
    /// Table, queues, clock, randomness, and the surfaces.
    pub ports: Ports,
    /// The record types and operations of `providers.toml`.
    pub catalog: Catalog,
    /// The time that jobs and results are kept.
    pub retention: Duration,
    /// The time-out of the enrich function.
    pub enrich_timeout: Duration,
    /// The longest time that a GET waits.
    pub max_wait: Duration,
}

/// The work of one of the two functions on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
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
        self.answer_write(request).instrument(span(request)).await
    }

    async fn answer_write(&self, request: &ApiRequest) -> ApiResponse {
        let request = &*self.own(request);
        if let Some(token) = request.path.strip_prefix(CALLBACKS)
            && request.method == "POST"
        {
            return self.respond(
                self.ports.surfaces.first(),
                request,
                self.posted(token, request).await,
            );
        }
        self.serve(request, Function::Write).await
    }

    /// The request with its path as routes have it: callers add a slash at the end, or join a base
    /// that ends in one, and where a domain shares its paths, the API's come behind its base path.
    fn own<'r>(&self, request: &'r ApiRequest) -> Cow<'r, ApiRequest> {
        let mut path = String::with_capacity(request.path.len());
        for segment in request
            .path
            .split('/')
            .filter(|segment| !segment.is_empty())
        {
            path.push('/');
            path.push_str(segment);
        }
        let base = self.ports.base_path();
        let known = path.starts_with(CALLBACKS) || is_path(self.ports.surfaces, &path);
        if !known
            && path
                .strip_prefix(base)
                .is_some_and(|rest| rest.starts_with('/'))
        {
            path.replace_range(..base.len(), "");
        }
        if path == request.path {
            Cow::Borrowed(request)
        } else {
            Cow::Owned(ApiRequest {
                path,
                ..request.clone()
            })
        }
    }

    /// Takes an upstream's answer. The URL is all that it needs to be known by.
    async fn posted(&self, token: &str, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let claimed = Claimed::parse(token).ok_or(ApiError::NotFound { what: "callback" })?;
        if request.body.len() > MAX_POSTED_BYTES {
            let detail = format!(
                "the body has {} bytes; at most {MAX_POSTED_BYTES} are taken",
                request.body.len()
            );
            return Err(ApiError::TooLarge { detail });
        }
        let unpacked = unpacked(request, MAX_POSTED_BYTES)?;
        let body = match json::read_upstream(unpacked.as_deref().unwrap_or(&request.body)) {
            Ok(body) if depth(&body) <= MAX_DEPTH => body,
            Ok(_) => {
                return Err(ApiError::invalid(
                    "",
                    format!("nests deeper than {MAX_DEPTH} levels"),
                ));
            }
            Err(error) => return Err(ApiError::invalid("", format!("is not JSON: {error}"))),
        };
        callback::post(&self.ports, &claimed, &body).await?;
        // The same for the first and for every further one: an upstream that repeats itself did
        // nothing wrong.
        Ok(ApiResponse::empty(204))
    }

    /// Serves GET, and whatever no route is for. `deadline` is when the invocation ends.
    pub async fn read(&self, request: &ApiRequest, deadline: Timestamp) -> ApiResponse {
        let request = &*self.own(request);
        self.serve(request, Function::Read(deadline))
            .instrument(span(request))
            .await
    }

    async fn serve(&self, request: &ApiRequest, function: Function) -> ApiResponse {
        let surfaces = self.ports.surfaces;
        let mut read = Cow::Borrowed(request);
        let (surface, answer) = match route(surfaces, request) {
            Routed::To { surface, call, id } => {
                let suits = matches!(request.method.as_str(), "GET" | "HEAD")
                    == matches!(function, Function::Read(_));
                // API Gateway leads GET to one function and the rest to the other; what came to the
                // wrong one has no path.
                let served = if suits {
                    self.call(surface, call, id, &mut read, function).await
                } else {
                    Err(ApiError::NotFound { what: "path" })
                };
                (Some(surface), served)
            }
            Routed::Method { surface, allow } => {
                (Some(surface), Err(ApiError::MethodNotAllowed { allow }))
            }
            // An unknown path is answered before the key is read: it reveals nothing, and costs
            // nothing.
            Routed::Nowhere => (surfaces.first(), Err(ApiError::NotFound { what: "path" })),
        };
        self.respond(surface, &read, answer)
    }

    /// Makes the response, of an error too, and logs it.
    fn respond(
        &self,
        surface: Option<&Surface>,
        request: &ApiRequest,
        answer: Result<ApiResponse, ApiError>,
    ) -> ApiResponse {
        let mut response = answer.unwrap_or_else(|error| {
            let response =
                surface.map_or_else(|| ApiResponse::empty(404), |s| (s.error)(&error, request));
            if response.status >= 500 {
                tracing::error!(http.status = response.status, error = ?error, "request failed");
            }
            match error {
                ApiError::Unauthorized => response.with("www-authenticate", "Bearer"),
                ApiError::MethodNotAllowed { allow } => {
                    let allow = allow
                        .into_iter()
                        .map(|method| if method == "GET" { "GET, HEAD" } else { method });
                    response.with("allow", allow.collect::<Vec<_>>().join(", "))
                }
                ApiError::Coding { .. } => response.with("accept-encoding", "gzip"),
                ApiError::Unavailable {
                    retry_after_seconds,
                } => response.with("retry-after", retry_after_seconds.to_string()),
                _ => response,
            }
        });
        tracing::info!(
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

/// A method for the log, if it is one of RFC 9110, section 9, or RFC 5789: others are the caller's
/// own words.
fn method_shown(method: &str) -> &'static str {
    const METHODS: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
