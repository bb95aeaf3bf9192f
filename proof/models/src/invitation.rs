//! The invitation protocol of the contract's section 3: caller, callee, two hubs, and one durable
//! record.
//!
//! The network never forgets and promises nothing: a message that was sent may arrive never, late,
//! twice, or before an earlier one. Time is a choice: a deadline may pass at any moment in which it
//! is set. A hub may crash at any moment and comes back with the durable record alone.
//!
//! [`Fault`] breaks the protocol in one place; the tests say which property finds that.

use std::collections::{BTreeSet, HashSet, VecDeque};

use stateright::{Model, Property};

/// One deliberate fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None: the protocol of the contract.
    None,
    /// Sides learn of a state before its record is durable (INV-2).
    ToldBeforeDurable,
    /// The caller's client ends the invitation with its own timer (INV-5).
    ClientTimerDecides,
    /// A hub writes the record from its cached copy, without checking that it is current (INV-1).
    BlindWrite,
    /// The callee's client rings for every ring that arrives (INV-9).
    RingsTwice,
    /// An acceptance is recorded without asking the caller's client (INV-3).
    NoGate,
    /// The caller's client may cancel after it has confirmed an acceptance (INV-4).
    CancelAfterConfirm,
    /// The server has no deadlines (INV-7).
    NoDeadline,
}

/// How an invitation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// The callee accepted, and the caller's client has confirmed it.
    Accepted,
    /// The callee refused.
    Refused,
    /// The caller cancelled.
    Canceled,
    /// A deadline of the server passed.
    Expired,
    /// The caller's client did not confirm an acceptance in time.
    AcceptFailed,
}

/// The state of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// There is none.
    Unknown,
    /// The callee's client has not confirmed the ring.
    Pending,
    /// The invitation rings at the callee.
    Ringing,
    /// The callee has accepted; the caller's client is being asked.
    Accepting,
    /// Final: nothing changes after this.
    Ended(End),
}

/// A message in transit, or already delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Message {
    /// Caller to server.
    Invite,
    /// Caller to server.
    Cancel,
    /// Caller to server: the invitation was still open when the acceptance was shown.
    Confirm,
    /// Callee to server.
    Received,
    /// Callee to server.
    Accept,
    /// Callee to server.
    Refuse,
    /// Server to callee.
    Ring,
    /// Server to caller.
    AcceptAsked,
    /// Server to caller.
    CallerEnd(End),
    /// Server to callee.
    CalleeEnd(End),
}

/// The caller's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// It has not called `send()`.
    Idle,
    /// The caller's invitation is open.
    Open,
    /// It has confirmed an acceptance.
    Confirmed,
    /// Its application has received the end.
    Ended(End),
}

/// The callee's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Callee {
    /// It knows nothing of the invitation.
    Idle,
    /// The invitation rings there.
    Ringing,
    /// Its application has accepted.
    Accepting,
    /// Its application has received the end.
    Ended(End),
    /// It has learnt of the end without having rung.
    Missed,
}

/// A hub that handles the invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HubState {
    /// The record as this hub last read or wrote it.
    cached: Phase,
    /// A transition being written to the disk.
    writing: Option<Phase>,
}

/// The state of the whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    caller: Caller,
    callee: Callee,
    /// How often the callee's application was told of a ring, counted up to 2.
    rings: u8,
    /// The ends that the caller's and the callee's applications received, counted up to 2.
    ends: (u8, u8),
    hubs: [HubState; 2],
    record: Phase,
    /// Every message that was ever sent.
    network: BTreeSet<Message>,
    crashes: u8,
}

/// One step of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The caller's application calls `send()`.
    Send,
    /// The caller's application calls `cancel()`.
    Cancel,
    /// A timer of the caller's client (a fault).
    ClientTimer,
    /// The callee's application calls `accept()`.
    Accept,
    /// The callee's application calls `refuse()`.
    Refuse,
    /// A message reaches a client.
    ToClient(Message),
    /// A message reaches a hub.
    ToHub(usize, Message),
    /// A deadline passes at a hub.
    Deadline(usize),
    /// A hub's pending write is compared with the record and carried out.
    Write(usize),
    /// A hub reads the record.
    Read(usize),
    /// A hub sends the sides what it knows.
    Tell(usize),
    /// A hub crashes and comes back.
    Crash(usize),
}

impl Action {
    /// Whether a person does it, who may just as well never do it.
    fn is_decision(self) -> bool {
        matches!(
            self,
            Action::Send | Action::Cancel | Action::Accept | Action::Refuse
        )
    }
}

/// The model, with the fault that is switched on, if any.
#[derive(Debug, Clone, Copy)]
pub struct Invitation {
    /// The deliberate fault.
    pub fault: Fault,
    /// Most crashes in one run.
    pub crashes_max: u8,
}

impl Phase {
    /// The transition that a message causes, if any. A final state has none.
    fn after(self, message: Message, fault: Fault) -> Option<Phase> {
        let next = match (self, message) {
            (Phase::Unknown, Message::Invite) => Phase::Pending,
            (Phase::Pending, Message::Received) => Phase::Ringing,
            (Phase::Pending | Phase::Ringing, Message::Accept) if fault == Fault::NoGate => {
                Phase::Ended(End::Accepted)
            }
            (Phase::Pending | Phase::Ringing, Message::Accept) => Phase::Accepting,
            (Phase::Pending | Phase::Ringing, Message::Refuse) => Phase::Ended(End::Refused),
            (Phase::Accepting, Message::Confirm) => Phase::Ended(End::Accepted),
            (Phase::Ended(_), _) => return None,
            // Also before the invitation has arrived: it must not ring after that.
            (_, Message::Cancel) => Phase::Ended(End::Canceled),
            _ => return None,
        };
        Some(next)
    }

    fn after_deadline(self) -> Option<Phase> {
        match self {
            Phase::Pending | Phase::Ringing => Some(Phase::Ended(End::Expired)),
            Phase::Accepting => Some(Phase::Ended(End::AcceptFailed)),
            Phase::Unknown | Phase::Ended(_) => None,
        }
    }

    fn words(self) -> Vec<Message> {
        match self {
            Phase::Unknown | Phase::Ringing => Vec::new(),
            Phase::Pending => vec![Message::Ring],
            Phase::Accepting => vec![Message::AcceptAsked],
            Phase::Ended(end) => vec![Message::CallerEnd(end), Message::CalleeEnd(end)],
        }
    }
}

impl State {
    fn end_caller(&mut self, end: End) {
        self.caller = Caller::Ended(end);
        self.ends.0 = (self.ends.0 + 1).min(2);
    }

    fn end_callee(&mut self, end: End) {
        self.callee = Callee::Ended(end);
        self.ends.1 = (self.ends.1 + 1).min(2);
    }

    /// Whether nobody is waiting for anything.
    pub fn is_settled(&self) -> bool {
        matches!(self.caller, Caller::Idle | Caller::Ended(_))
            && matches!(
                self.callee,
                Callee::Idle | Callee::Ended(_) | Callee::Missed
            )
    }

    fn reach_client(&mut self, message: Message, fault: Fault) {
        match message {
            Message::Ring => {
                let is_first = self.callee == Callee::Idle;
                if is_first || fault == Fault::RingsTwice {
                    self.callee = Callee::Ringing;
                    self.rings = (self.rings + 1).min(2);
                }
                self.network.insert(Message::Received);
            }
            Message::AcceptAsked if self.caller == Caller::Open => {
                self.caller = Caller::Confirmed;
                self.network.insert(Message::Confirm);
            }
            Message::CallerEnd(end) => {
                if matches!(self.caller, Caller::Open | Caller::Confirmed) {
                    self.end_caller(end);
                }
            }
            Message::CalleeEnd(end) => match self.callee {
                Callee::Idle => self.callee = Callee::Missed,
                Callee::Ringing | Callee::Accepting => self.end_callee(end),
                Callee::Ended(_) | Callee::Missed => {}
            },
            _ => {}
        }
    }
}

/// Whether a message is for a client; the others are for a hub.
fn is_for_client(message: Message) -> bool {
    matches!(
        message,
        Message::Ring | Message::AcceptAsked | Message::CallerEnd(_) | Message::CalleeEnd(_)
    )
}

impl Model for Invitation {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let hub = HubState {
            cached: Phase::Unknown,
            writing: None,
        };
        vec![State {
            caller: Caller::Idle,
            callee: Callee::Idle,
            rings: 0,
            ends: (0, 0),
            hubs: [hub; 2],
            record: Phase::Unknown,
            network: BTreeSet::new(),
            crashes: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.caller {
            Caller::Idle => actions.push(Action::Send),
            Caller::Open => actions.push(Action::Cancel),
            Caller::Confirmed if self.fault == Fault::CancelAfterConfirm => {
                actions.push(Action::Cancel);
            }
            _ => {}
        }
        if self.fault == Fault::ClientTimerDecides
            && matches!(state.caller, Caller::Open | Caller::Confirmed)
        {
            actions.push(Action::ClientTimer);
        }
        if state.callee == Callee::Ringing {
            actions.extend([Action::Accept, Action::Refuse]);
        }
        for message in &state.network {
            if is_for_client(*message) {
                actions.push(Action::ToClient(*message));
            } else {
                actions.extend([0, 1].map(|hub| Action::ToHub(hub, *message)));
            }
        }
        for hub in [0, 1] {
            if self.fault != Fault::NoDeadline {
                actions.push(Action::Deadline(hub));
            }
            actions.extend([Action::Write(hub), Action::Read(hub), Action::Tell(hub)]);
            if state.crashes < self.crashes_max {
                actions.push(Action::Crash(hub));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send => {
                state.caller = Caller::Open;
                state.network.insert(Message::Invite);
            }
            Action::Cancel => {
                state.end_caller(End::Canceled);
                state.network.insert(Message::Cancel);
            }
            Action::ClientTimer => state.end_caller(End::Expired),
            Action::Accept => {
                state.callee = Callee::Accepting;
                state.network.insert(Message::Accept);
            }
            Action::Refuse => {
                state.end_callee(End::Refused);
                state.network.insert(Message::Refuse);
            }
            Action::ToClient(message) => state.reach_client(message, self.fault),
            Action::ToHub(hub, message) => {
                let hub = &mut state.hubs[hub];
                if hub.writing.is_none() {
                    hub.writing = hub.cached.after(message, self.fault);
                }
            }
            Action::Deadline(hub) => {
                let hub = &mut state.hubs[hub];
                if hub.writing.is_none() {
                    hub.writing = hub.cached.after_deadline();
                }
            }
            Action::Write(hub) => {
                let hub = &mut state.hubs[hub];
                let next = hub.writing.take()?;
                if hub.cached == state.record || self.fault == Fault::BlindWrite {
                    state.record = next;
                }
                // The loser of a race takes over the record as it is.
                hub.cached = state.record;
            }
            Action::Read(hub) => {
                let hub = &mut state.hubs[hub];
                if hub.writing.is_none() && self.fault != Fault::BlindWrite {
                    hub.cached = state.record;
                }
            }
            Action::Tell(hub) => {
                let HubState { cached, writing } = state.hubs[hub];
                let known = match self.fault {
                    Fault::ToldBeforeDurable => writing.unwrap_or(cached),
                    _ => cached,
                };
                state.network.extend(known.words());
            }
            Action::Crash(hub) => {
                state.crashes += 1;
                state.hubs[hub] = HubState {
                    cached: state.record,
                    writing: None,
                };
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("invite.agreement", |_, state: &State| {
                match (state.caller, state.callee) {
                    (Caller::Ended(one), Callee::Ended(other)) => {
                        (one == End::Accepted) == (other == End::Accepted)
                    }
                    (Caller::Ended(End::Accepted), Callee::Missed) => false,
                    _ => true,
                }
            }),
            Property::always("invite.one_terminal", |_, state: &State| {
                state.ends.0 <= 1 && state.ends.1 <= 1
            }),
            Property::always("invite.durable_before_told", |_, state: &State| {
                // What is announced is, or was, in the record: an announced end is the record's
                // end.
                let told = |end| {
                    let words = [Message::CallerEnd(end), Message::CalleeEnd(end)];
                    words.iter().any(|word| state.network.contains(word))
                };
                let ends = [
                    End::Accepted,
                    End::Refused,
                    End::Canceled,
                    End::Expired,
                    End::AcceptFailed,
                ];
                ends.into_iter()
                    .all(|end| !told(end) || state.record == Phase::Ended(end))
            }),
            Property::always("invite.no_ring_after_end", |_, state: &State| {
                state.rings <= 1 && (state.callee != Callee::Ringing || state.ends.1 == 0)
            }),
            Property::sometimes("a call comes about", |_, state: &State| {
                state.caller == Caller::Ended(End::Accepted)
                    && state.callee == Callee::Ended(End::Accepted)
            }),
            Property::sometimes(
                "a cancellation crosses an acceptance",
                |_, state: &State| {
                    state.caller == Caller::Ended(End::Canceled)
                        && state.network.contains(&Message::Accept)
                        && state.network.contains(&Message::AcceptAsked)
                },
            ),
        ]
    }
}

/// `invite.never_stuck`: from every reachable state, a state in which nobody waits can be reached
/// without any decision: by time, and by messages that finally arrive.
///
/// Returns the number of states, or a state without a way out.
///
/// # Errors
/// A state from which some side waits for ever, whatever arrives.
pub fn never_stuck(model: &Invitation) -> Result<usize, Box<State>> {
    let mut states: Vec<State> = Vec::new();
    let mut index = std::collections::HashMap::new();
    let mut came_from: Vec<Vec<usize>> = Vec::new();
    let mut queue = VecDeque::from(model.init_states());
    let mut sources: VecDeque<Option<(usize, bool)>> = VecDeque::from(vec![None; queue.len()]);
    while let (Some(state), Some(source)) = (queue.pop_front(), sources.pop_front()) {
        let known = index.get(&state).copied();
        let at = known.unwrap_or(states.len());
        if known.is_none() {
            index.insert(state.clone(), at);
            states.push(state.clone());
            came_from.push(Vec::new());
            let mut actions = Vec::new();
            model.actions(&state, &mut actions);
            for action in actions {
                if let Some(next) = model.next_state(&state, action) {
                    queue.push_back(next);
                    sources.push_back(Some((at, action.is_decision())));
                }
            }
        }
        if let Some((from, false)) = source {
            came_from[at].push(from);
        }
    }
    let settled = (0..states.len()).filter(|at| states[*at].is_settled());
    let mut good: HashSet<usize> = settled.collect();
    let mut open: Vec<usize> = good.iter().copied().collect();
    while let Some(at) = open.pop() {
        for from in &came_from[at] {
            if good.insert(*from) {
                open.push(*from);
            }
        }
    }
    match (0..states.len()).find(|at| !good.contains(at)) {
        Some(stuck) => Err(Box::new(states.swap_remove(stuck))),
        None => Ok(states.len()),
    }
}
