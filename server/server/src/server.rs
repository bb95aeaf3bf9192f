//! A running server, and the handle by which it is controlled.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tidings_api::admin::Admin;
use tidings_api::metrics::{Meters, Reading};
use tidings_hub::Apps;
use tidings_legacy::AppRules;
use tidings_store::embedded::Snapshots;
use tidings_store::{Access, Submitter};
use tidings_wire::names::AppId;

use crate::commands::{Command, Ended};
use crate::config::ServerConfig;
use crate::error::StartError;
use crate::key_sets::{KeySetReport, Reports};
use crate::mailbox::Mailbox;
use crate::mailboxes::reports_within;
use crate::readiness::{Readiness, Trouble};
use crate::report::NodeReport;
use crate::start::start;

/// How long the supervisor may take to tell hubs of their apps: it measures memory meanwhile.
const APPS_WAIT: Duration = Duration::from_secs(5);

/// A server that is ready to be started.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server; when it returns, clients are served.
    ///
    /// # Errors
    /// [`StartError`]; nothing is running then.
    pub fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        start(config)
    }
}

/// A running server. Dropped without [`RunningServer::join`], it drains in the background.
#[derive(Debug)]
pub struct RunningServer {
    pub(crate) local_addr: SocketAddr,
    pub(crate) admin_addr: Option<SocketAddr>,
    pub(crate) api_addr: Option<SocketAddr>,
    pub(crate) handle: ServerHandle,
    pub(crate) supervisor: JoinHandle<Ended>,
}

impl RunningServer {
    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of the operators' listener, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// The address of the API's own port, if it has one.
    pub fn api_addr(&self) -> Option<SocketAddr> {
        self.api_addr
    }

    /// Starts to drain: clients are disconnected with `going_away`, and nothing new is accepted.
    /// Returns at once.
    pub fn drain(&self) {
        self.handle.drain();
    }

    /// A handle for a signal handler or another thread.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Waits until the server has stopped, and returns how: its connections are closed and the store
    /// is on disk.
    /// That takes at most about 25 s after a drain, however clients behave.
    pub fn join(self) -> Ended {
        let Self {
            handle, supervisor, ..
        } = self;
        // Only other handles can drain it now; without one, nobody could.
        drop(handle);
        supervisor.join().expect("the supervisor does not panic")
    }
}

/// Controls a running server from any thread: drains it, changes its apps, and reports its state.
#[derive(Clone)]
pub struct ServerHandle {
    pub(crate) control: Sender<Command>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) store: Submitter,
    pub(crate) snapshots: Option<Snapshots>,
    pub(crate) office: Arc<Admin>,
    pub(crate) key_sets: Reports,
    pub(crate) meters: Arc<dyn Meters>,
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}

impl ServerHandle {
    /// See [`RunningServer::drain`]. Does nothing on a server that is draining or has stopped.
    pub fn drain(&self) {
        let _ = self.control.send(Command::Drain);
    }

    /// Replaces the rules for legacy logins of single apps; they apply from each user's next login
    /// on.
    pub fn replace_legacy_rules(&self, rules: BTreeMap<AppId, AppRules>) {
        let _ = self.control.send(Command::LegacyRules(rules));
    }

    /// What the store accepts at present.
    pub fn store_access(&self) -> Access {
        self.readiness.store()
    }

    /// Everything that is wrong with the server, by its own account.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.readiness.troubles()
    }

    /// All metrics. Waits for the hubs, at most a second.
    pub fn metrics(&self) -> Reading {
        self.meters.read()
    }

    /// Takes snapshots of the store; `None` = it is kept in memory.
    pub fn snapshots(&self) -> Option<Snapshots> {
        self.snapshots.clone()
    }

    /// The key sets of apps (JWKS) that the server keeps up to date.
    pub fn key_sets(&self) -> Vec<KeySetReport> {
        self.key_sets.all()
    }

    /// Whether every hub has had a turn within the time: false for a server that is stuck or has
    /// stopped.
    pub fn has_turns_within(&self, limit: Duration) -> bool {
        reports_within(&self.mailboxes, limit).len() == self.mailboxes.len()
    }

    /// Reports the server's state. Hubs that do not answer within the time are missing.
    pub fn report(&self, limit: Duration) -> NodeReport {
        let mut hubs = reports_within(&self.mailboxes, limit);
        hubs.sort_by_key(|report| report.cell.hub);
        NodeReport {
            silent_hubs: self.mailboxes.len() - hubs.len(),
            hubs,
            store: self.store.status(),
        }
    }

    /// Reloads the files of the TLS certificate. This also happens automatically, seconds after
    /// they have changed. Does nothing on a server that has none, drains or has stopped.
    ///
    /// # Errors
    /// They cannot be used: nothing changes, and the log says so too.
    pub fn reload_certificate(&self) -> Result<(), StartError> {
        let (told, is_told) = channel();
        if self.control.send(Command::Certificate(told)).is_err() {
            return Ok(());
        }
        // Nobody answers who has stopped meanwhile.
        is_told.recv().unwrap_or(Ok(()))
    }

    /// Replaces the apps: settings and bans take effect at once, certificates with the next token.
    /// The rules of bans in the store are added. When this returns, what is asked of a hub finds
    /// the new apps. Does nothing on a server that is draining or has stopped.
    pub fn replace_apps(&self, apps: Apps) {
        let (told, is_told) = channel();
        let command = Command::Apps(Arc::new(apps), told);
        if self.control.send(command).is_ok() {
            // Dropped without a word if the server ends.
            let _ = is_told.recv_timeout(APPS_WAIT);
        }
    }

    /// Has the rules of bans in the store take effect. When this returns, what is asked of a hub
    /// finds them.
    pub fn apply_bans(&self) {
        let (told, is_told) = channel();
        if self.control.send(Command::Bans(told)).is_ok() {
            let _ = is_told.recv_timeout(APPS_WAIT);
        }
    }

    /// Keys, bans and the audit log.
    pub fn office(&self) -> &Arc<Admin> {
        &self.office
    }
}
