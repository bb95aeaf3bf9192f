//! Who is there: follows users, says how they are, and shows a line of each.
//!
//! `cargo run -p tidings-client --example presence -- ws://127.0.0.1:7400 APP_ID alice bob carol`
//!
//! Logs alice in with an attribute `mood`, subscribes to bob and carol, and prints what becomes of
//! them until Ctrl-C.

use std::error::Error;

use tidings_client::{Attribute, AttributeWrite, Client, ClientEvent, PresenceState};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, app_id, user_id, friends @ ..] = &arguments[..] else {
        return Err("give an endpoint, an app id, a user id and users to follow".into());
    };
    let (client, mut events) = Client::builder()
        .endpoint(endpoint)
        .app_id(app_id)
        .build()?;
    client.login(user_id, None).await?;
    let mood = Attribute::new("mood", "curious");
    client
        .write_attributes(AttributeWrite::Merge, [mood])
        .await?;
    client.subscribe_presence(friends.iter().cloned()).await?;
    while let Some(event) = events.next().await {
        match event {
            ClientEvent::PresenceChanged { users } => {
                for (friend, state) in users {
                    println!("{friend}: {}", line(&client, &friend, state).await);
                }
            }
            ClientEvent::StateChanged { state, reason } => println!("({state}: {reason})"),
            _ => {}
        }
    }
    Ok(())
}

/// How a friend is, in a few words.
async fn line(client: &Client, friend: &str, state: PresenceState) -> String {
    match state {
        PresenceState::Online => match client.read_attributes(friend, ["mood"]).await {
            Ok(attributes) => match attributes.first() {
                Some(mood) => format!("there, {}", mood.value),
                None => "there".to_owned(),
            },
            // Offline again by now: the next event says so.
            Err(error) => format!("there, but {error}"),
        },
        PresenceState::Unreachable => "lost, perhaps back soon".to_owned(),
        PresenceState::Offline => "away".to_owned(),
    }
}
