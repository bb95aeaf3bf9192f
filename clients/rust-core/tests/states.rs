//! The connection states of rtm 3.1, each row of its table, and the closes of protocol 2.5.

mod harness;

use harness::*;
use tidings_client_core::{Backlog, ConnectionState, Input};
use tidings_wire::codes::Outcome;

// proves: rtm-2.5-events, rtm-3.1-login, rtm-3.1-accepted
#[test]
fn a_login_is_connecting_at_once_and_connected_before_it_resolves() {
    let mut world = World::new();
    assert_eq!(world.login(), ["CONNECTING LOGIN", "open 1"]);
    assert_eq!(world.opened(1), ["send 1 login alice/token-1"]);
    assert_eq!(
        world.welcome(1),
        ["CONNECTED LOGIN_SUCCESS", "answer 1 done"]
    );
    assert_eq!(world.client.state(), ConnectionState::Connected);
}

// proves: rtm-2.3-login
#[test]
fn checks_before_a_login_come_in_the_documented_order() {
    let mut world = World::new();
    assert_eq!(world.login_as("", ""), ["answer 1 error invalid_user_id"]);
    world.login();
    assert_eq!(world.login_as("", ""), ["answer 3 error invalid_user_id"]);
    world.pass(300);
    assert_eq!(world.login(), ["answer 4 error too_often"]);
    world.pass(200);
    assert_eq!(world.login(), ["answer 5 error AlreadyLoggedIn"]);
}

// proves: rtm-3.1-refused, rtm-2.5-failed
#[test]
fn a_refused_login_ends_at_once_and_nothing_retries_it() {
    for outcome in [
        Outcome::InvalidToken,
        Outcome::TokenExpired,
        Outcome::UnknownApp,
        Outcome::Banned,
        Outcome::InvalidUserId,
    ] {
        let mut world = World::new();
        world.login();
        world.opened(1);
        let trace = world.say(1, vec![refused(outcome, 0)]);
        let answer = format!("answer 1 error {}", outcome.name());
        assert_eq!(trace, ["close 1", "DISCONNECTED LOGIN_FAILURE", &answer]);
        assert_eq!(world.closed(1, 4014), [""; 0]);
        assert_eq!(world.client.deadline(), None);
    }
}

// proves: rtm-3.1-timeout, rtm-2.1-login-timeout
#[test]
fn a_login_tries_several_times_within_12_s_and_then_times_out() {
    let mut world = World::new();
    world.login();
    let trace = world.pass(60_000);
    let opened = trace.iter().filter(|line| line.contains("open")).count();
    assert!(opened >= 2, "{trace:?}");
    let end = &trace[trace.len() - 3..];
    assert_eq!(end[1], "+12000 DISCONNECTED LOGIN_TIMEOUT");
    assert_eq!(end[2], "+12000 answer 1 error timed_out");
}

#[test]
fn a_login_that_meets_a_closed_port_goes_on_with_back_off() {
    let mut world = World::new();
    world.login();
    assert_eq!(world.closed(1, 0), [""; 0]);
    assert_eq!(world.pass_untimed(500), ["open 2"]);
    world.opened(2);
    assert_eq!(
        world.welcome(2),
        ["CONNECTED LOGIN_SUCCESS", "answer 1 done"]
    );
}

#[test]
fn an_overloaded_server_is_asked_again_within_its_hint_and_twice_it() {
    let mut world = World::new();
    world.login();
    world.opened(1);
    assert_eq!(
        world.say(1, vec![refused(Outcome::Overloaded, 1_000)]),
        ["close 1"]
    );
    assert_eq!(world.pass(999), [""; 0]);
    assert_eq!(world.pass_untimed(1_001), ["open 2"]);
}

// proves: rtm-2.6-connecting, rtm-3.1-logout-connecting
#[test]
fn a_logout_during_the_login_gives_one_event_and_rejects_the_login() {
    let mut world = World::new();
    world.login();
    assert_eq!(
        world.logout(),
        [
            "close 1",
            "DISCONNECTED LOGOUT",
            "answer 1 error LoginCanceled",
            "answer 2 done"
        ]
    );
    assert_eq!(world.opened(1), [""; 0]);
    assert_eq!(world.pass(60_000), [""; 0], "nothing late");
}

// proves: rtm-2.3-logged-in, rtm-2.6-disconnected
#[test]
fn calls_and_logouts_without_a_login_are_refused() {
    let mut world = World::new();
    assert_eq!(world.logout(), ["answer 1 error NotLoggedIn"]);
    assert_eq!(world.call(join("a")), ["answer 2 error NotLoggedIn"]);
    assert_eq!(world.renew("t"), ["answer 3 error NotLoggedIn"]);
    world.login();
    assert_eq!(
        world.call(join("a")),
        ["answer 5 error NotLoggedIn"],
        "while connecting"
    );
}

#[test]
fn a_logout_is_told_to_the_server_behind_earlier_calls() {
    let mut world = World::logged_in();
    assert_eq!(world.call(to_peer("bob", "x")), ["send 1 1:peer bob x"]);
    assert_eq!(world.logout(), ["send 1 2:logout"]);
    assert_eq!(world.call(join("a")), ["answer 4 error NotLoggedIn"]);
    assert_eq!(
        world.say(1, vec![done(2)]),
        [
            "close 1",
            "DISCONNECTED LOGOUT",
            "answer 2 error NotLoggedIn",
            "answer 3 done"
        ]
    );
    world.pass(500);
    assert_eq!(world.login()[0], "CONNECTING LOGIN");
}

#[test]
fn a_logout_that_the_server_confirms_by_its_close_alone_is_done() {
    let mut world = World::logged_in();
    world.logout();
    assert_eq!(
        world.closed(1, 4017),
        ["DISCONNECTED LOGOUT", "answer 2 done"]
    );
}

#[test]
fn a_logout_without_a_link_is_done_when_the_interruption_would_show() {
    let mut world = World::logged_in();
    world.closed(1, 0);
    world.logout();
    let trace = world.pass(10_000);
    assert!(
        trace.contains(&"+4000 DISCONNECTED LOGOUT".to_owned()),
        "{trace:?}"
    );
    assert!(
        !trace.iter().any(|line| line.contains("RECONNECTING")),
        "{trace:?}"
    );

    let mut world = World::logged_in();
    world.closed(1, 0);
    world.pass(5_000);
    assert_eq!(world.client.state(), ConnectionState::Reconnecting);
    let trace = world.logout();
    assert_eq!(trace.last().map(String::as_str), Some("answer 2 done"));
    assert_eq!(world.client.state(), ConnectionState::Disconnected);
}

// proves: rtm-3.2-short
#[test]
fn an_interruption_below_4_s_is_not_shown() {
    let mut world = World::logged_in();
    assert_eq!(world.reopen(1), ["send 2 resume secret-1 from 0"]);
    world.pass(3_000);
    assert_eq!(world.say(2, vec![resumed(0, "secret-2")]), [""; 0]);
}

// proves: rtm-3.1-for-ever, rtm-3.1-interrupted
#[test]
fn an_interruption_of_4_s_is_reconnecting_and_stays_for_ever() {
    let mut world = World::logged_in();
    world.closed(1, 0);
    let trace = world.pass(4_000);
    assert_eq!(
        trace.last().map(String::as_str),
        Some("+4000 RECONNECTING INTERRUPTED")
    );
    let trace = world.pass(3_600_000);
    assert!(
        !trace.iter().any(|line| line.contains("CONNECT")),
        "{trace:?}"
    );
    let attempts = trace.iter().filter(|line| line.contains("open")).count();
    assert!(
        (100..400).contains(&attempts),
        "{attempts} attempts in an hour"
    );
}

// proves: rtm-3.1-back
#[test]
fn a_link_that_comes_back_is_connected_again() {
    let mut world = World::logged_in();
    world.reopen(1);
    world.pass(5_000);
    assert_eq!(
        world.say(2, vec![resumed(0, "secret-2")]),
        ["CONNECTED LOGIN_SUCCESS"]
    );
}

// proves: rtm-3.1-banned, rtm-3.1-remote-login, rtm-3.1-token-expired
#[test]
fn each_close_code_does_what_its_row_says() {
    // Code, wait until the next attempt at least and at most, expected trace of the close itself.
    let aborted = |reason: &str| vec![format!("ABORTED {reason}")];
    type Row = (u16, Option<(u64, u64)>, Vec<String>);
    let table: Vec<Row> = vec![
        (4000, Some((0, 0)), vec!["open 2".to_owned()]),
        (4001, Some((0, 500)), vec![]),
        (4002, Some((1_000, 1_000)), vec![]),
        (4003, Some((0, 500)), vec![]),
        (4004, Some((0, 500)), vec![]),
        (4005, Some((0, 500)), vec![]),
        (4006, Some((0, 500)), vec![]),
        (4007, None, aborted("REMOTE_LOGIN")),
        (4010, None, aborted("REMOTE_LOGIN")),
        (
            4011,
            None,
            ["token expired".to_owned()]
                .into_iter()
                .chain(aborted("TOKEN_EXPIRED"))
                .collect(),
        ),
        (4012, None, aborted("BANNED_BY_SERVER")),
        (4013, None, aborted("BANNED_BY_SERVER")),
        (4015, Some((0, 500)), vec![]),
        (4016, Some((5_000, 5_000)), vec![]),
        (4017, None, vec!["DISCONNECTED LOGOUT".to_owned()]),
        (1009, Some((0, 500)), vec![]),
        (1006, Some((0, 500)), vec![]),
        (0, Some((0, 500)), vec![]),
    ];
    for (code, wait, expected) in table {
        let mut world = World::logged_in();
        world.pass(100);
        assert_eq!(world.closed(1, code), expected, "code {code}");
        let is_anew = code == 4016 || code == 1009;
        let Some((at_least, at_most)) = wait else {
            assert_eq!(world.pass(60_000), [""; 0], "code {code}");
            continue;
        };
        if at_most > 0 {
            let trace = world.pass(at_most);
            let opened = trace.iter().find_map(|line| line.strip_suffix(" open 2"));
            let wait: u64 = opened
                .expect("an attempt")
                .trim_start_matches('+')
                .parse()
                .expect("ms");
            assert!((at_least..=at_most).contains(&wait), "code {code}: {wait}");
        }
        let greeting = if is_anew {
            "login alice/token-1"
        } else {
            "resume secret-1 from 0"
        };
        assert_eq!(
            world.opened(2),
            [format!("send 2 {greeting}")],
            "code {code}"
        );
    }
}

#[test]
fn protocol_errors_begin_a_new_session_at_most_three_times() {
    let mut world = World::logged_in();
    for round in 1..=3 {
        world.closed(round, 4016);
        let trace = world.pass(4_999);
        assert!(
            !trace.iter().any(|line| line.contains("open")),
            "round {round}: {trace:?}"
        );
        let opened = world.pass_untimed(3_000);
        assert!(
            opened.contains(&format!("open {}", round + 1)),
            "round {round}: {opened:?}"
        );
        assert_eq!(
            world.opened(round + 1),
            [format!("send {} login alice/token-1", round + 1)]
        );
        world.welcome(round + 1);
    }
    world.closed(4, 4016);
    // As the JavaScript SDK: it stays interrupted, and nothing is tried any more.
    assert_eq!(world.pass(600_000), ["+4000 RECONNECTING INTERRUPTED"]);
    assert_eq!(world.input(Input::Wake), [""; 0]);
    assert_eq!(world.logout(), ["DISCONNECTED LOGOUT", "answer 2 done"]);
    world.login();
    world.opened(5);
    let welcome = world.welcome(5);
    assert!(
        welcome.contains(&"CONNECTED LOGIN_SUCCESS".to_owned()),
        "{welcome:?}"
    );
}

#[test]
fn a_hint_before_a_close_is_kept_to_and_forgotten_by_the_next() {
    for code in [4003, 4005] {
        let mut world = World::logged_in();
        assert_eq!(
            world.say(1, vec![refused(Outcome::Overloaded, 20_000)]),
            [""; 0],
            "it is only noted"
        );
        world.closed(1, code);
        let early = world.pass(19_999);
        assert_eq!(early, ["+4000 RECONNECTING INTERRUPTED"], "code {code}");
        let later = world.pass_untimed(20_001);
        assert_eq!(later, ["open 2"], "code {code}: at most twice the hint");
        world.opened(2);
        world.say(2, vec![resumed(0, "secret-2")]);
        world.closed(2, code);
        assert_eq!(world.pass_untimed(3_000), ["open 3"], "code {code}");
    }
}

#[test]
fn a_login_too_many_is_told_and_a_resume_too_many_is_tried_again() {
    let mut world = World::new();
    world.login();
    world.opened(1);
    let told = world.say(1, vec![refused(Outcome::TooOften, 500)]);
    assert!(
        told.contains(&"answer 1 error too_often".to_owned()),
        "{told:?}"
    );
    assert_eq!(world.pass(60_000), [""; 0]);
    let mut world = World::logged_in();
    world.reopen(1);
    world.say(2, vec![refused(Outcome::TooOften, 500)]);
    assert!(world.pass_untimed(1_000).contains(&"open 3".to_owned()));
}

// proves: rtm-3.4-no-auto, rtm-3.1-calls-aborted, rtm-3.1-login-aborted
#[test]
fn an_aborted_client_does_nothing_by_itself_until_a_logout() {
    let mut world = World::logged_in();
    world.call(to_peer("bob", "x"));
    assert_eq!(
        world.closed(1, 4010),
        ["ABORTED REMOTE_LOGIN", "answer 2 error NotLoggedIn"]
    );
    assert_eq!(world.pass(600_000), [""; 0]);
    assert_eq!(world.input(Input::Wake), [""; 0]);
    assert_eq!(world.call(join("a")), ["answer 3 error NotLoggedIn"]);
    assert_eq!(world.login(), ["answer 4 error AlreadyLoggedIn"]);
    assert_eq!(world.logout(), ["DISCONNECTED LOGOUT", "answer 5 done"]);
}

// proves: rtm-3.1-banned, rtm-3.1-remote-login, rtm-3.4-away
#[test]
fn a_session_taken_over_while_away_is_aborted_when_the_resume_is_refused() {
    for (outcome, state) in [
        (Outcome::RemoteLogin, "ABORTED REMOTE_LOGIN"),
        (Outcome::Banned, "ABORTED BANNED_BY_SERVER"),
        (Outcome::UnknownApp, "ABORTED BANNED_BY_SERVER"),
    ] {
        let mut world = World::logged_in();
        world.reopen(1);
        assert_eq!(world.say(2, vec![refused(outcome, 0)]), ["close 2", state]);
        assert_eq!(world.pass(60_000), [""; 0]);
    }
}

#[test]
fn a_silent_link_is_lost_after_heartbeat_and_4_s_and_shown_at_once() {
    let mut world = World::logged_in();
    let trace = world.pass(14_000);
    assert_eq!(
        trace[..2],
        ["+14000 close 1", "+14000 RECONNECTING INTERRUPTED"]
    );
}

// proves: rtm-3.5-no-page-timer
#[test]
fn pings_keep_the_link_and_are_answered_at_once() {
    use tidings_wire::proto::{Ping, server_message::Kind};
    let mut world = World::logged_in();
    for _ in 0..10 {
        assert_eq!(world.pass(13_000), [""; 0]);
        assert_eq!(world.say(1, vec![Kind::Ping(Ping {})]), ["send 1 pong"]);
    }
}

// proves: rtm-3.5-wake-up
#[test]
fn a_wake_up_checks_a_quiet_link_and_cuts_waits_short() {
    let mut world = World::logged_in();
    world.pass(500);
    assert_eq!(world.input(Input::Wake), [""; 0], "heard just now");
    world.pass(5_000);
    assert_eq!(world.input(Input::Wake), ["send 1 ping"]);
    let trace = world.pass(4_000);
    assert_eq!(
        trace[..2],
        ["+4000 close 1", "+4000 RECONNECTING INTERRUPTED"]
    );
    world.pass(500);
    let mut connection = 2;
    while world
        .client
        .deadline()
        .is_some_and(|deadline| deadline < world.now + 3_000)
    {
        assert_eq!(world.closed(connection, 0), [""; 0]);
        connection += 1;
    }
    assert_eq!(world.closed(connection, 0), [""; 0]);
    assert_eq!(
        world.input(Input::Wake),
        [format!("open {}", connection + 1)]
    );
}

#[test]
fn an_answered_check_leaves_the_link_alone() {
    use tidings_wire::proto::{Pong, server_message::Kind};
    let mut world = World::logged_in();
    world.pass(5_000);
    world.input(Input::Wake);
    assert_eq!(world.say(1, vec![Kind::Pong(Pong {})]), [""; 0]);
    assert_eq!(world.pass_untimed(5_000), [""; 0], "nothing is numbered");
}

#[test]
fn bytes_that_are_not_the_protocol_end_the_connection() {
    let mut world = World::logged_in();
    let payload = bytes::Bytes::from_static(&[0xff; 9]);
    assert_eq!(
        world.input(Input::Received {
            connection: 1,
            payload
        }),
        ["close 1"]
    );
    assert_eq!(world.pass_untimed(500), ["open 2"]);
}

#[test]
fn with_a_full_backlog_nothing_is_confirmed_and_a_lost_link_stays_down() {
    let mut world = World::logged_in();
    world.input(Input::Backlog(Backlog::Full));
    assert_eq!(
        world.say(1, vec![peer_message("bob", "x", 0, 1)]),
        ["peer bob: x"]
    );
    assert_eq!(world.pass(5_000), [""; 0]);
    world.closed(1, 4002);
    assert_eq!(world.pass_untimed(60_000), ["RECONNECTING INTERRUPTED"]);
    assert_eq!(world.input(Input::Backlog(Backlog::Clear)), ["open 2"]);
    assert_eq!(world.opened(2), ["send 2 resume secret-1 from 1"]);
}

// proves: rtm-3.1-token-reconnecting, rtm-7.3-reconnecting, rtm-7.4-reconnecting
#[test]
fn a_token_that_ends_while_away_is_told_once_and_a_new_one_lets_the_client_go_on() {
    let mut world = World::logged_in();
    world.reopen(1);
    assert_eq!(
        world.say(2, vec![refused(Outcome::TokenExpired, 0)]),
        ["token expired", "close 2"]
    );
    let trace = world.pass_untimed(1_000);
    assert_eq!(trace, ["open 3"]);
    world.opened(3);
    assert_eq!(
        world.say(3, vec![refused(Outcome::TokenExpired, 0)]),
        ["close 3"],
        "told once"
    );
    assert_eq!(world.renew("token-2"), ["open 4"]);
    assert_eq!(world.opened(4), ["send 4 resume secret-1 from 0 token-2"]);
    assert_eq!(
        world.say(4, vec![resumed(0, "secret-2")]),
        ["answer 2 done"]
    );
}

#[test]
fn a_renewed_token_is_sent_and_used_from_then_on() {
    let mut world = World::logged_in();
    assert_eq!(world.renew("token-2"), ["send 1 1:renew token-2"]);
    assert_eq!(world.say(1, vec![done(1)]), ["answer 2 done"]);
    world.reopen(1);
    let trace = world.say(2, vec![refused(Outcome::WindowOver, 0)]);
    assert_eq!(trace, ["send 2 login alice/token-2"]);
}

// proves: rtm-2.17-no-tokens
#[test]
fn no_log_shows_a_secret_or_a_token() {
    let world = World::logged_in();
    let text = format!("{:?}", world.client);
    assert!(
        !text.contains("secret-1") && !text.contains("token-1"),
        "{text}"
    );
    assert!(!text.contains("115, 101"), "bytes of the secret: {text}");
}
