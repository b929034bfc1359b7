//! TLS: trusted authorities, requested names, and the errors of failures.

use shared::net::{BadSettings, PlainHttp, ReqwestSender, SenderSettings};
use shared::ports::{HttpError, HttpRequest, HttpSender};
use testkit::authority::Authority;
use testkit::names::NameServer;
use testkit::servers::{Answer, Reply, Server, Then};

use crate::{SHORT, empty, keeping_open, post, settings};

/// Starts a server with a certificate for `name`.
async fn tls_server(authority: &Authority, name: &str) -> Server {
    Server::start_tls(authority.server(&[name]), empty).await
}

async fn trusting(pem: Option<String>) -> (NameServer, ReqwestSender) {
    let names = NameServer::with(&["127.0.0.1"]).await;
    let sender = ReqwestSender::new(SenderSettings {
        nameserver: Some(names.address),
        extra_ca_pem: pem.map(String::into_bytes),
        allow_http: PlainHttp::Surfaces,
        ..settings(&["127.0.0.0/8"])
    })
    .unwrap();
    (names, sender)
}

#[tokio::test]
async fn an_extra_authority_is_trusted_for_the_urls_own_name() {
    let authority = Authority::default();
    let server = tls_server(&authority, "hook.test").await;
    let (_names, sender) = trusting(Some(authority.pem())).await;
    let answer = sender
        .send(post(format!("https://HOOK.test:{}/x", server.port())))
        .await
        .unwrap();
    assert_eq!(answer.status, 204);
    let got = server.got().remove(0);
    assert_eq!(got.server_name.as_deref(), Some("hook.test"));
    assert_eq!(got.header("host"), format!("hook.test:{}", server.port()));

    let error = sender
        .send(post(format!("https://other.test:{}/x", server.port())))
        .await
        .unwrap_err();
    assert_eq!(error.class(), "tls", "another name's certificate: {error}");
}

#[tokio::test]
async fn an_unknown_authority_is_a_tls_error() {
    let server = tls_server(&Authority::default(), "hook.test").await;
    for pem in [None, Some(Authority::default().pem())] {
        let (_names, sender) = trusting(pem).await;
        let error = sender
            .send(post(format!("https://hook.test:{}/", server.port())))
            .await
            .unwrap_err();
        assert!(
            matches!(error, HttpError::Tls(ref why) if why.starts_with("invalid peer certificate")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let (_names, sender) = trusting(None).await;
    let speaking = Reply::raw("HTTP/1.1 400 Bad Request\r\n\r\n").then(Then::Silence);
    let speaking = Server::interrupting(Answer::Full(speaking)).await;
    let closing = Server::interrupting(Answer::Close).await;
    let resetting = Server::interrupting(Answer::Reset).await;
    for server in [&speaking, &closing, &resetting] {
        let error = sender
            .send(post(format!("https://hook.test:{}/", server.port())))
            .await
            .unwrap_err();
        assert_eq!(error.class(), "tls", "{error}");
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_the_deadline() {
    let (_names, sender) = trusting(None).await;
    let stalling = Server::interrupting(Answer::NeverAnswer).await;
    let url = format!("https://hook.test:{}/", stalling.port());
    let answer = sender
        .send(HttpRequest {
            deadline: SHORT,
            ..post(url)
        })
        .await;
    assert_eq!(answer, Err(HttpError::Timeout));
}

#[tokio::test]
async fn plain_http_needs_permission() {
    let (_names, sender) = trusting(None).await;
    let server = keeping_open().await;
    assert_eq!(
        sender
            .send(post(server.url("/hook")))
            .await
            .unwrap_err()
            .class(),
        "url"
    );
    assert_eq!(
        sender
            .check(&server.url("/hook"), false)
            .unwrap_err()
            .class(),
        "url"
    );
    assert_eq!(server.connections(), 0);
    // A surface whose documentation allows plain http permits it, and then the address is judged as
    // any other.
    assert_eq!(sender.check(&server.url("/hook"), true), Ok(()));
    let taken = sender
        .send(HttpRequest {
            plain_http: true,
            ..post(server.url("/hook"))
        })
        .await;
    assert_eq!(taken.map(|answer| answer.status), Ok(204));
    let inside = sender
        .send(HttpRequest {
            plain_http: true,
            ..post("http://10.0.0.7/")
        })
        .await;
    assert_eq!(inside, Err(HttpError::Blocked));
}

#[test]
fn bad_extra_authorities_are_refused_at_once() {
    for pem in [
        "",
        "not PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let bad = SenderSettings {
            extra_ca_pem: Some(pem.into()),
            ..settings(&[])
        };
        assert!(
            matches!(ReqwestSender::new(bad), Err(BadSettings::ExtraCa(_))),
            "{pem}"
        );
    }
}
