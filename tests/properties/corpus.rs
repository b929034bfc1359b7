//! The seed corpus as it is: it has every seed that ever found something.

use testkit::fuzz::{TARGETS, seeds};

#[test]
fn every_seed_is_treated_as_promised() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let seeds = seeds(target.name);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for (name, bytes) in seeds {
            let began = std::time::Instant::now();
            if std::panic::catch_unwind(|| (target.run)(&bytes)).is_err() {
                failed.push(format!("{}/{name}", target.name));
            }
            println!("{:?} {}/{name}", began.elapsed(), target.name);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_method_in_the_callers_own_words_was_written_to_the_log() {
    testkit::fuzz::api::request(format!("{} /v1/jobs", testkit::fuzz::PERSONAL).as_bytes());
}
