//! The first key of the API: made at the first start on a data directory, and shown then.

use std::io::IsTerminal as _;

use tidings_server::admin::KeyBook;

use crate::key_command::now_ms;
use crate::log;

/// Makes the first key of a data directory, and shows it: once in its life.
///
/// The system's journal keeps what services print, and more people read it than may call the API:
/// where the output goes there, or to programs, the key is not made, and the command that makes one
/// is named instead.
pub(crate) fn show(keys: &KeyBook) {
    let goes_to_journal =
        std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
    if goes_to_journal || !log::is_for_people() {
        if keys.list(now_ms()).is_empty() {
            tracing::info!(
                "the server-side API has no key yet; make one with `tidings key create --role admin`"
            );
        }
        return;
    }
    match keys.create_first(now_ms()) {
        Ok(None) => {}
        Ok(Some((key, text))) => log::show(&format!(
            "API key of this data directory, with the role admin; it is shown only now:\n\n    {}\n\n\
             `tidings key revoke {}` takes it back; `tidings key create` makes others.\n",
            text.reveal(),
            key.id
        )),
        Err(error) => tracing::warn!(
            %error,
            "the first key of the API could not be made; make one with `tidings key create --role admin`"
        ),
    }
}
