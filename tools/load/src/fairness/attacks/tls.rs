//! Attacks on a server that uses TLS.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::strangers::until_over;
use crate::fairness::door::{End, OPEN_APP, binary};
use crate::fairness::field::{Field, crowd, v4};

/// The beginning of a handshake, and no more.
pub(super) async fn half_open(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 3_000, |field, _| async move {
        let mut tcp = field.door.tcp().await?;
        // A record of 512 bytes with a ClientHello, of which six bytes are sent.
        tcp.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
            .await?;
        field.did(1, 11);
        let _held = field.hold();
        until_over(&mut tcp).await
    })
    .await
}

/// Complete handshakes, as many as the machine can make.
pub(super) async fn handshakes(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 8, |field, _| async move {
        drop(field.door.connect().await?);
        field.did(1, 0);
        Ok(())
    })
    .await
}

/// A user's frames a byte at a time, each byte in a record of its own.
pub(super) async fn tiny_records(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 4, |field, n| async move {
        let user = format!("flooder{}", n % 4);
        let login = field.door.log_in(OPEN_APP, &user, "", v4(n % 4)).await?;
        let (mut socket, _) = login;
        let write = async {
            loop {
                for byte in binary(&[0x0a, 2, 0x2a, 0]) {
                    socket.writer.write_all(&[byte]).await?;
                    socket.writer.flush().await?;
                }
                field.did(10, 10);
                tokio::task::yield_now().await;
            }
        };
        let hear = async {
            loop {
                socket.reader.read(|_, _| {}).await?;
            }
        };
        let end: Result<(), End> = tokio::select! {
            end = hear => end,
            end = write => end,
        };
        end
    })
    .await
}

/// Complete handshakes, after which nothing is sent.
pub(super) async fn silent(field: Arc<Field>) -> Result<(), End> {
    crowd(field, 1_500, |field, _| async move {
        let mut stream = field.door.connect().await?;
        field.did(1, 0);
        let _held = field.hold();
        let over = tokio::time::timeout(Duration::from_secs(60), until_over(&mut stream)).await;
        over.unwrap_or(Ok(()))
    })
    .await
}
