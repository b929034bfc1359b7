//! A kind of provider is a file and a line, as CONTRIBUTING.md says.

use std::collections::BTreeSet;

use shared::catalog::KindReader;
use shared::providers::KindBuilder;
use shared::providers::kinds::{BUILDERS, READERS};

use crate::imports::CRATES;
use crate::{root, rust_files, source};

const KINDS: &str = "shared/src/providers/kinds";

/// The part of the page that is about kinds.
fn page() -> String {
    let page = source("CONTRIBUTING.md");
    let (_, part) = page.split_once("\n## Adding a kind of provider\n").unwrap();
    part.split("\n## ").next().unwrap().to_owned()
}

/// Texts in backquotes.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

/// The lines of the registry.
fn lines() -> Vec<String> {
    let registry = source(&format!("{KINDS}/mod.rs"));
    let (_, lines) = registry.split_once("        $table! {\n").unwrap();
    let (lines, _) = lines.split_once("\n        }").unwrap();
    lines.lines().map(|line| line.trim().to_owned()).collect()
}

/// The file of a line, and the settings that it defines.
fn of(line: &str) -> (String, &str) {
    let (module, settings) = line.trim_end_matches(',').split_once(": ").unwrap();
    (
        format!("{KINDS}/{}.rs", module.replace("::", "/")),
        settings,
    )
}

/// A file without its tests.
fn code(file: &str) -> String {
    let text = source(file);
    text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned()
}

#[test]
fn every_line_of_the_registry_is_a_file_that_defines_a_kind() {
    let lines = lines();
    assert_eq!(lines.len(), READERS.len(), "{lines:?}");
    for line in &lines {
        let (file, settings) = of(line);
        let code = code(&file);
        for needed in ["pub struct", "impl KindConfig for", "impl Settings for"] {
            assert!(
                code.contains(&format!("{needed} {settings}")),
                "{file}: {needed}"
            );
        }
    }
    let names = |names: &mut dyn Iterator<Item = &'static str>| names.collect::<BTreeSet<_>>();
    let read = names(&mut READERS.iter().map(KindReader::name));
    let built = names(&mut BUILDERS.iter().map(KindBuilder::name));
    assert_eq!(read.len(), READERS.len(), "a name stands for one kind");
    assert_eq!(read, built);
}

/// A compiled configuration is valid for the sources that read it: those of `catalog`, and of the
/// registered files.
#[test]
fn only_registered_files_read_providers_toml() {
    let lines = lines();
    let registered: BTreeSet<String> = lines.iter().map(|line| of(line).0).collect();
    let reader = |name: &str| {
        ["KindConfig", "Table", "Entry"]
            .map(|item| ["crate", "catalog", item])
            .iter()
            .any(|path| path.join("::") == name)
    };
    let reading = CRATES
        .named
        .iter()
        .filter(|named| reader(&named.path.join("::")));
    let mut found: BTreeSet<String> = reading
        .map(|named| CRATES.files[named.file].clone())
        .filter(|file| file.starts_with("shared/src/") && !file.starts_with("shared/src/catalog/"))
        .collect();
    // A type that one of them stores must be in its own file.
    let derives = rust_files(KINDS).into_iter();
    found.extend(derives.filter(|file| code(file).contains("Deserialize")));
    // It names the trait alone, for all kinds.
    assert!(found.remove("shared/src/providers/kind.rs"));
    assert_eq!(found, registered);
}

#[test]
fn the_page_on_kinds_is_true() {
    let page = page();
    let cited: Vec<&str> = quoted(&page).filter(|text| text.contains('/')).collect();
    assert!(cited.len() >= 6, "{cited:?}");
    for path in cited {
        assert!(root().join(path).exists(), "{path}");
    }
    let lines = lines();
    let cited: Vec<&str> = quoted(&page)
        .filter(|text| text.ends_with(',') && !text.starts_with("NAME"))
        .collect();
    assert_eq!(cited.len(), 2, "{cited:?}");
    for line in cited {
        assert!(lines.iter().any(|known| known == line), "{line}");
    }
    // The items of a file: in the page, in the smallest kind and in the kind of the tests.
    let hem = code(&format!("{KINDS}/hem.rs"));
    let made_up = source("tests/sim/twelfth/tide.rs");
    for item in ["KindConfig", "Settings", "BuildKind", "Provider"] {
        assert!(quoted(&page).any(|text| text == item), "{item}");
        for file in [&hem, &made_up] {
            assert!(file.contains(&format!("impl {item} for ")), "{item}");
        }
    }
    let test = source("tests/sim/twelfth/mod.rs");
    assert!(test.contains("$table! {\n            tide: TideConfig,\n        }"));
}
