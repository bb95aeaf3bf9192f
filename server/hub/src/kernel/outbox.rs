//! What a session has been sent and not yet confirmed: the server's half of "nothing lost, nothing
//! twice".
//!
//! Numbers are counted on both sides and never written (protocol 2.2). The outbox keeps every
//! numbered frame until it is confirmed, within bounds; what it must drop it remembers as a run
//! with its sources, so that the client is told of every hole before anything later.

mod record;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{REPLAY_BYTES_MAX, REPLAY_FRAMES_MAX};
use tidings_wire::names::ChannelName;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Gap, GapCause, Inbox, Skip, gap};

use crate::ids::ChannelKey;
use crate::traces::StepKind;

/// Where a numbered frame came from: what a gap names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A reply or a notice to this session alone. Never dropped: a client that confirms none of
    /// them is a slow consumer.
    Call,
    /// Peer messages. Never dropped, as above.
    Inbox,
    /// A channel.
    Channel(Arc<ChannelKey>),
    /// Nothing any more: the frame was taken back before it was confirmed.
    Withdrawn,
}

impl Source {
    /// Never dropped for want of room.
    fn is_owed(&self) -> bool {
        matches!(self, Source::Call | Source::Inbox)
    }
}

/// A numbered frame, shared by the outboxes of all sessions of this hub that it goes to: what each
/// of them holds of it is a pointer. A hub is one thread's, so counting who holds it costs no
/// atomic operation.
#[derive(Debug)]
pub(crate) struct Kept {
    frame: Bytes,
    source: Source,
    /// Where its bytes are counted.
    gauge: Gauge,
}

impl Kept {
    /// One whose bytes nobody counts.
    #[cfg(test)]
    pub(crate) fn new(frame: Bytes, source: Source) -> Rc<Self> {
        Self::counted(frame, source, &Gauge::default())
    }

    /// One whose bytes count until the last outbox has given it up.
    pub(crate) fn counted(frame: Bytes, source: Source, gauge: &Gauge) -> Rc<Self> {
        let gauge = gauge.clone();
        gauge.0.set(gauge.0.get() + frame.len() + KEPT_BYTES);
        Rc::new(Self {
            frame,
            source,
            gauge,
        })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let counted = &self.gauge.0;
        debug_assert!(
            counted.get() >= self.frame.len() + KEPT_BYTES,
            "bytes that were not counted"
        );
        counted.set(counted.get() - self.frame.len() - KEPT_BYTES);
    }
}

/// What a frame costs beside its bytes, about: its places in the heap.
const KEPT_BYTES: usize = 128;

/// Bytes of all frames of a hub that are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge(Rc<Cell<usize>>);

impl Gauge {
    pub(crate) fn get(&self) -> usize {
        self.0.get()
    }
}

/// Dropped numbers of which it is remembered which source each had. A client can confirm what it
/// has been sent, and it is sent no more than this before it is taken for a slow one; what is
/// dropped while it is away it cannot confirm.
const DETAIL_MAX: usize = 4 * REPLAY_FRAMES_MAX;

/// Consecutive numbers whose frames were dropped.
#[derive(Debug)]
struct Run {
    first: u64,
    count: u64,
    losses: Vec<(Source, u64)>,
    /// The sources of its first numbers. Bound: `DETAIL_MAX`.
    detail: VecDeque<Source>,
}

impl Run {
    fn lose(&mut self, source: Source) {
        self.count += 1;
        if self.detail.len() < DETAIL_MAX && self.detail.len() as u64 + 1 == self.count {
            self.detail.push_back(source.clone());
        }
        if source == Source::Withdrawn {
            return;
        }
        match self.losses.iter_mut().find(|(of, _)| *of == source) {
            Some((_, count)) => *count += 1,
            None => self.losses.push((source, 1)),
        }
    }

    /// The client has had its first `count` numbers after all.
    fn confirm(&mut self, count: u64) {
        debug_assert!(count > 0, "nothing is confirmed");
        debug_assert!(
            count < self.count,
            "a run that is confirmed as a whole goes as a whole"
        );
        self.first += count;
        self.count -= count;
        for _ in 0..count {
            let Some(source) = self.detail.pop_front() else {
                break;
            };
            if let Some((_, lost)) = self.losses.iter_mut().find(|(of, _)| *of == source) {
                *lost -= 1;
            }
        }
        self.losses.retain(|(_, lost)| *lost > 0);
    }
}

/// The numbered frames of one session that its client has not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Highest number given out.
    sent: u64,
    /// Highest number confirmed.
    confirmed: u64,
    /// Bound: `REPLAY_FRAMES_MAX` and `REPLAY_BYTES_MAX`; over it the oldest are dropped into
    /// `runs`. Their numbers have no holes: the newest has the number `sent`.
    kept: VecDeque<Rc<Kept>>,
    /// Replies and peer messages that were the oldest when something had to go. Bound: the
    /// connection of a session is closed when `is_over`, and without one few are added.
    replies: VecDeque<(u64, Rc<Kept>)>,
    /// Bound: at most one run per kept reply and one more.
    runs: VecDeque<Run>,
    /// Bytes of `kept`.
    bytes: usize,
    /// Frames that are never dropped, in `kept` and `replies`, and their bytes.
    owed: usize,
    owed_bytes: usize,
    /// Where its own frames are counted.
    gauge: Gauge,
}

impl Outbox {
    /// One whose frames are counted.
    pub(crate) fn counted_by(gauge: Gauge) -> Self {
        Self {
            sent: 0,
            confirmed: 0,
            kept: VecDeque::new(),
            replies: VecDeque::new(),
            runs: VecDeque::new(),
            bytes: 0,
            owed: 0,
            owed_bytes: 0,
            gauge,
        }
    }

    /// Numbers a frame of this session alone and keeps it. Returns its number.
    pub(crate) fn push_own(&mut self, frame: Bytes, source: Source) -> u64 {
        let kept = Kept::counted(frame, source, &self.gauge);
        self.push(kept)
    }

    /// Frames that it keeps until they are confirmed.
    pub(crate) fn frames_kept(&self) -> usize {
        self.kept.len() + self.replies.len()
    }

    /// Bytes of everything that it keeps, shared with others or not. Cost: O(replies that were set
    /// aside).
    pub(crate) fn bytes_kept(&self) -> usize {
        let aside = self.replies.iter().map(|(_, kept)| kept.frame.len());
        self.bytes + aside.sum::<usize>()
    }

    /// Drops all that may be missed: a gap in its place.
    pub(crate) fn drop_replay(&mut self) {
        while !self.kept.is_empty() {
            self.drop_oldest();
        }
        self.kept = VecDeque::new();
        self.replies.shrink_to_fit();
    }

    /// Highest number that the client has been, or will be, sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Whether more waits for the client's confirmation than a session may have, of what is never
    /// dropped.
    pub(crate) fn is_over(&self) -> bool {
        self.owed >= REPLAY_FRAMES_MAX || self.owed_bytes >= REPLAY_BYTES_MAX
    }

    /// Whether it is so far over that the session is not worth its memory.
    pub(crate) fn is_far_over(&self) -> bool {
        self.owed > 2 * REPLAY_FRAMES_MAX || self.owed_bytes > 2 * REPLAY_BYTES_MAX
    }

    /// What the client is told in place of a frame that it has not confirmed: `None` = the frame.
    pub(crate) fn fate(&self, sseq: u64) -> Option<StepKind> {
        let is_in = |run: &Run| (run.first..run.first + run.count).contains(&sseq);
        if self.runs.iter().any(is_in) {
            return Some(StepKind::Gap);
        }
        let at = sseq.checked_sub(self.first_kept());
        let kept = match at.and_then(|at| usize::try_from(at).ok()) {
            Some(at) => self.kept.get(at),
            None => (self.replies.iter())
                .find(|(number, _)| *number == sseq)
                .map(|(_, kept)| kept),
        };
        kept.is_none_or(|kept| kept.source == Source::Withdrawn)
            .then_some(StepKind::Dropped)
    }

    /// Whether something that is not confirmed has been dropped.
    pub(crate) fn has_dropped(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Whether every number that is not confirmed is kept, set aside or known to be missing. Cost:
    /// O(runs of what is missing).
    pub(crate) fn is_contiguous(&self) -> bool {
        let dropped: u64 = self.runs.iter().map(|run| run.count).sum();
        let accounted = (self.kept.len() + self.replies.len()) as u64 + dropped;
        self.sent - self.confirmed == accounted
    }

    /// The number of the oldest in `kept`.
    fn first_kept(&self) -> u64 {
        self.sent + 1 - self.kept.len() as u64
    }

    /// Numbers a frame and keeps it. Returns its number.
    pub(crate) fn push(&mut self, kept: Rc<Kept>) -> u64 {
        debug_assert!(
            kept.source != Source::Withdrawn,
            "a frame is taken back before it is sent"
        );
        self.sent += 1;
        self.bytes += kept.frame.len();
        if kept.source.is_owed() {
            self.owed += 1;
            self.owed_bytes += kept.frame.len();
        }
        self.kept.push_back(kept);
        while (self.kept.len() > REPLAY_FRAMES_MAX || self.bytes > REPLAY_BYTES_MAX)
            && !fault!(OutboxHasNoBound)
        {
            self.drop_oldest();
        }
        self.sent
    }

    /// Takes a frame back: if it is not confirmed yet, it will not be sent again, and nobody misses
    /// it.
    pub(crate) fn withdraw(&mut self, sseq: u64) {
        let place = match sseq.checked_sub(self.first_kept()) {
            Some(at) => usize::try_from(at)
                .ok()
                .and_then(|at| self.kept.get_mut(at)),
            None => {
                let reply = self.replies.iter_mut().find(|(number, _)| *number == sseq);
                reply.map(|(_, kept)| kept)
            }
        };
        let Some(place) = place else {
            // The client has confirmed it.
            return;
        };
        let withdrawn = Kept::counted(Bytes::new(), Source::Withdrawn, &self.gauge);
        let kept = std::mem::replace(place, withdrawn);
        if sseq >= self.first_kept() {
            self.bytes -= kept.frame.len();
        }
        self.settle(&kept);
    }

    /// Takes back the frames of channels that are not to be read any more: they will not be sent
    /// again.
    pub(crate) fn withdraw_channels(&mut self, may_read: impl Fn(&ChannelName) -> bool) {
        for place in &mut self.kept {
            let is_shut = match &place.source {
                Source::Channel(key) => !may_read(&key.channel),
                Source::Call | Source::Inbox | Source::Withdrawn => false,
            };
            if is_shut {
                let withdrawn = Kept::counted(Bytes::new(), Source::Withdrawn, &self.gauge);
                let kept = std::mem::replace(place, withdrawn);
                self.bytes -= kept.frame.len();
            }
        }
    }

    fn drop_oldest(&mut self) {
        let sseq = self.first_kept();
        debug_assert!(sseq > self.confirmed, "what is confirmed is not kept");
        let Some(oldest) = self.kept.pop_front() else {
            debug_assert!(false, "nothing is left to be taken");
            return;
        };
        self.bytes -= oldest.frame.len();
        // A dropped peer message would be confirmed unseen, with all that its sender is told of it.
        if oldest.source.is_owed() {
            self.replies.push_back((sseq, oldest));
            return;
        }
        let follows = |run: &&mut Run| run.first + run.count == sseq;
        match self.runs.back_mut().filter(follows) {
            Some(run) => run.lose(oldest.source.clone()),
            None => {
                let mut run = Run {
                    first: sseq,
                    count: 0,
                    losses: Vec::new(),
                    detail: VecDeque::new(),
                };
                run.lose(oldest.source.clone());
                self.runs.push_back(run);
            }
        }
    }

    /// Forgets everything up to `sseq`. Returns whether that was possible: not beyond what was
    /// sent.
    pub(crate) fn confirm(&mut self, sseq: u64) -> bool {
        if sseq > self.sent {
            return false;
        }
        self.confirmed = self.confirmed.max(sseq);
        debug_assert!(
            self.confirmed <= self.sent,
            "more is confirmed than was sent"
        );
        let count = (sseq + 1).saturating_sub(self.first_kept());
        for _ in 0..count {
            if let Some(kept) = self.kept.pop_front() {
                self.bytes -= kept.frame.len();
                self.settle(&kept);
            }
        }
        while let Some((_, kept)) = self.replies.pop_front_if(|(number, _)| *number <= sseq) {
            self.settle(&kept);
        }
        while self
            .runs
            .front()
            .is_some_and(|run| run.first + run.count <= sseq + 1)
        {
            self.runs.pop_front();
        }
        if let Some(run) = self.runs.front_mut().filter(|run| run.first <= sseq) {
            run.confirm(sseq + 1 - run.first);
        }
        if self.kept.is_empty() {
            // An idle session owns no memory here.
            self.kept = VecDeque::new();
        }
        true
    }

    fn settle(&mut self, kept: &Kept) {
        if kept.source.is_owed() && !fault!(ConfirmedRepliesCountAsOwed) {
            debug_assert!(self.owed > 0, "a frame was owed that was not counted");
            debug_assert!(
                self.owed_bytes >= kept.frame.len(),
                "bytes were owed that were not counted"
            );
            self.owed -= 1;
            self.owed_bytes -= kept.frame.len();
        }
    }

    /// Gives everything that is not confirmed to `send`, in order, holes with their gaps in place.
    /// Returns how much the gaps say is missing.
    pub(crate) fn replay(&self, mut send: impl FnMut(Bytes)) -> u64 {
        let mut runs = self.runs.iter().peekable();
        let mut withdrawn = 0;
        let replies = self.replies.iter().map(|(sseq, kept)| (*sseq, kept));
        for (sseq, kept) in replies.chain((self.first_kept()..).zip(&self.kept)) {
            let is_before = |run: &&Run| {
                if fault!(GapComesLate) {
                    run.first + run.count < sseq
                } else {
                    run.first < sseq
                }
            };
            while let Some(run) = runs.next_if(is_before) {
                send(skip(run));
            }
            if kept.source == Source::Withdrawn {
                withdrawn += 1;
                continue;
            }
            send_skip(std::mem::take(&mut withdrawn), &mut send);
            if fault!(ReplayLeavesOutReplies) && kept.source == Source::Call {
                continue;
            }
            send(kept.frame.clone());
        }
        send_skip(withdrawn, &mut send);
        runs.for_each(|run| send(skip(run)));
        let losses = self.runs.iter().flat_map(|run| &run.losses);
        losses.map(|(_, missed)| missed).sum()
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
    debug_assert!(run.count > 0, "a hole without a number");
    let gaps = run
        .losses
        .iter()
        .filter(|_| !fault!(DroppedFramesLeaveNoGap))
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

impl Outbox {
    /// Asserts what holds between two inputs. Cost: O(frames that are kept).
    pub(crate) fn assert_consistent(&self) {
        assert!(
            self.confirmed <= self.sent,
            "a number was confirmed that was not given out"
        );
        assert!(
            self.kept.len() <= REPLAY_FRAMES_MAX,
            "more frames than the bound"
        );
        assert!(self.bytes <= REPLAY_BYTES_MAX, "more bytes than the bound");
        let bytes: usize = self.kept.iter().map(|kept| kept.frame.len()).sum();
        assert_eq!(self.bytes, bytes, "bytes of the kept frames");
        let all = || {
            self.kept
                .iter()
                .chain(self.replies.iter().map(|(_, kept)| kept))
        };
        let owed = || all().filter(|kept| kept.source.is_owed());
        assert_eq!(self.owed, owed().count(), "frames that are never dropped");
        let owed_bytes: usize = owed().map(|kept| kept.frame.len()).sum();
        assert_eq!(self.owed_bytes, owed_bytes, "bytes that are never dropped");
        assert!(
            self.is_contiguous(),
            "every open number is kept, set aside or dropped"
        );
        let first_kept = self.first_kept();
        let mut next = self.confirmed + 1;
        for (sseq, _) in &self.replies {
            assert!(
                (next..first_kept).contains(sseq),
                "replies are in order, before the rest"
            );
            next = sseq + 1;
        }
        let mut next = self.confirmed + 1;
        for run in &self.runs {
            assert!(run.count > 0, "an empty run");
            assert!(run.first >= next, "runs are in order and do not meet");
            assert!(
                run.detail.len() as u64 <= run.count,
                "more sources than frames"
            );
            let lost: u64 = run.losses.iter().map(|(_, lost)| lost).sum();
            assert!(lost <= run.count, "more losses than frames");
            next = run.first + run.count;
        }
        assert!(next <= first_kept, "a dropped number is kept as well");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_wire::frame::decode_server;
    use tidings_wire::names::AppId;

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
                outbox.push(Kept::new(Bytes::from(vec![n]), channel("a"))),
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
        outbox.push(Kept::new(Bytes::from_static(b"reply"), Source::Call));
        for _ in 0..REPLAY_FRAMES_MAX + 10 {
            outbox.push(Kept::new(Bytes::from_static(b"x"), channel("a")));
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
                outbox.push(Kept::new(Bytes::from_static(b"\x00\x00payload"), source));
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
        let peer = outbox.push(Kept::new(Bytes::from_static(b"\0\0peer"), Source::Inbox));
        for _ in 0..REPLAY_FRAMES_MAX + 10 {
            outbox.push(Kept::new(Bytes::from_static(b"\0\0x"), channel("a")));
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
            outbox.push(Kept::new(Bytes::from(vec![0, 0, n]), Source::Inbox));
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
    fn a_run_that_was_partly_received_counts_only_what_is_missing() {
        let mut outbox = Outbox::default();
        // Sent while the client was there: it has had 900 of them, but that is not confirmed yet.
        for n in 0..1_000 {
            outbox.push(Kept::new(
                Bytes::from_static(b"\0\0x"),
                channel(["a", "b"][n % 2]),
            ));
        }
        for _ in 0..REPLAY_FRAMES_MAX {
            outbox.push(Kept::new(Bytes::from_static(b"\0\0x"), channel("b")));
        }
        assert!(outbox.confirm(900));
        let skipped = skips(&replayed(&outbox));
        assert_eq!(skipped[0].count, 100);
        let missed: Vec<u64> = skipped[0].gaps.iter().map(|gap| gap.missed).collect();
        assert_eq!(missed, [50, 50]);
        assert!(outbox.confirm(999));
        let skipped = skips(&replayed(&outbox));
        assert_eq!((skipped[0].count, skipped[0].gaps.len()), (1, 1));
        assert_eq!(skipped[0].gaps[0].missed, 1, "of b alone");
    }

    #[test]
    fn what_is_never_dropped_is_counted_until_it_is_confirmed_or_withdrawn() {
        let mut outbox = Outbox::default();
        for _ in 1..REPLAY_FRAMES_MAX {
            outbox.push(Kept::new(Bytes::from_static(b"\0\0reply"), Source::Call));
        }
        assert!(!outbox.is_over());
        let last = outbox.push(Kept::new(Bytes::from_static(b"\0\0peer"), Source::Inbox));
        assert!(outbox.is_over());
        outbox.withdraw(last);
        assert!(!outbox.is_over());
        outbox.push(Kept::new(
            Bytes::from(vec![0; REPLAY_BYTES_MAX]),
            Source::Call,
        ));
        assert!(outbox.is_over(), "by bytes");
        assert!(outbox.confirm(outbox.sent()));
        assert_eq!((outbox.owed, outbox.owed_bytes, outbox.bytes), (0, 0, 0));
    }

    #[test]
    fn a_confirmed_outbox_owns_no_memory() {
        let mut outbox = Outbox::default();
        outbox.push(Kept::new(Bytes::from_static(b"x"), Source::Inbox));
        assert!(outbox.confirm(1));
        assert_eq!(outbox.kept.capacity(), 0);
    }
}
