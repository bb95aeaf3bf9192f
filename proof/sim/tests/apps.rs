//! What an operator sets for an app: rates, unlimited lifetimes, bans; and how a change affects
//! clients.

mod server;

use server::{Call, Client, Kind, Server, text};
use tidings_hub::{App, AppSettings, FOR_EVER, RateKind};
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::names::UserId;
use tidings_wire::proto::{
    Attribute, AttributeWrite, ReadChannelAttributes, ReadUserAttributes, SendToPeer,
    WriteChannelAttributes, WriteUserAttributes, reply,
};
use tidings_wire::rates::Rate;

const DAY_MS: u64 = 86_400_000;

fn message() -> Call {
    Call::SendToPeer(SendToPeer {
        peer_id: "nobody".into(),
        message: text(1),
        ..SendToPeer::default()
    })
}

fn refusal(server: &mut Server, client: Client) -> Option<(u32, u32)> {
    let got = server.take(client);
    got.iter().find_map(|kind| match kind {
        Kind::Refused(refused) => {
            let error = refused.error.as_ref()?;
            Some((error.outcome, error.retry_after_ms))
        }
        _ => None,
    })
}

// proves: rtm-2.1-configurable
#[test]
fn a_rate_is_a_setting_and_no_calls_mean_no_limit() {
    let rated = |calls| {
        let mut app = App::default();
        let window_ms = 1_000;
        app.rates.set(RateKind::Message, Rate { calls, window_ms });
        app
    };
    let mut server = Server::with(rated(3));
    let alice = server.log_in("alice");
    for _ in 0..3 {
        assert_eq!(server.outcome(alice, message()), 0);
    }
    let too_often = Outcome::TooOften as u32;
    assert_eq!(server.outcome(alice, message()), too_often);
    server.change(rated(0));
    for _ in 0..500 {
        assert_eq!(server.outcome(alice, message()), 0);
    }
}

// proves: rtm-2.1-login-rate
#[test]
fn the_third_login_of_a_second_waits() {
    let mut server = Server::with(App::default());
    for _ in 0..2 {
        let client = server.log_in("alice");
        server.log_out(client);
    }
    let third = server.try_log_in("alice", "");
    let told = refusal(&mut server, third);
    assert_eq!(told, Some((Outcome::TooOften as u32, 500)));
    assert_eq!(server.closed(third), Some(CloseCode::LoginRefused));
    server.log_in("bob");
    server.leap(500);
    server.log_in("alice");
}

// proves: rtm-7.5-ban
#[test]
fn a_ban_ends_the_login_and_refuses_the_next() {
    let mut server = Server::with(App::default());
    let (alice, bob) = (server.log_in("alice"), server.log_in("bob"));
    let mut app = App::default();
    app.banned.insert(UserId::parse("alice").expect("a user"));
    server.change(app);
    assert_eq!(server.closed(alice), Some(CloseCode::Banned));
    assert_eq!(CloseCode::Banned as u16, 4012);
    assert_eq!(server.closed(bob), None);
    let again = server.try_log_in("alice", "");
    let told = refusal(&mut server, again).map(|(outcome, _)| outcome);
    assert_eq!(told, Some(Outcome::Banned as u32));
    server.change(App::default());
    server.leap(1_000);
    server.log_in("alice");
}

#[test]
fn sessions_take_new_settings_at_once() {
    let mut server = Server::with(App::default());
    let alice = server.log_in("alice");
    server.log_in("bob");
    let mut app = App::default();
    app.settings.presence_grace_ms = 7_000;
    server.change(app);
    server.cut(alice);
    server.pass(6_900);
    let bob = server.log_in("carol");
    let read = |server: &mut Server| server.outcome(bob, read_user());
    assert_eq!(read(&mut server), 0);
    server.pass(200);
    assert_eq!(read(&mut server), Outcome::UserNotFound as u32);
}

fn read_user() -> Call {
    Call::ReadUserAttributes(ReadUserAttributes {
        user_id: "alice".into(),
        keys: vec![],
    })
}

fn attributes() -> Vec<Attribute> {
    vec![Attribute {
        key: "k".into(),
        value: "v".into(),
        ..Attribute::default()
    }]
}

// proves: rtm-8-keep-attributes
#[test]
fn user_attributes_outlive_the_login_if_the_app_says_so() {
    let mut server = Server::new(AppSettings {
        keep_user_attributes: true,
        rate_limits: false,
        ..AppSettings::default()
    });
    let (alice, bob) = (server.log_in("alice"), server.log_in("bob"));
    let not_found = Outcome::UserNotFound as u32;
    let write = Call::WriteUserAttributes(WriteUserAttributes {
        how: AttributeWrite::Set as i32,
        attributes: attributes(),
    });
    assert_eq!(server.outcome(alice, write), 0);
    server.log_out(alice);
    let mut nobody = read_user();
    if let Call::ReadUserAttributes(read) = &mut nobody {
        read.user_id = "nobody".into();
    }
    assert_eq!(server.outcome(bob, nobody), not_found);
    for pass_ms in [0, 1_000_000] {
        server.pass(pass_ms);
        match server.call(bob, read_user()) {
            Ok(reply::Result::Attributes(list)) => assert_eq!(list.attributes.len(), 1),
            other => panic!("{other:?} after {pass_ms} ms"),
        }
    }
}

// proves: rtm-5.1-for-ever
#[test]
fn channel_attributes_stay_for_ever_if_the_app_says_so() {
    let mut server = Server::new(AppSettings {
        channel_attributes_keep_ms: FOR_EVER,
        ..AppSettings::default()
    });
    let alice = server.log_in("alice");
    let write = Call::WriteChannelAttributes(WriteChannelAttributes {
        channel: "room".into(),
        how: AttributeWrite::Merge as i32,
        attributes: attributes(),
        notify: false,
    });
    assert_eq!(server.outcome(alice, write), 0);
    server.pass(1_000_000);
    server.leap(400 * DAY_MS);
    server.pass(1_000_000);
    let bob = server.log_in("bob");
    let read = Call::ReadChannelAttributes(ReadChannelAttributes {
        channel: "room".into(),
        keys: vec![],
    });
    match server.call(bob, read) {
        Ok(reply::Result::Attributes(list)) => assert_eq!(list.attributes.len(), 1),
        other => panic!("{other:?}"),
    }
}
