//! A reading of the whole server, for `/metrics` and `/api/v1/stats`.
//!
//! Hubs count on their own threads; a reading asks them for a report, adds these up, and looks at
//! what the other parts of the server count. Only whoever reads pays for it.

mod apps;
mod cluster;
mod process;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tidings_api::Api;
use tidings_api::metrics::{Meters, Metric, Reading};
use tidings_hub::Apps;
use tidings_hub::counts::{ByName, Histogram, LIVE_CHECKS, Tally};
use tidings_hub::ids::HubId;
use tidings_store::{
    QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX, QUEUE_OPERATIONS_MAX, Status as StoreStatus, Submitter,
};
use tidings_webhooks::Webhooks;
use tidings_wire::names::AppId;

use self::apps::AppFigures;
pub(crate) use self::process::Disk;
use crate::clock::Clock;
use crate::cluster::Membership;
use crate::gate::Gate;
use crate::http::MediaDoor;
use crate::mailbox::{CALLS_DEPTH_MAX, INBOX_DEPTH_MAX, Mailbox};
use crate::mailboxes::reports_within;
use crate::readiness::{Readiness, Reason};
use crate::report::HubReport;

/// How long a hub may take to report: a turn takes milliseconds.
const REPORT_WAIT: Duration = Duration::from_secs(1);

/// Under which name all apps are counted that have no place of their own.
const OTHER: &str = "other";

/// Causes of gaps. Source: `GapCause` of the protocol, those that this server tells.
const GAP_CAUSES: [&str; 5] = [
    "buffer_overflow",
    "inbox_expired",
    "inbox_overflow",
    "node_link",
    "storage_damage",
];

/// What a reading looks at.
pub(crate) struct NodeMeters {
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) store: Submitter,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) media: Arc<MediaDoor>,
    pub(crate) webhooks: Webhooks,
    pub(crate) clock: Clock,
    /// Bytes below which the process stays; `None` = it has no bound.
    pub(crate) memory_max: Option<u64>,
    /// Bytes that each hub may keep for its clients.
    pub(crate) replay_bytes_max: usize,
    /// Where stored data are; `None` = in memory.
    pub(crate) disk: Option<Disk>,
    /// The node's place in its cluster; `None` = it is alone.
    pub(crate) membership: Option<Arc<Membership>>,
    /// Most strangers at a time.
    pub(crate) strangers_max: usize,
    /// Which has these meters: it must not keep itself alive by them.
    pub(crate) api: Weak<Api>,
    pub(crate) state: Mutex<State>,
}

/// What one reading leaves for the next.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The last report of each hub: one that is silent is told as it was, or its counters would
    /// seem to begin anew. Bound: the hubs.
    reports: BTreeMap<HubId, HubReport>,
    /// The apps that have a place of their own, which they keep.
    places: Tally<()>,
}

impl State {
    /// The name under which an app is counted.
    fn name<'a>(&mut self, app: &'a AppId, apps: &Apps) -> &'a str {
        let is_listed = || apps.listed.contains_key(app);
        if self.places.place(app, is_listed).is_single() {
            app.as_str()
        } else {
            OTHER
        }
    }
}

impl Meters for NodeMeters {
    fn read(&self) -> Reading {
        // One reading at a time: however many ask, hubs are asked no faster than they answer.
        let mut state = self.state();
        let asked = Instant::now();
        let reports = reports_within(&self.mailboxes, REPORT_WAIT);
        tracing::trace!(took_us = asked.elapsed().as_micros(), "hubs have reported");
        let silent = self.mailboxes.len() - reports.len();
        for report in reports {
            state.reports.insert(report.cell.hub, report);
        }
        let mut reading = Reading::default();
        self.read_node(silent, &mut reading);
        self.read_store(&self.store.status(), &mut reading);
        self.read_hubs(&state, &mut reading);
        if let Some(membership) = &self.membership {
            cluster::read(membership, state.reports.values(), &mut reading);
        }
        self.read_apps(&mut state, &mut reading);
        self.read_doors(&state, &mut reading);
        reading
    }

    fn name_of(&self, app: &AppId) -> Option<String> {
        let apps = self.media.apps();
        let mut state = self.state();
        let name = state.name(app, &apps);
        (name != OTHER).then(|| name.to_owned())
    }
}

impl NodeMeters {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_node(&self, silent: usize, reading: &mut Reading) {
        let version = env!("CARGO_PKG_VERSION");
        reading.add(Metric::BuildInfo, &[version], 1_u64);
        let troubles = self.readiness.troubles();
        let mut is_ready = true;
        for reason in Reason::ALL {
            let is_so = troubles.iter().any(|trouble| trouble.reason == reason);
            is_ready &= !(is_so && reason.is_serious());
            reading.add(Metric::Trouble, &[reason.name()], is_so);
        }
        reading.add(Metric::Ready, &[], is_ready);
        let end_s = self.readiness.certificate_end_s();
        let end_s = end_s.and_then(|end_s| u64::try_from(end_s).ok());
        reading.add_known(Metric::CertificateEndSeconds, &[], end_s);
        process::read(&self.clock, reading);
        reading.add_known(Metric::MemoryMaxBytes, &[], self.memory_max);
        if let Some(disk) = &self.disk {
            disk.read(reading);
        }
        // On a cluster, what is stored is on one node.
        let is_relaxed = self.disk.is_none() || self.membership.is_some();
        reading.add(Metric::DurabilityRelaxed, &[], is_relaxed);
        reading.add(Metric::Hubs, &[], self.mailboxes.len());
        reading.add(Metric::HubsSilent, &[], silent);
        let replay_max = (self.replay_bytes_max < usize::MAX).then_some(self.replay_bytes_max);
        reading.add_known(Metric::ReplayMaxBytes, &[], replay_max);
    }

    fn read_store(&self, status: &StoreStatus, reading: &mut Reading) {
        reading.add(Metric::FsyncSeconds, &[], status.groups_took);
        reading.add(Metric::StoreOperations, &[], status.operations);
        reading.add(Metric::StoreRefused, &[], status.refused);
        let busy = Duration::from_micros(status.busy_us).as_secs_f64();
        reading.add(Metric::StoreBusySeconds, &[], busy);
        let operations = status.queued_operations - status.queued_events;
        let mut queue = |name, length: usize, max: usize| {
            reading.add(Metric::QueueLength, &[name], length);
            reading.add(Metric::QueueMax, &[name], max);
        };
        queue("store_operations", operations, QUEUE_OPERATIONS_MAX);
        queue("store_bytes", status.queued_bytes, QUEUE_BYTES_MAX);
        queue("store_events", status.queued_events, QUEUE_EVENTS_MAX);
    }

    fn read_hubs(&self, state: &State, reading: &mut Reading) {
        let reports = || state.reports.values();
        let mut sums = Sums::default();
        for report in reports() {
            let hub = report.cell.hub.hub.to_string();
            let labels = &[hub.as_str()][..];
            let cell = &report.cell;
            reading.add(Metric::EventloopLagSeconds, labels, report.turns);
            reading.add(Metric::Sockets, labels, report.connections);
            reading.add(Metric::SocketsAccepted, labels, report.connections_made);
            reading.add(Metric::FramesReceived, labels, cell.counts.frames_received);
            reading.add(Metric::FramesSent, labels, cell.counts.frames_sent);
            reading.add(Metric::ReplayBytes, labels, cell.sizes.replay_bytes);
            sums.add(report);
        }
        reading.add(Metric::RequestSeconds, &[], sums.requests);
        reading.add(Metric::MessageWriteSeconds, &[], sums.messages);
        reading.add(Metric::DuplicateSuppressed, &[], sums.duplicates);
        reading.add(Metric::SlowConsumer, &[], sums.slow_consumers);
        reading.add(Metric::GhostSwept, &[], sums.ghosts);
        reading.add(Metric::ClockJumps, &[], sums.clock_jumps);
        add_names(reading, Metric::ConnectionsClosed, &[], &sums.ends);
        add_names(reading, Metric::Gap, &GAP_CAUSES, &sums.gaps);
        let check = Metric::InvariantViolation;
        add_names(reading, check, &LIVE_CHECKS, &sums.violations);
        reading.add(Metric::Strangers, &[], sums.strangers);
        let longest = |of: fn(&HubReport) -> usize| reports().map(of).max().unwrap_or(0);
        let mut queue = |name, length: usize, max: usize| {
            reading.add(Metric::QueueLength, &[name], length);
            reading.add(Metric::QueueMax, &[name], max);
        };
        let inbox = longest(|report| report.inbox_length);
        queue("hub_inbox", inbox, INBOX_DEPTH_MAX);
        let calls = longest(|report| report.open_calls);
        queue("api_calls", calls, CALLS_DEPTH_MAX);
        let strangers = usize::try_from(sums.strangers).unwrap_or(usize::MAX);
        queue("strangers", strangers, self.strangers_max);
    }

    fn read_apps(&self, state: &mut State, reading: &mut Reading) {
        let apps = self.media.apps();
        let mut figures = BTreeMap::<String, AppFigures>::new();
        // Taken out, because names are given while they are looked at.
        let reports = std::mem::take(&mut state.reports);
        for report in reports.values() {
            let cell = &report.cell;
            for (app, counts) in cell.apps.apps() {
                of_app(&mut figures, state.name(app, &apps))
                    .counts
                    .add(counts);
            }
            of_app(&mut figures, OTHER).counts.add(cell.apps.others());
            for (app, channels) in cell.channels.apps() {
                of_app(&mut figures, state.name(app, &apps)).channels += channels;
            }
            of_app(&mut figures, OTHER).channels += cell.channels.others();
            let refusals = &report.doors.login_refusals;
            for (app, refused) in refusals.apps() {
                let figures = of_app(&mut figures, state.name(app, &apps));
                figures.login_refusals.merge(refused);
            }
            let others = of_app(&mut figures, OTHER);
            others.login_refusals.merge(refusals.others());
        }
        state.reports = reports;
        for (app, bytes) in self.media.stored() {
            of_app(&mut figures, state.name(&app, &apps)).media_bytes += bytes;
        }
        let refusals = self.media.refusals();
        for (app, refused) in refusals.apps() {
            let figures = of_app(&mut figures, state.name(app, &apps));
            figures.counts.refusals.merge(refused);
        }
        let others = &mut of_app(&mut figures, OTHER).counts;
        others.refusals.merge(refusals.others());
        let over_quota = self.store.status().quota_refusals;
        for (app, refused) in over_quota.apps() {
            let refusals = &mut of_app(&mut figures, state.name(app, &apps)).counts.refusals;
            refusals.add("max_bytes", *refused);
        }
        let others = &mut of_app(&mut figures, OTHER).counts;
        others.refusals.add("max_bytes", *over_quota.others());
        for (app, webhooks) in self.webhooks.figures() {
            let app = AppId::parse(&app).ok();
            let name = app.as_ref().map_or(OTHER, |app| state.name(app, &apps));
            of_app(&mut figures, name).add_webhooks(webhooks);
        }
        for (name, figures) in &figures {
            figures.read(name, reading);
        }
        if let Some(api) = self.api.upgrade() {
            let name = |app: Option<&AppId>| {
                let name = app.map_or(OTHER, |app| state.name(app, &apps));
                name.to_owned()
            };
            api.read_calls(name, reading);
        }
    }

    fn read_doors(&self, state: &State, reading: &mut Reading) {
        for (limit, count) in self.gate.refusals() {
            reading.add(Metric::SocketsRefused, &[limit], count);
        }
        let given_up = state.reports.values().map(|report| report.doors.given_up);
        let given_up = given_up.sum::<u64>();
        reading.add(Metric::SocketsRefused, &["given_up"], given_up);
        let (received, sent) = self.media.transferred();
        reading.add(Metric::MediaTransferredBytes, &["in"], received);
        reading.add(Metric::MediaTransferredBytes, &["out"], sent);
    }
}

fn of_app<'a>(figures: &'a mut BTreeMap<String, AppFigures>, name: &str) -> &'a mut AppFigures {
    if !figures.contains_key(name) {
        figures.insert(name.to_owned(), AppFigures::default());
    }
    figures.get_mut(name).expect("it is there by now")
}

/// Adds a sample for each name: those that are always told, and whatever else was counted.
fn add_names(reading: &mut Reading, metric: Metric, always: &[&'static str], counts: &ByName) {
    let mut all = counts.clone();
    for name in always {
        all.mention(name);
    }
    for (name, count) in all.iter() {
        reading.add(metric, &[name], count);
    }
}

/// What all hubs have counted together.
#[derive(Debug, Default)]
struct Sums {
    requests: Histogram,
    messages: Histogram,
    duplicates: u64,
    slow_consumers: u64,
    ghosts: u64,
    clock_jumps: u64,
    strangers: u64,
    ends: ByName,
    gaps: ByName,
    violations: ByName,
}

impl Sums {
    fn add(&mut self, report: &HubReport) {
        let (cell, counts) = (&report.cell, &report.cell.hub_counts);
        self.requests.add(&report.requests);
        self.messages.add(&report.messages);
        self.duplicates += counts.duplicates;
        self.slow_consumers += counts.slow_consumers;
        self.ghosts += counts.ghosts;
        // Every hub sees the same clock.
        self.clock_jumps = self.clock_jumps.max(cell.sizes.clock_jumps);
        self.strangers += strangers(report);
        self.ends.merge(&cell.counts.ends);
        self.gaps.merge(&counts.gaps);
        self.violations.merge(&counts.violations);
    }
}

/// WebSockets of a hub on which nobody is logged in.
fn strangers(report: &HubReport) -> u64 {
    let tally = &report.cell.apps;
    let counts = tally.apps().iter().map(|(_, counts)| counts);
    let logged_in = counts.chain([tally.others()]);
    let logged_in = logged_in.map(|of| of.native.connections + of.legacy.connections);
    (report.cell.sizes.connections as u64).saturating_sub(logged_in.sum())
}
