//! Upstreams that take a question and answer later: records are parked, and no function waits with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use shared::app::callback::{self, Posted};
use shared::app::{Ports, cancel, delete, status};
use shared::domain::callback::{CALLBACKS, Claimed};
use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::Status;
use shared::domain::record::OutcomeStatus;
use shared::domain::time::Timestamp;
use shared::ports::Clock;
use shared::provider::config::Config;
use shared::provider::{self, Answer, Later, Provider, Question, Registry};
use tests::harness::{Options, World, domains, submission};
use tests::sim::{Fault, Op};

use crate::crash::{After, case, ended, sweep};
use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

/// `late` is asked first; `second` answers at once.
const CONFIG: &str = r#"
[types.company]
inputs = [["domain"]]
waterfall = ["late", "second"]

[providers.late]
kind = "http"
url = "https://late.example/"
fields = { name = "/name" }
credits = 2

[providers.second]
kind = "http"
url = "https://second.example/"
fields = { name = "/name" }
credits = 3
"#;

/// A question that the upstream took.
#[derive(Debug, Clone)]
struct Taken {
    domain: String,
    ready_at: Timestamp,
    callback: Option<String>,
    /// How often it was bought.
    bought: u32,
    polled: u32,
    told: bool,
}

/// A vendor that answers `after` so long, by callback or when polled. It knows a repeated question by its key, and
/// counts it all the same.
#[derive(Debug)]
struct Upstream {
    after: Duration,
    look_in: Duration,
    give_up_in: Duration,
    /// Whether it ever answers.
    answers: bool,
    taken: Mutex<BTreeMap<String, Taken>>,
}

#[derive(Debug)]
struct Late(Arc<Upstream>);

fn found(domain: &str) -> Answer {
    let fields = Map::from_iter([("name".to_owned(), Value::from(format!("Name of {domain}")))]);
    Answer::Found { fields, confidence: None }
}

#[async_trait]
impl Provider for Late {
    async fn ask(&self, question: &Question<'_>, ports: &provider::Ports) -> Answer {
        let up = &self.0;
        let now = ports.clock.now();
        let mut all = up.taken.lock().unwrap();
        let Some(earlier) = question.earlier else {
            let domain = question.input["domain"].as_str().unwrap_or_default().to_owned();
            let taken = all.entry(question.key.to_owned()).or_insert_with(|| Taken {
                domain,
                ready_at: now.plus(up.after),
                callback: question.callback.map(str::to_owned),
                bought: 0,
                polled: 0,
                told: false,
            });
            taken.bought += 1;
            let ticket = Some(Value::from(question.key));
            return Answer::Later(Later { ticket, look_in: up.look_in, give_up_in: up.give_up_in, refused: false });
        };
        let taken = all.get_mut(earlier.ticket.as_str().expect("our ticket")).expect("a question that was taken");
        if let Some(posted) = &earlier.posted
            && posted["answer"] == json!("ready")
        {
            return found(&taken.domain);
        }
        taken.polled += 1;
        if up.answers && now >= taken.ready_at {
            return found(&taken.domain);
        }
        Answer::Later(Later {
            ticket: Some(earlier.ticket.clone()),
            look_in: up.look_in,
            give_up_in: up.give_up_in,
            refused: false,
        })
    }

    fn calls_back(&self) -> bool {
        true
    }
}

/// Answers at once.
#[derive(Debug)]
struct Second;

#[async_trait]
impl Provider for Second {
    async fn ask(&self, _: &Question<'_>, _: &provider::Ports) -> Answer {
        found("the second")
    }
}

impl Upstream {
    fn new(after: Duration, look_in: Duration) -> Self {
        Self { after, look_in, give_up_in: 6 * HOUR, answers: true, taken: Mutex::default() }
    }

    /// A world whose companies are asked for here first.
    fn serve(self, world: &mut World) -> Arc<Self> {
        let up = Arc::new(self);
        let config = Config::parse("late", CONFIG).unwrap();
        let registry = Registry::assemble(&config, |provider| -> Result<Arc<dyn Provider>, _> {
            Ok(if provider.name == "late" { Arc::new(Late(Arc::clone(&up))) } else { Arc::new(Second) })
        });
        world.registry = Arc::new(registry.unwrap());
        up
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().values().cloned().collect()
    }

    fn urls(&self) -> Vec<String> {
        self.taken().into_iter().filter_map(|taken| taken.callback).collect()
    }

    /// Calls back whenever an answer is ready, until `records` have been told of or an hour is over.
    fn call_back(self: &Arc<Self>, world: &mut World, records: usize) {
        let (up, ports, clock) = (Arc::clone(self), world.ports.clone(), world.sim.clock.clone());
        world.spawn("upstream", async move {
            let (mut told, until) = (0, clock.now().plus(HOUR));
            while told < records && clock.now() < until {
                clock.sleep(SECOND).await;
                let ready: Vec<(String, Taken)> = {
                    let mut all = up.taken.lock().unwrap();
                    let ready = |taken: &&mut Taken| !taken.told && taken.ready_at <= clock.now();
                    let of = |(key, taken): (&String, &mut Taken)| {
                        taken.told = true;
                        (key.clone(), taken.clone())
                    };
                    all.iter_mut().filter(|(_, taken)| ready(taken)).map(of).collect()
                };
                for (_, taken) in ready {
                    // As vendors do: tried again a few times, and then never.
                    for _ in 0..3 {
                        match post(&ports, taken.callback.as_deref().unwrap_or_default(), &json!({"answer": "ready"}))
                            .await
                        {
                            Ok(_) => break,
                            Err(_) => clock.sleep(5 * SECOND).await,
                        }
                    }
                    told += 1;
                }
            }
        });
    }
}

/// Posts as the submit function does for an upstream.
async fn post(ports: &Ports, url: &str, body: &Value) -> Result<Posted, ApiError> {
    let token = url.split_once(CALLBACKS).map_or("", |(_, token)| token);
    let claimed = Claimed::parse(token).ok_or(ApiError::NotFound { what: "callback" })?;
    callback::post(ports, &claimed, body).await
}

fn all_found(world: &World, id: &JobId, records: u32) -> Result<(), String> {
    ended(world, id, &[Status::Completed])?;
    let counts = world.view(id).counts();
    if counts.found == records { Ok(()) } else { Err(format!("counts: {counts:?} of {records}")) }
}

/// The seconds of `time` at whose end a worker was busy with a chunk.
fn busy_seconds(world: &mut World, time: Duration) -> u64 {
    let mut busy = 0;
    for _ in 0..time.as_secs() {
        world.run_for(SECOND);
        busy += u64::from(world.working().iter().any(|name| name.starts_with("Enrich")));
    }
    busy
}

#[test]
fn an_upstream_that_answers_after_ten_minutes_costs_no_time_while_it_waits() {
    let mut world = World::with(Options { enrichers: 4, ..Options::default() });
    let up = Upstream::new(10 * MINUTE, HOUR).serve(&mut world);
    let id = world.job(submission(&domains("some", 100)));
    up.call_back(&mut world, 100);
    world.run_for(5 * SECOND);
    assert_eq!(up.taken().len(), 100, "all were asked for at once");
    let before = world.happened().len();
    assert_eq!(busy_seconds(&mut world, 9 * MINUTE), 0);
    let looks = world.happened().len() - before;
    // The sweep's, once a minute, and what it sends for a chunk that does not move, each time after twice as long.
    assert!(looks <= 9 + 2 * 3, "{looks} invocations while nothing happened");
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 100), Ok(()));
    let took = world.view(&id).job.end.unwrap().at.since(id.created_at());
    assert!(took < 11 * MINUTE, "told at ten minutes, ended at {took:?}");
    assert!(up.taken().iter().all(|taken| taken.bought == 1 && taken.polled == 0));
    assert_eq!(world.credits(&world.tenant.id).1, 200, "two credits each");
}

#[test]
fn lost_callbacks_are_made_up_for_by_polling() {
    let mut world = World::new();
    let up = Upstream::new(10 * MINUTE, 4 * MINUTE).serve(&mut world);
    let id = world.job(submission(&domains("some", 70)));
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 70), Ok(()));
    assert!(up.taken().iter().all(|taken| taken.bought == 1 && taken.polled == 3), "{:?}", up.taken());
}

#[test]
fn a_wait_that_is_longer_than_a_queues_longest_delay_is_kept() {
    let mut world = World::new();
    let up = Upstream::new(2 * HOUR, 2 * HOUR + MINUTE).serve(&mut world);
    let id = world.job(submission(&domains("some", 3)));
    world.settle(4 * HOUR);
    assert_eq!(all_found(&world, &id, 3), Ok(()));
    assert!(up.taken().iter().all(|taken| (taken.bought, taken.polled) == (1, 1)), "{:?}", up.taken());
}

#[test]
fn forged_and_repeated_callbacks_change_nothing() {
    let mut world = World::new();
    let up = Upstream::new(10 * MINUTE, HOUR).serve(&mut world);
    let other = world.job(submission(&domains("other", 2)));
    let id = world.job(submission(&domains("some", 2)));
    world.run_for(5 * SECOND);
    let urls: BTreeSet<String> = up.urls().into_iter().collect();
    assert_eq!(urls.len(), 4, "each record has its own");
    let of = |id: &JobId| urls.iter().filter(|url| url.contains(&id.as_str()[4..])).cloned().collect::<Vec<_>>();
    let (ours, others) = (of(&id), of(&other));
    let before = world.sim.store.items();
    let body = json!({"answer": "ready"});
    let mac = |url: &str| url.rsplit_once('.').map(|(_, mac)| mac.to_owned()).unwrap();
    let with_mac = |url: &str, mac: &str| format!("{}.{mac}", url.rsplit_once('.').unwrap().0);
    let other_record = ours[0].replacen(".0.0.", ".0.9.", 1).replacen(".0.1.", ".0.9.", 1);
    for forged in [
        with_mac(&ours[0], &mac(&ours[1])),
        with_mac(&ours[0], &mac(&others[0])),
        with_mac(&ours[0], &"A".repeat(43)),
        other_record,
        ours[0].replace(".late.", ".second."),
        ours[0].replace(&id.as_str()[4..], &other.as_str()[4..]),
        ours[0].replace(&id.as_str()[4..], "01JGFJJZ00ENHMZBNF8SBD1WXY"),
    ] {
        let answer = world.call(async |p| post(p, &forged, &body).await);
        assert_eq!(answer, Err(ApiError::NotFound { what: "callback" }), "{forged}");
    }
    assert_eq!(world.sim.store.items(), before, "nothing was written");

    // The upstream says that it is not ready yet, and then sends no more than that; a second post is not looked at.
    assert_eq!(world.call(async |p| post(p, &ours[0], &json!({"answer": "wait"})).await), Ok(Posted::Taken));
    world.run_for(MINUTE);
    for _ in 0..3 {
        assert_eq!(world.call(async |p| post(p, &ours[0], &body).await), Ok(Posted::Moot));
        world.run_for(MINUTE);
    }
    assert!(world.view(&id).status().is_live(), "the answer that counts is the first");
    let looks = up.taken().iter().map(|taken| taken.polled).max();
    assert_eq!(looks, Some(1), "one look for the first post, none for its repetitions");
    world.settle(3 * HOUR);
    assert_eq!(all_found(&world, &id, 2), Ok(()));
    assert_eq!(all_found(&world, &other, 2), Ok(()));
    assert_eq!(world.call(async |p| post(p, &ours[1], &body).await), Ok(Posted::Moot), "the job has ended");
}

#[test]
fn a_queue_that_took_no_message_for_the_next_look_made_it_half_an_hour_late() {
    let mut world = World::new();
    let up = Upstream::new(5 * MINUTE, 5 * MINUTE).serve(&mut world);
    // The first message that a run sends for its chunk is not taken.
    let mut refused = false;
    world.faults(move |call| {
        let first = !refused && call.op == Op::Send && call.name.starts_with("Enrich");
        refused |= first;
        if first { Fault::FailBefore } else { Fault::Proceed }
    });
    let id = world.job(submission(&domains("some", 3)));
    let ended = world.run_until(6 * MINUTE, |world| !world.view(&id).status().is_live());
    assert!(ended, "ready after 5 minutes, not ended after 6");
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 3), Ok(()));
    assert!(up.taken().iter().all(|taken| taken.bought == 1), "{:?}", up.taken());
}

#[test]
fn an_upstream_that_never_answers_is_given_up_and_the_next_one_asked() {
    let mut world = World::new();
    let up = Upstream { answers: false, give_up_in: 30 * MINUTE, ..Upstream::new(MINUTE, 10 * MINUTE) };
    let _up = up.serve(&mut world);
    let id = world.job(submission(&domains("some", 3)));
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 3), Ok(()));
    let lines = world.results(&id);
    assert!(lines.iter().all(|line| line.outcome.sources[0].1.provider == "second" && line.outcome.credits == 3));
    let took = world.view(&id).job.end.unwrap().at.since(id.created_at());
    assert!((30 * MINUTE..32 * MINUTE).contains(&took), "{took:?}");
}

#[test]
fn canceled_records_do_not_wait_for_their_upstream() {
    let mut world = World::new();
    Upstream::new(10 * HOUR, 10 * HOUR).serve(&mut world);
    let id = world.job(submission(&domains("some", 3)));
    world.run_for(10 * MINUTE);
    let tenant = world.tenant.id.clone();
    world.call(async |p| cancel::cancel(p, &tenant, &id, ENRICH_TIMEOUT).await).unwrap();
    assert!(world.run_until(5 * MINUTE, |world| !world.view(&id).status().is_live()), "canceled within five minutes");
    world.settle(HOUR);
    assert!(world.results(&id).iter().all(|line| line.outcome.status == OutcomeStatus::Canceled));
}

/// Callbacks for half of the records, polling for the others.
fn waiting(world: &mut World) -> After {
    let up = Upstream::new(10 * MINUTE, 20 * MINUTE).serve(world);
    let id = world.insist_on_job(&submission(&domains("some", 4)), "one").expect("a job");
    up.call_back(world, 2);
    world.run_for(30 * MINUTE);
    Box::new(move |world| {
        all_found(world, &id, 4)?;
        // A crash may buy twice, with the same key; a chunk that nobody killed never does.
        let bought = up.taken().iter().map(|taken| taken.bought).max();
        if bought.is_some_and(|most| most <= 2) { Ok(()) } else { Err(format!("bought: {bought:?} times")) }
    })
}

#[test]
fn a_job_that_waits_for_upstreams_survives_every_crash() {
    sweep("waits", &case(waiting));
}

#[test]
fn a_delete_of_a_job_that_waits_survives_every_crash() {
    sweep(
        "waits, deleted",
        &case(|world| {
            let up = Upstream::new(2 * MINUTE, 20 * MINUTE).serve(world);
            let id = world.insist_on_job(&submission(&domains("some", 2)), "one").expect("a job");
            up.call_back(world, 2);
            world.run_for(2 * MINUTE);
            let tenant = world.tenant.id.clone();
            let answer = world.insist(async |ports| delete::delete(ports, &tenant, &id, ENRICH_TIMEOUT).await);
            Box::new(move |world| {
                match &answer {
                    Ok(()) | Err(ApiError::NotFound { .. }) => {}
                    Err(other) => return Err(format!("delete answered {other:?}")),
                }
                let view = world.call(async |ports| status::job(ports, &world.tenant.id, &id).await);
                if view != Err(ApiError::NotFound { what: "job" }) {
                    return Err(format!("erased: {view:?}"));
                }
                let left = world.sim.store.items();
                let left: Vec<_> = left.iter().filter(|item| item.key.sk.contains("CALL#")).collect();
                if left.is_empty() { Ok(()) } else { Err(format!("erased: {left:?}")) }
            })
        }),
    );
}

#[test]
fn what_is_posted_while_a_run_holds_the_chunk_is_not_forgotten() {
    for delay in 0..12_u64 {
        let mut world = World::with(Options { enrichers: 4, ..Options::default() });
        let up = Upstream::new(Duration::from_millis(delay * 500), HOUR).serve(&mut world);
        // Putting the parked records away takes long.
        world.faults(|call| if call.op == Op::PutAll { Fault::Delay(5 * SECOND) } else { Fault::Proceed });
        let id = world.job(submission(&domains("some", 3)));
        up.call_back(&mut world, 3);
        assert!(world.run_until(2 * MINUTE, |world| !world.view(&id).status().is_live()), "posted after {delay}/2 s");
        assert!(up.taken().iter().all(|taken| taken.bought == 1), "{:?}", up.taken());
        world.settle(HOUR);
        assert_eq!(all_found(&world, &id, 3), Ok(()));
    }
}
