//! Cuts a job's records into chunks, the unit of work of one queue message.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::ids::JobId;

/// The most records of a chunk. 1,000 records are 16 chunks: few enough calls, enough parallel
/// work.
pub const MAX_CHUNK_RECORDS: usize = 64;
/// The most bytes of records in a chunk, as JSON before compression, unless one record alone has
/// more. Chosen so that a chunk fits one item (400 KB, the item size limit of `DynamoDB`) even
/// where nothing compresses.
pub const MAX_CHUNK_BYTES: usize = 256 * 1024;
/// Chunks of one progress shard: a set ADD bills the whole item, so sets stay short.
pub const SHARD_CHUNKS: u32 = 100;

/// The reason why a chunk's message was sent. A hint like all of the message: it decides only
/// whether this attempt is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At submit.
    First,
    /// By a run that stopped in time and saved what it had, or because an upstream answered.
    Resume,
    /// By the sweep, because nothing moved.
    #[serde(rename = "nudge")]
    Redrive,
}

/// The message that asks for one chunk to be worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkMessage {
    /// Version of this format.
    pub v: u8,
    /// The job that the chunk belongs to.
    pub job: JobId,
    /// The chunk's number in the job, from 0.
    pub chunk: u32,
    /// The reason of the message.
    pub start: Start,
    /// Of a resumption: the end of the lease that the previous run leaves to it.
    #[serde(rename = "hold", default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<i64>,
    /// When the chunk's first suspended record may go on, in milliseconds: the message waits for
    /// that time.
    #[serde(rename = "wake", default, skip_serializing_if = "Option::is_none")]
    pub poll_at: Option<i64>,
}

impl ChunkMessage {
    /// Makes a message of the present format that waits for nothing.
    pub fn new(job: JobId, chunk: u32, start: Start) -> Self {
        Self {
            v: 1,
            job,
            chunk,
            start,
            lease_until: None,
            poll_at: None,
        }
    }
}

/// The shard that holds a chunk and its progress.
pub fn shard_of(chunk: u32) -> u32 {
    chunk / SHARD_CHUNKS
}

/// Returns how many shards a job with this number of chunks has.
pub fn shard_count(chunks: u32) -> u32 {
    chunks.div_ceil(SHARD_CHUNKS)
}

/// Returns how many chunks of a job of `chunks` chunks lie in `shard`.
pub fn chunks_in_shard(shard: u32, chunks: u32) -> u32 {
    chunks
        .saturating_sub(shard * SHARD_CHUNKS)
        .min(SHARD_CHUNKS)
}

/// Plans one record a chunk, for jobs that report each record as soon as it has ended.
pub fn plan_singly(records: usize) -> Vec<Range<usize>> {
    (0..records).map(|at| at..at + 1).collect()
}

/// Cuts records of these JSON sizes (bytes) into chunks of near-equal count, none over the limits.
/// Covers every record once and in order.
pub fn plan(sizes: &[usize]) -> Vec<Range<usize>> {
    let per_chunk = sizes
        .len()
        .div_ceil(sizes.len().div_ceil(MAX_CHUNK_RECORDS).max(1))
        .max(1);
    let mut chunks = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, size) in sizes.iter().enumerate() {
        if at > from && (at - from == per_chunk || bytes + size > MAX_CHUNK_BYTES) {
            chunks.push(from..at);
            (from, bytes) = (at, 0);
        }
        bytes += size;
    }
    if from < sizes.len() {
        chunks.push(from..sizes.len());
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_small_records_are_sixteen_even_chunks() {
        let chunks = plan(&[100; 1000]);
        assert_eq!(chunks.len(), 16);
        assert_eq!(chunks[0], 0..63);
        assert_eq!(chunks[15], 945..1000);
    }

    #[test]
    fn chunks_cover_everything_in_order_and_keep_the_limits() {
        for sizes in [
            vec![],
            vec![1],
            vec![70_000; 9],
            vec![MAX_CHUNK_BYTES + 5, 1, 1],
            (0..700).map(|i| i * 97).collect(),
        ] {
            let chunks = plan(&sizes);
            let covered: Vec<usize> = chunks.iter().cloned().flatten().collect();
            assert_eq!(covered, (0..sizes.len()).collect::<Vec<_>>());
            for chunk in chunks {
                assert!(chunk.len() <= MAX_CHUNK_RECORDS);
                assert!(chunk.len() == 1 || sizes[chunk].iter().sum::<usize>() <= MAX_CHUNK_BYTES);
            }
        }
    }

    #[test]
    fn shards_hold_a_hundred_chunks() {
        assert_eq!((shard_of(99), shard_of(100)), (0, 1));
        assert_eq!(
            (
                shard_count(0),
                shard_count(1),
                shard_count(100),
                shard_count(101)
            ),
            (0, 1, 1, 2)
        );
        assert_eq!(
            (
                chunks_in_shard(0, 101),
                chunks_in_shard(1, 101),
                chunks_in_shard(2, 101)
            ),
            (100, 1, 0)
        );
    }
}
