use serde_json::json;

use super::*;
use crate::providers::testing::timed;

fn rules(value: &Value) -> Rules {
    Rules::parse(&value.to_string()).unwrap()
}

fn seen(headers: &[(&str, &str)], html: &str) -> Seen {
    let page = Document::read(html);
    Seen {
        url: "https://www.acme.example/shop".to_owned(),
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        html: html.to_owned(),
        script_urls: page.script_urls.clone(),
        page,
        dns: vec![
            (DnsKind::Mx, "aspmx.l.google.com".to_owned()),
            (DnsKind::Txt, "v=spf1 -all".to_owned()),
        ],
    }
}

fn reported(found: &[Detected]) -> Vec<(&str, Option<&str>, u8)> {
    found
        .iter()
        .map(|d| (d.name.as_str(), d.version.as_deref(), d.confidence))
        .collect()
}

#[test]
fn every_place_is_looked_at() {
    let rules = rules(&json!({
        "Server": {"headers": {"Server": "^nginx(?:/([\\d.]+))?\\;version:\\1"}},
        "Header alone": {"headers": {"X-Thing": ""}},
        "Cookie": {"cookies": {"PHPSESSID": "", "none": ""}},
        "Cookies": {"cookies": {"wp_*": "^\\d+$"}},
        "Meta": {"meta": {"Generator": ["^WordPress ?([\\d.]+)?\\;version:\\1"]}},
        "Script": {"scriptSrc": ["jquery[.-]([\\d.]*\\d)[^/]*\\.js\\;version:\\1", "never"]},
        "Inline": {"scripts": "window\\.dataLayer"},
        "Html": {"html": "<div id=\"app\" data-v-"},
        "Text": {"text": "powered by anvils"},
        "Url": {"url": "^https?://[^/]+/shop"},
        "Mail": {"dns": {"MX": "aspmx\\.l\\.google\\.com", "SOA": "x"}},
        "Spf": {"dns": {"txt": "v=spf1"}},
        "Browser": {"js": {"React.version": "(.*)"}, "dom": "#x", "website": "https://x.example", "icon": "x.svg"},
    }));
    let html = "<meta name=generator content='WordPress 6.4.1'><script src=/js/jquery-3.7.1.min.js></script>\
                <script>window.dataLayer = []</script><DIV ID=\"app\" data-v-1>Powered by  Anvils";
    let found = detect(
        &rules,
        &seen(
            &[
                ("server", "nginx/1.25.3"),
                ("x-thing", "1"),
                ("set-cookie", "PHPSESSID=abc; path=/"),
                ("set-cookie", "wp_lang=12"),
            ],
            html,
        ),
    );
    assert_eq!(
        reported(&found),
        [
            ("Server", Some("1.25.3"), 100),
            ("Header alone", None, 100),
            ("Cookie", None, 100),
            ("Cookies", None, 100),
            ("Meta", Some("6.4.1"), 100),
            ("Script", Some("3.7.1"), 100),
            ("Inline", None, 100),
            ("Html", None, 100),
            ("Text", None, 100),
            ("Url", None, 100),
            ("Mail", None, 100),
            ("Spf", None, 100),
        ]
    );
    let evidence: Vec<&str> = found.iter().map(|d| d.evidence[0].as_str()).collect();
    assert_eq!(
        evidence[..4],
        [
            "header server",
            "header x-thing",
            "cookie PHPSESSID",
            "cookie wp_lang"
        ]
    );
    assert_eq!(
        evidence[4..8],
        [
            "meta generator",
            "script /js/jquery-3.7.1.min.js",
            "inline script",
            "html"
        ]
    );
    assert_eq!(evidence[8..], ["text", "url", "dns MX", "dns TXT"]);
    assert!(detect(&rules, &Seen::default()).is_empty());
}

#[test]
fn confidence_adds_up_and_versions_are_chosen() {
    let rules = rules(&json!({
        "Half": {"html": ["a1\\;confidence:40", "b2\\;confidence:30", "c3\\;confidence:0"]},
        "Nothing": {"html": "c3\\;confidence:0"},
        "Choice": {"html": "x(y)?z\\;version:\\1?new \\1:old"},
        "Long": {"html": "hash=(\\w+)\\;version:\\1"},
    }));
    let found = detect(&rules, &seen(&[], "a1 b2 c3 xz hash=0123456789abcdef0123"));
    assert_eq!(
        reported(&found),
        [
            ("Half", None, 70),
            ("Choice", Some("old"), 100),
            ("Long", None, 100)
        ]
    );
    assert_eq!(
        reported(&detect(&rules, &seen(&[], "xyz"))),
        [("Choice", Some("new y"), 100)]
    );
}

#[test]
fn technologies_imply_exclude_and_require_others() {
    let file = json!({"categories": {"1": {"name": "CMS"}, "2": {"name": "Languages"}}, "technologies": {
        "Blog": {"cats": [1], "html": "blog", "implies": ["PHP", "Database\\;confidence:50"]},
        "PHP": {"cats": [2]},
        "Database": {"implies": "Disk"},
        "Disk": {},
        "Old blog": {"html": "blog"},
        "New blog": {"html": "newer", "excludes": "Old blog"},
        "Plugin": {"html": "plugin", "requires": "Blog"},
        "Plugin's plugin": {"html": "plugin", "requires": ["Plugin"]},
        "Theme": {"html": "theme", "requiresCategory": 1},
    }});
    let rules = rules(&file);
    let found = detect(&rules, &seen(&[], "blog newer plugin theme"));
    assert_eq!(
        reported(&found),
        [
            ("Blog", None, 100),
            ("New blog", None, 100),
            ("Plugin", None, 100),
            ("Plugin's plugin", None, 100),
            ("Theme", None, 100),
            ("PHP", None, 100),
            ("Database", None, 50),
            ("Disk", None, 50),
        ]
    );
    assert_eq!(
        (&found[0].categories[..], &found[5].evidence[..]),
        (&["CMS".to_owned()][..], &["implied by Blog".to_owned()][..])
    );
    assert!(detect(&rules, &seen(&[], "plugin theme")).is_empty());
    let round = json!({"A": {"html": "a", "implies": "B"}, "B": {"implies": ["A", "C"]}});
    assert_eq!(
        reported(&detect(
            &super::Rules::parse(&round.to_string()).unwrap(),
            &seen(&[], "a")
        )),
        [("A", None, 100), ("B", None, 100)]
    );
}

#[test]
fn a_wrong_file_is_told_by_technology_and_reason() {
    for (text, wanted) in [
        ("{", "is not JSON: "),
        ("[]", "is not an object of technologies"),
        ("{}", "names no technology"),
        (r#"{"technologies": []}"#, "`technologies` is not an object"),
        (r#"{"A": 1}"#, "A: is not an object"),
        (
            r#"{"A": {"html": 1}}"#,
            "A: html: must be a text or a list of texts",
        ),
        (
            r#"{"A": {"headers": "x"}}"#,
            "A: headers: is not an object of patterns",
        ),
        (
            r#"{"A": {"html": "x\\;confidence:101"}}"#,
            "A: html: the confidence `101` is not a number from 0 to 100",
        ),
        (
            r#"{"apps": {"A": {"implies": "B"}}}"#,
            "A: names `B`, which is not a technology of this file",
        ),
    ] {
        let why = Rules::parse(text).err().unwrap_or_default();
        assert!(why.starts_with(wanted), "{text}: {why}");
    }
}

#[test]
fn a_pattern_that_the_engine_cannot_have_costs_itself_alone_and_is_counted() {
    let rules = rules(&json!({
        "Around": {"html": ["x(?!y)", "(?<=a)b", "(a)\\1", "(x", "[z-a]", "(?:a{1000}){1000}", "\\(?=", "plain"]},
        "Names": {"cookies": {"SESS(?=a)": "", "sid": "(?<!x)1", "own": ""}, "headers": {"x-(": ""}},
        "Lost": {"html": "(?=lost)"},
        "Other": {"html": "plain"},
    }));
    assert_eq!(
        (rules.unusable.count, rules.technologies[0].patterns.len()),
        (10, 2)
    );
    let first = &rules.unusable.first;
    assert!(
        first.len() == 3 && first[0].starts_with("Around: html: `x(?!y)`: "),
        "{first:?}"
    );
    let found = detect(&rules, &seen(&[("set-cookie", "own=1")], "plain"));
    assert_eq!(
        reported(&found),
        [
            ("Around", None, 100),
            ("Names", None, 100),
            ("Other", None, 100)
        ]
    );
    assert_eq!(never_found(&rules), ["Lost"]);
    let long = super::Rules::parse(
        &json!({"A": {"html": format!("{}(", "ü".repeat(500)), "url": "x"}}).to_string(),
    );
    assert!(long.unwrap().unusable.first[0].len() < 300);
}

#[test]
fn names_of_cookies_and_headers_are_patterns_where_they_are_written_as_such() {
    let rules = rules(&json!({
        "Drupal": {"cookies": {"SESS[a-f0-9]{32}": ""}},
        "Express": {"cookies": {"connect\\.sid": ""}},
        "ColdFusion": {"cookies": {"CFID|CFTOKEN": "^\\d+$"}},
        "WebSphere": {"cookies": {"(?i)ltpatoken": ""}},
        "MyBB": {"cookies": {"mybb[lastactive]": ""}},
        "Form": {"cookies": {"data[id]": ""}, "headers": {"x-[form]-id": ""}},
        "Asp": {"cookies": {"ASPSESSION[A-Z]": ""}},
        "Many": {"cookies": {"many[xyz]*": "", "few[xyz]?_": ""}},
        "Joomla": {"cookies": {"joomla_[a-z0-9]+": "", "joomla_.*": "never"}},
        "Customer": {"cookies": {"apptus.customerKey": "", " __Host-Space ": ""}},
        "Analytics": {"cookies": {"_ga_*": "\\;version:GA4"}},
        "Plain": {"cookies": {"id": ""}},
        "Header": {"headers": {"X-(?:Rack|Runtime)-Cache:": "^(\\d+)$\\;version:\\1"}},
        "Cache": {"headers": {"x-sucuri-cache:": ""}},
        "Funnels": {"meta": {"cf:app_domain:": "app\\.clickfunnels\\.com"}},
    }));
    let hex = "0123456789abcdef".repeat(2);
    for (headers, wanted) in [
        (vec![format!("SESS{hex}=1")], "Drupal"),
        (vec![format!("SSESS{hex}=1; secure")], "Drupal"),
        (vec!["connect.sid=1".to_owned()], "Express"),
        (vec!["cftoken=12".to_owned()], "ColdFusion"),
        (vec!["LtpaToken2=1".to_owned()], "WebSphere"),
        (vec!["mybb[lastactive]=1".to_owned()], "MyBB"),
        (
            vec!["Data[ID]=1".to_owned(), "datadome=2".to_owned()],
            "Form",
        ),
        (vec!["aspsessionq=1".to_owned()], "Asp"),
        (vec!["manyxx=1".to_owned()], "Many"),
        (vec!["few_=1".to_owned()], "Many"),
        (vec!["joomla_user_state=1".to_owned()], "Joomla"),
        (vec!["apptus.customerkey=1".to_owned()], "Customer"),
        (vec!["__Host-Space=1".to_owned()], "Customer"),
        (
            vec!["_ga_ABC=1".to_owned(), "phpsessid=2".to_owned()],
            "Analytics",
        ),
        (vec!["ID=1".to_owned()], "Plain"),
    ] {
        let headers: Vec<_> = headers
            .iter()
            .map(|cookie| ("set-cookie", cookie.as_str()))
            .collect();
        let found = detect(&rules, &seen(&headers, ""));
        assert_eq!(
            found.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(),
            [wanted],
            "{headers:?}"
        );
    }
    let apart = [
        ("set-cookie", "datadome=1"),
        ("set-cookie", "mybbl=2"),
        ("x-f-id", "3"),
    ];
    assert_eq!(
        reported(&detect(&rules, &seen(&apart, ""))),
        [],
        "brackets are of a name unless something says otherwise"
    );
    let found = detect(
        &rules,
        &seen(&[("x-runtime-cache", "12"), ("x-sucuri-cache", "HIT")], ""),
    );
    assert_eq!(
        reported(&found),
        [("Header", Some("12"), 100), ("Cache", None, 100)]
    );
    let page = "<meta property='CF:app_domain:' content=app.clickfunnels.com>";
    assert_eq!(
        reported(&detect(&rules, &seen(&[], page))),
        [("Funnels", None, 100)]
    );
    for cookie in [
        format!("SESS{}=1", &hex[1..]),
        "connectXsid=1".to_owned(),
        "CFID=x".to_owned(),
        "apptusXcustomerKey=1".to_owned(),
        "xid=1".to_owned(),
    ] {
        assert!(
            detect(&rules, &seen(&[("set-cookie", &cookie)], "")).is_empty(),
            "{cookie}"
        );
    }
}

#[test]
fn what_no_site_can_show_is_known() {
    let file = json!({"categories": {"1": {"name": "CMS"}}, "technologies": {
        "Shown": {"html": "a", "implies": "Implied", "excludes": "Kept out"},
        "Implied": {"js": {"x": ""}, "implies": "Implied too"},
        "Implied too": {},
        "Kept out": {"html": "b"},
        "Browser": {"js": {"x": ""}, "dom": "#x", "implies": "Behind it"},
        "Behind it": {},
        "Needs it": {"html": "c", "requires": "Browser"},
        "Needs that": {"html": "c", "requires": ["Needs it"]},
        "Needs a CMS": {"html": "d", "requiresCategory": 1},
        "Doubted": {"html": "e\\;confidence:0"},
    }});
    assert_eq!(
        never_found(&rules(&file)),
        [
            "Browser",
            "Behind it",
            "Needs it",
            "Needs that",
            "Needs a CMS",
            "Doubted"
        ]
    );
    let about = |file: &Value| super::super::about("t.json", &rules(file));
    let reported = about(&file).unwrap();
    assert_eq!(reported[0], "t.json has 10 technologies");
    assert!(
        reported[1].starts_with("6 of them can never be found (")
            && reported[1].ends_with("Needs a CMS, …"),
        "{reported:?}"
    );
    assert_eq!(reported.len(), 2);
    let reported = about(&json!({"A": {"html": ["a", "b(?=c)"]}})).unwrap();
    assert_eq!(reported[0], "t.json has 1 technology");
    assert!(
        reported[1]
            .starts_with("1 pattern passed over that the matcher cannot have: A: html: `b(?=c)`: "),
        "{reported:?}"
    );
    assert!(
        about(&json!({"A": {"dom": "#a"}, "B": {"html": "(?=b)"}}))
            .unwrap_err()
            .contains("none of its 2 ")
    );
}

/// As many patterns as a full set of rules has, each of which has its words on the page, or has
/// none.
fn many_rules() -> Rules {
    let patterns = |words: &str| -> Vec<String> {
        (0..1_000)
            .map(|n| {
                if n % 10 == 0 {
                    format!("(?:[a-z]+[/.-]?)+{n}!")
                } else {
                    format!("{words}[a-z/]*{n}!")
                }
            })
            .collect()
    };
    rules(&json!({"A": {
        "html": ["(a+)+$", "(a|aa)*b", "(?:[a-z]+\\s?)+;"], "scripts": "(x+x+)+y", "scriptSrc": patterns("aaaa"),
        "meta": {"generator": patterns("aaaa")}, "headers": {"x-powered-by": patterns("aaaa")},
        "cookies": {"c*": patterns("aaaa")}, "text": patterns("aaaa"), "dns": {"TXT": patterns("aaaa")}
    }}))
}

#[test]
fn hostile_patterns_and_pages_end() {
    let rules = many_rules();
    let long = "a".repeat(2_000);
    let mut html = format!(
        "{}<script>{}</script>",
        "a".repeat(200_000),
        "x".repeat(200_000)
    );
    html += &(0..2_000)
        .map(|n| format!("<script src=/{n}/{long}></script><meta name=generator content={long}>"))
        .collect::<Vec<_>>()
        .concat();
    let mut seen = seen(&[], &html);
    seen.headers = vec![("x-powered-by".to_owned(), long.clone()); 2_000];
    seen.headers
        .extend((0..2_000).map(|n| ("set-cookie".to_owned(), format!("c{n}={long}"))));
    seen.dns = vec![(DnsKind::Txt, long); 2_000];
    assert_eq!(
        (seen.script_urls.len(), seen.page.metas.len()),
        (2_000, 2_000)
    );
    // An eighth of the budget of a page, because tests are built for debugging. Without bounds the
    // engine would read 20 GB.
    let budget = Budget::new(1024 * 1024);
    let (found, took) = timed(|| detect_within(&rules, &seen, &budget));
    assert!(found.is_empty() && budget.is_spent());
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

#[test]
fn what_is_matched_of_many_values_is_bounded() {
    let rules = rules(&json!({
        "Near": {"scriptSrc": "near\\.js", "meta": {"m": "near"}}, "Late script": {"scriptSrc": "late\\.js"},
        "Long script": {"scriptSrc": "end\\.js"}, "Late meta": {"meta": {"m": "late"}}, "Other meta": {"meta": {"o": "late"}}
    }));
    let mut seen = seen(&[], "");
    seen.script_urls = vec![
        format!("https://a.example/{}end.js", "x".repeat(500)),
        "https://a.example/near.js".to_owned(),
    ];
    seen.script_urls
        .resize(MAX_PIECES, "https://a.example/other.js".to_owned());
    seen.script_urls
        .push("https://a.example/late.js".to_owned());
    seen.page.metas = vec![("m".to_owned(), "near".to_owned()); MAX_OF_A_NAME];
    seen.page.metas.extend([
        ("m".to_owned(), "late".to_owned()),
        ("o".to_owned(), "late".to_owned()),
    ]);
    let found = detect(&rules, &seen);
    let names: Vec<_> = found.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["Near", "Other meta"]);
    seen.script_urls = vec!["x".repeat(MAX_SCRIPT_URL); MAX_TOGETHER / MAX_SCRIPT_URL];
    seen.script_urls.push("late.js".to_owned());
    assert!(
        detect(&rules, &seen)
            .iter()
            .all(|d| d.name != "Late script")
    );
}

#[test]
fn the_shipped_rules_are_right_and_tell_what_they_are_for() {
    let text = include_str!("../../../../../../infra/data/technologies.json");
    let rules = Rules::parse(text).unwrap_or_else(|why| panic!("{why}"));
    assert!(
        (60..=150).contains(&rules.technologies.len())
            && rules.unusable.count == 0
            && never_found(&rules).is_empty(),
        "{}",
        rules.technologies.len()
    );
    for technology in &rules.technologies {
        assert!(
            !technology.categories.is_empty(),
            "{} has no category",
            technology.name
        );
    }
    let html = "<meta name=generator content='WordPress 6.4.1'><link href=/wp-content/themes/x.css>\
                <script src='https://www.googletagmanager.com/gtm.js?id=GTM-X'></script><script src=/wp-includes/js/jquery/jquery.min.js?ver=3.7.1>";
    let found = detect(
        &rules,
        &seen(
            &[
                ("server", "cloudflare"),
                ("cf-ray", "1"),
                ("x-powered-by", "PHP/8.2.1"),
            ],
            html,
        ),
    );
    let names: Vec<_> = found.iter().map(|d| d.name.as_str()).collect();
    for wanted in [
        "WordPress",
        "PHP",
        "MySQL",
        "jQuery",
        "Cloudflare",
        "Google Tag Manager",
        "Google Workspace",
    ] {
        assert!(names.contains(&wanted), "{wanted}: {names:?}");
    }
}
