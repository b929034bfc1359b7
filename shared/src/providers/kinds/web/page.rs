//! A page as it was fetched.

use url::Url;

/// The page that a URL led to.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// After redirects.
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    /// Decoded; empty where it is not what was asked for.
    pub(super) body: String,
    /// Set where it is of the type that was asked for.
    pub(super) fits: bool,
}
