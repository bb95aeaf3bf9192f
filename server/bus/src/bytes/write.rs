//! Converts crossings to records.

use bytes::Bytes;
use tidings_hub::bus_ops::{
    Answer, AskId, BusInput, BusOp, CalleeWord, Decision, ForOthers, Inherited, InvitationWord,
    Keep, Located, LoginStamp, MemberSnapshot, MessageKind, NotGiven, Parcel, Progress,
    Publication, Question, RingFate, Topic,
};
use tidings_hub::ids::{HubId, InvitationId, SessionId, UserKey};
use tidings_wire::proto::PresenceState;

use super::schema as s;
use crate::door::Crossing;

pub(super) fn crossing(crossing: &Crossing) -> s::CrossingRecord {
    let body = match crossing {
        Crossing::Route { from, op: of } => s::Body::Route(s::RouteRecord {
            from: from.number(),
            op: Some(op(of)),
        }),
        Crossing::Deliver(given) => s::Body::Deliver(input(given)),
    };
    s::CrossingRecord {
        version: s::VERSION,
        body: Some(body),
    }
}

fn op(op: &BusOp) -> s::Op {
    let nobody = HubId::local(0);
    match op {
        BusOp::Subscribe(of) => s::Op::Subscribe(topic(of)),
        BusOp::Unsubscribe(of) => s::Op::Unsubscribe(topic(of)),
        BusOp::Publish { topic, message } => s::Op::Publish(published(topic, nobody, message)),
        BusOp::Ask {
            topic,
            ask,
            question,
        } => s::Op::Ask(asked(topic, nobody, *ask, question)),
        BusOp::Answer { to, ask, answer } => s::Op::Answer(answered(*to, *ask, answer)),
    }
}

fn input(input: &BusInput) -> s::InputRecord {
    let given = match input {
        BusInput::Published {
            topic,
            from,
            message,
        } => s::Given::Published(published(topic, *from, message)),
        BusInput::Asked {
            topic,
            from,
            ask,
            question,
        } => s::Given::Asked(asked(topic, *from, *ask, question)),
        BusInput::Answered { ask, from, answer } => {
            s::Given::Answered(answered(*from, *ask, answer))
        }
        BusInput::Keep {
            topic,
            from,
            message,
        } => s::Given::Keep(published(topic, *from, message)),
        BusInput::Nobody { ask } => s::Given::Nobody(ask_id(*ask)),
        BusInput::Missed {
            topic: of,
            from,
            count,
        } => s::Given::Missed(s::MissedRecord {
            topic: Some(topic(of)),
            from: from.number(),
            count: *count,
        }),
        BusInput::NodeLost { node } => s::Given::NodeLost(u32::from(*node)),
    };
    s::InputRecord { given: Some(given) }
}

fn published(of: &Topic, from: HubId, message: &Publication) -> s::PublishedRecord {
    s::PublishedRecord {
        topic: Some(topic(of)),
        from: from.number(),
        message: Some(Box::new(publication(message))),
    }
}

fn asked(of: &Topic, from: HubId, ask: AskId, asks: &Question) -> s::AskedRecord {
    s::AskedRecord {
        topic: Some(topic(of)),
        from: from.number(),
        ask: Some(ask_id(ask)),
        question: Some(Box::new(question(asks))),
    }
}

fn answered(hub: HubId, ask: AskId, says: &Answer) -> s::AnsweredRecord {
    s::AnsweredRecord {
        hub: hub.number(),
        ask: Some(ask_id(ask)),
        answer: Some(Box::new(answer(says))),
    }
}

fn ask_id(ask: AskId) -> s::AskRecord {
    s::AskRecord {
        number: ask.number,
        asked: ask.asked.into(),
    }
}

fn topic(topic: &Topic) -> s::TopicRecord {
    let (kind, app, name) = match topic {
        Topic::User(user) => (1, &user.app, user.user.as_str()),
        Topic::Calls(user) => (2, &user.app, user.user.as_str()),
        Topic::Channel(channel) => (3, &channel.app, channel.channel.as_str()),
        Topic::Presence(user) => (4, &user.app, user.user.as_str()),
    };
    s::TopicRecord {
        kind,
        app: app.as_str().into(),
        name: name.into(),
    }
}

fn user(user: &UserKey) -> s::UserRecord {
    s::UserRecord {
        app: user.app.as_str().into(),
        user: user.user.as_str().into(),
    }
}

fn bytes(id: &[u8]) -> Bytes {
    Bytes::copy_from_slice(id)
}

fn holds(holds: &[InvitationId]) -> Vec<Bytes> {
    holds.iter().map(|id| bytes(&id.0)).collect()
}

fn stamp(stamp: LoginStamp) -> s::StampRecord {
    s::StampRecord {
        mono_ms: stamp.mono_ms,
        hub: stamp.hub.number(),
        count: stamp.count,
    }
}

fn presence(state: PresenceState, of: LoginStamp) -> s::PresenceRecord {
    s::PresenceRecord {
        state: state.into(),
        stamp: Some(stamp(of)),
    }
}

fn publication(publication: &Publication) -> s::PublicationRecord {
    let what = match publication {
        Publication::InboxGrew => s::What::InboxGrew(s::Nothing {}),
        Publication::Watched => s::What::Watched(s::Nothing {}),
        Publication::AttributesWritten => s::What::AttributesWritten(s::Nothing {}),
        Publication::Invitation(of) => s::What::Invitation(word(of)),
        Publication::Presence { state, stamp } => s::What::Presence(presence(*state, *stamp)),
        Publication::Joined {
            seq,
            epoch,
            user,
            session,
        } => s::What::Joined(change((*seq, *epoch), user, *session)),
        Publication::Left {
            seq,
            epoch,
            user,
            session,
        } => s::What::Left(change((*seq, *epoch), user, *session)),
        Publication::Message {
            sender,
            cseq,
            server_ts,
            frame,
            keep: kept,
        } => s::What::Message(s::MessageRecord {
            sender: bytes(&sender.0),
            cseq: *cseq,
            server_ts: *server_ts,
            frame: frame.clone(),
            keep: kept.as_deref().map(keep),
        }),
        Publication::Attributes {
            revision,
            frame,
            others,
        } => {
            let (others, others_frame) = match others {
                ForOthers::Same => (1, Bytes::new()),
                ForOthers::Frame(frame) => (2, frame.clone()),
                ForOthers::Nothing => (3, Bytes::new()),
            };
            s::What::Attributes(s::AttributesRecord {
                revision: *revision,
                frame: frame.clone(),
                others,
                others_frame,
            })
        }
        Publication::Resync { origin } => s::What::Resync(origin.number()),
        Publication::Snapshot(of) => s::What::Snapshot(members(of)),
    };
    s::PublicationRecord { what: Some(what) }
}

fn change((seq, epoch): (u64, u64), of: &UserKey, session: SessionId) -> s::ChangeRecord {
    s::ChangeRecord {
        seq,
        epoch,
        user: Some(user(of)),
        session: bytes(&session.0),
    }
}

fn keep(keep: &Keep) -> s::KeepRecord {
    s::KeepRecord {
        ask: Some(ask_id(keep.ask)),
        position: keep.message.position,
        from: keep.message.from.clone(),
        body: keep.message.body.clone(),
        server_ts: keep.message.server_ts,
        messages_max: keep.limits.messages_max as u64,
        age_ms: keep.limits.age_ms,
    }
}

fn members(snapshot: &MemberSnapshot) -> s::MembersRecord {
    let member = |(of, session): &(UserKey, SessionId)| s::MemberRecord {
        user: Some(user(of)),
        session: bytes(&session.0),
    };
    s::MembersRecord {
        origin: snapshot.origin.number(),
        epoch: snapshot.epoch,
        seq: snapshot.seq,
        members: snapshot.members.iter().map(member).collect(),
    }
}

fn progress(progress: &Progress) -> s::MembersRecord {
    s::MembersRecord {
        origin: progress.origin.number(),
        epoch: progress.epoch,
        seq: progress.seq,
        members: Vec::new(),
    }
}

fn word(word: &InvitationWord) -> s::WordRecord {
    let word = match word {
        InvitationWord::Ring { id, caller, frame } => s::Word::Ring(s::RingRecord {
            id: bytes(&id.0),
            caller: Some(user(caller)),
            frame: frame.clone(),
        }),
        InvitationWord::Ended { id, end } => s::Word::Ended(s::EndedRecord {
            id: bytes(&id.0),
            end: (*end).into(),
        }),
        InvitationWord::Back { id, word } => s::Word::Back(s::BackRecord {
            id: bytes(&id.0),
            back: Some(back(word)),
        }),
        InvitationWord::CallerBack { holds: held } => {
            s::Word::CallerBack(s::HoldsRecord { holds: holds(held) })
        }
        InvitationWord::TakenOver { id, revision } => s::Word::TakenOver(s::TakenOverRecord {
            id: bytes(&id.0),
            revision: *revision,
        }),
    };
    s::WordRecord { word: Some(word) }
}

fn back(word: &CalleeWord) -> s::Back {
    match word {
        CalleeWord::IsThere { rings_on } => s::Back::IsThere(*rings_on),
        CalleeWord::Received { rings_on } => s::Back::Received(*rings_on),
        CalleeWord::Decided(Decision::Accept(response)) => s::Back::Accepted(response.clone()),
        CalleeWord::Decided(Decision::Refuse(response)) => s::Back::Refused(response.clone()),
        CalleeWord::SessionOver(fate) => s::Back::SessionOver(*fate == RingFate::GoesOn),
    }
}

fn question(question: &Question) -> s::QuestionRecord {
    let asks = match question {
        Question::Claim {
            stamp: of,
            holds: held,
        } => s::Asks::Claim(s::ClaimRecord {
            stamp: Some(stamp(*of)),
            holds: holds(held),
        }),
        Question::Deliver(of) => s::Asks::Deliver(parcel(of)),
        Question::HasTaken(id) => s::Asks::HasTaken(bytes(&id.0)),
        Question::Presence => s::Asks::Presence(s::Nothing {}),
        Question::Locate { session, secret } => s::Asks::Locate(s::LocateRecord {
            session: bytes(&session.0),
            secret: secret.clone(),
        }),
        Question::Members => s::Asks::Members(s::Nothing {}),
        Question::Count => s::Asks::Count(s::Nothing {}),
        Question::Progress => s::Asks::Progress(s::Nothing {}),
        Question::Topics { session, secret } => s::Asks::Topics(s::LocateRecord {
            session: bytes(&session.0),
            secret: secret.clone(),
        }),
        Question::Give {
            session,
            secret,
            taker,
        } => s::Asks::Give(s::GiveRecord {
            session: bytes(&session.0),
            secret: secret.clone(),
            taker: taker.number(),
        }),
    };
    s::QuestionRecord { asks: Some(asks) }
}

fn parcel(parcel: &Parcel) -> s::ParcelRecord {
    s::ParcelRecord {
        id: bytes(&parcel.id.0),
        from: Some(user(&parcel.from)),
        server_ts: parcel.server_ts,
        frame: parcel.frame.clone(),
        offline: parcel.offline.clone(),
        kind: match parcel.kind {
            MessageKind::Text => 1,
            MessageKind::Media => 2,
            MessageKind::Library => 3,
        },
        lasts_until: parcel.lasts_until,
    }
}

fn answer(answer: &Answer) -> s::AnswerRecord {
    let says = match answer {
        Answer::Yielded(of) => s::Says::Yielded(inherited(of)),
        Answer::Superseded => s::Says::Superseded(s::Nothing {}),
        Answer::Confirmed => s::Says::Confirmed(s::Nothing {}),
        Answer::Gone => s::Says::Gone(s::Nothing {}),
        Answer::Stored => s::Says::Stored(s::Nothing {}),
        Answer::Unconfirmed => s::Says::Unconfirmed(s::Nothing {}),
        Answer::StoreFailed { reason } => s::Says::StoreFailed(reason.clone()),
        Answer::Taken => s::Says::Taken(s::Nothing {}),
        Answer::Presence { state, stamp } => s::Says::Presence(presence(*state, *stamp)),
        Answer::Located(Located::Here) => s::Says::Located(1),
        Answer::Located(Located::Replaced) => s::Says::Located(2),
        Answer::Located(Located::Unknown) => s::Says::Located(3),
        Answer::Located(Located::Elsewhere) => s::Says::Located(4),
        Answer::Members(all) => s::Says::Members(s::AllMembersRecord {
            hubs: all.iter().map(members).collect(),
        }),
        Answer::Count(count) => s::Says::Count(*count),
        Answer::Moved => s::Says::Moved(s::Nothing {}),
        Answer::Topics { channels, is_here } => s::Says::Topics(s::TopicsRecord {
            channels: channels.iter().map(ToString::to_string).collect(),
            is_here: *is_here,
        }),
        Answer::Given(record) => s::Says::Given(record.clone()),
        Answer::NotGiven(NotGiven::Unknown) => s::Says::NotGiven(1),
        Answer::NotGiven(NotGiven::Stays) => s::Says::NotGiven(2),
        Answer::NotGiven(NotGiven::Elsewhere) => s::Says::NotGiven(3),
        Answer::Progress(all) => s::Says::Progress(s::AllMembersRecord {
            hubs: all.iter().map(progress).collect(),
        }),
    };
    s::AnswerRecord { says: Some(says) }
}

fn inherited(inherited: &Inherited) -> s::InheritedRecord {
    let forerunners = inherited.forerunners.iter();
    s::InheritedRecord {
        was_here: inherited.was_here,
        has_attributes: inherited.has_attributes,
        forerunners: forerunners
            .map(|of| s::ForerunnerRecord {
                id: bytes(&of.id.0),
                secrets: of.secrets.iter().map(|secret| bytes(secret)).collect(),
            })
            .collect(),
        used: inherited.used.as_deref().map(|used| used.encode().into()),
    }
}
