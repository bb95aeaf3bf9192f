//! The line that announces a message, and the status in its headers.

use std::ops::Range;

/// Digits of the longest length that is read. What is passed over takes no memory.
const LENGTH_DIGITS_MAX: usize = 10;

/// What a message's line says.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) sid: u64,
    pub(crate) subject: Range<usize>,
    pub(crate) reply: Option<Range<usize>>,
    pub(crate) header_bytes: usize,
    /// Headers and payload.
    pub(crate) bytes: usize,
}

impl Head {
    /// Reads `MSG <subject> <sid> [reply] <bytes>` or
    /// `HMSG <subject> <sid> [reply] <header bytes> <bytes>`.
    pub(crate) fn parse(line: &[u8], has_headers: bool) -> Option<Self> {
        let mut words = Words { line, at: 0 };
        words.next()?;
        let subject = words.next()?;
        let sid = number(&line[words.next()?])?;
        let third = words.next()?;
        let mut rest = [
            third,
            words.next().unwrap_or(0..0),
            words.next().unwrap_or(0..0),
        ];
        if words.next().is_some() {
            return None;
        }
        let count = rest.iter().take_while(|word| !word.is_empty()).count();
        let lengths = 1 + usize::from(has_headers);
        let reply = match count.checked_sub(lengths)? {
            0 => None,
            1 => {
                let reply = rest[0].clone();
                rest.rotate_left(1);
                Some(reply)
            }
            _ => return None,
        };
        let (header_bytes, bytes) = if has_headers {
            (
                length(&line[rest[0].clone()])?,
                length(&line[rest[1].clone()])?,
            )
        } else {
            (0, length(&line[rest[0].clone()])?)
        };
        (header_bytes <= bytes).then_some(Self {
            sid,
            subject,
            reply,
            header_bytes,
            bytes,
        })
    }
}

/// The words of a line, as places in it.
struct Words<'a> {
    line: &'a [u8],
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = &self.line[self.at..];
        let start = self.at + rest.iter().position(|byte| !is_space(*byte))?;
        let rest = &self.line[start..];
        let len = rest.iter().position(|byte| is_space(*byte));
        self.at = start + len.unwrap_or(rest.len());
        Some(start..self.at)
    }
}

pub(crate) fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn length(digits: &[u8]) -> Option<usize> {
    if digits.len() > LENGTH_DIGITS_MAX {
        return None;
    }
    usize::try_from(number(digits)?).ok()
}

/// The status in the first line of a message's headers. They are their publisher's: what is in no
/// known form has no status.
pub(crate) fn status_of(headers: &[u8]) -> Option<u16> {
    let rest = headers.strip_prefix(b"NATS/1.0")?;
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    let next = rest.get(4)?;
    if !(*next == b' ' || *next == b'\r') {
        return None;
    }
    u16::try_from(number(digits)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_in_the_first_line_of_headers() {
        assert_eq!(status_of(b"NATS/1.0 404 No Messages\r\n\r\n"), Some(404));
        assert_eq!(status_of(b"NATS/1.0 503\r\n\r\n"), Some(503));
        for none in [
            "",
            "NATS/1.0\r\n\r\n",
            "NATS/1.0 50\r\n",
            "NATS/1.0 5031\r\n",
            "NATS/1.0 +50\r\n",
        ] {
            assert_eq!(status_of(none.as_bytes()), None, "{none:?}");
        }
    }

    #[test]
    fn the_words_of_a_line_are_told_apart() {
        let line = b"HMSG  a.b\t7 r.1 12 20 ";
        let head = Head::parse(line, true).expect("a line");
        assert_eq!((head.sid, head.header_bytes, head.bytes), (7, 12, 20));
        assert_eq!(&line[head.subject], b"a.b");
        assert_eq!(head.reply.map(|reply| &line[reply]), Some(&b"r.1"[..]));
    }
}
