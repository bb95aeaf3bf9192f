//! Rare situations that many seeds together must reach: when they no longer do, the tests have
//! become too weak.

use std::collections::BTreeMap;

use tidings_client_core::{ClientEvent, GapCause};
use tidings_hub::bus_ops::{BusOp, InvitationWord, Publication};
use tidings_hub::ids::{ConnectionId, InvitationId};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_hub::{Effect, Input};
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::{decode_server, payload};
use tidings_wire::proto::{client_message, server_message::Kind};

/// Situations of the contract (7.2) that can occur on a single node.
pub const SITUATIONS: &[&str] = &[
    "resume on another hub",
    "resume refused: session unknown",
    "resume refused: secret wrong",
    "resume refused: token over",
    "resume of a user who was gone",
    "reply served from the cache",
    "old connection superseded",
    "user logged in elsewhere",
    "token ended while connected",
    "heartbeat lost",
    "slow consumer closed",
    "client out of order closed",
    "gap: buffer overflow",
    "gap: server lost",
    "gap: inbox overflow",
    "gap: inbox expired",
    "gap: storage damage",
    "invitation accepted while canceled",
    "invitation offered twice",
    "crash in a group commit",
    "crash between commit and answer",
    "write refused by the store",
    "store recovered",
    "clock not believed",
];

/// How often each situation occurred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sometimes {
    counts: BTreeMap<&'static str, u64>,
    is_refusing: bool,
    /// Hubs that have been offered an invitation, by invitation.
    offers: BTreeMap<InvitationId, u64>,
}

impl Sometimes {
    /// Counts one more occurrence.
    pub fn see(&mut self, situation: &'static str) {
        *self.counts.entry(situation).or_default() += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        for (situation, count) in &other.counts {
            *self.counts.entry(situation).or_default() += count;
        }
    }

    /// How often it occurred.
    pub fn count(&self, situation: &str) -> u64 {
        self.counts.get(situation).copied().unwrap_or(0)
    }

    /// Looks at an event of a client.
    pub(crate) fn see_event(&mut self, event: &ClientEvent) {
        if let ClientEvent::Gap { cause, .. } = event {
            match cause {
                GapCause::BufferOverflow => self.see("gap: buffer overflow"),
                GapCause::ResumeWindow => self.see("gap: resume window"),
                GapCause::NodeLost => self.see("gap: server lost"),
                GapCause::InboxOverflow => self.see("gap: inbox overflow"),
                GapCause::InboxExpired => self.see("gap: inbox expired"),
                GapCause::StorageDamage => self.see("gap: storage damage"),
                GapCause::NodeLink => self.see("gap: node link"),
                _ => {}
            }
        }
    }

    /// Looks at what a hub did with an input.
    pub(crate) fn see_effects(&mut self, is_resume: bool, effects: &[Effect]) {
        let mut resumed: Option<ConnectionId> = None;
        for effect in effects {
            match effect {
                Effect::HandOver { .. } => self.see("resume on another hub"),
                Effect::Close { code, .. } => self.see_close(*code),
                Effect::Store {
                    op: StoreOp::InboxAppend { limits, .. },
                    ..
                } if limits.age_ms == u64::MAX => self.see("clock not believed"),
                Effect::Bus(BusOp::Publish { message, .. }) => self.see_publication(message),
                Effect::Send { connection, frame } if is_resume => {
                    let frame = decode_server(payload(frame)).ok();
                    let kinds = frame.into_iter().flat_map(|frame| frame.messages);
                    for kind in kinds.filter_map(|message| message.kind) {
                        self.see_answer(*connection, &mut resumed, &kind);
                    }
                }
                _ => {}
            }
        }
    }

    fn see_answer(
        &mut self,
        connection: ConnectionId,
        resumed: &mut Option<ConnectionId>,
        kind: &Kind,
    ) {
        match kind {
            Kind::Resumed(answer) => {
                *resumed = Some(connection);
                if answer.was_gone {
                    self.see("resume of a user who was gone");
                }
            }
            Kind::Reply(_) if *resumed == Some(connection) => {
                self.see("reply served from the cache");
            }
            Kind::Refused(refused) => {
                let outcome = refused.error.as_ref().map(|error| error.outcome);
                let is = |known: Outcome| outcome == Some(known as u32);
                if is(Outcome::UnknownSession) {
                    self.see("resume refused: session unknown");
                } else if is(Outcome::SecretWrong) {
                    self.see("resume refused: secret wrong");
                } else if is(Outcome::TokenExpired) {
                    self.see("resume refused: token over");
                }
            }
            _ => {}
        }
    }

    fn see_close(&mut self, code: CloseCode) {
        match code {
            CloseCode::Superseded => self.see("old connection superseded"),
            CloseCode::RemoteLogin => self.see("user logged in elsewhere"),
            CloseCode::TokenExpired => self.see("token ended while connected"),
            CloseCode::HeartbeatLost => self.see("heartbeat lost"),
            CloseCode::SlowConsumer => self.see("slow consumer closed"),
            CloseCode::ProtocolError => self.see("client out of order closed"),
            _ => {}
        }
    }

    fn see_publication(&mut self, message: &Publication) {
        if let Publication::Invitation(InvitationWord::Ring { id, .. }) = message {
            let offers = self.offers.entry(*id).or_default();
            *offers += 1;
            if *offers == 2 {
                self.see("invitation offered twice");
            }
        }
    }

    /// Looks at the store's answers to a group.
    pub(crate) fn see_commit(&mut self, ops: &[StoreOp], answers: &[StoreAnswer]) {
        let is_failed = |answer: &StoreAnswer| matches!(answer, StoreAnswer::Failed { .. });
        if answers.iter().any(is_failed) {
            self.is_refusing = true;
            self.see("write refused by the store");
        } else if self.is_refusing
            && (ops.iter()).any(|op| matches!(op, StoreOp::InboxAppend { .. }))
        {
            self.is_refusing = false;
            self.see("store recovered");
        }
    }
}

/// Whether an input contains a resume.
pub(crate) fn is_resume(input: &Input) -> bool {
    match input {
        Input::HandedOver { .. } | Input::Bus(_) => true,
        Input::Frame { frame, .. } => frame
            .messages
            .iter()
            .any(|message| matches!(message.kind, Some(client_message::Kind::Resume(_)))),
        _ => false,
    }
}
