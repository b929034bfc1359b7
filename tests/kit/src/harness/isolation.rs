//! Tenant isolation: every route that takes an id, asked for another tenant's, and for one that
//! never existed.

use std::fmt;
use std::time::Duration;

use shared::domain::ids::JobId;
use shared::domain::time::Timestamp;
use shared::lambda::api::Api;
use shared::lambda::http::ApiRequest;
use shared::surfaces::{Call, Route, Surface};

use super::Tenant;

/// A request for a thing of a job, by an id that it has on this surface.
#[derive(Debug, Clone)]
pub struct Question {
    pub surface: &'static Surface,
    pub route: &'static Route,
    pub id: String,
    /// The same for a job that never existed.
    pub never: String,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} with {}",
            self.route.method, self.route.path, self.id
        )
    }
}

/// Returns every id of a job that a route of this surface could be asked with.
fn ids(surface: &Surface, call: &Call, job: &JobId) -> Vec<String> {
    match call {
        Call::Delivery { .. } => vec![job.delivery(0).to_string()],
        Call::Replay { .. } => vec![job.delivery(0).to_string(), job.to_string()],
        _ => vec![(surface.id)(job), job.to_string(), job.uuid()],
    }
}

impl Question {
    /// Returns every question about a job.
    pub fn all(surfaces: &'static [Surface], job: &JobId) -> Vec<Self> {
        let nothing = JobId::new(Timestamp(1), [1; 10]);
        let routes = surfaces
            .iter()
            .flat_map(|surface| surface.routes.iter().map(move |route| (surface, route)));
        let with_id = routes.filter(|(_, route)| route.path.contains('{'));
        let questions = with_id.flat_map(|(surface, route)| {
            let ids =
                ids(surface, &route.call, job)
                    .into_iter()
                    .zip(ids(surface, &route.call, &nothing));
            ids.map(move |(id, never)| Self {
                surface,
                route,
                id,
                never,
            })
        });
        questions.collect()
    }

    /// Asks it with this id, as a client of the tenant. Returns the status, and the body without
    /// the id.
    pub async fn ask(&self, api: &Api, tenant: &Tenant, id: &str) -> (u16, String) {
        let (head, rest) = self
            .route
            .path
            .split_once('{')
            .unwrap_or((self.route.path, ""));
        let tail = rest.split_once('}').map_or("", |(_, tail)| tail);
        let headers = [
            ("authorization", format!("Bearer {}", tenant.api_key)),
            ("x-api-key", tenant.api_key.clone()),
        ];
        let request = ApiRequest {
            method: self.route.method.to_owned(),
            path: format!("{head}{id}{tail}"),
            query: Vec::new(),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: Vec::new(),
            request_id: "req-1".to_owned(),
        };
        let response = if request.method == "GET" {
            api.read(
                &request,
                api.ports.clock.now().plus(Duration::from_secs(29)),
            )
            .await
        } else {
            api.write(&request).await
        };
        (
            response.status,
            String::from_utf8_lossy(&response.body).replace(id, "ID"),
        )
    }
}
