//! Stored messages: pages, confirmations, crashes.

use tidings_client_core::{Answer, ClientEvent, GapSource};
use tidings_hub::ids::ConnectionId;
use tidings_wire::proto::{PeerMessage, Pong, client_message, message, server_message::Kind};

use super::Probe;
use crate::world::{ClientId, Seen};

/// More messages than fit into two pages of an inbox.
const STORED: usize = 70;
const DAY_MS: u64 = 24 * 3_600_000;
/// Number of crashes in one probe.
const CRASHES: usize = 40;

fn text_of(message: &PeerMessage) -> String {
    match message
        .message
        .as_ref()
        .and_then(|message| message.body.as_ref())
    {
        Some(message::Body::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

impl Probe {
    fn stored(&self, line: ConnectionId) -> Vec<PeerMessage> {
        let came = self.world.kinds(line).iter().filter_map(|kind| match kind {
            Kind::PeerMessage(message) => Some(message.clone()),
            _ => None,
        });
        came.collect()
    }

    /// Confirms everything that has arrived, until nothing more arrives.
    fn confirm_all(&mut self, line: ConnectionId) {
        let mut confirmed = 0;
        loop {
            let have = self.world.numbered(line).len() as u64;
            if have == confirmed {
                return;
            }
            confirmed = have;
            self.world
                .send_raw(line, client_message::Kind::Pong(Pong {}), confirmed);
            self.advance(500);
        }
    }

    fn reader(&mut self) -> ConnectionId {
        let line = self.world.open_raw(0);
        self.world.login_raw(line, "bob", "");
        self.advance(1_000);
        line
    }

    /// `inbox.contiguous`, `inbox.no_overtake`: pages follow each other, and live messages wait
    /// behind them.
    pub(super) fn inbox_pages(&mut self) {
        let (sender, other) = (self.log_in("alice"), self.log_in("carl"));
        for n in 0..STORED {
            self.send_stored(sender, "bob", format!("m{n}"));
        }
        self.advance(2_000);
        let line = self.reader();
        self.send_stored(other, "bob", "live".into());
        self.advance(500);
        self.confirm_all(line);
        self.advance(8_000);
        self.confirm_all(line);
        let came = self.stored(line);
        let numbers: Vec<u64> = (came.iter())
            .map(|message| message.inbox)
            .filter(|number| *number > 0)
            .take(STORED)
            .collect();
        if numbers.iter().copied().ne(1..=STORED as u64) {
            let text = format!("{STORED} messages were stored, the numbers {numbers:?} came");
            self.violate("inbox.contiguous", text);
        }
        let live = came.iter().position(|message| text_of(message) == "live");
        let last = came
            .iter()
            .rposition(|message| text_of(message).starts_with('m'));
        if live < last {
            let text =
                format!("a live message came as number {live:?}, the last stored as {last:?}");
            self.violate("inbox.no_overtake", text);
        }
    }

    /// `gap.explicit`: messages that were too old are reported, with their count, before the
    /// others.
    pub(super) fn old_messages(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..3 {
            self.send_stored(sender, "bob", format!("old{n}"));
        }
        self.advance(1_000);
        self.world.logout(sender);
        self.advance(8 * DAY_MS);
        let sender = self.log_in("alice");
        self.send_stored(sender, "bob", "new".into());
        self.advance(1_000);
        let receiver = self.log_in("bob");
        self.advance(3_000);
        let told = self.events(receiver).find_map(|event| match event {
            ClientEvent::Gap { source, missed, .. } => Some((source, *missed)),
            _ => None,
        });
        let texts = self.peer_texts(receiver);
        if told != Some((&GapSource::Inbox, Some(3))) || texts != ["new"] {
            let text = format!("3 of 4 messages were too old; {told:?} was told, {texts:?} came");
            self.violate("gap.explicit", text);
        }
    }

    /// `inbox.deleted_only_if_confirmed`: messages handed over but not confirmed come again after a
    /// crash; confirmed ones do not.
    pub(super) fn unconfirmed_page(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..20 {
            self.send_stored(sender, "bob", format!("m{n}"));
        }
        self.advance(2_000);
        let line = self.reader();
        self.advance(1_000);
        let first = self.stored(line).len();
        // The frames before them are confirmed with them.
        let before = self.world.numbered(line).len() - first;
        let confirmed = before as u64 + 5;
        self.world
            .send_raw(line, client_message::Kind::Pong(Pong {}), confirmed);
        self.advance(1_000);
        self.world.kill_server();
        self.world.start_server();
        self.advance(1_000);
        let line = self.reader();
        self.advance(1_000);
        let texts: Vec<String> = self.stored(line).iter().map(text_of).collect();
        let due: Vec<String> = (5..20).map(|n| format!("m{n}")).collect();
        if !due.iter().all(|text| texts.contains(text)) {
            let text = format!("5 of 20 were confirmed, {texts:?} came after a crash");
            self.violate("inbox.deleted_only_if_confirmed", text);
        }
        if texts.len() > due.len() {
            let text = format!("5 of 20 were confirmed, {texts:?} came again after a crash");
            self.violate("crash.no_resurrection", text);
        }
    }

    /// `inbox.dedup`: a live message is confirmed while the store is still writing it. It is then
    /// not kept, and its sender learns that it was received (contract OFF-6).
    pub(super) fn late_confirmation(&mut self) {
        let sender = self.log_in("alice");
        let line = self.reader();
        self.confirm_all(line);
        self.world.set_disk_delays(2_000, 4_000);
        let call = self.send_stored(sender, "bob", "late".into());
        self.advance(5_200);
        let have = self.world.numbered(line).len() as u64;
        self.world
            .send_raw(line, client_message::Kind::Pong(Pong {}), have);
        self.world.set_disk_delay(0);
        self.advance(9_000);
        let is_received = matches!(
            self.answer_to(call),
            Some(Ok(Answer::PeerSent { received: true }))
        );
        let again = self.reader();
        self.advance(2_000);
        let kept = self.stored(again).len();
        if !is_received || kept > 0 || self.stored(line).len() != 1 {
            let text = format!(
                "a message was confirmed late: answered {:?}, then {kept} came again",
                self.answer_to(call)
            );
            self.violate("inbox.dedup", text);
        }
    }

    /// `ack.truthful`: a login that confirms nothing is replaced. What it was handed and must be
    /// kept reaches the next one, and its sender is answered in time.
    pub(super) fn taken_over(&mut self) {
        let sender = self.log_in("alice");
        let first = self.log_in("bob");
        self.world.half_open(first);
        self.world.freeze(first);
        let calls: Vec<_> = (0..5)
            .map(|n| self.send_stored(sender, "bob", format!("m{n}")))
            .collect();
        self.advance(500);
        let second = self.log_in("bob");
        self.advance(8_000);
        let texts = self.peer_texts(second);
        let is_answered = |call: &u64| matches!(self.answer_to(*call), Some(Ok(_)));
        let answered = calls.iter().filter(|call| is_answered(call)).count();
        if texts.len() != 5 || answered != 5 {
            let text = format!(
                "5 were sent to a silent login, {answered} answered; the next got {texts:?}"
            );
            self.violate("ack.truthful", text);
        }
    }

    /// `ack.truthful`: a message that is being stored while its receiver logs in is delivered by
    /// that login.
    pub(super) fn stored_at_login(&mut self) {
        self.world.config.bus_delay_ms_max = 60;
        let sender = self.log_in("alice");
        let mut waiting = Vec::new();
        for n in 0..60 {
            let user = format!("bob{n}");
            self.send_stored(sender, &user, "hello".into());
            let pause = self.world.random().between(0, 80);
            self.advance(pause);
            let receiver = self.world.add_client();
            self.world.login(receiver, &user, "");
            waiting.push(receiver);
            self.advance(200);
        }
        self.advance(8_000);
        let lacks = |client: &&ClientId| self.peer_texts(**client) != ["hello"];
        let without = waiting.iter().filter(lacks).count();
        if without > 0 {
            let text = format!("{without} of 60 logins wait for what was stored while they began");
            self.violate("ack.truthful", text);
        }
    }

    /// `crash.acked_survive`, `crash.atomic`, `once.effect_and_mark`: crashes at any moment of a
    /// commit.
    pub(super) fn crashes(&mut self) {
        self.world.set_disk_delay(20);
        let sender = self.log_in("alice");
        let mut calls = Vec::new();
        for n in 0..CRASHES {
            for part in 0..3 {
                let text = format!("m{n}.{part}");
                calls.push((self.send_stored(sender, "bob", text.clone()), text));
            }
            let pause = self.world.random().between(0, 25);
            self.advance(pause);
            self.world.kill_server();
            self.world.start_server();
            if n % 7 == 3 {
                // Also during a start.
                self.advance(1);
                self.world.kill_server();
                self.world.start_server();
            }
            self.advance(4_000);
        }
        self.advance(20_000);
        let receiver = self.log_in("bob");
        self.advance(10_000);
        let texts = self.peer_texts(receiver);
        for (call, text) in &calls {
            let times = texts.iter().filter(|have| *have == text).count();
            if times == 0 && self.is_stored(*call) {
                let text = format!("{text:?} was answered as stored, and is lost");
                self.violate("crash.acked_survive", text);
            }
            if times > 1 {
                let text = format!("{text:?} was sent once and is there {times} times");
                self.violate("once.effect_and_mark", text);
            }
        }
        let is_gap = |event: &&ClientEvent| {
            matches!(
                event,
                ClientEvent::Gap {
                    source: GapSource::Inbox,
                    ..
                }
            )
        };
        let gaps = self.events(receiver).filter(is_gap).count();
        if gaps > 0 {
            let text = "the store has lost track of an inbox in a crash".to_owned();
            self.violate("crash.atomic", text);
        }
        let answered = calls
            .iter()
            .filter(|(call, _)| self.is_stored(*call))
            .count();
        if texts.len() < answered || answered == 0 {
            let text = format!("{answered} were answered as stored, {} came", texts.len());
            self.violate("crash.acked_survive", text);
        }
    }

    /// `crash.no_resurrection`: what was read does not return.
    pub(super) fn crash_after_reading(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..10 {
            self.send_stored(sender, "bob", format!("m{n}"));
        }
        self.advance(2_000);
        let reader = self.log_in("bob");
        self.advance(5_000);
        self.world.kill_server();
        self.world.start_server();
        self.advance(5_000);
        let again = self.log_in("bob");
        self.advance(5_000);
        let (first, second) = (self.peer_texts(reader).len(), self.peer_texts(again).len());
        if (first, second) != (10, 0) {
            let text = format!("10 were stored; {first} came, then {second} after a crash");
            self.violate("crash.no_resurrection", text);
        }
    }

    /// `ack.durable`: the server is killed at the moment in which a message is acknowledged as
    /// stored.
    pub(super) fn power_cut(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..5 {
            let id = self.send_stored(sender, "bob", format!("m{n}"));
            let until = self.world.now_ms() + 5_000;
            let mut seen = Vec::new();
            self.world.run_while(until, |world| {
                seen.extend(world.take_records());
                !seen
                    .iter()
                    .any(|record| matches!(record.what, Seen::Answer { id: of, .. } if of == id))
            });
            self.world.kill_server();
            self.world.start_server();
            self.advance(5_000);
        }
        let receiver = self.log_in("bob");
        self.advance(5_000);
        let is_message = |event: &&ClientEvent| matches!(event, ClientEvent::PeerMessage { .. });
        let received = self.events(receiver).filter(is_message).count();
        if received != 5 {
            self.violate(
                "ack.durable",
                format!("5 messages were answered as stored, {received} came"),
            );
        }
    }
}
