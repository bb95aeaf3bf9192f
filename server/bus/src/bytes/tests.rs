use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tidings_hub::bus_ops::{
    Answer, AskId, BusInput, BusOp, CalleeWord, Decision, ForOthers, Forerunner, Inherited,
    InvitationWord, Keep, Located, LoginStamp, MemberSnapshot, MessageKind, NotGiven, Parcel,
    Progress, Publication, Question, RingFate, Topic,
};
use tidings_hub::ids::{ChannelKey, HubId, InvitationId, MessageId, SessionId, UserKey};
use tidings_hub::store_ops::{HistoryLimits, HistoryMessage};
use tidings_hub::used::Used;
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::{InvitationEnd, PresenceState};

use super::{CROSSING_BYTES_MAX, CrossingError, schema};
use crate::door::Crossing;

const HUB: HubId = HubId { node: 700, hub: 3 };

fn user() -> UserKey {
    UserKey {
        app: AppId::parse(&"a".repeat(32)).expect("an app id"),
        user: UserId::parse("alice").expect("a user id"),
    }
}

fn channel() -> Topic {
    let app = user().app;
    let channel = ChannelName::parse("room").expect("a channel name");
    Topic::Channel(ChannelKey { app, channel })
}

fn ask() -> AskId {
    AskId {
        number: u64::MAX,
        asked: 7,
    }
}

fn stamp() -> LoginStamp {
    LoginStamp {
        mono_ms: 5,
        hub: HUB,
        count: 6,
    }
}

fn frame() -> Bytes {
    Bytes::from_static(b"\x82\x02xy")
}

fn members() -> MemberSnapshot {
    MemberSnapshot {
        origin: HUB,
        epoch: 1,
        seq: 2,
        members: vec![(user(), SessionId([9; 16]))],
    }
}

fn publications() -> Vec<(Topic, Publication)> {
    let session = SessionId([4; 16]);
    let id = InvitationId([5; 16]);
    let word = |word| (Topic::User(user()), Publication::Invitation(word));
    let back = |word| InvitationWord::Back { id, word };
    let message = |keep| Publication::Message {
        sender: session,
        cseq: 1,
        server_ts: 2,
        frame: frame(),
        keep,
    };
    let keep = Keep {
        ask: ask(),
        message: HistoryMessage {
            position: 3,
            from: "alice".into(),
            body: frame(),
            server_ts: 4,
        },
        limits: HistoryLimits {
            messages_max: 5,
            age_ms: 6,
        },
    };
    let attributes = |others| Publication::Attributes {
        revision: 8,
        frame: frame(),
        others,
    };
    let (seq, epoch) = (1, 2);
    let mut all = vec![
        (Topic::User(user()), Publication::InboxGrew),
        (Topic::User(user()), Publication::Watched),
        (Topic::User(user()), Publication::AttributesWritten),
        (
            Topic::Presence(user()),
            Publication::Presence {
                state: PresenceState::Online,
                stamp: stamp(),
            },
        ),
        (
            channel(),
            Publication::Joined {
                seq,
                epoch,
                user: user(),
                session,
            },
        ),
        (
            channel(),
            Publication::Left {
                seq,
                epoch,
                user: user(),
                session,
            },
        ),
        (channel(), message(None)),
        (channel(), message(Some(Box::new(keep)))),
        (channel(), attributes(ForOthers::Same)),
        (channel(), attributes(ForOthers::Frame(frame()))),
        (channel(), attributes(ForOthers::Nothing)),
        (channel(), Publication::Resync { origin: HUB }),
        (channel(), Publication::Snapshot(Box::new(members()))),
        word(InvitationWord::Ring {
            id,
            caller: user(),
            frame: frame(),
        }),
        word(InvitationWord::Ended {
            id,
            end: InvitationEnd::Refused,
        }),
        word(InvitationWord::CallerBack { holds: vec![id] }),
        word(InvitationWord::TakenOver { id, revision: 3 }),
    ];
    let backs = [
        CalleeWord::IsThere { rings_on: true },
        CalleeWord::Received { rings_on: false },
        CalleeWord::Decided(Decision::Accept("yes".into())),
        CalleeWord::Decided(Decision::Refuse(String::new())),
        CalleeWord::SessionOver(RingFate::Lost),
        CalleeWord::SessionOver(RingFate::GoesOn),
    ];
    all.extend(backs.map(|of| word(back(of))));
    all
}

fn questions() -> Vec<(Topic, Question)> {
    let parcel = |kind, offline| {
        Question::Deliver(Parcel {
            id: MessageId([6; 16]),
            from: user(),
            server_ts: 1,
            frame: frame(),
            offline,
            kind,
            lasts_until: 2,
        })
    };
    let of_user = [
        Question::Claim {
            stamp: stamp(),
            holds: vec![InvitationId([1; 16])],
        },
        parcel(MessageKind::Text, None),
        parcel(MessageKind::Media, Some(Bytes::new())),
        parcel(MessageKind::Library, Some(frame())),
        Question::HasTaken(MessageId([7; 16])),
        Question::Presence,
        Question::Locate {
            session: SessionId([8; 16]),
            secret: frame(),
        },
        Question::Topics {
            session: SessionId([8; 16]),
            secret: frame(),
        },
        Question::Give {
            session: SessionId([8; 16]),
            secret: frame(),
            taker: HUB,
        },
    ];
    let of_channel = [Question::Members, Question::Progress, Question::Count];
    let of_user = of_user.map(|question| (Topic::User(user()), question));
    let of_channel = of_channel.map(|question| (channel(), question));
    of_user.into_iter().chain(of_channel).collect()
}

fn answers() -> Vec<Answer> {
    let inherited = Inherited {
        was_here: true,
        has_attributes: false,
        forerunners: vec![Forerunner {
            id: SessionId([2; 16]),
            secrets: vec![[3; 32], [4; 32]],
        }],
        used: Some(Box::new(Used::default())),
    };
    vec![
        Answer::Yielded(inherited),
        Answer::Yielded(Inherited::default()),
        Answer::Superseded,
        Answer::Confirmed,
        Answer::Gone,
        Answer::Stored,
        Answer::Unconfirmed,
        Answer::StoreFailed {
            reason: "the disk is full".into(),
        },
        Answer::Taken,
        Answer::Presence {
            state: PresenceState::Unreachable,
            stamp: stamp(),
        },
        Answer::Located(Located::Here),
        Answer::Located(Located::Replaced),
        Answer::Located(Located::Unknown),
        Answer::Located(Located::Elsewhere),
        Answer::Members(vec![members(), members()]),
        Answer::Count(u32::MAX),
        Answer::Moved,
        Answer::Topics {
            channels: vec![ChannelName::parse("room").expect("a name")],
            is_here: true,
        },
        Answer::Given(frame()),
        Answer::NotGiven(NotGiven::Unknown),
        Answer::NotGiven(NotGiven::Stays),
        Answer::NotGiven(NotGiven::Elsewhere),
        Answer::Progress(vec![Progress {
            origin: HUB,
            epoch: 7 << 20,
            seq: 9,
        }]),
    ]
}

/// One crossing of every kind.
fn crossings() -> Vec<Crossing> {
    let from = HUB;
    let route = |op| Crossing::Route { from, op };
    let calls = Topic::Calls(user());
    let mut all = vec![
        route(BusOp::Subscribe(channel())),
        route(BusOp::Unsubscribe(calls)),
        Crossing::Deliver(BusInput::Nobody { ask: ask() }),
        Crossing::Deliver(BusInput::Missed {
            topic: channel(),
            from,
            count: 12,
        }),
        Crossing::Deliver(BusInput::NodeLost { node: 1_023 }),
    ];
    for (topic, message) in publications() {
        let message = Arc::new(message);
        if matches!(&*message, Publication::Message { keep: Some(_), .. }) {
            all.push(Crossing::Deliver(BusInput::Keep {
                topic: topic.clone(),
                from,
                message: message.clone(),
            }));
        }
        all.push(route(BusOp::Publish {
            topic: topic.clone(),
            message: message.clone(),
        }));
        all.push(Crossing::Deliver(BusInput::Published {
            topic,
            from,
            message,
        }));
    }
    for (topic, question) in questions() {
        let (ask, question) = (ask(), Arc::new(question));
        all.push(route(BusOp::Ask {
            topic: topic.clone(),
            ask,
            question: question.clone(),
        }));
        all.push(Crossing::Deliver(BusInput::Asked {
            topic,
            from,
            ask,
            question,
        }));
    }
    for answer in answers() {
        let ask = ask();
        all.push(route(BusOp::Answer {
            to: HUB,
            ask,
            answer: answer.clone(),
        }));
        all.push(Crossing::Deliver(BusInput::Answered { ask, from, answer }));
    }
    all
}

#[test]
fn everything_that_crosses_survives_its_bytes() {
    for crossing in crossings() {
        assert_eq!(Crossing::decode(&crossing.encode()), Ok(crossing));
    }
}

#[test]
fn a_crossing_cut_short_anywhere_is_refused_or_is_another_one_that_can_be_written() {
    for crossing in crossings() {
        let bytes = crossing.encode();
        for end in 0..bytes.len() {
            if let Ok(other) = Crossing::decode(&bytes[..end]) {
                assert_eq!(Crossing::decode(&other.encode()), Ok(other));
            }
        }
    }
}

#[test]
fn another_version_is_refused_and_told() {
    let bytes = crossings()[0].encode();
    let mut record = schema::CrossingRecord::decode(&bytes[..]).expect("a record");
    record.version = 2;
    let error = Crossing::decode(&record.encode_to_vec());
    assert_eq!(error, Err(CrossingError::Version { version: 2 }));
}

#[test]
fn a_field_that_is_not_known_is_ignored() {
    let mut bytes = crossings()[0].encode();
    // Field 99, an integer.
    bytes.extend([0x98, 0x06, 0x01]);
    assert_eq!(Crossing::decode(&bytes), Ok(crossings()[0].clone()));
}

#[test]
fn what_stands_on_a_topic_of_another_kind_is_refused() {
    let message = Arc::new(Publication::InboxGrew);
    let topic = channel();
    let op = BusOp::Publish { topic, message };
    let published = Crossing::Route { from: HUB, op };
    let op = BusOp::Ask {
        topic: Topic::Presence(user()),
        ask: ask(),
        question: Arc::new(Question::Count),
    };
    let asked = Crossing::Route { from: HUB, op };
    let kept = Crossing::Deliver(BusInput::Keep {
        topic: channel(),
        from: HUB,
        message: Arc::new(Publication::Resync { origin: HUB }),
    });
    for crossing in [published, asked, kept] {
        let decoded = Crossing::decode(&crossing.encode());
        assert_eq!(decoded, Err(CrossingError::Malformed), "{crossing:?}");
    }
}

#[test]
fn too_many_bytes_are_refused_before_they_are_read() {
    let bytes = vec![0; CROSSING_BYTES_MAX + 1];
    let error = CrossingError::TooLong { bytes: bytes.len() };
    assert_eq!(Crossing::decode(&bytes), Err(error));
    let error = Crossing::decode(b"no crossing").expect_err("it is none");
    assert_eq!(error, CrossingError::Malformed);
}
