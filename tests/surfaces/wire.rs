//! Requests as clients and what stands between put them on the wire, on every surface.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::callback::{CallbackFor, KEY_BYTES};
use shared::domain::ids::JobId;
use shared::domain::json;
use shared::domain::record::FailureCode;
use shared::domain::time::Timestamp;
use shared::lambda::http::ApiResponse;
use shared::providers::Answer;
use shared::surfaces::SURFACES;
use testkit::harness::{HOOK, ServedApi, World, body, found};

const OPERATIONS: &str = "
[operations.apione]
company = \"any\"
[operations.sixtyfour]
find_email = \"any\"
enrich_lead = \"any\"
[operations.springbolt]
enrichment = \"any\"
[operations.fullenrich]
enrich = \"any\"
";

/// Values that a reader changes if it parses numbers, or treats some names as its own.
const ODD: &str = r#"{"big":-123456789012345678901234567890,"long":0.12345678901234567890123456789,"far":1e400,"capital":-1.50E+07,"zero":-0,"plain":[1,1.0,18446744073709551615],"key":{"$serde_json::private::Number":"1"},"raw":{"$serde_json::private::RawValue":"[1,"}}"#;

fn served() -> ServedApi {
    ServedApi::new(World::new(), SURFACES, OPERATIONS, |input| {
        let broken = input.get("domain").and_then(Value::as_str) == Some("broken.example");
        let odd = json::read(ODD.as_bytes()).unwrap();
        let answer = if broken {
            Answer::Failed {
                code: FailureCode::ProviderError,
                detail: "out of order".to_owned(),
            }
        } else {
            found(json::object([
                ("name", "x".into()),
                ("found_odd", odd.clone()),
                ("profile", odd),
            ]))
        };
        (Duration::ZERO, answer)
    })
}

/// Path and body of a submission on each surface, the native one first.
fn submissions() -> [(&'static str, String); 6] {
    let half = r#""\ud800""#;
    [
        (
            "/v1/jobs",
            format!(
                r#"{{"type":"any","records":[{{"id":"a","input":{{"domain":"a.example"}},"metadata":{{"odd":{ODD},"half":{half}}}}}],
                "webhook_url":"{HOOK}","webhook_events":{{"record.finished":"{HOOK}?record"}}}}"#
            ),
        ),
        (
            "/find-email-async",
            format!(
                r#"{{"lead":{{"name":"J","half":{half},"odd":{ODD}}},"webhook_url":"{HOOK}"}}"#
            ),
        ),
        (
            "/people-intelligence-async",
            format!(
                r#"{{"lead_info":{{"name":"J","odd":{ODD}}},"struct":{{"found_odd":"it"}},"webhook_url":"{HOOK}"}}"#
            ),
        ),
        (
            "/enrichment",
            format!(r#"{{"companyName":"A","half":{half},"odd":{ODD},"callbackUrl":"{HOOK}"}}"#),
        ),
        (
            "/api/v2/contact/enrich/bulk",
            format!(
                r#"{{"name":"b","webhook_url":"{HOOK}","data":[{{"first_name":"J","last_name":"S","domain":"a.example","linkedin_url":
                "https://www.linkedin.com/in/j","odd":{ODD},"custom":{{"half":{half}}}}}]}}"#
            ),
        ),
        (
            "/api/v1/async/enrich",
            format!(
                r#"{{"type":"company","records":[{{"domain":"a.example","n":{}}}],"webhook_url":"{HOOK}"}}"#,
                "[123456789012345678901234567890,1.50E+07,1.0]"
            ),
        ),
    ]
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn send(
    served: &mut ServedApi,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> ApiResponse {
    let key = served.key().to_owned();
    let bearer = format!("Bearer {key}");
    let own = [("x-api-key", key.as_str()), ("authorization", &bearer)];
    served.call(method, path, &[&own, headers].concat(), body)
}

fn of<'r>(response: &'r ApiResponse, name: &str) -> Option<&'r str> {
    response
        .headers
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value.as_str())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_was_sent_and_found_is_told_as_it_was_written_on_every_surface() {
    for (path, sent) in submissions() {
        for packing in ["", "bom", "gzip"] {
            let marked = format!("{}{sent}", if packing.is_empty() { "" } else { "\u{feff}" });
            let mut served = served();
            let response = if packing == "gzip" {
                send(
                    &mut served,
                    "POST",
                    path,
                    &[("content-encoding", "GZip")],
                    &packed(marked.as_bytes()),
                )
            } else {
                send(&mut served, "POST", path, &[], marked.as_bytes())
            };
            assert!(
                (200..300).contains(&response.status),
                "{path} {packing}: {}",
                text(&response.body)
            );
            served.settle();
            let exchanges = served.world.receiver.exchanges();
            assert!(!exchanges.is_empty(), "{path}");
            for reported in exchanges.iter().map(|exchange| text(&exchange.body)) {
                if path == "/api/v1/async/enrich" {
                    let numbers = "[1.2345678901234568e+29,15000000,1]";
                    assert!(
                        reported.contains(numbers) && reported.contains("\"far\":null"),
                        "{reported}"
                    );
                    continue;
                }
                // As sent, and as found; an agent's answer has no echo.
                let both = if path == "/people-intelligence-async" {
                    1
                } else {
                    2
                };
                assert!(reported.matches(ODD).count() >= both, "{path}: {reported}");
                assert!(
                    both == 1 || reported.contains("\"half\":\"\u{fffd}\""),
                    "{path}: {reported}"
                );
            }
        }
    }
}

#[test]
fn results_deliveries_and_retries_have_it_as_it_was_written() {
    let mut served = served();
    let (path, sent) = &submissions()[0];
    let sent = sent.replacen(
        "{\"id\"",
        r#"{"id":"b","input":{"domain":"broken.example"},"metadata":{"n":1E400}},{"id""#,
        1,
    );
    let job = body(&send(&mut served, "POST", path, &[], sent.as_bytes()), 202);
    served.settle();
    let results = format!("/v1/jobs/{}/results", job["id"].as_str().unwrap());
    for (accept, kind, shown) in [
        ("application/json", "application/json", ODD.to_owned()),
        (
            "application/x-ndjson",
            "application/x-ndjson",
            ODD.to_owned(),
        ),
        ("Application/NDJSON", "application/ndjson", ODD.to_owned()),
        (
            "application/json;q=0.5, application/jsonl",
            "application/jsonl",
            ODD.to_owned(),
        ),
        (
            "application/x-jsonlines",
            "application/x-jsonlines",
            ODD.to_owned(),
        ),
        (
            "text/*;q=0.9, */*;q=0.1",
            "text/csv; charset=utf-8",
            ODD.replace('"', "\"\""),
        ),
    ] {
        let response = send(&mut served, "GET", &results, &[("accept", accept)], b"");
        assert_eq!(
            (response.status, of(&response, "content-type")),
            (200, Some(kind)),
            "{accept}"
        );
        let page = text(&response.body);
        assert_eq!(page.matches(&shown).count(), 3, "{accept}: {page}");
        assert!(page.contains("1E400"), "{page}");
    }
    let retried = body(
        &send(
            &mut served,
            "POST",
            &results.replace("results", "retry"),
            &[],
            b"",
        ),
        202,
    );
    served.settle();
    let results = format!("/v1/jobs/{}/results", retried["id"].as_str().unwrap());
    let page = text(&send(&mut served, "GET", &results, &[], b"").body);
    assert!(page.contains(r#""metadata":{"n":1E400}"#), "{page}");
}

#[test]
fn one_key_is_for_what_a_body_unpacks_to() {
    let mut served = served();
    let (path, sent) = &submissions()[0];
    let key = ("idempotency-key", "k");
    let first = body(
        &send(&mut served, "POST", path, &[key], sent.as_bytes()),
        202,
    );
    let gzip = ("content-encoding", "gzip");
    let again = body(
        &send(
            &mut served,
            "POST",
            "/v1/jobs/",
            &[key, gzip],
            &packed(sent.as_bytes()),
        ),
        202,
    );
    assert_eq!(again["id"], first["id"]);
    let other = send(
        &mut served,
        "POST",
        path,
        &[key, gzip],
        &packed(format!("{sent} ").as_bytes()),
    );
    assert_eq!(other.status, 422, "{}", text(&other.body));
}

#[test]
fn what_cannot_be_unpacked_is_refused_in_each_surfaces_form() {
    let mut served = served();
    let before = served.world.sim.store.items();
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    for (path, sent) in submissions() {
        let whole = packed(sent.as_bytes());
        let cut = &whole[..whole.len() / 2];
        for (coding, bytes, status) in [
            ("br", sent.as_bytes(), 415),
            ("gzip, gzip", &whole, 415),
            ("gzip", &packed(&large), 413),
            ("gzip", cut, 400),
            ("gzip", sent.as_bytes(), 400),
        ] {
            let answer = send(
                &mut served,
                "POST",
                path,
                &[("content-encoding", coding)],
                bytes,
            );
            let form = path.ends_with("-async") && status == 400;
            let status = if form { 422 } else { status };
            assert_eq!(
                answer.status,
                status,
                "{path} {coding}: {}",
                text(&answer.body)
            );
            assert_eq!(
                of(&answer, "accept-encoding"),
                (status == 415).then_some("gzip"),
                "{path} {coding}"
            );
            let plain = send(&mut served, "POST", path, &[], b"[]");
            let names = |response: &ApiResponse| {
                let body = json::read(&response.body).unwrap();
                body.as_object()
                    .unwrap()
                    .keys()
                    .filter(|name| *name != "errors")
                    .cloned()
                    .collect::<Vec<_>>()
            };
            assert_eq!(names(&answer), names(&plain), "{path} {coding}");
        }
        let unknown = [
            ("content-encoding", "br"),
            ("x-api-key", "none"),
            ("authorization", "Bearer none"),
        ];
        let answer = served.call("POST", path, &unknown, b"x");
        assert_eq!(answer.status, 401, "the key is checked first");
    }
    assert_eq!(served.world.sim.store.items(), before);
}

#[test]
fn an_upstreams_post_may_have_a_mark_in_front_and_be_packed() {
    let mut served = served();
    let of = CallbackFor {
        job: JobId::new(Timestamp(1_767_225_600_000), [9; 10]),
        chunk: 0,
        at: 0,
        provider: "any".to_owned(),
    };
    let url = of.url("", &[7; KEY_BYTES]);
    let gzip = ("content-encoding", "gzip");
    // 404: the body was read, and no record waits for it.
    for (headers, body, status) in [
        (
            &[][..],
            "\u{feff}{\"n\":1e400,\"half\":\"\\ud800\"}"
                .as_bytes()
                .to_vec(),
            404,
        ),
        (&[gzip], packed("\u{feff}{}".as_bytes()), 404),
        (&[gzip], b"{}".to_vec(), 400),
        (&[gzip], packed(&vec![b' '; 256 * 1024 + 1]), 413),
        (&[("content-encoding", "zstd")], b"{}".to_vec(), 415),
    ] {
        assert_eq!(
            served.call("POST", &url, headers, &body).status,
            status,
            "{headers:?}"
        );
        assert_eq!(
            served
                .call("POST", &format!("/{url}/"), headers, &body)
                .status,
            status,
            "{headers:?}"
        );
    }
}

#[test]
fn head_is_answered_like_get_without_a_body_and_without_waiting() {
    let mut served = served();
    let (path, sent) = &submissions()[0];
    let job = body(&send(&mut served, "POST", path, &[], sent.as_bytes()), 202);
    let shown = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let results = format!("{shown}/results");
    let began = served.world.now();
    let waiting = send(
        &mut served,
        "HEAD",
        &format!("{shown}?wait=25"),
        &[("prefer", "wait=25")],
        b"",
    );
    assert_eq!(
        (waiting.status, waiting.body.len(), served.world.now()),
        (200, 0, began)
    );
    served.settle();
    for path in [
        "/v1/jobs",
        &shown,
        &results,
        "/v1/account",
        "/api/v2/account/credits",
        "/v1/jobs/none",
        "/nowhere",
    ] {
        let get = send(&mut served, "GET", path, &[("accept", "text/csv")], b"");
        let head = send(&mut served, "HEAD", path, &[("accept", "text/csv")], b"");
        assert_eq!(
            (head.status, &head.headers, head.body.len()),
            (get.status, &get.headers, 0),
            "{path}"
        );
    }
    let tag = of(&send(&mut served, "HEAD", &shown, &[], b""), "etag")
        .unwrap()
        .to_owned();
    assert_eq!(
        send(&mut served, "HEAD", &shown, &[("if-none-match", &tag)], b"").status,
        304
    );
    let refused = send(&mut served, "HEAD", "/v1/webhooks/test", &[], b"");
    assert_eq!(
        (refused.status, of(&refused, "allow"), refused.body.len()),
        (405, Some("POST"), 0)
    );
}

#[test]
fn slashes_too_many_change_nothing() {
    let mut served = served();
    for (path, sent) in submissions() {
        for written in [
            format!("{path}/"),
            format!("/{path}"),
            path.replace('/', "//"),
            format!("{path}///"),
        ] {
            let response = send(&mut served, "POST", &written, &[], sent.as_bytes());
            assert!(
                (200..300).contains(&response.status),
                "{written}: {}",
                text(&response.body)
            );
        }
    }
    let page = body(
        &send(&mut served, "GET", "/v1/jobs/?limit=1", &[], b""),
        200,
    );
    let job = page["jobs"][0]["id"].as_str().unwrap().to_owned();
    for path in [
        format!("/v1/jobs/{job}/"),
        format!("//v1//jobs//{job}"),
        format!("/v1/jobs/{job}/results/"),
    ] {
        assert_eq!(
            send(&mut served, "GET", &path, &[], b"").status,
            200,
            "{path}"
        );
    }
    for path in ["", "/", "//", "/v1", "/v1/", "/v1/jobsx"] {
        assert_eq!(
            send(&mut served, "GET", path, &[], b"").status,
            404,
            "{path:?}"
        );
    }
}

#[test]
fn a_base_path_stands_in_front_of_routes_and_of_what_the_caller_is_told() {
    for (url, base) in [
        ("https://api.example", ""),
        ("https://api.example/enrich", "/enrich"),
        ("https://api.example/a/b", "/a/b"),
        ("https://api.example/v1", "/v1"),
    ] {
        let mut served = served();
        served.world.ports.public_url = Some(url.to_owned());
        served.api.ports.public_url = Some(url.to_owned());
        // With the mapping's value in the path, and without it.
        for front in [base, "", "/"] {
            for (path, sent) in submissions() {
                let response = send(
                    &mut served,
                    "POST",
                    &format!("{front}{path}"),
                    &[],
                    sent.as_bytes(),
                );
                assert!(
                    (200..300).contains(&response.status),
                    "{front}{path}: {}",
                    text(&response.body)
                );
            }
        }
        let (path, sent) = &submissions()[0];
        let two = sent.replacen(
            "{\"id\"",
            r#"{"id":"b","input":{"domain":"b.example"}},{"id""#,
            1,
        );
        let made = send(
            &mut served,
            "POST",
            &format!("{base}{path}"),
            &[],
            two.as_bytes(),
        );
        let job = body(&made, 202);
        let id = job["id"].as_str().unwrap().to_owned();
        assert_eq!(
            of(&made, "location"),
            Some(format!("{base}/v1/jobs/{id}").as_str())
        );
        let results = format!("{base}/v1/jobs/{id}/results");
        assert_eq!(job["results_url"], results);
        served.settle();
        let reported = served.world.receiver.exchanges();
        let reported = reported
            .iter()
            .map(|exchange| json::read(&exchange.body).unwrap()["data"]["results_url"].clone());
        let plain = format!("/v1/jobs/{id}/results");
        assert!(
            reported
                .filter(|url| url.as_str().is_some_and(|url| url.contains(&id)))
                .all(|url| url == plain)
        );
        let shown = send(&mut served, "GET", of(&made, "location").unwrap(), &[], b"");
        assert_eq!(body(&shown, 200)["results_url"], results);
        let list = body(
            &send(
                &mut served,
                "GET",
                &format!("{base}/v1/jobs?limit=1"),
                &[],
                b"",
            ),
            200,
        );
        let first = list["jobs"][0]["id"].as_str().unwrap();
        assert_eq!(
            list["jobs"][0]["results_url"],
            format!("{base}/v1/jobs/{first}/results")
        );
        let page = send(
            &mut served,
            "GET",
            &format!("{results}?limit=1"),
            &[("accept", "text/csv")],
            b"",
        );
        let next = of(&page, "link").unwrap();
        let next = next.strip_prefix('<').unwrap().split('>').next().unwrap();
        assert!(next.starts_with(&results), "{next}");
        assert_eq!(send(&mut served, "GET", next, &[], b"").status, 200);
        let tested = send(
            &mut served,
            "POST",
            &format!("{base}/v1/webhooks/test"),
            &[],
            json!({"url": HOOK}).to_string().as_bytes(),
        );
        let delivery = of(&tested, "location").unwrap();
        assert!(
            delivery.starts_with(&format!("{base}/v1/deliveries/dlv_")),
            "{delivery}"
        );
        assert_eq!(send(&mut served, "GET", delivery, &[], b"").status, 200);
        for elsewhere in [
            "/other/v1/jobs",
            "/enrichx/v1/jobs",
            "/enrich/enrich/v1/jobs",
        ] {
            assert_eq!(
                send(&mut served, "GET", elsewhere, &[], b"").status,
                404,
                "{elsewhere}"
            );
        }
    }
}
