//! Measures acknowledged appends to inboxes, through the committer onto the embedded store.
//!
//! ```sh
//! cargo run --release -p tidings-store --example bench_inbox -- [directory] [messages] [users]
//! ```
//!
//! Four hubs each keep up to 512 appends of 200 bytes under way, to users at random, which is the
//! worst case for the tree; that gives the highest rate. Then the same at 50,000 per second, which
//! gives the time to an answer at that rate. Then inboxes are read and confirmed as logins do, and
//! the store is opened again.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidings_hub::Ticket;
use tidings_hub::ids::{HubId, MessageId, UserKey};
use tidings_hub::store_ops::{InboxLimits, InboxLosses, StoreAnswer, StoreOp, StoredMessage};
use tidings_store::embedded::Options;
use tidings_store::{Committer, EmbeddedEngine, Submitter};
use tidings_wire::names::{AppId, UserId};

const HUBS: u16 = 4;
const UNDER_WAY: usize = 512;
/// Appends per second of all hubs in the paced run.
const RATE: f64 = 50_000.0;
/// As fast as the answers come.
const AT_ONCE: Option<f64> = None;
const LIMITS: InboxLimits = InboxLimits {
    messages_max: 200,
    bytes_max: 6_710_886,
    age_ms: 604_800_000,
};

type Answers = Vec<(Ticket, StoreAnswer)>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let given = arguments.next().map(PathBuf::from);
    let mut number = |default| {
        arguments
            .next()
            .map_or(default, |text| text.parse().unwrap_or(default))
    };
    let (messages, users): (u64, u64) = (number(1_000_000), number(100_000));
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = given.unwrap_or_else(|| temporary.path().join("store"));

    let (committer, channels) = open(&directory, "open");
    println!(
        "{HUBS} hubs, {UNDER_WAY} operations under way each, {messages} messages, {users} users"
    );
    let each = messages / u64::from(HUBS);
    let hubs = run(
        "append",
        &committer,
        channels,
        each,
        AT_ONCE,
        move |random| append(random, users),
    );
    let paced = Some(RATE / f64::from(HUBS));
    let hubs = run("paced", &committer, hubs, each, paced, move |random| {
        append(random, users)
    });
    let hubs = run("read", &committer, hubs, 10_000, AT_ONCE, move |random| {
        StoreOp::InboxRead {
            user: user(random(users)),
            after: 0,
            count_max: 32,
            not_before_ts: 0,
        }
    });
    let hubs = run(
        "confirm",
        &committer,
        hubs,
        10_000,
        AT_ONCE,
        move |random| StoreOp::InboxConfirm {
            user: user(random(users)),
            up_to: u64::MAX,
            told: InboxLosses::default(),
        },
    );
    println!("{:?}", committer.submitter().status());
    let closing = Instant::now();
    committer.close();
    println!("close     {:>9.0?}", closing.elapsed());
    drop(hubs);
    let (committer, _hubs) = open(&directory, "reopen");
    committer.close();
}

fn open(directory: &std::path::Path, what: &str) -> (Committer, Vec<Receiver<Answers>>) {
    let opening = Instant::now();
    let engine = EmbeddedEngine::open(directory, &Options::default()).expect("the store opens");
    println!(
        "{what:<9} {:>9.0?}  {} MB on disk",
        opening.elapsed(),
        engine.disk_bytes().unwrap_or(0) / 1_000_000
    );
    let (senders, receivers): (Vec<Sender<Answers>>, Vec<_>) = (0..HUBS).map(|_| channel()).unzip();
    let sink = move |hub: HubId, answers| {
        let _ = senders[hub.index()].send(answers);
    };
    (
        Committer::open(engine, sink).expect("a thread can be made"),
        receivers,
    )
}

fn run(
    what: &str,
    committer: &Committer,
    hubs: Vec<Receiver<Answers>>,
    operations: u64,
    rate: Option<f64>,
    op: impl Fn(&mut dyn FnMut(u64) -> u64) -> StoreOp + Clone + Send + 'static,
) -> Vec<Receiver<Answers>> {
    let start = Instant::now();
    let threads: Vec<_> = (0..)
        .zip(hubs)
        .map(|(hub, answers)| {
            let (submitter, op) = (committer.submitter(), op.clone());
            std::thread::spawn(move || {
                hub_loop(HubId::local(hub), &submitter, answers, operations, rate, op)
            })
        })
        .collect();
    let mut waits = Vec::new();
    let mut hubs = Vec::new();
    for thread in threads {
        let (answers, theirs) = thread.join().expect("no hub fails");
        hubs.push(answers);
        waits.extend(theirs);
    }
    let rate = waits.len() as f64 / start.elapsed().as_secs_f64();
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!(
        "{what:<9} {rate:>9.0}/s  wait p50 {:?}  p99 {:?}  p99.9 {:?}  max {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    hubs
}

fn hub_loop(
    hub: HubId,
    submitter: &Submitter,
    answers: Receiver<Answers>,
    operations: u64,
    rate: Option<f64>,
    op: impl Fn(&mut dyn FnMut(u64) -> u64) -> StoreOp,
) -> (Receiver<Answers>, Vec<Duration>) {
    let mut state = 0x5eed ^ u64::from(hub.hub);
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let start = Instant::now();
    let mut sent: Vec<Instant> = Vec::new();
    let mut waits = Vec::new();
    let mut refused = Vec::new();
    while (waits.len() as u64) < operations {
        // A paced hub sends what is due, whatever is under way, so that a stall counts for all it
        // delays.
        let due = match rate {
            None => waits.len() + UNDER_WAY,
            Some(rate) => (start.elapsed().as_secs_f64() * rate) as usize,
        };
        let free = due.min(operations as usize).saturating_sub(sent.len());
        let batch: Vec<_> = (0..free)
            .map(|at| (Ticket((sent.len() + at) as u64), op(&mut random)))
            .collect();
        sent.resize(sent.len() + free, Instant::now());
        submitter.submit(hub, batch, &mut refused);
        assert!(
            refused.len() * 100 <= operations as usize,
            "too slow: {:?}",
            refused[0]
        );
        // A refused append counts as one that waited for ever.
        waits.extend(refused.drain(..).map(|_| Duration::from_secs(999)));
        let patience = Duration::from_millis(if rate.is_some() { 2 } else { 60_000 });
        match answers.recv_timeout(patience) {
            Ok(answers) => waits.extend(answers.into_iter().map(|(ticket, answer)| {
                assert!(!matches!(answer, StoreAnswer::Failed { .. }), "{answer:?}");
                sent[ticket.0 as usize].elapsed()
            })),
            Err(_) => assert!(rate.is_some(), "the store does not answer"),
        }
    }
    (answers, waits)
}

fn user(number: u64) -> UserKey {
    UserKey {
        app: AppId::parse("0123456789abcdef0123456789abcdef").expect("an app id"),
        user: UserId::parse(&format!("user-{number}")).expect("a name"),
    }
}

fn append(random: &mut dyn FnMut(u64) -> u64, users: u64) -> StoreOp {
    // 80 bytes that do not compress, the rest do.
    let mut body = vec![b'x'; 200];
    body[..80]
        .iter_mut()
        .for_each(|byte| *byte = random(256) as u8);
    let mut id = [0; 16];
    id.iter_mut().for_each(|byte| *byte = random(256) as u8);
    let message = StoredMessage {
        inbox: 0,
        id: MessageId(id),
        from: format!("user-{}", random(users)),
        body: Bytes::from(body),
        server_ts: 1_700_000_000_000,
        lasts_until: 0,
    };
    StoreOp::InboxAppend {
        user: user(random(users)),
        message,
        limits: LIMITS,
    }
}
