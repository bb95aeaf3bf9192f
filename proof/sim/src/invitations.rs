//! Random call invitations, and the checks on them: both sides agree, nothing gets stuck, nothing
//! comes early.
//!
//! Each invitation has unique content, which links its two sides.

use std::collections::{BTreeMap, BTreeSet};

use tidings_client_core::{
    Answer, Call, CallId, ClientEvent, ConnectionState, InvitationCall, InvitationId,
    LocalInvitationFailure, LocalInvitationNews, RemoteInvitationFailure, RemoteInvitationNews,
};

use crate::checks::Violation;
use crate::random::Random;
use crate::world::{ClientId, Record, Seen};

/// An invitation as its caller sees it.
#[derive(Debug)]
struct Sent {
    client: ClientId,
    /// Known once the call has been answered.
    number: Option<u64>,
    since_ms: u64,
    end: Option<LocalInvitationNews>,
}

/// An invitation as its callee sees it.
#[derive(Debug, Default)]
struct Come {
    /// It rings, or is being accepted.
    is_open: bool,
    is_accepting: bool,
    ends: Vec<RemoteInvitationNews>,
}

/// All invitations of a run.
#[derive(Debug, Default)]
pub struct Invitations {
    /// Sent invitations by their content, which is unique.
    sent: BTreeMap<String, Sent>,
    calls: BTreeMap<CallId, String>,
    /// By content and callee: a user's second client counts as another callee.
    come: BTreeMap<(String, ClientId), Come>,
    /// Clients whose user has logged in elsewhere: they get no further events.
    replaced: BTreeSet<ClientId>,
    /// The content of the invitations that each client was sent.
    contents: BTreeMap<(ClientId, InvitationId), String>,
    violations: Vec<Violation>,
    is_judged: bool,
}

impl Invitations {
    /// Draws what a client does about invitations: decide, cancel or send one.
    pub fn draw(&self, client: ClientId, users: u64, random: &mut Random) -> InvitationCall {
        let open = self.contents.iter().find(|((callee, _), content)| {
            *callee == client
                && self
                    .come
                    .get(&((*content).clone(), client))
                    .is_some_and(|come| come.is_open && !come.is_accepting)
        });
        if let Some(((_, id), _)) = open
            && random.percent(60)
        {
            let (id, response) = (id.clone(), "response".to_owned());
            return if random.percent(70) {
                InvitationCall::Accept { id, response }
            } else {
                InvitationCall::Refuse { id, response }
            };
        }
        let running = self
            .sent
            .values()
            .find(|sent| sent.client == client && sent.end.is_none());
        if let Some(number) = running.and_then(|sent| sent.number)
            && random.percent(40)
        {
            return InvitationCall::Cancel { number };
        }
        InvitationCall::Invite {
            callee_id: format!("u{}", random.between(0, users - 1)),
            content: format!("invitation {}", self.sent.len()),
            channel: String::new(),
        }
    }

    /// Records that a client has made a call.
    pub fn note_call(&mut self, at_ms: u64, client: ClientId, id: CallId, call: &Call) {
        match call {
            Call::Invitation(InvitationCall::Invite { content, .. }) => {
                let sent = Sent {
                    client,
                    number: None,
                    since_ms: at_ms,
                    end: None,
                };
                self.sent.insert(content.clone(), sent);
                self.calls.insert(id, content.clone());
            }
            Call::Invitation(InvitationCall::Accept { id, .. }) => {
                let content = self.contents.get(&(client, id.clone())).cloned();
                let come = content.and_then(|content| self.come.get_mut(&(content, client)));
                if let Some(come) = come {
                    come.is_accepting = true;
                }
            }
            _ => {}
        }
    }

    /// Records that a client has seen something.
    pub fn note(&mut self, record: &Record) {
        if self.is_judged {
            return;
        }
        match &record.what {
            Seen::Answer { id, result } => {
                let Some(content) = self.calls.remove(id) else {
                    return;
                };
                match result {
                    Ok(Answer::Invited { number }) => {
                        if let Some(sent) = self.sent.get_mut(&content) {
                            sent.number = Some(*number);
                        }
                    }
                    // No such invitation was sent.
                    _ => drop(self.sent.remove(&content)),
                }
            }
            Seen::Event(ClientEvent::LocalInvitation { number, news, .. }) => {
                self.note_local(record, *number, news);
            }
            Seen::Event(ClientEvent::RemoteInvitation { id, news, .. }) => {
                self.note_remote(record.client, id, news);
            }
            Seen::Event(ClientEvent::StateChanged { state, .. }) => {
                if *state == ConnectionState::Aborted {
                    self.replaced.insert(record.client);
                }
            }
            Seen::Event(_) => {}
        }
    }

    fn note_local(&mut self, record: &Record, number: u64, news: &LocalInvitationNews) {
        let is_it = |sent: &&mut Sent| sent.client == record.client && sent.number == Some(number);
        let Some(sent) = self.sent.values_mut().find(is_it) else {
            let text = format!("{:?} was told {news:?} of {number}", record.client);
            return self.violate("invite.one_terminal", text);
        };
        if let Some(end) = &sent.end {
            let text = format!(
                "{:?} was told {news:?} of {number} after {end:?}",
                record.client
            );
            return self.violate("invite.one_terminal", text);
        }
        let least_ms = match news {
            LocalInvitationNews::Received => return,
            LocalInvitationNews::Failed(LocalInvitationFailure::InvitationExpire) => 60_000,
            LocalInvitationNews::Failed(LocalInvitationFailure::PeerNoResponse) => 30_000,
            _ => 0,
        };
        let after_ms = record.at_ms - sent.since_ms;
        sent.end = Some(news.clone());
        if after_ms < least_ms {
            let text = format!("{news:?} of {number} after {after_ms} ms");
            self.violate("invite.timer_not_early", text);
        }
    }

    fn note_remote(&mut self, client: ClientId, id: &InvitationId, news: &RemoteInvitationNews) {
        let key = (client, id.clone());
        if let RemoteInvitationNews::Received { content, .. } = news {
            self.contents.insert(key, content.clone());
            let come = self.come.entry((content.clone(), client)).or_default();
            let is_lost = |end: &RemoteInvitationNews| {
                *end == RemoteInvitationNews::Failed(RemoteInvitationFailure::Unknown)
            };
            // Only a lost session may let an invitation ring again.
            let is_again = come.is_open || !come.ends.iter().all(is_lost);
            come.is_open = true;
            come.is_accepting = false;
            if is_again {
                let text = format!("{client:?} was rung again by {content:?}");
                self.violate("invite.no_ring_after_end", text);
            }
            return;
        }
        let Some(come) = self
            .contents
            .get(&key)
            .and_then(|content| self.come.get_mut(&(content.clone(), client)))
        else {
            let text = format!("{client:?} was told {news:?} of what has not rung");
            return self.violate("invite.one_terminal", text);
        };
        if !std::mem::replace(&mut come.is_open, false) {
            let text = format!("{client:?} was told {news:?} after {:?}", come.ends);
            self.violate("invite.one_terminal", text);
            return;
        }
        come.ends.push(news.clone());
    }

    fn violate(&mut self, check: &'static str, text: String) {
        self.violations.push(Violation { check, text });
    }

    /// What the check has found.
    pub fn finish(self) -> Vec<Violation> {
        self.violations
    }

    /// Checks the whole run, long after the last fault. What clients received last is the outcome.
    /// Where the disk has failed, an end that cannot be recorded is still announced (decision
    /// 0006), and a restart finds the invitation open.
    pub fn judge(&mut self, is_disk_broken: bool) {
        self.is_judged = true;
        let mut found = Vec::new();
        for (content, sent) in &self.sent {
            if self.replaced.contains(&sent.client) {
                continue;
            }
            let Some(end) = &sent.end else {
                let text = format!("{content:?} of {:?} has not ended", sent.client);
                found.push(("invite.never_stuck", text));
                continue;
            };
            let come: Vec<&Come> = (self.come.iter())
                .filter(|((of, callee), _)| of == content && !self.replaced.contains(callee))
                .map(|(_, come)| come)
                .collect();
            if come.iter().any(|come| come.is_open) {
                let text = format!("{content:?} ended with {end:?} and still rings");
                found.push(("invite.never_stuck", text));
            }
            let ends = (self.come.iter()).filter(|((of, _), _)| of == content);
            let last: Vec<_> = ends.filter_map(|(_, come)| come.ends.last()).collect();
            let is_accepted_there = last.contains(&&RemoteInvitationNews::Accepted);
            let has_replaced_callee = (self.come.keys())
                .any(|(of, callee)| of == content && self.replaced.contains(callee));
            // A side whose session was lost has received nothing, and has not decided.
            let agrees = match end {
                LocalInvitationNews::Accepted(_) => {
                    let lost = RemoteInvitationNews::Failed(RemoteInvitationFailure::Unknown);
                    is_accepted_there || last.contains(&&lost) || has_replaced_callee
                }
                LocalInvitationNews::Failed(LocalInvitationFailure::NotLoggedIn) => true,
                _ => !is_accepted_there,
            };
            if !agrees && !is_disk_broken {
                let text = format!("{content:?}: the caller saw {end:?}, the callee {last:?}");
                found.push(("invite.agreement", text));
            }
        }
        for (check, text) in found {
            self.violate(check, text);
        }
    }

    /// A client has died, or its session has ended: it gets no further events.
    pub fn note_dead(&mut self, client: ClientId) {
        self.replaced.insert(client);
    }

    /// Whether a callee has accepted what its caller had cancelled.
    pub fn has_accepted_while_canceled(&self) -> bool {
        let is_canceled = |content: &String| {
            self.sent
                .get(content)
                .is_some_and(|sent| sent.end == Some(LocalInvitationNews::Canceled))
        };
        (self.come.iter()).any(|((content, _), come)| come.is_accepting && is_canceled(content))
    }

    /// How many invitations were accepted on both sides.
    pub fn accepted(&self) -> usize {
        let is_accepted = |come: &&Come| come.ends.last() == Some(&RemoteInvitationNews::Accepted);
        self.come.values().filter(is_accepted).count()
    }
}
