//! What is told of one app.

use tidings_api::metrics::{Metric, Reading};
use tidings_hub::counts::{AppCounts, ByName, Present, Traffic};
use tidings_webhooks::Figures;

/// What all parts of the server know of one app, or of all those without a place of their own.
#[derive(Debug, Default)]
pub(super) struct AppFigures {
    pub(super) counts: AppCounts,
    pub(super) channels: u64,
    pub(super) login_refusals: ByName,
    pub(super) media_bytes: u64,
    webhooks: Option<Figures>,
}

impl AppFigures {
    pub(super) fn add_webhooks(&mut self, more: Figures) {
        let sum = self.webhooks.get_or_insert_default();
        *sum = Figures {
            on: sum.on + more.on,
            failing: sum.failing + more.failing,
            off: sum.off + more.off,
            dead_letters: sum.dead_letters + more.dead_letters,
            delivered: sum.delivered + more.delivered,
            failed: sum.failed + more.failed,
            gave_up: sum.gave_up + more.gave_up,
        };
    }

    /// Tells all of it, under this name. What an app does not have, it has no samples of.
    pub(super) fn read(&self, app: &str, reading: &mut Reading) {
        let counts = &self.counts;
        read_present(app, "native", counts.native, reading);
        if counts.legacy != Present::default() {
            read_present(app, "legacy", counts.legacy, reading);
        }
        read_traffic(app, "peer", counts.peer, reading);
        read_traffic(app, "channel", counts.channel, reading);
        let of_app = &[app][..];
        reading.add(Metric::Channels, of_app, self.channels);
        reading.add(Metric::Resumes, of_app, counts.resumes);
        reading.add(Metric::TokensNearExpiry, of_app, counts.near_expiry);
        let named = [
            (Metric::LoginRefused, &self.login_refusals),
            (Metric::CallErrors, &counts.errors),
            (Metric::Refused, &counts.refusals),
        ];
        for (metric, counts) in named {
            for (name, count) in counts.iter() {
                reading.add(metric, &[app, name], count);
            }
        }
        if self.media_bytes > 0 {
            reading.add(Metric::MediaBytes, of_app, self.media_bytes);
        }
        if let Some(webhooks) = self.webhooks {
            reading.add(Metric::Webhooks, of_app, webhooks.on);
            reading.add(Metric::WebhooksFailing, of_app, webhooks.failing);
            reading.add(Metric::WebhooksOff, of_app, webhooks.off);
            reading.add(Metric::WebhookDeadLetters, of_app, webhooks.dead_letters);
            for (outcome, count) in [
                ("delivered", webhooks.delivered),
                ("failed", webhooks.failed),
                ("gave_up", webhooks.gave_up),
            ] {
                reading.add(Metric::WebhookCalls, &[app, outcome], count);
            }
        }
    }
}

fn read_present(app: &str, protocol: &str, present: Present, reading: &mut Reading) {
    let labels = &[app, protocol][..];
    reading.add(Metric::Logins, labels, present.logins);
    reading.add(Metric::Sessions, labels, present.sessions);
    reading.add(Metric::Connections, labels, present.connections);
}

fn read_traffic(app: &str, kind: &str, traffic: Traffic, reading: &mut Reading) {
    let labels = &[app, kind][..];
    reading.add(Metric::Messages, labels, traffic.messages);
    reading.add(Metric::MessageBytes, labels, traffic.bytes);
    reading.add(Metric::Deliveries, labels, traffic.deliveries);
    reading.add(Metric::DeliveredBytes, labels, traffic.delivered_bytes);
}
