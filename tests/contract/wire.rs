//! The AWS JSON protocol by hand, as client and as server, so that neither side of a test is the SDK itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use shared::aws::{AwsClients, AwsLimits, AwsSettings};
use shared::domain::time::Timestamp;
use shared::ports::{Clock, Entropy};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Calls an operation (`DynamoDB_20120810.CreateTable`, `AmazonSQS.ReceiveMessage`) and returns status and answer.
pub(crate) fn call(port: u16, operation: &str, body: &Json) -> (u16, Json) {
    let (service, version) = match operation.split_once('.').map_or("", |(service, _)| service) {
        "AmazonSQS" => ("sqs", "1.0"),
        "AmazonSSM" => ("ssm", "1.1"),
        _ => ("dynamodb", "1.0"),
    };
    let headers =
        format!("Content-Type: application/x-amz-json-{version}\r\nX-Amz-Target: {operation}\r\n");
    let (status, body) = request(
        port,
        "POST /",
        service,
        &headers,
        body.to_string().as_bytes(),
    );
    (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
}

/// Puts a bucket or an object, and returns the status.
pub(crate) fn put(port: u16, path: &str, bytes: &[u8]) -> u16 {
    request(port, &format!("PUT {path}"), "s3", "", bytes).0
}

fn request(port: u16, line: &str, service: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(5)))
        .unwrap();
    // The emulator finds the service by the credential scope; it verifies no signature.
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}Authorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let (first, _, body) = message(&mut BufReader::new(stream)).expect("an answer");
    (first.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

type Headers = Vec<(String, String)>;

/// First line, headers and body of a request or an answer; `None` at the end of the stream.
fn message(reader: &mut impl BufRead) -> Option<(String, Headers, Vec<u8>)> {
    let mut line = || {
        let mut line = String::new();
        let read = reader.read_line(&mut line).unwrap_or(0);
        (read > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, v)| v.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, headers, body))
}

/// What a scripted server does with a request.
pub(crate) enum Answer {
    Json(u16, Json),
    /// Closes the connection without a word.
    Close,
    /// Says nothing and keeps the connection.
    Silence,
}

/// An error answer as both services word it.
pub(crate) fn error(status: u16, code: &str) -> Answer {
    Answer::Json(
        status,
        serde_json::json!({"__type": format!("com.amazonaws#{code}"), "message": "secret-in-message"}),
    )
}

/// A request that the server got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    /// The operation without its service: `PutItem`.
    pub(crate) operation: String,
    pub(crate) body: Json,
}

/// A server on loopback that answers request `n` (from 0) as the script says. It lives as long as the test process.
pub(crate) struct Scripted {
    pub(crate) port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    connections: Arc<AtomicUsize>,
}

type Script = dyn Fn(usize, &Got) -> Answer + Send + Sync;

impl Scripted {
    pub(crate) fn start(script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(script, None)
    }

    /// The same behind TLS.
    pub(crate) fn start_tls(
        config: ServerConfig,
        script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(script, Some(Arc::new(config)))
    }

    fn listen(
        script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let connections = Arc::new(AtomicUsize::new(0));
        let (server_got, opened) = (Arc::clone(&got), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                opened.fetch_add(1, Ordering::SeqCst);
                let (got, script, tls) =
                    (Arc::clone(&server_got), Arc::clone(&script), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &got, &*script),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream), &got, &*script);
                    }
                });
            }
        });
        Self {
            port,
            got,
            connections,
        }
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// The clients for this server.
    pub(crate) fn clients(&self) -> AwsClients {
        clients(self.port, false)
    }
}

fn serve(stream: impl Read + Write, got: &Mutex<Vec<Got>>, script: &Script) {
    let mut reader = BufReader::new(stream);
    while let Some((_, headers, body)) = message(&mut reader) {
        let target = headers
            .iter()
            .find(|(name, _)| name == "x-amz-target")
            .map_or("", |(_, v)| v);
        let request = Got {
            operation: target.split('.').next_back().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or(Json::Null),
        };
        let number = {
            let mut got = got.lock().unwrap();
            got.push(request.clone());
            got.len() - 1
        };
        match script(number, &request) {
            Answer::Json(status, body) => {
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\n");
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                let out = reader.get_mut();
                if out
                    .write_all(answer.as_bytes())
                    .and_then(|()| out.flush())
                    .is_err()
                {
                    return;
                }
            }
            Answer::Close => return,
            Answer::Silence => loop {
                std::thread::park();
            },
        }
    }
}

/// A port on loopback that nobody listens on.
pub(crate) fn closed_port() -> u16 {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) fn settings(port: u16, metered: bool) -> AwsSettings {
    AwsSettings {
        region: "us-east-1".to_owned(),
        access_key_id: "test".to_owned(),
        secret_access_key: "test".to_owned(),
        session_token: None,
        endpoint_url: Some(format!("http://127.0.0.1:{port}")),
        extra_ca_pem: None,
        metered,
        limits: AwsLimits {
            // A busy machine must not look like a service that does not answer.
            attempt: Duration::from_secs(20),
            operation: Duration::from_secs(40),
            attempts: 4,
            first_wait: Duration::from_millis(10),
        },
    }
}

pub(crate) fn clients(port: u16, metered: bool) -> AwsClients {
    AwsClients::new(&settings(port, metered)).unwrap()
}

/// Clients that give up soon, for tests that wait for it.
pub(crate) fn hasty_clients(port: u16) -> AwsClients {
    AwsClients::new(&AwsSettings {
        limits: hasty_limits(),
        ..settings(port, false)
    })
    .unwrap()
}

pub(crate) fn hasty_limits() -> AwsLimits {
    // Between the second attempt's planned beginning and the operation's end lies more time than any delay should take, and
    // the operation ends before the fourth attempt does.
    let (attempt, operation) = (Duration::from_secs(1), Duration::from_millis(2500));
    AwsLimits {
        attempt,
        operation,
        ..settings(0, false).limits
    }
}

/// Real time.
pub(crate) struct RealClock;

#[async_trait::async_trait]
impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp(i64::try_from(now.as_millis()).unwrap())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock)
}

/// Jitter that a test can repeat.
pub(crate) fn entropy() -> Arc<dyn Entropy> {
    Arc::new(testkit::sim::SimEntropy::new(1))
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
