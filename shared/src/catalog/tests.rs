use std::time::Duration;

use super::*;
use crate::providers::kinds::READERS;
use crate::providers::kinds::http::config::HttpConfig;
use crate::providers::kinds::web::{DomainFinderConfig, SignalsConfig, SiteConfig};

const GOOD: &str = "[types.company]\ninputs = [[\"domain\"]]\nwaterfall = [\"brands\"]\n\n\
                    [providers.brands]\n\
                    kind = \"dataset\"\nfile = \"data/b.csv\"\nkey = { domain = \"domain\" }\n\
                    fields = { name = \"name\" }\n";

const HTTP: &str = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n[providers.api]\n\
                    kind = \"http\"\n\
                    url = \"https://api.example.com/{{ input.domain }}\"\n\
                    fields = { name = \"/name\" }\n";

fn error(text: &str) -> String {
    match Config::parse(READERS, "p.toml", text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(e) => e.to_string(),
    }
}

/// `text` with its one `from` replaced.
fn with(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

#[test]
fn reads_a_file_and_fills_in_defaults() {
    let config = Config::parse(READERS, "p.toml", GOOD).unwrap();
    let company = &config.types[0];
    assert_eq!(company.inputs, [["domain"]]);
    assert_eq!(company.until, Until::Any { confidence: 0.0 });
    assert_eq!(
        (company.record_timeout, company.concurrency),
        (Duration::from_secs(30), 16)
    );
    assert_eq!(
        (config.providers[0].credits, config.providers[0].confidence),
        (1, None)
    );
    let config = Config::parse(READERS, "p.toml", HTTP).unwrap();
    let Some(http) = config.providers[0].kind.downcast_ref::<HttpConfig>() else {
        panic!()
    };
    assert_eq!(
        (http.request.method.as_ref(), http.retries, http.timeout),
        ("GET", 2, Duration::from_secs(20))
    );
    assert_eq!(
        (&*http.requires, &*http.not_found_status),
        (&["domain".to_owned()][..], &[404][..])
    );
}

#[test]
fn the_shipped_file_and_its_commented_example_are_right() {
    let text = include_str!("../../../infra/providers.toml");
    Config::parse(READERS, "infra/providers.toml", text).unwrap();
    let (before, example) = text.split_once("# [providers.my-api]\n").unwrap();
    let (example, _) = example.split_once("\n#\n").unwrap();
    // Other lines are explanations.
    let example = example
        .lines()
        .map(|l| l.trim_start_matches(['#', ' ']))
        .filter(|l| l.split(' ').nth(1) == Some("="));
    let example = example.collect::<Vec<_>>().join("\n");
    let text = format!(
        "{}[providers.my-api]\n{example}",
        with(
            before,
            "inputs = [[\"domain\"]]\nwaterfall = [\"brands\"]",
            "inputs = [[\"domain\"]]\noptional_inputs = [\"country\"]\nwaterfall = [\"brands\", \
             \"my-api\"]"
        )
    );
    let config = Config::parse(READERS, "example", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(config.providers.last().unwrap().kind.name(), "http");
}

#[test]
fn faults_name_line_column_and_what_to_do() {
    for (text, wanted) in [
        (
            with(GOOD, "waterfall =", "unconfigured = \"x\"\nwaterfall ="),
            "p.toml:3:16: types.company: unconfigured: the waterfall names providers; remove \
             `unconfigured`",
        ),
        (
            with(GOOD, "waterfall", "waterfal"),
            "p.toml:3:1: types.company: the key `waterfal` is not known; known here are",
        ),
        (
            with(GOOD, "[\"brands\"]", "[\"brand\"]"),
            "p.toml:3:14: types.company: waterfall: provider `brand` does not exist; add \
             [providers.brand] or name one of: brands",
        ),
        (
            with(GOOD, "[\"brands\"]", "[\"brands\", \"brands\"]"),
            "p.toml:3:24: types.company: waterfall: `brands` is named twice",
        ),
        (
            with(GOOD, "[\"brands\"]", "[]"),
            "p.toml:3:13: types.company: waterfall: the waterfall is empty",
        ),
        (
            with(GOOD, "inputs = [[\"domain\"]]\n", ""),
            "p.toml:1:8: types.company: `inputs` is missing; say which fields",
        ),
        (
            with(GOOD, "[[\"domain\"]]", "[]"),
            "p.toml:2:10: types.company: inputs: inputs is empty",
        ),
        (
            with(GOOD, "[[\"domain\"]]", "[[]]"),
            "p.toml:2:11: types.company: inputs: a set of inputs needs at least one field",
        ),
        (
            with(GOOD, "[[\"domain\"]]", "[\"domain\"]"),
            "p.toml:2:11: types.company: inputs: inputs is a list of lists, each of fields that \
             are enough together: [[\"domain\"]]",
        ),
        (
            with(GOOD, "[[\"domain\"]]", "\"domain\""),
            "p.toml:2:10: types.company: inputs: inputs is a list of lists",
        ),
        (
            with(GOOD, "[[\"domain\"]]", "[[\"a/b\"]]"),
            "p.toml:2:12: types.company: inputs: a field's name has",
        ),
        (
            with(GOOD, "[[\"domain\"]]", "[[\"name\"]]"),
            "p.toml:3:14: types.company: waterfall: `brands` asks for the input `domain`, which \
             this type does not have",
        ),
        (
            with(GOOD, "\n\n[prov", "\nuntil = [\"nmae\"]\n[prov"),
            "p.toml:4:9: types.company: until: no provider of this waterfall gives `nmae`",
        ),
        (
            with(GOOD, "\n\n[prov", "\nuntil = \"all\"\n[prov"),
            "p.toml:4:9: types.company: until: until is \"any\", a list of output fields",
        ),
        (
            with(GOOD, "\n\n[prov", "\nrecord_timeout_s = 101\n[prov"),
            "p.toml:4:20: types.company: record_timeout_s: must be a whole number from 1 to 100",
        ),
        (
            with(GOOD, "\n\n[prov", "\nconcurrency = 0\n[prov"),
            "p.toml:4:15: types.company: concurrency: must be a whole number from 1 to 64",
        ),
        (
            with(GOOD, "\n\n[prov", "\nconcurrency = -1\n[prov"),
            "p.toml:4:15: types.company: concurrency: must be",
        ),
        (
            with(GOOD, "\"dataset\"", "\"datset\""),
            "p.toml:6:8: providers.brands: kind: unknown kind of provider `datset`; it is one of ",
        ),
        (
            with(GOOD, "kind = \"dataset\"\n", ""),
            "p.toml:5:12: providers.brands: `kind` is missing",
        ),
        (
            with(GOOD, "data/b.csv", "../b.csv"),
            "p.toml:7:8: providers.brands: file: file is a path below",
        ),
        (
            with(GOOD, "data/b.csv", "s3://tables"),
            "p.toml:7:8: providers.brands: file: a table in S3 is s3://BUCKET/KEY",
        ),
        (
            with(GOOD, "data/b.csv", "s3://Tables/b.csv"),
            "p.toml:7:8: providers.brands: file: a table in S3 is",
        ),
        (
            with(GOOD, "data/b.csv", "s3://tables/b.txt"),
            "p.toml:7:8: providers.brands: file: a table in S3 is",
        ),
        (
            with(GOOD, "key = {", "max_mib = 5\nkey = {"),
            "p.toml:8:11: providers.brands: max_mib: is for tables in S3",
        ),
        (
            with(GOOD, "data/b.csv", "/etc/b.csv"),
            "p.toml:7:8: providers.brands: file: file is a path below",
        ),
        (
            with(GOOD, "data/b.csv", "data/b.xls"),
            "p.toml:7:8: providers.brands: file: file ends in",
        ),
        (
            with(
                GOOD,
                "{ domain = \"domain\" }",
                "{ domain = { column = \"d\", as = \"url\" } }",
            ),
            "p.toml:8:39: providers.brands: key.domain: as: `url` is not known",
        ),
        (
            with(GOOD, "{ domain = \"domain\" }", "{}"),
            "p.toml:8:7: providers.brands: key: key is empty",
        ),
        (
            format!("{GOOD}confidence = 1.5\n"),
            "p.toml:10:14: providers.brands: confidence: a confidence is a number from 0 to 1",
        ),
        (
            format!("{GOOD}confidence = \"0.7\"\n"),
            "p.toml:10:14: providers.brands: confidence: a confidence is a number from 0 to 1; \
             take the quotes off",
        ),
        (
            format!("{GOOD}confidence = nan\n"),
            "p.toml:10:14: providers.brands: confidence: a confidence is a number from 0 to 1",
        ),
        (
            format!("{GOOD}credits = 1001\n"),
            "p.toml:10:11: providers.brands: credits: must be a whole number from 0 to 1000",
        ),
        (
            format!("{GOOD}kind = \"hem\"\n"),
            "p.toml:10:1: duplicate key: the key or table `kind` stands twice; remove one",
        ),
        (
            format!("{GOOD}[providers.brands]\n"),
            "p.toml:10:12: duplicate key: the key or table `brands` stands twice",
        ),
        (
            format!("{GOOD}[providers.Brands]\nkind = \"hem\"\n"),
            "p.toml:10:12: providers.Brands: a name has",
        ),
        (
            format!("{GOOD}[other]\n"),
            "p.toml:10:2: the file: the key `other` is not known",
        ),
        (format!("{GOOD}x = \n"), "p.toml:10:"),
        (String::new(), "p.toml:1:1: the file: no type is declared"),
        ("[types.tä\n".to_owned(), "p.toml:1:"),
    ] {
        let error = error(&text);
        assert!(error.starts_with(wanted), "wanted {wanted}\n   got {error}");
    }
}

#[test]
fn faults_of_an_http_provider() {
    let url = "https://api.example.com/{{ input.domain }}";
    for (to, wanted) in [
        (
            "https://{{ input.domain }}/x",
            "the host of the URL is written out",
        ),
        (
            "https://api.{{ input.domain }}.com/x",
            "the host of the URL is written out",
        ),
        (
            "https://api.example.com{{ input.domain }}",
            "the host of the URL is written out",
        ),
        (
            "https://api.example.com:{{ input.domain }}/",
            "the host of the URL is written out",
        ),
        (
            "{{ input.domain }}://api.example.com/",
            "the URL begins with https://",
        ),
        ("ftp://api.example.com/", "the URL begins with https://"),
        ("/v1", "the URL begins with https://"),
        ("https://", "`` is not a host name"),
        (
            "https://user:pw@api.example.com/",
            "the URL holds no user or password",
        ),
        ("https://api..example.com/", "is not a host name"),
        ("https://bücher.example/", "is not a host name"),
        ("https://[::g]/", "is not a host name"),
        ("https://api.example.com:0/", "port is a number"),
        ("https://api.example.com:99999/", "port is a number"),
        ("https://api.example.com/a#b", "no fragment"),
        ("https://api.example.com/a b", "no spaces"),
        (
            "https://api.example.com/a b/{{ input.domain }}",
            "no spaces",
        ),
        ("https://api.example.com/ü/{{ input.domain }}", "no spaces"),
        (
            "https://api.example.com/a/../{{ input.domain }}",
            "no `.` or `..` segments",
        ),
        (
            "https://api.example.com/%2E{{ input.domain }}",
            "no `.` or `..` segments",
        ),
        (
            "https://api.example.com/{{ input.domain",
            "`{{` has no `}}`",
        ),
        (
            "https://api.example.com/{{ domain }}",
            "`domain` is not known here; known are input.NAME, secret.NAME",
        ),
        (
            "https://api.example.com/{{ input.domain | uper }}",
            "unknown filter",
        ),
        (
            "https://api.example.com/{{ input.domain is evn }}",
            "unknown test",
        ),
        (
            "https://api.example.com/{{ input.domain() }}",
            "there are no functions and methods",
        ),
        (
            "https://api.example.com/{{ range(9) }}",
            "`range` is not known here",
        ),
        (
            "https://api.example.com/{{ input }}",
            "write which input, such as input.NAME",
        ),
        (
            "https://api.example.com/{{ input['domain'] ~ input }}",
            "write which input",
        ),
        (
            "https://api.example.com/{{ input.domain ~ }}",
            "syntax error",
        ),
        (
            "https://api.example.com/{{ response.x }}",
            "`response.x` is not known here",
        ),
        (
            "https://api.example.com/{% if x %}",
            "only {{ expressions }} are known",
        ),
        (
            "https://api.example.com/{{ env.HOME }}",
            "`env.HOME` is not known here",
        ),
    ] {
        let error = error(&with(HTTP, url, to));
        assert!(
            error.starts_with("p.toml:6:7: providers.api: url: ") && error.contains(wanted),
            "{to}: {error}"
        );
    }
    for (line, wanted) in [
        (
            "method = \"DELETE\"",
            "p.toml:8:10: providers.api: method: the method `DELETE` is not known",
        ),
        (
            "body = { a = 1 }",
            "p.toml:8:8: providers.api: body: a GET has no body",
        ),
        (
            "headers = { \"a b\" = \"x\" }",
            "p.toml:8:21: providers.api: headers.a b: `a b` is not the name of a header",
        ),
        (
            "headers = { Host = \"x\" }",
            "p.toml:8:20: providers.api: headers.Host: the header `host` is set by the sender",
        ),
        (
            "headers = { a = \"x\\r\\ny: z\" }",
            "p.toml:8:17: providers.api: headers.a: a header value has no line breaks",
        ),
        (
            "headers = { a = \"1\", A = \"2\" }",
            "p.toml:8:26: providers.api: headers.A: the header `a` is there twice",
        ),
        (
            "headers = { a = \"{{ secret.key }}\" }",
            "p.toml:4:12: providers.api: a template names {{ secret.key }}, which is not declared",
        ),
        (
            "secrets = { key = \"abc\" }",
            "p.toml:8:19: providers.api: secrets.key: a secret is a reference",
        ),
        (
            "secrets = { key = { env = \"A B\" } }",
            "p.toml:8:27: providers.api: secrets.key: env: the name of an environment variable",
        ),
        (
            "secrets = { key = { ssm = \"acme-key\" } }",
            "p.toml:8:27: providers.api: secrets.key: ssm: the full name of a parameter is such as \
             /millrace/acme-key",
        ),
        (
            "secrets = { key = { ssm = \"/a//b\" } }",
            "p.toml:8:27: providers.api: secrets.key: ssm: the full name",
        ),
        (
            "secrets = { key = { ssm = \"/a\", env = \"A B\" } }",
            "p.toml:8:39: providers.api: secrets.key: env: the name",
        ),
        (
            "secrets = { key = {} }",
            "p.toml:8:19: providers.api: secrets.key: a secret is a reference",
        ),
        (
            "secrets = { key = { vault = \"A\" } }",
            "p.toml:8:21: providers.api: secrets.key: the key `vault` is not known",
        ),
        (
            "not_found = { when = \"status =\" }",
            "p.toml:8:22: providers.api: not_found: when: `status =`: syntax error",
        ),
        (
            "not_found = { when = \"secret.x\" }",
            "p.toml:8:22: providers.api: not_found: when: `secret.x` is not known here; known are \
             response.NAME, status (a number), input.NAME",
        ),
        (
            "not_found = { when = \"status.code == 404\" }",
            "p.toml:8:22: providers.api: not_found: when: `status.code`: `status` is a number, \
             such as in status == 202",
        ),
        (
            "secrets = { key = { env = \"A\" } }",
            "p.toml:8:19: providers.api: secrets.key is used nowhere; name it where it belongs, \
             such as headers = { Authorization = \"Bearer {{ secret.key }}\" }, or remove it",
        ),
        (
            "confidence = 3",
            "p.toml:8:14: providers.api: confidence: a confidence is a number",
        ),
        (
            "confidence = \"0.7\"",
            "p.toml:8:14: providers.api: confidence: a confidence is a number from 0 to 1; take \
             the quotes off",
        ),
        (
            "confidence = \"score\"",
            "p.toml:8:14: providers.api: confidence: `score` is not a JSON Pointer",
        ),
        (
            "later = { id = \"/id\" }",
            "p.toml:8:9: providers.api: later: how does the answer come?",
        ),
        (
            "later = { id = \"/id\", done = \"true\", poll = { url = \"https://a.example/\" } }",
            "p.toml:8:45: providers.api: later: poll: no template of it names {{ later.id }}",
        ),
        (
            "later = { id = \"/id\", poll = { url = \"https://a.example/{{ later.id }}\" } }",
            "p.toml:8:9: providers.api: later: how is a poll's answer told from one that is still \
             to come? Say it in `done`, such as done = \"response.status == 'done'\", or",
        ),
        (
            "later = { id = \"/id\", when = \"status == 202\", poll = { url = \
             \"https://a.example/{{ later.id }}\" } }",
            "p.toml:8:9: providers.api: later: how is a poll's answer told from one that is still \
             to come?",
        ),
        (
            "query = { c = \"{{ callback.url }}\" }",
            "p.toml:4:12: providers.api: a template names {{ callback.url }}; say in `later`",
        ),
        (
            "requires = []",
            "p.toml:8:12: providers.api: requires: the URL uses `domain`",
        ),
        (
            "query = { c = \"{{ input.country }}\" }",
            "p.toml:3:14: types.t: waterfall: `api` asks for the input `country`",
        ),
        (
            "not_found = { status = [99] }",
            "p.toml:8:25: providers.api: not_found: status: an HTTP status",
        ),
        (
            "not_found = { missing = [\"data\"] }",
            "p.toml:8:26: providers.api: not_found: missing: `data` is not a JSON Pointer",
        ),
        (
            "invalid_status = [404]",
            "p.toml:4:12: providers.api: the status 404 cannot mean both",
        ),
        (
            "timeout_s = 0",
            "p.toml:8:13: providers.api: timeout_s: must be a whole number from 1 to 100",
        ),
        (
            "retries = 6",
            "p.toml:8:11: providers.api: retries: must be a whole number from 0 to 5",
        ),
    ] {
        let error = error(&format!("{HTTP}{line}\n"));
        assert!(error.starts_with(wanted), "wanted {wanted}\n   got {error}");
    }
    let error = error(&with(HTTP, "\"/name\"", "\"$.data.name\""));
    assert_eq!(
        error,
        "p.toml:7:19: providers.api: fields.name: `$.data.name` is not a JSON Pointer (RFC 6901); \
         write \"/data/name\""
    );
}

#[test]
fn a_comparison_with_one_sign_is_reported() {
    for (condition, reported) in [
        ("response.state = 'done'", true),
        ("response.state == 'a' and status = 200", true),
        ("response.a = ", true),
        ("response.state == 'a=b' and", false),
        ("response.score >= 0.5 and", false),
        ("response.a != 'x' or", false),
    ] {
        let error = error(&format!("{HTTP}not_found = {{ when = \"{condition}\" }}\n"));
        assert!(error.contains("syntax error"), "{error}");
        assert_eq!(
            error.ends_with("; a comparison is written =="),
            reported,
            "{error}"
        );
    }
}

#[test]
fn a_poll_needs_a_word_for_done() {
    for said in [
        "done = \"response.status == 'done'\"",
        "done = \"status == 200\"",
        "when = \"response.status == 'running'\"",
        "when = \"status == 202\", done = \"status == 200\"",
    ] {
        let later = format!(
            "later = {{ id = \"/id\", {said}, poll = {{ url = \"https://a.example/{{{{ later.id \
             }}}}\" }} }}"
        );
        Config::parse(READERS, "p.toml", &format!("{HTTP}{later}\n"))
            .unwrap_or_else(|e| panic!("{said}: {e}"));
    }
}

#[test]
fn the_kinds_that_read_web_sites() {
    let file = |kind: &str, more: &str| {
        format!(
            "[types.t]\ninputs = [[\"domain\", \"company_name\"]]\nwaterfall = [\"w\"]\n\
             [providers.w]\nkind = \"{kind}\"\n{more}\n"
        )
    };
    let kind = |text: String| {
        Config::parse(READERS, "p.toml", &text)
            .unwrap_or_else(|e| panic!("{e}"))
            .providers
            .remove(0)
            .kind
    };
    let site = kind(file(
        "site",
        "user_agent = \"Acme-Bot/1 (+https://acme.example)\"",
    ));
    let site = site.downcast_ref::<SiteConfig>().unwrap();
    assert_eq!(
        (site.input.as_str(), site.web.timeout),
        ("domain", Duration::from_secs(20))
    );
    assert_eq!(
        site.web.user_agent.as_deref(),
        Some("Acme-Bot/1 (+https://acme.example)")
    );
    let finder = kind(file("domain_finder", ""));
    let finder = finder.downcast_ref::<DomainFinderConfig>().unwrap();
    assert_eq!(
        (
            finder.input.as_str(),
            finder.max_candidates,
            finder.max_fetches
        ),
        ("company_name", 20, 4)
    );
    let signals = kind(file("signals", "max_age_days = 7"));
    let signals = signals.downcast_ref::<SignalsConfig>().unwrap();
    assert_eq!(
        (signals.max_items, signals.max_age),
        (20, Duration::from_secs(7 * 86_400))
    );
    for (name, line, wanted) in [
        (
            "tech",
            "",
            "p.toml:4:12: providers.w: `rules` is missing; name the rules, such as rules = ",
        ),
        (
            "tech",
            "rules = \"../x.json\"",
            "p.toml:6:9: providers.w: rules: rules is a path below the directory",
        ),
        (
            "site",
            "timeout_s = 0",
            "p.toml:6:13: providers.w: timeout_s: must be a whole number from 1 to 100",
        ),
        (
            "site",
            "user_agent = \"9\"",
            "p.toml:6:14: providers.w: user_agent: user_agent begins with a name",
        ),
        (
            "site",
            "user_agent = \"a\\r\\nb\"",
            "p.toml:6:14: providers.w: user_agent: user_agent begins with a name",
        ),
        (
            "site",
            "rules = \"x\"",
            "p.toml:6:1: providers.w: the key `rules` is not known; known here are kind, ",
        ),
        (
            "site",
            "input = \"url\"",
            "p.toml:3:14: types.t: waterfall: `w` asks for the input `url`",
        ),
        (
            "domain_finder",
            "tlds = [\".com\"]",
            "p.toml:6:9: providers.w: tlds: `.com` is not a top-level domain",
        ),
        (
            "domain_finder",
            "tlds = [\"de\", \"de\"]",
            "p.toml:6:15: providers.w: tlds: `de` is there twice; remove one",
        ),
        (
            "domain_finder",
            "tlds = []",
            "p.toml:6:8: providers.w: tlds: tlds is empty",
        ),
        (
            "domain_finder",
            "max_fetches = 11",
            "p.toml:6:15: providers.w: max_fetches: must be a whole number from 1 to 10",
        ),
        (
            "signals",
            "max_items = 101",
            "p.toml:6:13: providers.w: max_items: must be a whole number from 1 to 100",
        ),
    ] {
        let error = error(&file(name, line));
        assert!(error.starts_with(wanted), "wanted {wanted}\n   got {error}");
    }
}
