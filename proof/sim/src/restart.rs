//! How the server's process stops and starts: kills, planned restarts, pauses.
//!
//! A planned restart is what an operator does: [`World::drain_server`], [`World::stop_server`],
//! [`World::start_server`]. Time passes in the last two, because a stopped process cannot do
//! anything else.

use std::sync::Arc;

use tidings_bus::{Homes, Router};
use tidings_cell::{Cell, RecentLogins};
use tidings_cluster::ClusterRouter;
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_hub::used::UsedRates;
use tidings_hub::{Hub, HubConfig, Input, Snapshot};
use tidings_wire::limits::RESUME_WINDOW_MS;

use crate::world::{Happening, Nodes, World};

/// Longest wait for operations in progress during a drain, in milliseconds. Source: the server's
/// shell.
const SETTLE_MS: u64 = 3_000;

/// Sessions on disk between two processes, in the format of the server's shell.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The wall clock of the process that wrote it.
    unix_ms: u64,
    hubs: Vec<Vec<u8>>,
}

impl World {
    /// Kills the server: everything that is not on the disk is lost. Connections are reset.
    pub fn kill_server(&mut self) {
        self.note("server is killed");
        self.end_process();
    }

    fn end_process(&mut self) {
        self.crash_disk();
        self.paused_until_ms = 0;
        self.incarnation += 1;
        self.is_down = true;
        self.used = UsedRates::new((0, 0));
        self.recent = RecentLogins::default();
        self.down_since_ms = self.now_ms;
        self.is_draining = false;
        self.cells.clear();
        self.links.clear();
        let wires: Vec<ConnectionId> = self.wires.keys().copied().collect();
        for wire in wires {
            let delay = self.random.between(0, self.config.network_delay_ms_max);
            self.schedule(delay, Happening::CloseClient { wire, code: None });
        }
    }

    /// The server receives the signal to stop: nobody is admitted, and clients are disconnected
    /// over the drain window.
    pub fn drain_server(&mut self) {
        // A process that is not running does not receive it.
        self.run_until(self.paused_until_ms.max(self.now_ms));
        self.note("server drains");
        self.is_draining = true;
        self.give_all(|| Input::Drain);
        self.drained_ms = self.now_ms + self.config.drain_window_ms;
        self.recorded.idle_ms += self.config.drain_window_ms;
    }

    /// Waits until a draining server stops. Returns whether its sessions are kept for the next
    /// process: they are not if something is still in progress after the longest wait.
    pub fn stop_server(&mut self) -> bool {
        self.run_until(self.drained_ms.max(self.now_ms));
        self.give_all(|| Input::Settle);
        let is_settled = self.run_while(self.now_ms + SETTLE_MS, |world| !world.is_settled());
        self.kept = is_settled.then(|| Kept {
            unix_ms: self.unix_ms(),
            hubs: (self.cells.iter())
                .map(|cell| cell.snapshot().encode())
                .collect(),
        });
        self.note("server stops");
        self.end_process();
        is_settled
    }

    /// Starts the server after a kill or a stop. Returns whether it has taken over the previous
    /// process's sessions.
    pub fn start_server(&mut self) -> bool {
        let takes_over = self.begin_process();
        if takes_over {
            self.run_while(self.now_ms + SETTLE_MS, |world| world.is_busy());
        }
        self.is_draining = false;
        takes_over
    }

    /// What the previous process has left of invitations.
    fn load_invitations(&mut self) {
        if let Some(nodes) = &self.nodes {
            let loads: Vec<(HubId, Input)> = (0..self.cells.len())
                .map(|at| {
                    let hub = nodes.hub(at);
                    let hubs = nodes.hubs_of(hub.node);
                    // Each node's clock began at another time.
                    let boot = 1 + u64::from(hub.node);
                    (hub, Input::Load { hubs, boot })
                })
                .collect();
            for (hub, load) in loads {
                self.give_hub(hub, load);
            }
            return;
        }
        let hubs = self.config.hubs;
        self.give_all(|| Input::Load { hubs, boot: 1 });
    }

    /// Starts the server and kills it while it takes over the previous process's sessions: they are
    /// gone, because they can be used only once.
    pub fn start_and_kill_server(&mut self, after_ms: u64) {
        self.begin_process();
        self.run_until(self.now_ms + after_ms);
        self.kill_server();
    }

    /// Nobody is admitted before all hubs know where everybody is.
    fn begin_process(&mut self) -> bool {
        self.note("server starts");
        self.recorded.idle_ms += self.now_ms - self.down_since_ms;
        self.is_down = false;
        self.make_hubs();
        let now_ms = self.unix_ms();
        // A clock that went backwards says nothing about the sessions' age.
        let is_young = |kept: &Kept| {
            let written_ms = kept.unix_ms;
            (written_ms..written_ms + RESUME_WINDOW_MS).contains(&now_ms)
        };
        let Some(kept) = self.kept.take().filter(is_young) else {
            self.load_invitations();
            return false;
        };
        self.is_draining = true;
        let all = Snapshot::decode_all(kept.hubs.iter().map(Vec::as_slice)).unwrap_or_default();
        for (at, snapshot) in (0..).zip(all) {
            self.give_hub(HubId::local(at), Input::Restore(Box::new(snapshot)));
        }
        self.load_invitations();
        true
    }

    fn make_hubs(&mut self) {
        let homes_key = (self.random.next_u64(), self.random.next_u64());
        let homes = Homes::new(self.config.hubs, homes_key);
        let apps = Arc::new(self.config.apps.clone());
        let nodes = self.config.nodes.clone();
        if !nodes.is_empty() {
            self.nodes = Some(Nodes::new(&nodes, self.random.next_u64()));
        }
        for at in 0..self.config.hubs {
            let id = self.hub_id(usize::from(at));
            let config = HubConfig {
                id,
                seed: self.random.seed_32(),
                apps: Arc::clone(&apps),
                server: "tidings-sim".into(),
                drain_window_ms: self.config.drain_window_ms,
                epoch_base: self.has_nodes().then(|| (u64::from(id.node) + 1) << 20),
            };
            let hub = Hub::new(config).with_replay_bytes_max(self.config.replay_bytes_max);
            // Posted to the hub itself as well, so that other events may come in between.
            let bus = match &mut self.nodes {
                None => {
                    let router = Router::new(id, homes).posting_to_itself();
                    ClusterRouter::alone(router)
                }
                Some(nodes) => {
                    let homes = Homes::new(nodes.hubs_of(id.node), homes_key).on_node(id.node);
                    nodes.connect(Router::new(id, homes).posting_to_itself())
                }
            };
            self.cells.push(Cell::new(hub, bus));
            if self.nodes.is_none() {
                self.give_hub(id, Input::Tick);
            }
        }
        // A hub's bus and those of its node must be there before anything happens.
        for at in 0..self.cells.len() {
            if self.nodes.is_some() {
                self.give_hub(self.hub_id(at), Input::Tick);
            }
        }
    }

    fn give_all(&mut self, input: impl Fn() -> Input) {
        for at in 0..self.cells.len() {
            self.give_hub(self.hub_id(at), input());
        }
    }

    /// Whether nothing is in progress in the server.
    fn is_settled(&self) -> bool {
        self.cells.iter().all(|cell| cell.hub().is_settled()) && !self.is_busy()
    }

    fn is_busy(&self) -> bool {
        let is_ours = |happening: &Happening| {
            matches!(
                happening,
                Happening::Hub { .. } | Happening::Post { .. } | Happening::Commit { .. }
            )
        };
        self.happenings.values().any(is_ours)
    }

    /// Suspends the server's process for some time while the world continues. Does nothing if it is
    /// suspended already.
    pub fn pause_server(&mut self, ms: u64) {
        if self.pause_left_ms() > 0 {
            return;
        }
        self.note("server stands still");
        self.paused_until_ms = self.now_ms + ms;
        self.recorded.idle_ms += ms;
    }

    /// How long the server's process will stay suspended, in milliseconds.
    pub fn pause_left_ms(&self) -> u64 {
        self.paused_until_ms.saturating_sub(self.now_ms)
    }
}
