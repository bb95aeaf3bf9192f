//! The form that collectors of metrics read: OpenMetrics 1.0 text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{self, Registry};

use super::{Kind, Reading, Row, Sample, Unit, Value};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Reading {
    /// The reading as text; families without a sample are described all the same.
    ///
    /// # Errors
    /// A name or a value that cannot be written: never, with those of the table.
    pub fn to_text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        text::encode(&mut out, &registry)?;
        Ok(out)
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (row, samples) in self.families() {
            let unit = row.unit.map(|unit| match unit {
                Unit::Bytes => registry::Unit::Bytes,
                Unit::Seconds => registry::Unit::Seconds,
            });
            let kind = match row.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(stem(row), row.help, unit.as_ref(), kind)?;
            for sample in samples {
                encode(row, sample, &mut family)?;
            }
        }
        Ok(())
    }
}

/// The name without what the format adds: the unit, and `_total`.
fn stem(row: &Row) -> &'static str {
    let name = row.name.strip_suffix("_total").unwrap_or(row.name);
    let unit = match row.unit {
        Some(Unit::Bytes) => "_bytes",
        Some(Unit::Seconds) => "_seconds",
        None => "",
    };
    name.strip_suffix(unit).unwrap_or(name)
}

fn encode(row: &Row, sample: &Sample, family: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
    let pairs: Vec<(&str, &str)> = row
        .labels
        .iter()
        .copied()
        .zip(sample.labels.iter().map(String::as_str))
        .collect();
    if pairs.is_empty() {
        return encode_value(row, &sample.value, family);
    }
    let mut of_labels = family.encode_family(&pairs)?;
    encode_value(row, &sample.value, &mut of_labels)
}

fn encode_value(row: &Row, value: &Value, to: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
    match (value, row.kind) {
        (Value::Count(count), Kind::Counter) => {
            to.encode_counter::<NoLabelSet, _, u64>(count, None)
        }
        (Value::Real(real), Kind::Counter) => to.encode_counter::<NoLabelSet, _, f64>(real, None),
        (Value::Count(count), _) => {
            // A gauge of the library is signed.
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            to.encode_gauge(&count)
        }
        (Value::Real(real), _) => to.encode_gauge(real),
        (Value::Histogram(histogram), _) => {
            let bound = |us: u64| {
                if us == u64::MAX {
                    f64::INFINITY
                } else {
                    seconds(us)
                }
            };
            let buckets: Vec<(f64, u64)> = histogram
                .buckets()
                .map(|(us, count)| (bound(us), count))
                .collect();
            let sum = seconds(histogram.sum_us());
            to.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
        }
    }
}

/// Microseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "a sum loses microseconds after centuries"
)]
pub(super) fn seconds(us: u64) -> f64 {
    us as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use tidings_hub::counts::Histogram;

    use super::super::Metric;
    use super::*;

    #[test]
    fn the_text_has_every_family_once_and_ends_as_it_must() {
        let mut reading = Reading::default();
        reading.add(Metric::Messages, &["a", "peer"], 7_u64);
        reading.add(Metric::CpuSeconds, &[], 1.5);
        reading.add(Metric::Hubs, &[], 2_u64);
        let mut histogram = Histogram::default();
        histogram.note(150, 2);
        histogram.note(40_000_000, 1);
        reading.add(Metric::RequestSeconds, &[], histogram);
        let text = reading.to_text().expect("it is written");
        for row in &super::super::METRICS {
            let name = row.name.strip_suffix("_total").unwrap_or(row.name);
            let head = format!("# TYPE {name} ");
            assert_eq!(text.matches(&head).count(), 1, "{head} in {text}");
        }
        let lines: Vec<&str> = text.lines().collect();
        for line in [
            "tidings_messages_total{app=\"a\",kind=\"peer\"} 7",
            "tidings_cpu_seconds_total 1.5",
            "tidings_hubs 2",
            "tidings_request_seconds_bucket{le=\"0.0001\"} 0",
            "tidings_request_seconds_bucket{le=\"0.00025\"} 2",
            "tidings_request_seconds_bucket{le=\"+Inf\"} 3",
            "tidings_request_seconds_count 3",
            "# UNIT tidings_request_seconds seconds",
        ] {
            assert!(lines.contains(&line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
