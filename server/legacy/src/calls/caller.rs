//! The caller's side of invitations. Source: signaling 8.2, 8.3.

use serde_json::{Value, json};
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{
    ConfirmAccept, Error, InvitationEnd, Invite, LocalInvitationEnded, reply,
};

use super::{CALLS_MAX, Local, Parts, TALKS_MAX, cancel};
use crate::codec::{Call, as_text};
use crate::ids;
use crate::messages::JSON_TYPE;
use crate::queries::{is_here, presence};
use crate::requests::Pending;
use crate::translator::Translator;

/// An invitation that no client of the callee has received by then fails. Source: signaling 8.3.
const RECEIPT_WAIT_MS: u64 = 20_000;
/// Longest `_timeout` that counts, in seconds. Source: ours.
const TIMEOUT_S_MAX: f64 = 3_600.0;

/// Codes of a failed invitation. Source: signaling 10.
const E_OTHER: u16 = 700;
const E_PEER_OFFLINE: u16 = 703;
const E_TIMEOUT: u16 = 704;

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

    /// Telephone numbers are invited through the app's gateway, which gets the number.
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
        let timeout_ms = timeout_ms.map(|seconds| (seconds.min(TIMEOUT_S_MAX) * 1_000.0) as u64);
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
        let (ask, pending) = if needs_peer {
            (
                presence(user),
                Pending::CalleeStatus {
                    id: id.clone(),
                    number,
                },
            )
        } else {
            (
                HubCall::Invite(call),
                Pending::Invite {
                    id: id.clone(),
                    number,
                },
            )
        };
        if !self.request(ask, pending) {
            self.calls.local.remove(&number);
            return self.fail(&id, "too frequent");
        }
        if let Some(earlier) = earlier {
            // The later invitation replaces the earlier one, both here and at the callee, who
            // receives it before the earlier one ends.
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

    /// A callee that had received the invitation gets its end, without a text (8.3).
    fn tell_callee_of_timeout(&mut self, number: u64) {
        let Some(local) = self.calls.local.get(&number) else {
            return;
        };
        let parts = Parts {
            channel: local.channel.clone(),
            peer: local.peer.clone(),
            extra: json!(""),
        };
        let end = self.signal_to(local.user.clone(), "voip_invite_bye", &parts);
        self.request_now(end, Pending::Nothing);
    }

    /// Handles the deadlines of sent invitations.
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
            if is_received {
                self.tell_callee_of_timeout(number);
            }
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

    /// The callee accepts. Legacy clients confirm nothing, so the translator does (9.5).
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
}
