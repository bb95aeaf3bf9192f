//! A user: a client of the SDK behind a network of its own, what it writes and what it reads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tidings_client::{
    Client, ClientEvent, ConnectionState, Events, GapSource, Message, PeerReceipt, SendOptions,
};
use tokio::time::{sleep, timeout};

use super::Run;
use super::judge::{Destination, Fate, Series};
use super::words;
use crate::Failure;
use crate::program::APP;
use crate::proxy::Proxy;
use crate::random::Random;

/// Calls of one user that may be open. The SDK holds 1,000 while the link is down.
const OPEN_MAX: usize = 100;
/// A call is answered within 10 s; more is the machine's own slowness.
const ANSWER_MAX: Duration = Duration::from_secs(13);
/// A login is repeated for so long: the longest times without a network (150 s) are shorter.
const LOGIN_PATIENCE: Duration = Duration::from_secs(240);

/// One user.
#[derive(Debug, Clone)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) client: Client,
    pub(super) proxy: Arc<Proxy>,
}

impl Party {
    /// A client that is not logged in yet, and its events.
    pub(super) async fn new(
        run: &Run,
        name: String,
        number: u64,
        server: SocketAddr,
    ) -> Result<(Self, Events), Failure> {
        let settings = run.settings;
        let seed = Random::new(settings.seed, number).next_u64();
        let proxy = Proxy::start(server, settings.weather, seed).await?;
        let (client, events) = Client::builder()
            .endpoint(format!("ws://{}", proxy.address()))
            .app_id(APP)
            .build()
            .map_err(|error| Failure::new(format!("no client: {error}")))?;
        let proxy = Arc::new(proxy);
        let party = Self {
            name,
            client,
            proxy,
        };
        Ok((party, events))
    }

    /// Logs in, over whatever the network does.
    pub(super) async fn log_in(&self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            match self.client.login(&self.name, None).await {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > LOGIN_PATIENCE => {
                    let name = &self.name;
                    return Err(Failure::new(format!("{name} cannot log in: {error}")));
                }
                Err(_) => sleep(Duration::from_millis(600)).await,
            }
        }
    }

    pub(super) async fn join(&self, channel: &str) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            match self.client.channel(channel).join().await {
                // The answer to an attempt that has reached the server may have come too late.
                Ok(()) => return Ok(()),
                Err(error) if error.code() == 6 => return Ok(()),
                Err(error) if began.elapsed() > LOGIN_PATIENCE => {
                    let name = &self.name;
                    return Err(Failure::new(format!("{name} cannot join: {error}")));
                }
                Err(_) => sleep(Duration::from_millis(2_600)).await,
            }
        }
    }
}

/// Tells the judge what a client is told, until the client is dropped.
pub(super) async fn read(run: Arc<Run>, party: Party, mut events: Events) {
    let name = party.name.clone();
    let proxy = Arc::clone(&party.proxy);
    // The events end with the last handle of the client: this task must not hold one.
    drop(party);
    while let Some(event) = events.next().await {
        match event {
            ClientEvent::PeerMessage { message, .. }
            | ClientEvent::ChannelMessage { message, .. } => {
                let Message::Text(text) = message else {
                    continue;
                };
                if let Some((series, number)) = words::read(&text) {
                    run.judge(|judge| judge.arrive(&name, &series, number));
                }
            }
            ClientEvent::MemberJoined { channel, user_id } => {
                run.judge(|judge| judge.see(&name, &channel, &user_id, true));
            }
            ClientEvent::MemberLeft { channel, user_id } => {
                run.judge(|judge| judge.see(&name, &channel, &user_id, false));
            }
            ClientEvent::Gap {
                source,
                cause,
                missed,
            } => run.judge(|judge| {
                // A little less than the window: the silence begins with the last byte, the window with the cut.
                if proxy.longest_silence() > Duration::from_secs(115) {
                    judge.excuse(&name);
                }
                let channel = match &source {
                    GapSource::Channel(channel) => Some(channel.as_str()),
                    GapSource::Inbox => None,
                };
                let told = format!("a gap in {source:?}, {cause:?}, {missed:?} missed");
                judge.gap(&name, channel, &told);
            }),
            ClientEvent::StateChanged {
                state: ConnectionState::Aborted,
                reason,
            } => run.judge(|judge| judge.abort(&name, reason.name())),
            _ => {}
        }
    }
}

/// Where a user may write.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) channel: String,
    /// Who is always on line.
    pub(super) peer: String,
    /// Who comes and goes.
    pub(super) recluse: String,
}

/// Writes until the load is over, and waits for the answers.
pub(super) async fn write(run: Arc<Run>, party: Party, places: Places, mut random: Random) {
    let mut open: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    let mut is_over = run.is_over.subscribe();
    while !*is_over.borrow() {
        let pause = random.between(1, 2 * run.settings.pace_ms);
        let mut pause = std::pin::pin!(sleep(Duration::from_millis(pause)));
        loop {
            tokio::select! {
                () = &mut pause => break,
                _ = is_over.wait_for(|is_over| *is_over) => break,
                Some(()) = open.next(), if !open.is_empty() => {}
            }
        }
        for _ in 0..random.between(1, 3) {
            if open.len() < OPEN_MAX {
                // Order: pushed in the order of the numbers, and first polled in it.
                open.push(send(&run, &party, &places, &mut random));
            }
        }
    }
    while open.next().await.is_some() {}
}

/// Numbers a message and hands it over when first polled.
fn send(
    run: &Arc<Run>,
    party: &Party,
    places: &Places,
    random: &mut Random,
) -> BoxFuture<'static, ()> {
    let to = match random.between(0, 9) {
        0..=4 => Destination::Channel(places.channel.clone()),
        5..=7 => Destination::Peer(places.peer.clone()),
        _ => Destination::Peer(places.recluse.clone()),
    };
    let padding = match random.percent(2) {
        true => random.between(2_000, 8_000),
        false => random.between(0, 200),
    };
    let is_offline = random.percent(70);
    let from = party.name.clone();
    let series = Series { from, to };
    let number = run.judge(|judge| judge.send(&series));
    let text = words::write(&series, number, usize::try_from(padding).unwrap_or(0));
    let (run, client, name) = (Arc::clone(run), party.client.clone(), party.name.clone());
    Box::pin(async move {
        let began = Instant::now();
        let fate = match &series.to {
            Destination::Channel(channel) => {
                let sent = client.channel(channel.as_str()).send(text).await;
                sent.map_or_else(|error| fate_of(error.outcome()), |()| Fate::Promised)
            }
            Destination::Peer(user) => {
                let options = match is_offline {
                    true => SendOptions::new().offline(),
                    false => SendOptions::new(),
                };
                match client.send_to_peer(user, text, options).await {
                    Ok(PeerReceipt::Received) => Fate::Promised,
                    Ok(PeerReceipt::NotReceived) if is_offline => Fate::Promised,
                    Ok(PeerReceipt::NotReceived) => Fate::Denied,
                    Err(error) => fate_of(error.outcome()),
                }
            }
        };
        let took = began.elapsed();
        run.judge(|judge| {
            judge.answer(&series, number, fate);
            if took > ANSWER_MAX {
                judge.late(&name, took.as_millis());
            }
        });
    })
}

/// Without an answer in time nothing is known; every other error says that the message never arrives.
fn fate_of(outcome: Option<tidings_wire::codes::Outcome>) -> Fate {
    match outcome {
        Some(tidings_wire::codes::Outcome::TimedOut) => Fate::Unknown,
        _ => Fate::Denied,
    }
}

/// A user who logs in and out all the time; at the end they are logged in.
pub(super) async fn come_and_go(
    run: Arc<Run>,
    party: Party,
    mut random: Random,
) -> Result<(), Failure> {
    let mut is_over = run.is_over.subscribe();
    loop {
        party.log_in().await?;
        let stay = Duration::from_millis(random.between(300, 10 * run.settings.pace_ms));
        if timeout(stay, is_over.wait_for(|is_over| *is_over))
            .await
            .is_ok()
        {
            return Ok(());
        }
        // Without a link it is done locally.
        let _ = party.client.logout().await;
        let away = Duration::from_millis(random.between(600, 10 * run.settings.pace_ms));
        let _ = timeout(away, is_over.wait_for(|is_over| *is_over)).await;
    }
}

/// Tells a client now and then that its network may be back, as a device would.
pub(super) async fn wake(run: Arc<Run>, party: Party, mut random: Random) {
    let mut is_over = run.is_over.subscribe();
    loop {
        let pause = Duration::from_millis(random.between(200, 6 * run.settings.pace_ms));
        if timeout(pause, is_over.wait_for(|is_over| *is_over))
            .await
            .is_ok()
        {
            return;
        }
        party.client.wake().await;
    }
}
