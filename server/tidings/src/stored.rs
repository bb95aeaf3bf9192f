//! `tidings store`: inspect, back up and restore a data directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::Mode;
use tidings_store::EmbeddedEngine;
use tidings_store::embedded::{OpenError, Options, RestoreError};

use crate::command::{BackupArguments, ListArguments, Place, RestoreArguments, StoreCommand};
use crate::control::{self, Reached, Request, ask, reach, report_json};
use crate::failure::Failure;
use crate::{output, ownership};

/// Name of the records' file within a backup.
const RECORDS: &str = "store.jsonl";

/// Files of a data directory that a backup does not copy: they belong to the store, whose records
/// are in [`RECORDS`], or to the running server, or are created again.
const NOT_COPIED: [&str; 9] = [
    "db",
    "LOCK",
    "FORMAT",
    "FORMAT.new",
    "torn",
    "journal.new",
    control::FILE,
    "sessions.snapshot",
    "sessions.snapshot.new",
];

/// Runs the sub-command.
pub(crate) fn run(command: StoreCommand) -> Result<(), Failure> {
    // Whatever is created is accessible to its owner only: a backup holds all messages.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    match command {
        StoreCommand::Verify(arguments) => verify(&arguments),
        StoreCommand::Dump(place) => dump(&place),
        StoreCommand::Backup(arguments) => backup(&arguments),
        StoreCommand::Restore(arguments) => restore(&arguments),
    }
}

fn verify(arguments: &ListArguments) -> Result<(), Failure> {
    let path = arguments.place.resolve()?;
    let report = match ask(&path, Request::Verify)? {
        Some(answer) => answer.verified.unwrap_or_default(),
        None => with_engine(&path, |engine| {
            let report = engine.verify().map_err(|error| unread(&path, &error))?;
            Ok(report_json(&report))
        })?,
    };
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    if arguments.json {
        output::write_json(&report)?;
    } else {
        let mut text = format!(
            "records            {}\ninboxes            {} with {} messages\nhistories          {} with {} messages\n\
             attribute owners   {}\n",
            number("records"),
            number("inboxes"),
            number("messages"),
            number("histories"),
            number("history_messages"),
            number("attribute_owners"),
        );
        for problem in report["problems"].as_array().into_iter().flatten() {
            text += &format!("problem: {}\n", problem.as_str().unwrap_or_default());
        }
        if number("problem_count") == 0 {
            text += "everything is sound\n";
        }
        output::write(&text)?;
    }
    match number("problem_count") {
        0 => Ok(()),
        count => Err(Failure::new(
            format!("{count} of the records have problems"),
            "check the disk, keep a copy of the directory, and restore a backup",
        )),
    }
}

fn dump(place: &Place) -> Result<(), Failure> {
    let path = place.resolve()?;
    with_engine(&path, |engine| {
        match engine.dump(&mut BufWriter::new(io::stdout().lock())) {
            // The reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| unread(&path, &error)),
        }
    })
}

fn backup(arguments: &BackupArguments) -> Result<(), Failure> {
    let path = arguments.place.resolve()?;
    let to = &arguments.to;
    let incomplete = |error: io::Error| {
        Failure::new(
            format!("the backup in {} is not complete: {error}", to.display()),
            "remove it, check the disk, and try again",
        )
    };
    // A running server writes the records itself; otherwise the store is opened here.
    let online = reach(&path)?;
    let engine = match online {
        Reached::Server(_) => None,
        Reached::Nobody => Some(open(&path)?),
    };
    copy_others(&path, to).map_err(incomplete)?;
    let new = to.join("store.jsonl.new");
    let mut writer = BufWriter::new(private_file(&new).map_err(incomplete)?);
    let records = match engine {
        Some(engine) => {
            let written = engine.backup(&mut writer);
            drop(engine);
            ownership::settle(&path).and(written).map_err(incomplete)?
        }
        None => control::backup(&path, &mut writer)?.ok_or_else(|| {
            incomplete(io::Error::other("the server stopped in the middle of it"))
        })?,
    };
    // Order: the records come last, so that a backup that has them is complete.
    let finished = writer
        .flush()
        .and_then(|()| writer.get_ref().sync_all())
        .and_then(|()| fs::rename(&new, to.join(RECORDS)))
        .and_then(|()| File::open(to)?.sync_all());
    finished.map_err(incomplete)?;
    output::write(&format!(
        "{records} records, with apps and media, are in {}\n",
        to.display()
    ))
}

/// Copies everything that is not the store's own into a new directory.
fn copy_others(data_dir: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    if fs::read_dir(to)?.next().is_some() {
        return Err(io::Error::other(
            "the directory is not empty; name a new one",
        ));
    }
    for name in others(data_dir)? {
        match copy(&data_dir.join(&name), &to.join(&name)) {
            // A file that a running server has deleted in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Does something with the store of a directory that no server uses. Files that root creates there
/// belong to the directory's owner afterwards.
fn with_engine<T>(
    path: &Path,
    act: impl FnOnce(&EmbeddedEngine) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let engine = open(path)?;
    let done = act(&engine);
    drop(engine);
    ownership::settle(path).map_err(|error| unread(path, &error))?;
    done
}

fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let path = arguments.place.resolve()?;
    let file = arguments.from.join(RECORDS);
    let reader = File::open(&file).map_err(|error| {
        Failure::new(
            format!("cannot read {}: {error}", file.display()),
            "give --from a directory that `tidings store backup` created",
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
    let settled = ownership::settle(&path);
    settled.map_err(|error| unread(&path, &error))?;
    let mut text = format!(
        "{records} records, with apps and media, are in {}\n",
        path.display()
    );
    if ownership::is_roots(&path) {
        text += &format!(
            "It belongs to root; give it to the service's user: chown -R USER: {}\n",
            path.display()
        );
    }
    output::write(&text)
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
            "the server that runs there has no control socket: stop it first, or work on a copy"
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
        if !NOT_COPIED.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn others_or_none(path: &Path) -> Vec<String> {
    others(path).unwrap_or_default()
}

/// Copies a file or a directory, accessible to its new owner only, and syncs it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            match copy(&entry.path(), &to.join(entry.file_name())) {
                // A file that a running server has deleted in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        return File::open(to)?.sync_all();
    }
    let mut source = File::open(from)?;
    let mut copy = private_file(to)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()
}

/// Creates a file that only its owner can access.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.mode(0o600).open(path)
}
