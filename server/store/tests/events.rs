//! Streams of events through the committer: what readers, watchers and hubs get.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use common::{LIMIT, read, user};
use tidings_hub::Ticket;
use tidings_hub::ids::{HubId, SessionId};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_store::events::{
    After, Cursor, EventError, EventKind, EventKinds, EventQueue, Events, LoginName, NewEvent,
};
use tidings_store::{Access, Bounds, Committer, Engine, Health, MemoryEngine, QUEUE_EVENTS_MAX};
use tidings_wire::names::AppId;

fn now_ms() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

fn app(letter: char) -> AppId {
    AppId::parse(&letter.to_string().repeat(32)).unwrap()
}

fn login(app: &AppId, number: u64) -> NewEvent {
    let mut session = [0; 16];
    session[..8].copy_from_slice(&number.to_be_bytes());
    session[8] = app.as_str().as_bytes()[0];
    NewEvent {
        user: Some(user(number).user),
        login: Some(LoginName {
            hub: HubId::local(0),
            session: SessionId(session),
        }),
        ..NewEvent::new(app.clone(), now_ms(), EventKind::Login)
    }
}

/// Runs a future on this thread, within [`LIMIT`].
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let begin = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(begin.elapsed() < LIMIT, "nothing wakes the future");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

#[test]
fn a_reader_goes_on_where_its_cursor_says() {
    let committer = Committer::open(MemoryEngine::new(), |_, _| ()).unwrap();
    let events = Events::new(committer.submitter());
    let a = app('a');
    let first = events
        .read(&a, After::Newest, 9, EventKinds::ALL)
        .wait()
        .unwrap();
    assert!(first.events.is_empty() && !first.has_more());
    for number in 1..=5 {
        let written = events.write(login(&a, number)).wait().unwrap();
        assert_eq!(written.unwrap().number, number);
    }
    assert_eq!(events.write(login(&a, 5)).wait(), Ok(None), "no news");
    // What the empty stream has given is its beginning, also for a reader that has kept it as text.
    let mut cursor: Cursor = first.next.to_string().parse().unwrap();
    let mut seen = Vec::new();
    loop {
        let after = After::Cursor(cursor);
        let page = events.read(&a, after, 2, EventKinds::ALL).wait().unwrap();
        seen.extend(page.events.iter().map(|event| event.number));
        cursor = page.next;
        if let Some(last) = page.events.last() {
            assert_eq!(page.cursor_of(last), cursor);
        }
        if !page.has_more() {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    // Others read the same, and so does a second reader at its own pace.
    let all = events
        .read(&a, After::Start, 99, EventKinds::ALL)
        .wait()
        .unwrap();
    assert_eq!((all.events.len(), all.next), (5, cursor));
    let page = events
        .read(&a, After::Newest, 9, EventKinds::ALL)
        .wait()
        .unwrap();
    assert_eq!(page.next, cursor);
}

#[test]
fn a_cursor_from_elsewhere_is_refused() {
    let committer = Committer::open(MemoryEngine::new(), |_, _| ()).unwrap();
    let events = Events::new(committer.submitter());
    let (a, b) = (app('a'), app('b'));
    for number in 1..=3 {
        events.write(login(&a, number)).wait().unwrap();
        events.write(login(&b, number)).wait().unwrap();
    }
    let of_b = events
        .read(&b, After::Start, 9, EventKinds::ALL)
        .wait()
        .unwrap();
    let foreign = events
        .read(&a, After::Cursor(of_b.next), 9, EventKinds::ALL)
        .wait();
    assert_eq!(foreign, Err(EventError::Foreign { cursor: of_b.next }));
    // A backup that is older than the cursor.
    let of_a = events
        .read(&a, After::Start, 9, EventKinds::ALL)
        .wait()
        .unwrap();
    let born_ms = events.span(&a).wait().unwrap().born_ms;
    let kept = Committer::open(MemoryEngine::new(), |_, _| ()).unwrap();
    let restored = Events::new(kept.submitter());
    let early = NewEvent {
        at_ms: born_ms,
        ..login(&a, 1)
    };
    restored.write(early).wait().unwrap();
    let newer = restored
        .read(&a, After::Cursor(of_a.next), 9, EventKinds::ALL)
        .wait();
    let expected = EventError::Newer {
        cursor: of_a.next,
        newest: 1,
    };
    assert_eq!(newer, Err(expected));
    for text in ["", "x", "AAAA", "ä", &"A".repeat(1000)] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

#[test]
fn a_watcher_is_woken_by_events_of_its_app_and_reads_them_from_memory() {
    let committer = Committer::open(MemoryEngine::new(), |_, _| ()).unwrap();
    let events = Events::new(committer.submitter());
    let (a, b) = (app('a'), app('b'));
    events.write(login(&a, 1)).wait().unwrap();
    let watch = events.watch(&a);
    let begin = events
        .read(&a, After::Newest, 9, EventKinds::ALL)
        .wait()
        .unwrap();
    let writer = {
        let (events, a) = (events.clone(), a.clone());
        std::thread::spawn(move || {
            for number in 1..=50 {
                events.write(login(&b, number)).wait().unwrap();
            }
            for number in 2..=700 {
                events.write(login(&a, number)).wait().unwrap();
            }
        })
    };
    let (mut cursor, mut next) = (begin.next, 2);
    while next <= 700 {
        block_on(watch.newer_than(cursor)).unwrap();
        let page = events.read(&a, After::Cursor(cursor), 100, EventKinds::ALL);
        let page = block_on(page).unwrap();
        assert!(!page.events.is_empty(), "woken for nothing after {next}");
        for event in &page.events {
            assert_eq!(event.number, next);
            next += 1;
        }
        cursor = page.next;
    }
    writer.join().unwrap();
    // What is in memory is answered without the store, also when that has much to do.
    let groups = committer.submitter().status().groups;
    let page = events
        .read(&a, After::Cursor(cursor), 9, EventKinds::ALL)
        .wait()
        .unwrap();
    assert!(page.events.is_empty());
    assert_eq!(committer.submitter().status().groups, groups);
    // From the beginning, only the store knows.
    let page = events.read(&a, After::Cursor(begin.next), 9, EventKinds::ALL);
    assert_eq!(page.wait().unwrap().events[0].number, 2);
    assert!(committer.submitter().status().groups > groups);
}

#[test]
fn callers_that_take_at_once_share_the_events() {
    let committer = Committer::open(MemoryEngine::new(), |_, _| ()).unwrap();
    let events = Events::new(committer.submitter());
    let a = app('a');
    for number in 1..=300 {
        events.write(login(&a, number)).wait().unwrap();
    }
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (events, a) = (events.clone(), a.clone());
            std::thread::spawn(move || {
                let mut taken = Vec::new();
                loop {
                    let some = events.take(&a, EventQueue::Users, 7).wait().unwrap();
                    if some.is_empty() {
                        return taken;
                    }
                    taken.extend(some.iter().map(|event| event.number));
                }
            })
        })
        .collect();
    let taken = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap());
    let mut taken: Vec<u64> = taken.collect();
    taken.sort_unstable();
    assert_eq!(taken, (1..=300).collect::<Vec<u64>>());
}

/// An engine that waits for a word before each group.
struct Gated {
    inner: MemoryEngine,
    gate: Receiver<()>,
}

impl Engine for Gated {
    fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) {
        let _ = self.gate.recv();
        self.inner.apply(ops, answers);
    }

    fn set_bounds(&mut self, _: Arc<Bounds>) {}

    fn stored_bytes(&mut self, _: &AppId) -> u64 {
        0
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

fn gated() -> (Gated, Sender<()>) {
    let (open, gate) = channel();
    let inner = MemoryEngine::new();
    (Gated { inner, gate }, open)
}

#[test]
fn events_that_do_not_fit_cost_no_operation_and_leave_a_gap() {
    let (engine, open) = gated();
    let (sender, answers) = channel();
    let committer = Committer::open(engine, move |_, answers| {
        let _ = sender.send(answers);
    })
    .unwrap();
    let submitter = committer.submitter();
    let mut refused = Vec::new();
    let hub = HubId::local(0);
    submitter.submit(hub, [(Ticket(1), read(1))], &mut refused);
    while submitter.status().queued_operations > 0 {
        std::thread::yield_now();
    }
    let a = app('a');
    let many = (0..QUEUE_EVENTS_MAX as u64 + 3)
        .map(|number| StoreOp::EventAppend(Box::new(login(&a, number))))
        .map(|op| (Ticket::NOBODY, op));
    submitter.submit(hub, many, &mut refused);
    assert_eq!(refused.len(), 3, "the hub is told what was not taken");
    refused.clear();
    submitter.submit(hub, [(Ticket(2), read(1))], &mut refused);
    assert!(refused.is_empty(), "operations have places of their own");
    drop(open);
    let told: Vec<_> = [answers.recv().unwrap(), answers.recv().unwrap()]
        .into_iter()
        .flatten()
        .map(|(ticket, _)| ticket)
        .collect();
    assert_eq!(told, [Ticket(1), Ticket(2)], "nobody waits for events");
    let events = Events::new(submitter);
    let gaps = EventKinds::NONE;
    let mut after = After::Start;
    let gap = loop {
        let page = events.read(&a, after, 10, gaps).wait().unwrap();
        if let Some(gap) = page.events.first() {
            break gap.clone();
        }
        after = After::Cursor(page.next);
    };
    assert_eq!((gap.kind, gap.missing), (EventKind::Gap, 3));
    assert_eq!(
        (&*gap.detail, gap.number),
        ("not-written", QUEUE_EVENTS_MAX as u64 + 1)
    );
}

#[test]
fn a_full_disk_refuses_events_and_tells_of_them_when_there_is_space() {
    let mut engine = MemoryEngine::new();
    engine.set_space_missing(Some((0, 1)));
    let (sender, told) = channel();
    let committer = Committer::open(
        Freed {
            inner: engine,
            groups: 0,
        },
        move |_, answers| {
            let _ = sender.send(answers);
        },
    )
    .unwrap();
    let a = app('a');
    let mut refused = Vec::new();
    let op = StoreOp::EventAppend(Box::new(login(&a, 1)));
    let submitter = committer.submitter();
    submitter.submit(HubId::local(0), [(Ticket::NOBODY, op)], &mut refused);
    let answers = told.recv_timeout(LIMIT).unwrap();
    assert!(matches!(
        answers[..],
        [(Ticket::NOBODY, StoreAnswer::Failed { .. })]
    ));
    let events = Events::new(submitter);
    let begin = Instant::now();
    let gap = loop {
        let page = events
            .read(&a, After::Start, 9, EventKinds::ALL)
            .wait()
            .unwrap();
        if let Some(gap) = page.events.first() {
            break gap.clone();
        }
        assert!(begin.elapsed() < LIMIT, "the gap is not told");
    };
    assert_eq!((gap.kind, gap.missing), (EventKind::Gap, 1));
}

/// Has space again after a few groups.
struct Freed {
    inner: MemoryEngine,
    groups: u32,
}

impl Engine for Freed {
    fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) {
        self.inner.apply(ops, answers);
        self.groups += 1;
        if self.groups == 3 {
            self.inner.set_space_missing(None);
        }
    }

    fn tend(&mut self) {
        self.inner.tend();
    }

    fn set_bounds(&mut self, _: Arc<Bounds>) {}

    fn stored_bytes(&mut self, _: &AppId) -> u64 {
        0
    }

    fn health(&self) -> Health {
        let access = match self.groups {
            0..3 => Access::NoSpace {
                free_bytes: 0,
                reserve_bytes: 1,
            },
            _ => Access::Full,
        };
        Health {
            access,
            ..Health::default()
        }
    }
}
