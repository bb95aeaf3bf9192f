//! The places of HTTP: how many there are, and who gives one up when there is none left.
//!
//! Bound: [`VISITS_MAX`] places, of which one source has [`VISITS_PER_SOURCE_MAX`]. A new visit is
//! worth more than a connection that is kept without a request, and more than one that has stood
//! still for a while.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use slab::Slab;
use tidings_wire::limits::{VISITS_MAX, VISITS_PER_SOURCE_MAX};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pace::Pace;

/// A visit that has not moved a byte for so long may be given up for another.
const STANDSTILL: Duration = Duration::from_secs(2);

/// What a visit is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Another needs its place.
    GiveUp,
    /// The server ends: no further request.
    Finish,
}

/// The places that are taken.
#[derive(Debug, Default)]
pub(super) struct Visits {
    entries: Slab<Entry>,
    /// Bound: [`VISITS_MAX`].
    by_source: HashMap<IpAddr, usize>,
    taken: usize,
}

#[derive(Debug)]
struct Entry {
    source: Option<IpAddr>,
    places: usize,
    pace: Pace,
    word: oneshot::Sender<Word>,
}

impl Visits {
    /// Takes places for a visit; `None` when all are taken by visits that are getting on.
    pub(super) fn enter(
        &mut self,
        source: Option<IpAddr>,
        places: usize,
        pace: &Pace,
    ) -> Option<(usize, oneshot::Receiver<Word>)> {
        while self.of(source) + places > VISITS_PER_SOURCE_MAX && source.is_some() {
            self.give_up(|entry| entry.source == source)?;
        }
        while self.taken + places > VISITS_MAX {
            self.give_up(|_| true)?;
        }
        let (word, words) = oneshot::channel();
        let entry = Entry {
            source,
            places,
            pace: pace.clone(),
            word,
        };
        self.taken += places;
        if let Some(source) = source {
            *self.by_source.entry(source).or_default() += places;
        }
        Some((self.entries.insert(entry), words))
    }

    fn of(&self, source: Option<IpAddr>) -> usize {
        let count = source.and_then(|source| self.by_source.get(&source));
        count.copied().unwrap_or(0)
    }

    /// A visit has ended.
    pub(super) fn leave(&mut self, key: usize, pace: &Pace) {
        // One that was given up has left already, and its key may be another's.
        let is_same = |entry: &Entry| entry.pace.is_same(pace);
        if self.entries.get(key).is_some_and(is_same) {
            self.remove(key);
        }
    }

    /// The server ends.
    pub(super) fn finish(&mut self) {
        self.by_source.clear();
        for entry in self.entries.drain() {
            let _ = entry.word.send(Word::Finish);
        }
    }

    fn remove(&mut self, key: usize) -> Entry {
        let entry = self.entries.remove(key);
        self.taken -= entry.places;
        if let Some(source) = entry.source
            && let Some(count) = self.by_source.get_mut(&source)
        {
            *count -= entry.places;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        entry
    }

    /// Gives up, of some visits, one without a request, else one that stands still; among those, of
    /// the source that has the most, the one that has not moved for longest.
    fn give_up(&mut self, is_one: impl Fn(&Entry) -> bool) -> Option<()> {
        let now = Instant::now();
        let candidates = self.entries.iter().filter(|(_, entry)| is_one(entry));
        let candidates = candidates.filter_map(|(key, entry)| {
            let moved = entry.pace.moved();
            let is_idle = entry.pace.is_idle();
            // A backend's call may wait for long; its pause between two is no more worth than
            // others'.
            let is_known = entry.pace.is_known();
            let may_go = is_idle || !is_known && now.duration_since(moved) >= STANDSTILL;
            let rank = (is_idle, !is_known, self.of(entry.source), Reverse(moved));
            (may_go && !entry.pace.is_transfer()).then_some((rank, key))
        });
        let (_, key) = candidates.max()?;
        // Its task may have ended by itself in this moment.
        let _ = self.remove(key).word.send(Word::GiveUp);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::config::Limits;
    use crate::http::pace::Waits;

    fn pace() -> Pace {
        Pace::begin(Waits::new(&Limits::default()))
    }

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn idle() -> Pace {
        let pace = pace();
        pace.begins_request();
        pace.ends_request();
        pace.flushed();
        pace
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_go_first_then_those_that_stand_still() {
        let mut visits = Visits::default();
        let busy: Vec<_> = (0..VISITS_MAX - 1)
            .map(|n| {
                let pace = pace();
                let source = ip(u8::try_from(n % 250).expect("small"));
                visits.enter(source, 1, &pace).expect("a place")
            })
            .collect();
        let (_, mut kept) = visits.enter(ip(251), 1, &idle()).expect("a place");
        visits
            .enter(ip(252), 1, &pace())
            .expect("the idle one's place");
        assert_eq!(kept.try_recv(), Ok(Word::GiveUp));
        assert!(
            visits.enter(ip(253), 1, &pace()).is_none(),
            "all are getting on"
        );
        advance(STANDSTILL).await;
        visits
            .enter(ip(253), 4, &pace())
            .expect("the places of those that stand still");
        let gone = busy
            .into_iter()
            .filter_map(|(_, mut word)| word.try_recv().ok());
        assert_eq!(gone.count(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_has_its_share_and_gives_up_its_own() {
        let mut visits = Visits::default();
        let (_, mut other) = visits.enter(ip(1), 1, &idle()).expect("a place");
        let paces: Vec<_> = (0..VISITS_PER_SOURCE_MAX).map(|_| pace()).collect();
        let held: Vec<_> = paces
            .iter()
            .map(|pace| visits.enter(ip(2), 1, pace).expect("a place"))
            .collect();
        assert!(visits.enter(ip(2), 1, &pace()).is_none());
        assert!(other.try_recv().is_err(), "nobody else's place is touched");
        visits.leave(held[0].0, &paces[0]);
        visits.enter(ip(2), 1, &pace()).expect("a place again");
        visits.enter(ip(3), 1, &pace()).expect("a place");
        // The place of one that has left already is not given back twice.
        let taken = visits.taken;
        visits.leave(held[0].0, &paces[0]);
        assert_eq!(visits.taken, taken);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_a_token_is_not_given_up() {
        let mut visits = Visits::default();
        let its_pace = pace();
        let _transfer = its_pace.becomes_transfer();
        let (_, mut word) = visits.enter(None, VISITS_MAX, &its_pace).expect("places");
        advance(STANDSTILL).await;
        assert!(visits.enter(None, 1, &pace()).is_none());
        assert!(word.try_recv().is_err());
    }
}
