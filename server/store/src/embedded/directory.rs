//! The store's directory: who may open it, and the version of its layout.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{OpenError, private};

/// Version of the layout that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT_PREFIX: &str = "tidings-store ";

pub(super) fn database_path(path: &Path) -> PathBuf {
    path.join("db")
}

/// Creates the directory if necessary, locks it and checks its version.
pub(super) fn prepare(path: &Path) -> Result<File, OpenError> {
    make(path).map_err(OpenError::io("making the directory", path))?;
    let lock = lock(path)?;
    check_format(path)?;
    Ok(lock)
}

/// Creates the directory and its parents so that they survive a power loss. An existing parent is
/// not touched: it may not even be readable.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = (path.ancestors())
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    private::create_dir_all(path)?;
    for made in missing {
        let parent = made
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Makes the names in the database's directory, and the directory's own name, survive a power loss.
/// The database syncs its files, but not the names of directories that it has created: without the
/// name of a keyspace, its journal would be read as if the keyspace had never existed.
pub(super) fn sync_names(path: &Path, database: &Path) -> Result<(), OpenError> {
    sync_below(database)?;
    sync(path)
}

fn sync_below(directory: &Path) -> Result<(), OpenError> {
    let failed = OpenError::io("reading the directory", directory);
    let below = || -> io::Result<Vec<PathBuf>> {
        let mut below = vec![];
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                below.push(entry.path());
            }
        }
        Ok(below)
    };
    for inner in below().map_err(failed)? {
        sync_below(&inner)?;
    }
    sync(directory)
}

fn sync(directory: &Path) -> Result<(), OpenError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(OpenError::io("syncing the directory", directory))
}

/// Takes the lock; it is released when the file is closed, also by a crash.
fn lock(path: &Path) -> Result<File, OpenError> {
    let file_path = path.join("LOCK");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(private::FILE_MODE)
        .open(&file_path)
        .map_err(OpenError::io("opening the lock file", &file_path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message; the lock itself is what counts.
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim().to_owned();
            let holder = (!holder.is_empty()).then_some(holder);
            return Err(OpenError::Locked {
                path: path.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(source)) => {
            return Err(OpenError::io("locking", &file_path)(source));
        }
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(OpenError::io("writing the lock file", &file_path))?;
    Ok(file)
}

fn check_format(path: &Path) -> Result<(), OpenError> {
    let file_path = path.join("FORMAT");
    let text = match fs::read_to_string(&file_path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make_format(path),
        Err(error) => return Err(OpenError::io("reading", &file_path)(error)),
    };
    let version = text
        .strip_prefix(FORMAT_PREFIX)
        .and_then(|version| version.trim().parse().ok());
    match version {
        Some(found) if found > FORMAT_VERSION => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: FORMAT_VERSION,
        }),
        Some(1..) => Ok(()),
        _ => {
            let reason = format!(
                "its FORMAT file says {:?}",
                text.chars().take(40).collect::<String>()
            );
            Err(OpenError::NotAStore {
                path: path.to_owned(),
                reason,
            })
        }
    }
}

/// Order: the version is written before the database, so a database without one is not ours.
fn make_format(path: &Path) -> Result<(), OpenError> {
    if database_path(path).exists() {
        let reason = "it has a db directory but no FORMAT file".to_owned();
        return Err(OpenError::NotAStore {
            path: path.to_owned(),
            reason,
        });
    }
    let (new, file_path) = (path.join("FORMAT.new"), path.join("FORMAT"));
    let written = private::create(&new).and_then(|mut file| {
        writeln!(file, "{FORMAT_PREFIX}{FORMAT_VERSION}")?;
        file.sync_all()
    });
    written.map_err(OpenError::io("writing", &new))?;
    fs::rename(&new, &file_path).map_err(OpenError::io("making", &file_path))?;
    sync(path)
}
