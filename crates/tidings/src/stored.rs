//! `tidings store`: looking into a data directory, copying it out and back.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use tidings_store::EmbeddedEngine;
use tidings_store::embedded::{OpenError, Options, RestoreError};

use crate::command::{BackupArguments, Place, RestoreArguments, StoreCommand};
use crate::failure::Failure;

/// The records within a backup.
const RECORDS: &str = "store.jsonl";

/// What of a data directory belongs to the store itself, and is in [`RECORDS`] or made anew.
const STORE_OWN: [&str; 4] = ["db", "LOCK", "FORMAT", "FORMAT.new"];

/// Carries the sub-command out.
pub(crate) fn run(command: StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Verify(place) => verify(&place),
        StoreCommand::Dump(place) => dump(&place),
        StoreCommand::Backup(arguments) => backup(&arguments),
        StoreCommand::Restore(arguments) => restore(&arguments),
    }
}

fn verify(place: &Place) -> Result<(), Failure> {
    let path = place.resolve()?;
    let report = open(&path)?
        .verify()
        .map_err(|error| unread(&path, &error))?;
    println!("records            {}", report.records);
    println!(
        "inboxes            {} with {} messages",
        report.inboxes, report.messages
    );
    println!(
        "histories          {} with {} messages",
        report.histories, report.history_messages
    );
    println!("attribute owners   {}", report.attribute_owners);
    if report.is_sound() {
        println!("everything is sound");
        return Ok(());
    }
    for problem in &report.problems {
        println!("problem: {problem}");
    }
    Err(Failure::new(
        format!("{} of the records have problems", report.problem_count),
        "check the disk, keep a copy of the directory, and restore a backup",
    ))
}

fn dump(place: &Place) -> Result<(), Failure> {
    let path = place.resolve()?;
    let engine = open(&path)?;
    match engine.dump(&mut BufWriter::new(io::stdout().lock())) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| unread(&path, &error)),
    }
}

fn backup(arguments: &BackupArguments) -> Result<(), Failure> {
    let path = arguments.place.resolve()?;
    let engine = open(&path)?;
    let records = copy_out(&engine, &path, &arguments.to).map_err(|error| {
        Failure::new(
            format!(
                "the backup in {} is not complete: {error}",
                arguments.to.display()
            ),
            "remove it, check the disk, and try again",
        )
    })?;
    println!(
        "{records} records, with apps and media, are in {}",
        arguments.to.display()
    );
    Ok(())
}

/// Order: the records come last, so that a backup that has them is complete.
fn copy_out(engine: &EmbeddedEngine, data_dir: &Path, to: &Path) -> io::Result<u64> {
    fs::create_dir_all(to)?;
    if fs::read_dir(to)?.next().is_some() {
        return Err(io::Error::other(
            "the directory is not empty; name a new one",
        ));
    }
    for name in others(data_dir)? {
        copy(&data_dir.join(&name), &to.join(&name))?;
    }
    let new = to.join("store.jsonl.new");
    let mut writer = BufWriter::new(File::create(&new)?);
    let records = engine.backup(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    fs::rename(&new, to.join(RECORDS))?;
    File::open(to)?.sync_all()?;
    Ok(records)
}

fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let path = arguments.place.resolve()?;
    let file = arguments.from.join(RECORDS);
    let reader = File::open(&file).map_err(|error| {
        Failure::new(
            format!("cannot read {}: {error}", file.display()),
            "give --from the directory that `tidings store backup` has made",
        )
    })?;
    if path.exists() && !others_or_none(&path).is_empty() {
        return Err(Failure::new(
            format!("{} is not empty", path.display()),
            "restore into a new directory, then let the server use that one",
        ));
    }
    let records =
        EmbeddedEngine::restore(&path, &mut BufReader::new(reader)).map_err(
            |error| match error {
                RestoreError::Open(error) => unopened(&error),
                other => Failure::of(
                    &other,
                    "remove the new directory; take another backup, or another directory",
                ),
            },
        )?;
    let copied = others(&arguments.from).and_then(|names| {
        names
            .iter()
            .filter(|name| *name != RECORDS)
            .try_for_each(|name| copy(&arguments.from.join(name), &path.join(name)))
    });
    copied.map_err(|error| {
        Failure::new(
            format!(
                "apps and media were not restored to {}: {error}",
                path.display()
            ),
            "remove the new directory, check the disk, and try again",
        )
    })?;
    println!(
        "{records} records, with apps and media, are in {}",
        path.display()
    );
    Ok(())
}

fn open(path: &Path) -> Result<EmbeddedEngine, Failure> {
    if !path.join("FORMAT").exists() {
        return Err(Failure::new(
            format!("there is no store in {}", path.display()),
            "give --data-dir the directory that the server uses",
        ));
    }
    EmbeddedEngine::open(path, &Options::default()).map_err(|error| unopened(&error))
}

fn unopened(error: &OpenError) -> Failure {
    let hint = match error {
        OpenError::Locked { .. } => {
            "stop the server first, or work on a copy: a snapshot of the file system is a good one"
        }
        other => other.hint(),
    };
    Failure::of(error, hint)
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("cannot read the store in {}: {error}", path.display()),
        "check the disk",
    )
}

/// Names in a directory that are not the store's own: apps and media.
fn others(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !STORE_OWN.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn others_or_none(path: &Path) -> Vec<String> {
    others(path).unwrap_or_default()
}

/// Copies a file or a directory with its permissions, synced.
fn copy(from: &Path, to: &PathBuf) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return fs::set_permissions(to, fs::metadata(from)?.permissions());
    }
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}
