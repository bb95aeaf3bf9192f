//! Random courses: workers come, go and confirm while messages are sent to them.

use tidings_wire::proto::Logout;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;

use super::{confirm, node, worker};
use crate::config::Replicas;
use crate::ids::ConnectionId;
use crate::tests::node::Node;

/// Draws numbers: the same for a seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        let step = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = step.wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound as u64).expect("small")
    }
}

/// What a crowd of workers has done, and what was sent to them.
struct Crowd {
    node: Node,
    draw: Draw,
    alice: ConnectionId,
    /// All that there ever were.
    workers: Vec<ConnectionId>,
    sent: Vec<u64>,
}

impl Crowd {
    fn one(&mut self) -> Option<ConnectionId> {
        let count = self.workers.len();
        (count > 0).then(|| self.workers[self.draw.below(count)])
    }

    fn is_served(&self, worker: ConnectionId) -> bool {
        let seen = self.node.seen.get(&worker);
        let is_in = |kind: &Kind| matches!(kind, Kind::Welcome(_) | Kind::Resumed(_));
        seen.is_some_and(|seen| seen.closed.is_none() && seen.messages.iter().any(is_in))
    }

    fn act(&mut self) {
        let worker = self.one();
        match (self.draw.below(12), worker) {
            (0..=2, _) => {
                self.node.now.mono_ms += 1;
                let hub = self.draw.below(3);
                let worker = self.node.open(hub);
                self.node.log_in(worker, "worker");
                self.workers.push(worker);
            }
            (3, Some(worker)) if self.is_served(worker) => {
                self.node.call(worker, Call::Logout(Logout {}));
            }
            (4, Some(worker)) => self.node.close(worker),
            (5 | 6, Some(worker)) if self.is_served(worker) => confirm(&mut self.node, worker),
            (7, _) => {
                let ms = [100, 3_000, 31_000][self.draw.below(3)];
                self.node.is_held = false;
                self.node.settle();
                self.node.pass(ms, &[self.alice]);
                self.node.is_held = true;
            }
            _ => {
                let text = self.sent.len().to_string();
                let cseq = self.node.send(self.alice, "worker", &text, true);
                self.sent.push(cseq);
            }
        }
        for _ in 0..self.draw.below(12) {
            self.node.step();
        }
    }
}

#[test]
fn whatever_they_do_every_stored_message_comes_to_one_of_them_and_every_sender_hears() {
    for seed in 0..200 {
        let mode = [Replicas::Share, Replicas::All][seed % 2];
        let mut node = node(mode);
        let alice = node.login(seed % 3, "alice");
        node.is_held = true;
        let mut crowd = Crowd {
            node,
            draw: Draw(seed as u64 + 1),
            alice,
            workers: Vec::new(),
            sent: Vec::new(),
        };
        for _ in 0..60 {
            crowd.act();
        }
        let Crowd {
            mut node,
            mut workers,
            sent,
            ..
        } = crowd;
        node.is_held = false;
        node.settle();
        node.pass(200_000, &[alice]);
        // Whoever comes last gets what nobody has confirmed.
        let last = node.login(2, "worker");
        workers.push(last);
        for _ in 0..10 {
            confirm(&mut node, last);
        }
        let had: std::collections::BTreeSet<String> = workers
            .iter()
            .flat_map(|worker| node.texts(*worker))
            .collect();
        for (n, cseq) in sent.iter().enumerate() {
            let told = node.reply(alice, *cseq);
            assert!(told.is_some(), "seed {seed}: nobody has told of {n}");
            assert!(had.contains(&n.to_string()), "seed {seed}: {n} is lost");
        }
        let places = node.hubs.iter();
        let places = places.filter(|hub| !hub.kernel.sessions_of(&worker()).is_empty());
        assert_eq!(places.count(), 1, "seed {seed}");
    }
}
