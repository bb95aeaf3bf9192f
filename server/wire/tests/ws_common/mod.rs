//! Builds frames of either role and records what a decoder makes of bytes, however they are cut.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod utf8;

use tidings_wire::ws::{Decoder, Event, Kind, Limits, Role, apply_mask};

pub(crate) const FINAL: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = FINAL | 8;
pub(crate) const PING: u8 = FINAL | 9;
pub(crate) const PONG: u8 = FINAL | 10;

pub(crate) const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 18,
    fragments_max: 64,
};

/// An event that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    /// The stream failed with an error of this close code and message.
    Failed(u16, String),
}

impl Seen {
    fn of(event: &Event<'_>) -> Self {
        match *event {
            Event::Message {
                kind: Kind::Text,
                payload,
            } => Self::Text(payload.to_vec()),
            Event::Message {
                kind: Kind::Binary,
                payload,
            } => Self::Binary(payload.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
        }
    }
}

/// What the peer of `role` would send: the first byte as given, the shortest length, and a mask
/// that depends on the payload if it is a client.
pub(crate) fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let len = payload.len();
    match len {
        0..=125 => bytes.push(len as u8),
        126..=0xffff => {
            bytes.push(126);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    if role == Role::Server {
        bytes[1] |= 0x80;
        let mask = (len as u32)
            .wrapping_mul(0x9e37_79b9)
            .wrapping_add(u32::from(first))
            .to_be_bytes();
        bytes.extend(mask);
        let begin = bytes.len();
        bytes.extend(payload);
        apply_mask(mask, 0, &mut bytes[begin..]);
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// Draws all events of one piece.
pub(crate) fn feed(decoder: &mut Decoder, piece: &[u8], seen: &mut Vec<Seen>) {
    let mut piece = piece.to_vec();
    let mut events = decoder.decode(&mut piece);
    loop {
        match events.next_event() {
            Ok(Some(event)) => seen.push(Seen::of(&event)),
            Ok(None) => return,
            Err(error) => seen.push(Seen::Failed(error.close_code(), error.to_string())),
        }
    }
}

/// Feeds a stream in pieces whose lengths `cut` gives, and checks what holds after every piece.
pub(crate) fn decode(
    role: Role,
    limits: Limits,
    stream: &[u8],
    mut cut: impl FnMut() -> usize,
) -> (Vec<Seen>, Decoder) {
    let mut decoder = Decoder::new(role, limits);
    let mut seen = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(cut().clamp(1, rest.len()));
        feed(&mut decoder, piece, &mut seen);
        let bytes_max = limits.message_bytes_max as usize + 125 + 256;
        assert!(
            decoder.heap_bytes() <= bytes_max,
            "{} bytes",
            decoder.heap_bytes()
        );
        rest = later;
    }
    let failed = seen
        .iter()
        .filter(|s| matches!(s, Seen::Failed(..) | Seen::Close(..)))
        .count();
    assert_eq!(decoder.is_closed(), failed > 0);
    assert!(failed <= 1, "nothing follows the end: {seen:?}");
    (seen, decoder)
}

/// Decodes a stream whole, octet by octet and in pieces of pseudo-random length; all must agree.
pub(crate) fn decode_every_way(role: Role, limits: Limits, stream: &[u8]) -> (Vec<Seen>, Decoder) {
    let whole = decode(role, limits, stream, || usize::MAX);
    let octets = decode(role, limits, stream, || 1);
    assert_eq!(whole.0, octets.0, "whole and octet by octet");
    for seed in 1..6u64 {
        let mut state = seed;
        let pieces = decode(role, limits, stream, || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Short pieces mostly, long ones now and then.
            let bits = 1 + (state >> 40) % 12;
            ((state >> 33) % (1 << bits)) as usize
        });
        assert_eq!(whole.0, pieces.0, "whole and in pieces, seed {seed}");
        assert_eq!(
            whole.1.heap_bytes() == 0,
            pieces.1.heap_bytes() == 0,
            "seed {seed}"
        );
    }
    whole
}
