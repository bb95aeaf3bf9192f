//! Servers with names, keys that may do less, and shells that complete names.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
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

/// A person at another machine: neither data directory nor key are near.
struct Far<'a> {
    place: &'a Place,
    url: String,
    admin: String,
    /// Stand between the words, as in a shell.
    variables: Vec<(&'static str, String)>,
}

impl<'a> Far<'a> {
    fn new(place: &'a Place) -> Self {
        Self {
            place,
            url: format!("http://{}", place.address),
            admin: key(place, "admin", &["--role", "admin"]),
            variables: Vec::new(),
        }
    }

    fn with(&self, variables: &[(&'static str, &str)]) -> Self {
        let own = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
        Self {
            url: self.url.clone(),
            admin: self.admin.clone(),
            variables: variables.iter().map(own).collect(),
            ..*self
        }
    }

    fn command(&self, words: &str) -> Command {
        let words = words
            .replace("URL", &self.url)
            .replace("ADMIN", &self.admin);
        let words: Vec<_> = words.split_whitespace().collect();
        let mut command = self.place.command(&words);
        command
            .env_remove("TIDINGS_DATA_DIR")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.place.folder.path());
        command
    }

    /// Runs a command, in which URL and ADMIN are the server and the admin's key; returns what it
    /// says, if its exit code is this.
    fn says(&self, code: i32, words: &str) -> String {
        let output = self.command(words).output().expect("the program runs");
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {told}");
        told
    }

    fn contexts(&self) -> PathBuf {
        let folder = self.place.folder.path();
        folder.join("settings/tidings/contexts.toml")
    }
}

#[test]
fn a_server_elsewhere_has_a_name_and_its_key_stays_secret() {
    let place = Place::with(&["--app", &format!("{APP}:{CERTIFICATE}")]);
    let far = Far::new(&place);
    assert!(far.says(0, "context list").contains("context add"));
    assert!(far.says(1, "who").contains("no server runs on"));
    let told = far.says(0, "context add home --url URL --key-file ADMIN");
    assert!(told.contains("the key is good); in use"), "{told}");
    let words = format!(
        "context add piped --url URL/ --key-file - --app {}",
        &APP[..6]
    );
    let mut add = far.command(&words);
    add.stdin(std::fs::File::open(&far.admin).expect("a key"));
    let added = add.output().expect("the program runs");
    assert!(added.status.success(), "{added:?}");

    let mode = std::fs::metadata(far.contexts())
        .expect("a file")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(&far.admin).expect("a key");
    let told = far.says(0, "context list --json");
    assert!(!told.contains(&secret), "{told}");
    assert!(told.contains(&format!("\"app\":\"{APP}\"")), "{told}");
    let told = far.says(0, "context list");
    assert!(
        !told.contains(&secret) && told.starts_with("* home "),
        "{told}"
    );
    far.says(0, "context remove piped");
    let kept = std::fs::read_to_string(far.contexts()).expect("a file");
    assert!(!kept.contains(&secret), "the key is gone");
}

#[test]
fn the_server_that_is_named_last_and_nearest_is_meant() {
    let place = Place::with(&["--app", &format!("{APP}:{CERTIFICATE}")]);
    let far = Far::new(&place);
    far.says(0, "context add home --url URL --key-file ADMIN");
    far.says(0, "context add gone --url http://127.0.0.1:1 --no-check");
    for words in [
        "who",
        "who --context home",
        "status --json",
        "top --json --count 1",
        "bans",
        "events",
    ] {
        far.says(0, words);
    }
    let told = far.says(0, "status");
    assert!(told.contains("apps       1\n"), "{told}");
    assert!(told.contains("users      0 sessions"), "{told}");
    let nowhere = far.with(&[("TIDINGS_URL", "http://127.0.0.1:1")]);
    let told = nowhere.says(1, "who");
    assert!(told.contains("no answer from http://127.0.0.1:1"), "{told}");
    nowhere.says(0, "who --context home");
    far.with(&[("TIDINGS_CONTEXT", "gone")]).says(1, "who");
    let secret = std::fs::read_to_string(&far.admin).expect("a key");
    let variables = [
        ("TIDINGS_URL", far.url.as_str()),
        ("TIDINGS_KEY", secret.as_str()),
    ];
    far.with(&variables).says(0, "who");

    far.says(0, "context use gone");
    far.says(1, "who");
    let told = far.says(1, "context use hme");
    assert!(told.contains("did you mean home?"), "{told}");
    far.says(0, "context use --none");
    assert!(far.says(1, "who").contains("no server runs on"));
    for words in [
        "context add a/b --url URL",
        "context add x --url localhost",
        "context add x --url http://127.0.0.1:1",
        "context remove x",
    ] {
        assert!(far.says(1, words).contains("\nhint: "), "{words}");
    }
}

#[test]
fn a_key_does_what_it_may_and_a_refusal_says_what_is_missing() {
    let place = Place::with(&["--app", &format!("{APP}:{CERTIFICATE}")]);
    let far = Far::new(&place);
    let reader = key(&place, "reader", &["--role", "read", "--app", APP]);
    let of_app = key(&place, "of-app", &["--role", "app", "--app", APP]);
    let wrong = place.path("wrong");
    std::fs::write(&wrong, "tdk_abc_wrong").expect("written");
    let says = |code: i32, key: &str, words: &str| {
        far.says(code, &format!("{words} --url URL --key-file {key}"))
    };
    says(0, &reader, "who");
    says(0, &of_app, "ban alice");
    says(0, &of_app, "unban alice");
    let told = says(0, &of_app, "top --json --count 1");
    assert!(told.contains("\"is_of_app\":true"), "{told}");
    let other = format!("who --app {}", "f".repeat(32));
    for (key, words, said) in [
        (&reader, "kick alice", "status 403"),
        (&reader, "kick alice", "hint: Use a key with the role"),
        (&of_app, "status", "status 403"),
        (&of_app, other.as_str(), "status 403"),
        (&wrong, "who", "tidings key list"),
        (&place.path("missing"), "who", "cannot read the API key"),
    ] {
        let told = says(1, key, words);
        assert!(told.contains(said), "{words}: {told}");
    }
    let told = far.says(1, "who --url URL");
    assert!(told.contains("hint: give a key"), "{told}");
}

#[test]
fn a_user_logs_in_with_a_token_of_the_server_or_with_an_own_one() {
    let app = format!("{APP}:{CERTIFICATE}");
    let place = Place::with(&["--app", &app]);
    let error = place.fail(&["sub", "lobby"]);
    assert!(error.contains("issue_tokens=true"), "{error}");
    let token = place.succeed(&["token", "issue", "--app", &app, "--user", "alice"]);
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
    let asked = ["ask", "alice", "?", "--as", "bob", "--token", token.trim()];
    let error = place.fail(&asked);
    assert!(error.contains("bob cannot log in"), "{error}");

    let place = Place::with(&[]);
    let made = place.succeed(&["app", "create", "--id", APP]);
    assert!(made.contains(APP), "{made}");
    place.succeed(&["app", "set", APP, "issue_tokens=true"]);
    assert_eq!(place.succeed(&["ask", "me", "?", "--as", "me"]), "?\n");
    let report = place.line(&["bench", "--time", "1s", "--clients", "2", "--rate", "2"]);
    assert_eq!(report["delivered"], 2, "{report}");
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
