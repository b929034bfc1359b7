//! Values are read back as they were written.

use std::time::Duration;

use millrace::records::{Columns, Form, read};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};
use shared::domain::delivery::retry_after;
use shared::domain::ids::{DeliveryId, JobId};
use shared::domain::record::{Outcome, OutcomeError, OutcomeStatus, Record, Source};
use shared::domain::time::Timestamp;
use shared::jobs::read::ResultCursor;
use shared::schema::{Chunk, ChunkOf, chunk_item, read_chunks, result_items};

use crate::config;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(any::<char>(), 0..12).prop_map(String::from_iter),
        Just("\u{feff}\u{0}\r\n\"\\".to_owned())
    ]
}

/// Any JSON that the table may hold: numbers as JSON readers store them, members in their order.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::Array),
            vec((text(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn members() -> impl Strategy<Value = Map<String, Value>> {
    vec((text(), json()), 0..4).prop_map(|members| members.into_iter().collect())
}

fn record() -> impl Strategy<Value = Record> {
    let optional = || proptest::option::of(members());
    let blank_metadata = proptest::option::of(
        proptest::sample::select(&["", " ", "\u{a0}"][..]).prop_map(str::to_owned),
    );
    (
        proptest::option::of(text()),
        members(),
        optional(),
        blank_metadata,
        optional(),
        optional(),
    )
        .prop_map(
            |(id, input, metadata, blank_metadata, original, malformed)| Record {
                id,
                input,
                metadata,
                blank_metadata,
                original,
                malformed,
            },
        )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let source = (
        text(),
        text(),
        proptest::option::of(0.0..1.0_f64),
        proptest::option::of(text()),
        any::<bool>(),
    );
    let source = source.prop_map(
        |(provider, fetched_at, confidence, license, cached)| Source {
            provider,
            fetched_at,
            confidence,
            license,
            cached,
        },
    );
    let error = proptest::option::of(
        (text(), text()).prop_map(|(code, detail)| OutcomeError { code, detail }),
    );
    let status = proptest::sample::select(&OutcomeStatus::ALL[..]);
    (
        status,
        members(),
        vec((text(), source), 0..3),
        any::<u32>(),
        error,
    )
        .prop_map(|(status, data, sources, credits, error)| Outcome {
            status,
            data,
            sources,
            credits,
            error,
        })
}

fn job() -> impl Strategy<Value = JobId> {
    (0_i64..1 << 48, any::<[u8; 10]>()).prop_map(|(at, random)| JobId::new(Timestamp(at), random))
}

/// Cells with all that CSV has to quote. White space around a cell does not count.
fn cell() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            Just('"'),
            Just(','),
            Just('\n'),
            Just('\r'),
            Just('ü'),
            Just('='),
            any::<char>()
        ],
        1..8,
    )
    .prop_map(|chars| String::from_iter(chars).trim().to_owned())
    .prop_filter("an empty cell is none", |cell| !cell.is_empty())
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn chunks_and_results_are_stored_whole(
        records in vec(record(), 1..5),
        outcomes in vec(outcome(), 1..5),
        job in job(),
    ) {
        let content = ChunkOf { first: 3, funded: 1, records: &records };
        let chunk = chunk_item(&job, 7, &content, Timestamp(0)).unwrap();
        let (overflow, head) = result_items(&job, 7, "run", &outcomes, Timestamp(0)).unwrap();
        let items: Vec<_> = overflow.into_iter().chain([chunk, head]).collect();
        let read = read_chunks(&items).unwrap().remove(&7).unwrap();
        prop_assert_eq!(read.chunk, Some(Chunk { first: 3, funded: 1, records }));
        prop_assert_eq!(read.result, Some(outcomes));
    }

    #[test]
    fn ids_and_cursors_are_read_as_they_were_shown(
        job in job(),
        n in any::<u32>(),
        offset in any::<u32>(),
    ) {
        for surface in shared::surfaces::SURFACES {
            prop_assert_eq!((surface.parse_id)(&(surface.id)(&job)), Some(job.clone()));
        }
        let delivery = job.delivery(n);
        prop_assert_eq!(DeliveryId::parse(&delivery.to_string()), Some(delivery));
        let cursor = ResultCursor { chunk: n, offset };
        prop_assert_eq!(ResultCursor::parse(&cursor.to_string()), Some(cursor));
    }

    #[test]
    fn times_are_read_as_they_were_shown(
        millis in -62_000_000_000_000_i64..253_402_300_799_999,
        seconds in any::<u32>(),
    ) {
        let at = Timestamp(millis);
        prop_assert_eq!(Timestamp::parse(&at.rfc3339()), Some(at));
        let delay = Some(Duration::from_secs(seconds.into()));
        prop_assert_eq!(retry_after(&seconds.to_string(), at), delay);
    }

    #[test]
    fn a_table_of_cells_comes_back_from_csv(
        rows in vec((cell(), cell()), 1..6),
        mark in any::<bool>(),
        crlf in any::<bool>(),
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["domain", "note"]).unwrap();
        for (domain, note) in &rows {
            writer.write_record([domain, note]).unwrap();
        }
        let mark = if mark { &b"\xef\xbb\xbf"[..] } else { b"" };
        let text = [mark, &writer.into_inner().unwrap()].concat();
        let columns = Columns {
            input: vec![("domain".to_owned(), "domain".to_owned())],
            ..Columns::default()
        };
        let records = read(&text, Form::Csv(b','), &columns, None).unwrap();
        let came: Vec<Value> = records
            .iter()
            .map(|r| serde_json::from_slice(&r.json).unwrap())
            .collect();
        let sent = rows.iter().map(|(domain, note)| {
            serde_json::json!({"input": {"domain": domain}, "metadata": {"note": note}})
        });
        prop_assert_eq!(came, sent.collect::<Vec<Value>>());
    }
}
