//! The rules of `DynamoDB`: which items it accepts, their size, and the meaning of its expressions.

use std::collections::BTreeSet;

use shared::ports::{Attributes, Change, Condition, Item, Key, StoreError, Value};

/// The largest item, names included. Source: Amazon `DynamoDB` quotas (400 KB).
const MAX_ITEM: usize = 400 * 1024;
/// Source: Amazon `DynamoDB` quotas, transactions.
pub(super) const MAX_ACTIONS: usize = 100;
pub(super) const MAX_TRANSACTION: usize = 4 * 1024 * 1024;
/// Source: Amazon `DynamoDB` quotas, partition and sort key length in bytes.
const MAX_PK: usize = 2048;
const MAX_SK: usize = 1024;

/// The size of an item as `DynamoDB` counts it, in bytes. Source: developer guide, "item sizes and
/// formats"; numbers are approximate there too.
pub fn item_size(item: &Item) -> usize {
    size(&item.key, &item.attributes)
}

pub(super) fn size(key: &Key, attributes: &Attributes) -> usize {
    let keys = 2 + key.pk.len() + 2 + key.sk.len();
    keys + attributes
        .iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum::<usize>()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::S(text) => text.len(),
        Value::N(number) => {
            let digits = number.unsigned_abs().to_string();
            digits.trim_end_matches('0').len().div_ceil(2) + 1 + usize::from(*number < 0)
        }
        Value::B(bytes) => bytes.len(),
        Value::Ss(set) => set.iter().map(String::len).sum(),
    }
}

pub(super) fn units(bytes: usize, unit: usize) -> u64 {
    u64::try_from(bytes.div_ceil(unit).max(1)).expect("a size fits 64 bits")
}

pub(super) fn refused<T>(why: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Refused(why.into()))
}

pub(super) fn valid_key(key: &Key) -> Result<(), StoreError> {
    if key.pk.is_empty() || key.sk.is_empty() {
        return refused("a key is empty");
    }
    if key.pk.len() > MAX_PK || key.sk.len() > MAX_SK {
        return refused("a key is too long");
    }
    Ok(())
}

pub(super) fn no_repeats<'a>(keys: impl Iterator<Item = &'a Key>) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for key in keys {
        valid_key(key)?;
        if !seen.insert(key) {
            return refused("a key repeats");
        }
    }
    Ok(())
}

fn valid_value(value: &Value) -> Result<(), StoreError> {
    match value {
        Value::Ss(set) if set.is_empty() => refused("a set is empty"),
        _ => Ok(()),
    }
}

/// Checks the item as it would be stored: key attributes apart, index keys of their type, size
/// under the limit.
pub(super) fn valid_item(key: &Key, attributes: &Attributes) -> Result<(), StoreError> {
    valid_key(key)?;
    for (name, value) in attributes {
        valid_value(value)?;
        let fits = match (name.as_str(), value) {
            ("pk" | "sk", _) => false,
            ("tenant_jobs" | "job_id" | "due_shard", value) => {
                matches!(value, Value::S(text) if !text.is_empty())
            }
            ("due", value) => matches!(value, Value::N(_)),
            _ => true,
        };
        if !fits {
            return refused(format!("attribute {name} cannot hold this"));
        }
    }
    if size(key, attributes) > MAX_ITEM {
        return refused("the item is over 400 KB");
    }
    Ok(())
}

pub(super) fn valid_condition(condition: &Condition) -> Result<(), StoreError> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            if parts.is_empty() {
                return refused("a condition of no parts");
            }
            parts.iter().try_for_each(valid_condition)
        }
        Condition::Equals(_, value) => valid_value(value),
        _ => Ok(()),
    }
}

pub(super) fn valid_changes(changes: &[Change]) -> Result<(), StoreError> {
    if changes.is_empty() {
        return refused("an update without changes");
    }
    let mut names = BTreeSet::new();
    for change in changes {
        let name = match change {
            Change::Set(name, value) | Change::SetIfAbsent(name, value) => {
                valid_value(value)?;
                name
            }
            Change::AddToSet(name, set) => {
                if set.is_empty() {
                    return refused("a set is empty");
                }
                name
            }
            Change::Add(name, _) | Change::Remove(name) => name,
        };
        if matches!(*name, "pk" | "sk") || !names.insert(*name) {
            return refused(format!(
                "attribute {name} is changed twice, or part of the key"
            ));
        }
    }
    Ok(())
}

pub(super) fn holds(condition: &Condition, stored: Option<&Attributes>) -> bool {
    let attribute = |name: &str| stored.and_then(|attributes| attributes.get(name));
    let number = |name: &str, test: &dyn Fn(i64) -> bool| {
        attribute(name).is_some_and(|value| matches!(value, Value::N(n) if test(*n)))
    };
    match condition {
        Condition::ItemAbsent => stored.is_none(),
        Condition::ItemExists => stored.is_some(),
        Condition::Equals(name, value) => attribute(name) == Some(value),
        Condition::Absent(name) => attribute(name).is_none(),
        Condition::AtMost(name, bound) => number(name, &|n| n <= *bound),
        Condition::AtLeast(name, bound) => number(name, &|n| n >= *bound),
        Condition::All(parts) => parts.iter().all(|part| holds(part, stored)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, stored)),
    }
}

pub(super) fn changed(
    stored: Option<&Attributes>,
    changes: &[Change],
) -> Result<Attributes, StoreError> {
    let mut attributes = stored.cloned().unwrap_or_default();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                attributes.insert((*name).to_owned(), value.clone());
            }
            Change::SetIfAbsent(name, value) => {
                attributes
                    .entry((*name).to_owned())
                    .or_insert_with(|| value.clone());
            }
            Change::Add(name, amount) => {
                match attributes.entry((*name).to_owned()).or_insert(Value::N(0)) {
                    Value::N(number) => match number.checked_add(*amount) {
                        Some(sum) => *number = sum,
                        None => {
                            return refused(format!(
                                "attribute {name} leaves the range of 64 bits"
                            ));
                        }
                    },
                    _ => return refused(format!("attribute {name} is not a number")),
                }
            }
            Change::AddToSet(name, elements) => {
                match attributes
                    .entry((*name).to_owned())
                    .or_insert_with(|| Value::Ss(BTreeSet::new()))
                {
                    Value::Ss(set) => set.extend(elements.iter().cloned()),
                    _ => return refused(format!("attribute {name} is not a set")),
                }
            }
            Change::Remove(name) => {
                attributes.remove(*name);
            }
        }
    }
    Ok(attributes)
}
