//! Checks the journals before the database reads them.
//!
//! The database ends its replay at the first group that it cannot read. That is right for a torn
//! end, which was never acknowledged, but not for damage with whole groups behind it, which would
//! be dropped silently; and it refuses to open when the end was torn so that a later page reached
//! the disk and an earlier one did not. This module distinguishes the two: a torn end is cut off,
//! anything else is an error (contract CRA-4).
//!
//! Format of a journal, version 3: groups of a start (tag 1, number of items, sequence number),
//! items (tag 2) or clears (tag 4), and an end (tag 3, XXH3 of the items, four fixed bytes). A
//! journal is extended with zeros in advance.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{OpenError, private};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const START_BYTES: usize = 13;
const TRAILER: [u8; 4] = *b"FJL\x03";

/// How the last journal may end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// Cut off in the middle of a group, by a crash.
    Torn,
    /// Cut off by a write that failed in this process. The unsynced part may never reach the disk
    /// although it can be read back now: a later crash would then leave a hole before groups that
    /// have been acknowledged since. Nothing that was written after the last acknowledged group may
    /// stay either, whole or not: it was answered as failed.
    Failed {
        /// The number of that group; those before it have been acknowledged.
        group: u64,
    },
}

/// Cuts off an unfinished group at the end of the last journal and saves the cut bytes as the file
/// `torn` in the store's directory, replacing an earlier one. After a failed write the journal is
/// rewritten.
///
/// # Errors
/// A journal is damaged before its end, or cannot be read, cut or written.
pub(super) fn mend(path: &Path, database: &Path, ending: Ending) -> Result<(), OpenError> {
    let journals = journals(database)?;
    let Some((last, sealed)) = journals.split_last() else {
        return Ok(());
    };
    for journal in sealed {
        let (bytes, intact) = read(journal)?;
        if intact < bytes.len() {
            return Err(damaged(journal, &bytes, intact));
        }
    }
    let (bytes, intact) = read(last)?;
    if intact < bytes.len() {
        if bytes[intact] != START || has_group_after(&bytes, intact + 1) {
            return Err(damaged(last, &bytes, intact));
        }
        let torn = path.join("torn");
        fs::write(&torn, &bytes[intact..]).map_err(OpenError::io("writing", &torn))?;
    }
    if let Ending::Failed { group } = ending {
        let good = groups_before(&bytes[..intact], group);
        let new = path.join("journal.new");
        return renew(last, &bytes[..good], &new, database)
            .map_err(OpenError::io("rewriting the journal", last));
    }
    if intact == bytes.len() {
        return Ok(());
    }
    let cut = OpenOptions::new().write(true).open(last).and_then(|file| {
        file.set_len(intact as u64)?;
        file.sync_all()
    });
    cut.map_err(OpenError::io("cutting the torn end of", last))
}

/// Replaces the journal by a file that is certainly on the disk.
fn renew(journal: &Path, bytes: &[u8], new: &Path, database: &Path) -> io::Result<()> {
    let mut file = private::create(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, journal)?;
    File::open(database)?.sync_all()
}

/// Journals in their order.
fn journals(database: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let entries = match fs::read_dir(database) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(OpenError::io("reading the directory", database)(error)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(OpenError::io("reading the directory", database))?
            .path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let number = stem.and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|end| end == "jnl")) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// A journal without the zeros at its end, and how many of its bytes form whole groups.
fn read(journal: &Path) -> Result<(Vec<u8>, usize), OpenError> {
    let mut bytes = Vec::new();
    let read =
        File::open(journal).and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes));
    read.map_err(OpenError::io("reading", journal))?;
    let mut intact = 0;
    while let Some(end) = group_end(&bytes, intact) {
        intact = end;
    }
    // The last bytes of a group are not zero, so this cuts nothing off a whole one.
    let written = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    bytes.truncate(written.max(intact));
    Ok((bytes, intact))
}

fn damaged(journal: &Path, bytes: &[u8], intact: usize) -> OpenError {
    OpenError::JournalDamaged {
        path: journal.to_owned(),
        offset: intact as u64,
        bytes_after: (bytes.len() - intact) as u64,
    }
}

/// Where the first group of this number or a later one begins, among whole groups.
fn groups_before(bytes: &[u8], group: u64) -> usize {
    let mut at = 0;
    while let Some(end) = group_end(bytes, at) {
        let number = bytes[at + 5..at + START_BYTES].try_into();
        if number
            .map(u64::from_le_bytes)
            .is_ok_and(|number| number >= group)
        {
            break;
        }
        at = end;
    }
    at
}

/// Whether a whole group begins anywhere from `from` on.
fn has_group_after(bytes: &[u8], from: usize) -> bool {
    (from..bytes.len()).any(|at| bytes[at] == START && group_end(bytes, at).is_some())
}

/// Where the group at `start` ends; `None` if there is no whole group.
fn group_end(bytes: &[u8], start: usize) -> Option<usize> {
    let header = bytes.get(start..start + START_BYTES)?;
    if header[0] != START {
        return None;
    }
    let items = u32::from_le_bytes(header[1..5].try_into().ok()?);
    let mut at = start + START_BYTES;
    let mut hasher = Xxh3::new();
    for _ in 0..items {
        let end = at.checked_add(item_bytes(bytes.get(at..)?)?)?;
        hasher.update(bytes.get(at..end)?);
        at = end;
    }
    let end = bytes.get(at..at + 13)?;
    let is_whole =
        end[0] == END && end[1..9] == hasher.digest().to_le_bytes() && end[9..] == TRAILER;
    is_whole.then_some(at + 13)
}

/// Length in bytes of the item at the start of `bytes`.
fn item_bytes(bytes: &[u8]) -> Option<usize> {
    match *bytes.first()? {
        // Tag, type, compression, keyspace (8), length of the key (2), of the value (4), as stored
        // (4).
        ITEM => {
            let key_bytes = u16::from_le_bytes(bytes.get(11..13)?.try_into().ok()?);
            let stored_bytes = u32::from_le_bytes(bytes.get(17..21)?.try_into().ok()?);
            21_usize
                .checked_add(usize::from(key_bytes))?
                .checked_add(stored_bytes as usize)
        }
        CLEAR => Some(9),
        _ => None,
    }
}
