//! TLS: trusted authorities, requested names, and the errors of failures.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shared::net::{BadSettings, PlainHttp, ReqwestSender, SenderSettings};
use shared::ports::{HttpError, HttpRequest, HttpSender};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::servers::{NameServer, Server, read_request};
use crate::{SHORT, post, settings};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate for `name` that reports the name each client asked for and the
/// request it sent.
async fn tls_server(
    authority: &Authority,
    name: &str,
) -> (Server, mpsc::UnboundedReceiver<(Option<String>, String)>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (tell, reported) = mpsc::unbounded_channel();
    let server = Server::start(move |stream| {
        let (acceptor, tell) = (acceptor.clone(), tell.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let name = stream.get_ref().1.server_name().map(str::to_owned);
            let request = String::from_utf8(read_request(&mut stream).await).unwrap();
            tell.send((name, request)).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (server, reported)
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
    let authority = authority();
    let (server, mut reported) = tls_server(&authority, "hook.test").await;
    let (_names, sender) = trusting(Some(authority.pem())).await;
    let answer = sender
        .send(post(format!("https://HOOK.test:{}/x", server.port())))
        .await
        .unwrap();
    assert_eq!(answer.status, 204);
    let (name, request) = reported.recv().await.unwrap();
    assert_eq!(name.as_deref(), Some("hook.test"));
    assert!(
        request.contains(&format!("host: hook.test:{}\r\n", server.port())),
        "{request}"
    );

    let error = sender
        .send(post(format!("https://other.test:{}/x", server.port())))
        .await
        .unwrap_err();
    assert_eq!(error.class(), "tls", "another name's certificate: {error}");
}

#[tokio::test]
async fn an_unknown_authority_is_a_tls_error() {
    let (server, _reported) = tls_server(&authority(), "hook.test").await;
    for pem in [None, Some(authority().pem())] {
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
    let speaking = Server::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        // Until the client has read it and gone.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let closing = Server::start(|stream| async move { drop(stream) }).await;
    let resetting = Server::start(|mut stream| async move {
        let _ = stream.read_u8().await;
        stream.set_zero_linger().unwrap();
    })
    .await;
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
    let stalling = Server::start(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
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
    let server = Server::keeping_open().await;
    assert_eq!(
        sender.send(post(server.url())).await.unwrap_err().class(),
        "url"
    );
    assert_eq!(
        sender.check(&server.url(), false).unwrap_err().class(),
        "url"
    );
    assert_eq!(server.connections(), 0);
    // A surface whose documentation allows plain http permits it, and then the address is judged as
    // any other.
    assert_eq!(sender.check(&server.url(), true), Ok(()));
    let taken = sender
        .send(HttpRequest {
            plain_http: true,
            ..post(server.url())
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
