//! The machine's state: the parts, and what more than one of the handlers does with them.

use crate::answer::Answer;
use crate::calls::{Calls, Purpose};
use crate::confirm::Confirmation;
use crate::encode;
use crate::error::CallError;
use crate::event::ClientEvent;
use crate::identity::Identity;
use crate::inbox::SeenMessages;
use crate::invitations::OpenInvitations;
use crate::link::Link;
use crate::outputs::Outputs;
use crate::replica::Replica;
use crate::restore::Restore;
use crate::states::{ConnectionState, Trigger, step};
use crate::types::{Backlog, CallId, Output};

/// A login under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingLogin {
    pub(crate) id: CallId,
    /// When it is given up, in monotonic milliseconds.
    pub(crate) deadline_ms: u64,
    /// How far the attempts got, for the error's text.
    pub(crate) progress: &'static str,
}

/// A logout under way.
#[derive(Debug)]
pub(crate) struct PendingLogout {
    /// Every call that waits for it.
    pub(crate) ids: Vec<CallId>,
    /// When it is done without the server's answer, in monotonic milliseconds.
    pub(crate) deadline_ms: u64,
}

/// The machine's state. Each part owns what it is named for; the handlers (`asking`, `connecting`,
/// `receiving`, `replies`, `endings`) connect them.
#[derive(Debug)]
pub(crate) struct Core {
    state: ConnectionState,
    /// Set exactly while the state is `Connecting`.
    pub(crate) login: Option<PendingLogin>,
    pub(crate) logout: Option<PendingLogout>,
    /// A later login of the same user in this program has succeeded, and the server has yet to end
    /// this one.
    pub(crate) is_overtaken: bool,
    /// Whether the application keeps up with its events.
    pub(crate) backlog: Backlog,
    /// Time of the input under way, in monotonic milliseconds.
    pub(crate) now_ms: u64,
    pub(crate) identity: Identity,
    pub(crate) link: Link,
    pub(crate) confirmation: Confirmation,
    pub(crate) calls: Calls,
    pub(crate) invitations: OpenInvitations,
    pub(crate) seen: SeenMessages,
    pub(crate) replica: Replica,
    pub(crate) restore: Restore,
    pub(crate) out: Outputs,
}

impl Core {
    /// A client that is not logged in.
    pub(crate) fn new(client_name: &str, seed: u64) -> Self {
        Self {
            state: ConnectionState::Disconnected,
            login: None,
            logout: None,
            is_overtaken: false,
            backlog: Backlog::Clear,
            now_ms: 0,
            identity: Identity::new(client_name),
            link: Link::new(seed),
            confirmation: Confirmation::default(),
            calls: Calls::default(),
            invitations: OpenInvitations::default(),
            seen: SeenMessages::default(),
            replica: Replica::default(),
            restore: Restore::default(),
            out: Outputs::default(),
        }
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.state
    }

    /// Moves the state as the table says; the application is told of every change.
    pub(crate) fn advance(&mut self, by: Trigger) {
        if let Some((state, reason)) = step(self.state, by) {
            assert_ne!(self.state, state, "{by:?} tells of no change");
            self.state = state;
            let event = ClientEvent::StateChanged { state, reason };
            self.out.emit(event);
        }
    }

    /// A deliberate fault: moves the state and tells nobody.
    pub(crate) fn advance_unseen(&mut self, by: Trigger) {
        if let Some((state, _)) = step(self.state, by) {
            self.state = state;
        }
    }

    /// Whether calls are taken now.
    pub(crate) fn may_call(&self) -> Result<(), CallError> {
        if self.state.takes_calls() && self.logout.is_none() {
            Ok(())
        } else {
            Err(CallError::NotLoggedIn)
        }
    }

    /// Has the connection closed, if there is one. Nothing more is written to it.
    pub(crate) fn hang_up(&mut self) {
        if let Some(connection) = self.link.connection() {
            self.out.drop_messages();
            assert!(
                !self.out.has_messages(),
                "messages for a connection that is given up"
            );
            self.out.push(Output::Close { connection });
        }
    }

    /// Answers whoever waits for a call.
    pub(crate) fn answer(&mut self, purpose: Purpose, result: Result<Answer, CallError>) {
        if let Some(id) = self.calls.settle(purpose) {
            self.out.settle(id, result);
        }
    }

    /// When an interruption becomes visible, in monotonic milliseconds.
    pub(crate) fn quiet_until_ms(&self) -> Option<u64> {
        if self.state == ConnectionState::Connected {
            self.link.quiet_until_ms()
        } else {
            None
        }
    }

    /// Writes waiting calls while the server takes them: at most 256 may be unanswered.
    pub(crate) fn pump(&mut self) {
        if !self.link.is_live() {
            return;
        }
        assert!(
            self.identity.has_session(),
            "calls are sent without a session"
        );
        self.restore.pump(self.now_ms, &mut self.calls);
        while let Some((cseq, call)) = self.calls.next(self.restore.is_running()) {
            self.out.message(encode::request(cseq, call));
        }
    }

    /// Writes what has been gathered, with the confirmation if it is due.
    pub(crate) fn flush(&mut self) {
        let Some(connection) = self.link.writable() else {
            self.out.drop_messages();
            return;
        };
        assert!(
            self.link.is_live() || self.link.is_greeting(),
            "something is written to {:?}",
            self.link
        );
        let may_confirm = self.link.is_live() && self.backlog == Backlog::Clear;
        let is_written = self.out.has_messages() || self.confirmation.is_due(self.now_ms);
        let mut confirm = 0;
        if may_confirm && is_written {
            confirm = self.confirmation.take();
        }
        self.out.flush(connection, confirm);
    }

    /// What must hold between inputs, for every part and between the parts.
    pub(crate) fn assert_consistent(&self) {
        self.identity.assert_consistent(self.now_ms);
        self.link.assert_consistent(self.now_ms);
        self.confirmation.assert_consistent();
        self.calls.assert_consistent(self.now_ms);
        self.invitations.assert_consistent();
        self.seen.assert_consistent();
        self.replica.assert_consistent(self.now_ms);
        self.restore.assert_consistent(&self.calls);
        self.out.assert_consistent();
        let (state, link) = (self.state, &self.link);
        assert_eq!(
            self.login.is_some(),
            state == ConnectionState::Connecting,
            "a login is under way while {state}"
        );
        assert!(
            self.logout.is_none() || state == ConnectionState::Connected,
            "a logout waits while {state}"
        );
        assert_eq!(
            self.identity.account().is_none(),
            state == ConnectionState::Disconnected,
            "whether there is a user while {state}"
        );
        assert!(
            state.takes_calls() || !self.identity.has_session(),
            "there is a session while {state}"
        );
        assert!(
            self.identity.has_session() || !link.is_live(),
            "the link serves no session: {link:?}"
        );
        let is_over = !matches!(
            state,
            ConnectionState::Connecting
                | ConnectionState::Connected
                | ConnectionState::Reconnecting
        );
        assert!(
            !is_over || link.is_down(),
            "the link outlives its login: {link:?} while {state}"
        );
        assert!(
            !self.is_overtaken || link.is_live(),
            "an overtaken login goes on: {link:?} while {state}"
        );
        assert!(
            !is_over || self.calls.deadline_ms().is_none(),
            "a call waits while {state}"
        );
    }
}
