//! Rows by their keys.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::super::suffix;
use super::config::{KeyColumn, Normal};
use crate::domain::organisation;
use crate::providers::kinds::email::address::Email;

/// Separates the parts of a key; no normalised value holds it.
const SEPARATOR: char = '\u{1f}';

/// Rows by key.
#[derive(Default)]
pub(super) struct Keys {
    rows: Vec<Vec<Value>>,
    by_key: HashMap<String, usize>,
    /// Names with an umlaut, spelled out; used if no row has that name itself.
    spelled_out: HashMap<String, usize>,
    /// The lengths of the prefixes of the one such column, in bytes; of networks in bits, with
    /// whether they are IPv6.
    lengths: BTreeSet<(usize, bool)>,
    skipped: usize,
}

impl Keys {
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.rows.len(), self.skipped)
    }

    pub(super) fn add(&mut self, key: &[KeyColumn], texts: &[&str], values: Vec<Value>) {
        let mut length = None;
        let parts = key.iter().zip(texts).map(|(key, text)| match key.normal {
            Normal::Network => {
                let network = network(text)?;
                length = Some((
                    usize::from(network.prefix_len()),
                    matches!(network, IpNet::V6(_)),
                ));
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
        let spelled_out = spelled_out(key, texts, &parts);
        match self.by_key.entry(parts.join(&SEPARATOR.to_string())) {
            Entry::Occupied(_) => self.skipped += 1,
            Entry::Vacant(entry) => {
                entry.insert(self.rows.len());
                if let Some(parts) = spelled_out {
                    self.spelled_out
                        .entry(parts.join(&SEPARATOR.to_string()))
                        .or_insert(self.rows.len());
                }
                self.rows.push(values);
                self.lengths.extend(length);
            }
        }
    }

    /// Returns the row of an input that was [`asked`] for.
    pub(super) fn find(&self, key: &[KeyColumn], asked: &[String]) -> Option<&[Value]> {
        let mut keys = vec![String::new()];
        for (at, (column, text)) in key.iter().zip(asked).enumerate() {
            let tries = self.tries(column.normal, text);
            let longer = keys.iter().flat_map(|key| {
                tries.iter().map(move |part| {
                    if at == 0 {
                        part.clone()
                    } else {
                        format!("{key}{SEPARATOR}{part}")
                    }
                })
            });
            keys = longer.collect();
        }
        let by =
            |index: &HashMap<String, usize>| keys.iter().find_map(|key| index.get(key)).copied();
        by(&self.by_key)
            .or_else(|| by(&self.spelled_out))
            .map(|row| self.rows[row].as_slice())
    }

    /// Returns the values to try for one column, the likeliest first.
    fn tries(&self, normal: Normal, text: &str) -> Vec<String> {
        let longest = self.lengths.iter().rev();
        match normal {
            Normal::Domain => suffix::parents(text).map(str::to_owned).collect(),
            Normal::Prefix => longest
                .filter_map(|(length, _)| text.get(..*length))
                .map(str::to_owned)
                .collect(),
            Normal::Network => {
                let Ok(address) = text.parse::<IpAddr>() else {
                    return Vec::new();
                };
                let networks = longest
                    .filter(|(_, v6)| *v6 == address.is_ipv6())
                    .filter_map(|(length, _)| {
                        IpNet::new(address, u8::try_from(*length).ok()?)
                            .ok()
                            .map(|network| network.trunc().to_string())
                    });
                networks.collect()
            }
            Normal::Name => organisation::keys(text),
            Normal::Exact | Normal::Email => vec![text.to_owned()],
        }
    }
}

/// Normalises the input's values. `Err` names one that does not fit.
pub(super) fn asked(key: &[KeyColumn], input: &Map<String, Value>) -> Result<Vec<String>, String> {
    let asked = key.iter().map(|column| {
        let name = &column.input;
        let text = input
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("`{name}` is needed"))?;
        let normal = match column.normal {
            Normal::Network => address(text).map(|address| address.to_string()),
            // A name has several spellings, which its normal form does not keep.
            Normal::Name => normalise(Normal::Name, text).map(|_| text.to_owned()),
            normal => normalise(normal, text),
        };
        normal.map_err(|why| format!("`{name}` {why}"))
    });
    asked.collect()
}

/// Returns the parts of a key with names spelled out, if that makes a difference.
fn spelled_out(key: &[KeyColumn], texts: &[&str], parts: &[String]) -> Option<Vec<String>> {
    let spelled = key
        .iter()
        .zip(texts)
        .zip(parts)
        .map(|((column, text), part)| {
            let spelled = (column.normal == Normal::Name)
                .then(|| organisation::keys(text).pop())
                .flatten();
            spelled.unwrap_or_else(|| part.clone())
        });
    let spelled: Vec<String> = spelled.collect();
    (spelled != parts).then_some(spelled)
}

fn normalise(normal: Normal, text: &str) -> Result<String, &'static str> {
    match normal {
        Normal::Exact | Normal::Prefix => {
            let text = text.trim();
            if text.is_empty() || text.contains(SEPARATOR) {
                Err("is empty")
            } else {
                Ok(text.to_owned())
            }
        }
        Normal::Domain => suffix::host(text),
        Normal::Email => Email::parse(text).map(|email| email.plain()),
        Normal::Name => organisation::key(text).ok_or("holds no letter or digit"),
        Normal::Network => network(text).map(|network| network.to_string()),
    }
}

/// Reads a network. A lone address is a network of itself; bits beyond the length do not count.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let text = text.trim();
    match address(text) {
        Ok(address) => Ok(address.into()),
        Err(_) => text
            .parse::<IpNet>()
            .map(|network| network.trunc())
            .map_err(|_| "is not a network"),
    }
}

/// Reads an address. IPv4 in IPv6 (`::ffff:192.0.2.1`) is IPv4.
fn address(text: &str) -> Result<IpAddr, &'static str> {
    text.trim()
        .parse::<IpAddr>()
        .map(|address| address.to_canonical())
        .map_err(|_| "is not an IP address")
}
