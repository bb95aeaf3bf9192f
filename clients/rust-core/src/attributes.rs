//! The user's own attributes, as far as the server has confirmed them. They end with the session,
//! so the client writes them again in the next one. Source: documented, rtm 3.3.

use std::collections::BTreeMap;

use crate::call::{Attribute, AttributeWrite, Call};

/// The user's own attributes.
///
/// Replies may arrive in any order, but the server executes requests in the order of `cseq`: each
/// key remembers which request decided it.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnAttributes {
    /// By key, the deciding `cseq` and the value; a deleted key has no value. Emptied at the end of
    /// a login. Bound: 32 values, the server's limit, and the keys deleted in this session.
    entries: BTreeMap<String, (u64, Option<String>)>,
    /// The newest write that decided all keys.
    all_since: u64,
}

impl OwnAttributes {
    /// Takes in a write that the server has confirmed, sent under the number `cseq`.
    pub(crate) fn apply(&mut self, cseq: u64, how: AttributeWrite, attributes: &[Attribute]) {
        if matches!(how, AttributeWrite::Set | AttributeWrite::Clear) {
            for (since, value) in self.entries.values_mut() {
                if *since < cseq {
                    (*since, *value) = (cseq, None);
                }
            }
            self.all_since = self.all_since.max(cseq);
        }
        if how == AttributeWrite::Clear {
            return;
        }
        for attribute in attributes {
            let value = (how != AttributeWrite::Delete).then(|| attribute.value.clone());
            let since = self
                .entries
                .get(&attribute.key)
                .map_or(0, |(since, _)| *since);
            // At equal numbers the value wins over the removal that its own `Set` has just made.
            if cseq >= since.max(self.all_since) {
                self.entries.insert(attribute.key.clone(), (cseq, value));
            }
        }
    }

    /// Forgets the numbers: a new session counts from 1.
    pub(crate) fn begin_session(&mut self) {
        self.entries.retain(|_, (_, value)| value.is_some());
        self.entries.values_mut().for_each(|(since, _)| *since = 0);
        self.all_since = 0;
        let deleted = self
            .entries
            .values()
            .filter(|(_, value)| value.is_none())
            .count();
        assert_eq!(deleted, 0, "deleted keys outlive their session");
    }

    /// The call that writes them again; none if there is nothing to write.
    pub(crate) fn restore(&self) -> Option<Call> {
        let attributes: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, (_, value))| Some(Attribute::new(key, value.as_deref()?)))
            .collect();
        let how = AttributeWrite::Set;
        (!attributes.is_empty()).then_some(Call::WriteUserAttributes { how, attributes })
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self) {
        for (key, (since, _)) in &self.entries {
            assert!(!key.is_empty(), "an attribute has no key");
            assert!(
                *since >= self.all_since,
                "{key:?} was decided by request {since}, before all keys were by {}",
                self.all_since
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AttributeWrite::{Clear, Delete, Merge, Set};

    fn entries(text: &str) -> Vec<Attribute> {
        text.split_whitespace()
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Attribute::new(key, value)
            })
            .collect()
    }

    fn state(own: &OwnAttributes) -> String {
        let Some(Call::WriteUserAttributes { attributes, .. }) = own.restore() else {
            return String::new();
        };
        let pairs: Vec<_> = attributes
            .iter()
            .map(|entry| format!("{}={}", entry.key, entry.value))
            .collect();
        pairs.join(" ")
    }

    #[test]
    fn writes_take_effect_in_the_order_of_their_numbers_whatever_the_order_of_replies() {
        let writes = [
            (1, Set, "a=1 b=1"),
            (2, Merge, "b=2 c=2"),
            (3, Delete, "a"),
            (4, Merge, "d=4"),
        ];
        let mut orders = vec![];
        for a in 0..4 {
            for b in 0..4 {
                for c in 0..4 {
                    let d = 6_usize.wrapping_sub(a + b + c);
                    if a != b && a != c && b != c && d < 4 {
                        orders.push([a, b, c, d]);
                    }
                }
            }
        }
        assert_eq!(orders.len(), 24);
        for order in orders {
            let mut own = OwnAttributes::default();
            for index in order {
                let (cseq, how, text) = writes[index];
                own.apply(cseq, how, &entries(text));
            }
            assert_eq!(state(&own), "b=2 c=2 d=4", "order {order:?}");
        }
    }

    #[test]
    fn a_set_removes_what_it_does_not_name_and_a_clear_everything() {
        let mut own = OwnAttributes::default();
        own.apply(1, Set, &entries("a=1 b=1"));
        own.apply(2, Set, &entries("b=2"));
        assert_eq!(state(&own), "b=2");
        own.begin_session();
        own.apply(1, Merge, &entries("c=3"));
        assert_eq!(state(&own), "b=2 c=3");
        own.apply(2, Clear, &[]);
        assert_eq!(state(&own), "");
        assert_eq!(own.restore(), None);
    }
}
