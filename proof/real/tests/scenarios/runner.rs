//! Does what the judge says with SDK clients, and tells it what they saw.

use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::task::Poll;
use std::time::Duration;

use tidings_client::{
    Attribute, AttributeWrite, Client, ClientEvent, GapSource, HistoryRange, Notify, PeerReceipt,
    RemoteInvitationNews, SendOptions,
};
use tidings_scenario::{
    Action, Answer, Conversation, Event, File, Judge, Message, Next, Order, PresenceState,
    Scenario, Seen, Write,
};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, timeout};

use crate::invitations::{Known, from_local, from_remote, invitation, is_about_invitation};
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
                    let Some(event) = to_event(event) else {
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
            return Ok(Answer::Presence(to_presence(users)));
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
    read.map(|list| Answer::Attributes(to_pairs(list)))
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

fn to_message(message: Message) -> tidings_client::Message {
    match message {
        Message::Text(text) => tidings_client::Message::Text(text),
        Message::Raw { data, description } => tidings_client::Message::Raw {
            data: data.into(),
            description,
        },
        Message::File(file) => tidings_client::Message::File(to_file(file)),
        Message::Image {
            file,
            size,
            thumbnail_size,
        } => tidings_client::Message::Image {
            file: to_file(file),
            size: to_pixels(size),
            thumbnail_size: to_pixels(thumbnail_size),
        },
    }
}

fn to_file(file: File) -> tidings_client::MediaFile {
    tidings_client::MediaFile {
        media_id: file.media_id,
        size: file.size,
        file_name: file.file_name,
        description: file.description,
        thumbnail: file.thumbnail.into(),
    }
}

fn to_pixels((width, height): (u32, u32)) -> tidings_client::PixelSize {
    tidings_client::PixelSize { width, height }
}

fn from_file(file: tidings_client::MediaFile) -> File {
    File {
        media_id: file.media_id,
        size: file.size,
        file_name: file.file_name,
        description: file.description,
        thumbnail: file.thumbnail.to_vec(),
    }
}

fn from_message(message: tidings_client::Message) -> Message {
    match message {
        tidings_client::Message::Text(text) => Message::Text(text),
        tidings_client::Message::Raw { data, description } => Message::Raw {
            data: data.to_vec(),
            description,
        },
        tidings_client::Message::File(file) => Message::File(from_file(file)),
        tidings_client::Message::Image {
            file,
            size,
            thumbnail_size,
        } => Message::Image {
            file: from_file(file),
            size: (size.width, size.height),
            thumbnail_size: (thumbnail_size.width, thumbnail_size.height),
        },
    }
}

fn to_write(how: Write, list: Vec<(String, String)>) -> (AttributeWrite, Vec<Attribute>) {
    let how = match how {
        Write::Set => AttributeWrite::Set,
        Write::Merge => AttributeWrite::Merge,
        Write::Delete => AttributeWrite::Delete,
        Write::Clear => AttributeWrite::Clear,
    };
    (
        how,
        list.into_iter()
            .map(|(key, value)| Attribute::new(key, value))
            .collect(),
    )
}

fn to_pairs(list: Vec<Attribute>) -> Vec<(String, String)> {
    list.into_iter()
        .map(|attribute| (attribute.key, attribute.value))
        .collect()
}

fn to_presence(
    users: Vec<(String, tidings_client::PresenceState)>,
) -> Vec<(String, PresenceState)> {
    let state = |state| match state {
        tidings_client::PresenceState::Online => PresenceState::Online,
        tidings_client::PresenceState::Unreachable => PresenceState::Unreachable,
        tidings_client::PresenceState::Offline => PresenceState::Offline,
    };
    users
        .into_iter()
        .map(|(user, found)| (user, state(found)))
        .collect()
}

/// None for what scenarios do not name.
fn to_event(event: ClientEvent) -> Option<Event> {
    Some(match event {
        ClientEvent::StateChanged { state, reason } => Event::State {
            state: state.to_string(),
            reason: reason.to_string(),
        },
        ClientEvent::PeerMessage {
            from,
            message,
            is_offline,
            ..
        } => Event::PeerMessage {
            from,
            message: from_message(message),
            is_offline,
        },
        ClientEvent::ChannelMessage {
            channel,
            from,
            message,
            ..
        } => Event::ChannelMessage {
            channel,
            from,
            message: from_message(message),
        },
        ClientEvent::MemberJoined { channel, user_id } => Event::MemberJoined { channel, user_id },
        ClientEvent::MemberLeft { channel, user_id } => Event::MemberLeft { channel, user_id },
        ClientEvent::MemberCount { channel, count } => Event::MemberCount { channel, count },
        ClientEvent::ChannelAttributes {
            channel,
            attributes,
        } => Event::ChannelAttributes {
            channel,
            attributes: to_pairs(attributes),
        },
        ClientEvent::PresenceChanged { users } => Event::PresenceChanged {
            users: to_presence(users),
        },
        ClientEvent::Gap {
            source: GapSource::Channel(channel),
            ..
        } => Event::Gap {
            channel: Some(channel),
        },
        ClientEvent::Gap {
            source: GapSource::Inbox,
            ..
        } => Event::Gap { channel: None },
        ClientEvent::TokenWillExpire { .. } => Event::TokenWillExpire,
        ClientEvent::LocalInvitation {
            callee_id, news, ..
        } => Event::LocalInvitation {
            callee_id,
            news: from_local(news),
        },
        ClientEvent::RemoteInvitation {
            caller_id, news, ..
        } => from_remote(caller_id, news),
        ClientEvent::TokenExpired => Event::TokenExpired,
        ClientEvent::ChannelLost { .. } => return None,
    })
}
