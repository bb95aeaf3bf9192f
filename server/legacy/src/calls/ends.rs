//! Ends of calls, and tones. Source: signaling 8.1, 9.5.

use serde_json::{Value, json};
use tidings_wire::hex;
use tidings_wire::proto::RefuseInvitation;
use tidings_wire::proto::request::Call as HubCall;

use super::{ANSWER, END_CALL_PREFIX, Parts, Remote, cancel};
use crate::codec::{Call, as_text};
use crate::ids;
use crate::messages::{text_message, to_peer};
use crate::requests::Pending;
use crate::translator::Translator;

impl Translator {
    /// Either side ends a call, before or after it was accepted.
    pub(crate) fn hang_up(&mut self, call: &Call) {
        let parts = match Parts::of(call) {
            Ok(parts) => parts,
            Err(reason) => return self.fail(&call.id, reason),
        };
        let user = match self.calls.local_of(&parts.peer, &parts.channel) {
            Some(number) => self
                .calls
                .local
                .get(&number)
                .map(|local| local.user.clone()),
            None => self
                .gateway_of(&parts.peer)
                .or_else(|| ids::to_user_id(&parts.peer)),
        };
        let Some(user) = user else {
            return self.fail(&call.id, "wrong param");
        };
        let is_accepting = |remote: &&mut Remote| {
            remote.is_accepting && remote.peer == parts.peer && remote.channel == parts.channel
        };
        if let Some(remote) = self.calls.remote.iter_mut().find(is_accepting) {
            // Order: the caller hears that it was accepted before it hears the end.
            remote.hang_up = Some(parts);
            return self.answer_ok(&call.id);
        }
        let number = self.calls.local_of(&parts.peer, &parts.channel);
        let remote = self.calls.take_remote(&parts.peer, &parts.channel);
        self.calls
            .talks
            .retain(|talk| (&talk.0, &talk.1) != (&parts.peer, &parts.channel));
        // Order: a legacy client receives the text of the end before the end itself.
        let is_ringing = number.is_some() || remote.is_some();
        let pending = if is_ringing {
            Pending::Nothing
        } else {
            bye(&user, &parts)
        };
        self.send_signal(user, "voip_invite_bye", &parts, pending);
        if let Some(number) = number {
            self.calls.local.remove(&number);
            self.request(cancel(number), Pending::Nothing);
        }
        if let Some(remote) = remote {
            let response = as_text(&parts.extra);
            let refuse = RefuseInvitation {
                id: remote.id,
                response,
            };
            self.request(HubCall::RefuseInvitation(refuse), Pending::Nothing);
        }
        self.answer_ok(&call.id);
    }

    /// Ends a call that has been accepted only after the client had ended it.
    pub(super) fn end_accepted(&mut self, parts: &Parts) {
        let user = self.gateway_of(&parts.peer);
        if let Some(user) = user.or_else(|| ids::to_user_id(&parts.peer)) {
            let pending = bye(&user, parts);
            self.send_signal(user, "voip_invite_bye", parts, pending);
        }
    }

    pub(crate) fn send_tones(&mut self, call: &Call) {
        let parts = match Parts::of(call) {
            Ok(parts) => parts,
            Err(reason) => return self.fail(&call.id, reason),
        };
        if let Some(gateway) = self.gateway_of(&parts.peer) {
            let tones = text_message(as_text(&parts.extra), "", 0);
            let pending = Pending::Answer(call.id.clone());
            return self.request_for(&call.id, to_peer(gateway, tones, false), pending);
        }
        let Some(user) = ids::to_user_id(&parts.peer) else {
            return self.fail(&call.id, "wrong param");
        };
        self.send_signal(user, "voip_invite_msg", &parts, Pending::Nothing);
        self.answer_ok(&call.id);
    }

    /// Ends a call towards an RTM user.
    pub(crate) fn send_end_text(&mut self, peer: &str, text: String) {
        let message = text_message(text, "", 0);
        self.request(to_peer(peer.into(), message, false), Pending::Nothing);
    }

    /// Handles a signal from another translator.
    pub(crate) fn take_signal(&mut self, from: &str, id: &str, text: &str, expires_ts: u64) {
        let Ok(signal) = serde_json::from_str::<Value>(text) else {
            return;
        };
        let channel = as_text(&signal["channel"]);
        let kind = match signal["t"].as_str() {
            Some("voip_invite_bye") => "voip_invite_bye",
            Some("voip_invite_msg") => "voip_invite_msg",
            Some(ANSWER) => return self.note_answer(from, &channel, signal["extra"].clone()),
            _ => return,
        };
        let peer = self.known_as(from, &channel);
        let from = peer.as_str();
        if kind == "voip_invite_bye" {
            let rang = self.calls.take_remote(from, &channel);
            if let Some(number) = self.calls.local_of(from, &channel) {
                self.calls.local.remove(&number);
            }
            self.calls
                .talks
                .retain(|talk| (talk.0.as_str(), talk.1.as_str()) != (from, channel.as_str()));
            if rang.is_some_and(|rang| self.queue.take_back(&hex(&rang.id))) {
                return;
            }
        }
        let mut entry = self.signal_entry(id, from, kind, &channel, signal["extra"].clone());
        entry.expires_ts = expires_ts;
        self.enqueue(entry);
    }

    /// Keeps the text of the callee's answer until the answer itself arrives.
    fn note_answer(&mut self, from: &str, channel: &str, extra: Value) {
        let number = self.calls.local_of(from, channel);
        if let Some(local) = number.and_then(|number| self.calls.local.get_mut(&number)) {
            local.answer = Some(extra);
        }
    }

    /// Handles an RTM user's end of a call: `<channel>_<info>`, where the info has no underscore
    /// (9.5).
    pub(crate) fn take_end_text(&mut self, from: &str, id: &str, ended: &str) {
        let known = self.calls.talks.iter().find_map(|(peer, channel)| {
            let info = ended.strip_prefix(channel.as_str())?.strip_prefix('_')?;
            (*peer == self.known_as(from, channel)).then(|| (channel.clone(), info.to_owned()))
        });
        let split = || {
            let (channel, info) = ended.rsplit_once('_')?;
            Some((channel.to_owned(), info.to_owned()))
        };
        let Some((channel, info)) = known.or_else(split) else {
            return;
        };
        let peer = self.known_as(from, &channel);
        let from = peer.as_str();
        self.calls
            .talks
            .retain(|talk| (talk.0.as_str(), &talk.1) != (from, &channel));
        let entry = self.signal_entry(id, from, "voip_invite_bye", &channel, json!(info));
        self.enqueue(entry);
    }
}

/// The end of an accepted call, for a peer that may be an RTM user.
fn bye(user: &str, parts: &Parts) -> Pending {
    let extra = as_text(&parts.extra);
    Pending::Bye {
        peer: user.into(),
        text: format!("{END_CALL_PREFIX}_{}_{extra}", parts.channel),
    }
}
