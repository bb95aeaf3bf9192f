//! The form in which a session moves to another hub: that of a planned restart, with what the new
//! hub must know besides.

use std::sync::Arc;

use prost::Message as _;

use crate::Hub;
use crate::bus_ops::{LoginStamp, Parcel, Publication, Topic};
use crate::channels::state::Channels;
use crate::ids::{ChannelKey, HubId, InvitationId, MessageId, SessionId, SessionKey, UserKey};
use crate::invitations::slot::{Report, Reports};
use crate::invitations::state::Invitations;
use crate::io::Sink;
use crate::kernel::session::Session;
use crate::kernel::timers::Timer;
use crate::peers::slot::Origin;
use crate::rates::Used;
use crate::snapshot::record::{MovedChannelRecord, MovedRecord, NUMBER_MAX, VERSION};
use crate::snapshot::{from_session_id, from_traits, from_user_by};

/// A session that has come.
pub(crate) struct Arrival(MovedRecord);

/// `None`: bytes that this version has not written.
pub(crate) fn decode_moved(bytes: &[u8]) -> Option<Arrival> {
    let record = MovedRecord::decode(bytes).ok()?;
    (record.version == VERSION).then_some(Arrival(record))
}

impl Arrival {
    /// Which session it is.
    pub(crate) fn session(&self) -> Option<SessionId> {
        from_session_id(&self.0.session.as_ref()?.id)
    }
}

/// For how long after its arrival a session's unconfirmed messages are known by name, in
/// milliseconds: a sender who was told to ask again has done so, and nobody is gone yet.
const ARRIVED_MS: u64 = 12_000;

impl Hub {
    /// A session as it moves.
    pub(crate) fn moved_record(&self, key: SessionKey) -> Vec<u8> {
        let Some(session) = self.kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return Vec::new();
        };
        let of = |channel: &tidings_wire::names::ChannelName| ChannelKey {
            app: session.user.app.clone(),
            channel: channel.clone(),
        };
        let told = |channels: &Channels, key: &ChannelKey| channels.told_of(key, &self.kernel);
        let times = (self.kernel.now.mono_ms, self.kernel.node_ms());
        let rates = self.kernel.rates_of(&session.user);
        let stamp = session.presence.stamp;
        let record = MovedRecord {
            version: VERSION,
            session: Some(self.session_record(session)),
            channels: (session.channels.iter())
                .map(|channel| told(&self.channels, &of(channel)))
                .collect(),
            watches: self.presence.watches_of(session),
            used: session.rates.limiter.used(rates, times).encode(),
            sent: self.invitations.open_numbers(key, &self.kernel),
            stamp_ms: stamp.mono_ms,
            stamp_hub: stamp.hub.number(),
            stamp_count: stamp.count,
        };
        record.encode_to_vec()
    }

    /// Makes an arrived session one of this hub's; gives it with what it was told of its channels.
    /// `None`: a record that this version has not written.
    pub(crate) fn insert_arrival(
        &mut self,
        user: &UserKey,
        arrival: Arrival,
        out: &mut dyn Sink,
    ) -> Option<(SessionKey, Vec<MovedChannelRecord>)> {
        let moved = arrival.0;
        let record = moved.session?;
        let traits = from_traits(record.traits.as_ref()?);
        let named = from_user_by(traits.names, record.user.as_ref()?)?;
        if named != *user || moved.stamp_count.max(moved.stamp_ms) > NUMBER_MAX {
            return None;
        }
        let settings = self.kernel.config.apps.settings(&user.app).of(traits);
        let mut session = self.make_session(record, user.clone(), settings, traits)?;
        session.channels.retain(|channel| {
            let mut told = moved.channels.iter();
            told.any(|told| told.channel == channel.as_str())
        });
        session.presence.stamp = LoginStamp {
            mono_ms: moved.stamp_ms,
            hub: HubId::from_number(moved.stamp_hub),
            count: moved.stamp_count,
        };
        // Who was in stays in.
        session.rates.place = self.kernel.enter(&user.app, true).unwrap_or_default();
        let used = Used::decode(&moved.used).unwrap_or_default();
        let times = (self.kernel.now.mono_ms, self.kernel.node_ms());
        let rates = self.kernel.rates_of(user);
        session.rates.limiter.absorb(&used, rates, times);
        let handed = session.peers.deliveries.iter();
        let handed: Vec<MessageId> = handed.map(|delivery| delivery.parcel.id).collect();
        let id = session.id;
        let key = self.kernel.add_session(session);
        self.kernel.insert_user_session(user, key);
        self.kernel.moves.arrived.insert(user.clone(), handed);
        self.presence
            .take_watches(key, moved.watches, &mut self.kernel, out);
        self.take_sent(key, id, &moved.sent, out);
        Some((key, moved.channels))
    }

    /// What has waited for the session, and what it did at its old hub, goes on.
    pub(crate) fn go_on_after_move(
        &mut self,
        key: SessionKey,
        words: Vec<(HubId, Publication)>,
        parcels: Vec<(Origin, Parcel)>,
        out: &mut dyn Sink,
    ) {
        let Some(session) = self.kernel.sessions.get(key) else {
            // Its client could not go on with it.
            return;
        };
        let user = session.user.clone();
        Invitations::check_restored_rings(key, &mut self.kernel);
        if self.kernel.sessions.get(key).is_some_and(Session::is_here) {
            self.peers.read_inbox(key, &mut self.kernel, out);
        }
        for (from, word) in words {
            let topic = Topic::User(user.clone());
            self.handle_published(topic, from, Arc::new(word), out);
        }
        for (origin, parcel) in parcels {
            self.peers
                .deliver(key, origin, parcel, &mut self.kernel, out);
        }
        let due_ms = self.kernel.now.mono_ms + ARRIVED_MS;
        let timer = Timer::Arrived(Box::new(user));
        self.kernel.timers.set(due_ms, timer);
    }

    /// Whoever was told to ask again has done so.
    pub(crate) fn forget_arrived(&mut self, user: &UserKey) {
        self.kernel.moves.arrived.remove(user);
    }

    /// What the client of a session that has moved holds open of invitations.
    pub(crate) fn take_sent(
        &mut self,
        key: SessionKey,
        session: SessionId,
        numbers: &[u64],
        out: &mut dyn Sink,
    ) {
        let report = |number: &u64| Report {
            number: *number,
            id: InvitationId::new(session, *number),
            canceled: None,
        };
        let reports = Reports {
            sent: numbers.iter().map(report).collect(),
            ringing: Vec::new(),
        };
        self.invitations
            .take_reports(key, reports, &mut self.kernel, out);
    }
}
