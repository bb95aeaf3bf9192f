//! Jumps of the wall clock under the real program (contract CRA-7): nobody is lost, nothing is too
//! old, stamps do not go back, and only tokens follow the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_client::{
    Client, ClientEvent, Events, LocalInvitationNews, Message, PeerReceipt, RemoteInvitationNews,
    SendOptions,
};
use tidings_proof::program::Program;
use tidings_token::{NewAccess007, Service, build_007};
use tidings_wire::codes::Outcome;
use tokio::time::{Instant, timeout_at};

use super::{build, client, texts_until};

/// An app whose users need tokens.
const SAFE_APP: &str = "fedcba9876543210fedcba9876543210";
const CERTIFICATE: &str = "00112233445566778899aabbccddeeff";

const DAY_S: i64 = 24 * 60 * 60;
/// Further than stored messages are kept for, both ways, and by hours, as an operator would.
const JUMPS_S: [i64; 5] = [10 * DAY_S, -10 * DAY_S, 3_650 * DAY_S, 60 * 60, 0];
/// After a jump: longer than a heartbeat, so that every timer has had its chance.
const SETTLE: Duration = Duration::from_secs(3);

fn unix_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}

/// A token of an hour, by the machine's clock.
fn token(user: &str) -> String {
    let token = NewAccess007 {
        app_id: SAFE_APP,
        certificate: CERTIFICATE,
        issued_at_unix_s: u32::try_from(unix_s()).expect("it is before 2106"),
        lifetime_s: 3_600,
        salt: 1,
        services: &[Service::rtm(user, 0)],
    };
    build_007(&token).expect("all of it is in order")
}

async fn login_by_token(program: &Program, user: &str) -> Result<(), Option<Outcome>> {
    let endpoint = format!("ws://{}", program.address());
    let built = Client::builder()
        .endpoint(endpoint)
        .app_id(SAFE_APP)
        .build();
    let (client, _events) = built.expect("the settings are good");
    let login = client.login(user, Some(&token(user))).await;
    login.map_err(|error| error.outcome())
}

/// What somebody is told until a channel message with this text, which comes with its stamp.
async fn told_until(text: &str, events: &mut Events) -> (Vec<ClientEvent>, u64) {
    let mut told = vec![];
    loop {
        let event = events.next().await.expect("the client lives");
        match event {
            ClientEvent::ChannelMessage {
                message: Message::Text(heard),
                server_ts_ms,
                ..
            } if heard == text => return (told, server_ts_ms),
            event => told.push(event),
        }
    }
}

/// What somebody is told in a time, which should be nothing that matters.
async fn told_within(time: Duration, events: &mut Events) -> Vec<ClientEvent> {
    let until = Instant::now() + time;
    let mut told = vec![];
    while let Ok(event) = timeout_at(until, events.next()).await {
        told.push(event.expect("the client lives"));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ends_nothing_and_ages_nothing() {
    build();
    let app = format!("{SAFE_APP}:{CERTIFICATE}");
    let program = match Program::start_by_own_clock(&["--disk-reserve", "0", "--app", &app]) {
        Ok(program) => program,
        Err(failure) => return println!("not tested, no clock of its own: {failure}"),
    };
    let (alice, mut alices) = client(&program, "alice").await;
    let (bob, mut bobs) = client(&program, "bob").await;
    let (ours, theirs) = (alice.channel("room"), bob.channel("room"));
    theirs.join().await.expect("a join");
    ours.join().await.expect("a join");
    let kept = alice.send_to_peer("carol", "kept", SendOptions::new().offline());
    assert_eq!(kept.await, Ok(PeerReceipt::NotReceived));
    assert_eq!(login_by_token(&program, "dora").await, Ok(()));
    alice.invite("bob", "a call", None).await.expect("a call");
    ours.send("first").await.expect("sent");
    let (mut told, mut latest_ms) = told_until("first", &mut bobs).await;

    for ahead_s in JUMPS_S {
        program.set_clock(ahead_s).expect("its clock is set");
        told.extend(told_within(SETTLE, &mut bobs).await);
        let text = format!("at {ahead_s}");
        ours.send(text.as_str()).await.expect("sent");
        let (heard, stamp_ms) = told_until(&text, &mut bobs).await;
        told.extend(heard);
        assert!(
            stamp_ms >= latest_ms,
            "{text}: {stamp_ms} after {latest_ms}"
        );
        let there_s = unix_s().saturating_add_signed(ahead_s);
        assert!(
            stamp_ms / 1_000 + 1 >= there_s,
            "{text}: its clock is not {there_s}"
        );
        latest_ms = stamp_ms;
        // A token of an hour is good as long as the clock says so.
        let is_good = (0..3_600).contains(&ahead_s);
        let login = login_by_token(&program, "dora").await;
        assert_eq!(login.is_ok(), is_good, "{text}: {login:?}");
    }

    // The call has gone on over all of it, and nobody was seen to go or to miss anything.
    let ring = told.iter().find_map(|event| match event {
        ClientEvent::RemoteInvitation {
            id,
            news: RemoteInvitationNews::Received { .. },
            ..
        } => Some(id.clone()),
        _ => None,
    });
    let ring = ring.expect("the call has come");
    let is_harmless = |event: &&ClientEvent| {
        matches!(
            event,
            ClientEvent::RemoteInvitation { .. }
                | ClientEvent::MemberCount { .. }
                | ClientEvent::MemberJoined { .. }
                | ClientEvent::StateChanged { .. }
        )
    };
    let others: Vec<_> = told.iter().filter(|event| !is_harmless(event)).collect();
    assert!(others.is_empty(), "bob was told {others:?}");
    let changes = told
        .iter()
        .filter(|event| matches!(event, ClientEvent::StateChanged { .. }));
    // Connecting and connected.
    assert_eq!(changes.count(), 2, "{told:?}");
    bob.accept_invitation(&ring, "yes").await.expect("it rings");
    loop {
        match alices.next().await.expect("the client lives") {
            ClientEvent::LocalInvitation {
                news: LocalInvitationNews::Accepted(response),
                ..
            } => break assert_eq!(response, "yes"),
            ClientEvent::LocalInvitation {
                news: news @ LocalInvitationNews::Failed(_),
                ..
            } => panic!("the call has ended: {news:?}"),
            _ => {}
        }
    }
    // It was seven days old by the clock for a while.
    let (_carol, mut events) = client(&program, "carol").await;
    assert_eq!(texts_until("kept", &mut events).await, ["kept"]);
}
