//! Moderation: messages to marked channels wait for the word of the app's backend.
//!
//! A message that is held has no place in its channel's order yet: everything that is done for a
//! message that is sent is done when it is let go. Other channels, and other senders in the same
//! one, do not wait for it.
//!
//! Order: messages of one sender to one channel are let go in the order in which they came,
//! whatever the order of the words about them. Source: rest 12.6.

#[cfg(test)]
mod tests;
pub mod words;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidings_wire::codes::Outcome;
use tidings_wire::limits::{MODERATION_HELD_MAX, MODERATION_TEXT_BYTES_MAX};
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::{Error, Message, SendToChannel};

use crate::ids::{ChannelKey, UserKey};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::check::check_message;
use crate::kernel::reply::error;
use crate::kernel::timers::Timer;
pub use crate::moderation::words::{
    HeldMessage, ModerationRule, ModerationRules, Otherwise, Verdict,
};

/// The messages that are held.
#[derive(Debug, Default)]
pub(crate) struct Moderation {
    rules: Arc<ModerationRules>,
    /// The last ticket.
    tickets: u64,
    /// The lanes of those about which no word has come. Bound: [`MODERATION_HELD_MAX`] per app.
    asked: BTreeMap<Ticket, Lane>,
    /// How many these are, by app.
    asked_of: BTreeMap<AppId, usize>,
    /// Those that are held, in their order. Bound: the requests in flight of sessions, and those of
    /// callers outside.
    lanes: BTreeMap<Lane, VecDeque<Held>>,
}

/// One sender in one channel.
pub(crate) type Lane = (ChannelKey, UserId);

#[derive(Debug)]
pub(crate) struct Held {
    ticket: Ticket,
    pub(crate) caller: Caller,
    pub(crate) call: SendToChannel,
    otherwise: Otherwise,
    verdict: Option<Verdict>,
}

impl Moderation {
    pub(crate) fn hold(
        &mut self,
        caller: Caller,
        call: SendToChannel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> Option<SendToChannel> {
        let Some((lane, message)) = Self::would_be_sent(caller, &call, kernel) else {
            return Some(call);
        };
        let rule = self.rules.get(&lane.0.app);
        let rule = rule.filter(|rule| rule.marks(&lane.0.channel));
        if rule.is_none() && !self.lanes.contains_key(&lane) {
            return Some(call);
        }
        let (otherwise, wait_ms) = rule.map_or((Otherwise::Pass, None), |rule| {
            let asked = self.asked_of.get(&lane.0.app).copied();
            let has_room = asked.unwrap_or(0) < MODERATION_HELD_MAX;
            (rule.otherwise, has_room.then_some(rule.wait_ms))
        });
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let mut held = Held {
            ticket,
            caller,
            call,
            otherwise,
            verdict: None,
        };
        let Some(wait_ms) = wait_ms else {
            // Nobody is asked: it waits for those before it only.
            if !self.lanes.contains_key(&lane) {
                return match otherwise {
                    Otherwise::Pass => Some(held.call),
                    Otherwise::Refuse => {
                        kernel.reply_error(caller, unheard(), out);
                        None
                    }
                };
            }
            held.verdict = Some(Verdict::Pass);
            if otherwise == Otherwise::Refuse {
                held.verdict = Some(Verdict::Refuse(String::new()));
            }
            self.lanes.entry(lane).or_default().push_back(held);
            return None;
        };
        let question = HeldMessage {
            channel: lane.0.clone(),
            from: lane.1.clone(),
            message,
        };
        let due_ms = kernel.now.mono_ms + wait_ms;
        kernel.timers.set(due_ms, Timer::Held(ticket));
        *self.asked_of.entry(lane.0.app.clone()).or_default() += 1;
        self.asked.insert(ticket, lane.clone());
        self.lanes.entry(lane).or_default().push_back(held);
        out.emit(Effect::Moderate {
            ticket,
            question: Box::new(question),
        });
        None
    }

    /// The lane of a message and the message, unless it is going to be refused anyway: nobody is
    /// asked about that.
    fn would_be_sent(
        caller: Caller,
        call: &SendToChannel,
        kernel: &Kernel,
    ) -> Option<(Lane, Message)> {
        let traits = kernel.traits_of_caller(caller);
        let channel = ChannelName::parse_by(traits.names, &call.channel).ok()?;
        if let Some(key) = caller.session() {
            let session = kernel.sessions.get(key)?;
            let is_in = traits.reaches_any_channel || session.channels.contains(&channel);
            if !is_in {
                return None;
            }
        }
        let UserKey { app, user } = kernel.user_of(caller)?.clone();
        let message = check_message(call.message.clone()).ok()?;
        Some(((ChannelKey { app, channel }, user), message))
    }

    /// The lane of a message about which no word has come until now.
    pub(crate) fn take_asked(&mut self, ticket: Ticket) -> Option<Lane> {
        let lane = self.asked.remove(&ticket)?;
        debug_assert!(
            self.asked_of.contains_key(&lane.0.app),
            "a question that was not counted"
        );
        if let Some(count) = self.asked_of.get_mut(&lane.0.app) {
            *count -= 1;
            if *count == 0 {
                self.asked_of.remove(&lane.0.app);
            }
        }
        Some(lane)
    }

    pub(crate) fn note(&mut self, lane: &Lane, ticket: Ticket, verdict: Verdict) {
        let held = self.lanes.get_mut(lane);
        let held = held.and_then(|held| held.iter_mut().find(|held| held.ticket == ticket));
        debug_assert!(held.is_some(), "a message is asked about that is not held");
        if let Some(held) = held {
            debug_assert!(held.verdict.is_none(), "a second word about a message");
            held.verdict = Some(verdict);
        }
    }

    pub(crate) fn give_up(&mut self, lane: &Lane, ticket: Ticket) {
        let held = self.lanes.get(lane);
        let held = held.and_then(|held| held.iter().find(|held| held.ticket == ticket));
        let verdict = match held.map(|held| held.otherwise) {
            Some(Otherwise::Refuse) => Verdict::Refuse(String::new()),
            _ => Verdict::Pass,
        };
        self.note(lane, ticket, verdict);
    }

    /// Takes the first of a lane, if there is a word about it.
    pub(crate) fn next(&mut self, lane: &Lane) -> Option<(Held, Verdict)> {
        let held = self.lanes.get_mut(lane)?;
        let verdict = held.front_mut()?.verdict.take()?;
        let first = held.pop_front()?;
        if held.is_empty() {
            self.lanes.remove(lane);
        }
        Some((first, verdict))
    }

    /// Those about which no word has come, in their order.
    pub(crate) fn open(&self) -> Vec<Ticket> {
        self.asked.keys().copied().collect()
    }

    /// Whether nothing is held, and nothing is to be.
    pub(crate) fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.lanes.is_empty()
    }

    /// The rules are others now. What is held stays so.
    pub(crate) fn set_rules(&mut self, rules: Arc<ModerationRules>) {
        self.rules = rules;
    }

    /// Whether nothing is held.
    pub(crate) fn is_settled(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Asserts what holds between two inputs. Cost: O(questions × apps that are asked, and their
    /// lanes).
    pub(crate) fn assert_consistent(&self) {
        for (ticket, lane) in &self.asked {
            let held = self.lanes.get(lane);
            let held = held.and_then(|held| held.iter().find(|held| held.ticket == *ticket));
            assert!(
                held.is_some_and(|held| held.verdict.is_none()),
                "a message is asked about that is not held, or has its word"
            );
            assert!(ticket.0 <= self.tickets, "a ticket that was not given");
        }
        assert_eq!(
            self.asked_of.values().sum::<usize>(),
            self.asked.len(),
            "questions are counted"
        );
        for (app, count) in &self.asked_of {
            let asked = self.asked.values().filter(|lane| lane.0.app == *app);
            assert_eq!(
                asked.count(),
                *count,
                "questions of another app are counted"
            );
            assert!(
                (1..=MODERATION_HELD_MAX).contains(count),
                "an app is asked nothing, or too much"
            );
        }
        let all = self.lanes.values().flatten();
        assert_eq!(
            all.filter(|held| held.verdict.is_none()).count(),
            self.asked.len(),
            "a message waits for a word that nobody is asked for"
        );
        for held in self.lanes.values() {
            assert!(
                held.iter().is_sorted_by(|a, b| a.ticket < b.ticket),
                "a lane is not in the order in which its messages came"
            );
            let first = held.front();
            assert!(
                first.is_some_and(|first| first.verdict.is_none()),
                "a lane is empty, or waits for nothing"
            );
        }
    }
}

/// The answer to the sender of a refused message; without a text, nobody has looked at it.
pub(crate) fn refusal(text: &str) -> Error {
    if text.is_empty() {
        return unheard();
    }
    let mut end = text.len().min(MODERATION_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    error(Outcome::NotPermitted, &text[..end])
}

fn unheard() -> Error {
    let text = "the app's backend, which looks at messages to this channel, has not answered in time; try again";
    error(Outcome::Unavailable, text)
}
