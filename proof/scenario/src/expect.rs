//! Open expectations: facts that were promised and have not been seen yet, and how an event matches
//! them.

use std::collections::BTreeMap;

use crate::model::{Event, Expectation, Scenario, Source};

/// An expected fact.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) expectation: Expectation,
    /// Earliest time, on the runner's clock, in milliseconds.
    pub(crate) from_ms: u64,
    /// Latest time, on the runner's clock, in milliseconds.
    pub(crate) until_ms: u64,
}

/// How an event matches the expectations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was expected, or is of a kind that the scenario does not judge.
    Fine,
    /// It was expected, but not yet.
    TooEarly,
    /// It was expected, but it is too late.
    TooLate,
    /// It was not expected.
    Unexpected,
}

/// The open facts, and which kinds of events the scenario judges for whom.
#[derive(Debug)]
pub(crate) struct Expectations {
    open: Vec<Open>,
    /// Clients whose states the scenario names.
    judged_states: Vec<String>,
    /// Clients and channels whose counts it names, with the last count seen.
    judged_counts: BTreeMap<(String, String), Option<u32>>,
}

impl Expectations {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let all = scenario.steps.iter().flat_map(|step| &step.expectations);
        let mut judged_states = vec![];
        let mut judged_counts = BTreeMap::new();
        for expectation in all {
            match &expectation.event {
                Event::State { .. } => judged_states.push(expectation.client.clone()),
                Event::MemberCount { channel, .. } => {
                    judged_counts.insert((expectation.client.clone(), channel.clone()), None);
                }
                _ => {}
            }
        }
        Self {
            open: vec![],
            judged_states,
            judged_counts,
        }
    }

    /// Opens the facts of a step that starts now.
    pub(crate) fn add(&mut self, list: &[Expectation], now_ms: u64, slack_ms: u64) {
        self.open.extend(list.iter().map(|expectation| Open {
            expectation: expectation.clone(),
            from_ms: now_ms + expectation.after_ms.saturating_sub(slack_ms),
            until_ms: now_ms + expectation.within_ms + slack_ms,
        }));
    }

    /// The facts that must still be seen.
    pub(crate) fn required(&self) -> impl Iterator<Item = &Open> {
        self.open
            .iter()
            .filter(|open| !open.expectation.is_optional)
    }

    /// Forgets what a client was expected to see.
    pub(crate) fn drop_client(&mut self, client: &str) {
        self.open.retain(|open| open.expectation.client != client);
    }

    /// Takes an event. Facts of one source arrive in the order written.
    pub(crate) fn meet(&mut self, client: &str, event: &Event, at_ms: u64) -> Verdict {
        let source = event.source();
        let is_count = matches!(source, Source::Count(_));
        let mut passed_over = vec![];
        for index in 0..self.open.len() {
            let open = &self.open[index];
            if open.expectation.client != client || open.expectation.event.source() != source {
                continue;
            }
            if open.expectation.event == *event {
                if at_ms < open.from_ms {
                    return Verdict::TooEarly;
                }
                if at_ms > open.until_ms && !open.expectation.is_optional {
                    return Verdict::TooLate;
                }
                self.open.remove(index);
                // Counts may be combined: a later one replaces those before it.
                for index in passed_over.into_iter().rev() {
                    self.open.remove(index);
                }
                self.note_count(client, event);
                return Verdict::Fine;
            }
            if is_count {
                passed_over.push(index);
            } else if !open.expectation.is_optional {
                break;
            }
        }
        self.unmatched(client, event)
    }

    fn note_count(&mut self, client: &str, event: &Event) {
        if let Event::MemberCount { channel, count } = event {
            let key = (client.to_owned(), channel.clone());
            if let Some(last) = self.judged_counts.get_mut(&key) {
                *last = Some(*count);
            }
        }
    }

    fn unmatched(&self, client: &str, event: &Event) -> Verdict {
        let is_judged = match event {
            Event::State { .. } => self.judged_states.iter().any(|name| name == client),
            Event::MemberCount { channel, count } => {
                let key = (client.to_owned(), channel.clone());
                // Repeating the same count says nothing new.
                self.judged_counts
                    .get(&key)
                    .is_some_and(|last| *last != Some(*count))
            }
            _ => true,
        };
        if is_judged {
            Verdict::Unexpected
        } else {
            Verdict::Fine
        }
    }
}
