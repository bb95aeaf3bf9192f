//! Streams of events, for everybody who reads them: by cursor, by queue, and as they come.
//!
//! A stream is durable and ordered, and reading it by cursor changes nothing: any number of readers
//! go on where each has come to. What was pushed out by newer events, or could not be written, is
//! told by an event of the kind [`EventKind::Gap`]. Queues are those of the hosted service: what is
//! taken is gone.
//!
//! ```
//! use tidings_store::events::{After, EventKind, EventKinds, Events, NewEvent};
//! use tidings_store::{Committer, MemoryEngine};
//! use tidings_wire::names::{AppId, UserId};
//!
//! let committer = Committer::open(MemoryEngine::new(), |_, _| ())?;
//! let events = Events::new(committer.submitter());
//! let app = AppId::parse("0123456789abcdef0123456789abcdef")?;
//! let now_ms = std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64;
//! let mut banned = NewEvent::new(app.clone(), now_ms, EventKind::Banned);
//! banned.user = Some(UserId::parse("mallory")?);
//! events.write(banned).wait()?;
//! let first = events.read(&app, After::Start, 10, EventKinds::ALL).wait()?;
//! assert_eq!(first.events[0].kind, EventKind::Banned);
//! // The text is for the reader to keep; it gives it back to go on.
//! let cursor = first.next.to_string();
//! let second = events.read(&app, After::Cursor(cursor.parse()?), 10, EventKinds::ALL).wait()?;
//! assert!(second.events.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
pub use tidings_hub::store_ops::events::{
    Event, EventKind, EventKinds, EventQueue, EventSpan, LoginName, NewEvent,
};
use tidings_hub::store_ops::events::{EventAnswer, EventOp};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::limits::{EVENT_PAGE_MAX, EVENTS_AGE_MS};
use tidings_wire::names::AppId;
use xxhash_rust::xxh3::Xxh3;

use crate::committer::Submitter;
use crate::feed::{Feed, Known};
use crate::pending::{Call, Ended};

/// Longest text of an event's detail, in bytes; a longer one is cut.
pub const DETAIL_BYTES_MAX: usize = 1024;

/// Why events could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The disk is full or failing, or the store has too much to do or is shutting down. Worth
    /// trying again.
    #[error("{reason}")]
    Unavailable {
        /// What happened, and what to do.
        reason: String,
    },
    /// The cursor is not of this app's stream: of another app, or of another server.
    #[error(
        "the cursor {cursor} is not of this app's events; begin without one, or take one that this app's events have given"
    )]
    Foreign {
        /// As it was given.
        cursor: Cursor,
    },
    /// The cursor is newer than the newest event: the store is older than it, because a backup was
    /// restored.
    #[error("the cursor {cursor} is at event {}, and the newest is {newest}: an older backup may have been restored; begin without a cursor", cursor.number)]
    Newer {
        /// As it was given.
        cursor: Cursor,
        /// The newest event's number.
        newest: u64,
    },
}

impl Ended for EventError {
    fn ended() -> Self {
        Self::Unavailable {
            reason: "the store has ended; restart the server".into(),
        }
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor; give the text back as the events have given it")]
pub struct NoCursor;

/// A place in a stream: how far a reader has come. As text, it is for keeping and giving back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    number: u64,
    /// Tells streams apart. It keeps mistakes out, not attackers: there is nothing to be gained.
    tag: u64,
}

impl Cursor {
    fn of(app: &AppId, born_ms: u64, number: u64) -> Self {
        let mut hash = Xxh3::new();
        hash.update(app.as_str().as_bytes());
        hash.update(&born_ms.to_be_bytes());
        hash.update(&number.to_be_bytes());
        Self {
            number,
            tag: hash.digest(),
        }
    }

    /// The number of the last event before the place.
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.number.to_be_bytes(), self.tag.to_be_bytes()].concat();
        f.write_str(&BASE64.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let bytes = BASE64.decode(text).map_err(|_| NoCursor)?;
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| NoCursor)?;
        let (number, tag) = bytes.split_first_chunk().ok_or(NoCursor)?;
        Ok(Self {
            number: u64::from_be_bytes(*number),
            tag: u64::from_be_bytes(tag.try_into().map_err(|_| NoCursor)?),
        })
    }
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// With the oldest event that is kept.
    Start,
    /// Behind the newest event: with what comes from now on.
    Newest,
    /// Where a reader has come to.
    Cursor(Cursor),
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events, oldest first; may be none although more follow, if others were asked for.
    pub events: Vec<Event>,
    /// Where to go on.
    pub next: Cursor,
    /// The number of the newest event of the stream: more follow while it is greater than that of
    /// `next`.
    pub newest: u64,
    app: AppId,
    born_ms: u64,
}

impl EventPage {
    /// The cursor behind one of the page's events.
    pub fn cursor_of(&self, event: &Event) -> Cursor {
        Cursor::of(&self.app, self.born_ms, event.number)
    }

    /// Whether there is more to read now.
    pub fn has_more(&self) -> bool {
        self.newest > self.next.number
    }
}

/// A call on streams that is under way.
pub type EventCall<T> = Call<T, EventError>;

/// The streams. Cheap to clone; works from any thread, in and outside of async code.
#[derive(Clone)]
pub struct Events {
    submitter: Submitter,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// The streams of a committer's store.
    pub fn new(submitter: Submitter) -> Self {
        Self { submitter }
    }

    /// Reads events of these kinds, at most `limit` and at most [`EVENT_PAGE_MAX`].
    ///
    /// # Errors
    /// [`EventError`], when awaited.
    pub fn read(
        &self,
        app: &AppId,
        after: After,
        limit: usize,
        kinds: EventKinds,
    ) -> EventCall<EventPage> {
        let limit = limit.clamp(1, EVENT_PAGE_MAX);
        let number = match after {
            After::Start => None,
            After::Newest => return self.begin_behind(app),
            After::Cursor(cursor) => Some(cursor.number),
        };
        if let Some(number) = number {
            let is_wanted = |event: &Event| kinds.has(event.kind);
            let known = self.submitter.feed().read(app, number, is_wanted, limit);
            if let Some((events, next, span)) = known {
                return Call::ready(page(app, after, (events, next, span)));
            }
        }
        let op = EventOp::Read {
            app: app.clone(),
            after: number,
            count_max: limit,
            kinds,
            not_before_ms: oldest_ms(),
        };
        let app = app.clone();
        self.call(op, move |answer| match answer {
            EventAnswer::Page { events, next, span } => page(&app, after, (events, next, span)),
            other => Err(unexpected(&other)),
        })
    }

    fn begin_behind(&self, app: &AppId) -> EventCall<EventPage> {
        let op = EventOp::Span { app: app.clone() };
        let app = app.clone();
        self.call(op, move |answer| match answer {
            EventAnswer::Span(span) => page(&app, After::Newest, (Vec::new(), span.newest, span)),
            other => Err(unexpected(&other)),
        })
    }

    /// Where a stream begins and ends.
    ///
    /// # Errors
    /// [`EventError::Unavailable`], when awaited.
    pub fn span(&self, app: &AppId) -> EventCall<EventSpan> {
        let op = EventOp::Span { app: app.clone() };
        self.call(op, |answer| match answer {
            EventAnswer::Span(span) => Ok(span),
            other => Err(unexpected(&other)),
        })
    }

    /// Takes events out of a queue, oldest first, at most `limit` and at most [`EVENT_PAGE_MAX`].
    /// Each event is given to one caller only; when the answer is there, that is durable.
    ///
    /// # Errors
    /// [`EventError::Unavailable`], when awaited.
    pub fn take(&self, app: &AppId, queue: EventQueue, limit: usize) -> EventCall<Vec<Event>> {
        let op = EventOp::Take {
            app: app.clone(),
            queue,
            count_max: limit,
            not_before_ms: oldest_ms(),
        };
        self.call(op, |answer| match answer {
            EventAnswer::Page { events, .. } => Ok(events),
            other => Err(unexpected(&other)),
        })
    }

    /// Writes an event that no hub knows of, such as a ban. Returns it with its number; `None` = it
    /// was no news.
    ///
    /// # Errors
    /// [`EventError::Unavailable`], when awaited.
    pub fn write(&self, mut event: NewEvent) -> EventCall<Option<Event>> {
        let mut end = event.detail.len().min(DETAIL_BYTES_MAX);
        while !event.detail.is_char_boundary(end) {
            end -= 1;
        }
        event.detail.truncate(end);
        self.submit(
            StoreOp::EventAppend(Box::new(event)),
            |answer| match answer {
                EventAnswer::Written { mut events, .. } => Ok(events.pop()),
                other => Err(unexpected(&other)),
            },
        )
    }

    /// Watches an app's stream: tells when there is more to read.
    pub fn watch(&self, app: &AppId) -> Watch {
        let feed = self.submitter.feed().clone();
        feed.watch(app);
        Watch {
            events: self.clone(),
            feed,
            app: app.clone(),
        }
    }

    fn call<T: Send + 'static>(
        &self,
        op: EventOp,
        read: impl FnOnce(EventAnswer) -> Result<T, EventError> + Send + 'static,
    ) -> EventCall<T> {
        self.submit(StoreOp::Events(Box::new(op)), read)
    }

    fn submit<T: Send + 'static>(
        &self,
        op: StoreOp,
        read: impl FnOnce(EventAnswer) -> Result<T, EventError> + Send + 'static,
    ) -> EventCall<T> {
        let (sender, call) = Call::new();
        self.submitter.submit_one(op, move |answer| {
            let result = match answer {
                StoreAnswer::Events(answer) => read(*answer),
                StoreAnswer::Failed { reason } => Err(EventError::Unavailable { reason }),
                other => Err(EventError::Unavailable {
                    reason: format!("the store has answered {other:?}; report this as a bug"),
                }),
            };
            // Whoever has asked may have gone.
            let _ = sender.send(result);
        });
        call
    }
}

/// A page, if the cursor that it was asked with is of this stream.
fn page(
    app: &AppId,
    after: After,
    (events, next, span): (Vec<Event>, u64, EventSpan),
) -> Result<EventPage, EventError> {
    if let After::Cursor(cursor) = after {
        // What an app without any event has given is the beginning of the stream that it has now.
        let is_beginning = cursor == Cursor::of(app, 0, 0);
        if cursor != Cursor::of(app, span.born_ms, cursor.number) && !is_beginning {
            return Err(EventError::Foreign { cursor });
        }
        if cursor.number > span.newest {
            let newest = span.newest;
            return Err(EventError::Newer { cursor, newest });
        }
    }
    Ok(EventPage {
        events,
        next: Cursor::of(app, span.born_ms, next),
        newest: span.newest,
        app: app.clone(),
        born_ms: span.born_ms,
    })
}

fn unexpected(answer: &EventAnswer) -> EventError {
    EventError::Unavailable {
        reason: format!("the store has answered {answer:?}; report this as a bug"),
    }
}

/// The stamp of the oldest event that is still told, in Unix milliseconds.
fn oldest_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    now_ms.saturating_sub(EVENTS_AGE_MS)
}

/// Tells when an app has more events. While it lives, the newest events are kept in memory, so that
/// reading them costs the store nothing.
#[derive(Debug)]
pub struct Watch {
    events: Events,
    feed: Arc<Feed>,
    app: AppId,
}

impl Watch {
    /// Waits until the stream has an event after this place. Wakes up without polling, and may be
    /// dropped at any time.
    ///
    /// # Errors
    /// [`EventError::Unavailable`]
    pub async fn newer_than(&self, cursor: Cursor) -> Result<(), EventError> {
        loop {
            match self.feed.newer_than(&self.app, cursor.number) {
                Known::Newer => return Ok(()),
                Known::NoneYet(woken) => {
                    // An error: the feed has forgotten who waits. Looks again.
                    let _ = woken.await;
                }
                Known::Nothing => {
                    let span = self.events.span(&self.app).await?;
                    self.feed.note_span(&self.app, span);
                }
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feed.unwatch(&self.app);
    }
}
