//! The program is killed (`kill -9`) under load, again and again: what it has acknowledged as
//! durable is there afterwards, once and in order. Source: contract OFF-2, OFF-3, OFF-6.
//!
//! `TIDINGS_KILL_SEED` repeats the moments of a run's kills, `TIDINGS_KILL_CYCLES` sets their
//! number.

#![allow(unreachable_pub, reason = "modules of a test")]

mod chat;
mod judge;
mod offline;
#[allow(dead_code, reason = "tokens are not needed here")]
#[path = "../scenarios/server.rs"]
mod server;
mod writers;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use server::{APP, Server};
use tidings_client::{Client, Events};
use tidings_proof::tries::Tries;
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::timeout;

use crate::judge::Report;

const CYCLES: u32 = 50;
/// Pairs of senders, each pair with one receiver after the other.
const PAIRS: usize = 4;
/// A kill comes after at most `ANSWERS_MAX` answered calls of the load, or `LIFE_MS_MAX`: some fall
/// into the logins, some into full load.
const ANSWERS_MAX: u64 = 300;
const LIFE_MS_MAX: u64 = 1_000;

/// What all parties of a run share.
#[derive(Clone)]
struct Run {
    endpoint: String,
    /// Clients that come back after a kill. Told when the server is back, as a device's network
    /// would tell: their back-off would grow to 30 s over the kills of a run.
    clients: Arc<Mutex<Vec<Client>>>,
    report: Arc<Mutex<Report>>,
    /// True once the load has to end.
    is_over: watch::Receiver<bool>,
    /// How many calls of the load have been answered.
    answered: Arc<watch::Sender<u64>>,
}

impl Run {
    /// A client that is not woken: it lives no longer than one server.
    fn short_lived(&self) -> (Client, Events) {
        let builder = Client::builder().endpoint(&self.endpoint).app_id(APP);
        builder.build().expect("a good endpoint and app id")
    }

    /// A client that stays over kills, logged in.
    async fn lasting(&self, user_id: &str) -> (Client, Events) {
        let (client, events) = self.short_lived();
        let push = |clients: &Mutex<Vec<Client>>| {
            let mut clients = clients.lock().expect("no thread has panicked");
            clients.push(client.clone());
        };
        push(&self.clients);
        login(&client, user_id).await;
        (client, events)
    }

    async fn retire(&self, client: Client) {
        // Without a link it is done locally.
        let _ = client.logout().await;
    }

    async fn wake_all(&self) {
        let clients = self.clients.lock().expect("no thread has panicked").clone();
        for client in clients {
            client.wake().await;
        }
    }

    /// A call of the load has been answered.
    fn note_answer(&self) {
        self.answered.send_modify(|count| *count += 1);
    }

    /// Waits until `more` calls have been answered, or the server has lived for `LIFE_MS_MAX`.
    async fn answers(&self, more: u64) {
        let mut answered = self.answered.subscribe();
        let wanted = *answered.borrow() + more;
        let life = Duration::from_millis(LIFE_MS_MAX);
        let _ = timeout(life, answered.wait_for(|count| *count >= wanted)).await;
    }

    /// Waits until every client that stays over kills is served again.
    async fn all_are_back(&self) {
        let clients = self.clients.lock().expect("no thread has panicked").clone();
        // The call waits for the link; a client that has logged out answers at once.
        let asked = clients.iter().map(Client::presence_subscriptions);
        join_all(asked).await;
    }

    fn is_over(&self) -> bool {
        *self.is_over.borrow()
    }

    fn report<T>(&self, note: impl FnOnce(&mut Report) -> T) -> T {
        note(&mut self.report.lock().expect("no thread has panicked"))
    }
}

/// Logs in, even if the server is killed during the login.
async fn login(client: &Client, user_id: &str) {
    let what = format!("{user_id} logs in");
    let mut tries = Tries::new(what, Duration::from_millis(500), Duration::from_secs(60));
    while client.login(user_id, None).await.is_err() {
        tries.again().await;
    }
}

/// A generator for the moments of the kills (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_under_load() {
    let cycles = number_from_environment("TIDINGS_KILL_CYCLES").unwrap_or(u64::from(CYCLES));
    let seed = number_from_environment("TIDINGS_KILL_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.expect("it is after 1970").subsec_nanos().into()
    });
    println!("replay with TIDINGS_KILL_SEED={seed} TIDINGS_KILL_CYCLES={cycles}");
    let mut random = Random(seed);
    let mut server = block_in_place(|| Server::start(false));
    let began = Instant::now();
    let (end, is_over) = watch::channel(false);
    let run = Run {
        endpoint: server.endpoint(),
        clients: Arc::default(),
        report: Arc::default(),
        is_over,
        answered: Arc::default(),
    };
    let mut load = JoinSet::new();
    for pair in 0..PAIRS {
        load.spawn(offline::send_and_collect(run.clone(), pair));
    }
    load.spawn(chat::chat(run.clone()));
    let mut writers = writers::Writers::start(&run);
    for _ in 0..cycles {
        run.answers(random.below(ANSWERS_MAX + 1)).await;
        writers.stop().await;
        block_in_place(|| {
            server.restart();
            server.wait_until_ready();
        });
        writers.go_on(&run);
        run.wake_all().await;
    }
    // The last server lives long enough for everybody to come back.
    run.all_are_back().await;
    end.send(true).expect("the run has a receiver");
    while let Some(ended) = load.join_next().await {
        ended.expect("no party has panicked");
    }
    writers.stop().await;
    writers.go_on(&run);
    writers.wait_for_first_check().await;
    let took = began.elapsed();
    let report = run.report(|report| report.clone());
    println!("{cycles} kills in {:.1} s; {report}", took.as_secs_f32());
    report.assert_good(cycles);
}
