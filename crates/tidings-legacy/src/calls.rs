//! Invitations. Source: signaling-wire 8, 9.5.
//!
//! The hub keeps the record of an invitation while it rings. What only legacy clients can say to each other, an
//! end with its words or tones, goes from translator to translator as a message for libraries ([`SIGNAL_TYPE`]).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{
    AcceptInvitation, CancelInvitation, ConfirmAccept, Error, IncomingInvitation, InvitationEnd,
    Invite, LocalInvitationEnded, RefuseInvitation, RemoteInvitationEnded, reply,
};

use crate::codec::{Call, as_text};
use crate::ids;
use crate::messages::{JSON_TYPE, SIGNAL_TYPE, TEXT_BYTES_MAX, hex, text_message, to_peer};
use crate::queries::{is_here, presence};
use crate::queue::Entry;
use crate::requests::Pending;
use crate::translator::{Output, Translator};

/// What RTM users send to end a call, and get. Source: signaling-wire 9.5.
pub(crate) const END_CALL_PREFIX: &str = "AgoraRTMLegacyEndcallCompatibleMessagePrefix";

/// How long a signal waits for its receiver.
const SIGNAL_TTL_MS: u64 = 30_000;
/// An invitation that no client of the callee has had by then fails. Source: signaling-wire 8.3.
const RECEIPT_WAIT_MS: u64 = 20_000;
/// Accepted calls that are remembered, to take an end message of the peer apart; the oldest goes first.
const TALKS_MAX: usize = 64;
/// Ringing invitations of one client, either way.
const CALLS_MAX: usize = 100;

/// The signal that tells of an answer that is no text.
const ANSWER: &str = "answer";

/// Codes of a failed invitation. Source: signaling-wire 10.
const E_OTHER: u16 = 700;
const E_PEER_OFFLINE: u16 = 703;
const E_TIMEOUT: u16 = 704;

/// The invitations of one client.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Numbers given out so far.
    numbers: u64,
    /// Sent and not ended, by number. Bound: `CALLS_MAX`.
    local: BTreeMap<u64, Local>,
    /// Received and not ended. Bound: `CALLS_MAX`.
    remote: Vec<Remote>,
    /// Calls that were accepted: (peer, channel). Bound: `TALKS_MAX`.
    talks: Vec<(String, String)>,
    /// Telephone numbers that were invited, by way of the gateway. Bound: `TALKS_MAX`.
    phones: Vec<String>,
    /// Signals made here, to name them.
    signals: u64,
}

#[derive(Debug)]
struct Local {
    /// The callee, as the client calls it.
    peer: String,
    /// Who is invited in its place.
    user: String,
    channel: String,
    call: Invite,
    /// What the callee has answered with, if that is no text.
    answer: Option<Value>,
    is_received: bool,
    /// When a client of the callee must have it.
    receipt_due_ms: u64,
    /// When it must be answered, if the caller has said so.
    answer_due_ms: Option<u64>,
}

#[derive(Debug)]
struct Remote {
    id: Bytes,
    peer: String,
    channel: String,
}

impl Calls {
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.local.values().map(Local::due_ms).min()
    }

    fn local_of(&self, peer: &str, channel: &str) -> Option<u64> {
        let is_it = |(_, local): &(&u64, &Local)| local.peer == peer && local.channel == channel;
        self.local.iter().find(is_it).map(|(number, _)| *number)
    }

    fn take_remote(&mut self, peer: &str, channel: &str) -> Option<Remote> {
        let is_it = |remote: &Remote| remote.peer == peer && remote.channel == channel;
        let at = self.remote.iter().position(is_it)?;
        Some(self.remote.remove(at))
    }

    fn note_talk(&mut self, peer: String, channel: String) {
        self.talks
            .retain(|talk| (&talk.0, &talk.1) != (&peer, &channel));
        if self.talks.len() == TALKS_MAX {
            self.talks.remove(0);
        }
        self.talks.push((peer, channel));
    }
}

impl Local {
    fn due_ms(&self) -> u64 {
        let receipt = if self.is_received {
            u64::MAX
        } else {
            self.receipt_due_ms
        };
        receipt.min(self.answer_due_ms.unwrap_or(u64::MAX))
    }
}

/// The parts of a call about an invitation.
struct Parts {
    channel: String,
    peer: String,
    extra: Value,
}

impl Parts {
    fn of(call: &Call) -> Result<Self, &'static str> {
        let channel = call.text("channelName").unwrap_or_default();
        let peer = call.text("peer").unwrap_or_default();
        let extra = call.value("extra");
        if !ids::is_name(&channel) || ids::to_user_id(&peer).is_none() {
            return Err("wrong param");
        }
        if as_text(&extra).len() > TEXT_BYTES_MAX {
            return Err("too large");
        }
        Ok(Self {
            channel,
            peer,
            extra,
        })
    }

    /// A key of `extra`, which is JSON or text that holds JSON.
    fn setting(&self, name: &str) -> Option<f64> {
        let parsed;
        let extra = match &self.extra {
            Value::String(text) => {
                parsed = serde_json::from_str::<Value>(text).ok()?;
                &parsed
            }
            other => other,
        };
        let value = extra.get(name)?;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }
}

impl Translator {
    pub(crate) fn invite(&mut self, call: &Call) {
        match Parts::of(call) {
            Ok(parts) => {
                let user = ids::to_user_id(&parts.peer).unwrap_or_default();
                let content = as_text(&parts.extra);
                self.start_invitation(&call.id, parts, user, content);
            }
            Err(reason) => self.fail(&call.id, reason),
        }
    }

    /// A telephone number is invited by way of the app's gateway, which is told the number.
    pub(crate) fn invite_phone(&mut self, call: &Call) {
        let parts = match Parts::of(call) {
            Ok(parts) => parts,
            Err(reason) => return self.fail(&call.id, reason),
        };
        let Some(gateway) = self.rules.phone_gateway.clone() else {
            return self.fail(&call.id, "no phone gateway");
        };
        let content = json!({"phone": parts.peer, "extra": parts.extra}).to_string();
        if !self.calls.phones.contains(&parts.peer) {
            if self.calls.phones.len() == TALKS_MAX {
                self.calls.phones.remove(0);
            }
            self.calls.phones.push(parts.peer.clone());
        }
        self.start_invitation(&call.id, parts, gateway, content);
    }

    fn start_invitation(&mut self, id: &Value, parts: Parts, user: String, content: String) {
        if self.calls.local.len() >= CALLS_MAX {
            return self.fail(id, "too frequent");
        }
        let earlier = self.calls.local_of(&parts.peer, &parts.channel);
        self.calls.numbers += 1;
        let number = self.calls.numbers;
        let timeout_ms = parts.setting("_timeout").filter(|seconds| *seconds > 0.0);
        let timeout_ms = timeout_ms.map(|seconds| (seconds.min(3_600.0) * 1_000.0) as u64);
        let now_ms = self.now.mono_ms;
        let needs_peer = parts.setting("_require_peer_online") == Some(1.0);
        let call = Invite {
            number,
            callee_id: user.clone(),
            content,
            channel: parts.channel.clone(),
            r#type: if parts.extra.is_string() {
                ""
            } else {
                JSON_TYPE
            }
            .into(),
        };
        let local = Local {
            peer: parts.peer,
            user: user.clone(),
            channel: parts.channel,
            call: call.clone(),
            answer: None,
            is_received: false,
            receipt_due_ms: now_ms + timeout_ms.unwrap_or(u64::MAX).min(RECEIPT_WAIT_MS),
            answer_due_ms: timeout_ms.map(|timeout_ms| now_ms + timeout_ms),
        };
        self.calls.local.insert(number, local);
        let id = id.clone();
        let (ask, pending) = match needs_peer {
            true => (
                presence(user),
                Pending::CalleeStatus {
                    id: id.clone(),
                    number,
                },
            ),
            false => (
                HubCall::Invite(call),
                Pending::Invite {
                    id: id.clone(),
                    number,
                },
            ),
        };
        if !self.request(ask, pending) {
            self.calls.local.remove(&number);
            return self.fail(&id, "too frequent");
        }
        if let Some(earlier) = earlier {
            // The later takes its place, here and with the callee, who has it before the earlier ends.
            self.calls.local.remove(&earlier);
            self.request(cancel(earlier), Pending::Nothing);
        }
    }

    pub(crate) fn settle_invite(&mut self, id: &Value, number: u64, reason: Option<&'static str>) {
        match reason {
            None => self.answer_ok(id),
            Some(reason) => {
                self.calls.local.remove(&number);
                self.fail(id, reason);
            }
        }
    }

    pub(crate) fn settle_callee(
        &mut self,
        id: &Value,
        number: u64,
        result: Result<reply::Result, Error>,
    ) {
        let Some(local) = self.calls.local.get(&number) else {
            return self.answer_ok(id);
        };
        if matches!(&result, Ok(reply::Result::Presence(list)) if is_here(list)) {
            let call = HubCall::Invite(local.call.clone());
            let pending = Pending::Invite {
                id: id.clone(),
                number,
            };
            return self.request_now(call, pending);
        }
        self.answer_ok(id);
        self.fail_invitation(number, E_PEER_OFFLINE, "peer offline");
    }

    /// Tells the caller that its invitation has failed.
    fn fail_invitation(&mut self, number: u64, code: u16, reason: &str) {
        let Some(local) = self.calls.local.remove(&number) else {
            return;
        };
        let extra = json!({"code": code, "reason": reason}).to_string();
        self.signal(
            &local.peer,
            "voip_invite_failed",
            &local.channel,
            json!(extra),
        );
    }

    /// Does what time asks of the invitations that were sent.
    pub(crate) fn check_calls(&mut self) {
        let now_ms = self.now.mono_ms;
        let due: Vec<(u64, bool)> = self
            .calls
            .local
            .iter()
            .filter(|(_, local)| local.due_ms() <= now_ms)
            .map(|(number, local)| (*number, local.is_received))
            .collect();
        for (number, is_received) in due {
            self.request_now(cancel(number), Pending::Nothing);
            let code = if is_received { E_TIMEOUT } else { E_OTHER };
            self.fail_invitation(number, code, "timeout");
        }
    }

    // ------------------------------------------------------------ from the hub, for the caller

    pub(crate) fn take_received(&mut self, number: u64) {
        let Some(local) = self.calls.local.get_mut(&number) else {
            return;
        };
        local.is_received = true;
        let (peer, channel) = (local.peer.clone(), local.channel.clone());
        self.signal(&peer, "voip_invite_ack", &channel, json!(""));
    }

    /// The callee accepts: legacy clients confirm nothing, so that is done for them (9.5).
    pub(crate) fn confirm_accept(&mut self, number: u64) {
        if self.calls.local.contains_key(&number) {
            let confirm = HubCall::ConfirmAccept(ConfirmAccept { number });
            self.request_now(confirm, Pending::Nothing);
        }
    }

    pub(crate) fn take_local_end(&mut self, event: LocalInvitationEnded) {
        let number = event.number;
        let Some(local) = self.calls.local.get(&number) else {
            return;
        };
        let (peer, channel) = (local.peer.clone(), local.channel.clone());
        let answer = local.answer.clone();
        let extra = answer
            .filter(|answer| as_text(answer) == event.response)
            .unwrap_or(json!(event.response));
        match event.end() {
            InvitationEnd::Accepted => {
                self.calls.local.remove(&number);
                self.calls.note_talk(peer.clone(), channel.clone());
                self.signal(&peer, "voip_invite_accept", &channel, extra);
            }
            InvitationEnd::Refused => {
                self.calls.local.remove(&number);
                self.signal(&peer, "voip_invite_refuse", &channel, extra);
            }
            InvitationEnd::Expired => self.fail_invitation(number, E_TIMEOUT, "timeout"),
            InvitationEnd::CalleeGone => {
                self.fail_invitation(number, E_PEER_OFFLINE, "peer offline");
            }
            _ => self.fail_invitation(number, E_OTHER, "timeout"),
        }
    }

    // ------------------------------------------------------------ from the hub, for the callee

    pub(crate) fn take_invitation(&mut self, event: IncomingInvitation) {
        // Without a channel it cannot be said in this protocol: it never rings (9.5).
        if event.channel.is_empty() || self.calls.remote.len() >= CALLS_MAX {
            return;
        }
        let peer = ids::to_account(&event.caller_id);
        self.calls.take_remote(&peer, &event.channel);
        let extra = match event.r#type == JSON_TYPE {
            true => serde_json::from_str(&event.content).unwrap_or(json!(event.content)),
            false => json!(event.content),
        };
        let entry = self.signal_entry(&hex(&event.id), &peer, "voip_invite", &event.channel, extra);
        self.enqueue(entry);
        self.calls.remote.push(Remote {
            id: event.id,
            peer,
            channel: event.channel,
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
        let Remote { id, peer, channel } = self.calls.remote.remove(at);
        match event.end() {
            InvitationEnd::Accepted => self.calls.note_talk(peer, channel),
            InvitationEnd::Refused => {}
            // What the client has not been told has not rung.
            _ if self.queue.take_back(&hex(&id)) => {}
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
            // A legacy caller gets it as it is: its translator is told before.
            self.send_signal(user, ANSWER, &parts, Pending::Nothing);
        }
        let decision = match call.function.as_str() {
            "voip_invite_accept" => HubCall::AcceptInvitation(AcceptInvitation { id, response }),
            _ => HubCall::RefuseInvitation(RefuseInvitation { id, response }),
        };
        self.request_for(&call.id, decision, Pending::Answer(call.id.clone()));
    }

    // ------------------------------------------------------------ ends and tones

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
        let number = self.calls.local_of(&parts.peer, &parts.channel);
        let remote = self.calls.take_remote(&parts.peer, &parts.channel);
        self.calls
            .talks
            .retain(|talk| (&talk.0, &talk.1) != (&parts.peer, &parts.channel));
        // Order: a legacy client hears the words of the end before the end.
        let is_ringing = number.is_some() || remote.is_some();
        let pending = match is_ringing {
            true => Pending::Nothing,
            false => Pending::Bye {
                peer: user.clone(),
                text: format!(
                    "{END_CALL_PREFIX}_{}_{}",
                    parts.channel,
                    as_text(&parts.extra)
                ),
            },
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

    /// The user that answers for a telephone number that was invited.
    fn gateway_of(&self, peer: &str) -> Option<String> {
        let is_phone = self.calls.phones.iter().any(|phone| phone == peer);
        self.rules.phone_gateway.clone().filter(|_| is_phone)
    }

    /// Tells the peer's library something that the native protocol has no word for.
    fn send_signal(&mut self, user: String, kind: &str, parts: &Parts, pending: Pending) {
        let text = json!({"t": kind, "channel": parts.channel, "extra": parts.extra}).to_string();
        let expires_ts = self.now.unix_ms + SIGNAL_TTL_MS;
        let message = text_message(text, SIGNAL_TYPE, expires_ts);
        self.request(to_peer(user, message, true), pending);
    }

    /// Ends a call towards an RTM user.
    pub(crate) fn send_end_text(&mut self, peer: &str, text: String) {
        let message = text_message(text, "", 0);
        self.request(to_peer(peer.into(), message, false), Pending::Nothing);
    }

    /// A translator tells us something.
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

    /// Keeps what the callee answers with until its answer comes.
    fn note_answer(&mut self, from: &str, channel: &str, extra: Value) {
        let number = self.calls.local_of(from, channel);
        if let Some(local) = number.and_then(|number| self.calls.local.get_mut(&number)) {
            local.answer = Some(extra);
        }
    }

    /// What the client calls the other side of a call: the gateway stands for a telephone number.
    fn known_as(&self, from: &str, channel: &str) -> String {
        let gateway = self.rules.phone_gateway.as_deref().map(ids::to_account);
        if gateway.as_deref() != Some(from) {
            return from.into();
        }
        let ringing = self.calls.local.values();
        let ringing = ringing.map(|local| (&local.peer, &local.channel));
        let talks = self.calls.talks.iter().map(|talk| (&talk.0, &talk.1));
        ringing
            .chain(talks)
            .find(|(peer, at)| *at == channel && self.calls.phones.contains(peer))
            .map_or_else(|| from.into(), |(peer, _)| peer.clone())
    }

    /// An RTM user ends a call: `<channel>_<info>`, where the info has no underscore (9.5).
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

    /// Puts a signal that was made here into the queue.
    fn signal(&mut self, peer: &str, kind: &'static str, channel: &str, extra: Value) {
        self.calls.signals += 1;
        let id = format!("s{}-{}", self.line, self.calls.signals);
        let entry = self.signal_entry(&id, peer, kind, channel, extra);
        self.enqueue(entry);
    }

    fn signal_entry(
        &self,
        id: &str,
        peer: &str,
        kind: &'static str,
        channel: &str,
        extra: Value,
    ) -> Entry {
        let content = json!({
            "channel": channel, "peer": peer, "extra": extra, "peeruid": self.uid_of(peer),
        });
        Entry {
            id: id.into(),
            from: peer.into(),
            kind,
            sent_ts: self.now.unix_ms,
            expires_ts: self.now.unix_ms + SIGNAL_TTL_MS,
            content: content.to_string(),
            sseq: self.sseq,
        }
    }
}

fn cancel(number: u64) -> HubCall {
    HubCall::CancelInvitation(CancelInvitation { number })
}
