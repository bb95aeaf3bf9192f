//! How a connection begins, or does not.

mod machine;

use machine::{Machine, info};
use tidings_nats::options::HANDSHAKE_WAIT_MS;
use tidings_nats::{Credentials, Event, Gone, ProtocolError, Reason, Tls};

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
