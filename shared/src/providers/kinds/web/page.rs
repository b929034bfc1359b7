//! A page as it was fetched.

use url::Url;

/// What came of a URL in the end.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// After redirects.
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    /// Decoded; empty where it is not what was asked for.
    pub(super) body: String,
    /// Whether it is of the type that was asked for.
    pub(super) fits: bool,
}
