//! Jobs from the caller's side: send, follow, list, stop.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use shared::domain::export::json_line;
use shared::domain::ids::{DeliveryId, JobId};
use shared::domain::job::MAX_RECORDS;
use shared::domain::rows::spreadsheet_name;
use shared::domain::time::Timestamp;
use shared::edge::system::SystemClock;
use shared::ports::Clock;

use crate::api::{Answer, Api, ApiError, Request, follow, new_key};
use crate::args::{DeliveriesOf, InputFormat, Submit};
use crate::failure::Failure;
use crate::problem::faults;
use crate::records::{Columns, Contents, Fault, Form, Kind, Record, by_kind, read_leniently, split};
use crate::screen::{plain, plural, print, thousands};

/// How long the server holds a request for a change, in seconds. Source: the API description.
const HOLD_SECONDS: u32 = 20;
/// Questions about one job come at least so far apart, whatever the server does with the wish to be held.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// The longest pause between two of them while nothing changes and nobody is held.
const ASK_AT_LEAST_EVERY: Duration = Duration::from_secs(5);
/// Jobs followed at once.
const FOLLOWED_AT_ONCE: usize = 4;
/// Jobs of a list whose deliveries are asked for, and how many at once.
const WEBHOOKS_SHOWN: usize = 100;
const WEBHOOKS_AT_ONCE: usize = 8;
/// A test whose next attempt is further away than this is not waited for, nor one of which nothing is heard for that long.
const TEST_PATIENCE: Duration = Duration::from_secs(60);
/// Ids of jobs that are shown after Ctrl-C.
const IDS_SHOWN: usize = 20;
/// Bad lines that are shown.
const FAULTS_SHOWN: usize = 20;
/// The most characters of a job's name, and of an idempotency key. Source: the API's limits.
const MAX_NAME_CHARS: usize = 200;
const MAX_KEY_CHARS: usize = 255;

/// Outcomes in the order they are told in.
const OUTCOMES: [(&str, &str); 6] = [
    ("found", "found"),
    ("not_found", "not found"),
    ("failed", "failed"),
    ("invalid", "invalid"),
    ("skipped", "skipped"),
    ("canceled", "canceled"),
];

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
    let Contents { records, unfit, passed } = contents;
    for kind in by_kind(&passed) {
        api.screen().note(&format!("{}: {kind}", args.file.display()));
    }
    if unfit.len() == records.len() || (args.strict && !unfit.is_empty()) {
        return Err(refused(unfit));
    }
    if !unfit.is_empty() {
        let rows = thousands(unfit.len() as u64);
        let of = plural(records.len() as u64, "row");
        let text = format!("{}: {rows} of {of} will end `invalid` (--strict sends nothing then)", args.file.display());
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
            api.screen().note(&format!("lines {} to {}: no row is good; they are not sent", first.line, last.line));
        }
        some
    });
    let jobs = send_parts(api, args, &records, &parts, &unfit).await?;
    if args.dry_run || !args.wait {
        return Ok(());
    }
    finish(api, &jobs, args.json).await
}

/// What the type wants to know; `None` where the key may only write.
async fn find_kind(api: &Api, name: &str) -> Result<Option<Kind>, Failure> {
    let account = match api.send(Request::get("/v1/account")).await {
        Ok(answer) => answer.json,
        Err(error) if error.is(403) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Kind::find(&account, name).map(Some).map_err(|offered| {
        let offered = offered.join(", ");
        Failure::usage(format!("type {name:?} is not offered; this deployment offers {offered}"))
    })
}

fn form(file: &Path, format: Option<InputFormat>, delimiter: Option<u8>) -> Result<Form, Failure> {
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
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
        (None, _) => Err(Failure::usage(format!("{} tells no form; give --format csv or ndjson", file.display()))),
    }
}

fn load(file: &Path) -> Result<Vec<u8>, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file).map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))
}

fn bad_lines(file: &Path, faults: &[Fault]) -> String {
    let text = format!("{}: {}; nothing was sent", file.display(), plural(faults.len() as u64, "fault"));
    listed(text, &by_kind(faults))
}

/// A text, and under it the first of these kinds of faults.
fn listed(mut text: String, kinds: &[String]) -> String {
    for kind in kinds.iter().take(FAULTS_SHOWN) {
        text += &format!("\n  {kind}");
    }
    if kinds.len() > FAULTS_SHOWN {
        text += &format!("\n  and {} more", thousands((kinds.len() - FAULTS_SHOWN) as u64));
    }
    text
}

/// Says what the server found wrong with records that it took all the same, but for those that were told of.
fn tell_of_invalid(api: &Api, answer: &Value, records: &[Record], told: &BTreeSet<u64>) {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let errors: Vec<(String, String)> = errors.map(|e| (text(e, "pointer"), text(e, "detail"))).collect();
    let mut new = faults(&errors, &|at| records.get(at).map(|record| record.line));
    new.retain(|fault| !told.contains(&fault.line) && (fault.line > 0 || told.is_empty()));
    if !new.is_empty() {
        api.screen().note(&listed("these will end `invalid`:".to_owned(), &by_kind(&new)));
    }
}

/// A request without its records.
fn envelope(args: &Submit, number: usize, of: usize, max_credits: Option<u64>) -> Value {
    let mut body = Map::new();
    body.insert("type".into(), args.kind.clone().into());
    if let Some(name) = &args.name {
        let suffix = if of > 1 { format!(" ({number} of {of})") } else { String::new() };
        let room = if of > 1 { MAX_NAME_CHARS.saturating_sub(suffix.chars().count()) } else { usize::MAX };
        body.insert("name".into(), format!("{}{suffix}", name.chars().take(room).collect::<String>()).into());
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
    if of == 1 { key.to_owned() } else { format!("{key}-{number}") }
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
        return Err(Failure::usage(format!("an idempotency key has 1 to {MAX_KEY_CHARS} characters")));
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
            Err(error) => return Err(Failure::failed(stopped(&error, &records[part.clone()], key, at, of))),
        };
        tell_of_invalid(api, &answer, &records[part.clone()], unfit);
        // What one job may spend is no longer there for the next. A repeated submission is told the same number.
        left = left.map(|left| left.saturating_sub(answer["credits"]["reserved"].as_u64().unwrap_or(0)));
        if args.dry_run {
            estimate.add(&answer);
            continue;
        }
        let id = answer["id"].as_str().map(str::to_owned);
        let id = id.ok_or_else(|| Failure::failed("the answer has no job id; is the URL right?"))?;
        // Before anything is printed: what exists is told, whatever breaks off next.
        started.lock().unwrap_or_else(PoisonError::into_inner).push(answer.clone());
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

/// What a submission that was interrupted has started, and how to go on.
fn broken_off(started: &[Value], dry_run: bool, records: &[Record], parts: &[Range<usize>], key: &str) -> String {
    if dry_run {
        return "interrupted; a dry run starts nothing".to_owned();
    }
    let sent = parts[..started.len().min(parts.len())].last().map_or(0, |part| part.end);
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
        shown += &format!("\n  and {} more", thousands((started.len() - IDS_SHOWN) as u64));
    }
    let next = parts.get(started.len()).and_then(|part| records.get(part.clone()));
    if let Some([first, .., last] | [first @ last]) = next {
        shown += &format!("\nThe job of lines {} to {} may have started as well.", first.line, last.line);
    }
    shown + &format!("\nTo go on without starting anything twice: the same command with --idempotency-key {key}")
}

/// Why a submission stopped, and how to go on.
fn stopped(error: &ApiError, records: &[Record], key: &str, done: usize, of: usize) -> String {
    let mut text = error.text(&|at| records.get(at).map(|record| record.line));
    if of > 1 {
        text += &format!("\n{done} of {of} jobs were submitted.");
    }
    // After an answer that was lost the job may exist; with the same key it is found again.
    if done > 0 || matches!(error, ApiError::Silent(_)) {
        text += &format!("\nTo go on without starting anything twice: the same command with --idempotency-key {key}");
    }
    text
}

/// What a dry run comes to over all parts.
#[derive(Default)]
struct Estimate {
    records: u64,
    invalid: u64,
    reserved: u64,
    skipped: u64,
    price: u64,
    /// The server's, the same for every part.
    warnings: Vec<Value>,
}

impl Estimate {
    fn add(&mut self, answer: &Value) {
        self.records += answer["records"].as_u64().unwrap_or(0);
        self.invalid += answer["invalid"].as_u64().unwrap_or(0);
        self.reserved += answer["credits"]["reserved"].as_u64().unwrap_or(0);
        self.skipped += answer["skipped"].as_u64().unwrap_or(0);
        self.price = answer["credits"]["per_record_at_most"].as_u64().unwrap_or(0);
        self.warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
    }

    fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return print(json!({"object": "estimate", "records": self.records, "invalid": self.invalid,
                "skipped": self.skipped, "credits": {"per_record_at_most": self.price, "reserved": self.reserved},
                "warnings": self.warnings}));
        }
        let skipped =
            if self.skipped > 0 { format!("; {} would be skipped", thousands(self.skipped)) } else { String::new() };
        let invalid =
            if self.invalid > 0 { format!("; {} are invalid", thousands(self.invalid)) } else { String::new() };
        print(format!(
            "{}, at most {} ({} each){skipped}{invalid}; nothing was started{}",
            plural(self.records, "record"),
            plural(self.reserved, "credit"),
            self.price,
            self.warned()
        ))
    }

    /// A line for each warning.
    fn warned(&self) -> String {
        let lines = self.warnings.iter().map(|warning| {
            format!("\nwarning: {}: every record would fail: {}", text(warning, "code"), text(warning, "detail"))
        });
        lines.collect()
    }
}

/// `millrace watch`.
pub(crate) async fn watch(api: &Api, ids: &[JobId], as_json: bool) -> Result<(), Failure> {
    let jobs: Vec<Value> = ids.iter().map(|id| json!({"id": id.as_str()})).collect();
    let ended = follow_all(api, &jobs).await?;
    if !as_json {
        for job in &ended {
            print(format!("{} {}", text(job, "id"), text(job, "status")))?;
        }
    }
    conclude(api, &ended, as_json).await
}

async fn finish(api: &Api, jobs: &[Value], as_json: bool) -> Result<(), Failure> {
    let ended = follow_all(api, jobs).await?;
    conclude(api, &ended, as_json).await
}

async fn conclude(api: &Api, ended: &[Value], as_json: bool) -> Result<(), Failure> {
    for job in ended {
        if as_json {
            print(json_line(job))?;
        }
        api.screen().note(&summary(job));
        if let Some(why) = commonest_error(api, job).await {
            api.screen().note(&why);
        }
    }
    if ended.iter().all(|job| job["status"] == "completed") { Ok(()) } else { Err(Failure::Ended) }
}

/// Follows jobs until all have ended, showing how far they are. Ctrl-C leaves them to themselves.
async fn follow_all(api: &Api, jobs: &[Value]) -> Result<Vec<Value>, Failure> {
    let states = Mutex::new(jobs.to_vec());
    let each = |at: usize| {
        let (states, id) = (&states, text(&jobs[at], "id"));
        async move {
            follow_one(api, &id, |job| {
                let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
                states[at] = job;
                show(api, &states);
            })
            .await
        }
    };
    let all = async {
        let mut running = futures_util::stream::iter((0..jobs.len()).map(each)).buffer_unordered(FOLLOWED_AT_ONCE);
        while let Some(ended) = running.next().await {
            ended?;
        }
        Ok(())
    };
    let outcome = tokio::select! {
        outcome = all => outcome,
        _ = tokio::signal::ctrl_c() => {
            let states = states.lock().unwrap_or_else(PoisonError::into_inner);
            let live: Vec<String> = states.iter().filter(|job| !ended(job)).map(|job| text(job, "id")).collect();
            Err(Failure::Interrupted(left_alone(&live)))
        }
    };
    api.screen().clear();
    outcome?;
    Ok(states.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn left_alone(live: &[String]) -> String {
    let goes = if live.len() == 1 { "goes on; watch it" } else { "go on; watch them" };
    format!("{} {goes} with: millrace watch {}", live.join(", "), live.join(" "))
}

async fn follow_one(api: &Api, id: &str, mut seen: impl FnMut(Value)) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}");
    let mut etag: Option<String> = None;
    let mut pause = ASK_EVERY;
    loop {
        let asked = Instant::now();
        let mut request = Request::get(&path);
        if let Some(etag) = &etag {
            request = request.header("prefer", format!("wait={HOLD_SECONDS}")).header("if-none-match", etag);
        }
        let answer: Answer = api.send(request).await?;
        pause = next_pause(pause, answer.status == 304);
        if answer.status != 304 {
            etag = answer.etag.or(etag);
            let over = ended(&answer.json);
            seen(answer.json);
            if over {
                return Ok(());
            }
        }
        tokio::time::sleep(pause.saturating_sub(asked.elapsed())).await;
    }
}

/// Returns how far apart the next two questions begin. Where the server held the last one for longer, this adds nothing; one
/// that holds nobody is asked less and less often while nothing changes.
fn next_pause(pause: Duration, unchanged: bool) -> Duration {
    if unchanged { (pause * 3 / 2).min(ASK_AT_LEAST_EVERY) } else { ASK_EVERY }
}

/// What most records without a result say of it, of the first page of results: an account without money and a vendor that
/// cannot be reached look like records that nobody knows. Nothing where none says anything, or where that cannot be read.
async fn commonest_error(api: &Api, job: &Value) -> Option<String> {
    const PAGE: &str = "1000";
    let number = |name: &str| job["counts"][name].as_u64().unwrap_or(0);
    if number("not_found") + number("failed") == 0 {
        return None;
    }
    let id = text(job, "id");
    let path = format!("/v1/jobs/{id}/results");
    // A remark is not worth the tries of a request that is needed.
    let asked = api.send(Request::get(&path).query("limit", PAGE));
    let page = tokio::time::timeout(Duration::from_secs(10), asked).await.ok()?.ok()?.json;
    let of = if page["next_cursor"].is_null() { "" } else { " of the first results" };
    Some(format!("{}; when that is solved: millrace retry {id}", commonest(page["results"].as_array()?, of)?))
}

/// The errors that most records have, each with how many have it, and how many have others.
fn commonest(results: &[Value], of: &str) -> Option<String> {
    const MAX_TOLD: usize = 3;
    let mut errors: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in results {
        let error = &line["error"];
        if line["status"] != "invalid" && error["code"].is_string() {
            *errors.entry((text(error, "code"), text(error, "detail"))).or_default() += 1;
        }
    }
    let mut errors: Vec<_> = errors.into_iter().collect();
    errors.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let others: u64 = errors.iter().skip(MAX_TOLD).map(|(_, times)| times).sum();
    let told = errors.into_iter().take(MAX_TOLD).map(|((code, detail), times)| {
        format!("  {}{of} with {code}: {}", plural(times, "record"), plain(&detail, 300))
    });
    let others = (others > 0).then(|| format!("  {}{of} with other errors", plural(others, "record")));
    let lines: Vec<String> = told.chain(others).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn ended(job: &Value) -> bool {
    matches!(job["status"].as_str(), Some("completed" | "canceled" | "failed" | "expired"))
}

fn show(api: &Api, states: &[Value]) {
    let sum = |name: &str| states.iter().filter_map(|job| job["counts"][name].as_u64()).sum::<u64>();
    let done: u64 = OUTCOMES.iter().map(|(name, _)| sum(name)).sum();
    let status = match states {
        [only] => text(only, "status"),
        _ => format!("{} of {} jobs ended", states.iter().filter(|job| ended(job)).count(), states.len()),
    };
    api.screen().progress(done, sum("total"), &status, &format!("{}{}", counts(sum), waits(states)));
}

/// `; waiting for acme (HTTP 429) until 2026-08-01T12:00:10Z`: whom the jobs wait for, each provider once.
fn waits(jobs: &[Value]) -> String {
    let all = jobs.iter().filter_map(|job| job["waiting_for"].as_array()).flatten();
    let by_name: BTreeMap<String, &Value> = all.map(|wait| (text(wait, "provider"), wait)).collect();
    let told = by_name.iter().map(|(provider, wait)| {
        let why = wait["status"].as_u64().map(|status| format!(" (HTTP {status})")).unwrap_or_default();
        format!("; waiting for {provider}{why} until {}", text(wait, "until"))
    });
    told.collect()
}

/// `412 found, 15 not found`: what there is any of.
fn counts(of: impl Fn(&str) -> u64) -> String {
    let told: Vec<String> = OUTCOMES
        .iter()
        .filter_map(|(name, word)| Some(of(name)).filter(|n| *n > 0).map(|n| format!("{} {word}", thousands(n))))
        .collect();
    if told.is_empty() { "nothing yet".to_owned() } else { told.join(", ") }
}

/// A job in one line.
fn summary(job: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let error = job["error"].as_str().map(|e| format!(" ({})", plain(e, 200))).unwrap_or_default();
    format!(
        "{}: {}{error}: {}: {}{}; {} used of {} reserved",
        text(job, "id"),
        text(job, "status"),
        plural(number(&job["counts"]["total"]), "record"),
        counts(|name| number(&job["counts"][name])),
        waits(std::slice::from_ref(job)),
        plural(number(&job["credits"]["used"]), "credit"),
        thousands(number(&job["credits"]["reserved"]))
    )
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().map(|t| plain(t, 300)).unwrap_or_default()
}

/// `millrace jobs`.
pub(crate) async fn list(api: &Api, status: Option<&str>, limit: u32, as_json: bool) -> Result<(), Failure> {
    let mut request = Request::get("/v1/jobs");
    if let Some(status) = status {
        request = request.query("status", status);
    }
    let mut jobs = Vec::new();
    let mut left = limit;
    follow(api, &request, "jobs", |job| {
        left -= 1;
        if as_json {
            print(json_line(&job))?;
        } else {
            jobs.push(job);
        }
        Ok(left > 0)
    })
    .await?;
    if as_json {
        return Ok(());
    }
    print(format!(
        "{:30} {:10} {:8} {:>7} {:>7}  {:9} {:20} NAME",
        "JOB", "STATUS", "TYPE", "RECORDS", "FOUND", "WEBHOOK", "CREATED"
    ))?;
    let rows = jobs.iter().enumerate().map(|(at, job)| async move {
        // A job that runs has sent nothing of its end.
        let asked = at < WEBHOOKS_SHOWN && ended(job);
        (job, if asked { webhook(api, &text(job, "id")).await } else { String::new() })
    });
    let mut rows = futures_util::stream::iter(rows).buffered(WEBHOOKS_AT_ONCE);
    while let Some((job, webhook)) = rows.next().await {
        print(row(job, &webhook).trim_end())?;
    }
    Ok(())
}

/// The state of the delivery that tells of a job's end: its first. `-` where there is none.
async fn webhook(api: &Api, id: &str) -> String {
    let path = format!("/v1/jobs/{id}/deliveries");
    match api.send(Request::get(&path).query("limit", "1")).await {
        Ok(answer) => match &answer.json["deliveries"][0] {
            first if first["state"].is_string() && first["type"] != "record.finished" => text(first, "state"),
            _ => "-".to_owned(),
        },
        // The list is what was asked for.
        Err(_) => "?".to_owned(),
    }
}

fn row(job: &Value, webhook: &str) -> String {
    let number = |name: &str| thousands(job["counts"][name].as_u64().unwrap_or(0));
    format!(
        "{:30} {:10} {:8} {:>7} {:>7}  {:9} {:20} {}",
        text(job, "id"),
        text(job, "status"),
        text(job, "type"),
        number("total"),
        number("found"),
        webhook,
        text(job, "created_at").split('.').next().unwrap_or_default(),
        text(job, "name"),
    )
}

/// `millrace cancel`.
pub(crate) async fn cancel(api: &Api, id: &JobId, as_json: bool) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}/cancel");
    let job = api.send(Request::post(&path, Vec::new(), new_key()?)).await?.json;
    if as_json { print(&job) } else { print(format!("{id} {}", text(&job, "status"))) }
}

/// `millrace retry`: prints the id of the new job.
pub(crate) async fn retry(api: &Api, id: &JobId, as_json: bool) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}/retry");
    let job = api.send(Request::post(&path, Vec::new(), new_key()?)).await?.json;
    if as_json { print(&job) } else { print(text(&job, "id")) }
}

/// `millrace delete`.
pub(crate) async fn delete(api: &Api, id: &JobId) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}");
    match api.send(Request::delete(&path)).await {
        Ok(_) => {}
        // An earlier try did it, and its answer was lost.
        Err(ApiError::Refused { problem, tries }) if problem.status == 404 && tries > 1 => {}
        Err(error) => return Err(error.into()),
    }
    print(format!("{id} deleted"))
}

/// `millrace deliveries`.
pub(crate) async fn deliveries(api: &Api, of: &DeliveriesOf, as_json: bool) -> Result<(), Failure> {
    let id = match of {
        DeliveriesOf::Job(id) => id,
        DeliveriesOf::One(id) => {
            let path = format!("/v1/deliveries/{id}");
            return show_delivery(&api.send(Request::get(&path)).await?.json, as_json);
        }
    };
    let path = format!("/v1/jobs/{id}/deliveries");
    let mut any = false;
    follow(api, &Request::get(&path), "deliveries", |delivery| {
        any = true;
        show_delivery(&delivery, as_json).map(|()| true)
    })
    .await?;
    if !any && !as_json {
        api.screen().note("no deliveries: the job has no webhook, or has not ended");
    }
    Ok(())
}

/// A delivery with its attempts.
fn show_delivery(delivery: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print(json_line(delivery));
    }
    print(delivery_text(delivery))?;
    attempts(delivery).iter().try_for_each(|attempt| print(attempt_text(attempt)))
}

fn attempts(delivery: &Value) -> &[Value] {
    delivery["log"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn delivery_text(delivery: &Value) -> String {
    let mut shown = format!(
        "{} {} to {}: {}",
        text(delivery, "id"),
        text(delivery, "type"),
        text(delivery, "url"),
        text(delivery, "state")
    );
    if let Some(reason) = delivery["reason"].as_str() {
        shown += &format!(" ({})", plain(reason, 200));
    }
    if let Some(at) = delivery["next_attempt_at"].as_str() {
        shown += &format!(", next attempt at {}", plain(at, 40));
    }
    shown
}

fn attempt_text(attempt: &Value) -> String {
    let outcome = match (attempt["status_code"].as_u64(), attempt["error"].as_str()) {
        (Some(status), _) => status.to_string(),
        (None, Some(class)) => plain(class, 40),
        (None, None) => "no outcome yet".to_owned(),
    };
    let detail = attempt["detail"].as_str().map(|d| format!(": {}", plain(d, 200))).unwrap_or_default();
    let latency = attempt["latency_ms"].as_u64().map(|ms| format!(" after {} ms", thousands(ms))).unwrap_or_default();
    let number = attempt["number"].as_u64().unwrap_or(0);
    format!("  {number}. {} {outcome}{latency}{detail}", text(attempt, "at"))
}

/// `millrace replay`.
pub(crate) async fn replay(api: &Api, id: &DeliveryId, as_json: bool) -> Result<(), Failure> {
    let path = format!("/v1/deliveries/{id}/replay");
    let delivery = api.send(Request::post(&path, Vec::new(), new_key()?)).await?.json;
    if as_json { print(&delivery) } else { print(delivery_text(&delivery)) }
}

/// `millrace webhook test`: waits until it is known what came of the event.
pub(crate) async fn webhook_test(api: &Api, url: &str, wait: bool, as_json: bool) -> Result<(), Failure> {
    let body = json!({"url": url}).to_string().into_bytes();
    let mut delivery = api.send(Request::post("/v1/webhooks/test", body, new_key()?)).await?.json;
    if !wait {
        return if as_json { print(&delivery) } else { print(delivery_text(&delivery)) };
    }
    let id = delivery["id"].as_str().and_then(DeliveryId::parse);
    let id = id.ok_or_else(|| Failure::failed("the answer has no delivery id; is the URL right?"))?;
    let (path, mut heard, mut seen) = (format!("/v1/deliveries/{id}"), Instant::now(), 0);
    while delivery["state"] == "pending" && heard.elapsed() < TEST_PATIENCE {
        tokio::time::sleep(ASK_EVERY).await;
        delivery = match api.send(Request::get(&path)).await {
            Ok(answer) => answer.json,
            Err(error) if error.is(403) => {
                api.screen().note("the key may not read what came of it");
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let over = attempts(&delivery).iter().filter(|attempt| has_outcome(attempt)).count();
        if over > seen {
            (seen, heard) = (over, Instant::now());
            if far(&delivery, SystemClock.now()) {
                break;
            }
        }
    }
    show_delivery(&delivery, as_json)?;
    if delivery["state"] == "delivered" {
        return Ok(());
    }
    if delivery["state"] == "pending" {
        api.screen().note(&format!("not delivered yet; look again with: millrace deliveries {id}"));
    }
    Err(Failure::Told)
}

fn has_outcome(attempt: &Value) -> bool {
    !attempt["status_code"].is_null() || !attempt["error"].is_null()
}

/// Whether the next attempt is too far away to wait for.
fn far(delivery: &Value, now: Timestamp) -> bool {
    let next = delivery["next_attempt_at"].as_str().and_then(Timestamp::parse);
    next.is_some_and(|at| at.since(now) > TEST_PATIENCE)
}

/// `millrace webhook rotate`: prints the new secret.
pub(crate) async fn webhook_rotate(api: &Api, overlap_hours: Option<u32>, as_json: bool) -> Result<(), Failure> {
    let body = overlap_hours.map(|hours| json!({"overlap_hours": hours}).to_string().into_bytes());
    let request = Request::post("/v1/webhooks/secret/rotate", body.unwrap_or_default(), new_key()?);
    let answer = api.send(request).await?.json;
    if as_json {
        return print(&answer);
    }
    let secret = answer["secret"].as_str().ok_or_else(|| Failure::failed("the answer has no secret"))?;
    if let Some(until) = answer["previous_expires_at"].as_str() {
        api.screen().note(&format!("the secret before signs along until {}", plain(until, 40)));
    }
    print(secret)
}

/// `millrace account`.
pub(crate) async fn account(api: &Api, as_json: bool) -> Result<(), Failure> {
    let account = api.send(Request::get("/v1/account")).await?.json;
    if as_json { print(&account) } else { print(account_text(&account)) }
}

fn account_text(account: &Value) -> String {
    // A balance may be below zero, after an operator took credits away.
    let signed = |value: &Value| match value.as_i64() {
        Some(n) if n < 0 => format!("-{}", thousands(n.unsigned_abs())),
        n => thousands(n.unwrap_or(0).unsigned_abs()),
    };
    let mut shown = format!(
        "{}: {} credits free, {} used so far",
        text(account, "tenant"),
        signed(&account["credits"]["balance"]),
        signed(&account["credits"]["used"])
    );
    for kind in account["types"].as_array().into_iter().flatten() {
        let sets = kind["inputs"].as_array().into_iter().flatten().map(|set| {
            let fields = set.as_array().into_iter().flatten().filter_map(Value::as_str);
            fields.collect::<Vec<_>>().join(" and ")
        });
        let providers = kind["providers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let providers: Vec<&str> = providers.collect();
        let asked = if providers.is_empty() { "nobody".to_owned() } else { providers.join(", ") };
        let usable = if kind["usable"] == false { " (not set up)" } else { "" };
        let price = kind["credits_per_record_at_most"].as_u64().unwrap_or(0);
        shown += &format!(
            "\n  {}{usable}: {}\n    needs {}; at most {} a record; asks {}",
            text(kind, "type"),
            text(kind, "description"),
            plain(&sets.collect::<Vec<_>>().join(", or "), 300),
            plural(price, "credit"),
            plain(&asked, 300)
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::client;
    use crate::args::{Cli, Command};
    use crate::server::{Reply, serve};

    const ACCOUNT: &str = r#"{"tenant": "t", "types": [{"type": "company", "inputs": [["domain"]]}]}"#;

    fn submit_args(extra: &[&str]) -> Submit {
        use clap::Parser;
        let args = ["millrace", "submit", "-", "--type", "company", "--idempotency-key", "k"].iter().chain(extra);
        match Cli::try_parse_from(args).unwrap().command {
            Command::Submit(submit) => submit,
            other => panic!("{other:?}"),
        }
    }

    fn records(count: usize) -> Vec<Record> {
        (0..count).map(|at| Record { line: at as u64 + 2, json: br#"{"input":{}}"#.to_vec() }).collect()
    }

    fn job(status: &str, found: u64) -> String {
        format!(
            r#"{{"id": "job_1", "status": "{status}", "counts": {{"total": 9, "found": {found}}}, "credits": {{"reserved": 7, "used": 2}}}}"#
        )
    }

    #[test]
    fn each_error_is_counted_by_itself_the_most_frequent_first() {
        let failed = |code: &str, detail: &str| serde_json::json!({"status": "failed", "error": {"code": code, "detail": detail}});
        let mut results = vec![failed("provider_error", "h: HTTP 500"), failed("provider_error", "h: HTTP 401")];
        results.extend(std::iter::repeat_n(failed("provider_error", "h: not JSON"), 3));
        results.push(serde_json::json!({"status": "found"}));
        results.push(serde_json::json!({"status": "invalid", "error": {"code": "invalid", "detail": "no"}}));
        assert_eq!(
            commonest(&results, "").as_deref(),
            Some(
                "  3 records with provider_error: h: not JSON\n  1 record with provider_error: h: HTTP 401\n  \
                 1 record with provider_error: h: HTTP 500"
            )
        );
        results.extend([failed("rate_limited", "a"), failed("rate_limited", "b")]);
        let told = commonest(&results, " of the first results").unwrap_or_default();
        assert_eq!(told.lines().count(), 4, "{told}");
        assert!(told.ends_with("\n  2 records of the first results with other errors"), "{told}");
        assert_eq!(commonest(&[], ""), None);
    }

    #[tokio::test]
    async fn bad_rows_are_sent_unless_all_are_or_the_caller_is_strict() {
        let file = std::env::temp_dir().join(format!("millrace-bad-rows-{}.csv", std::process::id()));
        let good = "a.example,x\n".repeat(1000);
        let bad = ",x\n".repeat(1000);
        for (rows, more, jobs) in [
            (format!("{good},x\n"), vec![], Some(1)),
            (format!("{good}{bad}b.example,x\n"), vec![], Some(2)),
            (format!("{good},x\n"), vec!["--strict"], None),
            (bad.clone(), vec![], None),
        ] {
            std::fs::write(&file, format!("domain,note\n{rows}")).unwrap();
            let answer =
                Reply::json(202, r#"{"id": "job_1", "errors": [{"pointer": "/records/0/input", "detail": "is bad"}]}"#);
            let server = serve(vec![Reply::json(200, ACCOUNT), answer]).await;
            let args = Submit { file: file.clone(), ..submit_args(&more) };
            let answer = submit(&client(&server.base), &args).await;
            let sent: Vec<Value> =
                server.seen().iter().skip(1).map(|r| serde_json::from_slice(&r.body).unwrap()).collect();
            if let Some(jobs) = jobs {
                answer.unwrap();
                let records = sent.iter().map(|body| body["records"].as_array().unwrap().len());
                assert_eq!((sent.len(), records.max(), &sent[0]["strict"]), (jobs, Some(1000), &Value::Null));
            } else {
                let said = answer.unwrap_err().text().unwrap().clone();
                assert!(said.contains("domain is missing") && said.contains("nothing was sent"), "{said}");
                assert!(said.lines().count() == 2 && sent.is_empty(), "{said}");
            }
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(envelope(&submit_args(&["--strict"]), 1, 1, None)["strict"], true);
    }

    #[test]
    fn an_estimate_tells_that_every_record_would_fail() {
        let mut estimate = Estimate::default();
        let warning = json!({"code": "provider_unconfigured", "detail": "set X"});
        for _ in 0..2 {
            estimate.add(&json!({"records": 1, "warnings": [warning]}));
        }
        let told = "\nwarning: provider_unconfigured: every record would fail: set X";
        assert_eq!((estimate.records, estimate.warned().as_str()), (2, told));
        assert_eq!(Estimate::default().warned(), "");
    }

    #[test]
    fn whom_jobs_wait_for_is_told_once() {
        let wait = |provider: &str, status: Value| json!({"provider": provider, "status": status, "since": "s", "until": "2026-08-01T12:00:10Z"});
        let jobs = [
            json!({"waiting_for": [wait("acme", json!(429)), wait("own", Value::Null)]}),
            json!({"waiting_for": [wait("acme", json!(429))]}),
            json!({"waiting_for": []}),
            json!({}),
        ];
        let told =
            "; waiting for acme (HTTP 429) until 2026-08-01T12:00:10Z; waiting for own until 2026-08-01T12:00:10Z";
        assert_eq!((waits(&jobs).as_str(), waits(&jobs[2..]).as_str()), (told, ""));
    }

    #[test]
    fn events_go_where_they_are_asked_for() {
        let args = submit_args(&["--webhook", "https://a.example", "--record-webhook", "https://b.example"]);
        let body = envelope(&args, 1, 1, None);
        assert_eq!(body["webhook_url"], "https://a.example");
        assert_eq!(body["webhook_events"], json!({"record.finished": "https://b.example"}));
    }

    #[tokio::test]
    async fn parts_share_the_budget_and_derive_their_keys() {
        let server = serve(vec![Reply::json(202, &job("queued", 0))]).await;
        let args = submit_args(&["--max-credits", "10", "--name", "leads"]);
        let jobs =
            send_parts(&client(&server.base), &args, &records(5), &[0..2, 2..4, 4..5], &BTreeSet::new()).await.unwrap();
        assert_eq!(jobs.len(), 3);
        let seen: Vec<(Option<String>, Value)> = server
            .seen()
            .iter()
            .map(|r| (r.header("idempotency-key").map(str::to_owned), serde_json::from_slice(&r.body).unwrap()))
            .collect();
        let told: Vec<_> = seen
            .iter()
            .map(|(key, body)| {
                let records = body["records"].as_array().unwrap().len();
                (
                    key.as_deref().unwrap(),
                    body["max_credits"].as_u64().unwrap(),
                    body["name"].as_str().unwrap(),
                    records,
                )
            })
            .collect();
        assert_eq!(
            told,
            [("k-1", 10, "leads (1 of 3)", 2), ("k-2", 3, "leads (2 of 3)", 2), ("k-3", 0, "leads (3 of 3)", 1)]
        );
    }

    #[tokio::test]
    async fn a_refused_part_names_lines_and_how_to_go_on() {
        let fault = r#"{"type": "urn:millrace:problem:invalid", "title": "No", "errors": [{"pointer": "/records/1/input/domain", "detail": "is bad"}]}"#;
        let server = serve(vec![Reply::json(202, &job("queued", 0)), Reply::json(400, fault)]).await;
        let args = submit_args(&[]);
        let sent = send_parts(&client(&server.base), &args, &records(4), &[0..2, 2..4], &BTreeSet::new()).await;
        let failed = sent.unwrap_err();
        let text = failed.text().unwrap();
        assert!(text.contains("line 5: input/domain: is bad"), "{text}");
        assert!(text.contains("1 of 2 jobs were submitted") && text.contains("--idempotency-key k"), "{text}");
    }

    #[tokio::test]
    async fn following_asks_for_changes_and_ends_with_the_job() {
        let server = serve(vec![
            Reply::json(200, &job("running", 2)).header("etag", "\"a\""),
            Reply::json(304, ""),
            Reply::json(200, &job("completed", 9)).header("etag", "\"b\""),
        ])
        .await;
        watch(&client(&server.base), &[JobId::parse("job_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()], false).await.unwrap();
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        assert_eq!((seen[0].header("prefer"), seen[0].header("if-none-match")), (None, None));
        assert_eq!((seen[2].header("prefer"), seen[2].header("if-none-match")), (Some("wait=20"), Some("\"a\"")));

        let server = serve(vec![Reply::json(200, &job("canceled", 1))]).await;
        let id = JobId::parse("job_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        assert_eq!(watch(&client(&server.base), &[id], false).await, Err(Failure::Ended));
    }

    #[test]
    fn a_server_that_holds_nobody_is_asked_less_often_until_something_changes() {
        let mut pauses = vec![ASK_EVERY];
        for _ in 0..20 {
            pauses.push(next_pause(pauses[pauses.len() - 1], true));
        }
        assert!(pauses.windows(2).all(|two| two[1] > two[0] || two[1] == ASK_AT_LEAST_EVERY), "{pauses:?}");
        assert_eq!(pauses[20], ASK_AT_LEAST_EVERY);
        assert_eq!(next_pause(pauses[20], false), ASK_EVERY);
    }

    #[tokio::test]
    async fn types_come_from_the_account_unless_the_key_may_not_read() {
        let server = serve(vec![Reply::json(200, ACCOUNT)]).await;
        assert_eq!(find_kind(&client(&server.base), "company").await.unwrap().unwrap().inputs, [["domain"]]);
        let unknown = find_kind(&client(&server.base), "tech").await.unwrap_err();
        assert!(matches!(unknown, Failure::Usage(text) if text.contains("offers company")));
        let server = serve(vec![Reply::problem(403)]).await;
        assert_eq!(find_kind(&client(&server.base), "company").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_interrupted_submission_says_what_was_started_and_how_to_go_on() {
        let second = job("queued", 0).replace("job_1", "job_2");
        let server =
            serve(vec![Reply::json(202, &job("queued", 0)), Reply::json(202, &second), Reply::problem(503)]).await;
        let stop = async {
            while server.seen().len() < 3 {
                tokio::task::yield_now().await;
            }
        };
        let (api, args) = (client(&server.base), submit_args(&[]));
        let failed =
            send_until(&api, &args, &records(5), &[0..2, 2..4, 4..5], &BTreeSet::new(), stop).await.unwrap_err();
        let Failure::Interrupted(text) = &failed else { panic!("{failed:?}") };
        assert!(text.starts_with("interrupted: 2 of 3 jobs started, 4 of 5 records\n  job_1\n  job_2\n"), "{text}");
        assert!(text.contains("lines 6 to 6 may have started"), "{text}");
        assert!(text.ends_with("the same command with --idempotency-key k"), "{text}");
        assert_eq!(format!("{:?}", failed.code()), format!("{:?}", std::process::ExitCode::from(130)));
    }

    const TEST: &str = "dlv_01ARZ3NDEKTSV4RRFFQ69G5FAV_0";

    fn test_delivery(state: &str, next: &str, log: &Value) -> Reply {
        let delivery = json!({"id": TEST, "type": "webhook.test", "url": "u", "state": state, "log": log,
            "next_attempt_at": next});
        Reply::json(200, &delivery.to_string())
    }

    #[tokio::test]
    async fn a_test_waits_for_what_comes_of_it() {
        let (soon, late) = ("2020-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z");
        let (none, bad, good) = (
            json!([]),
            json!([{"number": 1, "status_code": 500, "error": "status"}]),
            json!([
            {"number": 1, "status_code": 500, "error": "status"}, {"number": 2, "status_code": 200}]),
        );
        for (then, wanted) in [
            (vec![("pending", soon, &none), ("pending", soon, &bad), ("delivered", soon, &good)], Ok(())),
            (vec![("pending", soon, &bad), ("exhausted", soon, &bad)], Err(Failure::Told)),
            (vec![("pending", late, &none), ("pending", late, &bad)], Err(Failure::Told)),
        ] {
            let first = test_delivery("pending", soon, &none);
            let replies =
                [first].into_iter().chain(then.iter().map(|(state, next, log)| test_delivery(state, next, log)));
            let server = serve(replies.collect()).await;
            assert_eq!(webhook_test(&client(&server.base), "u", true, false).await, wanted);
            assert_eq!(server.seen().len(), then.len() + 1);
        }
        let server = serve(vec![test_delivery("pending", soon, &none)]).await;
        assert_eq!(webhook_test(&client(&server.base), "u", false, false).await, Ok(()));
        assert_eq!(server.seen().len(), 1);
        let server = serve(vec![test_delivery("pending", soon, &none), Reply::problem(403)]).await;
        assert_eq!(webhook_test(&client(&server.base), "u", true, false).await, Err(Failure::Told));
    }

    #[tokio::test]
    async fn a_delivery_is_shown_by_its_own_id_and_by_its_events() {
        for id in [TEST.to_owned(), TEST.to_lowercase(), TEST.replace("dlv_", "evt_")] {
            let server = serve(vec![test_delivery("delivered", "", &json!([]))]).await;
            let of = DeliveriesOf::parse(&id).unwrap();
            deliveries(&client(&server.base), &of, false).await.unwrap();
            assert_eq!(server.seen()[0].path, format!("/base/v1/deliveries/{TEST}"));
        }
        assert!(matches!(DeliveriesOf::parse("job_01arz3ndektsv4rrffq69g5fav"), Ok(DeliveriesOf::Job(_))));
        assert!(DeliveriesOf::parse("evt_1").is_err());
    }

    #[tokio::test]
    async fn a_list_of_jobs_has_the_state_of_each_webhook() {
        for (first, wanted) in [
            (json!({"state": "exhausted", "type": "job.completed"}), "exhausted"),
            (json!({"state": "delivered", "type": "record.finished"}), "-"),
            (Value::Null, "-"),
        ] {
            let server = serve(vec![Reply::json(200, &json!({"deliveries": [first]}).to_string())]).await;
            assert_eq!(webhook(&client(&server.base), "job_1").await, wanted);
        }
        let server = serve(vec![Reply::problem(403)]).await;
        assert_eq!(webhook(&client(&server.base), "job_1").await, "?");
        assert!(row(&json!({"id": "job_1", "name": "n"}), "pending").contains(" pending   "));
    }

    #[test]
    fn the_file_name_tells_the_form() {
        let of = |name: &str| form(Path::new(name), None, None);
        assert_eq!(of("a.CSV").unwrap(), Form::Table);
        assert_eq!(of("a.txt").unwrap(), Form::Table);
        for name in ["a.xlsx", "a.XLS", "a.ods", "a.numbers", "a.xlsm"] {
            let failure = of(name).unwrap_err();
            assert!(matches!(&failure, Failure::Usage(text) if text.contains("save it as CSV first")), "{failure:?}");
        }
        assert_eq!(form(Path::new("a.xls"), Some(InputFormat::Csv), None).unwrap(), Form::Table);
        assert_eq!(of("a.tsv").unwrap(), Form::Csv(b'\t'));
        assert_eq!(of("a.jsonl").unwrap(), Form::Ndjson);
        assert!(of("-").is_err());
        assert_eq!(form(Path::new("-"), Some(InputFormat::Csv), Some(b';')).unwrap(), Form::Csv(b';'));
    }
}
