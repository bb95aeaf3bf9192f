//! A message from one user to another, and the sender's receipt: four frames.
//!
//! A Tidings server sends the receipt itself. At other servers the receiver answers with a message
//! of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Report, Run, STALL, histogram};
use crate::drivers::News;
use crate::stamp::Stamp;

/// Shortest time between two messages of one sender: what a user's rate limit allows.
const SPACING_NS: u64 = 18_000_000;

/// A sender's state.
#[derive(Clone, Default)]
struct Sender {
    /// The message in transit: when it was sent, on the engine's clock; 0 = none.
    since_ns: u64,
    /// Number of the call, where the server answers.
    call: u64,
    sent: u32,
}

struct Pairs {
    senders: Vec<Sender>,
    /// Highest number that a receiver has, plus 1.
    seen: Vec<u32>,
    has_receipts: bool,
    answers: Vec<usize>,
    done: u64,
    on_the_way: usize,
    doubled: u64,
    disordered: u64,
    latency: hdrhistogram::Histogram<u64>,
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Report> {
    let pairs = (run.size.clients / 2).max(1);
    run.log_in(pairs * 2)?;
    run.settle(Duration::from_secs(1))?;
    let mut state = Pairs {
        senders: vec![Sender::default(); pairs],
        seen: vec![0; pairs],
        has_receipts: run.engine.driver.has_receipts(),
        answers: Vec::new(),
        done: 0,
        on_the_way: 0,
        doubled: 0,
        disordered: 0,
        latency: histogram(),
    };
    let mut next = 0;
    go(run, &mut state, &mut next, Duration::from_secs(1))?;
    state.latency.reset();
    let (before, done) = (run.cost()?, state.done);
    let began = Instant::now();
    go(
        run,
        &mut state,
        &mut next,
        Duration::from_secs(run.size.seconds),
    )?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ns = run.cost()?.cpu_ns - before.cpu_ns;
    let done = state.done - done;
    let quiet = Instant::now();
    while state.on_the_way > 0 && quiet.elapsed() < Duration::from_secs(3) {
        take(run, &mut state, Duration::from_millis(20))?;
    }
    let mut report = Report::default();
    report.set("messages_per_s", done as f64 / seconds);
    report.set("cpu_us_per_message", cpu_ns as f64 / 1e3 / done as f64);
    report.set("cpu_share", cpu_ns as f64 / 1e9 / seconds);
    report.set("lost", state.on_the_way as f64);
    report.set("doubled", state.doubled as f64);
    report.set("disordered", state.disordered as f64);
    report.latencies(&state.latency);
    Ok(report)
}

fn go(run: &mut Run<'_>, state: &mut Pairs, next: &mut usize, long: Duration) -> Result<()> {
    let until = Instant::now() + long;
    let mut body = Vec::new();
    let mut progress = (Instant::now(), state.done);
    while Instant::now() < until {
        let pairs = state.senders.len();
        let mut tried = 0;
        // The window covers all pairs; a pair has one message in transit.
        while state.on_the_way < run.size.window && tried < pairs {
            tried += 1;
            let pair = *next % pairs;
            let now_ns = run.engine.now_ns();
            let sender = &mut state.senders[pair];
            if sender.since_ns & BUSY != 0 || now_ns < (sender.since_ns & !BUSY) + SPACING_NS {
                *next += 1;
                continue;
            }
            *next += 1;
            let stamp = Stamp {
                sender: pair as u32,
                number: sender.sent,
                due_ns: now_ns,
            };
            stamp.write(&mut body, run.size.bytes);
            sender.sent += 1;
            sender.since_ns = now_ns | BUSY;
            state.on_the_way += 1;
            let (from, to) = (pair * 2, pair * 2 + 1);
            let mut call = 0;
            run.engine.say(from, |driver, out| {
                call = driver.message(from, to, &body, out)
            });
            state.senders[pair].call = call;
        }
        take(run, state, Duration::from_millis(5))?;
        if state.done != progress.1 {
            progress = (Instant::now(), state.done);
        } else if progress.0.elapsed() > STALL {
            bail!("no message arrived for {} s", STALL.as_secs());
        }
    }
    Ok(())
}

/// Marks the time of a message that is still in transit.
const BUSY: u64 = 1 << 63;

fn take(run: &mut Run<'_>, state: &mut Pairs, wait: Duration) -> Result<()> {
    let now_ns = run.engine.now_ns();
    let began = Instant::now();
    let mut refused = None;
    run.engine.turn(wait, &mut |link, news| {
        let now = || now_ns + began.elapsed().as_nanos() as u64;
        match news {
            News::Delivery(body) => match Stamp::read(body) {
                Some(stamp) => state.delivered(link, stamp, now()),
                None => refused = Some("a message without a stamp".to_owned()),
            },
            News::Answered(call) if link % 2 == 0 && state.senders[link / 2].call == call => {
                state.finished(link / 2, now());
            }
            News::Refused(why) => refused = Some(why),
            _ => {}
        }
    })?;
    for receiver in std::mem::take(&mut state.answers) {
        let mut body = Vec::new();
        let stamp = Stamp {
            sender: (receiver / 2) as u32,
            number: 0,
            due_ns: 0,
        };
        stamp.write(&mut body, run.size.bytes);
        run.engine.say(receiver, |driver, out| {
            driver.message(receiver, receiver - 1, &body, out);
        });
    }
    match refused {
        Some(why) => bail!("the server refused: {why}"),
        None => Ok(()),
    }
}

impl Pairs {
    fn delivered(&mut self, link: usize, stamp: Stamp, now_ns: u64) {
        let pair = link / 2;
        if link.is_multiple_of(2) {
            // The receiver's own answer.
            self.finished(pair, now_ns);
            return;
        }
        match stamp.number.cmp(&self.seen[pair]) {
            std::cmp::Ordering::Less => self.doubled += 1,
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.disordered += 1,
        }
        self.seen[pair] = stamp.number + 1;
        if !self.has_receipts {
            self.answers.push(link);
        }
    }

    fn finished(&mut self, pair: usize, now_ns: u64) {
        let sender = &mut self.senders[pair];
        if sender.since_ns & BUSY == 0 {
            self.doubled += 1;
            return;
        }
        sender.since_ns &= !BUSY;
        self.latency
            .saturating_record(now_ns.saturating_sub(sender.since_ns).max(1));
        self.on_the_way -= 1;
        self.done += 1;
    }
}
