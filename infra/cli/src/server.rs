//! Tests only: an HTTP server on loopback that answers what it is told, in order, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    broken: bool,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            broken: false,
        }
    }

    /// A problem document of Millrace's.
    pub(crate) fn problem(status: u16) -> Self {
        Self::json(
            status,
            r#"{"type": "urn:millrace:problem:test", "title": "No", "detail": "because"}"#,
        )
    }

    /// Closes the connection instead of answering.
    pub(crate) fn broken() -> Self {
        Self {
            broken: true,
            ..Self::json(200, "")
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// A server. Its base has a path, as the local stack's has.
#[derive(Debug)]
pub(crate) struct ScriptedServer {
    pub(crate) base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl ScriptedServer {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Serves the replies in order, the last one for ever.
pub(crate) async fn serve(replies: Vec<Reply>) -> ScriptedServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/base", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (log, replies) = (Arc::clone(&log), replies.clone());
            let answer = service_fn(move |request: Request<Incoming>| {
                let (log, replies) = (Arc::clone(&log), replies.clone());
                async move {
                    let path = request.uri().to_string();
                    let header =
                        |(n, v): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
                            (n.to_string(), v.to_str().unwrap_or_default().to_owned())
                        };
                    let headers = request.headers().iter().map(header).collect();
                    let body = request
                        .into_body()
                        .collect()
                        .await
                        .unwrap()
                        .to_bytes()
                        .to_vec();
                    let at = {
                        let mut log = log.lock().unwrap();
                        log.push(Seen {
                            path,
                            headers,
                            body,
                        });
                        log.len() - 1
                    };
                    let reply = replies[at.min(replies.len() - 1)].clone();
                    if reply.broken {
                        return Err(std::io::Error::other("broken on purpose"));
                    }
                    let mut response = Response::builder().status(reply.status);
                    for (name, value) in reply.headers {
                        response = response.header(name, value);
                    }
                    Ok(response.body(Full::new(Bytes::from(reply.body))).unwrap())
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    ScriptedServer { base, seen }
}
