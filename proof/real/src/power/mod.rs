//! Loss of power: a disk that forgets what was not synced, for any program to keep its files on.
//!
//! [`disk`] is the disk; with the feature `power` the module `fuse` makes a file system of it, by
//! `/dev/fuse`, and `control` lets whoever kills the program on it say when the power fails.

#[cfg(feature = "power")]
mod control;
pub mod disk;
#[cfg(feature = "power")]
mod fuse;

#[cfg(feature = "power")]
pub use self::control::{Report, run};
