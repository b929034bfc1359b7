use serde_json::{Value, json};
use url::Url;

use super::fields::Profile;
use super::home::{language_tag, profile};
use super::organization::MAX_LOGOS;
use super::staff::employees;
use crate::providers::kinds::web::html::Document;
use crate::providers::testing::timed;

fn read(asked: &str, url: &str, html: &str) -> Profile {
    profile(
        asked,
        &Url::parse(url).unwrap(),
        &Document::read(html),
        2026,
    )
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
    assert!(
        (profile.sure["company_name"] - 0.95).abs() < 1e-9,
        "{:?}",
        profile.sure
    );
}

#[test]
fn a_name_is_as_sure_as_where_it_was_read() {
    for (html, name, sure) in [
        (
            r#"<script type="application/ld+json">{"@type":"LocalBusiness","name":"Acme Ltd"}</script>"#,
            "Acme Ltd",
            0.85,
        ),
        (
            r#"<meta property=og:site_name content="Acme OG"><title>x</title>"#,
            "Acme OG",
            0.75,
        ),
        ("<meta name=application-name content=App>", "App", 0.5),
        (
            "<meta name=application-name content=App><title>The App</title>",
            "App",
            0.65,
        ),
        (
            "<meta name=application-name content=App><title>Apply to us</title>",
            "App",
            0.5,
        ),
        (
            r#"<meta property=og:site_name content=Nordwerk><script type="application/ld+json">{"@type":"WebSite","name":"Nordwerk"}</script>"#,
            "Nordwerk",
            0.8,
        ),
        (
            r#"<meta property=og:site_name content="Nordwerk"><title>Ambosse</title>"#,
            "Nordwerk",
            0.5,
        ),
        (
            r#"<meta property=og:site_name content="Nordwerk"><title>NordWerk Ambosse</title>"#,
            "Nordwerk",
            0.75,
        ),
        // With a slogan, as generators have one field for both.
        (
            r#"<meta property=og:site_name content="Acme GmbH - Ambosse, H&auml;mmer"><title>x</title>"#,
            "Acme GmbH",
            0.75,
        ),
        (
            r#"<meta property=og:site_name content="Ambosse aus Berlin | Acme"><title>x</title>"#,
            "Acme",
            0.75,
        ),
        (
            r#"<meta property=og:site_name content="Ac - Me"><title>x</title>"#,
            "Ac - Me",
            0.75,
        ),
        ("<title>start [Acme Anvils]</title>", "Acme Anvils", 0.45),
        (
            "<title>ACME - anvils of all sizes and shapes for everybody</title>",
            "ACME",
            0.6,
        ),
        (
            "<title>Anvils of all sizes | Anvil Works</title>",
            "Anvil Works",
            0.35,
        ),
        (
            "<title>Startseite</title><meta name=application-name content=App>",
            "App",
            0.5,
        ),
    ] {
        let profile = acme(html);
        assert_eq!(
            (
                profile.fields["company_name"].as_str(),
                profile.sure["company_name"]
            ),
            (Some(name), sure),
            "{html}"
        );
    }
    let nameless = acme("<title>Anvils of all sizes and shapes for everybody</title>");
    assert!(!nameless.fields.contains_key("company_name") && nameless.fields.contains_key("title"));
    assert_eq!(acme("<p>nothing"), Profile::default());
}

fn named(html: &str) -> (Option<String>, Option<f64>) {
    let profile = acme(html);
    let name = profile
        .fields
        .get("company_name")
        .and_then(Value::as_str)
        .map(str::to_owned);
    (name, profile.sure.get("company_name").copied())
}

#[test]
fn organisations_are_named_as_generators_name_them() {
    for (block, name, sure) in [
        // Squarespace, with a legal name and without.
        (
            r#"{"url":"https://www.acme.example","name":"Acme","@context":"http://schema.org","@type":"WebSite"}</script>
            <script type="application/ld+json">{"legalName":"Acme Anvils, Inc.","address":"1 Road\nSpringfield","email":"a@acme.example",
            "@context":"http://schema.org","@type":"LocalBusiness"}"#,
            "Acme",
            0.8,
        ),
        (
            r#"{"url":"https://www.acme.example","name":"Acme","@type":"WebSite"}</script>
            <script type="application/ld+json">{"legalName":"","telephone":"+1 555 010 9999","@type":"Organization"}"#,
            "Acme",
            0.8,
        ),
        (
            r#"{"@type":"Organization","legalName":"Acme Anvils, Inc."}"#,
            "Acme Anvils, Inc.",
            0.85,
        ),
        // A name without other evidence comes after the legal name.
        (
            r#"{"@type":"WebSite","name":"Our corner"}</script>
            <script type="application/ld+json">{"@type":"Organization","legalName":"Acme Inc."}"#,
            "Acme Inc.",
            0.85,
        ),
        (
            r#"{"@type":"Organization","alternateName":["Acme"],"url":"/"}"#,
            "Acme",
            0.85,
        ),
        (
            r#"{"@type":"schema:Pharmacy","schema:name":"Acme","schema:url":"acme.example"}"#,
            "Acme",
            0.95,
        ),
        (
            r#"{"@type":"Organization","name":"Smith &#8217;n&#8217; Sons &#038; Co"}"#,
            "Smith \u{2019}n\u{2019} Sons & Co",
            0.85,
        ),
        (
            r#"{"@type":"WebSite","name":"Acme","publisher":{"@type":"Organization","name":"Acme Holding"}}"#,
            "Acme Holding",
            0.85,
        ),
        // Several, of which one fits.
        (
            r#"[{"@type":"Organization","name":"A member","logo":"x","description":"y"},{"@type":"Organization","name":"Acme GmbH"}]"#,
            "Acme GmbH",
            0.85,
        ),
        (
            r##"[{"@type":"Organization","name":"A member","logo":"x"},{"@type":"WebPage","publisher":{"@id":"#o"}},
            {"@type":"Organization","@id":"#o","name":"Nordwerk"}]"##,
            "Nordwerk",
            0.85,
        ),
        (
            r#"{"@type":"Organization","name":"My Site","legalName":"Acme Inc."}"#,
            "Acme Inc.",
            0.85,
        ),
        (
            r#"[{"@type":"Organization","name":"Acme"},{"@type":"HairSalon","name":"ACME Ltd","telephone":"+1 555 010 9999"}]"#,
            "ACME Ltd",
            0.85,
        ),
        // And none that does.
        (
            r#"[{"@type":"Organization","name":"One","logo":"x"},{"@type":"Organization","name":"Two"}]"#,
            "One",
            0.5,
        ),
    ] {
        let html = format!("<script type=\"application/ld+json\">{block}</script>");
        assert_eq!(named(&html), (Some(name.to_owned()), Some(sure)), "{block}");
    }
    let html = r#"<script type="application/ld+json">{"@type":"Organization","telephone":"+1 555 010 9999"}</script><title>Acme</title>"#;
    assert_eq!(
        (named(html).0.as_deref(), &acme(html).fields["phones"]),
        (Some("Acme"), &json!(["+1 555 010 9999"]))
    );
    let moved = read(
        "old.example",
        "https://new.example/",
        r#"<script type="application/ld+json">{"@type":"Organization","name":"Old","url":"https://old.example"}</script>"#,
    );
    assert_eq!(
        moved.fields["company_name"], "Old",
        "its address is the one that was asked for"
    );
}

#[test]
fn profiles_are_read_with_and_without_a_scheme() {
    let profile = acme(
        r#"<script type="application/ld+json">{"@type":"Organization","name":"Acme","sameAs":["www.facebook.com/acme",
        "//www.linkedin.com/company/acme", "https://x.com/acme, https://github.com/acme", {"@id":"https://www.instagram.com/acme"}, "", 1]}</script>"#,
    );
    let social = profile.fields["social_profiles"].as_object().unwrap();
    for (network, url) in [
        ("facebook", "https://www.facebook.com/acme"),
        ("linkedin", "https://www.linkedin.com/company/acme"),
        ("x", "https://x.com/acme"),
        ("github", "https://github.com/acme"),
        ("instagram", "https://www.instagram.com/acme"),
    ] {
        let url = url.trim_end_matches('/');
        assert_eq!(
            social
                .get(network)
                .and_then(Value::as_str)
                .map(|u| u.trim_end_matches('/')),
            Some(url),
            "{social:?}"
        );
    }
}

#[test]
fn a_weak_source_is_not_sold_as_sure() {
    for (html, name, sure) in [
        (
            "<title>Acme GmbH | Ambosse aus Berlin</title>",
            Some("Acme GmbH"),
            Some(0.6),
        ),
        (
            "<title>Ambosse aus Berlin | Nordwerk GmbH</title>",
            Some("Nordwerk GmbH"),
            Some(0.5),
        ),
        (
            "<title>Acme Forge | Ambosse aus Berlin</title>",
            Some("Acme Forge"),
            Some(0.45),
        ),
        (
            "<title>Nordwerk | Ambosse aus Berlin</title>",
            Some("Nordwerk"),
            Some(0.35),
        ),
        (
            "<meta property=og:site_name content=acme.example><title>Acme</title>",
            Some("Acme"),
            Some(0.6),
        ),
        (
            "<meta property=og:site_name content=acme.example><title>Home</title>",
            Some("acme.example"),
            Some(0.4),
        ),
        (
            "<meta property=og:site_name content='My WordPress'><title>React App</title>",
            None,
            None,
        ),
        (
            "<meta property=og:site_name content=Home><meta name=application-name content='Create Next App'>",
            None,
            None,
        ),
        (
            r#"<script type="application/ld+json">{"@type":"Organization","name":"My Site"}</script><title>Acme</title>"#,
            Some("Acme"),
            Some(0.6),
        ),
    ] {
        assert_eq!(named(html), (name.map(str::to_owned), sure), "{html}");
    }
}

#[test]
fn somebody_elses_organisation_is_not_taken() {
    for block in [
        r#"{"@type":"Organization","name":"Other","url":"https://other.example"}"#,
        r#"{"@type":"Review","author":{"@type":"Organization","name":"Other"}}"#,
        r#"{"@type":"Organization"}"#,
        r#"{"@type":"Person","name":"Jo"}"#,
        r#"{"@type":"GovernmentService","name":"Passports"}"#,
        r#"{"@type":"Organization","name":"Other","url":"www.other.example"}"#,
        r#"{"@type":"WebSite","name":"Other","url":"https://other.example"}"#,
    ] {
        let profile = acme(&format!(
            "<title>Acme</title><script type=application/ld+json>{block}</script>"
        ));
        assert_eq!(profile.fields["company_name"], "Acme", "{block}");
    }
}

#[test]
fn a_redirect_elsewhere_is_told_and_makes_everything_less_sure() {
    let profile = read("old.example", "https://new.example/", "<title>New</title>");
    assert_eq!(
        (
            &profile.fields["domain"],
            &profile.fields["redirected_from"]
        ),
        (&json!("new.example"), &json!("old.example"))
    );
    assert!(
        (profile.sure["domain"] - 0.8).abs() < 1e-9
            && (profile.sure["company_name"] - 0.48).abs() < 1e-9
    );
}

#[test]
fn numbers_and_languages() {
    for (value, wanted) in [
        (json!(12), (Some(12), None)),
        (json!("1,200"), (Some(1200), None)),
        (json!({"value": "30"}), (Some(30), None)),
        (json!("11-50"), (None, Some("11-50"))),
        (json!({"minValue": 1000}), (None, Some("1000+"))),
        (json!("1,001-5,000"), (None, Some("1001-5000"))),
        (
            json!("1.001 \u{2013} 5.000 Mitarbeiter"),
            (None, Some("1001-5000")),
        ),
        (json!("10,001+"), (None, Some("10001+"))),
        (json!("10,001+ employees"), (None, Some("10001+"))),
        (json!("51 to 200 employees"), (None, Some("51-200"))),
        (json!("> 500"), (None, Some("500+"))),
        (json!("120 employees"), (Some(120), None)),
        (json!("12 000"), (Some(12_000), None)),
        (json!("50-50"), (Some(50), None)),
        (json!(["11-50"]), (None, Some("11-50"))),
        (
            json!({"minValue": "1,001", "maxValue": 5000.0}),
            (None, Some("1001-5000")),
        ),
        (json!({"value": "51-200"}), (None, Some("51-200"))),
        (json!({"minValue": 7, "maxValue": 7}), (Some(7), None)),
        (json!("since 1920"), (None, None)),
        (json!("1-2-3"), (None, None)),
        (json!("5,00"), (None, None)),
        (json!("12.5"), (None, None)),
        (json!("-5"), (None, None)),
        (json!(""), (None, None)),
        (json!({"minValue": 9, "maxValue": 3}), (None, None)),
        (json!("many"), (None, None)),
    ] {
        let (count, range) = employees(&value);
        assert_eq!((count, range.as_deref()), wanted, "{value}");
    }
    for (text, wanted) in [
        ("de_DE", Some("de-DE")),
        ("EN", Some("en")),
        ("zh-Hant-tw", Some("zh-TW")),
        ("x", None),
        ("english", None),
    ] {
        assert_eq!(language_tag(text).as_deref(), wanted);
    }
    let year = |date: &str| {
        let html = format!(
            r#"<script type=application/ld+json>{{"@type":"Organization","name":"A","foundingDate":"{date}"}}</script>"#
        );
        acme(&html).fields.get("founded_year").cloned()
    };
    assert_eq!(
        (
            year("1999"),
            year("2027"),
            year("soon"),
            year("\u{fc}\u{fc}\u{fc}")
        ),
        (Some(json!(1999)), None, None, None)
    );
}

/// A page's blocks are at most as long as the page.
fn in_a_block(json: &str) -> String {
    assert!(json.len() <= 1024 * 1024, "{}", json.len());
    format!("<script type=application/ld+json>{json}</script>")
}

/// Looking at every node for every logo would be 600 million look-ups; at every type for every
/// publisher, 1,000 million.
#[test]
fn many_references_to_many_nodes_do_not_hold_the_thread() {
    let bound = std::time::Duration::from_secs(10);
    let nodes = (0..4_990)
        .map(|n| format!(r#"{{"@id":"{n}","a":1}},"#))
        .collect::<Vec<_>>()
        .concat();
    for logos in [
        r#"{"@id":"x"},"#.repeat(70_000),
        "{},".repeat(290_000),
        "1,".repeat(430_000),
    ] {
        let organization = format!(r#"{{"@type":"Organization","name":"Acme","logo":[{logos}0]}}"#);
        let page = in_a_block(&format!("[{nodes}{organization}]"));
        let (profile, took) = timed(|| acme(&page));
        assert_eq!(profile.fields["company_name"], "Acme");
        assert!(took < bound, "{took:?}");
    }
    let sites = r##"{"@type":"WebSite","about":{"@id":"#"},"author":{"@id":"#"}},"##.repeat(4_900);
    let types = r#""","#.repeat(200_000);
    let page = in_a_block(&format!(
        r##"[{sites}{{"@id":"#","@type":[{types}""],"name":"x"}}]"##
    ));
    let (profile, took) = timed(|| acme(&page));
    assert_eq!(profile, Profile::default());
    assert!(took < bound, "{took:?}");
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
    assert_eq!(
        logo(&format!(
            "{}{}",
            "0,".repeat(MAX_LOGOS - 1),
            r##"{"@id":"#l"}"##
        )),
        found
    );
    assert_eq!(
        logo(&format!(
            "{}{}",
            "0,".repeat(MAX_LOGOS),
            r##"{"@id":"#l"}"##
        )),
        None
    );
}

#[test]
fn a_site_may_name_its_profiles_in_place_of_its_organisation() {
    let site = r#"{"@type":"WebSite","name":"Acme","url":"https://acme.example",
        "sameAs":["https://x.com/anvils","https://www.linkedin.com/company/acme"],
        "publisher":{"@type":"Organization","name":"Acme","sameAs":"https://x.com/acme"}}"#;
    let other =
        r#"{"@type":"WebSite","url":"https://other.example","sameAs":"https://github.com/other"}"#;
    let profile = acme(&format!("{}{}", in_a_block(site), in_a_block(other)));
    let wanted =
        json!({"x": "https://x.com/acme", "linkedin": "https://www.linkedin.com/company/acme"});
    assert_eq!(profile.fields["social_profiles"], wanted);
    for (address, x) in [
        ("", "https://x.com/acme"),
        (r#","url":"https://other.example/""#, "https://x.com/acme"),
        (
            r#","url":"https://acme.example/""#,
            "https://x.com/someoneelse",
        ),
    ] {
        let site = format!(
            r#"{{"@type":"WebSite","name":"Acme","sameAs":"https://x.com/someoneelse"{address}}}"#
        );
        let footer = "<footer><a href=https://x.com/acme>X</a></footer>";
        let profile = acme(&format!("{}{footer}", in_a_block(&site)));
        assert_eq!(
            profile.fields["social_profiles"],
            json!({ "x": x }),
            "{address}"
        );
    }
}

#[test]
fn a_picture_is_no_logo_by_itself() {
    for (member, shown, logo, sure) in [
        (
            r#""logo":{"@id":"https://cdn.example/l.png"}"#,
            "",
            Some("https://cdn.example/l.png"),
            0.85,
        ),
        (r##""logo":{"@id":"#gone"}"##, "", None, 0.0),
        (
            r#""image":"/shop.jpg""#,
            "",
            Some("https://www.acme.example/shop.jpg"),
            0.5,
        ),
        (
            r#""image":"/shop.jpg""#,
            "<header><a href=/><img src=/l.svg></a></header>",
            Some("https://www.acme.example/l.svg"),
            0.65,
        ),
    ] {
        let block = in_a_block(&format!(r#"{{"@type":"Store","name":"Acme",{member}}}"#));
        let profile = acme(&format!("{block}{shown}"));
        let reported = profile.fields.get("logo_url").and_then(Value::as_str);
        assert_eq!(
            (
                reported,
                profile.sure.get("logo_url").copied().unwrap_or_default()
            ),
            (logo, sure),
            "{member}"
        );
    }
}

#[test]
fn one_number_is_told_once() {
    let profile = acme(&format!(
        "{}<a href='tel:+12535550142'>Call</a><a href='tel:2535550142'>Call</a><a href='tel:+12535550143'>Sales</a>",
        in_a_block(r#"{"@type":"Store","name":"Acme","telephone":"(253) 555-0142"}"#)
    ));
    assert_eq!(
        profile.fields["phones"],
        json!(["(253) 555-0142", "+12535550143"])
    );
}

#[test]
fn a_fax_is_no_phone() {
    let fax = "<a href='tel:+49301234562'>030 1234562</a>";
    for html in [
        format!("Fax: {fax}"),
        format!("Telefax {fax}"),
        format!("<b>Fax</b> {fax}"),
        format!("<table><tr><th>Fax</th><td>{fax}</td></tr></table>"),
        format!("<dl><dt>Telefax:<dd>{fax}</dl>"),
        format!("<p>\u{424}\u{430}\u{43a}\u{441}: {fax}"),
        format!("<p>\u{4f20}\u{771f}\u{ff1a}{fax}"),
        format!("<p>\u{30d5}\u{30a1}\u{30c3}\u{30af}\u{30b9} {fax}"),
        format!("<p>N\u{b0} de fax : {fax}"),
        format!("<p>Faks {fax}"),
        format!("<p>{fax} (Fax)"),
        "<a href='tel:+49301234562'>Fax: 030 1234562</a>".to_owned(),
        "<a href='tel:+49301234562' aria-label='Fax 030 1234562'>030 1234562</a>".to_owned(),
        "<a href='tel:+49301234562' title=Telefax><svg></svg></a>".to_owned(),
        "<p>Fax: <a href='tel:+49301234562'>send</a>".to_owned(),
        in_a_block(r#"{"@type":"Organization","name":"Acme","faxNumber":"+49 30 1234562"}"#) + fax,
        in_a_block(
            r#"{"@type":"Organization","name":"Acme","contactPoint":{"contactType":"fax","telephone":"+49 30 1234562"}}"#,
        ),
        in_a_block(
            r#"{"@type":"Organization","name":"Acme","contactPoint":[{"contactType":"Telefax","telephone":"+49 30 1234562"}]}"#,
        ),
    ] {
        assert_eq!(acme(&html).fields.get("phones"), None, "{html}");
        let phone = "<p>Tel. <a href='tel:+49301234561'>030 1234561</a>";
        for html in [format!("{html}{phone}"), format!("{phone}<p>{html}")] {
            assert_eq!(
                acme(&html).fields.get("phones"),
                Some(&json!(["+49301234561"])),
                "{html}"
            );
        }
    }
    for html in [
        "Tel. <a href='tel:+49301234561'>030 1234561</a>, Fax: 030 1234562",
        "Fax: 030 1234562, Tel.: <a href='tel:+49301234561'>030 1234561</a>",
        "<p>Fax: 030 1234562<p><a href='tel:+49301234561'>030 1234561</a>",
        "<p>Tel. <a href='tel:+49301234561'>call us</a>, Fax 030 1234562",
        "<table><tr><th>Telefon<th>Telefax<tr><td><a href='tel:+49301234561'>030 1234561</a><td>030 1234562</table>",
    ] {
        assert_eq!(
            acme(html).fields.get("phones"),
            Some(&json!(["+49301234561"])),
            "{html}"
        );
    }
}

#[test]
fn a_number_for_calls_and_fax_is_a_phone() {
    let link = "<a href='tel:+49301234562'>030 1234562</a>";
    let block = |said: &str| {
        in_a_block(&format!(
            r#"{{"@type":"Organization","name":"Acme",{said}}}"#
        ))
    };
    for html in [
        format!("Tel./Fax: {link}"),
        format!("Telefon & Fax {link}"),
        format!("<table><tr><th>Tel. und Fax</th><td>{link}</td></tr></table>"),
        format!("<p>Halifax: {link}"),
        format!("<p>Fairfax {link}"),
        "<a href='tel:+49301234562' title='Halifax office'><svg></svg></a>".to_owned(),
        "<a href='tel:+49301234562'>Tel/Fax</a>".to_owned(),
        block(r#""telephone":"+49301234562","faxNumber":"+49 30 1234562""#),
        block(r#""telephone":"+49301234562","faxNumber":"+49 30 1234562""#) + link,
        block(r#""telephone":"Tel./Fax: +49301234562""#),
        block(r#""contactPoint":{"telephone":"+49301234562","faxNumber":"+49301234562"}"#),
        block(r#""contactPoint":{"name":"Halifax","telephone":"+49301234562"}"#),
        block(r#""contactPoint":{"contactType":"Fairfax sales","telephone":"+49301234562"}"#),
        block(r#""contactPoint":{"contactType":"Phone and fax","telephone":"+49301234562"}"#),
    ] {
        assert_eq!(
            acme(&html).fields.get("phones"),
            Some(&json!(["+49301234562"])),
            "{html}"
        );
    }
}

#[test]
fn an_address_in_one_text_has_its_parts_where_it_is_in_lines() {
    for (text, wanted) in [
        (
            r"1 Road\nSpringfield, IL, 62701\nUnited States",
            json!({"street": "1 Road", "city": "Springfield", "region": "IL", "postal_code": "62701", "country": "United States"}),
        ),
        (
            "1 Road, Springfield",
            json!({"text": "1 Road, Springfield"}),
        ),
    ] {
        let profile = acme(&in_a_block(&format!(
            r#"{{"@type":"Store","name":"Acme","address":"{text}"}}"#
        )));
        assert_eq!(profile.fields["address"], wanted, "{text}");
    }
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
    assert_eq!(
        profile.fields["description"].as_str().map(str::len),
        Some(4_096)
    );
    assert_eq!(
        profile.fields["careers_url"],
        "https://www.acme.example/jobs"
    );
    for absent in [
        "logo_url",
        "social_profiles",
        "phones",
        "emails",
        "contact_url",
    ] {
        assert!(!profile.fields.contains_key(absent), "{absent}");
    }
    let size = Value::Object(profile.fields).to_string().len();
    assert!(size < 20 * 1024, "{size}");
}

#[test]
fn what_stands_in_the_text_is_told_where_nothing_surer_says_it() {
    let text = "<footer><p>Acme Forge AG<br>Plauener Str. 160<br>13053 Berlin<p>Tel. <b>030</b> 123456<p>Fax 030 123457\
        <p>&copy; 2026 Acme Forge AG</footer>";
    let profile = |html: &str| read("acme.de", "https://www.acme.de/", html);
    let reported = profile(text);
    assert_eq!(reported.fields["phones"], json!(["030 123456"]));
    assert_eq!(reported.fields["legal_name"], json!("Acme Forge AG"));
    assert_eq!(
        reported.fields["address"],
        json!({"street": "Plauener Str. 160", "postal_code": "13053", "city": "Berlin"})
    );
    let sure = |field: &str| reported.sure[field];
    assert_eq!(
        (sure("phones"), sure("legal_name"), sure("address")),
        (0.6, 0.75, 0.5)
    );
    let linked = profile(&format!(
        "{text}<a href='tel:+4930123456'>Tel</a><a href='tel:+4930999999'>Sales</a>"
    ));
    assert_eq!(
        linked.fields["phones"],
        json!(["+4930123456", "+4930999999"])
    );
    let others = profile(
        "<blockquote>Call +49 30 1234567. \u{a9} Acme AG</blockquote><script>'Tel. +49 30 1234567'</script>",
    );
    assert!(
        !others.fields.contains_key("phones") && !others.fields.contains_key("legal_name"),
        "{:?}",
        others.fields
    );
}

#[test]
fn long_pages_of_what_could_be_read_do_not_hold_the_thread() {
    let bound = std::time::Duration::from_secs(10);
    for part in [
        "<p>Tel. 030 123456 ",
        "<p>Tel +49 30 1",
        "1a",
        "<p>+49 30 1234567 Fax",
        "<p>\u{a9} 2026 Acme Forge for all AG ",
        "<p>Acme, GmbH - a, b, c - d, e, f GmbH, 1",
        "<p>Weg 1, 12345 Berlin, ",
        "<p>1 Road, South Hero, VT 05486",
        "<b>Acme GmbH</b> ",
        "<div class=footer><address>1 ",
        "<i><b>",
        "<p>Acme was founded in 1999, ",
        "Acme founded since 1999. ",
        "founded 1999 ",
        "1999<p>Founded<p>",
        "<p>\u{5275}\u{696d}1926\u{5e74}",
        "<p>a@acme.example \u{3012}980-0811 \u{5e02}\u{5e02}",
    ] {
        let page = part.repeat(1024 * 1024 / part.len());
        let (_, took) = timed(|| acme(&page));
        assert!(took < bound, "{part}: {took:?}");
    }
}
