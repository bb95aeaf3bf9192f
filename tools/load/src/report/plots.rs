//! The plots of the document.

use super::record::{Case, Record, Series, title};
use super::svg::{Labels, Line, bars, lines};
use crate::scenario::Name;
use crate::scenario::blend::LOGIN;

/// A drawn plot.
pub(crate) struct Plot {
    /// Name of its file, without the extension.
    pub(crate) file: &'static str,
    /// What it shows.
    pub(crate) caption: &'static str,
    pub(crate) svg: String,
}

/// All plots that the series has figures for.
pub(super) fn all(series: &Series) -> Vec<Plot> {
    let plots = [
        cpu(series),
        latency(series),
        day(series),
        memory(series),
        growth(series),
    ];
    plots.into_iter().flatten().collect()
}

fn cpu(series: &Series) -> Option<Plot> {
    let sizes: Vec<usize> = series
        .fanouts()
        .into_iter()
        .filter(|(_, bytes)| *bytes == 128)
        .map(|(members, _)| members)
        .collect();
    if sizes.len() < 2 {
        return None;
    }
    let marks: Vec<(f64, String)> = sizes
        .iter()
        .map(|members| ((*members as f64).log10(), members.to_string()))
        .collect();
    let of_server = |server: &String| Line {
        name: plain(server),
        points: sizes
            .iter()
            .filter_map(|members| {
                let case = Case::Fanout(*members, 128);
                let value = series.figure(case, server, "cpu_us_per_delivery")?;
                Some(((*members as f64).log10(), value))
            })
            .collect(),
    };
    let labels = Labels {
        title: "Fan-out, saturated, 128 bytes",
        x: "members of the room (log scale)",
        y: "server CPU per delivery, µs (log scale)",
    };
    let drawn: Vec<Line> = servers(&series.of(Case::Other(Name::Fanout)))
        .iter()
        .map(of_server)
        .collect();
    Some(Plot {
        file: "cpu-per-delivery",
        caption: "Server CPU per delivery against members of a room",
        svg: lines(&labels, &marks, &drawn),
    })
}

fn latency(series: &Series) -> Option<Plot> {
    let records = series.of(Case::HalfLoad);
    if records.is_empty() {
        return None;
    }
    const QUANTILES: [(&str, &str); 5] = [
        ("latency_p50_us", "p50"),
        ("latency_p90_us", "p90"),
        ("latency_p99_us", "p99"),
        ("latency_p999_us", "p99.9"),
        ("latency_max_us", "max"),
    ];
    let marks: Vec<(f64, String)> = QUANTILES
        .iter()
        .enumerate()
        .map(|(at, (_, name))| (at as f64, (*name).to_owned()))
        .collect();
    let drawn: Vec<Line> = records
        .iter()
        .map(|record| Line {
            name: plain(&record.server),
            points: QUANTILES
                .iter()
                .enumerate()
                .filter_map(|(at, (figure, _))| {
                    Some((at as f64, record.figures.get(*figure)? / 1e3))
                })
                .collect(),
        })
        .collect();
    let labels = Labels {
        title: "Fan-out to 1,000 at half load: the last member has it",
        x: "percentile of messages",
        y: "latency, ms (log scale)",
    };
    Some(Plot {
        file: "latency",
        caption: "Latency until the last of 1,000 members has a message, at half load",
        svg: lines(&labels, &marks, &drawn),
    })
}

/// Operations of a mixed day that are drawn: those that involve several parties, and one to
/// represent all that are a question and an answer.
const DAY: [&str; 7] = [
    "small_channel",
    "large_channel",
    "peer",
    "offline",
    "invitation",
    LOGIN,
    "members",
];

fn day(series: &Series) -> Option<Plot> {
    const QUANTILES: [&str; 3] = ["p50", "p99", "p999"];
    let figure = |name: &str, word: &str| {
        series.figure(
            Case::Other(Name::Day),
            "tidings",
            &format!("{name}_{word}_us"),
        )
    };
    let of = |name: &&str| {
        let values = QUANTILES.iter().enumerate();
        let points = values.map(|(at, word)| Some((at as f64, figure(name, word)? / 1e3)));
        Some(Line {
            name: name.replace('_', " "),
            points: points.collect::<Option<_>>()?,
        })
    };
    let drawn: Vec<Line> = DAY.iter().filter_map(of).collect();
    let names = ["p50", "p99", "p99.9"].iter().enumerate();
    let marks: Vec<(f64, String)> = names
        .map(|(at, name)| (at as f64, (*name).to_owned()))
        .collect();
    let labels = Labels {
        title: "A mixed day, by operation",
        x: "percentile of operations",
        y: "latency, ms (log scale)",
    };
    (!drawn.is_empty()).then(|| Plot {
        file: "day",
        caption: "Latency of the operations of a mixed day",
        svg: lines(&labels, &marks, &drawn),
    })
}

fn memory(series: &Series) -> Option<Plot> {
    let values: Vec<(String, f64)> = series
        .of(Case::Other(Name::Idle))
        .iter()
        .filter_map(|record| {
            let value = record.figures.get("bytes_per_connection")?;
            Some((plain(&record.server), *value))
        })
        .collect();
    if values.is_empty() {
        return None;
    }
    let labels = Labels {
        title: "An idle connection, logged in",
        x: "resident memory of the server per connection, bytes",
        y: "",
    };
    Some(Plot {
        file: "memory-per-connection",
        caption: "Resident memory of the server per idle connection",
        svg: bars(&labels, &values),
    })
}

/// Operations whose cost must not depend on how many users there are.
const GROWTH: [&str; 7] = [
    "login", "logout", "join", "leave", "publish", "peer", "watch",
];

fn growth(series: &Series) -> Option<Plot> {
    let hub = series.hub.as_ref()?;
    let of = |name: &&str| {
        let figures = hub.ns.get(*name)?;
        let point =
            |(users, ns): (&String, &f64)| Some((users.parse::<f64>().ok()?.log10(), ns / 1e3));
        Some(Line {
            name: (*name).to_owned(),
            points: figures.iter().filter_map(point).collect(),
        })
    };
    let drawn: Vec<Line> = GROWTH.iter().filter_map(of).collect();
    let mark = |users: &String| Some((users.parse::<f64>().ok()?.log10(), users.clone()));
    let marks: Vec<(f64, String)> = hub.ns.get("login")?.keys().filter_map(mark).collect();
    let labels = Labels {
        title: "One operation of a hub, without sockets",
        x: "users of the hub (log scale)",
        y: "CPU, µs (log scale)",
    };
    Some(Plot {
        file: "hub-growth",
        caption: "What an operation of the hub costs as its users grow",
        svg: lines(&labels, &marks, &drawn),
    })
}

/// Servers in the order of their first lines.
fn servers(records: &[&Record]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in records {
        if !names.contains(&record.server) {
            names.push(record.server.clone());
        }
    }
    names
}

/// A title without Markdown, short enough for a legend.
fn plain(server: &str) -> String {
    let text = title(server).replace(['*', '`'], "");
    text.split(',').next().unwrap_or_default().to_owned()
}
