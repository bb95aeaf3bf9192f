//! Runs scenario files in the simulated world, in virtual time.

use std::collections::BTreeMap;

use tidings_client_core as core;
use tidings_client_core::{Call, CallError, CallId, ClientEvent};
use tidings_hub::App;
use tidings_scenario::words::{
    from_attributes, from_event, from_message, from_presence, to_attributes, to_how, to_message,
};
use tidings_scenario::{
    Action, Answer, Conversation, Judge, Next, Order, Scenario, Seen as Observed, TokenKind,
};
use tidings_token::{Access, NewAccess007, Permissions, Resource, Service, build_007};
use tidings_wire::codes;
use tidings_wire::names::AppId;

use crate::world::{APP_ID, ClientId, Record, Seen, World, WorldConfig};

/// The certificate of an app that requires tokens.
const CERTIFICATE: &str = "0badc0de0badc0de0badc0de0badc0de";

/// Which error codes a failed call is shown with.
type Family = fn(u32) -> u32;

struct Runner {
    world: World,
    clients: BTreeMap<String, ClientId>,
    /// User id of each client.
    users: BTreeMap<ClientId, String>,
    /// The order behind each call, with its error codes.
    orders: BTreeMap<CallId, (u64, Family)>,
    /// Each client's latest invitation to each user, and its call while that is open.
    sent: BTreeMap<(ClientId, String), u64>,
    inviting: BTreeMap<CallId, String>,
    /// The latest invitation that each client has received from each user.
    received: BTreeMap<(ClientId, String), core::InvitationId>,
    tokens: u32,
}

/// Runs one scenario with one seed and this number of hubs.
///
/// # Errors
/// The judge's report when the scenario was not kept.
pub fn run(scenario: &Scenario, file: &str, seed: u64, hubs: u16) -> Result<u64, String> {
    let mut config = WorldConfig::new(seed, hubs);
    let app = App {
        certificates: if scenario.has_certificate {
            vec![CERTIFICATE.into()]
        } else {
            Vec::new()
        },
        ..App::default()
    };
    let app_id = AppId::parse(APP_ID).map_err(|error| error.to_string())?;
    config.apps.listed.insert(app_id, app);
    let mut runner = Runner {
        world: World::new(config),
        clients: BTreeMap::new(),
        users: BTreeMap::new(),
        orders: BTreeMap::new(),
        sent: BTreeMap::new(),
        inviting: BTreeMap::new(),
        received: BTreeMap::new(),
        tokens: 0,
    };
    let mut judge = Judge::new(scenario, file);
    loop {
        let now_ms = runner.world.now_ms();
        match judge.next(now_ms) {
            Next::Do(order) => runner.carry_out(order),
            Next::Wait { until_ms } => {
                runner.wait(until_ms, &mut judge);
            }
            Next::Passed => return Ok(runner.world.trace_hash()),
            Next::Failed(failure) => return Err(format!("seed {seed}, {hubs} hubs: {failure}")),
        }
    }
}

impl Runner {
    /// Lets time pass until something is seen or the given time is reached.
    fn wait(&mut self, until_ms: u64, judge: &mut Judge) {
        let mut records: Vec<Record> = Vec::new();
        self.world.run_while(until_ms, |world| {
            records.extend(world.take_records());
            records.is_empty()
        });
        for record in records {
            let at_ms = record.at_ms;
            if let Some(seen) = self.observed(record) {
                judge.observe(at_ms, seen);
            }
        }
    }

    fn client(&mut self, name: &str) -> ClientId {
        if let Some(client) = self.clients.get(name) {
            return *client;
        }
        let client = self.world.add_client();
        self.clients.insert(name.to_owned(), client);
        client
    }

    fn carry_out(&mut self, order: Order) {
        let Some(name) = order.client else {
            match order.action {
                Action::RestartServer => {
                    self.world.kill_server();
                    self.world.start_server();
                }
                Action::Pass { .. } => {}
                _ => unreachable!("the judge gives an action of a client with its client"),
            }
            return;
        };
        let client = self.client(&name);
        let (call, family): (CallId, Family) = match order.action {
            Action::LogIn { user_id, token } => {
                let token = self.token(&user_id, token);
                self.users.insert(client, user_id.clone());
                (
                    self.world.login(client, &user_id, &token),
                    codes::login_err::from_outcome,
                )
            }
            Action::LogOut => (self.world.logout(client), codes::logout_err::from_outcome),
            Action::RenewToken { token } => {
                let user = self.users.get(&client).cloned().unwrap_or_default();
                let token = self.token(&user, token);
                (
                    self.world.renew(client, &token),
                    codes::renew_token_err::from_outcome,
                )
            }
            Action::Cut => return self.world.unplug(client),
            Action::ComeBack => {
                self.world.set_offline(client, false);
                return self.world.wake(client);
            }
            Action::Drop => {
                self.world.unplug(client);
                self.clients.remove(&name);
                self.users.remove(&client);
                return;
            }
            Action::Pass { .. } | Action::RestartServer => return,
            Action::Invite { .. }
            | Action::CancelInvitation { .. }
            | Action::AcceptInvitation { .. }
            | Action::RefuseInvitation { .. } => {
                // Their errors are not outcomes.
                (self.invitation(client, order.action), |_| {
                    codes::invitation_api_call_err::INVALID_ARGUMENT
                })
            }
            action => {
                let (call, family) = to_call(action);
                (self.world.call(client, call), family)
            }
        };
        self.orders.insert(call, (order.id, family));
    }

    fn invitation(&mut self, client: ClientId, action: Action) -> CallId {
        let received = |caller_id: String| {
            let id = self.received.get(&(client, caller_id)).cloned();
            id.expect("a scenario decides on an invitation that has come")
        };
        let call = match action {
            Action::Invite {
                callee_id,
                content,
                channel,
            } => {
                let invite = core::InvitationCall::Invite {
                    callee_id: callee_id.clone(),
                    content,
                    channel,
                };
                let call = self.world.call(client, Call::Invitation(invite));
                self.inviting.insert(call, callee_id);
                return call;
            }
            Action::CancelInvitation { callee_id } => core::InvitationCall::Cancel {
                number: self.sent.get(&(client, callee_id)).copied().unwrap_or(0),
            },
            Action::AcceptInvitation {
                caller_id,
                response,
            } => core::InvitationCall::Accept {
                id: received(caller_id),
                response,
            },
            Action::RefuseInvitation {
                caller_id,
                response,
            } => core::InvitationCall::Refuse {
                id: received(caller_id),
                response,
            },
            other => unreachable!("{other:?} is not about an invitation"),
        };
        self.world.call(client, Call::Invitation(call))
    }

    /// Remembers the invitation for later steps.
    fn note_invitation(&mut self, record: &Record) {
        match &record.what {
            Seen::Answer {
                id,
                result: Ok(core::Answer::Invited { number }),
            } => {
                if let Some(callee_id) = self.inviting.remove(id) {
                    self.sent.insert((record.client, callee_id), *number);
                }
            }
            Seen::Event(ClientEvent::RemoteInvitation {
                id,
                caller_id,
                news: core::RemoteInvitationNews::Received { .. },
            }) => {
                self.received
                    .insert((record.client, caller_id.clone()), id.clone());
            }
            _ => {}
        }
    }

    fn token(&mut self, user: &str, kind: TokenKind) -> String {
        let now_s = u32::try_from(self.world.unix_ms() / 1000).unwrap_or(u32::MAX);
        self.tokens += 1;
        let mut permissions = None;
        let (user, issued_at_unix_s, lifetime_s) = match kind {
            TokenKind::Valid => (user, now_s, 86_400),
            TokenKind::Lasting(seconds) => (user, now_s, seconds),
            TokenKind::Expired => (user, now_s - 7_200, 3_600),
            TokenKind::Foreign => ("somebody-else", now_s, 86_400),
            TokenKind::Damaged => return "007damaged".into(),
            TokenKind::No => return String::new(),
            TokenKind::Limited(list) => {
                permissions = Some(to_permissions(&list));
                (user, now_s, 86_400)
            }
        };
        let service = match permissions {
            None => Service::rtm(user, lifetime_s),
            Some(list) => Service::rtm2(user, lifetime_s, list),
        };
        let token = NewAccess007 {
            app_id: APP_ID,
            certificate: CERTIFICATE,
            issued_at_unix_s,
            lifetime_s,
            salt: self.tokens,
            services: &[service],
        };
        build_007(&token).unwrap_or_default()
    }

    fn observed(&mut self, record: Record) -> Option<Observed> {
        self.note_invitation(&record);
        match record.what {
            Seen::Answer { id, result } => {
                let (order, family) = self.orders.remove(&id)?;
                let answer = match result {
                    Ok(answer) => from_answer(answer),
                    Err(error) => Answer::Error(code(&error, family)),
                };
                Some(Observed::Answer { order, answer })
            }
            Seen::Event(event) => {
                let is_it = |(_, client): &(&String, &ClientId)| **client == record.client;
                let (name, _) = self.clients.iter().find(is_it)?;
                Some(Observed::Event {
                    client: name.clone(),
                    event: from_event(event)?,
                })
            }
        }
    }
}

fn to_permissions(list: &[tidings_scenario::Permission]) -> Permissions {
    list.iter().fold(Permissions::new(), |all, permission| {
        let resource = if permission.is_channel {
            Resource::MessageChannel
        } else {
            Resource::User
        };
        let access = if permission.writes {
            Access::Write
        } else {
            Access::Read
        };
        all.with(resource, access, &permission.name)
    })
}

fn code(error: &CallError, family: Family) -> u32 {
    match error {
        CallError::Refused { outcome, .. } => family(*outcome),
        CallError::Unsent { .. } => family(codes::Outcome::TimedOut as u32),
        CallError::NotLoggedIn => 102,
        CallError::AlreadyLoggedIn => codes::login_err::ALREADY_LOGIN,
        CallError::LoginCanceled => codes::login_err::UNKNOWN,
        CallError::WrongTime { code, .. } => *code,
        CallError::Left { .. } => codes::join_channel::ERR_ABORTED_BY_LEAVE,
    }
}

fn to_call(action: Action) -> (Call, Family) {
    match action {
        Action::Join { channel } => (Call::Join { channel }, codes::join_channel::from_outcome),
        Action::Leave { channel } => (
            Call::Leave { channel },
            codes::leave_channel_err::from_outcome,
        ),
        Action::SendToChannel {
            channel,
            message,
            history,
        } => (
            Call::SendToChannel {
                channel,
                message: to_message(message),
                history,
            },
            codes::channel_message_err::from_outcome,
        ),
        Action::SendToPeer {
            peer_id,
            message,
            offline,
            history,
        } => (
            Call::SendToPeer {
                peer_id,
                message: to_message(message),
                offline,
                history,
            },
            codes::peer_message_err::from_outcome,
        ),
        Action::GetMembers { channel } => (
            Call::GetMembers { channel },
            codes::get_members_err::from_outcome,
        ),
        Action::GetMemberCounts { channels } => (
            Call::GetMemberCounts { channels },
            codes::get_channel_member_count_err::from_outcome,
        ),
        Action::QueryPresence { user_ids } => (
            Call::QueryPresence { user_ids },
            codes::query_peers_online_status_err::from_outcome,
        ),
        Action::SubscribePresence { user_ids } => (
            Call::SubscribePresence { user_ids },
            codes::peer_subscription_status_err::from_outcome,
        ),
        Action::UnsubscribePresence { user_ids } => (
            Call::UnsubscribePresence { user_ids },
            codes::peer_subscription_status_err::from_outcome,
        ),
        Action::QueryPresenceSubscriptions => (
            Call::QueryPresenceSubscriptions,
            codes::query_peers_by_subscription_option_err::from_outcome,
        ),
        Action::ReadHistory {
            of,
            newest_first,
            count_max,
        } => to_read_history(of, newest_first, count_max),
        action => (
            to_attribute_call(action),
            codes::attribute_operation_err::from_outcome,
        ),
    }
}

fn to_read_history(of: Conversation, newest_first: bool, count_max: Option<u32>) -> (Call, Family) {
    let (conversation, family): (_, Family) = match of {
        Conversation::Channel(name) => (
            core::Conversation::Channel(name),
            codes::channel_message_err::from_outcome,
        ),
        Conversation::Peer(id) => (
            core::Conversation::Peer(id),
            codes::peer_message_err::from_outcome,
        ),
    };
    let range = core::HistoryRange {
        newest_first,
        count_max,
        ..core::HistoryRange::default()
    };
    let call = Call::ReadHistory {
        conversation,
        range,
    };
    (call, family)
}

fn to_attribute_call(action: Action) -> Call {
    match action {
        Action::WriteUserAttributes { how, attributes } => Call::WriteUserAttributes {
            how: to_how(how),
            attributes: to_attributes(attributes),
        },
        Action::ReadUserAttributes { user_id, keys } => Call::ReadUserAttributes { user_id, keys },
        Action::WriteChannelAttributes {
            channel,
            how,
            attributes,
            notify,
        } => Call::WriteChannelAttributes {
            channel,
            how: to_how(how),
            attributes: to_attributes(attributes),
            notify,
        },
        Action::ReadChannelAttributes { channel, keys } => {
            Call::ReadChannelAttributes { channel, keys }
        }
        other => unreachable!("{other:?} is no call"),
    }
}

fn from_answer(answer: core::Answer) -> Answer {
    match answer {
        core::Answer::Done | core::Answer::Invited { .. } => Answer::Done,
        core::Answer::PeerSent { received: true } => Answer::Received,
        core::Answer::PeerSent { received: false } => Answer::NotReceived,
        core::Answer::Users(users) => Answer::Users(users),
        core::Answer::MemberCounts(counts) => Answer::MemberCounts(counts),
        core::Answer::Presence(users) => Answer::Presence(from_presence(users)),
        core::Answer::History(page) => Answer::History(
            page.messages
                .into_iter()
                .map(|kept| (kept.from, from_message(kept.message)))
                .collect(),
        ),
        core::Answer::Attributes(attributes) => Answer::Attributes(from_attributes(attributes)),
    }
}
