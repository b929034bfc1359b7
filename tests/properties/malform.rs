//! Valid inputs, bent in one place.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value};

use crate::Input;

/// JSON texts that a reader of JSON may stumble over, wherever one stands. Not all of them are JSON.
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

/// What happens to a document.
#[derive(Debug, Clone)]
pub(crate) enum Bend {
    /// One of [`ODD`] in some value's place.
    Replace(Index, &'static str),
    /// A text of so many letters in some value's place.
    Long(Index, usize),
    /// So many levels in some value's place.
    Deep(Index, usize),
    /// A member or an element goes.
    Drop(Index),
    /// A member gets another name.
    Rename(Index, &'static str),
    /// A member comes once more under its name, with one of [`ODD`].
    Twice(Index, &'static str),
    /// An array's element comes so many times.
    Repeat(Index, usize),
    /// A member that nobody asked for.
    Add(Index, &'static str),
    /// Bytes before everything.
    Before(&'static [u8]),
    /// Bytes behind everything.
    Behind(&'static [u8]),
    /// The rest is missing.
    Cut(Index),
    /// One byte is another.
    Byte(Index, u8),
    /// Line ends as Windows writes them, in every place where JSON takes white space.
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

pub(crate) fn bend() -> impl Strategy<Value = Bend> {
    let at = any::<Index>;
    prop_oneof![
        8 => (at(), select(ODD)).prop_map(|(at, odd)| Bend::Replace(at, odd)),
        1 => (at(), select(&[200_usize, 255, 256, 257, 400, 2083, 2084, 65_000, 65_600][..])).prop_map(|(at, n)| Bend::Long(at, n)),
        1 => (at(), select(&[58_usize, 60, 61, 62, 63, 64, 65, 126, 127, 128, 5000][..])).prop_map(|(at, n)| Bend::Deep(at, n)),
        2 => at().prop_map(Bend::Drop),
        2 => (at(), select(NAMES)).prop_map(|(at, name)| Bend::Rename(at, name)),
        2 => (at(), select(ODD)).prop_map(|(at, odd)| Bend::Twice(at, odd)),
        1 => (at(), select(&[0_usize, 2, 101, 1001][..])).prop_map(|(at, n)| Bend::Repeat(at, n)),
        2 => (at(), select(ODD)).prop_map(|(at, odd)| Bend::Add(at, odd)),
        1 => select(BEFORE).prop_map(Bend::Before),
        1 => select(BEHIND).prop_map(Bend::Behind),
        1 => at().prop_map(Bend::Cut),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Bend::Byte(at, byte)),
        1 => Just(Bend::Crlf),
    ]
}

/// Every place in a document, the whole first.
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

/// Stands for what is put into the text afterwards, because no [`Value`] could hold it.
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

/// A JSON document, bent. What is no JSON is only cut, lengthened or changed in a byte.
pub(crate) fn malformed(text: &[u8], bend: &Bend) -> Vec<u8> {
    let whole = |bytes: &[u8]| bytes.to_vec();
    match bend {
        Bend::Before(bytes) => return [bytes, text].concat(),
        Bend::Behind(bytes) => return [text, bytes].concat(),
        Bend::Cut(at) if !text.is_empty() => return whole(&text[..at.index(text.len())]),
        Bend::Byte(at, byte) if !text.is_empty() => {
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
    match bend {
        Bend::Replace(at, odd) => {
            (*odd).clone_into(&mut fill);
            document
                .pointer_mut(&place(at))
                .into_iter()
                .for_each(|value| *value = hole());
        }
        Bend::Long(at, letters) => {
            document
                .pointer_mut(&place(at))
                .into_iter()
                .for_each(|value| *value = "x".repeat(*letters).into());
        }
        Bend::Deep(at, levels) => {
            fill = format!("{}{}", "[".repeat(*levels), "]".repeat(*levels));
            document
                .pointer_mut(&place(at))
                .into_iter()
                .for_each(|value| *value = hole());
        }
        Bend::Drop(at) => {
            inside(&mut document, &place(at), |holder, last| match holder {
                Value::Object(members) => members.shift_remove(last),
                Value::Array(items) => last.parse().ok().map(|at: usize| items.remove(at)),
                _ => None,
            });
        }
        Bend::Rename(at, name) => {
            inside(&mut document, &place(at), |holder, last| {
                let members = holder.as_object_mut()?;
                *members = renamed(members, last, name);
                Some(())
            });
        }
        Bend::Twice(at, odd) => {
            inside(&mut document, &place(at), |holder, last| {
                let members = holder.as_object_mut()?;
                fill = format!("{odd},{}:{}", Value::from(last), members.get(last)?);
                members.insert(last.to_owned(), hole()).map(|_| ())
            });
        }
        Bend::Repeat(at, times) => {
            inside(&mut document, &place(at), |holder, last| {
                let items = holder.as_array_mut()?;
                let one = items.get(last.parse::<usize>().ok()?)?.clone();
                *items = vec![one; *times];
                Some(())
            });
        }
        Bend::Add(at, odd) => {
            (*odd).clone_into(&mut fill);
            let name = NAMES[odd.len() % NAMES.len()];
            if let Some(members) = document
                .pointer_mut(&place(at))
                .and_then(Value::as_object_mut)
            {
                members.insert(name.to_owned(), hole());
            }
        }
        Bend::Crlf => {
            return serde_json::to_string_pretty(&document)
                .map_or(whole(text), |t| t.replace('\n', "\r\n").into_bytes());
        }
        Bend::Before(_) | Bend::Behind(_) | Bend::Cut(_) | Bend::Byte(..) => {}
    }
    document
        .to_string()
        .replacen(&format!("\"{HOLE}\""), &fill, 1)
        .into_bytes()
}

/// Seeds of a target whose text from `document` on is JSON, bent once or twice.
pub(crate) fn seeds_with_json(
    target: &str,
    document: fn(&[u8]) -> usize,
) -> impl Strategy<Value = Input> + use<> {
    let seeds: Vec<Vec<u8>> = testkit::fuzz::seeds(target)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    (select(seeds), proptest::collection::vec(bend(), 1..3)).prop_map(move |(seed, bends)| {
        let (head, json) = seed.split_at(document(&seed));
        let json = bends
            .iter()
            .fold(json.to_vec(), |json, one| malformed(&json, one));
        Input([head, &json].concat())
    })
}
