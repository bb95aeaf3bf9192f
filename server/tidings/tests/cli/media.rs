//! Files that users have uploaded, as an operator sees them while the server runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::{APP, run, serve, succeed, text};

fn exchange(address: &str, request: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    stream.write_all(request.as_bytes()).expect("a head");
    stream.write_all(body).expect("a body");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_file_is_listed_and_taken_down_while_the_server_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path");
    let (_server, address) = serve(&["--dev", "--data-dir", data]);
    let upload = format!(
        "POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\nTidings-User: alice\r\nContent-Length: 5\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = exchange(&address, &upload, b"hello");
    let id = answer
        .split("\"mediaId\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_else(|| panic!("no id: {answer}"));

    let listed = succeed(&["media", "list", "--data-dir", data]);
    assert!(listed.contains(id) && listed.contains("alice"), "{listed}");
    let other = succeed(&["media", "list", "--user", "bob", "--data-dir", data]);
    assert_eq!(other, "no files\n");
    let json = succeed(&["media", "list", "--app", APP, "--json", "--data-dir", data]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["id"], id);
    assert_eq!(json[0]["bytes"], 5);

    let deleted = succeed(&["media", "delete", APP, id, "--data-dir", data]);
    assert!(deleted.contains(id), "{deleted}");
    let download = format!(
        "GET /v1/media/{APP}/{id} HTTP/1.1\r\nHost: a\r\nTidings-User: alice\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = exchange(&address, &download, b"");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");

    for (arguments, word) in [
        (["media", "delete", APP, id], "media list"),
        (["media", "delete", APP, "../../apps.toml"], "media list"),
        (["media", "delete", "no-app", id], "app list"),
    ] {
        let output = run(&[&arguments[..], &["--data-dir", data]].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
}
