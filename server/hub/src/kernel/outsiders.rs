//! Calls from outside that are under way: whom each speaks for.

use std::collections::BTreeSet;

use slotmap::Key as _;
use tidings_wire::names::NameRule;

use crate::config::Traits;
use crate::ids::{InvitationId, MessageId, SessionId, SessionKey, UserKey};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::maps::{NumberMap, number_map};
use crate::outside::OutsideAnswer;

/// What whoever calls from outside can do: the door that it has come through lets it reach
/// everything of its app.
const TRAITS: Traits = Traits {
    names: NameRule::Wide,
    is_text_only: false,
    knows_library_types: false,
    processes_late: false,
    ends_with_connection: false,
    is_paced: true,
    lists_all_members: true,
    ends_messages: false,
    reaches_any_channel: true,
    rings_on: false,
    is_service: true,
};

/// A call from outside that is under way.
#[derive(Debug)]
pub(crate) struct Outsider {
    /// Whom it speaks for.
    pub(crate) user: UserKey,
    /// The id of the message that it is about to send, if it has drawn one.
    named: Option<MessageId>,
    /// The message that it has sent, with its stamp in Unix milliseconds.
    pub(crate) sent: Option<(MessageId, u64)>,
}

/// The calls from outside that are under way.
#[derive(Debug)]
pub(crate) struct Outsiders {
    /// By their tickets. Bound: that of whoever gives them, who waits for each.
    pub(crate) open: NumberMap<Outsider>,
    /// Stands where the session of a sender would; drawn when it is needed first, so that a hub
    /// that nobody calls from outside draws the numbers that it always drew.
    base: Option<SessionId>,
    /// Messages and invitations that were sent so.
    count: u64,
}

impl Outsiders {
    pub(crate) fn new() -> Self {
        Self {
            open: number_map(),
            base: None,
            count: 0,
        }
    }
}

impl Outsiders {
    /// Asserts what holds between two inputs. Cost: O(calls under way).
    pub(crate) fn assert_consistent(&self, now_ts: u64) {
        assert!(
            self.base.is_some() || self.count == 0,
            "messages are counted that have no name"
        );
        let mut sent = BTreeSet::new();
        for outsider in self.open.values() {
            let stamp = outsider.sent.map_or(0, |(_, server_ts)| server_ts);
            assert!(stamp <= now_ts, "a message was sent in the future");
            if let Some((id, _)) = outsider.sent {
                assert!(sent.insert(id.0), "two messages have one id");
            }
        }
        assert!(
            sent.len() as u64 <= self.count,
            "a message was sent that was not counted"
        );
        assert!(
            !self.open.contains_key(&Ticket::NOBODY.0),
            "a call for whose answer nobody waits"
        );
    }
}

impl Kernel {
    /// A call from outside begins.
    pub(crate) fn admit_outsider(&mut self, ticket: Ticket, user: UserKey) -> Caller {
        let outsider = Outsider {
            user,
            named: None,
            sent: None,
        };
        debug_assert!(
            self.config.apps.has(&outsider.user.app),
            "a call for an app that is not served"
        );
        let before = self.outsiders.open.insert(ticket.0, outsider);
        debug_assert!(before.is_none(), "a ticket is given twice");
        Caller::Outside(ticket)
    }

    /// The call is about to send a message with this id.
    pub(crate) fn name_message(&mut self, ticket: Ticket, id: MessageId) {
        if let Some(outsider) = self.outsiders.open.get_mut(&ticket.0) {
            outsider.named = Some(id);
        }
    }

    /// As whom a call is made. `None`: the session has ended since.
    pub(crate) fn user_of(&self, caller: Caller) -> Option<&UserKey> {
        match caller {
            Caller::Request { session, .. } => Some(&self.sessions.get(session)?.user),
            Caller::Outside(ticket) => Some(&self.outsiders.open.get(&ticket.0)?.user),
        }
    }

    /// What whoever calls can do.
    pub(crate) fn traits_of_caller(&self, caller: Caller) -> Traits {
        match caller {
            Caller::Request { session, .. } => self.traits_of(session),
            Caller::Outside(_) => TRAITS,
        }
    }

    /// The session and the request that a message is sent by, or what stands for them; its id is
    /// made of the last two. `None`: the session has ended since.
    pub(crate) fn sender_of(&mut self, caller: Caller) -> Option<(SessionKey, SessionId, u64)> {
        match caller {
            Caller::Request { session, cseq, .. } => {
                Some((session, self.sessions.get(session)?.id, cseq))
            }
            Caller::Outside(ticket) => {
                debug_assert!(
                    self.outsiders.open.contains_key(&ticket.0),
                    "a call sends that is answered"
                );
                let (mut base, number) = self.next_outside();
                let outsider = self.outsiders.open.get(&ticket.0);
                if let Some(named) = outsider.and_then(|outsider| outsider.named) {
                    base = named.session_of(number);
                }
                let id = MessageId::new(base, number);
                self.note_sent(caller, id, self.now.unix_ms);
                Some((SessionKey::null(), base, number))
            }
        }
    }

    /// What stands for a session and a request where a caller from outside has neither.
    pub(crate) fn next_outside(&mut self) -> (SessionId, u64) {
        let rng = &mut self.rng;
        let base = *(self.outsiders.base).get_or_insert_with(|| SessionId(rng.bytes()));
        self.outsiders.count += 1;
        (base, self.outsiders.count)
    }

    /// Remembers what a caller from outside has sent, for its answer.
    fn note_sent(&mut self, caller: Caller, id: MessageId, server_ts: u64) {
        if let Caller::Outside(ticket) = caller
            && let Some(outsider) = self.outsiders.open.get_mut(&ticket.0)
        {
            debug_assert!(outsider.sent.is_none(), "a call sends two messages");
            outsider.sent = Some((id, server_ts));
        }
    }
}

impl Kernel {
    /// Answers whoever has sent a channel message.
    pub(crate) fn reply_sent_to_channel(&mut self, caller: Caller, out: &mut dyn Sink) {
        match caller {
            Caller::Request { .. } => self.reply_done(caller, out),
            Caller::Outside(ticket) => {
                let (id, server_ts) = self.sent_by_outsider(ticket);
                let answer = OutsideAnswer::SentToChannel { id, server_ts };
                self.answer_outside(ticket, answer, out);
            }
        }
    }

    /// Answers whoever has sent an invitation.
    pub(crate) fn reply_invited(&mut self, caller: Caller, id: InvitationId, out: &mut dyn Sink) {
        match caller {
            Caller::Request { .. } => self.reply_done(caller, out),
            Caller::Outside(ticket) => {
                self.answer_outside(ticket, OutsideAnswer::Invited(id), out);
            }
        }
    }

    /// Answers whoever has changed one thing.
    pub(crate) fn reply_one(&mut self, caller: Caller, out: &mut dyn Sink) {
        match caller {
            Caller::Request { .. } => self.reply_done(caller, out),
            Caller::Outside(ticket) => self.answer_outside(ticket, OutsideAnswer::Count(1), out),
        }
    }

    /// Answers whoever has found nothing to change.
    pub(crate) fn reply_none(&mut self, caller: Caller, out: &mut dyn Sink) {
        match caller {
            Caller::Request { .. } => self.reply_done(caller, out),
            Caller::Outside(ticket) => self.answer_outside(ticket, OutsideAnswer::Count(0), out),
        }
    }

    pub(crate) fn sent_by_outsider(&self, ticket: Ticket) -> (MessageId, u64) {
        let outsider = self.outsiders.open.get(&ticket.0);
        let sent = outsider.and_then(|outsider| outsider.sent);
        debug_assert!(sent.is_some(), "a message is answered that was not sent");
        sent.unwrap_or((MessageId([0; 16]), 0))
    }

    /// Answers a call from outside that was admitted.
    pub(crate) fn answer_outside(
        &mut self,
        ticket: Ticket,
        answer: OutsideAnswer,
        out: &mut dyn Sink,
    ) {
        debug_assert!(
            !matches!(answer, OutsideAnswer::Sent { server_ts: 0, .. }),
            "a message without a stamp"
        );
        if self.traces.is_on {
            self.trace_outside(ticket, &answer);
        }
        let open = self.outsiders.open.remove(&ticket.0);
        debug_assert!(open.is_some(), "a call is answered twice");
        out.emit(Effect::Answer { ticket, answer });
    }
}
