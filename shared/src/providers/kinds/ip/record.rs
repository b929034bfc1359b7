//! Reads a database's record. Pure.

use serde_json::{Map, Value};

/// The places of a text in the databases of `MaxMind`, `IPinfo` and DB-IP, as JSON Pointers.
const COMPANY: [&str; 4] = [
    "/traits/organization",
    "/organization",
    "/company/name",
    "/company_name",
];
const COMPANY_DOMAIN: [&str; 3] = ["/company/domain", "/traits/domain", "/domain"];
const AS_ORGANIZATION: [&str; 5] = [
    "/autonomous_system_organization",
    "/traits/autonomous_system_organization",
    "/as_name",
    "/asn/name",
    "/as_organization",
];
const AS_DOMAIN: [&str; 2] = ["/as_domain", "/asn/domain"];
const ASN: [&str; 4] = [
    "/autonomous_system_number",
    "/traits/autonomous_system_number",
    "/asn",
    "/asn/asn",
];
const PLACES: [(&str, &[&str]); 6] = [
    ("isp", &["/isp", "/traits/isp"]),
    (
        "country",
        &["/country/names/en", "/country_name", "/country"],
    ),
    (
        "country_code",
        &["/country/iso_code", "/country_code", "/country"],
    ),
    ("region", &["/subdivisions/0/names/en", "/region"]),
    ("city", &["/city/names/en", "/city"]),
    (
        "time_zone",
        &["/location/time_zone", "/timezone", "/time_zone"],
    ),
];
/// The places of the network's type, the more exact first.
const NETWORK_TYPE: [&str; 8] = [
    "/traits/user_type",
    "/user_type",
    "/company/type",
    "/asn/type",
    "/as_type",
    "/traits/connection_type",
    "/connection_type",
    "/type",
];
const HOSTING: [&str; 3] = [
    "/is_hosting_provider",
    "/traits/is_hosting_provider",
    "/is_hosting",
];

/// Words in the names of autonomous systems' organisations that tell what they run. The first that
/// fits counts.
const NAMES: [(&str, &[&str]); 3] = [
    (
        "education",
        &[
            "university",
            "universität",
            "universitaet",
            "universite",
            "universidad",
            "college",
            "school",
        ],
    ),
    (
        "hosting",
        &[
            "hosting",
            "hoster",
            "cloud",
            "datacenter",
            "datacentre",
            "vps",
            "colocation",
            "colo",
            "servers",
            "amazon",
            "aws",
            "digitalocean",
            "ovh",
            "hetzner",
            "linode",
            "akamai",
            "fastly",
            "cloudflare",
            "vultr",
            "leaseweb",
        ],
    ),
    (
        "isp",
        &[
            "telecom",
            "telekom",
            "telecommunications",
            "telefonica",
            "communications",
            "broadband",
            "cable",
            "internet",
            "isp",
            "fiber",
            "fibre",
            "wireless",
            "mobile",
            "cellular",
            "comcast",
            "verizon",
            "vodafone",
            "telia",
            "telenor",
        ],
    ),
];

/// The record of all databases together; the first to have a field gives it.
#[derive(Debug, Default)]
pub(super) struct MergedRecord {
    company: Option<String>,
    company_domain: Option<String>,
    asn: Option<u64>,
    as_organization: Option<String>,
    as_domain: Option<String>,
    network: Option<String>,
    network_type: Option<&'static str>,
    places: Map<String, Value>,
}

impl MergedRecord {
    pub(super) fn add(&mut self, record: &Value, network: &str) {
        let take = |field: &mut Option<String>, pointers: &[&str]| {
            if field.is_none() {
                *field = text(record, pointers).map(str::to_owned);
            }
        };
        // An organisation is about its network; a place may be about a smaller one.
        let nameless = self.company.is_none() && self.as_organization.is_none();
        take(&mut self.company, &COMPANY);
        take(&mut self.company_domain, &COMPANY_DOMAIN);
        take(&mut self.as_organization, &AS_ORGANIZATION);
        take(&mut self.as_domain, &AS_DOMAIN);
        let named = self.company.is_some() || self.as_organization.is_some();
        if self.network.is_none() || (nameless && named) {
            self.network = Some(network.to_owned());
        }
        self.asn = self.asn.or_else(|| {
            ASN.iter()
                .find_map(|pointer| number(record.pointer(pointer)?))
        });
        self.network_type = self.network_type.or_else(|| network_type(record));
        for (name, pointers) in PLACES {
            if !self.places.contains_key(name)
                && let Some(text) = text(record, pointers)
                    .filter(|text| (name != "country_code") || text.len() == 2)
            {
                self.places.insert(name.to_owned(), text.into());
            }
        }
    }

    /// Returns the network's type, and whether a database said so.
    fn kind(&self) -> Option<(&'static str, bool)> {
        let by_name = || {
            self.as_organization
                .as_deref()
                .and_then(type_by_name)
                .map(|kind| (kind, false))
        };
        self.network_type.map(|kind| (kind, true)).or_else(by_name)
    }

    /// Returns the confidence. See the [module](super).
    pub(super) fn confidence(&self) -> f64 {
        let passed_on = self
            .kind()
            .is_some_and(|(kind, _)| matches!(kind, "isp" | "mobile" | "hosting"));
        match (&self.company, &self.as_organization) {
            (None, None) => 0.6,
            _ if passed_on => 0.1,
            (Some(company), other) if other.as_ref() != Some(company) => 0.8,
            _ => 0.3,
        }
    }

    pub(super) fn fields(self) -> Map<String, Value> {
        let kind = self.kind();
        let domain = if self.company.is_some() {
            self.company_domain
        } else {
            self.company_domain.or(self.as_domain)
        };
        let mut fields = Map::new();
        for (name, value) in [
            (
                "company_name",
                self.company
                    .or_else(|| self.as_organization.clone())
                    .map(Value::from),
            ),
            ("domain", domain.map(Value::from)),
            ("asn", self.asn.map(Value::from)),
            ("as_organization", self.as_organization.map(Value::from)),
            ("network", self.network.map(Value::from)),
            ("network_type", kind.map(|(kind, _)| kind.into())),
            (
                "network_type_by",
                kind.map(|(_, database)| if database { "database" } else { "name" }.into()),
            ),
        ] {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        }
        fields.extend(self.places);
        fields
    }
}

fn text<'r>(record: &'r Value, pointers: &[&str]) -> Option<&'r str> {
    pointers
        .iter()
        .find_map(|pointer| record.pointer(pointer)?.as_str())
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// Reads `15169` or `"AS15169"`.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.strip_prefix("AS").unwrap_or(text).parse().ok(),
        _ => None,
    }
}

/// Maps the databases' many words to one. Source: `MaxMind`, "`GeoIP2` Enterprise", `user_type` and
/// `connection_type`; `IPinfo`, "ASN and company type".
fn network_type(record: &Value) -> Option<&'static str> {
    if HOSTING
        .iter()
        .any(|pointer| record.pointer(pointer) == Some(&Value::Bool(true)))
    {
        return Some("hosting");
    }
    NETWORK_TYPE.iter().find_map(|pointer| {
        let word = record.pointer(pointer)?.as_str()?.to_ascii_lowercase();
        Some(match word.as_str() {
            "business" | "corporate" => "business",
            "isp"
            | "residential"
            | "cable/dsl"
            | "dialup"
            | "satellite"
            | "consumer_privacy_network" => "isp",
            "cellular" | "mobile" => "mobile",
            "hosting" | "content_delivery_network" | "search_engine_spider" => "hosting",
            "education" | "college" | "school" | "library" => "education",
            "government" | "military" => "government",
            _ => return None,
        })
    })
}

fn type_by_name(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
    NAMES
        .iter()
        .find(|(_, telling)| words.iter().any(|word| telling.contains(word)))
        .map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known(records: &[Value]) -> (Value, f64) {
        let mut known = MergedRecord::default();
        for (at, record) in records.iter().enumerate() {
            known.add(record, &format!("192.0.2.{at}/32"));
        }
        let confidence = known.confidence();
        (Value::Object(known.fields()), confidence)
    }

    #[test]
    fn databases_of_every_make_are_read() {
        let enterprise = json!({
            "traits": {
                "organization": "Example Ltd", "domain": "example.com", "isp": "Net",
                "user_type": "business",
                "autonomous_system_number": 64500, "autonomous_system_organization": "Net Transit",
            },
            "country": {"iso_code": "DE", "names": {"en": "Germany", "de": "Deutschland"}},
            "subdivisions": [{"names": {"en": "Berlin"}}], "city": {"names": {"en": "Berlin"}},
            "location": {"time_zone": "Europe/Berlin"},
        });
        let place = json!({"country": "Germany", "country_code": "DE", "region": "Berlin",
            "city": "Berlin",
            "time_zone": "Europe/Berlin"});
        let mut wanted = json!({
            "company_name": "Example Ltd", "domain": "example.com", "asn": 64500,
            "as_organization": "Net Transit", "network": "192.0.2.0/32", "network_type": "business",
            "network_type_by": "database", "isp": "Net",
        });
        wanted
            .as_object_mut()
            .unwrap()
            .extend(place.as_object().unwrap().clone());
        assert_eq!(known(&[enterprise]), (wanted, 0.8));

        let (fields, confidence) = known(&[json!({
            "asn": "AS64501", "as_name": "Other Inc", "as_domain": "other.example",
            "country": "France", "country_code": "FR",
        })]);
        assert_eq!(
            fields,
            json!({"company_name": "Other Inc", "domain": "other.example", "asn": 64501,
                "as_organization": "Other Inc",
                "network": "192.0.2.0/32", "country": "France", "country_code": "FR"})
        );
        assert!((confidence - 0.3).abs() < f64::EPSILON);
    }

    #[test]
    fn the_first_to_have_a_field_gives_it_and_the_network_is_the_organisations() {
        let place = json!({"country": {"iso_code": "SE"}});
        let asn =
            json!({"autonomous_system_organization": "Example AB", "country": {"iso_code": "NO"}});
        let (fields, _) = known(&[place, asn]);
        assert_eq!(
            (&fields["country_code"], &fields["network"]),
            (&json!("SE"), &json!("192.0.2.1/32"))
        );
    }

    #[test]
    fn who_passes_addresses_on_is_hardly_who_used_them() {
        for (record, kind, by, confidence) in [
            (
                json!({"organization": "A", "user_type": "cellular"}),
                json!("mobile"),
                "database",
                0.1,
            ),
            (
                json!({"as_name": "A", "is_hosting_provider": true}),
                json!("hosting"),
                "database",
                0.1,
            ),
            (
                json!({"as_name": "DIGITALOCEAN-ASN"}),
                json!("hosting"),
                "name",
                0.1,
            ),
            (
                json!({"as_name": "Deutsche Telekom AG"}),
                json!("isp"),
                "name",
                0.1,
            ),
            (
                json!({"as_name": "Example University"}),
                json!("education"),
                "name",
                0.3,
            ),
            (json!({"as_name": "Example Mills"}), Value::Null, "", 0.3),
            (
                json!({"organization": "A", "as_name": "A"}),
                Value::Null,
                "",
                0.3,
            ),
            (
                json!({"organization": "A", "connection_type": "Corporate"}),
                json!("business"),
                "database",
                0.8,
            ),
            (json!({"country": {"iso_code": "DE"}}), Value::Null, "", 0.6),
        ] {
            let (fields, sure) = known(std::slice::from_ref(&record));
            assert_eq!(
                fields.get("network_type").cloned().unwrap_or_default(),
                kind,
                "{record}"
            );
            assert_eq!(
                fields
                    .get("network_type_by")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
                by,
                "{record}"
            );
            assert!((sure - confidence).abs() < f64::EPSILON, "{record}: {sure}");
        }
    }
}
