//! Metrics: the table of all of them, a reading of the whole server, and its two forms: the text
//! that collectors of metrics read (`/metrics`) and JSON (`/api/v1/stats`).
//!
//! Whoever serves the API gives it [`Meters`]; a reading is made when somebody asks, so that
//! nothing is paid for while nobody does.

mod calls;
mod json;
mod routes;
mod text;

#[path = "../generated/metrics.rs"]
mod table;

use tidings_hub::counts::Histogram;
use tidings_wire::names::AppId;

pub(crate) use self::calls::{Calls, is_wait};
pub(crate) use self::routes::{MetricsDoc, routes};
pub use self::table::{METRICS, Metric};
pub use self::text::CONTENT_TYPE as METRICS_TYPE;

/// What a metric is, as OpenMetrics says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rises, and begins with 0 when the process starts.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// In what a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of bytes.
    Bytes,
    /// A time in seconds, with fractions.
    Seconds,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which metric it is.
    pub metric: Metric,
    /// Its name, as rules and dashboards use it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// In what it counts; `None` = things.
    pub unit: Option<Unit>,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

impl Metric {
    /// Its row in the table of metrics.
    pub fn row(self) -> &'static Row {
        &METRICS[self as usize]
    }
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Values of the row's labels, in their order.
    pub labels: Vec<String>,
    /// What was read of it.
    pub value: Value,
}

/// What a sample says: a number, or a distribution.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// A number of seconds, above all.
    Real(f64),
    /// Of a histogram.
    Histogram(Box<Histogram>),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Count(u64::from(is))
    }
}

impl From<f64> for Value {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

impl From<Histogram> for Value {
    fn from(histogram: Histogram) -> Self {
        Self::Histogram(Box::new(histogram))
    }
}

/// All metrics as they were at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// By metric, in the order of the table.
    families: Vec<Vec<Sample>>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            families: vec![Vec::new(); METRICS.len()],
        }
    }
}

impl Reading {
    /// Adds a sample. `labels`: the values of the row's labels, in their order.
    pub fn add(&mut self, metric: Metric, labels: &[&str], value: impl Into<Value>) {
        let row = metric.row();
        debug_assert_eq!(row.labels.len(), labels.len(), "labels of {}", row.name);
        let value = value.into();
        debug_assert_eq!(
            row.kind == Kind::Histogram,
            matches!(value, Value::Histogram(_)),
            "the kind of {}",
            row.name
        );
        self.families[metric as usize].push(Sample {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            value,
        });
    }

    /// Adds a sample, if its value is known.
    pub fn add_known(&mut self, metric: Metric, labels: &[&str], value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(metric, labels, value);
        }
    }

    /// Every row with its samples.
    pub fn families(&self) -> impl Iterator<Item = (&'static Row, &[Sample])> {
        METRICS.iter().zip(self.families.iter().map(Vec::as_slice))
    }

    /// The samples of one metric.
    pub fn of(&self, metric: Metric) -> &[Sample] {
        &self.families[metric as usize]
    }
}

/// Reads the whole server.
pub trait Meters: Send + Sync + 'static {
    /// Everything in the table. Waits for the hubs, at most a second.
    fn read(&self) -> Reading;

    /// The name under which an app is counted; `None` = it has no place of its own, and is counted
    /// with others.
    fn name_of(&self, app: &AppId) -> Option<String>;
}

/// Of a server that has none: empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMeters;

impl Meters for NoMeters {
    fn read(&self) -> Reading {
        Reading::default()
    }

    fn name_of(&self, _: &AppId) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_stands_at_its_place() {
        for (at, row) in METRICS.iter().enumerate() {
            assert_eq!(row.metric as usize, at, "{}", row.name);
        }
    }
}
