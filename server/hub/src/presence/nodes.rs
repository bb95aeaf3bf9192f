//! Presence over several nodes: words that are lost between them, and nodes that are.

use tidings_wire::proto::PresenceState;

use crate::bus_ops::{Answer, LoginStamp, Question, Topic};
use crate::ids::{HubId, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::asks::Outcome as Asked;
use crate::kernel::timers::Timer;
use crate::presence::{Presence, PresenceAsk, STATE};

/// Pause before a look that came to nothing is repeated, in milliseconds.
const LOOK_AGAIN_MS: u64 = 2_000;

impl Presence {
    /// A word about a watched user may have been lost: its state is asked for.
    pub(crate) fn look_again(&mut self, user: &UserKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(watch) = self.watches.get(user) else {
            // Nobody here watches the user any more.
            return;
        };
        if Self::presence_here(user, kernel).is_some() {
            // What this hub says of its own user is not lost.
            return;
        }
        let is_it =
            |ask: &PresenceAsk| matches!(ask, PresenceAsk::Look { user: of, .. } if of == user);
        if self.asks.values().any(is_it) {
            // Whatever is told now makes that look be repeated.
            return;
        }
        let ask = PresenceAsk::Look {
            user: user.clone(),
            known: (watch.state, watch.stamp),
        };
        let topic = Topic::User(user.clone());
        let number = kernel.ask(topic, Question::Presence, &STATE, out);
        self.asks.insert(number, ask);
    }

    /// What has come of a look.
    pub(crate) fn finish_look(
        &mut self,
        user: &UserKey,
        known: (PresenceState, LoginStamp),
        outcome: Asked,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(watch) = self.watches.get_mut(user) else {
            // Nobody here watches the user any more.
            return;
        };
        let is_complete = match &outcome {
            Asked::Answered { is_complete, .. } => *is_complete,
            Asked::Nobody => true,
            Asked::Silence => false,
        };
        if (watch.state, watch.stamp) != known || !is_complete {
            // Something was told meanwhile, before the answer or after it; or somebody is silent.
            let timer = Timer::Look(Box::new(user.clone()));
            let due_ms = kernel.now.mono_ms + LOOK_AGAIN_MS;
            return kernel.timers.set(due_ms, timer);
        }
        match outcome {
            Asked::Answered {
                answer: Answer::Presence { state, stamp },
                from,
                ..
            } if state != PresenceState::Offline => {
                self.apply_presence(user, (state, stamp), from, kernel, out);
            }
            _ if watch.state != PresenceState::Offline => {
                // It is there no more, and the word of that was lost.
                watch.state = PresenceState::Offline;
                self.tell_watchers(user, kernel, out);
            }
            _ => {}
        }
    }

    // ------------------------------------------------------------ a lost node

    /// A node is lost: what it has said stays for a while, as said by what `stands_for` its hubs.
    /// Cost: O(watched users).
    pub(crate) fn lose_node(&mut self, node: u16, stands_for: HubId) {
        debug_assert!(stands_for.is_lost(), "a hub stands for a lost node");
        for watch in self.watches.values_mut() {
            if watch.by.node == node {
                watch.by = stands_for;
            }
        }
    }

    /// Users of a lost node who are not back on another one are offline.
    pub(crate) fn end_lost(&mut self, stands_for: HubId, kernel: &mut Kernel, out: &mut dyn Sink) {
        let is_lost = |by: HubId, state| by == stands_for && state != PresenceState::Offline;
        let over = self.watches.iter();
        let mut over: Vec<UserKey> = over
            .filter(|(_, watch)| is_lost(watch.by, watch.state))
            .map(|(user, _)| user.clone())
            .collect();
        // Order: sorted, because the map's order would reach the effects.
        over.sort_unstable();
        for user in over {
            if let Some(watch) = self.watches.get_mut(&user) {
                watch.state = PresenceState::Offline;
                self.tell_watchers(&user, kernel, out);
            }
        }
    }
}
