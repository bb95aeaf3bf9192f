//! Open logins and memberships: what makes a report news, and what ends when nobody says so.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidings_fault::fault;
use tidings_hub::ids::{ChannelKey, HubId, SessionId};
use tidings_hub::store_ops::events::{
    EventAnswer, EventKind, EventSync, LiveLogin, LoginName, NewEvent, SYNC_ENDS_MAX, SyncCause,
};
use tidings_wire::names::{AppId, ChannelName};

use super::records::OpenLogin;
use super::{Stream, load_tally};
use crate::keys::Key;
use crate::kv::{Backend, Group, ReadError};
use crate::record;

/// Ends of processes without notice that are this close are told once: each hub finds its share.
/// Milliseconds.
const ONE_CRASH_MS: u64 = 60_000;

/// A user has come, unless that is known.
pub(crate) fn login<B: Backend>(
    group: &mut Group<'_, B>,
    stream: &mut Stream,
    event: &NewEvent,
) -> Result<(), ReadError> {
    let (Some(login), Some(user)) = (event.login, &event.user) else {
        return Ok(());
    };
    if load(group, login)?.is_some() && !fault!(KnownLoginIsNews) {
        return Ok(());
    }
    let open = OpenLogin {
        app: event.app.clone(),
        user: user.clone(),
        login_ms: event.at_ms,
    };
    let key = Key::OpenLogin(login.hub.number(), login.session).encode();
    let sealed = open.seal(&key);
    group.put(key, sealed);
    stream.push(group, event, event.at_ms)
}

/// A user has gone, with all its memberships, unless nobody knows that it had come.
pub(crate) fn logout<B: Backend>(
    group: &mut Group<'_, B>,
    stream: &mut Stream,
    event: &NewEvent,
) -> Result<(), ReadError> {
    let Some(login) = event.login else {
        return Ok(());
    };
    let Some(open) = load(group, login)? else {
        return Ok(());
    };
    for channel in channels_of(group, login)? {
        let leave = NewEvent {
            kind: EventKind::Leave,
            channel: Some(channel),
            ..event.clone()
        };
        self::leave(group, stream, &leave)?;
    }
    group.delete(Key::OpenLogin(login.hub.number(), login.session).encode());
    stream.push(group, event, open.login_ms)
}

/// A user has joined, unless it is a member already, or its login is not open.
pub(crate) fn join<B: Backend>(
    group: &mut Group<'_, B>,
    stream: &mut Stream,
    event: &NewEvent,
) -> Result<(), ReadError> {
    let (Some(login), Some(channel)) = (event.login, &event.channel) else {
        return Ok(());
    };
    let Some(open) = load(group, login)? else {
        return Ok(());
    };
    let key = member_key(login, channel);
    if group.get(&key)?.is_some() {
        return Ok(());
    }
    let sealed = record::seal_number(&key, event.at_ms);
    group.put(key, sealed);
    if change_members(group, event, 1)? == 1 {
        stream.push(group, &of_channel(event, EventKind::ChannelMade), 0)?;
    }
    stream.push(group, event, open.login_ms)
}

/// A user has left, unless nobody knows that it had joined.
pub(crate) fn leave<B: Backend>(
    group: &mut Group<'_, B>,
    stream: &mut Stream,
    event: &NewEvent,
) -> Result<(), ReadError> {
    let (Some(login), Some(channel)) = (event.login, &event.channel) else {
        return Ok(());
    };
    let key = member_key(login, channel);
    if group.get(&key)?.is_none() {
        return Ok(());
    }
    group.delete(key);
    let login_ms = load(group, login)?.map_or(0, |open| open.login_ms);
    let left = change_members(group, event, -1)?;
    stream.push(group, event, login_ms)?;
    if left == 0 {
        stream.push(group, &of_channel(event, EventKind::ChannelGone), 0)?;
    }
    Ok(())
}

fn of_channel(event: &NewEvent, kind: EventKind) -> NewEvent {
    NewEvent {
        kind,
        user: None,
        login: None,
        detail: String::new(),
        ..event.clone()
    }
}

fn member_key(login: LoginName, channel: &ChannelName) -> Vec<u8> {
    Key::OpenMember(login.hub.number(), login.session, channel.clone()).encode()
}

/// Counts the open memberships of a channel, and returns how many there are now.
fn change_members<B: Backend>(
    group: &mut Group<'_, B>,
    event: &NewEvent,
    change: i64,
) -> Result<u64, ReadError> {
    let Some(channel) = event.channel.clone() else {
        return Ok(0);
    };
    let app = event.app.clone();
    let key = Key::EventChannel(ChannelKey { app, channel }).encode();
    let mut tally = load_tally(group, &key)?;
    tally.members = tally.members.saturating_add_signed(change);
    let sealed = tally.seal(&key);
    group.put(key, sealed);
    Ok(tally.members)
}

/// An open login. One that cannot be read is as if it were not there: it comes again.
fn load<B: Backend>(
    group: &mut Group<'_, B>,
    login: LoginName,
) -> Result<Option<OpenLogin>, ReadError> {
    let key = Key::OpenLogin(login.hub.number(), login.session).encode();
    let Some(record) = group.get(&key)? else {
        return Ok(None);
    };
    match OpenLogin::open(&key, &record) {
        Err(ReadError::Damaged(_)) => {
            group.damaged += 1;
            Ok(None)
        }
        open => open.map(Some),
    }
}

/// The channels of an open login. Cost: O(their number).
fn channels_of<B: Backend>(
    group: &Group<'_, B>,
    login: LoginName,
) -> Result<Vec<ChannelName>, ReadError> {
    let from = Key::OpenLogin(login.hub.number(), login.session).encode();
    let from = [&[crate::keys::Kind::OpenMember as u8], &from[1..]].concat();
    // Names are UTF-8, which this byte never begins.
    let to = [&from[..], &[0xff]].concat();
    let mut channels = Vec::new();
    for pair in group.range(&from, &to) {
        if let Some(Key::OpenMember(_, _, channel)) = Key::decode(&pair?.0) {
            channels.push(channel);
        }
    }
    Ok(channels)
}

/// Makes the open logins of a hub those that are there: what is missing is written, and what is
/// open without being there ends, [`SYNC_ENDS_MAX`] of them at most.
pub(crate) fn sync<B: Backend>(
    group: &mut Group<'_, B>,
    sync: &EventSync,
) -> Result<EventAnswer, ReadError> {
    let mut streams = Streams {
        sync,
        by_app: BTreeMap::new(),
    };
    let mut live = BTreeSet::new();
    for login in &sync.live {
        live.insert(login.session);
        complete(group, &mut streams, login)?;
    }
    let hub = sync.hub.number();
    let first = SessionId(padded(sync.from, 0));
    let last = SessionId(padded(sync.to, 0xff));
    let own = (
        Key::OpenLogin(hub, first).encode(),
        [Key::OpenLogin(hub, last).encode(), vec![0]].concat(),
    );
    let mut ranges = vec![own];
    if let Some(gone_from) = sync.gone_from {
        let node = sync.hub.node;
        let none = SessionId([0; 16]);
        let of = |hub| HubId { node, hub }.number();
        ranges.push((
            Key::OpenLogin(of(gone_from), none).encode(),
            Key::OpenLogin(of(u16::MAX), none).encode(),
        ));
    }
    let mut stale = Vec::new();
    for (from, to) in ranges {
        for pair in group.range(&from, &to) {
            let (key, record) = pair?;
            let Some(Key::OpenLogin(hub, session)) = Key::decode(&key) else {
                continue;
            };
            if hub == sync.hub.number() && live.contains(&session) {
                continue;
            }
            stale.push((hub, session, key, record));
            if stale.len() > SYNC_ENDS_MAX {
                break;
            }
        }
    }
    let has_more = stale.len() > SYNC_ENDS_MAX;
    for (hub, session, key, record) in stale.into_iter().take(SYNC_ENDS_MAX) {
        let hub = HubId::from_number(hub);
        end(
            group,
            &mut streams,
            LoginName { hub, session },
            (&key, &record),
        )?;
    }
    let written = streams.by_app.into_iter().map(|(app, stream)| {
        let (events, span) = stream.save(group);
        (app, events, span)
    });
    Ok(EventAnswer::Synced {
        has_more,
        written: written
            .filter(|(_, events, _)| !events.is_empty())
            .collect(),
    })
}

fn padded(first: u8, rest: u8) -> [u8; 16] {
    let mut bytes = [rest; 16];
    bytes[0] = first;
    bytes
}

/// The streams that a comparison writes to.
struct Streams<'s> {
    sync: &'s EventSync,
    by_app: BTreeMap<AppId, Stream>,
}

impl Streams<'_> {
    fn of<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        app: &AppId,
    ) -> Result<&mut Stream, ReadError> {
        if !self.by_app.contains_key(app) {
            let stream = Stream::load(group, app, self.sync.at_ms, self.sync.limits)?;
            self.by_app.insert(app.clone(), stream);
        }
        match self.by_app.get_mut(app) {
            Some(stream) => Ok(stream),
            None => unreachable!("a stream that was just loaded"),
        }
    }

    fn event(&self, app: &AppId, kind: EventKind, login: LoginName) -> NewEvent {
        NewEvent {
            login: Some(login),
            limits: self.sync.limits,
            detail: match self.sync.cause {
                SyncCause::Start => "server-ended".into(),
                SyncCause::Change => "told-late".into(),
            },
            ..NewEvent::new(app.clone(), self.sync.at_ms, kind)
        }
    }
}

/// Writes what is missing of a login that is there.
fn complete<B: Backend>(
    group: &mut Group<'_, B>,
    streams: &mut Streams<'_>,
    live: &LiveLogin,
) -> Result<(), ReadError> {
    let name = LoginName {
        hub: streams.sync.hub,
        session: live.session,
    };
    let event = |kind| NewEvent {
        user: Some(live.user.clone()),
        ..streams.event(&live.app, kind, name)
    };
    let (login_event, join, leave) = (
        event(EventKind::Login),
        event(EventKind::Join),
        event(EventKind::Leave),
    );
    let stream = streams.of(group, &live.app)?;
    login(group, stream, &login_event)?;
    for channel in channels_of(group, name)? {
        if !live.channels.contains(&channel) {
            let channel = Some(channel);
            let leave = NewEvent {
                channel,
                ..leave.clone()
            };
            self::leave(group, stream, &leave)?;
        }
    }
    for channel in &live.channels {
        let channel = Some(channel.clone());
        let join = NewEvent {
            channel,
            ..join.clone()
        };
        self::join(group, stream, &join)?;
    }
    Ok(())
}

/// Ends a login that is open and not there.
fn end<B: Backend>(
    group: &mut Group<'_, B>,
    streams: &mut Streams<'_>,
    name: LoginName,
    (key, record): (&Bytes, &Bytes),
) -> Result<(), ReadError> {
    let open = match OpenLogin::open(key, record) {
        Err(ReadError::Damaged(_)) => {
            // Whose it was, nobody knows any more.
            group.damaged += 1;
            group.delete(key.clone());
            return Ok(());
        }
        open => open?,
    };
    let event = NewEvent {
        user: Some(open.user),
        ..streams.event(&open.app, EventKind::Logout, name)
    };
    let (cause, at_ms) = (streams.sync.cause, streams.sync.at_ms);
    let stream = streams.of(group, &open.app)?;
    if cause == SyncCause::Start && at_ms >= stream.head.crash_ms.saturating_add(ONE_CRASH_MS) {
        stream.head.crash_ms = at_ms;
        stream.push_gap(group, "crash", (0, at_ms))?;
    }
    logout(group, stream, &event)
}
