//! Brings a snapshot back to life.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_token::{Permissions, TokenId};
use tidings_wire::limits::CLIENT_NAME_BYTES_MAX;
use tidings_wire::names::{ChannelName, NameRule, UserId};
use tidings_wire::proto::PresenceState;

use crate::bus_ops::{BusOp, Forerunner, LoginStamp, MemberSnapshot, Topic};
use crate::channels::state::Channel;
use crate::config::{AppSettings, Traits};
use crate::grant::Proof;
use crate::hub::Hub;
use crate::ids::{ChannelKey, HubId, SessionId, SessionKey, UserKey};
use crate::invitations::slot::{InvitationSlot, Ringing};
use crate::invitations::state::Invitations;
use crate::io::{Effect, Sink};
use crate::kernel::outbox::Outbox;
use crate::kernel::replicas::REPLICAS_MAX;
use crate::kernel::session::{Link, PREVIOUS_SECRETS_MAX, RateSlot, Requests, Session, Token};
use crate::peers::slot::PeerSlot;
use crate::presence::slot::{PresenceSlot, Watched};
use crate::snapshot::record::{
    ChannelRecord, ForerunnerRecord, NUMBER_MAX, OriginRecord, SessionRecord,
};
use crate::snapshot::{
    Snapshot, from_channel, from_session_id, from_traits, from_user, from_user_by,
};

/// Until then all hubs have subscribed to what they have taken over, in milliseconds: what is
/// published sooner may pass by one that has not, and a member that it has seen would stay forever.
const SUBSCRIBE_MS: u64 = 1_000;

impl Hub {
    /// Takes over what the process before has left. What no longer fits this hub is left out.
    pub(crate) fn handle_restore(&mut self, snapshot: Snapshot, out: &mut dyn Sink) {
        let record = snapshot.0;
        debug_assert!(
            self.kernel.connections.is_empty() && self.kernel.sessions.is_empty(),
            "clients were let in before those who were there"
        );
        self.channels.epochs = self.channels.epochs.max(record.epochs);
        self.kernel.now.unix_ms = self.kernel.now.unix_ms.max(record.stamped_ms);
        if let Some(agreed_ms) = record.clock_agreed_ms {
            self.kernel.clock.wall.doubt(agreed_ms);
        }
        self.kernel.clock.heard_from_ms = self.kernel.now.mono_ms + SUBSCRIBE_MS;
        let mut keys = BTreeMap::new();
        for session in record.sessions {
            if let Some((id, key)) = self.restore_session(session, &keys, out) {
                keys.insert(id, key);
            }
        }
        for channel in record.channels {
            self.restore_channel(channel, &keys, out);
        }
        for key in keys.values() {
            self.leave_unrestored_channels(*key);
        }
        for watch in record.watches {
            self.presence
                .restore_watch(watch, &keys, &mut self.kernel, out);
        }
        for key in keys.values() {
            self.presence
                .leave_unrestored_watches(*key, &mut self.kernel);
        }
        let users: Vec<UserKey> = self.kernel.users.keys().cloned().collect();
        for user in users {
            self.kernel.put_first(&user);
        }
        for key in keys.into_values() {
            self.kernel.set_session_timer(key);
            Invitations::check_restored_rings(key, &mut self.kernel);
            if self.kernel.sessions.get(key).is_some_and(Session::is_here) {
                self.peers.read_inbox(key, &mut self.kernel, out);
            }
        }
    }

    fn restore_session(
        &mut self,
        record: SessionRecord,
        keys: &BTreeMap<SessionId, SessionKey>,
        out: &mut dyn Sink,
    ) -> Option<(SessionId, SessionKey)> {
        let traits = from_traits(record.traits.as_ref()?);
        let user = from_user_by(traits.names, record.user.as_ref()?)?;
        let entry = self.kernel.users.get(&user);
        let has_session = entry.is_some_and(|entry| entry.session.is_some());
        let is_full = match self.kernel.replicas_of(&user) {
            Some(_) => self.kernel.sessions_of(&user).len() >= REPLICAS_MAX,
            None => has_session,
        };
        if is_full || keys.contains_key(&from_session_id(&record.id)?) {
            // A file may hold anything: a user has one session, or a service a few, and a session
            // one record.
            return None;
        }
        // Who may not be here any more is ended when all hubs hear of it.
        let settings = self.kernel.config.apps.settings(&user.app).of(traits);
        let mut session = self.make_session(record, user.clone(), settings, traits)?;
        // Who was in stays in.
        session.rates.place = self.kernel.enter(&user.app, true).unwrap_or_default();
        let id = session.id;
        let key = self.kernel.add_session(session);
        self.kernel.insert_user_session(&user, key);
        if !has_session {
            out.emit(Effect::Bus(BusOp::Subscribe(Topic::User(user))));
        }
        Some((id, key))
    }

    /// `None`: a record that this version has not written.
    pub(crate) fn make_session(
        &mut self,
        record: SessionRecord,
        user: UserKey,
        settings: AppSettings,
        traits: Traits,
    ) -> Option<Session> {
        self.logins.count += 1;
        let stamp = LoginStamp {
            mono_ms: self.kernel.shared_ms(),
            hub: self.kernel.config.id,
            count: self.logins.count,
        };
        let now_ms = self.kernel.now.mono_ms;
        let presence = PresenceState::try_from(record.presence).ok()?;
        // Who was there has its whole grace from now on: its client could not come back earlier.
        let heard_ms = match presence {
            PresenceState::Offline => now_ms.saturating_sub(record.silent_ms),
            _ => now_ms,
        };
        let mut watched = Watched::default();
        let users = record.watched.into_iter().filter_map(from_user);
        watched.extend(self.kernel.hasher, users.collect());
        if record.cseq.max(record.last_invitation) > NUMBER_MAX
            || record.client.len() > CLIENT_NAME_BYTES_MAX
        {
            return None;
        }
        let mut secrets = record.secrets.iter().map(|secret| to_secret(secret));
        let channels = record.channels.iter();
        let mut link = Link::new(secrets.next()??, 0, heard_ms);
        link.client = self.kernel.clients.keep(&record.client);
        link.previous_secrets = secrets.flatten().take(PREVIOUS_SECRETS_MAX).collect();
        let forerunners = record.forerunners.into_iter().map(to_forerunner);
        link.forerunners = forerunners.collect::<Option<_>>()?;
        let outbox = Outbox::from_record(&user.app, record.outbox?, &self.kernel.replay_bytes)?;
        let place = (outbox.sent(), &user);
        let peers = PeerSlot::from_records(&record.deliveries, record.inbox?, place)?;
        Some(Session {
            id: from_session_id(&record.id)?,
            settings,
            traits,
            connection: None,
            outbox,
            link,
            token: Token {
                expires_s: record.token_expires_s,
                rights: match record.rights {
                    Some(bytes) => Some(Arc::new(Permissions::from_bytes(&bytes)?)),
                    None => None,
                },
                proof: Proof {
                    certificate: record.certificate,
                    token: record.token.first_chunk().copied().map(TokenId),
                    issued_s: record.token_issued_s,
                }
                .kept(),
                is_expiry_told: record.is_expiry_told && record.token_expires_s.is_some(),
            },
            requests: Requests {
                cseq: record.cseq,
                open: 0,
            },
            // Rates start from zero: restarts are rarer than their windows are long.
            rates: RateSlot::default(),
            presence: PresenceSlot {
                state: presence,
                stamp,
                is_watched: record.is_watched,
                watched,
            },
            channels: channels
                .map(|channel| ChannelName::parse_by(traits.names, channel).ok())
                .collect::<Option<_>>()?,
            peers,
            has_attributes: record.has_attributes,
            invitations: InvitationSlot {
                reported: thin_vec::ThinVec::new(),
                last_number: record.last_invitation,
                rings: (record.rings.into_iter().map(Ringing::from_record))
                    .collect::<Option<_>>()?,
            },
            user,
        })
    }

    fn restore_channel(
        &mut self,
        record: ChannelRecord,
        keys: &BTreeMap<SessionId, SessionKey>,
        out: &mut dyn Sink,
    ) {
        let Some(key) = from_channel(&record.app, &record.channel) else {
            // A name that this version does not accept.
            return;
        };
        if record.epoch == 0 || record.epoch.max(record.seq) > NUMBER_MAX {
            // Interests are counted from 1.
            return;
        }
        self.channels.epochs = self.channels.epochs.max(record.epoch);
        let mut channel = Channel::new(key.clone(), self.kernel.hasher, record.epoch);
        channel.seq = record.seq;
        // The store starts revisions of attributes over, and none is under way.
        channel.go_on();
        for id in record.locals.iter().filter_map(|id| from_session_id(id)) {
            let Some(session) = keys.get(&id) else {
                continue;
            };
            let joined = self.kernel.sessions.get(*session);
            let is_in = |it: &Session| it.user.app == key.app && it.channels.contains(&key.channel);
            if joined.is_some_and(is_in) {
                channel.locals.insert(*session, id);
            }
        }
        for mut origin in record.origins {
            if HubId::from_number(origin.hub) == self.kernel.config.id {
                // Its own changes are numbered as the channel says: a hub misses none of them.
                (origin.epoch, origin.seq) = (record.epoch, record.seq);
            }
            // Those who hear of it knew it before: these are no events.
            channel
                .members
                .apply_snapshot(&to_members(&key.app, origin));
        }
        out.emit(Effect::Bus(BusOp::Subscribe(Topic::Channel(key.clone()))));
        self.channels.known.insert(key.clone(), channel);
        if record.is_count_due {
            self.channels.schedule_count(&key, &mut self.kernel, out);
        }
        self.channels.drop_channel_if_unused(&key, out);
    }
}

impl Hub {
    /// A session is in those channels only whose records say so too: a file may hold anything.
    fn leave_unrestored_channels(&mut self, key: SessionKey) {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session that was just restored is there");
            return;
        };
        let app = &session.user.app;
        let known = &self.channels.known;
        session.channels.retain(|channel| {
            let app = app.clone();
            let channel = channel.clone();
            let found = known.get(&ChannelKey { app, channel });
            found.is_some_and(|found| found.locals.contains_key(&key))
        });
    }
}

fn to_secret(bytes: &[u8]) -> Option<[u8; 32]> {
    <[u8; 32]>::try_from(bytes).ok()
}

fn to_forerunner(record: ForerunnerRecord) -> Option<Forerunner> {
    Some(Forerunner {
        id: from_session_id(&record.id)?,
        secrets: record.secrets.iter().filter_map(|s| to_secret(s)).collect(),
    })
}

fn to_members(app: &tidings_wire::names::AppId, record: OriginRecord) -> MemberSnapshot {
    let members = record.members.into_iter().filter_map(|member| {
        let user = UserKey {
            app: app.clone(),
            user: UserId::parse_by(NameRule::Wide, &member.user).ok()?,
        };
        Some((user, from_session_id(&member.session)?))
    });
    MemberSnapshot {
        origin: HubId::from_number(record.hub),
        epoch: record.epoch,
        seq: record.seq,
        members: members.collect(),
    }
}
