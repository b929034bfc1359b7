//! Profiles on social networks: which URLs are one, and which of several is the company's.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex_lite::{Regex, RegexBuilder};
use url::Url;

use super::owner;
use super::places::Place;
use crate::domain::organisation;

/// The longest host that there can be (RFC 1035), and the longest path of a profile, in bytes.
const MAX_HOST: usize = 253;
const MAX_PATH: usize = 300;
/// The most profiles of a page that are held against each other.
const MAX_CANDIDATES: usize = 200;

/// Profiles that builders and themes show until their customer says another.
const BUILDERS: &str = "\
    squarespace wix wixcom shopify wordpress wordpressdotcom wordpresscom webflow weebly ghost tryghost \
    jimdo godaddy elementor hubspot username yourusername yourcompany";

/// A network, and what a company's profile there looks like. What fits no form is no profile: legal and help
/// pages, posts, people where the network tells them apart, links that share, search or log in.
struct Network {
    name: &'static str,
    /// The registrable domains that profiles are on.
    domains: &'static [&'static str],
    /// What may stand before the domain: a pattern.
    hosts: &'static str,
    /// Paths of profiles: patterns, whose group is the profile's own name. In a group `weak` it is one only
    /// where it fits the company's name: the network keeps pages of its own in the same place.
    forms: &'static [&'static str],
    /// The last part of a path that shows another side of the same profile: a pattern.
    tabs: &'static str,
    /// Words in a profile's place that are the network's own pages.
    reserved: &'static str,
    /// What links to it are called.
    words: &'static [&'static str],
}

/// The networks. Where a form's source is public, it is named; else it is what the network's own links look like.
const NETWORKS: [Network; 15] = [
    // Pages of companies, schools and showcases, by name or number, as LinkedIn's help on Pages calls them.
    // `de.linkedin.com` is the same in another country; people (`/in/`) are no company.
    Network {
        name: "linkedin",
        domains: &["linkedin.com"],
        hosts: r"www|m|touch|[a-z]{2}",
        forms: &[r"(?:company|school|showcase|company-beta)/([^/]+)"],
        tabs: r"about|jobs|life(?:/\w+)?|people|posts|products|services|videos|events|insights|mycompany",
        reserved: "",
        words: &["linkedin"],
    },
    // Letters, digits and underscores, at most 15, by the network's help on user names. Its own words from its
    // web client.
    Network {
        name: "x",
        domains: &["x.com", "twitter.com"],
        hosts: r"www|m|mobile",
        forms: &[r"@?(\w{1,15})"],
        tabs: r"with_replies|media|followers|following",
        reserved: "404 about account compose download en explore favorites follower_requests goodies hashtag help home \
            i intent invitations jobs lists login logout mentions messages notifications oauth personalization \
            privacy rules search session sessions settings share signup status statuses tos twitterblue webview \
            welcome who_to_follow widgets your_twitter_data",
        words: &["x", "twitter"],
    },
    // https://www.facebook.com/help/105399436216001: letters, digits and periods; at least five today, older
    // ones have less. Pages without a name of their own: `Name-id`, `pages/Name/id`,
    // `pages/category/Kind/Name-id`, `people/Name/id`, `p/Name-id`, `profile.php?id=`.
    Network {
        name: "facebook",
        domains: &["facebook.com", "fb.com"],
        hosts: r"www|m|mbasic|touch|web|[a-z]{2}-[a-z]{2}",
        forms: &[
            r"profile\.php\?id=\d{1,20}",
            r"(?:pages|people)/([^/]+)/\d+",
            r"pages/category/[^/]+/([^/]+)",
            r"p/([^/]+)-\d+",
            r"(?:pg/)?([a-z0-9.]{2,60})",
            r"([^/?]+)-\d{5,}",
        ],
        tabs: r"about|community|events|likes|photos|posts|reviews|services|shop|timeline|videos",
        reserved: "about ads apps bookmarks business campaign careers community developers dialog directory donate \
            events fundraisers gaming groups hashtag help home jobs l legal lite live login marketplace me media \
            messages mobile notes notifications offers pages people permalink pg photo photos places plugins \
            policies policy posts privacy public r recover reel reels reg safety search security settings share \
            sharer signup stories story terms tr v video videos watch",
        words: &["facebook", "fb"],
    },
    // Letters, digits, periods and underscores, at most 30, as its form for user names takes them.
    Network {
        name: "instagram",
        domains: &["instagram.com"],
        hosts: r"www|m",
        forms: &[r"([a-z0-9_.]{1,30})"],
        tabs: r"reels|tagged",
        reserved: "a about accounts ads api archive blog challenge create developer direct directory download emails \
            explore graphql hashtag help integrity invites jobs legal lite locations nametag oauth p press \
            privacy reel reels s session settings share stories terms topics tv web your_activity",
        words: &["instagram", "insta", "ig"],
    },
    // https://support.google.com/youtube/answer/6180214: by ID, handle, custom name (`/c/Name`, also `/Name`)
    // and legacy user name. Handles: https://support.google.com/youtube/answer/11585688.
    Network {
        name: "youtube",
        domains: &["youtube.com"],
        hosts: r"www|m",
        forms: &[r"channel/UC[\w-]{22}", r"@((?:[\w.-]|%[0-9a-f]{2})+)", r"(?:c|user)/([^/]+)", r"(?P<weak>[\w-]+)"],
        tabs: r"about|channels|community|featured|live|playlists|podcasts|posts|shorts|streams|videos",
        reserved: "account ads attribution_link clip creators embed feed gaming handle hashtag howyoutubeworks jobs \
            kids live movies music news oembed opensearch paid_memberships playlist post premium redirect \
            results shorts signin sports studio subscription_center supported_browsers t trends tv upload v \
            watch yt",
        words: &["youtube", "yt"],
    },
    // Letters, digits and single hyphens, at most 39; reserved names from the npm package github-reserved-names
    // 2.2.0, what of it is a word for a page.
    Network {
        name: "github",
        domains: &["github.com"],
        hosts: r"www",
        forms: &[r"(?:orgs/)?([a-z0-9][a-z0-9-]{0,38})"],
        tabs: r"repositories",
        reserved: "about account admin advisories api apps articles auth billing blog business careers case-studies \
            categories changelog codespaces collections comments community companies contact contributing \
            copilot customer-stories customers dashboard developer discover discussions docs downloads edu \
            education enterprise enterprises events explore features feed gist git-guides github-copilot guides \
            help home hooks images integrations issues jobs join languages learn legal listings login logos \
            logout marketplace mcp mobile models network new news newsroom notifications open-source \
            organizations orgs pages partners plans popular premium-support press pricing privacy pulls raw \
            readme releases repos resources search security services session sessions settings shop showcases \
            signin signup site sitemap social-impact solutions sponsors stars status stories styleguide support \
            team teams terms topics tos tour training trending updates users watching why-github wiki",
        words: &["github"],
    },
    // https://support.tiktok.com/en/getting-started/setting-up-your-profile/changing-your-username
    Network {
        name: "tiktok",
        domains: &["tiktok.com"],
        hosts: r"www|m",
        forms: &[r"@([\w.]{2,24})"],
        tabs: "",
        reserved: "",
        words: &["tiktok"],
    },
    // 3 to 30 letters, digits and underscores, as its form for user names takes them. The same on the domains of its
    // countries.
    Network {
        name: "pinterest",
        domains: &[
            "pinterest.com",
            "pinterest.at",
            "pinterest.ca",
            "pinterest.ch",
            "pinterest.cl",
            "pinterest.co.kr",
            "pinterest.co.uk",
            "pinterest.com.au",
            "pinterest.com.mx",
            "pinterest.de",
            "pinterest.dk",
            "pinterest.es",
            "pinterest.fr",
            "pinterest.ie",
            "pinterest.it",
            "pinterest.jp",
            "pinterest.nz",
            "pinterest.ph",
            "pinterest.pt",
            "pinterest.se",
        ],
        hosts: r"www|[a-z]{2}",
        forms: &[r"(\w{3,30})"],
        tabs: r"_created|_saved|_shop|boards|pins",
        reserved: "about business categories discover explore ideas join login logout password pin pins resource search \
            settings shop shopping signup source today topics videos",
        words: &["pinterest"],
    },
    // Pages of companies, at their present and at their former place; people (`/profile/`) are no company.
    Network {
        name: "xing",
        domains: &["xing.com"],
        hosts: r"www",
        forms: &[r"(?:pages|companies|company)/([^/]+)"],
        tabs: r"about-us|about_us|employees|jobs|news|updates",
        reserved: "",
        words: &["xing"],
    },
    // Instagram's names.
    Network {
        name: "threads",
        domains: &["threads.net", "threads.com"],
        hosts: r"www",
        forms: &[r"@([a-z0-9_.]{1,30})"],
        tabs: r"replies|media|reposts",
        reserved: "",
        words: &["threads"],
    },
    // https://atproto.com/specs/handle and https://atproto.com/specs/did: a domain name, or a DID.
    Network {
        name: "bluesky",
        domains: &["bsky.app"],
        hosts: r"www",
        forms: &[r"profile/((?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*)", r"profile/did:(?:plc:[a-z2-7]{24}|web:[^/]+)"],
        tabs: "",
        reserved: "",
        words: &["bluesky", "bsky"],
    },
    // https://help.medium.com/hc/en-us/articles/360051364454: `@user`, `user.medium.com` (see `named_host`), and
    // publications without `@`.
    Network {
        name: "medium",
        domains: &["medium.com"],
        hosts: r"www",
        forms: &[r"@([\w.-]+)", r"([\w-]+)"],
        tabs: r"about|followers",
        reserved: "about business creators explore-topics feed gift jobs jobs-at-medium lists m me \
            medium-partner-program membership new-story p partner-program plans policy privacy search tag tags \
            terms topic topics verified-authors",
        words: &["medium"],
    },
    // Organizations, at their present and at their former place; people (`/person/`) are no company.
    Network {
        name: "crunchbase",
        domains: &["crunchbase.com"],
        hosts: r"www",
        forms: &[r"(?:organization|company)/([^/]+)"],
        tabs: r"company_overview|company_financials|people|technology|signals_and_news",
        reserved: "",
        words: &["crunchbase"],
    },
    // Names begin with a letter: a number is a video.
    Network {
        name: "vimeo",
        domains: &["vimeo.com"],
        hosts: r"www",
        forms: &[r"([a-z][\w-]*)"],
        tabs: r"videos|about",
        reserved: "about album api apps blog business categories channels cookie_policy create customers enterprise \
            event events explore feature features for-hire groups help home jobs join live log_in login logout \
            manage moogaloop news ondemand ott partners plus privacy pro resources search settings share \
            showcase showcases sign_up site_map solutions stats stock store tag terms tools tutorials upgrade \
            upload video videoschool watch",
        words: &["vimeo"],
    },
    // https://dev.vk.com/en/method/utils.resolveScreenName: a short name, or the kind with its number, of a page, a group or an
    // event. `id1` is a person. Short names have letters, digits, periods and underscores, 5 to 32.
    Network {
        name: "vk",
        domains: &["vk.com", "vk.ru", "vkontakte.ru"],
        hosts: r"www|m",
        forms: &[r"(?:public|club|event)\d{1,12}", r"([a-z][a-z0-9_.]{4,31})"],
        tabs: "",
        reserved: "about album albums apps audio audios away away.php bookmarks business clips docs edit events feed friends \
            gifts groups images jobs login login.php market menu music notifications oauth photos places podcasts policy \
            privacy promo restore search settings share share.php stickers support terms video videos wall widget \
            widgets write",
        words: &[
            "vk",
            "vkontakte",
            "\u{432}\u{43a}",
            "\u{432}\u{43a}\u{43e}\u{43d}\u{442}\u{430}\u{43a}\u{442}\u{435}",
        ],
    },
];

/// What has a place at vk.com by its number, or by two: people, apps, photos and the like.
const VK_OBJECTS: &str = "album albums app audio audios board clip doc gim id market note notes page photo photos sel topic video videos wall";

/// A network with its patterns made, of its hosts and of its profiles' paths.
struct Known {
    network: &'static Network,
    hosts: Regex,
    paths: Vec<Regex>,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let pattern = |text: &str| RegexBuilder::new(text).case_insensitive(true).build().ok();
    let known = NETWORKS.iter().filter_map(|network| {
        let paths = network
            .forms
            .iter()
            .filter_map(|form| pattern(&format!("^(?P<profile>{form})(?:/(?:{}))?$", network.tabs)));
        Some(Known { network, hosts: pattern(&format!(r"^(?:{})$", network.hosts))?, paths: paths.collect() })
    });
    known.collect()
});

/// The URL of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) network: &'static str,
    /// Without what only counts clicks or shows another side.
    pub(super) url: String,
    /// The profile's own name; empty where the network gave it a number.
    name: String,
    /// See [`Network::forms`].
    weak: bool,
}

impl Profile {
    /// The profile that a URL is of, if it is one.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let host = url.host_str().filter(|host| host.len() <= MAX_HOST)?;
        let domain = owner(host);
        let known = KNOWN.iter().find(|known| known.network.domains.contains(&domain))?;
        if !matches!(url.scheme(), "http" | "https") || url.port().is_some() || !url.username().is_empty() {
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
        let reserved = has(network.reserved, &word) || word.rsplit_once('.').is_some_and(|(_, end)| end == "php");
        let object = || word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        let reserved = reserved || (network.name == "vk" && object() != word && has(VK_OBJECTS, object()));
        if first.trim_start_matches('@') == name && reserved {
            return None;
        }
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        let url = format!("https://{host}/{}", found.name("profile")?.as_str());
        Some(Self { network: network.name, url, name, weak: weak.is_some() })
    }

    /// What it is called there.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is what a builder of sites sets where its customer has set nothing.
    pub(super) fn is_default(&self) -> bool {
        has(BUILDERS, &self.name.to_ascii_lowercase())
    }

    /// Whether it is the same profile, at whichever of the network's hosts.
    pub(super) fn same(&self, other: &Self) -> bool {
        let key = |url: &str| url.splitn(4, '/').nth(3).unwrap_or(url).trim_start_matches('@').to_lowercase();
        self.network == other.network && key(&self.url) == key(&other.url)
    }
}

/// The path without slashes at its ends, with `@` and the old `#!/` as they are meant, and the ID of `profile.php`.
fn path(url: &Url) -> Option<String> {
    let fragment = url.fragment().and_then(|f| f.strip_prefix("!/")).filter(|_| url.path() == "/");
    let parts = fragment.unwrap_or(url.path()).split('?').next().unwrap_or_default();
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

/// A profile at a host of its own: `acme.medium.com`.
fn named_host(network: &Network, host: &str, sub: &str) -> Option<Profile> {
    let own = ["api", "blog", "cdn", "help", "link", "m", "miro", "partner", "policy", "status", "www"];
    let named = !sub.is_empty() && !sub.contains('.') && !own.contains(&sub);
    named.then(|| Profile { network: network.name, url: format!("https://{host}"), name: sub.to_owned(), weak: false })
}

/// A link to a profile, with what the page says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) profile: Profile,
    pub(super) place: Place,
    /// The page says that it is its own: `rel="me"`, `twitter:site`.
    pub(super) own: bool,
    pub(super) label: String,
}

/// Weights of profiles whose name tells nothing. One of several of these is nobody's.
const UNFIT_OWN: u8 = 42;
const UNFIT_FRAME: u8 = 40;
const UNFIT_BODY: u8 = 20;

impl Candidate {
    /// How much speaks for it being the company's; nothing where too little does.
    fn weight(&self, names: &[String]) -> Option<u8> {
        let label = self.label();
        let mut fit = fit(&self.profile.name, names);
        if (self.profile.weak || self.profile.is_default()) && fit < 2 {
            return None;
        }
        if fit == 0 && label == Label::Mixed {
            let said = glued(&self.label);
            fit = names.iter().any(|name| name.chars().count() >= 4 && said.contains(name)).into();
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
            (Place::Body, 0) => matches!(label, Label::Network | Label::Blank).then_some(UNFIT_BODY),
        }
    }

    fn label(&self) -> Label {
        let said = self.label.to_lowercase();
        let words: Vec<&str> = said.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let network = NETWORKS.iter().find(|network| network.name == self.profile.network);
        let names = network.map_or(&[][..], |network| network.words);
        let is_name = |word: &&str| names.contains(word);
        let follows = FOLLOW.split(' ').any(|follow| said.contains(follow));
        let named = words.iter().any(|word| is_name(word) || has(FOLLOW, word));
        if named && words.iter().all(|word| is_name(word) || has(FILLERS, word) || has(FOLLOW, word)) {
            return Label::Network;
        }
        if words.concat().chars().count() <= 2 {
            return Label::Blank;
        }
        // Some languages set no space behind a name.
        let within = names.iter().any(|name| name.len() >= 5 && said.contains(name));
        if follows || within || words.iter().any(is_name) { Label::Mixed } else { Label::Other }
    }
}

/// What the text of a link says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// An icon, or a letter.
    Blank,
    /// The network's name and nobody else's.
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
/// Words around the network's name that name nobody.
const FILLERS: &str = "\
    a account an and at auf channel company connect find icon in join like link logo media new official \
    on opens our page profile social sur tab to us visit window with";

/// The company's profiles among those that its page links to, one of a network, in the page's order.
pub(super) fn choose(candidates: &[Candidate], names: &[String]) -> Vec<(&'static str, String)> {
    let weighed = candidates.iter().take(MAX_CANDIDATES).map(|candidate| (candidate, candidate.weight(names)));
    let weighed: Vec<(&Candidate, u8)> = weighed.filter_map(|(c, weight)| Some((c, weight?))).collect();
    let mut chosen: Vec<(&'static str, String)> = Vec::new();
    for (first, _) in &weighed {
        let network = first.profile.network;
        let of = || weighed.iter().filter(|(candidate, _)| candidate.profile.network == network);
        let Some(most) = of().map(|(_, weight)| *weight).max() else { continue };
        let mut best = of().filter(|(_, weight)| *weight == most).map(|(candidate, _)| &candidate.profile);
        let Some(profile) = best.next() else { continue };
        let told_apart = ![UNFIT_OWN, UNFIT_FRAME, UNFIT_BODY].contains(&most) || best.all(|other| other.same(profile));
        if told_apart && !chosen.iter().any(|(known, _)| *known == network) {
            chosen.push((network, profile.url.clone()));
        }
    }
    chosen
}

/// A company's names as a profile may spell them: its domain's first part, and what it is called.
pub(super) fn names<'a>(domain: &str, called: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let label = domain.split('.').next().unwrap_or_default();
    let spelled = called.into_iter().flat_map(organisation::spellings).map(|words| words.concat());
    let mut names: Vec<String> = std::iter::once(glued(label)).chain(spelled).filter(|name| !name.is_empty()).collect();
    names.dedup();
    names
}

/// Whether a list of words has this one.
fn has(words: &str, word: &str) -> bool {
    words.split(' ').any(|known| known == word)
}

fn glued(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How well a profile's own name fits: 3 it is one of the names, 2 it has one within or is within one, 0 it does not.
fn fit(profile: &str, names: &[String]) -> u8 {
    let whole = glued(profile);
    if whole.is_empty() {
        return 0;
    }
    let profile = profile.to_lowercase();
    let has_word = |name: &String| profile.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
    let one = |name: &String| {
        let length = |text: &str| text.chars().count();
        let (short, long) = if length(name) < length(&whole) { (name, &whole) } else { (&whole, name) };
        let at_end = length(short) >= 4 && (long.starts_with(short.as_str()) || long.ends_with(short.as_str()));
        match (name == &whole, at_end || has_word(name) || (length(short) >= 5 && long.contains(short.as_str()))) {
            (true, _) => 3,
            (_, true) => 2,
            _ => 0,
        }
    };
    names.iter().map(one).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;
