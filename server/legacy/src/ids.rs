//! Accounts, channels, uids and lines. Source: signaling 4.1, 9.1, 12.

use serde_json::Value;

/// Longest name, in Unicode scalar values.
const NAME_CHARS_MAX: usize = 128;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 512;
/// Represents a space of an RTM user id towards legacy clients.
const NO_BREAK_SPACE: char = '\u{a0}';

/// The account of a login, as text.
pub(crate) fn stated_account(value: &Value) -> Option<String> {
    let account = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    is_account(&account).then_some(account)
}

/// Whether a text is a valid account of a legacy user.
pub(crate) fn is_account(text: &str) -> bool {
    is_sized(text) && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// Whether a text is a valid name of a channel or an attribute.
pub(crate) fn is_name(text: &str) -> bool {
    is_sized(text) && !text.chars().any(char::is_control) && text.trim() == text
}

fn is_sized(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.chars().count() <= NAME_CHARS_MAX
}

/// The user id for an account that a legacy client names; `None` if there is none.
pub(crate) fn to_user_id(account: &str) -> Option<String> {
    let is_visible = |c: char| c == NO_BREAK_SPACE || !(c.is_control() || c.is_whitespace());
    (is_sized(account) && account.chars().all(is_visible))
        .then(|| account.replace(NO_BREAK_SPACE, " "))
}

/// How a user id is shown to a legacy client.
pub(crate) fn to_account(user_id: &str) -> String {
    user_id.replace(' ', "\u{a0}")
}

/// The uid of an account: always the same, from 1 to 2^32 - 1.
pub fn uid(app: &str, account: &str) -> u32 {
    let parts = [app.as_bytes(), &[0], account.as_bytes()];
    let hash = mix(fnv(parts.iter().flat_map(|part| part.iter())));
    u32::try_from(hash % u64::from(u32::MAX - 1) + 1).unwrap_or(1)
}

/// The `cid` of a channel: a hash of its name, as text.
pub(crate) fn cid(channel: &str) -> String {
    mix(fnv(channel.as_bytes().iter())).to_string()
}

/// The FNV-1a hash of the bytes.
fn fnv<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Spreads a hash over all bits.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The line of a login: ten digits from a random number.
pub(crate) fn line(random: u64) -> String {
    (1_000_000_000 + random % 9_000_000_000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_is_its_text_and_spaces_are_mapped() {
        assert_eq!(stated_account(&json!(42)), Some("42".into()));
        for wrong in [
            json!(null),
            json!(["a"]),
            json!(""),
            json!("a b"),
            json!("a\u{a0}b"),
        ] {
            assert_eq!(stated_account(&wrong), None, "{wrong}");
        }
        assert_eq!(to_user_id("mary\u{a0}lee"), Some("mary lee".into()));
        assert_eq!(to_user_id("mary lee"), None);
        assert_eq!(to_account("mary lee"), "mary\u{a0}lee");
    }

    #[test]
    fn names_have_up_to_128_characters_and_512_bytes() {
        assert!(is_account(&"ü".repeat(128)));
        assert!(!is_account(&"a".repeat(129)));
        assert!(is_name("room one") && !is_name(" room") && !is_name("a\nb") && !is_name(""));
    }

    #[test]
    fn uids_stay_and_differ() {
        assert_eq!(uid("app", "alice"), uid("app", "alice"));
        assert_ne!(uid("app", "alice"), uid("app", "bob"));
        assert_ne!(uid("app", "alice"), uid("ppa", "alice"));
    }
}
