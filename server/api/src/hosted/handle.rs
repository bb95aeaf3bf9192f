//! The handle of a query of the history: the query itself, authenticated. Source: rest 11.2.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tidings_wire::names::AppId;

/// How long a handle is good, in milliseconds. Source: rest 11.2.
const LIFE_MS: u64 = 600_000;

/// Bytes of the authentication of a handle.
const TAG_BYTES: usize = 16;

/// What a query is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) source: Option<String>,
    pub(super) destination: Option<String>,
    /// Unix milliseconds; both ends are part of the span.
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) offset: u64,
    pub(super) limit: u64,
    pub(super) is_descending: bool,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    wanted: Wanted,
    made_ms: u64,
}

/// Makes a handle.
pub(super) fn seal(key: &[u8; 32], app: &AppId, wanted: &Wanted, now_ms: u64) -> String {
    let sealed = Sealed {
        wanted: wanted.clone(),
        made_ms: now_ms,
    };
    let mut bytes = serde_json::to_vec(&sealed).unwrap_or_default();
    let tag = mac(key, app, &bytes).finalize().into_bytes();
    bytes.splice(..0, tag[..TAG_BYTES].iter().copied());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a handle; `None` = it is another app's, another server's, or has lapsed.
pub(super) fn open(key: &[u8; 32], app: &AppId, handle: &str, now_ms: u64) -> Option<Wanted> {
    let bytes = URL_SAFE_NO_PAD.decode(handle).ok()?;
    let (tag, bytes) = bytes.split_at_checked(TAG_BYTES)?;
    mac(key, app, bytes).verify_truncated_left(tag).ok()?;
    let sealed: Sealed = serde_json::from_slice(bytes).ok()?;
    (now_ms < sealed.made_ms.saturating_add(LIFE_MS)).then_some(sealed.wanted)
}

fn mac(key: &[u8; 32], app: &AppId, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is taken");
    mac.update(app.as_str().as_bytes());
    mac.update(bytes);
    mac
}

/// A time as callers write it: with `Z` or an offset, with or without a fraction.
pub(super) fn unix_ms_of(text: &str) -> Option<u64> {
    let (time, offset_min) = match text.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let at = text.len().checked_sub(6)?;
            let (time, offset) = text.split_at_checked(at)?;
            (time, offset_of(offset)?)
        }
    };
    let time = humantime::parse_rfc3339(&format!("{time}Z")).ok()?;
    let time = time.duration_since(UNIX_EPOCH).ok()?;
    let offset = Duration::from_secs(60 * offset_min.unsigned_abs());
    let time = if offset_min > 0 {
        time.checked_sub(offset)?
    } else {
        time.checked_add(offset)?
    };
    u64::try_from(time.as_millis()).ok()
}

/// `+hh:mm` or `-hh:mm` in minutes.
fn offset_of(text: &str) -> Option<i64> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let is_two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !is_two_digits(hours) || !is_two_digits(minutes) {
        return None;
    }
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    match sign {
        "+" => Some(minutes),
        "-" => Some(-minutes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_for_its_app_and_for_ten_minutes() {
        let app = |letter: &str| AppId::parse(&letter.repeat(32)).expect("an app id");
        let wanted = Wanted {
            source: Some("alice".into()),
            destination: None,
            from_ms: 1,
            to_ms: 2,
            offset: 0,
            limit: 20,
            is_descending: true,
        };
        let key = [7; 32];
        let handle = seal(&key, &app("a"), &wanted, 1_000);
        assert_eq!(open(&key, &app("a"), &handle, 600_999), Some(wanted));
        assert_eq!(open(&key, &app("a"), &handle, 601_000), None);
        assert_eq!(open(&key, &app("b"), &handle, 1_000), None);
        assert_eq!(open(&[8; 32], &app("a"), &handle, 1_000), None);
        for wrong in ["", "123456123456", &handle[1..]] {
            assert_eq!(open(&key, &app("a"), wrong, 1_000), None, "{wrong}");
        }
    }

    #[test]
    fn times_have_fractions_and_offsets() {
        let second = 1_764_511_200_000;
        assert_eq!(unix_ms_of("2025-11-30T14:00:00Z"), Some(second));
        assert_eq!(unix_ms_of("2025-11-30T14:00:00.250Z"), Some(second + 250));
        assert_eq!(unix_ms_of("2025-11-30T15:30:00+01:30"), Some(second));
        assert_eq!(unix_ms_of("2025-11-30T12:00:00-02:00"), Some(second));
        for wrong in [
            "",
            "Z",
            "yesterday",
            "2025-11-30",
            "2025-11-30T14:00:00",
            "2025-11-30T14:00:00+1:30",
        ] {
            assert_eq!(unix_ms_of(wrong), None, "{wrong}");
        }
    }
}
