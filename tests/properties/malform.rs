//! Valid inputs, malformed in one place.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value};

use crate::Input;

/// JSON texts that a reader of JSON may stumble over, in any place. Not all of them are JSON.
pub(crate) const ODD: &[&str] = &[
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e400",
    "-1e-400",
    "18446744073709551616",
    "123456789012345678901234567890",
    "01",
    "NaN",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\u{feff}\"",
    "\"\\r\\n\"",
    "\"a\nb\"",
    "\"\\x\"",
    "\"=1+1\"",
    "\"../..\"",
    "\"http://169.254.169.254/\"",
    "\"https://hook.example/two\"",
    "\"\u{202e}\u{2028}\"",
    "[]",
    "[[]]",
    "[null]",
    "{}",
    "{\"\":{\"\":null}}",
    "{\"a\":1,\"a\":2}",
    "{\"__proto__\":{}}",
    "[1,]",
    "\"pii-7f3a\"",
    "{\"0\":0}",
    "1E2",
    "\"1\"",
    "\"true\"",
];

/// A change to a document.
#[derive(Debug, Clone)]
pub(crate) enum Malformation {
    /// One of [`ODD`] in some value's place.
    Replace(Index, &'static str),
    /// A text of this many letters in some value's place.
    Long(Index, usize),
    /// This many levels in some value's place.
    Deep(Index, usize),
    /// A member or an element is removed.
    Drop(Index),
    /// A member is renamed.
    Rename(Index, &'static str),
    /// A member is repeated under its name, with one of [`ODD`].
    Twice(Index, &'static str),
    /// An array's element is repeated this many times.
    Repeat(Index, usize),
    /// A member that no schema has.
    Add(Index, &'static str),
    /// Bytes before the document.
    Before(&'static [u8]),
    /// Bytes after the document.
    Behind(&'static [u8]),
    /// The rest is missing.
    Cut(Index),
    /// One byte is replaced.
    Byte(Index, u8),
    /// Line ends as on Windows, in every place where JSON takes white space.
    Crlf,
}

const NAMES: &[&str] = &[
    "",
    "id",
    "Domain",
    "company name",
    "a/b~c",
    "\\u0000",
    "ü",
    "type",
    "metadata",
    "data",
    "\u{feff}",
];

const BEFORE: &[&[u8]] = &[b"\xef\xbb\xbf", b"\0", b" \r\n\t", b"//\n", b"\xff"];
const BEHIND: &[&[u8]] = &[b"\n", b"\0", b"{}", b",", b"\xc3"];

pub(crate) fn malformation() -> impl Strategy<Value = Malformation> {
    let at = any::<Index>;
    prop_oneof![
        8 => (at(), select(ODD)).prop_map(|(at, odd)| Malformation::Replace(at, odd)),
        1 => (at(), select(&[200_usize, 255, 256, 257, 400, 2083, 2084, 65_000, 65_600][..]))
            .prop_map(|(at, n)| Malformation::Long(at, n)),
        1 => (at(), select(&[58_usize, 60, 61, 62, 63, 64, 65, 126, 127, 128, 5000][..]))
            .prop_map(|(at, n)| Malformation::Deep(at, n)),
        2 => at().prop_map(Malformation::Drop),
        2 => (at(), select(NAMES)).prop_map(|(at, name)| Malformation::Rename(at, name)),
        2 => (at(), select(ODD)).prop_map(|(at, odd)| Malformation::Twice(at, odd)),
        1 => (at(), select(&[0_usize, 2, 101, 1001][..]))
            .prop_map(|(at, n)| Malformation::Repeat(at, n)),
        2 => (at(), select(ODD)).prop_map(|(at, odd)| Malformation::Add(at, odd)),
        1 => select(BEFORE).prop_map(Malformation::Before),
        1 => select(BEHIND).prop_map(Malformation::Behind),
        1 => at().prop_map(Malformation::Cut),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Malformation::Byte(at, byte)),
        1 => Just(Malformation::Crlf),
    ]
}

/// Collects every place in a document, the whole first.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, item)| places(item, &format!("{at}/{n}"), into)),
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, member)| places(member, &format!("{at}/{}", escape(name)), into));
        }
        _ => {}
    }
}

/// The placeholder for a text that no [`Value`] could hold; the text replaces it later.
const HOLE: &str = "@@HOLE@@";

/// Changes the object or array that holds a place; `None` for the whole document.
fn inside<T>(
    document: &mut Value,
    place: &str,
    change: impl FnOnce(&mut Value, &str) -> Option<T>,
) -> Option<T> {
    let (parent, last) = place.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    change(document.pointer_mut(parent)?, &last)
}

fn renamed(members: &Map<String, Value>, name: &str, new: &str) -> Map<String, Value> {
    let name_of = |old: &String| {
        if old == name {
            new.to_owned()
        } else {
            old.clone()
        }
    };
    members
        .iter()
        .map(|(old, value)| (name_of(old), value.clone()))
        .collect()
}

/// Malforms a JSON document. Other text is only cut, lengthened or changed in a byte.
pub(crate) fn malformed(text: &[u8], malformation: &Malformation) -> Vec<u8> {
    let whole = |bytes: &[u8]| bytes.to_vec();
    match malformation {
        Malformation::Before(bytes) => return [bytes, text].concat(),
        Malformation::Behind(bytes) => return [text, bytes].concat(),
        Malformation::Cut(at) if !text.is_empty() => return whole(&text[..at.index(text.len())]),
        Malformation::Byte(at, byte) if !text.is_empty() => {
            let mut bytes = whole(text);
            bytes[at.index(text.len())] = *byte;
            return bytes;
        }
        _ => {}
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(text) else {
        return whole(text);
    };
    let mut all = Vec::new();
    places(&document, "", &mut all);
    let place = |at: &Index| all[at.index(all.len())].clone();
    let mut fill = String::new();
    let hole = || Value::from(HOLE);
    match malformation {
        Malformation::Replace(at, odd) => {
            (*odd).clone_into(&mut fill);
            document
                .pointer_mut(&place(at))
                .into_iter()
                .for_each(|value| *value = hole());
        }
        Malformation::Long(at, letters) => {
            document
                .pointer_mut(&place(at))
                .into_iter()
                .for_each(|value| *value = "x".repeat(*letters).into());
        }
        Malformation::Deep(at, levels) => {
            fill = format!("{}{}", "[".repeat(*levels), "]".repeat(*levels));
            document
                .pointer_mut(&place(at))
                .into_iter()
                .for_each(|value| *value = hole());
        }
        Malformation::Drop(at) => {
            inside(&mut document, &place(at), |holder, last| match holder {
                Value::Object(members) => members.shift_remove(last),
                Value::Array(items) => last.parse().ok().map(|at: usize| items.remove(at)),
                _ => None,
            });
        }
        Malformation::Rename(at, name) => {
            inside(&mut document, &place(at), |holder, last| {
                let members = holder.as_object_mut()?;
                *members = renamed(members, last, name);
                Some(())
            });
        }
        Malformation::Twice(at, odd) => {
            inside(&mut document, &place(at), |holder, last| {
                let members = holder.as_object_mut()?;
                fill = format!("{odd},{}:{}", Value::from(last), members.get(last)?);
                members.insert(last.to_owned(), hole()).map(|_| ())
            });
        }
        Malformation::Repeat(at, times) => {
            inside(&mut document, &place(at), |holder, last| {
                let items = holder.as_array_mut()?;
                let one = items.get(last.parse::<usize>().ok()?)?.clone();
                *items = vec![one; *times];
                Some(())
            });
        }
        Malformation::Add(at, odd) => {
            (*odd).clone_into(&mut fill);
            let name = NAMES[odd.len() % NAMES.len()];
            if let Some(members) = document
                .pointer_mut(&place(at))
                .and_then(Value::as_object_mut)
            {
                members.insert(name.to_owned(), hole());
            }
        }
        Malformation::Crlf => {
            return serde_json::to_string_pretty(&document)
                .map_or(whole(text), |t| t.replace('\n', "\r\n").into_bytes());
        }
        Malformation::Before(_)
        | Malformation::Behind(_)
        | Malformation::Cut(_)
        | Malformation::Byte(..) => {}
    }
    document
        .to_string()
        .replacen(&format!("\"{HOLE}\""), &fill, 1)
        .into_bytes()
}

/// Seeds of a target whose text from `document` on is JSON, malformed once or twice.
pub(crate) fn seeds_with_json(
    target: &str,
    document: fn(&[u8]) -> usize,
) -> impl Strategy<Value = Input> + use<> {
    let seeds: Vec<Vec<u8>> = testkit::fuzz::seeds(target)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    (
        select(seeds),
        proptest::collection::vec(malformation(), 1..3),
    )
        .prop_map(move |(seed, bends)| {
            let (head, json) = seed.split_at(document(&seed));
            let json = bends
                .iter()
                .fold(json.to_vec(), |json, one| malformed(&json, one));
            Input([head, &json].concat())
        })
}
