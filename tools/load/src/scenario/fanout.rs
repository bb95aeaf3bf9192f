//! One message to all members of a room.
//!
//! Saturated: each room has a window of messages in transit; a message is replaced by the next when
//! its last member has it. Nothing can be lost unnoticed, and a faster server gets more to do.
//! Paced: messages are due at fixed times, and latency counts from then, whether or not they are
//! sent late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Report, Run, STALL, histogram};
use crate::drivers::News;
use crate::stamp::Stamp;

/// Members of a room that send, in turn. Rates are limited per user, for real users as well.
const SENDERS: usize = 64;

/// A room and its messages in transit.
#[derive(Default)]
struct Room {
    /// How many members have not received each message, starting with the oldest incomplete one.
    open: VecDeque<usize>,
    /// Number of that oldest one.
    first: u32,
    next_sender: usize,
}

struct Rooms {
    rooms: Vec<Room>,
    members: usize,
    /// Highest number that each member has of each sender, plus 1.
    seen: Vec<u32>,
    senders: usize,
    deliveries: u64,
    messages: u64,
    doubled: u64,
    disordered: u64,
    last: hdrhistogram::Histogram<u64>,
}

pub(super) fn run(run: &mut Run<'_>, rate: Option<u64>) -> Result<Report> {
    let members = run.size.members.min(run.size.clients).max(2);
    let count = (run.size.clients / members).max(1);
    run.log_in(count * members)?;
    run.join(|link| link / members)?;
    let receivers = members - usize::from(!run.engine.driver.has_echo());
    let senders = SENDERS.min(members);
    let mut rooms = Rooms {
        rooms: std::iter::repeat_with(Room::default).take(count).collect(),
        members,
        seen: vec![0; count * members * senders],
        senders,
        deliveries: 0,
        messages: 0,
        doubled: 0,
        disordered: 0,
        last: histogram(),
    };
    let mut load = Load {
        receivers,
        sent: 0,
        body: Vec::new(),
        rate,
        began_ns: run.engine.now_ns(),
    };
    load.go(run, &mut rooms, Duration::from_secs(1))?;
    rooms.last.reset();
    let (before, deliveries, messages) = (run.cost()?, rooms.deliveries, rooms.messages);
    let began = Instant::now();
    load.go(run, &mut rooms, Duration::from_secs(run.size.seconds))?;
    let seconds = began.elapsed().as_secs_f64();
    let after = run.cost()?;
    let (deliveries, messages) = (rooms.deliveries - deliveries, rooms.messages - messages);
    load.drain(run, &mut rooms)?;

    let mut report = Report::default();
    report.set("deliveries_per_s", deliveries as f64 / seconds);
    report.set("messages_per_s", messages as f64 / seconds);
    report.set(
        "cpu_us_per_delivery",
        (after.cpu_ns - before.cpu_ns) as f64 / 1e3 / deliveries as f64,
    );
    report.set(
        "cpu_share",
        (after.cpu_ns - before.cpu_ns) as f64 / 1e9 / seconds,
    );
    report.set("doubled", rooms.doubled as f64);
    report.set("disordered", rooms.disordered as f64);
    report.set(
        "lost",
        rooms
            .rooms
            .iter()
            .flat_map(|room| &room.open)
            .sum::<usize>() as f64,
    );
    report.latencies(&rooms.last);
    Ok(report)
}

/// Who sends what when.
struct Load {
    /// Members that get a message.
    receivers: usize,
    /// Messages of all rooms so far.
    sent: u64,
    body: Vec<u8>,
    /// Deliveries a second; `None` = as fast as possible.
    rate: Option<u64>,
    began_ns: u64,
}

impl Load {
    fn go(&mut self, run: &mut Run<'_>, rooms: &mut Rooms, long: Duration) -> Result<()> {
        let until = Instant::now() + long;
        let mut last_tick = Instant::now();
        let mut last_progress = (Instant::now(), rooms.deliveries);
        while Instant::now() < until {
            let wait = match self.rate {
                None => self.fill(run, rooms),
                Some(rate) => self.pace(run, rooms, rate),
            };
            take(run, rooms, wait)?;
            if last_tick.elapsed() > Duration::from_secs(1) {
                last_tick = Instant::now();
                run.tick();
            }
            if rooms.deliveries != last_progress.1 {
                last_progress = (Instant::now(), rooms.deliveries);
            } else if last_progress.0.elapsed() > STALL {
                bail!("no delivery for {} s", STALL.as_secs());
            }
        }
        Ok(())
    }

    /// Waits until everything has arrived, or nothing does any longer: the rest is lost.
    fn drain(&mut self, run: &mut Run<'_>, rooms: &mut Rooms) -> Result<()> {
        let mut quiet = Instant::now();
        while rooms.rooms.iter().any(|room| !room.open.is_empty())
            && quiet.elapsed() < Duration::from_secs(3)
        {
            let before = rooms.deliveries;
            take(run, rooms, Duration::from_millis(20))?;
            if rooms.deliveries != before {
                quiet = Instant::now();
            }
        }
        Ok(())
    }

    /// Fills the windows of all rooms.
    fn fill(&mut self, run: &mut Run<'_>, rooms: &mut Rooms) -> Duration {
        for room in 0..rooms.rooms.len() {
            while rooms.rooms[room].open.len() < run.size.window {
                let due_ns = run.engine.now_ns();
                self.send(run, rooms, room, due_ns);
            }
        }
        Duration::from_millis(100)
    }

    /// Sends what is due, room by room.
    fn pace(&mut self, run: &mut Run<'_>, rooms: &mut Rooms, rate: u64) -> Duration {
        let interval_ns = 1_000_000_000 * self.receivers as u64 / rate.max(1);
        loop {
            let due_ns = self.began_ns + self.sent * interval_ns;
            let now_ns = run.engine.now_ns();
            if due_ns > now_ns {
                return Duration::from_nanos(due_ns - now_ns);
            }
            let room = self.sent as usize % rooms.rooms.len();
            self.send(run, rooms, room, due_ns);
        }
    }

    fn send(&mut self, run: &mut Run<'_>, rooms: &mut Rooms, number: usize, due_ns: u64) {
        let room = &mut rooms.rooms[number];
        let sender = room.next_sender;
        room.next_sender = (sender + 1) % rooms.senders;
        let number_in_room = room.first + room.open.len() as u32;
        let stamp = Stamp {
            sender: sender as u32,
            number: number_in_room,
            due_ns,
        };
        stamp.write(&mut self.body, run.size.bytes);
        room.open.push_back(self.receivers);
        self.sent += 1;
        rooms.messages += 1;
        let link = number * rooms.members + sender;
        let body = &self.body;
        run.engine.say(link, |driver, out| {
            driver.publish(link, number, body, out);
        });
    }
}

/// Handles an arrival.
fn take(run: &mut Run<'_>, rooms: &mut Rooms, wait: Duration) -> Result<()> {
    let now_ns = run.engine.now_ns();
    let began = Instant::now();
    let mut refused = None;
    run.engine.turn(wait, &mut |link, news| match news {
        News::Delivery(body) => match Stamp::read(body) {
            Some(stamp) => {
                rooms.delivered(link, stamp, || now_ns + began.elapsed().as_nanos() as u64)
            }
            None => refused = Some("a message without a stamp".to_owned()),
        },
        News::Refused(why) => refused = Some(why),
        _ => {}
    })?;
    match refused {
        Some(why) => bail!("the server refused: {why}"),
        None => Ok(()),
    }
}

impl Rooms {
    fn delivered(&mut self, link: usize, stamp: Stamp, now_ns: impl Fn() -> u64) {
        let seen = &mut self.seen[link * self.senders + stamp.sender as usize];
        if stamp.number + 1 == *seen {
            self.doubled += 1;
            return;
        }
        if stamp.number < *seen {
            self.disordered += 1;
        }
        *seen = stamp.number + 1;
        self.deliveries += 1;
        let room = &mut self.rooms[link / self.members];
        let at = stamp.number.wrapping_sub(room.first) as usize;
        let Some(lacking) = room.open.get_mut(at).filter(|lacking| **lacking > 0) else {
            self.doubled += 1;
            return;
        };
        *lacking -= 1;
        if *lacking == 0 {
            self.last
                .saturating_record(now_ns().saturating_sub(stamp.due_ns).max(1));
        }
        while room.open.front() == Some(&0) {
            room.open.pop_front();
            room.first += 1;
        }
    }
}
