//! Pairs of senders write to users who are off line; each user logs in when its two senders have
//! gone on to the next.

use std::time::Duration;

use futures_util::future::join_all;
use tidings_client::{Client, ClientEvent, Events, Message, PeerReceipt, SendOptions};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::Run;
use crate::judge::Text;

/// Messages of one sender to one receiver. Two senders stay below the 200 that an inbox keeps,
/// those without an acknowledgement included.
const PER_RECEIVER: u64 = 90;
/// Calls of one sender at once: a kill finds some of them on their way.
const AT_ONCE: u64 = 9;
/// Between two batches of a sender: 45 messages in 1 s, and the limit is 180 in 3 s.
const BATCH_PAUSE: Duration = Duration::from_millis(200);
/// A receiver has everything within this time, kills included.
const ARRIVAL_MAX: Duration = Duration::from_secs(40);
/// What is sent twice comes within this time after the rest.
const QUIET: Duration = Duration::from_secs(1);

/// Writes to one receiver after the other; each is judged while its pair goes on.
pub async fn send_and_collect(run: Run, pair: usize) {
    let names = [format!("sender-{pair}-a"), format!("sender-{pair}-b")];
    let mut clients = vec![];
    for name in &names {
        // An application that wants no events drops them.
        clients.push(run.lasting(name).await.0);
    }
    let mut receivers = JoinSet::new();
    for number in 0.. {
        let receiver = format!("receiver-{pair}-{number}");
        let sent = clients.iter().zip(&names).map(|(client, name)| {
            let first = number * PER_RECEIVER;
            send(&run, client, name, &receiver, first)
        });
        let acknowledged = join_all(sent).await.concat();
        receivers.spawn(collect(run.clone(), receiver, acknowledged));
        if run.is_over() {
            break;
        }
    }
    while let Some(ended) = receivers.join_next().await {
        ended.expect("no receiver has panicked");
    }
    for client in clients {
        run.retire(client).await;
    }
}

/// What of one sender's messages to one receiver was acknowledged as stored.
async fn send(run: &Run, client: &Client, name: &str, receiver: &str, first: u64) -> Vec<Text> {
    let mut acknowledged = vec![];
    let mut number = first;
    let mut pace = interval(BATCH_PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while number < first + PER_RECEIVER && !run.is_over() {
        pace.tick().await;
        let texts: Vec<Text> = (number..number + AT_ONCE)
            .map(|number| Text::new(name, number))
            .collect();
        number += AT_ONCE;
        let calls = texts.iter().map(|text| {
            let options = SendOptions::new().offline();
            client.send_to_peer(receiver, text.to_string(), options)
        });
        for (text, result) in texts.iter().zip(join_all(calls).await) {
            match result {
                Ok(receipt) => {
                    assert_eq!(receipt, PeerReceipt::NotReceived, "{receiver} is not there");
                    acknowledged.push(text.clone());
                    run.note_answer();
                }
                Err(_) => run.report(|report| report.unanswered += 1),
            }
        }
    }
    acknowledged
}

/// Logs in as a receiver, takes what is there, over kills too, and judges it.
async fn collect(run: Run, receiver: String, acknowledged: Vec<Text>) {
    let (client, mut events) = run.lasting(&receiver).await;
    let arrived = take(&mut events, &acknowledged).await;
    run.retire(client).await;
    run.report(|report| {
        report.stored += acknowledged.len() as u64;
        report.judge(&receiver, &acknowledged, &arrived);
    });
}

/// Everything that comes until all of `wanted` is there and a while has been quiet, or the time is
/// over.
pub async fn take(events: &mut Events, wanted: &[Text]) -> Vec<Text> {
    let mut arrived = vec![];
    let mut missing: Vec<&Text> = wanted.iter().collect();
    let deadline = Instant::now() + ARRIVAL_MAX;
    while !missing.is_empty() {
        let Ok(Some(event)) = timeout_at(deadline, events.next()).await else {
            return arrived;
        };
        if let Some(text) = peer_text(event) {
            missing.retain(|wanted| **wanted != text);
            arrived.push(text);
        }
    }
    while let Ok(Some(event)) = timeout(QUIET, events.next()).await {
        arrived.extend(peer_text(event));
    }
    arrived
}

/// The text of a message from a peer; None for any other event.
pub fn peer_text(event: ClientEvent) -> Option<Text> {
    match event {
        ClientEvent::PeerMessage {
            message: Message::Text(text),
            ..
        } => Some(Text::parse(&text)),
        _ => None,
    }
}
