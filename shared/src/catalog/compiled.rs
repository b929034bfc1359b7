//! `providers.toml` as it was parsed when the bundle was made. It is JSON, which a function reads
//! faster at Init.
//!
//! The first line says by which code and of which text it was made. A file of other code or of
//! another text is not read. So a function never works by a file other than the one beside it, or
//! one that its own parser would read otherwise.

use serde::{Deserialize, Serialize};
use serde_json::Error;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::code;
use super::error::Place;
use super::file::Config;
use super::kind::{Kind, KindReader};
use super::limits::LimitsConfig;
use super::provider::ProviderConfig;
use super::types::TypeConfig;

/// Its name, beside `providers.toml`.
pub const COMPILED_FILE: &str = "providers.compiled";

/// The sources of this folder, without their tests. A kind brings its own ([`KindReader::of`]).
macro_rules! sources {
    ($($name:literal,)*) => {
        const SOURCES: &[(&str, &[u8])] = &[$(($name, include_bytes!($name)),)*];
    };
}

sources![
    "address.rs",
    "batch.rs",
    "code.rs",
    "compiled.rs",
    "error.rs",
    "expression.rs",
    "file.rs",
    "kind.rs",
    "later.rs",
    "limits.rs",
    "mapping.rs",
    "mod.rs",
    "oauth.rs",
    "provider.rs",
    "reader.rs",
    "record_type.rs",
    "request.rs",
    "secret.rs",
    "settings.rs",
    "template.rs",
    "types.rs",
    "web.rs",
];

/// The versions of the dependencies: what an expression reads is found out by one, and another
/// writes the JSON.
const LOCK: &[u8] = include_bytes!("../../../Cargo.lock");

/// Identifies the code that makes and reads a file: a change in the parser, in its types or in what
/// builds them changes this number. The compiler computes it; the sources are not in the binary.
const CODE: u64 = fingerprint(SOURCES, LOCK);

/// Returns a hash of each file's name and content.
const fn fingerprint(sources: &[(&str, &[u8])], lock: &[u8]) -> u64 {
    let (mut hash, mut file) = (code::added(code::SEED, lock), 0);
    while file < sources.len() {
        hash = code::added(hash, sources[file].0.as_bytes());
        hash = code::added(hash, sources[file].1);
        file += 1;
    }
    hash
}

/// Returns the same for this folder and these kinds.
fn code_with(kinds: &[KindReader]) -> u64 {
    let codes = kinds.iter().map(KindReader::code);
    codes.fold(CODE, code::mixed)
}

/// The reason why the text has to be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The file does not exist.
    #[error("is not there")]
    Missing,
    /// The file system refuses it, for this reason.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Another version of the code made it, or it was made of another text or for other kinds.
    #[error("was made by another version of the code, or of another text")]
    Foreign,
    /// It is not the JSON that was written, for this reason.
    #[error("is damaged: {0}")]
    Damaged(String),
}

/// A compiled configuration. `S` is JSON: the settings of a provider.
#[derive(Serialize, Deserialize)]
struct Compiled<S> {
    types: Vec<TypeConfig>,
    providers: Vec<CompiledProvider<S>>,
    operations: Vec<(String, String, String)>,
}

/// A provider in it, whose settings only its kind can read.
#[derive(Serialize, Deserialize)]
struct CompiledProvider<S> {
    name: String,
    at: Place,
    confidence: Option<f64>,
    license: Option<String>,
    credits: u32,
    limits: LimitsConfig,
    kind: String,
    settings: S,
}

/// Returns the first line, line break included.
fn header(kinds: &[KindReader], text: &str) -> String {
    format!(
        "millrace-providers {:016x} {}\n",
        code_with(kinds),
        hex::encode(Sha256::digest(text))
    )
}

/// Writes the file for a configuration of these kinds that was parsed from this text. `settings`
/// writes a provider's settings.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn compile(
    kinds: &[KindReader],
    config: &Config,
    text: &str,
    settings: impl Fn(&Kind) -> Result<Box<RawValue>, Error>,
) -> Result<String, Error> {
    let providers = config.providers.iter().map(|provider| {
        Ok(CompiledProvider {
            name: provider.name.clone(),
            at: provider.at.clone(),
            confidence: provider.confidence,
            license: provider.license.clone(),
            credits: provider.credits,
            limits: provider.limits.clone(),
            kind: provider.kind.name().to_owned(),
            settings: settings(&provider.kind)?,
        })
    });
    let compiled = Compiled {
        types: config.types.clone(),
        providers: providers.collect::<Result<_, Error>>()?,
        operations: config.operations.clone(),
    };
    Ok(header(kinds, text) + &serde_json::to_string(&compiled)?)
}

/// Reads a file that [`compile`] made of exactly this text, for the same kinds. `file` is the name
/// that `providers.toml` has in messages.
///
/// # Errors
/// The reason why the text has to be parsed instead.
pub fn read(
    kinds: &[KindReader],
    compiled: &[u8],
    file: &str,
    text: &str,
) -> Result<Config, Unfit> {
    let json = compiled
        .strip_prefix(header(kinds, text).as_bytes())
        .ok_or(Unfit::Foreign)?;
    let damaged = |error: Error| Unfit::Damaged(error.to_string());
    let compiled: Compiled<&RawValue> = serde_json::from_slice(json).map_err(damaged)?;
    let providers = compiled.providers.into_iter().map(|provider| {
        let kind = Kind::restore(kinds, &provider.kind, provider.settings, file);
        let kind = kind.map_err(damaged)?;
        Ok(ProviderConfig {
            name: provider.name,
            at: Place {
                file: file.to_owned(),
                ..provider.at
            },
            confidence: provider.confidence,
            license: provider.license,
            credits: provider.credits,
            limits: provider.limits,
            kind: kind.ok_or(Unfit::Foreign)?,
        })
    });
    Ok(Config {
        types: compiled.types,
        providers: providers.collect::<Result<_, Unfit>>()?,
        operations: compiled.operations,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::providers::kinds::{READERS, settings};

    const SHIPPED: &str = include_str!("../../../infra/providers.toml");

    #[test]
    fn a_compiled_file_says_what_its_text_says() {
        let parsed = |file| Config::parse(READERS, file, SHIPPED).unwrap();
        let compiled = |config: &Config| compile(READERS, config, SHIPPED, settings).unwrap();
        for file in ["x.toml", "y.toml"] {
            let made = compiled(&parsed("x.toml"));
            let read = read(READERS, made.as_bytes(), file, SHIPPED).unwrap();
            assert_eq!(format!("{read:?}"), format!("{:?}", parsed(file)));
            assert_eq!(compiled(&read), compiled(&parsed(file)));
        }
    }

    #[test]
    fn what_other_code_made_or_of_another_text_is_not_read() {
        let parsed = Config::parse(READERS, "x.toml", SHIPPED).unwrap();
        let kept = compile(READERS, &parsed, SHIPPED, settings).unwrap();
        let verdict = |kept: &str, text: &str| read(READERS, kept.as_bytes(), "x.toml", text).err();
        assert_eq!(verdict(&kept, SHIPPED), None);
        assert_eq!(
            verdict(&kept, &format!("{SHIPPED}\n")),
            Some(Unfit::Foreign)
        );
        let code = code_with(READERS);
        let other = format!("{:016x}", code.wrapping_add(1));
        assert_eq!(
            verdict(&kept.replace(&format!("{code:016x}"), &other), SHIPPED),
            Some(Unfit::Foreign)
        );
        let fewer = read(&READERS[1..], kept.as_bytes(), "x.toml", SHIPPED);
        assert_eq!(fewer.err(), Some(Unfit::Foreign), "other kinds");
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
