//! `tidings doctor --running`: what it finds in servers that are well, and in those with a fault.

use serde_json::Value;
use tidings_client::Client;

use crate::{APP, CERTIFICATE, run, serve, succeed, text};

/// The findings about the server on a directory, and whether none of them is a failure.
fn look(data: &str) -> (Vec<Value>, bool) {
    let output = run(&["doctor", "--running", "--json", "--data-dir", data]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = found["findings"].as_array().expect("a list").clone();
    (findings, output.status.success())
}

/// The finding about something.
fn about<'a>(findings: &'a [Value], what: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["what"] == what);
    found.unwrap_or_else(|| panic!("nothing about {what} in {findings:#?}"))
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path").to_owned();
    (folder, data)
}

#[test]
fn a_server_that_is_well_passes_and_one_that_is_gone_does_not() {
    let (_folder, data) = folder();
    let (server, _) = serve(&["--dev", "--data-dir", &data]);
    let (findings, is_good) = look(&data);
    assert!(is_good, "{findings:#?}");
    for what in ["server", "readiness", "queues", "promises of the contract"] {
        assert_eq!(about(&findings, what)["verdict"], "ok", "{findings:#?}");
    }
    let said = succeed(&["doctor", "--running", "--data-dir", &data]);
    assert!(said.ends_with("everything is as it should be\n"), "{said}");
    drop(server);
    let (findings, is_good) = look(&data);
    assert!(!is_good);
    let gone = about(&findings, "server");
    assert_eq!(gone["verdict"], "fail");
    assert!(
        gone["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--data-dir"))
    );
}

#[test]
fn a_disk_that_is_nearly_full_is_said_with_its_numbers() {
    let (_folder, data) = folder();
    // More than any disk has.
    let (_server, address) = serve(&["--dev", "--disk-reserve", "900TiB", "--data-dir", &data]);
    let (findings, is_good) = look(&data);
    assert!(is_good, "live messages work: {findings:#?}");
    let full = about(&findings, "disk_full");
    assert_eq!(full["verdict"], "warn");
    let found = full["found"].as_str().expect("a text");
    assert!(found.contains("bytes are free"), "{found}");
    let ready = get(&address, "/readyz");
    let (head, body) = ready.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.to_lowercase()
            .contains("content-type: application/json"),
        "{head}"
    );
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["status"], "ready");
    assert_eq!(body["reasons"][0]["reason"], "disk_full");
    assert_eq!(body["reasons"][0]["is_serious"], false);
}

fn get(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn an_app_whose_tokens_are_wrong_is_said_with_the_reason() {
    let (_folder, data) = folder();
    let app = format!("{APP}:{CERTIFICATE}");
    let (_server, address) = serve(&["--app", &app, "--data-dir", &data]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        for n in 0..30 {
            let endpoint = format!("ws://{address}");
            let builder = Client::builder().endpoint(endpoint).app_id(APP);
            let (client, _events) = builder.build().expect("a client");
            let refused = client.login(&format!("user-{n}"), Some("wrong")).await;
            refused.expect_err("a wrong token");
        }
    });
    let (findings, _) = look(&data);
    let logins = about(&findings, "logins");
    assert_eq!(logins["verdict"], "warn", "{findings:#?}");
    assert!(
        logins["found"]
            .as_str()
            .is_some_and(|found| found.contains("invalid_token"))
    );
    assert!(
        logins["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("certificate"))
    );
}

#[test]
fn it_does_not_take_what_is_for_a_login() {
    let output = run(&["doctor", "--running", "--user", "alice"]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains("--running") && said.contains("--user"),
        "{said}"
    );
}
