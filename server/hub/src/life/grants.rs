//! A new token takes effect.

use tidings_token::{Access, Resource};
use tidings_wire::names::ChannelName;

use crate::channels::state::Own;
use crate::grant::Grant;
use crate::hub::Hub;
use crate::ids::{ChannelKey, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::session::Session;

impl Hub {
    /// A new token is in force: its end and its rights replace the previous ones. What it no longer
    /// permits ends at once.
    pub(crate) fn apply_grant(&mut self, key: SessionKey, grant: Grant, out: &mut dyn Sink) {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let was_warned = session.renew_token(grant.expires_s);
        let counts = self.kernel.tally.at(session.rates.counted);
        counts.near_expiry -= u64::from(was_warned);
        session.token.proof = grant.proof.kept();
        if session.token.rights == grant.rights {
            return;
        }
        session.token.rights = grant.rights;
        let app = session.user.app.clone();
        let channels = session.channels.iter();
        let withdrawn: Vec<ChannelName> = channels
            .filter(|channel| !session.may_in(Access::Read, channel))
            .cloned()
            .collect();
        let watched = session.presence.watched.iter();
        let unwatched: Vec<UserKey> = watched
            .filter(|user| !session.may_with(Access::Read, &user.user))
            .cloned()
            .collect();
        for channel in withdrawn {
            let app = app.clone();
            self.withdraw_membership(key, ChannelKey { app, channel }, out);
        }
        // Frames of channels that it has left of its own accord may wait as well.
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

    /// Ends a membership whose right is gone: nothing more comes, others see the user leave, and so
    /// does its client.
    pub(crate) fn withdraw_membership(
        &mut self,
        key: SessionKey,
        channel: ChannelKey,
        out: &mut dyn Sink,
    ) {
        if let Some(session) = self.kernel.sessions.get_mut(key) {
            (session.channels).retain(|joined| *joined != channel.channel);
        }
        let is_here = self.kernel.sessions.get(key).is_some_and(Session::is_here);
        let known = self.channels.known.get_mut(&channel);
        let was_in = known.is_some_and(|known| known.locals.swap_remove(&key).is_some());
        if is_here {
            self.channels
                .publish_membership(&channel, key, Own::End, &mut self.kernel, out);
        }
        // A join that is still under way is answered when it comes back, and its end is told then.
        if was_in {
            self.kernel.tell_removed(key, &channel, out);
        }
        self.channels.drop_channel_if_unused(&channel, out);
    }
}
