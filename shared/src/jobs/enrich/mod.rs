//! Enriching a chunk: the step that a message asks for, a run over the records, the chunk's lease,
//! and the job's end.

mod checkpoint;
mod chunk_end;
pub mod finish;
pub(crate) mod lease;
pub mod newer;
pub(crate) mod run;
pub mod step;
