//! The arguments of `millrace submit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::records::Columns;

/// The forms of input files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// A header line; one record a row
    Csv,
    /// One JSON object a line: {"id", "input", "metadata"}, or plain members that are taken like
    /// columns
    Ndjson,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Columns: `id` is the record's id, columns named like an input field of the type \
        are input (`millrace account` lists them), all others are metadata and come back with the \
        result. Empty cells are left out. Two columns of one name are an error unless --omit \
        leaves them out.\n\
Files are UTF-8, or UTF-16 as Excel's \"Unicode text\". A spreadsheet has to be saved as CSV \
first.\n\
A file of more than 1,000 records, or more than a request holds, becomes several jobs. When \
something fails on the way, the same command with the same --idempotency-key goes on where it \
stopped and starts nothing twice."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Submit {
    /// A .csv, .tsv, .txt, .ndjson or .jsonl file; - reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The records' type: company, hem, … (`millrace account` lists the types)
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// A name for the job
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where to send the signed event when the job is over
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// Where to send a signed event for each record as soon as it has ended; each is then worked on
    /// by itself, which takes longer
    #[arg(long, value_name = "URL")]
    pub(crate) record_webhook: Option<String>,
    /// Providers to ask, in this order, instead of the type's own
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub(crate) providers: Option<Vec<String>>,
    /// Spend at most this many credits on the file; records past it end `skipped`
    #[arg(long, value_name = "N")]
    pub(crate) max_credits: Option<u64>,
    /// Send nothing if any record is bad; without this, bad records end `invalid` in their places
    /// and the rest is worked on
    #[arg(long)]
    pub(crate) strict: bool,
    /// Check the records and price them, start nothing
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    /// Names this submission: the same key and file give the same jobs for 24 hours [default:
    /// random]
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
    /// The character between cells, or `tab` [default: from a first line `sep=;` or the rows, a tab
    /// in .tsv]
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

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("is neither one character nor `tab`".to_owned()),
    }
}
