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

use crate::checks::{Checker, Done};
use crate::random::Random;
use crate::world::{APP_ID, ClientId, Record, Seen, World};

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
pub(crate) struct Backend {
    open: BTreeMap<CallId, Open>,
    /// Calls made so far.
    pub(crate) calls: u64,
}

/// What a backend calls, and who judges.
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) checker: &'a mut Checker,
    /// Users are named u0, u1 and so on.
    pub(crate) users: u64,
    pub(crate) channels: &'a [&'static str],
}

impl Backend {
    /// Makes a call of the backend, sometimes. `text` is unique over the run.
    pub(crate) fn act(&mut self, scene: &mut Scene<'_>, seed: u64, text: String) {
        // A generator of its own: runs without a backend draw what they drew before.
        let mut random = Random::new(seed ^ 0x6f75_7473_6964_6521);
        if !random.percent(40) || !scene.world.takes_outside() {
            return;
        }
        let hub = u16::try_from(random.between(0, scene.world.hubs() as u64 - 1)).unwrap_or(0);
        if random.percent(5) {
            return self.send_somebody_away(scene, hub, &mut random);
        }
        let (call, done) = draw(scene, &mut random, text);
        self.call(scene, hub, call, done);
    }

    /// Closes a user's connection, which its client resumes, and looks at what the hub has.
    fn send_somebody_away(&mut self, scene: &mut Scene<'_>, hub: u16, random: &mut Random) {
        let name = format!("u{}", random.between(0, scene.users - 1));
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
            self.ask(scene, hub, call, Done::Other);
        }
    }

    fn call(&mut self, scene: &mut Scene<'_>, hub: u16, call: Call, done: Done) {
        let (Ok(app), Ok(user)) = (
            AppId::parse(APP_ID),
            UserId::parse(&format!("backend{hub}")),
        ) else {
            return debug_assert!(false, "names of the test's own");
        };
        let from = UserKey { app, user };
        self.ask(scene, hub, OutsideCall::AsUser { from, call }, done);
    }

    fn ask(&mut self, scene: &mut Scene<'_>, hub: u16, call: OutsideCall, done: Done) {
        let id = scene.world.next_call();
        let client = ClientId(FIRST + usize::from(hub));
        let at_ms = scene.world.now_ms();
        self.calls += 1;
        scene.checker.note_call(at_ms, client, id, done);
        let open = Open {
            client,
            at_ms,
            incarnation: scene.world.incarnation,
            is_given_up: false,
        };
        self.open.insert(id, open);
        scene.world.call_outside(HubId::local(hub), id, call);
    }

    /// Notes what the hubs have answered, and what nobody waits for any longer.
    pub(crate) fn note(&mut self, world: &mut World, checker: &mut Checker) {
        for (at_ms, id, answer) in world.take_outside_answers() {
            let Some(open) = self.open.remove(&id) else {
                let text = format!("call {id} from outside was answered once more: {answer:?}");
                checker.violate_now("call.always_answered", text);
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
                note_answer(world, checker, (at_ms, id, open.client), result);
            }
        }
        let (now_ms, incarnation) = (world.now_ms(), world.incarnation);
        let mut given_up = Vec::new();
        self.open.retain(|id, open| {
            let is_lost = open.incarnation != incarnation;
            let is_late = open.at_ms + PATIENCE_MS <= now_ms;
            if (is_lost || is_late) && !std::mem::replace(&mut open.is_given_up, true) {
                given_up.push((open.at_ms + PATIENCE_MS, *id, open.client));
            }
            !is_lost
        });
        for (at_ms, id, client) in given_up {
            let answered = (at_ms.min(now_ms), id, client);
            note_answer(world, checker, answered, Err(CallError::NotLoggedIn));
        }
    }

    /// Everything has settled: every call was answered by the process that had it.
    pub(crate) fn finish(&mut self, world: &mut World, checker: &mut Checker) {
        self.note(world, checker);
        for (id, open) in std::mem::take(&mut self.open) {
            let text = format!("call {id} from outside was never answered: {open:?}");
            checker.violate_now("call.always_answered", text);
        }
    }
}

fn note_answer(
    world: &World,
    checker: &mut Checker,
    (at_ms, id, client): (u64, CallId, ClientId),
    result: Result<Answer, CallError>,
) {
    checker.note(&Record {
        at_ms,
        client,
        incarnation: world.incarnation,
        what: Seen::Answer { id, result },
    });
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

/// Draws a call, and what the checks are told of it.
fn draw(scene: &Scene<'_>, random: &mut Random, text: String) -> (Call, Done) {
    let message = Some(Message {
        body: Some(message::Body::Text(text.clone().into())),
        ..Message::default()
    });
    let channel = (*random.pick(scene.channels)).to_owned();
    let users = scene.users - 1;
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
