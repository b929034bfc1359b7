//! Stores what a run over a chunk found: parts before the chunk is done, answers for the cache, and
//! the result.

use super::run::{ChunkProgress, RecordOutcome, Run};
use crate::domain::record::Outcome;
use crate::jobs::{StepError, full_range};
use crate::ports::{Item, StoreError};
use crate::schema::{
    Corrupt, Part, chunk_range, groups, insert, overwrite, part_item, read_chunks, result_items,
};

impl Run<'_> {
    /// Saves outcomes as parts, numbered from `parts` on. A record that still waits for the same is
    /// not written again: a poll without an answer changes nothing.
    pub(crate) async fn checkpoint(
        &self,
        record_outcome: &[(u32, RecordOutcome)],
        known: &ChunkProgress,
        parts: &mut u32,
    ) -> Result<(), StepError> {
        let (mut outcomes, mut suspended) = (Vec::new(), Vec::new());
        for (at, record_outcome) in record_outcome {
            match record_outcome {
                RecordOutcome::Done(outcome) => outcomes.push((*at, outcome.clone())),
                RecordOutcome::Suspended(now)
                    if known
                        .suspended
                        .get(at)
                        .is_some_and(|before| before.waits_as(now)) => {}
                RecordOutcome::Suspended(now) => suspended.push((*at, (**now).clone())),
            }
        }
        let outcomes = groups(outcomes).into_iter().map(|outcomes| Part {
            outcomes,
            ..Part::default()
        });
        let suspended = groups(suspended).into_iter().map(|suspended| Part {
            suspended,
            ..Part::default()
        });
        let mut items = Vec::new();
        for part in outcomes.chain(suspended) {
            items.push(self.part(*parts, &part)?);
            *parts += 1;
        }
        if items.is_empty() {
            Ok(())
        } else {
            Ok(self.ports.store.put_all(items).await?)
        }
    }

    fn part(&self, k: u32, part: &Part) -> Result<Item, Corrupt> {
        part_item(
            &self.job.spec.id,
            self.number,
            &self.id,
            k,
            part,
            self.job.spec.expires_at,
        )
    }

    /// Puts a part under this run's own name; no other run writes there.
    pub(crate) async fn put_part(&self, k: u32, part: &Part) -> Result<(), StepError> {
        let put = overwrite(self.part(k, part)?);
        Ok(self.ports.store.put(put).await?)
    }

    /// Writes providers' answers to the cache. Nothing depends on it.
    pub(crate) async fn keep_answers(&self) {
        if let Some(cache) = &self.cache {
            cache.write(self.ports.clock.as_ref()).await;
        }
    }

    /// Puts the result if there is none yet. The first writer wins, and every run goes on with that
    /// result.
    pub(crate) async fn put(&self, outcomes: Vec<Outcome>) -> Result<Vec<Outcome>, StepError> {
        let (id, expires_at) = (&self.job.spec.id, self.job.spec.expires_at);
        let (overflow, head) = result_items(id, self.number, &self.id, &outcomes, expires_at)?;
        if !overflow.is_empty() {
            self.ports.store.put_all(overflow).await?;
        }
        match self.ports.store.put(insert(head)).await {
            Ok(()) => Ok(outcomes),
            Err(StoreError::ConditionFailed(_)) => {
                let select = chunk_range(id, self.number, self.number);
                let items = full_range(self.ports, select).await?;
                let state = read_chunks(&items)?.remove(&self.number);
                state
                    .and_then(|s| s.result)
                    .ok_or(StepError::Corrupt("result"))
            }
            Err(error) => Err(error.into()),
        }
    }
}
