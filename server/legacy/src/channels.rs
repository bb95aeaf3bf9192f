//! The one channel of a login: joining, leaving, messages and member events. Source: signaling 7.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{
    ChannelMessage, Error, GetMembers, Join, Leave, ReadChannelAttributes, SendToChannel, message,
    reply,
};

use crate::attributes::{AttributeEvents, USER_NOTIFICATION, kept_s, named};
use crate::codec::{Call, as_text, server};
use crate::ids;
use crate::messages::{JSON_TYPE, TEXT_BYTES_MAX, text_message};
use crate::pace::Pace;
use crate::requests::{Pending, ok_with, reason};
use crate::special::{self, News};
use crate::translator::Translator;

/// Most members listed when joining: the latest. Source: signaling 7.2.
pub(crate) const USERS_MAX: usize = 200;
/// Most channel messages kept while a join is in progress.
const HELD_MAX: usize = 256;

/// The channel of a login.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// The channel that the login is in, or is joining.
    pub(crate) current: Option<String>,
    /// The login's membership has been announced (7.7).
    is_announced: bool,
    /// The join in progress.
    pub(crate) joining: Option<Joining>,
    /// Number of the last event.
    msgid: u64,
    /// The attributes last sent to the client.
    pub(crate) attributes: BTreeMap<String, String>,
    /// How long they are kept after the last member has left, as noted for the hub, in seconds.
    pub(crate) kept_s: Option<u64>,
    pub(crate) events: AttributeEvents,
    pub(crate) pace: Pace,
    pub(crate) counts: crate::attributes::Counts,
}

/// A join in progress.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    id: Value,
    /// The login is already in the channel.
    is_again: bool,
    has_joined: bool,
    attributes: Option<BTreeMap<String, String>>,
    users: Option<Vec<String>>,
    /// Events held back until after the answer. Bound: `HELD_MAX`.
    held: Vec<(&'static str, Value)>,
}

impl Channels {
    pub(crate) fn due_ms(&self) -> Option<u64> {
        let dues = [self.events.due_ms(), self.counts.due_ms()];
        dues.into_iter().flatten().min()
    }
}

impl Translator {
    /// Whether the login is in this channel, or joining it.
    pub(crate) fn is_in(&self, channel: &str) -> bool {
        self.channels.current.as_deref() == Some(channel)
    }

    pub(crate) fn join(&mut self, call: &Call) {
        let mut name = call.text("name").unwrap_or_default();
        if !ids::is_name(&name) {
            return self.fail(&call.id, "wrong param");
        }
        if let Some(special) = special::hub_name(&name) {
            if !self.rules.allows_special_channels || name == special {
                return self.fail(&call.id, "not allowed");
            }
            name = special.into();
        }
        if let Some(earlier) = self.channels.joining.take() {
            self.fail(&earlier.id, "not in channel");
        }
        let is_again = self.is_in(&name);
        if !is_again {
            self.leave_current();
            self.channels.current = Some(name.clone());
        }
        self.channels.joining = Some(Joining {
            id: call.id.clone(),
            is_again,
            has_joined: is_again,
            ..Joining::default()
        });
        let channel = || name.clone();
        if is_again {
            self.request_now(
                HubCall::GetMembers(GetMembers { channel: channel() }),
                Pending::JoinMembers,
            );
        } else {
            let join = HubCall::Join(Join { channel: channel() });
            if !self.request(join, Pending::Join) {
                return self.drop_join("too frequent");
            }
        }
        let read = ReadChannelAttributes {
            channel: channel(),
            keys: Vec::new(),
        };
        if !self.request(
            HubCall::ReadChannelAttributes(read),
            Pending::JoinAttributes,
        ) {
            self.drop_join("too frequent");
        }
    }

    fn drop_join(&mut self, reason: &str) {
        if let Some(joining) = self.channels.joining.take() {
            self.fail(&joining.id, reason);
            if !joining.is_again {
                self.forget_channel();
            }
        }
    }

    fn forget_channel(&mut self) {
        let left = self.channels.current.take();
        if std::mem::take(&mut self.channels.is_announced)
            && let Some(left) = left
        {
            self.announce(News::Leave, &left);
        }
        self.channels.attributes.clear();
        self.channels.kept_s = None;
        self.channels.pace = Pace::default();
        self.channels.events = AttributeEvents::default();
        self.channels.counts = crate::attributes::Counts::default();
    }

    fn leave_current(&mut self) {
        if let Some(channel) = self.channels.current.clone() {
            self.note_keep();
            self.forget_channel();
            let leave = HubCall::Leave(Leave { channel });
            // Behind the waiting messages; if too many are waiting, ahead of them rather than not
            // at all.
            if !self.request(leave.clone(), Pending::Nothing) {
                self.request_now(leave, Pending::Nothing);
            }
        }
    }

    /// Announces to the channel's listeners that the login ends.
    pub(crate) fn announce_end(&mut self) {
        if let Some(channel) = self.channels.current.clone()
            && std::mem::take(&mut self.channels.is_announced)
        {
            self.announce(News::Leave, &channel);
        }
        self.announce(News::Offline, "");
    }

    pub(crate) fn leave(&mut self, call: &Call) {
        let mut name = call.text("name").unwrap_or_default();
        if let Some(special) = special::hub_name(&name) {
            name = special.into();
        }
        if !self.is_in(&name) {
            return self.answer_ok(&call.id);
        }
        if let Some(earlier) = self.channels.joining.take() {
            self.fail(&earlier.id, "not in channel");
        }
        self.note_keep();
        let leave = HubCall::Leave(Leave { channel: name });
        self.request_for(&call.id, leave, Pending::Answer(call.id.clone()));
        self.forget_channel();
    }

    pub(crate) fn settle_join(&mut self, pending: Pending, result: Result<reply::Result, Error>) {
        let Some(joining) = &mut self.channels.joining else {
            return;
        };
        let Some(channel) = self.channels.current.clone() else {
            return;
        };
        match (pending, result) {
            (_, Err(error)) => return self.drop_join(reason(&error)),
            (Pending::Join, Ok(_)) => {
                joining.has_joined = true;
                let members = HubCall::GetMembers(GetMembers { channel });
                self.request_now(members, Pending::JoinMembers);
                return;
            }
            (_, Ok(reply::Result::Attributes(list))) => {
                self.channels.kept_s = kept_s(&list.attributes);
                joining.attributes = Some(named(list.attributes));
            }
            (_, Ok(reply::Result::Users(list))) => joining.users = Some(list.user_ids),
            _ => return,
        }
        if joining.has_joined && joining.attributes.is_some() && joining.users.is_some() {
            self.finish_join();
        }
    }

    fn finish_join(&mut self) {
        let Some(joining) = self.channels.joining.take() else {
            return;
        };
        let attributes = joining.attributes.unwrap_or_default();
        let users = joining.users.unwrap_or_default();
        let channel = self.channels.current.clone().unwrap_or_default();
        let is_special = special::hub_name(&channel).is_some();
        // The other listeners are not disclosed.
        let users = if is_special {
            ids::to_user_id(&self.account).into_iter().collect()
        } else {
            users
        };
        let count = users.len();
        let list = self.user_list(users, USERS_MAX);
        let body = ok_with(json!({"list": list, "attrs": attributes}));
        self.channels.attributes = attributes;
        self.note_members(count);
        self.note_keep();
        self.answer(&joining.id, &body);
        if !joining.is_again && !is_special {
            self.channels.is_announced = true;
            self.announce(News::Join, &channel);
        }
        for (kind, content) in joining.held {
            self.say_channel_event(kind, &content);
        }
    }

    /// `[[account, uid], …]`: the latest members, including the client itself if it is one.
    pub(crate) fn user_list(&self, users: Vec<String>, max: usize) -> Vec<Value> {
        let from = users.len().saturating_sub(max);
        let own = ids::to_user_id(&self.account);
        let is_own_cut = users[..from].iter().any(|user| Some(user) == own.as_ref());
        let mut list: Vec<Value> = users[from..]
            .iter()
            .map(|user| {
                let account = ids::to_account(user);
                let uid = self.uid_of(&account);
                json!([account, uid])
            })
            .collect();
        if is_own_cut && let Some(first) = list.first_mut() {
            *first = json!([self.account, self.uid_of(&self.account)]);
        }
        list
    }

    pub(crate) fn send_to_channel(&mut self, call: &Call) {
        let name = call.text("name").unwrap_or_default();
        let msg = call.value("msg");
        if special::hub_name(&name).is_some() {
            return self.fail(&call.id, "not allowed");
        }
        let is_forced = call.args.get("force") == Some(&Value::Bool(true));
        if !self.is_in(&name) {
            match (is_forced, self.rules.allows_force) {
                (true, true) if ids::is_name(&name) => {}
                (true, true) => return self.fail(&call.id, "wrong param"),
                (true, false) => return self.fail(&call.id, "not allowed"),
                (false, _) => return self.fail(&call.id, "not in channel"),
            }
        }
        let (text, kind) = (as_text(&msg), if msg.is_string() { "" } else { JSON_TYPE });
        if text.len() > TEXT_BYTES_MAX {
            return self.fail(&call.id, "too large");
        }
        // Distinguishes a channel from a peer with the same name.
        let (place, now_ms) = (format!("#{name}"), self.now.mono_ms);
        if self
            .repeats
            .note(&place, call.text("msgID"), &call.id, now_ms)
        {
            return self.answer_ok(&call.id);
        }
        if self.is_in(&name) && !self.pace_message() {
            return self.fail(&call.id, "too frequent");
        }
        let send = HubCall::SendToChannel(SendToChannel {
            channel: name.clone(),
            message: Some(text_message(text, kind, 0)),
            history: false,
        });
        let pending = Pending::ChannelMessage {
            id: call.id.clone(),
            channel: name,
            msg,
        };
        self.request_for(&call.id, send, pending);
    }

    /// Senders see their own messages, at their place in the channel's order.
    pub(crate) fn echo(&mut self, channel: &str, msg: Value) {
        let account = self.account.clone();
        self.say_message(channel, &account, msg);
    }

    pub(crate) fn take_channel_message(&mut self, event: ChannelMessage) {
        let message = event.message.unwrap_or_default();
        let Some(message::Body::Text(text)) = message.body else {
            return;
        };
        if self.is_in(&event.channel) {
            self.pace_message();
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let msg = if message.r#type == JSON_TYPE {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        } else {
            Value::String(text)
        };
        self.say_message(&event.channel, &ids::to_account(&event.from), msg);
    }

    fn say_message(&mut self, channel: &str, account: &str, msg: Value) {
        let content = json!({
            "account": account,
            "uid": self.uid_of(account),
            "msg": msg,
            "channel": special::shown(channel),
        });
        self.tell_channel(channel, "channel_msg", content);
    }

    pub(crate) fn take_member(&mut self, channel: &str, user_id: &str, kind: &'static str) {
        if !self.is_in(channel) || special::hub_name(channel).is_some() {
            return;
        }
        // A list that is still being read already reflects this.
        if self
            .channels
            .joining
            .as_ref()
            .is_some_and(|joining| joining.users.is_none())
        {
            return;
        }
        self.note_member(kind);
        if self
            .channels
            .attributes
            .get(USER_NOTIFICATION)
            .is_some_and(|on| on == "0")
        {
            return;
        }
        let account = ids::to_account(user_id);
        let content = json!({
            "account": account, "uid": self.uid_of(&account), "channel": channel,
        });
        self.tell_channel(channel, kind, content);
    }

    /// An event of the current channel; `None` for any other.
    pub(crate) fn tell_channel(&mut self, channel: &str, kind: &'static str, content: Value) {
        if !self.is_in(channel) {
            return;
        }
        match &mut self.channels.joining {
            Some(joining) if !joining.is_again => {
                if joining.held.len() < HELD_MAX {
                    joining.held.push((kind, content));
                }
            }
            _ => self.say_channel_event(kind, &content),
        }
    }

    fn say_channel_event(&mut self, kind: &str, content: &Value) {
        let Some(channel) = &self.channels.current else {
            return;
        };
        self.channels.msgid += 1;
        let now_s = self.now.unix_ms / 1_000;
        let line = format!("msg-v2 notify - v1:E:180 {kind} {now_s} {content}");
        let frame = server::channel_event(&ids::cid(channel), self.channels.msgid, &line);
        self.say(frame);
    }

    /// The attributes read by the join in progress, if there is one.
    pub(crate) fn joining_attributes(&mut self) -> Option<&mut Option<BTreeMap<String, String>>> {
        self.channels
            .joining
            .as_mut()
            .map(|joining| &mut joining.attributes)
    }
}
