//! Providers that read a company's own web site.
//!
//! `fetch` gets pages (with `robots` and `charset`), `html` and `json_ld` read them, and each kind
//! of provider decides what they mean: [`Site`], [`Tech`], [`DomainFinder`], [`Signals`].
//!
//! Without a page to read, they answer:
//! - not found: the name or the page does not exist, it is not HTML, or the domain is parked;
//! - failed, `robots_refused`: the site's robots.txt forbids it, or cannot be fetched. This is not
//!   "not found": the data may well exist, and another provider may know it;
//! - failed, `provider_timeout`, `rate_limited` or `provider_error`, as in [`http`](super::http).

mod charset;
mod credits;
mod dates;
mod document;
pub mod domain_finder;
mod domains;
mod feed;
mod fetch;
mod html;
mod json_ld;
mod links;
mod lists;
#[cfg(test)]
mod malformed;
mod names;
mod page;
mod parked;
mod places;
mod profile;
mod robots;
pub mod signals;
pub mod site;
mod social;
pub mod tech;
mod titles;

use self::domains::{host, owner};
use self::fetch::time_for;

pub use self::domain_finder::{DomainFinder, DomainFinderConfig};
pub use self::signals::{SIGNALS_FIELDS, Signals, SignalsConfig};
pub use self::site::{SITE_FIELDS, Site, SiteConfig};
pub use self::tech::Tech;
pub use self::tech::config::TechConfig;
