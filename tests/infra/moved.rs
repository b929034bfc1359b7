//! A checkout that was copied with what was built in it: its functions work by its own
//! `providers.toml`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use testkit::servers::{Answer, Server, blocking};

use super::{root, rust_files, source};

/// Far more than an Init takes; only a function that hangs waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Variables that move cargo's builds.
const CARGO_PLACES: [&str; 3] = [
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

/// Where cargo put the functions and the command line: beside this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().to_owned()
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_all(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// A copy of the checkout, as far as deploying it needs; gone with the test.
struct Checkout(PathBuf);

impl Checkout {
    fn new() -> Self {
        let copy = Self(
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("moved-{}", std::process::id())),
        );
        let infra = root().join("infra");
        for folder in ["data", "local"] {
            copy_all(&infra.join(folder), &copy.0.join("infra").join(folder));
        }
        fs::copy(infra.join("providers.toml"), copy.file()).unwrap();
        fs::create_dir_all(copy.0.join("target/debug")).unwrap();
        for name in [
            "submit", "enrich", "status", "dispatch", "sweep", "millrace",
        ] {
            let binary = built().join(name);
            // They are large, and nothing writes into them.
            fs::hard_link(&binary, copy.0.join("target/debug").join(name)).unwrap_or_else(
                |error| panic!("{}: {error}; build it first: make built", binary.display()),
            );
        }
        copy
    }

    fn file(&self) -> PathBuf {
        self.0.join("infra/providers.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn edit(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    /// Runs the bundle step there, as `make` does.
    fn bundle(&self) -> Output {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(&python);
        command.args([
            "-B",
            "infra/local/bundle.py",
            "target/bundle",
            "target/debug/{}",
            "--strip",
        ]);
        command.current_dir(&self.0);
        for name in CARGO_PLACES {
            command.env_remove(name);
        }
        command
            .output()
            .unwrap_or_else(|error| panic!("{python}: {error}"))
    }

    fn bundled(&self) {
        let said = self.bundle();
        assert!(
            said.status.success(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
    }

    /// Where a function finds what was compiled.
    fn compiled(&self) -> PathBuf {
        self.0.join("target/bundle/enrich/providers.compiled")
    }

    /// Returns what the deployed enrich function logs before its first poll of the Runtime API.
    fn init(&self) -> String {
        let task_root = self.0.join("target/bundle/enrich");
        let (runtime, polled) = signalling(Answer::NeverAnswer);
        let (aws, _warmed) = signalling(Answer::Status(200));
        let mut command = Command::new(task_root.join("bootstrap"));
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", runtime.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "enrich".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "test".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_ENDPOINT_URL", aws.url("")),
            ("LAMBDA_TASK_ROOT", task_root.display().to_string()),
            ("MILLRACE_TABLE", "millrace".to_owned()),
            // Less than some types ask for: the log names each of them.
            ("MILLRACE_ENRICH_TIMEOUT_S", "60".to_owned()),
        ]);
        command
            .current_dir(&task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let ready = polled.recv_timeout(PATIENCE);
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr]
            .map(|said| String::from_utf8_lossy(&said).into_owned())
            .concat();
        assert!(ready.is_ok(), "the function did not start: {said}");
        said
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts a server that gives this answer, and signals each request.
fn signalling(answer: Answer) -> (Server, mpsc::Receiver<()>) {
    let (signal, requests) = mpsc::channel();
    let server = blocking(Server::start(move |_, _| {
        let _ = signal.send(());
        answer.clone()
    }));
    (server, requests)
}

const PARSES: &str = "reading providers.toml itself";

#[test]
fn a_copied_checkout_deploys_its_own_providers() {
    let copy = Checkout::new();
    let shipped = copy.text();
    copy.bundled();
    let of_shipped = fs::read(copy.compiled()).unwrap();
    let said = copy.init();
    assert!(
        !said.contains("\"moved\"") && !said.contains(PARSES),
        "{said}"
    );

    let own = "\n[types.moved]\ninputs = [[\"domain\"]]\nwaterfall = [\"brands\"]\n\
               record_timeout_s = 97\n";
    let (head, operations) = shipped.split_once("\n[operations.").unwrap();
    copy.edit(&format!("{head}{own}\n[operations.{operations}"));
    copy.bundled();
    assert_eq!(
        fs::read_to_string(copy.0.join("target/bundle/submit/providers.toml")).unwrap(),
        copy.text()
    );
    let said = copy.init();
    assert!(
        said.contains("\"moved\"") && !said.contains(PARSES),
        "{said}"
    );

    // What was made of the other directory's file is not trusted, and neither is its absence a
    // reason to stop.
    fs::write(copy.compiled(), of_shipped).unwrap();
    let said = copy.init();
    assert!(
        said.contains("\"moved\"") && said.contains(PARSES),
        "{said}"
    );
    fs::remove_file(copy.compiled()).unwrap();
    let said = copy.init();
    assert!(
        said.contains("\"moved\"") && said.contains(PARSES),
        "{said}"
    );

    // A wrong file is named by its place, and the bundle that was there stays.
    copy.edit(&format!("{shipped}\n[types.wrong]\ninputs = 5\n"));
    let line = shipped.lines().count() + 3;
    let said = copy.bundle();
    let reported = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        !said.status.success()
            && reported.contains(&format!("error: infra/providers.toml:{line}:10: ")),
        "{reported}"
    );
    assert!(copy.0.join("target/bundle/enrich/bootstrap").is_file());
}

/// A directory of debug builds that is there from before would be deployed instead.
#[test]
fn binaries_are_taken_from_where_cargo_puts_them() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |program: &str, arguments: &[&str], places: &[(&str, &str)]| {
        let mut command = Command::new(program);
        for name in
            CARGO_PLACES
                .into_iter()
                .chain(["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"])
        {
            command.env_remove(name);
        }
        let output = command
            .args(arguments)
            .envs(places.iter().copied())
            .current_dir(root())
            .output();
        output.unwrap_or_else(|error| panic!("{program}: {error}"))
    };
    let (nowhere, elsewhere) = (
        ("CARGO_TARGET_DIR", "/nowhere"),
        ("CARGO_BUILD_TARGET_DIR", "/elsewhere"),
    );
    let triple = ("CARGO_BUILD_TARGET", "x86_64-unknown-linux-musl");
    for (places, wanted) in [
        (&[nowhere][..], "/nowhere/debug/millrace"),
        (&[elsewhere], "/elsewhere/debug/millrace"),
        (&[nowhere, elsewhere], "/nowhere/debug/millrace"),
        (
            &[nowhere, triple],
            "/nowhere/x86_64-unknown-linux-musl/debug/millrace",
        ),
    ] {
        let said = run(&python, &["-B", "infra/local/bundle.py", "--check"], places);
        let reported = String::from_utf8(said.stderr).unwrap();
        assert!(
            !said.status.success() && reported.starts_with(&format!("error: {wanted} is missing")),
            "{reported}"
        );
    }
    let said = run("make", &["-n", "PYTHON=true", "local"], &[elsewhere]);
    assert!(
        String::from_utf8(said.stdout)
            .unwrap()
            .contains("'/elsewhere/debug/{}'")
    );

    // make builds for this machine, whatever else is built for.
    let cargo =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cargo-{}", std::process::id()));
    fs::write(
        &cargo,
        "#!/bin/sh\necho \"for [$CARGO_BUILD_TARGET] in [$CARGO_TARGET_DIR]\"\n",
    )
    .unwrap();
    fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let said = run(
        "make",
        &[
            "-s",
            &format!("CARGO={}", cargo.display()),
            "PYTHON=true",
            "checked",
        ],
        &[nowhere, triple],
    );
    fs::remove_file(&cargo).unwrap();
    assert_eq!(
        String::from_utf8(said.stdout).unwrap(),
        "for [] in [/nowhere]\n"
    );
}

/// A path that the compiler writes into a binary is that of the checkout where it ran.
#[test]
fn nothing_that_ships_knows_where_it_was_built() {
    let files = ["shared/src", "functions", "infra/cli/src"]
        .map(rust_files)
        .concat();
    let of_tests = |file: &str| file.ends_with("/tests.rs") || file.contains("/tests/");
    for file in files.iter().filter(|file| !of_tests(file)) {
        assert!(!file.ends_with("/build.rs"), "{file}");
        let text = source(file);
        let ships = text.split("#[cfg(test)]").next().unwrap_or_default();
        for baked in [
            "CARGO_MANIFEST_DIR",
            "OUT_DIR",
            "CARGO_TARGET",
            "#[path",
            "file!(",
        ] {
            assert!(!ships.contains(baked), "{file}: {baked}");
        }
    }
    for package in [
        "shared",
        "functions/submit",
        "functions/enrich",
        "functions/status",
        "infra/cli",
    ] {
        assert!(!root().join(package).join("build.rs").exists(), "{package}");
    }
}
