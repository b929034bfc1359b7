//! The outbound HTTP client against servers and a name server on loopback. Nothing leaves the
//! machine, even where the code under test is wrong. A "good" address is one of 127.0.0.0/8 that
//! the test allows; a "refused" one is another of the same network. The ranges that are refused are
//! tested beside the guard, without sockets.

mod tls;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::net::{Guard, PlainHttp, ReqwestSender, ResolveError, Resolver, SenderSettings};
use shared::ports::{HttpAnswer, HttpError, HttpRequest, HttpSender};
use simple_dns::{RCODE, TYPE};
use testkit::names::{NameServer, Says, ips};
use testkit::servers::{Answer, Got, Reply, Server, Then, closed_port};
use tokio::net::TcpSocket;

/// The limit for what must end by itself: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// The limit for what only the deadline can end.
const SHORT: Duration = Duration::from_millis(300);

pub(crate) fn settings(allowed: &[&str]) -> SenderSettings {
    SenderSettings {
        allowed: allowed.iter().map(|cidr| cidr.parse().unwrap()).collect(),
        allow_http: PlainHttp::Always,
        local: true,
        user_agent: "millrace-test".into(),
        ..SenderSettings::default()
    }
}

fn local() -> ReqwestSender {
    ReqwestSender::new(settings(&["127.0.0.0/8"])).unwrap()
}

/// A sender that asks this name server and may reach these networks.
fn asking(server: &NameServer, allowed: &[&str]) -> ReqwestSender {
    ReqwestSender::new(SenderSettings {
        nameserver: Some(server.address),
        ..settings(allowed)
    })
    .unwrap()
}

pub(crate) fn post(url: impl Into<String>) -> HttpRequest {
    HttpRequest {
        method: "POST".into(),
        url: url.into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: b"{}".to_vec(),
        deadline: PATIENCE,
        plain_http: false,
        max_response_bytes: 1000,
    }
}

async fn send(sender: &ReqwestSender, url: impl Into<String>) -> Result<HttpAnswer, HttpError> {
    sender.send(post(url)).await
}

/// Sends under the short deadline, and checks that it took at least that long and less than the
/// servers' patience. Alone it takes 0.01 s more.
async fn send_until_deadline(
    sender: &ReqwestSender,
    url: impl Into<String>,
) -> Result<HttpAnswer, HttpError> {
    let began = Instant::now();
    let answer = sender
        .send(HttpRequest {
            deadline: SHORT,
            ..post(url)
        })
        .await;
    let took = began.elapsed();
    assert!(
        took >= SHORT && took < SHORT + PATIENCE / 2,
        "took {took:?}"
    );
    answer
}

fn http(head: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// Starts a server that answers each connection's first request with these bytes and closes.
async fn answering(answer: impl AsRef<[u8]>) -> Server {
    Server::replying(vec![Reply::raw(answer)]).await
}

/// Starts a server that answers every request with an empty 204 and keeps the connection.
pub(crate) async fn keeping_open() -> Server {
    Server::start(empty).await
}

fn empty(_: usize, _: &Got) -> Answer {
    Answer::Status(204)
}

#[tokio::test]
async fn an_exchange_sends_what_it_is_given_and_returns_what_it_gets() {
    let answer = http("202 Accepted\r\nX-Trace: Abc\r\nRetry-After: 5", b"fine");
    let server = answering(answer).await;
    let mut request = post(format!("{}?a=b#fragment", server.url("/hook")));
    request.headers.push(("webhook-id".into(), "evt_1".into()));
    let answer = local().send(request).await.unwrap();
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.truncated),
        (202, b"fine".as_slice(), false)
    );
    assert_eq!(answer.header("x-trace"), Some("Abc"));
    assert_eq!(answer.header("retry-after"), Some("5"));

    let got = server.got().remove(0);
    assert_eq!(got.line, "POST /hook?a=b HTTP/1.1");
    let headers = got.headers.iter();
    let mut headers: Vec<_> = headers.map(|(n, v)| format!("{n}: {v}")).collect();
    headers.sort_unstable();
    let host = format!("host: {}", server.address);
    let expected = [
        "accept: */*",
        "content-length: 2",
        "content-type: application/json",
        host.as_str(),
        "user-agent: millrace-test",
        "webhook-id: evt_1",
    ];
    assert_eq!(headers, expected);
    assert_eq!(got.body, b"{}");
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let server = answering(http(
        "302 Found\r\nlocation: http://127.9.9.9/latest/meta-data/",
        b"",
    ))
    .await;
    let answer = send(&local(), server.url("/hook")).await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        Some("http://127.9.9.9/latest/meta-data/")
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirect_to_an_allowed_host_is_not_followed_either() {
    let target = keeping_open().await;
    let server = answering(http(
        &format!("307 Go\r\nlocation: {}", target.url("/hook")),
        b"",
    ))
    .await;
    assert_eq!(
        send(&local(), server.url("/hook")).await.unwrap().status,
        307
    );
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn headers_that_do_not_come_end_at_the_deadline() {
    let silent = Server::start(|_, _| Answer::NeverAnswer).await;
    assert_eq!(
        send_until_deadline(&local(), silent.url("/hook")).await,
        Err(HttpError::Timeout)
    );
}

#[tokio::test]
async fn dripped_headers_end_at_the_deadline() {
    let drip = Then::repeat("x: y\r\n", Duration::from_millis(50));
    let dripping = Server::replying(vec![Reply::raw("HTTP/1.1 200 OK\r\n").then(drip)]).await;
    assert_eq!(
        send_until_deadline(&local(), dripping.url("/hook")).await,
        Err(HttpError::Timeout)
    );
}

#[tokio::test]
async fn a_dripped_body_ends_at_the_deadline() {
    let drip = Then::repeat("x", Duration::from_millis(50));
    let reply = Reply::new(200, "").header("content-length", "1000");
    let dripping = Server::replying(vec![reply.then(drip)]).await;
    let (answer, cause) = cut(send_until_deadline(&local(), dripping.url("/hook")).await);
    assert_eq!((answer.status, cause), (200, HttpError::Timeout));
    assert!(
        !answer.body.is_empty() && answer.body.iter().all(|byte| *byte == b'x'),
        "what came is kept"
    );
    let written = dripping.ended(0).await.written;
    assert!(
        written < 1000,
        "{written} bytes were taken: it was not closed at the deadline"
    );
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_connection_dropped() {
    let reply = Reply::new(200, "").header("connection", "close");
    let go_on = Then::repeat(vec![b'x'; 64 * 1024], Duration::ZERO);
    let endless = Server::replying(vec![reply.then(go_on)]).await;
    let answer = send(&local(), endless.url("/hook")).await.unwrap();
    assert_eq!(
        (answer.status, answer.body.len(), answer.truncated),
        (200, 1000, true)
    );
    let written = endless.ended(0).await.written;
    // The buffers of the kernel on both sides, and no more.
    assert!(written < 32 * 1024 * 1024, "{written} bytes were taken");
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_whole() {
    let server = answering(http("200 OK", &[b'x'; 1000])).await;
    let answer = send(&local(), server.url("/hook")).await.unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (1000, false));
    let server = answering(http("200 OK", &[b'x'; 1001])).await;
    let answer = send(&local(), server.url("/hook")).await.unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (1000, true));
    let answer = local()
        .send(HttpRequest {
            max_response_bytes: 0,
            ..post(server.url("/hook"))
        })
        .await
        .unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (0, true));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_after_unpacking() {
    let bomb = gzip(&vec![b'0'; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let server = answering(http("200 OK\r\ncontent-encoding: gzip", &bomb)).await;
    let sender = ReqwestSender::new(SenderSettings {
        decompress: true,
        ..settings(&["127.0.0.0/8"])
    })
    .unwrap();
    let answer = send(&sender, server.url("/hook")).await.unwrap();
    assert_eq!((answer.body, answer.truncated), (vec![b'0'; 1000], true));
}

#[tokio::test]
async fn gzip_is_unpacked_only_where_asked_for() {
    let packed = gzip(b"plain");
    let server = answering(http("200 OK\r\ncontent-encoding: gzip", &packed)).await;
    assert_eq!(
        send(&local(), server.url("/hook")).await.unwrap().body,
        packed
    );
    let sender = ReqwestSender::new(SenderSettings {
        decompress: true,
        ..settings(&["127.0.0.0/8"])
    })
    .unwrap();
    assert_eq!(
        send(&sender, server.url("/hook")).await.unwrap().body,
        b"plain"
    );
    let broken = answering(http("200 OK\r\ncontent-encoding: gzip", b"no gzip at all")).await;
    assert_eq!(
        send(&sender, broken.url("/hook"))
            .await
            .unwrap_err()
            .class(),
        "protocol"
    );
}

#[tokio::test]
async fn headers_beyond_the_limits_are_bounded() {
    let many = "x: y\r\n".repeat(101);
    let server = answering(format!(
        "HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n"
    ))
    .await;
    assert_eq!(
        send(&local(), server.url("/hook"))
            .await
            .unwrap_err()
            .class(),
        "protocol"
    );
    let long = "y".repeat(40_000);
    let server = answering(http(
        &format!("200 OK\r\nlong: {long}\r\nretry-after: 3"),
        b"",
    ))
    .await;
    let answer = send(&local(), server.url("/hook")).await.unwrap();
    assert_eq!(
        (answer.header("long"), answer.header("retry-after")),
        (None, Some("3"))
    );
}

#[tokio::test]
async fn broken_exchanges_are_protocol_errors() {
    let closing = Server::start(|_, _| Answer::Close).await;
    assert_eq!(
        send(&local(), closing.url("/hook"))
            .await
            .unwrap_err()
            .class(),
        "protocol"
    );
    let resetting = Server::start(|_, _| Answer::Reset).await;
    assert_eq!(
        send(&local(), resetting.url("/hook"))
            .await
            .unwrap_err()
            .class(),
        "protocol"
    );
    let other = answering("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    assert_eq!(
        send(&local(), other.url("/hook"))
            .await
            .unwrap_err()
            .class(),
        "protocol"
    );
    let twice =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await;
    assert_eq!(
        send(&local(), twice.url("/hook"))
            .await
            .unwrap_err()
            .class(),
        "protocol"
    );
    assert_eq!(closing.connections(), 1, "nothing is sent twice");
}

/// Returns the head of an answer whose body was cut short, with the part that arrived, and the
/// error.
fn cut(answer: Result<HttpAnswer, HttpError>) -> (HttpAnswer, HttpError) {
    match answer {
        Err(HttpError::Cut { answer, cause }) => (*answer, *cause),
        other => panic!("{other:?}"),
    }
}

/// The rest of an answer after a head of this status with a `Retry-After`: the body's fault, the
/// bytes, the part that arrives, the fault's class. The last one hangs until the deadline.
const BROKEN_BODIES: &[(&str, &str, &str, &str)] = &[
    (
        "closed too early",
        "content-length: 50\r\n\r\n{}",
        "{}",
        "protocol",
    ),
    (
        "closed before it began",
        "content-length: 50\r\n\r\n",
        "",
        "protocol",
    ),
    (
        "closed between chunks",
        "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "{}",
        "protocol",
    ),
    (
        "closed in a chunk",
        "transfer-encoding: chunked\r\n\r\n9\r\n{}",
        "{}",
        "protocol",
    ),
    (
        "a size that is not a number",
        "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
        "{}",
        "protocol",
    ),
    (
        "a size beyond all numbers",
        "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",
        "",
        "protocol",
    ),
    (
        "no gzip",
        "content-encoding: gzip\r\ncontent-length: 7\r\n\r\nno gzip",
        "",
        "protocol",
    ),
    ("reset", "content-length: 50\r\n\r\n{}", "{}", "protocol"),
    ("dripping", "content-length: 50\r\n\r\n{}", "{}", "timeout"),
];

/// A complete head is returned whatever becomes of the body, with the body's fault beside it.
#[tokio::test]
async fn a_broken_body_takes_nothing_from_its_head() {
    let sender = ReqwestSender::new(SenderSettings {
        decompress: true,
        ..settings(&["127.0.0.0/8"])
    })
    .unwrap();
    for status in [200, 204, 299, 410, 429, 500, 503] {
        // A 204 has no body, whatever its headers say, so nothing of it can break.
        for &(how, rest, body, class) in BROKEN_BODIES.iter().filter(|_| status != 204) {
            let answer = format!("HTTP/1.1 {status} X\r\nretry-after: 7\r\n{rest}");
            let then = match how {
                // A reset discards what the other side has not yet read from its socket.
                "reset" => Then::Reset(SHORT),
                "dripping" => Then::Silence,
                _ => Then::Close,
            };
            let server = Server::replying(vec![Reply::raw(answer).then(then)]).await;
            let deadline = if how == "dripping" { SHORT } else { PATIENCE };
            let (answer, cause) = cut(sender
                .send(HttpRequest {
                    deadline,
                    ..post(server.url("/hook"))
                })
                .await);
            assert_eq!(
                (answer.status, cause.class()),
                (status, class),
                "{how}: {cause}"
            );
            assert_eq!(answer.header("retry-after"), Some("7"), "{status} {how}");
            assert_eq!(
                (answer.body.as_slice(), answer.truncated),
                (body.as_bytes(), false),
                "{status} {how}"
            );
            assert_eq!(server.connections(), 1, "{status} {how}");
        }
        let huge = answering(http(
            &format!("{status} X\r\nretry-after: 7"),
            &[b'x'; 5000],
        ))
        .await;
        let answer = send(&sender, huge.url("/hook")).await.unwrap();
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (status, Some("7"))
        );
        assert_eq!(
            (answer.body.len(), answer.truncated),
            if status == 204 {
                (0, false)
            } else {
                (1000, true)
            }
        );
    }
}

#[tokio::test]
async fn what_came_of_a_cut_body_is_bounded_too() {
    let cut_off = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n",
        &[b'x'; 4000][..],
    ];
    let endless = answering(cut_off.concat()).await;
    let answer = send(&local(), endless.url("/hook")).await.unwrap();
    assert_eq!(
        (answer.body.len(), answer.truncated),
        (1000, true),
        "the limit is met before the cut"
    );
    let request = HttpRequest {
        max_response_bytes: 4500,
        ..post(endless.url("/hook"))
    };
    let (answer, cause) = cut(local().send(request).await);
    assert_eq!(
        (answer.body.len(), answer.truncated, cause.class()),
        (4000, false, "protocol")
    );
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let (_held, port) = closed_port();
    let error = send(&local(), format!("http://127.0.0.1:{port}/"))
        .await
        .unwrap_err();
    assert_eq!(error, HttpError::Connect("connection refused".into()));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_a_connection() {
    let server = keeping_open().await;
    let refused = async |name: &str, value: &str| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let error = local()
            .send(HttpRequest {
                headers,
                ..post(server.url("/hook"))
            })
            .await
            .unwrap_err();
        assert_eq!(error.class(), "protocol", "{name}");
        assert!(
            !error.to_string().contains("secret"),
            "{error} shows the value"
        );
    };
    refused("x", "secret\r\ninjected: yes").await;
    refused("x", "secret\ninjected").await;
    refused("x", "secret\0").await;
    refused("x\r\ninjected", "secret").await;
    refused("", "secret").await;
    refused("Host", "secret.internal").await;
    refused("Content-Length", "5").await;
    refused("transfer-encoding", "chunked").await;
    for method in ["", "GET /x HTTP/1.1\r\n", "CONNECT", "TRACE"] {
        let error = local()
            .send(HttpRequest {
                method: method.into(),
                ..post(server.url("/hook"))
            })
            .await
            .unwrap_err();
        assert_eq!(error.class(), "protocol", "{method}");
    }
    for url in [
        format!("http://user:pass@{}/", server.address),
        format!("ftp://{}/", server.address),
    ] {
        assert_eq!(send(&local(), url).await.unwrap_err().class(), "url");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn literals_are_refused_in_every_form_before_a_connection() {
    let server = keeping_open().await;
    let closed = ReqwestSender::new(settings(&[])).unwrap();
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "127%2e0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "LOCALHOST.",
        "x.localhost",
        "0",
    ] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(send(&closed, &url).await, Err(HttpError::Blocked), "{host}");
        assert_eq!(closed.check(&url, false), Err(HttpError::Blocked), "{host}");
    }
    assert_eq!(server.connections(), 0);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
        "localhost",
        "localhost.",
    ] {
        let url = format!("http://{host}:{}/", server.port());
        assert_eq!(send(&local(), &url).await.unwrap().status, 204, "{host}");
    }
}

#[tokio::test]
async fn the_systems_resolver_is_filtered_too() {
    // A short form that getaddrinfo reads by itself, so that no name server is asked.
    let resolver = |allowed| {
        Resolver::new(
            Arc::new(Guard::new(allowed, PlainHttp::Always).local(true)),
            None,
        )
    };
    assert_eq!(
        resolver(Vec::new()).addresses("127.1").await,
        Err(ResolveError::Blocked)
    );
    assert_eq!(
        resolver(vec!["127.0.0.0/8".parse().unwrap()])
            .addresses("127.1")
            .await,
        Ok(ips(&["127.0.0.1"]))
    );
}

#[tokio::test]
async fn a_name_with_only_refused_addresses_is_blocked() {
    let server = keeping_open().await;
    for addresses in [
        &["127.0.0.1"][..],
        &["127.0.0.1", "127.9.9.9", "::1"],
        &["::ffff:127.0.0.1"],
    ] {
        let names = NameServer::start(move |_, _| Says::Addresses(ips(addresses))).await;
        let url = format!("http://hook.test:{}/", server.port());
        assert_eq!(
            send(&asking(&names, &[]), &url).await,
            Err(HttpError::Blocked),
            "{addresses:?}"
        );
        assert!(
            asking(&names, &[]).check(&url, false).is_ok(),
            "a check sends nothing"
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn of_a_name_with_both_only_the_good_address_is_used() {
    // Both listen on one port, so that a connection to the wrong one would succeed and be seen.
    let (good, bad) = two_at_one_port().await;
    let names = NameServer::with(&["127.0.0.3", "127.9.9.9", "127.0.0.2", "::1"]).await;
    let sender = asking(&names, &["127.0.0.2"]);
    assert_eq!(
        send(&sender, format!("http://hook.test:{}/", good.port()))
            .await
            .unwrap()
            .status,
        204
    );
    assert_eq!((good.connections(), bad.connections()), (1, 0));
}

/// Servers at 127.0.0.2 and 127.0.0.3, on the same port.
async fn two_at_one_port() -> (Server, Server) {
    loop {
        let good = Server::start_at("127.0.0.2:0".parse().unwrap(), empty).await;
        let other = std::net::SocketAddr::new("127.0.0.3".parse().unwrap(), good.port());
        if TcpSocket::new_v4().unwrap().bind(other).is_ok() {
            return (good, Server::start_at(other, empty).await);
        }
    }
}

#[tokio::test]
async fn flipping_answers_never_reach_the_refused_address() {
    let (good, bad) = two_at_one_port().await;
    let names = NameServer::start(|_, before| {
        Says::Addresses(ips(&[if before % 2 == 0 {
            "127.0.0.2"
        } else {
            "127.0.0.3"
        }]))
    })
    .await;
    // No connection is kept, so that each exchange resolves again.
    let sender = asking(&names, &["127.0.0.2"]);
    let url = format!("http://hook.test:{}/", good.port());
    for round in 0..6 {
        let answer = send(&sender, &url).await;
        if round % 2 == 0 {
            assert_eq!(answer.unwrap().status, 204);
        } else {
            assert_eq!(answer, Err(HttpError::Blocked));
        }
    }
    let questions = names
        .asked()
        .into_iter()
        .filter(|(_, kind)| *kind == TYPE::A)
        .count();
    assert_eq!(
        questions, 6,
        "one look-up an exchange: what was judged is what is connected to"
    );
    assert_eq!((good.connections(), bad.connections()), (3, 0));
}

#[tokio::test]
async fn names_that_do_not_resolve_are_dns_errors() {
    for (says, text) in [
        (Says::Error(RCODE::NameError), "no such name"),
        (
            Says::Error(RCODE::Refused),
            "the name server answered Refused",
        ),
        (
            Says::Error(RCODE::ServerFailure),
            "the name server answered ServerFailure",
        ),
        (Says::Addresses(Vec::new()), "the name has no address"),
    ] {
        let names = NameServer::start(move |_, _| says.clone()).await;
        let error = send(&asking(&names, &[]), "http://hook.test/")
            .await
            .unwrap_err();
        assert_eq!(error, HttpError::Dns(text.into()));
    }
}

#[tokio::test]
async fn a_name_server_that_is_not_there_is_a_dns_error() {
    // The socket is connected elsewhere: it holds the port and reads nothing from us.
    let held = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    held.connect("127.0.0.1:9").await.unwrap();
    let address = held.local_addr().unwrap();
    let sender = ReqwestSender::new(SenderSettings {
        nameserver: Some(address),
        ..settings(&[])
    })
    .unwrap();
    let error = send(&sender, "http://hook.test/").await.unwrap_err();
    assert_eq!(
        error,
        HttpError::Dns("the name server cannot be reached: connection refused".into())
    );
}

#[tokio::test]
async fn a_silent_name_server_ends_at_the_deadline() {
    let names = NameServer::start(|_, _| Says::Nothing).await;
    assert_eq!(
        send_until_deadline(&asking(&names, &[]), "http://hook.test/").await,
        Err(HttpError::Timeout)
    );
}

#[tokio::test]
async fn a_silent_name_server_is_given_up_on_before_a_long_deadline() {
    let names = NameServer::start(|_, _| Says::Nothing).await;
    let error = send(&asking(&names, &[]), "http://hook.test/")
        .await
        .unwrap_err();
    assert_eq!(
        error,
        HttpError::Dns("the name server did not answer".into())
    );
    assert_eq!(names.asked().len(), 6, "three questions for each family");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let server = keeping_open().await;
    let names = NameServer::start(|_, before| match before {
        0 | 1 => Says::Nothing,
        _ => Says::Addresses(ips(&["127.0.0.1"])),
    })
    .await;
    let answer = send(
        &asking(&names, &["127.0.0.0/8"]),
        format!("http://hook.test:{}/", server.port()),
    )
    .await;
    assert_eq!(answer.unwrap().status, 204);
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_over_tcp() {
    let server = keeping_open().await;
    let names = NameServer::start(|_, _| Says::OverTcp(ips(&["127.9.9.9", "127.0.0.1"]))).await;
    let answer = send(
        &asking(&names, &["127.0.0.0/8"]),
        format!("http://Hook.TEST.:{}/", server.port()),
    )
    .await;
    assert_eq!(answer.unwrap().status, 204);
}

#[tokio::test]
async fn an_answer_under_another_id_is_ignored() {
    let (good, bad) = two_at_one_port().await;
    let names = NameServer::start(|_, _| Says::AfterForgery {
        forged: ips(&["127.0.0.3"]),
        honest: ips(&["127.0.0.2"]),
    })
    .await;
    let answer = send(
        &asking(&names, &["127.0.0.0/8"]),
        format!("http://hook.test:{}/", good.port()),
    )
    .await;
    assert_eq!(answer.unwrap().status, 204);
    assert_eq!((good.connections(), bad.connections()), (1, 0));
}

#[tokio::test]
async fn localhost_is_never_asked_for() {
    let server = keeping_open().await;
    let names = NameServer::with(&["127.0.0.9"]).await;
    let sender = asking(&names, &["127.0.0.0/8"]);
    let answer = send(&sender, format!("http://api.localhost:{}/", server.port())).await;
    assert_eq!(answer.unwrap().status, 204);
    assert_eq!(names.asked(), []);
}

#[tokio::test]
async fn errors_name_no_address() {
    let (_held, port) = closed_port();
    let names = NameServer::with(&["127.0.0.1", "127.9.9.9"]).await;
    let url = format!("http://hook.test:{port}/");
    let refused = send(&asking(&names, &["127.0.0.0/8"]), &url)
        .await
        .unwrap_err();
    let blocked = send(&asking(&names, &[]), &url).await.unwrap_err();
    assert_eq!((refused.class(), blocked.class()), ("connect", "blocked"));
    for error in [refused, blocked] {
        assert!(!error.to_string().contains("127."), "{error}");
    }
}

#[tokio::test]
async fn connections_are_kept_only_where_asked_for_and_can_be_forgotten() {
    let server = keeping_open().await;
    let single = local();
    for _ in 0..3 {
        send(&single, server.url("/hook")).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
    let server = keeping_open().await;
    let keeping = ReqwestSender::new(SenderSettings {
        keep_idle: PATIENCE,
        ..settings(&["127.0.0.0/8"])
    })
    .unwrap();
    for _ in 0..3 {
        send(&keeping, server.url("/hook")).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    keeping.forget_connections();
    send(&keeping, server.url("/hook")).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection() {
    let server = Server::start(|_, _| Answer::NeverAnswer).await;
    let sender = local();
    tokio::select! {
        answer = send(&sender, server.url("/hook")) => panic!("{answer:?}"),
        _ = server.wait("request", |got| !got.is_empty()) => {}
    }
    assert_eq!(server.ended(0).await.ignored, 0);
    assert_eq!(server.got().len(), 1);
}
