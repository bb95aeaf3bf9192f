//! The page of `tidings top`: a function of what was read and of what keys were pressed.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Sparkline, Table};

use super::reading::{App, Latency, Reading};
use crate::people::print::{at, span};

/// Rates that the plot shows at most: as many as columns of the widest terminal.
const PLOTTED_MAX: usize = 512;

/// Least time between two readings.
pub(super) const INTERVAL_MIN: Duration = Duration::from_millis(500);

/// Longest time between two readings.
pub(super) const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// What apps are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Order {
    /// Messages in a second.
    #[default]
    Rate,
    /// Messages since the start.
    Messages,
    /// The id of the app.
    Id,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Rate => Self::Messages,
            Self::Messages => Self::Id,
            Self::Id => Self::Rate,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Messages => "messages",
            Self::Id => "id",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Pause,
    Sort,
    Help,
    Up,
    Down,
    PageUp,
    PageDown,
    Faster,
    Slower,
}

/// What is shown.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The server, in words.
    server: String,
    reading: Option<Reading>,
    /// Frames to clients in a second, the newest first. Bound: `PLOTTED_MAX`.
    plotted: VecDeque<u64>,
    /// Why the last reading failed.
    trouble: Option<String>,
    order: Order,
    /// Rows of apps that are above the page.
    scrolled: usize,
    pub(super) is_paused: bool,
    has_help: bool,
    pub(super) interval: Duration,
    has_colors: bool,
}

impl Page {
    pub(super) fn new(server: String, interval: Duration, has_colors: bool) -> Self {
        Self {
            server,
            interval,
            has_colors,
            ..Self::default()
        }
    }

    /// Takes in a reading.
    pub(super) fn read(&mut self, stats: &serde_json::Value) {
        let reading = Reading::new(stats, self.reading.as_ref());
        if self.reading.is_some() {
            // A rate is not negative, and below 2^53.
            let plotted = if reading.is_of_app {
                reading.peer_message_rate + reading.channel_message_rate
            } else {
                reading.frames_out_rate
            };
            // Tenths, so that a quiet server has a plot too.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            self.plotted.push_front((plotted * 10.0) as u64);
            self.plotted.truncate(PLOTTED_MAX);
        }
        self.trouble = None;
        self.reading = Some(reading);
    }

    /// The server could not be read; what was read before stays.
    pub(super) fn fail(&mut self, what: &str) {
        self.trouble = Some(what.to_owned());
    }

    pub(super) fn press(&mut self, key: Key) {
        const ROWS: usize = 10;
        match key {
            Key::Pause => self.is_paused = !self.is_paused,
            Key::Sort => self.order = self.order.next(),
            Key::Help => self.has_help = !self.has_help,
            Key::Up => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Down => self.scrolled += 1,
            Key::PageUp => self.scrolled = self.scrolled.saturating_sub(ROWS),
            Key::PageDown => self.scrolled += ROWS,
            Key::Faster => self.interval = (self.interval / 2).max(INTERVAL_MIN),
            Key::Slower => self.interval = (self.interval * 2).min(INTERVAL_MAX),
        }
        let apps = self
            .reading
            .as_ref()
            .map_or(0, |reading| reading.apps.len());
        self.scrolled = self.scrolled.min(apps.saturating_sub(1));
    }

    fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn titles(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn alarm(&self) -> Style {
        if self.has_colors {
            self.bold().fg(Color::Red)
        } else {
            self.bold().add_modifier(Modifier::REVERSED)
        }
    }

    /// Draws the whole page.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let hubs = self
            .reading
            .as_ref()
            .map_or(0, |reading| reading.hubs.len());
        let hubs = u16::try_from(hubs)
            .unwrap_or(u16::MAX)
            .min(frame.area().height / 4);
        let is_of_app = self
            .reading
            .as_ref()
            .is_some_and(|reading| reading.is_of_app);
        // An app has no hubs of its own.
        let hubs = if is_of_app { 0 } else { hubs + 1 };
        let plot = if frame.area().height >= 20 { 3 } else { 0 };
        let areas = Layout::vertical([
            Constraint::Length(5),
            Constraint::Length(plot),
            Constraint::Length(hubs),
            Constraint::Min(2),
            Constraint::Length(1),
        ]);
        let [head, plot, hubs, apps, foot] = areas.areas(frame.area());
        self.draw_head(frame, head);
        self.draw_plot(frame, plot);
        if self.has_help {
            frame.render_widget(Paragraph::new(HELP), hubs.union(apps));
        } else {
            self.draw_hubs(frame, hubs);
            self.draw_apps(frame, apps);
        }
        self.draw_foot(frame, foot);
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut lines = vec![Line::styled(self.server.as_str(), self.bold())];
        if let Some(reading) = &self.reading {
            let up = span(Duration::from_secs(reading.uptime_s));
            let up = if reading.is_of_app {
                String::new()
            } else {
                format!("up {up}  ")
            };
            lines[0].push_span(Span::raw(format!("  {up}{}", at(reading.at_ms))));
            lines.push(Line::raw(format!(
                "{}, {} ({} legacy), {}",
                counted(reading.sessions, "session"),
                counted(reading.connections, "connection"),
                grouped(reading.legacy_connections),
                counted(reading.channels, "channel"),
            )));
            if !reading.is_of_app {
                lines.push(self.state(reading));
            }
            let frames = if reading.is_of_app {
                String::new()
            } else {
                let (received, sent) = (reading.frames_in_rate, reading.frames_out_rate);
                format!("{} in, {} out, ", rate(received), rate(sent))
            };
            lines.push(Line::raw(format!(
                "per second: {frames}{} to users, {} to channels, {} logins",
                rate(reading.peer_message_rate),
                rate(reading.channel_message_rate),
                rate(reading.login_rate),
            )));
            lines.push(self.quality(reading));
        }
        if let Some(trouble) = &self.trouble {
            lines.truncate(4);
            lines.push(Line::styled(trouble.as_str(), self.alarm()));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// Memory, cores and disk.
    fn state<'a>(&self, reading: &'a Reading) -> Line<'a> {
        let mut line = Line::raw(format!(
            "{} MiB memory, {} % of a core, {} wait, store accepts ",
            grouped(reading.memory_bytes >> 20),
            rate(reading.cpu_percent),
            counted(reading.store_queued, "write"),
        ));
        let style = if reading.store_accepts == "everything" {
            Style::new()
        } else {
            self.alarm()
        };
        line.push_span(Span::styled(reading.store_accepts.as_str(), style));
        if reading.silent_hubs > 0 {
            let text = format!(
                "  {} without an answer",
                counted(reading.silent_hubs, "hub")
            );
            line.push_span(Span::styled(text, self.alarm()));
        }
        line
    }

    /// What is slow, refused or missing.
    fn quality(&self, reading: &Reading) -> Line<'static> {
        let mut line = Line::default();
        if !reading.is_of_app {
            line.push_span(Span::raw(format!(
                "ms p50/p99: answer {}, write {}, disk {}  ",
                latency(reading.answer_ms),
                latency(reading.write_ms),
                latency(reading.disk_ms),
            )));
        }
        let by = match &reading.refused_by {
            Some(limit) => format!("{} refused/s ({limit})", rate(reading.refused_rate)),
            None => "0 refused/s".into(),
        };
        line.push_span(Span::raw(by));
        if reading.gap_rate > 0.0 {
            let text = format!("  {} gaps/s", rate(reading.gap_rate));
            line.push_span(Span::styled(text, self.alarm()));
        }
        line
    }

    fn draw_plot(&self, frame: &mut Frame<'_>, area: Rect) {
        let newest_last: Vec<u64> = {
            let shown = self.plotted.iter().take(usize::from(area.width));
            let mut shown: Vec<u64> = shown.copied().collect();
            shown.reverse();
            shown
        };
        frame.render_widget(Sparkline::default().data(&newest_last), area);
    }

    fn draw_hubs(&self, frame: &mut Frame<'_>, area: Rect) {
        let hubs = self.reading.iter().flat_map(|reading| &reading.hubs);
        let rows = hubs.map(|hub| {
            numbers(
                hub.hub.to_string(),
                [
                    grouped(hub.sessions),
                    grouped(hub.connections),
                    grouped(hub.channels),
                    rate(hub.frames_in_rate),
                    rate(hub.frames_out_rate),
                    format!("{} ms", grouped(hub.longest_turn_ms)),
                    bytes(hub.unconfirmed_bytes),
                ],
            )
        });
        let titles = [
            "sessions", "connects", "channels", "in/s", "out/s", "turn", "unread",
        ];
        let titles = numbers("hub".into(), titles.map(str::to_owned));
        let widths = [4, 9, 9, 9, 9, 9, 9, 9].map(Constraint::Length);
        let table = Table::new(rows, widths).header(titles.style(self.titles()));
        frame.render_widget(table, area);
    }

    fn draw_apps(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut apps: Vec<&App> = self
            .reading
            .iter()
            .flat_map(|reading| &reading.apps)
            .collect();
        match self.order {
            Order::Rate => apps.sort_by(|one, other| other.rate().total_cmp(&one.rate())),
            Order::Messages => apps.sort_by_key(|app| std::cmp::Reverse(app.messages)),
            Order::Id => apps.sort_by(|one, other| one.app.cmp(&other.app)),
        }
        let rows = apps.iter().skip(self.scrolled).map(|app| {
            let name = if app.app.is_empty() {
                "all others"
            } else {
                &app.app
            };
            numbers(
                name.to_owned(),
                [
                    rate(app.peer_message_rate),
                    rate(app.channel_message_rate),
                    rate(app.login_rate),
                    grouped(app.messages),
                ],
            )
        });
        let titles = ["users/s", "chans/s", "logins/s", "messages"];
        let titles = numbers("app".into(), titles.map(str::to_owned));
        let widths = [32, 9, 9, 9, 13].map(Constraint::Length);
        let table = Table::new(rows, widths).header(titles.style(self.titles()));
        frame.render_widget(table, area);
    }

    fn draw_foot(&self, frame: &mut Frame<'_>, area: Rect) {
        let every = humantime::format_duration(self.interval);
        let state = if self.is_paused { "paused" } else { "every" };
        let text = format!(
            "q quit  p pause  s sort: {}  +/- {state} {every}  arrows scroll  h help",
            self.order.name()
        );
        frame.render_widget(Paragraph::new(text).style(self.titles()), area);
    }
}

/// What the words mean.
const HELP: &str = "\
in, out    frames from and to clients in a second; a message to a channel goes
           out once for each member
answer     from a request to its answer; half of them, nearly all
write      from a message's arrival to its last write; disk: one commit
turn       longest time between two waits of the hub's loop since the start
unread     kept for clients that have not confirmed it yet
users/s    messages to users, chans/s messages to channels
plot       frames to clients in a second, the newest at the right

q, Esc, Ctrl-C quit      p, space pause      s sort apps by another column
+ and - read more or less often      arrows, page keys scroll the apps
h closes this help";

/// A row whose cells but the first are numbers.
fn numbers<const N: usize>(first: String, cells: [String; N]) -> Row<'static> {
    let numbers = cells.map(|cell| Line::from(cell).right_aligned());
    let first = std::iter::once(Line::from(first));
    Row::new(first.chain(numbers))
}

/// A number with its noun.
fn counted(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", grouped(number))
}

/// A latency in milliseconds, half and nearly all of what was measured; nothing was: a dash.
fn latency(latency: Option<Latency>) -> String {
    let one = |ms: Option<f64>| match ms {
        None => "long".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    };
    match latency {
        None => "-".into(),
        Some(latency) => format!("{}/{}", one(latency.p50), one(latency.p99)),
    }
}

/// A number with its digits in groups.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate, with a digit behind the point where it is small.
fn rate(rate: f64) -> String {
    if rate > 0.0 && rate < 10.0 {
        format!("{rate:.1}")
    } else {
        // A rate is not negative, and below 2^53.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        grouped(rate.round() as u64)
    }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", grouped(bytes >> 20)),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::reading::tests::stats;
    use super::*;

    /// The lines of the page on a terminal of this size.
    fn drawn(page: &Page, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| page.draw(frame)).expect("drawn");
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        let row =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect();
        rows.map(row).collect()
    }

    fn page() -> Page {
        let mut page = Page::new("tidings".into(), Duration::from_secs(2), false);
        page.read(&stats(1_000, 10, 100));
        page.read(&stats(3_000, 12, 300));
        page
    }

    #[test]
    fn a_page_shows_the_server_its_hubs_and_its_apps() {
        let lines = drawn(&page(), 80, 24);
        let all = lines.join("\n");
        for told in [
            "7 sessions, 8 connections (1 legacy), 2 channels",
            "64 MiB memory, 25 % of a core, 1 write wait, store accepts everything",
            "ms p50/p99: answer 1.0/4.0, write -, disk -  200 refused/s (message)",
            "per second: 100 in, 1,000 out, 100 to users, 200 to channels, 0 logins",
            "a\\u{1b}b",
            "q quit",
        ] {
            assert!(all.contains(told), "{told}:\n{all}");
        }
    }

    #[test]
    fn any_size_can_be_drawn() {
        let mut page = page();
        for (width, height) in [(1, 1), (20, 5), (80, 8), (300, 100)] {
            drawn(&page, width, height);
            page.press(Key::Help);
            drawn(&page, width, height);
        }
        drawn(&Page::new("tidings".into(), Duration::ZERO, true), 80, 24);
    }

    #[test]
    fn keys_change_what_they_say_and_nothing_runs_away() {
        let mut page = page();
        for _ in 0..100 {
            page.press(Key::Down);
            page.press(Key::PageDown);
            page.press(Key::Slower);
        }
        assert_eq!((page.scrolled, page.interval), (0, INTERVAL_MAX));
        for _ in 0..100 {
            page.press(Key::Faster);
        }
        assert_eq!(page.interval, INTERVAL_MIN);
        page.press(Key::Sort);
        assert!(drawn(&page, 80, 24).join("\n").contains("s sort: messages"));
        page.press(Key::Help);
        assert!(
            drawn(&page, 80, 24)
                .join("\n")
                .contains("h closes this help")
        );
        page.fail("no answer");
        assert!(drawn(&page, 80, 24).join("\n").contains("no answer"));
    }

    #[test]
    fn numbers_are_read_easily() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(2.54), "2.5");
        assert_eq!(rate(1_234.5), "1,235");
        assert_eq!(bytes(20 << 20), "20 MiB");
    }
}
