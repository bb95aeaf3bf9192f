//! An outbox in a snapshot.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tidings_fault::fault;
use tidings_wire::names::{AppId, ChannelName, NameRule};

use crate::ids::ChannelKey;
use crate::kernel::outbox::{Gauge, Kept, Outbox, Run, Source};
use crate::snapshot::record::{
    KeptRecord, LossRecord, NUMBER_MAX, OutboxRecord, RunRecord, SourceRecord,
};

impl Source {
    fn to_record(&self) -> SourceRecord {
        let (kind, channel) = match self {
            Source::Call => (0, String::new()),
            Source::Inbox => (1, String::new()),
            Source::Channel(key) => (2, key.channel.to_string()),
            Source::Withdrawn => (3, String::new()),
        };
        SourceRecord { kind, channel }
    }

    fn from_record(app: &AppId, record: Option<SourceRecord>) -> Option<Self> {
        let record = record.unwrap_or_default();
        Some(match record.kind {
            0 => Source::Call,
            1 => Source::Inbox,
            2 => Source::Channel(Arc::new(ChannelKey {
                app: app.clone(),
                channel: ChannelName::parse_by(NameRule::Wide, &record.channel).ok()?,
            })),
            3 => Source::Withdrawn,
            _ => return None,
        })
    }
}

fn to_kept(sseq: u64, kept: &Kept) -> KeptRecord {
    KeptRecord {
        sseq,
        frame: kept.frame.clone(),
        source: Some(kept.source.to_record()),
    }
}

fn from_kept(app: &AppId, record: KeptRecord, gauge: &Gauge) -> Option<(u64, Rc<Kept>)> {
    let source = Source::from_record(app, record.source)?;
    Some((record.sseq, Kept::counted(record.frame, source, gauge)))
}

/// Whether no source has lost less than is told of it in detail.
fn is_run_sound(run: &RunRecord) -> bool {
    let lost = run.losses.iter();
    let is_told = |loss: &LossRecord| {
        let told = run.detail.iter();
        let told = told.filter(|source| Some(*source) == loss.source.as_ref());
        (told.count() as u64..=run.count).contains(&loss.count)
    };
    run.detail.len() as u64 <= run.count && lost.clone().all(is_told)
}

impl Outbox {
    pub(crate) fn to_record(&self) -> OutboxRecord {
        let run = |run: &Run| RunRecord {
            first: run.first,
            count: run.count,
            losses: (run.losses.iter())
                .map(|(source, count)| LossRecord {
                    source: Some(source.to_record()),
                    count: *count,
                })
                .collect(),
            detail: run.detail.iter().map(Source::to_record).collect(),
        };
        OutboxRecord {
            sent: self.sent,
            confirmed: self.confirmed,
            kept: ((self.first_kept()..).zip(&self.kept))
                .take(
                    self.kept.len()
                        - usize::from(fault!(SnapshotForgetsLastFrame) && !self.kept.is_empty()),
                )
                .map(|(sseq, kept)| to_kept(sseq, kept))
                .collect(),
            replies: (self.replies.iter())
                .map(|(sseq, kept)| to_kept(*sseq, kept))
                .collect(),
            runs: self.runs.iter().map(run).collect(),
        }
    }

    /// Whether numbers and counts fit each other as this version writes them: what follows reckons
    /// with them.
    fn is_sound(record: &OutboxRecord) -> bool {
        let held = record.kept.len() as u64;
        let unconfirmed = record.sent.checked_sub(record.confirmed);
        if record.sent > NUMBER_MAX || unconfirmed.is_none_or(|count| count < held) {
            return false;
        }
        let first_kept = record.sent + 1 - held;
        let has_no_holes = (first_kept..)
            .zip(&record.kept)
            .all(|(sseq, kept)| kept.sseq == sseq);
        let mut next = record.confirmed + 1;
        let are_in_order = record.replies.iter().all(|reply| {
            let fits = (next..first_kept).contains(&reply.sseq);
            next = reply.sseq.saturating_add(1);
            fits
        });
        let mut next = record.confirmed + 1;
        let do_not_meet = record.runs.iter().all(|run| {
            let end = run.first.saturating_add(run.count);
            let fits = run.count > 0 && run.first >= next && end <= first_kept;
            next = end;
            fits && is_run_sound(run)
        });
        has_no_holes && are_in_order && do_not_meet
    }

    /// `None`: a record that this version has not written.
    pub(crate) fn from_record(app: &AppId, record: OutboxRecord, gauge: &Gauge) -> Option<Self> {
        if !Self::is_sound(&record) {
            return None;
        }
        let entry = |record| from_kept(app, record, gauge);
        let kept = record.kept.into_iter().map(|kept| Some(entry(kept)?.1));
        let kept: VecDeque<Rc<Kept>> = kept.collect::<Option<_>>()?;
        let replies = record.replies.into_iter().map(entry);
        let replies: VecDeque<(u64, Rc<Kept>)> = replies.collect::<Option<_>>()?;
        let run = |run: RunRecord| {
            let losses = run.losses.into_iter().map(|loss| {
                let source = Source::from_record(app, loss.source)?;
                Some((source, loss.count))
            });
            let detail = run.detail.into_iter();
            Some(Run {
                first: run.first,
                count: run.count,
                losses: losses.collect::<Option<_>>()?,
                detail: detail
                    .map(|source| Source::from_record(app, Some(source)))
                    .collect::<Option<_>>()?,
            })
        };
        let all = || kept.iter().chain(replies.iter().map(|(_, kept)| kept));
        let owed = || all().filter(|kept| kept.source.is_owed());
        Some(Self {
            sent: record.sent,
            confirmed: record.confirmed,
            bytes: kept.iter().map(|kept| kept.frame.len()).sum(),
            owed: owed().count(),
            owed_bytes: owed().map(|kept| kept.frame.len()).sum(),
            runs: record.runs.into_iter().map(run).collect::<Option<_>>()?,
            kept,
            replies,
            gauge: gauge.clone(),
        })
    }
}
