//! Names of client libraries, as they state them at login: each is kept once, since most clients
//! state the same.

use std::collections::BTreeMap;

use smol_str::SmolStr;
use tidings_wire::limits::CLIENT_NAME_BYTES_MAX;

/// Names that are kept. Bound: a login that states another one counts as one that states none.
const NAMES_MAX: usize = 1_024;

const _: () = assert!(NAMES_MAX <= u16::MAX as usize, "a name without a number");

/// One of the names; 0 = none was stated, or too many others were before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClientName(u16);

/// The names. A name of a client is at most 64 bytes.
#[derive(Debug, Default)]
pub(crate) struct ClientNames {
    names: Vec<SmolStr>,
    numbers: BTreeMap<SmolStr, ClientName>,
}

impl ClientNames {
    /// Keeps a name.
    pub(crate) fn keep(&mut self, name: &str) -> ClientName {
        debug_assert!(
            name.len() <= CLIENT_NAME_BYTES_MAX,
            "a name that is too long"
        );
        if name.is_empty() {
            return ClientName(0);
        }
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        if self.names.len() >= NAMES_MAX {
            return ClientName(0);
        }
        let name = SmolStr::new(name);
        self.names.push(name.clone());
        let number = ClientName(self.names.len() as u16);
        self.numbers.insert(name, number);
        number
    }

    /// Asserts what holds between two inputs. Cost: O(names).
    pub(crate) fn assert_consistent(&self) {
        assert!(self.names.len() <= NAMES_MAX, "too many names are kept");
        assert_eq!(self.names.len(), self.numbers.len(), "a name is kept twice");
        for (number, name) in (1_u16..).zip(&self.names) {
            let found = self.numbers.get(name);
            assert_eq!(
                found,
                Some(&ClientName(number)),
                "{name} has another number"
            );
            let bytes = name.len();
            assert!(
                (1..=CLIENT_NAME_BYTES_MAX).contains(&bytes),
                "a name of {bytes} bytes"
            );
        }
    }

    /// Whether it is the number of a name that was kept, or of none.
    pub(crate) fn has(&self, client: ClientName) -> bool {
        usize::from(client.0) <= self.names.len()
    }

    /// A name that was kept; empty = none.
    pub(crate) fn name(&self, client: ClientName) -> &str {
        let at = usize::from(client.0).checked_sub(1);
        at.and_then(|at| self.names.get(at))
            .map_or("", SmolStr::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_and_not_without_end() {
        let mut names = ClientNames::default();
        let first = names.keep("js 1");
        assert_eq!(names.keep("js 1"), first);
        assert_eq!(names.name(first), "js 1");
        let none = names.keep("");
        assert_eq!(names.name(none), "");
        for n in 0..2 * NAMES_MAX {
            let kept = names.keep(&format!("other {n}"));
            let is_kept = names.name(kept) == format!("other {n}");
            assert_eq!(is_kept, n < NAMES_MAX - 1, "{n}");
        }
        assert_eq!(names.name(first), "js 1");
    }
}
