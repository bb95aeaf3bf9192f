//! Keys of the server-side API, on a stopped and on a running server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use crate::{Running, run, serve, text, tidings};

struct Place {
    data: String,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        Self {
            data: data.to_str().expect("a plain path").to_owned(),
            _folder: folder,
        }
    }

    /// Carries out `tidings key` and returns what it writes.
    fn key(&self, arguments: &[&str]) -> Result<String, String> {
        let output = run(&[&["key"], arguments, &["--data-dir", &self.data]].concat());
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    fn listed(&self) -> Vec<serde_json::Value> {
        let list = self.key(&["list", "--json"]).expect("a list");
        serde_json::from_str(&list).expect("JSON")
    }
}

/// The first line of an output: a key's text.
fn first_line(output: &str) -> &str {
    output.lines().next().expect("a line")
}

fn id_of(key: &str) -> &str {
    key.split('_').nth(1).expect("an id")
}

/// The status that the server answers to a key.
fn status(address: &str, key: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("a server");
    let request = format!(
        "GET /api/v1/keys HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).expect("a status");
    status.parse().expect("a number")
}

#[test]
fn keys_are_made_listed_rotated_and_revoked_without_and_with_a_server() {
    let place = Place::new();
    let made = place
        .key(&["create", "--role", "admin", "--name", "before"])
        .expect("made");
    let before = first_line(&made).to_owned();
    assert!(
        before.starts_with("tdk_") && made.contains("cannot be shown again"),
        "{made}"
    );
    assert_eq!(place.listed()[0]["name"], "before");
    let (server, address) = serve(&["--data-dir", &place.data]);
    assert_eq!(status(&address, &before), 200);
    assert!(place.listed()[0]["used_ms"].is_u64());
    let made = place.key(&["create", "--role", "read"]).expect("made");
    let reader = first_line(&made).to_owned();
    assert_eq!(
        status(&address, &reader),
        200,
        "the running server knows it at once"
    );
    let rotated = place.key(&["rotate", id_of(&before)]).expect("rotated");
    let after = first_line(&rotated).to_owned();
    assert!(
        rotated.contains("The old secret is good until"),
        "{rotated}"
    );
    assert!(status(&address, &before) == 200 && status(&address, &after) == 200);
    let rotated = place
        .key(&["rotate", id_of(&before), "--overlap", "0"])
        .expect("rotated");
    assert!(rotated.contains("The old secret has ended"), "{rotated}");
    let last = first_line(&rotated).to_owned();
    assert_eq!(
        (status(&address, &after), status(&address, &last)),
        (401, 200)
    );
    place.key(&["revoke", id_of(&reader)]).expect("revoked");
    assert_eq!(status(&address, &reader), 401);
    drop(server);
    let states: Vec<_> = place
        .listed()
        .iter()
        .map(|key| key["state"].clone())
        .collect();
    assert_eq!(states, ["active", "revoked"]);
    let (_server, address) = serve(&["--data-dir", &place.data]);
    assert_eq!(
        (status(&address, &last), status(&address, &reader)),
        (200, 401)
    );
}

#[test]
fn wrong_keys_are_refused_with_what_to_do() {
    let place = Place::new();
    let refused = |arguments: &[&str], part: &str| {
        let error = place.key(arguments).expect_err("refused");
        assert!(
            error.contains(part) && error.contains("hint: "),
            "{arguments:?}: {error}"
        );
    };
    refused(&["list"], "there is no store in");
    refused(&["revoke", "abcdefghijkm"], "there is no store in");
    refused(&["create", "--role", "app"], "names the apps");
    refused(&["create", "--role", "app", "--app", "chat"], "no app id");
    refused(&["create", "--role", "king"], "invalid value");
    refused(&["create"], "--role");
    place.key(&["create", "--role", "admin"]).expect("made");
    refused(&["revoke", "abcdefghijkm"], "abcdefghijkm");
    let id = place.listed()[0]["id"].as_str().expect("an id").to_owned();
    refused(&["rotate", &id, "--overlap", "31d"], "cannot stay good");
}

/// Starts a server, ends it when it is ready, and returns what it has written to its standard
/// error.
fn log_of_a_start(arguments: &[&str]) -> String {
    let mut child = tidings(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--hubs",
        "1",
        "--disk-reserve",
        "0",
    ])
    .args(arguments)
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .map(Running)
    .expect("the program runs");
    let mut ready = String::new();
    let mut stdout = BufReader::new(child.0.stdout.take().expect("a pipe"));
    stdout
        .read_line(&mut ready)
        .expect("it says that it is ready");
    assert!(ready.starts_with("tidings is ready"), "{ready:?}");
    let mut stderr = child.0.stderr.take().expect("a pipe");
    drop(child);
    let mut log = String::new();
    stderr.read_to_string(&mut log).expect("text");
    log
}

#[test]
fn the_first_key_of_a_data_directory_is_shown_once() {
    let place = Place::new();
    let shown = |arguments: &[&str]| {
        let log = log_of_a_start(&[arguments, &["--data-dir", &place.data]].concat());
        let key = log.split_whitespace().find(|word| word.starts_with("tdk_"));
        (key.map(str::to_owned), log)
    };
    let (key, log) = shown(&[]);
    let key = key.unwrap_or_else(|| panic!("no key in {log}"));
    assert!(
        log.contains("it is shown only now") && log.contains(id_of(&key)),
        "{log}"
    );
    let (again, _) = shown(&[]);
    assert_eq!(again, None, "not a second time");
    place.key(&["revoke", id_of(&key)]).expect("revoked");
    assert_eq!(shown(&["--dev"]).0, None, "nor when all are revoked");
}
