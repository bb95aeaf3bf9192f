//! The keys of one app, in memory.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::{AUTOMATIC_WINDOW, Digest, HEADER, Name, Told, WINDOW, other_body};
use crate::problem::Fault;

/// Keys of one app: as many calls as the default rate allows within the window.
///
/// Bound: one of a caller's own more is refused until the oldest has lapsed, because to forget one
/// would be a second message. One of a package's takes the place of an older one of that kind.
const KEYS_MAX: usize = 300_000;

/// Keys of packages that are looked at to find one whose call is answered.
const LOOKED_AT_MAX: usize = 16;

#[derive(Debug)]
struct Kept {
    body: Digest,
    /// `None` until the first execution has its answer.
    reply: watch::Receiver<Option<Told>>,
}

/// The answers of one app.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Calls of the last [`WINDOW`]. Bound: [`KEYS_MAX`].
    kept: HashMap<Name, Kept>,
    /// Callers' own, the oldest first.
    own: VecDeque<(Instant, Name)>,
    /// Those that packages have made, the oldest first.
    automatic: VecDeque<(Instant, Name)>,
}

impl Table {
    fn forget_lapsed(&mut self, now: Instant) {
        for queue in [&mut self.own, &mut self.automatic] {
            while let Some((at, name)) = queue.front()
                && *at <= now
            {
                self.kept.remove(name);
                queue.pop_front();
            }
        }
    }

    /// Forgets an answered call whose key a package has made. Whether there is a place now.
    fn make_room(&mut self) -> bool {
        for _ in 0..LOOKED_AT_MAX {
            if self.kept.len() < KEYS_MAX {
                return true;
            }
            let Some((at, name)) = self.automatic.pop_front() else {
                return false;
            };
            let is_open = |kept: &Kept| kept.reply.borrow().is_none();
            if self.kept.get(&name).is_some_and(is_open) {
                // It is being executed: a repeat now would be a second effect.
                self.automatic.push_back((at, name));
            } else {
                self.kept.remove(&name);
            }
        }
        self.kept.len() < KEYS_MAX
    }
}

/// What a key is found to be.
#[derive(Debug)]
pub(super) enum Found {
    First(watch::Sender<Option<Told>>),
    Again(watch::Receiver<Option<Told>>),
    /// There is no place for a key of a package: the call is executed as one without a key.
    Unkept,
}

impl Replays {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(
        &self,
        name: Name,
        body: Digest,
        is_automatic: bool,
    ) -> Result<Found, Fault> {
        let now = Instant::now();
        let mut table = self.table();
        table.forget_lapsed(now);
        if let Some(kept) = table.kept.get(&name) {
            return if kept.body == body {
                Ok(Found::Again(kept.reply.clone()))
            } else {
                Err(other_body())
            };
        }
        if !table.make_room() {
            if is_automatic {
                return Ok(Found::Unkept);
            }
            let lapses = table.own.front().map(|(at, _)| *at);
            let wait = lapses.map_or(WINDOW, |at| at.saturating_duration_since(now));
            let detail = format!("the app has {KEYS_MAX} keys within ten minutes");
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            return Err(Fault::too_often(detail, wait_ms.max(1)).on(HEADER));
        }
        let Slot::Vacant(slot) = table.kept.entry(name) else {
            debug_assert!(false, "a key that was just not there");
            return Ok(Found::Unkept);
        };
        let (to, reply) = watch::channel(None);
        slot.insert(Kept { body, reply });
        if is_automatic {
            table.automatic.push_back((now + AUTOMATIC_WINDOW, name));
        } else {
            table.own.push_back((now + WINDOW, name));
        }
        Ok(Found::First(to))
    }

    /// Nothing has happened: the call may be made again.
    pub(super) fn forget(&self, name: &Name) {
        self.table().kept.remove(name);
    }
}

/// Waits for what the first execution says.
pub(super) async fn told(reply: &mut watch::Receiver<Option<Told>>) -> Result<Told, Fault> {
    let told = reply.wait_for(Option::is_some).await;
    match told.ok().and_then(|reply| reply.clone()) {
        Some(told) => Ok(told),
        // The work was dropped: the server ends.
        None => Err(Fault::unavailable("the server is being stopped")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nth(n: usize) -> Name {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&(n as u64).to_le_bytes());
        name
    }

    fn first(replays: &Replays, n: usize, is_automatic: bool) -> watch::Sender<Option<Told>> {
        match replays.find(nth(n), [0; 16], is_automatic) {
            Ok(Found::First(to)) => to,
            other => panic!("{n}: {other:?}"),
        }
    }

    fn answered(to: &watch::Sender<Option<Told>>) {
        let _ = to.send(Some(Told {
            result: Err(Fault::missing("x")),
            is_recalled: false,
        }));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_of_packages_make_room_for_others_and_callers_own_are_never_forgotten() {
        let replays = Replays::default();
        for n in 0..KEYS_MAX - 1 {
            answered(&first(&replays, n, true));
        }
        // One more that is still being executed, at the front of nothing.
        let open = first(&replays, KEYS_MAX, true);
        // The oldest answered ones go, one by one.
        for n in 1..=20 {
            answered(&first(&replays, KEYS_MAX + n, n % 2 == 0));
        }
        assert!(matches!(
            replays.find(nth(KEYS_MAX), [0; 16], true),
            Ok(Found::Again(_))
        ));
        assert!(matches!(
            replays.find(nth(0), [0; 16], true),
            Ok(Found::First(_))
        ));
        drop(open);
        let own = |replays: &Replays| {
            (1..=20).filter(|n| n % 2 == 1).all(|n| {
                matches!(
                    replays.find(nth(KEYS_MAX + n), [0; 16], false),
                    Ok(Found::Again(_))
                )
            })
        };
        assert!(own(&replays));
        // After two minutes packages' keys are gone, callers' own are not.
        tokio::time::advance(AUTOMATIC_WINDOW).await;
        assert!(own(&replays));
        assert_eq!(replays.table().kept.len(), 10);
        tokio::time::advance(WINDOW).await;
        answered(&first(&replays, KEYS_MAX + 1, false));
    }

    #[tokio::test(start_paused = true)]
    async fn callers_own_keys_are_refused_when_there_is_no_place_and_packages_go_without() {
        let replays = Replays::default();
        for n in 0..KEYS_MAX {
            answered(&first(&replays, n, false));
        }
        let refused = replays.find(nth(KEYS_MAX), [0; 16], false);
        let refused = refused.expect_err("no place");
        assert_eq!(refused.status.as_u16(), 429);
        assert!(matches!(
            replays.find(nth(KEYS_MAX), [0; 16], true),
            Ok(Found::Unkept)
        ));
        assert!(matches!(
            replays.find(nth(5), [0; 16], false),
            Ok(Found::Again(_))
        ));
        assert_eq!(
            replays
                .find(nth(5), [1; 16], false)
                .expect_err("another body")
                .status
                .as_u16(),
            422
        );
    }
}
