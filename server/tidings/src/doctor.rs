//! `tidings doctor`: checks what a server needs, and says how to fix what is wrong.

mod cluster;
mod running;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{Access, Mode, OFlags, access};
use rustix::io::Errno;
use serde_json::json;
use tidings_client::Client;
use tidings_server::{
    DiskReserve, ServerConfig, StoreConfig, TlsFiles, load_key_set, memory_max_default,
};
use tidings_store::embedded::Space;

use crate::command::DoctorArguments;
use crate::failure::Failure;
use crate::log::check_filter;
use crate::output;
use crate::ownership;
use crate::settings::check_variables;
use crate::words::counted;

/// With fewer open files than this, a server is only good for trying things out.
const FILES_FEW: u64 = 10_000;

/// If a write and its sync take longer than this, in milliseconds, the disk makes stored messages
/// slow.
const SYNC_SLOW_MS: u128 = 50;

/// A certificate that expires within this many days gets a warning.
const CERTIFICATE_DAYS_FEW: i64 = 14;

/// A clock before this time is wrong: 1 January 2026, in seconds since 1970.
const EARLIEST_UNIX_S: u64 = 1_767_225_600;

/// Longest wait for the server's answer.
const WAIT: Duration = Duration::from_secs(5);

/// A well-formed app id, for testing the WebSocket when no app is given.
const NOBODYS_APP: &str = "00000000000000000000000000000000";

/// The findings so far.
#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    /// Printed at once, or all together at the end.
    is_json: bool,
    faults: usize,
    /// The first error in writing the output itself.
    unwritten: Option<Failure>,
}

#[derive(serde::Serialize)]
struct Finding {
    verdict: &'static str,
    what: String,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Findings {
    fn good(&mut self, what: &str, found: &str) {
        self.note("ok", what, found, None);
    }

    fn doubtful(&mut self, what: &str, found: &str, hint: &str) {
        self.note("warn", what, found, Some(hint));
    }

    fn bad(&mut self, what: &str, found: &str, hint: &str) {
        self.faults += 1;
        self.note("fail", what, found, Some(hint));
    }

    fn skipped(&mut self, what: &str, found: &str) {
        self.note("skip", what, found, None);
    }

    fn note(&mut self, verdict: &'static str, what: &str, found: &str, hint: Option<&str>) {
        let mut text = format!("{verdict:<5} {what}: {found}\n");
        if let Some(hint) = hint {
            text += &format!("      hint: {hint}\n");
        }
        self.all.push(Finding {
            verdict,
            what: what.into(),
            found: found.into(),
            hint: hint.map(str::to_owned),
        });
        if !self.is_json {
            self.say(&text);
        }
    }

    fn say(&mut self, text: &str) {
        if let Err(failure) = output::write(text) {
            self.unwritten.get_or_insert(failure);
        }
    }

    /// Prints the conclusion next to the findings: elsewhere a summary would lose its context.
    fn conclude(mut self) -> Result<(), Failure> {
        let summary = match self.faults {
            0 => "everything is as it should be",
            1 => "one check failed: follow the hint above",
            _ => "checks failed: follow the hints above, from top to bottom",
        };
        let text = if self.is_json {
            let report = json!({ "findings": self.all, "failed": self.faults });
            format!("{report}\n")
        } else if self.faults > 1 {
            format!("{} {summary}\n", self.faults)
        } else {
            format!("{summary}\n")
        };
        self.say(&text);
        match (self.unwritten, self.faults) {
            (Some(failure), _) => Err(failure),
            (None, 0) => Ok(()),
            (None, _) => Err(Failure::told()),
        }
    }
}

/// Checks everything; fails when something is broken.
pub(crate) fn run(arguments: DoctorArguments) -> Result<(), Failure> {
    let mut findings = Findings {
        is_json: arguments.json,
        ..Findings::default()
    };
    let settings = check_variables().and_then(|()| arguments.serving.read());
    if arguments.running {
        match settings {
            Ok(settings) => running::look(&mut findings, &settings.data_dir()),
            Err(failure) => findings.bad("settings", failure.what(), failure.hint()),
        }
        return findings.conclude();
    }
    let settings = settings.and_then(|settings| {
        check_filter(&settings.log_plan().filter)?;
        let is_dev = settings.is_dev();
        let key_file = settings.cluster_key_path().map(Path::to_owned);
        Ok((is_dev, key_file, settings.resolve()?))
    });
    match settings {
        Ok((is_dev, key_file, config)) => {
            look_at_apps(&mut findings, &config, is_dev);
            cluster::look(&mut findings, &config, key_file.as_deref());
            look_at_key_sets(&mut findings, &config);
            let login = Login {
                app_id: first_app(&config),
                user: arguments.user,
                token: arguments.token,
            };
            look(&mut findings, &config, arguments.endpoint, &login);
        }
        // Without settings there is nothing more to check.
        Err(failure) => findings.bad("settings", failure.what(), failure.hint()),
    }
    findings.conclude()
}

fn first_app(config: &ServerConfig) -> String {
    let mut ids = config.apps.listed.keys();
    ids.next()
        .map_or(NOBODYS_APP.to_owned(), |id| id.as_str().to_owned())
}

fn look_at_apps(findings: &mut Findings, config: &ServerConfig, is_dev: bool) {
    let apps = &config.apps.listed;
    let open = apps.values().filter(|app| !app.needs_token());
    match (apps.len(), open.count()) {
        (_, _) if is_dev => findings.doubtful(
            "apps",
            "--dev: every app id is accepted and no token is needed",
            "use it on your own machine only",
        ),
        (0, _) => findings.bad(
            "apps",
            "there are none, so nobody can log in",
            "create one with `tidings app create`, or give yours with --app-file",
        ),
        (count, 0) => findings.good("apps", &counted(count, "app is listed", "apps are listed")),
        (count, open) => findings.doubtful(
            "apps",
            &format!(
                "{}, {open} without a certificate: anyone who knows the id can be any user",
                counted(count, "app is listed", "apps are listed")
            ),
            "give it one with `tidings app rotate ID`",
        ),
    }
}

/// Loads the key sets of apps, as the server does.
fn look_at_key_sets(findings: &mut Findings, config: &ServerConfig) {
    for (id, app) in &config.apps.listed {
        let Some(source) = app.jwt.as_ref().and_then(|jwt| jwt.source()) else {
            continue;
        };
        let what = format!("key set of app {id}");
        match load_key_set(source) {
            Ok(set) if set.unused.is_empty() => {
                findings.good(&what, &counted(set.keys.len(), "key", "keys"));
            }
            Ok(set) => findings.good(
                &what,
                &format!(
                    "{}; not used: {}",
                    counted(set.keys.len(), "key", "keys"),
                    set.unused.join("; ")
                ),
            ),
            Err(error) => findings.bad(
                &what,
                &error,
                "correct jwt.jwks_url or jwt.jwks_file with `tidings app set`, or mend the place",
            ),
        }
    }
}

fn look(findings: &mut Findings, config: &ServerConfig, endpoint: Option<String>, login: &Login) {
    look_at_files(findings);
    look_at_memory(findings, config);
    look_at_clock(findings);
    look_at_data_dir(findings, config);
    if let Some(files) = &config.tls {
        look_at_tls(findings, files);
    }
    let is_up = look_at_port(findings, config);
    // Naming an endpoint implies that there is a server, perhaps on another machine.
    let is_named = endpoint.is_some();
    let endpoint = endpoint.unwrap_or_else(|| endpoint_of(config));
    if is_up || is_named {
        look_at_websocket(findings, &endpoint, login)
    } else {
        findings.skipped(
            "WebSocket and login",
            "start the server, then run this again",
        )
    }
}

fn look_at_files(findings: &mut Findings) {
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, most)) if most < FILES_FEW => findings.doubtful(
            "open files",
            &format!("at most {most}, one for each connection"),
            "raise the hard limit: LimitNOFILE=1048576 in the systemd unit, or /etc/security/limits.conf",
        ),
        Ok((_, most)) => findings.good("open files", &format!("at most {most}")),
        Err(error) => findings.doubtful("open files", &error.to_string(), "check `ulimit -Hn`"),
    }
}

fn look_at_memory(findings: &mut Findings, config: &ServerConfig) {
    let (given, there) = (config.memory_max, memory_max_default());
    match (given.or(there), there) {
        (Some(given), Some(there)) if given > there => findings.doubtful(
            "memory",
            &format!("--memory-max is {given}; three quarters of what there is are {there}"),
            "lower --memory-max, or the kernel may kill the server when memory runs out",
        ),
        (Some(max), _) => findings.good("memory", &format!("at most {} MiB are used", max >> 20)),
        (None, _) => findings.doubtful(
            "memory",
            "the system does not report how much memory it has",
            "give --memory-max; it only works where the system reports how much is used",
        ),
    }
}

fn look_at_clock(findings: &mut Findings) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    if now < EARLIEST_UNIX_S {
        findings.bad(
            "clock",
            &format!("it shows {now} s since 1970, which is in the past"),
            "set the clock, or tokens will be refused. A time service keeps it right: `timedatectl set-ntp true`",
        );
    } else {
        findings.good("clock", &format!("{now} s since 1970"));
    }
}

fn look_at_data_dir(findings: &mut Findings, config: &ServerConfig) {
    let StoreConfig::Directory(path) = &config.store else {
        return;
    };
    let what = format!("data directory {}", path.display());
    look_at_writing(findings, path, &what);
    look_at_space(findings, path, config.disk_reserve);
}

fn look_at_writing(findings: &mut Findings, path: &Path, what: &str) {
    if !path.exists() {
        return look_at_missing(findings, path, what);
    }
    look_at_owners(findings, path, what);
    match probe(path) {
        Ok(took) if took.as_millis() > SYNC_SLOW_MS => findings.doubtful(
            what,
            &format!("a write and its sync took {} ms", took.as_millis()),
            "a local disk is faster than a network share; senders of offline messages wait for the sync",
        ),
        Ok(took) => findings.good(
            what,
            &format!("a write and its sync took {:.1} ms", took.as_secs_f64() * 1e3),
        ),
        Err(error) => findings.bad(
            what,
            &error.to_string(),
            "give the service's user the right to write there, or name another with --data-dir; \
             run this command as that user",
        ),
    }
}

/// A directory that the server would create.
fn look_at_missing(findings: &mut Findings, path: &Path, what: &str) {
    let mut above = path.ancestors().skip(1).map(|path| {
        if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        }
    });
    let above = above.find(|path| path.exists()).unwrap_or(Path::new("/"));
    match access(above, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if above.is_dir() => {
            findings.good(what, "does not exist yet; the server will create it")
        }
        _ => findings.bad(
            what,
            &format!(
                "does not exist, and this user cannot create it in {}",
                above.display()
            ),
            "create it and give it to the service's user: install -d -m 0700 -o USER DIRECTORY",
        ),
    }
}

/// The service cannot read files whose owner is not the directory's.
fn look_at_owners(findings: &mut Findings, path: &Path, what: &str) {
    let strange = ownership::strangers(path);
    if let Some((file, owner)) = strange {
        findings.bad(
            what,
            &format!(
                "{} belongs to user {}, the directory to {owner}",
                file.0.display(),
                file.1
            ),
            &format!(
                "give everything to the service's user: chown -R {owner}: {}",
                path.display()
            ),
        );
    }
}

/// Compares the free space of the store's disk with the reserve.
fn look_at_space(findings: &mut Findings, path: &Path, reserve: DiskReserve) {
    let Ok(space) = Space::of(path) else {
        // The missing directory has already been reported.
        return;
    };
    let free = space.free_bytes;
    let kept = reserve.bytes(space.total_bytes);
    let found = format!(
        "{} MiB free, {} MiB kept in reserve",
        free >> 20,
        kept >> 20
    );
    if free < kept {
        findings.bad(
            "disk space",
            &found,
            "offline messages, attributes and files are refused: free some space, or give a smaller --disk-reserve",
        );
    } else if free < kept.saturating_mul(2) {
        findings.doubtful(
            "disk space",
            &found,
            "free some space before the reserve is reached",
        );
    } else {
        findings.good("disk space", &found);
    }
}

/// Writes a file as the store does. It has no name, so that nothing is left behind whatever
/// happens; where the file system does not support that, it is removed afterwards.
fn probe(path: &Path) -> std::io::Result<Duration> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => time_write(&mut File::from(file)),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
            let named = path.join(format!(".doctor-{}", std::process::id()));
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).open(&named)?;
            let took = time_write(&mut file);
            fs::remove_file(&named)?;
            took
        }
        Err(error) => Err(error.into()),
    }
}

fn time_write(file: &mut File) -> std::io::Result<Duration> {
    let began = Instant::now();
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    Ok(began.elapsed())
}

fn look_at_tls(findings: &mut Findings, files: &TlsFiles) {
    match files.check() {
        Err(error) => findings.bad("TLS files", Failure::of(&error, "").what(), &error.hint()),
        Ok(ends_unix_s) => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
            let days = (ends_unix_s - now).div_euclid(86_400);
            let found = format!(
                "the certificate is good for {}",
                counted(usize::try_from(days).unwrap_or(0), "more day", "more days")
            );
            if days < 0 {
                findings.bad(
                    "TLS files",
                    &format!(
                        "the certificate ended {} ago",
                        counted(usize::try_from(-days).unwrap_or(0), "day", "days")
                    ),
                    "renew it; clients refuse the connection",
                );
            } else if days < CERTIFICATE_DAYS_FEW {
                findings.doubtful(
                    "TLS files",
                    &found,
                    "renew it; the server notices by itself",
                );
            } else {
                findings.good("TLS files", &found);
            }
        }
    }
}

/// Whether a Tidings server listens there.
fn look_at_port(findings: &mut Findings, config: &ServerConfig) -> bool {
    let what = format!("port {}", config.listen);
    match TcpListener::bind(config.listen) {
        Ok(_) => {
            findings.good(&what, "free; no server is running");
            false
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            look_at_server(findings, config, &what)
        }
        Err(error) => {
            let hint = match error.kind() {
                ErrorKind::PermissionDenied => {
                    "ports below 1024 need a right: AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, \
                     or take a port above"
                }
                _ => "listen on an address that this machine has; 0.0.0.0 is all of them",
            };
            findings.bad(&what, &error.to_string(), hint);
            false
        }
    }
}

fn look_at_server(findings: &mut Findings, config: &ServerConfig, what: &str) -> bool {
    if config.tls.is_some() {
        findings.good(what, "in use, by a server with TLS it seems");
        return true;
    }
    match get(here(config.listen), "/readyz") {
        Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
            findings.good(what, "a server is running and ready");
            true
        }
        Ok(answer) => {
            let line = answer.lines().next().unwrap_or_default();
            findings.bad(
                what,
                &format!("in use, but not by a server that is ready: {line:?}"),
                "if it is Tidings, wait or look into its log; if not, stop the other program or choose another port",
            );
            false
        }
        Err(error) => {
            findings.bad(
                what,
                &format!("in use, but nobody answers: {error}"),
                "find out who has the port with `ss -ltnp`, and stop it or choose another port",
            );
            false
        }
    }
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The address at which this machine reaches a listener.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn endpoint_of(config: &ServerConfig) -> String {
    let scheme = if config.tls.is_some() { "wss" } else { "ws" };
    format!("{scheme}://{}", here(config.listen))
}

/// The user who tries to log in.
struct Login {
    app_id: String,
    user: Option<String>,
    token: Option<String>,
}

fn look_at_websocket(findings: &mut Findings, endpoint: &str, login: &Login) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return findings.bad("WebSocket", &error.to_string(), "check the system's limits");
        }
    };
    let is_wanted = login.user.is_some();
    let user = login.user.clone().unwrap_or_else(|| "doctor".into());
    let what = format!("WebSocket {endpoint}");
    let result = runtime.block_on(async {
        let builder = Client::builder().endpoint(endpoint);
        let (client, _events) = builder.app_id(&login.app_id).build()?;
        let attempt = client.login(&user, login.token.as_deref());
        let result = tokio::time::timeout(WAIT, attempt).await;
        if matches!(result, Ok(Ok(()))) {
            let _ = client.logout().await;
        }
        Ok::<_, tidings_client::BuildError>(result)
    });
    let whom = format!("login of {user:?} to app {}", login.app_id);
    match result {
        Err(error) => findings.bad(&what, Failure::of(&error, "").what(), "correct --endpoint"),
        Ok(Ok(Ok(()))) => {
            findings.good(&what, "it answers");
            findings.good(&whom, "in, and out again");
        }
        Ok(Err(_)) => findings.bad(
            &what,
            &format!("no answer within {} s", WAIT.as_secs()),
            "a proxy must forward WebSocket upgrades; with TLS, --endpoint must have the certificate's \
             name, and the certificate must come from a public authority",
        ),
        Ok(Ok(Err(error))) => {
            findings.good(&what, "it answers");
            if is_wanted { findings.bad(
                    &whom,
                    &error.to_string(),
                    "look into the token with `tidings token inspect`, and at the apps with `tidings app list`",
                ) } else { findings.skipped("login", "give --user and --token to try one") }
        }
    }
}
