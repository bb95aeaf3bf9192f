//! What goes into the machine and what comes out of it: plain data, nothing else.

use bytes::Bytes;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::CallError;
use crate::event::ClientEvent;

/// Names a call of the application; chosen by it, unique among open calls.
pub type CallId = u64;
/// Names a connection; chosen by the machine, never used twice.
pub type ConnectionId = u64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The application logs in. Answered with [`Answer::Done`] once the server accepts, or with an
    /// error after at most 12 s.
    Login {
        /// Names the call.
        id: CallId,
        /// 32 ASCII letters or digits.
        app_id: String,
        /// 1 to 64 bytes of the identifier set (protocol 3).
        user_id: String,
        /// At most 2,048 bytes; empty when the app has no certificate.
        token: String,
    },
    /// The application calls. Answered within 10 s.
    Call {
        /// Names the call.
        id: CallId,
        /// What it asks for.
        call: Call,
    },
    /// The application logs out. Answered once the server knows, after at most 10 s in any case.
    Logout {
        /// Names the call.
        id: CallId,
    },
    /// The application has a new token. Answered once the server has judged it, within 10 s.
    RenewToken {
        /// Names the call.
        id: CallId,
        /// At most 2,048 bytes.
        token: String,
    },
    /// A connection is open, the WebSocket handshake done.
    Opened {
        /// As named by [`Output::Open`].
        connection: ConnectionId,
    },
    /// A binary WebSocket message has arrived.
    Received {
        /// The connection it arrived on.
        connection: ConnectionId,
        /// Its payload: one `ServerFrame`. Bytes that are none end the connection.
        payload: Bytes,
    },
    /// A connection is closed, or could not be opened.
    Closed {
        /// As named by [`Output::Open`].
        connection: ConnectionId,
        /// The WebSocket close code, if there was one.
        code: Option<u16>,
    },
    /// The application's queue of events is full, or has room again.
    Backlog(Backlog),
    /// Another client of the same user in this program has logged in later: what that means here.
    /// Without a login it means nothing.
    Rival(RivalWord),
    /// The device has woken up or the network has changed: check the link now.
    Wake,
    /// Time has passed.
    Tick,
}

/// What a later login of the same user in this program does to this one.
///
/// The server lets the newest of a user's connections win. Which of two that are opened in the same
/// moment it sees first depends on the network; the application, though, has called them in an
/// order (decision 0020).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RivalWord {
    /// It is on its way: no connection is opened until it has succeeded or come to nothing.
    Hold,
    /// It has come to nothing: this login goes on.
    Go,
    /// It has succeeded: this login has ended, unless it is connected. Then the server ends it, and
    /// it does not come back should the server's word be lost.
    Over,
}

/// Whether the application keeps up with its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// It does not: nothing more is confirmed, and a lost link stays down, so that the server holds
    /// back what the application could not take.
    Full,
    /// The application keeps up.
    Clear,
}

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a connection to the service. Answer with `Opened` or `Closed`.
    Open {
        /// The name of the new connection.
        connection: ConnectionId,
    },
    /// Send a binary WebSocket message.
    Send {
        /// An open connection.
        connection: ConnectionId,
        /// Its payload: one `ClientFrame`, at most 64 KiB.
        payload: Bytes,
    },
    /// Close a connection and forget it. Needs no answer.
    Close {
        /// An open connection, or one that is being opened.
        connection: ConnectionId,
    },
    /// Tell the application.
    Event(ClientEvent),
    /// Answer a call of the application. Each call is answered once.
    Answer {
        /// As named by the input.
        id: CallId,
        /// The answer, or why there is none.
        result: Result<Answer, CallError>,
    },
}
