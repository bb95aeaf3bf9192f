//! What rules of an app bar: asked of sessions at every join and message, but only where there is
//! any rule. Whoever calls from outside is the app's backend, and is not barred.

use tidings_wire::codes::Outcome;
use tidings_wire::names::ChannelName;

use crate::bans::Barred;
use crate::ids::{ChannelKey, SessionKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::reply::error;
use crate::kernel::session::Session;

impl Kernel {
    /// Whether a join is barred; if so, answers the request.
    pub(crate) fn bars_join(
        &mut self,
        caller: Caller,
        channel: &ChannelName,
        out: &mut dyn Sink,
    ) -> bool {
        let is_barred = self.has_bans && self.barred(caller, Some(channel)).join;
        if is_barred {
            self.refuse_barred(caller, ("join", Some(channel)), out);
        }
        is_barred
    }

    /// Whether a message is barred, to a channel or, without one, to a user; if so, answers the
    /// request.
    pub(crate) fn bars_send(
        &mut self,
        caller: Caller,
        channel: Option<&ChannelName>,
        out: &mut dyn Sink,
    ) -> bool {
        let is_barred = self.has_bans && self.barred(caller, channel).send;
        if is_barred {
            self.refuse_barred(caller, ("send", channel), out);
        }
        is_barred
    }

    /// What the caller's session may not do there.
    fn barred(&self, caller: Caller, channel: Option<&ChannelName>) -> Barred {
        let session = caller.session().and_then(|key| self.sessions.get(key));
        session.map_or(Barred::default(), |it| self.barred_of(it, channel))
    }

    fn barred_of(&self, session: &Session, channel: Option<&ChannelName>) -> Barred {
        let Some(app) = self.config.apps.listed.get(&session.user.app) else {
            // Only listed apps have rules.
            return Barred::default();
        };
        debug_assert!(self.has_bans, "rules are looked at where there are none");
        let now_ms = self.clock.wall.unix_ms();
        app.bans.barred(&session.user.user, channel, now_ms)
    }

    /// Memberships of these sessions that rules have taken away. Cost: O(memberships of apps with
    /// rules).
    pub(crate) fn barred_memberships(
        &self,
        sessions: impl Iterator<Item = SessionKey>,
    ) -> Vec<(SessionKey, ChannelKey)> {
        let listed = &self.config.apps.listed;
        let has_bans = |session: &Session| {
            let app = listed.get(&session.user.app);
            app.is_some_and(|app| !app.bans.is_empty())
        };
        let mut found = Vec::new();
        for key in sessions {
            let Some(session) = self.sessions.get(key).filter(|it| has_bans(it)) else {
                // It has ended, or sends from outside, or its app has no rules.
                continue;
            };
            for channel in &session.channels {
                if self.barred_of(session, Some(channel)).join {
                    let (app, channel) = (session.user.app.clone(), channel.clone());
                    found.push((key, ChannelKey { app, channel }));
                }
            }
        }
        found
    }

    fn refuse_barred(
        &mut self,
        caller: Caller,
        (what, channel): (&str, Option<&ChannelName>),
        out: &mut dyn Sink,
    ) {
        let place = channel.map_or_else(String::new, |channel| match what {
            "join" => format!(" channel {channel}"),
            _ => format!(" to channel {channel}"),
        });
        let user = self.user_of(caller).map(|user| user.user.to_string());
        let user = user.unwrap_or_default();
        let text = format!("a rule of the app bars user {user}: it may not {what}{place} for now");
        self.reply_error(caller, error(Outcome::NotPermitted, text), out);
    }
}
