//! Converts envelopes to records and back. `None` = the record is no valid envelope.

use bytes::Bytes;
use tidings_bus::Crossing;
use tidings_hub::bus_ops::{BusOp, Topic};
use tidings_hub::ids::HubId;

use super::schema as s;
use super::{Body, Envelope, Origin, Position, Word};

pub(super) fn record(envelope: &Envelope) -> s::EnvelopeRecord {
    let Origin { shard, incarnation } = envelope.origin;
    s::EnvelopeRecord {
        node: shard.node.into(),
        incarnation,
        hub: shard.hub.into(),
        clock_ms: envelope.clock_ms,
        body: Some(body(shard, &envelope.body)),
    }
}

fn body(shard: HubId, body: &Body) -> s::Body {
    match body {
        Body::Publication {
            topic,
            from,
            at,
            message,
        } => {
            let (topic, message) = (topic.clone(), message.clone());
            s::Body::Publication(s::PublicationRecord {
                at: Some(position(*at)),
                crossing: crossing(*from, BusOp::Publish { topic, message }),
            })
        }
        Body::Ask {
            topic,
            ask,
            question,
            listens,
            at,
        } => {
            let op = BusOp::Ask {
                topic: topic.clone(),
                ask: *ask,
                question: question.clone(),
            };
            s::Body::Ask(s::AskRecord {
                crossing: crossing(shard, op),
                listens: *listens,
                at: at.map(position),
            })
        }
        Body::Answer {
            to,
            from,
            ask,
            answer,
        } => {
            let (to, ask, answer) = (*to, *ask, answer.clone());
            let crossing = crossing(*from, BusOp::Answer { to, ask, answer });
            s::Body::Answer(s::AnswerRecord { crossing })
        }
        Body::Absent { ask } => s::Body::Absent(s::AbsentRecord { ask: *ask }),
        Body::Hello {
            word: of,
            wants_answer,
            known,
            ask,
        } => s::Body::Hello(s::HelloRecord {
            word: Some(word(shard, of)),
            wants_answer: *wants_answer,
            known: known.iter().map(|node| u32::from(*node)).collect(),
            ask: *ask,
        }),
        Body::Mark(of) => s::Body::Mark(s::MarkRecord {
            word: Some(word(shard, of)),
        }),
        Body::Probe { topic } => s::Body::Probe(s::ProbeRecord {
            crossing: crossing(shard, BusOp::Subscribe(topic.clone())),
        }),
        Body::Heartbeat { number } => s::Body::Heartbeat(s::HeartbeatRecord { number: *number }),
        Body::Wanted { since_ms } => s::Body::Wanted(since(*since_ms)),
        Body::Told { since_ms } => s::Body::Told(since(*since_ms)),
        Body::Part {
            id,
            part,
            parts,
            bytes,
        } => s::Body::Part(part_record((*id, *part, *parts), bytes)),
    }
}

fn part_record((id, part, parts): (u64, u32, u32), bytes: &Bytes) -> s::PartRecord {
    s::PartRecord {
        id,
        part,
        parts,
        bytes: bytes.clone(),
    }
}

fn since(since_ms: u64) -> s::SinceRecord {
    s::SinceRecord { since_ms }
}

fn position(at: Position) -> s::PositionRecord {
    let Position { run, number } = at;
    s::PositionRecord { run, number }
}

fn word(shard: HubId, word: &Word) -> s::WordRecord {
    s::WordRecord {
        crossing: crossing(shard, BusOp::Subscribe(word.topic.clone())),
        hubs: word.hubs.into(),
        at: word.at.map(position),
    }
}

fn crossing(from: HubId, op: BusOp) -> Bytes {
    Crossing::Route { from, op }.encode().into()
}

pub(super) fn envelope(record: s::EnvelopeRecord) -> Option<Envelope> {
    let shard = HubId {
        node: u16::try_from(record.node).ok()?,
        hub: u16::try_from(record.hub).ok()?,
    };
    Some(Envelope {
        origin: Origin {
            shard,
            incarnation: record.incarnation,
        },
        clock_ms: record.clock_ms,
        body: read_body(record.body?)?,
    })
}

fn read_body(body: s::Body) -> Option<Body> {
    Some(match body {
        s::Body::Publication(record) => read_publication(record)?,
        s::Body::Ask(record) => read_ask(record)?,
        s::Body::Answer(record) => read_answer(record)?,
        s::Body::Absent(record) => Body::Absent { ask: record.ask },
        s::Body::Hello(record) => {
            let known = record.known.into_iter().map(u16::try_from);
            Body::Hello {
                word: read_word(record.word?)?,
                wants_answer: record.wants_answer,
                known: known.collect::<Result<_, _>>().ok()?,
                ask: record.ask,
            }
        }
        s::Body::Mark(record) => Body::Mark(read_word(record.word?)?),
        s::Body::Probe(record) => Body::Probe {
            topic: read_topic(record.crossing)?,
        },
        s::Body::Heartbeat(record) => Body::Heartbeat {
            number: record.number,
        },
        s::Body::Wanted(record) => Body::Wanted {
            since_ms: record.since_ms,
        },
        s::Body::Told(record) => Body::Told {
            since_ms: record.since_ms,
        },
        s::Body::Part(record) => Body::Part {
            id: record.id,
            part: record.part,
            parts: record.parts,
            bytes: record.bytes,
        },
    })
}

fn read_publication(record: s::PublicationRecord) -> Option<Body> {
    let at = read_position(record.at?)?;
    match read_crossing(record.crossing)? {
        (from, BusOp::Publish { topic, message }) => Some(Body::Publication {
            topic,
            from,
            at,
            message,
        }),
        _ => None,
    }
}

fn read_ask(record: s::AskRecord) -> Option<Body> {
    let listens = record.listens;
    let at = match record.at {
        Some(at) => Some(read_position(at)?),
        None => None,
    };
    match read_crossing(record.crossing)? {
        (
            _,
            BusOp::Ask {
                topic,
                ask,
                question,
            },
        ) => Some(Body::Ask {
            topic,
            ask,
            question,
            listens,
            at,
        }),
        _ => None,
    }
}

fn read_answer(record: s::AnswerRecord) -> Option<Body> {
    match read_crossing(record.crossing)? {
        (from, BusOp::Answer { to, ask, answer }) => Some(Body::Answer {
            to,
            from,
            ask,
            answer,
        }),
        _ => None,
    }
}

fn read_position(record: s::PositionRecord) -> Option<Position> {
    let s::PositionRecord { run, number } = record;
    // Nothing is at a position before its first publication.
    (number > 0).then_some(Position { run, number })
}

fn read_word(record: s::WordRecord) -> Option<Word> {
    let at = match record.at {
        Some(at) => Some(read_position(at)?),
        None => None,
    };
    Some(Word {
        topic: read_topic(record.crossing)?,
        hubs: u16::try_from(record.hubs).ok()?,
        at,
    })
}

fn read_topic(bytes: Bytes) -> Option<Topic> {
    match read_crossing(bytes)? {
        (_, BusOp::Subscribe(topic)) => Some(topic),
        _ => None,
    }
}

fn read_crossing(bytes: Bytes) -> Option<(HubId, BusOp)> {
    match Crossing::decode_shared(bytes) {
        Ok(Crossing::Route { from, op }) => Some((from, op)),
        _ => None,
    }
}
