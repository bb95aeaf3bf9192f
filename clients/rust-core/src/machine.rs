//! The client's connection machine: state, input and time in; outputs out.

use crate::asking;
use crate::connecting;
use crate::core::Core;
use crate::identity::Account;
use crate::receiving;
use crate::states::ConnectionState;
use crate::types::{Backlog, Input, Output};

/// One client: at most one login at a time, as often as one likes.
///
/// Give every input to [`Client::handle`], do what comes out in its order, and give it an
/// [`Input::Tick`] when [`Client::deadline`] has come. The getters have no effect.
pub struct Client {
    core: Core,
}

impl Client {
    /// Makes a client that is not logged in.
    ///
    /// `client_name` is the library's name and version, cut to 64 bytes. The seed decides the
    /// waits between attempts: different for each client in production, repeatable in a test.
    pub fn new(client_name: &str, seed: u64) -> Self {
        Self {
            core: Core::new(client_name, seed),
        }
    }

    /// The connection state.
    pub fn state(&self) -> ConnectionState {
        self.core.state()
    }

    /// The user that is logged in or logging in.
    pub fn user_id(&self) -> Option<&str> {
        let account = self.core.identity.account();
        account.map(|account| account.user_id.as_str())
    }

    /// App id, user id and token of a login that has succeeded and has not ended.
    pub fn credentials(&self) -> Option<(&str, &str, &str)> {
        let account = self.core.identity.account();
        let account = account.filter(|_| self.core.state().takes_calls())?;
        Some((&account.app_id, &account.user_id, &account.token))
    }

    /// The highest number of a stored message that was raised. An application that keeps it across
    /// its restarts, per app and user, and gives it to [`Client::keep_inbox_cursor`] is not shown a
    /// stored message twice (contract OFF-6).
    pub fn inbox_cursor(&self) -> u64 {
        self.core.seen.cursor()
    }

    /// Takes up the cursor that was kept for a user of an app, before that user's login.
    pub fn keep_inbox_cursor(&mut self, app_id: &str, user_id: &str, cursor: u64) {
        self.core.seen.serve(app_id, user_id);
        self.core.seen.keep_cursor(cursor);
    }

    /// Takes an input at a monotonic time in milliseconds and appends what has to be done.
    ///
    /// Time never goes back. Inputs about a connection that the machine has given up are ignored.
    /// Cost: O(log calls), plus what the input carries.
    pub fn handle(&mut self, now_ms: u64, input: Input, out: &mut Vec<Output>) {
        let core = &mut self.core;
        assert!(
            now_ms >= core.now_ms,
            "time goes back from {} ms to {now_ms} ms",
            core.now_ms
        );
        core.now_ms = now_ms;
        core.out.swap(out);
        take(core, input);
        check_timers(core);
        core.pump();
        core.flush();
        core.out.swap(out);
        if cfg!(debug_assertions) {
            self.assert_consistent();
        }
    }

    /// What must hold between inputs. The simulator and the tests run it after each.
    fn assert_consistent(&self) {
        self.core.assert_consistent();
        let (now_ms, deadline_ms) = (self.core.now_ms, self.deadline());
        assert!(
            deadline_ms.is_none_or(|at_ms| at_ms > now_ms),
            "at {now_ms} ms the machine asks for a tick at {deadline_ms:?}"
        );
    }

    /// When the machine wants a `Tick` at the latest, in the time of [`Client::handle`].
    pub fn deadline(&self) -> Option<u64> {
        let core = &self.core;
        let if_clear = |at_ms: Option<u64>| at_ms.filter(|_| core.backlog == Backlog::Clear);
        let if_live = |at_ms: Option<u64>| at_ms.filter(|_| core.link.is_live());
        [
            core.login.map(|login| login.deadline_ms),
            core.logout.as_ref().map(|logout| logout.deadline_ms),
            core.identity.deadline_ms(),
            core.link.deadline_ms(),
            core.quiet_until_ms(),
            core.calls.deadline_ms(),
            if_clear(core.link.retry_at_ms()),
            if_clear(if_live(core.confirmation.deadline_ms())),
            if_live(core.restore.deadline_ms()),
            if_live(core.replica.deadline_ms()),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

fn take(core: &mut Core, input: Input) {
    match input {
        Input::Login {
            id,
            app_id,
            user_id,
            token,
        } => {
            let account = Account {
                app_id,
                user_id,
                token,
            };
            asking::handle_login(core, id, account);
        }
        Input::Call { id, call } => asking::handle_call(core, id, call),
        Input::Logout { id } => asking::handle_logout(core, id),
        Input::RenewToken { id, token } => asking::handle_renew_token(core, id, token),
        Input::Opened { connection } => connecting::handle_opened(core, connection),
        Input::Received {
            connection,
            payload,
        } => receiving::handle_frame(core, connection, &payload),
        Input::Closed { connection, code } => connecting::handle_closed(core, connection, code),
        Input::Backlog(backlog) => core.backlog = backlog,
        Input::Rival(word) => connecting::handle_rival(core, word),
        Input::Wake => connecting::handle_wake(core),
        Input::Tick => {}
    }
}

fn check_timers(core: &mut Core) {
    connecting::check_link(core);
    // Order: a logout that waits for the link ends before the interruption becomes visible.
    asking::check_logout(core);
    connecting::check_quiet(core);
    connecting::check_login(core);
    asking::check_calls(core);
    receiving::check_members(core);
    connecting::check_retry(core);
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("state", &self.core.state())
            .field("identity", &self.core.identity)
            .field("link", &self.core.link)
            .finish_non_exhaustive()
    }
}
