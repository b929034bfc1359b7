//! A page of results of the native API, as JSON, NDJSON or CSV.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::export;
use crate::domain::job::ResultLine;
use crate::domain::record::OutcomeError;
use crate::surfaces::ResultsPage;
use crate::surfaces::common::message::ApiResponse;

/// A page of results in JSON.
#[derive(Debug, Serialize)]
struct ShownPage<'a> {
    results: Vec<Value>,
    next_cursor: Option<&'a str>,
}

/// Answers with a page of results, as JSON, NDJSON or CSV.
pub(super) fn result_page(page: &ResultsPage<'_>) -> ApiResponse {
    // Lines of JSON have no registered name; an answer has the requested one.
    const OFFERS: [&str; 8] = [
        "application/json",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
        "text/csv",
    ];
    let response = match page.request.preferred(&OFFERS) {
        Some(lines) if ![OFFERS[0], "text/csv"].contains(&lines) => {
            let text = page
                .lines
                .iter()
                .flat_map(|line| [export::json_line(&line.to_json()), "\n".to_owned()]);
            ApiResponse::new(200, lines, text.collect::<String>().into_bytes())
        }
        Some("text/csv") => {
            ApiResponse::new(200, "text/csv; charset=utf-8", csv(page.lines, page.first))
        }
        _ => {
            let shown = ShownPage {
                results: page.lines.iter().map(ResultLine::to_json).collect(),
                next_cursor: page.next.as_deref(),
            };
            return ApiResponse::json(200, &shown);
        }
    };
    match &page.next {
        Some(next) => {
            let target = format!(
                "</v1/jobs/{}/results?cursor={next}&limit={}>; rel=\"next\"",
                page.job, page.limit
            );
            response
                .with("link", target)
                .with("millrace-next-cursor", next)
        }
        None => response,
    }
}

/// The columns of results as CSV.
const CSV_COLUMNS: [&str; 8] = [
    "index", "id", "status", "input", "metadata", "data", "credits", "error",
];

/// Writes results as CSV, with a header line if `header`. `input`, `metadata` and `data` are JSON
/// in one cell each, because their fields differ from line to line.
fn csv(lines: &[ResultLine], header: bool) -> Vec<u8> {
    let mut rows: Vec<[String; 8]> = Vec::with_capacity(lines.len() + 1);
    if header {
        rows.push(CSV_COLUMNS.map(str::to_owned));
    }
    let cell = |members: &Map<String, Value>| {
        if members.is_empty() {
            String::new()
        } else {
            serde_json::to_string(members).unwrap_or_default()
        }
    };
    let echo = |value: Value| match value {
        Value::Null => String::new(),
        Value::Object(members) => cell(&members),
        Value::String(text) => export::cell(&text).into_owned(),
        other => export::cell(&other.to_string()).into_owned(),
    };
    for line in lines {
        let [id, input, metadata] = line.record.echo().map(echo);
        rows.push([
            line.index.to_string(),
            id,
            line.outcome.status.as_str().to_owned(),
            input,
            metadata,
            cell(&line.outcome.data),
            line.outcome.credits.to_string(),
            line.outcome
                .error
                .as_ref()
                .map(error_cell)
                .unwrap_or_default(),
        ]);
    }
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail, and every row has as many cells.
        let _ = writer.write_record(&row);
    }
    writer.into_inner().unwrap_or_default()
}

fn error_cell(error: &OutcomeError) -> String {
    export::cell(&format!("{}: {}", error.code, error.detail)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_look_like_formulas_are_escaped() {
        for code in ["=1+1", "+1", "-1", "@x", "\tx", "\u{ff1d}1"] {
            let error = OutcomeError {
                code: code.to_owned(),
                detail: "d".to_owned(),
            };
            assert_eq!(error_cell(&error), format!("'{code}: d"));
        }
    }
}
