//! The command line of Millrace. This file only wires; see `args` for what there is. A library, so
//! that tests reach what reads a user's files.

#![expect(
    clippy::format_push_string,
    reason = "a few lines for a person; nothing is gained by write! and its result"
)]

mod account;
mod api;
mod args;
mod deliveries;
mod failure;
mod headers;
mod ids;
mod jobs;
mod listen;
mod operator;
mod problem;
mod providers;
pub mod records;
mod results;
mod sample;
mod screen;
mod settings;
mod submit;
mod tenant;
mod watch;
mod watched;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::api::Api;
use crate::args::{Cli, Command, Global, Webhook};
use crate::failure::Failure;
use crate::providers::Providers;
use crate::screen::Screen;
use crate::settings::CliSettings;

/// Runs the command that the process's arguments name, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(interruptible(&cli)),
        Err(error) => Err(error.into()),
    };
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    if let Some(text) = failure.text() {
        eprintln!("{text}");
    }
    failure.code()
}

/// Drops the work on Ctrl-C, so that it can tidy up. Commands that handle it themselves go first.
async fn interruptible(cli: &Cli) -> Result<(), Failure> {
    tokio::select! {
        biased;
        outcome = run(cli) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted("interrupted".to_owned())),
    }
}

async fn run(cli: &Cli) -> Result<(), Failure> {
    let settings = CliSettings::load(cli.global.env_file.as_deref())?;
    let api = || connect(&settings, &cli.global);
    match &cli.command {
        Command::Submit(args) => submit::submit(&api()?, args).await,
        Command::Watch { jobs, json } => watch::watch(&api()?, jobs, *json).await,
        Command::Results(args) => results::results(&api()?, args).await,
        Command::Jobs {
            status,
            limit,
            json,
        } => jobs::list(&api()?, status.as_deref(), *limit, *json).await,
        Command::Cancel(args) => jobs::cancel(&api()?, &args.job, args.json).await,
        Command::Retry(args) => jobs::retry(&api()?, &args.job, args.json).await,
        Command::Delete { job } => jobs::delete(&api()?, job).await,
        Command::Deliveries { of, json } => deliveries::deliveries(&api()?, of, *json).await,
        Command::Replay { delivery, json } => deliveries::replay(&api()?, delivery, *json).await,
        Command::Account { json } => tenant::account(&api()?, *json).await,
        Command::Webhook(Webhook::Test {
            target,
            no_wait,
            json,
        }) => deliveries::webhook_test(&api()?, target, !no_wait, *json).await,
        Command::Webhook(Webhook::Rotate {
            overlap_hours,
            json,
        }) => deliveries::webhook_rotate(&api()?, *overlap_hours, *json).await,
        Command::Listen(args) => listen::listen(&settings, args).await,
        Command::Providers(Providers::Check(args)) => providers::check(&settings, args).await,
        Command::Providers(Providers::Compile(args)) => providers::compile(args),
        Command::Enrich(args) => providers::enrich(&settings, args).await,
        Command::Tenants(command) => operator::tenants(&settings, command).await,
        Command::Keys(command) => operator::keys(&settings, command).await,
    }
}

fn connect(settings: &CliSettings, global: &Global) -> Result<Api, Failure> {
    let url = settings.need(global.url.as_ref(), "--url", "MILLRACE_URL")?;
    let key = settings.need(global.key.as_ref(), "--key", "MILLRACE_API_KEY")?;
    Api::new(&url, &key, Arc::new(Screen::new()))
}
