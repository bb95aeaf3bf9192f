//! What is known of deliveries: the attempts, the answers, and where a subscription is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::{Answer, CallError};
use crate::sources::Event;

/// Attempts that are remembered of one delivery.
const ATTEMPTS_MAX: usize = 10;
/// Characters of an answer that are remembered.
const ANSWER_CHARS_MAX: usize = 512;

/// One event on its way to a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct Delivery {
    /// Its number in the subscription, from 1.
    pub n: u64,
    /// The place behind the event in the app's stream; empty for a sample.
    pub cursor: String,
    /// The place before it.
    pub after: String,
    /// The notice's id.
    pub notice_id: String,
    /// The event's kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// When the event happened, in Unix milliseconds.
    pub event_ms: u64,
    /// What became of it.
    pub state: State,
    /// How many attempts there were.
    pub attempt_count: u32,
    /// The last of them.
    #[schema(value_type = Vec<Attempt>)]
    pub attempts: VecDeque<Attempt>,
    /// Of a dead letter: what to deliver, since the stream may have lost it by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookDeliveryState)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The target has it.
    Delivered,
    /// It is going to be tried again.
    Retrying,
    /// It was given up.
    Dead,
    /// A sample or a repeat on request that failed.
    Failed,
}

/// One call of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct Attempt {
    /// When it began, in Unix milliseconds.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The answer's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What an attempt means for what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delivered,
    Failed,
    /// The target says that it is gone for good.
    Gone,
}

impl Attempt {
    pub(crate) fn new(at_ms: u64, took_ms: u64, outcome: &Result<Answer, CallError>) -> Self {
        let mut attempt = Self {
            at_ms,
            took_ms,
            status: None,
            answer: String::new(),
            error: None,
        };
        match outcome {
            Err(error) => attempt.error = Some(error.to_string()),
            Ok(answer) => {
                attempt.status = Some(answer.status);
                let text = String::from_utf8_lossy(&answer.body);
                attempt.answer = text.chars().take(ANSWER_CHARS_MAX).collect();
                attempt.error = match answer.status {
                    200..300 => None,
                    300..400 => Some("the target redirects, which is not followed".to_owned()),
                    410 => Some("the target is gone (410)".to_owned()),
                    status => Some(format!("the target answered {status}")),
                };
            }
        }
        attempt
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.status {
            Some(200..300) if self.error.is_none() => Verdict::Delivered,
            Some(410) => Verdict::Gone,
            _ => Verdict::Failed,
        }
    }
}

impl Delivery {
    pub(crate) fn new(n: u64, notice_id: String, event: &Event, after: String) -> Self {
        Self {
            n,
            cursor: event.place.clone(),
            after,
            notice_id,
            kind: event.kind.clone(),
            event_ms: event.at_ms,
            state: State::Retrying,
            attempt_count: 0,
            attempts: VecDeque::new(),
            event: None,
        }
    }

    pub(crate) fn tried(&mut self, attempt: Attempt, state: State) {
        self.state = state;
        self.attempt_count = self.attempt_count.saturating_add(1);
        if self.attempts.len() == ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }
}

/// Where a subscription is: one record on disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookStatus)]
#[serde(default)]
pub struct Progress {
    /// The place behind the last event that is done with.
    pub after: String,
    /// The number of the last delivery.
    pub last_n: u64,
    /// Deliveries that the target has.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Events that were given up.
    pub dead: u64,
    /// Dead letters that pushed out older ones.
    pub dead_dropped: u64,
    /// Events that are missing from the stream, as it was told.
    pub lost: u64,
    /// How long deliveries waited for the app's rate, in milliseconds.
    pub throttled_ms: u64,
    /// Since the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
}

/// A target that does not take notices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookFailing)]
pub struct Failing {
    /// When the first attempt failed, in Unix milliseconds.
    pub since_ms: u64,
    /// Attempts since then.
    pub attempts: u32,
    /// When the next attempt is due.
    pub next_ms: u64,
    /// Why the last one failed.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Result<Answer, CallError> {
        Ok(Answer {
            status,
            body: vec![0xff; 100_000].into(),
            is_cut: true,
            retry_after: None,
        })
    }

    #[test]
    fn the_status_decides() {
        for (status, verdict) in [
            (200, Verdict::Delivered),
            (204, Verdict::Delivered),
            (199, Verdict::Failed),
            (302, Verdict::Failed),
            (404, Verdict::Failed),
            (410, Verdict::Gone),
            (429, Verdict::Failed),
            (500, Verdict::Failed),
        ] {
            let attempt = Attempt::new(1, 2, &answer(status));
            assert_eq!(attempt.verdict(), verdict, "{status}");
            assert_eq!(attempt.error.is_none(), verdict == Verdict::Delivered);
            assert_eq!(attempt.answer.chars().count(), ANSWER_CHARS_MAX);
        }
        let timeout = Err(CallError::Timeout {
            doing: "not answering",
        });
        assert_eq!(Attempt::new(1, 2, &timeout).verdict(), Verdict::Failed);
    }

    #[test]
    fn the_last_attempts_are_kept_and_all_are_counted() {
        let event = crate::body::sample(5);
        let mut delivery = Delivery::new(1, "id".to_owned(), &event, String::new());
        for at in 0..25 {
            delivery.tried(Attempt::new(at, 1, &answer(500)), State::Retrying);
        }
        assert_eq!(
            (delivery.attempt_count, delivery.attempts.len()),
            (25, ATTEMPTS_MAX)
        );
        assert_eq!(delivery.attempts[0].at_ms, 15);
    }
}
