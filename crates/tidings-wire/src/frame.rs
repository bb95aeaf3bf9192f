//! Native frames: protobuf in binary WebSocket messages.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use crate::proto::{ClientFrame, ServerFrame, ServerMessage, server_message::Kind};
use crate::ws;

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a tidings.v1 frame of {bytes} bytes: {detail}")]
pub struct FrameError {
    /// Length of what was received.
    pub bytes: usize,
    /// What the decoder says.
    pub detail: String,
}

/// Decodes what a client sent in one WebSocket message.
///
/// Payload fields are copied once, out of the caller's (shared) read buffer.
///
/// # Errors
/// [`FrameError`] when the bytes are no `ClientFrame`.
pub fn decode_client(bytes: &[u8]) -> Result<ClientFrame, FrameError> {
    // One copy of the frame; the payloads in it are slices of that copy.
    ClientFrame::decode(Bytes::copy_from_slice(bytes)).map_err(|error| fault(bytes, &error))
}

/// Decodes what a server sent in one WebSocket message.
///
/// # Errors
/// [`FrameError`] when the bytes are no `ServerFrame`.
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

/// Encodes one message of the server as a whole WebSocket frame, header included.
///
/// The result is what a socket is given as it is: a message for a thousand members is encoded once
/// and shared.
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
