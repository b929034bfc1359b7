//! Requests and responses as Lambda events.

use lambda_http::{Body, Request, RequestExt, Response};

pub use crate::dialect::message::{ApiRequest, ApiResponse};

impl ApiRequest {
    /// Reads a request of API Gateway.
    pub fn of(request: Request) -> Self {
        let context = request.lambda_context_ref().map(|c| c.request_id.clone()).unwrap_or_default();
        let query = request.uri().query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = request.raw_http_path().to_owned();
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let headers = headers.collect();
        let method = request.method().as_str().to_owned();
        let body = match request.into_body() {
            Body::Text(text) => text.into_bytes(),
            Body::Binary(bytes) => bytes,
            _ => Vec::new(),
        };
        Self { method, path, query, headers, body, request_id: context }
    }
}

impl ApiResponse {
    /// For API Gateway. Our bodies are UTF-8, so that they travel as text.
    pub fn into_lambda(self) -> Result<Response<Body>, lambda_http::http::Error> {
        let mut builder = Response::builder().status(self.status);
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        let body = match String::from_utf8(self.body) {
            Ok(text) if text.is_empty() => Body::Empty,
            Ok(text) => Body::Text(text),
            Err(bytes) => Body::Binary(bytes.into_bytes()),
        };
        builder.body(body)
    }
}
