//! Data waiting to be written to one connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;

use bytes::Bytes;

use crate::stream::Stream;

/// Most pieces in one vectored write. More would gain nothing: the system call is spread thin by
/// then.
const PIECES_PER_WRITE: usize = 64;

/// Frames up to this many bytes are copied together when several wait: a copy of so little is
/// cheaper than a reference of its own and a place in the vector of a write.
const COPIED_BYTES_MAX: usize = 512;

/// Frames are copied together up to about this many bytes; then the next piece begins.
const PIECE_BYTES: usize = 16 * 1024;

/// Most bytes of a turn's log.
const LOG_BYTES_MAX: usize = 4 << 20;

/// Bytes of memory that an idle hub's log may keep.
const LOG_BYTES_KEPT: usize = 64 << 10;

/// A queue may keep this many empty places while it is empty: none is allocated in a steady stream,
/// and an idle connection keeps less than 300 bytes.
const SPARE_PLACES: usize = 4;

/// Bytes that are written unchanged.
#[derive(Debug)]
enum Piece {
    /// A frame, shared with all its other receivers.
    Shared(Bytes),
    /// Small frames, one after the other.
    Copied(Vec<u8>),
    /// Frames in the log of this turn.
    Logged(Range<usize>),
}

impl Piece {
    fn bytes<'a>(&'a self, log: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Copied(bytes) => bytes,
            Self::Logged(range) => &log[range.clone()],
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Shared(bytes) => bytes.len(),
            Self::Copied(bytes) => bytes.len(),
            Self::Logged(range) => range.len(),
        }
    }
}

/// Frames of this turn that go to many, one after the other: what follows each other for a
/// connection is written from here as one piece. Nothing is copied, or counted, for a receiver.
///
/// Bound: [`LOG_BYTES_MAX`]; what does not fit goes its own way. It is emptied when all connections
/// have been written, which may be in a later turn while it has room; what could not be written of
/// it is copied before.
#[derive(Debug, Default)]
pub(crate) struct TurnLog {
    bytes: Vec<u8>,
    /// Where the last frame lies. A fan-out that reaches legacy clients as well adds its frame more
    /// than once.
    last: Range<usize>,
}

impl TurnLog {
    /// Adds a frame; `None` when there is no room for it.
    pub(crate) fn add(&mut self, frame: &[u8]) -> Option<Range<usize>> {
        if !frame.is_empty() && self.bytes.get(self.last.clone()) == Some(frame) {
            return Some(self.last.clone());
        }
        let start = self.bytes.len();
        let end = start + frame.len();
        if end > LOG_BYTES_MAX {
            return None;
        }
        self.bytes.extend_from_slice(frame);
        self.last = start..end;
        Some(start..end)
    }

    /// Whether another turn may add to it before it is emptied.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() <= LOG_BYTES_MAX / 2
    }

    /// Forgets everything. No connection may refer to it any longer.
    pub(crate) fn clear(&mut self) {
        // A busy turn's memory is released when a quiet one follows.
        if self.bytes.capacity() > LOG_BYTES_KEPT && self.bytes.len() < LOG_BYTES_KEPT / 2 {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.last = 0..0;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Frames that wait to be written. One alone, or a large one, is shared with its other receivers;
/// small ones that wait together are copied together.
///
/// Bound: the worker ends a connection that has more than `stall_bytes` waiting after a write; how
/// many frames a client may leave unconfirmed is the hub's to say.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that have been written.
    written: usize,
    /// Bytes that have not been written.
    bytes: usize,
}

/// How far a write has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Everything that was queued.
    All,
    /// As much as the socket takes for now.
    Blocked,
}

impl Outgoing {
    pub(crate) fn push(&mut self, frame: &Bytes) {
        self.bytes += frame.len();
        if frame.len() <= COPIED_BYTES_MAX {
            match self.pieces.back_mut() {
                Some(Piece::Copied(bytes)) if bytes.len() < PIECE_BYTES => {
                    bytes.extend_from_slice(frame);
                    return;
                }
                Some(Piece::Shared(last)) if last.len() <= COPIED_BYTES_MAX => {
                    // A second small one: from here on they are copied.
                    let mut bytes = Vec::with_capacity(4 * COPIED_BYTES_MAX);
                    bytes.extend_from_slice(last);
                    bytes.extend_from_slice(frame);
                    if let Some(last) = self.pieces.back_mut() {
                        *last = Piece::Copied(bytes);
                    }
                    return;
                }
                _ => {}
            }
        }
        self.pieces.push_back(Piece::Shared(frame.clone()));
    }

    /// Queues a frame of the log. The connection must be writable: what stays must not refer to the
    /// log.
    pub(crate) fn push_logged(&mut self, frame: Range<usize>) {
        self.bytes += frame.len();
        match self.pieces.back_mut() {
            Some(Piece::Logged(last)) if last.end == frame.start => last.end = frame.end,
            _ => self.pieces.push_back(Piece::Logged(frame)),
        }
    }

    /// Drops frames of which no byte has been written: the client will get them again, or learn
    /// that it has missed them.
    pub(crate) fn drop_unwritten(&mut self) {
        let begun = usize::from(self.written > 0);
        self.pieces.truncate(begun);
        self.pieces.shrink_to_fit();
        self.bytes = self.pieces.iter().map(Piece::len).sum::<usize>() - self.written;
    }

    /// Copies waiting frames out of the log.
    pub(crate) fn keep(&mut self, log: &TurnLog) {
        for piece in &mut self.pieces {
            if let Piece::Logged(range) = piece {
                *piece = Piece::Copied(log.bytes()[range.clone()].to_vec());
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes waiting to be written.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes as much as the stream takes. What it does not take is kept apart from the log.
    pub(crate) fn write_to(&mut self, stream: &mut Stream, log: &TurnLog) -> io::Result<Written> {
        let written = self.write_all(stream, log);
        if !self.pieces.is_empty() {
            self.keep(log);
        }
        written
    }

    fn write_all(&mut self, stream: &mut Stream, log: &TurnLog) -> io::Result<Written> {
        while let Some(front) = self.pieces.front() {
            let result = if self.pieces.len() == 1 {
                // The most frequent case has a cheaper system call.
                stream.write(&front.bytes(log.bytes())[self.written..])
            } else {
                self.write_several(stream, log.bytes())
            };
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Written::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.pieces.capacity() > SPARE_PLACES {
            self.pieces.shrink_to(SPARE_PLACES);
        }
        stream.flush()
    }

    fn write_several(&self, stream: &mut Stream, log: &[u8]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece.bytes(log));
            count += 1;
        }
        slices[0] = IoSlice::new(&self.pieces[0].bytes(log)[self.written..]);
        stream.write_vectored(&slices[..count])
    }

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        self.written += written;
        while let Some(front) = self.pieces.front() {
            let len = front.len();
            if self.written < len {
                return;
            }
            self.written -= len;
            self.pieces.pop_front();
        }
        debug_assert_eq!(self.written, 0, "more was written than there was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(outgoing: &Outgoing, log: &TurnLog) -> Vec<u8> {
        let pieces = outgoing.pieces.iter();
        let all: Vec<u8> = pieces
            .flat_map(|piece| piece.bytes(log.bytes()))
            .copied()
            .collect();
        all[outgoing.written..].to_vec()
    }

    #[test]
    fn what_is_written_in_part_goes_on_where_it_stopped() {
        let log = TurnLog::default();
        let mut outgoing = Outgoing::default();
        for frame in ["abc", "", "defg", "h"] {
            outgoing.push(&Bytes::from_static(frame.as_bytes()));
        }
        for (written, expected) in [(2, "cdefgh"), (1, "defgh"), (3, "gh"), (2, "")] {
            outgoing.advance(written);
            assert_eq!(left(&outgoing, &log), expected.as_bytes());
            assert_eq!(outgoing.bytes(), expected.len());
        }
        assert!(outgoing.is_empty());
    }

    #[test]
    fn small_and_large_frames_keep_their_order_through_partial_writes() {
        let mut log = TurnLog::default();
        let mut outgoing = Outgoing::default();
        let mut all = Vec::new();
        // Sizes around the bounds, own frames and those of a fan-out, in an order that mixes them.
        for number in 0..200_usize {
            let len = [1, 40, 512, 513, 20_000, 128, 512][number % 7];
            let frame = vec![number as u8; len];
            all.extend_from_slice(&frame);
            match number % 3 {
                0 => outgoing.push(&Bytes::from(frame)),
                _ => outgoing.push_logged(log.add(&frame).expect("room")),
            }
            if number % 50 == 49 {
                outgoing.keep(&log);
                log.clear();
            }
            if number % 5 == 0 {
                let some = outgoing.bytes().min(700);
                outgoing.advance(some);
                all.drain(..some);
            }
            assert_eq!(outgoing.bytes(), all.len());
        }
        assert!(left(&outgoing, &log) == all, "the bytes differ");
        outgoing.advance(all.len());
        assert!(outgoing.is_empty());
    }

    #[test]
    fn what_is_dropped_ends_at_the_end_of_a_frame() {
        let log = TurnLog::default();
        for (written, kept) in [(0, 0), (3, 20_000)] {
            let mut outgoing = Outgoing::default();
            for len in [20_000, 30_000, 10, 10] {
                outgoing.push(&Bytes::from(vec![7; len]));
            }
            outgoing.advance(written);
            outgoing.drop_unwritten();
            assert_eq!(left(&outgoing, &log).len(), kept - written.min(kept));
            assert_eq!(outgoing.bytes(), kept - written.min(kept));
            outgoing.push(&Bytes::from_static(b"close"));
            assert!(left(&outgoing, &log).ends_with(b"close"));
        }
    }

    #[test]
    fn frames_of_one_fan_out_after_another_are_one_piece() {
        let (mut log, mut outgoing) = (TurnLog::default(), Outgoing::default());
        for frame in [b"one", b"two"] {
            let range = log.add(frame).expect("room");
            outgoing.push_logged(range);
        }
        assert_eq!(outgoing.pieces.len(), 1);
        assert!(log.add(&vec![0; LOG_BYTES_MAX]).is_none());
    }
}
