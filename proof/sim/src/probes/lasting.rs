//! Sessions that last long, resume too late or start over: what must remain of them, and what must
//! not.

use tidings_client_core::{
    Answer, Attribute, AttributeWrite, Call, ClientEvent, ConnectionReason, ConnectionState,
    Conversation, GapCause, HistoryRange, Message,
};
use tidings_wire::codes::Outcome;
use tidings_wire::limits::RESUME_WINDOW_MS;

use super::sessions::token;
use super::{CERTIFICATE, OTHER_APP_ID, Probe};
use crate::world::{APP_ID, ClientId, Record, Seen};

/// More requests than an outbox holds replies.
const REQUESTS: usize = 1_500;

impl Probe {
    /// `gap.explicit`: a session ends with its resume window, and its client learns that this is
    /// why something is missing (contract 1.5, DEL-15, DEL-17).
    pub(super) fn window_over(&mut self) {
        let (line, welcome) = self.raw_login(0, "alice");
        self.world.break_raw(line);
        self.advance(RESUME_WINDOW_MS + 2_000);
        let late = self.world.open_raw(1);
        self.world.resume_raw(late, "alice", &welcome);
        self.advance(1_000);
        if self.outcome(late) != Some(Outcome::UnknownSession as u32) {
            let text = "a session was resumed after the end of its window".to_owned();
            self.violate("gap.explicit", text);
        }
        let client = self.log_in("bob");
        self.join(client);
        self.world.unplug(client);
        self.advance(RESUME_WINDOW_MS + 5_000);
        self.world.set_offline(client, false);
        self.world.wake(client);
        self.advance(10_000);
        self.expect_cause(client, GapCause::ResumeWindow);
        self.world.kill_server();
        self.world.start_server();
        self.advance(40_000);
        self.expect_cause(client, GapCause::NodeLost);
    }

    fn expect_cause(&mut self, client: ClientId, expected: GapCause) {
        let last = self.events(client).filter_map(|event| match event {
            ClientEvent::Gap { cause, .. } => Some(*cause),
            _ => None,
        });
        let last = last.last();
        if last != Some(expected) {
            let text = format!("a gap was told with the cause {last:?}, not {expected:?}");
            self.violate("gap.explicit", text);
        }
    }

    /// `queue.bounded`: confirmed frames take no space, however long a session lasts.
    pub(super) fn long_session(&mut self) {
        let (sender, receiver) = (self.log_in("alice"), self.log_in("bob"));
        for n in 0..REQUESTS {
            self.send_stored(sender, "bob", format!("m{n}"));
            self.advance(20);
        }
        self.advance(5_000);
        let came = self.peer_texts(receiver).len();
        let cuts = self.world.sometimes().count("slow consumer closed");
        if came != REQUESTS || cuts > 0 {
            let text = format!(
                "of {REQUESTS} messages {came} came, and {cuts} clients were taken for slow"
            );
            self.violate("queue.bounded", text);
        }
    }

    /// `auth.expired_is_out`: a session with a new token lasts until that one expires.
    pub(super) fn renewed_token(&mut self) {
        let now_s = self.world.unix_ms() / 1_000;
        let client = self.world.add_client();
        let first = token("alice", CERTIFICATE, now_s, 40);
        self.world.login(client, "alice", &first);
        self.advance(20_000);
        let second = token("alice", CERTIFICATE, now_s + 20, 100);
        self.world.renew(client, &second);
        self.advance(60_000);
        if self.world.state(client) != ConnectionState::Connected {
            let text = "a session ended before the end of its renewed token".to_owned();
            self.violate("auth.expired_is_out", text);
        }
        self.advance(60_000);
        let is_out = |event: &ClientEvent| {
            let over = ConnectionReason::TokenExpired;
            matches!(event, ClientEvent::StateChanged { reason, .. } if *reason == over)
        };
        if !self.events(client).any(is_out) {
            let text = "a session is served after the end of its renewed token".to_owned();
            self.violate("auth.expired_is_out", text);
        }
    }

    /// `inbox.dedup`: a client that saved its cursor is not shown again what it showed before it
    /// died, although the server never received a confirmation (contract OFF-6).
    pub(super) fn kept_cursor(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..10 {
            self.send_stored(sender, "bob", format!("m{n}"));
        }
        self.advance(2_000);
        let first = self.world.add_client();
        self.world.login(first, "bob", "");
        // It dies just after it has shown the last of them.
        let until_ms = self.world.now_ms() + 5_000;
        let mut shown = 0;
        self.world.run_while(until_ms, |world| {
            let is_message = |record: &Record| {
                matches!(record.what, Seen::Event(ClientEvent::PeerMessage { .. }))
            };
            shown += world
                .take_records()
                .iter()
                .filter(|at| is_message(at))
                .count();
            shown < 10
        });
        self.world.kill_server();
        self.world.freeze(first);
        let cursor = self.world.inbox_cursor(first);
        self.world.start_server();
        let second = self.world.add_client();
        self.world.keep_inbox_cursor(second, "bob", cursor);
        self.world.login(second, "bob", "");
        self.advance(8_000);
        self.send_stored(sender, "bob", "new".into());
        self.advance(8_000);
        let texts = self.peer_texts(second);
        if shown != 10 || texts != ["new"] {
            let text = format!("10 were stored, {shown} shown, and after a restart {texts:?}");
            self.violate("inbox.dedup", text);
        }
    }

    /// `tenant.isolated`: two apps store data under the same names, and nothing crosses.
    pub(super) fn two_stores(&mut self) {
        for (app, word) in [(APP_ID, "ours"), (OTHER_APP_ID, "theirs")] {
            let client = self.world.add_client();
            self.world.login_to(client, app, "alice", "");
            self.advance(1_000);
            self.join(client);
            self.send_stored(client, "bob", word.into());
            let channel = "room".to_owned();
            let message = Message::Text(word.into());
            let history = true;
            self.world.call(
                client,
                Call::SendToChannel {
                    channel: channel.clone(),
                    message,
                    history,
                },
            );
            let (how, notify) = (AttributeWrite::Merge, false);
            let attributes = vec![Attribute::new(word, word)];
            self.world.call(
                client,
                Call::WriteChannelAttributes {
                    channel,
                    how,
                    attributes,
                    notify,
                },
            );
            self.advance(1_000);
        }
        for (app, word) in [(APP_ID, "ours"), (OTHER_APP_ID, "theirs")] {
            let client = self.world.add_client();
            self.world.login_to(client, app, "bob", "");
            self.advance(1_000);
            self.join(client);
            let channel = "room".to_owned();
            let read = Call::ReadHistory {
                conversation: Conversation::Channel(channel.clone()),
                range: HistoryRange::default(),
            };
            let history = self.world.call(client, read);
            let keys = Vec::new();
            let attributes =
                (self.world).call(client, Call::ReadChannelAttributes { channel, keys });
            self.advance(2_000);
            let kept = match self.answer_to(history) {
                Some(Ok(Answer::History(page))) => format!("{:?}", page.messages),
                other => format!("{other:?}"),
            };
            let noted = format!("{:?}", self.answer_to(attributes));
            let stored = format!("{:?}", self.peer_texts(client));
            let other = if word == "ours" { "theirs" } else { "ours" };
            for (what, seen) in [("history", kept), ("attributes", noted), ("inbox", stored)] {
                if !seen.contains(word) || seen.contains(other) {
                    let text = format!("the {what} of the app with {word:?}: {seen}");
                    self.violate("tenant.isolated", text);
                }
            }
        }
    }
}
