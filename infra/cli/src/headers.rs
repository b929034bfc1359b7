//! Guesses the column of a file that is meant for a missing field.

/// The usual names for fields of the types that ship, in letters and digits alone.
const SYNONYMS: [(&str, &[&str]); 15] = [
    (
        "domain",
        &[
            "website",
            "websiteurl",
            "websiteaddress",
            "webaddress",
            "website1",
            "web",
            "webpage",
            "site",
            "siteurl",
            "url",
            "homepage",
            "homepageurl",
            "www",
            "host",
            "hostname",
            "domainname",
            "companydomain",
            "companywebsite",
            "companyurl",
            "accountwebsite",
            "emaildomain",
            "internet",
            "webseite",
            "internetseite",
            "siteweb",
            "sitioweb",
            "paginaweb",
        ],
    ),
    (
        "company_name",
        &[
            "company",
            "companyname",
            "name",
            "organization",
            "organisation",
            "organizationname",
            "organisationname",
            "org",
            "orgname",
            "account",
            "accountname",
            "business",
            "businessname",
            "employer",
            "firm",
            "legalname",
            "firma",
            "firmenname",
            "unternehmen",
            "entreprise",
            "societe",
            "soci\u{e9}t\u{e9}",
            "empresa",
            "azienda",
            "bedrijf",
        ],
    ),
    (
        "email",
        &[
            "mail",
            "emailaddress",
            "mailaddress",
            "workemail",
            "businessemail",
            "contactemail",
            "companyemail",
            "emailid",
            "primaryemail",
            "emailadresse",
            "mailadresse",
            "courriel",
            "correo",
            "correoelectronico",
        ],
    ),
    (
        "phone",
        &[
            "phonenumber",
            "telephone",
            "telephonenumber",
            "tel",
            "telno",
            "mobile",
            "mobilephone",
            "mobilenumber",
            "cell",
            "cellphone",
            "directphone",
            "workphone",
            "telefon",
            "telefonnummer",
            "handy",
            "telefono",
            "tel\u{e9}fono",
            "t\u{e9}l\u{e9}phone",
        ],
    ),
    (
        "first_name",
        &[
            "first",
            "givenname",
            "forename",
            "fname",
            "vorname",
            "prenom",
            "pr\u{e9}nom",
            "nombre",
            "nome",
        ],
    ),
    (
        "last_name",
        &[
            "last",
            "surname",
            "familyname",
            "lname",
            "nachname",
            "nom",
            "apellido",
            "apellidos",
            "cognome",
        ],
    ),
    (
        "full_name",
        &[
            "name",
            "contact",
            "contactname",
            "person",
            "personname",
            "displayname",
            "lead",
            "leadname",
        ],
    ),
    (
        "linkedin_url",
        &[
            "linkedin",
            "linkedinprofile",
            "linkedinprofileurl",
            "linkedinlink",
            "profileurl",
            "companylinkedin",
        ],
    ),
    (
        "country",
        &[
            "countrycode",
            "nation",
            "land",
            "pays",
            "pais",
            "pa\u{ed}s",
            "paese",
            "countryregion",
        ],
    ),
    (
        "city",
        &["town", "ort", "stadt", "ville", "ciudad", "citta"],
    ),
    (
        "ip",
        &[
            "ipaddress",
            "ipaddr",
            "ipv4",
            "ipv6",
            "clientip",
            "remoteaddr",
        ],
    ),
    (
        "hem",
        &[
            "hashedemail",
            "emailhash",
            "emailsha256",
            "sha256",
            "emailmd5",
            "md5",
            "emailsha1",
        ],
    ),
    (
        "maid",
        &[
            "mobileadid",
            "mobileadvertisingid",
            "advertisingid",
            "idfa",
            "gaid",
            "adid",
        ],
    ),
    (
        "title",
        &["jobtitle", "position", "role", "berufsbezeichnung"],
    ),
    ("location", &["region", "place", "address"]),
];

/// Pairs each column with the missing field that it probably means. Each appears once, in its
/// likeliest pair.
pub(crate) fn likely<'a>(columns: &[&'a str], missing: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let mut ranked: Vec<(u32, usize, usize)> = Vec::new();
    for (field_at, field) in missing.iter().enumerate() {
        let ranks = columns
            .iter()
            .enumerate()
            .filter_map(|(at, column)| Some((rank(column, field)?, at, field_at)));
        ranked.extend(ranks);
    }
    ranked.sort_unstable();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, column, field) in ranked {
        if !pairs.iter().any(|(c, f)| *c == column || *f == field) {
            pairs.push((column, field));
        }
    }
    pairs.sort_unstable_by_key(|(_, field)| *field);
    pairs
        .into_iter()
        .map(|(column, field)| (columns[column], missing[field]))
        .collect()
}

/// Returns the distance of a column's name from a field's; `None` if they share nothing.
fn rank(column: &str, field: &str) -> Option<u32> {
    let synonyms = SYNONYMS
        .iter()
        .find(|(name, _)| *name == field)
        .map_or(&[][..], |(_, synonyms)| *synonyms);
    let (name, own) = (folded(column), folded(field));
    let called = |name: &str| name == own || synonyms.contains(&name);
    if name == own {
        return Some(0);
    }
    if called(&name) {
        return Some(1);
    }
    let near = |other: &str| {
        let most = match other.chars().count().min(name.chars().count()) {
            0..=4 => 0,
            5..=7 => 1,
            _ => 2,
        };
        most > 0 && distance(&name, other) <= most
    };
    if near(&own) || synonyms.iter().any(|other| near(other)) {
        return Some(2);
    }
    // In `Account: Website (main)` one word names the field: the last one that can.
    let words: Vec<String> = column
        .split(|c: char| !c.is_alphanumeric())
        .map(folded)
        .collect();
    let words: Vec<&String> = words.iter().filter(|word| !word.is_empty()).collect();
    let from_end = words.iter().rev().position(|word| called(word))?;
    (words.len() > 1).then(|| 3 + u32::try_from(from_end).unwrap_or(u32::MAX - 3))
}

/// Letters and digits, in lower case.
fn folded(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// Characters to insert, leave out, replace or swap with their neighbour (optimal string
/// alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=other.len()).collect()];
    for (i, a) in one.iter().enumerate() {
        rows.rotate_left(1);
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (rows[1][j] + usize::from(a != b))
                .min(rows[1][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(rows[0][j - 1] + 1);
            }
            row.push(least);
        }
        rows[2] = row;
    }
    rows[2].last().copied().unwrap_or(0)
}

/// A column and its field as an option that a shell takes.
pub(crate) fn option(column: &str, field: &str) -> String {
    let plain = column
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':'))
        && !column.starts_with('-');
    if plain {
        format!("--input {column}={field}")
    } else {
        format!("--input '{}={field}'", column.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_guessed_by_what_people_call_them() {
        let all = [
            "domain",
            "company_name",
            "email",
            "first_name",
            "last_name",
            "phone",
            "linkedin_url",
            "ip",
        ];
        for (column, wanted) in [
            ("Website", Some("domain")),
            ("WEB SITE", Some("domain")),
            ("web_site", Some("domain")),
            ("Company Domain", Some("domain")),
            ("Domian", Some("domain")),
            ("Webiste", Some("domain")),
            ("URL", Some("domain")),
            ("Account: Website (main)", Some("domain")),
            ("Company", Some("company_name")),
            ("CompanyName", Some("company_name")),
            ("Organisation", Some("company_name")),
            ("E-Mail", Some("email")),
            ("Email Address", Some("email")),
            ("Given Name", Some("first_name")),
            ("Surname", Some("last_name")),
            ("Phone Number", Some("phone")),
            ("LinkedIn", Some("linkedin_url")),
            ("IP Address", Some("ip")),
            ("Notes", None),
            ("crm id", None),
            ("!", None),
        ] {
            let found = likely(&[column], &all).first().map(|(_, field)| *field);
            assert_eq!(found, wanted, "{column}");
        }
        assert_eq!(likely(&["Website"], &["email"]), []);
        let both = likely(
            &["Notes", "Company", "Website", "URL"],
            &["domain", "company_name"],
        );
        assert_eq!(both, [("Website", "domain"), ("Company", "company_name")]);
    }

    #[test]
    fn distances() {
        for (one, other, wanted) in [
            ("", "ab", 2),
            ("domain", "domian", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(one, other), wanted, "{one} {other}");
            assert_eq!(distance(other, one), wanted);
        }
    }

    #[test]
    fn options_are_quoted_for_a_shell() {
        assert_eq!(option("Website", "domain"), "--input Website=domain");
        assert_eq!(option("Web site", "domain"), "--input 'Web site=domain'");
        assert_eq!(option("it's", "domain"), "--input 'it'\\''s=domain'");
    }
}
