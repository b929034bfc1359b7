//! Profiles on social networks: recognises their URLs, and chooses the company's among several.

mod networks;

use percent_encoding::percent_decode_str;
use url::Url;

use self::networks::{COMPILED, NETWORKS, Network, VK_OBJECTS};
use super::owner;
use super::places::Place;
use crate::domain::organisation;

/// The longest host (RFC 1035), and the longest path of a profile, in bytes.
const MAX_HOST: usize = 253;
const MAX_PATH: usize = 300;
/// The most profiles of a page that are compared.
const MAX_CANDIDATES: usize = 200;

/// Profiles that builders and themes show until their customer sets another.
const BUILDERS: &str = "\
    squarespace wix wixcom shopify wordpress wordpressdotcom wordpresscom webflow weebly ghost \
    tryghost jimdo godaddy elementor hubspot username yourusername yourcompany";

/// The URL of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) network: &'static str,
    /// The URL without parameters that only count clicks or show another side.
    pub(super) url: String,
    /// The profile's own name; empty if the network gave it a number.
    name: String,
    /// See [`Network::forms`].
    weak: bool,
}

impl Profile {
    /// Returns the profile that a URL is of, if it is one.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let host = url.host_str().filter(|host| host.len() <= MAX_HOST)?;
        let domain = owner(host);
        let known = COMPILED
            .iter()
            .find(|known| known.network.domains.contains(&domain))?;
        if !matches!(url.scheme(), "http" | "https")
            || url.port().is_some()
            || !url.username().is_empty()
        {
            return None;
        }
        let network = known.network;
        let path = path(url)?;
        let sub = host.strip_suffix(domain)?.trim_end_matches('.');
        if network.name == "medium" && path.is_empty() {
            return named_host(network, host, sub);
        }
        if !(sub.is_empty() || known.hosts.is_match(sub)) {
            return None;
        }
        let found = known.paths.iter().find_map(|form| form.captures(&path))?;
        let weak = found.name("weak");
        // The first group is the whole profile's.
        let name = found.get(2).map_or("", |name| name.as_str());
        let first = path.split('/').next().unwrap_or_default();
        let word = name.to_ascii_lowercase();
        let reserved = has(network.reserved, &word)
            || word.rsplit_once('.').is_some_and(|(_, end)| end == "php");
        let object = || word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        let reserved =
            reserved || (network.name == "vk" && object() != word && has(VK_OBJECTS, object()));
        if first.trim_start_matches('@') == name && reserved {
            return None;
        }
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        let url = format!("https://{host}/{}", found.name("profile")?.as_str());
        Some(Self {
            network: network.name,
            url,
            name,
            weak: weak.is_some(),
        })
    }

    /// Returns its name there.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether it is the default of a builder of sites.
    pub(super) fn is_default(&self) -> bool {
        has(BUILDERS, &self.name.to_ascii_lowercase())
    }

    /// Returns whether it is the same profile, at any of the network's hosts.
    pub(super) fn same(&self, other: &Self) -> bool {
        let key = |url: &str| {
            url.splitn(4, '/')
                .nth(3)
                .unwrap_or(url)
                .trim_start_matches('@')
                .to_lowercase()
        };
        self.network == other.network && key(&self.url) == key(&other.url)
    }
}

/// Returns the path without slashes at its ends, with `@` and the old `#!/` resolved, and with the
/// ID of `profile.php`.
fn path(url: &Url) -> Option<String> {
    let fragment = url
        .fragment()
        .and_then(|f| f.strip_prefix("!/"))
        .filter(|_| url.path() == "/");
    let parts = fragment
        .unwrap_or(url.path())
        .split('?')
        .next()
        .unwrap_or_default();
    if parts.len() > MAX_PATH {
        return None;
    }
    let parts: Vec<&str> = parts.split('/').filter(|part| !part.is_empty()).collect();
    let mut path = parts.join("/").replace("%40", "@");
    if path.eq_ignore_ascii_case("profile.php") {
        let (_, id) = url.query_pairs().find(|(name, _)| name == "id")?;
        path = format!("profile.php?id={id}");
    }
    Some(path)
}

/// Returns a profile at a host of its own: `acme.medium.com`.
fn named_host(network: &Network, host: &str, sub: &str) -> Option<Profile> {
    let own = [
        "api", "blog", "cdn", "help", "link", "m", "miro", "partner", "policy", "status", "www",
    ];
    let named = !sub.is_empty() && !sub.contains('.') && !own.contains(&sub);
    named.then(|| Profile {
        network: network.name,
        url: format!("https://{host}"),
        name: sub.to_owned(),
        weak: false,
    })
}

/// A link to a profile, with the page's signs about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) profile: Profile,
    pub(super) place: Place,
    /// Set if the page says that it is its own: `rel="me"`, `twitter:site`.
    pub(super) own: bool,
    pub(super) label: String,
}

/// Weights of profiles whose name does not fit. If there are several of these, none is the
/// company's.
const UNFIT_OWN: u8 = 42;
const UNFIT_FRAME: u8 = 40;
const UNFIT_BODY: u8 = 20;

impl Candidate {
    /// Returns the weight of the evidence that it is the company's; `None` if it is too little.
    fn weight(&self, names: &[String]) -> Option<u8> {
        let label = self.label();
        let mut fit = fit(&self.profile.name, names);
        if (self.profile.weak || self.profile.is_default()) && fit < 2 {
            return None;
        }
        if fit == 0 && label == Label::Mixed {
            let said = glued(&self.label);
            fit = names
                .iter()
                .any(|name| name.chars().count() >= 4 && said.contains(name))
                .into();
        }
        match (self.place, fit) {
            (Place::Others, 3) => Some(10),
            (Place::Others, _) => None,
            (_, 1..) if self.own => Some(60 + fit),
            (Place::Frame, 1..) => Some(50 + fit),
            (Place::Body, 3) => Some(45),
            _ if self.own => Some(UNFIT_OWN),
            (Place::Frame, 0) => (label != Label::Other).then_some(UNFIT_FRAME),
            (Place::Body, 1..) => Some(30 + fit),
            (Place::Body, 0) => {
                matches!(label, Label::Network | Label::Blank).then_some(UNFIT_BODY)
            }
        }
    }

    fn label(&self) -> Label {
        let said = self.label.to_lowercase();
        let words: Vec<&str> = said
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let network = NETWORKS
            .iter()
            .find(|network| network.name == self.profile.network);
        let names = network.map_or(&[][..], |network| network.words);
        let is_name = |word: &&str| names.contains(word);
        let follows = FOLLOW.split(' ').any(|follow| said.contains(follow));
        let named = words.iter().any(|word| is_name(word) || has(FOLLOW, word));
        if named
            && words
                .iter()
                .all(|word| is_name(word) || has(FILLERS, word) || has(FOLLOW, word))
        {
            return Label::Network;
        }
        if words.concat().chars().count() <= 2 {
            return Label::Blank;
        }
        // Some languages have no space behind a name.
        let within = names
            .iter()
            .any(|name| name.len() >= 5 && said.contains(name));
        if follows || within || words.iter().any(is_name) {
            Label::Mixed
        } else {
            Label::Other
        }
    }
}

/// The words of a link's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// An icon, or a letter.
    Blank,
    /// The network's name alone.
    Network,
    /// The network's name, or an invitation to follow, among other words.
    Mixed,
    Other,
}

/// Invitations to follow, in the largest languages of the web.
const FOLLOW: &str = "\
    follow folge suivez suivre sigue s\u{ed}gue siga segui volg \
    \u{43f}\u{43e}\u{434}\u{43f}\u{438}\u{441} \u{30d5}\u{30a9}\u{30ed}\u{30fc} \u{5173}\u{6ce8} \
    \u{95dc}\u{6ce8} \u{d314}\u{b85c}\u{c6b0} \u{62a}\u{627}\u{628}\u{639} takip";
/// Words around the network's name that are not names.
const FILLERS: &str = "\
    a account an and at auf channel company connect find icon in join like link logo media new \
    official on opens our page profile social sur tab to us visit window with";

/// Returns the company's profiles among those that its page links to, one of a network, in the
/// page's order.
pub(super) fn choose(candidates: &[Candidate], names: &[String]) -> Vec<(&'static str, String)> {
    let weighed = candidates
        .iter()
        .take(MAX_CANDIDATES)
        .map(|candidate| (candidate, candidate.weight(names)));
    let weighed: Vec<(&Candidate, u8)> = weighed
        .filter_map(|(c, weight)| Some((c, weight?)))
        .collect();
    let mut chosen: Vec<(&'static str, String)> = Vec::new();
    for (first, _) in &weighed {
        let network = first.profile.network;
        let of = || {
            weighed
                .iter()
                .filter(|(candidate, _)| candidate.profile.network == network)
        };
        let Some(most) = of().map(|(_, weight)| *weight).max() else {
            continue;
        };
        let mut best = of()
            .filter(|(_, weight)| *weight == most)
            .map(|(candidate, _)| &candidate.profile);
        let Some(profile) = best.next() else { continue };
        let told_apart = ![UNFIT_OWN, UNFIT_FRAME, UNFIT_BODY].contains(&most)
            || best.all(|other| other.same(profile));
        if told_apart && !chosen.iter().any(|(known, _)| *known == network) {
            chosen.push((network, profile.url.clone()));
        }
    }
    chosen
}

/// Returns a company's names as a profile may spell them: its domain's first part, and its names.
pub(super) fn names<'a>(domain: &str, called: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let label = domain.split('.').next().unwrap_or_default();
    let spelled = called
        .into_iter()
        .flat_map(organisation::spellings)
        .map(|words| words.concat());
    let mut names: Vec<String> = std::iter::once(glued(label))
        .chain(spelled)
        .filter(|name| !name.is_empty())
        .collect();
    names.dedup();
    names
}

/// Returns whether a list of words has this one.
fn has(words: &str, word: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

fn glued(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns the fit of a profile's own name: 3 if it is one of the names, 2 if it contains one or is
/// within one, else 0.
fn fit(profile: &str, names: &[String]) -> u8 {
    let whole = glued(profile);
    if whole.is_empty() {
        return 0;
    }
    let profile = profile.to_lowercase();
    let has_word = |name: &String| {
        profile
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == name)
    };
    let one = |name: &String| {
        let length = |text: &str| text.chars().count();
        let (short, long) = if length(name) < length(&whole) {
            (name, &whole)
        } else {
            (&whole, name)
        };
        let at_end = length(short) >= 4
            && (long.starts_with(short.as_str()) || long.ends_with(short.as_str()));
        match (
            name == &whole,
            at_end || has_word(name) || (length(short) >= 5 && long.contains(short.as_str())),
        ) {
            (true, _) => 3,
            (_, true) => 2,
            _ => 0,
        }
    };
    names.iter().map(one).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
