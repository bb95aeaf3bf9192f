//! The queue of events between the driver and the application.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tidings_client_core::{Backlog, ClientEvent};
use tokio::sync::Notify;

/// Events that may wait for the application; beyond it nothing more is confirmed to the server,
/// which then sends at most 1,024 more. Source: contract 4.1.
const EVENTS_MAX: usize = 10_000;

#[derive(Debug, Default)]
struct Queue {
    /// Bound: `EVENTS_MAX`, and what the server sends unconfirmed.
    events: VecDeque<ClientEvent>,
    /// The application's task, while it waits.
    waker: Option<Waker>,
    /// The application has dropped its end: events are discarded.
    is_unwanted: bool,
    /// The driver has ended: nothing more will come.
    is_ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Tells the driver that there is room again.
    room: Notify,
}

impl Shared {
    /// A panic elsewhere leaves the queue as it was: every change is one step.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a queue.
pub(crate) fn queue() -> (Sender, Events) {
    let shared = Arc::new(Shared::default());
    (
        Sender {
            shared: shared.clone(),
        },
        Events { shared },
    )
}

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Sender {
    shared: Arc<Shared>,
}

impl Sender {
    /// Appends an event.
    pub(crate) fn push(&self, event: ClientEvent) {
        let mut queue = self.shared.lock();
        if queue.is_unwanted {
            return;
        }
        queue.events.push_back(event);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// Whether the application keeps up.
    pub(crate) fn backlog(&self) -> Backlog {
        if self.shared.lock().events.len() >= EVENTS_MAX {
            Backlog::Full
        } else {
            Backlog::Clear
        }
    }

    /// Waits until the application has taken events from a full queue.
    pub(crate) async fn room(&self) {
        self.shared.room.notified().await;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_ended = true;
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }
}

/// What happens to a client, in order.
///
/// At most 10,000 events wait for the application; a client whose application does not take them
/// stops confirming, and the server closes its connection. An application that wants no events
/// drops this.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

impl Events {
    /// Waits for the next event. None when all handles of the client are dropped.
    ///
    /// May be dropped at any time: no event is lost.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Takes the next event if there is one already.
    pub fn try_next(&mut self) -> Option<ClientEvent> {
        let mut queue = self.shared.lock();
        let event = queue.events.pop_front();
        if queue.events.len() == EVENTS_MAX - 1 {
            self.shared.room.notify_one();
        }
        event
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<ClientEvent>> {
        if let Some(event) = self.try_next() {
            return Poll::Ready(Some(event));
        }
        let mut queue = self.shared.lock();
        // An event may have come between the two locks.
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(event));
        }
        if queue.is_ended {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Stream for Events {
    type Item = ClientEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ClientEvent>> {
        self.get_mut().poll(context)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_unwanted = true;
        queue.events.clear();
        self.shared.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_is_told_and_room_too() {
        let (sender, mut events) = queue();
        for _ in 0..EVENTS_MAX - 1 {
            sender.push(ClientEvent::TokenExpired);
        }
        assert_eq!(sender.backlog(), Backlog::Clear);
        sender.push(ClientEvent::TokenExpired);
        assert_eq!(sender.backlog(), Backlog::Full);
        assert!(events.next().await.is_some());
        sender.room().await;
        assert_eq!(sender.backlog(), Backlog::Clear);
    }

    #[tokio::test]
    async fn the_end_comes_after_the_last_event_and_unwanted_events_are_discarded() {
        let (sender, mut events) = queue();
        sender.push(ClientEvent::TokenExpired);
        drop(sender);
        assert!(events.next().await.is_some());
        assert_eq!(events.next().await, None);

        let (sender, events) = queue();
        drop(events);
        sender.push(ClientEvent::TokenExpired);
        assert_eq!(sender.shared.lock().events.len(), 0);
    }
}
