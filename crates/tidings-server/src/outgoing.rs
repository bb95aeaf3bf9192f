//! What waits to be written to one connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

use bytes::{Buf as _, Bytes};

use crate::stream::Stream;

/// Most frames in one vectored write. More would gain nothing: the system call is spread thin by then.
const FRAMES_PER_WRITE: usize = 64;

/// A queue may keep this many empty places while it is empty: none is allocated in a steady stream, and an idle
/// connection keeps less than 300 bytes.
const SPARE_PLACES: usize = 8;

/// Frames that wait to be written, each shared with all its other receivers.
///
/// Bound: the worker ends a connection that has more than `replay_bytes_max` bytes or twice `replay_frames_max`
/// frames waiting after a write.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The first may have been written in part; what is left of it is a slice of the same allocation.
    frames: VecDeque<Bytes>,
    bytes: usize,
}

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Everything.
    All,
    /// As much as the socket takes for now.
    Blocked,
}

impl Outgoing {
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Writes as much as the stream takes.
    pub(crate) fn write_to(&mut self, stream: &mut Stream) -> io::Result<Written> {
        while let Some(front) = self.frames.front() {
            let result = if self.frames.len() == 1 {
                // The most frequent case has a cheaper system call.
                stream.write(front)
            } else {
                self.write_several(stream)
            };
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Written::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.frames.capacity() > SPARE_PLACES {
            self.frames.shrink_to(SPARE_PLACES);
        }
        stream.flush()
    }

    fn write_several(&self, stream: &mut Stream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
            count += 1;
        }
        stream.write_vectored(&slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(front) = self.frames.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.frames.pop_front();
        }
        debug_assert_eq!(written, 0, "more was written than there was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_part_goes_on_where_it_stopped() {
        let mut outgoing = Outgoing::default();
        for frame in ["abc", "", "defg", "h"] {
            outgoing.push(Bytes::from_static(frame.as_bytes()));
        }
        let left = |outgoing: &Outgoing| -> Vec<u8> {
            outgoing.frames.iter().flatten().copied().collect()
        };
        for (written, expected) in [(2, "cdefgh"), (1, "defgh"), (3, "gh"), (2, "")] {
            outgoing.advance(written);
            assert_eq!(left(&outgoing), expected.as_bytes());
            assert_eq!(outgoing.bytes(), expected.len());
        }
        assert!(outgoing.is_empty());
    }
}
