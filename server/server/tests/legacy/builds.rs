//! Clients that behave as each public build does: cursors, polls, storms of sockets, reconnects. Source:
//! signaling 2.3, 2.6, 4.8, 6.3, 6.4, 13.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Heard, Legacy, Line};
use crate::common::{self, APP};

/// Silence after which a build acknowledges what it has had.
const TAIL: Duration = Duration::from_secs(1);

/// What tells the builds apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    /// `SigSocket` and node: the cursor is whatever a poll says; nothing is skipped.
    Oldest,
    /// 1.2.1 to 1.3.0: the cursor only rises.
    V121,
    /// 1.3.2: as before, and it says `set_flag`.
    V132,
    /// 1.4.x: as 1.3.2, and it connects again by itself.
    V140,
    /// The Python package: as the oldest, but it cannot read what is pushed, and polls only when it is told to.
    Python,
}

impl Build {
    fn is_modern(self) -> bool {
        matches!(self, Self::V132 | Self::V140)
    }
}

/// A loop that polls: each login of a page starts one, and 1.4.x never stops the one of an earlier login.
#[derive(Debug, Default)]
struct Loop {
    cursor: u64,
    /// What the last answer said.
    cleared: u64,
    /// The poll that is on its way.
    polling: Option<u64>,
    /// When something was last pushed or polled.
    active: Option<Instant>,
}

/// A page.
struct Page {
    build: Build,
    socket: Legacy,
    /// The last is that of the present login.
    loops: Vec<Loop>,
    ids: BTreeSet<String>,
    got: Vec<String>,
}

impl Page {
    fn log_in(address: SocketAddr, build: Build, account: &str) -> Self {
        let socket = match build {
            Build::Python => Legacy::python(address, account),
            _ => Legacy::login(address, account),
        };
        let mut page = Self {
            build,
            socket,
            loops: Vec::new(),
            ids: BTreeSet::new(),
            got: Vec::new(),
        };
        page.begin();
        page
    }

    fn begin(&mut self) {
        if self.build.is_modern() {
            self.socket.say(&json!(["set_flag", {"binary": 1}]));
            self.socket.say(&json!(["ping", 1]));
        }
        self.loops.push(Loop::default());
        self.poll(self.loops.len() - 1);
    }

    /// What 1.4.x does after a loss: a new line; the tables and the old loop stay.
    fn reconnect(&mut self, address: SocketAddr, account: &str) {
        self.socket = Legacy::login(address, account);
        for old in &mut self.loops {
            old.polling = None;
        }
        self.begin();
        // The old loop goes on with its old cursor on the new line.
        self.poll(0);
    }

    fn poll(&mut self, at: usize) {
        let args = json!({"ver_clear": self.loops[at].cursor, "max": 30});
        self.loops[at].polling = Some(self.socket.start("user_getmsg", args));
        self.loops[at].active = Some(Instant::now());
    }

    /// Runs until so many texts have come and everything is acknowledged as far as this build does so.
    fn run(&mut self, texts: usize) {
        let until = Instant::now() + common::PATIENCE * 3;
        while self.got.len() < texts {
            assert!(
                Instant::now() < until,
                "{:?}: {} texts",
                self.build,
                self.got.len()
            );
            self.step();
        }
    }

    fn step(&mut self) {
        match self.socket.next_within(Duration::from_millis(100)) {
            None => {}
            Some(Heard::Frame(frame)) => self.hear(&frame),
            Some(other) => panic!("{:?}: {other:?}", self.build),
        }
        for at in 0..self.loops.len() {
            let one = &self.loops[at];
            let is_quiet = one.active.is_some_and(|active| active.elapsed() >= TAIL);
            let has_tail = self.build != Build::Python;
            if has_tail && one.polling.is_none() && one.cursor > one.cleared && is_quiet {
                self.poll(at);
            }
        }
    }

    fn hear(&mut self, frame: &Value) {
        if frame[0] == "call2-ret" {
            let polled = (0..self.loops.len()).find(|at| {
                self.loops[*at].polling.map(|id| json!(id)).as_ref() == Some(&frame[1][0])
            });
            if let Some(at) = polled {
                self.hear_poll(at, &crate::client::body(&frame[1][2]));
            }
        } else if frame[0] == "notify" && self.build == Build::Python {
            // Whatever it says: a pushed message is lost on it.
            if self.loops[0].polling.is_none() {
                self.poll(0);
            }
        } else if frame[0] == "notify" {
            let text = frame[1].as_str().expect("the text form");
            let item = text.strip_prefix("notify recvmsg ").expect("recvmsg");
            let item: Value = serde_json::from_str(item).expect("JSON");
            let version = item[0].as_u64().expect("a version");
            let last = self.loops.len() - 1;
            self.loops[last].active = Some(Instant::now());
            if version == self.loops[last].cursor + 1 {
                self.process(last, version, &item[1]);
            } else if self.loops[last].polling.is_none() {
                self.poll(last);
            }
        }
    }

    fn hear_poll(&mut self, at: usize, answer: &Value) {
        let base = answer["ver_clear"].as_u64().expect("a number");
        let one = &mut self.loops[at];
        one.polling = None;
        one.active = Some(Instant::now());
        one.cleared = base;
        one.cursor = match self.build {
            Build::Oldest | Build::Python => base,
            _ => one.cursor.max(base),
        };
        for item in answer["msgs"].as_array().expect("a list") {
            let version = item[0].as_u64().expect("a version");
            let skips = !matches!(self.build, Build::Oldest | Build::Python);
            if !skips || version > self.loops[at].cursor {
                self.process(at, version, &item[1]);
            }
        }
    }

    fn process(&mut self, at: usize, version: u64, line: &Value) {
        self.loops[at].cursor = version;
        let line = Line::read(line);
        assert_eq!(
            line.id.is_some(),
            self.build.is_modern(),
            "the form of the line"
        );
        if line.id.is_none_or(|id| self.ids.insert(id)) {
            self.got.push(line.content);
        }
    }

    /// Runs until an answer has acknowledged everything.
    fn run_to_acknowledgement(&mut self) {
        let until = Instant::now() + common::PATIENCE;
        while self.loops[0].cursor > self.loops[0].cleared {
            assert!(Instant::now() < until, "{:?}: no poll", self.build);
            self.step();
        }
    }

    /// The idle poll, whose time would come after 60 s.
    fn poll_idle(&mut self) {
        let last = self.loops.len() - 1;
        self.poll(last);
        while self.loops[last].polling.is_some() {
            self.step();
        }
    }
}

/// What somebody takes for writing: messages that come one by one, not a wait for anything.
fn pace(pause: Duration) {
    if !pause.is_zero() {
        std::thread::sleep(pause);
    }
}

/// Sends the texts of these numbers, without waiting for answers.
fn send(sender: &mut Legacy, peer: &str, numbers: std::ops::Range<usize>, pause: Duration) {
    for n in numbers {
        let args =
            json!({"peer": peer, "flag": "v1:E:3600", "t": "instant", "content": n.to_string()});
        sender.start("user_sendmsg", args);
        pace(pause);
    }
}

/// Waits until the server has what was sent.
fn settle(sender: &mut Legacy, calls: usize) {
    for _ in 0..calls {
        assert_eq!(sender.frame()[0], "call2-ret");
    }
}

/// The run of signaling 6.6.
fn run(build: Build) {
    let server = common::start();
    let address = server.address();
    let mut alice = Legacy::login(address, "alice");
    send(&mut alice, "bob", 0..100, Duration::ZERO);
    settle(&mut alice, 100);
    send(&mut alice, "bob", 100..120, Duration::ZERO);
    let mut bob = Page::log_in(address, build, "bob");
    bob.run(120);
    settle(&mut alice, 20);
    let sending = std::thread::spawn(move || {
        send(&mut alice, "bob", 120..220, Duration::from_millis(15));
        send(&mut alice, "bob", 220..420, Duration::ZERO);
        alice
    });
    bob.run(420);
    let mut alice = sending.join().expect("all sent");
    settle(&mut alice, 300);
    let mut total = 420;
    if build == Build::V140 {
        bob.poll_idle();
        send(&mut alice, "bob", 420..600, Duration::ZERO);
        bob.run(600);
        // Cut with the tail unacknowledged: more come while it is away, and while its old loop polls.
        bob.socket.cut_now();
        settle(&mut alice, 180);
        send(&mut alice, "bob", 600..660, Duration::ZERO);
        settle(&mut alice, 60);
        bob.reconnect(address, "bob");
        send(&mut alice, "bob", 660..810, Duration::ZERO);
        total = 810;
        bob.run(total);
    }
    if build == Build::Python {
        bob.run_to_acknowledgement();
    } else {
        bob.poll_idle();
    }
    let expected: Vec<String> = (0..total).map(|n| n.to_string()).collect();
    assert_eq!(bob.got, expected, "{build:?}");
    match build {
        // It has acknowledged, although it never polls by itself.
        Build::Python => bob.socket.cut_now(),
        _ => drop(bob.socket.call("user_logout", json!({}))),
    }
    let mut last = Legacy::login(address, "bob");
    assert_eq!(
        last.poll(0)["msgs"],
        json!([]),
        "{build:?}: the queue is empty"
    );
    server.end();
}

#[test]
fn sigsocket_and_node_lose_and_repeat_nothing() {
    run(Build::Oldest);
}

#[test]
fn the_builds_from_1_2_1_lose_and_repeat_nothing() {
    run(Build::V121);
}

#[test]
fn the_build_1_3_2_loses_and_repeats_nothing() {
    run(Build::V132);
}

#[test]
fn the_builds_1_4_lose_and_repeat_nothing_over_a_reconnect() {
    run(Build::V140);
}

#[test]
fn the_python_package_loses_and_repeats_nothing() {
    run(Build::Python);
}

/// 1.2.1, 1.3.0-a and a node build open and drop sockets in a loop until `login_ret`.
#[test]
fn a_storm_of_sockets_is_borne() {
    let server = common::start();
    let mut socket = Legacy::open(server.address(), &format!("/legacy/{APP}"));
    for _ in 0..300 {
        Legacy::open(server.address(), &format!("/legacy/{APP}")).cut();
    }
    let started = Instant::now();
    let answer = socket.log_in(&json!("alice"), "_no_need_token");
    assert_eq!(answer["result"], "ok");
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    server.end();
}

/// The node builds take the entries of the list one after the other and do not begin again.
#[test]
fn every_address_of_the_list_leads_here() {
    let server = common::start();
    let answer = common::get(server.address(), &format!("/v14/getaddr?vid={APP}"));
    let (_, text) = answer.split_once("\r\n\r\n").expect("a body");
    let list: Value = serde_json::from_str(text).expect("JSON");
    let web = list["web"].as_array().expect("a list");
    assert!(web.len() >= 16, "{}", web.len());
    for (n, entry) in web.iter().enumerate() {
        let entry = entry.as_str().or_else(|| entry[0].as_str()).expect("a URL");
        let path = entry.splitn(4, '/').nth(3).expect("a path");
        let mut socket = Legacy::open(server.address(), &format!("/{path}"));
        let answer = socket.log_in(&json!(format!("user{n}")), "_no_need_token");
        assert_eq!(answer["result"], "ok", "{entry}");
    }
    server.end();
}
