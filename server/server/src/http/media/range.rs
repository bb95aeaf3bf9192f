//! Which part of a file is asked for. Source: RFC 9110, 14.

use std::ops::Range;

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};

/// What a download asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// A part that the file does not have.
    Nothing,
}

impl Wanted {
    /// A range that is not understood, or several of them, mean the whole file: the standard allows
    /// that.
    pub(super) fn of(headers: &HeaderMap, etag: &str, size: u64) -> Self {
        let is_other = headers.get(IF_RANGE).is_some_and(|known| known != etag);
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
        match range.and_then(|range| range.strip_prefix("bytes=")) {
            Some(range) if !is_other => parse(range, size).unwrap_or(Self::Whole),
            _ => Self::Whole,
        }
    }
}

fn parse(range: &str, size: u64) -> Option<Wanted> {
    let (first, last) = range.trim().split_once('-')?;
    let part = match (first, last) {
        ("", suffix) => size.saturating_sub(number(suffix)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..size.min(last.saturating_add(1))
        }
    };
    Some(if part.is_empty() {
        Wanted::Nothing
    } else {
        Wanted::Part(part)
    })
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let cases = [
            ("", Wanted::Whole),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-4", Wanted::Part(2..5)),
            ("bytes=8-", Wanted::Part(8..10)),
            ("bytes=8-99", Wanted::Part(8..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=x", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ];
        for (range, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range.parse().expect("a header"));
            assert_eq!(Wanted::of(&headers, "\"a\"", 10), expected, "{range}");
            headers.insert(IF_RANGE, "\"b\"".parse().expect("a header"));
            assert_eq!(Wanted::of(&headers, "\"a\"", 10), Wanted::Whole, "{range}");
        }
    }
}
