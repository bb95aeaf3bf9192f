//! Message tracing: the whole way of a message over two hubs, what is not followed, and the bounds.

use tidings_wire::limits::{
    PEER_ACK_WAIT_MS, REPLAY_FRAMES_MAX, TRACE_BYTES_MAX, TRACE_KEPT_MS, TRACE_STEPS_MAX,
    TRACE_WAITS_MAX, TRACED_APPS_MAX, TRACES_PER_APP_MAX,
};
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{Join, Message, SendToChannel, message};

use crate::config::Apps;
use crate::ids::{ConnectionId, MessageId, SessionId};
use crate::io::Input;
use crate::outside::{OutsideAnswer, OutsideCall};
use crate::tests::node::Node;
use crate::tests::outside::{answer, ask};
use crate::traces::{StepKind, Trace, TraceCall, TraceStep, TracedMessage, TracedTo};

fn app() -> AppId {
    AppId::parse(&"a".repeat(32)).expect("an app id")
}

/// Asks a hub about traces.
pub(super) fn trace(node: &mut Node, hub: usize, call: TraceCall) -> OutsideAnswer {
    let ticket = 1_000_000 + node.answers.len() as u64;
    let app = app();
    ask(node, hub, ticket, OutsideCall::Trace { app, call });
    answer(node, ticket).expect("answered at once")
}

/// Follows messages of a user, of a channel, or all, for a minute.
pub(super) fn follow(node: &mut Node, user: Option<&str>, channel: Option<&str>) {
    for hub in 0..node.hubs.len() {
        let begun = Trace {
            id: [1; 8],
            user: user.map(|user| UserId::parse(user).expect("a user")),
            channel: channel.map(|channel| ChannelName::parse(channel).expect("a channel")),
            until_ms: node.now.unix_ms + 60_000,
        };
        let told = trace(node, hub, TraceCall::Begin(begun));
        assert_eq!(told, OutsideAnswer::Count(1));
    }
}

/// The id of the message that a session has sent with a request.
pub(super) fn id_of(node: &Node, connection: ConnectionId, cseq: u64) -> MessageId {
    let session = node.welcome(connection).session_id;
    let session = SessionId(session[..].try_into().expect("16 bytes"));
    MessageId::new(session, cseq)
}

pub(super) fn noted(node: &mut Node, hub: usize, id: MessageId) -> Option<TracedMessage> {
    match trace(node, hub, TraceCall::Message(id)) {
        OutsideAnswer::Traced(noted) => noted.map(|noted| *noted),
        other => panic!("answered {other:?}"),
    }
}

/// The names of the steps that a hub has noted, with their users and counts.
pub(super) fn steps(node: &mut Node, hub: usize, id: MessageId) -> Vec<String> {
    let noted = noted(node, hub, id).map_or(Vec::new(), |noted| noted.steps);
    let shown = noted.iter().map(|step| {
        let user = step.user.as_ref().map(|user| format!(" {user}"));
        let members = step.members.map(|members| format!(" {members}"));
        let name = step.kind.name();
        format!(
            "{name}{}{}",
            user.unwrap_or_default(),
            members.unwrap_or_default()
        )
    });
    shown.collect()
}

pub(super) fn join(node: &mut Node, connection: ConnectionId, channel: &str) {
    let channel = channel.into();
    node.call(connection, Call::Join(Join { channel }));
}

pub(super) fn to_channel(channel: &str, text: &str, history: bool) -> Call {
    Call::SendToChannel(SendToChannel {
        channel: channel.into(),
        message: Some(Message {
            body: Some(message::Body::Text(text.as_bytes().to_vec().into())),
            ..Message::default()
        }),
        history,
    })
}

pub(super) fn confirm_all(node: &mut Node, connection: ConnectionId) {
    let numbered = node.numbered(connection);
    node.say(connection, numbered, vec![]);
}

#[test]
fn the_way_of_a_peer_message_is_noted_by_both_hubs() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    follow(&mut node, Some("bob"), None);
    let cseq = node.send(alice, "bob", "hello", false);
    let id = id_of(&node, alice, cseq);
    assert_eq!(steps(&mut node, 0, id), ["accepted alice", "stamped"]);
    assert_eq!(steps(&mut node, 1, id), ["given bob", "queued bob"]);
    write_all(&mut node, 1);
    assert_eq!(
        steps(&mut node, 1, id),
        ["given bob", "queued bob", "written bob"]
    );
    assert!(noted(&mut node, 1, id).expect("noted").is_waiting);
    confirm_all(&mut node, bob);
    assert_eq!(
        steps(&mut node, 0, id),
        ["accepted alice", "stamped", "answered"]
    );
    assert_eq!(
        steps(&mut node, 1, id),
        ["given bob", "queued bob", "written bob", "confirmed bob"]
    );
    let at_sender = noted(&mut node, 0, id).expect("noted");
    assert!(at_sender.is_answered && !at_sender.is_waiting);
    assert!(!noted(&mut node, 1, id).expect("noted").is_waiting);
    let words = format!("{at_sender:?}");
    assert!(!words.contains("hello"), "a payload is never noted");
}

#[test]
fn a_stored_message_is_noted_until_it_comes_out_of_the_inbox() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    follow(&mut node, None, None);
    let cseq = node.send(alice, "bob", "hello", true);
    let id = id_of(&node, alice, cseq);
    assert_eq!(
        steps(&mut node, 0, id),
        ["accepted alice", "stamped", "stored", "answered"]
    );
    // The trace is over by then; what was stamped before its end is followed on.
    node.pass(90_000, &[alice]);
    let bob = node.login(1, "bob");
    confirm_all(&mut node, bob);
    assert_eq!(
        steps(&mut node, 1, id),
        [
            "delivered_from_inbox bob",
            "queued bob",
            "written bob",
            "confirmed bob"
        ]
    );
    let later = node.send(bob, "alice", "later", false);
    let id = id_of(&node, bob, later);
    assert_eq!(noted(&mut node, 1, id), None);
}

#[test]
fn a_message_that_is_not_confirmed_in_time_is_seen_to_be_stored() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    follow(&mut node, None, None);
    let cseq = node.send(alice, "bob", "hello", true);
    let id = id_of(&node, alice, cseq);
    node.pass(PEER_ACK_WAIT_MS + 500, &[alice]);
    assert_eq!(
        steps(&mut node, 1, id),
        ["given bob", "queued bob", "stored"]
    );
    confirm_all(&mut node, bob);
    let seen = steps(&mut node, 1, id);
    assert_eq!(seen.last().map(String::as_str), Some("confirmed bob"));
}

#[test]
fn a_message_to_nobody_and_a_refused_one_are_noted_with_the_reason() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    follow(&mut node, Some("alice"), None);
    let cseq = node.send(alice, "nobody", "hello", false);
    let id = id_of(&node, alice, cseq);
    assert_eq!(
        steps(&mut node, 0, id),
        ["accepted alice", "stamped", "dropped", "answered"]
    );
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let id = id_of(&node, alice, cseq);
    let refused = noted(&mut node, 0, id).expect("noted");
    assert_eq!(steps(&mut node, 0, id), ["refused"]);
    assert!(refused.is_answered);
    assert_eq!(
        refused.steps[0].detail,
        "not_in_channel: channel \"room\" is not joined"
    );
}

#[test]
fn the_way_of_a_channel_message_is_noted_by_every_hub_with_members() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let others = [(0, "bob"), (1, "carol"), (1, "dave")].map(|(hub, user)| node.login(hub, user));
    for connection in [alice].iter().chain(&others) {
        join(&mut node, *connection, "room");
    }
    for (user, channel) in [(None, Some("room")), (Some("alice"), None)] {
        follow(&mut node, user, channel);
        let cseq = node.call(alice, to_channel("room", "hello", true));
        let id = id_of(&node, alice, cseq);
        assert_eq!(
            steps(&mut node, 0, id)
                .iter()
                .filter(|step| *step != "stored")
                .collect::<Vec<_>>(),
            [
                "accepted alice",
                "stamped",
                "ordered",
                "given 1",
                "queued 1",
                "answered"
            ]
        );
        assert_eq!(
            steps(&mut node, 1, id)[..3],
            ["ordered", "given 2", "queued 2"]
        );
        let stored = [0, 1].map(|hub| steps(&mut node, hub, id).contains(&"stored".to_owned()));
        assert_eq!(
            stored.iter().filter(|stored| **stored).count(),
            1,
            "one hub keeps the history"
        );
        write_all(&mut node, 1);
        let seen = steps(&mut node, 1, id);
        assert!(seen.contains(&"written 2".to_owned()), "{seen:?}");
        for connection in others {
            confirm_all(&mut node, connection);
        }
        assert_eq!(
            steps(&mut node, 1, id)
                .iter()
                .filter(|step| step.starts_with("confirmed"))
                .collect::<Vec<_>>(),
            ["confirmed carol", "confirmed dave"]
        );
        for hub in [0, 1] {
            assert!(!noted(&mut node, hub, id).expect("noted").is_waiting);
            trace(&mut node, hub, TraceCall::End([1; 8]));
        }
    }
    // Of others nothing is noted.
    follow(&mut node, Some("erin"), None);
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let id = id_of(&node, alice, cseq);
    assert_eq!([0, 1].map(|hub| noted(&mut node, hub, id)), [None, None]);
}

/// Tells a hub that all its connections are written.
pub(super) fn write_all(node: &mut Node, hub: usize) {
    let mut written = node.hubs[hub].traced_connections();
    written.sort();
    let gone = Vec::new();
    node.give(hub, Input::Written { written, gone });
}

#[test]
fn a_client_that_was_away_gets_the_message_again_or_is_seen_to_be_told_of_a_gap() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    let bob = node.login(0, "bob");
    for connection in [alice, bob] {
        join(&mut node, connection, "room");
    }
    confirm_all(&mut node, bob);
    follow(&mut node, None, Some("room"));
    let confirmed = node.numbered(bob);
    let welcome = node.welcome(bob);
    node.close(bob);
    let first = node.call(alice, to_channel("room", "hello", false));
    let first = id_of(&node, alice, first);
    assert_eq!(steps(&mut node, 0, first)[3..5], ["given 1", "queued 0"]);
    let bob = node.resume(0, "bob", &welcome, confirmed);
    let again = steps(&mut node, 0, first);
    assert_eq!(again.last().map(String::as_str), Some("queued bob"));
    // Away once more, for more than is kept. Nothing of the others is noted, or the first would go.
    trace(&mut node, 0, TraceCall::End([1; 8]));
    let secret = node.resumed_secret(bob).expect("resumed");
    node.close(bob);
    for _ in 0..REPLAY_FRAMES_MAX {
        node.call(alice, to_channel("room", "more", false));
        confirm_all(&mut node, alice);
    }
    let welcome = tidings_wire::proto::Welcome { secret, ..welcome };
    node.resume(0, "bob", &welcome, confirmed);
    let seen = steps(&mut node, 0, first);
    assert_eq!(seen.last().map(String::as_str), Some("gap bob"));
    assert!(!noted(&mut node, 0, first).expect("noted").is_waiting);
}

#[test]
fn a_login_that_ends_without_confirming_is_noted() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    let bob = node.login(0, "bob");
    for connection in [alice, bob] {
        join(&mut node, connection, "room");
    }
    follow(&mut node, None, None);
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let id = id_of(&node, alice, cseq);
    node.login(0, "bob");
    let noted = noted(&mut node, 0, id).expect("noted");
    let last = noted.steps.last().expect("a step");
    assert_eq!(last.kind, StepKind::Dropped);
    assert!(last.detail.contains("remote_login"), "{}", last.detail);
    assert!(!noted.is_waiting);
}

#[test]
fn the_newest_messages_are_listed_by_who_and_where() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    let bob = node.login(0, "bob");
    join(&mut node, alice, "room");
    follow(&mut node, None, None);
    node.send(alice, "bob", "one", false);
    node.call(alice, to_channel("room", "two", false));
    node.send(bob, "carol", "three", false);
    let mut list = |user: Option<&str>, channel: Option<&str>, limit| {
        let call = TraceCall::Messages {
            user: user.map(|user| UserId::parse(user).expect("a user")),
            channel: channel.map(|channel| ChannelName::parse(channel).expect("a channel")),
            limit,
        };
        let OutsideAnswer::TracedMessages(found) = trace(&mut node, 0, call) else {
            panic!("answered something else");
        };
        let shown = found.iter().map(|entry| match &entry.to {
            TracedTo::User(user) => format!("{} {user}", entry.from),
            TracedTo::Channel(channel) => format!("{} #{channel}", entry.from),
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(
        list(None, None, 9),
        ["bob carol", "alice #room", "alice bob"]
    );
    assert_eq!(list(Some("bob"), None, 9), ["bob carol", "alice bob"]);
    assert_eq!(list(None, Some("room"), 9), ["alice #room"]);
    assert_eq!(list(None, None, 1), ["bob carol"]);
}

#[test]
fn traces_are_bounded_in_number_and_end_by_themselves() {
    let mut node = Node::new(1);
    let begun = |node: &Node, id: u8| Trace {
        id: [id; 8],
        user: None,
        channel: None,
        until_ms: node.now.unix_ms + 60_000,
    };
    for id in 0..=TRACES_PER_APP_MAX {
        let id = u8::try_from(id).expect("few");
        let call = TraceCall::Begin(begun(&node, id));
        let told = trace(&mut node, 0, call);
        let has_room = usize::from(id) < TRACES_PER_APP_MAX;
        assert_eq!(told, OutsideAnswer::Count(u32::from(has_room)));
    }
    assert_eq!(
        trace(&mut node, 0, TraceCall::End([0; 8])),
        OutsideAnswer::Count(1)
    );
    assert_eq!(
        trace(&mut node, 0, TraceCall::End([0; 8])),
        OutsideAnswer::Count(0)
    );
    let OutsideAnswer::Traces(on) = trace(&mut node, 0, TraceCall::List) else {
        panic!("answered something else");
    };
    assert_eq!(on.len(), TRACES_PER_APP_MAX - 1);
    node.pass(60_000, &[]);
    let over = trace(&mut node, 0, TraceCall::List);
    assert_eq!(over, OutsideAnswer::Traces(Vec::new()));
    assert!(node.hubs[0].kernel.traces.is_on, "steps are kept");
    node.now.unix_ms += TRACE_KEPT_MS + 60_000;
    node.now.mono_ms += TRACE_KEPT_MS + 60_000;
    let alice = node.login(0, "alice");
    node.send(alice, "bob", "hello", false);
    assert!(!node.hubs[0].kernel.traces.is_on, "off without being asked");
}

#[test]
fn one_app_more_than_may_be_has_no_traces_until_another_has_none() {
    let mut node = Node::with_apps(
        1,
        Apps {
            accept_any: true,
            ..Apps::default()
        },
    );
    let begin = |node: &mut Node, number: usize| {
        let app = AppId::parse(&format!("{number:032}")).expect("an app id");
        let call = TraceCall::Begin(Trace {
            id: [7; 8],
            user: None,
            channel: None,
            until_ms: node.now.unix_ms + 60_000,
        });
        let ticket = 500 + node.answers.len() as u64;
        ask(node, 0, ticket, OutsideCall::Trace { app, call });
        answer(node, ticket)
    };
    for number in 0..TRACED_APPS_MAX {
        assert_eq!(begin(&mut node, number), Some(OutsideAnswer::Count(1)));
    }
    let more = TRACED_APPS_MAX;
    assert_eq!(begin(&mut node, more), Some(OutsideAnswer::Count(0)));
    node.now.unix_ms += 60_000;
    assert_eq!(begin(&mut node, more), Some(OutsideAnswer::Count(1)));
}

#[test]
fn steps_are_bounded_and_the_oldest_messages_go() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    join(&mut node, alice, "room");
    let members: Vec<_> = (0..TRACE_STEPS_MAX + 9)
        .map(|number| node.login(0, &format!("member{number}")))
        .collect();
    for member in &members {
        join(&mut node, *member, "room");
        confirm_all(&mut node, *member);
    }
    confirm_all(&mut node, alice);
    follow(&mut node, None, None);
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let id = id_of(&node, alice, cseq);
    write_all(&mut node, 0);
    for member in &members {
        confirm_all(&mut node, *member);
    }
    let first = noted(&mut node, 0, id).expect("noted");
    assert_eq!(first.steps.len(), TRACE_STEPS_MAX + 1);
    let last = first.steps.last().and_then(|step| step.members);
    // Seven steps are no confirmations.
    assert_eq!(last, Some(9 + 7));
    assert!(!first.is_waiting);
    let mut sent = 0;
    while noted(&mut node, 0, id).is_some() {
        node.send(alice, "nobody", "hello", false);
        confirm_all(&mut node, alice);
        sent += 1;
        assert!(sent * 64 < TRACE_BYTES_MAX, "the first goes some time");
    }
    assert!(sent > 500, "{sent} messages have room");
}

#[test]
fn so_many_confirmations_are_waited_for_and_no_more() {
    const MEMBERS: usize = 125;
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    join(&mut node, alice, "room");
    let members: Vec<_> = (0..MEMBERS)
        .map(|number| node.login(0, &format!("member{number}")))
        .collect();
    for member in &members {
        join(&mut node, *member, "room");
    }
    for connection in members.iter().chain([&alice]) {
        confirm_all(&mut node, *connection);
    }
    follow(&mut node, None, None);
    let mut send = || {
        let cseq = node.call(alice, to_channel("room", "hello", false));
        id_of(&node, alice, cseq)
    };
    let followed = (0..TRACE_WAITS_MAX / MEMBERS).map(|_| send()).last();
    let more = send();
    for member in &members {
        confirm_all(&mut node, *member);
    }
    let mut confirmed = |id| {
        let noted = noted(&mut node, 0, id).expect("noted");
        let is_confirmed = |step: &&TraceStep| step.kind == StepKind::Confirmed;
        noted.steps.iter().filter(is_confirmed).count()
    };
    assert_eq!(confirmed(followed.expect("one was sent")), MEMBERS);
    assert_eq!(confirmed(more), 0);
}
