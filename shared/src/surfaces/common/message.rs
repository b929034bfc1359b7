//! HTTP requests and responses as surfaces see them.

use serde::Serialize;
use serde_json::{Map, Value};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// The method in upper case.
    pub method: String,
    /// The path as routes have it: with a leading slash, without a stage's name.
    pub path: String,
    /// Decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body, without the base 64 of API Gateway's event.
    pub body: Vec<u8>,
    /// The id that is in every error and in the log.
    pub request_id: String,
}

impl ApiRequest {
    /// Returns a header's value, trimmed; `None` if it is blank.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.trim())
            .filter(|value| !value.is_empty())
    }

    /// Returns a parameter of the query; `None` if it is blank.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, v)| n == name && !v.trim().is_empty())
            .map(|(_, v)| v.as_str())
    }

    /// Returns the path's segments.
    pub fn segments(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    /// Returns the key of `Authorization: Bearer KEY`.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, key) = self.header("authorization")?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| key.trim())
            .filter(|key| !key.is_empty())
    }

    /// Returns the offered media type that the caller prefers; `None` if it accepts none of them
    /// or sends no `Accept`. Of equal weights a named type goes before a `*`, then the first in the
    /// header, then the first on offer. Parameters other than the weight are ignored. Source: RFC
    /// 9110, section 12.5.1.
    pub fn preferred<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        let ranges: Vec<(&str, u16)> = self
            .header("accept")
            .unwrap_or_default()
            .split(',')
            .map(range)
            .collect();
        let wanted = offers.iter().enumerate().filter_map(|(nth, offered)| {
            let fits = |(at, (range, weight)): (usize, &(&str, u16))| {
                Some((specificity(range, offered)?, std::cmp::Reverse(at), *weight))
            };
            // The most specific range counts.
            let (specific, at, weight) = ranges.iter().enumerate().filter_map(fits).max()?;
            Some(((weight, specific, at, std::cmp::Reverse(nth)), *offered)).filter(|_| weight > 0)
        });
        wanted.max().map(|(_, offered)| offered)
    }
}

/// A media range and its weight in thousandths; 1 where it has none that can be read.
fn range(accepted: &str) -> (&str, u16) {
    let mut parts = accepted.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        part.split_once('=')
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
    });
    (
        range,
        weight
            .and_then(|(_, weight)| thousandths(weight.trim()))
            .unwrap_or(1000),
    )
}

/// `0`, `0.5`, `1.000`. Source: RFC 9110, section 12.4.2.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3.3}")
        .parse()
        .ok()
        .filter(|_| digits)?;
    match whole {
        "1" => Some(1000),
        "0" => Some(fraction),
        "" if weight.len() > 1 => Some(fraction),
        _ => None,
    }
}

/// Returns how closely a range names a media type; `None` where it is not in it.
fn specificity(range: &str, media: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(media) {
        return Some(2);
    }
    let whole = range.strip_suffix("/*")?;
    match whole {
        "*" => Some(0),
        _ => media
            .split('/')
            .next()
            .filter(|kind| kind.eq_ignore_ascii_case(whole))
            .map(|_| 1),
    }
}

/// Writes a body as JSON. What was sent is written as it was sent.
pub fn json_bytes(body: &impl Serialize) -> Vec<u8> {
    // Bodies are structs, and maps whose names are texts; writing those to memory does not fail.
    serde_json::to_vec(body).unwrap_or_default()
}

/// Returns the members of a body of our own words. A body with what was sent in it goes to
/// [`json_bytes`]: here its numbers would be written anew.
pub fn json_members(body: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(body) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case, with their values.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes of the body; empty for none.
    pub body: Vec<u8>,
}

impl ApiResponse {
    /// Makes a response that no cache may keep.
    pub fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![
            ("content-type", content_type.to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        Self {
            status,
            headers,
            body,
        }
    }

    /// Makes a response with a body of type `application/json`.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self::new(status, "application/json", json_bytes(body))
    }

    /// Makes a response without a body, such as a 204.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: vec![("cache-control", "no-store".to_owned())],
            body: Vec::new(),
        }
    }

    /// Adds a header; one of the same name is sent too.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> ApiRequest {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        ApiRequest {
            method: "GET".into(),
            path: "/v1/jobs".into(),
            query: Vec::new(),
            headers,
            body: Vec::new(),
            request_id: "r".into(),
        }
    }

    #[test]
    fn bearer_is_read_in_any_case_and_other_schemes_are_not() {
        assert_eq!(
            request(&[("authorization", "bearer  k1 ")]).bearer(),
            Some("k1")
        );
        assert_eq!(request(&[("authorization", "Basic abc")]).bearer(), None);
        assert_eq!(request(&[]).bearer(), None);
    }

    #[test]
    fn the_type_that_is_wanted_most_is_chosen() {
        const OFFERS: [&str; 4] = [
            "application/json",
            "application/x-ndjson",
            "application/jsonl",
            "text/csv",
        ];
        for (accept, wanted) in [
            ("", None),
            ("*/*", Some("application/json")),
            ("application/*", Some("application/json")),
            ("text/*", Some("text/csv")),
            ("Text/CSV", Some("text/csv")),
            (
                "APPLICATION/JSONL; charset=utf-8",
                Some("application/jsonl"),
            ),
            ("text/csv;charset=utf-8;q=0.9", Some("text/csv")),
            ("application/json;q=0.5, text/csv", Some("text/csv")),
            (
                "application/json;q=0.5,text/csv;q=0.4",
                Some("application/json"),
            ),
            ("text/csv;q=0.501,application/json;q=0.5", Some("text/csv")),
            (
                "text/csv ; Q=0.9 , application/json ; q = 0.95",
                Some("application/json"),
            ),
            ("text/csv, application/json", Some("text/csv")),
            ("application/json, text/csv", Some("application/json")),
            ("text/csv, */*", Some("text/csv")),
            ("*/*, text/csv", Some("text/csv")),
            (
                "*/*;q=0.1, application/x-ndjson;q=0.2",
                Some("application/x-ndjson"),
            ),
            (
                "text/csv;q=0, application/json; q=0.5,*/*",
                Some("application/x-ndjson"),
            ),
            (
                "text/csv;q=0, application/json; q=0.5",
                Some("application/json"),
            ),
            (
                "application/*;q=0.3, application/json;q=0, text/csv;q=0.2",
                Some("application/x-ndjson"),
            ),
            ("application/json;q=0.000", None),
            ("*/*;q=0", None),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Some("application/json"),
            ),
            ("text/html", None),
            ("text/csv;q=abc", Some("text/csv")),
            ("text/csv;q=", Some("text/csv")),
            ("text/csv;q=-1", Some("text/csv")),
            ("text/csv;q=NaN, application/json", Some("text/csv")),
            (",, ;q=1, text/csv,", Some("text/csv")),
            ("*", None),
            ("text", None),
            ("text/csvx, text", None),
            ("text/csv;q=0.33333", Some("text/csv")),
            ("text/csv;q=0.ü", Some("text/csv")),
        ] {
            assert_eq!(
                request(&[("accept", accept)]).preferred(&OFFERS),
                wanted,
                "{accept}"
            );
        }
        assert_eq!(request(&[]).preferred(&OFFERS), None);
    }
}
