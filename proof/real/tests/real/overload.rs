//! More than the program can bear: readers that read nothing, and everybody at once.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tidings_client::{ConnectionState, PeerReceipt, SendOptions};
use tidings_proof::program::Program;
use tidings_proof::raw::RawClient;
use tidings_proof::tries::Tries;
use tidings_wire::limits::LOGIN_FRAME_BYTES_MAX;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Join, Message, SendToChannel, SendToPeer, message, request};

/// What the program may use: about three times what it needs when idle.
const MEMORY_MAX: u64 = 96 << 20;
/// Pairs of a writer and a reader that reads nothing. For each the server would keep a MiB, three
/// times its memory.
const PAIRS: usize = 150;
/// Threads that write.
const THREADS: usize = 4;
/// How long they write.
const LOAD: Duration = Duration::from_secs(5);

fn text(bytes: usize) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text(vec![b'x'; bytes].into())),
        ..Message::default()
    })
}

/// Writes as fast as the server takes it, in large messages to a peer and in small ones to a
/// channel of many.
fn write(mut writers: Vec<(usize, RawClient)>) -> usize {
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < LOAD && !writers.is_empty() {
        writers.retain_mut(|(n, writer)| {
            let large = request::Call::SendToPeer(SendToPeer {
                peer_id: format!("r{n}"),
                message: text(25_000),
                ..SendToPeer::default()
            });
            let small = || {
                request::Call::SendToChannel(SendToChannel {
                    channel: "c".into(),
                    message: text(200),
                    history: false,
                })
            };
            sent += 3;
            // Whom the server has disconnected has done its part.
            writer.request(vec![large, small(), small()]).is_ok()
        });
    }
    sent
}

/// `memory.bounded`: clients that write much and read nothing cannot make the program use more
/// memory than it may.
#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_do_not_take_the_program_above_its_memory() {
    super::build();
    let max = MEMORY_MAX.to_string();
    let program = Program::start(&["--memory-max", &max]).expect("the program starts");
    let Some(idle) = program.memory_used() else {
        return println!("not tested, the system does not say how much memory is used");
    };
    let address = program.address();
    let mut readers = Vec::new();
    let mut threads: [Vec<(usize, RawClient)>; THREADS] = Default::default();
    for n in 0..PAIRS {
        for (kind, name) in [("reader", "r"), ("writer", "w")] {
            let (mut client, answer) =
                RawClient::log_in(address, &format!("{name}{n}")).expect("a login");
            assert!(matches!(answer, Kind::Welcome(_)), "{kind} {n}: {answer:?}");
            let channel = "c".into();
            let join = request::Call::Join(Join { channel });
            client.request(vec![join]).expect("a join");
            match kind {
                "reader" => readers.push(client),
                _ => threads[n % THREADS].push((n, client)),
            }
        }
    }
    let threads = threads
        .into_iter()
        .map(|some| thread::spawn(|| write(some)));
    let threads: Vec<_> = threads.collect();
    let sent: usize = threads
        .into_iter()
        .map(|thread| thread.join().expect("a writer does not panic"))
        .sum();
    let of_files = program.memory_of_files().expect("it runs");
    let peak = program.memory_peak().expect("it runs") - of_files;
    println!("{sent} sent; memory: {idle} idle, {peak} at most, {MEMORY_MAX} allowed");
    assert!(peak < MEMORY_MAX, "{peak} bytes were used of {MEMORY_MAX}");
    assert!(sent > PAIRS * 30, "too little load: {sent}");
    drop(readers);
    // When it is over, everybody is served again.
    let began = Instant::now();
    let (alice, _) = super::client(&program, "alice").await;
    let (_bob, _events) = super::client(&program, "bob").await;
    let receipt = alice
        .send_to_peer("bob", "hello", SendOptions::new())
        .await
        .expect("it is sent");
    assert_eq!(receipt, PeerReceipt::Received);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{}",
        program.log()
    );
}

/// Connections that never log in, and from how many addresses: as many from each as may wait before
/// their login.
const STRANGERS: usize = 2_000;
const ADDRESSES: usize = 20;
/// What one of them may cost, in bytes. Source: contract 6.2.
const STRANGER_BYTES_MAX: u64 = 24 << 10;

/// `dos.preauth_memory`: who is not logged in costs little, even with as much of a login as is
/// possible.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_cost_little_memory() {
    super::build();
    let program = Program::start(&[]).expect("the program starts");
    let Some(idle) = program.memory_used() else {
        return println!("not tested, the system does not say how much memory is used");
    };
    let mut strangers = Vec::with_capacity(STRANGERS);
    for n in 0..STRANGERS {
        let last = 2 + u8::try_from(n % ADDRESSES).expect("few addresses");
        let source = Ipv4Addr::new(127, 0, 0, last);
        let mut stranger = RawClient::open_from(source, program.address()).expect("a handshake");
        let bytes = u16::try_from(LOGIN_FRAME_BYTES_MAX).expect("8 KiB");
        stranger.begin_message(bytes).expect("it is connected");
        strangers.push(stranger);
    }
    let used = program.memory_peak().expect("it runs");
    let each = (used - idle) / STRANGERS as u64;
    println!("{each} bytes for each of {STRANGERS} connections before their login");
    assert!(each < STRANGER_BYTES_MAX, "{each} bytes for each stranger");
    // The server did read what they have said.
    assert!(
        each > LOGIN_FRAME_BYTES_MAX as u64 / 2,
        "{each} bytes for each stranger"
    );
}

/// Clients of the storm; with how many connections they come at first.
const CROWD: usize = 2_000;
const AT_ONCE: usize = 200;
/// They are back in this time on the reference machine; the gate's has other work too.
const BACK: Duration = Duration::from_secs(5);
const BACK_ON_A_BUSY_MACHINE: Duration = Duration::from_secs(15);

/// `storm.recovers`: after `kill -9` and a start, everybody is back within seconds.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_clients_are_back_seconds_after_a_crash() {
    super::build();
    let mut program = Program::start(&[]).expect("the program starts");
    let mut clients = Vec::with_capacity(CROWD);
    for first in (0..CROWD).step_by(AT_ONCE) {
        let names: Vec<String> = (first..first + AT_ONCE).map(|n| format!("u{n}")).collect();
        let logins = names.iter().map(|name| super::client(&program, name));
        clients.extend(join_all(logins).await);
    }
    program.crash().expect("the next process starts");
    let began = Instant::now();
    let is_back = |client: &tidings_client::Client| client.state() == ConnectionState::Connected;
    // A client that has not noticed yet counts as connected: each is asked for something, which
    // waits for the link.
    let asked = clients.iter().map(|(client, _)| async {
        let mut tries = Tries::new(
            "a client is back",
            Duration::from_millis(20),
            BACK_ON_A_BUSY_MACHINE * 2,
        );
        while client.presence_subscriptions().await.is_err() {
            tries.again().await;
        }
    });
    let all = tokio::time::timeout(BACK_ON_A_BUSY_MACHINE, join_all(asked)).await;
    let took = began.elapsed();
    let back = clients.iter().filter(|(client, _)| is_back(client)).count();
    println!("{back} of {CROWD} back after {took:?}; {BACK:?} are allowed on an idle machine");
    assert!(all.is_ok(), "{back} of {CROWD} are back after {took:?}");
}
