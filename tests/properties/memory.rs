//! Bodies of the greatest length, made to take as much memory as possible. The functions that read
//! them have 1,024 MB (`infra/template.yaml`).

use std::process::Command;

use shared::domain::job::MAX_BODY_BYTES;
use testkit::fuzz::api;
use testkit::fuzz::wire::Wire;

/// The greatest peak of the process, in bytes: half of the function's memory. It includes the
/// runtime, the connections and the needs of an unoptimised build.
const MOST: usize = 512 * 1024 * 1024;

/// The target, and the start, element and end of a document that is large in memory: many values of
/// few bytes.
const DOCUMENTS: [[&str; 5]; 3] = [
    [
        "objects",
        "/v1/jobs",
        "{\"type\":\"any\",\"records\":[",
        "{\"\":0},",
        "{}]}",
    ],
    [
        "texts",
        "/api/v1/async/enrich",
        "{\"type\":\"company\",\"records\":[{\"domain\":\"a\",\"m\":[",
        "\"a\",",
        "1]}]}",
    ],
    [
        "faults",
        "/find-email-bulk-async",
        "{\"leads\":[",
        "0,",
        "0]}",
    ],
];

fn request(which: &str) -> Wire {
    let [_, path, begin, element, end] = DOCUMENTS
        .into_iter()
        .find(|[name, ..]| *name == which)
        .expect("a document");
    let times = (MAX_BODY_BYTES - begin.len() - end.len()) / element.len();
    Wire {
        first: format!("POST {path}"),
        headers: vec![("x-api-key".to_owned(), "$KEY".to_owned())],
        body: format!("{begin}{}{end}", element.repeat(times)).into_bytes(),
    }
}

/// Returns the peak memory of this process, in bytes. Source: `proc_pid_status(5)`.
#[cfg(target_os = "linux")]
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<usize>()
        .expect("a number")
        * 1024
}

/// Run by the test below, one document in each process, because a process has one peak.
#[test]
#[ignore = "run by the_longest_bodies_take_bounded_memory"]
#[cfg(target_os = "linux")]
fn one_body() {
    let which = std::env::var("MILLRACE_BODY").expect("which document");
    api::request(&request(&which).render());
    println!("peak {}", peak());
}

#[test]
#[cfg(target_os = "linux")]
fn the_longest_bodies_take_bounded_memory() {
    for [which, ..] in DOCUMENTS {
        let mut child = Command::new(std::env::current_exe().expect("a test's own binary"));
        child
            .args(["--exact", "memory::one_body", "--ignored", "--nocapture"])
            .env("MILLRACE_BODY", which);
        let output = child.output().expect("the child runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{which}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let peak = text
            .split("peak ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .expect("a peak");
        let peak: usize = peak.parse().expect("a number");
        println!("{which}: {} MiB", peak / 1024 / 1024);
        assert!(peak <= MOST, "{which}: {} MiB", peak / 1024 / 1024);
    }
}
