//! `tidings serve`: runs the server until a signal stops it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidings_server::{Access, Ended, Server, ServerConfig, ServerHandle, memory_used};
use tidings_store::embedded::Snapshots;

use crate::api::{Running, ServedApps};
use crate::command::ServeArguments;
use crate::control::{Control, Health, KeyAnswer, KeyRequest, Numbers, Office, Status};
use crate::failure::Failure;
use crate::key_command;
use crate::local_key::{self, LocalDoor};
use crate::settings::{AppSource, check_variables};
use crate::{first_key, log, node, otlp};

const DEV_NOTICE: &str = "\
******************************************************************
*  --dev: every app id is accepted and no token is needed.     *
*  Anyone who can reach this server can be any user.             *
*  Do not use it in production.                                  *
******************************************************************";

/// Exit code of a process that a second signal ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Runs a server until it is told to stop.
pub(crate) fn run(arguments: ServeArguments) -> Result<(), Failure> {
    // Everything created from now on is accessible to the server's user only.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    check_variables()?;
    let settings = arguments.serving.read()?;
    log::start(&settings.log_plan())?;
    let sending = settings.otlp_plan().map(|plan| otlp::start(&plan));
    let sending = sending.transpose()?;
    let apps = settings.app_source();
    let is_dev = settings.is_dev();
    let has_strangers_max = settings.has_strangers_max();
    let has_given_keys = settings.has_api_keys();
    let data_dir = settings.data_dir();
    node::warn_of_open_key(&settings);
    let mut config = settings.resolve()?;
    let served = Arc::new(ServedApps::new(apps.clone()));
    config.api.registry = served.clone();
    let (keys, local_key) = local_key::add_to(config.api.keys)?;
    config.api.keys = keys;
    let pages = Pages::of(&config);
    let listed = config.apps.listed.len();
    let has_apps = is_dev || listed > 0;
    let fixed = Status {
        program: concat!("tidings ", env!("CARGO_PKG_VERSION")).into(),
        pid: std::process::id(),
        hubs: config.hubs,
        tls: config.tls.is_some(),
        admin_listen: config.admin_listen.map(|address| address.to_string()),
        dev: is_dev,
        ..Status::default()
    };
    let files = raise_file_limit().filter(|_| !has_strangers_max);
    leave_room(&mut config, files);
    let made = MadeDirectory::before(&data_dir);
    let server = Server::start(config).map_err(|error| {
        made.undo();
        Failure::of(&error, error.hint())
    })?;
    let (clients, api) = (server.local_addr(), server.api_addr());
    let office = Arc::new(RunningOffice {
        door: LocalDoor::new(local_key, clients, api, fixed.tls),
        started: Instant::now(),
        apps,
        handle: server.handle(),
        reading: Mutex::default(),
        listed: AtomicUsize::new(listed),
        fixed: Status {
            listen: server.local_addr().to_string(),
            ..fixed
        },
    });
    served.started(Arc::new(office.clone()));
    let control = open_control(&data_dir, &office);
    watch_signals(office.clone())?;
    watch_over(office.handle.clone())?;
    say_ready();
    if is_dev {
        if log::is_for_people() {
            log::show(DEV_NOTICE);
        } else {
            tracing::warn!(
                "--dev: every app id is accepted and no token is needed; do not use it in production"
            );
        }
    }
    if !has_given_keys {
        first_key::show(&office.handle.office().keys);
    }
    warn_of_absences(has_apps, &pages);
    // A program that waits for this line reads a pipe; if it has closed the pipe, that is no reason
    // to stop.
    let address = pages.address(server.local_addr());
    let _ = writeln!(std::io::stdout(), "tidings is ready: {address}");
    let ended = server.join();
    drop(control);
    if let Some(sending) = sending {
        sending.end();
    }
    log::finish();
    if ended == Ended::Over {
        return Err(node::start_anew());
    }
    Ok(())
}

/// Warns about missing things that the operator would want.
fn warn_of_absences(has_apps: bool, pages: &Pages) {
    if !has_apps {
        tracing::warn!(
            "there is no app yet, so nobody can log in; create one with `tidings app create`"
        );
    }
    if !pages.missing.is_empty() {
        tracing::warn!(
            missing = pages.missing.join(" "),
            "this program was built without its pages and JavaScript packages; `cargo xtask web` in the project builds \
             them, then build the program again"
        );
    }
}

/// A server runs even without a control socket.
fn open_control(data_dir: &Path, office: &Arc<RunningOffice>) -> Option<Control> {
    match Control::open(data_dir, office.clone()) {
        Ok(control) => Some(control),
        Err(error) => {
            tracing::error!(
                %error,
                "there is no control socket: commands cannot reach this server; SIGHUP makes it reload"
            );
            None
        }
    }
}

/// Notifies systemd that the server is ready, if systemd waits for that.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told how the server is");
    }
}

fn say_ready() {
    tell_systemd(&[NotifyState::Ready]);
}

/// Notifies systemd that the server is alive, as often as it asks for. This is checked first: a hub
/// that is stuck does not answer, and then nothing is sent.
fn watch_over(handle: ServerHandle) -> Result<(), Failure> {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return Ok(());
    };
    let started = std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || {
            loop {
                if handle.has_turns_within(interval / 2) {
                    tell_systemd(&[NotifyState::Watchdog]);
                }
                std::thread::sleep(interval / 4);
            }
        });
    started.map(drop).map_err(|error| {
        Failure::new(
            format!("cannot watch over the hubs: {error}"),
            "check the system's limits on threads",
        )
    })
}

/// How long a hub may take to report. A turn takes milliseconds, and the command that asks is
/// waiting.
const REPORT_WAIT: Duration = Duration::from_secs(2);

/// Answers the requests of commands.
struct RunningOffice {
    started: Instant,
    apps: AppSource,
    handle: ServerHandle,
    /// Held from reading the apps until the hubs have them, so that what was read later also
    /// arrives later.
    reading: Mutex<()>,
    /// Number of listed apps.
    listed: AtomicUsize,
    /// The facts that do not change.
    fixed: Status,
    /// Where the API is for commands.
    door: LocalDoor,
}

impl Office for Arc<RunningOffice> {
    fn status(&self) -> Status {
        let (store, store_reason) = match self.handle.store_access() {
            Access::Full => ("everything", None),
            Access::NoSpace {
                free_bytes,
                reserve_bytes,
            } => (
                "deletions",
                Some(format!(
                    "the disk has {free_bytes} bytes free, {reserve_bytes} are kept in reserve"
                )),
            ),
            Access::ReadOnly { reason } => ("nothing", Some(reason)),
        };
        Status {
            uptime_s: self.started.elapsed().as_secs(),
            apps: self.listed.load(Ordering::Relaxed),
            store: store.into(),
            store_reason,
            memory_bytes: memory_used(),
            key_sets: self.handle.key_sets().into_iter().map(Into::into).collect(),
            numbers: Some(Numbers::from(&self.handle.report(REPORT_WAIT))),
            ..self.fixed.clone()
        }
    }

    fn health(&self) -> Health {
        Health::of(&self.handle.troubles(), &self.handle.metrics())
    }

    /// Apps or a TLS certificate that cannot be read leave the old ones in force.
    fn reload(&self) -> Result<usize, Failure> {
        let since = NotifyState::monotonic_usec_now().ok();
        let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(since).collect();
        tell_systemd(&states);
        let read = self.read_apps();
        log::reopen();
        let certificate = self.handle.reload_certificate();
        say_ready();
        match &read {
            Ok(apps) => tracing::info!(apps, "the apps were reloaded"),
            Err(failure) => tracing::error!(
                error = failure.what(),
                hint = failure.hint(),
                "the apps stay as they were"
            ),
        }
        let apps = read?;
        certificate.map_err(|error| {
            let what = format!("the TLS certificate stays as it was: {error}");
            Failure::new(what, error.hint())
        })?;
        Ok(apps)
    }

    fn keys(&self, request: &KeyRequest) -> Result<KeyAnswer, Failure> {
        let office = self.handle.office();
        key_command::carry_out(&office.keys, &office.audit, request)
    }

    fn door(&self) -> LocalDoor {
        self.door.clone()
    }

    fn snapshots(&self) -> Option<Snapshots> {
        self.handle.snapshots()
    }
}

impl Running for Arc<RunningOffice> {
    fn take_in(&self) -> Result<(), Failure> {
        self.read_apps().map(drop)
    }

    fn apply_bans(&self) {
        self.handle.apply_bans();
    }

    fn drain(&self) {
        tracing::info!("stopping: a call of the API has asked for it");
        tell_systemd(&[NotifyState::Stopping]);
        self.handle.drain();
    }

    fn status(&self) -> serde_json::Value {
        serde_json::to_value(Office::status(self)).unwrap_or_default()
    }
}

impl RunningOffice {
    fn read_apps(&self) -> Result<usize, Failure> {
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let apps = self.apps.read()?;
        let legacy_rules = self.apps.read_legacy_rules()?;
        let listed = apps.listed.len();
        self.handle.replace_legacy_rules(legacy_rules);
        self.handle.replace_apps(apps);
        self.listed.store(listed, Ordering::Relaxed);
        Ok(listed)
    }
}

/// What a browser finds at this server.
struct Pages {
    is_tls: bool,
    has_demo: bool,
    /// Pages that this server should show, but the program was built without.
    missing: Vec<&'static str>,
}

impl Pages {
    fn of(config: &ServerConfig) -> Self {
        let mut missing = tidings_server::unbuilt();
        missing.retain(|path| match *path {
            "/console" => config.console,
            "/demo" => config.demo,
            "/docs" => config.guide,
            _ => true,
        });
        Self {
            is_tls: config.tls.is_some(),
            has_demo: config.demo && !missing.contains(&"/demo"),
            missing,
        }
    }

    /// The URL at which a browser on this machine finds the demonstration, or else the server.
    fn address(&self, address: SocketAddr) -> String {
        let page = if self.has_demo { "demo" } else { "" };
        format!("{}/{page}", local_key::url_of(address, self.is_tls))
    }
}

/// A data directory that a start creates, and removes if the start fails.
struct MadeDirectory {
    path: PathBuf,
    /// The missing directories, the innermost first.
    missing: Vec<PathBuf>,
}

impl MadeDirectory {
    fn before(path: &Path) -> Self {
        let missing = path
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .map(Path::to_owned)
            .collect();
        Self {
            path: path.to_owned(),
            missing,
        }
    }

    /// Removes what was created; a directory that existed before is not touched.
    fn undo(&self) {
        if self.missing.is_empty() {
            return;
        }
        // Nobody but this start has written there.
        let _ = std::fs::remove_dir_all(&self.path);
        for path in &self.missing {
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Every connection is an open file, and the default limit of many systems is low.
fn raise_file_limit() -> Option<u64> {
    match rlimit::increase_nofile_limit(rlimit::INFINITY) {
        Ok(files) => {
            tracing::debug!(files, "the limit on open files");
            Some(files)
        }
        Err(error) => {
            tracing::warn!(%error, "the limit on open files could not be raised");
            None
        }
    }
}

/// Bounds the strangers by the number of open files, if the settings do not.
fn leave_room(config: &mut ServerConfig, files: Option<u64>) {
    if let Some(files) = files {
        let strangers = &mut config.limits.preauth_connections_max;
        *strangers = strangers_max(files).min(*strangers);
    }
}

/// How many connections may be open before login, for this many open files: a tenth (contract 4.1),
/// so that strangers leave room for users.
fn strangers_max(files: u64) -> usize {
    usize::try_from(files / 10).unwrap_or(usize::MAX).max(100)
}

/// SIGTERM and SIGINT stop the server, SIGHUP makes it reload what can change.
fn watch_signals(office: Arc<RunningOffice>) -> Result<(), Failure> {
    let fault = |error: std::io::Error| {
        Failure::new(
            format!("cannot watch for signals: {error}"),
            "check the system's limits on threads and open files",
        )
    };
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(fault)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut is_ending = false;
            for signal in signals.forever() {
                if signal == SIGHUP {
                    // The log already has the details.
                    let _ = office.reload();
                } else if is_ending {
                    tracing::warn!("stopped immediately by a second signal");
                    log::finish();
                    std::process::exit(EXIT_INTERRUPTED);
                } else {
                    is_ending = true;
                    tracing::info!(signal, "stopping; a second signal stops immediately");
                    tell_systemd(&[NotifyState::Stopping]);
                    office.handle.drain();
                }
            }
        })
        .map_err(fault)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_room_for_users() {
        assert_eq!(strangers_max(50_000), 5_000);
        assert_eq!(strangers_max(256), 100);
    }

    #[test]
    fn the_page_is_one_that_a_browser_can_open() {
        let page_of = |address: &str, is_tls| {
            let pages = Pages {
                is_tls,
                has_demo: true,
                missing: Vec::new(),
            };
            pages.address(address.parse().expect("an address"))
        };
        assert_eq!(
            page_of("127.0.0.1:7400", false),
            "http://127.0.0.1:7400/demo"
        );
        assert_eq!(page_of("0.0.0.0:80", false), "http://127.0.0.1:80/demo");
        assert_eq!(page_of("[::]:443", true), "https://[::1]:443/demo");
    }

    #[test]
    fn a_start_that_fails_leaves_nothing_behind_and_touches_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("a/b");
        let made = MadeDirectory::before(&data_dir);
        std::fs::create_dir_all(data_dir.join("db")).expect("made");
        made.undo();
        assert!(!folder.path().join("a").exists() && folder.path().exists());
        std::fs::create_dir_all(&data_dir).expect("made");
        MadeDirectory::before(&data_dir).undo();
        assert!(data_dir.exists());
    }
}
