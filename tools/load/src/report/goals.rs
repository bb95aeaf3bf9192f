//! The project's promises about speed, compared with a series.

use super::record::{Case, Series};
use crate::compare::digits;
use crate::scenario::Name;

/// A promise and what was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    /// What it is compared with.
    pub(crate) against: String,
    /// The bound, with its unit or as a multiple.
    pub(crate) goal: String,
    pub(crate) found: String,
    /// By which factor the bound is missed; at most 1 when it is met.
    pub(crate) excess: f64,
}

impl Verdict {
    pub(crate) fn is_met(&self) -> bool {
        self.excess <= 1.0
    }

    /// `met`, or by how much it is missed.
    pub(crate) fn text(&self) -> String {
        if self.is_met() {
            "met".into()
        } else {
            format!("**missed, {}× the bound**", beyond_one(self.excess))
        }
    }
}

/// A number above 1 with two decimals, or as many as it takes to see that it is above.
fn beyond_one(number: f64) -> String {
    (2..6)
        .map(|decimals| format!("{number:.decimals$}"))
        .find(|text| text.trim_end_matches('0') != "1.")
        .unwrap_or_else(|| number.to_string())
}

const PEERS: [&str; 8] = [
    "uws",
    "nats",
    "centrifuge",
    "sockudo",
    "nchan",
    "ws",
    "socketio",
    "mosquitto",
];

/// All promises that the series has figures for, in the order of the document.
pub(crate) fn verdicts(series: &Series) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let cpu = "cpu_us_per_delivery";
    for (members, bytes) in series.fanouts() {
        let what = format!("fan-out saturated, {members} members, {bytes} bytes: CPU per delivery");
        let case = Case::Fanout(members, bytes);
        verdicts.extend(ratio(series, &what, case, cpu, "uws", 1.0));
        verdicts.extend(ratio(series, &what, case, cpu, "nats", 0.3));
        verdicts.extend(ratio(series, &what, case, cpu, "centrifuge", 0.25));
        verdicts.extend(ratio(series, &what, case, cpu, "sockudo", 0.1));
    }
    let what = "fan-out paced: CPU per delivery";
    verdicts.extend(ratio(series, what, Case::Paced, cpu, "floor", 1.1));
    for peer in PEERS {
        verdicts.extend(ratio(series, what, Case::Paced, cpu, peer, 1.0));
    }
    let pairs = Case::Other(Name::Pairs);
    let what = "pairs, saturated: CPU per message with its receipt";
    for (peer, goal) in [("uws", 1.2), ("nats", 0.6), ("centrifuge", 0.3)] {
        verdicts.extend(ratio(series, what, pairs, "cpu_us_per_message", peer, goal));
    }
    let what = "latency at half load: p99 of the last of 1,000 members";
    verdicts.extend(ratio(
        series,
        what,
        Case::HalfLoad,
        "latency_p99_us",
        "floor",
        1.2,
    ));
    let what = "login storm: CPU per login";
    let login = Case::Other(Name::Login);
    let figure = "cpu_us_per_login";
    verdicts.extend(ratio(series, what, login, figure, "uws", 2.0));
    verdicts.extend(ratio(series, what, login, figure, "centrifuge", 0.5));
    verdicts.extend(storm(series));
    verdicts.extend(bounds(series));
    verdicts.extend(day(series));
    verdicts.extend(series.hub.as_ref().map(|hub| Verdict {
        what: "hub without sockets: deliveries".into(),
        against: "–".into(),
        goal: "≥ 20 million/s per core".into(),
        found: format!("{} million/s", digits(hub.deliveries_per_s / 1e6)),
        excess: 20e6 / hub.deliveries_per_s.max(f64::MIN_POSITIVE),
    }));
    verdicts
}

/// Everybody who connects at once is admitted. A client that is told to retry later is not told so
/// a second time.
fn storm(series: &Series) -> Option<Verdict> {
    let figure = |name| series.figure(Case::Other(Name::Storm), "tidings", name);
    let (clients, refused, twice) = (
        figure("clients")?,
        figure("refused")?,
        figure("told_twice")?,
    );
    Some(Verdict {
        what: format!("login storm: {clients} at once"),
        against: "–".into(),
        goal: "all in, none refused twice".into(),
        found: format!("all in, {refused} refused, {twice} told to come again twice"),
        excess: 1.0 + (refused + twice) / clients,
    })
}

/// A mixed day violates no promise.
fn day(series: &Series) -> Option<Verdict> {
    let figure = |name| series.figure(Case::Other(Name::Day), "tidings", name);
    let (lost, doubled, disordered) = (figure("lost")?, figure("doubled")?, figure("disordered")?);
    Some(Verdict {
        what: "mixed day: lost, doubled, disordered".into(),
        against: "–".into(),
        goal: "0".into(),
        found: format!("{lost}, {doubled}, {disordered}"),
        excess: 1.0 + lost + doubled + disordered,
    })
}

/// Tidings' figure as a multiple of a peer's in the same comparison.
fn ratio(
    series: &Series,
    what: &str,
    case: Case,
    figure: &str,
    peer: &str,
    goal: f64,
) -> Option<Verdict> {
    let ours = series.figure(case, "tidings", figure)?;
    let theirs = series
        .figure(case, peer, figure)
        .filter(|value| *value > 0.0)?;
    Some(Verdict {
        what: what.into(),
        against: super::record::title(peer).into(),
        goal: format!("≤ {goal}×"),
        found: format!("{}×", digits(ours / theirs)),
        excess: ours / theirs / goal,
    })
}

/// Promises with units of their own.
fn bounds(series: &Series) -> Vec<Verdict> {
    let of = |server: &str, name, figure: &str, what: &str, goal: f64, unit: &str, scale: f64| {
        let found = series.figure(Case::Other(name), server, figure)? / scale;
        Some(Verdict {
            what: what.into(),
            against: "–".into(),
            goal: format!("≤ {goal} {unit}"),
            found: format!("{} {unit}", digits(found)),
            excess: found / goal,
        })
    };
    let at_most = |name, figure: &str, what: &str, goal, unit: &str, scale| {
        of("tidings", name, figure, what, goal, unit, scale)
    };
    let idle_bytes = "idle connection, logged in: resident memory of the server";
    let idle_cpu = "idle connection: CPU per second";
    let offline = "offline messages: time until acknowledged, p99";
    let stored = series.figure(Case::Other(Name::Offline), "tidings", "stored_per_s");
    [
        at_most(
            Name::Idle,
            "bytes_per_connection",
            idle_bytes,
            2048.0,
            "bytes",
            1.0,
        ),
        of(
            "tidings-tls",
            Name::Idle,
            "bytes_per_connection",
            "the same with TLS",
            12_288.0,
            "bytes",
            1.0,
        ),
        at_most(
            Name::Idle,
            "cpu_us_per_connection_second",
            idle_cpu,
            1.5,
            "µs",
            1.0,
        ),
        stored.map(|found| Verdict {
            what: "offline messages, stored before they are acknowledged".into(),
            against: "–".into(),
            goal: "≥ 50000/s".into(),
            found: format!("{}/s", digits(found)),
            excess: 50_000.0 / found.max(f64::MIN_POSITIVE),
        }),
        at_most(Name::Offline, "latency_p99_us", offline, 50.0, "ms", 1000.0),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::line;
    use super::*;

    #[test]
    fn a_bound_that_is_missed_by_little_is_seen_to_be_missed() {
        let seen = [1.003, 1.000_4, 1.07, 2.0].map(beyond_one);
        assert_eq!(seen, ["1.003", "1.0004", "1.07", "2.00"]);
    }

    #[test]
    fn ratios_are_of_one_comparison_and_say_by_how_much_a_goal_is_missed() {
        let cpu = |value| format!("\"cpu_us_per_delivery\":{value}");
        let text = line("fanout", "uws", 0, &cpu(0.5))
            + &line("fanout", "nats", 0, &cpu(2.0))
            + &line("fanout", "tidings", 0, &cpu(0.55));
        let series = Series::parse(&text).expect("these are lines of a series");
        let verdicts = verdicts(&series);
        let texts: Vec<String> = verdicts.iter().map(Verdict::text).collect();
        assert_eq!(texts, ["**missed, 1.10× the bound**", "met"]);
        assert_eq!(verdicts[0].found, "1.10×");
        assert_eq!(verdicts[1].found, "0.275×");
    }

    #[test]
    fn a_storm_and_a_day_break_no_promise() {
        let text = line(
            "storm",
            "tidings",
            0,
            r#""clients":50000.0,"refused":0.0,"told_twice":2.0"#,
        ) + &line(
            "day",
            "tidings",
            0,
            r#""lost":0.0,"doubled":0.0,"disordered":0.0"#,
        );
        let series = Series::parse(&text).expect("these are lines of a series");
        let met: Vec<bool> = verdicts(&series).iter().map(Verdict::is_met).collect();
        assert_eq!(met, [false, true]);
    }

    #[test]
    fn too_few_stored_messages_miss_their_goal() {
        let text = line(
            "offline",
            "tidings",
            0,
            r#""stored_per_s":25000.0,"latency_p99_us":40000.0"#,
        );
        let series = Series::parse(&text).expect("this is a line of a series");
        let texts: Vec<String> = verdicts(&series).iter().map(Verdict::text).collect();
        assert_eq!(texts, ["**missed, 2.00× the bound**", "met"]);
    }
}
