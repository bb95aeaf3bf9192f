//! Cases about what apps have stored. Source: contract 6.4.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_hub::ids::ChannelKey;
use tidings_hub::store_ops::{
    AttributeOwner, Conversation, HistoryLimits, HistoryMessage, StoreAnswer, StoreOp,
};
use tidings_wire::names::ChannelName;
use tidings_wire::proto::AttributeWrite::{Clear, Set};

use super::{NO_LOSSES, Single, Subject, WIDE, WIDE_ATTRIBUTES, entry, message, user, write_op};
use crate::usage::Bounds;

fn stored(store: &mut dyn Subject) -> u64 {
    let app = user("alice").app;
    store.engine().stored_bytes(&app)
}

fn room() -> ChannelKey {
    ChannelKey {
        app: user("alice").app,
        channel: ChannelName::parse("room").expect("a channel name"),
    }
}

fn history(body: &str, messages_max: usize) -> StoreOp {
    StoreOp::HistoryAppend {
        conversation: Conversation::Channel(room()),
        message: HistoryMessage {
            position: 0,
            from: "ann".into(),
            body: body.to_owned().into(),
            server_ts: 5,
        },
        limits: HistoryLimits {
            messages_max,
            age_ms: u64::MAX,
        },
    }
}

/// Everything that an app stores is counted, everything that is deleted is subtracted, and a
/// restart changes nothing.
pub fn what_an_app_has_stored_is_counted(store: &mut dyn Subject) {
    let alice = user("alice");
    assert_eq!(stored(store), 0);
    let body = "x".repeat(1_000);
    store.append(&alice, message(1, 5, &body), WIDE);
    store.append(&alice, message(2, 5, &body), WIDE);
    let two = stored(store);
    assert!((2_000..2_600).contains(&two), "{two}");
    store.single(history(&body, 2));
    store.single(history(&body, 2));
    let four = stored(store);
    assert!((4_000..5_200).contains(&four), "{four}");
    // A history that is full does not grow.
    store.single(history(&body, 2));
    assert_eq!(stored(store), four);
    let owner = AttributeOwner::Channel(room());
    let set = |store: &mut dyn Subject, value: &str| {
        let op = write_op(&owner, Set, &[entry("k", value, "x")], WIDE_ATTRIBUTES, 1);
        store.single(op);
    };
    set(store, &body);
    set(store, &body);
    let five = stored(store);
    assert!((1_000..1_300).contains(&(five - four)), "{five}");
    store.reopen();
    assert_eq!(stored(store), five);
    store.single(write_op(&owner, Clear, &[], WIDE_ATTRIBUTES, 2));
    assert_eq!(stored(store), four);
    store.remove(&alice, 2);
    store.confirm(&alice, 1, NO_LOSSES);
    assert_eq!(stored(store), four - two);
    store.reopen();
    assert_eq!(stored(store), four - two);
}

/// An app that has reached its bound can store nothing more, gets the reason, and can store again
/// once there is room.
pub fn an_app_stores_no_more_than_its_bound(store: &mut dyn Subject) {
    let alice = user("alice");
    let body = "x".repeat(1_000);
    let bounds = Bounds::from([(alice.app.clone(), 3_000)]);
    store.engine().set_bounds(Arc::new(bounds));
    store.append(&alice, message(1, 5, &body), WIDE);
    store.append(&alice, message(2, 5, &body), WIDE);
    let owner = AttributeOwner::Channel(room());
    let refused = [
        StoreOp::InboxAppend {
            user: alice.clone(),
            message: message(3, 5, &body),
            limits: WIDE,
        },
        history(&body, 9),
        write_op(&owner, Set, &[entry("k", &body, "x")], WIDE_ATTRIBUTES, 1),
    ];
    for op in &refused {
        match store.single(op.clone()) {
            StoreAnswer::Failed { reason } => {
                assert!(reason.contains("max_bytes is 3000"), "{reason}");
            }
            answer => panic!("{op:?} was answered {answer:?}"),
        }
    }
    let taken = store.engine().take_quota_refusals();
    assert_eq!(taken, BTreeMap::from([(alice.app.clone(), 3)]));
    assert!(store.engine().take_quota_refusals().is_empty());
    assert_eq!(store.inbox(&alice).0.len(), 2, "reads pass");
    store.confirm(&alice, 1, NO_LOSSES);
    assert_eq!(store.append(&alice, message(4, 5, &body), WIDE), 3);
    store.engine().set_bounds(Arc::default());
    for op in refused {
        let answer = store.single(op);
        assert!(!matches!(answer, StoreAnswer::Failed { .. }), "{answer:?}");
    }
}
