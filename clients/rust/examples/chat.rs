//! A chat on the terminal.
//!
//! `cargo run -p tidings-client --example chat -- ws://127.0.0.1:7400 APP_ID alice lobby`
//!
//! Each line goes to the channel; `@bob hello` goes to bob, stored if he is not there. The end of
//! the input (Ctrl-D) logs out.

use std::error::Error;

use tidings_client::{Channel, Client, ClientEvent, Events, Message, PeerReceipt, SendOptions};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, app_id, user_id, channel, token @ ..] = &arguments[..] else {
        return Err("give an endpoint, an app id, a user id, a channel and perhaps a token".into());
    };
    let (client, events) = Client::builder()
        .endpoint(endpoint)
        .app_id(app_id)
        .build()?;
    client
        .login(user_id, token.first().map(String::as_str))
        .await?;
    let channel = client.channel(channel);
    channel.join().await?;
    println!("members: {}", channel.members().await?.join(", "));
    tokio::spawn(show(events));

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if let Err(error) = say(&client, &channel, &line).await {
            println!("not sent: {error}");
        }
    }
    client.logout().await?;
    Ok(())
}

async fn say(client: &Client, channel: &Channel, line: &str) -> Result<(), Box<dyn Error>> {
    let Some((peer, text)) = line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) else {
        return Ok(channel.send(line).await?);
    };
    match client
        .send_to_peer(peer, text, SendOptions::new().offline())
        .await?
    {
        PeerReceipt::Received => println!("{peer} has it"),
        PeerReceipt::NotReceived => println!("{peer} is away and will get it later"),
    }
    Ok(())
}

async fn show(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            ClientEvent::ChannelMessage { from, message, .. } => {
                println!("{from}: {}", text(&message));
            }
            ClientEvent::PeerMessage {
                from,
                message,
                is_offline,
                ..
            } => {
                let stored = if is_offline {
                    ", while you were away"
                } else {
                    ""
                };
                println!("{from} to you{stored}: {}", text(&message));
            }
            ClientEvent::MemberJoined { user_id, .. } => println!("{user_id} has joined"),
            ClientEvent::MemberLeft { user_id, .. } => println!("{user_id} has left"),
            ClientEvent::StateChanged { state, reason } => println!("{state}: {reason}"),
            ClientEvent::Gap { .. } => println!("some messages are missing"),
            _ => {}
        }
    }
}

fn text(message: &Message) -> String {
    match message {
        Message::Text(text) => text.clone(),
        Message::Raw { data, description } => format!("{} bytes: {description}", data.len()),
        Message::File(file) | Message::Image { file, .. } => {
            format!("{} ({} bytes)", file.file_name, file.size)
        }
    }
}
