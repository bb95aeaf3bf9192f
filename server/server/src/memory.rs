//! How much memory the process uses and may use, and what its hubs are told of it (contract OVL-4).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidings_hub::Pressure;

/// Of what the machine or the container has, the part that the process may use, in percent.
const SHARE: u64 = 75;

/// Memory is short from this percentage of the ceiling on; below the second, it no longer is.
const HIGH: u64 = 80;
const HIGH_OVER: u64 = 76;

/// The same for disconnecting clients.
const CRITICAL: u64 = 95;
const CRITICAL_OVER: u64 = 90;

/// Lower bound of the ceiling, in bytes: an idle server with its caches needs about half of it.
pub const MEMORY_MIN: u64 = 64 << 20;

/// How often the process is measured while memory is plentiful, and while it is not. A measurement
/// takes about 20 µs.
const CALM: Duration = Duration::from_millis(100);
const TENSE: Duration = Duration::from_millis(10);

/// Peak bytes per byte read: the byte, the decoded message and the encoded frame.
const GROWTH: u64 = 4;

/// Bytes that a queued frame takes for each receiver: its entries in the outbox and in the
/// connection's queue, whose capacity is up to twice their length.
const QUEUED_BYTES: usize = 64;

/// What may be read in any case before the next measurement, in bytes.
const INTAKE_MIN: usize = 32 * 1024;

/// Clients are sent away when there is less room than this, or less than 5 % of the ceiling if that
/// is more. Memory is short when there is less than one and a half times as much. Sending away
/// takes memory, too: everybody else is told who has left. Bytes.
const ROOM_MIN: u64 = 20 << 20;

/// From this percentage of the ceiling on it is measured often.
const TENSE_FROM: u64 = 60;

/// How much memory a process may use by default: three quarters of the machine's, or of the
/// container's limit. `None` where the system does not say.
pub fn memory_max_default() -> Option<u64> {
    let bytes = memory_of_machine().into_iter().chain(container_limit());
    Some((bytes.min()? / 100 * SHARE).max(MEMORY_MIN))
}

/// What the process uses now of the machine's memory, in bytes, without what it has from files: the
/// system takes pages of the program's text back by itself when memory is short. `None` where the
/// system does not say.
pub fn memory_used() -> Option<u64> {
    bytes_of(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

/// Bytes that are allocated: less than what is used, since the C library cannot give back a page on
/// which one small object has outlived its neighbours. What is free there serves the next
/// allocations. Takes less than a millisecond. `None` where the C library does not say.
pub(crate) fn memory_allocated() -> Option<u64> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(
            unsafe_code,
            reason = "a function of the C library that takes nothing and asks nothing of its caller"
        )]
        // SAFETY: it may be called by any thread at any time.
        let heap = unsafe { libc::mallinfo2() };
        u64::try_from(heap.uordblks.saturating_add(heap.hblkhd)).ok()
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

/// Gives memory that was freed back to the system: the C library keeps most of it, so that what is
/// used could not be told from what was. Takes about a millisecond per 10 MB that are free, for
/// which threads that allocate wait.
pub(crate) fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "a function of the C library that takes a number and asks nothing of its caller"
    )]
    // SAFETY: it may be called by any thread at any time; the number is what it leaves at the top
    // of the heap.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn memory_of_machine() -> Option<u64> {
    bytes_of(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// A line such as `RssAnon:   1234 kB`.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The lowest limit of the control groups that the process is in.
fn container_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        // In a container the path may be the host's, where only its last parts, or nothing of it,
        // can be seen.
        let group = Path::new(path.trim_start_matches('/'));
        for above in group.ancestors() {
            let text = fs::read_to_string(Path::new(root).join(above).join(file));
            // "max" = none.
            limits.extend(text.ok().and_then(|text| text.trim().parse::<u64>().ok()));
        }
    }
    limits.into_iter().min()
}

/// Bytes that the hubs of a node may read before memory is measured again: however fast clients
/// are, and however late the measurement, what they send in between cannot take the process over
/// its ceiling. Touched once in a turn.
#[derive(Debug)]
pub(crate) struct Intake(AtomicUsize);

impl Default for Intake {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl Intake {
    /// What may still be read.
    pub(crate) fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// So many bytes were read, and so many frames queued: a short message to a large channel is
    /// little to read and much to keep.
    pub(crate) fn take(&self, bytes: usize, queued: usize) {
        let taken = bytes.saturating_add(queued * QUEUED_BYTES / GROWTH as usize);
        if taken > 0 {
            let less = |left: usize| Some(left.saturating_sub(taken));
            let _ = self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// So much may be read from now on.
    pub(crate) fn allow(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// Turns measurements into what hubs are told.
#[derive(Debug)]
pub(crate) struct Watch {
    max: u64,
    hubs: u64,
    last: Pressure,
}

impl Watch {
    /// A watch over so many hubs, which share what has to be freed.
    pub(crate) fn new(max: u64, hubs: u16) -> Self {
        Self {
            max,
            hubs: u64::from(hubs.max(1)),
            last: Pressure::None,
        }
    }

    /// When to measure next.
    pub(crate) fn interval(&self, used: u64) -> Duration {
        if self.is_tense(used) { TENSE } else { CALM }
    }

    /// Whether so much is used that what was freed should go back to the system.
    pub(crate) fn is_tense(&self, used: u64) -> bool {
        used * 100 >= self.max * TENSE_FROM || self.last != Pressure::None
    }

    /// Whether hubs were told that memory is short.
    pub(crate) fn is_short(&self) -> bool {
        self.last != Pressure::None
    }

    /// What may be read until then, in bytes. At the ceiling a little: clients must be able to
    /// confirm, and to be heard.
    pub(crate) fn intake(&self, used: u64) -> usize {
        let room = self.max.saturating_sub(used) / GROWTH;
        usize::try_from(room).unwrap_or(usize::MAX).max(INTAKE_MIN)
    }

    /// The level in bytes, which leaves some room where a percentage is next to nothing.
    fn level(&self, percent: u64) -> u64 {
        let room = ROOM_MIN + (CRITICAL - percent) * ROOM_MIN / (2 * (CRITICAL - HIGH));
        (self.max / 100 * percent).min(self.max.saturating_sub(room.min(self.max / 2)))
    }

    /// What each hub is to be told, if anything, when so many bytes are used and so many of them
    /// allocated. Memory that is used but not allocated serves the next login: it is no reason to
    /// refuse one.
    pub(crate) fn judge(&mut self, used: u64, allocated: u64) -> Option<Pressure> {
        let part = |percent: u64| self.level(percent);
        let excess_over = |percent: u64| {
            let bytes = used.saturating_sub(part(percent)).div_ceil(self.hubs);
            usize::try_from(bytes).unwrap_or(usize::MAX)
        };
        let was_high = self.last != Pressure::None;
        let was_critical = matches!(self.last, Pressure::Critical { .. });
        let now = if used >= part(CRITICAL) || was_critical && used >= part(CRITICAL_OVER) {
            Pressure::Critical {
                excess_bytes: excess_over(CRITICAL_OVER),
            }
        } else if allocated >= part(TENSE_FROM)
            && (used >= part(HIGH) || was_high && used >= part(HIGH_OVER))
        {
            Pressure::High {
                excess_bytes: excess_over(HIGH_OVER),
            }
        } else {
            Pressure::None
        };
        let is_news = std::mem::discriminant(&now) != std::mem::discriminant(&self.last);
        if is_news {
            tracing::warn!(used_bytes = used, max_bytes = self.max, pressure = ?now, "the pressure on memory has changed");
        }
        self.last = now;
        (is_news || now != Pressure::None).then_some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is used is allocated.
    fn judge(watch: &mut Watch, used: u64) -> Option<Pressure> {
        watch.judge(used, used)
    }

    #[test]
    fn the_levels_begin_and_end_where_the_contract_says() {
        let mb = 1_000_000;
        let mut watch = Watch::new(1_000 * mb, 2);
        assert_eq!(judge(&mut watch, 800 * mb - 1), None);
        let excess_bytes = 20 * mb as usize;
        assert_eq!(
            judge(&mut watch, 800 * mb),
            Some(Pressure::High { excess_bytes }),
            "each of two hubs frees a half of 4 %"
        );
        let excess_bytes = 25 * mb as usize;
        let critical = Pressure::Critical { excess_bytes };
        assert_eq!(judge(&mut watch, 950 * mb), Some(critical));
        assert!(matches!(
            judge(&mut watch, 900 * mb),
            Some(Pressure::Critical { excess_bytes: 0 })
        ));
        assert!(matches!(
            judge(&mut watch, 900 * mb - 1),
            Some(Pressure::High { .. })
        ));
        assert!(matches!(
            judge(&mut watch, 760 * mb),
            Some(Pressure::High { .. })
        ));
        assert_eq!(
            judge(&mut watch, 760 * mb - 1),
            Some(Pressure::None),
            "told once"
        );
        assert_eq!(judge(&mut watch, 760 * mb - 1), None);
    }

    #[test]
    fn a_small_ceiling_leaves_room_too() {
        let mib = 1 << 20;
        let mut watch = Watch::new(96 * mib, 1);
        assert!(matches!(
            judge(&mut watch, 86 * mib),
            Some(Pressure::Critical { .. })
        ));
        let mut watch = Watch::new(MEMORY_MIN, 1);
        assert_eq!(judge(&mut watch, MEMORY_MIN / 2 - 1), None, "idle");
    }

    #[test]
    fn memory_that_is_free_but_cannot_be_given_back_refuses_nobody() {
        let mb = 1_000_000;
        let mut watch = Watch::new(1_000 * mb, 1);
        assert!(matches!(
            watch.judge(900 * mb, 700 * mb),
            Some(Pressure::High { .. })
        ));
        assert_eq!(watch.judge(900 * mb, 100 * mb), Some(Pressure::None));
        // The ceiling holds for what is used, whatever is allocated.
        assert!(matches!(
            watch.judge(950 * mb, 100 * mb),
            Some(Pressure::Critical { .. })
        ));
    }

    #[test]
    fn what_may_be_read_is_a_part_of_the_room_and_never_nothing() {
        let watch = Watch::new(1 << 30, 2);
        let intake = Intake::default();
        intake.allow(watch.intake(1 << 29));
        assert_eq!(intake.left(), 1 << 27);
        intake.take(1 << 25, 1 << 21);
        assert_eq!(intake.left(), 1 << 26);
        intake.take(usize::MAX, 0);
        assert_eq!(intake.left(), 0);
        assert_eq!(watch.intake(2 << 30), INTAKE_MIN);
    }

    #[test]
    fn the_system_says_what_is_used_and_what_there_is() {
        let (used, max) = (memory_used(), memory_max_default());
        assert!(used.is_none_or(|used| used > 1 << 16), "{used:?}");
        assert!(max.is_none_or(|max| max >= MEMORY_MIN), "{max:?}");
        assert_eq!(
            bytes_of("A: 1 kB\nRssAnon:\t  12 kB\n", "RssAnon:"),
            Some(12_288)
        );
        assert_eq!(bytes_of("RssAnon: many\n", "RssAnon:"), None);
    }
}
