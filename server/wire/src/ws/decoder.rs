//! Bytes to events, however the bytes are split.

use super::error::Error;
use super::head::{Context, HEADER_BYTES_MAX, Head, Opcode};
use super::is_close_code;
use super::mask::apply_mask;

/// Which end of the connection decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Frames come from a client and must be masked.
    Server,
    /// Frames come from a server and must not be masked.
    Client,
}

/// Limits on one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message, bytes, all fragments together. Beyond: close 1009.
    pub message_bytes_max: u32,
    /// Most frames that one message may come in, at least 1. Beyond: close 1009.
    pub fragments_max: u16,
}

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A text message; its bytes are valid UTF-8.
    Text,
    /// A binary message of any bytes.
    Binary,
}

/// A decoded event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message; the payload of a text is valid UTF-8.
    Message {
        /// Text or binary.
        kind: Kind,
        /// All fragments together, unmasked.
        payload: &'a [u8],
    },
    /// A ping, to be answered with a pong of the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// A pong, at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer closes; nothing after it is decoded.
    Close {
        /// The peer's code, one that may be sent, if it gave one.
        code: Option<u16>,
        /// The peer's reason, at most 123 bytes.
        reason: &'a str,
    },
}

/// An incremental decoder of one direction of one connection.
///
/// It is fed from a buffer shared by many connections: the input of [`Decoder::decode`] is
/// consumed, and complete frames are returned from that buffer without a copy. Only the bytes of an
/// unfinished header, control frame or message are kept, on the heap.
///
/// Invariant: between messages it owns no heap memory.
///
/// Bound: the kept bytes grow as they arrive, not as they are announced, up to
/// [`Limits::message_bytes_max`], 125 bytes of a control frame and a record of fixed size.
#[derive(Debug)]
pub struct Decoder {
    unfinished: Option<Box<Unfinished>>,
    limits: Limits,
    role: Role,
    /// A close frame or an error has ended the stream; later bytes are dropped.
    is_closed: bool,
}

/// What is kept from one call to the next.
#[derive(Debug, Default)]
struct Unfinished {
    header: [u8; HEADER_BYTES_MAX],
    /// Bytes of `header` that have arrived; 0 while a frame is open.
    header_len: usize,
    /// The frame whose payload is arriving.
    frame: Option<OpenFrame>,
    /// Payload of an open control frame, which may stand between the fragments of a message.
    control: Vec<u8>,
    /// The message that is arriving or waits for its continuation.
    message: Option<OpenMessage>,
}

#[derive(Debug, Clone, Copy)]
struct OpenFrame {
    head: Head,
    /// Payload bytes that have arrived.
    arrived: usize,
}

#[derive(Debug)]
struct OpenMessage {
    kind: Kind,
    /// Frames begun so far.
    fragments: u16,
    bytes: Vec<u8>,
    /// How many of `bytes` are known to be whole UTF-8 sequences; unused for binary.
    valid_len: usize,
}

impl Decoder {
    /// A decoder at the first byte after the handshake.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            unfinished: None,
            limits,
            role,
            is_closed: false,
        }
    }

    /// Changes the limits, from the next frame header on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether a close frame or an error has ended the stream.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Bytes of heap that the decoder holds now; 0 between messages.
    pub fn heap_bytes(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| {
            let message = unfinished
                .message
                .as_ref()
                .map_or(0, |open| open.bytes.capacity());
            size_of::<Unfinished>() + unfinished.control.capacity() + message
        })
    }

    /// Takes the bytes that have arrived and returns the events in them, in order.
    ///
    /// The bytes are unmasked in place. Call [`Events::next_event`] until it returns `None`; a
    /// caller that stops earlier must keep [`Events::rest`] for later.
    pub fn decode<'d, 'i>(&'d mut self, input: &'i mut [u8]) -> Events<'d, 'i> {
        Events {
            decoder: self,
            input,
            delivered: Vec::new(),
            frames: 0,
        }
    }

    fn context(&self) -> Context {
        let message = self
            .unfinished
            .as_ref()
            .and_then(|unfinished| unfinished.message.as_ref());
        Context {
            role: self.role,
            limits: self.limits,
            unfinished: message.map(|open| (open.bytes.len(), open.fragments)),
        }
    }

    /// Ends the stream and releases all that was kept.
    fn close(&mut self) {
        self.is_closed = true;
        self.unfinished = None;
    }
}

/// The events in one piece of input, one by one.
#[derive(Debug)]
pub struct Events<'d, 'i> {
    decoder: &'d mut Decoder,
    /// What has not been decoded.
    input: &'i mut [u8],
    /// The payload of the last event, if it was assembled from pieces.
    delivered: Vec<u8>,
    frames: usize,
}

impl<'i> Events<'_, 'i> {
    /// The next event; `None` when the input is used up or the stream has ended.
    ///
    /// # Errors
    /// What the peer did wrong; send [`Error::close_code`]. The decoder is closed then and all
    /// later bytes are dropped.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        self.delivered = Vec::new();
        match self.advance() {
            Ok(None) => Ok(None),
            Ok(Some((opcode, whole))) => {
                let payload = whole.map_or(&*self.delivered, |bytes| &*bytes);
                let event = event_of(opcode, payload);
                if matches!(event, Err(_) | Ok(Event::Close { .. })) {
                    self.decoder.close();
                }
                event.map(Some)
            }
            Err(error) => {
                self.decoder.close();
                Err(error)
            }
        }
    }

    /// Frames that have begun in this input: one message may take many, and each costs work.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The bytes after the last event, untouched; to be decoded later if the caller stops early.
    pub fn rest(&self) -> &[u8] {
        self.input
    }

    /// Continues to the end of a message or control frame. Its payload is the slice, if all of it
    /// was in the input, otherwise `delivered`; the opcode is never `Continuation`.
    #[expect(clippy::type_complexity, reason = "one private pair")]
    fn advance(&mut self) -> Result<Option<(Opcode, Option<&'i mut [u8]>)>, Error> {
        loop {
            if self.decoder.is_closed {
                self.input = &mut [];
                return Ok(None);
            }
            let open = self
                .decoder
                .unfinished
                .as_ref()
                .and_then(|unfinished| unfinished.frame);
            let Some(frame) = open else {
                let Some(head) = self.take_head()? else {
                    return Ok(None);
                };
                self.frames += 1;
                let is_message = head.is_final && head.opcode != Opcode::Continuation;
                if is_message && head.payload_len <= self.input.len() {
                    let payload = self.take(head.payload_len);
                    apply_mask(head.mask, 0, payload);
                    if head.opcode == Opcode::Text && std::str::from_utf8(payload).is_err() {
                        return Err(Error::TextNotUtf8);
                    }
                    return Ok(Some((head.opcode, Some(payload))));
                }
                self.open_frame(head);
                continue;
            };
            if !self.fill(frame)? {
                return Ok(None);
            }
            if let Some(opcode) = self.finish_frame(frame.head)? {
                return Ok(Some((opcode, None)));
            }
        }
    }

    /// The first `len` bytes of the input, which must be present.
    fn take(&mut self, len: usize) -> &'i mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.input).split_at_mut(len);
        self.input = rest;
        taken
    }

    /// Reads a frame header from the kept bytes and the input; keeps the bytes if there are too
    /// few.
    fn take_head(&mut self) -> Result<Option<Head>, Error> {
        let context = self.decoder.context();
        let kept = self
            .decoder
            .unfinished
            .as_ref()
            .map_or(0, |unfinished| unfinished.header_len);
        if kept == 0 {
            if let Some((head, len)) = Head::parse(self.input, &context)? {
                self.take(len);
                return Ok(Some(head));
            }
            if self.input.is_empty() {
                return Ok(None);
            }
        }
        let unfinished = self.decoder.unfinished.get_or_insert_default();
        while let Some((&mut byte, rest)) = std::mem::take(&mut self.input).split_first_mut() {
            self.input = rest;
            unfinished.header[unfinished.header_len] = byte;
            unfinished.header_len += 1;
            let arrived = &unfinished.header[..unfinished.header_len];
            if let Some((head, _)) = Head::parse(arrived, &context)? {
                unfinished.header_len = 0;
                self.release_if_idle();
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Starts to keep a frame that is incomplete in the input, or part of a longer message.
    fn open_frame(&mut self, head: Head) {
        let unfinished = self.decoder.unfinished.get_or_insert_default();
        unfinished.frame = Some(OpenFrame { head, arrived: 0 });
        let kind = match head.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            Opcode::Continuation => {
                if let Some(message) = &mut unfinished.message {
                    message.fragments += 1;
                }
                return;
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => return,
        };
        let message = OpenMessage {
            kind,
            fragments: 1,
            bytes: Vec::new(),
            valid_len: 0,
        };
        unfinished.message = Some(message);
    }

    /// Moves payload of the open frame from the input to the kept bytes; returns whether it is
    /// complete.
    fn fill(&mut self, frame: OpenFrame) -> Result<bool, Error> {
        let missing = frame.head.payload_len - frame.arrived;
        let chunk = self.take(missing.min(self.input.len()));
        apply_mask(frame.head.mask, frame.arrived, chunk);
        let left = missing - chunk.len();
        let message_bytes_max = self.decoder.limits.message_bytes_max as usize;
        let unfinished = self.decoder.unfinished.as_mut().expect("a frame is open");
        if frame.head.opcode.is_control() {
            append(&mut unfinished.control, chunk, left);
        } else {
            let message = unfinished
                .message
                .as_mut()
                .expect("a data frame is of a message");
            let room = if frame.head.is_final {
                left
            } else {
                message_bytes_max
                    .saturating_sub(message.bytes.len() + chunk.len())
                    .max(left)
            };
            append(&mut message.bytes, chunk, room);
            if message.kind == Kind::Text {
                message.validate()?;
            }
        }
        unfinished.frame = Some(OpenFrame {
            arrived: frame.arrived + chunk.len(),
            ..frame
        });
        Ok(left == 0)
    }

    /// Ends the open frame, whose payload is complete; returns the opcode if there is something to
    /// deliver.
    fn finish_frame(&mut self, head: Head) -> Result<Option<Opcode>, Error> {
        let unfinished = self.decoder.unfinished.as_mut().expect("a frame is open");
        unfinished.frame = None;
        let opcode = if head.opcode.is_control() {
            self.delivered = std::mem::take(&mut unfinished.control);
            head.opcode
        } else if head.is_final {
            let message = unfinished
                .message
                .take()
                .expect("a data frame is of a message");
            let is_text = message.kind == Kind::Text;
            if is_text && message.valid_len != message.bytes.len() {
                return Err(Error::TextNotUtf8);
            }
            self.delivered = message.bytes;
            if is_text {
                Opcode::Text
            } else {
                Opcode::Binary
            }
        } else {
            return Ok(None);
        };
        self.release_if_idle();
        Ok(Some(opcode))
    }

    fn release_if_idle(&mut self) {
        let is_idle = self.decoder.unfinished.as_ref().is_some_and(|unfinished| {
            unfinished.header_len == 0 && unfinished.frame.is_none() && unfinished.message.is_none()
        });
        if is_idle {
            self.decoder.unfinished = None;
        }
    }
}

impl OpenMessage {
    /// Checks the new bytes; a sequence that is incomplete at the end may still become valid.
    fn validate(&mut self) -> Result<(), Error> {
        match std::str::from_utf8(&self.bytes[self.valid_len..]) {
            Ok(_) => self.valid_len = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.valid_len += error.valid_up_to(),
            Err(_) => return Err(Error::TextNotUtf8),
        }
        Ok(())
    }
}

/// Appends to a buffer that doubles as it grows, but never reserves space for more than `room`
/// further bytes.
fn append(bytes: &mut Vec<u8>, chunk: &[u8], room: usize) {
    let needed = bytes.len() + chunk.len();
    if needed > bytes.capacity() {
        let capacity = (2 * bytes.capacity()).clamp(needed, needed + room);
        bytes.reserve_exact(capacity - bytes.len());
    }
    bytes.extend_from_slice(chunk);
}

fn event_of(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, Error> {
    Ok(match opcode {
        Opcode::Text => Event::Message {
            kind: Kind::Text,
            payload,
        },
        Opcode::Binary | Opcode::Continuation => Event::Message {
            kind: Kind::Binary,
            payload,
        },
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => return close_event(payload),
    })
}

fn close_event(payload: &[u8]) -> Result<Event<'_>, Error> {
    let (code, reason) = match payload {
        [] => {
            return Ok(Event::Close {
                code: None,
                reason: "",
            });
        }
        [_] => return Err(Error::CloseCodeCut),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_close_code(code) {
        return Err(Error::CloseCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Error::ReasonNotUtf8)?;
    Ok(Event::Close {
        code: Some(code),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 24, "{} bytes", size_of::<Decoder>());
        assert!(
            size_of::<Unfinished>() <= 160,
            "{} bytes",
            size_of::<Unfinished>()
        );
    }
}
