//! Properties of the codec for every stream and every way to cut it.

mod ws_common;

use proptest::prelude::*;
use tidings_wire::ws::{
    Limits, Opcode, Role, encode_close, encode_frame, encode_ping, encode_pong,
};
use ws_common::{BINARY, CONTINUATION, FINAL, PING, Seen, TEXT, decode, decode_every_way, frame};

const LIMITS: Limits = Limits {
    message_bytes_max: 600,
    fragments_max: 5,
};

/// What our encoders can send.
#[derive(Debug, Clone)]
enum Sent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..=max);
    prop_oneof![
        ".{0,150}".prop_map(Sent::Text),
        bytes(600).prop_map(Sent::Binary),
        bytes(125).prop_map(Sent::Ping),
        bytes(125).prop_map(Sent::Pong),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Feeds a stream in pieces of the given lengths, over and over.
fn cut_by(lengths: &[usize]) -> impl FnMut() -> usize {
    let mut lengths = lengths.iter().copied().cycle();
    move || lengths.next().unwrap_or(1)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(
        all in prop::collection::vec(sent(), 0..8),
        role in role(),
        mask: [u8; 4],
        code in prop_oneof![1000u16..=1003, 1007u16..=1014, 3000u16..5000],
        reason in ".{0,40}",
        cuts in prop::collection::vec(1usize..300, 1..6),
    ) {
        let mask = (role == Role::Server).then_some(mask);
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for one in all {
            match one {
                Sent::Text(text) => {
                    encode_frame(&mut stream, Opcode::Text, text.as_bytes(), mask);
                    expected.push(Seen::Text(text.into_bytes()));
                }
                Sent::Binary(bytes) => {
                    encode_frame(&mut stream, Opcode::Binary, &bytes, mask);
                    expected.push(Seen::Binary(bytes));
                }
                Sent::Ping(bytes) => {
                    stream.extend_from_slice(&encode_ping(&bytes, mask));
                    expected.push(Seen::Ping(bytes));
                }
                Sent::Pong(bytes) => {
                    stream.extend_from_slice(&encode_pong(&bytes, mask));
                    expected.push(Seen::Pong(bytes));
                }
            }
        }
        let close = encode_close(code, &reason, mask);
        stream.extend_from_slice(&close);
        let kept = &reason[..reason.floor_char_boundary(123)];
        expected.push(Seen::Close(Some(code), kept.to_owned()));
        let (seen, decoder) = decode(role, LIMITS, &stream, cut_by(&cuts));
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(decoder.heap_bytes(), 0);
    }

    #[test]
    fn a_fragmented_message_is_the_message(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..=5),
        pings in prop::collection::vec(any::<bool>(), 5),
        role in role(),
        cuts in prop::collection::vec(1usize..40, 1..6),
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (index, piece) in pieces.iter().enumerate() {
            let opcode = if index == 0 { BINARY } else { CONTINUATION };
            let last = if index + 1 == pieces.len() { FINAL } else { 0 };
            if pings[index] {
                stream.extend(frame(role, PING, &[index as u8]));
                expected.push(Seen::Ping(vec![index as u8]));
            }
            stream.extend(frame(role, opcode | last, piece));
        }
        expected.push(Seen::Binary(pieces.concat()));
        let (seen, decoder) = decode(role, LIMITS, &stream, cut_by(&cuts));
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(decoder.heap_bytes(), 0);
    }

    #[test]
    fn a_text_passes_just_when_it_is_utf8(
        bytes in prop_oneof![
            ".{0,40}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..12),
            (".{0,20}", any::<u8>(), any::<prop::sample::Index>()).prop_map(|(text, byte, at)| {
                let mut bytes = text.into_bytes();
                bytes.insert(at.index(bytes.len() + 1), byte);
                bytes
            }),
        ],
        at in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(1usize..8, 1..6),
    ) {
        let (one, two) = bytes.split_at(at.index(bytes.len() + 1));
        let whole = frame(Role::Server, FINAL | TEXT, &bytes);
        let halves = [frame(Role::Server, TEXT, one), frame(Role::Server, FINAL, two)].concat();
        let is_utf8 = std::str::from_utf8(&bytes).is_ok();
        for stream in [whole, halves] {
            let (seen, decoder) = decode(Role::Server, LIMITS, &stream, cut_by(&cuts));
            if is_utf8 {
                prop_assert_eq!(seen, [Seen::Text(bytes.clone())]);
            } else {
                prop_assert!(matches!(&seen[..], [Seen::Failed(1007, _)]), "{:?}", seen);
            }
            prop_assert_eq!(decoder.heap_bytes(), 0);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_mean_the_same_however_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..200), role in role(),
    ) {
        // The bound on memory is asserted after every piece.
        decode_every_way(role, LIMITS, &bytes);
    }

    #[test]
    fn arbitrary_frames_never_panic_and_mean_the_same_however_cut(
        frames in prop::collection::vec(
            (
                prop_oneof![
                    8 => prop::sample::select(vec![0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0x8a]),
                    1 => Just(0x88),
                    1 => any::<u8>(),
                ],
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..10),
                    "[a-zß日]{0,60}".prop_map(String::into_bytes),
                    (0usize..700).prop_map(|len| vec![b'x'; len]),
                ],
            ),
            0..12,
        ),
        role in role(),
        cut in any::<prop::sample::Index>(),
    ) {
        let stream: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| frame(role, *first, payload)).collect();
        decode_every_way(role, LIMITS, &stream[..cut.index(stream.len() + 1)]);
    }
}
