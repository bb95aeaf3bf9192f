//! The costs of a hub without sockets, as a table.

use std::time::Duration;

use clap::{Parser, Subcommand};
use tidings_bench::{CONFIRM_FRAMES, Desk, Prepared, Work, measured, populate};

/// A hub alone, without sockets.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure CPU time: deliveries a second, and every operation as the hub grows
    Hub {
        /// Users of the hub, one column each
        #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
        users: Vec<usize>,
        /// Rounds of each; the least is the figure, since what disturbs only adds
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// One line of JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Do every operation once, for a program that counts instructions within `measured`; one line
    /// each: name, units
    Count {
        /// Users of the hub
        #[arg(long, default_value_t = 1000)]
        users: usize,
        /// How often, where that can be chosen
        #[arg(long, default_value_t = 100)]
        times: usize,
    },
}

/// The cost of one operation, by number of users.
type Row = (&'static str, Vec<f64>);

fn main() {
    match Cli::parse().command {
        Command::Hub {
            users,
            rounds,
            json,
        } => hub(&users, rounds.max(1), json),
        Command::Count { users, times } => {
            let mut desk = populate(users);
            each(&mut desk, users, times, |work, desk, prepared| {
                measured(desk, &prepared.steps);
                println!("{} {}", work.name(), prepared.units);
            })
        }
    }
}

fn each(
    desk: &mut Desk,
    users: usize,
    times: usize,
    mut measure: impl FnMut(Work, &mut Desk, &Prepared),
) {
    for work in Work::ALL {
        let prepared = work.prepare(desk, users, times);
        measure(work, desk, &prepared);
        if work != Work::FanOut {
            desk.confirm_all();
        }
    }
}

fn hub(users: &[usize], rounds: usize, json: bool) {
    let mut rows: Vec<Row> = Work::ALL
        .iter()
        .map(|work| (work.name(), vec![f64::INFINITY; users.len()]))
        .collect();
    let mut rate = 0.0_f64;
    for _ in 0..rounds {
        rate = rate.max(deliveries_per_s(1_000));
        for (column, users) in users.iter().enumerate() {
            let mut desk = populate(*users);
            let times = (*users / 2).min(1_000);
            each(&mut desk, *users, times, |work, desk, prepared| {
                let before = cpu();
                measured(desk, &prepared.steps);
                let ns = (cpu() - before).as_nanos() as f64 / prepared.units as f64;
                let row = rows.iter_mut().find(|(name, _)| *name == work.name());
                let least = row.map(|(_, figures)| &mut figures[column]);
                if let Some(least) = least {
                    *least = least.min(ns);
                }
            });
        }
    }
    if json {
        print_json(users, rate, &rows);
    } else {
        print_table(users, rate, &rows);
    }
}

/// Deliveries per second of CPU time: a message to this many members, repeatedly, each of whom
/// confirms.
fn deliveries_per_s(members: usize) -> f64 {
    let mut desk = populate(members);
    let (mut spent, mut deliveries) = (Duration::ZERO, 0);
    while spent < Duration::from_secs(1) {
        for _ in 0..CONFIRM_FRAMES / 8 {
            let prepared = Work::FanOut.prepare(&mut desk, members, 1);
            let (before, sent) = (cpu(), desk.sent());
            measured(&mut desk, &prepared.steps);
            spent += cpu() - before;
            // The senders' replies are not deliveries.
            deliveries += desk.sent() - sent - prepared.steps.len() as u64;
        }
        let prepared = Work::Confirm.prepare(&mut desk, members, 1);
        let before = cpu();
        measured(&mut desk, &prepared.steps);
        spent += cpu() - before;
    }
    deliveries as f64 / spent.as_secs_f64()
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

fn print_table(users: &[usize], rate: f64, rows: &[Row]) {
    println!(
        "deliveries, 1,000 members, confirmed: {:.1} million/s per core\n",
        rate / 1e6
    );
    print!("{:<12}", "ns at users");
    users.iter().for_each(|users| print!("{users:>10}"));
    println!();
    for (name, figures) in rows {
        print!("{name:<12}");
        figures.iter().for_each(|ns| print!("{ns:>10.0}"));
        println!();
    }
}

fn print_json(users: &[usize], rate: f64, rows: &[Row]) {
    let columns = |figures: &[f64]| {
        let pairs = users.iter().zip(figures);
        let texts: Vec<String> = pairs.map(|(n, ns)| format!("\"{n}\":{ns:.1}")).collect();
        texts.join(",")
    };
    let works: Vec<String> = rows
        .iter()
        .map(|(name, figures)| format!("\"{name}\":{{{}}}", columns(figures)))
        .collect();
    println!(
        "{{\"deliveries_per_s\":{rate:.0},\"ns\":{{{}}}}}",
        works.join(",")
    );
}
