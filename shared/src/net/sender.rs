//! The one HTTP client for hosts that customers name.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError};
use rustls::{ClientConfig, RootCertStore};

use super::deadline::limited;
use super::guard::{Cidr, Guard, PlainHttp};
use super::resolver::{ResolveError, Resolver};
use crate::ports::{HttpAnswer, HttpError, HttpRequest, HttpSender};

/// The time for name, TCP and TLS together, shared among a name's addresses, so that one address
/// that swallows packets does not use up the whole deadline.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// More header lines than this are no answer that we read.
const MAX_HEADERS: usize = 100;
/// The most of the answer's headers that is kept, names and values together, in bytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// The most of a peer's own words that an error keeps, in characters.
const MAX_REASON: usize = 200;

/// Headers that the client itself sends; a caller's could only contradict them.
const OWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The settings of the client. The default reaches public `https` hosts only.
#[derive(Debug, Clone, Default)]
pub struct SenderSettings {
    /// Networks that may be reached though they are not global.
    pub allowed: Vec<Cidr>,
    /// The URLs that may begin with `http:`.
    pub allow_http: PlainHttp,
    /// Lets this machine's own addresses be among the allowed ones. See [`Guard::local`].
    pub local: bool,
    /// The name server to ask instead of the system's.
    pub nameserver: Option<SocketAddr>,
    /// Certificate authorities to trust besides the public ones, PEM: for operators behind TLS
    /// inspection.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// The `User-Agent` of requests that bring none of their own.
    pub user_agent: String,
    /// Asks for gzip and unpacks it. Without, a packed body is returned as it came.
    pub decompress: bool,
    /// The time that an open connection waits for the next exchange with its host; zero: each
    /// exchange has its own. See [`ReqwestSender::forget_connections`].
    pub keep_idle: Duration,
}

/// Why [`SenderSettings`] cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// The PEM text cannot be read; holds the reason.
    #[error("the extra certificate authorities: {0}")]
    ExtraCa(String),
    /// The HTTP client refuses the settings; holds its words.
    #[error("the HTTP client: {0}")]
    Client(String),
}

/// [`HttpSender`] over `reqwest`, HTTP/1.1. See the [module](super) for how addresses are judged.
pub struct ReqwestSender {
    guard: Arc<Guard>,
    settings: SenderSettings,
    tls: ClientConfig,
    client: RwLock<Client>,
}

impl std::fmt::Debug for ReqwestSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReqwestSender")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl ReqwestSender {
    /// Builds the client. It reads no file and opens no socket: the public roots are a table in the
    /// program, ready to use, so there is nothing to put off until the first exchange.
    pub fn new(mut settings: SenderSettings) -> Result<Self, BadSettings> {
        let guard = Arc::new(
            Guard::new(std::mem::take(&mut settings.allowed), settings.allow_http)
                .local(settings.local),
        );
        let tls = tls(settings.extra_ca_pem.take().as_deref())?;
        let client = RwLock::new(client(&settings, &guard, &tls)?);
        Ok(Self {
            guard,
            settings,
            tls,
            client,
        })
    }

    fn client(&self) -> Client {
        self.client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn tls(extra_ca_pem: Option<&[u8]>) -> Result<ClientConfig, BadSettings> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(pem) = extra_ca_pem {
        let bad = |why: String| BadSettings::ExtraCa(why);
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| bad(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(bad("no PEM certificate in it".into()));
        }
    }
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| BadSettings::Client(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn client(
    settings: &SenderSettings,
    guard: &Arc<Guard>,
    tls: &ClientConfig,
) -> Result<Client, BadSettings> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(Resolver::new(Arc::clone(guard), settings.nameserver))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .gzip(settings.decompress)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(settings.keep_idle)
        .pool_max_idle_per_host(if settings.keep_idle.is_zero() {
            0
        } else {
            usize::MAX
        });
    let builder = if settings.user_agent.is_empty() {
        builder
    } else {
        builder.user_agent(settings.user_agent.as_str())
    };
    builder
        .build()
        .map_err(|error| BadSettings::Client(reason(&error)))
}

#[async_trait]
impl HttpSender for ReqwestSender {
    /// Drops every idle connection. A function that keeps connections calls this when an invocation
    /// begins: while it was frozen its peers closed them, its clock may not have moved, and a
    /// request on a dead connection is lost. TLS sessions are kept, so that the next handshakes are
    /// short.
    fn forget_connections(&self) {
        if self.settings.keep_idle.is_zero() {
            return;
        }
        if let Ok(fresh) = client(&self.settings, &self.guard, &self.tls) {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let url = self.guard.check(&request.url, request.plain_http)?;
        let method = method(&request.method)?;
        let headers = headers(&request.headers)?;
        let https = url.scheme() == "https";
        let head = self
            .client()
            .request(method, url)
            .headers(headers)
            .body(request.body)
            .send();
        // Outside of what the deadline drops, so that it survives a body that breaks off or never
        // ends.
        let mut answer = None;
        let exchange = async {
            let mut response = head.await?;
            let answer = answer.insert(HttpAnswer {
                status: response.status().as_u16(),
                headers: kept_headers(response.headers()),
                body: Vec::new(),
                truncated: false,
            });
            read_body(&mut response, request.max_response_bytes, answer).await
        };
        let fault = match limited(request.deadline, exchange).await {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(classify(&error, https)),
            None => Some(HttpError::Timeout),
        };
        match (answer, fault) {
            (Some(answer), None) => Ok(answer),
            (Some(answer), Some(cause)) => Err(HttpError::Cut {
                answer: Box::new(answer),
                cause: Box::new(cause),
            }),
            (None, fault) => Err(fault.unwrap_or(HttpError::Timeout)),
        }
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.guard.check(url, plain_http).map(drop)
    }
}

/// Reads the body into `answer`, `max_bytes` at most. A response that is not read to its end takes
/// its connection with it.
async fn read_body(
    response: &mut Response,
    max_bytes: usize,
    answer: &mut HttpAnswer,
) -> Result<(), reqwest::Error> {
    while let Some(chunk) = response.chunk().await? {
        let room = max_bytes - answer.body.len();
        if chunk.len() > room {
            answer.body.extend_from_slice(&chunk[..room]);
            answer.truncated = true;
            break;
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(())
}

fn method(name: &str) -> Result<Method, HttpError> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => {
            Err(HttpError::Protocol("the method cannot be sent".into()))
        }
        Ok(method) => Ok(method),
    }
}

fn headers(wanted: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::with_capacity(wanted.len());
    for (name, value) in wanted {
        let refuse = |why: &str| HttpError::Protocol(format!("the header {:?} {why}", cut(name)));
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refuse("has a name that cannot be sent"))?;
        if OWN_HEADERS.contains(&key.as_str()) {
            return Err(refuse("is the client's own to set"));
        }
        let value =
            HeaderValue::from_str(value).map_err(|_| refuse("has a value that cannot be sent"))?;
        headers.append(key, value);
    }
    Ok(headers)
}

fn kept_headers(received: &HeaderMap) -> Vec<(String, String)> {
    let mut room = MAX_HEADER_BYTES;
    let mut kept = Vec::with_capacity(received.len());
    for (name, value) in received {
        let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else {
            continue;
        };
        room = left;
        kept.push((
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        ));
    }
    kept
}

/// Returns the error's class, from the types along its chain of causes; texts are for people only.
fn classify(error: &reqwest::Error, https: bool) -> HttpError {
    let mut deepest_io = None;
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<ResolveError>() {
            return error.clone().into();
        }
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return HttpError::Tls(cut(&error.to_string()));
        }
        if cause.is::<InvalidDnsNameError>() {
            return HttpError::Url("the host name is not valid".into());
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            deepest_io = Some(error.kind());
        }
    }
    if error.is_builder() {
        return HttpError::Url(reason(error));
    }
    if error.is_connect() {
        return match deepest_io {
            // Opening a TCP connection ends in none of these: TCP was up, and the handshake broke.
            Some(
                kind @ (io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe),
            ) if https => HttpError::Tls(format!("the handshake broke off: {kind}")),
            Some(kind) => HttpError::Connect(kind.to_string()),
            None if error.is_timeout() => HttpError::Connect(io::ErrorKind::TimedOut.to_string()),
            None => HttpError::Connect("failed".into()),
        };
    }
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    HttpError::Protocol(reason(error))
}

/// An error and its causes. An [`io::Error`] that wraps another names that one's cause as its
/// source and skips the wrapped error itself, which is the one that tells.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(
        Some(error),
        |&error: &&'a (dyn Error + 'static)| match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        },
    )
}

/// The first cause in words. Those further up may name addresses or the URL.
fn reason(error: &reqwest::Error) -> String {
    causes(error)
        .skip(1)
        .last()
        .map_or_else(|| "failed".into(), |cause| cut(&cause.to_string()))
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_REASON).collect()
}
