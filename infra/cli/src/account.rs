//! The AWS account that an operator works in: credentials, region, endpoint.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use shared::aws::{AwsLimits, AwsSettings};
use tokio::process::Command;

use crate::failure::Failure;
use crate::settings::CliSettings;

/// A person waits here, over any line; the functions' limits are tighter.
const LIMITS: AwsLimits = AwsLimits {
    attempt: Duration::from_secs(5),
    operation: Duration::from_secs(20),
    attempts: 4,
    first_wait: Duration::from_millis(200),
};

/// Options of what goes straight to AWS.
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, where backticks are only noise"
)]
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Account {
    /// A profile of the AWS command line, which must be installed [env: AWS_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The deployment's region [env: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
}

/// Returns the settings of the AWS clients. `endpoint_url` overrides the one of all services.
pub(crate) async fn settings(
    settings: &CliSettings,
    account: &Account,
    endpoint_url: Option<String>,
) -> Result<AwsSettings, Failure> {
    let login = login(settings, account).await?;
    let endpoint_url = endpoint_url.or_else(|| settings.get("AWS_ENDPOINT_URL"));
    let extra_ca_pem = settings.get("AWS_CA_BUNDLE").map(std::fs::read).transpose();
    Ok(AwsSettings {
        region: region(settings, account, endpoint_url.is_some()).await?,
        access_key_id: login.access_key_id,
        secret_access_key: login.secret_access_key,
        session_token: login.session_token,
        endpoint_url,
        extra_ca_pem: extra_ca_pem
            .map_err(|error| Failure::usage(format!("AWS_CA_BUNDLE cannot be read: {error}")))?,
        metered: false,
        limits: LIMITS,
    })
}

/// AWS credentials. Has no `Debug`.
struct Login {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Returns the credentials of the environment, unless a profile is named.
///
/// Else it asks the AWS command line, which knows profiles, single sign-on, assumed roles and
/// credential processes.
async fn login(settings: &CliSettings, account: &Account) -> Result<Login, Failure> {
    let own = settings
        .get("AWS_ACCESS_KEY_ID")
        .zip(settings.get("AWS_SECRET_ACCESS_KEY"));
    if let (None, Some((access_key_id, secret_access_key))) = (&account.profile, own) {
        return Ok(Login {
            access_key_id,
            secret_access_key,
            session_token: settings.get("AWS_SESSION_TOKEN"),
        });
    }
    let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install version 2 of the AWS \
        command line, log in, and name a --profile";
    let text = aws(
        settings,
        account,
        &["configure", "export-credentials", "--format", "process"],
    )
    .await;
    let text = text.map_err(|why| Failure::usage(format!("no AWS credentials: {why}; {hint}")))?;
    exported(&text)
        .ok_or_else(|| Failure::usage(format!("no AWS credentials: `aws` printed none; {hint}")))
}

/// Source: AWS SDKs and Tools reference, process credential provider, version 1.
fn exported(text: &str) -> Option<Login> {
    let answer: Value = serde_json::from_str(text).ok()?;
    let text = |name: &str| {
        answer[name]
            .as_str()
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let (access_key_id, secret_access_key) = text("AccessKeyId").zip(text("SecretAccessKey"))?;
    Some(Login {
        access_key_id,
        secret_access_key,
        session_token: text("SessionToken"),
    })
}

async fn region(
    settings: &CliSettings,
    account: &Account,
    own_endpoint: bool,
) -> Result<String, Failure> {
    let named = account
        .region
        .clone()
        .or_else(|| settings.get("AWS_REGION"))
        .or_else(|| settings.get("AWS_DEFAULT_REGION"));
    if let Some(region) = named {
        return Ok(region);
    }
    match aws(settings, account, &["configure", "get", "region"]).await {
        Ok(region) if !region.trim().is_empty() => Ok(region.trim().to_owned()),
        // An endpoint of one's own is where it is; the region only goes into the signature.
        _ if own_endpoint => Ok("us-east-1".to_owned()),
        _ => Err(Failure::usage(
            "AWS_REGION is not set: give --region, or set it",
        )),
    }
}

/// Runs the AWS command line for its output. What it says to a person goes to the person.
async fn aws(settings: &CliSettings, account: &Account, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("aws");
    command
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    if let Some(profile) = account
        .profile
        .clone()
        .or_else(|| settings.get("AWS_PROFILE"))
    {
        command.args(["--profile", &profile]);
    }
    let output = command.output().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "the environment has none, and `aws` is not installed".to_owned()
        }
        _ => format!("`aws` cannot be run: {error}"),
    })?;
    if !output.status.success() {
        return Err(format!("`aws {}` failed", args.join(" ")));
    }
    String::from_utf8(output.stdout).map_err(|_| "`aws` printed no text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_credentials_are_read() {
        let login = exported(
            r#"{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t"}"#,
        )
        .unwrap();
        assert_eq!(
            (login.access_key_id.as_str(), login.session_token.as_deref()),
            ("a", Some("t"))
        );
        assert!(exported(r#"{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": ""}"#).is_none());
        assert!(exported("").is_none());
    }
}
