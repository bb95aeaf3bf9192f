//! A loop with nothing in it but a link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use tidings_cluster::{ClusterConfig, LinkEvent, LinkOp};
use tidings_hub::ids::HubId;
use tidings_nats::Credentials;

use super::super::authorities::tls;
use super::super::link::{LINK, Link};
use super::super::place::ClusterPlace;
use super::super::report::LinkReport;
use super::super::settings::NatsUrl;
use crate::mailbox::{Envelope, Inbox};

/// Long enough for a slow machine; nothing waits for it unless it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn at(port: u16) -> NatsUrl {
    NatsUrl {
        host: "127.0.0.1".into(),
        port,
        is_tls: false,
    }
}

pub(super) fn place(servers: Vec<NatsUrl>) -> ClusterPlace {
    ClusterPlace {
        servers,
        credentials: Credentials::None,
        tls: tls(None).expect("the usual authorities"),
        config: ClusterConfig {
            prefix: "tidings.test".into(),
            key: [7; 32],
            node: 1,
            incarnation: 1,
            settle_ms: 0,
        },
    }
}

/// What a hub's thread does for its link.
pub(super) struct Rig {
    poll: Poll,
    inbox: Inbox,
    pub(super) link: Link,
    began: Instant,
    /// Added to the clock, so that a test need not wait.
    pub(super) ahead_ms: u64,
    pub(super) heard: Vec<LinkEvent>,
    pub(super) is_paused: bool,
}

impl Rig {
    pub(super) fn new(place: ClusterPlace) -> Self {
        let poll = Poll::new().expect("a loop");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let inbox = Inbox::new(waker);
        let hub = HubId { node: 1, hub: 0 };
        Self {
            link: Link::new(Arc::new(place), hub, inbox.mailbox()),
            poll,
            inbox,
            began: Instant::now(),
            ahead_ms: 0,
            heard: Vec::new(),
            is_paused: false,
        }
    }

    /// A link that is up.
    pub(super) fn up(place: ClusterPlace) -> Self {
        let mut rig = Self::new(place);
        rig.come_up();
        rig
    }

    pub(super) fn now_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).expect("a short test");
        1_000 + elapsed + self.ahead_ms
    }

    pub(super) fn send(&mut self, ops: Vec<LinkOp>) {
        let now_ms = self.now_ms();
        self.link.send(now_ms, ops);
    }

    /// One turn, which waits at most so long.
    pub(super) fn turn(&mut self, most_ms: u64) {
        let now_ms = self.now_ms();
        let due_ms = self
            .link
            .deadline()
            .map_or(most_ms, |due| due.saturating_sub(now_ms));
        let wait_ms = if self.link.has_work() && !self.is_paused {
            0
        } else {
            due_ms.min(most_ms)
        };
        let mut events = Events::with_capacity(16);
        self.poll
            .poll(&mut events, Some(Duration::from_millis(wait_ms)))
            .expect("a wait");
        let now_ms = self.now_ms();
        for event in &events {
            if event.token() == LINK {
                self.link.note_readiness(event);
            }
        }
        self.inbox.open();
        for envelope in std::iter::from_fn(|| self.inbox.take()).flatten() {
            let Envelope::Resolved(resolved) = envelope else {
                panic!("{envelope:?}");
            };
            self.link.resolved(now_ms, self.poll.registry(), *resolved);
        }
        let mut buffer = vec![0; 64 * 1024];
        self.link
            .turn(now_ms, self.poll.registry(), &mut buffer, self.is_paused);
        self.link.write(now_ms, self.poll.registry());
        while let Some(event) = self.link.next_event() {
            self.heard.push(event);
        }
    }

    /// Turns until something holds.
    pub(super) fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(
                begin.elapsed() < PATIENCE,
                "not in {PATIENCE:?}: {what}; {:?}, heard {:?}",
                self.link.report(),
                self.heard.iter().rev().take(5).collect::<Vec<_>>()
            );
            self.turn(20);
        }
    }

    pub(super) fn come_up(&mut self) {
        self.until("a connection", |rig| rig.link.report().is_up);
        assert!(
            self.heard
                .iter()
                .any(|event| matches!(event, LinkEvent::Up { .. })),
            "{:?}",
            self.heard
        );
        self.heard.clear();
    }

    /// Waits until the server has done everything so far.
    pub(super) fn settle(&mut self) {
        self.send(vec![LinkOp::Ping]);
        self.until("a PONG", |rig| {
            let at = rig.heard.iter().position(|event| *event == LinkEvent::Pong);
            at.map(|at| rig.heard.remove(at)).is_some()
        });
    }

    /// Waits until there is a trouble, and returns it with its hint.
    pub(super) fn trouble(&mut self) -> (String, &'static str) {
        self.until("a trouble", |rig| rig.link.report().trouble.is_some());
        let LinkReport { trouble, hint, .. } = self.link.report();
        (trouble.unwrap_or_default(), hint.unwrap_or_default())
    }

    /// What was published to subscriptions, as text.
    pub(super) fn payloads(&self) -> Vec<String> {
        let payload = |event: &LinkEvent| match event {
            LinkEvent::Message { payload, .. } => {
                Some(String::from_utf8_lossy(payload).into_owned())
            }
            _ => None,
        };
        self.heard.iter().filter_map(payload).collect()
    }
}

pub(super) fn subscribe(sid: u64, subject: &str) -> LinkOp {
    LinkOp::Subscribe {
        sid,
        subject: subject.into(),
    }
}

pub(super) fn publish(subject: &str, payload: &str) -> LinkOp {
    LinkOp::Publish {
        subject: subject.into(),
        reply: None,
        payload: payload.into(),
    }
}

pub(super) fn request(subject: &str, reply: &str) -> LinkOp {
    LinkOp::Publish {
        subject: subject.into(),
        reply: Some(reply.into()),
        payload: Vec::new(),
    }
}
