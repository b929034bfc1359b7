//! Results in their three forms.

use serde_json::{Value, json};

use crate::world::{Tenant, text};

pub(crate) async fn results_come_as_pages_lines_and_cells() {
    let tenant = Tenant::new("forms").await;
    let ids = [
        "=1+1",
        "+2",
        "-3",
        "@sum",
        "plain, with comma",
        "with \"quotes\"",
        "two\nlines",
        "ünïcode",
    ];
    let records: Vec<_> = ids
        .iter()
        .map(|id| {
            json!({"id": id, "input": {"domain": "spotify.com"},
                "metadata": {"note": format!("={id}")}})
        })
        .chain((0..122).map(|n| json!({"input": {"domain": format!("unknown-{n}.example")}})))
        .collect();
    let total = records.len();
    let job = tenant
        .submit(&json!({"type": "company", "records": records}))
        .await;
    tenant.ended(&job).await;
    let path = format!("/v1/jobs/{}/results", text(&job, "id"));

    let all = tenant.results(&job, 1000).await;
    assert_eq!(all.len(), total);
    assert_eq!(
        tenant.results(&job, 7).await,
        all,
        "small pages join to the same"
    );
    assert_eq!(
        tenant.get(&path).await.json(200)["results"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
    assert!(
        all[8]["id"].is_null() && all[8]["metadata"].is_null(),
        "{}",
        all[8]
    );

    let (mut lines, mut next) = (Vec::new(), String::new());
    loop {
        let accept = [("accept", "application/x-ndjson")];
        let page = tenant
            .call("GET", &format!("{path}?limit=50{next}"), &accept, b"")
            .await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, "application/x-ndjson")
        );
        assert!(page.body.ends_with(b"\n"));
        lines.extend(
            page.text()
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()),
        );
        match page.header("millrace-next-cursor") {
            "" => break,
            cursor => {
                assert!(
                    page.header("link").contains(cursor)
                        && page.header("link").contains("rel=\"next\"")
                );
                next = format!("&cursor={cursor}");
            }
        }
    }
    assert_eq!(lines, all);

    let csv = tenant
        .call(
            "GET",
            &format!("{path}?limit=1000"),
            &[("accept", "text/csv")],
            b"",
        )
        .await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    let rows = rows(&csv.text());
    assert_eq!(rows.len(), total + 1);
    assert_eq!(
        rows[0],
        [
            "index", "id", "status", "input", "metadata", "data", "credits", "error"
        ]
    );
    for (row, line) in rows[1..].iter().zip(&all) {
        let id = line["id"].as_str().unwrap_or_default();
        let escaped = if id.starts_with(['=', '+', '-', '@']) {
            format!("'{id}")
        } else {
            id.to_owned()
        };
        assert_eq!(
            (row[0].as_str(), &row[1], &row[2]),
            (
                &*line["index"].to_string(),
                &escaped,
                &text(line, "status").to_owned()
            )
        );
        assert!(
            row.iter()
                .all(|cell| !cell.starts_with(['=', '+', '-', '@'])),
            "{row:?}"
        );
        if let Some(data) = line["data"].as_object().filter(|d| !d.is_empty()) {
            assert_eq!(
                &serde_json::from_str::<Value>(&row[5]).unwrap(),
                &Value::Object(data.clone())
            );
        }
    }
    let second = tenant
        .call(
            "GET",
            &format!("{path}?cursor=1.0"),
            &[("accept", "text/csv")],
            b"",
        )
        .await;
    assert!(
        !second.text().starts_with("index"),
        "only the first page has a header"
    );
}

/// Parses CSV by RFC 4180, without the crate that wrote it.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    assert!(
        row.is_empty() && cell.is_empty() && !quoted,
        "the last line is not complete"
    );
    rows
}
