//! Numbers, confirmations, resumes and new sessions: protocol 2.2 and 2.3, contract 1.3,
//! 1.4 and PRE-9.

mod harness;

use harness::*;
use tidings_client_core::{Call, PresenceState};
use tidings_wire::codes::Outcome;
use tidings_wire::proto::{PeerSent, reply::Result::PeerSent as Sent, server_message::Kind};

/// A second session after a resume was refused, on connection 2.
fn session_lost(world: &mut World, outcome: Outcome) -> Vec<String> {
    world.reopen(1);
    let mut trace = world.say(2, vec![refused(outcome, 0)]);
    trace.extend(world.welcome(2));
    trace
}

/// Alice in #a, where bob and carol came after her.
fn with_members() -> World {
    let mut world = World::logged_in();
    world.call(join("a"));
    let trace = world.say(
        1,
        vec![
            done(1),
            count("a", 1),
            joined("a", "bob"),
            joined("a", "carol"),
        ],
    );
    assert_eq!(
        trace,
        [
            "answer 2 done",
            "a count 1",
            "a joined bob",
            "a joined carol"
        ]
    );
    world
}

#[test]
fn requests_are_numbered_without_gaps_and_answered_in_any_order() {
    let mut world = World::logged_in();
    assert_eq!(world.call(join("a")), ["send 1 1:join a"]);
    assert_eq!(world.call(to_peer("bob", "x")), ["send 1 2:peer bob x"]);
    let sent = reply(2, Sent(PeerSent { received: true }));
    assert_eq!(
        world.say(1, vec![sent]),
        ["answer 3 PeerSent { received: true }"]
    );
    assert_eq!(world.say(1, vec![done(1)]), ["answer 2 done"]);
    assert_eq!(
        world.say(1, vec![done(1)]),
        [""; 0],
        "a second reply is nobody's"
    );
}

#[test]
fn the_unnumbered_are_not_counted() {
    let mut world = World::logged_in();
    let ping = || Kind::Ping(tidings_wire::proto::Ping {});
    let trace = world.say(
        1,
        vec![ping(), joined("a", "b"), ping(), left("a", "b"), ping()],
    );
    assert_eq!(
        trace,
        [
            "a joined b",
            "a left b",
            "send 1 pong, pong, pong, confirm 2"
        ]
    );
}

#[test]
fn unknown_kinds_count_by_their_field_number() {
    let mut world = World::logged_in();
    let payload = bytes::Bytes::from_static(&[0x0a, 2, 9 << 3 | 2, 0, 0x0a, 3, 0xc2, 0x02, 0]);
    world.input(tidings_client_core::Input::Received {
        connection: 1,
        payload,
    });
    assert_eq!(world.pass(1_000), ["+1000 send 1 confirm 1"]);
}

#[test]
fn confirmations_go_at_once_after_a_peer_message_else_by_time_count_or_bytes() {
    let mut world = World::logged_in();
    assert_eq!(
        world.say(1, vec![peer_message("bob", "hi", 0, 1)]),
        ["peer bob: hi", "send 1 confirm 1"]
    );
    assert_eq!(world.say(1, vec![joined("a", "b")]), ["a joined b"]);
    assert_eq!(world.pass(999), [""; 0]);
    assert_eq!(world.pass(1), ["+1 send 1 confirm 2"]);
    for n in 1..64 {
        assert_eq!(world.say(1, vec![count("a", n)]).len(), 1, "message {n}");
    }
    assert_eq!(
        world.say(1, vec![count("a", 64)]),
        ["a count 64", "send 1 confirm 66"]
    );
    let large = "x".repeat(32_700);
    assert_eq!(
        world.say(1, vec![channel_message("a", "b", &large)]).len(),
        1
    );
    assert_eq!(
        world.say(1, vec![channel_message("a", "b", &large)]).len(),
        1
    );
    let trace = world.say(1, vec![channel_message("a", "b", &large)]);
    assert_eq!(trace[1], "send 1 confirm 69");
}

#[test]
fn a_confirmation_rides_on_whatever_is_written() {
    let mut world = World::logged_in();
    world.say(1, vec![joined("a", "b")]);
    assert_eq!(world.call(join("c")), ["send 1 1:join c, confirm 1"]);
    assert_eq!(world.pass(5_000), [""; 0], "and is not repeated");
}

#[test]
fn a_resume_states_what_was_processed_and_sends_again_what_was_not_received() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.call(to_peer("bob", "x"));
    world.say(1, vec![done(1), joined("a", "b")]);
    world.call(to_peer("bob", "y"));
    assert_eq!(world.reopen(1), ["send 2 resume secret-1 from 2"]);
    assert_eq!(
        world.call(to_peer("bob", "z")),
        [""; 0],
        "waits for the link"
    );
    assert_eq!(
        world.say(2, vec![resumed(2, "secret-2")]),
        ["send 2 3:peer bob y, 4:peer bob z"]
    );
    // The secret has rotated, the count of messages goes on.
    world.say(2, vec![joined("a", "c")]);
    world.closed(2, 0);
    world.pass(1_000);
    assert_eq!(world.opened(3), ["send 3 resume secret-2 from 3"]);
}

#[test]
fn a_lost_answer_to_a_resume_strands_nobody() {
    let mut world = World::logged_in();
    world.reopen(1);
    world.closed(2, 0);
    world.pass(1_000);
    assert_eq!(world.opened(3), ["send 3 resume secret-1 from 0"]);
}

#[test]
fn frames_of_an_older_connection_are_ignored() {
    let mut world = World::logged_in();
    world.reopen(1);
    assert_eq!(
        world.say(1, vec![peer_message("bob", "late", 0, 1)]),
        [""; 0]
    );
    world.say(2, vec![resumed(0, "secret-2")]);
    assert_eq!(
        world.say(1, vec![peer_message("bob", "late", 0, 1)]),
        [""; 0]
    );
    assert_eq!(world.closed(1, 4010), [""; 0]);
}

#[test]
fn a_skip_moves_the_count_and_gaps_reach_the_application() {
    let mut world = World::logged_in();
    let trace = world.say(1, vec![channel_gap("a"), skip(40, "b"), joined("b", "bob")]);
    assert_eq!(
        trace,
        [
            "gap Channel(\"a\") SlowConsumer Some(3)",
            "gap Channel(\"b\") SlowConsumer Some(3)",
            "b joined bob"
        ]
    );
    assert_eq!(world.reopen(1), ["send 2 resume secret-1 from 42"]);
}

#[test]
fn at_most_256_requests_are_open() {
    let mut world = World::logged_in();
    for n in 1..=256 {
        assert_eq!(world.call(join("a")), [format!("send 1 {n}:join a")]);
    }
    assert_eq!(world.call(join("b")), [""; 0]);
    assert_eq!(
        world.say(1, vec![done(9)]),
        ["answer 10 done", "send 1 257:join b, confirm 1"]
    );
}

// proves: rtm-2.1-join-timeout
#[test]
fn a_call_times_out_after_10_s_and_keeps_its_number() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.pass(5_000);
    world.say(1, vec![Kind::Ping(tidings_wire::proto::Ping {})]);
    assert_eq!(world.pass(5_000), ["+5000 answer 2 error timed_out"]);
    world.closed(1, 0);
    world.pass(500);
    world.opened(2);
    assert_eq!(world.say(2, vec![resumed(0, "s")]), ["send 2 1:join a"]);
    assert_eq!(world.say(2, vec![done(1)]), [""; 0]);
    // The application was told that the join failed: joining again must work.
    assert_eq!(world.call(join("a")), ["send 2 2:join a, confirm 1"]);
    assert_eq!(
        world.say(2, vec![fail(2, Outcome::AlreadyJoined, 0)]),
        ["answer 3 done"]
    );
    world.call(join("a"));
    assert_eq!(
        world.say(2, vec![fail(3, Outcome::AlreadyJoined, 0)]),
        ["answer 4 error already_joined"]
    );
}

// proves: rtm-2.1-held, rtm-3.3-wait
#[test]
fn calls_wait_for_the_link_10_s_and_are_bounded_in_number_and_bytes() {
    let mut world = World::logged_in();
    world.closed(1, 0);
    for _ in 0..1_000 {
        assert_eq!(world.call(to_peer("bob", "x")), [""; 0]);
    }
    assert_eq!(
        world.call(to_peer("bob", "x")),
        ["answer 1002 error timed_out, not sent"]
    );
    let trace = world.pass_untimed(10_000);
    assert_eq!(
        trace
            .iter()
            .filter(|line| line.contains("timed_out, not sent"))
            .count(),
        1_000
    );
    let large = "x".repeat(32_768);
    for _ in 0..127 {
        assert_eq!(world.call(to_peer("bob", &large)), [""; 0]);
    }
    let trace = world.call(to_peer("bob", &large));
    assert_eq!(
        trace,
        ["answer 1130 error timed_out, not sent"],
        "128 times 32 KB and the names are above"
    );
}

#[test]
fn what_an_application_wants_of_its_own_standing_is_done_when_the_link_is_back() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.say(1, vec![done(1)]);
    world.closed(1, 0);
    world.call(leave("a"));
    world.call(to_peer("bob", "too late"));
    let trace = world.pass_untimed(10_000);
    for id in [3, 4] {
        let line = format!("answer {id} error timed_out, not sent");
        assert!(trace.contains(&line), "{trace:?}");
    }
    // The attempt of the first half second has had no answer for 10 s.
    let connection = 2;
    world.opened(connection);
    let trace = world.say(connection, vec![resumed(1, "s")]);
    assert!(
        trace.iter().any(|line| line.contains("leave a")),
        "{trace:?}"
    );
    assert!(!trace.iter().any(|line| line.contains("too late")));
}

#[test]
fn large_calls_are_written_in_frames_below_64_kib() {
    let mut world = World::logged_in();
    world.closed(1, 0);
    for _ in 0..5 {
        world.call(to_peer("bob", &"x".repeat(32_768)));
    }
    world.pass(500);
    world.opened(2);
    let trace = world.say(2, vec![resumed(0, "s")]);
    assert_eq!(trace.len(), 5, "one of them per frame");
}

// proves: rtm-3.3-once
#[test]
fn duplicates_of_peer_messages_are_confirmed_and_dropped() {
    let mut world = World::logged_in();
    let table = [
        (0, 1, Some("peer bob: x")),
        (1, 1, None),
        (2, 2, Some("peer bob: x stored")),
        (2, 2, None),
        (0, 2, None),
    ];
    for (n, (inbox, id, expected)) in table.into_iter().enumerate() {
        let mut trace: Vec<String> = expected.map(str::to_owned).into_iter().collect();
        trace.push(format!("send 1 confirm {}", n + 1));
        assert_eq!(
            world.say(1, vec![peer_message("bob", "x", inbox, id)]),
            trace,
            "line {n}"
        );
    }
}

// proves: rtm-3.3-once, rtm-8-offline
#[test]
fn what_was_raised_stays_raised_in_a_new_session_and_after_a_new_login() {
    let mut world = World::logged_in();
    world.say(1, vec![peer_message("bob", "x", 7, 1)]);
    session_lost(&mut world, Outcome::UnknownSession);
    let trace = world.say(2, vec![peer_message("bob", "x", 7, 1)]);
    assert_eq!(trace, ["send 2 confirm 1"]);
    world.logout();
    world.closed(2, 4017);
    world.pass(500);
    world.login();
    world.opened(3);
    world.welcome(3);
    assert_eq!(
        world.say(3, vec![peer_message("bob", "x", 7, 1)]),
        ["send 3 confirm 1"]
    );
}

#[test]
fn a_refused_resume_falls_back_to_a_login_on_the_same_connection() {
    for outcome in [
        Outcome::UnknownSession,
        Outcome::WindowOver,
        Outcome::SecretWrong,
    ] {
        let mut world = World::logged_in();
        world.reopen(1);
        assert_eq!(
            world.say(2, vec![refused(outcome, 0)]),
            ["send 2 login alice/token-1"]
        );
        assert_eq!(world.welcome(2), [""; 0], "within 4 s nobody sees it");
        assert_eq!(
            world.call(join("a")),
            ["send 2 1:join a"],
            "numbers start at 1"
        );
    }
}

// proves: rtm-5.4-reconnect-order, rtm-3.3-attributes, rtm-3.3-subscriptions, rtm-2.10-restored
#[test]
fn a_new_session_has_attributes_first_then_channels_then_subscriptions_then_calls() {
    let mut world = World::logged_in();
    world.call(merge("k", "v"));
    world.call(join("a"));
    world.call(join("b"));
    world.call(subscribe("bob carol"));
    world.say(1, vec![done(1), done(2), done(3), done(4)]);
    world.call(merge("l", "w"));
    world.call(members("a"));
    world.reopen(1);
    world.call(to_channel("a", "waiting"));
    let trace = world.say(2, vec![refused(Outcome::WindowOver, 0)]);
    assert_eq!(trace, ["send 2 login alice/token-1"]);
    assert_eq!(
        world.welcome(2),
        [
            "gap Channel(\"a\") ResumeWindow None",
            "gap Channel(\"b\") ResumeWindow None",
            "send 2 1:attributes Set k=v, 2:attributes Merge l=w, 3:join a, 4:join b, \
             5:subscribe bob carol",
        ]
    );
    let trace = world.say(2, vec![done(1), done(2), done(3), done(4)]);
    assert_eq!(trace, ["answer 6 done"]);
    let trace = world.say(2, vec![done(5)]);
    assert_eq!(
        trace,
        ["send 2 6:members a, 7:channel a waiting, confirm 5"]
    );
    assert_eq!(
        world.say(2, vec![users(6, "alice")]),
        ["answer 7 Users([\"alice\"])"]
    );
}

#[test]
fn a_message_that_may_have_been_executed_is_not_sent_twice() {
    let mut world = World::logged_in();
    world.call(to_peer("bob", "written"));
    world.call(to_channel("a", "written"));
    world.closed(1, 0);
    world.call(to_peer("bob", "never written"));
    world.pass(500);
    world.opened(2);
    assert_eq!(
        world.say(2, vec![refused(Outcome::UnknownSession, 0)]),
        [
            "answer 2 error timed_out",
            "answer 3 error timed_out",
            "send 2 login alice/token-1",
        ]
    );
    assert_eq!(world.welcome(2), ["send 2 1:peer bob never written"]);
}

#[test]
fn unanswered_calls_that_may_be_repeated_are_sent_with_new_numbers_and_their_old_deadline() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.pass(6_000);
    let trace = session_lost(&mut world, Outcome::UnknownSession);
    assert_eq!(trace.last().map(String::as_str), Some("send 2 1:join a"));
    let trace = world.pass(3_500);
    assert_eq!(trace, ["+3500 answer 2 error timed_out"]);
}

#[test]
fn a_leave_is_done_when_its_session_is_lost() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.say(1, vec![done(1)]);
    world.call(leave("a"));
    let trace = session_lost(&mut world, Outcome::UnknownSession);
    assert_eq!(
        trace,
        ["answer 3 done", "send 2 login alice/token-1"],
        "and not joined again"
    );
}

#[test]
fn a_logout_is_done_when_its_session_is_lost() {
    let mut world = World::logged_in();
    world.logout();
    world.reopen(1);
    let trace = world.say(2, vec![refused(Outcome::WindowOver, 0)]);
    assert_eq!(trace, ["close 2", "DISCONNECTED LOGOUT", "answer 2 done"]);
    assert_eq!(world.pass(60_000), [""; 0]);
}

#[test]
fn a_join_that_comes_too_often_is_repeated_before_any_call() {
    let mut world = with_members();
    session_lost(&mut world, Outcome::UnknownSession);
    world.call(to_channel("a", "x"));
    assert_eq!(
        world.say(2, vec![fail(1, Outcome::SameChannelTooOften, 2_500)]),
        [""; 0]
    );
    let trace = world.pass(2_500);
    assert_eq!(trace, ["+1000 send 2 confirm 1", "+2500 send 2 2:join a"]);
    assert_eq!(
        world.say(2, vec![done(2)]),
        ["send 2 3:members a, 4:channel a x, confirm 2"]
    );
}

#[test]
fn a_channel_that_cannot_be_joined_again_is_told() {
    let mut world = with_members();
    session_lost(&mut world, Outcome::UnknownSession);
    let trace = world.say(2, vec![fail(1, Outcome::TooManyChannels, 0)]);
    assert!(
        trace[0].starts_with("ChannelLost { channel: \"a\""),
        "{trace:?}"
    );
    let trace = session_lost_again(&mut world);
    assert!(!trace.iter().any(|line| line.contains("join")), "{trace:?}");
}

fn session_lost_again(world: &mut World) -> Vec<String> {
    world.closed(2, 0);
    world.pass(1_000);
    world.opened(3);
    let mut trace = world.say(3, vec![refused(Outcome::UnknownSession, 0)]);
    trace.extend(world.welcome(3));
    trace
}

#[test]
fn after_a_lost_session_the_difference_of_the_members_is_told() {
    let mut world = with_members();
    let trace = session_lost(&mut world, Outcome::UnknownSession);
    assert_eq!(
        trace[1..],
        ["gap Channel(\"a\") NodeLost None", "send 2 1:join a"]
    );
    // Bob comes back by himself before the list: nobody has seen him leave.
    let trace = world.say(2, vec![done(1), joined("a", "bob")]);
    assert_eq!(trace, ["send 2 2:members a, confirm 2"]);
    assert_eq!(
        world.say(2, vec![users(2, "alice bob dave")]),
        ["a joined dave"]
    );
    // Carol has 30 s from the login to come back.
    keep_alive(&mut world, 2, 29_000);
    let trace = world.pass_untimed(1_000);
    assert_eq!(trace, ["a left carol"]);
    assert_eq!(world.say(2, vec![joined("a", "carol")]), ["a joined carol"]);
}

#[test]
fn a_member_that_comes_back_late_but_in_time_is_not_flapping() {
    let mut world = with_members();
    session_lost(&mut world, Outcome::UnknownSession);
    world.say(2, vec![done(1), users(2, "alice")]);
    world.say(2, vec![users(2, "alice")]);
    keep_alive(&mut world, 2, 20_000);
    assert_eq!(
        world.say(2, vec![joined("a", "bob"), joined("a", "carol")]),
        [""; 0]
    );
    assert_eq!(world.say(2, vec![left("a", "bob")]), ["a left bob"]);
    keep_alive(&mut world, 2, 20_000);
    assert_eq!(world.say(2, vec![joined("a", "bob")]), ["a joined bob"]);
}

fn keep_alive(world: &mut World, connection: u64, ms: u64) {
    for _ in 0..ms / 1_000 {
        let trace = world.pass_untimed(1_000);
        assert!(
            trace.iter().all(|line| line.starts_with("send")),
            "{trace:?}"
        );
        world.say(connection, vec![Kind::Ping(tidings_wire::proto::Ping {})]);
    }
}

#[test]
fn after_a_gap_the_members_are_compared_at_once() {
    let mut world = with_members();
    let trace = world.say(1, vec![channel_gap("a")]);
    assert_eq!(
        trace,
        [
            "gap Channel(\"a\") SlowConsumer Some(3)",
            "send 1 2:members a, confirm 5"
        ]
    );
    let trace = world.say(1, vec![users(2, "alice carol dave")]);
    assert_eq!(trace, ["a joined dave", "a left bob"]);
}

#[test]
fn without_a_list_nobody_is_told_to_have_left() {
    let mut world = with_members();
    session_lost(&mut world, Outcome::UnknownSession);
    world.say(2, vec![done(1)]);
    for _ in 0..40 {
        let trace = world.pass_untimed(1_000);
        assert!(
            trace.iter().all(|line| line.starts_with("send")),
            "{trace:?}"
        );
        world.say(2, vec![Kind::Ping(tidings_wire::proto::Ping {})]);
    }
}

#[test]
fn members_are_compared_with_the_list_that_the_application_saw() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.say(1, vec![done(1), count("a", 3)]);
    world.call(members("a"));
    world.say(1, vec![users(2, "alice bob carol")]);
    session_lost(&mut world, Outcome::UnknownSession);
    world.say(2, vec![done(1)]);
    assert_eq!(
        world.say(2, vec![users(2, "alice bob carol erin")]),
        ["a joined erin"]
    );
}

// proves: rtm-2.10-reconnect
#[test]
fn restored_subscriptions_tell_only_what_changed() {
    use PresenceState::{Offline, Online};
    let mut world = World::logged_in();
    world.call(subscribe("bob carol"));
    world.say(
        1,
        vec![done(1), presence(&[("bob", Online), ("carol", Online)])],
    );
    session_lost(&mut world, Outcome::WindowOver);
    let trace = world.say(
        2,
        vec![done(1), presence(&[("bob", Online), ("carol", Offline)])],
    );
    assert_eq!(trace, ["presence [(\"carol\", Offline)]"]);
}

// proves: rtm-3.3-attributes
#[test]
fn a_user_who_was_gone_writes_its_attributes_again() {
    let mut world = World::logged_in();
    world.call(merge("k", "v"));
    world.say(1, vec![done(1)]);
    world.call(merge("l", "w"));
    world.reopen(1);
    assert_eq!(
        world.say(2, vec![resumed_after_gone(1)]),
        ["send 2 2:attributes Merge l=w, 3:attributes Set k=v l=w"]
    );
}

#[test]
fn attributes_that_were_refused_are_not_written_again() {
    let mut world = World::logged_in();
    world.call(merge("k", "v"));
    world.say(1, vec![fail(1, Outcome::TooOften, 100)]);
    let trace = session_lost(&mut world, Outcome::UnknownSession);
    assert_eq!(trace, ["send 2 login alice/token-1"]);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = |seed| {
        let mut world = World::seeded(seed);
        let mut trace = world.login();
        trace.extend(world.pass(11_000));
        trace
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn queries_keep_their_order_behind_each_other() {
    let mut world = World::logged_in();
    world.closed(1, 0);
    world.call(to_peer("bob", "1"));
    world.call(Call::QueryPresenceSubscriptions);
    world.call(to_peer("bob", "2"));
    world.pass(500);
    world.opened(2);
    assert_eq!(
        world.say(2, vec![resumed(0, "s")]),
        ["send 2 1:peer bob 1, 2:subscriptions, 3:peer bob 2"]
    );
}

#[test]
fn a_second_join_is_refused_although_the_first_is_answered_after_it() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.call(join("a"));
    let refusal = fail(2, Outcome::AlreadyJoined, 0);
    assert_eq!(
        world.say(1, vec![refusal]),
        ["answer 3 error already_joined"]
    );
    assert_eq!(world.say(1, vec![done(1)]), ["answer 2 done"]);
}
