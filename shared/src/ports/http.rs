//! Exchanges with hosts outside.

use std::time::Duration;

use async_trait::async_trait;

/// An HTTP request to a host outside.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Upper-case method, `GET` or `POST` mostly.
    pub method: String,
    /// Absolute `https:` URL, or `http:` where the operator or `plain_http` allows it.
    pub url: String,
    /// Names and values, sent in this order beside those of the client.
    pub headers: Vec<(String, String)>,
    /// The bytes to send; empty for none.
    pub body: Vec<u8>,
    /// One deadline over name resolution, connect, TLS, headers and body.
    pub deadline: Duration,
    /// `http:` is taken whatever the operator says.
    pub plain_http: bool,
    /// The response body is cut after this many bytes (after decompression) and `truncated` set.
    pub max_response_bytes: usize,
}

impl std::fmt::Debug for HttpRequest {
    /// Leaves out headers, query and body: they carry secrets and personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &shown)
            .finish_non_exhaustive()
    }
}

/// An answer, whatever its status. Redirects are not followed.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code, from 100 to 599.
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body, unpacked where the client asked for packing.
    pub body: Vec<u8>,
    /// The body went on after `max_response_bytes`, and the rest was dropped.
    pub truncated: bool,
}

impl HttpAnswer {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

impl std::fmt::Debug for HttpAnswer {
    /// Leaves out headers and body: they carry personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpAnswer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why an exchange gave no whole answer. The texts name no address that a name resolved to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The URL cannot be used (scheme, host, credentials in it).
    #[error("the URL cannot be used: {0}")]
    Url(String),
    /// The host is, or resolves only to, addresses that are refused.
    #[error("the host's address is not allowed")]
    Blocked,
    /// The name has no address, or the resolver gave no answer.
    #[error("the host name did not resolve: {0}")]
    Dns(String),
    /// No connection came about; nothing was sent.
    #[error("could not connect: {0}")]
    Connect(String),
    /// The host's certificate is not trusted, or the handshake failed; nothing was sent.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The deadline passed. The host may have taken the request.
    #[error("no complete answer before the deadline")]
    Timeout,
    /// The connection broke, or the answer was no HTTP.
    #[error("the exchange broke off: {0}")]
    Protocol(String),
    /// The answer's head came, its body not to the end: `answer` has what did come. Who goes by the
    /// head alone reads it; for everybody else this is the failure that `cause` is.
    #[error("{cause}")]
    Cut {
        /// Status, headers, and the part of the body that came.
        answer: Box<HttpAnswer>,
        /// The failure that cut the body.
        cause: Box<HttpError>,
    },
}

impl HttpError {
    /// Returns what broke the exchange, whether or not a head had come by then.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Cut { cause, .. } => cause.cause(),
            plain => plain,
        }
    }

    /// The error class as the delivery log and provider errors show it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Cut { cause, .. } => cause.class(),
            Self::Url(_) => "url",
            Self::Blocked => "blocked",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout => "timeout",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// Everything that leaves to hosts outside.
#[async_trait]
pub trait HttpSender: Send + Sync {
    /// One exchange. It ends by `deadline`, keeps at most `max_response_bytes`, follows no
    /// redirect, uses no proxy, and reaches only global unicast addresses and the networks the
    /// operator allows. It never retries. `Ok` is an answer that came whole or was cut by
    /// `max_response_bytes`; where only its head is sure, it is in [`HttpError::Cut`].
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError>;

    /// Gives up connections kept for reuse. Called when an invocation begins: they may have died
    /// while it was frozen.
    fn forget_connections(&self) {}

    /// Returns whether this URL could be sent to at all, without asking the network: scheme, host,
    /// literal addresses. With `plain_http`, `http:` is taken whatever the operator says.
    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError>;
}
