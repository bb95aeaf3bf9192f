//! What the tests of the embedded store share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings_hub::ids::{MessageId, UserKey};
use tidings_hub::store_ops::{InboxLimits, InboxLosses, StoreAnswer, StoreOp, StoredMessage};
use tidings_store::Engine;
use tidings_wire::names::{AppId, UserId};

pub(crate) const WIDE: InboxLimits = InboxLimits {
    messages_max: 1_000_000,
    bytes_max: 1 << 30,
    age_ms: u64::MAX,
};

/// Longer than anything takes on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Looks again and again until something holds of which nothing tells, such as space on a disk.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "not in {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn user(number: u64) -> UserKey {
    UserKey {
        app: AppId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        user: UserId::parse(&format!("user-{number}")).unwrap(),
    }
}

pub(crate) fn append(to: u64, body: &str) -> StoreOp {
    let message = StoredMessage {
        inbox: 0,
        id: MessageId([7; 16]),
        from: "bob".into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        server_ts: 1000,
        lasts_until: 0,
    };
    StoreOp::InboxAppend {
        user: user(to),
        message,
        limits: WIDE,
    }
}

pub(crate) fn read(of: u64) -> StoreOp {
    StoreOp::InboxRead {
        user: user(of),
        after: 0,
        count_max: usize::MAX,
        not_before_ts: 0,
    }
}

pub(crate) fn confirm(of: u64, up_to: u64) -> StoreOp {
    StoreOp::InboxConfirm {
        user: user(of),
        up_to,
        told: InboxLosses::default(),
    }
}

pub(crate) fn apply(engine: &mut dyn Engine, ops: &[StoreOp]) -> Vec<StoreAnswer> {
    let mut answers = Vec::new();
    engine.apply(ops, &mut answers);
    answers
}

/// Numbers and bodies of an inbox, with its losses.
pub(crate) fn inbox(engine: &mut dyn Engine, of: u64) -> (Vec<(u64, String)>, InboxLosses) {
    match apply(engine, &[read(of)]).pop().unwrap() {
        StoreAnswer::InboxPage {
            messages,
            has_more: false,
            losses,
        } => {
            let text = |body: &Bytes| String::from_utf8(body.to_vec()).unwrap();
            (
                messages
                    .iter()
                    .map(|message| (message.inbox, text(&message.body)))
                    .collect(),
                losses,
            )
        }
        other => panic!("a read was answered {other:?}"),
    }
}
