//! Every target with malformed seeds.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use testkit::fuzz::wire::Wire;
use testkit::fuzz::{TARGETS, Target, answers, api, files, messages, network, stored};

use crate::malform::seeds_with_json;
use crate::{Input, config};

fn after_head(bytes: &[u8]) -> usize {
    bytes
        .windows(2)
        .position(|two| two == b"\n\n")
        .map_or(bytes.len(), |at| at + 2)
}

fn after_line(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |at| at + 1)
}

/// Possible values of a header or a parameter.
const TEXTS: &[&str] = &[
    "",
    " ",
    "-1",
    "0",
    "1e9",
    "99999999999999999999",
    "ü",
    "\u{fffd}",
    "a,b;q=0",
    "*",
    "W/\"\"",
    "gzip",
    "%00",
    "%zz",
    "..",
    "//",
    "application/json; charset=utf-16",
    "Bearer ",
    "Bearer $KEY x",
    "$KEY",
    "$KEY ",
    "job_",
    "$NATIVE",
    "$FULLENRICH",
    "0.0",
    "4294967295.4294967295",
    "wait=1, wait=2",
    "wait=99999999999",
    "\"1\"",
    "x\ty",
];

/// A changed header, or a changed part of the first line.
#[derive(Debug, Clone)]
enum Head {
    Value(Index, &'static str),
    Long(Index, usize),
    Add(&'static str, &'static str),
    Method(&'static str),
    Segment(Index, &'static str),
    Query(&'static str, &'static str),
}

fn head() -> impl Strategy<Value = Head> {
    const HEADERS: &[&str] = &[
        "accept",
        "idempotency-key",
        "prefer",
        "if-none-match",
        "content-type",
        "content-encoding",
        "x-api-key",
        "authorization",
        "",
    ];
    const PARAMETERS: &[&str] = &["limit", "cursor", "wait", "status", "forceResults", ""];
    let at = any::<Index>;
    prop_oneof![
        (at(), select(TEXTS)).prop_map(|(at, text)| Head::Value(at, text)),
        (at(), select(&[1_usize, 255, 256, 5000][..])).prop_map(|(at, n)| Head::Long(at, n)),
        (select(HEADERS), select(TEXTS)).prop_map(|(name, text)| Head::Add(name, text)),
        select(&["GET", "POST", "DELETE", "PUT", "HEAD", "get", ""][..]).prop_map(Head::Method),
        (at(), select(TEXTS)).prop_map(|(at, text)| Head::Segment(at, text)),
        (select(PARAMETERS), select(TEXTS)).prop_map(|(name, text)| Head::Query(name, text)),
    ]
}

fn with_head(input: &Input, head: &Head) -> Input {
    let mut wire = Wire::parse(&input.0);
    let (method, target) = wire.first.split_once(' ').unwrap_or(("POST", &wire.first));
    let (method, target) = (method.to_owned(), target.to_owned());
    let count = wire.headers.len().max(1);
    match head {
        Head::Value(at, text) => {
            wire.headers
                .get_mut(at.index(count))
                .into_iter()
                .for_each(|header| (*text).clone_into(&mut header.1));
        }
        Head::Long(at, n) => {
            wire.headers
                .get_mut(at.index(count))
                .into_iter()
                .for_each(|header| header.1 = "ü".repeat(*n));
        }
        Head::Add(name, text) => wire
            .headers
            .insert(0, ((*name).to_owned(), (*text).to_owned())),
        Head::Method(method) => wire.first = format!("{method} {target}"),
        Head::Segment(at, text) => {
            let mut segments: Vec<&str> = target.split('/').collect();
            let at = at.index(segments.len());
            segments[at] = text;
            wire.first = format!("{method} {}", segments.join("/"));
        }
        Head::Query(name, text) => {
            let separator = if target.contains('?') { '&' } else { '?' };
            wire.first = format!("{method} {target}{separator}{name}={text}");
        }
    }
    Input(wire.render())
}

fn requests() -> impl Strategy<Value = Input> {
    let body = seeds_with_json("api", after_head);
    prop_oneof![
        3 => body,
        1 => (seeds_with_json("api", <[u8]>::len), head())
            .prop_map(|(input, change)| with_head(&input, &change)),
    ]
}

/// Seeds of any target with a few bytes changed, added or removed.
fn scratched() -> impl Strategy<Value = (&'static str, Input)> {
    let all = TARGETS.iter().flat_map(|target| {
        testkit::fuzz::seeds(target.name)
            .into_iter()
            .map(|(_, bytes)| (target.name, bytes))
    });
    // Those that work on jobs have their own tests, and the large ones take long.
    let small = all
        .filter(|(_, bytes)| bytes.len() < 4096)
        .filter(|(name, _)| !matches!(*name, "messages" | "receiver_answer"));
    let scratch = (any::<Index>(), 0..3_u8, any::<u8>());
    (select(small.collect::<Vec<_>>()), vec(scratch, 1..4)).prop_map(
        |((name, mut bytes), scratches)| {
            for (at, what, byte) in scratches {
                let at = at.index(bytes.len() + 1);
                match what {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    _ if at < bytes.len() => bytes[at] = byte,
                    _ => {}
                }
            }
            (name, Input(bytes))
        },
    )
}

/// URLs of parts that parsers disagree on.
fn urls() -> impl Strategy<Value = Input> {
    const PARTS: &[&str] = &[
        "https",
        "http",
        "://",
        ":",
        "/",
        "//",
        "\\",
        "@",
        "?",
        "#",
        ".",
        "..",
        "%2e",
        "%31",
        "%00",
        "127",
        "0x7f",
        "0177",
        "1",
        "0",
        "169.254.169.254",
        "[::1]",
        "[::ffff:",
        "]",
        "localhost",
        "example.com",
        "xn--",
        "ü",
        "①",
        "。",
        "\u{ad}",
        "\t",
        "\n",
        " ",
        "a",
        "25",
        "443",
        "65536",
        "user:pw",
    ];
    vec(select(PARTS), 1..9)
        .prop_map(|parts| Input([&b"https://"[..], parts.concat().as_bytes()].concat()))
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn every_request_is_answered_as_its_surface_documents(input in requests()) {
        api::request(&input.0);
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn a_batch_of_messages_fails_message_by_message(input in seeds_with_json("messages", |_| 0)) {
        messages::batch(&input.0);
    }

    #[test]
    fn a_record_ends_whatever_its_provider_answers(
        input in seeds_with_json("provider_answer", after_head),
    ) {
        answers::of_a_provider(&input.0);
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn events_of_the_gateway_are_answered(input in seeds_with_json("gateway", |_| 0)) {
        api::gateway_event(&input.0);
    }

    #[test]
    fn a_value_stays_in_its_place_of_a_providers_request(
        input in seeds_with_json("provider_input", |_| 0),
    ) {
        answers::input_of_a_provider(&input.0);
    }

    #[test]
    fn lines_of_json_are_records_or_faults(input in seeds_with_json("ndjson", after_line)) {
        files::ndjson(&input.0);
    }

    #[test]
    fn no_url_leads_inside(input in urls()) {
        network::url(&input.0);
    }

    #[test]
    fn items_of_any_version_are_read_or_refused(input in seeds_with_json("item", after_line)) {
        stored::item(&input.0);
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn a_scratch_does_no_harm((name, input) in scratched()) {
        let target: &Target = TARGETS.iter().find(|target| target.name == name).expect("a target");
        (target.run)(&input.0);
    }

    #[test]
    fn no_address_inside_is_permitted(octets in any::<[u8; 16]>()) {
        network::url(&octets);
    }
}
