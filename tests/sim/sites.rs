//! The memory of companies' sites.

use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use shared::domain::ids::JobId;
use shared::domain::job::{Status, Submission};
use shared::domain::record::OutcomeStatus;
use shared::domain::time::Timestamp;
use shared::ports::Value;
use testkit::harness::{Options, Tenant, World, submission};
use testkit::sim::{Fault, Reply};

use crate::HOUR;
use crate::crash::{After, case, ended, sweep};
use crate::limits::world;

const SIGNALS: &str = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"news\"]\n\
    [providers.news]\nkind = \"signals\"\nmax_age_days = 1\n";

const HOME: &str = r#"<link rel=alternate type=application/rss+xml href=/feed>
    <script type=application/ld+json>{"@type": "JobPosting", "title": "Smith"}</script>"#;

/// Serves a site with an open position, and a feed with entries of these titles on one page, all
/// without a date. Without titles it has no feed.
fn site(world: &World, titles: &Arc<Mutex<Vec<&'static str>>>) {
    let titles = Arc::clone(titles);
    world.sim.http.on("https://acme.example/", move |request| {
        match request.url.rsplit('/').next() {
            Some("robots.txt") => Reply::status(404),
            Some("feed") => {
                let item = |title: &&str| {
                    format!(
                        "<item><title>{title}</title><link>/news#{title}</link>\
                     <pubDate>lately</pubDate></item>"
                    )
                };
                let items: Vec<String> = titles.lock().unwrap().iter().map(item).collect();
                if items.is_empty() {
                    Reply::status(404)
                } else {
                    Reply::body(200, format!("<rss>{}</rss>", items.concat()))
                }
            }
            _ => Reply::body(200, HOME).header("content-type", "text/html"),
        }
    });
}

fn about() -> Submission {
    Submission {
        kind: "t".to_owned(),
        webhook: None,
        ..submission(&["acme.example"])
    }
}

/// Title and hour of first sight of entries reported as new.
fn reported(world: &World, id: &JobId, begun: Timestamp) -> Vec<(String, u64)> {
    let lines = world.results(id);
    let signals = lines[0].to_json()["data"]["signals"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let hour = |signal: &Json| {
        let at = Timestamp::parse(signal["first_seen"].as_str().unwrap()).unwrap();
        at.since(begun).as_secs() / 3600
    };
    signals
        .iter()
        .map(|signal| (signal["title"].as_str().unwrap().to_owned(), hour(signal)))
        .collect()
}

fn visit(world: &mut World, tenant: &Tenant, begun: Timestamp) -> Vec<(String, u64)> {
    let id = world.job_as(tenant, about());
    world.settle(HOUR / 2);
    assert_eq!(ended(world, &id, &[Status::Completed]), Ok(()));
    reported(world, &id, begun)
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected
        .iter()
        .map(|(title, hour)| ((*title).to_owned(), *hour))
        .collect()
}

#[test]
fn news_without_a_date_age_by_when_the_tenant_first_saw_them() {
    let mut world = world(SIGNALS, Options::default());
    let titles = Arc::new(Mutex::new(vec!["One", "Two"]));
    site(&world, &titles);
    let (acme, other, begun) = (world.tenant.clone(), world.tenant("other"), world.now());
    let until =
        |world: &mut World, hour: u32| world.run_for(begun.plus(hour * HOUR).since(world.now()));
    assert_eq!(
        visit(&mut world, &acme, begun),
        pairs(&[("One", 0), ("Two", 0), ("Smith", 0)])
    );
    until(&mut world, 12);
    titles.lock().unwrap().clear();
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("Smith", 0)]));
    *titles.lock().unwrap() = vec!["Three", "One", "Two"];
    let three = pairs(&[("Three", 12), ("One", 0), ("Two", 0), ("Smith", 0)]);
    assert_eq!(
        visit(&mut world, &acme, begun),
        three,
        "nothing is forgotten that could not be read"
    );
    until(&mut world, 26);
    assert_eq!(
        visit(&mut world, &acme, begun),
        pairs(&[("Three", 12)]),
        "news of a day"
    );
    let new = pairs(&[("Three", 26), ("One", 26), ("Two", 26), ("Smith", 26)]);
    assert_eq!(
        visit(&mut world, &other, begun),
        new,
        "what one tenant saw is not shown to another"
    );
    *titles.lock().unwrap() = vec!["Three"];
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("Three", 12)]));
    titles.lock().unwrap().push("One");
    assert_eq!(
        visit(&mut world, &acme, begun),
        pairs(&[("One", 26), ("Three", 12)]),
        "it was gone, and is back"
    );
    let kept = world
        .sim
        .store
        .items()
        .into_iter()
        .filter(|item| item.key.pk.starts_with("SEEN#"))
        .count();
    assert_eq!(kept, 2, "one item of each tenant");
    until(&mut world, 40);
    assert_eq!(visit(&mut world, &acme, begun), pairs(&[("One", 26)]));
    for hour in [60, 90, 130, 170] {
        until(&mut world, hour);
        assert_eq!(
            visit(&mut world, &acme, begun),
            [],
            "old news are not new again at hour {hour}"
        );
    }
}

#[test]
fn what_is_kept_for_all_tenants_says_nothing_of_one() {
    let mut world = world(
        &format!("{SIGNALS}cache = {{ shared = true }}\n"),
        Options::default(),
    );
    site(&world, &Arc::new(Mutex::new(vec!["One"])));
    let id = world.job(about());
    world.settle(HOUR / 2);
    let data = &world.results(&id)[0].to_json()["data"];
    assert_eq!(
        (
            &data["signals"][0]["title"],
            data["signals"][0].get("first_seen")
        ),
        (&"One".into(), None),
        "{data}"
    );
}

#[test]
fn a_table_that_remembers_nothing_costs_no_answer() {
    let mut world = world(SIGNALS, Options::default());
    site(&world, &Arc::new(Mutex::new(vec!["One"])));
    for fault in [Fault::FailBefore, Fault::Delay(HOUR)] {
        world.faults(move |call| {
            if call.subject.starts_with("SEEN#") {
                fault
            } else {
                Fault::Proceed
            }
        });
        let id = world.job(about());
        world.settle(HOUR / 2);
        let data = &world.results(&id)[0].to_json()["data"];
        assert_eq!(data["signals"][0]["title"], "One", "{fault:?}: {data}");
        assert_eq!(
            data["signals"][0].get("first_seen"),
            None,
            "{fault:?}: {data}"
        );
    }
}

#[test]
fn what_was_seen_first_survives_every_crash() {
    let play: fn(&mut World) -> After = |world| {
        world.registry = Arc::new(testkit::upstreams::registry(SIGNALS));
        site(world, &Arc::new(Mutex::new(vec!["One", "Two"])));
        let begun = world.now();
        let first = world.insist_on_job(&about(), "one").expect("a job");
        world.run_for(HOUR);
        let kept = remembered(world);
        let second = world.insist_on_job(&about(), "two").expect("a job");
        Box::new(move |world| {
            for id in [&first, &second] {
                ended(world, id, &[Status::Completed])?;
                let line = world.results(id).remove(0);
                let data = &line.to_json()["data"];
                let signals = data["signals"].as_array().cloned().unwrap_or_default();
                // The site was asked for in vain.
                if line.outcome.status == OutcomeStatus::Failed || signals.len() == 1 {
                    continue;
                }
                let times = signals
                    .iter()
                    .filter_map(|signal| Timestamp::parse(signal["first_seen"].as_str()?));
                let mut times: Vec<i64> = times.map(Timestamp::seconds).collect();
                times.sort_unstable();
                // Where the table or the feed did not answer, there are none, or not all.
                let right = times.is_empty() || kept.len() < 3 || id == &first || times == kept;
                if signals.len() != 3 || !right || times.iter().any(|at| *at < begun.seconds()) {
                    return Err(format!("remembered: {kept:?}, reported: {data}"));
                }
            }
            Ok(())
        })
    };
    sweep("sites", &case(play));
}

/// The times at which things were first seen, as the table has them.
fn remembered(world: &World) -> Vec<i64> {
    let items = world.sim.store.items();
    let sets = items
        .iter()
        .filter(|item| item.key.pk.starts_with("SEEN#"))
        .map(|item| &item.attributes["seen"]);
    let times = sets.flat_map(|set| match set {
        Value::Ss(set) => set
            .iter()
            .map(|one| one.rsplit_once(':').unwrap().1.parse().unwrap())
            .collect(),
        _ => Vec::new(),
    });
    let mut times: Vec<i64> = times.collect();
    times.sort_unstable();
    times
}
