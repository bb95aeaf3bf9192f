//! The thread that looks after a running server: it measures memory, takes what operators change,
//! and ends everything in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidings_api::Api;
use tidings_hub::Snapshot;
use tidings_hub::ids::HubId;
use tidings_store::Committer;

use crate::api::ApiPort;
use crate::clock::Clock;
use crate::cluster::Lessee;
use crate::commands::{Command, Ended};
use crate::key_sets::{AppsPlace, KeySets};
use crate::mailbox::{Envelope, Mailbox};
use crate::mailboxes::{reports_within, settle, tell};
use crate::memory::{Watch, give_back_freed, memory_allocated, memory_used};
use crate::readiness::{Phase, Readiness};
use crate::storage::stored_bounds;
use crate::tls::Tls;
use crate::webhooks::WebhooksThread;
use crate::worker::Node;
use crate::{http, kept_sessions};

/// How long connections may take to end in a drain, after the last client was sent away. With the
/// window for that and the wait for what is under way, it stays below the 30 s of contract 4.5.
pub(crate) const DRAIN: Duration = Duration::from_secs(6);

/// How long a node that has sent its clients away waits for their sessions to move: clients connect
/// to another node at once.
const MOVES: Duration = Duration::from_secs(3);

/// How often a node that has sent its clients away looks whether their sessions have moved.
const LOOK: Duration = Duration::from_millis(50);

/// How long hubs may take to say how many sessions they have.
const REPORT: Duration = Duration::from_secs(1);

/// How often the supervisor wakes where memory is not measured.
const UNMEASURED: Duration = Duration::from_secs(60);

pub(crate) struct Supervisor {
    /// How long connections may take to end, in milliseconds.
    pub(crate) drain: Duration,
    /// Where sessions are kept for the next process; `None` = nowhere.
    pub(crate) directory: Option<PathBuf>,
    /// `None` = the amount of memory is unknown.
    pub(crate) memory: Option<Watch>,
    pub(crate) tls: Option<Tls>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) workers: Vec<JoinHandle<Option<Snapshot>>>,
    pub(crate) all_drained: Receiver<HubId>,
    pub(crate) node: Arc<Node>,
    pub(crate) media: Arc<http::MediaDoor>,
    pub(crate) api: Arc<Api>,
    pub(crate) api_port: Option<ApiPort>,
    pub(crate) place: Arc<AppsPlace>,
    pub(crate) key_sets: KeySets,
    pub(crate) webhooks: WebhooksThread,
    pub(crate) http_thread: JoinHandle<()>,
    pub(crate) committer: Committer,
    /// Holds the node's place in its cluster; `None` = it is alone.
    pub(crate) lessee: Option<Lessee>,
}

/// Waits until a server that is drained is told to end, or is left by all who could say it.
fn wait_for_end(commands: &Receiver<Command>) {
    for command in commands {
        match command {
            Command::Drain | Command::Over => return,
            Command::Apps(_, told) | Command::Bans(told) => {
                let _ = told.send(());
            }
            Command::Certificate(told) => {
                let _ = told.send(Ok(()));
            }
            Command::Empty | Command::LegacyRules(_) => {}
        }
    }
}

impl Supervisor {
    pub(crate) fn run(mut self, commands: &Receiver<Command>) -> Ended {
        let stays = self.serve(commands);
        let begin = Instant::now();
        self.drain(begin);
        if stays {
            tracing::info!("drained: the node is empty, and ends when it is told to");
            wait_for_end(commands);
        }
        let ended = self.finish();
        tracing::info!(took_ms = begin.elapsed().as_millis(), "ended");
        ended
    }

    /// Looks after the server until it is to drain. Returns whether it is to stay when it is empty.
    fn serve(&mut self, commands: &Receiver<Command>) -> bool {
        // Drains also when nobody is left who could say it.
        loop {
            let mut wait = self.look_at_memory();
            if let Some(tls) = &mut self.tls {
                wait = wait.min(tls.look());
                let end_s = tls.end_s().unwrap_or(i64::MAX);
                self.readiness.note_certificate(end_s);
            }
            self.readiness.look_at_clock(self.node.clock.now());
            match commands.recv_timeout(wait) {
                Ok(Command::Apps(apps, told)) => {
                    let apps = self.place.replace(&apps);
                    self.committer.set_bounds(stored_bounds(&apps));
                    self.key_sets.look(&apps);
                    let _ = told.send(());
                }
                Ok(Command::Bans(told)) => {
                    self.place.apply_bans();
                    let _ = told.send(());
                }
                Ok(Command::LegacyRules(rules)) => self.node.legacy.replace_rules(rules),
                Ok(Command::Certificate(told)) => {
                    let read = self.tls.as_mut().map_or(Ok(()), Tls::reload);
                    let _ = told.send(read);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Empty) => return true,
                Ok(Command::Drain | Command::Over) | Err(RecvTimeoutError::Disconnected) => {
                    return false;
                }
            }
        }
    }

    /// Sends all clients away, and lets nobody in.
    fn drain(&self, begin: Instant) {
        // Nobody measures from now on.
        self.node.intake.allow(usize::MAX);
        self.readiness.advance(Phase::Draining);
        if let Some(lessee) = &self.lessee {
            lessee.drain();
        }
        tracing::info!("draining");
        self.tell(|| Envelope::Drain);
        for _ in &self.workers {
            let left = self.drain.saturating_sub(begin.elapsed());
            if self.all_drained.recv_timeout(left).is_err() {
                tracing::warn!("connections are cut that did not end in time");
                break;
            }
        }
        if self.lessee.as_ref().is_some_and(|it| !it.is_over()) {
            self.wait_for_moves(begin);
        }
    }

    /// Waits until sessions have been fetched by the nodes where their clients are now; not for
    /// clients that do not come back soon.
    fn wait_for_moves(&self, begin: Instant) {
        let sessions = || {
            let reports = reports_within(&self.mailboxes, REPORT);
            reports
                .iter()
                .map(|it| it.cell.sizes.sessions)
                .sum::<usize>()
        };
        let left = self.drain.saturating_sub(begin.elapsed());
        let until = Instant::now() + left.min(MOVES);
        while Instant::now() < until && sessions() > 0 {
            std::thread::sleep(LOOK);
        }
    }

    /// Ends everything in order.
    fn finish(self) -> Ended {
        let is_settled = self.directory.is_some() && settle(&self.mailboxes);
        self.tell(|| Envelope::Stop);
        let mut snapshots = Vec::new();
        for worker in self.workers {
            // A panic in a hub's thread ends the process.
            snapshots.extend(worker.join().ok().flatten());
        }
        // Order: what they write down is the last that the store is given by anybody but callers.
        self.webhooks.stop();
        // Order: no hub is left that could hand anything in.
        self.committer.close();
        if let Some(directory) = self.directory {
            keep(&directory, self.node.clock, is_settled, &snapshots);
        }
        // Order: nothing is written any more, and the other nodes are told at once.
        let ended = match self.lessee {
            Some(lessee) if lessee.is_over() => Ended::Over,
            Some(lessee) => {
                lessee.leave();
                Ended::Stopped
            }
            None => Ended::Stopped,
        };
        self.key_sets.end();
        drop(self.place);
        drop(self.node);
        drop(self.media);
        drop(self.api);
        if let Some(port) = self.api_port {
            port.stop();
        }
        if self.http_thread.join().is_err() {
            tracing::error!("the HTTP thread panicked");
        }
        ended
    }

    /// Tells the hubs how short memory is; returns how long to wait for the next measurement.
    fn look_at_memory(&mut self) -> Duration {
        let Some((watch, mut used)) = self.memory.as_mut().zip(memory_used()) else {
            return UNMEASURED;
        };
        let mut allocated = used;
        if watch.is_tense(used) {
            give_back_freed();
            used = memory_used().unwrap_or(used);
            allocated = memory_allocated().unwrap_or(used);
        }
        let wait = watch.interval(used);
        self.node.intake.allow(watch.intake(used));
        let news = watch.judge(used, allocated);
        self.readiness.note_memory(watch.is_short());
        if let Some(pressure) = news {
            self.tell(|| Envelope::Memory(pressure));
        }
        wait
    }

    fn tell(&self, envelope: impl Fn() -> Envelope) {
        tell(&self.mailboxes, envelope);
    }
}
/// Saves the sessions for the next process.
fn keep(directory: &Path, clock: Clock, is_settled: bool, snapshots: &[Snapshot]) {
    if !is_settled {
        tracing::warn!("sessions are not kept: not everything under way came to an end in time");
        return;
    }
    let sessions: usize = snapshots.iter().map(Snapshot::sessions).sum();
    match kept_sessions::write(directory, clock.now().unix_ms, snapshots) {
        Ok(()) => tracing::info!(sessions, "sessions are kept for the next start"),
        Err(error) => tracing::warn!(%error, "sessions cannot be kept; clients will log in anew"),
    }
}
