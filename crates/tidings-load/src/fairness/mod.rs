//! Fairness: is anybody's traffic somebody else's trouble (contract SEC-1, `limit.fair`, `slow.isolated`)?
//!
//! Two processes of the real program run side by side, each with one hub and two apps. In each of them a pair of users of
//! one app writes 40 messages a second, people log in, and a load balancer asks for health. Attackers of the other
//! app, or strangers, go at the one process and then at the other; what the attacked process did to its victims is held
//! against what the other one did at the same time, on the same machine under the same load.
//!
//! Reading order: `attacks`, `victims`, `world`; `door` and `field` are what attackers are made of; `page` writes it down.

mod attacks;
mod door;
mod field;
mod page;
mod victims;
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use attacks::{ATTACKS, Attack};
use field::Field;
use victims::{Pair, Seen};
use world::Server;

/// Preparations take at most so long: 1,500 logins among them.
const PREPARE_MAX: Duration = Duration::from_secs(60);

/// After an attack, before the memory is read again.
const SETTLE: Duration = Duration::from_secs(2);

/// An attack runs for this long before anything is measured: what is measured is how things are, not how they begin.
const BEFORE: Duration = Duration::from_millis(500);

/// Settings of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Run only attacks whose name begins so; repeat it for more
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How long each process is attacked
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Show the attacks and run none
    #[arg(long)]
    list: bool,
    /// The program
    #[arg(long, default_value = "target/release/tidings")]
    tidings: PathBuf,
    /// What the program is told besides; repeat it
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    with: Vec<String>,
    /// Where the results are kept, a line of JSON for each attack; the page is made of it
    #[arg(long, default_value = "target/fairness.jsonl")]
    json: PathBuf,
    /// The page that is made when all attacks have run
    #[arg(long, default_value = "docs/fairness.md")]
    page: PathBuf,
    /// Make the page of what is there, and run nothing
    #[arg(long)]
    report: bool,
    /// The commit that the page names
    #[arg(long, default_value = "")]
    commit: String,
}

/// What came of one attack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) seconds: u64,
    /// Of the attacked processes, and of the others at the same time.
    pub(crate) attacked: Figures,
    pub(crate) control: Figures,
    /// Memory of the process that was attacked first, in bytes.
    pub(crate) memory_before: u64,
    pub(crate) memory_during: u64,
    pub(crate) memory_after: u64,
    /// What the attackers did: messages, bytes, most connections at once, ends by their names.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) held: u64,
    pub(crate) ends: Vec<(String, u64)>,
    /// The attack could not be prepared, or a server ended.
    pub(crate) failure: Option<String>,
}

/// What victims met.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) messages: usize,
    pub(crate) missing: usize,
    pub(crate) cut: Vec<String>,
    pub(crate) logins: usize,
    pub(crate) in_time: usize,
    pub(crate) not_in_time: Vec<String>,
    pub(crate) health: usize,
    pub(crate) healthy: usize,
}

impl From<Seen> for Figures {
    fn from(seen: Seen) -> Self {
        Self {
            p50_ms: seen.percentile_ms(50.0),
            p99_ms: seen.percentile_ms(99.0),
            messages: seen.micros.len(),
            missing: seen.missing,
            cut: seen.cut,
            logins: seen.logins,
            in_time: seen.in_time,
            not_in_time: seen.not_in_time,
            health: seen.health,
            healthy: seen.healthy,
        }
    }
}

impl Outcome {
    /// What is not as promised; empty = nothing.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.failure.iter().cloned().collect();
        let Figures { p99_ms, .. } = self.attacked;
        let allowed = (2.0 * self.control.p99_ms).max(self.control.p99_ms + 2.0);
        if p99_ms > allowed {
            faults.push(format!("p99 {p99_ms:.1} ms, {allowed:.1} allowed"));
        }
        let Figures { in_time, logins, .. } = self.attacked;
        if in_time * 100 < logins * 99 {
            faults.push(format!("{in_time} of {logins} logins in time"));
        }
        let Figures { healthy, health, .. } = self.attacked;
        if healthy * 100 < health * 99 {
            faults.push(format!("{healthy} of {health} health checks good"));
        }
        if !self.attacked.cut.is_empty() {
            faults.push(format!("victims cut: {}", self.attacked.cut.join(", ")));
        }
        faults
    }
}

/// Runs the attacks and makes the page.
///
/// # Errors
/// There is no such attack, a server does not start, or a promise is not kept.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    if settings.list {
        for attack in ATTACKS {
            println!("{:24} {}", attack.name, attack.what);
        }
        return Ok(());
    }
    if settings.report {
        return page::write(&settings.page, &settings.json, &settings.commit);
    }
    let is_wanted = |attack: &&Attack| {
        let mut only = settings.only.iter();
        settings.only.is_empty() || only.any(|begin| attack.name.starts_with(begin.as_str()))
    };
    let wanted: Vec<&Attack> = ATTACKS.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        bail!("no attack begins with {:?}; --list shows them", settings.only);
    }
    if settings.only.is_empty() {
        // A whole run begins anew.
        page::begin(&settings.json)?;
    }
    let mut failed = 0;
    for attack in wanted {
        let outcome = measure(settings, attack)?;
        let faults = outcome.faults();
        failed += usize::from(!faults.is_empty());
        println!("{}", page::line(&outcome, &faults));
        page::keep(&settings.json, &outcome)?;
    }
    if settings.only.is_empty() {
        page::write(&settings.page, &settings.json, &settings.commit)?;
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} attacks were somebody else's trouble"),
    }
}

fn runtime() -> Result<Runtime> {
    // A thread of its own for each part: nobody waits for another's work but on the machine's cores.
    let mut builder = Builder::new_multi_thread();
    Ok(builder.worker_threads(1).enable_all().build()?)
}

/// Runs one attack, at the one process and then at the other.
fn measure(settings: &Settings, attack: &Attack) -> Result<Outcome> {
    let start = || Server::start(&settings.tidings, attack.over, &settings.with);
    let mut servers = [start()?, start()?];
    let (victims, people) = (runtime()?, runtime()?);
    let mut pairs = Vec::new();
    for server in &servers {
        pairs.push(victims.block_on(Pair::begin(&server.door))?);
    }
    let mut outcome = Outcome {
        name: attack.name.to_owned(),
        seconds: settings.seconds,
        attacked: Figures::default(),
        control: Figures::default(),
        memory_before: servers[0].memory(),
        memory_during: 0,
        memory_after: 0,
        messages: 0,
        bytes: 0,
        held: 0,
        ends: Vec::new(),
        failure: None,
    };
    let (mut attacked, mut control) = (Seen::default(), Seen::default());
    for at in [0, 1] {
        let field = Field::new(servers[at].door.clone());
        let watch = servers[at].watch();
        let attackers = runtime()?;
        let task = attackers.spawn((attack.run)(field.clone()));
        let ready = async { tokio::time::timeout(PREPARE_MAX, field.until_ready()).await };
        if attackers.block_on(ready).is_err() {
            outcome.failure = Some("could not be prepared".to_owned());
        }
        std::thread::sleep(BEFORE);
        let (from, seconds) = (Instant::now(), Duration::from_secs(settings.seconds));
        let until = from + seconds;
        let others = servers.iter().map(|server| {
            let door = server.door.clone();
            (
                people.spawn(victims::log_people_in(door.clone(), until)),
                people.spawn(victims::ask_for_health(door, until)),
            )
        });
        let others: Vec<_> = others.collect();
        std::thread::sleep(seconds);
        // Those who are under way meet the attack still.
        for (which, (logins, health)) in others.into_iter().enumerate() {
            let seen = if which == at { &mut attacked } else { &mut control };
            seen.add(people.block_on(logins)?);
            seen.add(people.block_on(health)?);
            seen.add(victims.block_on(pairs[which].between(from, until)));
        }
        if task.is_finished() {
            outcome.failure = Some(format!("the attack ended: {:?}", attackers.block_on(task)));
        }
        attackers.shutdown_background();
        let most = watch.stop();
        std::thread::sleep(SETTLE);
        if at == 0 {
            outcome.memory_during = most;
            outcome.memory_after = servers[0].memory();
        }
        note(&mut outcome, &field);
    }
    if let Some(at) = servers.iter_mut().position(|server| !server.is_running()) {
        outcome.failure = Some(format!("server {at} has ended"));
    }
    outcome.attacked = attacked.into();
    outcome.control = control.into();
    Ok(outcome)
}

fn note(outcome: &mut Outcome, field: &Field) {
    use std::sync::atomic::Ordering::Relaxed;
    outcome.messages += field.done.load(Relaxed);
    outcome.bytes += field.bytes.load(Relaxed);
    outcome.held = outcome.held.max(field.held_max());
    for (end, count) in field.ends() {
        let end = end.to_string();
        match outcome.ends.iter_mut().find(|(name, _)| *name == end) {
            Some((_, sum)) => *sum += count,
            None => outcome.ends.push((end, count)),
        }
    }
}
