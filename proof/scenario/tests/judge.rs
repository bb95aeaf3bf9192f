//! The judge with a simulated clock: a run is a list of lines, each an action or an observation of
//! one party.

use tidings_scenario::{Answer, Event, Judge, Message, Next, PresenceState, Seen, parse};

/// The reaction to the first order that starts with a text: its answer, and events with their delay
/// and client.
type Line<'a> = (&'a str, Answer, &'a [(u64, &'a str, Event)]);
type Script<'a> = Vec<Line<'a>>;

/// Runs a scenario. A call that the script does not name is answered with `ok` at once.
fn run(text: &str, script: &[Line<'_>]) -> Result<u64, String> {
    let scenario = parse(text).map_err(|error| error.to_string())?;
    let mut judge = Judge::new(&scenario, "test.txt");
    let mut now = 5_000;
    let mut pending: Vec<(u64, Seen)> = vec![];
    loop {
        match judge.next(now) {
            Next::Do(order) => {
                let who = order.client.clone().unwrap_or_default();
                let name = format!("{who} {}", order.action);
                let line = script
                    .iter()
                    .find(|(start, ..)| name.trim().starts_with(start));
                let answer = line.map_or(Answer::Done, |(_, answer, _)| answer.clone());
                if order.action.has_answer() {
                    pending.push((
                        now,
                        Seen::Answer {
                            order: order.id,
                            answer,
                        },
                    ));
                }
                for (delay, client, event) in line.map_or(&[] as &[_], |(.., events)| events) {
                    let client = (*client).to_owned();
                    pending.push((
                        now + delay,
                        Seen::Event {
                            client,
                            event: event.clone(),
                        },
                    ));
                }
                pending.sort_by_key(|(at, _)| *at);
            }
            Next::Wait { until_ms } => {
                assert!(until_ms > now, "a wait is in the future");
                match pending.first() {
                    Some((at, _)) if *at <= until_ms => {
                        let (at, seen) = pending.remove(0);
                        now = at;
                        judge.observe(at, seen);
                    }
                    _ => now = until_ms,
                }
            }
            Next::Passed => return Ok(now - 5_000),
            Next::Failed(failure) => return Err(failure.to_string()),
        }
    }
}

fn joined(user: &str) -> Event {
    Event::MemberJoined {
        channel: "a".to_owned(),
        user_id: user.to_owned(),
    }
}

fn left(user: &str) -> Event {
    Event::MemberLeft {
        channel: "a".to_owned(),
        user_id: user.to_owned(),
    }
}

fn count(count: u32) -> Event {
    Event::MemberCount {
        channel: "a".to_owned(),
        count,
    }
}

fn said(from: &str, text: &str) -> Event {
    let message = Message::Text(text.to_owned());
    Event::ChannelMessage {
        channel: "a".to_owned(),
        from: from.to_owned(),
        message,
    }
}

fn state(state: &str, reason: &str) -> Event {
    Event::State {
        state: state.to_owned(),
        reason: reason.to_owned(),
    }
}

const TWO: &str = "# DEL-3  a member is seen to join before its first message
alice joins #a
bob   joins #a       | alice: joined bob #a
bob   sends #a \"hi\"  | alice: bob #a \"hi\"
bob   drops          | alice: left bob #a  after 29s within 31s";

#[test]
fn what_is_kept_passes_after_a_quiet_end() {
    let passed = run(
        TWO,
        &[
            ("bob joins", Answer::Done, &[(10, "alice", joined("bob"))]),
            (
                "bob sends",
                Answer::Done,
                &[(10, "alice", said("bob", "hi"))],
            ),
            ("bob drops", Answer::Done, &[(30_000, "alice", left("bob"))]),
        ],
    );
    assert_eq!(passed, Ok(31_520));
}

#[test]
fn each_kind_of_difference_is_named_with_its_line() {
    let join = [(5, "alice", joined("bob"))];
    let hi = [(5, "alice", said("bob", "hi"))];
    let own = [(5, "bob", joined("bob"))];
    let early = [(28_000, "alice", left("bob"))];
    let twice = [
        (30_000, "alice", left("bob")),
        (31_000, "alice", left("bob")),
    ];
    let joins = |events| ("bob joins", Answer::Done, events);
    let sends = ("bob sends", Answer::Done, &hi[..]);
    let drops = |events| ("bob drops", Answer::Done, events);
    let table: Vec<(Script<'_>, &[&str])> = vec![
        (
            vec![],
            &[
                "test.txt:3: bob joins #a",
                "missing     alice: joined bob #a   (line 3",
            ],
        ),
        (
            vec![joins(&own[..])],
            &[
                "test.txt:3: bob joins #a",
                "unexpected  bob: joined bob #a",
                "still due   alice:",
            ],
        ),
        (
            vec![("bob joins", Answer::Error(5), &[])],
            &[
                "expected    bob joins #a -> ok",
                "answered    bob joins #a -> error 5",
            ],
        ),
        (
            vec![joins(&join[..]), sends.clone(), drops(&early[..])],
            &["test.txt:5: bob drops", "too early   alice: left bob #a"],
        ),
        (
            vec![joins(&join[..]), sends.clone(), drops(&twice[..])],
            &["unexpected  alice: left bob #a"],
        ),
    ];
    for (script, expected) in table {
        let failure = run(TWO, &script).expect_err("a difference");
        for line in expected {
            assert!(failure.contains(line), "{line:?} is not in\n{failure}");
        }
    }
}

#[test]
fn facts_of_one_source_keep_their_order_and_others_need_not() {
    let text =
        "# DEL-1  order\nalice joins #a\nbob joins #a | alice: joined bob #a | alice: bob #a \"1\"";
    let wrong = [(1, "alice", said("bob", "1")), (2, "alice", joined("bob"))];
    let failure = run(text, &[("bob joins", Answer::Done, &wrong)]).expect_err("out of order");
    assert!(
        failure.contains("unexpected  alice: bob #a \"1\""),
        "{failure}"
    );

    let text = "# DEL-1  order\nbob joins #a | alice: joined bob #a | alice: bob #b \"1\"";
    let message = Message::Text("1".to_owned());
    let other = Event::ChannelMessage {
        channel: "b".into(),
        from: "bob".into(),
        message,
    };
    let events = [(1, "alice", other), (2, "alice", joined("bob"))];
    assert!(run(text, &[("bob joins", Answer::Done, &events)]).is_ok());
}

#[test]
fn states_and_counts_are_judged_where_the_scenario_names_them() {
    let text = "# RTM-3.1  states\nalice joins #a";
    let events = [
        (1, "alice", state("RECONNECTING", "INTERRUPTED")),
        (2, "alice", count(1)),
    ];
    assert!(run(text, &[("alice joins", Answer::Done, &events)]).is_ok());

    let text = "# RTM-3.1  states\nalice is cut\n2s pass | alice: state ABORTED BANNED_BY_SERVER";
    let events = [(1, "alice", state("RECONNECTING", "INTERRUPTED"))];
    assert!(run(text, &[("alice is cut", Answer::Done, &events)]).is_err());

    let text = "# RTM-2.14  counts\nalice joins #a | alice: count #a 1 | alice: count #a 2 | alice: count #a 3";
    let combined = [
        (1, "alice", count(1)),
        (2, "alice", count(1)),
        (3, "alice", count(3)),
    ];
    assert!(run(text, &[("alice joins", Answer::Done, &combined)]).is_ok());
    let wrong = [(1, "alice", count(1)), (3, "alice", count(4))];
    assert!(run(text, &[("alice joins", Answer::Done, &wrong)]).is_err());
}

#[test]
fn a_login_before_the_first_step_is_done_and_its_states_are_not_judged() {
    let text =
        "# RTM-3.4  a second login\nalice2 logs in as alice | alice: state ABORTED REMOTE_LOGIN";
    let first = [
        (0, "alice", state("CONNECTING", "LOGIN")),
        (0, "alice", state("CONNECTED", "LOGIN_SUCCESS")),
    ];
    let second = [(5, "alice", state("ABORTED", "REMOTE_LOGIN"))];
    let passed = run(
        text,
        &[
            ("alice logs in", Answer::Done, &first),
            ("alice2 logs in", Answer::Done, &second),
        ],
    );
    assert!(passed.is_ok(), "{passed:?}");
}

#[test]
fn steps_with_later_answers_begin_together() {
    let text = "# DEL-1  order\nbob sends #a \"1\" -> later\n\
                bob sends #a \"2\" | alice: bob #a \"1\" | alice: bob #a \"2\"";
    let first = [(1, "alice", said("bob", "1"))];
    let second = [(1, "alice", said("bob", "2"))];
    let passed = run(
        text,
        &[
            ("bob sends #a \"1\"", Answer::Done, &first),
            ("bob sends #a \"2\"", Answer::Done, &second),
        ],
    );
    assert!(passed.is_ok(), "{passed:?}");
}

#[test]
fn optional_facts_may_come_once() {
    let text = "# DEL-16  gaps\nserver restarts | alice: maybe gap #a\n2s pass";
    let gap = Event::Gap {
        channel: Some("a".to_owned()),
    };
    assert!(run(text, &[]).is_ok());
    assert!(
        run(
            text,
            &[(
                "server restarts",
                Answer::Done,
                &[(9, "alice", gap.clone())]
            )]
        )
        .is_ok()
    );
    let twice = [(9, "alice", gap.clone()), (10, "alice", gap)];
    assert!(run(text, &[("server restarts", Answer::Done, &twice)]).is_err());
}

#[test]
fn what_a_dropped_client_sees_is_not_judged() {
    let text = "# PRE-1  drop\nbob drops\n2s pass";
    let events = [(5, "bob", left("alice"))];
    assert!(run(text, &[("bob drops", Answer::Done, &events)]).is_ok());
}

#[test]
fn lists_are_compared_without_order() {
    let text = "# RTM-2.9  query\nalice queries bob carol -> bob ONLINE carol OFFLINE\nalice lists #a -> carol alice";
    let presence = Answer::Presence(vec![
        ("carol".to_owned(), PresenceState::Offline),
        ("bob".to_owned(), PresenceState::Online),
    ]);
    let users = Answer::Users(vec!["alice".to_owned(), "carol".to_owned()]);
    let passed = run(
        text,
        &[
            ("alice queries", presence, &[]),
            ("alice lists", users, &[]),
        ],
    );
    assert!(passed.is_ok(), "{passed:?}");
}

#[test]
fn an_answer_that_never_comes_is_missing() {
    let text = "# 7  answers\nalice joins #a";
    let scenario = parse(text).expect("well-formed");
    let mut judge = Judge::new(&scenario, "f");
    let mut now = 0;
    let failure = loop {
        match judge.next(now) {
            Next::Do(_) => {}
            Next::Wait { until_ms } => now = until_ms,
            Next::Passed => panic!("nothing was answered"),
            Next::Failed(failure) => break failure,
        }
    };
    assert_eq!(now, 13_001);
    assert!(
        failure
            .to_string()
            .contains("missing     alice logs in as alice"),
        "{failure}"
    );
}

#[test]
fn orders_and_events_can_be_handed_to_another_language() {
    let scenario =
        parse("# 1  x\nalice sends bob raw 01ff \"d\" offline -> not received").expect("ok");
    let json = serde_json::to_string(&scenario.steps[0].action).expect("plain data");
    assert_eq!(
        json,
        r#"{"do":"send_to_peer","peer_id":"bob","message":{"raw":{"data":[1,255],"description":"d"}},"offline":true,"history":false}"#
    );
    let event = r#"{"event":"presence_changed","users":[["bob","ONLINE"]]}"#;
    let event: Event = serde_json::from_str(event).expect("an event");
    assert_eq!(event.to_string(), "presence bob ONLINE");
    let answer: Answer = serde_json::from_str(r#"{"error":5}"#).expect("an answer");
    assert_eq!(answer, Answer::Error(5));
}
