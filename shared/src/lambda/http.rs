//! Requests and responses as API Gateway exchanges them with Lambda.
//!
//! The payload has six members that count here, and a reader of a whole `http::Request` fails on
//! more than it needs to: callers need not encode a query, and API Gateway passes it on as it came.
//! Source: API Gateway developer guide, working with AWS Lambda proxy integrations for HTTP APIs,
//! payload format version 2.0.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

pub use crate::surfaces::common::message::{ApiRequest, ApiResponse};

/// A request as API Gateway sends it to a function.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRequest {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    /// Names in lower case; the values of a repeated header are joined with commas.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
struct Context {
    http: Http,
}

#[derive(Debug, Deserialize)]
struct Http {
    method: String,
}

impl GatewayRequest {
    /// The request; `request_id` is the invocation's.
    pub fn into_api(self, request_id: String) -> ApiRequest {
        let body = self.body.unwrap_or_default();
        // What is not base 64 is not a body: its text is refused like any other that is not JSON.
        let decoded = if self.is_base64_encoded {
            STANDARD.decode(&body).ok()
        } else {
            None
        };
        ApiRequest {
            method: self.request_context.http.method,
            path: self.raw_path,
            query: url::form_urlencoded::parse(self.raw_query_string.as_bytes())
                .into_owned()
                .collect(),
            headers: self
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            body: decoded.unwrap_or_else(|| body.into_bytes()),
            request_id,
        }
    }
}

/// A response as API Gateway takes it from a function.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResponse {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    body: String,
    is_base64_encoded: bool,
}

impl From<ApiResponse> for GatewayResponse {
    /// Our bodies are UTF-8, so that they travel as text.
    fn from(response: ApiResponse) -> Self {
        let (body, is_base64_encoded) = match String::from_utf8(response.body) {
            Ok(text) => (text, false),
            Err(other) => (STANDARD.encode(other.as_bytes()), true),
        };
        let headers = response.headers.into_iter().collect();
        Self {
            status_code: response.status,
            headers,
            body,
            is_base64_encoded,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(change: impl FnOnce(&mut Value)) -> ApiRequest {
        let mut event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/v1/jobs", "rawQueryString": "",
            "headers": {"host": "api.example.com", "x-api-key": "k"},
            "requestContext": {"http": {"method": "GET", "path": "/v1/jobs"}, "stage": "$default"},
            "isBase64Encoded": false,
        });
        change(&mut event);
        serde_json::from_value::<GatewayRequest>(event)
            .unwrap()
            .into_api("r-1".to_owned())
    }

    #[test]
    fn a_query_or_host_that_is_not_a_uri_is_read() {
        for (sent, read_as) in [
            (
                "cursor=<1>&limit=5",
                vec![("cursor", "<1>"), ("limit", "5")],
            ),
            ("cursor=a b\\c\"d", vec![("cursor", "a b\\c\"d")]),
            ("cursor=%3C1%3E+%zz", vec![("cursor", "<1> %zz")]),
            ("ü=\u{0}", vec![("ü", "\u{0}")]),
        ] {
            let request = read(|event| event["rawQueryString"] = sent.into());
            let query: Vec<(&str, &str)> = request
                .query
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            assert_eq!(query, read_as, "{sent}");
        }
        for host in ["a b", "[::", "", "a:b:c", "ü"] {
            let request = read(|event| event["headers"]["host"] = host.into());
            let sent = Some(host).filter(|host| !host.is_empty());
            assert_eq!(
                (request.path.as_str(), request.header("host")),
                ("/v1/jobs", sent)
            );
        }
        assert_eq!(
            read(|event| event["rawPath"] = "//a b/<ü>".into()).path,
            "//a b/<ü>"
        );
    }

    #[test]
    fn bodies_are_text_or_base_64() {
        let body = |text: &str, encoded: bool| {
            read(|event| {
                event["body"] = text.into();
                event["isBase64Encoded"] = encoded.into();
            })
            .body
        };
        assert_eq!(body("{}", false), b"{}");
        assert_eq!(body("e30=", true), b"{}");
        assert_eq!(body("{}", true), b"{}", "no base 64");
        assert_eq!(read(|event| event["body"] = Value::Null).body, b"");
        assert_eq!(read(|_| {}).request_id, "r-1");
    }

    #[test]
    fn a_response_keeps_status_headers_and_bytes() {
        let response = ApiResponse::json(202, &json!({"a": "ü"})).with("location", "/v1/jobs/x");
        assert_eq!(
            serde_json::to_value(GatewayResponse::from(response)).unwrap(),
            json!({
                "statusCode": 202,
                "headers": {
                    "cache-control": "no-store",
                    "content-type": "application/json",
                    "location": "/v1/jobs/x",
                },
                "body": "{\"a\":\"ü\"}",
                "isBase64Encoded": false,
            })
        );
        let binary = serde_json::to_value(GatewayResponse::from(ApiResponse::new(
            200,
            "x/y",
            vec![255],
        )))
        .unwrap();
        assert_eq!(
            (&binary["body"], &binary["isBase64Encoded"]),
            (&json!("/w=="), &json!(true))
        );
    }
}
