//! What a hub reports to the streams of events, and how it makes good what was not taken.

use std::sync::Arc;

use tidings_wire::proto::{
    Join, Leave, Logout, Message, SendToChannel, SendToPeer, message, request,
};

use crate::config::{App, AppSettings, Apps, Traits};
use crate::ids::HubId;
use crate::io::{Input, Ticket};
use crate::rig::{Rig, app};
use crate::store_ops::events::{EventAnswer, EventKind, EventOp, EventSync, NewEvent, SyncCause};
use crate::store_ops::{StoreAnswer, StoreOp};

/// What the hub has reported since the last look, as texts.
fn reported(rig: &mut Rig) -> Vec<String> {
    let text = |event: NewEvent| {
        let parts = [
            event.kind.name().to_owned(),
            event.user.map_or(String::new(), |user| user.to_string()),
            event.channel.map_or(String::new(), |name| name.to_string()),
            event.peer.map_or(String::new(), |peer| peer.to_string()),
            event.detail,
        ];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    };
    let mut events = Vec::new();
    rig.store.retain(|(ticket, op)| match op {
        StoreOp::EventAppend(event) => {
            assert_eq!(*ticket, Ticket::NOBODY, "nobody waits for an event");
            assert!(event.at_ms > 0 && event.app == app());
            events.push(text((**event).clone()));
            false
        }
        _ => true,
    });
    events
}

fn syncs(rig: &mut Rig) -> Vec<(Ticket, EventSync)> {
    let mut found = Vec::new();
    rig.store.retain(|(ticket, op)| {
        if let StoreOp::Events(op) = op
            && let EventOp::Sync(sync) = &**op
        {
            found.push((*ticket, sync.clone()));
            return false;
        }
        true
    });
    found
}

/// Longer than the hub waits before it compares, in steps that are no standstill of the process.
fn wait(rig: &mut Rig) {
    for _ in 0..60 {
        rig.now_ms += 100;
        rig.give(Input::Tick);
    }
}

fn apps(settings: AppSettings) -> Input {
    let listed = [(
        app(),
        App {
            settings,
            ..App::default()
        },
    )];
    Input::Apps(Arc::new(Apps {
        accept_any: true,
        listed: listed.into(),
    }))
}

fn text(text: &'static str) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text(text.into())),
        ..Message::default()
    })
}

fn join(channel: &str) -> request::Call {
    let channel = channel.into();
    request::Call::Join(Join { channel })
}

#[test]
fn logins_and_memberships_are_reported_where_others_see_them() {
    let mut rig = Rig::with_users(&[]);
    rig.begin_login("alice");
    assert_eq!(reported(&mut rig), Vec::<String>::new(), "it is under way");
    rig.nobody();
    assert_eq!(reported(&mut rig), ["user.login alice"]);
    rig.admit("legacy", Traits::default());
    assert_eq!(reported(&mut rig), ["user.login legacy"]);
    rig.request(0, join("room"));
    rig.request(0, join("hall"));
    let channel = "hall".into();
    rig.request(0, request::Call::Leave(Leave { channel }));
    let expected = [
        "channel.join alice room",
        "channel.join alice hall",
        "channel.leave alice hall",
    ];
    assert_eq!(reported(&mut rig), expected);
    rig.request(0, request::Call::Logout(Logout {}));
    let expected = ["channel.leave alice room", "user.logout alice logout"];
    assert_eq!(reported(&mut rig), expected);
}

#[test]
fn whoever_is_silent_is_offline_once_and_a_newer_login_replaces_an_older_one() {
    let mut rig = Rig::with_users(&["alice", "bob"]);
    rig.store.clear();
    rig.begin_login("bob");
    rig.nobody();
    let expected = ["user.logout bob replaced", "user.login bob"];
    assert_eq!(reported(&mut rig), expected);
    // Silent beyond the grace, then beyond the window.
    let mut all = Vec::new();
    for _ in 0..40 {
        rig.now_ms += 5_000;
        rig.give(Input::Tick);
        all.extend(reported(&mut rig));
    }
    all.sort();
    assert_eq!(all, ["user.logout alice lost", "user.logout bob lost"]);
}

#[test]
fn messages_are_events_only_if_the_app_asks() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.request(0, join("room"));
    rig.store.clear();
    let send = |rig: &mut Rig| {
        let peer = SendToPeer {
            peer_id: "bob".into(),
            message: text("12345"),
            ..SendToPeer::default()
        };
        rig.request(0, request::Call::SendToPeer(peer));
        let channel = SendToChannel {
            channel: "room".into(),
            message: text("123"),
            ..SendToChannel::default()
        };
        rig.request(0, request::Call::SendToChannel(channel));
    };
    send(&mut rig);
    assert_eq!(reported(&mut rig), Vec::<String>::new());
    rig.give(apps(AppSettings {
        peer_message_events: true,
        channel_message_events: true,
        ..AppSettings::default()
    }));
    send(&mut rig);
    let bytes: Vec<u32> = rig
        .store
        .iter()
        .filter_map(|(_, op)| match op {
            StoreOp::EventAppend(event) => Some(event.bytes),
            _ => None,
        })
        .collect();
    assert_eq!(bytes, [5, 3]);
    let expected = ["message.peer alice bob", "message.channel alice room"];
    assert_eq!(reported(&mut rig), expected);
}

#[test]
fn a_message_for_later_is_told_when_it_is_durable() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.store.clear();
    for is_stored in [false, true] {
        let call = SendToPeer {
            peer_id: "bob".into(),
            message: text("later"),
            offline: true,
            history: false,
        };
        rig.request(0, request::Call::SendToPeer(call));
        rig.nobody();
        assert_eq!(reported(&mut rig), Vec::<String>::new(), "not durable yet");
        let (ticket, _) = rig.store.pop().expect("it is stored");
        let answer = if is_stored {
            StoreAnswer::InboxAppended { inbox: 1 }
        } else {
            let reason = "the disk is full".into();
            StoreAnswer::Failed { reason }
        };
        rig.give(Input::Store { ticket, answer });
        let expected = if is_stored {
            vec!["message.offline_stored alice bob"]
        } else {
            vec![]
        };
        assert_eq!(reported(&mut rig), expected);
    }
}

#[test]
fn what_the_store_has_not_taken_is_made_good_by_comparing() {
    let mut rig = Rig::with_users(&["alice", "bob"]);
    rig.request(0, join("room"));
    rig.store.clear();
    let failed = || StoreAnswer::Failed {
        reason: "too much to do".into(),
    };
    for _ in 0..3 {
        let (ticket, answer) = (Ticket::NOBODY, failed());
        rig.give(Input::Store { ticket, answer });
    }
    assert!(syncs(&mut rig).is_empty(), "the store has enough to do");
    wait(&mut rig);
    let found = syncs(&mut rig);
    let [(ticket, sync)] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((sync.hub, sync.cause), (HubId::local(0), SyncCause::Change));
    assert_eq!((sync.from, sync.to, sync.gone_from), (0, 255, None));
    let mut live: Vec<_> = sync
        .live
        .iter()
        .map(|login| (login.user.to_string(), login.channels.len()))
        .collect();
    live.sort();
    assert_eq!(live, [("alice".into(), 1), ("bob".into(), 0)]);
    // It fails: once more. It has more: at once. A loss while it is under way: once more.
    let answers = [failed(), synced(true), synced(false), synced(false)];
    let mut ticket = *ticket;
    for (at, answer) in answers.into_iter().enumerate() {
        if at == 2 {
            let (ticket, answer) = (Ticket::NOBODY, failed());
            rig.give(Input::Store { ticket, answer });
        }
        rig.give(Input::Store { ticket, answer });
        wait(&mut rig);
        match syncs(&mut rig).pop() {
            Some((next, _)) => ticket = next,
            None => assert_eq!(at, 3, "it has ended too early"),
        }
    }
}

fn synced(has_more: bool) -> StoreAnswer {
    let written = Vec::new();
    StoreAnswer::Events(Box::new(EventAnswer::Synced { has_more, written }))
}

#[test]
fn a_started_hub_compares_and_one_whose_app_wants_no_events_reports_none() {
    let mut rig = Rig::with_users(&[]);
    rig.give(Input::Load { hubs: 4, boot: 1 });
    let (ticket, sync) = syncs(&mut rig).pop().expect("it compares");
    assert_eq!((sync.cause, sync.gone_from), (SyncCause::Start, Some(4)));
    rig.give(Input::Store {
        ticket,
        answer: synced(false),
    });
    rig.give(apps(AppSettings {
        events: false,
        ..AppSettings::default()
    }));
    rig.login("alice");
    rig.request(0, join("room"));
    assert_eq!(reported(&mut rig), Vec::<String>::new());
    // The app changes its mind: who is there is told.
    rig.give(apps(AppSettings::default()));
    wait(&mut rig);
    let (_, sync) = syncs(&mut rig).pop().expect("it compares");
    assert_eq!(sync.live.len(), 1);
    rig.request(0, request::Call::Logout(Logout {}));
    assert_eq!(
        reported(&mut rig),
        ["channel.leave alice room", "user.logout alice logout"]
    );
    assert_eq!(EventKind::from_name("user.logout"), Some(EventKind::Logout));
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_name(kind.name()), Some(kind));
        assert_eq!(EventKind::from_number(kind as u8), Some(kind));
    }
}

#[test]
fn many_sessions_are_compared_in_parts() {
    let names: Vec<String> = (0..1_001).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rig = Rig::with_users(&names);
    rig.store.clear();
    rig.give(Input::Load { hubs: 1, boot: 1 });
    let (mut parts, mut live) = (0_u16, 0);
    while let Some((ticket, sync)) = syncs(&mut rig).pop() {
        assert_eq!((u16::from(sync.from), sync.from), (parts, sync.to));
        assert!(
            sync.live
                .iter()
                .all(|login| login.session.0[0] == sync.from)
        );
        assert_eq!(sync.gone_from.is_some(), parts == 0);
        parts += 1;
        live += sync.live.len();
        rig.give(Input::Store {
            ticket,
            answer: synced(false),
        });
    }
    assert_eq!((parts, live), (256, names.len()));
}
