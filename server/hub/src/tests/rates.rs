//! Every rate: what counts for it, and that nothing else does.

use tidings_wire::codes::Outcome;
use tidings_wire::names::AppId;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{
    Attribute, AttributeWrite, CancelInvitation, GetMemberCounts, GetMembers, Invite, Join, Leave,
    Message, QueryPresence, QueryPresenceSubscriptions, ReadChannelAttributes, ReadHistory,
    ReadUserAttributes, RenewToken, SendToChannel, SendToPeer, SubscribePresence,
    UnsubscribePresence, WriteChannelAttributes, WriteUserAttributes, message, read_history, reply,
};
use tidings_wire::rates::Rate;

use super::node::Node;
use crate::config::{App, Apps};
use crate::ids::ConnectionId;
use crate::rates::Kind;

/// An app whose users have only this rate: one call in a long time.
fn node(only: Kind) -> Node {
    let mut app = App::default();
    for (kind, _) in Kind::named() {
        let calls = u32::from(kind == only);
        let window_ms = 60_000;
        app.rates.set(kind, Rate { calls, window_ms });
    }
    let mut apps = Apps::default();
    let id = AppId::parse(&"a".repeat(32)).expect("an app id");
    apps.listed.insert(id, app);
    Node::with_apps(1, apps)
}

fn text(bytes: usize) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text(vec![b'x'; bytes].into())),
        ..Message::default()
    })
}

fn to_channel(bytes: usize) -> Call {
    Call::SendToChannel(SendToChannel {
        channel: "c".into(),
        message: text(bytes),
        history: false,
    })
}

fn leave(channel: &str) -> Call {
    let channel = channel.into();
    Call::Leave(Leave { channel })
}

fn join(channel: String) -> Call {
    Call::Join(Join { channel })
}

fn entries(bytes: usize) -> Vec<Attribute> {
    let entry = |n: usize| Attribute {
        key: format!("k{n}"),
        value: "v".repeat(bytes.min(1_000)),
        ..Attribute::default()
    };
    (0..bytes.div_ceil(1_000)).map(entry).collect()
}

/// What counts for a rate: the `n`th such call. A kind without a line here does not compile.
fn call_of(kind: Kind, n: u64) -> Call {
    let bob = || vec!["bob".to_owned()];
    match kind {
        Kind::Message => Call::SendToPeer(SendToPeer {
            peer_id: "bob".into(),
            message: text(1),
            ..SendToPeer::default()
        }),
        Kind::Join => join(format!("j{n}")),
        // Left again each time, by a call that other rates count.
        Kind::JoinSameChannel => join("same".into()),
        Kind::GetMembers | Kind::ListedMembers => {
            let channel = "c".into();
            Call::GetMembers(GetMembers { channel })
        }
        Kind::GetMemberCounts => {
            let channels = vec!["c".into()];
            Call::GetMemberCounts(GetMemberCounts { channels })
        }
        Kind::RenewToken => Call::RenewToken(RenewToken::default()),
        Kind::QueryPresence => Call::QueryPresence(QueryPresence { user_ids: bob() }),
        Kind::SubscribePresence => Call::SubscribePresence(SubscribePresence { user_ids: bob() }),
        Kind::UnsubscribePresence => {
            Call::UnsubscribePresence(UnsubscribePresence { user_ids: bob() })
        }
        Kind::QuerySubscriptions => {
            Call::QueryPresenceSubscriptions(QueryPresenceSubscriptions::default())
        }
        Kind::WriteUserAttributes => Call::WriteUserAttributes(WriteUserAttributes {
            how: AttributeWrite::Set.into(),
            attributes: entries(1),
        }),
        Kind::ReadUserAttributes | Kind::Answer => Call::ReadUserAttributes(ReadUserAttributes {
            user_id: "alice".into(),
            keys: Vec::new(),
        }),
        Kind::WriteChannelAttributes => Call::WriteChannelAttributes(WriteChannelAttributes {
            channel: "c".into(),
            how: AttributeWrite::Set.into(),
            attributes: entries(1),
            notify: false,
        }),
        Kind::ReadChannelAttributes => Call::ReadChannelAttributes(ReadChannelAttributes {
            channel: "c".into(),
            keys: Vec::new(),
        }),
        Kind::ReadHistory => Call::ReadHistory(ReadHistory {
            conversation: Some(read_history::Conversation::PeerId("bob".into())),
            ..ReadHistory::default()
        }),
        Kind::Invite => Call::Invite(Invite {
            number: n,
            callee_id: "bob".into(),
            ..Invite::default()
        }),
        Kind::FanOut => to_channel(30_000),
        Kind::OtherCall => Call::CancelInvitation(CancelInvitation { number: u64::MAX }),
        // Not joined: refused, which is what is counted.
        Kind::FailedCall => leave("nowhere"),
        Kind::Login => unreachable!("a login is no call of a session"),
    }
}

/// Whether the call was refused because there were too many of its kind.
fn is_refused(node: &mut Node, connection: ConnectionId, call: Call) -> bool {
    let cseq = node.call(connection, call);
    let rates = [Outcome::TooOften, Outcome::SameChannelTooOften];
    match node.reply(connection, cseq) {
        Some(reply::Result::Error(error)) => rates.iter().any(|of| *of as u32 == error.outcome),
        _ => false,
    }
}

/// Rates that count what a call costs: one call goes over them, and the next waits.
fn counts_costs(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::FanOut | Kind::Answer | Kind::ListedMembers | Kind::FailedCall
    )
}

#[test]
fn each_call_counts_for_its_own_rate_and_for_no_other() {
    let calls = || Kind::named().filter(|(kind, _)| *kind != Kind::Login);
    for (only, name) in calls() {
        let mut node = node(only);
        let alice = node.login(0, "alice");
        if !matches!(only, Kind::Join | Kind::JoinSameChannel) {
            assert!(!is_refused(&mut node, alice, join("c".into())), "{name}");
        }
        let mut n = 0;
        let mut next = |kind| {
            n += 1;
            call_of(kind, n)
        };
        // What other rates count.
        for (other, of) in calls().filter(|(kind, _)| *kind != only) {
            let shares = match only {
                // A join counts for both, and what is joined has to be left.
                Kind::Join => matches!(other, Kind::JoinSameChannel),
                Kind::JoinSameChannel => false,
                Kind::GetMembers => other == Kind::ListedMembers,
                Kind::ListedMembers => other == Kind::GetMembers,
                Kind::ReadUserAttributes => other == Kind::Answer,
                Kind::OtherCall => other == Kind::FailedCall,
                // A channel that was not joined refuses all that is said to it.
                Kind::FailedCall => true,
                Kind::Message => other == Kind::FanOut,
                Kind::Answer => false,
                _ => false,
            };
            if shares {
                continue;
            }
            for _ in 0..2 {
                let refused = is_refused(&mut node, alice, next(other));
                assert!(!refused, "{of} counts for {name}");
                if other == Kind::JoinSameChannel && only != Kind::OtherCall {
                    assert!(!is_refused(&mut node, alice, leave("same")), "{name}");
                }
            }
        }
        if only == Kind::Answer {
            // Large enough to be counted.
            let call = WriteUserAttributes {
                how: AttributeWrite::Set.into(),
                attributes: entries(5_000),
            };
            assert!(!is_refused(
                &mut node,
                alice,
                Call::WriteUserAttributes(call)
            ));
        }
        // What it counts itself.
        let passes = if counts_costs(only) { 3 } else { 1 };
        let mut calls = (0..passes + 1).map(|_| {
            let refused = is_refused(&mut node, alice, next(only));
            if only == Kind::JoinSameChannel {
                node.call(alice, leave("same"));
            }
            refused
        });
        assert_eq!(calls.next(), Some(false), "the first is allowed: {name}");
        let refused = calls.any(|refused| refused);
        assert!(refused, "{name} is not limited");
    }
}

#[test]
fn logins_count_for_their_own_rate_only() {
    let mut other = node(Kind::Message);
    for _ in 0..5 {
        let alice = other.login(0, "alice");
        assert_eq!(other.refused(alice), None);
    }
    let mut node = node(Kind::Login);
    let first = node.login(0, "alice");
    assert_eq!(node.refused(first), None);
    let second = node.login(0, "alice");
    assert_eq!(node.refused(second), Some(Outcome::TooOften as u32));
}
