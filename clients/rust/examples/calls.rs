//! Call invitations: rings a user, or waits to be rung.
//!
//! `cargo run -p tidings-client --example calls -- ws://127.0.0.1:7400 APP_ID alice bob` rings bob;
//! without the last word it waits, accepts whoever rings, and goes on waiting.

use std::error::Error;

use tidings_client::{Client, ClientEvent, Events, LocalInvitationNews, RemoteInvitationNews};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, app_id, user_id, callee @ ..] = &arguments[..] else {
        return Err("give an endpoint, an app id, a user id and perhaps whom to ring".into());
    };
    let (client, events) = Client::builder()
        .endpoint(endpoint)
        .app_id(app_id)
        .build()?;
    client.login(user_id, None).await?;
    match callee.first() {
        Some(callee) => ring(&client, events, callee).await?,
        None => wait(&client, events).await?,
    }
    client.logout().await?;
    Ok(())
}

/// Rings a user and waits for the end of the ringing.
async fn ring(client: &Client, mut events: Events, callee: &str) -> Result<(), Box<dyn Error>> {
    let ours = client.invite(callee, "shall we talk?", None).await?;
    while let Some(event) = events.next().await {
        let ClientEvent::LocalInvitation { number, news, .. } = event else {
            continue;
        };
        if number != ours {
            continue;
        }
        match news {
            LocalInvitationNews::Received => {
                println!("it rings at {callee}'s");
                continue;
            }
            LocalInvitationNews::Accepted(response) => println!("{callee} says yes: {response}"),
            LocalInvitationNews::Refused(response) => println!("{callee} says no: {response}"),
            LocalInvitationNews::Canceled => println!("given up"),
            LocalInvitationNews::Failed(why) => println!("no call: {}", why.name()),
        }
        return Ok(());
    }
    Ok(())
}

/// Accepts whoever rings.
async fn wait(client: &Client, mut events: Events) -> Result<(), Box<dyn Error>> {
    while let Some(event) = events.next().await {
        let ClientEvent::RemoteInvitation {
            id,
            caller_id,
            news,
        } = event
        else {
            continue;
        };
        match news {
            RemoteInvitationNews::Received { content, .. } => {
                println!("{caller_id} rings: {content}");
                client.accept_invitation(&id, "with pleasure").await?;
            }
            RemoteInvitationNews::Accepted => println!("the call with {caller_id} may begin"),
            RemoteInvitationNews::Refused => println!("refused"),
            RemoteInvitationNews::Canceled => println!("{caller_id} has given up"),
            RemoteInvitationNews::Failed(why) => println!("no call: {}", why.name()),
        }
    }
    Ok(())
}
