//! Invitations over several nodes: words that are lost between them, and nodes that are.

use tidings_wire::limits::PRESENCE_GRACE_MS;
use tidings_wire::proto::InvitationEnd;

use crate::bus_ops::InvitationWord;
use crate::ids::{HubId, InvitationId, SessionKey, UserKey};
use crate::invitations::slot::Ringing;
use crate::invitations::state::{Invitation, Invitations, State};
use crate::io::Sink;
use crate::kernel::Kernel;

impl Invitations {
    /// The word of an end may have been lost: what rings at the user is looked up.
    pub(crate) fn look_up_rings(
        &mut self,
        user: &UserKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        for key in kernel.sessions_of(user) {
            let Some(session) = kernel.sessions.get(key) else {
                debug_assert!(false, "a session is gone while it is dealt with");
                continue;
            };
            let rings = session.invitations.rings.iter();
            let ids: Vec<_> = rings.map(|ringing| ringing.id).collect();
            for id in ids {
                self.check_ring(key, id, kernel, out);
            }
        }
    }

    /// What callees have said may have been lost: what is open is offered once more, to which
    /// their hubs say again what they have said (`rings`).
    pub(crate) fn offer_again(&self, caller: &UserKey, out: &mut dyn Sink) {
        let is_offered = |invitation: &&Invitation| match invitation.state {
            // Not offered before its record is durable.
            State::Pending { again_ms } => again_ms < u64::MAX,
            State::Ringing => true,
            State::Accepting { .. } | State::Ended { .. } => false,
        };
        let all = self.sent.get(caller).into_iter().flatten();
        for invitation in all.filter(is_offered) {
            Self::offer(caller, invitation, out);
        }
    }

    /// Offers an invitation to its callee.
    pub(crate) fn offer(caller: &UserKey, invitation: &Invitation, out: &mut dyn Sink) {
        let word = InvitationWord::Ring {
            id: invitation.id,
            caller: caller.clone(),
            frame: invitation.frame.clone(),
        };
        Self::tell_user(invitation.callee.clone(), word, out);
    }

    // ------------------------------------------------------------ sessions that move

    /// The numbers of what a session has sent and that is open.
    pub(crate) fn open_numbers(&self, key: SessionKey, kernel: &Kernel) -> Vec<u64> {
        let open = self.open_of(key, kernel);
        open.map(|invitation| invitation.number).collect()
    }

    /// The ids of the same.
    pub(crate) fn open_ids(&self, key: SessionKey, kernel: &Kernel) -> Vec<InvitationId> {
        let open = self.open_of(key, kernel);
        open.map(|invitation| invitation.id).collect()
    }

    // ------------------------------------------------------------ a lost node

    /// A node is lost: callees who were there are offered again what has rung at them, and have
    /// their grace to come back; callers have it to say that they are.
    pub(crate) fn lose_node(&mut self, node: u16, stands_for: HubId, kernel: &mut Kernel) {
        debug_assert!(stands_for.is_lost(), "a hub stands for a lost node");
        let now_ms = kernel.now.mono_ms;
        let mut offered = Vec::new();
        for (caller, all) in &mut self.sent {
            for invitation in all {
                let is_lost = invitation.rings_by.is_some_and(|by| by.node == node);
                if !is_lost || !invitation.is_received || invitation.has_ended() {
                    continue;
                }
                invitation.rings_by = Some(stands_for);
                if matches!(invitation.state, State::Ringing) {
                    let until_ms = now_ms + PRESENCE_GRACE_MS;
                    invitation.rings_on = invitation.rings_on.map(|_| until_ms);
                    invitation.state = State::Pending { again_ms: now_ms };
                    offered.push((caller.clone(), invitation.id));
                }
            }
        }
        // Order: sorted, because the map's order would reach the timers.
        offered.sort_unstable();
        for (caller, id) in offered {
            self.set_invitation_timer(&caller, id, kernel);
        }
        for session in kernel.sessions.values_mut() {
            for ringing in &mut session.invitations.rings {
                if ringing.by.is_some_and(|by| by.node == node) {
                    ringing.by = Some(stands_for);
                }
            }
        }
    }

    /// What rang between here and a lost node, and has not been spoken of since, ends.
    pub(crate) fn end_lost(&mut self, stands_for: HubId, kernel: &mut Kernel, out: &mut dyn Sink) {
        let is_over = |invitation: &&Invitation| {
            let is_pending = matches!(invitation.state, State::Pending { .. });
            invitation.rings_by == Some(stands_for) && is_pending
        };
        let mut over = Vec::new();
        for (caller, all) in &self.sent {
            let ids = all.iter().filter(is_over).map(|invitation| invitation.id);
            over.extend(ids.map(|id| (caller.clone(), id)));
        }
        // Order: sorted, because the maps' order would reach the effects.
        over.sort_unstable();
        for (caller, id) in over {
            let end = (InvitationEnd::CalleeGone, String::new());
            self.end_invitation(&caller, id, end, None, kernel, out);
        }
        let is_silent = |ringing: &&Ringing| ringing.by == Some(stands_for);
        let mut silent: Vec<(InvitationId, SessionKey)> = Vec::new();
        for (key, session) in &kernel.sessions {
            let rings = session.invitations.rings.iter().filter(is_silent);
            silent.extend(rings.map(|ringing| (ringing.id, key)));
        }
        silent.sort_unstable();
        for (id, key) in silent {
            let user = kernel.sessions.get(key).map(|session| session.user.clone());
            if let Some(user) = user {
                Self::end_ring(&user, id, InvitationEnd::CallerGone, kernel, out);
            }
        }
    }
}
