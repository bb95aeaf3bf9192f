//! Bytes as text.

use std::fmt::Write as _;

/// Bytes as lower-case hexadecimal digits, two each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let text = String::with_capacity(2 * bytes.len());
    bytes.iter().fold(text, |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes from hexadecimal digits of either case, two each; `None` = it is something else.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_read_from_pairs_of_digits_and_from_nothing_else() {
        assert_eq!(super::from_hex("0009a0fF"), Some(vec![0, 9, 0xa0, 0xff]));
        assert_eq!(super::from_hex(""), Some(Vec::new()));
        for wrong in ["0", "0g", "+1", " 1", "ä1"] {
            assert_eq!(super::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_byte_has_two_digits() {
        assert_eq!(super::hex(&[0, 9, 0xa0, 0xff]), "0009a0ff");
        assert_eq!(super::hex(&[]), "");
    }
}
