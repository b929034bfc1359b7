//! Servers on loopback that misbehave to order.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A TCP server that counts who came.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Runs `serve` for every connection, on a port of 127.0.0.1.
    pub(crate) async fn start<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), serve).await
    }

    pub(crate) async fn start_at<F, W>(address: SocketAddr, serve: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Answers every connection's first request with these bytes and closes.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(&answer).await;
            }
        })
        .await
    }

    /// Answers every request of a connection with an empty 204 and keeps it open.
    pub(crate) async fn keeping_open() -> Self {
        Self::start(|mut stream| async move {
            while !read_request(&mut stream).await.is_empty() {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

/// Reads one request's head, and its body as far as `content-length` says. Empty at the end of the stream.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        read.push(byte);
        if read.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).await.is_ok() {
                read.extend(body);
            }
            break;
        }
    }
    read
}

/// How a name server answers one question.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Addresses(Vec<std::net::IpAddr>),
    Error(RCODE),
    /// Too long for UDP; the whole of it over TCP.
    OverTcp(Vec<std::net::IpAddr>),
    /// First something forged under another id, then this.
    AfterForgery {
        forged: Vec<std::net::IpAddr>,
        honest: Vec<std::net::IpAddr>,
    },
    Nothing,
}

/// The questions asked so far: lower-case name and type.
pub(crate) type Asked = Arc<Mutex<Vec<(String, TYPE)>>>;

/// A name server over UDP and TCP.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Asked,
}

impl NameServer {
    /// `says` gets the name and how often it was asked for IPv4 addresses before.
    pub(crate) async fn start(says: impl Fn(&str, usize) -> Says + Send + Sync + 'static) -> Self {
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

    /// Every name has these addresses.
    pub(crate) async fn with(addresses: &'static [&'static str]) -> Self {
        Self::start(move |_, _| Says::Addresses(ips(addresses))).await
    }

    pub(crate) fn asked(&self) -> Vec<(String, TYPE)> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn ips(addresses: &[&str]) -> Vec<std::net::IpAddr> {
    addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect()
}

fn reply(query: &Packet<'_>, id: u16, addresses: &[std::net::IpAddr]) -> Vec<u8> {
    let name = query.questions[0].qname.to_string();
    let mut packet = query.clone().into_reply();
    packet.set_id(id);
    for address in addresses {
        let data = match (address, query.questions[0].qtype) {
            (std::net::IpAddr::V4(v4), QTYPE::TYPE(TYPE::A)) => RData::A(A {
                address: Ipv4Addr::to_bits(*v4),
            }),
            (std::net::IpAddr::V6(v6), QTYPE::TYPE(TYPE::AAAA)) => RData::AAAA(AAAA {
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
