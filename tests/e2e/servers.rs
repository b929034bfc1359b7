//! The servers that the stack calls: receivers of webhooks, an API behind the `http` provider, a
//! name server.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Name, Packet, QTYPE, ResourceRecord, TYPE};
pub(crate) use testkit::servers::{Answer, Gate, Got, Server};
use testkit::stored::piece;
use tokio::net::UdpSocket;

type Lookup = Arc<dyn Fn(u32, usize) -> Answer + Send + Sync>;

/// The API that the provider `upstream` of the tests' `providers.toml` asks, at
/// `/lookup/TAG.NUMBER`.
pub(crate) struct Upstream {
    pub(crate) server: Server,
    /// The answers that the vendor holds back until this is opened.
    pub(crate) held: Gate,
    scripts: Arc<Mutex<HashMap<String, Lookup>>>,
}

impl Upstream {
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let scripts: Arc<Mutex<HashMap<String, Lookup>>> = Arc::default();
        let known = Arc::clone(&scripts);
        let asked: Mutex<HashMap<String, usize>> = Mutex::default();
        let held = Gate::default();
        let until = held.clone();
        let server = Server::start_at(address, move |n, got| {
            if let Some(kind) = got.path.strip_prefix("/vendor/") {
                return vendor(kind, &got.json(), &until);
            }
            if got.path.starts_with("/keyed?") {
                let right = got.header("authorization") == "Bearer kept-in-a-parameter";
                return if right {
                    Answer::Json(json!({"name": "Keyed"}))
                } else {
                    Answer::Status(401)
                };
            }
            if let Some((status, answer)) = piece(&got.path) {
                return match status {
                    200 => Answer::Json(answer),
                    other => Answer::Status(other),
                };
            }
            if got.path == "/late" {
                return Answer::Json(json!({"id": n, "status": "accepted"}));
            }
            let Some((tag, number)) = key(got) else {
                return Answer::Status(400);
            };
            let before = {
                let mut asked = asked.lock().unwrap();
                let times = asked.entry(got.path.clone()).or_default();
                *times += 1;
                *times - 1
            };
            let script = known.lock().unwrap().get(&tag).cloned();
            script.map_or(Answer::Status(404), |script| script(number, before))
        })
        .await;
        Self {
            server,
            held,
            scripts,
        }
    }

    /// `script` receives the record's number and the count of earlier requests for it.
    pub(crate) fn script(
        &self,
        tag: &str,
        script: impl Fn(u32, usize) -> Answer + Send + Sync + 'static,
    ) {
        self.scripts
            .lock()
            .unwrap()
            .insert(tag.to_owned(), Arc::new(script));
    }

    pub(crate) fn of(got: &[Got], tag: &str) -> Vec<Got> {
        got.iter()
            .filter(|g| key(g).is_some_and(|(t, _)| t == tag))
            .cloned()
            .collect()
    }
}

/// A vendor that knows everybody except where the input says `unknown`. It breaks on `broken`,
/// takes N seconds for `slowN`, and answers `/held` only once it is open.
fn vendor(kind: &str, input: &Value, held: &Gate) -> Answer {
    let text = input.to_string();
    if text.contains("unknown") {
        return Answer::Status(404);
    }
    if text.contains("broken") {
        return Answer::Status(500);
    }
    let of = |name: &str, other: &str| input[name].as_str().unwrap_or(other).to_lowercase();
    let (first, last) = (of("first_name", "john"), of("last_name", "doe"));
    let domain = of("domain", "example.com");
    let work = json!([{"email": format!("{first}.{last}@{domain}"),
        "status": "deliverable", "type": "company"}]);
    let phones = json!([{"number": "+1 555 0100", "region": "US"}]);
    let profile = json!({"full_name": format!("{first} {last}"), "headline": "Engineer",
        "location": {"country_code": "US"}});
    let found = match kind {
        "email" => json!({"emails": work}),
        "phone" => json!({"phones": phones}),
        "contact" => json!({
            "work_emails": work,
            "personal_emails": [{"email": format!("{first}@mail.example"), "status": "catch_all"}],
            "phones": phones,
            "profile": profile,
        }),
        "person" => {
            json!({"profile": profile, "full_name": format!("{first} {last}"), "title": "Engineer"})
        }
        "reverse-email" => json!({"profile": profile}),
        "ip" => {
            json!({"company_name": "Example Inc", "domain": "example.com",
                "network_type": "business"})
        }
        "linkedin-hem" => json!({"hashes": {"sha256": "ab".repeat(32)}}),
        "lead" => json!({"leads": [{"company_name": "Example Inc"}]}),
        _ => json!({
            "structured_data": {"asked": input["struct"]},
            "notes": "what was found",
            "references": {"https://example.com/": "home page"},
            "confidence_score": 8.5,
        }),
    };
    if text.contains("/held\"") {
        return Answer::After(held.clone(), found);
    }
    match text.split("slow").nth(1).and_then(|rest| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    }) {
        Some(seconds) => Answer::Later(Duration::from_secs(seconds), found),
        None => Answer::Json(found),
    }
}

pub(crate) fn key(got: &Got) -> Option<(String, u32)> {
    let (tag, number) = got.path.strip_prefix("/lookup/")?.rsplit_once('.')?;
    Some((tag.to_owned(), number.parse().ok()?))
}

/// The name server of the stack. `REFUSED` names have addresses that must not be reached; other
/// names do not exist.
pub(crate) async fn name_server(address: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let udp = UdpSocket::bind(address)
        .await
        .unwrap_or_else(|e| panic!("{address}: {e}"));
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            let Ok(query) = Packet::parse(&buffer[..length]) else {
                continue;
            };
            let Some(question) = query.questions.first() else {
                continue;
            };
            let name = question.qname.to_string().to_lowercase();
            asked.lock().unwrap().push(name.clone());
            let mut reply = query.clone().into_reply();
            for address in REFUSED
                .iter()
                .filter(|(n, _)| *n == name)
                .flat_map(|(_, addresses)| *addresses)
            {
                let data = match (address.parse().unwrap(), question.qtype) {
                    (IpAddr::V4(v4), QTYPE::TYPE(TYPE::A)) => RData::A(A {
                        address: Ipv4Addr::to_bits(v4),
                    }),
                    (IpAddr::V6(v6), QTYPE::TYPE(TYPE::AAAA)) => RData::AAAA(AAAA {
                        address: Ipv6Addr::to_bits(v6),
                    }),
                    _ => continue,
                };
                let name = Name::new_unchecked(&name).into_owned();
                reply
                    .answers
                    .push(ResourceRecord::new(name, CLASS::IN, 0, data));
            }
            let _ = udp.send_to(&reply.build_bytes_vec().unwrap(), from).await;
        }
    });
}

/// Names and their addresses, all refused.
pub(crate) const REFUSED: [(&str, &[&str]); 3] = [
    (
        "metadata.millrace.example",
        &["169.254.169.254", "fd00:ec2::254"],
    ),
    ("inside.millrace.example", &["10.0.0.7", "192.168.1.1"]),
    ("loopback.millrace.example", &["::1"]),
];
