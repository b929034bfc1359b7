//! A name server on loopback that answers as a script says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// A name server's answer to one question.
#[derive(Debug, Clone)]
pub enum Says {
    Addresses(Vec<IpAddr>),
    Error(RCODE),
    /// Too long for UDP; the whole of it over TCP.
    OverTcp(Vec<IpAddr>),
    /// First something forged under another id, then this.
    AfterForgery {
        forged: Vec<IpAddr>,
        honest: Vec<IpAddr>,
    },
    Nothing,
}

/// The questions asked so far: lower-case name and type.
pub type Asked = Arc<Mutex<Vec<(String, TYPE)>>>;

/// A name server over UDP and TCP.
#[derive(Debug)]
pub struct NameServer {
    pub address: SocketAddr,
    asked: Asked,
}

impl NameServer {
    /// Starts a name server; `says` gets the name and how often it was asked for IPv4 addresses
    /// before.
    pub async fn start(says: impl Fn(&str, usize) -> Says + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked = Asked::default();
        let says = Arc::new(says);
        let (log, over_tcp) = (Arc::clone(&asked), Arc::clone(&says));
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                let query = Packet::parse(&buffer[..length]).unwrap();
                let question = &query.questions[0];
                let QTYPE::TYPE(kind) = question.qtype else {
                    panic!("{:?}", question.qtype)
                };
                let name = question.qname.to_string().to_lowercase();
                let before = {
                    let mut log = log.lock().unwrap();
                    let before = log
                        .iter()
                        .filter(|(asked, kind)| *asked == name && *kind == TYPE::A)
                        .count();
                    log.push((name.clone(), kind));
                    before
                };
                match says(&name, before) {
                    Says::Addresses(addresses) => {
                        udp.send_to(&reply(&query, query.id(), &addresses), from)
                            .await
                            .unwrap();
                    }
                    Says::Error(code) => {
                        let mut refusal = query.clone().into_reply();
                        *refusal.rcode_mut() = code;
                        udp.send_to(&refusal.build_bytes_vec().unwrap(), from)
                            .await
                            .unwrap();
                    }
                    Says::OverTcp(_) => {
                        let mut cut = query.clone().into_reply();
                        cut.set_flags(PacketFlag::TRUNCATION);
                        udp.send_to(&cut.build_bytes_vec().unwrap(), from)
                            .await
                            .unwrap();
                    }
                    Says::AfterForgery { forged, honest } => {
                        udp.send_to(&reply(&query, query.id().wrapping_add(1), &forged), from)
                            .await
                            .unwrap();
                        udp.send_to(&reply(&query, query.id(), &honest), from)
                            .await
                            .unwrap();
                    }
                    Says::Nothing => {}
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut query = vec![0; length.into()];
                stream.read_exact(&mut query).await.unwrap();
                let query = Packet::parse(&query).unwrap();
                let Says::OverTcp(addresses) = over_tcp(&query.questions[0].qname.to_string(), 0)
                else {
                    continue;
                };
                let answer = reply(&query, query.id(), &addresses);
                stream
                    .write_u16(answer.len().try_into().unwrap())
                    .await
                    .unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        Self { address, asked }
    }

    /// Starts a name server where every name has these addresses.
    pub async fn with(addresses: &'static [&'static str]) -> Self {
        Self::start(move |_, _| Says::Addresses(ips(addresses))).await
    }

    /// Returns the questions asked so far.
    pub fn asked(&self) -> Vec<(String, TYPE)> {
        self.asked.lock().unwrap().clone()
    }
}

/// Returns these addresses.
pub fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect()
}

fn reply(query: &Packet<'_>, id: u16, addresses: &[IpAddr]) -> Vec<u8> {
    let name = query.questions[0].qname.to_string();
    let mut packet = query.clone().into_reply();
    packet.set_id(id);
    for address in addresses {
        let data = match (address, query.questions[0].qtype) {
            (IpAddr::V4(v4), QTYPE::TYPE(TYPE::A)) => RData::A(A {
                address: Ipv4Addr::to_bits(*v4),
            }),
            (IpAddr::V6(v6), QTYPE::TYPE(TYPE::AAAA)) => RData::AAAA(AAAA {
                address: Ipv6Addr::to_bits(*v6),
            }),
            _ => continue,
        };
        packet.answers.push(ResourceRecord::new(
            Name::new_unchecked(&name).into_owned(),
            CLASS::IN,
            0,
            data,
        ));
    }
    packet.build_bytes_vec().unwrap()
}
