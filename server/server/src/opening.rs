//! The last stage of a start: sessions of the process before, then clients.

use std::path::Path;
use std::sync::Arc;

use tidings_hub::{Apps, Snapshot};

use crate::bounds::HUBS_MAX;
use crate::clock::Clock;
use crate::kept_sessions;
use crate::mailbox::{Envelope, Mailbox};
use crate::mailboxes::{ROUNDS, round, tell};

/// Gives the hubs what the process before has left, then lets clients in.
pub(crate) fn open_doors(
    directory: Option<&Path>,
    mailboxes: &[Arc<Mailbox>],
    apps: &Arc<Apps>,
    clock: Clock,
) {
    let hubs = u16::try_from(mailboxes.len()).unwrap_or(HUBS_MAX);
    let unix_ms = clock.now().unix_ms;
    let kept = directory.and_then(|directory| kept_sessions::take(directory, unix_ms, hubs));
    if let Some(snapshots) = kept {
        restore(mailboxes, snapshots, apps);
    }
    let boot = clock.boot();
    tell(mailboxes, || Envelope::Load { hubs, boot });
    tell(mailboxes, || Envelope::Open);
}
/// Gives each hub its sessions back, lets all of them know where everybody is, and ends the
/// sessions of those who have been banned, or whose app is served no longer, since the process
/// before had its tenants.
fn restore(mailboxes: &[Arc<Mailbox>], snapshots: Vec<Snapshot>, apps: &Arc<Apps>) {
    let sessions: usize = snapshots.iter().map(Snapshot::sessions).sum();
    for snapshot in snapshots {
        let hub = snapshot.hub().index();
        if let Some(mailbox) = mailboxes.get(hub) {
            mailbox.post(vec![Envelope::Restore(Box::new(snapshot))]);
        }
    }
    for _ in 0..ROUNDS {
        round(mailboxes);
    }
    tell(mailboxes, || Envelope::Apps(apps.clone()));
    tracing::info!(sessions, "sessions of the process before go on");
}
