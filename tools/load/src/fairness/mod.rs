//! Fairness: does anybody's traffic affect others (contract SEC-1, `limit.fair`, `slow.isolated`)?
//!
//! Two processes of the real program run side by side, each with one hub and two apps. In each of
//! them a pair of users of one app writes 40 messages a second, people log in, and a load balancer
//! checks health. Attackers from the other app, or strangers, attack first one process and then the
//! other; what the victims in the attacked process experience is compared with what those in the
//! other process experience at the same time, on the same machine under the same load.
//!
//! Reading order: `attacks`, `victims`, `world`; `door` and `field` are the building blocks of
//! attackers; `page` writes the results.

mod attacks;
mod cores;
pub(crate) mod door;
mod field;
mod memory;
mod page;
mod victims;
mod world;

use std::cmp::Ordering;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use attacks::{ATTACKS, Attack};
use cores::Cores;
use door::End;
use field::Field;
use page::Line;
use victims::{Pair, Seen};
use world::Server;

/// Longest time for preparations, which include 1,500 logins.
const PREPARE_MAX: Duration = Duration::from_secs(60);

/// Wait after the first attack, before memory is read again and the other process is attacked.
const SETTLE: Duration = Duration::from_secs(2);

/// An attack runs for this long before anything is measured: the steady state is measured, not the
/// start.
const BEFORE: Duration = Duration::from_millis(500);

/// The name by which `--only` has the memory of strangers measured.
const MEMORY: &str = "memory";

/// Settings of the benchmark.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Run only attacks whose name begins so; repeat it for more
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How long each process is attacked
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Measure each attack once, whatever comes of it
    #[arg(long)]
    once: bool,
    /// Show the attacks and run none
    #[arg(long)]
    list: bool,
    /// The program [default: `tidings` beside this one]
    #[arg(long)]
    tidings: Option<PathBuf>,
    /// What the program is told besides; repeat it
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    with: Vec<String>,
    /// Where the results are kept, a line of JSON for each attack; the page is made of it
    #[arg(long, default_value = "target/fairness.jsonl")]
    json: PathBuf,
    /// The page that is made when all attacks have run
    #[arg(long, default_value = "docs/proven/fairness.md")]
    page: PathBuf,
    /// Make the page of what is there, and run nothing
    #[arg(long)]
    report: bool,
    /// The commit that the page names
    #[arg(long, default_value = "")]
    commit: String,
}

impl Settings {
    fn program(&self) -> Result<PathBuf> {
        Ok(match &self.tidings {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("tidings"),
        })
    }
}

/// The result of one attack.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) seconds: u64,
    /// The attacked processes, and the others at the same time.
    pub(crate) attacked: Figures,
    pub(crate) control: Figures,
    /// Memory of the process that was attacked first, in bytes.
    pub(crate) memory_before: u64,
    pub(crate) memory_during: u64,
    pub(crate) memory_after: u64,
    /// What the attackers did: messages, bytes, most connections at once, how connections ended.
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) held: u64,
    pub(crate) ends: Vec<(String, u64)>,
    /// Why the attack could not be prepared, or that a server ended.
    pub(crate) failure: Option<String>,
    /// How often it was measured; of several measurements this is the median.
    pub(crate) times: usize,
    /// Whether it was a development build.
    pub(crate) is_development: bool,
}

/// What victims experienced.
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
    pub(crate) uploads: usize,
    pub(crate) uploaded: usize,
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
            uploads: seen.uploads,
            uploaded: seen.uploaded,
        }
    }
}

impl Outcome {
    fn of(name: &str, seconds: u64) -> Self {
        Self {
            name: name.to_owned(),
            seconds,
            // Whether the program is a development build, like this one.
            is_development: cfg!(debug_assertions),
            ..Self::default()
        }
    }

    /// What violates a promise; empty = nothing.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.failure.iter().cloned().collect();
        let Figures { p99_ms, .. } = self.attacked;
        let allowed = self.allowed_ms();
        if p99_ms > allowed {
            faults.push(format!("p99 {p99_ms:.1} ms, {allowed:.1} allowed"));
        }
        let Figures {
            in_time, logins, ..
        } = self.attacked;
        if is_less(in_time, logins, self.control.in_time, self.control.logins) {
            faults.push(format!("{in_time} of {logins} logins in time"));
        }
        let Figures {
            healthy, health, ..
        } = self.attacked;
        if is_less(healthy, health, self.control.healthy, self.control.health) {
            faults.push(format!("{healthy} of {health} health checks good"));
        }
        let Figures {
            uploaded, uploads, ..
        } = self.attacked;
        let Figures {
            uploaded: others_up,
            uploads: others,
            ..
        } = self.control;
        if is_less(uploaded, uploads, others_up, others) {
            faults.push(format!("{uploaded} of {uploads} files in time"));
        }
        if !self.attacked.cut.is_empty() {
            faults.push(format!("victims cut: {}", self.attacked.cut.join(", ")));
        }
        faults
    }

    /// The promised p99 of the victims.
    fn allowed_ms(&self) -> f64 {
        (2.0 * self.control.p99_ms).max(self.control.p99_ms + 2.0)
    }

    /// How bad a result is, to compare measurements of one attack: first losses, then delays.
    fn badness(&self) -> (bool, usize, f64) {
        let Figures {
            in_time, logins, ..
        } = self.attacked;
        let is_broken = self.failure.is_some() || !self.attacked.cut.is_empty();
        // In whole per cent, so that a login or two do not outweigh everything else.
        let late = if is_less(in_time, logins, self.control.in_time, self.control.logins) {
            (logins - in_time) * 100 / logins.max(1)
        } else {
            0
        };
        (is_broken, late, self.attacked.p99_ms / self.allowed_ms())
    }
}

/// Whether a share is below 99 % and below the control's: a machine that is too busy for one
/// process is too busy for the other.
fn is_less(part: usize, whole: usize, control_part: usize, control_whole: usize) -> bool {
    part * 100 < whole * 99 && part * control_whole < control_part * whole
}

/// Runs the attacks and writes the page.
///
/// # Errors
/// If there is no such attack, a server does not start, or a promise is not kept.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    if settings.list {
        for attack in ATTACKS {
            println!("{:24} {}", attack.name, attack.what);
        }
        println!("{MEMORY:24} what a connection of each kind costs before its login");
        return Ok(());
    }
    if settings.report {
        return page::write(&settings.page, &settings.json, &settings.commit);
    }
    let is_wanted = |name: &str| {
        let mut only = settings.only.iter();
        settings.only.is_empty() || only.any(|begin| name.starts_with(begin.as_str()))
    };
    let wanted = ATTACKS.iter().filter(|attack| is_wanted(attack.name));
    let wanted: Vec<&Attack> = wanted.collect();
    if wanted.is_empty() && !is_wanted(MEMORY) {
        bail!(
            "no attack begins with {:?}; --list shows them",
            settings.only
        );
    }
    if settings.only.is_empty() {
        // A complete run starts over.
        page::begin(&settings.json)?;
    }
    let cores = Cores::divide()?;
    let mut failed = 0;
    for attack in wanted {
        let Some(outcome) = measure_well(settings, attack, &cores)? else {
            println!("{:24} not tried: the server does not speak it", attack.name);
            continue;
        };
        let faults = outcome.faults();
        failed += usize::from(!faults.is_empty());
        println!("{}", page::line(&outcome));
        page::keep(&settings.json, &Line::Attack(Box::new(outcome)))?;
    }
    if is_wanted(MEMORY) {
        failed += weigh(settings)?;
    }
    if settings.only.is_empty() {
        page::write(&settings.page, &settings.json, &settings.commit)?;
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} attacks were somebody else's trouble"),
    }
}

/// Measures what strangers of each kind cost; returns how many kinds cost too much.
fn weigh(settings: &Settings) -> Result<usize> {
    let mut failed = 0;
    for kind in memory::KINDS {
        let Some(bytes) = memory::of_one(&settings.program()?, kind)? else {
            println!("memory: {} is not spoken", kind.what);
            continue;
        };
        println!("memory: {bytes} bytes, {}", kind.what);
        failed += usize::from(bytes > kind.bytes_max());
        let kind = kind.what.to_owned();
        page::keep(&settings.json, &Line::Memory { kind, bytes })?;
    }
    Ok(failed)
}

fn runtime(on_start: fn()) -> Result<Runtime> {
    // A thread of its own for each part, so that they only wait for each other on the machine's
    // cores.
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).on_thread_start(on_start);
    Ok(builder.enable_all().build()?)
}

/// The two processes, and the clients in them.
struct Stage {
    servers: [Server; 2],
    pairs: Vec<Pair>,
    victims: Runtime,
    people: Runtime,
}

impl Stage {
    fn set(settings: &Settings, attack: &Attack, cores: &Cores) -> Result<Self> {
        let program = settings.program()?;
        let start = || Server::start(&program, attack.over, &settings.with);
        let servers = cores.for_servers(|| Ok([start()?, start()?]))?;
        let (victims, people) = (runtime(|| {})?, runtime(|| {})?);
        let mut pairs = Vec::new();
        for server in &servers {
            pairs.push(victims.block_on(Pair::begin(&server.door))?);
        }
        Ok(Self {
            servers,
            pairs,
            victims,
            people,
        })
    }

    /// Watches both processes for this long; returns what was seen at each.
    fn watch(&self, time: Duration) -> Result<[Seen; 2]> {
        let from = Instant::now();
        let until = from + time;
        let others = self.servers.each_ref().map(|server| {
            let door = server.door.clone();
            (
                self.people
                    .spawn(victims::log_people_in(door.clone(), until)),
                self.people
                    .spawn(victims::ask_for_health(door.clone(), until)),
                self.people.spawn(victims::upload(door, until)),
            )
        });
        std::thread::sleep(time);
        let mut both = [Seen::default(), Seen::default()];
        // Operations in progress still meet the attack.
        for (at, (logins, health, files)) in others.into_iter().enumerate() {
            both[at].add(self.people.block_on(logins)?);
            both[at].add(self.people.block_on(health)?);
            both[at].add(self.people.block_on(files)?);
            both[at].add(self.victims.block_on(self.pairs[at].between(from, until)));
        }
        Ok(both)
    }
}

/// Measures an attack. When it seems to do harm, it is measured twice more and the median counts:
/// on a machine that does other things too, one in a few measurements is disturbed.
fn measure_well(settings: &Settings, attack: &Attack, cores: &Cores) -> Result<Option<Outcome>> {
    let Some(first) = measure(settings, attack, cores)? else {
        return Ok(None);
    };
    let mut all = vec![first];
    while !settings.once && !all[0].faults().is_empty() && all.len() < 3 {
        println!("{}  (once more)", page::line(&all[all.len() - 1]));
        all.extend(measure(settings, attack, cores)?);
    }
    let times = all.len();
    all.sort_by(|one, other| {
        one.badness()
            .partial_cmp(&other.badness())
            .unwrap_or(Ordering::Equal)
    });
    let mut middle = all.swap_remove(times / 2);
    middle.times = times;
    Ok(Some(middle))
}

/// Runs one attack on one process and then on the other. `None` = the server does not support what
/// it needs.
fn measure(settings: &Settings, attack: &Attack, cores: &Cores) -> Result<Option<Outcome>> {
    let mut stage = Stage::set(settings, attack, cores)?;
    let mut outcome = Outcome::of(attack.name, settings.seconds);
    outcome.memory_before = stage.servers[0].memory();
    let (mut attacked, mut control) = (Seen::default(), Seen::default());
    for at in [0, 1] {
        let field = Field::new(stage.servers[at].door.clone());
        let watch = stage.servers[at].watch();
        let attackers = runtime(cores::yield_to_victims)?;
        let mut task = attackers.spawn((attack.run)(field.clone()));
        match attackers.block_on(prepared(&field, &mut task)) {
            Prepared::Yes => {}
            Prepared::Absent => return Ok(None),
            Prepared::No(why) => {
                outcome.failure = Some(why);
                break;
            }
        }
        std::thread::sleep(BEFORE);
        let both = stage.watch(Duration::from_secs(settings.seconds))?;
        let [its, others] = match (at, both) {
            (0, both) => both,
            (_, [first, second]) => [second, first],
        };
        attacked.add(its);
        control.add(others);
        if task.is_finished() {
            outcome.failure = Some(format!("the attack ended: {:?}", attackers.block_on(task)));
        }
        attackers.shutdown_background();
        let most = watch.stop();
        if at == 0 {
            outcome.memory_during = most;
            std::thread::sleep(SETTLE);
            outcome.memory_after = stage.servers[0].memory();
        }
        note(&mut outcome, &field);
    }
    let mut servers = stage.servers.iter_mut();
    if let Some(at) = servers.position(|server| !server.is_running()) {
        outcome.failure = Some(format!("server {at} has ended"));
    }
    outcome.attacked = attacked.into();
    outcome.control = control.into();
    Ok(Some(outcome))
}

/// Whether an attack can begin.
enum Prepared {
    Yes,
    /// The server does not support what the attack needs.
    Absent,
    No(String),
}

async fn prepared(field: &Field, task: &mut JoinHandle<Result<(), End>>) -> Prepared {
    let ended = async {
        tokio::select! {
            () = field.until_ready() => Prepared::Yes,
            ended = task => match ended {
                Ok(Err(End::Absent)) => Prepared::Absent,
                other => Prepared::No(format!("could not be prepared: {other:?}")),
            },
        }
    };
    let ended = tokio::time::timeout(PREPARE_MAX, ended).await;
    ended.unwrap_or_else(|_| Prepared::No(format!("not prepared after {PREPARE_MAX:?}")))
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
