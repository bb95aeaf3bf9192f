//! The id of a request: taken from its caller, or made.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderValue};
use smol_str::{SmolStr, format_smolstr};

/// The header that states it, in requests and answers.
pub(crate) const HEADER: &str = "x-request-id";

/// The longest that is taken.
const BYTES_MAX: usize = 64;

/// Names one request in answers and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(SmolStr);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a header.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// Makes ids that look like those of the hosted service: digits, no two equal in a process's life.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// Where this process began: random.
    start: u64,
    made: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(start: u64) -> Self {
        Self {
            start,
            made: AtomicU64::new(0),
        }
    }

    /// The caller's, if it is 1 to 64 letters, digits, `-`, `_`, `.` or `:`; else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        let stated = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        match stated {
            Some(id) if (1..=BYTES_MAX).contains(&id.len()) && id.bytes().all(is_plain) => {
                RequestId(SmolStr::new(id))
            }
            _ => self.make(),
        }
    }

    fn make(&self) -> RequestId {
        let count = self.made.fetch_add(1, Ordering::Relaxed);
        // A bijection, so that different counts give different ids.
        let mixed = (self.start ^ count).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        RequestId(format_smolstr!("{mixed}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_id_is_taken_and_any_other_replaced() {
        let ids = RequestIds::new(7);
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(text.as_bytes()).expect("a value");
            headers.insert(HEADER, value);
            ids.of(&headers)
        };
        assert_eq!(of("order-17_a.b:c").as_str(), "order-17_a.b:c");
        for wrong in ["", "a b", "a\"b", "é", &"a".repeat(65)] {
            assert_ne!(of(wrong).as_str(), wrong);
        }
        let made = of("");
        assert_ne!(made, of(""));
        assert!(made.as_str().bytes().all(|byte| byte.is_ascii_digit()));
    }
}
