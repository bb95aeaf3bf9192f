//! What goes out: envelopes for the connection, in parts where they are too long; and the parts
//! that come in.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::subjects::Subjects;
use crate::config::ClusterConfig;
use crate::counts::LiveCounts;
use crate::envelope::{Body, ENVELOPE_BYTES_MAX, Envelope, Origin};
use crate::link::LinkOp;

/// What an envelope leaves free of the server's longest payload, in bytes.
const PAYLOAD_RESERVE: usize = 4_096;

/// Shortest part, in bytes, whatever the server says.
const PART_BYTES_MIN: usize = 1_024;

/// Longest wait with nothing getting through after which publications are not kept for later.
const WAIT_MS: u64 = 5_000;

/// Most bytes of parts whose rest has not come, of all shards together; the oldest go first.
const PARTS_BYTES_MAX: usize = 64 << 20;

/// The way out.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) subjects: Subjects,
    origin: Origin,
    pub(crate) ops: Vec<LinkOp>,
    /// Since when there is no connection.
    pub(crate) down_since_ms: Option<u64>,
    /// So much waits for the connection that nothing more is taken.
    pub(crate) is_full: bool,
    pub(crate) payload_max: usize,
    parts_sent: u64,
    pub(crate) counts: LiveCounts,
}

impl Sending {
    pub(crate) fn new(subjects: Subjects, origin: Origin) -> Self {
        Self {
            subjects,
            origin,
            ops: Vec::new(),
            down_since_ms: Some(0),
            is_full: false,
            payload_max: 1 << 20,
            parts_sent: 0,
            counts: LiveCounts::default(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.down_since_ms.is_none()
    }

    /// Whether something that is published now can still be heard in time.
    pub(crate) fn takes(&self, now_ms: u64) -> bool {
        let waits = |since_ms| since_ms + WAIT_MS > now_ms;
        !self.is_full && self.down_since_ms.is_none_or(waits)
    }

    /// Sends an envelope.
    pub(crate) fn send(
        &mut self,
        subject: String,
        reply: Option<String>,
        clock_ms: u64,
        body: Body,
    ) {
        let payload = self.seal(clock_ms, body);
        if payload.len() > ENVELOPE_BYTES_MAX {
            self.counts.too_long += 1;
            return;
        }
        self.counts.sent += 1;
        let longest = self.payload_max.saturating_sub(PAYLOAD_RESERVE);
        let longest = longest.max(PART_BYTES_MIN);
        if payload.len() <= longest {
            self.ops.push(LinkOp::Publish {
                subject,
                reply,
                payload,
            });
            return;
        }
        self.parts_sent += 1;
        let whole = Bytes::from(payload);
        let id = self.parts_sent;
        let parts = whole.len().div_ceil(longest);
        let parts = u32::try_from(parts).expect("an envelope has a bound");
        // The word that nobody is there comes once.
        let mut reply = reply;
        for part in 0..parts {
            let begin = part as usize * longest;
            let bytes = whole.slice(begin..whole.len().min(begin + longest));
            let body = Body::Part {
                id,
                part,
                parts,
                bytes,
            };
            let payload = self.seal(clock_ms, body);
            self.ops.push(LinkOp::Publish {
                subject: subject.clone(),
                reply: reply.take(),
                payload,
            });
        }
    }

    fn seal(&self, clock_ms: u64, body: Body) -> Vec<u8> {
        let origin = self.origin;
        let envelope = Envelope {
            origin,
            clock_ms,
            body,
        };
        envelope.seal(&self.subjects.sealing)
    }
}

/// The way out of the shard that `config` names.
pub(crate) fn sending(config: &ClusterConfig, hub: u16) -> Sending {
    let shard = tidings_hub::ids::HubId {
        node: config.node,
        hub,
    };
    let origin = Origin {
        shard,
        incarnation: config.incarnation,
    };
    Sending::new(Subjects::new(config, shard), origin)
}

/// An envelope of which the rest has not come.
#[derive(Debug)]
struct Begun {
    id: u64,
    parts: u32,
    next: u32,
    bytes: Vec<u8>,
    began: u64,
}

/// Envelopes that come in parts. A shard sends one after the other, so each has one that has begun.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// The one of each shard. Bound: `PARTS_BYTES_MAX`.
    begun: BTreeMap<Origin, Begun>,
    held: usize,
    count: u64,
}

impl Parts {
    /// Takes a part, and returns the whole with the last one. What is not in order is dropped, with
    /// what has come before: counted in `lost`.
    pub(crate) fn take(
        &mut self,
        origin: Origin,
        (id, part, parts): (u64, u32, u32),
        bytes: &[u8],
        lost: &mut u64,
    ) -> Option<Bytes> {
        let mut begun = match self.remove(origin) {
            Some(begun) if begun.id == id && begun.next == part && begun.parts == parts => begun,
            before => {
                *lost += u64::from(before.is_some());
                if part != 0 || parts < 2 {
                    *lost += u64::from(before.is_none());
                    return None;
                }
                self.count += 1;
                let (next, bytes, began) = (0, Vec::new(), self.count);
                Begun {
                    id,
                    parts,
                    next,
                    bytes,
                    began,
                }
            }
        };
        if begun.bytes.len() + bytes.len() > ENVELOPE_BYTES_MAX {
            *lost += 1;
            return None;
        }
        begun.bytes.extend_from_slice(bytes);
        begun.next += 1;
        if begun.next == begun.parts {
            return Some(begun.bytes.into());
        }
        self.held += begun.bytes.len();
        self.begun.insert(origin, begun);
        while self.held > PARTS_BYTES_MAX {
            let oldest = self.begun.iter().min_by_key(|(_, begun)| begun.began);
            let oldest = oldest.map(|(origin, _)| *origin).expect("some are held");
            self.remove(oldest);
            *lost += 1;
        }
        None
    }

    fn remove(&mut self, origin: Origin) -> Option<Begun> {
        let begun = self.begun.remove(&origin)?;
        self.held -= begun.bytes.len();
        Some(begun)
    }

    /// Forgets what a node has begun, in this life of it or an earlier one.
    pub(crate) fn forget(&mut self, node: u16, incarnation: u64) {
        let held = &mut self.held;
        self.begun.retain(|origin, begun| {
            let stays = origin.shard.node != node || origin.incarnation > incarnation;
            if !stays {
                *held -= begun.bytes.len();
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::ids::HubId;

    use super::*;

    fn origin(node: u16) -> Origin {
        let shard = HubId { node, hub: 0 };
        let incarnation = 1;
        Origin { shard, incarnation }
    }

    fn out(payload_max: usize) -> Sending {
        let config = ClusterConfig {
            prefix: "tidings.test".to_owned(),
            key: [1; 32],
            node: 0,
            incarnation: 1,
            settle_ms: 0,
        };
        let mut sending = sending(&config, 0);
        sending.payload_max = payload_max;
        sending
    }

    /// The payloads and replies of what was sent.
    fn sent(sending: &mut Sending) -> Vec<(Bytes, Option<String>)> {
        let ops = std::mem::take(&mut sending.ops).into_iter();
        let payloads = ops.map(|op| match op {
            LinkOp::Publish { payload, reply, .. } => (Bytes::from(payload), reply),
            other => panic!("only publications: {other:?}"),
        });
        payloads.collect()
    }

    fn long() -> Body {
        // What is long in a cluster is a list of members; here it is one part of another thing.
        Body::Part {
            id: 9,
            part: 0,
            parts: 1,
            bytes: (0..40_000u32).map(|at| at.to_le_bytes()[0]).collect(),
        }
    }

    /// Takes parts, and returns what came whole.
    fn take(parts: &mut Parts, sealing: &[u8; 32], payloads: &[Bytes]) -> (Vec<Bytes>, u64) {
        let (mut whole, mut lost) = (Vec::new(), 0);
        for payload in payloads {
            let envelope = Envelope::open(payload, sealing).expect("a part");
            let Body::Part {
                id,
                part,
                parts: of,
                bytes,
            } = envelope.body
            else {
                panic!("it is a part");
            };
            whole.extend(parts.take(envelope.origin, (id, part, of), &bytes, &mut lost));
        }
        (whole, lost)
    }

    #[test]
    fn what_is_too_long_comes_in_parts_and_arrives_whole() {
        for payload_max in [0, 5_000, 12_288, 1 << 20] {
            let mut sending = out(payload_max);
            let reply = Some("reply".to_owned());
            sending.send("subject".to_owned(), reply, 5, long());
            let sent = sent(&mut sending);
            if payload_max == 1 << 20 {
                assert_eq!(sent.len(), 1);
                continue;
            }
            let longest = sent.iter().map(|(payload, _)| payload.len()).max();
            let bound = payload_max.max(PART_BYTES_MIN + 100);
            assert!(longest.is_some_and(|longest| longest <= bound));
            let replies = sent.iter().filter(|(_, reply)| reply.is_some()).count();
            assert_eq!(replies, 1, "the word that nobody is there comes once");
            let payloads: Vec<Bytes> = sent.into_iter().map(|(payload, _)| payload).collect();
            let mut parts = Parts::default();
            let (whole, lost) = take(&mut parts, &sending.subjects.sealing, &payloads);
            assert_eq!((whole.len(), lost), (1, 0));
            let inner = Envelope::open(&whole[0], &sending.subjects.sealing);
            assert_eq!(inner.expect("an envelope").body, long());
            assert_eq!(parts.held, 0);
        }
    }

    #[test]
    fn a_part_that_is_lost_costs_one_envelope_and_is_counted() {
        let mut sending = out(12_288);
        for _ in 0..3 {
            sending.send("subject".to_owned(), None, 5, long());
        }
        let sent = sent(&mut sending);
        let mut payloads: Vec<Bytes> = sent.into_iter().map(|(payload, _)| payload).collect();
        let each = payloads.len() / 3;
        payloads.remove(each + 1);
        let mut parts = Parts::default();
        let (whole, lost) = take(&mut parts, &sending.subjects.sealing, &payloads);
        assert_eq!(whole.len(), 2);
        assert!(lost > 0);
        assert_eq!(parts.held, 0);
    }

    #[test]
    fn parts_whose_rest_never_comes_are_bounded() {
        let (mut parts, mut lost) = (Parts::default(), 0);
        let bytes = vec![0; 1 << 20];
        for node in 0..100 {
            parts.take(origin(node), (1, 0, 2), &bytes, &mut lost);
        }
        assert!(parts.held <= PARTS_BYTES_MAX);
        assert_eq!(lost, 100 - (PARTS_BYTES_MAX >> 20) as u64);
        for node in 0..100 {
            parts.forget(node, 1);
        }
        assert_eq!((parts.held, parts.begun.len()), (0, 0));
        // One that grows and grows is given up, too.
        for part in 0..20 {
            parts.take(origin(1), (2, part, 1_000), &bytes, &mut lost);
            assert!(parts.held <= ENVELOPE_BYTES_MAX);
        }
    }

    #[test]
    fn what_no_bus_takes_is_counted_and_not_sent() {
        let mut sending = out(1 << 20);
        let body = Body::Part {
            id: 0,
            part: 0,
            parts: 1,
            bytes: vec![0; ENVELOPE_BYTES_MAX].into(),
        };
        sending.send("subject".to_owned(), None, 5, body);
        assert_eq!((sending.counts.too_long, sending.ops.len()), (1, 0));
    }
}
