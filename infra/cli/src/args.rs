//! The command line.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks are only noise"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use shared::domain::ids::{DeliveryId, JobId};

use crate::deliveries::DeliveriesOf;
use crate::ids::{delivery_id, job_id};
use crate::listen::Listen;
use crate::operator::{Keys, Tenants};
use crate::providers::{Enrich, Providers};
use crate::results::Results;
use crate::submit::Submit;

/// Millrace: enrich records in bulk, and have the results signed and delivered.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true, max_term_width = 110,
    after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a job ended other than \
    completed, 130 interrupted.\n\
Settings: MILLRACE_URL and MILLRACE_API_KEY for jobs; MILLRACE_WEBHOOK_SECRET for listen; \
MILLRACE_TABLE and AWS credentials for tenants and keys. `--env-file infra/local/.env` sets all of \
them for the local stack.";

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Base URL of the API; /v1/… follows it [env: MILLRACE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// API key; better in the environment, where no list of processes shows it [env:
    /// MILLRACE_API_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// A file of KEY=VALUE lines with settings; they override those of the environment
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a file of records to be enriched; prints the id of each job
    Submit(Submit),
    /// Follow jobs until they end
    Watch {
        #[arg(required = true, value_name = "JOB", value_parser = job_id)]
        jobs: Vec<JobId>,
        /// Print each ended job as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Fetch the results of jobs, in input order
    Results(Results),
    /// List jobs, newest first, with the state of each ended job's webhook
    Jobs {
        /// Only those of this status: queued, running, canceling, completed, canceled, failed,
        /// expired
        #[arg(long)]
        status: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Print each job as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Stop what has not started; partial results stay
    Cancel(OneJob),
    /// Start a new job of the records that failed or that a provider could not be asked about;
    /// prints its id
    Retry(OneJob),
    /// Erase a job's inputs, results and deliveries
    Delete {
        #[arg(value_name = "JOB", value_parser = job_id)]
        job: JobId,
    },
    /// Show the delivery log of a job, or of one delivery or event: every attempt and its outcome
    Deliveries {
        #[arg(value_name = "JOB|DELIVERY|EVENT", value_parser = DeliveriesOf::parse)]
        of: DeliveriesOf,
        /// Print each delivery as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Send the event of a delivery again
    Replay {
        #[arg(value_name = "DELIVERY", value_parser = delivery_id)]
        delivery: DeliveryId,
        /// Print the delivery as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show credits, limits, and the types of records with their input fields
    Account {
        /// Print the account as JSON
        #[arg(long)]
        json: bool,
    },
    /// Try a receiver, or change the secret that signs
    #[command(subcommand)]
    Webhook(Webhook),
    /// Receive webhooks on this machine, verify their signatures and print them
    Listen(Listen),
    /// Check providers.toml and try providers on this machine, without any stack
    #[command(subcommand)]
    Providers(Providers),
    /// Enrich one record on this machine, without any stack
    Enrich(Enrich),
    /// Manage tenants, straight in the table, with AWS credentials
    #[command(subcommand)]
    Tenants(Tenants),
    /// Manage API keys, straight in the table, with AWS credentials
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Debug, Args)]
pub(crate) struct OneJob {
    #[arg(value_name = "JOB", value_parser = job_id)]
    pub(crate) job: JobId,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// Send a signed webhook.test event to a URL and wait for the outcome; exit code 1 unless it is
    /// delivered
    Test {
        #[arg(value_name = "URL")]
        target: String,
        /// Do not wait
        #[arg(long)]
        no_wait: bool,
        /// Print the delivery as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new signing secret and print it, once
    Rotate {
        /// The hours for which the previous secret also signs, 0 to 72 [default: 24]
        #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(0..=72))]
        overlap_hours: Option<u32>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_are_told_before_anything_is_sent() {
        let wrong = [
            &["watch", "job_1"][..],
            &["watch"],
            &["replay", "dlv_1"],
            &[
                "results",
                "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "--status",
                "lost",
            ],
            &["tenants", "create", "A b"],
            &["tenants", "credits", "demo", "0"],
            &["tenants", "webhook-schedule", "demo", "1,x"],
            &["keys", "create", "demo", "--scope", "admin"],
            &["tenants", "set", "demo"],
            &["tenants", "secret", "demo"],
            &["tenants", "secret", "demo", "--surface", "springbolt"],
            &[
                "tenants",
                "secret",
                "demo",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "--surface",
                "apione",
            ],
            &["tenants", "set", "demo", "springbolt.callback_x=nested"],
            &["tenants", "set", "demo", "springbolt.callback_enrichment=x"],
            &["tenants", "set", "demo", "--unset", "native.x"],
            &["listen", "--path", "hook"],
            &["listen", "--answer", "99"],
            &["listen", "--secret", "whsec_x"],
            &["submit", "a.csv"],
            &["submit", "a.csv", "--type", "t", "--dry-run", "--wait"],
            &["webhook", "rotate", "--overlap-hours", "73"],
            &["enrich", "stripe.com"],
            &["enrich", "--type", "company"],
            &["enrich", "--type", "company", "--input", "stripe.com"],
            &["providers", "check", "--input", "a=b"],
        ];
        for args in wrong {
            assert!(
                Cli::try_parse_from(["millrace"].iter().chain(args)).is_err(),
                "{args:?}"
            );
        }
        let right = [
            &["tenants", "credits", "demo", "+500"][..],
            &["tenants", "credits", "demo", "-500", "--json"],
            &["tenants", "webhook-schedule", "demo", "none"],
            &["tenants", "secret", "demo", "--surface", "fullenrich"],
            &[
                "tenants",
                "secret",
                "demo",
                "--surface",
                "sixtyfour",
                "--remove",
            ],
            &[
                "tenants",
                "set",
                "demo",
                "springbolt.callback_enrichment=nested",
            ],
            &[
                "tenants",
                "set",
                "demo",
                "--unset",
                "springbolt.callback_enrichment",
            ],
            &[
                "results",
                "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "--status",
                "failed,not_found",
                "--format",
                "csv",
            ],
            &[
                "submit", "-", "--type", "t", "--input", "a=b", "--input", "c", "--url", "http://x",
            ],
            &[
                "enrich",
                "--type",
                "company",
                "stripe.com",
                "--providers",
                "brands",
                "--json",
            ],
            &[
                "enrich",
                "--type",
                "person",
                "--input",
                "first_name=A",
                "--input",
                "n:=5",
            ],
            &[
                "providers",
                "check",
                "--dir",
                "infra",
                "--dry-call",
                "--input",
                "a=b",
            ],
            &[
                "providers",
                "compile",
                "infra/providers.toml",
                "--output",
                "providers.compiled",
            ],
        ];
        for args in right {
            assert!(
                Cli::try_parse_from(["millrace"].iter().chain(args)).is_ok(),
                "{args:?}"
            );
        }
    }
}
