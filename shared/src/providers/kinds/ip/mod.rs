//! The organisation behind an IP address, by the operator's databases in `MaxMind`'s format:
//! `GeoLite2`, `GeoIP2`, `IPinfo`, DB-IP.
//!
//! | field | |
//! | --- | --- |
//! | `ip` | the address in its shortest form; IPv4 in IPv6 as IPv4 |
//! | `company_name` | the organisation of the address, else that of its autonomous system |
//! | `domain` | that organisation's |
//! | `asn`, `as_organization` | the autonomous system's number and its organisation |
//! | `isp` | the provider that connects the address |
//! | `network` | the network that the record is about |
//! | `network_type` | `business`, `isp`, `mobile`, `hosting`, `education` or `government` |
//! | `network_type_by` | `database`, or `name`: guessed by words in `as_organization` |
//! | `country`, `country_code`, `region`, `city`, `time_zone` | where the address is used |
//!
//! The databases are read in the configured order, and the first to have a field gives it. The
//! confidence (an estimate of our own): 0.8 if a database names the organisation itself, 0.3 if it
//! is only the autonomous system's, 0.1 if the network is an `isp`'s, `mobile` or `hosting` (that
//! company is most likely not the user of the address), 0.6 if there is a place without an
//! organisation.
//!
//! An address may be as servers log it: with a port, in brackets, with a zone, or in a list of
//! proxies (`X-Forwarded-For`, or `Forwarded` of RFC 7239), of which the first public one counts.
//!
//! An address that no database knows is `not_found`. One that is private or reserved, or a text
//! without one, is `invalid`.

mod address;
pub mod config;
mod public;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use maxminddb::{MaxMindDbError, Reader};
use serde_json::{Map, Value};

use self::config::IpConfig;
pub(super) use self::public::is_public;
use self::record::MergedRecord;
use crate::catalog::ConfigError;
use crate::domain::record::FailureCode;
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

impl BuildKind for IpConfig {
    fn build(&self, context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(IpDatabases::open(
            &context.provider.name,
            self,
            context.dir,
        )?))
    }
}

/// The `ip` provider. Reads files only, each whole at the first question.
pub struct IpDatabases {
    input: String,
    files: Vec<Database>,
}

struct Database {
    file: String,
    path: PathBuf,
    reader: OnceLock<Result<Reader<Vec<u8>>, String>>,
}

impl fmt::Debug for IpDatabases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<&str> = self
            .files
            .iter()
            .map(|database| database.file.as_str())
            .collect();
        f.debug_struct("IpDatabases")
            .field("files", &files)
            .finish_non_exhaustive()
    }
}

impl IpDatabases {
    /// Opens the files, whose relative paths are below `dir`, and reads none of them yet. An error
    /// if one cannot be opened or all together are larger than `max_mib`.
    pub fn open(name: &str, config: &IpConfig, dir: &Path) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        let mut bytes = 0;
        for (file, at) in &config.files {
            let path = dir.join(file);
            let size = File::open(&path)
                .and_then(|file| file.metadata())
                .map(|about| about.len());
            bytes += size
                .map_err(|e| at.error(format!("providers.{name}: {file} cannot be read: {e}")))?;
            if bytes > config.max_mib * 1024 * 1024 {
                return Err(at.error(format!(
                    "providers.{name}: with {file} the databases take {} MiB of memory; raise \
                     max_mib above {}, and the function's memory with it",
                    bytes / (1024 * 1024),
                    config.max_mib
                )));
            }
            files.push(Database {
                file: file.clone(),
                path,
                reader: OnceLock::new(),
            });
        }
        Ok(Self {
            input: config.input.clone(),
            files,
        })
    }

    fn answer(&self, text: &str) -> Result<Answer, String> {
        let Some(address) = address::read(text) else {
            return Ok(Answer::Invalid(format!(
                "`{}` is not an IP address",
                self.input
            )));
        };
        if !is_public(address) {
            return Ok(Answer::Invalid(format!(
                "`{}` is a private or reserved address",
                self.input
            )));
        }
        let mut known = MergedRecord::default();
        for database in &self.files {
            if let Some((record, network)) = database.look_up(address)? {
                known.add(&record, &network);
            }
        }
        let confidence = known.confidence();
        let mut fields = Map::from_iter([("ip".to_owned(), Value::from(address.to_string()))]);
        fields.extend(known.fields());
        // The address alone and its network are not an answer.
        let reported = fields
            .keys()
            .any(|name| !matches!(name.as_str(), "ip" | "network"));
        Ok(if reported {
            Answer::Found {
                fields,
                confidence: Some(confidence.into()),
            }
        } else {
            Answer::NotFound
        })
    }
}

impl Database {
    fn reader(&self) -> Result<&Reader<Vec<u8>>, String> {
        let reader = self.reader.get_or_init(|| {
            let bytes = std::fs::read(&self.path)
                .map_err(|e| format!("{} cannot be read: {e}", self.file))?;
            Reader::from_source(bytes)
                .map_err(|e| format!("{} is not a database in MaxMind's format: {e}", self.file))
        });
        reader.as_ref().map_err(Clone::clone)
    }

    /// Returns the record of an address, and its network.
    fn look_up(&self, address: IpAddr) -> Result<Option<(Value, String)>, String> {
        let damaged = |e: MaxMindDbError| format!("{} is damaged, get it anew: {e}", self.file);
        let found = match self.reader()?.lookup(address) {
            Ok(found) => found,
            // The database has IPv4 alone.
            Err(MaxMindDbError::InvalidInput { .. }) => return Ok(None),
            Err(error) => return Err(damaged(error)),
        };
        let Some(record) = found.decode::<Value>().map_err(damaged)? else {
            return Ok(None);
        };
        Ok(Some((
            record,
            found.network().map_err(damaged)?.to_string(),
        )))
    }
}

#[async_trait]
impl Provider for IpDatabases {
    async fn ask(&self, question: &Question<'_>, _ports: &Ports) -> Answer {
        let Some(text) = question.input.get(&self.input).and_then(Value::as_str) else {
            return Answer::Invalid(format!("`{}` is needed", self.input));
        };
        self.answer(text)
            .unwrap_or_else(|why| Answer::failed(FailureCode::ProviderError, why))
    }

    async fn inspect(&self, _ports: &Ports) -> Result<Vec<String>, String> {
        let types = self.files.iter().map(|database| {
            Ok(format!(
                "{} is of type {}",
                database.file,
                database.reader()?.metadata().database_type
            ))
        });
        types.collect()
    }
}
