//! Whatever happens in whatever order, by an application, a network and a server that owes nothing
//! to the protocol: what must hold holds after each input (the machine asserts it itself), every
//! call is answered once, and time goes on.

mod harness;

use std::collections::BTreeSet;

use bytes::Bytes;
use harness::*;
use prost::Message as _;
use tidings_client_core::*;
use tidings_wire::codes::Outcome;
use tidings_wire::proto::{self, server_message::Kind};

const RUNS: u64 = 400;
const STEPS: u64 = 250;

/// SplitMix64: a run is repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

struct Run {
    client: Client,
    random: Random,
    now_ms: u64,
    connection: Option<ConnectionId>,
    last_call: CallId,
    open: BTreeSet<CallId>,
    ringing: Vec<InvitationId>,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            client: Client::new("random/1", seed),
            random: Random(seed),
            now_ms: 1,
            connection: None,
            last_call: 0,
            open: BTreeSet::new(),
            ringing: vec![],
        }
    }

    fn give(&mut self, input: Input) {
        let mut outputs = vec![];
        self.client.handle(self.now_ms, input, &mut outputs);
        for output in outputs {
            match output {
                Output::Open { connection } => self.connection = Some(connection),
                Output::Close { connection } => {
                    assert_eq!(self.connection.take(), Some(connection), "one connection");
                }
                Output::Send { connection, .. } => {
                    assert_eq!(self.connection, Some(connection), "it is open");
                }
                Output::Event(ClientEvent::RemoteInvitation { id, .. }) => self.ringing.push(id),
                Output::Event(_) => {}
                Output::Answer { id, .. } => {
                    assert!(self.open.remove(&id), "call {id} is answered twice");
                }
            }
        }
    }

    fn next_call(&mut self) -> CallId {
        self.last_call += 1;
        self.open.insert(self.last_call);
        self.last_call
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0 | 1 => self.log_in_or_out(),
            2..=5 => {
                let call = self.some_call();
                let id = self.next_call();
                self.give(Input::Call { id, call });
            }
            6 => self.network(),
            7 => {
                self.now_ms += [1, 200, 1_000, 4_000, 40_000][self.random.below(5) as usize];
                self.give(Input::Tick);
            }
            8 => {
                let words = [RivalWord::Hold, RivalWord::Go, RivalWord::Over];
                let word = words[self.random.below(3) as usize];
                self.give(Input::Rival(word));
            }
            9 => {
                let backlogs = [Backlog::Full, Backlog::Clear, Backlog::Clear];
                let backlog = backlogs[self.random.below(3) as usize];
                self.give(Input::Backlog(backlog));
            }
            10 => self.give(Input::Wake),
            _ => self.server(),
        }
    }

    fn log_in_or_out(&mut self) {
        let id = self.next_call();
        match self.random.below(8) {
            0 => self.give(Input::Logout { id }),
            1 | 2 => {
                let token = format!("token-{id}");
                self.give(Input::RenewToken { id, token });
            }
            _ => {
                let (app_id, user_id) = (APP.to_owned(), "alice".to_owned());
                let token = String::new();
                self.give(Input::Login {
                    id,
                    app_id,
                    user_id,
                    token,
                });
            }
        }
    }

    fn some_call(&mut self) -> Call {
        let room = ["a", "b", "c"][self.random.below(3) as usize];
        let number = self.random.below(4);
        match self.random.below(14) {
            0..=2 => join(room),
            3 | 4 => leave(room),
            5 => members(room),
            6 => to_channel(room, "hi"),
            7 => to_peer("bob", "hi"),
            8 => subscribe("bob carol"),
            9 => merge("key", "value"),
            10 => Call::Invitation(InvitationCall::Invite {
                callee_id: "bob".to_owned(),
                content: String::new(),
                channel: String::new(),
            }),
            11 => Call::Invitation(InvitationCall::Cancel { number }),
            12 | 13 => {
                let at = self.random.below(self.ringing.len().max(1) as u64) as usize;
                let Some(id) = self.ringing.get(at).cloned() else {
                    return subscribe("dave");
                };
                let response = String::new();
                Call::Invitation(if number < 2 {
                    InvitationCall::Accept { id, response }
                } else {
                    InvitationCall::Refuse { id, response }
                })
            }
            other => unreachable!("{other} is below 14"),
        }
    }

    fn network(&mut self) {
        let Some(connection) = self.connection else {
            return self.give(Input::Tick);
        };
        if self.random.below(3) > 0 {
            return self.give(Input::Opened { connection });
        }
        self.connection = None;
        let code = [None, Some(1009), Some(4_000 + self.random.below(20) as u16)];
        let code = code[self.random.below(3) as usize];
        self.give(Input::Closed { connection, code });
    }

    fn server(&mut self) {
        let Some(connection) = self.connection else {
            return self.give(Input::Tick);
        };
        if self.random.below(2) == 0 {
            self.give(Input::Opened { connection });
        }
        let count = 1 + self.random.below(3);
        let kinds = (0..count).map(|_| self.some_kind());
        let messages = kinds.map(|kind| proto::ServerMessage { kind: Some(kind) });
        let messages = messages.collect();
        let mut payload = proto::ServerFrame { messages }.encode_to_vec();
        if self.random.below(40) == 0 {
            payload = vec![0xff; 3];
        }
        self.give(Input::Received {
            connection,
            payload: Bytes::from(payload),
        });
    }

    fn some_kind(&mut self) -> Kind {
        let (cseq, room) = (self.random.below(12), "a");
        let outcomes = Outcome::ALL;
        let outcome = outcomes[self.random.below(outcomes.len() as u64) as usize];
        let id = Bytes::from(vec![self.random.below(4) as u8; 16]);
        let number = self.random.below(4);
        let end = self.random.below(12) as i32;
        match self.random.below(22) {
            0..=2 => welcome(),
            3 => resumed(cseq, "secret-9"),
            4 => resumed_after_gone(cseq),
            5 => refused(outcome, (number * 100) as u32),
            6..=9 => done(cseq),
            10 => fail(cseq, outcome, 0),
            11 => users(cseq, "alice bob"),
            12 => joined(room, "bob"),
            13 => left(room, if number == 0 { "alice" } else { "bob" }),
            14 => self::count(room, number as u32),
            15 => peer_message("bob", "hi", number, number as u8),
            16 => channel_gap(room),
            17 => skip(if number == 0 { u64::MAX } else { number }, room),
            18 => Kind::IncomingInvitation(proto::IncomingInvitation {
                id,
                caller_id: "bob".to_owned(),
                ..Default::default()
            }),
            19 => Kind::RemoteInvitationEnded(proto::RemoteInvitationEnded { id, end }),
            20 => Kind::AcceptAsked(proto::AcceptAsked {
                number,
                ..Default::default()
            }),
            21 => Kind::LocalInvitationEnded(proto::LocalInvitationEnded {
                number,
                end,
                ..Default::default()
            }),
            other => unreachable!("{other} is below 22"),
        }
    }

    /// Logs out and lets time pass until nothing is left to be done.
    fn finish(&mut self) {
        self.give(Input::Backlog(Backlog::Clear));
        let id = self.next_call();
        self.give(Input::Logout { id });
        let mut ticks = 0;
        while let Some(at_ms) = self.client.deadline() {
            assert!(at_ms > self.now_ms, "a tick is wanted for {at_ms} ms");
            self.now_ms = at_ms;
            self.give(Input::Tick);
            ticks += 1;
            assert!(ticks < 1_000, "the client is never at rest");
        }
        assert_eq!(self.client.state(), ConnectionState::Disconnected);
        assert_eq!(self.open, BTreeSet::new(), "calls without an answer");
    }
}

#[test]
fn every_call_is_answered_once_and_what_must_hold_holds() {
    let mut calls = 0;
    for seed in 0..RUNS {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
        }
        run.finish();
        calls += run.last_call;
    }
    assert!(calls > RUNS * STEPS / 8, "{calls} calls are too few");
}
