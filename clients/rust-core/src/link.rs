//! The current connection and the way to the next one: phases, back-off, watchdog.

use tidings_fault::fault;
use tidings_wire::limits::{HEARTBEAT_MS, RECONNECT_QUIET_MS};

use crate::backoff::{Backoff, GOOD_CONNECTION_MS, Random};
use crate::states::Retry;
use crate::types::ConnectionId;

/// Time for one attempt of a login, in milliseconds: three fit into its 12 s. Larger: fewer tries;
/// smaller: a slow network never gets through.
const LOGIN_ATTEMPT_MS: u64 = 4_000;
/// Time for one attempt to reconnect, in milliseconds. It may be longer, since no call waits for
/// it.
const RECONNECT_ATTEMPT_MS: u64 = 10_000;
/// A silence longer than the heartbeat by this many milliseconds is a lost link: the time that the
/// server's ping has to arrive. Source: protocol 2.4.
const WATCHDOG_EXTRA_MS: u64 = 4_000;
/// A link that was heard within this many milliseconds needs no check after a wake-up.
const FRESH_MS: u64 = 1_000;
/// New sessions in a row after protocol errors; then the client gives up.
/// Source: protocol 2.5.
const PROTOCOL_ERRORS_MAX: u32 = 3;

/// The one connection that counts. Times are monotonic milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No connection, and none is planned.
    Down,
    /// No connection until the time of the next attempt.
    Waiting { retry_at_ms: u64 },
    /// A connection has been asked for.
    Opening {
        connection: ConnectionId,
        until_ms: u64,
    },
    /// It is open; `Login` or `Resume` is on its way.
    Greeting {
        connection: ConnectionId,
        until_ms: u64,
    },
    /// The server has accepted.
    Live {
        connection: ConnectionId,
        since_ms: u64,
        /// When the last bytes arrived.
        heard_ms: u64,
        /// When the answer to a check must have arrived.
        probe_until_ms: Option<u64>,
    },
}

/// The current connection and the plan for the next.
#[derive(Debug)]
pub(crate) struct Link {
    phase: Phase,
    /// The newest connection. Rises with each attempt; what comes from an older one is ignored.
    last_connection: ConnectionId,
    /// Silence after which the server pings, in milliseconds.
    heartbeat_ms: u64,
    /// A later login of the user in this program is on its way: no attempt until it is settled.
    is_held: bool,
    /// When the link that had been live was lost, in monotonic milliseconds.
    lost_since_ms: Option<u64>,
    /// The server has asked not to come back before this time, in monotonic milliseconds.
    not_before_ms: u64,
    /// The server's hint when to come back, given on the live connection, in milliseconds; 0 =
    /// none.
    hint_ms: u64,
    /// New sessions begun because of protocol errors since the last good connection.
    protocol_errors: u32,
    backoff: Backoff,
    random: Random,
}

impl Link {
    /// No connection. The seed decides the waits between attempts.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            phase: Phase::Down,
            last_connection: 0,
            heartbeat_ms: HEARTBEAT_MS,
            is_held: false,
            lost_since_ms: None,
            not_before_ms: 0,
            hint_ms: 0,
            protocol_errors: 0,
            backoff: Backoff::default(),
            random: Random::new(seed),
        }
    }

    // ------------------------------------------------------------ where it stands

    /// The connection, open or being opened.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        match self.phase {
            Phase::Down | Phase::Waiting { .. } => None,
            Phase::Opening { connection, .. }
            | Phase::Greeting { connection, .. }
            | Phase::Live { connection, .. } => Some(connection),
        }
    }

    /// The connection, if it is open.
    pub(crate) fn writable(&self) -> Option<ConnectionId> {
        match self.phase {
            Phase::Greeting { connection, .. } | Phase::Live { connection, .. } => Some(connection),
            Phase::Down | Phase::Waiting { .. } | Phase::Opening { .. } => None,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    pub(crate) fn is_greeting(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. })
    }

    /// Whether there is neither a connection nor a plan for one.
    pub(crate) fn is_down(&self) -> bool {
        self.phase == Phase::Down
    }

    // ------------------------------------------------------------ attempts

    /// Starts an attempt; returns the name of its connection.
    pub(crate) fn attempt(&mut self, now_ms: u64, is_login: bool) -> ConnectionId {
        assert!(self.connection().is_none(), "two connections at once");
        self.last_connection += 1;
        let connection = self.last_connection;
        assert!(connection > 0, "connections are named from 1");
        let attempt_ms = if is_login {
            LOGIN_ATTEMPT_MS
        } else {
            RECONNECT_ATTEMPT_MS
        };
        self.phase = Phase::Opening {
            connection,
            until_ms: now_ms + attempt_ms,
        };
        connection
    }

    /// A connection is open. False if it is not the one that counts.
    pub(crate) fn opened(&mut self, opened: ConnectionId) -> bool {
        match self.phase {
            Phase::Opening {
                connection,
                until_ms,
            } if connection == opened => {
                self.phase = Phase::Greeting {
                    connection,
                    until_ms,
                };
                true
            }
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Greeting { .. }
            | Phase::Live { .. } => false,
        }
    }

    /// A session was made, with this heartbeat in milliseconds.
    pub(crate) fn set_heartbeat(&mut self, heartbeat_ms: u64) {
        self.heartbeat_ms = heartbeat_ms;
    }

    /// The server has accepted a login or a resume.
    pub(crate) fn accept(&mut self, now_ms: u64) {
        assert!(self.is_greeting(), "{:?} is accepted", self.phase);
        let connection = self.connection();
        self.phase = Phase::Live {
            connection: connection.expect("what is accepted came on a connection"),
            since_ms: now_ms,
            heard_ms: now_ms,
            probe_until_ms: None,
        };
        self.lost_since_ms = None;
        self.hint_ms = 0;
    }

    /// Bytes have arrived.
    pub(crate) fn heard(&mut self, now_ms: u64) {
        if let Phase::Live {
            heard_ms,
            probe_until_ms,
            ..
        } = &mut self.phase
        {
            assert!(
                *heard_ms <= now_ms,
                "heard at {heard_ms} ms, before {now_ms} ms"
            );
            *heard_ms = now_ms;
            *probe_until_ms = None;
        }
    }

    /// The server says on a live connection when to come back, before it closes it.
    pub(crate) fn note_hint(&mut self, hint_ms: u64) {
        self.hint_ms = hint_ms;
    }

    /// The server's hint when to come back, in milliseconds; 0 = none. It counts once.
    pub(crate) fn take_hint(&mut self) -> u64 {
        std::mem::take(&mut self.hint_ms)
    }

    // ------------------------------------------------------------ losses

    /// The connection is lost. `since_ms` is when that happened, which may be noticed late.
    pub(crate) fn lose(&mut self, now_ms: u64, since_ms: u64) {
        assert!(since_ms <= now_ms, "the link is lost in the future");
        if let Phase::Live {
            since_ms: live_since_ms,
            ..
        } = self.phase
        {
            self.lost_since_ms = Some(since_ms);
            if now_ms.saturating_sub(live_since_ms) >= GOOD_CONNECTION_MS {
                self.backoff.reset();
                self.protocol_errors = 0;
            }
        }
        self.phase = Phase::Down;
    }

    /// The link serves no session any more, though it may be open: that counts as an interruption.
    pub(crate) fn lost_session(&mut self, now_ms: u64) {
        assert!(!self.is_live(), "a session is lost while it is served");
        self.lost_since_ms = self.lost_since_ms.or(Some(now_ms));
    }

    /// Counts a new session that is needed because of a protocol error. False if there have been
    /// too many in a row.
    pub(crate) fn may_begin_anew(&mut self) -> bool {
        self.protocol_errors = self.protocol_errors.saturating_add(1);
        self.protocol_errors <= PROTOCOL_ERRORS_MAX
    }

    /// Plans the next attempt.
    pub(crate) fn retry(&mut self, now_ms: u64, retry: Retry) {
        assert!(self.connection().is_none(), "a retry beside a connection");
        let wait_ms = match retry {
            Retry::AtOnce if self.backoff.is_fresh() => {
                self.backoff.count(now_ms);
                0
            }
            Retry::AtOnce => self.backoff.next_ms(now_ms, &mut self.random, 0),
            Retry::Backoff { at_least_ms } => {
                let wait_ms = self.backoff.next_ms(now_ms, &mut self.random, 0);
                wait_ms.max(at_least_ms)
            }
            Retry::Hint { ms } => self.backoff.next_ms(now_ms, &mut self.random, ms),
        };
        // A wake-up does not bring the client back before the time that the server has asked for.
        self.not_before_ms = now_ms
            + match retry {
                Retry::Hint { ms } => ms,
                Retry::Backoff { at_least_ms } => at_least_ms,
                Retry::AtOnce => 0,
            };
        assert!(
            now_ms + wait_ms >= self.not_before_ms,
            "a wait of {wait_ms} ms undercuts the server's {retry:?}"
        );
        self.wait(now_ms + wait_ms);
    }

    /// No connection until a time.
    pub(crate) fn wait(&mut self, retry_at_ms: u64) {
        assert!(
            !self.is_live(),
            "a live link is given up without being lost"
        );
        self.phase = Phase::Waiting { retry_at_ms };
    }

    /// No connection, and no plan for one.
    pub(crate) fn stop(&mut self) {
        self.phase = Phase::Down;
    }

    /// No attempt until [`Link::release`]. A connection that is live stays; any other must have
    /// been given up.
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Attempts may go on, the next one at once unless the server has asked to wait.
    pub(crate) fn release(&mut self, now_ms: u64) {
        self.is_held = false;
        self.cut_wait(now_ms);
    }

    fn cut_wait(&mut self, now_ms: u64) {
        if let Phase::Waiting { retry_at_ms } = &mut self.phase {
            *retry_at_ms = now_ms.max(self.not_before_ms);
        }
    }

    /// The login has ended: no connection, and no memory of failures.
    pub(crate) fn reset(&mut self) {
        self.stop();
        assert!(self.is_down(), "the link has a plan after its login");
        self.is_held = false;
        self.lost_since_ms = None;
        self.protocol_errors = 0;
        self.backoff.reset();
    }

    /// A wake-up: a wait is cut short. True if the server has to be asked for a sign of life.
    pub(crate) fn wake(&mut self, now_ms: u64) -> bool {
        self.cut_wait(now_ms);
        match &mut self.phase {
            Phase::Live {
                heard_ms,
                probe_until_ms,
                ..
            } if probe_until_ms.is_none() && now_ms.saturating_sub(*heard_ms) > FRESH_MS => {
                *probe_until_ms = Some(now_ms + WATCHDOG_EXTRA_MS);
                true
            }
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Greeting { .. }
            | Phase::Live { .. } => false,
        }
    }

    // ------------------------------------------------------------ time

    /// When the connection is given up unless something arrives, in monotonic milliseconds.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Down | Phase::Waiting { .. } => None,
            Phase::Opening { until_ms, .. } | Phase::Greeting { until_ms, .. } => Some(until_ms),
            Phase::Live {
                heard_ms,
                probe_until_ms,
                ..
            } => {
                let silent_ms = heard_ms + self.heartbeat_ms + WATCHDOG_EXTRA_MS;
                Some(probe_until_ms.map_or(silent_ms, |probe_ms| probe_ms.min(silent_ms)))
            }
        }
    }

    /// When the next attempt is planned, in monotonic milliseconds; none while it is held back.
    pub(crate) fn retry_at_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { retry_at_ms } if !self.is_held => Some(retry_at_ms),
            Phase::Waiting { .. }
            | Phase::Down
            | Phase::Opening { .. }
            | Phase::Greeting { .. }
            | Phase::Live { .. } => None,
        }
    }

    /// If the connection has not answered in time: since when it has been gone.
    pub(crate) fn silent_since_ms(&self, now_ms: u64) -> Option<u64> {
        self.deadline_ms().filter(|at_ms| *at_ms <= now_ms)?;
        if let Phase::Live {
            heard_ms,
            probe_until_ms,
            ..
        } = self.phase
        {
            // The ping was due after the heartbeat; an answer to a check at once.
            let silent_ms = heard_ms + self.heartbeat_ms;
            let checked_ms = probe_until_ms.map(|until_ms| until_ms - WATCHDOG_EXTRA_MS);
            Some(checked_ms.map_or(silent_ms, |at_ms| at_ms.min(silent_ms)))
        } else {
            Some(now_ms)
        }
    }

    /// When a lost link becomes visible to the application, in monotonic milliseconds.
    pub(crate) fn quiet_until_ms(&self) -> Option<u64> {
        let since_ms = self.lost_since_ms?;
        Some(since_ms + RECONNECT_QUIET_MS)
    }

    /// Whether the link was down long enough for the server to drop a session with this window.
    /// That counts from the client's last word, up to a heartbeat before the loss.
    pub(crate) fn is_window_over(&self, now_ms: u64, resume_window_ms: u64) -> bool {
        if fault!(LongAbsenceIsServerLoss) {
            return false;
        }
        self.lost_since_ms
            .is_some_and(|since_ms| now_ms + self.heartbeat_ms >= since_ms + resume_window_ms)
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        self.backoff.assert_consistent(now_ms);
        assert!(
            self.connection()
                .is_none_or(|connection| connection == self.last_connection),
            "an old connection counts: {:?} of {}",
            self.phase,
            self.last_connection
        );
        assert!(
            self.deadline_ms().is_none_or(|at_ms| at_ms > now_ms),
            "a connection is overdue at {now_ms} ms: {:?}",
            self.phase
        );
        assert!(
            self.lost_since_ms.is_none_or(|since_ms| since_ms <= now_ms),
            "the link is lost in the future: {:?}",
            self.lost_since_ms
        );
        if let Phase::Live {
            since_ms,
            heard_ms,
            probe_until_ms,
            ..
        } = self.phase
        {
            assert!(
                since_ms <= heard_ms,
                "heard before it was live: {:?}",
                self.phase
            );
            assert!(heard_ms <= now_ms, "heard in the future: {:?}", self.phase);
            assert!(
                probe_until_ms.is_none_or(|until_ms| until_ms <= now_ms + WATCHDOG_EXTRA_MS),
                "a check is answered too late: {:?}",
                self.phase
            );
        }
        let is_attempt = matches!(self.phase, Phase::Opening { .. } | Phase::Greeting { .. });
        assert!(
            !self.is_held || !is_attempt,
            "a held login tries: {:?}",
            self.phase
        );
        assert!(
            !self.is_live() || self.lost_since_ms.is_none(),
            "a live link is lost since {:?}",
            self.lost_since_ms
        );
    }
}
