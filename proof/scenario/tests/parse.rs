//! The grammar: what is accepted, and what is refused with which text.

use tidings_scenario::{Action, Answer, Event, Message, TokenKind, Write, parse};

fn action(line: &str) -> Action {
    let text = format!("# X-1  a sentence\n{line}");
    parse(&text)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .steps[0]
        .action
        .clone()
}

fn event(fact: &str) -> Event {
    let text = format!("# X-1  a sentence\n1s pass | alice: {fact}");
    let scenario = parse(&text).unwrap_or_else(|error| panic!("{fact}: {error}"));
    scenario.steps[0].expectations[0].event.clone()
}

#[test]
fn every_action_is_understood_and_shown_in_its_words() {
    let lines = [
        ("alice logs in", "logs in as alice with valid token"),
        (
            "a2 logs in as \"a b\" with no token",
            "logs in as \"a b\" with no token",
        ),
        ("alice logs out", "logs out"),
        ("alice invites bob \"x\"", "invites bob \"x\""),
        (
            "alice invites \"a b\" \"x\" in #r",
            "invites \"a b\" \"x\" in #r",
        ),
        ("alice cancels bob", "cancels bob"),
        ("bob accepts alice", "accepts alice \"\""),
        ("bob refuses alice \"busy\"", "refuses alice \"busy\""),
        (
            "alice renews with expired token",
            "renews with expired token",
        ),
        ("alice renews with 1m token", "renews with 60s token"),
        ("alice joins #a", "joins #a"),
        ("alice leaves #\"a b\"", "leaves #\"a b\""),
        ("alice sends #a \"x\"", "sends #a \"x\""),
        (
            "alice sends bob \"x | \\\" y\" offline",
            "sends bob \"x | \\\" y\" offline",
        ),
        ("alice sends bob raw 00ff \"d\"", "sends bob raw 00ff \"d\""),
        (
            "alice sends bob raw <32760> <8>",
            "sends bob raw <32760> \"xxxxxxxx\"",
        ),
        (
            "alice sends bob file m1 7 \"a.txt\" \"\" <0> offline",
            "sends bob file m1 7 \"a.txt\" \"\" <0> offline",
        ),
        (
            "alice sends #a image m1 7 <3> \"d\" 01ff 640x480 32x24",
            "sends #a image m1 7 \"xxx\" \"d\" 01ff 640x480 32x24",
        ),
        ("alice sends #a <32769>", "sends #a <32769>"),
        ("alice sends #a \"x\" history", "sends #a \"x\" history"),
        (
            "alice sends bob \"x\" offline history",
            "sends bob \"x\" offline history",
        ),
        (
            "alice reads history of #a newest 2 -> bob \"x\"",
            "reads history of #a newest 2",
        ),
        (
            "alice reads history of bob -> nothing",
            "reads history of bob oldest",
        ),
        ("alice lists #a -> alice", "lists #a"),
        ("alice counts #a #b -> #a 1 #b 0", "counts #a #b"),
        ("alice queries bob -> bob ONLINE", "queries bob"),
        ("alice subscribes to bob carol", "subscribes to bob carol"),
        ("alice unsubscribes from bob", "unsubscribes from bob"),
        ("alice lists subscriptions -> nobody", "lists subscriptions"),
        (
            "alice sets attributes k=\"v w\" l=<9>",
            "sets attributes k=\"v w\" l=\"xxxxxxxxx\"",
        ),
        (
            "alice merges attributes of #a k=\"v\" notify",
            "merges attributes of #a k=\"v\" notify",
        ),
        (
            "alice deletes attributes of #a k l",
            "deletes attributes of #a k l",
        ),
        ("alice clears attributes", "clears attributes"),
        (
            "alice reads attributes of bob k -> k=\"v\"",
            "reads attributes of bob k",
        ),
        (
            "alice reads attributes of #a -> nothing",
            "reads attributes of #a",
        ),
        ("alice is cut", "is cut"),
        ("alice comes back", "comes back"),
        ("alice drops", "drops"),
        ("30s pass", "30000ms pass"),
        ("server restarts", "server restarts"),
    ];
    for (line, shown) in lines {
        assert_eq!(action(line).to_string(), shown, "{line}");
    }
}

#[test]
fn every_fact_is_understood_and_shown_in_its_words() {
    for fact in [
        "bob \"hi\"",
        "bob \"hi\" stored",
        "\"a b\" #a raw 01 \"\"",
        "joined bob #a",
        "left bob #\"a b\"",
        "count #a 12",
        "attributes #a k=\"v\"",
        "attributes #a nothing",
        "presence bob ONLINE carol UNREACHABLE dave OFFLINE",
        "gap #a",
        "gap inbox",
        "state ABORTED REMOTE_LOGIN",
        "token expired",
        "invited by bob \"x\"",
        "invited by bob \"x\" in #r",
        "invitation to bob received",
        "invitation to bob accepted \"yes\"",
        "invitation to bob refused \"\"",
        "invitation to bob failed PEER_OFFLINE",
        "invitation by bob canceled",
        "invitation by bob accepted",
    ] {
        assert_eq!(event(fact).to_string(), fact);
    }
}

#[test]
fn times_results_ranges_and_continuations() {
    let scenario = parse(
        "# DEL-1, OFF-2  two clauses

given a certificate
# a comment
alice2 logs in as alice with foreign token -> error 5
bob sends carol \"x\" -> later not received within 3s | carol: maybe gap inbox after 2s
                     | dave: left bob #a after 29s within 31s
bob joins #c1..#c3
bob subscribes to u1..u3 dave
bob merges attributes k1..k2=\"v\"",
    )
    .expect("well-formed");
    assert_eq!(scenario.clauses, ["DEL-1", "OFF-2"]);
    assert!(scenario.has_certificate);
    let parties: Vec<_> = scenario
        .parties
        .iter()
        .map(|p| (p.name.as_str(), p.is_logged_in_before))
        .collect();
    assert_eq!(
        parties,
        [
            ("alice2", false),
            ("bob", true),
            ("carol", true),
            ("dave", true)
        ]
    );
    let [login, send, joins @ .., subscribe, merge] = &scenario.steps[..] else {
        panic!("{:?}", scenario.steps)
    };
    assert_eq!(
        login.action,
        Action::LogIn {
            user_id: "alice".to_owned(),
            token: TokenKind::Foreign
        }
    );
    assert_eq!(
        login.answer.as_ref().map(|a| a.answer.clone()),
        Some(Answer::Error(5))
    );
    let answer = send.answer.as_ref().expect("a result");
    assert_eq!(
        (&answer.answer, answer.is_later),
        (&Answer::NotReceived, true)
    );
    assert_eq!(answer.within_ms, 3_000);
    let [gap, left] = &send.expectations[..] else {
        panic!("two facts")
    };
    assert_eq!(
        (gap.is_optional, gap.after_ms, gap.within_ms),
        (true, 2_000, 3_000)
    );
    assert_eq!(
        (left.line, left.after_ms, left.within_ms),
        (7, 29_000, 31_000)
    );
    assert_eq!(joins.len(), 3);
    assert_eq!(
        joins[2].action,
        Action::Join {
            channel: "c3".to_owned()
        }
    );
    let user_ids = ["u1", "u2", "u3", "dave"].map(str::to_owned).to_vec();
    assert_eq!(subscribe.action, Action::SubscribePresence { user_ids });
    let attributes = vec![("k1".into(), "v".into()), ("k2".into(), "v".into())];
    assert_eq!(
        merge.action,
        Action::WriteUserAttributes {
            how: Write::Merge,
            attributes
        }
    );
}

#[test]
fn escapes_of_texts() {
    let sent = action(r#"alice sends bob "\u{e9}\n\"\\""#);
    let message = Message::Text("é\n\"\\".to_owned());
    assert_eq!(
        sent,
        Action::SendToPeer {
            peer_id: "bob".to_owned(),
            message,
            offline: false,
            history: false,
        }
    );
}

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    let table = [
        ("DEL-1 no heading", 1, "the first line is"),
        ("# DEL-1 one space", 1, "two spaces"),
        ("# X  s", 1, "no steps"),
        ("# X  s\nalice flies", 2, "\"flies\" is not an action"),
        ("# X  s\nAlice joins #a", 2, "is not a client"),
        (
            "# X  s\nalice joins #a\nalice lists #a",
            3,
            "state the result",
        ),
        ("# X  s\nalice joins a", 2, "is not understood here"),
        ("# X  s\nalice sends bob \"x", 2, "no closing quote"),
        (
            "# X  s\nalice joins #a | bob joined",
            2,
            "expected \"client:\"",
        ),
        (
            "# X  s\nalice joins #a | bob: joined alice #a soon",
            2,
            "\"soon\" is not understood",
        ),
        (
            "# X  s\nalice joins #a | bob: left alice #a within 3",
            2,
            "is not a duration",
        ),
        (
            "# X  s\nalice joins #a | bob: left alice #a after 3s within 2s",
            2,
            "ends before",
        ),
        ("# X  s\n5s pass -> ok", 2, "has no result"),
        ("# X  s\n| alice: token expired", 2, "no action"),
        (
            "# X  s\nalice joins #a\ngiven a certificate",
            3,
            "before all steps",
        ),
        (
            "# X  s\nalice queries u9..u1 -> nobody",
            2,
            "is not a range",
        ),
        (
            "# X  s\n1s pass | bob: invitation by alice received",
            2,
            "does not become",
        ),
        (
            "# X  s\nalice sends bob raw 0 \"\"",
            2,
            "neither hexadecimal",
        ),
    ];
    for (text, line, words) in table {
        let error = parse(text).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.detail.contains(words), "{text}: {error}");
    }
}
