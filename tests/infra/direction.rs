//! The permitted imports: the rooms of the common crate, from the adapters down to the rules
//! (`shared/src/lib.rs`).

use shared::surfaces::{SURFACES, Surface};

use crate::imports::{CRATES, End, Named, Tree, made_up};
use crate::{root, rust_files, source};

/// A room of `shared`, and the rooms that it may name besides itself: those below it, the adapters'
/// aside.
const MODULES: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("ports", &["domain"]),
    ("schema", &["domain", "ports"]),
    ("catalog", &["domain"]),
    ("providers", &["domain", "ports", "schema", "catalog"]),
    ("surfaces", &["domain", "ports", "catalog"]),
    (
        "jobs",
        &[
            "domain",
            "ports",
            "schema",
            "catalog",
            "providers",
            "surfaces",
        ],
    ),
    (
        "webhooks",
        &["domain", "ports", "schema", "surfaces", "jobs"],
    ),
    (
        "maintenance",
        &["domain", "ports", "schema", "jobs", "webhooks"],
    ),
    ("net", &["domain", "ports"]),
    ("aws", &["domain", "ports"]),
    (
        "lambda",
        &[
            "domain",
            "ports",
            "schema",
            "catalog",
            "providers",
            "surfaces",
            "jobs",
            "webhooks",
            "maintenance",
            "net",
            "aws",
        ],
    ),
];

/// The module with a file or a folder for each surface, which nothing else may name.
const OF_SURFACES: &str = "surfaces";

/// The modules of `shared` that the functions may name.
const FOR_FUNCTIONS: [&str; 6] = ["lambda", "jobs", "webhooks", "maintenance", "aws", "net"];

/// Beginnings of paths, and the places (beginnings of file names) that alone may name them.
const RESTRICTED: [(&[&str], &[&str]); 19] = [
    (&["aws_sdk_dynamodb"], &["shared/src/aws/"]),
    (&["aws_sdk_sqs"], &["shared/src/aws/"]),
    (&["aws_smithy_async"], &["shared/src/aws/"]),
    (&["aws_smithy_http_client"], &["shared/src/aws/"]),
    (&["aws_smithy_runtime_api"], &["shared/src/aws/"]),
    (&["aws_smithy_types"], &["shared/src/aws/"]),
    (&["aws_credential_types"], &["shared/src/aws/"]),
    (&["aws_sigv4"], &["shared/src/aws/"]),
    (&["reqwest"], &["shared/src/net/"]),
    (
        &["aws_lambda_events"],
        &["shared/src/lambda/", "functions/"],
    ),
    (&["lambda_http"], &["functions/"]),
    (&["lambda_runtime"], &["shared/src/lambda/", "functions/"]),
    (
        &["std", "time", "SystemTime"],
        &["shared/src/lambda/system.rs"],
    ),
    // Measures the time to read hostile input.
    (
        &["std", "time", "Instant"],
        &["shared/src/providers/testing.rs"],
    ),
    // `net` waits on real sockets.
    (
        &["tokio", "time"],
        &["shared/src/lambda/system.rs", "shared/src/net/deadline.rs"],
    ),
    (&["std", "env"], &["shared/src/lambda/config.rs"]),
    // The ids of DNS questions, which no test has to repeat.
    (
        &["getrandom"],
        &["shared/src/lambda/system.rs", "shared/src/net/dns.rs"],
    ),
    (&["std", "thread"], &[]),
    (&["std", "process"], &[]),
];

/// Paths that `domain`, being pure, may not name.
const IMPURE: [&[&str]; 5] = [
    &["tokio"],
    &["tracing"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
];

/// The module of `shared` that a file belongs to.
fn module_of(file: &str) -> Option<&str> {
    let below = file.strip_prefix("shared/src/")?;
    let name = below.split('/').next()?.trim_end_matches(".rs");
    MODULES
        .iter()
        .map(|(module, _)| *module)
        .find(|module| *module == name)
}

/// Returns whether a path begins with these segments. One that ends in `*` has all paths below it.
fn begins(path: &[String], with: &[&str]) -> bool {
    let taken = path.last().is_some_and(|last| last == "*");
    let path = if taken { &path[..path.len() - 1] } else { path };
    path.iter().zip(with).all(|(a, b)| a == b) && (taken || path.len() >= with.len())
}

/// Says why a path that a file names goes the wrong way, if it does.
fn complaint(tree: &Tree, named: &Named) -> Option<String> {
    let file = tree.files[named.file].as_str();
    let own = module_of(file);
    let outside = named.ends.iter().filter_map(|end| {
        if let End::Outside(path) = end {
            Some(path)
        } else {
            None
        }
    });
    let paths: Vec<&Vec<String>> = std::iter::once(&named.path).chain(outside).collect();
    let target = named.path.get(1).map_or("", String::as_str);
    // The modules that it passes through, and the files that it leads to.
    let passed = (named.path[0] == "crate").then_some(target).into_iter();
    let defined = named.ends.iter().filter_map(|end| {
        if let End::Item(to) = end {
            Some(tree.files[*to].as_str())
        } else {
            None
        }
    });
    let mut reached = passed.chain(defined.clone().filter_map(module_of));
    if let Some((own, allowed)) = MODULES.iter().find(|(name, _)| own == Some(*name)) {
        let known = |target: &&str| MODULES.iter().any(|(name, _)| name == target);
        if let Some(above) = reached.find(|t| known(t) && t != own && !allowed.contains(t)) {
            return Some(format!("{above}: {own} may name {allowed:?} and itself"));
        }
    }
    if named.path[0] == "shared"
        && file.starts_with("functions/")
        && !FOR_FUNCTIONS.contains(&target)
    {
        return Some(format!("a function may name {FOR_FUNCTIONS:?}"));
    }
    let restricted = RESTRICTED.iter().find(|(path, places)| {
        paths.iter().any(|named| begins(named, path))
            && !places.iter().any(|place| file.starts_with(place))
    });
    if let Some((_, places)) = restricted {
        return Some(format!("only {places:?} may name it"));
    }
    let of_surface = |s: &Surface| {
        let begin = format!("shared/src/{OF_SURFACES}/{}", s.name);
        let is_its = |file: &str| {
            file.strip_prefix(&begin)
                .is_some_and(|rest| rest.starts_with(['.', '/']))
        };
        named.path.iter().take(3).eq(["crate", OF_SURFACES, s.name]) || defined.clone().any(is_its)
    };
    if own != Some(OF_SURFACES) && SURFACES.iter().any(of_surface) {
        return Some("nothing else may ask which surface it is".to_owned());
    }
    let impure = own == Some("domain")
        && IMPURE
            .iter()
            .any(|path| paths.iter().any(|named| begins(named, path)));
    impure.then(|| "domain does no I/O".to_owned())
}

/// Everything in the common crate and the functions that goes the wrong way, as `file:line: what`.
fn wrong(tree: &Tree) -> Vec<String> {
    let checked = ["shared/", "functions/"];
    let named = tree
        .named
        .iter()
        .filter(|n| checked.iter().any(|c| tree.files[n.file].starts_with(c)));
    let shown = |named: &Named, why| {
        format!(
            "{}:{}: {}: {why}",
            tree.files[named.file],
            named.line,
            named.path.join("::")
        )
    };
    named
        .filter_map(|named| Some(shown(named, complaint(tree, named)?)))
        .collect()
}

#[test]
fn modules_import_in_one_direction() {
    let found = wrong(&CRATES);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Surfaces by name, in code that is not a test's: `"NAME"` in quotes.
fn surfaces_by_name(file: &str, source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = (1..)
        .zip(code.lines())
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .filter(|(_, line)| {
            SURFACES
                .iter()
                .any(|s| line.contains(&format!("\"{}\"", s.name)))
        })
        .map(|(n, line)| format!("{file}:{n}: {}", line.trim()))
        .collect()
}

#[test]
fn only_the_surfaces_themselves_know_which_they_are() {
    let files = ["shared/src", "functions", "infra/cli/src"]
        .map(rust_files)
        .concat();
    let others = files
        .iter()
        .filter(|file| module_of(file) != Some(OF_SURFACES))
        .filter(|file| !file.ends_with("/tests.rs") && !file.contains("/tests/"));
    let found: Vec<String> = others
        .flat_map(|file| surfaces_by_name(file, &source(file)))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    let known = surfaces_by_name(
        "x.rs",
        "fn f() {\n  if d == \"native\" {}\n}\n#[cfg(test)]\nmod t { \"native\" }",
    );
    assert_eq!(known, ["x.rs:2: if d == \"native\" {}"]);
}

#[test]
fn every_module_of_the_common_crate_has_a_rule() {
    for entry in std::fs::read_dir(root().join("shared/src"))
        .unwrap()
        .flatten()
    {
        let name = entry
            .file_name()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        assert!(
            name == "lib"
                || MODULES.iter().any(|(module, _)| *module == name)
                || !(entry.path().is_dir() || entry.path().extension().is_some_and(|e| e == "rs")),
            "{name} has no rule"
        );
    }
}

/// The check can fail: each of these made-up sources is reported, on the wrong line.
#[test]
fn imports_against_the_direction_are_found() {
    for (file, source, line, what) in [
        (
            "shared/src/domain/job.rs",
            "use crate::ports::Store;",
            1,
            "crate::ports::Store",
        ),
        (
            "shared/src/domain/job.rs",
            "//! crate::jobs\n\nfn f() -> crate::jobs::Ports {}",
            3,
            "crate::jobs::Ports",
        ),
        (
            "shared/src/domain/job.rs",
            "fn f() { super::super::net::Guard::new(); }",
            1,
            "crate::net::Guard::new",
        ),
        (
            "shared/src/domain/job.rs",
            "mod tests {\n    use super::super::super::ports;\n}",
            2,
            "crate::ports",
        ),
        (
            "shared/src/domain/mod.rs",
            "use super::{domain::job, aws};",
            1,
            "crate::aws",
        ),
        (
            "shared/src/ports.rs",
            "use crate::{domain::ids, jobs};",
            1,
            "crate::jobs",
        ),
        (
            "shared/src/providers/kinds/http.rs",
            "use crate::net::ReqwestSender;",
            1,
            "crate::net::ReqwestSender",
        ),
        (
            "shared/src/surfaces/native/mod.rs",
            "use crate::{\n  domain::{ids, time},\n  jobs::{\n read}};",
            4,
            "crate::jobs::read",
        ),
        (
            "shared/src/jobs/submit.rs",
            "fn f() { let x: crate::aws::AwsClients; }",
            1,
            "crate::aws::AwsClients",
        ),
        (
            "shared/src/jobs/submit.rs",
            "use crate::lambda;",
            1,
            "crate::lambda",
        ),
        (
            "shared/src/aws/store.rs",
            "use crate::schema;",
            1,
            "crate::schema",
        ),
        (
            "shared/src/net/dns.rs",
            "use crate::providers;",
            1,
            "crate::providers",
        ),
        (
            "shared/src/jobs/mod.rs",
            "use aws_sdk_sqs as sqs;",
            1,
            "aws_sdk_sqs",
        ),
        (
            "shared/src/lambda/start.rs",
            "fn f() { let c = reqwest::Client::new(); }",
            1,
            "reqwest::Client::new",
        ),
        (
            "shared/src/jobs/submit.rs",
            "fn f() { let now = std::time::SystemTime::now(); }",
            1,
            "std::time::SystemTime::now",
        ),
        (
            "shared/src/jobs/submit.rs",
            "use std::{env, fmt};",
            1,
            "std::env",
        ),
        (
            "shared/src/jobs/submit.rs",
            "fn f() { tokio::time::sleep(x) }",
            1,
            "tokio::time::sleep",
        ),
        (
            "shared/src/lambda/api.rs",
            "use std::time::Instant;",
            1,
            "std::time::Instant",
        ),
        (
            "shared/src/domain/ids.rs",
            "fn f() { getrandom::fill(&mut b); }",
            1,
            "getrandom::fill",
        ),
        ("shared/src/domain/ids.rs", "use std::fs;", 1, "std::fs"),
        (
            "shared/src/webhooks/dispatch.rs",
            "use crate::surfaces::native;",
            1,
            "crate::surfaces::native",
        ),
        (
            "functions/status/src/main.rs",
            "use shared::domain::ids::JobId;",
            1,
            "shared::domain::ids::JobId",
        ),
        (
            "functions/status/src/main.rs",
            "use aws_sdk_dynamodb::Client;",
            1,
            "aws_sdk_dynamodb::Client",
        ),
    ] {
        let found = wrong(&made_up(&[(file, source)]));
        assert!(!found.is_empty(), "{source}");
        let expected = format!("{file}:{line}: {what}: ");
        assert!(
            found.iter().all(|found| found.starts_with(&expected)),
            "{source}: {found:?}"
        );
    }
}

/// An item behind a re-export is found in the file that defines it.
#[test]
fn an_import_through_a_re_export_is_found() {
    let found = wrong(&made_up(&[
        ("shared/src/domain/mod.rs", "mod job;\nmod hidden;"),
        ("shared/src/domain/job.rs", "use super::hidden::Store;"),
        (
            "shared/src/domain/hidden.rs",
            "pub use crate::ports::Store;",
        ),
        ("shared/src/ports.rs", "pub struct Store;"),
    ]));
    let why = "ports: domain may name [] and itself";
    assert_eq!(
        found,
        [
            format!("shared/src/domain/job.rs:1: crate::domain::hidden::Store: {why}"),
            format!("shared/src/domain/hidden.rs:1: crate::ports::Store: {why}"),
        ]
    );
    let found = wrong(&made_up(&[(
        "shared/src/jobs/submit.rs",
        "use std::time as clock;\nfn f() {\n    clock::SystemTime::now();\n}\nuse std::env::*;",
    )]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains(":5: std::env::*: ")
            && found[1].contains(":3: std::time::SystemTime::now: "),
        "{found:?}"
    );
}

#[test]
fn what_only_looks_like_an_import_is_left_alone() {
    for (file, source) in [
        (
            "shared/src/domain/job.rs",
            "/* crate::jobs /* crate::net */ */ // crate::aws\nconst S: &str = \"crate::jobs::x\";",
        ),
        (
            "shared/src/domain/job.rs",
            "fn f<'a>() { let s = r#\"a \" crate::jobs::x\"#; let c = '\"'; let d = '\\''; }",
        ),
        (
            "shared/src/domain/job.rs",
            "use super::ids::JobId; use crate::domain::time; use self::tests::x;",
        ),
        (
            "shared/src/domain/job.rs",
            "mod tests { use super::*; use super::super::ids; }",
        ),
        (
            "shared/src/jobs/submit.rs",
            "use super::{Ports, read}; fn f() { crate::schema::s(1); } use crate::domain::{ids, \
             job};",
        ),
        (
            "shared/src/jobs/submit.rs",
            "fn f() { let x = foo::reqwest::y; instant::now(); }",
        ),
        (
            "shared/src/lambda/start.rs",
            "use crate::{jobs, aws, net, domain, ports, providers, surfaces};",
        ),
        (
            "functions/sweep/src/main.rs",
            "use shared::maintenance::sweep; use shared::lambda::{start, telemetry};",
        ),
    ] {
        assert_eq!(
            wrong(&made_up(&[(file, source)])),
            Vec::<String>::new(),
            "{source}"
        );
    }
}
