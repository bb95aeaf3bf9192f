//! The callee's side of invitations. Source: signaling 8.1, 8.3, 9.5.

use bytes::Bytes;
use serde_json::json;
use tidings_wire::hex;
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{
    AcceptInvitation, IncomingInvitation, InvitationEnd, RefuseInvitation, RemoteInvitationEnded,
};

use super::{ANSWER, CALLS_MAX, Parts, Remote};
use crate::codec::{Call, as_text};
use crate::ids;
use crate::messages::JSON_TYPE;
use crate::requests::Pending;
use crate::translator::{Output, Translator};

impl Translator {
    pub(crate) fn take_invitation(&mut self, event: IncomingInvitation) {
        // This protocol cannot express an invitation without a channel, so it never rings (9.5).
        if event.channel.is_empty() || self.calls.remote.len() >= CALLS_MAX {
            return;
        }
        let peer = ids::to_account(&event.caller_id);
        self.calls.take_remote(&peer, &event.channel);
        let extra = if event.r#type == JSON_TYPE {
            serde_json::from_str(&event.content).unwrap_or(json!(event.content))
        } else {
            json!(event.content)
        };
        let entry = self.signal_entry(
            &hex(&event.id),
            &peer,
            "voip_invite",
            &event.channel,
            extra.clone(),
        );
        self.enqueue(entry);
        self.calls.remote.push(Remote {
            id: event.id,
            peer,
            channel: event.channel,
            extra,
            is_accepting: false,
            hang_up: None,
        });
    }

    pub(crate) fn take_remote_end(&mut self, event: RemoteInvitationEnded) {
        let Some(at) = self
            .calls
            .remote
            .iter()
            .position(|remote| remote.id == event.id)
        else {
            return;
        };
        let Remote {
            id,
            peer,
            channel,
            extra,
            hang_up,
            ..
        } = self.calls.remote.remove(at);
        match event.end() {
            InvitationEnd::Accepted => match hang_up {
                Some(parts) => self.end_accepted(&parts),
                None => self.calls.note_talk(peer, channel),
            },
            InvitationEnd::Refused => {}
            // The client has ended it already.
            _ if hang_up.is_some() => {}
            // The invitation cannot have rung if the client was never sent it.
            _ if self.queue.take_back(&hex(&id)) => {}
            // If a legacy caller had ended it, its signal would have arrived first and ended it
            // here; so this end is an RTM user's (9.5).
            InvitationEnd::Canceled => self.signal(&peer, "voip_invite_bye", &channel, extra),
            _ => self.signal(&peer, "voip_invite_bye", &channel, json!("")),
        }
    }

    pub(crate) fn acknowledge(&mut self, call: &Call) {
        let parts = match Parts::of(call) {
            Ok(parts) => parts,
            Err(reason) => return self.fail(&call.id, reason),
        };
        let is_it = |remote: &&Remote| remote.peer == parts.peer && remote.channel == parts.channel;
        if let Some(remote) = self.calls.remote.iter().find(is_it) {
            self.out.push(Output::Rung(remote.id.clone()));
        }
        self.answer_ok(&call.id);
    }

    pub(crate) fn decide(&mut self, call: &Call) {
        let parts = match Parts::of(call) {
            Ok(parts) => parts,
            Err(reason) => return self.fail(&call.id, reason),
        };
        let is_accepted = call.function == "voip_invite_accept";
        let is_it =
            |remote: &&mut Remote| remote.peer == parts.peer && remote.channel == parts.channel;
        let Some(remote) = self.calls.remote.iter_mut().find(is_it) else {
            return self.fail(&call.id, "no invite");
        };
        remote.is_accepting = is_accepted;
        let (id, response) = (remote.id.clone(), as_text(&parts.extra));
        let pending = Pending::Decision {
            id: call.id.clone(),
            invitation: id.clone(),
        };
        if !parts.extra.is_string()
            && let Some(user) = ids::to_user_id(&parts.peer)
        {
            // A legacy caller gets the answer unchanged: its translator receives it first.
            self.send_signal(user, ANSWER, &parts, Pending::Nothing);
        }
        let decision = if is_accepted {
            HubCall::AcceptInvitation(AcceptInvitation { id, response })
        } else {
            HubCall::RefuseInvitation(RefuseInvitation { id, response })
        };
        self.request_for(&call.id, decision, pending);
    }

    /// The hub has answered a decision. A call that was ended meanwhile ends now; one that could
    /// not be accepted rings still, and is refused.
    pub(crate) fn settle_decision(&mut self, invitation: &Bytes, is_done: bool) {
        let is_it = |remote: &Remote| remote.id == *invitation;
        let Some(at) = self.calls.remote.iter().position(is_it) else {
            // Its end has arrived before the answer.
            return;
        };
        let remote = &mut self.calls.remote[at];
        if !is_done {
            remote.is_accepting = false;
        }
        let Some(parts) = remote.hang_up.take() else {
            return;
        };
        self.calls.remote.remove(at);
        if is_done {
            self.end_accepted(&parts);
        } else {
            let (id, response) = (invitation.clone(), as_text(&parts.extra));
            let refuse = RefuseInvitation { id, response };
            self.request(HubCall::RefuseInvitation(refuse), Pending::Nothing);
        }
    }
}
