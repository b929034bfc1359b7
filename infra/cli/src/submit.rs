//! Sending a file of records as jobs.

mod args;
mod estimate;

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use shared::domain::export::json_line;
use shared::domain::job::MAX_RECORDS;
use shared::domain::rows::spreadsheet_name;

pub(crate) use self::args::{InputFormat, Submit};
use self::estimate::Estimate;
use crate::api::{Api, ApiError, Request, new_key};
use crate::failure::Failure;
use crate::problem::faults;
use crate::records::{
    Columns, Contents, Fault, Form, InputKind, Record, by_kind, read_leniently, split,
};
use crate::screen::{plain, plural, print, text, thousands};
use crate::watch::finish;

/// Ids of jobs that are shown after Ctrl-C.
const IDS_SHOWN: usize = 20;
/// Bad lines that are shown.
const FAULTS_SHOWN: usize = 20;
/// The most characters of a job's name, and of an idempotency key. Source: the API's limits.
const MAX_NAME_CHARS: usize = 200;
const MAX_KEY_CHARS: usize = 255;

/// `millrace submit`.
pub(crate) async fn submit(api: &Api, args: &Submit) -> Result<(), Failure> {
    let form = form(&args.file, args.format, args.delimiter)?;
    let bytes = load(&args.file)?;
    let kind = find_kind(api, &args.kind).await?;
    let columns = Columns {
        id: args.id_column.clone(),
        input: args.input.clone(),
        metadata: args.metadata.clone(),
        omit: args.omit.clone(),
    };
    let refused = |faults: Vec<Fault>| Failure::failed(bad_lines(&args.file, &faults));
    let contents = read_leniently(&bytes, form, &columns, kind.as_ref()).map_err(refused)?;
    let Contents {
        records,
        unfit,
        passed,
    } = contents;
    for kind in by_kind(&passed) {
        api.screen()
            .note(&format!("{}: {kind}", args.file.display()));
    }
    if unfit.len() == records.len() || (args.strict && !unfit.is_empty()) {
        return Err(refused(unfit));
    }
    if !unfit.is_empty() {
        let rows = thousands(unfit.len() as u64);
        let of = plural(records.len() as u64, "row");
        let text = format!(
            "{}: {rows} of {of} will end `invalid` (--strict sends nothing then)",
            args.file.display()
        );
        api.screen().note(&listed(text, &by_kind(&unfit)));
    }
    let unfit: BTreeSet<u64> = unfit.iter().map(|fault| fault.line).collect();

    let around = envelope(args, 1, 1, Some(u64::MAX)).to_string().len() + 16;
    let mut parts = split(&records, around);
    parts.retain(|part| {
        let rows = &records[part.clone()];
        let some = rows.iter().any(|row| !unfit.contains(&row.line));
        // The server makes no job of nothing but such records.
        if let (false, [first, .., last]) = (some, rows) {
            api.screen().note(&format!(
                "lines {} to {}: no row is good; they are not sent",
                first.line, last.line
            ));
        }
        some
    });
    let jobs = send_parts(api, args, &records, &parts, &unfit).await?;
    if args.dry_run || !args.wait {
        return Ok(());
    }
    finish(api, &jobs, args.json).await
}

/// The type's inputs; `None` if the key may only write.
async fn find_kind(api: &Api, name: &str) -> Result<Option<InputKind>, Failure> {
    let account = match api.send(Request::get("/v1/account")).await {
        Ok(answer) => answer.json,
        Err(error) if error.is(403) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    InputKind::find(&account, name)
        .map(Some)
        .map_err(|offered| {
            let offered = offered.join(", ");
            Failure::usage(format!(
                "type {name:?} is not offered; this deployment offers {offered}"
            ))
        })
}

fn form(file: &Path, format: Option<InputFormat>, delimiter: Option<u8>) -> Result<Form, Failure> {
    let extension = file
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_lowercase();
    if format.is_none()
        && let Some(why) = spreadsheet_name(&extension)
    {
        return Err(Failure::usage(format!("{} {why}", file.display())));
    }
    let tabs = matches!(extension.as_str(), "tsv" | "tab").then_some(b'\t');
    let csv = delimiter.or(tabs).map_or(Form::Table, Form::Csv);
    match (format, extension.as_str()) {
        (Some(InputFormat::Csv), _) | (None, "csv" | "tsv" | "tab" | "txt") => Ok(csv),
        (Some(InputFormat::Ndjson), _) | (None, "ndjson" | "jsonl") => Ok(Form::Ndjson),
        (None, _) => Err(Failure::usage(format!(
            "{} tells no form; give --format csv or ndjson",
            file.display()
        ))),
    }
}

fn load(file: &Path) -> Result<Vec<u8>, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))
}

fn bad_lines(file: &Path, faults: &[Fault]) -> String {
    let text = format!(
        "{}: {}; nothing was sent",
        file.display(),
        plural(faults.len() as u64, "fault")
    );
    listed(text, &by_kind(faults))
}

/// A text, and under it the first of these kinds of faults.
fn listed(mut text: String, kinds: &[String]) -> String {
    for kind in kinds.iter().take(FAULTS_SHOWN) {
        text += &format!("\n  {kind}");
    }
    if kinds.len() > FAULTS_SHOWN {
        text += &format!(
            "\n  and {} more",
            thousands((kinds.len() - FAULTS_SHOWN) as u64)
        );
    }
    text
}

/// Reports the faults that the server found in records it accepted, except those reported before.
fn tell_of_invalid(api: &Api, answer: &Value, records: &[Record], reported: &BTreeSet<u64>) {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let errors: Vec<(String, String)> = errors
        .map(|e| (text(e, "pointer"), text(e, "detail")))
        .collect();
    let mut new = faults(&errors, &|at| records.get(at).map(|record| record.line));
    new.retain(|fault| !reported.contains(&fault.line) && (fault.line > 0 || reported.is_empty()));
    if !new.is_empty() {
        api.screen().note(&listed(
            "these will end `invalid`:".to_owned(),
            &by_kind(&new),
        ));
    }
}

/// A request without its records.
fn envelope(args: &Submit, number: usize, of: usize, max_credits: Option<u64>) -> Value {
    let mut body = Map::new();
    body.insert("type".into(), args.kind.clone().into());
    if let Some(name) = &args.name {
        let suffix = if of > 1 {
            format!(" ({number} of {of})")
        } else {
            String::new()
        };
        let room = if of > 1 {
            MAX_NAME_CHARS.saturating_sub(suffix.chars().count())
        } else {
            usize::MAX
        };
        body.insert(
            "name".into(),
            format!("{}{suffix}", name.chars().take(room).collect::<String>()).into(),
        );
    }
    if let Some(url) = &args.webhook {
        body.insert("webhook_url".into(), url.clone().into());
    }
    if let Some(url) = &args.record_webhook {
        body.insert("webhook_events".into(), json!({"record.finished": url}));
    }
    if let Some(providers) = &args.providers {
        body.insert("providers".into(), providers.clone().into());
    }
    if let Some(credits) = max_credits {
        body.insert("max_credits".into(), credits.into());
    }
    for (name, flag) in [("strict", args.strict), ("dry_run", args.dry_run)] {
        if flag {
            body.insert(name.into(), true.into());
        }
    }
    body.into()
}

/// The whole request: records are serialised already, and stay as they are.
fn body(envelope: &Value, records: &[Record]) -> Vec<u8> {
    let mut body = envelope.to_string().into_bytes();
    // The closing brace; an envelope has a type at least.
    body.pop();
    body.extend_from_slice(b",\"records\":[");
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&record.json);
    }
    body.extend_from_slice(b"]}");
    body
}

/// The key of one part: repeating the submission repeats the keys.
fn part_key(key: &str, number: usize, of: usize) -> String {
    if of == 1 {
        key.to_owned()
    } else {
        format!("{key}-{number}")
    }
}

async fn send_parts(
    api: &Api,
    args: &Submit,
    records: &[Record],
    parts: &[Range<usize>],
    unfit: &BTreeSet<u64>,
) -> Result<Vec<Value>, Failure> {
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    send_until(api, args, records, parts, unfit, stop).await
}

/// Sends the parts one after the other; `stop` breaks off and says what was started.
async fn send_until(
    api: &Api,
    args: &Submit,
    records: &[Record],
    parts: &[Range<usize>],
    unfit: &BTreeSet<u64>,
    stop: impl Future<Output = ()>,
) -> Result<Vec<Value>, Failure> {
    let key = args.idempotency_key.clone().map_or_else(new_key, Ok)?;
    if key.is_empty() || part_key(&key, parts.len(), parts.len()).len() > MAX_KEY_CHARS {
        return Err(Failure::usage(format!(
            "an idempotency key has 1 to {MAX_KEY_CHARS} characters"
        )));
    }
    if parts.len() > 1 && !args.dry_run {
        api.screen().note(&format!(
            "{} in {} jobs: a job takes {} records and a request 4 MiB",
            plural(records.len() as u64, "record"),
            parts.len(),
            thousands(MAX_RECORDS as u64)
        ));
    }
    let started = Mutex::new(Vec::new());
    let outcome = tokio::select! {
        outcome = send_each(api, args, records, parts, unfit, &key, &started) => outcome,
        () = stop => {
            let started = started.lock().unwrap_or_else(PoisonError::into_inner);
            Err(Failure::Interrupted(broken_off(&started, args.dry_run, records, parts, &key)))
        }
    };
    outcome?;
    Ok(started.into_inner().unwrap_or_else(PoisonError::into_inner))
}

async fn send_each(
    api: &Api,
    args: &Submit,
    records: &[Record],
    parts: &[Range<usize>],
    unfit: &BTreeSet<u64>,
    key: &str,
    started: &Mutex<Vec<Value>>,
) -> Result<(), Failure> {
    let (mut left, mut estimate) = (args.max_credits, Estimate::default());
    for (at, part) in parts.iter().enumerate() {
        let (number, of) = (at + 1, parts.len());
        let body = body(&envelope(args, number, of, left), &records[part.clone()]);
        let request = Request::post("/v1/jobs", body, part_key(key, number, of));
        let answer = match api.send(request).await {
            Ok(answer) => answer.json,
            Err(error) => {
                return Err(Failure::failed(stopped(
                    &error,
                    &records[part.clone()],
                    key,
                    at,
                    of,
                )));
            }
        };
        tell_of_invalid(api, &answer, &records[part.clone()], unfit);
        // The credits that one job reserves leave less for the next. A repeated submission gets
        // the same number.
        left = left
            .map(|left| left.saturating_sub(answer["credits"]["reserved"].as_u64().unwrap_or(0)));
        if args.dry_run {
            estimate.add(&answer);
            continue;
        }
        let id = answer["id"].as_str().map(str::to_owned);
        let id =
            id.ok_or_else(|| Failure::failed("the answer has no job id; is the URL right?"))?;
        // Before anything is printed, so that a job which exists is always reported.
        started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(answer.clone());
        if !args.json {
            print(plain(&id, 80))?;
        } else if !args.wait {
            print(json_line(&answer))?;
        }
    }
    if args.dry_run {
        estimate.print(args.json)?;
    }
    Ok(())
}

/// Says what an interrupted submission has started, and how to go on.
fn broken_off(
    started: &[Value],
    dry_run: bool,
    records: &[Record],
    parts: &[Range<usize>],
    key: &str,
) -> String {
    if dry_run {
        return "interrupted; a dry run starts nothing".to_owned();
    }
    let sent = parts[..started.len().min(parts.len())]
        .last()
        .map_or(0, |part| part.end);
    let mut shown = format!(
        "interrupted: {} of {} started, {} of {}",
        thousands(started.len() as u64),
        plural(parts.len() as u64, "job"),
        thousands(sent as u64),
        plural(records.len() as u64, "record")
    );
    for job in started.iter().take(IDS_SHOWN) {
        shown += &format!("\n  {}", text(job, "id"));
    }
    if started.len() > IDS_SHOWN {
        shown += &format!(
            "\n  and {} more",
            thousands((started.len() - IDS_SHOWN) as u64)
        );
    }
    let next = parts
        .get(started.len())
        .and_then(|part| records.get(part.clone()));
    if let Some([first, .., last] | [first @ last]) = next {
        shown += &format!(
            "\nThe job of lines {} to {} may have started as well.",
            first.line, last.line
        );
    }
    shown
        + &format!(
            "\nTo go on without starting anything twice: the same command with --idempotency-key \
             {key}"
        )
}

/// Says why a submission stopped, and how to go on.
fn stopped(error: &ApiError, records: &[Record], key: &str, done: usize, of: usize) -> String {
    let mut text = error.text(&|at| records.get(at).map(|record| record.line));
    if of > 1 {
        text += &format!("\n{done} of {of} jobs were submitted.");
    }
    // After a lost answer the job may exist; the same key finds it again.
    if done > 0 || matches!(error, ApiError::Silent(_)) {
        text += &format!(
            "\nTo go on without starting anything twice: the same command with --idempotency-key \
             {key}"
        );
    }
    text
}

#[cfg(test)]
mod tests;
