//! What waits to be written to a server, over the breaks of a connection.

use std::collections::VecDeque;

/// Most bytes of publications that wait. Beyond, they are refused: their receivers see a hole.
/// Source: specification of the cluster, section 3.7.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request that has waited longer for a connection is not sent: whoever made it has given up.
/// In milliseconds.
pub const REQUEST_AGE_MS_MAX: u64 = 5_000;

/// Written bytes are removed from the front when there are so many.
const COMPACT_BYTES: usize = 256 * 1024;

/// Two lanes: what goes to the server that is connected, and publications that wait for one.
///
/// A connection that breaks takes its own words with it (subscriptions, pings), since they mean
/// nothing to the next. Publications that were not written whole wait for the next: a server does
/// nothing with a part, so that nothing is published twice.
#[derive(Debug, Default)]
pub struct Outbox {
    lane: Lane,
    /// Bytes of the first message of `lane` that are written already.
    begun: usize,
    held: Lane,
    /// Whether publications go to the connection.
    is_open: bool,
}

/// Bytes, and where messages end in them.
#[derive(Debug, Default)]
struct Lane {
    bytes: Vec<u8>,
    /// So many bytes at the front are done with.
    start: usize,
    /// Bound: by the bytes, as each message has some.
    marks: VecDeque<Mark>,
    /// Bytes of publications.
    published: usize,
    /// Messages that are none.
    controls: usize,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    len: usize,
    kind: Kind,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word between this client and this server.
    Control,
    /// A publication, with the length of its payload.
    Publication {
        /// In bytes.
        payload: usize,
        /// When it was handed in, if it wants an answer, in the host's milliseconds.
        asked_ms: Option<u64>,
    },
}

impl Kind {
    fn is_publication(self) -> bool {
        self != Self::Control
    }
}

/// The publications that wait take too much room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{QUEUE_BYTES_MAX} bytes wait to be written to the NATS server")]
pub struct Full;

impl Outbox {
    /// A word between this client and this server; `write` writes all of it or nothing.
    pub fn push_control<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lane.push(Kind::Control, write)
    }

    /// A publication, behind all that came before it; `write` writes all of it or nothing.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn push_publication<E>(
        &mut self,
        payload: usize,
        asked_ms: Option<u64>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let lane = if self.is_open {
            &mut self.lane
        } else {
            &mut self.held
        };
        lane.push(Kind::Publication { payload, asked_ms }, write)
    }

    /// Whether there is room for a publication of this length.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.queued() + bytes <= QUEUE_BYTES_MAX
    }

    /// Bytes of publications that wait.
    pub fn queued(&self) -> usize {
        self.lane.published + self.held.published
    }

    /// What is to be written now.
    pub fn output(&self) -> &[u8] {
        &self.lane.bytes[self.lane.start..]
    }

    /// So much of [`Outbox::output`] has been written.
    ///
    /// # Panics
    /// If that is more than there was.
    pub fn wrote(&mut self, count: usize) {
        let lane = &mut self.lane;
        assert!(
            count <= lane.bytes.len() - lane.start,
            "more was written than there was"
        );
        lane.start += count;
        self.begun += count;
        while let Some(first) = lane.marks.front()
            && self.begun >= first.len
        {
            self.begun -= first.len;
            lane.pop();
        }
        lane.compact(self.begun);
    }

    /// Leaves out, of what waits for a connection, what this server would not take and requests
    /// that are too old. Returns how many.
    pub fn forget_unsendable(&mut self, now_ms: u64, payload_max: usize) -> usize {
        let is_wanted = |mark: &Mark| match mark.kind {
            Kind::Control => false,
            Kind::Publication { payload, asked_ms } => {
                let waited_ms = asked_ms.map_or(0, |asked_ms| now_ms.saturating_sub(asked_ms));
                payload <= payload_max && waited_ms <= REQUEST_AGE_MS_MAX
            }
        };
        let before = self.held.marks.len();
        if !self.held.marks.iter().all(is_wanted) {
            let held = std::mem::take(&mut self.held);
            self.held.append_all(&held, held.start, is_wanted);
        }
        before - self.held.marks.len()
    }

    /// Publications go to the connection from here on, those that waited for one first.
    pub fn open(&mut self) {
        self.is_open = true;
        let held = std::mem::take(&mut self.held);
        self.lane.append_all(&held, held.start, |_| true);
    }

    /// Whether a word between this client and this server waits to be written.
    pub fn has_control(&self) -> bool {
        self.lane.controls > 0
    }

    /// The connection is gone: what was for it alone goes too, and publications that are not
    /// written whole wait for the next.
    pub fn close(&mut self) {
        self.is_open = false;
        let lane = std::mem::take(&mut self.lane);
        let later = std::mem::take(&mut self.held);
        let first = lane.start - self.begun;
        self.begun = 0;
        let is_publication = |mark: &Mark| mark.kind.is_publication();
        self.held.append_all(&lane, first, is_publication);
        self.held.append_all(&later, later.start, |_| true);
    }
}

impl Lane {
    fn push<E>(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        let written = write(&mut self.bytes);
        if written.is_err() {
            self.bytes.truncate(before);
            return written;
        }
        let len = self.bytes.len() - before;
        self.note(Mark { len, kind });
        written
    }

    /// Appends those messages of another lane that are wanted; its first one begins at `first`.
    fn append_all(&mut self, other: &Self, first: usize, is_wanted: impl Fn(&Mark) -> bool) {
        let mut at = first;
        for mark in &other.marks {
            if is_wanted(mark) {
                self.bytes
                    .extend_from_slice(&other.bytes[at..at + mark.len]);
                self.note(*mark);
            }
            at += mark.len;
        }
    }

    fn note(&mut self, mark: Mark) {
        if mark.len == 0 {
            return;
        }
        if mark.kind.is_publication() {
            self.published += mark.len;
        } else {
            self.controls += 1;
        }
        self.marks.push_back(mark);
    }

    fn pop(&mut self) {
        let Some(mark) = self.marks.pop_front() else {
            return;
        };
        if mark.kind.is_publication() {
            self.published -= mark.len;
        } else {
            self.controls -= 1;
        }
    }

    /// Removes what is done with, but for the beginning of a message that is not written whole.
    fn compact(&mut self, begun: usize) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > 4 * COMPACT_BYTES {
                self.bytes = Vec::new();
                self.marks.shrink_to_fit();
            }
            return;
        }
        let done = self.start - begun;
        if done > COMPACT_BYTES && done > self.bytes.len() / 2 {
            self.bytes.drain(..done);
            self.start = begun;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn control(outbox: &mut Outbox, text: &str) {
        let written = outbox.push_control(|out| {
            out.extend_from_slice(text.as_bytes());
            Ok::<_, Infallible>(())
        });
        assert_eq!(written, Ok(()));
    }

    fn publish_at(outbox: &mut Outbox, text: &str, asked_ms: Option<u64>) {
        let written = outbox.push_publication(text.len(), asked_ms, |out| {
            out.extend_from_slice(text.as_bytes());
            Ok::<_, Infallible>(())
        });
        assert_eq!(written, Ok(()));
    }

    fn publish(outbox: &mut Outbox, text: &str) {
        publish_at(outbox, text, None);
    }

    #[test]
    fn publications_wait_for_a_connection_behind_its_own_words() {
        let mut outbox = Outbox::default();
        publish(&mut outbox, "p1 ");
        control(&mut outbox, "connect ");
        assert_eq!(outbox.output(), b"connect ");
        publish(&mut outbox, "p2 ");
        control(&mut outbox, "sub ");
        outbox.open();
        publish(&mut outbox, "p3 ");
        assert_eq!(outbox.output(), b"connect sub p1 p2 p3 ");
        assert_eq!(outbox.queued(), 9);
    }

    /// Wherever a connection breaks, what follows on the next one makes it whole: no publication
    /// is missing that was not written whole, and none comes twice.
    #[test]
    fn a_break_at_any_byte_loses_and_doubles_nothing() {
        let texts = ["ping ", "pub1 ", "sub ", "pub22 ", "pub3 "];
        let whole = texts.concat();
        for at in 0..=whole.len() {
            for step in [1, 3, at.max(1)] {
                let mut outbox = Outbox::default();
                outbox.open();
                for text in texts {
                    if text.starts_with("pub") {
                        publish(&mut outbox, text);
                    } else {
                        control(&mut outbox, text);
                    }
                }
                let mut written = String::new();
                while written.len() < at {
                    let count = step.min(at - written.len());
                    written += std::str::from_utf8(&outbox.output()[..count]).expect("text");
                    outbox.wrote(count);
                }
                assert!(whole.starts_with(&written));
                outbox.close();
                publish(&mut outbox, "pub4 ");
                assert_eq!(outbox.output(), b"");
                outbox.open();
                let rest = String::from_utf8(outbox.output().to_vec()).expect("text");
                // Texts that were written whole end with their space.
                let heard = written.rsplit_once(' ').map_or("", |(heard, _)| heard);
                let heard = heard.split(' ').filter(|text| text.starts_with("pub"));
                let all: Vec<_> = heard.chain(rest.split_whitespace()).collect();
                assert_eq!(all, ["pub1", "pub22", "pub3", "pub4"], "a break at {at}");
                let bytes = outbox.output().len();
                outbox.wrote(bytes);
                assert_eq!(outbox.queued(), 0);
            }
        }
    }

    #[test]
    fn the_next_server_is_spared_what_it_would_not_take() {
        let mut outbox = Outbox::default();
        publish(&mut outbox, "large ");
        publish_at(&mut outbox, "old ", Some(1_000));
        publish_at(&mut outbox, "new ", Some(1_001));
        publish(&mut outbox, "p ");
        assert_eq!(outbox.forget_unsendable(1_001 + REQUEST_AGE_MS_MAX, 5), 2);
        outbox.open();
        assert_eq!(outbox.output(), b"new p ");
        assert_eq!(outbox.queued(), 6);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut outbox = Outbox::default();
        let text = "x".repeat(QUEUE_BYTES_MAX / 4);
        for open in [false, true] {
            if open {
                outbox.open();
            }
            publish(&mut outbox, &text);
            assert!(outbox.has_room(text.len()));
            publish(&mut outbox, &text);
        }
        assert!(!outbox.has_room(1));
        control(&mut outbox, "sub");
        outbox.wrote(text.len() + 1);
        assert!(outbox.has_room(text.len()) && !outbox.has_room(text.len() + 1));
        outbox.close();
        assert_eq!(outbox.queued(), 3 * text.len());
    }

    #[test]
    fn what_is_written_takes_no_room() {
        let mut outbox = Outbox::default();
        outbox.open();
        let text = "x".repeat(10_000);
        publish(&mut outbox, &text);
        for _ in 0..5_000 {
            publish(&mut outbox, &text);
            outbox.wrote(text.len());
        }
        assert_eq!(
            (outbox.queued(), outbox.output().len()),
            (text.len(), text.len())
        );
        assert!(outbox.lane.bytes.capacity() < 4 * COMPACT_BYTES);
    }
}
