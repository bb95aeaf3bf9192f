//! Gives a new session what the former one had: attributes first, so that whoever sees the user
//! join can read them; then channels and watched users; only then the application's waiting calls,
//! so that a message to a channel finds it joined. Source: protocol 2.3, contract PRE-9.

use tidings_fault::fault;

use crate::call::Call;
use crate::calls::{Calls, PendingCall, Purpose};
use crate::replica::Replica;

/// Shortest wait before the machine repeats a call of its own, in milliseconds.
const OWN_RETRY_MS: u64 = 1_000;

/// The way from a lost session to a complete new one.
#[derive(Debug, Default)]
pub(crate) struct Restore {
    /// The application's calls have to wait.
    is_running: bool,
    /// The machine's own calls that the server asked to be made later, with their times in
    /// monotonic milliseconds. Bound: as the machine's own calls.
    later: Vec<(u64, PendingCall)>,
}

impl Restore {
    /// Whether the application's calls have to wait.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    /// A new session begins.
    pub(crate) fn begin(&mut self, calls: &mut Calls, replica: &mut Replica) {
        assert!(
            self.later.is_empty(),
            "calls of an ended session are repeated"
        );
        let mut attributes = replica.restore_attributes();
        if fault!(AttributesAreNotRestored) {
            attributes = None;
        }
        if let Some(call) = attributes {
            calls.add_own_first(Purpose::Restore, call);
        }
        for channel in replica.channels() {
            if fault!(ChannelsAreNotRestored) {
                break;
            }
            let channel = channel.clone();
            calls.add_own(Purpose::Restore, Call::Join { channel });
        }
        if let Some(call) = replica.restore_watched() {
            calls.add_own(Purpose::Restore, call);
        }
        self.is_running = true;
    }

    /// The session or the login has ended.
    pub(crate) fn drop_later(&mut self) {
        self.later.clear();
    }

    /// The login has ended.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// The server has refused a call of the machine for now, and said when it may succeed, in
    /// milliseconds; 0 = it did not say.
    pub(crate) fn again(&mut self, now_ms: u64, retry_after_ms: u64, call: PendingCall) {
        assert!(
            matches!(call.purpose, Purpose::Own | Purpose::Restore),
            "a call of the application is repeated: {:?}",
            call.purpose
        );
        let at_ms = now_ms + retry_after_ms.max(OWN_RETRY_MS);
        assert!(at_ms > now_ms, "a refused call is repeated at once");
        self.later.push((at_ms, call));
    }

    /// Queues what is due, and notes whether anything is left to restore.
    pub(crate) fn pump(&mut self, now_ms: u64, calls: &mut Calls) {
        let (due, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition::<Vec<_>, _>(|(at_ms, _)| *at_ms <= now_ms);
        self.later = later;
        assert!(
            self.deadline_ms().is_none_or(|at_ms| at_ms > now_ms),
            "a call is left behind"
        );
        for (_, PendingCall { call, purpose }) in due {
            calls.add_own(purpose, call);
        }
        if self.is_running {
            let mut later = self.later.iter();
            self.is_running = calls.has(Purpose::Restore)
                || later.any(|(_, call)| call.purpose == Purpose::Restore);
        }
    }

    /// When the next call is due, in monotonic milliseconds.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.later.iter().map(|(at_ms, _)| *at_ms).min()
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self, calls: &Calls) {
        for (_, later) in &self.later {
            assert!(
                matches!(later.purpose, Purpose::Own | Purpose::Restore),
                "a call of the application is repeated: {:?}",
                later.purpose
            );
            assert!(
                self.is_running || later.purpose != Purpose::Restore,
                "the restore is done, and a call of it is to be repeated"
            );
        }
        assert!(
            self.is_running || !calls.has(Purpose::Restore),
            "the restore is done, and a call of it is open"
        );
    }
}
