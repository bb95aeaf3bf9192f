//! What a session that has moved is told of a channel: what it was not told at its old hub.

use bytes::Bytes;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::MEMBER_EVENTS_MAX;
use tidings_wire::names::{NameRule, UserId};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Gap, GapCause, MemberCount, MemberJoined, MemberLeft, gap};

use crate::bus_ops::ForOthers;
use crate::channels::kept::{Kept, Word};
use crate::channels::members::Change;
use crate::ids::SessionId;
use crate::kernel::session::Session;
use crate::snapshot::record::MovedChannelRecord;

/// What a session is told of a channel that it was not told at its old hub.
pub(crate) struct Rest<'a> {
    session: SessionId,
    /// Its own coming and going is not told to a user.
    user: UserId,
    knows_library_types: bool,
    told: &'a MovedChannelRecord,
    /// Members as they are here.
    now: Vec<UserId>,
    /// Members as the session knows them; `None` = there are too many for events.
    known: Option<Vec<UserId>>,
    frames: Vec<Bytes>,
}

impl<'a> Rest<'a> {
    pub(crate) fn new(session: &Session, told: &'a MovedChannelRecord, now: Vec<UserId>) -> Self {
        let max = MEMBER_EVENTS_MAX;
        debug_assert!(
            told.members.is_empty() || told.members.len() as u64 == told.count,
            "members that are not counted"
        );
        let has_events = told.count <= max as u64 && now.len() <= max;
        let parse = |name: &String| UserId::parse_by(NameRule::Wide, name).ok();
        Self {
            session: session.id,
            user: session.user.user.clone(),
            knows_library_types: session.traits.knows_library_types,
            told,
            now,
            known: has_events.then(|| told.members.iter().filter_map(parse).collect()),
            frames: Vec::new(),
        }
    }

    pub(crate) fn frames(&mut self, kept: Kept, revision: u64) -> Vec<Bytes> {
        // Whoever was a member when words began to be kept is told before the first of them.
        let first_of = |user: &UserId| {
            kept.words.iter().find_map(|word| match word {
                Word::Change(change) if user_of(change) == user => Some(change),
                _ => None,
            })
        };
        let mut before: Vec<UserId> = (self.now.iter())
            .filter(|user| !matches!(first_of(user), Some(Change::Joined(_))))
            .cloned()
            .collect();
        before.extend(kept.words.iter().filter_map(|word| match word {
            Word::Change(Change::Left(user)) if matches!(first_of(user), Some(Change::Left(_))) => {
                Some(user.clone())
            }
            _ => None,
        }));
        for user in before {
            self.tell(&Change::Joined(user));
        }
        if kept.lost > 0 {
            self.frames.push(encode_server(Kind::Gap(Gap {
                cause: GapCause::BufferOverflow.into(),
                missed: kept.lost,
                source: Some(gap::Source::Channel(self.told.channel.clone())),
            })));
        }
        for word in kept.words {
            self.word(word, revision);
        }
        let now = std::mem::take(&mut self.now);
        for user in self.known.clone().unwrap_or_default() {
            if !now.contains(&user) {
                self.tell(&Change::Left(user));
            }
        }
        for user in &now {
            self.tell(&Change::Joined(user.clone()));
        }
        if self.told.count != now.len() as u64 {
            self.frames
                .push(encode_server(Kind::MemberCount(MemberCount {
                    channel: self.told.channel.clone(),
                    count: u32::try_from(now.len()).unwrap_or(u32::MAX),
                })));
        }
        std::mem::take(&mut self.frames)
    }

    fn word(&mut self, word: Word, revision: u64) {
        match word {
            Word::Message((sender, cseq), frame) => {
                let mut senders = self.told.senders.iter();
                let had = senders.find(|known| known.session == sender.0);
                if sender != self.session && had.is_none_or(|had| had.cseq < cseq) {
                    self.frames.push(frame);
                }
            }
            Word::Attributes(of, frame, others) if of > self.told.attributes_revision => {
                debug_assert!(of <= revision, "attributes that were not told");
                match others {
                    _ if self.knows_library_types => self.frames.push(frame),
                    ForOthers::Same => self.frames.push(frame),
                    ForOthers::Frame(frame) => self.frames.push(frame),
                    ForOthers::Nothing => {}
                }
            }
            Word::Attributes(..) => {}
            Word::Change(change) => self.tell(&change),
            Word::Gap(frame) => self.frames.push(frame),
        }
    }

    /// Tells a change of the members, if it is one to the session.
    fn tell(&mut self, change: &Change) {
        let Some(known) = &mut self.known else {
            // Too many are members.
            return;
        };
        let user = user_of(change);
        let at = known.iter().position(|of| of == user);
        let channel = self.told.channel.clone();
        let user_id = user.to_string();
        let kind = match (change, at) {
            (Change::Joined(_), None) => {
                known.push(user.clone());
                Kind::MemberJoined(MemberJoined { channel, user_id })
            }
            (Change::Left(_), Some(at)) => {
                known.swap_remove(at);
                Kind::MemberLeft(MemberLeft { channel, user_id })
            }
            _ => return,
        };
        if *user != self.user {
            self.frames.push(encode_server(kind));
        }
    }
}

fn user_of(change: &Change) -> &UserId {
    match change {
        Change::Joined(user) | Change::Left(user) => user,
    }
}
