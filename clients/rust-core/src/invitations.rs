//! Call invitations: both state machines, as far as the client decides. Source: contract 3, rtm 6.
//!
//! No timer here ends an invitation: the server tells every end but the two that are the user's own
//! decision (a caller's cancel, a callee's refusal) and the end of the login. What is open when a
//! session is lost is listed in the next one's login, and the server says where it stands
//! (contract INV-6).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::codes::invitation_api_call_err as code;
use tidings_wire::limits::{INVITATIONS_INCOMING_MAX, INVITATIONS_REPORTED_MAX};
use tidings_wire::proto::{self, InvitationEnd};

use crate::answer::Answer;
use crate::call::Call;
use crate::calls::{Calls, Purpose};
use crate::check;
use crate::error::CallError;
use crate::event::ClientEvent;
use crate::invitation::{
    InvitationId, InvitationWord, LocalInvitationFailure, LocalInvitationNews,
    RemoteInvitationFailure, RemoteInvitationNews,
};

/// One that this client has sent.
#[derive(Debug)]
struct Local {
    callee_id: String,
    /// The session that has sent it; `None` = the present one, or none yet.
    session: Option<Bytes>,
    /// The application knows that the callee's client has it.
    is_received: bool,
    /// The server was told that it is still open: it may be accepted at any moment.
    is_confirmed: bool,
}

/// One that this client was sent.
#[derive(Debug)]
struct Remote {
    caller_id: String,
    /// The response, once the application has accepted.
    accepting: Option<String>,
}

/// One that has ended here, so that it does not ring again.
#[derive(Debug)]
struct Over {
    id: InvitationId,
    /// The response, if the application has refused.
    refused: Option<String>,
}

/// Invitations that have not ended, and what is known of others.
#[derive(Debug, Default)]
pub(crate) struct OpenInvitations {
    /// The number of the last one sent.
    last_number: u64,
    /// By number. Bound: the server's, on open invitations.
    local: BTreeMap<u64, Local>,
    /// Cancelled ones whose cancellation the server has not answered, with the session that has
    /// sent them. Bound: as `local`.
    canceled: BTreeMap<u64, Option<Bytes>>,
    /// By id. Bound: the server's, on ringing invitations.
    remote: BTreeMap<InvitationId, Remote>,
    /// The latest ones. Bound: `INVITATIONS_INCOMING_MAX`.
    over: VecDeque<Over>,
}

impl OpenInvitations {
    // ------------------------------------------------------------ what the application does

    /// Invites a user.
    pub(crate) fn invite(
        &mut self,
        callee_id: String,
        content: String,
        channel: String,
        calls: &mut Calls,
    ) -> Answer {
        self.last_number += 1;
        let number = self.last_number;
        let local = Local {
            callee_id: callee_id.clone(),
            session: None,
            is_received: false,
            is_confirmed: false,
        };
        let earlier = self.local.insert(number, local);
        assert!(earlier.is_none(), "invitation {number} is sent twice");
        let invite = proto::Invite {
            number,
            callee_id,
            content,
            channel,
            ..proto::Invite::default()
        };
        tell(calls, InvitationWord::Invite(invite));
        Answer::Invited { number }
    }

    /// Cancels an invitation that was sent.
    pub(crate) fn cancel(
        &mut self,
        number: u64,
        calls: &mut Calls,
    ) -> Result<Option<ClientEvent>, CallError> {
        let Some(local) = self.local.get(&number) else {
            if number == 0 || number > self.last_number {
                let text = format!("invitation {number} has not been sent");
                return Err(wrong_time(code::NOT_STARTED, text));
            }
            return Err(over());
        };
        let mut is_too_late = local.is_confirmed;
        if fault!(ConfirmedIsCanceled) {
            is_too_late = false;
        }
        if is_too_late {
            let text = "the callee has accepted, and that has been confirmed".to_owned();
            return Err(wrong_time(code::ALREADY_ACCEPT, text));
        }
        let earlier = self.canceled.insert(number, local.session.clone());
        if !fault!(EndedInvitationIsKept) {
            assert!(earlier.is_none(), "invitation {number} is cancelled twice");
        }
        let event = self.end_local(number, LocalInvitationNews::Canceled);
        let cancel = proto::CancelInvitation { number };
        tell(calls, InvitationWord::Cancel(cancel));
        Ok(event)
    }

    /// Accepts an invitation that rings.
    pub(crate) fn accept(
        &mut self,
        id: InvitationId,
        response: String,
        calls: &mut Calls,
    ) -> Result<(), CallError> {
        let remote = self.undecided(&id)?;
        check::invitation_text("response", &response)?;
        assert!(remote.accepting.is_none(), "{id:?} is accepted twice");
        remote.accepting = Some(response.clone());
        let id = id.0;
        let accept = proto::AcceptInvitation { id, response };
        tell(calls, InvitationWord::Accept(accept));
        Ok(())
    }

    /// Refuses an invitation that rings.
    pub(crate) fn refuse(
        &mut self,
        id: InvitationId,
        response: String,
        calls: &mut Calls,
    ) -> Result<Option<ClientEvent>, CallError> {
        self.undecided(&id)?;
        check::invitation_text("response", &response)?;
        let event = self.end_remote(&id, RemoteInvitationNews::Refused);
        if let Some(over) = self.over.back_mut() {
            assert_eq!(over.id, id, "another invitation is refused");
            over.refused = Some(response.clone());
        }
        let id = id.0;
        let refuse = proto::RefuseInvitation { id, response };
        tell(calls, InvitationWord::Refuse(refuse));
        Ok(event)
    }

    fn undecided(&mut self, id: &InvitationId) -> Result<&mut Remote, CallError> {
        match self.remote.get_mut(id) {
            None => Err(over()),
            Some(remote) if remote.accepting.is_some() => {
                let text = "the invitation has been accepted".to_owned();
                Err(wrong_time(code::ALREADY_ACCEPT, text))
            }
            Some(remote) => Ok(remote),
        }
    }

    // ------------------------------------------------------------ what the server answers

    /// The server has answered a word; it says nothing more about a cancelled invitation.
    pub(crate) fn answered(&mut self, word: &InvitationWord) {
        if let InvitationWord::Cancel(cancel) = word {
            self.canceled.remove(&cancel.number);
        }
    }

    /// The server has refused an invitation.
    pub(crate) fn refused(&mut self, number: u64) -> Option<ClientEvent> {
        let news = LocalInvitationNews::Failed(LocalInvitationFailure::Unknown);
        self.end_local(number, news)
    }

    // ------------------------------------------------------------ what the server says

    /// The callee's client has the invitation.
    pub(crate) fn received(&mut self, number: u64) -> Option<ClientEvent> {
        // An invitation that has ended here is not news any more.
        let local = self.local.get_mut(&number)?;
        let was_received = std::mem::replace(&mut local.is_received, true);
        (!was_received).then(|| ClientEvent::LocalInvitation {
            number,
            callee_id: local.callee_id.clone(),
            news: LocalInvitationNews::Received,
        })
    }

    /// The callee has accepted, and the server asks whether that counts. It is the gate of contract
    /// INV-3: an invitation that has been cancelled here is never confirmed.
    pub(crate) fn accept_asked(&mut self, number: u64, calls: &mut Calls) {
        if let Some(local) = self.local.get_mut(&number) {
            local.is_confirmed = true;
            let confirm = proto::ConfirmAccept { number };
            tell(calls, InvitationWord::Confirm(confirm));
        }
    }

    /// An invitation that was sent has ended.
    pub(crate) fn local_ended(
        &mut self,
        ended: proto::LocalInvitationEnded,
    ) -> Option<ClientEvent> {
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
            // The session that had sent it has ended, and nobody knows what became of it.
            InvitationEnd::NotRecorded => LocalInvitationNews::Failed(Failure::NotLoggedIn),
            InvitationEnd::AcceptFailed
            | InvitationEnd::CallerGone
            | InvitationEnd::Unspecified => LocalInvitationNews::Failed(Failure::Unknown),
        };
        self.end_local(ended.number, news)
    }

    /// An invitation has arrived.
    pub(crate) fn incoming(
        &mut self,
        invitation: proto::IncomingInvitation,
        calls: &mut Calls,
    ) -> Option<ClientEvent> {
        let id = InvitationId(invitation.id);
        let mut rings = self.remote.contains_key(&id);
        let mut over = self.over.iter().find(|over| over.id == id);
        if fault!(EveryOfferRings) {
            rings = false;
            over = None;
        }
        if rings {
            // The application has been told.
            return None;
        }
        if let Some(over) = over {
            // The server has lost what became of it.
            let refuse = proto::RefuseInvitation {
                id: id.0,
                response: over.refused.clone().unwrap_or_default(),
            };
            tell(calls, InvitationWord::Refuse(refuse));
            return None;
        }
        let remote = Remote {
            caller_id: invitation.caller_id.clone(),
            accepting: None,
        };
        self.remote.insert(id.clone(), remote);
        Some(ClientEvent::RemoteInvitation {
            id,
            caller_id: invitation.caller_id,
            news: RemoteInvitationNews::Received {
                content: invitation.content,
                channel: invitation.channel,
            },
        })
    }

    /// An invitation that had arrived has ended.
    pub(crate) fn remote_ended(
        &mut self,
        ended: proto::RemoteInvitationEnded,
    ) -> Option<ClientEvent> {
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
        self.end_remote(&InvitationId(ended.id), news)
    }

    // ------------------------------------------------------------ sessions and logins

    /// For a login: what an earlier session has sent and is open, or has still to be cancelled; and
    /// what rings.
    pub(crate) fn report(&self) -> Vec<proto::OpenInvitation> {
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

    /// A session is lost. Whatever it has sent is known under its id from now on; whatever the
    /// server may not have received is told again in the next one.
    pub(crate) fn session_over(&mut self, session: &Bytes, calls: &mut Calls) -> Vec<ClientEvent> {
        let unsent: Vec<_> = (calls.take_urgent().into_iter())
            .filter_map(|held| match held.call {
                Call::InvitationWord(InvitationWord::Invite(invite)) => Some(invite),
                // Restoring calls are made again from what they restore, decisions from below.
                _ => None,
            })
            .collect();
        let is_unsent = |number: &u64| unsent.iter().any(|invite| invite.number == *number);
        self.canceled.retain(|number, _| !is_unsent(number));
        let open = (self.local.iter_mut()).map(|(number, local)| (number, &mut local.session));
        for (number, known) in open.chain(&mut self.canceled) {
            if !is_unsent(number) {
                known.get_or_insert_with(|| session.clone());
            }
        }
        let events = self.drop_excess();
        for invite in unsent {
            // One that was cancelled before anybody heard of it is not sent.
            if self.local.contains_key(&invite.number) {
                tell(calls, InvitationWord::Invite(invite));
            }
        }
        for number in self.canceled.keys().copied() {
            let cancel = proto::CancelInvitation { number };
            tell(calls, InvitationWord::Cancel(cancel));
        }
        for (id, remote) in &self.remote {
            if let Some(response) = remote.accepting.clone() {
                let id = id.0.clone();
                let accept = proto::AcceptInvitation { id, response };
                tell(calls, InvitationWord::Accept(accept));
            }
        }
        events
    }

    /// Ends ringing invitations for which the next login's report has no room.
    fn drop_excess(&mut self) -> Vec<ClientEvent> {
        let sent = self.local.len() + self.canceled.len();
        let room = INVITATIONS_REPORTED_MAX.saturating_sub(sent);
        let excess: Vec<_> = self.remote.keys().skip(room).cloned().collect();
        let mut events = vec![];
        for id in excess {
            let news = RemoteInvitationNews::Failed(RemoteInvitationFailure::Unknown);
            events.extend(self.end_remote(&id, news));
            // It may ring again.
            let dropped = self.over.pop_back();
            assert!(
                dropped.is_some_and(|over| over.id == id),
                "{id:?} rings no more"
            );
        }
        events
    }

    /// The login has ended, and its invitations with it (contract INV-8). `failure`: what has
    /// become of those that were sent.
    pub(crate) fn clear(&mut self, failure: LocalInvitationFailure) -> Vec<ClientEvent> {
        let local = std::mem::take(&mut self.local).into_iter();
        let local = local.map(
            |(number, Local { callee_id, .. })| ClientEvent::LocalInvitation {
                number,
                callee_id,
                news: LocalInvitationNews::Failed(failure),
            },
        );
        let remote = std::mem::take(&mut self.remote).into_iter();
        let remote = remote.map(
            |(id, Remote { caller_id, .. })| ClientEvent::RemoteInvitation {
                id,
                caller_id,
                news: RemoteInvitationNews::Failed(RemoteInvitationFailure::Unknown),
            },
        );
        self.canceled.clear();
        // The next login lets ring what still rings.
        self.over.clear();
        local.chain(remote).collect()
    }

    /// None for an invitation that had ended: its end was told.
    fn end_local(&mut self, number: u64, news: LocalInvitationNews) -> Option<ClientEvent> {
        let callee_id = self.local.get(&number)?.callee_id.clone();
        if !fault!(EndedInvitationIsKept) {
            self.local.remove(&number);
        }
        Some(ClientEvent::LocalInvitation {
            number,
            callee_id,
            news,
        })
    }

    /// None for an invitation that had ended: its end was told.
    fn end_remote(&mut self, id: &InvitationId, news: RemoteInvitationNews) -> Option<ClientEvent> {
        let Remote { caller_id, .. } = self.remote.remove(id)?;
        if self.over.len() == INVITATIONS_INCOMING_MAX {
            self.over.pop_front();
        }
        assert!(
            self.over.len() < INVITATIONS_INCOMING_MAX,
            "too many ended invitations are kept"
        );
        self.over.push_back(Over {
            id: id.clone(),
            refused: None,
        });
        Some(ClientEvent::RemoteInvitation {
            id: id.clone(),
            caller_id,
            news,
        })
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self) {
        let numbers = self.local.keys().chain(self.canceled.keys());
        for number in numbers {
            assert!(
                (1..=self.last_number).contains(number),
                "invitation {number} was not sent; the last one was {}",
                self.last_number
            );
        }
        assert!(
            self.over.len() <= INVITATIONS_INCOMING_MAX,
            "{} ended invitations are kept",
            self.over.len()
        );
        let is_strict = !fault!(EndedInvitationIsKept) && !fault!(EveryOfferRings);
        let canceled = self
            .canceled
            .keys()
            .find(|number| self.local.contains_key(*number));
        assert!(
            !is_strict || canceled.is_none(),
            "{canceled:?} is cancelled and open"
        );
        let ended = self
            .over
            .iter()
            .find(|over| self.remote.contains_key(&over.id));
        assert!(
            !is_strict || ended.is_none(),
            "{ended:?} has ended and rings"
        );
    }
}

fn tell(calls: &mut Calls, word: InvitationWord) {
    calls.add_own(Purpose::Own, Call::InvitationWord(word));
}

fn over() -> CallError {
    let text = "the invitation is over; a new one is needed".to_owned();
    wrong_time(code::ALREADY_END, text)
}

fn wrong_time(code: u32, text: String) -> CallError {
    CallError::WrongTime { code, text }
}
