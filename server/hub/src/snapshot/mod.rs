//! What outlives a planned restart (contract 4.5): a hub's sessions with everything that a resume needs.
//!
//! A snapshot is taken when no client is connected and nothing is under way: every sender has its answer in its
//! outbox, every message that was to be stored is stored, and all hubs know the same members. The next process
//! gives it to a hub of the same name before anything else, and the session's clients resume as after a cut.

pub(crate) mod record;
mod restore;

use prost::Message as _;
use tidings_fault::fault;
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};

use self::record::{
    ChannelRecord, ForerunnerRecord, HubRecord, MemberRecord, OriginRecord, SessionRecord,
    TraitsRecord, UserRecord, VERSION,
};
use crate::bus_ops::{Forerunner, MemberSnapshot};
use crate::channels::Channel;
use crate::ids::SessionKey;
use crate::ids::{ChannelKey, HubId, SessionId, UserKey};
use crate::io::Sink;
use crate::session::{End, Session};
use crate::{Hub, Traits};

/// A hub's sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot(pub(crate) HubRecord);

/// The bytes are no snapshot of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSnapshot;

impl std::fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the snapshot was written by another version, or is damaged")
    }
}

impl std::error::Error for NoSnapshot {}

impl Snapshot {
    /// As bytes. They hold payloads, and digests of the resume secrets.
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// # Errors
    /// [`NoSnapshot`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NoSnapshot> {
        let record = HubRecord::decode(bytes).map_err(|_| NoSnapshot)?;
        match record.version {
            VERSION => Ok(Self(record)),
            _ => Err(NoSnapshot),
        }
    }

    /// Those of all hubs of a process. Each gets the latest stamp of any of them: what another hub has stamped may
    /// have come before what it is going to stamp (contract CRA-7).
    ///
    /// # Errors
    /// [`NoSnapshot`]: one of them is none.
    pub fn decode_all<'a>(
        all: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<Self>, NoSnapshot> {
        let mut all: Vec<Self> = all
            .into_iter()
            .map(Self::decode)
            .collect::<Result<_, _>>()?;
        let latest_ms = all.iter().map(|hub| hub.0.stamped_ms).max().unwrap_or(0);
        for hub in &mut all {
            hub.0.stamped_ms = latest_ms;
        }
        Ok(all)
    }

    /// Whose it is.
    pub fn hub(&self) -> HubId {
        HubId(u16::try_from(self.0.hub).unwrap_or(u16::MAX))
    }

    /// How many sessions are in it.
    pub fn sessions(&self) -> usize {
        self.0.sessions.len()
    }
}

impl Hub {
    /// Whether nothing is under way: see [`crate::Input::Settle`].
    pub fn is_settled(&self) -> bool {
        let is_quiet = |channel: &Channel| channel.published.is_empty() && channel.is_ready();
        self.kernel.is_settling
            && self.kernel.connections.is_empty()
            && self.kernel.asks.len() == 0
            && self.kernel.stores.len() == 0
            && self.channels.known.values().all(is_quiet)
            && self.kernel.sessions.values().all(Session::can_resume)
    }

    /// What is to outlive the process. Of use only when every hub [is settled](Self::is_settled).
    pub fn snapshot(&self) -> Snapshot {
        let mut sessions: Vec<_> = (self.kernel.sessions.values())
            .filter(|session| session.can_resume())
            .collect();
        sessions.sort_unstable_by_key(|session| session.id);
        let mut channels: Vec<_> = self.channels.known.values().collect();
        channels.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Snapshot(HubRecord {
            version: VERSION,
            hub: u32::from(self.kernel.config.id.0),
            epochs: self.channels.epochs,
            sessions: sessions
                .into_iter()
                .map(|s| self.session_record(s))
                .collect(),
            channels: channels.into_iter().map(channel_record).collect(),
            watches: self.presence.watch_records(&self.kernel),
            stamped_ms: self.kernel.now.unix_ms,
            clock_agreed_ms: self.kernel.clock.wall.agreed_ms(),
        })
    }

    /// The process is about to end and nobody is connected: no confirmation will come in its time.
    pub(crate) fn handle_settle(&mut self, out: &mut dyn Sink) {
        self.kernel.is_settling = true;
        let mut keys: Vec<SessionKey> = self.kernel.sessions.keys().collect();
        // Order: sorted, because the map's order would reach the effects.
        keys.sort_unstable();
        for key in keys {
            if !self
                .kernel
                .sessions
                .get(key)
                .is_some_and(Session::can_resume)
            {
                // Its end is told now, while there is somebody to tell it.
                self.end_session(key, End::WindowOver, out);
                continue;
            }
            self.peers.check_deliveries(key, &mut self.kernel, out);
        }
    }

    fn session_record(&self, session: &Session) -> SessionRecord {
        let now_ms = self.kernel.now.mono_ms;
        SessionRecord {
            id: session.id.0.to_vec(),
            user: Some(to_user(&session.user)),
            secrets: session.secrets().map(|secret| secret.to_vec()).collect(),
            silent_ms: now_ms.saturating_sub(session.link.heard_ms),
            presence: session.presence.state.into(),
            token_expires_s: session.token.expires_s,
            certificate: session.proof().certificate,
            token: (session.proof().token).map_or(Vec::new(), |token| token.0.to_vec()),
            token_issued_s: session.proof().issued_s,
            // None was read from a token that could not be written; one such would not be taken back.
            rights: (session.token.rights.as_ref()).map(|list| list.to_bytes().unwrap_or_default()),
            is_expiry_told: session.token.is_expiry_told,
            cseq: session.requests.cseq
                - u64::from(fault!(SnapshotForgetsLastRequest) && session.requests.cseq > 0),
            outbox: Some(session.outbox.to_record()),
            channels: (session.channels.iter())
                .filter(|_| !fault!(SnapshotForgetsMemberships))
                .map(|channel| channel.to_string())
                .collect(),
            deliveries: session
                .peers
                .deliveries
                .iter()
                .map(|d| d.to_record())
                .collect(),
            inbox: Some(session.peers.inbox.to_record()),
            watched: session.presence.watched.iter().map(to_user).collect(),
            has_attributes: session.has_attributes,
            is_watched: session.presence.is_watched,
            forerunners: session.link.forerunners.iter().map(to_forerunner).collect(),
            last_invitation: session.invitations.last_number,
            rings: session
                .invitations
                .rings
                .iter()
                .map(|ring| ring.to_record())
                .collect(),
            traits: Some(to_traits(session.traits)),
        }
    }
}

fn channel_record(channel: &Channel) -> ChannelRecord {
    let origin = |known: MemberSnapshot| OriginRecord {
        hub: u32::from(known.origin.0),
        epoch: known.epoch,
        seq: known.seq,
        members: (known.members.into_iter())
            .map(|(user, session)| MemberRecord {
                user: user.user.to_string(),
                session: session.0.to_vec(),
            })
            .collect(),
    };
    ChannelRecord {
        app: channel.key.app.to_string(),
        channel: channel.key.channel.to_string(),
        epoch: channel.epoch,
        seq: channel.seq,
        is_count_due: channel.has_count_timer,
        locals: channel.locals.values().map(|id| id.0.to_vec()).collect(),
        origins: (channel.members.snapshots(&channel.key).into_iter())
            .map(origin)
            .collect(),
    }
}

fn to_forerunner(forerunner: &Forerunner) -> ForerunnerRecord {
    ForerunnerRecord {
        id: forerunner.id.0.to_vec(),
        secrets: forerunner.secrets.iter().map(|s| s.to_vec()).collect(),
    }
}

pub(crate) fn to_user(user: &UserKey) -> UserRecord {
    UserRecord {
        app: user.app.to_string(),
        user: user.user.to_string(),
    }
}

fn to_traits(traits: Traits) -> TraitsRecord {
    TraitsRecord {
        has_wide_names: traits.names == NameRule::Wide,
        is_text_only: traits.is_text_only,
        knows_library_types: traits.knows_library_types,
        processes_late: traits.processes_late,
        is_paced: traits.is_paced,
        lists_all_members: traits.lists_all_members,
        ends_messages: traits.ends_messages,
        reaches_any_channel: traits.reaches_any_channel,
        rings_on: traits.rings_on,
    }
}

fn from_traits(record: &TraitsRecord) -> Traits {
    Traits {
        names: match record.has_wide_names {
            true => NameRule::Wide,
            false => NameRule::Native,
        },
        is_text_only: record.is_text_only,
        knows_library_types: record.knows_library_types,
        processes_late: record.processes_late,
        ends_with_connection: false,
        is_paced: record.is_paced,
        lists_all_members: record.lists_all_members,
        ends_messages: record.ends_messages,
        reaches_any_channel: record.reaches_any_channel,
        rings_on: record.rings_on,
    }
}

/// Any user whom a session has to do with: its caller may have wide names when it has not.
pub(crate) fn from_user(record: UserRecord) -> Option<UserKey> {
    from_user_by(NameRule::Wide, &record)
}

fn from_user_by(rule: NameRule, record: &UserRecord) -> Option<UserKey> {
    Some(UserKey {
        app: AppId::parse(&record.app).ok()?,
        user: UserId::parse_by(rule, &record.user).ok()?,
    })
}

pub(crate) fn from_session_id(bytes: &[u8]) -> Option<SessionId> {
    <[u8; 16]>::try_from(bytes).ok().map(SessionId)
}

/// Where a channel is known.
pub(crate) fn from_channel(app: &str, channel: &str) -> Option<ChannelKey> {
    Some(ChannelKey {
        app: AppId::parse(app).ok()?,
        channel: ChannelName::parse_by(NameRule::Wide, channel).ok()?,
    })
}
