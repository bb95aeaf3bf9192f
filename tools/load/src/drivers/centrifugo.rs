//! Centrifugo's JSON protocol over WebSocket, in both versions: commands and answers are lines of
//! JSON. Version 1 is spoken by the engine that Debian packages (`peers/centrifuge.go`), version 2
//! by Centrifugo from version 4 on.
//!
//! The server must let clients connect without a token, subscribe to `room<N>` and `user<N>`, and
//! publish there.

use serde::Deserialize;
use serde_json::json;
use tidings_wire::ws::Kind;

use super::{Driver, News, body_in};
use crate::link::Out;

/// Numbers of a connection's commands: connect, subscribe to the user's channel, join a room,
/// publish.
const CONNECT: u64 = 1;
const LOGIN: u64 = 2;
const JOIN: u64 = 3;
const PUBLISH: u64 = 4;

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

pub(crate) struct Centrifugo {
    first: usize,
    version: Version,
}

/// The parsed part of an answer that carries no message.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: u64,
    error: Option<serde_json::Value>,
    disconnect: Option<serde_json::Value>,
}

impl Centrifugo {
    pub(crate) fn new(first: usize, version: Version) -> Self {
        Self { first, version }
    }

    fn command(&self, id: u64, name: &str, mut parameters: serde_json::Value) -> Vec<u8> {
        let command = match self.version {
            Version::V1 => {
                // In that version, methods are numbers.
                let method = ["connect", "subscribe", "unsubscribe", "publish"]
                    .iter()
                    .position(|method| *method == name);
                json!({ "id": id, "method": method, "params": parameters.take() })
            }
            Version::V2 => json!({ "id": id, name: parameters.take() }),
        };
        command.to_string().into_bytes()
    }

    fn subscribe(&self, id: u64, channel: &str, out: &mut Out<'_>) {
        let command = self.command(id, "subscribe", json!({ "channel": channel }));
        out.send(Kind::Text, &command);
    }

    fn publish_to(&self, channel: &str, body: &[u8], out: &mut Out<'_>) {
        let data = String::from_utf8_lossy(body);
        let command = self.command(
            PUBLISH,
            "publish",
            json!({ "channel": channel, "data": data }),
        );
        out.send(Kind::Text, &command);
    }
}

impl Driver for Centrifugo {
    fn path(&self, _link: usize) -> String {
        "/connection/websocket".into()
    }

    fn protocol(&self) -> &'static str {
        ""
    }

    /// A publisher that has subscribed receives its own message.
    fn has_echo(&self) -> bool {
        true
    }

    fn opened(&mut self, _link: usize, out: &mut Out<'_>) {
        out.send(Kind::Text, &self.command(CONNECT, "connect", json!({})));
    }

    fn join(&mut self, _link: usize, room: usize, out: &mut Out<'_>) {
        self.subscribe(JOIN, &format!("room{room}"), out);
    }

    fn publish(&mut self, _link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        self.publish_to(&format!("room{room}"), body, out);
        0
    }

    fn message(&mut self, _link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        self.publish_to(&format!("user{}", self.first + to), body, out);
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
        for line in payload.split(|byte| *byte == b'\n') {
            if let Some(body) = body_in(line) {
                tell(News::Delivery(body));
                continue;
            }
            match line {
                b"" => {}
                // A ping, whose answer looks the same.
                b"{}" => out.send(Kind::Text, b"{}"),
                line => match serde_json::from_slice(line) {
                    Ok(Answer {
                        error: None,
                        disconnect: None,
                        id,
                    }) => match id {
                        CONNECT => {
                            self.subscribe(LOGIN, &format!("user{}", self.first + link), out)
                        }
                        LOGIN => tell(News::LoggedIn),
                        JOIN => tell(News::Joined),
                        _ => {}
                    },
                    _ => tell(News::Refused(String::from_utf8_lossy(line).into_owned())),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MARK;
    use super::*;

    fn taken(version: Version, payload: &[u8]) -> (Vec<String>, usize) {
        let (mut news, mut bytes) = (Vec::new(), Vec::new());
        Centrifugo::new(0, version).take(
            7,
            Kind::Text,
            payload,
            &mut Out::new(&mut bytes),
            &mut |one| {
                news.push(
                    format!("{one:?}")
                        .split('(')
                        .next()
                        .unwrap_or("")
                        .to_owned(),
                )
            },
        );
        (news, bytes.len())
    }

    #[test]
    fn commands_of_both_versions() {
        let command = |version, name| {
            let driver = Centrifugo::new(0, version);
            String::from_utf8(driver.command(3, name, json!({ "channel": "a" }))).expect("JSON")
        };
        assert_eq!(
            command(Version::V1, "publish"),
            r#"{"id":3,"method":3,"params":{"channel":"a"}}"#
        );
        assert_eq!(
            command(Version::V2, "subscribe"),
            r#"{"id":3,"subscribe":{"channel":"a"}}"#
        );
    }

    #[test]
    fn lines_are_told_apart() {
        let push = [
            br#"{"push":{"channel":"a","pub":{"data":""#.as_slice(),
            MARK,
            br#"00"}}}"#,
        ]
        .concat();
        let lines = [br#"{"id":2,"subscribe":{}}"#.as_slice(), &push].join(&b'\n');
        assert_eq!(taken(Version::V2, &lines).0, ["LoggedIn", "Delivery"]);
        let refusal = br#"{"id":3,"error":{"code":103,"message":"permission denied"}}"#;
        assert_eq!(taken(Version::V2, refusal).0, ["Refused"]);
        // An answer to a ping is a frame with a mask and two bytes.
        assert_eq!(taken(Version::V2, b"{}"), (vec![], 8));
        assert_eq!(taken(Version::V1, br#"{"id":3,"result":{}}"#).0, ["Joined"]);
    }
}
