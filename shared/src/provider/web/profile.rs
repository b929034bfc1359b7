//! A company's profile from what its home page says, each field with how sure it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use url::Url;

use super::html::Document;
use super::json_ld::{self, Graph, is_organization, list, text, types};
use super::links;
use super::{names, owner, social};
use crate::domain::organisation;

/// How sure a field is by where it was read. JSON-LD is written for machines about the company itself; `OpenGraph` for
/// people who share the page; a title for those who look at it.
mod sure {
    pub(super) const JSON_LD: f64 = 0.95;
    /// The same of a node that does not say whose site it is about.
    pub(super) const JSON_LD_UNNAMED: f64 = 0.85;
    pub(super) const OPEN_GRAPH: f64 = 0.75;
    /// Links, which the page shows but does not explain.
    pub(super) const LINK: f64 = 0.7;
    pub(super) const META: f64 = 0.65;
    /// A part of the title that spells the domain.
    pub(super) const TITLE_AND_DOMAIN: f64 = 0.6;
    pub(super) const TITLE: f64 = 0.35;
    /// What was seen and not said: where the page was.
    pub(super) const SEEN: f64 = 1.0;
}

/// The most phones, e-mail addresses and so on of each sort.
const MAX_VALUES: usize = 10;
/// The most logos and images that are looked at, and the most publishers of pages.
const MAX_LOGOS: usize = 20;
const MAX_PUBLISHERS: usize = 100;

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
    if let Some((organization, sure)) = organization(&graph, owner(host)) {
        from_json_ld(&mut profile, &graph, organization, sure, &base, this_year);
    }

    let title = page.title.as_deref().and_then(json_ld::plain);
    let meta = |names: &[&str]| page.meta(names).and_then(json_ld::plain);
    profile.put_text("company_name", meta(&["og:site_name"]), sure::OPEN_GRAPH);
    profile.put_text("company_name", meta(&["application-name", "apple-mobile-web-app-title"]), sure::META);
    let name = title.as_deref().and_then(|title| name_in_title(title, owner(host)));
    if let Some((name, sure)) = name {
        profile.put_text("company_name", Some(name.to_owned()), sure);
    }
    profile.put_text("description", meta(&["og:description", "twitter:description"]), sure::OPEN_GRAPH);
    profile.put_text("description", meta(&["description"]), sure::META);
    profile.put_text("logo_url", meta(&["og:logo"]).and_then(|logo| links::absolute(&base, &logo)), sure::OPEN_GRAPH);
    let icon = |rel: &str| page.links.iter().find(|l| l.rel.split(' ').any(|r| r == rel)).map(|l| l.href.as_str());
    let icon = icon("apple-touch-icon").or_else(|| icon("icon")).and_then(|href| links::absolute(&base, href));
    profile.put_text("logo_url", icon, sure::TITLE);

    let found = links::Found::read(&base, page);
    add_values(&mut profile, "phones", found.phones, sure::LINK);
    add_values(&mut profile, "emails", found.emails, sure::LINK);
    let called = ["company_name", "legal_name"].map(|field| profile.fields.get(field).and_then(Value::as_str));
    let names = social::names(owner(host), called.into_iter().flatten());
    let social = social::choose(&found.profiles, &names).into_iter();
    let social = social.map(|(network, url)| (network.to_owned(), Value::String(url)));
    match profile.fields.get_mut("social_profiles").and_then(Value::as_object_mut) {
        Some(known) => {
            for (network, url) in social {
                known.entry(network).or_insert(url);
            }
        }
        None => profile.put("social_profiles", Some(Value::Object(social.collect())), sure::LINK),
    }
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
    let language = page.language.clone().or_else(|| meta(&["og:locale", "content-language"]));
    profile.put_text("language", language.and_then(|l| language_tag(&l)), sure::META);
    if owner(asked) != owner(host) {
        profile.put_text("redirected_from", Some(owner(asked).to_owned()), sure::SEEN);
        // Whether whom it leads to is whom was asked for, nobody said.
        profile.sure.values_mut().for_each(|sure| *sure = (*sure * 0.8 * 100.0).round() / 100.0);
    }
    profile
}

fn add_values(profile: &mut Profile, field: &str, values: Vec<String>, sure: f64) {
    let values = values.into_iter().map(Value::String);
    if let Some(known) = profile.fields.get_mut(field).and_then(Value::as_array_mut) {
        for value in values {
            if known.len() < MAX_VALUES && !known.contains(&value) {
                known.push(value);
            }
        }
    } else {
        profile.put(field, Some(Value::Array(values.take(MAX_VALUES).collect())), sure);
    }
}

type Node = Map<String, Value>;

/// The organisation that a page is about: one at the top of a block or the publisher of the site, whose own URL is the
/// site's or that has none. One with another site's URL is somebody else: a customer, a member, an author.
fn organization<'a>(graph: &Graph<'a>, domain: &str) -> Option<(&'a Node, f64)> {
    let tops = graph.nodes.iter().filter(|node| node.top).map(|node| node.members);
    let sites = tops.clone().filter(|node| types(node).any(|t| t == "WebSite" || t == "WebPage" || t == "AboutPage"));
    let publishers = sites.flat_map(|site| {
        ["publisher", "about", "mainEntity", "author", "copyrightHolder"].into_iter().filter_map(|name| site.get(name))
    });
    let publishers: Vec<&Node> = publishers.take(MAX_PUBLISHERS).map(|value| graph.resolve(value)).collect();
    let nodes = tops.chain(publishers).filter(|node| is_organization(node) && text(node.get("name")).is_some());
    let rated = nodes.filter_map(|node| {
        let addresses = [node.get("url"), node.get("@id")];
        let own = addresses.into_iter().flatten().filter_map(|url| Url::parse(url.as_str()?).ok());
        let mut hosts = own.filter_map(|url| url.host_str().map(|host| owner(host) == domain)).peekable();
        match hosts.peek() {
            None => Some((node, sure::JSON_LD_UNNAMED)),
            Some(_) => hosts.any(|own| own).then_some((node, sure::JSON_LD)),
        }
    });
    // The surest; of equal ones the one that says most.
    rated.max_by(|(a, sure_a), (b, sure_b)| sure_a.total_cmp(sure_b).then(a.len().cmp(&b.len())))
}

fn from_json_ld(profile: &mut Profile, graph: &Graph<'_>, node: &Node, sure: f64, base: &Url, this_year: i32) {
    profile.put_text("company_name", text(node.get("name")), sure);
    profile.put_text("legal_name", text(node.get("legalName")), sure);
    profile.put_text("description", text(node.get("description")).or_else(|| text(node.get("slogan"))), sure);
    let logos = list(node.get("logo")).iter().chain(list(node.get("image"))).take(MAX_LOGOS);
    let logo = { logos }.find_map(|logo| {
        let url = logo.as_str().map(str::to_owned).or_else(|| {
            // A reference is resolved within the page's own blocks.
            let image = logo.as_object()?;
            let image = graph.named(image).unwrap_or(image);
            text(image.get("url")).or_else(|| text(image.get("contentUrl")))
        })?;
        links::absolute(base, &url)
    });
    profile.put_text("logo_url", logo, sure);
    let contacts = || list(node.get("contactPoint")).iter().filter_map(Value::as_object);
    let every = |name: &str| -> Vec<String> {
        let own = list(node.get(name)).iter();
        let all = own.chain(contacts().flat_map(|contact| list(contact.get(name))));
        all.filter_map(|value| text(Some(value))).collect()
    };
    add_values(profile, "phones", links::distinct(every("telephone").iter().filter_map(|t| links::phone(t))), sure);
    add_values(profile, "emails", links::distinct(every("email").iter().flat_map(|t| links::emails(t))), sure);
    let place = list(node.get("address")).first().or_else(|| node.get("location")?.get("address"));
    profile.put("address", place.and_then(address), sure);
    let founded = text(node.get("foundingDate")).and_then(|date| date.get(..4)?.parse::<i32>().ok());
    profile.put("founded_year", founded.filter(|year| (1000..=this_year).contains(year)).map(Value::from), sure);
    if let Some(staff) = list(node.get("numberOfEmployees")).first() {
        let (count, range) = employees(staff);
        profile.put("employees", count.map(Value::from), sure);
        profile.put_text("employee_range", range, sure);
    }
    let profiles = list(node.get("sameAs")).iter().filter_map(|url| links::social(&Url::parse(url.as_str()?).ok()?));
    let mut social = Map::new();
    for (network, url) in profiles {
        social.entry(network).or_insert(Value::String(url));
    }
    profile.put("social_profiles", Some(Value::Object(social)), sure);
}

/// A postal address: a text, or `PostalAddress`.
fn address(value: &Value) -> Option<Value> {
    let Some(node) = value.as_object() else { return text(Some(value)).map(|line| json!({ "text": line })) };
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

/// The number of employees, or the range of it as `51-200`: a number, a text, or `QuantitativeValue`.
fn employees(value: &Value) -> (Option<u64>, Option<String>) {
    let number = |value: Option<&Value>| text(value)?.replace([',', '\u{202f}', ' '], "").parse::<u64>().ok();
    if let Some(node) = value.as_object() {
        let value = text(node.get("value"));
        return match (number(node.get("minValue")), number(node.get("maxValue"))) {
            (Some(least), Some(most)) if least < most => (None, Some(format!("{least}-{most}"))),
            (Some(least), None) => (None, Some(format!("{least}+"))),
            _ => value.map_or((None, None), |value| employees(&Value::String(value))),
        };
    }
    if let Some(count) = number(Some(value)) {
        return (Some(count), None);
    }
    let range = text(Some(value)).and_then(|text| {
        let (least, most) = text.split_once(['-', '\u{2013}'])?;
        let (least, most) = (least.trim().parse::<u64>().ok()?, most.trim().parse::<u64>().ok()?);
        (least < most).then(|| format!("{least}-{most}"))
    });
    (None, range)
}

/// The part of a title that is the name: one that spells the domain, else the last of several, where sites put it, or the
/// only one where it is short.
fn name_in_title<'t>(title: &'t str, domain: &str) -> Option<(&'t str, f64)> {
    let label: String = domain.split('.').next().unwrap_or_default().replace('-', "");
    let parts: Vec<&str> = names::segments(title).collect();
    let spells = |part: &&&str| organisation::spellings(part).iter().any(|words| words.concat() == label);
    let spelled = parts.iter().find(|part| !label.is_empty() && spells(part));
    if let Some(part) = spelled {
        return Some((part, sure::TITLE_AND_DOMAIN));
    }
    let generic = |part: &&&str| {
        !["home", "homepage", "welcome", "startseite", "accueil", "inicio", "index"]
            .contains(&part.to_lowercase().as_str())
    };
    let part = parts.iter().rev().find(generic)?;
    (part.split(' ').count() <= 4).then_some((*part, sure::TITLE))
}

/// `de_DE` and `DE-de` as `de-DE`; nothing of what is no language.
fn language_tag(text: &str) -> Option<String> {
    let mut parts = text.trim().split(['-', '_']);
    let language = parts.next()?.to_ascii_lowercase();
    if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let region = parts.find(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic()));
    Some(region.map_or_else(|| language.clone(), |region| format!("{language}-{}", region.to_ascii_uppercase())))
}

#[cfg(test)]
mod tests;
