//! Checks on a run as a whole, when everything has settled.

use std::collections::{BTreeMap, BTreeSet};

use tidings_client_core::Answer;

use super::{Checker, Done, Violation};
use crate::world::ClientId;

/// A message as its receiver had it: its text and its stamp.
type Stamped<'a> = (&'a str, u64);

impl Checker {
    /// Checks the whole run, after everything has settled.
    pub fn finish(mut self, run_is_calm: bool) -> Vec<Violation> {
        self.check_answers();
        self.check_truth();
        self.check_repeats();
        self.check_sender_order();
        self.check_channel_order();
        self.check_histories();
        if run_is_calm && self.unasked_gaps > 0 {
            self.violate(
                "gap.no_false_alarm",
                format!("{} gaps in a calm run", self.unasked_gaps),
            );
        }
        self.violations
    }

    fn check_answers(&mut self) {
        let mut violations = Vec::new();
        for (id, (client, done, at_ms)) in &self.calls {
            let paused_ms = self.paused_ms.get(client).copied().unwrap_or(0);
            let late = match self.answers.get(id) {
                None if self.dead.contains(client) => None,
                None => Some("never".to_owned()),
                Some((answered, _)) if answered - at_ms > 13_000 + paused_ms => {
                    Some(format!("after {} ms", answered - at_ms))
                }
                Some(_) => None,
            };
            if let Some(late) = late {
                violations.push(format!("{done:?} of {client:?} was answered {late}"));
            }
        }
        for text in violations {
            self.violate("call.always_answered", text);
        }
    }

    /// An answer to a peer message means what the contract says (1.1).
    fn check_truth(&mut self) {
        let received: BTreeSet<&str> = self
            .parties
            .values()
            .flat_map(|party| party.peer_texts.iter().map(|(_, text)| text.as_str()))
            .collect();
        let mut violations = Vec::new();
        for (id, (_, done, _)) in &self.calls {
            let Done::SentToPeer {
                to,
                text,
                is_offline,
            } = done
            else {
                continue;
            };
            let Some((
                _,
                Ok(Answer::PeerSent {
                    received: has_peer_received,
                }),
            )) = self.answers.get(id)
            else {
                continue;
            };
            let has_arrived = received.contains(text.as_str());
            let is_false = match (has_peer_received, is_offline) {
                (true, _) => !has_arrived,
                (false, false) => has_arrived,
                // Stored: the receiver is logged in at the end of a run, so it must have arrived by
                // then.
                (false, true) => !has_arrived,
            };
            if is_false {
                violations.push(format!(
                    "{text:?} to {to}, offline {is_offline}: answered received={has_peer_received}, \
                     arrived={has_arrived}"
                ));
            }
        }
        for text in violations {
            self.violate("ack.truthful", text);
        }
    }

    fn check_repeats(&mut self) {
        let mut violations = Vec::new();
        for (client, party) in &self.parties {
            let mut seen = BTreeSet::new();
            let texts = party.peer_texts.iter().map(|(_, text)| text);
            for text in texts.chain(party.channel_texts.iter().map(|(_, _, text)| text)) {
                if !seen.insert(text) {
                    let check = if party.stored_texts.contains(text) {
                        "inbox.dedup"
                    } else {
                        "once.server_replay"
                    };
                    violations.push((check, format!("{client:?} received {text:?} twice")));
                }
            }
        }
        for (check, text) in violations {
            self.violate(check, text);
        }
    }

    fn check_sender_order(&mut self) {
        let mut violations = Vec::new();
        for (client, party) in &self.parties {
            // By client, not by user: two logins of one user are separate sequences.
            let mut last: BTreeMap<(String, ClientId), u64> = BTreeMap::new();
            let peers = party
                .peer_texts
                .iter()
                .map(|(from, text)| (String::new(), from, text));
            let channels = party
                .channel_texts
                .iter()
                .map(|(channel, from, text)| (channel.clone(), from, text));
            for (channel, from, text) in peers.chain(channels) {
                let Some(number) = self.order.get(text) else {
                    continue;
                };
                let Some((sender, _, at_ms)) = self.calls.get(number) else {
                    continue;
                };
                // Taken by a session whose node was out of reach when its user began anew, and
                // stored when the nodes met again (decision 0039).
                let is_left_over = self.has_nodes
                    && channel.is_empty()
                    && party.stored_texts.contains(text)
                    && party.anew_ms.is_some_and(|anew_ms| *at_ms <= anew_ms);
                if is_left_over {
                    continue;
                }
                let before = last.insert((channel.clone(), *sender), *number);
                if before.is_some_and(|before| before > *number) {
                    violations.push(format!("{client:?} received {text:?} of {from} too late"));
                }
            }
        }
        for text in violations {
            self.violate("order.per_sender", text);
        }
    }

    /// No two receivers see two messages of a channel in different orders.
    fn check_channel_order(&mut self) {
        let mut violations = Vec::new();
        let mut successors: BTreeMap<((&str, u64), Stamped<'_>, Stamped<'_>), ClientId> =
            BTreeMap::new();
        for (client, party) in &self.parties {
            // Each node has an order of its own (DEL-2), and gives a message a stamp of its own: not
            // before the last one in that order. What a session has taken along to another node
            // has the order of the node where it was.
            let mut by_channel: BTreeMap<(&str, u64), Vec<Stamped<'_>>> = BTreeMap::new();
            let mut nodes = BTreeSet::new();
            for ((channel, _, text), (node, stamp)) in
                party.channel_texts.iter().zip(&party.channel_nodes)
            {
                nodes.insert(*node);
                let texts = by_channel.entry((channel, *node)).or_default();
                texts.push((text, *stamp));
            }
            let has_moved = nodes.len() > 1;
            for (channel, texts) in by_channel {
                for (at, first) in texts.iter().enumerate() {
                    // A window is enough: disorder shows between neighbours in one receiver's
                    // order.
                    for second in texts.iter().skip(at + 1).take(8) {
                        if has_moved && first.1 == second.1 {
                            // Of either node.
                            continue;
                        }
                        if let Some(other) = successors.get(&(channel, *second, *first)) {
                            violations.push(format!(
                                "{client:?} saw {:?} before {:?} in {}, {other:?} after",
                                first.0, second.0, channel.0
                            ));
                        }
                        successors.insert((channel, *first, *second), *client);
                    }
                }
            }
        }
        for text in violations {
            self.violate("order.total_channel", text);
        }
    }

    /// A history contains every message acknowledged as kept, once, in the order in which members
    /// saw them.
    fn check_histories(&mut self) {
        let mut violations = Vec::new();
        for (channel, texts) in &self.histories {
            let place: BTreeMap<&str, usize> = (texts.iter().enumerate())
                .map(|(at, text)| (text.as_str(), at))
                .collect();
            if place.len() != texts.len() {
                let text = format!("the history of {channel} has a message twice: {texts:?}");
                violations.push(("once.client_retry", text));
            }
            for (id, (client, done, _)) in &self.calls {
                let Done::SentToChannel {
                    channel: of,
                    text,
                    is_kept: true,
                } = done
                else {
                    continue;
                };
                let is_acknowledged = matches!(self.answers.get(id), Some((_, Ok(_))));
                if of == channel && is_acknowledged && !place.contains_key(text.as_str()) {
                    let text = format!("{text:?} of {client:?} is not in the history of {channel}");
                    violations.push(("ack.durable", text));
                }
            }
            // Without a log, several nodes keep one history in the order in which they write it.
            let parties = (!self.has_nodes).then_some(&self.parties);
            for (client, party) in parties.into_iter().flatten() {
                let seen = party.channel_texts.iter();
                let seen = seen.filter(|(of, _, _)| of == channel);
                let seen: Vec<(usize, &str)> = seen
                    .filter_map(|(_, _, text)| Some((*place.get(text.as_str())?, text.as_str())))
                    .collect();
                for pair in seen.windows(2) {
                    if pair[0].0 > pair[1].0 {
                        violations.push((
                            "order.total_channel",
                            format!(
                                "{client:?} saw {:?} before {:?}, the history of {channel} has them after",
                                pair[0].1, pair[1].1
                            ),
                        ));
                    }
                }
            }
        }
        for (check, text) in violations {
            self.violate(check, text);
        }
    }
}
