//! The settings that the clients are built from.

use std::fmt;
use std::time::Duration;

/// Bounds of one call. A hand-built client has no time-outs and no retry of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwsLimits {
    /// One attempt, from the request's first byte to the answer's last.
    pub attempt: Duration,
    /// All attempts and the waits between them.
    pub operation: Duration,
    /// The most attempts, at least 1.
    pub attempts: u32,
    /// The first wait between attempts, before jitter; it doubles up to a second.
    pub first_wait: Duration,
}

impl Default for AwsLimits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(2),
            operation: Duration::from_secs(8),
            attempts: 4,
            first_wait: Duration::from_millis(100),
        }
    }
}

/// The settings that the clients are made from. The caller reads it from wherever it is kept.
#[derive(Clone)]
pub struct AwsSettings {
    /// The region of table and queues, from Lambda's `AWS_REGION`. It stands in endpoints and in
    /// signatures.
    pub region: String,
    /// Together with the next two: the credentials of the function's role, from Lambda's
    /// environment.
    pub access_key_id: String,
    /// Signs every call (AWS Signature Version 4). Never shown.
    pub secret_access_key: String,
    /// Sent along with temporary credentials, as a role's are; `None` for a user's key.
    pub session_token: Option<String>,
    /// All services at this URL instead of Amazon's own (a local stack); `http:` is allowed here.
    pub endpoint_url: Option<String>,
    /// PEM certificates trusted beside Amazon's, for networks that inspect TLS.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Count calls and ask for consumed capacity.
    pub metered: bool,
    /// The times that a call to AWS and its attempts may take.
    pub limits: AwsLimits,
}

impl fmt::Debug for AwsSettings {
    /// Leaves out the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSettings")
            .field("region", &self.region)
            .field("endpoint_url", &self.endpoint_url)
            .finish_non_exhaustive()
    }
}

/// Settings that no client can be built from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// `extra_ca_pem` cannot be read; holds the reason.
    #[error("the extra CA file holds no usable PEM certificate: {0}")]
    ExtraCa(String),
    /// `endpoint_url` has another scheme or is not a URL.
    #[error("the endpoint is neither an http: nor an https: URL")]
    Endpoint,
    /// `limits` has no attempts, or no time for one.
    #[error("the limits allow no attempt")]
    AwsLimits,
    /// The TLS library refuses its configuration; holds its words.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
