//! What a run has shown, for people; and what processes have used of the machine.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::plan::{Pattern, Plan};
use crate::people::reach::AppDoor;
use crate::people::shown::shown;

pub(super) fn percentiles(of: &Histogram<u64>) -> Value {
    if of.is_empty() {
        return Value::Null;
    }
    json!({
        "p50": of.value_at_quantile(0.5),
        "p90": of.value_at_quantile(0.9),
        "p99": of.value_at_quantile(0.99),
        "max": of.max(),
    })
}

/// The server's process, if it runs on this machine.
pub(super) struct Server(Option<u64>);

impl Server {
    pub(super) fn of(door: &AppDoor) -> Self {
        if !door.api.target().is_local {
            return Self(None);
        }
        let nodes = door.api.get("/api/v1/nodes", &[]).unwrap_or_default();
        Self(nodes["items"][0]["pid"].as_u64())
    }

    pub(super) fn cpu(&self) -> Option<Duration> {
        cpu_in(&format!("/proc/{}/stat", self.0?))
    }
}

pub(super) fn own_cpu() -> Option<Duration> {
    cpu_in("/proc/self/stat")
}

/// The time that a process has used of all cores.
fn cpu_in(file: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(file).ok()?;
    // The name in brackets may have spaces; behind it, the 12th and 13th field are what counts.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks = |field: Option<&str>| field?.parse::<u64>().ok();
    let used = ticks(fields.next())? + ticks(fields.next())?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(used * 1_000 / per_second))
}

/// The report for people.
pub(super) fn described(plan: &Plan, endpoint: &str, report: &Value) -> String {
    let number = |name: &str| report[name].to_string();
    let place = match plan.pattern {
        Pattern::Channel => "in one channel",
        Pattern::Pairs => "in pairs",
    };
    let mut text = format!(
        "{} clients {place} at {}, {} messages/s of {} bytes for {} s\n\n",
        plan.clients,
        shown(endpoint),
        plan.rate,
        plan.size,
        number("seconds")
    );
    text += &format!(
        "sent       {}, {}/s; {} were refused\n",
        number("sent"),
        number("sent_rate"),
        number("refused")
    );
    for (why, count) in report["refusals"].as_object().into_iter().flatten() {
        text += &format!("           {count} times: {}\n", shown(why));
    }
    text += &format!(
        "delivered  {} of {}, {}/s; {} are missing\n\n",
        number("delivered"),
        number("expected"),
        number("delivered_rate"),
        number("lost")
    );
    text += &format!(
        "{:<10} {:>9} {:>9} {:>9} {:>9}\n",
        "ms", "p50", "p90", "p99", "max"
    );
    for (name, field) in [("answer", "answer_us"), ("delivery", "delivery_us")] {
        text += &format!("{name:<10}");
        for quantile in ["p50", "p90", "p99", "max"] {
            text += &match report[field][quantile].as_f64() {
                Some(us) => format!(" {:>9.2}", us / 1_000.0),
                None => format!(" {:>9}", "-"),
            };
        }
        text.push('\n');
    }
    let share = |name: &str| match report[name].as_f64() {
        Some(percent) => format!("{percent:.0} % of a core"),
        None => "not known: it is not on this machine".into(),
    };
    text += &format!(
        "\nCPU        server {}\n           this program {}",
        share("server_cpu_percent"),
        share("own_cpu_percent")
    );
    let late_ms = report["late_us_max"].as_f64().unwrap_or(0.0) / 1_000.0;
    if late_ms > 20.0 {
        text += &format!(
            "\n\nnote: this program fell behind by up to {late_ms:.0} ms, which is in the \
             figures;\n\
             give it less to do, or more of this machine, to measure the server alone"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tells_its_time() {
        assert!(own_cpu().is_some());
        assert_eq!(cpu_in("/proc/0/stat"), None);
    }
}
