//! The SDK clients, built by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::assets::AwsAssets;
use super::connector::Connector;
use super::meter::Meter;
use super::queue::{LazySqs, SqsQueue};
use super::service::Service;
use super::settings::{AwsLimits, AwsSettings, SettingsError};
use super::store::DynamoStore;
use crate::ports::{Clock, Entropy, QueueName};

const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// The time that a first connection may take before Init goes on without it.
const WARM_LIMIT: Duration = Duration::from_secs(1);

/// The clients of all services over one connection pool.
#[derive(Clone)]
pub struct AwsClients {
    dynamo: aws_sdk_dynamodb::Client,
    sqs: LazySqs,
    connector: SharedHttpConnector,
    settings: AwsSettings,
    meter: Option<Arc<Meter>>,
}

impl fmt::Debug for AwsClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsClients")
            .field("region", &self.settings.region)
            .finish_non_exhaustive()
    }
}

impl AwsClients {
    /// Builds the clients. Connects nowhere.
    pub fn new(settings: &AwsSettings) -> Result<Self, SettingsError> {
        let AwsLimits {
            attempt,
            operation,
            attempts,
            ..
        } = settings.limits;
        if attempts == 0 || attempt.is_zero() || operation.is_zero() {
            return Err(SettingsError::AwsLimits);
        }
        let connector = connector(settings)?;
        let base = Base::new(settings, &connector);
        let dynamo = aws_sdk_dynamodb::Client::from_conf(dynamo(&base).build());
        let sqs = Box::new(move || aws_sdk_sqs::Client::from_conf(sqs(&base).build()));
        Ok(Self {
            dynamo,
            sqs: Arc::new(LazyLock::new(sqs)),
            connector,
            settings: settings.clone(),
            meter: settings.metered.then(Arc::default),
        })
    }

    /// The table, by name. The clock and the randomness are for the waits between retries of
    /// unprocessed items.
    pub fn store(
        &self,
        table: &str,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> DynamoStore {
        DynamoStore::new(
            self.dynamo.clone(),
            table.to_owned(),
            clock,
            entropy,
            self.meter.clone(),
        )
    }

    /// The queues, by URL. A function needs only those that it sends to or receives from.
    pub fn queue(
        &self,
        urls: BTreeMap<QueueName, String>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> SqsQueue {
        SqsQueue::new(self.sqs.clone(), urls, clock, entropy, self.meter.clone())
    }

    /// Returns what providers need beside the bundle. The clock is for signatures, the randomness
    /// for the waits between attempts.
    pub fn assets(&self, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> AwsAssets {
        AwsAssets::new(
            self.settings.clone(),
            self.connector.clone(),
            clock,
            entropy,
        )
    }

    /// The meter, where metering is on.
    pub fn meter(&self) -> Option<&Arc<Meter>> {
        self.meter.as_ref()
    }

    /// Opens a connection to both services. See [`warm_only`](Self::warm_only).
    pub async fn warm(&self) {
        self.warm_only(&[Service::Table, Service::Queues]).await;
    }

    /// Opens a connection to each of these services, all at once, so that the first call finds it
    /// open. Takes a second at most and never fails: a connection that did not come is made when it
    /// is needed.
    ///
    /// It asks each endpoint's `/ping`, unsigned: no permission, no capacity, and no trace in an
    /// audit log.
    pub async fn warm_only(&self, services: &[Service]) {
        let knocks = services.iter().map(|service| {
            let base = match &self.settings.endpoint_url {
                Some(url) => url.trim_end_matches('/').to_owned(),
                None => service.endpoint(&self.settings.region),
            };
            self.knock(format!("{base}/ping"))
        });
        let all = futures_util::future::join_all(knocks);
        let _ = Timeout::new(all, TokioSleep::new().sleep(WARM_LIMIT)).await;
    }

    async fn knock(&self, url: String) {
        let Ok(request) = HttpRequest::get(url) else {
            return;
        };
        if let Ok(answer) = self.connector.call(request).await {
            // A connection goes back to the pool once its answer has been read to the end.
            let _ = ByteStream::new(answer.into_body()).collect().await;
        }
    }
}

fn connector(settings: &AwsSettings) -> Result<SharedHttpConnector, SettingsError> {
    let own_endpoint = match settings.endpoint_url.as_deref() {
        None => false,
        Some(url) if url.starts_with("https://") => true,
        // Nothing is verified there, and reading all system roots would double the time that Init
        // takes.
        Some(url) if url.starts_with("http://") => false,
        Some(_) => return Err(SettingsError::Endpoint),
    };
    let mut roots = RootCertStore::empty();
    add(&mut roots, AMAZON_ROOTS)?;
    if own_endpoint {
        // Some of the system's may be of a kind that cannot be used; the handshake tells when one
        // is missing.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(pem) = &settings.extra_ca_pem {
        add(&mut roots, pem)?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(SharedHttpConnector::new(Connector::new(
        tls,
        settings.limits.attempt,
    )))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), SettingsError> {
    let mut none = true;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| SettingsError::ExtraCa(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| SettingsError::ExtraCa(error.to_string()))?;
        none = false;
    }
    if none {
        Err(SettingsError::ExtraCa("none found".to_owned()))
    } else {
        Ok(())
    }
}

/// The parts that both clients are made from.
struct Base {
    settings: AwsSettings,
    client: SharedHttpClient,
    retry: RetryConfig,
    timeouts: TimeoutConfig,
    credentials: Credentials,
}

impl Base {
    fn new(settings: &AwsSettings, connector: &SharedHttpConnector) -> Self {
        let AwsLimits {
            attempt,
            operation,
            attempts,
            first_wait,
        } = settings.limits;
        let connector = connector.clone();
        Self {
            settings: settings.clone(),
            // One connector whatever the settings: the time-out of an attempt covers connecting and
            // reading both.
            client: http_client_fn(move |_, _| connector.clone()),
            retry: RetryConfig::standard()
                .with_max_attempts(attempts)
                .with_initial_backoff(first_wait)
                .with_max_backoff(Duration::from_secs(1)),
            timeouts: TimeoutConfig::builder()
                .operation_attempt_timeout(attempt)
                .operation_timeout(operation)
                .build(),
            credentials: Credentials::from_keys(
                &settings.access_key_id,
                &settings.secret_access_key,
                settings.session_token.clone(),
            ),
        }
    }
}

/// The two SDKs have config types of the same shape and nothing in common.
macro_rules! config {
    ($name:ident, $sdk:ident) => {
        fn $name(base: &Base) -> $sdk::config::Builder {
            use $sdk::config::{
                BehaviorVersion, Config, IdentityCache, Region, StalledStreamProtectionConfig,
            };
            let mut config = Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new(base.settings.region.clone()))
                .credentials_provider(base.credentials.clone())
                // Lambda hands a process credentials that outlive it; there is nothing to refresh.
                .identity_cache(IdentityCache::no_cache())
                .http_client(base.client.clone())
                .sleep_impl(TokioSleep::new())
                .retry_config(base.retry.clone())
                .timeout_config(base.timeouts.clone())
                // The time-out of an attempt covers its body.
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
            if let Some(url) = &base.settings.endpoint_url {
                config = config.endpoint_url(url);
            }
            config
        }
    };
}

config!(dynamo, aws_sdk_dynamodb);
config!(sqs, aws_sdk_sqs);

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AwsSettings {
        AwsSettings {
            region: "eu-central-1".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "a secret".to_owned(),
            session_token: None,
            endpoint_url: None,
            extra_ca_pem: None,
            metered: false,
            limits: AwsLimits::default(),
        }
    }

    #[test]
    fn the_bundled_roots_are_the_five_of_amazon() {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(AMAZON_ROOTS).collect();
        assert_eq!(certificates.unwrap().len(), 5);
        add(&mut RootCertStore::empty(), AMAZON_ROOTS).unwrap();
    }

    #[test]
    fn each_unusable_setting_has_its_own_error() {
        assert!(AwsClients::new(&settings()).is_ok());
        let with = |pem: &[u8]| {
            AwsClients::new(&AwsSettings {
                extra_ca_pem: Some(pem.to_vec()),
                ..settings()
            })
        };
        assert!(matches!(
            with(b"no certificate"),
            Err(SettingsError::ExtraCa(_))
        ));
        assert!(matches!(
            with(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
            Err(SettingsError::ExtraCa(_))
        ));
        assert!(with(AMAZON_ROOTS).is_ok());
        let endpoint = AwsSettings {
            endpoint_url: Some("ftp://x".to_owned()),
            ..settings()
        };
        assert_eq!(
            AwsClients::new(&endpoint).unwrap_err(),
            SettingsError::Endpoint
        );
        let limits = AwsSettings {
            limits: AwsLimits {
                attempts: 0,
                ..AwsLimits::default()
            },
            ..settings()
        };
        assert_eq!(
            AwsClients::new(&limits).unwrap_err(),
            SettingsError::AwsLimits
        );
    }

    #[test]
    fn debug_output_has_no_credentials() {
        assert!(!format!("{:?}", settings()).contains("secret"));
    }
}
