//! Nodes over a simulated bucket: expiry by the bucket's own clock, lost answers, watches that are
//! cut, pauses.

use std::collections::{BTreeMap, VecDeque};

use super::super::*;

/// The bucket of one leader, with its own clock.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) revision: u64,
    pub(super) keys: BTreeMap<u16, (u64, Lease, u64)>,
    /// What watches are shown, in order, with the revision of each.
    pub(super) log: Vec<Shown>,
}

#[derive(Debug, Clone)]
pub(super) enum Shown {
    Put(u16, u64, Lease),
    End(u16, u64),
}

impl Bucket {
    pub(super) fn expire(&mut self, now_ms: u64) {
        let ended: Vec<u16> = self
            .keys
            .iter()
            .filter(|(_, (_, _, at_ms))| now_ms >= at_ms + LEASE_MS)
            .map(|(number, _)| *number)
            .collect();
        for number in ended {
            self.remove(number);
        }
    }

    pub(super) fn remove(&mut self, number: u16) {
        self.keys.remove(&number);
        self.revision += 1;
        self.log.push(Shown::End(number, self.revision));
    }

    pub(super) fn put(&mut self, number: u16, lease: &Lease, now_ms: u64) -> u64 {
        self.revision += 1;
        self.keys
            .insert(number, (self.revision, lease.clone(), now_ms));
        self.log
            .push(Shown::Put(number, self.revision, lease.clone()));
        self.revision
    }
}

/// A node with its clock, and what stands between it and the bucket.
pub(super) struct Host {
    pub(super) nodes: Nodes,
    /// What its monotonic clock was when the world began.
    pub(super) clock_ms: u64,
    pub(super) is_cut: bool,
    pub(super) is_paused: bool,
    /// How far its watch is in the bucket's log.
    pub(super) watched: usize,
    /// Requests that get no answer though they are carried out.
    pub(super) unanswered: u32,
    pub(super) pending: VecDeque<Effect>,
    pub(super) said: Vec<Effect>,
}

pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) bucket: Bucket,
    pub(super) hosts: Vec<Host>,
}

pub(super) fn lease(name: &str) -> Lease {
    Lease {
        name: name.into(),
        advertise: format!("wss://{name}.example"),
        ..Lease::default()
    }
}

impl World {
    pub(super) fn new(names: &[&str]) -> Self {
        let mut world = Self {
            now_ms: 1_000_000,
            bucket: Bucket::default(),
            hosts: Vec::new(),
        };
        for name in names {
            world.add(name);
        }
        world
    }

    /// Clocks of nodes have nothing to do with each other.
    pub(super) fn add(&mut self, name: &str) -> usize {
        let clock_ms = 5_000 * self.hosts.len() as u64 + 17;
        self.hosts.push(Host {
            nodes: Nodes::new(lease(name)),
            clock_ms,
            is_cut: false,
            is_paused: false,
            watched: self.bucket.log.len(),
            unanswered: 0,
            pending: VecDeque::new(),
            said: Vec::new(),
        });
        self.hosts.len() - 1
    }

    pub(super) fn give(&mut self, at: usize, input: Input) {
        let host = &mut self.hosts[at];
        let now_ms = self.now_ms - 1_000_000 + host.clock_ms;
        let mut out = Vec::new();
        host.nodes.handle(input, now_ms, &mut out);
        for effect in out {
            if matches!(
                effect,
                Effect::Create { .. } | Effect::Renew { .. } | Effect::Read { .. }
            ) {
                host.pending.push_back(effect);
            } else {
                if let Effect::Delete { number, revision } = effect
                    && !host.is_cut
                    && self
                        .bucket
                        .keys
                        .get(&number)
                        .is_some_and(|it| it.0 == revision)
                {
                    self.bucket.remove(number);
                }
                host.said.push(effect);
            }
        }
    }

    /// Carries a request out, as the bucket would.
    pub(super) fn carry_out(&mut self, request: &Effect) -> Input {
        match request {
            Effect::Create { number, lease } => {
                if self.bucket.keys.contains_key(number) {
                    return Input::Taken;
                }
                let revision = self.bucket.put(*number, lease, self.now_ms);
                Input::Created { revision }
            }
            Effect::Renew {
                number,
                revision,
                lease,
            } => match self.bucket.keys.get(number) {
                Some((last, _, _)) if last == revision => {
                    let revision = self.bucket.put(*number, lease, self.now_ms);
                    Input::Renewed { revision }
                }
                _ => Input::Refused,
            },
            Effect::Read { number } => {
                let entry = self.bucket.keys.get(number);
                Input::Read {
                    number: *number,
                    entry: entry.map(|(revision, lease, _)| (*revision, lease.clone())),
                }
            }
            other => panic!("{other:?} is no request"),
        }
    }

    /// 50 ms pass.
    pub(super) fn step(&mut self) {
        self.now_ms += 50;
        self.bucket.expire(self.now_ms);
        for at in 0..self.hosts.len() {
            if self.hosts[at].is_paused {
                continue;
            }
            self.give(at, Input::Tick);
            while let Some(request) = self.hosts[at].pending.pop_front() {
                let answer = if self.hosts[at].is_cut {
                    Input::Failed
                } else {
                    let answer = self.carry_out(&request);
                    let host = &mut self.hosts[at];
                    if host.unanswered > 0 {
                        host.unanswered -= 1;
                        Input::Failed
                    } else {
                        answer
                    }
                };
                self.give(at, answer);
            }
            while !self.hosts[at].is_cut && self.hosts[at].watched < self.bucket.log.len() {
                let shown = self.bucket.log[self.hosts[at].watched].clone();
                self.hosts[at].watched += 1;
                self.give(at, seen(shown));
            }
        }
        self.check();
    }

    pub(super) fn run(&mut self, ms: u64) {
        for _ in 0..ms / 50 {
            self.step();
        }
    }

    /// Whoever says something about others has the key of its number: nobody else can have it.
    pub(super) fn check(&self) {
        for host in &self.hosts {
            let now_ms = self.now_ms - 1_000_000 + host.clock_ms;
            let Some(number) = host.nodes.number() else {
                continue;
            };
            if host.nodes.isolation_at(now_ms) == Isolation::None {
                let key = self.bucket.keys.get(&number);
                let (_, lease, _) = key.expect("a node that is not isolated has its key");
                let incarnation = host.nodes.own().incarnation;
                assert!(
                    lease.incarnation == incarnation || lease.incarnation == 0,
                    "{number} belongs to {lease:?}, not to {incarnation}"
                );
            }
        }
    }

    pub(super) fn numbers(&self) -> Vec<Option<u16>> {
        self.hosts.iter().map(|host| host.nodes.number()).collect()
    }

    pub(super) fn living(&self, at: usize) -> Vec<u16> {
        self.hosts[at]
            .nodes
            .living()
            .map(|(number, _)| number)
            .collect()
    }

    pub(super) fn lost(&self, at: usize) -> Vec<(u16, u64)> {
        let said = self.hosts[at].said.iter();
        said.filter_map(|effect| match effect {
            Effect::NodeLost { node, incarnation } => Some((*node, *incarnation)),
            _ => None,
        })
        .collect()
    }

    pub(super) fn has_said(&self, at: usize, effect: &Effect) -> bool {
        self.hosts[at].said.contains(effect)
    }
}

pub(super) fn seen(shown: Shown) -> Input {
    match shown {
        Shown::Put(number, revision, lease) => Input::Seen {
            number,
            revision,
            lease,
        },
        Shown::End(number, revision) => Input::Gone { number, revision },
    }
}
