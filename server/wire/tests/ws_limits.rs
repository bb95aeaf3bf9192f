//! Bounds, lengths and masks: what is refused, when, and what it may cost.

mod ws_common;

use tidings_wire::ws::{Decoder, Error, Event, Kind, Limits, Role};
use ws_common::{BINARY, CONTINUATION, FINAL, PING, Seen, TEXT, decode_every_way, feed, frame};

const SMALL: Limits = Limits {
    message_bytes_max: 1000,
    fragments_max: 3,
};

fn failed(error: Error) -> Seen {
    Seen::Failed(error.close_code(), error.to_string())
}

#[test]
fn a_message_is_refused_by_its_announced_length() {
    // Headers only: no byte of payload is waited for, none is kept.
    let cases: [(&[u8], u64); 3] = [
        (&[0x82, 126, 0x03, 0xe9], 1001),
        (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
        (
            &[0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            i64::MAX as u64,
        ),
    ];
    for (bytes, announced) in cases {
        let (seen, decoder) = decode_every_way(Role::Client, SMALL, bytes);
        let error = Error::MessageTooBig {
            bytes: announced,
            bytes_max: 1000,
        };
        assert_eq!(seen, [failed(error)]);
        assert_eq!((error.close_code(), decoder.heap_bytes()), (1009, 0));
    }
}

#[test]
fn a_message_of_exactly_the_limit_passes_whole_and_in_fragments() {
    for role in [Role::Server, Role::Client] {
        let whole = frame(role, FINAL | BINARY, &[7; 1000]);
        assert_eq!(
            decode_every_way(role, SMALL, &whole).0,
            [Seen::Binary(vec![7; 1000])]
        );
        let begin = [
            frame(role, BINARY, &[7; 600]),
            frame(role, CONTINUATION, &[]),
        ]
        .concat();
        let fits = [&begin[..], &frame(role, FINAL, &[7; 400])].concat();
        assert_eq!(
            decode_every_way(role, SMALL, &fits).0,
            [Seen::Binary(vec![7; 1000])]
        );
        let beyond = [&begin[..], &frame(role, FINAL, &[7; 401])].concat();
        let error = Error::MessageTooBig {
            bytes: 1001,
            bytes_max: 1000,
        };
        assert_eq!(decode_every_way(role, SMALL, &beyond).0, [failed(error)]);
    }
}

#[test]
fn a_message_has_a_bounded_number_of_fragments() {
    let pieces = |more: usize| {
        let mut stream = frame(Role::Server, TEXT, b"a");
        for _ in 0..more {
            stream.extend(frame(Role::Server, CONTINUATION, b""));
            stream.extend(frame(Role::Server, PING, b"between"));
        }
        stream
    };
    let fits = [pieces(1), frame(Role::Server, FINAL, b"b")].concat();
    let between = || Seen::Ping(b"between".to_vec());
    let seen = decode_every_way(Role::Server, SMALL, &fits).0;
    assert_eq!(seen, [between(), Seen::Text(b"ab".to_vec())]);
    let error = Error::TooManyFragments { fragments_max: 3 };
    let seen = decode_every_way(Role::Server, SMALL, &pieces(3)).0;
    assert_eq!(seen, [between(), between(), failed(error)]);
    assert_eq!(error.close_code(), 1009);
}

#[test]
fn lengths_must_be_in_their_shortest_form() {
    let cases: [(&[u8], Error); 4] = [
        (&[0x82, 126, 0, 125], Error::LengthNotMinimal(125)),
        (
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0, 5],
            Error::LengthNotMinimal(5),
        ),
        (
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            Error::LengthNotMinimal(65_535),
        ),
        (
            &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
            Error::LengthTooLarge(1 << 63),
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(
            decode_every_way(Role::Client, SMALL, bytes).0,
            [failed(error)]
        );
        assert_eq!(error.close_code(), 1002);
    }
}

#[test]
fn each_role_demands_its_masking() {
    let masked = frame(Role::Server, FINAL | TEXT, b"hi");
    let unmasked = frame(Role::Client, FINAL | TEXT, b"hi");
    assert_eq!(
        decode_every_way(Role::Client, SMALL, &masked).0,
        [failed(Error::MaskUnexpected)]
    );
    assert_eq!(
        decode_every_way(Role::Server, SMALL, &unmasked).0,
        [failed(Error::MaskMissing)]
    );
}

#[test]
fn memory_follows_what_has_arrived_and_is_given_back() {
    let limits = Limits {
        message_bytes_max: 1 << 20,
        fragments_max: 64,
    };
    let mut decoder = Decoder::new(Role::Server, limits);
    let mut seen = Vec::new();
    let stream = frame(Role::Server, FINAL | BINARY, &vec![1; 1 << 20]);
    let (begin, rest) = stream.split_at(14 + 10);
    feed(&mut decoder, begin, &mut seen);
    assert!(
        decoder.heap_bytes() < 256,
        "{} bytes for 10 of a megabyte",
        decoder.heap_bytes()
    );
    let (half, rest) = rest.split_at(1 << 19);
    feed(&mut decoder, half, &mut seen);
    assert!(
        decoder.heap_bytes() < (1 << 19) + 512,
        "{} bytes",
        decoder.heap_bytes()
    );
    feed(&mut decoder, rest, &mut seen);
    assert_eq!(seen.len(), 1);
    assert_eq!(decoder.heap_bytes(), 0);
}

#[test]
fn many_small_pieces_are_not_copied_again_and_again() {
    let limits = Limits {
        message_bytes_max: 4096,
        fragments_max: 64,
    };
    let mut decoder = Decoder::new(Role::Client, limits);
    let stream = frame(Role::Client, FINAL | BINARY, &[1; 4096]);
    let (mut sizes, mut seen) = (std::collections::BTreeSet::new(), Vec::new());
    for (at, octet) in stream.iter().enumerate() {
        feed(&mut decoder, &[*octet], &mut seen);
        sizes.insert(decoder.heap_bytes());
        assert!(
            decoder.heap_bytes() <= 256 + 2 * at,
            "{} bytes after {at}",
            decoder.heap_bytes()
        );
    }
    assert_eq!(seen, [Seen::Binary(vec![1; 4096])]);
    // A doubling per size: none, the record, 1, 2, 4 … 4096 bytes.
    assert!(sizes.len() <= 15, "{sizes:?}");
}

#[test]
fn whole_frames_lie_in_the_shared_buffer_and_need_no_heap() {
    let mut decoder = Decoder::new(Role::Server, SMALL);
    let mut buffer = [
        frame(Role::Server, FINAL | TEXT, b"one"),
        frame(Role::Server, PING, b"two"),
        frame(Role::Server, FINAL | BINARY, b"three"),
    ]
    .concat();
    let place = buffer.as_ptr_range();
    let mut events = decoder.decode(&mut buffer);
    let mut count = 0;
    while let Some(event) = events.next_event().expect("well-formed") {
        let (Event::Message { payload, .. } | Event::Ping(payload)) = event else {
            panic!("{event:?}")
        };
        assert!(place.contains(&payload.as_ptr()), "{event:?} was copied");
        count += 1;
    }
    assert_eq!((count, decoder.heap_bytes()), (3, 0));
}

#[test]
fn who_stops_drawing_can_go_on_with_the_rest() {
    let mut decoder = Decoder::new(Role::Server, SMALL);
    let second = frame(Role::Server, FINAL | TEXT, b"second");
    let mut buffer = [frame(Role::Server, FINAL | TEXT, b"first"), second.clone()].concat();
    let mut events = decoder.decode(&mut buffer);
    assert!(events.next_event().expect("well-formed").is_some());
    let mut rest = events.rest().to_vec();
    assert_eq!(rest, second);
    let mut events = decoder.decode(&mut rest);
    let event = events.next_event().expect("well-formed");
    assert_eq!(
        event,
        Some(Event::Message {
            kind: Kind::Text,
            payload: b"second"
        })
    );
}

#[test]
fn limits_can_be_raised_after_login_and_hold_from_the_next_frame() {
    let mut decoder = Decoder::new(Role::Server, SMALL);
    let mut seen = Vec::new();
    let large = frame(Role::Server, FINAL | BINARY, &[1; 2000]);
    decoder.set_limits(Limits {
        message_bytes_max: 2000,
        ..SMALL
    });
    feed(&mut decoder, &large, &mut seen);
    assert_eq!(seen, [Seen::Binary(vec![1; 2000])]);
    // A frame that has begun is not cut off, the next is.
    feed(&mut decoder, &large[..1000], &mut seen);
    decoder.set_limits(SMALL);
    feed(&mut decoder, &large[1000..], &mut seen);
    assert_eq!(seen.len(), 2);
    feed(&mut decoder, &large, &mut seen);
    let error = Error::MessageTooBig {
        bytes: 2000,
        bytes_max: 1000,
    };
    assert_eq!(seen[2..], [failed(error)]);
}
