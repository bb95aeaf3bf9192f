//! The form of `/api/v1/stats`.

use serde_json::{Map, Value as Json, json};

use super::text::seconds;
use super::{Reading, Row, Sample, Value};

impl Reading {
    /// `{"<name>": {"type", "unit", "help", "samples": [{"labels", "value"}]}}`. The value of a
    /// histogram is `{"count", "sum", "buckets": [{"le", "count"}]}`, each bucket with those below
    /// it; the last has no bound.
    pub fn to_json(&self) -> Json {
        let families = self.families().map(|(row, samples)| {
            let samples: Vec<Json> = samples
                .iter()
                .map(|sample| of_sample(row, sample))
                .collect();
            let family = json!({
                "type": row.kind.name(),
                "unit": row.unit.map(super::Unit::name),
                "help": row.help,
                "samples": samples,
            });
            (row.name.to_owned(), family)
        });
        Json::Object(families.collect())
    }
}

fn of_sample(row: &Row, sample: &Sample) -> Json {
    let labels = row.labels.iter().zip(&sample.labels);
    let labels: Map<String, Json> = labels
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    json!({ "labels": labels, "value": of_value(&sample.value) })
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Count(count) => json!(count),
        Value::Real(real) => json!(real),
        Value::Histogram(histogram) => {
            let mut below = 0;
            let buckets = histogram.buckets().map(|(us, count)| {
                below += count;
                let bound = (us != u64::MAX).then(|| seconds(us));
                json!({ "le": bound, "count": below })
            });
            let buckets: Vec<Json> = buckets.collect();
            json!({
                "count": histogram.count(),
                "sum": seconds(histogram.sum_us()),
                "buckets": buckets,
            })
        }
    }
}

impl super::Kind {
    /// As OpenMetrics names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl super::Unit {
    /// As OpenMetrics names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        }
    }
}
