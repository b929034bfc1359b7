//! A fifth surface, for tests alone and as unlike the others as possible: plain text in and out,
//! ids and headers of its own. The module `loft` would be its folder in `shared/src/surfaces`, and
//! [`SURFACES_AND_LOFT`] the line it takes there.

use std::time::Duration;

use serde_json::json;
use shared::domain::ids::JobId;
use shared::providers::Answer;
use shared::surfaces::{SURFACES, Surface};
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
    use shared::surfaces::{Call, Event, Reading, Route, Shown, Shows, Signing, Surface};

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
    };

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
        Ok(text(200, lines.unwrap_or_else(|| "wait".to_owned())))
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
        lines
            .iter()
            .flat_map(|l| [l.outcome.status.as_str(), "\n"])
            .collect::<String>()
            .into_bytes()
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
