//! The `tidings` program: sub-commands, configuration and help texts only.

mod api;
mod api_rules;
mod app;
mod apps;
mod changes;
mod cluster_command;
mod command;
mod control;
mod doctor;
mod failure;
mod first_key;
#[cfg(test)]
mod hostile;
mod input;
mod jwt_rules;
mod key_command;
mod legacy_rules;
mod local_key;
mod log;
mod media;
mod node;
mod otlp;
mod output;
mod ownership;
mod page_rules;
mod people;
mod permissions;
mod quotas;
mod reference;
mod registry;
mod revocations;
mod rewrite;
mod serve;
mod service_rules;
mod settings;
mod status;
mod stored;
mod token;
mod token_rules;
mod tuning;
mod words;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;

use crate::command::{Cli, Command};

/// The variable by which a shell asks how a command line goes on.
const COMPLETE: &str = "TIDINGS_COMPLETE";

fn main() -> ExitCode {
    // A shell that completes a command line runs the program with a variable; it ends there.
    CompleteEnv::with_factory(Cli::command)
        .var(COMPLETE)
        .bin("tidings")
        .complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain_usage(&error),
    };
    let result = match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Token(command) => token::run(command),
        Command::App(command) => apps::run(command),
        Command::Key(command) => key_command::run(command),
        Command::Store(command) => stored::run(command),
        Command::Media(command) => media::run(command),
        Command::Cluster(command) => cluster_command::run(command),
        Command::Status(arguments) => status::run(&arguments),
        Command::Reload(place) => status::reload(&place),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::People(command) => people::run(command),
        Command::Reference(command) => reference::run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads any more what the command would write.
        Err(failure) if failure.is_gone() => ExitCode::SUCCESS,
        Err(failure) => {
            log::finish();
            if !failure.is_told() {
                output::notice(failure);
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints help and version unchanged, and an error in the form of all other errors.
fn explain_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nothing can be printed to a terminal that is gone.
        return match output::told(error.print()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                output::notice(failure);
                ExitCode::FAILURE
            }
        };
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
    output::notice(format_args!(
        "{text}\n\nhint: add --help to the command to see its options and examples"
    ));
    ExitCode::from(2)
}
