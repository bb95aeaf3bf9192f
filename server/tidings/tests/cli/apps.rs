//! Apps that are changed while their server runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{APP, Running, run, serve, text, until};

/// A reload is a signal: nothing tells when it has been taken in.
const PATIENCE: Duration = Duration::from_secs(10);

struct Place {
    data: String,
    server: Running,
    address: String,
    _folder: tempfile::TempDir,
}

impl Place {
    /// A server with one app that asks for no token.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let data = data.to_str().expect("a plain path").to_owned();
        let made = run(&["app", "create", "--id", APP, "--open", "--data-dir", &data]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        // The tests log in as fast as they can, and are refused as often.
        let set = run(&["app", "set", APP, "login=unlimited", "--data-dir", &data]);
        assert!(set.status.success(), "{}", text(&set.stderr));
        let (server, address) = serve(&["--data-dir", &data, "--failed-login-rate", "unlimited"]);
        Self {
            data,
            server,
            address,
            _folder: folder,
        }
    }

    /// Carries out `tidings app` and returns what it writes.
    fn app(&self, arguments: &[&str]) -> Result<String, String> {
        let output = run(&[&["app"], arguments, &["--data-dir", &self.data]].concat());
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    fn reload(&self) {
        let pid = self.server.0.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Whether a user can log in, and what is said of it.
    fn login(&self, user: &str) -> (bool, String) {
        let endpoint = format!("ws://{}", self.address);
        let output = run(&[
            "doctor",
            "--data-dir",
            &self.data,
            "--listen",
            "127.0.0.1:0",
            "--endpoint",
            &endpoint,
            "--disk-reserve",
            "0",
            "--user",
            user,
        ]);
        (output.status.success(), text(&output.stdout))
    }

    /// Waits until a user can log in, or no more.
    fn wait_for(&self, user: &str, is_let_in: bool) -> String {
        let began = Instant::now();
        loop {
            let (found, said) = self.login(user);
            if found == is_let_in {
                return said;
            }
            assert!(began.elapsed() < PATIENCE, "{user}: {said}");
        }
    }
}

#[test]
fn bans_and_settings_are_taken_in_at_once() {
    let place = Place::start();
    place.wait_for("mallory", true);
    place
        .app(&["ban", APP, "mallory", "Æther"])
        .expect("banned");
    let said = place.wait_for("mallory", false);
    assert!(said.contains("banned"), "{said}");
    assert!(place.login("alice").0, "nobody else is concerned");

    place
        .app(&["set", APP, "presence_grace_ms=5000", "message=7/1000"])
        .expect("set");
    let shown = place.app(&["show", APP]).expect("shown");
    let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "presence_grace_ms 5000 set",
        "rate_limits true default",
        "message 7/1000 set",
        "banned mallory Æther",
    ] {
        assert!(squeezed.contains(line), "{line}: {shown}");
    }
    place
        .app(&["set", APP, "presence_grace_ms=default", "message=unlimited"])
        .expect("set back");
    let shown = place.app(&["show", APP]).expect("shown");
    let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in ["presence_grace_ms 30000 default", "message unlimited set"] {
        assert!(squeezed.contains(line), "{line}: {shown}");
    }

    place
        .app(&["unban", APP, "mallory"])
        .expect("banned before");
    place.wait_for("mallory", true);
}

#[test]
fn a_change_that_cannot_be_is_refused_and_changes_nothing() {
    let place = Place::start();
    let before = place.app(&["show", APP]).expect("shown");
    for (change, told) in [
        ("presence_grace_ms=1", "1000 to 120000"),
        (
            "presence_grace=5000",
            "there is no setting \"presence_grace\"",
        ),
        (
            "presence_grace=default",
            "there is no setting \"presence_grace\"",
        ),
        ("presence_grace=5000", "did you mean presence_grace_ms?"),
        ("inbox_age_ms=soon", "7d"),
        ("origins=app.example.org", "has no scheme"),
        ("message=often", "CALLS/TIME"),
        ("message=5/0", "3600000 ms"),
        ("message", "NAME=VALUE"),
    ] {
        let error = place.app(&["set", APP, change]).expect_err("refused");
        assert!(error.contains(told), "{change}: {error}");
    }
    let error = place.app(&["ban", APP, ""]).expect_err("refused");
    assert!(error.contains("nobody can log in"), "{error}");
    let error = place.app(&["unban", APP, "bob"]).expect_err("refused");
    assert!(error.contains("is not banned"), "{error}");
    assert_eq!(place.app(&["show", APP]).expect("shown"), before);

    // A file that is broken by hand: the server keeps the apps that it has.
    let file = std::path::Path::new(&place.data).join("apps.toml");
    std::fs::write(&file, "[[app]]\nid = 5\n").expect("written");
    place.reload();
    let error = place.app(&["show", APP]).expect_err("refused");
    assert!(error.contains("line 2"), "{error}");
}

/// Whether a legacy client gets in without a token.
fn is_let_in_without_token(address: &str) -> bool {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let login = format!(r#"["login",{{"vid":"{APP}","account":"old","token":"_no_need_token"}}]"#);
    let length = u8::try_from(login.len())
        .ok()
        .filter(|length| *length < 126);
    // A masked text frame whose mask is zero.
    let head = [0x81, 0x80 | length.expect("a short frame"), 0, 0, 0, 0];
    let request = "GET /legacy HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let bytes = [request.as_bytes(), &head, login.as_bytes()].concat();
    stream.write_all(&bytes).expect("sent");
    let mut heard = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        let count = stream.read(&mut buffer).expect("an answer");
        heard.extend_from_slice(&buffer[..count]);
        let said = String::from_utf8_lossy(&heard);
        if said.contains("login_ret") && said.contains("}\"]]") {
            return said.contains(r#"\"result\":\"ok\""#);
        }
        assert!(count > 0, "no answer but {said}");
    }
}

#[test]
fn what_legacy_logins_are_allowed_is_taken_in_on_reload() {
    let place = Place::start();
    assert!(is_let_in_without_token(&place.address));
    place.app(&["rotate", APP]).expect("a certificate");
    let wait_for = |is_open: bool| {
        until("the rules are taken in", || {
            is_let_in_without_token(&place.address) == is_open
        });
    };
    wait_for(false);
    let set = |change: &str| place.app(&["set", APP, change]).expect("set");
    set("legacy_token_debugging=true");
    wait_for(true);
    let shown = place.app(&["show", APP]).expect("shown");
    let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        squeezed.contains("legacy_token_debugging true set"),
        "{shown}"
    );
    set("legacy_token_debugging=default");
    wait_for(false);
    let error = place.app(&["set", APP, "legacy_force=5"]);
    assert!(error.expect_err("refused").contains("legacy_force"));
}
