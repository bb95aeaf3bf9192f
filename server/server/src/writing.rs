//! Output: frames, closes, connections that leave.

use bytes::Bytes;
use tidings_hub::Input;
use tidings_wire::ws::{encode_close, is_close_code};

use crate::connection::{Closing, Handover, Stage};
use crate::head::Refusal;
use crate::lanes::LaneId;
use crate::mailbox::Envelope;
use crate::outgoing::Written;
use crate::worker::Worker;

/// A queue that has grown to this many bytes is written before the end of the turn: a busy turn
/// must not make a client that reads look like one that does not.
pub(crate) const EARLY_WRITE_BYTES: usize = 256 * 1024;

/// Where several apps are served, a flush that has taken this long is interrupted, in milliseconds.
const FLUSH_MS: u64 = 2;

/// The clock is read after so much work: a connection counts as one, and so does each
/// [`BYTES_PER_LOOK`] that waits for it. Thirty-two small writes take 50 µs; thirty-two large ones
/// would take longer than a flush may.
const LOOKS_PER_CLOCK: usize = 32;

/// Writing so many bytes takes about as long as a call of the system alone.
const BYTES_PER_LOOK: usize = 4 * 1024;

/// RFC 6455, 7.4.1: the purpose is fulfilled.
const NORMAL_CLOSURE: u16 = 1000;

impl Worker {
    /// Queues bytes for a connection.
    pub(crate) fn queue(&mut self, slot: usize, bytes: &Bytes) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        connection.outgoing.push(bytes);
        let is_early = connection.outgoing.bytes() > EARLY_WRITE_BYTES;
        if is_early && !connection.flags.is_blocked {
            match connection
                .outgoing
                .write_to(&mut connection.stream, &self.writing.log)
            {
                Ok(Written::All) => {}
                Ok(Written::Blocked) => connection.flags.is_blocked = true,
                // Met again, and dealt with, by the write at the end of the turn.
                Err(error) => tracing::trace!(hub = self.id.hub, %error, "a connection broke"),
            }
        }
        self.connections.mark_dirty(slot);
    }

    /// Writes every connection that has queued data, once. Where several apps are served, one app's
    /// large fan-out is interrupted after a while, so that the others are served; it continues in
    /// the next turn.
    pub(crate) fn flush(&mut self) {
        let is_shared = self.connections.lanes.are_shared();
        let began_ms = self.node.clock.now().mono_ms;
        let mut worked = 0;
        while let Some(slot) = self.connections.next_dirty() {
            if is_shared && worked >= LOOKS_PER_CLOCK && self.writing.log.has_room() {
                worked = 0;
                let now_ms = self.node.clock.now().mono_ms;
                if now_ms >= began_ms + FLUSH_MS {
                    self.connections.mark_dirty(slot);
                    return;
                }
            }
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            worked += 1 + connection.outgoing.bytes() / BYTES_PER_LOOK;
            if !connection.flags.is_blocked {
                match connection
                    .outgoing
                    .write_to(&mut connection.stream, &self.writing.log)
                {
                    Ok(Written::All) => {}
                    Ok(Written::Blocked) => {
                        connection.flags.is_blocked = true;
                        connection.flags.is_heard_out = false;
                        self.register(slot);
                    }
                    Err(error) => {
                        tracing::trace!(hub = self.id.hub, %error, "a connection broke");
                        self.lose(slot);
                        continue;
                    }
                }
            }
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            // TLS may hold data back although the queue is empty.
            let is_written = connection.outgoing.is_empty() && !connection.flags.is_blocked;
            if is_written && let Stage::Closing(closing) = &connection.stage {
                match closing {
                    Closing::ClientClose => {}
                    // Everything that it has sent was read, so closing TCP loses nothing.
                    Closing::StreamEnd if connection.flags.is_heard_out => self.lose(slot),
                    Closing::StreamEnd => connection.stream.shutdown_write(),
                    Closing::Nothing => self.lose(slot),
                }
                continue;
            }
            let is_stalled = connection.flags.is_blocked
                && connection.outgoing.bytes() > self.writing.stall_bytes;
            if is_stalled && connection.is_open() {
                let connection = connection.id;
                tracing::debug!(
                    hub = self.id.hub,
                    connection = connection.0,
                    "a client does not read"
                );
                self.give(Input::Stalled { connection });
            }
        }
        self.writing.log.clear();
    }

    /// Tells the hub which of the connections that it asks for are written: called only while
    /// somebody follows a message.
    pub(crate) fn tell_written(&mut self) {
        let mut asked = self.cell.hub().traced_connections();
        asked.sort_unstable();
        asked.dedup();
        let (mut written, mut gone) = (Vec::new(), Vec::new());
        for id in asked {
            let slot = self.connections.slot(id);
            match slot.and_then(|slot| self.connections.get(slot)) {
                None => gone.push(id),
                // TLS may hold data back although the queue is empty.
                Some(connection)
                    if connection.outgoing.is_empty() && !connection.flags.is_blocked =>
                {
                    written.push(id);
                }
                Some(_) => {}
            }
        }
        if !written.is_empty() || !gone.is_empty() {
            // It has happened now, not when the turn began.
            self.now = self.node.clock.now();
            self.give(Input::Written { written, gone });
        }
    }

    /// Sends what is waiting and a close frame, then waits for the client's.
    pub(crate) fn close_slot(&mut self, slot: usize, code: u16, reason: &str) {
        self.begin_closing(
            slot,
            Closing::ClientClose,
            &encode_close(code, reason, None),
        );
    }

    /// Ends a WebSocket that violated the protocol; the hub is notified.
    pub(crate) fn fail(&mut self, slot: usize, code: u16) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        self.begin_closing(slot, Closing::ClientClose, &encode_close(code, "", None));
        // Its close of its own finds the connection closing already.
        self.give(Input::Malformed { connection: id });
    }

    /// The client has closed: its code is returned, and the hub is notified.
    pub(crate) fn answer_close(&mut self, slot: usize, code: Option<u16>) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        let code = code
            .filter(|code| is_close_code(*code))
            .unwrap_or(NORMAL_CLOSURE);
        self.begin_closing(slot, Closing::Nothing, &encode_close(code, "", None));
        tidings_cell::closed(self, id);
    }

    /// Answers a request that is refused.
    pub(crate) fn refuse(&mut self, slot: usize, refusal: &Refusal) {
        tracing::debug!(hub = self.id.hub, error = %refusal, "a request was refused");
        self.begin_closing(slot, Closing::StreamEnd, &refusal.response());
    }

    pub(crate) fn begin_closing(&mut self, slot: usize, closing: Closing, last: &[u8]) {
        let now_ms = self.now.mono_ms;
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        match connection.stage {
            Stage::Closing(_) => return,
            Stage::Fresh(_) => self.end_fresh(slot),
            _ => {}
        }
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        connection.stage = Stage::Closing(closing);
        connection.outgoing.push(&Bytes::copy_from_slice(last));
        self.writing.closing_deadlines.start(now_ms, connection.id);
        self.connections.mark_dirty(slot);
    }

    /// Both sides have closed: queued data is sent, then the server ends TCP, as the standard
    /// requires.
    pub(crate) fn finish_closing(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        connection.stage = Stage::Closing(Closing::Nothing);
        self.connections.mark_dirty(slot);
    }

    /// Drops a connection that is gone, or has taken too long.
    pub(crate) fn lose(&mut self, slot: usize) {
        self.end_fresh(slot);
        let Some(mut connection) = self.connections.remove(slot) else {
            return;
        };
        if let Stage::Closing(Closing::Nothing) = connection.stage {
            connection.stream.shutdown_write();
        }
        // Closing the socket, which follows, takes it out of the kernel's list of those to be
        // watched.
        if connection.is_open() {
            tidings_cell::closed(self, connection.id);
        } else if connection.flags.is_legacy {
            tidings_cell::forget(self, connection.id);
        }
    }

    /// Sends off the connections that go to other hubs.
    pub(crate) fn send_leaving(&mut self) {
        for slot in std::mem::take(&mut self.writing.leaving) {
            let is_leaving = self
                .connections
                .get(slot)
                .is_some_and(|connection| matches!(connection.stage, Stage::Leaving(_)));
            if !is_leaving {
                continue;
            }
            let Some(mut connection) = self.connections.remove(slot) else {
                continue;
            };
            // If it fails, the socket is broken, as the other hub will find.
            let _ = connection.stream.deregister(self.poll.registry());
            connection.flags = crate::connection::Flags::default();
            connection.outgoing.keep(&self.writing.log);
            let Stage::Leaving(leaving) = connection.stage else {
                continue;
            };
            connection.stage = leaving.stage;
            connection.lane = LaneId::STRANGERS;
            if let Some(stranger) = connection.stranger_mut() {
                stranger.move_to(leaving.to);
            }
            let to = leaving.to.index();
            let handover = Handover {
                connection,
                wish: leaving.wish,
                opened_ms: leaving.opened_ms,
                rest: leaving.rest,
            };
            self.mail.outboxes[to].push(Envelope::HandOver(Box::new(handover)));
        }
    }
}
