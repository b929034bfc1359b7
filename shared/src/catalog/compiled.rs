//! `providers.toml` as it was parsed when the bundle was made: JSON, which a function reads faster at Init.
//!
//! The first line says by which code and of which text it was made. One of other code or of another text is not read at
//! all, so that a function can never work by a file that is not beside it, and that its own parser would read otherwise.

use serde_json::Error;
use sha2::{Digest, Sha256};

use super::file::Config;

/// Its name, beside `providers.toml`.
pub const COMPILED_FILE: &str = "providers.compiled";

/// The sources of this folder, without their tests.
macro_rules! sources {
    ($($name:literal,)*) => {
        const SOURCES: &[(&str, &[u8])] = &[$(($name, include_bytes!($name)),)*];
    };
}

sources![
    "address.rs",
    "batch.rs",
    "chat.rs",
    "compiled.rs",
    "dataset.rs",
    "domain_finder.rs",
    "email_check.rs",
    "error.rs",
    "expression.rs",
    "file.rs",
    "hem.rs",
    "http.rs",
    "ip.rs",
    "kind.rs",
    "later.rs",
    "limits.rs",
    "mapping.rs",
    "mod.rs",
    "oauth.rs",
    "phone.rs",
    "provider.rs",
    "reader.rs",
    "record_type.rs",
    "request.rs",
    "secret.rs",
    "settings.rs",
    "signals.rs",
    "site.rs",
    "tech.rs",
    "template.rs",
    "types.rs",
    "web.rs",
];

/// The versions of the dependencies: what an expression reads is found out by one, and another writes the JSON.
const LOCK: &[u8] = include_bytes!("../../../Cargo.lock");

/// Tells the code apart that made a file and that reads it: whatever is changed in the parser, in its types or in what they
/// are made with changes this number, and nobody has to think of it. It is computed by the compiler; the sources are not in
/// the binary.
const CODE: u64 = fingerprint(SOURCES, LOCK);

/// Of each file its name, its length and what is in it, after FNV-1a and by words, because a compiler's loops are slow.
/// Against accidents, not against attackers: who can write the one file can write the other.
const fn fingerprint(sources: &[(&str, &[u8])], lock: &[u8]) -> u64 {
    let (mut hash, mut file) = (added(0xcbf2_9ce4_8422_2325, lock), 0);
    while file < sources.len() {
        hash = added(added(hash, sources[file].0.as_bytes()), sources[file].1);
        file += 1;
    }
    hash
}

const fn added(hash: u64, mut bytes: &[u8]) -> u64 {
    let mut hash = mixed(hash, bytes.len() as u64);
    while let Some((word, rest)) = bytes.split_first_chunk() {
        hash = mixed(hash, u64::from_le_bytes(*word));
        bytes = rest;
    }
    while let Some((byte, rest)) = bytes.split_first() {
        hash = mixed(hash, *byte as u64);
        bytes = rest;
    }
    hash
}

const fn mixed(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3);
    hash ^ (hash >> 32)
}

/// Why the text has to be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("is not there")]
    Missing,
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("was made by another version of the code, or of another text")]
    Foreign,
    #[error("is damaged: {0}")]
    Damaged(String),
}

/// The first line, line break included.
fn header(text: &str) -> String {
    format!(
        "millrace-providers {CODE:016x} {}\n",
        hex::encode(Sha256::digest(text))
    )
}

/// The file for a configuration that was parsed from this text.
pub fn compile(config: &Config, text: &str) -> Result<String, Error> {
    Ok(header(text) + &serde_json::to_string(config)?)
}

/// Reads a file that [`compile`] made of exactly this text.
pub fn read(kept: &[u8], text: &str) -> Result<Config, Unfit> {
    let json = kept
        .strip_prefix(header(text).as_bytes())
        .ok_or(Unfit::Foreign)?;
    serde_json::from_slice(json).map_err(|error| Unfit::Damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SHIPPED: &str = include_str!("../../../infra/providers.toml");

    #[test]
    fn a_compiled_file_says_what_its_text_says() {
        let parsed = Config::parse("x.toml", SHIPPED).unwrap();
        let mut read = read(compile(&parsed, SHIPPED).unwrap().as_bytes(), SHIPPED).unwrap();
        assert_eq!(format!("{read:?}"), format!("{parsed:?}"));
        read.relabel("y.toml");
        assert_eq!(
            format!("{read:?}"),
            format!("{:?}", Config::parse("y.toml", SHIPPED).unwrap())
        );
    }

    #[test]
    fn what_other_code_made_or_of_another_text_is_not_read() {
        let kept = compile(&Config::parse("x.toml", SHIPPED).unwrap(), SHIPPED).unwrap();
        let verdict = |kept: &str, text: &str| read(kept.as_bytes(), text).err();
        assert_eq!(verdict(&kept, SHIPPED), None);
        assert_eq!(
            verdict(&kept, &format!("{SHIPPED}\n")),
            Some(Unfit::Foreign)
        );
        let code = format!("{CODE:016x}");
        assert_eq!(
            verdict(&kept.replace(&code, &format!("{:016x}", CODE + 1)), SHIPPED),
            Some(Unfit::Foreign)
        );
        assert_eq!(
            verdict(kept.split_once('\n').unwrap().1, SHIPPED),
            Some(Unfit::Foreign),
            "no header"
        );
        assert!(matches!(
            verdict(&kept[..kept.len() - 1], SHIPPED),
            Some(Unfit::Damaged(_))
        ));
        assert!(matches!(
            verdict(&format!("{kept}}}"), SHIPPED),
            Some(Unfit::Damaged(_))
        ));
    }

    #[test]
    fn every_source_of_the_folder_counts() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "tests.rs")
            .collect();
        files.sort();
        assert_eq!(
            SOURCES
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect::<Vec<_>>(),
            files
        );
    }

    #[test]
    fn whatever_differs_in_a_source_or_a_dependency_is_another_code() {
        let long = [b'x'; 40];
        let mut codes = vec![
            fingerprint(&[("a.rs", b"one"), ("b.rs", b"two")], b"lock"),
            fingerprint(&[("a.rs", b"on"), ("b.rs", b"etwo")], b"lock"),
            fingerprint(&[("a.rs", b"onetwo"), ("b.rs", b"")], b"lock"),
            fingerprint(&[("b.rs", b"one"), ("a.rs", b"two")], b"lock"),
            fingerprint(&[("a.rs", b"one"), ("c.rs", b"two")], b"lock"),
            fingerprint(&[("a.r", b"sone"), ("b.rs", b"two")], b"lock"),
            fingerprint(&[("a.rs", b"one")], b"lock"),
            fingerprint(&[("a.rs", b"one"), ("b.rs", b"two")], b"loch"),
            fingerprint(&[("a.rs", b"one"), ("b.rs", b"two")], b""),
            fingerprint(&[("a.rs", &long)], b""),
        ];
        for at in 0..long.len() {
            let mut changed = long;
            changed[at] = b'y';
            codes.extend([
                fingerprint(&[("a.rs", &changed)], b""),
                fingerprint(&[("a.rs", &long[..at])], b""),
            ]);
        }
        let known = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), known);
        assert_eq!(CODE, fingerprint(SOURCES, LOCK));
        assert!(
            std::str::from_utf8(LOCK)
                .unwrap()
                .contains("name = \"minijinja\"")
        );
    }
}
