//! Histories: copies of messages whose senders asked for them, read back page by page.
//!
//! A channel message is appended by the hub where the channel's topic is at home, which gets all of
//! them in the topic's order: the history has the order that every member has seen, whichever hubs
//! the senders are on. A peer message is appended before it is sent. Either sender is answered when
//! the copy is durable.

use bytes::Bytes;
use prost::Message as _;
use tidings_fault::fault;
use tidings_token::Access;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::{HISTORY_PAGE_BYTES_MAX, HISTORY_PAGE_MAX};
use tidings_wire::names::{ChannelName, UserId};
use tidings_wire::proto::{self, Message, ReadHistory, read_history, reply};

use crate::bus_ops::{Answer, AskId, Asker, Keep};
use crate::config::AppSettings;
use crate::ids::{ChannelKey, HubId, MessageId};
use crate::io::{Sink, Ticket};
use crate::kernel::Kernel;
use crate::kernel::asks::{AskRule, AskTag, Asks, Hangs, Outcome as Asked, Settled};
use crate::kernel::caller::Caller;
use crate::kernel::maps::NumberMap;
use crate::kernel::reply::error;
use crate::kernel::stores::StoreTag;
use crate::kernel::timers::Timer;
use crate::rates;
use crate::store_ops::{
    Conversation, HistoryMessage, HistoryRange, ReadOrder, StoreAnswer, StoreOp,
};

/// How often histories are looked through for what is too old.
const SWEEP_MS: u64 = 600_000;

/// The first stamp that is not too old; an append reckons alike.
fn not_before(now_ts: u64, age_ms: u64) -> u64 {
    now_ts
        .checked_sub(age_ms)
        .map_or(0, |ts| ts.saturating_add(1))
}

/// What is kept of a message beside itself, as a further field of the same bytes: programs that do
/// not know it read the message all the same.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    /// Reserved in `proto/tidings.v1.proto`.
    #[prost(bytes = "bytes", tag = "15")]
    id: Bytes,
}

/// Makes the stored form of a message.
pub(crate) fn history_message(
    from: String,
    (message, id): (&Message, MessageId),
    server_ts: u64,
) -> HistoryMessage {
    debug_assert!(!from.is_empty(), "a message without a sender");
    let mut body = message.encode_to_vec();
    let digits = Bytes::copy_from_slice(&id.0);
    body.extend(Named { id: digits }.encode_to_vec());
    let kept = HistoryMessage {
        position: 0,
        from,
        body: Bytes::from(body),
        server_ts,
    };
    debug_assert_eq!(kept.id(), Some(id), "the id is not read back");
    debug_assert!(kept.position == 0, "the store gives the position");
    kept
}

impl HistoryMessage {
    /// The message's id; `None` = an older program has kept it, or its sender's data are deleted.
    pub fn id(&self) -> Option<MessageId> {
        let named = Named::decode(&self.body[..]).ok()?;
        Some(MessageId(named.id[..].try_into().ok()?))
    }
}

/// Histories that this hub reads, writes and clears up.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Senders whose message is being kept by another hub, by the numbers of the questions. Bound:
    /// each belongs to an open request.
    pub(crate) keeping: NumberMap<Caller>,
    /// Store operations under way, by their tickets. Bound: each belongs to an open request, a kept
    /// message or a sweep.
    pub(crate) stores: NumberMap<HistoryStore>,
}

/// What a store operation was for.
#[derive(Debug)]
pub(crate) enum HistoryStore {
    /// A channel message has its place, and its sender's hub waits until the copy is durable.
    Keep(Asker),
    /// Histories with messages that may be too old.
    List { first_before_ts: u64 },
    /// Old messages of a history are being deleted.
    Trim(Conversation),
    /// A page of a history.
    Page { caller: Caller },
}

/// The hub where the channel is at home keeps the copy; it alone is asked.
static KEEP: AskRule = AskRule {
    tag: AskTag::History,
    hangs: Hangs::OnClient,
    is_decided_by: |_| true,
    takes_some: true,
};

impl History {
    /// Waits for the hub that keeps a channel message; `caller` is answered when it has.
    pub(crate) fn wait_for_keeper(
        &mut self,
        asks: &mut Asks,
        now_ms: u64,
        caller: Caller,
    ) -> AskId {
        let ask = asks.add(now_ms, &KEEP);
        self.keeping.insert(ask.number, caller);
        ask
    }

    fn store(
        &mut self,
        kernel: &mut Kernel,
        op: StoreOp,
        pending: HistoryStore,
        out: &mut dyn Sink,
    ) -> Ticket {
        let ticket = kernel.store(op, StoreTag::History, out);
        self.stores.insert(ticket.0, pending);
        ticket
    }
}

impl History {
    /// A store operation of ours is answered.
    pub(crate) fn finish_history_store(
        &mut self,
        ticket: Ticket,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(pending) = self.stores.remove(&ticket.0) else {
            debug_assert!(false, "a store operation that nobody waits for");
            return;
        };
        match pending {
            HistoryStore::Keep(asker) => Self::answer_kept(asker, answer, kernel, out),
            HistoryStore::List { first_before_ts } => {
                self.trim_histories(first_before_ts, answer, kernel, out);
            }
            HistoryStore::Trim(conversation) => {
                self.go_on_trimming(conversation, &answer, kernel, out)
            }
            HistoryStore::Page { caller } => {
                Self::finish_read_history(caller, answer, kernel, out);
            }
        }
    }

    /// This hub is the home of the channel's topic: the copy of a message that has its place there
    /// (contract 1.1).
    pub(crate) fn keep_channel_message(
        &mut self,
        channel: ChannelKey,
        (from, id): (HubId, MessageId),
        keep: &Keep,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(keep.ask.number > 0, "a copy that nobody waits for");
        debug_assert_eq!(keep.message.position, 0, "the store gives the places");
        let traced = (kernel.traces.is_on).then(|| channel.clone());
        let op = StoreOp::HistoryAppend {
            conversation: Conversation::Channel(channel),
            message: keep.message.clone(),
            // Other hubs may have stamped what is there, and raised the stamp of this message.
            limits: kernel.limits_before(keep.limits, keep.message.server_ts),
        };
        let ask = AskId {
            asked: 1,
            ..keep.ask
        };
        if fault!(KeptIsAnsweredEarly) {
            return kernel.answer((from, ask), Answer::Stored, out);
        }
        let pending = HistoryStore::Keep((from, ask));
        let ticket = self.store(kernel, op, pending, out);
        if let Some(channel) = traced {
            let message = &keep.message;
            let of = (message.from.as_str(), message.server_ts);
            kernel.trace_keep(ticket, &channel, id, of);
        }
    }

    /// Tells the sender's hub what has become of the copy.
    pub(crate) fn answer_kept(
        asker: Asker,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let answer = match answer {
            StoreAnswer::Failed { reason } => Answer::StoreFailed { reason },
            _ => Answer::Stored,
        };
        kernel.answer(asker, answer, out);
    }

    /// The copy is durable, or not: now the sender is answered.
    pub(crate) fn finish_keep(
        &mut self,
        settled: Settled,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(caller) = self.keeping.remove(&settled.number) else {
            debug_assert!(false, "a copy that nobody has asked for");
            return;
        };
        let answer = match settled.outcome {
            Asked::Answered { answer, .. } => answer,
            Asked::Nobody | Asked::Silence => Answer::Unconfirmed,
        };
        match answer {
            Answer::Stored => kernel.reply_sent_to_channel(caller, out),
            Answer::StoreFailed { reason } => kernel.reply_not_kept(caller, &reason, out),
            _ => {
                let text =
                    "the message was sent; whether it is in the history is not known in time";
                kernel.reply_error(caller, error(Outcome::TimedOut, text), out);
            }
        }
    }

    // ------------------------------------------------------------ what is too old

    /// Deletes what is too old in conversations that nobody writes to any more.
    pub(crate) fn sweep_histories(&mut self, kernel: &mut Kernel, out: &mut dyn Sink) {
        kernel
            .timers
            .set(kernel.now.mono_ms + SWEEP_MS, Timer::HistorySweep);
        let ages = kernel.config.apps.listed.values();
        let shortest_ms = ages.map(|app| app.settings.history_age_ms).min();
        let default_ms = AppSettings::default().history_age_ms;
        let shortest_ms = shortest_ms.unwrap_or(u64::MAX).min(default_ms);
        let first_before_ts = not_before(kernel.now.unix_ms, kernel.deletion_age_ms(shortest_ms));
        self.list_histories(first_before_ts, None, kernel, out);
    }

    fn list_histories(
        &mut self,
        first_before_ts: u64,
        after: Option<Conversation>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let op = StoreOp::HistoryList {
            first_before_ts,
            after,
        };
        let pending = HistoryStore::List { first_before_ts };
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn trim_histories(
        &mut self,
        first_before_ts: u64,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let StoreAnswer::Histories {
            conversations,
            next,
        } = answer
        else {
            // The store failed; the next sweep asks again.
            return;
        };
        for conversation in conversations {
            self.trim_history(conversation, kernel, out);
        }
        if next.is_some() {
            self.list_histories(first_before_ts, next, kernel, out);
        }
    }

    fn trim_history(
        &mut self,
        conversation: Conversation,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let age_ms = kernel.history_limits(conversation.app()).age_ms;
        let op = StoreOp::HistoryTrim {
            conversation: conversation.clone(),
            not_before_ts: not_before(kernel.now.unix_ms, age_ms),
        };
        let pending = HistoryStore::Trim(conversation);
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn go_on_trimming(
        &mut self,
        conversation: Conversation,
        answer: &StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if *answer == (StoreAnswer::HistoryTrimmed { has_more: true }) {
            self.trim_history(conversation, kernel, out);
        }
    }

    pub(crate) fn handle_read_history(
        &mut self,
        caller: Caller,
        call: ReadHistory,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let count_max = call.count_max as usize;
        if count_max > HISTORY_PAGE_MAX {
            let text =
                format!("{count_max} messages are asked for; at most {HISTORY_PAGE_MAX} pass");
            return kernel.reply_error(caller, error(Outcome::InvalidArgument, text), out);
        }
        let Some(user) = kernel.user_of(caller) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        // What is over its age is gone for readers at once, from the disk with the next append or
        // sweep.
        let age_ms = kernel.history_limits(&user.app).age_ms;
        let oldest_ts = kernel.now.unix_ms.saturating_sub(age_ms);
        let bound = |given: u64| if given == 0 { u64::MAX } else { given };
        let range = HistoryRange {
            after: call.after,
            before: bound(call.before),
            from_ts: call.from_ts.max(oldest_ts),
            until_ts: bound(call.until_ts),
            count_max: if count_max == 0 {
                HISTORY_PAGE_MAX
            } else {
                count_max
            },
            bytes_max: HISTORY_PAGE_BYTES_MAX,
            order: if call.newest_first {
                ReadOrder::NewestFirst
            } else {
                ReadOrder::OldestFirst
            },
        };
        let Some(conversation) = Self::readable(caller, call.conversation, kernel, out) else {
            // It is answered.
            return;
        };
        if !kernel.take_rate(caller, rates::Kind::ReadHistory, out) {
            return;
        }
        debug_assert!(range.count_max > 0, "a page for no message");
        debug_assert!(
            range.count_max <= HISTORY_PAGE_MAX,
            "a page above its bound"
        );
        let op = StoreOp::HistoryRead {
            conversation,
            range,
        };
        let pending = HistoryStore::Page { caller };
        self.store(kernel, op, pending, out);
    }

    /// The conversation, if the caller may read it: one with its own user, or a channel that it has
    /// joined, if it has a session.
    /// Otherwise answers the request (contract SEC-8).
    fn readable(
        caller: Caller,
        conversation: Option<read_history::Conversation>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> Option<Conversation> {
        let text = match conversation {
            Some(read_history::Conversation::Channel(channel))
                if fault!(HistoryReaderNeedNotBeMember) =>
            {
                let app = kernel.user_of(caller)?.app.clone();
                let channel = ChannelName::parse(&channel).ok()?;
                return Some(Conversation::Channel(ChannelKey { app, channel }));
            }
            Some(read_history::Conversation::Channel(channel)) => {
                let channel = kernel.joined_channel(caller, &channel, out)?;
                if !kernel.permit_in(caller, Access::Read, &channel.channel, out) {
                    return None;
                }
                return Some(Conversation::Channel(channel));
            }
            Some(read_history::Conversation::PeerId(peer_id)) => {
                let names = kernel.traits_of_caller(caller).names;
                match UserId::parse_by(names, &peer_id) {
                    Ok(peer) => {
                        return Some(Conversation::of_users(kernel.user_of(caller)?, &peer));
                    }
                    Err(name) => format!("peer id {peer_id:?}: {name}"),
                }
            }
            None => "neither a channel nor a peer is named; name one of them".to_owned(),
        };
        kernel.reply_error(caller, error(Outcome::InvalidArgument, text), out);
        None
    }

    pub(crate) fn finish_read_history(
        caller: Caller,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let (messages, next) = match answer {
            StoreAnswer::HistoryPage { messages, next } => (messages, next),
            StoreAnswer::Failed { reason } => {
                let text = format!("the history could not be read: {reason}");
                return kernel.reply_error(caller, error(Outcome::Unavailable, text), out);
            }
            other => {
                debug_assert!(false, "a read of a history was answered {other:?}");
                return;
            }
        };
        let messages = messages
            .into_iter()
            .map(|kept| proto::HistoryMessage {
                position: kept.position,
                id: (kept.id()).map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.0)),
                from: kept.from,
                // The store has checked that these are the bytes that were written.
                message: Message::decode(kept.body).ok(),
                server_ts: kept.server_ts,
            })
            .collect();
        let page = proto::HistoryPage { messages, next };
        kernel.reply(caller, reply::Result::History(page), out);
    }
}

impl History {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        let asks = kernel.asks.count_of(AskTag::History);
        assert_eq!(
            self.keeping.len(),
            asks,
            "senders who wait for nothing, or the reverse"
        );
        let stores = kernel.stores.count_of(StoreTag::History);
        assert_eq!(
            self.stores.len(),
            stores,
            "operations without a reason, or the reverse"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Rig, channel};

    #[test]
    fn a_conversation_without_new_messages_loses_what_is_too_old() {
        let mut rig = Rig::with_users(&[]);
        rig.wait(SWEEP_MS);
        let list = rig.store.iter();
        let mut list = list.filter(|(_, op)| matches!(op, StoreOp::HistoryList { .. }));
        let ticket = list.next().expect("histories are looked through").0;
        rig.store.clear();
        let room = Conversation::Channel(channel("room"));
        let answer = StoreAnswer::Histories {
            conversations: vec![room.clone()],
            next: Some(room.clone()),
        };
        rig.now_ms = 100 * 86_400_000;
        rig.give(crate::Input::Store { ticket, answer });
        let trim = StoreOp::HistoryTrim {
            conversation: room.clone(),
            not_before_ts: rig.now_ms - AppSettings::default().history_age_ms + 1,
        };
        let trims = rig.store.iter().filter(|(_, op)| *op == trim);
        let ticket = trims.last().expect("the history is trimmed").0;
        let goes_on = rig.store.iter().any(|(_, op)| {
            matches!(op, StoreOp::HistoryList { after: Some(after), .. } if *after == room)
        });
        assert!(goes_on, "the next page is asked for");
        rig.store.clear();
        let answer = StoreAnswer::HistoryTrimmed { has_more: true };
        rig.give(crate::Input::Store { ticket, answer });
        assert!(
            rig.store.iter().any(|(_, op)| *op == trim),
            "and trimmed on"
        );
    }
}
