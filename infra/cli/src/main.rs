//! `millrace`, the command.

use std::process::ExitCode;

fn main() -> ExitCode {
    millrace::main()
}
