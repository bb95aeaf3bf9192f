//! `tidings reference`: output generated from the definition of the command line.

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, CommandFactory as _};

use crate::command::{Cli, ManArguments, ReferenceCommand};
use crate::failure::Failure;
use crate::output;

/// Runs the sub-command.
pub(crate) fn run(command: ReferenceCommand) -> Result<(), Failure> {
    match command {
        ReferenceCommand::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tidings", &mut script);
            output::write(&String::from_utf8_lossy(&script))
        }
        ReferenceCommand::Man(arguments) => man(&arguments),
        ReferenceCommand::Settings => output::write(&settings()),
    }
}

fn man(arguments: &ManArguments) -> Result<(), Failure> {
    let to = &arguments.to;
    let written = fs::create_dir_all(to)
        .and_then(|()| clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), to));
    written.map_err(|error| {
        Failure::new(
            format!("cannot write man pages to {}: {error}", to.display()),
            "name a directory that you may write to",
        )
    })
}

/// The guide's page of settings.
fn settings() -> String {
    let mut command = Cli::command();
    command.build();
    let serve = command
        .find_subcommand("serve")
        .expect("the program has a sub-command serve");
    let mut out = String::from(
        "<!-- Made by `tidings reference settings`; a test compares it. Do not edit. -->\n\n# Settings\n\n\
         Every setting of `tidings serve` can be given as an option, as an environment variable, or as a key in \
         the file that `--config` or `TIDINGS_CONFIG` names. Options override variables, and variables override the \
         file. A mistyped key or variable is an error.\n\n\
         Sizes take units: `KiB`, `MiB`, `GiB` count in 1024, `K`, `M`, `G` in 1000; a number alone is bytes. Times take \
         units too: `500ms`, `90s`, `12h`, `7d`. Switches are `true` or `false`, `on` or `off`; an option without a value \
         is on.\n\n\
         ```toml\nlisten = \"127.0.0.1:7400\"\ndata-dir = \"/var/lib/tidings\"\napp = [\"ID:CERTIFICATE\"]\n```\n",
    );
    for argument in serve.get_arguments() {
        if !["help", "version"].contains(&argument.get_id().as_str()) {
            describe(&mut out, argument);
        }
    }
    out
}

fn describe(out: &mut String, argument: &Arg) {
    let Some(long) = argument.get_long() else {
        return;
    };
    let value = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = writeln!(out, "\n## `{long}`\n");
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = writeln!(out, "{}.\n", escaped(help.trim_end_matches('.')));
    if let Some(long_help) = argument.get_long_help().map(ToString::to_string)
        && let Some((_, rest)) = long_help.split_once("\n\n")
    {
        let _ = writeln!(out, "{}\n", escaped(rest.trim()));
    }
    let _ = writeln!(out, "| Option | `--{long} {value}` |\n| --- | --- |");
    if let Some(variable) = argument.get_env() {
        let _ = writeln!(out, "| Variable | `{}` |", variable.to_string_lossy());
    }
    if long != "config" {
        let _ = writeln!(out, "| Key in the file | `{long}` |");
    }
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        let _ = writeln!(out, "| Values | {} |", values.join(", "));
    }
}

/// Escapes text so that a page does not read it as a tag.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;")
}
