//! Tells whether mail to an address is likely to arrive, by its form, its domain and lists. No
//! mailbox is asked: AWS lets no Lambda open port 25, and servers that are asked often answer what
//! pleases them.
//!
//! | field | |
//! | --- | --- |
//! | `valid_syntax` | it is a dot-atom (RFC 5322, RFC 6532) and a domain name, without quotes |
//! | `normalized` | the address alone in lower case and NFC, the domain as A-labels |
//! | `domain`, `domain_unicode` | the domain as A-labels, and as people write it (IDNA 2008) |
//! | `mx` | `found`, `implicit`, `null_mx`, `none`: see below |
//! | `mx_hosts` | the first five, most preferred first |
//! | `disposable`, `free_provider` | the domain or a parent is listed; absent without a list |
//! | `role` | the part before the `@` names a function (`info`), not a person |
//! | `status` | see below |
//! | `reasons` | what spoke against `deliverable_likely` |
//! | `mailbox_checked` | always `false` |
//!
//! `mx`: `implicit` is an address without an MX record, which takes mail too (RFC 5321, 5.1);
//! `null_mx` says that the domain takes no mail (RFC 7505).
//!
//! `status`, with the confidence of the answer (estimates of our own, not measurements):
//!
//! - `undeliverable`: `syntax` (0.99), `no_such_domain`, `no_mx`, `null_mx`, `mx_unresolvable` (no
//!   address), `mx_unreachable` (none but addresses that lead nowhere on the internet, such as
//!   `127.0.0.1`) (0.95);
//! - `risky` (0.6): `disposable`, `role`, `implicit_mx`, `smtputf8` (letters beyond ASCII before
//!   the `@`, which many servers refuse: RFC 6531);
//! - `unknown` (0.2): `mx_unanswered`, the hosts of its MX could not be looked up;
//! - `deliverable_likely` (0.5): the domain takes mail, and nothing speaks against the address.
//!
//! An address whose domain takes no mail is an answer, `found`; so is a single word with an `@`
//! that is not an address. A text without an `@` is `invalid`: most often it is in the wrong
//! column. So is one with several addresses, or with words beside one that may be pieces of it: the
//! answer would not be sure. If the name server does not answer, the provider fails with
//! `provider_error`.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::config::EmailCheckConfig;
use crate::catalog::{ConfigError, Place};
use crate::domain::record::FailureCode;
use crate::ports::{Dns, DnsFailure, DnsKind, DnsRecord};
use crate::providers::kinds::email::address::{Email, WRONG};
use crate::providers::kinds::ip::is_public;
use crate::providers::kinds::suffix;
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

/// The most hosts of an MX that are shown, and that are looked up until one has an address.
const SHOWN_HOSTS: usize = 5;
const TRIED_HOSTS: usize = 3;

/// Names of functions, not of people: comments, then one a line, its words apart.
static ROLES: &str = include_str!("roles.txt");

impl BuildKind for EmailCheckConfig {
    fn build(&self, context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(EmailCheck::open(
            &context.provider.name,
            self,
            context.dir,
        )?))
    }
}

/// The `email_check` provider. It sends one to five queries to the name server for a record.
#[derive(Debug)]
pub struct EmailCheck {
    input: String,
    disposable: Option<Domains>,
    free: Option<Domains>,
}

impl EmailCheck {
    /// Opens the lists, whose paths are below `dir`, and reads none of them yet. An error if one
    /// cannot be opened.
    pub fn open(name: &str, config: &EmailCheckConfig, dir: &Path) -> Result<Self, ConfigError> {
        let list = |list: &Option<(String, Place)>| {
            list.as_ref()
                .map(|(file, at)| Domains::open(name, file, at, dir))
                .transpose()
        };
        Ok(Self {
            input: config.input.clone(),
            disposable: list(&config.disposable)?,
            free: list(&config.free)?,
        })
    }

    fn listed(list: Option<&Domains>, domain: &str) -> Result<Option<bool>, String> {
        let Some(list) = list else { return Ok(None) };
        let domains = list.read()?;
        Ok(Some(
            suffix::parents(domain).any(|domain| domains.contains(domain)),
        ))
    }

    async fn answer(
        &self,
        email: &Email,
        dns: &dyn Dns,
    ) -> Result<(Map<String, Value>, f64), String> {
        let domain = email.a_labels();
        let disposable = Self::listed(self.disposable.as_ref(), domain)?;
        let free = Self::listed(self.free.as_ref(), domain)?;
        let mail = takes_mail(domain, dns).await.map_err(|why| {
            format!("{why}, so that nothing is known about the address's domain; try again later")
        })?;
        let verdict = Verdict {
            local: email.local(),
            domain,
            mail: &mail,
            disposable,
            free,
        };
        Ok((verdict.fields(), verdict.confidence()))
    }
}

#[async_trait]
impl Provider for EmailCheck {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let Some(text) = question.input.get(&self.input).and_then(Value::as_str) else {
            return Answer::Invalid(format!("`{}` is needed", self.input));
        };
        let answer = match Email::parse(text) {
            Ok(email) => self.answer(&email, ports.dns.as_ref()).await,
            Err(WRONG) if !text.contains('@') => {
                return Answer::Invalid(format!("`{}` {WRONG}: it has no @", self.input));
            }
            // With a blank in it, it may be an address beside something else.
            Err(WRONG) if !text.trim().contains(char::is_whitespace) => Ok(Verdict::wrong_syntax()),
            Err(why) => return Answer::Invalid(format!("`{}` {why}", self.input)),
        };
        match answer {
            Ok((fields, confidence)) => Answer::Found {
                fields,
                confidence: Some(confidence.into()),
            },
            Err(why) => Answer::failed(FailureCode::ProviderError, why),
        }
    }

    async fn inspect(&self, _ports: &Ports) -> Result<Vec<String>, String> {
        let lists = [&self.disposable, &self.free].into_iter().flatten();
        lists
            .map(|list| Ok(format!("{} has {} domains", list.file, list.read()?.len())))
            .collect()
    }
}

/// The name server's answer about mail to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mail {
    NoSuchDomain,
    NoMx,
    NullMx,
    /// The verdict on the domain's own address, which mail goes to without an MX.
    Implicit(Route),
    /// Hosts, the most preferred first, and the route to them; `None` if that is not known.
    Hosts(Vec<String>, Option<Route>),
}

/// The route to a host, by its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Route {
    /// It has none.
    None,
    /// Nowhere on the internet: loopback, private, reserved.
    Nowhere,
    Public,
}

async fn takes_mail(domain: &str, dns: &dyn Dns) -> Result<Mail, String> {
    let hosts = match dns.look_up(domain, DnsKind::Mx).await {
        Ok(records) => hosts(&records),
        Err(DnsFailure::NoSuchName) => return Ok(Mail::NoSuchDomain),
        Err(failure @ DnsFailure::Unanswered(_)) => return Err(failure.to_string()),
    };
    let hosts = match hosts {
        Mx::Null => return Ok(Mail::NullMx),
        Mx::Hosts(hosts) => hosts,
        Mx::None => {
            let route = route(domain, dns)
                .await
                .map_err(|failure| failure.to_string())?;
            return Ok(if route == Route::None {
                Mail::NoMx
            } else {
                Mail::Implicit(route)
            });
        }
    };
    // All at once: silent name servers, one after the other, would take more time than there is.
    let tried = join_all(hosts.iter().take(TRIED_HOSTS).map(|host| route(host, dns))).await;
    if tried.contains(&Ok(Route::Public)) {
        return Ok(Mail::Hosts(hosts, Some(Route::Public)));
    }
    let learnt = tried.iter().all(Result::is_ok);
    let best = tried.into_iter().flatten().max();
    // If there are more hosts than were tried, another may have one.
    let known = best.filter(|_| learnt && hosts.len() <= TRIED_HOSTS);
    Ok(Mail::Hosts(hosts, known))
}

/// Returns the route to a host; its best address counts.
async fn route(host: &str, dns: &dyn Dns) -> Result<Route, DnsFailure> {
    // A name that each machine has for itself: RFC 6761, 6.3.
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(Route::Nowhere);
    }
    let mut route = Route::None;
    for kind in [DnsKind::A, DnsKind::Aaaa] {
        match dns.look_up(host, kind).await {
            Ok(records) => {
                route = records
                    .iter()
                    .map(leads)
                    .max()
                    .unwrap_or(Route::None)
                    .max(route);
            }
            Err(DnsFailure::NoSuchName) => return Ok(route),
            Err(failure) => return Err(failure),
        }
        if route == Route::Public {
            break;
        }
    }
    Ok(route)
}

fn leads(record: &DnsRecord) -> Route {
    match record {
        DnsRecord::Address(address) if is_public(address.to_canonical()) => Route::Public,
        DnsRecord::Address(_) => Route::Nowhere,
        _ => Route::None,
    }
}

/// Returns whether the part before the `@` names a function: one of the list, or `LIST-request`
/// (RFC 2142, 6). Its words may be separated by a dot, a dash or an underscore, but only between
/// words: `a.l.l` is a person.
fn is_role(local: &str) -> bool {
    let name = local.split('+').next().unwrap_or_default();
    let roles = ROLES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    name.ends_with("-request") || roles.into_iter().any(|role| spells(name, role))
}

/// Returns whether a name is a role's words, with or without a sign between two of them.
fn spells(name: &str, role: &str) -> bool {
    let mut rest = name;
    role.split(' ').enumerate().all(|(at, word)| {
        let next = if at == 0 {
            rest
        } else {
            rest.strip_prefix(['.', '-', '_']).unwrap_or(rest)
        };
        next.strip_prefix(word).map(|left| rest = left).is_some()
    }) && rest.is_empty()
}

#[derive(Debug, PartialEq, Eq)]
enum Mx {
    None,
    Null,
    Hosts(Vec<String>),
}

/// Returns the hosts of MX records by preference, then by name. A null MX counts only if it is
/// alone, as RFC 7505 wants it.
fn hosts(records: &[DnsRecord]) -> Mx {
    let mut hosts: Vec<(u16, String)> = Vec::new();
    for record in records {
        if let DnsRecord::Mx {
            preference,
            exchange,
        } = record
        {
            hosts.push((
                *preference,
                exchange.trim_end_matches('.').to_ascii_lowercase(),
            ));
        }
    }
    let any = !hosts.is_empty();
    hosts.retain(|(_, host)| !host.is_empty());
    hosts.sort();
    match (any, hosts.is_empty()) {
        (false, _) => Mx::None,
        (true, true) => Mx::Null,
        (true, false) => Mx::Hosts(hosts.into_iter().map(|(_, host)| host).collect()),
    }
}

/// All that is known about an address, with the judgement.
struct Verdict<'a> {
    local: &'a str,
    /// The domain as A-labels.
    domain: &'a str,
    mail: &'a Mail,
    disposable: Option<bool>,
    free: Option<bool>,
}

impl Verdict<'_> {
    fn wrong_syntax() -> (Map<String, Value>, f64) {
        let fields = json!({
            "valid_syntax": false, "status": "undeliverable", "reasons": ["syntax"],
            "mailbox_checked": false,
        });
        let Value::Object(fields) = fields else {
            return (Map::new(), 0.0);
        };
        (fields, 0.99)
    }

    /// Returns the status, the reasons against the address, and the confidence.
    fn judge(&self) -> (&'static str, Vec<&'static str>, f64) {
        let fatal = match self.mail {
            Mail::NoSuchDomain => Some("no_such_domain"),
            Mail::NoMx => Some("no_mx"),
            Mail::NullMx => Some("null_mx"),
            Mail::Hosts(_, Some(Route::None)) => Some("mx_unresolvable"),
            Mail::Hosts(_, Some(Route::Nowhere)) | Mail::Implicit(Route::Nowhere) => {
                Some("mx_unreachable")
            }
            Mail::Implicit(_) | Mail::Hosts(..) => None,
        };
        let risks = [
            (self.disposable == Some(true), "disposable"),
            (is_role(self.local), "role"),
            (matches!(self.mail, Mail::Implicit(_)), "implicit_mx"),
            (!self.local.is_ascii(), "smtputf8"),
        ];
        let unknown = matches!(self.mail, Mail::Hosts(_, None)).then_some("mx_unanswered");
        let risks: Vec<&str> = risks
            .into_iter()
            .filter(|(there, _)| *there)
            .map(|(_, reason)| reason)
            .collect();
        let (status, confidence) = match (fatal, unknown, risks.is_empty()) {
            (Some(_), ..) => ("undeliverable", 0.95),
            (None, Some(_), _) => ("unknown", 0.2),
            (None, None, false) => ("risky", 0.6),
            (None, None, true) => ("deliverable_likely", 0.5),
        };
        (
            status,
            fatal.into_iter().chain(unknown).chain(risks).collect(),
            confidence,
        )
    }

    fn confidence(&self) -> f64 {
        self.judge().2
    }

    fn fields(&self) -> Map<String, Value> {
        let (status, reasons, _) = self.judge();
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("valid_syntax", true.into());
        set(
            "normalized",
            format!("{}@{}", self.local, self.domain).into(),
        );
        set("domain", self.domain.into());
        set(
            "domain_unicode",
            idna::domain_to_unicode(self.domain).0.into(),
        );
        let mx = match self.mail {
            Mail::NoSuchDomain | Mail::NoMx => "none",
            Mail::NullMx => "null_mx",
            Mail::Implicit(_) => "implicit",
            Mail::Hosts(..) => "found",
        };
        set("mx", mx.into());
        if let Mail::Hosts(hosts, _) = self.mail {
            set(
                "mx_hosts",
                hosts.iter().take(SHOWN_HOSTS).map(String::as_str).collect(),
            );
        }
        if let Some(disposable) = self.disposable {
            set("disposable", disposable.into());
        }
        set("role", is_role(self.local).into());
        if let Some(free) = self.free {
            set("free_provider", free.into());
        }
        set("status", status.into());
        set("reasons", reasons.into());
        set("mailbox_checked", false.into());
        fields
    }
}

/// A list of domains in a file: one a line, `#` before remarks. Read at the first question.
#[derive(Debug)]
struct Domains {
    file: String,
    path: PathBuf,
    read: OnceLock<Result<HashSet<Box<str>>, String>>,
}

impl Domains {
    fn open(name: &str, file: &str, at: &Place, dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(file);
        File::open(&path)
            .map_err(|e| at.error(format!("providers.{name}: {file} cannot be read: {e}")))?;
        Ok(Self {
            file: file.to_owned(),
            path,
            read: OnceLock::new(),
        })
    }

    fn read(&self) -> Result<&HashSet<Box<str>>, String> {
        let read = self.read.get_or_init(|| {
            let text = std::fs::read_to_string(&self.path)
                .map_err(|e| format!("{} cannot be read: {e}", self.file))?;
            domains(&text).map_err(|why| format!("{}: {why}", self.file))
        });
        read.as_ref().map_err(Clone::clone)
    }
}

fn domains(text: &str) -> Result<HashSet<Box<str>>, String> {
    let mut domains = HashSet::new();
    for (at, line) in text.lines().enumerate() {
        let domain = line.split('#').next().unwrap_or_default().trim();
        if domain.is_empty() {
            continue;
        }
        // Nearly all lists are in their normal form, and normalising names takes a hundred times
        // longer.
        let plain = domain.contains('.')
            && domain.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_')
            });
        let domain = if plain {
            domain.to_owned()
        } else {
            suffix::a_labels(domain).map_err(|why| format!("line {} {why}", at + 1))?
        };
        domains.insert(domain.into_boxed_str());
    }
    if domains.is_empty() {
        Err("there is no domain in it".to_owned())
    } else {
        Ok(domains)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};
    use std::time::Duration;

    use super::super::config::EMAIL_CHECK_FIELDS;
    use super::*;
    use crate::catalog::{Config, Settings as _};
    use crate::providers::kinds::READERS;
    use crate::providers::testing::{Script, input, ports, question};

    const LISTS: &str =
        "disposable = \"data/disposable-domains.txt\"\nfree = \"data/free-mail-domains.txt\"\n";

    fn infra() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra")
    }

    fn config(lists: &str) -> EmailCheckConfig {
        let toml = format!(
            "[types.t]\ninputs = [[\"email\"]]\nwaterfall = [\"c\"]\n[providers.c]\n\
             kind = \"email_check\"\n{lists}"
        );
        let config = Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
        let Some(check) = config.providers[0]
            .kind
            .downcast_ref::<EmailCheckConfig>()
            .cloned()
        else {
            panic!()
        };
        check
    }

    fn mx(records: &[(u16, &str)]) -> Vec<DnsRecord> {
        let record = |(preference, host): &(u16, &str)| DnsRecord::Mx {
            preference: *preference,
            exchange: (*host).to_owned(),
        };
        records.iter().map(record).collect()
    }

    fn address() -> DnsRecord {
        at([93, 184, 215, 14])
    }

    fn at(address: impl Into<IpAddr>) -> DnsRecord {
        DnsRecord::Address(address.into())
    }

    fn unanswered() -> Result<Vec<DnsRecord>, DnsFailure> {
        Err(DnsFailure::Unanswered(
            "the name server did not answer".into(),
        ))
    }

    /// A name server with a domain of each kind.
    fn names(script: &Script) {
        for domain in [
            "example.com",
            "gmail.com",
            "mailinator.com",
            "xn--bcher-kva.example",
            "www.example.com",
        ] {
            script.name(
                domain,
                DnsKind::Mx,
                Ok(mx(&[(20, "b.mx.example."), (10, "A.mx.example")])),
            );
        }
        script.name("a.mx.example", DnsKind::A, Ok(vec![address()]));
        script.name("null.example", DnsKind::Mx, Ok(mx(&[(0, "")])));
        script.name("implicit.example", DnsKind::Mx, Ok(Vec::new()));
        script.name("implicit.example", DnsKind::A, Ok(Vec::new()));
        script.name("implicit.example", DnsKind::Aaaa, Ok(vec![address()]));
        script.name("bare.example", DnsKind::Mx, Ok(Vec::new()));
        script.name("bare.example", DnsKind::A, Ok(Vec::new()));
        script.name("bare.example", DnsKind::Aaaa, Ok(Vec::new()));
        script.name("dead.example", DnsKind::Mx, Ok(mx(&[(10, "gone.example")])));
        script.name(
            "slow.example",
            DnsKind::Mx,
            Ok(mx(&[(10, "silent.example")])),
        );
        script.name("silent.example", DnsKind::A, unanswered());
        script.name("down.example", DnsKind::Mx, unanswered());
        script.name("home.example", DnsKind::Mx, Ok(mx(&[(0, "localhost.")])));
        script.name(
            "own.example",
            DnsKind::Mx,
            Ok(mx(&[
                (10, "loop.example"),
                (20, "zero.example"),
                (30, "lan.example"),
            ])),
        );
        script.name("loop.example", DnsKind::A, Ok(vec![at([127, 0, 0, 1])]));
        script.name(
            "loop.example",
            DnsKind::Aaaa,
            Ok(vec![at(Ipv6Addr::LOCALHOST), at(Ipv6Addr::UNSPECIFIED)]),
        );
        script.name("zero.example", DnsKind::A, Ok(vec![at([0, 0, 0, 0])]));
        script.name("zero.example", DnsKind::Aaaa, Ok(Vec::new()));
        script.name(
            "lan.example",
            DnsKind::A,
            Ok(vec![at([192, 168, 1, 2]), at([169, 254, 0, 1])]),
        );
        script.name(
            "lan.example",
            DnsKind::Aaaa,
            Ok(vec![at(Ipv6Addr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]))]),
        );
        // One that is reached is enough.
        script.name(
            "both.example",
            DnsKind::Mx,
            Ok(mx(&[(10, "loop.example"), (20, "a.mx.example")])),
        );
        script.name("six.example", DnsKind::Mx, Ok(mx(&[(10, "dual.example")])));
        script.name("dual.example", DnsKind::A, Ok(vec![at([127, 0, 0, 1])]));
        script.name(
            "dual.example",
            DnsKind::Aaaa,
            Ok(vec![at(Ipv6Addr::from([0x2a00, 0, 0, 0, 0, 0, 0, 1]))]),
        );
        script.name(
            "unsure.example",
            DnsKind::Mx,
            Ok(mx(&[(10, "loop.example"), (20, "silent.example")])),
        );
        script.name("parked.example", DnsKind::Mx, Ok(Vec::new()));
        script.name("parked.example", DnsKind::A, Ok(vec![at([0, 0, 0, 0])]));
        script.name("parked.example", DnsKind::Aaaa, Ok(Vec::new()));
        script.name(
            "xn--c2bd4bq1db8d.xn--h2brj9c",
            DnsKind::Mx,
            Ok(mx(&[(10, "a.mx.example")])),
        );
    }

    async fn ask(email: &str) -> Answer {
        let check = EmailCheck::open("c", &config(LISTS), &infra()).unwrap();
        let (ports, script) = ports();
        names(&script);
        check
            .ask(
                &question(&input(json!({"email": email})), Duration::from_secs(5)),
                &ports,
            )
            .await
    }

    async fn found(email: &str) -> (Map<String, Value>, f64) {
        match ask(email).await {
            Answer::Found { fields, confidence } => (
                fields,
                confidence.and_then(|sure| sure.of("status")).unwrap(),
            ),
            other => panic!("{email}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_usual_address_is_told_whole() {
        let (fields, confidence) = found(" Jane.Doe@Bücher.Example ").await;
        let wanted = json!({
            "valid_syntax": true, "normalized": "jane.doe@xn--bcher-kva.example",
            "domain": "xn--bcher-kva.example", "domain_unicode": "bücher.example", "mx": "found",
            "mx_hosts": ["a.mx.example", "b.mx.example"], "disposable": false, "role": false,
            "free_provider": false, "status": "deliverable_likely", "reasons": [],
            "mailbox_checked": false,
        });
        assert_eq!((Value::Object(fields), confidence), (wanted, 0.5));
    }

    #[tokio::test]
    async fn the_status_says_what_mail_would_meet() {
        for (email, mx, status, reasons) in [
            (
                "a@nowhere.example",
                json!("none"),
                "undeliverable",
                &["no_such_domain"][..],
            ),
            ("a@bare.example", json!("none"), "undeliverable", &["no_mx"]),
            (
                "a@null.example",
                json!("null_mx"),
                "undeliverable",
                &["null_mx"],
            ),
            (
                "a@dead.example",
                json!("found"),
                "undeliverable",
                &["mx_unresolvable"],
            ),
            (
                "info@null.example",
                json!("null_mx"),
                "undeliverable",
                &["null_mx", "role"],
            ),
            (
                "a@implicit.example",
                json!("implicit"),
                "risky",
                &["implicit_mx"],
            ),
            (
                "a@slow.example",
                json!("found"),
                "unknown",
                &["mx_unanswered"],
            ),
            (
                "a@home.example",
                json!("found"),
                "undeliverable",
                &["mx_unreachable"],
            ),
            (
                "a@own.example",
                json!("found"),
                "undeliverable",
                &["mx_unreachable"],
            ),
            (
                "a@parked.example",
                json!("implicit"),
                "undeliverable",
                &["mx_unreachable", "implicit_mx"],
            ),
            ("a@both.example", json!("found"), "deliverable_likely", &[]),
            ("a@six.example", json!("found"), "deliverable_likely", &[]),
            (
                "a@unsure.example",
                json!("found"),
                "unknown",
                &["mx_unanswered"],
            ),
            ("संपर्क@डाटामेल.भारत", json!("found"), "risky", &["smtputf8"]),
            (
                "\"Doe, Jane\" <jane@example.com>;",
                json!("found"),
                "deliverable_likely",
                &[],
            ),
            (
                "Jane Doe jane@example.com",
                json!("found"),
                "deliverable_likely",
                &[],
            ),
            (
                "mailto:jane%40example.com?subject=x",
                json!("found"),
                "deliverable_likely",
                &[],
            ),
            (
                "a.l.l@example.com",
                json!("found"),
                "deliverable_likely",
                &[],
            ),
            ("a@mailinator.com", json!("found"), "risky", &["disposable"]),
            (
                "Customer-Service+x@example.com",
                json!("found"),
                "risky",
                &["role"],
            ),
            ("jürgen@example.com", json!("found"), "risky", &["smtputf8"]),
            (
                "a@www.example.com",
                json!("found"),
                "deliverable_likely",
                &[],
            ),
            ("a@gmail.com", json!("found"), "deliverable_likely", &[]),
            (
                "a..b@example.com",
                Value::Null,
                "undeliverable",
                &["syntax"],
            ),
            ("a@[192.0.2.1]", Value::Null, "undeliverable", &["syntax"]),
            ("a@localhost", Value::Null, "undeliverable", &["syntax"]),
        ] {
            let (fields, _) = found(email).await;
            assert_eq!(fields.get("mx").cloned().unwrap_or_default(), mx, "{email}");
            assert_eq!(
                (&fields["status"], &fields["reasons"]),
                (&json!(status), &json!(reasons)),
                "{email}"
            );
            assert_eq!(
                fields["valid_syntax"],
                json!(reasons != ["syntax"]),
                "{email}"
            );
            assert!(
                fields
                    .keys()
                    .all(|name| EMAIL_CHECK_FIELDS.contains(&name.as_str())),
                "{fields:?}"
            );
        }
    }

    #[tokio::test]
    async fn lists_count_below_their_domains_and_are_silent_where_there_are_none() {
        assert_eq!(found("a@gmail.com").await.0["free_provider"], true);
        assert_eq!(found("a@sub.mailinator.com").await.0["disposable"], true);
        let check = EmailCheck::open("c", &config(""), &infra()).unwrap();
        let (ports, script) = ports();
        names(&script);
        let answer = check
            .ask(
                &question(
                    &input(json!({"email": "a@mailinator.com"})),
                    Duration::from_secs(5),
                ),
                &ports,
            )
            .await;
        let Answer::Found { fields, .. } = answer else {
            panic!("{answer:?}")
        };
        assert!(
            !fields.contains_key("disposable") && !fields.contains_key("free_provider"),
            "{fields:?}"
        );
        let outputs = config("").outputs().unwrap();
        assert!(
            !outputs
                .iter()
                .any(|name| name == "disposable" || name == "free_provider"),
            "{outputs:?}"
        );
    }

    #[tokio::test]
    async fn what_is_no_address_is_invalid_and_silence_is_a_failure() {
        assert!(matches!(ask("Example Ltd").await, Answer::Invalid(why) if why.contains("no @")));
        assert!(matches!(
            ask("a@x.com, b@x.com").await,
            Answer::Invalid(why) if why.contains("more than one")
        ));
        for text in [
            "jane doe@example.com",
            "a;b@example.com",
            "jane @example.com",
            "jane@example.co uk",
        ] {
            assert!(matches!(ask(text).await, Answer::Invalid(_)), "{text}");
        }
        let answer = ask("a@down.example").await;
        let Answer::Failed { code, detail } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(code.as_str(), "provider_error");
        assert!(
            detail.contains("the name server did not answer") && !detail.contains("down.example"),
            "{detail}"
        );
    }

    #[test]
    fn hosts_come_by_preference_and_a_null_mx_stands_alone() {
        assert_eq!(hosts(&[]), Mx::None);
        assert_eq!(hosts(&mx(&[(0, ".")])), Mx::Null);
        assert_eq!(
            hosts(&mx(&[(0, ""), (10, "a.example")])),
            Mx::Hosts(vec!["a.example".into()])
        );
        assert_eq!(
            hosts(&mx(&[
                (10, "c.example"),
                (10, "b.example"),
                (5, "z.example")
            ])),
            Mx::Hosts(vec![
                "z.example".into(),
                "b.example".into(),
                "c.example".into()
            ])
        );
    }

    #[test]
    fn a_role_is_spelled_in_its_words() {
        for local in [
            "info",
            "postmaster",
            "www",
            "usenet",
            "noc",
            "users-request",
            "no-reply",
            "noreply",
            "no_reply",
            "do.not.reply",
            "donotreply",
            "donot-reply",
            "customer-service",
            "info+x",
            "vertrieb",
            "buchhaltung",
            "büro",
            "datenschutz",
            "ventas",
            "atención.cliente",
            "compta",
            "commerciale",
            "amministrazione",
            "vendas",
            "klantenservice",
            "biuro",
            "отдел-кадров",
            "kontakt",
            "お問い合わせ",
            "contato",
        ] {
            assert!(is_role(local), "{local}");
        }
        for local in [
            "a.l.l",
            "i.t",
            "in-fo",
            "h.r",
            "s.ales",
            "infos.de",
            "jane",
            "it.smith",
            "helper",
            "sale",
            "noreplyx",
            "no--reply",
            "request",
            "",
            "+info",
            "al-l",
        ] {
            assert!(!is_role(local), "{local}");
        }
    }

    #[test]
    fn the_roles_are_written_as_addresses_are_read() {
        let roles: Vec<&str> = ROLES
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        for role in &roles {
            let email = Email::parse(&format!("{}@example.com", role.replace(' ', "-")))
                .map(|email| email.local().to_owned());
            assert_eq!(email, Ok(role.replace(' ', "-")), "{role}");
            assert_eq!(
                roles.iter().filter(|other| *other == role).count(),
                1,
                "{role}"
            );
        }
    }

    #[tokio::test]
    async fn lists_are_read_as_they_come_and_faults_name_their_line() {
        let set = domains("# remark\nexample.com # x\n\nBÜCHER.example\r\n").unwrap();
        assert!(
            set.contains("example.com") && set.contains("xn--bcher-kva.example") && set.len() == 2
        );
        assert_eq!(
            domains("a.com\nno domain\n").unwrap_err(),
            "line 2 is not a domain name"
        );
        assert!(domains("# nothing\n").is_err());
        let error = EmailCheck::open("c", &config("free = \"data/none.txt\"\n"), &infra())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("p.toml:6:8: providers.c: data/none.txt cannot be read"),
            "{error}"
        );
        let check = EmailCheck::open("c", &config(LISTS), &infra()).unwrap();
        let wanted = [
            "data/disposable-domains.txt has 8883 domains",
            "data/free-mail-domains.txt has 316 domains",
        ];
        assert_eq!(check.inspect(&ports().0).await.unwrap(), wanted);
    }

    /// A name server that answers about hosts only once it was asked about all of them.
    struct Together(tokio::sync::Barrier);

    #[async_trait]
    impl Dns for Together {
        async fn look_up(&self, _: &str, kind: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure> {
            if kind == DnsKind::Mx {
                return Ok(mx(&[(1, "a.example"), (2, "b.example"), (3, "c.example")]));
            }
            self.0.wait().await;
            Err(DnsFailure::NoSuchName)
        }
    }

    #[tokio::test]
    async fn slow_mx_hosts_are_looked_up_at_once() {
        let dns = Together(tokio::sync::Barrier::new(TRIED_HOSTS));
        let mail = takes_mail("acme.example", &dns).await;
        assert!(
            matches!(mail, Ok(Mail::Hosts(_, Some(Route::None)))),
            "{mail:?}"
        );
    }
}
