//! The servers that all tests call: one with one hub, one with four.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine as _;
use serde_json::Value;
use tempfile::TempDir;
use tidings_client::{Client, Events};
use tidings_proof::program::build;
use tidings_token::{NewAccess007, Service, build_007};

use crate::http::{Answer, Call};

/// An app with a certificate.
pub(crate) const APP: &str = "0123456789abcdef0123456789abcdef";
/// Another tenant.
pub(crate) const OTHER: &str = "abcdef0123456789abcdef0123456789";
pub(crate) const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";
pub(crate) const KEY_ID: &str = "first";
pub(crate) const SECRET: &str = "0123456789abcdef-secret";

/// A running server.
pub(crate) struct World {
    /// Where clients and backends reach it.
    pub(crate) address: SocketAddr,
    /// The API's own port.
    pub(crate) api: SocketAddr,
    /// Its data and its log.
    directory: TempDir,
    /// The server ends when this is closed: with the test's process, however that ends.
    alive: ChildStdin,
    process: Child,
}

/// Ends its child when its standard input is closed, or by the signal that is written there.
const GUARD: &str = "\"$@\" < /dev/null & server=$!; exec > /dev/null; read -r how; kill -s \"${how:-TERM}\" $server; wait $server";

/// The server with so many hubs, started by the first test that asks.
pub(crate) fn world(hubs: u16) -> &'static World {
    static WORLDS: [OnceLock<World>; 5] = [const { OnceLock::new() }; 5];
    WORLDS[usize::from(hubs)].get_or_init(|| World::start(hubs, &[]))
}

/// Runs a test with one hub and with four.
pub(crate) fn each(test: impl AsyncFn(&'static World)) {
    for hubs in [1, 4] {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(test(world(hubs)));
    }
}

impl World {
    /// Starts a server.
    pub(crate) fn start(hubs: u16, arguments: &[&str]) -> Self {
        Self::start_in(TempDir::new().expect("a directory"), hubs, arguments)
    }

    /// Kills the server without a warning. Returns what is left of it.
    pub(crate) fn crash(mut self) -> TempDir {
        writeln!(self.alive, "KILL").expect("the guard reads");
        self.process.wait().expect("the server ends");
        self.directory
    }

    /// Waits until the server has ended by itself. Returns its exit code.
    pub(crate) fn ended(mut self) -> (Option<i32>, TempDir) {
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(self.address).is_ok() {
            assert!(begun.elapsed().as_secs() < 60, "the server goes on");
            std::thread::yield_now();
        }
        // The guard sends a signal in any case, to a process that is gone.
        writeln!(self.alive, "CHLD").expect("the guard reads");
        let status = self.process.wait().expect("the server ends");
        (status.code(), self.directory)
    }

    /// Starts a server on the data of another one.
    pub(crate) fn start_in(directory: TempDir, hubs: u16, arguments: &[&str]) -> Self {
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let api = free_port();
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).arg(build()).args([
            "serve",
            "--disk-reserve",
            "0",
            "--listen",
            "127.0.0.1:0",
        ]);
        if !arguments.contains(&"--api-rate") {
            command.args(["--api-rate", "unlimited"]);
        }
        command.args(["--hubs", &hubs.to_string()]);
        command.args(["--api-listen", &api.to_string()]);
        for app in [APP, OTHER] {
            command.args(["--app", &format!("{app}:{CERTIFICATE}")]);
        }
        command.args(arguments);
        command.arg("--data-dir").arg(directory.path().join("data"));
        command.env("TIDINGS_API_KEY", format!("tdk_{KEY_ID}_{SECRET}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(log).spawn().expect("the program starts");
        let output = process.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next().expect("the server ended early").expect("text");
            if let Some(rest) = line.strip_prefix("tidings is ready: http://") {
                let end = rest.find('/').unwrap_or(rest.len());
                break rest[..end].parse().expect("an address");
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            address,
            api,
            directory,
            alive: process.stdin.take().expect("its input"),
            process,
        }
    }

    /// Makes a call with the key, at the clients' port.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let call = keyed(Call::new(method, path));
        let call = match body {
            Some(body) => call.json(body),
            None => call,
        };
        call.send(self.address)
    }

    /// `POST` with the key.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body))
    }

    /// `GET` with the key.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    /// A client of an app that is not logged in.
    pub(crate) fn client(&self, app: &str) -> (Client, Events) {
        let made = Client::builder()
            .endpoint(format!("http://{}", self.address))
            .app_id(app)
            .build();
        made.expect("a client")
    }

    /// A client that is logged in.
    pub(crate) async fn login(&self, user: &str) -> (Client, Events) {
        let (client, events) = self.client(APP);
        client
            .login(user, Some(&token(user)))
            .await
            .expect("the login succeeds");
        (client, events)
    }
}

/// Adds the key, as backends of the hosted service show theirs.
pub(crate) fn keyed(call: Call) -> Call {
    call.header("Authorization", &basic(KEY_ID, SECRET))
}

/// A header `Authorization`.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    format!("Basic {pair}")
}

/// A token of a user of [`APP`].
pub(crate) fn token(user: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    build_007(&NewAccess007 {
        app_id: APP,
        certificate: CERTIFICATE,
        issued_at_unix_s: u32::try_from(now.as_secs()).expect("before 2106"),
        lifetime_s: 3_600,
        salt: 1,
        services: &[Service::rtm(user, 3_600)],
    })
    .expect("a token")
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}
