//! Reading the app's events: in order, without losing one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::sleep;

use super::Tidings;
use super::error::Error;
use super::transport::jittered;
use super::types::{Event, Page};

/// How long one call waits for the next event. Proxies end requests that are silent for a minute.
const WAIT: Duration = Duration::from_secs(25);
/// The pause after a call's own retries have failed; doubled up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is read, and from where.
#[derive(Debug, Clone)]
pub struct EventReader {
    tidings: Tidings,
    after: Option<String>,
    types: Vec<String>,
    limit: Option<u16>,
}

impl EventReader {
    pub(super) fn new(tidings: Tidings) -> Self {
        Self {
            tidings,
            after: None,
            types: Vec::new(),
            limit: None,
        }
    }

    /// Begins behind this cursor; at the oldest event that is kept if not stated.
    #[must_use]
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.after = Some(cursor.into());
        self
    }

    /// Only these types; all if not stated.
    #[must_use]
    pub fn types<I: IntoIterator<Item: Into<String>>>(mut self, types: I) -> Self {
        self.types = types.into_iter().map(Into::into).collect();
        self
    }

    /// Events in one call.
    #[must_use]
    pub fn limit(mut self, limit: u16) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Begins to read, event by event.
    pub fn follow(self) -> Following {
        let cursor = self.after.clone();
        Following {
            reader: self,
            waiting: VecDeque::new(),
            cursor,
        }
    }

    /// Hands every event to `handle` at least once, across restarts: `save` is given the cursor
    /// after `handle` is done with a page. Write it to where your data is, and start with it as
    /// [`after`](Self::after). An event of the type `gap` says that events before it were dropped
    /// before they could be read.
    ///
    /// # Errors
    /// What `handle` and `save` return, and [`Error`]s that waiting does not mend.
    pub async fn read<E, H, S>(mut self, mut handle: H, mut save: S) -> Result<(), E>
    where
        E: From<Error>,
        H: AsyncFnMut(Event) -> Result<(), E>,
        S: AsyncFnMut(&str) -> Result<(), E>,
    {
        loop {
            let page = self.page().await?;
            let before = self.after.clone();
            self.advance(&page);
            for event in page.items {
                handle(event).await?;
            }
            if let Some(cursor) = self.after.as_deref().filter(|_| self.after != before) {
                save(cursor).await?;
            }
        }
    }

    /// The next page; an outage is waited for.
    async fn page(&self) -> Result<Page<Event>, Error> {
        let mut attempt = 0;
        loop {
            let asked =
                self.tidings
                    .event_page(self.after.as_deref(), &self.types, self.limit, WAIT);
            match asked.await {
                Err(error) if error.is_outage() => {
                    let pause = jittered(PAUSE, attempt, PAUSE_MAX);
                    sleep(pause.max(error.retry_after().unwrap_or_default())).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn advance(&mut self, page: &Page<Event>) {
        let last = page.items.last().map(|event| event.cursor.clone());
        if let Some(cursor) = page.next.clone().or(last) {
            self.after = Some(cursor);
        }
    }
}

/// Events as they come, one by one.
#[derive(Debug)]
pub struct Following {
    reader: EventReader,
    waiting: VecDeque<Event>,
    cursor: Option<String>,
}

impl Following {
    /// The next event; waits for it. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// [`Error`]s that waiting does not mend.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.cursor = Some(event.cursor.clone());
                return Ok(event);
            }
            let page = self.reader.page().await?;
            self.reader.advance(&page);
            self.waiting.extend(page.items);
        }
    }

    /// Behind the last event that [`next`](Self::next) has given: save it once that is dealt with.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}
