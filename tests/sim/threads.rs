//! Both cores: worlds are independent of each other, and each lives on one thread.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The interval at which a long run reports its progress.
const TELL: Duration = Duration::from_secs(20);

/// Does the work for each number below `count`, on one thread per core, and returns the outcomes in
/// order. Long work reports its progress on stderr as `what`.
pub(crate) fn map<T: Send>(what: &str, count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let (start, reported) = (Instant::now(), Mutex::new(Instant::now()));
    let one = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return done;
            }
            done.push((n, work(n)));
            let mut reported = reported.lock().unwrap();
            if reported.elapsed() >= TELL {
                *reported = Instant::now();
                eprintln!(
                    "{what}: {} of {count} after {} s",
                    n + 1,
                    start.elapsed().as_secs()
                );
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all: Vec<(u64, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        workers
            .into_iter()
            .flat_map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|e| std::panic::resume_unwind(e))
            })
            .collect()
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, done)| done).collect()
}
