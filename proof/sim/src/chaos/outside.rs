//! A backend that calls the hubs from outside: as a user of its own at each hub, who never logs in.

use std::collections::BTreeMap;

use tidings_client_core::{Answer, CallError, CallId};
use tidings_hub::ids::{HubId, UserKey};
use tidings_hub::outside::{OutsideAnswer, OutsideCall, PeerOutcome};
use tidings_wire::codes::CloseCode;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{
    Attribute, AttributeWrite, GetMembers, Message, QueryPresence, ReadHistory, SendToChannel,
    SendToPeer, WriteChannelAttributes, message, read_history, reply,
};

use super::{CHANNELS, Chaos};
use crate::checks::Done;
use crate::random::Random;
use crate::world::{APP_ID, ClientId, Record, Seen};

/// Nobody waits longer for an answer, in milliseconds; what becomes of the call is unknown then.
const PATIENCE_MS: u64 = 12_000;

/// The backend's users are clients of these numbers to the checks; no client of the world has one.
const FIRST: usize = 1 << 20;

/// A call that was made.
#[derive(Debug)]
struct Open {
    client: ClientId,
    at_ms: u64,
    /// The process of the server that has it.
    incarnation: u64,
    /// Nobody waits for it any longer.
    is_given_up: bool,
}

/// Calls from outside that the hubs have not answered.
#[derive(Debug, Default)]
pub(super) struct OutsidePart {
    open: BTreeMap<CallId, Open>,
}

impl Chaos {
    /// Makes a call of the backend, sometimes.
    pub(super) fn act_from_outside(&mut self, seed: u64) {
        // A generator of its own: runs without a backend draw what they drew before.
        let mut random = Random::new(seed ^ 0x6f75_7473_6964_6521);
        if !random.percent(40) || !self.world.takes_outside() {
            return;
        }
        let hub = u16::try_from(random.between(0, self.world.hubs() as u64 - 1)).unwrap_or(0);
        if random.percent(5) {
            return self.send_somebody_away(hub, &mut random);
        }
        let (call, done) = self.draw_outside(&mut random);
        self.call_from_outside(hub, call, done);
    }

    /// Closes a user's connection, which its client resumes, and looks at what the hub has.
    fn send_somebody_away(&mut self, hub: u16, random: &mut Random) {
        let name = format!("u{}", random.between(0, self.clients.len() as u64 - 1));
        let (Ok(app), Ok(user)) = (AppId::parse(APP_ID), UserId::parse(&name)) else {
            return debug_assert!(false, "names of the test's own");
        };
        let user = UserKey {
            app: app.clone(),
            user,
        };
        let calls = [
            OutsideCall::Disconnect {
                user: user.clone(),
                session: None,
                code: CloseCode::GoingAway,
            },
            OutsideCall::Sessions {
                app: app.clone(),
                user: None,
                after: 0,
                limit: 3,
            },
            OutsideCall::Channels {
                app,
                prefix: String::new(),
                after: None,
                limit: 2,
            },
            OutsideCall::User { user },
        ];
        for call in calls {
            self.ask_from_outside(hub, call, Done::Other);
        }
    }

    /// Draws a call, and what the checks are told of it.
    fn draw_outside(&mut self, random: &mut Random) -> (Call, Done) {
        let text = self.text();
        let message = Some(Message {
            body: Some(message::Body::Text(text.clone().into())),
            ..Message::default()
        });
        let channel = (*random.pick(&CHANNELS)).to_owned();
        let users = self.clients.len() as u64 - 1;
        let user = |random: &mut Random| format!("u{}", random.between(0, users));
        match random.between(0, 9) {
            0..=3 => {
                let (to, is_offline) = (user(random), random.percent(50));
                let call = Call::SendToPeer(SendToPeer {
                    peer_id: to.clone(),
                    message,
                    offline: is_offline,
                    history: random.percent(20),
                });
                let done = Done::SentToPeer {
                    to,
                    text,
                    is_offline,
                };
                (call, done)
            }
            4..=6 => {
                let is_kept = random.percent(50);
                let call = Call::SendToChannel(SendToChannel {
                    channel: channel.clone(),
                    message,
                    history: is_kept,
                });
                let done = Done::SentToChannel {
                    channel,
                    text,
                    is_kept,
                };
                (call, done)
            }
            7 => {
                let attributes = vec![Attribute {
                    key: "k".into(),
                    value: text,
                    ..Attribute::default()
                }];
                let call = Call::WriteChannelAttributes(WriteChannelAttributes {
                    channel,
                    how: AttributeWrite::Merge.into(),
                    attributes,
                    notify: true,
                });
                (call, Done::Other)
            }
            8 => (Call::GetMembers(GetMembers { channel }), Done::Other),
            _ if random.percent(50) => {
                let conversation = Some(read_history::Conversation::Channel(channel));
                let call = ReadHistory {
                    conversation,
                    ..ReadHistory::default()
                };
                (Call::ReadHistory(call), Done::Other)
            }
            _ => {
                let user_ids = vec![user(random)];
                (Call::QueryPresence(QueryPresence { user_ids }), Done::Other)
            }
        }
    }

    fn call_from_outside(&mut self, hub: u16, call: Call, done: Done) {
        let (Ok(app), Ok(user)) = (
            AppId::parse(APP_ID),
            UserId::parse(&format!("backend{hub}")),
        ) else {
            return debug_assert!(false, "names of the test's own");
        };
        let from = UserKey { app, user };
        self.ask_from_outside(hub, OutsideCall::AsUser { from, call }, done);
    }

    fn ask_from_outside(&mut self, hub: u16, call: OutsideCall, done: Done) {
        let id = self.world.next_call();
        let client = ClientId(FIRST + usize::from(hub));
        let at_ms = self.world.now_ms();
        self.calls += 1;
        self.checker.note_call(at_ms, client, id, done);
        let open = Open {
            client,
            at_ms,
            incarnation: self.world.incarnation,
            is_given_up: false,
        };
        self.outside.open.insert(id, open);
        self.world.call_outside(HubId::local(hub), id, call);
    }

    /// Notes what the hubs have answered, and what nobody waits for any longer.
    pub(super) fn note_outside(&mut self) {
        for (at_ms, id, answer) in self.world.take_outside_answers() {
            let Some(open) = self.outside.open.remove(&id) else {
                let text = format!("call {id} from outside was answered once more: {answer:?}");
                self.checker.violate_now("call.always_answered", text);
                continue;
            };
            let is_late = open.at_ms + PATIENCE_MS <= at_ms;
            let result = if is_late {
                Err(CallError::NotLoggedIn)
            } else {
                result_of(answer)
            };
            if !open.is_given_up {
                let at_ms = at_ms.min(open.at_ms + PATIENCE_MS);
                self.note_answer(at_ms, id, open.client, result);
            }
        }
        let (now_ms, incarnation) = (self.world.now_ms(), self.world.incarnation);
        let mut given_up = Vec::new();
        self.outside.open.retain(|id, open| {
            let is_lost = open.incarnation != incarnation;
            let is_late = open.at_ms + PATIENCE_MS <= now_ms;
            if (is_lost || is_late) && !std::mem::replace(&mut open.is_given_up, true) {
                given_up.push((open.at_ms + PATIENCE_MS, *id, open.client));
            }
            !is_lost
        });
        for (at_ms, id, client) in given_up {
            self.note_answer(at_ms.min(now_ms), id, client, Err(CallError::NotLoggedIn));
        }
    }

    fn note_answer(
        &mut self,
        at_ms: u64,
        id: CallId,
        client: ClientId,
        result: Result<Answer, CallError>,
    ) {
        self.checker.note(&Record {
            at_ms,
            client,
            incarnation: self.world.incarnation,
            what: Seen::Answer { id, result },
        });
    }

    /// Everything has settled: every call was answered by the process that had it.
    pub(super) fn check_outside(&mut self) {
        self.note_outside();
        for (id, open) in std::mem::take(&mut self.outside.open) {
            let text = format!("call {id} from outside was never answered: {open:?}");
            self.checker.violate_now("call.always_answered", text);
        }
    }
}

fn result_of(answer: OutsideAnswer) -> Result<Answer, CallError> {
    match answer {
        OutsideAnswer::Sent { outcome, .. } => Ok(Answer::PeerSent {
            received: outcome == PeerOutcome::Received,
        }),
        OutsideAnswer::Call(reply::Result::Error(_)) => Err(CallError::NotLoggedIn),
        _ => Ok(Answer::Done),
    }
}
