//! A connection whose server a test plays, to the byte.

#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use tidings_nats::{Connection, Credentials, Event, Gone, Options, Reason, Tls};

pub(crate) const INFO: &str =
    r#"INFO {"server_id":"a","version":"2.15.1","proto":1,"headers":true,"max_payload":100"#;

pub(crate) fn info(more: &str) -> String {
    format!("{INFO}{more}}}\r\n")
}

/// A connection, and what it has said.
pub(crate) struct Machine {
    pub(crate) nats: Connection,
    pub(crate) now_ms: u64,
    pub(crate) events: Vec<Event>,
}

impl Machine {
    pub(crate) fn new(credentials: Credentials) -> Self {
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

    pub(crate) fn up() -> Self {
        let mut machine = Self::new(Credentials::None);
        machine.come_up();
        machine
    }

    pub(crate) fn come_up(&mut self) {
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

    pub(crate) fn hear(&mut self, text: &str) {
        let events = &mut self.events;
        self.nats
            .receive(self.now_ms, text.as_bytes(), &mut |event| {
                events.push(event)
            });
    }

    pub(crate) fn tick_at(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let events = &mut self.events;
        self.nats.tick(now_ms, &mut |event| events.push(event));
    }

    /// What goes out, all of it.
    pub(crate) fn sent(&mut self) -> String {
        let sent = String::from_utf8(self.nats.output().to_vec()).expect("text");
        self.nats.wrote(self.now_ms, sent.len());
        sent
    }

    pub(crate) fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &str) {
        let now_ms = self.now_ms;
        self.nats
            .publish(now_ms, subject, reply, payload.as_bytes())
            .expect("it is taken");
    }

    pub(crate) fn refusal(&mut self) -> (Reason, &'static str) {
        match self.events.pop() {
            Some(Event::Refused(refusal)) => (refusal.reason, refusal.shown),
            other => panic!("no refusal: {other:?}"),
        }
    }

    pub(crate) fn gone(&mut self) -> Gone {
        assert_eq!(self.nats.deadline(), None, "nothing is left to do");
        match self.events.pop() {
            Some(Event::Gone(gone)) => gone,
            other => panic!("not gone: {other:?}"),
        }
    }
}
