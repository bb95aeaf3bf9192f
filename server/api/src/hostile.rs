//! What reads the bytes of callers, for `proof/fuzz`.

use axum::http::Uri;

use crate::body::parse;
use crate::hosted::{history, messages};
use crate::params::{self, Query};
use crate::v1::{attributes, invitations, publish, users};

/// Reads a body as each kind of call would; returns which of them take it, a bit for each.
pub fn body(bytes: &[u8]) -> u32 {
    let taken = [
        parse::<messages::PeerMessage>(bytes).is_ok(),
        parse::<messages::ChannelMessage>(bytes).is_ok(),
        parse::<history::HistoryQuery>(bytes).is_ok(),
        parse::<publish::Publish>(bytes).is_ok(),
        parse::<publish::Batch>(bytes).is_ok(),
        parse::<users::PresenceQuery>(bytes).is_ok(),
        parse::<users::Disconnect>(bytes).is_ok(),
        parse::<attributes::Attributes>(bytes).is_ok(),
        parse::<invitations::NewInvitation>(bytes).is_ok(),
    ];
    let bits = taken.into_iter().enumerate();
    bits.fold(0, |bits, (at, is_taken)| bits | u32::from(is_taken) << at)
}

/// Reads a path with its query, in all the ways in which a parameter is read; returns how many
/// there were.
pub fn address(text: &str) -> Option<usize> {
    let uri: Uri = text.parse().ok()?;
    let mut query = Query::parse(&uri).ok()?;
    let mut count = 0;
    for name in ["after", "limit", "start", "wait"] {
        count += usize::from(
            query
                .number(name, 0, 1_000)
                .is_ok_and(|number| number.is_some()),
        );
    }
    for name in ["start_time", "end_time"] {
        let time = query.take(name);
        count += usize::from(time.is_some_and(|time| history::is_time(&time)));
    }
    for name in ["user", "channel", "source"] {
        let given = query.take(name);
        count += usize::from(given.is_some_and(|given| {
            params::user(name, &given).is_ok() | params::channel(name, &given).is_ok()
        }));
    }
    Some(count)
}
