//! What goes over a connection, and over its breaks.

mod machine;

use machine::{Machine, info};
use tidings_nats::options::{PING_INTERVAL_MS, PONG_WAIT_MS};
use tidings_nats::outbox::{QUEUE_BYTES_MAX, REQUEST_AGE_MS_MAX};
use tidings_nats::{Credentials, Event, Gone, PublishError, Tls};

/// Whoever can write into the connection before TLS must not be heard as the server.
#[test]
fn a_complaint_is_heard_and_the_connection_goes_on() {
    let mut machine = Machine::up();
    let words = "Permissions Violation for Subscription to \"t.a\"";
    machine.hear(&format!("-ERR '{words}'\r\nPING\r\n"));
    assert_eq!(machine.events, [Event::Complaint(words.into())]);
    assert_eq!(machine.sent(), "PONG\r\n");
    machine.events.clear();
    machine.hear("-ERR 'Slow Consumer'\r\n");
    assert_eq!(machine.gone(), Gone::Server("Slow Consumer".into()));
}

#[test]
fn a_server_that_says_nothing_is_left() {
    let mut machine = Machine::up();
    let began_ms = machine.now_ms;
    assert_eq!(machine.nats.deadline(), Some(began_ms + PING_INTERVAL_MS));
    machine.tick_at(began_ms + PING_INTERVAL_MS - 1);
    assert_eq!(machine.sent(), "");
    machine.tick_at(began_ms + PING_INTERVAL_MS);
    assert_eq!(machine.sent(), "PING\r\n");
    machine.tick_at(began_ms + PING_INTERVAL_MS + PONG_WAIT_MS - 1);
    assert_eq!((machine.sent().as_str(), machine.events.len()), ("", 0));
    machine.tick_at(began_ms + PING_INTERVAL_MS + PONG_WAIT_MS);
    assert_eq!(machine.gone(), Gone::Silent(PONG_WAIT_MS));
}

#[test]
fn a_server_that_is_busy_or_slow_is_not_left() {
    let mut machine = Machine::up();
    // It is far behind with its PONG, but sends other things.
    for _ in 0..20 {
        machine.tick_at(machine.now_ms + PONG_WAIT_MS - 1);
        machine.hear("MSG a 1 1\r\nx\r\n");
    }
    machine.hear("PONG\r\n");
    assert!(
        machine
            .events
            .iter()
            .all(|event| matches!(event, Event::Message(_)))
    );
    machine.events.clear();
    machine.sent();
    // It takes what it is sent slowly, and the PING is behind that.
    for _ in 0..20 {
        machine.publish("a", None, "0123456789");
    }
    machine.tick_at(machine.now_ms + PING_INTERVAL_MS);
    while machine.nats.output().len() > 6 {
        machine.tick_at(machine.now_ms + PONG_WAIT_MS - 1);
        let count = 20.min(machine.nats.output().len() - 6);
        machine.nats.wrote(machine.now_ms, count);
        assert!(machine.events.is_empty(), "{:?}", machine.events);
    }
    machine.tick_at(machine.now_ms + PONG_WAIT_MS);
    assert_eq!(machine.gone(), Gone::Silent(PONG_WAIT_MS));
}

#[test]
fn pongs_are_told_apart() {
    let mut machine = Machine::up();
    machine.nats.ping(machine.now_ms);
    machine.tick_at(machine.now_ms + PING_INTERVAL_MS);
    machine.nats.ping(machine.now_ms);
    assert_eq!(machine.sent(), "PING\r\nPING\r\nPING\r\n");
    machine.hear("PONG\r\n");
    assert_eq!(machine.events, [Event::Pong]);
    machine.hear("PONG\r\n");
    assert_eq!(machine.events.len(), 1, "that was the machine's own");
    machine.hear("PONG\r\nPONG\r\nPONG\r\n");
    assert_eq!(
        machine.events.len(),
        2,
        "those that nobody asked for mean nothing"
    );
}

#[test]
fn what_waits_goes_out_behind_the_subscriptions_of_the_next_connection() {
    let mut machine = Machine::new(Credentials::None);
    machine.nats.subscribe(1, "lost.*").expect("a subject");
    machine.publish("a", None, "first");
    machine.come_up();
    machine.nats.subscribe(2, "made.*").expect("a subject");
    machine.publish("a", None, "third");
    // The second was handed in before; it must stay before.
    assert_eq!(
        machine.sent(),
        "SUB made.* 2\r\nPUB a 5\r\nfirst\r\nPUB a 5\r\nthird\r\n"
    );
    // A break in the middle of a message.
    machine.publish("b", Some("r.1"), "whole");
    machine.nats.unsubscribe(2);
    machine.publish("b", None, "part");
    let cut = machine.nats.output().len() - 3;
    machine.nats.wrote(machine.now_ms, cut);
    machine.nats.closed();
    machine.publish("b", Some("r.2"), "old");
    machine.now_ms += REQUEST_AGE_MS_MAX + 1;
    machine.publish("b", Some("r.3"), "young");
    machine.nats.opened(machine.now_ms, Tls::IfRequired);
    machine.hear(&info(""));
    machine.sent();
    machine.hear("PONG\r\n");
    let Some(Event::Up(up)) = machine.events.pop() else {
        panic!("not up");
    };
    assert_eq!(up.dropped, 1, "the old request");
    assert_eq!(
        machine.sent(),
        "PUB b 4\r\npart\r\nPUB b r.3 5\r\nyoung\r\n"
    );
}

#[test]
fn publications_are_held_for_a_while_if_the_host_asks_for_it() {
    let mut machine = Machine::new(Credentials::None);
    machine.publish("a", None, "first");
    machine.come_up();
    let until_ms = machine.now_ms + 500;
    machine.nats.hold(until_ms);
    machine.nats.subscribe(1, "b").expect("a subject");
    machine.publish("a", None, "second");
    assert_eq!(machine.sent(), "SUB b 1\r\n");
    assert_eq!(machine.nats.deadline(), Some(until_ms));
    machine.tick_at(until_ms - 1);
    assert_eq!(machine.sent(), "");
    machine.tick_at(until_ms);
    machine.publish("a", None, "third");
    let sent = "PUB a 5\r\nfirst\r\nPUB a 6\r\nsecond\r\nPUB a 5\r\nthird\r\n";
    assert_eq!(machine.sent(), sent);
    // It is too late for this connection.
    machine.nats.hold(until_ms + 500);
    machine.publish("a", None, "x");
    assert_eq!(machine.sent(), "PUB a 1\r\nx\r\n");
}

#[test]
fn a_payload_that_the_server_would_not_take_is_not_sent() {
    let mut machine = Machine::up();
    let large = vec![b'x'; 101];
    let refused = machine.nats.publish(machine.now_ms, "a", None, &large);
    assert_eq!(
        refused,
        Err(PublishError::TooLarge {
            bytes: 101,
            max: 100
        })
    );
    let text = refused.map_err(|error| error.to_string());
    let expected = "a payload of 101 bytes is larger than the 100 bytes that the NATS server takes";
    assert_eq!(text, Err(expected.into()));
    assert_eq!(machine.sent(), "");
    // Handed in while there was no server.
    machine.nats.closed();
    machine
        .nats
        .publish(machine.now_ms, "a", None, &large)
        .expect("nobody knows yet");
    machine.publish("a", None, "small");
    machine.nats.opened(machine.now_ms, Tls::IfRequired);
    machine.hear(&info(""));
    machine.sent();
    machine.hear("PONG\r\n");
    assert!(matches!(machine.events.pop(), Some(Event::Up(up)) if up.dropped == 1));
    assert_eq!(machine.sent(), "PUB a 5\r\nsmall\r\n");
}

#[test]
fn what_waits_is_bounded_but_subscriptions_are_not_refused() {
    let mut machine = Machine::new(Credentials::None);
    let piece = vec![b'x'; 1024 * 1024];
    let mut taken = 0;
    while machine.nats.publish(0, "a", None, &piece).is_ok() {
        taken += 1;
        assert!(taken < 100, "no bound");
    }
    assert_eq!(taken, QUEUE_BYTES_MAX / piece.len() - 1);
    let refused = machine.nats.publish(0, "a", None, &piece);
    assert!(matches!(refused, Err(PublishError::Full(_))), "{refused:?}");
    machine.nats.opened(machine.now_ms, Tls::IfRequired);
    machine.hear(&info("").replace(":100", ":8000000"));
    machine.hear("PONG\r\n");
    machine.nats.subscribe(1, "a").expect("it is taken");
    assert!(machine.sent().contains("SUB a 1\r\n"));
    assert_eq!(machine.nats.queued(), 0);
}

#[test]
fn messages_and_the_word_that_nobody_is_there_are_told_apart() {
    let mut machine = Machine::up();
    machine.hear("MSG a 1 r.1 2\r\nhi\r\nHMSG r.1 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    machine.hear(
        "HMSG r.1 2 16 17\r\nNATS/1.0 503\r\n\r\nx\r\nHMSG r.1 2 16 16\r\nNATS/1.0 404\r\n\r\n\r\n",
    );
    let seen: Vec<_> = machine
        .events
        .iter()
        .map(|event| match event {
            Event::Message(message) => (message.subject.clone(), message.status),
            Event::NoResponders { subject } => (subject.clone(), None),
            other => panic!("{other:?}"),
        })
        .collect();
    let subject = |text: &'static str| bytes::Bytes::from_static(text.as_bytes());
    let reply = subject("r.1");
    let expected = [
        (subject("a"), None),
        (reply.clone(), None),
        (reply.clone(), Some(503)),
        (reply, Some(404)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_a_server_learns_of_others_is_told_once() {
    let mut machine = Machine::up();
    let others = info(r#","connect_urls":["a:1","b:2"]"#);
    machine.hear(&others);
    machine.hear(&others);
    machine.hear(&info(""));
    let expected = Event::Servers(vec!["a:1".into(), "b:2".into()]);
    assert_eq!(machine.events, [expected]);
    // It may also take less than before.
    machine.hear(&info("").replace(":100", ":10"));
    let refused = machine.nats.publish(0, "a", None, b"01234567890");
    assert!(matches!(
        refused,
        Err(PublishError::TooLarge { max: 10, .. })
    ));
}
