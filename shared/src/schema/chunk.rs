//! A chunk: its input records, what runs finished of them, and its result.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::item::{Corrupt, DATA, MAX_PAYLOAD_BYTES, get_n, get_s, key, pack, s, ttl, unpack};
use crate::domain::chunk::shard_of;
use crate::domain::ids::JobId;
use crate::domain::json;
use crate::domain::record::{Outcome, Record};
use crate::domain::suspended::Suspended;
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Item, Key, Select, Value};

pub(crate) fn shard_pk(job: &JobId, shard: u32) -> String {
    format!("JOB#{job}#{shard:04}")
}

/// Returns the key of a chunk's records: `JOB#ID#SHARD`, `CHUNK#NNNNN`.
pub fn chunk_key(job: &JobId, chunk: u32) -> Key {
    key(shard_pk(job, shard_of(chunk)), format!("CHUNK#{chunk:05}"))
}

/// Returns the key of the head of a chunk's result: the chunk's, with `#RESULT` behind it.
pub fn result_key(job: &JobId, chunk: u32) -> Key {
    key(
        shard_pk(job, shard_of(chunk)),
        format!("CHUNK#{chunk:05}#RESULT"),
    )
}

fn overflow_key(job: &JobId, chunk: u32, run: &str, k: u32) -> Key {
    key(
        shard_pk(job, shard_of(chunk)),
        format!("CHUNK#{chunk:05}#RESULT#{run}#{k:03}"),
    )
}

fn part_key(job: &JobId, chunk: u32, run: &str, k: u32) -> Key {
    key(
        shard_pk(job, shard_of(chunk)),
        format!("CHUNK#{chunk:05}#PART#{run}#{k:03}"),
    )
}

/// Selects everything of the chunks `from..=to`, which must lie in one shard.
pub fn chunk_range(job: &JobId, from: u32, to: u32) -> Select {
    Select::Partition {
        pk: shard_pk(job, shard_of(from)),
        from: format!("CHUNK#{from:05}"),
        // `~` sorts after every character that our sort keys have.
        to: format!("CHUNK#{to:05}#~"),
    }
}

/// Selects everything of one shard of a job.
pub fn shard_range(job: &JobId, shard: u32) -> Select {
    Select::Partition {
        pk: shard_pk(job, shard),
        from: "CHUNK#".into(),
        to: "CHUNK#~".into(),
    }
}

/// A chunk's records and budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// The index in the job of the first record.
    pub first: u32,
    /// The number of records, from the start, that may run; the rest are `skipped`.
    pub funded: u32,
    /// The records, in the job's order.
    pub records: Vec<Record>,
}

/// A [`Chunk`] to be stored. It borrows its records: they can be many and large.
#[derive(Debug, Serialize)]
pub struct ChunkOf<'a> {
    /// See [`Chunk::first`].
    pub first: u32,
    /// See [`Chunk::funded`].
    pub funded: u32,
    /// See [`Chunk::records`].
    pub records: &'a [Record],
}

/// Packs a chunk's records into one item. Fails where they cannot be written as JSON.
pub fn chunk_item(
    job: &JobId,
    chunk: u32,
    content: &ChunkOf<'_>,
    expires_at: Timestamp,
) -> Result<Item, Corrupt> {
    let attributes = Attributes::from([(DATA.into(), Value::B(pack(content)?)), ttl(expires_at)]);
    Ok(Item {
        key: chunk_key(job, chunk),
        attributes,
    })
}

/// The work of a run on a chunk that it could not finish. Positions are those in the chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The record that is about to be tried by itself. Found later without an outcome, it counts
    /// as an attempt that took its process down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u32>,
    /// Records that have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<(u32, Outcome)>,
    /// Records whose provider answers later.
    #[serde(rename = "parked", default, skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<(u32, Suspended)>,
}

/// Names the part that a submission itself puts. It sorts before those of runs, whose names are
/// ULIDs of this age.
const AT_SUBMIT: &str = "0";

/// Makes the item of outcomes that a chunk's records have from the beginning, as those of a run
/// that had to stop: every version takes them as they are, and asks no provider about these
/// records.
pub fn known_item(
    job: &JobId,
    chunk: u32,
    outcomes: Vec<(u32, Outcome)>,
    expires_at: Timestamp,
) -> Result<Item, Corrupt> {
    part_item(
        job,
        chunk,
        AT_SUBMIT,
        0,
        &Part {
            outcomes,
            ..Part::default()
        },
        expires_at,
    )
}

/// Returns the key of [`known_item`].
pub fn known_key(job: &JobId, chunk: u32) -> Key {
    part_key(job, chunk, AT_SUBMIT, 0)
}

/// Packs a part into the `k`-th item of a run's own. Fails where it cannot be written as JSON.
pub fn part_item(
    job: &JobId,
    chunk: u32,
    run: &str,
    k: u32,
    part: &Part,
    expires_at: Timestamp,
) -> Result<Item, Corrupt> {
    let attributes = Attributes::from([(DATA.into(), Value::B(pack(part)?)), ttl(expires_at)]);
    Ok(Item {
        key: part_key(job, chunk, run, k),
        attributes,
    })
}

/// Splits records' data so that each group fits one item even where nothing compresses.
pub fn groups<T: Serialize>(of_records: Vec<(u32, T)>) -> Vec<Vec<(u32, T)>> {
    let mut groups: Vec<Vec<_>> = Vec::new();
    let mut bytes = usize::MAX;
    for entry in of_records {
        let size = json::size(&entry);
        if bytes.saturating_add(size) > MAX_PAYLOAD_BYTES {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(group) = groups.last_mut() {
            group.push(entry);
        }
    }
    groups
}

/// Makes the items of a chunk's result: the head, to be put if absent, and before it the overflow
/// that the head names.
pub fn result_items(
    job: &JobId,
    chunk: u32,
    run: &str,
    outcomes: &[Outcome],
    expires_at: Timestamp,
) -> Result<(Vec<Item>, Item), Corrupt> {
    let packed = pack(&outcomes)?;
    let head = |attributes: Attributes| Item {
        key: result_key(job, chunk),
        attributes,
    };
    if packed.len() <= MAX_PAYLOAD_BYTES {
        return Ok((
            Vec::new(),
            head(Attributes::from([
                (DATA.into(), Value::B(packed)),
                ttl(expires_at),
            ])),
        ));
    }
    let mut overflow = Vec::new();
    for (k, group) in (0_u32..).zip(groups((0..).zip(outcomes.iter().cloned()).collect())) {
        let attributes =
            Attributes::from([(DATA.into(), Value::B(pack(&group)?)), ttl(expires_at)]);
        overflow.push(Item {
            key: overflow_key(job, chunk, run, k),
            attributes,
        });
    }
    let count = i64::try_from(overflow.len()).unwrap_or(i64::MAX);
    let head = head(Attributes::from([
        ("run".into(), s(run)),
        ("items".into(), Value::N(count)),
        ttl(expires_at),
    ]));
    Ok((overflow, head))
}

/// All that is stored of one chunk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChunkState {
    /// The records; `None` where they were erased or never written.
    pub chunk: Option<Chunk>,
    /// The outcome of every record, once there is a result.
    pub result: Option<Vec<Outcome>>,
    /// Finished by runs that had to stop, by position in the chunk; the earliest run's answer
    /// counts.
    pub finished: BTreeMap<u32, Outcome>,
    /// Attempts at a record by itself since it was last suspended, by position in the chunk.
    pub begun: BTreeMap<u32, u32>,
    /// Suspended by earlier runs, as the latest left them; what has finished since is also in
    /// `finished`.
    pub suspended: BTreeMap<u32, Suspended>,
}

/// Returns `CHUNK#n` of the sort key of any of a chunk's items.
fn chunk_key_of(sk: &str) -> &str {
    sk.match_indices('#').nth(1).map_or(sk, |(at, _)| &sk[..at])
}

/// Returns the chunk, if each of its records has a place in a job.
fn placed(chunk: Chunk) -> Result<Chunk, Corrupt> {
    let records = u32::try_from(chunk.records.len()).ok();
    records
        .and_then(|n| chunk.first.checked_add(n))
        .map(|_| chunk)
        .ok_or(Corrupt(DATA))
}

/// Reads a range of chunks. Overflow that no head names is skipped, and so are the parts of a chunk
/// that has its result.
pub fn read_chunks(items: &[Item]) -> Result<BTreeMap<u32, ChunkState>, Corrupt> {
    let mut chunks: BTreeMap<u32, ChunkState> = BTreeMap::new();
    let mut heads: BTreeMap<u32, (&str, i64)> = BTreeMap::new();
    let mut overflow: BTreeMap<(u32, &str), Vec<&Item>> = BTreeMap::new();
    let ended: BTreeSet<&str> = items
        .iter()
        .filter_map(|item| item.key.sk.strip_suffix("#RESULT"))
        .collect();
    for item in items {
        let mut parts = item.key.sk.split('#');
        let (Some("CHUNK"), Some(n)) = (parts.next(), parts.next().and_then(|n| n.parse().ok()))
        else {
            continue;
        };
        let state = chunks.entry(n).or_default();
        match (parts.next(), parts.next()) {
            (None, _) => state.chunk = Some(unpack(item).and_then(placed)?),
            (Some("RESULT"), None) => match get_s(item, "run") {
                Some(run) => {
                    heads.insert(n, (run, get_n(item, "items").unwrap_or(0)));
                }
                None => state.result = Some(unpack(item)?),
            },
            (Some("RESULT"), Some(run)) => overflow.entry((n, run)).or_default().push(item),
            // A part adds nothing to a result.
            (Some("PART"), Some(_)) if ended.contains(chunk_key_of(&item.key.sk)) => {}
            (Some("PART"), Some(_)) => {
                // A part that cannot be read counts as lost: its records are asked about again.
                let Ok(part) = unpack::<Part>(item) else {
                    tracing::error!(
                        item.pk = %item.key.pk,
                        item.sk = %item.key.sk,
                        "part cannot be read"
                    );
                    continue;
                };
                if let Some(at) = part.begun {
                    *state.begun.entry(at).or_default() += 1;
                }
                for (at, outcome) in part.outcomes {
                    state.finished.entry(at).or_insert(outcome);
                }
                for (at, suspended) in part.suspended {
                    state.begun.remove(&at);
                    state.suspended.insert(at, suspended);
                }
            }
            _ => {}
        }
    }
    for (n, (run, count)) in heads {
        let items = overflow.remove(&(n, run)).unwrap_or_default();
        if i64::try_from(items.len()) != Ok(count) {
            return Err(Corrupt("result overflow"));
        }
        let mut outcomes: Vec<(u32, Outcome)> = Vec::new();
        for item in items {
            outcomes.extend(unpack::<Vec<(u32, Outcome)>>(item)?);
        }
        outcomes.sort_by_key(|(at, _)| *at);
        chunks.entry(n).or_default().result =
            Some(outcomes.into_iter().map(|(_, outcome)| outcome).collect());
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::super::item::digest;
    use super::*;
    use crate::domain::record::OutcomeStatus;

    fn job() -> JobId {
        JobId::new(Timestamp(1), [3; 10])
    }

    fn outcomes(n: usize, bytes: usize) -> Vec<Outcome> {
        // Text that hardly compresses: digests in hex.
        let text = |at: usize| {
            (0..bytes / 64)
                .map(|i| digest(&format!("{at}/{i}")))
                .collect::<String>()
        };
        (0..n)
            .map(|at| Outcome {
                data: serde_json::Map::from_iter([("text".to_owned(), text(at).into())]),
                ..Outcome::without_data(OutcomeStatus::Found, None)
            })
            .collect()
    }

    #[test]
    fn a_result_too_big_for_one_item_comes_back_whole() {
        let outcomes = outcomes(6, 200 * 1024);
        let (overflow, head) = result_items(&job(), 7, "run1", &outcomes, Timestamp(0)).unwrap();
        assert!(overflow.len() > 1);
        let stranger = result_items(&job(), 7, "run0", &outcomes[..3], Timestamp(0))
            .unwrap()
            .0;
        let items: Vec<Item> = stranger.into_iter().chain(overflow).chain([head]).collect();
        assert_eq!(read_chunks(&items).unwrap()[&7].result, Some(outcomes));
    }

    #[test]
    fn parts_are_read_until_there_is_a_result() {
        let part = |chunk| {
            let part = Part {
                begun: Some(1),
                outcomes: vec![(0, outcomes(1, 64).remove(0))],
                suspended: Vec::new(),
            };
            part_item(&job(), chunk, "run1", 0, &part, Timestamp(0)).unwrap()
        };
        let result = result_items(&job(), 7, "run1", &outcomes(2, 64), Timestamp(0))
            .unwrap()
            .1;
        let chunks = read_chunks(&[part(7), result, part(8)]).unwrap();
        assert_eq!((chunks[&7].finished.len(), chunks[&7].begun.len()), (0, 0));
        assert_eq!((chunks[&8].finished.len(), chunks[&8].begun.len()), (1, 1));
        assert_eq!(chunks[&7].result.as_ref().map(Vec::len), Some(2));
    }

    #[test]
    fn overflow_that_is_missing_is_corrupt_and_not_a_shorter_result() {
        let (mut overflow, head) =
            result_items(&job(), 7, "run1", &outcomes(6, 200 * 1024), Timestamp(0)).unwrap();
        overflow.pop();
        overflow.push(head);
        assert_eq!(read_chunks(&overflow), Err(Corrupt("result overflow")));
    }

    #[test]
    fn a_chunk_range_holds_the_chunks_items_and_no_others() {
        let Select::Partition { from, to, .. } = chunk_range(&job(), 1, 1) else {
            panic!()
        };
        let inside = |key: Key| key.sk >= from && key.sk <= to;
        assert!(inside(chunk_key(&job(), 1)) && inside(result_key(&job(), 1)));
        assert!(
            inside(part_key(&job(), 1, "01ARZ", 999))
                && inside(overflow_key(&job(), 1, "01ARZ", 999))
        );
        assert!(
            !inside(chunk_key(&job(), 0))
                && !inside(result_key(&job(), 0))
                && !inside(chunk_key(&job(), 2))
        );
    }

    #[test]
    fn places_that_cannot_be_counted_on_from_made_every_step_panic() {
        let record = Record::default();
        let item = |first| {
            chunk_item(
                &job(),
                0,
                &ChunkOf {
                    first,
                    funded: 1,
                    records: std::slice::from_ref(&record),
                },
                Timestamp(0),
            )
            .unwrap()
        };
        assert_eq!(read_chunks(&[item(u32::MAX)]), Err(Corrupt(DATA)));
        assert!(read_chunks(&[item(u32::MAX - 1)]).is_ok());
    }
}
