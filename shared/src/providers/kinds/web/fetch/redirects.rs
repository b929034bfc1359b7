//! Redirects of an answer, by its header or by its page.

use url::Url;

use crate::ports::HttpAnswer;
use crate::providers::kinds::web::html::Document;
use crate::providers::kinds::web::links;

/// The part of a page that is searched for its own redirect, in bytes, and the longest wait of one,
/// in seconds.
const MAX_HEAD: usize = 64 * 1024;
const MAX_REFRESH: u64 = 10;

/// Returns the target of an answer, if it is a redirect.
pub(super) fn redirect(from: &Url, answer: &HttpAnswer) -> Option<Url> {
    let leads = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    let next = from
        .join(answer.header("location").filter(|_| leads)?.trim())
        .ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

/// Returns the target of a page that refreshes itself soon: `<meta http-equiv="refresh">`, or the
/// header of that name. Not within `<noscript>`: the page is for all other readers.
pub(super) fn refresh(from: &Url, answer: &HttpAnswer, body: &str) -> Option<Url> {
    let head = &body[..body.floor_char_boundary(MAX_HEAD)];
    let says = || {
        head.as_bytes()
            .windows("refresh".len())
            .any(|word| word.eq_ignore_ascii_case(b"refresh"))
    };
    let document = if says() {
        Document::read(&without_noscript(head))
    } else {
        Document::default()
    };
    let header = answer
        .header("refresh")
        .and_then(refresh_target)
        .and_then(|target| from.join(target).ok());
    let meta = || {
        links::base(from, &document)
            .join(document.meta(&["refresh"]).and_then(refresh_target)?)
            .ok()
    };
    let mut next = header.or_else(meta)?;
    next.set_fragment(None);
    (matches!(next.scheme(), "http" | "https") && next != *from).then_some(next)
}

/// Returns the URL of `5; url='/next'`, by HTML's shared declarative refresh steps.
fn refresh_target(content: &str) -> Option<&str> {
    let content = content.trim_start();
    let rest = content.trim_start_matches(|c: char| c.is_ascii_digit());
    let time = &content[..content.len() - rest.len()];
    let wait = if time.is_empty() && rest.starts_with('.') {
        Ok(0)
    } else {
        time.parse::<u64>()
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let target = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == ',');
    if target.len() == rest.len() || !wait.is_ok_and(|wait| wait <= MAX_REFRESH) {
        return None;
    }
    let named = target
        .get(..3)
        .filter(|word| word.eq_ignore_ascii_case("url"))
        .and_then(|_| {
            let value = target[3..].trim_start().strip_prefix('=')?;
            Some(value.trim_start())
        });
    let target = named.unwrap_or(target);
    match target.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => target[1..].split(quote).next(),
        None => Some(target.trim_end()),
    }
}

fn without_noscript(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let (mut kept, mut at) = (String::new(), 0);
    while let Some(start) = lower[at..].find("<noscript") {
        kept.push_str(&html[at..at + start]);
        let Some(end) = lower[at + start..].find("</noscript") else {
            return kept;
        };
        at += start + end;
    }
    kept + &html[at..]
}
