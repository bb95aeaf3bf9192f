//! Sessions on disk between two processes: written at the end of a drain, read once by the next
//! start (contract 4.5).
//!
//! A file of its own in the store's directory, readable by the server's user alone:
//!
//! | Bytes | |
//! | --- | --- |
//! | 8 | `TIDSESS1` |
//! | 4 | CRC-32 of the rest |
//! | 8 | when it was written, Unix milliseconds |
//! | 8 | the directory's number in its file system: sessions do not go with a copy |
//! | 4 | how many hubs there were |
//! | per hub | its length (8 bytes) and its snapshot |
//!
//! Numbers are little-endian.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use tidings_hub::Snapshot;
use tidings_wire::limits::RESUME_WINDOW_MS;

const FILE: &str = "sessions.snapshot";
const FILE_NEW: &str = "sessions.snapshot.new";
const MAGIC: &[u8; 8] = b"TIDSESS1";

/// Writes the snapshots of all hubs; when it returns they are on disk.
///
/// # Errors
/// What the file system says; there is no snapshot then.
pub(crate) fn write(directory: &Path, unix_ms: u64, hubs: &[Snapshot]) -> io::Result<()> {
    let mut body = Vec::new();
    body.extend_from_slice(&unix_ms.to_le_bytes());
    body.extend_from_slice(&fs::metadata(directory)?.ino().to_le_bytes());
    body.extend_from_slice(&(hubs.len() as u32).to_le_bytes());
    for hub in hubs {
        let bytes = hub.encode();
        body.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(&bytes);
    }
    let new = directory.join(FILE_NEW);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(MAGIC)?;
    file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    fs::rename(new, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}

/// Takes what the process before has left: it is gone from the disk before anybody is served from
/// it, so that it is never used twice.
pub(crate) fn take(directory: &Path, unix_ms: u64, hubs: u16) -> Option<Vec<Snapshot>> {
    let path = directory.join(FILE);
    let bytes = fs::read(&path);
    if matches!(&bytes, Err(error) if error.kind() == ErrorKind::NotFound) {
        return None;
    }
    // Also when it cannot be read: a later process must not find it, and sessions that were over
    // since.
    let removed = fs::remove_file(&path).and_then(|()| File::open(directory)?.sync_all());
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "the kept sessions cannot be removed");
        return None;
    }
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the kept sessions cannot be read");
            return None;
        }
    };
    let here = fs::metadata(directory).map_or(0, |directory| directory.ino());
    match parse(&bytes, unix_ms, here, hubs) {
        Ok(snapshots) => Some(snapshots),
        Err(reason) => {
            tracing::warn!(
                reason,
                "the kept sessions are not used; clients log in anew"
            );
            None
        }
    }
}

fn parse(
    bytes: &[u8],
    unix_ms: u64,
    directory: u64,
    hubs: u16,
) -> Result<Vec<Snapshot>, &'static str> {
    const CUT: &str = "the file is damaged";
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("another version has written the file")?;
    let (crc, body) = rest.split_first_chunk().ok_or(CUT)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(CUT);
    }
    let (written, body) = body.split_first_chunk().ok_or(CUT)?;
    let written_ms = u64::from_le_bytes(*written);
    // A clock that went back says nothing of the file's age.
    if !(written_ms..written_ms.saturating_add(RESUME_WINDOW_MS)).contains(&unix_ms) {
        return Err("they are older than the resume window");
    }
    let (written_in, body) = body.split_first_chunk().ok_or(CUT)?;
    if u64::from_le_bytes(*written_in) != directory {
        return Err("they were written in another directory");
    }
    let (count, mut body) = body.split_first_chunk().ok_or(CUT)?;
    if u32::from_le_bytes(*count) != u32::from(hubs) {
        return Err("there were another number of hubs");
    }
    let mut all = Vec::new();
    for _ in 0..hubs {
        let (length, after) = body.split_first_chunk().ok_or(CUT)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| CUT)?;
        let (snapshot, after) = after.split_at_checked(length).ok_or(CUT)?;
        all.push(snapshot);
        body = after;
    }
    Snapshot::decode_all(all).map_err(|_| "another version has written the file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tidings_hub::ids::HubId;
    use tidings_hub::{Apps, Hub, HubConfig};

    fn snapshots() -> Vec<Snapshot> {
        let hub = |number| {
            Hub::new(HubConfig {
                id: HubId::local(number),
                seed: [1; 32],
                apps: Arc::new(Apps::default()),
                server: "test".into(),
                drain_window_ms: 0,
                epoch_base: None,
            })
        };
        (0..2).map(|number| hub(number).snapshot()).collect()
    }

    #[test]
    fn what_is_kept_is_read_once() {
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path(), 5_000, &snapshots()).expect("written");
        assert_eq!(take(directory.path(), 9_000, 2), Some(snapshots()));
        assert_eq!(take(directory.path(), 9_000, 2), None);
    }

    #[test]
    fn what_is_old_damaged_or_of_another_shape_is_not_used() {
        for (unix_ms, hubs) in [(5_000 + RESUME_WINDOW_MS, 2), (4_999, 2), (6_000, 3)] {
            let directory = tempfile::tempdir().expect("a directory");
            write(directory.path(), 5_000, &snapshots()).expect("written");
            assert_eq!(take(directory.path(), unix_ms, hubs), None);
            assert_eq!(take(directory.path(), 6_000, 2), None, "and is gone");
        }
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path(), 5_000, &snapshots()).expect("written");
        let good = fs::read(directory.path().join(FILE)).expect("the file");
        let here = fs::metadata(directory.path()).expect("it is there").ino();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(parse(&bad, 6_000, here, 2).is_err(), "byte {at}");
            assert!(parse(&good[..at], 6_000, here, 2).is_err(), "cut at {at}");
        }
        assert!(parse(&good, 6_000, here, 2).is_ok());
    }

    #[test]
    fn a_copy_of_the_directory_has_not_the_sessions() {
        let [own, copy] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        write(own.path(), 5_000, &snapshots()).expect("written");
        fs::copy(own.path().join(FILE), copy.path().join(FILE)).expect("copied");
        assert_eq!(take(copy.path(), 6_000, 2), None);
        assert!(!copy.path().join(FILE).exists(), "it is gone all the same");
        assert_eq!(take(own.path(), 6_000, 2), Some(snapshots()));
    }
}
