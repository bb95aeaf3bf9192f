//! Users who are online write to each other and to a channel; they stay over all kills.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tidings_client::{Client, ClientEvent, Events, Message, SendOptions};
use tokio::time::{MissedTickBehavior, interval};

use crate::Run;
use crate::judge::Text;
use crate::offline::{peer_text, take};

const USERS: usize = 3;
/// Between two rounds of a user: one message to the channel and one to a peer in each.
const PAUSE: Duration = Duration::from_millis(60);

fn name(user: usize) -> String {
    format!("chatter-{user}")
}

/// Runs the chat to the end of the load and judges what each has got.
pub async fn chat(run: Run) {
    let mut users = vec![];
    for user in 0..USERS {
        users.push(run.lasting(&name(user)).await);
    }
    join_all(users.iter().map(|(client, _)| join(client))).await;
    let talks = users.iter().enumerate();
    let talks = talks.map(|(user, (client, _))| talk(&run, client, user));
    let acknowledged = join_all(talks).await;
    for (user, (client, mut events)) in users.into_iter().enumerate() {
        let from = (user + USERS - 1) % USERS;
        let (mut peer, channel) = split(&mut events);
        let rest: Vec<Text> = (acknowledged[from].iter())
            .filter(|text| !peer.contains(text))
            .cloned()
            .collect();
        peer.extend(take(&mut events, &rest).await);
        run.report(|report| {
            report.chatted += acknowledged[from].len() as u64;
            report.judge(&name(user), &acknowledged[from], &peer);
            // A kill may swallow messages to a channel; none comes twice or out of order.
            report.judge(&format!("{} in the channel", name(user)), &[], &channel);
            assert!(
                senders(&channel).len() == USERS - 1,
                "{} heard only {:?}",
                name(user),
                senders(&channel)
            );
        });
        run.retire(client).await;
    }
}

fn senders(texts: &[Text]) -> BTreeSet<&str> {
    texts.iter().map(|text| text.sender.as_str()).collect()
}

async fn join(client: &Client) {
    let channel = client.channel("chat");
    for _ in 0..10 {
        if channel.join().await.is_ok() {
            return;
        }
    }
    panic!("the channel cannot be joined");
}

/// Writes to the channel and to the next user. Returns which messages to that user were
/// acknowledged, as received or as stored: either way it has got them, or gets them.
async fn talk(run: &Run, client: &Client, user: usize) -> Vec<Text> {
    let channel = client.channel("chat");
    let to = name((user + 1) % USERS);
    let mut acknowledged = vec![];
    let mut pace = interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1.. {
        if run.is_over() {
            break;
        }
        let text = Text::new(&name(user), number);
        let options = SendOptions::new().offline();
        let (to_peer, to_channel) = tokio::join!(
            client.send_to_peer(&to, text.to_string(), options),
            channel.send(text.to_string())
        );
        match to_peer {
            Ok(_) => acknowledged.push(text),
            Err(_) => run.report(|report| report.unanswered += 1),
        }
        if to_channel.is_err() {
            run.report(|report| report.unanswered += 1);
        }
        run.note_answer();
        pace.tick().await;
    }
    acknowledged
}

/// What has arrived so far: from peers, and in the channel.
fn split(events: &mut Events) -> (Vec<Text>, Vec<Text>) {
    let (mut peer, mut channel) = (vec![], vec![]);
    while let Some(event) = events.try_next() {
        match event {
            ClientEvent::ChannelMessage {
                message: Message::Text(text),
                ..
            } => channel.push(Text::parse(&text)),
            event => peer.extend(peer_text(event)),
        }
    }
    (peer, channel)
}
