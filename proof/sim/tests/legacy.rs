//! Legacy and RTM users of one app, in virtual time: the parts of interworking that take seconds
//! and minutes. Each with the users on one hub and on two.

use serde_json::{Value, json};
use tidings_client_core::{
    Call, ClientEvent, InvitationCall, LocalInvitationFailure, LocalInvitationNews, Message,
    RemoteInvitationFailure, RemoteInvitationNews,
};
use tidings_sim::legacy::LegacySeen;
use tidings_sim::world::{ClientId, Seen, World, WorldConfig};

/// One user of each protocol; either may be away.
struct Pair {
    world: World,
    old: ClientId,
    new: ClientId,
    /// Observations before this time do not count.
    since_ms: u64,
}

impl Pair {
    /// Runs a test with both placements.
    fn in_both(test: impl Fn(&mut Self)) {
        for other_hub in [0, 1] {
            let mut world = World::new(WorldConfig::new(7, 2));
            let old = world.add_legacy("old");
            let new = world.add_client();
            world.place(old, 0);
            world.place(new, other_hub);
            let since_ms = 0;
            test(&mut Self {
                world,
                old,
                new,
                since_ms,
            });
        }
    }

    fn wait(&mut self, ms: u64) {
        let until = self.world.now_ms() + ms;
        self.world.run_until(until);
    }

    fn old_logs_in(&mut self) {
        self.world.legacy_login(self.old);
        self.wait(1_000);
        assert!(self.world.is_legacy_ready(self.old));
    }

    fn new_logs_in(&mut self) {
        self.world.login(self.new, "new", "");
        self.wait(1_000);
    }

    fn both_log_in(&mut self) {
        self.old_logs_in();
        self.new_logs_in();
        self.begin();
    }

    /// Disregards everything seen so far.
    fn begin(&mut self) {
        self.world.take_records();
        self.world.take_legacy_records();
        self.since_ms = self.world.now_ms();
    }

    fn old_calls(&mut self, function: &str, args: Value) {
        let call = self.world.legacy_call(self.old, function, args);
        assert!(call.is_some(), "the legacy user is logged in");
    }

    fn new_invites(&mut self, channel: &str) {
        let invite = InvitationCall::Invite {
            callee_id: "old".into(),
            content: "come".into(),
            channel: channel.into(),
        };
        self.world.call(self.new, Call::Invitation(invite));
    }

    /// The events about an invitation that the legacy user received: (after how many whole seconds,
    /// which, extra).
    fn old_heard(&mut self) -> Vec<(u64, String, Value)> {
        let records = self.world.take_legacy_records().into_iter();
        let signals = records.filter_map(|record| match record.what {
            LegacySeen::Signal { kind, mut content } => Some((
                (record.at_ms - self.since_ms) / 1_000,
                kind,
                content["extra"].take(),
            )),
            _ => None,
        });
        signals.collect()
    }

    /// The events of the RTM user: (after how many whole seconds, what).
    fn new_heard(&mut self) -> Vec<(u64, ClientEvent)> {
        let records = self.world.take_records().into_iter();
        let events = records.filter_map(|record| match record.what {
            Seen::Event(event) => Some(((record.at_ms - self.since_ms) / 1_000, event)),
            Seen::Answer { .. } => None,
        });
        events.collect()
    }

    fn local_news(&mut self) -> Vec<(u64, LocalInvitationNews)> {
        let heard = self.new_heard().into_iter();
        let news = heard.filter_map(|(at, event)| match event {
            ClientEvent::LocalInvitation { news, .. } => Some((at, news)),
            _ => None,
        });
        news.collect()
    }

    fn remote_news(&mut self) -> Vec<(u64, RemoteInvitationNews)> {
        let heard = self.new_heard().into_iter();
        let news = heard.filter_map(|(at, event)| match event {
            ClientEvent::RemoteInvitation { news, .. } => Some((at, news)),
            _ => None,
        });
        news.collect()
    }
}

fn invite(extra: &Value) -> Value {
    json!({"channelName": "c", "peer": "new", "extra": extra.to_string()})
}

fn failed(after_s: u64, code: u16, reason: &str) -> (u64, String, Value) {
    let extra = json!({"code": code, "reason": reason}).to_string();
    (after_s, "voip_invite_failed".into(), json!(extra))
}

fn received() -> (u64, RemoteInvitationNews) {
    let channel = "c".to_owned();
    let content = json!({"_timeout": 5}).to_string();
    (0, RemoteInvitationNews::Received { content, channel })
}

fn ack() -> (u64, String, Value) {
    (0, "voip_invite_ack".into(), json!(""))
}

#[test]
fn an_absent_rtm_user_is_waited_for_20_seconds() {
    Pair::in_both(|pair| {
        pair.old_logs_in();
        pair.begin();
        pair.old_calls("voip_invite", invite(&json!({})));
        pair.wait(90_000);
        assert_eq!(pair.old_heard(), [failed(20, 700, "timeout")]);
    });
}

#[test]
fn an_absent_rtm_user_that_has_to_be_there_fails_at_once() {
    Pair::in_both(|pair| {
        pair.old_logs_in();
        pair.begin();
        pair.old_calls("voip_invite", invite(&json!({"_require_peer_online": 1})));
        pair.wait(90_000);
        assert_eq!(pair.old_heard(), [failed(0, 703, "peer offline")]);
    });
}

#[test]
fn the_callers_time_out_ends_the_ringing_on_both_sides() {
    Pair::in_both(|pair| {
        pair.both_log_in();
        pair.old_calls("voip_invite", invite(&json!({"_timeout": 5})));
        pair.wait(90_000);
        assert_eq!(pair.old_heard(), [ack(), failed(5, 704, "timeout")]);
        let canceled = (5, RemoteInvitationNews::Canceled);
        assert_eq!(pair.remote_news(), [received(), canceled]);
    });
}

#[test]
fn an_rtm_user_that_does_not_answer_has_60_seconds() {
    Pair::in_both(|pair| {
        pair.both_log_in();
        pair.old_calls("voip_invite", invite(&json!({})));
        pair.wait(90_000);
        assert_eq!(pair.old_heard(), [ack(), failed(60, 704, "timeout")]);
        let expired = RemoteInvitationNews::Failed(RemoteInvitationFailure::InvitationExpire);
        assert_eq!(pair.remote_news().last(), Some(&(60, expired)));
    });
}

#[test]
fn an_absent_legacy_user_is_waited_for_30_seconds() {
    Pair::in_both(|pair| {
        pair.new_logs_in();
        pair.begin();
        pair.new_invites("c");
        pair.wait(90_000);
        let gone = LocalInvitationNews::Failed(LocalInvitationFailure::PeerOffline);
        assert_eq!(pair.local_news(), [(30, gone)]);
    });
}

#[test]
fn a_legacy_user_that_comes_meanwhile_is_rung() {
    Pair::in_both(|pair| {
        pair.new_logs_in();
        pair.begin();
        pair.new_invites("c");
        pair.wait(20_000);
        pair.old_logs_in();
        pair.wait(8_000);
        let heard = pair.old_heard();
        let [(_, kind, extra)] = &heard[..] else {
            panic!("{heard:?}");
        };
        assert_eq!((kind.as_str(), extra), ("voip_invite", &json!("come")));
        let news = pair.local_news();
        assert!(
            matches!(&news[..], [(20..=29, LocalInvitationNews::Received)]),
            "{news:?}"
        );
    });
}

#[test]
fn a_legacy_user_that_does_not_answer_has_60_seconds() {
    Pair::in_both(|pair| {
        pair.both_log_in();
        pair.new_invites("c");
        pair.wait(90_000);
        let rung = (0, "voip_invite".to_owned(), json!("come"));
        let ended = (60, "voip_invite_bye".to_owned(), json!(""));
        assert_eq!(pair.old_heard(), [rung, ended]);
        let expired = LocalInvitationNews::Failed(LocalInvitationFailure::InvitationExpire);
        let news = [(0, LocalInvitationNews::Received), (60, expired)];
        assert_eq!(pair.local_news(), news);
    });
}

/// The legacy protocol cannot express an invitation without a channel: it reaches nobody.
// proves: rtm-6.6-no-channel
#[test]
fn an_invitation_without_a_channel_has_no_response() {
    Pair::in_both(|pair| {
        pair.both_log_in();
        pair.new_invites("");
        pair.wait(90_000);
        assert_eq!(pair.old_heard(), []);
        let none = LocalInvitationNews::Failed(LocalInvitationFailure::PeerNoResponse);
        assert_eq!(pair.local_news(), [(30, none)]);
    });
}

/// A text waits for as long as its flag says, and no longer.
#[test]
fn a_text_waits_for_the_seconds_of_its_flag() {
    Pair::in_both(|pair| {
        pair.old_logs_in();
        for (seconds, text) in [(5, "short"), (3_600, "long")] {
            let flag = format!("v1:E:{seconds}");
            let args = json!({"peer": "new", "flag": flag, "t": "instant", "content": text});
            pair.old_calls("user_sendmsg", args);
        }
        pair.wait(6_000);
        pair.new_logs_in();
        let heard = pair.new_heard().into_iter();
        let texts: Vec<String> = heard
            .filter_map(|(_, event)| match event {
                ClientEvent::PeerMessage {
                    message: Message::Text(text),
                    ..
                } => Some(text),
                _ => None,
            })
            .collect();
        assert_eq!(texts, ["long"]);
    });
}

#[test]
fn a_planned_restart_is_a_new_login_for_a_legacy_user_and_a_resume_for_an_rtm_user() {
    Pair::in_both(|pair| {
        pair.both_log_in();
        pair.old_calls("channel_join", json!({"name": "room"}));
        let channel = String::from("room");
        pair.world.call(pair.new, Call::Join { channel });
        pair.wait(1_000);
        pair.begin();
        for text in ["first", "second"] {
            let call = Call::SendToPeer {
                peer_id: "old".into(),
                message: Message::Text(text.into()),
                offline: true,
                history: false,
            };
            pair.world.call(pair.new, call);
        }
        pair.world.drain_server();
        assert!(pair.world.stop_server(), "everything has come to an end");
        pair.wait(1_500);
        assert!(pair.world.start_server(), "the sessions go on");
        pair.wait(6_000);

        let seen = pair.world.take_legacy_records().into_iter();
        let seen: Vec<LegacySeen> = seen.map(|record| record.what).collect();
        let logins = seen.iter().filter(|seen| **seen == LegacySeen::LoggedIn);
        assert_eq!(logins.count(), 1, "{seen:?}");
        let texts = seen.iter().filter_map(|seen| match seen {
            LegacySeen::Message { text, .. } => Some(text.as_str()),
            _ => None,
        });
        assert_eq!(texts.collect::<Vec<_>>(), ["first", "second"], "{seen:?}");
        let events: Vec<ClientEvent> = (pair.new_heard().into_iter().map(|(_, event)| event))
            .filter(|event| {
                !matches!(
                    event,
                    ClientEvent::StateChanged { .. } | ClientEvent::MemberCount { .. }
                )
            })
            .collect();
        let left = ClientEvent::MemberLeft {
            channel: "room".into(),
            user_id: "old".into(),
        };
        assert_eq!(events, [left], "no gap, and the legacy user has gone once");

        pair.old_calls("channel_join", json!({"name": "room"}));
        pair.wait(1_000);
        let is_joined = |(_, event): (u64, ClientEvent)| matches!(event, ClientEvent::MemberJoined { user_id, .. } if user_id == "old");
        assert!(pair.new_heard().into_iter().any(is_joined));
    });
}
