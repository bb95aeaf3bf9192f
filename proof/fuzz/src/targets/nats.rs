//! What a NATS server, or an impostor, sends to a node of a cluster.

use std::sync::Arc;

use tidings_nats::outbox::QUEUE_BYTES_MAX;
use tidings_nats::{Connection, Credentials, Decoder, Event, Item, Options, ProtocolError, Tls};

use super::{Script, put_piece};
use crate::target::{Answer, Target};

/// The bytes of a server, in pieces of a length that the first byte gives.
pub(super) const NATS_BYTES: Target = Target {
    name: "nats_bytes",
    run: nats_bytes,
    seeds: byte_seeds,
    bytes_max: 16_384,
    memory_max: Some(memory),
};

/// A connection over several sockets, with what its host does meanwhile.
pub(super) const NATS_SESSION: Target = Target {
    name: "nats_session",
    run: nats_session,
    seeds: session_seeds,
    bytes_max: 16_384,
    memory_max: None,
};

const STEPS_MAX: usize = 200;

/// An address in an INFO takes three bytes there and up to 56 in memory, in a list that doubles.
fn memory(bytes: usize) -> u64 {
    64 * bytes as u64 + 8_192
}

/// However the bytes are split, they say the same.
fn nats_bytes(input: &[u8]) -> Answer {
    let Some((size, bytes)) = input.split_first() else {
        return Answer::of(0);
    };
    let whole = read(bytes, bytes.len().max(1));
    let split = read(bytes, usize::from(*size).max(1));
    assert_eq!(whole, split);
    let (items, error, kinds) = whole;
    Answer::of((items.min(4), error, kinds))
}

/// How many items there are, why reading ended, and which kinds there were.
fn read(bytes: &[u8], size: usize) -> (usize, Option<String>, u32) {
    let mut decoder = Decoder::default();
    decoder.set_payload_max(1_024);
    let (mut items, mut kinds) = (0, 0);
    for mut piece in bytes.chunks(size) {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(item)) => {
                    items += 1;
                    kinds |= 1 << kind(&item);
                }
                Ok(None) => break,
                Err(error) => return (items, Some(name(&error).into()), kinds),
            }
        }
        assert!(piece.is_empty(), "it reads all or tells of an item");
    }
    (items, None, kinds)
}

fn kind(item: &Item) -> u32 {
    match item {
        Item::Info(info) => {
            assert!(info.connect_urls.len() <= tidings_nats::info::SERVERS_MAX);
            0
        }
        Item::Message(message) => {
            assert!(message.payload.len() <= 1_024);
            1 + u32::from(message.reply.is_some()) + 2 * u32::from(message.status.is_some())
        }
        Item::TooLarge { bytes, .. } => {
            assert!(*bytes > 1_024);
            5
        }
        Item::Ping => 6,
        Item::Pong => 7,
        Item::Ok => 8,
        Item::Error(_) => 9,
    }
}

fn name(error: &ProtocolError) -> &'static str {
    match error {
        ProtocolError::Word(_) => "word",
        ProtocolError::LineLength(_) => "line length",
        ProtocolError::LineEnd => "line end",
        ProtocolError::MessageLine(_) => "message line",
        ProtocolError::MessageEnd => "message end",
        ProtocolError::Info(_) => "info",
    }
}

/// A host that does as it is told.
struct Driver {
    nats: Connection,
    now_ms: u64,
    published: u64,
    seen: Vec<u8>,
}

impl Driver {
    fn see(seen: &mut Vec<u8>, event: &Event) {
        seen.push(match event {
            Event::StartTls => 0,
            Event::Up(_) => 1,
            Event::Servers(_) => 2,
            Event::Message(_) => 3,
            Event::NoResponders { .. } => 4,
            Event::Pong => 5,
            Event::TooLarge { .. } => 6,
            Event::Complaint(_) => 7,
            Event::Refused(_) => 8,
            Event::Gone(_) => 9,
        });
    }

    fn receive(&mut self, bytes: &[u8]) {
        let Self { nats, seen, .. } = self;
        nats.receive(self.now_ms, bytes, &mut |event| Self::see(seen, &event));
        self.check();
    }

    fn tick(&mut self, ms: u64) {
        self.now_ms += ms;
        let Self { nats, seen, .. } = self;
        nats.tick(self.now_ms, &mut |event| Self::see(seen, &event));
        // Whatever was due is done: the loop of its host does not spin.
        assert!(
            self.nats
                .deadline()
                .is_none_or(|due_ms| due_ms > self.now_ms)
        );
        self.check();
    }

    fn check(&self) {
        // Once it is over it is at rest, and the host learns so once.
        if let Some(end) = self.seen.iter().position(|kind| *kind >= 8) {
            let after = &self.seen[end + 1..];
            assert!(after.first().is_none_or(|next| *next < 2), "{after:?}");
        }
    }

    fn write(&mut self, count: usize) {
        let output = self.nats.output();
        let count = count.min(output.len());
        self.nats.wrote(self.now_ms, count);
    }
}

fn nats_session(input: &[u8]) -> Answer {
    let options = Options {
        credentials: Credentials::Token("secret".into()),
        ..Options::default()
    };
    let mut driver = Driver {
        nats: Connection::new(Arc::new(options)),
        now_ms: 1,
        published: 0,
        seen: vec![],
    };
    let mut script = Script::new(input);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        let op = script.byte();
        match op % 8 {
            0 => {
                let modes = [Tls::IfRequired, Tls::AfterInfo, Tls::First];
                driver
                    .nats
                    .opened(driver.now_ms, modes[usize::from(op >> 4) % 3]);
                driver.seen.clear();
            }
            1 => driver.tick([1, 700, 2_000, 9_000][usize::from(op >> 4) % 4]),
            2 => driver.nats.secured(driver.now_ms),
            3 => driver.write(usize::from(op >> 3)),
            4 => publish(&mut driver, script.piece()),
            5 => {
                let filter = String::from_utf8_lossy(script.piece());
                let _ = driver.nats.subscribe(u64::from(op), &filter);
                driver.nats.ping(driver.now_ms);
            }
            6 if op & 0x80 != 0 => driver.nats.closed(),
            _ => driver.receive(script.piece()),
        }
    }
    assert!(driver.nats.queued() <= QUEUE_BYTES_MAX);
    let kinds = driver.seen.iter().rev().take(4).collect::<Vec<_>>();
    Answer::of((driver.nats.is_up(), kinds, driver.published.min(3)))
}

/// Whatever is in a subject, one operation is one line and its payload.
fn publish(driver: &mut Driver, piece: &[u8]) {
    let text = String::from_utf8_lossy(piece);
    let (subject, reply) = text.split_once('\n').unwrap_or((&text, "r.1"));
    let before = driver.nats.queued();
    let published = driver
        .nats
        .publish(driver.now_ms, subject, Some(reply), piece);
    let grown = driver.nats.queued() - before;
    if published.is_err() {
        assert_eq!(grown, 0, "nothing is half written");
        return;
    }
    driver.published += 1;
    let digits = piece.len().to_string().len();
    let line = "PUB   \r\n".len() + subject.len() + reply.len() + digits;
    assert_eq!(grown, line + piece.len() + 2);
}

const INFO: &str = "INFO {\"server_id\":\"a\",\"version\":\"2.15.1\",\"proto\":1,\"headers\":true,\
    \"max_payload\":1024,\"nonce\":\"abc\",\
    \"connect_urls\":[\"10.0.0.1:4222\"],\"cluster\":\"c\"}\r\n";

fn lines() -> Vec<String> {
    [
        INFO,
        "PING\r\n",
        "PONG\r\n",
        "+OK\r\n",
        "-ERR 'Authorization Violation'\r\n",
        "-ERR 'Permissions Violation for Publish to \"a\"'\r\n",
        "MSG t.a 7 5\r\nhello\r\n",
        "MSG t.a 7 r.1.0.9 0\r\n\r\n",
        "HMSG r.1.0.9 3 38 38\r\nNATS/1.0 503\r\nNats-Subject: t.a.b\r\n\r\n\r\n",
        "HMSG t.a 3 r.2 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        "MSG t.a 7 2000\r\n",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn byte_seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (at, line) in lines().iter().enumerate() {
        let mut seed = vec![1 + u8::try_from(at).unwrap_or(0)];
        seed.extend(line.bytes());
        seeds.push(seed);
    }
    let mut all = vec![13];
    all.extend(lines().concat().bytes());
    all.extend([b'x'; 2_002]);
    seeds.push(all);
    seeds
}

fn session_seeds() -> Vec<Vec<u8>> {
    let mut up = vec![0x00, 0x07];
    put_piece(&mut up, INFO.as_bytes());
    up.push(0x07);
    put_piece(&mut up, b"PONG\r\n");
    let mut seeds = Vec::new();
    for line in lines() {
        let mut script = up.clone();
        script.push(0x07);
        put_piece(&mut script, line.as_bytes());
        script.push(0x04);
        put_piece(&mut script, b"t.a\nr.1.0.1");
        script.push(0x05);
        put_piece(&mut script, b"t.*");
        script.extend([0xfb, 0x21, 0x33, 0x86, 0x21]);
        seeds.push(script);
    }
    let secure = INFO.replace("\"proto\"", "\"tls_required\":true,\"proto\"");
    let mut script = vec![0x10, 0x07];
    put_piece(&mut script, secure.as_bytes());
    script.push(0x02);
    script.extend(&up[2 + 2 + INFO.len()..]);
    seeds.push(script);
    seeds
}
