//! What is kept for sessions that move between nodes: what members are told while one is on its way
//! here, who has sent what of late, and who has moved on. Unused on a node that is alone.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::bus_ops::ForOthers;
use crate::channels::members::Change;
use crate::ids::{ChannelKey, SessionId, UserKey};
use crate::kernel::maps::{Map, SeededHasher};
use crate::snapshot::record::SenderRecord;

/// What a session may have missed that is on its way is not older than this, in milliseconds:
/// longer than a publication takes to the slowest of the nodes.
const RECENT_MS: u64 = 10_000;

/// Words kept for one session that is on its way. Beyond it the oldest are a gap.
const WORDS_MAX: usize = 4_096;

/// What members of a channel are told while a session is on its way here.
#[derive(Debug, Clone)]
pub(crate) enum Word {
    /// A message, named by its sender and that one's number.
    Message((SessionId, u64), Bytes),
    /// Attributes of this revision.
    Attributes(u64, Bytes, ForOthers),
    /// A member has come or gone.
    Change(Change),
    /// Something was missed: the gap that says so.
    Gap(Bytes),
}

/// What is kept of one channel for one session.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// In the channel's order here. Bound: `WORDS_MAX`.
    pub(crate) words: VecDeque<Word>,
    /// Messages that had no room.
    pub(crate) lost: u64,
}

/// The latest messages of a channel, by sender: (number, when it was told, in monotonic
/// milliseconds).
#[derive(Debug)]
struct Recent {
    senders: Map<SessionId, (u64, u64)>,
    /// How many were left when it was last looked through.
    left: usize,
}

/// A member that has moved on.
#[derive(Debug)]
pub(crate) struct Departure {
    /// When that is told, in monotonic milliseconds.
    pub(crate) due_ms: u64,
    pub(crate) channel: ChannelKey,
    pub(crate) user: UserKey,
    pub(crate) session: SessionId,
}

/// The latest messages that a session has had of a channel.
#[derive(Debug)]
struct Had {
    session: SessionId,
    /// Until when later ones may still be on their way, in monotonic milliseconds.
    until_ms: u64,
    senders: Vec<SenderRecord>,
}

/// Nothing of it is used on a node that is alone.
#[derive(Debug)]
pub(crate) struct ChannelMoves {
    /// By channel and session that is on its way. Bound: sessions on their way.
    pub(crate) awaited: Map<ChannelKey, Vec<(SessionId, Kept)>>,
    /// Bound: senders of the last `RECENT_MS`, and as many again.
    recent: Map<ChannelKey, Recent>,
    /// What sessions that have come had been told at their old hubs: it may reach this one later.
    /// Bound: sessions that have come in the last `RECENT_MS`.
    had: Map<ChannelKey, Vec<Had>>,
    /// In the order of their time.
    pub(crate) departures: VecDeque<Departure>,
    hasher: SeededHasher,
}

impl ChannelMoves {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            awaited: hasher.map(),
            recent: hasher.map(),
            had: hasher.map(),
            departures: VecDeque::new(),
            hasher,
        }
    }

    /// Whether a session is on its way here.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether a session has moved on a moment ago.
    pub(crate) fn has_departed(&self) -> bool {
        !self.departures.is_empty()
    }

    /// Keeps what members are told for those who are on their way.
    pub(crate) fn hold(&mut self, key: &ChannelKey, word: Word) {
        for (_, kept) in self.awaited.get_mut(key).into_iter().flatten() {
            kept.words.push_back(word.clone());
            if kept.words.len() > WORDS_MAX {
                let oldest = kept.words.pop_front();
                kept.lost += u64::from(matches!(oldest, Some(Word::Message(..))));
            }
        }
    }

    /// A session has come with what it has had of a channel.
    pub(crate) fn note_had(
        &mut self,
        key: &ChannelKey,
        (session, senders): (SessionId, &[SenderRecord]),
        now_ms: u64,
    ) {
        if senders.is_empty() {
            return;
        }
        let had = self.had.entry(key.clone()).or_default();
        had.retain(|had| had.session != session && had.until_ms > now_ms);
        had.push(Had {
            session,
            until_ms: now_ms + RECENT_MS,
            senders: senders.to_vec(),
        });
    }

    /// The sessions that have had a message at their old hubs.
    pub(crate) fn who_had(
        &mut self,
        key: &ChannelKey,
        (sender, cseq): (SessionId, u64),
        now_ms: u64,
    ) -> Vec<SessionId> {
        let Some(all) = (!self.had.is_empty())
            .then(|| self.had.get_mut(key))
            .flatten()
        else {
            // Nobody has come to the channel of late.
            return Vec::new();
        };
        all.retain(|had| had.until_ms > now_ms);
        let is_had = |had: &&Had| {
            let mut senders = had.senders.iter();
            senders.any(|of| of.session == sender.0 && of.cseq >= cseq)
        };
        let sessions = all.iter().filter(is_had).map(|had| had.session).collect();
        if all.is_empty() {
            self.had.remove(key);
        }
        sessions
    }

    /// The channel is not known here any more.
    pub(crate) fn forget(&mut self, key: &ChannelKey) {
        debug_assert!(
            !self.awaited.contains_key(key),
            "a channel is forgotten that a session needs"
        );
        if !self.recent.is_empty() {
            self.recent.remove(key);
        }
        if !self.had.is_empty() {
            self.had.remove(key);
        }
    }

    /// Notes that a message has been told.
    pub(crate) fn note(&mut self, key: &ChannelKey, (sender, cseq): (SessionId, u64), now_ms: u64) {
        if !self.recent.contains_key(key) {
            let senders = self.hasher.map();
            let recent = Recent { senders, left: 0 };
            self.recent.insert(key.clone(), recent);
        }
        let Some(recent) = self.recent.get_mut(key) else {
            debug_assert!(false, "a channel that was just noted");
            return;
        };
        let entry = recent.senders.entry(sender).or_default();
        debug_assert!(entry.1 <= now_ms, "told in the future");
        *entry = (entry.0.max(cseq), now_ms);
        if recent.senders.len() > 2 * recent.left + 16 {
            let is_recent = |at_ms: u64| at_ms + RECENT_MS >= now_ms;
            recent.senders.retain(|_, (_, at_ms)| is_recent(*at_ms));
            recent.left = recent.senders.len();
        }
    }

    /// Words of the last seconds, by sender.
    pub(crate) fn recent_of(&self, key: &ChannelKey, now_ms: u64) -> Vec<SenderRecord> {
        let senders = self.recent.get(key).into_iter();
        let senders = senders.flat_map(|recent| &recent.senders);
        let senders = senders.filter(|(_, (_, at_ms))| at_ms + RECENT_MS >= now_ms);
        let record = |(sender, (cseq, _)): (&SessionId, &(u64, u64))| SenderRecord {
            session: sender.0.to_vec(),
            cseq: *cseq,
        };
        let mut senders: Vec<SenderRecord> = senders.map(record).collect();
        // Order: sorted, because the map's order would reach the answer.
        senders.sort_unstable_by(|a, b| a.session.cmp(&b.session));
        senders
    }
}

impl ChannelMoves {
    /// Asserts what holds between two inputs. `holds`: of a channel that is known.
    pub(crate) fn assert_consistent(&self, holds: impl Fn(&ChannelKey) -> Option<u32>) {
        for (key, awaited) in &self.awaited {
            assert!(!awaited.is_empty(), "nobody is on the way");
            let held = holds(key).unwrap_or(0) as usize;
            assert!(awaited.len() <= held, "a session's channel is not held");
            for (_, kept) in awaited {
                assert!(kept.words.len() <= WORDS_MAX, "too much is kept");
            }
        }
        for departure in &self.departures {
            let held = holds(&departure.channel);
            assert!(held.is_some_and(|held| held > 0), "it was left too early");
            assert_eq!(
                departure.channel.app, departure.user.app,
                "a member of another app"
            );
        }
        let due = self.departures.iter().map(|departure| departure.due_ms);
        assert!(due.is_sorted(), "departures are in the order of their time");
        for (key, had) in &self.had {
            assert!(holds(key).is_some(), "a channel that is not known");
            assert!(!had.is_empty(), "a channel to which nobody has come");
        }
        for (key, recent) in &self.recent {
            assert!(holds(key).is_some(), "a channel that is not known");
            assert!(!recent.senders.is_empty(), "a channel without a sender");
        }
    }
}
