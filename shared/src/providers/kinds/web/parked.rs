//! Recognises pages that belong to no company: a domain that is for sale or only registered, a
//! server without a site, a suspended or unfinished site, an error, or the check of a firewall.

use std::sync::LazyLock;

use url::Url;

use super::html::Document;
use super::lists::list;
use super::owner;
use super::titles::segments;

/// Sites that parked domains lead to or load their page from. Facts about the trade, taken from
/// their own parking pages.
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

/// Words of such pages. See the file.
struct Phrases {
    for_sale: Vec<&'static str>,
    sentences: Vec<&'static str>,
    building: Vec<&'static str>,
    title_starts: Vec<&'static str>,
    titles: Vec<&'static str>,
    unfinished: Vec<&'static str>,
    after_status: Vec<&'static str>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let list = |name| list(include_str!("parked/phrases.txt"), name);
    Phrases {
        for_sale: list("for_sale"),
        sentences: list("sentences"),
        building: list("building"),
        title_starts: list("title_starts"),
        titles: list("titles"),
        unfinished: list("unfinished"),
        after_status: list("after_status"),
    }
});

/// The longest text of such a page, in bytes. Some default pages explain the places of their files.
const MAX_SAID: usize = 6_000;
/// The same for sentences that may be quotations, for those of sites to come, for a title, for a
/// part of one, and for words within the text.
const MAX_SENTENCE: usize = 3_000;
const MAX_BUILDING: usize = 1_000;
const MAX_TITLED: usize = 1_500;
const MAX_TITLED_IN_PART: usize = 600;
const MAX_WORDS: usize = 200;

/// Returns whether a domain is parked: its page is that of a market for domains.
pub(super) fn is_parked(url: &Url, page: &Document) -> bool {
    let market = |host: Option<&str>| host.is_some_and(|host| MARKETS.contains(&owner(host)));
    let lander = |src: &Url| src.path().contains("parking-lander");
    let loads = || {
        page.script_urls.iter().any(|src| {
            url.join(src)
                .is_ok_and(|src| market(src.host_str()) || lander(&src))
        })
    };
    // A page that only leads to the registrar's.
    let leads = || page.text.is_empty() && page.scripts.contains("\"/lander\"");
    let offered = || {
        url.host_str()
            .map(|host| format!("{} is for sale", owner(host)))
    };
    let for_sale = |said: &str| {
        has_any(said, &PHRASES.for_sale) || offered().is_some_and(|offered| said.contains(&offered))
    };
    market(url.host_str())
        || loads()
        || leads()
        || (page.json_ld.is_empty() && says_so(page, MAX_SENTENCE, for_sale))
}

/// Returns whether the page belongs to no company. Its text counts only if there is little else on
/// it.
pub(super) fn is_placeholder(url: &Url, page: &Document) -> bool {
    if is_parked(url, page) {
        return true;
    }
    if !page.json_ld.is_empty() {
        return false;
    }
    let title = page.title.as_deref().unwrap_or_default();
    let text = page.text.len();
    (text < MAX_SAID && begins(&plain(title)))
        || (text < MAX_TITLED && is_notice(title))
        || (text < MAX_TITLED_IN_PART && segments(title).any(is_notice))
        || says_so(page, MAX_SENTENCE, |said| has_any(said, &PHRASES.sentences))
        || says_so(page, MAX_BUILDING, |said| has_any(said, &PHRASES.building))
        || says_so(page, MAX_WORDS, |said| has_any(said, &PHRASES.unfinished))
        || ["it works", "it works!"].contains(&page.text.to_lowercase().as_str())
}

/// Returns whether a title, or a part of one, is a notice instead of a company's name.
pub(super) fn is_notice(title: &str) -> bool {
    let title = plain(title);
    let title = title.strip_prefix("http ").unwrap_or(&title);
    let status = |text: &str| {
        let code = text.get(..3).filter(|code| {
            code.starts_with(['4', '5']) && code.bytes().all(|b| b.is_ascii_digit())
        });
        code.is_some_and(|_| {
            let behind = text[3..].trim_matches(|c: char| !c.is_alphanumeric());
            behind.is_empty() || PHRASES.after_status.contains(&behind)
        })
    };
    let error = title
        .strip_prefix("error ")
        .or_else(|| title.strip_prefix("fehler "))
        .unwrap_or(title);
    PHRASES.titles.contains(&title)
        || PHRASES.unfinished.contains(&title)
        || begins(title)
        || status(error)
}

/// Returns whether a title begins as those of default pages do, with whole words.
fn begins(title: &str) -> bool {
    let whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\'');
    PHRASES
        .title_starts
        .iter()
        .any(|start| title.strip_prefix(start).is_some_and(whole))
}

fn says_so(page: &Document, most: usize, says: impl FnOnce(&str) -> bool) -> bool {
    if page.text.len() >= most {
        return false;
    }
    let said = format!(
        "{} {}",
        page.title.as_deref().unwrap_or_default(),
        page.text
    );
    says(&said.to_lowercase().replace('\u{2019}', "'"))
}

fn has_any(said: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| said.contains(phrase))
}

/// Returns a title in lower case, without signs at the ends.
fn plain(title: &str) -> String {
    let title = title.to_lowercase().replace('\u{2019}', "'");
    title
        .trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != ')')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_parking_pages_from_companies() {
        for (url, html, wanted) in [
            (
                "https://www.hugedomains.com/domain_profile.cfm?d=acme.com",
                "<title>Acme.com</title>",
                true,
            ),
            (
                "https://acme.example/",
                "<title>acme.example</title><script src='//img.sedoparking.com/x.js'></script>",
                true,
            ),
            (
                "https://acme.example/",
                "<h1>Buy this  domain.</h1><p>acme.example is for sale",
                true,
            ),
            (
                "https://acme.example/",
                "<title>acme.example is for sale</title>",
                true,
            ),
            (
                "https://acme.example/",
                "<script>window.onload=function(){window.location.href=\"/lander\"}</script>",
                true,
            ),
            (
                "https://acme.example/",
                "<title>Acme</title><p>We make anvils.",
                false,
            ),
            ("https://www.dan.com.example/", "<p>anvils", false),
        ] {
            assert_eq!(
                is_parked(&Url::parse(url).unwrap(), &Document::read(html)),
                wanted,
                "{url} {html}"
            );
            assert_eq!(
                is_placeholder(&Url::parse(url).unwrap(), &Document::read(html)),
                wanted,
                "{url} {html}"
            );
        }
        let shop = format!(
            "<p>{} Buy this domain name book",
            "Anvils of all sizes. ".repeat(200)
        );
        assert!(!is_parked(
            &Url::parse("https://acme.example/").unwrap(),
            &Document::read(&shop)
        ));
    }

    #[test]
    fn companies_whose_words_are_like_notices_are_somebodys() {
        let text =
            "We make anvils of all sizes for smiths, and for everybody who needs one, since 1901. "
                .repeat(4);
        for (title, more) in [
            ("Welcome to Angie's Bakery", ""),
            ("Welcome to Jetty Road", ""),
            ("Acme", "There is no such approach elsewhere."),
            ("Acme", "Contact form. Verify you are not a robot."),
            (
                "Acme",
                "We sell DDoS protection by the hour. Is your web server is down? Call us.",
            ),
        ] {
            let html = format!("<title>{title}</title><p>{text}{more}");
            assert!(!placeholder(&html), "{html}");
        }
    }

    fn placeholder(html: &str) -> bool {
        is_placeholder(
            &Url::parse("https://acme.example/").unwrap(),
            &Document::read(html),
        )
    }

    #[test]
    fn pages_that_servers_hosters_and_firewalls_show_are_placeholders() {
        let long =
            "The configuration layout for an Apache2 web server installation is as follows. "
                .repeat(50);
        for html in [
            "<title>Welcome to nginx!</title><h1>Welcome to nginx!</h1>\
             <p>If you see this page, the nginx web server is successfully installed \
             and working. Further configuration is required.",
            "<html><body><h1>It works!</h1></body></html>",
            &format!("<title>Apache2 Ubuntu Default Page: It works</title><p>{long}"),
            &format!("<title>Apache2 Debian Default Page: It works</title><p>{long}"),
            "<title>Test Page for the HTTP Server on AlmaLinux</title>\
             <p>This page is used to test the proper operation of the HTTP server.",
            "<title>HTTP Server Test Page powered by: Rocky Linux</title>",
            "<title>IIS Windows Server</title><a href=http://go.microsoft.com/>\
             <img src=iisstart.png alt=IIS></a>",
            "<title>IIS7</title>",
            "<title>Web Server's Default Page</title><p>This page is generated by Plesk",
            "<title>Domain Default page</title>\
             <p>If you are seeing this message, the website is not available",
            "<title>Default Web Site Page</title>\
             <p>SORRY! If you are the owner of this website, please contact your hosting provider",
            "<title>Account Suspended</title><h1>Account Suspended</h1>\
             <p>This Account has been suspended.",
            "<title>acme.example</title><p>This Account has been suspended. Contact your hosting \
             provider for more information.",
            "<title>Index of /</title><h1>Index of /</h1>",
            "<title>Hier entsteht eine neue Internetpr\u{e4}senz</title>",
            "<title>acme.example</title><p>Diese Website befindet sich im Aufbau.",
            "<title>Acme \u{2013} Coming soon</title><p>Stay tuned",
            "<title>Coming Soon</title>",
            "<title>Acme</title><h1>Under construction</h1>",
            "<title>Site en construction</title>",
            "<title>404 Not Found</title><center><h1>404 Not Found</h1></center><hr>\
             <center>nginx</center>",
            "<title>Error 404 - Not Found</title>",
            "<title>503 Service Temporarily Unavailable</title>",
            "<title>Page not found | Acme</title>",
            "<title>Just a moment...</title>\
             <p>Verify you are human by completing the action below.",
            "<title>Attention Required! | Cloudflare</title><p>Sorry, you have been blocked",
            "<title>Access Denied</title><p>You don't have permission to access this server.",
            "<title>Pardon Our Interruption</title>",
            "<title>WordPress \u{203a} Error</title>\
             <p>There has been a critical error on this website.",
            "<p>Error establishing a database connection",
            "<title>acme.example</title><p>This domain name has been registered with a registrar.",
        ] {
            assert!(placeholder(html), "{html}");
        }
        let url = Url::parse("https://acme.example/").unwrap();
        assert!(
            !is_parked(&url, &Document::read("<title>Welcome to nginx!</title>")),
            "a server tells its software"
        );
    }

    #[test]
    fn pages_of_companies_that_say_the_same_words_are_theirs() {
        let about =
            "We forge anvils in Berlin since 1920, by hand and to order, for smiths all over \
             Europe. "
                .repeat(8);
        for html in [
            format!("<title>Acme</title><p>{about} Our new shop is coming soon!"),
            format!("<title>Maintenance | Acme Facility Services</title><p>{about}"),
            format!("<title>404 Media</title><p>{about}"),
            "<title>500 Startups</title><p>We invest".to_owned(),
            "<title>Error Coffee</title><p>We roast".to_owned(),
            "<title>It Works Global</title><p>We sell".to_owned(),
            format!("<title>Acme</title><p>{about} Under construction: our new forge."),
            format!("<title>Acme</title><p>{about} {about} We are working on our new website."),
            "<title>Coming soon</title>\
             <script type='application/ld+json'>{\"@type\":\"Organization\",\"name\":\"Acme\"}</script>"
                .to_owned(),
        ] {
            assert!(!placeholder(&html), "{html}");
        }
    }
}
