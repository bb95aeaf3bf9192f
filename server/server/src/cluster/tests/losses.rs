//! Servers that die, stand still and come back, and what becomes of what is sent meanwhile.

use std::process::Command;

use tidings_cluster::{LinkEvent, LinkOp};

use super::nats::Nats;
use super::rig::{Rig, at, place, publish, request, subscribe};

/// Two hubs at the same server.
fn pair(nats: &Nats) -> (Rig, Rig) {
    let up = || Rig::up(place(vec![at(nats.port)]));
    (up(), up())
}

fn events(rig: &Rig) -> Vec<&'static str> {
    let name = |event: &LinkEvent| match event {
        LinkEvent::Up { .. } => Some("up"),
        LinkEvent::Down => Some("down"),
        _ => None,
    };
    rig.heard.iter().filter_map(name).collect()
}

#[test]
fn messages_answers_and_the_word_that_nobody_is_there_come_over() {
    let nats = Nats::start("");
    let (mut alice, mut bob) = pair(&nats);
    bob.send(vec![subscribe(7, "t.bob")]);
    bob.settle();
    alice.send(vec![subscribe(1, "r.1.0.*")]);
    alice.send(vec![
        request("t.bob", "r.1.0.5"),
        request("t.nobody", "r.1.0.6"),
    ]);
    alice.settle();
    bob.until("the request", |bob| !bob.heard.is_empty());
    let Some(LinkEvent::Message {
        sid,
        subject,
        reply,
        payload,
    }) = bob.heard.pop()
    else {
        panic!("no message");
    };
    assert_eq!(
        (sid, &subject[..], &payload[..]),
        (7, &b"t.bob"[..], &b""[..])
    );
    assert_eq!(reply.as_deref(), Some(&b"r.1.0.5"[..]));
    bob.send(vec![publish("r.1.0.5", "here")]);
    bob.settle();
    alice.until("both words", |alice| alice.heard.len() == 2);
    assert!(alice.heard.contains(&LinkEvent::NoResponders {
        subject: "r.1.0.6".into()
    }));
    assert_eq!(alice.payloads(), ["here"]);
    // What one has published oneself is not heard.
    bob.send(vec![
        publish("t.bob", "to myself"),
        LinkOp::Unsubscribe { sid: 7 },
    ]);
    bob.settle();
    alice.send(vec![publish("t.bob", "too late")]);
    alice.settle();
    bob.settle();
    assert!(bob.heard.is_empty(), "{:?}", bob.heard);
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_found_again() {
    let mut nats = Nats::start("");
    let (mut alice, mut bob) = pair(&nats);
    for round in 0..2 {
        bob.send(vec![subscribe(1, "t.bob")]);
        bob.settle();
        nats.kill();
        for rig in [&mut alice, &mut bob] {
            rig.until("the loss is noticed", |rig| !rig.link.report().is_up);
            assert_eq!(events(rig), ["down"], "{round}");
            let (trouble, _) = rig.trouble();
            assert!(
                trouble.contains(&format!("127.0.0.1:{}", nats.port)),
                "{trouble}"
            );
            rig.heard.clear();
        }
        // What is published meanwhile waits, in order; what was subscribed to is over.
        alice.send(
            (0..100)
                .map(|number| publish("t.bob", &number.to_string()))
                .collect(),
        );
        bob.send(vec![subscribe(9, "t.bob")]);
        let trouble = "the server is away";
        alice.until(trouble, |rig| {
            rig.link
                .report()
                .trouble
                .is_some_and(|it| it.contains("refused"))
        });
        nats.run();
        // Alice is first. What she has to say waits a while for those who come later.
        alice.come_up();
        alice.settle();
        assert!(alice.link.report().queued > 0);
        bob.come_up();
        bob.send(vec![subscribe(2, "t.bob")]);
        bob.settle();
        alice.until("all is sent", |alice| alice.link.report().queued == 0);
        bob.until("all of it", |bob| bob.payloads().len() == 100);
        let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(bob.payloads(), expected);
        bob.heard.clear();
        assert_eq!(
            (alice.link.report().unsent, alice.link.report().queued),
            (0, 0)
        );
    }
}

/// Section 8 of the specification: within 2 s of a killed server.
#[test]
fn another_server_is_found_at_once() {
    let (mut first, mut second) = (Nats::start(""), Nats::start(""));
    let mut rig = Rig::up(place(vec![at(first.port), at(second.port)]));
    for _ in 0..6 {
        let server = rig.link.report().server.expect("it is connected");
        let is_first = server.ends_with(&first.port.to_string());
        let lost = if is_first { &mut first } else { &mut second };
        lost.kill();
        let killed_ms = rig.now_ms();
        rig.until("the loss is noticed", |rig| !rig.link.report().is_up);
        rig.heard.clear();
        rig.come_up();
        let took_ms = rig.now_ms() - killed_ms;
        assert!(took_ms < 2_000, "{took_ms} ms");
        assert_ne!(rig.link.report().server, Some(server));
        lost.run();
    }
}

#[test]
fn servers_of_whom_a_server_tells_are_used() {
    let mut first = Nats::start("server_name: a\ncluster { name: c, listen: \"127.0.0.1:-1\" }");
    let route = first.told("route connections on ");
    let (_, route) = route.rsplit_once(':').expect("a port");
    let second = Nats::start(&format!(
        "server_name: b\ncluster {{ name: c, listen: \"127.0.0.1:-1\", \
         routes: [\"nats-route://127.0.0.1:{route}\"] }}"
    ));
    let mut rig = Rig::new(place(vec![at(first.port)]));
    rig.until("a connection", |rig| rig.link.report().is_up);
    assert!(
        matches!(rig.heard[..], [LinkEvent::Up { servers, .. }] if servers >= 2),
        "{:?}",
        rig.heard
    );
    first.told("Route connection created");
    rig.settle();
    // The news of the other may still be on its way.
    rig.until("the other is known", |rig| rig.link.knows_servers() == 2);
    first.kill();
    rig.until("the loss is noticed", |rig| !rig.link.report().is_up);
    rig.heard.clear();
    rig.come_up();
    let server = rig.link.report().server.expect("it is connected");
    assert!(server.ends_with(&second.port.to_string()), "{server}");
}

fn signal(nats: &Nats, name: &str) {
    let status = Command::new("kill")
        .arg(name)
        .arg(nats.pid().to_string())
        .status();
    assert!(status.expect("kill runs").success());
}

#[test]
fn a_server_that_stands_still_is_left() {
    let nats = Nats::start("");
    let mut rig = Rig::up(place(vec![at(nats.port)]));
    signal(&nats, "-STOP");
    let stopped_ms = rig.now_ms();
    rig.until("it is left", |rig| {
        // Time passes faster than the test has it.
        rig.ahead_ms += 100;
        !rig.link.report().is_up
    });
    let took_ms = rig.now_ms() - stopped_ms;
    signal(&nats, "-CONT");
    assert!(took_ms < 6_000, "{took_ms} ms");
    assert_eq!(events(&rig), ["down"]);
    rig.heard.clear();
    rig.come_up();
    rig.settle();
}

/// The hub's own pause says nothing of the server.
#[test]
fn a_hub_that_does_not_read_for_a_while_does_not_leave_its_server() {
    let nats = Nats::start("");
    let (mut alice, mut bob) = pair(&nats);
    bob.send(vec![subscribe(1, "t")]);
    bob.settle();
    bob.is_paused = true;
    alice.send(vec![publish("t", "hello")]);
    alice.settle();
    for _ in 0..20 {
        bob.ahead_ms += 1_000;
        bob.turn(0);
    }
    assert!(
        bob.link.report().is_up && bob.heard.is_empty(),
        "{:?}",
        bob.heard
    );
    bob.is_paused = false;
    bob.until("the message", |bob| bob.payloads() == ["hello"]);
}

#[test]
fn what_the_server_would_not_take_costs_nobody_the_connection() {
    let nats = Nats::start("max_payload: 4096");
    let mut rig = Rig::new(place(vec![at(nats.port)]));
    rig.until("a connection", |rig| rig.link.report().is_up);
    assert!(
        matches!(
            rig.heard[..],
            [LinkEvent::Up {
                max_payload: 4_096,
                ..
            }]
        ),
        "{:?}",
        rig.heard
    );
    rig.heard.clear();
    rig.send(vec![publish("t", &"x".repeat(4_097))]);
    rig.settle();
    let report = rig.link.report();
    assert_eq!((report.unsent, report.ups, report.is_up), (1, 1, true));
    rig.send(vec![publish("t", &"x".repeat(4_096))]);
    rig.settle();
    assert_eq!(rig.link.report().unsent, 1);
}

#[test]
fn what_the_server_does_not_allow_is_said() {
    let nats = Nats::start(
        "authorization { users: [{user: a, password: b, \
         permissions: {publish: \"tidings.>\", subscribe: \"tidings.>\"}}] }",
    );
    let place = super::super::place::ClusterPlace {
        credentials: tidings_nats::Credentials::Password {
            user: "a".into(),
            password: "b".into(),
        },
        ..place(vec![at(nats.port)])
    };
    let mut rig = Rig::up(place);
    rig.send(vec![
        subscribe(1, "other.t"),
        publish("other.t", "x"),
        subscribe(2, "tidings.t"),
    ]);
    rig.settle();
    let (trouble, hint) = rig.trouble();
    assert!(
        trouble.contains("Permissions Violation for Publish"),
        "{trouble}"
    );
    assert!(hint.contains("publish and subscribe"), "{hint}");
    let report = rig.link.report();
    assert_eq!((report.complaints, report.is_up), (2, true));
}
