//! How long things take on a hub's thread. Touched once in a turn: a hub says how many things ended
//! in the turn in which they began, and that the turn took so long is known here.

use std::time::Duration;

use tidings_hub::counts::{Histogram, HubCounts, Waits};

/// How long turns, requests and messages have taken.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) turns: Histogram,
    /// Those that took one turn; the hub has the others.
    prompt_requests: Histogram,
    prompt_messages: Histogram,
    /// How many of them were counted so far.
    requests_counted: u64,
    messages_counted: u64,
}

impl Times {
    /// A turn is over, with everything written that sockets take.
    pub(crate) fn note(&mut self, turn: Duration, counts: &HubCounts) {
        let turn_us = u64::try_from(turn.as_micros()).unwrap_or(u64::MAX);
        self.turns.note(turn_us, 1);
        let prompt = |waits: &Waits, counted: &mut u64, histogram: &mut Histogram| {
            let new = waits.at_once - *counted;
            if new > 0 {
                histogram.note(turn_us, new);
                *counted = waits.at_once;
            }
        };
        let (requests, messages) = (&counts.requests, &counts.messages);
        prompt(
            requests,
            &mut self.requests_counted,
            &mut self.prompt_requests,
        );
        prompt(
            messages,
            &mut self.messages_counted,
            &mut self.prompt_messages,
        );
    }

    /// From a client's request to its answer.
    pub(crate) fn requests(&self, counts: &HubCounts) -> Histogram {
        all(&self.prompt_requests, &counts.requests)
    }

    /// From a channel message's arrival until its members here are written to.
    pub(crate) fn messages(&self, counts: &HubCounts) -> Histogram {
        all(&self.prompt_messages, &counts.messages)
    }
}

fn all(prompt: &Histogram, waits: &Waits) -> Histogram {
    let mut all = *prompt;
    all.add(&waits.later);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_in_its_turn_took_as_long_as_the_turn() {
        let mut times = Times::default();
        let mut counts = HubCounts::default();
        counts.requests.at_once = 3;
        times.note(Duration::from_micros(700), &counts);
        times.note(Duration::from_micros(90_000), &counts);
        counts.requests.at_once = 4;
        counts.requests.later.note(2_000, 1);
        times.note(Duration::from_micros(50), &counts);
        assert_eq!(times.turns.count(), 3);
        let requests = times.requests(&counts);
        assert_eq!(requests.count(), 5);
        assert_eq!(requests.sum_us(), 3 * 700 + 50 + 2_000);
        assert_eq!(times.messages(&counts).count(), 0);
    }
}
