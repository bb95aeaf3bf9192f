//! The server-side HTTP API as part of a server: its settings, its way to the hubs, its own port.

pub(crate) mod config;
mod port;

use std::io;
use std::sync::Arc;

use tidings_api::admin::{FileRecord, Files, NoFiles};
use tidings_api::{Hubs, Unavailable};
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_wire::names::{AppId, UserId};
use tokio::sync::oneshot;

pub(crate) use self::port::{ApiPort, PortParts, start, wait_ms};
use crate::config::StoreConfig;
use crate::mailbox::{Asked, Envelope, Mailbox};
use crate::media::{MediaFile, MediaFiles};
use crate::readiness::{Phase, Readiness};

/// The files of users, as the API sees them.
pub(crate) fn files(store: &StoreConfig) -> Arc<dyn Files> {
    match store {
        StoreConfig::Memory => Arc::new(NoFiles),
        StoreConfig::Directory(path) => Arc::new(NodeFiles(MediaFiles::of(path))),
    }
}

struct NodeFiles(MediaFiles);

impl Files for NodeFiles {
    fn list(&self, app: &AppId, user: Option<&UserId>) -> io::Result<Vec<FileRecord>> {
        let files = self.0.list(Some(app), user)?;
        Ok(files.into_iter().map(record).collect())
    }

    fn delete(&self, app: &AppId, id: &str) -> io::Result<bool> {
        self.0.delete(app, id)
    }
}

fn record(file: MediaFile) -> FileRecord {
    FileRecord {
        id: file.id,
        user_id: file.user.map(|user| user.as_str().to_owned()),
        bytes: file.bytes,
        content_type: file.content_type,
        file_name: file.file_name,
        uploaded_ms: file.uploaded_s.saturating_mul(1_000),
    }
}

/// The hubs of this node, as the API asks them.
pub(crate) struct NodeHubs {
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) readiness: Arc<Readiness>,
}

impl Hubs for NodeHubs {
    fn hubs(&self) -> u16 {
        // Bound: `HUBS_MAX`.
        u16::try_from(self.mailboxes.len()).unwrap_or(u16::MAX)
    }

    fn post(
        &self,
        hub: u16,
        call: OutsideCall,
    ) -> Result<oneshot::Receiver<OutsideAnswer>, Unavailable> {
        if self.readiness.phase() != Phase::Ready {
            return Err(Unavailable::Draining);
        }
        let mailbox = &self.mailboxes[usize::from(hub) % self.mailboxes.len()];
        if !mailbox.takes_calls() {
            return Err(Unavailable::Behind);
        }
        let (reply, answer) = oneshot::channel();
        let asked = Asked { call, reply };
        mailbox.post(vec![Envelope::Outside(Box::new(asked))]);
        Ok(answer)
    }
}
