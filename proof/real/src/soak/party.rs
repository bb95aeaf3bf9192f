//! A user: a client of the SDK behind a network of its own, what it writes and what it reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::Run;
use super::client::{AnyClient, AnyEvents, Heard, Refusal};
use super::judge::{Destination, Fate, Series};
use super::node::Node;
use super::words;
use crate::proxy::{Proxy, Targets};
use crate::random::Random;
use crate::{Failure, pace};

/// Calls of one user that may be open. The SDK holds 1,000 while the link is down.
const OPEN_MAX: usize = 100;
/// A call is answered within 10 s; more is the machine's own slowness.
const ANSWER_MAX: Duration = Duration::from_secs(13);
/// The error of a join that has been done before. Source: RTM 1.x.
const ALREADY_JOINED: u64 = 6;
/// A login is repeated for this long: the longest times without a network (150 s) are shorter.
const LOGIN_PATIENCE: Duration = Duration::from_secs(240);

/// One simulated user, with its client.
#[derive(Debug, Clone)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) client: AnyClient,
    pub(super) proxy: Arc<Proxy>,
}

impl Party {
    /// A client that is not logged in yet, and its events: of the JavaScript SDK where there is a
    /// process for it.
    pub(super) async fn new(
        run: &Run,
        name: String,
        number: u64,
        servers: &Targets,
        node: Option<&Arc<Node>>,
    ) -> Result<(Self, AnyEvents), Failure> {
        let settings = run.settings;
        let seed = Random::new(settings.seed, number).next_u64();
        let proxy = Proxy::start(servers.clone(), settings.weather, seed).await?;
        let (client, events) = AnyClient::new(&name, proxy.address(), node)?;
        let proxy = Arc::new(proxy);
        let party = Self {
            name,
            client,
            proxy,
        };
        Ok((party, events))
    }

    pub(super) fn is_of_javascript(&self) -> bool {
        matches!(self.client, AnyClient::Node(_))
    }

    /// Logs in, over whatever the network does.
    pub(super) async fn log_in(&self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            match self.client.log_in(&self.name).await {
                Ok(()) => return Ok(()),
                Err(error) if began.elapsed() > LOGIN_PATIENCE => {
                    let name = &self.name;
                    return Err(Failure::new(format!(
                        "{name} cannot log in: {}",
                        error.text
                    )));
                }
                Err(_) => pace(Duration::from_millis(600)).await,
            }
        }
    }

    pub(super) async fn join(&self, channel: &str) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            match self.client.join(channel).await {
                // The answer to an attempt that has reached the server may have come too late.
                Ok(()) => return Ok(()),
                Err(error) if error.code == ALREADY_JOINED => return Ok(()),
                Err(error) if began.elapsed() > LOGIN_PATIENCE => {
                    let name = &self.name;
                    return Err(Failure::new(format!("{name} cannot join: {}", error.text)));
                }
                Err(_) => pace(Duration::from_millis(2_600)).await,
            }
        }
    }
}

/// Tells the judge what a client is told, until the client is dropped.
pub(super) async fn read(run: Arc<Run>, party: Party, mut events: AnyEvents) {
    let name = party.name.clone();
    let proxy = Arc::clone(&party.proxy);
    // The events end with the last handle of the client: this task must not hold one.
    drop(party);
    while let Some(heard) = events.next().await {
        match heard {
            Heard::Text(text) => {
                if let Some((series, number)) = words::read(&text) {
                    run.judge(|judge| judge.arrive(&name, &series, number));
                }
            }
            Heard::Member {
                channel,
                user,
                is_there,
            } => run.judge(|judge| judge.see(&name, &channel, &user, is_there)),
            Heard::Gap { channel, told } => run.judge(|judge| {
                // A little less than the window: the silence begins with the last byte, the window
                // with the cut.
                if proxy.longest_silence() > Duration::from_secs(115) {
                    judge.excuse(&name);
                }
                judge.gap(&name, channel.as_deref(), &told);
            }),
            Heard::Aborted(reason) => run.judge(|judge| judge.abort(&name, &reason)),
        }
    }
    // At the end of a run nobody asks any more.
    run.judge(|judge| judge.abort(&name, "its events have ended"));
}

/// Where a user may write.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) channel: String,
    /// Who is always online.
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
        let mut pause = std::pin::pin!(pace(Duration::from_millis(pause)));
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
    let padding = if random.percent(2) {
        random.between(2_000, 8_000)
    } else {
        random.between(0, 200)
    };
    let is_offline = random.percent(70) && run.settings.stores;
    let from = party.name.clone();
    let series = Series { from, to };
    let number = run.judge(|judge| judge.send(&series));
    let text = words::write(&series, number, usize::try_from(padding).unwrap_or(0));
    let (run, client, name) = (Arc::clone(run), party.client.clone(), party.name.clone());
    Box::pin(async move {
        let began = Instant::now();
        let fate = match &series.to {
            Destination::Channel(channel) => {
                let sent = client.send_to_channel(channel, text).await;
                sent.map_or_else(|refusal| fate_of(&refusal), |()| Fate::Promised)
            }
            Destination::Peer(user) => match client.send_to_peer(user, text, is_offline).await {
                Ok(has_received) if has_received || is_offline => Fate::Promised,
                Ok(_) => Fate::Denied,
                Err(refusal) => fate_of(&refusal),
            },
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

/// Without an answer in time nothing is known; every other error says that the message never
/// arrives.
fn fate_of(refusal: &Refusal) -> Fate {
    if refusal.is_unanswered {
        Fate::Unknown
    } else {
        Fate::Denied
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
        party.client.log_out().await;
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
