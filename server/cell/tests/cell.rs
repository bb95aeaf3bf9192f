//! What a cell does between its hub, its bus and its translators.

use serde_json::{Value, json};
use tidings_cell::desk::{Desk, Told};
use tidings_hub::bus_ops::{BusInput, Publication};
use tidings_hub::ids::ConnectionId;
use tidings_hub::store_ops::{InboxLosses, StoreAnswer, StoreOp};
use tidings_hub::{App, Apps, Input};
use tidings_token::{NewAccess007, Service, build_007};
use tidings_wire::codes::CloseCode;
use tidings_wire::names::AppId;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Join, Login, Message, Request, SendToChannel, client_message,
    message,
};

const APP: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const CERTIFICATE: &str = "cccccccccccccccccccccccccccccccc";

type Node = Desk<fn(&StoreOp) -> Vec<StoreAnswer>>;

/// A store that holds nothing.
fn empty(op: &StoreOp) -> Vec<StoreAnswer> {
    vec![match op {
        StoreOp::InboxRead { .. } => StoreAnswer::InboxPage {
            messages: Vec::new(),
            has_more: false,
            losses: InboxLosses::default(),
        },
        StoreOp::AttributesRead { .. } => StoreAnswer::Attributes(Vec::new()),
        _ => StoreAnswer::Done,
    }]
}

fn open_to_all() -> Node {
    let apps = Apps {
        accept_any: true,
        ..Apps::default()
    };
    Desk::new(1, apps, empty)
}

fn with_tokens() -> Node {
    let app = App {
        certificates: vec![CERTIFICATE.into()],
        ..App::default()
    };
    let mut apps = Apps::default();
    apps.listed.insert(AppId::parse(APP).expect("an app"), app);
    Desk::new(1, apps, empty)
}

fn frame(kinds: Vec<client_message::Kind>) -> ClientFrame {
    let message = |kind| ClientMessage { kind: Some(kind) };
    ClientFrame {
        messages: kinds.into_iter().map(message).collect(),
        confirm: 0,
    }
}

fn call(cseq: u64, call: Call) -> client_message::Kind {
    let call = Some(call);
    client_message::Kind::Request(Request { cseq, call })
}

fn send_to_room(cseq: u64) -> client_message::Kind {
    let body = message::Body::Text("hello".into());
    let message = Message {
        body: Some(body),
        ..Message::default()
    };
    let channel = "room".into();
    let send = SendToChannel {
        channel,
        message: Some(message),
        ..SendToChannel::default()
    };
    call(cseq, Call::SendToChannel(send))
}

/// A native member of the room.
fn native(node: &mut Node, number: u64) -> ConnectionId {
    let connection = ConnectionId(number);
    node.give(0, Input::Opened { connection });
    let login = client_message::Kind::Login(Login {
        app_id: APP.into(),
        user_id: format!("native{number}"),
        ..Login::default()
    });
    let join = Call::Join(Join {
        channel: "room".into(),
    });
    for kind in [login, call(1, join)] {
        let frame = frame(vec![kind]);
        node.give(0, Input::Frame { connection, frame });
    }
    connection
}

fn say(node: &mut Node, connection: ConnectionId, frame: &Value) {
    node.hear(connection, frame.to_string().as_bytes());
}

fn begin_legacy(node: &mut Node, number: u64, account: &str, token: &str) -> ConnectionId {
    let connection = ConnectionId(number);
    node.open_legacy(0, connection, "", number);
    let login = json!({"vid": APP, "account": account, "token": token});
    say(node, connection, &json!(["login", login]));
    connection
}

/// A legacy member of the room.
fn legacy(node: &mut Node, number: u64) -> ConnectionId {
    let connection = begin_legacy(node, number, "old", "");
    let line = (1_000_000_000 + number).to_string();
    let join = json!({"line": line, "name": "room"});
    say(
        node,
        connection,
        &json!(["call2", ["channel_join", 1, join]]),
    );
    connection
}

/// Whether a legacy client was let in, since the test looked last.
fn is_in(node: &mut Node, connection: ConnectionId) -> bool {
    let told = node.take_told();
    let of_it = told.iter().filter(|(to, _)| *to == connection);
    let mut texts = of_it.filter_map(|(_, told)| match told {
        Told::Text(text) => Some(text),
        _ => None,
    });
    texts.any(|text| text.contains("login_ret") && text.contains("line"))
}

#[test]
fn what_the_bus_delivers_goes_before_what_translators_have() {
    let mut node = open_to_all();
    let ann = native(&mut node, 1);
    legacy(&mut node, 2);
    node.inputs = Some(Vec::new());
    let frame = frame(vec![send_to_room(2), send_to_room(3)]);
    let connection = ann;
    node.give(0, Input::Frame { connection, frame });
    let inputs = node.inputs.take().expect("they were kept");
    let names: Vec<&str> = inputs
        .iter()
        .map(|input| match input {
            Input::Frame { connection, .. } if *connection == ann => "ann's frame",
            Input::Frame { .. } => "the translator's frame",
            Input::Bus(BusInput::Published { message, .. })
                if matches!(**message, Publication::Message { .. }) =>
            {
                "published"
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "ann's frame",
        "published",
        "published",
        "the translator's frame",
        "the translator's frame",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_fan_out_reaches_native_and_legacy_members_in_one_order() {
    let mut node = open_to_all();
    let sender = native(&mut node, 1);
    let members = [
        native(&mut node, 2),
        legacy(&mut node, 3),
        native(&mut node, 4),
        native(&mut node, 5),
    ];
    node.take_told();
    let frame = frame(vec![send_to_room(2)]);
    let connection = sender;
    node.give(0, Input::Frame { connection, frame });
    let is_message = |told: &Told| match told {
        Told::Text(text) => text.contains("channel_msg") && text.contains("hello"),
        told => matches!(told.kinds()[..], [Kind::ChannelMessage(_)]),
    };
    let told = node.take_told().into_iter();
    let receivers: Vec<ConnectionId> = told
        .filter(|(_, told)| is_message(told))
        .map(|(to, _)| to)
        .collect();
    assert_eq!(receivers, members);
}

#[test]
fn nothing_is_said_after_a_close_and_nothing_is_left_of_a_connection_that_is_gone() {
    let mut node = open_to_all();
    let old = legacy(&mut node, 1);
    assert!(node.cell_at(0).is_legacy(old));
    // The same user logs in elsewhere: the first connection is ended.
    let new = begin_legacy(&mut node, 2, "old", "");
    assert_eq!(node.closed(old), Some(Some(CloseCode::RemoteLogin)));
    node.take_told();
    say(&mut node, old, &json!(["ping", 1]));
    node.pass(200_000);
    let told = node.take_told();
    assert!(told.iter().all(|(to, _)| *to == new), "{told:?}");
    node.forget(old);
    assert!(!node.cell_at(0).is_legacy(old));
    node.lose(new);
    assert_eq!(node.cell_at(0).report().legacy_clients, 0);
    assert_eq!(node.cell_at(0).translators_deadline(), None);
}

fn token(node: &Node, account: &str, lifetime_s: u32) -> String {
    build_007(&NewAccess007 {
        app_id: APP,
        certificate: CERTIFICATE,
        issued_at_unix_s: u32::try_from(node.now.unix_s()).expect("before 2106"),
        lifetime_s,
        salt: 7,
        services: &[Service::rtm(account, lifetime_s)],
    })
    .expect("a token")
}

#[test]
fn a_legacy_login_needs_a_good_token_where_its_app_has_a_certificate() {
    let mut node = with_tokens();
    let good = token(&node, "old", 60);
    let cases = [
        ("old", "", false),
        ("other", &good, false),
        ("old", &good, true),
    ];
    for (number, (account, token, is_let_in)) in (1..).zip(cases) {
        let connection = begin_legacy(&mut node, number, account, token);
        assert_eq!(is_in(&mut node, connection), is_let_in, "{account} {token}");
    }
}

#[test]
fn a_token_that_has_ended_is_good_for_ten_minutes_for_whoever_was_in_with_it() {
    let mut node = with_tokens();
    let token = token(&node, "old", 60);
    let first = begin_legacy(&mut node, 1, "old", &token);
    assert!(is_in(&mut node, first));
    node.pass(30_000);
    node.lose(first);
    // The token has ended, and its login was lost before.
    node.pass(300_000);
    let second = begin_legacy(&mut node, 2, "old", &token);
    assert!(is_in(&mut node, second), "within ten minutes");
    node.lose(second);
    node.pass(700_000);
    let third = begin_legacy(&mut node, 3, "old", &token);
    assert!(!is_in(&mut node, third), "ten minutes later");
    assert_eq!(node.closed(third), Some(None));
}
