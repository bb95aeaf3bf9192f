//! A store as a text file, and back: what `tidings store backup` and `restore` do.
//!
//! One JSON object per line: a head with the versions, one line per record in key order (key and
//! record as they are stored, in base64; each record carries its own checksum), and an end with the
//! number of records and a checksum over all of them. A file without the end counts as cut off.

use std::io::{self, BufRead, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::backend::FjallBackend;
use super::snapshot::Source;
use super::{DiskReserve, EmbeddedEngine, FORMAT_VERSION, OpenError, Options};
use crate::kv::{Backend, ReadError, Writes};

/// Version of the backup format.
const BACKUP_VERSION: u64 = 1;

/// Bytes of records that are committed together when restoring.
const GROUP_BYTES: usize = 4 << 20;

/// Sorts after every key.
const KEYS_END: [u8; 1] = [0xff];

/// Why a backup could not be restored. Do not rely on anything in the directory then: remove it and
/// start over.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory could not be opened as a store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The directory already holds records.
    #[error("the store already holds records; restore a backup into an empty directory")]
    NotEmpty,
    /// The file could not be read, or the store could not be written.
    #[error("{action} failed: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The operating system's message.
        reason: String,
    },
    /// The file is not a backup, or not a complete one.
    #[error("line {line} of the backup: {reason}")]
    Malformed {
        /// Line of the file, counted from 1.
        line: u64,
        /// What is wrong with the line.
        reason: String,
    },
}

impl EmbeddedEngine {
    /// Writes every record of the store. Returns how many there are.
    ///
    /// # Errors
    /// If a record cannot be read, or the writer fails.
    pub fn backup(&self, writer: &mut dyn Write) -> io::Result<u64> {
        write(&self.store.backend, writer)
    }

    /// Restores a backup into a directory that holds no store yet. Returns the number of records.
    ///
    /// No disk space is kept in reserve here: on a nearly full disk the restore comes first, and
    /// space is freed later.
    ///
    /// # Errors
    /// [`RestoreError`]
    pub fn restore(path: &Path, reader: &mut dyn BufRead) -> Result<u64, RestoreError> {
        let options = Options {
            disk_reserve: DiskReserve::Bytes(0),
            ..Options::default()
        };
        let mut engine = Self::open(path, &options)?;
        let backend = &mut engine.store.backend;
        if Source::range(backend, &[], &KEYS_END).next().is_some() {
            return Err(RestoreError::NotEmpty);
        }
        read(backend, reader)
    }
}

pub(super) fn write(source: &dyn Source, writer: &mut dyn Write) -> io::Result<u64> {
    let head = json!({ "tidings_backup": BACKUP_VERSION, "store_format": FORMAT_VERSION });
    writeln!(writer, "{head}")?;
    let (mut records, mut sum) = (0, Xxh3::new());
    for pair in source.range(&[], &KEYS_END) {
        let (key, record) = pair.map_err(|error: ReadError| io::Error::other(error.to_string()))?;
        sum_up(&mut sum, &key, &record);
        records += 1;
        let line = json!({ "k": BASE64.encode(&key), "v": BASE64.encode(&record) });
        writeln!(writer, "{line}")?;
    }
    let end = json!({ "records": records, "sum": format!("{:016x}", sum.digest()) });
    writeln!(writer, "{end}")?;
    writer.flush()?;
    Ok(records)
}

fn sum_up(sum: &mut Xxh3, key: &[u8], record: &[u8]) {
    for part in [key, record] {
        sum.update(&(part.len() as u64).to_be_bytes());
        sum.update(part);
    }
}

fn read(backend: &mut FjallBackend, reader: &mut dyn BufRead) -> Result<u64, RestoreError> {
    let (mut records, mut sum) = (0_u64, Xxh3::new());
    let (mut group, mut group_bytes) = (Writes::new(), 0);
    let mut is_ended = false;
    for (line, text) in (1..).zip(reader.lines()) {
        let malformed = |reason: String| RestoreError::Malformed { line, reason };
        let text = text.map_err(|error| RestoreError::Io {
            action: "reading the backup",
            reason: error.to_string(),
        })?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if line == 1 {
            check_head(&value).map_err(malformed)?;
        } else if is_ended {
            return Err(malformed("the file continues after its end line".into()));
        } else if let Some(stated) = value.get("records") {
            let found = (Value::from(records), format!("{:016x}", sum.digest()));
            if (stated, value["sum"].as_str()) != (&found.0, Some(found.1.as_str())) {
                return Err(malformed(format!(
                    "the end states {stated} records with the checksum {}, but {records} with {} came before it",
                    value["sum"], found.1
                )));
            }
            is_ended = true;
        } else {
            let key = bytes_of(&value, "k").map_err(malformed)?;
            let record = bytes_of(&value, "v").map_err(malformed)?;
            sum_up(&mut sum, &key, &record);
            records += 1;
            group_bytes += key.len() + record.len();
            group.insert(key, Some(record));
            if group_bytes >= GROUP_BYTES {
                commit(backend, std::mem::take(&mut group))?;
                group_bytes = 0;
            }
        }
    }
    if !is_ended {
        return Err(RestoreError::Malformed {
            line: records + 2,
            reason: "the end is missing: the file was cut off".into(),
        });
    }
    commit(backend, group)?;
    Ok(records)
}

fn check_head(head: &Value) -> Result<(), String> {
    match (
        head["tidings_backup"].as_u64(),
        head["store_format"].as_u64(),
    ) {
        (Some(BACKUP_VERSION), Some(format)) if format <= u64::from(FORMAT_VERSION) => Ok(()),
        (Some(version), Some(format)) => Err(format!(
            "it has version {version} of store format {format}; this program knows {BACKUP_VERSION} and \
             {FORMAT_VERSION}, a newer one may know it"
        )),
        _ => Err("this is not the head of a backup".into()),
    }
}

fn bytes_of(value: &Value, name: &str) -> Result<Bytes, String> {
    let text = value[name]
        .as_str()
        .ok_or_else(|| format!("the record has no {name:?}"))?;
    let bytes = BASE64.decode(text).map_err(|error| error.to_string())?;
    Ok(bytes.into())
}

fn commit(backend: &mut FjallBackend, group: Writes) -> Result<(), RestoreError> {
    backend.commit(group).map_err(|fault| RestoreError::Io {
        action: "writing the store",
        reason: fault.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(path: &Path) -> Vec<u8> {
        let mut engine = EmbeddedEngine::open(path, &Options::default()).unwrap();
        let writes: Writes = (0..500_u32)
            .map(|number| {
                let key = Bytes::from(number.to_be_bytes().to_vec());
                (key.clone(), Some([&key[..], &[7; 20_000]].concat().into()))
            })
            .collect();
        engine.store.backend.commit(writes).unwrap();
        let mut backup = Vec::new();
        assert_eq!(engine.backup(&mut backup).unwrap(), 500);
        backup
    }

    #[test]
    fn a_restored_store_is_the_one_that_was_backed_up() {
        let folder = tempfile::tempdir().unwrap();
        let backup = filled(&folder.path().join("one"));
        let two = folder.path().join("two");
        assert_eq!(
            EmbeddedEngine::restore(&two, &mut &backup[..]).unwrap(),
            500
        );
        let engine = EmbeddedEngine::open(&two, &Options::default()).unwrap();
        let mut again = Vec::new();
        engine.backup(&mut again).unwrap();
        assert!(again == backup, "the restored store differs");
        drop(engine);
        let error = EmbeddedEngine::restore(&two, &mut &backup[..]).unwrap_err();
        assert!(matches!(error, RestoreError::NotEmpty), "{error}");
    }

    #[test]
    fn a_backup_that_was_cut_or_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let backup = filled(&folder.path().join("one"));
        let text = String::from_utf8(backup).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let without_end = lines[..lines.len() - 1].join("\n");
        let without_one = [&lines[..5], &lines[6..]].concat().join("\n");
        let other_head = text.replacen("\"tidings_backup\":1", "\"tidings_backup\":2", 1);
        let cases = [
            (without_end, "cut off"),
            (without_one, "499"),
            (other_head, "version 2"),
            ("{}".to_owned(), "not the head"),
            (text[..text.len() - 4].to_owned(), "line 502"),
        ];
        for (number, (case, reason)) in cases.into_iter().enumerate() {
            let path = folder.path().join(format!("case{number}"));
            let error = EmbeddedEngine::restore(&path, &mut case.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
