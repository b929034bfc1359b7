//! Receivers as documented, in JavaScript: `node` runs them, as it runs those of clients that
//! switch.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The script's line for each of `given`, in order.
///
/// # Panics
/// Where node is missing or ends otherwise than well.
pub(crate) fn node(script: &str, given: &[Value]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("surfaces")
        .join(script);
    let mut child = Command::new("node")
        .arg(&script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("node: {e}; these tests need Node.js 20 or newer"));
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let said: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in given {
                // Where node is gone, its status below says so.
                if writeln!(stdin, "{line}").is_err() {
                    return;
                }
            }
        });
        BufReader::new(stdout).lines().map(Result::unwrap).collect()
    });
    let status = child.wait().unwrap();
    assert!(status.success(), "{}: {status}", script.display());
    assert_eq!(said.len(), given.len(), "{}", script.display());
    said
}
