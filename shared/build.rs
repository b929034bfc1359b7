//! Stops the build on a wrong `infra/providers.toml`, with the message that would stop the function's Init, and keeps what
//! was read, so that Init does not read it again.

use std::path::Path;
use std::process::ExitCode;

#[allow(dead_code, unreachable_pub, unused_imports, reason = "the same file is a module of the library")]
#[path = "src/provider/config/mod.rs"]
mod config;

const FILE: &str = "infra/providers.toml";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/provider/config");
    println!("cargo::rerun-if-changed=../{FILE}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
    let checked = std::fs::read_to_string(&path)
        .map_err(|e| format!("{FILE}: cannot be read: {e}"))
        .and_then(|text| config::Config::parse(FILE, &text).map_err(|e| e.to_string()));
    let kept = checked.and_then(|config| {
        let text = serde_json::to_string(&config).map_err(|e| e.to_string())?;
        #[expect(clippy::disallowed_methods, reason = "how cargo tells a build script where to write")]
        let out = std::env::var("OUT_DIR").map_err(|e| e.to_string())?;
        std::fs::write(Path::new(&out).join("providers.json"), text).map_err(|e| e.to_string())
    });
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("cargo::error={why}");
            ExitCode::FAILURE
        }
    }
}
