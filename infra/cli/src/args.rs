//! The command line.

#![expect(clippy::doc_markdown, reason = "these comments are the help text, where backticks are only noise")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use shared::domain::ids::{DeliveryId, JobId};

use crate::account::Account;
use crate::listen::Listen;
use crate::operator::{Keys, Tenants};
use crate::records::Columns;
use crate::sample;

/// Millrace: enrich records in bulk, and have the results signed and delivered.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true, max_term_width = 110, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a job ended other than completed, 130 interrupted.\n\
Settings: MILLRACE_URL and MILLRACE_API_KEY for jobs; MILLRACE_WEBHOOK_SECRET for listen; MILLRACE_TABLE and AWS credentials \
for tenants and keys. `--env-file infra/local/.env` sets all of them for the local stack.";

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Base URL of the API; /v1/… follows it [env: MILLRACE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// API key; better in the environment, where no list of processes shows it [env: MILLRACE_API_KEY]
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// A file of KEY=VALUE lines with settings; they come before those of the environment
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
        /// Only those of this status: queued, running, canceling, completed, canceled, failed, expired
        #[arg(long)]
        status: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Print each job as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Stop what has not started; partial results stay
    Cancel(OneJob),
    /// Start a new job of the records that failed or that a provider could not be asked about; prints its id
    Retry(OneJob),
    /// Erase a job's inputs, results and deliveries
    Delete {
        #[arg(value_name = "JOB", value_parser = job_id)]
        job: JobId,
    },
    /// Show the delivery log of a job, or of one delivery or event: every attempt and what came of it
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
    /// Look at providers.toml on this machine, without any stack
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

/// Whose deliveries are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveriesOf {
    Job(JobId),
    One(DeliveryId),
}

impl DeliveriesOf {
    /// Reads the id of a job, a delivery or an event.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let job = JobId::parse(text).map(Self::Job);
        let of = job.or_else(|| delivery_id(text).ok().map(Self::One));
        of.ok_or_else(|| "is no id of a job, a delivery or an event (job_…, dlv_…, evt_…)".to_owned())
    }
}

#[derive(Debug, Args)]
pub(crate) struct OneJob {
    #[arg(value_name = "JOB", value_parser = job_id)]
    pub(crate) job: JobId,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The forms of input files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// A header line; one record a row
    Csv,
    /// One JSON object a line: {"id", "input", "metadata"}, or plain members that are taken like columns
    Ndjson,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Columns: `id` is the record's id, columns named like an input field of the type are input (`millrace account` \
lists them), all others are metadata and come back with the result. Empty cells are left out. Two columns of one name are an \
error unless --omit leaves them out.\n\
Files are UTF-8, or UTF-16 as Excel's \"Unicode text\". A spreadsheet has to be saved as CSV first.\n\
A file of more than 1,000 records, or more than a request holds, becomes several jobs. When something fails on the way, the \
same command with the same --idempotency-key goes on where it stopped and starts nothing twice."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Submit {
    /// A .csv, .tsv, .txt, .ndjson or .jsonl file; - reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What the records are: company, hem, … (`millrace account` lists the types)
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// A name for the job
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where to send the signed event when the job is over
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// Where to send a signed event for each record as soon as it has ended; each is then worked on by itself, which takes
    /// longer
    #[arg(long, value_name = "URL")]
    pub(crate) record_webhook: Option<String>,
    /// Providers to ask, in this order, instead of the type's own
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) providers: Option<Vec<String>>,
    /// Spend at most so many credits on the file; records past it end `skipped`
    #[arg(long, value_name = "N")]
    pub(crate) max_credits: Option<u64>,
    /// Send nothing if any record is bad; without this, bad records end `invalid` in their places and the rest is worked on
    #[arg(long)]
    pub(crate) strict: bool,
    /// Check the records and price them, start nothing
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    /// Names this submission: the same key and file give the same jobs for 24 hours [default: random]
    #[arg(long, value_name = "K")]
    pub(crate) idempotency_key: Option<String>,
    /// Stay until the jobs have ended
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print each job as JSON, one a line, instead of its id
    #[arg(long)]
    pub(crate) json: bool,
    /// The file's form, where its name does not tell
    #[arg(long, value_enum)]
    pub(crate) format: Option<InputFormat>,
    /// What is between cells: one character, or `tab` [default: what a first line `sep=;` or the rows show, a tab in .tsv]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// The column with the id
    #[arg(long, value_name = "COLUMN")]
    pub(crate) id_column: Option<String>,
    /// A column that is input, and the field it is for
    #[arg(long, value_name = "COLUMN[=FIELD]", value_parser = Columns::pair)]
    pub(crate) input: Vec<(String, String)>,
    /// A column that is metadata, and under which name
    #[arg(long, value_name = "COLUMN[=FIELD]", value_parser = Columns::pair)]
    pub(crate) metadata: Vec<(String, String)>,
    /// A column that is not sent
    #[arg(long, value_name = "COLUMN")]
    pub(crate) omit: Vec<String>,
}

/// The forms of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One JSON object a line
    Ndjson,
    /// One row a record, one column a field: input.domain, metadata.crm_id, data.company_name, …
    Csv,
    /// One JSON array
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Results {
    #[arg(required = true, value_name = "JOB", value_parser = job_id)]
    pub(crate) jobs: Vec<JobId>,
    #[arg(long, value_enum, default_value = "ndjson")]
    pub(crate) format: OutputFormat,
    /// Write here instead of standard output; the file appears when it is complete
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Make the CSV file for Excel: UTF-8 with a byte order mark, lines that end in CR LF
    #[arg(long)]
    pub(crate) excel: bool,
    /// Only records with these outcomes: found, not_found, failed, invalid, skipped, canceled
    #[arg(long, value_delimiter = ',', value_name = "STATUS,…", value_parser = OUTCOMES)]
    pub(crate) status: Vec<String>,
}

const OUTCOMES: [&str; 6] = ["found", "not_found", "failed", "invalid", "skipped", "canceled"];

#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// Send a signed webhook.test event to a URL and wait for what comes of it; exit code 1 unless it is delivered
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
        /// How long the secret before signs along, 0 to 72 [default: 24]
        #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(0..=72))]
        overlap_hours: Option<u32>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Providers {
    /// Say what is wrong with providers.toml, its tables and its secrets; list the types and whom they ask
    Check(Check),
    /// Check providers.toml as the build does, and write what the functions read at their start
    Compile(Compile),
}

#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// The file [default: infra/providers.toml, else providers.toml]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Where to write it: providers.compiled beside the copy that is deployed. Nothing is written without it
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 1 where anything is wrong. Secrets come from the environment or --env-file, those \
that are SSM parameters and tables in S3 from the AWS account; they are never shown. Upstreams are reached as the functions reach them: MILLRACE_ALLOWED_CIDRS, MILLRACE_ALLOW_HTTP, MILLRACE_NAMESERVER and \
MILLRACE_EXTRA_CA_FILE count."
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
    /// What to ask about instead of the usual example; FIELD:=JSON for what is no text
    #[arg(long, value_name = "FIELD=VALUE", value_parser = sample::field, requires = "dry_call")]
    pub(crate) input: Vec<(String, Value)>,
    #[command(flatten)]
    pub(crate) account: Account,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Providers are asked for real, and paid ones charge for it; no credits of a tenant are counted. Where a \
provider answers later, this waits and asks again. The exit code is 0 where something was found or nobody knows anything, else 1."
)]
pub(crate) struct Enrich {
    /// What the record is: company, hem, … (`millrace providers check` lists the types)
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// The value of the type's first input field, such as stripe.com
    #[arg(value_name = "VALUE")]
    pub(crate) value: Option<String>,
    /// An input field; FIELD:=JSON for what is no text
    #[arg(long, value_name = "FIELD=VALUE", value_parser = sample::field, required_unless_present = "value")]
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

fn job_id(text: &str) -> Result<JobId, String> {
    JobId::parse(text).ok_or_else(|| "is no job id (job_…, 30 characters)".to_owned())
}

fn delivery_id(text: &str) -> Result<DeliveryId, String> {
    let id = DeliveryId::parse(text).or_else(|| DeliveryId::parse_event(text));
    id.ok_or_else(|| "is no delivery id (dlv_…; `millrace deliveries JOB` lists them)".to_owned())
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("is neither one character nor `tab`".to_owned()),
    }
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
            &["results", "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--status", "lost"],
            &["tenants", "create", "A b"],
            &["tenants", "credits", "demo", "0"],
            &["tenants", "webhook-schedule", "demo", "1,x"],
            &["keys", "create", "demo", "--scope", "admin"],
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
            assert!(Cli::try_parse_from(["millrace"].iter().chain(args)).is_err(), "{args:?}");
        }
        let right = [
            &["tenants", "credits", "demo", "+500"][..],
            &["tenants", "credits", "demo", "-500", "--json"],
            &["tenants", "webhook-schedule", "demo", "none"],
            &["results", "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--status", "failed,not_found", "--format", "csv"],
            &["submit", "-", "--type", "t", "--input", "a=b", "--input", "c", "--url", "http://x"],
            &["enrich", "--type", "company", "stripe.com", "--providers", "brands", "--json"],
            &["enrich", "--type", "person", "--input", "first_name=A", "--input", "n:=5"],
            &["providers", "check", "--dir", "infra", "--dry-call", "--input", "a=b"],
            &["providers", "compile", "infra/providers.toml", "--output", "providers.compiled"],
        ];
        for args in right {
            assert!(Cli::try_parse_from(["millrace"].iter().chain(args)).is_ok(), "{args:?}");
        }
    }
}
