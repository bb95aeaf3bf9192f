//! Counts the numbered messages of a session and says when to confirm them.

use tidings_wire::limits::{CLIENT_CONFIRM_BYTES, CLIENT_CONFIRM_FRAMES, CLIENT_CONFIRM_WAIT_MS};

/// What a session has received, and what of it the server knows to have arrived.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    /// The highest server sequence processed.
    sseq: u64,
    /// The highest that the server was told.
    told: u64,
    /// Numbered messages since then. Bound: they are confirmed at `CLIENT_CONFIRM_FRAMES` unless
    /// the application is behind with its events; then the server's own bound holds.
    messages: usize,
    /// Bytes of these messages.
    bytes: usize,
    /// When the server has to be told at the latest, in monotonic milliseconds.
    deadline_ms: Option<u64>,
}

impl Confirmation {
    /// Counts a numbered message.
    pub(crate) fn count(&mut self, now_ms: u64, bytes: usize) {
        // A server that has skipped to the last number has none left: it must not make us panic.
        self.sseq = self.sseq.saturating_add(1);
        self.messages += 1;
        self.bytes += bytes;
        self.confirm_by(now_ms + CLIENT_CONFIRM_WAIT_MS);
        if self.messages >= CLIENT_CONFIRM_FRAMES || self.bytes >= CLIENT_CONFIRM_BYTES {
            self.confirm_by(now_ms);
        }
    }

    /// The next `count` numbers will never come.
    pub(crate) fn skip(&mut self, now_ms: u64, count: u64) {
        // The number is the server's: a wrong one must not make the client panic.
        self.sseq = self.sseq.saturating_add(count);
        self.confirm_by(now_ms + CLIENT_CONFIRM_WAIT_MS);
    }

    /// The server has to be told by this time; by now, if somebody waits for it.
    pub(crate) fn confirm_by(&mut self, at_ms: u64) {
        let earlier = self.deadline_ms.map_or(at_ms, |other| other.min(at_ms));
        assert!(earlier <= at_ms, "a confirmation is put off");
        self.deadline_ms = Some(earlier);
    }

    /// When the server has to be told, in monotonic milliseconds.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// Whether the server has to be told now.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.deadline_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// The number for the frame that is written now; 0 when there is nothing new.
    pub(crate) fn take(&mut self) -> u64 {
        let is_new = self.sseq > self.told;
        self.said();
        assert_eq!(self.told, self.sseq, "something is left to confirm");
        if is_new { self.sseq } else { 0 }
    }

    /// The number that a resume states: everything processed, confirmed or not.
    pub(crate) fn sseq(&self) -> u64 {
        self.sseq
    }

    /// The server knows everything that was processed, as after a resume.
    pub(crate) fn said(&mut self) {
        self.told = self.sseq;
        self.messages = 0;
        self.bytes = 0;
        self.deadline_ms = None;
    }

    /// A session begins, or has ended: nothing is received and nothing confirmed.
    pub(crate) fn begin_session(&mut self) {
        *self = Self::default();
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self) {
        assert!(
            self.told <= self.sseq,
            "confirmed {} of {} messages",
            self.told,
            self.sseq
        );
        assert!(
            self.messages as u64 <= self.sseq - self.told || self.sseq == u64::MAX,
            "{} messages are unconfirmed, of {} after {}",
            self.messages,
            self.sseq,
            self.told
        );
        assert!(
            self.messages > 0 || self.bytes == 0,
            "{} bytes of no message are unconfirmed",
            self.bytes
        );
        assert!(
            self.messages == 0 || self.deadline_ms.is_some(),
            "{} messages wait for a confirmation that nobody plans",
            self.messages
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_confirmed_by_time_by_number_and_by_size() {
        let mut confirm = Confirmation::default();
        confirm.count(100, 1);
        assert_eq!(confirm.deadline_ms(), Some(100 + CLIENT_CONFIRM_WAIT_MS));
        for _ in 1..CLIENT_CONFIRM_FRAMES {
            assert!(!confirm.is_due(101));
            confirm.count(101, 1);
        }
        assert!(confirm.is_due(101));
        assert_eq!(confirm.take(), CLIENT_CONFIRM_FRAMES as u64);
        assert_eq!((confirm.take(), confirm.deadline_ms()), (0, None));
        confirm.count(102, CLIENT_CONFIRM_BYTES - 1);
        assert!(!confirm.is_due(102));
        confirm.count(102, 1);
        assert!(confirm.is_due(102));
        confirm.assert_consistent();
    }

    #[test]
    fn a_server_that_skips_too_far_does_no_harm() {
        let mut confirm = Confirmation::default();
        confirm.skip(1, u64::MAX);
        confirm.skip(1, u64::MAX);
        confirm.count(1, 1);
        assert_eq!(confirm.take(), u64::MAX);
        confirm.assert_consistent();
    }
}
