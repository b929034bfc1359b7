//! Trees of made-up sources, for tests of the checks.

use std::collections::{BTreeMap, BTreeSet};

use super::Tree;

/// Reads made-up files by their paths in the checkout. The modules above them that are not given
/// only declare them.
pub(crate) fn made_up(files: &[(&str, &str)]) -> Tree {
    let mut texts: BTreeMap<String, String> = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    let mut roots = BTreeSet::new();
    for (file, _) in files {
        let (package, below) = file.split_once("/src/").unwrap();
        let name = package.rsplit('/').next().unwrap().to_owned();
        let root = format!(
            "{package}/src/{}",
            if package.starts_with("functions") {
                "main.rs"
            } else {
                "lib.rs"
            }
        );
        let mut parent = root.clone();
        let mut directory = format!("{package}/src");
        roots.insert((name, root));
        for part in below
            .trim_end_matches(".rs")
            .split('/')
            .filter(|part| !matches!(*part, "lib" | "main" | "mod"))
        {
            let text = texts.entry(parent.clone()).or_default();
            if !text.contains(&format!("mod {part};")) {
                text.extend(["\npub mod ", part, ";"]);
            }
            directory = format!("{directory}/{part}");
            let own = format!("{directory}.rs");
            parent = if texts.contains_key(&own) {
                own
            } else {
                format!("{directory}/mod.rs")
            };
        }
        texts.entry(parent).or_default();
    }
    let roots: Vec<(String, String)> = roots.into_iter().collect();
    Tree::read(&roots, &|file| texts.get(file).cloned())
}
