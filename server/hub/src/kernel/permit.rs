//! What a login's token permits: asked at every action, and again of what is kept for later.
//! Source: tokens 4.3.
//!
//! Nobody needs a right for what it sends itself or reads of itself: its own attributes and
//! presence, messages that others were permitted to send it (live or stored), what it has exchanged
//! with a peer, and the answer to an invitation that it was sent.

use std::sync::Arc;

use tidings_fault::fault;
use tidings_token::{Access, Permissions, Resource};
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::names::{ChannelName, UserId};
use tidings_wire::proto::MemberLeft;
use tidings_wire::proto::server_message::Kind;

use crate::ids::{ChannelKey, SessionKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::outbox::Source;
use crate::kernel::reply::error;
use crate::kernel::session::Session;

impl Kernel {
    /// The channel of a call that needs it joined, or an answer. Whoever calls from outside need
    /// not have joined it.
    pub(crate) fn joined_channel(
        &mut self,
        caller: Caller,
        channel: &str,
        out: &mut dyn Sink,
    ) -> Option<ChannelKey> {
        let Some(key) = caller.session() else {
            return self.parse_channel(caller, channel, out);
        };
        let session = self.sessions.get(key)?;
        let joined = ChannelName::parse_by(session.traits.names, channel)
            .ok()
            .filter(|channel| session.channels.contains(channel) || fault!(SenderNeedNotBeMember));
        match joined {
            Some(channel) => Some(ChannelKey {
                app: session.user.app.clone(),
                channel,
            }),
            None => {
                let text = format!("channel {channel:?} is not joined");
                self.reply_error(caller, error(Outcome::NotInChannel, text), out);
                None
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
        match ChannelName::parse_by(self.traits_of_caller(caller).names, channel) {
            Ok(channel) => {
                let app = self.user_of(caller)?.app.clone();
                Some(ChannelKey { app, channel })
            }
            Err(name) => {
                let text = format!("channel {channel:?}: {name}");
                self.reply_error(caller, error(Outcome::InvalidArgument, text), out);
                None
            }
        }
    }

    /// Whether the session may do so in the channel; if not, answers the request.
    pub(crate) fn permit_in(
        &mut self,
        caller: Caller,
        access: Access,
        channel: &ChannelName,
        out: &mut dyn Sink,
    ) -> bool {
        let may = match caller.session() {
            Some(key) => (self.sessions.get(key)).is_some_and(|it| it.may_in(access, channel)),
            // The door has looked at what whoever stands outside may do.
            None => true,
        };
        if !may {
            self.refuse_access(caller, (access, "channel", channel.as_str()), out);
        }
        may
    }

    /// Whether the session may do so with the user; if not, answers the request.
    pub(crate) fn permit_with(
        &mut self,
        caller: Caller,
        access: Access,
        user: &UserId,
        out: &mut dyn Sink,
    ) -> bool {
        let may = match caller.session() {
            Some(key) => (self.sessions.get(key)).is_some_and(|it| it.may_with(access, user)),
            None => true,
        };
        if !may {
            self.refuse_access(caller, (access, "user", user.as_str()), out);
        }
        may
    }

    /// Tells a session's client that it is no member any more, though it has not left.
    pub(crate) fn tell_removed(
        &mut self,
        key: SessionKey,
        channel: &ChannelKey,
        out: &mut dyn Sink,
    ) {
        if let Some(session) = self.sessions.get_mut(key) {
            let frame = encode_server(Kind::MemberLeft(MemberLeft {
                channel: channel.channel.to_string(),
                user_id: session.user.user.to_string(),
            }));
            session.push(frame, Source::Call, out);
        }
    }

    fn refuse_access(
        &mut self,
        caller: Caller,
        (access, what, name): (Access, &str, &str),
        out: &mut dyn Sink,
    ) {
        let verb = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        let text = format!("the token does not permit to {verb} {what} {name}");
        self.reply_error(caller, error(Outcome::NotPermitted, text), out);
    }
}

impl Session {
    /// Whether its token lets it read, or write, in a channel.
    pub(crate) fn may_in(&self, access: Access, channel: &ChannelName) -> bool {
        let allow = |list: &Arc<Permissions>| {
            list.allow(Resource::MessageChannel, access, channel.as_str())
        };
        self.token.rights.as_ref().is_none_or(allow)
    }

    /// Whether its token lets it read of, or write to, a user. To itself anybody may.
    pub(crate) fn may_with(&self, access: Access, user: &UserId) -> bool {
        let allow = |list: &Arc<Permissions>| list.allow(Resource::User, access, user.as_str());
        self.token.rights.as_ref().is_none_or(allow) || *user == self.user.user
    }
}
