//! Logged in and idle; and everybody logging in at once.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::coming::Coming;
use super::{Report, Run};
use crate::drivers::News;
use crate::measure::cost;

/// How long a storm may make no progress: the kernel's pauses between attempts double, up to 32 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// Memory of an empty server, then of one with everybody logged in; CPU per second while idle.
pub(super) fn run(run: &mut Run<'_>) -> Result<Report> {
    let empty = run.cost()?;
    let clients = run.size.clients;
    run.log_in(clients)?;
    run.settle(Duration::from_secs(3))?;
    run.meet()?;
    let full = run.cost()?;
    let began = Instant::now();
    run.settle(Duration::from_secs(run.size.seconds))?;
    let seconds = began.elapsed().as_secs_f64();
    let after = run.cost()?;
    let clients_cost = cost(&[std::process::id()])?;
    let each = |bytes: u64| bytes.saturating_sub(empty.resident_bytes) as f64 / clients as f64;
    let mut report = Report::default();
    report.set("clients", clients as f64);
    report.set("server_empty_bytes", empty.resident_bytes as f64);
    report.set("bytes_per_connection", each(after.resident_bytes));
    let own = clients_cost.resident_bytes as f64 / clients as f64;
    report.set("generator_bytes_per_connection", own);
    report.set(
        "cpu_us_per_connection_second",
        (after.cpu_ns - full.cpu_ns) as f64 / 1e3 / seconds / clients as f64,
    );
    report.set(
        "cpu_us_per_login",
        (full.cpu_ns - empty.cpu_ns) as f64 / 1e3 / clients as f64,
    );
    Ok(report)
}

/// Logins in succession, a few hundred at a time.
///
/// It ends before a heartbeat is due, so that its cost is that of logging in.
pub(super) fn logins(run: &mut Run<'_>) -> Result<Report> {
    let before = run.cost()?;
    let clients = run.size.clients;
    let began = Instant::now();
    run.log_in(clients)?;
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ns = run.cost()?.cpu_ns - before.cpu_ns;
    let mut report = Report::default();
    report.set("logins_per_s", clients as f64 / seconds);
    report.set("cpu_us_per_login", cpu_ns as f64 / 1e3 / clients as f64);
    Ok(report)
}

/// All connections are opened at once, and everybody waits until it is admitted.
pub(super) fn storm(run: &mut Run<'_>) -> Result<Report> {
    run.meet()?;
    let before = run.cost()?;
    let clients = run.size.clients;
    let began = Instant::now();
    let (mut done, mut refused, mut last) = (0, 0_u64, (Instant::now(), 0));
    let mut coming = Coming::default();
    for _ in 0..clients {
        run.engine.connect()?;
        if run.engine.links().is_multiple_of(256) {
            run.engine.turn(
                Duration::ZERO,
                &mut count(&mut done, &mut refused, &mut coming),
            )?;
        }
    }
    while done < clients {
        coming.connect_due(&mut run.engine)?;
        run.engine.turn(
            Duration::from_millis(20),
            &mut count(&mut done, &mut refused, &mut coming),
        )?;
        if done != last.1 {
            last = (Instant::now(), done);
        } else if last.0.elapsed() > PATIENCE {
            bail!(
                "{done} of {clients} are in, and no more came for {} s",
                PATIENCE.as_secs()
            );
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ns = run.cost()?.cpu_ns - before.cpu_ns;
    let mut report = Report::default();
    report.set("logins_per_s", clients as f64 / seconds);
    report.set("seconds_until_all_are_in", seconds);
    report.set("cpu_us_per_login", cpu_ns as f64 / 1e3 / clients as f64);
    report.set("clients", clients as f64);
    report.set("refused", refused as f64);
    report.set("told_to_come_again", coming.clients(1) as f64);
    report.set("told_twice", coming.clients(2) as f64);
    Ok(report)
}

fn count<'a>(
    done: &'a mut usize,
    refused: &'a mut u64,
    coming: &'a mut Coming,
) -> impl FnMut(usize, News<'_>) + 'a {
    |link, news| match news {
        News::LoggedIn => *done += 1,
        News::ComeAgain(after_ms) => coming.is_turned_away(link, after_ms),
        News::Refused(_) => *refused += 1,
        _ => {}
    }
}
