//! An outbox in a snapshot.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use tidings_wire::names::{AppId, ChannelName, NameRule};

use super::{Gauge, Kept, Outbox, Run, Source};
use crate::ids::ChannelKey;
use crate::snapshot::record::{KeptRecord, LossRecord, OutboxRecord, RunRecord, SourceRecord};

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
                .map(|(sseq, kept)| to_kept(sseq, kept))
                .collect(),
            replies: (self.replies.iter())
                .map(|(sseq, kept)| to_kept(*sseq, kept))
                .collect(),
            runs: self.runs.iter().map(run).collect(),
        }
    }

    /// `None`: a record that this version has not written.
    pub(crate) fn from_record(app: &AppId, record: OutboxRecord, gauge: &Gauge) -> Option<Self> {
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
