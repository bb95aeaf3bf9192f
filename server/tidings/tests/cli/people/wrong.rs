//! Servers that are not there, are no servers, or answer badly; readers that go away.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedKey, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::Place;
use crate::{APP, run, text};

/// A server that gives each caller the same answer.
fn answering(answer: &str) -> String {
    let answer = answer.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let Ok(own) = stream.try_clone() else {
                continue;
            };
            // Up to the empty line that ends the head.
            let lines = BufReader::new(own).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn what_is_no_good_answer_is_told_with_what_to_do() {
    let problem =
        r#"{"status":429,"code":"too_often","detail":"too \u001b[2Joften","hint":"Wait."}"#;
    let limited = format!(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{problem}",
        problem.len()
    );
    for (answer, told) in [
        (
            limited.as_str(),
            &[
                "too \\u{1b}[2Joften (status 429, too_often)",
                "hint: try again in 7 s",
            ][..],
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n<html>\u{1b}[2J",
            &["answers as no Tidings server does: status 200, \"<html>\\u{1b}[2J\""],
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            &["status 404, nothing", "hint: check --url"],
        ),
        (
            "HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\nContent-Length: \
             0\r\nConnection: close\r\n\r\n",
            &["answers 301: look at https://example.org/"],
        ),
        ("SSH-2.0-OpenSSH\r\n", &["no answer from http://127.0.0.1"]),
        ("", &["no answer from http://127.0.0.1"]),
    ] {
        let output = run(&["who", "--app", APP, "--url", &answering(answer)]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{answer}: {error}");
        for told in told {
            assert!(error.contains(told), "{told:?} is not in {error:?}");
        }
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
    for (url, hint) in [
        ("http://127.0.0.1:1", "start it with `tidings serve`"),
        ("http://nobody.invalid", "check the name of the host"),
        ("127.0.0.1:7400", "give http://HOST:PORT or https://HOST"),
    ] {
        let output = run(&["who", "--app", APP, "--url", url]);
        let error = text(&output.stderr);
        assert!(error.contains(hint), "{error}");
    }
    let https = answering("HTTP/1.1 400 Bad Request\r\n\r\n").replace("http:", "https:");
    let error = text(&run(&["who", "--app", APP, "--url", &https]).stderr);
    assert!(
        error.contains("nothing speaks TLS there; try http://"),
        "{error}"
    );
}

#[test]
fn tls_is_checked_against_the_authorities_that_are_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("plain").to_owned();
    let (authority, made) = certificates();
    std::fs::write(path("ca.pem"), authority).expect("written");
    std::fs::write(path("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("written");
    std::fs::write(path("no.pem"), "hello").expect("written");
    let data = path("data");
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let secret = "tdk_test_0123456789abcdef";
    let mut server = crate::tidings(&["serve", "--dev", "--listen", "127.0.0.1:0", "--hubs", "1"])
        .args([
            "--disk-reserve",
            "0",
            "--data-dir",
            &data,
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
        ])
        .env("TIDINGS_API_KEY", secret)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(crate::Running)
        .expect("the program runs");
    let mut ready = String::new();
    let out = server.0.stdout.take().expect("a pipe");
    BufReader::new(out).read_line(&mut ready).expect("ready");
    let port = ready
        .split(':')
        .nth(2 + usize::from(ready.contains("ready: ")))
        .expect(&ready);
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let url = format!("https://localhost:{port}");
    let who = |options: &[&str]| {
        let all = [&["who", "--app", APP], options].concat();
        let output = crate::tidings(&all).env("TIDINGS_KEY", secret).output();
        let output = output.expect("the program runs");
        (
            output.status.success(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    let (is_good, told) = who(&["--url", &url]);
    assert!(!is_good && told.contains("add --ca-file FILE"), "{told}");
    let ca = path("ca.pem");
    for option in ["--ca-file", "--ca"] {
        let (is_good, told) = who(&["--url", &url, option, &ca]);
        assert!(is_good, "{told}");
    }
    let other = format!("https://127.0.0.1:{port}");
    let (is_good, told) = who(&["--url", &other, "--ca-file", &ca]);
    assert!(
        !is_good && told.contains("must be one of the certificate's"),
        "{told}"
    );
    let (is_good, told) = who(&["--url", &url, "--ca-file", &path("no.pem")]);
    assert!(!is_good && told.contains("BEGIN CERTIFICATE"), "{told}");
    let plain = format!("http://localhost:{port}");
    let (is_good, told) = who(&["--url", &plain]);
    assert!(!is_good, "{told}");
    // On the server's own machine its address is known to be its own.
    let (is_good, told) = who(&["--data-dir", &data]);
    assert!(is_good, "{told}");
    logged_in_commands_believe_the_authority(&url, &ca, secret);
}

/// An authority of one's own as PEM, and what it vouches for: a server `localhost`.
fn certificates() -> (String, CertifiedKey<KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("a name");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pem = authority.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, key);
    let signing_key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let cert = server
        .signed_by(&signing_key, &issuer)
        .expect("vouched for");
    (pem, CertifiedKey { cert, signing_key })
}

/// `sub`, `ask` and `bench` reach the server as clients do, and believe whom the API's calls
/// believe.
fn logged_in_commands_believe_the_authority(url: &str, ca: &str, secret: &str) {
    let command = |arguments: &[&str], ca: &str| {
        let mut command = crate::tidings(arguments);
        command.args(["--app", APP, "--url", url, "--ca", ca]);
        command.env("TIDINGS_KEY", secret).stdin(Stdio::null());
        command
    };
    let mut sub = command(&["sub", "lobby", "--count", "1", "--as", "listener"], ca)
        .stdout(Stdio::piped())
        .spawn()
        .map(crate::Running)
        .expect("the program runs");
    crate::until("the message has come", || {
        let published = command(&["pub", "lobby", "over TLS"], ca).output();
        assert!(published.expect("the program runs").status.success());
        sub.0.try_wait().expect("a state").is_some()
    });
    let mut told = String::new();
    let mut out = sub.0.stdout.take().expect("a pipe");
    out.read_to_string(&mut told).expect("text");
    assert!(told.contains("over TLS"), "{told}");
    let asked = command(&["ask", "nobody", "there?", "--wait", "1"], ca).output();
    let told = text(&asked.expect("the program runs").stderr);
    assert!(
        told.contains("nobody") && !told.contains("no login"),
        "{told}"
    );
    let bench = ["bench", "--clients", "2", "--rate", "10", "--time", "1"];
    let output = command(&bench, ca).output().expect("the program runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_goes_away_ends_a_command_silently() {
    let place = Place::new();
    let _alice = place.user("alice", &["lobby"]);
    for arguments in [
        &["who"][..],
        &["who", "--json"],
        &["user", "alice"],
        &["channels"],
        &["channel", "lobby"],
        &["events", "--app", APP],
        &["bans"],
        &["status"],
        &["context", "list"],
        &["pub", "lobby", "hello"],
        &["top", "--json", "--interval", "500ms"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = place
            .command(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the program runs");
        let error = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        assert_eq!(error, "", "{arguments:?}");
    }
}

#[test]
fn a_command_line_that_is_wrong_says_so() {
    let place = Place::new();
    for arguments in [
        &["user"][..],
        &["who", "--protocol", "smoke"],
        &["who", "--limit", "few"],
        &["who", "--context", "a", "--url", "http://b"],
        &["pub", "lobby"],
        &["pub", "lobby", "x", "--wait"],
        &["kick", "a", "--channel", "b", "--ban", "1h"],
        &["ban"],
        &["ban", "a", "--may-not", "dance"],
        &["unban"],
        &["bench", "--clients", "1"],
        &["top", "--count", "1"],
        &["tail", "everything"],
        &["context", "use"],
        &["sub"],
        &["ask", "bob"],
    ] {
        let output = place.run(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains("hint: add --help"), "{error}");
    }
    let error = place.fail(&["who", "--app", "nope"]);
    assert!(
        error.contains("there is no app with the id or name \"nope\""),
        "{error}"
    );
    let error = place.fail(&["user", "a\u{1b}b", "--app", APP]);
    assert!(
        error.contains("\\u{1b}") && !error.contains('\u{1b}'),
        "{error:?}"
    );
    let error = place.fail(&["unban", "--id", "99", "--app", APP]);
    assert!(error.contains("99"), "{error}");
    let error = place.fail(&["events", "--after", "yesterday", "--app", APP]);
    assert!(error.contains("after"), "{error}");
    let mut binary = place.command(&["pub", "lobby", "-", "--app", APP]);
    let mut child = binary
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"\xff")
        .expect("written");
    let mut error = String::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut error)
        .expect("text");
    assert!(error.contains("add --raw"), "{error}");
    child.wait().expect("it ends");
}
