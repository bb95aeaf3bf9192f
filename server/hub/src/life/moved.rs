//! The form in which a session moves to another hub: that of a planned restart, with what the new
//! hub must know besides.

use prost::Message as _;

use crate::Hub;
use crate::bus_ops::LoginStamp;
use crate::channels::state::Channels;
use crate::ids::{ChannelKey, HubId, MessageId, SessionId, SessionKey, UserKey};
use crate::io::Sink;
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
}
