//! Checks that a dump covers the stored JSON: each member of our types is in it, with a value other
//! than the one of a missing member.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};
use shared::domain::chunk::ChunkMessage;
use shared::domain::delivery::{Attempt, DeliveryTask};
use shared::domain::job::{End, Spec};
use shared::domain::record::Outcome;
use shared::domain::signature::LiveSecret;
use shared::domain::tenant::Profile;
use shared::providers::guards::answer_cache::CachedAnswer;
use shared::schema::{Chunk, Part};
use std::cell::RefCell;
use testkit::stored::{Dump, VERSIONS};

/// The members seen of the types that were read.
#[derive(Debug, Default)]
struct Seen {
    /// Members by type and name, and whether one had a value.
    members: BTreeMap<(&'static str, &'static str), bool>,
    /// Members that are stored and that no type reads, by type.
    unread: BTreeSet<(&'static str, String)>,
}

/// Reads a value as serde reads it, and notes of each struct which members it has and which are
/// there.
#[derive(Clone, Copy)]
struct Noted<'a>(&'a Value, &'a RefCell<Seen>);

impl IntoDeserializer<'_, Error> for Noted<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Noted<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(elements) => {
                let elements = elements.iter().map(|element| Noted(element, self.1));
                visitor.visit_seq(SeqDeserializer::new(elements))
            }
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, member)| (name.as_str(), Noted(member, self.1)));
                visitor.visit_map(MapDeserializer::new(members))
            }
            other => other.clone().deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let stored = self
            .0
            .as_object()
            .unwrap_or_else(|| panic!("{name}: {}", self.0));
        let mut seen = self.1.borrow_mut();
        for member in members {
            let has_value = stored.get(*member).is_some_and(|value| {
                let empty = ["null", "false", "0", "\"\"", "[]", "{}"];
                !empty.contains(&value.to_string().as_str())
            });
            *seen.members.entry((name, member)).or_default() |= has_value;
        }
        let unread = stored
            .keys()
            .filter(|member| !members.contains(&member.as_str()));
        seen.unread
            .extend(unread.map(|member| (name, member.clone())));
        drop(seen);
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        // Values of callers and upstreams are read as they were written.
        if name.starts_with('$') {
            return self.0.clone().deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.clone().deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

fn read<'de, T: Deserialize<'de>>(noted: Noted<'_>) -> Result<(), Error> {
    T::deserialize(noted).map(drop)
}

/// Members without a value in the newest dump, because its version did not have them yet, or for
/// the reason given.
const WITHOUT: [(&str, &str); 3] = [
    ("form", "no surface had several forms yet"),
    ("phone_details", "no phone number had details yet"),
    ("settings", "no tenant could choose anything yet"),
];

#[test]
fn a_dump_holds_every_member_that_is_stored_and_no_other() {
    let version = VERSIONS.last().expect("a version");
    let seen = RefCell::<Seen>::default();
    Dump::of(version).each_json(|form, value| {
        let noted = Noted(value, &seen);
        let read = match form {
            "job" => read::<Spec>(noted),
            "end" => read::<End>(noted),
            "log" => read::<Vec<Attempt>>(noted),
            "secrets" => read::<Vec<LiveSecret>>(noted),
            "profile" => read::<Profile>(noted),
            "kept" => read::<CachedAnswer>(noted),
            "chunk" => read::<Chunk>(noted),
            "part" => read::<Part>(noted),
            "result" => read::<Vec<Outcome>>(noted),
            "chunk message" => read::<ChunkMessage>(noted),
            "wake message" => read::<DeliveryTask>(noted),
            // Its type is private, and none of its members may be missing.
            "delivery" => Ok(()),
            other => panic!("which type is stored as {other}?"),
        };
        assert!(read.is_ok(), "{form}: {read:?}: {value}");
    });
    let Seen { members, unread } = seen.into_inner();
    println!(
        "{} members of {} types",
        members.len(),
        members
            .keys()
            .map(|(of, _)| of)
            .collect::<BTreeSet<_>>()
            .len()
    );
    let without = members.iter().filter(|(_, has_value)| !**has_value);
    let without: Vec<&str> = without.map(|((_, member), _)| *member).collect();
    assert_eq!(
        (without, unread),
        (WITHOUT.map(|(name, _)| name).to_vec(), BTreeSet::new())
    );
}
