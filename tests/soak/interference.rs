//! placeholder
use crate::Failed;
pub(crate) async fn run() -> Result<bool, Failed> {
    Ok(true)
}
