//! The message queue of one connection: versions, polls and acknowledgements. Source: signaling 6.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::codec::server;

/// Most messages in the answer to a poll, whatever the client asks for.
const POLL_MAX: usize = 30;
/// Lifetime stated in the line of a message whose lifetime is unknown.
const TTL_S: u64 = 3_600;

/// A message that waits to be sent or acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The same in all forms of the message, so that a client can drop repeats.
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) kind: &'static str,
    /// When it was sent, in Unix milliseconds.
    pub(crate) sent_ts: u64,
    /// Unix milliseconds; 0 = never.
    pub(crate) expires_ts: u64,
    pub(crate) content: String,
    /// The hub's number for it, to be confirmed; 0 = it did not come from the hub's queue.
    pub(crate) sseq: u64,
}

/// A message that was sent.
#[derive(Debug)]
struct Given {
    version: u64,
    /// Empty once it has been acknowledged by its id.
    id: String,
    /// The hub's number for it.
    sseq: u64,
}

/// How messages reach a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Delivery {
    /// Each is pushed at once; answers to polls do not repeat them.
    #[default]
    Pushed,
    /// In answers to polls. The client is notified that something is waiting, and then polls. The
    /// Python package (`agora-signaling-sdk` 1.0.2, observed) cannot read a pushed message: it
    /// drops it, polls, and takes the answer's cursor as proof of receipt. It never polls on its
    /// own, neither to look nor to acknowledge.
    Polled,
}

/// The queue of one connection.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    delivery: Delivery,
    /// The client has been asked to poll, and has not done so yet.
    is_called: bool,
    /// The last answer contained messages: only another poll acknowledges them.
    wants_poll: bool,
    /// The last version given out; before the first, the one below it.
    sent: u64,
    /// The client has polled, so it may be sent messages.
    is_polled: bool,
    /// Not yet sent, each with its expiry in monotonic milliseconds. Bound: what the hub hands out
    /// unconfirmed, beyond `WAITING_MAX` of the translator.
    waiting: VecDeque<(Entry, Option<u64>)>,
    /// Sent and unacknowledged, in the order of versions.
    unacknowledged: VecDeque<Given>,
}

impl Queue {
    /// A queue whose versions exceed all that the account has seen: a login's versions start above
    /// its time in microseconds, which no earlier login has reached.
    pub(crate) fn new(unix_ms: u64, delivery: Delivery) -> Self {
        Self {
            delivery,
            sent: unix_ms * 1_000,
            ..Self::default()
        }
    }

    /// Adds a message; sends it if the client has polled before.
    pub(crate) fn push(&mut self, to: &Receiver<'_>, entry: Entry, out: &mut Vec<String>) {
        // Relative to now, not to the wall clock, which may be set: the hub has already withheld
        // expired messages.
        let life_ms = entry.expires_ts.saturating_sub(entry.sent_ts);
        let over_ms = (entry.expires_ts > 0).then(|| to.now_ms.saturating_add(life_ms));
        self.waiting.push_back((entry, over_ms));
        if self.is_polled {
            self.stream(to, out);
        }
    }

    /// Withdraws a message that has not been sent. Returns whether it was found.
    pub(crate) fn take_back(&mut self, id: &str) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(entry, _)| entry.id != id);
        self.waiting.len() < before
    }

    /// Answers a poll: the body, and up to which of the hub's numbers everything is processed, if
    /// that has risen. The caller sends the body, then calls [`Queue::stream`].
    pub(crate) fn poll(
        &mut self,
        to: &Receiver<'_>,
        clear: u64,
        max: usize,
    ) -> (Value, Option<u64>) {
        let mut processed = None;
        // After a reconnect, a client may name versions of an earlier line: they are below the
        // base.
        while let Some(given) = self.unacknowledged.front() {
            if given.version > clear {
                break;
            }
            processed = processed.max(Some(given.sseq));
            self.unacknowledged.pop_front();
        }
        let was_polled = std::mem::replace(&mut self.is_polled, true);
        self.is_called = false;
        let from = self.sent;
        let messages = match self.delivery {
            Delivery::Pushed if was_polled => Vec::new(),
            _ => self.give(to, max),
        };
        self.wants_poll = !messages.is_empty();
        let body = json!({"result": "ok", "ver_clear": from, "msgs": messages});
        (body, processed.filter(|sseq| *sseq > 0))
    }

    /// Takes waiting messages, as many as one answer can hold.
    pub(crate) fn give(&mut self, to: &Receiver<'_>, max: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        while messages.len() < max.min(POLL_MAX)
            && let Some((version, line)) = self.next(to)
        {
            messages.push(json!([version, line]));
        }
        messages
    }

    /// Acknowledges messages by their ids. Returns up to which of the hub's numbers everything is
    /// processed, if that has risen.
    pub(crate) fn acknowledge(&mut self, ids: &BTreeSet<&str>) -> Option<u64> {
        for given in &mut self.unacknowledged {
            if ids.contains(given.id.as_str()) {
                given.id.clear();
            }
        }
        let mut processed = 0;
        while let Some(given) = self
            .unacknowledged
            .pop_front_if(|given| given.id.is_empty())
        {
            processed = processed.max(given.sseq);
        }
        Some(processed).filter(|sseq| *sseq > 0)
    }

    /// Sends waiting messages, or notifies the client that there is something to poll for.
    pub(crate) fn stream(&mut self, to: &Receiver<'_>, out: &mut Vec<String>) {
        match self.delivery {
            Delivery::Pushed => {
                while let Some((version, line)) = self.next(to) {
                    out.push(server::recvmsg(version, &line));
                }
            }
            Delivery::Polled => self.call_for_poll(out),
        }
    }

    /// Once until the client polls. When notification and poll cross, the notification is
    /// superfluous: the answer contains everything.
    fn call_for_poll(&mut self, out: &mut Vec<String>) {
        if self.is_called || (self.waiting.is_empty() && !self.wants_poll) {
            return;
        }
        self.is_called = true;
        let waiting = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        out.push(server::up_to(self.sent.saturating_add(waiting)));
    }

    fn next(&mut self, to: &Receiver<'_>) -> Option<(u64, String)> {
        loop {
            let (entry, over_ms) = self.waiting.pop_front()?;
            if over_ms.is_some_and(|over_ms| over_ms <= to.now_ms) {
                continue;
            }
            self.sent += 1;
            let line = to.line(&entry);
            self.unacknowledged.push_back(Given {
                version: self.sent,
                id: entry.id,
                sseq: entry.sseq,
            });
            return Some((self.sent, line));
        }
    }

    /// Number of messages that wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a sent message is still unacknowledged.
    pub(crate) fn is_unacknowledged(&self) -> bool {
        !self.unacknowledged.is_empty()
    }

    /// The last version given out.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }
}

/// The receiver of lines.
pub(crate) struct Receiver<'a> {
    pub(crate) account: &'a str,
    /// Whether it understands lines with message ids.
    pub(crate) is_modern: bool,
    /// The current time, in monotonic milliseconds.
    pub(crate) now_ms: u64,
}

impl Receiver<'_> {
    fn line(&self, entry: &Entry) -> String {
        let ttl_s = match entry.expires_ts {
            0 => TTL_S,
            expires_ts => (expires_ts.saturating_sub(entry.sent_ts)).div_ceil(1_000),
        };
        let head = if self.is_modern {
            format!("msg-v3 {}", entry.id)
        } else {
            "msg-v2".to_owned()
        };
        format!(
            "{head} {} {} v1:E:{ttl_s} {} {} {}",
            entry.from,
            self.account,
            entry.kind,
            entry.sent_ts / 1_000,
            entry.content
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> Entry {
        Entry {
            id: format!("m{n}"),
            from: "alice".into(),
            kind: "instant",
            sent_ts: 1_700_000_000_500,
            expires_ts: 0,
            content: format!("text {n}"),
            sseq: n,
        }
    }

    const OLD: Receiver<'_> = Receiver {
        account: "bob",
        is_modern: false,
        now_ms: 1_000,
    };

    #[test]
    fn nothing_is_sent_before_the_first_poll_and_nothing_twice() {
        let mut queue = Queue::new(1_000, Delivery::Pushed);
        let mut out = Vec::new();
        for n in 1..=40 {
            queue.push(&OLD, entry(n), &mut out);
        }
        assert!(out.is_empty());
        let (body, processed) = queue.poll(&OLD, 0, 30);
        assert_eq!(processed, None);
        assert_eq!(body["ver_clear"], 1_000_000);
        assert_eq!(body["msgs"].as_array().map(Vec::len), Some(30));
        assert_eq!(
            body["msgs"][0],
            json!([
                1_000_001,
                "msg-v2 alice bob v1:E:3600 instant 1700000000 text 1"
            ])
        );
        queue.stream(&OLD, &mut out);
        assert_eq!(out.len(), 10);
        assert!(out[0].contains("[1000031,"), "{}", out[0]);
        let (body, processed) = queue.poll(&OLD, 1_000_035, 30);
        assert_eq!((processed, &body["msgs"]), (Some(35), &json!([])));
        assert_eq!(body["ver_clear"], 1_000_040);
    }

    #[test]
    fn a_client_that_only_polls_is_called_until_all_is_given_and_acknowledged() {
        let mut queue = Queue::new(1_000, Delivery::Polled);
        let mut out = Vec::new();
        assert_eq!(queue.poll(&OLD, 0, 30).0["msgs"], json!([]));
        queue.stream(&OLD, &mut out);
        assert!(out.is_empty(), "there is nothing: {out:?}");
        for n in 1..=40 {
            queue.push(&OLD, entry(n), &mut out);
        }
        assert_eq!(out, [r#"["notify",["msg",1000001]]"#], "it is called once");
        let mut given = Vec::new();
        for (clear, base, count, call) in [
            (1_000_000, 1_000_000, 30, Some(1_000_040)),
            (1_000_030, 1_000_030, 10, Some(1_000_040)),
            (1_000_040, 1_000_040, 0, None),
        ] {
            out.clear();
            let (body, processed) = queue.poll(&OLD, clear, 30);
            assert_eq!(body["ver_clear"], base);
            let messages = body["msgs"].as_array().cloned().unwrap_or_default();
            assert_eq!(messages.len(), count);
            assert_eq!(processed, (clear > 1_000_000).then_some(clear - 1_000_000));
            given.extend(messages.into_iter().map(|message| message[0].clone()));
            queue.stream(&OLD, &mut out);
            let called = call.map(server::up_to);
            assert_eq!(out, called.into_iter().collect::<Vec<_>>());
        }
        assert_eq!(given, (1_000_001..=1_000_040).collect::<Vec<u64>>());
        assert!(!queue.is_unacknowledged());
    }

    #[test]
    fn a_client_that_never_acknowledges_is_not_called_for_ever() {
        let mut queue = Queue::new(1_000, Delivery::Polled);
        let mut out = Vec::new();
        queue.push(&OLD, entry(1), &mut out);
        for calls in [1, 1, 1] {
            queue.poll(&OLD, 0, 30);
            queue.stream(&OLD, &mut out);
            assert_eq!(out.len(), calls);
        }
        assert!(queue.is_unacknowledged());
    }

    #[test]
    fn the_cursor_of_an_earlier_line_acknowledges_nothing() {
        let mut earlier = Queue::new(1_000, Delivery::Pushed);
        earlier.poll(&OLD, 0, 30);
        earlier.push(&OLD, entry(1), &mut Vec::new());
        let mut queue = Queue::new(1_001, Delivery::Pushed);
        queue.poll(&OLD, 0, 30);
        queue.push(&OLD, entry(1), &mut Vec::new());
        let (_, processed) = queue.poll(&OLD, earlier.sent(), 30);
        assert_eq!(processed, None);
        assert!(queue.is_unacknowledged());
    }

    #[test]
    fn what_expires_while_waiting_leaves_no_hole() {
        let mut queue = Queue::new(1_000, Delivery::Pushed);
        for n in 1..=3 {
            let mut entry = entry(n);
            entry.expires_ts = if n == 2 { 1 } else { 0 };
            queue.push(&OLD, entry, &mut Vec::new());
        }
        let (body, _) = queue.poll(&OLD, 0, 30);
        let versions: Vec<_> = body["msgs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|m| &m[0])
            .collect();
        assert_eq!(versions, [&json!(1_000_001), &json!(1_000_002)]);
    }

    #[test]
    fn modern_clients_get_the_message_id() {
        let modern = Receiver {
            is_modern: true,
            ..OLD
        };
        assert_eq!(
            modern.line(&entry(7)),
            "msg-v3 m7 alice bob v1:E:3600 instant 1700000000 text 7"
        );
    }
}
