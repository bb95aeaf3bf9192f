//! The machine: its inputs, its outputs, its states and its timers.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use tidings_wire::frame::encode_client;
use tidings_wire::limits::FRAME_BYTES_MAX;
use tidings_wire::proto::{ClientFrame, ClientMessage, client_message};

use crate::backoff::{Backoff, Random};
use crate::call::{Answer, Call, CallError};
use crate::event::{ClientEvent, ConnectionReason, ConnectionState};
use crate::invitations::Invitations;
use crate::lineage::{Inbox, Lineage};
use crate::link::Link;
use crate::session::{Request, Session};

/// Names a call of the application; chosen by it, unique among open calls.
pub type CallId = u64;
/// Names a connection; chosen by the machine, never used twice.
pub type ConnectionId = u64;

/// Room that a frame keeps for its own fields beside its messages.
const FRAME_ROOM_BYTES: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The application logs in.
    Login {
        /// Names the call.
        id: CallId,
        /// 32 ASCII letters or digits.
        app_id: String,
        /// 1 to 64 bytes of the identifier set.
        user_id: String,
        /// Empty when the app has no certificate.
        token: String,
    },
    /// The application calls.
    Call {
        /// Names the call.
        id: CallId,
        /// What it asks for.
        call: Call,
    },
    /// The application logs out.
    Logout {
        /// Names the call.
        id: CallId,
    },
    /// The application has a new token.
    RenewToken {
        /// Names the call.
        id: CallId,
        /// The token.
        token: String,
    },
    /// A connection is open, the WebSocket handshake done.
    Opened {
        /// Which.
        connection: ConnectionId,
    },
    /// A binary WebSocket message has come.
    Received {
        /// On which connection.
        connection: ConnectionId,
        /// Its payload: one `ServerFrame`.
        payload: Bytes,
    },
    /// A connection is closed, or could not be opened.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// The WebSocket close code, if there was one.
        code: Option<u16>,
    },
    /// The application's queue of events is full, or has room again.
    Backlog(Backlog),
    /// The device has woken up or the network has changed: check the link now.
    Wake,
    /// Time has passed.
    Tick,
}

/// Whether the application keeps up with its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// It does not: nothing more is confirmed, and a lost link stays down.
    Full,
    /// It does.
    Clear,
}

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a connection to the service. Answer with `Opened` or `Closed`.
    Open {
        /// Its name.
        connection: ConnectionId,
    },
    /// Send a binary WebSocket message.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// Its payload: one `ClientFrame`, at most 64 KiB.
        payload: Bytes,
    },
    /// Close a connection and forget it. Needs no answer.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Tell the application.
    Event(ClientEvent),
    /// Answer a call of the application. Each call is answered once.
    Answer {
        /// The call.
        id: CallId,
        /// Its result.
        result: Result<Answer, CallError>,
    },
}

/// Who is logged in.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) app_id: String,
    pub(crate) user_id: String,
    /// Never printed.
    pub(crate) token: String,
}

/// A login under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoginCall {
    pub(crate) id: CallId,
    pub(crate) deadline_ms: u64,
    /// How far the attempts got, for the error's text.
    pub(crate) progress: &'static str,
}

/// A logout under way.
#[derive(Debug)]
pub(crate) struct LogoutCall {
    pub(crate) ids: Vec<CallId>,
    pub(crate) deadline_ms: u64,
}

/// A token given while the link was down, to be stated in the next attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renewal {
    /// Who waits for it; none once its time is up.
    pub(crate) waiting: Option<(CallId, u64)>,
}

/// One client: at most one login at a time, as often as one likes.
pub struct Client {
    /// Library name and version, told at login.
    pub(crate) client_name: String,
    pub(crate) random: Random,
    pub(crate) backoff: Backoff,
    pub(crate) state: ConnectionState,
    /// Set from a login's start to its logout or failure.
    pub(crate) account: Option<Account>,
    pub(crate) link: Link,
    pub(crate) connections: ConnectionId,
    pub(crate) login: Option<LoginCall>,
    /// When the last login was called, for the spacing.
    pub(crate) last_login_ms: Option<u64>,
    pub(crate) logout: Option<LogoutCall>,
    pub(crate) renewal: Option<Renewal>,
    /// The application has been told of the token's end; reset by a new token.
    pub(crate) is_token_end_told: bool,
    /// When the link was lost that was up.
    pub(crate) lost_since_ms: Option<u64>,
    /// When to try again.
    pub(crate) retry_at_ms: Option<u64>,
    /// The server has asked not to come back before this time, in monotonic milliseconds.
    pub(crate) not_before_ms: u64,
    /// The server's hint when to come back, given on the connection that is up, in milliseconds; 0 = none.
    pub(crate) hint_ms: u64,
    /// New sessions begun because of protocol errors since the last good connection.
    pub(crate) protocol_errors: u32,
    pub(crate) session: Option<Session>,
    /// Why the last session was lost; set until the next begins.
    pub(crate) loss: Option<crate::event::GapCause>,
    pub(crate) lineage: Lineage,
    /// Peer messages raised. Lives as long as the client serves one user.
    pub(crate) inbox: Inbox,
    /// Whose messages `inbox` remembers: app id and user id.
    pub(crate) inbox_owner: Option<(String, String)>,
    pub(crate) invitations: Invitations,
    /// The client's own requests, before all others.
    pub(crate) first: VecDeque<Request>,
    /// The client's own requests to be repeated later, with their times.
    pub(crate) later: Vec<(u64, Request)>,
    /// Calls not yet written in this session. Bound: 1,000 calls, 4 MiB.
    pub(crate) waiting: VecDeque<Request>,
    pub(crate) waiting_bytes: usize,
    /// The application's calls wait until the session is restored.
    pub(crate) is_restoring: bool,
    /// Deadlines of open calls.
    pub(crate) timers: BTreeSet<(u64, CallId)>,
    pub(crate) backlog: Backlog,
    /// Messages for the connection, written at the end of an input.
    pub(crate) unwritten: Vec<client_message::Kind>,
}

impl Client {
    /// The highest number of a stored message that was raised. An application that keeps it across its restarts, per
    /// app and user, and gives it to [`Client::keep_inbox_cursor`] is not shown a stored message twice (contract OFF-6).
    pub fn inbox_cursor(&self) -> u64 {
        self.inbox.cursor()
    }

    /// Takes up the cursor that was kept for a user of an app, before that user's login.
    pub fn keep_inbox_cursor(&mut self, app_id: &str, user_id: &str, cursor: u64) {
        let owner = Some((app_id.to_owned(), user_id.to_owned()));
        if self.inbox_owner != owner {
            self.inbox_owner = owner;
            self.inbox = Inbox::default();
        }
        self.inbox.keep_cursor(cursor);
    }

    /// Makes a client that is not logged in.
    ///
    /// `client_name` is the library's name and version, cut to 64 bytes. The seed decides the
    /// waits between attempts: different for each client in production, repeatable in a test.
    pub fn new(client_name: &str, seed: u64) -> Self {
        let mut end = client_name
            .len()
            .min(tidings_wire::limits::CLIENT_NAME_BYTES_MAX);
        while !client_name.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            client_name: client_name[..end].to_owned(),
            random: Random::new(seed),
            backoff: Backoff::default(),
            state: ConnectionState::Disconnected,
            account: None,
            link: Link::Down,
            connections: 0,
            login: None,
            last_login_ms: None,
            logout: None,
            renewal: None,
            is_token_end_told: false,
            lost_since_ms: None,
            retry_at_ms: None,
            not_before_ms: 0,
            hint_ms: 0,
            protocol_errors: 0,
            session: None,
            loss: None,
            lineage: Lineage::default(),
            inbox: Inbox::default(),
            inbox_owner: None,
            invitations: Invitations::default(),
            first: VecDeque::new(),
            later: Vec::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_restoring: false,
            timers: BTreeSet::new(),
            backlog: Backlog::Clear,
            unwritten: Vec::new(),
        }
    }

    /// The connection state.
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// The user that is logged in or logging in.
    pub fn user_id(&self) -> Option<&str> {
        self.account
            .as_ref()
            .map(|account| account.user_id.as_str())
    }

    /// App id, user id and token of a login that has succeeded and has not ended.
    pub fn credentials(&self) -> Option<(&str, &str, &str)> {
        let is_in = matches!(
            self.state,
            ConnectionState::Connected | ConnectionState::Reconnecting
        );
        let account = self.account.as_ref().filter(|_| is_in)?;
        Some((&account.app_id, &account.user_id, &account.token))
    }

    /// Takes an input at a monotonic time in milliseconds and appends what is to be done.
    ///
    /// Time never goes back. Inputs about a connection that the machine has given up are ignored.
    /// Cost: O(log calls), plus what the input carries.
    pub fn handle(&mut self, now_ms: u64, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Login {
                id,
                app_id,
                user_id,
                token,
            } => {
                self.handle_login(
                    now_ms,
                    id,
                    Account {
                        app_id,
                        user_id,
                        token,
                    },
                    out,
                );
            }
            Input::Call { id, call } => self.handle_call(now_ms, id, call, out),
            Input::Logout { id } => self.handle_logout(now_ms, id, out),
            Input::RenewToken { id, token } => self.handle_renew_token(now_ms, id, token, out),
            Input::Opened { connection } => self.handle_opened(connection),
            Input::Received {
                connection,
                payload,
            } => {
                self.handle_received(now_ms, connection, &payload, out);
            }
            Input::Closed { connection, code } => self.handle_closed(now_ms, connection, code, out),
            Input::Backlog(backlog) => self.backlog = backlog,
            Input::Wake => self.handle_wake(now_ms),
            Input::Tick => {}
        }
        self.run_timers(now_ms, out);
        self.pump();
        self.flush(now_ms, out);
    }

    /// When the machine wants a `Tick` at the latest, in the time of [`Client::handle`].
    pub fn deadline(&self) -> Option<u64> {
        let confirm = match self.backlog {
            Backlog::Clear if self.link.is_up() => {
                self.session.as_ref().and_then(Session::confirm_at_ms)
            }
            _ => None,
        };
        let retry = match self.backlog {
            Backlog::Clear => self.retry_at_ms,
            Backlog::Full => None,
        };
        let later = match self.link.is_up() {
            true => self.later.iter().map(|(at_ms, _)| *at_ms).min(),
            false => None,
        };
        let doubts = match self.link.is_up() {
            true => (self.lineage.channels.values())
                .filter_map(|channel| channel.deadline_ms())
                .min(),
            false => None,
        };
        [
            self.login.map(|login| login.deadline_ms),
            self.logout.as_ref().map(|logout| logout.deadline_ms),
            self.renewal
                .and_then(|renewal| renewal.waiting)
                .map(|(_, deadline_ms)| deadline_ms),
            self.link.deadline_ms(self.heartbeat_ms()),
            self.quiet_until_ms(),
            self.timers.first().map(|(deadline_ms, _)| *deadline_ms),
            retry,
            confirm,
            later,
            doubts,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn run_timers(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.check_link(now_ms, out);
        // Order: a logout that waits for the link ends before the interruption becomes visible.
        self.check_logout(now_ms, out);
        self.check_quiet(now_ms, out);
        self.check_login(now_ms, out);
        self.check_calls(now_ms, out);
        self.check_members(now_ms, out);
        self.check_retry(now_ms, out);
    }

    /// Changes the state; an event is raised only by a change.
    pub(crate) fn enter(
        &mut self,
        state: ConnectionState,
        reason: ConnectionReason,
        out: &mut Vec<Output>,
    ) {
        if self.state != state {
            self.state = state;
            out.push(Output::Event(ClientEvent::StateChanged { state, reason }));
        }
    }

    /// Ends the login: nothing of it is left but the memory of received peer messages.
    pub(crate) fn end(
        &mut self,
        state: ConnectionState,
        reason: ConnectionReason,
        out: &mut Vec<Output>,
    ) {
        self.drop_link(out);
        self.retry_at_ms = None;
        self.lost_since_ms = None;
        self.session = None;
        self.loss = None;
        self.lineage = Lineage::default();
        self.first.clear();
        self.later.clear();
        self.is_restoring = false;
        self.is_token_end_told = false;
        self.protocol_errors = 0;
        self.backoff.reset();
        self.enter(state, reason, out);
        self.end_invitations(reason, out);
        self.refuse_open_calls(out);
        if state == ConnectionState::Disconnected {
            self.account = None;
        }
        if let Some(logout) = self.logout.take() {
            for id in logout.ids {
                out.push(Output::Answer {
                    id,
                    result: Ok(Answer::Done),
                });
            }
        }
    }

    /// Writes what has been gathered, in frames of at most 64 KiB, with the confirmation due.
    fn flush(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let Some(connection) = self.link.writable() else {
            self.unwritten.clear();
            return;
        };
        let is_due = |session: &Session| {
            session
                .confirm_at_ms()
                .is_some_and(|confirm_at_ms| confirm_at_ms <= now_ms)
        };
        let mut confirm = 0;
        if self.link.is_up()
            && self.backlog == Backlog::Clear
            && let Some(session) = &mut self.session
            && (!self.unwritten.is_empty() || is_due(session))
        {
            confirm = session.take_confirm();
        }
        let mut frame = ClientFrame {
            messages: Vec::new(),
            confirm,
        };
        let mut bytes = FRAME_ROOM_BYTES;
        for kind in self.unwritten.drain(..) {
            let message = ClientMessage { kind: Some(kind) };
            let size = prost::Message::encoded_len(&message) + 8;
            if bytes + size > FRAME_BYTES_MAX && !frame.messages.is_empty() {
                out.push(Output::Send {
                    connection,
                    payload: encode_client(&frame),
                });
                frame = ClientFrame::default();
                bytes = FRAME_ROOM_BYTES;
            }
            bytes += size;
            frame.messages.push(message);
        }
        if !frame.messages.is_empty() || frame.confirm > 0 {
            out.push(Output::Send {
                connection,
                payload: encode_client(&frame),
            });
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("user", &self.user_id())
            .field("state", &self.state)
            .field("link", &self.link)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
