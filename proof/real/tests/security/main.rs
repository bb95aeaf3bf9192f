//! The program at its most talkative: its log has no payload, token or certificate, and two apps
//! with equal names see nothing of each other.

use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tidings_client::{
    Attribute, AttributeWrite, Client, Events, HistoryRange, Message, Notify, PresenceState,
    SendOptions, Upload,
};
use tidings_proof::program::build;

const APPS: [&str; 2] = [
    "0123456789abcdef0123456789abcdef",
    "abcdef0123456789abcdef0123456789",
];
const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";

struct Server {
    endpoint: String,
    directory: TempDir,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log file");
        let mut command = Command::new(build());
        command.args([
            "serve",
            "--hubs",
            "2",
            "--disk-reserve",
            "0",
            "--log",
            "trace",
            "--listen",
            "127.0.0.1:0",
        ]);
        for app in APPS {
            command.args(["--app", &format!("{app}:{CERTIFICATE}")]);
        }
        command.arg("--data-dir").arg(directory.path().join("data"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut process = command.spawn().expect("the program starts");
        let output = process.stdout.take().expect("its output is piped");
        let mut lines = std::io::BufReader::new(output).lines();
        let endpoint = loop {
            let line = lines.next().expect("the server ended early").expect("text");
            if let Some(rest) = line.strip_prefix("tidings is ready: ") {
                let address = rest.split_whitespace().next().unwrap_or(rest);
                break address.split('/').take(3).collect::<Vec<_>>().join("/");
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            endpoint,
            directory,
            process,
        }
    }

    async fn login(&self, app: &str, user: &str) -> (Client, Events, String) {
        let made = Client::builder()
            .endpoint(&self.endpoint)
            .app_id(app)
            .build();
        let (client, events) = made.expect("a client");
        let token = token(app, user);
        client
            .login(user, Some(&token))
            .await
            .expect("the login succeeds");
        (client, events, token)
    }

    fn log(&self) -> String {
        read(&self.directory.path().join("log"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).expect("a log")).into_owned()
}

fn token(app: &str, user: &str) -> String {
    let app = format!("{app}:{CERTIFICATE}");
    let output = Command::new(build())
        .args(["token", "issue", "--app", &app, "--user", user])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "no token");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

// Check of the delivery contract: secrets.not_in_logs.
#[tokio::test]
async fn no_payload_token_or_certificate_is_logged_at_trace() {
    let server = Server::start();
    let (alice, _alice, good) = server.login(APPS[0], "alice").await;
    let (_bob, _events, _) = server.login(APPS[0], "bob").await;
    let (stranger, _stranger) = Client::builder()
        .endpoint(&server.endpoint)
        .app_id(APPS[0])
        .build()
        .expect("a client");
    let bad = format!("{}MARKTOKEN", &good[..40]);
    assert!(stranger.login("carol", Some(&bad)).await.is_err());
    let raw = Message::Raw {
        data: "MARKRAW".into(),
        description: "MARKDESC".into(),
    };
    let kept = || SendOptions::new().offline().history();
    alice
        .send_to_peer("bob", "MARKPEER", kept())
        .await
        .expect("sent");
    alice
        .send_to_peer("absent", raw, kept())
        .await
        .expect("stored");
    let lobby = alice.channel("lobby");
    lobby.join().await.expect("joined");
    lobby.send("MARKCHANNEL").await.expect("sent");
    let marked = || [Attribute::new("key", "MARKATTRIBUTE")];
    alice
        .write_attributes(AttributeWrite::Set, marked())
        .await
        .expect("written");
    let write = lobby.write_attributes(AttributeWrite::Set, marked(), Notify::Members);
    write.await.expect("written");
    let upload = Upload::new("MARKFILE").file_name("MARKNAME.txt");
    alice.upload_media(upload).await.expect("uploaded");
    let log = server.log();
    assert!(
        log.contains("ready") && log.len() > 100,
        "the log is on: {log}"
    );
    for secret in ["MARK", CERTIFICATE, &good, &good[..40]] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

// Check of the delivery contract: tenant.isolated.
#[tokio::test]
async fn equal_names_in_two_apps_are_strangers() {
    let server = Server::start();
    let (here, _here, _) = server.login(APPS[0], "alice").await;
    let kept = || SendOptions::new().offline().history();
    here.send_to_peer("bob", "only here", kept())
        .await
        .expect("stored");
    let secret = [Attribute::new("key", "only here")];
    here.write_attributes(AttributeWrite::Set, secret.clone())
        .await
        .expect("written");
    let lobby = here.channel("lobby");
    lobby.join().await.expect("joined");
    let write = lobby.write_attributes(AttributeWrite::Set, secret, Notify::Members);
    write.await.expect("written");
    let file = here
        .upload_media(Upload::new("only here"))
        .await
        .expect("uploaded");

    let (there, _there, _) = server.login(APPS[1], "bob").await;
    let none: [&str; 0] = [];
    let presence = there.query_presence(["alice"]).await.expect("asked");
    assert!(
        presence
            .iter()
            .all(|(_, state)| *state != PresenceState::Online),
        "{presence:?}"
    );
    assert_eq!(there.member_counts(["lobby"]).await.expect("asked")[0].1, 0);
    let read = there.read_attributes("alice", none).await;
    assert!(read.map_or(true, |list| list.is_empty()));
    let lobby = there.channel("lobby");
    lobby.join().await.expect("joined");
    assert_eq!(lobby.members().await.expect("asked"), ["bob"]);
    assert!(
        lobby
            .read_attributes(none)
            .await
            .map_or(true, |list| list.is_empty())
    );
    let history = there.peer_history("alice", HistoryRange::default()).await;
    assert!(history.expect("asked").messages.is_empty());
    assert!(there.download_media(file.media_id).await.is_err());
}
