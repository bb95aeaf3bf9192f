//! Does what the judge says with a Node process that holds the SDK's clients.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_scenario::{Action, Judge, Next, Order, Scenario, Seen};

use crate::proxy::Proxy;
use crate::server::{APP, Server};
use crate::translate;

/// Added to every time limit: two cores run many servers and clients at once.
const SLACK_MS: u64 = 2_500;

struct Party {
    /// Its name in the driver: a client that dropped and logs in again is another one.
    handle: String,
    proxy: Proxy,
}

struct Driver {
    server: Server,
    node: Child,
    input: ChildStdin,
    parties: BTreeMap<String, Party>,
    handles: usize,
    /// What each order was, to understand its result.
    actions: BTreeMap<u64, Action>,
}

/// Runs a scenario.
///
/// # Errors
/// The judge's failure, as text.
pub fn run(scenario: &Scenario, file: &str) -> Result<(), String> {
    let server = Server::start(scenario.has_certificate);
    let (mut driver, lines) = Driver::start(server);
    let mut judge = Judge::new(scenario, file).with_slack(SLACK_MS);
    let began = Instant::now();
    let ms = |at: Instant| u64::try_from((at - began).as_millis()).unwrap_or(u64::MAX);
    loop {
        while let Ok((at, line)) = lines.try_recv() {
            driver.observe(&mut judge, ms(at), &line);
        }
        match judge.next(ms(Instant::now())) {
            Next::Do(order) => driver.perform(order),
            Next::Wait { until_ms } => {
                let wait = Duration::from_millis(until_ms.saturating_sub(ms(Instant::now())));
                match lines.recv_timeout(wait) {
                    Ok((at, line)) => driver.observe(&mut judge, ms(at), &line),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(format!("{file}: the driver has ended"));
                    }
                }
            }
            Next::Passed => return Ok(()),
            Next::Failed(failure) => return Err(failure.to_string()),
        }
    }
}

impl Driver {
    fn start(server: Server) -> (Self, Receiver<(Instant, Value)>) {
        let script =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../clients/js/rtm/test/driver.mjs");
        let mut node = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let input = node.stdin.take().expect("it is piped");
        let output = BufReader::new(node.stdout.take().expect("it is piped"));
        let (lines, received) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|error| {
                    panic!("the driver wrote {line:?}, which is no JSON: {error}")
                });
                if lines.send((Instant::now(), value)).is_err() {
                    return;
                }
            }
        });
        let driver = Self {
            server,
            node,
            input,
            parties: BTreeMap::new(),
            handles: 0,
            actions: BTreeMap::new(),
        };
        (driver, received)
    }

    fn write(&mut self, command: &Value) {
        // A driver that has ended shows when its lines are read.
        let _ = writeln!(self.input, "{command}");
    }

    fn perform(&mut self, order: Order) {
        let Some(name) = order.client else {
            if order.action == Action::RestartServer {
                self.server.restart();
            }
            return;
        };
        self.make(&name);
        let party = &self.parties[&name];
        match order.action {
            Action::Cut => return party.proxy.cut(),
            Action::ComeBack => {
                party.proxy.come_back();
                let online = json!({ "client": party.handle, "do": "online" });
                return self.write(&online);
            }
            Action::Drop => {
                party.proxy.cut();
                self.parties.remove(&name);
                return;
            }
            _ => {}
        }
        let token = match &order.action {
            Action::LogIn { user_id, token } => self.server.token(token, user_id),
            // In a scenario a client that renews is the user of its name.
            Action::RenewToken { token } => self.server.token(token, &name),
            _ => None,
        };
        let mut command = translate::command(&order.action, token);
        command["id"] = json!(order.id);
        command["client"] = json!(party.handle);
        self.actions.insert(order.id, order.action);
        self.write(&command);
    }

    fn make(&mut self, name: &str) {
        if self.parties.contains_key(name) {
            return;
        }
        self.handles += 1;
        let handle = format!("{name}/{}", self.handles);
        let proxy = Proxy::start(self.server.address());
        let endpoint = format!("ws://{}", proxy.address);
        self.write(&json!({
            "id": 0, "do": "create", "client": handle, "appId": APP, "endpoint": endpoint,
        }));
        self.parties
            .insert(name.to_owned(), Party { handle, proxy });
    }

    fn observe(&mut self, judge: &mut Judge, at_ms: u64, line: &Value) {
        if let Some(handle) = line["client"].as_str() {
            let is_it = |(_, party): &(&String, &Party)| party.handle == handle;
            let Some((name, _)) = self.parties.iter().find(is_it) else {
                return;
            };
            if let Some(event) = translate::event(line) {
                judge.observe(
                    at_ms,
                    Seen::Event {
                        client: name.clone(),
                        event,
                    },
                );
            }
            return;
        }
        let Some(action) = line["id"].as_u64().and_then(|id| self.actions.remove(&id)) else {
            return;
        };
        let answer = translate::answer(&action, line);
        judge.observe(
            at_ms,
            Seen::Answer {
                order: line["id"].as_u64().unwrap_or(0),
                answer,
            },
        );
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}
