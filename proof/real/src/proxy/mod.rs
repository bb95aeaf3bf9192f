//! A TCP proxy that breaks its connections by seed: cut after a number of bytes or at some moment,
//! closed or reset, half-open, delayed, narrow, read slowly, and with bytes of an old connection
//! that arrive after those of the new.
//!
//! Every connection draws its [`Plan`] from the seed and its number, so a run's faults repeat as
//! far as its clients do.

mod carry;
mod plan;
mod targets;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::carry::{Ended, Flow, carry};
pub use self::plan::{Direction, Ending, Outage, Plan, Trigger, Weather};
pub use self::targets::Targets;
use crate::random::Random;
use crate::{Failure, pace};

/// After one side has closed in order, the other gets this long to do the same.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// How long before a reset the client's bytes are held back that will arrive late.
const OVERTAKEN_WINDOW: Duration = Duration::from_millis(300);

/// What a proxy has done, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of connections carried.
    pub connections: u64,
    /// Connections refused because the network was away.
    pub refused: u64,
    /// Ended in order.
    pub closed: u64,
    /// Ended by a reset.
    pub reset: u64,
    /// Ended after a time of silence.
    pub half_open: u64,
    /// Ended with bytes that arrived late.
    pub overtaken: u64,
    /// Of all those, ended at a byte, not at a moment.
    pub at_a_byte: u64,
    /// Times without any network.
    pub outages: u64,
}

impl Tally {
    /// Connections that were ended by the proxy.
    pub fn cuts(&self) -> u64 {
        self.closed + self.reset + self.half_open + self.overtaken
    }

    /// Adds another proxy's counts.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.refused += other.refused;
        self.closed += other.closed;
        self.reset += other.reset;
        self.half_open += other.half_open;
        self.overtaken += other.overtaken;
        self.at_a_byte += other.at_a_byte;
        self.outages += other.outages;
    }
}

/// How long the server has heard nothing of a session.
#[derive(Debug)]
struct Silence {
    since: Instant,
    longest: Duration,
}

#[derive(Debug)]
struct Shared {
    targets: Targets,
    weather: Weather,
    seed: u64,
    /// Numbers the connections.
    count: AtomicU64,
    tally: Mutex<Tally>,
    silence: Mutex<Silence>,
    /// Nothing can be opened before.
    away_until: Mutex<Instant>,
    /// Whether there are faults. When it changes, every connection is reset.
    is_broken: watch::Sender<bool>,
    /// How often everything that was open has been reset.
    resets: watch::Sender<u64>,
}

/// The network of one client. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of this machine and carries each connection to one of `targets`,
    /// without faults yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Failure`] when there is no port.
    pub async fn start(
        targets: impl Into<Targets>,
        weather: Weather,
        seed: u64,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(Failure::of("no port for a proxy"))?;
        let address = listener.local_addr();
        let address = address.map_err(Failure::of("a port without an address"))?;
        let now = Instant::now();
        let shared = Arc::new(Shared {
            targets: targets.into(),
            weather,
            seed,
            count: AtomicU64::new(0),
            tally: Mutex::default(),
            silence: Mutex::new(Silence {
                since: now,
                longest: Duration::ZERO,
            }),
            away_until: Mutex::new(now),
            is_broken: watch::Sender::new(false),
            resets: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins the faults: what is open is reset, everything opened from now on has its plan.
    pub fn unleash(&self) {
        self.shared.is_broken.send_replace(true);
    }

    /// Ends all faults: what is open is reset, everything opened from now on is carried.
    pub fn heal(&self) {
        self.shared.is_broken.send_replace(false);
    }

    /// Resets everything that is open.
    pub fn cut(&self) {
        self.shared.resets.send_modify(|count| *count += 1);
    }

    /// What has been done.
    pub fn tally(&self) -> Tally {
        *lock(&self.shared.tally)
    }

    /// The longest time in which no byte of the client's session has reached the server. Bytes of a
    /// connection count when the server has answered its greeting: before, they keep no session
    /// alive.
    pub fn longest_silence(&self) -> Duration {
        let silence = lock(&self.shared.silence);
        silence.longest.max(silence.since.elapsed())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A panic elsewhere leaves counts as they were.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with the listener: so are the connections.
    let mut links = tokio::task::JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // Too many open files, which pass.
            pace(Duration::from_millis(20)).await;
            continue;
        };
        while links.try_join_next().is_some() {}
        if shared.is_broken() && Instant::now() < *lock(&shared.away_until) {
            lock(&shared.tally).refused += 1;
            reset(&client);
            continue;
        }
        let number = shared.count.fetch_add(1, Ordering::Relaxed);
        lock(&shared.tally).connections += 1;
        let plan = Plan::draw(&shared.weather, shared.seed, number);
        links.spawn(link(client, number, plan, Arc::clone(&shared)));
    }
}

/// What ends the server's answer to the handshake; frames follow.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// How far the server has come with its first answer: bytes of [`HEAD_END`] that have just passed,
/// and one more when a frame has begun.
#[derive(Debug, Default)]
struct Greeting(AtomicUsize);

impl Greeting {
    fn is_answered(&self) -> bool {
        self.0.load(Ordering::Relaxed) > HEAD_END.len()
    }

    /// Bytes of the server's have passed. Whether the first of its first frame is among them.
    fn take(&self, bytes: &[u8]) -> bool {
        if self.is_answered() {
            return false;
        }
        let passed = bytes.iter().fold(self.0.load(Ordering::Relaxed), step);
        self.0.store(passed, Ordering::Relaxed);
        self.is_answered()
    }
}

fn step(passed: usize, byte: &u8) -> usize {
    match HEAD_END.get(passed) {
        Some(next) if next == byte => passed + 1,
        Some(_) => usize::from(HEAD_END[0] == *byte),
        None => HEAD_END.len() + 1,
    }
}

/// Both directions of one connection, and what is done to them.
struct Link {
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
    up: watch::Sender<Flow>,
    down: watch::Sender<Flow>,
}

async fn link(client: TcpStream, number: u64, plan: Plan, shared: Arc<Shared>) {
    let chance = Random::new(shared.seed, number).next_u64();
    let Some(target) = shared.targets.pick(chance) else {
        return reset(&client);
    };
    let Ok(server) = TcpStream::connect(target).await else {
        return reset(&client);
    };
    // Small frames must not wait for others: the plan says what waits.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let link = Link {
        client: Arc::new(client),
        server: Arc::new(server),
        up: watch::Sender::new(Flow::Pass),
        down: watch::Sender::new(Flow::Pass),
    };
    let plan = shared.is_broken().then_some(plan);
    let (up, down) = plan.map_or_else(Default::default, |plan| (plan.up, plan.down));
    let greeting = Greeting::default();
    let note_up = |_: &[u8]| {
        if greeting.is_answered() {
            shared.hear();
        }
    };
    let note_down = |bytes: &[u8]| {
        if greeting.take(bytes) {
            shared.hear();
        }
    };
    let upward = carry(
        Arc::clone(&link.client),
        Arc::clone(&link.server),
        up,
        link.up.subscribe(),
        note_up,
    );
    let downward = carry(
        Arc::clone(&link.server),
        Arc::clone(&link.client),
        down,
        link.down.subscribe(),
        note_down,
    );
    let (up_ended, up_end) = watch::channel(None);
    let (down_ended, down_end) = watch::channel(None);
    let upward = async {
        up_ended.send_replace(Some(upward.await.ok()));
        std::future::pending::<()>().await;
    };
    let downward = async {
        down_ended.send_replace(Some(downward.await.ok()));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = upward => {}
        () = downward => {}
        () = supervise(&link, plan, &shared, up_end, down_end) => {}
    }
}

/// How a direction has ended: not yet, with an error, or so.
type End = watch::Receiver<Option<Option<Ended>>>;

/// Waits for what ends a connection and ends it; without a plan, its own sides do. When it returns,
/// both directions are dropped.
async fn supervise(link: &Link, plan: Option<Plan>, shared: &Shared, mut up: End, mut down: End) {
    let mut weather = shared.is_broken.subscribe();
    let mut resets = shared.resets.subscribe();
    let age = async {
        match plan.map(|plan| plan.trigger) {
            Some(Trigger::After(life)) => pace(life).await,
            _ => std::future::pending().await,
        }
    };
    // An error says that the proxy is dropped.
    let changing = weather.wait_for(|is_broken| *is_broken != plan.is_some());
    let ended = tokio::select! {
        () = age => Some(Ended::ByCount),
        _ = changing => None,
        _ = resets.changed() => None,
        ended = up.wait_for(Option::is_some) => ended.ok().and_then(|ended| ended.flatten()),
        ended = down.wait_for(Option::is_some) => ended.ok().and_then(|ended| ended.flatten()),
    };
    match (ended, plan) {
        (Some(Ended::ByCount), Some(plan)) => {
            shared.count_ending(&plan);
            end(link, plan.ending, shared).await;
            shared.stay_away(plan.outage);
        }
        (Some(Ended::ByItsWriter), _) => {
            // The other side may still write, and should close as well.
            let both = async {
                let _ = up.wait_for(Option::is_some).await;
                let _ = down.wait_for(Option::is_some).await;
            };
            let _ = tokio::time::timeout(CLOSE_WAIT, both).await;
        }
        (None | Some(Ended::ByCount), _) => {
            reset(&link.client);
            reset(&link.server);
        }
    }
}

/// Ends a connection as its plan says, sooner if the network heals.
async fn end(link: &Link, ending: Ending, shared: &Shared) {
    match ending {
        Ending::Close => {}
        Ending::Reset => {
            reset(&link.client);
            reset(&link.server);
        }
        Ending::HalfOpen { up, down, hold } => {
            for (is_silent, flow) in [(up, &link.up), (down, &link.down)] {
                if is_silent {
                    flow.send_replace(Flow::Swallow);
                }
            }
            shared.hold(hold).await;
            reset(&link.client);
            reset(&link.server);
        }
        Ending::Overtaken { hold } => {
            link.up.send_replace(Flow::Hold);
            pace(OVERTAKEN_WINDOW).await;
            // Not both directions of the socket: its last bytes are still to be read.
            let _ = SockRef::from(&*link.client).shutdown(std::net::Shutdown::Write);
            link.down.send_replace(Flow::Swallow);
            shared.hold(hold).await;
            link.up.send_replace(Flow::Pass);
            pace(OVERTAKEN_WINDOW).await;
        }
    }
}

/// Makes the end of a socket a reset.
fn reset(socket: &TcpStream) {
    // A socket that is gone already needs none.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

impl Shared {
    fn is_broken(&self) -> bool {
        *self.is_broken.borrow()
    }

    /// Waits, but not longer than faults last.
    async fn hold(&self, time: Duration) {
        let mut weather = self.is_broken.subscribe();
        tokio::select! {
            () = pace(time) => {}
            _ = weather.wait_for(|is_broken| !is_broken) => {}
        }
    }

    /// Notes that a byte of the client's session has reached the server.
    fn hear(&self) {
        let mut silence = lock(&self.silence);
        let now = Instant::now();
        silence.longest = silence.longest.max(now - silence.since);
        silence.since = now;
    }

    fn count_ending(&self, plan: &Plan) {
        let mut tally = lock(&self.tally);
        match plan.ending {
            Ending::Close => tally.closed += 1,
            Ending::Reset => tally.reset += 1,
            Ending::HalfOpen { .. } => tally.half_open += 1,
            Ending::Overtaken { .. } => tally.overtaken += 1,
        }
        if !matches!(plan.trigger, Trigger::After(_)) {
            tally.at_a_byte += 1;
        }
    }

    fn stay_away(&self, time: Duration) {
        if time.is_zero() || !self.is_broken() {
            return;
        }
        lock(&self.tally).outages += 1;
        *lock(&self.away_until) = Instant::now() + time;
    }
}
