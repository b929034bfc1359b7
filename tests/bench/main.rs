//! `make bench`: what the main job costs, and how long the functions take to start. Exit code 1
//! when a target is missed.
//!
//!     bench [init] [job] --bundle DIR --hello FILE [--runs N]
//!
//! `init` measures release binaries alone; `job` needs a stack with `Metered=true`
//! (`infra/local/stack.py with`).

mod cost;
mod init;
mod job;
mod model;
mod price;

use std::path::PathBuf;
use std::process::ExitCode;

/// A table of records with their columns in order, as the API takes them.
const INPUT: &str = "infra/local/demo/domains-1000.csv";

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
struct Options {
    parts: Vec<String>,
    bundle: PathBuf,
    hello: PathBuf,
    runs: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failed> {
        let mut options = Self {
            parts: Vec::new(),
            bundle: "target/bundle-bench".into(),
            hello: "target/release/hello".into(),
            runs: 101,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "init" | "job" => options.parts.push(argument),
                "--bundle" => options.bundle = value()?.into(),
                "--hello" => options.hello = value()?.into(),
                "--runs" => options.runs = value()?.parse()?,
                _ => return Err(format!("what is {argument}?").into()),
            }
        }
        if options.parts.is_empty() {
            options.parts = vec!["init".to_owned(), "job".to_owned()];
        }
        Ok(options)
    }
}

/// A limit, and the figure that must not exceed it.
#[derive(Debug)]
struct Target {
    what: String,
    reached: f64,
    most: f64,
}

impl Target {
    fn new(what: impl Into<String>, reached: f64, most: f64) -> Self {
        Self {
            what: what.into(),
            reached,
            most,
        }
    }

    fn met(&self) -> bool {
        self.reached <= self.most
    }
}

fn run() -> Result<Vec<Target>, Failed> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut targets = Vec::new();
    // Init first: the stack's own processes are idle then.
    if options.parts.iter().any(|part| part == "init") {
        targets.extend(init::run(&options)?);
    }
    if options.parts.iter().any(|part| part == "job") {
        targets.extend(job::run()?);
    }
    Ok(targets)
}

fn main() -> ExitCode {
    let targets = match run() {
        Ok(targets) => targets,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("\nTargets");
    for target in &targets {
        let verdict = if target.met() { "reached" } else { "MISSED" };
        println!(
            "  {:44} {:8.2} of at most {:6.2}  {verdict}",
            target.what, target.reached, target.most
        );
    }
    if targets.iter().all(Target::met) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
