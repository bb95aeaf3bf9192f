//! After the faults: counts, attributes and histories agree with what clients did.

use std::collections::BTreeSet;

use tidings_client_core::{
    Answer, Attribute, AttributeWrite, Call, CallError, Conversation, HistoryRange, Message,
};

use super::*;

/// By then, everybody has been notified of a change made after the faults.
const TOLD_MS: u64 = 10_000;

impl Chaos {
    /// `presence.snapshot_equals_events`: no member believes that another one has left when it has
    /// not, or the reverse.
    pub(super) fn check_belief(
        &mut self,
        member: ClientId,
        channel: &'static str,
        truth: &BTreeSet<String>,
        uncertain: &BTreeSet<String>,
    ) {
        let believed = self.checker.believed(member, channel).unwrap_or_default();
        for (user, is_in) in believed {
            if is_in != truth.contains(&user) && !uncertain.contains(&user) {
                let text = format!("{member:?} was told last that {user} in {channel}: {is_in}");
                let check = "presence.snapshot_equals_events";
                self.checker.violate_now(check, text);
            }
        }
    }

    /// `presence.no_ghost`: each member's list names exactly the users who have joined.
    pub(super) fn check_members(&mut self, channel: &'static str) {
        let (members, uncertain) = self.members(channel);
        let is_certain = |user: &String| !uncertain.contains(user);
        let truth: BTreeSet<String> = members.iter().map(|member| self.user(member)).collect();
        for member in members {
            self.check_belief(member, channel, &truth, &uncertain);
            let call = Call::GetMembers {
                channel: channel.into(),
            };
            let listed = self.ask(member, call);
            let listed = match listed {
                Some(Ok(Answer::Users(users))) => users
                    .into_iter()
                    .filter(|user| is_certain(user))
                    .collect::<BTreeSet<_>>(),
                other => {
                    let text = format!("{member:?} got {other:?} for the members of {channel}");
                    self.checker.violate_now("presence.no_ghost", text);
                    continue;
                }
            };
            if listed != truth {
                let text = format!("{channel} has {truth:?}, {member:?} was told {listed:?}");
                self.checker.violate_now("presence.no_ghost", text);
            }
        }
    }

    /// The clients that are certainly in a channel, and the users of whom that is unknown.
    pub(super) fn members(&self, channel: &'static str) -> (Vec<ClientId>, BTreeSet<String>) {
        let uncertain: BTreeSet<String> = (self.uncertain.iter())
            .filter(|(_, of)| *of == channel)
            .map(|(client, _)| self.user(client))
            .collect();
        let is_member = |client: &ClientId| {
            let joined = self
                .joined
                .get(client)
                .is_some_and(|joined| joined.contains(channel));
            joined && !uncertain.contains(&self.user(client))
        };
        let members = self.clients.iter().copied().filter(is_member).collect();
        (members, uncertain)
    }

    /// Makes a call and waits for the answer.
    pub(super) fn ask(
        &mut self,
        client: ClientId,
        call: Call,
    ) -> Option<Result<Answer, CallError>> {
        let id = self.world.call(client, call);
        let until = self.world.now_ms() + 12_000;
        let mut answer = None;
        let mut records = Vec::new();
        self.world.run_while(until, |world| {
            records.extend(world.take_records());
            answer = records.iter().find_map(|record| match &record.what {
                Seen::Answer {
                    id: answered,
                    result,
                } if *answered == id => Some(result.clone()),
                _ => None,
            });
            answer.is_none()
        });
        for record in records {
            let is_ours = matches!(&record.what, Seen::Answer { id: of, .. } if *of == id);
            if !is_ours {
                self.checker.note(&record);
                self.invitations.note(&record);
            }
        }
        answer
    }

    /// `presence.snapshot_equals_events`: the count that a client asks for, and the last one that
    /// each member received, equal the number of members.
    pub(super) fn check_counts(&mut self, channel: &'static str) {
        let (members, uncertain) = self.members(channel);
        if !uncertain.is_empty() {
            return;
        }
        let truth = u32::try_from(members.len()).unwrap_or(u32::MAX);
        for client in self.clients.clone() {
            let channels = vec![channel.to_owned()];
            let answer = self.ask(client, Call::GetMemberCounts { channels });
            let expected = Answer::MemberCounts(vec![(channel.to_owned(), truth)]);
            if answer != Some(Ok(expected)) {
                let text = format!("{channel} has {truth} members, {client:?} got {answer:?}");
                let check = "presence.snapshot_equals_events";
                self.checker.violate_now(check, text);
            }
        }
        for member in members {
            let told = self.checker.last_count(member, channel);
            if told.is_some_and(|told| told != truth) {
                let text = format!("{channel} has {truth} members, {member:?} was told {told:?}");
                let check = "presence.snapshot_equals_events";
                self.checker.violate_now(check, text);
            }
        }
    }

    /// `order.total_channel`: all clients write at once; every member sees the order that a reader
    /// of the history finds.
    pub(super) fn check_attributes(&mut self, channel: &'static str) {
        let (members, _) = self.members(channel);
        for client in self.clients.clone() {
            let attribute = Attribute::new("k", self.text());
            let call = Call::WriteChannelAttributes {
                channel: channel.into(),
                how: AttributeWrite::Merge,
                attributes: vec![attribute],
                notify: true,
            };
            self.call(client, call, Done::Other);
        }
        self.advance(TOLD_MS);
        let Some(reader) = self.clients.first().copied() else {
            return;
        };
        let read = Call::ReadChannelAttributes {
            channel: channel.into(),
            keys: Vec::new(),
        };
        let found = match self.ask(reader, read) {
            Some(Ok(Answer::Attributes(found))) => found,
            other => {
                let text = format!("{reader:?} got {other:?} for the attributes of {channel}");
                return self.checker.violate_now("attr.no_lost_update", text);
            }
        };
        for member in members {
            let told = self.checker.last_attributes(member, channel);
            if told != Some(&found) {
                let text = format!("{channel} has {found:?}, {member:?} was told {told:?}");
                self.checker.violate_now("order.total_channel", text);
            }
        }
    }

    /// Reads the whole history, to check its order and that it contains everything acknowledged.
    pub(super) fn check_history(&mut self, channel: &'static str) {
        let (members, _) = self.members(channel);
        let Some(reader) = members.first().copied() else {
            return;
        };
        let (mut texts, mut after) = (Vec::new(), None);
        loop {
            let call = Call::ReadHistory {
                conversation: Conversation::Channel(channel.into()),
                range: HistoryRange {
                    after,
                    ..HistoryRange::default()
                },
            };
            let page = match self.ask(reader, call) {
                Some(Ok(Answer::History(page))) => page,
                other => {
                    let text = format!("{reader:?} got {other:?} for the history of {channel}");
                    return self.checker.violate_now("ack.durable", text);
                }
            };
            texts.extend(
                page.messages
                    .into_iter()
                    .filter_map(|kept| match kept.message {
                        Message::Text(text) => Some(text),
                        _ => None,
                    }),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.checker.note_history(channel, texts);
    }
}
