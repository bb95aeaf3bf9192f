//! Bytes of a server to [`Item`]s, however the bytes are split.

use std::ops::Range;

use bytes::Bytes;

use crate::info::Info;

/// Longest line but for INFO, without its end, in bytes. Source: the server's own
/// `max_control_line`.
pub const LINE_BYTES_MAX: usize = 4 * 1024;

/// Longest line of an INFO, in bytes. Source: ours; a real one has about 500 and 25 per server.
pub const INFO_BYTES_MAX: usize = 64 * 1024;

/// Largest message that is taken whatever the server allows, its headers included, in bytes. A
/// larger one is passed over. Source: ours; the server's default is 1 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Digits of the longest length that is read. What is passed over takes no memory.
const LENGTH_DIGITS_MAX: usize = 10;

/// Something that a server has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// What it says of itself.
    Info(Box<Info>),
    /// A message for a subscription.
    Message(Message),
    /// A message that was larger than is taken, and was passed over.
    TooLarge {
        /// Which subscription it was for.
        sid: u64,
        /// Its length with its headers.
        bytes: usize,
    },
    /// It wants a PONG.
    Ping,
    /// The answer to a PING.
    Pong,
    /// It has done what it was told.
    Ok,
    /// It complains: its words, without quotes.
    Error(String),
}

/// A message for a subscription. Everything in it is one allocation, of no more than the message
/// and its line need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which subscription it is for.
    pub sid: u64,
    /// What it was published to.
    pub subject: Bytes,
    /// Where its sender wants the answer.
    pub reply: Option<Bytes>,
    /// The status in the first line of its headers: 503 = nobody responds. Whoever may publish can
    /// write one.
    pub status: Option<u16>,
    /// The payload, without headers.
    pub payload: Bytes,
}

/// What is not the protocol. The connection is of no more use: where the next item begins is
/// unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line begins with no word of the protocol.
    #[error("a line begins with {0:?}, which is no word of the NATS protocol")]
    Word(String),
    /// A line does not end.
    #[error("a line is longer than {0} bytes")]
    LineLength(usize),
    /// A line ends without CR before its LF.
    #[error("a line ends without a carriage return")]
    LineEnd,
    /// A message's line has too few or too many words, or no number where one must be.
    #[error("the line {0:?} announces no message")]
    MessageLine(String),
    /// A message is longer than its line says.
    #[error("a message does not end where its line says")]
    MessageEnd,
    /// An INFO is not in the right form.
    #[error("the server's INFO cannot be read: {0}")]
    Info(String),
}

/// Reads what a server sends. It keeps no more than the item that has begun.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    payload_max: usize,
}

#[derive(Debug)]
enum State {
    /// The beginning of a line. Bound: [`INFO_BYTES_MAX`].
    Line(Vec<u8>),
    Body(Body),
    /// So many bytes are to be passed over.
    Skip {
        sid: u64,
        bytes: usize,
        left: usize,
    },
}

/// A message that has begun.
#[derive(Debug)]
struct Body {
    head: Head,
    /// The line, then headers, payload and the end of the line as far as they have arrived.
    /// Bound: [`LINE_BYTES_MAX`] and [`PAYLOAD_BYTES_MAX`].
    frame: Vec<u8>,
    /// Where the headers begin: the line's length.
    start: usize,
}

/// What a message's line says.
#[derive(Debug)]
struct Head {
    sid: u64,
    subject: Range<usize>,
    reply: Option<Range<usize>>,
    header_bytes: usize,
    /// Headers and payload.
    bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            state: State::Line(Vec::new()),
            payload_max: PAYLOAD_BYTES_MAX,
        }
    }
}

impl Decoder {
    /// Passes over larger messages from here on, in bytes with headers; never takes more than
    /// [`PAYLOAD_BYTES_MAX`].
    pub fn set_payload_max(&mut self, bytes: usize) {
        self.payload_max = bytes.min(PAYLOAD_BYTES_MAX);
    }

    /// Reads on until an item is complete, and removes from `input` what was read; `None` = all was
    /// read. O(bytes read).
    ///
    /// # Errors
    /// [`ProtocolError`]; nothing may be read after that.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>, ProtocolError> {
        while !input.is_empty() {
            let item = match &mut self.state {
                State::Line(_) => self.read_line(input)?,
                State::Body(body) => {
                    if !body.read(input) {
                        return Ok(None);
                    }
                    self.end_body().map(Some)?
                }
                State::Skip { sid, bytes, left } => {
                    let count = (*left).min(input.len());
                    *input = &input[count..];
                    *left -= count;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let item = Item::TooLarge {
                        sid: *sid,
                        bytes: *bytes,
                    };
                    self.state = State::Line(Vec::new());
                    Some(item)
                }
            };
            if item.is_some() {
                return Ok(item);
            }
        }
        Ok(None)
    }

    /// Reads to the end of a line, if it is there.
    fn read_line(&mut self, input: &mut &[u8]) -> Result<Option<Item>, ProtocolError> {
        let State::Line(begun) = &mut self.state else {
            return Ok(None);
        };
        let max = line_max(begun, input);
        // The line and its two bytes of end.
        let room = (max + 2).saturating_sub(begun.len());
        let seen = &input[..room.min(input.len())];
        let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
            if seen.len() == room {
                return Err(ProtocolError::LineLength(max));
            }
            begun.extend_from_slice(seen);
            *input = &[];
            return Ok(None);
        };
        let (line, rest) = input.split_at(end + 1);
        *input = rest;
        if begun.is_empty() {
            return self.take_line(line, rest.len());
        }
        let mut whole = std::mem::take(begun);
        whole.extend_from_slice(line);
        self.take_line(&whole, rest.len())
    }

    /// Reads a line; so many bytes after it are there already.
    fn take_line(&mut self, line: &[u8], ready: usize) -> Result<Option<Item>, ProtocolError> {
        let line = line.strip_suffix(b"\r\n").ok_or(ProtocolError::LineEnd)?;
        let word_end = line.iter().position(|byte| is_space(*byte));
        let (word, rest) = line.split_at(word_end.unwrap_or(line.len()));
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        let item = if is(b"MSG") || is(b"HMSG") {
            return self.begin(line, is(b"HMSG"), ready);
        } else if is(b"PING") {
            Item::Ping
        } else if is(b"PONG") {
            Item::Pong
        } else if is(b"+OK") {
            Item::Ok
        } else if is(b"-ERR") {
            Item::Error(words_of(rest))
        } else if is(b"INFO") {
            Item::Info(Box::new(Info::parse(rest).map_err(ProtocolError::Info)?))
        } else {
            return Err(ProtocolError::Word(beginning(line)));
        };
        Ok(Some(item))
    }

    /// A message begins; its line is its first part.
    fn begin(
        &mut self,
        line: &[u8],
        has_headers: bool,
        ready: usize,
    ) -> Result<Option<Item>, ProtocolError> {
        let head = Head::parse(line, has_headers)
            .ok_or_else(|| ProtocolError::MessageLine(beginning(line)))?;
        self.state = if head.bytes > self.payload_max {
            State::Skip {
                sid: head.sid,
                bytes: head.bytes,
                left: head.bytes + 2,
            }
        } else {
            // Room for what is there, and not for what is only announced.
            let mut frame = Vec::with_capacity(line.len() + ready.min(head.bytes + 2));
            frame.extend_from_slice(line);
            State::Body(Body {
                head,
                frame,
                start: line.len(),
            })
        };
        Ok(None)
    }

    fn end_body(&mut self) -> Result<Item, ProtocolError> {
        let next = State::Line(Vec::new());
        match std::mem::replace(&mut self.state, next) {
            State::Body(body) => body.into_message().map(Item::Message),
            _ => Err(ProtocolError::MessageEnd),
        }
    }
}

impl Body {
    /// Takes what belongs to the message. Whether it is complete.
    fn read(&mut self, input: &mut &[u8]) -> bool {
        let whole = self.start + self.head.bytes + 2;
        let count = (whole - self.frame.len()).min(input.len());
        let (part, rest) = input.split_at(count);
        if part.len() + self.frame.len() == whole {
            // No room for more: it may be kept for long.
            self.frame.reserve_exact(part.len());
        }
        self.frame.extend_from_slice(part);
        *input = rest;
        self.frame.len() == whole
    }

    fn into_message(self) -> Result<Message, ProtocolError> {
        let Self {
            head,
            mut frame,
            start,
        } = self;
        if !frame.ends_with(b"\r\n") {
            return Err(ProtocolError::MessageEnd);
        }
        frame.truncate(frame.len() - 2);
        let frame = Bytes::from(frame);
        let payload = start + head.header_bytes;
        Ok(Message {
            sid: head.sid,
            subject: frame.slice(head.subject),
            reply: head.reply.map(|reply| frame.slice(reply)),
            status: status_of(&frame[start..payload]),
            payload: frame.slice(payload..),
        })
    }
}

impl Head {
    /// Reads `MSG <subject> <sid> [reply] <bytes>` or
    /// `HMSG <subject> <sid> [reply] <header bytes> <bytes>`.
    fn parse(line: &[u8], has_headers: bool) -> Option<Self> {
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

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// How long the line may be that begins so.
fn line_max(begun: &[u8], input: &[u8]) -> usize {
    let first = begun.iter().chain(input).take(4);
    let is_info = first.map(u8::to_ascii_uppercase).eq(*b"INFO");
    if is_info {
        INFO_BYTES_MAX
    } else {
        LINE_BYTES_MAX
    }
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
fn status_of(headers: &[u8]) -> Option<u16> {
    let rest = headers.strip_prefix(b"NATS/1.0")?;
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    let next = rest.get(4)?;
    if !(*next == b' ' || *next == b'\r') {
        return None;
    }
    u16::try_from(number(digits)?).ok()
}

/// The words of an error, without quotes.
fn words_of(rest: &[u8]) -> String {
    let words = String::from_utf8_lossy(rest);
    words.trim().trim_matches('\'').to_owned()
}

/// So much of a line as a message may quote.
fn beginning(line: &[u8]) -> String {
    let part = &line[..line.len().min(48)];
    String::from_utf8_lossy(part).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8]) -> Result<Vec<Item>, ProtocolError> {
        decode_split(input, input.len().max(1), &mut Decoder::default())
    }

    fn decode_split(
        input: &[u8],
        size: usize,
        decoder: &mut Decoder,
    ) -> Result<Vec<Item>, ProtocolError> {
        let mut items = Vec::new();
        for mut piece in input.chunks(size) {
            while let Some(item) = decoder.next(&mut piece)? {
                items.push(item);
            }
            assert!(piece.is_empty(), "it reads all or tells of an item");
        }
        Ok(items)
    }

    fn message(sid: u64, subject: &str, reply: Option<&str>, payload: &str) -> Item {
        Item::Message(Message {
            sid,
            subject: Bytes::copy_from_slice(subject.as_bytes()),
            reply: reply.map(|reply| Bytes::copy_from_slice(reply.as_bytes())),
            status: None,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        })
    }

    /// One of each.
    fn session() -> (Vec<u8>, Vec<Item>) {
        let mut bytes = b"INFO {\"server_id\":\"a\",\"max_payload\":10}  \r\n+OK\r\n".to_vec();
        bytes.extend(b"MSG a.b 7 5\r\nhello\r\nMSG a 18446744073709551615 r.1 0\r\n\r\n");
        bytes.extend(b"PING\r\nPONG\r\nmsg\tc  9  \t 2\r\n\r\n\r\n");
        bytes
            .extend(b"HMSG r.1.0.4 3 41 41\r\nNATS/1.0 503\r\nNats-Subject: a.b.c.d.e\r\n\r\n\r\n");
        bytes.extend(b"HMSG x 1 in.box 21 24\r\nNATS/1.0\r\nA: bcde\r\n\r\nxyz\r\n");
        bytes.extend(b"-ERR 'Authorization Violation'\r\n");
        let info = Info {
            server_id: "a".into(),
            max_payload: 10,
            ..Info::default()
        };
        let nobody = Item::Message(Message {
            sid: 3,
            subject: Bytes::from_static(b"r.1.0.4"),
            reply: None,
            status: Some(503),
            payload: Bytes::new(),
        });
        let items = vec![
            Item::Info(Box::new(info)),
            Item::Ok,
            message(7, "a.b", None, "hello"),
            message(u64::MAX, "a", Some("r.1"), ""),
            Item::Ping,
            Item::Pong,
            message(9, "c", None, "\r\n"),
            nobody,
            message(1, "x", Some("in.box"), "xyz"),
            Item::Error("Authorization Violation".into()),
        ];
        (bytes, items)
    }

    #[test]
    fn however_the_bytes_are_split_the_items_are_the_same() {
        let (bytes, items) = session();
        for size in 1..=bytes.len() {
            let mut decoder = Decoder::default();
            assert_eq!(
                decode_split(&bytes, size, &mut decoder),
                Ok(items.clone()),
                "{size}"
            );
        }
        for at in 0..bytes.len() {
            let mut decoder = Decoder::default();
            let (first, second) = bytes.split_at(at);
            let mut all = decode_split(first, bytes.len(), &mut decoder).expect("items");
            all.extend(decode_split(second, bytes.len(), &mut decoder).expect("items"));
            assert_eq!(all, items, "split at {at}");
        }
    }

    #[test]
    fn a_message_keeps_no_more_than_itself() {
        let payload = "x".repeat(100_000);
        let bytes = format!("MSG a 1 100000\r\n{payload}\r\n");
        for size in [10, 4_096, bytes.len()] {
            let items = decode_split(bytes.as_bytes(), size, &mut Decoder::default());
            assert_eq!(items, Ok(vec![message(1, "a", None, &payload)]), "{size}");
        }
    }

    #[test]
    fn what_is_too_large_is_passed_over() {
        let mut decoder = Decoder::default();
        decoder.set_payload_max(4);
        let bytes =
            b"MSG a 1 5\r\nPING\n\r\nMSG a 1 4\r\nPONG\r\nHMSG b 2 6 12\r\n123456123456\r\n";
        let large = |sid, bytes| Item::TooLarge { sid, bytes };
        let expected = vec![large(1, 5), message(1, "a", None, "PONG"), large(2, 12)];
        for size in [1, 3, bytes.len()] {
            assert_eq!(
                decode_split(bytes, size, &mut decoder),
                Ok(expected.clone())
            );
        }
        decoder.set_payload_max(usize::MAX);
        let over = PAYLOAD_BYTES_MAX + 1;
        let line = format!("MSG a 1 {over}\r\n");
        assert_eq!(decode_split(line.as_bytes(), 99, &mut decoder), Ok(vec![]));
        assert!(matches!(decoder.state, State::Skip { .. }));
    }

    #[test]
    fn lines_that_do_not_end_are_refused() {
        let line = vec![b'a'; LINE_BYTES_MAX + 2];
        for size in [1, 1_000, line.len()] {
            let refused = decode_split(&line, size, &mut Decoder::default());
            assert_eq!(
                refused,
                Err(ProtocolError::LineLength(LINE_BYTES_MAX)),
                "{size}"
            );
        }
        let mut info = b"INFO ".to_vec();
        info.resize(INFO_BYTES_MAX + 2, b' ');
        for size in [1_000, info.len()] {
            let refused = decode_split(&info, size, &mut Decoder::default());
            assert_eq!(
                refused,
                Err(ProtocolError::LineLength(INFO_BYTES_MAX)),
                "{size}"
            );
        }
        let longest = format!("-ERR {}\r\n", "e".repeat(LINE_BYTES_MAX - 5));
        assert!(decode(longest.as_bytes()).is_ok());
    }

    #[test]
    fn garbage_is_refused_with_its_beginning() {
        let word = |text: &str| Err(ProtocolError::Word(text.into()));
        assert_eq!(
            decode(b"HTTP/1.1 400 Bad Request\r\n"),
            word("HTTP/1.1 400 Bad Request")
        );
        assert_eq!(decode(b"\r\n"), word(""));
        assert_eq!(decode(b"PINGX\r\n"), word("PINGX"));
        assert_eq!(decode(b" PING\r\n"), word(" PING"));
        assert_eq!(decode(b"PING\n"), Err(ProtocolError::LineEnd));
        assert!(matches!(
            decode(b"INFO {]\r\n"),
            Err(ProtocolError::Info(_))
        ));
        assert!(matches!(
            decode(b"\x16\x03\x01\x02\n"),
            Err(ProtocolError::LineEnd)
        ));
        assert_eq!(
            decode(b"MSG a 1 2\r\nabc\r\n"),
            Err(ProtocolError::MessageEnd)
        );
        for line in [
            "MSG",
            "MSG a",
            "MSG a 1",
            "MSG a 1 -1",
            "MSG a x 1",
            "MSG a 1 r 1 1",
            "MSG a 1 +1",
            "MSG a 18446744073709551616 1",
            "MSG a 1 99999999999",
            "MSG a 1 r 1 x",
            "HMSG a 1 1",
            "HMSG a 1 5 4",
            "HMSG a 1 r 1 1 1",
            "HMSG a 1 r x 1",
        ] {
            let refused = decode(format!("{line}\r\n").as_bytes());
            assert_eq!(refused, Err(ProtocolError::MessageLine(line.into())));
        }
    }

    #[test]
    fn headers_in_no_known_form_are_their_publishers_affair() {
        for headers in [
            "",
            "NATS/1.0",
            "NATS/1.0 ",
            "NATS/1.0 5",
            "NATS/1.0 5031",
            "NATS/2 503\r\n",
            "NATS/1.0 x03\r\n\r\n",
            "\u{fffd}",
        ] {
            let line = format!("HMSG a 1 {0} {0}\r\n{headers}\r\n", headers.len());
            assert_eq!(
                decode(line.as_bytes()),
                Ok(vec![message(1, "a", None, "")]),
                "{headers:?}"
            );
        }
        assert_eq!(status_of(b"NATS/1.0 404 No Messages\r\n\r\n"), Some(404));
    }
}
