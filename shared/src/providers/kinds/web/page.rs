//! A page as it was fetched.

use url::Url;

/// The page that a URL led to.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The URL after redirects.
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    /// The decoded body; empty if it is not of the requested type.
    pub(super) body: String,
    /// Set if it is of the requested type.
    pub(super) fits: bool,
}
