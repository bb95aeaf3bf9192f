//! What both sides of the opening handshake share. Source: RFC 6455, section 4.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// What the standard appends to a key before hashing it.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to a `Sec-WebSocket-Key`: base64 of the SHA-1 of the key and a fixed text.
pub fn accept_key(sec_websocket_key: &str) -> String {
    let digest = Sha1::new()
        .chain_update(sec_websocket_key)
        .chain_update(GUID)
        .finalize();
    STANDARD.encode(digest)
}

/// Whether a text is base64 of 16 bytes, as a key must be.
pub(super) fn is_key(text: &str) -> bool {
    text.len() == 24 && STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 16)
}

/// The items of a comma-separated header value that are text, trimmed; empty ones left out.
pub(super) fn items(value: &[u8]) -> impl Iterator<Item = &str> {
    let items = value
        .split(|byte| *byte == b',')
        .filter_map(|item| std::str::from_utf8(item).ok());
    items
        .map(|item| item.trim_matches([' ', '\t']))
        .filter(|item| !item.is_empty())
}

/// Whether a list contains an item, ignoring case.
pub(super) fn lists(value: &[u8], wanted: &str) -> bool {
    items(value).any(|item| item.eq_ignore_ascii_case(wanted))
}

/// Whether a text is an HTTP token, as names of sub-protocols and headers must be.
pub(super) fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_has_the_answer_of_the_standard() {
        assert_eq!(
            accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn a_key_is_base64_of_sixteen_bytes() {
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
        assert!(!is_key("dGhlIHNhbXBsZSBub25jZ+=="));
        assert!(!is_key("dGhlIHNhbXBsZSBub25jZQ"));
        assert!(!is_key("dGhlIHNhbXBsZSBub25j"));
        assert!(!is_key(""));
    }

    #[test]
    fn lists_are_split_and_compared_without_case() {
        assert!(lists(b"keep-alive, Upgrade", "upgrade"));
        assert!(!lists(b"keep-alive, Upgraded", "upgrade"));
        assert_eq!(items(b" a ,\tb,, c").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
