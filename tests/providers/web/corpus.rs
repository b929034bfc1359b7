//! Measures the kinds that read pages, feeds, addresses and numbers, on the corpus in
//! `tests/providers/corpus`. Its README says where it is from and what its files hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use shared::catalog::Config;
use shared::domain::time::Timestamp;
use shared::ports::{Clock, DnsKind, DnsRecord};
use shared::providers::Confidence;
use shared::providers::kinds::READERS;
use shared::providers::{Answer, Provider, Question, build};
use testkit::servers::Reply;

use super::PATIENCE;
use super::internet::{Internet, Page};

/// The required precision: the share of right values among those reported as sure.
const PRECISION: f64 = 0.97;
/// The required recall: the share of the existing values that are reported.
const RECALL: f64 = 0.9;
/// The same of all reported values, however sure.
const PRECISION_OF_ALL: f64 = 0.8;
/// The share of the places without a field where more than a guess may be reported; one is always
/// allowed.
const INVENTED: f64 = 0.05;
/// The confidence from which an answer counts as sure.
const SURE: f64 = 0.7;
/// The confidence from which an answer is more than a guess.
const NO_GUESS: f64 = 0.5;

/// The fields of `site` that are scored.
const FIELDS: [&str; 16] = [
    "company_name",
    "legal_name",
    "description",
    "logo_url",
    "phones",
    "emails",
    "address",
    "founded_year",
    "employees",
    "employee_range",
    "social_profiles",
    "contact_url",
    "careers_url",
    "feed_url",
    "title",
    "language",
];

const PROVIDERS: &str = r#"
[types.t]
inputs = [["domain"]]
waterfall = ["site"]
[providers.site]
kind = "site"
[providers.signals]
kind = "signals"
max_items = 100
max_age_days = 3650
[providers.email]
kind = "email_check"
[providers.phone]
kind = "phone"
country_input = "country"
"#;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/corpus")
}

fn provider(name: &str) -> Arc<dyn Provider> {
    let config = Config::parse(READERS, "providers.toml", PROVIDERS).unwrap();
    let provider = config.providers.iter().find(|p| p.name == name).unwrap();
    build(provider, &corpus(), &|_| None).unwrap()
}

async fn ask(
    net: &Internet,
    provider: &dyn Provider,
    input: Value,
) -> (Map<String, Value>, Confidence) {
    let Value::Object(input) = input else {
        panic!("{input}")
    };
    let question = Question {
        input: &input,
        limit: PATIENCE,
        key: "record",
        callback: None,
        earlier: None,
        last: true,
        wait: shared::catalog::DEFAULT_WAIT,
    };
    match provider.ask(&question, &net.ports).await {
        Answer::Found { fields, confidence } => {
            (fields, confidence.unwrap_or(Confidence::Same(1.0)))
        }
        Answer::NotFound | Answer::Invalid(_) => (Map::new(), Confidence::Same(1.0)),
        other => panic!("{input:?}: {other:?}"),
    }
}

fn read(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folders(name: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(corpus().join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 20, "{name}: {}", folders.len());
    folders
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// One value of a field: its place in a list or an object counts where it has a name.
type Item = (String, Value);

/// The values of a field. Lists, profiles and the parts of an address count one by one.
fn items(value: Option<&Value>) -> Vec<Item> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list
            .iter()
            .map(|one| (String::new(), one.clone()))
            .collect(),
        Some(Value::Object(members)) if !members.contains_key("any") => members
            .iter()
            .map(|(name, one)| (name.clone(), one.clone()))
            .collect(),
        Some(one) => vec![(String::new(), one.clone())],
    }
}

/// Returns the part of a value that is compared: of phones the digits, the extension and whether
/// there is a country code; of profiles the place; of texts the words.
fn plain(field: &str, value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    match field {
        "phones" => {
            let digits = |text: &str| {
                text.chars()
                    .filter(char::is_ascii_digit)
                    .collect::<String>()
            };
            let number = text.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '+');
            let end = number
                .find(|c: char| c.is_alphabetic() || matches!(c, '#' | ';'))
                .unwrap_or(number.len());
            let (number, extension) = number.split_at(end);
            let national = digits(number);
            let abroad = national
                .strip_prefix("00")
                .or(number.starts_with('+').then_some(national.as_str()));
            let number = abroad.map_or_else(|| national.clone(), |abroad| format!("+{abroad}"));
            format!("{number}/{}", digits(extension))
        }
        "language" => text.to_ascii_lowercase(),
        "social_profiles" => {
            let place = text
                .split_once("://")
                .map_or(text.as_str(), |(_, place)| place);
            place
                .trim_start_matches("www.")
                .trim_end_matches('/')
                .to_owned()
        }
        _ => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn is_right(field: &str, reported: &Item, wanted: &Item) -> bool {
    let reported_plain = plain(field, &reported.1);
    let mut right = match wanted.1.get("any").and_then(Value::as_array) {
        Some(any) => any.iter().collect::<Vec<_>>(),
        None => vec![&wanted.1],
    }
    .into_iter();
    reported.0 == wanted.0 && right.any(|right| plain(field, right) == reported_plain)
}

#[derive(Debug, Default)]
struct Tally {
    reported: usize,
    right: usize,
    expected: usize,
    found: usize,
    in_text: usize,
    /// Those of them that were reported all the same.
    read: usize,
    /// Values reported, however sure.
    all_reported: usize,
    all_right: usize,
    /// Places without a value, and those of them where more than a guess is reported.
    absent: usize,
    invented: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.reported += other.reported;
        self.right += other.right;
        self.expected += other.expected;
        self.found += other.found;
        self.in_text += other.in_text;
        self.read += other.read;
        self.all_reported += other.all_reported;
        self.all_right += other.all_right;
        self.absent += other.absent;
        self.invented += other.invented;
    }

    fn row(&self, name: &str) -> String {
        let share = |part: usize, of: usize| {
            if of == 0 {
                "-".to_owned()
            } else {
                format!("{:.3}", count(part) / count(of))
            }
        };
        format!(
            "{name:24} | {:>8} | {:>5} | {:>9} | {:>8} | {:>5} | {:>6} | {:>7} | {:>4} | {:>6} | \
             {:>12} | {:>9} | {:>6} | {:>8}",
            self.reported,
            self.right,
            share(self.right, self.reported),
            self.expected,
            self.found,
            share(self.found, self.expected),
            self.in_text,
            self.read,
            share(self.found + self.read, self.expected + self.in_text),
            self.all_reported,
            share(self.all_right, self.all_reported),
            self.absent,
            self.invented
        )
    }

    fn holds(&self) -> bool {
        // Everything that a person reads, running text included, and what a page says elsewhere.
        let (found, expected) = (self.found + self.read, self.expected + self.in_text);
        count(self.found) >= RECALL * count(self.expected)
            && count(self.right) >= PRECISION * count(self.reported)
            && count(found) >= RECALL * count(expected)
            && count(self.all_right) >= PRECISION_OF_ALL * count(self.all_reported)
            && (self.invented <= 1 || count(self.invented) <= INVENTED * count(self.absent))
    }
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

/// Scores by field, in the order in which the fields came.
#[derive(Debug, Default)]
struct Score {
    fields: Vec<(String, Tally)>,
    misses: String,
}

impl Score {
    fn of(&mut self, field: &str) -> &mut Tally {
        let at = self
            .fields
            .iter()
            .position(|(name, _)| name == field)
            .unwrap_or_else(|| {
                self.fields.push((field.to_owned(), Tally::default()));
                self.fields.len() - 1
            });
        &mut self.fields[at].1
    }

    /// Compares the reported values of a field with the wanted ones; `asked` says whether the field
    /// must be reported.
    fn check(
        &mut self,
        place: &str,
        field: &str,
        reported: Vec<Item>,
        sure: f64,
        mut wanted: Vec<Item>,
        asked: bool,
    ) {
        let mut tally = Tally::default();
        if asked {
            tally.expected = wanted.len();
        } else {
            tally.in_text = wanted.len();
        }
        tally.absent = usize::from(wanted.is_empty());
        tally.invented = usize::from(wanted.is_empty() && !reported.is_empty() && sure >= NO_GUESS);
        tally.all_reported = reported.len();
        for one in reported {
            // Each value once: a number that is wrong twice counts as one error.
            let at = wanted
                .iter()
                .position(|wanted| is_right(field, &one, wanted));
            if let Some(at) = at {
                wanted.remove(at);
                *(if asked {
                    &mut tally.found
                } else {
                    &mut tally.read
                }) += 1;
                tally.all_right += 1;
            }
            if sure >= SURE {
                tally.reported += 1;
                tally.right += usize::from(at.is_some());
            }
            if at.is_none() {
                let mark = if sure >= SURE { "WRONG" } else { "wrong" };
                let _ = writeln!(
                    self.misses,
                    "{mark} {place} {field} {sure}: {} {}",
                    one.0, one.1
                );
            }
        }
        for missed in &wanted {
            let mark = if asked { "missed" } else { "in text" };
            let _ = writeln!(
                self.misses,
                "{mark} {place} {field}: {} {}",
                missed.0, missed.1
            );
        }
        self.of(field).add(&tally);
    }

    /// Prints the table and what was wrong or missed, and fails where the bounds do not hold.
    fn judge(self) {
        let mut table = format!(
            "{:24} | reported | right | precision | expected | found | recall | in text | read | \
             of all | all reported | precision | absent | invented\n",
            format!("field, sure from {SURE}")
        );
        let mut failed = Vec::new();
        for (name, tally) in &self.fields {
            let _ = writeln!(table, "{}", tally.row(name));
            if !tally.holds() {
                failed.push(name.as_str());
            }
        }
        println!("{table}\n{}", self.misses);
        assert!(
            failed.is_empty(),
            "below {PRECISION}, {RECALL} or {PRECISION_OF_ALL}, or invented: {failed:?}\n\
             {table}\n{}",
            self.misses
        );
    }
}

/// A day after the corpus was rendered: none of its dates are in the future.
struct Then;

#[async_trait]
impl Clock for Then {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-12-01T00:00:00Z").unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

async fn internet(host: &str, serve: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Internet {
    let mut net = Internet::start(&[host], move |_, path| serve(path)).await;
    net.ports.clock = Arc::new(Then);
    net
}

#[test]
fn a_phone_is_compared_with_its_country_and_its_extension_apart() {
    for (reported, wanted, same) in [
        ("+49 30 123456", "0049 30/123456", true),
        ("tel:+4930123456", "(+49) 30-123456", true),
        ("030 123456", "+49 30 123456", false),
        ("4930123456", "+4930123456", false),
        ("+49 30 123456 ext. 12", "+4930123456;ext=12", true),
        ("+49 30 123456 x12", "+493012345612", false),
        ("+49 30 123456", "+49 30 123456 ext. 12", false),
    ] {
        assert_eq!(
            plain("phones", &json!(reported)) == plain("phones", &json!(wanted)),
            same,
            "{reported} {wanted}"
        );
    }
}

#[tokio::test]
async fn sites_say_of_companies_what_a_person_reads_there() {
    let provider = provider("site");
    let mut score = Score::default();
    for field in FIELDS {
        score.of(field);
    }
    for folder in folders("pages") {
        let site = read(&folder.join("site.json"));
        let domain = site["domain"].as_str().unwrap();
        let pages: BTreeMap<String, Vec<u8>> = site["pages"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, file)| {
                (
                    path.clone(),
                    fs::read(folder.join(file.as_str().unwrap())).unwrap(),
                )
            })
            .collect();
        let headers = site["headers"].clone();
        let net = internet(domain, move |path| {
            let Some(body) = pages.get(path) else {
                return Page::status(404);
            };
            let headers = headers[path].as_object().into_iter().flatten();
            let headers: Vec<_> = headers
                .map(|(name, value)| (name, value.as_str().unwrap()))
                .collect();
            let media = headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            let page = Page::html_as(media.map_or("text/html", |(_, media)| media), body.clone());
            headers
                .iter()
                .filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"))
                .fold(page, |page, (name, value)| page.header(name, value))
        })
        .await;
        let (reported, sure) = ask(&net, provider.as_ref(), json!({ "domain": domain })).await;

        let expected = site["expected"].as_object().unwrap();
        let strange: Vec<_> = expected
            .keys()
            .filter(|field| !FIELDS.contains(&field.as_str()))
            .collect();
        assert!(strange.is_empty(), "{}: {strange:?}", folder.display());
        let (in_text, unscored) = (strings(&site["in_text"]), strings(&site["unscored"]));
        for field in FIELDS.into_iter().filter(|field| !unscored.contains(field)) {
            let scored = |(name, _): &Item| !unscored.contains(&format!("{field}.{name}").as_str());
            let reported = items(reported.get(field))
                .into_iter()
                .filter(scored)
                .collect();
            let wanted = items(expected.get(field))
                .into_iter()
                .filter(scored)
                .collect();
            let sure = match &sure {
                Confidence::Same(sure) => *sure,
                Confidence::Each(each) => each.get(field).copied().unwrap_or_default(),
            };
            score.check(
                &name(&folder),
                field,
                reported,
                sure,
                wanted,
                !in_text.contains(&field),
            );
        }
    }
    score.judge();
}

#[tokio::test]
async fn feeds_tell_the_entries_that_a_reader_sees() {
    let provider = provider("signals");
    let mut score = Score::default();
    for folder in folders("feeds") {
        let expected = read(&folder.join("expected.json"));
        let expected = expected["entries"].as_array().unwrap();
        let host = url::Url::parse(expected[0]["url"].as_str().unwrap()).unwrap();
        let host = host.host_str().unwrap();
        let json = folder.join("feed.json").exists();
        let (file, media) = if json {
            ("feed.json", "application/feed+json")
        } else {
            ("feed.xml", "application/rss+xml")
        };
        let feed = fs::read(folder.join(file)).unwrap();
        let net = internet(host, move |path| match path {
            "/" => Page::html(
                format!(
                    "<title>Home</title><link rel=alternate type={media} href=/feed-of-the-corpus>"
                )
                .into(),
            ),
            "/feed-of-the-corpus" => Page::html_as(media, feed.clone()),
            _ => Page::status(404),
        })
        .await;
        let (reported, _) = ask(&net, provider.as_ref(), json!({ "domain": host })).await;
        let reported = reported
            .get("signals")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();

        let instant = |date: &Value| {
            date.as_str()
                .map(|date| json!(Timestamp::parse(date).unwrap().rfc3339()))
        };
        // By the entry's address, so that a title at the wrong entry is a wrong one.
        let by_url = |entries: &[Value], field: &str| -> Vec<Item> {
            let value = |entry: &Value| match field {
                "entry date" => instant(&entry["date"]),
                "entry title" => Some(entry["title"].clone()),
                _ => Some(json!("")),
            };
            let url = |entry: &Value| entry["url"].as_str().unwrap_or_default().to_owned();
            entries
                .iter()
                .filter_map(|entry| Some((url(entry), value(entry)?)))
                .collect()
        };
        for field in ["entry", "entry title", "entry date"] {
            score.check(
                &name(&folder),
                field,
                by_url(&reported, field),
                1.0,
                by_url(expected, field),
                true,
            );
        }
    }
    score.judge();
}

#[tokio::test]
async fn addresses_and_numbers_are_read_as_they_are_meant() {
    let net = internet("example.com", |_| Page::status(404)).await;
    // Mail to a domain is tested elsewhere.
    net.record(
        "example.com",
        DnsKind::A,
        Ok(vec![DnsRecord::Address([192, 0, 2, 1].into())]),
    );
    let mut score = Score::default();
    let one = |value: Option<&Value>| -> Vec<Item> {
        items(value.filter(|value| !matches!(value, Value::Null | Value::Bool(false))))
    };
    let email = provider("email");
    for case in read(&corpus().join("emails.json")).as_array().unwrap() {
        let place = case["email"].to_string();
        let (reported, _) = ask(&net, email.as_ref(), json!({ "email": case["email"] })).await;
        let valid = reported.get("valid_syntax") == Some(&json!(true));
        let reported = |name: &str| one(reported.get(name).filter(|_| valid));
        score.check(
            &place,
            "email",
            reported("normalized"),
            1.0,
            one(case["expected"].get("email")),
            true,
        );
        score.check(
            &place,
            "email role",
            reported("role"),
            1.0,
            one(case["expected"].get("role")),
            true,
        );
    }
    let phone = provider("phone");
    for case in read(&corpus().join("phones.json")).as_array().unwrap() {
        let place = case["phone"].to_string();
        let mut input = case.clone();
        input.as_object_mut().unwrap().remove("expected");
        let (reported, _) = ask(&net, phone.as_ref(), input).await;
        for field in ["e164", "extension", "valid"] {
            let field_name = format!("phone {field}");
            score.check(
                &place,
                &field_name,
                one(reported.get(field)),
                1.0,
                one(case["expected"].get(field)),
                true,
            );
        }
    }
    score.judge();
}
