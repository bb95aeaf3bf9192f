//! Cases about invitations.

use bytes::Bytes;
use tidings_hub::ids::InvitationId;
use tidings_hub::store_ops::{InvitationName, StoreAnswer, StoreOp, StoredInvitation};

use super::{Single, Subject, user};

fn name(caller: &str, seed: u8) -> InvitationName {
    (user(caller), InvitationId([seed; 16]))
}

fn stored(revision: u64, body: &str) -> StoredInvitation {
    let body = Bytes::copy_from_slice(body.as_bytes());
    StoredInvitation { revision, body }
}

fn put((caller, id): &InvitationName, revision: u64, body: &str) -> StoreOp {
    StoreOp::InvitationPut {
        caller: caller.clone(),
        id: *id,
        revision,
        body: stored(revision, body).body,
    }
}

fn read(store: &mut dyn Subject, (caller, id): &InvitationName) -> Option<StoredInvitation> {
    let (caller, id) = (caller.clone(), *id);
    match store.single(StoreOp::InvitationRead { caller, id }) {
        StoreAnswer::Invitation(stored) => stored,
        other => panic!("a read was answered {other:?}"),
    }
}

fn delete(store: &mut dyn Subject, (caller, id): &InvitationName) {
    let (caller, id) = (caller.clone(), *id);
    let answer = store.single(StoreOp::InvitationDrop { caller, id });
    assert_eq!(answer, StoreAnswer::Done);
}

fn list(
    store: &mut dyn Subject,
    after: Option<InvitationName>,
    count_max: usize,
) -> (Vec<(InvitationName, StoredInvitation)>, bool) {
    match store.single(StoreOp::InvitationList { after, count_max }) {
        StoreAnswer::Invitations { found, has_more } => (found, has_more),
        other => panic!("a listing was answered {other:?}"),
    }
}

/// A write that states a revision other than the record's changes nothing, and its answer holds the
/// record as it is.
pub fn of_two_writes_of_an_invitation_the_first_wins(store: &mut dyn Subject) {
    let call = name("alice", 1);
    assert_eq!(read(store, &call), None);
    let conflict = StoreAnswer::InvitationConflict;
    assert_eq!(store.single(put(&call, 1, "x")), conflict(None));
    // The same within one group.
    let answers = store.group(&[
        put(&call, 0, "sent"),
        put(&call, 1, "rings"),
        put(&call, 1, "y"),
    ]);
    let rings = Some(stored(2, "rings"));
    assert_eq!(
        answers,
        [
            StoreAnswer::Done,
            StoreAnswer::Done,
            conflict(rings.clone())
        ]
    );
    assert_eq!(store.single(put(&call, 0, "z")), conflict(rings.clone()));
    assert_eq!(read(store, &call), rings);
    assert_eq!(read(store, &name("alice", 2)), None);
    assert_eq!(read(store, &name("bob", 1)), None, "another caller's");
}

/// A delete removes that record and no other.
pub fn an_invitation_is_deleted_and_may_be_deleted_again(store: &mut dyn Subject) {
    let (one, other) = (name("alice", 1), name("alice", 2));
    store.group(&[put(&one, 0, "a"), put(&other, 0, "b")]);
    delete(store, &one);
    delete(store, &one);
    assert_eq!(read(store, &one), None);
    assert_eq!(read(store, &other), Some(stored(1, "b")));
}

/// A list continues after the last entry of the previous page.
pub fn invitations_are_listed_in_pages(store: &mut dyn Subject) {
    assert_eq!(list(store, None, 9), (Vec::new(), false));
    let names = [
        name("alice", 1),
        name("alice", 200),
        name("alicia", 7),
        name("bob", 3),
    ];
    for name in names.iter().rev() {
        store.single(put(name, 0, "call"));
    }
    let all: Vec<_> = (names.iter().cloned())
        .map(|name| (name, stored(1, "call")))
        .collect();
    assert_eq!(list(store, None, 4), (all.clone(), false));
    assert_eq!(list(store, None, 3), (all[..3].to_vec(), true));
    let after = Some(names[2].clone());
    assert_eq!(list(store, after, 3), (all[3..].to_vec(), false));
}

/// A restart changes nothing and brings back nothing that was deleted.
pub fn invitations_survive_a_restart(store: &mut dyn Subject) {
    let (open, over) = (name("alice", 1), name("alice", 2));
    store.group(&[put(&open, 0, "a"), put(&over, 0, "b"), put(&open, 1, "c")]);
    delete(store, &over);
    store.reopen();
    assert_eq!(read(store, &open), Some(stored(2, "c")));
    assert_eq!(read(store, &over), None);
    assert_eq!(store.single(put(&open, 2, "d")), StoreAnswer::Done);
}
