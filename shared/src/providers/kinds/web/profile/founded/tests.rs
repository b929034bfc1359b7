use super::words::sort;
use super::*;
use crate::providers::kinds::web::html::Line;
use crate::providers::kinds::web::places::Place;

fn page(text: &str) -> Vec<Line> {
    text.split('\n')
        .map(|text| Line {
            text: text.to_owned(),
            ..Line::default()
        })
        .collect()
}

fn read(text: &str) -> Option<(i32, Said)> {
    let names = [
        "Hallmann Draht",
        "Hallmann Draht GmbH",
        "\u{9752}\u{8449}\u{8a08}\u{5668}",
    ];
    year_in(
        &page(text),
        "www.hallmann-draht.example",
        names.into_iter(),
        2026,
    )
}

#[test]
fn a_company_was_founded_where_a_sentence_says_so() {
    for (text, year) in [
        ("Founded in 1999", 1999),
        ("Founded in 1999 by two brothers in Leeds.", 1999),
        ("Founded: 1999", 1999),
        ("Employees\n12\nFounded\n1999\nOffices\n2", 1999),
        ("1999\nYear established\n12\nEmployees", 1999),
        ("Founded on May 3, 1999", 1999),
        ("Established 1987", 1987),
        ("Hallmann Draht was founded in 1926.", 1926),
        ("Hallmann Draht GmbH, founded in 1926, makes springs.", 1926),
        (
            "Founded in 1926, Hallmann Draht makes springs in Berlin.",
            1926,
        ),
        (
            "In 1926 the company was founded in Berlin by Ernst Hallmann.",
            1926,
        ),
        ("We are proud of what we do. We were founded in 1926.", 1926),
        (
            "Hallmann Draht makes springs. It was established in 1926 in Berlin.",
            1926,
        ),
        ("Jane Doe founded the company in 1999.", 1999),
        ("In 1926, Ernst Hallmann founded Hallmann Draht.", 1926),
        ("Family-owned | Established in 1987 | Leeds", 1987),
        (
            "\u{a9} 1999\u{2013}2026 Hallmann Draht. Established 1926.",
            1926,
        ),
        ("Gegr\u{fc}ndet 1926", 1926),
        (
            "Hallmann Draht wurde 1926 in Berlin von Ernst Hallmann gegr\u{fc}ndet.",
            1926,
        ),
        ("Gr\u{fc}ndungsjahr: 1926", 1926),
        ("1926 gr\u{fc}ndete Ernst Hallmann die Firma.", 1926),
        ("Unser Unternehmen wurde im Jahr 1926 gegr\u{fc}ndet", 1926),
        (
            "Fond\u{e9}e en 1962, notre entreprise fabrique des ressorts.",
            1962,
        ),
        (
            "L\u{2019}entreprise a \u{e9}t\u{e9} fond\u{e9}e en 1962 \u{e0} Lyon.",
            1962,
        ),
        ("Fundada en 1999", 1999),
        ("La empresa fue fundada en 1999 por dos hermanos.", 1999),
        ("Fundada em 1985", 1985),
        ("A empresa foi fundada em 1985.", 1985),
        ("Fondata nel 1950", 1950),
        ("L'azienda \u{e8} stata fondata nel 1950", 1950),
        ("Opgericht in 1911", 1911),
        ("Ons bedrijf werd in 1911 opgericht.", 1911),
        ("Firma zosta\u{142}a za\u{142}o\u{17c}ona w 1991 r.", 1991),
        (
            "\u{41a}\u{43e}\u{43c}\u{43f}\u{430}\u{43d}\u{438}\u{44f} \u{43e}\u{441}\u{43d}\u{43e}\u{432}\u{430}\u{43d}\u{430} \u{432} 1998 \u{433}\u{43e}\u{434}\u{443}.",
            1998,
        ),
        ("\u{15e}irketimiz 1975 y\u{131}l\u{131}nda kuruldu.", 1975),
        ("Grundat 1947", 1947),
        ("\u{5275}\u{696d}1926\u{5e74}", 1926),
        (
            "\u{8a2d}\u{7acb}\u{ff1a}1950\u{5e74}4\u{6708}1\u{65e5}",
            1950,
        ),
        (
            "\u{9752}\u{8449}\u{8a08}\u{5668}\u{306f}1950\u{5e74}\u{306b}\u{4ed9}\u{53f0}\u{3067}\u{5275}\u{696d}\u{3057}\u{307e}\u{3057}\u{305f}\u{3002}",
            1950,
        ),
        ("\u{516c}\u{53f8}\u{6210}\u{7acb}\u{4e8e}1999\u{5e74}", 1999),
        // A sentence about the foundation goes before one about the time since.
        ("Founded in 1926\nServing Leeds since 1950", 1926),
    ] {
        assert_eq!(read(text), Some((year, Said::Founded)), "{text}");
    }
}

#[test]
fn a_company_is_as_old_as_what_it_has_done_since() {
    for (text, year) in [
        ("Since 1926", 1926),
        ("SINCE 1926", 1926),
        ("Est. 1987", 1987),
        ("Fine springs \u{b7} Est. 1987", 1987),
        ("Hallmann Draht \u{2013} since 1926", 1926),
        ("Family-owned and operated since 1987", 1987),
        ("Proudly serving Boise since 1998.", 1998),
        ("Family business since 1987 \u{a9} 2026 Hallmann", 1987),
        ("It all began in 1926 in a kitchen.", 1926),
        ("Our story began in 1926", 1926),
        ("seit 1926", 1926),
        ("Gefertigt in Berlin-Marzahn seit 1926.", 1926),
        ("Ihr Partner seit 1926", 1926),
        ("Seit 1926 fertigen wir Federn.", 1926),
        (
            "1926 begann Ernst Hallmann mit einer Wickelbank in der K\u{fc}che.",
            1926,
        ),
        ("Depuis 1962", 1962),
        ("Artisans depuis 1962", 1962),
        ("Empresa familiar desde 1999", 1999),
        ("Desde 1999", 1999),
        ("Dal 1950", 1950),
        ("Artigiani dal 1950", 1950),
        ("Familiebedrijf sinds 1911", 1911),
        ("Tradycja od 1991 roku", 1991),
        (
            "\u{420}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{435}\u{43c} \u{441} 1998 \u{433}\u{43e}\u{434}\u{430}",
            1998,
        ),
        ("1975'ten beri", 1975),
        ("Sedan 1947", 1947),
    ] {
        assert_eq!(read(text), Some((year, Said::Since)), "{text}");
    }
}

#[test]
fn other_years_are_no_year_of_founding() {
    for text in [
        "\u{a9} 1999\u{2013}2026 Hallmann Draht",
        "\u{a9} 1999 Hallmann Draht GmbH",
        "Copyright 1999 Hallmann Draht. All rights reserved.",
        "\u{a9} since 1999 Hallmann Draht",
        "1999",
        "1987\nFounded\n2005\nMoved to Leeds",
        "Foundry\n1999",
        "Since 2019 we have had a new product",
        "Since 2019 we also sell e-bikes.",
        "Jane Doe, CEO since 2012",
        "Jane Doe has been working here since 2015.",
        "Jane has been with us since 2015",
        "Member since 2015",
        "Customer since 2016",
        "M\u{fc}ller AG, customer\nSince 2016",
        "Jane Doe\nCEO\nSince 2012",
        "ISO 9001 certified since 2010",
        "Hallmann Draht has sponsored the city cup since 2015.",
        "The town was founded in 1237.",
        "Founded in 1088, the University of Bologna is the oldest.",
        "The University of Bologna was founded in 1088.",
        "Bologna has a university. It was founded in 1088.",
        "Our Polish subsidiary was founded in 2003.",
        "The Hallmann Foundation was established in 2010.",
        "We founded a school in 2003.",
        "Hallmann Draht founded a school in 2003.",
        "In 2010 Hallmann Draht bought Meyer GmbH, founded in 1950.",
        "Hallmann Draht works with Meyer, founded in 1950.",
        "We have founded 1200 companies",
        "Founded in the 1990s",
        "Founded in the 1990's",
        "Founded around 1850",
        "Founded 1926\nFounded 1950",
        "Since 1926\nSeit 1950",
        "Founded in 2099",
        "Founded in 0999",
        "Founded in 1999-2005",
        "Trusted by 1500 customers since day one",
        "seit 2000 Jahren",
        "Seit 2019 bieten wir auch Laserschnitt an.",
        "Gesch\u{e4}ftsf\u{fc}hrer seit 2012",
        "Mitglied seit 1999",
        "Zertifiziert seit 2010",
        "1999 gr\u{fc}ndete er die Stiftung",
        "Die Stadt wurde 1237 gegr\u{fc}ndet und unsere Firma liegt mittendrin.",
        "1995 begann die Firma Meyer mit dem Export.",
        "Sofas hechos a mano desde 1500 \u{20ac}",
        "desde 1999 \u{20ac}",
        "od 1999 z\u{142}",
        "od 1999,-",
        "depuis 2000 ans",
        "Cliente desde 2015",
        "Notre filiale a \u{e9}t\u{e9} fond\u{e9}e en 2003.",
        "Directrice depuis 2012",
        "Aperto dal 2 al 5 maggio 1999",
        "1926\u{5e74}\u{306b}\u{5de5}\u{5834}\u{3092}\u{8a2d}\u{7acb}",
        "\u{6771}\u{4eac}\u{5927}\u{5b66}\u{306f}1877\u{5e74}\u{8a2d}\u{7acb}",
        "\u{5206}\u{516c}\u{53f8}\u{6210}\u{7acb}\u{4e8e}2005\u{5e74}",
        "Godfather's pizza at 1926 Main Street since you asked",
        "Family owned since before you were born. Open 9-1730.",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    let others = Line {
        text: "Founded in 1999".to_owned(),
        place: Place::Others,
        ..Line::default()
    };
    assert_eq!(
        year_in(&[others], "acme.example", ["Acme"].into_iter(), 2026),
        None
    );
}

#[test]
fn every_sort_of_words_is_known() {
    for line in include_str!("words.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let sort = line.split('\t').next().unwrap_or_default();
        assert!(
            sort.starts_with("within") || sort::NAMES.split(' ').any(|name| name == sort),
            "{line}"
        );
        assert_eq!(line.split('\t').count(), 3, "{line}");
    }
}
