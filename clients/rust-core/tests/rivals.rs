//! Two clients of one user in one program: the later login wins, as the application ordered them
//! (decision 0020).

mod harness;

use harness::*;
use tidings_client_core::{Backlog, Input, RivalWord};
use tidings_wire::codes::CloseCode;

fn rival(world: &mut World, word: RivalWord) -> Vec<String> {
    world.input(Input::Rival(word))
}

#[test]
fn a_login_waits_while_a_later_one_is_on_its_way_and_goes_on_when_that_came_to_nothing() {
    let mut world = World::new();
    world.login();
    world.opened(1);
    assert_eq!(rival(&mut world, RivalWord::Hold), ["close 1"]);
    assert_eq!(world.pass(5_000), Vec::<String>::new(), "it holds back");
    assert_eq!(
        world.input(Input::Wake),
        Vec::<String>::new(),
        "a wake-up opens nothing"
    );
    assert_eq!(rival(&mut world, RivalWord::Go), ["open 2"]);
    world.opened(2);
    assert_eq!(
        world.welcome(2),
        ["CONNECTED LOGIN_SUCCESS", "answer 1 done"]
    );
}

#[test]
fn a_login_that_is_held_back_still_ends_after_12_s() {
    let mut world = World::new();
    world.login();
    rival(&mut world, RivalWord::Hold);
    let trace = world.pass(12_000);
    assert_eq!(trace[0], "+12000 DISCONNECTED LOGIN_TIMEOUT");
    assert_eq!(
        rival(&mut world, RivalWord::Go),
        Vec::<String>::new(),
        "it is over"
    );
}

#[test]
fn a_login_that_is_not_connected_ends_when_the_later_one_has_succeeded() {
    for is_held in [false, true] {
        let mut world = World::new();
        world.login();
        if is_held {
            rival(&mut world, RivalWord::Hold);
        }
        let trace = rival(&mut world, RivalWord::Over);
        let trace: Vec<_> = trace
            .iter()
            .filter(|line| !line.starts_with("close"))
            .collect();
        assert_eq!(trace[0], "DISCONNECTED LOGIN_FAILURE");
        assert_eq!(trace[1], "answer 1 error remote_login");
    }
}

#[test]
fn a_connected_client_is_ended_by_the_server_and_does_not_come_back_when_its_word_is_lost() {
    let mut told = World::logged_in();
    assert_eq!(rival(&mut told, RivalWord::Over), Vec::<String>::new());
    let trace = told.closed(1, CloseCode::RemoteLogin as u16);
    assert_eq!(trace, ["ABORTED REMOTE_LOGIN"]);

    for code in [
        0,
        CloseCode::ProtocolError as u16,
        CloseCode::LoginRefused as u16,
    ] {
        let mut lost = World::logged_in();
        rival(&mut lost, RivalWord::Over);
        assert_eq!(
            lost.closed(1, code),
            ["ABORTED REMOTE_LOGIN"],
            "close code {code}"
        );
        assert_eq!(lost.pass(60_000), Vec::<String>::new());
    }

    let mut silent = World::logged_in();
    rival(&mut silent, RivalWord::Over);
    let trace = silent.pass_untimed(30_000);
    assert_eq!(trace, ["close 1", "ABORTED REMOTE_LOGIN"]);
}

#[test]
fn a_connected_client_whose_link_breaks_stays_away_until_the_later_login_is_settled() {
    let mut world = World::logged_in();
    rival(&mut world, RivalWord::Hold);
    assert_eq!(world.closed(1, 0), Vec::<String>::new());
    assert_eq!(world.pass_untimed(20_000), ["RECONNECTING INTERRUPTED"]);
    world.input(Input::Backlog(Backlog::Clear));
    assert_eq!(rival(&mut world, RivalWord::Go), ["open 2"]);
}

#[test]
fn a_logout_under_way_is_done_when_an_overtaken_link_breaks() {
    let mut world = World::logged_in();
    rival(&mut world, RivalWord::Over);
    world.logout();
    let trace = world.closed(1, 0);
    assert_eq!(trace, ["DISCONNECTED LOGOUT", "answer 2 done"]);
}

#[test]
fn a_word_without_a_login_means_nothing() {
    let mut world = World::new();
    for word in [RivalWord::Hold, RivalWord::Go, RivalWord::Over] {
        assert_eq!(rival(&mut world, word), Vec::<String>::new());
    }
    // Nothing of it is left for the login that follows.
    assert_eq!(world.login(), ["CONNECTING LOGIN", "open 1"]);
}
