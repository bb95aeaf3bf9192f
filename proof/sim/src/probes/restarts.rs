//! A planned restart: clients lose nothing that they have, were promised or are owed.

use tidings_client_core::{
    Answer, Call, ClientEvent, InvitationCall, InvitationId, LocalInvitationNews,
    RemoteInvitationNews,
};
use tidings_hub::ids::ConnectionId;
use tidings_wire::proto::server_message::Kind;

use super::Probe;
use super::sessions::to_channel;
use crate::world::{ClientId, Seen};

/// Requests of a client that were executed before the restart, without the client having confirmed
/// anything.
const EXECUTED: u64 = 6;
/// How long the server is down, in milliseconds.
const AWAY_MS: u64 = 4_000;
/// Time for clients' attempts and what follows, in milliseconds.
const BACK_MS: u64 = 40_000;

impl Probe {
    /// `drain.no_loss`: a client that confirmed nothing gets every frame again, none of its
    /// requests is executed again, it is still a member, and the numbers continue.
    pub(super) fn restart_of_a_silent_client(&mut self) {
        let watcher = self.log_in("carol");
        self.join(watcher);
        let (line, welcome) = self.raw_joined(0, "bob");
        for cseq in 2..=EXECUTED {
            self.world
                .request_raw(line, cseq, to_channel(&format!("m{cseq}")));
            self.send(watcher, format!("w{cseq}"));
            self.advance(500);
        }
        let before = self.owned(line);
        self.restart();
        let again = self.world.open_raw(1);
        self.world.resume_raw(again, "bob", &welcome);
        self.advance(1_000);
        let after = self.owned(again);
        if after != before {
            let text = format!("bob was owed {before:?}, and has got {after:?}");
            self.violate("drain.no_loss", text);
        }
        let known = self.world.resumed(again).map(|resumed| resumed.cseq);
        if known != Some(EXECUTED) {
            let text = format!("{EXECUTED} requests were executed, the resume says {known:?}");
            self.violate("drain.no_loss", text);
        }
        for cseq in [EXECUTED, EXECUTED + 1] {
            self.world
                .request_raw(again, cseq, to_channel(&format!("m{cseq}")));
        }
        self.advance(BACK_MS);
        let is_of_bob = |event: &&ClientEvent| matches!(event, ClientEvent::ChannelMessage { from, .. } if from == "bob");
        let heard = self.events(watcher).filter(is_of_bob).count() as u64;
        // The first request was the join; the last one arrived after the restart.
        if heard != EXECUTED {
            let text = format!("carol has got {heard} messages of bob, who has sent {EXECUTED}");
            self.violate("drain.no_loss", text);
        }
    }

    fn owned(&self, line: ConnectionId) -> Vec<Kind> {
        self.world.numbered(line).into_iter().cloned().collect()
    }

    /// `drain.no_loss`, `presence.no_flap_on_resume`: an invitation keeps ringing, members stay
    /// members and nobody sees them go or come, and what is stored arrives once.
    pub(super) fn restart_of_a_company(&mut self) {
        let (alice, carol) = (self.log_in("alice"), self.log_in("carol"));
        for client in [alice, carol] {
            self.join(client);
        }
        let kept = self.send_stored(alice, "dave", "kept".into());
        let invite = InvitationCall::Invite {
            callee_id: "carol".into(),
            content: String::new(),
            channel: String::new(),
        };
        self.world.call(alice, Call::Invitation(invite));
        self.advance(1_000);
        let seen = self.records.len();
        self.restart();
        self.advance(BACK_MS);
        if let Some(id) = self.ringing(carol) {
            let response = String::new();
            let accept = InvitationCall::Accept { id, response };
            self.world.call(carol, Call::Invitation(accept));
        }
        let dave = self.log_in("dave");
        self.advance(2_000);
        let list = Call::GetMembers {
            channel: "room".into(),
        };
        let listed = self.world.call(carol, list);
        self.advance(1_000);
        self.judge_company(alice, seen);
        if !self.is_stored(kept) || self.peer_texts(dave) != ["kept"] {
            let text = format!("dave has got {:?}", self.peer_texts(dave));
            self.violate("drain.no_loss", text);
        }
        let answer = self.answer_to(listed).cloned();
        let is_whole = matches!(&answer, Some(Ok(Answer::Users(users))) if users.len() == 2);
        if !is_whole {
            let text = format!("of two members {answer:?} are left");
            self.violate("drain.no_loss", text);
        }
    }

    /// `invite.never_stuck`: a callee learns of a cancellation at once, not only when the ring is
    /// next checked.
    pub(super) fn canceled_call(&mut self) {
        let (alice, carol) = (self.log_in("alice"), self.log_in("carol"));
        let invite = InvitationCall::Invite {
            callee_id: "carol".into(),
            content: String::new(),
            channel: String::new(),
        };
        for call in [invite, InvitationCall::Cancel { number: 1 }] {
            self.world.call(alice, Call::Invitation(call));
            self.advance(1_000);
        }
        let is_end = |event: &ClientEvent| {
            let news = RemoteInvitationNews::Canceled;
            matches!(event, ClientEvent::RemoteInvitation { news: told, .. } if *told == news)
        };
        if !self.events(carol).any(is_end) {
            let text = "an invitation rings on a second after it was cancelled".to_owned();
            self.violate("invite.never_stuck", text);
        }
    }

    /// The end of the call, and the events that nobody may have seen since.
    fn judge_company(&mut self, caller: ClientId, since: usize) {
        let is_agreed = |event: &ClientEvent| {
            let accepted = LocalInvitationNews::Accepted(String::new());
            matches!(event, ClientEvent::LocalInvitation { news, .. } if *news == accepted)
        };
        if !self.events(caller).any(is_agreed) {
            let text = "the caller was not told that the callee has accepted".to_owned();
            self.violate("drain.no_loss", text);
        }
        let events = self.records[since..].iter();
        let found = events.filter_map(|record| match &record.what {
            Seen::Event(event @ ClientEvent::Gap { .. }) => {
                Some(("drain.no_loss", format!("{:?}: {event:?}", record.client)))
            }
            Seen::Event(
                event @ (ClientEvent::MemberLeft { .. } | ClientEvent::MemberJoined { .. }),
            ) => Some((
                "presence.no_flap_on_resume",
                format!("{:?}: {event:?}", record.client),
            )),
            _ => None,
        });
        for (check, text) in found.collect::<Vec<_>>() {
            self.violate(check, text);
        }
    }

    /// The invitation that rings at a client.
    fn ringing(&self, callee: ClientId) -> Option<InvitationId> {
        self.events(callee).find_map(|event| match event {
            ClientEvent::RemoteInvitation {
                id,
                news: RemoteInvitationNews::Received { .. },
                ..
            } => Some(id.clone()),
            _ => None,
        })
    }

    fn restart(&mut self) {
        self.world.drain_server();
        let is_kept = self.world.stop_server();
        self.advance(AWAY_MS);
        if !self.world.start_server() || !is_kept {
            let text = "the next process has not taken the sessions over".to_owned();
            self.violate("drain.no_loss", text);
        }
    }
}
