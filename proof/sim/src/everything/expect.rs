//! What must be seen in a turn of this profile, and the comparison with what was seen.

use std::collections::{BTreeMap, BTreeSet};

use tidings_client_core::{
    Answer, CallError, CallId, ClientEvent, GapSource, LocalInvitationNews, Message, PresenceState,
    RemoteInvitationNews,
};
use tidings_wire::codes::Outcome;

use super::model::{NAMES, UserNo};
use crate::checks::Violation;

/// Whether a fact must be seen, or only may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    May,
}

/// The expectations of one turn, and what has been seen of them. Facts of one source arrive in
/// order.
#[derive(Debug, Default)]
pub(super) struct Turn {
    facts: BTreeMap<(UserNo, String), Vec<(String, Need)>>,
    seen: BTreeMap<(UserNo, String), Vec<String>>,
    /// Peer messages that may arrive live or stored, in order.
    either: BTreeSet<String>,
    answers: BTreeMap<CallId, (UserNo, String)>,
    answered: BTreeMap<CallId, String>,
}

impl Turn {
    pub(super) fn must(&mut self, user: UserNo, source: &str, fact: impl Into<String>) {
        self.expect(user, source, fact.into(), Need::Must);
    }

    pub(super) fn may(&mut self, user: UserNo, source: &str, fact: impl Into<String>) {
        self.expect(user, source, fact.into(), Need::May);
    }

    /// Expects a peer message that was stored and may also have been in transit: it arrives once.
    pub(super) fn must_live_or_stored(&mut self, user: UserNo, fact: String) {
        self.either.insert(fact.clone());
        self.must(user, "live or stored", fact);
    }

    pub(super) fn expect(&mut self, user: UserNo, source: &str, fact: String, need: Need) {
        let facts = self.facts.entry((user, source.to_owned())).or_default();
        facts.push((fact, need));
    }

    pub(super) fn answer(&mut self, user: UserNo, id: CallId, answer: impl Into<String>) {
        self.answers.insert(id, (user, answer.into()));
    }

    pub(super) fn see_answer(&mut self, id: CallId, result: &Result<Answer, CallError>) {
        self.answered.insert(id, answer_text(result));
    }

    pub(super) fn see(&mut self, user: UserNo, event: &ClientEvent) {
        if let Some((mut source, fact)) = event_text(event) {
            if self.either.contains(&fact) {
                source = "live or stored".into();
            }
            self.seen.entry((user, source)).or_default().push(fact);
        }
    }

    /// Compares. Returns the differences.
    pub(super) fn finish(mut self, what: &str) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut violate = |check, text: String| {
            let text = format!("{what}: {text}");
            violations.push(Violation { check, text });
        };
        for (id, (user, expected)) in &self.answers {
            let name = NAMES[*user];
            match self.answered.remove(id) {
                Some(answer) if answer == *expected => {}
                Some(answer) => {
                    let text =
                        format!("call {id} of {name} was answered {answer:?}, not {expected:?}");
                    violate(check_of_answer(expected, &answer), text);
                }
                None => violate(
                    "call.always_answered",
                    format!("call {id} of {name} has no answer"),
                ),
            }
        }
        for (id, answer) in &self.answered {
            violate(
                "call.always_answered",
                format!("call {id} was answered {answer:?} again"),
            );
        }
        for ((user, source), seen) in std::mem::take(&mut self.seen) {
            let expected = self
                .facts
                .remove(&(user, source.clone()))
                .unwrap_or_default();
            if let Err(difference) = matches(&expected, &seen) {
                let check = check_of_events(&source, &expected, &seen);
                let text = format!("{}, {source}: {difference}", NAMES[user]);
                violate(check, text);
            }
        }
        for ((user, source), facts) in self.facts {
            let missing: Vec<_> = facts
                .iter()
                .filter(|(_, need)| *need == Need::Must)
                .collect();
            if !missing.is_empty() {
                let text = format!("{}, {source}: nothing of {missing:?} was seen", NAMES[user]);
                violate(check_of_events(&source, &facts, &[]), text);
            }
        }
        violations
    }
}

/// The check of the contract that a wrong answer violates.
fn check_of_answer(expected: &str, answer: &str) -> &'static str {
    match (expected.split(' ').next(), answer) {
        (Some("received"), _) => "ack.truthful",
        (Some("attributes"), _) => "attr.no_lost_update",
        (Some("history"), _) => "ack.durable",
        (Some("users" | "counts" | "presence"), _) => "presence.snapshot_equals_events",
        (_, "error timed_out") => "once.reply_cache_hit",
        (_, "error already_joined" | "error not_in_channel") => "once.client_retry",
        _ => "ack.truthful",
    }
}

/// The check of the contract that is violated when a source shows these facts instead of those.
fn check_of_events(source: &str, expected: &[(String, Need)], seen: &[String]) -> &'static str {
    let count = |fact: &String| seen.iter().filter(|have| *have == fact).count();
    let due = |fact: &String| expected.iter().filter(|(have, _)| have == fact).count();
    let surplus = seen.iter().find(|fact| count(fact) > due(fact));
    let missing = expected
        .iter()
        .find(|(fact, need)| *need == Need::Must && count(fact) < due(fact));
    let is_membership = |fact: &str| fact.starts_with("joined ") || fact.starts_with("left ");
    match (source, surplus, missing) {
        ("state", ..) => "state.legal",
        ("presence", ..) => "presence.no_flap_on_resume",
        ("invitation" | "sent invitation", Some(_), _) => "invite.one_terminal",
        ("invitation" | "sent invitation", ..) => "invite.agreement",
        (_, Some(fact), _) if fact == "gap" => "gap.no_false_alarm",
        (_, Some(fact), _) if is_membership(fact) => "presence.no_flap_on_resume",
        (_, Some(fact), _) if due(fact) > 0 => "once.server_replay",
        (_, Some(_), _) => "ack.truthful",
        (_, None, Some((fact, _))) if is_membership(fact) => "presence.no_ghost",
        (_, None, Some(_)) if source.ends_with(" attributes") => "attr.no_lost_update",
        (_, None, Some(_)) => "gap.explicit",
        (_, None, None) if expected.iter().any(|(fact, _)| is_membership(fact)) => {
            "order.membership_brackets_messages"
        }
        (_, None, None) => "order.per_sender",
    }
}

/// Whether the facts seen are the expected ones, in order, possibly without the optional ones.
fn matches(expected: &[(String, Need)], seen: &[String]) -> Result<(), String> {
    let mut rest = expected.iter();
    for fact in seen {
        loop {
            match rest.next() {
                Some((text, _)) if text == fact => break,
                Some((_, Need::May)) => {}
                other => {
                    return Err(format!(
                        "{fact:?} in {seen:?}, where {other:?} was due of {expected:?}"
                    ));
                }
            }
        }
    }
    match rest.find(|(_, need)| *need == Need::Must) {
        Some((text, _)) => Err(format!("{text:?} is missing in {seen:?}")),
        None => Ok(()),
    }
}

fn text_of(message: &Message) -> &str {
    match message {
        Message::Text(text) => text,
        _ => "no text",
    }
}

fn state_text(state: PresenceState) -> &'static str {
    match state {
        PresenceState::Online => "ONLINE",
        PresenceState::Unreachable => "UNREACHABLE",
        PresenceState::Offline => "OFFLINE",
    }
}

/// The source of an event, and the event. Counts are compared separately.
fn event_text(event: &ClientEvent) -> Option<(String, String)> {
    let (source, fact) = match event {
        ClientEvent::StateChanged { state, reason } => {
            ("state".into(), format!("{state} {reason}"))
        }
        ClientEvent::PeerMessage {
            from,
            message,
            is_offline,
            ..
        } => {
            let source = if *is_offline { "stored" } else { "live" };
            (source.into(), format!("{from} {}", text_of(message)))
        }
        ClientEvent::ChannelMessage {
            channel,
            from,
            message,
            ..
        } => (channel.clone(), format!("{from} {}", text_of(message))),
        ClientEvent::MemberJoined { channel, user_id } => {
            (channel.clone(), format!("joined {user_id}"))
        }
        ClientEvent::MemberLeft { channel, user_id } => {
            (channel.clone(), format!("left {user_id}"))
        }
        ClientEvent::MemberCount { .. } => return None,
        ClientEvent::ChannelAttributes {
            channel,
            attributes,
        } => (
            format!("{channel} attributes"),
            format!("attributes {}", entries(attributes)),
        ),
        ClientEvent::PresenceChanged { users } => {
            let users: Vec<String> = (users.iter())
                .map(|(user, state)| format!("{user} {}", state_text(*state)))
                .collect();
            ("presence".into(), users.join(" "))
        }
        ClientEvent::Gap { source, .. } => match source {
            GapSource::Channel(channel) => (channel.clone(), "gap".into()),
            GapSource::Inbox => ("inbox".into(), "gap".into()),
        },
        ClientEvent::LocalInvitation { news, .. } => ("sent invitation".into(), local_text(news)),
        ClientEvent::RemoteInvitation { news, .. } => ("invitation".into(), remote_text(news)),
        other => ("other".into(), format!("{other:?}")),
    };
    Some((source, fact))
}

fn local_text(news: &LocalInvitationNews) -> String {
    match news {
        LocalInvitationNews::Received => "received".into(),
        LocalInvitationNews::Accepted(response) => format!("accepted {response}"),
        LocalInvitationNews::Refused(response) => format!("refused {response}"),
        LocalInvitationNews::Canceled => "canceled".into(),
        LocalInvitationNews::Failed(reason) => format!("failed {reason:?}"),
    }
}

fn remote_text(news: &RemoteInvitationNews) -> String {
    match news {
        RemoteInvitationNews::Received { content, .. } => format!("received {content}"),
        RemoteInvitationNews::Accepted => "accepted".into(),
        RemoteInvitationNews::Refused => "refused".into(),
        RemoteInvitationNews::Canceled => "canceled".into(),
        RemoteInvitationNews::Failed(reason) => format!("failed {reason:?}"),
    }
}

fn entries(attributes: &[tidings_client_core::Attribute]) -> String {
    let mut entries: Vec<String> = (attributes.iter())
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    entries.sort();
    entries.join(",")
}

/// An answer in the model's words.
fn answer_text(result: &Result<Answer, CallError>) -> String {
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list.join(" ")
    };
    match result {
        Ok(Answer::Done | Answer::Invited { .. }) => "done".into(),
        Ok(Answer::PeerSent { received }) => format!("received {received}"),
        Ok(Answer::Users(users)) => format!("users {}", sorted(users.clone())),
        Ok(Answer::MemberCounts(counts)) => {
            let counts = counts
                .iter()
                .map(|(channel, count)| format!("{channel}={count}"));
            format!("counts {}", sorted(counts.collect()))
        }
        Ok(Answer::Presence(users)) => {
            let users = users
                .iter()
                .map(|(user, state)| format!("{user}={}", state_text(*state)));
            format!("presence {}", sorted(users.collect()))
        }
        Ok(Answer::Attributes(attributes)) => format!("attributes {}", entries(attributes)),
        Ok(Answer::History(page)) => {
            // Two senders' messages may interleave in any way; each one's own order is fixed.
            let of = |name: &str| {
                let own = page.messages.iter().filter(|kept| kept.from == name);
                let texts: Vec<&str> = own.map(|kept| text_of(&kept.message)).collect();
                texts.join(" ")
            };
            format!("history {} / {}", of(NAMES[0]), of(NAMES[1]))
        }
        Err(error) => {
            let known = [
                Outcome::TimedOut,
                Outcome::NotInChannel,
                Outcome::AlreadyJoined,
            ];
            match known.into_iter().find(|outcome| error.is(*outcome)) {
                Some(outcome) => format!("error {}", outcome.name()),
                None => format!("error {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_compared_in_order_and_optional_ones_may_be_missing() {
        let expected = [
            ("a".to_owned(), Need::Must),
            ("b".to_owned(), Need::May),
            ("c".to_owned(), Need::Must),
        ];
        let seen =
            |facts: &str| -> Vec<String> { facts.split_whitespace().map(Into::into).collect() };
        assert!(matches(&expected, &seen("a b c")).is_ok());
        assert!(matches(&expected, &seen("a c")).is_ok());
        for wrong in ["a", "a b", "c a", "a c c", "a b c d", "a c b"] {
            assert!(matches(&expected, &seen(wrong)).is_err(), "{wrong}");
        }
    }
}
