//! The local stack's scripts.

use std::process::Command;

use super::root;

/// With the interpreter that `make` was given.
#[test]
fn what_make_up_checks_first_is_told_with_its_remedy() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(&python)
        .args(["-B", "tests/infra/start_checks.py"])
        .current_dir(root())
        .output();
    let output = output.unwrap_or_else(|error| panic!("{python}: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
