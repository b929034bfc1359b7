//! `docs/FOUND.md` names tests that exist.

use super::source;

/// Reads the way in which a line's fault was found, and the file and name of its test.
fn read(line: &str) -> Option<(&str, &str, &str)> {
    let mut quoted = line.rsplit('`');
    let (name, file) = (quoted.nth(1)?, quoted.nth(1)?);
    let (reported, _) = line.split_once(&format!(": `{file}` `{name}`"))?;
    Some((reported.rsplit(' ').next()?, file, name))
}

#[test]
fn every_fault_that_was_found_has_its_test() {
    let found = source("docs/FOUND.md");
    let lines: Vec<&str> = found
        .lines()
        .filter(|line| line.starts_with("- "))
        .collect();
    assert!(lines.len() > 30, "{}", lines.len());
    for line in lines {
        let Some((how, file, name)) = read(line) else {
            panic!("cannot be read: {line}")
        };
        assert!(
            ["simulation", "histories", "stack", "fuzzing", "review"].contains(&how),
            "{how}? {line}"
        );
        let source = source(file);
        let begins = [
            "#[test]\n",
            "#[test]\nasync ",
            "#[test]\n    ",
            "#[tokio::test]\nasync ",
            "#[tokio::test]\n    async ",
        ];
        let test = begins
            .iter()
            .any(|begin| source.contains(&format!("{begin}fn {name}()")));
        assert!(test, "{file} has no test {name}");
    }
}
