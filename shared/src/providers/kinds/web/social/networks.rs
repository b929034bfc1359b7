//! The networks, and the form of a company's profile on each.

use std::sync::LazyLock;

use regex_lite::{Regex, RegexBuilder};

/// A network, and the form of a company's profile there. Any other URL is not a profile: legal and
/// help pages, posts, people if the network distinguishes them, links that share, search or log in.
pub(super) struct Network {
    pub(super) name: &'static str,
    /// The registrable domains that profiles are on.
    pub(super) domains: &'static [&'static str],
    /// The pattern of the part before the domain.
    pub(super) hosts: &'static str,
    /// Paths of profiles: patterns, whose group is the profile's own name. In a group `weak` it is
    /// one only if it fits the company's name: the network has pages of its own in the same place.
    pub(super) forms: &'static [&'static str],
    /// The last part of a path that shows another side of the same profile: a pattern.
    pub(super) tabs: &'static str,
    /// Words in a profile's place that are the network's own pages.
    pub(super) reserved: &'static str,
    /// The words of links to it.
    pub(super) words: &'static [&'static str],
}

/// The networks. A form's public source is named; otherwise the form is that of the network's own
/// links.
pub(super) const NETWORKS: [Network; 15] = [
    // Pages of companies, schools and showcases, by name or number, as LinkedIn's help on Pages
    // calls them. `de.linkedin.com` is the same in another country; people (`/in/`) are no company.
    Network {
        name: "linkedin",
        domains: &["linkedin.com"],
        hosts: r"www|m|touch|[a-z]{2}",
        forms: &[r"(?:company|school|showcase|company-beta)/([^/]+)"],
        tabs: concat!(
            r"about|jobs|life(?:/\w+)?|people|posts|products|services|videos|events|insights",
            "|mycompany"
        ),
        reserved: "",
        words: &["linkedin"],
    },
    // Letters, digits and underscores, at most 15, by the network's help on user names. Its own
    // words from its web client.
    Network {
        name: "x",
        domains: &["x.com", "twitter.com"],
        hosts: r"www|m|mobile",
        forms: &[r"@?(\w{1,15})"],
        tabs: r"with_replies|media|followers|following",
        reserved: "404 about account compose download en explore favorites follower_requests \
                   goodies hashtag help home i intent invitations jobs lists login logout mentions \
                   messages notifications oauth personalization privacy rules search session \
                   sessions settings share signup status statuses tos twitterblue webview welcome \
                   who_to_follow widgets your_twitter_data",
        words: &["x", "twitter"],
    },
    // https://www.facebook.com/help/105399436216001: letters, digits and periods; at least five
    // today, older ones have less. Pages without a name of their own: `Name-id`, `pages/Name/id`,
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
        reserved: "about ads apps bookmarks business campaign careers community developers dialog \
                   directory donate events fundraisers gaming groups hashtag help home jobs l \
                   legal lite live login marketplace me media messages mobile notes notifications \
                   offers pages people permalink pg photo photos places plugins policies policy \
                   posts privacy public r recover reel reels reg safety search security settings \
                   share sharer signup stories story terms tr v video videos watch",
        words: &["facebook", "fb"],
    },
    // Letters, digits, periods and underscores, at most 30, as its form for user names takes them.
    Network {
        name: "instagram",
        domains: &["instagram.com"],
        hosts: r"www|m",
        forms: &[r"([a-z0-9_.]{1,30})"],
        tabs: r"reels|tagged",
        reserved: "a about accounts ads api archive blog challenge create developer direct \
                   directory download emails explore graphql hashtag help integrity invites jobs \
                   legal lite locations nametag oauth p press privacy reel reels s session \
                   settings share stories terms topics tv web your_activity",
        words: &["instagram", "insta", "ig"],
    },
    // https://support.google.com/youtube/answer/6180214: by ID, handle, custom name (`/c/Name`,
    // also `/Name`) and legacy user name. Handles:
    // https://support.google.com/youtube/answer/11585688.
    Network {
        name: "youtube",
        domains: &["youtube.com"],
        hosts: r"www|m",
        forms: &[
            r"channel/UC[\w-]{22}",
            r"@((?:[\w.-]|%[0-9a-f]{2})+)",
            r"(?:c|user)/([^/]+)",
            r"(?P<weak>[\w-]+)",
        ],
        tabs: "about|channels|community|featured|live|playlists|podcasts|posts|shorts|streams|\
               videos",
        reserved: "account ads attribution_link clip creators embed feed gaming handle hashtag \
                   howyoutubeworks jobs kids live movies music news oembed opensearch \
                   paid_memberships playlist post premium redirect results shorts signin sports \
                   studio subscription_center supported_browsers t trends tv upload v watch yt",
        words: &["youtube", "yt"],
    },
    // Letters, digits and single hyphens, at most 39; reserved names from the npm package
    // github-reserved-names 2.2.0, what of it is a word for a page.
    Network {
        name: "github",
        domains: &["github.com"],
        hosts: r"www",
        forms: &[r"(?:orgs/)?([a-z0-9][a-z0-9-]{0,38})"],
        tabs: r"repositories",
        reserved: "about account admin advisories api apps articles auth billing blog business \
                   careers case-studies categories changelog codespaces collections comments \
                   community companies contact contributing copilot customer-stories customers \
                   dashboard developer discover discussions docs downloads edu education \
                   enterprise enterprises events explore features feed gist git-guides \
                   github-copilot guides help home hooks images integrations issues jobs join \
                   languages learn legal listings login logos logout marketplace mcp mobile models \
                   network new news newsroom notifications open-source organizations orgs pages \
                   partners plans popular premium-support press pricing privacy pulls raw readme \
                   releases repos resources search security services session sessions settings \
                   shop showcases signin signup site sitemap social-impact solutions sponsors \
                   stars status stories styleguide support team teams terms topics tos tour \
                   training trending updates users watching why-github wiki",
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
    // 3 to 30 letters, digits and underscores, as its form for user names takes them. The same on
    // the domains of its countries.
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
        reserved: "about business categories discover explore ideas join login logout password pin \
                   pins resource search settings shop shopping signup source today topics videos",
        words: &["pinterest"],
    },
    // Pages of companies, at their present and at their former place; people (`/profile/`) are no
    // company.
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
        forms: &[
            r"profile/((?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*)",
            r"profile/did:(?:plc:[a-z2-7]{24}|web:[^/]+)",
        ],
        tabs: "",
        reserved: "",
        words: &["bluesky", "bsky"],
    },
    // https://help.medium.com/hc/en-us/articles/360051364454: `@user`, `user.medium.com` (see
    // `named_host`), and publications without `@`.
    Network {
        name: "medium",
        domains: &["medium.com"],
        hosts: r"www",
        forms: &[r"@([\w.-]+)", r"([\w-]+)"],
        tabs: r"about|followers",
        reserved: "about business creators explore-topics feed gift jobs jobs-at-medium lists m me \
                   medium-partner-program membership new-story p partner-program plans policy \
                   privacy search tag tags terms topic topics verified-authors",
        words: &["medium"],
    },
    // Organizations, at their present and at their former place; people (`/person/`) are no
    // company.
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
        reserved: "about album api apps blog business categories channels cookie_policy create \
                   customers enterprise event events explore feature features for-hire groups help \
                   home jobs join live log_in login logout manage moogaloop news ondemand ott \
                   partners plus privacy pro resources search settings share showcase showcases \
                   sign_up site_map solutions stats stock store tag terms tools tutorials upgrade \
                   upload video videoschool watch",
        words: &["vimeo"],
    },
    // https://dev.vk.com/en/method/utils.resolveScreenName: a short name, or the kind with its
    // number, of a page, a group or an event. `id1` is a person. Short names have letters, digits,
    // periods and underscores, 5 to 32.
    Network {
        name: "vk",
        domains: &["vk.com", "vk.ru", "vkontakte.ru"],
        hosts: r"www|m",
        forms: &[r"(?:public|club|event)\d{1,12}", r"([a-z][a-z0-9_.]{4,31})"],
        tabs: "",
        reserved: "about album albums apps audio audios away away.php bookmarks business clips \
                   docs edit events feed friends gifts groups images jobs login login.php market \
                   menu music notifications oauth photos places podcasts policy privacy promo \
                   restore search settings share share.php stickers support terms video videos \
                   wall widget widgets write",
        words: &[
            "vk",
            "vkontakte",
            "\u{432}\u{43a}",
            "\u{432}\u{43a}\u{43e}\u{43d}\u{442}\u{430}\u{43a}\u{442}\u{435}",
        ],
    },
];

/// Words before a number, or two, for other objects of vk.com: people, apps, photos and the like.
pub(super) const VK_OBJECTS: &str = "album albums app audio audios board clip doc gim id market \
                                     note notes page photo photos sel topic video videos wall";

/// A network with its patterns compiled, of its hosts and of its profiles' paths.
pub(super) struct CompiledNetwork {
    pub(super) network: &'static Network,
    pub(super) hosts: Regex,
    pub(super) paths: Vec<Regex>,
}

pub(super) static COMPILED: LazyLock<Vec<CompiledNetwork>> = LazyLock::new(|| {
    let pattern = |text: &str| RegexBuilder::new(text).case_insensitive(true).build().ok();
    let known = NETWORKS.iter().filter_map(|network| {
        let paths = network.forms.iter().filter_map(|form| {
            pattern(&format!("^(?P<profile>{form})(?:/(?:{}))?$", network.tabs))
        });
        Some(CompiledNetwork {
            network,
            hosts: pattern(&format!(r"^(?:{})$", network.hosts))?,
            paths: paths.collect(),
        })
    });
    known.collect()
});
