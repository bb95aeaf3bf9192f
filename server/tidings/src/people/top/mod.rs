//! `tidings top`: a page on the terminal that shows a server as it is now.
//!
//! A thread of its own reads the server, so that keys are answered while the server is slow.

mod page;
mod reading;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::page::{INTERVAL_MAX, INTERVAL_MIN, Key, Page};
use self::reading::Reading;
use super::http::{Api, Trouble, path};
use super::look::text;
use super::print;
use super::reach::AppReach;
use super::shown::shown;
use crate::failure::Failure;
use crate::settings::values::Span;

/// How long keys and signals may go unseen.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Args)]
#[command(
    after_help = "Keys: q quits, p pauses, s sorts the apps by another column, + and - change how
often the server is read, arrows scroll, h explains the words.

Examples:
  tidings top
  tidings top --app Classroom
      One app only, which a key of that app may see too.
  tidings top --json --count 2 | tail -1 | jq .frames_out_rate
      What goes out in a second, for a script."
)]
pub(crate) struct TopArguments {
    /// Time between two readings, 500ms to 60s; a number without a unit is seconds
    #[arg(long, value_name = "TIME", default_value = "2s")]
    interval: Span,

    /// Print a JSON object per reading instead of a page
    #[arg(long)]
    json: bool,

    /// With --json: end after so many readings
    #[arg(long, value_name = "NUMBER", requires = "json")]
    count: Option<u64>,

    #[command(flatten)]
    reach: AppReach,
}

/// What is read, and where: the whole server, or one app.
struct Source {
    reach: AppReach,
    api: Api,
    app: Option<String>,
}

impl Source {
    /// The whole server, unless an app is named or the key is limited to one.
    fn open(reach: &AppReach) -> Result<(Self, Value), Failure> {
        let mut source = Self {
            reach: reach.clone(),
            api: reach.server.open()?.api,
            app: None,
        };
        if reach.app.is_none() {
            match source.once() {
                Err(trouble) if trouble.status == 403 => {}
                read => return Ok((source, read?)),
            }
        }
        source.app = Some(reach.open()?.app);
        let read = source.once()?;
        Ok((source, read))
    }

    fn once(&self) -> Read {
        match &self.app {
            None => self.api.get("/api/v1/stats", &[]),
            Some(app) => {
                let stats = self.api.get(&path(&["apps", app, "stats"]), &[])?;
                Ok(reading::of_app(&stats))
            }
        }
    }

    fn read(&mut self) -> Read {
        self.once().or_else(|trouble| {
            // A server on this machine has another key after a restart.
            let Ok(door) = self.reach.server.open() else {
                return Err(trouble);
            };
            self.api = door.api;
            self.once()
        })
    }

    /// The server, in words.
    fn title(&self) -> String {
        let url = shown(&self.api.target().url);
        if let Some(app) = &self.app {
            return format!("app {app} at {url}");
        }
        let node = self.api.get("/api/v1/nodes", &[]).unwrap_or_default();
        format!("{} at {url}", text(&node["items"][0], "program"))
    }
}

/// What the page's thread reads asks for.
type Read = Result<Value, Trouble>;

/// Carries out `tidings top`.
pub(crate) fn run(arguments: &TopArguments) -> Result<(), Failure> {
    let interval = arguments.interval.of(Duration::from_secs(1));
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        return Err(Failure::new(
            format!(
                "the server cannot be read every {}",
                humantime::format_duration(interval)
            ),
            "give --interval 500ms to 60s",
        ));
    }
    let has_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !arguments.json && !has_terminal {
        return Err(Failure::new(
            "the page needs a terminal, and the output or the input is none",
            "add --json to get readings as lines",
        ));
    }
    // Whatever is wrong is told before the terminal is changed.
    let (mut source, first) = Source::open(&arguments.reach)?;
    if arguments.json {
        return as_lines(arguments, &mut source, &first, interval);
    }
    let server = source.title();
    let has_colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut page = Page::new(server, interval, has_colors);
    page.read(&first);
    let is_ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // If that fails, the signal ends the program, as it would have.
        let _ = signal_hook::flag::register(signal, is_ended.clone());
    }
    let (ask, asked) = channel::<()>();
    let (tell, told) = channel::<Read>();
    std::thread::spawn(move || {
        while asked.recv().is_ok() {
            if tell.send(source.read()).is_err() {
                break;
            }
        }
    });
    let mut terminal = ratatui::try_init().map_err(|error| terminal_failed(&error))?;
    let done = show(&mut terminal, &mut page, &ask, &told, &is_ended);
    ratatui::restore();
    done
}

fn terminal_failed(error: &std::io::Error) -> Failure {
    Failure::new(
        format!("the terminal cannot be used: {error}"),
        "add --json to get readings as lines",
    )
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    page: &mut Page,
    ask: &Sender<()>,
    told: &Receiver<Read>,
    is_ended: &AtomicBool,
) -> Result<(), Failure> {
    let mut read_at = Instant::now();
    let mut is_asked = false;
    while !is_ended.load(Ordering::Relaxed) {
        terminal
            .draw(|frame| page.draw(frame))
            .map_err(|error| terminal_failed(&error))?;
        if event::poll(LOOK_EVERY).map_err(|error| terminal_failed(&error))? {
            let event = event::read().map_err(|error| terminal_failed(&error))?;
            if let Event::Key(key) = event
                && !pressed(page, key)
            {
                break;
            }
        }
        if !is_asked && !page.is_paused && read_at.elapsed() >= page.interval {
            is_asked = ask.send(()).is_ok();
            read_at = Instant::now();
        }
        match told.recv_timeout(Duration::ZERO) {
            Ok(Ok(stats)) => {
                page.read(&stats);
                is_asked = false;
            }
            Ok(Err(trouble)) if trouble.may_pass() => {
                page.fail(trouble.what());
                is_asked = false;
            }
            Ok(Err(trouble)) => return Err(trouble.into()),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
    Ok(())
}

/// Does what a key says; returns whether the page stays.
fn pressed(page: &mut Page, key: KeyEvent) -> bool {
    if key.kind == KeyEventKind::Release {
        return true;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let meant = match key.code {
        KeyCode::Char('c' | 'd') if is_control => return false,
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('p' | ' ') => Key::Pause,
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Char('h' | '?') => Key::Help,
        KeyCode::Char('+') => Key::Faster,
        KeyCode::Char('-') => Key::Slower,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return true,
    };
    page.press(meant);
    true
}

/// Readings as lines of JSON.
fn as_lines(
    arguments: &TopArguments,
    source: &mut Source,
    first: &Value,
    interval: Duration,
) -> Result<(), Failure> {
    let mut reading = Reading::new(first, None);
    let mut left = arguments.count.unwrap_or(u64::MAX);
    loop {
        print::json(&serde_json::to_value(&reading).unwrap_or_default())?;
        left = left.saturating_sub(1);
        if left == 0 {
            return Ok(());
        }
        std::thread::sleep(interval);
        let stats = source.read()?;
        reading = Reading::new(&stats, Some(&reading));
    }
}
