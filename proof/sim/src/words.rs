//! Invitations in the words of a scenario.

use tidings_client_core as core;
use tidings_scenario::{Event, InvitationNews};

/// The fate of an invitation that was sent.
pub(crate) fn from_local(news: core::LocalInvitationNews) -> InvitationNews {
    match news {
        core::LocalInvitationNews::Received => InvitationNews::Received,
        core::LocalInvitationNews::Accepted(response) => InvitationNews::Accepted(response),
        core::LocalInvitationNews::Refused(response) => InvitationNews::Refused(response),
        core::LocalInvitationNews::Canceled => InvitationNews::Canceled,
        core::LocalInvitationNews::Failed(reason) => InvitationNews::Failed(reason.name().into()),
    }
}

/// The fate of an invitation that was received.
pub(crate) fn from_remote(caller_id: String, news: core::RemoteInvitationNews) -> Event {
    let news = match news {
        core::RemoteInvitationNews::Received { content, channel } => {
            return Event::Invited {
                caller_id,
                content,
                channel,
            };
        }
        core::RemoteInvitationNews::Accepted => InvitationNews::Accepted(String::new()),
        core::RemoteInvitationNews::Refused => InvitationNews::Refused(String::new()),
        core::RemoteInvitationNews::Canceled => InvitationNews::Canceled,
        core::RemoteInvitationNews::Failed(reason) => InvitationNews::Failed(reason.name().into()),
    };
    Event::RemoteInvitation { caller_id, news }
}
