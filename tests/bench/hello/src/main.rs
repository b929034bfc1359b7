//! Hello, world. Without a log, a client or a second thread, so that nothing flatters the functions
//! measured beside it.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(|_: LambdaEvent<IgnoredAny>| async {
        Ok::<_, Error>("Hello, world!")
    }))
    .await
}
