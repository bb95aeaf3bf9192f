//! What a cell counts, for whoever runs the server.

use tidings_hub::{Effect, Input};

/// What has happened in a cell since it was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of clients that the hub has received.
    pub frames_received: u64,
    /// Frames that the hub has sent, once for each receiver.
    pub frames_sent: u64,
    /// Connections that the hub has closed.
    pub connections_ended: u64,
}

impl Counts {
    pub(crate) fn see_input(&mut self, input: &Input) {
        self.frames_received += u64::from(matches!(input, Input::Frame { .. }));
    }

    pub(crate) fn see_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Send { .. } => self.frames_sent += 1,
            Effect::SendAll { connections, .. } => self.frames_sent += connections.len() as u64,
            Effect::Close { .. } => self.connections_ended += 1,
            _ => {}
        }
    }
}
