//! `tidings kick`, `ban`, `unban` and `bans`: what is done about somebody.

use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::complete;
use super::look::text;
use super::print::{self, at};
use super::reach::{AppDoor, AppReach};
use super::shown::shown;
use crate::failure::Failure;
use crate::settings::values::Span;
use crate::words::counted;

#[derive(Args)]
#[command(after_help = "Examples:
  tidings kick mallory
      End all sessions; mallory may log in again at once.
  tidings kick mallory --channel lobby
      Only take mallory out of a channel.
  tidings kick mallory --ban 1h --note \"flooding\"
      End all sessions, and refuse new logins for an hour.")]
pub(crate) struct KickArguments {
    /// The user's id
    #[arg(value_name = "USER", add = ArgValueCompleter::new(complete::users))]
    user: String,

    /// Take the user out of this channel, and leave the sessions
    #[arg(
        long,
        value_name = "CHANNEL",
        conflicts_with_all = ["session", "ban"],
        add = ArgValueCompleter::new(complete::channels)
    )]
    channel: Option<String>,

    /// End only this session, by its id as `tidings user` shows it
    #[arg(long, value_name = "ID", conflicts_with = "ban")]
    session: Option<String>,

    /// Refuse new logins for this time, at most a year; a number without a unit is seconds
    #[arg(long, value_name = "TIME")]
    ban: Option<Span>,

    /// Why, for the audit log and the list of bans
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    note: String,

    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// What a ban takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Right {
    Login,
    Join,
    Send,
}

impl Right {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Join => "join_channel",
            Self::Send => "send_message",
        }
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings ban mallory
      Sessions end at once, and logins are refused until `tidings unban mallory`.
  tidings ban mallory --for 7d --note \"ticket 4711\"
  tidings ban mallory --channel lobby --may-not send
      Let mallory read in the lobby, but not write.
  tidings ban --address 192.0.2.0/24 --for 1h")]
pub(crate) struct BanArguments {
    /// The user's id [default: whoever --channel or --address fits]
    #[arg(
        value_name = "USER",
        required_unless_present_any = ["channel", "address"],
        add = ArgValueCompleter::new(complete::users)
    )]
    user: Option<String>,

    /// Only in this channel; without a user: everybody there
    #[arg(
        long,
        value_name = "CHANNEL",
        conflicts_with = "address",
        add = ArgValueCompleter::new(complete::channels)
    )]
    channel: Option<String>,

    /// From this address, or all that begin with the same bits, as in 192.0.2.0/24
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,

    /// For this time; a number without a unit is seconds [default: until it is lifted]
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Span>,

    /// What is taken away; can be given more than once [default: login, or join with --channel]
    #[arg(long, value_enum, value_name = "RIGHT")]
    may_not: Vec<Right>,

    /// Why, for the list of bans
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    note: String,

    /// Print the ban as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings unban mallory
      Lift all bans that name mallory.
  tidings unban --id 17")]
pub(crate) struct UnbanArguments {
    /// The user's id
    #[arg(
        value_name = "USER",
        required_unless_present = "id",
        conflicts_with = "id",
        add = ArgValueCompleter::new(complete::banned)
    )]
    user: Option<String>,

    /// The ban's id, as `tidings bans` shows it
    #[arg(long, value_name = "ID")]
    id: Option<u64>,

    /// Print a JSON object per lifted ban
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
pub(crate) struct BansArguments {
    /// Print a JSON object per ban
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// A ban in words.
pub(super) fn told(ban: &Value) -> String {
    let word = |name: &str| text(ban, name);
    let id = match ban["id"].as_u64() {
        Some(id) => format!("{id}"),
        None => "by the file of apps".into(),
    };
    let mut told = format!("{id}: ");
    let named = [
        ("user_id", "", "everybody"),
        ("channel", " in ", ""),
        ("address", " from ", ""),
    ];
    for (name, before, without) in named {
        match word(name) {
            text if text.is_empty() => told += without,
            text => told += &format!("{before}{text}"),
        }
    }
    let rights = ban["privileges"].as_array().into_iter().flatten();
    let rights = rights.filter_map(Value::as_str).map(|right| match right {
        "login" => "log in".to_owned(),
        "join_channel" => "join".to_owned(),
        "send_message" => "send".to_owned(),
        other => shown(other).replace('_', " "),
    });
    told += &format!(" may not {}", rights.collect::<Vec<_>>().join(", "));
    match ban["until_ms"].as_u64() {
        Some(until_ms) => told += &format!(" until {}", at(until_ms)),
        None => told += ", without an end",
    }
    match word("note") {
        note if note.is_empty() => {}
        note => told += &format!(" ({note})"),
    }
    told
}

fn seconds(span: Span) -> u64 {
    span.of(Duration::from_secs(1)).as_secs()
}

/// Carries out `tidings kick`.
pub(crate) fn kick(arguments: &KickArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let user = arguments.user.as_str();
    if let Some(channel) = &arguments.channel {
        let parts = ["channels", channel, "members", user, "remove"];
        let done = door.api.post(&door.path(&parts), &json!({}))?;
        return done_to(arguments, &done, || {
            format!("{} is out of {}", shown(user), shown(channel))
        });
    }
    if let Some(session) = &arguments.session {
        let done = door.api.delete(&door.path(&["sessions", session]), &[])?;
        return done_to(arguments, &done, || "the session is ended".into());
    }
    let body = json!({
        "reason": arguments.note,
        "ban_seconds": arguments.ban.map_or(0, seconds),
    });
    let done = door
        .api
        .post(&door.path(&["users", user, "disconnect"]), &body)?;
    let ended = done["ended"].as_u64().unwrap_or(0);
    if ended == 0 && arguments.ban.is_none() {
        return Err(Failure::new(
            format!("{} was not logged in", shown(user)),
            "`tidings who` shows who is",
        ));
    }
    done_to(arguments, &done, || {
        let count = usize::try_from(ended).unwrap_or(usize::MAX);
        let sessions = counted(count, "session is ended", "sessions are ended");
        let ban = match done["ban"].as_u64() {
            Some(id) => format!("; ban {id}"),
            None => String::new(),
        };
        format!("{}: {sessions}{ban}", shown(user))
    })
}

fn done_to(
    arguments: &KickArguments,
    done: &Value,
    told: impl FnOnce() -> String,
) -> Result<(), Failure> {
    if arguments.json {
        print::json(done)
    } else {
        print::line(&told())
    }
}

/// Carries out `tidings ban`.
pub(crate) fn ban(arguments: &BanArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let mut wish = json!({ "note": arguments.note });
    let named = [
        ("user_id", &arguments.user),
        ("channel", &arguments.channel),
        ("address", &arguments.address),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            wish[name] = json!(value);
        }
    }
    if let Some(time) = arguments.time {
        wish["seconds"] = json!(seconds(time));
    }
    if !arguments.may_not.is_empty() {
        let rights: Vec<_> = arguments.may_not.iter().map(|right| right.name()).collect();
        wish["privileges"] = json!(rights);
    }
    let made = door.api.post(&door.path(&["bans"]), &wish)?;
    if arguments.json {
        print::json(&made)
    } else {
        print::line(&format!("ban {}", told(&made)))
    }
}

/// Carries out `tidings unban`.
pub(crate) fn unban(arguments: &UnbanArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    if let Some(id) = arguments.id {
        let path = door.path(&["bans", &id.to_string()]);
        let ban = door.api.get(&path, &[])?;
        return lift(arguments, &door, &ban);
    }
    let user = arguments.user.as_deref().unwrap_or_default();
    let mut bans = Vec::new();
    for ban in door.api.list(&door.path(&["bans"]), &[]) {
        let ban = ban?;
        if ban["user_id"] == user {
            bans.push(ban);
        }
    }
    if bans.is_empty() {
        return Err(Failure::new(
            format!("no ban names {}", shown(user)),
            "`tidings bans` shows all; one of a channel or an address is lifted with --id",
        ));
    }
    for ban in &bans {
        if ban["id"].is_null() {
            return Err(Failure::new(
                format!("the ban of {} is in the server's file of apps", shown(user)),
                format!(
                    "lift it there: tidings app unban {} {}",
                    door.app,
                    shown(user)
                ),
            ));
        }
    }
    bans.iter().try_for_each(|ban| lift(arguments, &door, ban))
}

fn lift(arguments: &UnbanArguments, door: &AppDoor, ban: &Value) -> Result<(), Failure> {
    let id = ban["id"].to_string();
    door.api.delete(&door.path(&["bans", &id]), &[])?;
    if arguments.json {
        print::json(ban)
    } else {
        print::line(&format!("lifted {}", told(ban)))
    }
}

/// Carries out `tidings bans`.
pub(crate) fn bans(arguments: &BansArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    let mut count = 0;
    for ban in door.api.list(&door.path(&["bans"]), &[]) {
        let ban = ban?;
        count += 1;
        if arguments.json {
            print::json(&ban)?;
        } else {
            print::line(&told(&ban))?;
        }
    }
    if count == 0 && !arguments.json {
        print::line("nobody is banned")?;
    }
    Ok(())
}
