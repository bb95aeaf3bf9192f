//! The old hub of a session that moves: gives it, and keeps a copy for a while.

use bytes::Bytes;
use tidings_wire::codes::CloseCode;

use crate::Hub;
use crate::bus_ops::{Answer, Asker, NotGiven};
use crate::ids::{ChannelKey, HubId, SessionId, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::session::Session;
use crate::kernel::timers::Timer;
use crate::life::moves::{COPIES_BYTES_MAX, Departing, Given};
use crate::life::resume::same_secret;
use crate::store_ops::events::EventKind;

/// How long a copy of what was given is kept for repeats of the question, in milliseconds. Source:
/// cluster 6.
const COPY_MS: u64 = 120_000;

impl Hub {
    /// The session of this user, if its client is the one that states the secret.
    fn session_to_give(
        &self,
        user: &UserKey,
        session: SessionId,
        secret: &[u8],
    ) -> Result<SessionKey, NotGiven> {
        let fits = |known: &[[u8; 32]]| {
            // All are compared in full: time tells nothing.
            known
                .iter()
                .fold(false, |fits, known| fits | same_secret(secret, known))
        };
        let key = self.kernel.find_session(user, |it| it.id == session);
        let Some(found) = key.and_then(|key| self.kernel.sessions.get(key)) else {
            let given = self.logins.moves.given.get(&session);
            return Err(match given.filter(|given| fits(&given.secrets)) {
                Some(_) => NotGiven::Elsewhere,
                None => NotGiven::Unknown,
            });
        };
        let secrets: Vec<[u8; 32]> = found.secrets().collect();
        if !fits(&secrets) {
            return Err(NotGiven::Unknown);
        }
        if !found.can_resume() || self.kernel.replicas_of(user).is_some() {
            return Err(NotGiven::Stays);
        }
        key.ok_or(NotGiven::Unknown)
    }

    /// Another node's hub asks for the topics of a session whose client has come there.
    pub(crate) fn answer_topics(
        &mut self,
        user: &UserKey,
        (session, secret): (SessionId, &[u8]),
        asker: Asker,
        out: &mut dyn Sink,
    ) {
        let answer = match self.session_to_give(user, session, secret) {
            Err(why) => Answer::NotGiven(why),
            Ok(key) => {
                // Its client is elsewhere by now.
                self.kernel.detach(key, Some(CloseCode::Superseded), out);
                match self.kernel.sessions.get(key) {
                    Some(session) => Answer::Topics {
                        channels: session.channels.clone(),
                        is_here: session.is_here(),
                    },
                    None => Answer::NotGiven(NotGiven::Unknown),
                }
            }
        };
        self.kernel.answer(asker, answer, out);
    }

    /// Another node's hub asks for a session.
    pub(crate) fn handle_give(
        &mut self,
        user: &UserKey,
        (session, secret): (SessionId, &[u8]),
        taker: HubId,
        asker: Asker,
        out: &mut dyn Sink,
    ) {
        match self.session_to_give(user, session, secret) {
            Ok(key) => {
                self.kernel.detach(key, Some(CloseCode::Superseded), out);
                self.logins.moves.departing.retain(|one| one.key != key);
                self.logins
                    .moves
                    .departing
                    .push(Departing { key, asker, taker });
            }
            Err(why) => {
                let given = self.logins.moves.given.get(&session);
                let copy = given.filter(|given| given.taker == taker && why == NotGiven::Elsewhere);
                let answer = match copy {
                    Some(given) => Answer::Given(given.record.clone()),
                    None => Answer::NotGiven(why),
                };
                self.kernel.answer(asker, answer, out);
            }
        }
    }

    /// Whether nothing is under way for a session that would come back to this hub.
    pub(crate) fn is_quiet(&self, key: SessionKey, session: &Session) -> bool {
        let app = &session.user.app;
        let is_publishing = session.channels.iter().any(|channel| {
            let of = ChannelKey {
                app: app.clone(),
                channel: channel.clone(),
            };
            let known = self.channels.known.get(&of);
            known.is_some_and(|known| known.published.iter().any(|own| own.session == key))
        });
        let mut deliveries = session.peers.deliveries.iter();
        session.requests.open == 0
            && !is_publishing
            && session.invitations.reported.is_empty()
            && session.peers.inbox.confirmed_early.is_empty()
            && deliveries.all(|delivery| delivery.is_answered || !delivery.is_storing)
    }

    /// Writes the session out, forgets it and gives it to the hub that has asked.
    pub(crate) fn give_away(&mut self, one: Departing, out: &mut dyn Sink) {
        let Departing { key, asker, taker } = one;
        let Some(session) = self.kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let (id, user, was_here) = (session.id, session.user.clone(), session.is_here());
        let secrets: Vec<[u8; 32]> = session.secrets().collect();
        let channels: Vec<ChannelKey> = (session.channels.iter())
            .map(|channel| ChannelKey {
                app: user.app.clone(),
                channel: channel.clone(),
            })
            .collect();
        let record = Bytes::from(self.moved_record(key));
        self.kernel.remember_rates(key, out);
        if was_here {
            for channel in &channels {
                let kind = EventKind::Leave;
                self.kernel.tell_membership(key, channel, kind, out);
            }
            self.kernel.tell_logout(key, None, out);
        }
        self.presence.end_watches(key, &mut self.kernel, out);
        let sent = self.invitations.open_ids(key, &self.kernel);
        self.invitations
            .release_invitations(&user, &sent, key, &mut self.kernel);
        for channel in &channels {
            let due_ms =
                self.channels
                    .depart(channel, (key, id), (&user, was_here), &self.kernel, out);
            if let Some(due_ms) = due_ms {
                self.kernel.timers.set(due_ms, Timer::Departed);
            }
        }
        if self.kernel.traces.has_waits() {
            self.kernel.trace_session_over(key, "moved");
        }
        let session = self.kernel.sessions.get_mut(key);
        let peers = session.map(|session| std::mem::take(&mut session.peers));
        self.kernel.remove_session(key);
        self.kernel.remove_user_session(&user, key);
        let entry = self.kernel.users.get(&user);
        if entry.is_some_and(|entry| entry.session.is_none() && entry.claim.is_none()) {
            // It stays subscribed to the topic, for whoever comes too late.
            self.kernel.users.remove(&user);
        }
        self.keep_copy(id, (user, taker, secrets), record.clone());
        self.kernel.answer(asker, Answer::Given(record), out);
        // Order: those who ask again meet the session at its new hub, or on its way there.
        let peers = peers.unwrap_or_default();
        for delivery in peers.deliveries {
            if !delivery.is_answered {
                self.peers
                    .answer_delivery(delivery.from, Answer::Moved, &mut self.kernel, out);
            }
        }
        for waiting in peers.inbox.behind {
            self.peers
                .answer_delivery(waiting.from, Answer::Moved, &mut self.kernel, out);
        }
    }

    fn keep_copy(
        &mut self,
        id: SessionId,
        (user, taker, secrets): (UserKey, HubId, Vec<[u8; 32]>),
        record: Bytes,
    ) {
        *self.kernel.moves.given.entry(user.clone()).or_default() += 1;
        let due_ms = self.kernel.now.mono_ms + COPY_MS;
        let timer = Timer::Given(Box::new(user.clone()), id);
        self.kernel.timers.set(due_ms, timer);
        self.logins.moves.given_bytes += record.len();
        let given = Given {
            user,
            taker,
            secrets,
            record,
            given_ms: self.kernel.now.mono_ms,
        };
        if let Some(before) = self.logins.moves.given.insert(id, given) {
            self.logins.moves.given_bytes -= before.record.len();
        }
        while self.logins.moves.given_bytes > COPIES_BYTES_MAX
            && let Some((_, dropped)) = self.logins.moves.given.pop_first()
        {
            self.logins.moves.given_bytes -= dropped.record.len();
        }
    }

    /// Nobody asks for a copy any more.
    pub(crate) fn drop_copy(&mut self, user: &UserKey, id: SessionId, out: &mut dyn Sink) {
        debug_assert!(
            !self.logins.moves.given.contains_key(&id)
                || self.kernel.find_session(user, |it| it.id == id).is_none()
                || self.kernel.is_in_cluster(),
            "a copy on a node that is alone"
        );
        let counted = self.kernel.moves.given.get_mut(user);
        let Some(count) = counted else {
            debug_assert!(false, "a copy that was not counted");
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.kernel.moves.given.remove(user);
            if let Some(given) = self.logins.moves.given.remove(&id) {
                self.logins.moves.given_bytes -= given.record.len();
            }
            self.leave_user_topic(user, out);
        }
    }
}
