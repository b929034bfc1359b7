//! The cost of the waterfall by itself: records a second on one processor where no provider takes
//! any time, beside the same bytes merely parsed and serialised.
//!
//! A record is read from JSON as a chunk holds it. It goes through two providers, of which the
//! first finds nothing and the second eight fields, and is written as a line of results. Beside it
//! the record's text is parsed, and the line's text is parsed and serialised, by `serde_json`:
//! every implementation has to do that.

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use shared::catalog::Config;
use shared::domain::job::ResultLine;
use shared::domain::record::Record;
use shared::lambda::system::{CheckOnly, NoAssets, NoDns, SystemClock, SystemEntropy};
use shared::net::Guard;
use shared::providers::kinds::READERS;
use shared::providers::waterfall::{Request, WaterfallOutcome};
use shared::providers::{Answer, Ports, Provider, Question, Registry};

const RECORDS: u32 = 50_000;
/// Runs of each, in turns, so that a slow moment is both's; the medians are shown.
const RUNS: usize = 9;

const CONFIG: &str = r#"
[types.company]
inputs = [["domain"]]
waterfall = ["first", "second"]

[providers.first]
kind = "http"
url = "https://first.example/"
fields = { name = "/name" }

[providers.second]
kind = "http"
url = "https://second.example/"
fields = { name = "/name" }
license = "CC0-1.0"
confidence = 0.9
"#;

#[derive(Debug)]
struct Instantly {
    finds: bool,
}

#[async_trait]
impl Provider for Instantly {
    async fn ask(&self, question: &Question<'_>, _: &Ports) -> Answer {
        if !self.finds {
            return Answer::NotFound;
        }
        let domain = question
            .input
            .get("domain")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let fields = Map::from_iter([
            (
                "company_name".to_owned(),
                format!("The company of {domain}").into(),
            ),
            ("domain".to_owned(), domain.into()),
            ("employees".to_owned(), 1_250.into()),
            ("founded_year".to_owned(), 1998.into()),
            ("country".to_owned(), "DE".into()),
            (
                "description".to_owned(),
                "Makes what its customers ask for, and what they do not ask for yet.".into(),
            ),
            (
                "social".to_owned(),
                json!({"linkedin": format!("https://www.linkedin.com/company/{domain}")}),
            ),
            (
                "technologies".to_owned(),
                json!(["nginx", "PostgreSQL", "Rust"]),
            ),
        ]);
        Answer::Found {
            fields,
            confidence: None,
        }
    }
}

fn records() -> Vec<String> {
    let record = |n: u32| {
        json!({"id": format!("row-{n}"), "input": {"domain": format!("company-{n}.example")},
               "metadata": {"list": "spring", "owner": n % 7}})
    };
    (0..RECORDS).map(|n| record(n).to_string()).collect()
}

/// Sends every record through the waterfall, and returns the lines written.
async fn enrich(
    registry: &Registry,
    ports: &Ports,
    records: &[String],
) -> Result<Vec<String>, Box<dyn Error>> {
    let waterfall = registry.waterfall("company").ok_or("no type")?;
    let mut lines = Vec::with_capacity(records.len());
    for (index, text) in (0_u32..).zip(records) {
        let record: Record = serde_json::from_str(text)?;
        let key = format!("job_01JGFJJZ00ENHMZBNF8SBD1WXY/{index}");
        let limit = Duration::from_secs(30);
        let request = Request {
            input: &record.input,
            limit,
            order: None,
            key: &key,
            callback: None,
            cache: None,
        };
        let WaterfallOutcome::Done(outcome) = waterfall.run(&request, None, ports).await else {
            return Err("no provider answers later here".into());
        };
        lines.push(serde_json::to_string(
            &ResultLine {
                index,
                record,
                outcome,
            }
            .to_json(),
        )?);
    }
    Ok(lines)
}

/// Parses and serialises the same bytes.
fn merely(records: &[String], lines: &[String]) -> Result<usize, Box<dyn Error>> {
    let mut bytes = 0;
    for (record, line) in records.iter().zip(lines) {
        let record: Value = serde_json::from_str(record)?;
        black_box(&record);
        let line: Value = serde_json::from_str(line)?;
        bytes += serde_json::to_string(&line)?.len();
    }
    Ok(bytes)
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

fn run() -> Result<(), Box<dyn Error>> {
    let config = Config::parse(READERS, "overhead", CONFIG)?;
    let registry = Registry::assemble(&config, |provider| {
        Ok(Arc::new(Instantly {
            finds: provider.name == "second",
        }))
    })?;
    let ports = Ports {
        http: Arc::new(CheckOnly(Guard::default())),
        dns: Arc::new(NoDns),
        assets: Arc::new(NoAssets),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        shared: None,
        seen: None,
        guard: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let records = records();
    let (mut ours, mut theirs, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begun = Instant::now();
        lines = runtime.block_on(enrich(&registry, &ports, &records))?;
        ours.push(begun.elapsed());
        let begun = Instant::now();
        black_box(merely(&records, &lines)?);
        theirs.push(begun.elapsed());
    }
    let size = |texts: &[String]| texts.iter().map(String::len).sum::<usize>() / texts.len();
    let rate = |took: Duration| f64::from(RECORDS) / took.as_secs_f64();
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "The waterfall by itself, {RECORDS} records of {} bytes in and {} out, one processor, \
         medians of {RUNS} runs",
        size(&records),
        size(&lines)
    );
    println!(
        "  two providers that take no time   {:9.0} records a second",
        rate(ours)
    );
    println!(
        "  merely parsed and serialised      {:9.0} records a second",
        rate(theirs)
    );
    println!(
        "  {:.1} times as long: {:.1} us a record are the engine's",
        ours.as_secs_f64() / theirs.as_secs_f64(),
        (ours.saturating_sub(theirs)).as_secs_f64() * 1e6 / f64::from(RECORDS)
    );
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
