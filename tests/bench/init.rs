//! Init: from exec to a function's first poll of the Runtime API, beside the least Lambda function there is.
//!
//! The binaries are this machine's release builds, run as Lambda runs them, against a Runtime API and an AWS endpoint on
//! loopback. On Lambda the processor, the loading of the binary and the network are others: the ratio carries over, the
//! milliseconds do not.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::{Failed, Options, Target};

/// Functions and how many times hello's Init theirs may take.
const FUNCTIONS: [(&str, f64); 5] = [
    ("submit", 1.5),
    ("status", 1.5),
    ("enrich", 1.5),
    ("sweep", 1.5),
    ("dispatch", 2.5),
];
/// Every function reads `providers.toml` with its expressions; enrich has the kinds of providers besides: pages and their
/// character sets, phone numbers, databases of addresses.
const MAX_BINARY_MB: f64 = 6.5;
const MAX_ENRICH_MB: f64 = 9.0;
/// Lambda itself gives up on an Init after 10 s.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &Options) -> Result<Vec<Target>, Failed> {
    let plain = Endpoint::start(None)?;
    let authority = Authority::new()?;
    let tls = Endpoint::start(Some(authority.server.clone()))?;
    let mut subjects = vec![Subject::new("hello", &options.hello, 0.0)?];
    for (name, most) in FUNCTIONS {
        subjects.push(Subject::new(
            name,
            &options.bundle.join(name).join("bootstrap"),
            most,
        )?);
    }
    // Once unmeasured, so that every binary is in the page cache; then in turns, so that a slow moment is everybody's.
    for round in 0..=options.runs {
        for subject in &mut subjects {
            let over_http = subject.init(&plain, None)?;
            let over_tls = subject.init(&tls, Some(&authority.file))?;
            if round > 0 {
                subject.plain.push(over_http);
                subject.tls.push(over_tls);
            }
        }
    }
    let asked = plain.requests.load(Ordering::Relaxed);
    let expected = FUNCTIONS.len() * (options.runs + 1);
    if asked < u64::try_from(expected)? {
        return Err(format!("{expected} Inits warmed {asked} connections").into());
    }

    println!(
        "Init: exec to first poll of the Runtime API, {} runs in turns: milliseconds and times hello's",
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
        "  What else runs on the machine only ever adds to a time, and more to a longer one; so the best tenth decides, and\n\
         \x20 on a quiet machine the median says the same. It decides over http: the connection to AWS is in it, its TLS is\n\
         \x20 not. On AWS the handshakes with two hosts run side by side; here they are with one, on the same processors."
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
    fn init(&self, endpoint: &Endpoint, trusted: Option<&Path>) -> Result<Duration, Failed> {
        let api = TcpListener::bind(("127.0.0.1", 0))?;
        let address = api.local_addr()?;
        let (polled, first_poll) = mpsc::channel();
        thread::spawn(move || {
            // The connection stays open while the poll waits for an event, as Lambda's does.
            if let Ok((stream, at)) = first_request(&api) {
                let _ = polled.send((at, stream));
            }
        });
        let task_root = self.binary.parent().ok_or("a binary has a directory")?;
        let mut command = Command::new(&self.binary);
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", format!("bench-{}", self.name)),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_SESSION_TOKEN", "test".to_owned()),
            ("AWS_ENDPOINT_URL", endpoint.url.clone()),
            ("LAMBDA_TASK_ROOT", task_root.display().to_string()),
            ("MILLRACE_TABLE", "millrace".to_owned()),
        ]);
        for queue in ["ENRICH", "ENRICH_BULK", "WEBHOOK", "WEBHOOK_RETRY"] {
            command.env(
                format!("MILLRACE_QUEUE_{queue}"),
                format!("{}/0/{queue}", endpoint.url),
            );
        }
        // Stands for the system's roots, so that the handshake is measured and not the reading of a hundred certificates,
        // which functions do for endpoints of their own and not for Amazon's.
        command.envs(trusted.map(|file| ("SSL_CERT_FILE", file)));
        command
            .current_dir(task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn()?;
        let polled = first_poll.recv_timeout(PATIENCE);
        child.kill()?;
        child.wait()?;
        let Ok((at, _)) = polled else {
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

/// The first request for the next invocation, and when it was there.
fn first_request(api: &TcpListener) -> io::Result<(TcpStream, Instant)> {
    let (mut stream, _) = api.accept()?;
    let head = read_head(&mut stream)?;
    let at = Instant::now();
    if head.starts_with(b"GET /2018-06-01/runtime/invocation/next ") {
        Ok((stream, at))
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// A request's head. An error at the connection's end.
fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(&buffer[..n]),
        }
    }
    Ok(head)
}

/// Both services' endpoint: it answers each `/ping` and counts it.
struct Endpoint {
    url: String,
    requests: Arc<AtomicU64>,
}

impl Endpoint {
    fn start(tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, count) = (tls.clone(), Arc::clone(&count));
                // Else the handshake's small records wait for acknowledgements that the client holds back for 40 ms.
                let _ = stream.set_nodelay(true);
                thread::spawn(move || match tls.map(ServerConnection::new) {
                    None => answer(stream, &count),
                    Some(Ok(connection)) => answer(StreamOwned::new(connection, stream), &count),
                    Some(Err(_)) => {}
                });
            }
        });
        Ok(Self { url, requests })
    }
}

fn answer(mut stream: impl Read + Write, count: &AtomicU64) {
    while read_head(&mut stream).is_ok() {
        count.fetch_add(1, Ordering::Relaxed);
        if stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nhealthy")
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
    }
}

/// A certificate authority of the bench's own, its root in a file.
struct Authority {
    server: Arc<ServerConfig>,
    file: PathBuf,
}

impl Authority {
    fn new() -> Result<Self, Failed> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &root)?;
        let server =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                )?;
        let file = std::env::temp_dir().join(format!("millrace-bench-{}.pem", std::process::id()));
        fs::write(&file, root.pem())?;
        Ok(Self {
            server: Arc::new(server),
            file,
        })
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
