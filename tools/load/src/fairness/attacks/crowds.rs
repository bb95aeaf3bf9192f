//! What many users of one app can do within their rates, or just above them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidings_wire::proto::read_history::Conversation;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{
    Attribute, AttributeWrite, Join, Leave, QueryPresence, ReadHistory, SendToChannel, SendToPeer,
    SubscribePresence, UnsubscribePresence, WriteChannelAttributes,
};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::flood::{Ears, Flood, Who, each, legacy_call};
use crate::fairness::door::{End, Socket, frame_of, message, numbered, request};
use crate::fairness::field::{Field, again, v4};

/// Logins at once while a crowd gathers.
const AT_ONCE: usize = 40;

/// Numbered messages, or bytes, after which a member sends a confirmation.
const CONFIRM_MESSAGES: u64 = 32;
const CONFIRM_BYTES: usize = 64 << 10;

/// The channel where attackers of an app meet.
const CHANNEL: &str = "square";

/// A logged-in user that sends what the attack says.
type Member = UnboundedSender<Call>;

/// Logs in this many users; each joins the channel, if there is one, and then sends what it is
/// given.
async fn gather(
    field: &Arc<Field>,
    count: u64,
    channel: Option<&'static str>,
    ears: Ears,
) -> Result<Vec<Member>, End> {
    let mut members = Vec::new();
    let mut coming = JoinSet::new();
    for n in 0..count {
        if coming.len() >= AT_ONCE
            && let Some(member) = coming.join_next().await
        {
            members.push(member.map_err(|_| End::Broken)??);
        }
        coming.spawn(come(field.clone(), n, channel, ears));
    }
    while let Some(member) = coming.join_next().await {
        members.push(member.map_err(|_| End::Broken)??);
    }
    Ok(members)
}

async fn come(
    field: Arc<Field>,
    n: u64,
    channel: Option<&'static str>,
    ears: Ears,
) -> Result<Member, End> {
    let flood = Flood::of(Who::User(format!("member{n}")), v4(n));
    let (mut socket, _) = loop {
        match flood.enter(&field.door).await {
            // A server that limits its login rate says so.
            Err(End::Refused(_) | End::Status(_)) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => break other?,
        }
    };
    let mut heard = 0;
    let mut cseq = 0;
    if let Some(channel) = channel {
        cseq = 1;
        let join = Call::Join(Join {
            channel: channel.into(),
        });
        let frame = frame_of([request(cseq, Some(join))], 0);
        socket.writer.write_all(&frame).await?;
        while heard == 0 {
            let take = |_, payload: &[u8]| heard += numbered(payload);
            socket.reader.read(take).await?;
        }
    }
    let (member, calls) = unbounded_channel();
    tokio::spawn(live(field, socket, calls, ears, (cseq, heard)));
    Ok(member)
}

/// The loop of a member: receives, confirms, and sends what it is given.
async fn live(
    field: Arc<Field>,
    mut socket: Socket,
    mut calls: UnboundedReceiver<Call>,
    ears: Ears,
    (mut cseq, mut heard): (u64, u64),
) {
    let _held = field.hold();
    let mut confirmed = heard;
    let mut bytes = 0;
    loop {
        let mut count = 0;
        let mut more = 0;
        let take = |_, payload: &[u8]| {
            count += numbered(payload);
            more += payload.len();
        };
        let frame = tokio::select! {
            call = calls.recv() => {
                let Some(call) = call else { return };
                cseq += 1;
                confirmed = heard;
                frame_of([request(cseq, Some(call))], heard)
            }
            read = socket.reader.read(take), if ears == Ears::Open => {
                if let Err(end) = read {
                    return field.note(end);
                }
                heard += count;
                bytes += more;
                if heard - confirmed < CONFIRM_MESSAGES && bytes < CONFIRM_BYTES {
                    continue;
                }
                (confirmed, bytes) = (heard, 0);
                frame_of([], heard)
            }
        };
        field.did(1, frame.len());
        if let Err(error) = socket.writer.write_all(&frame).await {
            return field.note(error.into());
        }
    }
}

/// Makes members send in turn, this many times a second in total.
async fn by_turns(members: &[Member], per_s: u64, mut call: impl FnMut(u64) -> Call) {
    let mut ticks = interval(Duration::from_micros(1_000_000 / per_s));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0.. {
        ticks.tick().await;
        let at = usize::try_from(number).unwrap_or(0) % members.len();
        // A member that was disconnected sends nothing more.
        let _ = members[at].send(call(number));
    }
}

fn to_channel(bytes: usize) -> Call {
    Call::SendToChannel(SendToChannel {
        channel: CHANNEL.into(),
        message: message(vec![b'x'; bytes]),
        history: false,
    })
}

/// One member of 400 sends 32 KB 55 times a second.
pub(super) async fn large_fan_out(field: Arc<Field>) -> Result<(), End> {
    let members = gather(&field, 400, Some(CHANNEL), Ears::Open).await?;
    field.ready();
    by_turns(&members[..1], 55, |_| to_channel(32_000)).await;
    Ok(())
}

/// A hundred members send small messages, each nearly as often as allowed.
pub(super) async fn chatter(field: Arc<Field>) -> Result<(), End> {
    let members = gather(&field, 100, Some(CHANNEL), Ears::Open).await?;
    field.ready();
    by_turns(&members, 5_500, |_| to_channel(20)).await;
    Ok(())
}

/// Five members send large messages to a hundred who never read.
pub(super) async fn deaf(field: Arc<Field>) -> Result<(), End> {
    gather_deaf(&field).await?;
    let members = gather_named(&field, 5).await?;
    field.ready();
    by_turns(&members, 275, |_| to_channel(32_000)).await;
    Ok(())
}

async fn gather_deaf(field: &Arc<Field>) -> Result<(), End> {
    for member in gather(field, 100, Some(CHANNEL), Ears::Shut).await? {
        // They stay for as long as the attack lasts.
        std::mem::forget(member);
    }
    Ok(())
}

/// Members with numbers of their own, besides those that never read.
async fn gather_named(field: &Arc<Field>, count: u64) -> Result<Vec<Member>, End> {
    let mut members = Vec::new();
    for n in 0..count {
        members.push(come(field.clone(), 10_000 + n, Some(CHANNEL), Ears::Open).await?);
    }
    Ok(members)
}

/// Attributes of a channel of 400, of the largest size, with notifications to everybody.
pub(super) async fn attributes(field: Arc<Field>) -> Result<(), End> {
    let members = gather(&field, 400, Some(CHANNEL), Ears::Open).await?;
    field.ready();
    by_turns(&members[..10], 40, |number| {
        let attribute = |n: u64| Attribute {
            key: format!("key{n}"),
            value: format!("{number} {}", "x".repeat(7_900)),
            ..Attribute::default()
        };
        Call::WriteChannelAttributes(WriteChannelAttributes {
            channel: CHANNEL.into(),
            how: AttributeWrite::Set.into(),
            attributes: (0..4).map(attribute).collect(),
            notify: true,
        })
    })
    .await;
    Ok(())
}

/// Everybody joins and leaves as fast as the rates allow: 150 users in 60 channels.
pub(super) async fn joins(field: Arc<Field>) -> Result<(), End> {
    let members = gather(&field, 150, None, Ears::Open).await?;
    field.ready();
    by_turns(&members, 4_800, |number| {
        let round = number / 150;
        let channel = format!("room{}", (round / 2 + number) % 60);
        match round % 2 {
            0 => Call::Join(Join { channel }),
            _ => Call::Leave(Leave { channel }),
        }
    })
    .await;
    Ok(())
}

/// Watches 512 names, asks for 256, and stops watching, far above the rates.
pub(super) async fn presence(field: Arc<Field>) -> Result<(), End> {
    let members = gather(&field, 20, None, Ears::Open).await?;
    let names = |count: u64| (0..count).map(|n| format!("member{n}")).collect();
    field.ready();
    by_turns(&members, 200, |number| match (number / 20) % 3 {
        0 => Call::SubscribePresence(SubscribePresence {
            user_ids: names(512),
        }),
        1 => Call::QueryPresence(QueryPresence {
            user_ids: names(256),
        }),
        _ => Call::UnsubscribePresence(UnsubscribePresence {
            user_ids: names(512),
        }),
    })
    .await;
    Ok(())
}

/// Messages of the largest size for names that nobody has, to be stored.
pub(super) async fn stored(field: Arc<Field>) -> Result<(), End> {
    let members = gather(&field, 5, None, Ears::Open).await?;
    field.ready();
    by_turns(&members, 275, |number| {
        Call::SendToPeer(SendToPeer {
            peer_id: format!("nobody{number}"),
            message: message(vec![b'x'; 32_000]),
            offline: true,
            history: false,
        })
    })
    .await;
    Ok(())
}

/// Writes a history of large messages, and makes many users read it as often as allowed.
pub(super) async fn histories(field: Arc<Field>) -> Result<(), End> {
    let members = gather(&field, 60, Some(CHANNEL), Ears::Open).await?;
    field.ready();
    by_turns(&members, 240, |number| match number % 4 {
        0 => Call::SendToChannel(SendToChannel {
            channel: CHANNEL.into(),
            message: message(vec![b'x'; 1_000]),
            history: true,
        }),
        _ => Call::ReadHistory(ReadHistory {
            conversation: Some(Conversation::Channel(CHANNEL.into())),
            count_max: 100,
            newest_first: true,
            ..ReadHistory::default()
        }),
    })
    .await;
    Ok(())
}

/// As many logins of users of the app as the machine can make, each from its own address.
pub(super) async fn logins(field: Arc<Field>) -> Result<(), End> {
    field.ready();
    let mut tasks = JoinSet::new();
    for n in 0..16 {
        let field = field.clone();
        tasks.spawn(async move {
            again(&field.clone(), |number| {
                let field = field.clone();
                async move {
                    let number = number * 16 + n;
                    let flood = Flood::of(Who::User(format!("comer{number}")), v4(number));
                    flood.enter(&field.door).await?;
                    field.did(1, 0);
                    Ok(())
                }
            })
            .await;
        });
    }
    tasks.join_all().await;
    Ok(())
}

/// A legacy client asks for the members of a channel of 1,500, 60 times a second.
pub(super) async fn legacy_lists(field: Arc<Field>) -> Result<(), End> {
    let _members = gather(&field, 1_500, Some(CHANNEL), Ears::Open).await?;
    field.ready();
    let mut flood = Flood::of(Who::Legacy("lister".into()), v4(2_000));
    flood.every = Some(Duration::from_micros(16_600));
    flood
        .rage(field, |line| {
            let line = line.to_owned();
            each(1, move |number, _| {
                let args = json!({"name": CHANNEL, "num": 1_500});
                legacy_call(&line, number, "channel_query_userlist_all", args)
            })
        })
        .await;
    Ok(())
}
