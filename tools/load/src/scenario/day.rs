//! A mixed day: what many users do concurrently, at a fixed rate of operations.
//!
//! Nine users out of ten stay: each is a member of a small channel and of a large one. The tenth
//! comes and goes, and joins a lobby each time. Operations are due at fixed times, in the shares of
//! `blend`; latency counts from then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{self, AttributeWrite};

use super::blend::{BLEND, LOGIN, OPS, Op};
use super::coming::Coming;
use super::{Report, Run, STALL, histogram};
use crate::drivers::News;
use crate::drivers::tidings::{Tidings, user};
use crate::link::Out;
use crate::stamp::Stamp;

/// Members of a small channel; those of a large one are `--members`.
const SMALL: usize = 10;

/// One user in this many comes and goes.
const COMMUTERS: usize = 10;

/// Users whose presence is subscribed to in one call.
const WATCHED: usize = 5;

/// Bytes of one message in five; the others have `--bytes`.
const LONG_BYTES: usize = 1024;

/// A message in transit.
struct Message {
    op: Op,
    due_ns: u64,
    /// Members who have not received it yet.
    lacking: usize,
}

/// The state of a commuter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    /// Logging in or out; due at that time.
    Coming(u64),
    Going,
    Away,
}

struct Day {
    /// Number of users who stay; further connections are commuters'.
    residents: usize,
    /// Members of a large channel.
    large: usize,
    first_user: usize,
    places: Vec<Place>,
    next_commuter: usize,
    random: u64,
    sent: u64,
    bodies: u32,
    messages: HashMap<u32, Message>,
    /// Unanswered calls, by connection and number; invitations, by connection and their number.
    /// number.
    calls: HashMap<(usize, u64), (Op, u64)>,
    invitations: HashMap<(usize, u64), u64>,
    /// Number of the latest message that a receiver has from a sender, in each kind of
    /// conversation.
    latest: HashMap<(u32, u32, Op), u32>,
    latency: HashMap<Op, hdrhistogram::Histogram<u64>>,
    done: u64,
    deliveries: u64,
    doubled: u64,
    disordered: u64,
    /// Commuters who have logged out, and those who must join the lobby.
    gone: Vec<usize>,
    coming: Coming,
    arrived: Vec<usize>,
    body: Vec<u8>,
}

pub(super) fn run(run: &mut Run<'_>) -> Result<Report> {
    let Some(first_user) = run.engine.driver.tidings().map(|driver| driver.first) else {
        bail!("only our own server has such a day; leave --driver away");
    };
    let empty = run.cost()?;
    let large = run.size.members.max(SMALL);
    let residents = (run.size.clients - run.size.clients / COMMUTERS) / large * large;
    if residents == 0 {
        bail!("a day needs more clients than a large channel has members, and a tenth more");
    }
    let mut day = Day::new(residents, large, run.size.clients - residents, first_user);
    run.log_in(run.size.clients)?;
    run.join(|link| day.small_of(link))?;
    run.join(|link| day.large_of(link))?;
    let began_ns = run.engine.now_ns();
    day.go(run, began_ns, Duration::from_secs(1))?;
    day.latency
        .values_mut()
        .for_each(hdrhistogram::Histogram::reset);
    let (before, done, deliveries) = (run.cost()?, day.done, day.deliveries);
    let began = Instant::now();
    day.go(run, began_ns, Duration::from_secs(run.size.seconds))?;
    let seconds = began.elapsed().as_secs_f64();
    let after = run.cost()?;
    let (done, deliveries) = (day.done - done, day.deliveries - deliveries);
    day.drain(run)?;

    let cpu_us = (after.cpu_ns - before.cpu_ns) as f64 / 1e3;
    let resident = after.resident_bytes.saturating_sub(empty.resident_bytes) as f64;
    let mut report = Report::default();
    report.set("clients", run.size.clients as f64);
    report.set("operations_per_s", done as f64 / seconds);
    report.set("deliveries_per_s", deliveries as f64 / seconds);
    report.set("cpu_us_per_operation", cpu_us / done as f64);
    report.set("cpu_share", cpu_us / 1e6 / seconds);
    report.set("bytes_per_connection", resident / run.size.clients as f64);
    report.set("lost", day.lost() as f64);
    report.set("doubled", day.doubled as f64);
    report.set("disordered", day.disordered as f64);
    for (op, name) in OPS
        .iter()
        .zip(BLEND.iter().map(|(name, _)| *name).chain([LOGIN]))
    {
        let Some(histogram) = day.latency.get(op).filter(|found| !found.is_empty()) else {
            continue;
        };
        for (word, quantile) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
            let ns = histogram.value_at_quantile(quantile);
            report.set(&format!("{name}_{word}_us"), ns as f64 / 1e3);
        }
        report.set(&format!("{name}_count"), histogram.len() as f64);
    }
    Ok(report)
}

impl Day {
    fn new(residents: usize, large: usize, commuters: usize, first_user: usize) -> Self {
        Self {
            residents,
            large,
            first_user,
            places: vec![Place::Here; commuters],
            next_commuter: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            sent: 0,
            bodies: 0,
            messages: HashMap::new(),
            calls: HashMap::new(),
            invitations: HashMap::new(),
            latest: HashMap::new(),
            latency: OPS.iter().map(|op| (*op, histogram())).collect(),
            done: 0,
            deliveries: 0,
            doubled: 0,
            disordered: 0,
            gone: Vec::new(),
            coming: Coming::default(),
            arrived: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The room that is a resident's small channel, or the lobby.
    fn small_of(&self, link: usize) -> usize {
        if link < self.residents {
            1 + link / SMALL
        } else {
            0
        }
    }

    /// The room that is a resident's large channel; commuters have their lobby alone, and join a
    /// second one.
    fn large_of(&self, link: usize) -> usize {
        let large = 1 + self.residents;
        if link < self.residents {
            large + link / self.large
        } else {
            large + self.residents
        }
    }

    /// A number below `bound`: every server gets the same day. Source: xorshift, Marsaglia 2003.
    fn draw(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound.max(1)
    }

    fn go(&mut self, run: &mut Run<'_>, began_ns: u64, long: Duration) -> Result<()> {
        let until = Instant::now() + long;
        let interval_ns = 1_000_000_000 / run.size.rate.max(1);
        let (mut last_tick, mut progress) = (Instant::now(), (Instant::now(), self.done));
        while Instant::now() < until {
            let due_ns = began_ns + self.sent * interval_ns;
            let now_ns = run.engine.now_ns();
            if due_ns <= now_ns {
                self.sent += 1;
                self.act(run, due_ns)?;
                // Arrivals are handled at intervals, however late operations are.
                if !self.sent.is_multiple_of(64) {
                    continue;
                }
            }
            self.take(run, Duration::from_nanos(due_ns.saturating_sub(now_ns)))?;
            if last_tick.elapsed() > Duration::from_secs(1) {
                last_tick = Instant::now();
                run.tick();
            }
            if self.done != progress.1 {
                progress = (Instant::now(), self.done);
            } else if progress.0.elapsed() > STALL {
                bail!("nothing was done for {} s", STALL.as_secs());
            }
        }
        Ok(())
    }

    /// Waits until everything is answered and delivered, or nothing arrives any longer.
    fn drain(&mut self, run: &mut Run<'_>) -> Result<()> {
        let mut quiet = (Instant::now(), self.deliveries + self.done);
        while self.lost() > 0 && quiet.0.elapsed() < Duration::from_secs(3) {
            self.take(run, Duration::from_millis(20))?;
            let now = self.deliveries + self.done;
            if now != quiet.1 {
                quiet = (Instant::now(), now);
            }
        }
        Ok(())
    }

    /// Everything in progress: deliveries, answers, ends of invitations.
    fn lost(&self) -> usize {
        let lacking: usize = self.messages.values().map(|message| message.lacking).sum();
        let coming = |place: &&Place| matches!(place, Place::Coming(_));
        let coming = self.places.iter().filter(coming).count();
        lacking + self.calls.len() + self.invitations.len() + coming
    }

    fn act(&mut self, run: &mut Run<'_>, due_ns: u64) -> Result<()> {
        let op = Op::of(self.draw(1000));
        let link = self.draw(self.residents);
        // Another user, chosen at random.
        let other = (link + 1 + self.draw(self.residents - 1)) % self.residents;
        match op {
            Op::SmallChannel => self.publish(run, op, link, self.small_of(link), SMALL, due_ns),
            Op::LargeChannel => {
                let (room, members) = (self.large_of(link), self.large);
                self.publish(run, op, link, room, members, due_ns);
            }
            Op::Peer => self.send_to_peer(run, link, other, due_ns),
            Op::Commute | Op::Login => return self.commute(run, due_ns),
            _ => self.ask(run, op, link, other, due_ns),
        }
        Ok(())
    }

    /// The next body, one in five a long one. Returns its number.
    fn write_body(&mut self, link: usize, bytes: usize, due_ns: u64) -> u32 {
        let bytes = if self.draw(5) == 0 { LONG_BYTES } else { bytes };
        let number = self.bodies;
        self.bodies += 1;
        let stamp = Stamp {
            sender: link as u32,
            number,
            due_ns,
        };
        stamp.write(&mut self.body, bytes);
        number
    }

    fn publish(
        &mut self,
        run: &mut Run<'_>,
        op: Op,
        link: usize,
        room: usize,
        members: usize,
        due_ns: u64,
    ) {
        let number = self.write_body(link, run.size.bytes, due_ns);
        let lacking = members - 1;
        let message = Message {
            op,
            due_ns,
            lacking,
        };
        self.messages.insert(number, message);
        let body = &self.body;
        run.engine.say(link, |driver, out| {
            driver.publish(link, room, body, out);
        });
    }

    fn send_to_peer(&mut self, run: &mut Run<'_>, link: usize, to: usize, due_ns: u64) {
        let number = self.write_body(link, run.size.bytes, due_ns);
        let (op, lacking) = (Op::Peer, 1);
        self.messages.insert(
            number,
            Message {
                op,
                due_ns,
                lacking,
            },
        );
        let body = &self.body;
        let mut call = 0;
        run.engine.say(link, |driver, out| {
            call = driver.message(link, to, body, out)
        });
        self.calls.insert((link, call), (op, due_ns));
    }

    /// Operations that are one call and its answer.
    fn ask(&mut self, run: &mut Run<'_>, op: Op, link: usize, other: usize, due_ns: u64) {
        let number = if op == Op::Offline {
            self.write_body(link, run.size.bytes, due_ns);
            let (peer, body) = (format!("away{}", self.draw(100_000)), &self.body);
            say(run, link, |tidings, out| {
                tidings.send_to(link, peer, body, true, out)
            })
        } else {
            let call = self.call(op, link, other, due_ns);
            say(run, link, |tidings, out| tidings.call(link, call, out))
        };
        // An invitation ends when its caller is notified, not when the call is answered.
        if op != Op::Invitation {
            self.calls.insert((link, number), (op, due_ns));
        }
    }

    /// The call of an operation that carries no message.
    fn call(&mut self, op: Op, link: usize, other: usize, due_ns: u64) -> Call {
        let channel = format!("room{}", self.small_of(link));
        let other = user(self.first_user + other);
        let how = AttributeWrite::Merge.into();
        let attributes = vec![proto::Attribute {
            key: "mood".into(),
            value: format!("since {due_ns}"),
            ..Default::default()
        }];
        match op {
            Op::UserAttributes => {
                Call::WriteUserAttributes(proto::WriteUserAttributes { how, attributes })
            }
            Op::ChannelAttributes => Call::WriteChannelAttributes(proto::WriteChannelAttributes {
                channel,
                how,
                attributes,
                notify: true,
            }),
            Op::ReadAttributes => Call::ReadUserAttributes(proto::ReadUserAttributes {
                user_id: other,
                keys: Vec::new(),
            }),
            Op::Presence => {
                let commuters = self.places.len();
                let first = self.first_user + self.residents;
                let at = self.draw(commuters);
                let watched =
                    (0..WATCHED.min(commuters)).map(|more| first + (at + more) % commuters);
                let user_ids = watched.map(user).collect();
                Call::SubscribePresence(proto::SubscribePresence { user_ids })
            }
            Op::Invitation => {
                let number = u64::from(self.bodies) + 1;
                self.bodies += 1;
                self.invitations.insert((link, number), due_ns);
                Call::Invite(proto::Invite {
                    number,
                    callee_id: other,
                    channel,
                    ..Default::default()
                })
            }
            _ => Call::GetMembers(proto::GetMembers { channel }),
        }
    }

    /// The next commuter leaves if it is logged in, and comes if it is away.
    fn commute(&mut self, run: &mut Run<'_>, due_ns: u64) -> Result<()> {
        let commuter = self.next_commuter;
        self.next_commuter = (commuter + 1) % self.places.len();
        let link = self.residents + commuter;
        match self.places[commuter] {
            Place::Here => {
                self.places[commuter] = Place::Going;
                let logout = Call::Logout(proto::Logout {});
                run.engine.expect_end(link);
                let number = say(run, link, |tidings, out| tidings.call(link, logout, out));
                self.calls.insert((link, number), (Op::Commute, due_ns));
            }
            Place::Away => {
                self.places[commuter] = Place::Coming(due_ns);
                run.engine.reconnect(link)?;
            }
            // It is already late: it stays in progress.
            Place::Coming(_) | Place::Going => {}
        }
        Ok(())
    }

    /// Handles an arrival, and does what follows from it.
    fn take(&mut self, run: &mut Run<'_>, wait: Duration) -> Result<()> {
        self.coming.connect_due(&mut run.engine)?;
        let (now_ns, began) = (run.engine.now_ns(), Instant::now());
        let mut refused = None;
        run.engine.turn(wait, &mut |link, news| {
            let now = now_ns + began.elapsed().as_nanos() as u64;
            match news {
                News::Delivery(body) => match Stamp::read(body) {
                    Some(stamp) => self.delivered(link, stamp, now),
                    None => refused = Some("a message without a stamp".to_owned()),
                },
                News::Answered(call) => self.answered(link, call, now),
                News::Invited(number) => {
                    if let Some(due_ns) = self.invitations.remove(&(link, number)) {
                        self.finish(Op::Invitation, due_ns, now);
                    }
                }
                News::LoggedIn => self.arrived.push(link),
                News::ComeAgain(after_ms) => self.coming.is_turned_away(link, after_ms),
                News::Joined => self.joined(link, now),
                News::Refused(why) => refused = Some(why),
                News::Event => {}
            }
        })?;
        if let Some(why) = refused {
            bail!("the server refused: {why}");
        }
        for link in std::mem::take(&mut self.arrived) {
            let lobby = self.small_of(link);
            run.engine
                .say(link, |driver, out| driver.join(link, lobby, out));
        }
        for link in std::mem::take(&mut self.gone) {
            self.places[link - self.residents] = Place::Away;
        }
        Ok(())
    }

    fn finish(&mut self, op: Op, due_ns: u64, now_ns: u64) {
        self.done += 1;
        if let Some(histogram) = self.latency.get_mut(&op) {
            histogram.saturating_record(now_ns.saturating_sub(due_ns).max(1));
        }
    }

    fn answered(&mut self, link: usize, call: u64, now_ns: u64) {
        let Some((op, due_ns)) = self.calls.remove(&(link, call)) else {
            return;
        };
        if op == Op::Commute {
            self.gone.push(link);
        }
        self.finish(op, due_ns, now_ns);
    }

    fn joined(&mut self, link: usize, now_ns: u64) {
        let Some(at) = link.checked_sub(self.residents) else {
            return;
        };
        if let Place::Coming(due_ns) = self.places[at] {
            self.places[at] = Place::Here;
            self.finish(Op::Login, due_ns, now_ns);
        }
    }

    fn delivered(&mut self, link: usize, stamp: Stamp, now_ns: u64) {
        let Some(message) = self.messages.get_mut(&stamp.number) else {
            self.doubled += 1;
            return;
        };
        let op = message.op;
        let latest = self
            .latest
            .entry((link as u32, stamp.sender, op))
            .or_default();
        // Numbers start at 0, which also stands for none.
        match (stamp.number + 1).cmp(latest) {
            std::cmp::Ordering::Less => self.disordered += 1,
            std::cmp::Ordering::Equal => {
                self.doubled += 1;
                return;
            }
            std::cmp::Ordering::Greater => *latest = stamp.number + 1,
        }
        self.deliveries += 1;
        message.lacking -= 1;
        if message.lacking == 0 {
            let due_ns = message.due_ns;
            self.messages.remove(&stamp.number);
            // A peer message is complete when its sender has the receipt.
            if op != Op::Peer {
                self.finish(op, due_ns, now_ns);
            }
        }
    }
}

/// Lets the Tidings driver send something; returns the number of the call.
fn say(run: &mut Run<'_>, link: usize, say: impl FnOnce(&mut Tidings, &mut Out<'_>) -> u64) -> u64 {
    let mut call = 0;
    run.engine.say(link, |driver, out| {
        if let Some(tidings) = driver.tidings() {
            call = say(tidings, out);
        }
    });
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u32) -> Stamp {
        Stamp {
            sender: 1,
            number,
            due_ns: 0,
        }
    }

    fn day_with(numbers: std::ops::Range<u32>, lacking: usize) -> Day {
        let mut day = Day::new(20, 10, 2, 0);
        for number in numbers {
            let (op, due_ns) = (Op::SmallChannel, 0);
            day.messages.insert(
                number,
                Message {
                    op,
                    due_ns,
                    lacking,
                },
            );
        }
        day
    }

    #[test]
    fn what_some_members_lack_is_lost() {
        let mut day = day_with(0..2, 2);
        for link in [2, 3] {
            day.delivered(link, stamp(0), 5);
        }
        day.delivered(2, stamp(1), 5);
        assert_eq!((day.lost(), day.done, day.deliveries), (1, 1, 3));
    }

    #[test]
    fn doubles_and_disorder_are_told_apart() {
        let mut day = day_with(0..3, 2);
        day.delivered(2, stamp(1), 5);
        day.delivered(2, stamp(1), 5);
        day.delivered(2, stamp(0), 5);
        assert_eq!((day.doubled, day.disordered, day.deliveries), (1, 1, 2));
        day.delivered(3, stamp(1), 5);
        day.delivered(3, stamp(1), 5);
        assert_eq!(day.doubled, 2, "all members had it");
    }
}
