//! Who owns the files of a data directory.
//!
//! The service's user owns its data directory. A command run by root must leave nothing there that
//! this user cannot read.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown, lchown};
use std::path::{Path, PathBuf};

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether root owns it although this process could have changed its owner: no other owner was
/// found to give it to.
pub(crate) fn is_roots(path: &Path) -> bool {
    is_root() && fs::metadata(path).is_ok_and(|metadata| metadata.uid() == 0)
}

/// Gives a newly created file to the owner of its directory, if root created it.
pub(crate) fn settle_file(file: &fs::File, folder: &Path) -> io::Result<()> {
    if !is_root() {
        return Ok(());
    }
    let owner = fs::metadata(folder)?;
    std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// Gives everything in a directory that root owns to the directory's owner, if this process runs as
/// root.
pub(crate) fn settle(directory: &Path) -> io::Result<()> {
    let owner = fs::metadata(directory)?;
    if !is_root() || owner.uid() == 0 {
        return Ok(());
    }
    settle_below(directory, (owner.uid(), owner.gid()))
}

fn settle_below(directory: &Path, owner: (u32, u32)) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let path = entry.path();
        if metadata.uid() == 0 {
            // Changes a link itself, never its target.
            if metadata.is_symlink() {
                lchown(&path, Some(owner.0), Some(owner.1))?
            } else {
                chown(&path, Some(owner.0), Some(owner.1))?
            }
        }
        if metadata.is_dir() {
            settle_below(&path, owner)?;
        }
    }
    Ok(())
}

/// A file in the directory whose owner is not the directory's: the file, its owner and the
/// directory's owner.
pub(crate) fn strangers(directory: &Path) -> Option<((PathBuf, u32), u32)> {
    let owner = fs::metadata(directory).ok()?.uid();
    let found = find_stranger(directory, owner)?;
    Some((found, owner))
}

fn find_stranger(directory: &Path, owner: u32) -> Option<(PathBuf, u32)> {
    let entries = fs::read_dir(directory).ok()?;
    entries.flatten().find_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let path = entry.path();
        if metadata.uid() != owner {
            Some((path, metadata.uid()))
        } else if metadata.is_dir() {
            find_stranger(&path, owner)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_is_given_to_the_owner_of_the_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("db/keyspaces");
        fs::create_dir_all(&inner).expect("made");
        fs::write(inner.join("file"), "x").expect("written");
        assert_eq!(strangers(folder.path()), None);
        if !is_root() {
            return settle(folder.path()).expect("nothing to do");
        }
        chown(folder.path(), Some(12_345), Some(12_345)).expect("root may");
        assert!(strangers(folder.path()).is_some());
        settle(folder.path()).expect("settled");
        assert_eq!(strangers(folder.path()), None);
        let file = fs::metadata(inner.join("file")).expect("there");
        assert_eq!((file.uid(), file.gid()), (12_345, 12_345));
    }
}
