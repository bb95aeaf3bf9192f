//! How a running server is, for `tidings doctor --running`: what it says is wrong, and its metrics
//! without those of single apps, so that the answer is one line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidings_server::{MetricValue, Reading, Trouble};

/// Between the parts of a figure's name.
const SEPARATOR: char = ' ';

/// How a server is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Health {
    pub(crate) troubles: Vec<TroubleState>,
    /// Metrics by their names and the values of their labels but for apps, which are added up; of
    /// histograms, what 99 % did not exceed.
    figures: BTreeMap<String, f64>,
}

/// Something that is wrong, by the server's own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TroubleState {
    pub(crate) reason: String,
    pub(crate) is_serious: bool,
    pub(crate) detail: String,
    pub(crate) hint: String,
}

impl Health {
    pub(crate) fn of(troubles: &[Trouble], reading: &Reading) -> Self {
        let troubles = troubles.iter().map(|trouble| TroubleState {
            reason: trouble.reason().into(),
            is_serious: trouble.is_serious(),
            detail: trouble.detail().into(),
            hint: trouble.hint().into(),
        });
        let mut figures = BTreeMap::<String, f64>::new();
        for (row, samples) in reading.families() {
            for sample in samples {
                let labels = row.labels.iter().zip(&sample.labels);
                let mut name = row.name.to_owned();
                for (_, value) in labels.filter(|(label, _)| **label != "app") {
                    name.push(SEPARATOR);
                    name.push_str(value);
                }
                let figure = figures.entry(name).or_default();
                match &sample.value {
                    #[expect(clippy::cast_precision_loss, reason = "for people")]
                    MetricValue::Count(count) => *figure += *count as f64,
                    MetricValue::Real(real) => *figure += real,
                    MetricValue::Histogram(took) => *figure = figure.max(seconds(took.below(0.99))),
                }
            }
        }
        Self {
            troubles: troubles.collect(),
            figures,
        }
    }

    /// A figure; `None` = the server does not have it.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// The figures of a metric with one label, by its values.
    pub(crate) fn each<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.figures.iter().filter_map(move |(known, value)| {
            let label = known.strip_prefix(name)?.strip_prefix(SEPARATOR)?;
            Some((label, *value))
        })
    }

    /// The sum of a metric over all its labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let whole = self.figure(name).unwrap_or(0.0);
        self.each(name).fold(whole, |sum, (_, value)| sum + value)
    }

    #[cfg(test)]
    pub(crate) fn with(figures: &[(&str, f64)]) -> Self {
        let figures = figures.iter().map(|(name, value)| ((*name).into(), *value));
        Self {
            figures: figures.collect(),
            ..Self::default()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(us: Option<u64>) -> f64 {
    us.unwrap_or(0) as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use tidings_server::Metric;

    use super::*;

    #[test]
    fn apps_are_added_up_and_other_labels_are_not() {
        let mut reading = Reading::default();
        for n in 0..5_000 {
            let app = format!("{n:032x}");
            reading.add(Metric::Refused, &[&app, "message"], 2_u64);
        }
        reading.add(Metric::QueueLength, &["hub_inbox"], 7_u64);
        let health = Health::of(&[], &reading);
        let refused = health.each("tidings_refused_total");
        assert_eq!(refused.collect::<Vec<_>>(), [("message", 10_000.0)]);
        assert_eq!(health.sum("tidings_queue_length"), 7.0);
        let line = serde_json::to_string(&health).expect("JSON");
        assert!(line.len() < 1_000, "{line}");
    }
}
