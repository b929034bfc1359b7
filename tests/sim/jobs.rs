//! A job from its submission to its end.

use std::time::Duration;

use shared::domain::job::Status;
use tests::harness::{World, submission};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_thousand_records_come_back_in_order_with_one_webhook() {
    let mut world = World::new();
    let scripts = ["found", "none", "fail", "found", "invalid"];
    let domains: Vec<String> = (0..1000).map(|n| format!("{}-{n}", scripts[n % 5])).collect();
    let sent = submission(&domains);
    let id = world.job(sent.clone());
    world.settle(HOUR);

    let view = world.view(&id);
    assert_eq!(view.status(), Status::Completed);
    let lines = world.results(&id);
    let records: Vec<_> = lines.iter().map(|line| line.record.clone()).collect();
    assert_eq!(records, sent.records);
    let counts = view.counts();
    assert_eq!((counts.found, counts.not_found, counts.failed, counts.invalid), (400, 200, 200, 200));
    assert_eq!((view.credits_used(), view.job.spec.reserved), (800, 2000));
    assert_eq!(world.credits(&world.tenant.id), (99_200, 800, 0));
    assert_eq!(world.receiver.exchanges().len(), 1);
    assert!(domains.iter().all(|d| world.asked_of(d) == 1));
}
