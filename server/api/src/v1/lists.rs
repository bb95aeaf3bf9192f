//! What lists share: pages, limits, cursors.

use serde::Serialize;

use crate::params::Query;
use crate::problem::Fault;
use crate::{Answer, json};

/// Items of a page at most. Source: rest 12.
pub(crate) const LIMIT_MAX: u64 = 100;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The `cursor` of the next page; null = this is the last.
    pub(crate) next: Option<String>,
}

impl<T: Serialize> Page<T> {
    /// Status 200 and this page as JSON; `next` is the cursor of the page after it.
    pub(crate) fn answer(items: Vec<T>, next: Option<String>) -> Answer {
        json(&Self { items, next })
    }
}

/// Takes the parameters of a page: where it begins, and how many items it has at most.
///
/// # Errors
/// 400.
pub(crate) fn page(query: &mut Query) -> Result<(Option<String>, usize), Fault> {
    let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_MAX);
    let cursor = query.take("cursor").filter(|cursor| !cursor.is_empty());
    // Bound: `LIMIT_MAX`.
    Ok((cursor, usize::try_from(limit).unwrap_or(1)))
}

/// A cursor that no page has given.
pub(crate) fn bad_cursor() -> Fault {
    Fault::invalid(
        "cursor",
        "it is no cursor of this list; give back the `next` of a page",
    )
}
