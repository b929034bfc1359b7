//! Tests talk to one HTTP server, the kit's.

use super::{rust_files, source};

/// Files that listen, and why each does so itself.
const LISTENERS: [(&str, &str); 5] = [
    ("infra/cli/src/listen.rs", "the receiver that users run"),
    ("infra/cli/src/listen/tests.rs", "starts that receiver"),
    ("tests/kit/src/names.rs", "DNS over TCP"),
    ("tests/kit/src/servers.rs", "the server of all tests"),
    ("tests/soak/proxy.rs", "passes calls on to the emulator"),
];

#[test]
fn tests_share_one_http_server() {
    let signs = [
        concat!("TcpListener", "::bind"),
        concat!("UnixListener", "::bind"),
        concat!("serve", "_connection("),
    ];
    let files = ["functions", "infra", "shared", "tests"].map(rust_files);
    let listening = files
        .iter()
        .flatten()
        .filter(|file| signs.iter().any(|sign| source(file).contains(sign)));
    let known = LISTENERS.map(|(file, _)| file);
    assert_eq!(
        listening.map(String::as_str).collect::<Vec<_>>(),
        known,
        "use testkit::servers::Server, or name the file here with its reason"
    );
}
