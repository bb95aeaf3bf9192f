//! Lines of one place in the code that come again and again: the first are written, the rest are
//! counted and summed up.
//!
//! Bound: places in the code, of which a program has as many as it has.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Lines of one place that may come at once.
const BURST: f64 = 10.0;

/// Lines of one place per second beyond that.
const PER_S: f64 = 1.0;

/// How often it is told how many were left out.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Longest message that a report repeats, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// What is known of the places that have logged.
pub(super) struct Repeats {
    places: HashMap<Identifier, Place>,
    reported: Instant,
    /// Lines left out since the last report.
    left_out: u64,
}

struct Place {
    left: f64,
    filled: Instant,
    left_out: u64,
    /// Of the first line that was left out.
    message: String,
    target: &'static str,
}

/// Lines of one place that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) lines: u64,
    pub(super) message: String,
    pub(super) target: &'static str,
}

impl Repeats {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            places: HashMap::new(),
            reported: now,
            left_out: 0,
        }
    }

    /// Whether a line may be written. Whoever has asked for the details of `debug` and `trace` gets
    /// all of them.
    pub(super) fn admit(&mut self, event: &Event<'_>, now: Instant) -> bool {
        let meta = event.metadata();
        if *meta.level() > Level::INFO {
            return true;
        }
        let place = self.places.entry(meta.callsite()).or_insert_with(|| Place {
            left: BURST,
            filled: now,
            left_out: 0,
            message: String::new(),
            target: meta.target(),
        });
        let passed = now.saturating_duration_since(place.filled).as_secs_f64();
        place.filled = now;
        place.left = (place.left + passed * PER_S).min(BURST);
        if place.left >= 1.0 {
            place.left -= 1.0;
            return true;
        }
        if place.left_out == 0 {
            let mut message = Message(String::new());
            event.record(&mut message);
            place.message = message.0;
        }
        place.left_out += 1;
        self.left_out += 1;
        false
    }

    /// Whether something is to be told some time.
    pub(super) fn has_news(&self) -> bool {
        self.left_out > 0
    }

    /// What was left out, if it is time to tell it, or if it is `now or never`.
    pub(super) fn take(&mut self, now: Instant, is_last: bool) -> Vec<Report> {
        let is_due = now.saturating_duration_since(self.reported) >= REPORT_INTERVAL;
        if self.left_out == 0 || !(is_due || is_last) {
            return Vec::new();
        }
        self.reported = now;
        self.left_out = 0;
        let places = self.places.values_mut().filter(|place| place.left_out > 0);
        let mut reports: Vec<Report> = places
            .map(|place| Report {
                lines: std::mem::take(&mut place.left_out),
                message: std::mem::take(&mut place.message),
                target: place.target,
            })
            .collect();
        reports.sort_by(|one, other| one.message.cmp(&other.message));
        reports
    }
}

/// Takes the message of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let text = format!("{value:?}");
            self.0 = text.chars().take(MESSAGE_CHARS_MAX).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;

    /// Asks about each event at a time that the test sets.
    struct Asking {
        repeats: Arc<Mutex<Repeats>>,
        now: Arc<Mutex<Instant>>,
        admitted: Arc<Mutex<u32>>,
    }

    impl Layer<Registry> for Asking {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, Registry>) {
            let now = *self.now.lock().expect("nobody panicked");
            let mut repeats = self.repeats.lock().expect("nobody panicked");
            let admits = repeats.admit(event, now);
            *self.admitted.lock().expect("nobody panicked") += u32::from(admits);
        }
    }

    #[test]
    fn one_place_is_bounded_and_others_are_not_touched() {
        let begin = Instant::now();
        let repeats = Arc::new(Mutex::new(Repeats::new(begin)));
        let now = Arc::new(Mutex::new(begin));
        let admitted = Arc::new(Mutex::new(0));
        let layer = Asking {
            repeats: repeats.clone(),
            now: now.clone(),
            admitted: admitted.clone(),
        };
        let taken = || std::mem::take(&mut *admitted.lock().expect("nobody panicked"));
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            let flood = |count| {
                for number in 0..count {
                    tracing::warn!(number, "the same again");
                }
            };
            flood(1_000);
            assert_eq!(taken(), 10);
            tracing::error!("something else");
            assert_eq!(taken(), 1);
            for _ in 0..1_000 {
                tracing::debug!("details");
            }
            assert_eq!(taken(), 1_000);
            *now.lock().expect("nobody panicked") += Duration::from_secs(3);
            flood(1_000);
            assert_eq!(taken(), 3);
        });
        let mut repeats = repeats.lock().expect("nobody panicked");
        assert!(repeats.has_news());
        assert_eq!(repeats.take(begin + Duration::from_secs(3), false), []);
        let reports = repeats.take(begin + REPORT_INTERVAL, false);
        let [report] = &reports[..] else {
            panic!("{reports:?}");
        };
        assert_eq!(
            (report.lines, report.message.as_str()),
            (1_987, "the same again")
        );
        assert!(!repeats.has_news());
        assert_eq!(repeats.take(begin + Duration::from_secs(99), true), []);
    }
}
