//! The figures of a running server, as `tidings status` shows them.

use serde::{Deserialize, Serialize};
use tidings_server::{AppCounts, HubReport, NodeReport, StoreStatus};

/// Most apps listed one by one: an answer is one line, whose length is bounded.
const APPS_TOLD_MAX: usize = 200;

/// Current figures, and counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) hubs: Vec<HubNumbers>,
    /// Hubs that have not answered in time.
    pub(crate) silent_hubs: usize,
    /// The apps with the most messages come first.
    pub(crate) apps: Vec<AppNumbers>,
    /// Sum of the apps that are not listed.
    pub(crate) other_apps: AppNumbers,
    pub(crate) store: StoreNumbers,
}

/// One hub: counts are since the start, everything else is current.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HubNumbers {
    pub(crate) hub: u16,
    /// Open sockets of any kind.
    pub(crate) sockets: usize,
    /// WebSockets at the hub, logged in or not.
    pub(crate) connections: usize,
    /// How many of these use the legacy protocol.
    pub(crate) legacy_connections: usize,
    /// Sessions that are connected or can be resumed.
    pub(crate) sessions: usize,
    /// Channels with a member on this hub.
    pub(crate) channels: usize,
    /// Topics of the bus whose home is this hub.
    pub(crate) topics: usize,
    /// Unanswered questions to other hubs.
    pub(crate) open_questions: usize,
    /// Unanswered operations of the store.
    pub(crate) open_store_operations: usize,
    /// Kept for clients that have not confirmed them.
    pub(crate) replay_bytes: usize,
    /// Sockets accepted since the start.
    pub(crate) sockets_accepted: u64,
    /// Connections ended since the start.
    pub(crate) connections_ended: u64,
    /// Frames received since the start.
    pub(crate) frames_received: u64,
    /// Frames sent since the start: one for each receiver.
    pub(crate) frames_sent: u64,
    /// Longest time between two waits of the hub's loop.
    pub(crate) longest_turn_ms: u64,
}

impl From<&HubReport> for HubNumbers {
    fn from(report: &HubReport) -> Self {
        let (cell, sizes) = (&report.cell, &report.cell.sizes);
        Self {
            hub: cell.hub.hub,
            sockets: report.connections,
            connections: sizes.connections,
            legacy_connections: cell.legacy_clients,
            sessions: sizes.sessions,
            channels: sizes.channels,
            topics: cell.topics,
            open_questions: sizes.asks,
            open_store_operations: sizes.store_operations,
            replay_bytes: sizes.replay_bytes,
            sockets_accepted: report.connections_made,
            connections_ended: cell.counts.ends.total(),
            frames_received: cell.counts.frames_received,
            frames_sent: cell.counts.frames_sent,
            longest_turn_ms: report.longest_turn_ms,
        }
    }
}

/// What has happened in an app since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppNumbers {
    /// Empty for the sum of all unlisted apps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) app: String,
    pub(crate) logins: u64,
    pub(crate) resumes: u64,
    pub(crate) peer_messages: u64,
    pub(crate) channel_messages: u64,
}

impl AppNumbers {
    fn new(app: &str, counts: &AppCounts) -> Self {
        Self {
            app: app.into(),
            logins: counts.native.logins + counts.legacy.logins,
            resumes: counts.resumes,
            peer_messages: counts.peer.messages,
            channel_messages: counts.channel.messages,
        }
    }
}

/// The store's queue now, and its work since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreNumbers {
    pub(crate) queued_operations: usize,
    pub(crate) queued_bytes: usize,
    /// Groups of operations written together.
    pub(crate) groups: u64,
    pub(crate) operations: u64,
    /// Operations refused because the queue was full.
    pub(crate) refused: u64,
    pub(crate) busy_ms: u64,
    pub(crate) longest_group_ms: u64,
}

impl From<&StoreStatus> for StoreNumbers {
    fn from(status: &StoreStatus) -> Self {
        Self {
            queued_operations: status.queued_operations,
            queued_bytes: status.queued_bytes,
            groups: status.groups,
            operations: status.operations,
            refused: status.refused,
            busy_ms: status.busy_us / 1_000,
            longest_group_ms: status.longest_us.div_ceil(1_000),
        }
    }
}

impl From<&NodeReport> for Numbers {
    fn from(report: &NodeReport) -> Self {
        let (mut apps, mut others) = report.apps();
        let left_out = apps.split_off(apps.len().min(APPS_TOLD_MAX));
        for (_, counts) in left_out {
            others.add(&counts);
        }
        let apps = apps.iter();
        Self {
            hubs: report.hubs.iter().map(HubNumbers::from).collect(),
            silent_hubs: report.silent_hubs,
            apps: apps
                .map(|(app, counts)| AppNumbers::new(app.as_str(), counts))
                .collect(),
            other_apps: AppNumbers::new("", &others),
            store: StoreNumbers::from(&report.store),
        }
    }
}

impl Numbers {
    /// What `tidings status` prints about them, one topic per line.
    pub(crate) fn described(&self) -> String {
        let sum = |of: fn(&HubNumbers) -> u64| self.hubs.iter().map(of).sum::<u64>();
        let mut text = format!(
            "users      {} sessions on {} connections, {} of them legacy\n",
            sum(|hub| hub.sessions as u64),
            sum(|hub| hub.connections as u64),
            sum(|hub| hub.legacy_connections as u64),
        );
        text += &format!(
            "frames     {} received, {} sent since the start\n",
            sum(|hub| hub.frames_received),
            sum(|hub| hub.frames_sent),
        );
        for hub in &self.hubs {
            text += &format!(
                "hub {:<6} {} sessions, {} channels, {} bytes kept for clients, longest turn {} ms\n",
                hub.hub, hub.sessions, hub.channels, hub.replay_bytes, hub.longest_turn_ms,
            );
        }
        if self.silent_hubs > 0 {
            let silent = self.silent_hubs;
            text += &format!("           {silent} of the hubs did not answer: busy, or stuck\n");
        }
        for app in &self.apps {
            text += &app.described(&app.app);
        }
        if self.other_apps != AppNumbers::default() {
            text += &self.other_apps.described("other apps");
        }
        let store = &self.store;
        text += &format!(
            "written    {} operations in {} groups, longest {} ms; {} wait, {} were refused\n",
            store.operations,
            store.groups,
            store.longest_group_ms,
            store.queued_operations,
            store.refused,
        );
        text
    }
}

impl AppNumbers {
    fn described(&self, name: &str) -> String {
        format!(
            "app        {name}: {} messages to users, {} to channels, {} logins, {} resumes\n",
            self.peer_messages, self.channel_messages, self.logins, self.resumes,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_as_many_apps_and_hubs_as_there_can_be_is_one_line() {
        let app = AppNumbers {
            app: "a".repeat(32),
            logins: u64::MAX,
            resumes: u64::MAX,
            peer_messages: u64::MAX,
            channel_messages: u64::MAX,
        };
        let hub = HubNumbers {
            hub: u16::MAX,
            sockets: usize::MAX,
            connections: usize::MAX,
            legacy_connections: usize::MAX,
            sessions: usize::MAX,
            channels: usize::MAX,
            topics: usize::MAX,
            open_questions: usize::MAX,
            open_store_operations: usize::MAX,
            replay_bytes: usize::MAX,
            sockets_accepted: u64::MAX,
            connections_ended: u64::MAX,
            frames_received: u64::MAX,
            frames_sent: u64::MAX,
            longest_turn_ms: u64::MAX,
        };
        let numbers = Numbers {
            hubs: vec![hub; usize::from(tidings_server::HUBS_MAX)],
            apps: vec![app; APPS_TOLD_MAX],
            ..Numbers::default()
        };
        let line = serde_json::to_string(&numbers).expect("JSON");
        let most = usize::try_from(super::super::LINE_BYTES_MAX).expect("it is small");
        assert!(line.len() + 4_096 < most, "{} bytes", line.len());
    }
}
