//! What a cell counts, for whoever runs the server.

use tidings_hub::counts::ByName;
use tidings_hub::{Effect, Input};
use tidings_wire::codes::CloseCode;

/// What has happened in a cell since it was created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of clients that the hub has received.
    pub frames_received: u64,
    /// Frames that the hub has sent, once for each receiver.
    pub frames_sent: u64,
    /// Connections that were closed by the server, by what their clients were told.
    pub ends: ByName,
}

impl Counts {
    pub(crate) fn see_input(&mut self, input: &Input) {
        self.frames_received += u64::from(matches!(input, Input::Frame { .. }));
    }

    pub(crate) fn see_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Send { .. } => self.frames_sent += 1,
            Effect::SendAll { connections, .. } => self.frames_sent += connections.len() as u64,
            _ => {}
        }
    }

    pub(crate) fn see_end(&mut self, code: CloseCode) {
        self.ends.note(code.name());
    }
}
