//! `make fuzz` runs every fuzz target, and every kind of input has its seeds.

use std::collections::BTreeSet;
use std::process::Command;

use super::{root, source};

/// The kinds of input that `make fuzz` would go through.
fn fuzzed(arguments: &[&str]) -> BTreeSet<String> {
    let mut make = Command::new("make");
    // Remove the settings of an outer `make`.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "INPUT"] {
        make.env_remove(name);
    }
    // As in a shell that builds elsewhere: the place of binaries is not a kind of input.
    make.env("CARGO_TARGET_DIR", "/elsewhere")
        .args(["-n", "fuzz"])
        .args(arguments)
        .current_dir(root());
    let output = make
        .output()
        .unwrap_or_else(|error| panic!("make: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let shown = String::from_utf8(output.stdout).unwrap();
    let inputs = shown
        .split_once("for input in ")
        .and_then(|(_, rest)| rest.split_once(';'))
        .map(|(inputs, _)| inputs);
    inputs
        .unwrap_or_else(|| panic!("no list in {shown}"))
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

#[test]
fn make_fuzz_runs_every_target_and_each_has_seeds() {
    let manifest = source("tests/fuzz/Cargo.toml");
    let mut targets = BTreeSet::new();
    for bin in manifest.split("[[bin]]").skip(1) {
        let value = |name| {
            bin.lines().find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(" = \"")?
                    .strip_suffix('"')
            })
        };
        let name = value("name").unwrap();
        assert_eq!(value("path").unwrap(), format!("fuzz_targets/{name}.rs"));
        targets.insert(name.to_owned());
    }
    assert!(targets.len() > 10, "{targets:?}");
    assert_eq!(fuzzed(&[]), targets);
    assert_eq!(fuzzed(&["INPUT=api"]), BTreeSet::from(["api".to_owned()]));
    let mut seeds = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("tests/fuzz/corpus")).unwrap() {
        let entry = entry.unwrap();
        assert!(
            std::fs::read_dir(entry.path()).unwrap().next().is_some(),
            "{} is empty",
            entry.path().display()
        );
        seeds.insert(entry.file_name().into_string().unwrap());
    }
    assert_eq!(seeds, targets);
}
