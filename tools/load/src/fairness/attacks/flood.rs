//! One connection that sends as much as it can, or as often as configured.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tidings_wire::ws::Kind;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::fairness::door::{Door, End, OPEN_APP, Socket, numbered, text};
use crate::fairness::field::{Field, again};

/// Bytes given to the kernel at once by floods without a pace.
const PIECE_BYTES: usize = 64 << 10;

/// Makes the next piece of a flood: appends bytes, given how many numbered messages were received,
/// and returns how many messages it appended. If it appends nothing, it is asked again when more
/// has been received.
pub(super) type Say = Box<dyn FnMut(&mut Vec<u8>, u64) -> u64 + Send>;

/// The client that floods.
#[derive(Clone)]
pub(super) enum Who {
    /// A client that has not logged in, at this path.
    Stranger(&'static str),
    /// A user of the open app.
    User(String),
    /// An account of the open app at the legacy door.
    Legacy(String),
}

/// Whether the server's output is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ears {
    Open,
    Shut,
}

/// One flooding client.
#[derive(Clone)]
pub(super) struct Flood {
    pub(super) who: Who,
    pub(super) from: Option<IpAddr>,
    pub(super) ears: Ears,
    /// Time between two pieces; `None` = as fast as the kernel accepts them.
    pub(super) every: Option<Duration>,
}

impl Flood {
    pub(super) fn of(who: Who, from: Option<IpAddr>) -> Self {
        Self {
            who,
            from,
            ears: Ears::Open,
            every: None,
        }
    }

    /// Floods, and reconnects at once whenever it is disconnected. `say` is created again for each
    /// connection; it gets the line of a legacy login.
    pub(super) async fn rage(self, field: Arc<Field>, say: impl Fn(&str) -> Say) {
        again(&field, |_| async {
            let (socket, line) = self.enter(&field.door).await?;
            let _held = field.hold();
            let end = self.pour(&field, socket, say(&line)).await;
            Err::<(), _>(end)
        })
        .await;
    }

    /// Opens the flood's connection.
    pub(super) async fn enter(&self, door: &Door) -> Result<(Socket, String), End> {
        match &self.who {
            Who::Stranger(path) => Ok((door.open(path, self.from).await?, String::new())),
            Who::User(user) => {
                let login = door.log_in(OPEN_APP, user, "", self.from).await?;
                Ok((login.0, String::new()))
            }
            Who::Legacy(account) => legacy_login(door, account, self.from).await,
        }
    }

    /// Sends until the connection ends; returns how it ended.
    pub(super) async fn pour(&self, field: &Field, socket: Socket, mut say: Say) -> End {
        let (heard, more) = (AtomicU64::new(0), Notify::new());
        let Socket {
            mut reader,
            mut writer,
        } = socket;
        let write = async {
            let mut ticks = self.every.map(interval);
            if let Some(ticks) = &mut ticks {
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            }
            let mut piece = Vec::new();
            loop {
                match &mut ticks {
                    Some(ticks) => drop(ticks.tick().await),
                    // Gives the runtime's other tasks a turn.
                    None => tokio::task::yield_now().await,
                }
                piece.clear();
                let count = say(&mut piece, heard.load(Ordering::Relaxed));
                if piece.is_empty() {
                    more.notified().await;
                    continue;
                }
                if let Err(error) = writer.write_all(&piece).await {
                    return End::from(error);
                }
                field.did(count, piece.len());
            }
        };
        let hear = async {
            if self.ears == Ears::Shut {
                return std::future::pending().await;
            }
            loop {
                let mut count = 0;
                let read = reader.read(|kind, payload| {
                    if kind == Kind::Binary {
                        count += numbered(payload);
                    }
                });
                if let Err(end) = read.await {
                    return end;
                }
                heard.fetch_add(count, Ordering::Relaxed);
                more.notify_one();
            }
        };
        tokio::pin!(hear);
        tokio::select! {
            end = &mut hear => end,
            // The server's reason for closing is in what it sent before.
            end = write => timeout(Duration::from_millis(100), hear).await.unwrap_or(end),
        }
    }
}

/// Logs in at the legacy door; returns the line that further calls must carry.
pub(super) async fn legacy_login(
    door: &Door,
    account: &str,
    from: Option<IpAddr>,
) -> Result<(Socket, String), End> {
    let mut socket = door.open(&format!("/legacy/{OPEN_APP}"), from).await?;
    let login = json!(["login", {
        "vid": OPEN_APP, "account": account, "uid": 0, "token": "_no_need_token", "device": "websdk", "ip": "",
    }]);
    socket.writer.write_all(&text(&login.to_string())).await?;
    let mut line = None;
    while line.is_none() {
        let read = socket.reader.read(|_, payload| {
            let frame: Value = serde_json::from_slice(payload).unwrap_or_default();
            let body = match &frame[1][1] {
                Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
                other => other.clone(),
            };
            line = line.take().or(body["line"].as_str().map(str::to_owned));
        });
        timeout(Duration::from_secs(10), read)
            .await
            .map_err(|_| End::Silent)??;
    }
    Ok((socket, line.unwrap_or_default()))
}

/// A call of a logged-in legacy client, as a frame.
pub(super) fn legacy_call(line: &str, number: u64, function: &str, mut args: Value) -> Vec<u8> {
    args["line"] = json!(line);
    text(&json!(["call2", [function, number, args]]).to_string())
}

/// Repeats a frame that contains this many messages.
pub(super) fn repeat(frame: Vec<u8>, messages: u64) -> Say {
    let times = (PIECE_BYTES / frame.len()).max(1);
    let piece = frame.repeat(times);
    Box::new(move |out, _| {
        out.extend_from_slice(&piece);
        messages * times as u64
    })
}

/// Makes frame after frame from a counter that starts at 1 and the number to confirm.
pub(super) fn each(
    messages: u64,
    mut make: impl FnMut(u64, u64) -> Vec<u8> + Send + 'static,
) -> Say {
    let mut number = 0;
    Box::new(move |out, heard| {
        number += 1;
        out.extend_from_slice(&make(number, heard));
        messages
    })
}
