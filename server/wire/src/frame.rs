//! Native frames: protobuf in binary WebSocket messages.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::limits::FRAME_MESSAGES_MAX;
use crate::proto::{ClientFrame, ServerFrame, ServerMessage, server_message::Kind};
use crate::ws;

/// Why bytes are not a valid frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tidings.v1 frame of {bytes} bytes: {detail}")]
pub struct FrameError {
    /// Length of what was received.
    pub bytes: usize,
    /// The decoder's message.
    pub detail: String,
}

/// Decodes what a client sent in one WebSocket message.
///
/// Payload fields are copied once, out of the caller's (shared) read buffer.
///
/// # Errors
/// [`FrameError`] when the bytes are not a `ClientFrame`, or one of more than `FRAME_MESSAGES_MAX`
/// messages.
pub fn decode_client(bytes: &[u8]) -> Result<ClientFrame, FrameError> {
    // Checked before anything is allocated: an empty message is two bytes here and hundreds in
    // memory.
    let count = count_messages(bytes).map_err(|error| fault(bytes, &error))?;
    if count > FRAME_MESSAGES_MAX {
        return Err(FrameError {
            bytes: bytes.len(),
            detail: format!("{count} messages; at most {FRAME_MESSAGES_MAX} are allowed"),
        });
    }
    // The frame is copied once; the payloads in it are slices of that copy.
    ClientFrame::decode(Bytes::copy_from_slice(bytes)).map_err(|error| fault(bytes, &error))
}

/// How many times field 1, the messages, occurs in a frame of either side.
fn count_messages(mut bytes: &[u8]) -> Result<usize, prost::DecodeError> {
    let mut count = 0;
    while bytes.has_remaining() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        count += usize::from(tag == 1);
        skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
    }
    Ok(count)
}

/// Decodes what a server sent in one WebSocket message.
///
/// # Errors
/// [`FrameError`] when the bytes are not a `ServerFrame`.
pub fn decode_server(bytes: &[u8]) -> Result<ServerFrame, FrameError> {
    ServerFrame::decode(Bytes::copy_from_slice(bytes)).map_err(|error| fault(bytes, &error))
}

fn fault(bytes: &[u8], error: &prost::DecodeError) -> FrameError {
    FrameError {
        bytes: bytes.len(),
        detail: error.to_string(),
    }
}

/// Encodes a client's frame: the payload of a WebSocket message, to be masked by the sender.
pub fn encode_client(frame: &ClientFrame) -> Bytes {
    Bytes::from(frame.encode_to_vec())
}

/// Encodes one message of the server as a complete WebSocket frame, header included.
///
/// The result goes to sockets unchanged: a message for a thousand members is encoded once and
/// shared.
pub fn encode_server(kind: Kind) -> Bytes {
    let frame = ServerFrame {
        messages: vec![ServerMessage { kind: Some(kind) }],
    };
    let len = frame.encoded_len();
    let header = ws::header(ws::Opcode::Binary, len, None);
    let mut out = BytesMut::with_capacity(header.len() + len);
    out.put_slice(&header);
    frame
        .encode(&mut out)
        .expect("the buffer has the frame's length");
    out.freeze()
}

/// Whether a message of the server has a number in its session: the client confirms it, and a
/// resume sends it again. Source: protocol 2.2.
pub fn is_numbered(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Welcome(_)
            | Kind::Resumed(_)
            | Kind::Refused(_)
            | Kind::Ping(_)
            | Kind::Pong(_)
            | Kind::Skip(_)
    )
}

/// The payload of a complete WebSocket frame of the server, whose header has 2, 4 or 10 bytes and
/// no mask. Empty if the bytes are shorter than their header.
pub fn payload(frame: &[u8]) -> &[u8] {
    let header_bytes = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(header_bytes..).unwrap_or_default()
}

/// Restamps the message in the server's frame, if it is a message to a channel or to a peer. Its
/// lifetime stays the same, because that counts from the stamp.
///
/// Cost: O(bytes), for the few messages that need it.
pub fn restamp(frame: &Bytes, server_ts: u64) -> Option<Bytes> {
    let mut decoded = decode_server(payload(frame)).ok()?;
    let mut kind = decoded.messages.pop()?.kind?;
    let (stamp, message) = match &mut kind {
        Kind::ChannelMessage(told) => (&mut told.server_ts, &mut told.message),
        Kind::PeerMessage(told) => (&mut told.server_ts, &mut told.message),
        _ => return None,
    };
    let by_ms = server_ts.saturating_sub(*stamp);
    *stamp = server_ts;
    if let Some(message) = message.as_mut().filter(|message| message.expires_ts > 0) {
        message.expires_ts = message.expires_ts.saturating_add(by_ms);
    }
    Some(encode_server(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{ChannelMessage, ClientMessage, Message, Ping, message};

    #[test]
    fn a_stamp_is_replaced_whatever_the_length_of_the_frame() {
        for bytes in [0, 100, 1_000, 70_000] {
            let message = |server_ts| ChannelMessage {
                channel: "room".into(),
                from: "alice".into(),
                message: Some(Message {
                    body: Some(message::Body::Text(vec![b'x'; bytes].into())),
                    expires_ts: server_ts + 5,
                    ..Message::default()
                }),
                server_ts,
            };
            let frame = encode_server(Kind::ChannelMessage(message(1_000)));
            let later = encode_server(Kind::ChannelMessage(message(1 << 42)));
            assert_eq!(restamp(&frame, 1 << 42), Some(later), "{bytes} bytes");
        }
        assert_eq!(restamp(&encode_server(Kind::Ping(Ping {})), 1), None);
        assert_eq!(restamp(&Bytes::new(), 1), None);
    }

    #[test]
    fn a_frame_of_too_many_messages_is_refused_before_it_is_decoded() {
        let frame = |count| {
            let messages = vec![ClientMessage::default(); count];
            let confirm = 7;
            encode_client(&ClientFrame { messages, confirm })
        };
        let most = decode_client(&frame(FRAME_MESSAGES_MAX)).expect("it is within the bound");
        assert_eq!((most.messages.len(), most.confirm), (FRAME_MESSAGES_MAX, 7));
        let error = decode_client(&frame(FRAME_MESSAGES_MAX + 1)).expect_err("one too many");
        assert_eq!(error.detail, "265 messages; at most 264 are allowed");
    }
}
