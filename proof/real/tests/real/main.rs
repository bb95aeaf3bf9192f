//! The short editions of the proofs with real processes, for every test run.

mod clock;
mod overload;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_client::{Client, ClientEvent, Events, Message, PeerReceipt, SendOptions};
use tidings_proof::program::{APP, Program, build};
use tidings_proof::soak::{self, Pauses, Settings};
use tidings_proof::tries::Tries;
use tidings_wire::codes::Outcome;

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_broken_networks_get_everything_once_and_in_order() {
    build();
    // Other faults in every run; the failure says which.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.expect("it is after 1970").as_secs();
    let settings = Settings::new(Duration::from_secs(10), seed);
    let report = soak::run(&settings).await.expect("the run can be made");
    println!("seed {seed}: {report}");
    assert!(report.is_good(), "seed {seed}: {report}");
    assert!(report.verdict.promised > 300, "too little load: {report}");
    assert!(report.tally.cuts() > 30, "too few cuts: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_for_a_while_loses_nothing() {
    build();
    let mut settings = Settings::new(Duration::from_secs(9), 7);
    settings.groups = 1;
    settings.pauses = Some(Pauses {
        every: Duration::from_secs(2),
        length: Duration::from_secs(5),
    });
    let report = soak::run(&settings).await.expect("the run can be made");
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert!(report.verdict.promised > 30, "too little load: {report}");
}

/// Fills a disk up: writes until there is no room.
fn fill(ballast: &std::path::Path) {
    use std::io::Write as _;

    let mut file = std::fs::File::create(ballast).expect("there is room yet");
    while file.write_all(&[0; 4_096]).is_ok() {}
}

/// A client of the program, logged in.
async fn client(program: &Program, user: &str) -> (Client, Events) {
    let endpoint = format!("ws://{}", program.address());
    let built = Client::builder().endpoint(endpoint).app_id(APP).build();
    let (client, events) = built.expect("the settings are good");
    if let Err(error) = client.login(user, None).await {
        panic!("{user} cannot log in: {error}\n{}", program.log());
    }
    (client, events)
}

/// Tries of something that the program does not tell: it looks at its disk once a second.
fn tries(what: &str) -> Tries {
    Tries::new(what, Duration::from_millis(100), Duration::from_secs(20))
}

/// Peer messages up to this one.
async fn texts_until(last: &str, events: &mut Events) -> Vec<String> {
    let mut texts: Vec<String> = vec![];
    while texts.last().is_none_or(|text| text != last) {
        let event = events.next().await.expect("the client lives");
        if let ClientEvent::PeerMessage {
            message: Message::Text(text),
            ..
        } = event
        {
            texts.push(text);
        }
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_must_be_stored_and_nothing_else_until_there_is_room() {
    build();
    let program = match Program::start_on_small_disk(64, &["--disk-reserve", "8000000"]) {
        Ok(program) => program,
        // Containers often forbid it; nothing else makes a full disk without the whole machine's.
        Err(failure) => return println!("not tested, no disk of its own: {failure}"),
    };
    let (alice, _) = client(&program, "alice").await;
    let (_bob, mut events) = client(&program, "bob").await;
    let store =
        |text: &'static str| alice.send_to_peer("carol", text, SendOptions::new().offline());
    assert_eq!(store("one").await, Ok(PeerReceipt::NotReceived));

    let ballast = program.data().join("ballast");
    fill(&ballast);
    // It looks at the disk once a second.
    let mut stored = 0;
    let mut tries = tries("a full disk is noticed");
    let full = loop {
        match store("two").await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        tries.again().await;
    };
    assert_eq!(full.outcome(), Some(Outcome::Unavailable));
    // What needs no disk goes on.
    let live = alice.send_to_peer("bob", "hello", SendOptions::new()).await;
    assert_eq!(live, Ok(PeerReceipt::Received));
    assert_eq!(texts_until("hello", &mut events).await, ["hello"]);

    std::fs::remove_file(&ballast).expect("it is there");
    let mut tries = self::tries("room on the disk is noticed");
    while store("three").await.is_err() {
        tries.again().await;
    }
    let (_carol, mut events) = client(&program, "carol").await;
    let texts = texts_until("three", &mut events).await;
    let twos = texts.iter().filter(|text| *text == "two").count();
    assert_eq!((twos, texts.len()), (stored, stored + 2), "{texts:?}");
}

/// Checks `drain.no_loss` and `presence.no_flap_on_resume` (contract OVL-8): no gap, nothing lost,
/// twice or out of order, no answer that is not true, and nobody is seen to leave.
#[tokio::test(flavor = "multi_thread")]
async fn planned_restarts_under_load_lose_nothing_and_nobody_is_seen_to_leave() {
    build();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.expect("it is after 1970").as_secs();
    let mut settings = Settings::new(Duration::from_secs(5), seed);
    settings.is_calm = true;
    settings.is_mixed = false;
    settings.restarts = 2;
    let mut program = Program::start(&["--drain-window", "1"]).expect("the server starts");
    let report = soak::run_against(&settings, &mut program).await;
    let report = report.expect("the run can be made");
    println!("seed {seed}: {report}");
    assert!(report.is_good(), "seed {seed}: {report}");
    assert_eq!(report.verdict.gaps, 0, "seed {seed}: {report}");
    assert!(report.verdict.promised > 300, "too little load: {report}");
}
