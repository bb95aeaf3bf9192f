//! Who the client is to the server: user, token, and the session with its secret.

use bytes::Bytes;
use tidings_wire::limits::{
    CALL_TIMEOUT_MS, CLIENT_NAME_BYTES_MAX, LOGIN_SPACING_MS, TOKEN_BYTES_MAX,
};
use tidings_wire::proto::{self, Login, Resume, client_message};

use crate::event::GapCause;
use crate::types::CallId;

/// Who logs in.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) app_id: String,
    pub(crate) user_id: String,
    /// The token that the server has accepted last, or is being asked to accept. Never printed.
    pub(crate) token: String,
}

/// Bytes that no log shows.
#[derive(Clone, PartialEq, Eq)]
struct Secret(Bytes);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A session, as the server has granted it.
#[derive(Debug)]
struct Session {
    id: Bytes,
    /// The newest that was received; each resume replaces it.
    secret: Secret,
    /// How long the server keeps a session without a link, in milliseconds.
    resume_window_ms: u64,
    /// How long a user counts as present after the last packet, in milliseconds.
    presence_grace_ms: u64,
}

/// A token given while the link was down: the next attempt states it.
#[derive(Debug, Clone, Copy)]
struct Handed {
    /// The call that waits for the server's judgement, with its deadline in monotonic milliseconds;
    /// none once the time is up.
    waiting: Option<(CallId, u64)>,
}

/// Who the client is to the server.
pub(crate) struct Identity {
    /// Name and version of the library, told at login. Bound: 64 bytes.
    client_name: String,
    /// Set from a login's start to its logout or failure.
    account: Option<Account>,
    handed: Option<Handed>,
    /// The application has been told that the token expired; reset by a new token.
    has_told_expiry: bool,
    session: Option<Session>,
    /// Why the last session was lost; set until the next begins.
    over_cause: Option<GapCause>,
    /// When the last login was called, in monotonic milliseconds.
    last_login_ms: Option<u64>,
}

impl Identity {
    /// Nobody. A name longer than 64 bytes is cut between two characters.
    pub(crate) fn new(client_name: &str) -> Self {
        let mut end = client_name.len().min(CLIENT_NAME_BYTES_MAX);
        while !client_name.is_char_boundary(end) {
            end -= 1;
        }
        assert!(end <= client_name.len(), "a name is cut behind its end");
        Self {
            client_name: client_name[..end].to_owned(),
            account: None,
            handed: None,
            has_told_expiry: false,
            session: None,
            over_cause: None,
            last_login_ms: None,
        }
    }

    // ------------------------------------------------------------ the login

    pub(crate) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The user that is logged in or logging in; empty if there is none.
    pub(crate) fn user_id(&self) -> &str {
        self.account.as_ref().map_or("", |account| &account.user_id)
    }

    /// Counts a call of login. If it comes too soon after the last one that did not, returns how
    /// long ago that was, in milliseconds.
    pub(crate) fn space_logins(&mut self, now_ms: u64) -> Result<(), u64> {
        let last_ms = self.last_login_ms.unwrap_or(0);
        assert!(
            last_ms <= now_ms,
            "the last login was called at {last_ms} ms, after {now_ms} ms"
        );
        let since_ms = self.last_login_ms.map(|last_ms| now_ms - last_ms);
        if let Some(since_ms) = since_ms.filter(|since_ms| *since_ms < LOGIN_SPACING_MS) {
            return Err(since_ms);
        }
        self.last_login_ms = Some(now_ms);
        Ok(())
    }

    /// A login of the application begins.
    pub(crate) fn begin_login(&mut self, account: Account) {
        assert!(self.session.is_none(), "a login begins within a session");
        assert!(!account.app_id.is_empty(), "a login names no app");
        assert!(!account.user_id.is_empty(), "a login names no user");
        self.account = Some(account);
    }

    /// The login has ended; the user is kept while an aborted client waits for its logout.
    pub(crate) fn end_login(&mut self, is_aborted: bool) {
        self.session = None;
        self.over_cause = None;
        self.has_told_expiry = false;
        self.handed = None;
        if !is_aborted {
            self.account = None;
        }
    }

    // ------------------------------------------------------------ the session

    pub(crate) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// What a connection begins with: resumes the session if there is one, otherwise logs in.
    ///
    /// `confirm` is the highest server sequence processed. A resume states the token only if the
    /// application has given a new one.
    pub(crate) fn greeting(
        &self,
        confirm: u64,
        invitations: Vec<proto::OpenInvitation>,
    ) -> client_message::Kind {
        let account = self
            .account
            .as_ref()
            .expect("a connection belongs to a login");
        let (app_id, user_id) = (account.app_id.clone(), account.user_id.clone());
        let Some(session) = &self.session else {
            return client_message::Kind::Login(Login {
                app_id,
                user_id,
                token: account.token.clone(),
                client: self.client_name.clone(),
                invitations,
            });
        };
        let token = if self.handed.is_some() {
            account.token.clone()
        } else {
            String::new()
        };
        client_message::Kind::Resume(Resume {
            app_id,
            user_id,
            session_id: session.id.clone(),
            secret: session.secret.0.clone(),
            confirm,
            token,
        })
    }

    /// The server has made a session. Returns why the one before was lost, if there was one.
    pub(crate) fn welcomed(&mut self, welcome: proto::Welcome) -> Option<GapCause> {
        assert!(self.session.is_none(), "a session begins within a session");
        self.session = Some(Session {
            id: welcome.session_id,
            secret: Secret(welcome.secret),
            resume_window_ms: u64::from(welcome.resume_window_ms),
            presence_grace_ms: u64::from(welcome.presence_grace_ms),
        });
        self.over_cause.take()
    }

    /// The session goes on, with a new secret.
    pub(crate) fn resumed(&mut self, secret: Bytes) {
        let session = self.session.as_mut();
        session
            .expect("the caller has asked for the session")
            .secret = Secret(secret);
    }

    /// The session is lost. Returns its id.
    pub(crate) fn end_session(&mut self, cause: GapCause) -> Option<Bytes> {
        let session = self.session.take()?;
        assert!(self.over_cause.is_none(), "a lost session was not told");
        self.over_cause = Some(cause);
        Some(session.id)
    }

    /// How long the server keeps the session without a link, in milliseconds.
    pub(crate) fn resume_window_ms(&self) -> Option<u64> {
        self.session
            .as_ref()
            .map(|session| session.resume_window_ms)
    }

    /// How long a user counts as present after the last packet, in milliseconds.
    pub(crate) fn presence_grace_ms(&self) -> u64 {
        let session = self.session.as_ref();
        session.map_or(0, |session| session.presence_grace_ms)
    }

    // ------------------------------------------------------------ the token

    /// Takes a token for the next attempt. Returns the call that waits with an earlier one, which
    /// nobody will try.
    pub(crate) fn hand(&mut self, now_ms: u64, id: CallId, token: String) -> Option<CallId> {
        self.set_token(token);
        let waiting = Some((id, now_ms + CALL_TIMEOUT_MS));
        let earlier = self.handed.replace(Handed { waiting });
        earlier.and_then(|handed| handed.waiting).map(|(id, _)| id)
    }

    /// The server has accepted a token, or will be asked about it.
    pub(crate) fn set_token(&mut self, token: String) {
        let account = self.account.as_mut();
        account.expect("whoever has a token has logged in").token = token;
    }

    /// The server has judged the token of an attempt. Returns the call that waits for that.
    pub(crate) fn judged(&mut self) -> Option<CallId> {
        let handed = self.handed.take()?;
        handed.waiting.map(|(id, _)| id)
    }

    /// Lets go the call that has waited too long. Its token stays for the next attempt.
    pub(crate) fn expire_handed(&mut self, now_ms: u64) -> Option<CallId> {
        let handed = self.handed.as_mut()?;
        let (id, _) = handed.waiting.filter(|(_, at_ms)| *at_ms <= now_ms)?;
        handed.waiting = None;
        assert!(
            self.account.is_some(),
            "call {id} waits with a token for nobody"
        );
        Some(id)
    }

    /// When the call that waits with a token has waited too long, in monotonic milliseconds.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.handed?.waiting.map(|(_, at_ms)| at_ms)
    }

    /// The token has expired. True the first time, when the application has to be told.
    pub(crate) fn tell_expiry(&mut self) -> bool {
        !std::mem::replace(&mut self.has_told_expiry, true)
    }

    /// The server has accepted the token.
    pub(crate) fn accepted(&mut self) {
        self.has_told_expiry = false;
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        assert!(
            self.last_login_ms.is_none_or(|last_ms| last_ms <= now_ms),
            "the last login was called in the future, at {:?}",
            self.last_login_ms
        );
        assert!(
            self.deadline_ms().is_none_or(|at_ms| at_ms > now_ms),
            "a call waits too long with a token: {:?}",
            self.handed
        );
        let account = self.account.as_ref();
        let token_bytes = account.map_or(0, |account| account.token.len());
        assert!(
            token_bytes <= TOKEN_BYTES_MAX,
            "the token has {token_bytes} bytes"
        );
        assert!(
            self.client_name.len() <= CLIENT_NAME_BYTES_MAX,
            "the library's name has {} bytes",
            self.client_name.len()
        );
        assert!(
            self.account.is_some() || self.session.is_none(),
            "a session belongs to nobody"
        );
        assert!(
            self.account.is_some() || self.handed.is_none(),
            "a token was given for nobody"
        );
        assert!(
            self.session.is_none() || self.over_cause.is_none(),
            "a session exists, and the loss of the one before has not been told"
        );
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("user_id", &self.user_id())
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
