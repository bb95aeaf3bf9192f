//! Writes log lines on a thread of its own: when writing fails or stalls, lines are lost and
//! counted, but nobody waits.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Event;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::Form;
use super::repeats::{Repeats, Report};

/// Most lines that wait. Bound: this many, and [`BYTES_MAX`]; more are lost.
const LINES_MAX: usize = 8_192;

/// Most bytes of waiting lines.
const BYTES_MAX: usize = 4 << 20;

/// How long a thread that logs an error waits for it to be written, so that a process that dies of
/// the error has logged it. After a wait in vain, nobody waits until something has been written
/// again.
const ERROR_WAIT: Duration = Duration::from_millis(100);

/// How often to report lost lines while there are no others to write.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// Wait before retrying a descriptor that accepts nothing at the moment.
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// The destination of lines.
pub(super) trait Sink: Write + Send {
    /// Reopens the destination, for a file that was moved away.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for io::Stderr {}

/// What bounds the rate of lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// All lines together, per second.
    All(u32),
    /// Lines of one place in the code.
    Repeats,
}

/// Takes log lines. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Signals that there is work.
    changed: Condvar,
    /// Signals that everything has been written, or lost.
    idle: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread is writing a line that it has taken out.
    is_writing: bool,
    /// A wait for the thread was in vain, and nothing has been written since.
    is_stuck: bool,
    must_reopen: bool,
    /// Lines lost since the last report.
    lost: u64,
    /// Why the most recent one was lost.
    reason: String,
    budget: Option<Budget>,
    /// Lines of one place that come again and again.
    repeats: Option<Repeats>,
    /// The program ends: what would be told later is told now.
    is_ending: bool,
}

/// How many lines are allowed.
struct Budget {
    lines_per_s: u32,
    left: f64,
    filled_at: Instant,
    /// Lines above the rate since the last report.
    suppressed: u64,
}

impl Budget {
    /// A burst may have this many seconds' worth of lines.
    const BURST_S: f64 = 10.0;

    fn new(lines_per_s: u32) -> Self {
        Self {
            lines_per_s,
            left: f64::from(lines_per_s) * Self::BURST_S,
            filled_at: Instant::now(),
            suppressed: 0,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let rate = f64::from(self.lines_per_s);
        let passed = now.saturating_duration_since(self.filled_at);
        self.filled_at = now;
        self.left = (self.left + passed.as_secs_f64() * rate).min(rate * Self::BURST_S);
        let may_pass = self.left >= 1.0;
        if may_pass {
            self.left -= 1.0
        } else {
            self.suppressed += 1
        }
        may_pass
    }
}

impl Lines {
    /// Starts the thread. `bound` bounds the rate of lines.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub(super) fn start(sink: impl Sink + 'static, form: Form, bound: Bound) -> io::Result<Self> {
        let mut queue = Queue::default();
        match bound {
            Bound::All(lines_per_s) => queue.budget = Some(Budget::new(lines_per_s)),
            Bound::Repeats => queue.repeats = Some(Repeats::new(Instant::now())),
        }
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            idle: Condvar::new(),
        });
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || Thread::new(sink, form, theirs).run())?;
        Ok(Self { shared })
    }

    /// Waits until everything has been written, but not longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut queue = self.shared.lock();
        while !queue.is_stuck && queue.has_work() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue.is_stuck = true;
                break;
            }
            let waited = self.shared.idle.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Tells what would be told later, and waits as [`Lines::flush`] does.
    pub(super) fn finish(&self, limit: Duration) {
        self.shared.lock().is_ending = true;
        self.shared.changed.notify_one();
        self.flush(limit);
    }

    /// Whether an event is to be written: not if its place in the code has logged too often.
    pub(super) fn admit(&self, event: &Event<'_>) -> bool {
        let mut queue = self.shared.lock();
        let Some(repeats) = &mut queue.repeats else {
            return true;
        };
        let had_news = repeats.has_news();
        let is_admitted = repeats.admit(event, Instant::now());
        let is_news = repeats.has_news() && !had_news;
        drop(queue);
        if is_news {
            self.shared.changed.notify_one();
        }
        is_admitted
    }

    /// Reopens the destination before the next line.
    pub(super) fn reopen(&self) {
        self.shared.lock().must_reopen = true;
        self.shared.changed.notify_one();
    }

    pub(super) fn push(&self, line: Vec<u8>) {
        let mut queue = self.shared.lock();
        if let Some(budget) = &mut queue.budget
            && !budget.take(Instant::now())
        {
            return;
        }
        if queue.lines.len() >= LINES_MAX || queue.bytes + line.len() > BYTES_MAX {
            queue.lost += 1;
            queue.reason = "whoever reads the log is too slow".into();
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line);
        drop(queue);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// No code can panic while it holds the lock, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line while it is being formatted.
pub(super) struct Line<'a> {
    lines: &'a Lines,
    text: Vec<u8>,
    is_error: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.lines.push(one_line(std::mem::take(&mut self.text)));
        if self.is_error {
            self.lines.flush(ERROR_WAIT);
        }
    }
}

/// An event is one line, whatever its texts hold: some are from strangers, who must not be able to
/// add lines, or to write to somebody's terminal.
fn one_line(text: Vec<u8>) -> Vec<u8> {
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let (inner, end) = match text.split_last() {
        Some((b'\n', inner)) => (inner, &b"\n"[..]),
        _ => (&text[..], &b""[..]),
    };
    if !inner.iter().any(is_control) {
        return text;
    }
    let mut line = Vec::with_capacity(text.len() + 16);
    for byte in inner {
        if is_control(byte) {
            line.extend(byte.escape_ascii());
        } else {
            line.push(*byte);
        }
    }
    line.extend_from_slice(end);
    line
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            text: Vec::with_capacity(256),
            is_error: false,
        }
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Line<'a> {
        let mut line = self.make_writer();
        line.is_error = *meta.level() == tracing::Level::ERROR;
        line
    }
}

struct Thread<S> {
    sink: S,
    form: Form,
    shared: Arc<Shared>,
    /// The last write stopped in the middle of a line.
    is_mid_line: bool,
}

impl<S: Sink> Thread<S> {
    fn new(sink: S, form: Form, shared: Arc<Shared>) -> Self {
        Self {
            sink,
            form,
            shared,
            is_mid_line: false,
        }
    }

    fn run(mut self) {
        loop {
            let (line, notices, must_reopen) = self.next();
            if must_reopen && let Err(error) = self.sink.reopen() {
                self.lose(0, &error);
            }
            for notice in notices {
                let (text, on_failure) = notice.line(self.form);
                if let Err(error) = self.write(text.as_bytes()) {
                    self.give_back(&on_failure, &error);
                }
            }
            if let Some(line) = line
                && let Err(error) = self.write(&line)
            {
                self.lose(1, &error);
            }
            let mut queue = self.shared.lock();
            queue.is_writing = false;
            if !queue.has_work() {
                self.shared.idle.notify_all();
            }
        }
    }

    /// Waits for a line, and for notices that must precede it.
    fn next(&self) -> (Option<Vec<u8>>, Vec<Notice>, bool) {
        let mut queue = self.shared.lock();
        loop {
            let suppressed = queue.budget.as_ref().map_or(0, |budget| budget.suppressed);
            let has_news = queue.lost > 0 || suppressed > 0 || queue.has_repeats();
            let is_idle = queue.lines.is_empty()
                && !queue.must_reopen
                && !(queue.is_ending && queue.has_repeats());
            let (next, has_waited) = if !is_idle {
                (queue, true)
            } else if has_news {
                let waited = self.shared.changed.wait_timeout(queue, NOTICE_INTERVAL);
                let (queue, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                (queue, timeout.timed_out())
            } else {
                let waited = self.shared.changed.wait(queue);
                (waited.unwrap_or_else(PoisonError::into_inner), false)
            };
            queue = next;
            if !has_waited {
                continue;
            }
            queue.is_writing = true;
            let line = queue.lines.pop_front();
            queue.bytes -= line.as_ref().map_or(0, Vec::len);
            let must_reopen = std::mem::take(&mut queue.must_reopen);
            return (line, queue.notices(), must_reopen);
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_mid_line {
            self.write_all(b"\n")?;
            self.is_mid_line = false;
        }
        self.write_all(line)?;
        self.is_mid_line = false;
        self.shared.lock().is_stuck = false;
        Ok(())
    }

    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = &rest[count..];
                    self.is_mid_line = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(BUSY_WAIT)
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn lose(&self, lines: u64, error: &io::Error) {
        let mut queue = self.shared.lock();
        queue.lost += lines;
        queue.reason = error.to_string();
    }

    /// What could not be reported is reported later.
    fn give_back(&self, notice: &Notice, error: &io::Error) {
        let mut queue = self.shared.lock();
        match notice {
            Notice::Lost { lines, .. } | Notice::Repeated(Report { lines, .. }) => {
                queue.lost += lines;
                queue.reason = error.to_string();
            }
            Notice::Suppressed { lines } => {
                if let Some(budget) = &mut queue.budget {
                    budget.suppressed += lines;
                }
            }
        }
    }
}

/// What the writer has to report about itself.
#[derive(Clone)]
enum Notice {
    Lost { lines: u64, reason: String },
    Suppressed { lines: u64 },
    Repeated(Report),
}

impl Queue {
    /// Whether something is being written, or has to be.
    fn has_work(&self) -> bool {
        self.is_writing || !self.lines.is_empty() || self.is_ending && self.has_repeats()
    }

    fn has_repeats(&self) -> bool {
        self.repeats.as_ref().is_some_and(Repeats::has_news)
    }

    fn notices(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        let lines = std::mem::take(&mut self.lost);
        if lines > 0 {
            let reason = std::mem::take(&mut self.reason);
            notices.push(Notice::Lost { lines, reason });
        }
        if let Some(budget) = &mut self.budget {
            let lines = std::mem::take(&mut budget.suppressed);
            if lines > 0 {
                notices.push(Notice::Suppressed { lines });
            }
        }
        if let Some(repeats) = &mut self.repeats {
            let reports = repeats.take(Instant::now(), self.is_ending);
            notices.extend(reports.into_iter().map(Notice::Repeated));
        }
        notices
    }
}

impl Notice {
    /// The notice as a line, and the notice itself in case it cannot be written.
    fn line(self, form: Form) -> (String, Self) {
        let mut time = String::new();
        // The time is always included.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let text = match (&self, form) {
            (Self::Lost { lines, reason }, Form::Text) => {
                format!(
                    "{time}  WARN tidings::log: log lines were lost lines={lines} reason={reason:?}\n"
                )
            }
            (Self::Lost { lines, reason }, Form::Json) => {
                let line = serde_json::json!({
                    "timestamp": time, "level": "WARN", "target": "tidings::log",
                    "message": "log lines were lost", "lines": lines, "reason": reason,
                });
                format!("{line}\n")
            }
            (Self::Suppressed { lines }, Form::Text) => {
                format!(
                    "{time}  WARN tidings::security: events above the rate were not logged event=\"suppressed\" lines={lines}\n"
                )
            }
            (Self::Suppressed { lines }, Form::Json) => {
                let line = serde_json::json!({
                    "timestamp": time, "level": "WARN", "target": "tidings::security",
                    "message": "events above the rate were not logged", "event": "suppressed", "lines": lines,
                });
                format!("{line}\n")
            }
            (Self::Repeated(report), Form::Text) => {
                let Report {
                    lines,
                    message,
                    target,
                } = report;
                format!(
                    "{time}  WARN tidings::log: further lines like one before were not written lines={lines} of={message:?} from={target:?}\n"
                )
            }
            (Self::Repeated(report), Form::Json) => {
                let line = serde_json::json!({
                    "timestamp": time, "level": "WARN", "target": "tidings::log",
                    "message": "further lines like one before were not written",
                    "lines": report.lines, "of": report.message, "from": report.target,
                });
                format!("{line}\n")
            }
        };
        (text, self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A sink that a test opens and closes.
    struct Gate {
        out: SyncSender<String>,
        broken: Arc<Mutex<Option<ErrorKind>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = *self.broken.lock().expect("nobody panicked") {
                return Err(kind.into());
            }
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            // Blocks while nobody reads, as a pipe does.
            let sent = self.out.send(text);
            sent.map(|()| bytes.len())
                .map_err(|_| ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Gate {}

    fn gate(bound: Bound) -> (Lines, Receiver<String>, Arc<Mutex<Option<ErrorKind>>>) {
        let (out, seen) = sync_channel(1);
        let broken = Arc::new(Mutex::new(None));
        let sink = Gate {
            out,
            broken: broken.clone(),
        };
        let lines = Lines::start(sink, Form::Text, bound).expect("a thread");
        (lines, seen, broken)
    }

    fn next(seen: &Receiver<String>) -> String {
        seen.recv_timeout(Duration::from_secs(20)).expect("a line")
    }

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        for (text, line) in [
            ("plain \u{fc}\t1\n", "plain \u{fc}\t1\n"),
            ("no end", "no end"),
            ("one\ntwo\r\n\n", "one\\ntwo\\r\\n\n"),
            ("\u{1b}[31mred\u{7f}\n", "\\x1b[31mred\\x7f\n"),
            ("\n", "\n"),
            ("", ""),
        ] {
            assert_eq!(one_line(text.into()), line.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_nobody_waits() {
        let (lines, seen, _) = gate(Bound::Repeats);
        let begin = Instant::now();
        let count = LINES_MAX as u64 + 500;
        for number in 0..count {
            lines.push(format!("{number}\n").into_bytes());
        }
        // Errors wait once, not each time.
        for _ in 0..100 {
            drop(Line {
                lines: &lines,
                text: b"error\n".to_vec(),
                is_error: true,
            });
        }
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "{:?}",
            begin.elapsed()
        );
        let (mut written, mut lost) = (0, 0);
        while written + lost < count + 100 {
            let line = next(&seen);
            match line.split_once("lines=") {
                Some((_, rest)) => {
                    assert!(line.contains("too slow"), "{line}");
                    let number = rest.split(' ').next().and_then(|word| word.parse().ok());
                    lost += number.unwrap_or(0_u64);
                }
                None => written += 1,
            }
        }
        assert!(lost >= 500, "{lost}");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_when_it_can() {
        let (lines, seen, broken) = gate(Bound::Repeats);
        lines.push(b"one\n".to_vec());
        assert_eq!(next(&seen), "one\n");
        *broken.lock().expect("nobody panicked") = Some(ErrorKind::StorageFull);
        lines.push(b"two\n".to_vec());
        lines.push(b"three\n".to_vec());
        lines.flush(Duration::from_secs(20));
        *broken.lock().expect("nobody panicked") = None;
        // Even if there is nothing else to write.
        let told = next(&seen);
        assert!(
            told.contains("lines=2") && told.contains("no storage space"),
            "{told}"
        );
        lines.push(b"four\n".to_vec());
        assert_eq!(next(&seen), "four\n");
    }

    #[test]
    fn a_budget_is_kept_and_what_is_above_it_counted() {
        let (lines, seen, _) = gate(Bound::All(1));
        for number in 0..30 {
            lines.push(format!("{number}\n").into_bytes());
        }
        let mut passed = 0;
        let told = loop {
            let line = next(&seen);
            if line.contains("suppressed") {
                break line;
            } else {
                passed += 1
            }
        };
        let suppressed = told.split("lines=").nth(1).map(str::trim);
        let suppressed: u64 = suppressed.and_then(|text| text.parse().ok()).expect(&told);
        assert!(suppressed >= 15, "{told}");
        assert!(passed <= 15, "{passed}");
    }
}
