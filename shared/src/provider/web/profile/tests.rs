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
