//! The rates of rtm 2.1, each as a token bucket: a burst within the limit passes, the next call
//! must wait, and waiting helps.

mod server;

use server::{Call, Client, Server, text};
use tidings_hub::AppSettings;
use tidings_wire::codes::Outcome;
use tidings_wire::proto::{
    Attribute, AttributeWrite, GetMemberCounts, GetMembers, Join, QueryPresence,
    QueryPresenceSubscriptions, ReadChannelAttributes, ReadUserAttributes, RenewToken,
    SendToChannel, SendToPeer, SubscribePresence, UnsubscribePresence, WriteChannelAttributes,
    WriteUserAttributes,
};

/// A server with alice, who has joined "room".
fn with_alice() -> (Server, Client) {
    let mut server = Server::new(AppSettings::default());
    let alice = server.log_in("alice");
    assert_eq!(server.outcome(alice, join("room")), 0);
    (server, alice)
}

fn join(channel: &str) -> Call {
    Call::Join(Join {
        channel: channel.into(),
    })
}

/// Makes one call more than the rate allows, at once, then one after the wait stated in the last
/// error.
fn check(calls: u32, window_ms: u32, make: &dyn Fn(u32) -> Call) {
    let (mut server, alice) = with_alice();
    let burst = (0..=calls).map(make).collect();
    server.calls(alice, burst);
    // Peers that are offline answer at once as well.
    let replies = server.take_replies(alice);
    let errors: Vec<_> = replies
        .iter()
        .filter_map(|reply| reply.as_ref().err())
        .collect();
    assert_eq!(replies.len(), calls as usize + 1);
    assert_eq!(errors.len(), 1, "{errors:?}");
    let wait_ms = errors[0].retry_after_ms;
    assert_eq!(errors[0].outcome, Outcome::TooOften as u32);
    assert_eq!(wait_ms, window_ms.div_ceil(calls), "steady refill");
    server.leap(u64::from(wait_ms) - 1);
    assert_eq!(
        server.outcome(alice, make(calls + 1)),
        Outcome::TooOften as u32
    );
    server.leap(1);
    assert_eq!(server.outcome(alice, make(calls + 2)), 0);
}

fn to_peer() -> Call {
    Call::SendToPeer(SendToPeer {
        peer_id: "nobody".into(),
        message: text(1),
        ..SendToPeer::default()
    })
}

fn to_channel() -> Call {
    Call::SendToChannel(SendToChannel {
        channel: "room".into(),
        message: text(1),
        history: false,
    })
}

// proves: rtm-2.1-message-rate, rtm-2.1-bucket
#[test]
fn messages_to_users_and_channels_count_together_180_in_3_s() {
    check(180, 3_000, &|n| {
        if n % 2 == 0 { to_peer() } else { to_channel() }
    });
}

// proves: rtm-2.1-members-rate
#[test]
fn member_lists_5_in_2_s() {
    check(5, 2_000, &|_| {
        Call::GetMembers(GetMembers {
            channel: "room".into(),
        })
    });
}

// proves: rtm-2.1-count-rate
#[test]
fn member_counts_1_in_1_s() {
    check(1, 1_000, &|_| {
        Call::GetMemberCounts(GetMemberCounts {
            channels: vec!["room".into()],
        })
    });
}

// proves: rtm-2.1-query-rate
#[test]
fn online_queries_10_in_5_s() {
    check(10, 5_000, &|_| {
        Call::QueryPresence(QueryPresence {
            user_ids: vec!["bob".into()],
        })
    });
}

// proves: rtm-2.1-subscribe-rate
#[test]
fn subscriptions_10_in_5_s() {
    check(10, 5_000, &|_| {
        Call::SubscribePresence(SubscribePresence {
            user_ids: vec!["bob".into()],
        })
    });
}

// proves: rtm-2.1-unsubscribe-rate
#[test]
fn unsubscriptions_10_in_5_s() {
    check(10, 5_000, &|_| {
        Call::UnsubscribePresence(UnsubscribePresence {
            user_ids: vec!["bob".into()],
        })
    });
}

// proves: rtm-2.1-subscriptions-rate
#[test]
fn queries_of_subscriptions_10_in_5_s() {
    check(10, 5_000, &|_| {
        Call::QueryPresenceSubscriptions(QueryPresenceSubscriptions {})
    });
}

/// One entry; deletions and clears do not need it to exist.
fn entries() -> Vec<Attribute> {
    vec![Attribute {
        key: "k".into(),
        value: "v".into(),
        ..Attribute::default()
    }]
}

/// Set, merge, delete, clear, in turn.
fn how(n: u32) -> i32 {
    let kinds = [
        AttributeWrite::Set,
        AttributeWrite::Merge,
        AttributeWrite::Delete,
        AttributeWrite::Clear,
    ];
    kinds[n as usize % 4] as i32
}

// proves: rtm-2.1-user-write-rate
#[test]
fn writes_of_user_attributes_of_all_kinds_10_in_5_s() {
    check(10, 5_000, &|n| {
        Call::WriteUserAttributes(WriteUserAttributes {
            how: how(n),
            attributes: entries(),
        })
    });
}

// proves: rtm-2.1-channel-write-rate
#[test]
fn writes_of_channel_attributes_of_all_kinds_10_in_5_s() {
    check(10, 5_000, &|n| {
        Call::WriteChannelAttributes(WriteChannelAttributes {
            channel: "room".into(),
            how: how(n),
            attributes: entries(),
            notify: false,
        })
    });
}

// proves: rtm-2.1-user-read-rate
#[test]
fn reads_of_user_attributes_40_in_5_s() {
    check(40, 5_000, &|n| {
        Call::ReadUserAttributes(ReadUserAttributes {
            user_id: "alice".into(),
            keys: if n % 2 == 0 { vec![] } else { vec!["k".into()] },
        })
    });
}

// proves: rtm-2.1-channel-read-rate
#[test]
fn reads_of_channel_attributes_10_in_5_s() {
    check(10, 5_000, &|n| {
        Call::ReadChannelAttributes(ReadChannelAttributes {
            channel: "room".into(),
            keys: if n % 2 == 0 { vec![] } else { vec!["k".into()] },
        })
    });
}

// proves: rtm-2.1-renew-rate
#[test]
fn renewals_2_in_1_s() {
    check(2, 1_000, &|_| {
        Call::RenewToken(RenewToken { token: "t".into() })
    });
}

// proves: rtm-2.1-join-same-rate
#[test]
fn joins_of_one_channel_2_in_5_s() {
    let (mut server, alice) = with_alice();
    let leave = || {
        Call::Leave(tidings_wire::proto::Leave {
            channel: "room".into(),
        })
    };
    server.outcome(alice, leave());
    assert_eq!(server.outcome(alice, join("room")), 0);
    server.outcome(alice, leave());
    let refusal = server.call(alice, join("room")).expect_err("the third");
    assert_eq!(refusal.outcome, Outcome::SameChannelTooOften as u32);
    assert_eq!(refusal.retry_after_ms, 2_500);
    server.pass(2_500);
    assert_eq!(server.outcome(alice, join("room")), 0);
}

// proves: rtm-2.1-join-rate
#[test]
fn joins_of_different_channels_50_in_3_s() {
    let (mut server, alice) = with_alice();
    let leave = |n: u32| {
        Call::Leave(tidings_wire::proto::Leave {
            channel: format!("c{n}"),
        })
    };
    // The first is "room"; each is left again, because at most 20 are possible at once.
    for n in 1..50 {
        assert_eq!(server.outcome(alice, join(&format!("c{n}"))), 0, "join {n}");
        server.outcome(alice, leave(n));
    }
    let refusal = server.call(alice, join("c50")).expect_err("the 51st");
    assert_eq!(refusal.outcome, Outcome::TooOften as u32);
    assert_eq!(refusal.retry_after_ms, 60);
    server.pass(60);
    assert_eq!(server.outcome(alice, join("c50")), 0);
}

// proves: rtm-2.1-per-login
#[test]
fn each_login_has_an_allowance_of_its_own() {
    let (mut server, alice) = with_alice();
    let bob = server.log_in("bob");
    let count = || {
        Call::GetMemberCounts(GetMemberCounts {
            channels: vec!["room".into()],
        })
    };
    assert_eq!(server.outcome(alice, count()), 0);
    assert_eq!(server.outcome(alice, count()), Outcome::TooOften as u32);
    assert_eq!(server.outcome(bob, count()), 0);
}
