//! Welcomes everybody who logs in. Started again, it goes on where it left off.
//!
//! ```sh
//! TIDINGS_ENDPOINT=http://127.0.0.1:7400 TIDINGS_APP=… TIDINGS_KEY=tdk_… \
//!     cargo run --package tidings-client --features server --example greeter [FILE]
//! ```
//!
//! FILE keeps the cursor: the place behind the last event that was dealt with.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use tidings_client::server::{Event, SendOptions, Tidings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "greeter.cursor".into());
    let file = PathBuf::from(file);
    let tidings = Tidings::builder().build()?;
    let mut events = tidings.events().types(["user.login"]);
    match fs::read_to_string(&file) {
        Ok(cursor) => {
            println!("going on behind {cursor}");
            events = events.after(cursor);
        }
        Err(_) => println!("beginning with the oldest event"),
    }
    let greet = async |event: Event| {
        if event.kind == "gap" {
            eprintln!("events were dropped before they were read");
            return Ok(());
        }
        let user = event.user.unwrap_or_default();
        // After a crash the same event may come again: its cursor is the key, so the message is not
        // sent again.
        let options = SendOptions::new().idempotency_key(format!("greet-{}", event.cursor));
        let text = format!("welcome, {user}");
        let receipt = tidings
            .send_to_peer(&user, text, "greeter", options)
            .await?;
        println!("{user}: {:?}", receipt.outcome);
        Ok(())
    };
    let save = async |cursor: &str| {
        // Whole or not at all.
        let new = file.with_extension("new");
        fs::write(&new, cursor)?;
        fs::rename(&new, &file)?;
        Ok(())
    };
    events.read(greet, save).await
}
