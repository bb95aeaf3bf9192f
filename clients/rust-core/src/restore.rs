//! Sessions begin, go on and are lost; what a new one brings back. Source: protocol 2.3,
//! contract PRE-9.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::proto;

use crate::call::{Answer, Call, CallError};
use crate::event::{ClientEvent, ConnectionReason, ConnectionState, GapCause, GapSource};
use crate::machine::{Client, Output};
use crate::session::{Origin, Request, Secret, Session};

impl Client {
    /// A login was accepted.
    pub(crate) fn begin_session(
        &mut self,
        now_ms: u64,
        welcome: proto::Welcome,
        out: &mut Vec<Output>,
    ) {
        let session = Session::new(welcome);
        let grace_ms = session.presence_grace_ms;
        self.session = Some(session);
        self.link_up(now_ms, out);
        let Some(cause) = self.loss.take() else {
            return;
        };
        for (name, channel) in &mut self.lineage.channels {
            channel.wait_for_leavers(
                now_ms
                    + if fault!(MembersGetNoTimeToReturn) {
                        0
                    } else {
                        grace_ms
                    },
            );
            if fault!(LostSessionLeavesNoGap) {
                continue;
            }
            let source = GapSource::Channel(name.clone());
            out.push(Output::Event(ClientEvent::Gap {
                source,
                cause,
                missed: None,
            }));
        }
        self.restore();
    }

    /// Order: attributes, then channels, so that whoever sees the join can read them; the
    /// application's calls wait behind both, so that a message to a channel finds it joined.
    fn restore(&mut self) {
        let restore = |call| Request {
            call,
            origin: Origin::Restore,
        };
        if let Some(call) = self
            .lineage
            .attributes
            .restore()
            .filter(|_| !fault!(AttributesAreNotRestored))
        {
            self.first.push_front(restore(call));
        }
        for channel in self
            .lineage
            .channels
            .keys()
            .filter(|_| !fault!(ChannelsAreNotRestored))
        {
            self.first.push_back(restore(Call::Join {
                channel: channel.clone(),
            }));
        }
        if let Some(call) = self.lineage.presence.restore() {
            self.first.push_back(restore(call));
        }
        self.is_restoring = true;
    }

    /// A resume was accepted.
    pub(crate) fn handle_resumed(
        &mut self,
        now_ms: u64,
        resumed: proto::Resumed,
        out: &mut Vec<Output>,
    ) {
        let Some(session) = &mut self.session else {
            return;
        };
        session.secret = Secret(resumed.secret);
        session.confirmed_by_resume();
        self.unwritten.extend(session.above(resumed.cseq));
        if resumed.was_gone {
            let channels = self.lineage.channels.values_mut();
            channels.for_each(|channel| channel.was_out());
            // The attributes ended with the user's presence. Writes on their way count as done:
            // they come before this one.
            let mut attributes = self.lineage.attributes.clone();
            for (cseq, request) in session.unanswered() {
                if let Call::WriteUserAttributes {
                    how,
                    attributes: entries,
                } = &request.call
                {
                    attributes.apply(cseq, *how, entries);
                }
            }
            if let Some(call) = attributes.restore() {
                self.first.push_front(Request {
                    call,
                    origin: Origin::Own,
                });
            }
        }
        self.ask_about_doubts();
        self.link_up(now_ms, out);
    }

    /// Fetches the members of channels whose verdict the interruption has overtaken.
    fn ask_about_doubts(&mut self) {
        for (name, channel) in &mut self.lineage.channels {
            if channel.withdraw_verdict() {
                let call = Call::GetMembers {
                    channel: name.clone(),
                };
                let origin = Origin::Own;
                self.first.push_back(Request { call, origin });
            }
        }
    }

    /// The session cannot be resumed: what is open is prepared for the next one.
    ///
    /// A message that was written to any connection may have been executed, so its call ends with
    /// `timed_out`; what may be repeated waits for the new session.
    pub(crate) fn lose_session(&mut self, now_ms: u64, cause: GapCause, out: &mut Vec<Output>) {
        let Some(session) = self.session.take() else {
            return;
        };
        self.loss = Some(cause);
        if self.logout.is_some() {
            // What it was to end has ended.
            self.end(ConnectionState::Disconnected, ConnectionReason::Logout, out);
            return;
        }
        self.lost_since_ms = self.lost_since_ms.or(Some(now_ms));
        self.carry_invitations(&session.id, out);
        self.later.clear();
        self.lineage.attributes.begin_session();
        self.lineage
            .channels
            .retain(|_, channel| channel.is_claimed);
        self.lineage
            .channels
            .values_mut()
            .for_each(|channel| channel.doubt());
        let mut again = vec![];
        for request in session.into_unanswered() {
            self.keep_or_end(request, &mut again, out);
        }
        for request in again.into_iter().rev() {
            // Attribute writes go before the channels are joined again.
            if matches!(request.call, Call::WriteUserAttributes { .. }) {
                self.first.push_front(request);
            } else {
                self.waiting_bytes += request.call.size_bytes();
                self.waiting.push_front(request);
            }
        }
    }

    fn keep_or_end(&mut self, request: Request, again: &mut Vec<Request>, out: &mut Vec<Output>) {
        if !matches!(request.origin, Origin::Application { .. }) {
            return;
        }
        match &request.call {
            // The membership has ended with the session.
            Call::Leave { channel } if self.lineage.channels.remove(channel).is_some() => {
                self.answer(request.origin, Ok(Answer::Done), out);
            }
            call if call.is_repeatable() || fault!(UnansweredIsSentAgain) => again.push(request),
            _ => {
                let text = "the session was lost before the server's answer; the message may have \
                            been delivered";
                let error = CallError::outcome(Outcome::TimedOut, text.to_owned());
                self.answer(request.origin, Err(error), out);
            }
        }
    }

    /// Members who have not come back in time have left. Without a link nobody knows.
    pub(crate) fn check_members(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if !self.link.is_up() {
            return;
        }
        for (name, channel) in &mut self.lineage.channels {
            for user_id in channel.take_left(now_ms) {
                let channel = name.clone();
                out.push(Output::Event(ClientEvent::MemberLeft { channel, user_id }));
            }
        }
    }
}
