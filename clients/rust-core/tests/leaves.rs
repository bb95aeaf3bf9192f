//! A leave overtakes the joins of its channel that are under way: they end with code 201.

mod harness;

use harness::*;
use tidings_wire::codes::Outcome;

/// The lines that answer a call, as far as they say of what kind they are.
fn answers(trace: &[String]) -> Vec<&String> {
    trace
        .iter()
        .filter(|line| line.starts_with("answer"))
        .collect()
}

#[test]
fn a_join_that_waits_for_the_link_is_never_sent() {
    let mut world = World::logged_in();
    world.closed(1, 0);
    world.call(join("a"));
    let trace = world.call(leave("a"));
    let answers = answers(&trace);
    assert_eq!(answers.len(), 2, "{trace:?}");
    assert!(answers[0].starts_with("answer 2 left unsent"), "{trace:?}");
    assert_eq!(answers[1], "answer 3 done");
    world.pass(500);
    world.opened(2);
    let trace = world.say(2, vec![resumed(0, "secret-2")]);
    assert!(!trace.iter().any(|line| line.contains("join")), "{trace:?}");
    assert!(
        !trace.iter().any(|line| line.contains("leave")),
        "{trace:?}"
    );
}

#[test]
fn a_join_that_was_sent_ends_at_once_and_the_leave_decides() {
    let mut world = World::logged_in();
    world.call(join("a"));
    let trace = world.call(leave("a"));
    let early = answers(&trace);
    assert_eq!(early.len(), 1, "{trace:?}");
    assert!(early[0].starts_with("answer 2 left sent"), "{trace:?}");
    assert_eq!(world.say(1, vec![done(1)]), Vec::<String>::new());
    assert_eq!(world.say(1, vec![done(2)]), ["answer 3 done"]);
    // It is in no channel: a new session joins none.
    world.closed(1, 0);
    world.pass(500);
    world.opened(2);
    world.say(2, vec![refused(Outcome::UnknownSession, 0)]);
    let trace = world.welcome(2);
    assert!(!trace.iter().any(|line| line.contains("join")), "{trace:?}");
}

#[test]
fn a_leave_and_the_join_behind_it_stay_in_order() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.call(leave("a"));
    world.call(join("a"));
    let trace = world.say(1, vec![done(1), done(2), done(3)]);
    assert_eq!(trace, ["answer 3 done", "answer 4 done"]);
    let trace = world.call(leave("a"));
    assert!(
        trace.iter().any(|line| line.contains("leave")),
        "it has joined: {trace:?}"
    );
}

#[test]
fn a_second_join_of_a_joined_channel_does_not_hide_the_leave() {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.say(1, vec![done(1)]);
    world.closed(1, 0);
    world.call(join("a"));
    let trace = world.call(leave("a"));
    let early = answers(&trace);
    assert_eq!(early.len(), 1, "{trace:?}");
    assert!(early[0].starts_with("answer 3 left unsent"), "{trace:?}");
    world.pass(500);
    world.opened(2);
    let trace = world.say(2, vec![resumed(1, "secret-2")]);
    assert!(trace.iter().any(|line| line.contains("leave")), "{trace:?}");
}

#[test]
fn a_leave_whose_join_was_lost_with_the_session_is_done() {
    for is_sent in [true, false] {
        let mut world = World::logged_in();
        world.call(join("a"));
        if is_sent {
            world.call(leave("a"));
        }
        world.closed(1, 0);
        if !is_sent {
            world.call(leave("a"));
        }
        world.pass(500);
        world.opened(2);
        let trace = world.say(2, vec![refused(Outcome::UnknownSession, 0)]);
        assert_eq!(answers(&trace), ["answer 3 done"], "sent: {is_sent}");
        let trace = world.welcome(2);
        assert!(!trace.iter().any(|line| line.contains("join")), "{trace:?}");
        assert!(
            !trace.iter().any(|line| line.contains("leave")),
            "{trace:?}"
        );
    }
}

#[test]
fn a_leave_without_a_join_under_way_is_the_servers_to_answer() {
    let mut world = World::logged_in();
    let trace = world.call(leave("a"));
    assert_eq!(answers(&trace), Vec::<&String>::new());
    let trace = world.say(1, vec![fail(1, Outcome::NotInChannel, 0)]);
    assert_eq!(answers(&trace).len(), 1);
}
