//! Cases about streams of events.

use tidings_hub::ids::{HubId, SessionId};
use tidings_hub::store_ops::events::{
    Event, EventAnswer, EventKind, EventKinds, EventLimits, EventOp, EventQueue, EventSpan,
    EventSync, LiveLogin, LoginName, NewEvent, SYNC_ENDS_MAX, SyncCause,
};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::{ChannelName, UserId};

use super::{Single, Subject, app};

const WIDE: EventLimits = EventLimits {
    count_max: 1_000_000,
    age_ms: u64::MAX,
    queue_max: 1_000_000,
};

fn login_name(session: u8) -> LoginName {
    LoginName {
        hub: HubId::local(0),
        session: SessionId([session; 16]),
    }
}

fn user_id(name: &str) -> Option<UserId> {
    Some(UserId::parse(name).expect("a case uses proper names"))
}

fn channel_name(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a case uses proper names")
}

/// An event of the login of `user` whose session is `session`.
fn event(kind: EventKind, at_ms: u64, (user, session): (&str, u8)) -> NewEvent {
    NewEvent {
        user: user_id(user),
        login: Some(login_name(session)),
        limits: WIDE,
        ..NewEvent::new(app('a'), at_ms, kind)
    }
}

fn in_channel(kind: EventKind, at_ms: u64, of: (&str, u8), channel: &str) -> NewEvent {
    NewEvent {
        channel: Some(channel_name(channel)),
        ..event(kind, at_ms, of)
    }
}

fn append(store: &mut dyn Subject, event: NewEvent) -> Vec<Event> {
    match store.single(StoreOp::EventAppend(Box::new(event))) {
        StoreAnswer::Events(answer) => match *answer {
            EventAnswer::Written { events, .. } => events,
            other => panic!("an append was answered {other:?}"),
        },
        other => panic!("an append was answered {other:?}"),
    }
}

fn ask(store: &mut dyn Subject, op: EventOp) -> EventAnswer {
    match store.single(StoreOp::Events(Box::new(op))) {
        StoreAnswer::Events(answer) => *answer,
        other => panic!("a stream answered {other:?}"),
    }
}

fn read(
    store: &mut dyn Subject,
    after: Option<u64>,
    (kinds, count_max): (EventKinds, usize),
    not_before_ms: u64,
) -> (Vec<Event>, u64, EventSpan) {
    let op = EventOp::Read {
        app: app('a'),
        after,
        count_max,
        kinds,
        not_before_ms,
    };
    match ask(store, op) {
        EventAnswer::Page { events, next, span } => (events, next, span),
        other => panic!("a read was answered {other:?}"),
    }
}

/// Everything from the oldest on, as texts.
fn all(store: &mut dyn Subject) -> Vec<String> {
    let (events, _, _) = read(store, None, (EventKinds::ALL, 1000), 0);
    events.iter().map(text).collect()
}

fn text(event: &Event) -> String {
    let user = event.user.as_ref().map_or("", UserId::as_str);
    let channel = event.channel.as_ref().map_or("", ChannelName::as_str);
    [event.kind.name(), user, channel]
        .join(" ")
        .trim_end()
        .into()
}

fn take(store: &mut dyn Subject, queue: EventQueue, count_max: usize) -> Vec<Event> {
    let op = EventOp::Take {
        app: app('a'),
        queue,
        count_max,
        not_before_ms: 0,
    };
    match ask(store, op) {
        EventAnswer::Page { events, .. } => events,
        other => panic!("a queue answered {other:?}"),
    }
}

fn sync(store: &mut dyn Subject, sync: EventSync) -> (bool, usize) {
    match ask(store, EventOp::Sync(sync)) {
        EventAnswer::Synced { has_more, written } => {
            let events = written.iter().map(|(_, events, _)| events.len());
            (has_more, events.sum())
        }
        other => panic!("a comparison was answered {other:?}"),
    }
}

fn whole_sync(cause: SyncCause, live: Vec<LiveLogin>) -> EventSync {
    EventSync {
        hub: HubId::local(0),
        from: 0,
        to: u8::MAX,
        live,
        gone_from: None,
        cause,
        at_ms: 500_000,
        limits: WIDE,
    }
}

fn live(user: &str, session: u8, channels: &[&str]) -> LiveLogin {
    LiveLogin {
        app: app('a'),
        user: user_id(user).expect("a name"),
        session: SessionId([session; 16]),
        channels: channels.iter().map(|name| channel_name(name)).collect(),
    }
}

/// What is known already is no news, and what ends takes everything with it: also over a restart.
pub fn each_login_has_one_logout_and_each_join_one_leave(store: &mut dyn Subject) {
    use EventKind::{Join, Leave, Login, Logout};
    let alice = ("alice", 1);
    assert_eq!(
        append(store, event(Logout, 1, alice)),
        [],
        "nobody is there"
    );
    assert_eq!(append(store, in_channel(Join, 1, alice, "room")), []);
    assert_eq!(append(store, event(Login, 7, alice)).len(), 1);
    assert_eq!(append(store, event(Login, 8, alice)), []);
    assert_eq!(append(store, in_channel(Leave, 8, alice, "room")), []);
    append(store, in_channel(Join, 9, alice, "room"));
    store.reopen();
    assert_eq!(append(store, in_channel(Join, 10, alice, "room")), []);
    append(store, in_channel(Join, 10, alice, "hall"));
    append(store, event(Login, 11, ("alice", 2)));
    append(store, in_channel(Leave, 12, alice, "hall"));
    let ended = append(store, event(Logout, 13, alice));
    assert_eq!(append(store, event(Logout, 14, alice)), []);
    let last = ended.last().expect("an end is told");
    assert_eq!((last.kind, last.login_ms), (Logout, 7));
    assert_eq!(last.session, Some(SessionId([1; 16])));
    assert_eq!(
        append(store, event(Logout, 15, ("alice", 2)))[0].login_ms,
        11
    );
    let expected = [
        "user.login alice",
        "channel.created  room",
        "channel.join alice room",
        "channel.created  hall",
        "channel.join alice hall",
        "user.login alice",
        "channel.leave alice hall",
        "channel.destroyed  hall",
        "channel.leave alice room",
        "channel.destroyed  room",
        "user.logout alice",
        "user.logout alice",
    ];
    assert_eq!(all(store), expected);
}

/// A channel is there while anybody is in it, whoever that is.
pub fn channels_are_made_by_the_first_and_gone_with_the_last(store: &mut dyn Subject) {
    use EventKind::{Join, Leave, Login, Logout};
    for (name, session) in [("alice", 1), ("bob", 2)] {
        append(store, event(Login, 1, (name, session)));
        append(store, in_channel(Join, 2, (name, session), "room"));
    }
    store.reopen();
    append(store, in_channel(Leave, 3, ("alice", 1), "room"));
    append(store, event(Logout, 4, ("bob", 2)));
    append(store, in_channel(Join, 5, ("alice", 1), "room"));
    let of_channels: Vec<_> = all(store)
        .into_iter()
        .filter(|text| text.contains("room"))
        .collect();
    let expected = [
        "channel.created  room",
        "channel.join alice room",
        "channel.join bob room",
        "channel.leave alice room",
        "channel.leave bob room",
        "channel.destroyed  room",
        "channel.created  room",
        "channel.join alice room",
    ];
    assert_eq!(of_channels, expected);
}

fn message(at_ms: u64, detail: &str) -> NewEvent {
    NewEvent {
        user: user_id("alice"),
        peer: user_id("bob"),
        id: Some([9; 16]),
        bytes: 77,
        detail: detail.into(),
        limits: WIDE,
        ..NewEvent::new(app('a'), at_ms, EventKind::PeerMessage)
    }
}

/// Readers get what they ask for, in order, once, and go on where they have come to. What is too
/// old is told as a gap.
pub fn events_are_read_by_number_kind_and_age(store: &mut dyn Subject) {
    let nothing = read(store, None, (EventKinds::ALL, 10), 0);
    assert_eq!(nothing, (Vec::new(), 0, EventSpan::default()));
    append(store, message(100, "first"));
    for n in 1..=4 {
        append(store, event(EventKind::Login, 100 + n, ("bob", n as u8)));
    }
    append(store, message(200, "last"));
    let (events, next, span) = read(store, None, (EventKinds::ALL, 10), 0);
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    assert_eq!((&numbers[..], next), (&[1, 2, 3, 4, 5, 6][..], 6));
    assert_eq!((span.first, span.newest), (1, 6));
    let first = &events[0];
    assert_eq!(
        (first.at_ms, first.bytes, first.id),
        (100, 77, Some([9; 16]))
    );
    assert_eq!((&*first.detail, &first.peer), ("first", &user_id("bob")));
    let messages = EventKinds::NONE.with(EventKind::PeerMessage);
    let (events, next, _) = read(store, Some(0), (messages, 1), 0);
    assert_eq!((events.len(), next), (1, 1));
    let (events, next, _) = read(store, Some(next), (messages, 1), 0);
    assert_eq!((&*events[0].detail, next), ("last", 6));
    let (events, next, _) = read(store, Some(next), (messages, 1), 0);
    assert_eq!((events.len(), next), (0, 6));
    let (events, next, _) = read(store, Some(1), (EventKinds::ALL, 2), 104);
    assert_eq!((events[0].kind, events[0].missing), (EventKind::Gap, 3));
    assert_eq!((events[1].number, next), (5, 5));
    let (events, next, _) = read(store, Some(4), (EventKinds::ALL, 9), 900);
    assert_eq!((events[0].missing, events.len(), next), (2, 1, 6));
    let (events, _, _) = read(store, None, (EventKinds::ALL, 9), 900);
    assert!(events.is_empty(), "whoever begins has missed nothing");
}

/// The oldest events give way to the bounds, and readers who had not come so far are told.
pub fn events_are_bounded_by_count_and_age(store: &mut dyn Subject) {
    let limits = EventLimits {
        count_max: 5,
        age_ms: 1_000,
        queue_max: 100,
    };
    let bounded = |at_ms| NewEvent {
        limits,
        ..message(at_ms, "")
    };
    for n in 1..=8 {
        append(store, bounded(n));
    }
    store.reopen();
    let (events, _, span) = read(store, Some(1), (EventKinds::ALL, 9), 0);
    assert_eq!((span.first, span.newest), (4, 8));
    assert_eq!((events[0].kind, events[0].missing), (EventKind::Gap, 2));
    assert_eq!((events[0].number, events[1].number), (3, 4));
    assert_eq!(events.len(), 6);
    // As old as the bound is too old only if it is older.
    append(store, bounded(1_007));
    append(store, bounded(2_500));
    append(store, bounded(2_500));
    let (events, _, span) = read(store, None, (EventKinds::ALL, 9), 0);
    assert_eq!((events.len(), span.first, span.newest), (2, 10, 11));
}

/// Each event of a user or a channel has a greater order than those before it, also when all that
/// was known of it has gone with its events.
pub fn orders_of_users_and_channels_rise(store: &mut dyn Subject) {
    use EventKind::{Join, Login, Logout};
    let limits = EventLimits {
        count_max: 4,
        ..WIDE
    };
    let mut orders = (0, 0);
    for round in 1..=6 {
        let session = ("alice", round);
        let at_ms = u64::from(round);
        let reports = [
            event(Login, at_ms, session),
            in_channel(Join, at_ms, session, "room"),
            event(Logout, at_ms, session),
        ];
        for report in reports {
            for event in append(store, NewEvent { limits, ..report }) {
                if event.user.is_some() {
                    assert!(event.user_order > orders.0, "{event:?} after {orders:?}");
                    orders.0 = event.user_order;
                }
                if event.channel.is_some() {
                    assert!(event.channel_order > orders.1, "{event:?} after {orders:?}");
                    orders.1 = event.channel_order;
                }
            }
        }
        for _ in 0..round {
            let other = NewEvent {
                user: user_id("bob"),
                limits,
                ..message(at_ms, "")
            };
            append(store, other);
        }
        store.reopen();
    }
}

/// What one caller has taken, no other gets, also after a restart; the stream keeps it.
pub fn an_event_of_a_queue_is_taken_once(store: &mut dyn Subject) {
    use EventKind::{Join, Login};
    assert!(take(store, EventQueue::Users, 10).is_empty());
    for n in 1..=5 {
        append(store, event(Login, u64::from(n), ("alice", n)));
        append(store, in_channel(Join, u64::from(n), ("alice", n), "room"));
    }
    let times = |events: Vec<Event>| events.iter().map(|it| it.at_ms).collect::<Vec<_>>();
    assert_eq!(times(take(store, EventQueue::Users, 2)), [1, 2]);
    assert_eq!(times(take(store, EventQueue::Channels, 1)), [1]);
    store.reopen();
    assert_eq!(times(take(store, EventQueue::Users, 9)), [3, 4, 5]);
    assert!(take(store, EventQueue::Users, 9).is_empty());
    append(store, event(Login, 6, ("bob", 6)));
    assert_eq!(times(take(store, EventQueue::Users, 9)), [6]);
    let joins = take(store, EventQueue::Channels, 9);
    assert!(joins.iter().all(|event| event.kind == Join));
    assert_eq!(times(joins), [2, 3, 4, 5]);
    assert_eq!(all(store).len(), 12, "the stream keeps them");
}

/// A queue holds the newest events, and goes on when it was full.
pub fn a_queue_of_events_is_bounded(store: &mut dyn Subject) {
    let limits = EventLimits {
        queue_max: 3,
        ..WIDE
    };
    for n in 1..=7 {
        let login = event(EventKind::Login, u64::from(n), ("alice", n));
        append(store, NewEvent { limits, ..login });
    }
    let times = |events: Vec<Event>| events.iter().map(|it| it.at_ms).collect::<Vec<_>>();
    assert_eq!(times(take(store, EventQueue::Users, 2)), [5, 6]);
    for n in 8..=9 {
        let login = event(EventKind::Login, u64::from(n), ("alice", n));
        append(store, NewEvent { limits, ..login });
    }
    assert_eq!(times(take(store, EventQueue::Users, 9)), [7, 8, 9]);
}

/// After a loss, the stream is made to tell what is: who is there without a login, and who is not
/// there with one.
pub fn open_logins_become_those_that_are_there(store: &mut dyn Subject) {
    use EventKind::{Join, Login};
    append(store, event(Login, 1, ("alice", 1)));
    append(store, in_channel(Join, 1, ("alice", 1), "room"));
    append(store, event(Login, 1, ("bob", 2)));
    let elsewhere = NewEvent {
        login: Some(LoginName {
            hub: HubId::local(1),
            ..login_name(3)
        }),
        ..event(Login, 1, ("carol", 3))
    };
    append(store, elsewhere);
    let before = all(store).len();
    let there = vec![live("alice", 1, &["hall"]), live("dave", 4, &["hall"])];
    let whole = whole_sync(SyncCause::Change, there);
    assert_eq!(sync(store, whole.clone()), (false, 7));
    let expected = [
        "channel.leave alice room",
        "channel.destroyed  room",
        "channel.created  hall",
        "channel.join alice hall",
        "user.login dave",
        "channel.join dave hall",
        "user.logout bob",
    ];
    assert_eq!(all(store)[before..], expected);
    assert_eq!(sync(store, whole), (false, 0), "there is nothing to do");
}

/// What is open without a session after a start has ended: in bounded steps, in each part that is
/// asked for, and of hubs that are no more. Each app is told once that a process has crashed.
pub fn what_a_process_has_left_open_ends(store: &mut dyn Subject) {
    let many = SYNC_ENDS_MAX + 10;
    let logins: Vec<StoreOp> = (0..many)
        .map(|n| {
            let mut session = [0; 16];
            session[..4].copy_from_slice(&(n as u32).to_be_bytes());
            session[0] = if n < 5 { 200 } else { 100 };
            let login = NewEvent {
                login: Some(LoginName {
                    hub: HubId::local(if n == 7 { 3 } else { 0 }),
                    session: SessionId(session),
                }),
                ..event(EventKind::Login, 5, ("alice", 0))
            };
            StoreOp::EventAppend(Box::new(login))
        })
        .collect();
    store.engine().apply(&logins, &mut Vec::new());
    store.reopen();
    let mut part = EventSync {
        from: 150,
        ..whole_sync(SyncCause::Start, Vec::new())
    };
    assert_eq!(sync(store, part.clone()), (false, 5 + 1), "with a gap");
    (part.from, part.to) = (0, 149);
    assert_eq!(sync(store, part.clone()), (true, SYNC_ENDS_MAX));
    assert_eq!(sync(store, part.clone()), (false, many - SYNC_ENDS_MAX - 6));
    part.gone_from = Some(2);
    assert_eq!(sync(store, part), (false, 1));
    let ends = EventKinds::NONE.with(EventKind::Logout);
    let (events, _, _) = read(store, None, (ends, 1_000), 0);
    assert_eq!(
        (events[0].kind, &*events[0].detail),
        (EventKind::Gap, "crash")
    );
    assert_eq!(events.len(), many + 1);
    assert!(
        events[1..]
            .iter()
            .all(|it| it.detail == "server-ended" && it.login_ms == 5)
    );
}

/// That events could not be written is told where they would have been.
pub fn lost_events_leave_a_gap(store: &mut dyn Subject) {
    append(store, message(1, "before"));
    let lost = EventOp::Lost {
        app: app('a'),
        count: 3,
        at_ms: 2,
        limits: WIDE,
    };
    assert!(matches!(ask(store, lost), EventAnswer::Written { .. }));
    append(store, message(3, "after"));
    let none = (EventKinds::NONE, 9);
    let (events, next, _) = read(store, Some(1), none, 0);
    assert_eq!((events[0].kind, events[0].missing), (EventKind::Gap, 3));
    assert_eq!((&*events[0].detail, next), ("not-written", 3));
}

/// Events that are too old are deleted although nothing is appended, and names can be taken out.
pub fn old_events_go_and_names_are_erased(store: &mut dyn Subject) {
    for at_ms in 1..=6 {
        append(store, message(at_ms, ""));
        let other = NewEvent {
            app: app('b'),
            ..message(at_ms, "")
        };
        append(store, other);
    }
    let trim = EventOp::Trim {
        after: None,
        not_before_ms: 4,
    };
    let done = EventAnswer::Trimmed {
        next: None,
        has_more: false,
    };
    assert_eq!(ask(store, trim), done);
    store.reopen();
    let (events, _, span) = read(store, None, (EventKinds::ALL, 9), 0);
    assert_eq!((events.len(), span.first, span.newest), (3, 4, 6));
    let erase = EventOp::Erase {
        app: app('a'),
        user: user_id("bob").expect("a name"),
        after: 0,
    };
    assert_eq!(ask(store, erase), EventAnswer::Erased { next: None });
    let (events, _, _) = read(store, None, (EventKinds::ALL, 9), 0);
    let bare = |event: &Event| event.peer.is_none() && event.user == user_id("alice");
    assert!(events.iter().all(bare), "{events:?}");
    let op = EventOp::Read {
        app: app('b'),
        after: None,
        count_max: 9,
        kinds: EventKinds::ALL,
        not_before_ms: 0,
    };
    let EventAnswer::Page { events, .. } = ask(store, op) else {
        panic!("a read was answered something else");
    };
    assert!(events.iter().all(|event| event.peer == user_id("bob")));
}
