//! Histories: copies of messages whose senders asked for them, read back page by page.
//!
//! A channel message is appended by its sender's hub when that sees it in the topic's order: members of one hub
//! find their messages in the channel's order. Two hubs append side by side, so that messages of senders on
//! different hubs which are in the topic at the same moment may change places in the history.
//! A peer message is appended before it is sent. Either sender is answered when the copy is durable.

use bytes::Bytes;
use prost::Message as _;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::{HISTORY_PAGE_BYTES_MAX, HISTORY_PAGE_MAX};
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::{self, Message, ReadHistory, read_history, reply};

use crate::Hub;
use crate::ids::ChannelKey;
use crate::io::Sink;
use crate::limiter;
use crate::sessions::{SessionKey, error};
use crate::store_ops::{
    Conversation, HistoryLimits, HistoryMessage, HistoryRange, ReadOrder, StoreAnswer, StoreOp,
};
use crate::stores::PendingStore;

/// Makes the stored form of a message.
pub(crate) fn history_message(from: String, message: &Message, server_ts: u64) -> HistoryMessage {
    HistoryMessage {
        position: 0,
        from,
        body: Bytes::from(message.encode_to_vec()),
        server_ts,
    }
}

impl Hub {
    pub(crate) fn history_op(
        &self,
        app: &AppId,
        conversation: Conversation,
        message: HistoryMessage,
    ) -> StoreOp {
        let settings = self
            .config
            .apps
            .listed
            .get(app)
            .map(|app| app.settings)
            .unwrap_or_default();
        StoreOp::HistoryAppend {
            conversation,
            message,
            limits: HistoryLimits {
                messages_max: settings.history_messages_max,
                age_ms: settings.history_age_ms,
            },
        }
    }

    /// The message has its place in the channel: now the copy, then the answer (contract 1.1).
    pub(crate) fn keep_channel_message(
        &mut self,
        channel: &ChannelKey,
        session: SessionKey,
        cseq: u64,
        message: HistoryMessage,
        out: &mut dyn Sink,
    ) {
        let conversation = Conversation::Channel(channel.clone());
        let op = self.history_op(&channel.app, conversation, message);
        self.store(op, PendingStore::ChannelHistory { session, cseq }, out);
    }

    pub(crate) fn finish_channel_history(
        &mut self,
        session: SessionKey,
        cseq: u64,
        answer: StoreAnswer,
        out: &mut dyn Sink,
    ) {
        match answer {
            StoreAnswer::Failed { reason } => self.reply_not_kept(session, cseq, &reason, out),
            _ => self.reply_done(session, cseq, out),
        }
    }

    pub(crate) fn reply_not_kept(
        &mut self,
        session: SessionKey,
        cseq: u64,
        reason: &str,
        out: &mut dyn Sink,
    ) {
        let text = format!("the message could not be kept in the history: {reason}");
        self.reply_error(session, cseq, error(Outcome::Unavailable, text), out);
    }

    pub(crate) fn handle_read_history(
        &mut self,
        key: SessionKey,
        cseq: u64,
        call: ReadHistory,
        out: &mut dyn Sink,
    ) {
        let count_max = call.count_max as usize;
        if count_max > HISTORY_PAGE_MAX {
            let text =
                format!("{count_max} messages are asked for; at most {HISTORY_PAGE_MAX} pass");
            return self.reply_error(key, cseq, error(Outcome::InvalidArgument, text), out);
        }
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        // What is over its age is gone for readers at once, from the disk with the next append.
        let oldest_ts = self
            .now
            .unix_ms
            .saturating_sub(session.settings.history_age_ms);
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
            order: match call.newest_first {
                true => ReadOrder::NewestFirst,
                false => ReadOrder::OldestFirst,
            },
        };
        let Some(conversation) = self.readable(key, cseq, call.conversation, out) else {
            return;
        };
        if !self.take_rate(key, cseq, limiter::Kind::ReadHistory, out) {
            return;
        }
        let op = StoreOp::HistoryRead {
            conversation,
            range,
        };
        self.store(op, PendingStore::HistoryPage { session: key, cseq }, out);
    }

    /// The conversation, if the session may read it: one with its own user, or a channel that it has joined.
    /// Otherwise answers the request (contract SEC-8).
    fn readable(
        &mut self,
        key: SessionKey,
        cseq: u64,
        conversation: Option<read_history::Conversation>,
        out: &mut dyn Sink,
    ) -> Option<Conversation> {
        let text = match conversation {
            Some(read_history::Conversation::Channel(channel)) => {
                let channel = self.joined_channel(key, cseq, &channel, out)?;
                return Some(Conversation::Channel(channel));
            }
            Some(read_history::Conversation::PeerId(peer_id)) => match UserId::parse(&peer_id) {
                Ok(peer) => {
                    let session = self.sessions.get(key)?;
                    return Some(Conversation::of_users(&session.user, &peer));
                }
                Err(name) => format!("peer id {peer_id:?}: {name}"),
            },
            None => "neither a channel nor a peer is named; name one of them".to_owned(),
        };
        self.reply_error(key, cseq, error(Outcome::InvalidArgument, text), out);
        None
    }

    pub(crate) fn finish_read_history(
        &mut self,
        session: SessionKey,
        cseq: u64,
        answer: StoreAnswer,
        out: &mut dyn Sink,
    ) {
        let (messages, next) = match answer {
            StoreAnswer::HistoryPage { messages, next } => (messages, next),
            StoreAnswer::Failed { reason } => {
                let text = format!("the history could not be read: {reason}");
                return self.reply_error(session, cseq, error(Outcome::Unavailable, text), out);
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
                from: kept.from,
                // The store has checked that these are the bytes that were written.
                message: Message::decode(kept.body).ok(),
                server_ts: kept.server_ts,
            })
            .collect();
        let page = proto::HistoryPage { messages, next };
        self.reply(session, cseq, reply::Result::History(page), out);
    }
}
