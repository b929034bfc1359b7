use serde_json::{Value, json};

use super::*;
use crate::providers::kinds::web::html::Line;

fn page(text: &str) -> Vec<Line> {
    let line = |text: &str| Line {
        text: text.to_owned(),
        ..Line::default()
    };
    text.split('\n').map(line).collect()
}

#[test]
fn an_address_in_a_page_is_found_by_its_postal_line() {
    for (text, wanted) in [
        (
            "Acme GmbH\nPlauener Str. 160\n13053 Berlin\nDeutschland",
            json!({"street": "Plauener Str. 160", "postal_code": "13053", "city": "Berlin",
                "country": "Deutschland"}),
        ),
        (
            "Acme GmbH, Plauener Str. 160, 13053 Berlin",
            json!({"street": "Plauener Str. 160", "postal_code": "13053", "city": "Berlin"}),
        ),
        (
            "Acme SARL \u{2014} 12 rue de la Fosse, 75001 Paris",
            json!({"street": "12 rue de la Fosse", "postal_code": "75001", "city": "Paris"}),
        ),
        (
            "Acme S.r.l. - Via dei Fossi, 14/C - 59100 Prato (PO)",
            json!({"street": "Via dei Fossi, 14/C", "postal_code": "59100", "city": "Prato",
                "region": "PO"}),
        ),
        (
            "27 Shore Road, South Hero, VT 05486 | a@acme.example",
            json!({"street": "27 Shore Road", "city": "South Hero", "region": "VT",
                "postal_code": "05486"}),
        ),
        (
            "1210 Marine Drive, Suite 204\nNorth Vancouver, BC V7P 1T4\nPhone: 1",
            json!({"street": "1210 Marine Drive, Suite 204", "city": "North Vancouver",
                "region": "BC", "postal_code": "V7P 1T4"}),
        ),
        (
            "41 Sydney Rd, Brunswick VIC 3056\nAcme Pty Ltd",
            json!({"street": "41 Sydney Rd", "city": "Brunswick", "region": "VIC",
                "postal_code": "3056"}),
        ),
        (
            "a@acme.example\n10 Green Lane\nLondon SW1A 1AA\nUnited Kingdom",
            json!({"street": "10 Green Lane", "city": "London", "postal_code": "SW1A 1AA",
                "country": "United Kingdom"}),
        ),
        (
            "Unit 6, Kelham Works, 20 Green Lane\nSheffield\nS3 8SE\nUnited Kingdom\nPhone 1",
            json!({"street": "Unit 6, Kelham Works, 20 Green Lane", "city": "Sheffield",
                "postal_code": "S3 8SE",
                "country": "United Kingdom"}),
        ),
        (
            "Acme GmbH Weg 1, 80331 M\u{fc}nchen a@acme.example Impressum",
            json!({"street": "Weg 1", "postal_code": "80331", "city": "M\u{fc}nchen"}),
        ),
        (
            "Carrer de D\u{e9}nia, 18, 46006 Val\u{e8}ncia hola@acme.example WhatsApp \u{a9} 2026",
            json!({"street": "Carrer de D\u{e9}nia, 18", "postal_code": "46006",
                "city": "Val\u{e8}ncia"}),
        ),
        (
            "27 Shore Road, South Hero, VT 05486 Phone: (802) 555-0119",
            json!({"street": "27 Shore Road", "city": "South Hero", "region": "VT",
                "postal_code": "05486"}),
        ),
        (
            "Acme Inc.\n12 Dauphin Street, Mobile, AL 36602",
            json!({"street": "12 Dauphin Street", "city": "Mobile", "region": "AL",
                "postal_code": "36602"}),
        ),
        (
            "Acme AG\nHauptsitz\nRheinweg 2\n7000 Chur\nWerk Brig\nGliserallee 81\n3902 Brig-Glis",
            json!({"street": "Rheinweg 2", "postal_code": "7000", "city": "Chur"}),
        ),
        (
            "a@acme.example\nLeeds\n1 Mill Lane, Leeds, LS1 4AP\n\
             Head office: 10 Green Lane, London, SW1A 1AA",
            json!({"street": "10 Green Lane", "postal_code": "SW1A 1AA", "city": "London"}),
        ),
        (
            "Acme SAS\nSi\u{e8}ge social :\n12 rue de la Fosse\n75001 Paris\nAgence de Lyon\n\
             3 quai du Port\n69001 Lyon",
            json!({"street": "12 rue de la Fosse", "postal_code": "75001", "city": "Paris"}),
        ),
        (
            "Acme Ltd\nUnit 6, Kelham Works\n20 Green Lane\nSheffield\nS3 8SE",
            json!({"street": "Unit 6, Kelham Works, 20 Green Lane", "city": "Sheffield",
                "postal_code": "S3 8SE"}),
        ),
        (
            "Acme Inc.\n88 Fore Street\nSuite 3\nPortland, ME 04101",
            json!({"street": "88 Fore Street, Suite 3", "city": "Portland", "region": "ME",
                "postal_code": "04101"}),
        ),
        (
            "Acme Lda\nAddress: Rua Augusta 12\n1200-192 Lisboa",
            json!({"street": "Rua Augusta 12", "city": "Lisboa", "postal_code": "1200-192"}),
        ),
        (
            "Acme\u{682a}\u{5f0f}\u{4f1a}\u{793e} \u{3012}980-0811 \u{4ed9}\u{53f0}\u{5e02}\u{9752}\u{8449}\u{533a}\u{4e00}\u{756a}\u{753a}3-2-17",
            json!({"street": "\u{9752}\u{8449}\u{533a}\u{4e00}\u{756a}\u{753a}3-2-17",
                "city": "\u{4ed9}\u{53f0}\u{5e02}", "postal_code": "980-0811"}),
        ),
        (
            "a@acme.example\n\
             \u{3012}\u{ff11}\u{ff10}\u{ff10}\u{2212}\u{ff10}\u{ff10}\u{ff10}\u{ff11}\n\
             \u{6771}\u{4eac}\u{90fd}\u{5343}\u{4ee3}\u{7530}\u{533a}\u{5343}\u{4ee3}\u{7530}1-1 \
             TEL 03-1234-5678",
            json!({"street": "\u{5343}\u{4ee3}\u{7530}1-1",
                "city": "\u{5343}\u{4ee3}\u{7530}\u{533a}",
                "region": "\u{6771}\u{4eac}\u{90fd}", "postal_code": "100-0001"}),
        ),
        (
            "a@acme.example\n\
             \u{3012}510-0001 \u{4e09}\u{91cd}\u{770c}\u{56db}\u{65e5}\u{5e02}\u{5e02}\u{516b}\u{7530}2-3",
            json!({"street": "\u{516b}\u{7530}2-3", "city": "\u{56db}\u{65e5}\u{5e02}\u{5e02}",
                "region": "\u{4e09}\u{91cd}\u{770c}", "postal_code": "510-0001"}),
        ),
    ] {
        assert_eq!(
            shown(&page(text)).map(Value::Object),
            Some(wanted),
            "{text}"
        );
    }
    for text in [
        "",
        // Several places, of which none is called the head office, or two are.
        "Sol\nCalle del Sol 21, bajo\n46003 Valencia\n+34 960 00 01 23\nMar\nAvenida del Mar 8\n\
         12003 Castell\u{f3}\nx\na@acme.example",
        "Head office\nWeg 1\n80331 M\u{fc}nchen\nHead office\nRing 2\n10117 Berlin",
        "Acme Inc.\nSuite 3\nPortland, ME 04101",
        "a@acme.example\n\u{3012}980-0811",
        "a@acme.example\n\u{3012}980-0811 \u{4ed9}\u{53f0}\u{5e02}",
        "a@acme.example\n\u{3012}980-08112 \u{4ed9}\u{53f0}\u{5e02}\u{4e00}\u{756a}\u{753a}3",
        "\u{3012}980-0811 \u{4ed9}\u{53f0}\u{5e02}\u{9752}\u{8449}\u{533a}\u{4e00}\u{756a}\u{753a}3-2-17",
        "Acme GmbH\nRoom 12\n10117 Visitors",
        "Plauener Str. 160\n13053 Berlin",
        "Acme GmbH\nSince 1999\n2000 Customers in 12 countries",
        "Acme GmbH\nTop 10\n5000 happy customers",
        "Acme GmbH\n13053 Berlin",
        "Acme GmbH\nWeg 1, 80331 M\u{fc}nchen\nRing 2, 10117 Berlin",
        "a@acme.example\nHRB 4160\n10117 Berlin",
        "Acme GmbH\nTel. 030 123\n10117 Berlin",
        "Acme GmbH\nSince 1926\n10117 Berlin",
    ] {
        assert_eq!(shown(&page(text)), None, "{text}");
    }
    assert_eq!(
        country(&page("See us\n27 Shore Road, South Hero, VT 05486")),
        Some("US")
    );
    assert_eq!(
        country(&page("Acme\n20 Green Lane, London, SW1A 1AA")),
        Some("GB")
    );
    assert_eq!(country(&page("12345 Berlin")), None);
}

#[test]
fn an_address_in_lines_has_parts() {
    for (text, parts) in [
        (
            "88 Fore Street, Suite 3\nPortland, ME, 04101\nUnited States",
            json!({"street": "88 Fore Street, Suite 3", "city": "Portland", "region": "ME",
                "postal_code": "04101",
                "country": "United States"}),
        ),
        (
            "1210 Marine Drive\n North Vancouver, BC V7P 1T4 \n",
            json!({"street": "1210 Marine Drive", "city": "North Vancouver", "region": "BC",
                "postal_code": "V7P 1T4"}),
        ),
        (
            "Acme GmbH\nWeg 1\n80331 München\nDeutschland",
            json!({"street": "Acme GmbH, Weg 1", "city": "München", "postal_code": "80331",
                "country": "Deutschland"}),
        ),
        (
            "Weg 1\n1012 AB Amsterdam\nNetherlands",
            json!({"street": "Weg 1", "city": "Amsterdam", "postal_code": "1012 AB",
                "country": "Netherlands"}),
        ),
        (
            "Sveav\u{e4}gen 5\n114 55 Stockholm",
            json!({"street": "Sveav\u{e4}gen 5", "city": "Stockholm", "postal_code": "114 55"}),
        ),
        (
            "10 High Street\nLondon, SW1A 1AA\nUnited Kingdom",
            json!({"street": "10 High Street", "city": "London", "postal_code": "SW1A 1AA",
                "country": "United Kingdom"}),
        ),
        (
            "5 Quay\nSydney, 2000",
            json!({"street": "5 Quay", "city": "Sydney", "postal_code": "2000"}),
        ),
    ] {
        assert_eq!(lines(text).map(Value::Object), Some(parts), "{text}");
    }
    for text in [
        "",
        "1 Road, Springfield",
        "Springfield\nUS",
        "1 Road\nSpringfield",
        "1 Road\nFlat 5, 2 up",
        "04101 York",
        // Numbers of houses, halls and hours.
        "Acme Corp\n123 Main Street",
        "Unit 4\n12 High Street\nUnited Kingdom",
        "Suite 400\n1200 High Street",
        "Acme GmbH\nIndustriestra\u{df}e, Halle 5",
        "Acme Srl\nVia Roma, 1200",
        "Opening hours\n9 am to 5 pm",
        "Unit 4\n1200, High, 12345",
        "1 Road\n80331",
    ] {
        assert_eq!(lines(text), None, "{text}");
    }
}
