//! Logged-in clients on a server with two hubs.

mod common;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{APP, Client, PATIENCE, Seen, TestServer, config, start};
use tidings_hub::{App, AppSettings};
use tidings_server::StoreConfig;
use tidings_wire::codes::Outcome as Refusal;
use tidings_wire::names::AppId;
use tidings_wire::proto::message::Body;
use tidings_wire::proto::reply::Result as Outcome;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Done, GetMembers, Join, Login, Message, PeerSent, Ping, Pong, Resume, SendToChannel,
    SendToPeer, client_message,
};
use tidings_wire::ws::Opcode;

#[test]
fn a_client_logs_in() {
    let server = start();
    Client::login(server.address(), "alice");
}

#[test]
fn pings_are_answered_with_their_payload() {
    let server = start();
    let mut alice = Client::login(server.address(), "alice");
    alice.send(Opcode::Ping, b"are you there");
    assert_eq!(alice.next(), Seen::Pong(b"are you there".to_vec()));
}

#[test]
fn a_client_that_wonders_is_answered_without_a_number_and_beyond_every_rate() {
    let server = start();
    let mut alice = Client::login(server.address(), "alice");
    let numbered = alice.numbered();
    // More than any rate of calls allows at once.
    for _ in 0..200 {
        alice.send_message(client_message::Kind::Ping(Ping {}));
        assert_eq!(alice.next(), Seen::Message(Kind::Pong(Pong {})));
    }
    assert_eq!(alice.numbered(), numbered);
}

#[test]
fn a_ping_before_the_login_is_no_greeting() {
    let server = start();
    let mut nobody = Client::connect(server.address());
    nobody.send_message(client_message::Kind::Ping(Ping {}));
    assert_eq!(nobody.closed(), (Some(4016), "protocol_error".into()));
}

#[test]
fn a_clients_close_is_answered_and_the_stream_ends() {
    let server = start();
    let mut alice = Client::login(server.address(), "alice");
    alice.send_close(1000);
    assert_eq!(
        alice.next(),
        Seen::Closed {
            code: Some(1000),
            reason: String::new()
        }
    );
    assert_eq!(alice.next(), Seen::Ended);
}

#[test]
fn a_drain_sends_clients_away_and_ends() {
    let server = start();
    let mut clients: Vec<_> = (0..20)
        .map(|n| Client::login(server.address(), &format!("user-{n}")))
        .collect();
    server.running().drain();
    for client in &mut clients {
        assert_eq!(client.closed(), (Some(4000), "going_away".into()));
        client.send_close(4000);
        assert_eq!(client.next(), Seen::Ended);
    }
    server.end();
}

fn room() -> String {
    "room".into()
}

fn join(client: &mut Client<TcpStream>) {
    let cseq = client.call(Call::Join(Join { channel: room() }));
    assert_eq!(client.reply(cseq).result, Some(Outcome::Done(Done {})));
}

fn text(text: &str) -> Message {
    Message {
        body: Some(Body::Text(text.to_owned().into())),
        ..Default::default()
    }
}

fn send_to_room(client: &mut Client<TcpStream>, message: Message) -> u64 {
    let send = SendToChannel {
        channel: room(),
        message: Some(message),
        history: false,
    };
    client.call(Call::SendToChannel(send))
}

/// The next text that arrives in a channel; what else comes before it is dropped.
fn channel_text(client: &mut Client<TcpStream>) -> String {
    loop {
        match client.next() {
            Seen::Message(Kind::ChannelMessage(message)) => {
                let Some(Body::Text(text)) = message.message.and_then(|message| message.body)
                else {
                    panic!("a message without text");
                };
                return String::from_utf8(text.to_vec()).expect("text");
            }
            Seen::Message(_) => {}
            other => panic!("no message but {other:?}"),
        }
    }
}

#[test]
fn a_channel_spans_all_hubs_and_has_one_order() {
    const MEMBERS: usize = 24;
    const ROUNDS: usize = 20;
    let server = start();
    let mut members: Vec<_> = (0..MEMBERS)
        .map(|n| Client::login(server.address(), &format!("user-{n}")))
        .collect();
    members.iter_mut().for_each(join);
    for round in 0..ROUNDS {
        // Two members send before either is answered.
        send_to_room(&mut members[0], text(&format!("a{round}")));
        send_to_room(&mut members[1], text(&format!("b{round}")));
    }
    let orders: Vec<Vec<String>> = members[2..]
        .iter_mut()
        .map(|member| (0..2 * ROUNDS).map(|_| channel_text(member)).collect())
        .collect();
    assert!(
        orders.iter().all(|order| *order == orders[0]),
        "all members see one order"
    );
    let of_a: Vec<_> = orders[0]
        .iter()
        .filter(|text| text.starts_with('a'))
        .collect();
    let sent: Vec<_> = (0..ROUNDS).map(|round| format!("a{round}")).collect();
    assert_eq!(
        of_a,
        sent.iter().collect::<Vec<_>>(),
        "in the sender's order"
    );
}

#[test]
fn a_peer_message_is_confirmed_from_whatever_hub() {
    let server = start();
    let mut alice = Client::login(server.address(), "alice");
    for n in 0..12 {
        let user = format!("user-{n}");
        let mut peer = Client::login(server.address(), &user);
        let send = SendToPeer {
            peer_id: user,
            message: Some(text("hi")),
            ..Default::default()
        };
        let cseq = alice.call(Call::SendToPeer(send));
        assert!(matches!(peer.next(), Seen::Message(Kind::PeerMessage(_))));
        peer.confirm(1);
        let sent = PeerSent { received: true };
        assert_eq!(alice.reply(cseq).result, Some(Outcome::PeerSent(sent)));
    }
    let send = SendToPeer {
        peer_id: "nobody".into(),
        message: Some(text("hi")),
        ..Default::default()
    };
    let cseq = alice.call(Call::SendToPeer(send));
    let sent = PeerSent { received: false };
    assert_eq!(alice.reply(cseq).result, Some(Outcome::PeerSent(sent)));
}

#[test]
fn a_session_is_resumed_from_whatever_hub() {
    let server = start();
    let mut alice = Client::connect(server.address());
    let mut welcome = alice.log_in("alice");
    let mut talker = Client::login(server.address(), "talker");
    join(&mut alice);
    join(&mut talker);
    let mut confirmed = alice.numbered();
    // With two hubs, one resume in two arrives at the wrong one and is handed over.
    for round in 0..20 {
        drop(alice);
        send_to_room(&mut talker, text(&format!("{round}")));
        alice = Client::connect(server.address());
        alice.ask_to_resume("alice", &welcome, confirmed);
        let Seen::Message(Kind::Resumed(resumed)) = alice.next() else {
            panic!("round {round}: not resumed");
        };
        welcome.secret = resumed.secret;
        assert_eq!(
            channel_text(&mut alice),
            format!("{round}"),
            "what was missed comes"
        );
        confirmed += alice.numbered();
        assert!(!resumed.was_gone);
    }
}

#[test]
fn a_client_that_never_reads_disturbs_nobody() {
    const MESSAGES: usize = 600;
    let mut config = config();
    let settings = AppSettings {
        rate_limits: false,
        ..AppSettings::default()
    };
    let app = App {
        settings,
        ..App::default()
    };
    config
        .apps
        .listed
        .insert(AppId::parse(APP).expect("an app id"), app);
    let server = TestServer::start(config);
    let mut stuck = Client::login(server.address(), "stuck");
    join(&mut stuck);
    let address = server.address();
    let heard = Arc::new(AtomicUsize::new(0));
    let its_heard = heard.clone();
    let reader = std::thread::spawn(move || {
        let mut reader = Client::login(address, "reader");
        join(&mut reader);
        for _ in 0..MESSAGES {
            assert_eq!(channel_text(&mut reader).len(), 30_000);
            reader.confirm_all();
            its_heard.fetch_add(1, Ordering::SeqCst);
        }
    });
    let mut sender = Client::login(server.address(), "sender");
    join(&mut sender);
    // The reader is a member when all three are counted.
    loop {
        let cseq = sender.call(Call::GetMembers(GetMembers { channel: room() }));
        let Some(Outcome::Users(users)) = sender.reply(cseq).result else {
            panic!("no member list");
        };
        // However long it takes: a client that confirms nothing would be sent away.
        sender.confirm_all();
        if users.user_ids.len() == 3 {
            break;
        }
    }
    let long = "x".repeat(30_000);
    for sent in 0..MESSAGES {
        // The reader's own bound is not what is tested: the sender stays close to it.
        while heard.load(Ordering::SeqCst) + 16 < sent && !reader.is_finished() {
            std::thread::yield_now();
        }
        let cseq = send_to_room(&mut sender, text(&long));
        assert_eq!(sender.reply(cseq).result, Some(Outcome::Done(Done {})));
        sender.confirm_all();
    }
    reader.join().expect("the reader hears all");
    // What it did not read is gone but for what the kernel holds; then comes the reason.
    let end = loop {
        match stuck.next() {
            Seen::Closed { code, .. } => break code,
            Seen::Ended => break None,
            _ => {}
        }
    };
    assert!(matches!(end, Some(4002) | None), "{end:?}");
}

#[test]
fn an_offline_message_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.store = StoreConfig::Directory(folder.path().join("data"));
    let server = TestServer::start(config.clone());
    let mut alice = Client::login(server.address(), "alice");
    let send = SendToPeer {
        peer_id: "bob".into(),
        message: Some(text("see you")),
        offline: true,
        history: false,
    };
    let cseq = alice.call(Call::SendToPeer(send));
    let sent = PeerSent { received: false };
    assert_eq!(alice.reply(cseq).result, Some(Outcome::PeerSent(sent)));
    drop(alice);
    server.end();

    let server = TestServer::start(config);
    let mut bob = Client::login(server.address(), "bob");
    let Seen::Message(Kind::PeerMessage(message)) = bob.next() else {
        panic!("no message")
    };
    assert_eq!((message.inbox, message.from.as_str()), (1, "alice"));
}

#[test]
fn a_session_goes_on_after_a_planned_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    config.store = StoreConfig::Directory(folder.path().join("data"));
    let server = TestServer::start(config.clone());
    let mut alice = Client::connect(server.address());
    let welcome = alice.log_in("alice");
    let mut bob = Client::login(server.address(), "bob");
    let send = SendToPeer {
        peer_id: "alice".into(),
        message: Some(text("before")),
        offline: false,
        history: false,
    };
    bob.call(Call::SendToPeer(send));
    let Seen::Message(Kind::PeerMessage(_)) = alice.next() else {
        panic!("no message")
    };
    // It has come, but is not confirmed when the server ends.
    server.end();

    let resume = Resume {
        app_id: APP.into(),
        user_id: "alice".into(),
        session_id: welcome.session_id.clone(),
        secret: welcome.secret.clone(),
        confirm: 0,
        token: String::new(),
    };
    let server = TestServer::start(config.clone());
    let mut alice = Client::connect(server.address());
    alice.send_message(client_message::Kind::Resume(resume.clone()));
    let Seen::Message(Kind::Resumed(resumed)) = alice.next() else {
        panic!("not resumed")
    };
    assert!(!resumed.was_gone);
    let Seen::Message(Kind::PeerMessage(message)) = alice.next() else {
        panic!("no message")
    };
    assert_eq!(message.from, "bob");
    drop(alice);
    server.end();

    // With another number of hubs nothing can be taken over: the client is told to log in anew.
    config.hubs += 1;
    let server = TestServer::start(config);
    let mut alice = Client::connect(server.address());
    alice.send_message(client_message::Kind::Resume(resume));
    assert!(matches!(alice.next(), Seen::Message(Kind::Refused(_))));
}

#[test]
fn a_server_starts_as_ever_with_sessions_that_it_cannot_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config();
    let data = folder.path().join("data");
    config.store = StoreConfig::Directory(data.clone());
    let server = TestServer::start(config.clone());
    Client::login(server.address(), "alice");
    server.end();
    let file = data.join("sessions.snapshot");
    let mut bytes = std::fs::read(&file).expect("the sessions are kept");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("it is damaged");

    let server = TestServer::start(config);
    assert!(!file.exists(), "no later process finds it");
    Client::login(server.address(), "alice");
}

#[test]
fn a_node_takes_no_more_logins_than_it_can_says_when_to_come_again_and_takes_every_resume() {
    let mut config = config();
    (config.limits.login_rate, config.limits.login_queue) = (2, 4);
    let server = TestServer::start(config);
    let mut alice = Client::connect(server.address());
    let welcome = alice.log_in("alice");
    let confirm = alice.numbered();
    let mut waits = Vec::new();
    for n in 0..20 {
        // The hubs of a node share the rate: connections go to one or the other.
        let mut client = Client::connect(server.address());
        client.send_message(client_message::Kind::Login(Login {
            app_id: APP.into(),
            user_id: format!("user-{n}"),
            ..Login::default()
        }));
        match client.next() {
            Seen::Message(Kind::Welcome(_)) => {}
            Seen::Message(Kind::Refused(refused)) => {
                let error = refused.error.expect("it says why");
                assert_eq!(error.outcome, Refusal::Overloaded as u32);
                waits.push(error.retry_after_ms);
                assert_eq!(client.closed().0, Some(4003));
            }
            other => panic!("{other:?}"),
        }
    }
    // On a busy machine some come late enough.
    assert!((8..=17).contains(&waits.len()), "{waits:?}");
    let last = u64::from(waits[waits.len() - 1]);
    assert!(
        last >= 500 * waits.len() as u64 / 4,
        "the last waits longest: {waits:?}"
    );
    drop(alice);
    let mut alice = Client::connect(server.address());
    alice.ask_to_resume("alice", &welcome, confirm);
    let seen = alice.next();
    assert!(matches!(seen, Seen::Message(Kind::Resumed(_))), "{seen:?}");
}

#[test]
fn every_hub_says_how_it_is_while_it_runs() {
    let server = start();
    let mut clients: Vec<_> = (0..6)
        .map(|n| Client::login(server.address(), &format!("user-{n}")))
        .collect();
    let send = SendToPeer {
        peer_id: "user-1".into(),
        message: Some(text("hi")),
        ..Default::default()
    };
    let cseq = clients[0].call(Call::SendToPeer(send));
    assert!(matches!(
        clients[1].next(),
        Seen::Message(Kind::PeerMessage(_))
    ));
    clients[1].confirm(1);
    clients[0].reply(cseq);
    let report = server.running().handle().report(PATIENCE);
    assert_eq!((report.hubs.len(), report.silent_hubs), (2, 0));
    let sum = |of: fn(&tidings_server::HubReport) -> usize| report.hubs.iter().map(of).sum();
    let sessions: usize = sum(|hub| hub.cell.sizes.sessions);
    let connections: usize = sum(|hub| hub.connections);
    assert_eq!((sessions, connections), (6, 6));
    let (apps, others) = report.apps();
    assert_eq!(others, tidings_server::AppCounts::default());
    let [(app, counts)] = &apps[..] else {
        panic!("one app is used: {apps:?}");
    };
    assert_eq!(app.as_str(), APP);
    assert_eq!((counts.native.logins, counts.native.sessions), (6, 6));
    assert_eq!((counts.native.connections, counts.legacy.logins), (6, 0));
    assert_eq!((counts.peer.messages, counts.peer.deliveries), (1, 1));
    assert_eq!((counts.peer.bytes, counts.channel.messages), (2, 0));
    assert!(counts.errors.iter().next().is_none(), "{counts:?}");
}
