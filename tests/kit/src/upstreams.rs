//! Load for upstreams over HTTP, and their view of it.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value};
use shared::catalog::Config;
use shared::domain::record::OutcomeStatus;
use shared::domain::time::Timestamp;
use shared::providers::kinds::READERS;
use shared::providers::waterfall::{Request, WaterfallOutcome};
use shared::providers::{Ports, Registry, build};

/// The providers of a configuration, without files and secrets, as one process has them.
///
/// # Panics
/// Where the configuration is wrong.
pub fn registry(text: &str) -> Registry {
    let config = Config::parse(READERS, "test", text).unwrap_or_else(|error| panic!("{error}"));
    let built = Registry::assemble(&config, |provider| {
        build(provider, Path::new(""), &|_| None)
    });
    built.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a process that always has `lanes` records at work on type `t` until `until`. Returns the
/// counts of found and other records.
///
/// # Panics
/// Where the type does not exist.
pub async fn press(
    registry: &Registry,
    ports: &Ports,
    lanes: usize,
    until: Timestamp,
) -> (usize, usize) {
    let waterfall = registry.waterfall("t").expect("the type `t`");
    let lanes = (0..lanes).map(|lane| async move {
        let (mut found, mut others) = (0, 0);
        while ports.clock.now() < until {
            let input = Map::from_iter([(
                "domain".to_owned(),
                Value::from(format!("{lane}-{found}.example")),
            )]);
            let (limit, key) = (Duration::from_secs(90), "record");
            let request = Request {
                input: &input,
                limit,
                order: None,
                key,
                callback: None,
                cache: None,
            };
            match waterfall.run(&request, None, ports).await {
                WaterfallOutcome::Done(outcome) if outcome.status == OutcomeStatus::Found => {
                    found += 1;
                }
                _ => others += 1,
            }
        }
        (found, others)
    });
    join_all(lanes)
        .await
        .into_iter()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Returns the most requests in any second, wherever it begins.
pub fn busiest_second(times: &[Timestamp]) -> usize {
    let mut times: Vec<i64> = times.iter().map(|at| at.0).collect();
    times.sort_unstable();
    times
        .iter()
        .enumerate()
        .map(|(n, at)| times[n..].partition_point(|other| *other < at + 1000))
        .max()
        .unwrap_or(0)
}

/// Returns the average requests a second between two times.
#[expect(clippy::cast_precision_loss, reason = "counts of a test")]
pub fn average(times: &[Timestamp], from: Timestamp, to: Timestamp) -> f64 {
    times.iter().filter(|at| (from..to).contains(*at)).count() as f64 / to.since(from).as_secs_f64()
}
