//! Checks that the code, the template, the pages and the sample events agree.

mod circles;
mod direction;
mod events;
mod figures;
mod found;
mod fuzz;
mod imports;
mod kinds;
mod links;
mod local;
mod moved;
mod policies;
mod providers;
mod servers;
mod sizes;
mod states;
mod template;
mod walks;
mod writes;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn source(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Every `.rs` file below a directory, by its path from the checkout's root.
fn rust_files(directory: &str) -> Vec<String> {
    rust_files_of(&root(), directory)
}

/// The same of another checkout.
fn rust_files_of(checkout: &Path, directory: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(checkout.join(directory))
        .unwrap()
        .flatten()
    {
        let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            files.extend(rust_files_of(checkout, &path));
        } else if entry.path().extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
