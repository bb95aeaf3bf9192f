//! Things that are due some time after they were put in.

use std::collections::VecDeque;

/// Things that are all due after the same time: first in, first due.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    after_ms: u64,
    /// (when it is due, what), in this order.
    waiting: VecDeque<(u64, T)>,
}

impl<T> Queue<T> {
    pub(crate) fn new(after_ms: u64) -> Self {
        let waiting = VecDeque::new();
        Self { after_ms, waiting }
    }

    pub(crate) fn push(&mut self, now_ms: u64, what: T) {
        self.waiting.push_back((now_ms + self.after_ms, what));
    }

    /// The next one that is due.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<T> {
        let is_due = self.due()? <= now_ms;
        is_due.then(|| self.waiting.pop_front().map(|(_, what)| what))?
    }

    /// The oldest, due or not.
    pub(crate) fn pop_oldest(&mut self) -> Option<T> {
        self.waiting.pop_front().map(|(_, what)| what)
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<u64> {
        self.waiting.front().map(|(due_ms, _)| *due_ms)
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}
