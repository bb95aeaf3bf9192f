//! What hubs are given, and what becomes of what they ask for.

use tidings_hub::bus_ops::{BusInput, BusOp};
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_hub::{Effect, Input, Time};

use super::{Happening, World};
use crate::sometimes;

impl World {
    pub(crate) fn give_hub(&mut self, hub: HubId, input: Input) {
        if self.is_down {
            return;
        }
        if let Some(recalled) = self.used.before(&input, self.now_ms) {
            self.give_hub(hub, recalled);
        }
        self.note(format_args!("hub {} < {input:?}", hub.0));
        let now = Time {
            mono_ms: self.now_ms,
            unix_ms: self.unix_ms(),
        };
        let is_resume = sometimes::is_resume(&input);
        let mut effects: Vec<Effect> = Vec::new();
        self.nodes[usize::from(hub.0)]
            .hub
            .handle(now, input, &mut effects);
        self.sometimes.see_effects(is_resume, &effects);
        let goes_on = self.hold_legacy();
        for effect in effects {
            self.note(format_args!("hub {} > {effect:?}", hub.0));
            self.carry_out(hub, effect);
        }
        if goes_on {
            self.settle_legacy();
        }
    }

    /// Puts bytes on their way to a client: each connection keeps its order.
    fn send(&mut self, connection: ConnectionId, frame: &[u8]) {
        if !self.translate(connection, frame) {
            self.put_on_wire(connection, frame);
        }
    }

    /// The same for what is in the client's own protocol.
    pub(crate) fn put_on_wire(&mut self, connection: ConnectionId, frame: &[u8]) {
        let delay = self.random.between(0, self.config.network_delay_ms_max);
        let now_ms = self.now_ms;
        let Some(wire) = self.wires.get_mut(&connection) else {
            return;
        };
        if wire.is_half_open {
            return;
        }
        wire.to_client_ms = wire.to_client_ms.max(now_ms + delay);
        let at = wire.to_client_ms;
        let bytes = frame.to_vec();
        self.schedule_at(
            at,
            Happening::ToClient {
                wire: connection,
                bytes,
            },
        );
    }

    fn carry_out(&mut self, hub: HubId, effect: Effect) {
        match effect {
            Effect::Send { connection, frame } => self.send(connection, &frame),
            Effect::SendAll { connections, frame } => {
                for connection in connections {
                    self.send(connection, &frame);
                }
            }
            Effect::Close { connection, code } => {
                if self.end_legacy(connection, code) {
                    return;
                }
                let Some(wire) = self.wires.get(&connection) else {
                    return;
                };
                let at = wire.to_client_ms.max(self.now_ms);
                let code = Some(code as u16);
                if !wire.is_half_open {
                    self.schedule_at(
                        at,
                        Happening::CloseClient {
                            wire: connection,
                            code,
                        },
                    );
                }
            }
            Effect::HandOver {
                connection,
                to,
                resume,
                opened_ms,
            } => {
                if let Some(wire) = self.wires.get_mut(&connection) {
                    wire.hub = to;
                }
                let input = Input::HandedOver {
                    connection,
                    resume,
                    opened_ms,
                };
                self.send_to_hub(hub, to, input);
            }
            Effect::Answer { .. } => debug_assert!(false, "nothing is asked from outside"),
            Effect::Used { user, word } => self.used.note(user, word, self.now_ms),
            Effect::Bus(BusOp::Answer { to, ask, answer }) => {
                let input = Input::Bus(BusInput::Answered {
                    ask,
                    from: hub,
                    answer,
                });
                self.send_to_hub(hub, to, input);
            }
            Effect::Bus(op) => {
                let shard = self.nodes[usize::from(hub.0)].homes.destination(&op);
                let at = self.link(hub, shard);
                let incarnation = self.incarnation;
                let op = Box::new(op);
                self.schedule_at(
                    at,
                    Happening::Route {
                        shard,
                        incarnation,
                        from: hub,
                        op,
                    },
                );
            }
            Effect::Store { ticket, op } => {
                self.store_queue.push((hub, ticket, op));
                self.start_commit();
            }
        }
    }

    /// When something sent now from hub to hub arrives: in order, after a while.
    fn link(&mut self, from: HubId, to: HubId) -> u64 {
        let delay = if from == to {
            0
        } else {
            self.random.between(0, self.config.bus_delay_ms_max)
        };
        let last = self.links.entry((from, to)).or_default();
        *last = (*last).max(self.now_ms + delay);
        *last
    }

    pub(crate) fn send_to_hub(&mut self, from: HubId, to: HubId, input: Input) {
        let at = self.link(from, to);
        let incarnation = self.incarnation;
        self.schedule_at(
            at,
            Happening::Hub {
                hub: to,
                incarnation,
                input: Box::new(input),
            },
        );
    }

    pub(super) fn route(&mut self, shard: HubId, from: HubId, op: BusOp) {
        let mut delivered = Vec::new();
        self.nodes[usize::from(shard.0)]
            .shard
            .route(from, op, &mut |to, input| delivered.push((to, input)));
        for (to, input) in delivered {
            if !self.is_missed(to, &input) {
                self.send_to_hub(shard, to, Input::Bus(input));
            }
        }
    }
}
