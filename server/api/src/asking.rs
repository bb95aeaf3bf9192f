//! Calls that are handed in first and waited for later, so that several keep their order.

use tidings_hub::ids::{MessageId, UserKey};
use tidings_hub::outside::{OutsideAnswer, OutsideCall, PeerOutcome};
use tidings_wire::hex;
use tidings_wire::proto::{PresenceState, QueryPresence, SendToPeer, reply, request};
use tokio::sync::oneshot;

use crate::problem::Fault;
use crate::stored::strange;
use crate::{Api, HUB_WAIT, spans};

/// A call that a hub was given.
#[derive(Debug)]
pub(crate) struct Asked(oneshot::Receiver<OutsideAnswer>);

/// A peer message that a hub was given.
#[derive(Debug)]
pub(crate) struct Handed {
    sent: Asked,
    /// Answered when the receiver has been given the message, if it is there.
    is_there: Asked,
    /// Whether the receiver's client is waited for.
    waits: bool,
    id: MessageId,
}

/// What has become of a peer message.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) outcome: PeerOutcome,
    /// The receiver was there, whether or not its client has confirmed the message.
    pub(crate) was_there: bool,
    pub(crate) id: MessageId,
    pub(crate) server_ts: u64,
}

impl Api {
    /// Gives a hub a call.
    ///
    /// # Errors
    /// 503: it cannot be asked.
    pub(crate) fn begin(&self, hub: u16, call: OutsideCall) -> Result<Asked, Fault> {
        Ok(Asked(self.hubs.post(hub, call)?))
    }

    /// The same of what a client could ask.
    ///
    /// # Errors
    /// As [`Api::begin`].
    pub(crate) fn begin_as(&self, from: UserKey, call: request::Call) -> Result<Asked, Fault> {
        self.begin(self.hub_of(&from), OutsideCall::AsUser { from, call })
    }

    /// Gives a hub a call that sends a message. Returns the message's id, which is drawn here: it
    /// is known whether or not the answer is waited for.
    ///
    /// # Errors
    /// As [`Api::begin`]; 503 too if the system gives no random number.
    pub(crate) fn begin_message(
        &self,
        from: UserKey,
        call: request::Call,
    ) -> Result<(MessageId, Asked), Fault> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            Fault::unavailable(format!("the system has given no random number: {error}"))
        })?;
        let id = MessageId(id);
        if let (Some(cause), Some(webhooks)) = (spans::current(), self.webhooks.get()) {
            webhooks.note_cause(hex(&id.0), cause);
        }
        let hub = self.hub_of(&from);
        let asked = self.begin(hub, OutsideCall::Send { from, call, id })?;
        Ok((id, asked))
    }

    /// Waits for a hub's answer.
    ///
    /// # Errors
    /// What the hub has refused; 503 if it does not answer.
    pub(crate) async fn end(&self, asked: Asked) -> Result<OutsideAnswer, Fault> {
        match tokio::time::timeout(HUB_WAIT, asked.0).await {
            Ok(Ok(OutsideAnswer::Call(reply::Result::Error(error)))) => Err(Fault::of_hub(&error)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Fault::unavailable("the server is being stopped")),
            Err(_) => Err(Fault::unavailable("the server has not answered in time")),
        }
    }

    /// Hands in a peer message. With `waits`, the receiver's client is waited for; else the
    /// receiver's session or the store.
    ///
    /// # Errors
    /// As [`Api::begin`].
    pub(crate) fn begin_send(
        &self,
        from: UserKey,
        call: SendToPeer,
        waits: bool,
    ) -> Result<Handed, Fault> {
        let user_ids = vec![call.peer_id.clone()];
        let (id, sent) = self.begin_message(from.clone(), request::Call::SendToPeer(call))?;
        // Order: the question goes the message's way behind it, so that a receiver who is there has
        // been given the message when it is answered.
        let asked = request::Call::QueryPresence(QueryPresence { user_ids });
        let is_there = self.begin_as(from, asked)?;
        Ok(Handed {
            sent,
            is_there,
            waits,
            id,
        })
    }
}

impl Handed {
    /// The id of the message.
    pub(crate) fn id(&self) -> MessageId {
        self.id
    }

    /// Waits for what becomes of it; `None` = the receiver is there and has been given it.
    ///
    /// # Errors
    /// As [`Api::end`].
    pub(crate) async fn end(self, api: &Api) -> Result<Option<Sent>, Fault> {
        let sent = api.end(self.sent);
        if self.waits {
            let mut sent = read(&sent.await?)?;
            sent.was_there = match sent.outcome {
                PeerOutcome::Received => true,
                _ => is_online(&api.end(self.is_there).await?),
            };
            return Ok(Some(sent));
        }
        let mut sent = std::pin::pin!(sent);
        let asked = tokio::select! {
            biased;
            sent = &mut sent => return read(&sent?).map(Some),
            asked = api.end(self.is_there) => asked?,
        };
        if is_online(&asked) {
            Ok(None)
        } else {
            read(&sent.await?).map(Some)
        }
    }
}

fn read(answer: &OutsideAnswer) -> Result<Sent, Fault> {
    match answer {
        OutsideAnswer::Sent {
            outcome,
            id,
            server_ts,
        } => Ok(Sent {
            outcome: *outcome,
            was_there: *outcome == PeerOutcome::Received,
            id: *id,
            server_ts: *server_ts,
        }),
        _ => Err(strange()),
    }
}

fn is_online(answer: &OutsideAnswer) -> bool {
    let OutsideAnswer::Call(reply::Result::Presence(list)) = answer else {
        return false;
    };
    let is_online = |state: i32| state == PresenceState::Online as i32;
    list.users.iter().any(|user| is_online(user.state))
}
