//! What was acknowledged, what arrived, and whether the two fit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Messages acknowledged as stored, of which the receivers have been judged.
    pub stored: u64,
    /// Messages between users who are online, acknowledged as received or as stored.
    pub chatted: u64,
    /// Attribute writes acknowledged, of users and of channels.
    pub written: u64,
    /// Times that attributes were compared with what had been acknowledged.
    pub compared: u64,
    /// Calls without an acknowledgement: nothing is promised of them.
    pub unanswered: u64,
    /// Number of receivers that were judged.
    pub receivers: u64,
    lost: Vec<String>,
    doubled: Vec<String>,
    disordered: Vec<String>,
    /// Writes that are there in part, and what was taken away and is back.
    partial: Vec<String>,
}

impl Report {
    /// Judges one receiver: everything acknowledged, nothing twice, each sender's in its order.
    pub fn judge(&mut self, receiver: &str, acknowledged: &[Text], arrived: &[Text]) {
        self.receivers += 1;
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for text in arrived {
            if !seen.insert(text) {
                self.doubled.push(format!("{receiver} got {text} twice"));
                continue;
            }
            if let Some(before) = last.insert(&text.sender, text.number)
                && before > text.number
            {
                let problem = format!("{receiver} got {text} after number {before}");
                self.disordered.push(problem);
            }
        }
        for text in acknowledged.iter().filter(|text| !seen.contains(text)) {
            self.lost.push(format!("{receiver} never got {text}"));
        }
    }

    /// Judges attributes: at least as new as the last write that was acknowledged before they were
    /// asked for.
    pub fn compare(&mut self, owner: &str, acknowledged: u64, found: Option<u64>) {
        self.compared += 1;
        if found.unwrap_or(0) < acknowledged {
            let problem =
                format!("{owner}: write {acknowledged} was acknowledged, {found:?} is there");
            self.lost.push(problem);
        }
    }

    /// Judges two attributes of one write: both are of it, or the one that it took away is gone.
    pub fn hold_together(&mut self, owner: &str, expected: Option<u64>, found: Option<u64>) {
        if found != expected {
            let problem = format!("{owner}: {found:?} is there beside it, not {expected:?}");
            self.partial.push(problem);
        }
    }

    /// Fails the test if a promise was broken, or if too little was promised to show anything.
    pub fn assert_good(&self, cycles: u64) {
        let problems = [&self.lost, &self.doubled, &self.disordered, &self.partial];
        let problems: Vec<&str> = problems.into_iter().flatten().map(String::as_str).collect();
        assert!(problems.is_empty(), "{self}\n{}", problems.join("\n"));
        assert!(self.stored > 10 * cycles, "too little load: {self}");
        assert!(self.chatted > cycles, "too little chat: {self}");
        assert!(self.written > 2 * cycles, "too few writes: {self}");
        assert!(self.compared > cycles, "too few comparisons: {self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged: {} stored messages, {} between users on line, {} attribute writes; {} calls without an \
             acknowledgement; {} receivers judged, {} times attributes compared; {} lost, {} doubled, {} out of order, {} in part or back",
            self.stored,
            self.chatted,
            self.written,
            self.unanswered,
            self.receivers,
            self.compared,
            self.lost.len(),
            self.doubled.len(),
            self.disordered.len(),
            self.partial.len()
        )
    }
}

/// The text of a message: its sender's number of it rises.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    pub sender: String,
    pub number: u64,
}

impl Text {
    pub fn new(sender: &str, number: u64) -> Self {
        let sender = sender.to_owned();
        Self { sender, number }
    }

    pub fn parse(text: &str) -> Self {
        let (sender, number) = text.split_once('#').expect("sender#number");
        Self::new(sender, number.parse().expect("sender#number"))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.sender, self.number)
    }
}

fn judged(acknowledged: &str, arrived: &str) -> [usize; 3] {
    let texts = |text: &str| -> Vec<Text> { text.split_whitespace().map(Text::parse).collect() };
    let mut report = Report::default();
    report.judge("r", &texts(acknowledged), &texts(arrived));
    [
        report.lost.len(),
        report.doubled.len(),
        report.disordered.len(),
    ]
}

#[test]
fn the_judge_sees_what_is_lost_doubled_and_out_of_order() {
    assert_eq!(judged("a#1 a#3 b#1", "b#1 a#1 a#2 a#3"), [0, 0, 0]);
    assert_eq!(judged("a#1 a#3 b#1", "b#1 a#1"), [1, 0, 0]);
    assert_eq!(judged("a#1", "a#1 a#2 a#1"), [0, 1, 0]);
    assert_eq!(judged("a#1 a#2", "a#2 b#7 a#1"), [0, 0, 1]);
    let mut report = Report::default();
    report.compare("old", 3, Some(2));
    report.compare("gone", 1, None);
    report.compare("new", 3, Some(4));
    assert_eq!(report.lost.len(), 2);
    report.hold_together("part", Some(3), None);
    report.hold_together("back", None, Some(1));
    report.hold_together("whole", Some(3), Some(3));
    assert_eq!(report.partial.len(), 2);
}
