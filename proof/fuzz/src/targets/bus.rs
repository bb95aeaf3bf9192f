//! Crossings between processes, as another node, or an impostor, may write them.

use std::sync::Arc;

use bytes::Bytes;
use tidings_bus::Crossing;
use tidings_hub::bus_ops::{
    Answer as HubAnswer, AskId, BusInput, BusOp, LoginStamp, MemberSnapshot, MessageKind, Parcel,
    Publication, Question, Topic,
};
use tidings_hub::ids::{ChannelKey, HubId, InvitationId, MessageId, SessionId, UserKey};
use tidings_wire::names::{AppId, ChannelName, UserId};

use crate::node::APPS;
use crate::target::{Answer, Target};

/// The bytes of one crossing.
pub(super) const BUS_CROSSING: Target = Target {
    name: "bus_crossing",
    run: bus_crossing,
    seeds,
    bytes_max: 16_384,
    memory_max: Some(memory),
};

/// An empty record in a list takes two bytes there and up to 100 in memory, and the list has room
/// for twice its records while it grows.
fn memory(bytes: usize) -> u64 {
    200 * bytes as u64 + 8_192
}

/// Whatever can be decoded can be encoded and decoded again.
fn bus_crossing(input: &[u8]) -> Answer {
    let crossing = match Crossing::decode(input) {
        Ok(crossing) => crossing,
        Err(error) => return Answer::named(&error),
    };
    assert_eq!(Crossing::decode(&crossing.encode()).as_ref(), Ok(&crossing));
    match &crossing {
        Crossing::Route { op, .. } => match op {
            BusOp::Publish { message, .. } => Answer::named(message),
            BusOp::Ask { question, .. } => Answer::named(question),
            BusOp::Answer { answer, .. } => Answer::named(answer),
            other => Answer::named(other),
        },
        Crossing::Deliver(input) => Answer::named(input),
    }
}

fn user() -> UserKey {
    UserKey {
        app: AppId::parse(APPS[0]).expect("an app id"),
        user: UserId::parse("alice").expect("a user id"),
    }
}

fn parcel() -> Question {
    Question::Deliver(Parcel {
        id: MessageId([5; 16]),
        from: user(),
        server_ts: 6,
        frame: Bytes::from_static(b"\x82\x01x"),
        offline: Some(Bytes::from_static(b"y")),
        kind: MessageKind::Text,
        lasts_until: 0,
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let channel = Topic::Channel(ChannelKey {
        app: user().app,
        channel: ChannelName::parse("room").expect("a channel name"),
    });
    let (from, session) = (HubId { node: 1, hub: 2 }, SessionId([3; 16]));
    let ask = AskId {
        number: 7,
        asked: 1,
    };
    let claim = Question::Claim {
        stamp: LoginStamp {
            mono_ms: 1,
            hub: from,
            count: 2,
        },
        holds: vec![InvitationId([4; 16])],
    };
    let message = Publication::Message {
        sender: session,
        cseq: 8,
        server_ts: 9,
        frame: Bytes::from_static(b"\x82\x01x"),
        keep: None,
    };
    let members = MemberSnapshot {
        origin: from,
        epoch: 1,
        seq: 2,
        members: vec![(user(), session)],
    };
    let route = |op| Crossing::Route { from, op };
    let asked = |question| BusOp::Ask {
        topic: Topic::User(user()),
        ask,
        question: Arc::new(question),
    };
    let all = [
        route(BusOp::Subscribe(channel.clone())),
        route(BusOp::Publish {
            topic: channel,
            message: Arc::new(message),
        }),
        route(asked(claim)),
        route(asked(parcel())),
        Crossing::Deliver(BusInput::Published {
            topic: Topic::User(user()),
            from,
            message: Arc::new(Publication::InboxGrew),
        }),
        Crossing::Deliver(BusInput::Answered {
            ask,
            from,
            answer: HubAnswer::Members(vec![members]),
        }),
    ];
    all.iter().map(Crossing::encode).collect()
}
