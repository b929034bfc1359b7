//! Pages and feeds of sites, phone numbers and e-mail addresses, as the built-in providers read
//! them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use shared::catalog::Config;
use shared::domain::record::MAX_OUTCOME_BYTES;
use shared::domain::time::Timestamp;
use shared::ports::HttpRequest;
use shared::providers::Confidence;
use shared::providers::kinds::READERS;
use shared::providers::kinds::email::EmailCheck;
use shared::providers::kinds::hem::Hem;
use shared::providers::kinds::phone::Phone;
use shared::providers::kinds::web::{SIGNALS_FIELDS, SITE_FIELDS, Signals, Site};
use shared::providers::{Answer, Ports, Provider};

use super::wire::Wire;
use crate::sim::{Reply, Sim};

const PROVIDERS: &str = r#"
[types.any]
inputs = [["domain"], ["phone"], ["email"]]
optional_inputs = ["country"]
waterfall = ["site", "signals", "phone", "email-check", "hem"]

[providers.site]
kind = "site"

[providers.signals]
kind = "signals"
max_items = 100
max_age_days = 3650

[providers.phone]
kind = "phone"
country_input = "country"

[providers.email-check]
kind = "email_check"

[providers.hem]
kind = "hem"
"#;

/// The value of `max_items` above, and the longest title.
const MAX_SIGNALS: usize = 100;
const MAX_TITLE: usize = 500;

/// The providers that read sites, numbers and addresses.
struct Readers {
    site: Site,
    signals: Signals,
    phone: Phone,
    email_check: EmailCheck,
    hem: Hem,
}

fn readers() -> &'static Readers {
    static MADE: OnceLock<Readers> = OnceLock::new();
    MADE.get_or_init(|| {
        let config =
            Config::parse(READERS, "sites", PROVIDERS).unwrap_or_else(|error| panic!("{error}"));
        let [site, signals, phone, email_check, hem] = config.providers.as_slice() else {
            panic!("five are declared");
        };
        let email_check = email_check.kind.downcast_ref().expect("declared");
        Readers {
            site: Site::new(site.kind.downcast_ref().expect("declared")),
            signals: Signals::new(signals.kind.downcast_ref().expect("declared")),
            phone: Phone::new(phone.kind.downcast_ref().expect("declared")),
            email_check: EmailCheck::open("email-check", email_check, Path::new("."))
                .expect("it has no lists"),
            hem: Hem::new(hem.kind.downcast_ref().expect("declared")),
        }
    })
}

/// Returns a provider's answer where every host answers with `reply`. `/robots.txt` does not exist,
/// and `/` is the home page, if there is one.
fn ask(provider: &dyn Provider, input: Value, home: Option<&str>, reply: &Reply) -> Answer {
    let sim = Sim::new(1);
    let (home, reply) = (home.map(str::to_owned), reply.clone());
    sim.http.on("https://", move |request: &HttpRequest| {
        let url = url::Url::parse(&request.url).expect("a URL");
        match &home {
            _ if url.path() == "/robots.txt" => Reply::status(404),
            Some(home) if url.path() == "/" => {
                Reply::body(200, home.clone()).header("content-type", "text/html")
            }
            _ => reply.clone(),
        }
    });
    let ports = Ports {
        http: sim.http.clone(),
        dns: sim.dns.clone(),
        assets: sim.assets.clone(),
        clock: sim.clock.clone(),
        entropy: sim.entropy.clone(),
        shared: None,
        seen: None,
        guard: None,
    };
    let Value::Object(input) = input else {
        panic!("{input} is not an input")
    };
    let answer = super::without_secrets(&[], || {
        sim.finish(provider.ask(&super::answers::question(&input), &ports))
    });
    if let Answer::Failed { detail, .. } | Answer::Invalid(detail) = &answer {
        assert!(detail.chars().count() <= 400, "{detail}");
    }
    answer
}

/// Returns the fields of an answer with content, each as sure as can be.
fn found(answer: Answer) -> Option<Map<String, Value>> {
    let Answer::Found { fields, confidence } = answer else {
        return None;
    };
    let size = Value::Object(fields.clone()).to_string().len();
    assert!(
        !fields.is_empty() && size <= MAX_OUTCOME_BYTES,
        "{size} bytes"
    );
    for field in fields.keys() {
        let sure = confidence.as_ref().map(|sure: &Confidence| sure.of(field));
        assert!(
            sure.is_none_or(|sure| sure.is_some_and(|sure| sure > 0.0 && sure <= 1.0)),
            "{field}: {sure:?}"
        );
    }
    Some(fields)
}

fn reply(bytes: &[u8], media: &str) -> Reply {
    let wire = Wire::parse(bytes);
    let status = wire
        .first
        .trim()
        .parse()
        .ok()
        .filter(|status| (200..600).contains(status))
        .unwrap_or(200);
    let typed = wire.headers.iter().any(|(name, _)| name == "content-type");
    let reply = Reply::body(status, wire.body);
    let reply = if typed {
        reply
    } else {
        reply.header("content-type", media)
    };
    wire.headers
        .iter()
        .fold(reply, |reply, (name, value)| reply.header(name, value))
}

fn is_web_url(value: &Value) {
    let url = value
        .as_str()
        .and_then(|text| url::Url::parse(text).ok())
        .unwrap_or_else(|| panic!("{value} is not a URL"));
    assert!(
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some(),
        "{value}"
    );
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|value| value.as_str().expect("a text"))
}

/// A home page, as the answer to every request, in the form of [`Wire`]. The company's data is
/// bounded, its URLs lead to the web, and its addresses and numbers are read as themselves.
pub fn page(bytes: &[u8]) {
    let site = &readers().site;
    let answer = ask(
        site,
        json!({"domain": "acme.example"}),
        None,
        &reply(bytes, "text/html"),
    );
    let Some(fields) = found(answer) else { return };
    assert!(
        fields
            .keys()
            .all(|field| SITE_FIELDS.contains(&field.as_str())),
        "{fields:?}"
    );
    for field in ["url", "logo_url", "contact_url", "careers_url", "feed_url"] {
        fields.get(field).into_iter().for_each(is_web_url);
    }
    fields
        .get("social_profiles")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .for_each(|(_, url)| is_web_url(url));
    let (emails, phones) = (
        &fields.get("emails").cloned().unwrap_or_default(),
        fields.get("phones").cloned().unwrap_or_default(),
    );
    assert!(
        texts(emails).count() <= 10 && texts(&phones).count() <= 10,
        "{fields:?}"
    );
    for address in texts(emails) {
        // `+x@gmail.com` has nothing to hash.
        assert!(
            hashed(address).is_none_or(|hashed| hashed == address),
            "{address}"
        );
        assert!(
            checked(address).is_some_and(|fields| fields["valid_syntax"] == true),
            "{address}"
        );
    }
    for number in texts(&phones) {
        let page = format!("<title>Acme</title><a href='tel:{number}'>call</a>");
        let again = ask(
            site,
            json!({"domain": "acme.example"}),
            Some(&page),
            &Reply::status(404),
        );
        let again = found(again).and_then(|mut fields| fields.remove("phones"));
        assert_eq!(again, Some(json!([number])));
    }
}

/// A feed, in the form of [`Wire`]. It gives no more entries than are asked for, each with a title
/// of one line and URLs that lead to the web. Written as a feed again, they are read unchanged.
pub fn feed(bytes: &[u8]) {
    let entries = signals(&reply(bytes, "application/rss+xml"));
    assert!(entries.len() <= MAX_SIGNALS, "{} entries", entries.len());
    let mut atom = "<feed xmlns='http://www.w3.org/2005/Atom'>".to_owned();
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\'', "&#39;")
    };
    for entry in &entries {
        let text = |member: &str| {
            entry
                .get(member)
                .map(|value| value.as_str().expect("a text"))
        };
        let title = text("title").expect("a title");
        assert!(
            !title.is_empty()
                && title.len() <= MAX_TITLE
                && title.trim() == title
                && !title.contains(['\n', '\t']),
            "{title:?}"
        );
        assert!(
            entry["kind"] == "news" && entry.as_object().is_some_and(|members| members.len() <= 5),
            "{entry}"
        );
        entry
            .get("url")
            .into_iter()
            .chain([&entry["source"]])
            .for_each(is_web_url);
        let _ = write!(atom, "<entry><title>{}</title>", escaped(title));
        if let Some(url) = text("url") {
            let _ = write!(atom, "<link href='{}'/>", escaped(url));
        }
        if let Some(date) = text("date") {
            assert!(Timestamp::parse(date).is_some(), "{date}");
            let _ = write!(atom, "<published>{date}</published>");
        }
        atom.push_str("</entry>");
    }
    let again = signals(&Reply::body(200, atom.clone() + "</feed>"));
    assert_eq!(without_source(again), without_source(entries), "{atom}");
}

fn signals(reply: &Reply) -> Vec<Value> {
    let home = "<link rel=alternate type=application/rss+xml href=/feed>";
    let answer = ask(
        &readers().signals,
        json!({"domain": "acme.example"}),
        Some(home),
        reply,
    );
    let fields = found(answer).unwrap_or_default();
    assert!(
        fields
            .keys()
            .all(|field| SIGNALS_FIELDS.contains(&field.as_str())),
        "{fields:?}"
    );
    fields
        .get("signals")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// The entries without their source: a feed may have been redirected.
fn without_source(mut entries: Vec<Value>) -> Vec<Value> {
    entries
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .for_each(|entry| drop(entry.remove("source")));
    entries
}

/// A phone number behind a line with its country, which may be empty. A number of a plan is read as
/// itself in each of its forms.
pub fn phone(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (country, text) = text.split_once('\n').unwrap_or(("", text));
    let ask = |text: &str, country: &str| {
        let country = Some(country).filter(|country| !country.is_empty());
        found(ask(
            &readers().phone,
            json!({"phone": text, "country": country}),
            None,
            &Reply::status(404),
        ))
    };
    let Some(fields) = ask(text, country) else {
        return;
    };
    let said = |field: &str| {
        fields
            .get(field)
            .map(|value| value.as_str().expect("a text"))
    };
    let (e164, code) = (
        said("e164").expect("a number"),
        said("country_calling_code").expect("a code"),
    );
    let digits = e164.strip_prefix('+').expect("a sign");
    assert!(
        digits.starts_with(code)
            && digits.bytes().all(|b| b.is_ascii_digit())
            && digits.len() <= 24,
        "{e164}"
    );
    if let Some(extension) = said("extension") {
        assert!(
            (1..=20).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_digit()),
            "{extension}"
        );
    }
    if fields["valid"] == true {
        let region = said("region").unwrap_or_default();
        assert_eq!(
            ask(said("international").expect("a form"), "").as_ref(),
            Some(&fields)
        );
        for country in ["", "US", region] {
            let again = ask(e164, country).unwrap_or_default();
            for field in [
                "e164",
                "country_calling_code",
                "region",
                "line_type",
                "valid",
            ] {
                assert_eq!(again.get(field), fields.get(field), "{e164} {country}");
            }
        }
    }
}

/// The most bytes of an address in its own letters. The local part has 64 octets (RFC 5321,
/// 4.5.3.1.1). The domain has 253 in its ASCII form (255 of RFC 1035, 2.3.4, with the first length
/// and the root). An A-label never decodes to more characters than it has octets (RFC 3492), and a
/// character has up to 4 bytes in UTF-8.
const LONGEST_ADDRESS: usize = 64 + 1 + 4 * 253;

/// An e-mail address. The check and the hash read it alike, and their reading is read as itself.
pub fn email(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (address, checked) = (hashed(text), checked(text));
    let normal = checked
        .as_ref()
        .and_then(|fields| fields.get("normalized"))
        .map(|value| value.as_str().expect("a text"));
    assert!(address.is_none() || normal.is_some(), "{address:?}");
    if let Some(address) = &address {
        assert!(
            address.len() <= LONGEST_ADDRESS && !address.contains(char::is_whitespace),
            "{address}"
        );
        assert_eq!(
            (hashed(address).as_ref(), self::checked(address)),
            (Some(address), checked.clone())
        );
    }
    if let Some(normal) = normal {
        let (local, domain) = normal.rsplit_once('@').expect("an address");
        assert!(
            local.len() <= 64 && normal.len() <= 254 && domain.is_ascii() && domain.contains('.'),
            "{normal}"
        );
        assert_eq!(self::checked(normal), checked);
        let shown = checked
            .as_ref()
            .and_then(|fields| fields["domain_unicode"].as_str())
            .expect("a domain");
        assert_eq!(
            self::checked(&format!("Jane <{local}@{shown}>")),
            checked,
            "{normal}"
        );
    }
}

/// Returns the fields found for an address.
fn checked(text: &str) -> Option<Map<String, Value>> {
    found(ask(
        &readers().email_check,
        json!({"email": text}),
        None,
        &Reply::status(404),
    ))
}

/// The address that is hashed.
fn hashed(text: &str) -> Option<String> {
    let fields = found(ask(
        &readers().hem,
        json!({"email": text}),
        None,
        &Reply::status(404),
    ))?;
    Some(
        fields["hashes"]["plain"]["address"]
            .as_str()
            .expect("an address")
            .to_owned(),
    )
}
