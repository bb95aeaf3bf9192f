//! Servers with names, keys that may do less, and shells that complete names.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::Place;
use crate::{APP, CERTIFICATE, text};

/// Makes a key in a file; returns the file.
fn key(place: &Place, name: &str, options: &[&str]) -> String {
    let made = place.succeed(&[&["key", "create"], options].concat());
    let file = place.path(name);
    std::fs::write(&file, made.lines().next().expect("a key")).expect("written");
    file
}

#[test]
fn a_server_elsewhere_has_a_name_and_its_key_stays_secret() {
    let place = Place::with(&["--app", &format!("{APP}:{CERTIFICATE}")]);
    let url = format!("http://{}", place.address);
    let admin = key(&place, "admin", &["--role", "admin"]);
    // From here on as on another machine.
    let far = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env_remove("TIDINGS_DATA_DIR");
        command.current_dir(place.folder.path());
        command
    };
    let run = |arguments: &[&str]| {
        let output = far(arguments).output().expect("the program runs");
        let told = text(&output.stdout) + &text(&output.stderr);
        (output.status.code(), told)
    };
    let (code, told) = run(&["context", "list"]);
    assert_eq!(
        (code, told.contains("context add")),
        (Some(0), true),
        "{told}"
    );
    let (code, told) = run(&["who"]);
    assert_eq!(
        (code, told.contains("no server runs on")),
        (Some(1), true),
        "{told}"
    );

    let (code, told) = run(&[
        "context",
        "add",
        "home",
        "--url",
        &url,
        "--key-file",
        &admin,
    ]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("the key is good); in use"), "{told}");
    let mut add = far(&[
        "context",
        "add",
        "piped",
        "--url",
        &format!("{url}/"),
        "--key-file",
        "-",
        "--app",
        &APP[..6],
    ]);
    add.stdin(std::fs::File::open(&admin).expect("a key"));
    let added = add.output().expect("the program runs");
    assert!(added.status.success(), "{added:?}");
    let file = place.folder.path().join("settings/tidings/contexts.toml");
    let mode = std::fs::metadata(&file)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = std::fs::read_to_string(&admin).expect("a key");
    let (_, told) = run(&["context", "list", "--json"]);
    assert!(!told.contains(&secret), "{told}");
    assert!(told.contains(&format!("\"app\":\"{APP}\"")), "{told}");
    let (_, told) = run(&["context", "list"]);
    assert!(
        !told.contains(&secret) && told.starts_with("* home "),
        "{told}"
    );

    for arguments in [
        &["who"][..],
        &["who", "--context", "piped"],
        &["status"],
        &["status", "--json"],
        &["top", "--json", "--count", "1"],
        &["bans"],
        &["events"],
    ] {
        let (code, told) = run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
    }
    let (_, told) = run(&["status"]);
    assert!(
        told.contains("apps       1\n") && told.contains("users      0 sessions"),
        "{told}"
    );
    assert_eq!(run(&["context", "use", "piped"]).0, Some(0));
    assert_eq!(run(&["who"]).0, Some(0));
    // A variable is nearer than the context in use, and an option than a variable.
    let mut who = far(&["who"]);
    who.env("TIDINGS_URL", "http://127.0.0.1:1");
    let output = who.output().expect("the program runs");
    assert!(text(&output.stderr).contains("no answer from http://127.0.0.1:1"));
    who = far(&["who", "--context", "home"]);
    who.env("TIDINGS_URL", "http://127.0.0.1:1");
    assert!(who.output().expect("the program runs").status.success());
    who = far(&["who"]);
    who.env("TIDINGS_URL", &url)
        .env("TIDINGS_KEY", secret.trim());
    assert!(who.output().expect("the program runs").status.success());

    let (code, told) = run(&["context", "use", "hme"]);
    assert_eq!(
        (code, told.contains("did you mean home?")),
        (Some(1), true),
        "{told}"
    );
    assert_eq!(run(&["context", "use", "--none"]).0, Some(0));
    assert_eq!(run(&["who"]).0, Some(1));
    assert_eq!(run(&["context", "remove", "piped"]).0, Some(0));
    let kept = std::fs::read_to_string(&file).expect("a file");
    assert!(!kept.contains(&secret), "the key is gone");
    for (name, url) in [
        ("a b", url.as_str()),
        ("x", "localhost"),
        ("x", "http://127.0.0.1:1"),
    ] {
        let (code, told) = run(&["context", "add", name, "--url", url]);
        assert_eq!((code, told.contains("hint: ")), (Some(1), true), "{told}");
    }
    assert_eq!(
        run(&[
            "context",
            "add",
            "later",
            "--url",
            "http://127.0.0.1:1",
            "--no-check"
        ])
        .0,
        Some(0)
    );
}

#[test]
fn a_key_does_what_it_may_and_a_refusal_says_what_is_missing() {
    let place = Place::with(&["--app", &format!("{APP}:{CERTIFICATE}")]);
    let url = format!("http://{}", place.address);
    let reader = key(&place, "reader", &["--role", "read", "--app", APP]);
    let of_app = key(&place, "of-app", &["--role", "app", "--app", APP]);
    let with = |key: &str, arguments: &[&str]| {
        let all = [arguments, &["--url", &url, "--key-file", key]].concat();
        let output = place.run(&all);
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    assert_eq!(with(&reader, &["who"]).0, Some(0));
    let (code, told) = with(&reader, &["kick", "alice"]);
    assert_eq!(
        (code, told.contains("status 403")),
        (Some(1), true),
        "{told}"
    );
    assert!(told.contains("hint: Use a key with the role"), "{told}");
    let (code, told) = with(&of_app, &["ban", "alice"]);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = with(&of_app, &["status"]);
    assert_eq!(
        (code, told.contains("status 403")),
        (Some(1), true),
        "{told}"
    );
    let (code, told) = with(&of_app, &["top", "--json", "--count", "1"]);
    assert_eq!(
        (code, told.contains("\"is_of_app\":true")),
        (Some(0), true),
        "{told}"
    );
    let other = "f".repeat(32);
    let (code, told) = with(&of_app, &["who", "--app", &other]);
    assert_eq!(
        (code, told.contains("status 403")),
        (Some(1), true),
        "{told}"
    );
    let wrong = place.path("wrong");
    std::fs::write(&wrong, "tdk_abc_wrong").expect("written");
    let (code, told) = with(&wrong, &["who"]);
    assert_eq!(
        (code, told.contains("tidings key list")),
        (Some(1), true),
        "{told}"
    );
    let (code, told) = with(&place.path("missing"), &["who"]);
    assert_eq!(
        (code, told.contains("cannot read the API key")),
        (Some(1), true),
        "{told}"
    );
    let output = place.run(&["who", "--url", &url]);
    assert!(
        text(&output.stderr).contains("hint: give a key"),
        "{output:?}"
    );

    // With a token that the API may not issue, and then may; and with one's own.
    let error = place.fail(&["sub", "lobby"]);
    assert!(error.contains("issue_tokens=true"), "{error}");
    let own = [
        "token",
        "issue",
        "--app",
        &format!("{APP}:{CERTIFICATE}"),
        "--user",
        "alice",
    ];
    let token = place.succeed(&own);
    place.succeed(&["unban", "alice"]);
    let asked = [
        "ask",
        "alice",
        "?",
        "--as",
        "alice",
        "--token",
        token.trim(),
    ];
    assert_eq!(place.succeed(&asked), "?\n", "alice has heard herself");
}

#[test]
fn a_shell_completes_names_from_the_server() {
    let place = Place::new();
    let _alice = place.user("alice", &["lobby", "lounge"]);
    let complete = |words: &[&str]| {
        let mut command = place.command(&["--"]);
        command.arg("tidings").args(words);
        command
            .env("TIDINGS_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
            .env("_CLAP_IFS", "\n");
        let output = command.output().expect("the program runs");
        assert!(output.status.success(), "{output:?}");
        let names = text(&output.stdout);
        names.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["kick", "al"]), ["alice"]);
    assert_eq!(complete(&["channel", "lo"]), ["lobby", "lounge"]);
    assert_eq!(complete(&["pub", ""])[..3], ["alice", "lobby", "lounge"]);
    assert_eq!(complete(&["who", "--channel", "lou"]), ["lounge"]);
    assert_eq!(complete(&["cont"]), ["context"]);
    place.succeed(&["ban", "mallory"]);
    assert_eq!(complete(&["unban", "m"]), ["mallory"]);
    place.succeed(&[
        "context",
        "add",
        "home",
        "--url",
        &format!("http://{}", place.address),
    ]);
    assert_eq!(complete(&["context", "use", "h"]), ["home"]);
    // A server that is not there costs a moment, and no word on the terminal.
    let nobody = complete(&["kick", "--url", "http://127.0.0.1:1", "al"]);
    assert!(nobody.is_empty(), "{nobody:?}");
    for (shell, check) in [("bash", true), ("zsh", false), ("fish", false)] {
        let script = place.succeed(&["reference", "completions", shell]);
        assert!(script.contains("TIDINGS_COMPLETE"), "{script}");
        if check {
            let file = place.path("completions");
            std::fs::write(&file, &script).expect("written");
            let checked = Command::new("bash").args(["-n", &file]).status();
            assert!(checked.expect("bash runs").success());
        }
    }
}
