//! Other nodes of a cluster: what is lost between them, and nodes that are.

use tidings_wire::limits::PRESENCE_GRACE_MS;

use crate::Hub;
use crate::bus_ops::Topic;
use crate::ids::HubId;
use crate::io::Sink;
use crate::kernel::timers::Timer;

impl Hub {
    /// Publications of another node are lost on their way here. Whatever they may have been is
    /// looked up, or told as missing.
    pub(crate) fn handle_missed(
        &mut self,
        topic: Topic,
        from: HubId,
        count: u64,
        out: &mut dyn Sink,
    ) {
        let kernel = &mut self.kernel;
        match topic {
            Topic::Channel(channel) => {
                self.channels
                    .handle_missed(&channel, from, count, kernel, out);
            }
            Topic::User(user) => {
                if count == 0 {
                    // Not a loss that was counted, but a node that was out of reach.
                    self.claim_again(&user, 0, out);
                }
                let kernel = &mut self.kernel;
                self.peers.handle_inbox_grew(&user, kernel, out);
                // Somebody may watch it, or may have written its attributes: to act as if costs
                // a few pings, and a store operation when its session ends.
                kernel.note_watched(&user);
                kernel.note_attributes(&user);
                self.invitations.look_up_rings(&user, kernel, out);
            }
            Topic::Calls(caller) => self.invitations.offer_again(&caller, out),
            Topic::Presence(user) => self.presence.look_again(&user, kernel, out),
        }
    }

    /// A node is lost with all its hubs. Its users have their grace to come back on another one,
    /// as after any cut (contract PRE-1); each observer counts it for itself.
    pub(crate) fn handle_node_lost(&mut self, node: u16, out: &mut dyn Sink) {
        debug_assert_ne!(node, self.kernel.config.id.node, "a node outlives itself");
        self.logins.losses = self.logins.losses.wrapping_add(1);
        let loss = self.logins.losses;
        let stands_for = HubId::lost(loss);
        self.channels
            .lose_node(node, stands_for, &mut self.kernel, out);
        self.presence.lose_node(node, stands_for);
        self.invitations
            .lose_node(node, stands_for, &mut self.kernel);
        self.give_up_moves_from(node, out);
        let due_ms = self.kernel.now.mono_ms + PRESENCE_GRACE_MS;
        self.kernel.timers.set(due_ms, Timer::NodeOver(loss));
    }

    /// The grace of a lost node's users is over.
    pub(crate) fn end_lost(&mut self, loss: u16, out: &mut dyn Sink) {
        let stands_for = HubId::lost(loss);
        let kernel = &mut self.kernel;
        self.channels.end_lost(stands_for, kernel, out);
        self.presence.end_lost(stands_for, kernel, out);
        self.invitations.end_lost(stands_for, kernel, out);
    }
}
