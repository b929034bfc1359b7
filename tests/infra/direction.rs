//! Who may import whom: `functions → edge, aws, net → app → dialect, provider → ports → domain`.

use shared::dialect::SURFACES;

use crate::scan::named;
use crate::{root, rust_files, source};

/// A module of `shared`, and the modules that it may name besides itself.
const MODULES: [(&str, &[&str]); 8] = [
    ("domain", &[]),
    ("ports", &["domain"]),
    ("provider", &["domain", "ports"]),
    ("dialect", &["domain", "ports", "provider"]),
    ("app", &["domain", "ports", "provider", "dialect"]),
    ("aws", &["domain", "ports"]),
    ("net", &["domain", "ports"]),
    ("edge", &["domain", "ports", "provider", "dialect", "app", "aws", "net"]),
];

/// What the functions may name of `shared`.
const FOR_FUNCTIONS: [&str; 4] = ["edge", "app", "aws", "net"];

/// Beginnings of paths, and the places (beginnings of file names) that alone may name them.
const DOORS: [(&[&str], &[&str]); 22] = [
    (&["aws_sdk_dynamodb"], &["shared/src/aws/"]),
    (&["aws_sdk_sqs"], &["shared/src/aws/"]),
    (&["aws_smithy_async"], &["shared/src/aws/"]),
    (&["aws_smithy_http_client"], &["shared/src/aws/"]),
    (&["aws_smithy_runtime_api"], &["shared/src/aws/"]),
    (&["aws_smithy_types"], &["shared/src/aws/"]),
    (&["aws_credential_types"], &["shared/src/aws/"]),
    (&["aws_sigv4"], &["shared/src/aws/"]),
    (&["reqwest"], &["shared/src/net/"]),
    (&["aws_lambda_events"], &["shared/src/edge/", "functions/"]),
    (&["lambda_http"], &["functions/"]),
    (&["lambda_runtime"], &["shared/src/edge/", "functions/"]),
    (&["std", "time", "SystemTime"], &["shared/src/edge/system.rs"]),
    (&["SystemTime"], &["shared/src/edge/system.rs"]),
    // How long hostile input takes to read.
    (&["std", "time", "Instant"], &["shared/src/provider/testing.rs"]),
    (&["Instant"], &["shared/src/provider/testing.rs"]),
    // `net` waits on real sockets; see its `limited`.
    (&["tokio", "time"], &["shared/src/edge/system.rs", "shared/src/net/mod.rs"]),
    (&["std", "env"], &["shared/src/edge/config.rs"]),
    (&["env"], &["shared/src/edge/config.rs"]),
    // The ids of DNS questions, which no test has to repeat.
    (&["getrandom"], &["shared/src/edge/system.rs", "shared/src/net/dns.rs"]),
    (&["std", "thread"], &[]),
    (&["std", "process"], &[]),
];

/// What `domain` may not name, being pure.
const IMPURE: [&[&str]; 5] = [&["tokio"], &["tracing"], &["std", "fs"], &["std", "net"], &["std", "io"]];

/// Everything in a source that goes the wrong way, as `file:line: what`.
fn wrong(file: &str, source: &str) -> Vec<String> {
    let inside = file.strip_prefix("shared/src/").map(|f| f.trim_end_matches(".rs"));
    let module: Vec<&str> =
        inside.map(|f| f.split('/').filter(|m| !matches!(*m, "mod" | "lib" | "main")).collect()).unwrap_or_default();
    let allowed = MODULES.iter().find(|(name, _)| module.first() == Some(name)).map(|(_, allowed)| *allowed);
    let mut wrong = Vec::new();
    for named in named(&module, source) {
        let begins = |with: &[&str]| named.path.len() >= with.len() && named.path.iter().zip(with).all(|(a, b)| a == b);
        let shown = named.path.join("::");
        let target = named.path.get(1).map_or("", String::as_str);
        let mut complain = |why: &str| wrong.push(format!("{file}:{}: {shown}: {why}", named.line));
        let is_module = MODULES.iter().any(|(name, _)| *name == target);
        match (named.path[0].as_str(), allowed) {
            ("crate", Some(allowed)) if is_module && module[0] != target && !allowed.contains(&target) => {
                complain(&format!("{} may name {allowed:?} and itself", module[0]));
            }
            ("shared", _) if file.starts_with("functions/") && !FOR_FUNCTIONS.contains(&target) => {
                complain(&format!("a function may name {FOR_FUNCTIONS:?}"));
            }
            _ => {}
        }
        for (_, doors) in
            DOORS.iter().filter(|(path, doors)| begins(path) && !doors.iter().any(|d| file.starts_with(d)))
        {
            complain(&format!("only {doors:?} may name it"));
        }
        let surface = named.path.get(2).filter(|_| begins(&["crate", "dialect"]));
        if surface.is_some_and(|s| SURFACES.iter().any(|known| known.name == s)) && module.first() != Some(&"dialect") {
            complain("nothing else may ask which surface it is");
        }
        if module.first() == Some(&"domain") && IMPURE.iter().any(|path| begins(path)) {
            complain("domain does no I/O");
        }
    }
    wrong
}

#[test]
fn modules_import_in_one_direction() {
    let files: Vec<String> = rust_files("shared/src").into_iter().chain(rust_files("functions")).collect();
    assert!(files.len() > 40, "{files:?}");
    let found: Vec<String> = files.iter().flat_map(|file| wrong(file, &source(file))).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Surfaces by name, in code that is not a test's: `"NAME"` in quotes.
fn surfaces_by_name(file: &str, source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = (1..).zip(code.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .filter(|(_, line)| SURFACES.iter().any(|s| line.contains(&format!("\"{}\"", s.name))))
        .map(|(n, line)| format!("{file}:{n}: {}", line.trim()))
        .collect()
}

#[test]
fn only_the_surfaces_themselves_know_which_they_are() {
    let files = ["shared/src", "functions", "infra/cli/src"].map(rust_files).concat();
    let others = files.iter().filter(|file| !file.starts_with("shared/src/dialect/"));
    let found: Vec<String> = others.flat_map(|file| surfaces_by_name(file, &source(file))).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    let known = surfaces_by_name("x.rs", "fn f() {\n  if d == \"native\" {}\n}\n#[cfg(test)]\nmod t { \"native\" }");
    assert_eq!(known, ["x.rs:2: if d == \"native\" {}"]);
}

#[test]
fn every_module_of_the_common_crate_has_a_rule() {
    for entry in std::fs::read_dir(root().join("shared/src")).unwrap().flatten() {
        let name = entry.file_name().to_str().unwrap().trim_end_matches(".rs").to_owned();
        assert!(
            name == "lib"
                || MODULES.iter().any(|(module, _)| *module == name)
                || !(entry.path().is_dir() || entry.path().extension().is_some_and(|e| e == "rs")),
            "{name} has no rule"
        );
    }
}

/// The check can fail: each of these made-up sources is found out, and on the line where it goes wrong.
#[test]
fn imports_against_the_direction_are_found() {
    for (file, source, line, what) in [
        ("shared/src/domain/job.rs", "use crate::ports::Store;", 1, "crate::ports::Store"),
        ("shared/src/domain/job.rs", "//! crate::app\n\nfn f() -> crate::app::Ports {}", 3, "crate::app::Ports"),
        ("shared/src/domain/job.rs", "fn f() { super::super::net::Guard::new(); }", 1, "crate::net::Guard::new"),
        ("shared/src/domain/job.rs", "mod tests {\n    use super::super::super::ports;\n}", 2, "crate::ports"),
        ("shared/src/domain/mod.rs", "use super::{domain::job, aws};", 1, "crate::aws"),
        ("shared/src/ports.rs", "use crate::{domain::ids, app};", 1, "crate::app"),
        ("shared/src/provider/http.rs", "use crate::net::ReqwestSender;", 1, "crate::net::ReqwestSender"),
        (
            "shared/src/dialect/native.rs",
            "use crate::{\n  domain::{ids, time},\n  app::{\n status}};",
            4,
            "crate::app::status",
        ),
        ("shared/src/app/submit.rs", "let x: crate::aws::AwsClients;", 1, "crate::aws::AwsClients"),
        ("shared/src/app/submit.rs", "use crate::edge;", 1, "crate::edge"),
        ("shared/src/aws/store.rs", "use crate::app::table;", 1, "crate::app::table"),
        ("shared/src/net/dns.rs", "use crate::provider;", 1, "crate::provider"),
        ("shared/src/app/mod.rs", "use aws_sdk_sqs as sqs;", 1, "aws_sdk_sqs"),
        ("shared/src/edge/start.rs", "let c = reqwest::Client::new();", 1, "reqwest::Client::new"),
        ("shared/src/app/submit.rs", "let now = std::time::SystemTime::now();", 1, "std::time::SystemTime::now"),
        ("shared/src/app/submit.rs", "use std::{env, fmt};", 1, "std::env"),
        ("shared/src/app/submit.rs", "tokio::time::sleep(x)", 1, "tokio::time::sleep"),
        ("shared/src/edge/api.rs", "let t = Instant::now();", 1, "Instant::now"),
        ("shared/src/domain/ids.rs", "getrandom::fill(&mut b);", 1, "getrandom::fill"),
        ("shared/src/domain/ids.rs", "use std::fs;", 1, "std::fs"),
        ("shared/src/app/dispatch.rs", "use crate::dialect::native;", 1, "crate::dialect::native"),
        ("functions/status/src/main.rs", "use shared::domain::ids::JobId;", 1, "shared::domain::ids::JobId"),
        ("functions/status/src/main.rs", "use aws_sdk_dynamodb::Client;", 1, "aws_sdk_dynamodb::Client"),
    ] {
        let found = wrong(file, source);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{file}:{line}: {what}: ")), "{source}: {found:?}");
    }
}

#[test]
fn what_only_looks_like_an_import_is_left_alone() {
    for (file, source) in [
        ("shared/src/domain/job.rs", "/* crate::app /* crate::net */ */ // crate::aws\nlet s = \"crate::app::x\";"),
        ("shared/src/domain/job.rs", "let s = r#\"a \" crate::app::x\"#; let c = '\"'; let d = '\\''; fn f<'a>() {}"),
        ("shared/src/domain/job.rs", "use super::ids::JobId; use crate::domain::time; use self::tests::x;"),
        ("shared/src/domain/job.rs", "mod tests { use super::*; use super::super::ids; }"),
        (
            "shared/src/app/submit.rs",
            "use super::{Ports, status}; crate::app::table::s(1); use crate::domain::{ids, job};",
        ),
        ("shared/src/app/submit.rs", "let x = foo::reqwest::y; instant::now();"),
        ("shared/src/edge/start.rs", "use crate::{app, aws, net, domain, ports, provider, dialect};"),
        ("functions/sweep/src/main.rs", "use shared::app::sweep; use shared::edge::{start, telemetry};"),
    ] {
        assert_eq!(wrong(file, source), Vec::<String>::new(), "{source}");
    }
}
