//! Questions to one name server, over UDP and, where the answer did not fit, over TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::{RData, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::deadline::limited;
use crate::ports::{DnsFailure, DnsKind, DnsRecord};

/// The waits for an answer over UDP, one for each time that a question is asked.
const WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
];
/// The time that an exchange over TCP may take.
const TCP_WAIT: Duration = Duration::from_secs(3);
/// The most aliases that are followed inside one answer.
const MAX_ALIASES: usize = 16;

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The zone says that the name does not exist (NXDOMAIN).
    #[error("no such name")]
    NoSuchName,
    /// The server answered with another code than that, such as SERVFAIL.
    #[error("the name server answered {0:?}")]
    Failed(RCODE),
    /// No answer came in time.
    #[error("the name server did not answer")]
    Silent,
    /// The exchange failed in the operating system.
    #[error("the name server cannot be reached: {0}")]
    Unreachable(io::ErrorKind),
    /// The name has no form that DNS can ask for.
    #[error("the name is not valid")]
    BadName,
}

impl From<DnsError> for DnsFailure {
    fn from(error: DnsError) -> Self {
        match error {
            DnsError::NoSuchName => Self::NoSuchName,
            other => Self::Unanswered(other.to_string()),
        }
    }
}

impl From<io::Error> for DnsError {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.kind())
    }
}

/// A recursive name server.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameServer(pub(super) SocketAddr);

/// One question, as asked and as sent.
#[derive(Debug)]
pub struct DnsQuery<'a> {
    host: &'a str,
    kind: TYPE,
    id: u16,
    bytes: Vec<u8>,
}

/// A record type's number in DNS messages.
pub(super) fn type_of(kind: DnsKind) -> TYPE {
    match kind {
        DnsKind::A => TYPE::A,
        DnsKind::Aaaa => TYPE::AAAA,
        DnsKind::Cname => TYPE::CNAME,
        DnsKind::Mx => TYPE::MX,
        DnsKind::Ns => TYPE::NS,
        DnsKind::Txt => TYPE::TXT,
    }
}

impl NameServer {
    /// The first name server of the system's settings (`resolv.conf`), where there is one.
    pub(super) fn of_the_system() -> Option<Self> {
        let settings = std::fs::read_to_string("/etc/resolv.conf").ok()?;
        let mut servers = settings
            .lines()
            .filter_map(|line| line.strip_prefix("nameserver"));
        let address = servers.find_map(|rest| rest.trim().parse::<IpAddr>().ok())?;
        Some(Self(SocketAddr::new(address, 53)))
    }

    /// The addresses of one kind (`A` or `AAAA`) that a name has, its aliases followed. Empty when
    /// it has none.
    pub(super) async fn addresses(self, host: &str, kind: TYPE) -> Result<Vec<IpAddr>, DnsError> {
        let records = self.records(host, kind).await?;
        let address = |record| {
            if let DnsRecord::Address(address) = record {
                Some(address)
            } else {
                None
            }
        };
        Ok(records.into_iter().filter_map(address).collect())
    }

    /// The records of one kind that a name has, its aliases followed. Empty when it has none.
    pub(super) async fn records(self, host: &str, kind: TYPE) -> Result<Vec<DnsRecord>, DnsError> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut last = DnsError::Silent;
        for wait in WAITS {
            let asked = DnsQuery::new(host, kind)?;
            match limited(wait, self.over_udp(&asked)).await {
                Some(Ok(DnsReply::Whole(records))) => return Ok(records),
                Some(Ok(DnsReply::Cut)) => {
                    return limited(TCP_WAIT, self.over_tcp(&asked))
                        .await
                        .unwrap_or(Err(DnsError::Silent));
                }
                Some(Err(error @ DnsError::Unreachable(_))) => last = error,
                Some(Err(error)) => return Err(error),
                None => last = DnsError::Silent,
            }
        }
        Err(last)
    }

    async fn over_udp(self, asked: &DnsQuery<'_>) -> Result<DnsReply, DnsError> {
        let any = if self.0.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        // Connected, on a port of its own: the kernel drops what does not come from the name
        // server.
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(self.0).await?;
        socket.send(&asked.bytes).await?;
        let mut buffer = vec![0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await?;
            // What answers some other question is forged or late: the wait goes on.
            if let Some(reply) = asked.read(&buffer[..length]) {
                return reply;
            }
        }
    }

    async fn over_tcp(self, asked: &DnsQuery<'_>) -> Result<Vec<DnsRecord>, DnsError> {
        let mut stream = TcpStream::connect(self.0).await?;
        let length = u16::try_from(asked.bytes.len()).map_err(|_| DnsError::BadName)?;
        stream
            .write_all(&[&length.to_be_bytes()[..], &asked.bytes].concat())
            .await?;
        let mut buffer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut buffer).await?;
        match asked.read(&buffer) {
            Some(Ok(DnsReply::Whole(records))) => Ok(records),
            Some(Err(error)) => Err(error),
            Some(Ok(DnsReply::Cut)) | None => {
                Err(DnsError::Unreachable(io::ErrorKind::InvalidData))
            }
        }
    }
}

/// The answer of a message to a [`DnsQuery`].
#[derive(Debug, PartialEq, Eq)]
pub enum DnsReply {
    /// The records of the kind that was asked for, none where the name has none.
    Whole(Vec<DnsRecord>),
    /// The answer did not fit; ask over TCP.
    Cut,
}

impl<'a> DnsQuery<'a> {
    fn new(host: &'a str, kind: TYPE) -> Result<Self, DnsError> {
        Self::with_id(host, kind, question_id())
    }

    /// A question for the records of a name, under an id of its own.
    ///
    /// # Errors
    /// [`DnsError::BadName`] where DNS cannot carry the name.
    pub fn with_id(host: &'a str, kind: TYPE, id: u16) -> Result<Self, DnsError> {
        let name = Name::new(host).map_err(|_| DnsError::BadName)?;
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            name,
            QTYPE::TYPE(kind),
            CLASS::IN.into(),
            false,
        ));
        let bytes = packet.build_bytes_vec().map_err(|_| DnsError::BadName)?;
        Ok(Self {
            host,
            kind,
            id,
            bytes,
        })
    }

    /// Returns what a message answers to this question. `None` when it is not an answer to it.
    ///
    /// # Errors
    /// [`DnsError::NoSuchName`] and [`DnsError::Failed`], where that is the answer.
    pub fn read(&self, message: &[u8]) -> Option<Result<DnsReply, DnsError>> {
        let packet = Packet::parse(message).ok()?;
        if packet.id() != self.id || !packet.has_flags(PacketFlag::RESPONSE) {
            return None;
        }
        let ours = match packet.questions.as_slice() {
            [question] => {
                question.qname.to_string().eq_ignore_ascii_case(self.host)
                    && question.qtype == QTYPE::TYPE(self.kind)
            }
            // A server that does not understand the question cannot repeat it.
            [] => packet.rcode() != RCODE::NoError,
            _ => false,
        };
        if !ours {
            return None;
        }
        match packet.rcode() {
            RCODE::NoError if packet.has_flags(PacketFlag::TRUNCATION) => Some(Ok(DnsReply::Cut)),
            RCODE::NoError => Some(Ok(DnsReply::Whole(self.records_in(&packet)))),
            RCODE::NameError => Some(Err(DnsError::NoSuchName)),
            other => Some(Err(DnsError::Failed(other))),
        }
    }

    fn records_in(&self, packet: &Packet<'_>) -> Vec<DnsRecord> {
        let mut name = self.host.to_ascii_lowercase();
        for _ in 0..=MAX_ALIASES {
            let mut alias = None;
            let mut found = Vec::new();
            for record in &packet.answers {
                if record.class != CLASS::IN || !record.name.to_string().eq_ignore_ascii_case(&name)
                {
                    continue;
                }
                match (&record.rdata, self.kind) {
                    (RData::A(a), TYPE::A) => {
                        found.push(DnsRecord::Address(Ipv4Addr::from_bits(a.address).into()));
                    }
                    (RData::AAAA(a), TYPE::AAAA) => {
                        found.push(DnsRecord::Address(Ipv6Addr::from_bits(a.address).into()));
                    }
                    (RData::CNAME(target), TYPE::CNAME) => {
                        found.push(DnsRecord::Cname(target.0.to_string()));
                    }
                    (RData::MX(mx), TYPE::MX) => {
                        found.push(DnsRecord::Mx {
                            preference: mx.preference,
                            exchange: mx.exchange.to_string(),
                        });
                    }
                    (RData::NS(server), TYPE::NS) => {
                        found.push(DnsRecord::Ns(server.0.to_string()));
                    }
                    (RData::TXT(text), TYPE::TXT) => found.push(DnsRecord::Txt(joined(text))),
                    (RData::CNAME(target), _) => alias = Some(target.0.to_string()),
                    _ => {}
                }
            }
            match alias {
                Some(alias) if found.is_empty() => name = alias,
                _ => return found,
            }
        }
        Vec::new()
    }
}

/// A record's strings, one after the other.
fn joined(text: &TXT<'_>) -> String {
    let mut bytes = Vec::new();
    // The library splits each string at its first `=`.
    for (name, value) in text.iter_raw() {
        bytes.extend_from_slice(name);
        if let Some(value) = value {
            bytes.push(b'=');
            bytes.extend_from_slice(value);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A number that a forger has to guess together with the port.
#[expect(
    clippy::disallowed_methods,
    reason = "guards a socket; no result of Millrace depends on it"
)]
fn question_id() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness the port alone guards the answer.
    let _ = getrandom::fill(&mut bytes);
    u16::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    use super::*;

    fn answer(asked: &DnsQuery<'_>, records: &[(&str, RData<'static>)]) -> Vec<u8> {
        let mut packet = Packet::parse(&asked.bytes).unwrap().into_reply();
        for (name, data) in records {
            packet.answers.push(ResourceRecord::new(
                Name::new_unchecked(name).into_owned(),
                CLASS::IN,
                60,
                data.clone(),
            ));
        }
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn a(address: [u8; 4]) -> RData<'static> {
        RData::A(A::from(Ipv4Addr::from(address)))
    }

    fn alias(name: &'static str) -> RData<'static> {
        RData::CNAME(CNAME(Name::new_unchecked(name)))
    }

    fn whole(addresses: &[[u8; 4]]) -> DnsReply {
        DnsReply::Whole(
            addresses
                .iter()
                .map(|address| DnsRecord::Address(IpAddr::from(*address)))
                .collect(),
        )
    }

    #[test]
    fn aliases_are_followed_and_foreign_records_ignored() {
        let asked = DnsQuery::new("Hook.example", TYPE::A).unwrap();
        let message = answer(
            &asked,
            &[
                ("edge.example", a([1, 1, 1, 1])),
                ("hook.example", alias("CDN.example")),
                ("stranger.example", a([9, 9, 9, 9])),
                ("cdn.example", alias("edge.example")),
            ],
        );
        assert_eq!(asked.read(&message), Some(Ok(whole(&[[1, 1, 1, 1]]))));
    }

    #[test]
    fn a_ring_of_aliases_ends() {
        let asked = DnsQuery::new("a.example", TYPE::A).unwrap();
        let message = answer(
            &asked,
            &[
                ("a.example", alias("b.example")),
                ("b.example", alias("a.example")),
            ],
        );
        assert_eq!(asked.read(&message), Some(Ok(whole(&[]))));
    }

    #[test]
    fn answers_to_other_questions_are_ignored() {
        let asked = DnsQuery::new("a.example", TYPE::A).unwrap();
        let good = answer(&asked, &[("a.example", a([1, 1, 1, 1]))]);
        assert_eq!(asked.read(&good), Some(Ok(whole(&[[1, 1, 1, 1]]))));
        let mut other_id = good.clone();
        other_id[0] ^= 1;
        assert_eq!(asked.read(&other_id), None);
        assert_eq!(
            asked.read(&asked.bytes),
            None,
            "an echo of the question is not an answer"
        );
        let other = DnsQuery {
            host: "b.example",
            kind: TYPE::A,
            id: asked.id,
            bytes: Vec::new(),
        };
        assert_eq!(other.read(&good), None);
        let other = DnsQuery {
            host: "a.example",
            kind: TYPE::AAAA,
            id: asked.id,
            bytes: Vec::new(),
        };
        assert_eq!(other.read(&good), None);
    }

    #[test]
    fn broken_messages_are_ignored_wherever_they_break() {
        let asked = DnsQuery::new("a.example", TYPE::A).unwrap();
        let good = answer(
            &asked,
            &[
                ("a.example", alias("b.example")),
                ("b.example", a([1, 1, 1, 1])),
            ],
        );
        for length in 0..good.len() {
            assert_eq!(asked.read(&good[..length]), None, "cut at {length}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut turned = good.clone();
                turned[at] ^= 1 << bit;
                let _ = asked.read(&turned);
            }
        }
    }
}
