//! The operations whose cost is measured.

use tidings_wire::limits::HEARTBEAT_MS;
use tidings_wire::proto::client_message::Kind;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{
    Join, Leave, Login, Logout, Message, Ping, Pong, SendToChannel, SendToPeer, SubscribePresence,
    message,
};

use crate::desk::{APP, Desk, Step};

/// Members of a small channel.
const ROOM_MEMBERS: usize = 10;

/// Bytes of a message.
const MESSAGE_BYTES: usize = 128;

/// Messages to everybody: few, because each is one delivery per user.
const FANOUT_MESSAGES: usize = 8;

/// The channel that everybody is a member of.
const EVERYBODY: &str = "everybody";

/// An operation at a populated hub. Operations are prepared and measured in the order of
/// [`Work::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A new user logs in. Per login.
    Login,
    /// A client pings the server. Per ping.
    Ping,
    /// A new user joins everybody's channel. Per join.
    Join,
    /// A message to a channel of ten; there is one such channel for every ten users. Per message.
    Publish,
    /// A message to everybody. Per delivery.
    FanOut,
    /// A client confirms what it was sent: eight frames. Per confirmation.
    Confirm,
    /// A message to a user, its receiver's confirmation, the receipt. Per message.
    Peer,
    /// A user leaves everybody's channel. Per leave.
    Leave,
    /// The hub pings a silent client, which answers. Per client.
    Heartbeat,
    /// A client starts to watch the user that everybody watches. Per call.
    Watch,
    /// The state of that user changes. Per watcher.
    Presence,
    /// A user logs out. Per logout.
    Logout,
}

/// An operation, ready to be measured.
#[derive(Debug)]
pub struct Prepared {
    /// The inputs for the hub.
    pub steps: Vec<Step>,
    /// The number that the cost is divided by.
    pub units: u64,
}

/// A hub with this many users, each a member of everybody's channel and of a channel of ten.
pub fn populate(users: usize) -> Desk {
    let mut desk = Desk::new(2 * users + 1024);
    for user in 0..users {
        let client = log_in(&mut desk);
        debug_assert_eq!(client, user, "clients are numbered from 0");
        join(&mut desk, client, EVERYBODY);
        join(&mut desk, client, &room(client));
    }
    // Counts of the large channel are sent a while later.
    desk.step(&Step::Wait(2_000));
    desk.confirm_all();
    desk
}

/// Logs in one more client; returns its number.
pub fn log_in(desk: &mut Desk) -> usize {
    let (client, steps) = login(desk);
    steps.iter().for_each(|step| desk.step(step));
    client
}

fn login(desk: &mut Desk) -> (usize, [Step; 2]) {
    let client = desk.add_client();
    let login = Kind::Login(Login {
        app_id: APP.into(),
        user_id: format!("user{client}"),
        token: String::new(),
        client: "bench".into(),
        ..Login::default()
    });
    let bytes = desk.message(login);
    (client, [Step::Open(client), Step::Bytes(client, bytes)])
}

fn join(desk: &mut Desk, client: usize, channel: &str) {
    let channel = channel.to_owned();
    let bytes = desk.request(client, Call::Join(Join { channel }));
    desk.step(&Step::Bytes(client, bytes));
}

fn room(client: usize) -> String {
    format!("room{}", client / ROOM_MEMBERS)
}

fn text() -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text(vec![b'x'; MESSAGE_BYTES].into())),
        ..Message::default()
    })
}

/// Gives the prepared steps to the hub. Never inlined: the instruction counter identifies it by its
/// name.
#[inline(never)]
pub fn measured(desk: &mut Desk, steps: &[Step]) {
    for step in steps {
        desk.step(step);
    }
}

impl Work {
    /// All operations, in order.
    pub const ALL: [Self; 12] = [
        Self::Login,
        Self::Ping,
        Self::Join,
        Self::Publish,
        Self::FanOut,
        Self::Confirm,
        Self::Peer,
        Self::Leave,
        Self::Heartbeat,
        Self::Watch,
        Self::Presence,
        Self::Logout,
    ];

    /// Its name in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Ping => "ping",
            Self::Join => "join",
            Self::Publish => "publish",
            Self::FanOut => "fan_out",
            Self::Confirm => "confirm",
            Self::Peer => "peer",
            Self::Leave => "leave",
            Self::Heartbeat => "heartbeat",
            Self::Watch => "watch",
            Self::Presence => "presence",
            Self::Logout => "logout",
        }
    }

    /// Prepares it at a hub populated with this many users, to be done `times` times, but at most
    /// once per user, where that can be chosen.
    pub fn prepare(self, desk: &mut Desk, users: usize, times: usize) -> Prepared {
        // The newcomers of `Login` are the last users; the other operations are spread over all
        // users.
        let newcomers = users..users + times;
        let spread = |n: usize| n * (users / times);
        let (steps, units): (Vec<Step>, usize) = match self {
            Self::Login => {
                let steps = (0..times).flat_map(|_| login(desk).1).collect();
                (steps, times)
            }
            Self::Ping => {
                let bytes = desk.message(Kind::Ping(Ping {}));
                let step = |n| Step::Bytes(spread(n), bytes.clone());
                ((0..times).map(step).collect(), times)
            }
            Self::Join => {
                let channel = EVERYBODY.to_owned();
                let call = Call::Join(Join { channel });
                (calls(desk, newcomers, |_| call.clone()), times)
            }
            Self::Publish => {
                let steps = calls(desk, (0..times).map(spread), |client| {
                    send(room(client), text())
                });
                (steps, times)
            }
            Self::FanOut => {
                let senders = 0..FANOUT_MESSAGES;
                let steps = calls(desk, senders, |_| send(EVERYBODY.into(), text()));
                // The newcomers have joined; a sender gets no copy.
                (steps, FANOUT_MESSAGES * (users + times - 1))
            }
            Self::Confirm => {
                let step = |client| Step::Bytes(client, desk.confirm(client, 0));
                ((0..users).map(step).collect(), users)
            }
            Self::Peer => (peer_messages(desk, times, spread), times),
            Self::Leave => {
                let channel = EVERYBODY.to_owned();
                let call = Call::Leave(Leave { channel });
                (calls(desk, newcomers, |_| call.clone()), times)
            }
            Self::Heartbeat => {
                let bytes = desk.message(Kind::Pong(Pong {}));
                let clients = 0..users + times;
                let mut steps = vec![Step::Wait(HEARTBEAT_MS)];
                steps.extend(clients.map(|client| Step::Bytes(client, bytes.clone())));
                (steps, users + times)
            }
            Self::Watch => {
                let user_ids = vec!["user0".to_owned()];
                let call = Call::SubscribePresence(SubscribePresence { user_ids });
                (calls(desk, 1..users, |_| call.clone()), users - 1)
            }
            Self::Presence => {
                let steps = calls(desk, 0..1, |_| Call::Logout(Logout {}));
                (steps, users - 1)
            }
            Self::Logout => {
                let steps = calls(desk, newcomers, |_| Call::Logout(Logout {}));
                (steps, times)
            }
        };
        Prepared {
            steps,
            units: units as u64,
        }
    }
}

fn send(channel: String, message: Option<Message>) -> Call {
    Call::SendToChannel(SendToChannel {
        channel,
        message,
        history: false,
    })
}

fn calls(
    desk: &mut Desk,
    clients: impl Iterator<Item = usize>,
    call: impl Fn(usize) -> Call,
) -> Vec<Step> {
    clients
        .map(|client| Step::Bytes(client, desk.request(client, call(client))))
        .collect()
}

/// Each from one user to the next, confirmed by its receiver.
fn peer_messages(desk: &mut Desk, times: usize, spread: impl Fn(usize) -> usize) -> Vec<Step> {
    let mut steps = Vec::with_capacity(2 * times);
    for n in 0..times {
        let (from, to) = (spread(n), spread(n) + 1);
        let call = Call::SendToPeer(SendToPeer {
            peer_id: format!("user{to}"),
            message: text(),
            offline: false,
            history: false,
        });
        steps.push(Step::Bytes(from, desk.request(from, call)));
        steps.push(Step::Bytes(to, desk.confirm(to, 1)));
    }
    steps
}
