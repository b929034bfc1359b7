//! Results, in the form and the place that was asked for.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use shared::domain::export;
use shared::domain::ids::JobId;

use crate::api::{Api, Request, follow};
use crate::failure::Failure;
use crate::ids::job_id;
use crate::screen::{plain, plural, thousands};

/// Lines of a page. A page is cut at 4 MiB anyway.
const PAGE: &str = "500";

/// The forms of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the help text, where backticks are only noise"
)]
pub(crate) enum OutputFormat {
    /// One JSON object a line
    Ndjson,
    /// One row a record, one column a field: input.domain, metadata.crm_id, data.company_name, …
    Csv,
    /// One JSON array
    Json,
}

#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "the comments are the help text, where backticks are only noise"
)]
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

const OUTCOMES: [&str; 6] = [
    "found",
    "not_found",
    "failed",
    "invalid",
    "skipped",
    "canceled",
];

/// `millrace results`.
pub(crate) async fn results(api: &Api, args: &Results) -> Result<(), Failure> {
    if args.excel && args.format != OutputFormat::Csv {
        return Err(Failure::usage("--excel is for --format csv"));
    }
    let mut target = Target::open(args.output.as_deref())?;
    let mut table = Table::default();
    let mut kept = 0;
    for id in &args.jobs {
        fetch(api, id, |line| {
            let wanted = args.status.is_empty()
                || line["status"]
                    .as_str()
                    .is_some_and(|s| args.status.iter().any(|w| w == s));
            if !wanted {
                return Ok(());
            }
            kept += 1;
            match args.format {
                OutputFormat::Ndjson => writeln!(target.writer(), "{}", export::json_line(&line))?,
                OutputFormat::Json => {
                    write!(
                        target.writer(),
                        "{}{line}",
                        if kept == 1 { "[\n" } else { ",\n" }
                    )?;
                }
                OutputFormat::Csv => table.add(&line),
            }
            Ok(())
        })
        .await?;
    }
    match args.format {
        OutputFormat::Json => {
            target
                .writer()
                .write_all(if kept == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        OutputFormat::Csv => table.write(target.writer(), args.excel)?,
        OutputFormat::Ndjson => {}
    }
    if let Some(path) = target.close()? {
        api.screen()
            .note(&format!("{} in {}", plural(kept, "record"), path.display()));
    }
    Ok(())
}

/// Hands over every result line so far, and notes if more will follow.
async fn fetch(
    api: &Api,
    id: &JobId,
    mut take: impl FnMut(Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}/results");
    let mut lines = 0;
    let complete = follow(
        api,
        &Request::get(&path).query("limit", PAGE),
        "results",
        |line| {
            lines += 1;
            take(line).map(|()| true)
        },
    )
    .await?;
    if !complete {
        let path = format!("/v1/jobs/{id}");
        let job = api.send(Request::get(&path)).await?.json;
        let status = plain(job["status"].as_str().unwrap_or("unknown"), 20);
        let total = thousands(job["counts"]["total"].as_u64().unwrap_or(0));
        let note = format!(
            "{id} is {status}: the first {} of {total} records; come back for the rest",
            thousands(lines)
        );
        api.screen().note(&note);
    }
    Ok(())
}

/// Results as a table: a column for every field that any of them has.
#[derive(Default)]
struct Table {
    rows: Vec<Map<String, Value>>,
    /// Columns of `input`, `metadata` and `data`, each in the order they first appeared.
    columns: [Vec<String>; 3],
}

const GROUPS: [&str; 3] = ["input", "metadata", "data"];

impl Table {
    fn add(&mut self, line: &Value) {
        let mut row = Map::new();
        for name in ["index", "id", "status", "credits"] {
            row.insert(name.to_owned(), line[name].clone());
        }
        for (group, columns) in GROUPS.iter().zip(&mut self.columns) {
            for (field, value) in line[group].as_object().into_iter().flatten() {
                let column = format!("{group}.{field}");
                if !columns.contains(&column) {
                    columns.push(column.clone());
                }
                row.insert(column, value.clone());
            }
        }
        if let Some(code) = line["error"]["code"].as_str() {
            let detail = line["error"]["detail"].as_str().unwrap_or_default();
            row.insert("error".to_owned(), format!("{code}: {detail}").into());
        }
        self.rows.push(row);
    }

    fn write(&self, out: &mut dyn Write, excel: bool) -> Result<(), Failure> {
        let fixed = |names: &'static [&'static str]| names.iter().copied();
        let fields = self.columns.iter().flatten().map(String::as_str);
        let columns: Vec<&str> = fixed(&["index", "id", "status"])
            .chain(fields)
            .chain(fixed(&["credits", "error"]))
            .collect();
        let mut ends = csv::Terminator::Any(b'\n');
        if excel {
            // Without the mark Excel takes UTF-8 for the system's old code page.
            out.write_all("\u{feff}".as_bytes())?;
            ends = csv::Terminator::CRLF;
        }
        let mut writer = csv::WriterBuilder::new().terminator(ends).from_writer(out);
        let broken = |error: csv::Error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Failure::from(error),
            other => Failure::failed(format!("{other:?}")),
        };
        writer
            .write_record(columns.iter().map(|name| export::cell(name).into_owned()))
            .map_err(broken)?;
        for row in &self.rows {
            writer
                .write_record(columns.iter().map(|name| cell(row.get(*name))))
                .map_err(broken)?;
        }
        Ok(writer.flush()?)
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => export::cell(text).into_owned(),
        Some(other) => other.to_string(),
    }
}

/// Where results go: standard output, or a file that takes its name when it is complete.
enum Target {
    Stdout(BufWriter<std::io::Stdout>),
    File {
        out: BufWriter<File>,
        partial: Partial,
        path: PathBuf,
    },
}

impl Target {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::Stdout(BufWriter::new(std::io::stdout())));
        };
        let name = path
            .file_name()
            .ok_or_else(|| Failure::usage(format!("{} is not a file", path.display())))?;
        if path.is_dir() {
            return Err(Failure::usage(format!("{} is a directory", path.display())));
        }
        let partial = path.with_file_name(format!(
            ".{}.{}.part",
            name.to_string_lossy(),
            std::process::id()
        ));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial);
        let file = file.map_err(|error| {
            Failure::failed(format!("{} cannot be written: {error}", path.display()))
        })?;
        Ok(Self::File {
            out: BufWriter::new(file),
            partial: Partial(partial),
            path: path.to_owned(),
        })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(out) => out,
            Self::File { out, .. } => out,
        }
    }

    /// Writes out what is left, and gives a file its name, which it returns.
    fn close(self) -> Result<Option<PathBuf>, Failure> {
        match self {
            Self::Stdout(mut out) => {
                out.flush()?;
                Ok(None)
            }
            Self::File { out, partial, path } => {
                out.into_inner()
                    .map_err(|error| Failure::from(error.into_error()))?
                    .sync_all()?;
                std::fs::rename(&partial.0, &path).map_err(|error| {
                    Failure::failed(format!("{} cannot be written: {error}", path.display()))
                })?;
                Ok(Some(path))
            }
        }
    }
}

/// A file that goes away unless it was renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::tests::{client, problem};
    use testkit::servers::{Reply, Server};

    fn args(format: OutputFormat, output: PathBuf, status: &[&str]) -> Results {
        let jobs = vec![JobId::parse("job_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()];
        Results {
            jobs,
            format,
            excel: false,
            output: Some(output),
            status: status.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    fn page(lines: &[Value], next: Option<&str>) -> Reply {
        Reply::new(
            200,
            json!({"results": lines, "next_cursor": next}).to_string(),
        )
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("millrace-cli-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn lines() -> [Value; 2] {
        [
            json!({"index": 0, "id": "a", "status": "found", "input": {"domain": "a.com"},
                "metadata": {"n": -1, "f": "=1+1"},
                "data": {"company_name": "A, Inc", "tags": ["x"]}, "credits": 1, "error": null}),
            json!({"index": 1, "id": null, "status": "failed", "input": {"domain": "b.com"},
                "metadata": null,
                "data": {}, "credits": 0, "error": {"code": "timeout", "detail": "late"}}),
        ]
    }

    #[tokio::test]
    async fn pages_become_one_table_and_the_file_appears_whole() {
        let [first, second] = lines();
        let server =
            Server::replying(vec![page(&[first], Some("1.0")), page(&[second], None)]).await;
        let place = directory("table");
        results(
            &client(&server.url("/base")),
            &args(OutputFormat::Csv, place.join("r.csv"), &[]),
        )
        .await
        .unwrap();
        let expected = "index,id,status,input.domain,metadata.n,metadata.f,\
            data.company_name,data.tags,credits,error\n\
            0,a,found,a.com,-1,'=1+1,\"A, Inc\",\"[\"\"x\"\"]\",1,\n\
            1,,failed,b.com,,,,,0,timeout: late\n";
        assert_eq!(
            std::fs::read_to_string(place.join("r.csv")).unwrap(),
            expected
        );
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
        std::fs::remove_dir_all(place).unwrap();
    }

    #[tokio::test]
    async fn excel_gets_its_mark_its_line_ends_and_no_formula() {
        let place = directory("excel");
        let line = json!({"index": 0, "id": "\u{ff1d}1+1", "status": "found",
            "input": {"n": "M\u{fc}ller"}, "metadata": {"a": "\u{ff20}x"},
            "data": {}, "credits": 1, "error": null});
        let server = Server::replying(vec![page(&[line], None)]).await;
        let excel = Results {
            excel: true,
            ..args(OutputFormat::Csv, place.join("r.csv"), &[])
        };
        results(&client(&server.url("/base")), &excel)
            .await
            .unwrap();
        let expected = "\u{feff}index,id,status,input.n,metadata.a,credits,error\r\n\
            0,'\u{ff1d}1+1,found,M\u{fc}ller,'\u{ff20}x,1,\r\n";
        assert_eq!(
            std::fs::read_to_string(place.join("r.csv")).unwrap(),
            expected
        );
        let wrong = Results {
            excel: true,
            ..args(OutputFormat::Ndjson, place.join("r"), &[])
        };
        assert!(matches!(
            results(&client(&server.url("/base")), &wrong).await,
            Err(Failure::Usage(_))
        ));
        std::fs::remove_dir_all(place).unwrap();
    }

    #[tokio::test]
    async fn a_line_of_ndjson_is_one_for_every_reader() {
        let place = directory("lines");
        let line =
            json!({"index": 0, "status": "found", "data": {"a": "b\u{2028}c\u{2029}d\u{85}e"}});
        let server = Server::replying(vec![page(std::slice::from_ref(&line), None)]).await;
        results(
            &client(&server.url("/base")),
            &args(OutputFormat::Ndjson, place.join("r"), &[]),
        )
        .await
        .unwrap();
        let text = std::fs::read_to_string(place.join("r")).unwrap();
        assert!(
            !text.contains(['\u{2028}', '\u{2029}', '\u{85}']) && text.contains("\\u2028"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), line);
        std::fs::remove_dir_all(place).unwrap();
    }

    #[tokio::test]
    async fn outcomes_are_chosen_and_json_is_an_array() {
        let place = directory("chosen");
        let server = Server::replying(vec![page(&lines(), None)]).await;
        for (format, status, expected) in [
            (OutputFormat::Json, vec![], 2),
            (OutputFormat::Json, vec!["failed"], 1),
            (OutputFormat::Json, vec!["skipped"], 0),
        ] {
            results(
                &client(&server.url("/base")),
                &args(format, place.join("r"), &status),
            )
            .await
            .unwrap();
            let read: Vec<Value> =
                serde_json::from_slice(&std::fs::read(place.join("r")).unwrap()).unwrap();
            assert_eq!(read.len(), expected);
        }
        results(
            &client(&server.url("/base")),
            &args(OutputFormat::Ndjson, place.join("r"), &["found"]),
        )
        .await
        .unwrap();
        assert_eq!(
            std::fs::read_to_string(place.join("r")).unwrap(),
            format!("{}\n", lines()[0])
        );
        std::fs::remove_dir_all(place).unwrap();
    }

    #[tokio::test]
    async fn a_failure_on_the_way_leaves_the_file_as_it_was() {
        let place = directory("kept");
        std::fs::write(place.join("r"), "before").unwrap();
        let server = Server::replying(vec![page(&lines(), Some("1.0")), problem(404)]).await;
        assert!(
            results(
                &client(&server.url("/base")),
                &args(OutputFormat::Ndjson, place.join("r"), &[])
            )
            .await
            .is_err()
        );
        assert_eq!(std::fs::read_to_string(place.join("r")).unwrap(), "before");
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
        std::fs::remove_dir_all(place).unwrap();
    }

    #[tokio::test]
    async fn a_running_job_gives_what_it_has() {
        let place = directory("running");
        let job = json!({"status": "running", "counts": {"total": 9}}).to_string();
        let server = Server::replying(vec![
            page(&lines(), Some("1.0")),
            page(&[], Some("1.0")),
            Reply::new(200, job),
        ])
        .await;
        results(
            &client(&server.url("/base")),
            &args(OutputFormat::Ndjson, place.join("r"), &[]),
        )
        .await
        .unwrap();
        assert_eq!(
            std::fs::read_to_string(place.join("r"))
                .unwrap()
                .lines()
                .count(),
            2
        );
        assert_eq!(server.got().len(), 3);
        std::fs::remove_dir_all(place).unwrap();
    }
}
