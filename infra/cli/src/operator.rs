//! The operator's commands: tenants and keys, written straight to the table. AWS credentials
//! decide who may do this.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use shared::aws::AwsClients;
use shared::domain::error::ApiError;
use shared::domain::ids::TenantId;
use shared::domain::signature::Secret;
use shared::domain::tenant::{
    ENRICH_CONCURRENCY, Scope, SettingChange, SurfaceSettings, fast_chunks,
};
use shared::domain::time::Timestamp;
use shared::jobs::authenticate::authenticate;
use shared::jobs::{Ports, StepError};
use shared::lambda::system::{CheckOnly, NoAssets, NoDns, SystemClock, SystemEntropy};
use shared::maintenance::tenants;
use shared::net::Guard;
use shared::ports::{Clock, Entropy, StoreError};
use shared::surfaces::{OwnSecret, SURFACES, own_secret_form, parse_setting, parse_unset};
use shared::webhooks::secrets::set_own;

use crate::account::{self, Account};
use crate::failure::Failure;
use crate::screen::print;
use crate::settings::CliSettings;

/// Attempts of a delivery beyond any sensible schedule, and the longest pause (the native
/// schedule's is a day).
const MAX_SCHEDULE: usize = 20;
const MAX_PAUSE_SECONDS: u64 = 7 * 24 * 3600;
/// No key and no secret is longer, with white space around it.
const MAX_STDIN_BYTES: u64 = 512;
/// Pauses between a delivery's attempts, in seconds; `None` for the usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule(Option<Vec<u64>>);

impl Schedule {
    /// Reads `1,2,4` or `none`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let seconds: Result<Vec<u64>, _> = text.split(',').map(|s| s.trim().parse()).collect();
        let seconds =
            seconds.map_err(|_| "is neither seconds such as 1,2,4 nor none".to_owned())?;
        if seconds.len() > MAX_SCHEDULE || seconds.iter().any(|s| *s > MAX_PAUSE_SECONDS) {
            return Err(format!(
                "has more than {MAX_SCHEDULE} pauses, or one longer than a week"
            ));
        }
        Ok(Self(Some(seconds)))
    }
}

/// Options of what goes straight to the table.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the help text, where backticks are only noise"
)]
pub(crate) struct Table {
    /// The table's name [env: MILLRACE_TABLE]
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<String>,
    #[command(flatten)]
    pub(crate) account: Account,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tenants {
    /// Make a tenant; prints its API key and webhook secret, once
    Create {
        #[arg(value_name = "TENANT", value_parser = tenant_id)]
        tenant: TenantId,
        /// Its credits
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
        credits: i64,
        #[command(flatten)]
        table: Table,
    },
    /// Show a tenant's credits and settings
    Show {
        #[arg(value_name = "TENANT", value_parser = tenant_id)]
        tenant: TenantId,
        #[command(flatten)]
        table: Table,
    },
    /// Choose how surfaces answer a tenant whose clients differ, such as
    /// `springbolt.callback_enrichment=nested`; jobs submitted before keep what they began with
    Set {
        #[arg(value_name = "TENANT", value_parser = tenant_id)]
        tenant: TenantId,
        /// The choice; a wrong one is refused with the list of those that exist
        #[arg(
            value_name = "SURFACE.SETTING=VALUE",
            value_parser = set,
            required_unless_present = "unset"
        )]
        set: Vec<SettingChange<'static>>,
        /// Go back to the default
        #[arg(long, value_name = "SURFACE.SETTING", value_parser = unset)]
        unset: Vec<SettingChange<'static>>,
        #[command(flatten)]
        table: Table,
    },
    /// Set a tenant's own webhook secret for one surface; reads it from standard input
    Secret {
        #[arg(value_name = "TENANT", value_parser = tenant_id)]
        tenant: TenantId,
        /// The surface, such as fullenrich
        #[arg(long, value_name = "SURFACE", value_parser = takes_a_secret)]
        surface: String,
        /// Remove it, so that the tenant's usual secret signs again; reads nothing
        #[arg(long)]
        remove: bool,
        /// Hours for which the previous secret also signs
        #[arg(long, value_name = "0..72", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=72))]
        overlap_hours: u64,
        #[command(flatten)]
        table: Table,
    },
    /// Add credits (+500) or take some away (-500); prints the balance
    Credits {
        #[arg(value_name = "TENANT", value_parser = tenant_id)]
        tenant: TenantId,
        #[arg(value_name = "+N", allow_hyphen_values = true, value_parser = amount)]
        amount: i64,
        #[command(flatten)]
        table: Table,
    },
    /// Replace the webhook retry schedule by these seconds, without jitter; `none` goes back to the
    /// usual one
    WebhookSchedule {
        #[arg(value_name = "TENANT", value_parser = tenant_id)]
        tenant: TenantId,
        #[arg(value_name = "1,2,4|none", value_parser = Schedule::parse)]
        schedule: Schedule,
        #[command(flatten)]
        table: Table,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make another API key for a tenant; prints it, once
    Create {
        #[arg(value_name = "TENANT", value_parser = tenant_id)]
        tenant: TenantId,
        /// Its rights: read (GET), write (POST and DELETE)
        #[arg(long, value_delimiter = ',', value_name = "read,write",
            default_value = "read,write", value_parser = scope)]
        scope: Vec<Scope>,
        #[command(flatten)]
        table: Table,
    },
    /// Take a key back; it stops working at once
    Revoke {
        /// The key; read from standard input where it is left out
        #[arg(value_name = "KEY")]
        revoked: Option<String>,
        #[command(flatten)]
        table: Table,
    },
}

/// `millrace tenants`.
pub(crate) async fn tenants(settings: &CliSettings, command: &Tenants) -> Result<(), Failure> {
    match command {
        Tenants::Create {
            tenant,
            credits,
            table,
        } => {
            let new = tenants::create(&ports(settings, table).await?, tenant, *credits).await;
            let new = new.map_err(|error| {
                reported(&error, || format!("there is a tenant {tenant} already"))
            })?;
            let secret = new.webhook_secret.reveal();
            if table.json {
                return print(json!({"tenant": tenant.as_str(), "api_key": new.api_key,
                        "webhook_secret": secret}));
            }
            eprintln!("tenant {tenant}; neither of these is shown again:");
            print(format!(
                "MILLRACE_API_KEY={}\nMILLRACE_WEBHOOK_SECRET={secret}",
                new.api_key
            ))
        }
        Tenants::Show { tenant, table } => show(settings, tenant, table).await,
        Tenants::Set {
            tenant,
            set,
            unset,
            table,
        } => {
            let changes = [&set[..], unset].concat();
            change_settings(settings, tenant, &changes, table).await
        }
        Tenants::Secret {
            tenant,
            surface,
            remove,
            overlap_hours,
            table,
        } => {
            let own = OwnSecret {
                surface: surface.clone(),
                secret: if *remove {
                    None
                } else {
                    Some(secret_from_stdin()?)
                },
            };
            own_secret(settings, tenant, &own, *overlap_hours, table).await
        }
        Tenants::Credits {
            tenant,
            amount,
            table,
        } => {
            let balance =
                tenants::add_credits(&ports(settings, table).await?, tenant, *amount).await;
            let balance = balance.map_err(|error| step(&error, tenant))?;
            let balance = balance.ok_or_else(|| Failure::Failed(absent(tenant)))?;
            if table.json {
                return print(json!({"tenant": tenant.as_str(), "balance": balance}));
            }
            print(format!("{tenant}: {balance} credits"))
        }
        Tenants::WebhookSchedule {
            tenant,
            schedule,
            table,
        } => set_schedule(settings, tenant, schedule, table).await,
    }
}

/// `millrace keys`.
pub(crate) async fn keys(settings: &CliSettings, command: &Keys) -> Result<(), Failure> {
    match command {
        Keys::Create {
            tenant,
            scope,
            table,
        } => {
            let scopes: BTreeSet<Scope> = scope.iter().copied().collect();
            let key = tenants::create_key(&ports(settings, table).await?, tenant, &scopes).await;
            let key = key.map_err(|error| reported(&error, || absent(tenant)))?;
            if table.json {
                let scopes: Vec<&str> = scopes.iter().map(|s| s.as_str()).collect();
                return print(json!({"tenant": tenant.as_str(), "api_key": key, "scopes": scopes}));
            }
            print(key)
        }
        Keys::Revoke { revoked, table } => {
            let key = revoked.clone().map_or_else(key_from_stdin, Ok)?;
            let ports = ports(settings, table).await?;
            // The table accepts a deletion of nothing; here a mistyped key is an error.
            match authenticate(&ports, Some(&key), Scope::Read).await {
                Err(ApiError::Unauthorized) => return Err(Failure::failed("no such key")),
                Ok(_) | Err(ApiError::Forbidden { .. }) => {}
                Err(_) => {
                    return Err(Failure::failed(
                        "the table does not answer, or may not be read",
                    ));
                }
            }
            tenants::revoke_key(&ports, &key)
                .await
                .map_err(|error| reported(&error, String::new))?;
            if table.json {
                print(json!({"revoked": true}))
            } else {
                print("revoked")
            }
        }
    }
}

fn tenant_id(text: &str) -> Result<TenantId, String> {
    TenantId::parse(text).ok_or_else(|| "is not a tenant id: 1 to 64 of a-z 0-9 - _".to_owned())
}

fn set(text: &str) -> Result<SettingChange<'static>, String> {
    parse_setting(SURFACES, text)
}

fn unset(text: &str) -> Result<SettingChange<'static>, String> {
    parse_unset(SURFACES, text)
}

/// Lists the choices as they were given.
fn chosen(surfaces: &BTreeMap<String, SurfaceSettings>) -> String {
    let all = surfaces.iter().flat_map(|(surface, settings)| {
        settings
            .iter()
            .map(move |(name, value)| format!("{surface}.{name}={value}"))
    });
    let all: Vec<String> = all.collect();
    if all.is_empty() {
        "every surface answers as usual".to_owned()
    } else {
        all.join(" ")
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text.trim()).ok_or_else(|| "is neither read nor write".to_owned())
}

fn amount(text: &str) -> Result<i64, String> {
    let number: i64 = text
        .parse()
        .map_err(|_| "is not a whole number such as +500".to_owned())?;
    if number == 0 {
        Err("changes nothing".to_owned())
    } else {
        Ok(number)
    }
}

fn key_from_stdin() -> Result<String, Failure> {
    line_from_stdin("no key: give it as an argument or on standard input")
}

/// Reads a text without the white space around it. One that is too long is cut behind the longest
/// that could be right, so that it is refused.
fn line_from_stdin(missing: &str) -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_STDIN_BYTES)
        .read_to_string(&mut text)?;
    if text.len() as u64 == MAX_STDIN_BYTES {
        let most = MAX_STDIN_BYTES - 1;
        return Err(Failure::usage(format!(
            "standard input has over {most} bytes"
        )));
    }
    match text.trim() {
        "" => Err(Failure::usage(missing)),
        text => Ok(text.to_owned()),
    }
}

fn secret_from_stdin() -> Result<Secret, Failure> {
    let text = line_from_stdin("no secret: give it on standard input")?;
    Ok(Secret::chosen(&text))
}

/// Shows a tenant's credits and settings.
async fn show(settings: &CliSettings, tenant: &TenantId, table: &Table) -> Result<(), Failure> {
    let account = tenants::show(&ports(settings, table).await?, tenant)
        .await
        .map_err(|error| step(&error, tenant))?;
    let account = account.ok_or_else(|| Failure::failed(absent(tenant)))?;
    let schedule = account.profile.webhook_schedule;
    if table.json {
        return print(json!({
            "tenant": tenant.as_str(),
            "created_at": account.profile.created_at.rfc3339(),
            "credits": {"balance": account.balance, "used": account.used},
            "open_chunks": account.open_chunks,
            "webhook_schedule": schedule,
            "settings": account.profile.surfaces,
        }));
    }
    let schedule =
        schedule.map_or_else(|| "the usual one".to_owned(), |s| format!("{s:?} seconds"));
    print(format!(
        "{tenant}, since {}\n  credits: {} free, {} used\n  open chunks: {}\n  webhook schedule: {schedule}\n  settings: {}",
        account.profile.created_at,
        account.balance,
        account.used,
        account.open_chunks,
        chosen(&account.profile.surfaces)
    ))
}

/// Sets the pauses between the attempts of a tenant's webhooks.
async fn set_schedule(
    settings: &CliSettings,
    tenant: &TenantId,
    schedule: &Schedule,
    table: &Table,
) -> Result<(), Failure> {
    let ports = ports(settings, table).await?;
    tenants::set_webhook_schedule(&ports, tenant, schedule.0.clone())
        .await
        .map_err(|error| step(&error, tenant))?;
    if table.json {
        return print(json!({"tenant": tenant.as_str(), "webhook_schedule": schedule.0}));
    }
    match &schedule.0 {
        Some(seconds) => print(format!(
            "{tenant}: webhooks are tried again after {seconds:?} seconds"
        )),
        None => print(format!("{tenant}: webhooks are tried again as usual")),
    }
}

/// Changes what is chosen for a tenant, and prints all that is chosen then.
async fn change_settings(
    settings: &CliSettings,
    tenant: &TenantId,
    changes: &[SettingChange<'static>],
    table: &Table,
) -> Result<(), Failure> {
    let ports = ports(settings, table).await?;
    let surfaces = tenants::change_settings(&ports, tenant, changes).await;
    let surfaces = surfaces.map_err(|error| step(&error, tenant))?;
    if table.json {
        return print(json!({"tenant": tenant.as_str(), "settings": surfaces}));
    }
    print(format!("{tenant}: {}", chosen(&surfaces)))
}

fn takes_a_secret(text: &str) -> Result<String, String> {
    own_secret_form(SURFACES, text).map(|_| text.to_owned())
}

/// Sets or removes a tenant's own secret for a surface, which is never printed.
async fn own_secret(
    settings: &CliSettings,
    tenant: &TenantId,
    own: &OwnSecret,
    overlap_hours: u64,
    table: &Table,
) -> Result<(), Failure> {
    let ports = ports(settings, table).await?;
    let account = tenants::show(&ports, tenant).await;
    if account.map_err(|error| step(&error, tenant))?.is_none() {
        return Err(Failure::Failed(absent(tenant)));
    }
    let overlap = Duration::from_secs(overlap_hours * 3600);
    let set = set_own(&ports, tenant, own, overlap, None).await;
    let set = set.map_err(|error| match error {
        ApiError::Invalid(faults) => {
            let faults = faults
                .iter()
                .map(|fault| format!("the secret {}", fault.detail));
            Failure::Failed(faults.collect::<Vec<_>>().join("; "))
        }
        _ => Failure::failed("the table does not answer, or may not be written"),
    })?;
    if set.is_key {
        eprintln!(
            "warning: this is an API key, and is stored as it is, which keys are nowhere else"
        );
    }
    let until = set.previous_expires_at.map(Timestamp::rfc3339);
    if table.json {
        return print(json!({
            "tenant": tenant.as_str(),
            "surface": own.surface,
            "set": own.secret.is_some(),
            "previous_expires_at": until,
            "is_api_key": set.is_key,
        }));
    }
    let signer = if own.secret.is_some() {
        "its own secret"
    } else {
        "the tenant's usual secret"
    };
    let until = until.map_or_else(String::new, |at| format!("; the previous one until {at}"));
    print(format!(
        "{tenant}: {signer} signs on {}{until}",
        own.surface
    ))
}

fn absent(tenant: &TenantId) -> String {
    format!("no tenant {tenant}")
}

/// Describes a failure of the table; `condition` says what a failed condition means.
fn reported(error: &StoreError, condition: impl FnOnce() -> String) -> Failure {
    Failure::Failed(match error {
        StoreError::ConditionFailed(_) => condition(),
        other => other.to_string(),
    })
}

fn step(error: &StepError, tenant: &TenantId) -> Failure {
    match error {
        StepError::Store(error) => reported(error, || absent(tenant)),
        other => Failure::Failed(other.to_string()),
    }
}

/// The table behind the use cases. Nothing here enqueues or sends.
async fn ports(settings: &CliSettings, table: &Table) -> Result<Ports, Failure> {
    let name = settings.need(table.table.as_ref(), "--table", "MILLRACE_TABLE")?;
    let endpoint_url = settings.get("AWS_ENDPOINT_URL_DYNAMODB");
    let aws = account::settings(settings, &table.account, endpoint_url).await?;
    let clients = AwsClients::new(&aws).map_err(|error| Failure::usage(error.to_string()))?;
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    Ok(Ports {
        store: Arc::new(clients.store(&name, Arc::clone(&clock), Arc::clone(&entropy))),
        queue: Arc::new(clients.queue(BTreeMap::new(), Arc::clone(&clock), Arc::clone(&entropy))),
        http: Arc::new(CheckOnly(Guard::default())),
        dns: Arc::new(NoDns),
        assets: Arc::new(NoAssets),
        clock,
        entropy,
        surfaces: SURFACES,
        public_url: None,
        fast_chunks: fast_chunks(ENRICH_CONCURRENCY),
        large: Arc::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_seconds_or_none() {
        assert_eq!(Schedule::parse("none"), Ok(Schedule(None)));
        assert_eq!(Schedule::parse("1, 2,4"), Ok(Schedule(Some(vec![1, 2, 4]))));
        for text in ["", "1,", "-1", "1.5", "9999999", &["1"; 21].join(",")] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_condition_that_failed_is_told_in_words() {
        let tenant = TenantId::parse("demo").unwrap();
        let failed = step(
            &StepError::Store(StoreError::ConditionFailed(Vec::new())),
            &tenant,
        );
        assert_eq!(failed, Failure::Failed("no tenant demo".to_owned()));
        let other = reported(&StoreError::Throttled, String::new);
        assert_eq!(other, Failure::Failed("the table is throttled".to_owned()));
    }
}
