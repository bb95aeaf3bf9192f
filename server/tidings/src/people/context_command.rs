//! `tidings context`: names for servers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use super::complete;
use super::contexts::{Context, Contexts, check_key, check_name, key_in};
use super::http::{Api, Target};
use super::reach::{app_named, check_url};
use super::shown::{field, shown};
use crate::failure::Failure;
use crate::{input, output};

#[derive(Subcommand)]
pub(crate) enum ContextCommand {
    /// Add a server, or change one; the first becomes the one in use
    Add(AddArguments),
    /// List the servers; the one in use has a star
    List(ListArguments),
    /// Choose the server that commands are about unless they say another
    Use(UseArguments),
    /// Forget a server, and its key if that is kept here
    Remove(RemoveArguments),
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings context add prod --url https://chat.example.org --key-file ~/prod.key
      The key stays in its file, which is read each time.
  tidings context add test --url http://127.0.0.1:7400 --key-file - --app Classroom
      The key is read from standard input, and kept in contexts.toml, which only you can read.")]
pub(crate) struct AddArguments {
    /// A name for the server
    #[arg(value_name = "NAME")]
    name: String,

    /// Its address, such as https://chat.example.org
    #[arg(long, value_name = "URL")]
    url: String,

    /// File with the API key, or - to read it from standard input
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// The app that commands are about unless they say another: its id, how it begins, or its name
    #[arg(long, value_name = "APP")]
    app: Option<String>,

    /// PEM file with the authorities of the server's certificate, if they are not public ones
    #[arg(long, alias = "ca", value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Add it without calling the server, which may not be there yet
    #[arg(long)]
    no_check: bool,
}

#[derive(Args)]
pub(crate) struct ListArguments {
    /// Print a JSON object per server, without keys
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct UseArguments {
    /// The server's name
    #[arg(
        value_name = "NAME",
        required_unless_present = "none",
        conflicts_with = "none",
        add = ArgValueCompleter::new(complete::contexts)
    )]
    name: Option<String>,

    /// None of them: commands are about the server on the data directory again
    #[arg(long)]
    none: bool,
}

#[derive(Args)]
pub(crate) struct RemoveArguments {
    /// The server's name
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::contexts))]
    name: String,
}

/// Runs the sub-command.
pub(crate) fn run(command: ContextCommand) -> Result<(), Failure> {
    match command {
        ContextCommand::Add(arguments) => add(arguments),
        ContextCommand::List(arguments) => list(&arguments),
        ContextCommand::Use(arguments) => choose(arguments),
        ContextCommand::Remove(arguments) => remove(&arguments),
    }
}

fn add(arguments: AddArguments) -> Result<(), Failure> {
    let name = &arguments.name;
    check_name(name)?;
    let mut context = Context {
        url: check_url(&arguments.url)?,
        app: arguments.app,
        ca_file: arguments.ca_file.as_deref().map(absolute).transpose()?,
        ..Context::default()
    };
    match &arguments.key_file {
        Some(file) if file == Path::new("-") => {
            let text = input::secret("the API key")?;
            context.key = Some(check_key(&text, "the standard input")?);
        }
        Some(file) => {
            key_in(file)?;
            context.key_file = Some(absolute(file)?);
        }
        None => {}
    }
    let mut contexts = Contexts::read()?;
    let checked = if arguments.no_check {
        "not looked at".into()
    } else {
        check(&mut context).map_err(|failure| {
            let hint = format!("{}; --no-check adds it all the same", failure.hint());
            Failure::new(failure.what(), hint)
        })?
    };
    let is_new = contexts.all.insert(name.clone(), context).is_none();
    if contexts.in_use.is_none() {
        contexts.in_use = Some(name.clone());
    }
    contexts.write()?;
    let done = if is_new { "added" } else { "changed" };
    let in_use = match contexts.in_use.as_deref() {
        Some(used) if used == name => "in use".into(),
        used => format!(
            "in use is {}; `tidings context use {name}` changes that",
            used.unwrap_or("none")
        ),
    };
    output::write(&format!("context {name} is {done} ({checked}); {in_use}\n"))
}

/// Calls the server. Returns what it is, in words; the app is put down by its id.
fn check(context: &mut Context) -> Result<String, Failure> {
    let key = context.key()?;
    let has_key = key.is_some();
    let api = Api::new(Target {
        url: context.url.clone(),
        key,
        ca_file: context.ca_file.clone(),
        is_local: false,
        patience: None,
    })?;
    let version = api.get("/api/v1/version", &[])?;
    let version = shown(version["version"].as_str().unwrap_or("of no version"));
    if !has_key {
        return Ok(format!("Tidings {version}, without a key"));
    }
    api.get("/api/v1/apps", &[("limit", "1")])?;
    if let Some(app) = &context.app {
        context.app = Some(app_named(&api, app)?);
    }
    Ok(format!("Tidings {version}, the key is good"))
}

/// Commands are run in other directories later.
fn absolute(file: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(file).map_err(|error| {
        Failure::new(
            format!("cannot use the path {}: {error}", file.display()),
            "give the whole path",
        )
    })
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let contexts = Contexts::read()?;
    let mut text = String::new();
    for (name, context) in &contexts.all {
        let is_used = contexts.in_use.as_ref() == Some(name);
        let key = match (&context.key_file, &context.key) {
            (Some(file), _) => file.display().to_string(),
            (None, Some(_)) => "kept here".into(),
            (None, None) => "none".into(),
        };
        if arguments.json {
            let line = json!({
                "name": name,
                "url": context.url,
                "app": context.app,
                "key": key,
                "in_use": is_used,
            });
            let _ = writeln!(text, "{line}");
            continue;
        }
        let star = if is_used { "*" } else { " " };
        let _ = writeln!(
            text,
            "{star} {}  {}  key {}",
            field(name, 12),
            shown(&context.url),
            shown(&key)
        );
        if let Some(app) = &context.app {
            let _ = writeln!(text, "{:16}app {}", "", shown(app));
        }
    }
    if contexts.all.is_empty() && !arguments.json {
        text += "no contexts; `tidings context add` makes one\n";
    }
    output::write(&text)
}

fn choose(arguments: UseArguments) -> Result<(), Failure> {
    let mut contexts = Contexts::read()?;
    let told = match &arguments.name {
        Some(name) => format!("{} is in use now\n", shown(&contexts.find(name)?.url)),
        None => {
            "no context is in use: commands are about the server on the data directory\n".into()
        }
    };
    contexts.in_use = arguments.name;
    contexts.write()?;
    output::write(&told)
}

fn remove(arguments: &RemoveArguments) -> Result<(), Failure> {
    let mut contexts = Contexts::read()?;
    contexts.find(&arguments.name)?;
    contexts.all.remove(&arguments.name);
    if contexts.in_use.as_ref() == Some(&arguments.name) {
        contexts.in_use = None;
    }
    contexts.write()?;
    output::write(&format!("context {} is removed\n", arguments.name))
}
