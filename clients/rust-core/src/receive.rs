//! What the server says.

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::decode_server;
use tidings_wire::proto::{self, client_message, server_message::Kind};

use crate::call::{Answer, Attribute, Call, CallError, presence};
use crate::close::BACKOFF;
use crate::event::{ClientEvent, ConnectionReason, ConnectionState, GapSource, gap_from_proto};
use crate::invitations::InvitationWord;
use crate::link::Link;
use crate::machine::{Client, ConnectionId, Output};
use crate::members::{Channel, Told};
use crate::message::Message;
use crate::session::{Origin, Request};
use crate::unknown;

/// Wait before the client repeats a request of its own that failed without a hint.
const OWN_RETRY_MS: u64 = 1_000;

impl Client {
    pub(crate) fn handle_received(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        payload: &Bytes,
        out: &mut Vec<Output>,
    ) {
        if self.link.connection() != Some(connection) {
            return;
        }
        if let Link::Up {
            heard_ms,
            probe_until_ms,
            ..
        } = &mut self.link
        {
            *heard_ms = now_ms;
            *probe_until_ms = None;
        }
        let Ok(frame) = decode_server(payload) else {
            // Not our protocol, or damaged on the way: what follows cannot be counted.
            self.unwritten.clear();
            out.push(Output::Close { connection });
            self.lose(now_ms, now_ms);
            self.retry(now_ms, BACKOFF);
            return;
        };
        let is_known = frame.messages.iter().all(|message| message.kind.is_some());
        let numbered = if is_known {
            vec![]
        } else {
            unknown::numbered(payload)
        };
        let share = payload.len() / frame.messages.len().max(1);
        for (index, message) in frame.messages.into_iter().enumerate() {
            // A message may end the link; what stands behind it is not for this session.
            if self.link.connection() != Some(connection) {
                return;
            }
            match message.kind {
                Some(kind) => self.receive(now_ms, kind, share, out),
                None if numbered.get(index) == Some(&true) => self.count(now_ms, share),
                None => {}
            }
        }
    }

    fn count(&mut self, now_ms: u64, bytes: usize) {
        if let Some(session) = self.session.as_mut().filter(|_| self.link.is_up()) {
            session.received(now_ms, bytes);
        }
    }

    fn receive(&mut self, now_ms: u64, kind: Kind, bytes: usize, out: &mut Vec<Output>) {
        let is_greeting = matches!(self.link, Link::Greeting { .. });
        match kind {
            Kind::Welcome(welcome) if is_greeting && self.session.is_none() => {
                self.begin_session(now_ms, welcome, out);
            }
            Kind::Resumed(resumed) if is_greeting => self.handle_resumed(now_ms, resumed, out),
            Kind::Refused(refused) if is_greeting => {
                let error = CallError::from_proto(refused.error.unwrap_or_default());
                self.handle_refused(now_ms, error, out);
            }
            Kind::Refused(refused) => {
                let error = CallError::from_proto(refused.error.unwrap_or_default());
                self.note_hint(&error);
            }
            Kind::Welcome(_) | Kind::Resumed(_) => {}
            Kind::Ping(_) => self
                .unwritten
                .push(client_message::Kind::Pong(proto::Pong {})),
            // It has shown that the link is alive by coming.
            Kind::Pong(_) => {}
            // Nothing else is served before the greeting's answer.
            _ if !self.link.is_up() => {}
            Kind::Skip(skip) => {
                for gap in skip.gaps {
                    self.handle_gap(gap, out);
                }
                if let Some(session) = &mut self.session {
                    session.skipped(now_ms, skip.count);
                }
            }
            event => {
                self.count(now_ms, bytes);
                self.handle_numbered(now_ms, event, out);
            }
        }
    }

    fn handle_numbered(&mut self, now_ms: u64, kind: Kind, out: &mut Vec<Output>) {
        match kind {
            Kind::Reply(reply) => self.handle_reply(now_ms, reply, out),
            Kind::PeerMessage(message) => self.handle_peer_message(now_ms, message, out),
            Kind::ChannelMessage(message) => {
                out.push(Output::Event(ClientEvent::ChannelMessage {
                    channel: message.channel,
                    from: message.from,
                    message: Message::from_proto(message.message),
                    server_ts_ms: message.server_ts,
                }));
            }
            Kind::MemberJoined(proto::MemberJoined { channel, user_id }) => {
                let told = match self.lineage.channels.get_mut(&channel) {
                    Some(known) => known.joined(&user_id),
                    None => Told::News,
                };
                if told == Told::News {
                    out.push(Output::Event(ClientEvent::MemberJoined {
                        channel,
                        user_id,
                    }));
                }
            }
            Kind::MemberLeft(proto::MemberLeft { channel, user_id }) if self.is_own(&user_id) => {
                // Its token permits the channel no more: a later session does not join it again.
                self.lineage.channels.remove(&channel);
                out.push(Output::Event(ClientEvent::MemberLeft { channel, user_id }));
            }
            Kind::MemberLeft(proto::MemberLeft { channel, user_id }) => {
                let told = match self.lineage.channels.get_mut(&channel) {
                    Some(known) => known.left(&user_id),
                    None => Told::News,
                };
                if told == Told::News {
                    out.push(Output::Event(ClientEvent::MemberLeft { channel, user_id }));
                }
            }
            Kind::MemberCount(proto::MemberCount { channel, count }) => {
                if let Some(known) = self.lineage.channels.get_mut(&channel) {
                    known.counted(count);
                }
                out.push(Output::Event(ClientEvent::MemberCount { channel, count }));
            }
            Kind::ChannelAttributes(change) => {
                let attributes = change
                    .attributes
                    .into_iter()
                    .map(Attribute::from_proto)
                    .collect();
                let channel = change.channel;
                out.push(Output::Event(ClientEvent::ChannelAttributes {
                    channel,
                    attributes,
                }));
            }
            Kind::PresenceChanged(change) => {
                let users = self.lineage.presence.changed(presence(change.users));
                if !users.is_empty() {
                    out.push(Output::Event(ClientEvent::PresenceChanged { users }));
                }
            }
            Kind::Gap(gap) => self.handle_gap(gap, out),
            Kind::TokenWillExpire(proto::TokenWillExpire { expires_ts }) => {
                out.push(Output::Event(ClientEvent::TokenWillExpire {
                    expires_ts_ms: expires_ts,
                }));
            }
            Kind::InvitationReceived(received) => {
                self.handle_invitation_received(received.number, out);
            }
            Kind::AcceptAsked(asked) => self.handle_accept_asked(asked.number),
            Kind::LocalInvitationEnded(ended) => self.handle_local_ended(ended, out),
            Kind::IncomingInvitation(invitation) => {
                self.handle_incoming_invitation(now_ms, invitation, out);
            }
            Kind::RemoteInvitationEnded(ended) => self.handle_remote_ended(ended, out),
            Kind::Welcome(_)
            | Kind::Resumed(_)
            | Kind::Refused(_)
            | Kind::Ping(_)
            | Kind::Pong(_)
            | Kind::Skip(_) => {}
        }
    }

    fn is_own(&self, user_id: &str) -> bool {
        let account = self.account.as_ref();
        account.is_some_and(|account| account.user_id == user_id)
    }

    fn handle_peer_message(
        &mut self,
        now_ms: u64,
        message: proto::PeerMessage,
        out: &mut Vec<Output>,
    ) {
        // Its sender waits for the confirmation, a repeat's too.
        if let Some(session) = &mut self.session {
            session.confirm_by(now_ms);
        }
        if self.inbox.is_new(message.inbox, &message.id) || fault!(ClientTakesRepeats) {
            out.push(Output::Event(ClientEvent::PeerMessage {
                from: message.from,
                message: Message::from_proto(message.message),
                server_ts_ms: message.server_ts,
                is_offline: message.inbox > 0,
            }));
        }
    }

    /// Events of a channel are missing, perhaps of members too: the list tells.
    fn handle_gap(&mut self, gap: proto::Gap, out: &mut Vec<Output>) {
        let event = gap_from_proto(gap);
        if let ClientEvent::Gap {
            source: GapSource::Channel(name),
            ..
        } = &event
            && let Some(channel) = self.lineage.channels.get_mut(name)
            && channel.has_something_to_compare()
        {
            channel.doubt();
            let call = Call::GetMembers {
                channel: name.clone(),
            };
            self.first.push_back(Request {
                call,
                origin: Origin::Own,
            });
        }
        out.push(Output::Event(event));
    }

    fn handle_reply(&mut self, now_ms: u64, reply: proto::Reply, out: &mut Vec<Output>) {
        let cseq = reply.cseq;
        let Some(request) = self
            .session
            .as_mut()
            .and_then(|session| session.answered(cseq))
        else {
            return;
        };
        let result = Answer::from_proto(reply.result);
        match request.origin {
            Origin::Application { .. } => {
                let result = self.learn(cseq, &request, result);
                self.answer(request.origin, result, out);
            }
            Origin::Expired => {
                let _ = self.learn(cseq, &request, result);
            }
            Origin::Restore | Origin::Own => self.handle_own_reply(now_ms, request, result, out),
        }
    }

    /// Takes in what a reply says about the world. Returns what the application is to be told.
    fn learn(
        &mut self,
        cseq: u64,
        request: &Request,
        result: Result<Answer, CallError>,
    ) -> Result<Answer, CallError> {
        let is_heard = request.origin != Origin::Expired;
        // The refusal of a second join may come before the consent to the first.
        let is_joining = |channel: &String| {
            let sent = self.session.iter().flat_map(|session| session.unanswered());
            let mut earlier = sent.filter(|(sent, _)| *sent < cseq);
            earlier.any(|(_, request)| {
                matches!(&request.call, Call::Join { channel: joined } if joined == channel)
                    && matches!(request.origin, Origin::Application { .. })
            })
        };
        let is_second = matches!(&request.call, Call::Join { channel } if is_joining(channel));
        let lineage = &mut self.lineage;
        match (&request.call, &result) {
            (Call::Join { channel }, Ok(_)) => {
                let known = lineage.channels.entry(channel.clone()).or_default();
                known.is_claimed |= is_heard;
            }
            // Joined by a call that the application was told had timed out.
            (Call::Join { channel }, Err(error)) if error.is(Outcome::AlreadyJoined) => {
                let known = lineage.channels.entry(channel.clone()).or_default();
                if is_heard && !known.is_claimed && !is_second {
                    known.is_claimed = true;
                    return Ok(Answer::Done);
                }
            }
            (Call::Leave { channel }, Ok(_)) => {
                lineage.channels.remove(channel);
            }
            (Call::Leave { channel }, Err(error)) if error.is(Outcome::NotInChannel) => {
                lineage.channels.remove(channel);
            }
            (Call::GetMembers { channel }, Ok(Answer::Users(users))) if is_heard => {
                let own_id = self.account.as_ref().map_or("", |account| &account.user_id);
                if let Some(known) = lineage.channels.get_mut(channel) {
                    known.listed_for_application(users, own_id);
                }
            }
            (Call::WriteUserAttributes { how, attributes }, Ok(_)) => {
                lineage.attributes.apply(cseq, *how, attributes);
            }
            (Call::SubscribePresence { user_ids }, Ok(_)) => lineage.presence.subscribed(user_ids),
            (Call::UnsubscribePresence { user_ids }, Ok(_)) => {
                lineage.presence.unsubscribed(user_ids);
            }
            (Call::RenewToken { token }, Ok(_)) => {
                if let Some(account) = &mut self.account {
                    account.token.clone_from(token);
                }
            }
            _ => {}
        }
        result
    }

    fn handle_own_reply(
        &mut self,
        now_ms: u64,
        request: Request,
        result: Result<Answer, CallError>,
        out: &mut Vec<Output>,
    ) {
        if request.call == Call::Logout {
            self.end(ConnectionState::Disconnected, ConnectionReason::Logout, out);
            return;
        }
        if let (Call::InvitationWord(word), Ok(_)) = (&request.call, &result) {
            self.handle_answered_word(word);
        }
        match (&request.call, result) {
            (Call::InvitationWord(word @ InvitationWord::Invite(_)), Err(_)) => {
                self.handle_refused_word(word, out);
            }
            (_, Err(error)) if error.is_retryable() => {
                let wait_ms = error.retry_after_ms().max(OWN_RETRY_MS);
                self.later.push((now_ms + wait_ms, request));
            }
            (Call::Join { channel }, Err(error)) if !error.is(Outcome::AlreadyJoined) => {
                self.lineage.channels.remove(channel);
                let channel = channel.clone();
                out.push(Output::Event(ClientEvent::ChannelLost { channel, error }));
            }
            (Call::Join { channel }, _) => {
                let known = self.lineage.channels.get(channel);
                if known.is_some_and(Channel::has_something_to_compare)
                    && !fault!(MembersAreNotAskedAgain)
                {
                    let call = Call::GetMembers {
                        channel: channel.clone(),
                    };
                    self.first.push_back(Request {
                        call,
                        origin: Origin::Own,
                    });
                }
            }
            (Call::GetMembers { channel }, Ok(Answer::Users(users))) => {
                let own_id = self.account.as_ref().map_or("", |account| &account.user_id);
                let Some(known) = self.lineage.channels.get_mut(channel) else {
                    return;
                };
                if fault!(ArrivalsInAHoleAreNotTold) {
                    return;
                }
                for user_id in known.listed_after_hole(now_ms, &users, own_id) {
                    let channel = channel.clone();
                    out.push(Output::Event(ClientEvent::MemberJoined {
                        channel,
                        user_id,
                    }));
                }
            }
            _ => {}
        }
    }
}
