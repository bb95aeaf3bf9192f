//! A hub alone: rates and deadlines of invitations.

use std::sync::Arc;

use tidings_wire::codes::Outcome;
use tidings_wire::frame::decode_server;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    CancelInvitation, ClientFrame, ClientMessage, InvitationEnd, Invite, Login, Request,
    client_message, reply, request,
};

use crate::Effect;
use crate::bus_ops::{BusInput, BusOp};
use crate::config::{Apps, HubConfig};
use crate::hub::Hub;
use crate::ids::{ConnectionId, HubId};
use crate::io::{Input, Ticket};
use crate::rig::Rig;
use crate::store_ops::{StoreAnswer, StoreOp};
use crate::time::Time;

const CONNECTION: ConnectionId = ConnectionId(1);

/// One hub with one logged-in client, alice; nobody else is anywhere.
struct Alone {
    hub: Hub,
    cseq: u64,
    now_ms: u64,
    /// What the store answers.
    disk: StoreAnswer,
}

impl Alone {
    fn new() -> Self {
        let hub = Hub::new(HubConfig {
            id: HubId::local(0),
            seed: [7; 32],
            apps: Arc::new(Apps {
                accept_any: true,
                ..Apps::default()
            }),
            server: "test".into(),
            drain_window_ms: 0,
            epoch_base: None,
        });
        let mut alone = Self {
            hub,
            cseq: 0,
            now_ms: 1_000,
            disk: StoreAnswer::Done,
        };
        let connection = CONNECTION;
        alone.give(Input::Opened { connection });
        alone.send(client_message::Kind::Login(Login {
            app_id: "a".repeat(32),
            user_id: "alice".into(),
            ..Login::default()
        }));
        alone
    }

    fn send(&mut self, kind: client_message::Kind) -> Vec<Kind> {
        let frame = ClientFrame {
            messages: vec![ClientMessage { kind: Some(kind) }],
            confirm: 0,
        };
        let connection = CONNECTION;
        self.give(Input::Frame { connection, frame })
    }

    /// Gives an input and answers every question with silence of the bus. Returns what alice is
    /// sent.
    fn give(&mut self, input: Input) -> Vec<Kind> {
        let mut inputs = std::collections::VecDeque::from([input]);
        let mut sent = Vec::new();
        while let Some(input) = inputs.pop_front() {
            let now = Time {
                mono_ms: self.now_ms,
                unix_ms: self.now_ms,
            };
            let mut effects = Vec::new();
            self.hub.handle(now, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Bus(BusOp::Ask { ask, .. }) => {
                        inputs.push_back(Input::Bus(BusInput::Nobody { ask }));
                    }
                    Effect::Store { ticket, .. } => {
                        let answer = self.disk.clone();
                        inputs.push_back(Input::Store { ticket, answer });
                    }
                    Effect::Send { frame, .. } => {
                        let frame = decode_server(&frame[2..]).expect("a short frame");
                        sent.extend(frame.messages.into_iter().filter_map(|m| m.kind));
                    }
                    _ => {}
                }
            }
        }
        sent
    }

    /// Invites bob; returns the outcome, 0 for done.
    fn invite(&mut self, number: u64) -> u32 {
        self.cseq += 1;
        let call = request::Call::Invite(Invite {
            number,
            callee_id: "bob".into(),
            ..Invite::default()
        });
        let request = Request {
            cseq: self.cseq,
            call: Some(call),
        };
        let sent = self.send(client_message::Kind::Request(request));
        let result = sent.into_iter().find_map(|kind| match kind {
            Kind::Reply(reply) => reply.result,
            _ => None,
        });
        match result {
            Some(reply::Result::Done(_)) => 0,
            Some(reply::Result::Error(error)) => error.outcome,
            other => panic!("unexpected reply {other:?}"),
        }
    }

    /// Lets time pass and returns the ends that alice is told, with the time of each.
    fn ends(&mut self, until_ms: u64) -> Vec<(u64, u64, InvitationEnd)> {
        let mut ends = Vec::new();
        while let Some(due_ms) = self.hub.deadline().filter(|due_ms| *due_ms <= until_ms) {
            self.now_ms = due_ms;
            // Every input fires the timers that are due; this one keeps the session alive, too.
            let sent = self.give(Input::Heard {
                connection: CONNECTION,
            });
            ends.extend(sent.into_iter().filter_map(|kind| match kind {
                Kind::LocalInvitationEnded(end) => Some((due_ms, end.number, end.end())),
                _ => None,
            }));
        }
        ends
    }
}

#[test]
fn ten_invitations_a_second_are_taken_and_a_repeated_number_is_no_further_one() {
    let mut alone = Alone::new();
    for number in 1..=10 {
        assert_eq!(alone.invite(number), 0, "invitation {number}");
    }
    assert_eq!(alone.invite(11), Outcome::TooOften as u32);
    assert_eq!(alone.invite(10), 0, "a repetition changes nothing");
    assert_eq!(alone.invite(0), Outcome::InvalidArgument as u32);
    alone.now_ms += 1_000;
    assert_eq!(alone.invite(11), 0);
}

#[test]
fn an_invitation_to_nobody_ends_after_30_s_once_and_not_earlier() {
    let mut alone = Alone::new();
    assert_eq!(alone.invite(1), 0);
    assert_eq!(alone.ends(30_999), []);
    let end = InvitationEnd::PeerOffline;
    assert_eq!(alone.ends(200_000), [(31_000, 1, end)]);
}

#[test]
fn an_invitation_that_cannot_be_recorded_is_refused_and_one_that_runs_ends() {
    let mut alone = Alone::new();
    let broken = StoreAnswer::Failed {
        reason: "the disk is full".into(),
    };
    alone.disk = broken.clone();
    assert_eq!(alone.invite(1), Outcome::Unavailable as u32);
    alone.disk = StoreAnswer::Done;
    assert_eq!(alone.invite(2), 0);
    alone.disk = broken;
    // What becomes of it cannot be recorded: its caller is told all the same, once.
    let end = InvitationEnd::PeerOffline;
    assert_eq!(alone.ends(200_000), [(31_000, 2, end)]);
}

/// What a rig's store has been given to write about invitations, with their revisions.
fn writes(rig: &mut Rig) -> Vec<(Ticket, u64)> {
    let all = std::mem::take(&mut rig.store).into_iter();
    all.filter_map(|(ticket, op)| match op {
        StoreOp::InvitationPut { revision, .. } => Some((ticket, revision)),
        _ => None,
    })
    .collect()
}

/// The requests of alice's that were answered since the last look.
fn answered(rig: &mut Rig) -> Vec<u64> {
    let sent = rig.take_sent(0).into_iter();
    sent.filter_map(|kind| match kind {
        Kind::Reply(reply) => Some(reply.cseq),
        _ => None,
    })
    .collect()
}

/// Alice has invited bob, and cancels before the store has answered.
fn canceled_early() -> (Rig, Ticket, u64, u64) {
    let mut rig = Rig::with_users(&["alice"]);
    rig.store.clear();
    let invited = rig.request(
        0,
        request::Call::Invite(Invite {
            number: 1,
            callee_id: "bob".into(),
            ..Invite::default()
        }),
    );
    let [(ticket, 0)] = writes(&mut rig)[..] else {
        panic!("the invitation is written first");
    };
    let cancel = CancelInvitation { number: 1 };
    let canceled = rig.request(0, request::Call::CancelInvitation(cancel));
    (rig, ticket, invited, canceled)
}

#[test]
fn an_end_that_is_decided_while_a_write_is_under_way_waits_for_its_answer() {
    let (mut rig, ticket, invited, canceled) = canceled_early();
    assert_eq!(writes(&mut rig), [], "nothing is counted on the first");
    let answer = StoreAnswer::Done;
    rig.give(Input::Store { ticket, answer });
    assert_eq!(answered(&mut rig), [invited]);
    let [(ticket, 1)] = writes(&mut rig)[..] else {
        panic!("the end is written now");
    };
    assert!(answered(&mut rig).is_empty(), "it is not durable yet");
    let answer = StoreAnswer::Done;
    rig.give(Input::Store { ticket, answer });
    assert_eq!(answered(&mut rig), [canceled]);
}

#[test]
fn an_end_of_another_hub_is_not_replaced_by_one_that_was_decided_meanwhile() {
    let (mut rig, ticket, invited, canceled) = canceled_early();
    // Another hub has written the record, and its end, meanwhile.
    let answer = StoreAnswer::InvitationConflict(None);
    rig.give(Input::Store { ticket, answer });
    assert_eq!(writes(&mut rig), [], "nothing replaces what is there");
    assert_eq!(answered(&mut rig), [invited, canceled]);
}

#[test]
fn a_store_that_fails_answers_everybody_who_waits() {
    let (mut rig, ticket, invited, canceled) = canceled_early();
    let reason = "the disk is full".into();
    let answer = StoreAnswer::Failed { reason };
    rig.give(Input::Store { ticket, answer });
    assert_eq!(answered(&mut rig), [invited, canceled]);
}
