//! Deadlines of connections: one queue per kind, since all of a kind have the same length.

use std::collections::VecDeque;

use tidings_hub::ids::ConnectionId;

/// Deadlines of one kind, in the order in which they fall due.
///
/// Bound: connections that came to the kind within its length; an entry stays until it is due, also
/// if its connection has gone on.
#[derive(Debug)]
pub(crate) struct Deadlines {
    wait_ms: u64,
    due: VecDeque<(u64, ConnectionId)>,
}

impl Deadlines {
    pub(crate) fn new(wait_ms: u64) -> Self {
        Self {
            wait_ms,
            due: VecDeque::new(),
        }
    }

    /// Starts one, and says when it falls due. `now_ms` never goes back.
    pub(crate) fn start(&mut self, now_ms: u64, connection: ConnectionId) -> u64 {
        let due_ms = now_ms + self.wait_ms;
        self.due.push_back((due_ms, connection));
        due_ms
    }

    /// The next that is due, which may no longer concern its connection.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<ConnectionId> {
        let (due_ms, connection) = *self.due.front()?;
        if due_ms > now_ms {
            return None;
        }
        self.due.pop_front();
        Some(connection)
    }

    /// When to look again, in monotonic milliseconds.
    pub(crate) fn next(&self) -> Option<u64> {
        self.due.front().map(|(due_ms, _)| *due_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_fall_due_in_the_order_of_their_start() {
        let mut deadlines = Deadlines::new(100);
        assert_eq!(deadlines.start(5, ConnectionId(1)), 105);
        deadlines.start(5, ConnectionId(2));
        deadlines.start(50, ConnectionId(3));
        assert_eq!((deadlines.next(), deadlines.pop(104)), (Some(105), None));
        assert_eq!(deadlines.pop(105), Some(ConnectionId(1)));
        assert_eq!(deadlines.pop(149), Some(ConnectionId(2)));
        assert_eq!((deadlines.pop(149), deadlines.next()), (None, Some(150)));
    }
}
