//! What outlives a planned restart (contract 4.5): a hub's sessions with everything that a resume
//! needs.
//!
//! A snapshot is taken when no client is connected and nothing is under way: every sender has its
//! answer in its outbox, every message that was to be stored is stored, and all hubs know the same
//! members. The next process gives it to a hub of the same name before anything else, and the
//! session's clients resume as after a cut.

pub(crate) mod record;

use prost::Message as _;
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};

use crate::bus_ops::Forerunner;
use crate::config::Traits;
use crate::ids::{ChannelKey, HubId, SessionId, UserKey};
use crate::snapshot::record::{ForerunnerRecord, HubRecord, TraitsRecord, UserRecord, VERSION};

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

    /// Those of all hubs of a process. Each gets the latest stamp of any of them: what another hub
    /// has stamped may have come before what it is going to stamp (contract CRA-7).
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
        HubId::local(u16::try_from(self.0.hub).unwrap_or(u16::MAX))
    }

    /// How many sessions are in it.
    pub fn sessions(&self) -> usize {
        self.0.sessions.len()
    }
}

pub(crate) fn to_forerunner(forerunner: &Forerunner) -> ForerunnerRecord {
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

pub(crate) fn to_traits(traits: Traits) -> TraitsRecord {
    debug_assert!(
        !traits.ends_with_connection,
        "a session that cannot be resumed outlives the process"
    );
    let record = TraitsRecord {
        has_wide_names: traits.names == NameRule::Wide,
        is_text_only: traits.is_text_only,
        knows_library_types: traits.knows_library_types,
        processes_late: traits.processes_late,
        is_paced: traits.is_paced,
        lists_all_members: traits.lists_all_members,
        ends_messages: traits.ends_messages,
        reaches_any_channel: traits.reaches_any_channel,
        rings_on: traits.rings_on,
        is_service: traits.is_service,
    };
    debug_assert_eq!(from_traits(&record), traits, "a trait is lost");
    record
}

pub(crate) fn from_traits(record: &TraitsRecord) -> Traits {
    Traits {
        names: if record.has_wide_names {
            NameRule::Wide
        } else {
            NameRule::Native
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
        is_service: record.is_service,
    }
}

/// Any user whom a session has to do with: its caller may have wide names when it has not.
pub(crate) fn from_user(record: UserRecord) -> Option<UserKey> {
    from_user_by(NameRule::Wide, &record)
}

pub(crate) fn from_user_by(rule: NameRule, record: &UserRecord) -> Option<UserKey> {
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
