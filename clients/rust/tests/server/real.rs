//! The calls against the real program.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tidings_client::server::{
    Error, Event, HistoryRange, Message, Method, NewBan, NewToken, Outcome, Request, SendOptions,
    SessionFilter, Tidings, build_token,
};
use tidings_client::{Client, ClientEvent, ConnectionState, Events};
use tokio::time::timeout;

/// For a machine that does much else; whatever is waited for ends the wait at once.
const WITHIN: Duration = Duration::from_secs(30);

/// The real program with one app, and an API key for it; killed when dropped.
struct Server {
    endpoint: String,
    app: String,
    certificate: String,
    tidings: Tidings,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let built = Command::new(env!("CARGO"))
            // They belong to this test, not to the build: with them, build scripts would run again.
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_PKG_NAME")
            .args(["build", "--quiet", "--package", "tidings"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.expect("cargo starts").success(),
            "the program does not build"
        );
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
            std::path::PathBuf::from,
        );
        let directory = tempfile::tempdir().expect("a directory");
        let key = "tdk_first_0123456789abcdef0123456789abcdef";
        let mut process = Command::new(target.join("debug/tidings"))
            .args([
                "serve",
                "--disk-reserve",
                "0",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(directory.path())
            .env("TIDINGS_API_KEY", key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let output = process.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let endpoint = loop {
            let line = lines.next().expect("the server ended early").expect("text");
            if let Some(rest) = line.strip_prefix("tidings is ready: ") {
                // Of the address of its page, the server's own part.
                break rest.split('/').take(3).collect::<Vec<_>>().join("/");
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let admin = Tidings::builder()
            .endpoint(&endpoint)
            .key(key)
            .build()
            .expect("settings");
        let wish = json!({ "name": "tests", "settings": { "issue_tokens": true } });
        let make = Request::new(Method::POST, "/api/v1/apps").body(wish);
        let made = admin.request(make).await.expect("an app");
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        let (app, certificate) = (text("id"), text("certificate"));
        let tidings = admin.for_app(&app);
        Self {
            endpoint,
            app,
            certificate,
            tidings,
            process,
            _directory: directory,
        }
    }

    fn token(&self, user: &str) -> String {
        let (app, certificate) = (self.app.as_str(), self.certificate.as_str());
        build_token(&NewToken {
            app,
            certificate,
            user,
            ttl: 600,
        })
        .expect("a token")
    }

    async fn login(&self, user: &str) -> (Client, Events) {
        let made = Client::builder()
            .endpoint(&self.endpoint)
            .app_id(&self.app)
            .build();
        let (client, events) = made.expect("settings");
        client
            .login(user, Some(&self.token(user)))
            .await
            .expect("the login succeeds");
        (client, events)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first event that fits.
async fn hears(events: &mut Events, fits: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
    let found = async {
        loop {
            let event = events.next().await.expect("events go on");
            if fits(&event) {
                return event;
            }
        }
    };
    timeout(WITHIN, found).await.expect("in time")
}

fn is_text(event: &ClientEvent, expected: &str) -> bool {
    let told = format!("{event:?}");
    matches!(
        event,
        ClientEvent::PeerMessage { .. } | ClientEvent::ChannelMessage { .. }
    ) && told.contains(&format!("{expected:?}"))
}

async fn ends(events: &mut Events) {
    let is_end = |event: &ClientEvent| {
        matches!(
            event,
            ClientEvent::StateChanged {
                state: ConnectionState::Aborted,
                ..
            }
        )
    };
    hears(events, is_end).await;
}

#[tokio::test]
async fn every_kind_of_call() {
    let server = Server::start().await;
    messages(&server).await;
    who_is_there(&server).await;
    attributes(&server).await;
    history(&server).await;
    bans_and_tokens(&server).await;
    events(&server).await;
    refusals(&server).await;
}

async fn messages(server: &Server) {
    let tidings = &server.tidings;
    let (alice, mut events) = server.login("alice").await;
    alice.channel("lobby").join().await.expect("joined");
    let waiting = SendOptions::new().wait();
    let sent = tidings.send_to_peer("alice", "grüße 🎈", "system", waiting.clone());
    let (sent, _) = tokio::join!(sent, hears(&mut events, |event| is_text(event, "grüße 🎈")));
    assert_eq!(sent.expect("sent").outcome, Outcome::Delivered);
    let gone = tidings
        .send_to_peer("nobody", "x", "system", waiting)
        .await
        .expect("sent");
    assert_eq!(gone.outcome, Outcome::Offline);
    let kept = SendOptions::new().offline();
    let kept = tidings
        .send_to_peer("later", "kept", "system", kept)
        .await
        .expect("sent");
    assert_eq!(kept.outcome, Outcome::Stored);

    let once = SendOptions::new().idempotency_key("order-17");
    let first = tidings
        .send_to_channel("lobby", "once", "system", once.clone())
        .await;
    let second = tidings
        .send_to_channel("lobby", "once", "system", once)
        .await;
    assert_eq!(first.expect("sent"), second.expect("sent"));
    let plain = SendOptions::new;
    let batch = [
        Message::to_channel("lobby", "two", "system", plain()),
        Message::to_users(["alice", "nobody"], &[0, 255][..], "system", plain()),
    ];
    let batch = tidings.publish_batch(&batch).await.expect("sent");
    assert_eq!(batch.results[0].results[0].outcome, Outcome::Sent);
    assert_eq!(batch.results[1].results.len(), 2);
    hears(&mut events, |event| is_text(event, "once")).await;
    let next = hears(&mut events, |event| {
        matches!(event, ClientEvent::ChannelMessage { .. })
    });
    assert!(
        is_text(&next.await, "two"),
        "the repeated call sent nothing"
    );
    alice.logout().await.expect("logged out");
}

async fn who_is_there(server: &Server) {
    let tidings = &server.tidings;
    let (carol, mut events) = server.login("carol").await;
    carol.channel("room #1").join().await.expect("joined");
    let online = tidings
        .query_presence(&["carol", "nobody"])
        .await
        .expect("presence");
    assert!(online["carol"] && !online["nobody"]);
    let user = tidings.user("carol").await.expect("a user");
    assert_eq!(
        (user.online, user.channels),
        (true, vec!["room #1".to_owned()])
    );
    let channels = tidings
        .channels(Some("room "), None)
        .await
        .expect("channels");
    assert_eq!(
        (channels.items[0].name.as_str(), channels.items[0].members),
        ("room #1", 1)
    );
    assert_eq!(
        tidings.channel("room #1").await.expect("a channel").members,
        1
    );
    let members = tidings.members("room #1", None).await.expect("members");
    assert_eq!(members.items[0].user, "carol");
    tidings
        .remove_member("room #1", "carol")
        .await
        .expect("removed");
    let filter = SessionFilter {
        user: Some("carol".into()),
        ..SessionFilter::default()
    };
    let sessions = tidings.sessions(&filter, None).await.expect("sessions");
    tidings
        .end_session(&sessions.items[0].id)
        .await
        .expect("ended");
    ends(&mut events).await;
    let (_dave, mut events) = server.login("dave").await;
    tidings
        .disconnect("dave", Some("spam"), None)
        .await
        .expect("ended");
    ends(&mut events).await;
}

async fn attributes(server: &Server) {
    let tidings = &server.tidings;
    let (_erin, _events) = server.login("erin").await;
    let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect()
    };
    let given = of(&[("age", "40"), ("mood", "fine")]);
    tidings
        .set_user_attributes("erin", &given)
        .await
        .expect("set");
    tidings
        .update_user_attributes("erin", &of(&[("mood", "splendid")]))
        .await
        .expect("set");
    tidings
        .delete_user_attributes("erin", Some(&["age"]))
        .await
        .expect("deleted");
    let found = tidings.user_attributes("erin").await.expect("attributes");
    assert_eq!(found, of(&[("mood", "splendid")]));
    tidings
        .delete_user_attributes("erin", Some(&[]))
        .await
        .expect_err("no keys");
    tidings
        .set_channel_attributes("kitchen", &of(&[("topic", "tea")]))
        .await
        .expect("set");
    let found = tidings
        .channel_attributes("kitchen")
        .await
        .expect("attributes");
    assert_eq!(found, of(&[("topic", "tea")]));
    tidings
        .delete_channel_attributes("kitchen", None)
        .await
        .expect("deleted");
    assert!(
        tidings
            .channel_attributes("kitchen")
            .await
            .expect("attributes")
            .is_empty()
    );
}

async fn history(server: &Server) {
    let tidings = &server.tidings;
    for text in ["one", "two", "three"] {
        let sent = tidings.send_to_channel("old", text, "system", SendOptions::new().store());
        sent.await.expect("sent");
    }
    let mut range = HistoryRange::of_channel("old");
    range.limit = Some(2);
    let first = tidings.history(&range).await.expect("history");
    assert_eq!(first.items[1].payload.as_deref(), Some("two"));
    range.cursor = first.next;
    let second = tidings.history(&range).await.expect("history");
    assert_eq!(
        (second.items.len(), second.items[0].sender.as_str()),
        (1, "system")
    );
    let all = HistoryRange::of_channel("old");
    tidings.delete_history(&all).await.expect("deleted");
    assert!(
        tidings
            .history(&all)
            .await
            .expect("history")
            .items
            .is_empty()
    );
}

async fn bans_and_tokens(server: &Server) {
    let tidings = &server.tidings;
    let (_mallory, mut events) = server.login("mallory").await;
    let ban = NewBan {
        user_id: Some("mallory".into()),
        seconds: Some(600),
        note: Some("spam".into()),
        ..NewBan::default()
    };
    let id = tidings.ban(&ban).await.expect("banned").id.expect("an id");
    ends(&mut events).await;
    let changed = tidings
        .change_ban(id, None, Some("more"))
        .await
        .expect("changed");
    assert_eq!(changed.more["note"], "more");
    assert_eq!(tidings.bans(None).await.expect("bans").items.len(), 1);
    tidings.unban(id).await.expect("unbanned");
    assert_eq!(
        tidings.unban(id).await.expect_err("gone").code(),
        "unknown_ban"
    );
    let token = tidings
        .issue_token("frank", Some(600))
        .await
        .expect("a token");
    let told = tidings.inspect_token(&token).await.expect("told");
    assert_eq!(told["check"]["verdict"], "good");
    tidings.revoke_token(&token).await.expect("revoked");
    let told = tidings.inspect_token(&token).await.expect("told");
    assert_ne!(told["check"]["verdict"], "good", "{told}");
    tidings
        .revoke_tokens_of("frank", None)
        .await
        .expect("revoked");
}

#[derive(Debug, PartialEq)]
enum Stop {
    Enough,
    Failed(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

async fn events(server: &Server) {
    let tidings = &server.tidings;
    let page = tidings
        .event_page(None, &[], Some(1000), Duration::ZERO)
        .await
        .expect("events");
    let (grace, _events) = server.login("grace").await;
    grace.channel("stage").join().await.expect("joined");
    grace.logout().await.expect("logged out");
    let mut seen = Vec::new();
    let handle = async |event: Event| {
        if event.user.as_deref() == Some("grace") {
            seen.push(event.kind.clone());
        }
        if event.kind == "user.logout" {
            Err(Stop::Enough)
        } else {
            Ok(())
        }
    };
    let reader = tidings.events().after(page.next.expect("a cursor"));
    let reader = reader.types(["user.login", "user.logout", "channel.join", "channel.leave"]);
    let reading = reader.read(handle, async |_: &str| Ok(()));
    let ended = timeout(WITHIN, reading).await.expect("in time");
    assert_eq!(ended, Err(Stop::Enough));
    assert_eq!(
        seen,
        ["user.login", "channel.join", "channel.leave", "user.logout"]
    );
}

async fn refusals(server: &Server) {
    let wrong = Tidings::builder()
        .endpoint(&server.endpoint)
        .key("tdk_nobody_0123456789abcdef");
    let wrong = wrong.app(&server.app).build().expect("settings");
    assert_eq!(
        wrong.bans(None).await.expect_err("no such key").status(),
        Some(401)
    );
    let refused = server
        .tidings
        .send_to_peer("a\0b", "x", "system", SendOptions::new())
        .await;
    let error = refused.expect_err("no such name");
    assert!(
        !error.hint().is_empty() && error.request_id().is_some(),
        "{error:?}"
    );
}
