use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use shared::catalog::{CONFIG_FILE, Config, compiled, parse_config};
use shared::domain::record::{Outcome, OutcomeStatus};
use shared::domain::time::Timestamp;
use shared::ports::Clock;
use shared::providers::kinds::READERS;
use shared::providers::{Answer, Later, Ports, Provider, Question, Registry, build};

use super::args::{Check, Compile, Enrich};
use super::check::report;
use super::machine::{assets, ports, watch};
use super::trial::{Trial, asked, outcome_text, record, registry_of};
use crate::account::Account;
use crate::failure::Failure;
use crate::settings::CliSettings;
use testkit::servers::{Reply, Server};

/// A directory of its own with a `providers.toml` and settings; gone with the test.
struct Bundle(PathBuf);

impl Bundle {
    fn new(name: &str, toml: &str, settings: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("millrace-providers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join(CONFIG_FILE), toml).unwrap();
        std::fs::write(path.join("env"), settings).unwrap();
        Self(path)
    }

    fn settings(&self) -> CliSettings {
        CliSettings::load(Some(&self.0.join("env"))).unwrap()
    }

    async fn report(&self, dry_call: bool) -> Printed {
        Printed::of(&self.0, &self.settings(), dry_call)
            .await
            .unwrap_or_else(|e| panic!("{e:?}"))
    }

    async fn outcome(&self, args: &Enrich) -> Outcome {
        let (config, settings) = (parse_config(READERS, &self.0).unwrap(), self.settings());
        let input = record(&config, args).unwrap();
        let config = asked(config, &args.kind, args.providers.as_deref());
        let registry = registry_of(&config, |provider| {
            build(provider, &self.0, &|name| settings.get(name))
        });
        trial(
            &config,
            &registry.unwrap(),
            args,
            &input,
            ports(&settings).unwrap(),
        )
        .await
        .unwrap()
    }
}

async fn trial(
    config: &Config,
    registry: &Registry,
    args: &Enrich,
    input: &Map<String, Value>,
    ports: Ports,
) -> Result<Outcome, Failure> {
    let (watched, ports) = watch(
        config.providers.iter(),
        false,
        &CliSettings::default(),
        ports,
    )
    .await?;
    Trial {
        config,
        registry,
        watched: &watched,
        ports: &ports,
    }
    .run(args, input)
    .await
}

/// The report on a `providers.toml`.
struct Printed {
    text: String,
    faults: u64,
}

impl Printed {
    async fn of(dir: &Path, settings: &CliSettings, dry_call: bool) -> Result<Self, Failure> {
        Self::of_some(dir, settings, dry_call, &[]).await
    }

    async fn of_some(
        dir: &Path,
        settings: &CliSettings,
        dry_call: bool,
        only: &[&str],
    ) -> Result<Self, Failure> {
        let args = Check {
            dir: None,
            dry_call,
            provider: only.iter().map(|name| (*name).to_owned()).collect(),
            verbose: false,
            input: Vec::new(),
            account: Account::default(),
        };
        let mut text = String::new();
        let mut say = |line: &str| {
            text += line;
            text.push('\n');
            Ok(())
        };
        let faults = report(dir, settings, &args, &mut say).await?;
        Ok(Self { text, faults })
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn infra() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn args(kind: &str, value: Option<&str>) -> Enrich {
    Enrich {
        kind: kind.into(),
        value: value.map(str::to_owned),
        input: Vec::new(),
        providers: None,
        dir: None,
        json: false,
        verbose: false,
        account: Account::default(),
    }
}

/// Two upstreams on loopback; the second needs a secret.
fn upstreams_at(base: &str) -> String {
    format!(
        "[types.company]\ninputs = [[\"domain\"]]\nwaterfall = [\"first\", \"second\"]\n\
         [types.paid]\ninputs = [[\"domain\"]]\nwaterfall = [\"second\"]\n\
         [types.person]\ninputs = [[\"first_name\", \"last_name\"]]\noptional_inputs = [\"age\"]\n\
         waterfall = []\n\
         unconfigured = \"name one\"\n\
         [providers.first]\nkind = \"http\"\nurl = \"{base}/first/{{{{ input.domain }}}}\"\n\
         fields = {{ name = \"/name\" }}\nretries = 0\n\
         [providers.second]\nkind = \"http\"\nurl = \"{base}/second/{{{{ input.domain }}}}\"\n\
         fields = {{ name = \"/name\" }}\n\
         headers = {{ Authorization = \"Bearer {{{{ secret.key }}}}\" }}\n\
         secrets = {{ key = {{ env = \"MILLRACE_TEST_KEY\" }} }}\n\
         retries = 0\ncredits = 7\nconfidence = 0.5\nlicense = \"theirs\"\n"
    )
}

const LOOPBACK: &str = "MILLRACE_ALLOW_HTTP=true\nMILLRACE_ALLOWED_CIDRS=127.0.0.0/8\n";

#[tokio::test]
async fn the_shipped_file_is_right() {
    let report = Printed::of(&infra(), &CliSettings::default(), false)
        .await
        .unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(report.faults, 0, "{}", report.text);
    for line in [
        "  brands: 1 credit, data/brands.csv has 2285 rows\n",
        "  email-check: 1 credit, data/disposable-domains.txt has 8883 domains, \
         data/free-mail-domains.txt has 316 domains\n",
        "  company: needs domain; at most 1 credit a record; ",
        "  ip: needs ip; not set up: no database of addresses is configured",
    ] {
        assert!(
            report.text.contains(line),
            "{line:?} not in\n{}",
            report.text
        );
    }
}

#[tokio::test]
async fn every_fault_is_told_and_no_secret() {
    let toml = upstreams_at("https://api.example.com").replace(
        "[providers.first]",
        "[providers.table]\nkind = \"dataset\"\n\
        file = \"none.csv\"\nkey = { domain = \"d\" }\nfields = { n = \"n\" }\n[providers.list]\n\
        kind = \"dataset\"\n\
        file = \"list.ndjson\"\nkey = { domain = \"d\" }\nfields = { n = \"n\" }\n\
        [providers.first]",
    );
    let bundle = Bundle::new("faults", &toml, "MILLRACE_TEST_OTHER=hidden\n");
    std::fs::write(bundle.0.join("list.ndjson"), "{}\nbroken\n").unwrap();
    let report = bundle.report(false).await;
    assert_eq!(report.faults, 3, "{}", report.text);
    for part in [
        "none.csv cannot be read",
        "list.ndjson: line 2 is not a JSON object",
        "providers.second needs the environment variable MILLRACE_TEST_KEY, which is not set",
        "providers.toml:",
    ] {
        assert!(
            report.text.contains(part),
            "{part:?} not in\n{}",
            report.text
        );
    }
    let bundle = Bundle::new("told", &toml, "MILLRACE_TEST_KEY=hidden\n");
    let report = bundle.report(false).await;
    assert!(
        report.faults == 2 && !report.text.contains("hidden"),
        "{}",
        report.text
    );
    let bundle = Bundle::new("syntax", "[types.company]\ninputs = 5\n", "");
    let failure = Printed::of(&bundle.0, &CliSettings::default(), false)
        .await
        .err()
        .and_then(|f| f.text())
        .unwrap();
    assert!(failure.contains("providers.toml:2:10: "), "{failure}");
}

#[tokio::test]
async fn a_dry_call_asks_each_provider_once() {
    let served = Server::replying(vec![
        Reply::new(200, r#"{"name": "A"}"#),
        Reply::new(404, "{}"),
    ])
    .await;
    let bundle = Bundle::new(
        "dry",
        &upstreams_at(&served.url("/base")),
        &format!("{LOOPBACK}MILLRACE_TEST_KEY=hidden\n"),
    );
    let report = bundle.report(true).await;
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report.text.contains("first: found name in ")
            && report
                .text
                .contains("second: not found (HTTP 404; --verbose shows the answer), in "),
        "{}",
        report.text
    );
    let seen = served.got();
    assert_eq!(
        seen.iter().map(|s| s.path.as_str()).collect::<Vec<_>>(),
        ["/base/first/wikimedia.org", "/base/second/wikimedia.org"]
    );
    assert_eq!(seen[1].get("authorization"), Some("Bearer hidden"));

    let served = Server::replying(vec![Reply::new(500, "{}")]).await;
    let bundle = Bundle::new(
        "down",
        &upstreams_at(&served.url("/base")),
        &format!("{LOOPBACK}MILLRACE_TEST_KEY=hidden\n"),
    );
    let report = bundle.report(true).await;
    assert_eq!(report.faults, 2, "{}", report.text);
    assert!(
        report.text.contains("first: failed after ") && report.text.contains("provider_error"),
        "{}",
        report.text
    );
    assert!(!report.text.contains("hidden"), "{}", report.text);
}

#[tokio::test]
async fn a_record_runs_through_its_types_waterfall() {
    let served = Server::replying(vec![
        Reply::new(404, "{}"),
        Reply::new(200, r#"{"name": "B"}"#),
    ])
    .await;
    let bundle = Bundle::new(
        "run",
        &upstreams_at(&served.url("/base")),
        &format!("{LOOPBACK}MILLRACE_TEST_KEY=hidden\n"),
    );
    let outcome = bundle.outcome(&args("company", Some("stripe.com"))).await;
    assert_eq!((outcome.status, outcome.credits), (OutcomeStatus::Found, 7));
    let shown = outcome_text(&outcome, Duration::from_millis(1234), "");
    assert_eq!(
        shown,
        "found, 7 credits, 1,234 ms\n  name  B  second, confidence 0.5, theirs"
    );
    assert_eq!(served.got().len(), 2);

    let names = vec![("last_name".to_owned(), json!("Doe"))];
    let outcome = bundle
        .outcome(&Enrich {
            input: names,
            ..args("person", Some("Jane"))
        })
        .await;
    assert_eq!(
        outcome_text(&outcome, Duration::ZERO, ""),
        "failed, 0 credits, 0 ms\n  provider_unconfigured: name one"
    );
}

#[tokio::test]
async fn what_other_providers_lack_is_no_matter() {
    let served = Server::replying(vec![Reply::new(200, r#"{"name": "A"}"#)]).await;
    let bundle = Bundle::new("lack", &upstreams_at(&served.url("/base")), LOOPBACK);
    let only = Enrich {
        providers: Some(vec!["first".to_owned()]),
        ..args("company", Some("stripe.com"))
    };
    assert_eq!(bundle.outcome(&only).await.data["name"], "A");
    let config = parse_config(READERS, &bundle.0).unwrap();
    let settings = bundle.settings();
    let failure = registry_of(&asked(config, "paid", None), |p| {
        build(p, &bundle.0, &|name| settings.get(name))
    })
    .err();
    assert!(
        failure
            .and_then(|f| f.text())
            .unwrap()
            .contains("MILLRACE_TEST_KEY, which is not set")
    );
}

#[test]
fn a_record_that_does_not_fit_is_told_before_anybody_is_asked() {
    let bundle = Bundle::new("record", &upstreams_at("https://api.example.com"), "");
    let config = parse_config(READERS, &bundle.0).unwrap();
    let reported = |args: &Enrich| record(&config, args).unwrap_err();
    let usage = |text: &str| Failure::Usage(text.to_owned());
    assert_eq!(
        reported(&args("compani", Some("x"))),
        usage("no type compani; there are company, paid, person")
    );
    assert_eq!(
        reported(&args("person", Some("Jane"))),
        usage("last_name is required")
    );
    let more = |pairs: &[(&str, Value)]| Enrich {
        input: pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.clone()))
            .collect(),
        ..args("person", Some("Jane"))
    };
    assert_eq!(
        reported(&more(&[("last_name", json!(5)), ("hat", json!("red"))])),
        usage("last_name must be a string; hat is not a field of type person")
    );
    let good = record(
        &config,
        &more(&[("last_name", json!("Doe")), ("age", json!(5))]),
    )
    .unwrap();
    assert_eq!(
        Value::Object(good),
        json!({"first_name": "Jane", "last_name": "Doe", "age": 5})
    );
    let wrong = Enrich {
        providers: Some(vec!["third".to_owned()]),
        ..args("company", Some("a.com"))
    };
    assert_eq!(
        reported(&wrong),
        usage("--providers: third is not a provider of type company, which asks first, second")
    );
}

/// Takes the question, is not done at the first poll, and answers at the second.
#[derive(Debug, Default)]
struct Slow(Mutex<Vec<Option<Value>>>);

#[async_trait]
impl Provider for Slow {
    async fn ask(&self, question: &Question<'_>, _: &Ports) -> Answer {
        let mut seen = self.0.lock().unwrap();
        seen.push(
            question
                .earlier
                .map(|earlier| earlier.upstream_token.clone()),
        );
        assert!(
            question.callback.is_none(),
            "this machine cannot be called back"
        );
        let wait = |seconds| {
            let (poll_after, give_up_in) =
                (Duration::from_secs(seconds), Duration::from_secs(3_600));
            Answer::Later(Later {
                upstream_token: Some(json!("t1")),
                poll_after,
                give_up_in,
                refused: false,
                outage: None,
            })
        };
        match seen.len() {
            1 => wait(30),
            2 => wait(600),
            _ => Answer::Found {
                fields: Map::from_iter([("name".to_owned(), json!("Late"))]),
                confidence: None,
            },
        }
    }
}

/// Time that passes where somebody waits for it.
#[derive(Debug, Default)]
struct Virtual(Mutex<Duration>);

#[async_trait]
impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp(0).plus(*self.0.lock().unwrap())
    }

    async fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

#[tokio::test]
async fn an_answer_that_comes_later_is_waited_for() {
    let bundle = Bundle::new("later", &upstreams_at("https://api.example.com"), "");
    let (slow, clock) = (Arc::new(Slow::default()), Arc::new(Virtual::default()));
    let config = asked(parse_config(READERS, &bundle.0).unwrap(), "paid", None);
    let registry = registry_of(&config, |_| Ok(slow.clone())).unwrap();
    let ports = Ports {
        clock: clock.clone(),
        ..ports(&bundle.settings()).unwrap()
    };
    let input = Map::from_iter([("domain".to_owned(), json!("stripe.com"))]);
    let outcome = trial(&config, &registry, &args("paid", None), &input, ports)
        .await
        .unwrap();
    assert_eq!(
        (outcome.status, &outcome.data["name"]),
        (OutcomeStatus::Found, &json!("Late"))
    );
    assert_eq!(
        *slow.0.lock().unwrap(),
        [None, Some(json!("t1")), Some(json!("t1"))]
    );
    assert_eq!(
        *clock.0.lock().unwrap(),
        Duration::from_secs(630),
        "as long as the provider said, and no longer"
    );
}

/// One upstream on loopback that takes a question and answers it later.
fn later_at(base: &str, more: &str) -> String {
    format!(
        "[types.company]\ninputs = [[\"domain\"]]\nwaterfall = [\"slow\"]\n[providers.slow]\n\
         kind = \"http\"\n\
         method = \"POST\"\nurl = \"{base}/jobs\"\n\
         body = {{ domain = \"{{{{ input.domain }}}}\", hook = \"{{{{ callback.url }}}}\" }}\n\
         fields = {{ name = \"/name\" }}\n[providers.slow.later]\nid = \"/id\"\n\
         done = \"response.name is defined\"\n{more}\n"
    )
}

#[tokio::test]
async fn nobody_waits_here_for_a_callback() {
    let served = Server::replying(vec![Reply::new(202, r#"{"id": 7}"#)]).await;
    let bundle = Bundle::new("callback", &later_at(&served.url("/base"), ""), LOOPBACK);
    let settings = bundle.settings();
    let config = asked(parse_config(READERS, &bundle.0).unwrap(), "company", None);
    let registry =
        registry_of(&config, |p| build(p, &bundle.0, &|name| settings.get(name))).unwrap();
    let input = Map::from_iter([("domain".to_owned(), json!("stripe.com"))]);
    let asked = trial(
        &config,
        &registry,
        &args("company", None),
        &input,
        ports(&settings).unwrap(),
    )
    .await;
    let failure = asked.unwrap_err();
    let text = failure.text().unwrap();
    assert!(
        text.starts_with(
            "error: slow answers by a callback alone, which does not reach this machine"
        ),
        "{text}"
    );
    assert_eq!(served.got().len(), 1);
}

#[tokio::test]
async fn what_is_waited_for_is_said() {
    let later = later_at(
        "https://api.example.com",
        "poll = { url = \"https://api.example.com/{{ later.id }}\" }",
    );
    let (bundle, plain) = (
        Bundle::new("waits-later", &later, ""),
        Bundle::new("waits", &upstreams_at("https://api.example.com"), ""),
    );
    let settings = plain.settings();
    let reported = async |bundle: &Bundle, name: &str| {
        let config = parse_config(READERS, &bundle.0).unwrap();
        let registry =
            registry_of(&asked(config.clone(), "person", None), |_| unreachable!()).unwrap();
        let (watched, ports) = watch([].into_iter(), false, &settings, ports(&settings).unwrap())
            .await
            .unwrap();
        let trial = Trial {
            config: &config,
            registry: &registry,
            watched: &watched,
            ports: &ports,
        };
        trial.waits(name, Duration::from_secs(30)).unwrap()
    };
    assert_eq!(
        reported(&bundle, "slow").await,
        "slow answers later; asking again in 30 s"
    );
    assert_eq!(
        reported(&plain, "first").await,
        "first has to wait; asking again in 30 s"
    );
}

#[tokio::test]
async fn a_dry_call_can_be_of_some_alone() {
    let served = Server::replying(vec![Reply::new(200, r#"{"label": "A"}"#)]).await;
    let bundle = Bundle::new(
        "some",
        &upstreams_at(&served.url("/base")),
        &format!("{LOOPBACK}MILLRACE_TEST_KEY=hidden\n"),
    );
    let settings = bundle.settings();
    let report = Printed::of_some(&bundle.0, &settings, true, &["second"])
        .await
        .unwrap();
    assert!(
        report
            .text
            .contains("  second: not found (HTTP 200; --verbose shows the answer), in "),
        "{}",
        report.text
    );
    // The secret of another provider does not matter here, and neither do the types.
    assert!(
        !report.text.contains("first") && !report.text.contains("types\n"),
        "{}",
        report.text
    );
    assert_eq!(served.got().len(), 1);
    let unknown = Printed::of_some(&bundle.0, &settings, true, &["second", "third"])
        .await
        .err();
    assert_eq!(
        unknown,
        Some(Failure::Usage(
            "--provider: no provider third; there are first, second".to_owned()
        ))
    );
}

#[tokio::test]
async fn a_dry_call_of_one_does_not_need_what_another_lacks() {
    let served = Server::replying(vec![Reply::new(200, r#"{"name": "A"}"#)]).await;
    let bundle = Bundle::new("alone", &upstreams_at(&served.url("/base")), LOOPBACK);
    let report = Printed::of_some(&bundle.0, &bundle.settings(), true, &["first"])
        .await
        .unwrap();
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(!report.text.contains("second"), "{}", report.text);
    assert_eq!(
        bundle.report(false).await.faults,
        1,
        "the whole file lacks a secret"
    );
}

/// Returns what a dry call of a provider with this mapping makes of this answer.
async fn dry_call(name: &str, mapping: &str, answer: &str) -> String {
    let served = Server::replying(vec![Reply::new(200, answer)]).await;
    let toml = format!(
        "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"a\"]\n[providers.a]\nkind = \"http\"\n\
         retries = 0\n\
         url = \"{}/a\"\n{mapping}\n",
        served.url("/base")
    );
    let bundle = Bundle::new(name, &toml, LOOPBACK);
    let report = bundle.report(true).await;
    let (_, calls) = report
        .text
        .split_once("dry calls\n")
        .unwrap_or_else(|| panic!("{}", report.text));
    calls.trim().to_owned()
}

#[tokio::test]
async fn a_pointer_that_found_nothing_is_named() {
    let fields = "query = { q = \"{{ input.domain }}\" }\n\
        fields = { name = \"/d/name\", size = \"/d/size\", city = { expr = \"response.d.city\" } }";
    let sure = format!("{fields}\nconfidence = \"/score\"");
    let missing = format!("{fields}\nnot_found = {{ missing = [\"/d\"] }}");
    let batch = "method = \"POST\"\nfields = { name = \"/name\" }\n\
        batch = { max = 2, items = { d = \"{{ input.domain }}\" }, body = { q = \"{{ items }}\" }, \
        results = \"/results\", match = { by = \"/id\", key = \"{{ input.domain }}\" } }";
    for (name, mapping, answer, reported) in [
        (
            "some",
            fields,
            r#"{"d": {"name": "A", "size": ""}}"#,
            Some("/d/size (size), { response.d.city } (city)"),
        ),
        (
            "all",
            fields,
            r#"{"data": {"name": "A"}}"#,
            Some("/d/name (name), /d/size (size), { response.d.city } (city)"),
        ),
        (
            "none",
            fields,
            r#"{"d": {"name": "A", "size": 0, "city": "B"}}"#,
            None,
        ),
        (
            "sure",
            &sure,
            r#"{"d": {"name": "A", "size": 0, "city": "B"}}"#,
            Some("/score (confidence)"),
        ),
        (
            "missing",
            &missing,
            r#"{"data": 1}"#,
            Some("/d (not_found.missing)"),
        ),
        (
            "batch",
            batch,
            r#"{"results": [{"key": "x", "name": "A"}]}"#,
            Some("/id (batch.match)"),
        ),
    ] {
        let said = dry_call(name, mapping, answer).await;
        let absent = said.split_once("; nothing at ").map(|(_, absent)| absent);
        assert_eq!(absent, reported, "{name}: {said}");
    }
}

#[tokio::test]
async fn a_type_says_which_provider_serves_which_inputs() {
    let hem = |name: &str, input: &str| {
        format!("[providers.{name}]\nkind = \"hem\"\ninput = \"{input}\"\n")
    };
    let toml = format!(
        "[types.one]\ninputs = [[\"email\"]]\nwaterfall = [\"by-email\"]\n\
         [types.two]\ninputs = [[\"email\"], [\"domain\"], [\"name\", \"city\"]]\n\
         optional_inputs = [\"country\"]\n\
         waterfall = [\"by-email\", \"by-name\", \"by-country\", \"by-email-and-name\"]\n{}{}{}\
         [providers.by-email-and-name]\nkind = \"http\"\n\
         url = \"https://a.example/{{{{ input.email }}}}/{{{{ input.name }}}}\"\n\
         fields = {{ x = \"/x\" }}\n",
        hem("by-email", "email"),
        hem("by-name", "name"),
        hem("by-country", "country")
    );
    let bundle = Bundle::new("served", &toml, "");
    let report = bundle.report(false).await;
    let (_, types) = report.text.split_once("types\n").unwrap();
    assert_eq!(
        types,
        "  one: needs email; at most 1 credit a record; asks by-email\n  \
         two: needs email, or domain, or name and city; at most 1 credit a record; \
         asks by-email, by-name, by-country, by-email-and-name\n    \
         by-email: serves email\n    by-name: serves name and city\n    \
         by-country: serves email (with country), or domain (with country), or name and city (with \
         country)\n    by-email-and-name: serves no set of inputs alone\n",
        "{}",
        report.text
    );
}

#[test]
fn a_file_is_compiled_where_it_is_right_and_named_where_it_is_wrong() {
    let bundle = Bundle::new("compile", &upstreams_at("https://api.example.com"), "");
    let (file, output) = (
        bundle.0.join(CONFIG_FILE),
        bundle.0.join("providers.compiled"),
    );
    let compile = || {
        super::compile(&Compile {
            file: Some(file.clone()),
            output: Some(output.clone()),
        })
    };
    compile().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let read = compiled::read(READERS, &std::fs::read(&output).unwrap(), "p.toml", &text).unwrap();
    assert_eq!(read.types.len(), 3);
    std::fs::remove_file(&output).unwrap();
    let line = format!(":{}:", text.lines().count() + 1);
    for (wrong, reported) in [
        (format!("{text}x = \n"), line.as_str()),
        (format!("{text}unknown = 5\n"), &line),
        (
            format!("{text}[operations.unknown]\nx = \"company\"\n"),
            ": [operations.unknown]: ",
        ),
    ] {
        std::fs::write(&file, wrong).unwrap();
        let why = compile().unwrap_err().text().unwrap();
        assert!(
            why.starts_with(&format!("error: {}{reported}", file.display())),
            "{why}"
        );
        assert!(!output.exists());
    }
}

#[tokio::test]
async fn nothing_found_tells_the_last_status() {
    let served = Server::replying(vec![Reply::new(404, "{}")]).await;
    let bundle = Bundle::new(
        "nothing",
        &upstreams_at(&served.url("/base")),
        &format!("{LOOPBACK}MILLRACE_TEST_KEY=hidden\n"),
    );
    let settings = bundle.settings();
    let config = asked(parse_config(READERS, &bundle.0).unwrap(), "paid", None);
    let registry =
        registry_of(&config, |p| build(p, &bundle.0, &|name| settings.get(name))).unwrap();
    let reported = async |verbose: bool| {
        let given = ports(&settings).unwrap();
        let (watched, ports) = watch(config.providers.iter(), verbose, &settings, given)
            .await
            .unwrap();
        let trial = Trial {
            config: &config,
            registry: &registry,
            watched: &watched,
            ports: &ports,
        };
        let input = Map::from_iter([("domain".to_owned(), json!("stripe.com"))]);
        let outcome = trial.run(&args("paid", None), &input).await.unwrap();
        outcome_text(&outcome, Duration::ZERO, &trial.about_nothing())
    };
    assert_eq!(
        reported(false).await,
        "not found (HTTP 404; --verbose shows the answer), 0 credits, 0 ms"
    );
    assert_eq!(
        reported(true).await,
        "not found (HTTP 404), 0 credits, 0 ms"
    );
}

#[tokio::test]
async fn what_is_kept_in_the_account_is_read_with_its_credentials_and_never_shown() {
    let parameter = r#"{"Parameter": {"Name": "/millrace/key", "Value": "hidden"}}"#;
    let table = Reply::new(200, "domain,city\na.com,Bremen\n").header("etag", "\"1\"");
    let toml = "[types.city]\ninputs = [[\"domain\"]]\nwaterfall = [\"table\", \"keyed\"]\n\
         [providers.keyed]\nkind = \"http\"\nurl = \"https://api.example.com/\"\n\
         fields = { name = \"/name\" }\n\
         headers = { Authorization = \"Bearer {{ secret.key }}\" }\n\
         secrets = { key = { ssm = \"/millrace/key\" } }\n\
         [providers.table]\nkind = \"dataset\"\nfile = \"s3://tables/cities.csv\"\n\
         key = { domain = \"domain\" }\n\
         fields = { city = \"city\" }\n";
    let account = |base: &str| {
        let base = base.trim_end_matches("/base");
        format!(
            "AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=key\nAWS_REGION=eu-central-1\n\
             AWS_ENDPOINT_URL={base}\n"
        )
    };
    let served = Server::replying(vec![Reply::new(200, parameter), table.clone()]).await;
    let bundle = Bundle::new("account", toml, &account(&served.url("/base")));
    let report = bundle.report(false).await;
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report
            .text
            .contains("  keyed: 1 credit, /millrace/key was read\n"),
        "{}",
        report.text
    );
    assert!(
        report
            .text
            .contains("  table: 1 credit, s3://tables/cities.csv has 1 row\n"),
        "{}",
        report.text
    );
    assert!(!report.text.contains("hidden"), "{}", report.text);
    let seen = served.got();
    assert_eq!(seen[0].get("x-amz-target"), Some("AmazonSSM.GetParameter"));
    assert_eq!(seen[1].path.split('?').next(), Some("/tables/cities.csv"));

    let gone = r#"{"__type": "ParameterNotFound"}"#;
    let served = Server::replying(vec![
        Reply::new(400, gone),
        Reply::new(403, "<Error><Code>AccessDenied</Code></Error>"),
    ])
    .await;
    let bundle = Bundle::new("no-account", toml, &account(&served.url("/base")));
    let report = bundle.report(false).await;
    assert_eq!(report.faults, 2, "{}", report.text);
    for part in [
        "keyed: providers.keyed: the parameter /millrace/key: it does not exist; create it",
        "table: s3://tables/cities.csv: reading it was refused (403 AccessDenied); see that it \
         exists",
    ] {
        assert!(
            report.text.contains(part),
            "{part:?} not in\n{}",
            report.text
        );
    }

    let served = Server::replying(vec![table]).await;
    let bundle = Bundle::new("city", toml, &account(&served.url("/base")));
    let settings = bundle.settings();
    let config = asked(
        parse_config(READERS, &bundle.0).unwrap(),
        "city",
        Some(&["table".to_owned()]),
    );
    let registry =
        registry_of(&config, |p| build(p, &bundle.0, &|name| settings.get(name))).unwrap();
    let ports = Ports {
        assets: assets(&settings, &Account::default()).await.unwrap(),
        ..ports(&settings).unwrap()
    };
    let input = Map::from_iter([("domain".to_owned(), json!("a.com"))]);
    let outcome = trial(&config, &registry, &args("city", None), &input, ports)
        .await
        .unwrap();
    assert_eq!(outcome.data["city"], "Bremen");
}
