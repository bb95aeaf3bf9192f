//! What the system knows of the process: time, memory, files, disk.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use tidings_api::metrics::{Metric, Reading};
use tidings_store::embedded::{DiskReserve, Space};

use crate::clock::Clock;
use crate::memory::memory_used;

/// The file system that stored data are on.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) path: PathBuf,
    pub(crate) reserve: DiskReserve,
}

impl Disk {
    pub(super) fn read(&self, reading: &mut Reading) {
        // One that cannot be looked at is told by the store's state.
        let Ok(space) = Space::of(&self.path) else {
            return;
        };
        reading.add(Metric::DiskFreeBytes, &[], space.free_bytes);
        reading.add(Metric::DiskSizeBytes, &[], space.total_bytes);
        let reserve = self.reserve.bytes(space.total_bytes);
        reading.add(Metric::DiskReserveBytes, &[], reserve);
    }
}

pub(super) fn read(clock: &Clock, reading: &mut Reading) {
    reading.add(Metric::StartTimeSeconds, &[], clock.started_s());
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let spent = std::time::Duration::try_from(spent).unwrap_or_default();
    reading.add(Metric::CpuSeconds, &[], spent.as_secs_f64());
    reading.add_known(Metric::MemoryBytes, &[], memory_used());
    // Without this listing's own descriptor.
    let open = fs::read_dir("/proc/self/fd").map(|all| all.count().saturating_sub(1));
    reading.add_known(Metric::OpenFiles, &[], open.ok());
    let most = getrlimit(Resource::Nofile).current;
    reading.add_known(Metric::OpenFilesMax, &[], most);
}
