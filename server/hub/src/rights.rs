//! What a login's token permits: asked at every action, and again of what is kept for later. Source: tokens 4.3.
//!
//! Nobody needs a right for what it sends itself or reads of itself: its own attributes and presence, messages that
//! others were permitted to send it (live or stored), what it has exchanged with a peer, and the answer to an
//! invitation that it was sent.

use std::sync::Arc;

use tidings_token::{Access, Permissions, Resource};
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::names::{ChannelName, UserId};
use tidings_wire::proto::MemberLeft;
use tidings_wire::proto::server_message::Kind;

use crate::Hub;
use crate::caller::Caller;
use crate::channels::Own;
use crate::credentials::Grant;
use crate::ids::{ChannelKey, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::outbox::Source;
use crate::session::Session;
use crate::sessions::error;

/// What a token lets its user do: everything (`None`), or what the list names.
pub type Restriction = Option<Arc<Permissions>>;

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

impl Kernel {
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

impl Hub {
    /// A new token is in force: its end and its rights replace those of before. What it permits no more ends at once.
    pub(crate) fn apply_grant(&mut self, key: SessionKey, grant: Grant, out: &mut dyn Sink) {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            return;
        };
        session.renew_token(grant.expires_s);
        session.token.proof = grant.proof.kept();
        if session.token.rights == grant.rights {
            return;
        }
        session.token.rights = grant.rights;
        let app = session.user.app.clone();
        let mut withdrawn = Vec::new();
        let channels = std::mem::take(&mut session.channels);
        for channel in channels {
            if session.may_in(Access::Read, &channel) {
                session.channels.push(channel);
            } else {
                withdrawn.push(channel);
            }
        }
        let watched = session.presence.watched.iter();
        let unwatched: Vec<UserKey> = watched
            .filter(|user| !session.may_with(Access::Read, &user.user))
            .cloned()
            .collect();
        for channel in withdrawn {
            let app = app.clone();
            self.withdraw_membership(key, ChannelKey { app, channel }, out);
        }
        // Frames of channels that it has left by itself may wait as well.
        if let Some(session) = self.kernel.sessions.get_mut(key)
            && let Some(list) = session.token.rights.clone()
        {
            session.outbox.withdraw_channels(|channel| {
                list.allow(Resource::MessageChannel, Access::Read, channel.as_str())
            });
        }
        for user in unwatched {
            self.presence.end_watch(key, &user, &mut self.kernel, out);
        }
    }

    /// Ends a membership whose right is gone: nothing more comes, others see the user leave, and so does its client.
    fn withdraw_membership(&mut self, key: SessionKey, channel: ChannelKey, out: &mut dyn Sink) {
        let is_here = self.kernel.sessions.get(key).is_some_and(Session::is_here);
        let known = self.channels.known.get_mut(&channel);
        let was_in = known.is_some_and(|known| known.locals.swap_remove(&key).is_some());
        if is_here {
            self.channels
                .publish_membership(&channel, key, Own::End, &mut self.kernel, out);
        }
        // A join that is still under way is answered when it comes back.
        if was_in && let Some(session) = self.kernel.sessions.get_mut(key) {
            let frame = encode_server(Kind::MemberLeft(MemberLeft {
                channel: channel.channel.to_string(),
                user_id: session.user.user.to_string(),
            }));
            session.push(frame, Source::Call, out);
        }
        self.channels.drop_channel_if_unused(&channel, out);
    }
}
