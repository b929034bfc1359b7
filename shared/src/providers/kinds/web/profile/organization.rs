//! The organisation that a page is about, in its JSON-LD.

use serde_json::{Map, Value, json};
use url::Url;

use super::fields::{Profile, add_values, sure};
use super::staff::employees;
use super::{logo, phones, postal};
use crate::domain::organisation;
use crate::providers::kinds::web::json_ld::{Graph, is_a, is_organization, list, text};
use crate::providers::kinds::web::names::Fit;
use crate::providers::kinds::web::{json_ld, links, names, owner};
use crate::providers::kinds::{phone, suffix};

/// The most logos and images that are read, and the most publishers of pages.
pub(super) const MAX_LOGOS: usize = 20;
const MAX_PUBLISHERS: usize = 100;
/// The most organisations that are compared.
const MAX_ORGANIZATIONS: usize = 200;
/// The most profiles in one text.
const MAX_LISTED: usize = 50;

type Node = Map<String, Value>;

/// Returns whether a node is about our site, by its own addresses. `None` if it has none.
pub(super) fn is_ours(node: &Node, own: [&str; 2]) -> Option<bool> {
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

/// Reads a web address, with its scheme or without.
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

/// Returns the organisation that a page is about: one at the top of a block or the publisher of the
/// site, whose own URL is the site's or absent. One with another site's URL is a customer, a member
/// or an author.
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
    // The surest; of equal ones the best fit, and the one with most members.
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

/// Returns the site's own nodes in JSON-LD.
pub(super) fn own_sites<'a>(
    graph: &Graph<'a>,
    own: [&'a str; 2],
) -> impl Iterator<Item = &'a Node> {
    let tops = graph
        .nodes
        .iter()
        .filter(|node| node.top)
        .map(|node| node.members);
    let sites = tops.filter(move |node| is_a(node, "WebSite") && is_ours(node, own) != Some(false));
    sites.take(MAX_PUBLISHERS)
}

/// Returns the site's own name in JSON-LD.
pub(super) fn site_name(graph: &Graph<'_>, own: [&str; 2]) -> Option<String> {
    own_sites(graph, own).find_map(|node| name(node, own[0]))
}

/// Returns the name of a node on the site of a host, if it is a name.
fn name(node: &Node, host: &str) -> Option<String> {
    json_ld::names(node).find(|name| !names::is_generic_at(name, host))
}

/// The facts about the organisation that are needed later than its fields.
#[derive(Default)]
pub(super) struct Organization {
    /// Its name, if it has only a legal one that can be shown.
    pub(super) legal_name: Option<String>,
    pub(super) image: Option<String>,
    pub(super) faxes: Vec<String>,
    /// The confidence in its facts.
    pub(super) sure: f64,
}

/// Puts the fields of the organisation that a page is about, if there is one.
pub(super) fn put_organization(
    profile: &mut Profile,
    graph: &Graph<'_>,
    own: [&str; 2],
    url: &Url,
    base: &Url,
    this_year: i32,
) -> Option<Organization> {
    let host = url.host_str().unwrap_or_default();
    let (node, sure) = organization(graph, host, own)?;
    from_json_ld(profile, graph, node, sure, base, this_year);
    Some(Organization {
        // People use the name of the site, if it has one.
        legal_name: name(node, host).filter(|_| !profile.fields.contains_key("company_name")),
        image: picture(graph, node, "image", base),
        faxes: fax_numbers(node),
        sure,
    })
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

/// Returns the numbers of a node for calls: `telephone`, its own and that of contacts but those for
/// fax. A number that is its fax too is for both.
fn phone_numbers(node: &Node) -> Vec<String> {
    let contacts = contacts(node).filter(|contact| !is_for_fax(contact));
    let numbers = std::iter::once(node)
        .chain(contacts)
        .flat_map(|node| list(node.get("telephone")))
        .filter_map(|value| text(Some(value)));
    numbers.flat_map(|number| phone::written(&number)).collect()
}

/// Returns whether a contact is for fax, by its type or its name.
fn is_for_fax(contact: &Node) -> bool {
    ["contactType", "name"].iter().any(|name| {
        text(contact.get(*name)).is_some_and(|says| phone::is_fax("", &says, ["", "", ""]))
    })
}

/// Returns the numbers of a node for fax alone: of `faxNumber`, and of contacts for fax.
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
    // As written: with the word they would be none.
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

/// Returns the profiles that a node says are its own, one of a network.
pub(super) fn profiles(node: &Node) -> Map<String, Value> {
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

/// Returns a picture of a node, such as its `logo`: a URL, a node, or a reference, which may be the
/// picture's own address.
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

/// Reads a postal address: a text, or `PostalAddress`.
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
