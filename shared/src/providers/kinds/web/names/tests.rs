use super::*;

fn read(title: &str) -> Option<(&str, Evidence)> {
    in_title(title, &Url::parse("https://www.acme.example/").unwrap())
}

#[test]
fn names_are_held_against_the_domain() {
    for (name, host, wanted) in [
        ("Acme", "acme.example", Fit::Whole),
        ("ACME GmbH & Co. KG", "www.acme.example", Fit::Whole),
        ("Acme GmbH", "acme-gmbh.example", Fit::Whole),
        (
            "M\u{fc}ller & S\u{f6}hne",
            "mueller-und-soehne.example",
            Fit::Whole,
        ),
        (
            "M\u{fc}ller & S\u{f6}hne",
            "xn--mllershne-57a4d.example",
            Fit::Whole,
        ),
        ("Smith & Sons Ltd", "smithandsons.example", Fit::Whole),
        ("Smith & Sons Ltd", "smithsonsltd.example", Fit::Whole),
        ("Acme.example", "acme.example", Fit::Whole),
        ("Acme", "acme-anvils.example", Fit::Part),
        ("Acme", "getacme.example", Fit::Part),
        ("Acme Anvils of Berlin", "acme.example", Fit::Part),
        ("International Business Machines", "ibm.example", Fit::Part),
        ("Anvils for all", "acme.example", Fit::Nothing),
        ("", "acme.example", Fit::Nothing),
    ] {
        assert_eq!(fit(name, host), wanted, "{name} {host}");
    }
}

#[test]
fn the_name_in_a_title_is_found_wherever_it_stands() {
    for (title, wanted) in [
        (
            "Acme GmbH | Ambosse aus Berlin",
            Some(("Acme GmbH", Evidence::Domain)),
        ),
        (
            "Ambosse aus Berlin | Acme GmbH",
            Some(("Acme GmbH", Evidence::Domain)),
        ),
        (
            "Ambosse aus Berlin \u{2013} Schmiedewerk Nord GmbH",
            Some(("Schmiedewerk Nord GmbH", Evidence::Form)),
        ),
        (
            "Acme Forge \u{2013} Anvils for everybody in town",
            Some(("Acme Forge", Evidence::Part)),
        ),
        (
            "Nordwerk | Ambosse aus Berlin",
            Some(("Nordwerk", Evidence::Place)),
        ),
        (
            "Ambosse aus Berlin | Nordwerk",
            Some(("Nordwerk", Evidence::Place)),
        ),
        ("Welcome to Nordwerk!", Some(("Nordwerk", Evidence::Place))),
        ("Willkommen bei Acme", Some(("Acme", Evidence::Domain))),
        (
            "Acme.example: the official site",
            Some(("Acme.example", Evidence::Place)),
        ),
        ("acme.example", None),
        ("https://www.acme.example/", None),
        ("Home | Startseite", None),
        ("React App", None),
        ("Untitled Document", None),
        ("404 Not Found", None),
        ("We sell many anvils to everybody", None),
        (
            "Buy anvils and hammers at Acme GmbH, Berlin",
            Some(("Acme GmbH", Evidence::Part)),
        ),
        ("Acme GmbH, Berlin", Some(("Acme GmbH", Evidence::Part))),
        ("Acme, Inc.", Some(("Acme, Inc.", Evidence::Domain))),
        (
            "\u{682a}\u{5f0f}\u{4f1a}\u{793e}\u{6771}\u{4eac}\u{ff5c}\u{516c}\u{5f0f}\u{30b5}\u{30a4}\u{30c8}",
            Some((
                "\u{682a}\u{5f0f}\u{4f1a}\u{793e}\u{6771}\u{4eac}",
                Evidence::Form,
            )),
        ),
        (
            "Anvils, hammers and tongs from Acme",
            Some(("Acme", Evidence::Part)),
        ),
        (
            "Acme \u{2013} all that smiths ever need | Online Shop",
            Some(("Acme", Evidence::Domain)),
        ),
        ("", None),
    ] {
        assert_eq!(read(title), wanted, "{title}");
    }
}

#[test]
fn a_slogan_is_cut_off_where_the_rest_is_surely_the_name() {
    for (said, host, name) in [
        (
            "Acme GmbH - Anvils, hammers",
            "acme.example",
            Some("Acme GmbH"),
        ),
        ("Anvils | Acme", "acme.example", Some("Acme")),
        (
            "Anvils | Nordwerk GmbH",
            "acme.example",
            Some("Nordwerk GmbH"),
        ),
        (
            "M\u{fc}ller Bau - Berlin",
            "dachdecker-berlin.example",
            None,
        ),
        (
            "Dr. M\u{fc}ller \u{2013} Zahnarzt",
            "zahnarzt-mueller.example",
            None,
        ),
        ("Gasthof zum Adler - Hotel", "hotel-adler.example", None),
        ("Acme - Anvils", "acme-anvils.example", None),
        ("Nordwerk", "nordwerk.example", None),
    ] {
        let url = Url::parse(&format!("https://www.{host}/")).unwrap();
        assert_eq!(without_slogan(said, &url), name, "{said} {host}");
    }
}
