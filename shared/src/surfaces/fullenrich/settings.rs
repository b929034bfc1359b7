//! What a tenant may choose: the answer to a poll of an enrichment that is running.

use crate::domain::job::Spec;
use crate::surfaces::SurfaceSetting;

/// The error of the description.
const ERROR: &str = "400";
/// The batch without its contacts, as the vendor was seen to answer.
const BATCH: &str = "200";

/// The answer to a poll, on version 2 of the API.
const POLL: SurfaceSetting = SurfaceSetting {
    name: "poll",
    values: &[ERROR, BATCH],
    help: "The status of a poll while the enrichment runs; 200 shows the batch without its data",
};

/// All settings.
pub(super) const SETTINGS: &[SurfaceSetting] = &[POLL];

/// Returns whether a poll of this running enrichment is answered with the batch.
pub(super) fn shows_running(spec: &Spec) -> bool {
    POLL.of(&spec.settings) == BATCH
}
