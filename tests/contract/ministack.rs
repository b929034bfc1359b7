//! The emulator, and where it differs from AWS.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::wire;

/// Cases that fail on the emulator, each with what it does that AWS does not. AWS's documentation is the reference.
///
/// Other differences no case can show, so `answers` scripts what AWS does: the emulator never throttles, processes
/// every batch whole and has no transactions in conflict. Its indexes do not lag; that they do on AWS is left to the
/// simulation. It counts a query's read units at less than the 4 KB rule gives.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[];

pub(crate) const TABLE: &str = "millrace-contract";

/// A running emulator on a free loopback port. Dropping it ends the process.
pub(crate) struct MiniStack {
    child: Child,
    pub(crate) port: u16,
    directory: PathBuf,
}

impl MiniStack {
    /// Starts the emulator and waits until it answers.
    ///
    /// # Panics
    /// When it is not installed or does not come up: a suite that was not run has shown nothing.
    pub(crate) fn start() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let program = env::var_os("MILLRACE_MINISTACK")
            .map_or_else(|| root.join(".local/ministack/bin/ministack"), PathBuf::from);
        assert!(
            program.is_file(),
            "MiniStack is not at {}: run `make test`, or set MILLRACE_MINISTACK to its executable",
            program.display()
        );
        let port = wire::closed_port();
        let directory = env::temp_dir().join(format!("millrace-contract-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let log = File::create(directory.join("log")).unwrap();
        let child = Command::new(program)
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("IOT_MTLS_ENABLED", "0")
            .env("TMPDIR", &directory)
            .env_remove("AUTH")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut stack = Self { child, port, directory };
        stack.wait();
        stack
    }

    fn wait(&mut self) {
        // It takes 2 s alone.
        let give_up = Instant::now() + Duration::from_mins(10);
        while !healthy(self.port) {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > give_up {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                panic!("MiniStack did not come up ({ended:?}):\n{log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The table as the template declares it.
    pub(crate) fn create_table(&self) {
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let attribute = |name: &str, kind: &str| json!({"AttributeName": name, "AttributeType": kind});
        let (status, answer) = wire::call(
            self.port,
            "DynamoDB_20120810.CreateTable",
            &json!({
                "TableName": TABLE,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    attribute("pk", "S"), attribute("sk", "S"), attribute("tenant_jobs", "S"),
                    attribute("job_id", "S"), attribute("due_shard", "S"), attribute("due", "N"),
                ],
                "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": "by_tenant",
                        "KeySchema": [key("tenant_jobs", "HASH"), key("job_id", "RANGE")],
                        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["status"]},
                    },
                    {
                        "IndexName": "due",
                        "KeySchema": [key("due_shard", "HASH"), key("due", "RANGE")],
                        "Projection": {"ProjectionType": "KEYS_ONLY"},
                    },
                ],
            }),
        );
        assert_eq!(status, 200, "{answer}");
    }
}

fn healthy(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let request = "GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.set_read_timeout(Some(Duration::from_mins(1))).is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs every case and reports all that went otherwise than expected.
pub(crate) fn run_all<T: Copy>(cases: &[(&'static str, T)], run: impl Fn(&'static str, T)) {
    let mut wrong = Vec::new();
    for &(name, case) in cases {
        let difference = DIFFERENCES.iter().find(|(case, _)| *case == name);
        let passed = catch_unwind(AssertUnwindSafe(|| run(name, case))).is_ok();
        match (passed, difference) {
            (false, None) => wrong.push(format!("{name}: fails")),
            (true, Some((_, why))) => wrong.push(format!("{name}: passes, though listed as a difference ({why})")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "on MiniStack:\n{}", wrong.join("\n"));
}
