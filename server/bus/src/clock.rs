//! The clock that the hubs of several nodes share.

/// Orders logins over nodes whose monotonic clocks began at different times: a node gives its hubs this time as
/// [`tidings_hub::Time::mono_ms`], so that a [`tidings_hub::bus_ops::LoginStamp`] means the same on all of them.
///
/// It runs as the node's own clock does and is ahead of it by as much as was needed to be no earlier than anything
/// that was seen: two logins of which one was opened after the other's node was heard are in their order, whatever the
/// clocks of their machines say. A node that is alone does not need it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SharedClock {
    ahead_ms: u64,
}

impl SharedClock {
    /// The shared time at this time of the node's clock, in milliseconds. Never goes back.
    pub fn at(&self, mono_ms: u64) -> u64 {
        mono_ms.saturating_add(self.ahead_ms)
    }

    /// Another node has said, with something that arrives now, what the shared time is there, in milliseconds.
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
