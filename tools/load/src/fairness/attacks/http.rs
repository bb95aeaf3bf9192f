//! Attacks over HTTP.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::strangers::until_over;
use crate::fairness::door::{Door, Duplex, End, OPEN_APP, SAFE_APP, stated, upgrade};
use crate::fairness::field::{Field, crowd, v4};

/// Files that a build may have; the largest is requested.
const FILES: [&str; 5] = [
    "/sdk/tidings-rtm.tgz",
    "/sdk/tidings-rtm.umd.js.map",
    "/sdk/tidings-rtm.umd.js",
    "/demo/",
    "/docs/",
];

/// A request for a page.
pub(in crate::fairness) fn get(path: &str, from: Option<IpAddr>) -> String {
    let from = stated(from);
    format!("GET {path} HTTP/1.1\r\nHost: fair\r\n{from}\r\n")
}

/// The head of an upload of this many bytes, by a user of an app.
pub(in crate::fairness) fn post(
    app: &str,
    user: &str,
    token: Option<&str>,
    bytes: usize,
    from: Option<IpAddr>,
) -> String {
    let from = stated(from);
    let token = token.map_or(String::new(), |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    format!(
        "POST /v1/media/{app} HTTP/1.1\r\nHost: fair\r\nTidings-User: {user}\r\n{token}\
         Content-Type: text/plain\r\nContent-Length: {bytes}\r\n{from}\r\n"
    )
}

/// Sends a request and returns the status of the answer.
pub(in crate::fairness) async fn ask(stream: &mut impl Duplex, request: &str) -> Result<u16, End> {
    stream.write_all(request.as_bytes()).await?;
    status(stream).await
}

/// Reads the beginning of an answer.
async fn status(stream: &mut impl Duplex) -> Result<u16, End> {
    let mut begin = [0; 12];
    let read = timeout(Duration::from_secs(10), stream.read_exact(&mut begin)).await;
    read.map_err(|_| End::Silent)??;
    let status = std::str::from_utf8(&begin[9..]).ok();
    status.and_then(|text| text.parse().ok()).ok_or(End::Broken)
}

/// The largest of the files that exist, and its size.
pub(in crate::fairness) async fn largest(door: &Door) -> Result<(&'static str, usize), End> {
    let mut found = ("/healthz", 0);
    for path in FILES {
        let mut stream = door.connect().await?;
        let request = get(path, v4(1_000)).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        let is_whole = matches!(read, Ok(Ok(_))) && answer.starts_with(b"HTTP/1.1 200");
        if is_whole && answer.len() > found.1 {
            found = (path, answer.len());
        }
    }
    Ok(found)
}

/// 1,024 visitors from twelve addresses request the largest file and read nothing.
pub(super) async fn slow_readers(field: Arc<Field>) -> Result<(), End> {
    let (path, bytes) = largest(&field.door).await?;
    crowd(field, 1_024, move |field, n| async move {
        let mut stream = field.door.connect_narrow().await?;
        stream.write_all(get(path, v4(n % 12)).as_bytes()).await?;
        field.did(1, bytes);
        let _held = field.hold();
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    })
    .await
}

/// The same for a file that a user has uploaded, requested as often as slots allow.
pub(super) async fn slow_downloads(field: Arc<Field>) -> Result<(), End> {
    /// Size of the file.
    const BYTES: usize = 4 << 20;
    let mut stream = field.door.connect().await?;
    let head = post(OPEN_APP, "owner", None, BYTES, v4(1));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b'x'; BYTES]).await?;
    let mut answer = vec![0; 4_096];
    let count = timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
    let count = count.map_err(|_| End::Silent)??;
    let text = String::from_utf8_lossy(&answer[..count]).into_owned();
    let id = text
        .split("\"mediaId\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let id = id.ok_or(End::Broken)?.to_owned();
    crowd(field, 600, move |field, n| {
        let id = id.clone();
        async move {
            let mut stream = field.door.connect_narrow().await?;
            let from = stated(v4(n % 50));
            let request = format!(
                "GET /v1/media/{OPEN_APP}/{id} HTTP/1.1\r\nHost: fair\r\nTidings-User: u{}\r\n{from}\r\n",
                n % 100
            );
            stream.write_all(request.as_bytes()).await?;
            field.did(1, BYTES);
            let _held = field.hold();
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
    })
    .await
}

/// Uploads without a token, whose bytes arrive one by one; the answer is not read.
pub(super) async fn slow_posts(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 1_200, |field, n| async move {
        let mut stream = field.door.connect_narrow().await?;
        stream
            .write_all(post(SAFE_APP, "eve", None, 1 << 20, v4(n % 40)).as_bytes())
            .await?;
        field.did(1, 0);
        let _held = field.hold();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(b"x").await?;
        }
        Ok(())
    })
    .await
}

/// Fifteen users with as many uploads as they may have, whose bytes arrive one by one.
pub(super) async fn slow_uploads(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 15 * 18, |field, n| async move {
        let mut stream = field.door.connect_narrow().await?;
        let user = format!("slow{}", n % 15);
        stream
            .write_all(post(OPEN_APP, &user, None, 1 << 20, v4(n % 15)).as_bytes())
            .await?;
        field.did(1, 0);
        let _held = field.hold();
        loop {
            stream.write_all(b"x").await?;
            let answered = timeout(Duration::from_millis(500), status(&mut stream)).await;
            if let Ok(status) = answered {
                return Err(End::Status(status?));
            }
        }
    })
    .await
}

/// One user fills the server with files of the largest size.
pub(super) async fn filling(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 6, |field, _| async move {
        /// The largest allowed file.
        const BYTES: usize = 32 << 20;
        let mut stream = field.door.connect().await?;
        stream
            .write_all(post(OPEN_APP, "hoarder", None, BYTES, v4(1)).as_bytes())
            .await?;
        let piece = vec![b'x'; 256 << 10];
        for _ in 0..BYTES / piece.len() {
            stream.write_all(&piece).await?;
            field.did(0, piece.len());
        }
        field.did(1, 0);
        match status(&mut stream).await? {
            200 | 201 => Ok(()),
            other => Err(End::Status(other)),
        }
    })
    .await
}

/// Uploads with invalid tokens.
pub(super) async fn bogus_tokens(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 16, |field, n| async move {
        let mut stream = field.door.connect().await?;
        let token = format!("007{}", "eJxTYDB+".repeat(400));
        let request = post(SAFE_APP, "alice", Some(&token), 1, v4(n / 100)) + "x";
        field.did(1, request.len());
        Err(End::Status(ask(&mut stream, &request).await?))
    })
    .await
}

/// Pages, as often as the machine can request them, each from its own address.
pub(super) async fn pages(field: Arc<Field>) -> Result<(), End> {
    let (path, _) = largest(&field.door).await?;
    crowd(field, 16, move |field, n| async move {
        let mut stream = field.door.connect().await?;
        let request = get(path, v4(n / 10)).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        field.did(1, request.len());
        until_over(&mut stream).await
    })
    .await
}

/// Many requests at once, on connections that are kept open.
pub(super) async fn pipelines(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 8, |field, n| async move {
        let stream = field.door.connect().await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let piece = get("/version", v4(n)).repeat(200);
        let write = async {
            loop {
                writer.write_all(piece.as_bytes()).await?;
                field.did(200, piece.len());
            }
        };
        let read = async {
            let mut buffer = vec![0; 64 << 10];
            while reader.read(&mut buffer).await? > 0 {}
            Ok::<(), End>(())
        };
        tokio::select! {
            end = write => end,
            end = read => end,
        }
    })
    .await
}

/// Requests a page and keeps the connection, which then becomes a WebSocket on which nothing is
/// sent.
pub(super) async fn kept_upgrades(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 1_500, |field, n| async move {
        let mut stream = field.door.connect().await?;
        ask(&mut stream, &get("/version", v4(n / 100))).await?;
        stream
            .write_all(upgrade("/rtm", v4(n / 100)).as_bytes())
            .await?;
        field.did(2, 0);
        let _held = field.hold();
        until_over(&mut stream).await
    })
    .await
}

/// Requests a page and keeps the connection.
pub(super) async fn kept(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 2_000, |field, n| async move {
        let mut stream = field.door.connect().await?;
        ask(&mut stream, &get("/version", v4(n / 100))).await?;
        field.did(1, 0);
        let _held = field.hold();
        until_over(&mut stream).await
    })
    .await
}
