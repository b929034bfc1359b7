//! A fifth surface, for tests alone and as unlike the others as possible: plain text in and out,
//! ids and headers of its own. The module `loft` would be its folder in `shared/src/surfaces`, and
//! [`SURFACES_AND_LOFT`] the line it takes there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::ids::{JobId, TenantId};
use shared::domain::record::FailureCode;
use shared::domain::tenant::SettingChange;
use shared::jobs::StepError;
use shared::maintenance::tenants;
use shared::ports::StoreError;
use shared::providers::Answer;
use shared::schema::{get_s, meta_key, profile_key};
use shared::surfaces::{SURFACES, Surface, parse_setting, parse_unset};
use testkit::harness::{ServedApi, World, body, found};
use testkit::sim::Reply;

mod loft {
    use std::time::Duration;

    use serde_json::{Map, Value};
    use shared::domain::delivery::DeliveryRules;
    use shared::domain::error::ApiError;
    use shared::domain::ids::JobId;
    use shared::domain::job::{Accepted, JobView, Submission, Webhook};
    use shared::domain::record::{OutcomeStatus, Record};
    use shared::domain::time::Timestamp;
    use shared::surfaces::common::message::{ApiRequest, ApiResponse};
    use shared::surfaces::{
        Call, Event, Reading, Route, Shown, Shows, Signing, Surface, SurfaceSetting,
    };

    /// The loudness of its answers.
    pub(super) const TONE: SurfaceSetting = SurfaceSetting {
        name: "tone",
        values: &["low", "high"],
        help: "How it speaks",
    };

    pub(super) const SURFACE: Surface = Surface {
        name: "loft",
        operations: &["lookup"],
        routes: &[
            Route {
                method: "POST",
                path: "/loft/lookups",
                call: Call::Submit { read, answer },
            },
            Route {
                method: "GET",
                path: "/loft/lookups/{id}",
                call: Call::Job { records, show },
            },
        ],
        shows: Shows::Own,
        key: |request| request.header("x-loft-token"),
        id,
        parse_id: |text| JobId::parse_hex(text.strip_prefix("loft-")?),
        error,
        delivery: || DeliveryRules::exact(&[Duration::from_secs(7)], Duration::from_secs(3)),
        inline: |end| end.bytes <= 1 << 20,
        body,
        sign: |signing: &Signing<'_>| vec![("x-loft-try".to_owned(), signing.attempt.to_string())],
        settings: &[TONE],
        own_secret: None,
    };

    fn toned(view: Option<&JobView>, said: String) -> String {
        match view.map(|view| TONE.of(&view.job.spec.settings)) {
            Some("high") => said.to_uppercase(),
            _ => said,
        }
    }

    fn id(job: &JobId) -> String {
        format!("loft-{}", job.hex())
    }

    fn text(status: u16, text: impl Into<String>) -> ApiResponse {
        ApiResponse::new(status, "text/plain", text.into().into_bytes())
    }

    /// The first line is the URL to tell, each other line a domain.
    fn read(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
        let body = std::str::from_utf8(&request.body)
            .map_err(|_| ApiError::invalid("", "is not a text"))?;
        let mut lines = body.lines();
        let url = lines.next().unwrap_or_default().to_owned();
        if let Some(fault) = reading.url_fault(&url) {
            return Err(ApiError::invalid("line 1", fault));
        }
        let record = |line: &str| Record {
            input: Map::from_iter([("domain".to_owned(), Value::from(line))]),
            ..Record::default()
        };
        let job = Submission::new(
            SURFACE.name,
            reading.kind("lookup"),
            lines.map(record).collect(),
        );
        Ok(Submission {
            webhook: Some(Webhook { url }),
            ..job
        })
    }

    fn answer(accepted: &Accepted, _: Timestamp) -> ApiResponse {
        match accepted {
            Accepted::Job { view, .. } => text(200, id(&view.job.spec.id)),
            Accepted::Priced { .. } => text(200, ""),
        }
    }

    fn records(_: &ApiRequest, view: &JobView) -> bool {
        !view.job.status.is_live()
    }

    #[expect(clippy::unnecessary_wraps, reason = "other surfaces refuse here")]
    fn show(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
        let line = |status: OutcomeStatus, record: &Record| {
            format!("{} {}\n", record.input["domain"], status.as_str())
        };
        let lines = shown.records.map(|records| {
            records
                .iter()
                .filter_map(|r| Some(line(r.outcome.as_ref()?.status, &r.record)))
                .collect::<String>()
        });
        let said = lines.unwrap_or_else(|| "wait".to_owned());
        Ok(text(200, toned(Some(shown.view), said)))
    }

    fn error(error: &ApiError, _: &ApiRequest) -> ApiResponse {
        match error {
            ApiError::Unauthorized => text(401, "no token"),
            ApiError::NotFound { .. } => text(404, "nothing"),
            ApiError::MethodNotAllowed { .. } => text(405, "otherwise"),
            other => text(400, format!("{other:?}")),
        }
    }

    fn body(event: &Event<'_>) -> Vec<u8> {
        let lines = event.results.unwrap_or_default();
        let said = lines
            .iter()
            .flat_map(|l| [l.outcome.status.as_str(), "\n"])
            .collect::<String>();
        toned(event.job, said).into_bytes()
    }
}

const SURFACES_AND_LOFT: &[Surface] = &{
    let mut all = [loft::SURFACE; SURFACES.len() + 1];
    let mut at = 0;
    while at < SURFACES.len() {
        all[at] = SURFACES[at];
        at += 1;
    }
    all
};

#[test]
fn a_fifth_surface_is_a_folder_and_a_line() {
    let operations = "[operations.loft]\nlookup = \"any\"";
    let mut served = ServedApi::new(World::new(), SURFACES_AND_LOFT, operations, |input| {
        let none = input["domain"]
            .as_str()
            .is_some_and(|d| d.starts_with("none"));
        (
            Duration::from_secs(1),
            if none {
                Answer::NotFound
            } else {
                found(json!({"name": "x"}))
            },
        )
    });
    served.world.receiver.replies([Reply::status(410)]);
    let key = served.key().to_owned();
    let token = [("x-loft-token", key.as_str())];
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();

    let sent = "http://hook.example/one\na.example\nnone.example";
    let refused = served.call(
        "POST",
        "/loft/lookups",
        &[("authorization", "Bearer x")],
        sent.as_bytes(),
    );
    assert_eq!(
        (refused.status, text(&refused.body).as_str()),
        (401, "no token")
    );
    let accepted = served.call("POST", "/loft/lookups", &token, sent.as_bytes());
    assert_eq!(accepted.status, 200);
    let id = text(&accepted.body);
    assert!(id.starts_with("loft-"));
    let path = format!("/loft/lookups/{id}");
    assert_eq!(text(&served.get(&path, &token).body), "wait");
    let wrong_method = served.call("DELETE", &path, &token, b"");
    assert_eq!(
        (wrong_method.status, text(&wrong_method.body).as_str()),
        (405, "otherwise")
    );

    served.world.run_for(Duration::from_secs(60));
    assert_eq!(
        text(&served.get(&path, &token).body),
        "\"a.example\" found\n\"none.example\" not_found\n"
    );
    let exchanges = served.world.receiver.exchanges();
    let tries: Vec<&str> = exchanges.iter().map(|e| e.header("x-loft-try")).collect();
    assert_eq!(tries, ["1", "2"], "410 is tried again here");
    assert_eq!(
        exchanges[1].at.since(exchanges[0].until),
        Duration::from_secs(7)
    );
    assert!(
        exchanges
            .iter()
            .all(|e| text(&e.body) == "found\nnot_found\n" && e.url == "http://hook.example/one")
    );

    let shown = served.native(&id);
    assert_eq!(
        (&shown["status"], &shown["counts"]["found"]),
        (&json!("completed"), &json!(1))
    );
    let sent = json!({"type": "any", "records": [{"input": {"domain": "b.example"}}]});
    let bearer = format!("Bearer {key}");
    let stranger = body(
        &served.post("/v1/jobs", &[("authorization", &bearer)], &sent),
        202,
    );
    let stranger = JobId::parse(stranger["id"].as_str().unwrap()).unwrap();
    let hidden = served.get(&format!("/loft/lookups/loft-{}", stranger.hex()), &token);
    assert_eq!(
        (hidden.status, text(&hidden.body).as_str()),
        (404, "nothing")
    );
}

fn choose(served: &ServedApi, change: Result<SettingChange<'static>, String>) {
    let (tenant, change) = (served.world.tenant.id.clone(), change.unwrap());
    served
        .world
        .call(async |p| tenants::change_settings(p, &tenant, &[change]).await)
        .unwrap();
}

/// Submits on the fifth surface; the id.
fn look_up(served: &mut ServedApi, url: &str) -> String {
    let key = served.key().to_owned();
    let sent = format!("{url}\na.example");
    let token = [("x-loft-token", key.as_str())];
    let accepted = served.call("POST", "/loft/lookups", &token, sent.as_bytes());
    assert_eq!(accepted.status, 200);
    String::from_utf8(accepted.body).unwrap()
}

fn polled(served: &mut ServedApi, id: &str) -> String {
    let key = served.key().to_owned();
    let answer = served.get(
        &format!("/loft/lookups/{id}"),
        &[("x-loft-token", key.as_str())],
    );
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

/// Returns the settings that a job's head keeps.
fn kept(served: &ServedApi, id: &str) -> Value {
    let id = JobId::parse_hex(id.strip_prefix("loft-").unwrap()).unwrap();
    let item = served.world.sim.store.peek(&meta_key(&id)).unwrap();
    let spec: Value = serde_json::from_str(get_s(&item, "spec").unwrap()).unwrap();
    spec.get("settings").cloned().unwrap_or_default()
}

#[test]
fn a_job_keeps_the_settings_that_it_was_submitted_with() {
    let operations = "[operations.loft]\nlookup = \"any\"";
    let mut served = ServedApi::new(World::new(), SURFACES_AND_LOFT, operations, |_| {
        (Duration::from_secs(20), found(json!({"name": "x"})))
    });
    let hook = |name| format!("http://hook.example/{name}");
    let set = |value| parse_setting(SURFACES_AND_LOFT, &format!("loft.tone={value}"));
    let unset = || parse_unset(SURFACES_AND_LOFT, "loft.tone");
    // The tenant changes its mind after each submission, and while the jobs run.
    let plain = look_up(&mut served, &hook("plain"));
    choose(&served, set("high"));
    let high = look_up(&mut served, &hook("high"));
    choose(&served, set("low"));
    let low = look_up(&mut served, &hook("low"));
    choose(&served, set("high"));
    for (id, said, stored) in [
        (&plain, "wait", Value::Null),
        (&high, "WAIT", json!({"tone": "high"})),
        (&low, "wait", json!({"tone": "low"})),
    ] {
        assert_eq!(
            (polled(&mut served, id).as_str(), kept(&served, id)),
            (said, stored)
        );
    }
    served.world.run_for(Duration::from_secs(5));
    choose(&served, unset());
    served.world.run_for(Duration::from_secs(60));
    assert!(polled(&mut served, &high).ends_with("FOUND\n"));
    let sent: BTreeMap<String, String> = served
        .world
        .receiver
        .exchanges()
        .iter()
        .map(|e| (e.url.clone(), String::from_utf8(e.body.clone()).unwrap()))
        .collect();
    let expected = [
        ("plain", "found\n"),
        ("high", "FOUND\n"),
        ("low", "found\n"),
    ];
    let expected = expected.map(|(name, body)| (hook(name), body.to_owned()));
    assert_eq!(sent, BTreeMap::from(expected));

    // A replay has the same words, whatever is chosen by then.
    let bearer = format!("Bearer {}", served.key());
    let deliveries = served.get(
        &format!("/v1/jobs/{high}/deliveries"),
        &[("authorization", &bearer)],
    );
    let delivery = body(&deliveries, 200)["deliveries"][0]["id"].clone();
    let replay = format!("/v1/deliveries/{}/replay", delivery.as_str().unwrap());
    served.post(&replay, &[("authorization", &bearer)], &json!({}));
    served.world.run_for(Duration::from_secs(60));
    let last = served.world.receiver.exchanges().pop().unwrap();
    assert_eq!(last.body, b"FOUND\n");

    // Without a choice nothing is kept.
    let tenant = served.world.tenant.id.clone();
    let profile = served.world.sim.store.peek(&profile_key(&tenant)).unwrap();
    assert_eq!(profile.attributes.len(), 1, "{profile:?}");
}

#[test]
fn settings_stay_beside_a_webhook_schedule_and_what_is_not_known_is_ignored() {
    let mut served = ServedApi::new(
        World::new(),
        SURFACES_AND_LOFT,
        "[operations.loft]\nlookup = \"any\"",
        |_| (Duration::from_secs(20), found(json!({"name": "x"}))),
    );
    let tenant = served.world.tenant.id.clone();
    choose(&served, parse_setting(SURFACES_AND_LOFT, "loft.tone=high"));
    for (surface, setting, value) in [
        ("loft", "tune", "fast"),
        ("attic", "tone", "high"),
        ("native", "tone", "high"),
    ] {
        let value = Some(value);
        choose(
            &served,
            Ok(SettingChange {
                surface,
                setting,
                value,
            }),
        );
    }
    let schedule = Some(vec![1]);
    served
        .world
        .call(async |p| tenants::set_webhook_schedule(p, &tenant, schedule.clone()).await)
        .unwrap();
    let id = look_up(&mut served, "http://hook.example/one");
    assert_eq!(kept(&served, &id), json!({"tone": "high"}));
    let read = |served: &ServedApi| {
        let account = served
            .world
            .call(async |p| tenants::show(p, &tenant).await)
            .unwrap()
            .unwrap();
        (
            account.profile.webhook_schedule.clone(),
            json!(account.profile.surfaces),
        )
    };
    let all = json!({"loft": {"tone": "high", "tune": "fast"}, "attic": {"tone": "high"},
        "native": {"tone": "high"}});
    assert_eq!(read(&served), (Some(vec![1]), all));
    // A value of a later version is the default here.
    choose(
        &served,
        Ok(SettingChange {
            surface: "loft",
            setting: "tone",
            value: Some("shrill"),
        }),
    );
    let id = look_up(&mut served, "http://hook.example/two");
    assert_eq!(
        (kept(&served, &id), polled(&mut served, &id).as_str()),
        (Value::Null, "wait")
    );
    let nobody = TenantId::parse("nobody").unwrap();
    let change = parse_unset(SURFACES_AND_LOFT, "loft.tone").unwrap();
    let refused = served
        .world
        .call(async |p| tenants::change_settings(p, &nobody, &[change]).await);
    assert!(
        matches!(
            refused,
            Err(StepError::Store(StoreError::ConditionFailed(_)))
        ),
        "{refused:?}"
    );
}

#[test]
fn a_retried_job_has_the_settings_of_its_own_time() {
    let mut served = ServedApi::new(
        World::new(),
        SURFACES_AND_LOFT,
        "[operations.loft]\nlookup = \"any\"",
        |_| {
            let broken = Answer::Failed {
                code: FailureCode::ProviderError,
                detail: "out of order".to_owned(),
            };
            (Duration::from_secs(1), broken)
        },
    );
    let first = look_up(&mut served, "http://hook.example/one");
    served.world.run_for(Duration::from_secs(600));
    choose(&served, parse_setting(SURFACES_AND_LOFT, "loft.tone=high"));
    let bearer = format!("Bearer {}", served.key());
    let path = format!("/v1/jobs/{first}/retry");
    let again = body(
        &served.post(&path, &[("authorization", &bearer)], &json!({})),
        202,
    );
    let again = JobId::parse(again["id"].as_str().unwrap()).unwrap();
    let again = format!("loft-{}", again.hex());
    assert_eq!(
        (kept(&served, &first), kept(&served, &again)),
        (Value::Null, json!({"tone": "high"}))
    );
}
