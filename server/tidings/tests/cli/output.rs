//! Output that cannot be written costs output, never the server.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::{APP, PATIENCE, Running, run, succeed, text, tidings, until};

/// A running server whose log goes to `log`.
pub(crate) fn serve_with(data: &str, log: Stdio, options: &[&str]) -> (Running, String) {
    let mut child = tidings(&["serve", "--dev", "--listen", "127.0.0.1:0", "--hubs", "1"])
        .args(["--disk-reserve", "0", "--data-dir", data])
        .args(options)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map(Running)
        .expect("the program runs");
    let mut ready = String::new();
    BufReader::new(child.0.stdout.take().expect("a pipe"))
        .read_line(&mut ready)
        .expect("the program says that it is ready");
    let address = ready.strip_prefix("tidings is ready: http://");
    let address = address
        .and_then(|rest| rest.split('/').next())
        .expect(&ready);
    (child, address.to_owned())
}

fn reload(data: &str) {
    succeed(&["reload", "--data-dir", data]);
}

/// The server answers, and has not ended.
fn check_alive(child: &mut Child, data: &str) {
    assert!(succeed(&["status", "--data-dir", data]).contains("process"));
    assert!(child.try_wait().expect("a state").is_none());
}

pub(crate) fn data_dir(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("data");
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn a_log_reader_that_goes_away_costs_the_log_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let (mut server, _) = serve_with(&data, Stdio::piped(), &[]);
    drop(server.0.stderr.take());
    for _ in 0..3 {
        reload(&data);
    }
    check_alive(&mut server.0, &data);
}

#[test]
fn a_full_disk_under_the_log_costs_the_log_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let full = OpenOptions::new().write(true).open("/dev/full");
    let security = ["--security-log", "/dev/full"];
    let (mut server, _) = serve_with(&data, full.expect("a device").into(), &security);
    for _ in 0..3 {
        reload(&data);
    }
    check_alive(&mut server.0, &data);
}

#[test]
fn a_log_reader_that_stops_reading_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let (mut unread, writer) = std::io::pipe().expect("a pipe");
    let size = rustix::pipe::fcntl_setpipe_size(&writer, 4_096).expect("a small pipe");
    let (mut server, _) = serve_with(&data, writer.into(), &[]);
    // A broken file makes errors, for which the log is waited for while it can be written.
    let apps = std::path::Path::new(&data).join("apps.toml");
    let long = format!("[[app]]\nid = \"{}\"\n", "x".repeat(2_000));
    fs::write(&apps, long).expect("written");
    let begin = Instant::now();
    for _ in 0..40 {
        assert!(!run(&["reload", "--data-dir", &data]).status.success());
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    fs::remove_file(&apps).expect("removed");
    check_alive(&mut server.0, &data);
    // It ends although its log is stuck.
    let pid = server.0.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(killed.expect("kill runs").success());
    until("the server has ended", || {
        server.0.try_wait().expect("a state").is_some()
    });
    let mut log = Vec::new();
    unread.read_to_end(&mut log).expect("a log");
    // What the pipe did not hold was lost, or else nobody would have been held up.
    let seen = text(&log).matches("the apps stay as they were").count();
    assert!((1..40).contains(&seen), "{seen} of 40 in {size} bytes");
}

#[test]
fn a_log_that_was_closed_before_the_start_costs_the_log_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let program = env!("CARGO_BIN_EXE_tidings");
    let mut child = std::process::Command::new("sh")
        .args(["-c", "exec \"$@\" 2>&-", "sh", program, "serve", "--dev"])
        .args(["--listen", "127.0.0.1:0", "--hubs", "1", "--log", "debug"])
        .args(["--disk-reserve", "0", "--data-dir", &data])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Running)
        .expect("the program runs");
    let mut ready = String::new();
    BufReader::new(child.0.stdout.take().expect("a pipe"))
        .read_line(&mut ready)
        .expect("the program says that it is ready");
    assert!(ready.starts_with("tidings is ready"), "{ready}");
    for _ in 0..3 {
        reload(&data);
    }
    check_alive(&mut child.0, &data);
}

#[test]
fn a_stuck_log_slows_nobody_however_much_is_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let (_unread, writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4_096).expect("a small pipe");
    let (mut server, address) = serve_with(&data, writer.into(), &["--log", "trace"]);
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let begin = Instant::now();
    for _ in 0..500 {
        let answer = agent.get(format!("http://{address}/readyz")).call();
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    check_alive(&mut server.0, &data);
}

#[test]
fn lines_that_come_again_and_again_are_summed_up_and_each_is_an_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let path = folder.path().join("log");
    let log = fs::File::create(&path).expect("a file");
    let (mut server, _) = serve_with(&data, log.into(), &["--log-format", "json"]);
    const RELOADS: u64 = 40;
    for _ in 0..RELOADS {
        reload(&data);
    }
    let pid = server.0.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(killed.expect("kill runs").success());
    until("the server has ended", || {
        server.0.try_wait().expect("a state").is_some()
    });
    let text = fs::read_to_string(&path).expect("a log");
    let (mut written, mut summed_up) = (0, 0);
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field} of {line}");
        }
        written += u64::from(line["message"] == "the apps were reloaded");
        if line["of"] == "the apps were reloaded" {
            assert_eq!(line["from"], "tidings::serve", "{line}");
            summed_up += line["lines"].as_u64().expect("a number");
        }
    }
    assert!(written < RELOADS && summed_up > 0, "{written}: {text}");
    assert_eq!(written + summed_up, RELOADS, "{text}");
}

#[test]
fn commands_whose_output_cannot_be_written_say_so_and_do_not_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let commands: &[&[&str]] = &[
        &["app", "create", "--id", APP, "--open", "--data-dir", &data],
        &["app", "list", "--data-dir", &data],
        &["app", "show", APP, "--data-dir", &data],
        &["--help"],
        &["reference", "settings"],
        &["reference", "completions", "bash"],
        &[
            "doctor",
            "--dev",
            "--listen",
            "127.0.0.1:0",
            "--disk-reserve",
            "0",
            "--data-dir",
            &data,
        ],
    ];
    for arguments in commands {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a device");
        let output = tidings(arguments)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("the program runs");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(
            error.contains("could not be written"),
            "{arguments:?}: {error}"
        );
        assert!(!error.contains("panicked"), "{error}");
    }
    for arguments in commands.iter().skip(1) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = tidings(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("the program runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
    }
    // Nobody to tell of an error either.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = tidings(&["serve", "--log", "verbose"])
        .stderr(writer)
        .status();
    assert_eq!(status.expect("the program runs").code(), Some(1));
}

#[test]
fn security_events_go_to_a_file_of_their_own_that_can_be_moved_away() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let file = folder.path().join("security.log");
    let path = file.to_str().expect("a plain path");
    let log = fs::File::create(folder.path().join("log")).expect("a file");
    let (server, address) = serve_with(&data, log.into(), &["--security-log", path]);
    let login = |user: &str| {
        let endpoint = format!("ws://{address}");
        let place = ["--listen", "127.0.0.1:0", "--data-dir", &data];
        let user = ["--endpoint", &endpoint, "--user", user];
        let output = tidings(&["doctor", "--dev", "--disk-reserve", "0"])
            .args(place)
            .args(user)
            .output();
        assert!(output.expect("the program runs").status.success());
    };
    let wait_for = |path: &std::path::Path, what: &str| -> serde_json::Value {
        let mut found = None;
        until(&format!("{what} in {}", path.display()), || {
            let lines = fs::read_to_string(path).unwrap_or_default();
            let line = lines.lines().find(|line| line.contains(what));
            found = line.map(|line| serde_json::from_str(line).expect("JSON"));
            found.is_some()
        });
        found.expect("it was seen")
    };
    login("alice");
    let line = wait_for(&file, "alice");
    assert_eq!(line["event"], "login", "{line}");
    assert_eq!(line["source"], "127.0.0.1", "{line}");
    assert!(
        line["timestamp"].is_string() && line["connection"].is_number(),
        "{line}"
    );
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let moved = folder.path().join("security.log.1");
    fs::rename(&file, &moved).expect("moved");
    // The command itself is an event.
    succeed(&["app", "create", "--id", APP, "--open", "--data-dir", &data]);
    login("bob");
    assert_eq!(wait_for(&file, "bob")["user"], "bob");
    // Told just before the reload, it may stand in either file.
    let is_there = |path: &std::path::Path| {
        fs::read_to_string(path).is_ok_and(|lines| lines.contains("app create"))
    };
    let place = if is_there(&moved) { &moved } else { &file };
    let told = wait_for(place, "app create");
    assert_eq!(
        (&told["event"], &told["app"]),
        (&"operator".into(), &APP.into())
    );
    drop(server);
    let log = fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(!log.contains("alice"), "it is in the other file: {log}");
}
