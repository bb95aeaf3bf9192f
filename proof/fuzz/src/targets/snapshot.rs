//! Sessions that a process has left for the next one, as another program or a mistake may write
//! them.

use tidings_hub::ids::ConnectionId;
use tidings_hub::{Input, Snapshot};
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Invite, Join, Login, Message, Request, SendToPeer,
    SubscribePresence, client_message::Kind, message, request::Call,
};

use crate::node::{APPS, Node};
use crate::target::{Answer, Target};

/// A snapshot that a hub takes over, lives with, and writes again. Its checksum is the file's and
/// not looked at here.
pub(super) const DRAIN_SNAPSHOT: Target = Target {
    name: "drain_snapshot",
    run: drain_snapshot,
    seeds,
    bytes_max: 16_384,
    memory_max: None,
};

/// Times that a hub lives through with what it was given: the timers of calls, of the grace, of the
/// window.
const PASSES_MS: [u64; 4] = [100, 6_000, 31_000, 121_000];

fn drain_snapshot(input: &[u8]) -> Answer {
    let Ok(snapshot) = Snapshot::decode(input) else {
        return Answer::of("none");
    };
    let mut node = Node::new();
    node.has_foreign_frames = true;
    node.give(Input::Restore(Box::new(snapshot)));
    let restored = node.snapshot();
    log_in(&mut node, 1, "alice");
    for pass_ms in PASSES_MS {
        node.pass(pass_ms);
    }
    node.give(Input::Drain);
    node.give(Input::Settle);
    let left = node.snapshot();
    assert_eq!(Snapshot::decode(&left.encode()).as_ref(), Ok(&left));
    Answer::of((
        restored.sessions(),
        left.sessions(),
        node.take_told().len().min(9),
    ))
}

fn say(node: &mut Node, connection: u64, kind: Kind) {
    let frame = ClientFrame {
        messages: vec![ClientMessage { kind: Some(kind) }],
        confirm: 0,
    };
    let connection = ConnectionId(connection);
    node.give(Input::Frame { connection, frame });
}

fn log_in(node: &mut Node, connection: u64, user: &str) {
    let opened = Input::Opened {
        connection: ConnectionId(connection),
    };
    node.give(opened);
    let login = Login {
        app_id: APPS[0].into(),
        user_id: user.into(),
        token: String::new(),
        client: "fuzz".into(),
        ..Login::default()
    };
    say(node, connection, Kind::Login(login));
}

/// What two users leave who know each other, with a message and a call under way.
fn seeds() -> Vec<Vec<u8>> {
    let mut node = Node::new();
    let mut seeds = vec![node.snapshot().encode()];
    for (connection, user, peer) in [(1, "alice", "bob"), (2, "bob", "alice")] {
        log_in(&mut node, connection, user);
        let body = message::Body::Text("hello".into());
        let message = Some(Message {
            body: Some(body),
            ..Message::default()
        });
        let calls = [
            Call::Join(Join {
                channel: "room".into(),
            }),
            Call::SubscribePresence(SubscribePresence {
                user_ids: vec![peer.into()],
            }),
            Call::SendToPeer(SendToPeer {
                peer_id: peer.into(),
                message,
                offline: true,
                ..SendToPeer::default()
            }),
            Call::Invite(Invite {
                number: 1,
                callee_id: peer.into(),
                ..Invite::default()
            }),
        ];
        for (cseq, call) in (1..).zip(calls) {
            let call = Some(call);
            say(&mut node, connection, Kind::Request(Request { cseq, call }));
        }
        seeds.push(node.snapshot().encode());
    }
    node.give(Input::Drain);
    node.give(Input::Settle);
    seeds.push(node.snapshot().encode());
    seeds
}
