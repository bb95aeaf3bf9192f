//! Cases about histories. Source: rtm 4.4, contract 1.1.

use bytes::Bytes;
use tidings_hub::ids::UserKey;
use tidings_hub::store_ops::{
    Conversation, HistoryLimits, HistoryMessage, HistoryRange, ReadOrder, StoreAnswer, StoreOp,
};
use tidings_wire::names::UserId;

use super::{Single, Subject, app, channel, user};

const WIDE: HistoryLimits = HistoryLimits {
    messages_max: 1000,
    age_ms: u64::MAX,
};
const ALL: HistoryRange = HistoryRange {
    after: 0,
    before: u64::MAX,
    from_ts: 0,
    until_ts: u64::MAX,
    count_max: 1000,
    bytes_max: usize::MAX,
    order: ReadOrder::OldestFirst,
};

fn of_channel(name: &str) -> Conversation {
    Conversation::Channel(channel(name))
}

fn of_users(one: &str, other: &str) -> Conversation {
    let other = UserId::parse(other).expect("a case uses proper names");
    Conversation::of_users(&user(one), &other)
}

fn append_op(
    conversation: &Conversation,
    body: &str,
    server_ts: u64,
    limits: HistoryLimits,
) -> StoreOp {
    StoreOp::HistoryAppend {
        conversation: conversation.clone(),
        message: HistoryMessage {
            position: 0,
            from: "ann".into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            server_ts,
        },
        limits,
    }
}

fn append(
    store: &mut dyn Subject,
    conversation: &Conversation,
    body: &str,
    server_ts: u64,
    limits: HistoryLimits,
) -> u64 {
    match store.single(append_op(conversation, body, server_ts, limits)) {
        StoreAnswer::HistoryAppended { position } => position,
        other => panic!("an append was answered {other:?}"),
    }
}

fn page(
    store: &mut dyn Subject,
    conversation: &Conversation,
    range: HistoryRange,
) -> (Vec<HistoryMessage>, u64) {
    let conversation = conversation.clone();
    match store.single(StoreOp::HistoryRead {
        conversation,
        range,
    }) {
        StoreAnswer::HistoryPage { messages, next } => (messages, next),
        other => panic!("a read was answered {other:?}"),
    }
}

fn bodies(
    store: &mut dyn Subject,
    conversation: &Conversation,
    range: HistoryRange,
) -> (Vec<String>, u64) {
    let (messages, next) = page(store, conversation, range);
    let text = |message: HistoryMessage| String::from_utf8_lossy(&message.body).into_owned();
    (messages.into_iter().map(text).collect(), next)
}

/// Positions rise from 1, every part is read back as it was appended, and a restart changes
/// nothing.
pub fn a_history_keeps_messages_as_they_are(store: &mut dyn Subject) {
    let room = of_channel("room");
    for number in 1..=3 {
        let body = format!("m{number}");
        assert_eq!(append(store, &room, &body, 10 + number, WIDE), number);
    }
    store.reopen();
    assert_eq!(append(store, &room, "m4", 14, WIDE), 4);
    let (messages, next) = page(store, &room, ALL);
    assert_eq!((messages.len(), next), (4, 0));
    let second = HistoryMessage {
        position: 2,
        from: "ann".into(),
        body: Bytes::from_static(b"m2"),
        server_ts: 12,
    };
    assert_eq!(messages[1], second);
    assert_eq!(page(store, &of_channel("other"), ALL), (vec![], 0));
}

/// Pages follow each other without a hole or a repeat, from both ends, by count and by bytes.
pub fn a_history_is_read_in_pages_from_both_ends(store: &mut dyn Subject) {
    let room = of_channel("room");
    for number in 1..=5 {
        append(store, &room, &format!("m{number}"), number, WIDE);
    }
    let two = HistoryRange {
        count_max: 2,
        ..ALL
    };
    let (mut seen, mut after) = (vec![], 0);
    loop {
        let (messages, next) = bodies(store, &room, HistoryRange { after, ..two });
        seen.push(messages.join(" "));
        after = next;
        if next == 0 {
            break;
        }
    }
    assert_eq!(seen, ["m1 m2", "m3 m4", "m5"]);
    let newest = HistoryRange {
        order: ReadOrder::NewestFirst,
        ..two
    };
    let (mut seen, mut before) = (vec![], u64::MAX);
    loop {
        let (messages, next) = bodies(store, &room, HistoryRange { before, ..newest });
        seen.push(messages.join(" "));
        before = next;
        if next == 0 {
            break;
        }
    }
    assert_eq!(seen, ["m5 m4", "m3 m2", "m1"]);
    let small = HistoryRange {
        bytes_max: 1,
        ..ALL
    };
    assert_eq!(bodies(store, &room, small), (vec!["m1".to_owned()], 1));
    let both = HistoryRange {
        after: 1,
        before: 4,
        ..ALL
    };
    assert_eq!(bodies(store, &room, both).0, ["m2", "m3"]);
}

/// A time range includes its beginning and not its end, whatever the order of the stamps.
pub fn a_history_is_read_by_time(store: &mut dyn Subject) {
    let room = of_channel("room");
    for (body, server_ts) in [("a", 10), ("b", 30), ("c", 20), ("d", 40)] {
        append(store, &room, body, server_ts, WIDE);
    }
    let range = HistoryRange {
        from_ts: 20,
        until_ts: 40,
        ..ALL
    };
    assert_eq!(
        bodies(store, &room, range),
        (vec!["b".into(), "c".into()], 0)
    );
    // A page that finds nothing in many messages says where to continue.
    for number in 0..2_500 {
        append(
            store,
            &of_channel("long"),
            "x",
            number,
            HistoryLimits {
                messages_max: 9_999,
                ..WIDE
            },
        );
    }
    let mut range = HistoryRange {
        from_ts: 2_499,
        ..ALL
    };
    let mut found = 0;
    for _ in 0..3 {
        let (messages, next) = page(store, &of_channel("long"), range);
        found += messages.len();
        range.after = next;
    }
    assert_eq!((found, range.after), (1, 0));
}

/// The oldest messages make room when the count or the age is exceeded; positions keep rising.
pub fn a_history_is_bounded_by_count_and_age(store: &mut dyn Subject) {
    let room = of_channel("room");
    let three = HistoryLimits {
        messages_max: 3,
        age_ms: 100,
    };
    for number in 1..=5 {
        append(store, &room, &format!("m{number}"), 10 * number, three);
    }
    assert_eq!(bodies(store, &room, ALL).0, ["m3", "m4", "m5"]);
    assert_eq!(append(store, &room, "m6", 140, three), 6);
    assert_eq!(
        bodies(store, &room, ALL).0,
        ["m5", "m6"],
        "40 is 100 before 140"
    );
    store.reopen();
    assert_eq!(append(store, &room, "m7", 10_000, three), 7);
    assert_eq!(bodies(store, &room, ALL), (vec!["m7".to_owned()], 0));
    let none = HistoryLimits {
        messages_max: 0,
        ..three
    };
    let answer = store.single(append_op(&room, "m8", 10_000, none));
    assert!(matches!(answer, StoreAnswer::Failed { .. }), "{answer:?}");
}

/// Old messages are deleted without an append; positions keep rising above them, over a restart
/// too.
pub fn histories_that_nobody_writes_to_any_more_are_emptied(store: &mut dyn Subject) {
    let wide = HistoryLimits {
        messages_max: 10_000,
        age_ms: u64::MAX,
    };
    let (old, young) = (of_channel("old"), of_users("ann", "bob"));
    for number in 1..=2_500 {
        append(store, &old, &format!("m{number}"), number, wide);
    }
    append(store, &young, "m", 9_000, wide);
    let list = |store: &mut dyn Subject, first_before_ts| {
        store.single(StoreOp::HistoryList {
            first_before_ts,
            after: None,
        })
    };
    let only_old = StoreAnswer::Histories {
        conversations: vec![old.clone()],
        next: None,
    };
    assert_eq!(list(store, 2_499), only_old);
    let trim = || StoreOp::HistoryTrim {
        conversation: of_channel("old"),
        not_before_ts: 2_499,
    };
    // Each trim deletes a bounded number, so that nobody else waits long.
    let mut steps = 0;
    while store.single(trim()) == (StoreAnswer::HistoryTrimmed { has_more: true }) {
        steps += 1;
        assert!(steps < 100, "it does not get on");
    }
    assert!(steps > 0, "2,498 messages are too many for one step");
    assert_eq!(bodies(store, &old, ALL).0, ["m2499", "m2500"]);
    assert_eq!(
        list(store, 2_499),
        StoreAnswer::Histories {
            conversations: vec![],
            next: None
        }
    );
    let all = StoreOp::HistoryTrim {
        conversation: old.clone(),
        not_before_ts: u64::MAX,
    };
    assert_eq!(
        store.single(all),
        StoreAnswer::HistoryTrimmed { has_more: false }
    );
    store.reopen();
    assert_eq!(append(store, &old, "next", 9_000, wide), 2_501);
    assert_eq!(bodies(store, &young, ALL).0, ["m"]);
}

/// Two users have one history, whichever is named first; every other pair has its own.
pub fn conversations_do_not_mix(store: &mut dyn Subject) {
    let elsewhere = UserKey {
        app: app('b'),
        ..user("ann")
    };
    let conversations = [
        of_users("ann", "bob"),
        of_users("ann", "bo"),
        of_users("an", "n bob"),
        of_users("ann", "ann"),
        of_channel("ann"),
        of_channel("ann bob"),
        Conversation::of_users(&elsewhere, &user("bob").user),
    ];
    for (at, conversation) in conversations.iter().enumerate() {
        assert_eq!(append(store, conversation, &at.to_string(), 5, WIDE), 1);
    }
    assert_eq!(append(store, &of_users("bob", "ann"), "back", 6, WIDE), 2);
    assert_eq!(bodies(store, &conversations[0], ALL).0, ["0", "back"]);
    for (at, conversation) in conversations.iter().enumerate().skip(1) {
        assert_eq!(bodies(store, conversation, ALL).0, [at.to_string()]);
    }
}

/// What one user has sent can be emptied; the places stay, and pages leave them out.
pub fn what_a_user_has_sent_is_emptied(store: &mut dyn Subject) {
    let room = of_channel("room");
    let other = of_channel("hall");
    for conversation in [&room, &other] {
        for (from, body) in [("ann", "one"), ("bob", "two"), ("ann", "three")] {
            let mut op = append_op(conversation, body, 5, WIDE);
            if let StoreOp::HistoryAppend { message, .. } = &mut op {
                message.from = from.into();
            }
            store.single(op);
        }
    }
    let erase = |after| StoreOp::HistoryErase {
        conversation: of_channel("room"),
        from: UserId::parse("ann").expect("a case uses proper names"),
        after,
    };
    let done = store.single(erase(0));
    assert_eq!(done, StoreAnswer::HistoryErased { count: 2, next: 0 });
    let (left, next) = page(store, &room, ALL);
    assert_eq!(next, 0);
    let left: Vec<_> = left
        .iter()
        .map(|kept| (kept.position, &kept.from[..]))
        .collect();
    assert_eq!(left, [(2, "bob")]);
    assert_eq!(
        page(store, &other, ALL).0.len(),
        3,
        "another conversation stays"
    );
    let again = store.single(erase(0));
    assert_eq!(again, StoreAnswer::HistoryErased { count: 0, next: 0 });
    assert_eq!(append(store, &room, "four", 6, WIDE), 4, "places go on");
}
