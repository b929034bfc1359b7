//! Progress as a grow-only set: one element a chunk, derived from the chunk's stored result alone.
//! Adding an element twice changes nothing, so counts are exact however often a step runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{Outcome, OutcomeStatus};

/// Records by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records with data from at least one provider.
    pub found: u32,
    /// Records that every provider that answered has nothing on.
    pub not_found: u32,
    /// Records whose providers could not answer, or that could not be worked on.
    pub failed: u32,
    /// Records whose input no provider can use.
    pub invalid: u32,
    /// Records that the budget did not cover.
    pub skipped: u32,
    /// Records that had not begun when the job was canceled.
    pub canceled: u32,
}

impl Counts {
    /// All records that have an outcome.
    pub fn total(&self) -> u32 {
        let counts = [
            self.found,
            self.not_found,
            self.failed,
            self.invalid,
            self.skipped,
            self.canceled,
        ];
        counts.into_iter().fold(0, u32::saturating_add)
    }

    /// Adds one record with this outcome.
    pub fn count(&mut self, status: OutcomeStatus) {
        *match status {
            OutcomeStatus::Found => &mut self.found,
            OutcomeStatus::NotFound => &mut self.not_found,
            OutcomeStatus::Failed => &mut self.failed,
            OutcomeStatus::Invalid => &mut self.invalid,
            OutcomeStatus::Skipped => &mut self.skipped,
            OutcomeStatus::Canceled => &mut self.canceled,
        } += 1;
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.found, other.found),
            (&mut self.not_found, other.not_found),
            (&mut self.failed, other.failed),
            (&mut self.invalid, other.invalid),
            (&mut self.skipped, other.skipped),
            (&mut self.canceled, other.canceled),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// The counts that a finished chunk adds to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSummary {
    /// The chunk's number in the job, from 0.
    pub chunk: u32,
    /// The chunk's records by outcome.
    pub counts: Counts,
    /// Credits of the chunk's found records.
    pub credits: u64,
    /// Bytes of the chunk's result lines as JSON, so that inline-or-link is known without reading
    /// them.
    pub bytes: u64,
    /// The same without sources, as [`super::job::public_view`] has them; `None` from a version
    /// that knew one size only.
    pub public_bytes: Option<u64>,
}

impl ChunkSummary {
    /// Sums up the stored result of a chunk.
    pub fn of(chunk: u32, outcomes: &[Outcome], bytes: u64, public_bytes: u64) -> Self {
        let mut counts = Counts::default();
        for outcome in outcomes {
            counts.count(outcome.status);
        }
        Self {
            chunk,
            counts,
            credits: outcomes.iter().map(|o| u64::from(o.credits)).sum(),
            bytes,
            public_bytes: Some(public_bytes),
        }
    }

    /// `chunk:found:not_found:failed:invalid:skipped:canceled:credits:bytes:public_bytes`.
    pub fn element(&self) -> String {
        let Self {
            chunk,
            counts: c,
            credits,
            bytes,
            public_bytes,
        } = self;
        let public_bytes = public_bytes
            .map(|public_bytes| format!(":{public_bytes}"))
            .unwrap_or_default();
        format!(
            "{chunk}:{}:{}:{}:{}:{}:{}:{credits}:{bytes}{public_bytes}",
            c.found, c.not_found, c.failed, c.invalid, c.skipped, c.canceled
        )
    }

    /// Reads an element. What a later version says after the parts known here is left unread.
    pub fn parse(element: &str) -> Option<Self> {
        let mut parts = element.split(':');
        let mut number = || parts.next().map(str::parse::<u64>);
        let mut known = [0; 9];
        for part in &mut known {
            *part = number()?.ok()?;
        }
        let public_bytes = number().transpose().ok()?;
        let [
            chunk,
            found,
            not_found,
            failed,
            invalid,
            skipped,
            canceled,
            credits,
            bytes,
        ] = known;
        let small = |n: u64| u32::try_from(n).ok();
        let counts = Counts {
            found: small(found)?,
            not_found: small(not_found)?,
            failed: small(failed)?,
            invalid: small(invalid)?,
            skipped: small(skipped)?,
            canceled: small(canceled)?,
        };
        Some(Self {
            chunk: small(chunk)?,
            counts,
            credits,
            bytes,
            public_bytes,
        })
    }
}

/// A job's progress: the finished chunks of all its shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    done: BTreeMap<u32, ChunkSummary>,
}

impl Progress {
    /// Reads elements; one counts per chunk number, the first that says all there is to say, and
    /// what does not parse counts nothing. Where two versions work on a job, a chunk can have an
    /// element of each.
    pub fn of<'a>(elements: impl IntoIterator<Item = &'a String>) -> Self {
        let mut progress = Self::default();
        for summary in elements.into_iter().filter_map(|e| ChunkSummary::parse(e)) {
            let counted = progress.done.entry(summary.chunk).or_insert(summary);
            if counted.public_bytes.is_none() {
                *counted = summary;
            }
        }
        progress
    }

    /// Tells that a chunk is finished.
    pub fn has(&self, chunk: u32) -> bool {
        self.done.contains_key(&chunk)
    }

    /// Finished chunks.
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.done.len()).unwrap_or(u32::MAX)
    }

    /// Finished chunks of one shard.
    pub fn chunks_of_shard(&self, shard: u32) -> u32 {
        u32::try_from(
            self.done
                .keys()
                .filter(|c| super::chunk::shard_of(**c) == shard)
                .count(),
        )
        .unwrap_or(u32::MAX)
    }

    /// The numbers, ascending, of the chunks not finished of a job of `chunks`.
    pub fn undone(&self, chunks: u32) -> impl Iterator<Item = u32> + '_ {
        (0..chunks).filter(|c| !self.has(*c))
    }

    /// Returns the records of all finished chunks by outcome.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for summary in self.done.values() {
            counts.add(&summary.counts);
        }
        counts
    }

    /// Returns the credits of all finished chunks.
    pub fn credits(&self) -> u64 {
        self.sum(|summary| summary.credits)
    }

    /// Returns the bytes of all result lines of finished chunks; see [`ChunkSummary::bytes`].
    pub fn bytes(&self) -> u64 {
        self.sum(|summary| summary.bytes)
    }

    /// Returns the same without sources; see [`ChunkSummary::public_bytes`]. A chunk that does not
    /// say counts in full.
    pub fn public_bytes(&self) -> u64 {
        self.sum(|summary| summary.public_bytes.unwrap_or(summary.bytes))
    }

    fn sum(&self, of: impl Fn(&ChunkSummary) -> u64) -> u64 {
        self.done.values().map(of).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(chunk: u32) -> ChunkSummary {
        let counts = Counts {
            found: 48,
            not_found: 1,
            failed: 1,
            ..Counts::default()
        };
        ChunkSummary {
            chunk,
            counts,
            credits: 52,
            bytes: 18_204,
            public_bytes: Some(9_000),
        }
    }

    #[test]
    fn elements_round_trip() {
        assert_eq!(summary(17).element(), "17:48:1:1:0:0:0:52:18204:9000");
        assert_eq!(
            ChunkSummary::parse("17:48:1:1:0:0:0:52:18204:9000"),
            Some(summary(17))
        );
        let before = ChunkSummary {
            public_bytes: None,
            ..summary(17)
        };
        assert_eq!(
            ChunkSummary::parse("17:48:1:1:0:0:0:52:18204"),
            Some(before),
            "an element of the version before"
        );
        for bad in [
            "",
            "1",
            "1:2:3:4:5:6:7:8",
            "a:1:1:1:1:1:1:1:1",
            "1:1:1:1:1:1:1:1:1:b",
            "-1:1:1:1:1:1:1:1:1",
        ] {
            assert_eq!(ChunkSummary::parse(bad), None, "{bad}");
        }
    }

    /// It counted as not done: the chunk was asked for until this version had added an element of
    /// its own.
    #[test]
    fn a_chunk_finished_by_a_later_version_counts() {
        for later in [
            "17:48:1:1:0:0:0:52:18204:9000:3",
            "17:48:1:1:0:0:0:52:18204:9000:x:y",
        ] {
            assert_eq!(ChunkSummary::parse(later), Some(summary(17)), "{later}");
        }
    }

    #[test]
    fn of_two_versions_elements_the_one_that_says_more_counts() {
        let before = ChunkSummary {
            public_bytes: None,
            ..summary(3)
        };
        for elements in [
            [before.element(), summary(3).element()],
            [summary(3).element(), before.element()],
        ] {
            assert_eq!(
                (
                    Progress::of(&elements).chunks(),
                    Progress::of(&elements).public_bytes()
                ),
                (1, 9_000)
            );
        }
        assert_eq!(
            Progress::of(&[before.element()]).public_bytes(),
            18_204,
            "never less than it is"
        );
    }

    #[test]
    fn a_stored_number_at_its_limit_made_every_reader_of_the_job_panic() {
        let most =
            "0:4294967295:4294967295:0:0:0:0:18446744073709551615:18446744073709551615".to_owned();
        let progress = Progress::of(&[most, summary(1).element()]);
        assert_eq!(
            (progress.counts().found, progress.counts().total()),
            (u32::MAX, u32::MAX)
        );
        assert_eq!(
            (
                progress.credits(),
                progress.bytes(),
                progress.public_bytes()
            ),
            (u64::MAX, u64::MAX, u64::MAX)
        );
    }

    #[test]
    fn one_element_counts_per_chunk() {
        let elements = [
            summary(0).element(),
            summary(0).element(),
            "0:9:9:9:0:0:0:9:9".to_owned(),
            summary(3).element(),
        ];
        let progress = Progress::of(&elements);
        assert_eq!(progress.chunks(), 2);
        assert_eq!(
            (
                progress.counts().found,
                progress.credits(),
                progress.bytes()
            ),
            (96, 104, 36_408)
        );
        assert_eq!(progress.public_bytes(), 18_000);
        assert_eq!(progress.undone(5).collect::<Vec<_>>(), [1, 2, 4]);
    }
}
