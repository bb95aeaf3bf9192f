//! Call invitations: both state machines, as far as the client decides. Source: contract 3, rtm 6.
//!
//! No timer here ends an invitation: the server tells every end but the two that are the user's own act (a
//! caller's cancel, a callee's refusal) and the end of the login. What is open when a session is lost is listed with
//! the next one's login, and the server says where it stands (contract INV-6).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::codes::invitation_api_call_err as code;
use tidings_wire::limits::{INVITATIONS_INCOMING_MAX, INVITATIONS_REPORTED_MAX};
use tidings_wire::proto::{self, InvitationEnd, request};

use crate::call::{Answer, Call, CallError};
use crate::check;
use crate::event::{ClientEvent, ConnectionReason};
use crate::machine::{CallId, Client, Output};
use crate::session::{Origin, Request};

/// Names an incoming invitation; made by the server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvitationId(Bytes);

impl InvitationId {
    /// As the server has made it: 16 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

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
    /// The session that has sent it; `None` = the present one, or none yet.
    session: Option<Bytes>,
    /// The application knows that the callee's client has it.
    is_received: bool,
    /// The server was told that it is still open: it can be accepted any moment.
    is_confirmed: bool,
}

#[derive(Debug)]
struct Remote {
    caller_id: String,
    /// It is accepted, with this response.
    accepting: Option<String>,
}

/// One that has ended here, so that it does not ring again.
#[derive(Debug)]
struct Over {
    id: InvitationId,
    /// It was refused, with this response.
    refused: Option<String>,
}

/// Invitations that have not ended, and what is known of others.
#[derive(Debug, Default)]
pub(crate) struct Invitations {
    /// The number of the last one sent.
    sent: u64,
    /// Bound: the server's, on open invitations.
    local: BTreeMap<u64, Local>,
    /// Cancelled, and the server has not answered that, with the session that has sent them. Bound: as `local`.
    canceled: BTreeMap<u64, Option<Bytes>>,
    /// Bound: the server's, on ringing invitations.
    remote: BTreeMap<InvitationId, Remote>,
    /// The latest. Bound: `INVITATIONS_INCOMING_MAX`.
    over: VecDeque<Over>,
}

impl Invitations {
    /// For a login: what was sent in an earlier session and is open, or is still to be cancelled; and what rings.
    pub(crate) fn to_report(&self) -> Vec<proto::OpenInvitation> {
        let open = self
            .local
            .iter()
            .map(|(number, local)| (number, &local.session));
        let sent = open.chain(&self.canceled).filter_map(|(number, session)| {
            Some(proto::OpenInvitation {
                session_id: session.clone()?,
                number: *number,
                ..proto::OpenInvitation::default()
            })
        });
        let ringing = self
            .remote
            .iter()
            .map(|(id, remote)| proto::OpenInvitation {
                id: id.0.clone(),
                caller_id: remote.caller_id.clone(),
                ..proto::OpenInvitation::default()
            });
        sent.chain(ringing).take(INVITATIONS_REPORTED_MAX).collect()
    }
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
            session: None,
            is_received: false,
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
            Some(local) if local.is_confirmed && !fault!(ConfirmedIsCanceled) => {
                let text = "the callee has accepted, and that has been confirmed".to_owned();
                Err(wrong_time(code::ALREADY_ACCEPT, text))
            }
            Some(local) => {
                let session = local.session.clone();
                self.invitations.canceled.insert(number, session);
                events.extend(self.end_local(number, LocalInvitationNews::Canceled));
                self.tell(InvitationWord::Cancel(proto::CancelInvitation { number }));
                Ok(Answer::Done)
            }
        }
    }

    fn accept(&mut self, id: InvitationId, response: String) -> Result<Answer, CallError> {
        let remote = self.undecided(&id)?;
        check::invitation_text("response", &response)?;
        remote.accepting = Some(response.clone());
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
        if let Some(over) = self.invitations.over.back_mut() {
            over.refused = Some(response.clone());
        }
        self.tell(InvitationWord::Refuse(proto::RefuseInvitation {
            id: id.0,
            response,
        }));
        Ok(Answer::Done)
    }

    fn undecided(&mut self, id: &InvitationId) -> Result<&mut Remote, CallError> {
        match self.invitations.remote.get_mut(id) {
            None => Err(over()),
            Some(remote) if remote.accepting.is_some() => {
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

    /// The server has answered a word.
    pub(crate) fn handle_answered_word(&mut self, word: &InvitationWord) {
        if let InvitationWord::Cancel(cancel) = word {
            self.invitations.canceled.remove(&cancel.number);
        }
    }

    /// The session is lost: what it has sent is known by it from now on, and what the server may not have had is
    /// told again, in the next one.
    pub(crate) fn carry_invitations(&mut self, session: &Bytes, out: &mut Vec<Output>) {
        let unsent: Vec<_> = std::mem::take(&mut self.first)
            .into_iter()
            .filter_map(|request| match request.call {
                Call::InvitationWord(InvitationWord::Invite(invite)) => Some(invite),
                _ => None,
            })
            .collect();
        let is_unsent = |number: &u64| unsent.iter().any(|invite| invite.number == *number);
        let invitations = &mut self.invitations;
        invitations.canceled.retain(|number, _| !is_unsent(number));
        let open =
            (invitations.local.iter_mut()).map(|(number, local)| (number, &mut local.session));
        for (number, known) in open.chain(&mut invitations.canceled) {
            if !is_unsent(number) {
                known.get_or_insert_with(|| session.clone());
            }
        }
        let canceled: Vec<u64> = invitations.canceled.keys().copied().collect();
        let sent = invitations.local.len() + canceled.len();
        let room = INVITATIONS_REPORTED_MAX.saturating_sub(sent);
        let excess = invitations.remote.keys().skip(room);
        for id in excess.cloned().collect::<Vec<_>>() {
            let news = RemoteInvitationNews::Failed(RemoteInvitationFailure::Unknown);
            out.extend(self.end_remote(&id, news).map(Output::Event));
            // It may ring again.
            self.invitations.over.pop_back();
        }
        for invite in unsent {
            // One that was cancelled before anybody heard of it is not sent.
            if self.invitations.local.contains_key(&invite.number) {
                self.tell(InvitationWord::Invite(invite));
            }
        }
        for number in canceled {
            self.tell(InvitationWord::Cancel(proto::CancelInvitation { number }));
        }
        let accepting: Vec<_> = (self.invitations.remote.iter())
            .filter_map(|(id, remote)| Some((id.0.clone(), remote.accepting.clone()?)))
            .collect();
        for (id, response) in accepting {
            self.tell(InvitationWord::Accept(proto::AcceptInvitation {
                id,
                response,
            }));
        }
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
        if let Some(local) = self.invitations.local.get_mut(&number)
            && !std::mem::replace(&mut local.is_received, true)
        {
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
            // The session that had sent it is over, and it is not known what became of it.
            InvitationEnd::NotRecorded => LocalInvitationNews::Failed(Failure::NotLoggedIn),
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
        if self.invitations.remote.contains_key(&id) && !fault!(EveryOfferRings) {
            return;
        }
        let over = self.invitations.over.iter().find(|over| over.id == id);
        if let Some(over) = over.filter(|_| !fault!(EveryOfferRings)) {
            // The server has lost what became of it.
            let (id, response) = (id.0, over.refused.clone().unwrap_or_default());
            return self.tell(InvitationWord::Refuse(proto::RefuseInvitation {
                id,
                response,
            }));
        }
        let remote = Remote {
            caller_id: invitation.caller_id.clone(),
            accepting: None,
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
            InvitationEnd::PeerOffline
            | InvitationEnd::CalleeGone
            | InvitationEnd::NotRecorded
            | InvitationEnd::Unspecified => RemoteInvitationNews::Failed(Failure::Unknown),
        };
        let event = self.end_remote(&InvitationId(ended.id), news);
        out.extend(event.map(Output::Event));
    }

    /// The login is over, and with it its invitations (contract INV-8).
    pub(crate) fn end_invitations(&mut self, reason: ConnectionReason, out: &mut Vec<Output>) {
        let failure = match reason {
            ConnectionReason::RemoteLogin => LocalInvitationFailure::Unknown,
            _ => LocalInvitationFailure::NotLoggedIn,
        };
        self.invitations.canceled.clear();
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
        // The next login lets ring what rings on.
        self.invitations.over.clear();
    }

    /// None for an invitation that has ended before: its end was told.
    fn end_local(&mut self, number: u64, news: LocalInvitationNews) -> Option<ClientEvent> {
        let callee_id = match fault!(EndedInvitationIsKept) {
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
        if self.invitations.over.len() == INVITATIONS_INCOMING_MAX {
            self.invitations.over.pop_front();
        }
        self.invitations.over.push_back(Over {
            id: id.clone(),
            refused: None,
        });
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
