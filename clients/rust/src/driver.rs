//! The task that owns the machine: it brings it what happens and does what it says.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use bytes::Bytes;
use http::Uri;
use tidings_client_core::{
    Answer, Backlog, Call, CallError, CallId, Client as Machine, ClientEvent, ConnectionId,
    ConnectionState, Input, Output,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, Instant, sleep_until};

use crate::access::Access;
use crate::connection::{self, Report};
use crate::endpoints::Endpoints;
use crate::events::Sender;
use crate::rivals::{self, Place};
use crate::tls::Tls;

/// Things that connections report and the driver has not taken: beyond it they stop reading.
const INPUTS_MAX: usize = 64;
/// How much later than another login of its user in this program a login opens its connection: the
/// server orders a user's logins by the millisecond in which their connections are opened.
const AFTER_RIVAL: Duration = Duration::from_millis(10);
/// Waiting time when the machine has no deadline: any long time.
const NO_DEADLINE: Duration = Duration::from_secs(3_600);

/// Where a call's answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Answer, CallError>>;

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Login {
        app_id: String,
        user_id: String,
        token: String,
        /// None if the client had a login already when it was asked for another.
        place: Option<Place>,
        reply: Reply,
    },
    Call {
        call: Call,
        reply: Reply,
    },
    Logout {
        reply: Reply,
    },
    RenewToken {
        token: String,
        reply: Reply,
    },
    /// Nothing is answered without a login.
    Access {
        reply: oneshot::Sender<Option<Access>>,
    },
    Wake,
    #[cfg(feature = "test-hooks")]
    Cut,
    #[cfg(feature = "test-hooks")]
    ComeBack,
}

/// The connection in use.
#[derive(Debug)]
struct Line {
    connection: ConnectionId,
    /// Closing it closes the connection.
    frames: mpsc::Sender<Bytes>,
    /// The server has said something on it.
    was_heard: bool,
}

#[derive(Debug)]
pub(crate) struct Driver {
    machine: Machine,
    endpoints: Endpoints,
    tls: Tls,
    began: Instant,
    commands: mpsc::Receiver<Command>,
    events: Sender,
    state: watch::Sender<ConnectionState>,
    /// Handed to each connection.
    input_sender: mpsc::Sender<Report>,
    inputs: mpsc::Receiver<Report>,
    line: Option<Line>,
    /// The login's place among those of its user in this program; none without a login.
    place: Option<Place>,
    /// No connection is opened before this time.
    open_from: Instant,
    /// Open calls. Bound: the machine's.
    replies: BTreeMap<CallId, Reply>,
    calls: CallId,
    backlog: Backlog,
    /// A test holds the link down.
    is_cut: bool,
    /// Reused between turns.
    outputs: Vec<Output>,
}

impl Driver {
    pub(crate) fn new(
        (uris, tls): (Vec<Uri>, Tls),
        commands: mpsc::Receiver<Command>,
        events: Sender,
        state: watch::Sender<ConnectionState>,
    ) -> Self {
        let (input_sender, inputs) = mpsc::channel(INPUTS_MAX);
        // Std seeds its hashers from the operating system: good enough to spread retries.
        let seed = RandomState::new().build_hasher().finish();
        let name = concat!("tidings-client/", env!("CARGO_PKG_VERSION"));
        Self {
            machine: Machine::new(name, seed),
            endpoints: Endpoints::new(uris, seed),
            tls,
            began: Instant::now(),
            commands,
            events,
            state,
            input_sender,
            inputs,
            line: None,
            place: None,
            open_from: Instant::now(),
            replies: BTreeMap::new(),
            calls: 0,
            backlog: Backlog::Clear,
            is_cut: false,
            outputs: Vec::new(),
        }
    }

    /// Runs until the last handle is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let deadline = match self.machine.deadline() {
                Some(at_ms) => self.began + Duration::from_millis(at_ms),
                None => Instant::now() + NO_DEADLINE,
            };
            tokio::select! {
                Some(report) = self.inputs.recv() => self.hear(report),
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return,
                },
                word = rivals::next_word(&mut self.place) => self.handle(Input::Rival(word)),
                () = self.events.room(), if self.backlog == Backlog::Full => {}
                () = sleep_until(deadline) => {
                    // Order: what came before the deadline counts before it, which matters after
                    // the process has been stopped for a while.
                    while let Ok(report) = self.inputs.try_recv() {
                        self.hear(report);
                    }
                    self.handle(Input::Tick);
                }
            }
            let backlog = self.events.backlog();
            if backlog != self.backlog {
                self.backlog = backlog;
                self.handle(Input::Backlog(backlog));
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Login {
                app_id,
                user_id,
                token,
                place,
                reply,
            } => {
                let id = self.open_call(reply);
                let login = Input::Login {
                    id,
                    app_id,
                    user_id,
                    token,
                };
                self.log_in(login, place);
            }
            Command::Call { call, reply } => {
                let id = self.open_call(reply);
                self.handle(Input::Call { id, call });
            }
            Command::Logout { reply } => {
                let id = self.open_call(reply);
                self.handle(Input::Logout { id });
            }
            Command::RenewToken { token, reply } => {
                let id = self.open_call(reply);
                self.handle(Input::RenewToken { id, token });
            }
            Command::Access { reply } => {
                // Whoever asked may have lost interest.
                let _ = reply.send(self.access());
            }
            Command::Wake => self.handle(Input::Wake),
            #[cfg(feature = "test-hooks")]
            Command::Cut => {
                self.is_cut = true;
                if let Some(line) = self.line.take() {
                    self.handle(Input::Closed {
                        connection: line.connection,
                        code: None,
                    });
                }
            }
            #[cfg(feature = "test-hooks")]
            Command::ComeBack => {
                self.is_cut = false;
                self.handle(Input::Wake);
            }
        }
    }

    fn log_in(&mut self, login: Input, place: Option<Place>) {
        if self.machine.state() == ConnectionState::Disconnected {
            if place.as_ref().is_some_and(Place::has_earlier) {
                self.open_from = Instant::now() + AFTER_RIVAL;
            }
            self.place = place;
        }
        self.handle(login);
        if self.machine.state() == ConnectionState::Disconnected {
            // It was refused at once.
            self.place = None;
        }
    }

    /// What a new state means to other logins of the user.
    fn tell_rivals(&mut self, state: ConnectionState) {
        match state {
            ConnectionState::Connected => {
                if let Some(place) = &self.place {
                    place.succeeded();
                }
            }
            ConnectionState::Disconnected | ConnectionState::Aborted => self.place = None,
            ConnectionState::Connecting | ConnectionState::Reconnecting => {}
        }
    }

    fn access(&self) -> Option<Access> {
        let (app_id, user_id, token) = self.machine.credentials()?;
        Some(Access {
            uri: self.endpoints.uri().clone(),
            tls: self.tls.clone(),
            app_id: app_id.to_owned(),
            user_id: user_id.to_owned(),
            token: token.to_owned(),
        })
    }

    fn open_call(&mut self, reply: Reply) -> CallId {
        self.calls += 1;
        self.replies.insert(self.calls, reply);
        self.calls
    }

    /// A connection reports something.
    fn hear(&mut self, Report { input, reason }: Report) {
        let of = match &input {
            Input::Received { connection, .. } | Input::Closed { connection, .. } => *connection,
            _ => return self.handle(input),
        };
        if let Some(line) = self.line.as_mut().filter(|line| line.connection == of) {
            match &input {
                Input::Closed { code, .. } => {
                    let was_heard = line.was_heard;
                    self.endpoints.ended(was_heard, *code, &reason);
                }
                _ => line.was_heard = true,
            }
        }
        self.handle(input);
    }

    fn handle(&mut self, input: Input) {
        if let Input::Closed { connection, .. } = input
            && self
                .line
                .as_ref()
                .is_some_and(|line| line.connection == connection)
        {
            self.line = None;
        }
        let mut failed = self.step(input);
        // A failed output is an input; each of these ends a connection, so the loop ends.
        while let Some(connection) = failed {
            failed = self.step(Input::Closed {
                connection,
                code: None,
            });
        }
    }

    /// Gives the machine an input and does what it says. Returns a connection that failed.
    fn step(&mut self, input: Input) -> Option<ConnectionId> {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.machine.handle(self.now_ms(), input, &mut outputs);
        let mut failed = None;
        for output in outputs.drain(..) {
            failed = self.perform(output).or(failed);
        }
        self.outputs = outputs;
        failed
    }

    fn perform(&mut self, output: Output) -> Option<ConnectionId> {
        match output {
            Output::Open { connection } if self.is_cut => return Some(connection),
            Output::Open { connection } => {
                let (frames, receiver) = mpsc::channel(connection::FRAMES_MAX);
                let inputs = self.input_sender.clone();
                let to = (self.endpoints.uri().clone(), self.tls.clone());
                let task = connection::run(connection, to, self.open_from, receiver, inputs);
                tokio::spawn(task);
                self.line = Some(Line {
                    connection,
                    frames,
                    was_heard: false,
                });
            }
            Output::Send {
                connection,
                payload,
            } => {
                let line = self
                    .line
                    .as_ref()
                    .filter(|line| line.connection == connection);
                let is_written = line.is_some_and(|line| line.frames.try_send(payload).is_ok());
                if !is_written {
                    // A socket that takes nothing any more.
                    self.line = None;
                    return Some(connection);
                }
            }
            Output::Close { connection } => {
                if let Some(line) = self.line.take_if(|line| line.connection == connection) {
                    self.endpoints.ended(line.was_heard, None, "");
                }
            }
            Output::Event(event) => {
                if let ClientEvent::StateChanged { state, .. } = &event {
                    self.tell_rivals(*state);
                    self.state.send_replace(*state);
                }
                self.events.push(event);
            }
            Output::Answer { id, result } => {
                if let Some(reply) = self.replies.remove(&id) {
                    // Whoever asked may have lost interest.
                    let _ = reply.send(result);
                }
            }
        }
        None
    }
}
