//! A company's profile from what its home page says, each field with how sure it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use url::Url;

use super::credits::Credits;
use super::html::Document;
use super::json_ld::{self, Graph, is_a, is_organization, list, text};
use super::names::{self, Evidence, Fit};
use super::places::Place;
use super::{links, owner, social};
use crate::domain::organisation;
use crate::providers::kinds::{phone, suffix};

/// How sure a field is by where it was read. JSON-LD is written for machines about the company itself; `OpenGraph` for
/// people who share the page; a title for those who look at it.
mod sure {
    pub(super) const JSON_LD: f64 = 0.95;
    /// The same of a node that does not say whose site it is about.
    pub(super) const JSON_LD_UNNAMED: f64 = 0.85;
    /// The same where another could as well be the one.
    pub(super) const JSON_LD_OF_SEVERAL: f64 = 0.5;
    /// A site's own name in JSON-LD.
    pub(super) const WEB_SITE: f64 = 0.8;
    pub(super) const OPEN_GRAPH: f64 = 0.75;
    /// Links, which the page shows but does not explain.
    pub(super) const LINK: f64 = 0.7;
    pub(super) const META: f64 = 0.65;
    /// What stands in the page's text, by its form; and what stands there in two places.
    pub(super) const TEXT: f64 = 0.6;
    pub(super) const TEXT_TWICE: f64 = 0.75;
    /// The picture in the page's frame that leads home or is marked as a logo.
    pub(super) const SHOWN: f64 = 0.65;
    /// What nothing else on the page speaks for: a name, a picture that need not be a logo.
    pub(super) const ALONE: f64 = 0.5;
    /// A part of the title that spells the domain.
    pub(super) const TITLE_AND_DOMAIN: f64 = 0.6;
    /// One with a legal form, or that fits the domain in part.
    pub(super) const TITLE_AND_FORM: f64 = 0.5;
    pub(super) const TITLE_AND_PART: f64 = 0.45;
    /// A name that is only the address again.
    pub(super) const ADDRESS: f64 = 0.4;
    pub(super) const TITLE: f64 = 0.35;
    /// What was seen and not said: where the page was.
    pub(super) const SEEN: f64 = 1.0;
}

/// The most phones, e-mail addresses and so on of each sort.
const MAX_VALUES: usize = 10;
/// The most logos and images that are looked at, and the most publishers of pages.
const MAX_LOGOS: usize = 20;
const MAX_PUBLISHERS: usize = 100;
/// The most organisations that are compared.
const MAX_ORGANIZATIONS: usize = 200;
/// The most profiles in one text.
const MAX_LISTED: usize = 50;

/// Fields with how sure they are. The first word on a field stands.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Profile {
    pub(super) fields: Map<String, Value>,
    pub(super) sure: BTreeMap<String, f64>,
}

impl Profile {
    fn put(&mut self, field: &str, value: Option<Value>, sure: f64) {
        let empty = |v: &Value| {
            v.is_null()
                || v.as_str() == Some("")
                || v.as_array().is_some_and(Vec::is_empty)
                || v.as_object().is_some_and(Map::is_empty)
        };
        if let Some(value) = value.filter(|v| !empty(v) && !self.fields.contains_key(field)) {
            self.fields.insert(field.to_owned(), value);
            self.sure.insert(field.to_owned(), sure);
        }
    }

    /// Adds profiles on networks of which none is known.
    fn add_profiles(&mut self, profiles: Map<String, Value>, sure: f64) {
        match self
            .fields
            .get_mut("social_profiles")
            .and_then(Value::as_object_mut)
        {
            Some(known) => profiles.into_iter().for_each(|(network, url)| {
                known.entry(network).or_insert(url);
            }),
            None => self.put("social_profiles", Some(Value::Object(profiles)), sure),
        }
    }

    fn put_text(&mut self, field: &str, text: Option<String>, sure: f64) {
        self.put(field, text.map(Value::String), sure);
    }
}

/// What a home page says of its company. `asked` is the host that was asked for, `url` where the page was in the end.
pub(super) fn profile(asked: &str, url: &Url, page: &Document, this_year: i32) -> Profile {
    let mut profile = Profile::default();
    let blocks = json_ld::parse(&page.json_ld);
    let graph = Graph::new(&blocks);
    let host = url.host_str().unwrap_or_default();
    let base = links::base(url, page);
    let own = [owner(host), owner(asked)];
    let (mut legal_name, mut image, mut organization_sure) = (None, None, 0.0);
    let mut faxes = Vec::new();
    if let Some((node, sure)) = organization(&graph, host, own) {
        from_json_ld(&mut profile, &graph, node, sure, &base, this_year);
        // People say the name of the site, where it has one.
        legal_name = name(node, host).filter(|_| !profile.fields.contains_key("company_name"));
        image = picture(&graph, node, "image", &base);
        faxes = fax_numbers(node);
        organization_sure = sure;
    }

    let title = page.title.as_deref().and_then(json_ld::plain);
    let meta = |names: &[&str]| page.meta(names).and_then(json_ld::plain);
    // One without an address may be anybody's: a theme's, a plug-in's.
    for site in own_sites(&graph, own).filter(|site| is_ours(site, own) == Some(true)) {
        profile.add_profiles(profiles(site), sure::WEB_SITE);
    }
    let titled = title.clone().or_else(|| meta(&["og:title"]));
    let site = site_name(&graph, own).map(|name| (name, sure::WEB_SITE));
    let open_graph = meta(&["og:site_name"]).map(|name| (name, sure::OPEN_GRAPH));
    let app = |name| meta(&[name]).map(|name| (name, sure::META));
    let said = [
        site,
        open_graph,
        app("application-name"),
        app("apple-mobile-web-app-title"),
    ]
    .into_iter()
    .flatten();
    let (addresses, said): (Vec<_>, Vec<_>) = said
        .filter(|(name, _)| !names::is_generic_at(name, host))
        .partition(|(name, _)| names::is_address(name, host));
    let names: Vec<_> = said
        .iter()
        .filter(|(_, sure)| *sure >= sure::OPEN_GRAPH)
        .map(|(name, _)| name.clone())
        .collect();
    let agreed = match &names[..] {
        [site, open_graph] if organisation::same(site, open_graph) => Some(site.as_str()),
        _ => None,
    };
    let backers = [titled.as_deref(), legal_name.as_deref(), agreed];
    let (backed, alone): (Vec<_>, Vec<_>) = { said.into_iter() }
        .map(|(name, sure)| {
            (
                names::without_slogan(&name, url)
                    .map(str::to_owned)
                    .unwrap_or(name),
                sure,
            )
        })
        .partition(|(name, _)| names::is_backed(name, host, &backers));
    for (name, sure) in backed {
        profile.put_text("company_name", Some(name), sure);
    }
    profile.put_text("company_name", legal_name, organization_sure);
    for (name, sure) in alone {
        profile.put_text("company_name", Some(name), sure.min(sure::ALONE));
    }
    if let Some((name, evidence)) = titled
        .as_deref()
        .and_then(|title| names::in_title(title, url))
    {
        let sure = match evidence {
            Evidence::Domain => sure::TITLE_AND_DOMAIN,
            Evidence::Form => sure::TITLE_AND_FORM,
            Evidence::Part => sure::TITLE_AND_PART,
            Evidence::Place => sure::TITLE,
        };
        profile.put_text("company_name", Some(name.to_owned()), sure);
    }
    for (name, _) in addresses {
        profile.put_text("company_name", Some(name), sure::ADDRESS);
    }
    profile.put_text(
        "description",
        meta(&["og:description", "twitter:description"]),
        sure::OPEN_GRAPH,
    );
    profile.put_text("description", meta(&["description"]), sure::META);
    profile.put_text(
        "logo_url",
        meta(&["og:logo"]).and_then(|logo| links::absolute(&base, &logo)),
        sure::OPEN_GRAPH,
    );
    profile.put_text("logo_url", logo::shown(page, &base, host), sure::SHOWN);
    // Of a shop it is as often its front.
    profile.put_text("logo_url", image, sure::ALONE);
    let icon = |rel: &str| {
        page.links
            .iter()
            .find(|l| l.rel.split(' ').any(|r| r == rel))
            .map(|l| l.href.as_str())
    };
    let icon = icon("apple-touch-icon")
        .or_else(|| icon("icon"))
        .and_then(|href| links::absolute(&base, href));
    let icon = icon.filter(|icon| !logo::is_delivered(icon));
    profile.put_text("logo_url", icon, sure::TITLE);

    let credits = Credits::read(&base, page);
    let found = links::Found::read_without(&credits, &base, page);
    let links_to = found
        .phones
        .into_iter()
        .filter(|number| !faxes.iter().any(|fax| phones::same(fax, number)));
    add_values(&mut profile, "phones", links_to.collect(), sure::LINK);
    add_values(&mut profile, "emails", found.emails, sure::LINK);
    let called = ["company_name", "legal_name"]
        .map(|field| profile.fields.get(field).and_then(Value::as_str));
    let names = social::names(owner(host), called.into_iter().flatten());
    let social = social::choose(&found.profiles, &names).into_iter();
    let social = social.map(|(network, url)| (network.to_owned(), Value::String(url)));
    profile.add_profiles(social.collect(), sure::LINK);
    from_text(&mut profile, page, host, this_year, &credits, &faxes);
    profile.put_text("contact_url", found.contact, sure::LINK);
    profile.put_text("careers_url", found.careers, sure::LINK);
    profile.put_text("feed_url", found.feeds.into_iter().next(), sure::LINK);
    // Where a page was is no news of a company: only with something that the page says.
    if profile.fields.is_empty() && title.is_none() {
        return profile;
    }
    profile.put_text("domain", Some(owner(host).to_owned()), sure::SEEN);
    profile.put_text("url", Some(url.to_string()), sure::SEEN);
    profile.put_text("title", title, sure::SEEN);
    let language = page
        .language
        .clone()
        .or_else(|| meta(&["og:locale", "content-language"]));
    profile.put_text(
        "language",
        language.and_then(|l| language_tag(&l)),
        sure::META,
    );
    if owner(asked) != owner(host) {
        profile.put_text("redirected_from", Some(owner(asked).to_owned()), sure::SEEN);
        // Whether whom it leads to is whom was asked for, nobody said.
        profile
            .sure
            .values_mut()
            .for_each(|sure| *sure = (*sure * 0.8 * 100.0).round() / 100.0);
    }
    profile
}

/// What the page's text says of what nothing surer said.
fn from_text(
    profile: &mut Profile,
    page: &Document,
    host: &str,
    this_year: i32,
    credits: &Credits,
    faxes: &[String],
) {
    let said = |field: &str| profile.fields.get(field).and_then(Value::as_str);
    let legal_name = || imprint::legal_name(&page.lines, host, said("company_name"));
    let legal_name = if said("legal_name").is_none() {
        legal_name()
    } else {
        None
    };
    if let Some((name, places)) = legal_name {
        let sure = match places {
            imprint::Places::Agree => sure::TEXT_TWICE,
            imprint::Places::One => sure::TEXT,
            imprint::Places::Differ => sure::ALONE,
        };
        profile.put_text("legal_name", Some(name), sure);
    }
    if !profile.fields.contains_key("founded_year") {
        let called = ["company_name", "legal_name"]
            .map(|field| profile.fields.get(field).and_then(Value::as_str));
        let year = founded::year_in(&page.lines, host, called.into_iter().flatten(), this_year);
        if let Some((year, said)) = year {
            let sure = match said {
                founded::Said::Founded => sure::TEXT,
                founded::Said::Since => sure::ALONE,
            };
            profile.put("founded_year", Some(year.into()), sure);
        }
    }
    if !profile.fields.contains_key("address") {
        profile.put(
            "address",
            postal::shown(&page.lines).map(Value::Object),
            sure::ALONE,
        );
    }
    if !profile.fields.contains_key("phones") {
        let address = profile
            .fields
            .get("address")
            .and_then(|address| address.get("country")?.as_str());
        let locale = page
            .language
            .as_deref()
            .or_else(|| page.meta(&["og:locale"]));
        let country = country::of(address, host, &page.lines, locale);
        let lines = page
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.place != Place::Others);
        // Beside others they would count as sure as those.
        let mut phones = phone::shown(
            lines.map(|(number, line)| credits.own_part(number, &line.text)),
            country,
        );
        phones.retain(|number| !faxes.iter().any(|fax| phones::same(fax, number)));
        add_values(profile, "phones", phones, sure::TEXT);
    }
}

fn add_values(profile: &mut Profile, field: &str, values: Vec<String>, sure: f64) {
    profile.put(field, values.first().map(|value| json!([value])), sure);
    let Some(known) = profile.fields.get_mut(field).and_then(Value::as_array_mut) else {
        return;
    };
    for value in values {
        let same = |known: &Value| {
            known.as_str().is_some_and(|known| {
                known == value || (field == "phones" && phones::same(known, &value))
            })
        };
        if known.len() < MAX_VALUES && !known.iter().any(same) {
            known.push(Value::String(value));
        }
    }
}

type Node = Map<String, Value>;

/// Whose site a node is about by its own addresses: ours, or somebody else's. `None` where it has none.
fn is_ours(node: &Node, own: [&str; 2]) -> Option<bool> {
    let addresses = [node.get("url"), node.get("@id")]
        .into_iter()
        .flat_map(list)
        .take(MAX_LISTED);
    let urls = addresses.filter_map(|url| web_url(url.as_str()?));
    let mut ours = urls
        .filter_map(|url| url.host_str().map(|host| own.contains(&owner(host))))
        .peekable();
    ours.peek()?;
    Some(ours.any(|ours| ours))
}

/// A web address, with its scheme or without.
fn web_url(text: &str) -> Option<Url> {
    let text = text.trim();
    let text = text.trim_start_matches("//");
    if let Ok(url) = Url::parse(text)
        && matches!(url.scheme(), "http" | "https")
    {
        return Some(url);
    }
    let host = text.split(['/', '?', '#', ':']).next()?;
    suffix::host(host).ok().filter(|host| host.contains('.'))?;
    Url::parse(&format!("https://{text}")).ok()
}

/// The organisation that a page is about: one at the top of a block or the publisher of the site, whose own URL is the
/// site's or that has none. One with another site's URL is somebody else: a customer, a member, an author.
fn organization<'a>(graph: &Graph<'a>, host: &str, own: [&str; 2]) -> Option<(&'a Node, f64)> {
    let tops = graph
        .nodes
        .iter()
        .filter(|node| node.top)
        .map(|node| node.members);
    let sites = tops
        .clone()
        .filter(|node| is_a(node, "WebSite") || is_a(node, "WebPage"));
    let publishers = sites.flat_map(|site| {
        [
            "publisher",
            "about",
            "mainEntity",
            "author",
            "copyrightHolder",
        ]
        .into_iter()
        .filter_map(|name| site.get(name))
    });
    let publishers: Vec<&Node> = publishers
        .take(MAX_PUBLISHERS)
        .map(|value| graph.resolve(value))
        .collect();
    let all =
        { tops.map(|node| (node, false)) }.chain(publishers.into_iter().map(|node| (node, true)));
    let all = all.filter(|(node, _)| is_organization(node));
    let rated = all.filter_map(|(node, publishes)| {
        let sure = match is_ours(node, own) {
            Some(true) => sure::JSON_LD,
            Some(false) => return None,
            None => sure::JSON_LD_UNNAMED,
        };
        Some((node, sure, publishes))
    });
    let rated = rated
        .take(MAX_ORGANIZATIONS)
        .map(|(node, sure, publishes)| {
            let name = name(node, host);
            let fit = name
                .as_deref()
                .map_or(Fit::Nothing, |name| names::fit(name, host));
            let rank = (name.is_some(), fit, publishes, node.len());
            (node, name, sure, rank)
        });
    let rated: Vec<_> = rated.collect();
    // The surest; of equal ones the one that fits best, and the one that says most.
    let best = rated
        .iter()
        .max_by(|one, other| one.2.total_cmp(&other.2).then(one.3.cmp(&other.3)))?;
    let (node, name, mut sure, (_, fit, publishes, ..)) = best.clone();
    let rivals = || {
        let equal = rated
            .iter()
            .filter(|(_, _, s, (_, f, p, ..))| (*s, *f, *p) == (sure, fit, publishes));
        equal
            .filter_map(|(_, name, ..)| name.as_deref())
            .take(MAX_PUBLISHERS)
    };
    if fit == Fit::Nothing
        && name.is_some_and(|name| rivals().any(|rival| !organisation::same(&name, rival)))
    {
        sure = sure.min(sure::JSON_LD_OF_SEVERAL);
    }
    Some((node, sure))
}

/// What is said of the site itself in JSON-LD.
fn own_sites<'a>(graph: &Graph<'a>, own: [&'a str; 2]) -> impl Iterator<Item = &'a Node> {
    let tops = graph
        .nodes
        .iter()
        .filter(|node| node.top)
        .map(|node| node.members);
    let sites = tops.filter(move |node| is_a(node, "WebSite") && is_ours(node, own) != Some(false));
    sites.take(MAX_PUBLISHERS)
}

/// What the site calls itself in JSON-LD.
fn site_name(graph: &Graph<'_>, own: [&str; 2]) -> Option<String> {
    own_sites(graph, own).find_map(|node| name(node, own[0]))
}

/// What a node is called on the site of a host, where that names anything.
fn name(node: &Node, host: &str) -> Option<String> {
    json_ld::names(node).find(|name| !names::is_generic_at(name, host))
}

fn from_json_ld(
    profile: &mut Profile,
    graph: &Graph<'_>,
    node: &Node,
    sure: f64,
    base: &Url,
    this_year: i32,
) {
    let host = base.host_str().unwrap_or_default();
    profile.put_text(
        "company_name",
        text(node.get("name")).filter(|name| !names::is_generic_at(name, host)),
        sure,
    );
    profile.put_text("legal_name", text(node.get("legalName")), sure);
    profile.put_text(
        "description",
        text(node.get("description")).or_else(|| text(node.get("slogan"))),
        sure,
    );
    profile.put_text("logo_url", picture(graph, node, "logo", base), sure);
    let contacts = || contacts(node);
    let every = |name: &str| -> Vec<String> {
        let own = list(node.get(name)).iter();
        let all = own.chain(contacts().flat_map(|contact| list(contact.get(name))));
        all.filter_map(|value| text(Some(value))).collect()
    };
    let phones = phone_numbers(node).into_iter();
    add_values(profile, "phones", links::distinct(phones), sure);
    add_values(
        profile,
        "emails",
        links::distinct(every("email").iter().flat_map(|t| links::emails(t))),
        sure,
    );
    let place = list(node.get("address")).first().or_else(|| {
        let places = list(node.get("location")).iter().take(MAX_LISTED);
        { places }.find_map(|place| list(place.get("address")).first())
    });
    profile.put("address", place.and_then(address), sure);
    let founded =
        text(node.get("foundingDate")).and_then(|date| date.get(..4)?.parse::<i32>().ok());
    profile.put(
        "founded_year",
        founded
            .filter(|year| (1000..=this_year).contains(year))
            .map(Value::from),
        sure,
    );
    if let Some(staff) = list(node.get("numberOfEmployees")).first() {
        let (count, range) = employees(staff);
        profile.put("employees", count.map(Value::from), sure);
        profile.put_text("employee_range", range, sure);
    }
    profile.put("social_profiles", Some(Value::Object(profiles(node))), sure);
}

fn contacts(node: &Node) -> impl Iterator<Item = &Node> {
    list(node.get("contactPoint"))
        .iter()
        .filter_map(Value::as_object)
        .take(MAX_LISTED)
}

/// The numbers that a node says are for calls: `telephone`, its own and that of contacts but those for fax. What is its fax too is
/// for both.
fn phone_numbers(node: &Node) -> Vec<String> {
    let contacts = contacts(node).filter(|contact| !is_for_fax(contact));
    let numbers = std::iter::once(node)
        .chain(contacts)
        .flat_map(|node| list(node.get("telephone")))
        .filter_map(|value| text(Some(value)));
    numbers.flat_map(|number| phone::written(&number)).collect()
}

/// Whether the type or the name of a contact says that it is for fax.
fn is_for_fax(contact: &Node) -> bool {
    ["contactType", "name"].iter().any(|name| {
        text(contact.get(*name)).is_some_and(|says| phone::is_fax("", &says, ["", "", ""]))
    })
}

/// The numbers that a node says are for fax alone: of `faxNumber`, and of contacts whose type says so.
fn fax_numbers(node: &Node) -> Vec<String> {
    let phones = phone_numbers(node);
    let own = std::iter::once(node)
        .chain(contacts(node))
        .flat_map(|node| list(node.get("faxNumber")));
    let of_contacts = contacts(node)
        .filter(|contact| is_for_fax(contact))
        .flat_map(|contact| list(contact.get("telephone")));
    let numbers = own
        .chain(of_contacts)
        .take(MAX_LISTED)
        .filter_map(|value| text(Some(value)));
    // As they are written: with the word they would be none.
    numbers
        .flat_map(|number| {
            phone::written(
                number
                    .trim_start_matches(char::is_alphabetic)
                    .trim_start_matches([':', '.', ' ']),
            )
        })
        .filter(|fax| !phones.iter().any(|phone| phones::same(fax, phone)))
        .collect()
}

/// The profiles that a node says are its own, one of a network.
fn profiles(node: &Node) -> Map<String, Value> {
    // Some list several in one text.
    let same = list(node.get("sameAs")).iter().filter_map(|same| {
        let members = || {
            ["@id", "url", "@value"]
                .into_iter()
                .find_map(|name| same.get(name)?.as_str())
        };
        same.as_str().or_else(members)
    });
    let same = same.flat_map(|same| same.split([',', ' ', '\n', '\t', '\r']).take(MAX_LISTED));
    let profiles = same.filter_map(|same| links::social(&web_url(same)?));
    let mut social = Map::new();
    for (network, url) in profiles {
        social.entry(network).or_insert(Value::String(url));
    }
    social
}

/// A picture of a node, such as its `logo`: a URL, a node, or a reference, which may be the picture's own address.
fn picture(graph: &Graph<'_>, node: &Node, member: &str, base: &Url) -> Option<String> {
    list(node.get(member))
        .iter()
        .take(MAX_LOGOS)
        .find_map(|picture| {
            let url = picture.as_str().map(str::to_owned).or_else(|| {
                // A reference is resolved within the page's own blocks.
                let image = picture.as_object()?;
                let image = graph.named(image).unwrap_or(image);
                let own = || text(image.get("@id")).filter(|id| logo::is_picture(id));
                text(image.get("url"))
                    .or_else(|| text(image.get("contentUrl")))
                    .or_else(own)
            })?;
            links::absolute(base, &url)
        })
}

/// A postal address: a text, or `PostalAddress`.
fn address(value: &Value) -> Option<Value> {
    let Some(node) = value.as_object() else {
        let lines = value.as_str().and_then(postal::lines);
        return lines
            .map(Value::Object)
            .or_else(|| text(Some(value)).map(|line| json!({ "text": line })));
    };
    let mut address = Map::new();
    for (name, member) in [
        ("street", "streetAddress"),
        ("postal_code", "postalCode"),
        ("city", "addressLocality"),
        ("region", "addressRegion"),
        ("country", "addressCountry"),
    ] {
        if let Some(part) = text(node.get(member)) {
            address.insert(name.to_owned(), Value::String(part));
        }
    }
    (!address.is_empty()).then_some(Value::Object(address))
}

/// The number of employees, or the range of it as `51-200` or `1001+`: a number, a text, or `QuantitativeValue`.
fn employees(value: &Value) -> (Option<u64>, Option<String>) {
    let Some(node) = value.as_object() else {
        return text(Some(value)).map_or((None, None), |text| staff(&text));
    };
    let count = |name: &str| text(node.get(name)).and_then(|text| staff(&text).0);
    let range = match (count("minValue"), count("maxValue")) {
        (Some(least), Some(most)) => span(least, most),
        (Some(least), None) => (None, Some(format!("{least}+"))),
        _ => (None, None),
    };
    if range != (None, None) {
        return range;
    }
    text(node.get("value")).map_or((None, None), |text| staff(&text))
}

fn span(least: u64, most: u64) -> (Option<u64>, Option<String>) {
    match least.cmp(&most) {
        std::cmp::Ordering::Less => (None, Some(format!("{least}-{most}"))),
        std::cmp::Ordering::Equal => (Some(least), None),
        std::cmp::Ordering::Greater => (None, None),
    }
}

/// What a text says of a number of people: `120`, `1,001-5,000`, `51 to 200 employees`, `10,001+`, `> 500`. Nothing where it has
/// words that could mean something else.
fn staff(text: &str) -> (Option<u64>, Option<String>) {
    let text = text.trim().to_lowercase();
    let text = PEOPLE
        .iter()
        .find_map(|word| text.strip_suffix(word))
        .unwrap_or(&text)
        .trim();
    let above = [
        "more than ",
        "over ",
        ">=",
        "\u{2265}",
        ">",
        "\u{fc}ber ",
        "mehr als ",
        "plus de ",
    ];
    if let Some(rest) = above.iter().find_map(|word| text.strip_prefix(word)) {
        return (None, number(rest).map(|least| format!("{least}+")));
    }
    if let Some(least) = text.strip_suffix('+') {
        return (None, number(least).map(|least| format!("{least}+")));
    }
    let dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let parts = text.split_once(dash).or_else(|| {
        [" to ", " bis ", " \u{e0} "]
            .iter()
            .find_map(|to| text.split_once(to))
    });
    match parts {
        Some((least, most)) => match (number(least), number(most)) {
            (Some(least), Some(most)) => span(least, most),
            _ => (None, None),
        },
        None => (number(text), None),
    }
}

/// Words behind a number of people.
const PEOPLE: [&str; 9] = [
    "employees",
    "employee",
    "people",
    "staff",
    "mitarbeiter",
    "mitarbeitende",
    "salari\u{e9}s",
    "empleados",
    "dipendenti",
];

/// A whole number, its thousands parted or not.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    // Of a number with a fraction, only zeros may be it.
    let text = text
        .strip_suffix(".0")
        .or_else(|| text.strip_suffix(".00"))
        .unwrap_or(text);
    let parted = |c: char| matches!(c, ',' | '.' | '\'' | '\u{2019}') || c.is_whitespace();
    let mut groups = text.split(parted);
    let first = groups.next()?;
    let groups: Vec<&str> = groups.collect();
    let fits = groups.iter().all(|group| group.len() == 3)
        && (groups.is_empty() || (1..=3).contains(&first.len()));
    let digits = [&[first], &groups[..]].concat().concat();
    (fits && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// `de_DE` and `DE-de` as `de-DE`; nothing of what is no language.
fn language_tag(text: &str) -> Option<String> {
    let mut parts = text.trim().split(['-', '_']);
    let language = parts.next()?.to_ascii_lowercase();
    if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let region =
        parts.find(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic()));
    Some(region.map_or_else(
        || language.clone(),
        |region| format!("{language}-{}", region.to_ascii_uppercase()),
    ))
}

mod country;
mod founded;
mod imprint;
mod logo;
mod phones;
mod postal;

#[cfg(test)]
mod tests;
