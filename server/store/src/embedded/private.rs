//! Files and directories that are their owner's alone, whatever the umask of the process is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Rights of a file: its owner reads and writes it.
pub(super) const FILE_MODE: u32 = 0o600;

/// A new file, or one that is emptied.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.mode(FILE_MODE).open(path)
}

/// Makes a directory and those above it that are not there. One that is there keeps its rights.
pub(super) fn create_dir_all(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
