//! The apps are others now: what becomes of those who are logged in.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidings_wire::names::AppId;

use crate::config::Apps;
use crate::grant::Proof;
use crate::hub::Hub;
use crate::ids::{ChannelKey, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::session::End;

impl Hub {
    /// The apps are others now: sessions get their new numbers, or end. Cost: O(sessions), but
    /// O(rules) where nothing but rules of bans has changed.
    pub(crate) fn handle_apps(&mut self, apps: Arc<Apps>, out: &mut dyn Sink) {
        let before = std::mem::replace(&mut self.kernel.config.apps, apps);
        self.kernel.has_message_quotas = self.kernel.config.apps.has_message_quotas();
        self.kernel.has_bans = self.kernel.config.apps.has_bans();
        match self.kernel.config.apps.only_rules_since(&before) {
            Some(ruled) => self.apply_rules(&ruled, out),
            None => self.apply_apps(out),
        }
    }

    fn apply_apps(&mut self, out: &mut dyn Sink) {
        let now_ms = self.kernel.clock.wall.unix_ms();
        let apps = &self.kernel.config.apps;
        let has_taken_back = |user: &UserKey, proof: &Proof| {
            let listed = apps.listed.get(&user.app);
            listed.is_some_and(|app| app.has_taken_back(&user.user, proof))
        };
        let verdict = |user: &UserKey, proof: &Proof| match () {
            () if !apps.has(&user.app) => Some(End::AppDisabled),
            () if apps.is_banned(user, now_ms) => Some(End::Banned),
            // Its client asks for a new token, as at the end of one.
            () if has_taken_back(user, proof) => Some(End::TokenExpired),
            () => None,
        };
        let mut ends = Vec::new();
        let mut wants_other_events = false;
        for (key, session) in &mut self.kernel.sessions {
            let before = session.settings.events;
            // Who was made a service is one at once; who is none any more, with its next login.
            session.traits.is_service |= apps.is_service(&session.user);
            session.settings = apps.settings(&session.user.app).of(session.traits);
            wants_other_events |= before != session.settings.events;
            let end = verdict(&session.user, &session.proof());
            ends.extend(end.map(|end| (key, end)));
        }
        for (user, entry) in &mut self.kernel.users {
            if let Some(login) = &mut entry.claim {
                login.settings = apps.settings(&user.app).of(login.traits);
            }
        }
        let mut claims: Vec<_> = self
            .kernel
            .users
            .iter()
            .filter_map(|(user, entry)| {
                let login = entry.claim.as_ref()?;
                Some((login.connection, verdict(user, &login.grant.proof)?))
            })
            .collect();
        // The map's order must not show.
        claims.sort_by_key(|(connection, _)| *connection);
        for (connection, end) in claims {
            self.drop_connection(connection, Some(end.code()), out);
        }
        for (key, end) in ends {
            self.end_session(key, end, out);
        }
        if self.kernel.has_bans {
            let all: Vec<SessionKey> = self.kernel.sessions.keys().collect();
            for (key, channel) in self.kernel.barred_memberships(all.into_iter()) {
                self.withdraw_membership(key, channel, out);
            }
        }
        self.kernel.note_event_settings(wants_other_events);
        let all: Vec<SessionKey> = self.kernel.sessions.keys().collect();
        for key in all {
            self.kernel.set_session_timer(key);
        }
        if cfg!(debug_assertions) {
            let apps = &self.kernel.config.apps;
            assert!(
                self.kernel.users.keys().all(|user| apps.has(&user.app)),
                "a user of an app that is no longer served stays"
            );
            apps.listed.keys().for_each(|app| self.assert_ruled(app));
        }
    }

    /// Asserts that the rules of an app have taken effect: nobody looks at who is in later.
    fn assert_ruled(&self, app: &AppId) {
        let now_ms = self.kernel.clock.wall.unix_ms();
        let apps = &self.kernel.config.apps;
        let users = self.kernel.users.iter();
        let users = users.filter(|(user, _)| user.app == *app);
        let bans = apps.listed.get(app).map(|app| &app.bans);
        let is_banned = |of: &UserKey| bans.is_some_and(|it| it.bars_login(&of.user, now_ms));
        assert!(
            users.clone().all(|(user, _)| !is_banned(user)),
            "a user whose login a rule bars stays"
        );
        let sessions = users.flat_map(|(user, _)| self.kernel.sessions_of(user));
        assert!(
            self.kernel.barred_memberships(sessions).is_empty(),
            "a member whom a rule bars stays"
        );
    }

    /// Only rules of these apps have changed: looks at whom they name.
    fn apply_rules(&mut self, ruled: &[AppId], out: &mut dyn Sink) {
        let now_ms = self.kernel.clock.wall.unix_ms();
        let apps = Arc::clone(&self.kernel.config.apps);
        let mut looked_at: BTreeSet<SessionKey> = BTreeSet::new();
        for id in ruled {
            let Some(app) = apps.listed.get(id) else {
                debug_assert!(false, "rules of an app that is not listed");
                continue;
            };
            for user in app.bans.users() {
                let user = UserKey {
                    app: id.clone(),
                    user: user.clone(),
                };
                let Some(entry) = self.kernel.users.get(&user) else {
                    // It is not here.
                    continue;
                };
                let claiming = entry.claim.as_ref().map(|claim| claim.connection);
                let sessions = self.kernel.sessions_of(&user);
                if !apps.is_banned(&user, now_ms) {
                    looked_at.extend(sessions);
                    continue;
                }
                if let Some(connection) = claiming {
                    self.drop_connection(connection, Some(End::Banned.code()), out);
                }
                for session in sessions {
                    self.end_session(session, End::Banned, out);
                }
            }
            for channel in app.bans.channels() {
                let (app, channel) = (id.clone(), channel.clone());
                looked_at.extend(self.channels.members_here(&ChannelKey { app, channel }));
            }
        }
        for (key, channel) in self.kernel.barred_memberships(looked_at.into_iter()) {
            self.withdraw_membership(key, channel, out);
        }
        if cfg!(debug_assertions) {
            ruled.iter().for_each(|app| self.assert_ruled(app));
        }
    }
}
