//! Faults of disk, clocks, clients and tokens: which of them a seed has, and when they begin and
//! end.

use tidings_client_core::{ClientEvent, ConnectionReason, ConnectionState};
use tidings_token::{NewAccess007, Service, build_007};

use super::*;

/// The key of the app in seeds with tokens.
const CERTIFICATE: &str = "0badc0de0badc0de0badc0de0badc0de";
const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
/// A token that outlasts every run, in seconds.
const LASTING_S: u64 = 80_000;

/// A kind of fault, enabled for a whole seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The disk is full for some time.
    FullDisk,
    /// A write fails: the store is read-only until the server restarts.
    BrokenDisk,
    /// Group commits take seconds for some time.
    SlowDisk,
    /// The server's wall clock jumps by 1 s to 10 years in either direction.
    ClockJumps,
    /// Clients' clocks have different origins, and all clocks run fast or slow.
    Drift,
    /// Clients are suspended for up to a minute: they neither read nor send.
    Freezes,
    /// Clients die without notice; their users log in from new ones.
    Deaths,
    /// Tokens expire, also while their sessions have no connection.
    Tokens,
}

/// All kinds, with their names.
pub const FAULTS: [(Fault, &str); 8] = [
    (Fault::FullDisk, "full-disk"),
    (Fault::BrokenDisk, "broken-disk"),
    (Fault::SlowDisk, "slow-disk"),
    (Fault::ClockJumps, "clock-jumps"),
    (Fault::Drift, "drift"),
    (Fault::Freezes, "freezes"),
    (Fault::Deaths, "deaths"),
    (Fault::Tokens, "tokens"),
];

/// The kinds that a seed has: each in about a fifth of all seeds, none in calm ones.
pub(super) fn of_seed(seed: u64) -> BTreeSet<Fault> {
    let mut random = Random::new(seed ^ 0x5eed_5a3a);
    let is_calm = seed.is_multiple_of(4);
    let drawn = FAULTS.iter().filter(|_| random.percent(20));
    drawn
        .map(|(fault, _)| *fault)
        .filter(|_| !is_calm)
        .collect()
}

/// The faults in progress.
#[derive(Debug, Default)]
pub(super) struct Swarm {
    faults: BTreeSet<Fault>,
    /// Number of faults, by kind.
    pub(super) counts: BTreeMap<Fault, u64>,
    is_broken: bool,
    /// When the disk recovers.
    disk_until_ms: Option<u64>,
    /// When each client resumes.
    frozen: BTreeMap<ClientId, u64>,
    is_over: bool,
}

impl Swarm {
    pub(super) fn new(faults: BTreeSet<Fault>) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    pub(super) fn has_tokens(&self) -> bool {
        self.has(Fault::Tokens)
    }

    /// Whether the disk has no fault.
    pub(super) fn has_well_disk(&self) -> bool {
        let of_disk = [Fault::FullDisk, Fault::BrokenDisk, Fault::SlowDisk];
        !of_disk.into_iter().any(|fault| self.has(fault))
    }

    pub(super) fn certificates(&self) -> Vec<String> {
        if self.has_tokens() {
            vec![CERTIFICATE.into()]
        } else {
            Vec::new()
        }
    }

    fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }
}

impl Chaos {
    /// Makes clocks run at different speeds.
    pub(super) fn set_clocks(&mut self, client: ClientId) {
        if !self.swarm.has(Fault::Drift) {
            return;
        }
        self.swarm.count(Fault::Drift);
        let ppm = self.random.between(0, 1_000) as i64 - 500;
        let offset_ms = self.random.between(0, 1_000_000);
        self.world.set_client_clock(client, offset_ms, ppm);
        let ppm = self.random.between(0, 1_000) as i64 - 500;
        self.world.set_wall_drift(ppm);
    }

    /// A token for a user, or none if none is needed.
    pub(super) fn token(&mut self, user: &str) -> String {
        if !self.swarm.has_tokens() {
            return String::new();
        }
        let lifetime_s = if self.swarm.is_over {
            LASTING_S
        } else {
            self.random.between(25, 90)
        };
        self.token_for(user, lifetime_s)
    }

    /// A token for a user whose client cannot renew it, if one is needed.
    pub(super) fn lasting_token(&self, user: &str) -> Option<String> {
        self.swarm
            .has_tokens()
            .then(|| self.token_for(user, LASTING_S))
    }

    fn token_for(&self, user: &str, lifetime_s: u64) -> String {
        let lifetime_s = u32::try_from(lifetime_s).unwrap_or(u32::MAX);
        build_007(&NewAccess007 {
            app_id: APP_ID,
            certificate: CERTIFICATE,
            issued_at_unix_s: u32::try_from(self.world.unix_ms() / 1_000).unwrap_or(u32::MAX),
            lifetime_s,
            salt: 1,
            services: &[Service::rtm(user, lifetime_s)],
        })
        .unwrap_or_default()
    }

    /// What an application does about its token: usually it renews in time; when the session has
    /// ended, it logs in again.
    pub(super) fn mind_token(&mut self, record: &Record) {
        let Seen::Event(event) = &record.what else {
            return;
        };
        let client = record.client;
        let Some(user) = self.users.get(&client).cloned() else {
            return;
        };
        match event {
            // With a lasting token at the end of the run, and usually before.
            ClientEvent::TokenWillExpire { .. } | ClientEvent::TokenExpired
                if self.swarm.is_over || self.random.percent(70) =>
            {
                self.renew(client);
            }
            ClientEvent::StateChanged {
                state: ConnectionState::Aborted,
                reason: ConnectionReason::TokenExpired,
            } => {
                self.swarm.count(Fault::Tokens);
                self.invitations.note_dead(client);
                self.begin_anew(&user);
            }
            _ => {}
        }
    }

    fn renew(&mut self, client: ClientId) {
        let token = self.token(&self.user(&client));
        let id = self.world.renew(client, &token);
        let now_ms = self.world.now_ms();
        self.checker.note_call(now_ms, client, id, Done::Other);
    }

    /// The session of one of a user's clients has ended: unless another one is served, the user
    /// logs in from a new one.
    fn begin_anew(&mut self, user: &str) {
        let is_served = |client: &ClientId| {
            !matches!(
                self.world.state(*client),
                ConnectionState::Aborted | ConnectionState::Disconnected
            )
        };
        let at = self
            .clients
            .iter()
            .position(|client| self.user(client) == user);
        if let Some(at) = at.filter(|at| !is_served(&self.clients[*at])) {
            self.clients[at] = self.log_in(user.to_owned());
        }
    }

    /// Faults end, and new ones may begin.
    pub(super) fn stir(&mut self) {
        self.end_due();
        if self.swarm.faults.is_empty() || !self.random.percent(4) {
            return;
        }
        let faults: Vec<Fault> = self.swarm.faults.iter().copied().collect();
        let fault = *self.random.pick(&faults);
        let now_ms = self.world.now_ms();
        match fault {
            Fault::FullDisk if !self.swarm.is_broken => {
                self.swarm.disk_until_ms = Some(now_ms + self.random.between(500, 8_000));
                self.world.set_disk_full(true);
            }
            Fault::SlowDisk => {
                self.swarm.disk_until_ms = Some(now_ms + self.random.between(500, 8_000));
                let ms_max = self.random.between(500, 4_000);
                self.world.set_disk_delay(ms_max);
            }
            Fault::BrokenDisk if !self.swarm.is_broken => {
                self.swarm.is_broken = true;
                self.world.fail_disk();
            }
            Fault::ClockJumps => {
                let size = *self
                    .random
                    .pick(&[1_000, HOUR_MS, 8 * 24 * HOUR_MS, 10 * YEAR_MS]);
                let is_ahead = self.random.percent(50);
                self.world.jump_clock(if is_ahead { size } else { -size });
            }
            Fault::Freezes => {
                let client = *self.random.pick(&self.clients);
                let ms = *self.random.pick(&[500, 5_000, 20_000, 60_000]);
                self.freeze(client, ms);
            }
            Fault::Deaths => {
                let at = self.random.between(0, self.clients.len() as u64 - 1) as usize;
                self.die(at);
            }
            _ => return,
        }
        self.swarm.count(fault);
    }

    /// The machine's wall clock may have jumped while no process was running.
    pub(super) fn jump_while_away(&mut self) {
        if self.swarm.has(Fault::ClockJumps) && self.random.percent(30) {
            self.swarm.count(Fault::ClockJumps);
            self.world.set_clock_right();
            let by_ms = *self.random.pick(&[1_000, -1_000, HOUR_MS, -HOUR_MS]);
            self.world.jump_clock(by_ms);
        }
    }

    fn freeze(&mut self, client: ClientId, ms: u64) {
        let until_ms = self.world.now_ms() + ms;
        self.world.freeze(client);
        self.checker.note_pause(client, ms);
        self.swarm.frozen.insert(client, until_ms);
    }

    /// A client's process dies without notice, and its user starts over.
    fn die(&mut self, at: usize) {
        let client = self.clients[at];
        self.world.cut(client);
        self.world.freeze(client);
        self.swarm.frozen.remove(&client);
        self.checker.note_dead(client);
        self.invitations.note_dead(client);
        let user = self.users.remove(&client).unwrap_or_default();
        self.clients[at] = self.log_in(user);
    }

    pub(super) fn end_due(&mut self) {
        let now_ms = self.world.now_ms();
        if self
            .swarm
            .disk_until_ms
            .is_some_and(|until_ms| until_ms <= now_ms)
        {
            self.mend_disk();
        }
        let due = (self.swarm.frozen.iter()).filter(|(_, until_ms)| **until_ms <= now_ms);
        let due: Vec<(ClientId, u64)> =
            due.map(|(client, until_ms)| (*client, *until_ms)).collect();
        self.thaw(due);
    }

    fn thaw(&mut self, clients: Vec<(ClientId, u64)>) {
        let now_ms = self.world.now_ms();
        for (client, until_ms) in clients {
            self.swarm.frozen.remove(&client);
            // The server may have been down at that time.
            let later_ms = now_ms.saturating_sub(until_ms);
            self.checker.note_pause(client, later_ms);
            self.world.thaw(client);
        }
    }

    fn mend_disk(&mut self) {
        self.swarm.disk_until_ms = None;
        self.world.set_disk_full(false);
        self.world.set_disk_delay(self.disk_delay_ms);
    }

    /// All faults end, and the operator does what is necessary.
    pub(super) fn mend(&mut self) {
        self.swarm.is_over = true;
        self.mend_disk();
        self.world.set_clock_right();
        let all = std::mem::take(&mut self.swarm.frozen);
        self.thaw(all.into_iter().collect());
        if std::mem::take(&mut self.swarm.is_broken) || !self.world.is_disk_well() {
            self.kill();
        }
        if self.swarm.has_tokens() {
            for client in self.users.keys().copied().collect::<Vec<_>>() {
                self.renew(client);
            }
        }
    }
}
