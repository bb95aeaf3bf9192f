//! `tidings trace`: follows messages for a time, and tells the way of one.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::complete;
use super::look::text;
use super::print::{self, Table, at, at_millis};
use super::reach::{AppDoor, AppReach};
use super::shown::shown;
use crate::failure::Failure;
use crate::settings::values::Span;
use crate::words::counted;

/// How often an unfinished way is looked at again.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  tidings trace on --channel lobby --for 10m
      Note what every hub does with messages to the lobby, for ten minutes.
  tidings trace messages --channel lobby
      List the newest of them, with their ids.
  tidings trace 4bf92f3577b34da6a3ce929d0e0e4736
      Tell the whole way of a message: accepted, ordered, given, queued, written, confirmed by whom.
  tidings trace off --all"
)]
pub(crate) struct TraceArguments {
    #[command(subcommand)]
    command: Option<TraceCommand>,

    /// The message's id, as `tidings trace messages`, answers of the API and events have it
    #[arg(value_name = "ID")]
    id: Option<String>,

    /// Wait until everybody who was given the message has confirmed it, at most this time; a number
    /// without a unit is seconds
    #[arg(long, value_name = "TIME")]
    wait: Option<Span>,

    /// Print the way as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Subcommand)]
enum TraceCommand {
    /// Begin to follow messages: of a user, to a channel, or all of the app
    On(OnArguments),
    /// Stop following messages; what was noted stays for an hour
    Off(OffArguments),
    /// List what is being followed
    List(ListArguments),
    /// List the newest messages that were followed
    Messages(MessagesArguments),
}

#[derive(Args)]
struct OnArguments {
    /// Only what this user sends, and messages from users to this one
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(complete::users))]
    user: Option<String>,

    /// Only messages to this channel
    #[arg(long, value_name = "CHANNEL", add = ArgValueCompleter::new(complete::channels))]
    channel: Option<String>,

    /// For how long, at most an hour, in whole minutes; a number without a unit is minutes
    #[arg(long = "for", value_name = "TIME", default_value = "10")]
    time: Span,

    /// Print the trace as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
struct OffArguments {
    /// The trace's id, as `tidings trace list` shows it
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    id: Option<String>,

    /// All of the app
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
struct ListArguments {
    /// Print a JSON object per trace
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
struct MessagesArguments {
    /// Only messages from or to this user
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(complete::users))]
    user: Option<String>,

    /// Only messages to this channel
    #[arg(long, value_name = "CHANNEL", add = ArgValueCompleter::new(complete::channels))]
    channel: Option<String>,

    /// At most so many, 1 to 100
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,

    /// Print a JSON object per message
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// Carries out `tidings trace` and what belongs to it.
pub(crate) fn run(arguments: &TraceArguments) -> Result<(), Failure> {
    match (&arguments.command, &arguments.id) {
        (Some(TraceCommand::On(arguments)), _) => begin(arguments),
        (Some(TraceCommand::Off(arguments)), _) => end(arguments),
        (Some(TraceCommand::List(arguments)), _) => list(arguments),
        (Some(TraceCommand::Messages(arguments)), _) => messages(arguments),
        (None, Some(id)) => way(arguments, id),
        (None, None) => Err(Failure::new(
            "there is no message whose way could be told",
            "give its id, or begin with `tidings trace on`; `tidings trace --help` has examples",
        )),
    }
}

/// What a trace follows, in words.
fn followed(trace: &Value) -> String {
    match (text(trace, "user"), text(trace, "channel")) {
        (user, channel) if user.is_empty() && channel.is_empty() => "all messages".into(),
        (user, channel) if channel.is_empty() => format!("messages from and to {user}"),
        (user, channel) if user.is_empty() => format!("messages to the channel {channel}"),
        (user, channel) => format!("messages from {user} to the channel {channel}"),
    }
}

fn until(trace: &Value) -> String {
    at(trace["until_ms"].as_u64().unwrap_or(0))
}

fn begin(arguments: &OnArguments) -> Result<(), Failure> {
    const MINUTE: Duration = Duration::from_secs(60);
    let time = arguments.time.of(MINUTE);
    let minutes = time.as_secs().div_ceil(60);
    let mut wish = json!({ "minutes": minutes });
    for (name, value) in [("user", &arguments.user), ("channel", &arguments.channel)] {
        if let Some(value) = value {
            wish[name] = json!(value);
        }
    }
    let door = arguments.reach.open()?;
    let trace = door.api.post(&door.path(&["traces"]), &wish)?;
    if arguments.json {
        return print::json(&trace);
    }
    let (id, what, until) = (text(&trace, "id"), followed(&trace), until(&trace));
    print::line(&format!("{id}: {what} are followed until {until}"))
}

fn end(arguments: &OffArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let stop = |id: &str| door.api.delete(&door.path(&["traces", id]), &[]);
    if let Some(id) = &arguments.id {
        stop(id)?;
        return print::line(&format!("{} has ended", shown(id)));
    }
    let traces = door.api.get(&door.path(&["traces"]), &[])?;
    let mut ended = 0;
    for trace in traces["items"].as_array().into_iter().flatten() {
        match stop(trace["id"].as_str().unwrap_or_default()) {
            Ok(_) => ended += 1,
            // It has ended by itself meanwhile.
            Err(trouble) if trouble.status == 404 => {}
            Err(trouble) => return Err(trouble.into()),
        }
    }
    let ended = counted(ended, "trace has", "traces have");
    print::line(&format!("{ended} ended"))
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let traces = door.api.get(&door.path(&["traces"]), &[])?;
    let traces = traces["items"].as_array().cloned().unwrap_or_default();
    if arguments.json {
        return traces.iter().try_for_each(print::json);
    }
    if traces.is_empty() {
        return print::line("nothing is followed; `tidings trace on` begins to");
    }
    for trace in &traces {
        let (id, what, until) = (text(trace, "id"), followed(trace), until(trace));
        print::line(&format!("{id}: {what}, until {until}"))?;
    }
    Ok(())
}

fn messages(arguments: &MessagesArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let limit = arguments.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(arguments.user.as_deref().map(|user| ("user", user)));
    query.extend(
        arguments
            .channel
            .as_deref()
            .map(|channel| ("channel", channel)),
    );
    let found = door.api.get(&door.path(&["traces", "messages"]), &query)?;
    let found = found["items"].as_array().cloned().unwrap_or_default();
    if arguments.json {
        return found.iter().try_for_each(print::json);
    }
    if found.is_empty() {
        return print::line("no message was followed; `tidings trace on` begins to");
    }
    let mut table = Table::new(&[("MESSAGE", 32), ("WHEN", 18), ("FROM", 12), ("TO", 12)]);
    for message in &found {
        let to = match text(message, "channel") {
            channel if channel.is_empty() => text(message, "user"),
            channel => format!("#{channel}"),
        };
        let when = at_millis(message["at_ms"].as_u64().unwrap_or(0));
        table.row(&[text(message, "message_id"), when, text(message, "from"), to])?;
    }
    Ok(())
}

fn way(arguments: &TraceArguments, id: &str) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let patience = arguments.wait.map(|wait| wait.of(Duration::from_secs(1)));
    let way = wait_for(&door, id, patience.unwrap_or_default())?;
    if arguments.json {
        return print::json(&way);
    }
    let to = match text(&way, "channel") {
        channel if channel.is_empty() => text(&way, "user"),
        channel => format!("#{channel}"),
    };
    let (id, from) = (text(&way, "message_id"), text(&way, "from"));
    print::line(&format!("message {id} from {from} to {to}"))?;
    let steps = way["steps"].as_array().cloned().unwrap_or_default();
    let first_ms = steps.first().and_then(|step| step["at_ms"].as_u64());
    let mut table = Table::new(&[
        ("STEP", 20),
        ("WHEN", 18),
        ("AFTER", 10),
        ("HUB", 3),
        ("", 20),
    ]);
    for step in &steps {
        let at_ms = step["at_ms"].as_u64().unwrap_or(0);
        let after_ms = at_ms.saturating_sub(first_ms.unwrap_or(at_ms));
        let name = text(step, "step").replace('_', " ");
        let row = [
            name,
            at_millis(at_ms),
            format!("{after_ms} ms"),
            text(step, "hub"),
            about(step),
        ];
        table.row(&row)?;
    }
    let end = if way["complete"] == true {
        "complete"
    } else {
        "not complete: somebody is still waited for"
    };
    print::line(end)
}

/// Whom a step is about, and the rest in words.
fn about(step: &Value) -> String {
    let members = step["members"].as_u64();
    let members = members.and_then(|members| usize::try_from(members).ok());
    let members = members.map(|members| counted(members, "member", "members"));
    let parts = [
        text(step, "user"),
        members.unwrap_or_default(),
        text(step, "detail"),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// The way of a message, once it is complete or the time is over.
fn wait_for(door: &AppDoor, id: &str, patience: Duration) -> Result<Value, Failure> {
    let path = door.path(&["traces", "messages", id]);
    let begun = Instant::now();
    loop {
        let way = door.api.get(&path, &[]);
        let is_there = match &way {
            Ok(way) => way["complete"] == true,
            // It may be on its way to the server.
            Err(trouble) => !(trouble.status == 404 || trouble.may_pass()),
        };
        let left = patience.saturating_sub(begun.elapsed());
        if is_there || left.is_zero() {
            return Ok(way?);
        }
        std::thread::sleep(LOOK.min(left));
    }
}
