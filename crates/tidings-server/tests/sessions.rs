//! Logged-in clients on a server with two hubs.

mod common;

use common::{Client, Seen, start};
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
