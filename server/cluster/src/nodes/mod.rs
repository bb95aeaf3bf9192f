//! Which nodes live, and whether this one still does.
//!
//! Each node holds a lease: a key of the cluster's bucket in JetStream's KV, whose name is the
//! node's number. It takes the lowest free number by create-if-absent and renews the key every
//! second by its revision; a key that is not renewed expires. A node is **lost** when its key has
//! expired or another incarnation has it. Nothing else counts: no wall clock, no silence on the
//! live path. Source: cluster 4.
//!
//! [`Nodes`] is a state machine. The host gives it answers of the bucket, what its watch shows and
//! the time; it carries the effects out, one request at a time and each with exactly one answer.
//! The time is monotonic and the host's own; two nodes never compare theirs.

mod lease;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use self::lease::{LEASE_BYTES_MAX, Lease};
pub use self::words::{Effect, Input, Isolation, Living, OverBy};

/// How long a lease lasts that is not renewed, in milliseconds: the bucket's `max_age`.
pub const LEASE_MS: u64 = 5_000;

/// How often a lease is renewed, in milliseconds: four renewals may fail before it expires.
pub const RENEW_EVERY_MS: u64 = 1_000;

/// After a request that failed the next one waits this long, in milliseconds.
pub const RETRY_MS: u64 = 250;

/// A node that could not renew for this long answers nothing about users of other nodes, in
/// milliseconds. Not later than its lease expires: what it would say may be wrong from then on.
pub const SILENT_AFTER_MS: u64 = LEASE_MS;

/// A node that could not renew for this long sends its clients away, in milliseconds: 20 s before
/// the others declare its users gone.
pub const CLOSED_AFTER_MS: u64 = 10_000;

/// A node whose renewals were not seen for this long is read from the bucket's leader, in
/// milliseconds: the watch may have missed its end. The silence itself decides nothing.
pub const DOUBT_AFTER_MS: u64 = LEASE_MS + RENEW_EVERY_MS;

/// Nodes of a cluster: their numbers are 0 to one less.
pub const NODES_MAX: u16 = 1_024;

#[derive(Debug)]
struct Known {
    living: Living,
    /// When the watch last showed the key, or it was read.
    seen_ms: u64,
    /// The key was renewed since this node saw it first: whoever renews it lives.
    is_renewed: bool,
    is_same_name_told: bool,
}

/// A request that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Create { sent_ms: u64 },
    Renew { sent_ms: u64, is_draining: bool },
    Read(u16),
}

#[derive(Debug)]
enum Phase {
    /// It tries this number next.
    Seeking {
        number: u16,
    },
    Holding(Held),
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    number: u16,
    incarnation: u64,
    /// The key's last known revision.
    revision: u64,
    /// When the last request was sent that renewed the lease: the key lasts for [`LEASE_MS`] after
    /// that at least.
    proven_ms: u64,
}

/// The leases of a cluster, as one node sees them.
#[derive(Debug)]
pub struct Nodes {
    own: Lease,
    phase: Phase,
    asked: Option<Asked>,
    /// The next request is not sent before.
    next_ms: u64,
    /// Whether the key says what this node has to tell: its incarnation, and that it drains.
    is_written: bool,
    /// Numbers whose keys are to be read.
    doubtful: BTreeSet<u16>,
    isolation: Isolation,
    /// The other living nodes. Bound: [`NODES_MAX`].
    others: BTreeMap<u16, Known>,
    /// The last revision seen of each number, ends included: what comes late is older. Bound:
    /// [`NODES_MAX`].
    revisions: BTreeMap<u16, u64>,
    /// Since the watch began anew: nodes that it has not shown yet.
    unseen: Option<BTreeSet<u16>>,
}

impl Nodes {
    /// A node without a number, which tells this about itself.
    pub fn new(own: Lease) -> Self {
        Self {
            own: Lease {
                incarnation: 0,
                ..own
            },
            phase: Phase::Seeking { number: 0 },
            asked: None,
            next_ms: 0,
            is_written: false,
            doubtful: BTreeSet::new(),
            isolation: Isolation::None,
            others: BTreeMap::new(),
            revisions: BTreeMap::new(),
            unseen: None,
        }
    }

    /// The other nodes that live, by number.
    pub fn living(&self) -> impl Iterator<Item = (u16, &Living)> {
        self.others
            .iter()
            .map(|(number, known)| (*number, &known.living))
    }

    /// What this node tells about itself.
    pub fn own(&self) -> &Lease {
        &self.own
    }

    /// This node's number, while it has one.
    pub fn number(&self) -> Option<u16> {
        match &self.phase {
            Phase::Holding(held) => Some(held.number),
            _ => None,
        }
    }

    /// How far this node is from the others at this time, whether or not it has had a turn since.
    pub fn isolation_at(&self, now_ms: u64) -> Isolation {
        let Phase::Holding(held) = &self.phase else {
            return Isolation::None;
        };
        match now_ms.saturating_sub(held.proven_ms) {
            CLOSED_AFTER_MS.. => Isolation::Closed,
            SILENT_AFTER_MS.. => Isolation::Silent,
            _ => Isolation::None,
        }
    }

    /// When [`Input::Tick`] is due, in the host's milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        let next = match self.phase {
            Phase::Over => return None,
            _ if self.asked.is_some() => None,
            _ => Some(self.next_ms),
        };
        let isolated = match (&self.phase, self.isolation) {
            (Phase::Holding(held), Isolation::None) => Some(held.proven_ms + SILENT_AFTER_MS),
            (Phase::Holding(held), Isolation::Silent) => Some(held.proven_ms + CLOSED_AFTER_MS),
            _ => None,
        };
        let doubted = self
            .others
            .values()
            .map(|known| known.seen_ms + DOUBT_AFTER_MS);
        // While a request is under way, nobody could be asked.
        let doubted = doubted.min().filter(|_| self.asked.is_none());
        [next, isolated, doubted].into_iter().flatten().min()
    }

    /// Takes an input at this time, in milliseconds of a clock that never goes back.
    pub fn handle(&mut self, input: Input, now_ms: u64, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        // Order: what has become of this node comes before what it is told.
        self.look_at_time(now_ms, out);
        match input {
            Input::Tick => {}
            Input::Created { revision } => self.apply_created(revision, now_ms, out),
            Input::Taken => self.apply_taken(now_ms, out),
            Input::Renewed { revision } => self.apply_renewed(revision, now_ms),
            Input::Refused => self.apply_refused(now_ms),
            Input::Read { number, entry } => self.apply_read(number, entry, now_ms, out),
            Input::Failed => {
                if let Some(Asked::Read(number)) = self.asked.take() {
                    self.doubtful.insert(number);
                }
                self.next_ms = now_ms + RETRY_MS;
            }
            Input::WatchBegan => self.unseen = Some(self.others.keys().copied().collect()),
            Input::Seen {
                number,
                revision,
                lease,
            } => self.apply_seen(number, (revision, lease), now_ms, out),
            Input::Gone { number, revision } => self.apply_gone(number, revision, out),
            Input::WatchSettled => {
                // A watch may begin at a server that is behind: only the leader's word counts.
                self.doubtful.extend(self.unseen.take().unwrap_or_default());
                if !self.doubtful.is_empty() {
                    self.next_ms = self.next_ms.min(now_ms);
                }
            }
            Input::Draining => {
                self.own.draining = true;
                self.is_written = false;
                self.next_ms = self.next_ms.min(now_ms);
            }
            Input::Leave => self.leave(out),
        }
        self.look_at_time(now_ms, out);
        self.doubt(now_ms);
        self.ask(now_ms, out);
    }

    /// Nodes of which nothing was seen for long.
    fn doubt(&mut self, now_ms: u64) {
        for (number, known) in &mut self.others {
            if now_ms.saturating_sub(known.seen_ms) >= DOUBT_AFTER_MS {
                // Not again before as long has passed.
                known.seen_ms = now_ms;
                self.doubtful.insert(*number);
                self.next_ms = self.next_ms.min(now_ms);
            }
        }
    }

    fn apply_created(&mut self, revision: u64, now_ms: u64, out: &mut Vec<Effect>) {
        let Some(Asked::Create { sent_ms }) = self.asked.take() else {
            return;
        };
        let Phase::Seeking { number } = self.phase else {
            return;
        };
        self.own.incarnation = revision;
        self.phase = Phase::Holding(Held {
            number,
            incarnation: revision,
            revision,
            proven_ms: sent_ms,
        });
        self.revisions.insert(number, revision);
        // The watch may have shown it already.
        self.others.remove(&number);
        // At once: so that the value says which incarnation it is.
        self.next_ms = now_ms;
        out.push(Effect::Granted {
            node: number,
            incarnation: revision,
        });
    }

    fn apply_taken(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        self.asked = None;
        let Phase::Seeking { number } = &mut self.phase else {
            return;
        };
        *number += 1;
        self.next_ms = now_ms;
        if *number == NODES_MAX {
            *number = 0;
            self.next_ms = now_ms + RENEW_EVERY_MS;
            out.push(Effect::Full);
        }
    }

    fn apply_renewed(&mut self, revision: u64, now_ms: u64) {
        let Some(Asked::Renew {
            sent_ms,
            is_draining,
        }) = self.asked.take()
        else {
            return;
        };
        if let Phase::Holding(held) = &mut self.phase {
            held.revision = held.revision.max(revision);
            held.proven_ms = sent_ms;
            let has_news = self.own.draining != is_draining;
            let is_idle = !has_news && self.doubtful.is_empty();
            self.next_ms = if is_idle {
                (sent_ms + RENEW_EVERY_MS).max(now_ms)
            } else {
                now_ms
            };
            self.is_written = !has_news;
        }
    }

    /// Either the key is another's, or a renewal was carried out whose answer was lost.
    fn apply_refused(&mut self, now_ms: u64) {
        self.asked = None;
        if let Phase::Holding(held) = &self.phase {
            self.doubtful.insert(held.number);
            self.next_ms = now_ms;
        }
    }

    fn apply_read(
        &mut self,
        number: u16,
        entry: Option<(u64, Lease)>,
        now_ms: u64,
        out: &mut Vec<Effect>,
    ) {
        self.asked = None;
        self.next_ms = now_ms;
        match entry {
            Some(entry) => self.apply_seen(number, entry, now_ms, out),
            None if self.number() == Some(number) => self.end(OverBy::Expired, out),
            None => self.lose(number, out),
        }
    }

    fn apply_seen(
        &mut self,
        number: u16,
        (revision, lease): (u64, Lease),
        now_ms: u64,
        out: &mut Vec<Effect>,
    ) {
        if number >= NODES_MAX {
            return;
        }
        if let Some(unseen) = &mut self.unseen {
            unseen.remove(&number);
        }
        let last = self.revisions.entry(number).or_default();
        if revision < *last {
            return;
        }
        let is_newer = revision > *last;
        *last = revision;
        let incarnation = match lease.incarnation {
            0 => revision,
            incarnation => incarnation,
        };
        if let Phase::Holding(held) = &mut self.phase
            && held.number == number
        {
            if held.incarnation == incarnation {
                held.revision = held.revision.max(revision);
            } else if incarnation > held.incarnation {
                self.end(OverBy::Replaced { incarnation }, out);
            }
            return;
        }
        let known = Known {
            living: Living { incarnation, lease },
            seen_ms: now_ms,
            is_renewed: false,
            is_same_name_told: false,
        };
        self.note_other(number, known, is_newer, out);
    }

    fn note_other(&mut self, number: u16, mut now: Known, is_newer: bool, out: &mut Vec<Effect>) {
        match self.others.get(&number) {
            Some(before) if before.living.incarnation == now.living.incarnation => {
                now.is_renewed = before.is_renewed || is_newer;
                now.is_same_name_told = before.is_same_name_told;
                if shown(&before.living.lease) != shown(&now.living.lease) {
                    out.push(Effect::Changed);
                }
            }
            Some(_) => self.lose(number, out),
            None => out.push(Effect::Changed),
        }
        // A node that has ended a moment ago may have been this one's predecessor.
        let is_same = now.living.lease.name == self.own.name && now.is_renewed;
        if is_same && self.number().is_some() && !now.is_same_name_told {
            now.is_same_name_told = true;
            out.push(Effect::SameName { node: number });
        }
        self.others.insert(number, now);
    }

    fn apply_gone(&mut self, number: u16, revision: u64, out: &mut Vec<Effect>) {
        if let Some(unseen) = &mut self.unseen {
            unseen.remove(&number);
        }
        let last = self.revisions.entry(number).or_default();
        if revision < *last {
            return;
        }
        *last = revision;
        match &self.phase {
            Phase::Holding(held) if held.number == number => {
                if revision > held.revision {
                    self.end(OverBy::Expired, out);
                }
            }
            _ => self.lose(number, out),
        }
    }

    fn lose(&mut self, number: u16, out: &mut Vec<Effect>) {
        if let Some(known) = self.others.remove(&number) {
            out.push(Effect::NodeLost {
                node: number,
                incarnation: known.living.incarnation,
            });
            out.push(Effect::Changed);
        }
    }

    fn end(&mut self, by: OverBy, out: &mut Vec<Effect>) {
        self.phase = Phase::Over;
        self.asked = None;
        out.push(Effect::Over(by));
    }

    fn leave(&mut self, out: &mut Vec<Effect>) {
        if let Phase::Holding(held) = &self.phase {
            out.push(Effect::Delete {
                number: held.number,
                revision: held.revision,
            });
        }
        self.phase = Phase::Over;
        self.asked = None;
    }

    fn look_at_time(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        let isolation = self.isolation_at(now_ms);
        if isolation != self.isolation {
            self.isolation = isolation;
            out.push(Effect::Isolation(isolation));
        }
    }

    /// Whether the lease is to be written: in time, or because what it says has changed.
    fn is_renewal_due(&self, held: Held, now_ms: u64) -> bool {
        let is_time = now_ms.saturating_sub(held.proven_ms) >= RENEW_EVERY_MS;
        is_time || !self.is_written
    }

    /// Sends the next request, if none is under way and one is due.
    fn ask(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        if self.asked.is_some() || now_ms < self.next_ms {
            return;
        }
        match &self.phase {
            Phase::Over => {}
            Phase::Seeking { number } => {
                self.asked = Some(Asked::Create { sent_ms: now_ms });
                out.push(Effect::Create {
                    number: *number,
                    lease: self.own.clone(),
                });
            }
            Phase::Holding(held) => {
                let held = *held;
                // Order: whether the lease is still its own comes before what became of others.
                let own = self.doubtful.take(&held.number);
                let other = if own.is_some() || self.is_renewal_due(held, now_ms) {
                    own
                } else {
                    self.doubtful.pop_first()
                };
                if let Some(number) = other {
                    self.asked = Some(Asked::Read(number));
                    out.push(Effect::Read { number });
                    return;
                }
                self.asked = Some(Asked::Renew {
                    sent_ms: now_ms,
                    is_draining: self.own.draining,
                });
                out.push(Effect::Renew {
                    number: held.number,
                    revision: held.revision,
                    lease: self.own.clone(),
                });
            }
        }
    }
}

/// What people and clients are told of a lease.
fn shown(lease: &Lease) -> (&str, &str, bool) {
    (&lease.name, &lease.advertise, lease.draining)
}
