//! What one logged-in user can do with a few connections.

use std::sync::Arc;
use std::time::Duration;

use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind as Tell;
use tidings_wire::proto::{
    self, CancelInvitation, GetMemberCounts, Invite, Leave, Logout, Resume, SendToPeer,
    client_message,
};
use tidings_wire::ws::{Opcode, encode_close, encode_frame, encode_ping, encode_pong};
use tokio::io::AsyncWriteExt as _;

use super::flood::{Ears, Flood, Say, Who, repeat};
use crate::fairness::door::{End, MASK, OPEN_APP, binary, frame_of, message, request};
use crate::fairness::field::{Field, again, v4};

/// As many messages as a frame may contain.
pub(super) const FRAME_MESSAGES: u64 = 264;

/// Sends the same few bytes repeatedly, over this many connections of as many users.
async fn repeated(field: Arc<Field>, connections: u64, say: fn() -> Say) -> Result<(), End> {
    many(field, connections, Ears::Open, move |_| say()).await
}

async fn many(
    field: Arc<Field>,
    connections: u64,
    ears: Ears,
    say: impl Fn(&str) -> Say + Clone + Send + Sync + 'static,
) -> Result<(), End> {
    field.ready();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..connections {
        let mut flood = Flood::of(Who::User(format!("flooder{n}")), v4(n));
        flood.ears = ears;
        tasks.spawn(flood.rage(field.clone(), say.clone()));
    }
    tasks.join_all().await;
    Ok(())
}

/// `Ping` of the native protocol, as many as fit into a frame.
pub(super) async fn pings(field: Arc<Field>, connections: u64) -> Result<(), End> {
    repeated(field, connections, || {
        repeat(binary(&[0x0a, 2, 0x2a, 0].repeat(264)), FRAME_MESSAGES)
    })
    .await
}

/// `Pong` that answers nothing.
pub(super) async fn pongs(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 1, || {
        repeat(binary(&[0x0a, 2, 0x1a, 0].repeat(264)), FRAME_MESSAGES)
    })
    .await
}

/// Messages without any content.
pub(super) async fn nothings(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 1, || {
        repeat(binary(&[0x0a, 0].repeat(264)), FRAME_MESSAGES)
    })
    .await
}

/// Frames without content.
pub(super) async fn empty_frames(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 2, || repeat(binary(&[]), 1)).await
}

/// Frames that confirm nothing new.
pub(super) async fn confirms(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 2, || repeat(binary(&[0x10, 0]), 1)).await
}

/// Control frames of WebSocket.
pub(super) async fn ws_pings(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 2, || repeat(encode_ping(b"?", MASK).to_vec(), 1)).await
}

/// The same with frames that need no answer.
pub(super) async fn ws_pongs(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 2, || repeat(encode_pong(b"", MASK).to_vec(), 1)).await
}

/// One message in as many fragments as allowed, most of them empty.
pub(super) async fn fragments(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 2, || {
        let mut frame = vec![0x02, 0x81, 0, 0, 0, 0, 0x0a];
        for byte in [2, 0x2a, 0] {
            frame.extend([0x00, 0x81, 0, 0, 0, 0, byte]);
        }
        frame.extend([0x00, 0x80, 0, 0, 0, 0].repeat(59));
        frame.extend([0x80, 0x80, 0, 0, 0, 0]);
        repeat(frame, 1)
    })
    .await
}

/// A request that has already been answered, repeatedly.
pub(super) async fn repeats(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 1, || {
        let call = Call::Leave(Leave {
            channel: "nowhere".into(),
        });
        let kinds = (0..FRAME_MESSAGES).map(|_| request(1, Some(call.clone())));
        repeat(frame_of(kinds, 0), FRAME_MESSAGES)
    })
    .await
}

/// Calls, as many as may be open; each frame confirms what was received.
async fn calls(
    field: Arc<Field>,
    connections: u64,
    ears: Ears,
    call: fn(u64) -> Option<Call>,
) -> Result<(), End> {
    /// Calls per frame, and answers that may be in transit: below the bounds on open requests and
    /// unconfirmed frames, so that nothing is closed for exceeding those.
    const CALLS: u64 = 120;
    const UNHEARD_MAX: u64 = 500;
    many(field, connections, ears, move |_| {
        let mut said = 0;
        Box::new(move |out: &mut Vec<u8>, heard| {
            if ears == Ears::Open && said + CALLS > heard + UNHEARD_MAX {
                return 0;
            }
            let kinds = (said + 1..=said + CALLS).map(|cseq| request(cseq, call(cseq)));
            out.extend_from_slice(&frame_of(kinds, heard));
            said += CALLS;
            CALLS
        })
    })
    .await
}

/// Leaves of channels that were not joined.
pub(super) async fn leaves(field: Arc<Field>) -> Result<(), End> {
    calls(field, 1, Ears::Open, |_| {
        Some(Call::Leave(Leave {
            channel: "nowhere".into(),
        }))
    })
    .await
}

/// Cancels invitations that do not exist.
pub(super) async fn cancels(field: Arc<Field>) -> Result<(), End> {
    calls(field, 1, Ears::Open, |cseq| {
        Some(Call::CancelInvitation(CancelInvitation { number: cseq }))
    })
    .await
}

/// Calls that the server does not know.
pub(super) async fn unknown(field: Arc<Field>) -> Result<(), End> {
    calls(field, 1, Ears::Open, |_| None).await
}

/// Messages with an invalid argument.
pub(super) async fn bad_arguments(field: Arc<Field>) -> Result<(), End> {
    calls(field, 4, Ears::Open, |_| {
        Some(Call::SendToPeer(SendToPeer {
            peer_id: String::new(),
            message: message(b"to nobody".to_vec()),
            ..SendToPeer::default()
        }))
    })
    .await
}

/// Counts for as many channels as one call may name, far above the rate.
pub(super) async fn counts(field: Arc<Field>) -> Result<(), End> {
    calls(field, 2, Ears::Open, |_| {
        let channels = (0..32).map(|n| format!("channel{n}"));
        Some(Call::GetMemberCounts(GetMemberCounts {
            channels: channels.collect(),
        }))
    })
    .await
}

/// Calls whose answers nobody reads.
pub(super) async fn unread(field: Arc<Field>) -> Result<(), End> {
    calls(field, 4, Ears::Shut, |_| {
        Some(Call::Leave(Leave {
            channel: "nowhere".into(),
        }))
    })
    .await
}

/// Invites and cancels at once.
pub(super) async fn invites(field: Arc<Field>) -> Result<(), End> {
    calls(field, 2, Ears::Open, |cseq| {
        let number = cseq.div_ceil(2);
        Some(match cseq % 2 {
            1 => Call::Invite(Invite {
                number,
                callee_id: "flooder0".into(),
                content: "x".repeat(200),
                ..Invite::default()
            }),
            _ => Call::CancelInvitation(CancelInvitation { number }),
        })
    })
    .await
}

/// A close frame, followed by more data.
pub(super) async fn talk_after_close(field: Arc<Field>) -> Result<(), End> {
    field.ready();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..4 {
        let flood = Flood::of(Who::User(format!("flooder{n}")), v4(n));
        let say = |_: &str| {
            let mut more = repeat(binary(&[0x0a, 2, 0x2a, 0].repeat(264)), FRAME_MESSAGES);
            let mut close = Some(encode_close(1000, "bye", MASK));
            let say: Say = Box::new(move |out: &mut Vec<u8>, heard| {
                if let Some(close) = close.take() {
                    out.extend_from_slice(&close);
                }
                more(out, heard)
            });
            say
        };
        tasks.spawn(flood.rage(field.clone(), say));
    }
    tasks.join_all().await;
    Ok(())
}

/// Text frames where binary is expected, of the largest size, from as many users as possible.
pub(super) async fn large_text(field: Arc<Field>) -> Result<(), End> {
    repeated(field, 2, || {
        let mut frame = Vec::new();
        encode_frame(&mut frame, Opcode::Text, &vec![b'x'; 65_000], MASK);
        repeat(frame, 1)
    })
    .await
}

/// Logs in, sends a second's worth of messages, logs out, and so on.
pub(super) async fn login_loops(field: Arc<Field>) -> Result<(), End> {
    field.ready();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..4 {
        let field = field.clone();
        tasks.spawn(async move {
            again(&field.clone(), |_| {
                let field = field.clone();
                async move {
                    let user = format!("looper{n}");
                    let (mut socket, _) = field.door.log_in(OPEN_APP, &user, "", v4(n)).await?;
                    let send = Call::SendToPeer(SendToPeer {
                        peer_id: "nobody".into(),
                        message: message(b"hello".to_vec()),
                        ..SendToPeer::default()
                    });
                    let mut kinds: Vec<_> = (1..=180)
                        .map(|cseq| request(cseq, Some(send.clone())))
                        .collect();
                    kinds.push(request(181, Some(Call::Logout(Logout {}))));
                    let frame = frame_of(kinds, 0);
                    socket.writer.write_all(&frame).await?;
                    field.did(181, frame.len());
                    loop {
                        match socket.reader.read(|_, _| {}).await {
                            Ok(()) => {}
                            Err(End::Closed(1000) | End::Broken) => return Ok(()),
                            Err(end) => return Err(end),
                        }
                    }
                }
            })
            .await;
        });
    }
    tasks.join_all().await;
    Ok(())
}

/// Logs in repeatedly, replacing its own login, with messages each time.
pub(super) async fn login_over_login(field: Arc<Field>) -> Result<(), End> {
    field.ready();
    let mut before = None;
    for _ in 0.. {
        let login = field.door.log_in(OPEN_APP, "looper", "", v4(0)).await;
        match login {
            Ok((mut socket, _)) => {
                let send = Call::SendToPeer(SendToPeer {
                    peer_id: "nobody".into(),
                    message: message(b"hello".to_vec()),
                    ..SendToPeer::default()
                });
                let kinds = (1..=180).map(|cseq| request(cseq, Some(send.clone())));
                let frame = frame_of(kinds, 0);
                // It may already have been replaced.
                let _ = socket.writer.write_all(&frame).await;
                field.did(180, frame.len());
                before = Some(socket);
            }
            Err(end) => {
                field.note(end);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    drop(before);
    Ok(())
}

/// Floods, and when it is disconnected resumes its session at once and continues.
pub(super) async fn resuming_flood(field: Arc<Field>) -> Result<(), End> {
    resume_again_and_again(field, || {
        repeat(binary(&[0x0a, 2, 0x2a, 0].repeat(264)), FRAME_MESSAGES)
    })
    .await
}

/// Resumes and closes repeatedly, without sending anything.
pub(super) async fn resume_loops(field: Arc<Field>) -> Result<(), End> {
    resume_again_and_again(field, || {
        let mut close = Some(encode_close(1000, "", MASK));
        Box::new(move |out: &mut Vec<u8>, _| {
            if let Some(close) = close.take() {
                out.extend_from_slice(&close);
            }
            1
        })
    })
    .await
}

async fn resume_again_and_again(field: Arc<Field>, say: fn() -> Say) -> Result<(), End> {
    field.ready();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..2 {
        let field = field.clone();
        tasks.spawn(async move {
            let user = format!("resumer{n}");
            let flood = Flood::of(Who::User(user.clone()), v4(n));
            again(&field.clone(), |_| {
                resume_on(field.clone(), flood.clone(), user.clone(), say)
            })
            .await;
        });
    }
    tasks.join_all().await;
    Ok(())
}

/// One login and all resumes of it.
async fn resume_on(
    field: Arc<Field>,
    flood: Flood,
    user: String,
    say: fn() -> Say,
) -> Result<(), End> {
    let login = field.door.log_in(OPEN_APP, &user, "", flood.from).await?;
    let (mut socket, welcome) = login;
    let mut secret = welcome.secret.to_vec();
    loop {
        let end = flood.pour(&field, socket, say()).await;
        field.note(end);
        socket = loop {
            match resume(&field, &flood, &user, &welcome.session_id, &secret).await {
                Ok((resumed, next)) => {
                    secret = next;
                    break resumed;
                }
                // The session is gone: the next one begins with a login.
                Err(end @ End::Refused(_)) => return Err(end),
                Err(end) => {
                    field.note(end);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        };
    }
}

async fn resume(
    field: &Field,
    flood: &Flood,
    user: &str,
    session_id: &[u8],
    secret: &[u8],
) -> Result<(crate::fairness::door::Socket, Vec<u8>), End> {
    let mut socket = field.door.open("/rtm", flood.from).await?;
    let resume = Resume {
        app_id: OPEN_APP.into(),
        user_id: user.into(),
        session_id: session_id.to_vec().into(),
        secret: secret.to_vec().into(),
        ..Resume::default()
    };
    let frame = frame_of([client_message::Kind::Resume(resume)], 0);
    socket.writer.write_all(&frame).await?;
    match socket.tell().await? {
        Tell::Resumed(proto::Resumed { secret, .. }) => Ok((socket, secret.to_vec())),
        Tell::Refused(refused) => Err(End::Refused(refused.error.unwrap_or_default().outcome)),
        _ => Err(End::Broken),
    }
}
