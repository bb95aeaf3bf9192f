//! Invitations in the hands of somebody outside: sent as any user, listed, decided, ended.

use tidings_wire::codes::Outcome;
use tidings_wire::proto::{IncomingInvitation, InvitationEnd, Invite};

use crate::bus_ops::{CalleeWord, Decision};
use crate::ids::{InvitationId, UserKey};
use crate::invitations::check::{check_invite, check_text};
use crate::invitations::record::ring_of;
use crate::invitations::state::{Invitation, Invitations, State, Told};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::reply::error;
use crate::outside::{InvitationEntry, InvitationStage, OutsideAnswer};
use tidings_wire::names::{AppId, UserId};

/// Invitations under way that were sent as one user from outside, on one hub. Bound: a call beyond
/// it is refused.
const OPEN_MAX: usize = 1_000;

impl Invitations {
    /// Sends an invitation as a user who need not be logged in. When the callee accepts, it is
    /// accepted: nobody is asked.
    pub(crate) fn invite_from_outside(
        &mut self,
        caller: Caller,
        mut call: Invite,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let (_, session, number) = match kernel.sender_of(caller) {
            Some(sender) => sender,
            None => return debug_assert!(false, "a call from outside that is not under way"),
        };
        call.number = number;
        let names = kernel.traits_of_caller(caller).names;
        let callee = match check_invite(names, &call) {
            Ok(callee) => callee,
            Err(error) => return kernel.reply_error(caller, error, out),
        };
        let Some(user) = kernel.user_of(caller).cloned() else {
            return debug_assert!(false, "a call from outside that is not under way");
        };
        let all = self.sent.get(&user).into_iter().flatten();
        let open = all.filter(|sent| sent.is_from_outside && !sent.has_ended());
        if open.count() >= OPEN_MAX {
            let text = format!(
                "{OPEN_MAX} invitations of user {} are open; end one or wait until one has ended",
                user.user
            );
            let error = error(Outcome::TooManyInvitations, text);
            return kernel.reply_error(caller, error, out);
        }
        debug_assert!(number > 0, "invitations are counted from 1");
        let id = InvitationId::new(session, number);
        let from = (&user, session, None);
        let invitation = Invitation::new(id, from, callee, call, kernel.now.mono_ms);
        self.insert_invitation(&user, invitation, out);
        self.write_invitation(&user, id, Told::Sent(caller), kernel, out);
    }

    /// Cancels an invitation of `user`, whoever has sent it. Both sides are told.
    pub(crate) fn end_from_outside(
        &mut self,
        caller: Caller,
        user: &UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let open = self.invitation(user, id).filter(|it| !it.has_ended());
        if open.is_none() {
            return kernel.reply_none(caller, out);
        }
        let end = (InvitationEnd::Canceled, String::new());
        self.end_invitation(user, id, end, Some(caller), kernel, out);
    }

    /// Decides as the callee, who need not be logged in.
    pub(crate) fn decide_from_outside(
        &mut self,
        caller: Caller,
        (user, id): (&UserKey, InvitationId),
        callee: &UserId,
        decision: Decision,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let (Decision::Accept(response) | Decision::Refuse(response)) = &decision;
        if let Err(error) = check_text("response", response) {
            return kernel.reply_error(caller, error, out);
        }
        let is_open = |it: &&mut Invitation| {
            let is_decided = matches!(it.state, State::Accepting { .. } | State::Ended { .. });
            it.callee.user == *callee && !is_decided
        };
        if self.invitation(user, id).filter(is_open).is_none() {
            return kernel.reply_none(caller, out);
        }
        let word = CalleeWord::Decided(decision);
        self.handle_callee_word(user, id, &word, kernel, out);
        kernel.reply_one(caller, out);
    }

    /// Lists what is under way in an app. Cost: O(invitations of this hub).
    pub(crate) fn list_for_outside(
        &self,
        app: &AppId,
        user: Option<&UserId>,
        limit: usize,
        kernel: &Kernel,
    ) -> OutsideAnswer {
        let is_meant = |caller: &UserKey, it: &Invitation| {
            user.is_none_or(|user| caller.user == *user || it.callee.user == *user)
        };
        let of_app = self.sent.iter().filter(|(caller, _)| caller.app == *app);
        let mut found: Vec<(&UserKey, &Invitation)> = of_app
            .flat_map(|(caller, all)| all.iter().map(move |it| (caller, it)))
            .filter(|(caller, it)| !it.has_ended() && is_meant(caller, it))
            .collect();
        // The map's order must not show.
        found.sort_by_key(|(caller, it)| (it.sent_ms, *caller, it.number));
        debug_assert!(
            found.iter().all(|(_, it)| it.callee.app == *app),
            "an invitation of another app is listed"
        );
        let has_more = found.len() > limit;
        let listed = found.into_iter().take(limit);
        OutsideAnswer::Invitations {
            invitations: listed
                .map(|(caller, it)| entry(caller, it, kernel))
                .collect(),
            has_more,
        }
    }
}

fn entry(caller: &UserKey, it: &Invitation, kernel: &Kernel) -> InvitationEntry {
    let ring = ring_of(&it.frame).unwrap_or_else(|| {
        debug_assert!(false, "an invitation that does not ring");
        IncomingInvitation::default()
    });
    let age_ms = kernel.now.mono_ms.saturating_sub(it.sent_ms);
    InvitationEntry {
        id: it.id,
        caller: caller.clone(),
        callee: it.callee.user.clone(),
        stage: match it.state {
            State::Pending { .. } => InvitationStage::Pending,
            State::Ringing => InvitationStage::Ringing,
            State::Accepting { .. } => InvitationStage::Accepting,
            State::Ended { .. } => InvitationStage::Ended,
        },
        content: ring.content,
        channel: ring.channel,
        sent_ms: kernel.now.unix_ms.saturating_sub(age_ms),
    }
}
