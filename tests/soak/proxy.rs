//! The proxy between the functions and the emulator: passes calls on, and injects faults into some.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use testkit::stack;
use tokio::net::TcpListener;

use crate::Failed;
use crate::faults::{Fault, Faults, INIT};
use crate::wire::{self, ScriptedAnswer};

/// A proxy on loopback. It lives as long as the process.
#[derive(Clone)]
pub(crate) struct Proxy {
    target: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    faults: Arc<Faults>,
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped")
    }
}

impl std::error::Error for Dropped {}

/// A call, read to its end.
struct Call {
    head: hyper::http::request::Parts,
    body: Bytes,
    /// The operation without its service; empty for other requests.
    operation: String,
    sqs: bool,
}

impl Call {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Proxy {
    /// Starts one for the emulator at `target`, and returns its address.
    pub(crate) async fn start(
        target: SocketAddr,
        faults: Arc<Faults>,
    ) -> Result<SocketAddr, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let proxy = Self {
            target,
            client: Client::builder(TokioExecutor::new()).build_http(),
            faults,
        };
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let proxy = proxy.clone();
                let service = hyper::service::service_fn(move |request| {
                    let proxy = proxy.clone();
                    async move { proxy.answer(request, peer).await }
                });
                // An error here is a connection that ended early, on purpose or with its process.
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(address)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Full<Bytes>>, Dropped> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        let target = head
            .headers
            .get("x-amz-target")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let (sqs, ping) = (target.starts_with("AmazonSQS"), head.uri.path() == "/ping");
        let operation = if ping {
            INIT
        } else {
            target.rsplit('.').next().unwrap_or_default()
        }
        .to_owned();
        let call = Call {
            head,
            body,
            operation,
            sqs,
        };
        let fault = if call.operation.is_empty() {
            None
        } else {
            self.faults.of_call(&call.operation)
        };
        let Some(fault) = fault else {
            return self.pass(&call, call.body.clone()).await;
        };
        if !matches!(fault, Fault::KillBefore | Fault::KillAfter) {
            self.faults.count(fault.name(), &call.operation);
        }
        self.faults.note_call(&call.operation, &call.body);
        let killed = if ping {
            "process killed in its Init"
        } else {
            fault.name()
        };
        match fault {
            Fault::Delay(by) => {
                tokio::time::sleep(by).await;
                self.pass(&call, call.body.clone()).await
            }
            Fault::DropBefore => Err(Dropped),
            Fault::DropAfter => self.pass(&call, call.body.clone()).await.and(Err(Dropped)),
            Fault::FailBefore => Ok(made(&wire::failed(call.sqs))),
            Fault::FailAfter => {
                self.pass(&call, call.body.clone()).await?;
                Ok(made(&wire::failed(call.sqs)))
            }
            Fault::Throttle => Ok(made(&wire::throttled(
                &call.operation,
                call.sqs,
                wire::actions(&call.json()),
            ))),
            Fault::Conflict => Ok(made(&wire::conflict(
                &call.operation,
                wire::actions(&call.json()),
            ))),
            Fault::Partial => self.partly(&call).await,
            Fault::Lose => Ok(made(&wire::lost(&call.json()))),
            Fault::Duplicate(after) => {
                let answer = self.pass(&call, call.body.clone()).await?;
                let proxy = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = proxy.pass(&call, call.body.clone()).await;
                });
                Ok(answer)
            }
            Fault::KillBefore => {
                kill(&self.faults, killed, peer).await;
                Err(Dropped)
            }
            Fault::KillAfter => {
                // The process waits for its answer, so that it still has the connection.
                let passed = self.pass(&call, call.body.clone()).await;
                kill(&self.faults, killed, peer).await;
                passed.and(Err(Dropped))
            }
        }
    }

    async fn partly(&self, call: &Call) -> Result<Response<Full<Bytes>>, Dropped> {
        let Some(cut) = wire::cut(&call.operation, &call.json()) else {
            return self.pass(call, call.body.clone()).await;
        };
        let mut answer = Value::Object(serde_json::Map::new());
        if let Some(batch) = &cut.batch {
            let (head, body) = self
                .pass(call, batch.to_string().into())
                .await?
                .into_parts();
            let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
            if head.status != 200 {
                return Ok(Response::from_parts(head, Full::new(body)));
            }
            answer = serde_json::from_slice(&body).map_err(|_| Dropped)?;
        }
        Ok(made(&ScriptedAnswer {
            status: 200,
            body: cut.answer(answer),
            query_error: None,
        }))
    }

    /// One exchange with the emulator.
    async fn pass(&self, call: &Call, body: Bytes) -> Result<Response<Full<Bytes>>, Dropped> {
        let path = call.head.uri.path_and_query().map_or("/", |p| p.as_str());
        let uri: Uri = format!("http://{}{path}", self.target)
            .parse()
            .map_err(|_| Dropped)?;
        let mut request = Request::builder().method(call.head.method.clone()).uri(uri);
        // The function signed another body; this part of it is sent as root.
        let cut = body != call.body;
        let signed = |name: &str| {
            name == "authorization" || (name.starts_with("x-amz-") && name != "x-amz-target")
        };
        for (name, value) in &call.head.headers {
            let stays = name != hyper::header::CONTENT_LENGTH && name != hyper::header::CONNECTION;
            if stays && !(cut && signed(name.as_str())) {
                request = request.header(name, value);
            }
        }
        if cut {
            let service = if call.sqs { "sqs" } else { "dynamodb" };
            request = request.header("authorization", stack::authorization(service, stack::ROOT));
        }
        let request = request.body(Full::new(body)).map_err(|_| Dropped)?;
        let (mut head, body) = self
            .client
            .request(request)
            .await
            .map_err(|_| Dropped)?
            .into_parts();
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        head.headers.remove(hyper::header::TRANSFER_ENCODING);
        head.headers.remove(hyper::header::CONNECTION);
        Ok(Response::from_parts(head, Full::new(body)))
    }
}

fn made(made: &ScriptedAnswer) -> Response<Full<Bytes>> {
    let mut answer = Response::builder()
        .status(made.status)
        .header("content-type", "application/x-amz-json-1.0");
    if let Some(error) = made.query_error {
        answer = answer.header("x-amzn-query-error", error);
    }
    answer
        .body(Full::new(made.body.to_string().into()))
        .expect("a response of these parts")
}

/// Tries to find the owner of a connection: an existing one can be missed.
const LOOKS: usize = 5;

/// Ends, by `kill -9`, the function that has the connection from `peer`, and counts it. Does
/// nothing where it ended before or is not found. Returns true if it was certainly killed.
pub(crate) async fn kill(faults: &Arc<Faults>, kind: &'static str, peer: SocketAddr) -> bool {
    let faults = Arc::clone(faults);
    let killed = tokio::task::spawn_blocking(move || {
        let Some(pid) = (0..LOOKS).find_map(|_| stack::owner(peer)) else {
            return false;
        };
        let Some((function, instance)) = stack::execution(pid) else {
            return false;
        };
        let then = faults.elapsed();
        let killed = stack::kill(pid);
        if killed {
            faults.count_kill(kind, &function, &instance, then);
        }
        killed
    });
    // Late, or the killing task panicked.
    matches!(
        tokio::time::timeout(Duration::from_secs(5), killed).await,
        Ok(Ok(true))
    )
}
