//! `kind = "ip"`: the operator's databases in `MaxMind`'s format.

use serde::{Deserialize, Serialize};

use crate::catalog::{ConfigError, KindConfig, Place, Settings, Table};

/// The organisation behind an address, by the operator's own databases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IpConfig {
    /// The input field with the address; `ip` if the file does not say.
    pub input: String,
    /// `.mmdb` files, read in this order: below the directory of `providers.toml`, or absolute.
    /// Never empty.
    pub files: Vec<(String, Place)>,
    /// The most MiB of memory that all of them take together, 1 to 2048; 128 if the file does not
    /// say.
    pub max_mib: u64,
}

/// The output fields of the `ip` provider.
pub const IP_FIELDS: [&str; 14] = [
    "ip",
    "company_name",
    "domain",
    "asn",
    "as_organization",
    "isp",
    "network",
    "network_type",
    "network_type_by",
    "country",
    "country_code",
    "region",
    "city",
    "time_zone",
];

impl KindConfig for IpConfig {
    const NAME: &'static str = "ip";
    const KEYS: &'static [&'static [&'static str]] = &[&["input", "files", "max_mib"]];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let input = table.input("ip")?;
        let entry = table.need(
            "files",
            "name your databases, such as files = [\"data/GeoLite2-ASN.mmdb\"]",
        )?;
        let mut files = Vec::new();
        for item in entry.array()? {
            let path = item.str()?;
            // Layers and file systems of a function are mounted at absolute places.
            let absolute = path.starts_with('/')
                && path
                    .split('/')
                    .skip(1)
                    .all(|p| !matches!(p, "" | "." | ".."));
            let file = match (absolute, path.rsplit_once('.')) {
                (true, Some((_, "mmdb"))) => path.to_owned(),
                (true, _) => return Err(item.error("file ends in .mmdb")),
                (false, _) => item.file(&[".mmdb"])?,
            };
            files.push((file, item.place()));
        }
        if files.is_empty() {
            return Err(entry.error("files is empty; name at least one database"));
        }
        Ok(Self {
            input,
            files,
            max_mib: table.number("max_mib", 1, 2048)?.unwrap_or(128),
        })
    }
}

impl Settings for IpConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(IP_FIELDS.map(str::to_owned).to_vec())
    }

    fn places(&mut self) -> Vec<&mut Place> {
        self.files.iter_mut().map(|(_, at)| at).collect()
    }
}
