//! The functions that drive a cell, and the order in which hub, bus and translators take turns.

use tidings_bus::Bus as _;
use tidings_bus::Crossing;
use tidings_hub::bus_ops::BusOp;
use tidings_hub::ids::ConnectionId;
use tidings_hub::{Effect, Input};
use tidings_wire::codes::CloseCode;
use tidings_wire::proto::client_message::Kind;

use crate::cell::Out;
use crate::host::{Closing, Host};
use crate::legacy;

/// Gives the hub an input, and carries out everything that follows within this cell.
pub fn give<H: Host>(host: &mut H, input: Input) {
    if may_log_in(&input) {
        recall(host, &input);
    }
    handle(host, input);
    settle(host);
}

/// Takes a crossing that another cell has sent, and carries out everything that follows within this
/// cell.
pub fn take<H: Host>(host: &mut H, crossing: Crossing) {
    host.cell().with_bus(|bus, out| bus.take(crossing, out));
    post(host);
    settle(host);
}

/// Lets `act` use the cell's bus, and carries out everything that follows within this cell: for a
/// bus that hears of more than its cells say.
pub fn with_bus<H: Host>(host: &mut H, act: impl FnOnce(&mut H::Bus, &mut Out<'_>)) {
    host.cell().with_bus(act);
    post(host);
    settle(host);
}

/// Runs the hub's timers that are due.
pub fn tick_hub<H: Host>(host: &mut H) {
    let now_ms = host.now().mono_ms;
    let due_ms = host.cell().hub_deadline();
    if due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
        give(host, Input::Tick);
    }
}

/// Closes a connection for a reason of the host, in its own protocol. The hub is not notified.
pub fn end<H: Host>(host: &mut H, connection: ConnectionId, code: CloseCode) {
    host.cell().counts.see_end(code);
    if let Some(ending) = legacy::end(host, connection, code) {
        let closing = Closing {
            cause: Some(code),
            texts: &ending.texts,
            code: ending.code,
            reason: code.name(),
        };
        return host.close(connection, closing);
    }
    let reason = host.cell().reason(code);
    let closing = Closing {
        cause: Some(code),
        texts: &[],
        code: code as u16,
        reason: &reason,
    };
    host.close(connection, closing);
}

/// Whether this input contains a login or resume. Only the first message of a frame can be one.
fn may_log_in(input: &Input) -> bool {
    match input {
        Input::Frame { frame, .. } => {
            let first = frame.messages.first().and_then(|it| it.kind.as_ref());
            matches!(first, Some(Kind::Login(_) | Kind::Resume(_)))
        }
        Input::Admitted { .. } => true,
        _ => false,
    }
}

fn recall<H: Host>(host: &mut H, input: &Input) {
    if let Some(recalled) = host.recall(input) {
        handle(host, recalled);
        carry_out_all(host);
    }
}

fn handle<H: Host>(host: &mut H, input: Input) {
    host.see_input(&input);
    let now = host.now();
    let cell = host.cell();
    cell.counts.see_input(&input);
    cell.hub.handle(now, input, &mut cell.effects);
}

/// Carries out effects, and gives the hub the input that its own part of the bus and its
/// translators have for it, until nothing is left.
///
/// Order: one input's effects are carried out before the next input is given; deliveries of the bus
/// precede the input of translators, so that a hub that handles a legacy client's call knows
/// everything that the client may be reacting to.
pub(crate) fn settle<H: Host>(host: &mut H) {
    loop {
        carry_out_all(host);
        let cell = host.cell();
        let next = cell.local.pop_front().map(Input::Bus);
        let Some(input) = next.or_else(|| cell.translators.next_input()) else {
            return;
        };
        if matches!(input, Input::Admitted { .. }) {
            recall(host, &input);
        }
        handle(host, input);
    }
}

fn carry_out_all<H: Host>(host: &mut H) {
    let mut effects = std::mem::take(&mut host.cell().effects);
    host.see_effects(&effects);
    for effect in effects.drain(..) {
        host.see_effect(&effect);
        host.cell().counts.see_effect(&effect);
        carry_out(host, effect);
    }
    let cell = host.cell();
    debug_assert!(cell.effects.is_empty(), "a host has driven its cell");
    cell.effects = effects;
}

// Inlined, each effect would be copied twice more on its way into the arms.
#[inline(never)]
fn carry_out<H: Host>(host: &mut H, effect: Effect) {
    match effect {
        Effect::Send { connection, frame } => {
            if !legacy::translate(host, connection, &frame) {
                host.send(connection, &frame);
            }
        }
        Effect::SendAll { connections, frame } => {
            if host.cell().translators.is_empty() {
                return host.send_all(&connections, &frame);
            }
            send_to_both(host, &connections, &frame);
        }
        Effect::Close { connection, code } => {
            host.note_end(connection, code);
            end(host, connection, code);
        }
        Effect::HandOver {
            connection,
            to,
            wish,
            opened_ms,
        } => host.hand_over(connection, to, wish, opened_ms),
        Effect::Used { user, word } => host.note_used(user, word),
        Effect::Answer { ticket, answer } => host.answer(ticket, answer),
        Effect::Moderate { ticket, question } => host.moderate(ticket, *question),
        Effect::Bus(op) => apply(host, op),
        Effect::Store { ticket, op } => host.store(ticket, op),
    }
}

/// Sends a frame to native and legacy clients, in this order.
fn send_to_both<H: Host>(host: &mut H, connections: &[ConnectionId], frame: &bytes::Bytes) {
    let mut rest = connections;
    while !rest.is_empty() {
        let translators = &host.cell().translators;
        let natives = rest.iter().take_while(|id| !translators.has(**id)).count();
        let (run, others) = rest.split_at(natives);
        if !run.is_empty() {
            host.send_all(run, frame);
        }
        rest = others;
        if let Some((legacy, others)) = rest.split_first() {
            legacy::translate(host, *legacy, frame);
            rest = others;
        }
    }
}

fn apply<H: Host>(host: &mut H, op: BusOp) {
    host.cell().with_bus(|bus, out| bus.apply(op, out));
    post(host);
}

fn post<H: Host>(host: &mut H) {
    if host.cell().posts.is_empty() {
        return;
    }
    let mut posts = std::mem::take(&mut host.cell().posts);
    for (to, crossing) in posts.drain(..) {
        host.post(to, crossing);
    }
    host.cell().posts = posts;
}
