//! Users who write attributes, their own and a channel's. With each server they begin with a client
//! that knows nothing of what was written, so that the server's memory is tested and not that of
//! the client, which would write its user's attributes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidings_client::{Attribute, AttributeError, AttributeWrite, Client, Notify};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{Run, login};

const USERS: usize = 6;
const KEY: &str = "number";
/// Written with every odd number, and taken away by every even one: the two attributes are always
/// of one write.
const MATE: &str = "mate";
const ALL: [&str; 0] = [];
/// Between two writes of one kind: the limit is 10 in 5 s, and a server of this test lives for
/// about 1 s.
const PAUSE: Duration = Duration::from_millis(100);
const FIRST_CHECK_MAX: Duration = Duration::from_secs(20);

/// What one user was told is written; 0 before the first.
#[derive(Default)]
struct Acknowledged {
    user: AtomicU64,
    channel: AtomicU64,
    /// Number of the last attempt, acknowledged or not.
    attempts: AtomicU64,
}

struct Writer {
    name: String,
    acknowledged: Arc<Acknowledged>,
    task: JoinHandle<()>,
    has_checked: watch::Receiver<bool>,
}

pub struct Writers(Vec<Writer>);

impl Writers {
    pub fn start(run: &Run) -> Self {
        let writer = |user| {
            let name = format!("writer-{user}");
            let acknowledged = Arc::default();
            Writer::start(run, name, acknowledged)
        };
        Self((0..USERS).map(writer).collect())
    }

    /// Ends their clients, as a closed browser does: the users stay for the grace of 30 s.
    pub async fn stop(&mut self) {
        for writer in &mut self.0 {
            writer.task.abort();
            if let Err(ended) = (&mut writer.task).await {
                assert!(
                    ended.is_cancelled(),
                    "{} has panicked: {ended}",
                    writer.name
                );
            }
        }
    }

    /// Begins with new clients, which compare first.
    pub fn go_on(&mut self, run: &Run) {
        for writer in &mut self.0 {
            let acknowledged = Arc::clone(&writer.acknowledged);
            *writer = Writer::start(run, writer.name.clone(), acknowledged);
        }
    }

    /// Waits until each has compared what is there with what it was told.
    pub async fn wait_for_first_check(&mut self) {
        for writer in &mut self.0 {
            let checked = timeout(FIRST_CHECK_MAX, writer.has_checked.wait_for(|is| *is)).await;
            assert!(
                matches!(checked, Ok(Ok(_))),
                "{} cannot read its attributes",
                writer.name
            );
        }
    }
}

impl Writer {
    fn start(run: &Run, name: String, acknowledged: Arc<Acknowledged>) -> Self {
        let (checked, has_checked) = watch::channel(false);
        let task = write(
            run.clone(),
            name.clone(),
            Arc::clone(&acknowledged),
            checked,
        );
        Self {
            name,
            acknowledged,
            task: tokio::spawn(task),
            has_checked,
        }
    }
}

async fn write(
    run: Run,
    name: String,
    acknowledged: Arc<Acknowledged>,
    checked: watch::Sender<bool>,
) {
    let (client, _) = run.short_lived();
    login(&client, &name).await;
    compare(&run, &client, &name, &acknowledged).await;
    checked.send_replace(true);
    let channel = client.channel(&name);
    let mut pace = interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let number = acknowledged.attempts.fetch_add(1, Ordering::SeqCst) + 1;
        let entries = || {
            let keys = [KEY, MATE].into_iter().take(1 + number as usize % 2);
            keys.map(|key| Attribute::new(key, number.to_string()))
                .collect::<Vec<_>>()
        };
        let how = match number % 2 {
            1 => AttributeWrite::Merge,
            _ => AttributeWrite::Set,
        };
        let note = |result: Result<(), AttributeError>, last: &AtomicU64| match result {
            Ok(()) => {
                last.store(number, Ordering::SeqCst);
                run.report(|report| report.written += 1);
            }
            Err(_) => run.report(|report| report.unanswered += 1),
        };
        // Noted one by one: this task may end at any await, and what was acknowledged before
        // counts.
        let to_user = async {
            let result = client.write_attributes(how, entries()).await;
            note(result, &acknowledged.user);
        };
        let to_channel = async {
            let result = channel.write_attributes(how, entries(), Notify::Members);
            note(result.await, &acknowledged.channel);
        };
        tokio::join!(to_user, to_channel);
        run.note_answer();
        pace.tick().await;
    }
}

/// Reads what is there and compares it with what was acknowledged.
async fn compare(run: &Run, client: &Client, name: &str, acknowledged: &Acknowledged) {
    let of_user = client.read_attributes(name, ALL).await;
    let of_channel = client.channel(name).read_attributes(ALL).await;
    let (Ok(of_user), Ok(of_channel)) = (of_user, of_channel) else {
        panic!("{name} is on line and cannot read its attributes");
    };
    run.report(|report| {
        let user = acknowledged.user.load(Ordering::SeqCst);
        report.compare(&format!("user {name}"), user, number(&of_user, KEY));
        let channel = acknowledged.channel.load(Ordering::SeqCst);
        report.compare(
            &format!("channel {name}"),
            channel,
            number(&of_channel, KEY),
        );
        for (owner, of) in [("user", &of_user), ("channel", &of_channel)] {
            let (of_key, of_mate) = (number(of, KEY), number(of, MATE));
            let expected = of_key.filter(|number| number % 2 == 1);
            report.hold_together(&format!("{owner} {name}"), expected, of_mate);
        }
    });
}

fn number(attributes: &[Attribute], key: &str) -> Option<u64> {
    let entry = attributes.iter().find(|entry| entry.key == key)?;
    Some(entry.value.parse().expect("a number"))
}
