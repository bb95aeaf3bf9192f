//! The kinds of events and their numbers (rest 12): a range of our own, beside the hosted
//! service's.

/// Kind and `eventType`.
pub const KINDS: &[(&str, u32)] = &[
    (TEST, 2000),
    ("gap", 2001),
    ("user.login", 2010),
    ("user.logout", 2011),
    ("user.banned", 2012),
    ("user.unbanned", 2013),
    ("channel.created", 2020),
    ("channel.destroyed", 2021),
    ("channel.join", 2022),
    ("channel.leave", 2023),
    ("message.peer", 2030),
    ("message.channel", 2031),
    ("message.offline_stored", 2032),
    ("message.before", 2033),
    ("invitation.sent", 2040),
    ("invitation.received", 2041),
    ("invitation.accepted", 2042),
    ("invitation.refused", 2043),
    ("invitation.canceled", 2044),
    ("invitation.failed", 2045),
];

/// The kind of a sample that the operator asks for.
pub(crate) const TEST: &str = "webhook.test";

/// Of kinds that have no number yet.
const OTHER: u32 = 2999;

/// The `eventType` of a kind.
#[must_use]
pub fn number(kind: &str) -> u32 {
    let row = KINDS.iter().find(|(name, _)| *name == kind);
    row.map_or(OTHER, |(_, number)| *number)
}

/// Whether `pattern` (a kind, `user.*` or `*`) can match an event that a subscription may ask for.
#[must_use]
pub fn is_known(pattern: &str) -> bool {
    KINDS[2..]
        .iter()
        .any(|(kind, _)| matches(pattern, kind) && *kind != "message.before")
}

/// Whether `text` fits `pattern`: equal, or beginning with what stands before a `*` at its end.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == text, |start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_kinds_that_exist() {
        for good in ["*", "user.*", "user.login", "invitation.*", "message.c*"] {
            assert!(is_known(good), "{good}");
        }
        for wrong in [
            "",
            "user",
            "user.logins",
            "login.*",
            "webhook.test",
            "message.before",
            "User.*",
        ] {
            assert!(!is_known(wrong), "{wrong}");
        }
        assert_eq!(number("user.login"), 2010);
        assert_eq!(number("user.something"), OTHER);
    }
}
