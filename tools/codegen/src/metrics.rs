//! The table of metrics: `proto/metrics.toml`, and the Rust that the server writes `/metrics` by.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    pub(crate) group: Vec<Group>,
    pub(crate) alert: Vec<Alert>,
    pub(crate) panel: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) metric: Vec<Metric>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metric {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) unit: Option<Unit>,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
    pub(crate) help: String,
    /// Whatever else than 0 is a bug.
    #[serde(default)]
    pub(crate) must_be_zero: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    Bytes,
    Seconds,
}

impl Unit {
    fn suffix(self) -> &'static str {
        match self {
            Self::Bytes => "_bytes",
            Self::Seconds => "_seconds",
        }
    }
}

/// Something that somebody on call should know of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    /// For how long it has to be so.
    #[serde(rename = "for")]
    pub(crate) lasts: String,
    pub(crate) expr: String,
    /// What the notice says; with Prometheus's placeholders.
    pub(crate) summary: String,
    /// What it means, for the guide.
    pub(crate) means: String,
    /// What to do, for the guide.
    pub(crate) steps: Vec<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Page,
    Ticket,
}

impl Severity {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// A panel of the dashboard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Panel {
    /// The name of a group.
    pub(crate) row: String,
    pub(crate) title: String,
    pub(crate) kind: PanelKind,
    pub(crate) unit: String,
    pub(crate) query: Vec<Query>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PanelKind {
    Stat,
    Timeseries,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    pub(crate) expr: String,
    pub(crate) legend: String,
}

impl Metrics {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Metric> {
        self.group.iter().flat_map(|group| &group.metric)
    }

    /// What the rules of OpenMetrics and of this file ask of names.
    pub(crate) fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for metric in self.all() {
            let name = &metric.name;
            ensure!(names.insert(name), "{name} is there twice");
            ensure!(name.starts_with("tidings_"), "{name} is not of tidings");
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
            ensure!(name.chars().all(is_plain), "{name} has other characters");
            let is_counter = metric.kind == Kind::Counter;
            ensure!(
                name.ends_with("_total") == is_counter,
                "{name}: a counter, and nothing else, ends in _total"
            );
            let base = name.trim_end_matches("_total");
            for unit in [Unit::Bytes, Unit::Seconds] {
                ensure!(
                    base.ends_with(unit.suffix()) == (metric.unit == Some(unit)),
                    "{name} and its unit do not agree"
                );
            }
            ensure!(metric.help.ends_with('.'), "{name}: help is a sentence");
            let are_plain = metric
                .labels
                .iter()
                .all(|label| label.chars().all(is_plain));
            ensure!(are_plain, "{name}: a label has other characters");
            let mut alerts = self.alert.iter();
            ensure!(
                !metric.must_be_zero || alerts.any(|alert| alert.expr.contains(name)),
                "{name} must stay 0, and no alert looks at it"
            );
        }
        Ok(())
    }

    /// All expressions, each with where it stands.
    #[cfg(test)]
    pub(crate) fn expressions(&self) -> impl Iterator<Item = (&str, &str)> {
        let alerts = self.alert.iter();
        let alerts = alerts.map(|alert| (alert.name.as_str(), alert.expr.as_str()));
        let panels = self.panel.iter().flat_map(|panel| {
            let queries = panel.query.iter();
            queries.map(|query| (panel.title.as_str(), query.expr.as_str()))
        });
        alerts.chain(panels)
    }
}

/// `tidings_login_refused_total` as `LoginRefused`.
fn variant(name: &str) -> String {
    let name = name.trim_start_matches("tidings_");
    let name = name.trim_end_matches("_total");
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect()
}

/// The table as Rust.
pub(crate) fn rust(metrics: &Metrics) -> Result<String> {
    let mut out = format!(
        "{}\nuse crate::metrics::{{Kind, Row, Unit}};\n\n/// A metric: a row of `proto/metrics.toml`.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum Metric {{\n",
        super::NOTICE
    );
    let mut variants = BTreeSet::new();
    for metric in metrics.all() {
        let variant = variant(&metric.name);
        let _ = writeln!(out, "/// {}\n{variant},", metric.help);
        ensure!(
            variants.insert(variant),
            "{}: its variant is taken",
            metric.name
        );
    }
    let _ = writeln!(
        out,
        "}}\n\n/// All metrics, each at the place of its variant.\npub static METRICS: [Row; {}] = [",
        metrics.all().count()
    );
    for metric in metrics.all() {
        let unit = match metric.unit {
            None => "None",
            Some(Unit::Bytes) => "Some(Unit::Bytes)",
            Some(Unit::Seconds) => "Some(Unit::Seconds)",
        };
        let kind = match metric.kind {
            Kind::Counter => "Counter",
            Kind::Gauge => "Gauge",
            Kind::Histogram => "Histogram",
        };
        let _ = writeln!(
            out,
            "Row {{ metric: Metric::{}, name: {:?}, kind: Kind::{kind}, unit: {unit}, labels: &{:?}, help: {:?} }},",
            variant(&metric.name),
            metric.name,
            metric.labels,
            metric.help,
        );
    }
    out.push_str("];\n");
    Ok(out)
}
