//! Two and three nodes that are joined by a real NATS server: their users see one world.

mod common;

use std::net::TcpStream;

use common::nats_servers::{Nats, settings};
use common::{Client, Seen, TestServer, config, until};
use tidings_server::{ServerConfig, init_cluster};
use tidings_wire::codes::CloseCode;
use tidings_wire::proto::message::Body;
use tidings_wire::proto::reply::Result as Outcome;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Done, GetMembers, Join, Leave, Message, PeerSent, Presence, PresenceList, PresenceState,
    SendToChannel, SendToPeer, SubscribePresence, UserList,
};

/// A NATS server with nodes, of two hubs each.
struct Cluster {
    /// Before the server that they need, so that they end first.
    nodes: Vec<TestServer>,
    nats: Nats,
}

impl Cluster {
    fn start(nodes: usize) -> Self {
        let nats = Nats::alone();
        init_cluster(&settings("commands", &[&nats])).expect("the cluster is made");
        let mut cluster = Self {
            nodes: Vec::new(),
            nats,
        };
        for _ in 0..nodes {
            cluster.add();
        }
        // So that all have one clock: without, the order of two logins is not sure for 250 ms.
        for node in &cluster.nodes {
            until("heartbeats of the others", || {
                let report = node.running().handle().report(common::PATIENCE);
                let mut lives = report.hubs.iter().map(|hub| hub.live);
                lives.all(|live| live.is_some_and(|live| live.received > 4))
            });
        }
        cluster
    }

    fn config(&self, name: &str) -> ServerConfig {
        let mut config = config();
        config.cluster = Some(settings(name, &[&self.nats]));
        config
    }

    fn add(&mut self) {
        let name = format!("n{}", self.nodes.len());
        self.nodes.push(TestServer::start(self.config(&name)));
        let node = self.nodes.last().expect("it is there");
        until("its hubs are connected", || are_up(node, true));
    }

    /// A client that has logged in on a node.
    fn login(&self, node: usize, user: &str) -> Client<TcpStream> {
        Client::login(self.nodes[node].address(), user)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All at once, not one after the other.
        for node in &self.nodes {
            node.running().drain();
        }
    }
}

/// Whether all hubs of the node are connected to NATS, or none.
fn are_up(node: &TestServer, is_up: bool) -> bool {
    let report = node.running().handle().report(common::PATIENCE);
    let mut links = report.hubs.iter().map(|hub| hub.link.as_ref());
    report.silent_hubs == 0 && links.all(|link| link.is_some_and(|link| link.is_up == is_up))
}

fn text(text: &str) -> Message {
    Message {
        body: Some(Body::Text(text.to_owned().into())),
        ..Default::default()
    }
}

/// Waits for a message of the server of this kind; what comes before it is dropped.
fn see<T>(client: &mut Client<TcpStream>, mut is_it: impl FnMut(Kind) -> Option<T>) -> T {
    loop {
        match client.next() {
            Seen::Message(kind) => {
                if let Some(it) = is_it(kind) {
                    return it;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn done(client: &mut Client<TcpStream>, call: Call) {
    let cseq = client.call(call);
    assert_eq!(client.reply(cseq).result, Some(Outcome::Done(Done {})));
}

fn join(client: &mut Client<TcpStream>, channel: &str) {
    let channel = channel.into();
    done(client, Call::Join(Join { channel }));
}

fn say(client: &mut Client<TcpStream>, channel: &str, words: &str) -> u64 {
    client.call(Call::SendToChannel(SendToChannel {
        channel: channel.into(),
        message: Some(text(words)),
        ..Default::default()
    }))
}

fn said(client: &mut Client<TcpStream>) -> (String, String) {
    see(client, |kind| match kind {
        Kind::ChannelMessage(it) => match it.message.and_then(|message| message.body) {
            Some(Body::Text(words)) => Some((
                it.from.to_string(),
                String::from_utf8_lossy(&words).into_owned(),
            )),
            other => panic!("{other:?}"),
        },
        _ => None,
    })
}

fn tell(client: &mut Client<TcpStream>, peer: &str, words: &str) -> u64 {
    client.call(Call::SendToPeer(SendToPeer {
        peer_id: peer.into(),
        message: Some(text(words)),
        ..Default::default()
    }))
}

fn received(client: &mut Client<TcpStream>, cseq: u64) -> bool {
    match client.reply(cseq).result {
        Some(Outcome::PeerSent(PeerSent { received })) => received,
        other => panic!("{other:?}"),
    }
}

fn members(client: &mut Client<TcpStream>, channel: &str) -> Vec<String> {
    let channel = channel.into();
    let cseq = client.call(Call::GetMembers(GetMembers { channel }));
    match client.reply(cseq).result {
        Some(Outcome::Users(UserList { mut user_ids })) => {
            user_ids.sort();
            user_ids
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_on_all_nodes_see_one_channel() {
    let cluster = Cluster::start(3);
    let mut all: Vec<_> = (0..3)
        .map(|node| cluster.login(node, &format!("user{node}")))
        .collect();
    join(&mut all[0], "room");
    join(&mut all[1], "room");
    let joined = |kind| match kind {
        Kind::MemberJoined(it) => Some(it.user_id),
        _ => None,
    };
    assert_eq!(see(&mut all[0], joined), "user1");
    join(&mut all[2], "room");
    assert_eq!(see(&mut all[0], joined), "user2");
    assert_eq!(see(&mut all[1], joined), "user2");
    for client in &mut all {
        assert_eq!(members(client, "room"), ["user0", "user1", "user2"]);
    }
    // Each sender's messages come in its order, and before its leaving.
    for (from, client) in all.iter_mut().enumerate() {
        for number in 0..20 {
            say(client, "room", &format!("{from}:{number}"));
        }
    }
    for (to, client) in all.iter_mut().enumerate() {
        let mut next = [0; 3];
        next[to] = 20;
        while next != [20; 3] {
            let (user, words) = said(client);
            let from = usize::from(user.as_bytes()[4] - b'0');
            assert_eq!(words, format!("{from}:{}", next[from]));
            next[from] += 1;
        }
    }
    let channel = "room".to_owned();
    done(&mut all[1], Call::Leave(Leave { channel }));
    for to in [0, 2] {
        let left = see(&mut all[to], |kind| match kind {
            Kind::MemberLeft(it) => Some(it.user_id),
            Kind::ChannelMessage(_) => panic!("no message is left"),
            _ => None,
        });
        assert_eq!(left, "user1");
    }
}

#[test]
fn a_peer_on_another_node_gets_messages_and_confirms_them() {
    let cluster = Cluster::start(2);
    let mut alice = cluster.login(0, "alice");
    let mut bob = cluster.login(1, "bob");
    for (number, words) in ["hello", "again"].iter().enumerate() {
        let cseq = tell(&mut alice, "bob", words);
        let heard = see(&mut bob, |kind| match kind {
            Kind::PeerMessage(it) => Some((it.from, it.message)),
            _ => None,
        });
        assert_eq!(heard, ("alice".into(), Some(text(words))));
        bob.confirm(number as u64 + 1);
        assert!(received(&mut alice, cseq));
    }
    // Nobody is nobody on the whole cluster, and that is said at once.
    let cseq = tell(&mut alice, "carol", "hello");
    assert!(!received(&mut alice, cseq));
}

#[test]
fn presence_is_seen_over_nodes() {
    let cluster = Cluster::start(2);
    let mut alice = cluster.login(0, "alice");
    let cseq = alice.call(Call::SubscribePresence(SubscribePresence {
        user_ids: vec!["bob".into()],
    }));
    let is = |state: PresenceState| Presence {
        user_id: "bob".into(),
        state: state.into(),
    };
    let list = |state| {
        let users = vec![is(state)];
        Some(Outcome::Presence(PresenceList { users }))
    };
    assert!(alice.reply(cseq).result.is_some());
    let changed = |client: &mut Client<TcpStream>| {
        see(client, |kind| match kind {
            Kind::PresenceChanged(it) => Some(it.users),
            _ => None,
        })
    };
    let bob = cluster.login(1, "bob");
    let mut seen = changed(&mut alice);
    if seen == [is(PresenceState::Offline)] {
        seen = changed(&mut alice);
    }
    assert_eq!(seen, [is(PresenceState::Online)]);
    let mut carol = cluster.login(0, "carol");
    let cseq = carol.call(Call::QueryPresence(tidings_wire::proto::QueryPresence {
        user_ids: vec!["bob".into()],
    }));
    let answer = carol.reply(cseq).result;
    assert_eq!(answer, list(PresenceState::Online));
    drop(bob);
}

#[test]
fn of_two_logins_on_two_nodes_the_later_one_wins() {
    let cluster = Cluster::start(2);
    let mut first = cluster.login(0, "alice");
    let mut second = cluster.login(1, "alice");
    let (code, _) = first.closed();
    assert_eq!(code, Some(CloseCode::RemoteLogin as u16));
    let mut bob = cluster.login(0, "bob");
    let cseq = tell(&mut bob, "alice", "hello");
    see(&mut second, |kind| {
        matches!(kind, Kind::PeerMessage(_)).then_some(())
    });
    second.confirm(1);
    assert!(received(&mut bob, cseq));
    // And back again.
    let _third = cluster.login(0, "alice");
    let (code, _) = second.closed();
    assert_eq!(code, Some(CloseCode::RemoteLogin as u16));
}

/// Back and forth between two nodes: what was missed comes, once and in order.
#[test]
fn a_session_is_resumed_on_whichever_node() {
    let cluster = Cluster::start(2);
    let mut alice = Client::connect(cluster.nodes[0].address());
    let mut welcome = alice.log_in("alice");
    let mut talker = cluster.login(1, "talker");
    join(&mut alice, "room");
    join(&mut talker, "room");
    see(&mut alice, |kind| {
        matches!(kind, Kind::MemberJoined(_)).then_some(())
    });
    let mut confirmed = alice.numbered();
    for round in 0..6 {
        drop(alice);
        for part in 0..3 {
            say(&mut talker, "room", &format!("{round}.{part}"));
        }
        let node = &cluster.nodes[(round + 1) % 2];
        alice = Client::connect(node.address());
        alice.ask_to_resume("alice", &welcome, confirmed);
        let Seen::Message(Kind::Resumed(resumed)) = alice.next() else {
            panic!("round {round}: not resumed");
        };
        welcome.secret = resumed.secret;
        for part in 0..3 {
            let heard = see(&mut alice, |kind| match kind {
                Kind::ChannelMessage(it) => Some(it.message),
                Kind::Gap(gap) => panic!("{gap:?}"),
                _ => None,
            });
            assert_eq!(heard, Some(text(&format!("{round}.{part}"))));
        }
        confirmed += alice.numbered();
        assert!(!resumed.was_gone);
    }
}

/// What is sent while NATS is away for a moment waits, and comes in order.
#[test]
fn senders_go_on_in_order_when_nats_was_away_for_a_moment() {
    let mut cluster = Cluster::start(2);
    let mut alice = cluster.login(0, "alice");
    let mut bob = cluster.login(1, "bob");
    join(&mut alice, "room");
    join(&mut bob, "room");
    see(&mut alice, |kind| {
        matches!(kind, Kind::MemberJoined(_)).then_some(())
    });
    say(&mut alice, "room", "before");
    assert_eq!(said(&mut bob).1, "before");
    cluster.nats.kill();
    for node in &cluster.nodes {
        until("the loss is noticed", || are_up(node, false));
    }
    for number in 0..10 {
        say(&mut alice, "room", &format!("{number}"));
    }
    cluster.nats.start();
    for number in 0..10 {
        let heard = see(&mut bob, |kind| match kind {
            Kind::ChannelMessage(it) => Some(it.message),
            Kind::Gap(gap) => panic!("{gap:?}"),
            _ => None,
        });
        assert_eq!(heard, Some(text(&number.to_string())));
    }
    say(&mut bob, "room", "after");
    assert_eq!(said(&mut alice).1, "after");
}
