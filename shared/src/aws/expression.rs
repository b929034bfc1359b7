//! Conditions and changes as `DynamoDB` expressions, and values as its attribute values.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::ports::{Attributes, Change, Condition, Item, Key, Select, StoreError, Update, Value};

pub(super) type Raw = HashMap<String, AttributeValue>;

/// Names and values by alias, so that no name can be a reserved word and no value part of an
/// expression.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Aliases {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Aliases {
    pub(super) fn name(&mut self, name: &str) -> String {
        if let Some((alias, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return alias.clone();
        }
        let alias = format!("#a{}", self.names.len());
        self.names.insert(alias.clone(), name.to_owned());
        alias
    }

    pub(super) fn value(&mut self, value: AttributeValue) -> String {
        let alias = format!(":v{}", self.values.len());
        self.values.insert(alias.clone(), value);
        alias
    }

    pub(super) fn text(&mut self, text: &str) -> String {
        self.value(AttributeValue::S(text.to_owned()))
    }

    /// The service refuses empty maps.
    pub(super) fn into_parts(self) -> (Option<HashMap<String, String>>, Option<Raw>) {
        (
            Some(self.names).filter(|names| !names.is_empty()),
            Some(self.values).filter(|values| !values.is_empty()),
        )
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Refused(why.into()))
}

/// A value to store or compare with. An empty set is refused here, before a call is paid for.
fn stored(value: &Value) -> Result<AttributeValue, StoreError> {
    Ok(match value {
        Value::S(text) => AttributeValue::S(text.clone()),
        Value::N(number) => AttributeValue::N(number.to_string()),
        Value::B(bytes) => AttributeValue::B(Blob::new(bytes.as_slice())),
        Value::Ss(set) => return set_of(set),
    })
}

fn set_of(set: &BTreeSet<String>) -> Result<AttributeValue, StoreError> {
    if set.is_empty() {
        return refused("a set is empty");
    }
    Ok(AttributeValue::Ss(set.iter().cloned().collect()))
}

/// A condition of several parts is in parentheses.
pub(super) fn condition(
    condition: &Condition,
    aliases: &mut Aliases,
) -> Result<String, StoreError> {
    let joined = |parts: &[Condition], word: &str, aliases: &mut Aliases| {
        if parts.is_empty() {
            return refused("a condition of no parts");
        }
        // The service refuses parentheses around parentheses.
        let several = parts.len() > 1;
        let parts: Result<Vec<_>, _> = parts
            .iter()
            .map(|part| self::condition(part, aliases))
            .collect();
        let joined = parts?.join(word);
        Ok(if several {
            format!("({joined})")
        } else {
            joined
        })
    };
    Ok(match condition {
        Condition::ItemAbsent => format!("attribute_not_exists({})", aliases.name("pk")),
        Condition::ItemExists => format!("attribute_exists({})", aliases.name("pk")),
        Condition::Equals(name, value) => {
            let value = stored(value)?;
            format!("{} = {}", aliases.name(name), aliases.value(value))
        }
        Condition::Absent(name) => format!("attribute_not_exists({})", aliases.name(name)),
        Condition::AtMost(name, bound) => {
            format!(
                "{} <= {}",
                aliases.name(name),
                aliases.value(AttributeValue::N(bound.to_string()))
            )
        }
        Condition::AtLeast(name, bound) => {
            format!(
                "{} >= {}",
                aliases.name(name),
                aliases.value(AttributeValue::N(bound.to_string()))
            )
        }
        Condition::All(parts) => joined(parts, " AND ", aliases)?,
        Condition::Any(parts) => joined(parts, " OR ", aliases)?,
    })
}

/// Writes `SET … ADD … REMOVE …`. No changes at all, or two of one attribute, are the caller's
/// mistake.
pub(super) fn changes(changes: &[Change], aliases: &mut Aliases) -> Result<String, StoreError> {
    let (mut set, mut add, mut remove) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for change in changes {
        let name = match change {
            Change::Set(name, value) => {
                let value = stored(value)?;
                set.push(format!("{} = {}", aliases.name(name), aliases.value(value)));
                name
            }
            Change::SetIfAbsent(name, value) => {
                let (alias, value) = (aliases.name(name), stored(value)?);
                set.push(format!(
                    "{alias} = if_not_exists({alias}, {})",
                    aliases.value(value)
                ));
                name
            }
            Change::Add(name, amount) => {
                let amount = AttributeValue::N(amount.to_string());
                add.push(format!("{} {}", aliases.name(name), aliases.value(amount)));
                name
            }
            Change::AddToSet(name, elements) => {
                let elements = set_of(elements)?;
                add.push(format!(
                    "{} {}",
                    aliases.name(name),
                    aliases.value(elements)
                ));
                name
            }
            Change::Remove(name) => {
                remove.push(aliases.name(name));
                name
            }
        };
        if matches!(*name, "pk" | "sk") || !seen.insert(*name) {
            return refused(format!(
                "attribute {name} is changed twice, or part of the key"
            ));
        }
    }
    let clauses = [("SET", set), ("ADD", add), ("REMOVE", remove)];
    let clauses: Vec<String> = clauses
        .into_iter()
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(word, parts)| format!("{word} {}", parts.join(", ")))
        .collect();
    if clauses.is_empty() {
        return refused("an update without changes");
    }
    Ok(clauses.join(" "))
}

/// Returns whether doing it twice differs from doing it once.
pub(super) fn counts(update: &Update) -> bool {
    update
        .changes
        .iter()
        .any(|change| matches!(change, Change::Add(..)))
}

pub(super) fn raw_key(key: &Key) -> Raw {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

pub(super) fn raw_item(item: &Item) -> Result<Raw, StoreError> {
    let mut raw = raw_key(&item.key);
    for (name, value) in &item.attributes {
        if raw.insert(name.clone(), stored(value)?).is_some() {
            return refused(format!("attribute {name} is part of the key"));
        }
    }
    Ok(raw)
}

/// An item as it came from the table. One that Millrace cannot have written is refused, naming the
/// attribute.
pub(super) fn item(raw: Raw) -> Result<Item, StoreError> {
    let (mut pk, mut sk, mut attributes) = (None, None, Attributes::new());
    for (name, value) in raw {
        let value = match value {
            AttributeValue::S(text) => Value::S(text),
            AttributeValue::N(number) => match number.parse() {
                Ok(number) => Value::N(number),
                Err(_) => {
                    return refused(format!(
                        "stored attribute {name} is not a whole number of 64 bits"
                    ));
                }
            },
            AttributeValue::B(bytes) => Value::B(bytes.into_inner()),
            AttributeValue::Ss(set) => Value::Ss(set.into_iter().collect()),
            _ => {
                return refused(format!(
                    "stored attribute {name} has a type that is not used"
                ));
            }
        };
        match (name.as_str(), value) {
            ("pk", Value::S(text)) => pk = Some(text),
            ("sk", Value::S(text)) => sk = Some(text),
            (_, value) => {
                attributes.insert(name, value);
            }
        }
    }
    match (pk, sk) {
        (Some(pk), Some(sk)) => Ok(Item {
            key: Key { pk, sk },
            attributes,
        }),
        _ => refused("a stored item came without its key"),
    }
}

/// The size of an item as `DynamoDB` counts it, in bytes, numbers at their most.
pub(super) fn size(item: &Item) -> usize {
    let values = item.attributes.iter().map(|(name, value)| {
        name.len()
            + match value {
                Value::S(text) => text.len(),
                Value::N(_) => 12,
                Value::B(bytes) => bytes.len(),
                Value::Ss(set) => set.iter().map(String::len).sum(),
            }
    });
    4 + item.key.pk.len() + item.key.sk.len() + values.sum::<usize>()
}

/// A condition as an expression, where there is one.
pub(super) fn optional(
    condition: Option<&Condition>,
    aliases: &mut Aliases,
) -> Result<Option<String>, StoreError> {
    condition
        .map(|condition| self::condition(condition, aliases))
        .transpose()
}

/// The index and the key condition that select these items.
pub(super) fn key_condition(
    select: &Select,
    aliases: &mut Aliases,
) -> (Option<&'static str>, String) {
    match select {
        Select::Partition { pk, from, to } => {
            let (hash, range) = (aliases.name("pk"), aliases.name("sk"));
            let (pk, from, to) = (aliases.text(pk), aliases.text(from), aliases.text(to));
            (
                None,
                format!("{hash} = {pk} AND {range} BETWEEN {from} AND {to}"),
            )
        }
        Select::JobsOfTenant {
            tenant_jobs,
            before,
        } => {
            let mut condition = format!(
                "{} = {}",
                aliases.name("tenant_jobs"),
                aliases.text(tenant_jobs)
            );
            if let Some(before) = before {
                let range = aliases.name("job_id");
                condition = format!("{condition} AND {range} < {}", aliases.text(before));
            }
            (Some("by_tenant"), condition)
        }
        Select::Due { due_shard, until } => {
            let (hash, range) = (aliases.name("due_shard"), aliases.name("due"));
            let shard = aliases.text(due_shard);
            let until = aliases.value(AttributeValue::N(until.to_string()));
            (
                Some("due"),
                format!("{hash} = {shard} AND {range} <= {until}"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_conditions_keep_their_parentheses() {
        let mut aliases = Aliases::default();
        let nested = Condition::Any(vec![
            Condition::ItemAbsent,
            Condition::All(vec![
                Condition::AtMost("expires_at", 5),
                Condition::Absent("pk"),
            ]),
        ]);
        let text = condition(&nested, &mut aliases).unwrap();
        assert_eq!(
            text,
            "(attribute_not_exists(#a0) OR (#a1 <= :v0 AND attribute_not_exists(#a0)))"
        );
        let (names, values) = aliases.into_parts();
        assert_eq!(names.unwrap()["#a1"], "expires_at");
        assert_eq!(values.unwrap()[":v0"], AttributeValue::N("5".to_owned()));
    }

    #[test]
    fn a_condition_of_one_part_has_no_parentheses_of_its_own() {
        let one = Condition::Any(vec![Condition::All(vec![Condition::ItemExists])]);
        assert_eq!(
            condition(&one, &mut Aliases::default()).unwrap(),
            "attribute_exists(#a0)"
        );
    }

    #[test]
    fn changes_are_grouped_by_clause() {
        let mut aliases = Aliases::default();
        let set = BTreeSet::from(["x".to_owned()]);
        let all = [
            Change::Remove("due"),
            Change::Set("status", Value::S("done".to_owned())),
            Change::AddToSet("shards", set),
            Change::SetIfAbsent("first", Value::N(1)),
            Change::Add("starts", 1),
        ];
        let text = changes(&all, &mut aliases).unwrap();
        assert_eq!(
            text,
            "SET #a1 = :v0, #a3 = if_not_exists(#a3, :v2) ADD #a2 :v1, #a4 :v3 REMOVE #a0"
        );
    }

    #[test]
    fn mistakes_are_refused_before_a_call() {
        let refused = |change: &[Change]| changes(change, &mut Aliases::default()).is_err();
        assert!(refused(&[]));
        assert!(refused(&[Change::AddToSet("s", BTreeSet::new())]));
        assert!(refused(&[Change::Set("s", Value::Ss(BTreeSet::new()))]));
        assert!(refused(&[
            Change::Set("a", Value::N(1)),
            Change::Remove("a")
        ]));
        assert!(refused(&[Change::Set("sk", Value::N(1))]));
        assert!(condition(&Condition::All(vec![]), &mut Aliases::default()).is_err());
    }

    #[test]
    fn items_of_foreign_shape_are_refused_by_attribute() {
        let raw = |value| {
            let mut raw = raw_key(&Key {
                pk: "p".to_owned(),
                sk: "s".to_owned(),
            });
            raw.insert("x".to_owned(), value);
            item(raw)
        };
        assert!(raw(AttributeValue::N("17".to_owned())).is_ok());
        for foreign in [
            AttributeValue::N("1.5".to_owned()),
            AttributeValue::Bool(true),
        ] {
            assert!(matches!(raw(foreign), Err(StoreError::Refused(why)) if why.contains('x')));
        }
        assert!(matches!(item(Raw::new()), Err(StoreError::Refused(_))));
    }
}
