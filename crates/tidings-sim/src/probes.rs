//! Short runs, each for one promise that random runs do not come near: full outboxes and inboxes, two apps with the
//! same names, rates.

use tidings_client_core::{
    Answer, Attribute, AttributeWrite, Call, ClientEvent, GapSource, Message, PresenceState,
};
use tidings_hub::App;
use tidings_wire::names::AppId;

use crate::checks::Violation;
use crate::world::{APP_ID, ClientId, Record, Seen, World, WorldConfig};

/// Another app than [`APP_ID`]; before it in the order of ids.
const OTHER_APP_ID: &str = "11111111111111111111111111111111";
/// More than an outbox holds.
const FLOOD: usize = 1_300;
/// More than an inbox holds, and what it holds.
const STORED: usize = 230;
const INBOX_MAX: usize = 200;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Equal for equal seeds.
    pub trace_hash: u64,
    /// The trace, if it was asked for.
    pub trace: Vec<String>,
    /// Broken promises.
    pub violations: Vec<Violation>,
}

struct Probe {
    world: World,
    records: Vec<Record>,
    violations: Vec<Violation>,
}

/// What a probe does.
type Promise = fn(&mut Probe);

/// Runs a seed: every probe once, in a world of its own.
pub fn run(seed: u64, is_traced: bool) -> Report {
    let probes: [(Promise, bool); 6] = [
        (Probe::two_apps, false),
        (Probe::full_outbox, false),
        (Probe::full_inbox, false),
        (Probe::rates, true),
        (Probe::power_cut, false),
        (Probe::second_login, false),
    ];
    let mut report = Report {
        trace_hash: 0,
        trace: Vec::new(),
        violations: Vec::new(),
    };
    for (probe, has_rates) in probes {
        let mut config = WorldConfig::new(seed, 2);
        config.is_traced = is_traced;
        let mut app = App::default();
        app.settings.rate_limits = has_rates;
        for id in [APP_ID, OTHER_APP_ID] {
            if let Ok(id) = AppId::parse(id) {
                config.apps.listed.insert(id, app.clone());
            }
        }
        let mut run = Probe {
            world: World::new(config),
            records: Vec::new(),
            violations: Vec::new(),
        };
        probe(&mut run);
        report.trace_hash = report.trace_hash.rotate_left(7) ^ run.world.trace_hash();
        report.trace.extend_from_slice(run.world.trace());
        report.violations.extend(run.violations);
    }
    report
}

impl Probe {
    fn advance(&mut self, ms: u64) {
        let until = self.world.now_ms() + ms;
        self.world.run_until(until);
        self.records.extend(self.world.take_records());
    }

    fn violate(&mut self, check: &'static str, text: String) {
        self.violations.push(Violation { check, text });
    }

    fn log_in(&mut self, user: &str) -> ClientId {
        let client = self.world.add_client();
        self.world.login(client, user, "");
        self.advance(1_000);
        client
    }

    fn join(&mut self, client: ClientId) {
        let channel = "room".into();
        self.world.call(client, Call::Join { channel });
        self.advance(1_000);
    }

    fn send(&mut self, client: ClientId, text: String) {
        let call = Call::SendToChannel {
            channel: "room".into(),
            message: Message::Text(text),
            history: false,
        };
        self.world.call(client, call);
    }

    /// Events of a client, in order.
    fn events(&self, client: ClientId) -> impl Iterator<Item = &ClientEvent> {
        let own = self
            .records
            .iter()
            .filter(move |record| record.client == client);
        own.filter_map(|record| match &record.what {
            Seen::Event(event) => Some(event),
            Seen::Answer { .. } => None,
        })
    }

    /// `gap.explicit`: what comes to more than the outbox of a client that is away is told as missed.
    fn full_outbox(&mut self) {
        let (sender, away) = (self.log_in("alice"), self.log_in("bob"));
        self.join(sender);
        self.join(away);
        self.world.unplug(away);
        for n in 0..FLOOD {
            self.send(sender, format!("m{n}"));
            if n % 100 == 0 {
                self.advance(50);
            }
        }
        self.advance(2_000);
        self.world.set_offline(away, false);
        self.world.wake(away);
        self.advance(20_000);
        let (mut received, mut missed) = (0, 0);
        for event in self.events(away) {
            match event {
                ClientEvent::ChannelMessage { .. } => received += 1,
                ClientEvent::Gap {
                    source: GapSource::Channel(_),
                    missed: count,
                    ..
                } => {
                    missed += count.unwrap_or(0);
                }
                _ => {}
            }
        }
        // The gap counts what else the channel has told, too.
        let told = received + missed;
        if !(FLOOD as u64..FLOOD as u64 + 20).contains(&told) {
            let text =
                format!("{FLOOD} messages were sent, {received} received, {missed} told as missed");
            self.violate("gap.explicit", text);
        }
    }

    /// `gap.explicit`: what an inbox drops is told, with its count, before the first stored message.
    fn full_inbox(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..STORED {
            let call = Call::SendToPeer {
                peer_id: "bob".into(),
                message: Message::Text(format!("m{n}")),
                offline: true,
                history: false,
            };
            self.world.call(sender, call);
            self.advance(20);
        }
        self.advance(2_000);
        let receiver = self.log_in("bob");
        self.advance(10_000);
        let mut received = 0;
        let mut missed = None;
        for event in self.events(receiver) {
            match event {
                ClientEvent::PeerMessage { .. } => received += 1,
                ClientEvent::Gap {
                    source: GapSource::Inbox,
                    missed: count,
                    ..
                } if received == 0 => {
                    missed = *count;
                }
                _ => {}
            }
        }
        let dropped = STORED - INBOX_MAX;
        if received != INBOX_MAX || missed != Some(dropped as u64) {
            let text = format!(
                "{STORED} were stored, {received} came, {missed:?} told as missed; {INBOX_MAX} and {dropped} are due"
            );
            self.violate("gap.explicit", text);
        }
    }

    /// `tenant.isolated`: same names in two apps, and nothing crosses.
    fn two_apps(&mut self) {
        let ours = [self.log_in("alice"), self.log_in("bob")];
        let theirs = ["alice", "bob"].map(|user| {
            let client = self.world.add_client();
            self.world.login_to(client, OTHER_APP_ID, user, "");
            self.advance(1_000);
            client
        });
        for (sender, receiver) in [(ours, theirs), (theirs, ours)] {
            sender.into_iter().for_each(|client| self.join(client));
            receiver.into_iter().for_each(|client| self.join(client));
        }
        self.send(ours[0], "ours".into());
        self.send(theirs[0], "theirs".into());
        self.advance(2_000);
        for (clients, own) in [(ours, "ours"), (theirs, "theirs")] {
            let seen: Vec<String> = (self.events(clients[1]))
                .filter_map(|event| match event {
                    ClientEvent::ChannelMessage {
                        message: Message::Text(text),
                        ..
                    } => Some(text.clone()),
                    _ => None,
                })
                .collect();
            if seen != [own] {
                let text = format!("bob of the app with {own:?} received {seen:?}");
                self.violate("tenant.isolated", text);
            }
        }
    }

    /// `ack.durable`: the server dies in the moment in which a message is answered as stored.
    fn power_cut(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..5 {
            let call = Call::SendToPeer {
                peer_id: "bob".into(),
                message: Message::Text(format!("m{n}")),
                offline: true,
                history: false,
            };
            let id = self.world.call(sender, call);
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

    /// `presence.no_flap_on_resume`: a second login hands the user over; nobody sees it go.
    fn second_login(&mut self) {
        let watcher = self.log_in("bob");
        let first = self.log_in("alice");
        let attributes = vec![Attribute::new("k", "v")];
        let how = AttributeWrite::Set;
        self.world
            .call(first, Call::WriteUserAttributes { how, attributes });
        let user_ids = vec!["alice".to_owned()];
        self.world
            .call(watcher, Call::SubscribePresence { user_ids });
        self.advance(2_000);
        self.log_in("alice");
        self.advance(2_000);
        let is_gone = |event: &ClientEvent| {
            matches!(event, ClientEvent::PresenceChanged { users }
                if users.iter().any(|(_, state)| *state == PresenceState::Offline))
        };
        if self.events(watcher).any(is_gone) {
            let text = "alice was told to be off line by her second login".to_owned();
            self.violate("presence.no_flap_on_resume", text);
        }
        let (user_id, keys) = ("alice".to_owned(), Vec::new());
        let id = self
            .world
            .call(watcher, Call::ReadUserAttributes { user_id, keys });
        self.advance(2_000);
        let has_them = self.records.iter().any(|record| {
            matches!(&record.what, Seen::Answer { id: of, result: Ok(Answer::Attributes(all)) }
                if *of == id && all.len() == 1)
        });
        if !has_them {
            let text = "the attributes of alice are gone after her second login".to_owned();
            self.violate("attr.no_lost_update", text);
        }
    }

    /// `limit.enforced`: of 300 messages in one moment, 180 are taken (rtm-v1 2.1).
    fn rates(&mut self) {
        let sender = self.log_in("alice");
        let calls: Vec<_> = (0..300)
            .map(|n| {
                let call = Call::SendToPeer {
                    peer_id: "nobody".into(),
                    message: Message::Text(format!("m{n}")),
                    offline: false,
                    history: false,
                };
                self.world.call(sender, call)
            })
            .collect();
        self.advance(1_000);
        let sent = self.records.iter().filter(|record| match &record.what {
            Seen::Answer { id, result } => {
                calls.contains(id) && matches!(result, Ok(Answer::PeerSent { .. }))
            }
            Seen::Event(_) => false,
        });
        let sent = sent.count();
        if !(180..=250).contains(&sent) {
            self.violate(
                "limit.enforced",
                format!("{sent} of 300 messages were sent in one second"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_holds() {
        for seed in 1..=3 {
            let report = run(seed, false);
            assert!(
                report.violations.is_empty(),
                "seed {seed}: {:?}",
                report.violations
            );
        }
    }
}
