//! Clients: each carries out one action of the plan as processes beside the functions, and asks
//! again without an answer. It reports what it was shown to [`ClientView`], which must stay true.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::Accepted;
use shared::domain::time::Timestamp;
use shared::jobs::idempotency::Idempotency;
use shared::jobs::read::{ResultCursor, results};
use shared::jobs::{Ports, cancel, delete, read, retry};
use shared::lambda::api::Api;
use shared::providers::Registry;
use shared::webhooks::{replay, secrets};
use testkit::harness::invariants::{ClientView, Observed, Request, Sent};
use testkit::harness::isolation::Question;
use testkit::harness::{Tenant, Version, World};

use super::plan::What;
use crate::ENRICH_TIMEOUT;

/// Lines that a client reads at once.
const PAGE: usize = 40;
/// The longest overlap there is, so that a receiver that never learns of a new secret can verify
/// every event.
const OVERLAP: Duration = secrets::MAX_OVERLAP;

/// The facts that a client learns from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    /// A job of its own.
    Job(JobId),
    /// Something that only the trace tells.
    Done(&'static str),
}

pub(super) type Reply = Rc<RefCell<Option<Result<Got, ApiError>>>>;

/// The inputs of a request.
#[derive(Clone)]
pub(super) struct ClientContext {
    pub(super) ports: Ports,
    pub(super) registry: std::sync::Arc<Registry>,
    pub(super) tenant: Tenant,
    pub(super) reported: Rc<RefCell<ClientView>>,
    /// Which version answers.
    pub(super) version: Version,
}

/// A request of a client of the plan about a job.
pub(super) fn about(what: &What, job: &JobId, key: String) -> Request {
    let job = job.clone();
    match what {
        What::Cancel { .. } => Request::Cancel { job },
        What::Delete { .. } => Request::Delete { job },
        What::Retry { .. } => Request::Retry { job, key },
        What::Read { .. } => Request::Read { job },
        What::Replay { record, .. } => {
            let id = record.map_or_else(|| job.delivery(0), |record| job.record_delivery(record));
            Request::Replay { id, key }
        }
        _ => unreachable!("{what:?} is not about a job"),
    }
}

impl ClientContext {
    /// One request, as the functions carry it out.
    pub(super) async fn carry_out(self, request: Request) -> Result<Got, ApiError> {
        let answer = self.answer(&request).await;
        // Of what makes a job it may be that one which was erased. A delivery may not be there yet.
        if let (
            Err(ApiError::NotFound { what: "job" }),
            Request::Cancel { job } | Request::Delete { job } | Request::Read { job },
        ) = (&answer, &request)
        {
            self.hear(&Observed::Absent { job });
        }
        answer
    }

    fn hear(&self, observed: &Observed<'_>) {
        self.reported.borrow_mut().hear(observed);
    }

    async fn answer(&self, request: &Request) -> Result<Got, ApiError> {
        let (ports, tenant) = (&self.ports, &self.tenant.id);
        match request {
            Request::Submit { sent, key } => {
                let accepted = World::request(
                    ports,
                    &self.registry,
                    &self.tenant,
                    (**sent).clone(),
                    Some(key),
                )
                .await?;
                Ok(self.accepted(key, &accepted))
            }
            Request::Retry { job, key } => {
                let caller = World::caller(ports, &self.tenant).await?;
                let pricing = |sent: &_| World::pricing(&self.registry, sent);
                let accepted =
                    retry::retry(ports, &caller, job, pricing, Some(&key_of(key))).await?;
                Ok(self.accepted(key, &accepted))
            }
            Request::Cancel { job } => {
                let was_gone = self.reported.borrow().is_gone(job);
                let view = cancel::cancel(ports, tenant, job, ENRICH_TIMEOUT).await?;
                self.hear(&Observed::Canceled { job });
                self.hear(&Observed::Shown {
                    view: &view,
                    was_gone,
                    version: self.version,
                });
                Ok(Got::Done("canceled"))
            }
            Request::Delete { job } => {
                let was_gone = self.reported.borrow().is_gone(job);
                self.hear(&Observed::Doomed { job });
                delete::delete(ports, tenant, job, ENRICH_TIMEOUT).await?;
                self.hear(&Observed::Erased { job, was_gone });
                Ok(Got::Done("erased"))
            }
            Request::Replay { id, key } => {
                let delivery = replay::replay(ports, tenant, id, Some(&key_of(key))).await?;
                self.hear(&Observed::Replayed {
                    tenant,
                    id,
                    delivery: &delivery,
                });
                Ok(Got::Done("replayed"))
            }
            Request::Read { job } => self.read(job).await,
            Request::Rotate { key } => {
                let rotated = secrets::rotate(ports, tenant, OVERLAP, Some(&key_of(key))).await?;
                self.hear(&Observed::Secret {
                    tenant,
                    key,
                    secret: rotated.secret.reveal(),
                });
                Ok(Got::Done("rotated"))
            }
            Request::TestWebhook { key } => {
                let url = self.tenant.webhook("test").url;
                replay::test(ports, tenant, "native", || Ok(url), Some(&key_of(key))).await?;
                Ok(Got::Done("test sent"))
            }
        }
    }

    fn accepted(&self, key: &str, accepted: &Accepted) -> Got {
        let Accepted::Job { view, .. } = accepted else {
            unreachable!("no client asks for a price")
        };
        let job = &view.job.spec.id;
        self.hear(&Observed::Accepted {
            tenant: &self.tenant.id,
            key,
            job,
        });
        Got::Job(job.clone())
    }

    async fn read(&self, job: &JobId) -> Result<Got, ApiError> {
        let was_gone = self.reported.borrow().is_gone(job);
        let view = read::job(&self.ports, &self.tenant.id, job).await?;
        self.hear(&Observed::Shown {
            view: &view,
            was_gone,
            version: self.version,
        });
        let mut next = Some(ResultCursor::default());
        let mut place = 0;
        while let Some(cursor) = next {
            let page = results(&self.ports, &view, cursor, PAGE)
                .await
                .map_err(ApiError::from)?;
            for line in &page.lines {
                self.hear(&Observed::Line { job, place, line });
                place += 1;
            }
            if page.lines.is_empty() {
                if page.next.is_some() {
                    self.hear(&Observed::EmptyPage {
                        view: &view,
                        after: place,
                    });
                }
                break;
            }
            next = page.next;
        }
        Ok(Got::Done("read"))
    }

    /// A reader that comes back, and is not put off by anything.
    pub(super) async fn watch(self, request: Request, times: u32, every: Duration) {
        for _ in 0..times {
            let at = self.ports.clock.now();
            let answer = self.clone().carry_out(request.clone()).await;
            if let Err(error) = answer
                && !matches!(error, ApiError::Unavailable { .. })
            {
                self.refused(&request, &error, at);
            }
            self.ports.clock.sleep(every).await;
        }
    }

    fn refused(&self, request: &Request, error: &ApiError, at: Timestamp) {
        let sent = Sent {
            tenant: &self.tenant.id,
            request,
            first_at: at,
            at,
            answered_at: self.ports.clock.now(),
        };
        self.hear(&Observed::Refused {
            sent,
            error,
            past: None,
        });
    }

    /// Asks for a job of another tenant, whose id leaked, on every route that takes one.
    pub(super) async fn snoop(self, job: JobId) {
        let api = Api {
            ports: self.ports.clone(),
            catalog: self.registry.catalog().clone(),
            retention: Duration::from_secs(30 * 24 * 3600),
            enrich_timeout: ENRICH_TIMEOUT,
            max_wait: shared::lambda::config::MAX_WAIT,
        };
        for question in Question::all(self.ports.surfaces, &job) {
            let there = question.ask(&api, &self.tenant, &question.id).await;
            let never = question.ask(&api, &self.tenant, &question.never).await;
            // No provider could be asked.
            if there.0 != 503 && never.0 != 503 {
                let (there, never) = ((there.0, there.1.as_str()), (never.0, never.1.as_str()));
                self.hear(&Observed::Stranger {
                    asked: &question.to_string(),
                    there,
                    never,
                });
            }
        }
    }
}

fn key_of(key: &str) -> Idempotency {
    Idempotency::new(key, "POST", key, b"")
}
