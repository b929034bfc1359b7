//! The parts of this machine that a try needs: the directory, the network, the account.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::aws::AwsClients;
use shared::catalog::{CONFIG_FILE, ProviderConfig};
use shared::lambda::config::EgressPolicy;
use shared::lambda::start::upstreams;
use shared::lambda::system::{NoAssets, SystemClock, SystemEntropy};
use shared::ports::{Assets, Entropy as _};
use shared::providers::Ports;

use crate::account::{self, Account};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::settings::CliSettings;
use crate::watched::{Redactor, Sink, TracingSender};

/// Where `providers.toml` is.
pub(super) fn directory(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(dir) = named {
        return Ok(dir.to_owned());
    }
    let usual = ["infra", "."]
        .map(PathBuf::from)
        .into_iter()
        .find(|dir| dir.join(CONFIG_FILE).is_file());
    usual.ok_or_else(|| {
        Failure::usage("providers.toml is neither in infra nor here; name its directory with --dir")
    })
}

/// The real network, within what the settings allow.
pub(super) fn ports(settings: &CliSettings) -> Result<Ports, Failure> {
    let egress = EgressPolicy::read(&|name| settings.get(name))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let (http, dns) = upstreams(&egress).map_err(|error| Failure::failed(error.to_string()))?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    Ok(Ports {
        http,
        dns,
        assets: Arc::new(NoAssets),
        clock,
        entropy,
        shared: None,
        seen: None,
        guard: None,
    })
}

/// Returns the same ports with a tracing sender. With `verbose` it prints what these providers
/// exchange on standard error.
pub(super) async fn watch(
    asked: impl Iterator<Item = &ProviderConfig>,
    verbose: bool,
    settings: &CliSettings,
    ports: Ports,
) -> Result<(Arc<TracingSender>, Ports), Failure> {
    let telling = if verbose {
        let screen = Screen::new();
        let tell: Sink = Arc::new(move |line: &str| screen.note(line));
        Some((
            tell,
            Redactor::of(asked, settings, ports.assets.as_ref()).await?,
        ))
    } else {
        None
    };
    let watched = Arc::new(TracingSender::new(
        Arc::clone(&ports.http),
        Arc::clone(&ports.clock),
        telling,
    ));
    Ok((
        Arc::clone(&watched),
        Ports {
            http: watched,
            ..ports
        },
    ))
}

/// Returns what providers need of the AWS account. Does not connect yet.
pub(super) async fn assets(
    settings: &CliSettings,
    account: &Account,
) -> Result<Arc<dyn Assets>, Failure> {
    let aws = account::settings(settings, account, None).await?;
    let clients = AwsClients::new(&aws).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Arc::new(
        clients.assets(Arc::new(SystemClock), Arc::new(SystemEntropy)),
    ))
}

/// Another one each time: an upstream that recognises a repeated request shall answer this one.
pub(super) fn fresh_key() -> String {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes);
    format!("millrace-cli-{}", hex::encode(bytes))
}
