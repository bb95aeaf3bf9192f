//! Whether this node should get traffic, and everything that is wrong with it: `/readyz`,
//! `/healthz`, `tidings_trouble`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tidings_hub::Time;
use tidings_store::Access;

use crate::clock::Clock;
use crate::cluster::Membership;

/// A hub that has had no turn for so long is stuck, in milliseconds: an idle one has one each
/// second, and the longest turns under load take some hundred milliseconds.
const STUCK_MS: u64 = 10_000;

/// Further apart than this, wall and monotonic clock do not agree, in milliseconds. Source:
/// contract CRA-7.
const APART_MS: u64 = 60_000;

/// A jump of the clock is told for so long, in milliseconds: as long as nothing is deleted for its
/// age. Source: contract CRA-7.
const JUMP_TOLD_MS: u64 = 600_000;

/// Between two beats that are looked at; drift is no jump. Milliseconds.
const AGREED_MS: u64 = 600_000;

/// The phase of the server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Ready,
    Draining,
}

/// Something that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Starting,
    Draining,
    StoreFailed,
    HubStuck,
    Isolated,
    DiskFull,
    MemoryShort,
    ClockJumped,
    CertificateEnded,
}

impl Reason {
    pub(crate) const ALL: [Self; 9] = [
        Self::Starting,
        Self::Draining,
        Self::StoreFailed,
        Self::HubStuck,
        Self::Isolated,
        Self::DiskFull,
        Self::MemoryShort,
        Self::ClockJumped,
        Self::CertificateEnded,
    ];

    /// As answers and metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::StoreFailed => "store_failed",
            Self::HubStuck => "hub_stuck",
            Self::Isolated => "isolated",
            Self::DiskFull => "disk_full",
            Self::MemoryShort => "memory_short",
            Self::ClockJumped => "clock_jumped",
            Self::CertificateEnded => "certificate_ended",
        }
    }

    /// Whether the node should get no traffic because of it. The others leave live messages
    /// working: no reason to send everybody elsewhere.
    pub(crate) fn is_serious(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Draining | Self::StoreFailed | Self::HubStuck | Self::Isolated
        )
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Starting => "Wait; the log tells how far it is.",
            Self::Draining => "Send traffic to another server, or wait until it is back.",
            Self::StoreFailed => {
                "The log and the system's log tell which error the disk gave; mend it, then restart the server."
            }
            Self::HubStuck => {
                "See whether its thread (hub-N) has processor time and memory; if it goes on, restart the server."
            }
            Self::Isolated => {
                "See that the NATS servers run and that this machine reaches them: tidings cluster status."
            }
            Self::DiskFull => "Make space, or a larger disk; nothing has to be restarted.",
            Self::MemoryShort => {
                "Raise --memory-max if the machine has more memory, or bound apps with max_connections."
            }
            Self::ClockJumped => "See that a time service keeps the clock right: timedatectl.",
            Self::CertificateEnded => {
                "Renew it; the server reads the files by itself within seconds."
            }
        }
    }
}

/// Something that is wrong, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub(crate) reason: Reason,
    detail: String,
}

impl Trouble {
    /// A word for programs, such as `disk_full`.
    pub fn reason(&self) -> &'static str {
        self.reason.name()
    }

    /// Whether the server should get no traffic because of it.
    pub fn is_serious(&self) -> bool {
        self.reason.is_serious()
    }

    /// What is the matter, with values.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        self.reason.hint()
    }
}

/// The node's state, shared by all threads.
#[derive(Debug)]
pub(crate) struct Readiness {
    clock: Clock,
    phase: AtomicU8,
    store: Mutex<Access>,
    /// When each hub began its last turn, in monotonic milliseconds; 0 = it has had none.
    beats: Vec<AtomicU64>,
    is_memory_short: AtomicBool,
    /// When the TLS certificate ends, in Unix seconds; `i64::MAX` = there is none.
    certificate_end_s: AtomicI64,
    wall: Mutex<WallClock>,
    /// The node's place in its cluster; `None` = it is alone.
    membership: Option<Arc<Membership>>,
}

/// What is known of the system's clock.
#[derive(Debug, Clone, Copy, Default)]
struct WallClock {
    /// The last time at which both clocks agreed.
    agreed: Option<Time>,
    /// When it was set last, in monotonic milliseconds, and by how much.
    jump: Option<(u64, i64)>,
}

impl WallClock {
    fn look(&mut self, now: Time) {
        let agreed = *self.agreed.get_or_insert(now);
        let passed_ms = now.mono_ms.saturating_sub(agreed.mono_ms);
        let expected_ms = agreed.unix_ms.saturating_add(passed_ms);
        if now.unix_ms.abs_diff(expected_ms) > APART_MS {
            let by_ms = i64::try_from(now.unix_ms.abs_diff(expected_ms)).unwrap_or(i64::MAX);
            let is_ahead = now.unix_ms > expected_ms;
            self.jump = Some((now.mono_ms, if is_ahead { by_ms } else { -by_ms }));
            self.agreed = Some(now);
        } else if passed_ms > AGREED_MS {
            self.agreed = Some(now);
        }
    }
}

/// The contents of the answer to a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) is_good: bool,
    /// The body, an object of JSON.
    pub(crate) text: String,
}

impl Report {
    /// Any answer shows that the process is alive. Nothing else is told (contract SEC-10).
    pub(crate) fn lives() -> Self {
        Self {
            is_good: true,
            text: "{\"status\":\"ok\"}\n".to_owned(),
        }
    }
}

impl Readiness {
    /// Of a server with so many hubs, which is starting.
    pub(crate) fn new(clock: Clock, hubs: u16) -> Self {
        Self {
            clock,
            phase: AtomicU8::new(0),
            store: Mutex::default(),
            beats: (0..hubs).map(|_| AtomicU64::new(0)).collect(),
            is_memory_short: AtomicBool::new(false),
            certificate_end_s: AtomicI64::new(i64::MAX),
            wall: Mutex::default(),
            membership: None,
        }
    }

    /// The same of a node of a cluster.
    #[must_use]
    pub(crate) fn in_cluster(self, membership: Option<Arc<Membership>>) -> Self {
        Self { membership, ..self }
    }

    /// Whether the node should get traffic, and what is wrong, for `/readyz`.
    pub(crate) fn report(&self) -> Report {
        let troubles = self.troubles();
        let is_good = !troubles.iter().any(|trouble| trouble.reason.is_serious());
        let reasons: Vec<_> = troubles
            .iter()
            .map(|trouble| {
                json!({
                    "reason": trouble.reason.name(),
                    "is_serious": trouble.reason.is_serious(),
                    "detail": trouble.detail,
                    "hint": trouble.reason.hint(),
                })
            })
            .collect();
        let status = if is_good { "ready" } else { "not_ready" };
        let body = json!({ "status": status, "reasons": reasons });
        Report {
            is_good,
            text: format!("{body}\n"),
        }
    }

    /// Everything that is wrong, in the order of [`Reason::ALL`].
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        let now = self.clock.now();
        let mut troubles = Vec::new();
        let mut add = |reason, detail: String| troubles.push(Trouble { reason, detail });
        match self.phase() {
            Phase::Starting => add(Reason::Starting, "the server is starting".into()),
            Phase::Draining => {
                add(Reason::Draining, "clients are being disconnected".into());
            }
            Phase::Ready => {}
        }
        let store = self.store();
        if let Access::ReadOnly { reason } = &store {
            let detail = format!("the store is read-only since a write failed: {reason}");
            add(Reason::StoreFailed, detail);
        }
        if let Some((hub, ms)) = self.stuck_hub(now) {
            let detail = format!("hub {hub} has had no turn for {} s", ms / 1_000);
            add(Reason::HubStuck, detail);
        }
        if let Some(detail) = self.membership.as_ref().and_then(|it| it.trouble()) {
            add(Reason::Isolated, detail);
        }
        if let Access::NoSpace {
            free_bytes,
            reserve_bytes,
        } = store
        {
            let detail = format!(
                "nothing new is stored: {free_bytes} bytes are free, {reserve_bytes} are kept in reserve"
            );
            add(Reason::DiskFull, detail);
        }
        if self.is_memory_short.load(Ordering::Relaxed) {
            let detail = "nobody else is let in, and buffers are dropped".into();
            add(Reason::MemoryShort, detail);
        }
        if let Some((at_ms, by_ms)) = self.look_at_clock(now) {
            let ago_s = now.mono_ms.saturating_sub(at_ms) / 1_000;
            let detail = format!("the clock was set by {} s, {ago_s} s ago", by_ms / 1_000);
            add(Reason::ClockJumped, detail);
        }
        let end_s = self.certificate_end_s.load(Ordering::Relaxed);
        let now_s = i64::try_from(now.unix_s()).unwrap_or(i64::MAX);
        if end_s <= now_s {
            let detail = format!("it ended {} s ago", now_s - end_s);
            add(Reason::CertificateEnded, detail);
        }
        troubles
    }

    /// The hub that has had no turn for longest, if that is too long.
    fn stuck_hub(&self, now: Time) -> Option<(usize, u64)> {
        if self.phase() != Phase::Ready {
            // Before, nothing turns; after, hubs end one by one.
            return None;
        }
        let silent = self.beats.iter().map(|beat| {
            let beat_ms = beat.load(Ordering::Relaxed);
            now.mono_ms.saturating_sub(beat_ms)
        });
        let longest = silent.enumerate().max_by_key(|(_, ms)| *ms)?;
        (longest.1 >= STUCK_MS).then_some(longest)
    }

    /// Looks whether the clock was set; returns when it was last, while that is told.
    pub(crate) fn look_at_clock(&self, now: Time) -> Option<(u64, i64)> {
        let mut wall = lock(&self.wall);
        wall.look(now);
        let jump = wall.jump;
        jump.filter(|(at_ms, _)| now.mono_ms.saturating_sub(*at_ms) < JUMP_TOLD_MS)
    }

    /// A hub begins a turn. Once in a turn.
    pub(crate) fn beat(&self, hub: usize, now_ms: u64) {
        if let Some(beat) = self.beats.get(hub) {
            beat.store(now_ms, Ordering::Relaxed);
        }
    }

    /// Whether memory is short, as it was just measured.
    pub(crate) fn note_memory(&self, is_short: bool) {
        self.is_memory_short.store(is_short, Ordering::Relaxed);
    }

    /// When the TLS certificate in use ends, in Unix seconds.
    pub(crate) fn note_certificate(&self, end_s: i64) {
        self.certificate_end_s.store(end_s, Ordering::Relaxed);
    }

    /// When the TLS certificate in use ends, in Unix seconds; `None` = there is none.
    pub(crate) fn certificate_end_s(&self) -> Option<i64> {
        let end_s = self.certificate_end_s.load(Ordering::Relaxed);
        (end_s < i64::MAX).then_some(end_s)
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Advances to a later phase, never back.
    pub(crate) fn advance(&self, phase: Phase) {
        if phase == Phase::Ready {
            // Whoever has had no turn yet is given as long as anybody.
            let now_ms = self.clock.now().mono_ms;
            for beat in &self.beats {
                beat.fetch_max(now_ms, Ordering::Relaxed);
            }
        }
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// What the store accepts at present.
    pub(crate) fn store(&self) -> Access {
        lock(&self.store).clone()
    }

    /// Sets what the store accepts from now on, and logs the change.
    pub(crate) fn note_store(&self, access: &Access) {
        let mut store = lock(&self.store);
        match (&*store, access) {
            (Access::Full, Access::Full) => {}
            (_, Access::Full) => tracing::info!("the store accepts everything again"),
            (
                _,
                Access::NoSpace {
                    free_bytes,
                    reserve_bytes,
                },
            ) => tracing::warn!(
                free_bytes,
                reserve_bytes,
                "the disk is nearly full: nothing new is stored until there is space, deletions are carried out"
            ),
            (_, Access::ReadOnly { reason }) => tracing::error!(reason, "nothing is stored"),
        }
        *store = access.clone();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(readiness: &Readiness) -> Vec<&'static str> {
        let troubles = readiness.troubles();
        troubles.iter().map(|it| it.reason.name()).collect()
    }

    fn ready(hubs: u16) -> Readiness {
        let readiness = Readiness::new(Clock::start(), hubs);
        readiness.advance(Phase::Ready);
        readiness
    }

    #[test]
    fn a_server_is_not_ready_until_it_has_started_nor_once_it_drains() {
        let readiness = Readiness::new(Clock::start(), 1);
        assert_eq!(names(&readiness), ["starting"]);
        assert!(!readiness.report().is_good);
        readiness.advance(Phase::Ready);
        assert_eq!(
            readiness.report(),
            Report {
                is_good: true,
                text: "{\"reasons\":[],\"status\":\"ready\"}\n".into(),
            }
        );
        readiness.advance(Phase::Draining);
        assert_eq!(names(&readiness), ["draining"]);
        assert!(readiness.report().text.contains("not_ready"));
    }

    #[test]
    fn what_leaves_live_messages_working_is_told_and_takes_no_traffic_away() {
        let readiness = ready(1);
        readiness.note_store(&Access::NoSpace {
            free_bytes: 5,
            reserve_bytes: 10,
        });
        readiness.note_memory(true);
        readiness.note_certificate(1);
        let report = readiness.report();
        assert!(report.is_good);
        assert_eq!(
            names(&readiness),
            ["disk_full", "memory_short", "certificate_ended"]
        );
        for part in ["5 bytes are free, 10", "\"is_serious\":false", "Make space"] {
            assert!(report.text.contains(part), "{part} in {}", report.text);
        }
        readiness.note_store(&Access::ReadOnly {
            reason: "no".into(),
        });
        readiness.note_memory(false);
        readiness.note_certificate(i64::MAX);
        assert_eq!(names(&readiness), ["store_failed"]);
        assert!(!readiness.report().is_good);
    }

    #[test]
    fn a_hub_without_a_turn_is_stuck() {
        let readiness = ready(2);
        let now = readiness.clock.now();
        let later = Time {
            mono_ms: now.mono_ms + STUCK_MS + 5_000,
            ..now
        };
        assert!(readiness.stuck_hub(now).is_none());
        readiness.beat(0, later.mono_ms);
        let (hub, ms) = readiness.stuck_hub(later).expect("hub 1 is stuck");
        assert_eq!(hub, 1);
        assert!(ms >= STUCK_MS);
        readiness.beat(1, later.mono_ms - 10);
        assert!(readiness.stuck_hub(later).is_none());
    }

    #[test]
    fn a_clock_that_is_set_is_told_for_a_while() {
        let readiness = ready(1);
        let at = |s: u64, unix_s: u64| Time {
            mono_ms: s * 1_000,
            unix_ms: unix_s * 1_000,
        };
        assert_eq!(readiness.look_at_clock(at(10, 10_000)), None);
        assert_eq!(readiness.look_at_clock(at(20, 10_030)), None, "drift");
        let jump = Some((30_000, -3_600_000));
        assert_eq!(readiness.look_at_clock(at(30, 10_020 - 3_600)), jump);
        assert_eq!(readiness.look_at_clock(at(600, 10_590 - 3_600)), jump);
        assert_eq!(readiness.look_at_clock(at(631, 10_621 - 3_600)), None);
    }
}
