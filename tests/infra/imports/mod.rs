//! The imports of the crates' code, read with syn.
//!
//! A file imports another where a path in its code that is not a test's (a `use`, a type, an
//! expression, a pattern, the arguments of a macro or of an attribute) leads to an item that the
//! other defines. Re-exports are followed. `mod x;` imports nothing, nor does a path that ends at a
//! module.

mod graph;
mod made_up;
mod measure;
mod reader;
mod strip;
mod tree;

use std::path::Path;
use std::sync::LazyLock;

pub(crate) use graph::{Circle, Graph};
pub(crate) use made_up::made_up;
pub(crate) use tree::{End, Named, Tree};

use crate::root;

/// The crates of this checkout.
pub(crate) static CRATES: LazyLock<Tree> = LazyLock::new(|| crates(&root()));

/// Reads the common crate, the command line and the functions of a checkout.
pub(crate) fn crates(checkout: &Path) -> Tree {
    let functions = std::fs::read_dir(checkout.join("functions"))
        .unwrap()
        .flatten();
    let mut names: Vec<String> = functions
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut roots = vec![
        ("shared".to_owned(), "shared/src/lib.rs".to_owned()),
        ("millrace".to_owned(), "infra/cli/src/lib.rs".to_owned()),
        ("main".to_owned(), "infra/cli/src/main.rs".to_owned()),
    ];
    roots.extend(
        names
            .into_iter()
            .map(|name| (name.clone(), format!("functions/{name}/src/main.rs"))),
    );
    Tree::read(&roots, &|file| {
        std::fs::read_to_string(checkout.join(file)).ok()
    })
}
