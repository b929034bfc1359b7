//! Settings: from a file of `KEY=VALUE` lines that was named, else from the environment.

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::Failure;

/// The sources of settings. A file named on the command line overrides the environment: the shell
/// may be set up for a deployment while the file names the local stack.
#[derive(Debug, Default)]
pub(crate) struct CliSettings {
    file: BTreeMap<String, String>,
}

impl CliSettings {
    /// Reads the file, if one is named.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else {
            return Ok(Self::default());
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!(
                "{shown} cannot be read: {error} (make up writes infra/local/.env)"
            ))
        })?;
        let file = parse(&text)
            .map_err(|(line, why)| Failure::usage(format!("{shown}, line {line}: {why}")))?;
        Ok(Self { file })
    }

    /// A setting; an empty one counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.file
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
            .filter(|value| !value.is_empty())
    }

    /// A setting that an option replaces.
    pub(crate) fn need(
        &self,
        option: Option<&String>,
        flag: &str,
        name: &str,
    ) -> Result<String, Failure> {
        option.cloned().or_else(|| self.get(name)).ok_or_else(|| {
            Failure::usage(format!(
                "{name} is not set: give {flag}, set it in the environment, or name a file that \
                 has it with --env-file"
            ))
        })
    }
}

/// Reads what `. FILE` of a POSIX shell would take from simple assignments. Nothing is expanded.
fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, String)> {
    let mut values = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |why: &str| (at + 1, why.to_owned());
        let assignment = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| fault("is not KEY=VALUE"))?;
        let named = !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !key.starts_with(|c: char| c.is_ascii_digit());
        if !named {
            return Err(fault("the part before = is not the name of a variable"));
        }
        values.insert(
            key.to_owned(),
            unquote(value).ok_or_else(|| fault("a quote is not closed"))?,
        );
    }
    Ok(values)
}

fn unquote(value: &str) -> Option<String> {
    let comment = |rest: &str| rest.trim_start().is_empty() || rest.trim_start().starts_with('#');
    if let Some(quoted) = value.strip_prefix('\'') {
        let (inside, rest) = quoted.split_once('\'')?;
        return comment(rest).then(|| inside.to_owned());
    }
    if let Some(quoted) = value.strip_prefix('"') {
        let (mut inside, mut escaped) = (String::new(), false);
        for (at, c) in quoted.char_indices() {
            match c {
                '"' if !escaped => return comment(&quoted[at + 1..]).then_some(inside),
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                '"' | '\\' | '$' | '`' => inside.push(c),
                _ => {
                    if escaped {
                        inside.push('\\');
                    }
                    inside.push(c);
                }
            }
            escaped = false;
        }
        return None;
    }
    Some(
        value
            .split_once(" #")
            .map_or(value, |(value, _)| value)
            .trim_end()
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_local_stack_writes() {
        let text = "MILLRACE_URL=http://127.0.0.1:4566/_aws/execute-api/ab12\n\n\
            MILLRACE_WEBHOOK_SECRET=whsec_a+/b==\n";
        let values = parse(text).unwrap();
        assert_eq!(
            values["MILLRACE_URL"],
            "http://127.0.0.1:4566/_aws/execute-api/ab12"
        );
        assert_eq!(values["MILLRACE_WEBHOOK_SECRET"], "whsec_a+/b==");
    }

    #[test]
    fn reads_quotes_comments_and_export() {
        let text = "# a comment\nexport A='x # y'\n\
            B=\"say \\\"hi\\\" \\n\" # said\n C=plain # said\r\nD=\nE=a#b";
        let values = parse(text).unwrap();
        assert_eq!(values["A"], "x # y");
        assert_eq!(values["B"], "say \"hi\" \\n");
        assert_eq!(values["C"], "plain");
        assert_eq!(values["D"], "");
        assert_eq!(values["E"], "a#b");
    }

    #[test]
    fn faults_name_their_line() {
        assert_eq!(parse("A=1\nnonsense").unwrap_err().0, 2);
        assert_eq!(parse("A-B=1").unwrap_err().0, 1);
        assert_eq!(parse("\n\nA='open").unwrap_err().0, 3);
        assert_eq!(parse("A=\"x\" y").unwrap_err().0, 1);
    }

    #[test]
    fn a_named_file_comes_before_the_environment_and_empty_is_unset() {
        let file = BTreeMap::from([
            ("PATH".to_owned(), "mine".to_owned()),
            ("HOME".to_owned(), String::new()),
        ]);
        let settings = CliSettings { file };
        assert_eq!(settings.get("PATH").as_deref(), Some("mine"));
        assert_eq!(settings.get("HOME"), None);
        let missing = settings
            .need(None, "--url", "MILLRACE_TEST_UNSET")
            .unwrap_err();
        assert!(matches!(missing, Failure::Usage(text) if text.contains("--url")));
    }
}
