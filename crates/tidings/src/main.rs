//! The `tidings` program: sub-commands, configuration, help texts; nothing else.

mod app;
mod apps;
mod command;
mod doctor;
mod failure;
#[cfg(test)]
mod hostile;
mod legacy_rules;
mod log;
mod permissions;
mod quotas;
mod reference;
mod registry;
mod serve;
mod settings;
mod stored;
mod token;
mod tuning;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::command::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain_usage(&error),
    };
    let result = match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Token(command) => token::run(command),
        Command::App(command) => apps::run(command),
        Command::Store(command) => stored::run(command),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Reference(command) => reference::run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Prints help and version as they are, and an error in the form of all other errors.
fn explain_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nothing can be said to a terminal that is gone.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.to_string();
    let text = text
        .trim_end()
        .trim_end_matches("For more information, try '--help'.")
        .trim_end();
    eprintln!("{text}\n\nhint: add --help to the command to see its options and examples");
    ExitCode::from(2)
}
