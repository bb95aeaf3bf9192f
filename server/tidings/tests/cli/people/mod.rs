//! The commands for people, against the real program: each with what a person types, and with what
//! is wrong.

mod contexts;
mod live;
mod look;
mod top;
mod trace;
mod wrong;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tidings_client::{Client, ClientEvent, Message, SendOptions};
use tokio::runtime::Runtime;

use crate::{APP, Running, serve, text, tidings};

/// Commands whose help texts are compared.
pub(crate) const COMMANDS: [&str; 18] = [
    "ask", "audit", "ban", "bans", "bench", "channel", "channels", "context", "events", "kick",
    "pub", "status", "sub", "tail", "top", "unban", "user", "who",
];

/// A server with an app that anybody may log in to, and users on it.
struct Place {
    folder: tempfile::TempDir,
    data: String,
    address: String,
    runtime: Runtime,
    server: Option<Running>,
}

impl Place {
    fn new() -> Self {
        Self::with(&["--dev"])
    }

    fn with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let data = data.to_str().expect("a plain path").to_owned();
        let (server, address) = serve(&[options, &["--data-dir", &data]].concat());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            folder,
            data,
            address,
            runtime: runtime.expect("a runtime"),
            server: Some(server),
        }
    }

    /// Kills the server, and starts it again where it was.
    fn restart(&mut self) {
        drop(self.server.take());
        let mut server = self
            .command(&["serve", "--dev", "--listen", &self.address, "--hubs", "1"])
            .args(["--disk-reserve", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map(Running)
            .expect("the program runs");
        let out = server.0.stdout.take().expect("a pipe");
        let ready = BufReader::new(out).lines().next();
        ready.expect("it is ready").expect("text");
        self.server = Some(server);
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("a plain path").to_owned()
    }

    /// The command of a person on the server's machine, who has contexts of the person's own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tidings(arguments);
        command
            .env("XDG_CONFIG_HOME", self.folder.path().join("settings"))
            .env("TIDINGS_DATA_DIR", &self.data)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs a command that must succeed; returns what it prints.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        text(&output.stdout)
    }

    /// Runs a command that must fail; returns what it says.
    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let error = text(&output.stderr);
        assert!(
            error.starts_with("error: ") && error.contains("\nhint: "),
            "{error}"
        );
        error
    }

    /// What a command prints with `--json`, which is an object per line.
    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.succeed(&[arguments, &["--json"]].concat());
        let lines = printed.lines();
        let read = |line| serde_json::from_str(line).expect("a line of JSON");
        lines.map(read).collect()
    }

    /// The same of a command that prints one.
    fn line(&self, arguments: &[&str]) -> Value {
        let mut lines = self.lines(arguments);
        assert_eq!(lines.len(), 1, "{arguments:?}: {lines:?}");
        lines.remove(0)
    }

    /// A user who is logged in and in these channels, and repeats what others write.
    fn user(&self, name: &str, channels: &[&str]) -> Client {
        self.user_with(name, channels, |text| format!("you said {text}"))
    }

    /// The same with answers of its own; empty = none.
    fn user_with(
        &self,
        name: &str,
        channels: &[&str],
        answer: impl Fn(&str) -> String + Send + 'static,
    ) -> Client {
        self.runtime.block_on(async {
            let builder = Client::builder().endpoint(format!("ws://{}", self.address));
            let (client, mut events) = builder.app_id(APP).build().expect("a client");
            client.login(name, None).await.expect("a login");
            for channel in channels {
                client.channel(*channel).join().await.expect("a member");
            }
            let own = client.clone();
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    if let ClientEvent::PeerMessage {
                        from,
                        message: Message::Text(text),
                        ..
                    } = event
                    {
                        let answer = answer(&text);
                        if !answer.is_empty() {
                            let sent = own.send_to_peer(&from, answer, SendOptions::new());
                            let _ = sent.await;
                        }
                    }
                }
            });
            client
        })
    }
}
