//! Secrets in parameters of AWS Systems Manager, tables in Amazon S3.
//!
//! Two requests, built here and signed by the crate that the SDKs sign with. The SDKs themselves
//! would add 2.1 MB to a binary of 8.3 (measured, release profile), which is loaded at every Init,
//! and two minutes to a build.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::failure::{Failure, coded};
use super::service::Service;
use super::settings::AwsSettings;
use crate::ports::{AssetError, Assets, Clock, Entropy, Object, ObjectName};

/// The most of an error answer that is read.
const MAX_ERROR_BYTES: usize = 16 * 1024;
/// A parameter has 8 KiB at most (AWS Systems Manager, advanced parameters), and JSON around it.
const MAX_PARAMETER_BYTES: usize = 64 * 1024;

/// Characters that stay as they are in the path of an object: RFC 3986's unreserved characters and
/// the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The [`Assets`] of an AWS account, in the region of the other services.
pub struct AwsAssets {
    settings: AwsSettings,
    connector: SharedHttpConnector,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for AwsAssets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAssets").finish_non_exhaustive()
    }
}

/// A request before it is signed.
struct Wanted {
    service: Service,
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// No more of an answer is read.
    max_bytes: usize,
}

/// An answer, whatever its status.
struct Answer {
    status: u16,
    tag: Option<String>,
    body: Vec<u8>,
}

impl AwsAssets {
    pub(super) fn new(
        settings: AwsSettings,
        connector: SharedHttpConnector,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            settings,
            connector,
            clock,
            entropy,
        }
    }

    fn endpoint(&self, service: Service) -> String {
        let own = self
            .settings
            .endpoint_url
            .as_deref()
            .map(|url| url.trim_end_matches('/').to_owned());
        own.unwrap_or_else(|| service.endpoint(&self.settings.region))
    }

    /// Where an object is: below its bucket's own name, unless there is none in the certificate for
    /// it.
    fn url_of(&self, name: &ObjectName) -> String {
        let endpoint = self.endpoint(Service::Objects);
        let key = utf8_percent_encode(&name.key, PATH);
        match endpoint.strip_prefix("https://") {
            Some(host) if self.settings.endpoint_url.is_none() && !name.bucket.contains('.') => {
                format!("https://{}.{host}/{key}", name.bucket)
            }
            _ => format!("{endpoint}/{}/{key}", name.bucket),
        }
    }

    /// Asks until there is an answer that asking again would not change, or the attempts are used
    /// up.
    async fn ask(&self, wanted: &Wanted) -> Result<Answer, AssetError> {
        let limits = self.settings.limits;
        let mut wait = limits.first_wait;
        for _ in 1..limits.attempts {
            match self.attempt(wanted, limits.attempt).await {
                Err(AssetError::Unavailable(_)) => {}
                came => return came,
            }
            TokioSleep::new()
                .sleep(wait.mul_f64(0.5 + self.entropy.unit() / 2.0))
                .await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
        self.attempt(wanted, limits.attempt).await
    }

    /// `limit` is for all of an answer but its body, which takes as long as it takes: who asks
    /// bounds the whole.
    async fn attempt(&self, wanted: &Wanted, limit: Duration) -> Result<Answer, AssetError> {
        let unavailable = |why: &str| AssetError::Unavailable(why.to_owned());
        let request = self.signed(wanted)?;
        let answer =
            Timeout::new(self.connector.call(request), TokioSleep::new().sleep(limit)).await;
        let answer = answer.map_err(|_| unavailable("no answer in time"))?;
        let answer: HttpResponse = answer.map_err(|_| unavailable("the connection failed"))?;
        let status = answer.status().as_u16();
        let tag = answer.headers().get("etag").map(str::to_owned);
        // Of what is not content only the beginning counts, however long it is or says that the
        // content would be (304).
        let content = (200..=299).contains(&status);
        let max_bytes = if content {
            wanted.max_bytes
        } else {
            MAX_ERROR_BYTES
        };
        let length = answer
            .headers()
            .get("content-length")
            .and_then(|length| length.parse::<usize>().ok());
        if content && length.is_some_and(|length| length > max_bytes) {
            return Err(AssetError::TooLarge(max_bytes));
        }
        let mut stream = ByteStream::new(answer.into_body());
        let mut body = Vec::with_capacity(length.unwrap_or_default().min(max_bytes));
        while let Some(part) = stream.next().await {
            let part = part.map_err(|_| unavailable("the answer broke off"))?;
            if body.len() + part.len() > max_bytes {
                if content {
                    return Err(AssetError::TooLarge(max_bytes));
                }
                break;
            }
            body.extend_from_slice(&part);
        }
        match status {
            200..=299 | 304 => Ok(Answer { status, tag, body }),
            404 => Err(AssetError::Missing),
            _ => Err(refused(status, &body)),
        }
    }

    fn signed(&self, wanted: &Wanted) -> Result<HttpRequest, AssetError> {
        let broken = |_| AssetError::Refused("the request cannot be made".to_owned());
        let AwsSettings {
            access_key_id,
            secret_access_key,
            session_token,
            region,
            ..
        } = &self.settings;
        let identity =
            Credentials::from_keys(access_key_id, secret_access_key, session_token.clone()).into();
        // Source: AWS Signature Version 4; paths of S3 are encoded once and taken as they are.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let since = Duration::from_millis(u64::try_from(self.clock.now().0).unwrap_or_default());
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(wanted.service.name())
            .time(UNIX_EPOCH + since)
            .settings(settings)
            .build()
            .map_err(|_| AssetError::Refused("the request cannot be signed".to_owned()))?
            .into();
        let headers = wanted
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let body = SignableBody::Bytes(&wanted.body);
        let signable = SignableRequest::new(wanted.method, wanted.url.as_str(), headers, body);
        let signed = signable.and_then(|signable| sign(signable, &params));
        let signed =
            signed.map_err(|_| AssetError::Refused("the request cannot be signed".to_owned()))?;
        let mut request = HttpRequest::new(SdkBody::from(wanted.body.clone()));
        request.set_method(wanted.method).map_err(broken)?;
        request.set_uri(wanted.url.as_str()).map_err(broken)?;
        for (name, value) in &wanted.headers {
            request.headers_mut().insert(*name, value.clone());
        }
        for (name, value) in signed.into_parts().0.headers() {
            request
                .headers_mut()
                .insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }
}

/// The error of an answer, by its code and never by its text. JSON has it in `__type`, behind a
/// namespace; XML in `Code`.
fn refused(status: u16, body: &[u8]) -> AssetError {
    let text = String::from_utf8_lossy(body);
    let in_json = || {
        let error: Value = serde_json::from_str(&text).ok()?;
        Some(
            error
                .get("__type")?
                .as_str()?
                .rsplit('#')
                .next()?
                .to_owned(),
        )
    };
    let in_xml = || {
        text.split_once("<Code>")?
            .1
            .split_once("</Code>")
            .map(|(code, _)| code.to_owned())
    };
    let code = in_json()
        .or_else(in_xml)
        .filter(|code| code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric()));
    if code.as_deref() == Some("ParameterNotFound") {
        return AssetError::Missing;
    }
    match coded(code.as_deref(), status) {
        Failure::Throttled => AssetError::Unavailable("too many questions".to_owned()),
        Failure::Conflict => AssetError::Unavailable("another call has locked it".to_owned()),
        Failure::Unavailable(why) => AssetError::Unavailable(why),
        Failure::Refused(why) => AssetError::Refused(why),
    }
}

#[async_trait]
impl Assets for AwsAssets {
    async fn parameter(&self, name: &str) -> Result<String, AssetError> {
        let wanted = Wanted {
            service: Service::Parameters,
            method: "POST",
            url: format!("{}/", self.endpoint(Service::Parameters)),
            headers: vec![
                ("content-type", "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target", "AmazonSSM.GetParameter".to_owned()),
            ],
            body: json!({"Name": name, "WithDecryption": true})
                .to_string()
                .into_bytes(),
            max_bytes: MAX_PARAMETER_BYTES,
        };
        let answer = self.ask(&wanted).await?;
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let value = json
            .as_ref()
            .and_then(|json| json.pointer("/Parameter/Value")?.as_str());
        value
            .map(str::to_owned)
            .ok_or_else(|| AssetError::Unavailable("the answer has no value".to_owned()))
    }

    async fn object(
        &self,
        name: &ObjectName,
        unless: Option<&str>,
        max_bytes: usize,
    ) -> Result<Option<Object>, AssetError> {
        let wanted = Wanted {
            service: Service::Objects,
            method: "GET",
            url: self.url_of(name),
            headers: unless
                .map(|tag| ("if-none-match", tag.to_owned()))
                .into_iter()
                .collect(),
            body: Vec::new(),
            max_bytes,
        };
        let answer = self.ask(&wanted).await?;
        if answer.status == 304 {
            return Ok(None);
        }
        Ok(Some(Object {
            tag: answer.tag.unwrap_or_default(),
            bytes: answer.body,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_follows_from_its_code() {
        let json = |code: &str| {
            format!(r#"{{"__type": "com.amazonaws.ssm#{code}", "message": "secret-in-message"}}"#)
        };
        let xml = |code: &str| {
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>")
        };
        let unavailable = |why: &str| AssetError::Unavailable(why.to_owned());
        for (status, body, wanted) in [
            (400, json("ParameterNotFound"), AssetError::Missing),
            (
                400,
                json("ThrottlingException"),
                unavailable("too many questions"),
            ),
            (
                400,
                json("AccessDeniedException"),
                AssetError::Refused("400 AccessDeniedException".to_owned()),
            ),
            (
                403,
                xml("AccessDenied"),
                AssetError::Refused("403 AccessDenied".to_owned()),
            ),
            (503, xml("SlowDown"), unavailable("503 SlowDown")),
            (500, String::new(), unavailable("500 ")),
            (
                403,
                xml("<b>no code</b>"),
                AssetError::Refused("403 ".to_owned()),
            ),
        ] {
            assert_eq!(refused(status, body.as_bytes()), wanted, "{status} {body}");
        }
    }
}
