//! The bodies of `ApiOne` against node: bodies of generated requests and answers must be what
//! `JSON.stringify(JSON.parse(body))` makes of them, byte for byte, and say what a JavaScript
//! client would have read from what was sent.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use shared::catalog::Catalog;
use shared::catalog::Config;
use shared::domain::delivery::EventType;
use shared::domain::error::ApiError;
use shared::domain::ids::{JobId, TenantId};
use shared::domain::job::{End, Entry, Job, JobView, ResultLine, Spec, Status, Submission};
use shared::domain::progress::Counts;
use shared::domain::record::{Blanks, MAX_DEPTH, Outcome, OutcomeError, OutcomeStatus, Record};
use shared::domain::signature::Secret;
use shared::domain::time::Timestamp;
use shared::ports::{Entropy, HttpSender};
use shared::providers::kinds::READERS;
use shared::surfaces::common::message::ApiRequest;
use shared::surfaces::{Call, Event, Reading, Shown, Signing, Surface, apione};
use testkit::sim::{Sim, SimEntropy};

use crate::receiver::node;

const SURFACE: &Surface = &apione::SURFACE;
const PAYLOADS: usize = 10_000;

/// Spellings of numbers: around 2^53, zeros, where notations change, subnormals, the ends of
/// integers and doubles.
const NUMBERS: [&str; 44] = [
    "0",
    "-0",
    "-0.0",
    "-0e5",
    "0E+0",
    "1",
    "-1",
    "1.0",
    "10.50",
    "1e5",
    "1E-5",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "9007199254740994",
    "9007199254740995",
    "18014398509481985",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "100000000000000000000",
    "999999999999999868928",
    "999999999999999934464",
    "1e20",
    "1e21",
    "1e22",
    "-1e21",
    "123456789012345678901234567890",
    "0.000001",
    "0.0000015",
    "1e-6",
    "1e-7",
    "9.5e-7",
    "5e-324",
    "4.9406564584124654e-324",
    "2e-324",
    "2.225073858507201e-308",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "0.1000000000000000055511151231257827021181583404541015625",
];

/// Names: array indices, names that resemble them, and members of every JavaScript object.
const NAMES: [&str; 30] = [
    "0",
    "1",
    "2",
    "9",
    "10",
    "00",
    "01",
    "-0",
    "-1",
    "1.0",
    "1e3",
    " 1",
    "+1",
    "4294967293",
    "4294967294",
    "4294967295",
    "4294967296",
    "42949672940",
    "9007199254740991",
    "__proto__",
    "toJSON",
    "constructor",
    "length",
    "hasOwnProperty",
    "",
    "a",
    "b",
    "domain",
    "company",
    "firstName",
];

/// Pieces of texts as JSON writes them.
const PIECES: [&str; 36] = [
    "a",
    "Z",
    "0",
    " ",
    "/",
    "\\/",
    "\\\\",
    "\\\"",
    "\\b",
    "\\t",
    "\\n",
    "\\f",
    "\\r",
    "\\u0000",
    "\\u0001",
    "\\u000B",
    "\\u001f",
    "\\u0020",
    "\\u007F",
    "\u{7f}",
    "\\u2028",
    "\u{2028}",
    "\\u2029",
    "\u{2029}",
    "\\u00e9",
    "é",
    "\u{feff}",
    "\\uFEFF",
    "\\ud83d\\ude00",
    "\u{1f600}",
    "\u{10ffff}",
    "\\uDBFF\\uDFFF",
    "\u{fffd}",
    "\\ufffe",
    "</script>",
    "e\u{301}",
];

/// Writes JSON texts that no library would: names twice, numbers in odd spellings, escapes where
/// none are needed.
struct Writer<'a>(&'a SimEntropy);

impl Writer<'_> {
    fn one<'t>(&self, of: &[&'t str]) -> &'t str {
        of[self.0.below(of.len())]
    }

    fn chance(&self, in_so_many: usize) -> bool {
        self.0.below(in_so_many) == 0
    }

    fn number(&self) -> String {
        match self.0.below(6) {
            0..=2 => self.one(&NUMBERS).to_owned(),
            3 => {
                let near = (1_i64 << 53) - 20 + i64::try_from(self.0.below(40)).unwrap();
                (if self.chance(2) { near } else { -near }).to_string()
            }
            4 => {
                let digits: String = (0..=self.0.below(25))
                    .map(|_| char::from(b'0' + self.digit()))
                    .collect();
                let digits = digits.trim_start_matches('0');
                let whole = if digits.is_empty() { "0" } else { digits };
                if self.chance(2) {
                    whole.to_owned()
                } else {
                    format!("{whole}.{}0", self.digit())
                }
            }
            _ => {
                // A double of any bits, subnormals as often as not.
                let bits = self.0.next();
                let double = f64::from_bits(if self.chance(2) {
                    bits & 0x800f_ffff_ffff_ffff
                } else {
                    bits
                });
                if double.is_finite() {
                    format!("{double:e}")
                } else {
                    "1e308".to_owned()
                }
            }
        }
    }

    fn digit(&self) -> u8 {
        u8::try_from(self.0.below(10)).unwrap()
    }

    fn text(&self) -> String {
        (0..self.0.below(8)).map(|_| self.one(&PIECES)).collect()
    }

    fn name(&self) -> String {
        if self.chance(5) {
            self.text()
        } else {
            self.one(&NAMES).to_owned()
        }
    }

    fn scalar(&self) -> String {
        match self.0.below(8) {
            0 => self.one(&["null", "true", "false"]).to_owned(),
            1..=3 => format!("\"{}\"", self.text()),
            _ => self.number(),
        }
    }

    /// A value that nests so deep at most.
    fn value(&self, depth: usize) -> String {
        match self.0.below(8) {
            0 if depth > 0 => self.object(depth),
            1 if depth > 0 => {
                let items: Vec<String> = (0..self.0.below(4))
                    .map(|_| self.value(depth - 1))
                    .collect();
                format!("[{}]", items.join(&self.space()))
            }
            _ => self.scalar(),
        }
    }

    fn space(&self) -> String {
        self.one(&[",", ", ", " ,\n\t"]).to_owned()
    }

    /// An object of at most this depth, itself counted; its names are in any order and may repeat.
    fn object(&self, depth: usize) -> String {
        let members: Vec<String> = (0..self.0.below(9))
            .map(|_| format!("\"{}\": {}", self.name(), self.value(depth - 1)))
            .collect();
        format!("{{{}}}", members.join(&self.space()))
    }

    /// An object that nests exactly so deep.
    fn deep(&self, depth: usize) -> String {
        let mut text = self.scalar();
        for _ in 1..depth {
            text = if self.chance(2) {
                format!("[{text}]")
            } else {
                format!("{{\"b\":0,\"{}\":{text}}}", self.name())
            };
        }
        format!("{{\"deep\":{text}}}")
    }

    /// A value that a client sends for a record, or a provider finds.
    fn members(&self, deepest: usize) -> String {
        if self.chance(20) {
            self.deep(deepest)
        } else {
            self.object(4)
        }
    }
}

fn array(texts: &[String]) -> String {
    format!("[{}]", texts.join(","))
}

/// Returns the surface's reading of a request with these records.
fn submitted(
    records: &str,
    catalog: &Catalog,
    http: &dyn HttpSender,
) -> Result<Submission, ApiError> {
    let request = request(
        "POST",
        "/api/v1/async/enrich",
        format!("{{\"type\":\"company\",\"records\":{records}}}"),
    );
    let read = SURFACE.routes.iter().find_map(|route| match route.call {
        Call::Submit { read, .. } => Some(read),
        _ => None,
    });
    read.unwrap()(
        &request,
        &Reading {
            surface: SURFACE,
            catalog,
            http,
        },
    )
}

fn request(method: &str, path: &str, body: String) -> ApiRequest {
    ApiRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: body.into_bytes(),
        request_id: "req-1".to_owned(),
    }
}

/// Returns it as the table stores it.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn job(lines: &[ResultLine], dice: &SimEntropy) -> JobView {
    let mut random = [0; 10];
    dice.fill(&mut random);
    let at = Timestamp(1_767_225_600_000 + i64::try_from(dice.below(1_000_000_000)).unwrap());
    let status = [
        Status::Completed,
        Status::Completed,
        Status::Canceled,
        Status::Failed,
        Status::Expired,
    ][dice.below(5)];
    let mut counts = Counts::default();
    for line in lines {
        counts.count(line.outcome.status);
    }
    let spec = Spec {
        id: JobId::new(at, random),
        tenant: TenantId::parse("acme").unwrap(),
        surface: SURFACE.name.to_owned(),
        kind: "company".to_owned(),
        operation: None,
        name: None,
        webhook: None,
        record_webhook: None,
        providers: None,
        total: u32::try_from(lines.len()).unwrap(),
        chunks: 1,
        reserved: 0,
        price: 1,
        created_at: at,
        run_until: at,
        expires_at: Timestamp(i64::MAX),
        retry_of: None,
        unconfigured: None,
        short_of_credits: false,
        form: None,
        blanks: Blanks::Absent,
        phone_details: true,
        settings: std::collections::BTreeMap::new(),
    };
    let error = (status == Status::Failed).then(|| "no provider: \u{2028}\"\u{1f600}\"".to_owned());
    let end = End {
        at,
        counts,
        credits: dice.next() >> dice.below(64),
        bytes: 1,
        public_bytes: None,
        error,
    };
    let job = Job {
        spec,
        status,
        started_at: Some(at),
        end: Some(end),
        due: None,
        seen: 0,
        window: std::time::Duration::ZERO,
        shards_done: 0,
    };
    JobView::new(job, shared::domain::progress::Progress::default())
}

#[test]
fn every_body_is_what_javascript_makes_of_it_and_signed_as_that() {
    let sim = Sim::new(1);
    let catalog = Catalog::of(
        &Config::parse(
            READERS,
            "t",
            "[types.t]\ninputs = [[\"domain\"]]\nunconfigured = \"x\"\nwaterfall = []\n",
        )
        .unwrap(),
    );
    let show = SURFACE.routes.iter().find_map(|route| match route.call {
        Call::Job { show, .. } => Some(show),
        _ => None,
    });
    let dice = SimEntropy::new(2026);
    let writer = Writer(&dice);
    let (mut given, mut naive) = (Vec::with_capacity(2 * PAYLOADS), Vec::new());
    for n in 0..PAYLOADS {
        // The array of records, their object and whatever is in it nest less than 64 levels
        // together.
        let sent: Vec<String> = (0..=dice.below(3))
            .map(|_| writer.members(MAX_DEPTH - 2))
            .collect();
        let records = array(&sent);
        let submission = submitted(&records, &catalog, sim.http.as_ref())
            .unwrap_or_else(|e| panic!("{e:?}: {records}"));
        let mut found = Vec::new();
        let lines: Vec<ResultLine> = (0..)
            .zip(submission.records)
            .map(|(index, record)| {
                let status = OutcomeStatus::ALL[dice.below(OutcomeStatus::ALL.len())];
                let (data, error): (Map<String, Value>, _) = if status == OutcomeStatus::Found {
                    // A member of a found field's value nests 64 levels at most, and the fields are
                    // an object.
                    let text = writer.members(MAX_DEPTH + 1);
                    found.push(text);
                    (serde_json::from_str(found.last().unwrap()).unwrap(), None)
                } else {
                    found.push("null".to_owned());
                    let detail =
                        serde_json::from_str::<String>(&format!("\"{}\"", writer.text())).unwrap();
                    (
                        Map::new(),
                        dice.next()
                            .is_multiple_of(2)
                            .then(|| OutcomeError::new("provider_error", detail)),
                    )
                };
                let outcome = Outcome {
                    status,
                    data,
                    sources: Vec::new(),
                    credits: 1,
                    error,
                };
                ResultLine {
                    index,
                    record: stored::<Record>(&record),
                    outcome: stored(&outcome),
                }
            })
            .collect();
        let view = job(&lines, &dice);
        let kind = match view.job.status {
            Status::Completed => EventType::JobCompleted,
            Status::Canceled => EventType::JobCanceled,
            _ => EventType::JobFailed,
        };
        let end = view.job.end.as_ref().unwrap();
        let event = Event {
            kind,
            at: end.at,
            job: Some(&view),
            results: Some(&lines),
        };
        let body = (SURFACE.body)(&event);
        assert_eq!(body, (SURFACE.body)(&event));
        let (mut random, id) = ([0; 32], view.job.spec.id.event(0));
        dice.fill(&mut random);
        let secret = Secret::new(&random);
        let signing = Signing {
            secrets: &[&secret],
            own: &[],
            id: &id,
            event: kind,
            attempt: 1,
            at: end.at,
            body: &body,
        };
        let signature = (SURFACE.sign)(&signing)
            .into_iter()
            .find(|(n, _)| n == "x-apione-signature")
            .unwrap()
            .1;
        let body = String::from_utf8(body).unwrap();
        if n % 10 == 0 {
            naive.push(
                json!({"body": serde_json::from_str::<Value>(&records).unwrap().to_string()}),
            );
        }
        given.push(json!({
            "body": body, "signature": signature, "secret": secret.reveal(), "records": records,
            "data": array(&found),
        }));

        let entries: Vec<Entry> = lines
            .into_iter()
            .map(|l| Entry {
                index: l.index,
                record: l.record,
                outcome: Some(l.outcome),
            })
            .collect();
        let request = request("GET", "/api/v1/async/status/x", String::new());
        let shown = Shown {
            request: &request,
            view: &view,
            records: Some(&entries),
            now: end.at,
        };
        let status = show.unwrap()(&shown).unwrap();
        let status = String::from_utf8(status.body).unwrap();
        given.push(json!({"body": status, "records": records, "data": array(&found)}));
    }
    let said = node("apione.mjs", &given);
    let wrong: Vec<_> = said
        .iter()
        .zip(&given)
        .filter(|(said, _)| *said != "good")
        .collect();
    let shown = wrong
        .iter()
        .take(3)
        .fold(String::new(), |mut text, (said, given)| {
            let _ = writeln!(text, "{said}: {given}");
            text
        });
    assert!(
        wrong.is_empty(),
        "{} of {}\n{shown}",
        wrong.len(),
        given.len()
    );
    // The check can fail: what serde_json writes of the same records does, by order or notation.
    let plain = node("apione.mjs", &naive)
        .iter()
        .filter(|said| *said == "bytes")
        .count();
    println!(
        "{} bodies are fixed points; {plain} of {} plain ones are not",
        given.len(),
        naive.len()
    );
    assert!(
        plain > naive.len() / 2,
        "only {plain} of {} plain bodies are no fixed point",
        naive.len()
    );
}

#[test]
fn the_receiver_refuses_what_is_not_signed_so() {
    let secret = Secret::new(&[7; 32]);
    let sign = |secrets: &[&Secret], body: &str| {
        let signing = Signing {
            secrets,
            own: &[],
            id: "evt_1",
            event: EventType::JobCompleted,
            attempt: 1,
            at: Timestamp(0),
            body: body.as_bytes(),
        };
        (SURFACE.sign)(&signing)
            .into_iter()
            .find(|(n, _)| n == "x-apione-signature")
            .unwrap()
            .1
    };
    let given = |body: &str, signature: &str, secret: &str| {
        json!({"body": body,
        "signature": signature, "secret": secret})
    };
    let (body, other) = ("{\"a\":1}", "{\"a\":2}");
    let good = sign(&[&secret], body);
    let said = node(
        "apione.mjs",
        &[
            given(body, &good, secret.reveal()),
            given(other, &good, secret.reveal()),
            given(body, &good, secret.reveal().trim_start_matches("whsec_")),
            given(body, &good["sha256=".len()..], secret.reveal()),
            given(
                "{\"a\":1.0}",
                &sign(&[&secret], "{\"a\":1.0}"),
                secret.reveal(),
            ),
        ],
    );
    assert_eq!(
        said,
        [
            "good",
            "signature",
            "signature",
            "signature",
            "bytes,signature"
        ]
    );
}

#[test]
fn what_no_javascript_value_holds_is_refused_and_not_changed() {
    let sim = Sim::new(1);
    let catalog = Catalog::of(
        &Config::parse(
            READERS,
            "t",
            "[types.t]\ninputs = [[\"domain\"]]\nunconfigured = \"x\"\nwaterfall = []\n",
        )
        .unwrap(),
    );
    let read = |record: &str| submitted(&format!("[{record}]"), &catalog, sim.http.as_ref());
    for record in [
        "{\"n\": 1e400}",
        "{\"n\": -1e400}",
        "{\"n\": 123456789e301}",
        r#"{"s": "\ud83d"}"#,
        r#"{"s": "\ude00\ud83d"}"#,
        r#"{"\ud83dx": 1}"#,
        r#"{"s": "\ud83d\ud83d\ude00"}"#,
        &format!(
            "{{\"deep\":{}{}}}",
            "[".repeat(MAX_DEPTH),
            "]".repeat(MAX_DEPTH)
        ),
    ] {
        assert!(
            matches!(read(record), Err(ApiError::Malformed { .. })),
            "{record}"
        );
    }
    let writer_deepest = format!(
        "{{\"deep\":{}{}}}",
        "[".repeat(MAX_DEPTH - 3),
        "]".repeat(MAX_DEPTH - 3)
    );
    assert!(read(&writer_deepest).is_ok());
}
