//! What clients do, and what it costs the server.

pub(crate) mod blend;
mod coming;
mod day;
mod fanout;
mod idle;
mod pairs;
mod tidings_only;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::drivers::News;
use crate::engine::Engine;
use crate::measure::{Cost, cost};
use coming::Coming;

/// Connections that are being opened at once: what a kernel's queue of new connections holds.
const OPENING_MAX: usize = 400;

/// What a generator prints when it is ready to start.
pub(crate) const READY: &str = "ready";

/// A run that makes no progress for this long is broken.
const STALL: Duration = Duration::from_secs(20);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Name {
    /// One message to all members of a room, as fast as it goes without loss
    Fanout,
    /// The same at a fixed rate of deliveries
    FanoutPaced,
    /// A message from one to one and its receipt, as fast as it goes
    Pairs,
    /// Logged in, doing nothing
    Idle,
    /// Everybody logs in, as many at a time as a kernel's queue of new connections holds
    Login,
    /// Everybody logs in at once: whom the kernel disconnects comes again
    Storm,
    /// `idle` over several processes of the server
    Scale,
    /// Everybody joins one room at once
    Join,
    /// Users whose presence is watched by all others log out and in
    Presence,
    /// Attributes of a room that all members are told
    Attributes,
    /// Messages to users who are away, stored before they are acknowledged
    Offline,
    /// What users do in a day, mixed, at a fixed rate of operations
    Day,
}

impl Name {
    /// The scenario's name on the command line.
    pub(crate) fn word(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// How much of it.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
pub(crate) struct Size {
    /// Clients
    #[arg(long, default_value_t = 1000)]
    pub(crate) clients: usize,
    /// Members of a room
    #[arg(long, default_value_t = 1000)]
    pub(crate) members: usize,
    /// Bytes of a message
    #[arg(long, default_value_t = 128)]
    pub(crate) bytes: usize,
    /// Seconds of measuring, after a second of warming up
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// Deliveries a second where the rate is fixed; operations of a day
    #[arg(long, default_value_t = 20_000)]
    pub(crate) rate: u64,
    /// Messages of a room, or of all pairs, that are on their way at once
    #[arg(long, default_value_t = 64)]
    pub(crate) window: usize,
    /// Number of the first user: for several processes in one run
    #[arg(long, default_value_t = 0)]
    pub(crate) first: usize,
}

impl Size {
    /// The same as command-line arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        [
            ("clients", self.clients as u64),
            ("members", self.members as u64),
            ("bytes", self.bytes as u64),
            ("seconds", self.seconds),
            ("rate", self.rate),
            ("window", self.window as u64),
            ("first", self.first as u64),
        ]
        .into_iter()
        .flat_map(|(name, value)| [format!("--{name}"), value.to_string()])
        .collect()
    }
}

/// The results: names with their units, and figures.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report(pub(crate) BTreeMap<String, f64>);

impl Report {
    fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Latencies of a histogram in nanoseconds, as microseconds.
    fn latencies(&mut self, histogram: &hdrhistogram::Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            let ns = histogram.value_at_quantile(quantile);
            self.set(&format!("latency_{name}_us"), ns as f64 / 1e3);
        }
        self.set("latency_max_us", histogram.max() as f64 / 1e3);
    }
}

/// What a run works with.
pub(crate) struct Run<'a> {
    pub(crate) engine: Engine,
    pub(crate) size: &'a Size,
    /// Processes of the server.
    pub(crate) pids: &'a [u32],
    /// Whether other generators start together with this one.
    pub(crate) meets: bool,
}

/// Runs a scenario.
pub(crate) fn run(name: Name, run: &mut Run<'_>) -> Result<Report> {
    match name {
        Name::Fanout => fanout::run(run, None),
        Name::FanoutPaced => fanout::run(run, Some(run.size.rate)),
        Name::Pairs => pairs::run(run),
        Name::Idle | Name::Scale => idle::run(run),
        Name::Login => idle::logins(run),
        Name::Storm => idle::storm(run),
        Name::Join => tidings_only::join_storm(run),
        Name::Presence => tidings_only::presence(run),
        Name::Attributes => tidings_only::attributes(run),
        Name::Offline => tidings_only::offline(run),
        Name::Day => day::run(run),
    }
}

impl Run<'_> {
    /// What the server has cost so far.
    fn cost(&self) -> Result<Cost> {
        cost(self.pids)
    }

    /// Opens this many more connections and waits until all are logged in.
    fn log_in(&mut self, count: usize) -> Result<()> {
        let goal = self.engine.links() + count;
        let (mut done, mut refused) = (self.engine.links(), None);
        let mut coming = Coming::default();
        let mut last = Instant::now();
        while done < goal {
            while self.engine.links() < goal && self.engine.links() - done < OPENING_MAX {
                self.engine.connect()?;
            }
            coming.connect_due(&mut self.engine)?;
            let before = done;
            self.engine
                .turn(Duration::from_millis(20), &mut |link, news| match news {
                    News::LoggedIn => done += 1,
                    News::ComeAgain(after_ms) => coming.is_turned_away(link, after_ms),
                    News::Refused(why) => refused = Some(why),
                    _ => {}
                })?;
            self.stalls("logging in", done != before, &mut last)?;
            if let Some(why) = &refused {
                bail!("a login was refused: {why}");
            }
        }
        Ok(())
    }

    /// Joins each connection to its room and waits until all are in.
    fn join(&mut self, room_of: impl Fn(usize) -> usize) -> Result<()> {
        if self.engine.driver.is_in_when_open() {
            return self.settle(Duration::from_secs(1));
        }
        let goal = self.engine.links();
        let (mut asked, mut done, mut refused) = (0, 0, None);
        let mut last = Instant::now();
        while done < goal {
            while asked < goal && asked - done < OPENING_MAX {
                let link = asked;
                self.engine
                    .say(link, |driver, out| driver.join(link, room_of(link), out));
                asked += 1;
            }
            let before = done;
            self.engine
                .turn(Duration::from_millis(20), &mut |_, news| match news {
                    News::Joined => done += 1,
                    News::Refused(why) => refused = Some(why),
                    _ => {}
                })?;
            self.stalls("joining", done != before, &mut last)?;
            if let Some(why) = &refused {
                bail!("a join was refused: {why}");
            }
        }
        self.settle(Duration::from_secs(1))
    }

    /// Reports that this generator is ready, and waits for the others; heartbeats are answered
    /// meanwhile.
    fn meet(&mut self) -> Result<()> {
        if !self.meets {
            return Ok(());
        }
        println!("{READY}");
        let (go, gone) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // The end of the input releases this one as well: nobody is waiting for it any longer.
            let _ = std::io::stdin().read_line(&mut line);
            let _ = go.send(());
        });
        while gone.try_recv().is_err() {
            self.settle(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Handles late arrivals for a while.
    fn settle(&mut self, long: Duration) -> Result<()> {
        let until = Instant::now() + long;
        while Instant::now() < until {
            self.engine
                .turn(Duration::from_millis(20), &mut |_, _| {})?;
        }
        self.tick();
        Ok(())
    }

    /// Lets every client do what is due on its timer.
    fn tick(&mut self) {
        for link in 0..self.engine.links() {
            self.engine.say(link, |driver, out| driver.tick(link, out));
        }
    }

    fn stalls(&self, what: &str, is_moving: bool, last: &mut Instant) -> Result<()> {
        if is_moving {
            *last = Instant::now();
        } else if last.elapsed() > STALL {
            bail!("no progress in {what} for {} s", STALL.as_secs());
        }
        Ok(())
    }
}

/// A histogram of nanoseconds up to a minute.
fn histogram() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, 60_000_000_000, 3)
        .expect("the bounds are constants that fit")
}
