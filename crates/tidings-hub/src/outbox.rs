//! What a session has been sent and not yet confirmed: the server's half of "nothing lost, nothing twice".
//!
//! Numbers are counted on both sides and never written (docs/protocol.md 2.2). The outbox keeps every numbered
//! frame until it is confirmed, within bounds; what it must drop it remembers as a run with its sources, so
//! that the client is told of every hole before anything later.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{REPLAY_BYTES_MAX, REPLAY_FRAMES_MAX};
use tidings_wire::proto::{Gap, GapCause, Inbox, Skip, gap, server_message::Kind};

use crate::ids::ChannelKey;

/// Where a numbered frame came from: what a gap names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A reply or a notice to this session alone. Never dropped: at most 256 calls are open.
    Call,
    /// Peer messages. Never dropped: at most 1,024 are unconfirmed.
    Inbox,
    /// A channel.
    Channel(Arc<ChannelKey>),
    /// Nothing any more: the frame was taken back before it was confirmed.
    Withdrawn,
}

#[derive(Debug)]
struct Kept {
    sseq: u64,
    frame: Bytes,
    source: Source,
}

/// Consecutive numbers whose frames were dropped.
#[derive(Debug)]
struct Run {
    first: u64,
    count: u64,
    losses: Vec<(Source, u64)>,
}

/// The numbered frames of one session that its client has not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Highest number given out.
    sent: u64,
    /// Highest number confirmed.
    confirmed: u64,
    /// Bound: `REPLAY_FRAMES_MAX` and `REPLAY_BYTES_MAX`; over it the oldest are dropped into `runs`.
    kept: VecDeque<Kept>,
    /// Replies and peer messages that were the oldest when something had to go. Bound: open requests and
    /// unconfirmed deliveries of the session.
    replies: VecDeque<Kept>,
    /// Bound: at most one run per kept reply and one more.
    runs: VecDeque<Run>,
    bytes: usize,
}

impl Outbox {
    /// Highest number that the client has been, or will be, sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Numbers a frame and keeps it. Returns its number.
    pub(crate) fn push(&mut self, frame: Bytes, source: Source) -> u64 {
        self.sent += 1;
        self.bytes += frame.len();
        self.kept.push_back(Kept {
            sseq: self.sent,
            frame,
            source,
        });
        while self.kept.len() > REPLAY_FRAMES_MAX || self.bytes > REPLAY_BYTES_MAX {
            self.drop_oldest();
        }
        self.sent
    }

    /// Takes a frame back: if it is not confirmed yet, it will not be sent again, and nobody misses it.
    pub(crate) fn withdraw(&mut self, sseq: u64) {
        let found = self.kept.binary_search_by_key(&sseq, |kept| kept.sseq);
        if let Ok(at) = found {
            self.bytes -= self.kept[at].frame.len();
        }
        let kept = match found {
            Ok(at) => self.kept.get_mut(at),
            Err(_) => self.replies.iter_mut().find(|kept| kept.sseq == sseq),
        };
        if let Some(kept) = kept {
            kept.frame = Bytes::new();
            kept.source = Source::Withdrawn;
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.kept.pop_front() else {
            return;
        };
        self.bytes -= oldest.frame.len();
        // A dropped peer message would be confirmed unseen, with all that its sender is told of it.
        if matches!(oldest.source, Source::Call | Source::Inbox) {
            self.replies.push_back(oldest);
            return;
        }
        let follows = |run: &&mut Run| run.first + run.count == oldest.sseq;
        match self.runs.back_mut().filter(follows) {
            Some(run) => run.count += 1,
            None => self.runs.push_back(Run {
                first: oldest.sseq,
                count: 1,
                losses: Vec::new(),
            }),
        }
        let Some(run) = self
            .runs
            .back_mut()
            .filter(|_| oldest.source != Source::Withdrawn)
        else {
            return;
        };
        match run
            .losses
            .iter_mut()
            .find(|(source, _)| *source == oldest.source)
        {
            Some((_, count)) => *count += 1,
            None => run.losses.push((oldest.source, 1)),
        }
    }

    /// Forgets everything up to `sseq`. Returns whether that was possible: not beyond what was sent.
    pub(crate) fn confirm(&mut self, sseq: u64) -> bool {
        if sseq > self.sent {
            return false;
        }
        self.confirmed = self.confirmed.max(sseq);
        while self.kept.front().is_some_and(|kept| kept.sseq <= sseq) {
            if let Some(kept) = self.kept.pop_front() {
                self.bytes -= kept.frame.len();
            }
        }
        while self.replies.front().is_some_and(|kept| kept.sseq <= sseq) {
            self.replies.pop_front();
        }
        while self
            .runs
            .front()
            .is_some_and(|run| run.first + run.count <= sseq + 1)
        {
            self.runs.pop_front();
        }
        if let Some(run) = self.runs.front_mut().filter(|run| run.first <= sseq) {
            run.count -= sseq + 1 - run.first;
            run.first = sseq + 1;
            // Which of the remaining numbers belonged to which source is not known any more.
            run.losses.iter_mut().for_each(|(_, count)| *count = 0);
        }
        if self.kept.is_empty() {
            // An idle session owns no memory here.
            self.kept = VecDeque::new();
        }
        true
    }

    /// Gives everything that is not confirmed to `send`, in order, holes with their gaps in place.
    pub(crate) fn replay(&self, mut send: impl FnMut(Bytes)) {
        let mut runs = self.runs.iter().peekable();
        let mut withdrawn = 0;
        for kept in self.replies.iter().chain(&self.kept) {
            while let Some(run) = runs.next_if(|run| run.first < kept.sseq) {
                send(skip(run));
            }
            if kept.source == Source::Withdrawn {
                withdrawn += 1;
                continue;
            }
            send_skip(std::mem::take(&mut withdrawn), &mut send);
            send(kept.frame.clone());
        }
        send_skip(withdrawn, &mut send);
        runs.for_each(|run| send(skip(run)));
    }
}

fn send_skip(count: u64, send: &mut impl FnMut(Bytes)) {
    if count > 0 {
        send(encode_server(Kind::Skip(Skip {
            count,
            gaps: Vec::new(),
        })));
    }
}

fn skip(run: &Run) -> Bytes {
    let gaps = run
        .losses
        .iter()
        .map(|(source, missed)| Gap {
            cause: GapCause::BufferOverflow.into(),
            missed: *missed,
            source: match source {
                Source::Channel(key) => Some(gap::Source::Channel(key.channel.to_string())),
                Source::Inbox | Source::Call | Source::Withdrawn => {
                    Some(gap::Source::Inbox(Inbox {}))
                }
            },
        })
        .collect();
    encode_server(Kind::Skip(Skip {
        count: run.count,
        gaps,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_wire::frame::decode_server;
    use tidings_wire::names::{AppId, ChannelName};

    fn channel(name: &str) -> Source {
        Source::Channel(Arc::new(ChannelKey {
            app: AppId::parse(&"a".repeat(32)).expect("app id"),
            channel: ChannelName::parse(name).expect("channel name"),
        }))
    }

    fn replayed(outbox: &Outbox) -> Vec<Bytes> {
        let mut out = Vec::new();
        outbox.replay(|frame| out.push(frame));
        out
    }

    fn skips(frames: &[Bytes]) -> Vec<Skip> {
        frames
            .iter()
            .filter_map(
                |frame| match decode_server(&frame[2..]).ok()?.messages.pop()?.kind? {
                    Kind::Skip(skip) => Some(skip),
                    _ => None,
                },
            )
            .collect()
    }

    // proves: rtm-3.3-peer
    #[test]
    fn what_is_not_confirmed_is_replayed_in_order() {
        let mut outbox = Outbox::default();
        for n in 1..=5_u8 {
            assert_eq!(
                outbox.push(Bytes::from(vec![n]), channel("a")),
                u64::from(n)
            );
        }
        assert!(outbox.confirm(2));
        assert_eq!(replayed(&outbox), [vec![3], vec![4], vec![5]]);
        assert!(outbox.confirm(1), "an old confirmation is harmless");
        assert_eq!(replayed(&outbox).len(), 3);
        assert!(!outbox.confirm(6), "nobody confirms what was not sent");
    }

    // proves: rtm-8-flapping
    #[test]
    fn the_bound_drops_the_oldest_and_says_so_in_their_place() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"reply"), Source::Call);
        for _ in 0..REPLAY_FRAMES_MAX + 10 {
            outbox.push(Bytes::from_static(b"x"), channel("a"));
        }
        let frames = replayed(&outbox);
        assert_eq!(
            frames[0],
            Bytes::from_static(b"reply"),
            "replies are never dropped"
        );
        let skipped = skips(&frames[1..2]);
        assert_eq!(skipped[0].count, 10);
        assert_eq!(skipped[0].gaps[0].missed, 10);
        assert_eq!(frames.len(), 2 + REPLAY_FRAMES_MAX);
    }

    #[test]
    fn every_number_is_accounted_for_whatever_is_dropped_and_confirmed() {
        for confirmed in (0..=1_500_u64).step_by(7) {
            let mut outbox = Outbox::default();
            for n in 0..1_500 {
                let source = if n % 100 == 7 {
                    Source::Call
                } else {
                    channel("a")
                };
                outbox.push(Bytes::from_static(b"\x00\x00payload"), source);
            }
            assert!(outbox.confirm(confirmed));
            let frames = replayed(&outbox);
            let skipped: u64 = skips(&frames).iter().map(|skip| skip.count).sum();
            let sent = frames.len() as u64 - skips(&frames).len() as u64;
            assert_eq!(confirmed + skipped + sent, 1_500, "confirmed {confirmed}");
        }
    }

    #[test]
    fn a_flood_of_channel_messages_never_drops_a_peer_message() {
        let mut outbox = Outbox::default();
        let peer = outbox.push(Bytes::from_static(b"\0\0peer"), Source::Inbox);
        for _ in 0..REPLAY_FRAMES_MAX + 10 {
            outbox.push(Bytes::from_static(b"\0\0x"), channel("a"));
        }
        assert_eq!(replayed(&outbox)[0], Bytes::from_static(b"\0\0peer"));
        outbox.withdraw(peer);
        let frames = replayed(&outbox);
        let skipped: u64 = skips(&frames).iter().map(|skip| skip.count).sum();
        assert_eq!(skipped, 11, "ten dropped and one withdrawn");
    }

    #[test]
    fn what_is_withdrawn_is_skipped_without_a_gap() {
        let mut outbox = Outbox::default();
        for n in 1..=5_u8 {
            outbox.push(Bytes::from(vec![0, 0, n]), Source::Inbox);
        }
        outbox.withdraw(2);
        outbox.withdraw(3);
        let frames = replayed(&outbox);
        assert_eq!(frames.len(), 4);
        assert_eq!(
            skips(&frames),
            [Skip {
                count: 2,
                gaps: Vec::new()
            }]
        );
        assert_eq!(frames[2], vec![0, 0, 4]);
    }

    #[test]
    fn a_confirmed_outbox_owns_no_memory() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"x"), Source::Inbox);
        assert!(outbox.confirm(1));
        assert_eq!(outbox.kept.capacity(), 0);
    }
}
