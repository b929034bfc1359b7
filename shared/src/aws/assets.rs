//! Secrets in parameters of AWS Systems Manager, tables in Amazon S3.

use std::fmt;
use std::sync::LazyLock;

use async_trait::async_trait;

use super::failure::{Failure, failure};
use crate::ports::{AssetError, Assets, Object, ObjectName};

type Lazy<T> = LazyLock<T, Box<dyn FnOnce() -> T + Send>>;

/// The [`Assets`] of an AWS account, in the region of the other services. The clients are made when they are first used.
pub struct AwsAssets {
    ssm: Lazy<aws_sdk_ssm::Client>,
    s3: Lazy<aws_sdk_s3::Client>,
}

impl fmt::Debug for AwsAssets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAssets").finish_non_exhaustive()
    }
}

impl AwsAssets {
    pub(super) fn new(
        ssm: Box<dyn FnOnce() -> aws_sdk_ssm::Client + Send>,
        s3: Box<dyn FnOnce() -> aws_sdk_s3::Client + Send>,
    ) -> Self {
        Self { ssm: LazyLock::new(ssm), s3: LazyLock::new(s3) }
    }
}

impl From<Failure> for AssetError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Throttled => Self::Unavailable("too many questions".to_owned()),
            Failure::Conflict => Self::Unavailable("another call holds it".to_owned()),
            Failure::Unavailable(why) => Self::Unavailable(why),
            Failure::Refused(why) => Self::Refused(why),
        }
    }
}

#[async_trait]
impl Assets for AwsAssets {
    async fn parameter(&self, name: &str) -> Result<String, AssetError> {
        match self.ssm.get_parameter().name(name).with_decryption(true).send().await {
            Ok(answer) => answer.parameter.and_then(|parameter| parameter.value).ok_or(AssetError::Missing),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_parameter_not_found()) => {
                Err(AssetError::Missing)
            }
            Err(error) => Err(failure(&error).into()),
        }
    }

    async fn object(
        &self,
        name: &ObjectName,
        unless: Option<&str>,
        max_bytes: usize,
    ) -> Result<Option<Object>, AssetError> {
        let call = self.s3.get_object().bucket(&name.bucket).key(&name.key);
        let answer = call.set_if_none_match(unless.map(str::to_owned)).send().await;
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                return match error.raw_response().map(|raw| raw.status().as_u16()) {
                    Some(304) if unless.is_some() => Ok(None),
                    Some(404) => Err(AssetError::Missing),
                    _ => Err(failure(&error).into()),
                };
            }
        };
        let length = answer.content_length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        if length > max_bytes {
            return Err(AssetError::TooLarge(max_bytes));
        }
        let mut bytes = Vec::with_capacity(length);
        while let Some(part) = answer.body.next().await {
            let part = part.map_err(|_| AssetError::Unavailable("the answer broke off".to_owned()))?;
            if bytes.len() + part.len() > max_bytes {
                return Err(AssetError::TooLarge(max_bytes));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Some(Object { tag: answer.e_tag.unwrap_or_default(), bytes }))
    }
}
