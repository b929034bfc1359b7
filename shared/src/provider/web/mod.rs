//! Providers that read a company's own web site.
//!
//! `fetch` gets pages (`robots` and `charset` belong to it), `html` and `json_ld` read them, and each kind of provider
//! decides what they mean: [`Site`], [`Tech`], [`DomainFinder`], [`Signals`].
//!
//! What they answer where there is no page to read:
//! - not found: there is no such name or no such page, it is no HTML, or the domain is parked;
//! - failed, `robots_refused`: the site's robots.txt forbids it, or cannot be had. Failed and not "not found", because what
//!   was asked for may well exist, and another provider may know it;
//! - failed, `provider_timeout`, `rate_limited` or `provider_error`, as in [`http`](super::http).

#[cfg(test)]
mod bent;
mod charset;
mod credits;
mod dates;
mod domain_finder;
mod feed;
mod fetch;
mod html;
mod json_ld;
mod links;
mod names;
mod parked;
mod places;
mod profile;
mod robots;
mod signals;
mod site;
mod social;
mod tech;

use std::time::Duration;

use serde_json::{Map, Value};

pub use self::domain_finder::DomainFinder;
pub use self::signals::Signals;
pub use self::site::Site;
pub use self::tech::Tech;
use super::{Question, suffix};

/// The host in an input field. The error says what is wrong with it.
fn host(input: &Map<String, Value>, field: &str) -> Result<String, String> {
    let text = input.get(field).and_then(Value::as_str).ok_or_else(|| format!("`{field}` is needed"))?;
    suffix::host(text).map_err(|why| format!("`{field}` {why}"))
}

/// How long a visit for a question may take, where a provider has so long of its own. A tenth of the question's time stays for
/// what is made of it: an answer that comes as the time ends is lost.
fn time_for(question: &Question<'_>, own: Duration) -> Duration {
    (question.limit * 9 / 10).min(own)
}

/// The registrable domain of a host, or the host where it has none. Public suffixes have sites too: `www.nhs.uk` is that of
/// `nhs.uk`, and nobody's domain.
fn owner(host: &str) -> &str {
    let owner = suffix::registrable(host).unwrap_or(host);
    owner.strip_prefix("www.").filter(|suffix| suffix.contains('.')).unwrap_or(owner)
}
