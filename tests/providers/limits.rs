//! A rate that twenty workers keep together, in real time and over real sockets.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::domain::time::Timestamp;
use shared::lambda::system::{SystemClock, SystemEntropy};
use shared::net::{PlainHttp, ReqwestSender, SenderSettings};
use shared::ports::Clock;
use shared::providers::Ports;
use testkit::servers::{Answer, Server};
use testkit::sim::{Op, Sim};
use testkit::upstreams::{average, busiest_second, press, registry};

const WORKERS: usize = 20;
const SECONDS: u64 = 10;

#[tokio::test]
async fn twenty_workers_keep_fifty_requests_a_second() {
    let server =
        Server::start(|_, _| Answer::Later(Duration::from_millis(60), json!({"name": "N"}))).await;
    let text = format!(
        "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n\
         [providers.api]\nkind = \"http\"\n\
         url = \"{}\"\nfields = {{ name = \"/name\" }}\nrate = {{ per_second = 50 }}\n",
        server.url("/{{ input.domain }}")
    );
    // Only its table is used, which takes no time.
    let sim = Sim::new(1);
    let settings = || SenderSettings {
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: PlainHttp::Always,
        local: true,
        keep_idle: Duration::from_secs(5),
        ..SenderSettings::default()
    };
    let began = SystemClock.now();
    let until = began.plus(Duration::from_secs(SECONDS));
    let workers = (0..WORKERS).map(|_| {
        let registry = registry(&text);
        let ports = Ports {
            http: Arc::new(ReqwestSender::new(settings()).unwrap()),
            dns: sim.dns.clone(),
            assets: sim.assets.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            shared: Some(sim.store.clone()),
            seen: None,
            guard: None,
        };
        async move { press(&registry, &ports, 8, until).await }
    });
    let ends = futures_util::future::join_all(workers).await;
    let mut times: Vec<Timestamp> = server.got().iter().map(|got| got.at).collect();
    times.sort_unstable();
    let (busiest, mean) = (
        busiest_second(&times),
        average(&times, began.plus(Duration::from_secs(1)), until),
    );
    let writes = sim.gate.count(Op::Update) * 1000 / times.len() as u64;
    println!(
        "{} calls, {busiest} in the busiest second, {mean:.1}/s on average, \
         {writes} writes per 1000",
        times.len()
    );
    // None arrives before the rate allows it. A request may be late on its way, and then be close
    // to the next. The simulation shows, in its own time, the number in one second and the use of
    // the whole rate (`sim/limits.rs`).
    for (before, at) in times.iter().enumerate() {
        let places = 55 + 50 * at.since(began).as_millis() / 1000;
        assert!(
            before as u128 <= places,
            "request {before} came {:?} after the first could",
            at.since(began)
        );
    }
    assert!(
        mean >= 45.0 / 20.0,
        "{mean:.1} requests a second while work was waiting; alone it is 49"
    );
    assert_eq!(
        ends.iter().map(|(_, others)| others).sum::<usize>(),
        0,
        "none fails for waiting"
    );
}
