//! Lists of words in files beside the code.
//!
//! A list begins with its name in brackets, as `[titles]`, and has an entry a line. Lines that
//! begin with `#` are comments. Quotes around an entry keep the spaces at its ends.

/// Returns the entries of a list.
pub(super) fn list(text: &'static str, name: &str) -> Vec<&'static str> {
    text.lines()
        .skip_while(|line| heading(line) != Some(name))
        .skip(1)
        .take_while(|line| heading(line).is_none())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| quoted(line).unwrap_or(line))
        .collect()
}

fn heading(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

fn quoted(line: &str) -> Option<&str> {
    line.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_where_the_next_begins() {
        let text = "# a comment\n[a]\none\n# another\ntwo words\n\n# of b\n[b]\n\"three \"\n[c]\n";
        for (name, wanted) in [
            ("a", &["one", "two words"][..]),
            ("b", &["three "]),
            ("c", &[]),
            ("d", &[]),
        ] {
            assert_eq!(list(text, name), wanted, "{name}");
        }
    }

    #[test]
    fn every_list_that_is_read_has_entries() {
        for (text, names) in [
            (
                include_str!("parked/phrases.txt"),
                "for_sale sentences building title_starts titles unfinished after_status",
            ),
            (include_str!("names/words.txt"), "greetings generic"),
            (include_str!("credits.txt"), "made_by works of_sites"),
        ] {
            let headings: Vec<&str> = text.lines().filter_map(heading).collect();
            assert_eq!(headings, names.split(' ').collect::<Vec<_>>());
            for name in headings {
                assert!(!list(text, name).is_empty(), "{name}");
            }
        }
    }
}
