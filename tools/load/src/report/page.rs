//! The text of the document.

use std::fmt::Write as _;

use super::day::day;
use super::goals::{Verdict, verdicts};
use super::plots::Plot;
use super::record::{Case, Record, Series, title};
use super::scale::scale;
use crate::compare::digits;
use crate::scenario::Name;

const METHOD: &str = "\
Each figure is the median of its rounds; in a round every server is started afresh, loaded by a process of its own, and stopped, one after the other, so that what else happens on the machine happens to all of them. \
CPU is user and system time of all threads of the server, and memory its resident pages, as the operating system counts them. \
Every message carries its sender, its number and the time at which it was due: lost, doubled and disordered ones are counted, the worst round tells, and latency counts from when a message was due, sent late or not. \
Saturated means as fast as it goes without loss: a room's window of messages is on its way, and the next one follows when the last member has one. \
Our server runs with all its promises switched on: sessions, order, resume, receipts, rate limits. \
The others run with the settings that are best for them in this comparison and promise less. All servers run on one core (one hub, one thread, one loop).

The floor is a server that only moves frames: no sessions, no promises. It says what the kernel charges for one write per frame, or for 16 frames in a write.
";

const COMMANDS: &str = "\
```sh
cargo xtask performance          # everything; --quick for less of it in a few minutes
target/release/tidings-load compare fanout --members 1000 --bytes 128
```

The first installs the other servers by name (`tools/load/peers/install.sh`), builds, measures, and makes this page and its plots anew.
";

/// What the figures of a series cannot say.
const LIMITS: &str = "\
- Generator and server share the cores of one machine; latencies at saturation are those of full queues, not of a network.
- Centrifugo itself is in none of the registries from which peers are installed here (npm, crates.io, Debian). Its engine is, in an older release that Debian has, with its protocol of that time; for Centrifugo there is a driver, which loads a server that runs already (`peers/README.md`).
- nchan gives a connection one channel, by its path: it has fan-outs and logins, no pairs. Redis has no WebSocket; ejabberd (Debian) has no driver.
- The clients' heartbeats are those of the protocol, every 10 s.
- A node takes 10,000 logins a second, and tells whoever comes beyond that when to come again: logins a second are that limit, not what the CPU could do, and come-agains are part of the CPU per login.
- The storm's time is also the kernel's: whom a full queue of new connections turns away comes again after 1, 2, 4 and more seconds.
- With few rounds, and other work on the machine, differences below a tenth say nothing.
";

/// The tables in order: comparison, heading, figures.
const TABLES: [(Case, &str, &[&str]); 11] = [
    (Case::Paced, "Fan-out, paced", &PACED),
    (Case::HalfLoad, "Fan-out at half load", &PACED),
    (
        Case::Other(Name::Pairs),
        "Pairs: a message and its receipt",
        &[
            "cpu_us_per_message",
            "messages_per_s",
            "latency_p50_us",
            "latency_p99_us",
        ],
    ),
    (
        Case::Other(Name::Idle),
        "Idle connections",
        &["bytes_per_connection", "cpu_us_per_connection_second"],
    ),
    (
        Case::Other(Name::Login),
        "Logins",
        &["cpu_us_per_login", "logins_per_s"],
    ),
    (
        Case::Other(Name::Storm),
        "Login storm: all at once, over several servers",
        &[
            "server_processes",
            "clients",
            "refused",
            "told_to_come_again",
            "told_twice",
            "seconds_until_all_are_in",
            "cpu_us_per_login",
        ],
    ),
    (
        Case::Other(Name::Scale),
        "Idle connections by the hundred thousand, over several servers",
        &[
            "server_processes",
            "bytes_per_connection",
            "generator_bytes_per_connection",
            "machine_bytes_per_connection",
            "cpu_us_per_connection_second",
        ],
    ),
    (
        Case::Other(Name::Join),
        "Join storm: all into one channel",
        &["cpu_us_per_join", "joins_per_s"],
    ),
    (
        Case::Other(Name::Presence),
        "Presence: watchers told",
        &["cpu_us_per_event", "events_per_s"],
    ),
    (
        Case::Other(Name::Attributes),
        "Channel attributes: members told",
        &["cpu_us_per_event", "events_per_s"],
    ),
    (
        Case::Other(Name::Offline),
        "Offline messages, stored",
        &[
            "cpu_us_per_message",
            "stored_per_s",
            "latency_p50_us",
            "latency_p99_us",
        ],
    ),
];

const PACED: [&str; 4] = [
    "cpu_us_per_delivery",
    "latency_p50_us",
    "latency_p99_us",
    "latency_p999_us",
];

/// Writes the document.
pub(super) fn page(series: &Series, plots: &[Plot]) -> String {
    let verdicts = verdicts(series);
    let mut out = String::from(
        "# Performance\n\nMade by `cargo xtask performance`; not edited by hand. Figures of one machine in one series: the ratios carry over, the microseconds do not.\n\n",
    );
    goals(&mut out, &verdicts);
    fanout(&mut out, series);
    for plot in plots {
        let _ = writeln!(out, "![{}](performance/{}.svg)\n", plot.caption, plot.file);
    }
    for (case, heading, figures) in TABLES {
        table(&mut out, series, case, heading, figures);
        if case == Case::Other(Name::Scale) {
            scale(&mut out, series);
        }
    }
    day(&mut out, series);
    hub(&mut out, series);
    faults(&mut out, series);
    let _ = writeln!(out, "## Method\n\n{METHOD}\n{COMMANDS}");
    machine(&mut out, series);
    out.push_str("## What is not good yet\n\n");
    for verdict in verdicts.iter().filter(|verdict| !verdict.is_met()) {
        let Verdict {
            what,
            against,
            goal,
            found,
            ..
        } = verdict;
        let against = match against.as_str() {
            "–" => String::new(),
            against => format!(" of {against}"),
        };
        let _ = writeln!(out, "- {what}: {found}{against}, the goal is {goal}.");
    }
    out + LIMITS
}

fn goals(out: &mut String, verdicts: &[Verdict]) {
    let met = verdicts.iter().filter(|verdict| verdict.is_met()).count();
    let _ = writeln!(
        out,
        "## Goals\n\n{met} of {} are met. Multiples are of Tidings to the other in the same comparison.\n",
        verdicts.len()
    );
    out.push_str("| what | against | goal | found | |\n| --- | --- | ---: | ---: | --- |\n");
    for verdict in verdicts {
        let Verdict {
            what,
            against,
            goal,
            found,
            ..
        } = verdict;
        let _ = writeln!(
            out,
            "| {what} | {against} | {goal} | {found} | {} |",
            verdict.text()
        );
    }
    out.push('\n');
}

/// CPU per delivery by size, and the rates.
fn fanout(out: &mut String, series: &Series) {
    let sizes = series.fanouts();
    if sizes.is_empty() {
        return;
    }
    let mut servers: Vec<&str> = Vec::new();
    for record in series.of(Case::Other(Name::Fanout)) {
        if !servers.contains(&record.server.as_str()) {
            servers.push(&record.server);
        }
    }
    let heading: Vec<String> = sizes
        .iter()
        .map(|(members, bytes)| format!("{members} members, {bytes} B"))
        .collect();
    let parts = [
        (
            "cpu_us_per_delivery",
            "Server CPU per delivery in µs; in brackets as a multiple of the floor's one write per frame",
        ),
        (
            "deliveries_per_s",
            "Deliveries a second, generator on the same machine",
        ),
    ];
    out.push_str("## Fan-out, saturated\n\n");
    for (figure, text) in parts {
        let _ = writeln!(out, "{text}:\n\n| server | {} |", heading.join(" | "));
        let _ = writeln!(out, "| --- |{}", " ---: |".repeat(sizes.len()));
        for server in &servers {
            let cells: Vec<String> = sizes
                .iter()
                .map(|(members, bytes)| {
                    let case = Case::Fanout(*members, *bytes);
                    let Some(value) = series.figure(case, server, figure) else {
                        return String::new();
                    };
                    match series.figure(case, "floor", figure) {
                        Some(floor) if figure.starts_with("cpu") && *server != "floor" => {
                            format!("{} ({}×)", digits(value), digits(value / floor))
                        }
                        _ => digits(value),
                    }
                })
                .collect();
            let _ = writeln!(out, "| {} | {} |", title(server), cells.join(" | "));
        }
        out.push('\n');
    }
}

/// Servers of one comparison, a row each.
fn table(out: &mut String, series: &Series, case: Case, heading: &str, figures: &[&str]) {
    let records = series.of(case);
    let Some(first) = records.first() else {
        return;
    };
    let _ = writeln!(out, "## {heading}\n\n{}.\n", load(case, first));
    let names: Vec<String> = figures.iter().map(|figure| words(figure)).collect();
    let _ = writeln!(out, "| server | {} |", names.join(" | "));
    let _ = writeln!(out, "| --- |{}", " ---: |".repeat(figures.len()));
    for record in records {
        let cells: Vec<String> = figures
            .iter()
            .map(|figure| {
                record
                    .figures
                    .get(*figure)
                    .map_or(String::new(), |value| digits(*value))
            })
            .collect();
        let _ = writeln!(out, "| {} | {} |", title(&record.server), cells.join(" | "));
    }
    out.push('\n');
}

/// How much was done, in words.
fn load(case: Case, record: &Record) -> String {
    let size = &record.size;
    let mut text = format!("{} clients", size.clients);
    let has_bodies = !matches!(
        record.scenario,
        Name::Idle
            | Name::Scale
            | Name::Login
            | Name::Storm
            | Name::Join
            | Name::Presence
            | Name::Attributes
    );
    if has_bodies {
        let _ = write!(text, ", {} bytes a message", size.bytes);
    }
    match case {
        Case::Paced | Case::HalfLoad => {
            let _ = write!(
                text,
                ", rooms of {}, {} deliveries a second",
                size.members, size.rate
            );
        }
        Case::Other(Name::Pairs | Name::Offline) => {
            let _ = write!(text, ", {} on their way at once", size.window);
        }
        _ => {}
    }
    let _ = write!(text, "; median of {}", record.rounds);
    text
}

/// A figure's name for readers: `cpu_us_per_delivery` is `cpu per delivery, µs`.
fn words(figure: &str) -> String {
    match figure {
        "bytes_per_connection" => "resident bytes per connection".into(),
        "clients" => "clients in".into(),
        "cpu_us_per_connection_second" => "CPU per connection and second, µs".into(),
        _ => {
            let words = figure.replace('_', " ").replace(" per s", " a second");
            let words = words.replacen("cpu", "CPU", 1).replace("p999", "p99.9");
            match words.strip_suffix(" us") {
                Some(rest) => format!("{rest}, µs"),
                None if words.contains(" us ") => words.replacen(" us ", " ", 1) + ", µs",
                None => words,
            }
        }
    }
}

/// The hub without sockets.
fn hub(out: &mut String, series: &Series) {
    let Some(hub) = &series.hub else {
        return;
    };
    let users: Vec<&String> = hub
        .ns
        .get("login")
        .into_iter()
        .flatten()
        .map(|(n, _)| n)
        .collect();
    let heads: Vec<String> = users.iter().map(|users| format!("{users} users")).collect();
    let _ = writeln!(
        out,
        "## The hub without sockets\n\n{} million deliveries a second and core, to 1,000 members who confirm them. CPU of one operation in ns; `fan_out` is one delivery to a channel of all users, `presence` one watcher told, `publish` a message to a channel of ten:\n",
        digits(hub.deliveries_per_s / 1e6)
    );
    let _ = writeln!(out, "| operation | {} |", heads.join(" | "));
    let _ = writeln!(out, "| --- |{}", " ---: |".repeat(users.len()));
    for (name, figures) in &hub.ns {
        let cells: Vec<String> = figures.values().map(|ns| format!("{ns:.0}")).collect();
        let _ = writeln!(out, "| `{name}` | {} |", cells.join(" | "));
    }
    out.push_str("\nUp to 10,000 users an operation executes the same number of instructions, which the gate holds (`cargo xtask instructions`): what grows are misses of the processor's caches. At 100,000 a table of the hub that doubles in the middle of the thousand measured operations shows as well.\n\n");
}

fn faults(out: &mut String, series: &Series) {
    out.push_str("## Lost, doubled, disordered\n\n");
    let mut is_clean = true;
    for record in &series.records {
        let count = |name: &str| record.figures.get(name).copied().unwrap_or_default();
        let (lost, doubled, disordered) = (count("lost"), count("doubled"), count("disordered"));
        if lost + doubled + disordered > 0.0 {
            is_clean = false;
            let _ = writeln!(
                out,
                "- {}, {}, {} members, {} bytes: {lost} lost, {doubled} doubled, {disordered} disordered",
                title(&record.server),
                record.scenario.word(),
                record.size.members,
                record.size.bytes
            );
        }
    }
    if is_clean {
        out.push_str("Nothing, at no server, in no round.\n");
    }
    out.push('\n');
}

fn machine(out: &mut String, series: &Series) {
    let machine = &series.machine;
    let _ = writeln!(
        out,
        "## Machine and versions\n\n{}, {} cores, {:.1} GiB; Linux {}; {} open files a process.\n",
        machine.cpu,
        machine.cores,
        machine.memory_mib as f64 / 1024.0,
        machine.kernel,
        machine.open_files_max
    );
    if !series.absent.is_empty() {
        let names: Vec<&str> = series.absent.iter().map(|name| title(name)).collect();
        let _ = writeln!(
            out,
            "Left out, because they could not be started here: {}.\n",
            names.join("; ")
        );
    }
    for (name, version) in &machine.versions {
        let _ = writeln!(out, "- {}: {version}", title(name).replace("**", ""));
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::line;
    use super::*;

    #[test]
    fn names_of_figures_have_their_units_behind() {
        let cases = [
            ("cpu_us_per_delivery", "CPU per delivery, µs"),
            ("latency_p999_us", "latency p99.9, µs"),
            ("logins_per_s", "logins a second"),
        ];
        for (figure, text) in cases {
            assert_eq!(words(figure), text);
        }
    }

    #[test]
    fn a_page_has_tables_with_ratios_and_names_what_is_missed() {
        let cpu = |value, lost| format!(r#""cpu_us_per_delivery":{value},"lost":{lost}"#);
        let text = line("fanout", "floor", 0, &cpu(2.0, 0))
            + &line("fanout", "uws", 0, &cpu(0.5, 3))
            + &line("fanout", "tidings", 0, &cpu(1.0, 0));
        let series = Series::parse(&text).expect("these are lines of a series");
        let page = page(&series, &[]);
        for part in [
            "0 of 1 are met",
            "| **Tidings** | 1.00 (0.500×) |",
            "**missed, 2.00× the bound**",
            "2.00× of uWebSockets (Bun), the goal is ≤ 1×",
            "uWebSockets (Bun), fanout, 1000 members, 128 bytes: 3 lost",
        ] {
            assert!(page.contains(part), "{part:?} is not in\n{page}");
        }
        assert!(!page.contains("## Pairs"), "there are no figures for it");
    }
}
