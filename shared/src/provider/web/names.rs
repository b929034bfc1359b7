//! Names of companies: what two ways of writing one have in common.

/// Legal forms at the end of a name, lower case, without marks. Facts of company law in the countries they come from.
const LEGAL_FORMS: [&str; 46] = [
    "ab",
    "ag",
    "aktiengesellschaft",
    "as",
    "asa",
    "bv",
    "cia",
    "co",
    "company",
    "corp",
    "corporation",
    "doo",
    "eirl",
    "ev",
    "gbr",
    "gmbh",
    "inc",
    "incorporated",
    "kft",
    "kg",
    "kgaa",
    "kk",
    "limited",
    "llc",
    "llp",
    "lp",
    "ltd",
    "ltda",
    "mbh",
    "nv",
    "ohg",
    "oy",
    "oyj",
    "plc",
    "pte",
    "pty",
    "pvt",
    "sa",
    "sarl",
    "sas",
    "se",
    "sl",
    "spa",
    "sro",
    "srl",
    "ug",
];

/// The words of a name: lower case, plain letters and digits, without legal forms at the end (`Müller & Söhne GmbH` gives
/// `mueller` and `soehne`). Empty where nothing is left.
pub(super) fn words(name: &str) -> Vec<String> {
    let plain = plain(&name.replace(['\'', '\u{2019}', '.'], ""));
    let mut words: Vec<String> = plain.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
    while words.len() > 1 && words.last().is_some_and(|w| LEGAL_FORMS.contains(&w.as_str())) {
        words.pop();
    }
    words
}

/// Lower case, with letters of the Latin alphabet as host names write them (`ü` is `ue`, `é` is `e`), every other sign a
/// space. Letters of other alphabets stay.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.to_lowercase().chars() {
        match c {
            'ä' | 'æ' => out.push_str("ae"),
            'ö' | 'ø' | 'œ' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'ß' => out.push_str("ss"),
            'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => out.push('a'),
            'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => out.push('c'),
            'ď' | 'đ' | 'ð' => out.push('d'),
            'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => out.push('e'),
            'ĝ' | 'ğ' | 'ģ' => out.push('g'),
            'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => out.push('i'),
            'ķ' => out.push('k'),
            'ĺ' | 'ļ' | 'ľ' | 'ł' => out.push('l'),
            'ñ' | 'ń' | 'ņ' | 'ň' => out.push('n'),
            'ò' | 'ó' | 'ô' | 'õ' | 'ō' | 'ő' => out.push('o'),
            'ŕ' | 'ř' => out.push('r'),
            'ś' | 'ş' | 'š' | 'ș' => out.push('s'),
            'ţ' | 'ť' | 'ț' => out.push('t'),
            'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' | 'ų' => out.push('u'),
            'ý' | 'ÿ' => out.push('y'),
            'ź' | 'ż' | 'ž' => out.push('z'),
            'þ' => out.push_str("th"),
            // What a combining mark stands on was said already.
            '\u{300}'..='\u{36f}' => {}
            c if c.is_alphanumeric() => out.push(c),
            _ => out.push(' '),
        }
    }
    out
}

/// The parts of a title between its separators (`Acme | Anvils for all` has two), first to last.
pub(super) fn segments(title: &str) -> impl Iterator<Item = &str> {
    let parts = title.split(['|', '\u{b7}', '\u{2022}', '\u{2013}', '\u{2014}', ':', '\u{bb}', '\u{2502}']);
    parts.flat_map(|part| part.split(" - ")).map(str::trim).filter(|part| !part.is_empty())
}

/// Whether two names are the same company's, as far as their words tell.
pub(super) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (words(one), words(other));
    !one.is_empty() && (one == other || one.concat() == other.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_marks_and_legal_form() {
        for (name, wanted) in [
            ("M\u{fc}ller & S\u{f6}hne GmbH", "mueller soehne"),
            ("Acme, Inc.", "acme"),
            ("Acme Pty Ltd", "acme"),
            ("S.A.S. Caf\u{e9} d'Or S.A.", "sas cafe dor"),
            ("Co", "co"),
            ("Caf\u{65}\u{301}", "cafe"),
            ("\u{682a}\u{5f0f}", "\u{682a}\u{5f0f}"),
            ("!!!", ""),
        ] {
            assert_eq!(words(name).join(" "), wanted, "{name}");
        }
        assert!(same("Face Book, Inc.", "facebook") && same("ACME Corp", "Acme"));
        assert!(!same("Acme Labs", "Acme") && !same("!", "?"));
    }

    #[test]
    fn titles_have_segments() {
        let title = "Home - Acme | Anvils for all \u{2013} since 1920";
        assert_eq!(segments(title).collect::<Vec<_>>(), ["Home", "Acme", "Anvils for all", "since 1920"]);
        assert_eq!(segments("Coca-Cola").collect::<Vec<_>>(), ["Coca-Cola"]);
    }
}
