//! Messages: sent, listened to, asked, measured; events followed.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use super::Place;
use crate::{APP, Running, text, until};

/// A command that goes on, and the lines that it prints.
struct Going {
    child: Running,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Going {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = place
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map(Running)
            .expect("the program runs");
        let out = child.0.stdout.take().expect("a pipe");
        Self {
            child,
            lines: BufReader::new(out).lines(),
        }
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.next()).expect("a line of JSON")
    }
}

/// As Ctrl-C does; where whoever has started the tests has them ignore that, as shells do with what
/// runs in the background, their children do too, and are asked by another signal.
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let status = std::fs::read_to_string("/proc/self/status").expect("the state of this process");
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    const SIGINT: u32 = 2;
    let is_ignored = ignored.is_some_and(|mask| mask >> (SIGINT - 1) & 1 == 1);
    let signal = if is_ignored { "-TERM" } else { "-INT" };
    let killed = std::process::Command::new("kill")
        .args([signal, &pid])
        .status();
    assert!(killed.expect("kill runs").success());
}

fn is_in(place: &Place, channel: &str, count: usize) -> bool {
    place
        .lines(&["who", "--app", APP, "--channel", channel])
        .len()
        == count
}

#[test]
fn a_channel_is_listened_to_and_written_to() {
    let place = Place::new();
    let mut sub = Going::start(
        &place,
        &["sub", "lobby", "--app", APP, "--as", "ear", "--members"],
    );
    until("the listener is in", || is_in(&place, "lobby", 1));
    let alice = place.user("alice", &["lobby"]);
    assert!(sub.next().ends_with("  lobby  alice has joined"));
    let sent = place.succeed(&["pub", "lobby", "red \u{1b}[31m\nalert", "--app", APP]);
    assert!(sent.starts_with("sent: the server has it  "), "{sent}");
    let heard = sub.next();
    assert!(
        heard.ends_with("  lobby  operator: red \\u{1b}[31m\\nalert"),
        "{heard:?}"
    );
    let receipt = place.line(&[
        "pub", "--user", "ear", "psst", "--from", "eve", "--app", APP,
    ]);
    // Whether the listener has confirmed it by then is a matter of time.
    assert!(
        ["sent", "delivered"].contains(&receipt["outcome"].as_str().unwrap_or("")),
        "{receipt}"
    );
    assert!(sub.next().ends_with("  eve: psst"));
    drop(alice);
    interrupt(&sub.child.0);
    let ended = sub.child.0.wait().expect("it ends");
    assert!(ended.success(), "{ended}");
    // It has logged out, and is not merely away.
    until("the listener is out", || {
        place
            .lines(&["who", "--app", APP, "--user", "ear"])
            .is_empty()
    });

    let mut sub = Going::start(
        &place,
        &["sub", "a", "b", "--app", APP, "--count", "2", "--json"],
    );
    until("the listener is in", || is_in(&place, "b", 1));
    let mut date = place.command(&["pub", "b", "-", "--raw", "--app", APP]);
    date.stdin(std::fs::File::open("/dev/null").expect("a device"));
    let empty = date.output().expect("it runs");
    assert!(
        text(&empty.stderr).contains("the payload has 0 bytes"),
        "{empty:?}"
    );
    place.succeed(&["pub", "b", "bytes", "--raw", "--app", APP]);
    place.succeed(&["pub", "a", "--app", APP, "--", "-x"]);
    let heard = sub.json();
    assert_eq!(
        (&heard["channel"], &heard["type"]),
        (&"b".into(), &"raw".into())
    );
    assert_eq!(heard["payload_base64"], "Ynl0ZXM=");
    let heard = sub.json();
    assert_eq!(
        (&heard["from"], &heard["payload"]),
        (&"operator".into(), &"-x".into())
    );
    assert!(sub.child.0.wait().expect("it ends").success());
}

#[test]
fn users_are_written_to_and_asked() {
    let place = Place::new();
    let _bob = place.user("bob", &[]);
    let _hostile = place.user_with("hostile", &[], |_| "\u{1b}]0;title\u{7}".into());
    let answer = place.succeed(&["ask", "bob", "are you there?", "--app", APP]);
    assert_eq!(answer, "you said are you there?\n");
    let answer = place.line(&["ask", "bob", "hm", "--app", APP, "--as", "asker"]);
    assert_eq!(answer["payload"], "you said hm");
    assert!(answer["took_ms"].is_u64());
    let answer = place.succeed(&["ask", "hostile", "?", "--app", APP]);
    assert_eq!(answer, "\\u{1b}]0;title\\u{7}\n");
    let error = place.fail(&["ask", "carol", "?", "--app", APP]);
    assert!(error.contains("carol is not there"), "{error}");
    let error = place.fail(&["pub", "--user", "carol", "?", "--app", APP]);
    assert!(error.contains("--offline keeps the message"), "{error}");
    let kept = place.succeed(&["pub", "--user", "carol", "later", "--offline", "--app", APP]);
    assert!(
        kept.starts_with("stored: it is kept until the user is there"),
        "{kept}"
    );
    assert_eq!(
        place.line(&["user", "carol", "--app", APP])["offline_messages"],
        1
    );
    let got = place.succeed(&["pub", "--user", "bob", "now", "--wait", "--app", APP]);
    assert!(
        got.starts_with("delivered: the user's client has it"),
        "{got}"
    );
    let _silent = place.user_with("silent", &[], |_| String::new());
    let error = place.fail(&["ask", "silent", "?", "--wait", "100ms", "--app", APP]);
    assert!(
        error.contains("silent has not answered within 100ms"),
        "{error}"
    );
}

#[test]
fn events_are_followed_over_a_restart() {
    let mut place = Place::new();
    let mut tail = Going::start(&place, &["tail", "--app", APP, "--user", "alice"]);
    let said = tail.child.0.stderr.take().expect("a pipe");
    let mut said = BufReader::new(said).lines().map_while(Result::ok);
    assert!(said.any(|line| line.starts_with("following")));
    let alice = place.user("alice", &["lobby"]);
    assert!(tail.next().ends_with("  user.login          alice"));
    assert!(
        tail.next()
            .ends_with("  channel.join        alice in lobby")
    );
    place.restart();
    assert!(said.any(|line| line.ends_with("trying again")));
    assert!(said.any(|line| line == "the server is there again"));
    drop(alice);
    let _alice = place.user("alice", &["lounge"]);
    // What has happened meanwhile is told too; how alice's first session ended depends on when.
    let mut next = || tail.next();
    assert!(std::iter::repeat_with(&mut next).any(|line| line.ends_with("alice in lounge")));
    interrupt(&tail.child.0);
    tail.child.0.wait().expect("it ends");
}

#[test]
fn messages_are_followed_where_the_app_records_them() {
    let place = Place::with(&[]);
    let made = place.succeed(&["app", "create", "--id", APP, "--open"]);
    assert!(made.contains(APP), "{made}");
    let mut tail = Going::start(&place, &["tail", "messages", "--json"]);
    let said = tail.child.0.stderr.take().expect("a pipe");
    let mut said = BufReader::new(said).lines().map_while(Result::ok);
    let note = said.next().expect("a note");
    let command = note.split('`').nth(1).expect("a command");
    // The note's own words.
    let words: Vec<_> = command.split(' ').skip(1).collect();
    place.succeed(&words);
    assert!(said.any(|line| line.starts_with("following")));
    place.succeed(&["pub", "lobby", "hello"]);
    let event = tail.json();
    assert_eq!(
        (&event["type"], &event["channel"]),
        (&"message.channel".into(), &"lobby".into())
    );
    assert_eq!(event["bytes"], 5);
    interrupt(&tail.child.0);
    tail.child.0.wait().expect("it ends");
}

#[test]
fn a_load_is_made_and_measured() {
    let place = Place::new();
    let bench = ["bench", "--app", APP, "--time", "1s"];
    let report = place.line(&[&bench[..], &["--clients", "5", "--rate", "40"]].concat());
    assert_eq!(
        (&report["sent"], &report["refused"]),
        (&40.into(), &0.into()),
        "{report}"
    );
    assert_eq!(
        (&report["delivered"], &report["lost"]),
        (&160.into(), &0.into()),
        "{report}"
    );
    assert!(report["delivery_us"]["p50"].as_u64() > Some(0), "{report}");
    assert!(report["server_cpu_percent"].is_f64(), "{report}");
    let told = place.succeed(
        &[
            &bench[..],
            &["--pattern", "pairs", "--clients", "4", "--rate", "20"],
        ]
        .concat(),
    );
    assert!(told.contains("delivered  20 of 20"), "{told}");
    assert!(
        told.lines().all(|line| line.chars().count() <= 100),
        "{told}"
    );
    until("all have logged out", || {
        place.lines(&["who", "--app", APP]).is_empty()
    });
    for (arguments, hint) in [
        (
            &["--clients", "2", "--rate", "1000"][..],
            "give --clients 20",
        ),
        (&["--clients", "1000", "--rate", "1000"], "stay below 50000"),
        (&["--time", "1h"], "1s to 10m"),
    ] {
        let error = place.fail(&[&["bench", "--app", APP][..], arguments].concat());
        assert!(error.contains(hint), "{error}");
    }
}
