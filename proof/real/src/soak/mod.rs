//! Clients of the Rust and the JavaScript SDK that write to each other over broken networks,
//! against the real program, and what the contract says of it: nothing lost, nothing twice, nothing
//! out of order, no gap without cause.
//!
//! Users live in groups. Those of a group share a channel, each writes to the next, and all write
//! to one who comes and goes. In every group users of the two SDKs take turns. Every user has a
//! network of their own ([`crate::proxy`]). At the end the networks heal, and everything promised
//! must arrive.

mod client;
mod judge;
mod node;
mod nodes;
mod party;
mod words;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use self::judge::{Destination, Fate, Judge, Series, Verdict};
use self::node::Node;
pub use self::nodes::{Act, run_on};
use self::party::{Party, Places};
use crate::program::{Program, Signal};
use crate::proxy::{Tally, Targets, Weather};
use crate::random::Random;
use crate::{Failure, pace};

/// After the networks have healed, everything has arrived within this time: the longest back-off of
/// a client (30 s) and the time of an open call (10 s).
const SETTLE: Duration = Duration::from_secs(45);

/// What a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long there are faults.
    pub duration: Duration,
    /// Decides the faults and what is written.
    pub seed: u64,
    /// Groups of users.
    pub groups: u32,
    /// Users of a group who stay, at least 2; one more comes and goes.
    pub group_size: u32,
    /// Whether every second user has the JavaScript SDK, which needs Node and the built SDK; else
    /// all have the Rust SDK.
    pub is_mixed: bool,
    /// How the networks misbehave.
    pub weather: Weather,
    /// The networks carry everything all the time.
    pub is_calm: bool,
    /// Planned restarts of the server, spread over the run.
    pub restarts: u32,
    /// Nobody is away for longer than the presence grace (30 s), so nobody may be seen to leave.
    pub all_stay: bool,
    /// Whether peer messages may be stored for a receiver who is away.
    pub stores: bool,
    /// Mean time between two bursts of a user, of two messages on average.
    pub pace_ms: u64,
    /// Times in which the server's process is stopped, if there are any.
    pub pauses: Option<Pauses>,
    /// Whether progress is printed once a minute.
    pub is_told: bool,
}

/// When the server's process is stopped and goes on: a machine that stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// From one to the next.
    pub every: Duration,
    /// How long one is. Beyond the presence grace users are gone, beyond the resume window messages
    /// are.
    pub length: Duration,
}

impl Settings {
    /// A run of this length: short ones with much in little time, long ones with less at once and
    /// longer absences.
    pub fn new(duration: Duration, seed: u64) -> Self {
        let is_short = duration < Duration::from_secs(60);
        Self {
            duration,
            seed,
            groups: 4,
            group_size: 6,
            is_mixed: true,
            weather: if is_short {
                Weather::GUSTS
            } else {
                Weather::STORM
            },
            is_calm: false,
            restarts: 0,
            stores: true,
            all_stay: is_short,
            pace_ms: if is_short { 300 } else { 1_200 },
            pauses: None,
            is_told: !is_short,
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How long it took, with the time to settle.
    pub took: Duration,
    /// Number of users.
    pub users: usize,
    /// Of them, users of the JavaScript SDK.
    pub of_javascript: usize,
    /// What the judge says.
    pub verdict: Verdict,
    /// What the networks did.
    pub tally: Tally,
    /// Number of planned restarts.
    pub restarts: u32,
    /// What the server wrote to its log: warnings and errors.
    pub log: String,
}

impl Report {
    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.verdict.is_good()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(
            f,
            "{} users, {} of them with the JavaScript SDK, {:.0} s, {} restarts: {} cuts ({} closed, {} reset, {} half-open, {} overtaken; {} of them at a byte), {} \
             connections, {} refused in {} outages",
            self.users,
            self.of_javascript,
            self.took.as_secs_f32(),
            self.restarts,
            tally.cuts(),
            tally.closed,
            tally.reset,
            tally.half_open,
            tally.overtaken,
            tally.at_a_byte,
            tally.connections,
            tally.refused,
            tally.outages
        )?;
        write!(f, "{}", self.verdict)?;
        if !self.is_good() {
            write!(f, "\nlog of the server:\n{}", self.log)?;
        }
        Ok(())
    }
}

/// What all parties share.
#[derive(Debug)]
struct Run {
    settings: Settings,
    judge: Mutex<Judge>,
    /// True when nobody is to write any more.
    is_over: watch::Sender<bool>,
    /// Holds the clients of the JavaScript SDK, if there are any.
    node: Option<Arc<Node>>,
}

impl Run {
    fn judge<T>(&self, note: impl FnOnce(&mut Judge) -> T) -> T {
        // A panic elsewhere fails the run anyway.
        note(&mut self.judge.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs it against a program of its own.
///
/// # Errors
/// [`Failure`] when the program or a client cannot be started. Broken promises are in the report.
pub async fn run(settings: &Settings) -> Result<Report, Failure> {
    let mut program = Program::start(&[])?;
    run_against(settings, &mut program).await
}

/// Runs it against this program.
///
/// # Errors
/// As [`run`].
pub async fn run_against(settings: &Settings, program: &mut Program) -> Result<Report, Failure> {
    let begun = Begun::begin(settings, &program.address().into()).await?;
    let end = Instant::now() + settings.duration;
    restart(settings, program).await?;
    tokio::select! {
        () = wait_out(&begun.run, &begun.parties, end) => {}
        failure = pause(settings.pauses, program) => return Err(failure),
    }
    if settings.pauses.is_some() {
        // It may be over in the middle of one.
        program.signal(Signal::Continue)?;
    }
    let mut report = begun.end().await?;
    report.restarts = settings.restarts;
    report.log = program.log();
    Ok(report)
}

/// A run whose users are there and write.
struct Begun {
    run: Arc<Run>,
    parties: Vec<Party>,
    load: Load,
    began: Instant,
}

impl Begun {
    /// Logs everybody in, lets them write, and begins the faults of their networks.
    async fn begin(settings: &Settings, servers: &Targets) -> Result<Self, Failure> {
        let began = Instant::now();
        let node = if settings.is_mixed {
            Some(Node::start()?)
        } else {
            None
        };
        let run = Arc::new(Run {
            settings: *settings,
            judge: Mutex::new(Judge::new(settings.all_stay)),
            is_over: watch::Sender::new(false),
            node,
        });
        let mut parties = vec![];
        let mut load = JoinSet::new();
        for group in 0..settings.groups {
            parties.extend(begin_group(&run, group, servers, &mut load).await?);
        }
        for party in parties.iter().filter(|_| !settings.is_calm) {
            party.proxy.unleash();
        }
        Ok(Self {
            run,
            parties,
            load,
            began,
        })
    }

    /// Ends the writing, heals the networks, waits for what was promised, and judges.
    async fn end(self) -> Result<Report, Failure> {
        let Self {
            run,
            parties,
            mut load,
            began,
        } = self;
        run.is_over.send_replace(true);
        for party in parties.iter().filter(|_| !run.settings.is_calm) {
            party.proxy.heal();
        }
        settle(&run, &parties, &mut load).await?;
        let mut tally = Tally::default();
        for party in &parties {
            tally.add(&party.proxy.tally());
        }
        Ok(Report {
            took: began.elapsed(),
            users: parties.len(),
            of_javascript: parties
                .iter()
                .filter(|party| party.is_of_javascript())
                .count(),
            verdict: run.judge(|judge| judge.verdict()),
            tally,
            restarts: 0,
            log: String::new(),
        })
    }
}

type Load = JoinSet<Result<(), Failure>>;

/// Makes a group's users, logs them in and lets them write.
async fn begin_group(
    run: &Arc<Run>,
    group: u32,
    servers: &Targets,
    load: &mut Load,
) -> Result<Vec<Party>, Failure> {
    let settings = run.settings;
    let size = settings.group_size;
    let name = |user: u32| format!("g{group}-u{}", user % size);
    let (channel, recluse) = (format!("g{group}"), format!("g{group}-away"));
    run.judge(|judge| judge.set_members(&channel, (0..size).map(name)));
    let mut parties = vec![];
    for user in 0..=size {
        let number = u64::from(group * (size + 1) + user);
        let name = if user == size {
            recluse.clone()
        } else {
            name(user)
        };
        // In turns that differ from group to group: the ways of being woken below do not.
        let node = run.node.as_ref().filter(|_| (group + user) % 2 == 1);
        let (party, events) = Party::new(run, name, number, servers, node).await?;
        tokio::spawn(party::read(Arc::clone(run), party.clone(), events));
        parties.push(party);
    }
    let members = &parties[..size as usize];
    let joined = members.iter().map(|party| async {
        party.log_in().await?;
        party.join(&channel).await
    });
    for result in futures_util::future::join_all(joined).await {
        result?;
    }
    for (user, party) in parties.iter().enumerate() {
        let chance = |use_of: u64| {
            let number = u64::from(group) * 1_000 + user as u64;
            Random::new(settings.seed, number * 8 + use_of)
        };
        let user = u32::try_from(user).expect("few users");
        if user == size {
            load.spawn(party::come_and_go(
                Arc::clone(run),
                party.clone(),
                chance(1),
            ));
            continue;
        }
        // The others' clients know only what their own back-off says.
        if user % 2 == 0 {
            tokio::spawn(party::wake(Arc::clone(run), party.clone(), chance(2)));
        }
        let places = Places {
            channel: channel.clone(),
            peer: name(user + 1),
            recluse: recluse.clone(),
        };
        let writing = party::write(Arc::clone(run), party.clone(), places, chance(3));
        load.spawn(async move {
            writing.await;
            Ok(())
        });
    }
    Ok(parties)
}

/// Stops the program again and again. Returns only when that fails.
async fn pause(pauses: Option<Pauses>, program: &Program) -> Failure {
    let Some(Pauses { every, length }) = pauses else {
        return std::future::pending().await;
    };
    loop {
        pace(every).await;
        let stopped = program.signal(Signal::Stop);
        pace(length).await;
        if let Err(failure) = stopped.and_then(|()| program.signal(Signal::Continue)) {
            return failure;
        }
    }
}

/// Restarts the program, as often as it is to be, spread over the run.
async fn restart(settings: &Settings, program: &mut Program) -> Result<(), Failure> {
    for _ in 0..settings.restarts {
        pace(settings.duration / (settings.restarts + 1)).await;
        tokio::task::block_in_place(|| program.restart())?;
    }
    Ok(())
}

/// Lets the load go on for its time.
async fn wait_out(run: &Run, parties: &[Party], end: Instant) {
    while Instant::now() < end {
        pace(Duration::from_secs(60).min(end - Instant::now())).await;
        if run.settings.is_told {
            let cuts: u64 = parties.iter().map(|party| party.proxy.tally().cuts()).sum();
            let verdict = run.judge(|judge| judge.verdict());
            println!(
                "{cuts} cuts, {} sent, {} arrived",
                verdict.sent, verdict.arrived
            );
        }
    }
}

/// Waits until everybody is back, every call is answered and everything promised is there, but no
/// longer than it may take.
async fn settle(run: &Run, parties: &[Party], load: &mut Load) -> Result<(), Failure> {
    let deadline = Instant::now() + SETTLE;
    let answers = async {
        while let Some(ended) = load.join_next().await {
            ended.map_err(|error| Failure::new(format!("a party has ended: {error}")))??;
        }
        Ok(())
    };
    let mut answers = std::pin::pin!(answers);
    let mut is_answered = false;
    while Instant::now() < deadline {
        for party in parties {
            // As a device's network would tell: the back-off has grown over the run.
            party.client.wake().await;
        }
        tokio::select! {
            ended = &mut answers, if !is_answered => {
                ended?;
                is_answered = true;
            }
            () = pace(Duration::from_millis(500)) => {
                if is_answered && run.judge(|judge| judge.missing()) == 0 {
                    return Ok(());
                }
            }
        }
    }
    if is_answered {
        Ok(())
    } else {
        Err(Failure::new("calls are not answered at the end of a run"))
    }
}
