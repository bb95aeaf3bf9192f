//! Verification and dump of what streams of events consist of.

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_hub::ids::SessionId;
use tidings_wire::hex;
use tidings_wire::names::{ChannelName, UserId};

use crate::keys::Key;
use crate::kv::ReadError;
use crate::record;
use crate::streams::records::{EventHead, OpenLogin, Tally, open_event};

/// Reads the record of a key.
type Get<'a> = &'a dyn Fn(&[u8]) -> Result<Option<Bytes>, ReadError>;

/// Checks a record, and what belongs to it. Returns a problem with the latter.
pub(super) fn check(
    get: Get<'_>,
    decoded: &Key,
    (key, record): (&[u8], &Bytes),
) -> Result<Option<String>, ReadError> {
    let mut problem = None;
    match decoded {
        Key::Event(app, number) => {
            open_event(key, *number, record)?;
            let head_key = Key::EventHead(app.clone()).encode();
            let head = get(&head_key)?;
            // A damaged head is reported when its own record is read.
            let head = head.map(|head| EventHead::open(&head_key, &head));
            let is_within = |head: EventHead| (head.first..head.next).contains(number);
            if !head.is_some_and(|head| head.map_or(true, is_within)) {
                problem = Some(format!("event {number} of {app} is in no stream"));
            }
        }
        Key::EventHead(_) => {
            EventHead::open(key, record)?;
        }
        Key::EventChannel(_) | Key::EventUser(_) => {
            Tally::open(key, record)?;
        }
        Key::OpenLogin(..) => {
            OpenLogin::open(key, record)?;
        }
        Key::OpenMember(hub, session, channel) => {
            record::open_number(key, record)?;
            if get(&Key::OpenLogin(*hub, *session).encode())?.is_none() {
                problem = Some(format!("{session:?} is in {channel} and not logged in"));
            }
        }
        Key::Queued(app, queue, number) => {
            record::open_number(key, record)?;
            if get(&Key::Event(app.clone(), *number).encode())?.is_none() {
                let text = format!("event {number} of {app} waits in {queue:?} and is gone");
                problem = Some(text);
            }
        }
        _ => {}
    }
    Ok(problem)
}

pub(super) fn describe(decoded: &Key, (key, record): (&[u8], &Bytes)) -> Result<Value, ReadError> {
    Ok(match decoded {
        Key::Event(app, number) => {
            let event = open_event(key, *number, record)?;
            json!({
                "kind": "event", "app": app.as_str(), "number": number, "type": event.kind.name(),
                "at_ms": event.at_ms, "user": event.user.as_ref().map(UserId::as_str),
                "channel": event.channel.as_ref().map(ChannelName::as_str),
                "peer": event.peer.as_ref().map(UserId::as_str),
                "session": event.session.map(|SessionId(id)| hex(&id)), "login_ms": event.login_ms,
                "user_order": event.user_order, "channel_order": event.channel_order,
                "detail": event.detail,
            })
        }
        Key::EventHead(app) => {
            let head = EventHead::open(key, record)?;
            json!({
                "kind": "events", "app": app.as_str(), "next": head.next, "first": head.first,
                "waiting": head.queued,
            })
        }
        Key::EventChannel(channel) => {
            let tally = Tally::open(key, record)?;
            json!({
                "kind": "events of a channel", "app": channel.app.as_str(),
                "channel": channel.channel.as_str(), "order": tally.order, "members": tally.members,
            })
        }
        Key::EventUser(user) => {
            let tally = Tally::open(key, record)?;
            json!({
                "kind": "events of a user", "app": user.app.as_str(), "user": user.user.as_str(),
                "order": tally.order,
            })
        }
        Key::OpenLogin(hub, session) => {
            let open = OpenLogin::open(key, record)?;
            json!({
                "kind": "open login", "hub": hub, "session": hex(&session.0),
                "app": open.app.as_str(), "user": open.user.as_str(), "login_ms": open.login_ms,
            })
        }
        Key::OpenMember(hub, session, channel) => {
            let at_ms = record::open_number(key, record)?;
            json!({
                "kind": "open membership", "hub": hub, "session": hex(&session.0),
                "channel": channel.as_str(), "at_ms": at_ms,
            })
        }
        Key::Queued(app, queue, number) => {
            json!({
                "kind": "event to be taken", "app": app.as_str(), "queue": format!("{queue:?}"),
                "number": number,
            })
        }
        _ => json!({ "problem": "no record of events" }),
    })
}
