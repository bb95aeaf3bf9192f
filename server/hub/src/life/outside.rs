//! Calls from outside: which goes where.

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::limits::OVERLOADED_WAIT_MS;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::{Error, reply, request};

use crate::hub::Hub;
use crate::ids::{ChannelKey, SessionId, SessionKey, UserKey};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::reply::error;
use crate::kernel::session::End;
use crate::outside::{OUTSIDE_PAGE_MAX, OutsideAnswer, OutsideCall};
use crate::traces::TraceCall;

impl Hub {
    pub(crate) fn handle_outside(&mut self, ticket: Ticket, call: OutsideCall, out: &mut dyn Sink) {
        debug_assert!(
            !self.kernel.outsiders.open.contains_key(&ticket.0),
            "a call has the ticket of one that is under way"
        );
        if let Err(error) = self.look_at_outside(&call) {
            let answer = OutsideAnswer::Call(reply::Result::Error(error));
            return out.emit(Effect::Answer { ticket, answer });
        }
        match call {
            OutsideCall::AsUser { from, call } => {
                let caller = self.kernel.admit_outsider(ticket, from);
                match call {
                    request::Call::Logout(_) | request::Call::RenewToken(_) => {
                        self.kernel.session_of(caller, out);
                    }
                    call => self.pass_on_call(caller, call, out),
                }
            }
            OutsideCall::Send { from, call, id } => {
                let caller = self.kernel.admit_outsider(ticket, from);
                self.kernel.name_message(ticket, id);
                self.pass_on_call(caller, call, out);
            }
            OutsideCall::EndInvitation { caller: user, id } => {
                let caller = self.kernel.admit_outsider(ticket, user.clone());
                let Self {
                    invitations,
                    kernel,
                    ..
                } = self;
                invitations.end_from_outside(caller, &user, id, kernel, out);
            }
            OutsideCall::DecideInvitation {
                caller: user,
                id,
                callee,
                decision,
            } => {
                let caller = self.kernel.admit_outsider(ticket, user.clone());
                let Self {
                    invitations,
                    kernel,
                    ..
                } = self;
                let of = (&user, id);
                invitations.decide_from_outside(caller, of, &callee, decision, kernel, out);
            }
            call => {
                let answer = self.answer_at_once(call, out);
                out.emit(Effect::Answer { ticket, answer });
            }
        }
    }

    /// What nobody else has to be asked for.
    fn answer_at_once(&mut self, call: OutsideCall, out: &mut dyn Sink) -> OutsideAnswer {
        let at_most = |limit: u16| usize::from(limit.min(OUTSIDE_PAGE_MAX));
        match call {
            OutsideCall::Sessions {
                app,
                user: Some(user),
                ..
            } => self.list_session(&UserKey { app, user }),
            OutsideCall::Sessions {
                app, after, limit, ..
            } => self.list_sessions(&app, after, at_most(limit)),
            OutsideCall::Channels {
                app,
                prefix,
                after,
                limit,
            } => (self.channels).list_for_outside(&app, &prefix, after.as_ref(), at_most(limit)),
            OutsideCall::User { user } => OutsideAnswer::User(self.user_entry(&user)),
            OutsideCall::Disconnect {
                user,
                session,
                code,
            } => self.disconnect(&user, session, code, out),
            OutsideCall::RemoveMember { channel, user } => self.remove_member(&channel, user, out),
            OutsideCall::Invitations { app, user, limit } => {
                let Self {
                    invitations,
                    kernel,
                    ..
                } = self;
                invitations.list_for_outside(&app, user.as_ref(), at_most(limit), kernel)
            }
            OutsideCall::Trace { app, call } => self.trace(&app, call),
            OutsideCall::AsUser { .. }
            | OutsideCall::Send { .. }
            | OutsideCall::EndInvitation { .. }
            | OutsideCall::DecideInvitation { .. } => {
                debug_assert!(false, "a call whose answer has to be waited for");
                OutsideAnswer::Count(0)
            }
        }
    }

    /// Ends the user's session here, if it is meant; all of them, if it is a service.
    fn disconnect(
        &mut self,
        user: &UserKey,
        session: Option<SessionId>,
        code: CloseCode,
        out: &mut dyn Sink,
    ) -> OutsideAnswer {
        let mut keys = self.kernel.sessions_of(user);
        keys.retain(|key| {
            let id = self.kernel.sessions.get(*key).map(|found| found.id);
            session.is_none() || session == id
        });
        // A login that is on its way has no session yet, and may be the one that is to go.
        let entry = self.kernel.users.get(user).filter(|_| session.is_none());
        let claiming = entry.and_then(|entry| Some(entry.claim.as_ref()?.connection));
        if let Some(connection) = claiming {
            self.drop_connection(connection, Some(code), out);
        }
        debug_assert!(
            session.is_none() || claiming.is_none(),
            "a login that has no session yet is ended by the name of one"
        );
        for key in keys.iter().copied() {
            match End::of(code) {
                Some(end) => self.end_session(key, end, out),
                None => self.kernel.detach(key, Some(code), out),
            }
            debug_assert!(
                (self.kernel.sessions.get(key))
                    .is_none_or(|left| left.connection.is_none() && End::of(code).is_none()),
                "a disconnected session has its connection, or has not ended"
            );
        }
        let ended = keys.len() + usize::from(claiming.is_some());
        OutsideAnswer::Count(u32::try_from(ended).unwrap_or(u32::MAX))
    }

    /// Begins and ends traces, and tells what was noted.
    fn trace(&mut self, app: &AppId, call: TraceCall) -> OutsideAnswer {
        let now_ms = self.kernel.now.unix_ms;
        let traces = &mut self.kernel.traces;
        match call {
            TraceCall::Begin(trace) => {
                OutsideAnswer::Count(u32::from(traces.begin(app, trace, now_ms)))
            }
            TraceCall::List => OutsideAnswer::Traces(traces.list(app, now_ms)),
            TraceCall::End(id) => OutsideAnswer::Count(u32::from(traces.end(app, id, now_ms))),
            TraceCall::Messages {
                user,
                channel,
                limit,
            } => {
                let limit = usize::from(limit.min(OUTSIDE_PAGE_MAX));
                let found = traces.messages(app, user.as_ref(), channel.as_ref(), limit);
                OutsideAnswer::TracedMessages(found)
            }
            TraceCall::Message(id) => OutsideAnswer::Traced(traces.message(app, id).map(Box::new)),
        }
    }

    /// Takes a member of this hub out of a channel.
    fn remove_member(
        &mut self,
        channel: &ChannelKey,
        user: UserId,
        out: &mut dyn Sink,
    ) -> OutsideAnswer {
        let app = channel.app.clone();
        let mut keys = self.kernel.sessions_of(&UserKey { app, user });
        let is_member = |key: &SessionKey| {
            let session = self.kernel.sessions.get(*key);
            session.is_some_and(|session| session.channels.contains(&channel.channel))
        };
        keys.retain(is_member);
        for key in keys.iter().copied() {
            self.withdraw_membership(key, channel.clone(), out);
            debug_assert!(
                (self.channels.known.get(channel))
                    .is_none_or(|known| !known.locals.contains_key(&key)),
                "a member that was taken out gets the channel's messages"
            );
        }
        OutsideAnswer::Count(u32::try_from(keys.len()).unwrap_or(u32::MAX))
    }

    /// Whether the hub takes calls, and knows the app.
    fn look_at_outside(&self, call: &OutsideCall) -> Result<(), Error> {
        if self.is_draining {
            let mut error = error(Outcome::Overloaded, "the server is about to end; try again");
            error.retry_after_ms = OVERLOADED_WAIT_MS as u32;
            return Err(error);
        }
        let app = call.app();
        if !self.kernel.config.apps.has(app) {
            let text = format!("app {app} is not known to this server");
            return Err(error(Outcome::UnknownApp, text));
        }
        Ok(())
    }
}
