//! The arguments of `millrace providers` and `millrace enrich`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::account::Account;
use crate::sample;

#[derive(Debug, Subcommand)]
pub(crate) enum Providers {
    /// Say what is wrong with providers.toml, its tables and its secrets; list the types and whom
    /// they ask
    Check(Check),
    /// Check providers.toml as the build does, and write what the functions read at their start
    Compile(Compile),
}

#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// The file [default: infra/providers.toml, else providers.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Where to write it: providers.compiled beside the copy that is deployed. Nothing is written
    /// without it
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 1 where anything is wrong. Secrets come from the environment or \
        --env-file, those that are SSM parameters and tables in S3 from the AWS account; they are \
        never shown. Upstreams are reached as the functions reach them: MILLRACE_ALLOWED_CIDRS, \
        MILLRACE_ALLOW_HTTP, MILLRACE_NAMESERVER and MILLRACE_EXTRA_CA_FILE count."
)]
pub(crate) struct Check {
    /// Where providers.toml is [default: infra, else this directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Ask every provider once, for real: paid ones may charge for it
    #[arg(long)]
    pub(crate) dry_call: bool,
    /// Ask these alone
    #[arg(long, value_delimiter = ',', value_name = "A,B", requires = "dry_call")]
    pub(crate) provider: Vec<String>,
    /// Show on standard error what upstreams answer; secrets are masked
    #[arg(long, requires = "dry_call")]
    pub(crate) verbose: bool,
    /// The input to try instead of the usual example; FIELD:=JSON for values other than text
    #[arg(long, value_name = "FIELD=VALUE", value_parser = sample::field, requires = "dry_call")]
    pub(crate) input: Vec<(String, Value)>,
    #[command(flatten)]
    pub(crate) account: Account,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Providers are asked for real, and paid ones charge for it; no credits of a \
        tenant are counted. Where a provider answers later, this waits and asks again. The exit \
        code is 0 if the record is found or not found, else 1."
)]
pub(crate) struct Enrich {
    /// The record's type: company, hem, … (`millrace providers check` lists the types)
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// The value of the type's first input field, such as stripe.com
    #[arg(value_name = "VALUE")]
    pub(crate) value: Option<String>,
    /// An input field; FIELD:=JSON for values other than text
    #[arg(long, value_name = "FIELD=VALUE", value_parser = sample::field,
        required_unless_present = "value")]
    pub(crate) input: Vec<(String, Value)>,
    /// Providers to ask, in this order, instead of the type's own
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) providers: Option<Vec<String>>,
    /// Where providers.toml is [default: infra, else this directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print the line that the API would give
    #[arg(long)]
    pub(crate) json: bool,
    /// Show on standard error what upstreams answer; secrets are masked
    #[arg(long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) account: Account,
}
