//! The program is killed (`kill -9`) under load, again and again: what it has acknowledged as
//! durable is there.

#![allow(unreachable_pub, reason = "modules of a test")]

mod events;

#[allow(dead_code, reason = "no tokens are needed here")]
#[path = "../scenarios/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use server::{APP, Server};
use tidings_client::{
    Attribute, AttributeWrite, Client, ClientEvent, ConnectionState, Events, Message, Notify,
    PeerReceipt, SendOptions,
};
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, timeout};

/// Kills in one run, unless `TIDINGS_KILLS` says otherwise.
const KILLS: u32 = 50;
const SENDERS: usize = 6;
/// A kill comes after `MESSAGES_MIN` acknowledged messages and up to `MESSAGES_SPREAD` more.
const MESSAGES_MIN: u64 = 10;
const MESSAGES_SPREAD: u64 = 100;
/// Messages to one receiver: below the 200 that an inbox keeps, those without an answer included.
const PER_RECEIVER: usize = 120;
/// Between two attribute writes of one sender: the limit is 10 in 5 s.
const ATTRIBUTE_PAUSE: Duration = Duration::from_millis(600);

/// What one sender was told is durable.
#[derive(Default)]
struct Acknowledged {
    /// (receiver, number of the message) in the order of the calls.
    stored: Vec<(String, usize)>,
    /// Value of its channel attribute.
    channel_attribute: usize,
    /// Value of its user attribute.
    user_attribute: usize,
}

fn client(endpoint: &str) -> (Client, Events) {
    Client::builder()
        .endpoint(endpoint)
        .app_id(APP)
        .build()
        .expect("a good endpoint and app id")
}

/// Sends to users who are off line and writes attributes until it is told to stop.
async fn send(
    client: Client,
    sender: usize,
    stop: Arc<AtomicBool>,
    progress: Progress,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let attributes = client.channel(format!("attributes-{sender}"));
    let mut next_attribute = Instant::now();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let receiver = format!("receiver-{sender}-{}", number / PER_RECEIVER);
        let text = format!("{sender}:{number}");
        let sent = client
            .send_to_peer(&receiver, text, SendOptions::new().offline())
            .await;
        if sent.is_ok_and(|receipt| receipt == PeerReceipt::NotReceived) {
            acknowledged.stored.push((receiver, number));
            progress.send_modify(|done| *done += 1);
        }
        if Instant::now() >= next_attribute {
            next_attribute = Instant::now() + ATTRIBUTE_PAUSE;
            let entry = || [Attribute::new("number", number.to_string())];
            let merge = AttributeWrite::Merge;
            if attributes
                .write_attributes(merge, entry(), Notify::Nobody)
                .await
                .is_ok()
            {
                acknowledged.channel_attribute = number;
            }
            if client.write_attributes(merge, entry()).await.is_ok() {
                acknowledged.user_attribute = number;
            }
        }
    }
    acknowledged
}

/// Waits until all clients are connected again, telling them to try: otherwise the back-off would
/// grow with every kill.
async fn come_back(clients: &mut [(Client, Events)]) {
    let until = Instant::now() + Duration::from_secs(20);
    for (client, events) in clients {
        while client.state() != ConnectionState::Connected {
            assert!(
                Instant::now() < until,
                "a client has not come back within 20 s"
            );
            client.wake().await;
            // The next change of its state, unless its attempt was too early.
            let _ = timeout(Duration::from_millis(50), events.next()).await;
        }
    }
}

/// How much has been acknowledged, by all senders together.
type Progress = Arc<watch::Sender<u64>>;

/// Waits until `more` messages have been acknowledged. Without progress it ends after two seconds:
/// the kill then falls into the time in which clients come back.
async fn progress(progress: &Progress, more: u64) {
    let mut seen = progress.subscribe();
    let wanted = *seen.borrow() + more;
    let _ = timeout(
        Duration::from_secs(2),
        seen.wait_for(|done| *done >= wanted),
    )
    .await;
}

/// Everything that a receiver finds at its login, until it has `count` of it or waits in vain.
async fn receive(endpoint: &str, receiver: &str, wanted: &[usize]) -> Vec<usize> {
    let (client, mut events) = client(endpoint);
    client
        .login(receiver, None)
        .await
        .expect("the receiver logs in");
    let mut numbers: Vec<usize> = Vec::new();
    // What was stored without its sender's knowing may come, too: hence a while without news at the
    // end.
    while let Ok(Some(event)) = {
        let has_all = wanted.iter().all(|number| numbers.contains(number));
        timeout(
            Duration::from_millis(if has_all { 500 } else { 10_000 }),
            events.next(),
        )
        .await
    } {
        if let ClientEvent::PeerMessage {
            message: Message::Text(text),
            ..
        } = event
        {
            let number = text.rsplit(':').next().expect("sender:number");
            numbers.push(number.parse().expect("a number"));
        }
    }
    client.logout().await.expect("the receiver logs out");
    numbers
}

fn value(attributes: &[Attribute]) -> usize {
    let entry = attributes.iter().find(|entry| entry.key == "number");
    entry.map_or(0, |entry| entry.value.parse().expect("a number"))
}

/// Reads the attributes of a sender: none is older than what was acknowledged last.
async fn check_attributes(
    endpoint: &str,
    sender: usize,
    acknowledged: &Acknowledged,
    problems: &mut Vec<String>,
) {
    let (reader, _events) = client(endpoint);
    let login = reader.login("reader", None).await;
    login.expect("the reader logs in");
    let all: [&str; 0] = [];
    let channel = reader.channel(format!("attributes-{sender}"));
    let read = channel.read_attributes(all).await;
    let of_channel = value(&read.expect("channel attributes are read"));
    let read = reader
        .read_attributes(&format!("sender-{sender}"), all)
        .await;
    let of_user = value(&read.expect("user attributes are read"));
    for (what, is, expected) in [
        ("channel", of_channel, acknowledged.channel_attribute),
        ("user", of_user, acknowledged.user_attribute),
    ] {
        if is < expected {
            problems.push(format!(
                "sender {sender}: the {what} attribute is {is}, not {expected}"
            ));
        }
    }
    reader.logout().await.expect("the reader logs out");
}

/// Logs each receiver in: everything that was acknowledged is there, once and in order.
async fn check_messages(endpoint: &str, stored: Vec<(String, usize)>, problems: &mut Vec<String>) {
    let mut by_receiver: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (receiver, number) in stored {
        by_receiver.entry(receiver).or_default().push(number);
    }
    let mut receivers = JoinSet::new();
    for (receiver, wanted) in by_receiver {
        let endpoint = endpoint.to_owned();
        receivers.spawn(async move {
            let got = receive(&endpoint, &receiver, &wanted).await;
            (receiver, wanted, got)
        });
    }
    for (receiver, wanted, got) in receivers.join_all().await {
        if !got.is_sorted_by(|a, b| a < b) {
            problems.push(format!("{receiver}: doubled or out of order: {got:?}"));
        }
        let lost: Vec<_> = wanted
            .iter()
            .filter(|number| !got.contains(number))
            .collect();
        if !lost.is_empty() {
            problems.push(format!("{receiver}: acknowledged and lost: {lost:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_program_is_killed_under_load() {
    let kills = std::env::var("TIDINGS_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok());
    let kills = kills.unwrap_or(KILLS);
    let mut random = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |now| now.as_nanos()) as u64;
    let mut server = block_in_place(|| Server::start(false));
    let endpoint = server.endpoint();
    let stop = Arc::new(AtomicBool::new(false));
    let progress = Progress::default();
    let mut senders = JoinSet::new();
    let mut watched = Vec::new();
    for sender in 0..SENDERS {
        let (client, events) = client(&endpoint);
        client
            .login(&format!("sender-{sender}"), None)
            .await
            .expect("the sender logs in");
        watched.push((client.clone(), events));
        let stop = Arc::clone(&stop);
        let progress = Arc::clone(&progress);
        senders.spawn(async move { (sender, send(client, sender, stop, progress).await) });
    }
    for _ in 0..kills {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self::progress(&progress, MESSAGES_MIN + (random >> 33) % MESSAGES_SPREAD).await;
        block_in_place(|| {
            server.restart();
            server.wait_until_ready();
        });
        come_back(&mut watched).await;
    }
    stop.store(true, Ordering::SeqCst);
    let (mut messages, mut problems) = (0, Vec::new());
    for (sender, acknowledged) in senders.join_all().await {
        messages += acknowledged.stored.len();
        check_attributes(&endpoint, sender, &acknowledged, &mut problems).await;
        check_messages(&endpoint, acknowledged.stored, &mut problems).await;
    }
    // Its clients are still there: they have logins when it is killed for the last time.
    block_in_place(|| {
        server.restart();
        server.wait_until_ready();
    });
    let logins = block_in_place(|| events::check(&server.end(), &mut problems));
    println!("{logins} logins, each with its logout, if there is no problem");
    assert!(
        logins > usize::try_from(kills).expect("a small number"),
        "the stream of events lacks logins"
    );
    println!(
        "{kills} kills, {messages} stored messages acknowledged, {} problems",
        problems.len()
    );
    assert!(
        messages > usize::try_from(kills).expect("a small number"),
        "there was no load"
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
