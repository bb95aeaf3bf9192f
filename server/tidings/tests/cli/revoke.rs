//! Tokens and certificates that are taken back while their users are logged in.

use std::time::{Duration, Instant};

use tidings_client::{Client, ClientEvent, Events};

use crate::{APP, CERTIFICATE, Running, serve, succeed};

const PATIENCE: Duration = Duration::from_secs(30);

struct Place {
    data: String,
    _server: Running,
    endpoint: String,
    _folder: tempfile::TempDir,
}

impl Place {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let data = data.to_str().expect("a plain path").to_owned();
        let create = ["app", "create", "--id", APP, "--certificate", CERTIFICATE];
        succeed(&[&create[..], &["--data-dir", &data]].concat());
        succeed(&["app", "set", APP, "login=unlimited", "--data-dir", &data]);
        let (server, address) = serve(&["--data-dir", &data]);
        Self {
            data,
            _server: server,
            endpoint: format!("ws://{address}"),
            _folder: folder,
        }
    }

    fn app(&self, arguments: &[&str]) -> String {
        succeed(&[&["app"], arguments, &["--data-dir", &self.data]].concat())
    }

    async fn login(&self, user: &str, token: &str) -> Result<(Client, Events), String> {
        let builder = Client::builder().endpoint(&self.endpoint);
        let (client, events) = builder.app_id(APP).build().expect("a client");
        let login = client.login(user, Some(token)).await;
        login
            .map(|()| (client, events))
            .map_err(|error| error.to_string())
    }
}

fn token(certificate: &str, user: &str) -> String {
    let app = format!("{APP}:{certificate}");
    let token = succeed(&["token", "issue", "--app", &app, "--user", user]);
    token.trim().to_owned()
}

/// Waits until the client is told that its token is over.
async fn ended(events: &mut Events) {
    let told = async {
        loop {
            let event = events.next().await.expect("the client lives");
            if matches!(event, ClientEvent::TokenExpired) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told)
        .await
        .expect("it is told");
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn a_revoked_token_ends_its_login_and_lets_nobody_in_again() {
    run(async {
        let place = Place::start();
        let (first, second) = (token(CERTIFICATE, "alice"), token(CERTIFICATE, "bob"));
        let (_alice, mut alices) = place.login("alice", &first).await.expect("let in");
        let (bob, _bobs) = place.login("bob", &second).await.expect("let in");
        place.app(&["revoke", APP, "--token", &first]);
        ended(&mut alices).await;
        let refused = place
            .login("alice", &first)
            .await
            .map(drop)
            .expect_err("refused");
        assert!(refused.contains("revoked"), "{refused}");
        bob.query_presence(["alice"])
            .await
            .expect("nobody else is concerned");
        // The same packed otherwise is the same: of the token's bytes the signature counts.
        let spec = format!("{APP}:{CERTIFICATE}");
        let inspected = succeed(&["token", "inspect", &first, "--app", &spec]);
        assert!(
            inspected.contains("good: it lets \"alice\" in"),
            "{inspected}"
        );
        place
            .login("alice", &token(CERTIFICATE, "alice"))
            .await
            .expect("a new one is good");
    });
}

#[test]
fn all_tokens_of_a_user_until_now_are_taken_back() {
    run(async {
        let place = Place::start();
        let old = token(CERTIFICATE, "alice");
        let (_alice, mut alices) = place.login("alice", &old).await.expect("let in");
        place.app(&["revoke", APP, "--user", "alice"]);
        ended(&mut alices).await;
        place
            .login("alice", &old)
            .await
            .map(drop)
            .expect_err("refused");
        place
            .login("bob", &token(CERTIFICATE, "bob"))
            .await
            .expect("another user");
        // Tokens state whole seconds: one of the next is new.
        let begin = Instant::now();
        while place
            .login("alice", &token(CERTIFICATE, "alice"))
            .await
            .is_err()
        {
            assert!(begin.elapsed() < PATIENCE, "new tokens are refused");
        }
    });
}

#[test]
fn a_certificate_is_dropped_with_its_logins_or_without() {
    run(async {
        let place = Place::start();
        let (_alice, mut alices) = place
            .login("alice", &token(CERTIFICATE, "alice"))
            .await
            .expect("let in");
        let rotated = place.app(&["rotate", APP]);
        let new = rotated
            .lines()
            .find_map(|line| line.strip_prefix("new certificate  "));
        let new = new.expect("a certificate").to_owned();
        let (bob, _bobs) = place
            .login("bob", &token(&new, "bob"))
            .await
            .expect("let in");
        place.app(&["rotate", APP, "--drop-old", "--disconnect"]);
        ended(&mut alices).await;
        bob.query_presence(["alice"])
            .await
            .expect("it is of the new one");
        place
            .login("alice", &token(CERTIFICATE, "alice"))
            .await
            .map(drop)
            .expect_err("refused");
    });
}
