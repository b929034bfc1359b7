//! The AWS JSON protocol by hand, as client and as server, so that neither side of a test is the
//! SDK itself.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use shared::aws::{AwsClients, AwsLimits, AwsSettings};
use shared::domain::time::Timestamp;
use shared::ports::{Clock, Entropy};
use testkit::servers::{Answer, Got, Reply, Server, blocking};

/// Calls an operation (`DynamoDB_20120810.CreateTable`, `AmazonSQS.ReceiveMessage`) and returns
/// status and answer.
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
        "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\
         Authorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    answer(&mut BufReader::new(stream)).expect("an answer")
}

/// Reads the status and the body of an answer.
fn answer(reader: &mut impl BufRead) -> Option<(u16, Vec<u8>)> {
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let length = name.eq_ignore_ascii_case("content-length");
            length.then(|| value.trim().parse().unwrap())
        })
        .last();
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((status, body))
}

/// Returns an answer in JSON.
pub(crate) fn json(status: u16, body: &Json) -> Answer {
    let reply = Reply::new(status, body.to_string());
    Answer::Full(reply.header("Content-Type", "application/x-amz-json-1.0"))
}

/// Returns an error answer as both services word it.
pub(crate) fn error(status: u16, code: &str) -> Answer {
    let kind = format!("com.amazonaws#{code}");
    json(
        status,
        &serde_json::json!({"__type": kind, "message": "secret-in-message"}),
    )
}

/// Returns the operation of a request without its service: `PutItem`.
pub(crate) fn operation(got: &Got) -> &str {
    got.header("x-amz-target").split('.').next_back().unwrap()
}

/// Starts a server that answers request `n` (from 0) as the script says.
pub(crate) fn serve(script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static) -> Server {
    blocking(Server::start(script))
}

/// Returns the clients for a server.
pub(crate) fn clients_of(server: &Server) -> AwsClients {
    clients(server.port(), false)
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
    // Between the second attempt's planned beginning and the operation's end lies more time than
    // any delay should take, and the operation ends before the fourth attempt does.
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
