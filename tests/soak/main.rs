//! `make soak`: injects faults into the deployed binaries, and checks the result. Exit code 1 when
//! anything was lost, and when no process was killed, no call dropped or none throttled.
//!
//!     soak [--seed N] [--injections N] [--seconds N] [--brief]
//!     soak interference
//!
//! Both are started by `tests/e2e/run.py`. `interference` fails when a load more than doubles the
//! p99 of another tenant. Faults are made until both the injections and the seconds are reached.
//! Then everything must end within [`SETTLE`], or twice the time with faults if that is more.
//! `--brief` makes those faults whose repair takes a minute only in the first third. Ctrl-C stops
//! the faults and goes on from there; a second one stops the waiting too.

mod api;
mod check;
mod clients;
mod faults;
mod interference;
mod later;
mod outside;
mod proxy;
mod report;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use shared::lambda::config::environment;
use shared::lambda::system::SystemClock;
use shared::ports::Clock;
use testkit::stack;
use tokio::process::Command;
use tokio::sync::watch;

use crate::api::Api;
use crate::check::{Account, Job, Later, Seen};
use crate::clients::Clients;
use crate::faults::Faults;
use crate::outside::Outside;

pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// After the last fault everything ends within this, or within [`TIMES`] the time with faults if
/// that is more. An attempt whose sender was killed is seen after 87 s, and a killed chunk after 45
/// s. Work that lost its message is seen at each sweep, after twice as long each time.
const SETTLE: Duration = Duration::from_secs(1200);
const TIMES: u32 = 2;
/// Clients at once, one job each at a time.
const CLIENTS: u64 = 18;
const CREDITS: u64 = 10_000_000;
/// Seconds between the attempts of a delivery; as many as the faults may spoil in a row.
const SCHEDULE: [u64; 8] = [1, 1, 2, 2, 3, 3, 5, 5];
/// The time between two sweeps, besides their schedule of once a minute.
const SWEEP_EVERY: Duration = Duration::from_millis(1500);

#[derive(Debug)]
struct Options {
    interference: bool,
    seed: u64,
    injections: u64,
    seconds: u64,
    brief: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failed> {
        let seed = SystemClock.now().seconds().unsigned_abs();
        let mut options = Self {
            interference: false,
            seed,
            injections: 1000,
            seconds: 240,
            brief: false,
        };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a number"))?;
                value
                    .parse()
                    .map_err(|_| format!("{argument} {value}: not a number"))
            };
            match argument.as_str() {
                "interference" => options.interference = true,
                "--seed" => options.seed = number()?,
                "--injections" => options.injections = number()?,
                "--seconds" => options.seconds = number()?,
                "--brief" => (options.brief, options.injections, options.seconds) = (true, 60, 30),
                _ => return Err(format!("what is {argument}?").into()),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let done = Options::parse(std::env::args().skip(1)).and_then(|options| {
        let run = async {
            if options.interference {
                interference::run().await
            } else {
                soak(&options).await
            }
        };
        runtime.block_on(run)
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn variable(name: &str) -> Result<String, Failed> {
    environment(name).ok_or_else(|| format!("{name} is not set: run it by make soak").into())
}

/// Counts the presses of Ctrl-C.
fn interrupts() -> watch::Receiver<u32> {
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            sender.send_modify(|n| *n += 1);
        }
    });
    receiver
}

/// Starts the stack with its functions behind the proxy, and returns its settings.
async fn start(proxy: SocketAddr) -> Result<HashMap<String, String>, Failed> {
    let up: Vec<String> = serde_json::from_str(&variable("MILLRACE_TEST_UP")?)?;
    let (program, arguments) = up.split_first().ok_or("MILLRACE_TEST_UP is empty")?;
    let endpoint = format!("http://{proxy}");
    let status = Command::new(program)
        .args(arguments)
        .args(["--functions-endpoint", &endpoint])
        .status()
        .await?;
    if !status.success() {
        return Err("the stack did not start".into());
    }
    let settings = std::fs::read_to_string(variable("MILLRACE_ENV_FILE")?)?;
    Ok(settings
        .lines()
        .filter_map(|l| l.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect())
}

async fn soak(options: &Options) -> Result<bool, Failed> {
    let mut interrupts = interrupts();
    let port: u16 = variable("MILLRACE_PORT")?.parse()?;
    let faults = Arc::new(Faults::new(options.seed));
    let outside = Outside::start(variable("MILLRACE_TEST_UPSTREAM")?.parse()?, &faults).await;
    let proxy = proxy::Proxy::start(
        SocketAddr::from(([127, 0, 0, 1], port)),
        Arc::clone(&faults),
    )
    .await?;
    let settings = start(proxy).await?;
    let api = Api::new(&|name| settings.get(name).cloned(), Arc::clone(&faults))?;
    let mut tenants = Vec::new();
    for number in 0..3 {
        tenants.push(api.tenant(number, CREDITS, &SCHEDULE).await?);
    }
    outside.know(tenants.iter().map(|t| t.secret.clone()).collect());
    let clients = Arc::new(Clients {
        api,
        outside,
        tenants,
        seed: options.seed,
        closed: AtomicBool::new(false),
        over: AtomicBool::new(false),
        begun: AtomicU64::new(0),
        ended: AtomicU64::new(0),
    });
    println!(
        "Soak of seed {}: at least {} injections and {} s with faults, \
         then time for everything to end.",
        options.seed, options.injections, options.seconds
    );

    let begun = Instant::now();
    faults.set(true, true);
    let background = [
        tokio::spawn(sweeps(Arc::clone(&clients))),
        tokio::spawn(purges(Arc::clone(&clients))),
        tokio::spawn(kills(Arc::clone(&clients), port)),
        tokio::spawn(lives(Arc::clone(&clients), port)),
        tokio::spawn(progress(Arc::clone(&clients), begun)),
    ];
    let working: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(Arc::clone(&clients).work(n)))
        .collect();
    let least = Duration::from_secs(options.seconds);
    while begun.elapsed() < least || faults.total() < options.injections {
        if options.brief && begun.elapsed() > least / 3 {
            faults.set(true, false);
        }
        let pressed = interrupts.changed();
        if tokio::time::timeout(Duration::from_millis(200), pressed)
            .await
            .is_ok()
        {
            println!(
                "Interrupted: no more faults; started work goes on to its end. \
                 Press again to give it up."
            );
            break;
        }
    }
    faults.set(false, false);
    clients.stop();
    let faulty = begun.elapsed();
    let longest = SETTLE.max(TIMES * faulty);
    println!(
        "{:4} s  no more faults; everything must end within {} s",
        faulty.as_secs(),
        longest.as_secs()
    );

    let watcher = tokio::spawn(limit(Arc::clone(&clients), longest, interrupts));
    let mut finishing = Vec::new();
    for client in working {
        for job in client.await? {
            finishing.push(tokio::spawn({
                let clients = Arc::clone(&clients);
                async move { clients.finish(job).await }
            }));
        }
    }
    let mut jobs = Vec::new();
    for job in finishing {
        jobs.push(job.await?);
    }
    let settled = begun.elapsed().saturating_sub(faulty);
    watcher.abort();
    background.iter().for_each(tokio::task::JoinHandle::abort);
    look(&clients.api.faults, port).await;
    let seen = seen(&clients, jobs).await?;
    let tally = check::check(&seen);
    Ok(report::print(
        &tally,
        &faults,
        options.seed,
        port,
        faulty,
        settled,
    ))
}

/// Gives everything up when its time is over, or at the user's second Ctrl-C.
async fn limit(clients: Arc<Clients>, longest: Duration, mut interrupts: watch::Receiver<u32>) {
    let _ = tokio::time::timeout(longest, interrupts.changed()).await;
    clients.over.store(true, Ordering::SeqCst);
}

async fn seen(clients: &Clients, mut jobs: Vec<Job>) -> Result<Seen, Failed> {
    for job in jobs.iter_mut().filter(|job| job.erased.is_some()) {
        clients.look_after(job).await?;
    }
    let mut accounts = Vec::new();
    for tenant in &clients.tenants {
        let listed = clients.api.all(tenant, "/v1/jobs", "jobs", 100).await?;
        accounts.push(Account {
            granted: CREDITS,
            shown: clients.api.read(tenant, "/v1/account").await?,
            listed: listed
                .iter()
                .filter_map(|job| Some(job["id"].as_str()?.to_owned()))
                .collect(),
        });
    }
    let (faults, lookups) = (&clients.api.faults, clients.outside.lookups());
    Ok(Seen {
        jobs,
        received: clients.outside.received(),
        accounts,
        answered: lookups.answered,
        spoiled: lookups.spoiled,
        lives: faults.lives(),
        attempts: u64::try_from(SCHEDULE.len())? + 1,
        followed: clients.outside.followed(),
        later: Later {
            faults: faults.of_jobs(),
            ..clients.outside.later()?
        },
        ..Seen::default()
    })
}

async fn sweeps(clients: Arc<Clients>) {
    loop {
        // A sweep that was killed is followed by the next.
        clients.api.sweep().await;
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Empties a queue now and then: a message is only a hint.
async fn purges(clients: Arc<Clients>) {
    let faults = &clients.api.faults;
    loop {
        tokio::time::sleep(Duration::from_secs(6 + faults.below(6) as u64)).await;
        let queues: Vec<_> = clients.api.config.queues.iter().collect();
        let (name, url) = queues[faults.below(queues.len())];
        if faults.slow()
            && clients
                .api
                .sqs("PurgeQueue", &json!({"QueueUrl": url}))
                .await
                .is_ok_and(|r| r.status == 200)
        {
            faults.count("queue purged", &format!("{name:?}"));
        }
    }
}

/// Kills a function process at any moment, whatever it does.
async fn kills(clients: Arc<Clients>, port: u16) {
    let faults = Arc::clone(&clients.api.faults);
    loop {
        tokio::time::sleep(Duration::from_millis(700 + faults.below(1600) as u64)).await;
        if !faults.slow() {
            continue;
        }
        let faults = Arc::clone(&faults);
        let killed = tokio::task::spawn_blocking(move || {
            let running = stack::functions(port);
            if running.is_empty() {
                return;
            }
            let (pid, _) = running[faults.below(running.len())];
            let Some((function, instance)) = stack::execution(pid) else {
                return;
            };
            let then = faults.elapsed();
            if stack::kill(pid) {
                faults.count_kill("process killed at any moment", &function, &instance, then);
            }
        });
        let _ = killed.await;
    }
}

/// Polls for the running instances of enrich.
async fn lives(clients: Arc<Clients>, port: u16) {
    loop {
        look(&clients.api.faults, port).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn look(faults: &Arc<Faults>, port: u16) {
    let faults = Arc::clone(faults);
    let looked = tokio::task::spawn_blocking(move || {
        let running = stack::functions(port)
            .into_iter()
            .filter(|(_, function)| function == "enrich");
        let instances = running.filter_map(|(pid, _)| Some(stack::execution(pid)?.1));
        faults.note_running(&instances.collect());
    });
    let _ = looked.await;
}

async fn progress(clients: Arc<Clients>, begun: Instant) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (ended, all) = (
            clients.ended.load(Ordering::SeqCst),
            clients.begun.load(Ordering::SeqCst),
        );
        println!(
            "{:4} s  {} injections, {ended} jobs over, {} under way",
            begun.elapsed().as_secs(),
            clients.api.faults.total(),
            all - ended
        );
    }
}
