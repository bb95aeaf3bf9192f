//! What the program says when it cannot go on.

use std::error::Error;
use std::fmt;

/// What happened, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    hint: String,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
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

    /// The same, with where it happened in front.
    pub(crate) fn within(self, place: &str) -> Self {
        Self {
            what: format!("{place}: {}", self.what),
            hint: self.hint,
        }
    }

    /// What happened.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.what, self.hint)
    }
}
