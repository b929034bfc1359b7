use super::super::html::Document;
use super::super::links::{PageLinks, base};
use super::*;

fn of(url: &str) -> Option<String> {
    Profile::of(&Url::parse(url).unwrap())
        .map(|profile| format!("{} {}", profile.network, profile.url))
}

#[test]
fn documented_forms_are_profiles() {
    for (url, wanted) in [
        (
            "http://linkedin.com/company/acme/?trk=x",
            "linkedin https://linkedin.com/company/acme",
        ),
        (
            "https://www.linkedin.com/company/acme/about/",
            "linkedin https://www.linkedin.com/company/acme",
        ),
        (
            "https://www.linkedin.com/company/12345",
            "linkedin https://www.linkedin.com/company/12345",
        ),
        (
            "https://de.linkedin.com/school/technische-universität",
            "linkedin https://de.linkedin.com/school/technische-universit%C3%A4t",
        ),
        (
            "https://www.linkedin.com/showcase/acme-cloud/",
            "linkedin https://www.linkedin.com/showcase/acme-cloud",
        ),
        (
            "https://twitter.com/acme?lang=de",
            "x https://twitter.com/acme",
        ),
        (
            "https://mobile.twitter.com/Acme_1/",
            "x https://mobile.twitter.com/Acme_1",
        ),
        ("https://twitter.com/#!/acme", "x https://twitter.com/acme"),
        ("https://x.com/@acme", "x https://x.com/@acme"),
        (
            "https://www.facebook.com/acme.anvils/?ref=hl",
            "facebook https://www.facebook.com/acme.anvils",
        ),
        (
            "https://m.facebook.com/acme",
            "facebook https://m.facebook.com/acme",
        ),
        (
            "https://de-de.facebook.com/acme/about",
            "facebook https://de-de.facebook.com/acme",
        ),
        ("https://fb.com/acme", "facebook https://fb.com/acme"),
        (
            "https://www.facebook.com/profile.php?ref=x&id=100064",
            "facebook https://www.facebook.com/profile.php?id=100064",
        ),
        (
            "https://www.facebook.com/pages/Acme-Anvils/1234567",
            "facebook https://www.facebook.com/pages/Acme-Anvils/1234567",
        ),
        (
            "https://www.facebook.com/pages/category/Shop/Acme-1234567/",
            "facebook https://www.facebook.com/pages/category/Shop/Acme-1234567",
        ),
        (
            "https://www.facebook.com/p/Acme-Anvils-61550000000000/",
            "facebook https://www.facebook.com/p/Acme-Anvils-61550000000000",
        ),
        (
            "https://www.facebook.com/people/Acme/61550000000000",
            "facebook https://www.facebook.com/people/Acme/61550000000000",
        ),
        (
            "https://www.facebook.com/Acme-Anvils-123456789",
            "facebook https://www.facebook.com/Acme-Anvils-123456789",
        ),
        (
            "https://www.facebook.com/pg/acme/posts/",
            "facebook https://www.facebook.com/pg/acme",
        ),
        (
            "https://www.instagram.com/acme.anvils/?hl=en",
            "instagram https://www.instagram.com/acme.anvils",
        ),
        (
            "https://www.youtube.com/@acme-anvils/videos",
            "youtube https://www.youtube.com/@acme-anvils",
        ),
        (
            "https://www.youtube.com/%40acme",
            "youtube https://www.youtube.com/@acme",
        ),
        (
            "https://www.youtube.com/channel/UCUZHFZ9jIKrLroW8LcyJEQQ?sub_confirmation=1",
            "youtube https://www.youtube.com/channel/UCUZHFZ9jIKrLroW8LcyJEQQ",
        ),
        (
            "https://m.youtube.com/c/AcmeAnvils",
            "youtube https://m.youtube.com/c/AcmeAnvils",
        ),
        (
            "https://www.youtube.com/user/acme/featured",
            "youtube https://www.youtube.com/user/acme",
        ),
        (
            "https://www.youtube.com/acme",
            "youtube https://www.youtube.com/acme",
        ),
        (
            "https://github.com/acme-labs",
            "github https://github.com/acme-labs",
        ),
        (
            "https://github.com/orgs/acme/repositories",
            "github https://github.com/orgs/acme",
        ),
        (
            "https://www.tiktok.com/@acme.co?lang=en",
            "tiktok https://www.tiktok.com/@acme.co",
        ),
        (
            "https://www.pinterest.co.uk/acme_uk/",
            "pinterest https://www.pinterest.co.uk/acme_uk",
        ),
        (
            "https://de.pinterest.com/acme/_saved/",
            "pinterest https://de.pinterest.com/acme",
        ),
        (
            "https://www.xing.com/pages/acmegmbh",
            "xing https://www.xing.com/pages/acmegmbh",
        ),
        (
            "https://www.threads.com/@acme",
            "threads https://www.threads.com/@acme",
        ),
        (
            "https://bsky.app/profile/acme.example",
            "bluesky https://bsky.app/profile/acme.example",
        ),
        (
            "https://bsky.app/profile/did:plc:z72i7hdynmk6r22z27h6tvur",
            "bluesky https://bsky.app/profile/did:plc:z72i7hdynmk6r22z27h6tvur",
        ),
        (
            "https://medium.com/@acme",
            "medium https://medium.com/@acme",
        ),
        (
            "https://medium.com/acme-engineering/",
            "medium https://medium.com/acme-engineering",
        ),
        (
            "https://acme.medium.com/?source=x",
            "medium https://acme.medium.com",
        ),
        (
            "https://www.crunchbase.com/organization/acme",
            "crunchbase https://www.crunchbase.com/organization/acme",
        ),
        (
            "https://vk.com/public12345",
            "vk https://vk.com/public12345",
        ),
        (
            "https://m.vk.com/club12345?from=x",
            "vk https://m.vk.com/club12345",
        ),
        ("https://vk.com/event12345", "vk https://vk.com/event12345"),
        (
            "https://vk.com/acme.anvils_1",
            "vk https://vk.com/acme.anvils_1",
        ),
        ("https://vk.com/acme2020", "vk https://vk.com/acme2020"),
        (
            "https://vimeo.com/user1234567",
            "vimeo https://vimeo.com/user1234567",
        ),
    ] {
        assert_eq!(of(url).as_deref(), Some(wanted), "{url}");
    }
}

#[test]
fn everything_else_is_no_profile() {
    for url in [
        "https://www.linkedin.com/legal/privacy-policy",
        "https://www.linkedin.com/in/jo-doe",
        "https://www.linkedin.com/company/",
        "https://www.linkedin.com/company/acme/posts/1234",
        "https://www.linkedin.com/shareArticle?mini=true&url=x",
        "https://www.linkedin.com/feed/update/urn:li:activity:1",
        "https://www.linkedin.com/groups/1234",
        "https://business.linkedin.com/company/acme",
        "https://help.instagram.com/519522125107875",
        "https://help.instagram.com/acme",
        "https://about.instagram.com/blog",
        "https://www.instagram.com/p/Cabc123/",
        "https://www.instagram.com/reel/Cabc123/",
        "https://www.instagram.com/acme/p/Cabc123/",
        "https://www.instagram.com/legal/privacy/",
        "https://www.instagram.com/explore/tags/acme/",
        "https://developers.facebook.com/docs/plugins",
        "https://business.facebook.com/acme",
        "https://l.facebook.com/l.php?u=https://acme.example",
        "https://www.facebook.com/sharer/sharer.php?u=x",
        "https://www.facebook.com/sharer.php?u=x",
        "https://www.facebook.com/dialog/share?app_id=1",
        "https://www.facebook.com/acme/posts/1234567890",
        "https://www.facebook.com/photo.php?fbid=1",
        "https://www.facebook.com/groups/acme",
        "https://www.facebook.com/groups/about",
        "https://www.facebook.com/events/1234567",
        "https://www.facebook.com/policy.php",
        "https://www.facebook.com/privacy/explanation",
        "https://www.facebook.com/pages/create",
        "https://www.facebook.com/profile.php",
        "https://www.facebook.com/profile.php?id=x",
        "https://www.facebook.com/tr?id=1&ev=PageView",
        "https://twitter.com/acme/status/1234",
        "https://twitter.com/intent/tweet?text=x",
        "https://twitter.com/share?url=x",
        "https://twitter.com/hashtag/acme",
        "https://twitter.com/search?q=acme",
        "https://twitter.com/i/lists/1",
        "https://twitter.com/en/privacy",
        "https://twitter.com/privacy",
        "https://x.com/more_than_fifteen_letters",
        "https://help.x.com/en",
        "https://developer.x.com/acme",
        "https://platform.twitter.com/widgets.js",
        "https://www.youtube.com/watch?v=abc",
        "https://www.youtube.com/embed/abc",
        "https://www.youtube.com/t/terms",
        "https://www.youtube.com/playlist?list=x",
        "https://www.youtube.com/channel/acme",
        "https://youtu.be/abc",
        "https://music.youtube.com/channel/UCUZHFZ9jIKrLroW8LcyJEQQ",
        "https://github.com/acme/anvil",
        "https://github.com/features",
        "https://github.com/orgs",
        "https://docs.github.com/acme",
        "https://gist.github.com/acme",
        "https://www.tiktok.com/@acme/video/123",
        "https://www.tiktok.com/legal/privacy-policy",
        "https://www.tiktok.com/acme",
        "https://www.pinterest.com/pin/create/button/?url=x",
        "https://www.pinterest.com/pin/1234/",
        "https://www.pinterest.com/acme/anvils/",
        "https://policy.pinterest.com/en/terms",
        "https://www.xing.com/profile/Jo_Doe",
        "https://www.xing.com/spi/shares/new?url=x",
        "https://www.threads.net/@acme/post/abc",
        "https://www.threads.net/intent/post?text=x",
        "https://bsky.app/intent/compose?text=x",
        "https://bsky.app/profile/acme.example/post/abc",
        "https://medium.com/p/abc",
        "https://medium.com/acme/a-story-abc123",
        "https://acme.medium.com/a-story-abc123",
        "https://help.medium.com/",
        "https://www.crunchbase.com/person/jo-doe",
        "https://vk.com/id12345",
        "https://vk.com/share.php?url=x",
        "https://vk.com/wall-12345_67",
        "https://vk.com/photo12345_67",
        "https://vk.com/app12345",
        "https://vk.com/feed",
        "https://vk.com/acme/anvils",
        "https://dev.vk.com/acme_anvils",
        "https://vimeo.com/123456789",
        "https://vimeo.com/channels/staffpicks",
        "https://player.vimeo.com/video/1",
        "https://vimeo.com/features/video-player",
        "https://linkedin.com.evil.example/company/acme",
        "https://notlinkedin.com/company/acme",
        "https://user@www.linkedin.com/company/acme",
        "https://www.linkedin.com/",
        "ftp://www.linkedin.com/company/acme",
    ] {
        assert_eq!(of(url), None, "{url}");
    }
}

#[test]
fn every_pattern_of_the_table_can_be_read() {
    assert_eq!(COMPILED.len(), NETWORKS.len());
    for known in COMPILED.iter() {
        let Network {
            name, forms, words, ..
        } = known.network;
        assert_eq!(known.paths.len(), forms.len(), "{name}");
        assert!(
            words.contains(name) && words.iter().all(|word| *word == word.to_lowercase()),
            "{name}"
        );
    }
}

/// The profiles of the company at acme.example, whose name is Acme Anvils.
fn chosen(html: &str) -> Vec<String> {
    let page = Document::read(html);
    let url = Url::parse("https://www.acme.example/").unwrap();
    let found = PageLinks::read(&base(&url, &page), &page);
    let names = names("acme.example", ["Acme Anvils GmbH"]);
    choose(&found.profiles, &names)
        .into_iter()
        .map(|(_, url)| url.replace("https://", ""))
        .collect()
}

#[test]
fn of_several_the_one_that_the_page_marks_or_that_fits() {
    for (html, wanted) in [
        // A customer's embedded tweet does not hide the real one.
        (
            "<blockquote class=twitter-tweet><p>Great!</p>&mdash; Jo (@jo) <a href=https://twitter.com/jo>Jo</a> \
             <a href=https://twitter.com/jo/status/1>May 1</a></blockquote><footer><a href=https://twitter.com/acme></a></footer>",
            vec!["twitter.com/acme"],
        ),
        (
            "<blockquote class=twitter-tweet><a href=https://twitter.com/jo>Jo</a></blockquote>",
            vec![],
        ),
        (
            "<p>Jo says on <a href=https://twitter.com/jo>Twitter</a></p><a href=https://x.com/acme>X</a>",
            vec!["x.com/acme"],
        ),
        (
            "<p>We love <a href=https://github.com/rust-lang>Rust</a></p>",
            vec![],
        ),
        // Marked, though the name does not fit.
        (
            "<footer><a href=https://x.com/roadrunner aria-label=Twitter></a></footer>",
            vec!["x.com/roadrunner"],
        ),
        (
            "<div class=social-icons><a href=https://x.com/roadrunner><i></i></a></div>",
            vec!["x.com/roadrunner"],
        ),
        (
            "<a href=https://x.com/roadrunner rel=me>@roadrunner</a>",
            vec!["x.com/roadrunner"],
        ),
        (
            "<link rel=me href=https://github.com/roadrunner>",
            vec!["github.com/roadrunner"],
        ),
        (
            "<meta name=twitter:site content=@RoadRunner><a href=https://twitter.com/roadrunner>here</a>",
            vec!["twitter.com/roadrunner"],
        ),
        (
            "<a href=https://www.facebook.com/roadrunner>Follow us on Facebook</a>",
            vec!["www.facebook.com/roadrunner"],
        ),
        (
            "<footer><a href=https://www.linkedin.com/company/rr>LinkedIn\u{3067}\u{30d5}\u{30a9}\u{30ed}\u{30fc}</a></footer>",
            vec!["www.linkedin.com/company/rr"],
        ),
        (
            "<a href=https://www.facebook.com/profile.php?id=10006>fb</a>",
            vec!["www.facebook.com/profile.php?id=10006"],
        ),
        (
            "<a href=https://www.instagram.com/roadrunner><svg></svg></a>",
            vec!["www.instagram.com/roadrunner"],
        ),
        (
            "<p>See <a itemprop=sameAs href=https://x.com/roadrunner>here</a>",
            vec!["x.com/roadrunner"],
        ),
        (
            "<p>See <a href=https://x.com/roadrunner>here</a> or <a href=https://x.com/coyote>to us</a>",
            vec![],
        ),
        // A builder's own profiles.
        (
            "<footer><a href=https://twitter.com/shopify>Twitter</a></footer>",
            vec![],
        ),
        // The maker of the site.
        (
            "<footer>Design by <a href=https://x.com/janedev>Jane</a></footer>",
            vec![],
        ),
        (
            "<footer>Design by <a href=https://x.com/janedev>Jane</a> <a href=https://x.com/acmehq>X</a></footer>",
            vec!["x.com/acmehq"],
        ),
        // Several whose names do not fit.
        (
            "<footer><a href=https://x.com/one>X</a><a href=https://x.com/two>X</a></footer>",
            vec![],
        ),
        (
            "<footer><a href=https://x.com/one>X</a><a href=https://twitter.com/One>Twitter</a></footer>",
            vec!["x.com/one"],
        ),
        (
            "<p><a href=https://x.com/jo>Twitter</a><a href=https://x.com/al>Twitter</a>",
            vec![],
        ),
        (
            "<header><a href=https://x.com/acme_support>X</a></header><footer><a href=https://x.com/acme>X</a></footer>",
            vec!["x.com/acme"],
        ),
        (
            "<footer><a href=https://www.linkedin.com/showcase/acme-cloud>Cloud</a>\
             <a href=https://www.linkedin.com/company/acme-anvils>LinkedIn</a></footer>",
            vec!["www.linkedin.com/company/acme-anvils"],
        ),
        // People.
        (
            "<div class=team><a href=https://x.com/jo aria-label=Twitter></a></div>",
            vec![],
        ),
        (
            "<ul class=team-social><li><a href=https://x.com/acme>X</a></ul>",
            vec!["x.com/acme"],
        ),
        // A name that YouTube may use itself counts where it fits.
        (
            "<footer><a href=https://youtube.com/acmeanvils>Y</a></footer>",
            vec!["youtube.com/acmeanvils"],
        ),
        (
            "<footer><a href=https://youtube.com/originals>YouTube</a></footer>",
            vec![],
        ),
        (
            "<footer><a href=https://www.youtube.com/channel/UCUZHFZ9jIKrLroW8LcyJEQQ>YouTube</a></footer>",
            vec!["www.youtube.com/channel/UCUZHFZ9jIKrLroW8LcyJEQQ"],
        ),
        // What shares the page.
        (
            "<footer><a href=https://www.facebook.com/sharer/sharer.php?u=x>Facebook</a><a href=https://x.com/intent/post?url=x>X</a></footer>",
            vec![],
        ),
    ] {
        assert_eq!(chosen(html), wanted, "{html}");
    }
}

#[test]
fn names_fit_by_what_they_have_in_common() {
    let names = names(
        "acme-anvils.example",
        ["M\u{fc}ller & S\u{f6}hne GmbH", "HP"],
    );
    for (profile, wanted) in [
        ("AcmeAnvils", 3),
        ("acme_anvils", 3),
        ("acme", 2),
        ("acmeanvilshq", 2),
        ("hp", 3),
        ("hp_support", 2),
        ("hpfan", 0),
        ("mueller-soehne", 3),
        ("mullersohne", 3),
        ("jo", 0),
        ("", 0),
        ("anv", 0),
    ] {
        assert_eq!(fit(profile, &names), wanted, "{profile}");
    }
}
