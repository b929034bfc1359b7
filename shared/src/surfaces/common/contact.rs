//! E-mail addresses and phone numbers among found fields, in any of the usual forms.
//!
//! | field | form |
//! | --- | --- |
//! | `emails`, `work_emails`, `personal_emails` | array of texts or of `{email, status?, type?}` |
//! | `email`, `work_email`, `personal_email` | a text; `email` has `email_status`, `email_type` |
//! | `phones` | array of texts or of `{number, region?}` and of [`PHONE_DETAILS`] |
//! | `phone` | a text; it has `phone_region`, and the fields named as [`PHONE_DETAILS`] |

use serde_json::{Map, Value};

use crate::domain::record::Blanks;

/// The verdict on mail to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailStatus {
    /// The server takes mail for it.
    Deliverable,
    /// It very likely exists, without proof.
    HighProbability,
    /// The domain takes mail to any address.
    CatchAll,
    /// Mail to it may be returned.
    Risky,
    /// The server refuses mail for it.
    Invalid,
    /// Its domain takes no mail at all.
    InvalidDomain,
}

impl EmailStatus {
    /// Reads the words of several vendors, in any case, with `_`, `-` or a space.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
        Some(match word.as_str() {
            "deliverable" | "ok" | "valid" | "verified" => Self::Deliverable,
            "high_probability" | "probable" | "likely" => Self::HighProbability,
            "catch_all" | "catchall" | "accept_all" => Self::CatchAll,
            "risky" => Self::Risky,
            "invalid" | "undeliverable" | "not_valid" => Self::Invalid,
            "invalid_domain" => Self::InvalidDomain,
            _ => return None,
        })
    }
}

/// An e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The address as the provider gave it.
    pub address: String,
    /// The provider's verdict on it, where there is one that is known.
    pub status: Option<EmailStatus>,
    /// Set where it is a person's own, unset where it is their employer's, where that is known.
    pub personal: Option<bool>,
}

/// A phone number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// The number as the provider gave it.
    pub number: String,
    /// ISO 3166-1 alpha-2.
    pub region: Option<String>,
    /// The members of [`PHONE_DETAILS`] that the provider gave, in that order, as it gave them.
    pub details: Map<String, Value>,
}

/// The fields that [`emails`] reads.
pub const EMAIL_FIELDS: [&str; 8] = [
    "emails",
    "work_emails",
    "personal_emails",
    "email",
    "work_email",
    "personal_email",
    "email_status",
    "email_type",
];

/// The fields that [`phones`] reads.
pub const PHONE_FIELDS: [&str; 3] = ["phones", "phone", "phone_region"];

/// The details of a phone number: the name here, and the names that providers use.
pub const PHONE_DETAILS: [(&str, &[&str]); 5] = [
    ("line_type", &["line_type", "type"]),
    ("line_status", &["line_status"]),
    ("ownership_match", &["ownership_match"]),
    (
        "ownership_match_confidence",
        &["ownership_match_confidence"],
    ),
    ("connect_rate", &["connect_rate"]),
];

/// Returns every e-mail address among the fields, each once, in the order of [`EMAIL_FIELDS`].
pub fn emails(data: &Map<String, Value>, blanks: Blanks) -> Vec<Email> {
    let mut found: Vec<Email> = Vec::new();
    let mut add = |email: Email| {
        if !email.address.is_empty()
            && !found
                .iter()
                .any(|f| f.address.eq_ignore_ascii_case(&email.address))
        {
            found.push(email);
        }
    };
    for (name, personal) in [
        ("emails", None),
        ("work_emails", Some(false)),
        ("personal_emails", Some(true)),
    ] {
        for item in data
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(email) = email(item, personal, blanks) {
                add(email);
            }
        }
    }
    let text = |name: &str| blanks.present(data, name).and_then(Value::as_str);
    if let Some(address) = text("email") {
        let status = text("email_status").and_then(EmailStatus::parse);
        add(Email {
            address: address.trim().to_owned(),
            status,
            personal: text("email_type").and_then(personal),
        });
    }
    for (name, personal) in [("work_email", Some(false)), ("personal_email", Some(true))] {
        if let Some(email) = data
            .get(name)
            .and_then(|value| email(value, personal, blanks))
        {
            add(email);
        }
    }
    found
}

fn email(value: &Value, known: Option<bool>, blanks: Blanks) -> Option<Email> {
    let member = |name: &str| text(value, name, blanks);
    let address = value
        .as_str()
        .or_else(|| member("email"))
        .or_else(|| member("address"))?;
    Some(Email {
        address: address.trim().to_owned(),
        status: member("status").and_then(EmailStatus::parse),
        personal: known.or_else(|| member("type").and_then(personal)),
    })
}

/// Returns a member that is a text and not blank.
fn text<'v>(value: &'v Value, name: &str, blanks: Blanks) -> Option<&'v str> {
    value
        .get(name)
        .filter(|member| !blanks.is_blank(member))
        .and_then(Value::as_str)
}

fn personal(kind: &str) -> Option<bool> {
    match kind.trim().to_ascii_lowercase().as_str() {
        "personal" | "private" => Some(true),
        "company" | "work" | "professional" | "business" => Some(false),
        _ => None,
    }
}

/// Returns every phone number among the fields, each once.
pub fn phones(data: &Map<String, Value>, blanks: Blanks) -> Vec<Phone> {
    let mut found: Vec<Phone> = Vec::new();
    let phone = |value: &Value| phone(value, blanks);
    let listed = data
        .get("phones")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(phone);
    let region = blanks
        .present(data, "phone_region")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let single = data.get("phone").and_then(phone).map(|p| Phone {
        region: p.region.or(region),
        details: if p.details.is_empty() {
            details(|name| blanks.present(data, name).filter(|_| name != "type"))
        } else {
            p.details
        },
        ..p
    });
    for phone in listed.chain(single) {
        if !phone.number.is_empty() && !found.iter().any(|f| f.number == phone.number) {
            found.push(phone);
        }
    }
    found
}

fn phone(value: &Value, blanks: Blanks) -> Option<Phone> {
    let member = |name: &str| text(value, name, blanks);
    let number = value
        .as_str()
        .or_else(|| member("number"))
        .or_else(|| member("phone"))?;
    Some(Phone {
        number: number.trim().to_owned(),
        region: member("region").map(str::to_owned),
        details: details(|name| value.get(name).filter(|member| !blanks.is_blank(member))),
    })
}

/// Collects the texts and numbers of [`PHONE_DETAILS`].
fn details<'v>(member: impl Fn(&str) -> Option<&'v Value>) -> Map<String, Value> {
    let given = PHONE_DETAILS.iter().filter_map(|(name, aliases)| {
        let value = aliases.iter().find_map(|alias| member(alias))?;
        (value.is_string() || value.is_number()).then(|| ((*name).to_owned(), value.clone()))
    });
    given.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn addresses_are_read_from_every_form_once() {
        let data = json!({
            "emails": [
                "a@x.example",
                {"email": "b@x.example", "status": "OK", "type": "COMPANY"}, 7, {"x": 1},
            ],
            "personal_emails": [{"address": "c@y.example", "status": "catch-all"}],
            "email": "B@x.example", "email_status": "invalid",
            "work_email": "d@x.example",
        });
        let email = |address: &str, status, personal| Email {
            address: address.to_owned(),
            status,
            personal,
        };
        let expected = [
            email("a@x.example", None, None),
            email("b@x.example", Some(EmailStatus::Deliverable), Some(false)),
            email("c@y.example", Some(EmailStatus::CatchAll), Some(true)),
            email("d@x.example", None, Some(false)),
        ];
        assert_eq!(emails(map(&data), Blanks::Absent), expected);
    }

    #[test]
    fn numbers_are_read_from_every_form_once() {
        let data = json!({
            "phones": ["+1 555 0100", {"number": "+33 1 23", "region": "FR"}],
            "phone": "+1 555 0100",
        });
        let phone = |number: &str, region: Option<&str>| Phone {
            number: number.to_owned(),
            region: region.map(str::to_owned),
            details: Map::new(),
        };
        assert_eq!(
            phones(map(&data), Blanks::Absent),
            [phone("+1 555 0100", None), phone("+33 1 23", Some("FR"))]
        );
        assert_eq!(
            phones(
                map(&json!({"phone": "+1", "phone_region": "US"})),
                Blanks::Absent
            ),
            [phone("+1", Some("US"))]
        );
        let blanks = json!({
            "phones": ["", null, {"number": " ", "phone": "+2", "region": ""}],
            "phone": "+1", "phone_region": " ",
        });
        assert_eq!(
            phones(map(&blanks), Blanks::Absent),
            [phone("+2", None), phone("+1", None)]
        );
    }

    #[test]
    fn what_is_said_of_a_number_goes_with_it() {
        for (given, wanted) in [
            (
                json!({"phones": [{"number": "+1", "type": "mobile", "connect_rate": "",
                    "ownership_match_confidence": 90, "line_status": ["ACTIVE"]}]}),
                json!({"line_type": "mobile", "ownership_match_confidence": 90}),
            ),
            (
                json!({"phones": [{"number": "+1", "ownership_match": "CONFIRMED", "type": "x",
                    "line_type": "voip"}], "line_type": "mobile"}),
                json!({"line_type": "voip", "ownership_match": "CONFIRMED"}),
            ),
            (
                json!({"phone": "+1", "line_type": "mobile", "type": "person"}),
                json!({"line_type": "mobile"}),
            ),
            (json!({"phone": "+1", "type": "person"}), json!({})),
        ] {
            let found = phones(map(&given), Blanks::Absent);
            assert_eq!(Value::Object(found[0].details.clone()), wanted, "{given}");
        }
    }

    #[test]
    fn blank_members_hide_no_address() {
        let data = json!({
            "emails": ["", {"email": "", "address": "a@x.example", "status": "", "type": " "}],
            "email": "\u{a0}", "email_status": "valid",
            "work_email": "b@x.example", "personal_email": null,
        });
        let addresses: Vec<String> = emails(map(&data), Blanks::Absent)
            .into_iter()
            .map(|email| email.address)
            .collect();
        assert_eq!(addresses, ["a@x.example", "b@x.example"]);
    }
}
