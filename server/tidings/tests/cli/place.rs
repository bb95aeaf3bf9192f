//! What commands leave in a data directory, and what they find there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::{APP, CERTIFICATE, run, serve, succeed, text, tidings};

fn folder() -> (tempfile::TempDir, impl Fn(&str) -> String) {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path().to_owned();
    let path = move |name: &str| base.join(name).to_str().expect("a plain path").to_owned();
    (folder, path)
}

/// Every file below a directory.
fn files(path: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![path.to_owned()];
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        all.push(entry.path());
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        }
    }
    all
}

#[test]
fn everything_is_its_owners_alone_whatever_the_umask_is() {
    let (_folder, path) = folder();
    let (data, backup) = (path("data"), path("backup"));
    let umask_0 = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_tidings");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "umask 0; exec \"$@\"", "sh", program]);
        command.args(arguments).env_clear().stdin(Stdio::null());
        let output = command.output().expect("sh runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    };
    umask_0(&["app", "create", "--id", APP, "--data-dir", &data]);
    let (server, _) = serve(&["--data-dir", &data]);
    umask_0(&["store", "backup", "--data-dir", &data, "--to", &backup]);
    drop(server);
    umask_0(&["store", "verify", "--data-dir", &data]);
    for file in files(Path::new(&data))
        .iter()
        .chain(&files(Path::new(&backup)))
    {
        let mode = fs::metadata(file).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
}

#[test]
fn what_root_changes_the_services_user_can_read() {
    let (_folder, path) = folder();
    let data = path("data");
    succeed(&["app", "create", "--id", APP, "--data-dir", &data]);
    let (server, _) = serve(&["--data-dir", &data]);
    drop(server);
    let root = fs::metadata(&data).expect("there").uid() == 0;
    assert!(
        root,
        "this test gives files away, which needs root: run it as root, in a container for example"
    );
    for file in files(Path::new(&data)) {
        chown(&file, Some(12_345), Some(12_345)).expect("given away");
    }
    succeed(&["app", "ban", APP, "mallory", "--data-dir", &data]);
    succeed(&["app", "delete", APP, "--data-dir", &data]);
    succeed(&["store", "verify", "--data-dir", &data]);
    succeed(&[
        "store",
        "backup",
        "--data-dir",
        &data,
        "--to",
        &path("backup"),
    ]);
    for file in files(Path::new(&data)) {
        let found = fs::metadata(&file).expect("a file");
        assert_eq!(
            (found.uid(), found.gid()),
            (12_345, 12_345),
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_start_that_fails_and_a_doctor_leave_nothing_behind() {
    let (_folder, path) = folder();
    let data = path("a/data");
    let failed = run(&[
        "serve",
        "--dev",
        "--listen",
        "192.0.2.1:1",
        "--insecure",
        "--data-dir",
        &data,
    ]);
    let error = text(&failed.stderr);
    assert!(!failed.status.success());
    assert!(
        !error.contains("Do not use it in production"),
        "the notice comes after the checks: {error}"
    );
    assert!(!Path::new(&path("a")).exists());
    let looked = run(&[
        "doctor",
        "--dev",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &data,
    ]);
    assert!(
        text(&looked.stdout).contains("does not exist yet"),
        "{}",
        text(&looked.stdout)
    );
    assert!(!Path::new(&path("a")).exists());
}

#[test]
fn a_doctor_says_everything_in_one_place() {
    let (_folder, path) = folder();
    let found = run(&[
        "doctor",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &path("data"),
    ]);
    let said = text(&found.stdout);
    assert_eq!(found.status.code(), Some(1));
    assert_eq!(text(&found.stderr), "");
    assert!(
        said.contains("fail  apps: there are none") && said.contains("one check failed"),
        "{said}"
    );
    let json = [
        "doctor",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        "x",
        "--data-dir",
    ];
    let found = run(&[&json[..], &[&path("data")]].concat());
    let said: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!(said["failed"], 1, "{said}");
    assert_eq!(said["findings"][0]["verdict"], "fail", "{said}");
}

#[test]
fn a_server_without_an_app_starts_and_takes_the_first_in() {
    let (_folder, path) = folder();
    let data = path("data");
    let (_server, address) = serve(&["--data-dir", &data]);
    let made = succeed(&[
        "app",
        "create",
        "--id",
        APP,
        "--certificate",
        CERTIFICATE,
        "--data-dir",
        &data,
    ]);
    assert!(made.contains("has taken it in"), "{made}");
    let spec = format!("{APP}:{CERTIFICATE}");
    let token = succeed(&[
        "token",
        "issue",
        "--app",
        &spec,
        "--user",
        "alice",
        "--lifetime",
        "1h",
    ]);
    let endpoint = format!("ws://{address}");
    let login = |expected: bool| {
        let found = run(&[
            "doctor",
            "--data-dir",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--endpoint",
            &endpoint,
            "--disk-reserve",
            "0",
            "--user",
            "alice",
            "--token",
            token.trim(),
        ]);
        assert_eq!(found.status.success(), expected, "{}", text(&found.stdout));
    };
    login(true);
    let status: serde_json::Value =
        serde_json::from_str(&succeed(&["status", "--json", "--data-dir", &data])).expect("JSON");
    assert_eq!(
        (&status["apps"], &status["store"]),
        (&1.into(), &"everything".into()),
        "{status}"
    );
    succeed(&["app", "disable", APP, "--data-dir", &data]);
    let listed: serde_json::Value =
        serde_json::from_str(&succeed(&["app", "list", "--json", "--data-dir", &data]))
            .expect("JSON");
    assert_eq!(listed[0]["enabled"], false, "{listed}");
    login(false);
    succeed(&["app", "enable", APP, "--data-dir", &data]);
    login(true);
    let deleted = succeed(&["app", "delete", APP, "--data-dir", &data]);
    assert!(deleted.contains("apps.toml.before"), "{deleted}");
    login(false);
}

#[test]
fn apps_come_from_files_and_from_credentials() {
    let (_folder, path) = folder();
    let other = APP.replace('0', "f");
    fs::create_dir(path("credentials")).expect("made");
    fs::write(path("file"), format!("# one\n{APP}:{CERTIFICATE}\n")).expect("written");
    fs::write(path("credentials/apps"), format!("{other}:{CERTIFICATE}\n")).expect("written");
    let looked = tidings(&[
        "doctor",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &path("data"),
    ])
    .args(["--app-file", &path("file"), "--disk-reserve", "0"])
    .env("CREDENTIALS_DIRECTORY", path("credentials"))
    .output()
    .expect("the program runs");
    let said = text(&looked.stdout);
    assert!(said.contains("2 apps are listed"), "{said}");
    assert!(!said.contains(CERTIFICATE), "{said}");
}

#[test]
fn a_mistyped_variable_is_told() {
    let (_folder, path) = folder();
    let with = |name: &str| {
        let output = tidings(&[
            "serve",
            "--listen",
            "192.0.2.1:1",
            "--insecure",
            "--data-dir",
            &path("data"),
        ])
        .env(name, "127.0.0.1:0")
        .output()
        .expect("the program runs");
        text(&output.stderr)
    };
    let told = with("TIDINGS_LISTN");
    assert!(told.contains("did you mean TIDINGS_LISTEN?"), "{told}");
    let told = with("TIDINGS_QQQ");
    assert!(
        told.contains("warning: the variable TIDINGS_QQQ") && told.contains("cannot listen"),
        "{told}"
    );
}

#[test]
fn systemd_is_told_how_the_server_is() {
    let (folder, path) = folder();
    let socket =
        std::os::unix::net::UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a limit");
    let data = path("data");
    let mut child = tidings(&[
        "serve",
        "--dev",
        "--listen",
        "127.0.0.1:0",
        "--hubs",
        "1",
        "--data-dir",
        &data,
    ])
    .env("NOTIFY_SOCKET", path("notify"))
    .env("WATCHDOG_USEC", "400000")
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .map(crate::Running)
    .expect("the program runs");
    let wait_for = |state: &str| {
        let mut buffer = [0; 1_024];
        loop {
            let count = socket.recv(&mut buffer).expect(state);
            if text(&buffer[..count]).lines().any(|line| line == state) {
                return;
            }
        }
    };
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");
    succeed(&["reload", "--data-dir", &data]);
    wait_for("RELOADING=1");
    wait_for("READY=1");
    let pid = child.0.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(killed.expect("kill runs").success());
    wait_for("STOPPING=1");
    assert!(child.0.wait().expect("it ends").success());
}
