//! Bounds that no scenario reaches, each at its limit and one above.

use std::sync::Arc;

use bytes::Bytes;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{
    CLIENT_NAME_BYTES_MAX, HISTORY_PAGE_BYTES_MAX, HISTORY_PAGE_MAX, INBOX_PAGE,
    INVITATION_KEEP_MS, INVITATION_RING_AGAIN_MS, INVITATIONS_INCOMING_MAX, INVITATIONS_OPEN_MAX,
    INVITATIONS_REPORTED_MAX, LOGIN_WAIT_MS, MEDIA_ID_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX,
};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    CancelInvitation, File, IncomingInvitation, Invite, Login, Message, OpenInvitation,
    ReadHistory, SendToPeer, client_message, message, read_history, reply,
};

use super::node::Node;
use crate::bus_ops::{BusInput, BusOp, InvitationWord, Publication, Topic};
use crate::ids::{HubId, InvitationId};
use crate::io::Input;
use crate::rig::{Rig, user};
use crate::store_ops::{StoreAnswer, StoreOp};

fn to_bob(body: message::Body) -> Call {
    Call::SendToPeer(SendToPeer {
        peer_id: "bob".into(),
        message: Some(Message {
            body: Some(body),
            ..Message::default()
        }),
        ..SendToPeer::default()
    })
}

/// The code of an answer; 0 = it was done, none = it has not come.
fn outcome(result: Option<reply::Result>) -> Option<u32> {
    match result? {
        reply::Result::Error(error) => Some(error.outcome),
        _ => Some(0),
    }
}

#[test]
fn a_client_without_a_login_is_closed_after_its_time_and_not_earlier() {
    let mut node = Node::new(1);
    let silent = node.open(0);
    node.pass(LOGIN_WAIT_MS - 1, &[]);
    assert_eq!(node.closed(silent), None);
    node.pass(1, &[]);
    assert_eq!(node.closed(silent), Some(CloseCode::LoginTimeout));
}

#[test]
fn the_name_of_a_client_library_is_bounded() {
    for (bytes, refused) in [
        (CLIENT_NAME_BYTES_MAX, None),
        (
            CLIENT_NAME_BYTES_MAX + 1,
            Some(Outcome::InvalidArgument as u32),
        ),
    ] {
        let mut node = Node::new(1);
        let connection = node.open(0);
        let login = Login {
            app_id: "a".repeat(32),
            user_id: "alice".into(),
            client: "x".repeat(bytes),
            ..Login::default()
        };
        node.say(connection, 0, vec![client_message::Kind::Login(login)]);
        assert_eq!(node.refused(connection), refused, "{bytes} bytes");
    }
}

#[test]
fn a_session_has_so_many_requests_open_and_one_more_ends_it() {
    let mut rig = Rig::with_users(&["alice"]);
    // Nobody answers for bob. Two parts, as the rate of messages is lower than this bound.
    for open in 0..REQUESTS_IN_FLIGHT_MAX {
        if open == REQUESTS_IN_FLIGHT_MAX / 2 {
            rig.wait(3_000);
        }
        rig.request(0, to_bob(message::Body::Text(Bytes::from_static(b"hi"))));
    }
    assert_eq!(rig.hub.stats().sessions, 1);
    rig.request(0, to_bob(message::Body::Text(Bytes::from_static(b"hi"))));
    assert_eq!(rig.hub.stats().sessions, 0, "the protocol is broken");
}

#[test]
fn the_id_of_a_file_is_bounded() {
    for (bytes, expected) in [
        (MEDIA_ID_BYTES_MAX, None),
        (MEDIA_ID_BYTES_MAX + 1, Some(Outcome::InvalidMessage as u32)),
        (0, Some(Outcome::InvalidMessage as u32)),
    ] {
        let mut rig = Rig::with_users(&["alice"]);
        let file = File {
            media_id: "m".repeat(bytes),
            ..File::default()
        };
        let cseq = rig.request(0, to_bob(message::Body::File(file)));
        let result = rig.reply_to(0, cseq);
        assert_eq!(
            outcome(result),
            expected,
            "{bytes} bytes; none = it is on its way"
        );
    }
}

#[test]
fn a_login_has_so_many_invitations_open() {
    let mut rig = Rig::with_users(&["alice"]);
    let invite = |number: usize| {
        Call::Invite(Invite {
            number: number as u64,
            callee_id: "bob".into(),
            ..Invite::default()
        })
    };
    for number in 1..=INVITATIONS_OPEN_MAX {
        let cseq = rig.request(0, invite(number));
        assert_eq!(rig.reply_to(0, cseq), None, "{number} is being recorded");
        rig.wait(200);
    }
    let cseq = rig.request(0, invite(INVITATIONS_OPEN_MAX + 1));
    let refused = outcome(rig.reply_to(0, cseq));
    assert_eq!(refused, Some(Outcome::TooManyInvitations as u32));
}

#[test]
fn so_many_invitations_ring_at_once() {
    let mut rig = Rig::with_users(&["alice"]);
    for number in 0..=INVITATIONS_INCOMING_MAX {
        let id = InvitationId((number as u128 + 1).to_be_bytes());
        let ring = IncomingInvitation {
            id: Bytes::copy_from_slice(&id.0),
            caller_id: "bob".into(),
            ..IncomingInvitation::default()
        };
        let word = InvitationWord::Ring {
            id,
            caller: user("bob"),
            frame: encode_server(Kind::IncomingInvitation(ring)),
        };
        rig.give(Input::Bus(BusInput::Published {
            topic: Topic::User(user("alice")),
            from: HubId::local(1),
            message: Arc::new(Publication::Invitation(word)),
        }));
    }
    let sent = rig.take_sent(0);
    let rings = sent
        .iter()
        .filter(|kind| matches!(kind, Kind::IncomingInvitation(_)));
    assert_eq!(rings.count(), INVITATIONS_INCOMING_MAX);
}

#[test]
fn a_page_of_a_history_is_bounded_by_count_and_bytes() {
    let mut rig = Rig::with_users(&["alice"]);
    let read = |count: usize| {
        Call::ReadHistory(ReadHistory {
            conversation: Some(read_history::Conversation::PeerId("bob".into())),
            count_max: u32::try_from(count).expect("small"),
            ..ReadHistory::default()
        })
    };
    let cseq = rig.request(0, read(HISTORY_PAGE_MAX + 1));
    let refused = outcome(rig.reply_to(0, cseq));
    assert_eq!(refused, Some(Outcome::InvalidArgument as u32));
    rig.request(0, read(HISTORY_PAGE_MAX));
    let ranges: Vec<_> = rig
        .store
        .iter()
        .filter_map(|(_, op)| match op {
            StoreOp::HistoryRead { range, .. } => Some((range.count_max, range.bytes_max)),
            _ => None,
        })
        .collect();
    assert_eq!(ranges, [(HISTORY_PAGE_MAX, HISTORY_PAGE_BYTES_MAX)]);
}

#[test]
fn stored_messages_come_in_pages() {
    let mut rig = Rig::with_users(&[]);
    rig.begin_login("alice");
    rig.nobody();
    let pages: Vec<usize> = rig
        .store
        .iter()
        .filter_map(|(_, op)| match op {
            StoreOp::InboxRead { count_max, .. } => Some(*count_max),
            _ => None,
        })
        .collect();
    assert_eq!(pages, [INBOX_PAGE]);
}

/// Answers what the store was given to write with "done".
fn write(rig: &mut Rig) {
    for (ticket, op) in std::mem::take(&mut rig.store) {
        if let StoreOp::InvitationPut { .. } = op {
            let answer = StoreAnswer::Done;
            rig.give(Input::Store { ticket, answer });
        }
    }
}

fn rings(rig: &Rig) -> usize {
    let is_ring = |op: &&BusOp| match op {
        BusOp::Publish { message, .. } => matches!(
            **message,
            Publication::Invitation(InvitationWord::Ring { .. })
        ),
        _ => false,
    };
    rig.bus.iter().filter(is_ring).count()
}

#[test]
fn an_invitation_that_nobody_has_is_offered_again_after_its_time() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.request(
        0,
        Call::Invite(Invite {
            number: 1,
            callee_id: "bob".into(),
            ..Invite::default()
        }),
    );
    write(&mut rig);
    assert_eq!(rings(&rig), 1);
    rig.wait(INVITATION_RING_AGAIN_MS - 1);
    assert_eq!(rings(&rig), 1, "not earlier");
    rig.wait(1);
    assert_eq!(rings(&rig), 2);
}

#[test]
fn the_record_of_an_invitation_is_kept_for_its_time() {
    let mut rig = Rig::with_users(&["alice"]);
    let invite = Invite {
        number: 1,
        callee_id: "bob".into(),
        ..Invite::default()
    };
    rig.request(0, Call::Invite(invite));
    write(&mut rig);
    rig.request(0, Call::CancelInvitation(CancelInvitation { number: 1 }));
    write(&mut rig);
    let is_drop = |(_, op): &(_, StoreOp)| matches!(op, StoreOp::InvitationDrop { .. });
    rig.wait(INVITATION_KEEP_MS - 1);
    assert!(!rig.store.iter().any(is_drop), "not earlier");
    rig.wait(1);
    assert!(rig.store.iter().any(is_drop));
}

#[test]
fn a_login_lists_so_many_open_invitations() {
    let mut rig = Rig::with_users(&[]);
    let ringing = |n: usize| OpenInvitation {
        id: Bytes::copy_from_slice(&(n as u128).to_be_bytes()),
        caller_id: format!("caller{n}"),
        ..OpenInvitation::default()
    };
    rig.begin_login_with(Login {
        app_id: "a".repeat(32),
        user_id: "alice".into(),
        invitations: (0..INVITATIONS_REPORTED_MAX + 10).map(ringing).collect(),
        ..Login::default()
    });
    rig.nobody();
    let read = |(_, op): &&(_, StoreOp)| matches!(op, StoreOp::InvitationRead { .. });
    assert_eq!(
        rig.store.iter().filter(read).count(),
        INVITATIONS_REPORTED_MAX
    );
}
