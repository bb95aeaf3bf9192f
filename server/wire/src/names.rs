//! Names, made by parsing: code behind the wire never checks them again.

use std::fmt;

use smol_str::SmolStr;

use crate::limits::{APP_ID_BYTES, NAME_BYTES_MAX};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("it is empty; use 1 to {NAME_BYTES_MAX} characters")]
    Empty,
    /// The text is longer than 64 bytes.
    #[error("it has {bytes} bytes; at most {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The text is the literal `null`.
    #[error("the text \"null\" is not allowed as a name")]
    Null,
    /// The text has more than 128 characters.
    #[error("it has {chars} characters; at most {WIDE_NAME_CHARS_MAX} are allowed")]
    TooManyCharacters {
        /// Its length in Unicode scalar values.
        chars: usize,
    },
    /// A character is not in the set.
    #[error("character {found:?} at position {position} is not allowed")]
    Character {
        /// The first offending character.
        found: char,
        /// Its byte position, from 0.
        position: usize,
    },
    /// An app id is not 32 ASCII letters or digits.
    #[error("an app id is exactly {APP_ID_BYTES} letters or digits; this has {bytes} bytes")]
    AppId {
        /// The text's length in bytes.
        bytes: usize,
    },
}

/// The channels in which the legacy door announces logins, joins and their ends, where an app
/// permits that. Native clients cannot write these names, and legacy clients cannot send there.
/// Source: signaling 7.7.
pub const NEWS_CHANNELS: [&str; 2] = ["\u{a7}user_online", "\u{a7}channel_event"];

/// Whether only the server itself sends to the channel.
pub fn is_news_channel(channel: &ChannelName) -> bool {
    NEWS_CHANNELS.contains(&channel.as_str())
}

/// Whether a byte may stand in a user id or channel name. Source: observed, rtm 2.2.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b' ' | b'!'
                | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'('
                | b')'
                | b'+'
                | b','
                | b'-'
                | b'.'
                | b':'
                | b';'
                | b'<'
                | b'='
                | b'>'
                | b'?'
                | b'@'
                | b'['
                | b']'
                | b'^'
                | b'_'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

fn check_name(text: &str) -> Result<(), NameError> {
    match text.len() {
        0 => return Err(NameError::Empty),
        bytes if bytes > NAME_BYTES_MAX => return Err(NameError::TooLong { bytes }),
        _ => {}
    }
    if text == "null" {
        return Err(NameError::Null);
    }
    match text
        .char_indices()
        .find(|(_, c)| !u8::try_from(*c).is_ok_and(is_name_byte))
    {
        Some((position, found)) => Err(NameError::Character { found, position }),
        None => Ok(()),
    }
}

/// Longest wide name, in Unicode scalar values. Source: documented, signaling 12.
pub const WIDE_NAME_CHARS_MAX: usize = 128;

/// The rules for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameRule {
    /// 1 to 64 bytes of the identifier set.
    #[default]
    Native,
    /// 1 to 128 Unicode scalar values without a control character.
    Wide,
}

fn check_wide_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let chars = text.chars().count();
    if chars > WIDE_NAME_CHARS_MAX {
        return Err(NameError::TooManyCharacters { chars });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((position, found)) => Err(NameError::Character { found, position }),
        None => Ok(()),
    }
}

macro_rules! wide {
    ($type:ident) => {
        impl $type {
            /// Parses the text by a rule.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with it.
            pub fn parse_by(rule: NameRule, text: &str) -> Result<Self, NameError> {
                match rule {
                    NameRule::Native => Self::parse(text),
                    NameRule::Wide => {
                        check_wide_name(text)?;
                        Ok(Self(SmolStr::new(text)))
                    }
                }
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(SmolStr);

        impl $type {
            /// Parses the text.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with it.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(SmolStr::new(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The id of an app (a tenant): 32 ASCII letters or digits, compared byte for byte.
    AppId,
    |text| {
        if text.len() == APP_ID_BYTES && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(())
        } else {
            Err(NameError::AppId { bytes: text.len() })
        }
    }
);
name!(
    /// The id of a user within an app: 1 to 64 bytes of the identifier set.
    UserId,
    check_name
);
name!(
    /// The name of a channel within an app: the same set as a user id.
    ChannelName,
    check_name
);
wide!(UserId);
wide!(ChannelName);

#[cfg(test)]
mod tests {
    use super::*;

    // proves: rtm-2.2-set, rtm-2.2-control
    #[test]
    fn the_identifier_set_is_the_documented_one() {
        let allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \
                       !#$%&()+,-.:;<=>?@[]^_{|}~";
        for byte in 0..=127_u8 {
            let text = char::from(byte).to_string();
            assert_eq!(
                UserId::parse(&text).is_ok(),
                allowed.contains(&text),
                "byte {byte}"
            );
        }
        assert!(matches!(
            UserId::parse("zoë"),
            Err(NameError::Character {
                found: 'ë',
                position: 2
            })
        ));
    }

    // proves: rtm-2.2-length, rtm-2.2-null, rtm-2.2-spaces
    #[test]
    fn lengths_and_the_literal_null() {
        assert_eq!(UserId::parse(""), Err(NameError::Empty));
        assert!(UserId::parse(&"x".repeat(64)).is_ok());
        assert_eq!(
            UserId::parse(&"x".repeat(65)),
            Err(NameError::TooLong { bytes: 65 })
        );
        assert_eq!(ChannelName::parse("null"), Err(NameError::Null));
        assert!(ChannelName::parse("Null").is_ok());
        assert!(ChannelName::parse(" a ").is_ok());
    }

    #[test]
    fn the_wide_rule_takes_what_the_native_one_refuses_but_no_control_character() {
        let wide = |text: &str| UserId::parse_by(NameRule::Wide, text);
        assert!(wide("zoë").is_ok());
        assert!(wide(&"ü".repeat(128)).is_ok());
        assert_eq!(
            wide(&"ü".repeat(129)),
            Err(NameError::TooManyCharacters { chars: 129 })
        );
        assert!(wide("a\u{0}b").is_err());
        assert!(wide("").is_err());
        assert!(UserId::parse_by(NameRule::Native, "zoë").is_err());
    }

    // proves: rtm-2.1-app-id
    #[test]
    fn an_app_id_is_32_letters_or_digits() {
        assert!(AppId::parse(&"a".repeat(32)).is_ok());
        assert!(AppId::parse(&"a".repeat(31)).is_err());
        assert!(AppId::parse(&"-".repeat(32)).is_err());
    }
}
