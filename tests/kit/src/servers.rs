//! An HTTP server on loopback that answers as a script says, badly where it says so, and keeps what it got.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use shared::domain::time::Timestamp;
use shared::lambda::system::SystemClock;
use shared::ports::Clock;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub at: Timestamp,
    pub peer: SocketAddr,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    /// A header by its name in lower case, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, v)| v.as_str())
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// How long a test waits for what must happen: long enough that only what never happens exceeds it, however much else the
/// machine has to do. Alone, no single wait of the tests takes 30 s.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Holds answers back until the test has seen what must come before them.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::channel(false).0)
    }
}

impl Gate {
    /// Lets every answer go, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn opened(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// What a server does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    With(u16, &'static str, &'static str),
    Json(Value),
    /// The same after a while.
    Later(Duration, Value),
    /// The same once the gate is open.
    After(Gate, Value),
    /// Says nothing until the other side is gone.
    NeverAnswer,
    /// 200 and a promise of a hundred bytes, one of which comes each second.
    Drip,
    /// 200 and a body without end.
    EndlessBody,
    /// 200 and headers without end.
    EndlessHeaders,
    /// Closes the connection without a word.
    Close,
    /// The same with a reset.
    Reset,
}

type Script = Arc<dyn Fn(usize, &Got) -> Answer + Send + Sync>;

/// An HTTP server on loopback that keeps what it got. It lives as long as the test process.
#[derive(Clone, Debug)]
pub struct Server {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    ends: Arc<Mutex<BTreeMap<usize, End>>>,
    changed: Arc<Notify>,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Before the other side can have read the answer, or when it was seen to have left.
    pub at: Timestamp,
    /// The answer was written to its end; the other side may have left before it read that.
    pub answered: bool,
    /// When the next request came on the same connection: the other side had read the answer by
    /// then. `None` proves nothing.
    pub read: Option<Timestamp>,
}

impl Server {
    /// `script` gets how many requests came before, and the request.
    pub async fn start(script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script).await
    }

    /// The same at this address.
    pub async fn start_at(
        address: SocketAddr,
        script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .unwrap_or_else(|e| panic!("{address}: {e}"));
        let server = Self {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
            ends: Arc::default(),
            changed: Arc::default(),
        };
        let (server_too, script): (_, Script) = (server.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(server_too.clone().serve(stream, peer, Arc::clone(&script)));
            }
        });
        server
    }

    /// The URL of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests that came so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// How the exchanges ended, by the number of requests before; those that go on are missing.
    pub fn ends(&self) -> BTreeMap<usize, End> {
        self.ends.lock().unwrap().clone()
    }

    fn end(&self, n: usize, at: Timestamp, answered: bool) {
        let read = None;
        self.ends
            .lock()
            .unwrap()
            .insert(n, End { at, answered, read });
    }

    /// Waits until what came satisfies `enough`, and returns it.
    pub async fn wait(&self, what: &str, enough: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                let got = self.got();
                if enough(&got) {
                    return got;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "no {what} after {PATIENCE:?}; {} requests came",
                    self.got().len()
                )
            })
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, script: Script) {
        let mut stream = BufReader::new(stream);
        let mut before = None;
        while let Some(got) = read(&mut stream, peer).await {
            if let Some(n) = before {
                let mut ends = self.ends.lock().unwrap();
                ends.entry(n).and_modify(|end| end.read = Some(got.at));
            }
            let (n, answer) = {
                let mut all = self.got.lock().unwrap();
                let answer = script(all.len(), &got);
                all.push(got);
                (all.len() - 1, answer)
            };
            self.changed.notify_waiters();
            let (status, header, body) = match answer {
                Answer::Status(status) => (status, String::new(), String::new()),
                Answer::With(status, name, value) => {
                    (status, format!("{name}: {value}\r\n"), String::new())
                }
                Answer::Json(value) => (
                    200,
                    "Content-Type: application/json\r\n".to_owned(),
                    value.to_string(),
                ),
                Answer::Later(after, value) => {
                    if left(&mut stream, tokio::time::sleep(after)).await {
                        return self.end(n, SystemClock.now(), false);
                    }
                    (
                        200,
                        "Content-Type: application/json\r\n".to_owned(),
                        value.to_string(),
                    )
                }
                Answer::After(gate, value) => {
                    if left(&mut stream, gate.opened()).await {
                        return self.end(n, SystemClock.now(), false);
                    }
                    (
                        200,
                        "Content-Type: application/json\r\n".to_owned(),
                        value.to_string(),
                    )
                }
                bad => {
                    misbehave(stream, &bad).await;
                    return self.end(n, SystemClock.now(), false);
                }
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\n{header}Content-Length: {}\r\n\r\n",
                body.len()
            );
            let at = SystemClock.now();
            let written = stream.write_all((head + &body).as_bytes()).await;
            self.end(n, at, written.is_ok());
            if written.is_err() {
                return;
            }
            before = Some(n);
        }
    }
}

/// Waits until `pause` is over, or until the other side has left: whether it has.
async fn left(stream: &mut BufReader<TcpStream>, pause: impl Future<Output = ()>) -> bool {
    let mut pause = std::pin::pin!(pause);
    tokio::select! {
        biased;
        // Whoever has left has, however late that is seen.
        more = stream.fill_buf() => {
            if !more.is_ok_and(|more| !more.is_empty()) {
                return true;
            }
        }
        () = &mut pause => return false,
    }
    pause.await;
    false
}

/// What has no end comes this slowly: headers at full speed meet a limit before they meet the deadline, or not.
const BIT_BY_BIT: Duration = Duration::from_millis(1);
/// A piece of a body without end.
static DOTS: [u8; 1 << 16] = [b'.'; 1 << 16];

/// Ends a connection in one of the ways that are no answer.
async fn misbehave(mut stream: BufReader<TcpStream>, answer: &Answer) {
    let (head, again, pause): (&[u8], &[u8], _) = match answer {
        Answer::Drip => (
            b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n",
            b".",
            Duration::from_secs(1),
        ),
        Answer::EndlessBody => (b"HTTP/1.1 200 X\r\n\r\n", &DOTS, BIT_BY_BIT),
        Answer::EndlessHeaders => (b"HTTP/1.1 200 X\r\n", b"X-More: and more\r\n", BIT_BY_BIT),
        Answer::Reset => {
            let _ = stream.get_ref().set_zero_linger();
            return;
        }
        Answer::NeverAnswer => {
            let _ = stream.read_u8().await;
            return;
        }
        _ => return,
    };
    let mut sent = stream.write_all(head).await;
    while sent.is_ok() {
        if left(&mut stream, tokio::time::sleep(pause)).await {
            return;
        }
        sent = stream.write_all(again).await;
    }
}

async fn read(stream: &mut BufReader<TcpStream>, peer: SocketAddr) -> Option<Got> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(n, _)| n == "content-length")
        .and_then(|(_, v)| v.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Got {
        at: SystemClock.now(),
        peer,
        path,
        headers,
        body,
    })
}
