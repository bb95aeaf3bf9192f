//! `tidings reference`: output generated from the definition of the command line.

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, CommandFactory as _};
use clap_complete::Shell;

use crate::COMPLETE;
use crate::command::{Cli, ManArguments, ReferenceCommand};
use crate::failure::Failure;
use crate::output;

/// Runs the sub-command.
pub(crate) fn run(command: ReferenceCommand) -> Result<(), Failure> {
    match command {
        ReferenceCommand::Completions { shell } => output::write(&completions(&shell)?),
        ReferenceCommand::Man(arguments) => man(&arguments),
        ReferenceCommand::Settings => output::write(&settings()),
        ReferenceCommand::Commands => output::write(&commands()),
    }
}

/// A script by which a shell asks the program how a command line goes on.
fn completions(shell: &Shell) -> Result<String, Failure> {
    let shells = clap_complete::env::Shells::builtins();
    let name = shell.to_string();
    let mut script = Vec::new();
    let written = shells
        .completer(&name)
        .ok_or_else(|| std::io::Error::other("it is not known"))
        .and_then(|shell| {
            shell.write_registration(COMPLETE, "tidings", "tidings", "tidings", &mut script)
        });
    written.map_err(|error| {
        Failure::new(
            format!("there are no completions for {name}: {error}"),
            "they are for bash, elvish, fish, powershell and zsh",
        )
    })?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// Commands whose options have a page of their own.
const ELSEWHERE: [(&str, &str); 2] = [
    ("serve", "its options are the [settings](./settings)"),
    ("doctor", "it takes all [settings](./settings)"),
];

/// The heading of the options that select a server.
const WHICH_SERVER: &str = "Which server";

/// The guide's page of commands.
fn commands() -> String {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut out = String::from(
        "<!-- Made by `tidings reference commands`; a test compares it. Do not edit. -->\n\n\
         # Commands\n\n",
    );
    out += include_str!("people/commands.md.in");
    let who = command.find_subcommand("who").into_iter();
    let server = who
        .flat_map(clap::Command::get_arguments)
        .filter(|argument| argument.get_help_heading() == Some(WHICH_SERVER));
    let _ = writeln!(out, "\n## {WHICH_SERVER}\n\nMany commands take these:\n");
    list(&mut out, server);
    let mut all: Vec<&clap::Command> = command.get_subcommands().collect();
    all.sort_by_key(|command| command.get_name());
    for command in all {
        describe_command(&mut out, command, "tidings");
    }
    out
}

fn describe_command(out: &mut String, command: &clap::Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    let level = "#".repeat(name.split(' ').count());
    let about = command.get_about().map(ToString::to_string);
    let about = escaped(about.unwrap_or_default().trim_end_matches('.'));
    let _ = writeln!(out, "\n{level} {name}\n\n{about}.");
    let elsewhere = ELSEWHERE
        .iter()
        .find(|(known, _)| *known == command.get_name());
    if let Some((_, text)) = elsewhere {
        let _ = writeln!(out, "\nAs for its options, {text}.");
        return;
    }
    // A command may do something itself besides what those below it do.
    if !command.is_subcommand_required_set() {
        let usage = command.clone().render_usage().to_string();
        let _ = writeln!(
            out,
            "\n```text\n{}\n```",
            usage.trim_start_matches("Usage: ")
        );
        let (server, own): (Vec<_>, Vec<_>) = command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
            .partition(|argument| argument.get_help_heading() == Some(WHICH_SERVER));
        if !own.is_empty() {
            out.push('\n');
            list(out, own.into_iter());
        }
        if !server.is_empty() {
            let _ = writeln!(out, "\nAnd those that say [which server](#which-server).");
        }
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(out, "\n```text\n{after}\n```");
    }
    for below in command.get_subcommands() {
        describe_command(out, below, &name);
    }
}

/// Options and arguments as a table.
fn list<'a>(out: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let _ = writeln!(out, "| Option | |\n| --- | --- |");
    for argument in arguments {
        let value = argument
            .get_value_names()
            .and_then(|names| names.first())
            .map(ToString::to_string);
        let takes = argument.get_action().takes_values();
        let name = match (argument.get_long(), value.filter(|_| takes)) {
            (Some(long), Some(value)) => format!("--{long} {value}"),
            (Some(long), None) => format!("--{long}"),
            (None, value) => value.unwrap_or_default(),
        };
        let mut help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let values = argument.get_possible_values();
        let values: Vec<_> = values
            .iter()
            .filter(|_| takes)
            .map(|value| value.get_name())
            .collect();
        if !values.is_empty() {
            help += &format!(": {}", values.join(", "));
        }
        if let [default] = argument.get_default_values()
            && takes
            && !argument.is_hide_default_value_set()
        {
            help += &format!(" [default: {}]", default.to_string_lossy());
        }
        if let Some(variable) = argument.get_env() {
            help += &format!(" [env: {}]", variable.to_string_lossy());
        }
        let _ = writeln!(out, "| `{name}` | {} |", escaped(&help).replace('|', "\\|"));
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
