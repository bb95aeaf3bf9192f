//! Opens what a server keeps on its disk, and takes the store's answers to the hubs.

use std::sync::Arc;
use std::time::SystemTime;

use tidings_hub::ids::HubId;
use tidings_hub::store_ops::StoreAnswer;
use tidings_hub::{Apps, Ticket};
use tidings_spans::Kind;
use tidings_store::embedded::{DiskReserve, EmbeddedEngine, Options, Snapshots};
use tidings_store::{AnswerSink, Bounds as StoredBounds, Engine, Health, MemoryEngine};

use crate::config::{ServerConfig, StoreConfig};
use crate::error::StartError;
use crate::mailbox::{Envelope, Mailbox};
use crate::media::{Bounds, Directory, MediaStore};
use crate::meters::Disk;
use crate::readiness::Readiness;

pub(crate) type OpenedEngine = (Box<dyn Engine + Send>, Option<Snapshots>);

/// The store's engine, and who can take snapshots of it; `None` = it is kept in memory.
pub(crate) fn open_engine(config: &ServerConfig) -> Result<OpenedEngine, StartError> {
    Ok(match &config.store {
        StoreConfig::Memory => (Box::new(MemoryEngine::default()), None),
        StoreConfig::Directory(path) => {
            let mut options = Options {
                disk_reserve: config.disk_reserve,
                ..Options::default()
            };
            if let Some(max) = config.memory_max {
                // Small machines get small caches: half of an idle server's share at most.
                options.cache_bytes = options.cache_bytes.min(max / 16);
                options.memtable_bytes_max = options.memtable_bytes_max.min(max / 64).max(1 << 20);
            }
            let engine = EmbeddedEngine::open(path, &options)?;
            let snapshots = engine.snapshots();
            (Box::new(engine), Some(snapshots))
        }
    })
}

/// Where stored data are.
pub(crate) fn disk_of(store: &StoreConfig, reserve: DiskReserve) -> Option<Disk> {
    match store {
        StoreConfig::Memory => None,
        StoreConfig::Directory(path) => Some(Disk {
            path: path.clone(),
            reserve,
        }),
    }
}

/// Where uploaded files are kept; `None` = nowhere.
pub(crate) fn open_media(config: &ServerConfig) -> Result<Option<Arc<dyn MediaStore>>, StartError> {
    let StoreConfig::Directory(path) = &config.store else {
        return Ok(None);
    };
    let path = path.join("media");
    let bounds = Bounds {
        keep_s: config.media.keep_s,
        bytes_max: config.media.bytes_max,
        disk_reserve: config.disk_reserve,
    };
    match Directory::open(&path, bounds) {
        Ok(directory) => Ok(Some(Arc::new(directory))),
        Err(source) => Err(StartError::Media { path, source }),
    }
}

/// How many bytes each app may store, where it has a quota.
pub(crate) fn stored_bounds(apps: &Apps) -> StoredBounds {
    let quotas = apps.listed.keys().map(|app| (app, apps.quotas(app)));
    let bounds = quotas.filter_map(|(app, quotas)| Some((app.clone(), quotas.max_bytes?)));
    bounds.filter(|(_, max)| *max > 0).collect()
}

/// Passes answers to the hubs, and reports the store's state.
pub(crate) struct StoreSink {
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) readiness: Arc<Readiness>,
}

impl AnswerSink for StoreSink {
    fn answers(&self, hub: HubId, answers: Vec<(Ticket, StoreAnswer)>) {
        let envelopes = answers.into_iter();
        let envelopes = envelopes.map(|(ticket, answer)| Envelope::Stored { ticket, answer });
        self.mailboxes[hub.index()].post(envelopes.collect());
    }

    fn health(&self, health: &Health) {
        self.readiness.note_store(&health.access);
    }

    fn committed(&self, operations: usize, began: SystemTime, is_well: bool) {
        if !tidings_spans::is_on() {
            return;
        }
        let operations = i64::try_from(operations).unwrap_or(i64::MAX);
        let noted = [("tidings.operations", operations.into())];
        let failure = (!is_well).then_some("the store does not accept everything");
        tidings_spans::record("store.commit", Kind::Internal, began, &noted, failure);
    }
}
