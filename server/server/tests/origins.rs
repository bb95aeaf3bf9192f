//! From which pages users may log in, where the app decides that.

mod common;

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{APP, Client, Seen, TestServer, UPGRADE, config, connect_tcp, read_head};
use tidings_server::{App, AppId, Apps, Origins};
use tidings_wire::codes::Outcome;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Login, client_message};

/// Logs a new user in from a page, or from a program. Returns how it was refused. Of two logins of
/// one user within a millisecond none is the later one.
fn log_in(server: &TestServer, origin: Option<&str>) -> Result<(), u32> {
    let stated = origin.map(|origin| format!("\r\nOrigin: {origin}\r\n\r\n"));
    let request = match stated {
        Some(stated) => UPGRADE.replace("\r\n\r\n", &stated),
        None => UPGRADE.into(),
    };
    let mut stream = connect_tcp(server.address());
    stream.write_all(request.as_bytes()).expect("a request");
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut client = Client::over(stream);
    client.send_message(client_message::Kind::Login(Login {
        app_id: APP.into(),
        user_id: format!("user{}", LOGINS.fetch_add(1, Ordering::Relaxed)),
        ..Login::default()
    }));
    match client.next() {
        Seen::Message(Kind::Welcome(_)) => Ok(()),
        Seen::Message(Kind::Refused(refused)) => Err(refused.error.unwrap_or_default().outcome),
        other => panic!("{other:?}"),
    }
}

fn apps(app: App) -> Apps {
    let mut apps = Apps::default();
    apps.listed.insert(AppId::parse(APP).expect("an id"), app);
    apps
}

/// Logins tried so far.
static LOGINS: AtomicUsize = AtomicUsize::new(0);

const NOT_THERE: Result<(), u32> = Err(Outcome::UnknownApp as u32);

#[test]
fn an_app_without_tokens_takes_pages_of_the_servers_own_host_alone() {
    let mut config = config();
    config.origins = Origins::Auto;
    config.apps = apps(App::default());
    let server = TestServer::start(config);
    assert_eq!(log_in(&server, Some("https://foreign.example")), NOT_THERE);
    assert_eq!(log_in(&server, Some("null")), NOT_THERE);
    // The handshake names the host `test`.
    assert_eq!(log_in(&server, Some("http://test")), Ok(()));
    assert_eq!(log_in(&server, None), Ok(()));
}

#[test]
fn an_apps_own_list_counts_from_the_moment_at_which_it_is_set() {
    let mut config = config();
    config.origins = Origins::Listed(vec!["https://good.example".parse().expect("an origin")]);
    config.apps = apps(App::default());
    let server = TestServer::start(config);
    assert_eq!(log_in(&server, Some("https://good.example")), Ok(()));
    server.running().handle().replace_apps(apps(App {
        origins: vec!["https://*.school.example".into()],
        requires_origin: true,
        ..App::default()
    }));
    // Hubs take it in at their next turn: a login after it is answered by the new list.
    let begin = std::time::Instant::now();
    while log_in(&server, None) != NOT_THERE {
        assert!(begin.elapsed() < common::PATIENCE, "programs are let in");
    }
    assert_eq!(log_in(&server, Some("https://a.school.example")), Ok(()));
    assert_eq!(log_in(&server, Some("https://good.example")), NOT_THERE);
}
