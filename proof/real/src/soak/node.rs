//! Clients of the JavaScript SDK: one Node process holds them all. It is told what to do and tells
//! what they see, each in a line of JSON; `clients/js/rtm/test/driver.mjs` describes the lines.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::client::{Heard, Refusal};
use crate::Failure;
use crate::program::APP;

/// The Node process that runs the JavaScript clients.
#[derive(Debug)]
pub(super) struct Node {
    process: Child,
    /// Its standard input, by a thread of its own: a full pipe must not stop the run.
    input: mpsc::Sender<Value>,
    shared: Arc<Shared>,
}

/// What waits for its lines.
#[derive(Debug, Default)]
struct Shared {
    last_id: AtomicU64,
    /// Open calls by their number. None once the process has ended: then nothing is answered any
    /// more.
    answers: Mutex<Option<BTreeMap<u64, oneshot::Sender<Value>>>>,
    /// By the client's name. Emptied when the process has ended.
    events: Mutex<BTreeMap<String, UnboundedSender<Heard>>>,
}

/// One client in the Node process.
#[derive(Debug, Clone)]
pub(super) struct NodeClient {
    name: String,
    node: Arc<Node>,
}

impl Node {
    /// Starts the process.
    ///
    /// # Errors
    /// [`Failure`] when the SDK is not built or Node does not start.
    pub(super) fn start() -> Result<Arc<Self>, Failure> {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/js/rtm");
        // A copy, so that a long run goes on while the SDK is built again.
        let sdk = std::env::var_os("TIDINGS_JS_SDK").map_or(sdk, PathBuf::from);
        if !sdk.join("dist/index.mjs").exists() {
            return Err(Failure::new(format!(
                "there is no JavaScript SDK; build it with `npm ci && npm run build` in {}",
                sdk.display()
            )));
        }
        let mut process = Command::new("node")
            .arg(sdk.join("test/driver.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::of("node does not start; install Node 20 or later"))?;
        let mut standard_input = process.stdin.take().expect("it is piped");
        let output = process.stdout.take().expect("it is piped");
        let (input, lines) = mpsc::channel::<Value>();
        std::thread::spawn(move || {
            // A process that has ended shows when its lines are read.
            while let Ok(line) = lines.recv() {
                let _ = writeln!(standard_input, "{line}");
            }
        });
        let shared = Arc::new(Shared {
            answers: Mutex::new(Some(BTreeMap::new())),
            ..Shared::default()
        });
        let hearing = Arc::clone(&shared);
        std::thread::spawn(move || hearing.read(output));
        Ok(Arc::new(Self {
            process,
            input,
            shared,
        }))
    }

    /// Makes a client that is not logged in, and what it hears; that ends only with the process.
    pub(super) fn client(
        self: &Arc<Self>,
        name: &str,
        address: SocketAddr,
    ) -> (NodeClient, UnboundedReceiver<Heard>) {
        let (events, heard) = unbounded_channel();
        lock(&self.shared.events).insert(name.to_owned(), events);
        let client = NodeClient {
            name: name.to_owned(),
            node: Arc::clone(self),
        };
        let endpoint = format!("ws://{address}");
        client.tell("create", json!({ "appId": APP, "endpoint": endpoint }));
        (client, heard)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Shared {
    /// Reads what the process says until it ends.
    fn read(&self, output: ChildStdout) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Whatever is no line of the driver's is no answer either, and its call would be late.
            let Ok(line) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            if let Some(client) = line["client"].as_str() {
                if let Some(heard) = heard(&line)
                    && let Some(events) = lock(&self.events).get(client)
                {
                    let _ = events.send(heard);
                }
            } else if let Some(id) = line["id"].as_u64() {
                let waiter = lock(&self.answers)
                    .as_mut()
                    .and_then(|open| open.remove(&id));
                if let Some(waiter) = waiter {
                    let _ = waiter.send(line);
                }
            }
        }
        lock(&self.answers).take();
        lock(&self.events).clear();
    }
}

impl NodeClient {
    /// Gives a command that has no answer to wait for.
    pub(super) fn tell(&self, what: &str, arguments: Value) {
        self.order(what, arguments, 0);
    }

    /// Gives a command when first polled, and waits for its answer.
    ///
    /// # Errors
    /// What the SDK's promise was rejected with; [`Refusal::gone`] when the process has ended.
    pub(super) async fn ask(&self, what: &str, arguments: Value) -> Result<Value, Refusal> {
        let shared = &self.node.shared;
        let id = shared.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        match lock(&shared.answers).as_mut() {
            Some(open) => open.insert(id, answer),
            None => return Err(Refusal::gone()),
        };
        self.order(what, arguments, id);
        let line = answered.await.map_err(|_| Refusal::gone())?;
        let Some(error) = line.get("error") else {
            return Ok(line["ok"].clone());
        };
        Err(Refusal {
            code: error["code"].as_u64().unwrap_or(0),
            // The name says it for every method; the numbers differ.
            is_unanswered: error["name"] == "RtmTimeoutError",
            text: error["message"].as_str().unwrap_or_default().to_owned(),
        })
    }

    fn order(&self, what: &str, mut line: Value, id: u64) {
        line["id"] = json!(id);
        line["client"] = json!(self.name);
        line["do"] = json!(what);
        let _ = self.node.input.send(line);
    }
}

/// What a line tells of; none for what the judge does not ask for.
fn heard(line: &Value) -> Option<Heard> {
    let (args, event) = (&line["args"], line["event"].as_str()?);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(match event {
        "MessageFromPeer" | "ChannelMessage" => Heard::Text(text(&args[0]["text"])?),
        "MemberJoined" | "MemberLeft" => Heard::Member {
            channel: text(&line["channel"])?,
            user: text(&args[0])?,
            is_there: event == "MemberJoined",
        },
        "MessageGap" => Heard::Gap {
            channel: text(&args[0]["source"]["channelId"]),
            told: format!("a gap: {}", args[0]),
        },
        "ConnectionStateChanged" if args[0] == "ABORTED" => Heard::Aborted(text(&args[1])?),
        _ => return None,
    })
}

/// A panic elsewhere leaves the maps as they were.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_driver_are_understood() {
        let cases = [
            (
                json!({ "client": "a", "event": "MessageFromPeer", "args": [{ "text": "hi" }, "b", {}] }),
                Some(Heard::Text("hi".into())),
            ),
            (
                json!({ "client": "a", "channel": "c", "event": "MemberLeft", "args": ["b"] }),
                Some(Heard::Member {
                    channel: "c".into(),
                    user: "b".into(),
                    is_there: false,
                }),
            ),
            (
                json!({ "client": "a", "event": "MessageGap", "args": [{ "source": { "type": "peer" } }] }),
                Some(Heard::Gap {
                    channel: None,
                    told: r#"a gap: {"source":{"type":"peer"}}"#.into(),
                }),
            ),
            (
                json!({ "client": "a", "event": "ConnectionStateChanged", "args": ["ABORTED", "REMOTE_LOGIN"] }),
                Some(Heard::Aborted("REMOTE_LOGIN".into())),
            ),
            (
                json!({ "client": "a", "event": "ConnectionStateChanged", "args": ["CONNECTED", "LOGIN_SUCCESS"] }),
                None,
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(heard(&line), expected, "{line}");
        }
    }
}
