//! A connection against a server that a test plays, to the byte.

use std::sync::Arc;

use tidings_nats::connection::{HANDSHAKE_WAIT_MS, PING_INTERVAL_MS, PONG_WAIT_MS};
use tidings_nats::outbox::{QUEUE_BYTES_MAX, REQUEST_AGE_MS_MAX};
use tidings_nats::{
    Connection, Credentials, Event, Gone, Options, ProtocolError, PublishError, Reason, Tls,
};

const INFO: &str =
    r#"INFO {"server_id":"a","version":"2.15.1","proto":1,"headers":true,"max_payload":100"#;

fn info(more: &str) -> String {
    format!("{INFO}{more}}}\r\n")
}

/// A connection, and what it has said.
struct Machine {
    nats: Connection,
    now_ms: u64,
    events: Vec<Event>,
}

impl Machine {
    fn new(credentials: Credentials) -> Self {
        let options = Options {
            name: "test".into(),
            version: "1".into(),
            credentials,
        };
        Self {
            nats: Connection::new(Arc::new(options)),
            now_ms: 1_000,
            events: Vec::new(),
        }
    }

    fn up() -> Self {
        let mut machine = Self::new(Credentials::None);
        machine.come_up();
        machine
    }

    fn come_up(&mut self) {
        self.nats.opened(self.now_ms, Tls::IfRequired);
        self.hear(&info(""));
        assert!(self.sent().ends_with("}\r\nPING\r\n"));
        self.hear("PONG\r\n");
        assert!(
            matches!(self.events.pop(), Some(Event::Up(_))),
            "{:?}",
            self.events
        );
        assert!(self.events.is_empty(), "{:?}", self.events);
    }

    fn hear(&mut self, text: &str) {
        let events = &mut self.events;
        self.nats
            .receive(self.now_ms, text.as_bytes(), &mut |event| {
                events.push(event)
            });
    }

    fn tick_at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let events = &mut self.events;
        self.nats.tick(now_ms, &mut |event| events.push(event));
    }

    /// What goes out, all of it.
    fn sent(&mut self) -> String {
        let sent = String::from_utf8(self.nats.output().to_vec()).expect("text");
        self.nats.wrote(self.now_ms, sent.len());
        sent
    }

    fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &str) {
        let now_ms = self.now_ms;
        self.nats
            .publish(now_ms, subject, reply, payload.as_bytes())
            .expect("it is taken");
    }

    fn refusal(&mut self) -> (Reason, &'static str) {
        match self.events.pop() {
            Some(Event::Refused(refusal)) => (refusal.reason, refusal.shown),
            other => panic!("no refusal: {other:?}"),
        }
    }

    fn gone(&mut self) -> Gone {
        assert_eq!(self.nats.deadline(), None, "nothing is left to do");
        match self.events.pop() {
            Some(Event::Gone(gone)) => gone,
            other => panic!("not gone: {other:?}"),
        }
    }
}

#[test]
fn what_is_shown_is_what_was_configured() {
    let password = Credentials::Password {
        user: "ann".into(),
        password: "pa\"ss".into(),
    };
    let key = nkeys::KeyPair::new_from_raw(nkeys::KeyPairType::User, [3; 32]).expect("a key");
    let seed = key.seed().expect("it has one");
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\nabc.def.ghi\n------END NATS USER JWT------\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    let nkey = Credentials::parse(&seed).expect("a key");
    let jwt = Credentials::parse(&creds).expect("a JWT");
    let token = Credentials::Token("secret".into());
    let cases = [
        (Credentials::None, r#""tls_required":false}"#),
        (password, r#""user":"ann","pass":"pa\"ss"}"#),
        (token, r#""auth_token":"secret"}"#),
        (nkey, r#""nkey":"U"#),
        (jwt, r#""jwt":"abc.def.ghi","sig":""#),
    ];
    for (credentials, expected) in cases {
        let signs = matches!(credentials, Credentials::Nkey(_) | Credentials::Jwt { .. });
        let mut machine = Machine::new(credentials);
        machine.nats.opened(machine.now_ms, Tls::IfRequired);
        machine.hear(&info(r#","nonce":"n0nce""#));
        let sent = machine.sent();
        assert!(
            sent.starts_with("CONNECT {\"verbose\":false,") && sent.contains(expected),
            "{sent}"
        );
        assert!(sent.contains(r#""echo":false"#) && sent.contains(r#""no_responders":true"#));
        assert_eq!(sent.contains("\"sig\""), signs);
        if signs {
            let (_, signature) = sent.split_once("\"sig\":\"").expect("a signature");
            let (signature, _) = signature.split_once('"').expect("its end");
            use base64::Engine as _;
            let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
            let signature = engine.decode(signature).expect("base64url");
            key.verify(b"n0nce", &signature)
                .expect("the key's signature of the nonce");
        }
    }
}

#[test]
fn the_handshake_is_the_same_however_it_is_split() {
    let text = info(r#","connect_urls":["a:1","b:2"],"cluster":"c""#);
    for size in 1..=text.len() {
        let mut machine = Machine::new(Credentials::None);
        machine.nats.opened(machine.now_ms, Tls::IfRequired);
        for piece in text.as_bytes().chunks(size) {
            machine.hear(std::str::from_utf8(piece).expect("ASCII"));
        }
        machine.sent();
        for piece in ["P", "ONG\r", "\n"] {
            machine.hear(piece);
        }
        let Some(Event::Up(up)) = machine.events.pop() else {
            panic!("not up");
        };
        assert_eq!((up.payload_max, up.servers(), up.dropped), (100, 2, 0));
        assert_eq!(up.info.version, "2.15.1");
    }
}

#[test]
fn tls_begins_where_it_must_and_nothing_is_said_before() {
    for (tls, more) in [
        (Tls::IfRequired, r#","tls_required":true"#),
        (Tls::AfterInfo, r#","tls_required":true"#),
        (Tls::AfterInfo, r#","tls_available":true"#),
    ] {
        let mut machine = Machine::new(Credentials::Token("secret".into()));
        machine.nats.opened(machine.now_ms, tls);
        machine.hear(&info(more));
        assert_eq!(machine.events, [Event::StartTls]);
        assert_eq!(machine.sent(), "");
        machine.nats.secured(machine.now_ms);
        let sent = machine.sent();
        assert!(
            sent.contains(r#""tls_required":true"#) && sent.contains("secret"),
            "{sent}"
        );
    }
    let mut machine = Machine::new(Credentials::None);
    machine.nats.opened(machine.now_ms, Tls::First);
    machine.hear(&info(r#","tls_required":true"#));
    assert!(machine.sent().contains(r#""tls_required":true"#));
    let mut machine = Machine::new(Credentials::Token("secret".into()));
    machine.nats.opened(machine.now_ms, Tls::AfterInfo);
    machine.hear(&info(""));
    assert_eq!(machine.refusal(), (Reason::NoTls, "a token"));
    assert_eq!(machine.sent(), "", "no secret goes out in clear");
}

/// Whoever can write into the connection before TLS must not be heard as the server.
#[test]
fn what_is_said_in_clear_where_tls_must_begin_ends_the_connection() {
    let mut machine = Machine::new(Credentials::None);
    machine.nats.opened(machine.now_ms, Tls::AfterInfo);
    machine.hear(&(info(r#","tls_required":true"#) + "PONG\r\n"));
    assert_eq!(machine.gone(), Gone::ClearText);
    let mut machine = Machine::new(Credentials::None);
    machine.nats.opened(machine.now_ms, Tls::AfterInfo);
    machine.hear(&info(r#","tls_required":true"#));
    machine.hear("P");
    assert_eq!(machine.gone(), Gone::ClearText);
}

#[test]
fn refusals_say_what_was_shown() {
    let seed = nkeys::KeyPair::new_from_raw(nkeys::KeyPairType::User, [3; 32]);
    let seed = seed.expect("a key").seed().expect("it has one");
    let mut machine = Machine::new(Credentials::parse(&seed).expect("a key"));
    machine.nats.opened(machine.now_ms, Tls::IfRequired);
    machine.hear(&info(""));
    assert_eq!(machine.refusal(), (Reason::NoNonce, "an nkey"));
    let mut machine = Machine::new(Credentials::None);
    machine.nats.opened(machine.now_ms, Tls::IfRequired);
    machine.hear("INFO {\"version\":\"1.4.0\",\"max_payload\":100}\r\n");
    assert_eq!(machine.refusal(), (Reason::NoHeaders, "no credentials"));
    for (words, reason) in [
        ("Authorization Violation", Reason::Credentials),
        ("maximum connections exceeded", Reason::TooMany),
        ("User Authentication Expired", Reason::Expired),
    ] {
        let mut machine = Machine::new(Credentials::Token("x".into()));
        machine.nats.opened(machine.now_ms, Tls::IfRequired);
        machine.hear(&info(""));
        machine.hear(&format!("-ERR '{words}'\r\n"));
        assert_eq!(machine.refusal(), (reason, "a token"));
        // Also in the middle of its life.
        machine.come_up();
        machine.hear(&format!("-ERR '{words}'\r\n"));
        assert_eq!(machine.refusal(), (reason, "a token"));
    }
}

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
fn what_is_not_the_protocol_ends_the_connection_at_any_moment() {
    for garbage in [
        "HTTP/1.1 200 OK\r\n",
        "\u{16}\u{3}\u{1}\r\n",
        "MSG a\r\n",
        "\n",
        "INFO []\r\n",
    ] {
        let mut early = Machine::new(Credentials::None);
        early.nats.opened(early.now_ms, Tls::IfRequired);
        early.hear(garbage);
        assert!(matches!(early.gone(), Gone::Protocol(_)));
        let mut machine = Machine::up();
        machine.hear(garbage);
        assert!(matches!(machine.gone(), Gone::Protocol(_)));
        machine.hear("MSG a 1 1\r\nx\r\n");
        assert!(machine.events.is_empty(), "nothing is heard after that");
        machine.come_up();
    }
    for early in ["PONG\r\n", "MSG a 1 1\r\nx\r\n", "+OK\r\n", "PING\r\n"] {
        let mut machine = Machine::new(Credentials::None);
        machine.nats.opened(machine.now_ms, Tls::IfRequired);
        machine.hear(early);
        assert_eq!(machine.gone(), Gone::Early("something else"), "{early}");
    }
    let mut machine = Machine::new(Credentials::None);
    machine.nats.opened(machine.now_ms, Tls::IfRequired);
    machine.hear(&info(""));
    machine.hear("MSG a 1 1\r\nx\r\n");
    assert_eq!(machine.gone(), Gone::Early("a message"));
    let mut machine = Machine::up();
    machine.hear(&"x".repeat(5_000));
    assert_eq!(
        machine.gone(),
        Gone::Protocol(ProtocolError::LineLength(4_096))
    );
}

#[test]
fn a_handshake_has_its_time() {
    let mut machine = Machine::new(Credentials::None);
    for step in 0..3 {
        machine.nats.opened(machine.now_ms, Tls::IfRequired);
        match step {
            1 => machine.hear(&info(r#","tls_required":true"#)),
            2 => machine.hear(&info("")),
            _ => {}
        }
        machine.events.clear();
        let due_ms = machine.nats.deadline().expect("a deadline");
        assert_eq!(due_ms, machine.now_ms + HANDSHAKE_WAIT_MS);
        machine.tick_at(due_ms - 1);
        assert!(machine.events.is_empty());
        machine.tick_at(due_ms);
        assert!(matches!(machine.gone(), Gone::Handshake(_)), "{step}");
    }
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
