//! Where the log goes, and how a panic is logged.

mod lines;
mod repeats;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::{Event, Metadata};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use self::lines::{Bound, Lines, Sink};
use crate::failure::Failure;
use crate::words::nearest;

/// The target of events that matter to people who watch for abuse.
const SECURITY: &str = "tidings::security";

/// The levels, by the names that `--log` takes.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// How long the program waits at its end for a slow log.
const END_WAIT: Duration = Duration::from_secs(2);

/// How long a text for people is waited for.
const SHOW_WAIT: Duration = Duration::from_millis(500);

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// Lines meant for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What to log, and where.
pub(crate) struct Plan {
    /// A level, or a filter with targets.
    pub(crate) filter: String,
    pub(crate) form: Form,
    /// File for security events, instead of the log.
    pub(crate) security: Option<PathBuf>,
    /// Most security events logged per second.
    pub(crate) security_lines_per_s: u32,
}

/// Valid values of `--log`: a level, or a filter in which targets have levels. A single word that
/// is not a level would be taken for a target, and would switch everything off.
pub(crate) fn check_filter(filter: &str) -> Result<(), Failure> {
    const HINT: &str =
        "use error, warn, info, debug or trace, or for example info,tidings_server=debug";
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let mut parts = filter.split(',').map(str::trim);
    if let Some(wrong) = parts.find(|part| !part.contains('=') && !is_level(part)) {
        let meant = match nearest(wrong, LEVELS) {
            Some(level) => format!("did you mean {level}? {HINT}"),
            None => HINT.into(),
        };
        return Err(Failure::new(format!("{wrong:?} is not a log level"), meant));
    }
    match filter.parse::<EnvFilter>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(
            format!("the log filter {filter:?} cannot be used: {error}"),
            HINT,
        )),
    }
}

struct Log {
    form: Form,
    main: Lines,
    security: Lines,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Starts logging to the standard error stream, and security events to a file of their own if one
/// is set.
pub(crate) fn start(plan: &Plan) -> Result<(), Failure> {
    check_filter(&plan.filter)?;
    let no_thread = |error: io::Error| {
        Failure::new(
            format!("cannot start the log's thread: {error}"),
            "check the system's limits on threads",
        )
    };
    let main = Lines::start(io::stderr(), plan.form, Bound::Repeats).map_err(no_thread)?;
    let rate = Bound::All(plan.security_lines_per_s);
    let (security, security_form) = match &plan.security {
        Some(path) => {
            let file = LogFile::open(path).map_err(|error| {
                Failure::new(
                    format!("cannot write the security log {}: {error}", path.display()),
                    "give --security-log a file that the server's user may write",
                )
            })?;
            (Lines::start(file, Form::Json, rate), Form::Json)
        }
        None => (Lines::start(io::stderr(), plan.form, rate), plan.form),
    };
    let security = security.map_err(no_thread)?;
    let filter = || EnvFilter::new(&plan.filter);
    let is_security = filter_fn(|meta| meta.target() == SECURITY);
    let others = filter_fn(|meta| meta.target() != SECURITY);
    let main_layer =
        layer(plan.form, main.clone()).with_filter(filter().and(others).and(Again(main.clone())));
    let security_layer = layer(security_form, security.clone());
    let security_layer = match plan.security {
        Some(_) => security_layer
            .with_filter(LevelFilter::INFO.and(is_security))
            .boxed(),
        None => security_layer
            .with_filter(filter().and(is_security))
            .boxed(),
    };
    Registry::default()
        .with(main_layer)
        .with(security_layer)
        .init();
    let _ = LOG.set(Log {
        form: plan.form,
        main,
        security,
    });
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Reopens the security log, after it was moved away.
pub(crate) fn reopen() {
    if let Some(log) = LOG.get() {
        log.security.reopen();
    }
}

/// Whether people read the log, as opposed to programs.
pub(crate) fn is_for_people() -> bool {
    LOG.get().is_none_or(|log| log.form == Form::Text)
}

/// Shows people a text of several lines, among the lines of the log: a log that is stuck must not
/// hold up whoever shows it.
pub(crate) fn show(text: &str) {
    match LOG.get() {
        Some(log) => {
            log.main.push(format!("{text}\n").into_bytes());
            // Order: before whatever is printed next elsewhere.
            log.main.flush(SHOW_WAIT);
        }
        None => crate::output::notice(text),
    }
}

/// Waits for pending lines, but not for a reader that has stopped.
pub(crate) fn finish() {
    if let Some(log) = LOG.get() {
        log.main.finish(END_WAIT);
        log.security.finish(END_WAIT);
    }
}

/// Leaves out what one place in the code logs again and again.
struct Again(Lines);

impl<S> Filter<S> for Again {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.0.admit(event)
    }
}

fn layer<S>(form: Form, to: Lines) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(to);
    match form {
        Form::Text => lines.boxed(),
        Form::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    }
}

fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let thread = std::thread::current();
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        location,
        %backtrace,
        "panic: {}",
        panic.payload_as_str().unwrap_or("no text")
    );
}

/// Opens a file for appending, accessible to its owner only.
struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sink for LogFile {
    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_five_and_a_filter_has_targets() {
        for good in ["info", "TRACE", "info,tidings_server=debug", "tidings=off"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for (wrong, told) in [
            ("verbose", "\"verbose\" is not a log level"),
            ("warning", "did you mean warn?"),
            ("", "is not a log level"),
            ("off", "is not a log level"),
            ("info,tidings_server", "is not a log level"),
            ("tidings=loud", "cannot be used"),
        ] {
            let failure = check_filter(wrong).expect_err(wrong).to_string();
            assert!(failure.contains(told), "{failure}");
        }
    }
}
