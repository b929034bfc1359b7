use serde_json::json;

use super::*;

fn read(asked: &str, url: &str, html: &str) -> Profile {
    profile(asked, &Url::parse(url).unwrap(), &Document::read(html), 2026)
}

fn acme(html: &str) -> Profile {
    read("acme.example", "https://www.acme.example/", html)
}

#[test]
fn json_ld_wins_over_open_graph_and_that_over_the_title() {
    let profile = acme(
        r##"<html lang="en_us"><title>Home | Acme Anvils</title><meta property="og:site_name" content="Acme OG">
        <meta name="description" content="Meta words"><link rel="icon" href="/i.png">
        <script type="application/ld+json">{"@graph": [
          {"@type": "WebSite", "publisher": {"@id": "#o"}},
          {"@type": "Organization", "name": "A customer", "url": "https://other.example"},
          {"@type": "Corporation", "@id": "#o", "name": "Acme", "legalName": "Acme Anvils, Inc.", "url": "https://acme.example/",
           "description": "We make\n anvils &amp; more", "logo": {"@id": "#logo"}, "foundingDate": "1920-05-01",
           "numberOfEmployees": {"@type": "QuantitativeValue", "minValue": 51, "maxValue": "200"},
           "telephone": "+1 555 010 9999", "contactPoint": [{"telephone": "tel:+49 30 123456", "email": "mailto:Sales@acme.example"}],
           "address": {"@type": "PostalAddress", "streetAddress": "1 Road", "addressLocality": "Springfield",
                       "addressCountry": {"@type": "Country", "name": "US"}},
           "sameAs": ["https://twitter.com/acme", "https://www.linkedin.com/company/acme/", "https://en.wikipedia.org/wiki/Acme"]},
          {"@type": "ImageObject", "@id": "#logo", "url": "/logo.svg"}]}</script>
        <a href="https://github.com/acme">code</a><a href="mailto:press@acme.example">press</a>"##,
    );
    assert_eq!(
        Value::Object(profile.fields),
        json!({
            "company_name": "Acme", "legal_name": "Acme Anvils, Inc.", "description": "We make anvils & more",
            "logo_url": "https://www.acme.example/logo.svg", "phones": ["+1 555 010 9999", "+49 30 123456"],
            "emails": ["sales@acme.example", "press@acme.example"],
            "address": {"street": "1 Road", "city": "Springfield", "country": "US"}, "founded_year": 1920,
            "employee_range": "51-200",
            "social_profiles": {"x": "https://twitter.com/acme", "linkedin": "https://www.linkedin.com/company/acme",
                                "github": "https://github.com/acme"},
            "domain": "acme.example", "url": "https://www.acme.example/", "title": "Home | Acme Anvils", "language": "en-US"
        })
    );
    assert!((profile.sure["company_name"] - 0.95).abs() < 1e-9, "{:?}", profile.sure);
}

#[test]
fn a_name_is_as_sure_as_where_it_was_read() {
    for (html, name, sure) in [
        (
            r#"<script type="application/ld+json">{"@type":"LocalBusiness","name":"Acme Ltd"}</script>"#,
            "Acme Ltd",
            0.85,
        ),
        (r#"<meta property=og:site_name content="Acme OG"><title>x</title>"#, "Acme OG", 0.75),
        ("<meta name=application-name content=App>", "App", 0.65),
        ("<title>ACME - anvils of all sizes and shapes for everybody</title>", "ACME", 0.6),
        ("<title>Anvils of all sizes | Anvil Works</title>", "Anvil Works", 0.35),
        ("<title>Startseite</title><meta name=application-name content=App>", "App", 0.65),
    ] {
        let profile = acme(html);
        assert_eq!(
            (profile.fields["company_name"].as_str(), profile.sure["company_name"]),
            (Some(name), sure),
            "{html}"
        );
    }
    let nameless = acme("<title>Anvils of all sizes and shapes for everybody</title>");
    assert!(!nameless.fields.contains_key("company_name") && nameless.fields.contains_key("title"));
    assert_eq!(acme("<p>nothing"), Profile::default());
}

#[test]
fn somebody_elses_organisation_is_not_taken() {
    for block in [
        r#"{"@type":"Organization","name":"Other","url":"https://other.example"}"#,
        r#"{"@type":"Review","author":{"@type":"Organization","name":"Other"}}"#,
        r#"{"@type":"Organization"}"#,
        r#"{"@type":"Person","name":"Jo"}"#,
    ] {
        let profile = acme(&format!("<title>Acme</title><script type=application/ld+json>{block}</script>"));
        assert_eq!(profile.fields["company_name"], "Acme", "{block}");
    }
}

#[test]
fn a_redirect_elsewhere_is_told_and_makes_everything_less_sure() {
    let profile = read("old.example", "https://new.example/", "<title>New</title>");
    assert_eq!(
        (&profile.fields["domain"], &profile.fields["redirected_from"]),
        (&json!("new.example"), &json!("old.example"))
    );
    assert!((profile.sure["domain"] - 0.8).abs() < 1e-9 && (profile.sure["company_name"] - 0.48).abs() < 1e-9);
}

#[test]
fn numbers_and_languages() {
    for (value, wanted) in [
        (json!(12), (Some(12), None)),
        (json!("1,200"), (Some(1200), None)),
        (json!({"value": "30"}), (Some(30), None)),
        (json!("11-50"), (None, Some("11-50"))),
        (json!({"minValue": 1000}), (None, Some("1000+"))),
        (json!({"minValue": 9, "maxValue": 3}), (None, None)),
        (json!("many"), (None, None)),
    ] {
        let (count, range) = employees(&value);
        assert_eq!((count, range.as_deref()), wanted, "{value}");
    }
    for (text, wanted) in
        [("de_DE", Some("de-DE")), ("EN", Some("en")), ("zh-Hant-tw", Some("zh-TW")), ("x", None), ("english", None)]
    {
        assert_eq!(language_tag(text).as_deref(), wanted);
    }
    let year = |date: &str| {
        let html = format!(
            r#"<script type=application/ld+json>{{"@type":"Organization","name":"A","foundingDate":"{date}"}}</script>"#
        );
        acme(&html).fields.get("founded_year").cloned()
    };
    assert_eq!(
        (year("1999"), year("2027"), year("soon"), year("\u{fc}\u{fc}\u{fc}")),
        (Some(json!(1999)), None, None, None)
    );
}

/// A page's blocks are at most as long as the page.
fn in_a_block(json: &str) -> String {
    assert!(json.len() <= 1024 * 1024, "{}", json.len());
    format!("<script type=application/ld+json>{json}</script>")
}

/// Looking at every node for every logo would be 600 million look-ups; at every type for every publisher, 1,000 million.
#[test]
fn many_references_to_many_nodes_do_not_hold_the_thread() {
    let bound = std::time::Duration::from_secs(10);
    let nodes: String = (0..4_990).map(|n| [r#"{"@id":""#, &n.to_string(), r#"","a":1},"#].concat()).collect();
    for logos in [r#"{"@id":"x"},"#.repeat(70_000), "{},".repeat(290_000), "1,".repeat(430_000)] {
        let organization = format!(r#"{{"@type":"Organization","name":"Acme","logo":[{logos}0]}}"#);
        let page = in_a_block(&format!("[{nodes}{organization}]"));
        let began = crate::provider::testing::real_now();
        assert_eq!(acme(&page).fields["company_name"], "Acme");
        assert!(began.elapsed() < bound, "{:?}", began.elapsed());
    }
    let sites = r##"{"@type":"WebSite","about":{"@id":"#"},"author":{"@id":"#"}},"##.repeat(4_900);
    let types = r#""","#.repeat(200_000);
    let page = in_a_block(&format!(r##"[{sites}{{"@id":"#","@type":[{types}""],"name":"x"}}]"##));
    let began = crate::provider::testing::real_now();
    assert_eq!(acme(&page), Profile::default());
    assert!(began.elapsed() < bound, "{:?}", began.elapsed());
}

#[test]
fn a_logo_is_found_by_reference_and_only_among_the_first() {
    let organization = |logos: &str| {
        acme(&in_a_block(&format!(
            r##"[{{"@type":"Organization","name":"A","logo":[{logos}]}},{{"@id":"#l","contentUrl":"/l.svg"}}]"##
        )))
    };
    let logo = |logos: &str| organization(logos).fields.get("logo_url").cloned();
    let found = Some(json!("https://www.acme.example/l.svg"));
    assert_eq!(logo(r##"{"@id":"#l"}"##), found);
    assert_eq!(logo(&format!("{}{}", "0,".repeat(MAX_LOGOS - 1), r##"{"@id":"#l"}"##)), found);
    assert_eq!(logo(&format!("{}{}", "0,".repeat(MAX_LOGOS), r##"{"@id":"#l"}"##)), None);
}

#[test]
fn long_texts_and_urls_leave_room_for_what_others_say() {
    let (long, path) = ("\u{fc}".repeat(60_000), "x".repeat(60_000));
    let block = json!({
        "@type": "Organization", "name": long, "legalName": long, "description": long,
        "logo": format!("/{path}"), "url": format!("https://acme.example/{path}"), "telephone": long, "email": long,
        "sameAs": [format!("https://x.com/{path}")],
        "address": {"streetAddress": long},
    });
    let links = format!(
        "<base href='/{0}/'><a href='/contact/{0}'>Contact</a><a href='/jobs'>Jobs</a>",
        "\u{fc}".repeat(1_000)
    );
    let profile = acme(&format!("{}{links}", in_a_block(&block.to_string())));
    assert_eq!(profile.fields["description"].as_str().map(str::len), Some(4_096));
    assert_eq!(profile.fields["careers_url"], "https://www.acme.example/jobs");
    for absent in ["logo_url", "social_profiles", "phones", "emails", "contact_url"] {
        assert!(!profile.fields.contains_key(absent), "{absent}");
    }
    let size = Value::Object(profile.fields).to_string().len();
    assert!(size < 20 * 1024, "{size}");
}
