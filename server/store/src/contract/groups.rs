//! Cases about groups of operations, tenants and restarts, and a random run against a simple model.

use std::collections::BTreeMap;

use tidings_hub::ids::{MessageId, UserKey};
use tidings_hub::store_ops::{
    AttributeOwner, InboxLimits, InboxLosses, StoreAnswer, StoreOp, StoredMessage,
};
use tidings_wire::proto::AttributeWrite::{Merge, Set};

use super::{
    NO_LOSSES, Single, Subject, WIDE, WIDE_ATTRIBUTES, app, entry, message, numbered, of_channel,
    of_user, user, write_op,
};

/// The same names in two apps are independent.
pub fn apps_do_not_see_each_other(store: &mut dyn Subject) {
    let here = user("alice");
    let there = UserKey {
        app: app('b'),
        ..here.clone()
    };
    store.append(&here, message(1, 5, "here"), WIDE);
    assert_eq!(store.append(&there, message(1, 5, "there"), WIDE), 1);
    store.remove(&here, 1);
    assert_eq!(store.inbox(&there).0, numbered(&[(1, "there")]));
    let (ours, theirs) = (AttributeOwner::User(here), AttributeOwner::User(there));
    store.write(&ours, Set, &[entry("k", "ours", "x")], 10);
    assert_eq!(store.attributes(&theirs), []);
    store.write(&theirs, Set, &[entry("k", "theirs", "x")], 10);
    store.drop_unless_touched_after(&ours, u64::MAX);
    assert_eq!(store.attributes(&theirs)[0].value, "theirs");
}

/// A user and a channel with the same name have separate attributes.
pub fn users_and_channels_do_not_see_each_other(store: &mut dyn Subject) {
    store.write(&of_user("same"), Set, &[entry("k", "user", "x")], 10);
    store.write(&of_channel("same"), Set, &[entry("k", "channel", "x")], 20);
    store.drop_unless_touched_after(&of_user("same"), 15);
    store.drop_unless_touched_after(&of_channel("same"), 15);
    assert_eq!(store.attributes(&of_user("same")), []);
    assert_eq!(store.attributes(&of_channel("same"))[0].value, "channel");
}

/// Names that are prefixes of each other, or hold unusual characters, are kept apart.
pub fn names_that_begin_alike_do_not_mix(store: &mut dyn Subject) {
    let long = "x".repeat(64);
    let names = [
        "x",
        "xx",
        "x x",
        "x!",
        "x~",
        " x",
        "x ",
        "x0",
        long.as_str(),
    ];
    for name in names {
        assert_eq!(
            store.append(&user(name), message(1, 5, name), WIDE),
            1,
            "{name:?}"
        );
        store.write(&of_user(name), Set, &[entry("k", name, "x")], 10);
    }
    store.confirm(&user("x"), u64::MAX, NO_LOSSES);
    assert_eq!(store.inbox(&user("x")).0, []);
    for name in &names[1..] {
        assert_eq!(store.inbox(&user(name)).0, numbered(&[(1, name)]));
        assert_eq!(store.attributes(&of_user(name))[0].value, *name);
    }
}

/// Operations of one group take effect in their order.
pub fn operations_of_a_group_see_those_before(store: &mut dyn Subject) {
    let alice = user("alice");
    let append = |seed, body| StoreOp::InboxAppend {
        user: user("alice"),
        message: message(seed, 5, body),
        limits: InboxLimits {
            messages_max: 2,
            ..WIDE
        },
    };
    let read = || StoreOp::InboxRead {
        user: user("alice"),
        after: 0,
        count_max: 9,
        not_before_ts: 0,
    };
    let remove = StoreOp::InboxRemove {
        user: alice.clone(),
        id: MessageId([2; 16]),
    };
    let confirm = StoreOp::InboxConfirm {
        user: alice.clone(),
        up_to: 2,
        told: NO_LOSSES,
    };
    let room = of_channel("room");
    let answers = store.group(&[
        append(1, "a"),
        append(2, "b"),
        read(),
        append(3, "c"),
        remove,
        read(),
        confirm,
        append(4, "d"),
        write_op(&room, Set, &[entry("k", "1", "x")], WIDE_ATTRIBUTES, 1),
        write_op(&room, Merge, &[entry("l", "2", "x")], WIDE_ATTRIBUTES, 2),
        StoreOp::AttributesRead {
            owner: room.clone(),
        },
        StoreOp::AttributesDrop {
            owner: room.clone(),
            unless_touched_after: 2,
        },
        StoreOp::AttributesRead {
            owner: room.clone(),
        },
    ]);
    let bodies = |answer: &StoreAnswer| match answer {
        StoreAnswer::InboxPage {
            messages, losses, ..
        } => (
            messages
                .iter()
                .map(|message| message.body.to_vec())
                .collect::<Vec<_>>()
                .concat(),
            losses.overflowed,
        ),
        other => panic!("a read was answered {other:?}"),
    };
    assert_eq!(answers[1], StoreAnswer::InboxAppended { inbox: 2 });
    assert_eq!(bodies(&answers[2]), (b"ab".to_vec(), 0));
    assert_eq!(bodies(&answers[5]), (b"c".to_vec(), 1));
    assert_eq!(answers[7], StoreAnswer::InboxAppended { inbox: 4 });
    assert!(matches!(&answers[10], StoreAnswer::Attributes(entries) if entries.len() == 2));
    assert_eq!(answers[12], StoreAnswer::Attributes(vec![]));
    let losses = InboxLosses {
        overflowed: 1,
        ..NO_LOSSES
    };
    assert_eq!(
        store.inbox(&alice),
        (numbered(&[(3, "c"), (4, "d")]), losses)
    );
}

/// A refused operation leaves no trace, and the operations around it are carried out.
pub fn a_refused_operation_does_not_disturb_its_group(store: &mut dyn Subject) {
    let append = |body, bytes_max| StoreOp::InboxAppend {
        user: user("alice"),
        message: message(1, 5, body),
        limits: InboxLimits { bytes_max, ..WIDE },
    };
    let answers = store.group(&[append("a", 9), append("bb", 1), append("c", 9)]);
    assert!(matches!(answers[1], StoreAnswer::Failed { .. }));
    assert_eq!(answers[2], StoreAnswer::InboxAppended { inbox: 2 });
    assert_eq!(
        store.inbox(&user("alice")).0,
        numbered(&[(1, "a"), (2, "c")])
    );
}

/// Durable means that a restart changes nothing.
pub fn everything_survives_a_restart(store: &mut dyn Subject) {
    let alice = user("alice");
    let two = InboxLimits {
        messages_max: 2,
        ..WIDE
    };
    for seed in 1..=3 {
        store.append(&alice, message(seed, 5, &format!("m{seed}")), two);
    }
    store.write(&of_channel("room"), Set, &[entry("k", "v", "x")], 10);
    store.touch(&of_channel("room"), 20);
    let before = store.page(&alice, 0, 9, 0);
    let attributes = store.attributes(&of_channel("room"));
    for _ in 0..2 {
        store.reopen();
        let page = store.page(&alice, 0, 9, 0);
        assert_eq!(
            (&page.messages, page.losses),
            (&before.messages, before.losses)
        );
        assert_eq!(store.attributes(&of_channel("room")), attributes);
        assert_eq!(store.owners(20, 9, None), (vec![], false));
        assert_eq!(store.owners(21, 9, None), (vec![of_channel("room")], false));
    }
    assert_eq!(store.append(&alice, message(4, 5, "m4"), two), 4);
}

/// What was confirmed, removed, expired or dropped stays away (contract CRA-2).
pub fn nothing_deleted_comes_back(store: &mut dyn Subject) {
    let alice = user("alice");
    for (seed, ts) in [(1, 10), (2, 20), (3, 30), (4, 40)] {
        store.append(&alice, message(seed, ts, &format!("m{seed}")), WIDE);
    }
    store.reopen();
    store.confirm(&alice, 1, NO_LOSSES);
    store.remove(&alice, 3);
    store.page(&alice, 0, 9, 21);
    store.write(&of_user("alice"), Set, &[entry("k", "v", "x")], 10);
    store.drop_unless_touched_after(&of_user("alice"), 10);
    store.reopen();
    let losses = InboxLosses {
        expired: 1,
        ..NO_LOSSES
    };
    assert_eq!(store.inbox(&alice), (numbered(&[(4, "m4")]), losses));
    assert_eq!(store.attributes(&of_user("alice")), []);
    assert_eq!(store.owners(u64::MAX, 9, None), (vec![], false));
}

/// One inbox of the model.
#[derive(Default)]
struct Model {
    next: u64,
    messages: Vec<StoredMessage>,
    losses: InboxLosses,
}

impl Model {
    fn apply(&mut self, op: &StoreOp) -> StoreAnswer {
        match op {
            StoreOp::InboxAppend {
                message, limits, ..
            } => {
                let is_lasting = message.lasts_until > 0;
                let now_ts = message.server_ts;
                self.messages
                    .retain(|had| had.lasts_until == 0 || had.lasts_until > now_ts);
                if !is_lasting {
                    self.expire(|ts| ts.saturating_add(limits.age_ms) <= now_ts);
                }
                self.next += 1;
                self.messages.push(StoredMessage {
                    inbox: self.next,
                    ..message.clone()
                });
                let is_kin = |had: &StoredMessage| (had.lasts_until > 0) == is_lasting;
                loop {
                    let kin = || self.messages.iter().filter(|had| is_kin(had));
                    let bytes: usize = kin().map(|m| m.body.len()).sum();
                    if kin().count() <= limits.messages_max && bytes <= limits.bytes_max {
                        break;
                    }
                    let share = |of: &StoredMessage| kin().filter(|m| m.from == of.from).count();
                    let largest = kin().map(share).max();
                    let gives_way =
                        |had: &StoredMessage| is_kin(had) && Some(share(had)) == largest;
                    let oldest = self.messages.iter().position(gives_way);
                    oldest.map(|oldest| self.messages.remove(oldest));
                    self.losses.overflowed += 1;
                }
                StoreAnswer::InboxAppended { inbox: self.next }
            }
            StoreOp::InboxRead {
                after,
                count_max,
                not_before_ts,
                ..
            } => {
                self.expire(|ts| ts < *not_before_ts);
                let mut messages = self.messages.clone();
                messages.retain(|message| message.inbox > *after);
                let has_more = messages.len() > *count_max;
                messages.truncate(*count_max);
                StoreAnswer::InboxPage {
                    messages,
                    has_more,
                    losses: self.losses,
                }
            }
            StoreOp::InboxConfirm { up_to, told, .. } => {
                self.messages.retain(|message| message.inbox > *up_to);
                let losses = &mut self.losses;
                losses.overflowed = losses.overflowed.saturating_sub(told.overflowed);
                losses.expired = losses.expired.saturating_sub(told.expired);
                StoreAnswer::Done
            }
            StoreOp::InboxRemove { id, .. } => {
                let place = self.messages.iter().position(|message| message.id == *id);
                place.map(|place| self.messages.remove(place));
                StoreAnswer::Done
            }
            other => panic!("the model does not know {other:?}"),
        }
    }

    fn expire(&mut self, is_expired: impl Fn(u64) -> bool) {
        let before = self.messages.len();
        self.messages
            .retain(|message| message.lasts_until > 0 || !is_expired(message.server_ts));
        self.losses.expired += (before - self.messages.len()) as u64;
    }
}

/// Two thousand random operations in random groups, with restarts in between, are answered as the
/// model answers them.
pub fn a_long_random_run_agrees_with_a_simple_model(store: &mut dyn Subject) {
    // A linear congruential generator is enough to mix and needs no dependency.
    let mut state = 0x5eed_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut models: BTreeMap<UserKey, Model> = BTreeMap::new();
    let mut now = 1000;
    for round in 0..200 {
        let ops: Vec<StoreOp> = (0..1 + random(20))
            .map(|_| {
                now += random(10);
                let user = user(["alice", "bob", "bobby"][random(3) as usize]);
                let model = models.entry(user.clone()).or_default();
                random_op(&mut random, user, model, now)
            })
            .collect();
        let answers = store.group(&ops);
        for (op, answer) in ops.iter().zip(answers) {
            let (StoreOp::InboxAppend { user, .. }
            | StoreOp::InboxRead { user, .. }
            | StoreOp::InboxConfirm { user, .. }
            | StoreOp::InboxRemove { user, .. }) = op
            else {
                panic!("not made by this case: {op:?}")
            };
            let expected = models.entry(user.clone()).or_default().apply(op);
            assert_eq!(answer, expected, "round {round}: {op:?}");
        }
        if random(40) == 0 {
            store.reopen();
        }
    }
}

fn random_op(
    random: &mut impl FnMut(u64) -> u64,
    user: UserKey,
    model: &Model,
    now: u64,
) -> StoreOp {
    let near = (model.next + 3).saturating_sub(random(20));
    match random(10) {
        0..5 => {
            let body = "x".repeat(random(9) as usize);
            let mut message = message(random(40) as u8, now - random(30), &body);
            message.from = format!("from{}", random(4));
            if random(3) == 0 {
                message.lasts_until = now + random(300);
            }
            let limits = InboxLimits {
                messages_max: 4 + random(12) as usize,
                bytes_max: 16 + random(64) as usize,
                age_ms: 50 + random(400),
            };
            StoreOp::InboxAppend {
                user,
                message,
                limits,
            }
        }
        5..7 => {
            let (count_max, not_before_ts) = (random(12) as usize, now.saturating_sub(random(500)));
            StoreOp::InboxRead {
                user,
                after: near,
                count_max,
                not_before_ts,
            }
        }
        7 => {
            let told = InboxLosses {
                overflowed: random(3),
                expired: random(3),
                damaged: 0,
            };
            StoreOp::InboxConfirm {
                user,
                up_to: near.saturating_sub(6),
                told,
            }
        }
        _ => StoreOp::InboxRemove {
            user,
            id: MessageId([random(40) as u8; 16]),
        },
    }
}
