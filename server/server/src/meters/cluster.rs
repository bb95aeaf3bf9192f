//! What a node of a cluster counts: its place, its hubs' connections to NATS, the live path.

use tidings_api::metrics::{Metric, Reading};
use tidings_cluster::LiveCounts;
use tidings_nats::outbox::QUEUE_BYTES_MAX;

use crate::cluster::Membership;
use crate::report::HubReport;

/// Adds what is known of the cluster.
pub(super) fn read<'a>(
    membership: &Membership,
    reports: impl Iterator<Item = &'a HubReport>,
    reading: &mut Reading,
) {
    let (failed, lost) = membership.counts();
    reading.add(Metric::ClusterNodes, &[], membership.living());
    reading.add(Metric::ClusterIsolated, &[], membership.trouble().is_some());
    reading.add(Metric::ClusterRenewalsFailed, &[], failed);
    reading.add(Metric::ClusterNodesLost, &[], lost);
    let mut links = Links::default();
    for report in reports {
        links.add(report);
    }
    links.read(reading);
}

/// All hubs together.
#[derive(Debug, Default)]
struct Links {
    up: u64,
    made: u64,
    queued: usize,
    complaints: u64,
    unsent: u64,
    passed_over: u64,
    subscriptions: u64,
    sent: u64,
    received: u64,
    missed: u64,
    asked: u64,
    nobody: u64,
    refused: u64,
    /// By cause; see [`causes`].
    dropped: [u64; CAUSES],
}

/// How many causes there are for which something that arrived is dropped.
const CAUSES: usize = 8;

/// What was dropped, by cause.
fn causes(counts: &LiveCounts) -> [(&'static str, u64); CAUSES] {
    [
        ("mac", counts.dropped_mac),
        ("version", counts.dropped_version),
        ("malformed", counts.dropped_malformed),
        ("topic", counts.dropped_topic),
        ("stale", counts.dropped_stale),
        ("repeated", counts.dropped_repeated),
        ("unwanted", counts.dropped_unwanted),
        ("parts", counts.dropped_parts),
    ]
}

impl Links {
    fn add(&mut self, report: &HubReport) {
        if let Some(link) = &report.link {
            self.up += u64::from(link.is_up);
            self.made += link.ups;
            self.queued = self.queued.max(link.queued);
            self.complaints += link.complaints;
            self.unsent += link.unsent;
            self.passed_over += link.passed_over;
        }
        let Some(live) = &report.live else { return };
        self.subscriptions += live.subscriptions;
        self.sent += live.sent;
        self.received += live.received;
        self.unsent += live.unsent + live.too_long;
        self.missed += live.missed;
        self.asked += live.asked;
        self.nobody += live.nobody;
        self.refused += live.asks_refused;
        for (sum, (_, count)) in self.dropped.iter_mut().zip(causes(live)) {
            *sum += count;
        }
    }

    fn read(&self, reading: &mut Reading) {
        reading.add(Metric::ClusterLinks, &[], self.up);
        reading.add(Metric::ClusterLinksMade, &[], self.made);
        reading.add(Metric::ClusterLinkComplaints, &[], self.complaints);
        reading.add(Metric::QueueLength, &["nats_bytes"], self.queued);
        reading.add(Metric::QueueMax, &["nats_bytes"], QUEUE_BYTES_MAX);
        reading.add(Metric::ClusterSubscriptions, &[], self.subscriptions);
        reading.add(Metric::ClusterEnvelopes, &["out"], self.sent);
        reading.add(Metric::ClusterEnvelopes, &["in"], self.received);
        reading.add(Metric::ClusterUnsent, &[], self.unsent);
        reading.add(Metric::ClusterMissed, &[], self.missed);
        reading.add(Metric::ClusterAsks, &["asked"], self.asked);
        reading.add(Metric::ClusterAsks, &["nobody"], self.nobody);
        reading.add(Metric::ClusterAsks, &["refused"], self.refused);
        let names = causes(&LiveCounts::default());
        for ((cause, _), count) in names.into_iter().zip(self.dropped) {
            reading.add(Metric::ClusterDropped, &[cause], count);
        }
        reading.add(Metric::ClusterDropped, &["too_large"], self.passed_over);
    }
}
