//! `providers.toml` as the functions read it at their start.

use shared::catalog::{CONFIG_FILE, Catalog, Config, compiled};
use shared::providers::kinds::{READERS, settings};
use shared::surfaces::{SURFACES, check_operations};

use super::args::Compile;
use super::machine::directory;
use crate::failure::Failure;

/// `millrace providers compile`.
pub(crate) fn compile(args: &Compile) -> Result<(), Failure> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => directory(None)?.join(CONFIG_FILE),
    };
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::failed(format!("{shown}: cannot be read: {error}")))?;
    let config = Config::parse(READERS, &shown, &text)
        .map_err(|error| Failure::failed(error.to_string()))?;
    check_operations(SURFACES, &Catalog::of(&config))
        .map_err(|why| Failure::failed(format!("{shown}: {why}")))?;
    if let Some(output) = &args.output {
        let compiled = compiled::compile(READERS, &config, &text, settings)
            .map_err(|error| Failure::failed(error.to_string()))?;
        std::fs::write(output, compiled).map_err(|error| {
            Failure::failed(format!("{}: cannot be written: {error}", output.display()))
        })?;
    }
    Ok(())
}
