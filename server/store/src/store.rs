//! Carries out groups of operations on a backend: what all engines share.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_fault::fault;
use tidings_hub::store_ops::events::EventOp;
use tidings_hub::store_ops::records::RecordOp;
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::AppId;
use tidings_wire::proto::AttributeWrite;

use crate::cache::RecordCache;
use crate::engine::{Access, Health};
use crate::kv::{Backend, Fault, Group, ReadError, Writes};
use crate::usage::{Bounds, Usage};
use crate::{attributes, history, inbox, invitations, streams, tables};

/// The domain logic on top of a backend.
pub(crate) struct Store<B> {
    pub(crate) backend: B,
    cache: RefCell<RecordCache>,
    health: Health,
    /// Revision of the last attribute write. Starts at the wall clock, so that it also rises over
    /// restarts as long as the clock does.
    revision: u64,
    usage: Usage,
}

impl<B: Backend> Store<B> {
    pub(crate) fn new(backend: B) -> Self {
        Self {
            backend,
            cache: RefCell::default(),
            health: Health::default(),
            revision: 0,
            usage: Usage::default(),
        }
    }

    /// Implements [`crate::Engine::set_bounds`] for every engine.
    pub(crate) fn set_bounds(&mut self, bounds: Arc<Bounds>) {
        self.usage.set_bounds(bounds);
    }

    /// Implements [`crate::Engine::stored_bytes`] for every engine.
    pub(crate) fn stored_bytes(&mut self, app: &AppId) -> u64 {
        self.usage.of(&self.backend, app)
    }

    /// Implements [`crate::Engine::take_quota_refusals`] for every engine.
    pub(crate) fn take_quota_refusals(&mut self) -> BTreeMap<AppId, u64> {
        self.usage.take_refusals()
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Implements [`crate::Engine::apply`] for every engine.
    pub(crate) fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) {
        self.tend();
        let first = answers.len();
        let mut writes = self.carry_out_all(ops, answers);
        // On a read-only store, a read deletes nothing.
        if writes.is_empty() || matches!(self.health.access, Access::ReadOnly { .. }) {
            return;
        }
        self.usage.count_in(&self.backend, &mut writes);
        self.cache.get_mut().take_writes(&writes);
        let is_halved = fault!(GroupIsWrittenInHalves);
        let committed = if is_halved {
            self.commit_in_halves(writes)
        } else {
            self.backend.commit(writes)
        };
        let is_ignored = fault!(DiskErrorIsSuccess);
        if let Err(fault) = committed
            && !is_ignored
        {
            self.become_read_only(&fault);
            answers.truncate(first);
            self.carry_out_all(ops, answers);
        }
    }

    /// Stops writing after a failed commit. The same group is never committed a second time: the
    /// kernel may have dropped the dirty pages and would report success (CRA-5).
    fn become_read_only(&mut self, fault: &Fault) {
        self.cache.get_mut().clear();
        let remedy = if fault.may_heal {
            "it recovers on its own when the disk has space"
        } else {
            "check the disk, then restart the server"
        };
        let reason = format!(
            "the store has been read-only since a write failed: {}; {remedy}",
            fault.reason
        );
        self.health.access = Access::ReadOnly { reason };
    }

    /// Implements [`crate::Engine::tend`] for every engine.
    pub(crate) fn tend(&mut self) {
        if matches!(self.health.access, Access::ReadOnly { .. }) {
            match self.backend.reopen() {
                None => {}
                Some(opened) => {
                    // After a failed attempt too: cached records and usage figures may no longer
                    // match the disk.
                    self.cache.get_mut().clear();
                    self.usage.forget();
                    match opened {
                        Ok(()) => self.health.access = Access::Full,
                        Err(reason) => self.health.access = Access::ReadOnly { reason },
                    }
                }
            }
        }
        self.look_at_space();
    }

    /// Deliberate fault: a group is not written atomically.
    fn commit_in_halves(&mut self, writes: Writes) -> Result<(), Fault> {
        let mut first = writes;
        let middle = first.keys().nth(first.len() / 2).cloned();
        let second = middle.map(|key| first.split_off(&key)).unwrap_or_default();
        self.backend.commit(first)?;
        self.backend.commit(second)
    }

    fn look_at_space(&mut self) {
        let stays_full = fault!(FullDiskIsForEver);
        match self.health.access {
            Access::ReadOnly { .. } => return,
            Access::NoSpace { .. } if stays_full => return,
            Access::NoSpace { .. } | Access::Full => {}
        }
        self.health.access = match self.backend.space_missing() {
            Some((free_bytes, reserve_bytes)) => Access::NoSpace {
                free_bytes,
                reserve_bytes,
            },
            None => Access::Full,
        };
    }

    fn carry_out_all(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) -> Writes {
        let mut group = Group::new(&self.backend, &self.cache);
        for op in ops {
            let refused =
                refusal(op, &self.health.access).or_else(|| self.usage.refusal(&self.backend, op));
            let mut answer = match refused {
                Some(reason) => StoreAnswer::Failed { reason },
                None => carry_out(&mut group, op).unwrap_or_else(|error| StoreAnswer::Failed {
                    reason: error.to_string(),
                }),
            };
            if let (
                StoreOp::AttributesWrite { now_ts, .. },
                StoreAnswer::AttributesWritten { revision, .. },
            ) = (op, &mut answer)
            {
                self.revision = (self.revision + 1).max(*now_ts);
                let stands_still = fault!(RevisionDoesNotRise);
                *revision = if stands_still { 1 } else { self.revision };
            }
            match answer {
                StoreAnswer::Failed { .. } => group.take_back(),
                _ => group.accept(),
            }
            answers.push(answer);
        }
        self.health.damaged_records += group.damaged;
        group.into_writes()
    }
}

/// Why an operation is refused in the present state, if it is.
fn refusal(op: &StoreOp, access: &Access) -> Option<String> {
    match access {
        Access::Full => None,
        Access::NoSpace {
            free_bytes,
            reserve_bytes,
        } => needs_space(op).then(|| {
            format!(
                "the disk has {free_bytes} bytes free and {reserve_bytes} are kept in reserve; \
                 free some space (no restart is needed), or start with a smaller --disk-reserve"
            )
        }),
        Access::ReadOnly { reason } => is_write(op).then(|| reason.clone()),
    }
}

fn is_write(op: &StoreOp) -> bool {
    match op {
        StoreOp::Record(op) => {
            matches!(**op, RecordOp::Write(_) | RecordOp::DeleteRange { .. })
        }
        StoreOp::Events(op) => op.is_write(),
        _ => !is_read(op),
    }
}

fn is_read(op: &StoreOp) -> bool {
    matches!(
        op,
        StoreOp::InboxRead { .. }
            | StoreOp::AttributesRead { .. }
            | StoreOp::AttributeOwners { .. }
            | StoreOp::HistoryRead { .. }
            | StoreOp::HistoryList { .. }
            | StoreOp::InvitationRead { .. }
            | StoreOp::InvitationList { .. }
    )
}

/// A touch is let through: it is small, and without it attributes in use would be dropped as stale.
/// So is every later state of a recorded invitation, which must be able to end.
fn needs_space(op: &StoreOp) -> bool {
    match op {
        StoreOp::InboxAppend { .. } | StoreOp::HistoryAppend { .. } => true,
        StoreOp::InvitationPut { revision, .. } => *revision == 0,
        StoreOp::AttributesWrite { how, .. } => {
            matches!(how, AttributeWrite::Set | AttributeWrite::Merge)
        }
        StoreOp::EventAppend(_) => true,
        StoreOp::Events(op) => matches!(**op, EventOp::Sync(_) | EventOp::Lost { .. }),
        StoreOp::Record(op) => match &**op {
            RecordOp::Write(writes) => writes
                .iter()
                .any(|write| write.value.is_some() && !write.table.is_vital()),
            _ => false,
        },
        _ => false,
    }
}

fn carry_out<B: Backend>(group: &mut Group<'_, B>, op: &StoreOp) -> Result<StoreAnswer, ReadError> {
    match op {
        StoreOp::InboxAppend {
            user,
            message,
            limits,
        } => inbox::append(group, user, message, limits),
        StoreOp::InboxRead {
            user,
            after,
            count_max,
            not_before_ts,
        } => inbox::read(group, user, *after, *count_max, *not_before_ts),
        StoreOp::InboxConfirm { user, up_to, told } => inbox::confirm(group, user, *up_to, told),
        StoreOp::InboxRemove { user, id } => inbox::remove(group, user, *id),
        StoreOp::AttributesWrite {
            owner,
            how,
            entries,
            limits,
            now_ts,
        } => attributes::write(group, owner, *how, entries, limits, *now_ts),
        StoreOp::AttributesRead { owner } => attributes::read(group, owner),
        StoreOp::AttributesTouch { owner, now_ts } => attributes::touch(group, owner, *now_ts),
        StoreOp::AttributesDrop {
            owner,
            unless_touched_after,
        } => attributes::drop_all(group, owner, *unless_touched_after),
        StoreOp::AttributeOwners {
            touched_before,
            count_max,
            after,
        } => attributes::owners(group, *touched_before, *count_max, after.as_ref()),
        StoreOp::HistoryAppend {
            conversation,
            message,
            limits,
        } => history::append(group, conversation, message, limits),
        StoreOp::HistoryList {
            first_before_ts,
            after,
        } => history::list(group, *first_before_ts, after.as_ref()),
        StoreOp::HistoryTrim {
            conversation,
            not_before_ts,
        } => history::trim(group, conversation, *not_before_ts),
        StoreOp::HistoryErase {
            conversation,
            from,
            after,
        } => history::erase(group, conversation, from, *after),
        StoreOp::HistoryRead {
            conversation,
            range,
        } => history::read(group, conversation, range),
        StoreOp::InvitationPut { .. }
        | StoreOp::InvitationRead { .. }
        | StoreOp::InvitationDrop { .. }
        | StoreOp::InvitationList { .. } => carry_out_invitations(group, op),
        StoreOp::Record(op) => tables::carry_out(group, op),
        StoreOp::EventAppend(event) => streams::append(group, event),
        StoreOp::Events(op) => streams::carry_out(group, op),
    }
}

fn carry_out_invitations<B: Backend>(
    group: &mut Group<'_, B>,
    op: &StoreOp,
) -> Result<StoreAnswer, ReadError> {
    match op {
        StoreOp::InvitationPut {
            caller,
            id,
            revision,
            body,
        } => invitations::put(group, &(caller.clone(), *id), *revision, body),
        StoreOp::InvitationRead { caller, id } => invitations::read(group, &(caller.clone(), *id)),
        StoreOp::InvitationDrop { caller, id } => {
            Ok(invitations::delete(group, &(caller.clone(), *id)))
        }
        StoreOp::InvitationList { after, count_max } => {
            invitations::list(group, after.as_ref(), *count_max)
        }
        _ => unreachable!("{op:?} is carried out elsewhere"),
    }
}
