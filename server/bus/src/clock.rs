//! A clock shared by the hubs of several nodes.

/// It orders logins across nodes whose monotonic clocks started at different times: a node passes
/// this time to its hubs as [`tidings_hub::Time::mono_ms`], so that a
/// [`tidings_hub::bus_ops::LoginStamp`] means the same on all of them.
///
/// It advances with the node's own clock, and is ahead of it by just enough not to be behind any
/// time received from another node. If one login is opened after its node has heard from the
/// other's, the two are ordered correctly, whatever the machines' clocks say. A single node does
/// not need it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedClock {
    ahead_ms: u64,
}

impl SharedClock {
    /// The shared time for this reading of the node's own clock, in milliseconds. Never goes
    /// backwards.
    pub fn at(&self, mono_ms: u64) -> u64 {
        mono_ms.saturating_add(self.ahead_ms)
    }

    /// Takes note of another node's shared time, in milliseconds, received with something that
    /// arrives now.
    pub fn see(&mut self, mono_ms: u64, shared_ms: u64) {
        self.ahead_ms = self.ahead_ms.max(shared_ms.saturating_sub(mono_ms));
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::bus_ops::LoginStamp;
    use tidings_hub::ids::HubId;

    use super::*;

    fn stamp(clock: SharedClock, mono_ms: u64, node: u16) -> LoginStamp {
        LoginStamp {
            mono_ms: clock.at(mono_ms),
            hub: HubId { node, hub: 0 },
            count: 1,
        }
    }

    #[test]
    fn of_two_logins_on_two_machines_the_later_one_wins_once_one_was_heard() {
        // One machine has run for a year, the other for a minute.
        let (old_ms, new_ms) = (31_536_000_000, 60_000);
        let (old, mut new) = (SharedClock::default(), SharedClock::default());
        let first = stamp(old, old_ms, 0);
        assert!(stamp(new, new_ms + 5, 1) < first, "what it repairs");
        new.see(new_ms, old.at(old_ms));
        let second = stamp(new, new_ms + 5, 1);
        let third = stamp(old, old_ms + 9, 0);
        assert!(first < second && second < third);
    }

    #[test]
    fn it_never_goes_back() {
        let mut clock = SharedClock::default();
        clock.see(100, 1_000);
        clock.see(200, 500);
        assert_eq!(clock.at(200), 1_100);
        clock.see(200, 1_100);
        assert_eq!(clock.at(300), 1_200);
    }
}
