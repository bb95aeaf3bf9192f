//! The clock of a node: read once per turn, given to the hub as a number.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidings_hub::Time;

/// One monotonic base for all hubs of the node, so that their times are comparable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    /// The machine's clock at `start`.
    base: Duration,
    /// Identifies the boot that it counts from; 0 = there is no such clock.
    boot: u64,
    /// The wall clock at `start`, in Unix seconds.
    started_s: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let machine = machine_clock();
        let (base, boot) = machine.unwrap_or_default();
        Self {
            start: Instant::now(),
            base,
            boot,
            started_s: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
        }
    }

    /// Identifies the boot that monotonic time counts from; 0 = it counts from the start of the
    /// process.
    pub(crate) fn boot(&self) -> u64 {
        self.boot
    }

    /// When it was started, in Unix seconds by the clock of then.
    pub(crate) fn started_s(&self) -> u64 {
        self.started_s
    }

    pub(crate) fn now(&self) -> Time {
        // A wall clock before 1970 is reported as 1970: from there, the hub's time only goes
        // forward.
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Time {
            mono_ms: millis(self.base + self.start.elapsed()),
            unix_ms: millis(unix),
        }
    }
}

/// The time since the machine booted, and an id of that boot: they measure spans over a restart of
/// the process, whatever the wall clock does. Known on Linux only.
fn machine_clock() -> Option<(Duration, u64)> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let uptime = Duration::try_from_secs_f64(seconds).ok()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = boot
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    let boot = u64::from_str_radix(&digits, 16).ok()?;
    Some((uptime, boot.max(1)))
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
