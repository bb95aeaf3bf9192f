//! `tidings events` and `tail`: what has happened in an app, and what happens.

use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use serde_json::Value;

use super::complete;
use super::look::text;
use super::print::{self, at_millis, now_ms};
use super::reach::{AppDoor, AppReach};
use super::shown::field;
use crate::failure::Failure;
use crate::output;
use crate::settings::values::Span;

/// Events of a page.
const PAGE: usize = 500;

/// Longest line of a stream, in bytes: far more than an event has.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// How long a broken stream is let be.
const PAUSE: Duration = Duration::from_secs(2);

/// Which events are shown.
#[derive(Debug, Args)]
struct Which {
    /// Only these types; `user.*` is all of users
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,

    /// Only what this user does, or is sent
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(complete::users))]
    user: Option<String>,

    /// Only what happens in this channel
    #[arg(long, value_name = "CHANNEL", add = ArgValueCompleter::new(complete::channels))]
    channel: Option<String>,
}

impl Which {
    /// A gap is told to everybody: nobody knows what was in it.
    fn has(&self, event: &Value) -> bool {
        let is = |name: &str, wanted: &String| event[name] == wanted.as_str();
        let has_user = |user: &String| is("user", user) || is("peer", user);
        event["type"] == "gap"
            || (self.user.as_ref().is_none_or(has_user)
                && self
                    .channel
                    .as_ref()
                    .is_none_or(|channel| is("channel", channel)))
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings events --since 10m --user alice
  tidings events --type 'channel.*' --channel lobby
  tidings events --json | jq -r .type | sort | uniq -c")]
pub(crate) struct EventsArguments {
    #[command(flatten)]
    which: Which,

    /// Only what has happened in this time; a number without a unit is seconds
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,

    /// Begin behind this event, by its cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    /// Show at most so many; 0 is all
    #[arg(long, value_name = "NUMBER", default_value = "1000")]
    limit: usize,

    /// Print a JSON object per event
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// What is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Followed {
    // Who comes and goes, invitations, bans, and messages if the app records these.
    Events,
    // Messages only: who to whom or where, and how large.
    Messages,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings tail
  tidings tail messages --channel lobby
  tidings tail --user alice --json

What is in messages is not told; `tidings sub` joins a channel and shows it. An
app records messages only when it is told to:
  tidings app set ID peer_message_events=true channel_message_events=true")]
pub(crate) struct TailArguments {
    /// Everything, or messages only
    #[arg(value_enum, value_name = "WHAT", default_value_t = Followed::Events)]
    what: Followed,

    #[command(flatten)]
    which: Which,

    /// Begin behind this event, by its cursor [default: with what happens now]
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    /// Print a JSON object per event
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// An event as a line.
fn described(event: &Value) -> String {
    let word = |name: &str| text(event, name);
    let kind = word("type");
    let mut told = word("user");
    match (word("peer"), word("channel")) {
        (peer, _) if !peer.is_empty() => told += &format!(" to {peer}"),
        (_, channel) if channel.is_empty() => {}
        (_, channel) if told.is_empty() => told = channel,
        (_, channel) => told += &format!(" in {channel}"),
    }
    if kind == "gap" {
        told = match event["missing"].as_u64() {
            Some(count) => format!("{count} events are missing"),
            None => "events are missing".into(),
        };
    }
    if let Some(bytes) = event["bytes"].as_u64() {
        told += &format!(", {bytes} bytes");
    }
    if kind.starts_with("message.") && !word("id").is_empty() {
        told += &format!(", {}", word("id"));
    }
    if !word("detail").is_empty() {
        told += &format!(": {}", word("detail"));
    }
    let at_ms = event["at_ms"].as_u64().unwrap_or(0);
    format!("{}  {}  {told}", at_millis(at_ms), field(&kind, 18))
}

fn show(event: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        print::json(event)
    } else {
        print::line(&described(event))
    }
}

/// Carries out `tidings events`.
pub(crate) fn events(arguments: &EventsArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let types = arguments.which.types.join(",");
    let since_ms = arguments.since.map_or(0, |since| {
        let span_ms = since.of(Duration::from_secs(1)).as_millis();
        now_ms().saturating_sub(u64::try_from(span_ms).unwrap_or(u64::MAX))
    });
    let page = PAGE.to_string();
    let mut after = arguments.after.clone().unwrap_or_default();
    let (mut count, mut last) = (0, String::new());
    loop {
        let mut query = vec![("limit", page.as_str()), ("after", &after)];
        if !types.is_empty() {
            query.push(("types", &types));
        }
        let mut read = door.api.get(&door.path(&["events"]), &query)?;
        let items = match read["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        let next = read["next"].as_str().unwrap_or_default();
        let is_last = items.is_empty() || next == after;
        after = next.to_owned();
        for event in items {
            let is_new = event["at_ms"].as_u64().unwrap_or(0) >= since_ms;
            if !is_new || !arguments.which.has(&event) {
                continue;
            }
            if arguments.limit > 0 && count == arguments.limit {
                output::notice(format_args!(
                    "there are more than these {count}; --limit 0 shows all, --after {last} goes on"
                ));
                return Ok(());
            }
            show(&event, arguments.json)?;
            last = text(&event, "cursor");
            count += 1;
        }
        if is_last {
            break;
        }
    }
    if count == 0 && !arguments.json {
        print::line("no event is kept that fits")?;
    }
    Ok(())
}

/// Carries out `tidings tail`.
pub(crate) fn tail(arguments: &TailArguments) -> Result<(), Failure> {
    let mut door = arguments.reach.open()?;
    let mut types = arguments.which.types.clone();
    if arguments.what == Followed::Messages {
        if types.is_empty() {
            types.push("message.*".into());
        }
        warn_of_silence(&door);
    }
    let types = types.join(",");
    let mut after = arguments.after.clone().unwrap_or_default();
    let mut has_followed = false;
    loop {
        let mut query = Vec::new();
        if !after.is_empty() {
            query.push(("after", after.as_str()));
        }
        if !types.is_empty() {
            query.push(("types", &types));
        }
        let trouble = match door.api.stream(&door.path(&["events", "stream"]), &query) {
            Ok(stream) => {
                output::notice(if has_followed {
                    "the server is there again"
                } else {
                    "following what happens; Ctrl-C ends it"
                });
                has_followed = true;
                let ended = follow(stream, &mut after, |event| {
                    if arguments.which.has(event) {
                        show(event, arguments.json)?;
                    }
                    Ok(())
                });
                match ended? {
                    Some(error) => format!("the stream broke off: {error}"),
                    None => "the server has ended the stream".into(),
                }
            }
            Err(trouble) if has_followed && trouble.may_pass() => trouble.what().to_owned(),
            Err(trouble) => return Err(trouble.into()),
        };
        output::notice(format_args!("{trouble}; trying again"));
        std::thread::sleep(PAUSE);
        // A server on this machine has another key after a restart.
        if let Ok(again) = arguments.reach.open() {
            door = again;
        }
    }
}

/// Apps record messages only where they are told to: says so if this one does not.
fn warn_of_silence(door: &AppDoor) {
    // A key that may not read the app's settings, or an app of --dev: nothing can be told.
    let Ok(app) = door.api.get(&door.path(&[]), &[]) else {
        return;
    };
    let is_off = |name: &str| app["settings"][name] == false;
    let off: Vec<_> = ["peer_message_events", "channel_message_events"]
        .into_iter()
        .filter(|name| is_off(name))
        .collect();
    if !off.is_empty() {
        output::notice(format_args!(
            "note: the app does not record all messages; switch it on with `tidings app set {} {}`",
            door.app,
            off.iter()
                .map(|name| format!("{name}=true"))
                .collect::<Vec<_>>()
                .join(" ")
        ));
    }
}

/// Reads events to the end of a stream; `after` stays behind the last. Returns why it has ended,
/// if it was not its regular end.
///
/// # Errors
/// Of `act`.
fn follow(
    mut stream: impl BufRead,
    after: &mut String,
    mut act: impl FnMut(&Value) -> Result<(), Failure>,
) -> Result<Option<io::Error>, Failure> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stream)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
        {
            Ok(0) => return Ok(None),
            Err(error) => return Ok(Some(error)),
            Ok(_) if line.last() != Some(&b'\n') => {
                return Ok(Some(io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if let Some(id) = text.strip_prefix("id: ") {
            id.clone_into(after);
        } else if let Some(data) = text.strip_prefix("data: ")
            && let Ok(event) = serde_json::from_str(data)
        {
            act(&event)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stream_is_followed_and_its_place_is_kept() {
        let stream = b"retry: 2000\n\nid: 1.5\nevent: user.login\ndata: \
            {\"type\":\"user.login\"}\n\n: alive\nid: 1.9\n\ndata: {\"type\"";
        let (mut after, mut seen) = (String::new(), Vec::new());
        let ended = follow(&stream[..], &mut after, |event| {
            seen.push(event["type"].clone());
            Ok(())
        });
        assert!(ended.expect("no failure").is_some(), "it broke off");
        assert_eq!((after.as_str(), seen), ("1.9", vec![json!("user.login")]));
    }

    #[test]
    fn events_are_a_line_each_whatever_they_hold() {
        let event = json!({
            "type": "message.channel", "at_ms": 1_700_000_000_123_u64, "user": "al\nice",
            "channel": "lo\u{1b}bby", "bytes": 5, "id": "ab",
        });
        assert_eq!(
            described(&event),
            "11-14 22:13:20.123  message.channel     al\\nice in lo\\u{1b}bby, 5 bytes, ab"
        );
        let gap = json!({ "type": "gap", "at_ms": 0, "missing": 7 });
        assert!(described(&gap).ends_with("7 events are missing"));
    }
}
