//! The Pusher protocol, as sockudo speaks it. Rooms and users are private channels: members may
//! send to no other kind.

use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use tidings_wire::ws::Kind;

use super::{Driver, News, body_in};
use crate::link::Out;

/// The app of the comparison; the server is started with it.
pub(crate) const KEY: &str = "load";
pub(crate) const SECRET: &str = "load-secret";

pub(crate) struct Sockudo {
    first: usize,
    /// The server's names for the connections, which the proof for a private channel covers.
    names: Vec<String>,
}

/// The parsed part of an event that carries no message.
#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    data: serde_json::Value,
}

#[derive(Deserialize)]
struct Established {
    socket_id: String,
}

impl Sockudo {
    pub(crate) fn new(first: usize) -> Self {
        Self {
            first,
            names: Vec::new(),
        }
    }

    fn subscribe(&self, link: usize, channel: &str, out: &mut Out<'_>) {
        let name = self.names.get(link).map_or("", String::as_str);
        let auth = proof(name, channel);
        let data = json!({ "channel": channel, "auth": auth });
        let event = json!({ "event": "pusher:subscribe", "data": data });
        out.send(Kind::Text, event.to_string().as_bytes());
    }
}

/// The proof that the app lets a connection into a private channel.
fn proof(connection: &str, channel: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may have any length");
    mac.update(format!("{connection}:{channel}").as_bytes());
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{KEY}:{hex}")
}

fn send(channel: &str, body: &[u8], out: &mut Out<'_>) {
    let data = String::from_utf8_lossy(body);
    let event = json!({ "event": "client-m", "channel": channel, "data": data });
    out.send(Kind::Text, event.to_string().as_bytes());
}

impl Driver for Sockudo {
    fn path(&self, _link: usize) -> String {
        format!("/app/{KEY}?protocol=7&client=load&version=1")
    }

    fn protocol(&self) -> &'static str {
        ""
    }

    fn has_echo(&self) -> bool {
        false
    }

    /// The server sends first.
    fn opened(&mut self, _link: usize, _out: &mut Out<'_>) {}

    fn join(&mut self, link: usize, room: usize, out: &mut Out<'_>) {
        self.subscribe(link, &format!("private-room{room}"), out);
    }

    fn publish(&mut self, _link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        send(&format!("private-room{room}"), body, out);
        0
    }

    /// Senders must be subscribed to the channel: each pair has one of its own, named after its
    /// first user.
    fn message(&mut self, _link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        send(&format!("private-pair{}", (self.first + to) / 2), body, out);
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
        if let Some(body) = body_in(payload) {
            return tell(News::Delivery(body));
        }
        let refused = || News::Refused(String::from_utf8_lossy(payload).into_owned());
        let Ok(event) = serde_json::from_slice::<Event>(payload) else {
            return tell(refused());
        };
        match event.event.as_str() {
            "pusher:connection_established" => {
                let text = event.data.as_str().unwrap_or_default();
                let Ok(established) = serde_json::from_str::<Established>(text) else {
                    return tell(refused());
                };
                if self.names.len() <= link {
                    self.names.resize(link + 1, String::new());
                }
                self.names[link] = established.socket_id;
                self.subscribe(
                    link,
                    &format!("private-pair{}", (self.first + link) / 2),
                    out,
                );
            }
            "pusher_internal:subscription_succeeded" => {
                tell(if event.channel.starts_with("private-pair") {
                    News::LoggedIn
                } else {
                    News::Joined
                });
            }
            "pusher:ping" => out.send(Kind::Text, br#"{"event":"pusher:pong","data":{}}"#),
            "pusher:error" | "pusher:subscription_error" => tell(refused()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another program: `printf 1.2:private-a | openssl dgst -sha256 -hmac
    /// load-secret`.
    #[test]
    fn a_proof_is_of_connection_and_channel() {
        assert_eq!(proof("1.2", "private-a"), PROOF);
    }

    const PROOF: &str = "load:1c63cc2c22567a8b2b77bb754e141205992e4007a91a0600aaca73d00ed37dcf";
}
