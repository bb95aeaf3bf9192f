//! Histories: one log per conversation, bounded by count and age, read from either end.
//!
//! A history is a head and one record per message. Messages are only ever deleted from the front,
//! so the numbers that remain are contiguous; a record that cannot be read is left out of pages and
//! is deleted when its turn comes.

use bytes::Bytes;
use tidings_hub::store_ops::{
    Conversation, HistoryLimits, HistoryMessage, HistoryRange, ReadOrder, StoreAnswer,
};
use tidings_wire::names::UserId;

use crate::inbox::{ceiling, message_number, raise_ceiling};
use crate::keys::{Key, Kind};
use crate::kv::{Backend, Group, ReadError};
use crate::record::{self, HistoryHead};

/// Bound: messages examined for one page; a page that stops there says where to continue. A higher
/// bound would let one read by time in a long history hold up the store's thread.
const VISITED_MAX: u64 = 1_000;

/// Bound: messages deleted in one operation, for the same reason. The rest goes with the next one.
const DROPPED_MAX: usize = 1_000;

/// Appends a message, after deleting messages beyond the age and count limits.
pub(crate) fn append<B: Backend>(
    group: &mut Group<'_, B>,
    conversation: &Conversation,
    message: &HistoryMessage,
    limits: &HistoryLimits,
) -> Result<StoreAnswer, ReadError> {
    if limits.messages_max == 0 {
        let reason = "the app keeps no history; raise its limit of messages".to_owned();
        return Ok(StoreAnswer::Failed { reason });
    }
    let mut history = History::load(group, conversation)?;
    let not_before_ts = message
        .server_ts
        .checked_sub(limits.age_ms)
        .map_or(0, |ts| ts.saturating_add(1));
    history.make_room(group, limits.messages_max as u64 - 1, not_before_ts);
    let number = history.head.next;
    raise_ceiling(group, number)?;
    let key = history.message_key(number);
    let record = record::seal_history(&key, message);
    group.put(key, record);
    let head = &mut history.head;
    if head.count == 0 {
        head.first = number;
        head.first_ts = message.server_ts;
    }
    head.next += 1;
    head.count += 1;
    let record = history.head.seal(&history.head_key);
    group.put(history.head_key, record);
    Ok(StoreAnswer::HistoryAppended { position: number })
}

/// Deletes messages stamped before a time.
pub(crate) fn trim<B: Backend>(
    group: &mut Group<'_, B>,
    conversation: &Conversation,
    not_before_ts: u64,
) -> Result<StoreAnswer, ReadError> {
    let mut history = History::load(group, conversation)?;
    let before = history.head.clone();
    history.make_room(group, u64::MAX, not_before_ts);
    let has_more = history.head.count > 0 && history.head.first_ts < not_before_ts;
    // A walk stopped by an unreadable block would stop there again.
    let has_more = has_more && history.head != before;
    if history.head != before {
        let record = history.head.seal(&history.head_key);
        group.put(history.head_key, record);
    }
    Ok(StoreAnswer::HistoryTrimmed { has_more })
}

/// Empties the messages that one user has sent. An emptied record has no sender, keeps its place
/// and its time, and is left out of pages.
pub(crate) fn erase<B: Backend>(
    group: &mut Group<'_, B>,
    conversation: &Conversation,
    from: &UserId,
    after: u64,
) -> Result<StoreAnswer, ReadError> {
    let history = History::load(group, conversation)?;
    let first = after.saturating_add(1).max(history.head.first);
    let end = history.head.next.min(first.saturating_add(VISITED_MAX));
    let mut count = 0;
    for number in first..end {
        let key = history.message_key(number);
        let Some(record) = group.get(&key)? else {
            continue;
        };
        let message = match record::open_history(&key, number, &record) {
            Ok(message) => message,
            // Nobody can read it either.
            Err(ReadError::Damaged(_)) => continue,
            Err(error) => return Err(error),
        };
        if message.from == from.as_str() {
            let emptied = HistoryMessage {
                from: String::new(),
                body: Bytes::new(),
                ..message
            };
            let record = record::seal_history(&key, &emptied);
            group.put(key, record);
            count += 1;
        }
    }
    let next = if end < history.head.next { end - 1 } else { 0 };
    Ok(StoreAnswer::HistoryErased { count, next })
}

/// Lists histories that hold a message stamped before a time. A head that cannot be read is listed
/// too.
pub(crate) fn list<B: Backend>(
    group: &mut Group<'_, B>,
    first_before_ts: u64,
    after: Option<&Conversation>,
) -> Result<StoreAnswer, ReadError> {
    let from = match after {
        // No key lies between a key and the same key followed by a zero byte.
        Some(conversation) => [Key::HistoryHead(conversation.clone()).encode(), vec![0]].concat(),
        None => vec![Kind::HistoryHead as u8],
    };
    let mut conversations = Vec::new();
    let mut last = None;
    let mut visited = 0;
    for pair in group.range(&from, &[Kind::HistoryHead as u8 + 1]) {
        let (key, record) = pair?;
        let Some(Key::HistoryHead(conversation)) = Key::decode(&key) else {
            continue;
        };
        if visited == VISITED_MAX {
            return Ok(StoreAnswer::Histories {
                conversations,
                next: last,
            });
        }
        visited += 1;
        let is_old = match HistoryHead::open(&key, &record) {
            Ok(head) => head.count > 0 && head.first_ts < first_before_ts,
            Err(_) => true,
        };
        if is_old {
            conversations.push(conversation.clone());
        }
        last = Some(conversation);
    }
    Ok(StoreAnswer::Histories {
        conversations,
        next: None,
    })
}

/// Reads a page. Writes nothing, so it works on a read-only store too.
pub(crate) fn read<B: Backend>(
    group: &mut Group<'_, B>,
    conversation: &Conversation,
    range: &HistoryRange,
) -> Result<StoreAnswer, ReadError> {
    let history = History::load(group, conversation)?;
    let first = range.after.saturating_add(1).max(history.head.first);
    let end = range.before.min(history.head.next);
    let mut page = Page {
        range,
        messages: Vec::new(),
        bytes: 0,
    };
    let mut next = 0;
    let visited_end = |number: u64| number.saturating_add(VISITED_MAX);
    match range.order {
        ReadOrder::OldestFirst => {
            for number in first..end {
                if number >= visited_end(first) || !page.take(group, &history, number)? {
                    next = number - 1;
                    break;
                }
            }
        }
        ReadOrder::NewestFirst => {
            for number in (first..end).rev() {
                if visited_end(number) < end || !page.take(group, &history, number)? {
                    next = number + 1;
                    break;
                }
            }
        }
    }
    Ok(StoreAnswer::HistoryPage {
        messages: page.messages,
        next,
    })
}

struct Page<'r> {
    range: &'r HistoryRange,
    messages: Vec<HistoryMessage>,
    bytes: usize,
}

impl Page<'_> {
    /// Takes the message with this number if it matches. Returns `false` when it no longer fits.
    fn take<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        history: &History<'_>,
        number: u64,
    ) -> Result<bool, ReadError> {
        let key = history.message_key(number);
        let found = match group.get(&key) {
            Ok(None) => return Ok(true),
            Ok(Some(record)) => record::open_history(&key, number, &record),
            Err(error) => Err(error),
        };
        let message = match found {
            Ok(message) => message,
            Err(ReadError::Damaged(_)) => {
                group.damaged += 1;
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        if message.from.is_empty() {
            return Ok(true);
        }
        let range = self.range;
        if message.server_ts < range.from_ts || message.server_ts >= range.until_ts {
            return Ok(true);
        }
        let bytes = self.bytes + message.body.len();
        let is_over = self.messages.len() >= range.count_max || bytes > range.bytes_max;
        // One message always fits, so that every page makes progress.
        if is_over && !self.messages.is_empty() {
            return Ok(false);
        }
        self.bytes = bytes;
        self.messages.push(message);
        Ok(true)
    }
}

struct History<'c> {
    conversation: &'c Conversation,
    head_key: Vec<u8>,
    head: HistoryHead,
}

impl<'c> History<'c> {
    fn load<B: Backend>(
        group: &mut Group<'_, B>,
        conversation: &'c Conversation,
    ) -> Result<Self, ReadError> {
        let head_key = Key::HistoryHead(conversation.clone()).encode();
        let opened = match group.get(&head_key) {
            Ok(None) => Ok(HistoryHead::default()),
            Ok(Some(record)) => HistoryHead::open(&head_key, &record),
            Err(error) => Err(error),
        };
        let mut history = Self {
            conversation,
            head_key,
            head: HistoryHead::default(),
        };
        history.head = match opened {
            Err(ReadError::Damaged(_)) => history.made_anew(group)?,
            opened => opened?,
        };
        Ok(history)
    }

    /// A head for a history whose head cannot be read: it covers the messages that exist, and
    /// continues with a number that no conversation has reached.
    fn made_anew<B: Backend>(&self, group: &mut Group<'_, B>) -> Result<HistoryHead, ReadError> {
        group.damaged += 1;
        let next = ceiling(group)? + 1;
        let mut head = HistoryHead {
            next,
            first: next,
            ..HistoryHead::default()
        };
        for (key, record) in group
            .range(&self.message_key(0), &self.message_key(next))
            .flatten()
        {
            let number = message_number(&key);
            let found = record::open_history(&key, number, &record);
            if head.count == 0 {
                head.first = number;
                head.first_ts = found.map_or(0, |message| message.server_ts);
            }
            head.count += 1;
        }
        Ok(head)
    }

    fn message_key(&self, number: u64) -> Vec<u8> {
        Key::History(self.conversation.clone(), number).encode()
    }

    /// Deletes from the front, at most `DROPPED_MAX` messages, until at most `count_max` are left
    /// and none is stamped before `not_before_ts`. Costs nothing when there is nothing to delete.
    fn make_room<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        count_max: u64,
        not_before_ts: u64,
    ) {
        let is_over = |count, ts| count > count_max || ts < not_before_ts;
        if self.head.count == 0 || !is_over(self.head.count, self.head.first_ts) {
            return;
        }
        let mut kept = HistoryHead {
            first: self.head.next,
            first_ts: u64::MAX,
            ..self.head.clone()
        };
        let mut dropped = Vec::new();
        let (from, end) = (
            self.message_key(self.head.first),
            self.message_key(self.head.next),
        );
        for pair in group.range(&from, &end) {
            // A block that cannot be read ends the walk: what lies behind it waits for its turn.
            let Ok((key, record)) = pair else {
                break;
            };
            let number = message_number(&key);
            let found = record::open_history(&key, number, &record);
            // A damaged message has no stamp, and is treated as the oldest.
            let server_ts = found.map_or(0, |message| message.server_ts);
            if !is_over(kept.count, server_ts) || dropped.len() == DROPPED_MAX {
                kept.first = number;
                kept.first_ts = server_ts;
                break;
            }
            kept.count = kept.count.saturating_sub(1);
            dropped.push(key);
        }
        if dropped.is_empty() {
            return;
        }
        for key in dropped {
            group.delete(key);
        }
        self.head = kept;
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::ids::ChannelKey;
    use tidings_hub::store_ops::StoreOp;
    use tidings_wire::names::{AppId, ChannelName};

    use super::*;
    use crate::{Engine, MemoryEngine};

    #[test]
    fn damage_leaves_out_a_message_and_numbers_go_on_above() {
        let conversation = Conversation::Channel(ChannelKey {
            app: AppId::parse(&"a".repeat(32)).unwrap(),
            channel: ChannelName::parse("room").unwrap(),
        });
        let limits = HistoryLimits {
            messages_max: 10,
            age_ms: u64::MAX,
        };
        let append = StoreOp::HistoryAppend {
            conversation: conversation.clone(),
            message: HistoryMessage {
                position: 0,
                from: "ann".into(),
                body: "hi".into(),
                server_ts: 5,
            },
            limits,
        };
        let mut engine = MemoryEngine::new();
        let mut answers = Vec::new();
        engine.apply(
            &[append.clone(), append.clone(), append.clone()],
            &mut answers,
        );
        // In key order: the head, three messages, the ceiling of the numbers.
        let mut engine = engine.reopen();
        assert!(engine.damage_record(0) && engine.damage_record(2));
        answers.clear();
        let range = HistoryRange {
            after: 0,
            before: u64::MAX,
            from_ts: 0,
            until_ts: u64::MAX,
            count_max: 10,
            bytes_max: usize::MAX,
            order: ReadOrder::NewestFirst,
        };
        let read = StoreOp::HistoryRead {
            conversation,
            range: HistoryRange { before: 4, ..range },
        };
        engine.apply(&[append, read], &mut answers);
        let StoreAnswer::HistoryAppended { position } = answers[0] else {
            panic!("an append was answered {:?}", answers[0]);
        };
        assert!(position > 3, "position {position} was given before");
        let StoreAnswer::HistoryPage { messages, .. } = &answers[1] else {
            panic!("a read was answered {:?}", answers[1]);
        };
        let positions: Vec<_> = messages.iter().map(|message| message.position).collect();
        assert_eq!(positions, [3, 1]);
        assert!(engine.health().damaged_records >= 2);
    }
}
