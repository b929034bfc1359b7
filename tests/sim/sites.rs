//! What is remembered of companies' sites.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use shared::domain::ids::JobId;
use shared::domain::job::{Status, Submission};
use shared::domain::record::OutcomeStatus;
use shared::domain::time::Timestamp;
use testkit::harness::{Options, Tenant, World, submission};
use testkit::sim::{Fault, Reply};

use crate::HOUR;
use crate::crash::{After, case, ended, sweep};
use crate::limits::world;

const SIGNALS: &str = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"news\"]\n[providers.news]\nkind = \"signals\"\nmax_age_days = 1\n";

/// A site whose feed has entries of these titles, all without a date.
fn site(world: &World, titles: &Arc<Mutex<Vec<&'static str>>>) {
    let titles = Arc::clone(titles);
    world.sim.http.on("https://acme.example/", move |request| match request.url.rsplit('/').next() {
        Some("robots.txt") => Reply::status(404),
        Some("feed") => {
            let item = |title: &&str| format!("<item><title>{title}</title><pubDate>lately</pubDate></item>");
            Reply::body(200, format!("<rss>{}</rss>", titles.lock().unwrap().iter().map(item).collect::<String>()))
        }
        _ => Reply::body(200, "<link rel=alternate type=application/rss+xml href=/feed>")
            .header("content-type", "text/html"),
    });
}

fn about() -> Submission {
    Submission { kind: "t".to_owned(), webhook: None, ..submission(&["acme.example"]) }
}

/// Title and hour of first sight of what is told as new.
fn told(world: &World, id: &JobId, begun: Timestamp) -> Vec<(String, u64)> {
    let lines = world.results(id);
    let signals = lines[0].to_json()["data"]["signals"].as_array().cloned().unwrap_or_default();
    let hour = |signal: &Value| {
        let at = Timestamp::parse(signal["first_seen"].as_str().unwrap()).unwrap();
        at.since(begun).as_secs() / 3600
    };
    signals.iter().map(|signal| (signal["title"].as_str().unwrap().to_owned(), hour(signal))).collect()
}

fn visit(world: &mut World, tenant: &Tenant, begun: Timestamp) -> Vec<(String, u64)> {
    let id = world.job_as(tenant, about());
    world.settle(HOUR / 2);
    assert_eq!(ended(world, &id, &[Status::Completed]), Ok(()));
    told(world, &id, begun)
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(title, hour)| ((*title).to_owned(), *hour)).collect()
}

#[test]
fn news_without_a_date_age_by_when_the_tenant_first_saw_them() {
    let mut world = world(SIGNALS, Options::default());
    let titles = Arc::new(Mutex::new(vec!["One", "Two"]));
    site(&world, &titles);
    let (acme, other, begun) = (world.tenant.clone(), world.tenant("other"), world.now());
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("One", 0), ("Two", 0)]));
    let until = |world: &mut World, hour: u32| world.run_for(begun.plus(hour * HOUR).since(world.now()));
    until(&mut world, 12);
    titles.lock().unwrap().insert(0, "Three");
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("Three", 12), ("One", 0), ("Two", 0)]));
    until(&mut world, 26);
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("Three", 12)]), "news of a day");
    let new = pairs(&[("Three", 26), ("One", 26), ("Two", 26)]);
    assert_eq!(visit(&mut world, &other, begun), new, "what one tenant saw is not told another");
    *titles.lock().unwrap() = vec!["Three"];
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("Three", 12)]));
    titles.lock().unwrap().push("One");
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("One", 26), ("Three", 12)]), "it was gone, and is back");
    let kept = world.sim.store.items().into_iter().filter(|item| item.key.pk.starts_with("SEEN#")).count();
    assert_eq!(kept, 2, "one item of each tenant");
}

#[test]
fn a_table_that_remembers_nothing_costs_no_answer() {
    let mut world = world(SIGNALS, Options::default());
    site(&world, &Arc::new(Mutex::new(vec!["One"])));
    for fault in [Fault::FailBefore, Fault::Delay(HOUR)] {
        world.faults(move |call| if call.subject.starts_with("SEEN#") { fault } else { Fault::Proceed });
        let id = world.job(about());
        world.settle(HOUR / 2);
        let data = &world.results(&id)[0].to_json()["data"];
        assert_eq!(data["signals"][0]["title"], "One", "{fault:?}: {data}");
        assert_eq!(data["signals"][0].get("first_seen"), None, "{fault:?}: {data}");
    }
}

#[test]
fn what_was_seen_first_survives_every_crash() {
    let play: fn(&mut World) -> After = |world| {
        world.registry = Arc::new(testkit::upstreams::registry(SIGNALS));
        site(world, &Arc::new(Mutex::new(vec!["One", "Two"])));
        let begun = world.now();
        let id = world.insist_on_job(&about(), "one").expect("a job");
        Box::new(move |world| {
            ended(world, &id, &[Status::Completed])?;
            let line = world.results(&id).remove(0);
            let data = &line.to_json()["data"];
            // The site was asked for in vain.
            let failed = line.outcome.status == OutcomeStatus::Failed;
            if !failed && data["signals"].as_array().is_none_or(|signals| signals.len() != 2) {
                return Err(format!("signals: {data}"));
            }
            let times: Vec<_> = world.sim.store.items().iter().filter_map(seen).flatten().collect();
            let right = |at: &i64| (begun.seconds()..=world.now().seconds()).contains(at);
            if times.iter().all(right) && [0, 2].contains(&times.len()) {
                return Ok(());
            }
            Err(format!("remembered: {times:?} since {}", begun.seconds()))
        })
    };
    sweep("sites", &case(play));
}

/// The times in an item of what was seen.
fn seen(item: &shared::ports::Item) -> Option<Vec<i64>> {
    let Some(shared::ports::Value::Ss(set)) = item.attributes.get("seen") else { return None };
    item.key
        .pk
        .starts_with("SEEN#")
        .then(|| set.iter().map(|one| one.rsplit_once(':').unwrap().1.parse().unwrap()).collect())
}
