//! A client's requests: each is executed once and answered once.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::{MEDIA_ID_BYTES_MAX, MESSAGE_PAYLOAD_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX};
use tidings_wire::names::ChannelName;
use tidings_wire::proto::{Error, File, Message, Request, message, request::Call};

use crate::Hub;
use crate::bus_ops::Decision;
use crate::caller::Caller;
use crate::ids::SessionKey;
use crate::ids::{ChannelKey, ConnectionId};
use crate::invitations::Invitations;
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::limiter::Kind;
use crate::presence::Presence;
use crate::session::End;
use crate::sessions::error;

impl Hub {
    /// Invariant: a request is executed if and only if its number is exactly one higher than the last
    /// (contract DEL-4). Its reply stays in the outbox until it is confirmed, so a repeated one needs no answer.
    pub(crate) fn handle_request(
        &mut self,
        key: SessionKey,
        connection: ConnectionId,
        request: Request,
        out: &mut dyn Sink,
    ) {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            return;
        };
        let is_forgotten =
            fault!(OldRepeatsAreForgotten) && request.cseq + 2 <= session.requests.cseq;
        if request.cseq <= session.requests.cseq && request.cseq > 0 && !is_forgotten {
            return;
        }
        if request.cseq != session.requests.cseq + 1 && !is_forgotten
            || session.requests.open >= REQUESTS_IN_FLIGHT_MAX
        {
            return self.handle_protocol_error(connection, out);
        }
        session.requests.cseq = request.cseq.max(session.requests.cseq);
        session.requests.open += 1;
        assert!(
            !fault!(HubPanics) || session.requests.cseq < 20,
            "a deliberate fault"
        );
        let caller = Caller::Request {
            session: key,
            cseq: request.cseq,
        };
        // Whoever calls in vain again and again waits as if it had called with success; to leave anybody may.
        if !matches!(request.call, Some(Call::Logout(_)))
            && !self.kernel.check_debt(caller, Kind::FailedCall, out)
        {
            return;
        }
        if has_no_rate(&request.call) && !self.kernel.take_rate(caller, Kind::OtherCall, out) {
            return;
        }
        match request.call {
            Some(Call::SendToPeer(call)) => {
                self.peers
                    .handle_send_to_peer(caller, call, &mut self.kernel, out)
            }
            Some(Call::SendToChannel(call)) => self.channels.handle_send_to_channel(
                caller,
                call,
                &mut self.history,
                &mut self.kernel,
                out,
            ),
            Some(Call::Join(call)) => {
                self.channels
                    .handle_join(caller, &call.channel, &mut self.kernel, out)
            }
            Some(Call::Leave(call)) => {
                self.channels
                    .handle_leave(caller, &call.channel, &mut self.kernel, out)
            }
            Some(Call::GetMembers(call)) => {
                self.channels
                    .handle_get_members(caller, &call.channel, &mut self.kernel, out)
            }
            Some(Call::GetMemberCounts(call)) => {
                self.channels.handle_get_member_counts(
                    caller,
                    call.channels,
                    &mut self.kernel,
                    out,
                );
            }
            Some(Call::QueryPresence(call)) => {
                self.presence
                    .handle_query_presence(caller, call.user_ids, &mut self.kernel, out);
            }
            Some(Call::SubscribePresence(call)) => {
                self.presence.handle_subscribe_presence(
                    caller,
                    call.user_ids,
                    &mut self.kernel,
                    out,
                );
            }
            Some(Call::UnsubscribePresence(call)) => {
                self.presence.handle_unsubscribe_presence(
                    caller,
                    call.user_ids,
                    &mut self.kernel,
                    out,
                );
            }
            Some(Call::QueryPresenceSubscriptions(_)) => {
                Presence::handle_query_subscriptions(caller, &mut self.kernel, out);
            }
            Some(Call::WriteUserAttributes(call)) => {
                self.attributes
                    .handle_write_user_attributes(caller, call, &mut self.kernel, out);
            }
            Some(Call::ReadUserAttributes(call)) => {
                self.attributes
                    .handle_read_user_attributes(caller, call, &mut self.kernel, out);
            }
            Some(Call::WriteChannelAttributes(call)) => {
                self.attributes.handle_write_channel_attributes(
                    caller,
                    call,
                    &mut self.kernel,
                    out,
                );
            }
            Some(Call::ReadChannelAttributes(call)) => {
                self.attributes
                    .handle_read_channel_attributes(caller, call, &mut self.kernel, out);
            }
            Some(Call::ReadHistory(call)) => {
                self.history
                    .handle_read_history(caller, call, &mut self.kernel, out)
            }
            Some(Call::RenewToken(call)) => self.handle_renew_token(caller, &call.token, out),
            Some(Call::Invite(call)) => {
                self.invitations
                    .handle_invite(caller, call, &mut self.kernel, out)
            }
            Some(Call::CancelInvitation(call)) => {
                self.invitations.handle_cancel_invitation(
                    caller,
                    call.number,
                    &mut self.kernel,
                    out,
                );
            }
            Some(Call::ConfirmAccept(call)) => {
                self.invitations
                    .handle_confirm_accept(caller, call.number, &mut self.kernel, out);
            }
            Some(Call::AcceptInvitation(call)) => {
                let decision = Decision::Accept(call.response);
                Invitations::handle_decision(caller, &call.id, decision, &mut self.kernel, out);
            }
            Some(Call::RefuseInvitation(call)) => {
                let decision = Decision::Refuse(call.response);
                Invitations::handle_decision(caller, &call.id, decision, &mut self.kernel, out);
            }
            Some(Call::Logout(_)) => {
                self.kernel.reply_done(caller, out);
                self.end_session(key, End::LoggedOut, out);
            }
            None => {
                let text =
                    "this server does not know the call; use client and server of one version";
                self.kernel
                    .reply_error(caller, error(Outcome::Unsupported, text), out);
            }
        }
    }

    fn handle_renew_token(&mut self, caller: Caller, token: &str, out: &mut dyn Sink) {
        let Some(key) = self.kernel.session_of(caller, out) else {
            return;
        };
        if !self.kernel.take_rate(caller, Kind::RenewToken, out) {
            return;
        }
        let Some(user) = self
            .kernel
            .sessions
            .get(key)
            .map(|session| session.user.clone())
        else {
            return;
        };
        match self.kernel.renewed_grant(&user, token) {
            Ok(grant) => {
                // Order: answered first, so that what ends with the old token is seen to follow from it.
                self.kernel.reply_done(caller, out);
                self.apply_grant(key, grant, out);
                self.kernel.set_session_timer(key);
            }
            Err(error) => self.kernel.reply_error(caller, error, out),
        }
    }
}

impl Kernel {
    /// Takes one call of a rate, or answers the request with the wait. Returns whether to go on.
    pub(crate) fn take_rate(&mut self, caller: Caller, kind: Kind, out: &mut dyn Sink) -> bool {
        if !self.check_debts(caller, kind, out) {
            return false;
        }
        let Some(key) = caller.session() else {
            // Whoever stands outside is limited at the door that it has come through.
            return true;
        };
        let now_ms = self.now.mono_ms;
        let first = self
            .sessions
            .keys()
            .next()
            .filter(|_| fault!(UsersShareRates));
        let Some(session) = self.sessions.get_mut(first.unwrap_or(key)) else {
            return false;
        };
        if !session.settings.rate_limits {
            return true;
        }
        let listed = self.config.apps.listed.get(&session.user.app);
        let rates = listed.map_or(&self.default_rates, |app| &app.rates);
        match session.rates.limiter.take(kind, rates, now_ms) {
            Ok(()) => true,
            Err(error) => {
                self.refuse_rate(caller, (kind, error), out);
                false
            }
        }
    }

    /// Parses the channel of a call, or answers it.
    pub(crate) fn parse_channel(
        &mut self,
        caller: Caller,
        channel: &str,
        out: &mut dyn Sink,
    ) -> Option<ChannelKey> {
        let key = self.session_of(caller, out)?;
        let app = self.sessions.get(key)?.user.app.clone();
        match ChannelName::parse_by(self.names_of(key), channel) {
            Ok(channel) => Some(ChannelKey { app, channel }),
            Err(name) => {
                let text = format!("channel {channel:?}: {name}");
                self.reply_error(caller, error(Outcome::InvalidArgument, text), out);
                None
            }
        }
    }
}

/// Whether a call is counted by no rate of its own.
fn has_no_rate(call: &Option<Call>) -> bool {
    matches!(
        call,
        None | Some(
            Call::Leave(_)
                | Call::CancelInvitation(_)
                | Call::ConfirmAccept(_)
                | Call::AcceptInvitation(_)
                | Call::RefuseInvitation(_)
        )
    )
}

/// A type that begins so is meant for client libraries.
pub(crate) const LIBRARY_TYPE: &str = "lib.";

/// Longest type of a text.
const TYPE_BYTES_MAX: usize = 64;

pub(crate) fn check_type(what: &str) -> Result<(), Error> {
    if what.len() <= TYPE_BYTES_MAX && what.is_ascii() {
        return Ok(());
    }
    let text = format!(
        "the type has {} bytes; it is at most {TYPE_BYTES_MAX} bytes of ASCII",
        what.len()
    );
    Err(error(Outcome::InvalidArgument, text))
}

/// Checks an application message: a body, UTF-8 where it is text, its size, and the id of a file.
pub(crate) fn check_message(message: Option<Message>) -> Result<Message, Error> {
    let message = message.unwrap_or_default();
    check_type(&message.r#type)?;
    let Some(body) = &message.body else {
        let text = "the message has neither text, raw data, a file nor an image";
        return Err(error(Outcome::InvalidMessage, text));
    };
    let (bytes, texts): (usize, [&[u8]; 2]) = match body {
        message::Body::Text(text) => (text.len(), [text, &[]]),
        message::Body::Raw(raw) => (
            raw.data.len() + raw.description.len(),
            [&raw.description, &[]],
        ),
        message::Body::File(file) => check_file(Some(file))?,
        message::Body::Image(image) => check_file(image.file.as_ref())?,
    };
    if bytes > MESSAGE_PAYLOAD_BYTES_MAX {
        let text = format!(
            "the message has {bytes} bytes; at most {MESSAGE_PAYLOAD_BYTES_MAX} are allowed"
        );
        return Err(error(Outcome::MessageTooLarge, text));
    }
    if let Some(bad) = texts
        .iter()
        .find_map(|text| std::str::from_utf8(text).err())
    {
        let text = format!(
            "the message's text is not UTF-8 from byte {} on",
            bad.valid_up_to()
        );
        return Err(error(Outcome::InvalidMessage, text));
    }
    Ok(message)
}

/// Bytes of a message, about.
pub(crate) fn message_bytes(message: &Message) -> usize {
    match &message.body {
        None => 0,
        Some(message::Body::Text(text)) => text.len(),
        Some(message::Body::Raw(raw)) => raw.data.len() + raw.description.len(),
        Some(message::Body::File(file)) => file.thumbnail.len() + file.description.len(),
        Some(message::Body::Image(image)) => image
            .file
            .as_ref()
            .map_or(0, |file| file.thumbnail.len() + file.description.len()),
    }
}

/// The bytes that count against the limit, and the texts. Whether the file is there is the receiver's business.
fn check_file(file: Option<&File>) -> Result<(usize, [&[u8]; 2]), Error> {
    let id = file.map_or("", |file| file.media_id.as_str());
    match file {
        Some(file) if (1..=MEDIA_ID_BYTES_MAX).contains(&id.len()) && id.is_ascii() => Ok((
            file.thumbnail.len() + file.file_name.len() + file.description.len(),
            [&file.file_name, &file.description],
        )),
        _ => {
            let text = format!(
                "the media id has {} bytes; it is 1 to {MEDIA_ID_BYTES_MAX} bytes of ASCII",
                id.len()
            );
            Err(error(Outcome::InvalidMessage, text))
        }
    }
}
