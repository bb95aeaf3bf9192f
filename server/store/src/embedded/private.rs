//! Files and directories that only their owner can read, whatever the process's umask.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Mode of a file: its owner reads and writes it.
pub(super) const FILE_MODE: u32 = 0o600;

/// Creates a file, or truncates an existing one.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options.mode(FILE_MODE).open(path)
}

/// Creates a directory and its missing parents. An existing one keeps its mode.
pub(super) fn create_dir_all(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
