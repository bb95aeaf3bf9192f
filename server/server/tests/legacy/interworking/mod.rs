//! Legacy and RTM users of one app, on a server of two hubs, each pair on the same hub and on
//! different ones.

use std::fmt;
use std::net::TcpStream;

use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Message, Reply, SendToPeer, message, reply};

use crate::client::Legacy;
use crate::common::{APP, Client, Seen, TestServer};

mod calls;
mod channels;
mod messages;
mod users;

/// Each attempt lands on either hub as the kernel likes: all of them fail once in 2^200 tests.
const ATTEMPTS: usize = 200;

type Rtm = Client<TcpStream>;

/// Where the parties are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placement {
    Same,
    Different,
}

impl Placement {
    const BOTH: [Self; 2] = [Self::Same, Self::Different];

    fn suits(self, one: u16, other: u16) -> bool {
        (one == other) == (self == Self::Same)
    }
}

/// A part of names, so that each placement has its own.
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Different => "different",
        })
    }
}

/// Connects until the connection is where it is wanted.
fn placed<C>(connect: impl Fn() -> C, suits: impl Fn(&C) -> bool) -> C {
    (0..ATTEMPTS)
        .map(|_| connect())
        .find(|client| suits(client))
        .unwrap_or_else(|| panic!("none of {ATTEMPTS} connections is on the wanted hub"))
}

/// An RTM user placed to where a legacy user, or whoever is on `hub`, is.
fn rtm_at(server: &TestServer, placement: Placement, hub: u16, user: &str) -> Rtm {
    let connect = || Client::connect(server.address());
    let mut rtm = placed(connect, |rtm: &Rtm| {
        placement.suits(rtm.hub.expect("the handshake was ours"), hub)
    });
    rtm.log_in(user);
    rtm
}

/// The reverse: a legacy user, which polls once.
fn legacy_at(server: &TestServer, placement: Placement, hub: u16, account: &str) -> Legacy {
    let connect = || Legacy::open(server.address(), &format!("/legacy/{APP}"));
    let open = placed(connect, |legacy: &Legacy| placement.suits(legacy.hub, hub));
    let mut legacy = open.logged_in(account);
    legacy.poll(0);
    legacy
}

/// One user of each world.
struct Pair {
    legacy: Legacy,
    rtm: Rtm,
    old: String,
    new: String,
}

impl Pair {
    fn meet(server: &TestServer, placement: Placement) -> Self {
        let (old, new) = (format!("old-{placement}"), format!("new-{placement}"));
        Self::named(server, placement, old, new)
    }

    fn named(server: &TestServer, placement: Placement, old: String, new: String) -> Self {
        let mut legacy = Legacy::login(server.address(), &old);
        legacy.poll(0);
        let rtm = rtm_at(server, placement, legacy.hub, &new);
        Self {
            legacy,
            rtm,
            old,
            new,
        }
    }
}

fn text(text: &str) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text(text.to_owned().into_bytes().into())),
        ..Message::default()
    })
}

/// The text that a message holds.
fn words(message: Option<Message>) -> String {
    match message.and_then(|message| message.body) {
        Some(message::Body::Text(text)) => String::from_utf8_lossy(&text).into_owned(),
        other => panic!("no text but {other:?}"),
    }
}

/// The next message that is no reply and no count.
fn event(rtm: &mut Rtm) -> Kind {
    loop {
        match rtm.next() {
            Seen::Message(Kind::Reply(_) | Kind::MemberCount(_) | Kind::Ping(_)) => {}
            Seen::Message(kind) => {
                rtm.confirm_all();
                return kind;
            }
            other => panic!("no event but {other:?}"),
        }
    }
}

/// Sends to a peer and gives what the server answers.
fn send(rtm: &mut Rtm, peer: &str, message: Option<Message>, offline: bool) -> bool {
    let call = rtm.call(Call::SendToPeer(SendToPeer {
        peer_id: peer.into(),
        message,
        offline,
        history: false,
    }));
    match rtm.reply(call).result {
        Some(reply::Result::PeerSent(sent)) => sent.received,
        other => panic!("{other:?}"),
    }
}

/// That nothing was pushed: what the client hears next is the answer to its poll.
fn assert_nothing_pushed(legacy: &mut Legacy) {
    let poll = serde_json::json!({"ver_clear": 0, "max": 30});
    let call = legacy.start("user_getmsg", poll);
    let frame = legacy.frame();
    assert_eq!(
        (&frame[0], &frame[1][0]),
        (&"call2-ret".into(), &call.into()),
        "{frame}"
    );
}

fn is_refused(reply: &Reply) -> bool {
    matches!(reply.result, Some(reply::Result::Error(_)))
}
