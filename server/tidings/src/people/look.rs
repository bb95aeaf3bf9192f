//! `tidings who`, `user`, `channels` and `channel`: who and what is there now.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::complete;
use super::http::Trouble;
use super::print::{self, Table, ago, at, now_ms};
use super::reach::{AppDoor, AppReach};
use super::shown::shown;
use crate::failure::Failure;
use crate::output;
use crate::words::counted;

/// Items that a list shows unless more are asked for.
const LIMIT: &str = "1000";

#[derive(Args)]
#[command(after_help = "Examples:
  tidings who
  tidings who --channel lobby
  tidings who --json | jq -r .user")]
pub(crate) struct WhoArguments {
    /// Only sessions of this user
    #[arg(long, value_name = "USER", add = ArgValueCompleter::new(complete::users))]
    user: Option<String>,

    /// Only sessions in this channel
    #[arg(long, value_name = "CHANNEL", add = ArgValueCompleter::new(complete::channels))]
    channel: Option<String>,

    /// Only sessions of this protocol
    #[arg(long, value_name = "PROTOCOL", value_parser = ["native", "legacy"])]
    protocol: Option<String>,

    /// Show at most so many; 0 is all
    #[arg(long, value_name = "NUMBER", default_value = LIMIT)]
    limit: usize,

    /// Print a JSON object per session
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
pub(crate) struct UserArguments {
    /// The user's id
    #[arg(value_name = "USER", add = ArgValueCompleter::new(complete::users))]
    user: String,

    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
pub(crate) struct ChannelsArguments {
    /// Only channels whose names begin so
    #[arg(value_name = "PREFIX", add = ArgValueCompleter::new(complete::channels))]
    prefix: Option<String>,

    /// Show at most so many; 0 is all
    #[arg(long, value_name = "NUMBER", default_value = LIMIT)]
    limit: usize,

    /// Print a JSON object per channel
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
pub(crate) struct ChannelArguments {
    /// The channel's name
    #[arg(value_name = "CHANNEL", add = ArgValueCompleter::new(complete::channels))]
    channel: String,

    /// Name at most so many members; 0 is all
    #[arg(long, value_name = "NUMBER", default_value = LIMIT)]
    limit: usize,

    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// A field of an answer, safe to be shown; empty if it is not there.
pub(super) fn text(of: &Value, name: &str) -> String {
    match &of[name] {
        Value::String(text) => shown(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Carries out `act` for each item of a list, up to a limit; says if there are more.
///
/// # Errors
/// A page cannot be read, or `act` fails.
pub(super) fn up_to(
    limit: usize,
    items: impl Iterator<Item = Result<Value, Trouble>>,
    mut act: impl FnMut(Value) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let mut count = 0;
    for item in items {
        if limit > 0 && count == limit {
            output::notice(format_args!(
                "there are more than these {limit}; --limit 0 shows all"
            ));
            break;
        }
        act(item?)?;
        count += 1;
    }
    Ok(count)
}

/// Carries out `tidings who`.
pub(crate) fn who(arguments: &WhoArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let filters = [
        ("user", &arguments.user),
        ("channel", &arguments.channel),
        ("protocol", &arguments.protocol),
    ];
    let filters = filters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let filters: Vec<_> = filters.collect();
    let now_ms = now_ms();
    let mut table = Table::new(&[
        ("user", 22),
        ("state", 11),
        ("protocol", 8),
        ("since", 6),
        ("queue", 5),
        ("address", 0),
    ]);
    let list = door.api.list(&door.path(&["sessions"]), &filters);
    let count = up_to(arguments.limit, list, |session| {
        if arguments.json {
            return print::json(&session);
        }
        table.row(&[
            text(&session, "user"),
            text(&session, "state"),
            text(&session, "protocol"),
            ago(session["since_ms"].as_u64().unwrap_or(now_ms), now_ms),
            text(&session, "queue_messages"),
            text(&session, "address"),
        ])
    })?;
    if count == 0 && !arguments.json {
        print::line("nobody is logged in")?;
    }
    Ok(())
}

/// Carries out `tidings user`.
pub(crate) fn user(arguments: &UserArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let user = arguments.user.as_str();
    let mut found = door.api.get(&door.path(&["users", user]), &[])?;
    let attributes = match door
        .api
        .get(&door.path(&["users", user, "attributes"]), &[])
    {
        // Those of a user who is away are kept only if the app says so.
        Err(trouble) if trouble.code == "user_not_found" => json!({ "attributes": {} }),
        attributes => attributes?,
    };
    let waiting = door.api.get(&door.path(&["users", user, "offline"]), &[])?;
    found["attributes"] = attributes["attributes"].clone();
    let waits = waiting["items"].as_array().map_or(0, Vec::len);
    let has_more = !waiting["next"].is_null();
    found["offline_messages"] = json!(waits);
    found["offline_messages_is_all"] = json!(!has_more);
    let bans = bans_of(&door, user)?;
    found["bans"] = Value::Array(bans);
    if arguments.json {
        return print::json(&found);
    }
    print::line(&format!(
        "{} is {}",
        text(&found, "user"),
        text(&found, "state")
    ))?;
    show_sessions(&found)?;
    let channels = found["channels"].as_array().into_iter().flatten();
    for (at, channel) in channels.enumerate() {
        let label = if at == 0 { "channels" } else { "" };
        let name = shown(channel.as_str().unwrap_or_default());
        print::line(&format!("{label:<10}{name}"))?;
    }
    show_attributes(&found)?;
    let more = if has_more { "more than " } else { "" };
    print::line(&format!(
        "waiting   {more}{}",
        counted(waits, "message", "messages")
    ))?;
    for ban in found["bans"].as_array().into_iter().flatten() {
        print::line(&format!("banned    {}", super::act::told(ban)))?;
    }
    Ok(())
}

fn show_sessions(user: &Value) -> Result<(), Failure> {
    let now_ms = now_ms();
    for session in user["sessions"].as_array().into_iter().flatten() {
        let word = |name: &str| text(session, name);
        let since_ms = session["since_ms"].as_u64().unwrap_or(now_ms);
        let link = if session["connected"] == true {
            ""
        } else {
            ", without a connection"
        };
        print::line(&format!(
            "session   {} since {} ({}){link}",
            word("protocol"),
            at(since_ms),
            ago(since_ms, now_ms)
        ))?;
        print::line(&format!("          id {}", word("id")))?;
        let queue = session["queue_messages"].as_u64().unwrap_or(0);
        let seen_ms = session["last_seen_ms"].as_u64().unwrap_or(now_ms);
        let from = match word("address") {
            address if address.is_empty() => String::new(),
            address => format!("from {address}, "),
        };
        print::line(&format!(
            "          {from}heard {} ago, {} not confirmed",
            ago(seen_ms, now_ms),
            counted(
                usize::try_from(queue).unwrap_or(usize::MAX),
                "message",
                "messages"
            ),
        ))?;
        if !word("sdk_version").is_empty() {
            print::line(&format!("          client {}", word("sdk_version")))?;
        }
        if let Some(ends_ms) = session["token_ends_ms"].as_u64() {
            print::line(&format!("          token until {}", at(ends_ms)))?;
        }
    }
    Ok(())
}

fn show_attributes(of: &Value) -> Result<(), Failure> {
    let attributes = of["attributes"].as_object().into_iter().flatten();
    for (at, (name, value)) in attributes.enumerate() {
        let label = if at == 0 { "attributes" } else { "" };
        let value = shown(value.as_str().unwrap_or_default());
        print::line(&format!("{label:<11}{} = {value}", shown(name)))?;
    }
    Ok(())
}

fn bans_of(door: &AppDoor, user: &str) -> Result<Vec<Value>, Failure> {
    let mut bans = Vec::new();
    for ban in door.api.list(&door.path(&["bans"]), &[]) {
        let ban = ban?;
        if ban["user_id"] == user {
            bans.push(ban);
        }
    }
    Ok(bans)
}

/// Carries out `tidings channels`.
pub(crate) fn channels(arguments: &ChannelsArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let prefix = arguments.prefix.as_deref();
    let filters: Vec<_> = prefix
        .map(|prefix| ("prefix", prefix))
        .into_iter()
        .collect();
    let mut table = Table::new(&[("members", 7), ("channel", 0)]);
    let list = door.api.list(&door.path(&["channels"]), &filters);
    let count = up_to(arguments.limit, list, |channel| {
        if arguments.json {
            return print::json(&channel);
        }
        table.row(&[text(&channel, "members"), text(&channel, "name")])
    })?;
    if count == 0 && !arguments.json {
        print::line("no channel has a member")?;
    }
    Ok(())
}

/// Carries out `tidings channel`.
pub(crate) fn channel(arguments: &ChannelArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let name = arguments.channel.as_str();
    let mut found = door.api.get(&door.path(&["channels", name]), &[])?;
    let attributes = door
        .api
        .get(&door.path(&["channels", name, "attributes"]), &[])?;
    found["attributes"] = attributes["attributes"].clone();
    let mut users = Vec::new();
    let list = door
        .api
        .list(&door.path(&["channels", name, "members"]), &[]);
    up_to(arguments.limit, list, |mut member| {
        users.push(member["user"].take());
        Ok(())
    })?;
    found["users"] = Value::Array(users);
    if arguments.json {
        return print::json(&found);
    }
    let count = found["members"].as_u64().unwrap_or(0);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let members = counted(count, "member", "members");
    print::line(&format!("{} has {members}", text(&found, "name")))?;
    show_attributes(&found)?;
    for user in found["users"].as_array().into_iter().flatten() {
        print::line(&format!("  {}", shown(user.as_str().unwrap_or_default())))?;
    }
    Ok(())
}
