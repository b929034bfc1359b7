//! An HTTP server on loopback that answers as a script says, badly where it says so, and keeps
//! what it got. All tests use this one: `tests/infra/servers.rs` names the few other listeners.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::Value;
use shared::domain::time::Timestamp;
use shared::lambda::system::SystemClock;
use shared::ports::Clock;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_buf, sink,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub at: Timestamp,
    pub peer: SocketAddr,
    /// The name that a client asked for over TLS.
    pub server_name: Option<String>,
    /// The first line: `POST /hook HTTP/1.1`.
    pub line: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    /// Returns the value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Returns the value of a header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Returns the body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// The time that a test waits for what must happen: long enough that only what never happens
/// exceeds it, however much else the machine has to do. Alone, no single wait takes 30 s.
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

/// An answer to a request, or a fault instead of one.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    With(u16, &'static str, &'static str),
    Json(Value),
    Full(Reply),
    /// The JSON after a while.
    Later(Duration, Value),
    /// The JSON once the gate is open.
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
    /// Resets the connection without a word.
    Reset,
}

/// The pause between the parts of what has no end: headers at full speed meet a limit before they
/// meet the deadline, or not.
const BIT_BY_BIT: Duration = Duration::from_millis(1);

impl Answer {
    fn reply(self) -> Reply {
        match self {
            Self::Status(status) => Reply::new(status, ""),
            Self::With(status, name, value) => Reply::new(status, "").header(name, value),
            Self::Json(body) | Self::Later(_, body) | Self::After(_, body) => {
                Reply::new(200, body.to_string()).header("Content-Type", "application/json")
            }
            Self::Full(reply) => reply,
            Self::NeverAnswer => Reply::raw("").then(Then::Silence),
            Self::Drip => Reply::new(200, "")
                .header("Content-Length", "100")
                .then(Then::repeat(".", Duration::from_secs(1))),
            Self::EndlessBody => {
                Reply::new(200, "").then(Then::repeat(vec![b'.'; 1 << 16], BIT_BY_BIT))
            }
            Self::EndlessHeaders => Reply::raw("HTTP/1.1 200 X\r\n")
                .then(Then::repeat("X-More: and more\r\n", BIT_BY_BIT)),
            Self::Close => Reply::raw(""),
            Self::Reset => Reply::raw("").then(Then::Reset(Duration::ZERO)),
        }
    }
}

/// An answer with all its parts.
#[derive(Debug, Clone)]
pub struct Reply {
    /// `None` where `body` is all that is written.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    then: Then,
}

/// The way on after an answer.
#[derive(Debug, Clone)]
pub enum Then {
    /// Reads the next request. Only such an answer states its length.
    Next,
    Close,
    /// Resets the connection after a while. What the other side has not read by then is lost.
    Reset(Duration),
    /// Says no more until the other side is gone.
    Silence,
    /// Writes this again and again with this pause before it, until the other side is gone.
    Repeat(Vec<u8>, Duration),
}

impl Then {
    /// Writes these bytes again and again.
    pub fn repeat(bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        Self::Repeat(bytes.as_ref().to_vec(), pause)
    }
}

impl Reply {
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self {
            status: Some(status),
            headers: Vec::new(),
            body: body.as_ref().to_vec(),
            then: Then::Next,
        }
    }

    /// Writes these bytes, whatever they are, and closes the connection.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self {
            status: None,
            then: Then::Close,
            ..Self::new(0, bytes)
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let Some(status) = self.status else {
            return self.body.clone();
        };
        let mut head = format!("HTTP/1.1 {status} X\r\n");
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if matches!(self.then, Then::Next) {
            head.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]);
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

type Script = Arc<dyn Fn(usize, &Got) -> Answer + Send + Sync>;

/// An HTTP server on loopback that keeps what it got. It lives as long as its runtime.
#[derive(Clone, Debug)]
pub struct Server {
    pub address: SocketAddr,
    scheme: &'static str,
    got: Arc<Mutex<Vec<Got>>>,
    ends: Arc<Mutex<BTreeMap<usize, End>>>,
    connections: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

/// The end of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Before the other side can have read the answer, or when it was seen to have left.
    pub at: Timestamp,
    /// The whole answer was written, and the connection takes another request; the other side may
    /// have left before it read the answer.
    pub answered: bool,
    /// When the next request came on the same connection: the other side had read the answer by
    /// then. `None` proves nothing.
    pub read: Option<Timestamp>,
    /// The bytes that were written, as far as they were taken in whole pieces.
    pub written: usize,
    /// The bytes that came after the request while the server was silent.
    pub ignored: u64,
}

/// Runs the servers of tests that have no runtime of their own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

/// Starts a server outside any runtime; it lives as long as the process.
pub fn blocking(start: impl Future<Output = Server>) -> Server {
    RUNTIME.block_on(start)
}

/// Returns a port on loopback that refuses connections while the socket beside it lives.
pub fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A connection, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
    fn server_name(&self) -> Option<&str>;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
    fn server_name(&self) -> Option<&str> {
        None
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
    fn server_name(&self) -> Option<&str> {
        self.get_ref().1.server_name()
    }
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Server {
    /// Starts a server; `script` gets how many requests came before, and the request.
    pub async fn start(script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at(LOOPBACK, script).await
    }

    /// Starts a server at this address.
    pub async fn start_at(
        address: SocketAddr,
        script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(address, None, true, Arc::new(script)).await
    }

    /// Starts a server behind TLS.
    pub async fn start_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(usize, &Got) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(LOOPBACK, Some(config), true, Arc::new(script)).await
    }

    /// Starts a server that gives these replies in order, the last one for ever.
    pub async fn replying(replies: Vec<Reply>) -> Self {
        let last = replies.len() - 1;
        Self::start(move |n, _| Answer::Full(replies[n.min(last)].clone())).await
    }

    /// Starts a server that gives this answer to a connection's first bytes, whatever they are.
    pub async fn interrupting(answer: Answer) -> Self {
        let script = move |_: usize, _: &Got| answer.clone();
        Self::listen(LOOPBACK, None, false, Arc::new(script)).await
    }

    async fn listen(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        http: bool,
        script: Script,
    ) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .unwrap_or_else(|e| panic!("{address}: {e}"));
        let server = Self {
            address: listener.local_addr().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            got: Arc::default(),
            ends: Arc::default(),
            connections: Arc::default(),
            changed: Arc::default(),
        };
        let (server_too, tls) = (server.clone(), tls.map(TlsAcceptor::from));
        tokio::spawn(async move {
            loop {
                // A connection that was given up again must not end the server.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                server_too.connections.fetch_add(1, Ordering::SeqCst);
                // Else small records wait for acknowledgements, which a client may hold back for
                // 40 ms.
                let _ = stream.set_nodelay(true);
                let (server, script, tls) = (server_too.clone(), Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.serve(stream, http, script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                server.serve(stream, http, script).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    /// Returns the URL of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns how many connections were opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the requests that came so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Returns the ends of the exchanges, by the number of requests before; those that go on are
    /// missing.
    pub fn ends(&self) -> BTreeMap<usize, End> {
        self.ends.lock().unwrap().clone()
    }

    /// Waits until what came satisfies `enough`, and returns it.
    pub async fn wait(&self, what: &str, enough: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let came = || Some(self.got()).filter(|got| enough(got));
        self.until(what, came).await
    }

    /// Waits for the end of the exchange with this many requests before it.
    pub async fn ended(&self, n: usize) -> End {
        let end = || self.ends.lock().unwrap().get(&n).copied();
        self.until("end of the exchange", end).await
    }

    async fn until<T>(&self, what: &str, ready: impl Fn() -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if let Some(ready) = ready() {
                    return ready;
                }
                changed.await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        came.unwrap_or_else(|_| {
            let requests = self.got().len();
            panic!("no {what} after {PATIENCE:?}; {requests} requests came")
        })
    }

    async fn serve(self, stream: impl Stream, http: bool, script: Script) {
        let mut stream = BufReader::new(stream);
        let mut before = None;
        while let Some(got) = read(&mut stream, http).await {
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
            let end = give(&mut stream, answer).await;
            self.ends.lock().unwrap().insert(n, end);
            self.changed.notify_waiters();
            if !end.answered {
                return;
            }
            before = Some(n);
        }
    }
}

/// Gives an answer, and says how that ended. After anything but a whole answer the connection is
/// of no use.
async fn give(stream: &mut BufReader<impl Stream>, answer: Answer) -> End {
    let mut end = End {
        at: SystemClock.now(),
        answered: false,
        read: None,
        written: 0,
        ignored: 0,
    };
    let gone = match &answer {
        Answer::Later(after, _) => left(stream, sleep(*after)).await,
        Answer::After(gate, _) => left(stream, gate.opened()).await,
        _ => false,
    };
    end.at = SystemClock.now();
    if gone {
        return end;
    }
    let reply = answer.reply();
    let bytes = reply.bytes();
    if write(stream, &bytes).await.is_err() {
        return end;
    }
    end.written = bytes.len();
    match reply.then {
        Then::Next => {
            end.answered = true;
            return end;
        }
        Then::Close => {
            let _ = stream.shutdown().await;
        }
        Then::Reset(after) => {
            sleep(after).await;
            let _ = stream.get_ref().tcp().set_zero_linger();
        }
        Then::Silence => {
            end.ignored = copy_buf(stream, &mut sink()).await.unwrap_or(0);
        }
        Then::Repeat(bytes, pause) => {
            while !left(stream, sleep(pause)).await && write(stream, &bytes).await.is_ok() {
                end.written += bytes.len();
            }
        }
    }
    end.at = SystemClock.now();
    end
}

async fn write(stream: &mut BufReader<impl Stream>, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Waits until `pause` is over, or until the other side has left, and returns whether it has.
async fn left(stream: &mut BufReader<impl Stream>, pause: impl Future<Output = ()>) -> bool {
    let mut pause = std::pin::pin!(pause);
    tokio::select! {
        biased;
        // One that has left has left, however late that is seen.
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

/// Reads a request, or whatever comes first where `http` is not to be understood.
async fn read(stream: &mut BufReader<impl Stream>, http: bool) -> Option<Got> {
    let mut got = Got {
        at: SystemClock.now(),
        peer: stream.get_ref().tcp().peer_addr().ok()?,
        server_name: stream.get_ref().server_name().map(str::to_owned),
        line: String::new(),
        path: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    if !http {
        let length = stream.fill_buf().await.ok()?.len();
        stream.consume(length);
        return (length > 0).then_some(got);
    }
    got.line = line(stream).await?;
    got.path = got.line.split(' ').nth(1)?.to_owned();
    while let Some((name, value)) = line(stream).await?.split_once(':') {
        got.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    got.body = vec![0; got.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut got.body).await.ok()?;
    got.at = SystemClock.now();
    Some(got)
}

async fn line(stream: &mut BufReader<impl Stream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
