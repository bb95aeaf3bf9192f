//! API keys that the settings give.

use std::sync::Arc;

use tidings_server::{KeyEntry, Role};

use crate::failure::Failure;

/// Shortest secret of a key that the settings give.
const SECRET_CHARS_MIN: usize = 16;

/// A key as the settings give it. The error does not show it.
pub(super) fn read_key(text: &str) -> Result<(Arc<KeyEntry>, [u8; 32]), Failure> {
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let pair = tidings_server::split_key(text.trim());
    let pair = pair.filter(|(id, secret)| {
        is_word(id) && secret.len() >= SECRET_CHARS_MIN && !secret.contains(char::is_whitespace)
    });
    let Some((id, secret)) = pair else {
        return Err(Failure::new(
            "an API key of the settings is not written as one",
            "write tdk_ID_SECRET: an id of letters and digits, and a random secret of 16 characters or more",
        ));
    };
    let entry = KeyEntry {
        id: id.into(),
        role: Role::Admin,
        apps: None,
    };
    Ok((Arc::new(entry), tidings_server::hash_secret(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_and_an_error_does_not_show_it() {
        let Ok((key, _)) = read_key("tdk_first_0123456789abcdef") else {
            panic!("a key is not read");
        };
        assert_eq!((key.id.as_str(), key.role), ("first", Role::Admin));
        for wrong in [
            "",
            "first",
            "tdk_first",
            "tdk_first_short",
            "tdk_a-b_0123456789abcdef",
        ] {
            let failure = read_key(wrong).expect_err(wrong);
            assert!(!failure.what().contains("short"), "{}", failure.what());
        }
    }
}
