//! Bytes of a server to [`Item`]s, however the bytes are split.

use bytes::Bytes;

use crate::head::{Head, is_space, status_of};
use crate::info::Info;

/// Longest line but for INFO, without its end, in bytes. Source: the server's own
/// `max_control_line`.
pub const LINE_BYTES_MAX: usize = 4 * 1024;

/// Longest line of an INFO, in bytes. Source: ours; a real one has about 500 and 25 per server.
pub const INFO_BYTES_MAX: usize = 64 * 1024;

/// Largest message that is taken whatever the server allows, its headers included, in bytes. A
/// larger one is passed over. Source: ours; the server's default is 1 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;

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
