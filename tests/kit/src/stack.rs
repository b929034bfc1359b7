//! A deployed stack from outside: its API, its AWS services, its processes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shared::aws::AwsClients;
use shared::domain::tenant::fast_chunks;
use shared::jobs::Ports;
use shared::lambda::config::Config;
use shared::lambda::system::{NoAssets, NoDns, SystemClock, SystemEntropy};
use shared::net::{PlainHttp, ReqwestSender, SenderSettings};
use shared::ports::{Clock, Entropy, HttpError, HttpRequest, HttpSender};
use shared::surfaces::SURFACES;

/// The emulator's root.
pub const ROOT: &str = "test";
/// The time for any of its answers: a waiting GET takes 25 s, a function 60 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer over HTTP.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header by its name in lower case, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, v)| v.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body, where the status is this one.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// One exchange with the stack.
pub async fn send(
    http: &dyn HttpSender,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, HttpError> {
    let request = HttpRequest {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        body: body.to_vec(),
        deadline: PATIENCE,
        plain_http: false,
        max_response_bytes: 16 * 1024 * 1024,
    };
    let answer = http.send(request).await?;
    assert!(!answer.truncated, "{url}");
    Ok(Reply {
        status: answer.status,
        headers: answer.headers,
        body: answer.body,
    })
}

/// The header that names the caller to the emulator, which verifies no signature of a long-lived
/// key.
pub fn authorization(service: &str, access_key: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0"
    )
}

/// Calls the stack's AWS services, as root or with the given access key: the stack identifies the
/// caller by it and checks no signature. `endpoint` is without a path.
pub async fn aws_request(
    http: &dyn HttpSender,
    endpoint: &str,
    (method, path): (&str, &str),
    service: &str,
    access_key: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, HttpError> {
    let authorization = authorization(service, access_key);
    let mut all = vec![("authorization", authorization.as_str())];
    all.extend(headers);
    send(http, method, &format!("{endpoint}{path}"), &all, body).await
}

/// Runs a function of the stack with an event. The answer is in the body; the header
/// `x-amz-function-error` marks a function that failed.
pub async fn invoke(
    http: &dyn HttpSender,
    endpoint: &str,
    function: &str,
    event: &Value,
) -> Result<Reply, HttpError> {
    let path = format!("/2015-03-31/functions/millrace-{function}/invocations");
    aws_request(
        http,
        endpoint,
        ("POST", &path),
        "lambda",
        ROOT,
        &[],
        event.to_string().as_bytes(),
    )
    .await
}

/// A sender that reaches loopback alone.
pub fn http() -> Arc<dyn HttpSender> {
    let http = ReqwestSender::new(SenderSettings {
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: PlainHttp::Always,
        local: true,
        nameserver: None,
        extra_ca_pem: None,
        user_agent: "millrace-tests".to_owned(),
        decompress: false,
        keep_idle: Duration::ZERO,
    });
    Arc::new(http.unwrap())
}

/// The real adapters on the stack's table and queues.
pub fn ports(config: &Config) -> Ports {
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let clients = AwsClients::new(&config.aws).unwrap();
    Ports {
        store: Arc::new(clients.store(&config.table, Arc::clone(&clock), Arc::clone(&entropy))),
        queue: Arc::new(clients.queue(
            config.queues.clone(),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        )),
        http: http(),
        dns: Arc::new(NoDns),
        assets: Arc::new(NoAssets),
        clock,
        entropy,
        surfaces: SURFACES,
        public_url: None,
        fast_chunks: fast_chunks(config.enrich_concurrency),
        large: Arc::default(),
    }
}

/// Returns the process that has the connection from `peer`, an address on this machine. The list of
/// connections is read piece by piece: an existing one can be missing while others come and go.
pub fn owner(peer: SocketAddr) -> Option<u32> {
    if !Path::new("/proc/net/tcp").exists() {
        let listed = Command::new("lsof")
            .args(["-nP", "-t", &format!("-iTCP@{peer}"), "-sTCP:ESTABLISHED"])
            .output();
        let listed = String::from_utf8(listed.ok()?.stdout).ok()?;
        return listed
            .lines()
            .filter_map(|l| l.parse().ok())
            .find(|pid| *pid != std::process::id());
    }
    let SocketAddr::V4(v4) = peer else {
        return None;
    };
    let local = format!(
        "{:08X}:{:04X}",
        u32::from_le_bytes(v4.ip().octets()),
        v4.port()
    );
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        // Established: a closed connection keeps its port for a minute, which another connection
        // may have by then.
        let is = columns.get(1) == Some(&local.as_str()) && columns.get(3) == Some(&"01");
        is.then(|| columns.get(9).map(|i| format!("socket:[{i}]")))?
    })?;
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let open = std::fs::read_dir(entry.path().join("fd")).ok()?;
            let has = open
                .flatten()
                .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == &*inode));
            has.then_some(pid)
        })
}

/// Ends a process by `kill -9`. Returns true if it existed.
pub fn kill(pid: u32) -> bool {
    Command::new("kill")
        .args(["-9", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Returns the variables that a process was started with; none where the system does not show them
/// or the process is gone.
pub fn variables(pid: u32) -> Vec<(String, String)> {
    let raw = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&raw);
    text.split('\0')
        .filter_map(|v| v.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

/// Returns the function that a process runs, without its stack's name in front.
pub fn function(pid: u32) -> Option<String> {
    Some(execution(pid)?.0)
}

/// The same, with the name of the instance: its log stream's.
pub fn execution(pid: u32) -> Option<(String, String)> {
    let variables = variables(pid);
    let of = |name: &str| {
        variables
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    };
    let function = of("AWS_LAMBDA_FUNCTION_NAME").strip_prefix("millrace-")?;
    Some((
        function.to_owned(),
        of("AWS_LAMBDA_LOG_STREAM_NAME").to_owned(),
    ))
}

/// Returns the function processes of the stack whose emulator listens on this port: pid and
/// function. Empty where the system does not show the variables that processes were started with.
pub fn functions(port: u16) -> Vec<(u32, String)> {
    let of_stack =
        |pid: &u32| variables(*pid).contains(&("GATEWAY_PORT".to_owned(), port.to_string()));
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(of_stack)
        .filter_map(|pid| Some((pid, function(pid)?)))
        .collect()
}
