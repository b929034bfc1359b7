//! Items of the table: of an older version, of a newer one, or malformed. Reading one returns its
//! content or an error, in bounded memory, and the result can be calculated with.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value as Json;
use shared::domain::delivery::{DeliveryRules, DeliveryTask};
use shared::domain::ids::JobId;
use shared::domain::job::{JobView, public_view};
use shared::domain::signature::Secret;
use shared::domain::signature::{live, rotate};
use shared::domain::time::Timestamp;
use shared::ports::{Attributes, Item, Key, Value};
use shared::schema;
use shared::schema::{
    ChunkOf, ChunkState, chunk_item, delivery_item, meta_item, read_chunks, read_delivery,
    read_endpoint, read_meta, read_profile, read_progress, read_secrets,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn job() -> JobId {
    JobId::new(NOW, [7; 10])
}

/// Builds attributes from a JSON object: texts and whole numbers as they are, sets as arrays of
/// texts, `{"json": …}` as text of that JSON, `{"packed": …}` as that JSON compressed.
fn attributes(json: serde_json::Map<String, Json>) -> Attributes {
    let value = |json: Json| match json {
        Json::String(text) => Value::S(text),
        Json::Array(items) => Value::Ss(
            items
                .into_iter()
                .map(|item| item.as_str().map_or(item.to_string(), str::to_owned))
                .collect::<BTreeSet<_>>(),
        ),
        Json::Object(mut object) => match (object.remove("json"), object.remove("packed")) {
            (Some(json), _) => Value::S(json.to_string()),
            (None, Some(packed)) => Value::B(
                zstd::bulk::compress(packed.to_string().as_bytes(), 1).expect("memory is enough"),
            ),
            (None, None) => Value::S(String::new()),
        },
        other => Value::N(other.as_i64().unwrap_or(0)),
    };
    json.into_iter()
        .map(|(name, json)| (name, value(json)))
        .collect()
}

/// An item: its sort key on the first line, its attributes as JSON behind it.
pub fn item(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (sk, json) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(Json::Object(json)) = serde_json::from_str(json) else {
        return;
    };
    let item = Item {
        key: Key {
            pk: format!("JOB#{}", job()),
            sk: sk.to_owned(),
        },
        attributes: attributes(json),
    };
    head(&item);
    delivery(&item);
    let _ = (
        schema::due_item(&item.key),
        schema::listed_job(&item.key),
        schema::current(Some(item.clone()), NOW),
    );
    let endpoint = read_endpoint(Some(&item));
    let _ = endpoint.not_before.map(|at| at.since(NOW));
    let _ = read_profile(&item);
    if let Ok(secrets) = read_secrets(Some(&item)) {
        assert!(live(&secrets, NOW).len() <= 5);
        assert!(
            rotate(
                &secrets,
                Secret::new(&[1; 32]),
                NOW,
                Duration::from_secs(3600)
            )
            .len()
                <= 5
        );
    }
    chunks(&item);
}

fn head(item: &Item) {
    let progress = read_progress([item]);
    let _ = (
        progress.counts().total(),
        progress.credits(),
        progress.bytes(),
        progress.public_bytes(),
    );
    let Ok(job) = read_meta(item) else { return };
    let _ = progress.undone(job.spec.chunks.min(1000)).count();
    let view = JobView::new(job, progress);
    assert!(view.percent() <= 100);
    let _ = (
        view.status(),
        view.credits_used(),
        view.job.is_expired(NOW),
        view.job.spec.failure_reason(),
    );
    let _ = view
        .estimate(NOW, Duration::from_millis(10))
        .map(Timestamp::rfc3339);
    // Written again, it has the same first fields.
    let again = read_meta(&meta_item(&view.job)).expect("what was written can be read");
    assert_eq!(
        (&again.spec, again.status, again.due),
        (&view.job.spec, view.job.status, view.job.due)
    );
    for surface in shared::surfaces::SURFACES {
        let _ = (surface.id)(&view.job.spec.id);
        if let Some(end) = &view.job.end {
            let _ = (surface.inline)(end);
        }
    }
}

fn delivery(item: &Item) {
    let id = job().delivery(3);
    let Ok(delivery) = read_delivery(&id, item) else {
        return;
    };
    let again =
        read_delivery(&id, &delivery_item(&delivery, None)).expect("what was written can be read");
    assert_eq!(again, delivery);
    let rules = DeliveryRules::native();
    let _ = (
        delivery.due(NOW),
        delivery.round_is_used_up(&rules),
        DeliveryTask::next(&delivery),
    );
    if let Some(attempt) = delivery.log.last() {
        let _ = delivery.after(attempt, Some(Duration::from_secs(5)), &rules, NOW, 0.5);
    }
}

/// A chunk's item with this compressed payload, whatever it unpacks to.
pub fn payload(bytes: &[u8]) {
    let (sk, data) = match bytes.first().map(|choice| choice % 3) {
        Some(0) => ("CHUNK#00000", &bytes[1..]),
        Some(1) => ("CHUNK#00000#RESULT", &bytes[1..]),
        Some(_) => ("CHUNK#00000#PART#01ARZ#000", &bytes[1..]),
        None => return,
    };
    let attributes = Attributes::from([("data".to_owned(), Value::B(data.to_vec()))]);
    chunks(&Item {
        key: Key {
            pk: format!("JOB#{}#0000", job()),
            sk: sk.to_owned(),
        },
        attributes,
    });
}

fn chunks(item: &Item) {
    let Ok(chunks) = read_chunks(std::slice::from_ref(item)) else {
        return;
    };
    for ChunkState { chunk, result, .. } in chunks.into_values() {
        if let Some(chunk) = chunk {
            let content = ChunkOf {
                first: chunk.first,
                funded: chunk.funded,
                records: &chunk.records,
            };
            let written =
                chunk_item(&job(), 0, &content, NOW).expect("what was read can be written");
            let again = read_chunks(&[written])
                .expect("what was written can be read")
                .remove(&0)
                .and_then(|state| state.chunk);
            assert_eq!(again, Some(chunk.clone()));
            let _ = chunk
                .records
                .iter()
                .map(|record| public_view(record, None).len())
                .sum::<usize>();
        }
        if let Some(outcomes) = result {
            let (overflow, head) = schema::result_items(&job(), 0, "run", &outcomes, NOW)
                .expect("what was read can be written");
            let items: Vec<Item> = overflow.into_iter().chain([head]).collect();
            let again = read_chunks(&items)
                .expect("what was written can be read")
                .remove(&0)
                .and_then(|state| state.result);
            assert_eq!(again, Some(outcomes));
        }
    }
}
