//! A disk that is full, that fails, or that returns corrupted data.

use tidings_client_core::{ClientEvent, GapSource, Message};

use super::Probe;

impl Probe {
    /// `disk.full_recovers`: without space nothing is acknowledged as stored; once there is space
    /// it works again, without a restart.
    pub(super) fn full_disk(&mut self) {
        let (sender, there) = (self.log_in("alice"), self.log_in("carl"));
        self.send_stored(sender, "bob", "before".into());
        self.advance(1_000);
        self.world.set_disk_full(true);
        let refused = self.send_stored(sender, "bob", "without space".into());
        let live = self.send_stored(sender, "carl", "live".into());
        self.advance(8_000);
        if self.is_stored(refused) {
            let text = "a message was answered as stored on a full disk".to_owned();
            self.violate("ack.truthful", text);
        }
        if self.answer_to(live).is_none() || self.peer_texts(there) != ["live"] {
            let text = "a full disk has stopped a live message".to_owned();
            self.violate("disk.full_recovers", text);
        }
        self.world.set_disk_full(false);
        self.advance(2_000);
        let after = self.send_stored(sender, "bob", "after".into());
        self.advance(2_000);
        if !self.is_stored(after) {
            let text = "with space again, nothing is stored".to_owned();
            self.violate("disk.full_recovers", text);
        }
        let receiver = self.log_in("bob");
        self.advance(3_000);
        let texts = self.peer_texts(receiver);
        let due = if self.is_stored(after) {
            vec!["before", "after"]
        } else {
            vec!["before"]
        };
        if texts != due {
            let text = format!("{due:?} were answered as stored, {texts:?} came");
            self.violate("ack.durable", text);
        }
    }

    /// `ack.durable`: after a disk error nothing more is acknowledged as stored; a restart recovers
    /// the rest.
    pub(super) fn broken_disk(&mut self) {
        let sender = self.log_in("alice");
        let before = self.send_stored(sender, "bob", "before".into());
        self.advance(1_000);
        self.world.fail_disk();
        let during = self.send_stored(sender, "bob", "during".into());
        self.advance(1_000);
        let after = self.send_stored(sender, "bob", "after".into());
        self.advance(1_000);
        self.world.kill_server();
        self.world.start_server();
        self.advance(5_000);
        let again = self.send_stored(sender, "bob", "again".into());
        self.advance(2_000);
        let receiver = self.log_in("bob");
        self.advance(3_000);
        let texts = self.peer_texts(receiver);
        let sent = [
            (before, "before"),
            (during, "during"),
            (after, "after"),
            (again, "again"),
        ];
        for (call, text) in sent {
            let has_come = texts.iter().any(|have| have == text);
            if self.is_stored(call) && !has_come {
                let text = format!("{text:?} was answered as stored, {texts:?} came");
                self.violate("ack.durable", text);
            }
        }
        if !self.is_stored(before) || !self.is_stored(again) {
            let text = "a good disk stores nothing".to_owned();
            self.violate("disk.full_recovers", text);
        }
    }

    /// `store.checksum`: a damaged record is never served as good, and the loss is reported.
    pub(super) fn flipped_bits(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..6 {
            self.send_stored(sender, "bob", format!("m{n}"));
        }
        self.advance(2_000);
        // Restarted, so that nothing is cached.
        self.world.kill_server();
        self.world.start_server();
        let records = self.world.random().between(1, 4);
        for _ in 0..records {
            let at = self.world.random().between(0, 6);
            let byte = self.world.random().between(0, 90);
            self.world.flip_bit(at as usize, byte as usize);
        }
        self.advance(3_000);
        let receiver = self.log_in("bob");
        self.advance(3_000);
        let texts = self.peer_texts(receiver);
        let ours: Vec<_> = (0..6).map(|n| Message::Text(format!("m{n}"))).collect();
        let is_false = |event: &ClientEvent| match event {
            ClientEvent::PeerMessage { from, message, .. } => {
                from != "alice" || !ours.contains(message)
            }
            _ => false,
        };
        if self.events(receiver).any(is_false) {
            let text = format!("m0 to m5 were stored by alice, {texts:?} came");
            self.violate("store.checksum", text);
        }
        let is_gap = |event: &ClientEvent| {
            matches!(
                event,
                ClientEvent::Gap {
                    source: GapSource::Inbox,
                    ..
                }
            )
        };
        if texts.len() < 6 && !self.events(receiver).any(is_gap) {
            let text = format!("m0 to m5 were stored, {texts:?} came, and no gap was told");
            self.violate("gap.explicit", text);
        }
    }
}
