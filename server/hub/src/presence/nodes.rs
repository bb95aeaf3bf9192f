//! Presence over several nodes: words that are lost between them, and nodes that are.

use indexmap::IndexSet;
use tidings_wire::proto::{self, PresenceState};

use crate::bus_ops::{Answer, BusOp, LoginStamp, Question, Topic};
use crate::ids::{HubId, SessionKey, UserKey};
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::kernel::asks::Outcome as Asked;
use crate::kernel::session::Session;
use crate::kernel::timers::Timer;
use crate::presence::{NEVER, Presence, PresenceAsk, STATE, Watch};
use crate::snapshot::record::WatchRecord;
use crate::snapshot::{from_user, to_user};

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

    // ------------------------------------------------------------ sessions that move

    /// Whom a session watches, with what it has been told of each.
    pub(crate) fn watches_of(&self, session: &Session) -> Vec<WatchRecord> {
        let record = |user: &UserKey| {
            let watch = self.watches.get(user)?;
            Some(WatchRecord {
                user: Some(to_user(user)),
                state: watch.state.into(),
                watchers: Vec::new(),
            })
        };
        session.presence.watched.iter().filter_map(record).collect()
    }

    /// A session has come that watches these users: it goes on from what it has been told.
    pub(crate) fn take_watches(
        &mut self,
        key: SessionKey,
        records: Vec<WatchRecord>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        for record in records {
            let state = PresenceState::try_from(record.state);
            let (Some(user), Ok(told)) = (record.user.and_then(from_user), state) else {
                // A record that this version has not written.
                continue;
            };
            let session = kernel.sessions.get(key);
            if !session.is_some_and(|it| it.presence.watched.contains(&user)) {
                continue;
            }
            match self.watches.get_mut(&user) {
                Some(watch) => {
                    watch.watchers.insert(key);
                    let state = watch.state;
                    if state != told {
                        Self::push_state(key, &user, state, kernel, out);
                    }
                }
                None => {
                    let topic = Topic::Presence(user.clone());
                    out.emit(Effect::Bus(BusOp::Subscribe(topic)));
                    let mut watchers = IndexSet::with_hasher(kernel.hasher);
                    watchers.insert(key);
                    let watch = Watch {
                        state: told,
                        by: kernel.config.id,
                        stamp: NEVER,
                        watchers,
                        waiting: 0,
                    };
                    self.watches.insert(user.clone(), watch);
                    self.look_again(&user, kernel, out);
                    self.note_here(&user, kernel, out);
                }
            }
        }
        self.leave_unrestored_watches(key, kernel);
    }

    /// A watched user may be this hub's own.
    fn note_here(&mut self, user: &UserKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        if let Some(here) = Self::presence_here(user, kernel) {
            kernel.note_watched(user);
            self.apply_presence(user, here, kernel.config.id, kernel, out);
        }
    }

    fn push_state(
        key: SessionKey,
        user: &UserKey,
        state: PresenceState,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let report = proto::Presence {
            user_id: user.user.to_string(),
            state: state.into(),
        };
        Self::push_presence(key, vec![report], kernel, out);
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
        debug_assert!(stands_for.is_lost(), "the users of a node that lives");
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
