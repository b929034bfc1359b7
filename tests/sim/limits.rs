//! Upstreams that are busy or dead, and answers that are cached.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::catalog::BreakerConfig;
use shared::domain::ids::JobId;
use shared::domain::job::{JobView, Status, Submission};
use shared::domain::record::OutcomeStatus;
use shared::domain::tenant::fast_chunks;
use shared::domain::time::Timestamp;
use shared::jobs::read;
use shared::ports::{Clock, HttpError};
use shared::providers;
use testkit::harness::{Options, World, domains, submission};
use testkit::sim::{Call, Fault, Op, Reply, Sim, SimClock};
use testkit::upstreams::{average, busiest_second, press, registry};

use crate::crash::{After, case, ended, sweep};
use crate::interference::parameter;
use crate::{HOUR, MINUTE, SECOND};

pub(crate) fn api(more: &str) -> String {
    format!(
        "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\nrecord_timeout_s = 20\n\
         [providers.api]\nkind = \"http\"\n\
         url = \"https://api.example/{{{{ input.domain }}}}\"\nfields = {{ name = \"/name\" }}\n\
         credits = 2\n{more}\n"
    )
}

pub(crate) fn of(kind: &str, records: usize) -> Submission {
    Submission {
        kind: kind.to_owned(),
        webhook: None,
        ..submission(&domains("found", records))
    }
}

/// A world of these providers. Every run of enrich is a process of its own, that knows only what
/// the table says.
pub(crate) fn world(config: &str, options: Options) -> World {
    let mut world = World::with(options);
    world.registry = Arc::new(registry(config));
    let config = config.to_owned();
    world.cold = Some(Rc::new(move || Arc::new(registry(&config))));
    world
}

/// Every call of the table and the queues takes what it does within the region.
fn latency(call: &Call) -> Fault {
    if call.op == Op::Http {
        Fault::Proceed
    } else {
        Fault::Delay(Duration::from_millis(6))
    }
}

pub(crate) fn found() -> Reply {
    Reply::json(200, &json!({"name": "N"}))
}

fn sent(world: &World, host: &str) -> Vec<Timestamp> {
    let sent = world.sim.http.sent();
    sent.iter()
        .filter(|sent| sent.request.url.starts_with(host))
        .map(|sent| sent.at)
        .collect()
}

fn took(world: &World, id: &JobId) -> Duration {
    let job = world.view(id).job;
    job.end.expect("an end").at.since(job.spec.created_at)
}

fn all_found(world: &World, id: &JobId, records: u32) -> Result<(), String> {
    ended(world, id, &[Status::Completed])?;
    let found = world.view(id).counts().found;
    if found == records {
        Ok(())
    } else {
        Err(format!("counts: {found} of {records} found"))
    }
}

/// A process's clock, which is not quite right.
struct Skewed {
    clock: Arc<SimClock>,
    ms: i64,
}

#[async_trait]
impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0 + self.ms)
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }
}

#[test]
fn clocks_that_differ_and_a_slow_table_do_not_break_the_rate() {
    let sim = Sim::new(3);
    sim.http.on("https://api.example/", |_| {
        found().after(Duration::from_millis(200))
    });
    sim.gate.inject(|call| match call.op {
        Op::Http => Fault::Proceed,
        _ => Fault::Delay(Duration::from_millis(30 + call.number * 7919 % 270)),
    });
    let began = sim.clock.now();
    let until = began.plus(MINUTE);
    let ends: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
    let mut schedule = sim.schedule(5);
    for worker in 0..20_i64 {
        let registry = registry(&api("rate = { per_second = 50 }"));
        let ports = providers::Ports {
            http: sim.http.clone(),
            dns: sim.dns.clone(),
            assets: sim.assets.clone(),
            clock: Arc::new(Skewed {
                clock: sim.clock.clone(),
                ms: (worker % 3 - 1) * 50,
            }),
            entropy: sim.entropy.clone(),
            shared: Some(sim.store.clone()),
            seen: None,
            guard: None,
        };
        let ends = Arc::clone(&ends);
        schedule.spawn("worker", async move {
            let end = press(&registry, &ports, 8, until).await;
            ends.lock().unwrap().push(end);
        });
    }
    assert!(schedule.run());
    let times: Vec<Timestamp> = sim.http.sent().iter().map(|sent| sent.at).collect();
    let (busiest, mean) = (
        busiest_second(&times),
        average(&times, began.plus(2 * SECOND), until),
    );
    let writes = sim.gate.count(Op::Update) * 1000 / times.len() as u64;
    println!(
        "{} calls, {busiest} in the busiest second, {mean:.1}/s on average, {writes} writes per \
         1000",
        times.len()
    );
    assert!(busiest <= 55, "{busiest} requests in one second");
    assert!(
        mean >= 45.0,
        "{mean:.1} requests a second while work was waiting"
    );
    assert!(writes <= 400, "{writes} writes per 1000 calls");
    assert_eq!(
        ends.lock()
            .unwrap()
            .iter()
            .map(|(_, others)| others)
            .sum::<usize>(),
        0,
        "none fails for waiting"
    );
}

#[test]
fn records_beyond_the_rate_wait_their_turn_and_none_fails() {
    let mut world = world(
        &api("rate = { per_second = 2 }\ntimeout_s = 5"),
        Options {
            enrichers: 4,
            ..Options::default()
        },
    );
    world
        .sim
        .http
        .on("https://api.example/", |_| found().after(SECOND));
    let id = world.job(of("t", 150));
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 150), Ok(()));
    let times = sent(&world, "https://api.example/");
    println!(
        "150 records at 2/s in {:?}, {} runs",
        took(&world, &id),
        world.happened().len()
    );
    assert_eq!((times.len(), busiest_second(&times) <= 3), (150, true));
    assert!(
        took(&world, &id) <= 2 * 75 * SECOND,
        "at least half of the rate is used"
    );
}

#[test]
fn a_slow_rate_is_used_by_processes_that_know_nothing_of_each_other() {
    let mut world = world(
        &api("rate = { per_minute = 2 }\ntimeout_s = 5"),
        Options {
            enrichers: 4,
            ..Options::default()
        },
    );
    world.sim.http.on("https://api.example/", |_| found());
    let id = world.job(of("t", 30));
    world.settle(2 * HOUR);
    assert_eq!(all_found(&world, &id, 30), Ok(()));
    let times = sent(&world, "https://api.example/");
    let pauses: Vec<Duration> = times
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .collect();
    let (all, shortest) = (
        pauses.iter().sum::<Duration>(),
        pauses.iter().min().copied(),
    );
    println!("30 records at 2/min in {all:?}, {shortest:?} between two at least");
    assert_eq!(times.len(), 30);
    assert!(
        shortest >= Some(30 * SECOND),
        "{shortest:?} between two requests"
    );
    assert!(
        all.mul_f64(0.8) <= 29 * 30 * SECOND,
        "{all:?}: less than 80 % of the rate"
    );
}

#[test]
fn an_upstream_that_asks_to_wait_is_let_alone_by_all() {
    let options = Options {
        enrichers: 4,
        ..Options::default()
    };
    let mut world = world(&api("rate = { per_second = 5 }\nretries = 5"), options);
    let mut asked = 0;
    world.sim.http.on("https://api.example/", move |_| {
        asked += 1;
        if asked == 5 {
            Reply::status(429).header("retry-after", "60")
        } else {
            found()
        }
    });
    let id = world.job(of("t", 130));
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 130), Ok(()));
    let times = sent(&world, "https://api.example/");
    let meanwhile = times
        .iter()
        .filter(|at| at.since(times[4]) < 60 * SECOND && **at > times[4])
        .count();
    println!(
        "{meanwhile} of {} requests while the upstream wanted none",
        times.len()
    );
    // Three processes of sixteen records each, of which the others had leased their slots.
    assert!(
        meanwhile <= 2 * 16,
        "{meanwhile} requests although the upstream wanted none"
    );
}

const TWO: &str = r#"
[types.both]
inputs = [["domain"]]
waterfall = ["dead", "live"]
record_timeout_s = 60

[types.alone]
inputs = [["domain"]]
waterfall = ["live"]
record_timeout_s = 60

[providers.dead]
kind = "http"
url = "https://dead.example/{{ input.domain }}"
fields = { name = "/name" }
timeout_s = 5

[providers.live]
kind = "http"
url = "https://live.example/{{ input.domain }}"
fields = { name = "/name" }
timeout_s = 20
"#;

/// Returns the most calls of a dead upstream that these processes make in this time. Each counts
/// for itself until one has seen enough failures; its calls in flight then fail too. After that,
/// each opening of the breaker allows one trial.
fn most_calls(processes: usize, time: Duration) -> usize {
    let rules = BreakerConfig::default();
    let registry = registry(TWO);
    let at_once = registry.kind("both").expect("the type").concurrency();
    let trials = time.as_secs() / rules.open.mul_f64(0.9).as_secs() + 1;
    processes * (rules.failures as usize - 1 + at_once) + usize::try_from(trials).unwrap()
}

/// With the template's concurrency: how long a job of a thousand records takes, and what the dead
/// upstream saw.
fn thousand(kind: &str, dead: impl Fn() -> Reply + Send + 'static) -> (Duration, usize) {
    let enrichers = parameter("EnrichConcurrency");
    let options = Options {
        enrichers,
        fast_chunks: fast_chunks(u32::try_from(enrichers).unwrap()),
        bulk_enrichers: Some(parameter("EnrichBulkConcurrency")),
        ..Options::default()
    };
    let mut world = world(TWO, options);
    world.faults(latency);
    world
        .sim
        .http
        .on("https://live.example/", |_| found().after(6 * SECOND));
    world.sim.http.on("https://dead.example/", move |_| dead());
    let id = world.job(of(kind, 1000));
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 1000), Ok(()));
    (
        took(&world, &id),
        sent(&world, "https://dead.example/").len(),
    )
}

#[test]
fn a_dead_first_provider_hardly_slows_a_job() {
    let (alone, _) = thousand("alone", found);
    let refusing = thousand("both", || {
        Reply::error(HttpError::Connect("refused".to_owned()))
    });
    let hanging = thousand("both", || found().after(HOUR));
    println!(
        "1000 records: {alone:?} alone; {refusing:?} refusing, {hanging:?} hanging (time, calls of \
         the dead)"
    );
    for (with, calls) in [refusing, hanging] {
        assert!(with <= alone.mul_f64(1.3), "{with:?} instead of {alone:?}");
        let most = most_calls(
            parameter("EnrichConcurrency") + parameter("EnrichBulkConcurrency"),
            with,
        );
        assert!(
            calls <= most,
            "the dead upstream was called {calls} times, not {most}"
        );
    }
}

#[test]
fn a_short_outage_of_the_only_provider_fails_nobody() {
    let mut world = world(
        &api(""),
        Options {
            enrichers: 4,
            ..Options::default()
        },
    );
    let back = world.now().plus(90 * SECOND);
    let clock = world.sim.clock.clone();
    world.sim.http.on("https://api.example/", move |_| {
        if clock.now() < back {
            Reply::status(500)
        } else {
            found()
        }
    });
    let id = world.job(of("t", 200));
    world.settle(HOUR);
    let counts = world.view(&id).counts();
    let times = sent(&world, "https://api.example/");
    let failed = times.iter().filter(|at| **at < back).count();
    println!(
        "{counts:?}, {failed} calls while it was dead, the job took {:?}",
        took(&world, &id)
    );
    // Those that were asked before anybody knew.
    assert!(
        counts.failed <= 16 * 4 && counts.found + counts.failed == 200,
        "{counts:?}"
    );
    assert!(
        failed <= 4 * 16 * 3 + 4,
        "{failed} calls of a dead upstream"
    );
}

#[test]
fn an_upstream_that_stays_dead_fails_its_records_in_the_end() {
    let mut world = world(&api(""), Options::default());
    world
        .sim
        .http
        .on("https://api.example/", |_| Reply::status(500));
    let id = world.job(of("t", 30));
    world.settle(2 * HOUR);
    let results = world.results(&id);
    assert!(
        results
            .iter()
            .all(|line| line.outcome.status == OutcomeStatus::Failed)
    );
    let codes = results
        .iter()
        .filter_map(|line| line.outcome.error.as_ref())
        .map(|error| error.code.as_str());
    assert!(codes.filter(|code| *code == "provider_unavailable").count() >= 14);
    let calls = sent(&world, "https://api.example/").len();
    println!("{calls} calls in {:?}", took(&world, &id));
    assert!(
        took(&world, &id) < 15 * MINUTE && calls <= 16 * 3 + 8,
        "{calls} calls in {:?}",
        took(&world, &id)
    );
}

/// The answers of an upstream that always refuses, and the errors of its records.
const ENDLESS: [(&str, u16, Option<&str>, &str); 7] = [
    ("", 429, None, "rate_limited"),
    ("", 429, Some("20"), "rate_limited"),
    ("", 503, Some("20"), "provider_unavailable"),
    ("concurrency = 1", 429, None, "rate_limited"),
    ("rate = { per_second = 2 }", 429, Some("20"), "rate_limited"),
    ("rate = { per_second = 2 }", 429, None, "rate_limited"),
    (
        "rate = { per_second = 2 }\nconcurrency = 2",
        503,
        Some("20"),
        "provider_unavailable",
    ),
];

#[test]
fn an_upstream_that_never_stops_refusing_holds_its_records_for_wait_s_and_is_named() {
    for (limits, status, after, code) in ENDLESS {
        let config = api(limits).replace(
            "record_timeout_s = 20",
            "record_timeout_s = 20\nwait_s = 90",
        );
        let mut world = world(
            &config,
            Options {
                enrichers: 4,
                ..Options::default()
            },
        );
        world
            .sim
            .http
            .on("https://api.example/", move |_| match after {
                Some(after) => Reply::status(status).header("retry-after", after),
                None => Reply::status(status),
            });
        let id = world.job(of("t", 100));
        world.run_for(MINUTE);
        let now = world.now();
        let waits = world.call(async |p| {
            let view = read::job(p, &world.tenant.id, &id).await.expect("the job");
            read::with_waits(p, view, ["api"].into_iter())
                .await
                .waiting_for
        });
        let [wait] = &waits[..] else {
            panic!("{limits} {status}: {waits:?}")
        };
        assert_eq!(
            (wait.provider.as_str(), wait.status),
            ("api", Some(status)),
            "{limits}"
        );
        assert!(
            wait.since < now && now < wait.until.plus(MINUTE / 2),
            "{limits}: {wait:?} at {now}"
        );
        world.settle(HOUR);
        let reported = format!("api: answered HTTP {status} ");
        for line in world.results(&id) {
            let error = line.outcome.error.expect("an error");
            assert_eq!(
                (line.outcome.status, error.code.as_str()),
                (OutcomeStatus::Failed, code),
                "{limits} {status}"
            );
            assert!(
                error.detail.starts_with(&reported),
                "{limits} {status}: {}",
                error.detail
            );
        }
        let took = took(&world, &id);
        println!(
            "{limits} {status} {after:?}: {took:?}, {} requests",
            sent(&world, "https://api.example/").len()
        );
        assert!(
            (90 * SECOND..150 * SECOND).contains(&took),
            "{limits} {status} {after:?}: {took:?}"
        );
        let waits = world.call(async |p| {
            let view = read::job(p, &world.tenant.id, &id).await.expect("the job");
            read::with_waits(p, view, ["api"].into_iter())
                .await
                .waiting_for
        });
        assert_eq!(waits, [], "a job that has ended does not wait");
    }
}

/// A job as its client sees it.
fn shown(world: &mut World, id: &JobId) -> JobView {
    let tenant = world.tenant.id.clone();
    world.call(async |p| {
        let view = read::job(p, &tenant, id).await.expect("the job");
        read::with_waits(p, view, ["api"].into_iter()).await
    })
}

#[test]
fn of_several_waits_the_last_to_end_is_shown_and_one_after_an_answer_begins_anew() {
    let config = api("rate = { per_second = 2 }");
    let hasty = "[types.hasty]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n\
        record_timeout_s = 20\nwait_s = 30\n\n[types.t]";
    let mut world = world(
        &config.replacen("[types.t]", hasty, 1),
        Options {
            enrichers: 4,
            ..Options::default()
        },
    );
    let refuses = Arc::new(Mutex::new(true));
    let asked = Arc::clone(&refuses);
    world.sim.http.on("https://api.example/", move |_| {
        if *asked.lock().unwrap() {
            Reply::status(429).header("retry-after", "90")
        } else {
            found()
        }
    });
    let begun = world.now();
    let patient = world.job(of("t", 3));
    world.run_for(20 * SECOND);
    world.job(of("hasty", 3));
    for at in [40, 60, 80] {
        world.run_for(begun.plus(at * SECOND).since(world.now()));
        let view = shown(&mut world, &patient);
        let [wait] = &view.waiting_for[..] else {
            panic!("no wait at {at} s")
        };
        assert!(
            wait.since < begun.plus(20 * SECOND) && wait.until >= begun.plus(90 * SECOND),
            "{at} s: {wait:?}"
        );
        assert!(view.estimate(world.now(), SECOND).expect("a time") > wait.until);
    }
    *refuses.lock().unwrap() = false;
    world.settle(HOUR);
    assert_eq!(all_found(&world, &patient, 3), Ok(()));
    *refuses.lock().unwrap() = true;
    let answered = world.now();
    let next = world.job(of("t", 3));
    world.run_for(20 * SECOND);
    let view = shown(&mut world, &next);
    let [wait] = &view.waiting_for[..] else {
        panic!("no wait")
    };
    assert!(
        wait.since >= answered,
        "{wait:?} after an answer before {answered}"
    );
}

#[test]
fn wait_s_bounds_the_wait_for_a_dead_upstream_that_has_a_rate() {
    let limits =
        "rate = { per_second = 2 }\nbreaker = { failures = 3, open_s = 5, max_open_s = 10 }";
    let config = api(limits).replace(
        "record_timeout_s = 20",
        "record_timeout_s = 20\nwait_s = 90",
    );
    let mut world = world(
        &config,
        Options {
            enrichers: 4,
            ..Options::default()
        },
    );
    world
        .sim
        .http
        .on("https://api.example/", |_| Reply::status(500));
    let id = world.job(of("t", 100));
    world.settle(HOUR);
    let results = world.results(&id);
    let errors = results
        .iter()
        .filter_map(|line| line.outcome.error.as_ref());
    let named = errors
        .filter(|error| error.detail.contains("HTTP 500"))
        .count();
    println!(
        "{named} of {} name the status; {:?}",
        results.len(),
        took(&world, &id)
    );
    assert!(
        results.len() == 100 && named >= 80,
        "{named} of {}",
        results.len()
    );
    assert!(took(&world, &id) < 150 * SECOND, "{:?}", took(&world, &id));
}

#[test]
fn a_record_waits_longer_than_wait_s_for_its_turn_at_an_upstream_that_refuses_now_and_then() {
    let config = api("rate = { per_minute = 20 }").replace(
        "record_timeout_s = 20",
        "record_timeout_s = 20\nwait_s = 60",
    );
    for (every, after) in [(1000, Some("20")), (10, None)] {
        let mut world = world(
            &config,
            Options {
                enrichers: 4,
                ..Options::default()
            },
        );
        let mut asked = 0;
        world.sim.http.on("https://api.example/", move |_| {
            asked += 1;
            match after {
                _ if asked % every != 5 => found(),
                Some(after) => Reply::status(429).header("retry-after", after),
                None => Reply::status(429),
            }
        });
        let id = world.job(of("t", 130));
        world.settle(HOUR);
        println!(
            "one of {every}: {:?} in {:?}",
            world.view(&id).counts(),
            took(&world, &id)
        );
        assert_eq!(all_found(&world, &id, 130), Ok(()), "one of {every}");
    }
}

const KEPT: &str = "cache = { found_s = 600, not_found_s = 60 }";

/// A job of these domains by this tenant, ended: the calls that it took, and its records that were
/// not fetched for it.
fn run(world: &mut World, tenant: &testkit::harness::Tenant, domains: &[String]) -> (usize, usize) {
    let before = sent(world, "https://api.example/").len();
    let asked = Submission {
        kind: "t".to_owned(),
        webhook: None,
        ..submission(domains)
    };
    let id = world.job_as(tenant, asked);
    world.settle(HOUR);
    assert_eq!(ended(world, &id, &[Status::Completed]), Ok(()));
    let results = world.results(&id);
    let cached = results
        .iter()
        .filter(|line| line.outcome.sources.iter().any(|(_, source)| source.cached))
        .count();
    let shown = results
        .iter()
        .filter(|line| line.to_json()["sources"]["name"]["cached"] == true)
        .count();
    assert_eq!(cached, shown);
    for line in results
        .iter()
        .filter(|line| line.outcome.status == OutcomeStatus::Found)
    {
        assert_eq!(
            line.outcome.credits, 2,
            "a kept answer costs what a new one does"
        );
    }
    (sent(world, "https://api.example/").len() - before, cached)
}

fn answers(world: &World) {
    world.sim.http.on("https://api.example/", |request| {
        match request.url.rsplit('/').next().unwrap_or_default() {
            name if name.starts_with("none") => Reply::status(404),
            name if name.starts_with("fail") => Reply::status(400),
            _ => found(),
        }
    });
}

#[test]
fn answers_are_kept_for_their_tenant_and_their_time() {
    let mut world = world(&api(KEPT), Options::default());
    answers(&world);
    let (acme, other) = (world.tenant.clone(), world.tenant("other"));
    let asked: Vec<String> = [
        domains("found", 40),
        domains("none", 30),
        domains("fail", 5),
    ]
    .concat();
    assert_eq!(run(&mut world, &acme, &asked), (75, 0));
    let calls: Arc<Mutex<Vec<Op>>> = Arc::default();
    let seen = Arc::clone(&calls);
    world.faults(move |call| {
        if call.subject.starts_with("CACHE") {
            seen.lock().unwrap().push(call.op);
        }
        Fault::Proceed
    });
    let begun = world.now();
    assert_eq!(
        run(&mut world, &acme, &asked),
        (5, 40),
        "failures are not kept"
    );
    // The key of the keys and the answers of each of two chunks; no answer that could be cached is
    // new.
    assert_eq!(
        *calls.lock().unwrap(),
        [Op::Get, Op::GetMany, Op::Get, Op::GetMany]
    );
    assert_eq!(run(&mut world, &other, &asked), (75, 0), "another tenant's");
    let upper: Vec<String> = asked[..70]
        .iter()
        .map(|domain| format!(" {} ", domain.to_uppercase()))
        .collect();
    assert_eq!(run(&mut world, &acme, &upper).1, 40, "written otherwise");
    world.run_for((begun.plus(2 * MINUTE)).since(world.now()));
    assert_eq!(
        run(&mut world, &acme, &asked),
        (35, 40),
        "a question without a result is asked again sooner"
    );
    world.run_for((begun.plus(11 * MINUTE)).since(world.now()));
    assert_eq!(run(&mut world, &acme, &asked).1, 0, "in its time");
    let kept = world
        .sim
        .store
        .items()
        .into_iter()
        .filter(|item| item.key.pk.starts_with("CACHE#"));
    let keys: Vec<String> = kept.map(|item| format!("{:?}", item.key)).collect();
    assert!(
        keys.len() == 140 && keys.iter().all(|key| !key.contains("found-")),
        "{} items",
        keys.len()
    );
}

#[test]
fn only_what_is_marked_so_is_shared_among_tenants() {
    let mut world = world(&api("cache = { shared = true }"), Options::default());
    answers(&world);
    let (acme, other) = (world.tenant.clone(), world.tenant("other"));
    assert_eq!(run(&mut world, &acme, &domains("found", 20)), (20, 0));
    assert_eq!(run(&mut world, &other, &domains("found", 20)), (0, 20));
}

#[test]
fn a_cached_model_gives_each_record_its_own_answer() {
    let config = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"agent\"]\n[providers.agent]\n\
        kind = \"chat\"\n\
                  url = \"https://llm.example/v1\"\nmodel = \"m\"\n\
                  instructions = \"Research this company.\"\n\
                  struct = { name = \"its name\" }\ncache = {}\n";
    let mut world = world(config, Options::default());
    world.sim.http.on("https://llm.example/", |request| {
        let asked: Value = serde_json::from_slice(&request.body).expect("JSON");
        let task = asked["messages"][1]["content"]
            .as_str()
            .expect("a task")
            .to_owned();
        let record: Value =
            serde_json::from_str(task.split("Record:\n").nth(1).expect("a record")).expect("JSON");
        let answer = json!({"name": record["domain"]}).to_string();
        Reply::json(200, &json!({"choices": [{"message": {"content": answer}}]}))
    });
    for calls in [2, 0] {
        let before = sent(&world, "https://llm.example/").len();
        let id = world.job(of("t", 2));
        world.settle(HOUR);
        assert_eq!(all_found(&world, &id, 2), Ok(()));
        for line in world.results(&id) {
            assert_eq!(line.outcome.data["name"], line.record.input["domain"]);
        }
        assert_eq!(sent(&world, "https://llm.example/").len() - before, calls);
    }
}

#[test]
fn a_table_that_keeps_nothing_costs_only_the_asking() {
    let mut world = world(&api(KEPT), Options::default());
    answers(&world);
    let acme = world.tenant.clone();
    world.faults(|call| {
        if call.subject.starts_with("CACHE#") {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    assert_eq!(run(&mut world, &acme, &domains("found", 20)), (20, 0));
    assert_eq!(run(&mut world, &acme, &domains("found", 20)), (20, 0));
    world.faults(|call| {
        if call.subject.starts_with("CACHE") {
            Fault::Delay(HOUR)
        } else {
            Fault::Proceed
        }
    });
    assert_eq!(
        run(&mut world, &acme, &domains("found", 20)),
        (20, 0),
        "a table that hangs is not waited for"
    );
}

#[test]
fn limits_and_kept_answers_survive_every_crash() {
    let play: fn(&mut World) -> After = |world| {
        let text = api(
            "rate = { per_second = 2 }\nconcurrency = 1\ncache = {}\nretries = 1\n\
             breaker = { failures = 2, open_s = 5, max_open_s = 10 }",
        );
        world.registry = Arc::new(registry(&text));
        let mut asked = 0;
        world.sim.http.on("https://api.example/", move |_| {
            asked += 1;
            match asked {
                2 | 3 => Reply::status(500),
                4 => Reply::status(429).header("retry-after", "30"),
                _ => found(),
            }
        });
        let id = world.insist_on_job(&of("t", 4), "one").expect("a job");
        Box::new(move |world| {
            ended(world, &id, &[Status::Completed])?;
            let counts = world.view(&id).counts();
            if counts.found + counts.failed == 4 {
                Ok(())
            } else {
                Err(format!("counts: {counts:?}"))
            }
        })
    };
    sweep("limits", &case(play));
}
