//! The faults of a file, for a person.

use std::collections::BTreeMap;

use crate::screen::thousands;

/// The lines that are named of a fault that several have.
const LINES_SHOWN: usize = 5;

/// A fault of a line; line 0 is the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: u64,
    pub text: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            f.write_str(&self.text)
        } else {
            write!(f, "line {}: {}", self.line, self.text)
        }
    }
}

/// Groups faults by kind, in order of first appearance: how many rows have each, and the first of
/// them.
pub fn by_kind(faults: &[Fault]) -> Vec<String> {
    let mut kinds: Vec<(&str, Vec<&Fault>)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in faults {
        let at = *places.entry(&fault.text).or_insert(kinds.len());
        match kinds.get_mut(at) {
            Some((_, of_kind)) => of_kind.push(fault),
            None => kinds.push((&fault.text, vec![fault])),
        }
    }
    let reported = kinds.into_iter().map(|(text, of_kind)| match &of_kind[..] {
        [only] => only.to_string(),
        several => {
            let lines: Vec<String> = several
                .iter()
                .filter(|fault| fault.line > 0)
                .map(|fault| fault.line.to_string())
                .collect();
            let more = if lines.len() > LINES_SHOWN {
                ", …"
            } else {
                ""
            };
            let lines = lines
                .into_iter()
                .take(LINES_SHOWN)
                .collect::<Vec<_>>()
                .join(", ");
            let places = if lines.is_empty() {
                String::new()
            } else {
                format!(" (lines {lines}{more})")
            };
            format!("{} rows: {text}{places}", thousands(several.len() as u64))
        }
    });
    reported.collect()
}
