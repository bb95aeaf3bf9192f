//! For each user of a channel, joined and left alternate, whatever was missed: contract PRE-3,
//! PRE-9.

mod harness;

use harness::*;
use tidings_wire::codes::Outcome;
use tidings_wire::proto::server_message::Kind;

/// Alice in #a with others of whom she has seen no list; then `news` comes.
fn among_unknown(news: Vec<Kind>) -> World {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.say(1, vec![done(1), count("a", 3)]);
    world.say(1, news);
    world
}

/// Alice, who was in #a from the first and has seen bob come.
fn with_bob() -> World {
    let mut world = World::logged_in();
    world.call(join("a"));
    world.say(1, vec![done(1), count("a", 1), joined("a", "bob")]);
    world
}

/// A gap opens on the connection. Whether it makes the client ask for the members of #a.
fn gap_asks_for_members(world: &mut World, connection: u64) -> bool {
    let trace = world.say(connection, vec![channel_gap("a")]);
    trace.iter().any(|line| line.contains("members a"))
}

/// The lines about members while time passes on a living connection.
fn member_lines(world: &mut World, connection: u64, ms: u64) -> Vec<String> {
    let mut lines = vec![];
    for _ in 0..ms / 1_000 {
        lines.extend(world.pass_untimed(1_000));
        lines.extend(world.say(connection, vec![Kind::Ping(tidings_wire::proto::Ping {})]));
    }
    lines.retain(|line| line.starts_with("a "));
    lines
}

#[test]
fn a_user_seen_to_leave_and_back_after_a_hole_is_told_to_have_joined() {
    let mut world = among_unknown(vec![joined("a", "dave"), left("a", "bob")]);
    assert!(gap_asks_for_members(&mut world, 1));
    let trace = world.say(1, vec![users(2, "alice bob carol dave")]);
    assert_eq!(trace, ["a joined bob"], "carol was there all the time");
    assert_eq!(world.say(1, vec![left("a", "bob")]), ["a left bob"]);
}

#[test]
fn a_channel_of_which_only_leavers_are_known_is_compared_after_a_hole() {
    let mut world = among_unknown(vec![left("a", "bob")]);
    assert!(gap_asks_for_members(&mut world, 1));
    let trace = world.say(1, vec![users(2, "alice bob carol")]);
    assert_eq!(trace, ["a joined bob"]);
}

#[test]
fn a_channel_of_which_nothing_is_known_is_not_compared() {
    let mut world = among_unknown(vec![]);
    assert!(!gap_asks_for_members(&mut world, 1));
}

#[test]
fn a_user_known_to_be_out_that_came_and_went_inside_a_hole_is_not_told_to_leave_again() {
    let mut world = among_unknown(vec![left("a", "bob")]);
    gap_asks_for_members(&mut world, 1);
    assert_eq!(world.say(1, vec![left("a", "bob")]), [""; 0]);
    // Nor is it when the application has seen nobody but knows of everybody.
    let mut world = with_bob();
    gap_asks_for_members(&mut world, 1);
    assert_eq!(world.say(1, vec![left("a", "dave")]), [""; 0]);
    assert_eq!(world.say(1, vec![left("a", "bob")]), ["a left bob"]);
}

#[test]
fn a_user_never_heard_of_is_told_to_leave_once() {
    let mut world = among_unknown(vec![]);
    assert_eq!(world.say(1, vec![left("a", "bob")]), ["a left bob"]);
    assert_eq!(world.say(1, vec![left("a", "bob")]), [""; 0]);
}

#[test]
fn a_list_from_before_an_interruption_tells_nobody_to_have_left() {
    let mut world = with_bob();
    world.reopen(1);
    world.say(2, vec![refused(Outcome::UnknownSession, 0)]);
    world.welcome(2);
    world.say(2, vec![done(1)]);
    // Bob has 30 s to come back. The link is lost in that time; he comes, and the resume does not
    // bring it.
    assert_eq!(world.say(2, vec![users(2, "alice")]), [""; 0]);
    world.closed(2, 0);
    let opened = world.pass_untimed(2_000);
    assert_eq!(opened, ["open 3"]);
    world.opened(3);
    let trace = world.say(3, vec![resumed(2, "secret-2")]);
    assert!(
        trace.iter().any(|line| line.contains("3:members a")),
        "{trace:?}"
    );
    assert_eq!(member_lines(&mut world, 3, 40_000), [""; 0]);
    assert_eq!(world.say(3, vec![users(3, "alice bob")]), [""; 0]);
    assert_eq!(world.say(3, vec![left("a", "bob")]), ["a left bob"]);
}

#[test]
fn after_two_restarts_nobody_is_told_to_have_left_before_the_second_list() {
    let mut world = with_bob();
    world.reopen(1);
    world.say(2, vec![refused(Outcome::UnknownSession, 0)]);
    world.welcome(2);
    world.say(2, vec![done(1)]);
    world.say(2, vec![users(2, "alice")]);
    assert_eq!(member_lines(&mut world, 2, 25_000), [""; 0]);
    // The second restart, 5 s before bob's time is up.
    world.closed(2, 0);
    world.pass(2_000);
    world.opened(3);
    world.say(3, vec![refused(Outcome::UnknownSession, 0)]);
    world.welcome(3);
    let restoring = member_lines(&mut world, 3, 9_000);
    assert_eq!(restoring, [""; 0], "the channel is being joined");
    world.say(3, vec![done(1), joined("a", "bob")]);
    assert_eq!(world.say(3, vec![users(2, "alice bob")]), [""; 0]);
    assert_eq!(member_lines(&mut world, 3, 40_000), [""; 0]);
    assert_eq!(world.say(3, vec![left("a", "bob")]), ["a left bob"]);
}

#[test]
fn a_count_of_the_time_when_one_was_gone_oneself_does_not_hide_a_leaver() {
    let mut world = World::logged_in();
    world.call(join("a"));
    // Bob was there before; nobody has told so.
    world.say(1, vec![done(1), count("a", 2)]);
    world.reopen(1);
    // Replayed: the count while alice herself counted as gone, then the one after her return.
    let replayed = vec![resumed_after_gone(1), count("a", 1), count("a", 2)];
    world.say(2, replayed);
    assert_eq!(world.say(2, vec![left("a", "bob")]), ["a left bob"]);
    assert_eq!(world.say(2, vec![joined("a", "bob")]), ["a joined bob"]);
}
