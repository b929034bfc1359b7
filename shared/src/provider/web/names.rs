//! Names of companies in titles of pages.

/// The parts of a title between its separators (`Acme | Anvils for all` has two), first to last.
pub(super) fn segments(title: &str) -> impl Iterator<Item = &str> {
    let parts = title.split(['|', '\u{b7}', '\u{2022}', '\u{2013}', '\u{2014}', ':', '\u{bb}', '\u{2502}']);
    parts.flat_map(|part| part.split(" - ")).map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_have_segments() {
        let title = "Home - Acme | Anvils for all \u{2013} since 1920";
        assert_eq!(segments(title).collect::<Vec<_>>(), ["Home", "Acme", "Anvils for all", "since 1920"]);
        assert_eq!(segments("Coca-Cola").collect::<Vec<_>>(), ["Coca-Cola"]);
    }
}
