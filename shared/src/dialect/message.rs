//! HTTP requests and responses as surfaces see them.

use serde_json::Value;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    pub method: String,
    /// Without a stage's name, as sent.
    pub path: String,
    /// Decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Stands in every error and in the log.
    pub request_id: String,
}

impl ApiRequest {
    /// A header's value without the spaces around it; one without a value is as good as not sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.trim()).filter(|value| !value.is_empty())
    }

    /// A parameter of the query; one that is blank is as good as not sent.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, v)| n == name && !v.trim().is_empty()).map(|(_, v)| v.as_str())
    }

    /// The path's segments.
    pub fn segments(&self) -> Vec<&str> {
        self.path.trim_start_matches('/').split('/').collect()
    }

    /// The key of `Authorization: Bearer KEY`.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, key) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
    }

    /// The types that the caller accepts, without their parameters, in the order sent; those of weight 0 left out.
    pub fn accepts(&self) -> impl Iterator<Item = &str> {
        let refused = |parameter: &str| {
            let weight = parameter.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
            weight.is_some_and(|q| q <= 0.0)
        };
        self.header("accept").unwrap_or_default().split(',').filter_map(move |accepted| {
            let mut parts = accepted.split(';');
            let media = parts.next()?.trim();
            (!parts.any(refused)).then_some(media)
        })
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiResponse {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl ApiResponse {
    pub fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type", content_type.to_owned()), ("cache-control", "no-store".to_owned())];
        Self { status, headers, body }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string().into_bytes())
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: vec![("cache-control", "no-store".to_owned())], body: Vec::new() }
    }

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
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
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
        assert_eq!(request(&[("authorization", "bearer  k1 ")]).bearer(), Some("k1"));
        assert_eq!(request(&[("authorization", "Basic abc")]).bearer(), None);
        assert_eq!(request(&[]).bearer(), None);
    }

    #[test]
    fn a_type_of_weight_zero_was_taken_for_the_wanted_one() {
        let request = request(&[("accept", "text/csv;q=0, application/json; q=0.5,*/*")]);
        assert_eq!(request.accepts().collect::<Vec<_>>(), ["application/json", "*/*"]);
    }
}
