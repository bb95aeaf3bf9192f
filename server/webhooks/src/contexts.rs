//! What the calls of backends have brought along, for the notices of the messages that they have
//! sent.
//!
//! In memory only: a notice that goes out after a restart begins a trace of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tidings_spans::TraceContext;

use crate::sources::Event;

/// Messages that are remembered. Bound: one more, and the oldest is forgotten.
const MESSAGES_MAX: usize = 10_000;

/// The contexts of messages, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Contexts(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    contexts: HashMap<String, TraceContext>,
    /// In the order in which they came.
    order: VecDeque<String>,
}

impl Contexts {
    /// No code can panic while it holds the lock, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, message: String, cause: TraceContext) {
        let mut noted = self.lock();
        if noted.contexts.insert(message.clone(), cause).is_none() {
            noted.order.push_back(message);
        }
        if noted.order.len() > MESSAGES_MAX
            && let Some(oldest) = noted.order.pop_front()
        {
            noted.contexts.remove(&oldest);
        }
    }

    /// What has caused an event, if that is known.
    pub(crate) fn of(&self, event: &Event) -> Option<TraceContext> {
        let id = event.detail.get("id").and_then(Value::as_str)?;
        self.lock().contexts.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(number: usize) -> TraceContext {
        let header = format!("00-{:032x}-00f067aa0ba902b7-01", number + 1);
        TraceContext::parse(&header).expect("a context")
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let contexts = Contexts::default();
        for number in 0..=MESSAGES_MAX {
            contexts.note(number.to_string(), context(number));
        }
        let event = |id: &str| Event {
            number: 1,
            place: String::new(),
            at_ms: 1,
            kind: "message.channel".to_owned(),
            user: None,
            channel: None,
            order: 1,
            detail: [("id".to_owned(), Value::from(id))].into_iter().collect(),
        };
        assert_eq!(contexts.of(&event("0")), None);
        assert_eq!(contexts.of(&event("1")), Some(context(1)));
        let last = MESSAGES_MAX.to_string();
        assert_eq!(contexts.of(&event(&last)), Some(context(MESSAGES_MAX)));
        let mut unnamed = event("1");
        unnamed.detail.clear();
        assert_eq!(contexts.of(&unnamed), None);
    }
}
