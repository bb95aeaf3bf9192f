//! Collects what one input leads to, in order.

use tidings_wire::frame::encode_client;
use tidings_wire::limits::FRAME_BYTES_MAX;
use tidings_wire::proto::{ClientFrame, ClientMessage, client_message};

use crate::answer::Answer;
use crate::error::CallError;
use crate::event::ClientEvent;
use crate::types::{CallId, ConnectionId, Output};

/// Bytes that a frame keeps for its own fields beside its messages.
const FRAME_ROOM_BYTES: usize = 64;
/// Bytes that a frame adds to each of its messages, at most.
const MESSAGE_ROOM_BYTES: usize = 8;

/// What one input leads to.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    list: Vec<Output>,
    /// Messages for the next frames; emptied by `flush` or `drop_messages`.
    messages: Vec<client_message::Kind>,
}

impl Outputs {
    /// Swaps the list with the caller's: its memory is used for the outputs of an input, and handed
    /// back with them.
    pub(crate) fn swap(&mut self, list: &mut Vec<Output>) {
        std::mem::swap(&mut self.list, list);
    }

    pub(crate) fn push(&mut self, output: Output) {
        self.list.push(output);
    }

    pub(crate) fn emit(&mut self, event: ClientEvent) {
        self.list.push(Output::Event(event));
    }

    pub(crate) fn emit_all(&mut self, events: impl IntoIterator<Item = ClientEvent>) {
        self.list.extend(events.into_iter().map(Output::Event));
    }

    pub(crate) fn settle(&mut self, id: CallId, result: Result<Answer, CallError>) {
        self.list.push(Output::Answer { id, result });
    }

    pub(crate) fn done(&mut self, id: CallId) {
        self.settle(id, Ok(Answer::Done));
    }

    pub(crate) fn fail(&mut self, id: CallId, error: CallError) {
        self.settle(id, Err(error));
    }

    /// Queues a message for the end of the input, so that several share a frame.
    pub(crate) fn message(&mut self, kind: client_message::Kind) {
        self.messages.push(kind);
    }

    pub(crate) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Forgets the messages of a connection that was given up.
    pub(crate) fn drop_messages(&mut self) {
        self.messages.clear();
    }

    /// Puts the queued messages into frames of at most 64 KiB. `confirm` goes along with the first,
    /// or alone; 0 = nothing to confirm.
    pub(crate) fn flush(&mut self, connection: ConnectionId, confirm: u64) {
        let mut frame = ClientFrame {
            messages: Vec::new(),
            confirm,
        };
        let mut bytes = FRAME_ROOM_BYTES;
        for kind in std::mem::take(&mut self.messages) {
            let message = ClientMessage { kind: Some(kind) };
            let size = prost::Message::encoded_len(&message) + MESSAGE_ROOM_BYTES;
            if bytes + size > FRAME_BYTES_MAX && !frame.messages.is_empty() {
                self.send(connection, &std::mem::take(&mut frame));
                bytes = FRAME_ROOM_BYTES;
            }
            bytes += size;
            frame.messages.push(message);
        }
        if !frame.messages.is_empty() || frame.confirm > 0 {
            self.send(connection, &frame);
        }
        assert!(self.messages.is_empty(), "messages stay behind");
    }

    fn send(&mut self, connection: ConnectionId, frame: &ClientFrame) {
        assert!(connection > 0, "a frame for no connection");
        assert!(
            !frame.messages.is_empty() || frame.confirm > 0,
            "an empty frame is written"
        );
        let payload = encode_client(frame);
        assert!(
            payload.len() <= FRAME_BYTES_MAX,
            "a frame of {} bytes and {} messages",
            payload.len(),
            frame.messages.len()
        );
        self.list.push(Output::Send {
            connection,
            payload,
        });
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self) {
        assert!(self.list.is_empty(), "{} outputs are left", self.list.len());
        assert!(
            self.messages.is_empty(),
            "{} messages were not written",
            self.messages.len()
        );
    }
}
