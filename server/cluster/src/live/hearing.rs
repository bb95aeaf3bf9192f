//! What arrives from other nodes.

use bytes::Bytes;
use tidings_bus::{Outlet, Router};
use tidings_fault::fault;
use tidings_hub::bus_ops::BusInput;

use super::Live;
use super::origins::Life;
use super::subjects::{Place, TopicKey};
use crate::envelope::{Body, Envelope, Origin, Refusal};

impl Live {
    pub(super) fn hear_message(
        &mut self,
        subject: &Bytes,
        payload: &Bytes,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        let Some(place) = self.sending.subjects.place(subject) else {
            self.sending.counts.dropped_topic += 1;
            return;
        };
        let Some(envelope) = self.open(payload, out) else {
            return;
        };
        let origin = envelope.origin;
        let Body::Part {
            id,
            part,
            parts,
            bytes,
        } = envelope.body
        else {
            return self.hear_envelope(place, subject, envelope, router, out);
        };
        let lost = &mut self.sending.counts.dropped_parts;
        if let Some(whole) = self.parts.take(origin, (id, part, parts), &bytes, lost)
            && let Some(envelope) = self.open(&whole, out)
        {
            self.hear_envelope(place, subject, envelope, router, out);
        }
    }

    /// Opens an envelope of another node that lives; counts what is dropped.
    fn open(&mut self, payload: &Bytes, out: &mut impl Outlet) -> Option<Envelope> {
        let counts = &mut self.sending.counts;
        let envelope = match Envelope::open(payload, &self.sending.subjects.sealing) {
            Ok(envelope) => envelope,
            Err(Refusal::Mac) => {
                counts.dropped_mac += 1;
                return None;
            }
            Err(Refusal::Version) => {
                counts.dropped_version += 1;
                return None;
            }
            Err(Refusal::Malformed) => {
                counts.dropped_malformed += 1;
                return None;
            }
        };
        let (node, incarnation) = (envelope.origin.shard.node, envelope.origin.incarnation);
        if node == self.shard.node {
            // Its other hubs', which this one does not need, or those of another life.
            counts.dropped_stale += u64::from(incarnation != self.incarnation);
            return None;
        }
        match self.origins.see(envelope.origin, self.now_ms) {
            Life::Known => {}
            Life::New => {
                // Before anything that the new life says.
                self.forget(node, incarnation.saturating_sub(1));
                out.deliver(BusInput::NodeLost { node });
            }
            Life::Uncounted => {
                self.sending.counts.dropped_stale += 1;
                return None;
            }
        }
        if !fault!(ClockIsNotMerged) {
            self.clock.see(self.now_ms, envelope.clock_ms);
        }
        Some(envelope)
    }

    fn hear_envelope(
        &mut self,
        place: Place,
        subject: &Bytes,
        envelope: Envelope,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        let (origin, clock_ms) = (envelope.origin, envelope.clock_ms);
        let is_taken = match place {
            Place::Topic(key) => self.hear_on_topic(key, origin, envelope.body, router, out),
            Place::AllNodes => match envelope.body {
                Body::Heartbeat { number } => {
                    self.hear_heartbeat(origin, number, clock_ms);
                    true
                }
                Body::Told { since_ms } => {
                    self.hear_told(origin, since_ms, router, out);
                    true
                }
                _ => false,
            },
            Place::Own => self.hear_on_own(subject, origin, envelope.body, router, out),
        };
        if is_taken {
            self.sending.counts.received += 1;
        } else {
            self.sending.counts.dropped_topic += 1;
        }
    }

    /// `false` = it does not belong there.
    fn hear_on_topic(
        &mut self,
        place: TopicKey,
        origin: Origin,
        body: Body,
        router: &mut Router,
        out: &mut impl Outlet,
    ) -> bool {
        let topic = match &body {
            Body::Publication { topic, .. } | Body::Ask { topic, .. } => topic,
            Body::Probe { topic } => topic,
            Body::Hello { word, .. } | Body::Mark(word) => &word.topic,
            _ => return false,
        };
        let Some(key) = self.sending.subjects.key_at(place, topic) else {
            return false;
        };
        match body {
            Body::Publication {
                topic,
                from,
                at,
                message,
            } => {
                if from.node != origin.shard.node {
                    return false;
                }
                let what = (topic, from, at);
                self.hear_publication(key, origin, what, message, (router, out));
            }
            Body::Ask {
                topic,
                ask,
                question,
                listens,
                at,
            } => {
                let what = (topic, ask, question);
                self.hear_ask(key, origin, what, (listens, at), router, out);
            }
            Body::Hello {
                word,
                wants_answer,
                known,
                ask,
            } => self.hear_hello(key, origin, word, (wants_answer, known, ask), router, out),
            Body::Mark(word) => self.hear_mark(key, origin, word, router, out),
            // That it came is all that it is for: NATS tells its sender if it goes nowhere.
            _ => {}
        }
        true
    }

    /// `false` = it does not belong there.
    fn hear_on_own(
        &mut self,
        subject: &Bytes,
        origin: Origin,
        body: Body,
        router: &mut Router,
        out: &mut impl Outlet,
    ) -> bool {
        let number = self.sending.subjects.ask_of(subject);
        match body {
            Body::Answer {
                to,
                from,
                ask,
                answer,
            } if to == self.shard
                && Some(ask.number) == number
                && from.node == origin.shard.node =>
            {
                self.hear_answer(from, ask, answer, router, out);
            }
            Body::Absent { ask } if Some(ask) == number => self.hear_absent(ask),
            Body::Hello {
                word,
                wants_answer: false,
                known,
                ask,
            } if Some(ask) == number => {
                self.asks.end(ask);
                let key = self.sending.subjects.key(&word.topic);
                self.hear_hello(key, origin, word, (false, known, ask), router, out);
            }
            Body::Wanted { since_ms } => self.hear_wanted(since_ms),
            _ => return false,
        }
        true
    }
}
