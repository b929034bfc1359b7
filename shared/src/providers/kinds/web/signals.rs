//! `signals`: news about a company from its own site: its feeds and its open positions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::dates;
use super::feed::{self, Entry};
use super::fetch::{Agent, Miss, PageFetch, Want};
use super::html::Document;
use super::json_ld::{self, Graph, text, types};
use super::links::{self, PageLinks};
use super::page::Page;
use super::parked::is_placeholder;
use crate::catalog::{ConfigError, KindConfig, Settings, Table, WebConfig};
use crate::domain::time::Timestamp;
use crate::providers::guards::seen::Shown;
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

/// The most feeds of a site that are fetched.
const MAX_FEEDS: usize = 2;

/// The most that a date may be ahead of our clock, to allow for zones that were taken as UTC. A
/// later date is ignored: a mistyped year, or an announced event, would come before all news.
const MAX_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// News about a company from its own site.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalsConfig {
    /// The input field with the domain; `domain` if the file does not say.
    pub input: String,
    /// The most signals of a record, 1 to 100, the newest.
    pub max_items: usize,
    /// The age from which on an entry is not news, 1 to 3650 days.
    pub max_age: Duration,
    /// `user_agent` and `timeout_s`: the fetching of pages.
    pub web: WebConfig,
}

/// The output fields of the `signals` provider.
pub const SIGNALS_FIELDS: [&str; 4] = ["signals", "open_positions", "careers_url", "feed_url"];

impl KindConfig for SignalsConfig {
    const NAME: &'static str = "signals";
    const KEYS: &'static [&'static [&'static str]] =
        &[&["input", "max_items", "max_age_days"], &WebConfig::KEYS];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let days = table.number("max_age_days", 1, 3650)?.unwrap_or(365);
        Ok(Self {
            input: table.input("domain")?,
            max_items: usize::try_from(table.number("max_items", 1, 100)?.unwrap_or(20))
                .unwrap_or(20),
            max_age: Duration::from_secs(days * 86_400),
            web: WebConfig::read(table, 25)?,
        })
    }
}

impl Settings for SignalsConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn reads_sites(&self) -> bool {
        true
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(SIGNALS_FIELDS.map(str::to_owned).to_vec())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.web.timeout)
    }
}

impl BuildKind for SignalsConfig {
    fn build(&self, _context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(Signals::new(self)))
    }
}

/// The `signals` provider.
#[derive(Debug)]
pub struct Signals {
    config: SignalsConfig,
    agent: Agent,
}

impl Signals {
    /// Creates the provider of these settings.
    pub fn new(config: &SignalsConfig) -> Self {
        Self {
            config: config.clone(),
            agent: Agent::new(&config.web),
        }
    }
}

/// One piece of news. `source` is the URL of the page or feed with it.
#[derive(Debug, Clone, PartialEq)]
struct Signal {
    kind: &'static str,
    title: String,
    url: Option<String>,
    date: Option<Timestamp>,
    /// For one without a date, if that is known.
    first_seen: Option<Timestamp>,
    source: String,
}

impl Signal {
    fn to_json(&self) -> Value {
        let mut signal = Map::from_iter([
            ("kind".to_owned(), json!(self.kind)),
            ("title".to_owned(), json!(self.title)),
        ]);
        signal.extend(self.url.iter().map(|url| ("url".to_owned(), json!(url))));
        for (name, time) in [("date", self.date), ("first_seen", self.first_seen)] {
            signal.extend(time.map(|time| (name.to_owned(), json!(time.rfc3339()))));
        }
        signal.insert("source".to_owned(), json!(self.source));
        Value::Object(signal)
    }
}

#[async_trait]
impl Provider for Signals {
    /// The home page is required; a feed or careers page that cannot be fetched is skipped.
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let host = match super::host(question.input, &self.config.input) {
            Ok(host) => host,
            Err(why) => return Answer::Invalid(why),
        };
        let began = ports.clock.now();
        let mut fetch = PageFetch::new(
            &self.agent,
            ports,
            super::time_for(question, self.config.web.timeout),
        );
        let home = match fetch.home(&host).await {
            Ok(page) => page,
            Err(miss) => return miss.into_answer(),
        };
        let document = Document::of(&home);
        if !home.fits || is_placeholder(&home.url, &document) {
            return Answer::NotFound;
        }
        let found = PageLinks::read(&links::base(&home.url, &document), &document);
        let mut news = News::default();
        news.read_feeds(&mut fetch, &found.feeds).await;
        let now = ports.clock.now();
        // Some sites list their positions on the home page.
        let shown = hiring(&document, &home.url, now);
        let positions = news
            .read_positions(&mut fetch, shown, found.careers.as_deref(), now)
            .await;
        let open = positions.len();
        let mut signals = without_repeats(std::mem::take(&mut news.signals));
        signals.extend(positions);
        for signal in &mut signals {
            signal.date = signal.date.filter(|date| *date <= now.plus(MAX_AHEAD));
        }
        let left = question
            .limit
            .saturating_sub(ports.clock.now().since(began));
        let whole = !news.lacks_some && news.failure.is_none();
        self.date_by_sight(&host, &mut signals, whole, ports, left / 2)
            .await;
        let oldest = now.minus(self.config.max_age);
        let signals = newest(signals, oldest, self.config.max_items);
        let urls = [
            ("careers_url", found.careers),
            ("feed_url", news.feed_url.take()),
        ];
        answer(&signals, open, urls, news.failure)
    }
}

/// The news in a site's own feeds and pages.
#[derive(Default)]
struct News {
    signals: Vec<Signal>,
    /// The first feed that has entries.
    feed_url: Option<String>,
    /// The reason why a page could not be fetched.
    failure: Option<Miss>,
    /// Set if a page that the site names is missing; it may be back tomorrow.
    lacks_some: bool,
}

impl News {
    async fn read_feeds(&mut self, fetch: &mut PageFetch<'_>, feeds: &[String]) {
        let mut read = BTreeSet::new();
        for url in feeds.iter().take(MAX_FEEDS) {
            match other(fetch, url, Want::Feed).await {
                Ok(Some(page)) if read.insert(page.url.clone()) => {
                    let entries = feed::entries(&page.body, &page.url);
                    if entries.is_empty() {
                        self.lacks_some = true;
                    } else if self.feed_url.is_none() {
                        self.feed_url = Some(page.url.to_string());
                    }
                    let news = entries.into_iter().map(|entry| news(entry, &page.url));
                    self.signals.extend(news);
                }
                Ok(page) => self.lacks_some |= page.is_none(),
                Err(miss) => self.fail(miss),
            }
        }
    }

    /// Returns the open positions: those of the home page, and those of the careers page.
    async fn read_positions(
        &mut self,
        fetch: &mut PageFetch<'_>,
        mut positions: Vec<Signal>,
        careers: Option<&str>,
        now: Timestamp,
    ) -> Vec<Signal> {
        if let Some(url) = careers {
            match other(fetch, url, Want::Html).await {
                Ok(Some(page)) => positions.extend(hiring(&Document::of(&page), &page.url, now)),
                Ok(None) => self.lacks_some = true,
                Err(miss) => self.fail(miss),
            }
        }
        let mut shown = BTreeSet::new();
        positions.retain(|p| shown.insert((p.title.clone(), p.url.clone())));
        positions
    }

    fn fail(&mut self, miss: Miss) {
        self.failure.get_or_insert(miss);
    }
}

fn answer(
    signals: &[Signal],
    open: usize,
    urls: [(&str, Option<String>); 2],
    failure: Option<Miss>,
) -> Answer {
    let mut fields = Map::new();
    if !signals.is_empty() {
        fields.insert(
            "signals".to_owned(),
            signals.iter().map(Signal::to_json).collect(),
        );
    }
    if open > 0 {
        fields.insert("open_positions".to_owned(), json!(open));
    }
    for (name, url) in urls {
        fields.extend(url.map(|url| (name.to_owned(), Value::String(url))));
    }
    debug_assert!(
        fields
            .keys()
            .all(|field| SIGNALS_FIELDS.contains(&field.as_str()))
    );
    match (fields.is_empty(), failure) {
        (false, _) => Answer::Found {
            fields,
            confidence: None,
        },
        (true, Some(miss)) => miss.into_answer(),
        (true, None) => Answer::NotFound,
    }
}

impl Signals {
    /// Dates undated entries by the first time that they were seen. `all`: everything that the site
    /// shows is there.
    async fn date_by_sight(
        &self,
        host: &str,
        signals: &mut [Signal],
        all: bool,
        ports: &Ports,
        limit: Duration,
    ) {
        let mut undated: Vec<&mut Signal> = signals
            .iter_mut()
            .filter(|signal| signal.date.is_none())
            .collect();
        let Some(seen) = ports.seen.as_ref().filter(|_| !undated.is_empty()) else {
            return;
        };
        // Many share one page.
        let thing = |signal: &&mut Signal| {
            let place = signal.url.as_deref().map(page).unwrap_or_default();
            format!("{} {place} {}", signal.kind, signal.title.to_lowercase())
        };
        let things: Vec<String> = undated.iter().map(thing).collect();
        // Another provider that looks farther back remembers for longer.
        let site = format!("{host} {}", self.config.max_age.as_secs());
        let shown = Shown {
            site: &site,
            things: &things,
            all,
            remember_for: self.config.max_age * 2,
        };
        for (signal, at) in undated
            .iter_mut()
            .zip(seen.since(shown, ports.clock.as_ref(), limit).await)
        {
            signal.first_seen = at;
        }
    }
}

/// Fetches a page that another one names; `None` if it does not exist or is not of the wanted type.
async fn other(fetch: &mut PageFetch<'_>, url: &str, want: Want) -> Result<Option<Page>, Miss> {
    let Ok(url) = Url::parse(url) else {
        return Ok(None);
    };
    match fetch.other_page(url, want).await {
        Ok(page) => Ok(page.fits.then_some(page)),
        Err(Miss::Nothing) => Ok(None),
        Err(miss) => Err(miss),
    }
}

fn news(entry: Entry, source: &Url) -> Signal {
    let Entry { title, url, date } = entry;
    Signal {
        kind: "news",
        title,
        url,
        date,
        first_seen: None,
        source: source.to_string(),
    }
}

/// Removes the news that another feed has too: a blog often has RSS beside Atom.
fn without_repeats(news: Vec<Signal>) -> Vec<Signal> {
    const DAY: i64 = 86_400_000;
    let (mut pages, mut titles) = (BTreeMap::new(), BTreeMap::new());
    let mut once = Vec::new();
    for signal in news {
        let source = &signal.source;
        let page = signal
            .url
            .as_deref()
            .map(|url| pages.entry(page(url)).or_insert_with(|| source.clone()) != source);
        let day = signal.date.map(|date| date.0.div_euclid(DAY));
        let title = titles
            .entry((signal.title.to_lowercase(), day))
            .or_insert_with(|| source.clone())
            != source;
        if !(page.unwrap_or_default() || title) {
            once.push(signal);
        }
    }
    once
}

/// Returns the common part of URLs of one page: without scheme, `www.`, the slash at its end, and
/// parameters that count clicks.
fn page(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else {
        return url.to_owned();
    };
    url.set_fragment(None);
    let query: Vec<String> = url
        .query_pairs()
        .filter(|(name, _)| !name.starts_with("utm_"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix("www.").unwrap_or(host);
    format!(
        "{host}{}?{}",
        url.path().trim_end_matches('/'),
        query.join("&")
    )
}

/// Returns the positions that a page has as JSON-LD, without those that closed before `now`.
fn hiring(page: &Document, source: &Url, now: Timestamp) -> Vec<Signal> {
    let blocks = json_ld::parse(&page.json_ld);
    let graph = Graph::new(&blocks);
    let postings = graph
        .nodes
        .iter()
        .map(|node| node.members)
        .filter(|node| types(node).any(|t| t == "JobPosting"));
    let open = |node: &&Map<String, Value>| {
        let ends = text(node.get("validThrough")).and_then(|date| dates::read_end(&date));
        ends.is_none_or(|ends| ends > now)
    };
    let signal = |node: &Map<String, Value>| {
        Some(Signal {
            kind: "hiring",
            title: text(node.get("title")).or_else(|| text(node.get("name")))?,
            url: text(node.get("url")).and_then(|url| links::absolute(source, &url)),
            date: text(node.get("datePosted")).and_then(|date| dates::read(&date)),
            first_seen: None,
            source: source.to_string(),
        })
    };
    postings.filter(open).filter_map(signal).collect()
}

/// Returns the newest first, those without a date at the end, and none that is older than `since`
/// or was first seen before it.
fn newest(mut signals: Vec<Signal>, since: Timestamp, most: usize) -> Vec<Signal> {
    signals.retain(|signal| {
        signal
            .date
            .or(signal.first_seen)
            .is_none_or(|date| date >= since)
    });
    signals.sort_by_key(|signal| std::cmp::Reverse((signal.date, signal.first_seen)));
    signals.truncate(most);
    signals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Config;
    use crate::domain::record::FailureCode;
    use crate::providers::kinds::READERS;
    use crate::providers::testing::{Script, input, ports, question};

    async fn ask(more: &str, tell: impl FnOnce(&Script)) -> (Answer, Vec<String>) {
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"s\"]\n[providers.s]\n\
             kind = \"signals\"\n{more}\n"
        );
        let config = Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
        let Some(signals) = config.providers[0].kind.downcast_ref::<SignalsConfig>() else {
            panic!()
        };
        let (ports, script) = ports();
        tell(&script);
        let input = input(json!({"domain": "acme.example"}));
        let answer = Signals::new(signals)
            .ask(&question(&input, Duration::from_secs(20)), &ports)
            .await;
        (
            answer,
            script.requests().into_iter().map(|r| r.url).collect(),
        )
    }

    const HTML: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
    const HOME: &str =
        "<link rel=alternate type=application/rss+xml href=/feed><a href=/careers>Careers</a>";

    #[tokio::test]
    async fn news_and_positions_newest_first() {
        let (answer, urls) = ask("max_items = 3", |s| {
            s.answer(404, "");
            s.answer_with(200, HTML, HOME);
            s.answer(
                200,
                "<rss><item><title>Old</title>\
                 <pubDate>Wed, 01 Jan 2020 00:00:00 GMT</pubDate></item>\
                 <item><title>Raised</title><link>https://acme.example/r</link>\
                 <pubDate>Mon, 01 Dec 2025 00:00:00 GMT</pubDate></item>\
                 <item><title>Undated</title></item></rss>",
            );
            s.answer_with(
                200,
                HTML,
                r#"<script type="application/ld+json">[
                   {"@type":"JobPosting","title":"Smith","url":"/j/1","datePosted":"2025-12-24"},
                   {"@type":"ItemList","itemListElement":[
                   {"item":{"@type":"JobPosting","title":"Smith","url":"/j/1"}},
                   {"item":{"@type":"JobPosting","title":"Striker"}}]}]</script>"#,
            );
        })
        .await;
        let Answer::Found { fields, .. } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            Value::Object(fields),
            json!({
                "signals": [
                    {"kind": "hiring", "title": "Smith", "url": "https://acme.example/j/1",
                     "date": "2025-12-24T00:00:00.000Z", "source": "https://acme.example/careers"},
                    {"kind": "news", "title": "Raised", "url": "https://acme.example/r",
                     "date": "2025-12-01T00:00:00.000Z", "source": "https://acme.example/feed"},
                    {"kind": "news", "title": "Undated", "source": "https://acme.example/feed"}
                ],
                "open_positions": 2, "careers_url": "https://acme.example/careers",
                "feed_url": "https://acme.example/feed"
            })
        );
        assert_eq!(urls.len(), 4, "robots.txt is asked for once: {urls:?}");
    }

    /// The clock of these tests is at the beginning of 2026.
    #[tokio::test]
    async fn what_is_dated_more_than_a_day_ahead_has_no_date() {
        let (answer, _) = ask("", |s| {
            s.answer(404, "");
            s.answer_with(200, HTML, HOME);
            s.answer(
                200,
                "<rss><item><title>Mistyped</title>\
                 <pubDate>Thu, 01 Jan 2037 00:00:00 GMT</pubDate></item>\
                 <item><title>Raised</title>\
                 <pubDate>Mon, 01 Dec 2025 00:00:00 GMT</pubDate></item></rss>",
            );
            s.answer_with(
                200,
                HTML,
                r#"<script type="application/ld+json">[
                   {"@type":"JobPosting","title":"Smith","datePosted":"2037-12-24"},
                   {"@type":"JobPosting","title":"Striker","datePosted":"2025-12-24"}]</script>"#,
            );
        })
        .await;
        let Answer::Found { fields, .. } = answer else {
            panic!("{answer:?}")
        };
        let reported: Vec<_> = fields["signals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (&s["title"], s.get("date")))
            .collect();
        let wanted = [
            (json!("Striker"), Some(json!("2025-12-24T00:00:00.000Z"))),
            (json!("Raised"), Some(json!("2025-12-01T00:00:00.000Z"))),
            (json!("Mistyped"), None),
            (json!("Smith"), None),
        ];
        assert_eq!(
            reported,
            wanted
                .each_ref()
                .map(|(title, date)| (title, date.as_ref()))
        );
        assert_eq!(fields["open_positions"], 2);
    }

    #[tokio::test]
    async fn a_site_without_news_is_not_found_and_a_part_that_fails_is_passed_over() {
        let (answer, _) = ask("", |s| {
            s.answer(404, "");
            s.answer_with(200, HTML, "<p>Anvils");
        })
        .await;
        assert_eq!(answer, Answer::NotFound);
        let (answer, _) = ask("", |s| {
            s.answer(200, "User-agent: *\nDisallow: /feed");
            s.answer_with(200, HTML, HOME);
            s.answer(500, "");
        })
        .await;
        let Answer::Found { fields, .. } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            Value::Object(fields),
            json!({"careers_url": "https://acme.example/careers"})
        );
        let (answer, _) = ask("", |s| {
            s.answer(200, "User-agent: *\nDisallow: /feed");
            s.answer_with(
                200,
                HTML,
                "<link rel=alternate type=application/rss+xml href=/feed>",
            );
        })
        .await;
        assert!(
            matches!(
                answer,
                Answer::Failed {
                    code: FailureCode::RobotsRefused,
                    ..
                }
            ),
            "{answer:?}"
        );
        let (answer, _) = ask("", |s| s.answer(200, "User-agent: *\nDisallow: /")).await;
        assert!(
            matches!(
                answer,
                Answer::Failed {
                    code: FailureCode::RobotsRefused,
                    ..
                }
            ),
            "{answer:?}"
        );
    }

    #[tokio::test]
    async fn a_blog_with_two_feeds_is_told_once_and_a_posting_until_it_ends() {
        let home = "<link rel=alternate type='application/rss+xml; charset=utf-8' href=/feed>\
            <link rel=alternate type=application/feed+json href=/feed.json>\
            <a href=/careers>Careers</a>";
        let (answer, _) = ask("max_age_days = 3650", |s| {
            s.answer(404, "");
            s.answer_with(200, HTML, home);
            s.answer(
                200,
                "<rss><item><title>Raised</title>\
                 <link>http://www.acme.example/r/?utm_source=rss</link>\
                 <pubDate>Mon, 01 Dec 2025 00:00:00 GMT</pubDate></item>\
                 <item><title>Hired</title>\
                 <pubDate>Tue, 02 Dec 2025 09:00 CET</pubDate></item></rss>",
            );
            s.answer(
                200,
                r#"{"version": "https://jsonfeed.org/version/1", "items": [
                    {"id": "1", "title": "Raised!", "url": "/r"},
                    {"id": "2", "title": "hired", "url": "/h",
                     "date_published": "2025-12-02T08:00:00Z"},
                    {"id": "3", "title": "Moved", "url": "/m"}]}"#,
            );
            s.answer_with(
                200,
                HTML,
                r#"<script type="application/ld+json">[
                   {"@type":"JobPosting","title":"Smith","validThrough":"2001-02-03"},
                   {"@type":"JobPosting","title":"Striker","validThrough":"2100-01-01T00:00"},
                   {"@type":"JobPosting","title":"Helper","validThrough":"when found"}]</script>"#,
            );
        })
        .await;
        let Answer::Found { fields, .. } = answer else {
            panic!("{answer:?}")
        };
        let titles: Vec<&str> = fields["signals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|signal| signal["title"].as_str().unwrap())
            .collect();
        assert_eq!(titles, ["Hired", "Raised", "Moved", "Striker", "Helper"]);
        assert_eq!(fields["open_positions"], 2);
    }
}
