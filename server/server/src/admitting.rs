//! Admission: which logins and resumes the node takes, and how they ended.

use std::hash::BuildHasher as _;
use std::sync::{MutexGuard, PoisonError};

use tidings_hub::Input;
use tidings_hub::admission::{Admission, spread};
use tidings_hub::credentials;
use tidings_hub::ids::ConnectionId;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::{decode_server, encode_server, payload};
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{ClientFrame, Error, Login, Refused, client_message, server_message};

use crate::connection::{Fresh, Stage};
use crate::spans;
use crate::worker::Worker;

impl Worker {
    /// Checks the first message of a frame, the only one that can be a login: does the node take it
    /// now?
    ///
    /// # Errors
    /// If there are too many, or its page or address may not log in to its app.
    pub(crate) fn admit_frame(&mut self, slot: usize, frame: &ClientFrame) -> Result<(), Error> {
        let Some(connection) = self.connections.get(slot) else {
            return Ok(());
        };
        if !matches!(connection.stage, Stage::Fresh(_)) {
            return Ok(());
        }
        let first = frame.messages.first();
        match first.and_then(|message| message.kind.as_ref()) {
            Some(client_message::Kind::Login(login)) => {
                connection.claim(&login.app_id, &login.user_id);
                self.check_page(slot, &login.app_id)?;
                self.check_address(slot, &login.app_id, &login.user_id)?;
                self.admit_login(slot, login).map_err(come_again)
            }
            Some(client_message::Kind::Resume(resume)) => {
                // It is charged when its session has been found.
                connection.claim(&resume.app_id, &resume.user_id);
                if let Some(fresh) = self.fresh(slot) {
                    fresh.resumes = fresh.resumes.saturating_add(1);
                }
                self.check_address(slot, &resume.app_id, &resume.user_id)
            }
            _ => Ok(()),
        }
    }

    /// Whether the page that has opened the connection may log in to the app.
    ///
    /// # Errors
    /// If it may not: to such a page the app does not exist.
    pub(crate) fn check_page(&mut self, slot: usize, app: &str) -> Result<(), Error> {
        let (node, apps) = (self.node.clone(), self.cell.apps().clone());
        let app = AppId::parse(app).ok();
        let listed = app.and_then(|app| apps.listed.get(&app));
        let extra = self
            .connections
            .get(slot)
            .and_then(|it| it.extra.as_deref());
        let page = extra.and_then(|extra| extra.page.as_deref());
        node.origins.admit(listed, page).map_err(|text| Error {
            outcome: Outcome::UnknownApp as u32,
            text,
            retry_after_ms: 0,
        })
    }

    /// Takes one of the node's logins. When none is left, only a client with a valid token gets a
    /// retry time: others are refused by the hub, and displace nobody.
    fn admit_login(&mut self, slot: usize, login: &Login) -> Result<(), u64> {
        let Login {
            app_id,
            user_id,
            token,
            ..
        } = login;
        let names = self.hashes(app_id, user_id);
        if self.take_if_room(slot, names) {
            return Ok(());
        }
        let named = (app_id.as_str(), user_id.as_str(), token.as_str());
        match credentials::check(self.cell.apps(), self.now.unix_s(), named) {
            Ok(_) => self.take_or_wait(slot, names),
            Err(_) => Ok(()),
        }
    }

    /// Names of an app and of its user, for counting logins.
    fn hashes(&self, app_id: &str, user_id: &str) -> (u64, u64) {
        let names = &self.node.names;
        (names.hash_one(app_id), names.hash_one((app_id, user_id)))
    }

    /// Takes one of the node's logins for a user whose credentials are valid.
    ///
    /// # Errors
    /// If none is left: the time after which the client should retry, in milliseconds.
    pub(crate) fn take_login(
        &mut self,
        slot: usize,
        app_id: &str,
        user_id: &str,
    ) -> Result<(), u64> {
        let names = self.hashes(app_id, user_id);
        self.take_or_wait(slot, names)
    }

    fn take_if_room(&mut self, slot: usize, (app, who): (u64, u64)) -> bool {
        let now_ms = self.now.mono_ms;
        let is_taken = self.admission().take_if_room(now_ms, app, who);
        self.note_charge(slot, is_taken);
        is_taken
    }

    fn take_or_wait(&mut self, slot: usize, (app, who): (u64, u64)) -> Result<(), u64> {
        let taken = self.admission().take_login(self.now.mono_ms, app, who);
        self.note_charge(slot, taken.is_ok());
        taken.map_err(|wait_ms| spread(wait_ms, getrandom::u64().unwrap_or(wait_ms)))
    }

    fn note_charge(&mut self, slot: usize, is_taken: bool) {
        if let Some(fresh) = self.fresh(slot).filter(|_| is_taken) {
            fresh.is_charged = true;
        }
    }

    fn admission(&self) -> MutexGuard<'_, Admission> {
        let admission = self.node.admission.lock();
        admission.unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&mut self, slot: usize) -> Option<&mut Fresh> {
        match &mut self.connections.get(slot)?.stage {
            Stage::Fresh(fresh) => Some(fresh),
            _ => None,
        }
    }

    /// Refuses a login before anything is done for it.
    pub(crate) fn refuse_login(&mut self, slot: usize, id: ConnectionId, error: Error) {
        let code = if error.outcome == Outcome::Overloaded as u32 {
            CloseCode::Overloaded
        } else {
            CloseCode::LoginRefused
        };
        self.note_refused(slot, &error);
        let refused = server_message::Kind::Refused(Refused { error: Some(error) });
        self.queue(slot, &encode_server(refused));
        tidings_cell::end(self, id, code);
        self.give(Input::Closed { connection: id });
    }

    /// Looks at the hub's frame for a client without a session, for the counts.
    pub(crate) fn note_news(&mut self, slot: usize, frame: &[u8]) {
        let Ok(frame) = decode_server(payload(frame)) else {
            return;
        };
        for kind in frame
            .messages
            .into_iter()
            .filter_map(|message| message.kind)
        {
            match kind {
                Kind::Welcome(_) => return self.begin_session(slot, Entry::Login),
                Kind::Resumed(_) => return self.begin_session(slot, Entry::Resume),
                Kind::Refused(Refused { error: Some(error) }) => self.note_refused(slot, &error),
                _ => {}
            }
        }
    }

    /// A session is served on the connection from now on.
    pub(crate) fn begin_session(&mut self, slot: usize, entry: Entry) {
        if entry == Entry::Resume {
            self.admission().take_resume(self.now.mono_ms);
            if self.fresh(slot).is_some_and(|fresh| fresh.is_charged) {
                self.admission().give_back();
            }
        }
        let apps = self.cell.apps().clone();
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if let Some(stranger) = connection.stranger() {
            stranger.note_login();
        }
        let session = self.cell.hub().session_of(connection.id);
        self.security.entry(connection, entry, session);
        let outcome = match entry {
            Entry::Login => "welcome",
            Entry::Resume => "resumed",
        };
        spans::login(connection, self.id.hub, Ok(outcome));
        let claimed = connection.extra().claimed.take();
        connection.begin_serving();
        connection.flags.is_service = self.cell.hub().is_service(connection.id);
        if let Some(app) = claimed.and_then(|claimed| AppId::parse(&claimed.app).ok()) {
            let has_rates = || apps.settings(&app).rate_limits;
            let lane = self.connections.lanes.join(&app, has_rates);
            if let Some(connection) = self.connections.get(slot) {
                connection.lane = lane;
            }
        }
    }

    /// A login or resume was refused.
    pub(crate) fn note_refused(&mut self, slot: usize, error: &Error) {
        let now_ms = self.now.mono_ms;
        let apps = self.cell.apps().clone();
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        self.security.refusal(connection, error, &apps);
        spans::login(connection, self.id.hub, Err(spans::reason(error)));
        if is_failure(error)
            && let Some(stranger) = connection.stranger()
        {
            stranger.note_failure(now_ms);
        }
        let Some(fresh) = self.fresh(slot) else {
            return;
        };
        let is_made_up = [Outcome::UnknownSession, Outcome::SecretWrong];
        if is_made_up
            .iter()
            .all(|outcome| *outcome as u32 != error.outcome)
        {
            // A client that was told to retry, or to bring a new token, did not invent its session.
            fresh.resumes = 0;
        }
        if std::mem::take(&mut fresh.is_charged) {
            self.admission().give_back();
        }
    }

    /// A connection without a session ends: resumes of unknown sessions without a login after them
    /// count as half a failure each.
    pub(crate) fn end_fresh(&mut self, slot: usize) {
        let now_ms = self.now.mono_ms;
        let Some(fresh) = self.fresh(slot) else {
            return;
        };
        let failures = std::mem::take(&mut fresh.resumes).div_ceil(2);
        if std::mem::take(&mut fresh.is_charged) {
            self.admission().give_back();
        }
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if let Some(stranger) = connection.stranger() {
            (0..failures).for_each(|_| stranger.note_failure(now_ms));
        }
    }
}

/// How a connection came to serve a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Login,
    Resume,
}

/// This login is one too many.
fn come_again(wait_ms: u64) -> Error {
    Error {
        outcome: Outcome::Overloaded as u32,
        text: format!("too many log in at once; try again in {wait_ms} ms"),
        retry_after_ms: u32::try_from(wait_ms).unwrap_or(u32::MAX),
    }
}

/// Whether the credentials were wrong. Ended sessions and expired tokens are not guesses: many
/// honest clients of one source have them at once, after a restart or a night.
fn is_failure(error: &Error) -> bool {
    let wrong = [
        Outcome::UnknownApp,
        Outcome::InvalidToken,
        Outcome::SecretWrong,
    ];
    wrong.iter().any(|outcome| *outcome as u32 == error.outcome)
}
