//! The program as a user meets it: help texts, errors, a run from start to end.
//!
//! Output is compared with files in `tests/expected`; `UPDATE_EXPECTED=1` rewrites them, to be read
//! before they are committed.

mod apps;
mod cluster;
mod keys;
mod log_lines;
mod media;
mod numbers;
mod otlp;
mod output;
mod people;
mod place;
mod revoke;
mod running;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const APP: &str = "0123456789abcdef0123456789abcdef";
const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";

/// Longer than anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again until something holds of which nothing tells, such as a line in a file.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The program, without settings from the environment of the test.
fn tidings(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(arguments).env_clear().env("COLUMNS", "100");
    command
}

fn run(arguments: &[&str]) -> Output {
    tidings(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

/// Runs a command that must succeed; returns what it prints.
fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = text(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program writes text")
}

fn expect(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/expected")
        .join(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, found).expect("the file is written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{} differs", path.display());
}

#[test]
fn help_texts() {
    for command in people::COMMANDS {
        help_text(&format!("help-{command}.txt"), &[command, "--help"]);
    }
    for (name, arguments) in [
        ("help-app-create.txt", &["app", "create", "--help"][..]),
        ("help-app-rotate.txt", &["app", "rotate", "--help"]),
        ("help.txt", &["--help"]),
        ("help-serve.txt", &["serve", "--help"]),
        ("help-token-issue.txt", &["token", "issue", "--help"]),
        ("help-token-inspect.txt", &["token", "inspect", "--help"]),
        ("help-app.txt", &["app", "--help"]),
        ("help-app-set.txt", &["app", "set", "--help"]),
        ("help-key.txt", &["key", "--help"]),
        ("help-key-create.txt", &["key", "create", "--help"]),
        ("help-store.txt", &["store", "--help"]),
        ("help-media.txt", &["media", "--help"]),
        ("help-doctor.txt", &["doctor", "--help"]),
        ("help-reference.txt", &["reference", "--help"]),
        ("help-context-add.txt", &["context", "add", "--help"]),
        ("help-cluster.txt", &["cluster", "--help"]),
        ("help-cluster-drain.txt", &["cluster", "drain", "--help"]),
    ] {
        help_text(name, arguments);
    }
}

fn help_text(name: &str, arguments: &[&str]) {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}");
    let stdout = text(&output.stdout);
    // Lines of nothing but indentation would not survive an editor.
    let trimmed: Vec<_> = stdout.lines().map(str::trim_end).collect();
    expect(name, &(trimmed.join("\n") + "\n"));
}

#[test]
fn errors_say_what_happened_and_what_to_do() {
    let app = &format!("{APP}:{CERTIFICATE}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("the file is written");
        path.to_str().expect("a plain path").to_owned()
    };
    let unknown_key = file(
        "unknown-key.toml",
        "listen = \"127.0.0.1:0\"\nlisten-to = \"me\"\n",
    );
    let wrong_type = file("wrong-type.toml", "hubs = \"many\"\n");
    let no_toml = file("no-toml.toml", "listen = 127.0.0.1:0\n");
    let secret = file("secret.toml", &format!("app = [\"{app}\", 5]\n"));
    let empty = file("empty.pem", "");
    let missing = folder
        .path()
        .join("missing")
        .to_str()
        .expect("a plain path")
        .to_owned();
    let data = folder
        .path()
        .join("data")
        .to_str()
        .expect("a plain path")
        .to_owned();
    let cases: &[&[&str]] = &[
        &["serve", "--lisen", "127.0.0.1:0"],
        &["serve", "--listen", "localhost"],
        &["serve", "--listen", ":7400"],
        &["serve", "--memory-max", "1X"],
        &["serve", "--dev", "--memory-max", "1M"],
        &["serve", "--dev", "--drain-window", "1m"],
        &["serve", "--dev", "--origin", "app.example.org"],
        &["serve", "--dev", "--origin", "https://x.example/"],
        &["serve", "--dev", "--legacy-public-url", "foo"],
        &["serve", "--dev", "perhaps"],
        &["serve", "--app", app, "--log", "verbose"],
        &["serve", "--app-file", &missing],
        &["serve", "--app", "chat"],
        &["serve", "--app", &format!("{APP}:secret")],
        &["serve", "--app", app, "--app", app],
        &["serve", "--app", app, "--listen", "0.0.0.0:7400"],
        &["serve", "--app", app, "--tls-cert", "cert.pem"],
        &[
            "serve",
            "--app",
            app,
            "--tls-cert",
            &missing,
            "--tls-key",
            &missing,
        ],
        &[
            "serve",
            "--app",
            app,
            "--tls-cert",
            &empty,
            "--tls-key",
            &empty,
        ],
        &["serve", "--app", app, "--hubs", "0"],
        &[
            "serve",
            "--app",
            app,
            "--listen",
            "192.0.2.1:7400",
            "--insecure",
            "--data-dir",
            &data,
        ],
        &["serve", "--app", app, "--data-dir", &empty],
        &["serve", "--app", app, "--log", "loud=very"],
        &["serve", "--config", &missing],
        &["serve", "--config", &unknown_key],
        &["serve", "--config", &wrong_type],
        &["serve", "--config", &no_toml],
        &["serve", "--config", &secret],
        &["token", "issue", "--app", APP, "--user", "alice"],
        &["token", "issue", "--app", app, "--user", "al\"ice"],
        &[
            "token",
            "issue",
            "--app",
            app,
            "--user",
            "alice",
            "--lifetime",
            "0",
        ],
        &["token", "inspect", "hello"],
        &["app", "create", "--id", "chat", "--data-dir", &data],
        &[
            "app",
            "create",
            "--certificate",
            "short",
            "--data-dir",
            &data,
        ],
        &["app", "delete", APP, "--data-dir", &data],
        &["status", "--data-dir", &data],
        &["reload", "--data-dir", &data],
        &["app", "rotate", APP, "--data-dir", &data],
        &["app", "list", "--data-dir", &empty],
        &["store", "verify", "--data-dir", &missing],
        &["store", "restore", "--from", &missing, "--data-dir", &data],
    ];
    let mut all = String::new();
    for arguments in cases {
        let output = run(arguments);
        assert!(!output.status.success(), "{arguments:?} does not fail");
        let error = text(&output.stderr);
        assert_eq!(error.matches("hint: ").count(), 1, "{arguments:?}: {error}");
        assert!(
            !error.contains(CERTIFICATE),
            "{arguments:?} shows a certificate: {error}"
        );
        all += &format!("$ tidings {}\n{error}\n", arguments.join(" "));
    }
    expect(
        "errors.txt",
        &all.replace(folder.path().to_str().expect("a plain path"), "FOLDER"),
    );
}

#[test]
fn a_token_says_what_its_user_may_do() {
    let app = "0123456789abcdef0123456789abcdef:fedcba9876543210fedcba9876543210";
    let issue = |more: &[&str]| {
        let arguments = [&["token", "issue", "--app", app, "--user", "bob"], more].concat();
        run(&arguments)
    };
    let inspect = |more: &[&str]| {
        let output = issue(more);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let output = run(&["token", "inspect", text(&output.stdout).trim()]);
        text(&output.stdout)
    };
    let told = inspect(&[
        "--read-channel",
        "lobby",
        "--write-channel=news-*",
        "--read-user=carol",
        "--write-user",
        "alice",
    ]);
    for permission in [
        "read message channel \"lobby\"",
        "write message channel \"news-*\"",
        "read user \"carol\"",
        "write user \"alice\"",
    ] {
        assert!(told.contains(permission), "{told}");
    }
    assert!(inspect(&["--restricted"]).contains("nothing"));
    assert!(!inspect(&[]).contains("message channel"));
    let refused = issue(&["--format", "006", "--restricted"]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("format 006"));
}

#[test]
fn a_token_is_issued_and_inspected() {
    let app = format!("{APP}:{CERTIFICATE}");
    for format in ["007", "006"] {
        let issued = run(&[
            "token", "issue", "--app", &app, "--user", "alice", "--format", format,
        ]);
        assert!(issued.status.success(), "{}", text(&issued.stderr));
        let token = text(&issued.stdout);
        let mut inspect = tidings(&["token", "inspect", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdin = inspect.stdin.take().expect("a pipe");
        stdin
            .write_all(token.as_bytes())
            .expect("the token is piped");
        drop(stdin);
        let inspected = inspect.wait_with_output().expect("the program ends");
        let description = text(&inspected.stdout);
        assert!(
            description.contains(&format!("format      {format}\n")),
            "{description}"
        );
        assert!(description.contains(APP), "{description}");
        assert!(
            !description.contains("carries no RTM login"),
            "{description}"
        );
        assert!(
            description.contains("(in 23h 59m)") || description.contains("(in 1day)"),
            "{description}"
        );
        assert!(
            description.contains("not checked: give --app"),
            "{description}"
        );
    }
}

#[test]
fn the_guide_lists_the_settings() {
    let output = run(&["reference", "settings"]);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../site/guide/settings.md");
    let made = text(&output.stdout);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&page, &made).expect("the page is written");
    }
    let there = std::fs::read_to_string(&page).unwrap_or_default();
    assert_eq!(made, there, "the page {} is stale", page.display());
}

#[test]
fn the_guide_lists_the_commands() {
    let output = run(&["reference", "commands"]);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../site/guide/commands.md");
    let made = text(&output.stdout);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&page, &made).expect("the page is written");
    }
    let there = std::fs::read_to_string(&page).unwrap_or_default();
    assert_eq!(made, there, "the page {} is stale", page.display());
}

#[test]
fn man_pages_are_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().to_str().expect("a plain path");
    assert!(run(&["reference", "man", "--to", to]).status.success());
    for page in ["tidings.1", "tidings-serve.1", "tidings-app-create.1"] {
        let path = folder.path().join(page);
        let found = std::fs::read_to_string(&path).expect("a man page");
        assert!(found.contains(".SH SYNOPSIS"), "{found}");
    }
}

/// An app that is made, served, looked at, changed, backed up and restored, with what a user would
/// type.
#[test]
fn an_app_lives_in_the_data_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a plain path")
            .to_owned()
    };
    let (data, backup, restored) = (path("data"), path("backup"), path("restored"));
    let made = succeed(&[
        "app",
        "create",
        "--id",
        APP,
        "--name",
        "Classroom",
        "--data-dir",
        &data,
    ]);
    let certificate = made
        .lines()
        .find_map(|line| line.strip_prefix("certificate  "))
        .expect("a certificate")
        .to_owned();
    let listed = succeed(&["app", "list", "--data-dir", &data]);
    assert!(
        listed.contains(APP) && listed.contains("Classroom"),
        "{listed}"
    );
    assert!(
        !listed.contains(&certificate),
        "a list shows no secrets: {listed}"
    );

    let (server, address) = serve(&["--data-dir", &data]);
    let token = succeed(&[
        "token",
        "issue",
        "--app",
        &format!("{APP}:{certificate}"),
        "--user",
        "alice",
    ]);
    let look = |user: &str| {
        run(&[
            "doctor",
            "--data-dir",
            &data,
            "--listen",
            &address,
            "--disk-reserve",
            "0",
            "--user",
            user,
            "--token",
            token.trim(),
        ])
    };
    let found = look("alice");
    assert!(found.status.success(), "{}", text(&found.stdout));
    assert!(
        text(&found.stdout).contains("in, and out again"),
        "{}",
        text(&found.stdout)
    );
    let found = look("bob");
    assert!(!found.status.success(), "alice's token is not for bob");
    assert!(
        text(&found.stdout).contains("not for \"bob\""),
        "{}",
        text(&found.stdout)
    );
    // Also while the server runs.
    assert!(succeed(&["store", "verify", "--data-dir", &data]).contains("everything is sound"));
    drop(server);

    let rotated = succeed(&["app", "rotate", APP, "--data-dir", &data]);
    assert!(!rotated.contains(&certificate), "{rotated}");
    succeed(&["app", "rotate", APP, "--drop-old", "--data-dir", &data]);
    assert!(succeed(&["store", "verify", "--data-dir", &data]).contains("everything is sound"));
    succeed(&["store", "backup", "--data-dir", &data, "--to", &backup]);
    succeed(&[
        "store",
        "restore",
        "--from",
        &backup,
        "--data-dir",
        &restored,
    ]);
    assert!(succeed(&["app", "list", "--data-dir", &restored]).contains(APP));
    let twice = run(&[
        "store",
        "restore",
        "--from",
        &backup,
        "--data-dir",
        &restored,
    ]);
    assert!(
        text(&twice.stderr).contains("not empty"),
        "{}",
        text(&twice.stderr)
    );
}

/// A running server on a free port, and its address.
fn serve(arguments: &[&str]) -> (Running, String) {
    let is_given = arguments.contains(&"--disk-reserve");
    let reserve: &[&str] = if is_given {
        &[]
    } else {
        &["--disk-reserve", "0"]
    };
    let mut child = tidings(&["serve", "--listen", "127.0.0.1:0", "--hubs", "1"])
        .args(reserve)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .expect("the program runs");
    let mut ready = String::new();
    BufReader::new(child.0.stdout.take().expect("a pipe"))
        .read_line(&mut ready)
        .expect("the program says that it is ready");
    let address = ready
        .strip_prefix("tidings is ready: http://")
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_else(|| panic!("not the ready line: {ready:?}"));
    (child, address.to_owned())
}

/// Ends with its test, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_starts_answers_and_ends_on_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tidings.toml");
    // The file's port is bad, the variable's hubs too: the stronger sources must win.
    std::fs::write(&config, "listen = \"192.0.2.1:1\"\nhubs = 0\ndev = true\n").expect("a file");
    let mut child = tidings(&["serve", "--hubs", "2", "--disk-reserve", "0"])
        .arg("--config")
        .arg(&config)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .env("TIDINGS_LISTEN", "127.0.0.1:0")
        .env("TIDINGS_HUBS", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(Running)
        .expect("the program runs");
    let mut ready = String::new();
    let stdout = child.0.stdout.take().expect("a pipe");
    BufReader::new(stdout)
        .read_line(&mut ready)
        .expect("the program says that it is ready");
    let address = ready
        .strip_prefix("tidings is ready: http://")
        .and_then(|rest| rest.strip_suffix("/demo\n"))
        .unwrap_or_else(|| panic!("not the ready line: {ready:?}"));

    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let pid = child.0.id().to_string();
    let killed = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    let status = child.0.wait().expect("the program ends");
    assert!(status.success(), "{status}");
    let mut log = String::new();
    child
        .0
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut log)
        .expect("a log");
    assert!(log.contains("Do not use it in production"), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}
