use std::time::Duration;

use serde_json::json;

use super::config::IP_FIELDS;
use super::*;
use crate::catalog::Config;
use crate::providers::kinds::READERS;
use crate::providers::testing::{input, ports, question};

/// Writes databases as `MaxMind`'s "DB File Format Specification" 2.0 has them: a tree of IPv6 with
/// records of 24 bits (IPv4 below `::/96`), and a record for each network.
#[derive(Default)]
struct Writer {
    nodes: Vec<[Child; 2]>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum Child {
    #[default]
    Empty,
    Node(usize),
    /// Its place in the data section.
    Data(usize),
}

impl Writer {
    /// Networks must not contain each other.
    fn network(&mut self, network: &str, record: &Value) {
        let (address, length) = network.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        let (bits, length) = match address.parse().unwrap() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), length + 96),
            IpAddr::V6(v6) => (v6.to_bits(), length),
        };
        let at = self.data.len();
        write(&mut self.data, "", record);
        if self.nodes.is_empty() {
            self.nodes.push([Child::Empty; 2]);
        }
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                self.nodes[node][side] = Child::Data(at);
            } else if let Child::Node(next) = self.nodes[node][side] {
                node = next;
            } else {
                self.nodes.push([Child::Empty; 2]);
                let next = self.nodes.len() - 1;
                self.nodes[node][side] = Child::Node(next);
                node = next;
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let mut bytes = Vec::new();
        for child in self.nodes.iter().flatten() {
            let value = match child {
                Child::Empty => count,
                Child::Node(node) => *node,
                Child::Data(at) => count + 16 + at,
            };
            bytes.extend(&u32::try_from(value).unwrap().to_be_bytes()[1..]);
        }
        bytes.extend([0; 16]);
        bytes.extend(&self.data);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        let about = json!({
            "node_count": count, "record_size": 24, "ip_version": 6, "database_type": "Test", "languages": ["en"],
            "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_767_225_600_u64,
            "description": {"en": "written by a test"},
        });
        write(&mut bytes, "", &about);
        bytes
    }
}

/// Writes a member's value as the data section has it: texts, whole numbers, booleans, maps and
/// lists, none of more than 284.
fn write(out: &mut Vec<u8>, name: &str, value: &Value) {
    // Unsigned numbers of at most 16, 32 and 64 bits.
    let whole = match name {
        "node_count" | "autonomous_system_number" => 6,
        "build_epoch" => 9,
        _ => 5,
    };
    let mut head = |kind: u8, size: usize| {
        let (low, more) = if size < 29 {
            (size, None)
        } else {
            (29, Some(u8::try_from(size - 29).unwrap()))
        };
        let low = u8::try_from(low).unwrap();
        if kind < 8 {
            out.push(kind << 5 | low);
        } else {
            out.extend([low, kind - 7]);
        }
        out.extend(more);
    };
    match value {
        Value::String(text) => {
            head(2, text.len());
            out.extend(text.as_bytes());
        }
        Value::Number(number) => {
            let bytes = number.as_u64().unwrap().to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
            head(whole, bytes.len());
            out.extend(bytes);
        }
        Value::Bool(yes) => head(14, usize::from(*yes)),
        Value::Object(members) => {
            head(7, members.len());
            for (name, member) in members {
                write(out, "", &json!(name));
                write(out, name, member);
            }
        }
        Value::Array(items) => {
            head(11, items.len());
            for item in items {
                write(out, "", item);
            }
        }
        Value::Null => panic!("the format has no null"),
    }
}

/// A directory of its own, gone with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/tmp/ip-{name}"));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(keys: &str) -> IpConfig {
    let toml = format!(
        "[types.t]\ninputs = [[\"ip\"]]\nwaterfall = [\"i\"]\n[providers.i]\nkind = \"ip\"\n{keys}\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
    let Some(ip) = config.providers[0].kind.downcast_ref::<IpConfig>().cloned() else {
        panic!()
    };
    ip
}

fn database() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.network(
        "1.2.3.0/24",
        &json!({"autonomous_system_number": 64500, "autonomous_system_organization": "Example Mills"}),
    );
    writer.network(
        "1.2.4.0/25",
        &json!({"organization": "Example Ltd", "user_type": "business", "isp": "Net"}),
    );
    writer.network(
        "2a00:1234::/32",
        &json!({"as_name": "Six Telecom", "is_hosting": false}),
    );
    writer.network("5.6.7.8/32", &json!({"unheard_of": true}));
    writer.bytes()
}

async fn ask(databases: &IpDatabases, ip: &str) -> Answer {
    databases
        .ask(
            &question(&input(json!({"ip": ip})), Duration::from_secs(1)),
            &ports().0,
        )
        .await
}

#[tokio::test]
async fn addresses_are_found_by_their_network() {
    let directory = Directory::new("found");
    directory.file("a.mmdb", &database());
    let mut places = Writer::default();
    places.network(
        "1.2.0.0/16",
        &json!({"country": {"iso_code": "DE", "names": {"en": "Germany"}}}),
    );
    directory.file("b.mmdb", &places.bytes());
    let databases = IpDatabases::open(
        "i",
        &config("files = [\"b.mmdb\", \"a.mmdb\"]"),
        &directory.0,
    )
    .unwrap();
    assert_eq!(
        databases.inspect(&ports().0).await.unwrap(),
        ["b.mmdb is of type Test", "a.mmdb is of type Test"]
    );
    for (ip, wanted, sure) in [
        (
            "1.2.3.4",
            json!({"ip": "1.2.3.4", "company_name": "Example Mills", "asn": 64500, "as_organization": "Example Mills",
                "network": "1.2.3.0/24", "country": "Germany", "country_code": "DE"}),
            0.3,
        ),
        (
            " ::ffff:1.2.4.127 ",
            json!({"ip": "1.2.4.127", "company_name": "Example Ltd", "network": "1.2.4.0/25", "network_type": "business",
                "network_type_by": "database", "isp": "Net", "country": "Germany", "country_code": "DE"}),
            0.8,
        ),
        (
            "2A00:1234:0::1",
            json!({"ip": "2a00:1234::1", "company_name": "Six Telecom", "as_organization": "Six Telecom",
                "network": "2a00:1234::/32", "network_type": "isp", "network_type_by": "name"}),
            0.1,
        ),
        (
            "1.2.4.128",
            json!({"ip": "1.2.4.128", "network": "1.2.0.0/16", "country": "Germany", "country_code": "DE"}),
            0.6,
        ),
    ] {
        let Answer::Found { fields, confidence } = ask(&databases, ip).await else {
            panic!("{ip}")
        };
        assert!(
            fields.keys().all(|name| IP_FIELDS.contains(&name.as_str())),
            "{fields:?}"
        );
        assert_eq!(
            (Value::Object(fields), confidence),
            (wanted, Some(sure.into())),
            "{ip}"
        );
    }
    for ip in ["8.8.8.8", "5.6.7.8", "2001:4860:4860::8888"] {
        assert_eq!(ask(&databases, ip).await, Answer::NotFound, "{ip}");
    }
}

#[tokio::test]
async fn private_reserved_and_broken_addresses_are_invalid() {
    let directory = Directory::new("invalid");
    directory.file("a.mmdb", &database());
    let databases = IpDatabases::open("i", &config("files = [\"a.mmdb\"]"), &directory.0).unwrap();
    for ip in [
        "10.1.2.3",
        "127.0.0.1",
        "169.254.1.1",
        "172.20.1.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.1.2.3",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "2001:db8::1",
        "3fff:0fff::1",
        "::ffff:10.0.0.1",
        "[::1]:443",
        "10.0.0.1, unknown",
    ] {
        let answer = ask(&databases, ip).await;
        assert!(
            matches!(&answer, Answer::Invalid(why) if why.contains("private or reserved")),
            "{ip}: {answer:?}"
        );
    }
    for ip in ["", "example.com", "1.2.3", "1.2.3.4/32", "for=unknown"] {
        assert!(
            matches!(ask(&databases, ip).await, Answer::Invalid(_)),
            "{ip}"
        );
    }
}

#[tokio::test]
async fn what_is_no_database_fails_and_what_is_too_large_or_absent_is_told_at_the_start() {
    let directory = Directory::new("broken");
    directory.file("a.mmdb", b"no database");
    let whole = database();
    // The tree leads behind the end of the data.
    let mut malformed = whole.clone();
    malformed[0..6].fill(0xff);
    directory.file("b.mmdb", &malformed);
    for file in ["a.mmdb", "b.mmdb"] {
        let databases =
            IpDatabases::open("i", &config(&format!("files = [\"{file}\"]")), &directory.0)
                .unwrap();
        let answer = ask(&databases, "1.2.3.4").await;
        let Answer::Failed { code, detail } = answer else {
            panic!("{file}: {answer:?}")
        };
        assert!(
            code.as_str() == "provider_error" && detail.starts_with(file),
            "{detail}"
        );
    }
    // Every flipped bit ends in an answer.
    let databases: Vec<Database> = (0..whole.len())
        .map(|at| {
            let mut turned = whole.clone();
            turned[at] ^= 0x41;
            let reader = Reader::from_source(turned).map_err(|_| "no database".to_owned());
            Database {
                file: "a.mmdb".to_owned(),
                path: PathBuf::new(),
                reader: OnceLock::from(reader),
            }
        })
        .collect();
    for database in databases {
        let databases = IpDatabases {
            input: "ip".to_owned(),
            files: vec![database],
        };
        let _ = ask(&databases, "1.2.3.4").await;
    }

    let error = IpDatabases::open("i", &config("files = [\"none.mmdb\"]"), &directory.0)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("p.toml:6:10: providers.i: none.mmdb cannot be read"),
        "{error}"
    );
    directory.file("c.mmdb", &vec![0; 1024 * 1024 + 1]);
    let small = config("files = [\"c.mmdb\"]\nmax_mib = 1");
    let error = IpDatabases::open("i", &small, &directory.0)
        .unwrap_err()
        .to_string();
    assert!(error.contains("raise max_mib above 1"), "{error}");
}

#[test]
fn files_are_below_the_directory_or_absolute() {
    let faults = |files: &str| {
        let toml = format!(
            "[types.t]\ninputs = [[\"ip\"]]\nwaterfall = [\"i\"]\n[providers.i]\nkind = \"ip\"\n{files}\n"
        );
        Config::parse(READERS, "p.toml", &toml)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        config("files = [\"/opt/GeoLite2-ASN.mmdb\"]").files[0].0,
        "/opt/GeoLite2-ASN.mmdb"
    );
    assert!(
        faults("files = [\"../a.mmdb\"]")
            .contains("p.toml:6:10: providers.i: files: files is a path below")
    );
    assert!(faults("files = [\"/opt/../a.mmdb\"]").contains("files is a path below"));
    assert!(faults("files = [\"/opt/a.bin\"]").contains("file ends in .mmdb"));
    assert!(faults("files = []").contains("files is empty"));
    assert!(faults("").contains("`files` is missing; name your databases"));
}
