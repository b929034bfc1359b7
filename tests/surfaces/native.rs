//! Events of single records on the native surface, and what every surface shares.

use std::time::Duration;

use serde_json::{Value, json};
use shared::catalog::Config;
use shared::domain::suspended::Outage;
use shared::ports::HttpError;
use shared::providers::kinds::READERS;
use shared::providers::{Answer, Later, Registry};
use shared::surfaces::SURFACES;
use testkit::harness::{HOOK, ServedApi, World, body, found};

fn served() -> ServedApi {
    ServedApi::new(World::new(), SURFACES, "", |input| {
        let domain = input["domain"].as_str().unwrap();
        let seconds = domain
            .split('.')
            .next()
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        let answer = if domain.contains("none") {
            Answer::NotFound
        } else {
            found(json!({"name": domain}))
        };
        (Duration::from_secs(seconds), answer)
    })
}

fn submission(domains: &[&str]) -> Value {
    let records: Vec<_> = domains
        .iter()
        .map(|d| json!({"id": d, "input": {"domain": d}}))
        .collect();
    json!({"type": "any", "records": records, "webhook_url": HOOK,
        "webhook_events": {"record.finished": format!("{HOOK}?record")}})
}

#[test]
fn each_record_is_told_as_soon_as_it_has_ended() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let sent = submission(&["0.example", "20.none.example", "40.example"]);
    let job = body(
        &served.post("/v1/jobs", &[("authorization", &bearer)], &sent),
        202,
    );
    let id = job["id"].as_str().unwrap();
    served.world.run_for(Duration::from_secs(10));
    let first = served.world.receiver.exchanges();
    assert_eq!(first.len(), 1, "only what has ended is reported");
    assert_eq!(served.native(id)["status"], "running");
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    let events: Vec<Value> = exchanges
        .iter()
        .map(testkit::harness::Exchange::json)
        .collect();
    let types: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(
        types.iter().filter(|t| **t == "record.finished").count(),
        3,
        "{types:?}"
    );
    assert_eq!(
        types.iter().filter(|t| **t == "job.completed").count(),
        1,
        "{types:?}"
    );
    let results = body(
        &served.get(
            &format!("/v1/jobs/{id}/results"),
            &[("authorization", &bearer)],
        ),
        200,
    );
    for event in events.iter().filter(|e| e["type"] == "record.finished") {
        let result = &event["data"]["result"];
        assert_eq!(
            result,
            &results["results"][usize::try_from(result["index"].as_u64().unwrap()).unwrap()]
        );
        assert_eq!(event["data"]["job_id"], id);
    }
    let ids: std::collections::BTreeSet<_> = exchanges
        .iter()
        .map(testkit::harness::Exchange::id)
        .collect();
    assert_eq!(ids.len(), 4, "each event has an id of its own");
}

#[test]
fn unknown_events_and_urls_that_cannot_be_used_are_refused_with_their_place() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    for (events, place) in [
        (
            json!({"record.finished": "ftp://x.example"}),
            "/webhook_events/record.finished",
        ),
        (
            json!({"record.started": HOOK}),
            "/webhook_events/record.started",
        ),
        (json!([HOOK]), "/webhook_events"),
    ] {
        let mut sent = submission(&["0.example"]);
        sent["webhook_events"] = events;
        let problem = body(
            &served.post("/v1/jobs", &[("authorization", &bearer)], &sent),
            400,
        );
        assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
    }
}

#[test]
fn a_job_answers_to_its_id_in_every_surfaces_form() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let sent = json!({"type": "any", "records": [{"input": {"domain": "0.example"}}]});
    let job = body(
        &served.post("/v1/jobs", &[("authorization", &bearer)], &sent),
        202,
    );
    served.settle();
    let id = shared::domain::ids::JobId::parse(job["id"].as_str().unwrap()).unwrap();
    for surface in SURFACES {
        let shown = served.native(&(surface.id)(&id));
        assert_eq!(shown["id"], job["id"], "{}", surface.name);
    }
}

#[test]
fn a_wait_lasts_no_longer_than_the_deployment_lets_it() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let key = ("authorization", bearer.as_str());
    let job = body(
        &served.post("/v1/jobs", &[key], &submission(&["0.example"])),
        202,
    );
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    // Nothing runs meanwhile, so that the job does not end.
    for (bound, held) in [(25, 20), (3, 3), (0, 0)] {
        served.api.max_wait = Duration::from_secs(bound);
        for (path, preference) in [
            (path.clone(), "wait=20"),
            (format!("{path}?wait=20"), "other=1"),
        ] {
            let before = served.world.now();
            let response = served.get(&path, &[key, ("prefer", preference)]);
            assert_eq!(
                served.world.now().since(before),
                Duration::from_secs(held),
                "{path}, at most {bound} s"
            );
            let applied = response
                .headers
                .iter()
                .find(|(name, _)| *name == "preference-applied");
            let expected = (preference == "wait=20").then(|| format!("wait={held}"));
            assert_eq!(
                (response.status, applied.map(|(_, value)| value.clone())),
                (200, expected),
                "{path}"
            );
        }
    }
}

fn of(response: &shared::lambda::http::ApiResponse, name: &str) -> Option<String> {
    response
        .headers
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value.clone())
}

#[test]
fn a_tag_is_compared_weakly_among_others_and_a_preference_is_confirmed() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let key = ("authorization", bearer.as_str());
    let job = body(
        &served.post("/v1/jobs", &[key], &submission(&["0.example"])),
        202,
    );
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    served.settle();
    let tag = of(&served.get(&path, &[key]), "etag").unwrap();
    let strong = tag.strip_prefix("W/").unwrap().to_owned();
    for tags in [
        tag.clone(),
        strong.clone(),
        "*".to_owned(),
        format!("\"other\", {tag}"),
        format!("W/\"o\",{strong}"),
    ] {
        let response = served.get(&path, &[key, ("if-none-match", &tags)]);
        assert_eq!((response.status, response.body.len()), (304, 0), "{tags}");
        assert_eq!(of(&response, "etag"), Some(tag.clone()));
    }
    for tags in ["\"other\"", "W/\"other\", \"more\"", ""] {
        assert_eq!(
            served.get(&path, &[key, ("if-none-match", tags)]).status,
            200,
            "{tags}"
        );
    }
    for (asked, confirmed) in [
        ("wait=7", Some("wait=7")),
        ("respond-async, WAIT=\"900\"; x=1", Some("wait=25")),
        ("wait=soon", None),
    ] {
        let response = served.get(&path, &[key, ("prefer", asked)]);
        assert_eq!(
            (
                response.status,
                of(&response, "preference-applied").as_deref()
            ),
            (200, confirmed),
            "{asked}"
        );
    }
    // A wait in the query is not a preference.
    assert_eq!(
        of(
            &served.get(&format!("{path}?wait=1"), &[key, ("prefer", "wait=7")]),
            "preference-applied"
        ),
        None
    );
    for (method, path, allow) in [
        ("DELETE", "/v1/jobs", "POST, GET, HEAD"),
        ("POST", path.as_str(), "GET, HEAD, DELETE"),
    ] {
        let refused = served.call(method, path, &[key], b"");
        assert_eq!(
            (refused.status, of(&refused, "allow").as_deref()),
            (405, Some(allow))
        );
    }
}

#[test]
fn pages_of_quotes_grew_past_what_lambda_returns() {
    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| {
        (Duration::ZERO, found(json!({"name": "\"".repeat(60_000)})))
    });
    let bearer = format!("Bearer {}", served.key());
    let key = ("authorization", bearer.as_str());
    let records: Vec<_> = (0..30)
        .map(|n| json!({"input": {"domain": format!("{n}.example")}}))
        .collect();
    let job = body(
        &served.post(
            "/v1/jobs",
            &[key],
            &json!({"type": "any", "records": records}),
        ),
        202,
    );
    served.settle();
    let (mut next, mut lines, mut pages) = (Some(String::new()), 0, 0);
    while let Some(cursor) = next {
        let query = if cursor.is_empty() {
            String::new()
        } else {
            format!("&cursor={cursor}")
        };
        let path = format!(
            "/v1/jobs/{}/results?limit=1000{query}",
            job["id"].as_str().unwrap()
        );
        let response = served.get(&path, &[key]);
        // Lambda returns the body as a JSON string of at most 6,291,456 bytes.
        let returned = json!(String::from_utf8(response.body.clone()).unwrap())
            .to_string()
            .len();
        assert!(returned < 6_000_000, "{returned}");
        let page = body(&response, 200);
        let there = page["results"].as_array().unwrap().len();
        assert!(there > 0, "an empty page");
        (lines, pages) = (lines + there, pages + 1);
        next = page["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!((lines, pages), (30, 2));
}

#[test]
fn a_dry_run_says_that_no_provider_could_be_asked() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    for (kind, code, credits) in [
        ("any", Value::Null, 1),
        ("bare", json!("provider_unconfigured"), 0),
    ] {
        let records = json!([{"input": {"domain": "0.example"}}]);
        let sent = json!({"type": kind, "records": records, "dry_run": true});
        let dry = body(
            &served.post("/v1/jobs", &[("authorization", bearer.as_str())], &sent),
            200,
        );
        assert_eq!(
            (&dry["warnings"][0]["code"], &dry["credits"]["reserved"]),
            (&code, &json!(credits)),
            "{dry}"
        );
    }
}

#[test]
fn a_job_shows_whom_it_waits_for_and_its_tag_says_when_that_changes() {
    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| {
        let (poll_after, give_up_in) = (Duration::from_secs(20), Duration::from_secs(65));
        let outage = Some(Outage { status: Some(429) });
        let later = Later {
            upstream_token: None,
            poll_after,
            give_up_in,
            refused: false,
            outage,
        };
        (Duration::ZERO, Answer::Later(later))
    });
    let bearer = format!("Bearer {}", served.key());
    let job = body(
        &served.post(
            "/v1/jobs",
            &[("authorization", &bearer)],
            &submission(&["0.example"]),
        ),
        202,
    );
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    served.world.run_for(Duration::from_secs(12));
    let seen = served.get(&path, &[("authorization", &bearer)]);
    let tag = of(&seen, "etag").unwrap();
    let wait = &body(&seen, 200)["waiting_for"];
    assert_eq!(
        (
            &wait[0]["provider"],
            &wait[0]["status"],
            wait.as_array().unwrap().len()
        ),
        (&json!("any"), &json!(429), 1)
    );
    let ask = [
        ("authorization", bearer.as_str()),
        ("if-none-match", tag.as_str()),
    ];
    assert_eq!(served.get(&path, &ask).status, 304, "nothing has changed");
    let asked_at = served.world.now();
    assert_eq!(
        served.get(&format!("{path}?wait=5"), &ask).status,
        304,
        "who waits is held"
    );
    assert!(served.world.now().since(asked_at) >= Duration::from_secs(4));
    served.world.run_for(Duration::from_secs(20));
    let later = body(&served.get(&path, &ask), 200);
    assert_eq!(later["waiting_for"][0]["since"], wait[0]["since"]);
    assert_ne!(later["waiting_for"][0]["until"], wait[0]["until"]);
    served.settle();
    let ended = body(&served.get(&path, &ask), 200);
    assert_eq!(
        (&ended["status"], ended.get("waiting_for")),
        (&json!("completed"), None)
    );
    let results = body(
        &served.get(&format!("{path}/results"), &[("authorization", &bearer)]),
        200,
    );
    assert_eq!(results["results"][0]["error"]["code"], "rate_limited");
}

#[test]
fn one_bad_record_does_not_cost_the_others() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let key = [("authorization", bearer.as_str())];
    let records = json!([
        {"id": "good", "input": {"domain": "0.example"}, "metadata": {"n": 1}},
        {"id": "lacks", "input": {"domain": " "}, "metadata": {"n": 2}},
        {"id": 3, "input": {"domain": "0.three.example"}},
        "0.four.example",
        {"id": "type", "input": {"domain": ["0.five.example"]}},
        {"id": "large", "input": {"domain": "x".repeat(70_000)}},
        {"id": "also good", "input": {"domain": "0.none.example"}},
    ]);
    let sent = json!({"type": "any", "records": records, "webhook_url": HOOK});
    let with = |name: &str, value: Value| {
        let mut sent = sent.clone();
        sent[name] = value;
        sent
    };
    let dry = body(
        &served.post("/v1/jobs", &key, &with("dry_run", true.into())),
        200,
    );
    assert_eq!(
        (
            &dry["records"],
            &dry["invalid"],
            &dry["credits"]["reserved"]
        ),
        (&json!(7), &json!(5), &json!(2)),
        "{dry}"
    );
    let strict = body(
        &served.post("/v1/jobs", &key, &with("strict", true.into())),
        400,
    );
    assert_eq!(strict["errors"], dry["errors"]);

    let idempotent = [key[0], ("idempotency-key", "one")];
    let job = body(&served.post("/v1/jobs", &idempotent, &sent), 202);
    assert_eq!(
        (&job["credits"]["reserved"], &job["errors"]),
        (&json!(2), &dry["errors"])
    );
    let again = body(&served.post("/v1/jobs", &idempotent, &sent), 202);
    assert_eq!(
        (&again["id"], &again["errors"]),
        (&job["id"], &job["errors"])
    );
    served.settle();
    let id = job["id"].as_str().unwrap();
    let ended = served.native(id);
    let counts = json!({"total": 7, "found": 1, "not_found": 1, "failed": 0, "invalid": 5,
        "skipped": 0, "canceled": 0});
    assert_eq!(
        (&ended["status"], &ended["counts"], &ended["progress"]),
        (&json!("completed"), &counts, &json!(100))
    );
    assert_eq!(ended["credits"], json!({"reserved": 2, "used": 1}));
    assert_eq!(
        served.asked.lock().unwrap().len(),
        2,
        "no provider was asked about the others"
    );

    let lines = body(&served.get(&format!("/v1/jobs/{id}/results"), &key), 200)["results"].take();
    for (at, (line, record)) in lines
        .as_array()
        .unwrap()
        .iter()
        .zip(records.as_array().unwrap())
        .enumerate()
    {
        let bad = (1..=5).contains(&at);
        assert_eq!(
            (
                &line["index"],
                line["status"] == "invalid",
                &line["credits"]
            ),
            (&json!(at), bad, &json!(u8::from(at == 0)))
        );
        let input = if record.is_object() {
            &record["input"]
        } else {
            record
        };
        let kept = if at == 5 { &Value::Null } else { input };
        assert_eq!(
            (&line["id"], &line["input"], &line["metadata"]),
            (&record["id"], kept, &record["metadata"]),
            "{line}"
        );
    }
    let errors: Vec<&str> = (1..=5)
        .map(|at| lines[at]["error"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        errors,
        [
            "invalid_input",
            "invalid_record",
            "invalid_record",
            "invalid_input",
            "record_too_large"
        ]
    );
    assert_eq!(lines[1]["error"]["detail"], "input/domain is required");
    assert_eq!(
        served.world.receiver.exchanges()[0].json()["data"]["results"],
        lines
    );

    let csv = served.get(
        &format!("/v1/jobs/{id}/results"),
        &[key[0], ("accept", "text/csv")],
    );
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(&csv.body[..])
        .into_records()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 7);
    assert_eq!(
        (&rows[2][1], &rows[3][1], &rows[3][3], &rows[5][3]),
        ("3", "", "0.four.example", "")
    );
    body(
        &served.post(&format!("/v1/jobs/{id}/retry"), &key, &json!({})),
        409,
    );
}

#[test]
fn a_request_without_any_good_record_is_refused_with_every_fault() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let large = json!({"input": {"domain": "x".repeat(70_000)}});
    let good = json!({"input": {"domain": "0.example"}});
    for (records, strict, status, places) in [
        (
            json!([{"input": {}}, 7]),
            false,
            400,
            vec!["/records/0/input/domain", "/records/1"],
        ),
        (
            json!([large, {"input": {}}]),
            false,
            400,
            vec!["/records/0", "/records/1/input/domain"],
        ),
        (json!([large, large]), false, 413, vec![]),
        (json!([good, large]), true, 413, vec![]),
        (
            json!([good, {"input": {}}, large]),
            true,
            400,
            vec!["/records/1/input/domain", "/records/2"],
        ),
    ] {
        let sent = json!({"type": "any", "records": records, "strict": strict});
        let problem = body(
            &served.post("/v1/jobs", &[("authorization", &bearer)], &sent),
            status,
        );
        let errors = problem["errors"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        assert_eq!(
            errors
                .iter()
                .map(|error| error["pointer"].as_str().unwrap())
                .collect::<Vec<_>>(),
            places
        );
    }
    assert_eq!(served.world.accepted.len(), 0, "nothing was stored");
}

#[test]
fn a_repeated_request_is_answered_as_before_whatever_would_be_refused_by_now() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let key = |name: &'static str| {
        [
            ("authorization", bearer.clone()),
            ("idempotency-key", name.to_owned()),
        ]
    };
    let post = |served: &mut ServedApi, path: &str, name, sent: &Value, status| {
        let headers = key(name);
        body(
            &served.post(
                path,
                &headers.each_ref().map(|(n, v)| (*n, v.as_str())),
                sent,
            ),
            status,
        )
    };
    let records =
        json!([{"input": {"domain": "0.example"}}, {"input": {"domain": " "}, "x\u{1f}": "\""}, 7]);
    let sent = json!({"type": "any", "records": records, "webhook_url": HOOK});
    let first = post(&mut served, "/v1/jobs", "one", &sent, 202);
    assert_eq!(first["errors"].as_array().map(Vec::len), Some(3), "{first}");
    let plain = submission(&["0.example"]);
    let all_good = post(&mut served, "/v1/jobs", "two", &plain, 202);
    let tested = post(
        &mut served,
        "/v1/webhooks/test",
        "three",
        &json!({"url": HOOK}),
        202,
    );

    // A deployment whose type asks for something else, then one without it; neither sends to the
    // receiver any more.
    served.world.sim.http.refuse(HOOK, HttpError::Blocked);
    for providers in [
        "[types.any]\ndescription = \"d\"\ninputs = [[\"email\"]]\nwaterfall = []\n\
         unconfigured = \"u\"\n",
        "[types.other]\ndescription = \"d\"\ninputs = [[\"domain\"]]\nwaterfall = []\n\
         unconfigured = \"u\"\n",
    ] {
        let config = Config::parse(READERS, "later", providers).unwrap();
        let registry = Registry::assemble(&config, |_| unreachable!("no provider")).unwrap();
        served.api.catalog = registry.catalog().clone();
        let again = post(&mut served, "/v1/jobs", "one", &sent, 202);
        assert_eq!(
            (&again["id"], &again["errors"]),
            (&first["id"], &first["errors"])
        );
        let again = post(&mut served, "/v1/jobs", "two", &plain, 202);
        assert_eq!((&again["id"], again.get("errors")), (&all_good["id"], None));
        assert_eq!(
            post(
                &mut served,
                "/v1/webhooks/test",
                "three",
                &json!({"url": HOOK}),
                202
            )["id"],
            tested["id"]
        );
        post(&mut served, "/v1/jobs", "one", &plain, 422);
        post(&mut served, "/v1/jobs", "new", &sent, 400);
        post(
            &mut served,
            "/v1/webhooks/test",
            "new",
            &json!({"url": HOOK}),
            400,
        );
    }
    served.settle();
    assert_eq!(served.world.accepted.len(), 2);
}
