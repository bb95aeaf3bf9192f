//! Random clients under random faults, then a quiet period, then the verdict.

use std::collections::{BTreeMap, BTreeSet};

use tidings_client_core::CallId;
use tidings_hub::App;
use tidings_wire::names::AppId;

use crate::backend::{Backend, Scene};
use crate::checks::{Checker, Done, Violation};
use crate::invitations::Invitations;
use crate::random::Random;
use crate::sometimes::Sometimes;
use crate::world::{APP_ID, ClientId, Record, Seen, World, WorldConfig};

/// The parameters of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaosConfig {
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Hubs, 1 to 64.
    pub hubs: u16,
    /// Hubs of each node; empty = one node that is alone.
    pub nodes: Vec<u16>,
    /// Nodes are killed for good, all but one.
    pub has_node_kills: bool,
    /// Hubs lose their connections to NATS, or hear nothing over them; servers of NATS lose each
    /// other.
    pub has_link_faults: bool,
    /// Simulated time during which faults occur, in milliseconds.
    pub duration_ms: u64,
    /// Cuts, lost networks and half-open connections; without this the run is calm.
    pub has_faults: bool,
    /// The server is also killed and restarted.
    pub has_kills: bool,
    /// Users log in a second time, from another client, while messages to them are in transit.
    pub has_second_logins: bool,
    /// The operator restarts the server, draining it first.
    pub has_restarts: bool,
    /// The server's process is suspended for up to two minutes.
    pub has_pauses: bool,
    /// Further kinds of faults.
    pub faults: BTreeSet<Fault>,
    /// Most users; fewer make a failure easier to read.
    pub users_max: u64,
    /// Steps of the run that are skipped, by number.
    pub skipped: BTreeSet<u64>,
    /// Some users have clients that speak the legacy protocol.
    pub has_legacy: bool,
    /// A backend calls the hubs from outside.
    pub has_outside: bool,
    /// Keep the trace as text.
    pub is_traced: bool,
}

impl ChaosConfig {
    /// The run for a seed, which determines hubs, faults and kills.
    pub fn for_seed(seed: u64) -> Self {
        Self {
            seed,
            hubs: [1, 2, 4][usize::try_from(seed % 3).unwrap_or(0)],
            nodes: Vec::new(),
            has_node_kills: false,
            has_link_faults: false,
            duration_ms: 60_000,
            has_faults: !seed.is_multiple_of(4),
            has_kills: seed.is_multiple_of(5),
            has_second_logins: seed % 7 >= 4,
            has_restarts: seed % 11 >= 7,
            // Not combined with the further kinds of faults.
            has_pauses: seed % 13 >= 10 && swarm::of_seed(seed).is_empty(),
            faults: swarm::of_seed(seed),
            users_max: USERS_MAX,
            skipped: BTreeSet::new(),
            has_legacy: matches!(seed % 11, 0 | 3 | 4 | 9),
            // Not with pauses, in which nobody could give a hub anything.
            has_outside: seed % 9 >= 6 && !(seed % 13 >= 10 && swarm::of_seed(seed).is_empty()),
            is_traced: false,
        }
    }
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    /// Hash of the trace: equal for equal seeds.
    pub trace_hash: u64,
    /// The trace, if it was kept.
    pub trace: Vec<String>,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Number of faults injected.
    pub faults: u64,
    /// Number of second logins of a user.
    pub seconds: u64,
    /// Number of planned restarts.
    pub restarts: u64,
    /// Number of times the server's process was suspended.
    pub pauses: u64,
    /// Number of messages that arrived.
    pub received: usize,
    /// Number of invitations that were accepted.
    pub accepted: usize,
    /// Number of calls made by clients.
    pub calls: u64,
    /// Number of gaps reported to clients.
    pub gaps: u64,
    /// Number of faults by kind, only those of [`Fault`].
    pub by_kind: BTreeMap<Fault, u64>,
    /// Rare situations that occurred.
    pub sometimes: Sometimes,
    /// Number of steps taken.
    pub steps: u64,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
}

mod acts;
mod converge;
mod leftovers;
mod legacy;
mod nodes;
mod restarts;
mod settle;
mod swarm;

pub use swarm::{FAULTS, Fault};

/// Most users in a run.
pub const USERS_MAX: u64 = 8;

use swarm::Swarm;

const CHANNELS: [&str; 3] = ["red", "green", "blue"];

struct Chaos {
    world: World,
    checker: Checker,
    invitations: Invitations,
    legacy: legacy::LegacyPart,
    backend: Backend,
    random: Random,
    /// One client per user: the one that logged in last.
    clients: Vec<ClientId>,
    users: BTreeMap<ClientId, String>,
    joined: BTreeMap<ClientId, BTreeSet<&'static str>>,
    /// The channels that are joined and left.
    membership_calls: BTreeMap<CallId, &'static str>,
    /// Clients that do not know whether they are in these channels.
    uncertain: BTreeSet<(ClientId, &'static str)>,
    texts: u64,
    faults: u64,
    seconds: u64,
    restarts: u64,
    pauses: u64,
    calls: u64,
    swarm: Swarm,
    /// Time of a group commit on a healthy disk.
    disk_delay_ms: u64,
    steps: u64,
    nodes: nodes::NodeFaults,
    has_invitations: bool,
}

/// Runs a seed.
pub fn run(config: &ChaosConfig) -> Report {
    let mut random = Random::new(config.seed);
    let mut world = WorldConfig::new(random.next_u64(), config.hubs);
    if !config.nodes.is_empty() {
        world = world.with_nodes(&config.nodes);
    }
    // Swarm testing: each seed stresses different features.
    world.network_delay_ms_max = *random.pick(&[0, 5, 50, 400]);
    world.bus_delay_ms_max = *random.pick(&[0, 1, 20]);
    world.store_delay_ms_max = *random.pick(&[0, 3, 100]);
    world.drain_window_ms = *random.pick(&[0, 0, 2_000]);
    world.is_traced = config.is_traced;
    let mut app = App::default();
    app.settings.rate_limits = false;
    let swarm = Swarm::new(config.faults.clone());
    app.certificates = swarm.certificates();
    let disk_delay_ms = world.store_delay_ms_max;
    if let Ok(app_id) = AppId::parse(APP_ID) {
        world.apps.listed.insert(app_id, app);
    }
    let mut chaos = Chaos {
        world: World::new(world),
        checker: Checker::default(),
        invitations: Invitations::default(),
        legacy: legacy::LegacyPart::default(),
        backend: Backend::default(),
        clients: Vec::new(),
        users: BTreeMap::new(),
        joined: BTreeMap::new(),
        membership_calls: BTreeMap::new(),
        uncertain: BTreeSet::new(),
        texts: 0,
        faults: 0,
        seconds: 0,
        restarts: 0,
        pauses: 0,
        calls: 0,
        random,
        swarm,
        disk_delay_ms,
        steps: 0,
        nodes: nodes::NodeFaults::default(),
        has_invitations: !config.has_node_kills && !config.has_link_faults,
    };
    if !config.nodes.is_empty() {
        chaos.checker.note_nodes();
    }
    if chaos.swarm.has_tokens() {
        chaos.checker.note_tokens();
    }
    chaos.begin(config);
    if config.has_legacy {
        chaos.begin_legacy();
    }
    chaos.go_on(config);
    chaos.settle();
    let calls = chaos.calls + chaos.backend.calls;
    let (gaps, received) = (chaos.checker.gaps(), chaos.checker.received());
    let received = received + chaos.legacy.received();
    let accepted = chaos.invitations.accepted();
    let mut sometimes = chaos.world.sometimes().clone();
    if chaos.invitations.has_accepted_while_canceled() {
        sometimes.see("invitation accepted while canceled");
    }
    // A planned restart loses nothing.
    let is_calm = is_calm(config);
    let mut violations = chaos.checker.finish(is_calm);
    violations.extend(chaos.invitations.finish());
    violations.extend(chaos.world.finish_recorded());
    violations.extend(chaos.legacy.finish());
    Report {
        trace_hash: chaos.world.trace_hash(),
        trace: chaos.world.trace().to_vec(),
        violations,
        faults: chaos.faults,
        seconds: chaos.seconds,
        restarts: chaos.restarts,
        pauses: chaos.pauses,
        received,
        accepted,
        calls,
        gaps,
        by_kind: chaos.swarm.counts,
        sometimes,
        steps: chaos.steps,
        simulated_ms: chaos.world.now_ms(),
    }
}

/// Whether the operation must be seamless: planned restarts and second logins are.
fn is_calm(config: &ChaosConfig) -> bool {
    let has_breaks = config.has_faults || config.has_kills || config.has_pauses;
    let has_breaks = has_breaks || config.has_node_kills || config.has_link_faults;
    !has_breaks && config.faults.is_empty()
}

impl Chaos {
    fn begin(&mut self, config: &ChaosConfig) {
        let count = self.random.between(3, USERS_MAX).min(config.users_max);
        for n in 0..count {
            let client = self.log_in(format!("u{n}"));
            self.clients.push(client);
        }
        self.advance(2_000);
    }

    fn log_in(&mut self, user: String) -> ClientId {
        let client = self.world.add_client();
        self.checker.note_client(client, &user);
        self.set_clocks(client);
        let token = self.token(&user);
        let id = self.world.login(client, &user, &token);
        self.checker
            .note_call(self.world.now_ms(), client, id, Done::Other);
        self.users.insert(client, user);
        client
    }

    /// Logs in another client under the name of a connected one, while messages for it are in
    /// transit.
    fn replace(&mut self) {
        self.seconds += 1;
        let at = self.random.between(0, self.clients.len() as u64 - 1) as usize;
        let older = self.clients[at];
        let user = self.users[&older].clone();
        let sender = *self.random.pick(&self.clients);
        let count = self.random.between(0, 6);
        for n in 0..count {
            let is_offline = self.random.percent(70);
            self.send_to_peer(sender, user.clone(), is_offline);
            if n % 2 == 1 {
                let pause = self.random.between(0, 30);
                self.advance(pause);
            }
        }
        self.clients[at] = self.log_in(user.clone());
        let count = self.random.between(0, 6);
        for _ in 0..count {
            let pause = self.random.between(0, 40);
            self.advance(pause);
            let is_offline = self.random.percent(70);
            self.send_to_peer(sender, user.clone(), is_offline);
        }
    }

    fn user(&self, client: &ClientId) -> String {
        self.users.get(client).cloned().unwrap_or_default()
    }

    fn advance(&mut self, ms: u64) {
        let until = self.world.now_ms() + ms;
        self.world.run_until(until);
        self.note_legacy();
        self.backend.note(&mut self.world, &mut self.checker);
        for record in self.world.take_records() {
            self.checker.note(&record);
            self.invitations.note(&record);
            let user = self.user(&record.client);
            self.legacy.note_native(&record, user);
            self.apply_answer(&record);
            if self.swarm.has_tokens() {
                self.mind_token(&record);
            }
            if let Seen::Event(tidings_client_core::ClientEvent::ChannelLost { channel, .. }) =
                &record.what
                && let Some(joined) = self.joined.get_mut(&record.client)
            {
                joined.retain(|name| name != channel);
            }
        }
    }

    /// In small steps, so that applications see events as they happen.
    fn advance_in_steps(&mut self, ms: u64) {
        for _ in 0..ms / 1_000 {
            self.advance(1_000);
        }
    }

    /// A join or leave that failed may still take effect: only its client has given up.
    fn apply_answer(&mut self, record: &Record) {
        let Seen::Answer { id, result: Err(_) } = &record.what else {
            return;
        };
        if let Some(channel) = self.membership_calls.remove(id) {
            self.uncertain.insert((record.client, channel));
        }
    }

    fn go_on(&mut self, config: &ChaosConfig) {
        let end = self.world.now_ms() + config.duration_ms;
        let fault_percent = self.random.between(1, 12);
        let began = self.random.next_u64();
        while self.world.now_ms() < end {
            // Each step has a random generator of its own, so that skipping one changes no other.
            self.steps += 1;
            self.random = Random::new(began ^ self.steps.wrapping_mul(0x9e37_79b9));
            let pause = self.random.between(5, 400);
            self.advance(pause);
            if config.skipped.contains(&self.steps) {
                self.end_due();
                continue;
            }
            self.stir();
            if config.has_outside {
                let text = self.text();
                let mut scene = Scene {
                    world: &mut self.world,
                    checker: &mut self.checker,
                    users: self.clients.len() as u64,
                    channels: &CHANNELS,
                };
                self.backend.act(&mut scene, began ^ self.steps, text);
            }
            self.step(config, fault_percent);
        }
    }

    fn step(&mut self, config: &ChaosConfig, fault_percent: u64) {
        let client = *self.random.pick(&self.clients);
        self.act(client);
        if config.has_legacy {
            self.act_with_legacy(config.has_faults);
        }
        if config.has_faults && self.random.percent(fault_percent) {
            self.harm();
        }
        if config.has_second_logins && self.random.percent(3) {
            self.replace();
        }
        self.harm_nodes(config);
        self.break_off(config);
        if config.has_kills && self.random.percent(1) {
            self.kill();
        }
    }

    fn harm(&mut self) {
        self.faults += 1;
        let client = *self.random.pick(&self.clients);
        match self.random.between(0, 3) {
            0 => self.world.half_open(client),
            1 => self.world.set_offline(client, true),
            _ => self.world.cut(client),
        }
        for client in self.clients.clone() {
            if self.random.percent(30) {
                self.world.set_offline(client, false);
            }
        }
    }
}
