//! The titles of pages.

/// Returns the parts of a title between its separators (`Acme | Anvils for all` has two), first to
/// last.
pub(super) fn segments(title: &str) -> impl Iterator<Item = &str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c) in title.char_indices() {
        let after = at + c.len_utf8();
        let open = |text: &str, end: bool| {
            let next = if end {
                text.chars().next_back()
            } else {
                text.chars().next()
            };
            next.is_none_or(char::is_whitespace)
        };
        let (before_open, after_open) = (open(&title[..at], true), open(&title[after..], false));
        let separates = match c {
            '|' | '\u{ff5c}' | '\u{2502}' | '\u{2503}' | '\u{bb}' | '\u{ab}' | '\u{203a}'
            | '\u{2039}' | '\u{2022}' | '\u{ff1a}' => true,
            // Within a word they are part of it: `Hewlett\u{2013}Packard`, `col\u{b7}lecci\u{f3}`.
            '\u{2013}' | '\u{2014}' | '\u{b7}' | '\u{2212}' => before_open || after_open,
            '-' | '~' | '/' | '\u{2192}' | '*' => before_open && after_open,
            ':' | ']' => after_open,
            // `Start [Acme]`, as wikis write it.
            '[' => before_open,
            _ => false,
        };
        if separates {
            parts.push(&title[start..at]);
            start = after;
        }
    }
    parts.push(&title[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| part.chars().any(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_have_segments() {
        let parts = |title| segments(title).collect::<Vec<_>>();
        let title = "Home - Acme | Anvils for all \u{2013} since 1920";
        assert_eq!(
            parts(title),
            ["Home", "Acme", "Anvils for all", "since 1920"]
        );
        for whole in [
            "Coca-Cola",
            "Hewlett\u{2013}Packard",
            "re:Invent",
            "AC/DC",
            "C+A",
            "Goodwin\u{b7}Procter",
        ] {
            assert_eq!(parts(whole), [whole]);
        }
        assert_eq!(parts("Acme: Anvils"), ["Acme", "Anvils"]);
        assert_eq!(parts("Acme \u{bb} | - Home"), ["Acme", "Home"]);
        assert_eq!(
            parts("\u{4f1a}\u{793e}\u{ff5c}\u{516c}\u{5f0f}"),
            ["\u{4f1a}\u{793e}", "\u{516c}\u{5f0f}"]
        );
        assert_eq!(parts(" | - "), [""; 0]);
    }
}
