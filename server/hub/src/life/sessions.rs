//! Sessions: one login of one user. Heartbeat, grace, window and end of a session.

use tidings_fault::fault;
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::TOKEN_WARNING_MS;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{PresenceState, TokenWillExpire};

use crate::attributes::Attributes;
use crate::bus_ops::RingFate;
use crate::channels::memberships::Visibility;
use crate::hub::Hub;
use crate::ids::SessionKey;
use crate::invitations::state::Invitations;
use crate::io::{Effect, Sink};
use crate::kernel::outbox::Source;
use crate::kernel::session::{End, Session};

impl Hub {
    /// A session's timer has fired: does what is due and sets the next one.
    pub(crate) fn check_session(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            // A timer of a session that has ended.
            return;
        };
        let now_ms = self.kernel.now.mono_ms;
        if session.link.next_check_ms.is_some_and(|at| at > now_ms) {
            return; // A later one was replaced by this earlier one, or the reverse.
        }
        session.link.next_check_ms = None;
        if session.traits.ends_with_connection && session.connection.is_none() {
            return self.end_session(key, End::WindowOver, out);
        }
        let silent_ms = now_ms.saturating_sub(session.link.heard_ms);
        if session
            .ends_by_token_s()
            .is_some_and(|end| self.kernel.clock.wall.unix_s() >= end)
            && !fault!(SessionOutlivesToken)
        {
            return self.end_session(key, End::TokenExpired, out);
        }
        if Self::warn_of_expiry(session, self.kernel.clock.wall.unix_ms(), out) {
            self.kernel.tally.at(session.rates.counted).near_expiry += 1;
        }
        if let Some(connection) = session.connection {
            if session.is_stalled(self.kernel.now.mono_ms) {
                return self.detach_and_check(key, CloseCode::SlowConsumer, out);
            }
            let due_ms = session.link.pinged_ms.map(|at| session.answer_due_ms(at));
            if due_ms.is_some_and(|due_ms| self.kernel.now.mono_ms >= due_ms) {
                return self.detach_and_check(key, CloseCode::HeartbeatLost, out);
            }
            if silent_ms >= session.heartbeat_ms() && session.link.pinged_ms.is_none() {
                session.link.pinged_ms = Some(self.kernel.now.mono_ms);
                out.emit(Effect::Send {
                    connection,
                    frame: self.kernel.ping.clone(),
                });
            }
        }
        let grace_ms = session.grace_ms();
        let is_unreachable = session
            .unreachable_due_ms()
            .is_some_and(|due_ms| self.kernel.now.mono_ms >= due_ms);
        if session.presence.state == PresenceState::Online && is_unreachable {
            session.presence.state = PresenceState::Unreachable;
            self.kernel.emit_presence(key, out);
        }
        let Some(session) = self.kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if session.is_here() && silent_ms >= grace_ms {
            self.become_gone(key, out);
        }
        let Some(session) = self.kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if session.connection.is_none()
            && !fault!(SessionNeverEnds)
            && silent_ms >= Session::window_ms()
        {
            return self.end_session(key, End::WindowOver, out);
        }
        self.kernel.set_session_timer(key);
    }

    /// Tells a connected client, once per token, that its token ends soon (rtm 7.3). Returns
    /// whether it was time for that.
    fn warn_of_expiry(session: &mut Session, now_unix_ms: u64, out: &mut dyn Sink) -> bool {
        let Some(expires_s) = session.token.expires_s else {
            // An app without certificates has no tokens.
            return false;
        };
        let expires_ts = expires_s.saturating_mul(1_000);
        let is_due = now_unix_ms + TOKEN_WARNING_MS >= expires_ts;
        if !is_due || session.token.is_expiry_told || session.connection.is_none() {
            return false;
        }
        session.token.is_expiry_told = true;
        if now_unix_ms >= expires_ts {
            // The clock has jumped over the warning's time, and the app lets its users stay.
            return true;
        }
        let frame = encode_server(Kind::TokenWillExpire(TokenWillExpire { expires_ts }));
        session.push(frame, Source::Call, out);
        true
    }

    fn detach_and_check(&mut self, key: SessionKey, code: CloseCode, out: &mut dyn Sink) {
        self.kernel.detach(key, Some(code), out);
        self.check_session(key, out);
    }

    /// The grace is over: others see the user leave; the session can still be resumed.
    fn become_gone(&mut self, key: SessionKey, out: &mut dyn Sink) {
        self.kernel.detach(key, Some(CloseCode::HeartbeatLost), out);
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        session.presence.state = PresenceState::Offline;
        self.kernel.emit_presence(key, out);
        self.kernel.tell_logout(key, None, out);
        if !fault!(GoneUserStaysMember) {
            self.channels.hide_memberships(key, &mut self.kernel, out);
        }
        if !fault!(UnconfirmedIsNotGivenBack) {
            self.peers.give_back_deliveries(key, &mut self.kernel, out);
        }
        let user = self.kernel.sessions.get(key).map(|it| it.user.clone());
        if let Some(first) = user.and_then(|user| self.kernel.put_first(&user)) {
            self.peers.read_inbox(first, &mut self.kernel, out);
        }
    }

    /// Ends a session for good.
    pub(crate) fn end_session(&mut self, key: SessionKey, end: End, out: &mut dyn Sink) {
        self.kernel.remember_rates(key, out);
        self.kernel.detach(key, Some(end.code()), out);
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        debug_assert!(
            session.connection.is_none(),
            "a session ends with its connection open"
        );
        let visibility = if session.is_here() {
            Visibility::Visible
        } else {
            Visibility::Hidden
        };
        session.presence.state = PresenceState::Offline;
        let user = session.user.clone();
        let heir = self.kernel.heir_of(key);
        if end != End::RemoteLogin || fault!(SecondLoginEndsPresence) {
            // A replaced login hands its user over: nobody sees it go offline, its attributes stay.
            if visibility == Visibility::Visible {
                self.kernel.emit_presence(key, out);
            }
            match end {
                // They are the service's, which is there.
                _ if heir.is_some() => self.kernel.leave_attributes(key, heir),
                End::WindowOver => {
                    Attributes::drop_user_attributes_late(key, &mut self.kernel, out)
                }
                _ => Attributes::drop_user_attributes(key, &mut self.kernel, out),
            }
        }
        self.channels
            .end_memberships(key, visibility, &mut self.kernel, out);
        if visibility == Visibility::Visible {
            self.kernel.tell_logout(key, Some(end), out);
        }
        if !fault!(ReplacingLoginMissesUnconfirmed) {
            self.peers.give_back_deliveries(key, &mut self.kernel, out);
        }
        if !fault!(WatchOutlivesSession) {
            self.presence.end_watches(key, &mut self.kernel, out);
        }
        self.invitations
            .end_own_invitations(key, &mut self.kernel, out);
        let rings_on = self.kernel.traits_of(key).rings_on;
        let fate = match end {
            // It rings at the login that takes its place, or at another session of the service.
            End::RemoteLogin => RingFate::GoesOn,
            _ if heir.is_some() => RingFate::GoesOn,
            // Its client comes back as a new login.
            End::WindowOver if rings_on => RingFate::GoesOn,
            _ => RingFate::Lost,
        };
        if !fault!(CallerIsNotToldOfCalleesEnd) {
            Invitations::end_rings(key, fate, &mut self.kernel, out);
        }
        if self.kernel.traces.has_waits() {
            self.kernel.trace_session_over(key, end.code().name());
        }
        self.kernel.remove_session(key);
        self.kernel.forget_user_session(&user, key, out);
        self.kernel.put_first(&user);
        if let Some(heir) = heir {
            // What it has left there may be the first's now.
            self.peers.read_inbox(heir, &mut self.kernel, out);
        }
    }
}
