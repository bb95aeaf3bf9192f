//! Cases about inboxes. Source: contract OFF-3 to OFF-8, rtm 4.3.

use tidings_hub::store_ops::{InboxLimits, InboxLosses, StoreAnswer, StoreOp, StoredMessage};

use super::{NO_LOSSES, Single, Subject, WIDE, message, numbered, user};

/// Every part is read back as it was appended, with its number.
pub fn an_inbox_keeps_messages_as_they_are(store: &mut dyn Subject) {
    let alice = user("alice");
    let sent = message(7, 1234, "hello");
    assert_eq!(store.append(&alice, sent.clone(), WIDE), 1);
    let page = store.page(&alice, 0, 10, 0);
    assert_eq!(page.messages, [StoredMessage { inbox: 1, ..sent }]);
    assert_eq!((page.has_more, page.losses), (false, NO_LOSSES));
    assert_eq!(
        store.inbox(&user("bob")),
        (vec![], NO_LOSSES),
        "another user's inbox is empty"
    );
}

/// Numbers start at 1 and rise by one, separately for each receiver.
pub fn inboxes_number_from_1_without_gaps(store: &mut dyn Subject) {
    for number in 1..=20 {
        assert_eq!(
            store.append(&user("alice"), message(1, 5, "x"), WIDE),
            number
        );
    }
    assert_eq!(store.append(&user("bob"), message(1, 5, "x"), WIDE), 1);
    let numbers: Vec<_> = store
        .inbox(&user("alice"))
        .0
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

/// An emptied inbox continues its numbers, after a restart too.
pub fn numbering_goes_on_after_everything_was_confirmed(store: &mut dyn Subject) {
    let alice = user("alice");
    for _ in 0..3 {
        store.append(&alice, message(1, 5, "x"), WIDE);
    }
    store.confirm(&alice, 3, NO_LOSSES);
    assert_eq!(store.inbox(&alice), (vec![], NO_LOSSES));
    store.reopen();
    assert_eq!(store.append(&alice, message(1, 5, "y"), WIDE), 4);
    store.remove(&alice, 1);
    store.reopen();
    assert_eq!(store.append(&alice, message(1, 5, "z"), WIDE), 5);
}

/// An expired inbox continues its numbers, after a restart too.
pub fn numbering_goes_on_after_everything_was_expired(store: &mut dyn Subject) {
    let alice = user("alice");
    store.append(&alice, message(1, 5, "x"), WIDE);
    store.append(&alice, message(2, 6, "y"), WIDE);
    let losses = InboxLosses {
        expired: 2,
        ..NO_LOSSES
    };
    let page = store.page(&alice, 0, 10, 7);
    assert_eq!(
        (page.bodies(), page.has_more, page.losses),
        (vec![], false, losses)
    );
    store.reopen();
    assert_eq!(store.append(&alice, message(3, 9, "z"), WIDE), 3);
    assert_eq!(store.inbox(&alice), (numbered(&[(3, "z")]), losses));
}

/// Pages follow each other without a hole or a repeat and say whether more follow.
pub fn pages_continue_where_the_last_ended(store: &mut dyn Subject) {
    let alice = user("alice");
    for seed in 1..=5 {
        store.append(&alice, message(seed, 5, &format!("m{seed}")), WIDE);
    }
    let first = store.page(&alice, 0, 2, 0);
    assert_eq!(
        (first.bodies(), first.has_more),
        (numbered(&[(1, "m1"), (2, "m2")]), true)
    );
    let second = store.page(&alice, 2, 2, 0);
    assert_eq!(
        (second.bodies(), second.has_more),
        (numbered(&[(3, "m3"), (4, "m4")]), true)
    );
    let third = store.page(&alice, 4, 2, 0);
    assert_eq!(
        (third.bodies(), third.has_more),
        (numbered(&[(5, "m5")]), false)
    );
    let exact = store.page(&alice, 3, 2, 0);
    assert_eq!((exact.bodies().len(), exact.has_more), (2, false));
    let none = store.page(&alice, 5, 2, 0);
    assert_eq!((none.bodies().len(), none.has_more), (0, false));
    assert!(store.page(&alice, u64::MAX, 2, 0).messages.is_empty());
    let empty = store.page(&alice, 0, 0, 0);
    assert_eq!((empty.bodies().len(), empty.has_more), (0, true));
}

/// Later messages stay; repeats and numbers not yet reached do no harm.
pub fn a_confirmation_deletes_up_to_its_number_and_no_further(store: &mut dyn Subject) {
    let alice = user("alice");
    for seed in 1..=4 {
        store.append(&alice, message(seed, 5, &format!("m{seed}")), WIDE);
    }
    store.confirm(&alice, 2, NO_LOSSES);
    store.confirm(&alice, 2, NO_LOSSES);
    store.confirm(&alice, 1, NO_LOSSES);
    store.confirm(&alice, 0, NO_LOSSES);
    assert_eq!(store.inbox(&alice).0, numbered(&[(3, "m3"), (4, "m4")]));
    store.confirm(&alice, u64::MAX, NO_LOSSES);
    assert_eq!(store.inbox(&alice), (vec![], NO_LOSSES));
    assert_eq!(store.append(&alice, message(5, 5, "m5"), WIDE), 5);
    store.confirm(&user("nobody"), 9, NO_LOSSES);
    assert_eq!(store.append(&user("nobody"), message(1, 5, "x"), WIDE), 1);
}

/// Confirmed losses are subtracted by kind; losses since then stay.
pub fn a_confirmation_forgets_what_was_told(store: &mut dyn Subject) {
    let alice = user("alice");
    let one = InboxLimits {
        messages_max: 1,
        ..WIDE
    };
    for seed in 1..=4 {
        store.append(&alice, message(seed, 5, "x"), one);
    }
    assert_eq!(
        store.inbox(&alice).1,
        InboxLosses {
            overflowed: 3,
            ..NO_LOSSES
        }
    );
    store.confirm(
        &alice,
        0,
        InboxLosses {
            overflowed: 2,
            expired: 1,
            damaged: 1,
        },
    );
    assert_eq!(
        store.inbox(&alice).1,
        InboxLosses {
            overflowed: 1,
            ..NO_LOSSES
        }
    );
    store.confirm(
        &alice,
        4,
        InboxLosses {
            overflowed: 1,
            ..NO_LOSSES
        },
    );
    assert_eq!(store.inbox(&alice), (vec![], NO_LOSSES));
}

/// Only that message is deleted; an unknown id is no error.
pub fn a_message_is_removed_by_its_id(store: &mut dyn Subject) {
    let alice = user("alice");
    for seed in 1..=3 {
        store.append(&alice, message(seed, 5, &format!("m{seed}")), WIDE);
    }
    store.remove(&alice, 2);
    store.remove(&alice, 2);
    store.remove(&alice, 9);
    store.remove(&user("nobody"), 1);
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(1, "m1"), (3, "m3")]), NO_LOSSES)
    );
    let page = store.page(&alice, 1, 1, 0);
    assert_eq!(
        (page.bodies(), page.has_more),
        (numbered(&[(3, "m3")]), false)
    );
    // What was removed makes room.
    let two = InboxLimits {
        messages_max: 3,
        ..WIDE
    };
    store.append(&alice, message(4, 5, "m4"), two);
    assert_eq!(store.inbox(&alice).1, NO_LOSSES);
}

// proves: rtm-4.3-200
/// The newest `messages_max` messages stay; deleted ones are counted.
pub fn the_oldest_message_gives_way_to_the_count(store: &mut dyn Subject) {
    let alice = user("alice");
    let three = InboxLimits {
        messages_max: 3,
        ..WIDE
    };
    for seed in 1..=5 {
        let number = store.append(&alice, message(seed, 5, &format!("m{seed}")), three);
        assert_eq!(number, u64::from(seed));
    }
    let losses = InboxLosses {
        overflowed: 2,
        ..NO_LOSSES
    };
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(3, "m3"), (4, "m4"), (5, "m5")]), losses)
    );
    // A lowered bound applies from the next append on.
    store.append(
        &alice,
        message(6, 5, "m6"),
        InboxLimits {
            messages_max: 1,
            ..WIDE
        },
    );
    let losses = InboxLosses {
        overflowed: 5,
        ..NO_LOSSES
    };
    assert_eq!(store.inbox(&alice), (numbered(&[(6, "m6")]), losses));
}

// proves: rtm-4.3-shares
/// Nobody can push out what others have stored: the sender with the largest share loses messages
/// first, oldest first.
pub fn a_sender_with_the_largest_share_gives_way_first(store: &mut dyn Subject) {
    let alice = user("alice");
    let limits = InboxLimits {
        messages_max: 200,
        ..WIDE
    };
    let of = |from: &str, body: &str| StoredMessage {
        from: from.to_owned(),
        ..message(1, 5, body)
    };
    for n in 1..=3 {
        store.append(&alice, of("stranger", &format!("s{n}")), limits);
    }
    for n in 1..=210 {
        store.append(&alice, of("flooder", &format!("f{n}")), limits);
        if n % 50 == 0 {
            store.reopen();
        }
    }
    let bodies = |store: &mut dyn Subject| -> Vec<String> {
        let bodies = store.inbox(&alice).0.into_iter();
        bodies.map(|(_, body)| body).collect()
    };
    let kept = bodies(store);
    assert_eq!(kept.len(), 200);
    assert_eq!(kept[..4], ["s1", "s2", "s3", "f14"]);
    assert_eq!(kept[199], "f210");
    assert_eq!(store.inbox(&alice).1.overflowed, 13);
    // A new sender finds room as well, and confirming the oldest messages does not upset the
    // shares.
    store.append(&alice, of("newcomer", "n1"), limits);
    store.confirm(&alice, 2, NO_LOSSES);
    for n in 211..=214 {
        store.append(&alice, of("flooder", &format!("f{n}")), limits);
    }
    let kept = bodies(store);
    assert_eq!(kept.len(), 200);
    assert_eq!(kept[..2], ["s3", "f17"]);
    assert!(kept.contains(&"n1".to_owned()), "{kept:?}");
    // Messages are removed by id, from the middle too.
    assert_eq!(store.inbox(&alice).1.overflowed, 16);
}

/// When a bound is lowered by much, the remaining places are still shared.
pub fn shares_count_when_a_bound_is_lowered(store: &mut dyn Subject) {
    let alice = user("alice");
    let of = |from: &str, body: &str| StoredMessage {
        from: from.to_owned(),
        ..message(1, 5, body)
    };
    store.append(&alice, of("stranger", "s"), WIDE);
    for n in 1..=400 {
        store.append(&alice, of("flooder", &format!("f{n}")), WIDE);
    }
    let three = InboxLimits {
        messages_max: 3,
        ..WIDE
    };
    store.append(&alice, of("flooder", "f401"), three);
    let kept = numbered(&[(1, "s"), (401, "f400"), (402, "f401")]);
    assert_eq!(store.inbox(&alice).0, kept);
}

/// No more messages are deleted than necessary.
pub fn the_oldest_messages_give_way_to_the_bytes(store: &mut dyn Subject) {
    let alice = user("alice");
    let ten = InboxLimits {
        bytes_max: 10,
        ..WIDE
    };
    for (seed, body) in [(1, "aaa"), (2, "bbb"), (3, "cccc")] {
        store.append(&alice, message(seed, 5, body), ten);
    }
    assert_eq!(
        store.inbox(&alice).1,
        NO_LOSSES,
        "exactly the bound is allowed"
    );
    store.append(&alice, message(4, 5, "dddd"), ten);
    let losses = InboxLosses {
        overflowed: 2,
        ..NO_LOSSES
    };
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(3, "cccc"), (4, "dddd")]), losses)
    );
    store.append(&alice, message(5, 5, "0123456789"), ten);
    let losses = InboxLosses {
        overflowed: 4,
        ..NO_LOSSES
    };
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(5, "0123456789")]), losses)
    );
}

/// A message that could not stay even alone is refused and pushes nothing out.
pub fn a_message_that_never_fits_is_refused(store: &mut dyn Subject) {
    let alice = user("alice");
    store.append(&alice, message(1, 5, "kept"), WIDE);
    let narrow = InboxLimits {
        bytes_max: 4,
        ..WIDE
    };
    let none = InboxLimits {
        messages_max: 0,
        ..WIDE
    };
    for (body, limits) in [("12345", narrow), ("x", none)] {
        let message = message(2, 5, body);
        let answer = store.single(StoreOp::InboxAppend {
            user: alice.clone(),
            message,
            limits,
        });
        assert!(matches!(answer, StoreAnswer::Failed { .. }), "{answer:?}");
    }
    assert_eq!(store.inbox(&alice), (numbered(&[(1, "kept")]), NO_LOSSES));
    assert_eq!(store.append(&alice, message(3, 5, "next"), WIDE), 2);
}

/// Neither kind pushes out the other; the order remains that of the numbers.
pub fn messages_with_an_end_of_their_own_have_bounds_of_their_own(store: &mut dyn Subject) {
    let alice = user("alice");
    let bounds = |messages_max, bytes_max| InboxLimits {
        messages_max,
        bytes_max,
        age_ms: 100,
    };
    let lasting = |seed, ts, body: &str| StoredMessage {
        lasts_until: 9_000,
        ..message(seed, ts, body)
    };
    store.append(&alice, message(1, 1_000, "a1"), bounds(2, 99));
    store.append(&alice, lasting(2, 1_000, "b1"), bounds(3, 99));
    store.append(&alice, lasting(3, 1_001, "b2"), bounds(3, 99));
    store.append(&alice, message(4, 1_001, "a2"), bounds(2, 99));
    store.append(&alice, message(5, 1_002, "a3"), bounds(2, 99));
    store.append(&alice, lasting(6, 1_002, "b3"), bounds(3, 99));
    store.append(&alice, lasting(7, 1_003, "b4"), bounds(3, 99));
    let losses = InboxLosses {
        overflowed: 2,
        ..NO_LOSSES
    };
    let left = [(3, "b2"), (4, "a2"), (5, "a3"), (6, "b3"), (7, "b4")];
    assert_eq!(store.inbox(&alice), (numbered(&left), losses));
    store.reopen();
    // Bytes are counted separately too; age does not matter to messages with an end of their own.
    store.append(&alice, lasting(8, 5_000, "b5"), bounds(9, 4));
    store.append(&alice, message(9, 5_000, "a4"), bounds(9, 2));
    let losses = InboxLosses {
        overflowed: 4,
        expired: 2,
        ..NO_LOSSES
    };
    let left = [(7, "b4"), (8, "b5"), (9, "a4")];
    assert_eq!(store.inbox(&alice), (numbered(&left), losses));
    let page = store.page(&alice, 0, 9, 6_000);
    assert_eq!(page.bodies(), numbered(&[(7, "b4"), (8, "b5")]));
}

/// They ended when their sender wanted it, which is no loss.
pub fn messages_with_an_end_of_their_own_go_with_it(store: &mut dyn Subject) {
    let alice = user("alice");
    for (seed, lasts_until) in [(1, 1_500), (2, 3_000), (3, 1_400)] {
        let message = StoredMessage {
            lasts_until,
            ..message(seed, 1_000, &format!("m{seed}"))
        };
        store.append(&alice, message, WIDE);
    }
    store.reopen();
    // Without an age nothing expires: the clock is not trusted.
    store.append(&alice, message(4, 1_500, "m4"), WIDE);
    let all = [(1, "m1"), (2, "m2"), (3, "m3"), (4, "m4")];
    assert_eq!(store.inbox(&alice), (numbered(&all), NO_LOSSES));
    let aged = InboxLimits {
        age_ms: 1_000,
        ..WIDE
    };
    store.append(&alice, message(5, 1_501, "m5"), aged);
    let left = [(2, "m2"), (4, "m4"), (5, "m5")];
    assert_eq!(store.inbox(&alice), (numbered(&left), NO_LOSSES));
    store.confirm(&alice, 2, NO_LOSSES);
    store.append(&alice, message(6, 9_000, "m6"), WIDE);
    let left = [(4, "m4"), (5, "m5"), (6, "m6")];
    assert_eq!(store.inbox(&alice), (numbered(&left), NO_LOSSES));
}

// proves: rtm-4.3-7-days
/// Messages at least `age_ms` older than the new one are deleted and counted.
pub fn an_append_expires_by_age(store: &mut dyn Subject) {
    let alice = user("alice");
    let limits = InboxLimits {
        age_ms: 100,
        ..WIDE
    };
    store.append(&alice, message(1, 1000, "a"), limits);
    store.append(&alice, message(2, 1001, "b"), limits);
    store.append(&alice, message(3, 1099, "c"), limits);
    assert_eq!(
        store.inbox(&alice).1,
        NO_LOSSES,
        "99 ms are less than the age"
    );
    store.append(&alice, message(4, 1100, "d"), limits);
    let losses = InboxLosses {
        expired: 1,
        ..NO_LOSSES
    };
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(2, "b"), (3, "c"), (4, "d")]), losses)
    );
    // An expired message is not counted as an overflow too.
    store.append(
        &alice,
        message(5, 1500, "e"),
        InboxLimits {
            messages_max: 1,
            ..limits
        },
    );
    let losses = InboxLosses {
        expired: 4,
        ..NO_LOSSES
    };
    assert_eq!(store.inbox(&alice), (numbered(&[(5, "e")]), losses));
}

// proves: rtm-4.3-7-days
/// Messages stamped before the given time are deleted and counted; those stamped at it stay.
pub fn a_read_expires_by_time(store: &mut dyn Subject) {
    let alice = user("alice");
    for seed in 1..=4 {
        store.append(
            &alice,
            message(seed, 100 + u64::from(seed), &format!("m{seed}")),
            WIDE,
        );
    }
    let losses = InboxLosses {
        expired: 2,
        ..NO_LOSSES
    };
    let page = store.page(&alice, 0, 1, 103);
    assert_eq!(
        (page.bodies(), page.has_more),
        (numbered(&[(3, "m3")]), true)
    );
    assert_eq!(page.losses, losses);
    // A repeat finds nothing more, and an earlier time restores nothing.
    assert_eq!(store.page(&alice, 0, 10, 103).losses, losses);
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(3, "m3"), (4, "m4")]), losses)
    );
}

/// Stamps come from several hubs, whose clocks differ.
pub fn expiry_does_not_rely_on_stamps_in_order(store: &mut dyn Subject) {
    let alice = user("alice");
    for (seed, ts) in [(1, 300), (2, 100), (3, 400), (4, 200)] {
        store.append(&alice, message(seed, ts, &format!("t{ts}")), WIDE);
    }
    let page = store.page(&alice, 0, 10, 250);
    assert_eq!(page.bodies(), numbered(&[(1, "t300"), (3, "t400")]));
    assert_eq!(
        page.losses,
        InboxLosses {
            expired: 2,
            ..NO_LOSSES
        }
    );
    let aged = InboxLimits {
        age_ms: 100,
        ..WIDE
    };
    store.append(&alice, message(5, 450, "t450"), aged);
    let losses = InboxLosses {
        expired: 3,
        ..NO_LOSSES
    };
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(3, "t400"), (5, "t450")]), losses)
    );
}

/// Losses survive a restart, and confirmations that do not mention them.
pub fn losses_are_kept_until_told(store: &mut dyn Subject) {
    let alice = user("alice");
    let one = InboxLimits {
        messages_max: 1,
        ..WIDE
    };
    store.append(&alice, message(1, 10, "a"), one);
    store.append(&alice, message(2, 10, "b"), one);
    store.page(&alice, 0, 1, 11);
    store.append(&alice, message(3, 12, "c"), one);
    store.confirm(&alice, 3, NO_LOSSES);
    store.reopen();
    let losses = InboxLosses {
        overflowed: 1,
        expired: 1,
        damaged: 0,
    };
    assert_eq!(store.inbox(&alice), (vec![], losses));
    store.confirm(&alice, 3, losses);
    store.reopen();
    assert_eq!(store.inbox(&alice), (vec![], NO_LOSSES));
}
