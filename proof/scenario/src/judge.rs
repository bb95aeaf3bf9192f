//! Tells a runner what to do, and decides whether what it saw is what the scenario says.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use crate::expect::{Expectations, Verdict};
use crate::model::{Action, Answer, Event, Expectation, ExpectedAnswer, Scenario, Step, TokenKind};

/// Quiet time after the last step in which nothing more may be seen, in milliseconds. Larger values
/// find later surprises and cost that much of each run.
const SETTLE_MS: u64 = 1_500;
/// Observations shown with a failure.
const TIMELINE_MAX: usize = 24;
/// Time allowed for the logins before the first step, in milliseconds.
const LOGIN_MS: u64 = 13_000;

/// What a runner does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Start this, do not wait for its end, and ask again.
    Do(Order),
    /// Ask again at this time, or when something has been observed.
    Wait {
        /// On the runner's clock, always in the future.
        until_ms: u64,
    },
    /// The scenario has been kept.
    Passed,
    /// The scenario has not been kept.
    Failed(Failure),
}

/// An action to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Identifies the order, for its answer.
    pub id: u64,
    /// The client that acts; none for the server.
    pub client: Option<String>,
    /// The action to carry out.
    pub action: Action,
}

/// Something that a client observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A call was answered.
    Answer {
        /// The order that was answered.
        order: u64,
        /// The answer that the client got.
        answer: Answer,
    },
    /// A client saw something.
    Event {
        /// The client that saw it.
        client: String,
        /// The event that it saw.
        event: Event,
    },
}

/// Why a scenario has not been kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The scenario's file name.
    pub file: String,
    /// The line of the step.
    pub line: usize,
    /// The step, in words.
    pub step: String,
    /// What was expected and did not come, and what came unexpectedly.
    pub differences: Vec<String>,
    /// What was done and seen last, oldest first.
    pub timeline: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}", self.file, self.line, self.step)?;
        for difference in &self.differences {
            writeln!(f, "  {difference}")?;
        }
        writeln!(f, "  what happened:")?;
        self.timeline
            .iter()
            .try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl std::error::Error for Failure {}

/// A call that has not been answered yet.
#[derive(Debug)]
struct OpenAnswer {
    order: u64,
    client: String,
    line: usize,
    text: String,
    expected: ExpectedAnswer,
    from_ms: u64,
    until_ms: u64,
}

/// Judges one run of one scenario.
#[derive(Debug)]
pub struct Judge {
    file: String,
    /// The logins before the first step, then the steps.
    script: VecDeque<Step>,
    /// What those logins show is not judged: it may be seen before or after their answers.
    login_states: Vec<(String, Event)>,
    /// Added to every time limit.
    slack_ms: u64,
    expectations: Expectations,
    answers: Vec<OpenAnswer>,
    orders: u64,
    /// Observations not yet judged, with their times.
    seen: VecDeque<(u64, Seen)>,
    /// Clients that have dropped: what they see is not judged.
    dropped: BTreeSet<String>,
    /// The current step.
    current: (usize, String),
    /// The last step does not wait for its answer: the next one starts together with it.
    is_chained: bool,
    pass_until_ms: Option<u64>,
    settle_until_ms: Option<u64>,
    began_ms: Option<u64>,
    timeline: VecDeque<String>,
    failure: Option<Failure>,
}

impl Judge {
    /// Judges a scenario; `file` is named in failures.
    pub fn new(scenario: &Scenario, file: &str) -> Self {
        let before = scenario
            .parties
            .iter()
            .filter(|party| party.is_logged_in_before);
        let logins: Vec<_> = before
            .clone()
            .map(|party| login_before(&party.name))
            .collect();
        let login_states = before.flat_map(|party| {
            let states = [("CONNECTING", "LOGIN"), ("CONNECTED", "LOGIN_SUCCESS")];
            states.map(|(state, reason)| {
                let (state, reason) = (state.to_owned(), reason.to_owned());
                (party.name.clone(), Event::State { state, reason })
            })
        });
        Self {
            file: file.to_owned(),
            login_states: login_states.collect(),
            script: logins
                .into_iter()
                .chain(scenario.steps.iter().cloned())
                .collect(),
            slack_ms: 0,
            expectations: Expectations::new(scenario),
            answers: vec![],
            orders: 0,
            seen: VecDeque::new(),
            dropped: BTreeSet::new(),
            current: (1, "the beginning".to_owned()),
            is_chained: false,
            pass_until_ms: None,
            settle_until_ms: None,
            began_ms: None,
            timeline: VecDeque::new(),
            failure: None,
        }
    }

    /// Extends every time limit by this much, for runners on a busy machine.
    #[must_use]
    pub fn with_slack(mut self, slack_ms: u64) -> Self {
        self.slack_ms = slack_ms;
        self
    }

    /// Takes an observation. Observations come in the order of their times.
    pub fn observe(&mut self, at_ms: u64, seen: Seen) {
        let seen = match seen {
            Seen::Answer { order, answer } => Seen::Answer {
                order,
                answer: answer.sorted(),
            },
            Seen::Event { client, event } => Seen::Event {
                client,
                event: event.sorted(),
            },
        };
        self.seen.push_back((at_ms, seen));
    }

    /// Decides what to do now.
    pub fn next(&mut self, now_ms: u64) -> Next {
        self.began_ms.get_or_insert(now_ms);
        if !self.is_chained {
            self.judge_seen();
        }
        if self.failure.is_none() && !self.is_chained {
            self.check_limits(now_ms);
        }
        if let Some(failure) = &self.failure {
            return Next::Failed(failure.clone());
        }
        if !self.is_chained
            && let Some(until_ms) = self.blocked_until(now_ms)
        {
            return Next::Wait { until_ms };
        }
        match self.script.pop_front() {
            Some(step) => self.begin(now_ms, step),
            None => self.settle(now_ms),
        }
    }

    fn begin(&mut self, now_ms: u64, step: Step) -> Next {
        let who = step.client.clone();
        let text = match &who {
            Some(client) => format!("{client} {}", step.action),
            None => step.action.to_string(),
        };
        self.current = (step.line, text.clone());
        self.note(now_ms, &text);
        self.orders += 1;
        self.expectations
            .add(&step.expectations, now_ms, self.slack_ms);
        let is_later = step.answer.as_ref().is_some_and(|answer| answer.is_later);
        self.is_chained = is_later && !self.script.is_empty();
        if let (Some(expected), Some(client)) = (step.answer, who.clone()) {
            self.answers.push(OpenAnswer {
                order: self.orders,
                client,
                line: step.line,
                text,
                from_ms: now_ms + expected.after_ms.saturating_sub(self.slack_ms),
                until_ms: now_ms + expected.within_ms + self.slack_ms,
                expected,
            });
        }
        match (&step.action, &who) {
            (Action::Drop, Some(client)) => {
                self.dropped.insert(client.clone());
                self.expectations.drop_client(client);
                self.answers.retain(|open| open.client != *client);
            }
            (Action::LogIn { .. }, Some(client)) => {
                self.dropped.remove(client);
            }
            (Action::Pass { ms }, _) => {
                self.pass_until_ms = Some(now_ms + ms);
                return self.next(now_ms);
            }
            _ => {}
        }
        Next::Do(Order {
            id: self.orders,
            client: who,
            action: step.action,
        })
    }

    /// Until when the current step waits, if it does.
    fn blocked_until(&mut self, now_ms: u64) -> Option<u64> {
        if self
            .pass_until_ms
            .is_some_and(|until_ms| until_ms <= now_ms)
        {
            self.pass_until_ms = None;
        }
        // A fact is missing only when its last millisecond has passed.
        let facts = self.expectations.required().map(|open| open.until_ms + 1);
        let is_last = self.script.is_empty();
        let answers = self
            .answers
            .iter()
            .filter(|open| is_last || !open.expected.is_later);
        let answers = answers.map(|open| open.until_ms + 1);

        facts.chain(answers).chain(self.pass_until_ms).min()
    }

    fn settle(&mut self, now_ms: u64) -> Next {
        let quiet_ms = SETTLE_MS + self.slack_ms;
        let until_ms = *self.settle_until_ms.get_or_insert(now_ms + quiet_ms);
        if until_ms > now_ms {
            Next::Wait { until_ms }
        } else {
            Next::Passed
        }
    }

    fn judge_seen(&mut self) {
        while let Some((at_ms, seen)) = self.seen.pop_front() {
            match seen {
                Seen::Answer { order, answer } => self.judge_answer(at_ms, order, &answer),
                Seen::Event { client, event } => self.judge_event(at_ms, &client, &event),
            }
            if self.failure.is_some() {
                return;
            }
        }
    }

    fn judge_event(&mut self, at_ms: u64, client: &str, event: &Event) {
        if self.dropped.contains(client) {
            return;
        }
        self.note(at_ms, &format!("{client}: {event}"));
        let login = self
            .login_states
            .iter()
            .position(|(who, state)| who == client && state == event);
        if let Some(index) = login {
            self.login_states.swap_remove(index);
            return;
        }
        match self.expectations.meet(client, event, at_ms) {
            Verdict::Fine => {}
            Verdict::TooEarly => self.fail(vec![format!("too early   {client}: {event}")]),
            Verdict::TooLate => self.fail(vec![format!("too late    {client}: {event}")]),
            Verdict::Unexpected => self.fail(vec![format!("unexpected  {client}: {event}")]),
        }
    }

    fn judge_answer(&mut self, at_ms: u64, order: u64, answer: &Answer) {
        let Some(index) = self.answers.iter().position(|open| open.order == order) else {
            // The client was dropped, or the order was answered before.
            self.note(at_ms, &format!("an answer that nobody waits for: {answer}"));
            return;
        };
        let open = self.answers.remove(index);
        self.note(at_ms, &format!("{} -> {answer}", open.text));
        let mut differences = vec![];
        if open.expected.answer != *answer {
            differences.push(format!(
                "expected    {} -> {}",
                open.text, open.expected.answer
            ));
            differences.push(format!("answered    {} -> {answer}", open.text));
        } else if at_ms < open.from_ms {
            differences.push(format!("too early   {} -> {answer}", open.text));
        } else if at_ms > open.until_ms {
            differences.push(format!("too late    {} -> {answer}", open.text));
        }
        if !differences.is_empty() {
            self.current = (open.line, open.text);
            self.fail(differences);
        }
    }

    fn check_limits(&mut self, now_ms: u64) {
        let facts = self
            .expectations
            .required()
            .filter(|open| open.until_ms < now_ms);
        let mut differences: Vec<_> = facts
            .map(|open| {
                let Expectation {
                    client,
                    event,
                    line,
                    within_ms: within,
                    ..
                } = &open.expectation;
                format!("missing     {client}: {event}   (line {line}, within {within} ms)")
            })
            .collect();
        for open in self.answers.iter().filter(|open| open.until_ms < now_ms) {
            let (line, within) = (open.line, open.expected.within_ms);
            let answer = &open.expected.answer;
            differences.push(format!(
                "missing     {} -> {answer}   (line {line}, within {within} ms)",
                open.text
            ));
        }
        if !differences.is_empty() {
            self.fail(differences);
        }
    }

    fn fail(&mut self, mut differences: Vec<String>) {
        for open in self.expectations.required() {
            let text = format!("{}: {}", open.expectation.client, open.expectation.event);
            if !differences.iter().any(|line| line.contains(&text)) {
                differences.push(format!("still due   {text}"));
            }
        }
        self.failure = Some(Failure {
            file: self.file.clone(),
            line: self.current.0,
            step: self.current.1.clone(),
            differences,
            timeline: self.timeline.iter().cloned().collect(),
        });
    }

    fn note(&mut self, at_ms: u64, text: &str) {
        let since_ms = at_ms.saturating_sub(self.began_ms.unwrap_or(at_ms));
        if self.timeline.len() == TIMELINE_MAX {
            self.timeline.pop_front();
        }
        let (seconds, millis) = (since_ms / 1_000, since_ms % 1_000);
        self.timeline
            .push_back(format!("{seconds:>4}.{millis:03} s  {text}"));
    }
}

fn login_before(client: &str) -> Step {
    Step {
        line: 1,
        client: Some(client.to_owned()),
        action: Action::LogIn {
            user_id: client.to_owned(),
            token: TokenKind::Valid,
        },
        answer: Some(ExpectedAnswer {
            answer: Answer::Done,
            is_later: false,
            after_ms: 0,
            within_ms: LOGIN_MS,
        }),
        expectations: vec![],
    }
}
