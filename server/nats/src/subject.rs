//! What may be a subject: it becomes part of a line of the protocol.

/// Longest subject, in bytes. With the other words of its line it stays below the 4 KiB that a
/// server takes as a line. Source: ours.
pub const SUBJECT_BYTES_MAX: usize = 1_024;

/// Why a text is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// It has no byte, or more than [`SUBJECT_BYTES_MAX`].
    #[error("a subject has 1 to {SUBJECT_BYTES_MAX} bytes, not {0}")]
    Length(usize),
    /// It has a space, a control character, or something that is not ASCII.
    #[error("a subject has printable ASCII characters without spaces, not {0:?}")]
    Character(char),
    /// It begins or ends with a dot, or has two in a row.
    #[error("a part of the subject {0:?} is empty")]
    EmptyPart(String),
    /// It has a wildcard where none may be.
    #[error("the subject {0:?} has a wildcard where none may be")]
    Wildcard(String),
}

/// Checks a subject that is published to, or for answers: without wildcards.
///
/// # Errors
/// [`SubjectError`]
pub fn check(subject: &str) -> Result<(), SubjectError> {
    check_parts(subject)?;
    if subject.split('.').any(|part| part == "*" || part == ">") {
        return Err(SubjectError::Wildcard(subject.to_owned()));
    }
    Ok(())
}

/// Checks a subject that is subscribed to: `*` may be any part, `>` the last one.
///
/// # Errors
/// [`SubjectError`]
pub fn check_filter(subject: &str) -> Result<(), SubjectError> {
    check_parts(subject)?;
    let mut parts = subject.split('.').rev().skip(1);
    if parts.any(|part| part == ">") {
        return Err(SubjectError::Wildcard(subject.to_owned()));
    }
    Ok(())
}

fn check_parts(subject: &str) -> Result<(), SubjectError> {
    if !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) {
        return Err(SubjectError::Length(subject.len()));
    }
    if let Some(other) = subject.chars().find(|char| !char.is_ascii_graphic()) {
        return Err(SubjectError::Character(other));
    }
    if subject.split('.').any(str::is_empty) {
        return Err(SubjectError::EmptyPart(subject.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_breaks_a_line_is_a_subject() {
        for subject in [
            "a b",
            "a\r\nPUB x 0",
            "a\tb",
            "a\0",
            "a\x7f",
            "für",
            "a\u{2028}",
        ] {
            let checked = check(subject);
            assert!(
                matches!(checked, Err(SubjectError::Character(_))),
                "{subject:?}"
            );
            assert_eq!(check_filter(subject), checked);
        }
        for length in [0, SUBJECT_BYTES_MAX + 1] {
            assert_eq!(
                check(&"a".repeat(length)),
                Err(SubjectError::Length(length))
            );
        }
        for subject in [".", "a.", ".a", "a..b"] {
            assert_eq!(check(subject), Err(SubjectError::EmptyPart(subject.into())));
        }
    }

    #[test]
    fn wildcards_are_for_subscribing() {
        for subject in ["*", ">", "a.*.b", "a.>"] {
            assert_eq!(check(subject), Err(SubjectError::Wildcard(subject.into())));
            assert_eq!(check_filter(subject), Ok(()));
        }
        assert_eq!(
            check_filter(">.a"),
            Err(SubjectError::Wildcard(">.a".into()))
        );
        assert_eq!(check("a*.b>c"), Ok(()), "no whole part is a wildcard");
        assert_eq!(check(&"a".repeat(SUBJECT_BYTES_MAX)), Ok(()));
    }
}
