//! Init: configuration, telemetry and adapters of a function, in one place. What is wrong is logged
//! as one line before the process ends, so that the cause stands in the log and not only "exit
//! status 1".

use std::sync::Arc;
use std::time::Duration;

use super::config::{Config, EgressPolicy, environment};
use super::sqs::Invocation;
use super::system::{CheckOnly, NoAssets, NoDns, SystemClock, SystemEntropy};
use super::telemetry;
use crate::aws::{AwsClients, Meter};
use crate::catalog::Catalog;
use crate::domain::tenant::fast_chunks;
use crate::domain::time::Timestamp;
use crate::jobs::Ports;
use crate::jobs::enrich::step;
use crate::net::{Guard, ReqwestSender, Resolver, SenderSettings};
use crate::ports::{Assets, Dns, HttpSender};
use crate::providers::Registry;
use crate::providers::kinds::READERS;
pub use crate::surfaces::SURFACES;
use crate::surfaces::{Surface, check_operations};

/// Why a function cannot start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// The ports to hosts outside.
pub type Outside = (Arc<dyn HttpSender>, Arc<dyn Dns>);

/// The ports that only some functions use, so that others do not link them.
struct Linked {
    outside: Outside,
    assets: Arc<dyn Assets>,
}

/// With whom a process has exchanges over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outbound {
    /// Once with a receiver.
    Receivers,
    /// Again and again with the same hosts within one invocation.
    Upstreams,
}

/// A started function.
#[derive(Debug)]
pub struct Started {
    /// The environment, read and checked.
    pub config: Config,
    /// The adapters as the use cases take them.
    pub ports: Ports,
    /// Counts calls to AWS, where `MILLRACE_METERED` asks for it.
    pub meter: Option<Arc<Meter>>,
    /// The clients behind the adapters, for what no port has.
    pub clients: AwsClients,
}

/// Reads the environment and builds the adapters of a function that judges URLs and sends nothing.
/// Opens no connection.
///
/// A function that neither answers requests nor renders events passes no surfaces, so that none is
/// linked into it.
pub fn start(surfaces: &'static [Surface]) -> Result<Started, StartError> {
    start_with(surfaces, |config, _| {
        let outside: Outside = (Arc::new(CheckOnly(guard(&config.egress))), Arc::new(NoDns));
        Ok(Linked {
            outside,
            assets: Arc::new(NoAssets),
        })
    })
}

/// As [`start`], for a function that sends to receivers. Apart from it, so that the HTTP client is
/// linked into no other.
pub fn start_sending(surfaces: &'static [Surface]) -> Result<Started, StartError> {
    start_with(surfaces, |config, _| {
        let outside: Outside = (
            Arc::new(sender(&config.egress, Outbound::Receivers)?),
            Arc::new(NoDns),
        );
        Ok(Linked {
            outside,
            assets: Arc::new(NoAssets),
        })
    })
}

/// As [`start`], for a function that asks providers. Apart from the others for what providers use
/// alone.
pub fn start_asking() -> Result<Started, StartError> {
    start_with(&[], |config, clients| {
        let assets = clients.assets(Arc::new(SystemClock), Arc::new(SystemEntropy));
        Ok(Linked {
            outside: upstreams(&config.egress)?,
            assets: Arc::new(assets),
        })
    })
}

fn start_with(
    surfaces: &'static [Surface],
    linked: impl FnOnce(&Config, &AwsClients) -> Result<Linked, StartError>,
) -> Result<Started, StartError> {
    let config = Config::read(&environment);
    telemetry::init(config.as_ref().map_or(tracing::Level::INFO, |c| c.log));
    logged(
        config
            .map_err(StartError::from)
            .and_then(|config| build(config, surfaces, linked)),
    )
}

/// Passes a result on, and logs the error if it is one.
fn logged<T>(result: Result<T, StartError>) -> Result<T, StartError> {
    if let Err(error) = &result {
        tracing::error!(error = %error, "the function cannot start");
    }
    result
}

fn build(
    config: Config,
    surfaces: &'static [Surface],
    linked: impl FnOnce(&Config, &AwsClients) -> Result<Linked, StartError>,
) -> Result<Started, StartError> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let clients = AwsClients::new(&config.aws)?;
    let Linked {
        outside: (http, dns),
        assets,
    } = linked(&config, &clients)?;
    let ports = Ports {
        store: Arc::new(clients.store(&config.table, clock.clone(), entropy.clone())),
        queue: Arc::new(clients.queue(config.queues.clone(), clock.clone(), entropy.clone())),
        http,
        dns,
        assets,
        surfaces,
        public_url: config.public_url.clone(),
        fast_chunks: fast_chunks(config.enrich_concurrency),
        large: Arc::default(),
        clock,
        entropy,
    };
    Ok(Started {
        meter: clients.meter().cloned(),
        ports,
        clients,
        config,
    })
}

/// Returns what providers ask their upstreams and the name server with. Opens no connection.
pub fn upstreams(egress: &EgressPolicy) -> Result<Outside, StartError> {
    let resolver = Resolver::new(Arc::new(guard(egress)), egress.nameserver);
    Ok((
        Arc::new(sender(egress, Outbound::Upstreams)?),
        Arc::new(resolver),
    ))
}

fn guard(egress: &EgressPolicy) -> Guard {
    Guard::new(egress.allowed_cidrs.clone(), egress.allow_http).local(egress.local)
}

fn sender(egress: &EgressPolicy, outbound: Outbound) -> Result<ReqwestSender, StartError> {
    let upstreams = outbound == Outbound::Upstreams;
    let settings = SenderSettings {
        allowed: egress.allowed_cidrs.clone(),
        allow_http: egress.allow_http,
        local: egress.local,
        nameserver: egress.nameserver,
        extra_ca_pem: egress.extra_ca_pem.clone(),
        user_agent: concat!("Millrace/", env!("CARGO_PKG_VERSION")).to_owned(),
        decompress: upstreams,
        // A receiver is met once; an upstream again at the next record. Neither connection survives
        // a frozen Lambda.
        keep_idle: if upstreams {
            Duration::from_secs(5)
        } else {
            Duration::ZERO
        },
    };
    Ok(ReqwestSender::new(settings)?)
}

impl Started {
    /// Returns what `providers.toml` says about types.
    pub fn catalog(&self) -> Result<Catalog, StartError> {
        let catalog = Catalog::load(READERS, &self.config.bundle).map_err(StartError::from);
        logged(catalog.and_then(|catalog| {
            check_operations(self.ports.surfaces, &catalog)
                .map_err(|why| format!("providers.toml: {why}"))?;
            Ok(catalog)
        }))
    }

    /// The providers, with their tables and secrets.
    pub fn registry(&self) -> Result<Registry, StartError> {
        let registry =
            logged(Registry::load(&self.config.bundle, &environment).map_err(StartError::from))?;
        let longest = step::longest_record(self.config.enrich_timeout);
        for kind in registry
            .catalog()
            .kinds()
            .filter(|kind| kind.record_timeout() > longest)
        {
            tracing::warn!(
                job.kind = kind.name(),
                record_timeout_s = kind.record_timeout().as_secs(),
                longest_s = longest.as_secs(),
                "records of this type get less time than providers.toml says: raise EnrichTimeout"
            );
        }
        Ok(registry)
    }

    /// Returns what a batch of messages is worked on with.
    pub fn invocation(&self, deadline: Timestamp) -> Invocation<'_> {
        Invocation {
            ports: &self.ports,
            queues: &self.config.queues,
            deadline,
        }
    }

    /// When an invocation ends. A runtime that gives no deadline of this age gets the function's
    /// own time-out.
    pub fn deadline(&self, context: &lambda_runtime::Context, timeout: Duration) -> Timestamp {
        let now = self.ports.clock.now();
        let given = Timestamp(i64::try_from(context.deadline).unwrap_or(i64::MAX));
        if given > now {
            given
        } else {
            now.plus(timeout)
        }
    }
}
