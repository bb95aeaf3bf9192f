//! What the program says when it has to give up.

use std::error::Error;
use std::fmt;

/// What happened, and how to fix it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    hint: String,
    /// The command has already reported it in its own output.
    is_told: bool,
    /// The reader of the output has gone away, which ends a command that writes on and on.
    is_gone: bool,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
            is_told: false,
            is_gone: false,
        }
    }

    /// The reader of the output has gone away: no error, but the end.
    pub(crate) fn gone() -> Self {
        Self {
            is_gone: true,
            ..Self::told()
        }
    }

    /// Whether the command ended because nobody reads its output any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// An error with all its sources.
    pub(crate) fn of(error: &dyn Error, hint: impl Into<String>) -> Self {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Some errors repeat their source in their own text.
            if !what.contains(&text) {
                what = format!("{what}: {text}");
            }
            source = error.source();
        }
        Self::new(what, hint)
    }

    /// The same, preceded by where it happened.
    pub(crate) fn within(self, place: &str) -> Self {
        Self {
            what: format!("{place}: {}", self.what),
            ..self
        }
    }

    /// A failure that the command has already reported; only the exit code remains.
    pub(crate) fn told() -> Self {
        Self {
            is_told: true,
            ..Self::new("", "")
        }
    }

    /// Whether there is nothing left to report.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told
    }

    /// Adds how to fix it.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }

    /// What happened, without the hint.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.what, self.hint)
    }
}
