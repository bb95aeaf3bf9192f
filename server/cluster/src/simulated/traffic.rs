//! What is on its way in a simulated NATS.

use bytes::Bytes;

use super::nats::Link;
use crate::link::{LinkEvent, LinkOp};

/// What servers tell each other.
#[derive(Debug, Clone)]
pub(super) enum Word {
    Subscribed(String),
    Unsubscribed(String),
    Message { subject: String, payload: Bytes },
}

#[derive(Debug, Clone)]
pub(super) enum Event {
    ToServer {
        link: Link,
        life: u64,
        op: LinkOp,
    },
    ToClient {
        link: Link,
        life: u64,
        event: LinkEvent,
    },
    Route {
        between: (usize, usize),
        life: u64,
        word: Word,
    },
}

/// What must stay in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    ToServer(Link),
    ToClient(Link),
    Route(usize, usize),
}

/// The subscriptions that a subject meets: itself, and all beside it.
pub(super) fn names(subject: &str) -> [String; 2] {
    let (parent, _) = subject.rsplit_once('.').unwrap_or_default();
    [subject.to_owned(), format!("{parent}.*")]
}

/// Heartbeats go on for ever: nobody waits for them.
pub(super) fn is_counted(event: &Event) -> bool {
    let subject = match event {
        Event::ToServer {
            op: LinkOp::Publish { subject, .. },
            ..
        } => subject.as_bytes(),
        Event::ToClient {
            event: LinkEvent::Message { subject, .. },
            ..
        } => subject,
        Event::Route {
            word: Word::Message { subject, .. },
            ..
        } => subject.as_bytes(),
        _ => return true,
    };
    !subject.ends_with(b".n")
}
