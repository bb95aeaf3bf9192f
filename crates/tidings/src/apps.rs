//! `tidings app`.

use tidings_server::{AppRules, RateKind};

use crate::command::{
    AppCommand, BanArguments, CreateArguments, RotateArguments, SetArguments, ShowArguments,
};
use crate::failure::Failure;
use crate::legacy_rules;
use crate::quotas;
use crate::registry::{Entry, Registry};
use crate::tuning::{self, RateEntry};

/// Carries the sub-command out.
pub(crate) fn run(command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Create(arguments) => create(&arguments),
        AppCommand::List(place) => list(&Registry::read(&place.resolve()?)?),
        AppCommand::Rotate(arguments) => rotate(&arguments),
        AppCommand::Show(arguments) => show(&arguments),
        AppCommand::Set(arguments) => set(&arguments),
        AppCommand::Ban(arguments) => ban(&arguments),
        AppCommand::Unban(arguments) => unban(&arguments),
    }
}

fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let mut registry = Registry::read(&arguments.place.resolve()?)?;
    let id = match &arguments.id {
        Some(id) => id.clone(),
        None => secret()?,
    };
    let certificates = match arguments.open {
        true => Vec::new(),
        false => vec![secret()?],
    };
    let entry = Entry {
        id,
        name: arguments.name.clone().unwrap_or_default(),
        certificates,
        ..Entry::default()
    };
    registry.add(entry.clone())?;
    registry.write()?;
    println!("app id       {}", entry.id);
    match entry.certificates.first() {
        Some(certificate) => println!("certificate  {certificate}"),
        None => println!("certificate  none: whoever knows the id can be any user"),
    }
    println!("{AFTER_RELOAD}");
    Ok(())
}

fn list(registry: &Registry) -> Result<(), Failure> {
    if registry.entries().is_empty() {
        println!("no apps; make one with `tidings app create`");
        return Ok(());
    }
    println!("{:<32}  certificates  name", "app id");
    for entry in registry.entries() {
        println!(
            "{:<32}  {:<12}  {}",
            entry.id,
            entry.certificates.len(),
            entry.name
        );
    }
    Ok(())
}

fn rotate(arguments: &RotateArguments) -> Result<(), Failure> {
    let mut registry = Registry::read(&arguments.place.resolve()?)?;
    let entry = registry.find(&arguments.id)?;
    if arguments.drop_old {
        if entry.certificates.len() < 2 {
            return Err(Failure::new(
                format!(
                    "app {} has {} certificates, so there is no old one",
                    entry.id,
                    entry.certificates.len()
                ),
                "add a new one first: `tidings app rotate` without --drop-old",
            ));
        }
        entry.certificates.truncate(1);
        registry.write()?;
        println!("the old certificate is gone\n{AFTER_RELOAD}");
        return Ok(());
    }
    if entry.certificates.len() > 1 {
        return Err(Failure::new(
            format!(
                "app {} is in the middle of a change: it has two certificates",
                entry.id
            ),
            "end that one first: `tidings app rotate --drop-old`",
        ));
    }
    let certificate = secret()?;
    entry.certificates.insert(0, certificate.clone());
    registry.write()?;
    println!("new certificate  {certificate}");
    println!(
        "The old one is good until `tidings app rotate {} --drop-old`.",
        arguments.id
    );
    println!("{AFTER_RELOAD}");
    Ok(())
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let mut registry = Registry::read(&arguments.place.resolve()?)?;
    let entry = registry.find(&arguments.id)?;
    let app = entry.app()?;
    let origin = |is_set: bool| if is_set { "set" } else { "default" };
    println!("app id        {}", entry.id);
    println!("name          {}", entry.name);
    println!("certificates  {}", entry.certificates.len());
    println!("\nsettings");
    let rules = entry.legacy_rules(&AppRules::default())?;
    let settings = tuning::settings(&app.settings);
    let quotas = quotas::settings(&app.quotas);
    let others = legacy_rules::settings(&rules).into_iter().chain(quotas);
    for (name, value) in settings.into_iter().chain(others) {
        let value = value.to_string();
        let origin = origin(entry.settings.contains_key(name));
        println!("  {name:<28} {value:<12} {origin}");
    }
    println!("\nrates: calls/milliseconds");
    for (kind, name) in RateKind::named() {
        let rate = app.rates.get(kind);
        let value = match rate.calls {
            0 => "unlimited".into(),
            calls => format!("{calls}/{}", rate.window_ms),
        };
        let origin = origin(entry.rates.contains_key(name));
        println!("  {name:<28} {value:<12} {origin}");
    }
    println!("\nbanned");
    match entry.banned.is_empty() {
        true => println!("  nobody"),
        false => entry.banned.iter().for_each(|user| println!("  {user}")),
    }
    Ok(())
}

fn set(arguments: &SetArguments) -> Result<(), Failure> {
    let mut registry = Registry::read(&arguments.place.resolve()?)?;
    let entry = registry.find(&arguments.id)?;
    for change in &arguments.changes {
        let Some((name, value)) = change.split_once('=') else {
            return Err(Failure::new(
                format!("{change:?} is no NAME=VALUE"),
                "for example keep_user_attributes=true, or message=60/1000 for a rate",
            ));
        };
        let is_rate = RateKind::named().any(|(_, known)| known == name);
        match (value, is_rate) {
            ("default", true) => drop(entry.rates.remove(name)),
            ("default", false) => {
                tuning::check_name(name)?;
                entry.settings.remove(name);
            }
            (value, true) => {
                entry
                    .rates
                    .insert(name.into(), RateEntry::parse(name, value)?);
            }
            (value, false) => {
                entry.settings.insert(name.into(), tuning::value(value));
            }
        }
    }
    // What is wrong with a value is told now, not at the server's next start.
    entry.app()?;
    registry.write()?;
    println!("{AFTER_RELOAD}");
    Ok(())
}

fn ban(arguments: &BanArguments) -> Result<(), Failure> {
    let mut registry = Registry::read(&arguments.place.resolve()?)?;
    let entry = registry.find(&arguments.id)?;
    for user in &arguments.users {
        if !entry.banned.contains(user) {
            entry.banned.push(user.clone());
        }
    }
    entry.app()?;
    registry.write()?;
    println!("{AFTER_RELOAD}");
    Ok(())
}

fn unban(arguments: &BanArguments) -> Result<(), Failure> {
    let mut registry = Registry::read(&arguments.place.resolve()?)?;
    let entry = registry.find(&arguments.id)?;
    for user in &arguments.users {
        let before = entry.banned.len();
        entry.banned.retain(|banned| banned != user);
        if entry.banned.len() == before {
            return Err(Failure::new(
                format!("user {user:?} is not banned from app {}", entry.id),
                "see who is with `tidings app show`",
            ));
        }
    }
    registry.write()?;
    println!("{AFTER_RELOAD}");
    Ok(())
}

const AFTER_RELOAD: &str =
    "A running server takes this in on reload: `systemctl reload tidings`, or send it SIGHUP.";

/// 128 random bits as 32 hexadecimal characters: the form of app ids and certificates.
fn secret() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            format!("the system gives no random number: {error}"),
            "try again",
        )
    })?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
