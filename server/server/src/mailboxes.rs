//! What is told to all hubs of a node and asked of all of them, by way of their mailboxes.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::mailbox::{Envelope, Mailbox};
use crate::report::HubReport;

/// How long what is under way between hubs, store and senders may take in a drain.
const SETTLE: Duration = Duration::from_secs(3);

/// Rounds in which every hub has had its turn: a word to another hub takes two, by way of its
/// topic's home.
pub(crate) const ROUNDS: usize = 3;

/// The reports of those hubs that answer in time.
pub(crate) fn reports_within(mailboxes: &[Arc<Mailbox>], limit: Duration) -> Vec<HubReport> {
    let deadline = Instant::now() + limit;
    let (to, reports) = channel();
    tell(mailboxes, || Envelope::Report(to.clone()));
    drop(to);
    let next = |_: &Arc<Mailbox>| {
        let left = deadline.saturating_duration_since(Instant::now());
        reports.recv_timeout(left).ok()
    };
    mailboxes.iter().map_while(next).collect()
}

/// Posts the envelope to every hub.
pub(crate) fn tell(mailboxes: &[Arc<Mailbox>], envelope: impl Fn() -> Envelope) {
    for mailbox in mailboxes {
        mailbox.post(vec![envelope()]);
    }
}

/// Gives every hub a turn. Returns whether nothing is in progress in any of them.
pub(crate) fn round(mailboxes: &[Arc<Mailbox>]) -> bool {
    let (to, reports) = channel();
    tell(mailboxes, || Envelope::Report(to.clone()));
    let report = || {
        let report: Result<HubReport, _> = reports.recv_timeout(SETTLE);
        report.is_ok_and(|report| report.cell.is_settled)
    };
    // All of them are waited for, also after one that is not settled.
    (0..mailboxes.len()).fold(true, |all, _| report() && all)
}

/// Waits until operations in progress are complete. Returns whether they are.
pub(crate) fn settle(mailboxes: &[Arc<Mailbox>]) -> bool {
    let begin = Instant::now();
    tell(mailboxes, || Envelope::Settle);
    let mut settled = 0;
    while settled < ROUNDS && begin.elapsed() < SETTLE {
        settled = if round(mailboxes) {
            settled + 1
        } else {
            std::thread::sleep(Duration::from_millis(1));
            0
        };
    }
    settled == ROUNDS
}
