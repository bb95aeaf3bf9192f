//! Text of strangers on a terminal.
//!
//! Users choose their ids and what they write. A terminal would carry out control characters and
//! escapes in them, and show text in another order, or none at all, for others; all these are shown
//! as what they are.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

/// The text with everything escaped that would not be shown as a character of its own.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if is_hidden(char) => {
                let _ = write!(out, "{}", char.escape_unicode());
            }
            char => out.push(char),
        }
    }
    out
}

/// Whether a character is not seen, or changes how others are: controls, marks and overrides of
/// direction, joiners, separators of lines, variation selectors and tags, and what is not assigned
/// to anybody.
pub(crate) fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{10ffff}')
}

/// How many columns a terminal needs for it.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// The text in a field of so many columns: filled up with spaces, or cut, which an ellipsis shows.
pub(crate) fn field(text: &str, width: usize) -> String {
    let text = fitted(text, width);
    let spaces = width.saturating_sub(columns(&text));
    format!("{text}{:spaces$}", "")
}

/// The text, cut to so many columns.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut out = String::new();
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        // One column is the ellipsis's.
        if used >= width {
            break;
        }
        out.push(char);
    }
    out + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let name = "a\u{1b}[31mb\u{202e}c\u{9b}2J\u{7}\n\\d\u{200b}\u{feff}é語";
        let safe = shown(name);
        assert_eq!(
            safe,
            "a\\u{1b}[31mb\\u{202e}c\\u{9b}2J\\u{7}\\n\\\\d\\u{200b}\\u{feff}é語"
        );
        assert!(!safe.chars().any(is_hidden));
    }

    #[test]
    fn a_field_has_its_width_in_columns() {
        assert_eq!(field("ab", 4), "ab  ");
        assert_eq!(field("abcdef", 4), "abc…");
        // Each of these has two columns.
        assert_eq!(field("語語語", 4), "語… ");
        assert_eq!(columns(&field("語語語", 4)), 4);
        assert_eq!(fitted("abcdef", 0), "…");
    }
}
