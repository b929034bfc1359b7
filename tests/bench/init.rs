//! Init: from exec to a function's first poll of the Runtime API, beside that of the least Lambda
//! function there is.
//!
//! The binaries are this machine's release builds, run as Lambda runs them, against a Runtime API
//! and an AWS endpoint on loopback. On Lambda the processor, the loading of the binary and the
//! network are others: the ratio carries over, the milliseconds do not.

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use testkit::authority::Authority;
use testkit::servers::{Answer, Got, Reply, Server, blocking};

use crate::{Failed, Options, Target};

/// Functions and how many times hello's Init theirs may take.
const FUNCTIONS: [(&str, f64); 5] = [
    ("submit", 1.5),
    ("status", 1.5),
    ("enrich", 1.5),
    ("sweep", 1.5),
    ("dispatch", 2.5),
];
/// Every function reads `providers.toml` with its expressions. Enrich has the kinds of providers
/// besides: pages and their character sets, phone numbers, databases of addresses.
const MAX_BINARY_MB: f64 = 6.5;
const MAX_ENRICH_MB: f64 = 9.0;
/// Lambda itself gives up on an Init after 10 s.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &Options) -> Result<Vec<Target>, Failed> {
    let plain = blocking(Server::start(healthy));
    let authority = Authority::default();
    let root = Root::of(&authority)?;
    let tls = blocking(Server::start_tls(authority.server(&["127.0.0.1"]), healthy));
    let (api, polled) = runtime_api();
    let mut subjects = vec![Subject::new("hello", &options.hello, 0.0)?];
    for (name, most) in FUNCTIONS {
        subjects.push(Subject::new(
            name,
            &options.bundle.join(name).join("bootstrap"),
            most,
        )?);
    }
    // Once unmeasured, so that every binary is in the page cache; then in turns, so that a slow
    // moment meets all of them.
    for round in 0..=options.runs {
        for subject in &mut subjects {
            let over_http = subject.init(&api, &polled, &plain, None)?;
            let over_tls = subject.init(&api, &polled, &tls, Some(&root.0))?;
            if round > 0 {
                subject.plain.push(over_http);
                subject.tls.push(over_tls);
            }
        }
    }
    let asked = plain.got().len();
    let expected = FUNCTIONS.len() * (options.runs + 1);
    if asked < expected {
        return Err(format!("{expected} Inits warmed {asked} connections").into());
    }

    println!(
        "Init: exec to first poll of the Runtime API, {} runs in turns: milliseconds and \
         times hello's",
        options.runs
    );
    println!(
        "  {:18} {:^31}   {:^31}",
        "", "endpoint over http", "endpoint over https"
    );
    let heads = ["best tenth", "median"].map(|head| format!("{head:>15}"));
    println!(
        "  {:9} {:>8} {} {}   {} {}",
        "function", "MB", heads[0], heads[1], heads[0], heads[1]
    );
    let base = [points(&subjects[0].plain), points(&subjects[0].tls)];
    let mut targets = Vec::new();
    for subject in &subjects {
        let [http, tls] = [points(&subject.plain), points(&subject.tls)];
        let shown = |times: [f64; 2], base: [f64; 2]| {
            let [best, middle] =
                [0, 1].map(|n| format!("{:7.2} ({:4.2}x)", times[n], times[n] / base[n]));
            format!("{best} {middle}")
        };
        let (name, megabytes) = (subject.name, subject.megabytes);
        println!(
            "  {name:9} {megabytes:8.2} {}   {}",
            shown(http, base[0]),
            shown(tls, base[1])
        );
        if subject.most > 0.0 {
            targets.push(Target::new(
                format!("Init of {name}, times hello's"),
                http[0] / base[0][0],
                subject.most,
            ));
            let most = if name == "enrich" {
                MAX_ENRICH_MB
            } else {
                MAX_BINARY_MB
            };
            targets.push(Target::new(
                format!("release binary of {name}, MB"),
                megabytes,
                most,
            ));
        }
    }
    println!(
        "  What else runs on the machine only ever adds to a time, and more to a longer one;\n\
         \x20 so the best tenth decides, and on a quiet machine the median says the same.\n\
         \x20 It decides over http: the connection to AWS is in it, its TLS is not. On AWS the\n\
         \x20 handshakes with two hosts run side by side; here they are with one, on the same\n\
         \x20 processors."
    );
    Ok(targets)
}

/// The best tenth and the median, in milliseconds.
fn points(times: &[Duration]) -> [f64; 2] {
    let mut times: Vec<f64> = times
        .iter()
        .map(|time| time.as_secs_f64() * 1000.0)
        .collect();
    times.sort_by(f64::total_cmp);
    [10, 2].map(|part| times[times.len() / part])
}

/// A binary and its measured Inits.
struct Subject {
    name: &'static str,
    binary: PathBuf,
    megabytes: f64,
    most: f64,
    plain: Vec<Duration>,
    tls: Vec<Duration>,
}

impl Subject {
    fn new(name: &'static str, binary: &Path, most: f64) -> Result<Self, Failed> {
        let binary = fs::canonicalize(binary)
            .map_err(|error| format!("{}: {error}; build it first", binary.display()))?;
        #[expect(clippy::cast_precision_loss, reason = "a binary is small")]
        let megabytes = fs::metadata(&binary)?.len() as f64 / 1e6;
        Ok(Self {
            name,
            binary,
            megabytes,
            most,
            plain: Vec::new(),
            tls: Vec::new(),
        })
    }

    /// Runs the binary until it polls, and ends it.
    fn init(
        &self,
        api: &Server,
        polled: &mpsc::Receiver<Instant>,
        endpoint: &Server,
        trusted: Option<&Path>,
    ) -> Result<Duration, Failed> {
        let task_root = self.binary.parent().ok_or("a binary has a directory")?;
        let mut command = Command::new(&self.binary);
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", api.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", format!("bench-{}", self.name)),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_SESSION_TOKEN", "test".to_owned()),
            ("AWS_ENDPOINT_URL", endpoint.url("")),
            ("LAMBDA_TASK_ROOT", task_root.display().to_string()),
            ("MILLRACE_TABLE", "millrace".to_owned()),
        ]);
        for queue in ["ENRICH", "ENRICH_BULK", "WEBHOOK", "WEBHOOK_RETRY"] {
            command.env(
                format!("MILLRACE_QUEUE_{queue}"),
                endpoint.url(&format!("/0/{queue}")),
            );
        }
        // Stands for the system's roots, so that the handshake is measured and not the reading of
        // a hundred certificates, which functions do for other endpoints than Amazon's.
        command.envs(trusted.map(|file| ("SSL_CERT_FILE", file)));
        command
            .current_dir(task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // The poll of an earlier Init that was given up on.
        while polled.try_recv().is_ok() {}
        let begun = Instant::now();
        let mut child = command.spawn()?;
        let polled = polled.recv_timeout(PATIENCE);
        child.kill()?;
        child.wait()?;
        let Ok(at) = polled else {
            let mut said = String::new();
            child
                .stderr
                .take()
                .map(|mut stderr| stderr.read_to_string(&mut said));
            return Err(format!("{} did not poll within {PATIENCE:?}: {said}", self.name).into());
        };
        Ok(at - begun)
    }
}

/// Starts a Runtime API that leaves polls open, as Lambda does, and tells when each came.
fn runtime_api() -> (Server, mpsc::Receiver<Instant>) {
    let (poll, polled) = mpsc::channel();
    let api = blocking(Server::start(move |_, got| {
        if got
            .line
            .starts_with("GET /2018-06-01/runtime/invocation/next ")
        {
            let _ = poll.send(Instant::now());
        }
        Answer::NeverAnswer
    }));
    (api, polled)
}

/// Answers both services' `/ping`.
fn healthy(_: usize, _: &Got) -> Answer {
    Answer::Full(Reply::new(200, "healthy"))
}

/// A certificate authority's root in a file.
struct Root(PathBuf);

impl Root {
    fn of(authority: &Authority) -> Result<Self, Failed> {
        let file = env::temp_dir().join(format!("millrace-bench-{}.pem", std::process::id()));
        fs::write(&file, authority.pem())?;
        Ok(Self(file))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
