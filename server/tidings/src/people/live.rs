//! `tidings sub` and `ask`: as a user who is logged in, with the Rust SDK.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};
use tidings_client::{
    BuildError, Client, ClientEvent, Events, MediaFile, Message, PeerReceipt, SendOptions,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::complete;
use super::interrupt::interrupted;
use super::print::{self, at_millis, now_ms};
use super::reach::{AppDoor, AppReach};
use super::send::read_message;
use super::shown::shown;
use crate::failure::Failure;
use crate::output;
use crate::settings::values::Span;

/// Longest wait for a login.
const LOGIN_WAIT: Duration = Duration::from_secs(15);

/// Longest wait for a logout: the server drops the session by itself a little later.
const LOGOUT_WAIT: Duration = Duration::from_secs(2);

/// How long a token of these commands is good, in seconds: `sub` may run on and on.
const TOKEN_S: u32 = 86_400;

/// As whom a command logs in.
#[derive(Debug, Args)]
#[command(next_help_heading = "As whom")]
pub(super) struct As {
    /// The user to log in as; another login of that user is ended [default: a new one, tidings-…]
    #[arg(long = "as", value_name = "USER")]
    as_user: Option<String>,

    /// That user's token [default: the server issues one, if the app allows it]
    #[arg(
        long,
        env = "TIDINGS_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,

    /// Where clients reach the server, such as wss://chat.example.org [default: where the API is]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

#[derive(Args)]
#[command(after_help = "Examples:
  tidings sub lobby
  tidings sub lobby help --members --json

It logs in as a user and joins: the members see one more until you press Ctrl-C.")]
pub(crate) struct SubArguments {
    /// The channels to listen to
    #[arg(
        value_name = "CHANNEL",
        required = true,
        add = ArgValueCompleter::new(complete::channels)
    )]
    channels: Vec<String>,

    /// Show also who joins and leaves
    #[arg(long)]
    members: bool,

    /// End after so many messages
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,

    /// Print a JSON object per message
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    who: As,

    #[command(flatten)]
    reach: AppReach,
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings ask echo-bot \"are you there?\"
      Log in, send it to the user echo-bot, and print the first message that comes
      back from there. The exit code is 1 if there is none within --wait.")]
pub(crate) struct AskArguments {
    /// The user to ask, such as a service of your backend
    #[arg(value_name = "USER", add = ArgValueCompleter::new(complete::users))]
    user: String,

    /// The question, or - to read it from standard input
    #[arg(value_name = "TEXT")]
    message: String,

    /// How long to wait for the answer; a number without a unit is seconds
    #[arg(long, value_name = "TIME", default_value = "10s")]
    wait: Span,

    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    who: As,

    #[command(flatten)]
    reach: AppReach,
}

/// Runs something that waits for the network.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Failure::new(
            format!("cannot start: {error}"),
            "check the system's limits on open files",
        )
    })?;
    runtime.block_on(work)
}

/// Where clients reach the server whose API this is.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    pub(super) endpoint: String,
    app: String,
    /// Authorities of the server's certificate in PEM; `None` = the public ones.
    authorities: Option<Vec<u8>>,
}

impl Entrance {
    /// # Errors
    /// The file of authorities cannot be read.
    pub(super) fn of(door: &AppDoor, given: Option<&str>) -> Result<Self, Failure> {
        let target = door.api.target();
        let endpoint = match given {
            Some(url) => url.to_owned(),
            // With a port of its own the API is not where clients are.
            None => door.clients.clone().unwrap_or_else(|| target.url.clone()),
        };
        let authorities = match &target.ca_file {
            Some(file) => Some(std::fs::read(file).map_err(|error| {
                Failure::new(
                    format!("cannot read the authorities in {}: {error}", file.display()),
                    "check the path that --ca-file gives, and who may read it",
                )
            })?),
            None => None,
        };
        Ok(Self {
            endpoint,
            app: door.app.clone(),
            authorities,
        })
    }
}

/// A token for a user: issued by the server, if the app needs and allows it.
///
/// # Errors
/// The app needs one, and the server does not issue it.
pub(super) fn token_for(door: &AppDoor, user: &str, ttl_s: u32) -> Result<Option<String>, Failure> {
    if !needs_token(door)? {
        return Ok(None);
    }
    let wish = json!({ "user_id": user, "ttl": ttl_s });
    match door.api.post(&door.path(&["tokens"]), &wish) {
        Ok(issued) => Ok(issued["token"].as_str().map(str::to_owned)),
        Err(trouble) if trouble.code == "switched_off" => Err(Failure::new(
            format!(
                "user {} needs a token, and the API may not issue one",
                shown(user)
            ),
            format!(
                "give --token (`tidings token issue` makes one), or allow it: tidings app set {} \
                 issue_tokens=true",
                door.app
            ),
        )),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Whether users log in to the app with tokens.
fn needs_token(door: &AppDoor) -> Result<bool, Failure> {
    match door.api.get(&door.path(&[]), &[]) {
        Ok(app) => {
            let has_certificate = app["certificates"]
                .as_array()
                .is_some_and(|all| !all.is_empty());
            Ok(has_certificate || !app["jwt"].is_null())
        }
        // With --dev an app need not be listed, and a listed one is open too.
        Err(trouble) if trouble.code == "unknown_app" => Ok(false),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Logs in as whom the options say.
async fn log_in(door: &AppDoor, who: &As) -> Result<(Client, Events, String), Failure> {
    let user = match &who.as_user {
        Some(user) => user.clone(),
        None => format!("tidings-{:08x}", getrandom::u32().unwrap_or_default()),
    };
    let token = match &who.token {
        Some(token) => Some(token.clone()),
        None => token_for(door, &user, TOKEN_S)?,
    };
    let entrance = Entrance::of(door, who.endpoint.as_deref())?;
    let (client, events) = client_at(&entrance, &user, token.as_deref()).await?;
    Ok((client, events, user))
}

/// A client that is logged in.
pub(super) async fn client_at(
    entrance: &Entrance,
    user: &str,
    token: Option<&str>,
) -> Result<(Client, Events), Failure> {
    let endpoint = entrance.endpoint.as_str();
    let mut builder = Client::builder().endpoint(endpoint).app_id(&entrance.app);
    if let Some(pem) = &entrance.authorities {
        builder = builder.authorities(pem.clone());
    }
    let (client, events) = builder.build().map_err(|error| {
        let hint = match error {
            BuildError::Authorities { .. } => "give --ca-file the certificate of an authority",
            _ => "give --endpoint as ws://HOST:PORT or wss://HOST",
        };
        Failure::of(&error, hint)
    })?;
    match timeout(LOGIN_WAIT, client.login(user, token)).await {
        Ok(Ok(())) => Ok((client, events)),
        Ok(Err(error)) => Err(Failure::new(
            format!(
                "{} cannot log in: {}",
                shown(user),
                shown(&error.to_string())
            ),
            "look into the token with `tidings token inspect`, and at the bans with `tidings bans`",
        )),
        Err(_) => Err(Failure::new(
            format!(
                "no login within {} s at {}",
                LOGIN_WAIT.as_secs(),
                shown(endpoint)
            ),
            "give --endpoint where clients reach the server; over TLS its certificate must name \
             that host, and come from a public authority or one in --ca-file",
        )),
    }
}

/// What is in a message, as a line of a terminal and as fields of JSON.
fn content(message: &Message) -> (String, Value) {
    match message {
        Message::Text(text) => (shown(text), json!({ "type": "text", "payload": text })),
        Message::Raw { data, description } => (
            format!("{} bytes {}", data.len(), shown(description)),
            json!({
                "type": "raw",
                "payload_base64": STANDARD.encode(data),
                "description": description,
            }),
        ),
        Message::File(file) => about_file("file", file),
        Message::Image { file, .. } => about_file("image", file),
    }
}

fn about_file(kind: &str, file: &MediaFile) -> (String, Value) {
    (
        format!(
            "{kind} {}, {} bytes, id {}",
            shown(&file.file_name),
            file.size,
            shown(&file.media_id)
        ),
        json!({
            "type": kind,
            "media_id": file.media_id,
            "file_name": file.file_name,
            "bytes": file.size,
            "description": file.description,
        }),
    )
}

fn said(
    channel: Option<&str>,
    from: &str,
    message: &Message,
    at_ms: u64,
    as_json: bool,
) -> Result<(), Failure> {
    let (line, mut fields) = content(message);
    if as_json {
        fields["at_ms"] = json!(at_ms);
        fields["from"] = json!(from);
        if let Some(channel) = channel {
            fields["channel"] = json!(channel);
        }
        return print::json(&fields);
    }
    let place = channel.map(|channel| format!("{}  ", shown(channel)));
    print::line(&format!(
        "{}  {}{}: {line}",
        at_millis(at_ms),
        place.unwrap_or_default(),
        shown(from)
    ))
}

/// Carries out `tidings sub`.
pub(crate) fn sub(arguments: &SubArguments) -> Result<(), Failure> {
    let door = arguments.reach.open()?;
    block_on(async {
        let (client, mut events, user) = log_in(&door, &arguments.who).await?;
        let done = async {
            for name in &arguments.channels {
                client.channel(name).join().await.map_err(|error| {
                    let what = format!("{} cannot join {}: {error}", shown(&user), shown(name));
                    Failure::new(what, "`tidings bans` shows who may not join")
                })?;
            }
            output::notice(format_args!(
                "listening as {}; Ctrl-C ends it",
                shown(&user)
            ));
            tokio::select! {
                done = listen(arguments, &mut events) => done,
                () = interrupted() => Ok(()),
            }
        };
        let done = done.await;
        let _ = timeout(LOGOUT_WAIT, client.logout()).await;
        done
    })
}

async fn listen(arguments: &SubArguments, events: &mut Events) -> Result<(), Failure> {
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0
        && let Some(event) = events.next().await
    {
        match event {
            ClientEvent::ChannelMessage {
                channel,
                from,
                message,
                server_ts_ms,
            } => {
                said(
                    Some(&channel),
                    &from,
                    &message,
                    server_ts_ms,
                    arguments.json,
                )?;
                left -= 1;
            }
            ClientEvent::PeerMessage {
                from,
                message,
                server_ts_ms,
                ..
            } => {
                said(None, &from, &message, server_ts_ms, arguments.json)?;
                left -= 1;
            }
            ClientEvent::MemberJoined { channel, user_id } if arguments.members => {
                moved(&channel, &user_id, "joined", arguments.json)?;
            }
            ClientEvent::MemberLeft { channel, user_id } if arguments.members => {
                moved(&channel, &user_id, "left", arguments.json)?;
            }
            ClientEvent::Gap { .. } => output::notice("some messages are missing"),
            ClientEvent::ChannelLost { channel, error } => {
                return Err(Failure::new(
                    format!("{} is lost: {error}", shown(&channel)),
                    "start the command again",
                ));
            }
            ClientEvent::StateChanged { state, reason } => {
                if state == tidings_client::ConnectionState::Aborted {
                    return Err(Failure::new(
                        format!("the login has ended: {reason}"),
                        "a kick, a ban or another login of the same user ends it",
                    ));
                }
                if state == tidings_client::ConnectionState::Reconnecting {
                    output::notice("the connection is lost; trying again");
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn moved(channel: &str, user: &str, how: &str, as_json: bool) -> Result<(), Failure> {
    let at_ms = now_ms();
    if as_json {
        return print::json(&json!({
            "type": how, "channel": channel, "user": user, "at_ms": at_ms,
        }));
    }
    let (channel, user) = (shown(channel), shown(user));
    print::line(&format!(
        "{}  {channel}  {user} has {how}",
        at_millis(at_ms)
    ))
}

/// Carries out `tidings ask`.
pub(crate) fn ask(arguments: &AskArguments) -> Result<(), Failure> {
    let question = read_message(&arguments.message)?;
    let question = String::from_utf8(question).map_err(|_| {
        Failure::new(
            "the question is no text in UTF-8",
            "give text; `tidings pub --raw` sends bytes",
        )
    })?;
    let door = arguments.reach.open()?;
    block_on(async {
        let (client, mut events, _) = log_in(&door, &arguments.who).await?;
        let done = tokio::select! {
            done = answered(arguments, &client, &mut events, question) => done,
            () = interrupted() => Err(Failure::new("no answer yet", "wait for it")),
        };
        let _ = timeout(LOGOUT_WAIT, client.logout()).await;
        done
    })
}

async fn answered(
    arguments: &AskArguments,
    client: &Client,
    events: &mut Events,
    question: String,
) -> Result<(), Failure> {
    let wait = arguments.wait.of(Duration::from_secs(1));
    let asked = Instant::now();
    let until = asked + wait;
    let user = arguments.user.as_str();
    let sent = timeout_at(
        until,
        client.send_to_peer(user, question, SendOptions::new()),
    )
    .await;
    let whom = shown(user);
    match sent {
        Ok(Ok(PeerReceipt::Received)) | Err(_) => {}
        Ok(Ok(PeerReceipt::NotReceived)) => {
            return Err(Failure::new(
                format!("{whom} is not there"),
                "`tidings who` shows who is",
            ));
        }
        Ok(Err(error)) => {
            return Err(Failure::new(
                format!("the question was not sent: {error}"),
                "check the user's id",
            ));
        }
    }
    while let Ok(Some(event)) = timeout_at(until, events.next()).await {
        let ClientEvent::PeerMessage { from, message, .. } = event else {
            continue;
        };
        if from != user {
            continue;
        }
        let (line, mut fields) = content(&message);
        if !arguments.json {
            return print::line(&line);
        }
        let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        fields["from"] = json!(from);
        fields["took_ms"] = json!(took_ms);
        return print::json(&fields);
    }
    Err(Failure::new(
        format!(
            "{whom} has not answered within {}",
            humantime::format_duration(wait)
        ),
        "the user may have the question and not answer it; --wait TIME waits longer",
    ))
}
