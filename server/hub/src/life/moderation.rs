//! Messages that are held: where the word about them comes in, and where they go on.

use std::sync::Arc;

use tidings_wire::proto::SendToChannel;

use crate::hub::Hub;
use crate::io::{Sink, Ticket};
use crate::kernel::caller::Caller;
use crate::moderation::{Held, Lane, ModerationRules, Verdict, refusal};

impl Hub {
    /// Holds a message to a marked channel. Gives back what is not held: it is sent, or refused, at
    /// once.
    pub(crate) fn hold_message(
        &mut self,
        caller: Caller,
        call: SendToChannel,
        out: &mut dyn Sink,
    ) -> Option<SendToChannel> {
        let Self {
            channels, kernel, ..
        } = self;
        if channels.moderation.is_idle() {
            return Some(call);
        }
        let passes = channels.moderation.hold(caller, call, kernel, out);
        if passes.is_none() && kernel.traces.is_on {
            kernel.trace_held(caller);
        }
        passes
    }

    /// The rules are others now. What is held stays so.
    pub(crate) fn handle_moderation(&mut self, rules: Arc<ModerationRules>) {
        self.channels.moderation.set_rules(rules);
    }

    /// The word about a message has come. A late one is not heard.
    pub(crate) fn handle_verdict(&mut self, ticket: Ticket, verdict: Verdict, out: &mut dyn Sink) {
        let Some(lane) = self.channels.moderation.take_asked(ticket) else {
            return;
        };
        self.channels.moderation.note(&lane, ticket, verdict);
        self.let_go(&lane, out);
    }

    /// No word about a message has come in time.
    pub(crate) fn check_held(&mut self, ticket: Ticket, out: &mut dyn Sink) {
        if let Some(lane) = self.channels.moderation.take_asked(ticket) {
            self.channels.moderation.give_up(&lane, ticket);
            self.let_go(&lane, out);
        }
    }

    /// The process is about to end: nobody is waited for.
    pub(crate) fn settle_moderation(&mut self, out: &mut dyn Sink) {
        for ticket in self.channels.moderation.open() {
            self.check_held(ticket, out);
        }
        debug_assert!(
            self.channels.moderation.is_settled(),
            "a message is held for whose word nobody waits"
        );
    }

    /// Lets go what is first in its lane and need not wait.
    fn let_go(&mut self, lane: &Lane, out: &mut dyn Sink) {
        while let Some((held, verdict)) = self.channels.moderation.next(lane) {
            let Held {
                caller, mut call, ..
            } = held;
            let Some(user) = self.kernel.user_of(caller) else {
                // The session has ended since: nobody is there who could have sent it.
                continue;
            };
            debug_assert!(
                user.app == lane.0.app && user.user == lane.1,
                "a message goes on as somebody else's"
            );
            match verdict {
                Verdict::Pass => {}
                Verdict::Change(message) => call.message = Some(*message),
                Verdict::Refuse(text) => {
                    let refusal = refusal(&text);
                    self.kernel.reply_error(caller, refusal, out);
                    continue;
                }
            }
            self.send_to_channel(caller, call, out);
        }
    }

    /// Gives a message to the channels' feature.
    pub(crate) fn send_to_channel(
        &mut self,
        caller: Caller,
        call: SendToChannel,
        out: &mut dyn Sink,
    ) {
        let Self {
            channels,
            history,
            kernel,
            ..
        } = self;
        channels.handle_send_to_channel(caller, call, history, kernel, out);
    }
}
