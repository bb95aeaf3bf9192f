//! Short runs, one promise each, in situations that random runs do not reach.
//!
//! Reading order: this file (the probes and how they run), `bounds` (limits and other apps),
//! `overload`, `rates` (limits that a new login does not reset), `sessions` (hand-written clients:
//! requests, resumes, tokens), `lasting` (long and late sessions), `channels` (members on two
//! hubs), `stored` (inboxes and crashes), `restarts`, `disk`, `clock`.

mod bounds;
mod channels;
mod clock;
mod disk;
mod lasting;
mod overload;
mod rates;
mod restarts;
mod sessions;
mod stored;

use tidings_client_core::{Answer, Call, CallError, CallId, ClientEvent, Message};
use tidings_hub::App;
use tidings_wire::names::AppId;

use crate::checks::Violation;
use crate::sometimes::Sometimes;
use crate::world::{APP_ID, ClientId, Record, Seen, World, WorldConfig};

/// An app other than [`APP_ID`]; it sorts before that one.
const OTHER_APP_ID: &str = "11111111111111111111111111111111";
/// The key of the app in probes of tokens, and a wrong one.
const CERTIFICATE: &str = "0badc0de0badc0de0badc0de0badc0de";
const OTHER_CERTIFICATE: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";

/// What each hub may keep for its clients in the probe of that bound, in bytes.
const LITTLE_BYTES: usize = 256 * 1024;

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    /// Hash of the trace: equal for equal seeds.
    pub trace_hash: u64,
    /// The trace, if it was asked for.
    pub trace: Vec<String>,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Rare situations that occurred.
    pub sometimes: Sometimes,
}

struct Probe {
    world: World,
    records: Vec<Record>,
    violations: Vec<Violation>,
}

/// What a probe does.
type Promise = fn(&mut Probe);

/// What a probe's app requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    Rates,
    Tokens,
    /// Little memory for unconfirmed frames.
    Little,
}

/// All probes, with the promise that each checks.
const PROBES: &[(Promise, Asks)] = &[
    (Probe::two_apps, Asks::Nothing),
    (Probe::full_outbox, Asks::Nothing),
    (Probe::full_client, Asks::Nothing),
    (Probe::silent_reader, Asks::Nothing),
    (Probe::full_inbox, Asks::Nothing),
    (Probe::rates, Asks::Rates),
    (Probe::fair_rates, Asks::Rates),
    (Probe::storm, Asks::Rates),
    (Probe::flood, Asks::Rates),
    (Probe::rates_of_logins, Asks::Rates),
    (Probe::hasty_flooder, Asks::Rates),
    (Probe::short_memory, Asks::Nothing),
    (Probe::little_memory, Asks::Little),
    (Probe::second_login, Asks::Nothing),
    (Probe::repeated_requests, Asks::Nothing),
    (Probe::resume_in_the_middle, Asks::Nothing),
    (Probe::reply_without_connection, Asks::Nothing),
    (Probe::resume_place, Asks::Nothing),
    (Probe::older_connection, Asks::Nothing),
    (Probe::wrong_secret, Asks::Nothing),
    (Probe::lost_resume, Asks::Nothing),
    (Probe::stranger, Asks::Nothing),
    (Probe::tokens, Asks::Tokens),
    (Probe::token_end, Asks::Tokens),
    (Probe::outsider, Asks::Nothing),
    (Probe::anothers_call, Asks::Nothing),
    (Probe::callee_gone, Asks::Nothing),
    (Probe::replaced_login, Asks::Nothing),
    (Probe::taken_over, Asks::Nothing),
    (Probe::old_messages, Asks::Nothing),
    (Probe::inbox_pages, Asks::Nothing),
    (Probe::unconfirmed_page, Asks::Nothing),
    (Probe::power_cut, Asks::Nothing),
    (Probe::crashes, Asks::Nothing),
    (Probe::crash_after_reading, Asks::Nothing),
    (Probe::restart_of_a_silent_client, Asks::Nothing),
    (Probe::restart_of_a_company, Asks::Nothing),
    (Probe::canceled_call, Asks::Nothing),
    (Probe::full_disk, Asks::Nothing),
    (Probe::broken_disk, Asks::Nothing),
    (Probe::flipped_bits, Asks::Nothing),
    (Probe::clock_goes_back, Asks::Nothing),
    (Probe::clock_goes_ahead, Asks::Nothing),
    (Probe::tokens_by_the_clock, Asks::Tokens),
    (Probe::two_clocks, Asks::Nothing),
    (Probe::two_writers, Asks::Nothing),
    (Probe::lost_change, Asks::Nothing),
    (Probe::silent_peer, Asks::Nothing),
    (Probe::hasty_members, Asks::Nothing),
    (Probe::news_of_the_absence, Asks::Nothing),
    (Probe::during_login, Asks::Nothing),
    (Probe::burst_at_a_login, Asks::Nothing),
    (Probe::late_confirmation, Asks::Nothing),
    (Probe::stored_at_login, Asks::Nothing),
    (Probe::window_over, Asks::Nothing),
    (Probe::long_session, Asks::Nothing),
    (Probe::renewed_token, Asks::Tokens),
    (Probe::kept_cursor, Asks::Nothing),
    (Probe::two_stores, Asks::Nothing),
];

/// Runs a seed: every probe once, in a world of its own.
pub fn run(seed: u64, is_traced: bool) -> Report {
    let mut report = Report {
        trace_hash: 0,
        trace: Vec::new(),
        violations: Vec::new(),
        sometimes: Sometimes::default(),
    };
    for (probe, asks) in PROBES {
        let mut config = WorldConfig::new(seed, 2);
        config.is_traced = is_traced;
        if *asks == Asks::Little {
            config.replay_bytes_max = LITTLE_BYTES;
        }
        let mut app = App::default();
        app.settings.rate_limits = *asks == Asks::Rates;
        if *asks == Asks::Tokens {
            app.certificates = vec![CERTIFICATE.into()];
        }
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
        report.sometimes.add(run.world.sometimes());
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

    fn leave(&mut self, client: ClientId) {
        let channel = "room".into();
        self.world.call(client, Call::Leave { channel });
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

    fn send_stored(&mut self, client: ClientId, to: &str, text: String) -> CallId {
        let call = Call::SendToPeer {
            peer_id: to.into(),
            message: Message::Text(text),
            offline: true,
            history: false,
        };
        self.world.call(client, call)
    }

    fn answer_to(&self, id: CallId) -> Option<&Result<Answer, CallError>> {
        self.records.iter().find_map(|record| match &record.what {
            Seen::Answer { id: of, result } if *of == id => Some(result),
            _ => None,
        })
    }

    /// Whether a message was acknowledged as stored.
    fn is_stored(&self, id: CallId) -> bool {
        let stored = Answer::PeerSent { received: false };
        matches!(self.answer_to(id), Some(Ok(answer)) if *answer == stored)
    }

    /// Texts of the peer messages that a client has received, in order.
    fn peer_texts(&self, client: ClientId) -> Vec<String> {
        let texts = self.events(client).filter_map(|event| match event {
            ClientEvent::PeerMessage {
                message: Message::Text(text),
                ..
            } => Some(text.clone()),
            _ => None,
        });
        texts.collect()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_holds() {
        // More of them are in the gate's simulation.
        let report = run(1, false);
        assert!(report.violations.is_empty(), "{:?}", report.violations);
    }
}
