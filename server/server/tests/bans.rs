//! Addresses that an app bars: at logins and resumes, and at once for who is connected.

mod common;

use common::{APP, Client, Seen, TestServer, app_id, config};
use tidings_server::{App, Apps};
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Login, client_message};

/// One app for the rules, and one without any.
fn apps() -> Apps {
    let listed = [APP, OTHER].map(|id| (app_id(id), App::default()));
    Apps {
        accept_any: false,
        listed: listed.into(),
    }
}

const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn start() -> TestServer {
    let mut config = config();
    config.apps = apps();
    TestServer::start(config)
}

/// How a first message is refused: its outcome, then the code with which the connection ends.
fn refused(client: &mut Client<std::net::TcpStream>) -> (u32, Option<u16>) {
    let outcome = match client.next() {
        Seen::Message(Kind::Refused(refused)) => refused.error.unwrap_or_default().outcome,
        other => panic!("{other:?}"),
    };
    match client.next() {
        Seen::Closed { code, .. } => (outcome, code),
        other => panic!("{other:?}"),
    }
}

const BANNED: (u32, Option<u16>) = (Outcome::Banned as u32, Some(CloseCode::LoginRefused as u16));

fn log_in(server: &TestServer, app: &str, user: &str) -> Client<std::net::TcpStream> {
    let mut client = Client::connect(server.address());
    client.send_message(client_message::Kind::Login(Login {
        app_id: app.into(),
        user_id: user.into(),
        ..Login::default()
    }));
    client
}

#[test]
fn a_barred_address_is_refused_by_its_app_alone() {
    let server = start();
    let rule = server.bar(None, Some("127.0.0.0/8"));
    assert_eq!(refused(&mut log_in(&server, APP, "alice")), BANNED);
    log_in(&server, OTHER, "alice").welcomed();
    server.bar(None, Some("192.0.2.0/24"));
    server.lift(rule);
    common::until("the rule is gone", || {
        let mut client = log_in(&server, APP, "bob");
        matches!(client.next(), Seen::Message(Kind::Welcome(_)))
    });
    server.end();
}

#[test]
fn who_is_connected_from_a_barred_address_is_sent_away_for_good() {
    let server = start();
    let mut alice = Client::connect(server.address());
    let welcome = alice.log_in("alice");
    let mut other = log_in(&server, OTHER, "alice");
    other.welcomed();
    server.bar(None, Some("127.0.0.1"));
    match alice.next() {
        Seen::Closed { code, .. } => assert_eq!(code, Some(CloseCode::Banned as u16)),
        other => panic!("{other:?}"),
    }
    let mut back = Client::connect(server.address());
    back.ask_to_resume("alice", &welcome, 0);
    assert_eq!(refused(&mut back), BANNED);
    log_in(&server, OTHER, "bob").welcomed();
    drop((alice, back, other));
    server.end();
}
