//! The emulators, and where each differs from AWS.

use std::any::Any;
use std::collections::BTreeSet;
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

pub(crate) const TABLE: &str = "millrace-contract";

/// The emulators; each has other authors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmulatorName {
    MiniStack,
    Moto,
}

/// A case that fails because the emulator differs from AWS.
pub(crate) struct Difference {
    pub(crate) case: &'static str,
    /// The emulator's behaviour.
    why: &'static str,
    /// The page of AWS's documentation that decides. Where it is silent, `why` says what decides.
    page: &'static str,
    /// Text of the failure, so that no other failure passes for it.
    says: &'static str,
}

/// Other differences that no case can show, so `answers` scripts AWS's behaviour. The emulator
/// never throttles, processes every batch whole and has no transactions in conflict. Its indexes do
/// not lag; the simulation shows lag. It counts fewer read units for a query than the 4 KB rule
/// gives.
const MINISTACK: &[Difference] = &[
    Difference {
        case: "a_batch_returns_16_megabytes_and_names_the_rest",
        why: "returns all of them",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html",
        says: "44 read, 0 left",
    },
    Difference {
        case: "a_delay_of_more_than_15_minutes_is_refused",
        why: "takes any delay",
        page: "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html",
        says: "200 where",
    },
    Difference {
        case: "a_visibility_time_out_of_more_than_12_hours_is_refused",
        why: "takes any time-out",
        page: "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html",
        says: "200 where",
    },
    Difference {
        case: "a_receipt_of_an_earlier_receive_is_taken",
        why: "refuses it",
        page: "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html",
        says: "ReceiptHandleIsInvalid",
    },
];

/// Throttling, batches, conflicts and lag: as above.
const MOTO: &[Difference] = &[
    Difference {
        case: "a_transaction_with_a_token_has_its_effect_once",
        why: "ignores the token",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html",
        says: r#"String("2")"#,
    },
    Difference {
        case: "a_transaction_of_more_than_4_megabytes_is_refused",
        why: "takes it",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html",
        says: "200 where",
    },
    Difference {
        case: "a_batch_of_more_than_25_writes_is_refused",
        why: "takes it",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html",
        says: "200 where",
    },
    Difference {
        case: "a_page_that_ends_at_its_limit_has_a_key_to_go_on_from",
        why: "gives none where nothing follows",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html",
        says: "the key to go on from",
    },
    Difference {
        case: "a_number_of_more_than_38_digits_is_refused",
        why: "takes it",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html",
        says: "200 where",
    },
    Difference {
        case: "a_control_character_in_a_message_is_refused",
        why: "takes it",
        page: "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html",
        says: "200 where",
    },
    Difference {
        case: "an_item_holds_400_kilobytes_and_no_more",
        why: "holds 405,000 bytes",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html",
        says: "Refused",
    },
    Difference {
        case: "a_text_is_neither_more_nor_less_than_a_number",
        why: "fails with 500",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Condition.html",
        says: r#"Unavailable("500"#,
    },
    Difference {
        case: "a_refused_change_takes_the_others_with_it",
        why: "keeps those before it; that an update is one write, the page takes for granted",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html",
        says: "N(1)",
    },
    Difference {
        case: "an_empty_key_is_refused",
        why: "updates an item of such a key",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html",
        says: "Ok(Item",
    },
    Difference {
        case: "a_range_that_ends_before_it_begins_is_refused",
        why: "finds nothing; that AWS refuses is in the words of its error, not on the page",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html",
        says: "Ok([])",
    },
    Difference {
        case: "a_transaction_has_one_to_a_hundred_actions",
        why: "takes a transaction of none",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html",
        says: "Ok(())",
    },
    Difference {
        case: "an_index_key_of_the_wrong_type_is_refused",
        why: "takes it",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html",
        says: "Ok(())",
    },
    Difference {
        case: "the_meter_and_the_simulation_count_the_same_units",
        why: "counts one unit for whatever is written",
        page: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html",
        says: "dynamodb.PutItem",
    },
];

impl EmulatorName {
    /// Cases that fail on the emulator. AWS's documentation is the reference.
    pub(crate) const fn differences(self) -> &'static [Difference] {
        match self {
            Self::MiniStack => MINISTACK,
            Self::Moto => MOTO,
        }
    }

    /// The executable, for moto the Python that has it.
    fn program(self) -> PathBuf {
        let (variable, path) = match self {
            Self::MiniStack => ("MILLRACE_MINISTACK", ".local/ministack/bin/ministack"),
            Self::Moto => ("MILLRACE_MOTO", ".local/moto/bin/python"),
        };
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let program = env::var_os(variable).map_or_else(|| root.join(path), PathBuf::from);
        assert!(
            program.is_file(),
            "{self:?} is not at {}: run `make test`, or set {variable}",
            program.display()
        );
        program
    }

    fn command(self, port: u16) -> Command {
        let mut command = Command::new(self.program());
        let port = port.to_string();
        match self {
            Self::MiniStack => command
                .env("GATEWAY_PORT", port)
                .env("BIND_HOST", "127.0.0.1")
                .env("IOT_MTLS_ENABLED", "0")
                .env_remove("AUTH"),
            Self::Moto => command.args([
                concat!(env!("CARGO_MANIFEST_DIR"), "/contract/serve_moto.py"),
                &port,
            ]),
        };
        command
    }

    const fn health(self) -> &'static str {
        match self {
            Self::MiniStack => "/_ministack/health",
            Self::Moto => "/moto-api/data.json",
        }
    }
}

/// A running emulator on a free loopback port. Dropping it ends the process.
pub(crate) struct Emulator {
    kind: EmulatorName,
    child: Child,
    pub(crate) port: u16,
    directory: PathBuf,
}

impl Emulator {
    /// Starts the emulator and waits until it answers.
    ///
    /// # Panics
    /// When it is not installed or does not come up: a suite that was not run has shown nothing.
    pub(crate) fn start(kind: EmulatorName) -> Self {
        let port = testkit::servers::closed_port().1;
        let directory =
            env::temp_dir().join(format!("millrace-contract-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let log = File::create(directory.join("log")).unwrap();
        let child = kind
            .command(port)
            .env("TMPDIR", &directory)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut stack = Self {
            kind,
            child,
            port,
            directory,
        };
        stack.wait();
        stack
    }

    fn wait(&mut self) {
        // It takes 2 s alone.
        let give_up = Instant::now() + Duration::from_mins(10);
        while !healthy(self.port, self.kind.health()) {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > give_up {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                panic!("{:?} did not come up ({ended:?}):\n{log}", self.kind);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The table as the template declares it.
    pub(crate) fn create_table(&self) {
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let attribute =
            |name: &str, kind: &str| json!({"AttributeName": name, "AttributeType": kind});
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

    /// Runs every case and reports all that went otherwise than expected.
    pub(crate) fn run_all<T: Copy>(
        &self,
        cases: &[(&'static str, T)],
        run: impl Fn(&'static str, T),
    ) {
        let mut wrong = Vec::new();
        for &(name, case) in cases {
            let difference = self
                .kind
                .differences()
                .iter()
                .find(|difference| difference.case == name);
            let outcome = catch_unwind(AssertUnwindSafe(|| run(name, case)));
            let failure = outcome.as_ref().err().map(|panic| said(&**panic));
            wrong.extend(unexpected(failure, difference).map(|what| format!("{name}: {what}")));
        }
        assert!(
            wrong.is_empty(),
            "on {:?}:\n{}",
            self.kind,
            wrong.join("\n")
        );
    }
}

/// Returns the problem with a case that failed or passed, given the known difference.
fn unexpected(failure: Option<&str>, known: Option<&Difference>) -> Option<String> {
    match (failure, known) {
        (Some(said), None) => Some(format!("fails: {said}")),
        (Some(said), Some(known)) if !said.contains(known.says) => Some(format!(
            "fails otherwise than listed ({}): {said}",
            known.why
        )),
        (None, Some(known)) => Some(format!(
            "passes, though listed ({}; {})",
            known.why, known.page
        )),
        _ => None,
    }
}

fn healthy(port: u16, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return false;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .is_ok()
        && stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer
            .lines()
            .next()
            .is_some_and(|line| line.contains(" 200 "))
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Returns the message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&'static str>().copied())
        .unwrap_or_default()
}

#[test]
fn a_difference_that_is_gone_or_another_fails_the_suite() {
    let known = Some(&MOTO[0]);
    for (failure, known, is_expected) in [
        (None, None, true),
        (Some("left: 1, right: 2"), None, false),
        (Some(MOTO[0].says), known, true),
        (Some("connection refused"), known, false),
        (None, known, false),
    ] {
        assert_eq!(
            unexpected(failure, known).is_none(),
            is_expected,
            "{failure:?}"
        );
    }
}

#[test]
fn every_difference_names_a_case_once() {
    for kind in [EmulatorName::MiniStack, EmulatorName::Moto] {
        let mut named = BTreeSet::new();
        for difference in kind.differences() {
            let case = difference.case;
            assert!(
                crate::case_names().any(|name| name == case),
                "{kind:?}: no case is called {case}"
            );
            assert!(named.insert(case), "{kind:?}: {case} is listed twice");
            assert!(
                difference.page.starts_with("https://docs.aws.amazon.com/"),
                "{kind:?}: {case}"
            );
        }
    }
}
