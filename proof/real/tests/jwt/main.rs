//! Logins with JSON Web Tokens, as the guide's page says: the program, its commands, and the page's
//! own programs.

mod page;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tidings_client::{Bytes, Client, ClientEvent, ConnectionState, Events, Outcome, Upload};
use tidings_proof::program::Program;
use tidings_proof::tries::Tries;

use self::page::{JWT_APP, Place, unix_s};

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "a secret of the backend, with 41 bytes in";

fn client(program: &Program) -> (Client, Events) {
    let endpoint = format!("ws://{}", program.address());
    let built = Client::builder().endpoint(endpoint).app_id(JWT_APP).build();
    built.expect("the settings are good")
}

/// Logs in, and out again; what the server says to it.
async fn login(
    program: &Program,
    user: &str,
    token: &str,
) -> Result<(), (Option<Outcome>, String)> {
    let (client, _events) = client(program);
    let token = Some(token).filter(|token| !token.is_empty());
    match client.login(user, token).await {
        Ok(()) => {
            client.logout().await.expect("it was logged in");
            Ok(())
        }
        Err(error) => Err((error.outcome(), error.to_string())),
    }
}

fn hs256(header: &str, claims: &str) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key will do");
    mac.update(text.as_bytes());
    format!(
        "{text}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

/// A token of alice with these claims besides.
fn token(exp: u64, more: &str) -> String {
    let iat = unix_s() - 1;
    let claims = format!("{{\"sub\":\"alice\",\"iat\":{iat},\"exp\":{exp}{more}}}");
    hs256("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", &claims)
}

#[tokio::test]
async fn the_pages_backends_sign_tokens_that_let_their_users_in() {
    let place = Place::start();
    let program = &place.program;
    place.write("secret", SECRET);
    place.make_app(&["secrets=-"], SECRET);
    for (interpreter, script) in [("node", "issue.mjs"), ("python3", "issue.py")] {
        place.write(script, &page::program(script));
        let token = place.runs(interpreter, &[script, "alice"]);
        assert_eq!(
            login(program, "alice", token.trim()).await,
            Ok(()),
            "{script}"
        );
        let told = place.works_with(&["token", "inspect", "-"], &token);
        assert!(told.contains("it lets \"alice\" in"), "{told}");
        let (outcome, told) = login(program, "bob", token.trim())
            .await
            .expect_err("alice's");
        assert_eq!(outcome, Some(Outcome::InvalidToken));
        assert!(
            told.contains("is for user \"alice\", not for \"bob\""),
            "{told}"
        );
    }
    // Files are guarded by the same token.
    let (alice, _events) = client(program);
    let good = token(unix_s() + 60, "");
    alice
        .login("alice", Some(&good))
        .await
        .expect("a good token");
    let upload = Upload::new(Bytes::from_static(b"picture"));
    alice.upload_media(upload).await.expect("it is uploaded");
}

#[tokio::test]
async fn the_server_side_paths_take_them_for_their_users() {
    let place = Place::start();
    place.make_app(&["secrets=-"], SECRET);
    let (bob, mut events) = client(&place.program);
    let claims = format!("{{\"sub\":\"bob\",\"exp\":{}}}", unix_s() + 60);
    let token_of_bob = hs256("{\"alg\":\"HS256\"}", &claims);
    bob.login("bob", Some(&token_of_bob))
        .await
        .expect("a good token");
    let send = |headers: &str| {
        let path = format!("/dev/v2/project/{JWT_APP}/rtm/users/alice/peer_messages");
        let body = "{\"destination\":\"bob\",\"payload\":\"hello\"}";
        page::post(place.program.address(), &path, headers, body)
    };
    let good = token(unix_s() + 60, "");
    for headers in [
        format!("Authorization: Bearer {good}"),
        format!("Authorization: agora token={good}"),
        format!("x-agora-token: {good}\r\nx-agora-uid: alice"),
    ] {
        let answer = send(&headers);
        assert!(answer.starts_with("HTTP/1.1 200"), "{headers}: {answer}");
        let heard = async {
            loop {
                if let Some(ClientEvent::PeerMessage { .. }) = events.next().await {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard)
            .await
            .expect("bob is told");
    }
    for (headers, status) in [
        (format!("Authorization: Bearer {good}x"), "401"),
        (format!("Authorization: Bearer {token_of_bob}"), "403"),
        (
            format!("Authorization: Bearer {}", token(unix_s() - 60, "")),
            "401",
        ),
    ] {
        let answer = send(&headers);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{status}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_with_words_and_without_secrets() {
    let place = Place::start();
    let program = &place.program;
    place.make_app(&["secrets=-"], SECRET);
    let now = unix_s();
    let soon = now + 60;
    let claims = format!("{{\"sub\":\"alice\",\"exp\":{soon}}}");
    let none = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
    let unsigned = format!("{none}.{}.", URL_SAFE_NO_PAD.encode(&claims));
    let good = token(soon, "");
    let cut = good.rsplit_once('.').expect("three parts").0;
    let rs256 = hs256("{\"alg\":\"RS256\",\"kid\":\"k1\"}", &claims);
    let long = token(soon, &format!(",\"a\":\"{}\"", "a".repeat(4_000)));
    let old = token(now - 31, "");
    let invalid = Outcome::InvalidToken;
    let cases = [
        ("", invalid, "takes JSON Web Tokens"),
        (JWT_APP, invalid, "app id itself"),
        ("hello", invalid, "is no JWT"),
        (&unsigned, invalid, "its alg is \"none\""),
        (cut, invalid, "not 3"),
        (&rs256, invalid, "key \"k1\""),
        (&long, invalid, "at most 4096"),
        (&old, Outcome::TokenExpired, "expired"),
    ];
    for (token, outcome, told) in cases {
        let (refused, text) = login(program, "alice", token).await.expect_err(told);
        assert_eq!(refused, Some(outcome), "{text}");
        assert!(
            text.contains(told) && !text.contains(SECRET),
            "{told}: {text}"
        );
    }
    assert_eq!(login(program, "alice", &good).await, Ok(()));
}

#[tokio::test]
async fn a_login_ends_with_its_token_unless_it_is_renewed() {
    let place = Place::start();
    place.make_app(&["secrets=-", "leeway_s=0"], SECRET);
    let (client, mut events) = client(&place.program);
    let first = token(unix_s() + 20, "");
    client
        .login("alice", Some(&first))
        .await
        .expect("a good token");
    let warned = async {
        loop {
            if let Some(ClientEvent::TokenWillExpire { .. }) = events.next().await {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, warned)
        .await
        .expect("told 30 s before the end");
    let foreign = client.renew_token("a.b.c").await.expect_err("it is none");
    assert_eq!(foreign.outcome(), Some(Outcome::InvalidToken));
    let short = token(unix_s() + 3, "");
    client.renew_token(&short).await.expect("a good token");
    let ended = async {
        loop {
            match events.next().await {
                Some(ClientEvent::TokenExpired) | None => return,
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the login ends with the second token");
    assert_ne!(client.state(), ConnectionState::Connected);
}

#[tokio::test]
async fn settings_count_at_once_and_comments_stay() {
    let place = Place::start();
    let program = &place.program;
    place.make_app(&["secrets=-"], SECRET);
    let apps = place.data().join("apps.toml");
    let text = std::fs::read_to_string(&apps).expect("the apps");
    let text = text.replace("[app.jwt]", "# our backend\n[app.jwt]");
    std::fs::write(&apps, text).expect("it can be written");
    let soon = unix_s() + 60;
    let plain = token(soon, "");
    let ours = token(soon, ",\"iss\":\"us\",\"aud\":[\"chat\"]");
    assert_eq!(login(program, "alice", &plain).await, Ok(()));
    place.works(&[
        "app",
        "set",
        JWT_APP,
        "jwt.issuers=us",
        "jwt.audiences=chat",
    ]);
    let text = std::fs::read_to_string(&apps).expect("the apps");
    assert!(
        text.contains("# our backend") && text.contains("issuers = [\"us\"]"),
        "{text}"
    );
    let refused = |told: &'static str| {
        let plain = plain.clone();
        async move {
            let (_, text) = login(program, "alice", &plain).await.expect_err(told);
            assert!(text.contains(told), "{text}");
        }
    };
    refused("`iss` is missing").await;
    assert_eq!(login(program, "alice", &ours).await, Ok(()));
    let shown = place.works(&["app", "show", JWT_APP]);
    assert!(
        shown.contains("jwt.issuers") && !shown.contains(SECRET),
        "{shown}"
    );
    let told = place.fails(&["app", "set", JWT_APP, "jwt.secrets=short"]);
    assert!(
        told.contains("5 bytes") && !told.contains("\"short\""),
        "{told}"
    );
    place.works(&[
        "app",
        "set",
        JWT_APP,
        "jwt.issuers=default",
        "jwt.audiences=default",
    ]);
    assert_eq!(login(program, "alice", &plain).await, Ok(()));
    // A change of the secret: both are good for a while.
    let both = format!("a newer secret, which has just been made\n{SECRET}\n");
    place.works_with(&["app", "set", JWT_APP, "jwt.secrets=-"], &both);
    assert_eq!(login(program, "alice", &plain).await, Ok(()));
    let newer = both.lines().next().unwrap_or_default();
    place.works_with(&["app", "set", JWT_APP, "jwt.secrets=-"], newer);
    refused("HS256 signature does not fit").await;
    // Without the last key there are no such tokens; without a certificate too, everybody may in.
    place.works(&["app", "rotate", JWT_APP]);
    place.works(&["app", "set", JWT_APP, "jwt=default"]);
    refused("format JWT are not accepted").await;
}

#[tokio::test]
async fn what_is_taken_back_ends_at_once() {
    let place = Place::start();
    let program = &place.program;
    place.make_app(&["secrets=-"], SECRET);
    let soon = unix_s() + 60;
    let named = token(soon, ",\"jti\":\"one\"");
    let other = token(soon, ",\"jti\":\"two\"");
    let (client, _events) = client(program);
    client
        .login("alice", Some(&named))
        .await
        .expect("a good token");
    place.works(&["app", "revoke", JWT_APP, "--jti", "one"]);
    let mut tries = Tries::new("the login ends", Duration::from_millis(20), PATIENCE);
    while client.state() == ConnectionState::Connected {
        tries.again().await;
    }
    let (_, text) = login(program, "alice", &named)
        .await
        .expect_err("it is taken back");
    assert!(text.contains("revoked"), "{text}");
    assert_eq!(login(program, "alice", &other).await, Ok(()));
    place.works_with(&["app", "revoke", JWT_APP, "--token", "-"], &other);
    assert!(login(program, "alice", &other).await.is_err());
    let third = token(soon, "");
    assert_eq!(login(program, "alice", &third).await, Ok(()));
    place.works(&["app", "revoke", JWT_APP, "--user", "alice"]);
    assert!(login(program, "alice", &third).await.is_err());
}

#[tokio::test]
async fn keys_of_a_login_server_are_fetched_and_change() {
    let place = Place::start();
    let program = &place.program;
    place.write("login-server.mjs", &page::program("login-server.mjs"));
    let (login_server, url) = place.login_server();
    let set = format!("jwks_url={url}/.well-known/jwks.json");
    let told = place.fails(&["app", "create", "--id", JWT_APP, "--open", "--jwt", &set]);
    assert!(told.contains("http"), "{told}");
    place.make_app(
        &[
            "jwks_allow_http=true",
            &set,
            "issuers=login",
            "audiences=chat",
        ],
        "",
    );
    // Whether the keys are there yet or not: the client waits for them.
    let first = page::fetch(&format!("{url}/token?user=alice"));
    assert_eq!(login(program, "alice", &first).await, Ok(()));
    let told = place.works_with(&["token", "inspect", "-", "--user", "alice"], &first);
    assert!(told.contains("it lets \"alice\" in"), "{told}");
    let status = place.works(&["status"]);
    assert!(status.contains("1 key of http://127.0.0.1"), "{status}");

    // Another key: a token that names it makes the server look, though not more often than each 30
    // s.
    login_server.signal("-HUP");
    let mut second = page::fetch(&format!("{url}/token?user=alice"));
    let mut tries = Tries::new(
        "the new key",
        Duration::from_millis(200),
        Duration::from_secs(60),
    );
    while login(program, "alice", &second).await.is_err() {
        tries.again().await;
        second = page::fetch(&format!("{url}/token?user=alice"));
    }
    assert_eq!(
        login(program, "alice", &first).await,
        Ok(()),
        "the previous key is in the set"
    );
    // The place is gone, its keys stay.
    drop(login_server);
    assert_eq!(login(program, "alice", &second).await, Ok(()));
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let place = Place::start();
    let program = &place.program;
    place.write("login-server.mjs", &page::program("login-server.mjs"));
    let (login_server, url) = place.login_server();
    let keys = || page::fetch(&format!("{url}/.well-known/jwks.json"));
    let issue = || page::fetch(&format!("{url}/token?user=alice"));
    let file = place.write("jwks.json", &keys());
    let (set, audience) = (format!("jwks_file={}", file.display()), "audiences=chat");
    place.make_app(&[&set, audience], "");
    assert_eq!(login(program, "alice", &issue()).await, Ok(()));
    login_server.signal("-HUP");
    let mut tries = Tries::new("a new key", Duration::from_millis(20), PATIENCE);
    while keys() == std::fs::read_to_string(&file).expect("the file") {
        tries.again().await;
    }
    let second = issue();
    let (outcome, _) = login(program, "alice", &second)
        .await
        .expect_err("a key of nobody yet");
    assert_eq!(outcome, Some(Outcome::InvalidToken));
    place.write("jwks.json", "{ \"keys\": [");
    let mut tries = Tries::new("the fault is told", Duration::from_millis(100), PATIENCE);
    while !place.works(&["status"]).contains("no key set") {
        tries.again().await;
    }
    place.write("jwks.json", &keys());
    let mut tries = Tries::new("the new key", Duration::from_millis(100), PATIENCE);
    while login(program, "alice", &second).await.is_err() {
        tries.again().await;
    }
}
