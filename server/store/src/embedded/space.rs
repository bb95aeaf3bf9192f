//! Free disk space, and how much of it is kept in reserve (contract CRA-6).

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Asking more often would cost a system call per commit; a second's worth of appends is far less
/// than any reserve.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// New data is refused when fewer bytes than this are free. Source: contract CRA-6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskReserve {
    /// 5 % of the file system, but at least 256 MiB; a quarter of one smaller than 1 GiB, because
    /// otherwise little would be left to use.
    #[default]
    Auto,
    /// A number of bytes.
    Bytes(u64),
}

impl DiskReserve {
    /// The reserve on a file system of the given size.
    pub fn bytes(self, total_bytes: u64) -> u64 {
        match self {
            DiskReserve::Auto => (total_bytes / 20).max((256 << 20).min(total_bytes / 4)),
            DiskReserve::Bytes(bytes) => bytes,
        }
    }
}

/// Free space and size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still use.
    pub free_bytes: u64,
    /// Size of the file system, in bytes.
    pub total_bytes: u64,
}

impl Space {
    /// The space of the file system that a path is on.
    ///
    /// # Errors
    /// If the path does not exist or may not be inspected.
    pub fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

pub(super) type Probe = Box<dyn FnMut() -> io::Result<Space> + Send>;

/// Watches the free space.
pub(super) struct SpaceWatch {
    reserve: DiskReserve,
    probe: Probe,
    /// When to measure next; the first call always measures.
    next_look: Option<Instant>,
    missing: Option<(u64, u64)>,
}

impl SpaceWatch {
    pub(super) fn new(path: PathBuf, reserve: DiskReserve) -> Self {
        let probe = Box::new(move || Space::of(&path));
        Self {
            reserve,
            probe,
            next_look: None,
            missing: None,
        }
    }

    pub(super) fn set_probe(&mut self, probe: Probe) {
        self.probe = probe;
        self.next_look = None;
    }

    /// Free bytes and reserve, if less than the reserve is free. Measures once a second.
    pub(super) fn missing(&mut self) -> Option<(u64, u64)> {
        let now = Instant::now();
        if self.next_look.is_none_or(|next_look| now >= next_look) {
            self.next_look = Some(now + PROBE_INTERVAL);
            // Some file systems do not report free space; there, only a failing write shows that
            // the disk is full.
            if let Ok(Space {
                free_bytes,
                total_bytes,
            }) = (self.probe)()
            {
                let reserve_bytes = self.reserve.bytes(total_bytes);
                self.missing = (free_bytes < reserve_bytes).then_some((free_bytes, reserve_bytes));
            }
        }
        self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_the_larger_of_both_but_leaves_most_of_a_small_disk() {
        assert_eq!(DiskReserve::Auto.bytes(100 << 30), 5 << 30);
        assert_eq!(DiskReserve::Auto.bytes(2 << 30), 256 << 20);
        assert_eq!(DiskReserve::Auto.bytes(512 << 20), 128 << 20);
        assert_eq!(DiskReserve::Bytes(7).bytes(1 << 40), 7);
    }

    #[test]
    fn the_file_system_tells_its_space() {
        let mut watch = SpaceWatch::new(std::env::temp_dir(), DiskReserve::Bytes(u64::MAX));
        let (free_bytes, reserve_bytes) = watch.missing().unwrap();
        assert!(free_bytes > 0 && reserve_bytes == u64::MAX);
    }
}
