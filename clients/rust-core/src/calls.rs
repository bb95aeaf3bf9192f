//! Calls on their way: waiting for the link, or sent and without a reply.

use std::collections::{BTreeSet, VecDeque};

use tidings_fault::fault;
use tidings_wire::limits::{
    CALL_TIMEOUT_MS, CLIENT_QUEUE_BYTES_MAX, CLIENT_QUEUE_CALLS_MAX, REQUESTS_IN_FLIGHT_MAX,
};

use crate::call::Call;
use crate::error::CallError;
use crate::types::CallId;

/// Who waits for a call's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The application waits for it.
    Application {
        /// The application's name for it.
        id: CallId,
        /// When the application is told that it took too long, in monotonic milliseconds.
        deadline_ms: u64,
    },
    /// Nobody any more: the application has been told that time is up.
    Kept,
    /// Nobody any more: the application has left the channel since. The reply changes nothing.
    Overtaken,
    /// The machine, which restores a session; the application's calls wait behind it.
    Restore,
    /// The machine, for another purpose.
    Own,
}

/// A call, with whoever waits for its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingCall {
    pub(crate) call: Call,
    pub(crate) purpose: Purpose,
}

impl PendingCall {
    /// Whether it is a join of this channel.
    fn joins(&self, channel: &str) -> bool {
        matches!(&self.call, Call::Join { channel: joined } if joined == channel)
    }

    /// Whether the application waits for it under this name.
    fn is_of(&self, call: CallId) -> bool {
        matches!(self.purpose, Purpose::Application { id, .. } if id == call)
    }
}

/// What becomes of a call whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has been written to a connection, and may be executed.
    Sent,
    /// It has not, and is sent when the link is back.
    Kept,
    /// It has not, and never will be.
    Dropped,
}

/// Calls without a reply.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// The machine's own calls: before those of the application, also while these wait for a
    /// restore. Bound: a few for each channel, invitation and attribute write of the user.
    urgent: VecDeque<PendingCall>,
    /// The application's calls not yet written in this session. Bound: 1,000 calls, 4 MiB; on top
    /// of it, what an ended session hands back.
    queue: VecDeque<PendingCall>,
    queue_bytes: usize,
    /// Written and not answered, by rising number. Bound: 256.
    open: VecDeque<(u64, PendingCall)>,
    /// The number of the newest request of this session.
    last_cseq: u64,
    /// Deadlines of the application's calls, in monotonic milliseconds.
    timers: BTreeSet<(u64, CallId)>,
}

impl Calls {
    // ------------------------------------------------------------ on the way in

    /// Queues an application's call, unless the queue is full.
    pub(crate) fn add(&mut self, now_ms: u64, id: CallId, call: Call) -> Result<(), CallError> {
        self.has_room_for(&call)?;
        let deadline_ms = now_ms + CALL_TIMEOUT_MS;
        let is_new = self.timers.insert((deadline_ms, id));
        assert!(is_new, "call {id} is open already");
        let purpose = Purpose::Application { id, deadline_ms };
        self.queue_bytes += call.size_bytes();
        self.queue.push_back(PendingCall { call, purpose });
        Ok(())
    }

    fn has_room_for(&self, call: &Call) -> Result<(), CallError> {
        let bytes = self.queue_bytes + call.size_bytes();
        let has_room = self.queue.len() < CLIENT_QUEUE_CALLS_MAX && bytes <= CLIENT_QUEUE_BYTES_MAX;
        if has_room {
            return Ok(());
        }
        if fault!(WaitingCallsHaveNoBound) {
            return Ok(());
        }
        let text = format!(
            "not sent: {} calls of {} bytes wait for the link; at most {CLIENT_QUEUE_CALLS_MAX} calls \
             of {CLIENT_QUEUE_BYTES_MAX} bytes may",
            self.queue.len(),
            self.queue_bytes
        );
        Err(CallError::Unsent { text })
    }

    /// Queues the logout behind the application's calls; it is never refused.
    pub(crate) fn add_logout(&mut self) {
        let (call, purpose) = (Call::Logout, Purpose::Own);
        self.queue.push_back(PendingCall { call, purpose });
    }

    /// Queues a call of the machine, ahead of the application's.
    pub(crate) fn add_own(&mut self, purpose: Purpose, call: Call) {
        assert!(
            is_machines(purpose),
            "{purpose:?} goes ahead of the application's calls"
        );
        self.urgent.push_back(PendingCall { call, purpose });
    }

    /// Queues a call of the machine ahead of all others.
    pub(crate) fn add_own_first(&mut self, purpose: Purpose, call: Call) {
        assert!(is_machines(purpose), "{purpose:?} goes ahead of all calls");
        self.urgent.push_front(PendingCall { call, purpose });
    }

    // ------------------------------------------------------------ on the way out

    /// Numbers the next call to be sent; none when there is none or too many are open. It stays
    /// open, and its number with it, until its reply or the session's end.
    pub(crate) fn next(&mut self, is_restoring: bool) -> Option<(u64, &Call)> {
        if self.open.len() >= REQUESTS_IN_FLIGHT_MAX {
            return None;
        }
        let next = match self.urgent.pop_front() {
            Some(own) => own,
            None if is_restoring => return None,
            None => self.shift()?,
        };
        self.last_cseq += 1;
        let newest = self.open.back().map_or(0, |(cseq, _)| *cseq);
        assert!(newest < self.last_cseq, "numbers do not rise");
        assert!(
            !matches!(next.call, Call::Invitation(_)),
            "a call that the machine does itself is sent: {:?}",
            next.purpose
        );
        self.open.push_back((self.last_cseq, next));
        let (cseq, written) = self.open.back()?;
        Some((*cseq, &written.call))
    }

    fn shift(&mut self) -> Option<PendingCall> {
        let next = self.queue.pop_front()?;
        let bytes = next.call.size_bytes();
        assert!(
            self.queue_bytes >= bytes,
            "{bytes} bytes leave a queue of {}",
            self.queue_bytes
        );
        self.queue_bytes -= bytes;
        Some(next)
    }

    /// Takes the call that a reply belongs to.
    pub(crate) fn answered(&mut self, cseq: u64) -> Option<PendingCall> {
        let open = self.open.binary_search_by_key(&cseq, |(number, _)| *number);
        self.open.remove(open.ok()?).map(|(_, call)| call)
    }

    /// Written and unanswered calls with their numbers, in order.
    pub(crate) fn open(&self) -> impl Iterator<Item = (u64, &PendingCall)> {
        self.open.iter().map(|(cseq, call)| (*cseq, call))
    }

    /// Whether a call for this purpose of the machine is open or waits to be sent.
    pub(crate) fn has(&self, purpose: Purpose) -> bool {
        let mut own = self.urgent.iter();
        own.any(|call| call.purpose == purpose)
            || self.open().any(|(_, call)| call.purpose == purpose)
    }

    /// Nobody waits for this purpose any more. Returns the application's name of the call that has
    /// to be answered.
    pub(crate) fn settle(&mut self, purpose: Purpose) -> Option<CallId> {
        match purpose {
            Purpose::Application { id, deadline_ms } => {
                let was_open = self.timers.remove(&(deadline_ms, id));
                assert!(was_open, "call {id} is answered twice");
                Some(id)
            }
            Purpose::Kept | Purpose::Overtaken | Purpose::Restore | Purpose::Own => None,
        }
    }

    // ------------------------------------------------------------ leaves

    /// The application leaves a channel, which overtakes its joins of it: those that wait are
    /// dropped, those that were sent change nothing any more. Returns their names, with whether
    /// they were sent.
    pub(crate) fn overtake_joins(&mut self, channel: &str) -> Vec<(CallId, bool)> {
        let mut overtaken = vec![];
        for (_, held) in &mut self.open {
            if let (true, Purpose::Application { id, deadline_ms }) =
                (held.joins(channel), held.purpose)
            {
                held.purpose = Purpose::Overtaken;
                self.timers.remove(&(deadline_ms, id));
                overtaken.push((id, true));
            }
        }
        let (dropped, queue) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition::<VecDeque<_>, _>(|held| held.joins(channel));
        self.queue = queue;
        for held in dropped {
            self.queue_bytes -= held.call.size_bytes();
            if let Some(id) = self.settle(held.purpose) {
                overtaken.push((id, false));
            }
        }
        assert!(
            !self.queue.iter().any(|held| held.joins(channel)),
            "a join of a channel that is left waits"
        );
        overtaken
    }

    /// Whether a join of the channel was sent and has no reply.
    pub(crate) fn is_joining(&self, channel: &str) -> bool {
        self.open().any(|(_, held)| held.joins(channel))
    }

    /// Takes the leaves of a channel that wait to be sent.
    pub(crate) fn take_leaves(&mut self, channel: &str) -> Vec<PendingCall> {
        let leaves = |call: &Call| matches!(call, Call::Leave { channel: left } if left == channel);
        let (taken, queue) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition::<VecDeque<_>, _>(|held| leaves(&held.call));
        self.queue = queue;
        for held in &taken {
            self.queue_bytes -= held.call.size_bytes();
        }
        taken.into()
    }

    // ------------------------------------------------------------ endings

    /// The session has ended: takes what was written and not answered, in order.
    pub(crate) fn take_open(&mut self) -> Vec<PendingCall> {
        self.last_cseq = 0;
        self.open.drain(..).map(|(_, call)| call).collect()
    }

    /// Takes the machine's own calls.
    pub(crate) fn take_urgent(&mut self) -> VecDeque<PendingCall> {
        std::mem::take(&mut self.urgent)
    }

    /// Queues calls of an ended session again, in their order, before all others.
    pub(crate) fn requeue(&mut self, calls: Vec<PendingCall>) {
        assert!(
            self.open.is_empty(),
            "calls of a session that goes on are queued again"
        );
        for call in calls.into_iter().rev() {
            // Attribute writes go before the channels are joined again.
            if matches!(call.call, Call::WriteUserAttributes { .. }) {
                self.urgent.push_front(call);
            } else {
                self.queue_bytes += call.call.size_bytes();
                self.queue.push_front(call);
            }
        }
    }

    /// Takes a call whose time is up. Of one that was sent, the number stays open: the server
    /// counts it.
    pub(crate) fn expire(&mut self, now_ms: u64, is_live: bool) -> Option<(CallId, Fate)> {
        let (at_ms, id) = self.timers.first().copied()?;
        if at_ms > now_ms {
            return None;
        }
        self.timers.pop_first();
        let fate = self.abandon(id, is_live);
        assert!(
            is_live || fate != Fate::Kept || !self.queue.is_empty(),
            "call {id} is not kept"
        );
        Some((id, fate))
    }

    fn abandon(&mut self, id: CallId, is_live: bool) -> Fate {
        if let Some((_, sent)) = self.open.iter_mut().find(|(_, call)| call.is_of(id)) {
            sent.purpose = Purpose::Kept;
            return Fate::Sent;
        }
        self.urgent.retain(|call| !call.is_of(id));
        let Some(index) = self.queue.iter().position(|call| call.is_of(id)) else {
            // It was an attribute write of an ended session, dropped one line above.
            return Fate::Dropped;
        };
        if !is_live && self.queue[index].call.is_own_standing() {
            self.keep(index);
            return Fate::Kept;
        }
        if let Some(dropped) = self.queue.remove(index) {
            self.queue_bytes -= dropped.call.size_bytes();
        }
        Fate::Dropped
    }

    /// Keeps a call that nobody waits for any more, for the time when the link is back. A write of
    /// all attributes replaces earlier writes that are kept.
    fn keep(&mut self, index: usize) {
        assert!(
            self.queue[index].call.is_own_standing(),
            "a call that concerns others is kept"
        );
        self.queue[index].purpose = Purpose::Kept;
        if !self.queue[index].call.replaces_attributes() {
            return;
        }
        let mut at = 0;
        self.queue.retain(|held| {
            let is_earlier = at < index;
            at += 1;
            let is_write = matches!(held.call, Call::WriteUserAttributes { .. });
            let is_replaced = is_earlier && is_write && held.purpose == Purpose::Kept;
            if is_replaced {
                self.queue_bytes -= held.call.size_bytes();
            }
            !is_replaced
        });
    }

    /// When the next call's time is up, in monotonic milliseconds.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.timers.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// The login has ended: forgets everything. Returns the calls that the application waits for,
    /// in the order of their deadlines.
    pub(crate) fn clear(&mut self) -> Vec<CallId> {
        let timers = std::mem::take(self).timers;
        assert_eq!(self.queue_bytes, 0, "bytes of an empty queue");
        timers.into_iter().map(|(_, id)| id).collect()
    }

    // ------------------------------------------------------------ what must hold

    /// What must hold between inputs. Cost: O(n log n) for n calls.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        assert!(
            self.open.len() <= REQUESTS_IN_FLIGHT_MAX,
            "{} requests are open",
            self.open.len()
        );
        assert!(
            self.open
                .iter()
                .is_sorted_by(|(one, _), (other, _)| one < other),
            "open requests are not in the order of their numbers"
        );
        assert!(
            self.open
                .back()
                .is_none_or(|(cseq, _)| *cseq <= self.last_cseq),
            "a request was sent under a number above {}",
            self.last_cseq
        );
        let bytes: usize = self.queue.iter().map(|held| held.call.size_bytes()).sum();
        assert_eq!(bytes, self.queue_bytes, "bytes of the queue");
        assert!(
            self.queue
                .iter()
                .all(|held| held.purpose != Purpose::Restore),
            "a restoring call waits behind the application's"
        );
        let has_bound = !fault!(WaitingCallsHaveNoBound);
        // The application's, those that an ended session handed back, and a logout.
        let calls_max = CLIENT_QUEUE_CALLS_MAX + REQUESTS_IN_FLIGHT_MAX + 1;
        assert!(
            !has_bound || self.queue.len() <= calls_max,
            "{} calls wait",
            self.queue.len()
        );
        assert!(
            self.deadline_ms().is_none_or(|at_ms| at_ms > now_ms),
            "a call is overdue at {now_ms} ms: {:?}",
            self.timers.first()
        );
        assert!(
            self.queue
                .iter()
                .all(|held| !matches!(held.call, Call::InvitationWord(_))),
            "a word about an invitation waits behind the application's calls"
        );
        self.assert_timers();
    }

    /// Each call of the application has a timer, and each timer a call.
    fn assert_timers(&self) {
        let open = self.open.iter().map(|(_, held)| held);
        let all = open.chain(&self.urgent).chain(&self.queue);
        let mut waiting = 0;
        for held in all {
            if let Purpose::Application { id, deadline_ms } = held.purpose {
                waiting += 1;
                assert!(
                    self.timers.contains(&(deadline_ms, id)),
                    "call {id} has no timer"
                );
            }
        }
        assert_eq!(waiting, self.timers.len(), "calls with a timer");
    }
}

/// Whether a call is the machine's own.
fn is_machines(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Restore | Purpose::Own)
}
