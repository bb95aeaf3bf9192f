//! `tidings app`.

use crate::command::{AppCommand, CreateArguments, RotateArguments};
use crate::failure::Failure;
use crate::registry::{Entry, Registry};

/// Carries the sub-command out.
pub(crate) fn run(command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Create(arguments) => create(&arguments),
        AppCommand::List(place) => list(&Registry::read(&place.resolve()?)?),
        AppCommand::Rotate(arguments) => rotate(&arguments),
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
