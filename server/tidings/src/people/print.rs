//! Output of the commands for people: lines as they come, tables, times.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::shown::{columns, field, fitted, is_hidden};
use crate::failure::Failure;
use crate::output;

/// Width of a terminal that does not tell its own.
const COLUMNS: usize = 80;

/// Narrowest terminal that a table is fitted to.
const COLUMNS_MIN: usize = 40;

/// Writes a line.
///
/// # Errors
/// It cannot be written. If nobody reads any more, the failure is [`Failure::gone`], which ends a
/// command silently.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(format!("{text}\n").as_bytes());
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::gone()),
        written => output::told(written),
    }
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// As for [`line`].
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(&json_text(value))
}

/// A value as JSON without a character that a terminal would obey or hide: these are escaped, which
/// changes nothing for a program.
fn json_text(value: &Value) -> String {
    let mut out = String::new();
    for char in value.to_string().chars() {
        if is_hidden(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                out += &format!("\\u{unit:04x}");
            }
        } else {
            out.push(char);
        }
    }
    out
}

/// Whether people see the output.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Columns of the terminal; `None` = the output goes elsewhere.
fn terminal_columns() -> Option<usize> {
    let size = is_terminal().then(|| rustix::termios::tcgetwinsize(io::stdout()));
    let size = size?.map_or(0, |size| usize::from(size.ws_col));
    Some(if size == 0 {
        COLUMNS
    } else {
        size.max(COLUMNS_MIN)
    })
}

/// A table whose rows are written as they come.
///
/// On a terminal, cells are cut so that a row is a line of at most its width; elsewhere nothing is
/// cut, since programs and searches want the whole.
pub(crate) struct Table {
    /// The columns' titles and least widths; the last takes what is left.
    columns: Vec<(&'static str, usize)>,
    terminal: Option<usize>,
    has_begun: bool,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, usize)]) -> Self {
        let terminal = terminal_columns();
        let mut columns = columns.to_vec();
        // A wide terminal has room for longer names, which come first.
        let wider = terminal.unwrap_or(COLUMNS).saturating_sub(COLUMNS);
        if let Some((_, width)) = columns.first_mut() {
            *width += wider / 2;
        }
        Self {
            columns,
            terminal,
            has_begun: false,
        }
    }

    /// Writes a row, and the titles before the first. The cells are safe to be shown.
    ///
    /// # Errors
    /// As for [`line`].
    pub(crate) fn row(&mut self, cells: &[String]) -> Result<(), Failure> {
        if !self.has_begun {
            self.has_begun = true;
            let titles: Vec<_> = self
                .columns
                .iter()
                .map(|(title, _)| (*title).into())
                .collect();
            line(&self.written(&titles))?;
        }
        line(&self.written(cells))
    }

    fn written(&self, cells: &[String]) -> String {
        let mut row = String::new();
        for (at, (cell, (_, width))) in cells.iter().zip(&self.columns).enumerate() {
            let is_last = at + 1 == self.columns.len();
            if at > 0 {
                row += "  ";
            }
            match self.terminal {
                Some(all) if is_last => row += &fitted(cell, all.saturating_sub(columns(&row))),
                Some(_) => row += &field(cell, *width),
                None => {
                    row += cell;
                    let spaces = if is_last {
                        0
                    } else {
                        width.saturating_sub(columns(cell))
                    };
                    row += &" ".repeat(spaces);
                }
            }
        }
        row.truncate(row.trim_end().len());
        row
    }
}

/// Unix milliseconds now.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// How long ago a moment is, in at most six characters: `5s`, `12m`, `3h12m`, `4d`.
pub(crate) fn ago(then_ms: u64, now_ms: u64) -> String {
    span(Duration::from_millis(now_ms.saturating_sub(then_ms)))
}

/// A span, in at most six characters for 27 years.
pub(crate) fn span(span: Duration) -> String {
    let s = span.as_secs();
    let (m, h, d) = (s / 60, s / 3_600, s / 86_400);
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{m}m"),
        3_600..86_400 => format!("{h}h{:02}m", m % 60),
        86_400..864_000 => format!("{d}d{:02}h", h % 24),
        _ => format!("{d}d"),
    }
}

/// A moment in UTC, to the second.
pub(crate) fn at(unix_ms: u64) -> String {
    moment(unix_ms).map_or_else(
        || format!("{unix_ms} ms"),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

/// Month, day and time in UTC, to the millisecond: 18 characters.
pub(crate) fn at_millis(unix_ms: u64) -> String {
    let text = moment(unix_ms).map(|time| humantime::format_rfc3339_millis(time).to_string());
    match text.as_ref().and_then(|text| text.get(5..23)) {
        Some(text) => text.replace('T', " "),
        None => format!("{unix_ms} ms"),
    }
}

fn moment(unix_ms: u64) -> Option<SystemTime> {
    /// The year 10000, which the format cannot write.
    const END_MS: u64 = 253_402_300_800_000;
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    time.filter(|_| unix_ms < END_MS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_on_a_terminal_is_harmless_and_the_same_for_a_program() {
        let value = json!({ "user": "a\u{1b}[2J\u{9b}\u{202e}\u{e0041}é\\\"" });
        let text = json_text(&value);
        assert!(!text.chars().any(is_hidden), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn times_are_short() {
        for (seconds, told) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m"),
            (3_660, "1h01m"),
            (90_000, "1d01h"),
            (864_000, "10d"),
        ] {
            assert_eq!(ago(0, seconds * 1_000), told);
        }
        assert_eq!(ago(5, 0), "0s");
        assert_eq!(at_millis(1_700_000_000_123), "11-14 22:13:20.123");
        assert_eq!(at_millis(u64::MAX), format!("{} ms", u64::MAX));
    }

    #[test]
    fn a_row_fits_a_terminal_and_is_whole_elsewhere() {
        let mut table = Table {
            columns: vec![("name", 5), ("rest", 4)],
            terminal: Some(12),
            has_begun: true,
        };
        let cells = ["語語語語".to_owned(), "abcdefgh".to_owned()];
        let row = table.written(&cells);
        assert_eq!(row, "語語…  abcd…");
        assert_eq!(columns(&row), 12);
        table.terminal = None;
        assert_eq!(table.written(&cells), "語語語語  abcdefgh");
    }
}
