//! Bytes of servers, true and hostile, in pieces of every size.

use bytes::Bytes;
use tidings_nats::decode::{INFO_BYTES_MAX, LINE_BYTES_MAX, PAYLOAD_BYTES_MAX};
use tidings_nats::{Decoder, Info, Item, Message, ProtocolError};

fn decode(input: &[u8]) -> Result<Vec<Item>, ProtocolError> {
    decode_split(input, input.len().max(1), &mut Decoder::default())
}

fn decode_split(
    input: &[u8],
    size: usize,
    decoder: &mut Decoder,
) -> Result<Vec<Item>, ProtocolError> {
    let mut items = Vec::new();
    for mut piece in input.chunks(size) {
        while let Some(item) = decoder.next(&mut piece)? {
            items.push(item);
        }
        assert!(piece.is_empty(), "it reads all or tells of an item");
    }
    Ok(items)
}

fn message(sid: u64, subject: &str, reply: Option<&str>, payload: &str) -> Item {
    Item::Message(Message {
        sid,
        subject: Bytes::copy_from_slice(subject.as_bytes()),
        reply: reply.map(|reply| Bytes::copy_from_slice(reply.as_bytes())),
        status: None,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    })
}

/// One of each.
fn session() -> (Vec<u8>, Vec<Item>) {
    let mut bytes = b"INFO {\"server_id\":\"a\",\"max_payload\":10}  \r\n+OK\r\n".to_vec();
    bytes.extend(b"MSG a.b 7 5\r\nhello\r\nMSG a 18446744073709551615 r.1 0\r\n\r\n");
    bytes.extend(b"PING\r\nPONG\r\nmsg\tc  9  \t 2\r\n\r\n\r\n");
    bytes.extend(b"HMSG r.1.0.4 3 41 41\r\nNATS/1.0 503\r\nNats-Subject: a.b.c.d.e\r\n\r\n\r\n");
    bytes.extend(b"HMSG x 1 in.box 21 24\r\nNATS/1.0\r\nA: bcde\r\n\r\nxyz\r\n");
    bytes.extend(b"-ERR 'Authorization Violation'\r\n");
    let info = Info {
        server_id: "a".into(),
        max_payload: 10,
        ..Info::default()
    };
    let nobody = Item::Message(Message {
        sid: 3,
        subject: Bytes::from_static(b"r.1.0.4"),
        reply: None,
        status: Some(503),
        payload: Bytes::new(),
    });
    let items = vec![
        Item::Info(Box::new(info)),
        Item::Ok,
        message(7, "a.b", None, "hello"),
        message(u64::MAX, "a", Some("r.1"), ""),
        Item::Ping,
        Item::Pong,
        message(9, "c", None, "\r\n"),
        nobody,
        message(1, "x", Some("in.box"), "xyz"),
        Item::Error("Authorization Violation".into()),
    ];
    (bytes, items)
}

#[test]
fn however_the_bytes_are_split_the_items_are_the_same() {
    let (bytes, items) = session();
    for size in 1..=bytes.len() {
        let mut decoder = Decoder::default();
        assert_eq!(
            decode_split(&bytes, size, &mut decoder),
            Ok(items.clone()),
            "{size}"
        );
    }
    for at in 0..bytes.len() {
        let mut decoder = Decoder::default();
        let (first, second) = bytes.split_at(at);
        let mut all = decode_split(first, bytes.len(), &mut decoder).expect("items");
        all.extend(decode_split(second, bytes.len(), &mut decoder).expect("items"));
        assert_eq!(all, items, "split at {at}");
    }
}

#[test]
fn a_message_keeps_no_more_than_itself() {
    let payload = "x".repeat(100_000);
    let bytes = format!("MSG a 1 100000\r\n{payload}\r\n");
    for size in [10, 4_096, bytes.len()] {
        let items = decode_split(bytes.as_bytes(), size, &mut Decoder::default());
        assert_eq!(items, Ok(vec![message(1, "a", None, &payload)]), "{size}");
    }
}

#[test]
fn what_is_too_large_is_passed_over() {
    let mut decoder = Decoder::default();
    decoder.set_payload_max(4);
    let bytes = b"MSG a 1 5\r\nPING\n\r\nMSG a 1 4\r\nPONG\r\nHMSG b 2 6 12\r\n123456123456\r\n";
    let large = |sid, bytes| Item::TooLarge { sid, bytes };
    let expected = vec![large(1, 5), message(1, "a", None, "PONG"), large(2, 12)];
    for size in [1, 3, bytes.len()] {
        assert_eq!(
            decode_split(bytes, size, &mut decoder),
            Ok(expected.clone())
        );
    }
    decoder.set_payload_max(usize::MAX);
    let over = PAYLOAD_BYTES_MAX + 1;
    let line = format!("MSG a 1 {over}\r\n");
    assert_eq!(decode_split(line.as_bytes(), 99, &mut decoder), Ok(vec![]));
    let rest = vec![b'x'; over + 2];
    let passed = decode_split(&rest, rest.len(), &mut decoder);
    assert_eq!(passed, Ok(vec![large(1, over)]));
}

#[test]
fn lines_that_do_not_end_are_refused() {
    let line = vec![b'a'; LINE_BYTES_MAX + 2];
    for size in [1, 1_000, line.len()] {
        let refused = decode_split(&line, size, &mut Decoder::default());
        assert_eq!(
            refused,
            Err(ProtocolError::LineLength(LINE_BYTES_MAX)),
            "{size}"
        );
    }
    let mut info = b"INFO ".to_vec();
    info.resize(INFO_BYTES_MAX + 2, b' ');
    for size in [1_000, info.len()] {
        let refused = decode_split(&info, size, &mut Decoder::default());
        assert_eq!(
            refused,
            Err(ProtocolError::LineLength(INFO_BYTES_MAX)),
            "{size}"
        );
    }
    let longest = format!("-ERR {}\r\n", "e".repeat(LINE_BYTES_MAX - 5));
    assert!(decode(longest.as_bytes()).is_ok());
}

#[test]
fn garbage_is_refused_with_its_beginning() {
    let word = |text: &str| Err(ProtocolError::Word(text.into()));
    assert_eq!(
        decode(b"HTTP/1.1 400 Bad Request\r\n"),
        word("HTTP/1.1 400 Bad Request")
    );
    assert_eq!(decode(b"\r\n"), word(""));
    assert_eq!(decode(b"PINGX\r\n"), word("PINGX"));
    assert_eq!(decode(b" PING\r\n"), word(" PING"));
    assert_eq!(decode(b"PING\n"), Err(ProtocolError::LineEnd));
    assert!(matches!(
        decode(b"INFO {]\r\n"),
        Err(ProtocolError::Info(_))
    ));
    assert!(matches!(
        decode(b"\x16\x03\x01\x02\n"),
        Err(ProtocolError::LineEnd)
    ));
    assert_eq!(
        decode(b"MSG a 1 2\r\nabc\r\n"),
        Err(ProtocolError::MessageEnd)
    );
    for line in [
        "MSG",
        "MSG a",
        "MSG a 1",
        "MSG a 1 -1",
        "MSG a x 1",
        "MSG a 1 r 1 1",
        "MSG a 1 +1",
        "MSG a 18446744073709551616 1",
        "MSG a 1 99999999999",
        "MSG a 1 r 1 x",
        "HMSG a 1 1",
        "HMSG a 1 5 4",
        "HMSG a 1 r 1 1 1",
        "HMSG a 1 r x 1",
    ] {
        let refused = decode(format!("{line}\r\n").as_bytes());
        assert_eq!(refused, Err(ProtocolError::MessageLine(line.into())));
    }
}

#[test]
fn headers_in_no_known_form_are_their_publishers_affair() {
    for headers in [
        "",
        "NATS/1.0",
        "NATS/1.0 ",
        "NATS/1.0 5",
        "NATS/1.0 5031",
        "NATS/2 503\r\n",
        "NATS/1.0 x03\r\n\r\n",
        "\u{fffd}",
    ] {
        let line = format!("HMSG a 1 {0} {0}\r\n{headers}\r\n", headers.len());
        assert_eq!(
            decode(line.as_bytes()),
            Ok(vec![message(1, "a", None, "")]),
            "{headers:?}"
        );
    }
}
