//! The configuration of a function, read from its environment once, in Init. What is wrong is said
//! all at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::aws::{AwsLimits, AwsSettings};
use crate::domain::tenant::ENRICH_CONCURRENCY;
use crate::net::{Cidr, PlainHttp};
use crate::ports::QueueName;

/// The longest time that a GET may wait: its answer must come before API Gateway gives up, after 30
/// seconds.
pub const MAX_WAIT: Duration = Duration::from_secs(25);

/// Everything that a function reads from its environment. Secrets of providers are not in it; they
/// are looked up by name.
#[derive(Debug)]
pub struct Config {
    /// The table's name, from `MILLRACE_TABLE`.
    pub table: String,
    /// The queues that this function sends to or receives from, by URL.
    pub queues: BTreeMap<QueueName, String>,
    /// Region, credentials and endpoint of AWS.
    pub aws: AwsSettings,
    /// Hosts outside that may be reached.
    pub egress: EgressPolicy,
    /// Where the API is reached from outside, without a slash at the end.
    pub public_url: Option<String>,
    /// The time-out of the enrich function.
    pub enrich_timeout: Duration,
    /// The chunks that the fast enrich lane works on at once.
    pub enrich_concurrency: u32,
    /// The longest time that a GET waits.
    pub max_wait: Duration,
    /// The time that jobs and results are kept.
    pub retention: Duration,
    /// The least severe level that is logged.
    pub log: tracing::Level,
    /// Where `providers.toml` and its tables are.
    pub bundle: PathBuf,
}

/// Whom a process may reach outside, and how: the settings `MILLRACE_ALLOWED_CIDRS`, `_ALLOW_HTTP`,
/// `_NAMESERVER` and `_EXTRA_CA_FILE`.
#[derive(Debug, Clone, Default)]
pub struct EgressPolicy {
    /// Networks that may be reached although they are not public.
    pub allowed_cidrs: Vec<Cidr>,
    /// The URLs that may begin with `http:`.
    pub allow_http: PlainHttp,
    /// Lets `allowed_cidrs` open this machine's own addresses. Never on Lambda, whose runtime API
    /// and credentials are there.
    pub local: bool,
    /// Asked for names instead of the system's.
    pub nameserver: Option<SocketAddr>,
    /// PEM certificates trusted beside the built-in ones, for networks that inspect TLS.
    pub extra_ca_pem: Option<Vec<u8>>,
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is not usable: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

/// Returns the value of an environment variable; an empty one counts as not set. The only place
/// that reads the environment.
#[expect(clippy::disallowed_methods, reason = "the only place")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads variables and notes what is wrong with them.
struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn required(&mut self, name: &str) -> String {
        (self.get)(name).unwrap_or_else(|| {
            self.wrong.push(format!("{name} is not set"));
            String::new()
        })
    }

    /// Reads whether a function runs on this machine and not on Lambda. What Lambda sets is not a
    /// sign of it, because emulators set the same. So the local stack says it, the template cannot,
    /// and AWS must be here too: on Lambda it never is.
    fn local(&mut self) -> bool {
        let local = self.parsed("MILLRACE_LOCAL", false, "true or false", flag);
        let endpoint = (self.get)("AWS_ENDPOINT_URL").and_then(|url| url::Url::parse(&url).ok());
        let here = match endpoint.as_ref().and_then(url::Url::host) {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if local && !here {
            let why = "MILLRACE_LOCAL is for a stack on this machine, and AWS_ENDPOINT_URL names \
                       none here";
            self.wrong.push(why.to_owned());
        }
        local && here
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        default: T,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        match (self.get)(name) {
            None => default,
            Some(text) => parse(text.trim()).unwrap_or_else(|| {
                self.wrong
                    .push(format!("{name} is {text:?}, which is not {what}"));
                default
            }),
        }
    }
}

impl Config {
    /// Reads the configuration through `get`, and the extra CA file where one is named.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            get,
            wrong: Vec::new(),
        };
        let queues = [
            (QueueName::Enrich, "MILLRACE_QUEUE_ENRICH"),
            (QueueName::EnrichBulk, "MILLRACE_QUEUE_ENRICH_BULK"),
            (QueueName::Webhook, "MILLRACE_QUEUE_WEBHOOK"),
            (QueueName::WebhookRetry, "MILLRACE_QUEUE_WEBHOOK_RETRY"),
        ];
        let egress = EgressPolicy {
            local: reader.local(),
            ..EgressPolicy::of(&mut reader)
        };
        let whole = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
        let config = Self {
            table: reader.required("MILLRACE_TABLE"),
            queues: queues
                .into_iter()
                .filter_map(|(queue, name)| Some((queue, get(name)?)))
                .collect(),
            aws: AwsSettings {
                region: reader.required("AWS_REGION"),
                access_key_id: reader.required("AWS_ACCESS_KEY_ID"),
                secret_access_key: reader.required("AWS_SECRET_ACCESS_KEY"),
                session_token: get("AWS_SESSION_TOKEN"),
                endpoint_url: get("AWS_ENDPOINT_URL"),
                extra_ca_pem: egress.extra_ca_pem.clone(),
                metered: reader.parsed("MILLRACE_METERED", false, "true or false", flag),
                limits: AwsLimits::default(),
            },
            egress,
            public_url: get("MILLRACE_PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            enrich_timeout: Duration::from_secs(reader.parsed(
                "MILLRACE_ENRICH_TIMEOUT_S",
                120,
                "a number of seconds",
                whole,
            )),
            enrich_concurrency: reader.parsed(
                "MILLRACE_ENRICH_CONCURRENCY",
                ENRICH_CONCURRENCY,
                "a number of chunks",
                |text| text.parse().ok().filter(|n| *n > 0),
            ),
            max_wait: Duration::from_secs(reader.parsed(
                "MILLRACE_MAX_WAIT_S",
                MAX_WAIT.as_secs(),
                "a number of seconds from 0 to 25",
                |text| text.parse().ok().filter(|n| *n <= MAX_WAIT.as_secs()),
            )),
            retention: Duration::from_secs(24 * 3600)
                * u32::try_from(reader.parsed(
                    "MILLRACE_RETENTION_DAYS",
                    7,
                    "a number of days from 1 to 365",
                    |t| whole(t).filter(|d| *d <= 365),
                ))
                .unwrap_or(7),
            log: reader.parsed(
                "MILLRACE_LOG",
                tracing::Level::INFO,
                "error, warn, info, debug or trace",
                |t| t.parse().ok(),
            ),
            bundle: bundle(get),
        };
        if reader.wrong.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(reader.wrong))
        }
    }
}

impl EgressPolicy {
    /// Reads the settings of a process that is not a function through `get`, and the extra CA file
    /// where one is named.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            get,
            wrong: Vec::new(),
        };
        let egress = Self {
            local: true,
            ..Self::of(&mut reader)
        };
        if reader.wrong.is_empty() {
            Ok(egress)
        } else {
            Err(ConfigError(reader.wrong))
        }
    }

    fn of(reader: &mut Reader<'_>) -> Self {
        let extra_ca_pem =
            (reader.get)("MILLRACE_EXTRA_CA_FILE").and_then(|path| match std::fs::read(&path) {
                Ok(pem) => Some(pem),
                Err(error) => {
                    reader.wrong.push(format!(
                        "MILLRACE_EXTRA_CA_FILE is {path:?}, which cannot be read: {error}"
                    ));
                    None
                }
            });
        let mut allowed_cidrs = Vec::new();
        for text in (reader.get)("MILLRACE_ALLOWED_CIDRS")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|t| !t.is_empty())
        {
            match text.parse() {
                Ok(cidr) => allowed_cidrs.push(cidr),
                Err(error) => reader
                    .wrong
                    .push(format!("MILLRACE_ALLOWED_CIDRS: {error}")),
            }
        }
        Self {
            allowed_cidrs,
            allow_http: reader.parsed(
                "MILLRACE_ALLOW_HTTP",
                PlainHttp::default(),
                "false, surfaces or true",
                |text| text.parse().ok(),
            ),
            local: false,
            nameserver: reader.parsed(
                "MILLRACE_NAMESERVER",
                None,
                "an address and port like 10.0.0.2:53",
                |text| text.parse().ok().map(Some),
            ),
            extra_ca_pem,
        }
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Where the bundle's files are: named, else beside the binary on Lambda, else in a checkout.
fn bundle(get: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    match get("MILLRACE_BUNDLE")
        .or_else(|| get("LAMBDA_TASK_ROOT"))
        .map(PathBuf::from)
    {
        Some(dir) if dir.join(crate::catalog::CONFIG_FILE).is_file() => dir,
        named => {
            let checkout = PathBuf::from("infra");
            if checkout.join(crate::catalog::CONFIG_FILE).is_file() {
                checkout
            } else {
                named.unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let get = |name: &str| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        };
        Config::read(&get)
    }

    const LEAST: [(&str, &str); 4] = [
        ("MILLRACE_TABLE", "t"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];

    #[test]
    fn everything_missing_is_said_at_once() {
        let error = read(&[
            ("MILLRACE_ALLOWED_CIDRS", "10.0.0.0/8, nonsense"),
            ("MILLRACE_LOG", "loud"),
        ])
        .unwrap_err();
        let text = error.to_string();
        for part in [
            "MILLRACE_TABLE",
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "nonsense",
            "loud",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
    }

    #[test]
    fn the_least_configuration_has_safe_defaults() {
        let config = read(&LEAST).unwrap();
        assert_eq!(config.egress.allow_http, PlainHttp::Surfaces);
        assert!(
            !config.egress.local
                && config.egress.allowed_cidrs.is_empty()
                && config.egress.nameserver.is_none()
        );
        assert_eq!(config.enrich_timeout, Duration::from_secs(120));
        assert_eq!(config.retention, Duration::from_secs(7 * 24 * 3600));
        assert_eq!(config.enrich_concurrency, ENRICH_CONCURRENCY);
        assert_eq!(config.max_wait, MAX_WAIT);
    }

    #[test]
    fn a_deployment_may_bound_waits_down_to_none() {
        for seconds in [0, 7, 25] {
            let text = seconds.to_string();
            let pairs = [&LEAST[..], &[("MILLRACE_MAX_WAIT_S", text.as_str())]].concat();
            assert_eq!(read(&pairs).unwrap().max_wait, Duration::from_secs(seconds));
        }
    }

    /// Emulators set Lambda's variables too, so that these decide nothing.
    #[test]
    fn a_function_is_local_only_where_the_local_stack_says_so() {
        let (local, here) = (
            ("MILLRACE_LOCAL", "true"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        );
        let lambda = [
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ("AWS_EXECUTION_ENV", "x"),
        ];
        let of = |more: &[(&str, &str)]| read(&[&LEAST[..], more].concat());
        assert!(!of(&[]).unwrap().egress.local);
        assert!(!of(&lambda).unwrap().egress.local);
        assert!(!of(&[here]).unwrap().egress.local);
        assert!(of(&[local, here]).unwrap().egress.local);
        assert!(
            of(&[&[local, here][..], &lambda].concat())
                .unwrap()
                .egress
                .local
        );
        assert!(
            of(&[local, ("AWS_ENDPOINT_URL", "http://[::1]:4566")])
                .unwrap()
                .egress
                .local
        );
        assert!(
            !of(&[("MILLRACE_LOCAL", "false"), here])
                .unwrap()
                .egress
                .local
        );
        for elsewhere in [
            "https://dynamodb.eu-west-1.amazonaws.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "x",
        ] {
            assert!(
                of(&[local, ("AWS_ENDPOINT_URL", elsewhere)]).is_err(),
                "{elsewhere}"
            );
        }
        assert!(of(&[local]).is_err());
    }

    #[test]
    fn zero_days_and_bad_switches_are_refused() {
        for pair in [
            ("MILLRACE_RETENTION_DAYS", "0"),
            ("MILLRACE_ENRICH_CONCURRENCY", "0"),
            ("MILLRACE_MAX_WAIT_S", "26"),
            ("MILLRACE_MAX_WAIT_S", "-1"),
            ("MILLRACE_ALLOW_HTTP", "maybe"),
            ("MILLRACE_NAMESERVER", "dns"),
        ] {
            let mut pairs = LEAST.to_vec();
            pairs.push(pair);
            assert!(read(&pairs).is_err(), "{pair:?}");
        }
    }
}
