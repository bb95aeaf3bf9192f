//! Converts records to crossings. `None` = the record is not a valid crossing.

use std::sync::Arc;

use bytes::Bytes;
use tidings_hub::bus_ops::{
    Answer, AskId, BusInput, BusOp, CalleeWord, Decision, ForOthers, Forerunner, Inherited,
    InvitationWord, Keep, Located, LoginStamp, MemberSnapshot, MessageKind, NotGiven, Parcel,
    Progress, Publication, Question, RingFate, Topic,
};
use tidings_hub::ids::{ChannelKey, HubId, InvitationId, MessageId, SessionId, UserKey};
use tidings_hub::store_ops::{HistoryLimits, HistoryMessage};
use tidings_hub::used::Used;
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};
use tidings_wire::proto::{InvitationEnd, PresenceState};

use super::schema as s;
use crate::door::Crossing;

pub(super) fn crossing(record: s::CrossingRecord) -> Option<Crossing> {
    Some(match record.body? {
        s::Body::Route(route) => Crossing::Route {
            from: HubId::from_number(route.from),
            op: op(route.op?)?,
        },
        s::Body::Deliver(record) => Crossing::Deliver(input(record)?),
    })
}

fn op(op: s::Op) -> Option<BusOp> {
    Some(match op {
        s::Op::Subscribe(of) => BusOp::Subscribe(topic(&of)?),
        s::Op::Unsubscribe(of) => BusOp::Unsubscribe(topic(&of)?),
        s::Op::Publish(record) => {
            let (topic, _, message) = published(record)?;
            BusOp::Publish { topic, message }
        }
        s::Op::Ask(record) => {
            let (topic, ask, question) = asked(record)?;
            BusOp::Ask {
                topic,
                ask,
                question,
            }
        }
        s::Op::Answer(record) => {
            let (to, ask, answer) = answered(record)?;
            BusOp::Answer { to, ask, answer }
        }
    })
}

fn input(record: s::InputRecord) -> Option<BusInput> {
    Some(match record.given? {
        s::Given::Published(record) => {
            let (topic, from, message) = published(record)?;
            BusInput::Published {
                topic,
                from,
                message,
            }
        }
        s::Given::Asked(record) => {
            let from = HubId::from_number(record.from);
            let (topic, ask, question) = asked(record)?;
            BusInput::Asked {
                topic,
                from,
                ask,
                question,
            }
        }
        s::Given::Answered(record) => {
            let (from, ask, answer) = answered(record)?;
            BusInput::Answered { ask, from, answer }
        }
        s::Given::Keep(record) => {
            let (topic, from, message) = published(record)?;
            let is_kept = matches!(&*message, Publication::Message { keep: Some(_), .. });
            // Only messages of a channel are kept: nothing else has a history.
            if !is_kept || !matches!(topic, Topic::Channel(_)) {
                return None;
            }
            BusInput::Keep {
                topic,
                from,
                message,
            }
        }
        s::Given::Nobody(ask) => BusInput::Nobody { ask: ask_id(&ask)? },
        s::Given::Missed(missed) => BusInput::Missed {
            topic: topic(&missed.topic?)?,
            from: HubId::from_number(missed.from),
            count: missed.count,
        },
        s::Given::NodeLost(node) => BusInput::NodeLost {
            node: u16::try_from(node).ok()?,
        },
    })
}

type Published = (Topic, HubId, Arc<Publication>);

fn published(record: s::PublishedRecord) -> Option<Published> {
    let topic = topic(&record.topic?)?;
    let message = publication(*record.message?)?;
    let fits = match &message {
        Publication::InboxGrew | Publication::Watched | Publication::AttributesWritten => {
            matches!(topic, Topic::User(_))
        }
        Publication::Invitation(_) => matches!(topic, Topic::User(_) | Topic::Calls(_)),
        Publication::Presence { .. } => matches!(topic, Topic::Presence(_)),
        Publication::Joined { .. }
        | Publication::Left { .. }
        | Publication::Message { .. }
        | Publication::Attributes { .. }
        | Publication::Resync { .. }
        | Publication::Snapshot(_) => matches!(topic, Topic::Channel(_)),
    };
    fits.then(|| (topic, HubId::from_number(record.from), Arc::new(message)))
}

fn asked(record: s::AskedRecord) -> Option<(Topic, AskId, Arc<Question>)> {
    let topic = topic(&record.topic?)?;
    let question = question(*record.question?)?;
    let fits = match &question {
        Question::Claim { .. }
        | Question::Deliver(_)
        | Question::HasTaken(_)
        | Question::Presence
        | Question::Locate { .. }
        | Question::Topics { .. }
        | Question::Give { .. } => matches!(topic, Topic::User(_)),
        Question::Members | Question::Progress | Question::Count => {
            matches!(topic, Topic::Channel(_))
        }
    };
    let ask = ask_id(&record.ask?)?;
    fits.then(|| (topic, ask, Arc::new(question)))
}

fn answered(record: s::AnsweredRecord) -> Option<(HubId, AskId, Answer)> {
    let hub = HubId::from_number(record.hub);
    Some((hub, ask_id(&record.ask?)?, answer(*record.answer?)?))
}

fn ask_id(record: &s::AskRecord) -> Option<AskId> {
    Some(AskId {
        number: record.number,
        asked: u16::try_from(record.asked).ok()?,
    })
}

fn topic(record: &s::TopicRecord) -> Option<Topic> {
    let of_user = || user_key(&record.app, &record.name);
    Some(match record.kind {
        1 => Topic::User(of_user()?),
        2 => Topic::Calls(of_user()?),
        3 => Topic::Channel(ChannelKey {
            app: AppId::parse(&record.app).ok()?,
            channel: ChannelName::parse_by(NameRule::Wide, &record.name).ok()?,
        }),
        4 => Topic::Presence(of_user()?),
        _ => return None,
    })
}

fn user(record: Option<s::UserRecord>) -> Option<UserKey> {
    let record = record?;
    user_key(&record.app, &record.user)
}

fn user_key(app: &str, user: &str) -> Option<UserKey> {
    Some(UserKey {
        app: AppId::parse(app).ok()?,
        user: UserId::parse_by(NameRule::Wide, user).ok()?,
    })
}

fn sixteen(bytes: &Bytes) -> Option<[u8; 16]> {
    <[u8; 16]>::try_from(&bytes[..]).ok()
}

fn holds(records: &[Bytes]) -> Option<Vec<InvitationId>> {
    let ids = records.iter();
    ids.map(|id| sixteen(id).map(InvitationId)).collect()
}

fn stamp(record: Option<s::StampRecord>) -> Option<LoginStamp> {
    let record = record?;
    Some(LoginStamp {
        mono_ms: record.mono_ms,
        hub: HubId::from_number(record.hub),
        count: record.count,
    })
}

fn presence(record: s::PresenceRecord) -> Option<(PresenceState, LoginStamp)> {
    let state = PresenceState::try_from(record.state).ok()?;
    Some((state, stamp(record.stamp)?))
}

fn publication(record: s::PublicationRecord) -> Option<Publication> {
    Some(match record.what? {
        s::What::InboxGrew(_) => Publication::InboxGrew,
        s::What::Watched(_) => Publication::Watched,
        s::What::AttributesWritten(_) => Publication::AttributesWritten,
        s::What::Invitation(of) => Publication::Invitation(word(of)?),
        s::What::Presence(record) => {
            let (state, stamp) = presence(record)?;
            Publication::Presence { state, stamp }
        }
        s::What::Joined(change) => Publication::Joined {
            seq: change.seq,
            epoch: change.epoch,
            user: user(change.user)?,
            session: SessionId(sixteen(&change.session)?),
        },
        s::What::Left(change) => Publication::Left {
            seq: change.seq,
            epoch: change.epoch,
            user: user(change.user)?,
            session: SessionId(sixteen(&change.session)?),
        },
        s::What::Message(message) => Publication::Message {
            sender: SessionId(sixteen(&message.sender)?),
            cseq: message.cseq,
            server_ts: message.server_ts,
            frame: message.frame,
            keep: match message.keep {
                Some(record) => Some(Box::new(keep(record)?)),
                None => None,
            },
        },
        s::What::Attributes(record) => Publication::Attributes {
            revision: record.revision,
            frame: record.frame,
            others: match record.others {
                1 => ForOthers::Same,
                2 => ForOthers::Frame(record.others_frame),
                3 => ForOthers::Nothing,
                _ => return None,
            },
        },
        s::What::Resync(origin) => Publication::Resync {
            origin: HubId::from_number(origin),
        },
        s::What::Snapshot(record) => Publication::Snapshot(Box::new(members(record)?)),
    })
}

fn keep(record: s::KeepRecord) -> Option<Keep> {
    Some(Keep {
        ask: ask_id(&record.ask?)?,
        message: HistoryMessage {
            position: record.position,
            from: record.from,
            body: record.body,
            server_ts: record.server_ts,
        },
        limits: HistoryLimits {
            messages_max: usize::try_from(record.messages_max).ok()?,
            age_ms: record.age_ms,
        },
    })
}

fn members(record: s::MembersRecord) -> Option<MemberSnapshot> {
    let members = record.members.into_iter();
    let member = |of: s::MemberRecord| Some((user(of.user)?, SessionId(sixteen(&of.session)?)));
    Some(MemberSnapshot {
        origin: HubId::from_number(record.origin),
        epoch: record.epoch,
        seq: record.seq,
        members: members.map(member).collect::<Option<_>>()?,
    })
}

fn word(record: s::WordRecord) -> Option<InvitationWord> {
    let id = |id: &Bytes| sixteen(id).map(InvitationId);
    Some(match record.word? {
        s::Word::Ring(ring) => InvitationWord::Ring {
            id: id(&ring.id)?,
            caller: user(ring.caller)?,
            frame: ring.frame,
        },
        s::Word::Ended(ended) => InvitationWord::Ended {
            id: id(&ended.id)?,
            end: InvitationEnd::try_from(ended.end).ok()?,
        },
        s::Word::Back(record) => InvitationWord::Back {
            id: id(&record.id)?,
            word: back(record.back?),
        },
        s::Word::CallerBack(record) => InvitationWord::CallerBack {
            holds: holds(&record.holds)?,
        },
        s::Word::TakenOver(record) => InvitationWord::TakenOver {
            id: id(&record.id)?,
            revision: record.revision,
        },
    })
}

fn back(back: s::Back) -> CalleeWord {
    match back {
        s::Back::IsThere(rings_on) => CalleeWord::IsThere { rings_on },
        s::Back::Received(rings_on) => CalleeWord::Received { rings_on },
        s::Back::Accepted(response) => CalleeWord::Decided(Decision::Accept(response)),
        s::Back::Refused(response) => CalleeWord::Decided(Decision::Refuse(response)),
        s::Back::SessionOver(true) => CalleeWord::SessionOver(RingFate::GoesOn),
        s::Back::SessionOver(false) => CalleeWord::SessionOver(RingFate::Lost),
    }
}

fn question(record: s::QuestionRecord) -> Option<Question> {
    Some(match record.asks? {
        s::Asks::Claim(claim) => Question::Claim {
            stamp: stamp(claim.stamp)?,
            holds: holds(&claim.holds)?,
        },
        s::Asks::Deliver(of) => Question::Deliver(parcel(of)?),
        s::Asks::HasTaken(id) => Question::HasTaken(MessageId(sixteen(&id)?)),
        s::Asks::Presence(_) => Question::Presence,
        s::Asks::Locate(locate) => Question::Locate {
            session: SessionId(sixteen(&locate.session)?),
            secret: locate.secret,
        },
        s::Asks::Topics(of) => Question::Topics {
            session: SessionId(sixteen(&of.session)?),
            secret: of.secret,
        },
        s::Asks::Give(give) => Question::Give {
            session: SessionId(sixteen(&give.session)?),
            secret: give.secret,
            taker: HubId::from_number(give.taker),
        },
        s::Asks::Members(_) => Question::Members,
        s::Asks::Count(_) => Question::Count,
        s::Asks::Progress(_) => Question::Progress,
    })
}

fn parcel(record: s::ParcelRecord) -> Option<Parcel> {
    Some(Parcel {
        id: MessageId(sixteen(&record.id)?),
        from: user(record.from)?,
        server_ts: record.server_ts,
        frame: record.frame,
        offline: record.offline,
        kind: match record.kind {
            1 => MessageKind::Text,
            2 => MessageKind::Media,
            3 => MessageKind::Library,
            _ => return None,
        },
        lasts_until: record.lasts_until,
    })
}

fn answer(record: s::AnswerRecord) -> Option<Answer> {
    Some(match record.says? {
        s::Says::Yielded(of) => Answer::Yielded(inherited(of)?),
        s::Says::Superseded(_) => Answer::Superseded,
        s::Says::Confirmed(_) => Answer::Confirmed,
        s::Says::Gone(_) => Answer::Gone,
        s::Says::Stored(_) => Answer::Stored,
        s::Says::Unconfirmed(_) => Answer::Unconfirmed,
        s::Says::StoreFailed(reason) => Answer::StoreFailed { reason },
        s::Says::Taken(_) => Answer::Taken,
        s::Says::Presence(record) => {
            let (state, stamp) = presence(record)?;
            Answer::Presence { state, stamp }
        }
        s::Says::Located(1) => Answer::Located(Located::Here),
        s::Says::Located(2) => Answer::Located(Located::Replaced),
        s::Says::Located(3) => Answer::Located(Located::Unknown),
        s::Says::Located(4) => Answer::Located(Located::Elsewhere),
        s::Says::Members(all) => {
            let hubs = all.hubs.into_iter();
            Answer::Members(hubs.map(members).collect::<Option<_>>()?)
        }
        s::Says::Count(count) => Answer::Count(count),
        s::Says::Moved(_) => Answer::Moved,
        s::Says::Topics(of) => {
            let name = |name: &String| ChannelName::parse_by(NameRule::Wide, name).ok();
            Answer::Topics {
                channels: of.channels.iter().map(name).collect::<Option<_>>()?,
                is_here: of.is_here,
            }
        }
        s::Says::Given(record) => Answer::Given(record),
        s::Says::NotGiven(1) => Answer::NotGiven(NotGiven::Unknown),
        s::Says::NotGiven(2) => Answer::NotGiven(NotGiven::Stays),
        s::Says::NotGiven(3) => Answer::NotGiven(NotGiven::Elsewhere),
        s::Says::Located(_) | s::Says::NotGiven(_) => return None,
        s::Says::Progress(all) => {
            let progress = |of: s::MembersRecord| Progress {
                origin: HubId::from_number(of.origin),
                epoch: of.epoch,
                seq: of.seq,
            };
            Answer::Progress(all.hubs.into_iter().map(progress).collect())
        }
    })
}

fn inherited(record: s::InheritedRecord) -> Option<Inherited> {
    let secret = |secret: &Bytes| <[u8; 32]>::try_from(&secret[..]).ok();
    let forerunner = |of: s::ForerunnerRecord| {
        Some(Forerunner {
            id: SessionId(sixteen(&of.id)?),
            secrets: of.secrets.iter().map(secret).collect::<Option<_>>()?,
        })
    };
    let forerunners = record.forerunners.into_iter();
    Some(Inherited {
        was_here: record.was_here,
        has_attributes: record.has_attributes,
        forerunners: forerunners.map(forerunner).collect::<Option<_>>()?,
        used: match record.used {
            Some(bytes) => Some(Box::new(Used::decode(&bytes)?)),
            None => None,
        },
    })
}
