//! A little internet on loopback: names, certificates, and sites behind the real sender, which
//! believes that it speaks to ports 443 and 80.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shared::lambda::system::{NoAssets, SystemClock, SystemEntropy};
use shared::net::{PlainHttp, ReqwestSender, SenderSettings};
use shared::ports::{
    Dns, DnsFailure, DnsKind, DnsRecord, HttpAnswer, HttpError, HttpRequest, HttpSender,
};
use shared::providers::Ports;
use simple_dns::RCODE;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use url::Url;

use crate::servers::{NameServer, Says, Server, ips, read_request};

/// A site's answer.
#[derive(Debug, Clone)]
pub(super) struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    End,
    /// The body never ends.
    GoOn,
    /// The same, one byte a second.
    Drip,
    /// Not even a status arrives.
    NeverAnswer,
}

impl Page {
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            then: Then::End,
        }
    }

    pub(super) fn html(body: Vec<u8>) -> Self {
        Self::html_as("text/html", body)
    }

    pub(super) fn html_as(content_type: &str, body: Vec<u8>) -> Self {
        Self {
            body,
            ..Self::status(200)
        }
        .header("content-type", content_type)
    }

    pub(super) fn text(body: &str) -> Self {
        Self::html_as("text/plain", body.as_bytes().to_vec())
    }

    pub(super) fn redirect(to: &str) -> Self {
        Self::status(301).header("location", to)
    }

    pub(super) fn silence() -> Self {
        Self {
            then: Then::NeverAnswer,
            ..Self::status(200)
        }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn endless(self) -> Self {
        Self {
            then: Then::GoOn,
            ..self
        }
    }

    pub(super) fn dripping(self) -> Self {
        Self {
            then: Then::Drip,
            ..self
        }
    }

    async fn write(self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
        if self.then == Then::NeverAnswer {
            // Until the other side is gone.
            return stream.read_u8().await.map(drop);
        }
        let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if self.then == Then::End {
            head.extend(["content-length: ", &self.body.len().to_string(), "\r\n"]);
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        stream.write_all(&self.body).await?;
        loop {
            match self.then {
                Then::GoOn => stream.write_all(&[b' '; 8192]).await?,
                Then::Drip => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    stream.write_all(b" ").await?;
                    stream.flush().await?;
                }
                Then::End | Then::NeverAnswer => return stream.shutdown().await,
            }
        }
    }
}

type Serve = Arc<dyn Fn(&str, &str) -> Page + Send + Sync>;
type Log = Arc<Mutex<Vec<String>>>;
type Zone = Arc<Mutex<BTreeMap<(String, DnsKind), Result<Vec<DnsRecord>, DnsFailure>>>>;

/// Names, sites, and ports that reach them.
pub(super) struct Internet {
    pub(super) ports: Ports,
    zone: Zone,
    log: Log,
    _names: NameServer,
}

impl Internet {
    /// Sites by https at these hosts. `private.test` has a private address, and `stranger.test`
    /// shows another host's certificate; no other name exists.
    pub(super) async fn start(
        hosts: &[&str],
        serve: impl Fn(&str, &str) -> Page + Send + Sync + 'static,
    ) -> Self {
        Self::build(hosts, true, false, Arc::new(serve)).await
    }

    /// Sites by plain http alone, which the sender accepts or not.
    pub(super) async fn plain(
        hosts: &[&str],
        allow_http: bool,
        serve: impl Fn(&str, &str) -> Page + Send + Sync + 'static,
    ) -> Self {
        Self::build(hosts, false, allow_http, Arc::new(serve)).await
    }

    async fn build(hosts: &[&str], tls: bool, allow_http: bool, serve: Serve) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let named: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        let certificate = CertificateParams::new(named.clone())
            .unwrap()
            .signed_by(&key, &authority)
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
        let log = Log::default();

        let (log_tls, serve_tls) = (Arc::clone(&log), Arc::clone(&serve));
        let https = Server::start(move |stream| {
            let (acceptor, log, serve) = (
                acceptor.clone(),
                Arc::clone(&log_tls),
                Arc::clone(&serve_tls),
            );
            async move {
                if let Some(mut stream) = if tls {
                    acceptor.accept(stream).await.ok()
                } else {
                    None
                } {
                    answer(&mut stream, "https", &log, &serve).await;
                }
            }
        })
        .await;
        let (log_plain, serve_plain) = (Arc::clone(&log), serve);
        let http = Server::start(move |mut stream| {
            let (log, serve) = (Arc::clone(&log_plain), Arc::clone(&serve_plain));
            async move { answer(&mut stream, "http", &log, &serve).await }
        })
        .await;

        let says = named.clone();
        let names = NameServer::start(move |name, _| match name {
            "private.test" => Says::Addresses(ips(&["10.0.0.7"])),
            "stranger.test" => Says::Addresses(ips(&["127.0.0.1"])),
            name if says.iter().any(|host| host == name) => Says::Addresses(ips(&["127.0.0.1"])),
            _ => Says::Error(RCODE::NameError),
        })
        .await;
        let sender = ReqwestSender::new(SenderSettings {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: if allow_http {
                PlainHttp::Always
            } else {
                PlainHttp::Surfaces
            },
            local: true,
            nameserver: Some(names.address),
            extra_ca_pem: Some(authority.pem().into_bytes()),
            user_agent: "the sender's own".to_owned(),
            decompress: true,
            ..SenderSettings::default()
        })
        .unwrap();
        let zone = Zone::default();
        for host in named
            .into_iter()
            .chain(["private.test".to_owned(), "stranger.test".to_owned()])
        {
            let address = DnsRecord::Address([127, 0, 0, 1].into());
            zone.lock()
                .unwrap()
                .insert((host, DnsKind::A), Ok(vec![address]));
        }
        let http = Ported {
            sender,
            https: https.port(),
            http: http.port(),
        };
        let ports = Ports {
            http: Arc::new(http),
            dns: Arc::new(Records(Arc::clone(&zone))),
            assets: Arc::new(NoAssets),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            shared: None,
            seen: None,
            guard: None,
        };
        Self {
            ports,
            zone,
            log,
            _names: names,
        }
    }

    /// Puts a record into the DNS.
    pub(super) fn record(
        &self,
        name: &str,
        kind: DnsKind,
        answer: Result<Vec<DnsRecord>, DnsFailure>,
    ) {
        self.zone
            .lock()
            .unwrap()
            .insert((name.to_owned(), kind), answer);
    }

    /// Returns the requests that reached a site: `SCHEME://HOST`, then the request's head.
    pub(super) fn got(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    scheme: &str,
    log: &Log,
    serve: &Serve,
) {
    let request = String::from_utf8(read_request(stream).await).unwrap();
    let Some(path) = request.split(' ').nth(1) else {
        return;
    };
    let host = request
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    log.lock()
        .unwrap()
        .push(format!("{scheme}://{host} {request}"));
    // The other side may close before the end: that is under test.
    let _ = serve(host, path).write(stream).await;
}

/// Sends requests for ports 443 and 80 to the sites; all others go through the sender.
struct Ported {
    sender: ReqwestSender,
    https: u16,
    http: u16,
}

#[async_trait]
impl HttpSender for Ported {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let mut url = Url::parse(&request.url).unwrap();
        if url.port().is_none() {
            url.set_port(Some(if url.scheme() == "https" {
                self.https
            } else {
                self.http
            }))
            .unwrap();
        }
        self.sender
            .send(HttpRequest {
                url: url.to_string(),
                ..request
            })
            .await
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.sender.check(url, plain_http)
    }
}

/// The DNS as far as providers query it themselves.
struct Records(Zone);

#[async_trait]
impl Dns for Records {
    async fn look_up(&self, name: &str, kind: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure> {
        let zone = self.0.lock().unwrap();
        match zone.get(&(name.to_owned(), kind)) {
            Some(answer) => answer.clone(),
            None if zone.keys().any(|(n, _)| n == name) => Ok(Vec::new()),
            None => Err(DnsFailure::NoSuchName),
        }
    }
}
