//! The lines of a series, and finding figures in them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::hub::Hub;
use crate::machine::Machine;
use crate::scenario::{Name, Size};

/// One server in one comparison.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Record {
    pub(crate) scenario: Name,
    pub(crate) server: String,
    pub(crate) size: Size,
    pub(crate) rounds: usize,
    pub(crate) figures: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Machine { machine: Machine },
    Hub { hub: Hub },
    Absent { absent: Vec<String> },
    Record(Record),
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) machine: Machine,
    /// The hub without sockets, if that was measured.
    pub(crate) hub: Option<Hub>,
    /// Servers that could not be started.
    pub(crate) absent: Vec<String>,
    pub(crate) records: Vec<Record>,
}

/// Rate of the paced scenario at full load; any other is half load.
pub(crate) const PACED_RATE: u64 = 20_000;

/// Which comparison is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Saturated, members and bytes
    Fanout(usize, usize),
    Paced,
    HalfLoad,
    Other(Name),
}

impl Case {
    fn is(self, record: &Record) -> bool {
        let size = &record.size;
        match self {
            Self::Fanout(members, bytes) => {
                record.scenario == Name::Fanout && (size.members, size.bytes) == (members, bytes)
            }
            Self::Paced => record.scenario == Name::FanoutPaced && size.rate == PACED_RATE,
            Self::HalfLoad => record.scenario == Name::FanoutPaced && size.rate != PACED_RATE,
            Self::Other(name) => record.scenario == name,
        }
    }
}

impl Series {
    /// Reads lines; empty ones are passed over.
    ///
    /// # Errors
    /// If a line is neither a machine nor figures.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut series = Self::default();
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
        {
            let line = serde_json::from_str(line)
                .with_context(|| format!("line {} is not of a series", number + 1))?;
            match line {
                Line::Machine { machine } => series.machine = machine,
                Line::Hub { hub } => series.hub = Some(hub),
                Line::Absent { absent } => series.absent = absent,
                Line::Record(record) => series.records.push(record),
            }
        }
        Ok(series)
    }

    /// Servers of a comparison, in the order of the lines.
    pub(crate) fn of(&self, case: Case) -> Vec<&Record> {
        let is_meant = |record: &&Record| case.is(record);
        self.records.iter().filter(is_meant).collect()
    }

    /// A figure of a server; the latest when there are several.
    pub(crate) fn figure(&self, case: Case, server: &str, figure: &str) -> Option<f64> {
        let records = self.of(case);
        let record = records
            .iter()
            .rev()
            .find(|record| record.server == server)?;
        record.figures.get(figure).copied()
    }

    /// Members and bytes of the saturated fan-outs, ascending.
    pub(crate) fn fanouts(&self) -> Vec<(usize, usize)> {
        let mut sizes: Vec<(usize, usize)> = self
            .of(Case::Other(Name::Fanout))
            .iter()
            .map(|record| (record.size.members, record.size.bytes))
            .collect();
        sizes.sort_by_key(|(members, bytes)| (*bytes, *members));
        sizes.dedup();
        sizes
    }
}

/// What a reader calls a server.
pub(crate) fn title(server: &str) -> &str {
    match server {
        "floor" => "floor: one write per frame",
        "floor-16" => "floor: 16 frames per write",
        "uws" => "uWebSockets (Bun)",
        "nats" => "nats-server, WebSocket",
        "tidings" => "**Tidings**",
        "tidings-tls" => "**Tidings** with TLS",
        "centrifuge" => "Centrifuge (engine of Centrifugo)",
        "sockudo" => "sockudo",
        "nchan" => "nginx + nchan",
        "ws" => "Node `ws`",
        "socketio" => "Socket.IO",
        "mosquitto" => "Mosquitto, WebSocket",
        other => other,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A line as `compare` writes it.
    pub(crate) fn line(scenario: &str, server: &str, rate: u64, figures: &str) -> String {
        format!(
            r#"{{"scenario":"{scenario}","server":"{server}","rounds":3,"figures":{{{figures}}},"size":{{"clients":1000,"members":1000,"bytes":128,"seconds":1,"rate":{rate},"window":64,"first":0}}}}"#
        ) + "\n"
    }

    #[test]
    fn half_load_is_told_from_paced_by_its_rate() {
        let text = line("fanout-paced", "floor", 20_000, r#""x":1.0"#)
            + &line("fanout-paced", "floor", 90_000, r#""x":2.0"#);
        let series = Series::parse(&text).expect("these are lines of a series");
        assert_eq!(series.figure(Case::Paced, "floor", "x"), Some(1.0));
        assert_eq!(series.figure(Case::HalfLoad, "floor", "x"), Some(2.0));
        assert_eq!(series.figure(Case::HalfLoad, "nats", "x"), None);
    }

    #[test]
    fn the_hub_without_sockets_is_a_line_of_its_own() {
        let text =
            r#"{"hub":{"deliveries_per_s":5e7,"ns":{"login":{"1000":2839.5,"10000":3137}}}}"#;
        let series = Series::parse(text).expect("this is a line of a series");
        let hub = series.hub.expect("the line is of the hub");
        assert_eq!(hub.ns["login"]["10000"], 3137.0);
    }

    #[test]
    fn a_foreign_line_is_named() {
        let error = Series::parse("\n{\"a\":1}\n").expect_err("it is not of a series");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
