//! The country of a site's numbers, if they do not say it.

use rlibphonenumber::Region;

use super::postal;
use crate::providers::kinds::phone;
use crate::providers::kinds::web::html::Line;

/// Domains of countries that are sold worldwide.
const SOLD: &str = "ac ag ai am bz cc cd co cx dj eu fm ga gg gl im io is la li ly me ml ms mu nu \
                    pw re sc sh so st su tk tm to tv vc vg ws";
/// Languages that most people speak in one country, with it.
const AT_HOME: &str = "\
    bg BG cs CZ da DK el GR et EE fi FI he IL hr HR hu HU is IS it IT ja JP ka GE ko KR lt LT lv \
    LV nb NO nl NL no NO pl PL ro RO sk SK sl SI sv SE th TH tr TR uk UA vi VN";

/// Returns the country of the company's address, of the site's domain, of a postal line on the
/// page, or of the page's language.
pub(super) fn of(
    address: Option<&str>,
    host: &str,
    lines: &[Line],
    locale: Option<&str>,
) -> Option<Region> {
    let top = host
        .rsplit('.')
        .next()
        .filter(|top| top.len() == 2 && !SOLD.split(' ').any(|sold| sold == *top));
    let mut locale = locale.unwrap_or_default().trim().split(['-', '_']);
    let language = locale.next().unwrap_or_default().to_ascii_lowercase();
    let spoken = || locale.find(|part| part.len() == 2).and_then(phone::region);
    let at_home = || {
        let mut words = AT_HOME.split_whitespace();
        words.find(|word| *word == language)?;
        phone::region(words.next()?)
    };
    { address.and_then(phone::region) }
        .or_else(|| top.and_then(phone::region))
        .or_else(|| postal::country(lines).and_then(phone::region))
        .or_else(spoken)
        .or_else(at_home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_taken_from_what_says_it_best() {
        let line = |text: &str| {
            vec![Line {
                text: text.to_owned(),
                ..Line::default()
            }]
        };
        for (address, host, text, locale, wanted) in [
            (Some("Germany"), "acme.fr", "", "en-US", Some("DE")),
            (None, "www.acme.fr", "", "en-US", Some("FR")),
            (None, "acme.co.uk", "", "", Some("GB")),
            (None, "acme.io", "", "de_AT", Some("AT")),
            (
                None,
                "acme.com",
                "10 Green Lane, London, SW1A 1AA",
                "en-US",
                Some("GB"),
            ),
            (None, "acme.com", "", "sv", Some("SE")),
            (None, "acme.com", "", "de", None),
            (None, "acme.com", "", "zh-Hans", None),
            (None, "acme.com", "", "", None),
        ] {
            let country = of(address, host, &line(text), Some(locale));
            assert_eq!(
                country.map(|country| country.to_string()).as_deref(),
                wanted,
                "{host} {locale}"
            );
        }
    }
}
