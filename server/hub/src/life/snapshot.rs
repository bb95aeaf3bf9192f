//! Settles a hub, and takes a snapshot of it.

use tidings_fault::fault;

use crate::Snapshot;
use crate::bus_ops::MemberSnapshot;
use crate::channels::state::Channel;
use crate::hub::Hub;
use crate::ids::SessionKey;
use crate::io::Sink;
use crate::kernel::session::{End, Session};
use crate::snapshot::record::{
    ChannelRecord, HubRecord, MemberRecord, OriginRecord, SessionRecord, VERSION,
};
use crate::snapshot::{to_forerunner, to_traits, to_user};

impl Hub {
    /// Whether nothing is under way: see [`crate::Input::Settle`].
    pub fn is_settled(&self) -> bool {
        let is_quiet = |channel: &Channel| channel.published.is_empty() && channel.is_ready();
        self.kernel.is_settling
            && self.kernel.connections.is_empty()
            && self.kernel.asks.len() == 0
            && self.channels.moderation.is_settled()
            && self.kernel.stores.len() == 0
            && self.channels.known.values().all(is_quiet)
            && self.kernel.sessions.values().all(Session::can_resume)
    }

    /// What must outlive the process. Of use only when every hub [is settled](Self::is_settled).
    pub fn snapshot(&self) -> Snapshot {
        debug_assert!(
            !self.is_settled() || self.kernel.outsiders.open.is_empty(),
            "a call from outside is never answered"
        );
        debug_assert!(
            !self.is_settled()
                || self
                    .kernel
                    .sessions
                    .values()
                    .all(|it| it.requests.open == 0),
            "a request is never answered"
        );
        let mut sessions: Vec<_> = (self.kernel.sessions.values())
            .filter(|session| session.can_resume())
            .collect();
        sessions.sort_unstable_by_key(|session| session.id);
        let mut channels: Vec<_> = self.channels.known.values().collect();
        channels.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Snapshot(HubRecord {
            version: VERSION,
            hub: u32::from(self.kernel.config.id.hub),
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
        self.settle_moderation(out);
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

    pub(crate) fn session_record(&self, session: &Session) -> SessionRecord {
        let now_ms = self.kernel.now.mono_ms;
        let mut cseq = session.requests.cseq;
        if fault!(SnapshotForgetsLastRequest) {
            cseq = cseq.saturating_sub(1);
        }
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
            // None was read from a token that could not be written; one such would not be taken
            // back.
            rights: (session.token.rights.as_ref()).map(|list| list.to_bytes().unwrap_or_default()),
            is_expiry_told: session.token.is_expiry_told,
            cseq,
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
            client: self.kernel.clients.name(session.link.client).to_owned(),
        }
    }
}

fn channel_record(channel: &Channel) -> ChannelRecord {
    let origin = |known: MemberSnapshot| OriginRecord {
        hub: known.origin.number(),
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
