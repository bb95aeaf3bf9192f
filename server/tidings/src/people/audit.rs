//! `tidings audit`: who has changed what, and who has looked at stored messages.

use std::time::Duration;

use clap::Args;

use super::look::{text, up_to};
use super::print::{self, Table, at, now_ms};
use super::reach::Reach;
use crate::failure::Failure;
use crate::settings::values::Span;

#[derive(Args)]
#[command(after_help = "Examples:
  tidings audit
  tidings audit --since 1d --by first
  tidings audit --action /bans --json | jq .after

A key that is limited to apps may not read it.")]
pub(crate) struct AuditArguments {
    /// Only what was done in this time; a number without a unit is seconds
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,

    /// Only what was done with this key, by its id
    #[arg(long, value_name = "KEY")]
    by: Option<String>,

    /// Only actions that have this text in them, such as DELETE or /bans
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,

    /// Only what was done about this app, by its whole id
    #[arg(long, value_name = "APP")]
    app: Option<String>,

    /// Show at most so many; 0 is all
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    limit: usize,

    /// Print a JSON object per entry
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: Reach,
}

/// Carries out `tidings audit`.
pub(crate) fn run(arguments: &AuditArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let since_ms = arguments.since.map_or(0, |since| {
        let span_ms = since.of(Duration::from_secs(1)).as_millis();
        now_ms().saturating_sub(u64::try_from(span_ms).unwrap_or(u64::MAX))
    });
    let list = door
        .api
        .list_by("before", "/api/v1/audit", &[("order", "desc")]);
    let is_so =
        |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let list = list.take_while(|entry| match entry {
        Ok(entry) => entry["at_ms"].as_u64().unwrap_or(0) >= since_ms,
        Err(_) => true,
    });
    let list = list.filter(|entry| match entry {
        Ok(entry) => {
            let action = entry["action"].as_str().unwrap_or_default();
            let has = |wanted: &String| action.contains(wanted.as_str());
            is_so(&arguments.by, entry["by"].as_str().unwrap_or_default())
                && is_so(&arguments.app, entry["app"].as_str().unwrap_or_default())
                && arguments.action.as_ref().is_none_or(has)
        }
        Err(_) => true,
    });
    let mut table = Table::new(&[("time", 20), ("by", 12), ("from", 15), ("action", 0)]);
    let count = up_to(arguments.limit, list, |entry| {
        if arguments.json {
            return print::json(&entry);
        }
        table.row(&[
            at(entry["at_ms"].as_u64().unwrap_or(0)),
            text(&entry, "by"),
            text(&entry, "address"),
            text(&entry, "action"),
        ])
    })?;
    if count == 0 && !arguments.json {
        print::line("the audit log has no entry that fits")?;
    }
    Ok(())
}
