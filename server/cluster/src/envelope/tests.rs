use std::collections::BTreeMap;

use tidings_hub::bus_ops::MessageKind;
use tidings_hub::bus_ops::{Parcel, Publication};
use tidings_hub::ids::{ChannelKey, MessageId, SessionId, UserKey};
use tidings_wire::names::{AppId, ChannelName, UserId};

use super::*;

const KEY: [u8; 32] = [3; 32];

const SHARD: HubId = HubId { node: 700, hub: 3 };

fn app() -> AppId {
    AppId::parse(&"a".repeat(32)).expect("an app id")
}

fn room() -> Topic {
    let channel = ChannelName::parse("room").expect("a channel name");
    let app = app();
    Topic::Channel(ChannelKey { app, channel })
}

fn user() -> UserKey {
    let user = UserId::parse("alice").expect("a user id");
    let app = app();
    UserKey { app, user }
}

fn word() -> Word {
    Word {
        topic: room(),
        hubs: 2,
        at: Some(Position { run: 9, number: 7 }),
    }
}

fn bodies() -> Vec<Body> {
    let message = Publication::Message {
        sender: SessionId([1; 16]),
        cseq: 5,
        server_ts: 6,
        frame: Bytes::from_static(b"\x82\x02xy"),
        keep: None,
    };
    let parcel = Parcel {
        id: MessageId([2; 16]),
        from: user(),
        server_ts: 1,
        frame: Bytes::from_static(b"frame"),
        offline: None,
        kind: MessageKind::Text,
        lasts_until: 0,
    };
    let ask = AskId {
        number: u64::MAX,
        asked: 4,
    };
    vec![
        Body::Publication {
            topic: room(),
            from: HubId { hub: 1, ..SHARD },
            at: Position { run: 1, number: 1 },
            message: Arc::new(message),
        },
        Body::Ask {
            topic: Topic::User(user()),
            ask,
            question: Arc::new(Question::Deliver(parcel)),
            listens: true,
            at: Some(Position { run: 7, number: 2 }),
        },
        Body::Answer {
            to: HubId { node: 1, hub: 2 },
            from: SHARD,
            ask,
            answer: Answer::Count(3),
        },
        Body::Absent { ask: 5 },
        Body::Hello {
            word: word(),
            wants_answer: true,
            known: vec![0, 1_023],
            ask: 8,
        },
        Body::Mark(Word { at: None, ..word() }),
        Body::Probe { topic: room() },
        Body::Heartbeat { number: 1 },
        Body::Wanted { since_ms: 2 },
        Body::Told { since_ms: 3 },
        Body::Part {
            id: 1,
            part: 2,
            parts: 3,
            bytes: Bytes::from_static(b"part"),
        },
    ]
}

fn envelope(body: Body) -> Envelope {
    Envelope {
        origin: Origin {
            shard: SHARD,
            incarnation: 1 << 40,
        },
        clock_ms: 77,
        body,
    }
}

/// Bytes with a right authentication, whatever they say.
fn sealed(version: u8, record: &[u8]) -> Bytes {
    let mut bytes = vec![version];
    bytes.extend_from_slice(record);
    let mac = blake3::keyed_hash(&KEY, &bytes);
    bytes.extend_from_slice(&mac.as_bytes()[..MAC_BYTES]);
    bytes.into()
}

#[test]
fn every_envelope_is_read_as_it_was_written() {
    for body in bodies() {
        let envelope = envelope(body);
        let bytes = Bytes::from(envelope.seal(&KEY));
        assert_eq!(Envelope::open(&bytes, &KEY), Ok(envelope));
    }
}

#[test]
fn no_byte_can_be_changed_and_none_left_out() {
    for body in bodies() {
        let bytes = envelope(body).seal(&KEY);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Envelope::open(&changed.into(), &KEY), Err(Refusal::Mac));
            let short = Bytes::copy_from_slice(&bytes[..at]);
            assert_eq!(Envelope::open(&short, &KEY), Err(Refusal::Mac));
        }
        let other = [4; 32];
        assert_eq!(Envelope::open(&bytes.into(), &other), Err(Refusal::Mac));
    }
}

#[test]
fn a_newer_version_is_refused_as_that_and_not_read() {
    let bytes = sealed(VERSION + 1, &[0xff; 40]);
    assert_eq!(Envelope::open(&bytes, &KEY), Err(Refusal::Version));
}

#[test]
fn what_is_authentic_and_wrong_is_refused_whole() {
    let no_body = schema::EnvelopeRecord::default();
    let mut far = no_body.clone();
    far.node = 70_000;
    far.body = Some(schema::Body::Heartbeat(schema::HeartbeatRecord {
        number: 1,
    }));
    let mut before_the_first = no_body.clone();
    let at = Some(schema::PositionRecord { run: 1, number: 0 });
    before_the_first.body = Some(schema::Body::Publication(schema::PublicationRecord {
        at,
        crossing: Bytes::new(),
    }));
    for record in [no_body, far, before_the_first] {
        let bytes = sealed(VERSION, &record.encode_to_vec());
        assert_eq!(Envelope::open(&bytes, &KEY), Err(Refusal::Malformed));
    }
    for garbage in [&[][..], &[0xff; 9], b"\x2a\x03abc"] {
        let bytes = sealed(VERSION, garbage);
        assert_eq!(Envelope::open(&bytes, &KEY), Err(Refusal::Malformed));
    }
}

#[test]
fn a_field_that_a_later_build_adds_is_ignored() {
    let envelope = envelope(Body::Heartbeat { number: 4 });
    let mut record = forms::record(&envelope).encode_to_vec();
    // Field 99, with a number.
    record.extend_from_slice(&[0x98, 0x06, 0x05]);
    assert_eq!(
        Envelope::open(&sealed(VERSION, &record), &KEY),
        Ok(envelope)
    );
}

/// The fields of each message with their numbers, by the message's name.
fn described() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut messages = BTreeMap::<String, BTreeMap<String, String>>::new();
    let mut message = String::new();
    for line in include_str!("../../../../proto/cluster.proto").lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if let Some(rest) = line.strip_prefix("message ") {
            message = rest.trim_end_matches([' ', '{']).to_owned();
        } else if let Some((field, number)) = line.split_once(" = ")
            && !message.is_empty()
        {
            let name = field.rsplit(' ').next().unwrap_or_default();
            let number = number.trim_end_matches(';');
            let fields = messages.entry(message.clone()).or_default();
            fields.insert(name.to_owned(), number.to_owned());
        }
    }
    messages
}

/// The same of the records of the code.
fn written() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut messages = BTreeMap::<String, BTreeMap<String, String>>::new();
    let (mut message, mut tag) = (String::new(), String::new());
    for line in include_str!("schema.rs").lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub(super) struct ") {
            message = rest.trim_end_matches([' ', '{']).to_owned();
        } else if line.starts_with("pub(super) enum Body") {
            message = "Envelope".to_owned();
        } else if let Some((_, rest)) = line.split_once("tag = \"") {
            tag = rest.trim_end_matches(['"', ')', ']']).to_owned();
        } else if !tag.is_empty() {
            let name = line.trim_start_matches("pub(super) ");
            let name = name.split([':', '(']).next().unwrap_or_default();
            let fields = messages.entry(message.clone()).or_default();
            fields.insert(name.to_lowercase(), std::mem::take(&mut tag));
        }
    }
    messages
}

#[test]
fn the_description_has_the_numbers_of_the_code() {
    let mut written = written();
    // Two messages have the same fields, and share a record.
    let since = written.remove("SinceRecord").expect("a record");
    written.insert("WantedRecord".to_owned(), since.clone());
    written.insert("ToldRecord".to_owned(), since);
    let mut of_envelope = written.remove("Envelope").expect("the bodies");
    of_envelope.extend(written.remove("EnvelopeRecord").expect("a record"));
    written.insert("EnvelopeRecord".to_owned(), of_envelope);
    let described = described().into_iter();
    let described: BTreeMap<_, _> = described
        .map(|(name, fields)| (format!("{name}Record"), fields))
        .collect();
    assert_eq!(described, written);
}
