//! Files, between the SDK and the program.
#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "../scenarios/server.rs"]
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidings_client::{
    Bytes, Client, ClientEvent, Events, MediaFile, Message, Outcome, PixelSize, Progress,
    SendOptions, Upload,
};
use tidings_proof::tries::Tries;
use tidings_scenario::TokenKind;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::server::{APP, Server};

const PATIENCE: Duration = Duration::from_secs(20);

async fn login(server: &Server, user: &str) -> (Client, Events) {
    let made = Client::builder()
        .endpoint(server.endpoint())
        .app_id(APP)
        .build();
    let (client, events) = made.expect("a client");
    let token = server.token(&TokenKind::Valid, user);
    let logged_in = client.login(user, token.as_deref()).await;
    logged_in.expect("the login succeeds");
    (client, events)
}

fn content(count: usize) -> Bytes {
    let pattern: Vec<u8> = (0..251).collect();
    let mut bytes = pattern.repeat(count / pattern.len() + 1);
    bytes.truncate(count);
    bytes.into()
}

// proves: rtm-2.18-upload, rtm-2.18-download, rtm-1.4-image
#[tokio::test]
async fn a_picture_goes_from_user_to_user_with_its_progress() {
    // With a certificate: the token goes along.
    let server = Server::start(true);
    let (alice, _events) = login(&server, "alice").await;
    let (bob, mut bob_events) = login(&server, "b ob").await;
    let picture = content(3_000_000);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = |seen: &Arc<Mutex<Vec<Progress>>>| {
        let seen = seen.clone();
        move |progress| seen.lock().expect("not poisoned").push(progress)
    };
    let upload = Upload::new(picture.clone())
        .file_name("Bild ä.png")
        .content_type("image/png")
        .on_progress(listener(&seen));
    let file = alice.upload_media(upload).await.expect("it is uploaded");
    let whole = Progress {
        current: 3_000_000,
        total: 3_000_000,
    };
    assert_eq!(seen.lock().expect("not poisoned").last(), Some(&whole));
    let sent = Message::Image {
        file: MediaFile {
            description: "noise".to_owned(),
            thumbnail: content(100),
            ..file
        },
        size: PixelSize {
            width: 640,
            height: 480,
        },
        thumbnail_size: PixelSize::default(),
    };
    let options = SendOptions::new();
    let receipt = alice.send_to_peer("b ob", sent.clone(), options).await;
    receipt.expect("it is sent");
    let media_id = loop {
        let event = timeout(PATIENCE, bob_events.next()).await.expect("in time");
        if let Some(ClientEvent::PeerMessage { message, .. }) = event {
            assert_eq!(message, sent);
            break message.file().expect("a file").media_id.clone();
        }
    };
    seen.lock().expect("not poisoned").clear();
    let download = tidings_client::Download::new(media_id).on_progress(listener(&seen));
    let bytes = bob
        .download_media(download)
        .await
        .expect("it is downloaded");
    assert!(bytes == picture, "other bytes");
    assert_eq!(seen.lock().expect("not poisoned").last(), Some(&whole));
}

#[tokio::test]
async fn what_is_wrong_has_its_code_and_its_remedy() {
    let server = Server::start(false);
    let made = Client::builder().endpoint(server.endpoint()).app_id(APP);
    let (stranger, _stranger_events) = made.build().expect("a client");
    let error = stranger.upload_media(Upload::new("x")).await;
    assert_eq!(error.expect_err("no login").code(), 102);
    let error = stranger.download_media("x").await;
    assert_eq!(error.expect_err("no login").code(), 102);

    let (alice, _events) = login(&server, "alice").await;
    let uploads = [
        (Upload::new(""), 4, Outcome::MediaEmpty),
        (Upload::new(content(33_554_433)), 4, Outcome::MediaTooLarge),
        (
            Upload::new("x").file_name("a\nb"),
            2,
            Outcome::InvalidArgument,
        ),
        (
            Upload::new("x").file_name("n".repeat(256)),
            2,
            Outcome::InvalidArgument,
        ),
        (
            Upload::new("x").content_type("a\nb"),
            2,
            Outcome::InvalidArgument,
        ),
    ];
    for (upload, code, outcome) in uploads {
        let error = alice.upload_media(upload).await.expect_err("refused");
        assert_eq!((error.code(), error.outcome()), (code, Some(outcome)));
    }
    let unknown = "0".repeat(42);
    let downloads = [
        (unknown.as_str(), 4, Outcome::MediaNotFound),
        ("..", 4, Outcome::MediaNotFound),
        ("", 2, Outcome::InvalidArgument),
        ("ä", 2, Outcome::InvalidArgument),
    ];
    for (id, code, outcome) in downloads {
        let error = alice.download_media(id).await.expect_err(id);
        assert_eq!(
            (error.code(), error.outcome()),
            (code, Some(outcome)),
            "{id}"
        );
        assert!(!error.hint().is_empty() && !error.to_string().is_empty());
    }
}

// proves: rtm-2.1-media-size
#[tokio::test]
async fn the_largest_file_passes() {
    let server = Server::start(false);
    let (alice, _events) = login(&server, "alice").await;
    let largest = content(33_554_432);
    let file = alice.upload_media(Upload::new(largest.clone())).await;
    let file = file.expect("it is uploaded");
    let bytes = alice.download_media(file.media_id).await;
    assert!(bytes.expect("it is downloaded") == largest);
}

// proves: rtm-2.18-cancel
#[tokio::test]
async fn a_transfer_that_is_dropped_leaves_nothing_behind() {
    let server = Server::start(false);
    let (alice, _events) = login(&server, "alice").await;
    // More often than there are places: a cancelled transfer gives its place back.
    for _ in 0..12 {
        let (moved, has_moved) = oneshot::channel();
        let mut moved = Some(moved);
        let upload = Upload::new(content(20_000_000)).on_progress(move |_| {
            if let Some(moved) = moved.take() {
                let _ = moved.send(());
            }
        });
        tokio::select! {
            result = alice.upload_media(upload) => panic!("it was too quick: {result:?}"),
            moved = has_moved => moved.expect("it has moved"),
        }
    }
    let partial = server.directory().join("data/media/.partial");
    let is_empty = || std::fs::read_dir(&partial).expect("a directory").count() == 0;
    let what = "nothing half-written stays";
    let mut tries = Tries::new(what, Duration::from_millis(10), PATIENCE);
    while !is_empty() {
        tries.again().await;
    }
    let file = alice.upload_media(Upload::new("x")).await;
    let file = file.expect("it is uploaded");
    let bytes = alice.download_media(file.media_id).await;
    assert_eq!(bytes.expect("it is downloaded"), "x");
}

// proves: rtm-2.1-media-at-once
#[tokio::test]
async fn a_tenth_transfer_is_refused() {
    let server = Server::start(false);
    let (alice, _events) = login(&server, "alice").await;
    let uploads = (0..10).map(|_| alice.upload_media(Upload::new(content(5_000_000))));
    let results = futures_util::future::join_all(uploads).await;
    let refused: Vec<_> = results.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let codes = (refused[0].code(), refused[0].outcome());
    assert_eq!(codes, (5, Some(Outcome::TooManyTransfers)));
}

#[tokio::test]
async fn a_logout_ends_transfers() {
    let server = Server::start(false);
    let (alice, _events) = login(&server, "alice").await;
    let (moved, has_moved) = oneshot::channel();
    let mut moved = Some(moved);
    let upload = Upload::new(content(30_000_000)).on_progress(move |_| {
        if let Some(moved) = moved.take() {
            let _ = moved.send(());
        }
    });
    let logout = async {
        has_moved.await.expect("it has moved");
        alice.logout().await.expect("the logout succeeds");
    };
    let (uploaded, ()) = tokio::join!(alice.upload_media(upload), logout);
    assert_eq!(uploaded.expect_err("interrupted").code(), 6);
}
