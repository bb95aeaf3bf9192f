//! Servers that a test plays: liars, babblers, and those that are slow.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use tidings_cluster::{LinkEvent, LinkOp};
use tidings_nats::outbox::QUEUE_BYTES_MAX;

use super::rig::{PATIENCE, Rig, at, place, publish, subscribe};

const INFO: &str = "INFO {\"server_id\":\"a\",\"version\":\"2.15.1\",\"proto\":1,\"headers\":true,\
    \"max_payload\":1048576}\r\n";

/// A port on which nobody but the test answers.
struct Fake(TcpListener);

impl Fake {
    fn new() -> (Self, Rig) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        (Self(listener), Rig::new(place(vec![at(port)])))
    }

    fn accept(&self, rig: &mut Rig) -> TcpStream {
        self.0.set_nonblocking(true).expect("a socket");
        let mut accepted = None;
        rig.until("it connects", |_| {
            accepted = self.0.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.expect("a connection");
        stream.set_nonblocking(false).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Does what a server does, until the hub is up.
    fn bring_up(&self, rig: &mut Rig) -> TcpStream {
        let mut stream = self.accept(rig);
        stream.write_all(INFO.as_bytes()).expect("it is sent");
        stream.write_all(b"PONG\r\n").expect("it is sent");
        rig.come_up();
        let sent = read_some(&mut stream);
        assert!(
            sent.starts_with("CONNECT {") && sent.ends_with("PING\r\n"),
            "{sent}"
        );
        stream
    }
}

fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 64 * 1024];
    let count = stream.read(&mut buffer).expect("something is sent");
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[test]
fn whatever_a_server_babbles_costs_one_connection() {
    let (fake, mut rig) = Fake::new();
    let endless = "x".repeat(8_192);
    let info = INFO.trim_end();
    let babble = [
        "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(),
        "\0\0\0\0\n".into(),
        endless.clone(),
        "INFO {\r\n".into(),
        "PONG\r\n".into(),
        "MSG a 1 1\r\nx\r\n".into(),
        format!("{info}\r\nMSG a\r\n"),
        format!("{info}\r\nPONG\r\nMSG a 1 -5\r\n"),
        format!("{info}\r\nPONG\r\nMSG a 1 99999999999999999999\r\n"),
        format!("{info}\r\nPONG\r\nMSG a 1 2\r\nlonger\r\n"),
        format!("{info}\r\nPONG\r\n{endless}"),
        format!("{info}\r\nPONG\r\nHMSG a 1 9 3\r\nabc\r\n"),
        format!("{info}\r\nPONG\r\n-ERR 'Stale Connection'\r\n"),
        format!("{info}\r\nPONG\r\n+OK\r\nINFO []\r\n"),
    ];
    for text in &babble {
        let mut stream = fake.accept(&mut rig);
        stream.write_all(text.as_bytes()).expect("it is sent");
        rig.until(text, |rig| {
            let report = rig.link.report();
            !report.is_up && report.trouble.is_some()
        });
        let is_told = |event: &LinkEvent| matches!(event, LinkEvent::Up { .. } | LinkEvent::Down);
        assert!(rig.heard.iter().all(is_told), "{text}: {:?}", rig.heard);
        let downs = rig
            .heard
            .iter()
            .filter(|event| **event == LinkEvent::Down)
            .count();
        assert!(
            downs <= 1 && downs == rig.heard.len() / 2,
            "{text}: {:?}",
            rig.heard
        );
        rig.heard.clear();
        // So that the next attempt is made soon.
        rig.ahead_ms += 2_000;
    }
    let mut stream = fake.bring_up(&mut rig);
    stream
        .write_all(b"MSG a 1 2\r\nhi\r\n")
        .expect("it is sent");
    rig.until("it goes on", |rig| rig.payloads() == ["hi"]);
}

/// Each of these moments is one at which a server may die.
#[test]
fn a_server_may_close_at_any_moment() {
    let (fake, mut rig) = Fake::new();
    let whole = format!("{INFO}PONG\r\nMSG a 1 5\r\nhello\r\nPING\r\n");
    for at in (0..whole.len()).step_by(7) {
        let mut stream = fake.accept(&mut rig);
        stream
            .write_all(&whole.as_bytes()[..at])
            .expect("it is sent");
        drop(stream);
        rig.until("it is left", |rig| rig.link.report().trouble.is_some());
        assert!(!rig.link.report().is_up);
        // So that the next attempt is made soon.
        rig.ahead_ms += 2_000;
    }
    fake.bring_up(&mut rig);
}

#[test]
fn messages_in_the_smallest_pieces_are_whole() {
    let (fake, mut rig) = Fake::new();
    let mut stream = fake.bring_up(&mut rig);
    stream.set_nodelay(true).expect("a socket");
    for byte in
        b"MSG t.a 7 r.1 3\r\nabc\r\nHMSG r.1.0.2 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nPING\r\n"
    {
        stream.write_all(&[*byte]).expect("it is sent");
        rig.turn(1);
    }
    assert_eq!(read_some(&mut stream), "PONG\r\n");
    let message = LinkEvent::Message {
        sid: 7,
        subject: "t.a".into(),
        reply: Some("r.1".into()),
        payload: "abc".into(),
    };
    let nobody = LinkEvent::NoResponders {
        subject: "r.1.0.2".into(),
    };
    assert_eq!(rig.heard, [message, nobody]);
}

#[test]
fn a_message_that_is_too_large_is_passed_over() {
    let (fake, mut rig) = Fake::new();
    let mut stream = fake.bring_up(&mut rig);
    let bytes = 1_048_577;
    let writer = std::thread::spawn(move || {
        let large = format!("MSG a 1 {bytes}\r\n{}\r\n", "x".repeat(bytes));
        stream.write_all(large.as_bytes()).expect("it is sent");
        stream
            .write_all(b"MSG a 1 2\r\nok\r\n")
            .expect("it is sent");
        stream
    });
    rig.until("the next one", |rig| rig.payloads() == ["ok"]);
    assert_eq!((rig.link.report().passed_over, rig.heard.len()), (1, 1));
    writer.join().expect("it has written");
}

/// A server that takes nothing: 16 MiB wait, what is beyond is counted, and the bus is told.
#[test]
fn what_waits_for_a_slow_server_is_bounded() {
    let (fake, mut rig) = Fake::new();
    let mut stream = fake.bring_up(&mut rig);
    let piece = "x".repeat(256 * 1024);
    let mut sent = 0;
    while !rig.heard.contains(&LinkEvent::Full) {
        rig.send(vec![publish("t", &piece)]);
        rig.turn(0);
        sent += 1;
        assert!(sent < 1_000, "no bound");
    }
    let report = rig.link.report();
    assert!(report.queued <= QUEUE_BYTES_MAX && report.queued > QUEUE_BYTES_MAX / 2);
    assert_eq!((report.unsent, report.is_up), (1, true));
    rig.send(vec![publish("t", &piece), publish("t", "small")]);
    rig.turn(0);
    let fulls = |rig: &Rig| {
        rig.heard
            .iter()
            .filter(|it| **it == LinkEvent::Full)
            .count()
    };
    assert_eq!(
        (rig.link.report().unsent, fulls(&rig)),
        (2, 1),
        "it is told once"
    );
    // Subscriptions are taken all the same, and a PING is answered behind what waits.
    rig.send(vec![subscribe(1, "t"), LinkOp::Ping]);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        let mut buffer = vec![0; 1024 * 1024];
        while !all.ends_with(b"SUB t 1\r\nPING\r\n") {
            let count = stream.read(&mut buffer).expect("more comes");
            all.extend_from_slice(&buffer[..count]);
        }
        all
    });
    rig.until("there is room again", |rig| {
        rig.heard.contains(&LinkEvent::Room)
    });
    rig.until("all is written", |rig| rig.link.report().queued == 0);
    rig.until("the reader has all", |_| reader.is_finished());
    let all = reader.join().expect("it has read");
    let count = all.windows(6).filter(|bytes| bytes == b"PUB t ").count();
    assert_eq!(
        count,
        sent - 1 + 1,
        "what was taken was sent, and nothing twice"
    );
}
