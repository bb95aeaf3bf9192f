//! What a message states about itself: who sent it, its number, when it was due.

use crate::drivers::MARK;

/// Characters of a stamp after the mark.
const CHARS: usize = 32;

/// Shortest body that holds a stamp, in bytes.
pub(crate) const BODY_BYTES_MIN: usize = MARK.len() + CHARS;

/// The beginning of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Number of the sender within the run.
    pub(crate) sender: u32,
    /// Counted over all messages of the run, from 0; 32 bits.
    pub(crate) number: u32,
    /// When it was due, on the engine's clock.
    pub(crate) due_ns: u64,
}

impl Stamp {
    /// Writes a body of at least [`BODY_BYTES_MIN`] bytes, all of them printable.
    pub(crate) fn write(self, body: &mut Vec<u8>, bytes: usize) {
        body.clear();
        body.extend_from_slice(MARK);
        hex(body, u64::from(self.sender), 8);
        hex(body, u64::from(self.number), 8);
        hex(body, self.due_ns, 16);
        body.resize(bytes.max(BODY_BYTES_MIN), b'x');
    }

    /// Parses what follows the mark.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let text: &[u8; CHARS] = body.first_chunk()?;
        Some(Self {
            sender: unhex(&text[..8])? as u32,
            number: unhex(&text[8..16])? as u32,
            due_ns: unhex(&text[16..])?,
        })
    }
}

fn hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * digit) & 0xf) as usize]);
    }
}

fn unhex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let stamp = Stamp {
            sender: 7,
            number: u32::MAX,
            due_ns: 0x0123_4567_89ab_cdef,
        };
        let mut body = Vec::new();
        stamp.write(&mut body, 128);
        assert_eq!(body.len(), 128);
        assert_eq!(Stamp::read(&body[MARK.len()..]), Some(stamp));
        assert_eq!(Stamp::read(b"short"), None);
    }
}
