//! Call invitations: both state machines, as far as the client decides. Source: contract 3, rtm 6.
//!
//! No timer here ends an invitation: the server tells every end but the two that are the user's own act (a
//! caller's cancel, a callee's refusal) and the loss of the session.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use tidings_mutant::mutant;
use tidings_wire::codes::invitation_api_call_err as code;
use tidings_wire::proto::{self, InvitationEnd, request};

use crate::call::{Answer, Call, CallError};
use crate::check;
use crate::event::{ClientEvent, ConnectionReason};
use crate::machine::{CallId, Client, Output};
use crate::session::{Origin, Request};

/// Names an incoming invitation; made by the server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvitationId(Bytes);

impl fmt::Debug for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("i")?;
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What an application does with an invitation. Answered at once; everything else is an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationCall {
    /// Invites a user. Answered with [`Answer::Invited`].
    Invite {
        /// Who is invited; may be oneself.
        callee_id: String,
        /// For the callee's application; at most 8 KiB.
        content: String,
        /// A channel name, or empty.
        channel: String,
    },
    /// Takes an invitation back.
    Cancel {
        /// As answered to `Invite`.
        number: u64,
    },
    /// Accepts; the event `Accepted` follows once the caller's client has confirmed.
    Accept {
        /// As told by [`RemoteInvitationNews::Received`].
        id: InvitationId,
        /// For the caller's application; at most 8 KiB.
        response: String,
    },
    /// Refuses, for good.
    Refuse {
        /// As told by [`RemoteInvitationNews::Received`].
        id: InvitationId,
        /// For the caller's application; at most 8 KiB.
        response: String,
    },
}

/// What has become of an invitation that this client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalInvitationNews {
    /// The callee's client has it.
    Received,
    /// The callee has accepted, with this response.
    Accepted(String),
    /// The callee has refused, with this response.
    Refused(String),
    /// It was cancelled here.
    Canceled,
    /// It has ended without a decision.
    Failed(LocalInvitationFailure),
}

/// Why a sent invitation has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalInvitationFailure {
    /// The server refused it, or this client did not confirm an acceptance in time.
    Unknown,
    /// The callee is there, but its client has not confirmed the invitation within 30 s.
    PeerNoResponse,
    /// No decision within 60 s.
    InvitationExpire,
    /// The callee was gone for 30 s, or is gone after it had the invitation.
    PeerOffline,
    /// The session that sent it is over.
    NotLoggedIn,
}

impl LocalInvitationFailure {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::PeerNoResponse => "PEER_NO_RESPONSE",
            Self::InvitationExpire => "INVITATION_EXPIRE",
            Self::PeerOffline => "PEER_OFFLINE",
            Self::NotLoggedIn => "NOT_LOGGEDIN",
        }
    }
}

/// What has become of an invitation that this client was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteInvitationNews {
    /// It has come.
    Received {
        /// What the caller says.
        content: String,
        /// The channel that the caller names; empty: none.
        channel: String,
    },
    /// The acceptance counts, on both sides.
    Accepted,
    /// It was refused here.
    Refused,
    /// The caller has cancelled.
    Canceled,
    /// It has ended without a decision.
    Failed(RemoteInvitationFailure),
}

/// Why a received invitation has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemoteInvitationFailure {
    /// The session that received it is over.
    Unknown,
    /// The caller's client has not confirmed the acceptance within 5 s.
    AcceptFailure,
    /// The caller is gone.
    PeerOffline,
    /// No decision within 60 s.
    InvitationExpire,
}

impl RemoteInvitationFailure {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::AcceptFailure => "ACCEPT_FAILURE",
            Self::PeerOffline => "PEER_OFFLINE",
            Self::InvitationExpire => "INVITATION_EXPIRE",
        }
    }
}

/// What the machine tells the server of invitations.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationWord {
    Invite(proto::Invite),
    Cancel(proto::CancelInvitation),
    Confirm(proto::ConfirmAccept),
    Accept(proto::AcceptInvitation),
    Refuse(proto::RefuseInvitation),
}

impl InvitationWord {
    pub(crate) fn to_proto(&self) -> request::Call {
        match self.clone() {
            Self::Invite(word) => request::Call::Invite(word),
            Self::Cancel(word) => request::Call::CancelInvitation(word),
            Self::Confirm(word) => request::Call::ConfirmAccept(word),
            Self::Accept(word) => request::Call::AcceptInvitation(word),
            Self::Refuse(word) => request::Call::RefuseInvitation(word),
        }
    }
}

#[derive(Debug)]
struct Local {
    callee_id: String,
    /// The server was told that it is still open: it can be accepted any moment.
    is_confirmed: bool,
}

#[derive(Debug)]
struct Remote {
    caller_id: String,
    is_accepting: bool,
}

/// Invitations that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Invitations {
    /// The number of the last one sent.
    sent: u64,
    /// Bound: the server's, on open invitations.
    local: BTreeMap<u64, Local>,
    /// Bound: the server's, on ringing invitations.
    remote: BTreeMap<InvitationId, Remote>,
}

impl Client {
    /// Does a call of the application.
    pub(crate) fn handle_invitation_call(
        &mut self,
        id: CallId,
        call: InvitationCall,
        out: &mut Vec<Output>,
    ) {
        let mut events = vec![];
        let result = match call {
            InvitationCall::Invite {
                callee_id,
                content,
                channel,
            } => self.invite(callee_id, content, channel),
            InvitationCall::Cancel { number } => self.cancel(number, &mut events),
            InvitationCall::Accept { id, response } => self.accept(id, response),
            InvitationCall::Refuse { id, response } => self.refuse(id, response, &mut events),
        };
        out.push(Output::Answer { id, result });
        out.extend(events.into_iter().map(Output::Event));
    }

    fn invite(
        &mut self,
        callee_id: String,
        content: String,
        channel: String,
    ) -> Result<Answer, CallError> {
        check::invitation(&callee_id, &content, &channel)?;
        self.may_call()?;
        self.invitations.sent += 1;
        let number = self.invitations.sent;
        let local = Local {
            callee_id: callee_id.clone(),
            is_confirmed: false,
        };
        self.invitations.local.insert(number, local);
        self.tell(InvitationWord::Invite(proto::Invite {
            number,
            callee_id,
            content,
            channel,
            ..proto::Invite::default()
        }));
        Ok(Answer::Invited { number })
    }

    fn cancel(&mut self, number: u64, events: &mut Vec<ClientEvent>) -> Result<Answer, CallError> {
        match self.invitations.local.get(&number) {
            None if number == 0 || number > self.invitations.sent => {
                let text = format!("invitation {number} has not been sent");
                Err(wrong_time(code::NOT_STARTED, text))
            }
            None => Err(over()),
            Some(local) if local.is_confirmed && !mutant!(32) => {
                let text = "the callee has accepted, and that has been confirmed".to_owned();
                Err(wrong_time(code::ALREADY_ACCEPT, text))
            }
            Some(_) => {
                events.extend(self.end_local(number, LocalInvitationNews::Canceled));
                self.tell(InvitationWord::Cancel(proto::CancelInvitation { number }));
                Ok(Answer::Done)
            }
        }
    }

    fn accept(&mut self, id: InvitationId, response: String) -> Result<Answer, CallError> {
        let remote = self.undecided(&id)?;
        check::invitation_text("response", &response)?;
        remote.is_accepting = true;
        self.tell(InvitationWord::Accept(proto::AcceptInvitation {
            id: id.0,
            response,
        }));
        Ok(Answer::Done)
    }

    fn refuse(
        &mut self,
        id: InvitationId,
        response: String,
        events: &mut Vec<ClientEvent>,
    ) -> Result<Answer, CallError> {
        self.undecided(&id)?;
        check::invitation_text("response", &response)?;
        events.extend(self.end_remote(&id, RemoteInvitationNews::Refused));
        self.tell(InvitationWord::Refuse(proto::RefuseInvitation {
            id: id.0,
            response,
        }));
        Ok(Answer::Done)
    }

    fn undecided(&mut self, id: &InvitationId) -> Result<&mut Remote, CallError> {
        match self.invitations.remote.get_mut(id) {
            None => Err(over()),
            Some(remote) if remote.is_accepting => {
                let text = "the invitation has been accepted".to_owned();
                Err(wrong_time(code::ALREADY_ACCEPT, text))
            }
            Some(remote) => Ok(remote),
        }
    }

    fn tell(&mut self, word: InvitationWord) {
        self.first.push_back(Request {
            call: Call::InvitationWord(word),
            origin: Origin::Own,
        });
    }

    /// The server has refused a word. Only an invitation itself can be wanted in vain.
    pub(crate) fn handle_refused_word(&mut self, word: &InvitationWord, out: &mut Vec<Output>) {
        if let InvitationWord::Invite(invite) = word {
            let news = LocalInvitationNews::Failed(LocalInvitationFailure::Unknown);
            out.extend(self.end_local(invite.number, news).map(Output::Event));
        }
    }

    // ------------------------------------------------------------ what the server says

    pub(crate) fn handle_invitation_received(&mut self, number: u64, out: &mut Vec<Output>) {
        if let Some(local) = self.invitations.local.get(&number) {
            out.push(Output::Event(ClientEvent::LocalInvitation {
                number,
                callee_id: local.callee_id.clone(),
                news: LocalInvitationNews::Received,
            }));
        }
    }

    /// The gate of contract INV-3: an invitation that has been cancelled here is never confirmed.
    pub(crate) fn handle_accept_asked(&mut self, number: u64) {
        if let Some(local) = self.invitations.local.get_mut(&number) {
            local.is_confirmed = true;
            self.tell(InvitationWord::Confirm(proto::ConfirmAccept { number }));
        }
    }

    pub(crate) fn handle_local_ended(
        &mut self,
        ended: proto::LocalInvitationEnded,
        out: &mut Vec<Output>,
    ) {
        use LocalInvitationFailure as Failure;
        let news = match ended.end() {
            InvitationEnd::Accepted => LocalInvitationNews::Accepted(ended.response),
            InvitationEnd::Refused => LocalInvitationNews::Refused(ended.response),
            InvitationEnd::Canceled => LocalInvitationNews::Canceled,
            InvitationEnd::PeerOffline | InvitationEnd::CalleeGone => {
                LocalInvitationNews::Failed(Failure::PeerOffline)
            }
            InvitationEnd::NoResponse => LocalInvitationNews::Failed(Failure::PeerNoResponse),
            InvitationEnd::Expired => LocalInvitationNews::Failed(Failure::InvitationExpire),
            InvitationEnd::AcceptFailed
            | InvitationEnd::CallerGone
            | InvitationEnd::Unspecified => LocalInvitationNews::Failed(Failure::Unknown),
        };
        out.extend(self.end_local(ended.number, news).map(Output::Event));
    }

    pub(crate) fn handle_incoming_invitation(
        &mut self,
        now_ms: u64,
        invitation: proto::IncomingInvitation,
        out: &mut Vec<Output>,
    ) {
        // Its caller waits for the confirmation.
        if let Some(session) = &mut self.session {
            session.confirm_by(now_ms);
        }
        let id = InvitationId(invitation.id);
        if self.invitations.remote.contains_key(&id) && !mutant!(30) {
            return;
        }
        let remote = Remote {
            caller_id: invitation.caller_id.clone(),
            is_accepting: false,
        };
        self.invitations.remote.insert(id.clone(), remote);
        out.push(Output::Event(ClientEvent::RemoteInvitation {
            id,
            caller_id: invitation.caller_id,
            news: RemoteInvitationNews::Received {
                content: invitation.content,
                channel: invitation.channel,
            },
        }));
    }

    pub(crate) fn handle_remote_ended(
        &mut self,
        ended: proto::RemoteInvitationEnded,
        out: &mut Vec<Output>,
    ) {
        use RemoteInvitationFailure as Failure;
        let news = match ended.end() {
            InvitationEnd::Accepted => RemoteInvitationNews::Accepted,
            InvitationEnd::Refused => RemoteInvitationNews::Refused,
            InvitationEnd::Canceled => RemoteInvitationNews::Canceled,
            InvitationEnd::NoResponse | InvitationEnd::Expired => {
                RemoteInvitationNews::Failed(Failure::InvitationExpire)
            }
            InvitationEnd::AcceptFailed => RemoteInvitationNews::Failed(Failure::AcceptFailure),
            InvitationEnd::CallerGone => RemoteInvitationNews::Failed(Failure::PeerOffline),
            InvitationEnd::PeerOffline | InvitationEnd::CalleeGone | InvitationEnd::Unspecified => {
                RemoteInvitationNews::Failed(Failure::Unknown)
            }
        };
        let event = self.end_remote(&InvitationId(ended.id), news);
        out.extend(event.map(Output::Event));
    }

    /// The session is over, and with it its invitations (contract INV-8).
    pub(crate) fn end_invitations(&mut self, reason: ConnectionReason, out: &mut Vec<Output>) {
        let failure = match reason {
            ConnectionReason::RemoteLogin => LocalInvitationFailure::Unknown,
            _ => LocalInvitationFailure::NotLoggedIn,
        };
        let local = std::mem::take(&mut self.invitations.local);
        for (number, Local { callee_id, .. }) in local {
            out.push(Output::Event(ClientEvent::LocalInvitation {
                number,
                callee_id,
                news: LocalInvitationNews::Failed(failure),
            }));
        }
        let remote = std::mem::take(&mut self.invitations.remote);
        for (id, Remote { caller_id, .. }) in remote {
            out.push(Output::Event(ClientEvent::RemoteInvitation {
                id,
                caller_id,
                news: RemoteInvitationNews::Failed(RemoteInvitationFailure::Unknown),
            }));
        }
    }

    /// None for an invitation that has ended before: its end was told.
    fn end_local(&mut self, number: u64, news: LocalInvitationNews) -> Option<ClientEvent> {
        let callee_id = match mutant!(76) {
            true => self.invitations.local.get(&number)?.callee_id.clone(),
            false => self.invitations.local.remove(&number)?.callee_id,
        };
        Some(ClientEvent::LocalInvitation {
            number,
            callee_id,
            news,
        })
    }

    fn end_remote(&mut self, id: &InvitationId, news: RemoteInvitationNews) -> Option<ClientEvent> {
        let Remote { caller_id, .. } = self.invitations.remote.remove(id)?;
        Some(ClientEvent::RemoteInvitation {
            id: id.clone(),
            caller_id,
            news,
        })
    }
}

fn over() -> CallError {
    let text = "the invitation is over; a new one is needed".to_owned();
    wrong_time(code::ALREADY_END, text)
}

fn wrong_time(code: u32, text: String) -> CallError {
    CallError::WrongTime { code, text }
}
