use super::*;

#[test]
fn legal_forms_contradict_each_other_where_none_is_in_common() {
    for (one, other, wanted) in [
        ("Hammer Inc.", "Hammer GmbH", true),
        ("Hammer SARL", "Hammer S.A.", true),
        ("Hammer S.A.", "Hammer SAS", true),
        ("Hammer Ltd", "Hammer LLC", true),
        ("Hammer B.V.", "Hammer N.V.", true),
        ("Hammer Inc.", "Hammer Incorporated", false),
        ("Hammer GmbH", "Hammer GmbH & Co. KG", false),
        ("Hammer Ltd.", "Hammer Co., Limited", false),
        ("Hammer AG", "Hammer Aktiengesellschaft", false),
        ("Hammer SA", "Hammer S. A.", false),
        ("Hammer SA", "Hammer soci\u{e9}t\u{e9} anonyme", false),
        ("Hammer", "Hammer GmbH", false),
        ("Hammer", "Anvil", false),
        ("", "Hammer GmbH", false),
    ] {
        assert_eq!(has_other_form(one, other), wanted, "{one} {other}");
        assert_eq!(has_other_form(other, one), wanted, "{other} {one}");
    }
}

#[test]
fn names_have_a_normal_form() {
    for (names, wanted) in [
        (
            &[
                "Acme",
                "ACME",
                "  acme  ",
                "Acme.",
                "A.C.M.E.",
                "\u{ff21}\u{ff43}\u{ff4d}\u{ff45}",
                "Acme\u{2122}",
            ][..],
            "acme",
        ),
        (
            &[
                "Acme, Inc.",
                "Acme Inc",
                "Acme Incorporated",
                "Acme L.L.C.",
                "Acme GmbH",
                "Acme G.m.b.H.",
                "Acme G. m. b. H.",
                "Acme GmbH & Co. KG",
                "Acme GmbH & Co KGaA",
                "Acme AG & Co. OHG",
                "Acme UG (haftungsbeschr\u{e4}nkt)",
                "Acme Ges.m.b.H.",
                "Acme Gesellschaft mit beschr\u{e4}nkter Haftung",
                "Acme S.p.A.",
                "Acme S. p. A.",
                "Acme S.r.l.",
                "Acme Sp. z o.o.",
                "Acme Sp. z o. o.",
                "Acme sp.z.o.o.",
                "Acme Sp. z o.o. Sp. k.",
                "Acme spol. s r.o.",
                "Acme, s.r.o.",
                "Acme a.s.",
                "Acme A/S",
                "Acme ApS",
                "Acme AB (publ)",
                "Acme Oy Ab",
                "Oy Acme Ab",
                "Acme Oyj",
                "Acme O\u{dc}",
                "UAB Acme",
                "Acme, UAB",
                "Acme Pty Ltd",
                "Acme Pty. Ltd.",
                "Acme (Pty) Ltd",
                "Acme Proprietary Limited",
                "Acme Pvt. Ltd.",
                "Acme Private Limited",
                "Acme Pte. Ltd.",
                "Acme Sdn. Bhd.",
                "Acme Co., Ltd.",
                "Acme Co.,Ltd",
                "Acme Company Limited",
                "Acme S.A. de C.V.",
                "Acme SA de CV",
                "Acme S. de R.L. de C.V.",
                "Acme S.A.P.I. de C.V.",
                "Acme Ltda.",
                "Acme S/A",
                "Acme S.A.R.L.",
                "SARL Acme",
                "Acme Soci\u{e9}t\u{e9} Anonyme",
                "Acme B.V.",
                "Acme N.V.",
                "Acme d.o.o.",
                "Acme Kft.",
                "Acme Zrt.",
                "Acme A.\u{15e}.",
                "Acme Ltd. \u{15e}ti.",
                "Acme Limited \u{15e}irketi",
                "PT Acme Tbk",
                "PT. Acme",
                "C\u{f4}ng ty TNHH Acme",
                "\u{41e}\u{41e}\u{41e} \u{ab}Acme\u{bb}",
                "Acme \u{41e}\u{41e}\u{41e}",
                "Acme\u{682a}\u{5f0f}\u{4f1a}\u{793e}",
                "\u{682a}\u{5f0f}\u{4f1a}\u{793e} Acme",
                "(\u{682a})Acme",
                "\u{3231} Acme",
                "Acme Co., Ltd. Inc.",
                "Acme & Co.",
                "Acme und Co",
            ],
            "acme",
        ),
        (
            &[
                "Nestl\u{e9}",
                "Nestle",
                "NESTLE\u{301} S.A.",
                "Nestl\u{e9}, S. A.",
            ],
            "nestle",
        ),
        (
            &["Stra\u{df}e", "STRASSE", "strasse", "Stra\u{1e9e}e"],
            "strasse",
        ),
        (&["\u{d8}rsted A/S", "Orsted", "\u{f8}rsted"], "orsted"),
        (
            &[
                "\u{141}\u{f3}d\u{17a}",
                "Lodz",
                "\u{142}o\u{301}dz\u{301} S.A.",
            ],
            "lodz",
        ),
        (
            &[
                "\u{130}\u{15f} Bankas\u{131}",
                "IS BANKASI",
                "is bankasi A.\u{15e}.",
            ],
            "is bankasi",
        ),
        (
            &[
                "Johnson & Johnson",
                "Johnson and Johnson",
                "Johnson und Johnson",
                "Johnson \u{ff06} Johnson",
                "Johnson + Johnson Inc.",
            ],
            "johnson and johnson",
        ),
        (
            &["L'Or\u{e9}al", "L\u{2019}Or\u{e9}al S.A.", "LOREAL"],
            "loreal",
        ),
        (&["Yahoo! Inc.", "yahoo"], "yahoo"),
        (
            &["Coca-Cola", "Coca\u{2011}Cola Co.", "coca  cola"],
            "coca cola",
        ),
        (&["Kabushiki Kaisha Acme", "Acme K.K."], "acme"),
        (&["S.A.S. Caf\u{e9} d'Or S.A."], "sas cafe dor"),
        (&["SAS Institute Inc.", "SAS Institute"], "sas institute"),
        (&["C++"], "c++"),
        (&["C#"], "c#"),
        (
            &[
                "\u{41e}\u{41e}\u{41e} \u{ab}\u{420}\u{43e}\u{43c}\u{430}\u{448}\u{43a}\u{430}\u{bb}",
                "\u{440}\u{43e}\u{43c}\u{430}\u{448}\u{43a}\u{430}",
            ],
            "\u{440}\u{43e}\u{43c}\u{430}\u{448}\u{43a}\u{430}",
        ),
        (&["PT Telkom", "Telkom"], "telkom"),
        (
            &[
                "\u{682a}\u{5f0f}\u{4f1a}\u{793e}\u{30c8}\u{30e8}\u{30bf}",
                "\u{30c8}\u{30e8}\u{30bf}\u{682a}\u{5f0f}\u{4f1a}\u{793e}",
                "\u{ff84}\u{ff96}\u{ff80}",
            ],
            "\u{30c8}\u{30e8}\u{30bf}",
        ),
        (
            &["\u{534e}\u{4e3a}\u{6280}\u{672f}\u{6709}\u{9650}\u{516c}\u{53f8}"],
            "\u{534e}\u{4e3a}\u{6280}\u{672f}",
        ),
        (
            &["\u{439}\u{43e}\u{433}", "\u{418}\u{306}\u{41e}\u{413}"],
            "\u{439}\u{43e}\u{433}",
        ),
    ] {
        for name in names {
            assert_eq!(key(name).as_deref(), Some(wanted), "{name}");
        }
    }
}

#[test]
fn a_name_that_is_only_a_legal_form_stays() {
    for (name, wanted) in [
        ("Limited", "limited"),
        ("AG", "ag"),
        ("Co", "co"),
        ("S.p.A.", "spa"),
        ("Pty Ltd", "pty ltd"),
        ("Sp. z o.o.", "sp z oo"),
        ("GmbH & Co. KG", "gmbh and co kg"),
        ("SAS AB", "sas"),
        (
            "\u{682a}\u{5f0f}\u{4f1a}\u{793e}",
            "\u{682a}\u{5f0f}\u{4f1a}\u{793e}",
        ),
        ("\u{682a}", "\u{682a}"),
        (
            "\u{80a1}\u{4efd}\u{6709}\u{9650}\u{516c}\u{53f8}",
            "\u{80a1}\u{4efd}\u{6709}\u{9650}\u{516c}\u{53f8}",
        ),
        ("\u{41e}\u{41e}\u{41e}", "\u{43e}\u{43e}\u{43e}"),
    ] {
        assert_eq!(key(name).as_deref(), Some(wanted), "{name}");
    }
    for name in [
        "", " ", "!!!", "--- !", "&", "& &", "+", "...", "\u{301}", "\u{feff}",
    ] {
        assert_eq!(key(name), None, "{name:?}");
    }
}

#[test]
fn names_with_an_umlaut_have_two_spellings() {
    assert_eq!(
        keys("M\u{fc}ller & S\u{f6}hne GmbH"),
        ["muller and sohne", "mueller and soehne"]
    );
    assert_eq!(keys("Mu\u{308}ller"), ["muller", "mueller"]);
    assert_eq!(keys("Acme"), ["acme"]);
    assert_eq!(
        spellings("M\u{fc}ller & S\u{f6}hne GmbH"),
        [["mueller", "soehne"], ["muller", "sohne"]]
    );
    assert_eq!(
        spellings("M\u{fc}ller und S\u{f6}hne")[0],
        ["mueller", "und", "soehne"]
    );
    assert_eq!(spellings("C++"), [["c"]]);
    assert!(spellings("!").is_empty());
}

#[test]
fn the_same_name_is_known_and_another_is_not() {
    for (one, other) in [
        ("Face Book, Inc.", "facebook"),
        ("ACME Corp", "Acme"),
        ("M\u{fc}ller", "Mueller GmbH"),
        ("M\u{fc}ller", "Muller"),
        ("AT&T", "ATT"),
        ("Marks & Spencer", "Marks and Spencer plc"),
        ("Marks & Spencer", "marksspencer"),
    ] {
        assert!(same(one, other) && same(other, one), "{one} and {other}");
    }
    for (one, other) in [
        ("Acme Labs", "Acme"),
        ("!", "?"),
        ("Muller", "Mueller"),
        ("Acme Holdings Ltd", "Acme Ltd"),
    ] {
        assert!(!same(one, other), "{one} and {other}");
    }
}

#[test]
fn forms_are_written_as_names_are_split() {
    for form in AT_END.iter().chain(AT_START).chain(WITHOUT_SPACE) {
        let words: Vec<String> = split(form).into_iter().map(|word| word.plain).collect();
        assert_eq!(words.join(" "), *form);
        assert!(words.len() <= MAX_FORM_WORDS, "{form}");
    }
    assert!(
        WITHOUT_SPACE.windows(2).all(|two| !two[1].contains(two[0])),
        "the longest first"
    );
}

/// Every letter of Latin, Greek and Cyrillic and its compatible forms, within names of several
/// scripts; but U+0345, which is a mark in lower case alone.
fn names() -> impl Iterator<Item = String> {
    ('\0'..='\u{4ff}')
        .chain('\u{1e00}'..='\u{24ff}')
        .chain('\u{fb00}'..='\u{ffef}')
        .filter(|c| *c != '\u{345}')
        .flat_map(|c| {
            [
                format!("a{c}e{c} {c} GmbH"),
                format!("{c}\u{308}"),
                format!("\u{43e}{c}\u{306} co"),
            ]
        })
}

#[test]
fn a_normal_form_stays_itself() {
    for name in names() {
        for key in keys(&name) {
            assert_eq!(super::key(&key), Some(key), "{name:?}");
        }
    }
}

#[test]
fn case_and_unicodes_forms_do_not_count() {
    let (compose, decompose) = (
        ComposingNormalizerBorrowed::new_nfc(),
        DecomposingNormalizerBorrowed::new_nfd(),
    );
    for name in names() {
        let wanted = keys(&name);
        assert_eq!(keys(&name.to_uppercase()), wanted, "upper case of {name:?}");
        assert_eq!(keys(&name.to_lowercase()), wanted, "lower case of {name:?}");
        assert_eq!(keys(&compose.normalize(&name)), wanted, "NFC of {name:?}");
        assert_eq!(keys(&decompose.normalize(&name)), wanted, "NFD of {name:?}");
    }
}

#[test]
fn no_legal_form_stands_twice() {
    let mut forms: Vec<String> = [AT_END, AT_START, AT_EITHER_END, WITHOUT_SPACE]
        .iter()
        .flat_map(|forms| forms.iter().map(|form| form.replace(' ', "")))
        .collect();
    forms.sort();
    let twice: Vec<_> = forms.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
