//! The protocol's description, section by section: what is not shown by a story of its own
//! elsewhere.

use serde_json::{Value, json};
use tidings_legacy::{AppRules, LoginRefusal, Now, Output, Translator};

use crate::world::{Who, World, body};

fn texts(translator: &mut Translator) -> Vec<String> {
    let outputs = translator.outputs().into_iter();
    outputs
        .map(|output| match output {
            Output::Text(text) => text,
            other => format!("{other:?}"),
        })
        .collect()
}

fn fresh() -> Translator {
    Translator::new(Now::default(), "", 7)
}

#[test]
fn section_3_1_line_login_pings_and_what_is_unknown() {
    let mut translator = fresh();
    translator.hear(Now::default(), br#"["ping",7]"#);
    translator.hear(Now::default(), br#"["news",{"a":1}]"#);
    translator.hear(Now::default(), br#"["line_login",{"line":"9000000001"}]"#);
    let said = texts(&mut translator);
    assert_eq!(said[0], r#"["pong",7]"#);
    let Value::Array(frame) = serde_json::from_str(&said[1]).expect("JSON") else {
        panic!("no frame");
    };
    assert_eq!((&frame[0], &frame[1][0]), (&json!("login_ret"), &json!("")));
    assert_eq!(
        body(&frame[1][1]),
        json!({"result": "failed", "reason": "wrong line"})
    );
    assert!(said[2].starts_with("Close") && said.len() == 3, "{said:?}");
}

#[test]
fn section_3_3_calls_before_the_login_fail_and_cost_nothing_else() {
    let mut translator = fresh();
    translator.hear(
        Now::default(),
        br#"["call2",["channel_join",1,{"line":"","name":"a"}]]"#,
    );
    assert_eq!(
        texts(&mut translator),
        [
            r#"["call2-ret",[1,"","{\"data\":{\"result\":\"wrong line\"},\"reason\":\"wrong line\",\"result\":\"failed\"}"]]"#
        ]
    );
    translator.hear(
        Now::default(),
        br#"["login",{"vid":"a","account":"x","token":""}]"#,
    );
    assert!(matches!(translator.outputs()[..], [Output::Login(_)]));
}

#[test]
fn section_4_1_numbers_are_accounts_and_other_values_are_not() {
    for (account, taken) in [
        ("42", Some("42")),
        ("\"42\"", Some("42")),
        ("-7", Some("-7")),
        ("null", None),
        ("true", None),
        ("{}", None),
        ("[1]", None),
        ("\"with space\"", None),
        ("\"\"", None),
    ] {
        let mut translator = fresh();
        let login = format!(r#"["login",{{"vid":"a","account":{account},"token":""}}]"#);
        translator.hear(Now::default(), login.as_bytes());
        match (&translator.outputs()[..], taken) {
            ([Output::Login(request)], Some(taken)) => assert_eq!(request.account, taken),
            ([Output::Text(said), Output::Close { .. }], None) => {
                assert!(said.contains(r#"\"reason\":\"wrong account\""#), "{said}");
            }
            (other, _) => panic!("{account}: {other:?}"),
        }
    }
}

#[test]
fn section_4_2_reasons_of_a_refusal() {
    for (why, reason) in [
        (LoginRefusal::UnknownApp, "wrong vid"),
        (LoginRefusal::TokenExpired, "TokenErrorExpired"),
        (LoginRefusal::TokenInvalid, "TokenErrorInvalid"),
        (LoginRefusal::Busy, "server busy"),
    ] {
        let mut translator = fresh();
        translator.hear(
            Now::default(),
            br#"["login",{"vid":"a","account":"x","token":""}]"#,
        );
        translator.outputs();
        translator.refuse(why);
        let said = texts(&mut translator);
        let frame: Value = serde_json::from_str(&said[0]).expect("JSON");
        assert_eq!(body(&frame[1][1])["reason"], reason);
        assert!(
            said[1].starts_with("Close"),
            "a refused client does not close by itself"
        );
    }
}

#[test]
fn section_5_2_every_function_has_its_reply() {
    let mut world = World::new();
    let (alice, bob) = (world.legacy("alice"), world.legacy("bob"));
    let uid = |world: &mut World, who: Who| {
        world.call(who, "channel_join", json!({"name": "room"}))["list"].clone()
    };
    let alone = uid(&mut world, alice);
    let both = uid(&mut world, bob);
    assert_eq!(
        (&alone[0][0], &both[1][0]),
        (&json!("alice"), &json!("bob"))
    );
    assert!(both[1][1].is_u64() && both[0] == alone[0]);
    let ok = |fields: Value| {
        let mut body = json!({"result": "ok"});
        body.as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("an object").clone());
        body
    };
    for (function, args, reply) in [
        (
            "user_set_attr",
            json!({"name": "k", "value": {"a": 1}}),
            json!({"reason": ""}),
        ),
        (
            "user_get_attr",
            json!({"account": "alice", "name": "k"}),
            json!({"account": "alice", "name": "k", "value": "{\"a\":1}"}),
        ),
        (
            "user_get_attr",
            json!({"account": "alice", "name": "none"}),
            json!({"account": "alice", "name": "none", "value": ""}),
        ),
        (
            "user_get_attr_all",
            json!({"account": "alice"}),
            json!({"account": "alice", "json": {"k": "{\"a\":1}"}}),
        ),
        (
            "user_get_attr_all",
            json!({"account": "nobody"}),
            json!({"account": "nobody", "json": {}}),
        ),
        (
            "user_query_user_status",
            json!({"account": "bob"}),
            json!({"account": "bob", "status": 1}),
        ),
        (
            "user_query_user_status",
            json!({"account": "x"}),
            json!({"account": "x", "status": 0}),
        ),
        (
            "channel_query_num",
            json!({"name": "room"}),
            json!({"name": "room", "num": 2}),
        ),
        (
            "channel_query_num",
            json!({"name": "none"}),
            json!({"name": "none", "num": 0}),
        ),
        (
            "channel_query_user_isin",
            json!({"name": "room", "account": "bob"}),
            json!({"name": "room", "account": "bob", "isin": 1}),
        ),
        (
            "channel_query_user_isin",
            json!({"name": "room", "account": "x"}),
            json!({"name": "room", "account": "x", "isin": 0}),
        ),
        (
            "channel_query_userlist",
            json!({"name": "room"}),
            json!({"name": "room", "num": 2, "list": both}),
        ),
        (
            "channel_query_userlist_all",
            json!({"name": "room"}),
            json!({"num": 2, "list": both}),
        ),
        (
            "channel_query_userlist_all",
            json!({"name": "room", "num": 1}),
            json!({"num": 2, "list": [both[0]]}),
        ),
        ("channel_leave", json!({"name": "elsewhere"}), json!({})),
        (
            "user_getmsg2",
            json!({"clear_msgs": [], "max": 30}),
            json!({"msgs": []}),
        ),
    ] {
        let got = world.call(alice, function, args.clone());
        // Which end of the list is cut is 5.3's matter.
        if args.get("num").is_some() {
            assert_eq!(
                (&got["num"], got["list"].as_array().map(Vec::len)),
                (&json!(2), Some(1))
            );
            continue;
        }
        world.wait(2_000);
        assert_eq!(got, ok(reply), "{function} {args}");
    }
    for function in ["user_ext_call", "", "io.agora.signal.user_logout"] {
        let got = world.call(alice, function, json!({}));
        assert_eq!(
            got,
            json!({"result": "failed", "reason": "unknown", "data": {"result": "unknown"}})
        );
    }
}

#[test]
fn section_5_2_user_getmsg2_acknowledges_by_id() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    let bob = world.legacy_unpolled("bob");
    world.say(bob, &json!(["set_flag", {"binary": 1}]));
    for n in 0..3 {
        let args =
            json!({"peer": "bob", "flag": "v1:E:3600", "t": "instant", "content": n.to_string()});
        world.call(alice, "user_sendmsg", args);
    }
    let poll = |world: &mut World, ids: Vec<String>| {
        let got = world.call(bob, "user_getmsg2", json!({"clear_msgs": ids, "max": 30}));
        let items = got["msgs"].as_array().expect("a list").clone();
        let id = |item: &Value| {
            item[1]
                .as_str()
                .and_then(|line| line.split(' ').nth(1))
                .map(str::to_owned)
        };
        items.iter().filter_map(id).collect::<Vec<_>>()
    };
    let ids = poll(&mut world, vec![]);
    assert_eq!(ids.len(), 3);
    assert_eq!(poll(&mut world, ids[..2].to_vec()), Vec::<String>::new());
    world.wait(6_000);
    world.lose(bob);
    let (_, answer) = world.legacy_with_answer("bob");
    assert_eq!(answer["msgs"].as_array().map(Vec::len), Some(1), "{answer}");
}

#[test]
fn section_6_7_a_repeated_id_is_dropped_for_60_s_unless_its_first_sending_failed() {
    let mut world = World::new();
    let (alice, bob) = (world.legacy("alice"), world.legacy("bob"));
    world.call(alice, "channel_join", json!({"name": "bob"}));
    let send = |world: &mut World, content: String| {
        let args = json!({"peer": "bob", "flag": "v1:E:60", "t": "instant", "content": content, "messageID": 5});
        world.call(alice, "user_sendmsg", args)["result"].clone()
    };
    assert_eq!(send(&mut world, "x".repeat(9_000)), "failed");
    for _ in 0..3 {
        assert_eq!(send(&mut world, "once".into()), "ok");
    }
    let to_channel = json!({"name": "bob", "msg": "hi", "msgID": 5});
    world.heard(alice);
    world.call(alice, "channel_sendmsg", to_channel);
    assert_eq!(world.heard(alice).len(), 1, "a channel is no peer");
    assert_eq!(world.told(bob), ["instant \"once\""]);
    world.wait(60_000);
    assert_eq!(send(&mut world, "again".into()), "ok");
    assert_eq!(world.told(bob), ["instant \"again\""]);
}

#[test]
fn section_7_4_events_are_arrays_whose_numbers_rise_over_channels() {
    let mut world = World::new();
    let (alice, bob) = (world.legacy("alice"), world.legacy("bob"));
    let mut numbers = Vec::new();
    world.frames(alice);
    for room in ["one", "two"] {
        world.call(alice, "channel_join", json!({"name": room}));
        world.call(bob, "channel_join", json!({"name": room}));
        world.call(
            bob,
            "channel_sendmsg",
            json!({"name": room, "msg": [1, {"a": null}]}),
        );
        for frame in world.frames(alice) {
            assert_eq!(
                (&frame[0], &frame[1][0]),
                (&json!("notify"), &json!("channel2"))
            );
            assert!(frame[1][1].is_string() && frame[1].as_array().map(Vec::len) == Some(4));
            numbers.push(frame[1][2].as_u64().expect("a number"));
            let line = frame[1][3].as_str().expect("a line");
            assert!(
                line.starts_with("msg-v2 notify - v1:E:180 channel_"),
                "{line}"
            );
        }
        let told = world.heard(bob);
        let (kind, content) = &told[told.len() - 1];
        assert_eq!(
            (kind.as_str(), &content["msg"]),
            ("channel_msg", &json!([1, {"a": null}]))
        );
    }
    assert_eq!(
        numbers,
        [1, 2, 3, 4],
        "join and message, then the same of the next; a leave goes unheard"
    );
}

#[test]
fn section_7_6_what_a_write_is_told_as() {
    let mut world = World::new();
    let (alice, bob) = (world.legacy("alice"), world.legacy("bob"));
    for who in [alice, bob] {
        world.call(who, "channel_join", json!({"name": "room"}));
    }
    world.heard(alice);
    let outside = world.legacy("outside");
    let args = |name: &str| json!({"channel": "room", "name": name, "value": "v"});
    for function in ["channel_set_attr", "channel_del_attr", "channel_clear_attr"] {
        assert_eq!(
            world.call(outside, function, args("k"))["reason"],
            "not in channel"
        );
    }
    for (function, name) in [
        ("channel_set_attr", "k"),
        ("channel_set_attr", "k"),
        ("channel_del_attr", "none"),
        ("channel_del_attr", "k"),
        ("channel_clear_attr", ""),
    ] {
        assert_eq!(
            world.call(bob, function, args(name))["result"],
            "ok",
            "{function}"
        );
    }
    let told = |world: &mut World, who: Who| -> Vec<String> {
        let heard = world.heard(who).into_iter();
        let heard = heard.filter(|(kind, _)| kind == "channel_attr_update");
        heard
            .map(|(_, event)| {
                let text = |name: &str| event[name].as_str().expect("a text").to_owned();
                assert_eq!(event["account"], "bob");
                format!("{}({},{})", text("type"), text("name"), text("value"))
            })
            .collect()
    };
    let expected = ["update(k,v)", "update(k,v)", "del(k,)", "clear(,)"];
    assert_eq!(told(&mut world, alice), expected);
    assert_eq!(told(&mut world, bob), expected, "the setter, too");
}

#[test]
fn section_7_6_at_most_ten_events_a_second_and_the_last_value_always() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    world.call(alice, "channel_join", json!({"name": "room"}));
    for n in 0..40 {
        let args = json!({"channel": "room", "name": "k", "value": n.to_string()});
        world.start(alice, "channel_set_attr", args);
    }
    let at_once = world.heard(alice);
    assert_eq!(at_once.len(), 10);
    world.wait(5_000);
    let later = world.heard(alice);
    assert!(later.len() <= 2, "merged by name");
    assert_eq!(later[later.len() - 1].1["value"], "39");
}

#[test]
fn section_8_1_an_extra_of_any_kind_arrives_as_it_is() {
    for extra in [json!("text"), json!({"a": [1, null]}), json!(5), json!([])] {
        let mut world = World::new();
        let (alice, bob) = (world.legacy("alice"), world.legacy("bob"));
        let call = |peer: &str| json!({"channelName": "c", "peer": peer, "extra": extra});
        world.call(alice, "voip_invite", call("bob"));
        let heard = world.heard(bob);
        let content = &heard[0].1;
        assert_eq!(
            (&content["extra"], &content["peer"]),
            (&extra, &json!("alice"))
        );
        assert_eq!(content["channel"], "c");
        assert!(content["peeruid"].is_u64());
        world.call(bob, "voip_invite_ack", call("alice"));
        assert_eq!(world.heard(alice)[0].1["extra"], "");
        world.call(bob, "voip_invite_accept", call("alice"));
        assert_eq!(world.heard(alice)[0].1["extra"], extra);
        world.call(alice, "voip_invite_msg", call("bob"));
        let (kind, content) = &world.heard(bob)[0];
        assert_eq!(
            (kind.as_str(), &content["extra"]),
            ("voip_invite_msg", &extra)
        );
        world.call(alice, "voip_invite_bye", call("bob"));
        let (kind, content) = &world.heard(bob)[0];
        assert_eq!(
            (kind.as_str(), &content["extra"]),
            ("voip_invite_bye", &extra)
        );
    }
}

#[test]
fn section_15_a_phone_without_a_gateway_fails_at_once() {
    let mut world = World::new();
    world.set_rules(AppRules::default());
    let alice = world.legacy("alice");
    let call = json!({"channelName": "c", "peer": "4930123", "extra": ""});
    assert_eq!(
        world.call(alice, "voip_invite_phone", call)["reason"],
        "no phone gateway"
    );
}
