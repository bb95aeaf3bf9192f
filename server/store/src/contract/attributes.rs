//! Cases about attributes. Source: rtm 5.1 and 5.2.

use tidings_hub::ids::{ChannelKey, UserKey};
use tidings_hub::store_ops::{
    AttributeEntry, AttributeLimits, AttributeOwner, LIBRARY_KEY, StoreAnswer, StoreOp,
};
use tidings_wire::proto::AttributeWrite::{Clear, Delete, Merge, Set};

use super::{
    Single, Subject, WIDE_ATTRIBUTES, app, channel, entry, of_channel, of_user, user, write_op,
};

fn stamped(key: &str, value: &str, by: &str, updated_ts: u64) -> AttributeEntry {
    AttributeEntry {
        updated_ts,
        ..entry(key, value, by)
    }
}

// proves: rtm-5.2-kinds, rtm-5.2-stamps
/// A set replaces everything; all its entries are new.
pub fn attributes_are_set_as_a_whole(store: &mut dyn Subject) {
    let room = of_channel("room");
    assert_eq!(store.attributes(&room), []);
    store.write(
        &room,
        Set,
        &[entry("b", "1", "ann"), entry("a", "2", "ann")],
        10,
    );
    let answer = store.write(
        &room,
        Set,
        &[entry("c", "3", "bob"), entry("a", "2", "bob")],
        20,
    );
    let expected = vec![stamped("a", "2", "bob", 20), stamped("c", "3", "bob", 20)];
    assert_eq!(answer, StoreAnswer::Attributes(expected.clone()));
    assert_eq!(store.attributes(&room), expected);
}

// proves: rtm-5.2-kinds, rtm-5.2-stamps
/// A merge stamps the named keys, also those with an unchanged value, and leaves the others.
pub fn attributes_are_merged_by_key(store: &mut dyn Subject) {
    let room = of_channel("room");
    store.write(
        &room,
        Merge,
        &[entry("a", "1", "ann"), entry("b", "1", "ann")],
        10,
    );
    let answer = store.write(
        &room,
        Merge,
        &[entry("c", "2", "bob"), entry("b", "1", "bob")],
        20,
    );
    let expected = vec![
        stamped("a", "1", "ann", 10),
        stamped("b", "1", "bob", 20),
        stamped("c", "2", "bob", 20),
    ];
    assert_eq!(answer, StoreAnswer::Attributes(expected.clone()));
    assert_eq!(store.attributes(&room), expected);
    let answer = store.write(&room, Merge, &[], 30);
    assert_eq!(answer, StoreAnswer::Attributes(expected));
}

// proves: rtm-5.2-kinds, rtm-2.11-missing-keys
/// Missing keys are no error; the others keep their stamps.
pub fn attributes_are_deleted_by_key(store: &mut dyn Subject) {
    let room = of_channel("room");
    store.write(
        &room,
        Set,
        &[entry("a", "1", "ann"), entry("b", "1", "ann")],
        10,
    );
    let answer = store.write(
        &room,
        Delete,
        &[entry("a", "", "bob"), entry("zzz", "", "bob")],
        20,
    );
    assert_eq!(
        answer,
        StoreAnswer::Attributes(vec![stamped("b", "1", "ann", 10)])
    );
    let answer = store.write(&room, Delete, &[entry("b", "", "bob")], 30);
    assert_eq!(answer, StoreAnswer::Attributes(vec![]));
    assert_eq!(store.attributes(&room), []);
    assert_eq!(
        store.owners(u64::MAX, 10, None),
        (vec![], false),
        "nothing is left to list"
    );
}

// proves: rtm-5.2-kinds
/// A clear ignores its entries; a set without entries has the same effect.
pub fn attributes_are_cleared(store: &mut dyn Subject) {
    let alice = of_user("alice");
    for how in [Clear, Set] {
        store.write(&alice, Set, &[entry("a", "1", "alice")], 10);
        let entries: &[_] = if how == Clear {
            &[entry("b", "1", "alice")]
        } else {
            &[]
        };
        assert_eq!(
            store.write(&alice, how, entries, 20),
            StoreAnswer::Attributes(vec![])
        );
        assert_eq!(store.attributes(&alice), []);
        assert_eq!(store.owners(u64::MAX, 10, None), (vec![], false));
    }
    assert_eq!(
        store.write(&alice, Clear, &[], 30),
        StoreAnswer::Attributes(vec![])
    );
}

/// A set and a clear leave it in place, and it does not count among the others.
pub fn what_a_library_notes_of_a_channel_is_replaced_one_by_one(store: &mut dyn Subject) {
    let room = of_channel("room");
    let noted = format!("{LIBRARY_KEY}x");
    let keys = |store: &mut dyn Subject| -> Vec<String> {
        let entries = store.attributes(&of_channel("room")).into_iter();
        entries.map(|entry| entry.key).collect()
    };
    store.write(
        &room,
        Merge,
        &[entry("a", "1", "x"), entry(&noted, "1", "x")],
        10,
    );
    store.write(&room, Set, &[entry("b", "1", "x")], 10);
    assert_eq!(keys(store), ["b", noted.as_str()]);
    let answer = store.single(StoreOp::AttributesWrite {
        owner: room.clone(),
        how: Set,
        entries: vec![entry("c", "1", "x")],
        limits: AttributeLimits {
            entries_max: 1,
            ..WIDE_ATTRIBUTES
        },
        now_ts: 10,
    });
    assert!(
        matches!(answer, StoreAnswer::AttributesWritten { .. }),
        "{answer:?}"
    );
    store.write(&room, Clear, &[], 10);
    assert_eq!(keys(store), [noted.as_str()]);
    store.write(&room, Delete, &[entry(&noted, "", "x")], 10);
    assert_eq!(keys(store), Vec::<String>::new());
}

/// Of two writes the later has the greater revision, whatever was deleted in between and whatever
/// the hubs' clocks say.
pub fn revisions_of_attributes_rise_over_deletions(store: &mut dyn Subject) {
    let (room, other) = (of_channel("room"), of_channel("other"));
    let mut last = 0;
    for (owner, how, now_ts) in [
        (&room, Set, 1_000),
        (&room, Clear, 1_000),
        (&room, Set, 999),
        (&other, Set, 5),
        (&room, Delete, 1_001),
        (&room, Merge, 10),
    ] {
        let write = write_op(
            owner,
            how,
            &[entry("a", "1", "ann")],
            super::WIDE_ATTRIBUTES,
            now_ts,
        );
        match store.single(write) {
            StoreAnswer::AttributesWritten { revision, .. } => {
                assert!(
                    revision > last,
                    "{how:?} at {now_ts}: {revision} after {last}"
                );
                last = revision;
            }
            other => panic!("a write was answered {other:?}"),
        }
    }
}

/// No key occurs twice in a result.
pub fn of_two_entries_with_one_key_the_later_counts(store: &mut dyn Subject) {
    let alice = of_user("alice");
    for how in [Set, Merge] {
        let answer = store.write(
            &alice,
            how,
            &[entry("a", "1", "x"), entry("a", "2", "x")],
            10,
        );
        assert_eq!(
            answer,
            StoreAnswer::Attributes(vec![stamped("a", "2", "x", 10)])
        );
    }
}

// proves: rtm-5.2-over, rtm-2.1-merged
/// A write whose result would exceed a bound changes nothing and reports the size it would have
/// had.
pub fn bounds_of_attributes_are_those_of_the_result(store: &mut dyn Subject) {
    let room = of_channel("room");
    let limits = AttributeLimits {
        entries_max: 2,
        bytes_max: 8,
    };
    let ok = store.written(write_op(
        &room,
        Set,
        &[entry("a", "123", "x"), entry("b", "123", "x")],
        limits,
        1,
    ));
    let before = vec![stamped("a", "123", "x", 1), stamped("b", "123", "x", 1)];
    assert_eq!(
        ok,
        StoreAnswer::Attributes(before.clone()),
        "exactly the bounds are allowed"
    );
    let answer = store.written(write_op(&room, Merge, &[entry("c", "", "y")], limits, 2));
    assert_eq!(
        answer,
        StoreAnswer::Overflow {
            entries: 3,
            bytes: 9
        }
    );
    let answer = store.written(write_op(
        &room,
        Merge,
        &[entry("b", "1234", "y")],
        limits,
        3,
    ));
    assert_eq!(
        answer,
        StoreAnswer::Overflow {
            entries: 2,
            bytes: 9
        }
    );
    let answer = store.written(write_op(
        &room,
        Set,
        &[entry("c", "12345678", "y")],
        limits,
        4,
    ));
    assert_eq!(
        answer,
        StoreAnswer::Overflow {
            entries: 1,
            bytes: 9
        }
    );
    assert_eq!(store.attributes(&room), before);
    assert_eq!(
        store.owners(2, 10, None),
        (vec![room.clone()], false),
        "a refused write is no touch"
    );
    let answer = store.written(write_op(&room, Merge, &[entry("b", "1", "y")], limits, 5));
    let after = vec![stamped("a", "123", "x", 1), stamped("b", "1", "y", 5)];
    assert_eq!(
        answer,
        StoreAnswer::Attributes(after),
        "a smaller value fits"
    );
}

/// A set that exceeds a lowered bound can shrink step by step.
pub fn deletions_of_attributes_are_never_refused(store: &mut dyn Subject) {
    let room = of_channel("room");
    store.write(
        &room,
        Set,
        &[
            entry("a", "1", "x"),
            entry("b", "1", "x"),
            entry("c", "1", "x"),
        ],
        1,
    );
    let narrow = AttributeLimits {
        entries_max: 1,
        bytes_max: 2,
    };
    let answer = store.written(write_op(&room, Delete, &[entry("a", "", "x")], narrow, 2));
    let left = vec![stamped("b", "1", "x", 1), stamped("c", "1", "x", 1)];
    assert_eq!(answer, StoreAnswer::Attributes(left));
    let answer = store.written(write_op(&room, Clear, &[], narrow, 3));
    assert_eq!(answer, StoreAnswer::Attributes(vec![]));
}

/// A touch, with a write or on its own, keeps attributes from being dropped as stale.
pub fn attributes_are_dropped_unless_touched_later(store: &mut dyn Subject) {
    let room = of_channel("room");
    let all = |store: &mut dyn Subject| store.attributes(&of_channel("room")).len();
    store.write(&room, Set, &[entry("a", "1", "x")], 100);
    store.drop_unless_touched_after(&room, 99);
    assert_eq!(all(store), 1);
    store.touch(&room, 200);
    store.drop_unless_touched_after(&room, 199);
    assert_eq!(all(store), 1);
    store.touch(&room, 150);
    store.drop_unless_touched_after(&room, 199);
    assert_eq!(all(store), 1, "an earlier touch does not undo a later one");
    store.drop_unless_touched_after(&room, 200);
    assert_eq!(all(store), 0);
    store.write(&room, Set, &[entry("a", "1", "x")], u64::MAX);
    store.drop_unless_touched_after(&room, u64::MAX);
    assert_eq!(all(store), 0, "the largest time means in any case");
    store.drop_unless_touched_after(&room, u64::MAX);
    store.touch(&room, 300);
    assert_eq!(
        store.owners(u64::MAX, 10, None),
        (vec![], false),
        "a touch alone makes no attributes"
    );
    assert_eq!(all(store), 0);
}

/// Owners are listed if their last touch was before the time.
pub fn owners_are_listed_by_their_last_touch(store: &mut dyn Subject) {
    for (name, now_ts) in [("a", 100), ("b", 200), ("c", 300)] {
        store.write(&of_channel(name), Set, &[entry("k", "v", "x")], now_ts);
    }
    assert_eq!(store.owners(100, 10, None), (vec![], false));
    assert_eq!(
        store.owners(201, 10, None),
        (vec![of_channel("a"), of_channel("b")], false)
    );
    store.touch(&of_channel("a"), 400);
    store.write(&of_channel("b"), Merge, &[entry("k", "w", "x")], 500);
    assert_eq!(store.owners(350, 10, None), (vec![of_channel("c")], false));
}

/// Users come before channels, each in key order; a page continues after its last owner.
pub fn owners_are_listed_users_first_in_pages(store: &mut dyn Subject) {
    let other_app = UserKey {
        app: app('b'),
        ..user("a")
    };
    let listed = [
        of_user("ann"),
        of_user("ann b"),
        of_user("annb"),
        AttributeOwner::User(other_app),
        of_channel("Zoo"),
        of_channel("aaa"),
        AttributeOwner::Channel(ChannelKey {
            app: app('b'),
            ..channel("a")
        }),
    ];
    for owner in listed.iter().rev() {
        store.write(owner, Set, &[entry("k", "v", "x")], 10);
    }
    assert_eq!(store.owners(11, 100, None), (listed.to_vec(), false));
    for at in 0..listed.len() {
        let after = at.checked_sub(1).map(|before| listed[before].clone());
        let has_more = at + 2 < listed.len();
        let end = listed.len().min(at + 2);
        assert_eq!(
            store.owners(11, 2, after),
            (listed[at..end].to_vec(), has_more),
            "from {at}"
        );
    }
    let last = listed.last().cloned();
    assert_eq!(store.owners(11, 2, last), (vec![], false));
    // An owner that has been deleted still marks the place.
    store.drop_unless_touched_after(&listed[2], u64::MAX);
    assert_eq!(
        store.owners(11, 1, Some(listed[2].clone())),
        (vec![listed[3].clone()], true)
    );
}
