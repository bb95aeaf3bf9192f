//! WebSocket (RFC 6455) as functions of bytes: no socket, no clock, no random source.
//!
//! **What it is.** An incremental, strict [`Decoder`] for both roles; encoders for frame headers
//! and control frames; the opening handshake of both sides. It is made for a hub that reads every
//! connection into one shared buffer and sends one encoded frame to many: the decoder keeps only
//! what a frame or message lacks to be whole, and a header is a few bytes on the stack that go in
//! front of shared payload.
//!
//! **What it is not.** It negotiates no extension, so there is no compression; it never answers a
//! ping or closes on its own: the caller decides, with the close code that an [`Error`] names.
//!
//! Reading order: [`Decoder`] (`decoder`, with `head` for the first bytes of a frame and `error`),
//! then `encode` and `mask`, then `server` and `client` for the handshake, which share `handshake`.
//!
//! ```
//! use tidings_wire::ws::{Decoder, Event, Kind, Limits, Opcode, Role, encode_frame};
//!
//! let mut sent = Vec::new();
//! encode_frame(&mut sent, Opcode::Text, b"hello", Some([1, 2, 3, 4]));
//!
//! let mut decoder = Decoder::new(Role::Server, Limits { message_bytes_max: 1024, fragments_max: 8 });
//! let mut events = decoder.decode(&mut sent);
//! let event = events.next_event()?;
//! assert_eq!(event, Some(Event::Message { kind: Kind::Text, payload: b"hello" }));
//! assert_eq!(events.next_event()?, None);
//! # Ok::<(), tidings_wire::ws::Error>(())
//! ```

mod client;
mod decoder;
mod encode;
mod error;
mod handshake;
mod head;
mod mask;
mod server;

pub use client::{
    ClientRequest, RequestError, ResponseError, check_response, client_key, request_bytes,
};
pub use decoder::{Decoder, Event, Events, Kind, Limits, Role};
pub use encode::{
    ControlFrame, Header, encode_close, encode_frame, encode_ping, encode_pong, frame_header_len,
    header,
};
pub use error::Error;
pub use handshake::accept_key;
pub use head::Opcode;
pub use mask::apply_mask;
pub use server::{HandshakeError, Upgrade, check_request, response_bytes};

/// Longest payload of a control frame, bytes. Source: RFC 6455, 5.5.
pub const CONTROL_BYTES_MAX: usize = 125;

/// Whether an endpoint may send this close code. Source: RFC 6455, 7.4, and the codes registered
/// since (1012 to 1014); 3000 to 4999 belong to libraries and applications.
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
