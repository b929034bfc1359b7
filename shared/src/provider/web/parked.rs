//! Whether a page is nobody's: a domain that is for sale or only registered.

use url::Url;

use super::html::Document;
use super::owner;

/// Sites that parked domains lead to or load their page from. Facts about the trade, read off their own parking pages.
const MARKETS: [&str; 17] = [
    "above.com",
    "afternic.com",
    "atom.com",
    "bodis.com",
    "brandbucket.com",
    "buydomains.com",
    "cashparking.com",
    "dan.com",
    "dnparking.com",
    "domainmarket.com",
    "domainsponsor.com",
    "hugedomains.com",
    "parkingcrew.net",
    "parklogic.com",
    "sedo.com",
    "sedoparking.com",
    "uniregistry.com",
];

/// What parking pages say, in lower case. Long enough to be said by no page that is somebody's.
const PHRASES: [&str; 12] = [
    "this domain is for sale",
    "this domain may be for sale",
    "domain name is for sale",
    "is for sale on ",
    "buy this domain",
    "this domain is parked",
    "this web page is parked",
    "parked free, courtesy of",
    "the domain has expired",
    "this domain has recently been registered",
    "diese domain steht zum verkauf",
    "ce domaine est \u{e0} vendre",
];

/// Whether nobody's page stands here. Phrases count only on pages with little else to say.
pub(super) fn is_parked(url: &Url, page: &Document) -> bool {
    let market = |host: Option<&str>| host.is_some_and(|host| MARKETS.contains(&owner(host)));
    let loads = || page.script_urls.iter().any(|src| url.join(src).is_ok_and(|src| market(src.host_str())));
    if market(url.host_str()) || loads() {
        return true;
    }
    let said = format!("{} {}", page.title.as_deref().unwrap_or_default(), page.text).to_lowercase();
    said.len() < 3_000 && page.json_ld.is_empty() && PHRASES.iter().any(|phrase| said.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_parking_pages_from_companies() {
        for (url, html, wanted) in [
            ("https://www.hugedomains.com/domain_profile.cfm?d=acme.com", "<title>Acme.com</title>", true),
            (
                "https://acme.example/",
                "<title>acme.example</title><script src='//img.sedoparking.com/x.js'></script>",
                true,
            ),
            ("https://acme.example/", "<h1>Buy this  domain.</h1><p>acme.example is for sale", true),
            ("https://acme.example/", "<title>Acme</title><p>We make anvils.", false),
            ("https://www.dan.com.example/", "<p>anvils", false),
        ] {
            assert_eq!(is_parked(&Url::parse(url).unwrap(), &Document::read(html)), wanted, "{url} {html}");
        }
        let shop = format!("<p>{} Buy this domain name book", "Anvils of all sizes. ".repeat(200));
        assert!(!is_parked(&Url::parse("https://acme.example/").unwrap(), &Document::read(&shop)));
    }
}
