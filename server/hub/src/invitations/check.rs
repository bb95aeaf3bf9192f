//! Checks of what clients say about invitations, and the word of an end.

use tidings_wire::codes::Outcome;
use tidings_wire::limits::INVITATION_TEXT_BYTES_MAX;
use tidings_wire::names::{ChannelName, NameRule, UserId};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Error, InvitationEnd, Invite, LocalInvitationEnded};

use crate::kernel::check::check_type;
use crate::kernel::reply::error;

/// Checks everything that an invitation says of itself; returns the callee.
pub(crate) fn check_invite(names: NameRule, call: &Invite) -> Result<UserId, Error> {
    let invalid = |text: String| error(Outcome::InvalidArgument, text);
    let callee = UserId::parse_by(names, &call.callee_id)
        .map_err(|name| invalid(format!("callee id {:?}: {name}", call.callee_id)))?;
    if call.number == 0 {
        return Err(invalid("the invitation's number is 0; count from 1".into()));
    }
    if !call.channel.is_empty() {
        ChannelName::parse_by(names, &call.channel)
            .map_err(|name| invalid(format!("channel {:?}: {name}", call.channel)))?;
    }
    check_text("content", &call.content)?;
    check_type(&call.r#type)?;
    Ok(callee)
}

/// Checks the length of an invitation's content or response.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Error> {
    let bytes = text.len();
    if bytes <= INVITATION_TEXT_BYTES_MAX {
        return Ok(());
    }
    let text =
        format!("the {what} has {bytes} bytes; at most {INVITATION_TEXT_BYTES_MAX} are allowed");
    Err(error(Outcome::InvalidArgument, text))
}

/// The word with which a caller's client is told an end.
pub(crate) fn local_end(number: u64, end: InvitationEnd, response: String) -> Kind {
    Kind::LocalInvitationEnded(LocalInvitationEnded {
        number,
        end: end.into(),
        response,
    })
}
