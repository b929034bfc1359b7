//! The real clock and the real randomness: the only place that reads each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use crate::domain::time::Timestamp;
use crate::ports::{
    AssetError, Assets, Clock, Dns, DnsFailure, DnsKind, DnsRecord, Entropy, HttpAnswer, HttpError,
    HttpRequest, HttpSender, Object, ObjectName,
};

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "the only place")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "the only place; without randomness no id or secret is safe"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A name server for processes that ask none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDns;

#[async_trait]
impl Dns for NoDns {
    async fn look_up(&self, _: &str, _: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure> {
        Err(DnsFailure::Unanswered(
            "this process asks no name server".to_owned(),
        ))
    }
}

/// Nothing beside the bundle, for processes that ask no provider.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAssets;

#[async_trait]
impl Assets for NoAssets {
    async fn parameter(&self, _: &str) -> Result<String, AssetError> {
        Err(AssetError::Refused("this process reads none".to_owned()))
    }

    async fn object(
        &self,
        _: &ObjectName,
        _: Option<&str>,
        _: usize,
    ) -> Result<Option<Object>, AssetError> {
        Err(AssetError::Refused("this process reads none".to_owned()))
    }
}

/// A sender for functions that send nothing: it judges URLs and keeps an HTTP client out of their
/// binaries.
#[derive(Debug, Clone)]
pub struct CheckOnly(pub crate::net::Guard);

#[async_trait]
impl HttpSender for CheckOnly {
    async fn send(&self, _: HttpRequest) -> Result<HttpAnswer, HttpError> {
        Err(HttpError::Url("this function sends nothing".to_owned()))
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.0.check(url, plain_http).map(drop)
    }
}
