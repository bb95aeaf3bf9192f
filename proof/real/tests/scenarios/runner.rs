//! Does what the judge says with SDK clients, and tells it what they saw.

use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use tidings_client::{
    Attribute, AttributeWrite, Client, ClientEvent, HistoryRange, Notify, PeerReceipt,
    RemoteInvitationNews, SendOptions,
};
use tidings_scenario::words::{
    from_attributes, from_event, from_message, from_presence, to_attributes, to_how, to_message,
};
use tidings_scenario::{Action, Answer, Conversation, Judge, Next, Order, Scenario, Seen, Write};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, timeout};

use crate::invitations::{Known, invitation, is_about_invitation};
use crate::server::{APP, Server};

/// Added to every time limit: two cores run many servers and clients at once.
const SLACK_MS: u64 = 1_500;

type Observations = mpsc::UnboundedSender<(Instant, Seen)>;

/// A client with the tasks that watch it and wait for its answers.
struct Party {
    client: Client,
    invitations: Known,
    tasks: JoinSet<()>,
}

struct Runner {
    server: Server,
    parties: BTreeMap<String, Party>,
    observations: Observations,
}

/// Runs a scenario.
///
/// # Errors
/// The judge's failure, as text.
pub async fn run(scenario: &Scenario, file: &str) -> Result<(), String> {
    let has_certificate = scenario.has_certificate;
    let server = tokio::task::spawn_blocking(move || Server::start(has_certificate))
        .await
        .map_err(|error| format!("{file}: {error}"))?;
    let (observations, mut observed) = mpsc::unbounded_channel();
    let mut runner = Runner {
        server,
        parties: BTreeMap::new(),
        observations,
    };
    let mut judge = Judge::new(scenario, file).with_slack(SLACK_MS);
    let began = Instant::now();
    let ms = |at: Instant| u64::try_from((at - began).as_millis()).unwrap_or(u64::MAX);
    loop {
        while let Ok((at, seen)) = observed.try_recv() {
            judge.observe(ms(at), seen);
        }
        match judge.next(ms(Instant::now())) {
            Next::Do(order) => runner.perform(order).await,
            Next::Wait { until_ms } => {
                let wait = Duration::from_millis(until_ms.saturating_sub(ms(Instant::now())));
                if let Ok(Some((at, seen))) = timeout(wait, observed.recv()).await {
                    judge.observe(ms(at), seen);
                }
            }
            Next::Passed => return Ok(()),
            Next::Failed(failure) => return Err(failure.to_string()),
        }
    }
}

impl Runner {
    async fn perform(&mut self, order: Order) {
        let Some(name) = order.client else {
            if order.action == Action::RestartServer {
                block_in_place(|| self.server.restart());
            }
            return;
        };
        if order.action == Action::Drop {
            if let Some(party) = self.parties.remove(&name) {
                party.client.cut().await;
            }
            return;
        }
        let token = match &order.action {
            Action::LogIn { user_id, token } => {
                block_in_place(|| self.server.token(token, user_id))
            }
            // In a scenario a client that renews is the user of its name.
            Action::RenewToken { token } => block_in_place(|| self.server.token(token, &name)),
            _ => None,
        };
        let party = self.party(&name);
        match order.action {
            Action::Cut => return party.client.cut().await,
            Action::ComeBack => return party.client.come_back().await,
            _ => {}
        }
        let client = party.client.clone();
        let invitations = party.invitations.clone();
        let (action, id) = (order.action, order.id);
        let observations = self.observations.clone();
        let party = self.party(&name);
        let mut run = Box::pin(async move {
            let answer = if is_about_invitation(&action) {
                invitation(&client, action, invitations).await
            } else {
                call(&client, action, token).await
            };
            let answer = answer.unwrap_or_else(Answer::Error);
            // The scenario may have ended.
            let _ = observations.send((Instant::now(), Seen::Answer { order: id, answer }));
        });
        // Order: the call is handed to the client here, before the next one; tasks begin in any.
        if poll_fn(|context| Poll::Ready(run.as_mut().poll(context)))
            .await
            .is_pending()
        {
            party.tasks.spawn(run);
        }
    }

    /// The client of this name, made if it is not there.
    fn party(&mut self, name: &str) -> &mut Party {
        let (endpoint, observations) = (self.server.endpoint(), self.observations.clone());
        self.parties.entry(name.to_owned()).or_insert_with(|| {
            let (client, mut events) = Client::builder()
                .endpoint(endpoint)
                .app_id(APP)
                .apart()
                .build()
                .expect("a good endpoint and app id");
            let mut tasks = JoinSet::new();
            let name = name.to_owned();
            let invitations = Known::default();
            let received = invitations.received.clone();
            tasks.spawn(async move {
                while let Some(event) = events.next().await {
                    if let ClientEvent::RemoteInvitation {
                        id,
                        caller_id,
                        news: RemoteInvitationNews::Received { .. },
                    } = &event
                    {
                        let mut received = received.lock().expect("no panic");
                        received.insert(caller_id.clone(), id.clone());
                    }
                    let Some(event) = from_event(event) else {
                        continue;
                    };
                    let seen = Seen::Event {
                        client: name.clone(),
                        event,
                    };
                    let _ = observations.send((Instant::now(), seen));
                }
            });
            Party {
                client,
                invitations,
                tasks,
            }
        })
    }
}

/// Makes the call. An error is its code.
async fn call(client: &Client, action: Action, token: Option<String>) -> Result<Answer, u32> {
    match action {
        Action::LogIn { user_id, .. } => {
            client
                .login(&user_id, token.as_deref())
                .await
                .map_err(|error| error.code())?;
        }
        Action::LogOut => client.logout().await.map_err(|error| error.code())?,
        Action::RenewToken { .. } => {
            let token = token.unwrap_or_default();
            client
                .renew_token(&token)
                .await
                .map_err(|error| error.code())?;
        }
        Action::Join { channel } => {
            client
                .channel(channel)
                .join()
                .await
                .map_err(|error| error.code())?;
        }
        Action::Leave { channel } => {
            client
                .channel(channel)
                .leave()
                .await
                .map_err(|error| error.code())?;
        }
        Action::SendToChannel {
            channel,
            message,
            history,
        } => {
            let channel = client.channel(channel);
            let options = options(false, history);
            channel
                .send_with(to_message(message), options)
                .await
                .map_err(|error| error.code())?;
        }
        Action::SendToPeer {
            peer_id,
            message,
            offline,
            history,
        } => {
            let options = options(offline, history);
            let sent = client
                .send_to_peer(&peer_id, to_message(message), options)
                .await;
            return match sent.map_err(|error| error.code())? {
                PeerReceipt::Received => Ok(Answer::Received),
                PeerReceipt::NotReceived => Ok(Answer::NotReceived),
            };
        }
        Action::ReadHistory {
            of,
            newest_first,
            count_max,
        } => {
            let range = HistoryRange {
                newest_first,
                count_max,
                ..HistoryRange::default()
            };
            let page = match of {
                Conversation::Channel(name) => client
                    .channel(name)
                    .history(range)
                    .await
                    .map_err(|error| error.code())?,
                Conversation::Peer(id) => client
                    .peer_history(&id, range)
                    .await
                    .map_err(|error| error.code())?,
            };
            let kept = page.messages.into_iter();
            let list = kept.map(|kept| (kept.from, from_message(kept.message)));
            return Ok(Answer::History(list.collect()));
        }
        Action::GetMembers { channel } => {
            let members = client.channel(channel).members().await;
            return members.map(Answer::Users).map_err(|error| error.code());
        }
        Action::GetMemberCounts { channels } => {
            let counts = client.member_counts(channels).await;
            return counts
                .map(Answer::MemberCounts)
                .map_err(|error| error.code());
        }
        Action::QueryPresence { user_ids } => {
            let users = client
                .query_presence(user_ids)
                .await
                .map_err(|error| error.code())?;
            return Ok(Answer::Presence(from_presence(users)));
        }
        Action::SubscribePresence { user_ids } => {
            client
                .subscribe_presence(user_ids)
                .await
                .map_err(|error| error.code())?;
        }
        Action::UnsubscribePresence { user_ids } => {
            client
                .unsubscribe_presence(user_ids)
                .await
                .map_err(|error| error.code())?;
        }
        Action::QueryPresenceSubscriptions => {
            let users = client.presence_subscriptions().await;
            return users.map(Answer::Users).map_err(|error| error.code());
        }
        other => return attributes(client, other).await,
    }
    Ok(Answer::Done)
}

async fn attributes(client: &Client, action: Action) -> Result<Answer, u32> {
    let read = match action {
        Action::WriteUserAttributes { how, attributes } => {
            let (how, attributes) = to_write(how, attributes);
            client
                .write_attributes(how, attributes)
                .await
                .map_err(|error| error.code())?;
            return Ok(Answer::Done);
        }
        Action::WriteChannelAttributes {
            channel,
            how,
            attributes,
            notify,
        } => {
            let (how, attributes) = to_write(how, attributes);
            let notify = if notify {
                Notify::Members
            } else {
                Notify::Nobody
            };
            let channel = client.channel(channel);
            let written = channel.write_attributes(how, attributes, notify).await;
            written.map_err(|error| error.code())?;
            return Ok(Answer::Done);
        }
        Action::ReadUserAttributes { user_id, keys } => {
            client.read_attributes(&user_id, keys).await
        }
        Action::ReadChannelAttributes { channel, keys } => {
            client.channel(channel).read_attributes(keys).await
        }
        other => panic!("{other} is not a call"),
    };
    read.map(|list| Answer::Attributes(from_attributes(list)))
        .map_err(|error| error.code())
}

fn options(offline: bool, history: bool) -> SendOptions {
    let mut options = SendOptions::new();
    if offline {
        options = options.offline();
    }
    if history {
        options = options.history();
    }
    options
}

fn to_write(how: Write, list: Vec<(String, String)>) -> (AttributeWrite, Vec<Attribute>) {
    (to_how(how), to_attributes(list))
}
