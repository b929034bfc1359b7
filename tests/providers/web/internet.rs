//! A little internet on loopback: names, certificates, and sites behind the real sender, which
//! believes that it speaks to ports 443 and 80.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::lambda::system::{NoAssets, SystemClock, SystemEntropy};
use shared::net::{PlainHttp, ReqwestSender, SenderSettings};
use shared::ports::{
    Dns, DnsFailure, DnsKind, DnsRecord, HttpAnswer, HttpError, HttpRequest, HttpSender,
};
use shared::providers::Ports;
use simple_dns::RCODE;
use testkit::authority::Authority;
use testkit::names::{NameServer, Says, ips};
use testkit::servers::{Answer, Got, Reply, Server, Then};
use url::Url;

/// The answers of sites.
pub(super) enum Page {}

impl Page {
    pub(super) fn status(status: u16) -> Reply {
        Reply::new(status, "")
    }

    pub(super) fn html(body: Vec<u8>) -> Reply {
        Self::html_as("text/html", body)
    }

    pub(super) fn html_as(content_type: &str, body: Vec<u8>) -> Reply {
        Reply::new(200, body).header("content-type", content_type)
    }

    pub(super) fn text(body: &str) -> Reply {
        Self::html_as("text/plain", body.as_bytes().to_vec())
    }

    pub(super) fn redirect(to: &str) -> Reply {
        Self::status(301).header("location", to)
    }

    /// Not even a status arrives.
    pub(super) fn silence() -> Reply {
        Reply::raw("").then(Then::Silence)
    }

    /// The body never ends.
    pub(super) fn endless(start: Reply) -> Reply {
        start.then(Then::repeat([b' '; 8192], Duration::ZERO))
    }

    /// The body never ends, and comes at one byte a second.
    pub(super) fn dripping(start: Reply) -> Reply {
        start.then(Then::repeat(" ", Duration::from_secs(1)))
    }
}

type Serve = Arc<dyn Fn(&str, &str) -> Reply + Send + Sync>;
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
    /// Starts sites by https at these hosts. `private.test` has a private address, and
    /// `stranger.test` shows another host's certificate; no other name exists.
    pub(super) async fn start(
        hosts: &[&str],
        serve: impl Fn(&str, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::build(hosts, true, false, Arc::new(serve)).await
    }

    /// Starts sites by plain http alone, which the sender accepts or not.
    pub(super) async fn plain(
        hosts: &[&str],
        allow_http: bool,
        serve: impl Fn(&str, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::build(hosts, false, allow_http, Arc::new(serve)).await
    }

    async fn build(hosts: &[&str], tls: bool, allow_http: bool, serve: Serve) -> Self {
        let authority = Authority::default();
        let named: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        let log = Log::default();
        let site = |scheme: &'static str| {
            let (log, serve) = (Arc::clone(&log), Arc::clone(&serve));
            move |_: usize, got: &Got| {
                let host = got.header("host").split(':').next().unwrap_or_default();
                log.lock()
                    .unwrap()
                    .push(format!("{scheme}://{host} {}", head(got)));
                Answer::Full(serve(host, &got.path))
            }
        };
        let https = if tls {
            Server::start_tls(authority.server(hosts), site("https")).await
        } else {
            Server::interrupting(Answer::Close).await
        };
        let http = Server::start(site("http")).await;

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

fn head(got: &Got) -> String {
    let headers = got.headers.iter();
    let headers: String = headers
        .map(|(n, v)| [n, ": ", v, "\r\n"].concat())
        .collect();
    format!("{}\r\n{headers}", got.line)
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
