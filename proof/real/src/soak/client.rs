//! The client of a user, of either SDK, with what a soak asks of it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tidings_client::{
    Client, ClientEvent, ConnectionState, Events, GapSource, Message, PeerReceipt, SendOptions,
};
use tidings_wire::codes::Outcome;
use tokio::sync::mpsc::UnboundedReceiver;

use super::node::{Node, NodeClient};
use crate::Failure;
use crate::program::APP;

/// A client of the Rust SDK or of the Node process.
#[derive(Debug, Clone)]
pub(super) enum AnyClient {
    /// Of the Rust SDK.
    Rust(Client),
    /// Of the JavaScript SDK.
    Node(NodeClient),
}

/// What a client is told.
#[derive(Debug)]
pub(super) enum AnyEvents {
    /// By the Rust SDK.
    Rust(Events),
    /// By the JavaScript SDK.
    Node(UnboundedReceiver<Heard>),
}

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The SDK's number; each method has its own.
    pub(super) code: u64,
    /// Whether it was not answered in time: it may have been done or not.
    pub(super) is_unanswered: bool,
    pub(super) text: String,
}

/// Something a client was told that a judge asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// The text of a message.
    Text(String),
    /// A member has come or gone.
    Member {
        channel: String,
        user: String,
        is_there: bool,
    },
    /// Events are missing: of a channel, or of peers.
    Gap {
        channel: Option<String>,
        told: String,
    },
    /// The client has given up, for this reason.
    Aborted(String),
}

impl Refusal {
    /// The client's process has ended: the event stream's end tells the judge.
    pub(super) fn gone() -> Self {
        Self {
            code: 0,
            is_unanswered: true,
            text: "the process of the client has ended".into(),
        }
    }

    fn of(code: u32, outcome: Option<Outcome>, error: &dyn std::fmt::Display) -> Self {
        Self {
            code: u64::from(code),
            is_unanswered: outcome == Some(Outcome::TimedOut),
            text: error.to_string(),
        }
    }
}

impl AnyClient {
    /// A client that is not logged in yet: of the JavaScript SDK where there is a process for it.
    ///
    /// # Errors
    /// [`Failure`] when the Rust SDK refuses the settings.
    pub(super) fn new(
        name: &str,
        address: SocketAddr,
        node: Option<&Arc<Node>>,
    ) -> Result<(Self, AnyEvents), Failure> {
        if let Some(node) = node {
            let (client, heard) = node.client(name, address);
            return Ok((Self::Node(client), AnyEvents::Node(heard)));
        }
        let (client, events) = Client::builder()
            .endpoint(format!("ws://{address}"))
            .app_id(APP)
            .build()
            .map_err(|error| Failure::new(format!("no client: {error}")))?;
        Ok((Self::Rust(client), AnyEvents::Rust(events)))
    }

    pub(super) async fn log_in(&self, user: &str) -> Result<(), Refusal> {
        match self {
            Self::Rust(client) => {
                let done = client.login(user, None).await;
                done.map_err(|error| Refusal::of(error.code(), error.outcome(), &error))
            }
            Self::Node(client) => client.ask("login", json!({ "uid": user })).await.map(drop),
        }
    }

    /// Without a link it is done locally.
    pub(super) async fn log_out(&self) {
        match self {
            Self::Rust(client) => drop(client.logout().await),
            Self::Node(client) => drop(client.ask("logout", json!({})).await),
        }
    }

    pub(super) async fn join(&self, channel: &str) -> Result<(), Refusal> {
        match self {
            Self::Rust(client) => {
                let done = client.channel(channel).join().await;
                done.map_err(|error| Refusal::of(error.code(), error.outcome(), &error))
            }
            Self::Node(client) => {
                let joined = client.ask("join", json!({ "channel": channel })).await;
                joined.map(drop)
            }
        }
    }

    pub(super) async fn send_to_channel(&self, channel: &str, text: String) -> Result<(), Refusal> {
        match self {
            Self::Rust(client) => {
                let sent = client.channel(channel).send(text).await;
                sent.map_err(|error| Refusal::of(error.code(), error.outcome(), &error))
            }
            Self::Node(client) => {
                let arguments = json!({ "channel": channel, "text": text });
                client.ask("sendChannel", arguments).await.map(drop)
            }
        }
    }

    /// Gives whether the peer has got it.
    pub(super) async fn send_to_peer(
        &self,
        peer: &str,
        text: String,
        is_offline: bool,
    ) -> Result<bool, Refusal> {
        match self {
            Self::Rust(client) => {
                let options = if is_offline {
                    SendOptions::new().offline()
                } else {
                    SendOptions::new()
                };
                match client.send_to_peer(peer, text, options).await {
                    Ok(receipt) => Ok(receipt == PeerReceipt::Received),
                    Err(error) => Err(Refusal::of(error.code(), error.outcome(), &error)),
                }
            }
            Self::Node(client) => {
                let arguments = json!({ "to": peer, "text": text, "offline": is_offline });
                let sent = client.ask("sendPeer", arguments).await?;
                Ok(sent["hasPeerReceived"] == true)
            }
        }
    }

    /// Tells the client that its network may be back, as a device would.
    pub(super) async fn wake(&self) {
        match self {
            Self::Rust(client) => client.wake().await,
            Self::Node(client) => client.tell("online", json!({})),
        }
    }
}

impl AnyEvents {
    /// The next; none when the client, or its process, is gone.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        match self {
            Self::Rust(events) => loop {
                if let Some(heard) = heard(events.next().await?) {
                    return Some(heard);
                }
            },
            Self::Node(heard) => heard.recv().await,
        }
    }
}

fn heard(event: ClientEvent) -> Option<Heard> {
    Some(match event {
        ClientEvent::PeerMessage {
            message: Message::Text(text),
            ..
        }
        | ClientEvent::ChannelMessage {
            message: Message::Text(text),
            ..
        } => Heard::Text(text),
        ClientEvent::MemberJoined { channel, user_id } => Heard::Member {
            channel,
            user: user_id,
            is_there: true,
        },
        ClientEvent::MemberLeft { channel, user_id } => Heard::Member {
            channel,
            user: user_id,
            is_there: false,
        },
        ClientEvent::Gap {
            source,
            cause,
            missed,
        } => {
            let told = format!("a gap in {source:?}, {cause:?}, {missed:?} missed");
            let channel = match source {
                GapSource::Channel(channel) => Some(channel),
                GapSource::Inbox => None,
            };
            Heard::Gap { channel, told }
        }
        ClientEvent::StateChanged {
            state: ConnectionState::Aborted,
            reason,
        } => Heard::Aborted(reason.name().to_owned()),
        _ => return None,
    })
}
