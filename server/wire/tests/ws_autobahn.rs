//! The cases of the Autobahn test suite, groups 1 to 7, put to the decoder.
//!
//! The suite judges an echo server from outside; here the same inputs must give the events and the
//! close code from which such a server follows. Each case runs in both roles, whole, octet by octet
//! and in pieces.

mod ws_common;

use tidings_wire::ws::Role;
use ws_common::utf8::utf8_sequences;
use ws_common::{
    BINARY, CLOSE, CONTINUATION, FINAL, LIMITS, PING, PONG, Seen, TEXT, decode_every_way, feed,
    frame,
};

/// Frames as first byte and payload, and what must be seen.
struct Case {
    id: String,
    frames: Vec<(u8, Vec<u8>)>,
    seen: Vec<Seen>,
}

/// How a case ends.
enum End {
    /// The connection stays open.
    Open,
    /// It fails with this close code.
    Fails(u16),
}
use End::{Fails, Open};

#[track_caller]
fn run(cases: Vec<Case>, count: usize) {
    assert_eq!(cases.len(), count);
    for role in [Role::Server, Role::Client] {
        for case in &cases {
            let stream: Vec<u8> = case
                .frames
                .iter()
                .flat_map(|(first, payload)| frame(role, *first, payload))
                .collect();
            let (mut seen, decoder) = decode_every_way(role, LIMITS, &stream);
            for one in &mut seen {
                // The words of an error are not the suite's business.
                if let Seen::Failed(_, message) = one {
                    message.clear();
                }
            }
            assert_eq!(seen, case.seen, "case {} as {role:?}", case.id);
            assert_eq!(
                decoder.heap_bytes(),
                0,
                "case {} leaves nothing behind",
                case.id
            );
        }
    }
}

fn case(id: impl Into<String>, frames: &[(u8, &[u8])], seen: &[Seen], end: End) -> Case {
    let mut seen = seen.to_vec();
    if let Fails(code) = end {
        seen.push(Seen::Failed(code, String::new()));
    }
    let frames = frames
        .iter()
        .map(|(first, payload)| (*first, payload.to_vec()))
        .collect();
    Case {
        id: id.into(),
        frames,
        seen,
    }
}

fn text(payload: impl AsRef<[u8]>) -> Seen {
    Seen::Text(payload.as_ref().to_vec())
}

fn ping(payload: impl AsRef<[u8]>) -> Seen {
    Seen::Ping(payload.as_ref().to_vec())
}

fn pong(payload: impl AsRef<[u8]>) -> Seen {
    Seen::Pong(payload.as_ref().to_vec())
}

const WHOLE_TEXT: u8 = FINAL | TEXT;
const WHOLE_BINARY: u8 = FINAL | BINARY;
const LAST: u8 = FINAL | CONTINUATION;
const HELLO: &[u8] = b"Hello, world!";

#[test]
fn group_1_framing() {
    let mut cases = Vec::new();
    for (index, len) in [0, 125, 126, 127, 128, 65_535, 65_536, 65_536]
        .into_iter()
        .enumerate()
    {
        let (stars, bytes) = (vec![b'*'; len], vec![0xfe; len]);
        let seen = [Seen::Text(stars.clone())];
        cases.push(case(
            format!("1.1.{}", index + 1),
            &[(WHOLE_TEXT, &stars)],
            &seen,
            Open,
        ));
        let seen = [Seen::Binary(bytes.clone())];
        cases.push(case(
            format!("1.2.{}", index + 1),
            &[(WHOLE_BINARY, &bytes)],
            &seen,
            Open,
        ));
    }
    run(cases, 16);
}

#[test]
fn group_2_pings_and_pongs() {
    let foreign = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    let ten: Vec<Vec<u8>> = (0..10)
        .map(|n| format!("payload-{n}").into_bytes())
        .collect();
    let ten_frames: Vec<(u8, &[u8])> = ten.iter().map(|p| (PING, &p[..])).collect();
    let ten_pings: Vec<Seen> = ten.iter().map(ping).collect();
    let unsolicited = b"unsolicited pong payload";
    let cases = vec![
        case("2.1", &[(PING, b"")], &[ping("")], Open),
        case("2.2", &[(PING, HELLO)], &[ping(HELLO)], Open),
        case("2.3", &[(PING, &foreign)], &[ping(foreign)], Open),
        case("2.4", &[(PING, &[0xfe; 125])], &[ping([0xfe; 125])], Open),
        case("2.5", &[(PING, &[0xfe; 126])], &[], Fails(1002)),
        case("2.6", &[(PING, &[0xfe; 125])], &[ping([0xfe; 125])], Open),
        case("2.7", &[(PONG, b"")], &[pong("")], Open),
        case("2.8", &[(PONG, unsolicited)], &[pong(unsolicited)], Open),
        case(
            "2.9",
            &[(PONG, unsolicited), (PING, b"p")],
            &[pong(unsolicited), ping("p")],
            Open,
        ),
        case("2.10", &ten_frames, &ten_pings, Open),
        case("2.11", &ten_frames, &ten_pings, Open),
    ];
    run(cases, 11);
}

#[test]
fn group_3_reserved_bits() {
    let rsv = |bits: u8, first: u8| first | bits << 4;
    let small: (u8, &[u8]) = (WHOLE_TEXT, HELLO);
    let then = |bits, first| [small, (rsv(bits, first), HELLO), (PING, b"")];
    let cases = vec![
        case("3.1", &[(rsv(1, WHOLE_TEXT), HELLO)], &[], Fails(1002)),
        case("3.2", &then(2, WHOLE_TEXT), &[text(HELLO)], Fails(1002)),
        case("3.3", &then(3, WHOLE_TEXT), &[text(HELLO)], Fails(1002)),
        case("3.4", &then(4, WHOLE_TEXT), &[text(HELLO)], Fails(1002)),
        case(
            "3.5",
            &[(rsv(5, WHOLE_BINARY), &[0xff; 8])],
            &[],
            Fails(1002),
        ),
        case("3.6", &[(rsv(6, PING), HELLO)], &[], Fails(1002)),
        case("3.7", &[(rsv(7, CLOSE), b"")], &[], Fails(1002)),
    ];
    run(cases, 7);
}

#[test]
fn group_4_opcodes() {
    let mut cases = Vec::new();
    for (group, opcodes) in [(1, 3..=7), (2, 11..=15)] {
        for (index, opcode) in opcodes.enumerate() {
            let first = FINAL | opcode;
            let id = format!("4.{group}.{}", index + 1);
            cases.push(match index {
                0 => case(id, &[(first, b"")], &[], Fails(1002)),
                1 => case(id, &[(first, b"reserved")], &[], Fails(1002)),
                _ => {
                    let payload: &[u8] = if index % 2 == 0 { b"" } else { b"reserved" };
                    let frames = [(WHOLE_TEXT, HELLO), (first, payload), (PING, b"")];
                    case(id, &frames, &[text(HELLO)], Fails(1002))
                }
            });
        }
    }
    run(cases, 10);
}

#[test]
fn group_5_fragmentation() {
    let (one, two): (&[u8], &[u8]) = (b"fragment1", b"fragment2");
    let both = || text("fragment1fragment2");
    let (first, middle) = ((TEXT, one), (CONTINUATION, two));
    let last = (LAST, two);
    let p: (u8, &[u8]) = (PING, b"ping payload");
    let pinged = || ping("ping payload");
    let nothing = |fin: u8| [(fin | CONTINUATION, one), (WHOLE_TEXT, HELLO)];
    let after = |fin: u8| [first, last, (fin | CONTINUATION, one), (WHOLE_TEXT, HELLO)];
    let interrupted = |fin: u8| [(fin | CONTINUATION, one), first, last];
    let five = [
        (TEXT, one),
        (CONTINUATION, two),
        p,
        (CONTINUATION, b"3"),
        (CONTINUATION, b"4"),
        p,
        (LAST, b"5"),
    ];
    let all = || [pinged(), pinged(), text("fragment1fragment2345")];
    let cases = vec![
        case("5.1", &[(PING & !FINAL, one), last], &[], Fails(1002)),
        case("5.2", &[(PONG & !FINAL, one), last], &[], Fails(1002)),
        case("5.3", &[first, last], &[both()], Open),
        case("5.4", &[first, last], &[both()], Open),
        case("5.5", &[first, last], &[both()], Open),
        case("5.6", &[first, p, last], &[pinged(), both()], Open),
        case("5.7", &[first, p, last], &[pinged(), both()], Open),
        case("5.8", &[first, p, last], &[pinged(), both()], Open),
        case("5.9", &nothing(FINAL), &[], Fails(1002)),
        case("5.10", &nothing(FINAL), &[], Fails(1002)),
        case("5.11", &nothing(FINAL), &[], Fails(1002)),
        case("5.12", &nothing(0), &[], Fails(1002)),
        case("5.13", &nothing(0), &[], Fails(1002)),
        case("5.14", &nothing(0), &[], Fails(1002)),
        case("5.15", &after(0), &[both()], Fails(1002)),
        case("5.16", &interrupted(0), &[], Fails(1002)),
        case("5.17", &interrupted(FINAL), &[], Fails(1002)),
        case("5.18", &[first, (WHOLE_TEXT, two)], &[], Fails(1002)),
        case("5.19", &five, &all(), Open),
        case("5.20", &five, &all(), Open),
        // Not in the suite: the same with binary frames, and empty pieces.
        case("5.15 final", &after(FINAL), &[both()], Fails(1002)),
        case(
            "5.18 binary",
            &[(BINARY, one), (WHOLE_BINARY, two)],
            &[],
            Fails(1002),
        ),
        case(
            "5.18 mixed",
            &[first, middle, (BINARY, two)],
            &[],
            Fails(1002),
        ),
        case(
            "5.3 empty end",
            &[first, (CONTINUATION, b""), (LAST, b"")],
            &[text(one)],
            Open,
        ),
    ];
    run(cases, 24);
}

#[test]
fn group_6_utf8() {
    let accented = "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!".as_bytes();
    let kosme = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes();
    let (head, bad, tail) = (kosme, b"\xed\xa0\x80".as_slice(), b"edited".as_slice());
    let octets = |payload: &[u8]| -> Vec<(u8, Vec<u8>)> {
        let last = payload.len() - 1;
        let first =
            |at| if at == 0 { TEXT } else { CONTINUATION } | if at == last { FINAL } else { 0 };
        payload
            .iter()
            .enumerate()
            .map(|(at, byte)| (first(at), vec![*byte]))
            .collect()
    };
    let broken = [head, bad, tail].concat();
    let mut cases = vec![
        case("6.1.1", &[(WHOLE_TEXT, b"")], &[text("")], Open),
        case(
            "6.1.2",
            &[(TEXT, b""), (CONTINUATION, b""), (LAST, b"")],
            &[text("")],
            Open,
        ),
        case(
            "6.1.3",
            &[(TEXT, b""), (CONTINUATION, b"middle"), (LAST, b"")],
            &[text("middle")],
            Open,
        ),
        case("6.2.1", &[(WHOLE_TEXT, accented)], &[text(accented)], Open),
        case(
            "6.2.2",
            &[(TEXT, &accented[..12]), (LAST, &accented[12..])],
            &[text(accented)],
            Open,
        ),
        Case {
            id: "6.2.3".into(),
            frames: octets(accented),
            seen: vec![text(accented)],
        },
        Case {
            id: "6.2.4".into(),
            frames: octets(kosme),
            seen: vec![text(kosme)],
        },
        case("6.3.1", &[(WHOLE_TEXT, &broken)], &[], Fails(1007)),
        Case {
            frames: octets(&broken),
            ..case("6.3.2", &[], &[], Fails(1007))
        },
        case(
            "6.4.1",
            &[
                (TEXT, head),
                (CONTINUATION, b"\xf4\x90\x80\x80"),
                (LAST, tail),
            ],
            &[],
            Fails(1007),
        ),
        case(
            "6.4.2",
            &[(TEXT, head), (CONTINUATION, b"\xf4"), (LAST, b"\x90")],
            &[],
            Fails(1007),
        ),
    ];
    for (id, bytes, valid) in utf8_sequences() {
        let (seen, end) = if valid {
            (vec![text(&bytes)], Open)
        } else {
            (vec![], Fails(1007))
        };
        cases.push(case(id, &[(WHOLE_TEXT, &bytes)], &seen, end));
    }
    // All 145 but 6.4.3 and 6.4.4, which cut single frames: see the next test.
    run(cases, 143);
}

#[test]
fn groups_6_3_and_6_4_fail_at_the_first_impossible_octet() {
    for (id, bytes, valid) in utf8_sequences() {
        let impossible = (1..=bytes.len()).find(|len| {
            std::str::from_utf8(&bytes[..*len]).is_err_and(|error| error.error_len().is_some())
        });
        assert!(!(valid && impossible.is_some()), "{id}");
        // More is announced than comes, so nothing but the octet itself can end the message.
        let sent = frame(Role::Client, TEXT, &[&bytes[..], b"and much more"].concat());
        let mut decoder = tidings_wire::ws::Decoder::new(Role::Client, LIMITS);
        let mut seen = Vec::new();
        for (at, octet) in sent[..2 + bytes.len()].iter().enumerate() {
            feed(&mut decoder, &[*octet], &mut seen);
            let must_fail = impossible.is_some_and(|len| at + 1 >= 2 + len);
            assert_eq!(decoder.is_closed(), must_fail, "{id}, octet {at}");
        }
    }
}

#[test]
fn group_7_closing() {
    let closed = |code: u16, reason: &str| Seen::Close(Some(code), reason.to_owned());
    let coded = |code: u16, reason: &[u8]| [&code.to_be_bytes()[..], reason].concat();
    let bare = Seen::Close(None, String::new());
    let long = vec![b'B'; 256 * 1024];
    let (reason_123, reason_124) = (coded(1000, &[b'*'; 123]), coded(1000, &[b'*'; 124]));
    let bad_reason = coded(
        1000,
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    );
    let normal = coded(1000, b"");
    let bye: (u8, &[u8]) = (CLOSE, &normal);
    let mut cases = vec![
        case(
            "7.1.1",
            &[(WHOLE_TEXT, HELLO), bye],
            &[text(HELLO), closed(1000, "")],
            Open,
        ),
        case("7.1.2", &[bye, bye], &[closed(1000, "")], Open),
        case("7.1.3", &[bye, (PING, b"")], &[closed(1000, "")], Open),
        case(
            "7.1.4",
            &[bye, (WHOLE_TEXT, HELLO)],
            &[closed(1000, "")],
            Open,
        ),
        case(
            "7.1.5",
            &[(TEXT, b"a"), bye, (LAST, b"b")],
            &[closed(1000, "")],
            Open,
        ),
        case(
            "7.1.6",
            &[(WHOLE_TEXT, &long), (WHOLE_TEXT, HELLO), bye, (PING, b"")],
            &[text(&long), text(HELLO), closed(1000, "")],
            Open,
        ),
        case("7.3.1", &[(CLOSE, b"")], &[bare], Open),
        case("7.3.2", &[(CLOSE, b"a")], &[], Fails(1002)),
        case("7.3.3", &[bye], &[closed(1000, "")], Open),
        case(
            "7.3.4",
            &[(CLOSE, &coded(1000, HELLO))],
            &[closed(1000, "Hello, world!")],
            Open,
        ),
        case(
            "7.3.5",
            &[(CLOSE, &reason_123)],
            &[closed(1000, &"*".repeat(123))],
            Open,
        ),
        case("7.3.6", &[(CLOSE, &reason_124)], &[], Fails(1002)),
        case("7.5.1", &[(CLOSE, &bad_reason)], &[], Fails(1007)),
    ];
    let good = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ];
    for code in good {
        let payload = coded(code, b"");
        cases.push(case(
            format!("7.7 {code}"),
            &[(CLOSE, &payload)],
            &[closed(code, "")],
            Open,
        ));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        for reason in [&b""[..], b"reason"] {
            let id = format!("7.9 and 7.13 {code}");
            cases.push(case(id, &[(CLOSE, &coded(code, reason))], &[], Fails(1002)));
        }
    }
    run(cases, 53);
}
