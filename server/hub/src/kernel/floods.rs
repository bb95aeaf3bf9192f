//! Clients that stay far above a rate: refusing them costs, and they do not listen (contract
//! OVL-3).

use tidings_fault::fault;
use tidings_wire::limits::{FLOOD_FACTOR, FLOOD_MS};
use tidings_wire::rates::{Bucket, Rate};

use crate::rates::Kind;

/// Refused calls of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood {
    pub(crate) kind: Kind,
    /// Of refused calls: what passes the limit itself is one part, these are the others.
    pub(crate) refused: Bucket,
    /// Since when, and until when, there were too many of them. Monotonic milliseconds.
    pub(crate) since_ms: u64,
    pub(crate) last_ms: u64,
}

/// The floods of one session. Only refused calls are looked at: what is within its rate costs
/// nothing here.
///
/// Bound: the kinds of calls.
#[derive(Debug, Default, Clone)]
pub(crate) struct Floods(Vec<Flood>);

impl Floods {
    /// Counts a refused call. Returns whether its client has been above five times the rate for 10
    /// s.
    pub(crate) fn count(&mut self, kind: Kind, rate: Rate, now_ms: u64) -> bool {
        let rate = Rate {
            calls: rate.calls.saturating_mul(FLOOD_FACTOR as u32 - 1),
            ..rate
        };
        let at = match self.0.iter().position(|flood| flood.kind == kind) {
            Some(at) => at,
            None => {
                self.0.push(Flood {
                    kind,
                    refused: Bucket::default(),
                    since_ms: now_ms,
                    last_ms: 0,
                });
                self.0.len() - 1
            }
        };
        let flood = &mut self.0[at];
        if flood.refused.take(rate, now_ms).is_ok() {
            return false;
        }
        // Staying below it for a whole window starts the count over.
        if now_ms.saturating_sub(flood.last_ms) > u64::from(rate.window_ms) {
            flood.since_ms = now_ms;
        }
        flood.last_ms = now_ms;
        now_ms - flood.since_ms >= FLOOD_MS && !fault!(FlooderIsNotSentAway)
    }
}

impl Floods {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self) {
        for (at, flood) in self.0.iter().enumerate() {
            assert!(
                flood.last_ms == 0 || flood.since_ms <= flood.last_ms,
                "a flood ends before it begins"
            );
            let again = self.0[at + 1..]
                .iter()
                .any(|other| other.kind == flood.kind);
            assert!(!again, "a flood is counted twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        calls: 10,
        window_ms: 1_000,
    };

    /// So many refused calls a second, for so long; when they were too many.
    fn flood(floods: &mut Floods, per_s: u64, from_ms: u64, ms: u64) -> Option<u64> {
        (0..per_s * ms / 1_000)
            .map(|n| from_ms + n * 1_000 / per_s)
            .find(|now_ms| floods.count(Kind::Message, RATE, *now_ms))
    }

    #[test]
    fn four_times_the_rate_refused_is_borne_and_more_is_not_for_long() {
        let mut floods = Floods::default();
        assert_eq!(flood(&mut floods, 40, 0, 60_000), None);
        let mut floods = Floods::default();
        let at_ms = flood(&mut floods, 60, 0, 60_000).expect("too many");
        // The burst that the bucket lets through comes first.
        assert!(
            (FLOOD_MS..FLOOD_MS + 3_000).contains(&at_ms),
            "after {at_ms} ms"
        );
    }

    #[test]
    fn a_pause_of_a_window_begins_the_count_anew() {
        let mut floods = Floods::default();
        for round in 0..5 {
            assert_eq!(flood(&mut floods, 100, round * 12_000, 9_000), None);
        }
    }
}
