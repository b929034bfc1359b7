//! The place of a link on a page: in the site's own frame, in the text, or in a part about others.

/// The part of a page, as far as the page says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Body,
    /// The site's header, footer or navigation, or its list of own profiles.
    Frame,
    /// A quotation, a customer's story, a member of the team: a profile here is theirs.
    Others,
}

/// Elements that make a part of a page. Others, such as `<b>`, change nothing.
const PARTS: &str = "address article aside blockquote div figure footer form header li main nav ol \
                     p section span td tr ul";
/// The most depth; deeper elements count as part of the last one within.
const MAX_DEPTH: usize = 256;
/// The longest `class` and the like that is read, in bytes.
const MAX_MARK: usize = 1_024;

/// Words of classes and ids that themes and builders give to the frame and to lists of profiles.
const FRAME: &str = "header footer nav navbar navigation topbar masthead contentinfo colophon";
const SOCIAL: &str = "social socials follow followus";
/// With these a header or footer is that of a part: `entry-header`, `card-footer`.
const PARTIAL: &str = "entry post posts card article section panel modal table";
/// Words for parts about others.
const OTHERS: &str = "\
    testimonial testimonials quote quotes blockquote tweet tweets review reviews customer \
    customers client clients team member members author authors byline staff speaker speakers \
    founder founders partner partners sponsor sponsors";

/// Words for the site's own mark.
const LOGO: &str = "logo logotype wordmark";
/// Words for pictures that are not the site's own logo, and those that are so beside a word for
/// logos: `logo-wall`.
const NO_LOGO: &str = "\
    logos press payment payments seal seals trust trusted badge badges award awards certificates \
    flag flags lang language languages search";
const MANY: &str = "wall grid cloud strip carousel slider marquee list";

/// The attributes of a tag that describe its part.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks<'a> {
    pub(super) role: &'a str,
    /// `class` and `id`.
    pub(super) names: [&'a str; 2],
}

/// The parts that are open.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: Vec<(&'static str, Part)>,
    /// The open elements beyond those that are kept.
    deeper: usize,
}

/// The facts about a part.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a mark of its own, and any may go with any"
)]
pub(super) struct Part {
    pub(super) place: Place,
    /// Set if it is marked as a logo, or is in such a part.
    pub(super) logo: bool,
    /// Set if pictures here are never the site's own logo.
    pub(super) no_logo: bool,
    /// Set if it is the site's footer, or in it.
    pub(super) footer: bool,
    /// An article has a header and a footer of its own, and so have sections (HTML, section 4.3.8).
    own_frame: bool,
}

impl Places {
    pub(super) fn open(&mut self, name: &[u8], marks: Marks<'_>) {
        let Some(name) = PARTS.split(' ').find(|part| part.as_bytes() == name) else {
            return;
        };
        // `<p>` and `<li>` end where the next one begins, closed or not.
        if self.open.last().is_some_and(|(last, _)| {
            *last == "p" && name != "span" || (*last, name) == ("li", "li")
        }) {
            self.open.pop();
        }
        if self.open.len() >= MAX_DEPTH {
            self.deeper += 1;
            return;
        }
        let part = self.inside(name, marks);
        self.open.push((name, part));
    }

    pub(super) fn close(&mut self, name: &[u8]) {
        if !PARTS.split(' ').any(|part| part.as_bytes() == name) {
            return;
        }
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(at) = self
            .open
            .iter()
            .rposition(|(open, _)| open.as_bytes() == name)
        {
            self.open.truncate(at);
        }
    }

    /// Returns whether one of this name is open.
    pub(super) fn is_in(&self, name: &str) -> bool {
        self.open.iter().any(|(open, _)| *open == name)
    }

    /// Returns the part of an element without parts, such as `<a>`, with its own marks.
    pub(super) fn part(&self, marks: Marks<'_>) -> Part {
        self.inside("", marks)
    }

    fn inside(&self, name: &str, marks: Marks<'_>) -> Part {
        let outer = self.open.last().map(|(_, part)| *part).unwrap_or_default();
        let own_frame = outer.own_frame || matches!(name, "article" | "section");
        let framed = match name {
            "header" | "footer" | "nav" => !outer.own_frame,
            _ => matches!(marks.role, "banner" | "contentinfo" | "navigation"),
        };
        let (mut says_frame, mut says_others, mut logo) =
            (framed, name == "blockquote", outer.logo);
        let mut no_logo = outer.no_logo;
        let mut footer = outer.footer || name == "footer" || marks.role == "contentinfo";
        for name in marks
            .names
            .iter()
            .filter(|n| n.len() <= MAX_MARK)
            .flat_map(|names| names.split_whitespace())
        {
            let words = words(name);
            let any = |of: &str| {
                of.split(' ')
                    .any(|known| words.iter().any(|word| word == known))
            };
            says_others |= any(OTHERS);
            logo |= any(LOGO);
            no_logo |= any(NO_LOGO) || (any(LOGO) && any(MANY));
            footer |= any("footer colophon contentinfo") && !any(PARTIAL);
            says_frame |= any(SOCIAL) || (any(FRAME) && !any(PARTIAL) && !outer.own_frame);
        }
        let place = match outer.place {
            Place::Others => Place::Others,
            _ if says_others => Place::Others,
            _ if says_frame => Place::Frame,
            place => place,
        };
        Part {
            place,
            logo,
            no_logo,
            footer,
            own_frame,
        }
    }
}

/// Returns the words of a class or id: `siteFooter__social-links` has four.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (small && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        small = c.is_ascii_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::html::Document;
    use super::*;

    fn places(html: &str) -> Vec<Place> {
        Document::read(html)
            .anchors
            .iter()
            .map(|anchor| anchor.place)
            .collect()
    }

    #[test]
    fn a_link_stands_where_the_page_says() {
        use Place::{Body, Frame, Others};
        for (html, wanted) in [
            (
                "<header><a href=/x></a></header><a href=/x></a><footer><p>\
                 <a href=/x></a></footer>",
                vec![Frame, Body, Frame],
            ),
            (
                "<div id=SITE_FOOTER><div><a href=/x></a></div></div><a href=/x></a>",
                vec![Frame, Body],
            ),
            ("<div role=contentinfo><a href=/x></a></div>", vec![Frame]),
            (
                "<div class='col siteFooter__links'><a href=/x></a></div>",
                vec![Frame],
            ),
            (
                "<ul class=wp-block-social-links><li><a href=/x></a><li><a href=/x></a></ul>",
                vec![Frame, Frame],
            ),
            (
                "<main><a class='icon social-link' href=/x></a></main>",
                vec![Frame],
            ),
            (
                "<article><header><a href=/x></a></header></article><nav><a href=/x></a></nav>",
                vec![Body, Frame],
            ),
            (
                "<div class=card-footer><a href=/x></a></div><div class=entry-header>\
                 <a href=/x></a></div>",
                vec![Body, Body],
            ),
            (
                "<blockquote class=twitter-tweet><a href=/x></a></blockquote><a href=/x></a>",
                vec![Others, Body],
            ),
            (
                "<blockquote>So good<footer><a href=/x></a></footer></blockquote>",
                vec![Others],
            ),
            (
                "<div class=testimonials><ul class=social><li><a href=/x></a></ul></div>",
                vec![Others],
            ),
            (
                "<ul><li class=team-member><a href=/x></a><li><a href=/x></a></ul>",
                vec![Others, Body],
            ),
            (
                "<p class=quote><a href=/x></a><p><a href=/x></a>",
                vec![Others, Body],
            ),
            (
                "</div></footer><footer></p></nav><a href=/x></a>",
                vec![Frame],
            ),
        ] {
            assert_eq!(places(html), wanted, "{html}");
        }
    }

    #[test]
    fn deep_and_broken_pages_are_bounded() {
        let deep = format!(
            "{}<a href=/x></a>{}<a href=/x></a>",
            "<div class=footer>".repeat(50_000),
            "</div>".repeat(50_000)
        );
        assert_eq!(places(&deep), [Place::Frame, Place::Body]);
        assert_eq!(
            places(&format!(
                "{}<a href=/x></a>",
                "</div><p></li>".repeat(50_000)
            )),
            [Place::Body]
        );
    }
}
