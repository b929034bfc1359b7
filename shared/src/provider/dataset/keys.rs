//! Rows by their keys.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::super::config::{KeyColumn, Normal};
use super::super::hem::Email;
use super::super::suffix;
use super::word;

/// Separates the parts of a key; no normalised value holds it.
const SEPARATOR: char = '\u{1f}';

/// Rows by key.
#[derive(Default)]
pub(super) struct Keys {
    rows: Vec<Vec<Value>>,
    by_key: HashMap<String, usize>,
    /// How long the prefixes of the one such column are, in bytes; of networks in bits, with whether they are IPv6.
    lengths: BTreeSet<(usize, bool)>,
    skipped: usize,
}

impl Keys {
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.rows.len(), self.skipped)
    }

    pub(super) fn add(&mut self, key: &[KeyColumn], parts: &[&str], values: Vec<Value>) {
        let mut length = None;
        let parts = key.iter().zip(parts).map(|(key, text)| match key.normal {
            Normal::Network => {
                let network = network(text)?;
                length = Some((usize::from(network.prefix_len()), matches!(network, IpNet::V6(_))));
                Ok(network.to_string())
            }
            normal => {
                let text = normalise(normal, text)?;
                if normal == Normal::Prefix {
                    length = Some((text.len(), false));
                }
                Ok(text)
            }
        });
        let parts: Result<Vec<String>, &'static str> = parts.collect();
        let Ok(parts) = parts else {
            self.skipped += 1;
            return;
        };
        match self.by_key.entry(parts.join(&SEPARATOR.to_string())) {
            Entry::Occupied(_) => self.skipped += 1,
            Entry::Vacant(entry) => {
                entry.insert(self.rows.len());
                self.rows.push(values);
                self.lengths.extend(length);
            }
        }
    }

    /// The row of an input that was [`asked`] for.
    pub(super) fn find(&self, key: &[KeyColumn], asked: &[String]) -> Option<&[Value]> {
        let mut keys = vec![String::new()];
        for (at, (column, text)) in key.iter().zip(asked).enumerate() {
            let tries = self.tries(column.normal, text);
            let longer = keys.iter().flat_map(|key| {
                tries.iter().map(move |part| if at == 0 { part.clone() } else { format!("{key}{SEPARATOR}{part}") })
            });
            keys = longer.collect();
        }
        keys.iter().find_map(|key| self.by_key.get(key)).map(|row| self.rows[*row].as_slice())
    }

    /// The values to try for one column, the likeliest first.
    fn tries(&self, normal: Normal, text: &str) -> Vec<String> {
        let longest = self.lengths.iter().rev();
        match normal {
            Normal::Domain => suffix::parents(text).map(str::to_owned).collect(),
            Normal::Prefix => longest.filter_map(|(length, _)| text.get(..*length)).map(str::to_owned).collect(),
            Normal::Network => {
                let Ok(address) = text.parse::<IpAddr>() else { return Vec::new() };
                let networks = longest.filter(|(_, v6)| *v6 == address.is_ipv6()).filter_map(|(length, _)| {
                    IpNet::new(address, u8::try_from(*length).ok()?).ok().map(|network| network.trunc().to_string())
                });
                networks.collect()
            }
            Normal::Exact | Normal::Email | Normal::Name => vec![text.to_owned()],
        }
    }
}

/// The input's values, normalised. `Err` says which is none.
pub(super) fn asked(key: &[KeyColumn], input: &Map<String, Value>) -> Result<Vec<String>, String> {
    let asked = key.iter().map(|column| {
        let name = &column.input;
        let text = input.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is needed"))?;
        let normal = match column.normal {
            Normal::Network => address(text).map(|address| address.to_string()),
            normal => normalise(normal, text),
        };
        normal.map_err(|why| format!("`{name}` {why}"))
    });
    asked.collect()
}

/// Legal forms that are left out at the end of a name. Single words after punctuation is gone, so that `S.A.` is not one.
const LEGAL_FORMS: [&str; 17] = [
    "inc",
    "incorporated",
    "llc",
    "ltd",
    "limited",
    "corp",
    "corporation",
    "co",
    "company",
    "plc",
    "gmbh",
    "ag",
    "sa",
    "sas",
    "bv",
    "nv",
    "ab",
];

fn normalise(normal: Normal, text: &str) -> Result<String, &'static str> {
    match normal {
        Normal::Exact | Normal::Prefix => {
            let text = text.trim();
            if text.is_empty() || text.contains(SEPARATOR) { Err("is empty") } else { Ok(text.to_owned()) }
        }
        Normal::Domain => suffix::host(text),
        Normal::Email => Email::parse(text).map(|email| email.plain()),
        Normal::Name => {
            let plain: String =
                text.to_lowercase().replace('&', " and ").replace(['\'', '’', '.'], "").chars().map(word).collect();
            let mut words: Vec<&str> = plain.split(' ').filter(|w| !w.is_empty()).collect();
            if words.len() > 1 && words.last().is_some_and(|w| LEGAL_FORMS.contains(w)) {
                words.pop();
            }
            if words.is_empty() { Err("holds no letter or digit") } else { Ok(words.join(" ")) }
        }
        Normal::Network => network(text).map(|network| network.to_string()),
    }
}

/// A lone address is a network of itself; bits beyond the length do not count.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let text = text.trim();
    match address(text) {
        Ok(address) => Ok(address.into()),
        Err(_) => text.parse::<IpNet>().map(|network| network.trunc()).map_err(|_| "is not a network"),
    }
}

/// IPv4 in IPv6 (`::ffff:192.0.2.1`) is IPv4.
fn address(text: &str) -> Result<IpAddr, &'static str> {
    text.trim().parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| "is not an IP address")
}
