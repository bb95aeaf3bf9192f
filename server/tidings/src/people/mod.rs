//! The commands for people: they look at a server and act on it, here or far away, over the same
//! HTTP API that backends and the console use, and have no way around it.
//!
//! **Reading order.** `reach` (which server, which app), `contexts` (servers with names), `http`
//! (calls), `shown` and `print` (text of strangers, tables), then a file per group of commands, and
//! `complete` (names for the shell).

mod act;
mod audit;
mod bench;
mod complete;
mod context_command;
mod contexts;
mod http;
mod interrupt;
mod live;
mod look;
mod print;
mod reach;
mod send;
mod shown;
mod top;
mod trace;
mod watch;

use clap::Subcommand;

pub(crate) use self::reach::{Door, Found, Reach};
use crate::failure::Failure;

/// The commands for people.
#[derive(Subcommand)]
pub(crate) enum PeopleCommand {
    /// Show the server as it is now, on a page that lives
    Top(top::TopArguments),
    /// List who is logged in
    Who(look::WhoArguments),
    /// Show a user: sessions, channels, attributes, what waits, bans
    User(look::UserArguments),
    /// List the channels that have members
    Channels(look::ChannelsArguments),
    /// Show a channel: members and attributes
    Channel(look::ChannelArguments),
    /// List who has changed what, the newest first
    Audit(audit::AuditArguments),
    /// List what has happened: logins, joins, invitations, bans
    Events(watch::EventsArguments),
    /// Follow what happens
    Tail(watch::TailArguments),
    /// Send a message to a channel or a user
    Pub(send::PubArguments),
    /// Join channels and show their messages
    Sub(live::SubArguments),
    /// Send a question to a user and wait for the answer
    Ask(live::AskArguments),
    /// End a user's sessions, or take the user out of a channel
    Kick(act::KickArguments),
    /// Ban a user, an address or a whole channel
    Ban(act::BanArguments),
    /// Lift bans of a user, or one by its id
    Unban(act::UnbanArguments),
    /// List the bans
    Bans(act::BansArguments),
    /// Follow messages, and tell the way of one
    Trace(trace::TraceArguments),
    /// Put a bounded load on a server of your own, and measure
    Bench(bench::BenchArguments),
    /// Give names to servers, so that commands find them
    #[command(subcommand)]
    Context(context_command::ContextCommand),
}

/// Carries out a command for people.
pub(crate) fn run(command: PeopleCommand) -> Result<(), Failure> {
    match command {
        PeopleCommand::Top(arguments) => top::run(&arguments),
        PeopleCommand::Who(arguments) => look::who(&arguments),
        PeopleCommand::User(arguments) => look::user(&arguments),
        PeopleCommand::Channels(arguments) => look::channels(&arguments),
        PeopleCommand::Channel(arguments) => look::channel(&arguments),
        PeopleCommand::Audit(arguments) => audit::run(&arguments),
        PeopleCommand::Events(arguments) => watch::events(&arguments),
        PeopleCommand::Tail(arguments) => watch::tail(&arguments),
        PeopleCommand::Pub(arguments) => send::run(&arguments),
        PeopleCommand::Sub(arguments) => live::sub(&arguments),
        PeopleCommand::Ask(arguments) => live::ask(&arguments),
        PeopleCommand::Kick(arguments) => act::kick(&arguments),
        PeopleCommand::Ban(arguments) => act::ban(&arguments),
        PeopleCommand::Unban(arguments) => act::unban(&arguments),
        PeopleCommand::Bans(arguments) => act::bans(&arguments),
        PeopleCommand::Trace(arguments) => trace::run(&arguments),
        PeopleCommand::Bench(arguments) => bench::run(&arguments),
        PeopleCommand::Context(command) => context_command::run(command),
    }
}
