//! What was sent, what was answered and what arrived, and whether they fit. Source: contract 1.1 to
//! 1.6.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Violations kept in words; beyond it they are only counted.
const VIOLATIONS_MAX: usize = 200;

/// One numbered series: what one user writes to one destination. Order is promised within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The user who sent it.
    pub from: String,
    /// The user or channel that it goes to.
    pub to: Destination,
}

/// Where a series goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// A peer message to this user.
    Peer(String),
    /// A channel: to every other member.
    Channel(String),
}

/// What the sender's answer says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not answered yet, or answered by nothing in time: it may arrive or not.
    Unknown,
    /// It arrives, or a gap says that it does not.
    Promised,
    /// It never arrives.
    Denied,
}

/// What one receiver has got of one series.
#[derive(Debug, Default)]
struct Arrivals {
    numbers: Vec<u32>,
    /// Positions in `numbers` before which a gap of the source was told.
    gaps: BTreeSet<usize>,
}

/// Everything that is known of a run.
#[derive(Debug, Default)]
pub struct Judge {
    fates: BTreeMap<Series, Vec<Fate>>,
    /// By receiver and series.
    arrivals: BTreeMap<(String, Series), Arrivals>,
    /// The members other than the sender, by channel.
    members: BTreeMap<String, BTreeSet<String>>,
    /// Who has been seen to be in a channel: by receiver, channel and member.
    presence: BTreeMap<(String, String, String), bool>,
    /// Whose gaps the contract allows in this run.
    excused: BTreeSet<String>,
    /// Nobody is away for long enough to be seen to leave.
    all_stay: bool,
    verdict: Verdict,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages handed to the SDK.
    pub sent: u64,
    /// Of them, answered with a promise.
    pub promised: u64,
    /// Of them, answered as never to arrive.
    pub denied: u64,
    /// Messages that have arrived, each receiver's counted.
    pub arrived: u64,
    /// Number of gaps told.
    pub gaps: u64,
    /// Promised, not arrived and in no gap.
    pub lost: u64,
    /// Arrived more than once.
    pub doubled: u64,
    /// Arrived after a later one of the series.
    pub disordered: u64,
    /// Arrived although answered as never to arrive.
    pub untrue: u64,
    /// Gaps of receivers who were never away for longer than the resume window.
    pub false_gaps: u64,
    /// Members who joined or left twice in a row, or were seen to leave although they stayed.
    pub flapped: u64,
    /// Calls that were answered too late.
    pub late: u64,
    /// Clients that have given up.
    pub aborted: u64,
    /// The first violations, in words.
    pub violations: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn is_good(&self) -> bool {
        self.broken() == 0
    }

    fn broken(&self) -> u64 {
        self.lost
            + self.doubled
            + self.disordered
            + self.untrue
            + self.false_gaps
            + self.flapped
            + self.late
            + self.aborted
    }

    fn say(&mut self, violation: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages sent, {} promised, {} refused, {} arrived; {} lost, {} doubled, {} out of order, {} against \
             their answer, {} gaps of which {} false, {} members flapped, {} calls answered late, {} clients gave up",
            self.sent,
            self.promised,
            self.denied,
            self.arrived,
            self.lost,
            self.doubled,
            self.disordered,
            self.untrue,
            self.gaps,
            self.false_gaps,
            self.flapped,
            self.late,
            self.aborted
        )?;
        for violation in &self.violations {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}

impl Judge {
    /// Knows of nothing yet. `all_stay`: nobody is away for longer than the presence grace.
    pub fn new(all_stay: bool) -> Self {
        Self {
            all_stay,
            ..Self::default()
        }
    }

    /// Tells who is in a channel from before the first message to the end of the run.
    pub fn set_members(&mut self, channel: &str, members: impl IntoIterator<Item = String>) {
        self.members
            .insert(channel.to_owned(), members.into_iter().collect());
    }

    /// Allows a user's gaps: they were away for longer than the resume window.
    pub fn excuse(&mut self, user: &str) {
        self.excused.insert(user.to_owned());
    }

    /// A message is about to be handed over. Returns its number in the series, from 0.
    pub fn send(&mut self, series: &Series) -> u32 {
        let fates = match self.fates.get_mut(series) {
            Some(fates) => fates,
            None => self.fates.entry(series.clone()).or_default(),
        };
        fates.push(Fate::Unknown);
        u32::try_from(fates.len() - 1).expect("a run has fewer messages")
    }

    /// The sender was answered.
    pub fn answer(&mut self, series: &Series, number: u32, fate: Fate) {
        if let Some(slot) = self
            .fates
            .get_mut(series)
            .and_then(|of| of.get_mut(number as usize))
        {
            *slot = fate;
        }
    }

    /// A message has arrived.
    pub fn arrive(&mut self, receiver: &str, series: &Series, number: u32) {
        let key = (receiver.to_owned(), series.clone());
        self.arrivals.entry(key).or_default().numbers.push(number);
    }

    /// A receiver was told of a gap: in a channel, or in its peer messages.
    pub fn gap(&mut self, receiver: &str, channel: Option<&str>, told: &str) {
        self.verdict.gaps += 1;
        let known: Vec<Series> = self.fates.keys().cloned().collect();
        for series in known {
            let is_of_source = match (&series.to, channel) {
                (Destination::Channel(of), Some(channel)) => of == channel,
                (Destination::Peer(to), None) => to == receiver,
                _ => false,
            };
            if is_of_source {
                let arrivals = self
                    .arrivals
                    .entry((receiver.to_owned(), series))
                    .or_default();
                arrivals.gaps.insert(arrivals.numbers.len());
            }
        }
        // After a gap nothing is known of who is there.
        self.presence
            .retain(|(who, of, _), _| who != receiver || Some(of.as_str()) != channel);
        if !self.excused.contains(receiver) {
            self.verdict.false_gaps += 1;
            self.verdict
                .say(format!("gap.no_false_alarm: {receiver} was told of {told}"));
        }
    }

    /// A receiver has seen a member come or go.
    pub fn see(&mut self, receiver: &str, channel: &str, member: &str, is_there: bool) {
        let key = (receiver.to_owned(), channel.to_owned(), member.to_owned());
        if self.presence.insert(key, is_there) == Some(is_there) {
            self.verdict.flapped += 1;
            let what = if is_there { "join" } else { "leave" };
            self.verdict.say(format!(
                "presence.alternates: {receiver} saw {member} {what} {channel} twice in a row"
            ));
        } else if self.all_stay && !is_there {
            self.verdict.flapped += 1;
            self.verdict.say(format!(
                "presence.no_flap_on_resume: {receiver} saw {member} leave {channel}"
            ));
        }
    }

    /// A call was answered after more than its time.
    pub fn late(&mut self, user: &str, took_ms: u128) {
        self.verdict.late += 1;
        self.verdict.say(format!(
            "call.always_answered: a call of {user} took {took_ms} ms"
        ));
    }

    /// A client has given up.
    pub fn abort(&mut self, user: &str, reason: &str) {
        self.verdict.aborted += 1;
        self.verdict
            .say(format!("state.legal: {user} was logged out: {reason}"));
    }

    /// Promised messages that have neither arrived nor a gap after them: what a run waits for at
    /// its end.
    pub fn missing(&self) -> usize {
        let mut missing = 0;
        for (series, fates) in &self.fates {
            for receiver in self.receivers(series) {
                let arrivals = self.arrivals.get(&(receiver, series.clone()));
                missing += lost(fates, arrivals).len();
            }
        }
        missing
    }

    /// Judges everything that is known.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = self.verdict.clone();
        for (series, fates) in &self.fates {
            verdict.sent += fates.len() as u64;
            verdict.promised += count(fates, Fate::Promised);
            verdict.denied += count(fates, Fate::Denied);
            for receiver in self.receivers(series) {
                let arrivals = self.arrivals.get(&(receiver.clone(), series.clone()));
                for number in lost(fates, arrivals) {
                    verdict.lost += 1;
                    verdict.say(format!(
                        "gap.explicit: {receiver} never got {series} {number}"
                    ));
                }
                if let Some(arrivals) = arrivals {
                    judge_order(&mut verdict, &receiver, series, fates, &arrivals.numbers);
                }
            }
        }
        verdict
    }

    fn receivers(&self, series: &Series) -> Vec<String> {
        match &series.to {
            Destination::Peer(user) => vec![user.clone()],
            Destination::Channel(channel) => {
                let members = self.members.get(channel).into_iter().flatten();
                members
                    .filter(|user| **user != series.from)
                    .cloned()
                    .collect()
            }
        }
    }
}

fn count(fates: &[Fate], fate: Fate) -> u64 {
    fates.iter().filter(|of| **of == fate).count() as u64
}

/// The promised numbers that have not arrived and that no gap covers.
fn lost(fates: &[Fate], arrivals: Option<&Arrivals>) -> Vec<u32> {
    let none = Arrivals::default();
    let arrivals = arrivals.unwrap_or(&none);
    let mut has_arrived = vec![false; fates.len()];
    for number in &arrivals.numbers {
        if let Some(slot) = has_arrived.get_mut(*number as usize) {
            *slot = true;
        }
    }
    let is_lost = |number: &usize| {
        if has_arrived[*number] || fates[*number] != Fate::Promised {
            return false;
        }
        // The first arrival beyond it: the gap must stand before that one, and after what came
        // before the hole.
        let after = (arrivals.numbers.iter()).position(|arrived| *arrived as usize > *number);
        !arrivals
            .gaps
            .contains(&after.unwrap_or(arrivals.numbers.len()))
    };
    let numbers = (0..fates.len()).filter(is_lost);
    numbers
        .map(|number| u32::try_from(number).expect("a run has fewer messages"))
        .collect()
}

fn judge_order(
    verdict: &mut Verdict,
    receiver: &str,
    series: &Series,
    fates: &[Fate],
    numbers: &[u32],
) {
    let mut seen = BTreeSet::new();
    let mut highest = None;
    for number in numbers {
        verdict.arrived += 1;
        if !seen.insert(*number) {
            verdict.doubled += 1;
            verdict.say(format!(
                "once.server_replay: {receiver} got {series} {number} twice"
            ));
        } else if highest.is_some_and(|highest| highest > *number) {
            verdict.disordered += 1;
            verdict.say(format!(
                "order.per_sender: {receiver} got {series} {number} after {}",
                highest.unwrap_or_default()
            ));
        }
        highest = highest.max(Some(*number));
        if fates.get(*number as usize) == Some(&Fate::Denied) {
            verdict.untrue += 1;
            verdict.say(format!(
                "ack.truthful: {receiver} got {series} {number}, which was answered as never to arrive"
            ));
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Destination::Peer(user) => write!(f, "{}→{user}", self.from),
            Destination::Channel(channel) => write!(f, "{}→#{channel}", self.from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        Series {
            from: "a".into(),
            to: Destination::Channel("c".into()),
        }
    }

    /// Six messages, of which the sender was promised all but number 4, which never arrives.
    fn judge(arrived: &[u32], gap_before: Option<usize>) -> [u64; 5] {
        let mut judge = Judge::default();
        judge.set_members("c", ["a".to_owned(), "b".to_owned()]);
        judge.excuse("b");
        for number in 0..6 {
            let fate = if number == 4 {
                Fate::Denied
            } else {
                Fate::Promised
            };
            assert_eq!(judge.send(&series()), number);
            judge.answer(&series(), number, fate);
        }
        for (at, number) in arrived.iter().enumerate() {
            if gap_before == Some(at) {
                judge.gap("b", Some("c"), "a gap");
            }
            judge.arrive("b", &series(), *number);
        }
        let verdict = judge.verdict();
        assert_eq!(judge.missing() as u64, verdict.lost);
        [
            verdict.lost,
            verdict.doubled,
            verdict.disordered,
            verdict.untrue,
            verdict.false_gaps,
        ]
    }

    #[test]
    fn losses_doubles_disorder_and_untrue_answers_are_seen() {
        assert_eq!(judge(&[0, 1, 2, 3, 5], None), [0, 0, 0, 0, 0]);
        assert_eq!(judge(&[0, 1, 3, 5], None), [1, 0, 0, 0, 0]);
        assert_eq!(judge(&[0, 1, 2, 3], None), [1, 0, 0, 0, 0]);
        assert_eq!(judge(&[0, 1, 2, 2, 3, 5], None), [0, 1, 0, 0, 0]);
        assert_eq!(judge(&[0, 2, 1, 3, 5], None), [0, 0, 1, 0, 0]);
        assert_eq!(judge(&[0, 1, 2, 3, 4, 5], None), [0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_gap_covers_the_hole_it_stands_in_and_no_other() {
        assert_eq!(judge(&[0, 3, 5], Some(1)), [0, 0, 0, 0, 0]);
        assert_eq!(judge(&[0, 3, 5], Some(2)), [2, 0, 0, 0, 0]);
        assert_eq!(judge(&[0, 3, 5], Some(0)), [2, 0, 0, 0, 0]);
    }

    #[test]
    fn who_stays_is_not_seen_to_leave() {
        for (all_stay, flapped) in [(true, 1), (false, 0)] {
            let mut judge = Judge::new(all_stay);
            judge.see("b", "c", "a", true);
            judge.see("b", "c", "a", false);
            assert_eq!(judge.verdict().flapped, flapped);
        }
    }

    #[test]
    fn a_gap_of_who_was_not_away_is_false_and_a_member_joins_once() {
        let mut judge = Judge::default();
        judge.gap("b", Some("c"), "a gap");
        judge.see("b", "c", "a", true);
        judge.see("b", "c", "a", false);
        judge.see("b", "c", "a", false);
        judge.abort("b", "remote login");
        let verdict = judge.verdict();
        assert_eq!(
            (verdict.false_gaps, verdict.flapped, verdict.aborted),
            (1, 1, 1)
        );
        assert!(!verdict.is_good());
    }
}
