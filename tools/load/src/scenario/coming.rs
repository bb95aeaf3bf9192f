//! Clients whose login is refused with a retry time: they retry then, as the SDKs do.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::engine::Engine;

/// Who retries and when, and how often each was refused.
#[derive(Debug, Default)]
pub(super) struct Coming {
    due: Vec<(Instant, usize)>,
    times: HashMap<usize, u32>,
}

impl Coming {
    /// A login was refused, to be retried after this many milliseconds.
    pub(super) fn is_turned_away(&mut self, link: usize, after_ms: u32) {
        let after = Duration::from_millis(u64::from(after_ms));
        self.due.push((Instant::now() + after, link));
        *self.times.entry(link).or_default() += 1;
    }

    /// Reconnects the clients whose time has come.
    pub(super) fn connect_due(&mut self, engine: &mut Engine) -> Result<()> {
        let now = Instant::now();
        let mut at = 0;
        while at < self.due.len() {
            if self.due[at].0 <= now {
                let (_, link) = self.due.swap_remove(at);
                engine.reconnect(link)?;
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    /// Clients that were refused at least this many times.
    pub(super) fn clients(&self, times: u32) -> usize {
        self.times.values().filter(|found| **found >= times).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_by_how_often_they_were_turned_away() {
        let mut coming = Coming::default();
        for link in [1, 2, 1, 1] {
            coming.is_turned_away(link, 60_000);
        }
        assert_eq!(
            [1, 2, 3, 4].map(|times| coming.clients(times)),
            [2, 1, 1, 0]
        );
    }
}
