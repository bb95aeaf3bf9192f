//! The first bytes of strangers: WebSocket frames, handshakes, native frames.

use std::mem::{Discriminant, discriminant};

use tidings_wire::frame::{decode_client, encode_client};
use tidings_wire::limits::{FRAME_BYTES_MAX, FRAME_FRAGMENTS_MAX, FRAME_MESSAGES_MAX};
use tidings_wire::proto::{
    Attribute, ClientFrame, ClientMessage, QueryPresence, Request, WriteUserAttributes,
    client_message, request,
};
use tidings_wire::ws::{
    Decoder, Event, Limits, Opcode, Role, check_request, check_response, encode_close,
    encode_frame, encode_ping,
};

use super::vectors;
use crate::target::{Answer, Target, thrice_and_4_kib, twice_and_4_kib};

/// Frames of both roles, cut into pieces by the first bytes of the input.
pub(super) const WS_FRAMES: Target = Target {
    name: "ws_frames",
    run: ws_frames,
    seeds: ws_frames_seeds,
    bytes_max: 70_000,
    memory_max: Some(thrice_and_4_kib),
};

/// Requests and answers of the opening handshake.
pub(super) const WS_HANDSHAKE: Target = Target {
    name: "ws_handshake",
    run: ws_handshake,
    seeds: ws_handshake_seeds,
    bytes_max: 8_192,
    memory_max: Some(twice_and_4_kib),
};

/// Native frames of clients; those of servers are the target `sdk_input`.
pub(super) const NATIVE_FRAME: Target = Target {
    name: "native_frame",
    run: native_frame,
    seeds: native_frame_seeds,
    bytes_max: FRAME_BYTES_MAX,
    memory_max: Some(native_frame_memory),
};

fn ws_frames(input: &[u8]) -> Answer {
    let [role, cut, rest @ ..] = input else {
        return Answer::of(0);
    };
    let role = if role % 2 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let limits = Limits {
        message_bytes_max: u32::try_from(FRAME_BYTES_MAX).expect("limits.toml keeps it small"),
        fragments_max: u16::try_from(FRAME_FRAGMENTS_MAX).expect("limits.toml keeps it small"),
    };
    let mut whole = Decoder::new(role, limits);
    let mut cut_up = Decoder::new(role, limits);
    // Order: one after the other, so that only one of the two holds memory for the input.
    let in_pieces = match cut {
        0 => None,
        cut => Some(events(&mut cut_up, rest, usize::from(*cut))),
    };
    drop(cut_up);
    let at_once = events(&mut whole, rest, rest.len());
    assert!(whole.heap_bytes() <= 2 * rest.len() + 4_096);
    if let Some(in_pieces) = in_pieces {
        assert_eq!(
            at_once, in_pieces,
            "the events depend on how the bytes are cut"
        );
    }
    Answer::of(at_once.kinds)
}

/// What was decoded, in short.
#[derive(Debug, PartialEq, Eq, Default)]
struct Seen {
    /// The kinds of the first events.
    kinds: [u8; 6],
    count: usize,
    checksum: u32,
}

fn events(decoder: &mut Decoder, input: &[u8], piece: usize) -> Seen {
    let mut seen = Seen::default();
    let mut buffer = [0; 512];
    for piece in input.chunks(piece.clamp(1, buffer.len())) {
        let buffer = &mut buffer[..piece.len()];
        buffer.copy_from_slice(piece);
        let mut events = decoder.decode(buffer);
        loop {
            let (kind, payload) = match events.next_event() {
                Ok(None) => break,
                Ok(Some(Event::Message { kind, payload })) => (1 + kind as u8, payload),
                Ok(Some(Event::Ping(payload))) => (3, payload),
                Ok(Some(Event::Pong(payload))) => (4, payload),
                Ok(Some(Event::Close { reason, .. })) => (5, reason.as_bytes()),
                Err(error) => (10 + (error.close_code() % 100) as u8, [].as_slice()),
            };
            let mut hasher = crc32fast::Hasher::new_with_initial(seen.checksum);
            hasher.update(&[kind]);
            hasher.update(payload);
            seen.checksum = hasher.finalize();
            if let Some(slot) = seen.kinds.get_mut(seen.count) {
                *slot = kind;
            }
            seen.count += 1;
        }
    }
    seen
}

fn ws_frames_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![];
    for (role, mask) in [(0, Some([1, 2, 3, 4])), (1, None)] {
        for cut in [0, 1, 7, 200] {
            let head = [role, cut];
            let mut text = head.to_vec();
            encode_frame(&mut text, Opcode::Text, "grüße".as_bytes(), mask);
            encode_frame(&mut text, Opcode::Binary, &[7; 300], mask);
            text.extend(&*encode_ping(b"ping", mask));
            text.extend(&*encode_close(1000, "bye", mask));
            seeds.push(text);
            // A message in three fragments, with a ping between them.
            let mut parts = head.to_vec();
            for (first, payload) in [(0x01, "ab"), (0x89, ""), (0x00, "c"), (0x80, "d")] {
                let mut frame = vec![];
                encode_frame(&mut frame, Opcode::Text, payload.as_bytes(), mask);
                frame[0] = first;
                parts.extend(frame);
            }
            seeds.push(parts);
        }
    }
    seeds
}

fn ws_handshake(input: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    if let Ok(httparse::Status::Complete(_)) = request.parse(input) {
        let headers = request
            .headers
            .iter()
            .map(|header| (header.name, header.value));
        let upgrade = check_request(
            request.method.unwrap_or(""),
            request.version.unwrap_or(0),
            headers,
        );
        return match upgrade {
            Ok(upgrade) => Answer::of(("upgrade", upgrade.protocols.len())),
            Err(error) => Answer::of((error.status(), Answer::named(&error))),
        };
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    if let Ok(httparse::Status::Complete(_)) = response.parse(input) {
        let headers = response
            .headers
            .iter()
            .map(|header| (header.name, header.value));
        let checked = check_response(
            response.code.unwrap_or(0),
            headers,
            "dGhlIHNhbXBsZSBub25jZQ==",
            &["tidings.v1"],
        );
        return match checked {
            Ok(protocol) => Answer::of(("response", protocol.is_some())),
            Err(error) => Answer::named(&error),
        };
    }
    Answer::of("no head")
}

fn ws_handshake_seeds() -> Vec<Vec<u8>> {
    vec![
        b"GET /rtm HTTP/1.1\r\nHost: localhost:7400\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
          Sec-WebSocket-Protocol: tidings.v1, other\r\nOrigin: https://example.org\r\n\r\n"
            .to_vec(),
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tidings.v1\r\n\r\n"
            .to_vec(),
    ]
}

fn native_frame(input: &[u8]) -> Answer {
    match decode_client(input) {
        Ok(frame) => {
            let kinds = frame
                .messages
                .iter()
                .take(4)
                .map(|message| message.kind.as_ref());
            let kinds = kinds.map(|kind| kind.map(|kind| (discriminant(kind), call(kind))));
            Answer::of((frame.messages.len().min(5), kinds.collect::<Vec<_>>()))
        }
        Err(error) => Answer::of(&error.detail[..error.detail.len().min(40)]),
    }
}

/// Beside the vectors, frames of many small parts: they take most memory for their length.
fn native_frame_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vectors("ClientFrame");
    let of = |call| {
        let kind = Some(client_message::Kind::Request(Request { cseq: 1, call }));
        encode_client(&ClientFrame {
            messages: vec![ClientMessage { kind }],
            confirm: 0,
        })
    };
    for count in [10, 500, 32_000] {
        let attributes = vec![Attribute::default(); count];
        let write = WriteUserAttributes {
            attributes,
            ..Default::default()
        };
        seeds.push(of(Some(request::Call::WriteUserAttributes(write))).into());
        let user_ids = vec![String::new(); count];
        let query = QueryPresence { user_ids };
        seeds.push(of(Some(request::Call::QueryPresence(query))).into());
    }
    seeds.push([0x0a, 0x00].repeat(FRAME_MESSAGES_MAX));
    seeds
}

fn call(kind: &client_message::Kind) -> Option<Discriminant<request::Call>> {
    match kind {
        client_message::Kind::Request(request) => request.call.as_ref().map(discriminant),
        _ => None,
    }
}

/// Far above the contract's bound of twice the input: an empty attribute is two bytes in a frame
/// and 88 in memory, an empty message 224, and a list that grows holds its old and its new place
/// for a moment. At most 64 KiB come in one frame (8 KiB before the login), and a hub decodes one
/// at a time.
fn native_frame_memory(bytes: usize) -> u64 {
    let messages = (bytes / 2).min(FRAME_MESSAGES_MAX) as u64;
    140 * bytes as u64 + 700 * messages + 4_096
}
