//! The numbers of one session: requests not yet answered, and what has been received.

use std::collections::VecDeque;

use bytes::Bytes;
use tidings_wire::limits::{
    CLIENT_CONFIRM_BYTES, CLIENT_CONFIRM_FRAMES, CLIENT_CONFIRM_WAIT_MS, REQUESTS_IN_FLIGHT_MAX,
};
use tidings_wire::proto::{self, client_message};

use crate::call::Call;
use crate::machine::CallId;

/// Who waits for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The application.
    Application {
        /// Its call.
        id: CallId,
        /// When it gives up, monotonic milliseconds.
        deadline_ms: u64,
    },
    /// The application did, but has been told that time is up.
    Expired,
    /// The client restores the session; the application's calls wait behind it.
    Restore,
    /// The client, for itself.
    Own,
}

/// A call with the one who waits for its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) call: Call,
    pub(crate) origin: Origin,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// As given by `Welcome`.
    pub(crate) id: Bytes,
    /// The newest that was received. Never printed.
    pub(crate) secret: Secret,
    /// Silence after which the server pings, milliseconds.
    pub(crate) heartbeat_ms: u64,
    /// For how long the server keeps a session without a link, milliseconds.
    pub(crate) resume_window_ms: u64,
    /// For how long a user counts as there after its last packet, milliseconds.
    pub(crate) presence_grace_ms: u64,
    /// Written and not answered, by rising number. Bound: 256.
    sent: VecDeque<(u64, Request)>,
    /// Number of the next request.
    next_cseq: u64,
    /// Numbered messages processed.
    processed: u64,
    /// The highest `processed` that was told to the server.
    confirmed: u64,
    /// Numbered messages and bytes since.
    unconfirmed_messages: usize,
    unconfirmed_bytes: usize,
    /// When the server is to be told at the latest, monotonic milliseconds.
    confirm_at_ms: Option<u64>,
}

/// Bytes that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) Bytes);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Session {
    pub(crate) fn new(welcome: proto::Welcome) -> Self {
        Self {
            id: welcome.session_id,
            secret: Secret(welcome.secret),
            heartbeat_ms: u64::from(welcome.heartbeat_ms),
            resume_window_ms: u64::from(welcome.resume_window_ms),
            presence_grace_ms: u64::from(welcome.presence_grace_ms),
            sent: VecDeque::new(),
            next_cseq: 1,
            processed: 0,
            confirmed: 0,
            unconfirmed_messages: 0,
            unconfirmed_bytes: 0,
            confirm_at_ms: None,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.sent.len() < REQUESTS_IN_FLIGHT_MAX
    }

    /// Numbers a request and returns it as a message.
    pub(crate) fn send(&mut self, request: Request) -> client_message::Kind {
        let cseq = self.next_cseq;
        self.next_cseq += 1;
        let message = to_message(cseq, &request.call);
        self.sent.push_back((cseq, request));
        message
    }

    /// The unanswered request of this number, which is thereby answered.
    pub(crate) fn answered(&mut self, cseq: u64) -> Option<Request> {
        let index = self
            .sent
            .binary_search_by_key(&cseq, |(number, _)| *number)
            .ok()?;
        self.sent.remove(index).map(|(_, request)| request)
    }

    /// Requests that the server has not received, to be written again as they are.
    pub(crate) fn above(&self, cseq: u64) -> impl Iterator<Item = client_message::Kind> {
        self.sent
            .iter()
            .filter(move |(number, _)| *number > cseq)
            .map(|(number, request)| to_message(*number, &request.call))
    }

    /// Written and unanswered requests with their numbers, in order.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = (u64, &Request)> {
        self.sent.iter().map(|(cseq, request)| (*cseq, request))
    }

    /// Whether the client is still restoring what an earlier session had.
    pub(crate) fn is_restoring(&self) -> bool {
        self.sent
            .iter()
            .any(|(_, request)| request.origin == Origin::Restore)
    }

    /// Lets the waiting caller go; the request keeps its number, which the server needs.
    pub(crate) fn expire(&mut self, call: CallId) -> bool {
        for (_, request) in &mut self.sent {
            if matches!(request.origin, Origin::Application { id, .. } if id == call) {
                request.origin = Origin::Expired;
                return true;
            }
        }
        false
    }

    /// Ends the session: what was written and not answered, in order.
    pub(crate) fn into_unanswered(self) -> Vec<Request> {
        self.sent.into_iter().map(|(_, request)| request).collect()
    }

    /// Counts a numbered message.
    pub(crate) fn received(&mut self, now_ms: u64, bytes: usize) {
        self.processed += 1;
        self.unconfirmed_messages += 1;
        self.unconfirmed_bytes += bytes;
        self.confirm_by(now_ms + CLIENT_CONFIRM_WAIT_MS);
        let is_much = self.unconfirmed_messages >= CLIENT_CONFIRM_FRAMES
            || self.unconfirmed_bytes >= CLIENT_CONFIRM_BYTES;
        if is_much {
            self.confirm_by(now_ms);
        }
    }

    /// Numbers that will never come.
    pub(crate) fn skipped(&mut self, now_ms: u64, count: u64) {
        self.processed = self.processed.saturating_add(count);
        self.confirm_by(now_ms + CLIENT_CONFIRM_WAIT_MS);
    }

    pub(crate) fn confirm_by(&mut self, at_ms: u64) {
        self.confirm_at_ms = Some(
            self.confirm_at_ms
                .map_or(at_ms, |earlier| earlier.min(at_ms)),
        );
    }

    pub(crate) fn confirm_at_ms(&self) -> Option<u64> {
        self.confirm_at_ms
    }

    /// What to confirm with the frame now written; 0 = nothing new.
    pub(crate) fn take_confirm(&mut self) -> u64 {
        self.confirm_at_ms = None;
        self.unconfirmed_messages = 0;
        self.unconfirmed_bytes = 0;
        if self.processed == self.confirmed {
            return 0;
        }
        self.confirmed = self.processed;
        self.processed
    }

    /// The statement of a resume: everything processed, confirmed or not.
    pub(crate) fn processed(&self) -> u64 {
        self.processed
    }

    /// A resume has stated everything processed.
    pub(crate) fn confirmed_by_resume(&mut self) {
        let _ = self.take_confirm();
    }
}

fn to_message(cseq: u64, call: &Call) -> client_message::Kind {
    client_message::Kind::Request(proto::Request {
        cseq,
        call: Some(call.to_proto()),
    })
}
