//! What a hub knows of a channel.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use indexmap::IndexMap;
use slotmap::Key as _;
use tidings_wire::limits::MEMBER_COUNTS_PER_CALL_MAX;
use tidings_wire::proto::MemberCount;

use crate::bus_ops::{Progress, Publication, Question, Topic};
use crate::channels::kept::ChannelMoves;
use crate::channels::members::{Members, Stamp};
use crate::ids::{ChannelKey, HubId, SessionId, SessionKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::asks::{AskRule, AskTag, Hangs};
use crate::kernel::caller::Caller;
use crate::kernel::maps::{Map, NumberMap, SeededHasher, number_map};
use crate::moderation::Moderation;

/// Publications kept while the members are being fetched; beyond it the hub goes on and repairs
/// later.
pub(crate) const HELD_MAX: usize = 16_384;

/// The channels of this hub.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Those with a member here: this hub subscribes to their topics.
    pub(crate) known: Map<ChannelKey, Channel>,
    /// Rises with every interest in a channel: tells a hub's numberings apart.
    pub(crate) epochs: u64,
    /// Count calls that wait for other hubs. Bound: each belongs to an open request.
    pub(crate) gathers: Map<u64, CountGather>,
    /// Names the gathers.
    pub(crate) gather_count: u64,
    /// Questions under way, by their numbers. Bound: each belongs to an open request or a channel.
    pub(crate) asks: NumberMap<ChannelAsk>,
    /// What is kept for sessions that move between nodes.
    pub(crate) moves: ChannelMoves,
    /// Channels whose members on other nodes are compared. Bound: each is known here, or was a few
    /// seconds ago.
    pub(crate) refreshes: Map<ChannelKey, Refresh>,
    /// Messages that are not in their channel's order yet.
    pub(crate) moderation: Moderation,
}

/// What was asked of other hubs.
#[derive(Debug)]
pub(crate) enum ChannelAsk {
    /// Who is in a channel that becomes known here?
    Members(ChannelKey),
    /// The member list of a channel without members here.
    Look { caller: Caller },
    /// How far have the hubs of other nodes come in a channel?
    Progress(ChannelKey),
    /// One channel of a request for counts.
    Count { gather: u64, at: usize },
}

/// Every hub knows its own members: none decides for the others.
pub(crate) static MEMBERS: AskRule = AskRule {
    tag: AskTag::Channels,
    hangs: Hangs::OnHub,
    is_decided_by: |_| false,
    takes_some: true,
};

impl Channels {
    /// None yet. `epochs`: a number that no earlier life of this hub has reached.
    pub(crate) fn new(hasher: SeededHasher, epochs: u64) -> Self {
        Self {
            known: hasher.map(),
            epochs,
            gathers: hasher.map(),
            gather_count: 0,
            asks: number_map(),
            moves: ChannelMoves::new(hasher),
            refreshes: hasher.map(),
            moderation: Moderation::default(),
        }
    }

    /// Sessions of this hub that are in a channel, in the order in which they came.
    pub(crate) fn members_here(&self, channel: &ChannelKey) -> Vec<SessionKey> {
        let known = self.known.get(channel);
        let locals = known.map(|known| known.locals.keys().copied());
        let joining = known.map(|known| known.published.iter().map(|own| own.session));
        let locals = locals.into_iter().flatten();
        locals.chain(joining.into_iter().flatten()).collect()
    }

    pub(crate) fn ask(
        &mut self,
        kernel: &mut Kernel,
        (topic, question): (Topic, Question),
        ask: ChannelAsk,
        out: &mut dyn Sink,
    ) {
        let number = kernel.ask(topic, question, &MEMBERS, out);
        self.asks.insert(number, ask);
    }
}

/// A channel in which this hub has members.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) key: Arc<ChannelKey>,
    /// Sessions of this hub that get the channel's messages: its members, and former members that
    /// were gone but can still resume.
    pub(crate) locals: IndexMap<SessionKey, SessionId, SeededHasher>,
    /// Members on all hubs.
    pub(crate) members: Members,
    /// This hub's numbering of its own changes.
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) sync: Sync,
    /// This hub's first change has come back: what follows is of this interest in the channel, not
    /// of an earlier one.
    pub(crate) is_current: bool,
    /// Sessions that are on their way here, or were members here and have moved on: the channel
    /// stays known for them.
    pub(crate) holds: u32,
    /// What this hub has published and not yet seen in the topic's order. Bound: open requests and
    /// memberships.
    pub(crate) published: VecDeque<Published>,
    pub(crate) count_told_ms: Option<u64>,
    pub(crate) has_count_timer: bool,
    /// Of the attributes that members here were last told; 0 = of none.
    pub(crate) attributes_revision: u64,
    /// Hubs that have been asked for a snapshot of their members. Bound: hubs that are interested
    /// in the channel.
    pub(crate) resyncs: BTreeMap<HubId, Resync>,
}

impl Channel {
    /// Continues where the previous process ended: there is nothing to fetch.
    pub(crate) fn go_on(&mut self) {
        self.sync = Sync::Ready;
        self.is_current = true;
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.sync, Sync::Ready)
    }

    /// The members of this hub, which it knows without asking, while the others are being fetched.
    pub(crate) fn held_own(&self, own: HubId, hasher: SeededHasher) -> Option<Members> {
        let Sync::Waiting { held, .. } = &self.sync else {
            // They are known.
            return None;
        };
        let mut members = Members::new(hasher);
        let own_words = held.iter().filter_map(|held| match held {
            Held::Published(from, message) if *from == own => Some(message),
            _ => None,
        });
        for message in own_words {
            // Own changes come back in order and without gaps, so that each is the next.
            let _ = match &**message {
                Publication::Joined {
                    seq,
                    epoch,
                    user,
                    session,
                } => members.apply_joined(stamp(own, *epoch, *seq), &user.user, *session),
                Publication::Left {
                    seq,
                    epoch,
                    user,
                    session,
                } => members.apply_left(stamp(own, *epoch, *seq), &user.user, *session),
                _ => Ok(None),
            };
        }
        Some(members)
    }

    /// A channel that becomes known here; its members have been asked for.
    pub(crate) fn new(key: ChannelKey, hasher: SeededHasher, epoch: u64) -> Self {
        Self {
            key: Arc::new(key),
            locals: IndexMap::with_hasher(hasher),
            members: Members::new(hasher),
            epoch,
            seq: 0,
            sync: Sync::Waiting {
                held: Vec::new(),
                calls: Vec::new(),
            },
            is_current: false,
            holds: 0,
            published: VecDeque::new(),
            count_told_ms: None,
            has_count_timer: false,
            attributes_revision: 0,
            resyncs: BTreeMap::new(),
        }
    }
}

pub(crate) fn stamp(origin: HubId, epoch: u64, seq: u64) -> Stamp {
    Stamp { origin, epoch, seq }
}

/// Whether the members from before this hub subscribed are known.
#[derive(Debug)]
pub(crate) enum Sync {
    /// They have been asked for; what arrives in the meantime waits. Bound: `HELD_MAX`.
    Waiting {
        held: Vec<Held>,
        calls: Vec<Caller>,
    },
    Ready,
}

/// What has arrived on a channel's topic and waits.
#[derive(Debug)]
pub(crate) enum Held {
    Published(HubId, Arc<Publication>),
    /// So many publications of another node are lost.
    Missed(HubId, u32),
    /// A node is lost, and for its hubs stands this.
    Lost(u16, HubId),
}

/// Members of other nodes that are compared with what those nodes say.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    /// Of which interest in the channel.
    pub(crate) epoch: u64,
    /// How far the hubs of other nodes had come when they were asked; `None` = they are asked when
    /// the timer fires.
    pub(crate) asked: Option<Vec<Progress>>,
    /// Hubs that had no interest in the channel any more when they were last asked, as far as their
    /// changes are known here.
    pub(crate) absent: Vec<Progress>,
    /// Something was missed since they were asked.
    pub(crate) is_stale: bool,
}

/// A snapshot that has been asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resync {
    /// When it may be asked for again, in monotonic milliseconds.
    pub(crate) due_ms: u64,
    /// The greatest change that could not be applied: (epoch, seq).
    pub(crate) needed: (u64, u64),
}

/// Something of ours on its way through the topic.
#[derive(Debug)]
pub(crate) struct Published {
    /// Whose; null = a message from outside.
    pub(crate) session: SessionKey,
    pub(crate) id: SessionId,
    pub(crate) what: Own,
    /// Calls for the member list that came while this, a join, was on its way. Bound: open
    /// requests.
    pub(crate) member_lists: Vec<Caller>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// A request to join.
    Join { caller: Caller },
    /// A user that was gone is back.
    Show,
    /// A request to leave.
    Leave { caller: Caller },
    /// The user is gone, its session may come back.
    Hide,
    /// The session is over.
    End,
    /// A session is on its way from one hub to another: to be told to the others only.
    Moved,
    /// A message.
    Message { caller: Caller },
    /// A message whose sender is answered when the copy in the history is durable.
    KeptMessage,
}

impl Own {
    /// Whether others see the user come by it.
    pub(crate) fn shows(self) -> bool {
        matches!(self, Own::Join { .. } | Own::Show)
    }
}

/// A request for counts that waits for other hubs.
#[derive(Debug)]
pub(crate) struct CountGather {
    pub(crate) caller: Caller,
    pub(crate) counts: Vec<MemberCount>,
    pub(crate) missing: usize,
}

impl Channels {
    /// Asserts what holds between two inputs. Cost: O(members here).
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        self.moderation.assert_consistent();
        let asks = kernel.asks.count_of(AskTag::Channels);
        assert_eq!(
            self.asks.len(),
            asks,
            "questions without a reason, or the reverse"
        );
        for (key, channel) in &self.known {
            assert_eq!(*key, *channel.key, "a channel under another name");
            assert!(
                channel.epoch <= self.epochs,
                "an interest that was not counted"
            );
            channel.assert_consistent(kernel);
        }
        let counts = self
            .asks
            .values()
            .filter(|ask| matches!(ask, ChannelAsk::Count { .. }));
        for gather in self.gathers.values() {
            gather.assert_consistent();
        }
        let missing: usize = self.gathers.values().map(|gather| gather.missing).sum();
        assert_eq!(counts.count(), missing, "counts that are awaited");
        assert!(
            self.gathers.len() as u64 <= self.gather_count,
            "a gather without a name"
        );
        self.moves.assert_consistent(|key| {
            let channel = self.known.get(key)?;
            Some(channel.holds)
        });
        let is_asked = |refresh: &&Refresh| refresh.asked.is_some();
        let refreshes = self.refreshes.values().filter(is_asked).count();
        let is_progress = |ask: &&ChannelAsk| matches!(ask, ChannelAsk::Progress(_));
        let progress = self.asks.values().filter(is_progress).count();
        assert_eq!(refreshes, progress, "members are compared for no reason");
        for session in kernel.sessions.values() {
            for channel in &session.channels {
                let key = ChannelKey {
                    app: session.user.app.clone(),
                    channel: channel.clone(),
                };
                assert!(
                    self.known.contains_key(&key),
                    "a joined channel is not known"
                );
            }
        }
    }
}

impl Channel {
    fn assert_consistent(&self, kernel: &Kernel) {
        let is_used = !self.locals.is_empty()
            || !self.published.is_empty()
            || self.holds > 0
            || !self.is_ready();
        assert!(is_used, "a channel that nobody here is in");
        for (key, id) in &self.locals {
            let session = kernel.sessions.get(*key).map(|session| session.id);
            // One that has left and ended since goes when its leaving comes back.
            let is_leaving = self.published.iter().any(|own| own.session == *key);
            let is_its = session == Some(*id) || session.is_none() && is_leaving;
            assert!(is_its, "a member here has no session");
        }
        if let Sync::Waiting { held, .. } = &self.sync {
            let is_publication = |held: &&Held| matches!(held, Held::Published(..));
            let publications = held.iter().filter(is_publication).count();
            assert!(publications <= HELD_MAX, "too much waits for the members");
        }
        let is_membership =
            |own: &&Published| !matches!(own.what, Own::Message { .. } | Own::KeptMessage);
        let changes = self.published.iter().filter(is_membership).count() as u64;
        assert!(changes <= self.seq, "a change without a number");
        for resync in self.resyncs.values() {
            assert!(resync.needed > (0, 0), "a snapshot that nothing needs");
        }
        for published in &self.published {
            published.assert_consistent();
        }
        let told_ms = self.count_told_ms.unwrap_or(0);
        assert!(
            told_ms <= kernel.now.mono_ms,
            "a count was told in the future"
        );
        if !self.is_current {
            assert!(self.seq > 0, "an interest without a change of ours");
        }
        for origin in self.resyncs.keys() {
            assert_ne!(
                *origin, kernel.config.id,
                "a hub asks itself for its members"
            );
        }
        self.members.assert_consistent();
    }
}

impl CountGather {
    fn assert_consistent(&self) {
        assert!(self.missing > 0, "a call that waits for nothing");
        assert!(
            self.missing <= self.counts.len(),
            "more counts are awaited than channels named"
        );
        assert!(
            self.counts.len() <= MEMBER_COUNTS_PER_CALL_MAX,
            "too many channels are named"
        );
    }
}

impl Published {
    fn assert_consistent(&self) {
        let has_lists = self.member_lists.is_empty() || self.what.shows();
        assert!(has_lists, "a list waits behind something that is no join");
        let is_its = |caller: &Caller| caller.session() == Some(self.session);
        let is_from_outside = self.session.is_null();
        assert!(
            self.member_lists.iter().all(is_its),
            "a list for another session"
        );
        match self.what {
            Own::Join { caller } => assert!(is_its(&caller), "a join of another session"),
            Own::Leave { caller } => assert!(is_its(&caller), "a leave of another session"),
            Own::Message { caller } => assert!(
                is_its(&caller) || is_from_outside && caller.session().is_none(),
                "a message of another session"
            ),
            Own::Show | Own::Hide | Own::End | Own::Moved | Own::KeptMessage => {}
        }
    }
}
