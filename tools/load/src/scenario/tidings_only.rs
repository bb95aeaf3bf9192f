//! What only a Tidings server is asked for: mass joins, watchers, attributes, stored messages.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{self, AttributeWrite};

use super::{Report, Run, STALL, histogram};
use crate::drivers::News;
use crate::drivers::tidings::{Tidings, user};
use crate::link::Out;
use crate::stamp::Stamp;

/// Users in one call that subscribes to presences.
const WATCHED: usize = 64;

/// Shortest time between two attribute writes of one user: 10 in 5 s, plus a margin.
const WRITE_SPACING: Duration = Duration::from_millis(510);

/// Shortest time between two messages of one user, in nanoseconds: 180 in 3 s, plus a margin.
const SEND_SPACING_NS: u64 = 17_000_000;

fn say(run: &mut Run<'_>, link: usize, say: impl FnOnce(&mut Tidings, &mut Out<'_>)) -> Result<()> {
    if run.engine.driver.tidings().is_none() {
        bail!("only our own server can be asked that; leave --driver away");
    }
    run.engine.say(link, |driver, out| {
        if let Some(tidings) = driver.tidings() {
            say(tidings, out);
        }
    });
    Ok(())
}

/// Counts events of a kind up to a number.
fn count(
    run: &mut Run<'_>,
    goal: u64,
    what: &str,
    is_it: impl Fn(&News<'_>) -> bool,
) -> Result<()> {
    let (mut found, mut last) = (0, (Instant::now(), 0));
    while found < goal {
        let mut refused = None;
        run.engine.turn(Duration::from_millis(20), &mut |_, news| {
            if is_it(&news) {
                found += 1;
            } else if let News::Refused(why) = news {
                refused = Some(why);
            }
        })?;
        if let Some(why) = refused {
            bail!("the server refused: {why}");
        }
        if found != last.1 {
            last = (Instant::now(), found);
        } else if last.0.elapsed() > STALL {
            bail!(
                "{found} of {goal} {what}, and no more came for {} s",
                STALL.as_secs()
            );
        }
    }
    Ok(())
}

/// Everybody joins one room at once.
pub(super) fn join_storm(run: &mut Run<'_>) -> Result<Report> {
    let clients = run.size.clients;
    run.log_in(clients)?;
    run.settle(Duration::from_secs(1))?;
    let (before, began) = (run.cost()?, Instant::now());
    for link in 0..clients {
        run.engine
            .say(link, |driver, out| driver.join(link, 0, out));
    }
    count(run, clients as u64, "have joined", |news| {
        matches!(news, News::Joined)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    run.settle(Duration::from_secs(1))?;
    let cpu_ns = run.cost()?.cpu_ns - before.cpu_ns;
    let mut report = Report::default();
    report.set("joins_per_s", clients as f64 / seconds);
    report.set("cpu_us_per_join", cpu_ns as f64 / 1e3 / clients as f64);
    Ok(report)
}

/// Users whom everybody watches log in, one after the other.
pub(super) fn presence(run: &mut Run<'_>) -> Result<Report> {
    let clients = run.size.clients;
    run.log_in(clients)?;
    let first = run
        .engine
        .driver
        .tidings()
        .map_or(0, |tidings| tidings.first)
        + clients;
    for link in 0..clients {
        let user_ids = (0..WATCHED).map(|number| user(first + number)).collect();
        let call = Call::SubscribePresence(proto::SubscribePresence { user_ids });
        say(run, link, |tidings, out| {
            tidings.call(link, call, out);
        })?;
        if link % 200 == 199 {
            run.engine.turn(Duration::from_millis(1), &mut |_, _| {})?;
        }
    }
    run.settle(Duration::from_secs(3))?;
    let (before, began) = (run.cost()?, Instant::now());
    for _ in 0..WATCHED {
        run.engine.connect()?;
    }
    let events = (clients * WATCHED) as u64;
    count(run, events, "watchers have been told", |news| {
        matches!(news, News::Event)
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ns = run.cost()?.cpu_ns - before.cpu_ns;
    let mut report = Report::default();
    report.set("events_per_s", events as f64 / seconds);
    report.set("cpu_us_per_event", cpu_ns as f64 / 1e3 / events as f64);
    Ok(report)
}

/// Members of a room write its attributes, and all members are notified.
pub(super) fn attributes(run: &mut Run<'_>) -> Result<Report> {
    let clients = run.size.clients;
    run.log_in(clients)?;
    run.join(|_| 0)?;
    let (before, began) = (run.cost()?, Instant::now());
    let (mut writes, mut events, mut refused) = (0_u64, 0_u64, None);
    let mut writer = 0;
    let mut round = Instant::now();
    while began.elapsed() < Duration::from_secs(run.size.seconds) {
        // A round gives every user its turn; the next one starts when the rate allows it.
        if writer < clients
            && events + (clients as u64) * (run.size.window as u64) > writes * clients as u64
        {
            let call = Call::WriteChannelAttributes(proto::WriteChannelAttributes {
                channel: "room0".into(),
                how: AttributeWrite::Merge.into(),
                attributes: vec![proto::Attribute {
                    key: "topic".into(),
                    value: format!("write {writes}"),
                    ..Default::default()
                }],
                notify: true,
            });
            say(run, writer, |tidings, out| {
                tidings.call(writer, call, out);
            })?;
            writer += 1;
            writes += 1;
        } else if writer >= clients && round.elapsed() > WRITE_SPACING {
            (writer, round) = (0, Instant::now());
        }
        run.engine
            .turn(Duration::from_millis(1), &mut |_, news| match news {
                News::Event => events += 1,
                News::Refused(why) => refused = Some(why),
                _ => {}
            })?;
        if let Some(why) = refused {
            bail!("the server refused: {why}");
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ns = run.cost()?.cpu_ns - before.cpu_ns;
    let mut report = Report::default();
    report.set("writes_per_s", writes as f64 / seconds);
    report.set("events_per_s", events as f64 / seconds);
    report.set("cpu_us_per_event", cpu_ns as f64 / 1e3 / events as f64);
    Ok(report)
}

/// Messages to users who are away: each is on the disk before it is acknowledged.
pub(super) fn offline(run: &mut Run<'_>) -> Result<Report> {
    let clients = run.size.clients;
    run.log_in(clients)?;
    run.settle(Duration::from_secs(1))?;
    // When each sender made its call, 0 = none is open; and when its rate allows the next.
    let mut since_ns = vec![0_u64; clients];
    let mut next_ns = vec![0_u64; clients];
    let (mut sent, mut done, mut open, mut sender) = (0_u64, 0_u64, 0_usize, 0_usize);
    let mut latency = histogram();
    let mut body = Vec::new();
    let (before, began) = (run.cost()?, Instant::now());
    while began.elapsed() < Duration::from_secs(run.size.seconds) {
        let mut tried = 0;
        while open < run.size.window && tried < clients {
            tried += 1;
            sender = (sender + 1) % clients;
            let now_ns = run.engine.now_ns();
            if since_ns[sender] != 0 || next_ns[sender] > now_ns {
                continue;
            }
            (since_ns[sender], next_ns[sender]) = (now_ns, now_ns + SEND_SPACING_NS);
            let stamp = Stamp {
                sender: sender as u32,
                number: sent as u32,
                due_ns: now_ns,
            };
            stamp.write(&mut body, run.size.bytes);
            // More receivers than can fill up, none of whom ever logs in.
            let peer = format!("away{}", sent % 100_000);
            let body = &body;
            say(run, sender, |tidings, out| {
                tidings.send_to(sender, peer, body, true, out);
            })?;
            sent += 1;
            open += 1;
        }
        let (now_ns, turn_began) = (run.engine.now_ns(), Instant::now());
        let mut refused = None;
        run.engine
            .turn(Duration::from_millis(2), &mut |link, news| match news {
                News::Answered(_) => {
                    let now_ns = now_ns + turn_began.elapsed().as_nanos() as u64;
                    latency.saturating_record(now_ns.saturating_sub(since_ns[link]).max(1));
                    since_ns[link] = 0;
                    open -= 1;
                    done += 1;
                }
                News::Refused(why) => refused = Some(why),
                _ => {}
            })?;
        refused
            .map_or(Ok(()), Err)
            .map_err(anyhow::Error::msg)
            .context("a message was refused")?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ns = run.cost()?.cpu_ns - before.cpu_ns;
    let mut report = Report::default();
    report.set("stored_per_s", done as f64 / seconds);
    report.set("cpu_us_per_message", cpu_ns as f64 / 1e3 / done as f64);
    report.latencies(&latency);
    Ok(report)
}
