//! Legacy users among native ones, and what they are promised (contract 1.8).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tidings_client_core::{Answer, Call, CallId, ClientEvent, Message};

use super::Chaos;
use crate::checks::{Done, Violation};
use crate::legacy::{LegacyRecord, LegacySeen};
use crate::world::{ClientId, Record, Seen};

/// The legacy users' channel; promises about the other channels are checked elsewhere.
const CHANNEL: &str = "grey";

/// A text that was sent.
#[derive(Debug)]
struct Sent {
    /// The sender's client, and the number of its login.
    lineage: (ClientId, u64),
    /// The receiver; `None` = the channel.
    to: Option<String>,
    /// It must be kept for an absent receiver.
    is_kept: bool,
    /// The server has acknowledged it.
    is_taken: bool,
    /// It is for a legacy client and was sent before the server crashed.
    is_excused: bool,
}

impl Sent {
    fn is_promised(&self) -> bool {
        self.is_kept && self.is_taken && !self.is_excused
    }
}

/// The legacy users of a run.
#[derive(Debug, Default)]
pub(super) struct LegacyPart {
    users: BTreeMap<ClientId, String>,
    /// The user of each native client that has received something.
    natives: BTreeMap<ClientId, String>,
    logins: BTreeMap<ClientId, u64>,
    /// Texts by number, which is the order of sending.
    sent: BTreeMap<u64, Sent>,
    /// Numbers of texts, by the call that sent them.
    legacy_calls: BTreeMap<(ClientId, u64), u64>,
    native_calls: BTreeMap<CallId, u64>,
    /// Numbers of texts in the order of arrival, by receiver and whether they came through the
    /// channel.
    arrived: BTreeMap<(ClientId, bool), Vec<u64>>,
    numbers: u64,
    violations: Vec<Violation>,
}

fn number_of(text: &str) -> Option<u64> {
    text.strip_prefix("legacy ")?.parse().ok()
}

impl LegacyPart {
    pub(super) fn received(&self) -> usize {
        self.arrived.values().map(Vec::len).sum()
    }

    fn note_text(&mut self, client: ClientId, is_channel: bool, text: &str) {
        if let Some(number) = number_of(text) {
            let key = (client, is_channel);
            self.arrived.entry(key).or_default().push(number);
        }
    }

    fn note(&mut self, record: LegacyRecord) {
        let client = record.client;
        match record.what {
            LegacySeen::LoggedIn => *self.logins.entry(client).or_default() += 1,
            LegacySeen::Answer { call, body } => {
                let number = self.legacy_calls.get(&(client, call));
                let sent = number.and_then(|number| self.sent.get_mut(number));
                if let Some(sent) = sent {
                    sent.is_taken = body["result"] == "ok";
                }
            }
            LegacySeen::Message { text, .. } => self.note_text(client, false, &text),
            LegacySeen::Channel { kind, content } if kind == "channel_msg" => {
                self.note_text(client, true, content["msg"].as_str().unwrap_or_default());
            }
            _ => {}
        }
    }

    /// What a native client received from legacy users.
    pub(super) fn note_native(&mut self, record: &Record, user: String) {
        match &record.what {
            Seen::Answer { id, result } => {
                let number = self.native_calls.get(id);
                let sent = number.and_then(|number| self.sent.get_mut(number));
                if let Some(sent) = sent {
                    sent.is_taken = matches!(result, Ok(Answer::PeerSent { .. }));
                }
            }
            Seen::Event(ClientEvent::PeerMessage {
                message: Message::Text(text),
                ..
            }) => {
                self.natives.insert(record.client, user);
                self.note_text(record.client, false, text);
            }
            Seen::Event(_) => {}
        }
    }

    fn note_sent(&mut self, client: ClientId, to: Option<String>, is_kept: bool) -> u64 {
        self.numbers += 1;
        let login = self.logins.get(&client).copied().unwrap_or(0);
        let sent = Sent {
            lineage: (client, login),
            to,
            is_kept,
            is_taken: false,
            is_excused: false,
        };
        self.sent.insert(self.numbers, sent);
        self.numbers
    }

    /// A message handed to a legacy client counts as received before the client acknowledges it
    /// (signaling 9.2): if the server crashes in between, or its disk accepts no writes, it may be
    /// lost.
    pub(super) fn excuse_handed(&mut self) {
        for sent in self.sent.values_mut() {
            let is_legacy = |to: &String| self.users.values().any(|account| account == to);
            sent.is_excused |= sent.to.as_ref().is_some_and(is_legacy);
        }
    }

    /// Checks the whole run, after everything has settled.
    pub(super) fn finish(mut self) -> Vec<Violation> {
        let mut violations = std::mem::take(&mut self.violations);
        for ((client, is_channel), numbers) in &self.arrived {
            violations.extend(self.order_of(*client, *is_channel, numbers));
        }
        let name = |client: &ClientId| self.natives.get(client).or(self.users.get(client));
        for (number, sent) in &self.sent {
            let Some(to) = sent.to.as_ref().filter(|_| sent.is_promised()) else {
                continue;
            };
            let has_arrived = self.arrived.iter().any(|((client, is_channel), numbers)| {
                !is_channel && name(client) == Some(to) && numbers.contains(number)
            });
            if !has_arrived {
                let text = format!("text {number} to {to} was taken to be kept and never came");
                let check = "legacy.inbox";
                violations.push(Violation { check, text });
            }
        }
        violations
    }

    /// Each text at most once, and those of one login of a sender in the order of sending.
    fn order_of(&self, client: ClientId, is_channel: bool, numbers: &[u64]) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<(ClientId, u64), u64> = BTreeMap::new();
        for number in numbers {
            let Some(sent) = self.sent.get(number) else {
                continue;
            };
            if !seen.insert(number) {
                let check = "legacy.inbox";
                let text = format!("{client:?} was shown text {number} twice");
                violations.push(Violation { check, text });
            }
            let before = last.insert(sent.lineage, *number);
            if before.is_some_and(|before| before > *number) {
                let check = "legacy.order";
                let place = if is_channel {
                    "the channel"
                } else {
                    "its queue"
                };
                let text = format!(
                    "{client:?} saw text {number} after {before:?} of one sender in {place}"
                );
                violations.push(Violation { check, text });
            }
        }
        violations
    }
}

impl Chaos {
    pub(super) fn begin_legacy(&mut self) {
        let count = self.random.between(1, 3);
        for n in 0..count {
            let account = format!("l{n}");
            let client = self.world.add_legacy(&account);
            if let Some(token) = self.lasting_token(&account) {
                self.world.set_legacy_token(client, token);
            }
            self.legacy.users.insert(client, account);
            self.world.legacy_login(client);
        }
        self.advance(2_000);
    }

    pub(super) fn note_legacy(&mut self) {
        for record in self.world.take_legacy_records() {
            self.legacy.note(record);
        }
    }

    fn draw_legacy(&mut self) -> Option<ClientId> {
        let clients: Vec<ClientId> = self.legacy.users.keys().copied().collect();
        (!clients.is_empty()).then(|| *self.random.pick(&clients))
    }

    /// A random legacy user acts, or something happens to it.
    pub(super) fn act_with_legacy(&mut self, has_faults: bool) {
        let Some(client) = self.draw_legacy() else {
            return;
        };
        match self.random.between(0, 9) {
            0..=3 => self.send_from_legacy(client),
            4..=5 => self.send_to_legacy(),
            6 => self.legacy_channel_call(client, "channel_join"),
            7 if self.random.percent(20) => self.legacy_channel_call(client, "channel_leave"),
            7 | 8 => self.say_in_legacy_channel(client),
            _ if has_faults && self.random.percent(40) => self.harm_legacy(client),
            _ => {}
        }
    }

    fn send_from_legacy(&mut self, client: ClientId) {
        let mut names: Vec<String> = self.legacy.users.values().cloned().collect();
        names.extend(self.users.values().cloned());
        let to = self.random.pick(&names).clone();
        for _ in 0..self.random.between(1, 4) {
            let is_kept = self.random.percent(80);
            let flag = if is_kept { "v1:E:2592000" } else { "v1:L:0" };
            let number = self.legacy.note_sent(client, Some(to.clone()), is_kept);
            let text = format!("legacy {number}");
            let args = json!({"peer": to, "flag": flag, "t": "instant", "content": text});
            self.legacy_call(client, "user_sendmsg", args, number);
        }
    }

    fn legacy_call(
        &mut self,
        client: ClientId,
        function: &str,
        args: serde_json::Value,
        number: u64,
    ) {
        self.calls += 1;
        if let Some(call) = self.world.legacy_call(client, function, args) {
            self.legacy.legacy_calls.insert((client, call), number);
        }
    }

    fn send_to_legacy(&mut self) {
        let Some(to) = self.draw_legacy().map(|to| self.legacy.users[&to].clone()) else {
            return;
        };
        let client = *self.random.pick(&self.clients);
        for _ in 0..self.random.between(1, 4) {
            let number = self.legacy.note_sent(client, Some(to.clone()), true);
            let call = Call::SendToPeer {
                peer_id: to.clone(),
                message: Message::Text(format!("legacy {number}")),
                offline: true,
                history: false,
            };
            let id = self.call(client, call, Done::Other);
            self.legacy.native_calls.insert(id, number);
        }
    }

    fn legacy_channel_call(&mut self, client: ClientId, function: &str) {
        self.calls += 1;
        let args = json!({"name": CHANNEL});
        self.world.legacy_call(client, function, args);
    }

    fn say_in_legacy_channel(&mut self, client: ClientId) {
        let number = self.legacy.note_sent(client, None, false);
        let args = json!({"name": CHANNEL, "msg": format!("legacy {number}")});
        self.legacy_call(client, "channel_sendmsg", args, number);
    }

    fn harm_legacy(&mut self, client: ClientId) {
        self.faults += 1;
        match self.random.between(0, 3) {
            0 => self.world.half_open(client),
            1 => self.world.set_offline(client, true),
            _ => self.world.cut(client),
        }
        let all: Vec<ClientId> = self.legacy.users.keys().copied().collect();
        for client in all {
            if self.random.percent(30) {
                self.world.set_offline(client, false);
            }
        }
    }

    /// Faults have stopped.
    pub(super) fn heal_legacy(&mut self) {
        let all: Vec<ClientId> = self.legacy.users.keys().copied().collect();
        for client in all {
            self.world.set_offline(client, false);
        }
    }

    pub(super) fn log_out_legacy(&mut self) {
        let all: Vec<ClientId> = self.legacy.users.keys().copied().collect();
        for client in all {
            self.world.legacy_logout(client);
        }
    }

    /// Everybody who wants to be logged in is.
    pub(super) fn check_legacy(&mut self) {
        let all: Vec<ClientId> = self.legacy.users.keys().copied().collect();
        for client in all {
            if !self.world.is_legacy_ready(client) {
                let check = "legacy.inbox";
                let text = format!("{client:?} is not logged in at the end");
                self.legacy.violations.push(Violation { check, text });
            }
        }
    }
}
