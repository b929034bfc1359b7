//! A twelfth kind of provider, for tests alone. `tide.rs` would be its file in
//! `shared/src/providers/kinds`, and `registry` would get the same line.

mod tide;

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use shared::catalog::{Config, KindReader, compiled};
use shared::providers::kinds::READERS as SHIPPED_READERS;
use shared::providers::{KindBuilder, Registry, build_of};
use shared::surfaces::SURFACES;
use shared::{kind_builders, kind_readers};
use testkit::harness::{HOOK, ServedApi, World, body};
use testkit::sim::Reply;

macro_rules! registry {
    ($table:ident) => {
        $table! {
            tide: TideConfig,
        }
    };
}

static READERS: &[KindReader] = registry!(kind_readers);
static BUILDERS: &[KindBuilder] = registry!(kind_builders);

const TOML: &str = "[types.tide]
inputs = [[\"port\"]]
waterfall = [\"almanac\"]

[providers.almanac]
kind = \"tide\"
almanac = \"https://almanac.example/v1/\"
days = 2
cache = {}
";

/// The shipped kinds and the new one, as its line in their registry would leave them.
fn readers() -> Vec<KindReader> {
    [SHIPPED_READERS, READERS].concat()
}

fn builders() -> Vec<KindBuilder> {
    [shared::providers::kinds::BUILDERS, BUILDERS].concat()
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(&readers(), "p.toml", text).map_err(|error| error.to_string())
}

fn registry(config: &Config, environment: &str) -> Result<Registry, String> {
    let set = |name: &str| (name == environment).then(|| "1".to_owned());
    let build = |provider: &_| build_of(&builders(), provider, Path::new(""), &set);
    Registry::assemble_of(&builders(), config, build).map_err(|error| error.to_string())
}

#[test]
fn a_kind_that_is_a_file_and_a_line_is_asked_and_its_results_are_delivered() {
    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| unreachable!("not asked"));
    served
        .world
        .sim
        .http
        .on("https://almanac.example/v1/", |request| {
            if request.url.ends_with("/husum?days=2") {
                Reply::body(200, "04:12")
            } else {
                Reply::status(404)
            }
        });
    let made = registry(&parse(TOML).unwrap(), "").unwrap();
    served.world.registry = Arc::new(made);
    served.api.catalog = served.world.registry.catalog().clone();

    let bearer = format!("Bearer {}", served.key());
    let records = [
        json!({"input": {"port": "husum"}}),
        json!({"input": {"port": "bern"}}),
    ];
    let sent = json!({"type": "tide", "records": records, "webhook_url": HOOK});
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "tides"),
    ];
    let accepted = body(&served.post("/v1/jobs", &headers, &sent), 202);
    let id = accepted["id"].as_str().unwrap().to_owned();
    served.settle();

    let job = served.native(&id);
    assert_eq!(job["status"], "completed", "{job}");
    assert_eq!(
        (&job["counts"]["found"], &job["counts"]["not_found"]),
        (&json!(1), &json!(1))
    );
    let results = served.get(&format!("/v1/jobs/{id}/results"), &headers[..1]);
    let text = String::from_utf8(results.body).unwrap();
    assert!(
        text.contains("\"high_water\":\"04:12\"") && text.contains("almanac"),
        "{text}"
    );
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(exchanges.len(), 1, "the job's event is delivered");
    let event: serde_json::Value = serde_json::from_slice(&exchanges[0].body).unwrap();
    assert_eq!(event["data"]["id"], json!(id), "{event}");
}

#[test]
fn faults_of_a_new_kind_have_a_line_and_a_column() {
    let with = |from: &str, to: &str| {
        assert_eq!(TOML.matches(from).count(), 1, "{from}");
        parse(&TOML.replace(from, to)).unwrap_err()
    };
    let almanac = "almanac = \"https://almanac.example/v1/\"";
    for (from, to, wanted) in [
        (
            "days = 2",
            "days = 15",
            "p.toml:8:8: providers.almanac: days: must be a whole number from 1 to 14",
        ),
        (
            almanac,
            "almanac = \"http://almanac.example/\"",
            "p.toml:7:11: providers.almanac: almanac: an almanac is asked by https://",
        ),
        (
            almanac,
            "",
            "p.toml:5:12: providers.almanac: `almanac` is missing; \
             such as \"https://almanac.example/\"",
        ),
        (
            "days",
            "day",
            "p.toml:8:1: providers.almanac: the key `day` is not known; known here are kind, \
             confidence, license, credits, rate, concurrency, breaker, cache, input, almanac, days",
        ),
        (
            "inputs = [[\"port\"]]",
            "inputs = [[\"harbour\"]]",
            "p.toml:3:14: types.tide: waterfall: `almanac` asks for the input `port`, which this \
             type does not have; add it to inputs or optional_inputs",
        ),
    ] {
        assert_eq!(with(from, to), wanted);
    }
    let unknown = with("\"tide\"\nalmanac", "\"tides\"\nalmanac");
    let kinds = "chat, dataset, domain_finder, email_check, hem, http, ip, phone, signals, site, \
                 tech, tide";
    assert_eq!(
        unknown,
        format!(
            "p.toml:6:8: providers.almanac: kind: unknown kind of provider `tides`; \
             it is one of {kinds}"
        )
    );
    // A fault found when it is built has its place too, in the file that was deployed.
    let fault = registry(&parse(TOML).unwrap(), "NO_TIDES").unwrap_err();
    assert_eq!(fault, "p.toml:7:11: there are no tides here");
}

#[test]
fn a_new_kind_is_compiled_and_read_again_for_the_same_kinds_only() {
    let config = parse(TOML).unwrap();
    let settings = |kind: &shared::catalog::Kind| {
        let tide = kind.downcast_ref::<tide::TideConfig>().expect("a tide");
        serde_json::value::to_raw_value(tide)
    };
    let made = compiled::compile(&readers(), &config, TOML, settings).unwrap();
    let read = compiled::read(&readers(), made.as_bytes(), "deployed.toml", TOML).unwrap();
    let fault = registry(&read, "NO_TIDES").unwrap_err();
    assert_eq!(fault, "deployed.toml:7:11: there are no tides here");
    let fewer = compiled::read(SHIPPED_READERS, made.as_bytes(), "p.toml", TOML);
    assert_eq!(fewer.unwrap_err(), compiled::Unfit::Foreign);
}

#[test]
fn a_kind_that_nothing_builds_is_an_error_with_its_place() {
    let config = parse(TOML).unwrap();
    let built = Registry::assemble(&config, |_| unreachable!("it is not built"));
    assert_eq!(
        built.unwrap_err().to_string(),
        "p.toml:5:12: providers.almanac: nothing builds the kind `tide`"
    );
}
