//! MQTT 3.1.1 over WebSocket, at QoS 0. Rooms and users are topics.

use tidings_wire::ws::Kind;

use super::{Driver, MARK, News};
use crate::link::Out;

/// Seconds after which a silent client is considered lost.
const KEEP_ALIVE_S: u16 = 600;

pub(crate) struct Mqtt {
    first: usize,
    rests: Vec<Vec<u8>>,
    /// Subscriptions that have been confirmed, by connection: the first is the user's own.
    subscribed: Vec<u8>,
}

impl Mqtt {
    pub(crate) fn new(first: usize) -> Self {
        Self {
            first,
            rests: Vec::new(),
            subscribed: Vec::new(),
        }
    }

    fn room_for(&mut self, link: usize) {
        if self.rests.len() <= link {
            self.rests.resize(link + 1, Vec::new());
            self.subscribed.resize(link + 1, 0);
        }
    }
}

fn packet(kind: u8, parts: &[&[u8]], out: &mut Out<'_>) {
    let mut len: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![kind];
    loop {
        let digit = (len % 128) as u8;
        len /= 128;
        bytes.push(if len > 0 { digit | 0x80 } else { digit });
        if len == 0 {
            break;
        }
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    out.send(Kind::Binary, &bytes);
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes()
        .to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn subscribe(topic: &str, out: &mut Out<'_>) {
    packet(0x82, &[&[0, 1], &text(topic), &[0]], out);
}

fn publish(topic: &str, body: &[u8], out: &mut Out<'_>) {
    packet(0x30, &[&text(topic), body], out);
}

impl Driver for Mqtt {
    fn path(&self, _link: usize) -> String {
        "/".into()
    }

    fn protocol(&self) -> &'static str {
        "mqtt"
    }

    /// MQTT 3.1.1 cannot exclude the sender.
    fn has_echo(&self) -> bool {
        true
    }

    fn opened(&mut self, link: usize, out: &mut Out<'_>) {
        self.room_for(link);
        let id = text(&format!("user{}", self.first + link));
        let head = [&text("MQTT")[..], &[4, 2], &KEEP_ALIVE_S.to_be_bytes()].concat();
        packet(0x10, &[&head, &id], out);
    }

    fn join(&mut self, _link: usize, room: usize, out: &mut Out<'_>) {
        subscribe(&format!("room/{room}"), out);
    }

    fn publish(&mut self, _link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        publish(&format!("room/{room}"), body, out);
        0
    }

    fn message(&mut self, _link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        publish(&format!("user/{}", self.first + to), body, out);
        0
    }

    fn take(
        &mut self,
        link: usize,
        _kind: Kind,
        payload: &[u8],
        out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    ) {
        self.room_for(link);
        let mut held = std::mem::take(&mut self.rests[link]);
        let bytes = if held.is_empty() {
            payload
        } else {
            held.extend_from_slice(payload);
            &held
        };
        let mut at = 0;
        while let Some((head, len)) = length(&bytes[at..]) {
            if bytes.len() < at + head + len {
                break;
            }
            let body = &bytes[at + head..at + head + len];
            match bytes[at] >> 4 {
                2 if body.get(1) == Some(&0) => {
                    subscribe(&format!("user/{}", self.first + link), out)
                }
                2 => tell(News::Refused(format!("CONNACK {:?}", body.get(1)))),
                9 => {
                    let count = &mut self.subscribed[link];
                    *count = count.saturating_add(1);
                    tell(if *count == 1 {
                        News::LoggedIn
                    } else {
                        News::Joined
                    });
                }
                3 => {
                    let topic = body
                        .first_chunk()
                        .map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
                    let body = body.get(2 + topic..).unwrap_or_default();
                    tell(News::Delivery(body.strip_prefix(MARK).unwrap_or(body)));
                }
                _ => {}
            }
            at += head + len;
        }
        self.rests[link] = bytes[at..].to_vec();
    }
}

/// Lengths of a packet's header and of its content, if the header is complete.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut len = 0;
    for (index, byte) in bytes.iter().skip(1).take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((index + 2, len));
        }
    }
    None
}
