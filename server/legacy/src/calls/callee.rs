//! The callee's side of invitations. Source: signaling 8.1, 8.3, 9.5.

use serde_json::json;
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{
    AcceptInvitation, IncomingInvitation, InvitationEnd, RefuseInvitation, RemoteInvitationEnded,
};

use super::{ANSWER, CALLS_MAX, Parts, Remote};
use crate::codec::{Call, as_text};
use crate::ids;
use crate::messages::{JSON_TYPE, hex};
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
        } = self.calls.remote.remove(at);
        match event.end() {
            InvitationEnd::Accepted => self.calls.note_talk(peer, channel),
            InvitationEnd::Refused => {}
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
        let is_it = |remote: &&Remote| remote.peer == parts.peer && remote.channel == parts.channel;
        let Some(remote) = self.calls.remote.iter().find(is_it) else {
            return self.fail(&call.id, "no invite");
        };
        let (id, response) = (remote.id.clone(), as_text(&parts.extra));
        if !parts.extra.is_string()
            && let Some(user) = ids::to_user_id(&parts.peer)
        {
            // A legacy caller gets the answer unchanged: its translator receives it first.
            self.send_signal(user, ANSWER, &parts, Pending::Nothing);
        }
        let decision = match call.function.as_str() {
            "voip_invite_accept" => HubCall::AcceptInvitation(AcceptInvitation { id, response }),
            _ => HubCall::RefuseInvitation(RefuseInvitation { id, response }),
        };
        self.request_for(&call.id, decision, Pending::Answer(call.id.clone()));
    }
}
