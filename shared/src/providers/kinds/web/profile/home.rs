//! A profile from a home page, by its surer and less sure sources.

use serde_json::{Map, Value};
use url::Url;

use super::fields::{Profile, add_values, sure};
use super::organization::{
    Organization, is_ours, own_sites, profiles, put_organization, site_name,
};
use super::{in_text, logo, phones};
use crate::domain::organisation;
use crate::providers::kinds::web::credits::Credits;
use crate::providers::kinds::web::html::Document;
use crate::providers::kinds::web::json_ld::{self, Graph};
use crate::providers::kinds::web::names::{self, Evidence};
use crate::providers::kinds::web::{links, owner, social};

/// Returns the profile of the company from its home page. `asked` is the requested host, `url` the
/// page's after redirects.
pub(in super::super) fn profile(
    asked: &str,
    url: &Url,
    page: &Document,
    this_year: i32,
) -> Profile {
    let mut profile = Profile::default();
    let blocks = json_ld::parse(&page.json_ld);
    let graph = Graph::new(&blocks);
    let host = url.host_str().unwrap_or_default();
    let own = [owner(host), owner(asked)];
    let home = Home {
        url,
        host,
        own,
        page,
        graph: &graph,
        base: links::base(url, page),
    };
    let Organization {
        legal_name,
        image,
        faxes,
        sure,
    } = put_organization(&mut profile, &graph, own, url, &home.base, this_year).unwrap_or_default();
    // A node without an address may be that of a theme or a plug-in.
    for site in own_sites(&graph, own).filter(|site| is_ours(site, own) == Some(true)) {
        profile.add_profiles(profiles(site), sure::WEB_SITE);
    }
    home.put_names(&mut profile, legal_name, sure);
    home.put_descriptions(&mut profile);
    home.put_logos(&mut profile, image);
    home.put_contacts(&mut profile, &faxes, this_year);
    // The page's URL alone is not a find: it needs another field.
    let title = home.title();
    if profile.fields.is_empty() && title.is_none() {
        return profile;
    }
    home.put_page(&mut profile, title);
    profile
}

/// A home page and its owner's domains.
struct Home<'a> {
    url: &'a Url,
    host: &'a str,
    /// The domains of the page and of the requested host.
    own: [&'a str; 2],
    page: &'a Document,
    graph: &'a Graph<'a>,
    base: Url,
}

/// Names with their confidence.
type Said = Vec<(String, f64)>;

impl Home<'_> {
    fn title(&self) -> Option<String> {
        self.page.title.as_deref().and_then(json_ld::plain)
    }

    fn meta(&self, names: &[&str]) -> Option<String> {
        self.page.meta(names).and_then(json_ld::plain)
    }

    /// Puts the possible names of the company, the likeliest first. `legal_name` is that of the
    /// organisation that the page is about, and as sure as it.
    fn put_names(&self, profile: &mut Profile, legal_name: Option<String>, organization_sure: f64) {
        let titled = self.title().or_else(|| self.meta(&["og:title"]));
        let (addresses, said): (Said, Said) = { self.said_names() }
            .filter(|(name, _)| !names::is_generic_at(name, self.host))
            .partition(|(name, _)| names::is_address(name, self.host));
        let (backed, alone) = self.backed(said, titled.as_deref(), legal_name.as_deref());
        for (name, sure) in backed {
            profile.put_text("company_name", Some(name), sure);
        }
        profile.put_text("company_name", legal_name, organization_sure);
        for (name, sure) in alone {
            profile.put_text("company_name", Some(name), sure.min(sure::ALONE));
        }
        let in_title = titled
            .as_deref()
            .and_then(|title| names::in_title(title, self.url));
        if let Some((name, evidence)) = in_title {
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
    }

    /// Returns the site's own names, the surest first.
    fn said_names(&self) -> impl Iterator<Item = (String, f64)> {
        let site = site_name(self.graph, self.own).map(|name| (name, sure::WEB_SITE));
        let open_graph = self
            .meta(&["og:site_name"])
            .map(|name| (name, sure::OPEN_GRAPH));
        let app = |name| self.meta(&[name]).map(|name| (name, sure::META));
        let said = [
            site,
            open_graph,
            app("application-name"),
            app("apple-mobile-web-app-title"),
        ];
        said.into_iter().flatten()
    }

    /// Separates the names that something else on the page supports from the others.
    fn backed(&self, said: Said, titled: Option<&str>, legal_name: Option<&str>) -> (Said, Said) {
        let names: Vec<_> = said
            .iter()
            .filter(|(_, sure)| *sure >= sure::OPEN_GRAPH)
            .map(|(name, _)| name.clone())
            .collect();
        let agreed = match &names[..] {
            [site, open_graph] if organisation::same(site, open_graph) => Some(site.as_str()),
            _ => None,
        };
        let backers = [titled, legal_name, agreed];
        let without_slogan = |name: String| {
            names::without_slogan(&name, self.url)
                .map(str::to_owned)
                .unwrap_or(name)
        };
        { said.into_iter() }
            .map(|(name, sure)| (without_slogan(name), sure))
            .partition(|(name, _)| names::is_backed(name, self.host, &backers))
    }

    fn put_descriptions(&self, profile: &mut Profile) {
        let shared = self.meta(&["og:description", "twitter:description"]);
        profile.put_text("description", shared, sure::OPEN_GRAPH);
        profile.put_text("description", self.meta(&["description"]), sure::META);
    }

    /// Puts the possible logos of the company, the likeliest first. `image` is a picture of the
    /// organisation that the page is about.
    fn put_logos(&self, profile: &mut Profile, image: Option<String>) {
        let said = self.meta(&["og:logo"]);
        let said = said.and_then(|logo| links::absolute(&self.base, &logo));
        profile.put_text("logo_url", said, sure::OPEN_GRAPH);
        let shown = logo::shown(self.page, &self.base, self.host);
        profile.put_text("logo_url", shown, sure::SHOWN);
        // A shop's picture is as often its front.
        profile.put_text("logo_url", image, sure::ALONE);
        let icon = |rel: &str| {
            let mut links = self.page.links.iter();
            let link = links.find(|l| l.rel.split(' ').any(|r| r == rel));
            link.map(|l| l.href.as_str())
        };
        let icon = icon("apple-touch-icon")
            .or_else(|| icon("icon"))
            .and_then(|href| links::absolute(&self.base, href));
        let icon = icon.filter(|icon| !logo::is_delivered(icon));
        profile.put_text("logo_url", icon, sure::TITLE);
    }

    /// Puts the links of the page, and the fields of its text that no surer source has. `faxes` are
    /// not phones.
    fn put_contacts(&self, profile: &mut Profile, faxes: &[String], this_year: i32) {
        let credits = Credits::read(&self.base, self.page);
        let found = links::PageLinks::read_without(&credits, &self.base, self.page);
        let is_fax = |number: &String| faxes.iter().any(|fax| phones::same(fax, number));
        let links_to = found.phones.into_iter().filter(|number| !is_fax(number));
        add_values(profile, "phones", links_to.collect(), sure::LINK);
        add_values(profile, "emails", found.emails, sure::LINK);
        let called = ["company_name", "legal_name"]
            .map(|field| profile.fields.get(field).and_then(Value::as_str));
        let names = social::names(owner(self.host), called.into_iter().flatten());
        let social = social::choose(&found.profiles, &names).into_iter();
        let social = social.map(|(network, url)| (network.to_owned(), Value::String(url)));
        let social: Map<String, Value> = social.collect();
        profile.add_profiles(social, sure::LINK);
        in_text::put_text(profile, self.page, self.host, this_year, &credits, faxes);
        profile.put_text("contact_url", found.contact, sure::LINK);
        profile.put_text("careers_url", found.careers, sure::LINK);
        profile.put_text("feed_url", found.feeds.into_iter().next(), sure::LINK);
    }

    /// Puts the facts about the page.
    fn put_page(&self, profile: &mut Profile, title: Option<String>) {
        let [own, asked] = self.own;
        profile.put_text("domain", Some(own.to_owned()), sure::SEEN);
        profile.put_text("url", Some(self.url.to_string()), sure::SEEN);
        profile.put_text("title", title, sure::SEEN);
        let language = self
            .page
            .language
            .clone()
            .or_else(|| self.meta(&["og:locale", "content-language"]));
        let language = language.and_then(|l| language_tag(&l));
        profile.put_text("language", language, sure::META);
        if asked != own {
            profile.put_text("redirected_from", Some(asked.to_owned()), sure::SEEN);
            // It is not known whether the redirect leads to the same company.
            profile
                .sure
                .values_mut()
                .for_each(|sure| *sure = (*sure * 0.8 * 100.0).round() / 100.0);
        }
    }
}

/// Writes `de_DE` and `DE-de` as `de-DE`; `None` if it is not a language.
pub(super) fn language_tag(text: &str) -> Option<String> {
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
