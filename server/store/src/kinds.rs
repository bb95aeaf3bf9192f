//! The two classes of stored messages: those that expire by age, and those with an end of their
//! own.

use tidings_hub::store_ops::StoredMessage;

use crate::record::InboxHead;
use crate::shares::Shares;

/// The classes of messages, each with its own bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Messages that expire by age.
    Aging,
    /// Messages that have an end of their own.
    Lasting,
}

impl Class {
    pub(crate) fn of(message: &StoredMessage) -> Self {
        match message.lasts_until {
            0 => Self::Aging,
            _ => Self::Lasting,
        }
    }

    /// Who sent the oldest messages of this class.
    pub(crate) fn shares(self, head: &mut InboxHead) -> &mut Shares {
        match self {
            Class::Aging => &mut head.aging_shares,
            Class::Lasting => &mut head.lasting_shares,
        }
    }

    /// Number of messages of this class in an inbox, and bytes of their bodies.
    pub(crate) fn figures(self, head: &InboxHead) -> (u64, u64) {
        let lasting = head.lasting;
        match self {
            Class::Lasting => (lasting.count, lasting.bytes),
            Class::Aging => (
                head.count.saturating_sub(lasting.count),
                head.bytes.saturating_sub(lasting.bytes),
            ),
        }
    }
}

/// What a message counts towards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    pub(crate) class: Class,
    pub(crate) bytes: u64,
}

impl Weight {
    pub(crate) fn of(message: &StoredMessage) -> Self {
        Self {
            class: Class::of(message),
            bytes: message.body.len() as u64,
        }
    }
}

/// Which messages have expired.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// Messages stamped before this, if they expire by age.
    not_before_ts: u64,
    /// Messages whose own end is at or before this.
    now_ts: u64,
}

impl Ends {
    /// No message has expired.
    pub(crate) const NONE: Self = Self::by_age(0);

    pub(crate) const fn by_age(not_before_ts: u64) -> Self {
        Self {
            not_before_ts,
            now_ts: 0,
        }
    }

    pub(crate) fn of_append(message: &StoredMessage, age_ms: u64) -> Self {
        if age_ms == u64::MAX {
            return Self::NONE;
        }
        let now_ts = message.server_ts;
        match Class::of(message) {
            Class::Lasting => Self {
                not_before_ts: 0,
                now_ts,
            },
            Class::Aging => {
                let last_over = now_ts.checked_sub(age_ms);
                Self {
                    not_before_ts: last_over.map_or(0, |ts| ts.saturating_add(1)),
                    now_ts,
                }
            }
        }
    }

    /// Whether an inbox may hold messages of this class.
    pub(crate) fn may_concern(self, head: &InboxHead) -> bool {
        let has_aging = head.count > head.lasting.count;
        (has_aging && head.oldest_ts < self.not_before_ts)
            || head.lasting.first_end_ts <= self.now_ts
    }

    pub(crate) fn has(self, message: &StoredMessage) -> bool {
        match Class::of(message) {
            Class::Aging => message.server_ts < self.not_before_ts,
            Class::Lasting => message.lasts_until <= self.now_ts,
        }
    }
}

/// Counts a message that was added or found.
pub(crate) fn count_in(head: &mut InboxHead, message: &StoredMessage) {
    let Weight { class, bytes } = Weight::of(message);
    head.count += 1;
    head.bytes += bytes;
    match class {
        Class::Aging => head.oldest_ts = head.oldest_ts.min(message.server_ts),
        Class::Lasting => {
            let lasting = &mut head.lasting;
            lasting.count += 1;
            lasting.bytes += bytes;
            lasting.first_end_ts = lasting.first_end_ts.min(message.lasts_until);
        }
    }
}
