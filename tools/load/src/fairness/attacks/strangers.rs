//! What somebody who has not logged in can do.

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidings_wire::proto::{Login, Resume, client_message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::flood::{Flood, Say, Who, each, legacy_call, legacy_login, repeat};
use super::users::FRAME_MESSAGES;
use crate::fairness::door::{Duplex, End, OPEN_APP, SAFE_APP, binary, frame_of, text, upgrade};
use crate::fairness::field::{Field, crowd, v4, v6};

/// How attackers obtain their addresses.
pub(super) type Sources = fn(u64) -> Option<IpAddr>;

/// A proxy that forwards no address, or a client on this machine.
pub(super) fn unstated(_: u64) -> Option<IpAddr> {
    None
}

/// One IPv4 address.
pub(super) fn one(_: u64) -> Option<IpAddr> {
    v4(0)
}

/// A hundred connections from each /64 of one IPv6 customer.
pub(super) fn line(n: u64) -> Option<IpAddr> {
    v6(n / 100)
}

/// A hundred connections from each of many IPv4 addresses.
pub(super) fn hundred_each(n: u64) -> Option<IpAddr> {
    v4(n / 100)
}

async fn flood(
    field: Arc<Field>,
    connections: u64,
    path: &'static str,
    say: impl Fn(&str) -> Say + Clone + Send + Sync + 'static,
) -> Result<(), End> {
    field.ready();
    let mut tasks = JoinSet::new();
    for n in 0..connections {
        let flood = Flood::of(Who::Stranger(path), v4(n));
        tasks.spawn(flood.rage(field.clone(), say.clone()));
    }
    tasks.join_all().await;
    Ok(())
}

/// Frames with an empty `Resume`, without a pause.
pub(super) async fn empty_resumes(field: Arc<Field>, connections: u64) -> Result<(), End> {
    flood(field, connections, "/rtm", |_| {
        repeat(binary(&[0x0a, 2, 0x12, 0]), 1)
    })
    .await
}

/// Pings of the native protocol before any login.
pub(super) async fn pings(field: Arc<Field>) -> Result<(), End> {
    flood(field, 4, "/rtm", |_| {
        repeat(binary(&[0x0a, 2, 0x2a, 0].repeat(264)), FRAME_MESSAGES)
    })
    .await
}

/// Empty frames before any login.
pub(super) async fn empty_frames(field: Arc<Field>) -> Result<(), End> {
    flood(field, 4, "/rtm", |_| repeat(binary(&[]), 1)).await
}

/// `["ping",1]` at the legacy door, without a login.
pub(super) async fn legacy_pings(field: Arc<Field>, connections: u64) -> Result<(), End> {
    flood(field, connections, "/", |_| repeat(text("[\"ping\",1]"), 1)).await
}

/// Calls at the legacy door, without a login.
pub(super) async fn legacy_calls(field: Arc<Field>) -> Result<(), End> {
    flood(field, 4, "/", |_| {
        repeat(legacy_call("", 1, "user_getmsg", json!({})), 1)
    })
    .await
}

/// Frames that the legacy door does not know, without a login.
pub(super) async fn legacy_nonsense(field: Arc<Field>) -> Result<(), End> {
    flood(field, 4, "/", |_| repeat(text("[\"x\",{}]"), 1)).await
}

/// A resume of a session that does not exist, each on a connection of its own.
pub(super) async fn bogus_resumes(field: Arc<Field>, from: Sources) -> Result<(), End> {
    crowd(field, 16, move |field, n| async move {
        let mut socket = field.door.open("/rtm", from(n)).await?;
        let resume = Resume {
            app_id: OPEN_APP.into(),
            user_id: format!("somebody{n}"),
            session_id: vec![7; 16].into(),
            secret: vec![7; 32].into(),
            ..Resume::default()
        };
        let frame = frame_of([client_message::Kind::Resume(resume)], 0);
        socket.writer.write_all(&frame).await?;
        field.did(1, frame.len());
        socket.tell().await.map(drop)
    })
    .await
}

/// A login with an invalid token, each on a connection of its own.
pub(super) async fn bogus_logins(field: Arc<Field>, from: Sources) -> Result<(), End> {
    crowd(field, 16, move |field, n| async move {
        let token = format!("007{}", "eJxTYDB+".repeat(400));
        let login = field.door.log_in(SAFE_APP, "alice", &token, from(n)).await;
        field.did(1, token.len());
        login.map(drop)
    })
    .await
}

/// A login frame of the largest allowed size, which never ends.
pub(super) async fn half_logins(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 2_000, |field, n| async move {
        let mut socket = field.door.open("/rtm", hundred_each(n)).await?;
        let login = Login {
            app_id: OPEN_APP.into(),
            user_id: "x".repeat(8_000),
            ..Login::default()
        };
        let frame = frame_of([client_message::Kind::Login(login)], 0);
        socket.writer.write_all(&frame[..frame.len() - 1]).await?;
        field.did(1, frame.len());
        let _held = field.hold();
        stay(&mut socket.reader).await
    })
    .await
}

async fn stay(reader: &mut crate::fairness::door::Reader) -> Result<(), End> {
    loop {
        reader.read(|_, _| {}).await?;
    }
}

/// WebSockets on which nothing is ever sent.
pub(super) async fn silent(field: Arc<Field>, count: u64, from: Sources) -> Result<(), End> {
    crowd(field, count, move |field, n| async move {
        let mut socket = field.door.open("/rtm", from(n % count)).await?;
        field.did(1, 0);
        let _held = field.hold();
        stay(&mut socket.reader).await
    })
    .await
}

/// The same with legacy clients: one handshake in this many microseconds, from one address.
pub(super) async fn legacy_silent(field: Arc<Field>) -> Result<(), End> {
    field.ready();
    let mut ticks = tokio::time::interval(Duration::from_micros(2_200));
    let mut tasks = JoinSet::new();
    loop {
        ticks.tick().await;
        while tasks.try_join_next().is_some() {}
        let field = field.clone();
        tasks.spawn(async move {
            let open = async {
                let mut socket = field.door.open("/", one(0)).await?;
                field.did(1, 0);
                let _held = field.hold();
                stay(&mut socket.reader).await
            };
            if let Err(end) = open.await {
                field.note(end);
            }
        });
    }
}

/// Invalid legacy logins, repeatedly, on as many connections as the machine can make.
pub(super) async fn legacy_bogus(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 16, |field, n| async move {
        let login = json!(["login", {
            "vid": SAFE_APP, "account": format!("a{n}"), "uid": 0, "token": "1:x:9999999999:0", "device": "websdk",
        }]);
        let mut socket = field.door.open("/", hundred_each(n)).await?;
        socket.writer.write_all(&text(&login.to_string())).await?;
        field.did(1, 0);
        stay(&mut socket.reader).await
    })
    .await
}

/// Logs in and out at the legacy door.
pub(super) async fn legacy_login_loops(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 8, |field, n| async move {
        let account = format!("looper{}", n % 8);
        let (mut socket, line) = legacy_login(&field.door, &account, v4(n % 8)).await?;
        let out = legacy_call(&line, 1, "user_logout", json!({}));
        socket.writer.write_all(&out).await?;
        field.did(2, out.len());
        match stay(&mut socket.reader).await {
            Err(End::Closed(_) | End::Broken) => Ok(()),
            other => other,
        }
    })
    .await
}

/// What a legacy client can send after its login, without a pause.
pub(super) async fn legacy_flood(
    field: Arc<Field>,
    connections: u64,
    say: fn(String) -> Say,
) -> Result<(), End> {
    field.ready();
    let mut tasks = JoinSet::new();
    for n in 0..connections {
        let flood = Flood::of(Who::Legacy(format!("flooder{n}")), v4(n));
        tasks.spawn(flood.rage(field.clone(), move |line| say(line.to_owned())));
    }
    tasks.join_all().await;
    Ok(())
}

/// Calls that the legacy door does not know.
pub(super) fn unknown_calls(line: String) -> Say {
    repeat(legacy_call(&line, 1, "no_such_function", json!({})), 1)
}

/// Polls when there are no messages.
pub(super) fn polls(line: String) -> Say {
    each(1, move |number, _| {
        legacy_call(
            &line,
            number,
            "user_getmsg",
            json!({"ver_clear": 0, "max": 30}),
        )
    })
}

/// Pings after a login.
pub(super) fn pings_of_legacy(_: String) -> Say {
    repeat(text("[\"ping\",1]"), 1)
}

/// The beginning of a request, and then a byte at intervals.
pub(super) async fn slow_heads(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 3_000, |field, n| async move {
        let mut stream = field.door.connect().await?;
        let head = upgrade("/rtm", hundred_each(n));
        let _held = field.hold();
        field.did(1, head.len());
        stream
            .write_all(&head.as_bytes()[..head.len() - 60])
            .await?;
        for byte in head.as_bytes()[head.len() - 60..].iter().take(58) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(&[*byte]).await?;
        }
        until_over(&mut stream).await
    })
    .await
}

/// TCP connections on which nothing is sent.
pub(super) async fn mute(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 3_000, |field, _| async move {
        let mut stream = field.door.tcp().await?;
        let _held = field.hold();
        field.did(1, 0);
        until_over(&mut stream).await
    })
    .await
}

/// Requests that are refused, on connections that are kept open.
pub(super) async fn refused_and_kept(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 4_000, |field, n| async move {
        let mut stream = field.door.connect().await?;
        let head = upgrade("/rtm", hundred_each(n)).replace("Version: 13", "Version: 7");
        stream.write_all(head.as_bytes()).await?;
        field.did(1, head.len());
        let _held = field.hold();
        // The answer is never read, so that the server cannot get rid of the connection by sending
        // it.
        tokio::time::sleep(Duration::from_secs(8)).await;
        Ok(())
    })
    .await
}

/// Heads of the largest size with as many headers as allowed, and one more.
pub(super) async fn head_bombs(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 16, |field, n| async move {
        let mut head = upgrade("/rtm", hundred_each(n));
        head.truncate(head.len() - 2);
        while head.len() < 8_150 {
            head += "A: b\r\n";
        }
        let mut stream = field.door.connect().await?;
        stream.write_all(head.as_bytes()).await?;
        field.did(1, head.len());
        until_over(&mut stream).await
    })
    .await
}

/// Opens TCP and closes it, as often as the machine can.
pub(super) async fn churn(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 16, |field, _| async move {
        loop {
            drop(field.door.tcp().await?);
            field.did(1, 0);
        }
    })
    .await
}

/// Opens a WebSocket and closes it, as often as the machine can, from many addresses.
pub(super) async fn upgrade_churn(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 16, |field, n| async move {
        drop(field.door.open("/rtm", hundred_each(n)).await?);
        field.did(1, 0);
        Ok(())
    })
    .await
}

/// Waits until the server closes the connection.
pub(super) async fn until_over(stream: &mut (impl Duplex + ?Sized)) -> Result<(), End> {
    let mut buffer = [0; 4096];
    loop {
        match timeout(Duration::from_secs(60), stream.read(&mut buffer)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_) => return pending().await,
        }
    }
}
