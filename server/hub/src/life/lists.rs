//! What a hub has, for somebody outside who looks: sessions, users, channels.

use slotmap::Key as _;
use tidings_wire::names::{AppId, ChannelName};

use crate::channels::state::Channels;
use crate::hub::Hub;
use crate::ids::{SessionKey, UserKey};
use crate::kernel::session::Session;
use crate::outside::{ChannelEntry, OUTSIDE_PAGE_MAX, OutsideAnswer, SessionEntry, UserEntry};

/// A session's place among the places of a hub, which it keeps as long as it lives.
fn place(key: SessionKey) -> u64 {
    key.data().as_ffi() & u64::from(u32::MAX)
}

impl Hub {
    /// A page of the sessions of an app, in the order of their places: a session that lives while
    /// pages are read is on one of them, and on one only. Cost: a look at each place up to the last
    /// one listed.
    pub(crate) fn list_sessions(&self, app: &AppId, after: u64, limit: usize) -> OutsideAnswer {
        debug_assert!(
            limit <= usize::from(OUTSIDE_PAGE_MAX),
            "a page above its bound"
        );
        let all = self.kernel.sessions.iter();
        let mut of_app = all
            .skip_while(|(key, _)| place(*key) <= after)
            .filter(|(_, session)| session.user.app == *app);
        let page: Vec<_> = of_app.by_ref().take(limit).collect();
        let has_more = of_app.next().is_some();
        debug_assert!(page.len() <= limit, "more sessions than were asked for");
        debug_assert!(
            page.is_sorted_by(|(a, _), (b, _)| place(*a) < place(*b)),
            "the next page would leave sessions out, or list them again"
        );
        // A page of nothing says whether there is more.
        let last = page.last().map_or(after, |(key, _)| place(*key));
        OutsideAnswer::Sessions {
            next: has_more.then_some(last),
            sessions: (page.into_iter())
                .map(|(_, session)| self.session_entry(session))
                .collect(),
        }
    }

    /// The sessions of one user: one, or those of a service.
    pub(crate) fn list_session(&self, user: &UserKey) -> OutsideAnswer {
        OutsideAnswer::Sessions {
            sessions: self.entries_of(user),
            next: None,
        }
    }

    fn entries_of(&self, user: &UserKey) -> Vec<SessionEntry> {
        let keys = self.kernel.sessions_of(user).into_iter();
        let sessions = keys.filter_map(|key| self.kernel.sessions.get(key));
        sessions
            .map(|session| self.session_entry(session))
            .collect()
    }

    pub(crate) fn user_entry(&self, user: &UserKey) -> Option<Box<UserEntry>> {
        let keys = self.kernel.sessions_of(user);
        let (state, _) = self.kernel.presence_of(*keys.first()?)?;
        let mut channels: Vec<ChannelName> = Vec::new();
        for session in keys.iter().filter_map(|key| self.kernel.sessions.get(*key)) {
            debug_assert!(session.user == *user, "a user has somebody else's session");
            for channel in &session.channels {
                // One session is in no channel twice.
                if keys.len() == 1 || !channels.contains(channel) {
                    channels.push(channel.clone());
                }
            }
        }
        Some(Box::new(UserEntry {
            state,
            channels,
            sessions: self.entries_of(user),
        }))
    }

    fn session_entry(&self, session: &Session) -> SessionEntry {
        let now = self.kernel.now;
        // By the clock by which logins are stamped.
        let shared_ms = self.kernel.shared_ms();
        let ago =
            |now_ms: u64, then_ms: u64| now.unix_ms.saturating_sub(now_ms.saturating_sub(then_ms));
        SessionEntry {
            user: session.user.clone(),
            session: session.id,
            traits: session.traits,
            client: self.kernel.clients.name(session.link.client).to_owned(),
            connection: session.connection,
            address: None,
            state: session.presence.state,
            since_ms: ago(shared_ms, session.presence.stamp.mono_ms),
            heard_ms: ago(now.mono_ms, session.link.heard_ms),
            channels: u32::try_from(session.channels.len()).unwrap_or(u32::MAX),
            queue_frames: session.outbox.frames_kept() as u64,
            queue_bytes: session.outbox.bytes_kept() as u64,
            token_ends_s: session.token.expires_s,
        }
    }
}

impl Channels {
    /// The first channels of an app behind a name, among those that begin so. Cost: a look at each
    /// channel here; what is listed is kept in order, not everything.
    pub(crate) fn list_for_outside(
        &self,
        app: &AppId,
        prefix: &str,
        after: Option<&ChannelName>,
        limit: usize,
    ) -> OutsideAnswer {
        let mut first = std::collections::BTreeMap::new();
        for (key, channel) in &self.known {
            let name = &key.channel;
            let is_meant = key.app == *app
                && name.as_str().starts_with(prefix)
                && after.is_none_or(|after| name > after)
                && channel.members.len() > 0;
            let is_first = |(last, _): (&ChannelName, _)| first.len() <= limit || name < last;
            if !is_meant || !first.last_key_value().is_none_or(is_first) {
                continue;
            }
            first.insert(name.clone(), channel.members.len());
            if first.len() > limit + 1 {
                first.pop_last();
            }
        }
        debug_assert!(
            first.len() <= limit + 1,
            "more channels than were asked for"
        );
        let has_more = first.len() > limit;
        let channels = first.into_iter().take(limit);
        OutsideAnswer::Channels {
            channels: channels
                .map(|(channel, members)| ChannelEntry {
                    channel,
                    members: u32::try_from(members).unwrap_or(u32::MAX),
                })
                .collect(),
            has_more,
        }
    }
}
