//! A legacy client, written from the protocol's description: the library of build 1.4 as a page
//! uses it. Source: signaling 3, 4, 6.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::LegacySeen;

/// Time between two pings. Source: signaling 3.2.
const PING_MS: u64 = 10_000;
/// Unanswered pings after which a connection is considered dead. Source: signaling 3.2, the build
/// that watches them.
const PINGS_BEHIND_MAX: u64 = 3;
/// Time after the last push or poll until an acknowledgement or an idle poll. Source: signaling
/// 6.4.
const TAIL_MS: u64 = 1_000;
const IDLE_MS: u64 = 60_000;
/// Wait before reconnecting, at first and at most. Source: signaling 4.8.
const RETRY_MS: u64 = 200;
const RETRY_MS_MAX: u64 = 2_000;
/// The client's machine gives up a connection on which a login is not even acknowledged; no timer
/// of the library watches it.
const UNSENT_MS: u64 = 60_000;

/// An instruction of the library.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Say {
    /// Open a connection.
    Open { connection: u64 },
    /// Send a text frame.
    Text { connection: u64, text: String },
    /// Close the connection.
    Close { connection: u64 },
    /// Notify the page.
    Seen(LegacySeen),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Stay disconnected for good.
    Out,
    /// Wait until the next attempt.
    Waiting {
        until_ms: u64,
    },
    Connecting,
    LoggingIn {
        until_ms: u64,
    },
    Ready,
}

/// The library in one page.
#[derive(Debug)]
pub(super) struct LegacyClient {
    app: String,
    account: String,
    /// The arguments of its logins.
    pub(super) token: String,
    state: State,
    /// Number of the current connection.
    connection: u64,
    retry_ms: u64,
    line: String,
    calls: u64,
    /// Unanswered calls, and whether each is a poll.
    asked: BTreeMap<u64, bool>,
    /// The highest version processed, and the version in the last answer to a poll.
    cursor: u64,
    base: u64,
    /// When something was last pushed or polled.
    moved_ms: u64,
    /// The old poll loop: it continues once with its cursor on the new line (4.8).
    stale: Option<(u64, u64)>,
    pings: u64,
    pongs: u64,
    ping_due_ms: u64,
    /// Ids of messages shown to the page: repeats after a reconnect are dropped (6.6). Bound: a
    /// run's messages.
    shown: BTreeSet<String>,
}

impl LegacyClient {
    pub(super) fn new(app: &str, account: &str) -> Self {
        Self {
            app: app.into(),
            account: account.into(),
            token: "_no_need_token".into(),
            state: State::Out,
            connection: 0,
            retry_ms: RETRY_MS,
            line: String::new(),
            calls: 0,
            asked: BTreeMap::new(),
            cursor: 0,
            base: 0,
            moved_ms: 0,
            stale: None,
            pings: 0,
            pongs: 0,
            ping_due_ms: 0,
            shown: BTreeSet::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Waiting { until_ms } | State::LoggingIn { until_ms } => Some(until_ms),
            State::Ready => {
                let stale = self.stale.map_or(u64::MAX, |(at, _)| at);
                Some(self.ping_due_ms.min(self.poll_due_ms()).min(stale))
            }
            State::Out | State::Connecting => None,
        }
    }

    fn is_polling(&self) -> bool {
        self.asked.values().any(|is_poll| *is_poll)
    }

    fn poll_due_ms(&self) -> u64 {
        if self.is_polling() {
            return u64::MAX;
        }
        let wait_ms = if self.cursor > self.base {
            TAIL_MS
        } else {
            IDLE_MS
        };
        self.moved_ms + wait_ms
    }

    pub(super) fn log_in(&mut self, _now_ms: u64, says: &mut Vec<Say>) {
        if self.state == State::Out {
            self.connect(says);
        }
    }

    /// The page logs out: no more events follow.
    pub(super) fn log_out(&mut self, _now_ms: u64, says: &mut Vec<Say>) {
        if self.is_ready() {
            self.ask("user_logout", json!({}), says);
        }
        self.state = State::Out;
        says.push(Say::Close {
            connection: self.connection,
        });
    }

    fn connect(&mut self, says: &mut Vec<Say>) {
        self.state = State::Connecting;
        self.connection += 1;
        says.push(Say::Open {
            connection: self.connection,
        });
    }

    pub(super) fn open(&mut self, now_ms: u64, connection: u64, says: &mut Vec<Say>) {
        if connection != self.connection || self.state != State::Connecting {
            return says.push(Say::Close { connection });
        }
        self.state = State::LoggingIn {
            until_ms: now_ms + UNSENT_MS,
        };
        let login = json!(["login", {
            "vid": self.app, "account": self.account, "uid": 0, "token": self.token,
            "device": "websdk", "ip": "", "line": "",
        }]);
        self.say(&login, says);
    }

    pub(super) fn lose(&mut self, now_ms: u64, connection: u64, _says: &mut Vec<Say>) {
        if connection != self.connection || self.state == State::Out {
            return;
        }
        if self.state == State::Ready {
            self.stale = Some((now_ms, self.cursor));
        }
        self.asked.clear();
        self.state = State::Waiting {
            until_ms: now_ms + self.retry_ms,
        };
        self.retry_ms = (self.retry_ms * 2).min(RETRY_MS_MAX);
    }

    pub(super) fn tick(&mut self, now_ms: u64, says: &mut Vec<Say>) {
        match self.state {
            State::Waiting { until_ms } if until_ms <= now_ms => self.connect(says),
            State::LoggingIn { until_ms } if until_ms <= now_ms => {
                let connection = self.connection;
                says.push(Say::Close { connection });
                self.lose(now_ms, connection, says);
            }
            State::Ready => {
                if self.ping_due_ms <= now_ms {
                    self.ping(now_ms, says);
                }
                if self.state == State::Ready && self.poll_due_ms() <= now_ms {
                    self.poll(now_ms, self.cursor, says);
                }
                if let Some((_, cursor)) = self.stale.filter(|(at, _)| *at <= now_ms) {
                    self.stale = None;
                    // The answer is ignored: the loop that asked belongs to another login.
                    self.ask("user_getmsg", json!({"ver_clear": cursor, "max": 30}), says);
                }
            }
            _ => {}
        }
    }

    fn ping(&mut self, now_ms: u64, says: &mut Vec<Say>) {
        if self.pings > self.pongs + PINGS_BEHIND_MAX {
            let connection = self.connection;
            says.push(Say::Close { connection });
            return self.lose(now_ms, connection, says);
        }
        self.pings += 1;
        self.ping_due_ms = now_ms + PING_MS;
        let ping = json!(["ping", self.pings]);
        self.say(&ping, says);
    }

    /// A page's call; `None` if there is no login.
    pub(super) fn call(
        &mut self,
        _now_ms: u64,
        function: &str,
        args: Value,
        says: &mut Vec<Say>,
    ) -> Option<u64> {
        self.is_ready().then(|| {
            let call = self.ask(function, args, says);
            self.asked.insert(call, false);
            call
        })
    }

    fn ask(&mut self, function: &str, mut args: Value, says: &mut Vec<Say>) -> u64 {
        self.calls += 1;
        args["line"] = json!(self.line);
        let frame = json!(["call2", [function, self.calls, args]]);
        self.say(&frame, says);
        self.calls
    }

    fn poll(&mut self, now_ms: u64, cursor: u64, says: &mut Vec<Say>) {
        self.moved_ms = now_ms;
        let call = self.ask("user_getmsg", json!({"ver_clear": cursor, "max": 30}), says);
        self.asked.insert(call, true);
    }

    fn say(&self, frame: &Value, says: &mut Vec<Say>) {
        says.push(Say::Text {
            connection: self.connection,
            text: frame.to_string(),
        });
    }

    pub(super) fn hear(&mut self, now_ms: u64, connection: u64, text: &[u8], says: &mut Vec<Say>) {
        if connection != self.connection {
            return;
        }
        let Ok(frame) = serde_json::from_slice::<Value>(text) else {
            return;
        };
        match frame[0].as_str() {
            Some("login_ret") => self.take_login(now_ms, &frame[1], says),
            Some("pong") => self.pongs = self.pongs.max(frame[1].as_u64().unwrap_or(0)),
            Some("call2-ret") => self.take_answer(now_ms, &frame[1], says),
            Some("notify") => self.take_notify(now_ms, &frame[1], says),
            Some("kick") => {
                self.state = State::Out;
                says.push(Say::Seen(LegacySeen::Kicked));
                says.push(Say::Close { connection });
            }
            _ => {}
        }
    }

    fn take_login(&mut self, now_ms: u64, answer: &Value, says: &mut Vec<Say>) {
        let body = parsed(&answer[1]);
        if body["result"] != "ok" {
            let connection = self.connection;
            says.push(Say::Close { connection });
            return self.lose(now_ms, connection, says);
        }
        self.state = State::Ready;
        self.retry_ms = RETRY_MS;
        self.line = body["line"].as_str().unwrap_or_default().into();
        (self.cursor, self.base) = (0, 0);
        (self.pings, self.pongs) = (0, 0);
        self.stale = self.stale.map(|(_, cursor)| (now_ms + TAIL_MS, cursor));
        says.push(Say::Seen(LegacySeen::LoggedIn));
        self.say(&json!(["set_flag", {"binary": 1}]), says);
        self.ping(now_ms, says);
        self.poll(now_ms, 0, says);
    }

    fn take_answer(&mut self, now_ms: u64, answer: &Value, says: &mut Vec<Say>) {
        let Some(call) = answer[0].as_u64() else {
            return;
        };
        let body = parsed(&answer[2]);
        match self.asked.remove(&call) {
            Some(true) => {
                self.moved_ms = now_ms;
                self.base = body["ver_clear"].as_u64().unwrap_or(0);
                self.cursor = self.cursor.max(self.base);
                for item in body["msgs"].as_array().into_iter().flatten() {
                    let version = item[0].as_u64().unwrap_or(0);
                    if version > self.cursor {
                        self.cursor = version;
                        self.show(&item[1], says);
                    }
                }
            }
            Some(false) => says.push(Say::Seen(LegacySeen::Answer { call, body })),
            None => {}
        }
    }

    fn take_notify(&mut self, now_ms: u64, what: &Value, says: &mut Vec<Say>) {
        if let Some(text) = what.as_str() {
            let Some(item) = text.split_once("recvmsg ").map(|(_, item)| item) else {
                return;
            };
            let item: Value = serde_json::from_str(item).unwrap_or_default();
            self.moved_ms = now_ms;
            if item[0].as_u64() == Some(self.cursor + 1) {
                self.cursor += 1;
                self.show(&item[1], says);
            } else if !self.is_polling() {
                self.poll(now_ms, self.cursor, says);
            }
        } else if what[0] == "msg" && !self.is_polling() {
            self.poll(now_ms, self.cursor, says);
        } else if what[0] == "channel2"
            && let Some(line) = Line::read(&what[3])
        {
            let (kind, content) = (line.kind.to_owned(), line.content());
            says.push(Say::Seen(LegacySeen::Channel { kind, content }));
        }
    }

    /// A queue line that is new on this connection.
    fn show(&mut self, line: &Value, says: &mut Vec<Say>) {
        let Some(line) = Line::read(line) else {
            return;
        };
        if line.id.is_some_and(|id| !self.shown.insert(id.to_owned())) {
            return;
        }
        if line.kind == "instant" {
            return says.push(Say::Seen(LegacySeen::Message {
                from: line.from.into(),
                text: line.text.into(),
            }));
        }
        let (kind, content) = (line.kind.to_owned(), line.content());
        if kind == "voip_invite" {
            // The library answers on its own, before the page is notified (8.1).
            let ack = json!({
                "channelName": content["channel"], "peer": content["peer"], "extra": "",
            });
            self.ask("voip_invite_ack", ack, says);
        }
        says.push(Say::Seen(LegacySeen::Signal { kind, content }));
    }
}

/// A decoded queue line.
struct Line<'a> {
    id: Option<&'a str>,
    from: &'a str,
    kind: &'a str,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a Value) -> Option<Self> {
        let (head, rest) = line.as_str()?.split_once(' ')?;
        let (id, rest) = match head {
            "msg-v3" => rest.split_once(' ').map(|(id, rest)| (Some(id), rest))?,
            _ => (None, rest),
        };
        let mut parts = rest.splitn(6, ' ');
        let from = parts.next()?;
        let kind = parts.nth(2)?;
        let text = parts.nth(1)?;
        Some(Self {
            id,
            from,
            kind,
            text,
        })
    }

    fn content(&self) -> Value {
        serde_json::from_str(self.text).unwrap_or_default()
    }
}

/// JSON text as JSON.
fn parsed(text: &Value) -> Value {
    let text = text.as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}
