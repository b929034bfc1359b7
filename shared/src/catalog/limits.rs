//! Limits of any provider that sends requests: how often, how many at once, when not, and how long
//! an answer is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::error::ConfigError;
use super::reader::{Entry, Table};
use super::settings::Settings;

/// The limits that spare a provider's upstream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitsConfig {
    /// The most requests in a time; `None` for any number.
    pub rate: Option<RateConfig>,
    /// HTTP exchanges at once of one process, 1 to 64. All processes together have this many times
    /// the number of processes.
    pub concurrency: Option<usize>,
    /// The rules for leaving a dead upstream alone; `None` for never.
    pub breaker: Option<BreakerConfig>,
    /// The times that answers are kept; `None` for not at all.
    pub cache: Option<CacheConfig>,
}

/// The most HTTP requests in a time, of all processes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateConfig {
    /// At least 1.
    pub requests: u32,
    /// 1 s or 60 s.
    pub per: Duration,
}

/// The rules by which an upstream is taken for dead, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BreakerConfig {
    /// The number of consecutive failures that opens it.
    pub failures: u32,
    /// The share of failures within `window` that opens it too, 0 to 1.
    pub share: f64,
    /// The time over which the share is counted, 1 to 3,600 s.
    pub window: Duration,
    /// The first time open, doubled each time a trial request fails.
    pub open: Duration,
    /// The longest time open.
    pub longest: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 8,
            share: 0.5,
            window: Duration::from_secs(30),
            open: Duration::from_secs(30),
            longest: Duration::from_secs(600),
        }
    }
}

/// The times that answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheConfig {
    /// An answer with data; zero: not at all.
    pub found: Duration,
    /// The answer that nothing is known; zero: not at all.
    pub not_found: Duration,
    /// One tenant's answers are given to others too.
    pub shared: bool,
}

impl LimitsConfig {
    pub(super) fn read(table: &Table<'_>, settings: &dyn Settings) -> Result<Self, ConfigError> {
        let names = ["rate", "concurrency", "breaker", "cache"];
        if settings.timeout().is_none()
            && let Some((name, entry)) =
                names.iter().find_map(|name| Some((name, table.get(name)?)))
        {
            return Err(entry.error(format!(
                "this kind only computes and sends no requests; remove `{name}`"
            )));
        }
        let concurrency = table
            .number("concurrency", 1, 64)?
            .and_then(|n| usize::try_from(n).ok());
        Ok(Self {
            rate: table
                .get("rate")
                .map(|entry| RateConfig::read(&entry))
                .transpose()?,
            concurrency,
            breaker: match table.get("breaker") {
                Some(entry) => BreakerConfig::read(&entry, settings)?,
                None => settings.one_upstream().then(BreakerConfig::default),
            },
            cache: table
                .get("cache")
                .map(|entry| CacheConfig::read(&entry))
                .transpose()?,
        })
    }
}

impl RateConfig {
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        let table = inner(
            entry,
            "a rate is { per_second = 50 } or { per_minute = 30 }",
        )?;
        table.only(&["per_second", "per_minute"])?;
        let (second, minute) = (
            table.number("per_second", 1, 1000)?,
            table.number("per_minute", 1, 60_000)?,
        );
        let (requests, per) = match (second, minute) {
            (Some(requests), None) => (requests, 1),
            (None, Some(requests)) => (requests, 60),
            _ => return Err(entry.error("say one of per_second and per_minute")),
        };
        Ok(Self {
            requests: u32::try_from(requests).unwrap_or(u32::MAX),
            per: Duration::from_secs(per),
        })
    }
}

impl BreakerConfig {
    fn read(entry: &Entry<'_>, settings: &dyn Settings) -> Result<Option<Self>, ConfigError> {
        let wanted = match entry.value {
            DeValue::Boolean(wanted) => Some(*wanted),
            _ => None,
        };
        if wanted == Some(false) {
            return Ok(None);
        }
        if !settings.one_upstream() {
            return Err(entry.error(
                "this kind asks many hosts, and one that is dead says nothing of the others; \
                 remove it",
            ));
        }
        let default = Self::default();
        if wanted.is_some() {
            return Ok(Some(default));
        }
        let table = inner(
            entry,
            "a breaker is false, true or { failures = 8, share = 0.5, open_s = 30, … }",
        )?;
        table.only(&["failures", "share", "window_s", "open_s", "max_open_s"])?;
        let seconds = |name: &str, default: Duration| -> Result<Duration, ConfigError> {
            Ok(table
                .number(name, 1, 3600)?
                .map_or(default, Duration::from_secs))
        };
        let failures = table
            .number("failures", 1, 1000)?
            .and_then(|n| u32::try_from(n).ok());
        let share = table.get("share").map(|share| {
            share
                .fraction()
                .map_err(|_| share.error("a share of failures is a number from 0 to 1"))
        });
        let open = seconds("open_s", default.open)?;
        Ok(Some(Self {
            failures: failures.unwrap_or(default.failures),
            share: share.transpose()?.unwrap_or(default.share),
            window: seconds("window_s", default.window)?,
            open,
            longest: seconds("max_open_s", default.longest.max(open))?.max(open),
        }))
    }
}

impl CacheConfig {
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        const YEAR: u64 = 366 * 24 * 3600;
        let table = inner(
            entry,
            "a cache is { found_s = 2592000, not_found_s = 86400 }",
        )?;
        table.only(&["found_s", "not_found_s", "shared"])?;
        let found = table.number("found_s", 0, YEAR)?.unwrap_or(30 * 24 * 3600);
        let not_found = table.number("not_found_s", 0, YEAR)?.unwrap_or(24 * 3600);
        let shared = match table.get("shared") {
            None => false,
            Some(entry) => match entry.value {
                DeValue::Boolean(shared) => *shared,
                _ => return Err(entry.error("must be true or false")),
            },
        };
        Ok(Self {
            found: Duration::from_secs(found),
            not_found: Duration::from_secs(not_found),
            shared,
        })
    }
}

fn inner<'t>(entry: &Entry<'t>, shape: &str) -> Result<Table<'t>, ConfigError> {
    match entry.value {
        DeValue::Table(inner) => Ok(Table::new(entry.source, &entry.path, entry.at, inner)),
        _ => Err(entry.error(shape)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use crate::providers::kinds::READERS;

    fn read(more: &str) -> Result<LimitsConfig, String> {
        let text = format!(
            "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n[providers.api]\n\
             kind = \"http\"\n\
             url = \"https://api.example.com/{{{{ input.domain }}}}\"\n\
             fields = {{ name = \"/name\" }}\n{more}"
        );
        let config = Config::parse(READERS, "p.toml", &text).map_err(|error| error.to_string())?;
        Ok(config.providers[0].limits.clone())
    }

    #[test]
    fn limits_are_read_and_filled_in() {
        let limits = read("").unwrap();
        assert_eq!(
            limits,
            LimitsConfig {
                breaker: Some(BreakerConfig::default()),
                ..LimitsConfig::default()
            }
        );
        let limits = read(
            "rate = { per_second = 50 }\nconcurrency = 8\n\
             breaker = { failures = 3, share = 1, open_s = 900 }\ncache = {}",
        )
        .unwrap();
        assert_eq!(
            limits.rate,
            Some(RateConfig {
                requests: 50,
                per: Duration::from_secs(1)
            })
        );
        assert_eq!(limits.concurrency, Some(8));
        let breaker = limits.breaker.unwrap();
        assert_eq!(
            (breaker.failures, breaker.longest),
            (3, Duration::from_secs(900))
        );
        let cache = limits.cache.unwrap();
        assert_eq!(
            (
                cache.found.as_secs(),
                cache.not_found.as_secs(),
                cache.shared
            ),
            (2_592_000, 86_400, false)
        );
        assert_eq!(
            read("rate = { per_minute = 30 }")
                .unwrap()
                .rate
                .unwrap()
                .per,
            Duration::from_secs(60)
        );
        assert_eq!(read("breaker = false").unwrap().breaker, None);
        assert_eq!(
            read("breaker = true").unwrap().breaker,
            Some(BreakerConfig::default())
        );
    }

    #[test]
    fn faults_say_what_to_do() {
        for (more, wanted) in [
            (
                "rate = 5",
                "p.toml:8:8: providers.api: rate: a rate is { per_second = 50 } or { per_minute = \
                 30 }",
            ),
            (
                "rate = {}",
                "p.toml:8:8: providers.api: rate: say one of per_second and per_minute",
            ),
            (
                "rate = { per_second = 0 }",
                "p.toml:8:23: providers.api: rate: per_second: must be a whole number from 1 to \
                 1000",
            ),
            (
                "concurrency = 65",
                "p.toml:8:15: providers.api: concurrency: must be a whole number from 1 to 64",
            ),
            (
                "breaker = { share = 2 }",
                "p.toml:8:21: providers.api: breaker: share: a share of failures is a number from \
                 0 to 1",
            ),
            (
                "cache = { shared = 1 }",
                "p.toml:8:20: providers.api: cache: shared: must be true or false",
            ),
        ] {
            assert_eq!(read(more).unwrap_err(), wanted);
        }
        let hem = "[types.t]\ninputs = [[\"email\"]]\nwaterfall = [\"hem\"]\n[providers.hem]\n\
                   kind = \"hem\"\ncache = {}\n";
        assert_eq!(
            Config::parse(READERS, "p.toml", hem)
                .unwrap_err()
                .to_string(),
            "p.toml:6:9: providers.hem: cache: this kind only computes and sends no requests; \
             remove `cache`"
        );
    }
}
