//! What a restart or a lost session leaves behind: invitations that the caller's client takes over
//! with its next login, which lists those that it holds open (contract INV-6).

use tidings_fault::fault;
use tidings_wire::limits::{INVITATION_DECISION_WAIT_MS, INVITATION_KEEP_MS};
use tidings_wire::proto::InvitationEnd;

use crate::bus_ops::InvitationWord;
use crate::ids::{InvitationId, SessionKey, UserKey};
use crate::invitations::check::local_end;
use crate::invitations::slot::{Report, Reports};
use crate::invitations::state::{Invitation, InvitationStore, Invitations, State, Told};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::timers::Timer;
use crate::store_ops::{InvitationName, StoreAnswer, StoreOp, StoredInvitation};

/// Records read at once after a start.
const PAGE: usize = 256;

/// What may be left of the process before has ended by then, in milliseconds after the start: the
/// longest deadline and room for the rest.
const LEFT_MS: u64 = INVITATION_DECISION_WAIT_MS + 15_000;

impl Invitations {
    // ------------------------------------------------------------ after a start

    /// Begins to read what the process before has left. Of `hubs` hubs, each takes what the hub of
    /// its name has written.
    pub(crate) fn handle_load(
        &mut self,
        hubs: u16,
        boot: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        self.boot = boot;
        self.leftovers_until_ms = kernel.now.mono_ms + LEFT_MS;
        if !fault!(InvitationsAreNotReadAtStart) {
            self.load_invitations(hubs, None, kernel, out);
        }
    }

    fn load_invitations(
        &mut self,
        hubs: u16,
        after: Option<InvitationName>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let op = StoreOp::InvitationList {
            after,
            count_max: PAGE,
        };
        let pending = InvitationStore::Left { hubs };
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn apply_loaded(
        &mut self,
        hubs: u16,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let StoreAnswer::Invitations { found, has_more } = answer else {
            // The store failed: what was left is read when its caller's client names it.
            return;
        };
        let last = found.last().map(|(name, _)| name.clone());
        for ((caller, id), stored) in found {
            self.apply_left(hubs, &caller, id, &stored, kernel, out);
        }
        if has_more {
            self.load_invitations(hubs, last, kernel, out);
        }
    }

    fn apply_left(
        &mut self,
        hubs: u16,
        caller: &UserKey,
        id: InvitationId,
        stored: &StoredInvitation,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let clock = self.record_clock(kernel);
        let Some((mut invitation, origin)) = Invitation::from_record(stored, clock) else {
            // Another version has written it: nobody here could go on with it.
            return;
        };
        if origin.hub.hub % hubs.max(1) != kernel.config.id.hub
            || self.invitation(caller, id).is_some()
        {
            return;
        }
        if invitation.has_ended() {
            let left_ms = INVITATION_KEEP_MS.saturating_sub(origin.passed_ms);
            let timer = Timer::InvitationOver(Box::new(caller.clone()), id);
            return kernel.timers.set(kernel.now.mono_ms + left_ms, timer);
        }
        if fault!(RestartExtendsDeadlines) {
            invitation.sent_ms = kernel.now.mono_ms;
        }
        // After a planned restart its session goes on.
        invitation.owner = kernel.find_session(caller, |it| it.id == invitation.session);
        self.insert_invitation(caller, invitation, out);
        self.set_invitation_timer(caller, id, kernel);
    }

    // ------------------------------------------------------------ with a login

    /// A login of the user begins: what its client holds open stays for it to take over.
    pub(crate) fn release_invitations(
        &mut self,
        caller: &UserKey,
        holds: &[InvitationId],
        key: SessionKey,
        kernel: &mut Kernel,
    ) {
        for invitation in self.sent.get_mut(caller).into_iter().flatten() {
            if invitation.owner == Some(key) && holds.contains(&invitation.id) {
                invitation.owner = None;
            }
        }
        if let Some(session) = kernel.sessions.get_mut(key) {
            // They go on in the new session, without a word to their callers.
            session
                .invitations
                .rings
                .retain(|ringing| !holds.contains(&ringing.id));
        }
    }

    /// A login of the user has begun: what nobody owns and its client does not hold open ends.
    pub(crate) fn end_leftovers(
        &mut self,
        caller: &UserKey,
        holds: &[InvitationId],
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let is_over = |invitation: &&Invitation| {
            let is_left = invitation.owner.is_none() && !invitation.is_from_outside;
            is_left && !invitation.has_ended() && !holds.contains(&invitation.id)
        };
        let all = self.sent.get(caller).into_iter().flatten();
        let over: Vec<_> = all
            .filter(is_over)
            .map(|invitation| invitation.id)
            .collect();
        for id in over {
            let end = (InvitationEnd::CallerGone, String::new());
            self.end_invitation(caller, id, end, None, kernel, out);
        }
    }

    /// A session has begun: its client is told where what it holds open stands.
    pub(crate) fn take_reports(
        &mut self,
        key: SessionKey,
        reports: Reports,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let user = session.user.clone();
        if kernel.now.mono_ms < self.leftovers_until_ms {
            let holds = reports.ids();
            Self::tell_writer(user.clone(), InvitationWord::CallerBack { holds }, out);
        }
        for report in reports.sent {
            self.take_report(key, &user, report, kernel, out);
        }
        self.take_reported_rings(key, reports.ringing, kernel, out);
    }

    fn take_report(
        &mut self,
        key: SessionKey,
        caller: &UserKey,
        report: Report,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let id = report.id;
        if self.invitation(caller, id).is_some() {
            return self.adopt(key, caller, report, kernel, out);
        }
        let pending = InvitationStore::Report { session: key, id };
        if let Some(session) = kernel.sessions.get_mut(key) {
            session.invitations.reported.push(report);
        }
        let caller = caller.clone();
        let op = StoreOp::InvitationRead { caller, id };
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn finish_report(
        &mut self,
        key: SessionKey,
        id: InvitationId,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let clock = self.record_clock(kernel);
        let Some(session) = kernel.sessions.get_mut(key) else {
            // The session has ended since the record was asked for.
            return;
        };
        let Some(index) = session
            .invitations
            .reported
            .iter()
            .position(|report| report.id == id)
        else {
            debug_assert!(false, "an invitation is gone while it is dealt with");
            return;
        };
        let report = session.invitations.reported.remove(index);
        let (caller, session_id) = (session.user.clone(), session.id);
        let stored = match answer {
            StoreAnswer::Invitation(stored) => Ok(stored),
            _ => Err(InvitationEnd::Unspecified),
        };
        let stored = stored.and_then(|stored| {
            let read = stored.and_then(|stored| Invitation::from_record(&stored, clock));
            read.ok_or(InvitationEnd::NotRecorded)
        });
        let read_revision = stored.as_ref().map_or(0, |(read, _)| read.revision);
        let is_here = |here: &mut Invitation| here.revision >= read_revision;
        if self.invitation(&caller, id).is_some_and(is_here) {
            // What was left of it has been loaded since, and may be writing its end.
            return self.adopt(key, &caller, report, kernel, out);
        }
        let over = match stored {
            Err(end) => (end, String::new()),
            Ok((mut invitation, _)) => match invitation.state {
                State::Ended { end, response } => (end, response),
                _ => {
                    invitation.owner = Some(key);
                    invitation.number = report.number;
                    invitation.session = session_id;
                    return self.take_over(&caller, invitation, report.canceled, kernel, out);
                }
            },
        };
        let (end, response) = over;
        Self::tell_caller_client(
            Some(key),
            local_end(report.number, end, response),
            kernel,
            out,
        );
        if let Some(waiting) = report.canceled {
            kernel.reply_done(waiting, out);
        }
    }

    /// A new session's client holds open what is written here already: it goes on in that session.
    fn adopt(
        &mut self,
        key: SessionKey,
        caller: &UserKey,
        report: Report,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get(key).map(|session| session.id) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let Some(invitation) = self.invitation(caller, report.id) else {
            debug_assert!(false, "an invitation is gone while it is dealt with");
            return;
        };
        invitation.owner = Some(key);
        invitation.number = report.number;
        if invitation.has_ended() {
            // Its end is being written; a cancellation is answered when it is durable.
            if report.canceled.is_some() {
                let waiting = report.canceled.into_iter().collect();
                self.write_invitation(caller, report.id, Told::Ended(waiting), kernel, out);
            }
            return;
        }
        invitation.session = session;
        let told = Told::taken_over(invitation);
        if kernel.is_in_cluster() && report.canceled.is_none() {
            // Its callee's hub may have lost the one that had it before.
            Self::offer(caller, invitation, out);
        }
        match report.canceled {
            Some(_) => {
                let end = (InvitationEnd::Canceled, String::new());
                self.end_invitation(caller, report.id, end, report.canceled, kernel, out);
            }
            None => self.write_invitation(caller, report.id, told, kernel, out),
        }
    }

    /// A new session's client holds this open, by its record: it is written here from now on, and
    /// nowhere else.
    fn take_over(
        &mut self,
        caller: &UserKey,
        invitation: Invitation,
        canceled: Option<Caller>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(invitation.revision > 0, "a record that was never written");
        debug_assert!(invitation.owner.is_some(), "taken over by nobody");
        let (id, revision) = (invitation.id, invitation.revision);
        let told = Told::taken_over(&invitation);
        if kernel.is_in_cluster() && canceled.is_none() {
            // Its callee's hub may have lost the one that had it before.
            Self::offer(caller, &invitation, out);
        }
        if let Some(older) = self.remove_invitation(caller, id, out) {
            // Its end was not written, and counts no more: what was cancelled is asked again.
            for waiting in older.later.waiting {
                kernel.reply_one(waiting, out);
            }
        }
        self.insert_invitation(caller, invitation, out);
        match canceled {
            Some(_) => {
                let end = (InvitationEnd::Canceled, String::new());
                self.end_invitation(caller, id, end, canceled, kernel, out);
            }
            None => {
                self.set_invitation_timer(caller, id, kernel);
                self.write_invitation(caller, id, told, kernel, out);
            }
        }
        let word = InvitationWord::TakenOver { id, revision };
        Self::tell_writer(caller.clone(), word, out);
    }

    /// Another hub goes on with what its record said at this revision: what was left of it here
    /// gives way at once, or it would ring after its end.
    pub(crate) fn drop_taken_over(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        revision: u64,
        out: &mut dyn Sink,
    ) {
        let is_left = |invitation: &mut Invitation| invitation.revision <= revision;
        if self.invitation(caller, id).is_some_and(is_left) {
            self.remove_invitation(caller, id, out);
        }
    }
}
