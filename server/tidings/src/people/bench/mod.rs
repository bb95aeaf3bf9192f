//! `tidings bench`: a bounded load on a server of one's own.
//!
//! Messages are sent by the clock, not when the last was answered, and a latency counts from when
//! its message was due: a server that stands still for a second is seen to do so.

mod load;
mod plan;
mod report;

use std::sync::{Arc, Mutex};

use clap::Args;
use tidings_client::{Client, Events};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::load::{LAST_WAIT, Tally, measure, receive};
use self::plan::{Pattern, Plan, Wish};
use self::report::{Server, described};
use super::live::{Entrance, block_on, client_at, token_for};
use super::print;
use super::reach::AppReach;
use crate::failure::Failure;
use crate::output;

/// Logins that are under way at a time.
const LOGINS: usize = 16;

/// How long a client's token is good, in seconds: longer than any run.
const TOKEN_S: u32 = 1_200;

#[derive(Args)]
#[command(
    after_help = "Clients log in as users bench-… of the app, and log out at the end. The key
must reach the app: this is for a server of your own. One core of this machine
makes the load; the report says if that was too little.

Examples:
  tidings bench
  tidings bench --clients 200 --rate 50 --time 30s
      Each message goes to 199 members: 9,950 deliveries in a second.
  tidings bench --pattern pairs --clients 100 --rate 2000 --json"
)]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    wish: Wish,

    /// Where clients reach the server, such as wss://chat.example.org [default: where the API is]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// Carries out `tidings bench`.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let plan = Arc::new(Plan::of(&arguments.wish)?);
    let door = arguments.reach.open()?;
    // Only who may look at the app may load it.
    door.api.get(&door.path(&["channels"]), &[("limit", "1")])?;
    let entrance = Entrance::of(&door, arguments.endpoint.as_deref())?;
    let mut tokens = Vec::with_capacity(plan.clients);
    for at in 0..plan.clients {
        let token = token_for(&door, &plan.user(at), TOKEN_S)?;
        let needs_none = token.is_none();
        tokens.push(token);
        if needs_none {
            tokens.resize(plan.clients, None);
            break;
        }
    }
    let server = Server::of(&door);
    let report = block_on(async {
        output::notice(format_args!("logging in {} clients", plan.clients));
        let clients = log_in(&plan, &entrance, tokens).await?;
        let tally = Arc::new(Mutex::new(Tally::new()?));
        let (mut handles, mut readers) = (Vec::new(), JoinSet::new());
        for (client, events) in clients {
            readers.spawn(receive(plan.clone(), events, tally.clone()));
            handles.push(client);
        }
        let report = measure(&plan, &handles, &tally, &server).await;
        let mut leaving = JoinSet::new();
        for client in handles {
            leaving.spawn(async move { client.logout().await });
        }
        let _ = timeout(LAST_WAIT, leaving.join_all()).await;
        report
    })?;
    if arguments.json {
        print::json(&report)
    } else {
        print::line(&described(&plan, &entrance.endpoint, &report))
    }
}

async fn log_in(
    plan: &Plan,
    entrance: &Entrance,
    tokens: Vec<Option<String>>,
) -> Result<Vec<(Client, Events)>, Failure> {
    let places = Arc::new(Semaphore::new(LOGINS));
    let mut logins = JoinSet::new();
    for (at, token) in tokens.into_iter().enumerate() {
        let (places, user) = (places.clone(), plan.user(at));
        let entrance = entrance.clone();
        let channel = (plan.pattern == Pattern::Channel).then(|| plan.channel());
        logins.spawn(async move {
            let _place = places.acquire_owned().await;
            let (client, events) = client_at(&entrance, &user, token.as_deref()).await?;
            if let Some(channel) = channel {
                client.channel(channel).join().await.map_err(|error| {
                    let what = format!("{user} cannot join the channel: {error}");
                    Failure::new(what, "look at the app's limits with `tidings app show`")
                })?;
            }
            Ok((at, client, events))
        });
    }
    let mut clients = Vec::with_capacity(plan.clients);
    while let Some(login) = logins.join_next().await {
        match login {
            Ok(Ok(login)) => clients.push(login),
            Ok(Err(failure)) => return Err(failure),
            Err(error) => return Err(Failure::new(error.to_string(), "report this")),
        }
    }
    clients.sort_by_key(|(at, ..)| *at);
    let clients = clients.into_iter();
    Ok(clients
        .map(|(_, client, events)| (client, events))
        .collect())
}
