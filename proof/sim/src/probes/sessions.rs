//! Promises about sessions and logins, checked with hand-written clients: repeated requests,
//! resumes, secrets, tokens.

use tidings_hub::ids::ConnectionId;
use tidings_token::{NewAccess007, Service, build_007};
use tidings_wire::codes::Outcome;
use tidings_wire::proto::{
    AcceptInvitation, InvitationEnd, Invite, Join, Logout, Message, ReadHistory, SendToChannel,
    Welcome, client_message, message, read_history, reply, request::Call, server_message::Kind,
};

use super::{CERTIFICATE, OTHER_CERTIFICATE, Probe};
use crate::world::APP_ID;

/// More requests than may be open at once: no window of recent ones is long enough.
const REQUESTS: u64 = 300;
/// Number of frames within which a resume must start at the right one.
const SENT: u64 = 9;

fn text(text: &str) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text(text.to_owned().into())),
        ..Message::default()
    })
}

fn join() -> Call {
    let channel = "room".into();
    Call::Join(Join { channel })
}

pub(super) fn to_channel(body: &str) -> Call {
    Call::SendToChannel(SendToChannel {
        channel: "room".into(),
        message: text(body),
        history: true,
    })
}

fn text_of(kind: &Kind) -> Option<String> {
    let Kind::ChannelMessage(message) = kind else {
        return None;
    };
    match &message.message.as_ref()?.body {
        Some(message::Body::Text(text)) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    }
}

/// A 007 token of the probes' app, for one user.
pub(super) fn token(user: &str, certificate: &str, issued_s: u64, lifetime_s: u32) -> String {
    build_007(&NewAccess007 {
        app_id: APP_ID,
        certificate,
        issued_at_unix_s: u32::try_from(issued_s).unwrap_or(u32::MAX),
        lifetime_s,
        salt: 1,
        services: &[Service::rtm(user, lifetime_s)],
    })
    .unwrap_or_default()
}

impl Probe {
    pub(super) fn raw_login(&mut self, hub: u16, user: &str) -> (ConnectionId, Welcome) {
        self.raw_login_with(hub, user, "")
    }

    fn raw_login_with(&mut self, hub: u16, user: &str, token: &str) -> (ConnectionId, Welcome) {
        let line = self.world.open_raw(hub);
        self.world.login_raw(line, user, token);
        self.advance(1_000);
        let welcome = self.world.welcome(line).unwrap_or_default();
        if welcome.session_id.is_empty() {
            self.violate("call.always_answered", format!("{user} was not let in"));
        }
        (line, welcome)
    }

    pub(super) fn raw_joined(&mut self, hub: u16, user: &str) -> (ConnectionId, Welcome) {
        let (line, welcome) = self.raw_login(hub, user);
        self.world.request_raw(line, 1, join());
        self.advance(1_000);
        (line, welcome)
    }

    fn texts(&self, line: ConnectionId) -> Vec<String> {
        self.world.kinds(line).iter().filter_map(text_of).collect()
    }

    /// `once.client_retry`, `once.reply_cache_hit`: repeated requests, on the same connection and
    /// after a resume, are not executed again; their replies are sent again.
    pub(super) fn repeated_requests(&mut self) {
        let (watcher, _) = self.raw_joined(0, "bob");
        let (line, welcome) = self.raw_joined(0, "alice");
        for cseq in 2..=REQUESTS {
            self.world
                .request_raw(line, cseq, to_channel(&format!("m{cseq}")));
            self.advance(5);
        }
        for cseq in [2, REQUESTS] {
            self.world
                .request_raw(line, cseq, to_channel(&format!("m{cseq}")));
        }
        self.advance(500);
        let again = self.world.open_raw(1);
        self.world.resume_raw(again, "alice", &welcome);
        self.advance(500);
        let known = self.world.resumed(again).map(|resumed| resumed.cseq);
        if known != Some(REQUESTS) {
            let text = format!("{REQUESTS} requests were executed, the resume says {known:?}");
            self.violate("once.client_retry", text);
        }
        for cseq in [REQUESTS, 3] {
            self.world
                .request_raw(again, cseq, to_channel(&format!("m{cseq}")));
        }
        self.advance(1_000);
        let texts = self.texts(watcher);
        let sent: Vec<String> = (2..=REQUESTS).map(|cseq| format!("m{cseq}")).collect();
        if texts != sent {
            let extra = texts.get(sent.len()..);
            let text = format!("messages were sent again, and came again: {extra:?}");
            self.violate("once.client_retry", text);
        }
        for cseq in 1..=REQUESTS {
            let replies = self.world.replies(again, cseq);
            let is_done = |reply: &&&tidings_wire::proto::Reply| {
                matches!(reply.result, Some(reply::Result::Done(_)))
            };
            let done = replies.iter().filter(is_done).count();
            if done != 1 || replies.len() != 1 {
                let text = format!("request {cseq} was answered {replies:?} after a resume");
                self.violate("once.reply_cache_hit", text);
            }
        }
        // An impossible number: the client counts another session.
        self.world
            .request_raw(again, REQUESTS + 3, to_channel("none"));
        self.advance(500);
        if !self.world.is_closed(again) {
            let text = "a request out of order left the connection open".to_owned();
            self.violate("once.client_retry", text);
        }
    }

    /// `once.client_retry`: a request that is waiting for something while its client resumes is not
    /// executed again.
    pub(super) fn resume_in_the_middle(&mut self) {
        let (watcher, _) = self.raw_joined(0, "bob");
        let (line, welcome) = self.raw_joined(0, "alice");
        self.world.request_raw(line, 2, to_channel("m2"));
        let again = self.world.open_raw(0);
        self.world.resume_raw(again, "alice", &welcome);
        let known = self.world.resumed(again).map_or(0, |resumed| resumed.cseq);
        for cseq in known + 1..=2 {
            self.world
                .request_raw(again, cseq, to_channel(&format!("m{cseq}")));
        }
        self.advance(2_000);
        let texts = self.texts(watcher);
        if texts != ["m2"] {
            let text = format!("one message was sent, {texts:?} came");
            self.violate("once.client_retry", text);
        }
    }

    /// `once.reply_cache_hit`: a reply that arises without a connection waits for the next one.
    pub(super) fn reply_without_connection(&mut self) {
        let (line, welcome) = self.raw_joined(0, "alice");
        self.world.request_raw(line, 2, to_channel("m2"));
        self.world.break_raw(line);
        self.advance(2_000);
        let again = self.world.open_raw(0);
        self.world.resume_raw(again, "alice", &welcome);
        self.advance(500);
        let replies = self.world.replies(again, 2).len();
        if replies != 1 {
            let text = format!("request 2 was answered {replies} times after a resume");
            self.violate("once.reply_cache_hit", text);
        }
    }

    /// `resume.contiguous`: a resume sends everything after what has been processed.
    pub(super) fn resume_place(&mut self) {
        let (sender, _) = self.raw_joined(1, "alice");
        let (line, welcome) = self.raw_joined(0, "bob");
        for n in 1..=SENT {
            self.world
                .request_raw(sender, n + 1, to_channel(&format!("m{n}")));
            self.advance(50);
        }
        self.advance(500);
        let before: Vec<Kind> = self.world.numbered(line).into_iter().cloned().collect();
        let mut welcome = welcome;
        for processed in [2, 5, before.len()] {
            let again = self.world.open_raw(0);
            let confirm = processed as u64;
            (self.world).resume_raw_from(again, "bob", &welcome, confirm, "");
            self.advance(500);
            let Some(resumed) = self.world.resumed(again) else {
                let refused = self.world.refused(again);
                let text = format!("a resume after {processed} was answered {refused:?}");
                self.violate("resume.contiguous", text);
                return;
            };
            welcome.secret = resumed.secret;
            let after: Vec<&Kind> = self.world.numbered(again);
            if after
                .iter()
                .ne(before[processed..].iter().collect::<Vec<_>>().iter())
            {
                let text = format!(
                    "{processed} of {} were processed, a resume sent {} of {} others",
                    before.len(),
                    after.len(),
                    before.len() - processed
                );
                self.violate("resume.contiguous", text);
            }
        }
    }

    /// `session.single_connection`: input on an older connection of a session is ignored.
    pub(super) fn older_connection(&mut self) {
        let (watcher, _) = self.raw_joined(0, "bob");
        let (line, welcome) = self.raw_joined(0, "alice");
        let again = self.world.open_raw(0);
        self.world.resume_raw(again, "alice", &welcome);
        self.advance(500);
        self.world.request_raw(line, 2, to_channel("late"));
        self.advance(500);
        let texts = self.texts(watcher);
        if !texts.is_empty() || !self.world.is_closed(line) {
            let text = format!("an older connection was served: {texts:?}");
            self.violate("session.single_connection", text);
        }
    }

    /// `auth.resume_secret`: nobody but its owner can resume a session.
    pub(super) fn wrong_secret(&mut self) {
        let (_, mut welcome) = self.raw_login(0, "alice");
        let mut secret = welcome.secret.to_vec();
        if let Some(last) = secret.last_mut() {
            *last ^= 1;
        }
        welcome.secret = secret.into();
        let line = self.world.open_raw(0);
        self.world.resume_raw(line, "alice", &welcome);
        self.advance(500);
        let outcome = self.outcome(line);
        if outcome != Some(Outcome::SecretWrong as u32) {
            let text = format!("a resume with a wrong secret was answered {outcome:?}");
            self.violate("auth.resume_secret", text);
        }
    }

    /// `auth.resume_secret`: the old secret stays valid until the first frame on the new
    /// connection, because the new one may be lost; after that it is not.
    pub(super) fn lost_resume(&mut self) {
        let (_, welcome) = self.raw_login(0, "alice");
        let lost = self.world.open_raw(0);
        self.world.resume_raw(lost, "alice", &welcome);
        let second = self.world.open_raw(0);
        self.world.resume_raw(second, "alice", &welcome);
        self.advance(500);
        if self.world.resumed(second).is_none() {
            let text = "a client whose resume was answered in vain cannot resume".to_owned();
            self.violate("auth.resume_secret", text);
        }
        self.world.request_raw(second, 1, join());
        self.advance(500);
        let third = self.world.open_raw(0);
        self.world.resume_raw(third, "alice", &welcome);
        self.advance(500);
        if self.world.resumed(third).is_some() {
            let text =
                "a secret that was replaced, and whose successor was used, is good".to_owned();
            self.violate("auth.resume_secret", text);
        }
    }

    pub(super) fn outcome(&self, line: ConnectionId) -> Option<u32> {
        Some(self.world.refused(line)?.error?.outcome)
    }

    /// `auth.no_action_before_login`: a request before login is not executed, and ends the
    /// connection.
    pub(super) fn stranger(&mut self) {
        let (watcher, _) = self.raw_joined(0, "bob");
        let (_, _) = self.raw_joined(0, "alice");
        for cseq in [1, 2] {
            let line = self.world.open_raw(0);
            self.world
                .request_raw(line, cseq, to_channel("from nobody"));
            self.advance(500);
            let has_come = !self.texts(watcher).is_empty() || !self.world.kinds(line).is_empty();
            if has_come || !self.world.is_closed(line) {
                let text = format!("request {cseq} was taken before a login");
                self.violate("auth.no_action_before_login", text);
            }
        }
        // Not even a pong, because the connection is not logged in.
        let line = self.world.open_raw(0);
        let ping = client_message::Kind::Ping(tidings_wire::proto::Ping {});
        self.world.send_raw(line, ping, 0);
        self.advance(500);
        if !self.world.kinds(line).is_empty() {
            let text = "a ping before a login was answered".to_owned();
            self.violate("auth.no_action_before_login", text);
        }
    }

    /// `auth.vectors`: of six tokens, one is valid.
    pub(super) fn tokens(&mut self) {
        let now_s = self.world.unix_ms() / 1_000;
        let good = token("alice", CERTIFICATE, now_s, 600);
        let mut damaged = good.clone().into_bytes();
        if let Some(middle) = damaged.get_mut(good.len() / 2) {
            *middle = if *middle == b'A' { b'B' } else { b'A' };
        }
        let tokens = [
            (good.as_str(), true, "a good token"),
            ("", false, "no token"),
            (
                &token("bob", CERTIFICATE, now_s, 600),
                false,
                "another user's token",
            ),
            (
                &token("alice", OTHER_CERTIFICATE, now_s, 600),
                false,
                "another key's token",
            ),
            (
                &token("alice", CERTIFICATE, now_s - 700, 600),
                false,
                "a token that is over",
            ),
            (&String::from_utf8_lossy(&damaged), false, "a damaged token"),
        ];
        for (token, is_good, what) in tokens {
            let line = self.world.open_raw(0);
            self.world.login_raw(line, "alice", token);
            self.advance(1_500);
            if self.world.welcome(line).is_some() != is_good {
                let text = format!("{what}: let in {}", !is_good);
                self.violate("auth.vectors", text);
            }
        }
    }

    /// `auth.expired_is_out`: a session ends with its token, and cannot be resumed with it.
    pub(super) fn token_end(&mut self) {
        let now_s = self.world.unix_ms() / 1_000;
        let of = |user| token(user, CERTIFICATE, now_s, 60);
        let (line, _) = self.raw_login_with(0, "alice", &of("alice"));
        let (_, welcome) = self.raw_login_with(1, "bob", &of("bob"));
        for _ in 0..65 {
            // Both keep sending: only the token's expiry can end them.
            self.world.send_raw(
                line,
                client_message::Kind::Pong(tidings_wire::proto::Pong {}),
                0,
            );
            self.advance(1_000);
        }
        if !self.world.is_closed(line) {
            let text = "a session is served after the end of its token".to_owned();
            self.violate("auth.expired_is_out", text);
        }
        let again = self.world.open_raw(0);
        self.world.resume_raw(again, "bob", &welcome);
        self.advance(500);
        if self.world.resumed(again).is_some() {
            let text = "a session was resumed after the end of its token".to_owned();
            self.violate("auth.expired_is_out", text);
        }
    }

    /// `authz.member_only`, `authz.replay`: a user who is not in a channel can neither write to it
    /// nor read its history.
    pub(super) fn outsider(&mut self) {
        let (watcher, _) = self.raw_joined(0, "bob");
        self.world
            .request_raw(watcher, 2, to_channel("of the members"));
        let (line, _) = self.raw_login(0, "eve");
        self.world.request_raw(line, 1, to_channel("from outside"));
        let conversation = Some(read_history::Conversation::Channel("room".into()));
        let read = ReadHistory {
            conversation,
            ..ReadHistory::default()
        };
        self.world.request_raw(line, 2, Call::ReadHistory(read));
        self.advance(1_000);
        if !self.texts(watcher).is_empty() || !self.is_error(line, 1) {
            let text = "eve has written to a channel that she is not in".to_owned();
            self.violate("authz.member_only", text);
        }
        if !self.is_error(line, 2) {
            let text = "eve has read the history of a channel that she is not in".to_owned();
            self.violate("authz.replay", text);
        }
    }

    fn is_error(&self, line: ConnectionId, cseq: u64) -> bool {
        let replies = self.world.replies(line, cseq);
        let is_error = |reply: &&tidings_wire::proto::Reply| {
            matches!(reply.result, Some(reply::Result::Error(_)))
        };
        !replies.is_empty() && replies.into_iter().all(|reply| is_error(&reply))
    }

    /// `invite.agreement`: the callee's session ends while it rings; the caller learns of it at
    /// once.
    pub(super) fn callee_gone(&mut self) {
        let (caller, _) = self.raw_login(0, "alice");
        let (callee, _) = self.raw_login(1, "bob");
        let invite = Invite {
            number: 1,
            callee_id: "bob".into(),
            ..Invite::default()
        };
        self.world.request_raw(caller, 1, Call::Invite(invite));
        self.advance(500);
        let have = self.world.numbered(callee).len() as u64;
        let pong = client_message::Kind::Pong(tidings_wire::proto::Pong {});
        self.world.send_raw(callee, pong, have);
        self.advance(500);
        self.world.request_raw(callee, 1, Call::Logout(Logout {}));
        self.advance(1_000);
        let end = self.world.kinds(caller).iter().find_map(|kind| match kind {
            Kind::LocalInvitationEnded(ended) => Some(ended.end),
            _ => None,
        });
        if end != Some(InvitationEnd::CalleeGone.into()) {
            let text = format!("the callee has logged out while it rang; the caller got {end:?}");
            self.violate("invite.agreement", text);
        }
    }

    /// `session.single_owner`: a client whose user has logged in elsewhere learns of it on its
    /// return, and does not take the user back.
    pub(super) fn replaced_login(&mut self) {
        let (line, welcome) = self.raw_login(0, "alice");
        self.world.break_raw(line);
        let (second, _) = self.raw_login(1, "alice");
        for hub in [0, 1] {
            let again = self.world.open_raw(hub);
            self.world.resume_raw(again, "alice", &welcome);
            self.advance(1_000);
            let outcome = self.outcome(again);
            if outcome != Some(Outcome::RemoteLogin as u32) || self.world.is_closed(second) {
                let text = format!("the resume of a replaced login was answered {outcome:?}");
                self.violate("session.single_owner", text);
            }
        }
    }

    /// `authz.self_only`: nobody can answer another user's call.
    pub(super) fn anothers_call(&mut self) {
        let (caller, _) = self.raw_login(0, "alice");
        let (callee, _) = self.raw_login(0, "bob");
        let (eve, _) = self.raw_login(0, "eve");
        let invite = Invite {
            number: 1,
            callee_id: "bob".into(),
            ..Invite::default()
        };
        self.world.request_raw(caller, 1, Call::Invite(invite));
        self.advance(1_000);
        let id = self.world.kinds(callee).iter().find_map(|kind| match kind {
            Kind::IncomingInvitation(came) => Some(came.id.clone()),
            _ => None,
        });
        let Some(id) = id else {
            let text = "the invitation has not come".to_owned();
            return self.violate("invite.never_stuck", text);
        };
        let accept = AcceptInvitation {
            id,
            ..AcceptInvitation::default()
        };
        self.world
            .request_raw(eve, 1, Call::AcceptInvitation(accept));
        self.advance(1_000);
        let is_asked = |kind: &Kind| matches!(kind, Kind::AcceptAsked(_));
        if self.world.kinds(caller).iter().any(is_asked) {
            let text = "eve has accepted a call to bob".to_owned();
            self.violate("authz.self_only", text);
        }
    }
}
