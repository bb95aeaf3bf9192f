//! Faults of a cluster: nodes that are killed, and what NATS does between them.

use super::*;

/// How long connections and routes are away, in milliseconds.
const AWAY_MS: (u64, u64) = (50, 4_000);

impl ChaosConfig {
    /// The run for a seed with two or three nodes.
    ///
    /// Nodes are killed for good: what a node's own store would keep for its next process is the
    /// log's affair. Where some are, nobody invites anybody: an invitation's record is its hub's.
    pub fn for_nodes(seed: u64, nodes: u16) -> Self {
        let hubs = |node: u16| 1 + u16::try_from((seed >> node) % 2).unwrap_or(0);
        let nodes: Vec<u16> = (0..nodes).map(hubs).collect();
        let mut config = Self {
            hubs: nodes.iter().sum(),
            has_kills: false,
            has_restarts: false,
            has_pauses: false,
            has_legacy: false,
            has_outside: false,
            has_node_kills: seed % 4 == 1,
            has_link_faults: seed % 4 == 2,
            nodes,
            ..Self::for_seed(seed)
        };
        let kept = [Fault::Drift, Fault::Freezes, Fault::Deaths];
        config.faults.retain(|fault| kept.contains(fault));
        config
    }
}

/// What is away and comes back.
#[derive(Debug, Default)]
pub(super) struct NodeFaults {
    /// (when it comes back, between which servers).
    routes: Vec<(u64, usize, usize)>,
}

impl Chaos {
    /// Something happens to a node, or between them.
    pub(super) fn harm_nodes(&mut self, config: &ChaosConfig) {
        if config.nodes.is_empty() {
            return;
        }
        let now_ms = self.world.now_ms();
        self.mend_routes(now_ms);
        let living = self.world.living_nodes();
        if config.has_node_kills && living.len() > 1 && self.random.percent(1) {
            self.faults += 1;
            let node = *self.random.pick(&living);
            self.checker.note_crash(now_ms);
            self.world.kill_node(node);
        }
        if !config.has_link_faults || !self.random.percent(3) {
            return;
        }
        self.faults += 1;
        let index = self.random.between(0, u64::from(config.hubs) - 1);
        let index = usize::try_from(index).unwrap_or(0);
        let away_ms = self.random.between(AWAY_MS.0, AWAY_MS.1);
        // Where NATS knows of nobody, nobody is found: a client that comes to another node then
        // begins anew.
        self.checker.note_crash(now_ms);
        self.checker.note_crash(now_ms + away_ms);
        match self.random.between(0, 2) {
            0 => self.world.cut_link(index, away_ms),
            1 => self.world.slow_link(index, away_ms),
            _ => {
                let (a, b) = (index % config.nodes.len(), (index + 1) % config.nodes.len());
                self.world.set_route(a, b, false);
                self.nodes.routes.push((now_ms + away_ms, a, b));
            }
        }
    }

    /// What is due comes back.
    pub(super) fn mend_routes(&mut self, until_ms: u64) {
        let routes = std::mem::take(&mut self.nodes.routes);
        for (back_ms, a, b) in routes {
            if back_ms <= until_ms {
                self.world.set_route(a, b, true);
            } else {
                self.nodes.routes.push((back_ms, a, b));
            }
        }
    }
}
