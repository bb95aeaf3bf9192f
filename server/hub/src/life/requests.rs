//! A client's requests: each is executed once and answered once.

use tidings_fault::fault;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::limits::{RATE_LIMITED_WAIT_MS, REQUESTS_IN_FLIGHT_MAX};
use tidings_wire::proto::Request;
use tidings_wire::proto::request::Call;

use crate::bus_ops::Decision;
use crate::hub::Hub;
use crate::ids::{ConnectionId, SessionKey};
use crate::invitations::state::Invitations;
use crate::io::Sink;
use crate::kernel::caller::Caller;
use crate::kernel::reply::error;
use crate::kernel::session::End;
use crate::kernel::users::Stage;
use crate::presence::Presence;
use crate::rates::Kind;

impl Hub {
    /// A connection has sent too much for too long, whatever it was.
    pub(crate) fn handle_flooded(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        match self.kernel.connections.get(&connection) {
            Some(Stage::Serving(key)) => {
                self.kernel
                    .send_away(*key, CloseCode::RateLimited, RATE_LIMITED_WAIT_MS, out);
            }
            _ => self.drop_connection(connection, Some(CloseCode::RateLimited), out),
        }
    }
}

impl Hub {
    /// The client has processed everything up to `sseq`. Returns whether it can have.
    pub(crate) fn handle_confirm(
        &mut self,
        key: SessionKey,
        sseq: u64,
        out: &mut dyn Sink,
    ) -> bool {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return true;
        };
        if !session.outbox.confirm(sseq) {
            return false;
        }
        let late = session.traits.processes_late;
        if self.kernel.traces.has_waits() {
            // Order: before the sender is answered.
            self.kernel.trace_confirmed(key, sseq);
        }
        if late {
            self.peers
                .apply_received_deliveries(key, sseq, &mut self.kernel, out);
        } else {
            self.peers.apply_processed(key, sseq, &mut self.kernel, out);
        }
        self.peers
            .finish_inbox_page(key, sseq, &mut self.kernel, out);
        if !late {
            Invitations::confirm_rings(key, sseq, &mut self.kernel, out);
        }
        true
    }
}

impl Hub {
    /// Invariant: a request is executed if and only if its number is exactly one higher than the
    /// last (contract DEL-4). Its reply stays in the outbox until it is confirmed, so a repeated
    /// one needs no answer.
    pub(crate) fn handle_request(
        &mut self,
        key: SessionKey,
        connection: ConnectionId,
        request: Request,
        out: &mut dyn Sink,
    ) {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let is_forgotten =
            fault!(OldRepeatsAreForgotten) && request.cseq + 2 <= session.requests.cseq;
        if request.cseq <= session.requests.cseq && request.cseq > 0 && !is_forgotten {
            self.kernel.counts.duplicates += 1;
            return;
        }
        if request.cseq != session.requests.cseq + 1 && !is_forgotten
            || session.requests.open >= REQUESTS_IN_FLIGHT_MAX
        {
            return self.handle_protocol_error(connection, out);
        }
        session.requests.cseq = request.cseq.max(session.requests.cseq);
        session.requests.open += 1;
        debug_assert!(
            session.requests.open <= REQUESTS_IN_FLIGHT_MAX,
            "more requests than may be open"
        );
        debug_assert_eq!(
            session.connection,
            Some(connection),
            "a request over another connection"
        );
        assert!(
            !fault!(HubPanics) || session.requests.cseq < 20,
            "a deliberate fault"
        );
        let caller = Caller::Request {
            session: key,
            cseq: request.cseq,
            asked_ms: self.kernel.now.mono_ms,
        };
        // Whoever calls in vain again and again waits as if it had called with success; to leave
        // anybody may.
        if !matches!(request.call, Some(Call::Logout(_)))
            && !self.kernel.check_debt(caller, Kind::FailedCall, out)
        {
            return;
        }
        if has_no_rate(&request.call) && !self.kernel.take_rate(caller, Kind::OtherCall, out) {
            return;
        }
        match request.call {
            Some(Call::RenewToken(call)) => self.handle_renew_token(caller, &call.token, out),
            Some(Call::Logout(_)) => {
                self.kernel.reply_done(caller, out);
                self.end_session(key, End::LoggedOut, out);
            }
            Some(call) => self.pass_on_call(caller, call, out),
            None => {
                let text =
                    "this server does not know the call; use client and server of one version";
                self.kernel
                    .reply_error(caller, error(Outcome::Unsupported, text), out);
            }
        }
    }

    /// Gives a call to the feature that it is for.
    pub(crate) fn pass_on_call(&mut self, caller: Caller, call: Call, out: &mut dyn Sink) {
        if self.kernel.traces.is_on {
            self.kernel.trace_call(caller, &call);
        }
        if let Call::SendToChannel(call) = call {
            if let Some(call) = self.hold_message(caller, call, out) {
                self.send_to_channel(caller, call, out);
            }
            return;
        }
        let Self {
            kernel,
            peers,
            channels,
            presence,
            attributes,
            history,
            invitations,
            ..
        } = self;
        match call {
            Call::SendToPeer(call) => peers.handle_send_to_peer(caller, call, kernel, out),
            Call::Join(call) => channels.handle_join(caller, &call.channel, kernel, out),
            Call::Leave(call) => channels.handle_leave(caller, &call.channel, kernel, out),
            Call::GetMembers(call) => {
                channels.handle_get_members(caller, &call.channel, kernel, out)
            }
            Call::GetMemberCounts(call) => {
                channels.handle_get_member_counts(caller, call.channels, kernel, out);
            }
            Call::QueryPresence(call) => {
                presence.handle_query_presence(caller, call.user_ids, kernel, out);
            }
            Call::SubscribePresence(call) => {
                presence.handle_subscribe_presence(caller, call.user_ids, kernel, out);
            }
            Call::UnsubscribePresence(call) => {
                presence.handle_unsubscribe_presence(caller, call.user_ids, kernel, out);
            }
            Call::QueryPresenceSubscriptions(_) => {
                Presence::handle_query_subscriptions(caller, kernel, out);
            }
            Call::WriteUserAttributes(call) => {
                attributes.handle_write_user_attributes(caller, call, kernel, out);
            }
            Call::ReadUserAttributes(call) => {
                attributes.handle_read_user_attributes(caller, call, kernel, out);
            }
            Call::WriteChannelAttributes(call) => {
                attributes.handle_write_channel_attributes(caller, call, kernel, out);
            }
            Call::ReadChannelAttributes(call) => {
                attributes.handle_read_channel_attributes(caller, call, kernel, out);
            }
            Call::ReadHistory(call) => history.handle_read_history(caller, call, kernel, out),
            Call::Invite(call) => invitations.handle_invite(caller, call, kernel, out),
            Call::CancelInvitation(call) => {
                invitations.handle_cancel_invitation(caller, call.number, kernel, out);
            }
            Call::ConfirmAccept(call) => {
                invitations.handle_confirm_accept(caller, call.number, kernel, out);
            }
            Call::AcceptInvitation(call) => {
                let decision = Decision::Accept(call.response);
                Invitations::handle_decision(caller, &call.id, decision, kernel, out);
            }
            Call::RefuseInvitation(call) => {
                let decision = Decision::Refuse(call.response);
                Invitations::handle_decision(caller, &call.id, decision, kernel, out);
            }
            Call::RenewToken(_) | Call::Logout(_) | Call::SendToChannel(_) => {
                debug_assert!(
                    false,
                    "a call that touches several features is not one feature's"
                );
            }
        }
    }

    fn handle_renew_token(&mut self, caller: Caller, token: &str, out: &mut dyn Sink) {
        let Some(key) = self.kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        if !self.kernel.take_rate(caller, Kind::RenewToken, out) {
            return;
        }
        let Some(user) = self
            .kernel
            .sessions
            .get(key)
            .map(|session| session.user.clone())
        else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        match self.kernel.renewed_grant(&user, token) {
            Ok(grant) => {
                // Order: answered first, so that what ends with the old token is seen to follow
                // from it.
                self.kernel.reply_done(caller, out);
                self.apply_grant(key, grant, out);
                self.kernel.set_session_timer(key);
            }
            Err(error) => self.kernel.reply_error(caller, error, out),
        }
    }
}

/// Whether a call is counted by no rate of its own.
fn has_no_rate(call: &Option<Call>) -> bool {
    matches!(
        call,
        None | Some(
            Call::Leave(_)
                | Call::CancelInvitation(_)
                | Call::ConfirmAccept(_)
                | Call::AcceptInvitation(_)
                | Call::RefuseInvitation(_)
        )
    )
}
