//! User and channel attributes: every change is one atomic, durable step of the store.

pub(crate) mod ends;
pub(crate) mod keep;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tidings_token::Access;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{
    ATTRIBUTE_KEY_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_MAX,
    CHANNEL_ATTRIBUTES_BYTES_MAX, USER_ATTRIBUTES_BYTES_MAX,
};
use tidings_wire::names::{NameRule, UserId, WIDE_NAME_CHARS_MAX};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Attribute, AttributeList, AttributeWrite, ChannelAttributes, Error, ReadChannelAttributes,
    ReadUserAttributes, WriteChannelAttributes, WriteUserAttributes, reply,
};

use crate::bus_ops::{Answer, BusOp, ForOthers, Publication, Question, Topic};
use crate::channels::state::Channels;
use crate::ids::{ChannelKey, UserKey};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::Kernel;
use crate::kernel::asks::{AskRule, AskTag, Hangs, Outcome as Asked, Settled};
use crate::kernel::caller::Caller;
use crate::kernel::maps::NumberMap;
use crate::kernel::reply::error;
use crate::kernel::stores::StoreTag;
use crate::rates;
use crate::store_ops::{
    AttributeEntry, AttributeLimits, AttributeOwner, LIBRARY_KEY, StoreAnswer, StoreOp,
};

/// What a write was, as members are told.
#[derive(Debug)]
pub(crate) struct AttributeChange {
    how: AttributeWrite,
    keys: Vec<String>,
    by: String,
}

/// A store operation on attributes.
#[derive(Debug)]
pub(crate) enum AttributeStore {
    Write {
        caller: Caller,
        notify: Option<(ChannelKey, AttributeChange)>,
    },
    Read {
        caller: Caller,
        keys: Vec<String>,
        /// The owner is a user who is offline: only its attributes show that it exists.
        absent: Option<UserId>,
    },
    Owners {
        touched_before: u64,
    },
    /// The channel has lost its last member then, in Unix milliseconds.
    Keep {
        channel: ChannelKey,
        left_ts: u64,
    },
}

/// A question asked for attributes.
#[derive(Debug)]
pub(crate) enum AttributeAsk {
    /// Is the user online whose attributes were asked for?
    Read {
        caller: Caller,
        user: UserKey,
        keys: Vec<String>,
    },
    /// Is the user online whose attributes are to be written from outside?
    Write {
        caller: Caller,
        user: UserKey,
        call: WriteUserAttributes,
    },
    /// Is the user online, whose attributes may be left over?
    SweepUser { user: UserKey, touched_before: u64 },
    /// Has the channel a member, whose attributes may be left over?
    SweepChannel {
        channel: ChannelKey,
        touched_before: u64,
    },
}

impl AttributeAsk {
    fn question(&self) -> Question {
        match self {
            Self::Read { .. } | Self::Write { .. } | Self::SweepUser { .. } => Question::Presence,
            Self::SweepChannel { .. } => Question::Count,
        }
    }
}

/// Asked for a reader: the first hub that has the user there decides.
static READER: AskRule = AskRule {
    tag: AskTag::Attributes,
    hangs: Hangs::OnHub,
    is_decided_by: Answer::is_of_somebody_there,
    takes_some: true,
};

/// Asked before something is deleted: every hub has to answer.
pub(crate) static SWEEP: AskRule = AskRule {
    takes_some: false,
    ..READER
};

/// Attributes that this hub reads, writes and clears up.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    /// Questions under way, by their numbers. Bound: each belongs to an open request or a sweep.
    pub(crate) asks: NumberMap<AttributeAsk>,
    /// Store operations under way, by their tickets. Bound: as above.
    pub(crate) stores: NumberMap<AttributeStore>,
}

impl Attributes {
    pub(crate) fn ask(
        &mut self,
        kernel: &mut Kernel,
        topic: Topic,
        rule: &'static AskRule,
        ask: AttributeAsk,
        out: &mut dyn Sink,
    ) {
        let number = kernel.ask(topic, ask.question(), rule, out);
        self.asks.insert(number, ask);
    }

    pub(crate) fn store(
        &mut self,
        kernel: &mut Kernel,
        op: StoreOp,
        pending: AttributeStore,
        out: &mut dyn Sink,
    ) {
        let ticket = kernel.store(op, StoreTag::Attributes, out);
        self.stores.insert(ticket.0, pending);
    }
}

impl Attributes {
    pub(crate) fn handle_write_user_attributes(
        &mut self,
        caller: Caller,
        call: WriteUserAttributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(user) = kernel.user_of(caller).cloned() else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let here = match caller.session() {
            Some(key) => Some(key),
            None => kernel.users.get(&user).and_then(|entry| entry.session),
        };
        match here.and_then(|key| kernel.sessions.get_mut(key)) {
            Some(session) => session.has_attributes = true,
            None if kernel.config.apps.settings(&user.app).keep_user_attributes => {}
            None => return self.seek_owner(caller, user, call, kernel, out),
        }
        self.write_user_attributes(caller, user, call, kernel, out);
    }

    /// Attributes of a user end with its login: one from outside needs a login of the user on
    /// another hub.
    fn seek_owner(
        &mut self,
        caller: Caller,
        user: UserKey,
        call: WriteUserAttributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let topic = Topic::User(user.clone());
        let ask = AttributeAsk::Write { caller, user, call };
        self.ask(kernel, topic, &READER, ask, out);
    }

    fn write_user_attributes(
        &mut self,
        caller: Caller,
        user: UserKey,
        call: WriteUserAttributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let owner = AttributeOwner::User(user);
        let limits = AttributeLimits {
            entries_max: ATTRIBUTES_MAX,
            bytes_max: USER_ATTRIBUTES_BYTES_MAX,
        };
        let kind = rates::Kind::WriteUserAttributes;
        self.write_attributes(
            caller,
            (owner, limits, kind),
            (call.how, call.attributes),
            None,
            kernel,
            out,
        );
    }

    pub(crate) fn handle_write_channel_attributes(
        &mut self,
        caller: Caller,
        call: WriteChannelAttributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = kernel.parse_channel(caller, &call.channel, out) else {
            // It is answered.
            return;
        };
        if !kernel.permit_in(caller, Access::Write, &channel.channel, out) {
            return;
        }
        let owner = AttributeOwner::Channel(channel.clone());
        let limits = AttributeLimits {
            entries_max: ATTRIBUTES_MAX,
            bytes_max: CHANNEL_ATTRIBUTES_BYTES_MAX,
        };
        let kind = rates::Kind::WriteChannelAttributes;
        let notify = call.notify.then_some(channel);
        self.write_attributes(
            caller,
            (owner, limits, kind),
            (call.how, call.attributes),
            notify,
            kernel,
            out,
        );
    }

    fn write_attributes(
        &mut self,
        caller: Caller,
        (owner, limits, rate): (AttributeOwner, AttributeLimits, rates::Kind),
        (how, attributes): (i32, Vec<Attribute>),
        notify: Option<ChannelKey>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let names = kernel.traits_of_caller(caller).names;
        let checked = AttributeWrite::try_from(how)
            .map_err(|_| {
                error(
                    Outcome::InvalidArgument,
                    format!("{how} is no way to write"),
                )
            })
            .and_then(|how| check_attributes(how, &attributes, names).map(|()| how));
        let how = match checked {
            Ok(how) => how,
            Err(error) => return kernel.reply_error(caller, error, out),
        };
        if !kernel.take_rate(caller, rate, out) {
            return;
        }
        let Some(user) = kernel.user_of(caller) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let (by, now_ts) = (user.user.to_string(), kernel.now.unix_ms);
        let notify = notify.map(|channel| {
            let keys = attributes.iter().map(|attribute| attribute.key.clone());
            let (keys, by) = (keys.collect(), by.clone());
            (channel, AttributeChange { how, keys, by })
        });
        let entries = attributes
            .into_iter()
            .map(|attribute| AttributeEntry {
                key: attribute.key,
                value: attribute.value,
                updated_by: by.clone(),
                updated_ts: now_ts,
            })
            .collect();
        let op = StoreOp::AttributesWrite {
            owner,
            how,
            entries,
            limits,
            now_ts,
        };
        let pending = AttributeStore::Write { caller, notify };
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn handle_read_user_attributes(
        &mut self,
        caller: Caller,
        call: ReadUserAttributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(app) = kernel.user_of(caller).map(|user| user.app.clone()) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let names = kernel.traits_of_caller(caller).names;
        let user = match UserId::parse_by(names, &call.user_id) {
            Ok(user) => UserKey { app, user },
            Err(name) => {
                let text = format!("user id {:?}: {name}", call.user_id);
                return kernel.reply_error(caller, error(Outcome::InvalidArgument, text), out);
            }
        };
        if !kernel.permit_with(caller, Access::Read, &user.user, out) {
            return;
        }
        if !kernel.take_rate(caller, rates::Kind::ReadUserAttributes, out) {
            return;
        }
        let here = kernel
            .users
            .get(&user)
            .and_then(|entry| kernel.sessions.get(entry.session?));
        let keys = call.keys;
        if here.is_some_and(|session| session.is_here()) {
            let owner = AttributeOwner::User(user);
            return self.read_attributes(caller, owner, keys, None, kernel, out);
        }
        let ask = AttributeAsk::Read {
            caller,
            user: user.clone(),
            keys,
        };
        let topic = Topic::User(user);
        self.ask(kernel, topic, &READER, ask, out);
    }

    pub(crate) fn handle_read_channel_attributes(
        &mut self,
        caller: Caller,
        call: ReadChannelAttributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = kernel.parse_channel(caller, &call.channel, out) else {
            // It is answered.
            return;
        };
        if kernel.permit_in(caller, Access::Read, &channel.channel, out)
            && kernel.take_rate(caller, rates::Kind::ReadChannelAttributes, out)
        {
            let owner = AttributeOwner::Channel(channel);
            self.read_attributes(caller, owner, call.keys, None, kernel, out);
        }
    }

    fn read_attributes(
        &mut self,
        caller: Caller,
        owner: AttributeOwner,
        keys: Vec<String>,
        absent: Option<UserId>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let pending = AttributeStore::Read {
            caller,
            keys,
            absent,
        };
        self.store(kernel, StoreOp::AttributesRead { owner }, pending, out);
    }

    /// A store operation of ours is answered.
    pub(crate) fn finish_attribute_store(
        &mut self,
        ticket: Ticket,
        answer: StoreAnswer,
        channels: &Channels,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(pending) = self.stores.remove(&ticket.0) else {
            debug_assert!(false, "a store operation that nobody waits for");
            return;
        };
        match (pending, answer) {
            (
                AttributeStore::Write { caller, notify },
                StoreAnswer::AttributesWritten { revision, entries },
            ) => {
                if let Some((channel, change)) = notify {
                    let known = channels.known.get(&channel);
                    let members = known.map_or(1, |known| known.members.len());
                    let bytes = entries.iter().map(|e| e.key.len() + e.value.len()).sum();
                    kernel.charge_fan_out(caller, bytes, members);
                    Self::emit_attributes(channel, change, (revision, entries), out);
                }
                kernel.reply_done(caller, out);
            }
            (AttributeStore::Write { caller, .. }, StoreAnswer::Overflow { entries, bytes }) => {
                let text = format!(
                    "there would be {entries} attributes of {bytes} bytes; at most \
                     {ATTRIBUTES_MAX} attributes of {USER_ATTRIBUTES_BYTES_MAX} bytes (a user) or \
                     {CHANNEL_ATTRIBUTES_BYTES_MAX} bytes (a channel) are allowed"
                );
                kernel.reply_error(caller, error(Outcome::SizeOverflow, text), out);
            }
            (
                AttributeStore::Read {
                    caller,
                    absent: Some(user),
                    ..
                },
                StoreAnswer::Attributes(all),
            ) if all.is_empty() => Self::reply_absent(caller, &user, kernel, out),
            (AttributeStore::Read { caller, keys, .. }, StoreAnswer::Attributes(all)) => {
                Self::reply_attributes(caller, &keys, all, kernel, out);
            }
            (
                AttributeStore::Write { caller, .. } | AttributeStore::Read { caller, .. },
                answer,
            ) => {
                let text = match answer {
                    StoreAnswer::Failed { reason } => format!("the store has refused: {reason}"),
                    other => format!("the store has answered {other:?}"),
                };
                kernel.reply_error(caller, error(Outcome::Unavailable, text), out);
            }
            (
                AttributeStore::Owners { touched_before },
                StoreAnswer::AttributeOwners { owners, has_more },
            ) => self.sweep_owners(touched_before, owners, has_more, channels, kernel, out),
            (AttributeStore::Keep { channel, left_ts }, StoreAnswer::Attributes(entries)) => {
                Self::apply_keep_note(channel, left_ts, &entries, kernel, out);
            }
            (AttributeStore::Owners { .. } | AttributeStore::Keep { .. }, _) => {}
        }
    }

    fn reply_attributes(
        caller: Caller,
        keys: &[String],
        all: Vec<AttributeEntry>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let knows = caller
            .session()
            .is_some_and(|key| kernel.traits_of(key).knows_library_types);
        let is_wanted =
            |key: &String| (keys.is_empty() || keys.contains(key)) && (knows || !is_note(key));
        let attributes = all
            .into_iter()
            .filter(|entry| is_wanted(&entry.key))
            .map(to_wire)
            .collect();
        let list = reply::Result::Attributes(AttributeList { attributes });
        kernel.reply(caller, list, out);
    }

    fn emit_attributes(
        channel: ChannelKey,
        change: AttributeChange,
        (revision, all): (u64, Vec<AttributeEntry>),
        out: &mut dyn Sink,
    ) {
        let all = ChannelAttributes {
            channel: channel.channel.to_string(),
            attributes: all.into_iter().map(to_wire).collect(),
            how: change.how.into(),
            keys: change.keys,
            by: change.by,
        };
        let others = without_notes(&all);
        let frame = encode_server(Kind::ChannelAttributes(all));
        let topic = Topic::Channel(channel);
        let message = Arc::new(Publication::Attributes {
            revision,
            frame,
            others,
        });
        out.emit(Effect::Bus(BusOp::Publish { topic, message }));
    }

    /// A question of ours is settled.
    pub(crate) fn finish_attribute_ask(
        &mut self,
        settled: Settled,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(ask) = self.asks.remove(&settled.number) else {
            debug_assert!(false, "a question about attributes that nobody has asked");
            return;
        };
        let is_here = matches!(
            &settled.outcome,
            Asked::Answered { answer, .. } if answer.is_of_somebody_there()
        );
        match ask {
            AttributeAsk::Read { caller, user, keys } if is_here => {
                let owner = AttributeOwner::User(user);
                self.read_attributes(caller, owner, keys, None, kernel, out);
            }
            AttributeAsk::Read { caller, user, keys }
                if kernel.config.apps.settings(&user.app).keep_user_attributes =>
            {
                let absent = Some(user.user.clone());
                let owner = AttributeOwner::User(user);
                self.read_attributes(caller, owner, keys, absent, kernel, out);
            }
            AttributeAsk::Write { caller, user, call } if is_here => {
                // They end with that login.
                let topic = Topic::User(user.clone());
                let message = Arc::new(Publication::AttributesWritten);
                out.emit(Effect::Bus(BusOp::Publish { topic, message }));
                self.write_user_attributes(caller, user, call, kernel, out);
            }
            AttributeAsk::Read { caller, user, .. } | AttributeAsk::Write { caller, user, .. } => {
                Self::reply_absent(caller, &user.user, kernel, out)
            }
            // The next sweep asks again.
            AttributeAsk::SweepUser { .. } | AttributeAsk::SweepChannel { .. }
                if settled.outcome == Asked::Silence => {}
            AttributeAsk::SweepUser {
                user,
                touched_before,
            } => {
                // A hub with a session of the user that is gone drops them itself when that ends.
                if is_here || settled.outcome == Asked::Nobody {
                    let owner = AttributeOwner::User(user);
                    Self::settle_owner(owner, is_here, touched_before, kernel, out);
                }
            }
            AttributeAsk::SweepChannel {
                channel,
                touched_before,
            } => {
                let has_members = matches!(
                    settled.outcome,
                    Asked::Answered { answer: Answer::Count(count), .. } if count > 0
                );
                let owner = AttributeOwner::Channel(channel);
                Self::settle_owner(owner, has_members, touched_before, kernel, out);
            }
        }
    }

    fn reply_absent(caller: Caller, user: &UserId, kernel: &mut Kernel, out: &mut dyn Sink) {
        let text = format!("user {user} is not online");
        kernel.reply_error(caller, error(Outcome::UserNotFound, text), out);
    }
}

/// Whether a key is of what libraries note.
fn is_note(key: &str) -> bool {
    key.starts_with(LIBRARY_KEY)
}

/// What is told to clients that do not know what libraries note.
fn without_notes(all: &ChannelAttributes) -> ForOthers {
    let is_shown = |key: &str| !is_note(key);
    let keys: Vec<String> = all
        .keys
        .iter()
        .filter(|key| is_shown(key))
        .cloned()
        .collect();
    if keys.is_empty() && !all.keys.is_empty() {
        return ForOthers::Nothing;
    }
    if all.attributes.iter().all(|entry| is_shown(&entry.key)) && keys.len() == all.keys.len() {
        return ForOthers::Same;
    }
    let attributes = all.attributes.iter().filter(|entry| is_shown(&entry.key));
    ForOthers::Frame(encode_server(Kind::ChannelAttributes(ChannelAttributes {
        attributes: attributes.cloned().collect(),
        keys,
        ..all.clone()
    })))
}

fn to_wire(entry: AttributeEntry) -> Attribute {
    Attribute {
        key: entry.key,
        value: entry.value,
        updated_by: entry.updated_by,
        updated_ts: entry.updated_ts,
    }
}

/// Shape, keys, values, counts and totals of one call, in this order (rtm 2.3).
fn check_attributes(
    how: AttributeWrite,
    attributes: &[Attribute],
    names: NameRule,
) -> Result<(), Error> {
    let key_bytes_max = match names {
        NameRule::Native => ATTRIBUTE_KEY_BYTES_MAX,
        NameRule::Wide => 4 * WIDE_NAME_CHARS_MAX,
    };
    let needs_entries = how != AttributeWrite::Clear;
    if needs_entries && attributes.is_empty() {
        return Err(error(Outcome::InvalidArgument, "no attribute is given"));
    }
    let has_values = matches!(how, AttributeWrite::Set | AttributeWrite::Merge);
    for attribute in attributes {
        let (key, value) = (attribute.key.len(), attribute.value.len());
        if key == 0 || (key > key_bytes_max && has_values) {
            let text = format!("a key has {key} bytes; 1 to {key_bytes_max} are allowed");
            return Err(error(Outcome::InvalidArgument, text));
        }
        if has_values && value == 0 && names == NameRule::Native {
            let text = format!(
                "the value of {:?} is empty; delete the key instead",
                attribute.key
            );
            return Err(error(Outcome::InvalidArgument, text));
        }
        if has_values && value > ATTRIBUTE_VALUE_BYTES_MAX {
            let text = format!(
                "the value of {:?} has {value} bytes; at most {ATTRIBUTE_VALUE_BYTES_MAX} are allowed",
                attribute.key
            );
            return Err(error(Outcome::SizeOverflow, text));
        }
    }
    Ok(())
}

impl Attributes {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        let asks = kernel.asks.count_of(AskTag::Attributes);
        assert_eq!(
            self.asks.len(),
            asks,
            "questions without a reason, or the reverse"
        );
        let stores = kernel.stores.count_of(StoreTag::Attributes);
        assert_eq!(
            self.stores.len(),
            stores,
            "operations without a reason, or the reverse"
        );
    }
}
