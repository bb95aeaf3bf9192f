//! `tidings pub`: a message in a user's name, without a login.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::complete;
use super::look::text;
use super::print;
use super::reach::AppReach;
use super::shown::shown;
use crate::failure::Failure;

/// Most bytes read: more than a message may have, so that the server refuses it and says why.
const INPUT_BYTES_MAX: u64 = 1 << 20;

/// In whose name messages are sent unless another is given.
pub(super) const SENDER: &str = "operator";

#[derive(Args)]
#[command(after_help = "Examples:
  tidings pub lobby \"back in five minutes\"
  tidings pub --user alice \"call me\" --from bob --offline
      To a user, and kept until alice is there.
  tidings pub --user alice ping --wait
      Answers when alice's client has it.
  date | tidings pub lobby -")]
pub(crate) struct PubArguments {
    /// The channel, or the user with --user
    #[arg(value_name = "TO", add = ArgValueCompleter::new(complete::channels_and_users))]
    to: String,

    /// What to send, or - to read it from standard input
    #[arg(value_name = "TEXT")]
    message: String,

    /// TO is a user, not a channel
    #[arg(long, short)]
    user: bool,

    /// The user in whose name it is sent; need not be logged in, nor a member
    #[arg(long, value_name = "USER", default_value = SENDER)]
    from: String,

    /// Send bytes instead of text: a raw message
    #[arg(long)]
    raw: bool,

    /// Keep it in the history
    #[arg(long)]
    store: bool,

    /// Keep it for a user who is not there
    #[arg(long, requires = "user")]
    offline: bool,

    /// Answer when the user's client has it, instead of when the server has it
    #[arg(long, requires = "user")]
    wait: bool,

    /// Print the receipt as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// Carries out `tidings pub`.
pub(crate) fn run(arguments: &PubArguments) -> Result<(), Failure> {
    let payload = read_message(&arguments.message)?;
    let door = arguments.reach.open()?;
    let mut body = json!({ "from": arguments.from, "store": arguments.store });
    if arguments.user {
        body["users"] = json!([arguments.to]);
        body["offline"] = json!(arguments.offline);
        body["wait"] = json!(arguments.wait);
    } else {
        body["channel"] = json!(arguments.to);
    }
    match (arguments.raw, String::from_utf8(payload)) {
        (false, Ok(text)) => body["payload"] = json!(text),
        (true, Ok(text)) => body["payload_base64"] = json!(STANDARD.encode(text)),
        (true, Err(error)) => {
            body["payload_base64"] = json!(STANDARD.encode(error.as_bytes()));
        }
        (false, Err(_)) => {
            return Err(Failure::new(
                "the message is no text in UTF-8",
                "add --raw to send bytes",
            ));
        }
    }
    let answer = door.api.post(&door.path(&["publish"]), &body)?;
    let receipt = answer["results"].get(0).unwrap_or(&Value::Null);
    if arguments.json {
        print::json(receipt)?;
    } else if receipt["error"].is_null() {
        print::line(&told(receipt))?;
    }
    outcome(arguments, receipt)
}

/// A receipt in words.
fn told(receipt: &Value) -> String {
    let outcome = text(receipt, "outcome");
    let means = match outcome.as_str() {
        "sent" => "the server has it",
        "delivered" => "the user's client has it",
        "stored" => "it is kept until the user is there",
        "offline" => "the user is not there, and it is not kept",
        _ => "",
    };
    let id = match text(receipt, "message_id") {
        id if id.is_empty() => String::new(),
        id => format!("  {id}"),
    };
    format!("{outcome}: {means}{id}")
}

/// # Errors
/// Nobody has the message, nor will have it.
fn outcome(arguments: &PubArguments, receipt: &Value) -> Result<(), Failure> {
    if !receipt["error"].is_null() {
        let error = &receipt["error"];
        return Err(Failure::new(text(error, "detail"), text(error, "hint")));
    }
    if receipt["outcome"] == "offline" {
        return Err(Failure::new(
            format!("{} is not there", shown(&arguments.to)),
            "--offline keeps the message until the user is",
        ));
    }
    Ok(())
}

/// A message from the command line or the standard input.
pub(super) fn read_message(given: &str) -> Result<Vec<u8>, Failure> {
    if given != "-" {
        return Ok(given.as_bytes().to_vec());
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin()
        .take(INPUT_BYTES_MAX)
        .read_to_end(&mut bytes);
    read.map_err(|error| {
        Failure::new(
            format!("cannot read the message from the standard input: {error}"),
            "give it as an argument, or pipe it into the program",
        )
    })?;
    Ok(bytes)
}
