//! Invitation records on the disk, and the checks on them: nobody learns of a state before its
//! record is durable, and every invitation ends in time, whatever happens to the server.

use std::collections::BTreeMap;

use tidings_client_core::{
    ClientEvent, LocalInvitationFailure as LocalFailure, LocalInvitationNews as Local,
    RemoteInvitationFailure as RemoteFailure, RemoteInvitationNews as Remote,
};
use tidings_hub::RecordedInvitation;
use tidings_hub::store_ops::{InvitationName, StoreAnswer, StoreOp};
use tidings_store::Engine as _;
use tidings_wire::proto::InvitationEnd as End;

use crate::checks::Violation;
use crate::world::{ClientId, World};

/// How much later than its deadline an end may be on the disk, in milliseconds: the timer's second,
/// plus a slow disk.
const LATE_MS: u64 = 12_000;

#[derive(Debug)]
struct Synced {
    what: RecordedInvitation,
    since_ms: u64,
    /// What [`RecordedInvitations::idle_ms`] was then.
    idle_ms: u64,
}

/// What is on the disk.
#[derive(Debug, Default)]
pub(crate) struct RecordedInvitations {
    synced: BTreeMap<InvitationName, Synced>,
    /// Time in which the server was not running, in milliseconds.
    pub(crate) idle_ms: u64,
    /// A disk error or a flipped bit: an invitation that can no longer be recorded ends without a
    /// record.
    pub(crate) is_disk_broken: bool,
    found: Vec<Violation>,
}

impl RecordedInvitations {
    fn violate(&mut self, check: &'static str, text: String) {
        if !self.is_disk_broken {
            self.found.push(Violation { check, text });
        }
    }

    fn note(&mut self, now_ms: u64, name: InvitationName, body: &bytes::Bytes) {
        let Some(what) = RecordedInvitation::read(body) else {
            return;
        };
        let idle_ms = self.idle_ms;
        let synced = self.synced.entry(name).or_insert(Synced {
            what: RecordedInvitation {
                end: None,
                ..what.clone()
            },
            since_ms: now_ms,
            idle_ms,
        });
        let has_ended = synced.what.end.is_some();
        synced.what = what;
        if has_ended {
            // Read again after a restart.
            return;
        }
        let age_ms = now_ms - synced.since_ms;
        let late_ms = age_ms.saturating_sub(idle_ms - synced.idle_ms + LATE_MS);
        let deadline_ms = match synced.what.end {
            _ if synced.what.rings_on => return,
            Some(End::Expired) => 60_000,
            Some(End::NoResponse | End::PeerOffline) => 30_000,
            _ => return,
        };
        if late_ms > deadline_ms {
            let text = format!("{:?} ended {age_ms} ms after it was sent", synced.what);
            self.violate("invite.never_stuck", text);
        }
    }

    /// Whether one of the possible records says so.
    fn judge(&mut self, about: Vec<InvitationName>, news: &str, is_so: impl Fn(&Synced) -> bool) {
        let is_recorded = (about.iter())
            .filter_map(|name| self.synced.get(name))
            .any(is_so);
        if !is_recorded {
            let text = format!("{news}, which no record says: {about:?}");
            self.violate("invite.durable_before_told", text);
        }
    }
}

impl World {
    /// Whether the disk has failed in this run, permanently or in one bit.
    pub fn is_disk_broken(&self) -> bool {
        self.recorded.is_disk_broken
    }

    /// A group has reached the disk.
    pub(crate) fn note_synced(&mut self, group: &[StoreOp], answers: &[StoreAnswer]) {
        for (op, answer) in group.iter().zip(answers) {
            match (op, answer) {
                (
                    StoreOp::InvitationPut {
                        caller, id, body, ..
                    },
                    StoreAnswer::Done,
                ) => self.recorded.note(self.now_ms, (caller.clone(), *id), body),
                (StoreOp::InvitationDrop { caller, id }, StoreAnswer::Done) => {
                    self.recorded.synced.remove(&(caller.clone(), *id));
                }
                _ => {}
            }
        }
    }

    /// The disk after a crash.
    pub(crate) fn reread_synced(&mut self) {
        let list = StoreOp::InvitationList {
            after: None,
            count_max: usize::MAX,
        };
        let mut answers = Vec::new();
        self.engine.apply(&[list], &mut answers);
        if let Some(StoreAnswer::Invitations { found, .. }) = answers.pop() {
            let has = |name: &InvitationName| found.iter().any(|(of, _)| of == name);
            self.recorded.synced.retain(|name, _| has(name));
            for (name, stored) in found {
                self.recorded.note(self.now_ms, name, &stored.body);
            }
        }
    }

    /// A client's application has been notified.
    pub(crate) fn check_recorded(&mut self, client: ClientId, event: &ClientEvent) {
        let Some(user) = self.clients[client.0].user_id().map(str::to_owned) else {
            return;
        };
        let recorded = &mut self.recorded;
        match event {
            // Another client of the user may have reached the same number.
            ClientEvent::LocalInvitation { number, news, .. } => {
                let is_it = |name: &InvitationName, synced: &Synced| {
                    name.0.user.as_str() == user && synced.what.number == *number
                };
                let about: Vec<_> = (recorded.synced.iter())
                    .filter(|(name, synced)| is_it(name, synced))
                    .map(|(name, _)| name.clone())
                    .collect();
                let text = format!("{client:?} was told {news:?} of {number}");
                let is_end = |ends: &'static [End]| {
                    move |synced: &Synced| synced.what.end.is_some_and(|end| ends.contains(&end))
                };
                match news {
                    Local::Received => recorded.judge(about, &text, |s| s.what.is_received),
                    Local::Accepted(_) => recorded.judge(about, &text, is_end(&[End::Accepted])),
                    Local::Refused(_) => recorded.judge(about, &text, is_end(&[End::Refused])),
                    Local::Failed(LocalFailure::PeerOffline) => {
                        recorded.judge(about, &text, is_end(&[End::PeerOffline, End::CalleeGone]));
                    }
                    Local::Failed(LocalFailure::PeerNoResponse) => {
                        recorded.judge(about, &text, is_end(&[End::NoResponse]));
                    }
                    Local::Failed(LocalFailure::InvitationExpire) => {
                        recorded.judge(about, &text, is_end(&[End::Expired]));
                    }
                    _ => {}
                }
            }
            ClientEvent::RemoteInvitation { id, news, .. } => {
                let is_it = |name: &InvitationName| name.1.0[..] == *id.as_bytes();
                let about: Vec<_> = (recorded.synced.keys())
                    .filter(|name| is_it(name))
                    .cloned()
                    .collect();
                let text = format!("{client:?} was told {news:?} of {id:?}");
                let is_end = |ends: &'static [End]| {
                    move |synced: &Synced| synced.what.end.is_some_and(|end| ends.contains(&end))
                };
                match news {
                    Remote::Received { .. } => recorded.judge(about, &text, |_| true),
                    Remote::Accepted => recorded.judge(about, &text, is_end(&[End::Accepted])),
                    Remote::Canceled => recorded.judge(about, &text, is_end(&[End::Canceled])),
                    Remote::Failed(RemoteFailure::AcceptFailure) => {
                        recorded.judge(about, &text, is_end(&[End::AcceptFailed]));
                    }
                    Remote::Failed(RemoteFailure::PeerOffline) => {
                        recorded.judge(about, &text, is_end(&[End::CallerGone]));
                    }
                    Remote::Failed(RemoteFailure::InvitationExpire) => {
                        recorded.judge(about, &text, is_end(&[End::Expired, End::NoResponse]));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// What the checks of what is on the disk have found, long after the last fault.
    pub fn finish_recorded(&mut self) -> Vec<Violation> {
        let open: Vec<_> = (self.recorded.synced.values())
            .filter(|synced| synced.what.end.is_none())
            .map(|synced| format!("{:?} has no end on the disk", synced.what))
            .collect();
        for text in open {
            self.recorded.violate("invite.never_stuck", text);
        }
        let mut found = std::mem::take(&mut self.recorded.found);
        found.extend(self.finish_events());
        found
    }
}
